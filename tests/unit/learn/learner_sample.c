/* SPDX-License-Identifier: MIT */
/* learn/learner_sample.c: the table of samples against a model, and what is added to a key's match. */
#include "learn/learner_sample.h"

#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

enum {
    IDS = 600, /* more than there are samples, and several for each head */
    KEY = 3,
    UNITS = 64,
};

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t start_ns = 5000u * 1000 * 1000 * UINT64_C(1000);

static struct hak_learner learner;

static void new_learner(void)
{
    memset(&learner, 0, sizeof learner);
    hak_learner_start(&learner, &hak_settings_default, 1);
}

static uintptr_t id_of(unsigned number)
{
    return ((uintptr_t)1 << 40) + ((uintptr_t)number << 12);
}

static int is_near(double found, double right)
{
    double off = found > right ? found - right : right - found;
    int near = off <= 1e-3 + right * 1e-9; /* never of something that is no number */
    if (!near)
        tap_note("%.12g is not %.12g", found, right);
    return near;
}

/* ---- the table ---- */

static int is_open(unsigned number)
{
    uint16_t *link = hak_learn_find_sample(&learner, id_of(number));
    return *link != 0 && learner.samples[*link - 1].id == id_of(number);
}

static void found_and_dropped(void)
{
    new_learner();
    EXPECT(!is_open(0));
    for (unsigned i = 0; i < HAK_LEARN_SAMPLES; i++) {
        struct hak_learn_sample *sample = hak_learn_new_sample(&learner, id_of(i));
        REQUIRE(sample != NULL);
        EXPECT_EQ(sample->id, id_of(i));
        EXPECT_EQ(learner.open, i + 1);
    }
    EXPECT(hak_learn_new_sample(&learner, id_of(IDS)) == NULL);
    EXPECT(!is_open(IDS));
    EXPECT_EQ(learner.open, HAK_LEARN_SAMPLES);
    for (unsigned i = 0; i < HAK_LEARN_SAMPLES; i++)
        EXPECT(is_open(i));
    hak_learn_drop_sample(&learner, hak_learn_find_sample(&learner, id_of(7)));
    EXPECT(!is_open(7));
    EXPECT_EQ(learner.open, HAK_LEARN_SAMPLES - 1);
    EXPECT(hak_learn_new_sample(&learner, id_of(IDS)) != NULL);
    EXPECT(is_open(IDS) && is_open(6) && is_open(8));
    EXPECT(hak_learn_new_sample(&learner, id_of(7)) == NULL);
}

static void agrees_with_model(void)
{
    static uint8_t open[IDS];
    struct prng prng = {2};
    unsigned count = 0;
    new_learner();
    memset(open, 0, sizeof open);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned number = (unsigned)prng_below(&prng, IDS);
        if (!EXPECT_EQ(is_open(number), open[number]))
            return;
        if (open[number]) {
            hak_learn_drop_sample(&learner, hak_learn_find_sample(&learner, id_of(number)));
            open[number] = 0;
            count--;
        } else {
            int made = hak_learn_new_sample(&learner, id_of(number)) != NULL;
            EXPECT_EQ(made, count < HAK_LEARN_SAMPLES);
            open[number] = (uint8_t)made;
            count += (unsigned)made;
        }
        EXPECT_EQ(learner.open, count);
    }
    for (unsigned number = 0; number < IDS; number++)
        EXPECT_EQ(is_open(number), open[number]);
}

/* ---- costs ---- */

static struct hak_learn_sample *begin(unsigned number, enum hak_arm arm, double spent_ns)
{
    struct hak_learn_sample *sample = hak_learn_new_sample(&learner, id_of(number));
    sample->given_ns = start_ns;
    sample->accounted_ns = start_ns;
    sample->purged_ns = arm == HAK_ARM_DONTNEED ? start_ns : 0;
    sample->units = UNITS;
    sample->spent_ns = spent_ns;
    sample->key = KEY;
    sample->arm = (uint8_t)arm;
    return sample;
}

static double cost_of(enum hak_arm arm, uint64_t to, enum hak_cost_end end)
{
    return UNITS * hak_cost_of(&learner.cost, arm, 0, to, end);
}

/* An arm that was not played costs what cost.h says; one that was, the measured time. */
static void adds_up(void)
{
    for (unsigned parts = 1; parts <= 5; parts++) {
        new_learner();
        const struct hak_learn_key *key = &learner.keys[KEY];
        struct hak_learn_sample *sample = begin(1, HAK_ARM_KEEP, 123);
        for (unsigned part = 1; part < parts; part++)
            hak_learn_account(&learner, sample, start_ns + part * ms_ns, HAK_COST_OPEN);
        hak_learn_account(&learner, sample, start_ns + 20 * ms_ns, HAK_COST_REUSED);
        for (unsigned arm = HAK_ARM_DONTNEED; arm < HAK_ARM_COUNT; arm++)
            EXPECT(is_near(key->costs[arm], cost_of(arm, 20 * ms_ns, HAK_COST_REUSED)));
        double paid = 123 + cost_of(HAK_ARM_KEEP, 20 * ms_ns, HAK_COST_REUSED);
        EXPECT(is_near(key->costs[HAK_ARM_KEEP], paid));
        EXPECT(is_near(key->paid, paid));
        EXPECT_EQ(sample->accounted_ns, start_ns + 20 * ms_ns);
        EXPECT(is_near(learner.keys[KEY + 1].paid, 0));
    }
}

/* Pinned to MADV_FREE: the mark and the time are paid; each arm costs what cost.h says, and nothing
 * is learned of how far predictions are off. */
static void pinned_to_none(void)
{
    new_learner();
    const struct hak_learn_key *key = &learner.keys[KEY];
    struct hak_learn_sample *sample = begin(1, HAK_ARM_FREE, 555);
    hak_learn_account(&learner, sample, start_ns + 20 * ms_ns, HAK_COST_REUSED);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        EXPECT(is_near(key->costs[arm], cost_of(arm, 20 * ms_ns, HAK_COST_REUSED)));
        EXPECT(is_near(learner.predicted[arm] + learner.real[arm], 0));
    }
    EXPECT(is_near(key->paid, 555 + cost_of(HAK_ARM_KEEP, 20 * ms_ns, HAK_COST_REUSED)));
}

static void purged_at_once(void)
{
    new_learner();
    struct hak_learn_sample *sample = begin(1, HAK_ARM_DONTNEED, 777);
    hak_learn_account(&learner, sample, start_ns + 10 * ms_ns, HAK_COST_OPEN);
    EXPECT(is_near(learner.keys[KEY].paid, 777));
    hak_learn_account(&learner, sample, start_ns + 20 * ms_ns, HAK_COST_REUSED);
    EXPECT(is_near(learner.keys[KEY].paid, 777 + UNITS * hak_cost_fault_ns(&learner.cost)));
}

/* Kept, then purged after 7 ms for lack of room: 7 ms, a purge, and faults if it is used again. The
 * learner looks after 7 ms, too: clocks tick every few ms, so a purge and a look often coincide. */
static void purged_later(unsigned looks, int told_before)
{
    new_learner();
    const struct hak_learn_key *key = &learner.keys[KEY];
    struct hak_learn_sample *sample = begin(1, HAK_ARM_KEEP, 0);
    for (unsigned look = 1; look <= looks; look++) {
        if (look == 7 && told_before)
            sample->purged_ns = start_ns + 7 * ms_ns;
        hak_learn_account(&learner, sample, start_ns + look * ms_ns, HAK_COST_OPEN);
        if (look == 7)
            sample->purged_ns = start_ns + 7 * ms_ns;
    }
    sample->purged_ns = start_ns + 7 * ms_ns;
    hak_learn_account(&learner, sample, start_ns + 20 * ms_ns, HAK_COST_REUSED);
    double held = UNITS * learner.cost.price * 7 * (double)ms_ns;
    double acts = UNITS * (learner.cost.act_ns[HAK_ARM_KEEP] + hak_cost_fault_ns(&learner.cost));
    if (!EXPECT(is_near(key->paid, held + acts)))
        tap_note("looked at %u times, told %s", looks, told_before ? "before" : "after");
}

static void purge_counts_once(void)
{
    for (unsigned looks = 0; looks <= 12; looks++)
        for (int told_before = 0; told_before <= 1; told_before++)
            purged_later(looks, told_before);
}

static void purged_when_reused(void)
{
    new_learner();
    struct hak_learn_sample *sample = begin(1, HAK_ARM_KEEP, 0);
    sample->purged_ns = start_ns + 7 * ms_ns;
    hak_learn_account(&learner, sample, start_ns + 7 * ms_ns, HAK_COST_REUSED);
    double held = UNITS * learner.cost.price * 7 * (double)ms_ns;
    double acts = UNITS * (learner.cost.act_ns[HAK_ARM_KEEP] + hak_cost_fault_ns(&learner.cost));
    EXPECT(is_near(learner.keys[KEY].paid, held + acts));
}

static void late_clocks(void)
{
    new_learner();
    struct hak_learn_sample *sample = begin(1, HAK_ARM_KEEP, 0);
    hak_learn_account(&learner, sample, start_ns - 5 * ms_ns, HAK_COST_OPEN);
    EXPECT(learner.keys[KEY].paid >= 0 && learner.keys[KEY].paid < 1e3);
    hak_learn_account(&learner, sample, start_ns + 10 * ms_ns, HAK_COST_OPEN);
    hak_learn_account(&learner, sample, start_ns + 4 * ms_ns, HAK_COST_OPEN);
    double most = 1.01 * cost_of(HAK_ARM_KEEP, 10 * ms_ns, HAK_COST_OPEN);
    EXPECT(learner.keys[KEY].paid >= 0 && learner.keys[KEY].paid < most);
}

static void open_ones_are_forgotten(void)
{
    new_learner();
    for (unsigned i = 0; i < 100; i++)
        begin(i, i % 2 == 0 ? HAK_ARM_KEEP : HAK_ARM_DONTNEED, 0);
    hak_learn_account_open(&learner, start_ns + 100 * ms_ns);
    EXPECT_EQ(learner.open, 100);
    EXPECT(is_near(learner.keys[KEY].paid, 50 * cost_of(HAK_ARM_KEEP, 100 * ms_ns, HAK_COST_OPEN)));
    hak_learn_account_open(&learner, start_ns + 500 * ms_ns);
    EXPECT_EQ(learner.open, 100);
    for (unsigned i = 0; i < 100; i++)
        EXPECT_EQ(learner.samples[i].accounted_ns, start_ns + 500 * ms_ns);
    hak_learn_account_open(&learner, start_ns + 30000 * ms_ns);
    EXPECT_EQ(learner.open, 0);
    for (unsigned i = 0; i < 100; i++)
        EXPECT(!is_open(i));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"samples are found, dropped, used again, and never too many", found_and_dropped},
        {"the table agrees with a model", agrees_with_model},
        {"costs are added to the match, at once or in parts", adds_up},
        {"an act that is no arm of the learner is paid, but on no arm's account", pinned_to_none},
        {"an immediate purge is paid for, and so are its faults", purged_at_once},
        {"a purge counts once, whenever the learner looked", purge_counts_once},
        {"a purge at the moment of reuse counts once, too", purged_when_reused},
        {"a clock that goes back adds next to nothing", late_clocks},
        {"samples that are never used again are forgotten", open_ones_are_forgotten},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
