/* SPDX-License-Identifier: MIT */
/* The learner of a large cache: which arm holds for what is freed, by size bucket and, if that is
 * asked for, by call site; how many bytes the cache may keep.
 *
 * It watches samples. A sample is a freed run, by its first unit, from the moment of its freeing
 * until that unit is handed out again. How long it lay there tells what each arm costs (cost.h);
 * for the arm that was played, what it really cost is taken: the time its system calls took, when
 * its pages really went. Each 50 ms in which something happened are a match: all arms play against
 * all others by what they cost (elo.h), those with more at stake moving the ratings further, and
 * the arm with the best rating is in force from then on (regime.h: how fast ratings move, and
 * whether others are tried). The choice is made before the act, by one load.
 *
 *     give --> choose ---> keep | dontneed | batch --------> gave: a sample begins
 *     take -------------------------------------------------> reused: it ends
 *     purge (decay, a batch, too many bytes) ----------------> purged: noted in it
 *     tick (50 ms) -------> costs so far, matches, arms, retention
 *
 * All of it under the lock of the cache that it serves, faults of cost.h apart; no allocation of
 * up to 32 KiB ever comes here. All zero, then hak_learner_start: valid. */
#ifndef HAK_LEARN_LEARNER_H
#define HAK_LEARN_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/cost.h"
#include "learn/huge.h"
#include "learn/policy.h"
#include "learn/regime.h"
#include "os/clock.h"

enum {
    HAK_LEARN_SITES = 20,
    HAK_LEARN_KEYS = HAK_LEARN_BUCKETS + HAK_LEARN_SITES,
    HAK_LEARN_SAMPLES = 256,
    HAK_LEARN_HEADS = 128,
    HAK_LEARN_WHOLE = 8,       /* samples of a key between two ticks, then one give in */
    HAK_LEARN_SHARE = 64,      /* so many: a sample costs some 150 ns, a give must not cost 30 */
    HAK_LEARN_CLOCK = 8,       /* gives, in which the clock is read for the tick's sake */
};

/* What a learner sees of its cache: hak_learner_saw. */
enum hak_learn_event {
    HAK_LEARN_EXCESS,     /* units were purged, for there were too many */
    HAK_LEARN_DECAY,      /* units were purged, for nobody needed them */
    HAK_LEARN_PURGES,     /* as many reasons */
    HAK_LEARN_ACT,        /* purging so many units the way of the arm took so long */
    HAK_LEARN_BATCH,      /* a batch was released that had been collecting for so long */
    HAK_LEARN_REUSED,     /* units were handed out with their pages */
    HAK_LEARN_MISSED,     /* units were handed out without */
    HAK_LEARN_DIRTY,      /* so many dirty units lie free now */
};

_Static_assert(HAK_LEARN_KEYS <= 32, "a key is a bit of `active`");

struct hak_learn_sample {
    uintptr_t id;              /* address of the first unit; of a whale, its own */
    uint64_t given_ns;
    uint64_t accounted_ns;     /* up to which its costs were added to the match */
    uint64_t purged_ns;        /* its pages went then; 0: they are there */
    double units;              /* kernel pages of 4 KiB that it stands for */
    double spent_ns;           /* that the act at its freeing took, for all of them */
    uint16_t next;             /* in its list, + 1 */
    uint8_t key;
    uint8_t arm;               /* that was played */
};

/* What is known of a size bucket or a call site. */
struct hak_learn_key {
    double ratings[HAK_ARM_COUNT];    /* Elo, less 1500 */
    double costs[HAK_ARM_COUNT];      /* since the last match */
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
    struct hak_huge huge;             /* for segments to come */
    uint64_t tick_ns;
    double budget_ns;                 /* what trying other arms may cost */
    double predicted[HAK_ARM_COUNT];  /* of what was played, running sums: what cost.h said */
    double real[HAK_ARM_COUNT];       /* and what it was */
    double lost;                      /* units that are kept though keeping lost: they may go */
    double evicted;                   /* units purged because there were too many, lately */
    double missed;                    /* units handed out without pages, of those evicted */
    double reused;                    /* units handed out with theirs, lately */
    size_t retain_bytes;              /* the cache may keep; 0: not yet said */
    size_t refused_bytes;             /* of these, what the heap's credit had no room for when it
                                         was last asked; the cache writes */
    size_t drawn_units;               /* of what was kept or missed, the most that was in use at
                                         once since drawn_ns, */
    size_t drawn_before;              /* and in as long a time before */
    size_t out_units;                 /* of that, what is in use */
    size_t gone_units;                /* purged since there were too many, and not missed so far */
    uint64_t drawn_ns;
    size_t peak_units;                /* most dirty units since peak_ns */
    size_t peak_before;               /* and in as long a time before */
    size_t least_units;               /* fewest dirty units since bytes were last added */
    uint64_t peak_ns;
    uint64_t purged_units[HAK_LEARN_PURGES];    /* since the last tick, for the audit */
    uint32_t id;                      /* of the shard, for the audit; 0: of the whales */
    uint32_t arms;                    /* bits of the arms that this cache knows; 0: all */
    uint32_t open;                    /* samples in use */
    uint32_t active;                  /* bits of the keys that something happened to */
    uint32_t gives;
    uint64_t seen_ns;                 /* what the clock said last */
    uint16_t unused;                  /* list of samples, + 1 */
    uint16_t fresh;                   /* samples that were never used begin here */
    uint16_t heads[HAK_LEARN_HEADS];  /* lists of open samples by id, + 1 */
    uint32_t sites[HAK_LEARN_SITES];  /* hashes; 0: free */
    struct hak_learn_key keys[HAK_LEARN_KEYS];
    struct hak_learn_sample samples[HAK_LEARN_SAMPLES];
};

void hak_learner_start(struct hak_learner *learner, const struct hak_policy *policy, uint32_t id);

/* Whether anything is to be told to a learner. */
static inline int hak_learner_watches(const struct hak_policy *policy)
{
    return policy->mode != HAK_LEARN_OFF;
}

/* Whether what it found is obeyed. */
static inline int hak_learner_decides(const struct hak_policy *policy)
{
    return policy->mode == HAK_LEARN_ON || policy->mode == HAK_LEARN_FROZEN;
}

/* The key of a call site's hash (not 0) for sizes of `bucket`: a place in the bounded table, or the
 * bucket when that is full. */
unsigned hak_learner_site_key(struct hak_learner *learner, uint32_t site, unsigned bucket);

/* What is to be done with the pages of a run of so many units that is being freed. */
enum hak_arm hak_learner_choose(struct hak_learner *learner, const struct hak_policy *policy,
                                unsigned key, uint32_t units);

/* What is told of a run that was freed. */
struct hak_learn_give {
    uintptr_t id;
    uint32_t units;
    uint8_t key;
    uint8_t arm;          /* that was played */
    uint8_t is_purged;    /* its pages went at once */
    uint64_t spent_ns;    /* that the act took */
    uint64_t now_ns;
};

/* The time of the next give of the key; 0 or an older one where it does not matter, for reading the
 * clock costs as much as all else that is done for the learner. It is read when a sample may begin,
 * and now and then for the tick's sake. */
static inline uint64_t hak_learner_now(struct hak_learner *learner, unsigned key_id)
{
    const struct hak_learn_key *key = &learner->keys[key_id];
    if (++learner->gives % HAK_LEARN_CLOCK == 0 || key->begun < HAK_LEARN_WHOLE ||
        (key->passed + 1) % HAK_LEARN_SHARE == 0)
        learner->seen_ns = hak_os_coarse_now_ns();
    return learner->seen_ns;
}

/* A run was freed. 1: a sample was begun, and the caller is to tell what becomes of the id. */
int hak_learner_gave(struct hak_learner *learner, const struct hak_learn_give *give);

/* Of ids that may be samples': their pages went; they were handed out; they are no more (their
 * address space was given back). */
void hak_learner_purged(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);
void hak_learner_reused(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);
void hak_learner_gone(struct hak_learner *learner, uintptr_t id, uint64_t now_ns);

/* Fresh memory was asked for, for the key: had the last of those that are gone been kept, it would
 * have served. For memory that has no address any more once it is given back. */
void hak_learner_missed(struct hak_learner *learner, unsigned key, uint64_t now_ns);

/* Whether it is time for a tick; not for whoever comes with an older time than the last one's. */
static inline int hak_learner_is_due(const struct hak_learner *learner, uint64_t now_ns)
{
    return (int64_t)(now_ns - learner->tick_ns) >= 50l * 1000 * 1000;
}

/* Units were handed out that had been free with their pages, or would have been, had they not been
 * purged. How many are in use at once is what is worth keeping when they are free again: a hot loop
 * of one run asks for no more than that run. */
static inline void hak_learner_drew(struct hak_learner *learner, size_t units)
{
    learner->out_units += units;
    if (learner->drawn_units < learner->out_units)
        learner->drawn_units = learner->out_units;
}

/* What was asked for longer ago than a time of decay is forgotten; older times are ignored. */
void hak_learner_turn(struct hak_learner *learner, uint64_t now_ns);

/* Any event. Arm and time are HAK_ARM_KEEP and 0 where the event says nothing of them. Inline: the
 * event is a constant, and three of them come with each run. */
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
        hak_learner_drew(learner, units);
        break;
    case HAK_LEARN_MISSED:
        /* Only what was purged lately can be missed: a heap that grows for the first time misses
         * nothing. */
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
    case HAK_LEARN_PURGES:    /* no event */
        break;
    }
}

/* First touches of memory out of a segment for which huge pages were asked, or not. Any thread, no
 * lock. */
void hak_learner_saw_touches(struct hak_learner *learner, const struct hak_huge_sample *sample);

/* The same, for who chooses huge pages. Under the lock. */
void hak_learner_saw_huge(struct hak_learner *learner, const struct hak_huge_sample *sample,
                          bool asked);

/* Whether huge pages are to be asked for, for a segment that is about to be mapped. */
bool hak_learner_asks_huge(const struct hak_learner *learner);

/* What purging so many units the way of the arm takes, in ns. */
uint64_t hak_learner_act_ns(const struct hak_learner *learner, enum hak_arm arm, uint32_t units);

/* Units that are kept though keeping lost: they may go. */
static inline size_t hak_learner_lost(const struct hak_learner *learner)
{
    return (size_t)learner->lost;
}

/* The same, and they are as good as gone. */
size_t hak_learner_take_lost(struct hak_learner *learner);

#endif
