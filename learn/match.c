/* SPDX-License-Identifier: MIT */
/* The learner's tick: matches, the arms that follow from them, and what may be kept. Under the lock
 * of the cache that the learner serves. */
#include "learn/match.h"

#include "learn/audit.h"
#include "learn/credit.h"
#include "learn/elo.h"
#include "learn/learner_sample.h"
#include "os/bits.h"
#include "os/clock.h"
#include "os/compiler.h"

enum {
    MATCH_SAMPLES = 4, /* a match has begun this many, or is so old */
    FIRST_MATCHES = 5,
    STAKE_SHARE = 16, /* of the running mean of stakes */
    UNIT_COST_SHARE = 8,
    BUDGET_SHARE = 64, /* of what was paid, what trying may cost */
    RETAIN_SHRINK_SHARE = 32,
    UNIT = 4096,
};

static const uint64_t NS_OF_SECOND = 1000ul * 1000 * 1000;
static const uint64_t PEAK_NS = 5ul * 1000 * 1000 * 1000;
static const double RETAIN_SPAN_NS = 2e9; /* what was purged so long ago may still be missed */
static const double RETAIN_TRUST = 4;     /* what was missed will be missed so often */
static const uint64_t MATCH_AGE_NS = 200ul * 1000 * 1000;
static const double K_LEARN = 48;
static const double K_FROZEN = 12;
static const double STAKE_MOST = 4; /* times the mean stake: the weightiest match */
static const double STAKE_LEAST_NS = 1000;
static const double BUDGET_MOST_NS = 50e6;
static const double SWITCH_GAP = 10; /* points: an arm that is 6% cheaper */
static const double FIRST_GAP = 60;  /* the same, while little was seen */

static void audit_match(const struct hak_learner *learner, struct hak_audit *audit, unsigned key_id,
                        const char *why, uint64_t now_ns)
{
    const struct hak_learn_key *key = &learner->keys[key_id];
    if (audit == NULL)
        return;
    struct hak_audit_record record = {
        .now_ns = now_ns,
        .kind = HAK_AUDIT_MATCH,
        .shard = learner->id,
        .state = (uint8_t)key->regime.state,
        .played = key->played,
        .next = key->arm,
        .why = why,
        .bytes = key->bytes,
        .samples = key->samples,
        .paid = key->paid,
        .retain_bytes = learner->retain_bytes,
    };
    if (key_id >= HAK_LEARN_BUCKETS)
        record.site = learner->sites[key_id - HAK_LEARN_BUCKETS];
    else
        record.bucket = (uint8_t)key_id;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        record.costs[arm] = key->costs[arm];
        record.ratings[arm] = key->ratings[arm];
    }
    hak_audit_put(audit, &record);
}

/* ---- a match -------------------------------------------------------------------------------- */

/* Updates the costs per unit, which tell what trying another arm will cost, and the sums for the
 * report; then everything begins again. */
static void end_match(struct hak_learner *learner, struct hak_learn_key *key, uint64_t now_ns)
{
    double units = (double)(key->bytes / UNIT);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        if (units > 0)
            key->unit_costs[arm] +=
                (key->costs[arm] / units - key->unit_costs[arm]) / UNIT_COST_SHARE;
        key->all_costs[arm] += key->costs[arm];
    }
    key->all_paid += key->paid;
    key->all_bytes += key->bytes;
    learner->budget_ns += key->paid / BUDGET_SHARE;
    if (learner->budget_ns > BUDGET_MOST_NS)
        learner->budget_ns = BUDGET_MOST_NS;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        key->costs[arm] = 0;
    key->paid = 0;
    key->bytes = 0;
    key->samples = 0;
    key->match_ns = now_ns;
    key->matches++;
}

static double greatest(const double *costs)
{
    double most = 0;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        most = costs[arm] > most ? costs[arm] : most;
    return most;
}

/* How far this match moves ratings: by what is at stake, so that ratings follow sums of costs and
 * not the number of matches won. */
static double weight_of(struct hak_learn_key *key, double stake)
{
    if (key->stake == 0)
        key->stake = stake;
    key->stake += (stake - key->stake) / STAKE_SHARE;
    double weight = stake / key->stake;
    return weight < STAKE_MOST ? weight : STAKE_MOST;
}

/* Arms that this cache does not know lose every match. */
static void forbid(const struct hak_learner *learner, struct hak_learn_key *key)
{
    if (learner->arms == 0)
        return;
    double most = greatest(key->costs);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        if ((learner->arms & 1u << arm) == 0)
            key->costs[arm] = 2 * most;
}

/* Why an arm is in force, as the log says it. */
static const char *const reasons[] = {
    [HAK_REGIME_STAYS] = "rating",
    [HAK_REGIME_FREEZES] = "freeze",
    [HAK_REGIME_TRIES] = "canary",
    [HAK_REGIME_THAWS] = "thaw",
};

static enum hak_regime_event follow_regime(struct hak_learn_key *key, unsigned best)
{
    enum hak_regime_event event = hak_regime_match(&key->regime, key->costs, key->arm, best);
    if (event == HAK_REGIME_THAWS) {
        /* What was won in other times counts no more; these costs do, at once. */
        hak_elo_pull(key->ratings, HAK_ARM_COUNT, 1);
        hak_elo_play(key->ratings, key->costs, HAK_ARM_COUNT, K_LEARN);
    }
    return event;
}

/* By how much an arm must be ahead to take over. */
static double gap_of(const struct hak_learn_key *key, enum hak_regime_event event)
{
    if (event == HAK_REGIME_THAWS)
        return 0;
    return key->matches < FIRST_MATCHES ? FIRST_GAP : SWITCH_GAP;
}

/* Units that were kept for the key and not used for a while. */
static double kept_units(const struct hak_learner *learner, unsigned key_id, uint64_t now_ns)
{
    double units = 0;
    for (unsigned place = 0; place < learner->fresh; place++) {
        const struct hak_learn_sample *sample = &learner->samples[place];
        int is_kept = sample->id != 0 && sample->key == key_id && sample->purged_ns == 0;
        if (is_kept && now_ns - sample->given_ns > MATCH_AGE_NS)
            units += sample->units;
    }
    return units;
}

/* Plays a match of the key: 1; or 0 and nothing done, if too little has happened yet. */
static int play(struct hak_learner *learner, const struct hak_settings *settings, unsigned key_id,
                uint64_t now_ns)
{
    struct hak_learn_key *key = &learner->keys[key_id];
    double stake = greatest(key->costs);
    if (key->match_ns == 0)
        key->match_ns = now_ns;
    int is_ripe = key->samples >= MATCH_SAMPLES || now_ns - key->match_ns >= MATCH_AGE_NS;
    if (!is_ripe || stake < STAKE_LEAST_NS)
        return 0;
    forbid(learner, key);
    key->played = key->arm;
    double k = key->regime.state == HAK_REGIME_LEARN ? K_LEARN : K_FROZEN;
    hak_elo_play(key->ratings, key->costs, HAK_ARM_COUNT, k * weight_of(key, stake));
    enum hak_regime_event event = follow_regime(key, hak_elo_best(key->ratings, HAK_ARM_COUNT));
    unsigned best = hak_elo_best(key->ratings, HAK_ARM_COUNT);
    double ahead = key->ratings[best] - key->ratings[key->played];
    if (settings->mode != HAK_LEARN_FROZEN && ahead > gap_of(key, event)) {
        if (key->arm == HAK_ARM_KEEP && settings->mode == HAK_LEARN_ON)
            learner->lost += kept_units(learner, key_id, now_ns);
        key->arm = (uint8_t)best;
        key->switches++;
    }
    audit_match(learner, settings->audit, key_id, reasons[event], now_ns);
    end_match(learner, key, now_ns);
    return 1;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void audit_retain(const struct hak_learner *learner, struct hak_audit *audit,
                         const char *why, uint64_t from, uint64_t now_ns)
{
    if (audit == NULL)
        return;
    const struct hak_audit_record record = {
        .now_ns = now_ns,
        .kind = HAK_AUDIT_RETAIN,
        .shard = learner->id,
        .why = why,
        .from = from,
        .retain_bytes = learner->retain_bytes,
    };
    hak_audit_put(audit, &record);
}

/* Bytes to keep before anything is known, and when the program asks for nothing any more. */
static size_t first_retain(size_t most)
{
    return most < HAK_CREDIT_FIRST ? most : HAK_CREDIT_FIRST;
}

/* Bytes that were found to pay, when the program last asked for them. */
static size_t found_retain(struct hak_learner *learner, const struct hak_settings *settings,
                           size_t most)
{
    if (!hak_learner_decides(settings))
        return most;
    if (hak_unlikely(learner->retain_bytes == 0))
        learner->retain_bytes = settings->mode == HAK_LEARN_FROZEN ? most : first_retain(most);
    return learner->retain_bytes < most ? learner->retain_bytes : most;
}

static int grow_retain(struct hak_learner *learner, const struct hak_settings *settings,
                       size_t most, size_t step, const char *why)
{
    size_t from = found_retain(learner, settings, most);
    learner->retain_bytes = from + step < most ? from + step : most;
    learner->evicted = 0;
    learner->missed = 0;
    learner->reused = 0;
    learner->least_units = SIZE_MAX;
    audit_retain(learner, settings->audit, why, from, hak_os_coarse_now_ns());
    return 1;
}

/* Bytes that the cache may really keep. Many caches share what is allowed before anything is known,
 * so a cache's part may be too small though its own bound is far away. */
static size_t held_bytes(const struct hak_learner *learner, size_t found)
{
    return found - (learner->refused_bytes < found ? learner->refused_bytes : found);
}

static double kept_price(const struct hak_learner *learner, size_t bytes)
{
    return learner->cost.price * (double)(bytes / UNIT) * RETAIN_SPAN_NS;
}

static double spared_ns(const struct hak_learner *learner, double units)
{
    return units * (hak_cost_fault_ns(&learner->cost) + learner->cost.act_ns[HAK_ARM_KEEP]);
}

static int may_grow(struct hak_learner *learner, const struct hak_settings *settings, size_t most)
{
    return settings->mode == HAK_LEARN_ON && found_retain(learner, settings, most) < most;
}

/* Grows by half, or by what was missed, if that saves faults worth more than the price of keeping
 * so much: the faults that it would have saved lately, several times over, because a cache that is
 * too small once is so again. */
static int grow_by_misses(struct hak_learner *learner, const struct hak_settings *settings,
                          size_t most)
{
    size_t from = held_bytes(learner, found_retain(learner, settings, most));
    double spared = learner->missed;
    size_t step = (size_t)spared * UNIT > from / 2 ? (size_t)spared * UNIT : from / 2;
    if (spared_ns(learner, spared) * RETAIN_TRUST <= kept_price(learner, step))
        return 0;
    /* What was purged longer ago is missed, too. */
    size_t drawn = learner->drawn_units * UNIT;
    if (from < drawn && step < drawn - from)
        step = drawn - from;
    return grow_retain(learner, settings, most, step, "miss");
}

/* Grows by half if what is kept has lately saved more than its price, and half of it was drawn on
 * since the last step (one hot buffer would not need the rest): what would go now is likely to be
 * wanted soon. A program that ends by freeing all gets one step. */
static int grow_by_use(struct hak_learner *learner, const struct hak_settings *settings,
                       size_t most)
{
    size_t from = held_bytes(learner, found_retain(learner, settings, most));
    int is_drawn_on = learner->least_units < from / UNIT / 2;
    if (!is_drawn_on || spared_ns(learner, learner->reused) <= kept_price(learner, from))
        return 0;
    return grow_retain(learner, settings, most, from / 2, "use");
}

bool hak_learner_grow_retain(struct hak_learner *learner, const struct hak_settings *settings,
                             size_t most)
{
    return may_grow(learner, settings, most) &&
           (grow_by_misses(learner, settings, most) || grow_by_use(learner, settings, most));
}

/* Slowly shrinks the bound if the cache held much less for a while: in this stretch of time and the
 * one before. */
static void shrink_retain(struct hak_learner *learner, const struct hak_settings *settings,
                          size_t most, uint64_t now_ns)
{
    size_t from = found_retain(learner, settings, most);
    size_t least = first_retain(most);
    size_t to = from;
    size_t peak =
        learner->peak_units > learner->peak_before ? learner->peak_units : learner->peak_before;
    if (now_ns - learner->peak_ns >= PEAK_NS) {
        learner->peak_ns = now_ns;
        learner->peak_before = learner->peak_units;
        learner->peak_units = 0;
    }
    /* Each of many caches may have found less than all together may keep at first. */
    if (peak * UNIT < from / 2 && peak * UNIT < from - least)
        to = from - from / RETAIN_SHRINK_SHARE;
    learner->retain_bytes = to > least ? to : least;
    if (learner->retain_bytes != from)
        audit_retain(learner, settings->audit, "idle", from, now_ns);
}

static void tell_purges(struct hak_learner *learner, struct hak_audit *audit, uint64_t now_ns)
{
    static const char *const names[] = {
        [HAK_LEARN_EXCESS] = "excess",
        [HAK_LEARN_DECAY] = "decay",
    };
    for (unsigned why = 0; why < HAK_LEARN_PURGES; why++) {
        if (learner->purged_units[why] != 0 && audit != NULL) {
            const struct hak_audit_record record = {
                .now_ns = now_ns,
                .kind = HAK_AUDIT_RETAIN,
                .shard = learner->id,
                .why = names[why],
                .from = learner->retain_bytes,
                .bytes = learner->purged_units[why] * UNIT,
                .retain_bytes = learner->retain_bytes,
            };
            hak_audit_put(audit, &record);
        }
        learner->purged_units[why] = 0;
    }
}

static double rest_after(uint64_t elapsed_ns, double span_ns)
{
    return (double)elapsed_ns >= span_ns ? 0 : 1 - (double)elapsed_ns / span_ns;
}

/* Fades what happened lately. */
static void fade(struct hak_learner *learner, uint64_t elapsed_ns)
{
    double rest = rest_after(elapsed_ns, RETAIN_SPAN_NS);
    learner->evicted *= rest;
    learner->missed *= rest;
    learner->reused *= rest;
    rest = rest_after(elapsed_ns, (double)NS_OF_SECOND);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        learner->predicted[arm] *= rest;
        learner->real[arm] *= rest;
    }
}

void hak_learner_tick(struct hak_learner *learner, const struct hak_settings *settings, size_t most,
                      uint64_t now_ns)
{
    uint64_t elapsed = now_ns - learner->tick_ns;
    learner->tick_ns = now_ns;
    hak_learner_turn(learner, now_ns);
    hak_learn_account_open(learner, now_ns);
    /* The first call after a pause: what it cost to keep memory is known, and not yet whether the
     * program uses it again. The next tick decides. */
    learner->waits = !learner->waits && elapsed > MATCH_AGE_NS;
    for (uint32_t active = learner->active; active != 0; active &= active - 1) {
        unsigned key = hak_lowest_bit(active);
        learner->keys[key].begun = 0;
        if (!learner->waits && play(learner, settings, key, now_ns))
            learner->active &= ~(1u << key);
    }
    tell_purges(learner, settings->audit, now_ns);
    if (settings->mode == HAK_LEARN_ON) {
        if (!may_grow(learner, settings, most) || !grow_by_misses(learner, settings, most))
            shrink_retain(learner, settings, most, now_ns);
    }
    fade(learner, elapsed);
}

/* Units worth keeping after so much was drawn on: half as much again, since a stretch may end in
 * the middle of a round, and rounds differ. But what was drawn on began when `low` units were live.
 * If there are far fewer now, the program frees what it did not free then: each unit below, beyond
 * half of what was drawn, is one less. */
static size_t worth_keeping(const struct hak_learner *learner, size_t drawn, int64_t low)
{
    int64_t below = low - learner->live_units - (int64_t)(drawn / 2);
    size_t least = drawn * 3 / 2;
    size_t less = below > 0 ? (size_t)below : 0;
    return less < least ? least - less : 0;
}

size_t hak_learner_retain(struct hak_learner *learner, const struct hak_settings *settings,
                          size_t most)
{
    size_t found = found_retain(learner, settings, most);
    size_t first = first_retain(most);
    if (settings->mode != HAK_LEARN_ON || found <= first)
        return found;
    size_t now = worth_keeping(learner, learner->drawn_units, learner->drawn_low);
    size_t before = worth_keeping(learner, learner->drawn_before, learner->drawn_low_before);
    size_t asked = (now > before ? now : before) * UNIT;
    return asked < found - first ? first + asked : found;
}
