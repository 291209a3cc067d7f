/* SPDX-License-Identifier: MIT */
/* Climbs to the value of a number at which a cost is least, one step of a geometric grid at a time:
 * the caller lets its neighbours below and above be tried beside it, reports what the three cost,
 * and asks for a move. The owner of the structure alone writes it and reads it.
 *
 * G. E. P. Box, "Evolutionary Operation: A Method for Increasing Industrial Productivity" (Applied
 * Statistics 6, 1957): a running plant is varied a little around where it works, the results of
 * rounds add up until a difference stands out of the noise, and the best point tried is where it
 * works from then on. Here old rounds fade instead, by half at each move not made. */
#ifndef HAK_LEARN_CLIMB_H
#define HAK_LEARN_CLIMB_H

struct hak_climb {
    double value;       /* where we are; from least to most */
    double least;       /* greater than 0; constant after start, as the next two */
    double most;
    double step;        /* greater than 1: the ratio of neighbours */
    double here;        /* sums of the costs observed: at value, */
    double below;       /* at the neighbour below it */
    double above;       /* and at that above it */
    unsigned rounds;    /* in the sums, for a caller that waits for enough; halved as they are */
};

/* Begins at value, or at the limit that it is beyond. */
void hak_climb_start(struct hak_climb *climb, double value, double least, double most, double step);

/* The neighbours of the value: a step away, or the limit before it. */
double hak_climb_below(const struct hak_climb *climb);
double hak_climb_above(const struct hak_climb *climb);

/* Adds a round: what the three values cost, none of it negative, each for the same work. */
void hak_climb_observe(struct hak_climb *climb, double cost_below, double cost_here,
                       double cost_above);

/* Moves to the cheaper neighbour (that below, if they are equal) when it costs less than here by
 * more than margin, a share such as 0.02; never beyond a limit. Returns the direction: -1, 0 or 1.
 * A move forgets what was observed, for its neighbours are others; otherwise that is halved. */
int hak_climb_move(struct hak_climb *climb, double margin);

#endif
