/* SPDX-License-Identifier: MIT */
/* Kernel pages inside slabs that hold nothing but free objects go back to the kernel, by madvise
 * alone: the number of mappings stays. The slab remembers them as holes (slab.h).
 *
 * Slabs to which objects came back wait in a list of their bin for a look, those looked at longest
 * ago first. A look notes which pages are free; pages that were free at the last look, a time of
 * decay ago, are given back unless anything was taken from the slab since: then all its pages begin
 * anew. A slab without such pages leaves the list until the next object comes back.
 *
 * Who may: the bits of a slab change under its bin's lock alone, and that is held over the look and
 * over madvise, so that no object of the page can be taken meanwhile. An object in a front, bundle
 * or inbox has no bit, so a page that holds somebody's link is never free. A popper that peeks
 * (shard/transfer_cache.h) sees zeros there, and fails.
 *
 * Bounds: a tick gives back HAK_HOLES_TICK_CALLS runs of pages, of HAK_HOLES_TICK_PAGES pages, and
 * looks at HAK_HOLES_TICK_LOOKS slabs at the most: some 40 us. Only hak_pool_holes_purge goes on to
 * the end, in such portions, between which others get the lock. What the kernel refuses waits for
 * its next turn; after a refusal no tick tries for a second.
 *
 * Where huge pages were asked for, ticks give back nothing that is inside a slab, and a purge only
 * what lies in slabs of whose pages at least half are free: what is mostly in use stays whole.
 *
 * Any thread; enter and leave under the bin's lock, the others under none. */
#ifndef HAK_TIERS_POOL_HOLES_H
#define HAK_TIERS_POOL_HOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "tiers/pool.h"

enum {
    HAK_HOLES_TICK_CALLS = 16,
    HAK_HOLES_TICK_PAGES = 256,
    HAK_HOLES_TICK_LOOKS = 64,
};

/* An object came back to a slab that does not wait. */
void hak_pool_holes_enter(struct hak_pool *pool, struct hak_pool_bin *bin, struct hak_slab *slab);

/* Nothing of the slab is free, or all of it, and it goes; also if it does not wait. */
void hak_pool_holes_leave(struct hak_pool_bin *bin, struct hak_slab *slab);

/* A portion of what is due, or near the limit of memory of what is free. Whether more is. */
bool hak_pool_holes_tick(struct hak_pool *pool, const struct hak_policy *policy, uint64_t now_ns);

/* All that is free. Bytes. */
size_t hak_pool_holes_purge(struct hak_pool *pool);

#endif
