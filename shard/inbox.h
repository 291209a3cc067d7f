/* SPDX-License-Identifier: MIT */
/* The inbox: a list of bundles of all classes that other shards send home. Any thread posts a
 * bundle by one compare-and-swap; a thread that needs objects takes the whole list by one exchange.
 * There is no ABA problem: no thread removes a single element, so a compare-and-swap that finds an
 * address again links to the bundle that is there now. The head is the newest bundle; bundles link
 * as in tiers/object.h. */
#ifndef HAK_SHARD_INBOX_H
#define HAK_SHARD_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"
#include "os/inject.h"
#include "os/lock.h"
#include "tiers/object.h"

struct hak_inbox {
    struct hak_bundle head;
} __attribute__((aligned(HAK_CACHE_LINE)));

/* Bundles that were collected and wait to be sorted, a portion at a time, linked as in the inbox. A
 * refill, a drain or a tick continues here before it collects the inbox. One thread at a time does
 * so; others treat both as empty meanwhile. */
struct hak_backlog {
    struct hak_lock sorting; /* only ever tried */
    struct hak_bundle head;  /* written under sorting, read by all; relaxed */
};

static inline void hak_inbox_post(struct hak_inbox *inbox, struct hak_bundle bundle)
{
    /* relaxed: only stored as a link */
    struct hak_bundle head = {__atomic_load_n(&inbox->head.word, __ATOMIC_RELAXED)};
    do {
        hak_bundle_set_next(hak_bundle_top(bundle), head);
        hak_inject();
        /* release: pairs with the acquire in hak_inbox_collect; links are seen with the bundle */
    } while (!__atomic_compare_exchange_n(&inbox->head.word, &head.word, bundle.word, 1,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static inline bool hak_inbox_is_empty(const struct hak_inbox *inbox)
{
    /* relaxed: a hint; the next call finds what arrives meanwhile */
    return __atomic_load_n(&inbox->head.word, __ATOMIC_RELAXED) == 0;
}

static inline bool hak_backlog_is_empty(const struct hak_backlog *backlog)
{
    /* relaxed: a hint */
    return __atomic_load_n(&backlog->head.word, __ATOMIC_RELAXED) == 0;
}

/* All bundles, newest first; HAK_NO_BUNDLE: none. */
static inline struct hak_bundle hak_inbox_collect(struct hak_inbox *inbox)
{
    if (hak_inbox_is_empty(inbox))
        return HAK_NO_BUNDLE;
    /* acquire: pairs with the release in hak_inbox_post */
    return (struct hak_bundle){__atomic_exchange_n(&inbox->head.word, 0, __ATOMIC_ACQUIRE)};
}

#endif
