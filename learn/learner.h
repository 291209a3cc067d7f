/* SPDX-License-Identifier: MIT */
/* The learner of a large cache chooses the arm for freed runs, by size bucket and, if an option
 * asks for it, by call site; and how many bytes the cache may keep.
 *
 * It watches samples. A sample is a freed run, known by its first unit, from its freeing until that
 * unit is handed out again. How long it lay there tells what each arm would have cost (cost.h). For
 * the arm that was played, the real cost counts: the time of its system calls, and when its pages
 * went. Every 50 ms with activity are a match: all arms play against each other by what they cost
 * (elo.h), and the more is at stake, the further the ratings move. The arm with the best rating is
 * in force from then on (regime.h: how fast ratings move, and whether other arms are tried). The
 * choice comes before the act, and takes one load.
 *
 *     give --> choose ---> keep | dontneed | batch --------> gave: a sample begins
 *     take -------------------------------------------------> reused: it ends
 *     purge (decay, a batch, too many bytes) ----------------> purged: noted in it
 *     tick (50 ms) -------> costs so far, matches, arms, retention
 *
 * All of it is under the lock of the cache that it serves, except the faults of cost.h. Allocations
 * up to 32 KiB never run this code. All zero, then hak_learner_start: valid. */
#ifndef HAK_LEARN_LEARNER_H
#define HAK_LEARN_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/cost.h"
#include "learn/huge.h"
#include "learn/regime.h"
#include "learn/settings.h"
#include "os/clock.h"

enum {
    HAK_LEARN_SITES = 20,
    HAK_LEARN_KEYS = HAK_LEARN_BUCKETS + HAK_LEARN_SITES,
    HAK_LEARN_SAMPLES = 256,
    HAK_LEARN_HEADS = 128,
    HAK_LEARN_WHOLE = 8,  /* samples of a key between two ticks, then one give in */
    HAK_LEARN_SHARE = 64, /* one give in this many: a sample costs some 150 ns, a give must not cost
                             30 */
    HAK_LEARN_CLOCK = 8,  /* gives, in which the clock is read for the tick's sake */
};

/* What a learner sees of its cache: hak_learner_saw. */
enum hak_learn_event {
    HAK_LEARN_EXCESS, /* units were purged because there were too many */
    HAK_LEARN_DECAY,  /* units were purged because no thread needed them */
    HAK_LEARN_PURGES, /* number of reasons for a purge */
    HAK_LEARN_ACT,    /* purging these units in the arm's way took this long */
    HAK_LEARN_BATCH,  /* a batch was released that had been collecting for this long */
    HAK_LEARN_REUSED, /* units were handed out with their pages */
    HAK_LEARN_MISSED, /* units were handed out without */
    HAK_LEARN_DIRTY,  /* this many dirty units lie free now */
};

_Static_assert(HAK_LEARN_KEYS <= 32, "a key is a bit of `active`");

struct hak_learn_sample {
    uintptr_t id; /* address of the first unit; of a whale, its own */
    uint64_t given_ns;
    uint64_t accounted_ns; /* up to which its costs were added to the match */
    uint64_t purged_ns;    /* its pages went then; 0: they are there */
    double units;          /* kernel pages of 4 KiB that it stands for */
    double spent_ns;       /* that the act at its freeing took, for all of them */
    uint16_t next;         /* in its list, + 1 */
    uint8_t key;
    uint8_t arm; /* that was played */
};

/* What is known of a size bucket or a call site. */
struct hak_learn_key {
    double ratings[HAK_ARM_COUNT]; /* Elo, less 1500 */
    double costs[HAK_ARM_COUNT];   /* since the last match */
    double paid;
    double stake;                     /* running mean of what is at stake in a match */
    double unit_costs[HAK_ARM_COUNT]; /* running means of costs a unit */
    uint64_t bytes;                   /* given since the last match */
    uint64_t match_ns;                /* when that was */
    uint32_t samples;                 /* begun since the last match */
    uint32_t begun;                   /* samples begun since the last tick */
    uint32_t turn;                    /* gives */
    uint32_t passed;                  /* gives beyond those that are all watched */
    uint8_t arm;                      /* in force: enum hak_arm */
    uint8_t played;                   /* in force during the last match */
    struct hak_regime regime;
    /* since the start, for reports */
    double all_costs[HAK_ARM_COUNT];
    double all_paid;
    uint64_t all_bytes;
    uint32_t matches;
    uint32_t switches;
};

struct hak_learner {
    struct hak_cost cost;
    struct hak_huge huge; /* for segments to come */
    uint64_t tick_ns;
    bool waits;                      /* the last tick followed a pause, and played no match */
    double budget_ns;                /* what trying other arms may cost */
    double predicted[HAK_ARM_COUNT]; /* of what was played, running sums: what cost.h said */
    double real[HAK_ARM_COUNT];      /* and what it was */
    double lost;                     /* units that are kept though keeping lost: they may go */
    double evicted;                  /* units purged because there were too many, lately */
    double missed;                   /* units handed out without pages, of those evicted */
    double reused;                   /* units handed out with theirs, lately */
    size_t retain_bytes;             /* the cache may keep; 0: not yet said */
    size_t refused_bytes;            /* of these, what the heap's credit had no room for when it was
                                        last asked; the cache writes */
    size_t drawn_units;              /* of what was kept or missed, the most that was in use at once
                                        since drawn_ns, */
    size_t drawn_before;             /* and in as long a time before */
    size_t out_units;                /* of that, what is in use */
    int64_t live_units;              /* handed out less freed: what counts are differences */
    int64_t drawn_low;               /* live_units when drawing so much began, */
    int64_t drawn_low_before;        /* and before */
    size_t gone_units;               /* purged since there were too many, and not missed so far */
    uint64_t drawn_ns;
    size_t peak_units;  /* most dirty units since peak_ns */
    size_t peak_before; /* and in as long a time before */
    size_t least_units; /* fewest dirty units since bytes were last added */
    uint64_t peak_ns;
    uint64_t purged_units[HAK_LEARN_PURGES]; /* since the last tick, for the audit */
    uint32_t id;                             /* of the shard, for the audit; 0: of the whales */
    uint32_t arms;                           /* bits of the arms that this cache knows; 0: all */
    uint32_t open;                           /* samples in use */
    uint32_t active;                         /* bits of the keys that something happened to */
    uint32_t gives;
    uint64_t seen_ns;                /* what the clock said last */
    uint16_t unused;                 /* list of samples, + 1 */
    uint16_t fresh;                  /* samples that were never used begin here */
    uint16_t heads[HAK_LEARN_HEADS]; /* lists of open samples by id, + 1 */
    uint32_t sites[HAK_LEARN_SITES]; /* hashes; 0: free */
    struct hak_learn_key keys[HAK_LEARN_KEYS];
    struct hak_learn_sample samples[HAK_LEARN_SAMPLES];
};

void hak_learner_start(struct hak_learner *learner, const struct hak_settings *settings,
                       uint32_t id);

/* Whether the learner wants to hear of events. */
static inline int hak_learner_watches(const struct hak_settings *settings)
{
    return settings->mode != HAK_LEARN_OFF;
}

/* Whether the tiers obey what it found. */
static inline int hak_learner_decides(const struct hak_settings *settings)
{
    return settings->mode == HAK_LEARN_ON || settings->mode == HAK_LEARN_FROZEN;
}

/* The key of a call site's hash (not 0) for sizes of `bucket`: a place in the bounded table, or the
 * bucket when that is full. */
unsigned hak_learner_site_key(struct hak_learner *learner, uint32_t site, unsigned bucket);

/* The arm for a run of this many units that is being freed. */
enum hak_arm hak_learner_choose(struct hak_learner *learner, const struct hak_settings *settings,
                                unsigned key, uint32_t units);

/* What the cache tells of a run that was freed. */
struct hak_learn_give {
    uintptr_t id;
    uint32_t units;
    uint8_t key;
    uint8_t arm;       /* that was played */
    uint8_t is_purged; /* its pages went at once */
    uint64_t spent_ns; /* that the act took */
    uint64_t now_ns;
};

/* The time for the next give of the key; 0 or an older time if it does not matter, since reading
 * the clock costs as much as all else that a give does for the learner. Reads the clock when a
 * sample may begin, and now and then for the tick. */
static inline uint64_t hak_learner_now(struct hak_learner *learner, unsigned key_id)
{
    const struct hak_learn_key *key = &learner->keys[key_id];
    if (++learner->gives % HAK_LEARN_CLOCK == 0 || key->begun < HAK_LEARN_WHOLE ||
        (key->passed + 1) % HAK_LEARN_SHARE == 0)
        learner->seen_ns = hak_os_coarse_now_ns();
    return learner->seen_ns;
}

/* Tells of a freed run. 1: a sample has begun, so the caller must tell what becomes of the id. */
int hak_learner_gave(struct hak_learner *learner, const struct hak_learn_give *give);

/* Tell what became of an id that may be a sample's: its pages were purged; it was handed out again;
 * its addresses were given back. */
void hak_learner_purged(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);
void hak_learner_reused(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);
void hak_learner_gone(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);

/* Tells that fresh memory was requested for the key: had the last of the key's samples been kept,
 * it would have served. For memory that has no address any more after it was given back. */
void hak_learner_missed(struct hak_learner *learner, unsigned key, uint64_t now_ns);

/* Whether it is time for a tick; false for a caller whose time is older than the last tick's. */
static inline int hak_learner_is_due(const struct hak_learner *learner, uint64_t now_ns)
{
    return (int64_t)(now_ns - learner->tick_ns) >= 50l * 1000 * 1000;
}

/* Units were handed out that had been free with their pages, or would have been if they had not
 * been purged. The number in use at once is what is worth keeping when they are free again: a hot
 * loop over one run needs no more than that run. */
static inline void hak_learner_drew(struct hak_learner *learner, size_t units)
{
    learner->out_units += units;
    if (learner->drawn_units < learner->out_units) {
        learner->drawn_units = learner->out_units;
        learner->drawn_low = learner->live_units - (int64_t)learner->out_units;
    }
}

/* Forgets what was requested longer ago than a time of decay; ignores older times. */
void hak_learner_turn(struct hak_learner *learner, uint64_t now_ns);

/* Tells of an event. Arm and time are HAK_ARM_KEEP and 0 if the event needs none. Inline, since the
 * event is a constant, and each run brings three of them. */
static inline void hak_learner_saw(struct hak_learner *learner, enum hak_learn_event event,
                                   enum hak_arm arm, size_t units, uint64_t ns)
{
    switch (event) {
    case HAK_LEARN_EXCESS:
        learner->evicted += (double)units;
        learner->gone_units += units;
        learner->purged_units[event] += units;
        break;
    case HAK_LEARN_DECAY:
        learner->purged_units[event] += units;
        break;
    case HAK_LEARN_ACT:
        hak_cost_saw_purge(&learner->cost, arm, (uint32_t)units, ns);
        break;
    case HAK_LEARN_BATCH:
        hak_cost_saw_batch(&learner->cost, ns);
        break;
    case HAK_LEARN_REUSED:
        learner->reused += (double)units;
        learner->live_units += (int64_t)units;
        hak_learner_drew(learner, units);
        break;
    case HAK_LEARN_MISSED:
        /* Only units purged lately can be missed: a heap that grows for the first time misses
         * nothing. */
        learner->live_units += (int64_t)units;
        learner->missed += (double)units;
        learner->missed = learner->missed < learner->evicted ? learner->missed : learner->evicted;
        units = units < learner->gone_units ? units : learner->gone_units;
        learner->gone_units -= units;
        hak_learner_drew(learner, units);
        break;
    case HAK_LEARN_DIRTY:
        learner->peak_units = units > learner->peak_units ? units : learner->peak_units;
        learner->least_units = units < learner->least_units ? units : learner->least_units;
        break;
    case HAK_LEARN_PURGES: /* no event */
        break;
    }
}

/* First touches of memory out of a segment for which huge pages were asked, or not. Any thread, no
 * lock. */
void hak_learner_saw_touches(struct hak_learner *learner, const struct hak_huge_sample *sample);

/* The same, for the choice of huge pages. Under the lock. */
void hak_learner_saw_huge(struct hak_learner *learner, const struct hak_huge_sample *sample,
                          bool asked);

/* Whether a segment that is about to be mapped should ask for huge pages. */
bool hak_learner_asks_huge(const struct hak_learner *learner);

/* ns that purging this many units in the arm's way takes. */
uint64_t hak_learner_act_ns(const struct hak_learner *learner, enum hak_arm arm, uint32_t units);

/* Units that are kept though keeping lost: they may go. */
static inline size_t hak_learner_lost(const struct hak_learner *learner)
{
    return (size_t)learner->lost;
}

/* The same, and sets it to 0: the caller purges them. */
size_t hak_learner_take_lost(struct hak_learner *learner);

#endif
