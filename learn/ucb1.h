/* SPDX-License-Identifier: MIT */
/* UCB1: which of several arms to play next, when only the one played shows its reward. A reward is
 * between 0 and 1. The owner of the structure alone writes it and reads it; nothing is shared.
 *
 * The arm with the greatest upper confidence bound is played, mean + sqrt(2 ln(total) / plays): a
 * good arm because its mean is great, a little known one because its bound is. An inferior arm is
 * played about 8 ln(total) / gap^2 times and no more: P. Auer, N. Cesa-Bianchi, P. Fischer,
 * "Finite-time Analysis of the Multiarmed Bandit Problem" (Machine Learning 47, 2002). When what
 * arms pay changes, the old counts for less: A. Garivier, E. Moulines, "On Upper-Confidence Bound
 * Policies for Switching Bandit Problems" (ALT 2011), whose bound is this one with xi = 1/2. */
#ifndef HAK_LEARN_UCB1_H
#define HAK_LEARN_UCB1_H

enum {
    HAK_UCB1_ARMS = 8    /* at most */
};

struct hak_ucb1 {
    unsigned arms;                    /* in use; constant after start */
    double plays[HAK_UCB1_ARMS];      /* how often each was played, discounted; 0: never */
    double rewards[HAK_UCB1_ARMS];    /* what each brought in, discounted; at most its plays */
};

/* Nothing is known of any arm; 1 <= arms <= HAK_UCB1_ARMS. */
void hak_ucb1_start(struct hak_ucb1 *ucb1, unsigned arms);

/* The upper confidence bound of an arm; of one that was never played, greater than all others. */
double hak_ucb1_bound(const struct hak_ucb1 *ucb1, unsigned arm);

/* The arm to play: one never played if there is one, else that with the greatest bound; the first
 * if there are several. */
unsigned hak_ucb1_choose(const struct hak_ucb1 *ucb1);

/* Counts a play of arm < arms and its reward, after all that was counted before is multiplied by
 * discount: 1 is plain UCB1, 0.99 remembers about 100 plays. An arm of which next to nothing is
 * left counts as never played. A reward below 0 counts as 0, one above 1 as 1. */
void hak_ucb1_reward(struct hak_ucb1 *ucb1, unsigned arm, double reward, double discount);

#endif
