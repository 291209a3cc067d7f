/* SPDX-License-Identifier: MIT */
/* The samples of a learner, for learner.c and match.c. Under the lock of the cache that it
 * serves. */
#ifndef HAK_LEARN_LEARNER_SAMPLE_H
#define HAK_LEARN_LEARNER_SAMPLE_H

#include "learn/learner.h"

/* The link that leads to the open sample of the id, to 0 if there is none. */
uint16_t *hak_learn_find_sample(struct hak_learner *learner, uintptr_t id);

/* NULL when too many are open. */
struct hak_learn_sample *hak_learn_new_sample(struct hak_learner *learner, uintptr_t id);

/* Drops the sample at the link. */
void hak_learn_drop_sample(struct hak_learner *learner, uint16_t *link);

/* Adds the cost of a sample since the last such call to the match of its key. */
void hak_learn_account(struct hak_learner *learner, struct hak_learn_sample *sample,
                       uint64_t now_ns, enum hak_cost_end end);

/* The same for all open samples; forgets those that lay so long that no arm differs from another
 * any more. */
void hak_learn_account_open(struct hak_learner *learner, uint64_t now_ns);

#endif
