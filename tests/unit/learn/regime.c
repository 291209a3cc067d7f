/* SPDX-License-Identifier: MIT */
/* learn/regime.c: a steady key freezes, a frozen key is examined now and then, and only a lasting
 * loss thaws it. The learner may tune how many matches each step takes. */
#include "learn/regime.h"

#include <string.h>

#include "tests/lib/tap.h"

enum {
    LONG = 5000, /* matches; any state is left in fewer */
};

static const double keep_wins[HAK_ARM_COUNT] = {1e6, 4e6, 3e6};
static const double keep_loses[HAK_ARM_COUNT] = {4e6, 1e6, 3e6};

/* Plays until something happens: what, and after how many matches. */
static enum hak_regime_event play_until(struct hak_regime *regime, const double *costs,
                                        enum hak_arm best, unsigned *matches)
{
    for (*matches = 1; *matches <= LONG; ++*matches) {
        enum hak_regime_event event = hak_regime_match(regime, costs, HAK_ARM_KEEP, best);
        if (event != HAK_REGIME_STAYS)
            return event;
    }
    return HAK_REGIME_STAYS;
}

static void freezes(void)
{
    for (unsigned best = 0; best < HAK_ARM_COUNT; best++) {
        struct hak_regime regime = {0};
        unsigned matches;
        EXPECT_EQ(play_until(&regime, keep_wins, best, &matches), HAK_REGIME_FREEZES);
        EXPECT_EQ(regime.state, HAK_REGIME_FROZEN);
        EXPECT_GE(matches, 5);   /* no match alone is enough, */
        EXPECT_LE(matches, 200); /* and 10 s are */
    }
}

static void unsettled_stays(void)
{
    struct hak_regime regime = {0};
    for (unsigned i = 0; i < LONG; i++) {
        enum hak_arm best = i / 2 % 2 == 0 ? HAK_ARM_KEEP : HAK_ARM_DONTNEED;
        EXPECT_EQ(hak_regime_match(&regime, keep_wins, HAK_ARM_KEEP, best), HAK_REGIME_STAYS);
    }
    EXPECT_EQ(regime.state, HAK_REGIME_LEARN);
}

static void looks_now_and_then(void)
{
    struct hak_regime regime = {0};
    unsigned frozen, canary;
    EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_KEEP, &frozen), HAK_REGIME_FREEZES);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_KEEP, &frozen), HAK_REGIME_TRIES);
        EXPECT_EQ(regime.state, HAK_REGIME_CANARY);
        EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_KEEP, &canary), HAK_REGIME_FREEZES);
        EXPECT_EQ(regime.state, HAK_REGIME_FROZEN);
        EXPECT_GE(frozen, 2 * canary); /* a small share of the time */
    }
}

/* Matches until it thaws; between canary and frozen nothing of a loss is forgotten. */
static unsigned lose(struct hak_regime *regime)
{
    unsigned matches = 1;
    while (matches < LONG &&
           hak_regime_match(regime, keep_loses, HAK_ARM_KEEP, HAK_ARM_KEEP) != HAK_REGIME_THAWS)
        matches++;
    return matches;
}

static void loss_thaws(void)
{
    unsigned matches;
    for (unsigned looks = 0; looks < 2; looks++) {
        struct hak_regime regime = {0};
        EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_KEEP, &matches), HAK_REGIME_FREEZES);
        if (looks)
            EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_KEEP, &matches), HAK_REGIME_TRIES);
        matches = lose(&regime);
        EXPECT_EQ(regime.state, HAK_REGIME_LEARN);
        EXPECT_GE(matches, 2);
        EXPECT_LE(matches, 40); /* 2 s */
        EXPECT_EQ(play_until(&regime, keep_wins, HAK_ARM_DONTNEED, &matches), HAK_REGIME_FREEZES);
    }
}

/* Bursts: some matches lost, then as much and more won. */
static void made_good(void)
{
    static const double burst[HAK_ARM_COUNT] = {2e6, 1e6, 3e6};
    static const double calm[HAK_ARM_COUNT] = {1e6, 4e6, 3e6};
    struct hak_regime regime = {0};
    unsigned thaws = 0;
    unsigned matches;
    EXPECT_EQ(play_until(&regime, calm, HAK_ARM_KEEP, &matches), HAK_REGIME_FREEZES);
    for (unsigned i = 0; i < LONG; i++)
        thaws += hak_regime_match(&regime, i / 4 % 2 == 0 ? burst : calm, HAK_ARM_KEEP,
                                  HAK_ARM_KEEP) == HAK_REGIME_THAWS;
    EXPECT_EQ(thaws, 0);
}

static void learning_does_not_thaw(void)
{
    struct hak_regime regime = {0};
    for (unsigned i = 0; i < LONG; i++)
        EXPECT_EQ(hak_regime_match(&regime, keep_loses, HAK_ARM_KEEP, i % HAK_ARM_COUNT),
                  HAK_REGIME_STAYS);
}

static void names(void)
{
    EXPECT_EQ(strcmp(hak_regime_names[HAK_REGIME_LEARN], "learn"), 0);
    EXPECT_EQ(strcmp(hak_regime_names[HAK_REGIME_FROZEN], "frozen"), 0);
    EXPECT_EQ(strcmp(hak_regime_names[HAK_REGIME_CANARY], "canary"), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"matches with the same best arm freeze it", freezes},
        {"while the best arm changes nothing freezes", unsettled_stays},
        {"a frozen key is examined now and then, for a while", looks_now_and_then},
        {"a loss that stays thaws, out of either state", loss_thaws},
        {"a loss that is made good again does not thaw", made_good},
        {"a key that is learning does not thaw", learning_does_not_thaw},
        {"the states have their names", names},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
