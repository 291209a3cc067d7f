/* SPDX-License-Identifier: MIT */
/* Elo ratings: which of several players does best, from rounds in which each had a cost. Pure
 * functions of their arguments; any thread, while no other writes the same ratings.
 *
 * Arpad E. Elo, "The Rating of Chessplayers, Past and Present" (1978), with fractional scores: the
 * costs of the two players divide the point of a match. When every match's score is the expected
 * one, two ratings lie 400 * log10(cost ratio) apart: ten times the cost is 400 points less. Costs
 * more than 10^5 apart keep driving the ratings apart, by at most k / 10^5 a round. */
#ifndef HAK_LEARN_ELO_H
#define HAK_LEARN_ELO_H

enum {
    HAK_ELO_START = 1500, /* the rating of an unknown player */
    HAK_ELO_PLAYERS = 16, /* at most in a round */
};

/* The expected score of a match: 1 / (1 + 10^((other - own) / 400)), to within 1e-8. Ratings more
 * than 2000 apart count as 2000 apart. */
double hak_elo_expected(double own, double other);

/* The score of a match between two costs, neither negative: the other's share of their sum, so the
 * cheaper player gets more than half of the point. Two costs of 0 draw. */
double hak_elo_score(double own_cost, double other_cost);

/* A round robin: every pair meets once, and all expectations use the ratings before the round. A
 * player's matches share k, so a round moves no rating by more than k; gains equal losses, so the
 * sum of the ratings is constant. Does nothing for fewer than two or more than HAK_ELO_PLAYERS
 * players. */
void hak_elo_play(double *ratings, const double *costs, unsigned count, double k);

/* Moves the ratings of at least one player towards their mean by share, 0 to 1: after a change of
 * regime old results count less. */
void hak_elo_pull(double *ratings, unsigned count, double share);

/* The player with the highest rating; the first of equals. */
unsigned hak_elo_best(const double *ratings, unsigned count);

#endif
