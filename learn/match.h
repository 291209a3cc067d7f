/* SPDX-License-Identifier: MIT */
/* The learner's tick, and how much it lets a cache keep. Under the lock of the cache that the
 * learner serves. */
#ifndef HAK_LEARN_MATCH_H
#define HAK_LEARN_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/learner.h"

/* Adds up costs, plays the matches, and changes the numbers. most: bytes that the cache may ever
 * keep. */
void hak_learner_tick(struct hak_learner *learner, const struct hak_settings *settings, size_t most,
                      uint64_t now_ns);

/* Dirty bytes that the cache may keep now, of the `most` that it may ever keep: 16 MiB, and more
 * where that paid, as far as the program asked for it again within the last time of decay. */
size_t hak_learner_retain(struct hak_learner *learner, const struct hak_settings *settings,
                          size_t most);

/* Called if the cache holds more. True if it may keep more from now on: purged memory was missed,
 * or what it keeps is worth its price. */
bool hak_learner_grow_retain(struct hak_learner *learner, const struct hak_settings *settings,
                             size_t most);

#endif
