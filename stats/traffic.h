/* SPDX-License-Identifier: MIT */
/* Which shards a shard exchanges objects with, and how many objects: counted with bundles, on slow
 * paths. Bounded: peers beyond the table share one entry, of id 0. Any thread adds; readers read
 * without stopping it.
 *
 * An entry is found by its id: the search begins at the place that the id gives. One
 * compare-and-swap claims an entry, which is never given up. */
#ifndef HAK_STATS_TRAFFIC_H
#define HAK_STATS_TRAFFIC_H

#include <stdint.h>

#include "os/compiler.h"

enum {
    HAK_TRAFFIC_PEERS = 32,
    HAK_TRAFFIC_TRIES = 4,
};

/* What was done with objects of the peer. */
enum hak_traffic_kind {
    HAK_TRAFFIC_POSTED,  /* freed here and sent home */
    HAK_TRAFFIC_ADOPTED, /* freed here and kept */
    HAK_TRAFFIC_STOLEN,  /* taken from its caches and slabs for a refill */
    HAK_TRAFFIC_KINDS
};

struct hak_traffic_peer {
    uint32_t id; /* of the shard; 0: free. Atomic */
    uint32_t reserved;
    uint64_t objects[HAK_TRAFFIC_KINDS]; /* relaxed */
};

/* All zero: nothing so far. The last entry is that of all others. */
struct hak_traffic {
    struct hak_traffic_peer peers[HAK_TRAFFIC_PEERS + 1];
};

static inline struct hak_traffic_peer *hak_traffic_peer(struct hak_traffic *traffic, uint32_t id)
{
    for (unsigned try = 0; try < HAK_TRAFFIC_TRIES; try++) {
        struct hak_traffic_peer *peer = &traffic->peers[(id + try) % HAK_TRAFFIC_PEERS];
        /* relaxed, both: the entry is its own memory, and zero before */
        uint32_t seen = __atomic_load_n(&peer->id, __ATOMIC_RELAXED);
        if (seen == 0 && __atomic_compare_exchange_n(&peer->id, &seen, id, 0, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED))
            return peer;
        if (seen == id)
            return peer;
    }
    return &traffic->peers[HAK_TRAFFIC_PEERS];
}

/* Adds `objects` that were exchanged with the shard `id` (not 0). */
static inline void hak_traffic_count(struct hak_traffic *traffic, enum hak_traffic_kind kind,
                                     uint32_t id, uint64_t objects)
{
    /* relaxed: a figure */
    __atomic_fetch_add(&hak_traffic_peer(traffic, id)->objects[kind], objects, __ATOMIC_RELAXED);
}

#endif
