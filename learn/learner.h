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

#include <stddef.h>
#include <stdint.h>

#include "learn/cost.h"
#include "learn/huge.h"
#include "learn/policy.h"
#include "learn/regime.h"

enum {
    HAK_LEARN_SITES = 20,
    HAK_LEARN_KEYS = HAK_LEARN_BUCKETS + HAK_LEARN_SITES,
    HAK_LEARN_SAMPLES = 256,
    HAK_LEARN_HEADS = 128,
    HAK_LEARN_WHOLE = 8,       /* samples of a key between two ticks, then one give in */
    HAK_LEARN_SHARE = 64,      /* so many: a sample costs some 150 ns, a give must not cost 30 */
    HAK_LEARN_CLOCK = 8,       /* gives, in which the clock is read for the tick's sake */
};

/* Why units were purged, other than by an arm at once. */
enum hak_learn_purge { HAK_LEARN_EXCESS, HAK_LEARN_DECAY, HAK_LEARN_PURGES };

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
    double missed;                    /* units handed out without pages, lately */
    double reused;                    /* units handed out with theirs, lately */
    size_t retain_bytes;              /* the cache may keep; 0: not yet said */
    size_t peak_units;                /* most dirty units since peak_ns */
    size_t peak_before;               /* and in as long a time before */
    size_t least_units;               /* fewest dirty units since bytes were last added */
    uint64_t peak_ns;
    uint64_t purged_units[HAK_LEARN_PURGES];    /* since the last tick, for the audit */
    uint32_t id;                      /* of the shard, for the audit; 0: of the whales */
    uint32_t first_share;             /* of what the policy allows, kept before anything is known;
                                         0: the usual share */
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

/* Whether the time matters to the next give of the key: reading the clock costs as much as all else
 * that is done for the learner. */
static inline int hak_learner_wants_clock(struct hak_learner *learner, unsigned key_id)
{
    const struct hak_learn_key *key = &learner->keys[key_id];
    return ++learner->gives % HAK_LEARN_CLOCK == 0 || key->begun < HAK_LEARN_WHOLE ||
           (key->passed + 1) % HAK_LEARN_SHARE == 0;
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

/* Adds up costs, plays the matches, moves the numbers. most: bytes that the cache may ever keep. */
void hak_learner_tick(struct hak_learner *learner, const struct hak_policy *policy, size_t most,
                      uint64_t now_ns);

/* So many units were purged because there were too many, or nobody needed them. */
void hak_learner_saw_purge(struct hak_learner *learner, enum hak_learn_purge why, size_t units);

/* So many units were handed out with their pages, and so many without. */
static inline void hak_learner_saw_take(struct hak_learner *learner, size_t dirty, size_t clean)
{
    learner->reused += (double)dirty;
    learner->missed += (double)clean;
}

/* So many dirty units lie free now. */
static inline void hak_learner_saw_dirty(struct hak_learner *learner, size_t units)
{
    learner->peak_units = units > learner->peak_units ? units : learner->peak_units;
    learner->least_units = units < learner->least_units ? units : learner->least_units;
}

/* Dirty bytes that the cache may keep now, of the `most` that it ever may. */
size_t hak_learner_retain(struct hak_learner *learner, const struct hak_policy *policy,
                          size_t most);

/* There are more: 1, if it may keep more from now on, since what was purged was missed, or what is
 * kept is worth it. */
int hak_learner_grow_retain(struct hak_learner *learner, const struct hak_policy *policy,
                            size_t most);

#endif
