/* SPDX-License-Identifier: MIT */
/* One number bounds what all caches of a heap together may keep from the kernel: runs, whales and
 * empty slabs. A cache with unused memory claims part of it, and gives back what it no longer
 * needs. So a single busy cache may have all of it, and many idle ones nothing.
 *
 *   allowed = the first 16 MiB, or 4 MiB for each cache that lately had a claim, up to the number
 *             of CPUs, if that is more; and what was found to be asked for again. Never more than
 *             HAKMEM_RETAIN. Without learners: that.
 *
 * A claim belongs to one cache and is under its lock. It changes when the cache has more than it
 * claimed, and once in a time of decay. A refused cache counts the refusal, and then caches that
 * claimed more than their part give up some at each tick. Claims never exceed what is allowed when
 * they are made. No lock: of several claims at once, one always succeeds. Any thread. */
#ifndef HAK_LEARN_CREDIT_H
#define HAK_LEARN_CREDIT_H

#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"

enum {
    HAK_CREDIT_FIRST = 16 * 1024 * 1024,
    HAK_CREDIT_EACH = 4 * 1024 * 1024,
};

/* All zero: nothing is allowed. All fields relaxed: numbers, which publish nothing else. */
struct hak_credit {
    size_t most;      /* HAKMEM_RETAIN */
    size_t cpus;      /* that the shards are for */
    size_t claimed;   /* by all caches */
    size_t granted;   /* to all caches, beyond the first */
    uint32_t holders; /* caches with a claim */
    uint32_t seats;   /* as many as there were lately: see hak_credit_turn */
    uint32_t refused; /* claims refused so far */
};

/* A cache's part; under its lock. All zero: none. */
struct hak_claim {
    size_t bytes;
    size_t granted;
    uint32_t refused; /* refusals that it has seen */
};

/* Claims this many bytes more, all or none: 1 or 0. Settings without a credit allow all. retain:
 * what the cache's learner would let it keep. */
int hak_credit_claim(const struct hak_settings *settings, struct hak_claim *claim, size_t bytes,
                     size_t retain);

/* Gives back the claims above this many bytes, and notes for the others what the learner lets this
 * cache keep. */
void hak_credit_give_back(const struct hak_settings *settings, struct hak_claim *claim,
                          size_t bytes, size_t retain);

/* A cache's time of decay has ended: one holder that is gone no longer counts. Holders that come
 * and go would otherwise take from what the others were allowed, who would purge, and fault in
 * anew. */
void hak_credit_turn(const struct hak_settings *settings);

/* Bytes claimed beyond what is allowed: less may be allowed now than when they were claimed. */
size_t hak_credit_excess(const struct hak_settings *settings);

/* Bytes that the cache may go on keeping: its claim, or less if other caches with less than their
 * part were refused. */
size_t hak_credit_fair(const struct hak_settings *settings, struct hak_claim *claim);

#endif
