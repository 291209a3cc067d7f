/* SPDX-License-Identifier: MIT */
/* Elo ratings: which of several players does best, from rounds in which each had a cost. Pure
 * functions of their arguments; any thread, as long as nobody else writes the same ratings.
 *
 * Arpad E. Elo, "The Rating of Chessplayers, Past and Present" (1978), with fractional scores: a
 * match is not won or lost, its point is divided by the costs of the two. When every match's score
 * is what was expected of it, two ratings lie 400 * log10(cost ratio) apart: ten times the cost is
 * 400 points less. Costs more than 10^5 apart go on driving the ratings apart, by at most k / 10^5
 * a round. */
#ifndef HAK_LEARN_ELO_H
#define HAK_LEARN_ELO_H

enum {
    HAK_ELO_START = 1500,    /* the rating of a player that nothing is known of */
    HAK_ELO_PLAYERS = 16,    /* at most in a round */
};

/* The score that a player can expect of a match: 1 / (1 + 10^((other - own) / 400)), off by less
 * than 1e-8. Ratings more than 2000 apart count as 2000 apart. */
double hak_elo_expected(double own, double other);

/* The score of a match between two costs, neither negative: the other's share of their sum, so the
 * cheaper one has more than half of the point. Two that cost nothing draw. */
double hak_elo_score(double own_cost, double other_cost);

/* A round robin: every pair meets once, and all expectations are of the ratings before the round.
 * The matches of a player share k, so a round moves nobody by more than k; what one gains others
 * lose, so the sum of the ratings is kept. Fewer than two players, or more than HAK_ELO_PLAYERS, do
 * not play. */
void hak_elo_play(double *ratings, const double *costs, unsigned count, double k);

/* Moves the ratings, of one player at least, towards their mean by share, 0 to 1: what was learned
 * counts for less when the regime has changed. */
void hak_elo_pull(double *ratings, unsigned count, double share);

/* The player with the greatest rating, the first if there are several. */
unsigned hak_elo_best(const double *ratings, unsigned count);

#endif
