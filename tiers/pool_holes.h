/* SPDX-License-Identifier: MIT */
/* Kernel pages inside slabs that hold only free objects go back to the kernel by madvise, which
 * does not change the number of mappings. The slab remembers them as holes (slab.h).
 *
 * A slab to which an object came back waits in a list of its bin to be searched, those searched
 * longest ago first. A search notes which pages are free. A page that was free at the last search,
 * a time of decay ago, is purged, unless objects were taken from the slab since: then the time
 * begins again for all its pages. A slab without free pages leaves the list until the next object
 * comes back.
 *
 * Why this is safe: the bits of a slab change only under its bin's lock, which is held over search
 * and madvise, so no thread takes an object of the page meanwhile. An object in a front, bundle or
 * inbox has no bit, so a page that holds a link is never free. A thread that peeks while it pops
 * (shard/transfer_cache.h) sees zeros there, and its pop fails.
 *
 * Bounds: a tick purges at most HAK_HOLES_TICK_CALLS runs of pages and HAK_HOLES_TICK_PAGES pages,
 * and searches at most HAK_HOLES_TICK_LOOKS slabs, in about 40 us. Only hak_pool_holes_purge goes
 * on to the end, in such portions, between which other threads get the lock. Pages that the kernel
 * refuses to purge wait for their next turn; after a refusal ticks try nothing for a second.
 *
 * If huge pages were asked for, ticks purge nothing inside slabs, and a purge only slabs of which
 * at least half the pages are free: a huge page that is mostly in use stays whole.
 *
 * Any thread; enter and leave under the bin's lock, the others under none. */
#ifndef HAK_TIERS_POOL_HOLES_H
#define HAK_TIERS_POOL_HOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"
#include "tiers/pool.h"

enum {
    HAK_HOLES_TICK_CALLS = 16,
    HAK_HOLES_TICK_PAGES = 256,
    HAK_HOLES_TICK_LOOKS = 64,
};

/* An object came back to a slab that is not in the list. */
void hak_pool_holes_enter(struct hak_pool *pool, struct hak_pool_bin *bin, struct hak_slab *slab);

/* The slab is full, or empty and leaves the bin. It need not be in the list. */
void hak_pool_holes_leave(struct hak_pool_bin *bin, struct hak_slab *slab);

/* Purges a portion of the pages that are due; near the limit of memory, of all that are free.
 * Returns whether more are due. If so, and no object was taken out of a hole since the last tick,
 * the pool hurries: the next tick may come sooner (hak_shard_hurry), at no cost in page faults. */
bool hak_pool_holes_tick(struct hak_pool *pool, const struct hak_settings *settings,
                         uint64_t now_ns);

/* Purges all free pages. Returns bytes. */
size_t hak_pool_holes_purge(struct hak_pool *pool);

#endif
