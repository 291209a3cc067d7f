/* SPDX-License-Identifier: MIT */
/* learn/ucb1.c: bounds against exact values, and which arms of simulated bandits are played. */
#include "learn/ucb1.h"

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

enum { ROUNDS = 5000, PER_MILLE = 1000 };

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

static double draw(struct prng *prng, unsigned per_mille)
{
    return prng_below(prng, PER_MILLE) < per_mille;
}

/* The arm with the greatest mean reward. */
static unsigned best_of(const struct hak_ucb1 *ucb1)
{
    unsigned best = 0;
    double most = 0;
    for (unsigned arm = 0; arm < ucb1->arms; arm++) {
        double mean = ucb1->plays[arm] > 0 ? ucb1->rewards[arm] / ucb1->plays[arm] : 0;
        best = mean > most ? arm : best;
        most = mean > most ? mean : most;
    }
    return best;
}

/* Plays the arms for `rounds` rounds; an arm pays 1 with the chance per_mille[arm]. Counts the plays
 * of each arm. */
static void play(struct hak_ucb1 *ucb1, struct prng *prng, const unsigned *per_mille,
                 unsigned rounds, double discount, unsigned *played)
{
    for (unsigned round = 0; round < rounds; round++) {
        unsigned arm = hak_ucb1_choose(ucb1);
        REQUIRE(arm < ucb1->arms);
        played[arm]++;
        hak_ucb1_reward(ucb1, arm, draw(prng, per_mille[arm]), discount);
    }
}

/* Played twice without reward, an arm's bound is the root of ln(total): both made here of bits. */
static void bounds_by_table(void)
{
    static const struct {
        double total;
        double log;
    } rows[] = {
        {2, 0.693147180559945309},      {2.71828182845904524, 1},    {3, 1.09861228866810969},
        {10, 2.30258509299404568},      {100, 4.60517018598809137},  {5000, 8.51719319141623743},
        {1000000, 13.8155105579642741}, {1e12, 27.6310211159285482},
    };
    struct hak_ucb1 ucb1;
    hak_ucb1_start(&ucb1, 2);
    for (unsigned row = 0; row < TAP_COUNT(rows); row++) {
        ucb1.plays[0] = 2;
        ucb1.plays[1] = rows[row].total - 2;
        double bound = hak_ucb1_bound(&ucb1, 0);
        EXPECT(is_near(bound * bound, rows[row].log, 5e-8));
        ucb1.rewards[0] = 0.5;
        EXPECT(is_near(hak_ucb1_bound(&ucb1, 0), bound + 0.25, 1e-14));
        ucb1.rewards[0] = 0;
    }
}

/* ln(1.01^n) is n ln(1.01), through every binade up to 2^57 and every part of one; and a hundredth
 * of the plays is ten times the bound, whatever the root's argument. */
static void bounds_everywhere(void)
{
    static const double log_of_step = 0.00995033085316808285;
    struct hak_ucb1 ucb1;
    unsigned off = 0;
    double total = 1;
    hak_ucb1_start(&ucb1, 2);
    for (unsigned step = 0; step <= 4000; step++) {
        ucb1.plays[0] = 1;
        ucb1.plays[1] = total - 1;
        double bound = hak_ucb1_bound(&ucb1, 0);
        off += !is_near(bound * bound, 2 * step * log_of_step, 1e-7);
        ucb1.plays[0] = 0.01;
        ucb1.plays[1] = total - 0.01;
        off += !is_near(hak_ucb1_bound(&ucb1, 0), 10 * bound, 1e-6);
        total *= 1.01;
    }
    EXPECT_EQ(off, 0);
}

static void unplayed_first(void)
{
    for (unsigned arms = 1; arms <= HAK_UCB1_ARMS; arms++) {
        struct hak_ucb1 ucb1;
        hak_ucb1_start(&ucb1, arms);
        for (unsigned arm = 0; arm < arms; arm++) {
            EXPECT_EQ(hak_ucb1_choose(&ucb1), arm);
            hak_ucb1_reward(&ucb1, arm, 1, 1);
        }
        EXPECT_EQ(hak_ucb1_choose(&ucb1), 0); /* all alike: the first */
        hak_ucb1_reward(&ucb1, 0, 1, 1);
        EXPECT_EQ(hak_ucb1_choose(&ucb1), arms > 1); /* less known than the first, as good */
    }
    struct hak_ucb1 ucb1;
    hak_ucb1_start(&ucb1, 3);
    hak_ucb1_reward(&ucb1, 0, 1, 1);
    hak_ucb1_reward(&ucb1, 2, 1, 1);
    EXPECT_EQ(hak_ucb1_choose(&ucb1), 1);
    hak_ucb1_reward(&ucb1, 1, 0, 1);
    hak_ucb1_start(&ucb1, 3); /* again: all is forgotten */
    EXPECT_EQ(hak_ucb1_choose(&ucb1), 0);
    EXPECT(is_near(ucb1.plays[2] + ucb1.rewards[2], 0, 0));
}

static void rewards_count(void)
{
    struct hak_ucb1 ucb1;
    hak_ucb1_start(&ucb1, 2);
    hak_ucb1_reward(&ucb1, 1, 0.75, 0.5);
    hak_ucb1_reward(&ucb1, 1, 0.5, 0.5);
    hak_ucb1_reward(&ucb1, 0, 0.25, 0.5);
    EXPECT(is_near(ucb1.plays[1], 0.75, 0)); /* (1 / 2 + 1) / 2 */
    EXPECT(is_near(ucb1.rewards[1], 0.4375, 0));
    EXPECT(is_near(ucb1.plays[0], 1, 0));
    EXPECT(is_near(ucb1.rewards[0], 0.25, 0));

    hak_ucb1_start(&ucb1, 2);
    hak_ucb1_reward(&ucb1, 0, 7, 1);
    EXPECT(is_near(ucb1.rewards[0], 1, 0));
    hak_ucb1_reward(&ucb1, 0, -3, 1);
    hak_ucb1_reward(&ucb1, 0, __builtin_nan(""), 1);
    EXPECT(is_near(ucb1.rewards[0], 1, 0));
    EXPECT(is_near(ucb1.plays[0], 3, 0));
}

/* A caller that plays only one arm: the other fades, and counts as new before its numbers become
 * denormal. */
static void fades(void)
{
    struct hak_ucb1 ucb1;
    hak_ucb1_start(&ucb1, 2);
    hak_ucb1_reward(&ucb1, 1, 1, 0.5);
    for (unsigned round = 0; round < 20; round++)
        hak_ucb1_reward(&ucb1, 0, 0.25, 0.5);
    EXPECT(ucb1.plays[1] > 0);
    EXPECT_EQ(best_of(&ucb1), 1);
    for (unsigned round = 0; round < 20; round++)
        hak_ucb1_reward(&ucb1, 0, 0.25, 0.5);
    EXPECT(is_near(ucb1.plays[1], 0, 0));
    EXPECT(is_near(ucb1.rewards[1], 0, 0));
    EXPECT_EQ(hak_ucb1_choose(&ucb1), 1);
    EXPECT_EQ(best_of(&ucb1), 0);
    EXPECT(is_near(ucb1.plays[0], 2, 1e-6)); /* 1 + 1/2 + 1/4 ... */
}

/* Wherever the best arm stands. The theorem's limit on the expected plays of an inferior one, which
 * is 8 ln(n) / gap^2 + 1 + pi^2 / 3, is 431 for a gap of 0.4 and 179 for one of 0.625; and no arm
 * is ever given up. */
static void plays_the_best(void)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct prng prng = {seed};
        unsigned per_mille[] = {500, 500, 500};
        unsigned played[3] = {0};
        unsigned best = seed % 3;
        unsigned worst = (best + 1 + seed % 2) % 3;
        per_mille[best] = 900;
        per_mille[worst] = 275;
        struct hak_ucb1 ucb1;
        hak_ucb1_start(&ucb1, 3);
        play(&ucb1, &prng, per_mille, ROUNDS, 1, played);
        EXPECT_EQ(best_of(&ucb1), best);
        EXPECT_GE(played[best], ROUNDS * 80 / 100 + 1);
        EXPECT_LE(played[worst], 179);
        EXPECT_LE(played[3 - best - worst], 431);
        EXPECT_GE(played[worst], 10);
        EXPECT(is_near(ucb1.plays[best], played[best], 0));
    }
}

/* How often, in the 500 rounds after a change, the arm is played that has become the best. */
static unsigned played_after(const unsigned *before, const unsigned *after, unsigned best,
                             unsigned seed, double discount)
{
    struct prng prng = {seed};
    struct hak_ucb1 ucb1;
    unsigned played[3] = {0};
    hak_ucb1_start(&ucb1, 3);
    play(&ucb1, &prng, before, ROUNDS, discount, played);
    EXPECT_EQ(best_of(&ucb1), 0);
    EXPECT_GE(played[0], ROUNDS / 2);
    played[best] = 0;
    play(&ucb1, &prng, after, 500, discount, played);
    if (discount < 1)
        EXPECT_EQ(best_of(&ucb1), best);
    return played[best];
}

/* Plain UCB1, too, notices that an arm rises of which it knew little. But only when the new
 * evidence outweighs the past does it notice that the arm which it knows best has fallen behind. */
static void follows_a_change(void)
{
    static const unsigned before[] = {900, 500, 100};
    static const unsigned risen[] = {500, 100, 900};
    static const unsigned fallen[] = {100, 500, 100};
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned rise = played_after(before, risen, 2, seed, 0.99);
        unsigned fall = played_after(before, fallen, 1, seed, 0.99);
        unsigned plain = played_after(before, fallen, 1, seed, 1);
        if (seed == 1)
            tap_note("new best in 500 rounds: %u, %u; without discount: %u", rise, fall, plain);
        EXPECT_GE(rise, 250);
        EXPECT_GE(fall, 200);
        EXPECT_LE(plain, 100);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"bounds are those of the table", bounds_by_table},
        {"logarithms and roots are exact everywhere", bounds_everywhere},
        {"arms never played are first", unplayed_first},
        {"rewards are clamped, and counted after the discount", rewards_count},
        {"an arm whose plays were all discounted counts as new", fades},
        {"the best arm is played, the others seldom", plays_the_best},
        {"with a discount, a change is followed", follows_a_change},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
