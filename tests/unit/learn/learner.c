/* SPDX-License-Identifier: MIT */
/* learn/learner.c: samples begin and end as a cache reports them, never too many; the mode decides
 * who chooses; call sites are told apart in a bounded table. */
#include "learn/learner.h"

#include <string.h>

#include "learn/learner_sample.h"
#include "learn/match.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

enum {
    STANDS_FOR = HAK_LEARN_SHARE,
    KEY = 4,
    UNITS = 100,
    MIB = 1024 * 1024,
};

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t start_ns = 5000u * 1000 * 1000 * UINT64_C(1000);

static struct hak_learner learner;
static struct hak_settings settings;

static void new_learner(enum hak_learn_mode mode)
{
    settings = hak_settings_default;
    settings.mode = mode;
    memset(&learner, 0, sizeof learner);
    hak_learner_start(&learner, &settings, 1);
}

static uintptr_t id_of(unsigned number)
{
    return ((uintptr_t)1 << 40) + ((uintptr_t)number << 12);
}

static struct hak_learn_sample *sample_of(unsigned number)
{
    uint16_t *link = hak_learn_find_sample(&learner, id_of(number));
    return *link != 0 ? &learner.samples[*link - 1] : NULL;
}

static int is_near(double found, double right)
{
    double off = found > right ? found - right : right - found;
    int near = off <= 1e-3 + right * 1e-9; /* never of something that is no number */
    if (!near)
        tap_note("%.12g is not %.12g", found, right);
    return near;
}

static int give(unsigned number, unsigned key, enum hak_arm arm, uint64_t now_ns)
{
    const struct hak_learn_give given = {
        .id = id_of(number),
        .units = UNITS,
        .key = (uint8_t)key,
        .arm = (uint8_t)arm,
        .is_purged = arm == HAK_ARM_DONTNEED,
        .now_ns = now_ns,
    };
    return hak_learner_gave(&learner, &given);
}

/* ---- samples -------------------------------------------------------------------------------- */

static void begin_and_end(void)
{
    new_learner(HAK_LEARN_ON);
    EXPECT_EQ(give(1, KEY, HAK_ARM_KEEP, start_ns), 1);
    EXPECT_EQ(learner.open, 1);
    EXPECT_EQ(learner.keys[KEY].samples, 1);
    EXPECT_EQ(learner.keys[KEY].bytes, UNITS * 4096);
    REQUIRE(sample_of(1) != NULL);
    EXPECT_EQ(sample_of(1)->given_ns, start_ns);
    EXPECT_EQ(sample_of(1)->purged_ns, 0);
    EXPECT(is_near(sample_of(1)->units, UNITS));
    hak_learner_reused(&learner, id_of(2), start_ns + ms_ns); /* belongs to no object */
    hak_learner_purged(&learner, id_of(2), start_ns + ms_ns);
    hak_learner_gone(&learner, id_of(2), start_ns + ms_ns);
    EXPECT_EQ(learner.open, 1);
    EXPECT(is_near(learner.keys[KEY].costs[HAK_ARM_DONTNEED], 0));
    hak_learner_reused(&learner, id_of(1), start_ns + ms_ns);
    EXPECT_EQ(learner.open, 0);
    EXPECT(sample_of(1) == NULL);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        EXPECT(is_near(learner.keys[KEY].costs[arm],
                       UNITS * hak_cost_of(&learner.cost, arm, 0, ms_ns, HAK_COST_REUSED)));
}

static void purged_in_between(void)
{
    new_learner(HAK_LEARN_ON);
    give(1, KEY, HAK_ARM_KEEP, start_ns);
    hak_learner_purged(&learner, id_of(1), start_ns + 5 * ms_ns);
    hak_learner_purged(&learner, id_of(1), start_ns + 8 * ms_ns); /* they are gone already */
    EXPECT_EQ(sample_of(1)->purged_ns, start_ns + 5 * ms_ns);
    hak_learner_reused(&learner, id_of(1), start_ns + 9 * ms_ns);
    double each = learner.cost.price * 5e6 + learner.cost.act_ns[HAK_ARM_KEEP] +
                  hak_cost_fault_ns(&learner.cost);
    EXPECT(is_near(learner.keys[KEY].paid, UNITS * each));
    give(2, KEY, HAK_ARM_DONTNEED, start_ns);
    EXPECT_EQ(sample_of(2)->purged_ns, start_ns);
}

/* Memory that is never used again costs no faults, only the act that took it. */
static void gone(void)
{
    new_learner(HAK_LEARN_ON);
    give(1, KEY, HAK_ARM_KEEP, start_ns);
    hak_learner_gone(&learner, id_of(1), start_ns + 5 * ms_ns);
    EXPECT_EQ(learner.open, 0);
    double each = learner.cost.price * 5e6 + learner.cost.act_ns[HAK_ARM_KEEP];
    EXPECT(is_near(learner.keys[KEY].paid, UNITS * each));
    double dontneed = UNITS * learner.cost.act_ns[HAK_ARM_DONTNEED];
    EXPECT(is_near(learner.keys[KEY].costs[HAK_ARM_DONTNEED], dontneed));
}

static void given_twice(void)
{
    new_learner(HAK_LEARN_ON);
    give(1, KEY, HAK_ARM_DONTNEED, start_ns);
    EXPECT_EQ(give(1, KEY + 1, HAK_ARM_KEEP, start_ns + ms_ns), 1);
    EXPECT_EQ(learner.open, 1);
    REQUIRE(sample_of(1) != NULL);
    EXPECT_EQ(sample_of(1)->given_ns, start_ns + ms_ns);
    EXPECT_EQ(sample_of(1)->key, KEY + 1);
    EXPECT_EQ(sample_of(1)->arm, HAK_ARM_KEEP);
    EXPECT_EQ(sample_of(1)->purged_ns, 0);
    hak_learner_reused(&learner, id_of(1), start_ns + 2 * ms_ns);
    EXPECT_EQ(learner.open, 0);
}

/* The samples of many runs stand for all of them. */
static void sampling_is_fair(void)
{
    for (unsigned gives = 1; gives <= 512; gives *= 2) {
        new_learner(HAK_LEARN_ON);
        unsigned begun = 0;
        double units = 0;
        for (unsigned i = 0; i < gives; i++)
            begun += (unsigned)give(i, KEY, HAK_ARM_KEEP, start_ns);
        EXPECT_EQ(learner.open, begun);
        EXPECT_EQ(learner.keys[KEY].samples, begun);
        EXPECT_EQ(learner.keys[KEY].bytes, (uint64_t)gives * UNITS * 4096);
        for (unsigned i = 0; i < learner.fresh; i++)
            units += learner.samples[i].units;
        /* A sample that stands for many runs may have just begun, or be just due. */
        double off = units / UNITS - gives;
        EXPECT((off < 0 ? -off : off) <= (gives < 512 ? STANDS_FOR : 0.2 * gives));
    }
}

static void never_too_many(void)
{
    new_learner(HAK_LEARN_ON);
    unsigned begun = 0;
    unsigned open = 0;
    for (unsigned i = 0; i < 20000; i++) {
        begun += (unsigned)give(i, i % HAK_LEARN_BUCKETS, HAK_ARM_KEEP, start_ns + i);
        EXPECT_LE(learner.open, HAK_LEARN_SAMPLES);
        EXPECT_EQ(learner.open, begun);
        if (i % 1000 == 0) /* gives are counted again after each tick */
            hak_learner_tick(&learner, &settings, 64 * MIB, start_ns + i);
    }
    for (unsigned i = 0; i < 20000; i++)
        open += sample_of(i) != NULL;
    EXPECT_EQ(open, begun);
    for (unsigned i = 0; i < 20000; i++)
        hak_learner_reused(&learner, id_of(i), start_ns + ms_ns);
    EXPECT_EQ(learner.open, 0);
    hak_learner_tick(&learner, &settings, 64 * MIB, start_ns + ms_ns);
    EXPECT_EQ(give(1, KEY, HAK_ARM_KEEP, start_ns + ms_ns), 1);
    EXPECT_EQ(learner.open, 1);
}

static void missed(void)
{
    new_learner(HAK_LEARN_ON);
    give(1, KEY, HAK_ARM_DONTNEED, start_ns);
    give(2, KEY, HAK_ARM_DONTNEED, start_ns + 2 * ms_ns);
    give(3, KEY, HAK_ARM_DONTNEED, start_ns + ms_ns);
    give(4, KEY, HAK_ARM_KEEP, start_ns + 3 * ms_ns);
    give(5, KEY + 1, HAK_ARM_DONTNEED, start_ns + 3 * ms_ns);
    static const unsigned order[] = {2, 3, 1}; /* the last that is gone first */
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(sample_of(order[i]) != NULL);
        hak_learner_missed(&learner, KEY, start_ns + 4 * ms_ns);
        EXPECT(sample_of(order[i]) == NULL);
        EXPECT_EQ(learner.open, 4 - i);
    }
    EXPECT(is_near(learner.keys[KEY].costs[HAK_ARM_DONTNEED],
                   3 * UNITS * hak_cost_fault_ns(&learner.cost)));
    hak_learner_missed(&learner, KEY, start_ns + 5 * ms_ns);
    EXPECT(sample_of(4) != NULL && sample_of(5) != NULL);
}

/* ---- choices -------------------------------------------------------------------------------- */

static void modes(void)
{
    static const struct {
        enum hak_learn_mode mode;
        int watches, decides;
    } modes[] = {
        {HAK_LEARN_ON, 1, 1},
        {HAK_LEARN_OFF, 0, 0},
        {HAK_LEARN_FROZEN, 1, 1},
        {HAK_LEARN_SHADOW, 1, 0},
    };
    for (unsigned i = 0; i < TAP_COUNT(modes); i++) {
        new_learner(modes[i].mode);
        settings.large_arm = HAK_ARM_BATCH;
        learner.keys[KEY].arm = HAK_ARM_DONTNEED;
        learner.retain_bytes = 3 * MIB;
        int decides = modes[i].decides;
        EXPECT_EQ(!!hak_learner_watches(&settings), modes[i].watches);
        EXPECT_EQ(!!hak_learner_decides(&settings), decides);
        for (unsigned turn = 0; turn < 200; turn++) /* no match has shown an alternative yet */
            EXPECT_EQ(hak_learner_choose(&learner, &settings, KEY, UNITS),
                      decides ? HAK_ARM_DONTNEED : HAK_ARM_BATCH);
        EXPECT_EQ(hak_learner_retain(&learner, &settings, 64 * MIB), decides ? 3 * MIB : 64 * MIB);
        EXPECT_EQ(hak_learner_retain(&learner, &settings, 2 * MIB), 2 * MIB);
    }
}

static void retains_something_at_first(void)
{
    new_learner(HAK_LEARN_ON);
    size_t first = hak_learner_retain(&learner, &settings, 256 * MIB);
    EXPECT(first > 0 && first <= 256 * MIB);
}

/* Counts how many of 10000 choices try the other arm, with two arms known to cost the same but for
 * the excess. */
static unsigned tries(enum hak_regime_state state, double excess, double budget)
{
    struct hak_learn_key *key = &learner.keys[KEY];
    key->matches = 1;
    key->regime.state = state;
    key->ratings[HAK_ARM_DONTNEED] = -10;
    key->ratings[HAK_ARM_BATCH] = -30;
    key->unit_costs[HAK_ARM_KEEP] = 100;
    key->unit_costs[HAK_ARM_DONTNEED] = 100 + excess;
    learner.budget_ns = budget;
    unsigned others = 0;
    for (unsigned i = 0; i < 10000; i++) {
        enum hak_arm arm = hak_learner_choose(&learner, &settings, KEY, UNITS);
        EXPECT(arm == HAK_ARM_KEEP || arm == HAK_ARM_DONTNEED);
        others += arm != HAK_ARM_KEEP;
    }
    return others;
}

static void another_arm_is_tried(void)
{
    new_learner(HAK_LEARN_ON);
    unsigned others = tries(HAK_REGIME_LEARN, 0, 0);
    EXPECT_GE(others, 1);
    EXPECT_LE(others, 10000 / 8);
    EXPECT_GE(tries(HAK_REGIME_CANARY, 0, 0), 1);
    EXPECT_EQ(tries(HAK_REGIME_FROZEN, 0, 0), 0);
    EXPECT_EQ(tries(HAK_REGIME_LEARN, 1, 0), 0);
    EXPECT_EQ(tries(HAK_REGIME_LEARN, 1, 7.5 * UNITS), 7); /* and then the budget is spent */
    EXPECT(learner.budget_ns >= 0);
    learner.arms = 1u << HAK_ARM_KEEP;
    EXPECT_EQ(tries(HAK_REGIME_LEARN, 0, 1e9), 0);
    new_learner(HAK_LEARN_FROZEN);
    EXPECT_EQ(tries(HAK_REGIME_LEARN, 0, 1e9), 0);
}

static void sites(void)
{
    static unsigned keys[200];
    static uint8_t taken[HAK_LEARN_KEYS];
    struct prng prng = {5};
    uint32_t hashes[200];
    unsigned in_table = 0;
    new_learner(HAK_LEARN_ON);
    memset(taken, 0, sizeof taken);
    for (unsigned i = 0; i < 200; i++) {
        hashes[i] = (uint32_t)prng_next(&prng) | 1;
        keys[i] = hak_learner_site_key(&learner, hashes[i], i % HAK_LEARN_BUCKETS);
        EXPECT(keys[i] < HAK_LEARN_KEYS);
        if (keys[i] < HAK_LEARN_BUCKETS) {
            EXPECT_EQ(keys[i], i % HAK_LEARN_BUCKETS);
            continue;
        }
        in_table++;
        EXPECT_EQ(taken[keys[i]]++, 0);
        EXPECT_EQ(learner.sites[keys[i] - HAK_LEARN_BUCKETS], hashes[i]);
    }
    EXPECT_GE(in_table, HAK_LEARN_SITES / 2);
    EXPECT_LE(in_table, HAK_LEARN_SITES);
    EXPECT(keys[0] >= HAK_LEARN_BUCKETS);
    for (unsigned i = 0; i < 200; i++)
        EXPECT_EQ(hak_learner_site_key(&learner, hashes[i], i % HAK_LEARN_BUCKETS), keys[i]);
}

/* Threads read the clock before they have the lock: one may come with an older time. */
static void due(void)
{
    new_learner(HAK_LEARN_ON);
    EXPECT(hak_learner_is_due(&learner, start_ns));
    hak_learner_tick(&learner, &settings, 64 * MIB, start_ns);
    EXPECT(!hak_learner_is_due(&learner, start_ns));
    EXPECT(!hak_learner_is_due(&learner, start_ns + 49 * ms_ns));
    EXPECT(hak_learner_is_due(&learner, start_ns + 50 * ms_ns));
    EXPECT(!hak_learner_is_due(&learner, start_ns - 1));
    EXPECT(!hak_learner_is_due(&learner, start_ns - 4 * ms_ns));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a sample begins with a give, and ends with its reuse", begin_and_end},
        {"a purge in between is noted, the first", purged_in_between},
        {"purged pages that are not used again cost no faults", gone},
        {"an id given twice is one sample, the second", given_twice},
        {"samples stand for all freed runs", sampling_is_fair},
        {"there are never more samples than the table holds", never_too_many},
        {"a request for fresh memory ends the last sample that is purged", missed},
        {"the mode says who chooses", modes},
        {"some memory is retained before anything is learned", retains_something_at_first},
        {"another arm is tried where that is allowed and can be paid", another_arm_is_tried},
        {"call sites are told apart, as far as the table has room", sites},
        {"a tick is due after 50 ms, not before, nor for an older time", due},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
