/* SPDX-License-Identifier: MIT */
/* Samples of a learner: found by their ids, and what each cost so far, added to the match of its
 * key. Under the lock of the cache that the learner serves. */
#include "learn/learner_sample.h"

enum {
    HEAD_BITS = 7,
};

_Static_assert(HAK_LEARN_HEADS == 1 << HEAD_BITS, "the hash fits the heads");

static const uint64_t FORGET_LEAST_NS = 1000ul * 1000 * 1000;
static const uint64_t FORGET_MOST_NS = 10ul * 1000 * 1000 * 1000;
static const double REAL_MOST = 2; /* what calibration may do to a prediction */
static const double CALIBRATION_LEAST_NS = 1000;

/* ---- samples -------------------------------------------------------------------------------- */

static uint16_t *head_of(struct hak_learner *learner, uintptr_t id)
{
    uint64_t hash = (uint64_t)(id >> 12) * UINT64_C(0x9E3779B97F4A7C15);
    return &learner->heads[hash >> (64 - HEAD_BITS)];
}

uint16_t *hak_learn_find_sample(struct hak_learner *learner, uintptr_t id)
{
    uint16_t *link = head_of(learner, id);
    while (*link != 0 && learner->samples[*link - 1].id != id)
        link = &learner->samples[*link - 1].next;
    return link;
}

struct hak_learn_sample *hak_learn_new_sample(struct hak_learner *learner, uintptr_t id)
{
    uint16_t place = learner->unused;
    if (place != 0)
        learner->unused = learner->samples[place - 1].next;
    else if (learner->fresh < HAK_LEARN_SAMPLES)
        place = ++learner->fresh;
    else
        return NULL;
    struct hak_learn_sample *sample = &learner->samples[place - 1];
    uint16_t *head = head_of(learner, id);
    sample->id = id;
    sample->next = *head;
    *head = place;
    learner->open++;
    return sample;
}

void hak_learn_drop_sample(struct hak_learner *learner, uint16_t *link)
{
    uint16_t place = *link;
    struct hak_learn_sample *sample = &learner->samples[place - 1];
    *link = sample->next;
    sample->id = 0;
    sample->next = learner->unused;
    learner->unused = place;
    learner->open--;
}

/* ---- costs ---------------------------------------------------------------------------------- */

/* The cost of the arm that was played, from the age `from` to `to`: as hak_cost_of, but by what
 * really happened. */
static double real_cost(const struct hak_learner *learner, const struct hak_learn_sample *sample,
                        uint64_t from, uint64_t to, enum hak_cost_end end)
{
    const struct hak_cost *cost = &learner->cost;
    int is_purged = sample->purged_ns != 0;
    int is_collected = hak_arms[sample->arm].act == HAK_ACT_COLLECT;
    uint64_t purged = is_purged ? sample->purged_ns - sample->given_ns : to;
    double ns = from == 0 ? sample->spent_ns : 0;
    if (purged > from)
        ns += cost->price * (double)((purged < to ? purged : to) - from) * sample->units;
    /* At age 0 it went by the act, which is in spent_ns. At `to` it counts in the next stretch. */
    if (is_purged && purged > 0 && purged >= from && (purged < to || end == HAK_COST_REUSED))
        ns += sample->units * cost->act_ns[is_collected ? sample->arm : (unsigned)HAK_ARM_KEEP];
    if (is_purged && end == HAK_COST_REUSED)
        ns += hak_cost_fault_ns(cost) * sample->units;
    return ns;
}

/* How far predictions of an arm were off when it was played. */
static double calibration(const struct hak_learner *learner, unsigned arm)
{
    double predicted = learner->predicted[arm];
    double real = learner->real[arm];
    if (predicted < CALIBRATION_LEAST_NS)
        return 1;
    if (real > predicted * REAL_MOST)
        return REAL_MOST;
    return real * REAL_MOST < predicted ? 1 / REAL_MOST : real / predicted;
}

/* A pin may have played an arm that the learner does not know: then its cost is paid, and all arms
 * cost what is predicted. */
void hak_learn_account(struct hak_learner *learner, struct hak_learn_sample *sample,
                       uint64_t now_ns, enum hak_cost_end end)
{
    struct hak_learn_key *key = &learner->keys[sample->key];
    learner->active |= 1u << sample->key;
    uint64_t from = sample->accounted_ns - sample->given_ns;
    uint64_t to = now_ns > sample->given_ns + from ? now_ns - sample->given_ns : from + 1;
    double real = real_cost(learner, sample, from, to, end);
    key->paid += real;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        double cost = hak_cost_of(&learner->cost, arm, from, to, end) * sample->units;
        if (arm == sample->arm) {
            learner->predicted[arm] += cost;
            learner->real[arm] += real;
            key->costs[arm] += real;
        } else {
            key->costs[arm] += cost * calibration(learner, arm);
        }
    }
    sample->accounted_ns = sample->given_ns + to;
}

/* How old a sample gets: longer than the time of decay. */
static uint64_t forget_ns(const struct hak_learner *learner)
{
    double most = (double)learner->cost.decay_ns * 5 / 4;
    if (most > (double)FORGET_MOST_NS)
        return FORGET_MOST_NS;
    return most > (double)FORGET_LEAST_NS ? (uint64_t)most : FORGET_LEAST_NS;
}

void hak_learn_account_open(struct hak_learner *learner, uint64_t now_ns)
{
    uint64_t forget = forget_ns(learner);
    for (unsigned head = 0; head < HAK_LEARN_HEADS; head++) {
        uint16_t *link = &learner->heads[head];
        while (*link != 0) {
            struct hak_learn_sample *sample = &learner->samples[*link - 1];
            if (now_ns > sample->accounted_ns)
                hak_learn_account(learner, sample, now_ns, HAK_COST_OPEN);
            if (now_ns > sample->given_ns && now_ns - sample->given_ns > forget)
                hak_learn_drop_sample(learner, link);
            else
                link = &sample->next;
        }
    }
}
