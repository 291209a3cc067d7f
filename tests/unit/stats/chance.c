/* SPDX-License-Identifier: MIT */
/* stats/chance.c: against libm, and against what the distributions must give. Random numbers begin
 * with fixed states, so each run is the same. */
#include "stats/chance.h"

#include <math.h>

#include "tests/lib/tap.h"

static const double RATE = 524288;

static void logarithms(void)
{
    double worst = 0;
    for (double x = 1e-300; x < 1e300; x *= 1.37) {
        double off = fabs(hak_chance_ln(x) - log(x));
        worst = off > worst ? off : worst;
    }
    for (double x = 0.5; x < 2; x += 1e-4) {
        double off = fabs(hak_chance_ln(x) - log(x));
        worst = off > worst ? off : worst;
    }
    EXPECT(worst < 1e-11);
    EXPECT(hak_chance_ln(1) == 0);
}

static void chances(void)
{
    double worst = 0;
    for (size_t bytes = 1; bytes < (size_t)1 << 40; bytes += bytes / 7 + 1) {
        double right = -expm1(-(double)bytes / RATE);
        double off = fabs(hak_chance_of(bytes, RATE) / right - 1);
        worst = off > worst ? off : worst;
    }
    EXPECT(worst < 1e-9);
    EXPECT(hak_chance_of((size_t)1 << 62, 1) == 1);
}

/* Mean and variance of an exponential distribution: the rate, and its square. */
static void distances(void)
{
    enum { DRAWS = 200000 };
    uint64_t state = 88172645463325252u;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double bytes = hak_chance_bytes(&state, RATE) / RATE;
        EXPECT(bytes >= 0);
        sum += bytes;
        squares += bytes * bytes;
    }
    double mean = sum / DRAWS;
    EXPECT(fabs(mean - 1) < 4 / sqrt(DRAWS));
    EXPECT(fabs(squares / DRAWS - mean * mean - 1) < 4 * sqrt(8. / DRAWS));
}

/* As the library does it: each draw has a state of its own, made from a number that counts up. */
static void draws_of_neighbours(void)
{
    enum { DRAWS = 200000 };
    double sum = 0;
    double products = 0;
    double last = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t state = UINT64_C(0x123456789abcdef) + i;
        double bytes = hak_chance_bytes(hak_chance_scatter(&state), 1);
        sum += bytes;
        products += (bytes - 1) * (last - 1);
        last = bytes;
    }
    EXPECT(fabs(sum / DRAWS - 1) < 4 / sqrt(DRAWS));
    EXPECT(fabs(products / DRAWS) < 5 / sqrt(DRAWS));
}

/* Objects that are counted down by their bytes are hit as often as hak_chance_of says. */
static void counting_down(void)
{
    enum { OBJECTS = 3000000, SIZE = 4096 };
    uint64_t state = 2463534242u;
    double left = hak_chance_bytes(&state, RATE);
    unsigned hits = 0;
    for (int i = 0; i < OBJECTS; i++) {
        left -= SIZE;
        if (left < 0) {
            hits++;
            left = hak_chance_bytes(&state, RATE);
        }
    }
    double chance = hak_chance_of(SIZE, RATE);
    EXPECT(fabs(hits - OBJECTS * chance) < 4 * sqrt(OBJECTS * chance));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"logarithms agree with libm", logarithms},
        {"chances agree with libm", chances},
        {"distances are exponential", distances},
        {"draws of neighbouring states are unrelated", draws_of_neighbours},
        {"objects are hit in proportion to their size", counting_down},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
