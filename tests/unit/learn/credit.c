/* SPDX-License-Identifier: MIT */
/* learn/credit.c: caches that claim from one number, are refused, give back and yield. */
#include "learn/credit.h"

#include "learn/learner.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum {
    MIB = 1024 * 1024,
    MOST = 256 * MIB,
    CACHES = 4,
    TURNS = 20000,
};

static struct hak_credit credit;
static struct hak_settings settings;
static struct hak_claim claims[CACHES];

static void start(enum hak_learn_mode mode)
{
    credit = (struct hak_credit){.most = MOST};
    settings = hak_settings_default;
    settings.mode = mode;
    settings.credit = &credit;
    for (unsigned i = 0; i < CACHES; i++)
        claims[i] = (struct hak_claim){0};
}

static void everything_where_nothing_is_learned(void)
{
    start(HAK_LEARN_OFF);
    EXPECT(hak_credit_claim(&settings, &claims[0], 200 * MIB, MOST));
    EXPECT(!hak_credit_claim(&settings, &claims[1], 100 * MIB, MOST));
    EXPECT_EQ(claims[1].bytes, 0);
    EXPECT(hak_credit_claim(&settings, &claims[1], 56 * MIB, MOST));
    EXPECT_EQ(credit.claimed, MOST);
    EXPECT_EQ(credit.holders, 2);
    hak_credit_give_back(&settings, &claims[0], 50 * MIB, MOST);
    EXPECT_EQ(claims[0].bytes, 50 * MIB);
    EXPECT(hak_credit_claim(&settings, &claims[2], 150 * MIB, MOST));
    for (unsigned i = 0; i < CACHES; i++)
        hak_credit_give_back(&settings, &claims[i], 0, MOST);
    EXPECT_EQ(credit.claimed, 0);
    EXPECT_EQ(credit.holders, 0);
}

enum { CPUS = 20, EACH = HAK_CREDIT_EACH, LATE = 4 };

_Static_assert(CPUS *EACH > HAK_CREDIT_FIRST && CPUS * EACH < MOST, "CPUs decide");

static struct hak_claim many[CPUS + LATE];

/* Many CPUs at work have a part each, and no more than are at work. */
static void more_for_many_cpus(void)
{
    start(HAK_LEARN_ON);
    credit.cpus = CPUS;
    EXPECT(hak_credit_claim(&settings, &claims[0], HAK_CREDIT_FIRST - 3 * MIB, HAK_CREDIT_FIRST));
    EXPECT(hak_credit_claim(&settings, &claims[1], 3 * MIB, HAK_CREDIT_FIRST));
    EXPECT(!hak_credit_claim(&settings, &claims[2], 1, HAK_CREDIT_FIRST));
    hak_credit_give_back(&settings, &claims[0], 0, HAK_CREDIT_FIRST);
    hak_credit_give_back(&settings, &claims[1], 0, HAK_CREDIT_FIRST);
    for (unsigned i = 0; i < CPUS + LATE; i++)
        EXPECT(hak_credit_claim(&settings, &many[i], EACH / 2, HAK_CREDIT_FIRST));
    size_t left = (CPUS - LATE) * (size_t)EACH / 2;
    EXPECT(hak_credit_claim(&settings, &many[0], left, HAK_CREDIT_FIRST));
    EXPECT(!hak_credit_claim(&settings, &many[1], 1, HAK_CREDIT_FIRST));
    EXPECT_EQ(credit.claimed, CPUS * (size_t)EACH);
    for (unsigned i = 0; i < CPUS + LATE; i++)
        hak_credit_give_back(&settings, &many[i], 0, HAK_CREDIT_FIRST);
    EXPECT_EQ(credit.claimed, 0);
}

/* Whoever claims first of all counts as one of them already: else it would never be one. */
static void who_claims_first_counts(void)
{
    start(HAK_LEARN_ON);
    credit.cpus = CPUS;
    for (unsigned i = 0; i < CPUS; i++)
        EXPECT(hak_credit_claim(&settings, &many[i], EACH, HAK_CREDIT_FIRST));
    EXPECT(!hak_credit_claim(&settings, &many[CPUS], MIB, HAK_CREDIT_FIRST));
    for (unsigned i = 0; i < CPUS; i++)
        hak_credit_give_back(&settings, &many[i], 0, HAK_CREDIT_FIRST);
}

/* A holder that comes and goes takes nothing from the others, until caches' times of decay have
 * ended without it. */
static void holders_count_for_a_while(void)
{
    start(HAK_LEARN_ON);
    credit.cpus = CPUS;
    for (unsigned i = 0; i < CPUS; i++)
        EXPECT(hak_credit_claim(&settings, &many[i], EACH, HAK_CREDIT_FIRST));
    for (unsigned i = CPUS / 2; i < CPUS; i++) {
        hak_credit_give_back(&settings, &many[i], 0, HAK_CREDIT_FIRST);
        EXPECT(hak_credit_claim(&settings, &many[0], EACH, HAK_CREDIT_FIRST));
    }
    EXPECT_EQ(hak_credit_excess(&settings), 0);
    for (unsigned i = 1; i <= CPUS; i++) {
        hak_credit_turn(&settings);
        unsigned gone = i < CPUS / 2 ? i : CPUS / 2;
        EXPECT_EQ(hak_credit_excess(&settings), gone * (size_t)EACH);
    }
    EXPECT_EQ(credit.seats, CPUS / 2); /* those of the others */
    for (unsigned i = 0; i < CPUS / 2; i++)
        hak_credit_give_back(&settings, &many[i], 0, HAK_CREDIT_FIRST);
    for (unsigned i = 0; i < CPUS; i++)
        hak_credit_turn(&settings);
    EXPECT_EQ(credit.seats, 0);
    EXPECT_EQ(credit.claimed, 0);
}

/* The first bytes exist once, however many caches there are; claims that were granted come on top,
 * and end with their reason. */
static void more_where_it_was_asked_for(void)
{
    start(HAK_LEARN_ON);
    EXPECT(!hak_credit_claim(&settings, &claims[0], HAK_CREDIT_FIRST + 1, HAK_CREDIT_FIRST));
    EXPECT(hak_credit_claim(&settings, &claims[0], HAK_CREDIT_FIRST, HAK_CREDIT_FIRST));
    EXPECT(!hak_credit_claim(&settings, &claims[1], MIB, HAK_CREDIT_FIRST));
    EXPECT(hak_credit_claim(&settings, &claims[1], 8 * MIB, HAK_CREDIT_FIRST + 8 * MIB));
    EXPECT(!hak_credit_claim(&settings, &claims[1], 1, HAK_CREDIT_FIRST + 8 * MIB));
    hak_credit_give_back(&settings, &claims[1], 0, HAK_CREDIT_FIRST);
    EXPECT_EQ(credit.granted, 0);
    EXPECT(!hak_credit_claim(&settings, &claims[2], 1, 0));
    EXPECT(!hak_credit_claim(&settings, &claims[2], MOST, 2ul * MOST)); /* never above the option */
    credit.most = MIB;
    hak_credit_give_back(&settings, &claims[0], 0, 0);
    EXPECT(!hak_credit_claim(&settings, &claims[0], 2 * MIB, 0));
    EXPECT(hak_credit_claim(&settings, &claims[0], MIB, 0));
}

static void unbounded_without_a_credit(void)
{
    start(HAK_LEARN_ON);
    settings.credit = NULL;
    EXPECT(hak_credit_claim(&settings, &claims[0], 2ul * MOST, 0));
    EXPECT_EQ(hak_credit_fair(&settings, &claims[0]), 2ul * MOST);
    hak_credit_give_back(&settings, &claims[0], MIB, 0);
    EXPECT_EQ(claims[0].bytes, MIB);
}

/* A cache that has everything ends with a part if another is refused again and again. */
static void refusals_are_heard(void)
{
    start(HAK_LEARN_OFF);
    EXPECT(hak_credit_claim(&settings, &claims[0], MOST, MOST));
    EXPECT_EQ(hak_credit_fair(&settings, &claims[0]), MOST);
    size_t had = MOST;
    for (unsigned i = 0; i < 100; i++) {
        while (hak_credit_claim(&settings, &claims[1], MIB, MOST))
            continue;
        hak_credit_give_back(&settings, &claims[0], hak_credit_fair(&settings, &claims[0]), MOST);
        EXPECT_LE(claims[0].bytes, had);
        had = claims[0].bytes;
        EXPECT_LE(credit.claimed, MOST);
    }
    EXPECT_GE(claims[0].bytes, MOST / 3);
    EXPECT_GE(claims[1].bytes, MOST / 3);
    size_t last = hak_credit_fair(&settings, &claims[0]); /* and is then left alone */
    EXPECT_EQ(hak_credit_fair(&settings, &claims[0]), claims[0].bytes);
    EXPECT_LE(last, claims[0].bytes);
}

static void *claim_and_give_back(void *argument)
{
    struct hak_claim *claim = argument;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        hak_credit_claim(&settings, claim, (turn % 60 + 1) * MIB, HAK_CREDIT_FIRST + turn);
        hak_credit_give_back(&settings, claim, turn % 3 * MIB, HAK_CREDIT_FIRST + turn / 2);
    }
    hak_credit_give_back(&settings, claim, 0, 0);
    return NULL;
}

static void nothing_is_lost_between_threads(void)
{
    start(HAK_LEARN_ON);
    threads_run(CACHES, claim_and_give_back, claims, sizeof claims[0]);
    EXPECT_EQ(credit.claimed, 0);
    EXPECT_EQ(credit.granted, 0);
    EXPECT_EQ(credit.holders, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"without learners the option alone bounds claims", everything_where_nothing_is_learned},
        {"many CPUs at work are allowed more", more_for_many_cpus},
        {"a cache that claims first of all counts among those that hold", who_claims_first_counts},
        {"holders that come and go take nothing from others", holders_count_for_a_while},
        {"the first bytes once for all caches, more where memory was asked for again",
         more_where_it_was_asked_for},
        {"settings without a credit bound nothing", unbounded_without_a_credit},
        {"a cache with more than its part yields to one that is refused", refusals_are_heard},
        {"nothing is lost between threads", nothing_is_lost_between_threads},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
