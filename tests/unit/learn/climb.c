/* SPDX-License-Identifier: MIT */
/* learn/climb.c: valleys are found from both sides, in noise and when they move; limits hold. */
#include "learn/climb.h"

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

static const double margin = 0.02;

static double distance(double left, double right)
{
    return left < right ? right - left : left - right;
}

static int is_near(double found, double right, double within)
{
    int near = distance(found, right) <= within; /* never of something that is no number */
    if (!near)
        tap_note("%.12g is not within %g of %.12g", found, within, right);
    return near;
}

/* A convex cost, least at lowest: what grows with the value, and what shrinks. */
static double valley(double value, double lowest)
{
    return value / lowest + lowest / value;
}

static int round_in_valley(struct hak_climb *climb, double lowest)
{
    hak_climb_observe(climb, valley(hak_climb_below(climb), lowest), valley(climb->value, lowest),
                      valley(hak_climb_above(climb), lowest));
    return hak_climb_move(climb, margin);
}

static void starts_within_limits(void)
{
    struct hak_climb climb;
    hak_climb_start(&climb, 8, 1, 100, 2);
    EXPECT(is_near(climb.value, 8, 0));
    EXPECT(is_near(hak_climb_below(&climb), 4, 0));
    EXPECT(is_near(hak_climb_above(&climb), 16, 0));
    EXPECT_EQ(climb.rounds, 0);
    EXPECT_EQ(hak_climb_move(&climb, margin), 0); /* nothing observed, nothing to say */
    hak_climb_start(&climb, 0.5, 1, 100, 1.5);
    EXPECT(is_near(climb.value, 1, 0));
    EXPECT(is_near(hak_climb_below(&climb), 1, 0));
    EXPECT(is_near(hak_climb_above(&climb), 1.5, 0));
    hak_climb_start(&climb, 1000, 1, 100, 1.5);
    EXPECT(is_near(climb.value, 100, 0));
    EXPECT(is_near(hak_climb_above(&climb), 100, 0));
    hak_climb_start(&climb, 80, 60, 100, 2); /* less than a step away */
    EXPECT(is_near(hak_climb_below(&climb), 60, 0));
    EXPECT(is_near(hak_climb_above(&climb), 100, 0));
}

/* Straight there, one step a round, and then nowhere. */
static void finds_the_valley(void)
{
    static const double starts[] = {1, 4096};
    for (unsigned side = 0; side < TAP_COUNT(starts); side++) {
        struct hak_climb climb;
        hak_climb_start(&climb, starts[side], 1, 4096, 2);
        for (unsigned step = 0; step < 6; step++)
            EXPECT_EQ(round_in_valley(&climb, 64), side == 0 ? 1 : -1);
        EXPECT(is_near(climb.value, 64, 0));
        for (unsigned round = 0; round < 100; round++)
            EXPECT_EQ(round_in_valley(&climb, 64), 0);
        EXPECT(is_near(climb.value, 64, 0));
    }
}

/* Wherever the valley is, the climb ends at a point of its grid that no neighbour undercuts by more
 * than the margin. */
static void finds_any_valley(void)
{
    struct prng prng = {1};
    for (unsigned run = 0; run < 500; run++) {
        double step = run % 2 == 0 ? 2 : 1.5;
        double lowest = 1 + (double)prng_below(&prng, 1000000) / 1000;
        struct hak_climb climb;
        hak_climb_start(&climb, 1 + (double)prng_below(&prng, 1000), 1, 1001, step);
        for (unsigned round = 0; round < 40; round++)
            round_in_valley(&climb, lowest);
        EXPECT_EQ(round_in_valley(&climb, lowest), 0);
        double enough = valley(climb.value, lowest) * (1 - margin);
        EXPECT(valley(hak_climb_below(&climb), lowest) >= enough);
        EXPECT(valley(hak_climb_above(&climb), lowest) >= enough);
        EXPECT(climb.value < lowest * step && climb.value > lowest / step);
    }
}

static void follows_the_valley(void)
{
    struct hak_climb climb;
    hak_climb_start(&climb, 64, 1, 4096, 2);
    for (unsigned round = 0; round < 1000; round++)
        round_in_valley(&climb, 64);
    EXPECT(is_near(climb.value, 64, 0));
    unsigned rounds = 0;
    for (; rounds < 50 && climb.value < 1024; rounds++)
        round_in_valley(&climb, 1024);
    EXPECT_LE(rounds, 6); /* four steps; a thousand old rounds weigh as much as one */
    for (unsigned round = 0; round < 50; round++)
        round_in_valley(&climb, 2);
    EXPECT(is_near(climb.value, 2, 0));
}

/* At a limit the neighbour beyond is the value itself; noise may well make it the cheaper. */
static void stays_at_limits(void)
{
    struct hak_climb climb;
    hak_climb_start(&climb, 1, 1, 100, 2);
    for (unsigned round = 0; round < 50; round++) {
        hak_climb_observe(&climb, 1, 10, 20);
        EXPECT_EQ(hak_climb_move(&climb, margin), 0);
        EXPECT(is_near(climb.value, 1, 0));
    }
    hak_climb_observe(&climb, 0, 1000, 20); /* and it hides no way that there is */
    EXPECT_EQ(hak_climb_move(&climb, margin), 1);
    for (unsigned round = 0; round < 50; round++) {
        int at_limit = climb.value >= 100;
        hak_climb_observe(&climb, 30, 20, 10);
        EXPECT_EQ(hak_climb_move(&climb, margin), !at_limit);
        EXPECT(climb.value <= 100);
    }
    EXPECT(is_near(climb.value, 100, 0));
    hak_climb_observe(&climb, 20, 1000, 0);
    EXPECT_EQ(hak_climb_move(&climb, margin), -1);
    EXPECT(is_near(climb.value, 50, 0));

    hak_climb_start(&climb, 7, 7, 7, 2);
    hak_climb_observe(&climb, 0, 10, 0);
    EXPECT_EQ(hak_climb_move(&climb, 0), 0);
    EXPECT(is_near(climb.value, 7, 0));
}

static void margin_and_ties(void)
{
    struct hak_climb climb;
    hak_climb_start(&climb, 16, 1, 256, 4);
    hak_climb_observe(&climb, 100, 100, 99);
    EXPECT_EQ(hak_climb_move(&climb, margin), 0);
    hak_climb_start(&climb, 16, 1, 256, 4);
    hak_climb_observe(&climb, 100, 100, 97);
    EXPECT_EQ(hak_climb_move(&climb, margin), 1);
    EXPECT(is_near(climb.value, 64, 0));
    hak_climb_observe(&climb, 100, 100, 100);
    EXPECT_EQ(hak_climb_move(&climb, 0), 0); /* not less is not enough */
    hak_climb_observe(&climb, 50, 100, 40);
    EXPECT_EQ(hak_climb_move(&climb, margin), 1); /* a ridge: to the cheaper side */
    EXPECT(is_near(climb.value, 256, 0));
    hak_climb_start(&climb, 16, 1, 256, 4);
    hak_climb_observe(&climb, 40, 100, 50);
    EXPECT_EQ(hak_climb_move(&climb, margin), -1);
    EXPECT(is_near(climb.value, 4, 0));
    hak_climb_observe(&climb, 50, 100, 50);
    EXPECT_EQ(hak_climb_move(&climb, margin), -1);
    EXPECT(is_near(climb.value, 1, 0));
}

static void adds_halves_forgets(void)
{
    struct hak_climb climb;
    hak_climb_start(&climb, 16, 1, 256, 2);
    hak_climb_observe(&climb, 12, 10, 11);
    hak_climb_observe(&climb, 14, 10, 13);
    EXPECT(is_near(climb.below, 26, 0));
    EXPECT(is_near(climb.here, 20, 0));
    EXPECT(is_near(climb.above, 24, 0));
    EXPECT_EQ(climb.rounds, 2);
    EXPECT_EQ(hak_climb_move(&climb, margin), 0);
    EXPECT(is_near(climb.below, 13, 0));
    EXPECT(is_near(climb.here, 10, 0));
    EXPECT(is_near(climb.above, 12, 0));
    EXPECT_EQ(climb.rounds, 1);
    EXPECT_EQ(hak_climb_move(&climb, 1), 0); /* of an odd number of rounds the greater half */
    EXPECT(is_near(climb.here, 5, 0));
    EXPECT_EQ(climb.rounds, 1);

    hak_climb_start(&climb, 16, 1, 256, 2);
    hak_climb_observe(&climb, 13, 10, 12);
    hak_climb_observe(&climb, 12, 10, 7); /* 19 in all: cheaper, but for the older round */
    EXPECT_EQ(hak_climb_move(&climb, 0.06), 0);
    hak_climb_observe(&climb, 12, 10, 7);
    EXPECT_EQ(hak_climb_move(&climb, 0.06), 1);
    EXPECT(is_near(climb.below + climb.here + climb.above, 0, 0));
    EXPECT_EQ(climb.rounds, 0);
    EXPECT(is_near(climb.least, 1, 0));
    EXPECT(is_near(climb.most, 256, 0));
    EXPECT(is_near(climb.step, 2, 0));
}

/* Each cost off by up to 30 % either way: who moves after each single round is elsewhere a tenth of
 * the time, who waits for 64 is not. */
static void finds_it_in_noise(void)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct prng prng = {seed};
        struct hak_climb climb;
        hak_climb_start(&climb, seed % 2 == 0 ? 1 : 4096, 1, 4096, 2);
        for (unsigned round = 0; round < 64 * 40; round++) {
            double cost[3] = {hak_climb_below(&climb), climb.value, hak_climb_above(&climb)};
            for (unsigned point = 0; point < 3; point++)
                cost[point] = valley(cost[point], 64) * (double)(700 + prng_below(&prng, 601));
            hak_climb_observe(&climb, cost[0], cost[1], cost[2]);
            if (climb.rounds >= 64)
                hak_climb_move(&climb, margin);
        }
        EXPECT(is_near(climb.value, 64, 0));
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"value and neighbours are within the limits", starts_within_limits},
        {"the valley is found from both sides, and kept", finds_the_valley},
        {"any valley is found to within a step", finds_any_valley},
        {"a valley that moves is followed", follows_the_valley},
        {"limits hold", stays_at_limits},
        {"a move takes more than the margin, and the cheaper side", margin_and_ties},
        {"rounds add up, fade, and are forgotten by a move", adds_halves_forgets},
        {"the valley is found in noise", finds_it_in_noise},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
