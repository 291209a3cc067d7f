/* SPDX-License-Identifier: MIT */
/* What a cache tells its learner, and asks it (see the header). Under the lock of that cache. */
#include "learn/learner.h"

#include "learn/learner_sample.h"
#include "learn/learner_saved.h"
#include "os/compiler.h"

enum {
    CROWDED = HAK_LEARN_SAMPLES * 3 / 4,
    TRIES_ONE_IN = 32, /* gives, in which another arm may be tried */
    UNIT = 4096,
};

void hak_learner_start(struct hak_learner *learner, const struct hak_settings *settings,
                       uint32_t id)
{
    learner->id = id;
    hak_cost_start(&learner->cost, settings->price_ns, settings->decay_ns);
    hak_huge_start(&learner->huge);
    if (settings->saved != NULL)
        hak_learn_recall(settings->saved, learner);
}

/* ---- what the cache tells ------------------------------------------------------------------- */

unsigned hak_learner_site_key(struct hak_learner *learner, uint32_t site, unsigned bucket)
{
    enum { PROBES = 4 };
    for (unsigned probe = 0; probe < PROBES; probe++) {
        unsigned place = (site + probe) % HAK_LEARN_SITES;
        if (learner->sites[place] == 0)
            learner->sites[place] = site;
        if (learner->sites[place] == site)
            return HAK_LEARN_BUCKETS + place;
    }
    return bucket;
}

static int knows(const struct hak_learner *learner, unsigned arm)
{
    return learner->arms == 0 || (learner->arms & 1u << arm) != 0;
}

/* The arm with the best rating but for the one in force. */
static unsigned runner_up(const struct hak_learner *learner, const struct hak_learn_key *key)
{
    unsigned best = key->arm;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        if (arm != key->arm && knows(learner, arm) &&
            (best == key->arm || key->ratings[arm] > key->ratings[best]))
            best = arm;
    return best;
}

/* Another arm, if what it is expected to cost more can be afforded. */
static HAK_COLD enum hak_arm try_another(struct hak_learner *learner,
                                         const struct hak_learn_key *key, uint32_t units)
{
    unsigned other = runner_up(learner, key);
    double excess = (key->unit_costs[other] - key->unit_costs[key->arm]) * units;
    if (excess > learner->budget_ns || key->matches == 0)
        return key->arm;
    if (excess > 0)
        learner->budget_ns -= excess;
    return other;
}

enum hak_arm hak_learner_choose(struct hak_learner *learner, const struct hak_settings *settings,
                                unsigned key_id, uint32_t units)
{
    if (settings->mode == HAK_LEARN_OFF || settings->mode == HAK_LEARN_SHADOW)
        return settings->large_arm;
    struct hak_learn_key *key = &learner->keys[key_id];
    if (hak_likely(++key->turn % TRIES_ONE_IN != 0) || settings->mode != HAK_LEARN_ON ||
        key->regime.state == HAK_REGIME_FROZEN)
        return key->arm;
    return try_another(learner, key, units);
}

void hak_learner_turn(struct hak_learner *learner, uint64_t now_ns)
{
    int64_t since = (int64_t)(now_ns - learner->drawn_ns);
    uint64_t decay = learner->cost.decay_ns;
    if (hak_likely(since < 0 || (uint64_t)since < decay))
        return;
    learner->drawn_before = (uint64_t)since / 2 < decay ? learner->drawn_units : 0;
    learner->drawn_low_before = learner->drawn_low;
    learner->gone_units = (uint64_t)since / 2 < decay ? learner->gone_units / 2 : 0;
    learner->drawn_units = 0;
    learner->out_units = 0;
    learner->drawn_ns = now_ns;
}

int hak_learner_gave(struct hak_learner *learner, const struct hak_learn_give *give)
{
    struct hak_learn_key *key = &learner->keys[give->key];
    double weight = 1;
    hak_learner_turn(learner, give->now_ns);
    learner->live_units -= give->units;
    learner->out_units -= give->units < learner->out_units ? give->units : learner->out_units;
    key->bytes += (uint64_t)give->units * UNIT;
    learner->active |= 1u << give->key;
    if (key->begun >= HAK_LEARN_WHOLE || learner->open >= CROWDED) {
        if (++key->passed % HAK_LEARN_SHARE != 0)
            return 0;
        weight = HAK_LEARN_SHARE;
    } else {
        key->begun++;
    }
    uint16_t *old = hak_learn_find_sample(learner, give->id);
    if (*old != 0)
        hak_learn_drop_sample(learner, old); /* one whose end nobody told */
    struct hak_learn_sample *sample = hak_learn_new_sample(learner, give->id);
    if (sample == NULL)
        return 0;
    sample->given_ns = give->now_ns;
    sample->accounted_ns = give->now_ns;
    sample->purged_ns = give->is_purged ? give->now_ns : 0;
    sample->units = give->units * weight;
    sample->spent_ns = (double)give->spent_ns * weight;
    sample->key = give->key;
    sample->arm = give->arm;
    key->samples++;
    return 1;
}

void hak_learner_purged(struct hak_learner *learner, uintptr_t id, uint64_t now_ns)
{
    uint16_t *link = hak_learn_find_sample(learner, id);
    if (*link == 0)
        return;
    struct hak_learn_sample *sample = &learner->samples[*link - 1];
    /* Clocks differ: not in a stretch of time that was accounted for already. */
    if (sample->purged_ns == 0)
        sample->purged_ns = now_ns > sample->accounted_ns ? now_ns : sample->accounted_ns;
}

void hak_learner_reused(struct hak_learner *learner, uintptr_t id, uint64_t now_ns)
{
    uint16_t *link = hak_learn_find_sample(learner, id);
    if (*link == 0)
        return;
    hak_learn_account(learner, &learner->samples[*link - 1], now_ns, HAK_COST_REUSED);
    hak_learn_drop_sample(learner, link);
}

void hak_learner_gone(struct hak_learner *learner, uintptr_t id, uint64_t now_ns)
{
    uint16_t *link = hak_learn_find_sample(learner, id);
    if (*link == 0)
        return;
    hak_learner_purged(learner, id, now_ns);
    /* A ns later, so that the purge is in it. */
    hak_learn_account(learner, &learner->samples[*link - 1], now_ns + 1, HAK_COST_OPEN);
    hak_learn_drop_sample(learner, link);
}

void hak_learner_missed(struct hak_learner *learner, unsigned key, uint64_t now_ns)
{
    const struct hak_learn_sample *last = NULL;
    for (unsigned place = 0; place < learner->fresh; place++) {
        const struct hak_learn_sample *sample = &learner->samples[place];
        if (sample->id != 0 && sample->key == key && sample->purged_ns != 0 &&
            (last == NULL || sample->given_ns > last->given_ns))
            last = sample;
    }
    if (last != NULL)
        hak_learner_reused(learner, last->id, now_ns);
}

void hak_learner_saw_touches(struct hak_learner *learner, const struct hak_huge_sample *sample)
{
    hak_cost_saw_faults(&learner->cost, sample->units, sample->ns);
}

void hak_learner_saw_huge(struct hak_learner *learner, const struct hak_huge_sample *sample,
                          bool asked)
{
    hak_huge_saw(&learner->huge, asked ? HAK_HUGE_ARM_ASK : HAK_HUGE_ARM_SYSTEM, sample,
                 &learner->cost);
}

/* ---- what the cache asks -------------------------------------------------------------------- */

bool hak_learner_asks_huge(const struct hak_learner *learner)
{
    return hak_huge_choose(&learner->huge) == HAK_HUGE_ARM_ASK;
}

uint64_t hak_learner_act_ns(const struct hak_learner *learner, enum hak_arm arm, uint32_t units)
{
    return (uint64_t)(learner->cost.act_ns[arm] * units);
}

size_t hak_learner_take_lost(struct hak_learner *learner)
{
    size_t lost = hak_learner_lost(learner);
    learner->lost = 0;
    return lost;
}
