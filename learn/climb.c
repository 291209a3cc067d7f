/* SPDX-License-Identifier: MIT */
/* Three points of a geometric grid, and which of them to be at; for whoever owns the structure. */
#include "learn/climb.h"

void hak_climb_start(struct hak_climb *climb, double value, double least, double most, double step)
{
    double begin = value < most ? value : most;
    climb->value = begin > least ? begin : least;
    climb->least = least;
    climb->most = most;
    climb->step = step;
    climb->here = 0;
    climb->below = 0;
    climb->above = 0;
    climb->rounds = 0;
}

double hak_climb_below(const struct hak_climb *climb)
{
    double below = climb->value / climb->step;
    return below > climb->least ? below : climb->least;
}

double hak_climb_above(const struct hak_climb *climb)
{
    double above = climb->value * climb->step;
    return above < climb->most ? above : climb->most;
}

void hak_climb_observe(struct hak_climb *climb, double cost_below, double cost_here,
                       double cost_above)
{
    climb->below += cost_below;
    climb->here += cost_here;
    climb->above += cost_above;
    climb->rounds++;
}

int hak_climb_move(struct hak_climb *climb, double margin)
{
    double enough = climb->here * (1 - margin);
    /* At a limit the neighbour is the value itself, and what it cost differs by noise alone. */
    int down = hak_climb_below(climb) < climb->value && climb->below < enough;
    int up = hak_climb_above(climb) > climb->value && climb->above < enough;
    if (down && up) {
        down = climb->below <= climb->above;
        up = !down;
    }
    if (down || up) {
        double value = down ? hak_climb_below(climb) : hak_climb_above(climb);
        hak_climb_start(climb, value, climb->least, climb->most, climb->step);
        return down ? -1 : 1;
    }
    climb->here /= 2;
    climb->below /= 2;
    climb->above /= 2;
    climb->rounds -= climb->rounds / 2; /* upwards, for the half round that is left of one */
    return 0;
}
