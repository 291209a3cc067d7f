/* SPDX-License-Identifier: MIT */
/* UCB1: which of several arms to play next, when only the arm played shows its reward, from 0 to 1.
 * Only the owner of the structure writes and reads it.
 *
 * It plays the arm with the highest upper confidence bound, mean + sqrt(2 ln(total) / plays): a
 * good arm has a high mean, a little-known arm a wide bound. An inferior arm is played about 8
 * ln(total) / gap^2 times: P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time Analysis of the
 * Multiarmed Bandit Problem" (Machine Learning 47, 2002). Old plays are discounted, since rewards
 * change: A. Garivier, E. Moulines, "On Upper-Confidence Bound Policies for Switching Bandit
 * Problems" (ALT 2011), whose bound is this one with xi = 1/2. */
#ifndef HAK_LEARN_UCB1_H
#define HAK_LEARN_UCB1_H

enum {
    HAK_UCB1_ARMS = 8 /* at most */
};

struct hak_ucb1 {
    unsigned arms;                 /* in use; constant after start */
    double plays[HAK_UCB1_ARMS];   /* plays of each, discounted; 0: never */
    double rewards[HAK_UCB1_ARMS]; /* rewards of each, discounted; at most its plays */
};

/* Starts with no arm played; 1 <= arms <= HAK_UCB1_ARMS. */
void hak_ucb1_start(struct hak_ucb1 *ucb1, unsigned arms);

/* The upper confidence bound of an arm; DBL_MAX for an arm that was never played. */
double hak_ucb1_bound(const struct hak_ucb1 *ucb1, unsigned arm);

/* The arm to play: one never played if there is one, else the one with the highest bound; the first
 * of equals. */
unsigned hak_ucb1_choose(const struct hak_ucb1 *ucb1);

/* Discounts all earlier plays (1 is plain UCB1; 0.99 remembers about 100 plays), then counts a play
 * of arm < arms and its reward. An arm with almost nothing left counts as never played. Rewards are
 * clamped to 0 .. 1. */
void hak_ucb1_reward(struct hak_ucb1 *ucb1, unsigned arm, double reward, double discount);

#endif
