/* SPDX-License-Identifier: MIT */
/* The inbox: bundles that came home, of all classes, in one word. Anybody posts by one
 * compare-and-swap a bundle; whoever runs empty takes all of it by one exchange. Push and take-all
 * alone know no ABA: nobody ever removes a single element, so a compare-and-swap that succeeds on
 * an address that went and came again links to what is really there.
 *
 *     head: address of the newest bundle's top object:48 | objects in it:16, linked as in object.h
 */
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

/* What was collected and waits to be sorted, a portion at a time: bundles as the inbox links them.
 * Whoever runs empty, or drains, or ticks, goes on with it before the inbox; one at a time, and who
 * finds another at it takes it for empty. */
struct hak_backlog {
    struct hak_lock sorting;    /* only ever tried */
    struct hak_bundle head;     /* written under sorting; others may look, relaxed */
};

static inline void hak_inbox_post(struct hak_inbox *inbox, struct hak_bundle bundle)
{
    /* relaxed: only handed on */
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
    /* relaxed: a look; what arrives meanwhile is found the next time */
    return __atomic_load_n(&inbox->head.word, __ATOMIC_RELAXED) == 0;
}

static inline bool hak_backlog_is_empty(const struct hak_backlog *backlog)
{
    /* relaxed: a look */
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
