/* SPDX-License-Identifier: MIT */
/* learn/elo.c: the curve against exact values, a round against arithmetic by hand, and where
 * ratings end up. */
#include "learn/elo.h"

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

enum { PLAYERS = 3, RANGE = 2000 };

static const double k = 32;
static const double odds_of_point = 1.00577306300173824; /* 10^(1/400) */
static const double points_of_2 = 120.411998265592478;   /* 400 * log10(2) */

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

static double sum_of(const double *ratings, unsigned count)
{
    double sum = 0;
    for (unsigned player = 0; player < count; player++)
        sum += ratings[player];
    return sum;
}

static void begin(double *ratings, unsigned count)
{
    for (unsigned player = 0; player < count; player++)
        ratings[player] = HAK_ELO_START;
}

/* As many rounds as it takes until `best` is rated best; at most `limit`. */
static unsigned rounds_until(double *ratings, const double *costs, unsigned best, unsigned limit)
{
    unsigned rounds = 0;
    while (rounds < limit && hak_elo_best(ratings, PLAYERS) != best) {
        hak_elo_play(ratings, costs, PLAYERS, k);
        rounds++;
    }
    return rounds;
}

static void expected_by_table(void)
{
    static const struct {
        double difference;
        double expected;
    } rows[] = {
        {0, 0.5},
        {1, 0.501439111709152822},
        {50, 0.571463117408381432},
        {100, 0.640064999802885081},
        {200, 0.759746926647957852},
        {300, 0.849020442788676699},
        {400, 10. / 11},
        {600, 0.969346569968284491},
        {800, 100. / 101},
        {1200, 1000. / 1001},
        {1600, 10000. / 10001},
        {2000, 100000. / 100001},
    };
    for (unsigned row = 0; row < TAP_COUNT(rows); row++) {
        double own = HAK_ELO_START + rows[row].difference;
        EXPECT(is_near(hak_elo_expected(own, HAK_ELO_START), rows[row].expected, 2e-9));
        EXPECT(is_near(hak_elo_expected(HAK_ELO_START, own), 1 - rows[row].expected, 2e-9));
    }
    EXPECT(is_near(hak_elo_expected(points_of_2, 0), 2. / 3, 2e-9));
}

/* The odds of a difference of n points are the nth power of those of one: by multiplication, which
 * is off by 1e-12 at the end. In steps of 1/8 besides, so that no seam of the series turns the
 * curve down. */
static void expected_everywhere(void)
{
    double odds = 1;
    unsigned off = 0;
    for (unsigned points = 0; points <= RANGE; points++) {
        off += !is_near(hak_elo_expected(0, points), 1 / (1 + odds), 2e-9);
        off += !is_near(hak_elo_expected(points, 0), odds / (1 + odds), 2e-9);
        odds *= odds_of_point;
    }
    EXPECT_EQ(off, 0);
    unsigned falls = 0;
    for (int eighths = -8 * RANGE; eighths < 8 * RANGE; eighths++)
        falls += hak_elo_expected(eighths / 8., 0) >= hak_elo_expected((eighths + 1) / 8., 0);
    EXPECT_EQ(falls, 0);
}

static void expected_is_clamped(void)
{
    EXPECT(is_near(hak_elo_expected(RANGE + 1, 0), hak_elo_expected(RANGE, 0), 0));
    EXPECT(is_near(hak_elo_expected(1e300, -1e300), hak_elo_expected(RANGE, 0), 0));
    EXPECT(is_near(hak_elo_expected(-1e300, 1e300), hak_elo_expected(0, RANGE), 0));
}

static void scores(void)
{
    EXPECT(is_near(hak_elo_score(1, 3), 0.75, 1e-15));
    EXPECT(is_near(hak_elo_score(3, 1), 0.25, 1e-15));
    EXPECT(is_near(hak_elo_score(7e9, 7e9), 0.5, 0));
    EXPECT(is_near(hak_elo_score(0, 5), 1, 0));
    EXPECT(is_near(hak_elo_score(5, 0), 0, 0));
    EXPECT(is_near(hak_elo_score(0, 0), 0.5, 0));
}

/* Three players at once show that expectations come from the ratings before the round: if a match
 * changed them, the next expectation would differ by whole points. */
static void a_round_by_hand(void)
{
    double two[2] = {HAK_ELO_START, HAK_ELO_START};
    hak_elo_play(two, (const double[]){1, 3}, 2, k);
    EXPECT(is_near(two[0], HAK_ELO_START + 8, 1e-6)); /* 32 * (0.75 - 0.5) */
    EXPECT(is_near(two[1], HAK_ELO_START - 8, 1e-6));

    double three[3] = {1700, 1500, 1400};
    hak_elo_play(three, (const double[]){3, 1, 0}, 3, 200);
    double of_first = (0.25 - 0.759746926647958) + (0 - 0.849020442788677);
    double of_second = (0.75 - 0.240253073352042) + (0 - 0.640064999802885);
    double of_third = (1 - 0.150979557211323) + (1 - 0.359935000197115);
    EXPECT(is_near(three[0], 1700 + 100 * of_first, 1e-5));
    EXPECT(is_near(three[1], 1500 + 100 * of_second, 1e-5));
    EXPECT(is_near(three[2], 1400 + 100 * of_third, 1e-5));
}

/* Among this many rounds is one with an unexpected winner: it moves by almost k. */
static void moves_are_bounded(void)
{
    struct prng prng = {1};
    double farthest = 0;
    for (unsigned count = 2; count <= HAK_ELO_PLAYERS; count++) {
        double ratings[HAK_ELO_PLAYERS];
        double before[HAK_ELO_PLAYERS];
        double costs[HAK_ELO_PLAYERS];
        for (unsigned round = 0; round < 200; round++) {
            for (unsigned player = 0; player < count; player++) {
                ratings[player] = before[player] = (double)prng_below(&prng, 3000);
                costs[player] = (double)(prng_size(&prng, 40) - 1);
            }
            costs[round % count] = 0;
            hak_elo_play(ratings, costs, count, k);
            EXPECT(is_near(sum_of(ratings, count), sum_of(before, count), 1e-8));
            for (unsigned player = 0; player < count; player++) {
                double moved = distance(ratings[player], before[player]);
                farthest = moved > farthest ? moved : farthest;
            }
        }
    }
    EXPECT(farthest <= k);
    EXPECT(farthest > 0.99 * k);
}

static void who_does_not_play(void)
{
    double ratings[HAK_ELO_PLAYERS + 1];
    double costs[HAK_ELO_PLAYERS + 1];
    for (unsigned player = 0; player <= HAK_ELO_PLAYERS; player++) {
        ratings[player] = HAK_ELO_START;
        costs[player] = player;
    }
    hak_elo_play(ratings, costs, 0, k);
    hak_elo_play(ratings, costs, 1, k);
    hak_elo_play(ratings, costs, HAK_ELO_PLAYERS + 1, k);
    for (unsigned player = 0; player <= HAK_ELO_PLAYERS; player++)
        EXPECT(is_near(ratings[player], HAK_ELO_START, 0));
    hak_elo_play(ratings, costs, HAK_ELO_PLAYERS, k);
    EXPECT(ratings[0] > HAK_ELO_START);
    EXPECT(ratings[HAK_ELO_PLAYERS - 1] < HAK_ELO_START);
    EXPECT(is_near(ratings[HAK_ELO_PLAYERS], HAK_ELO_START, 0));
}

static void converges(void)
{
    static const double costs[PLAYERS] = {2, 1, 10};
    double ratings[PLAYERS];
    begin(ratings, PLAYERS);
    for (unsigned round = 0; round < 1000; round++)
        hak_elo_play(ratings, costs, PLAYERS, k);
    EXPECT(is_near(ratings[1] - ratings[0], points_of_2, 5));
    EXPECT(is_near(ratings[1] - ratings[2], 400, 5));
    for (unsigned round = 0; round < 4000; round++)
        hak_elo_play(ratings, costs, PLAYERS, k);
    EXPECT(is_near(ratings[1] - ratings[0], points_of_2, 0.01));
    EXPECT(is_near(ratings[1] - ratings[2], 400, 0.01));
    EXPECT(is_near(sum_of(ratings, PLAYERS), PLAYERS * HAK_ELO_START, 1e-6));
}

/* The same when each measurement is off by up to 30 % either way. */
static void converges_in_noise(void)
{
    static const double costs[PLAYERS] = {10, 2, 1};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct prng prng = {seed};
        double ratings[PLAYERS];
        begin(ratings, PLAYERS);
        for (unsigned round = 0; round < 20000; round++) {
            double measured[PLAYERS];
            for (unsigned player = 0; player < PLAYERS; player++)
                measured[player] = costs[player] * (double)(700 + prng_below(&prng, 601)) / 1000;
            hak_elo_play(ratings, measured, PLAYERS, 4);
        }
        EXPECT(is_near(ratings[2] - ratings[1], points_of_2, 8));
        EXPECT(is_near(ratings[2] - ratings[0], 400, 16));
        EXPECT_EQ(hak_elo_best(ratings, PLAYERS), 2);
    }
}

/* The first two change places. A pull of 3/4 beforehand leaves a quarter of the way to go. */
static void follows_a_change(void)
{
    static const double before[PLAYERS] = {1, 10, 2};
    static const double after[PLAYERS] = {10, 1, 2};
    double ratings[PLAYERS];
    double pulled[PLAYERS];
    begin(ratings, PLAYERS);
    EXPECT_EQ(rounds_until(ratings, before, 0, 1), 0); /* the first of equals */
    for (unsigned round = 0; round < 2000; round++)
        hak_elo_play(ratings, before, PLAYERS, k);
    EXPECT_EQ(hak_elo_best(ratings, PLAYERS), 0);
    for (unsigned player = 0; player < PLAYERS; player++)
        pulled[player] = ratings[player];
    hak_elo_pull(pulled, PLAYERS, 0.75);
    EXPECT_EQ(hak_elo_best(pulled, PLAYERS), 0);

    unsigned rounds = rounds_until(ratings, after, 1, 1000);
    unsigned rounds_pulled = rounds_until(pulled, after, 1, 1000);
    tap_note("the best changes after %u rounds, %u when pulled", rounds, rounds_pulled);
    EXPECT_GE(rounds, 5); /* 480 points, and no round moves anybody by more than 32 */
    EXPECT_LE(rounds, 25);
    EXPECT_GE(rounds_pulled, 1);
    EXPECT_LE(2 * rounds_pulled, rounds);
    EXPECT_EQ(hak_elo_best(ratings, PLAYERS), 1);
    EXPECT_EQ(hak_elo_best(pulled, PLAYERS), 1);
}

static void pulls(void)
{
    double ratings[PLAYERS] = {1200, 1500, 2100};
    hak_elo_pull(ratings, PLAYERS, 0);
    EXPECT(is_near(ratings[0], 1200, 0));
    EXPECT(is_near(ratings[2], 2100, 0));
    hak_elo_pull(ratings, PLAYERS, 0.25);
    EXPECT(is_near(ratings[0], 1300, 1e-9));
    EXPECT(is_near(ratings[1], 1525, 1e-9));
    EXPECT(is_near(ratings[2], 1975, 1e-9));
    hak_elo_pull(ratings, PLAYERS, 1);
    for (unsigned player = 0; player < PLAYERS; player++)
        EXPECT(is_near(ratings[player], 1600, 1e-9));
}

static void best_of(void)
{
    EXPECT_EQ(hak_elo_best((const double[]){3, 9, 4}, 3), 1);
    EXPECT_EQ(hak_elo_best((const double[]){3, 4, 9}, 3), 2);
    EXPECT_EQ(hak_elo_best((const double[]){3, 9, 9}, 3), 1);
    EXPECT_EQ(hak_elo_best((const double[]){5, 5, 5}, 3), 0);
    EXPECT_EQ(hak_elo_best((const double[]){-5, -4, 9}, 2), 1);
    EXPECT_EQ(hak_elo_best((const double[]){3, 9}, 1), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"expectations are those of the table", expected_by_table},
        {"expectations are exact and rising at every difference", expected_everywhere},
        {"differences above 2000 count as 2000", expected_is_clamped},
        {"the point of a match is divided in proportion to the costs", scores},
        {"a round agrees with a calculation by hand", a_round_by_hand},
        {"no round moves anybody by more than k, nor their sum", moves_are_bounded},
        {"one player, or too many, do not play", who_does_not_play},
        {"ratings end 400 log10 of the costs' ratio apart", converges},
        {"ratings end there in noise, too", converges_in_noise},
        {"the best changes when the costs do, sooner after a pull", follows_a_change},
        {"a pull is a share of the way to the mean", pulls},
        {"the best is the first of the greatest", best_of},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
