/* SPDX-License-Identifier: MIT */
/* Regions: memory from the kernel, aligned to 2 MiB and bound to the node of the shard that asks.
 * The page map covers it (hak_page_map_cover), but has no entries for it yet. Any thread. */
#ifndef HAK_TIERS_REGION_H
#define HAK_TIERS_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/memory.h"
#include "stats/counters.h"

struct hak_terms;

enum { HAK_REGION_SHIFT = 21, HAK_REGION_SIZE = 1 << HAK_REGION_SHIFT };

/* The shard that memory is mapped for: all that a tier needs to know of it. */
struct hak_region_source {
    struct hak_counters *counters; /* of the shard */
    int node;                      /* NUMA node by the kernel's id, or HAK_NODE_ANY */
    uint16_t home;                 /* id of the shard */
    struct hak_terms *terms;       /* of a heap that the program made (terms.h); else NULL */
};

/* Sets what regions mapped from now on ask for: transparent huge pages, none, or nothing. Only the
 * starting thread calls this. */
void hak_region_set_huge(enum hak_os_huge huge);

/* Returns zeroed memory that the page map covers, or NULL if the kernel refuses. size: a multiple
 * of HAK_REGION_SIZE. */
void *hak_region_map(const struct hak_region_source *source, size_t size);

/* The unit of purges, in bytes: a kernel page, or a huge page where those were asked for, since a
 * huge page that is broken up costs faults and gives back little. Only a trim purges less. */
size_t hak_region_purge_step(void);

/* Whether large segments and whales try explicit huge pages first. Only the starting thread sets
 * this. */
void hak_region_set_hugetlb(bool wanted);
bool hak_region_wants_hugetlb(void);

/* Returns fresh memory of explicit huge pages, bound and counted, which the page map does not cover
 * yet; NULL if no option asked for them, or if there are none (which is counted). size: a multiple
 * of HAK_REGION_SIZE. */
void *hak_region_take_hugetlb(const struct hak_region_source *source, size_t size);

/* As hak_region_map, but tries explicit huge pages first. *is_hugetlb tells whether the memory
 * consists of them; it can then only be given back as a whole. huge: what to ask for if
 * hak_region_set_huge set nothing. */
void *hak_region_map_large(const struct hak_region_source *source, size_t size,
                           enum hak_os_huge huge, bool *is_hugetlb);

/* Asks for huge pages, or for none, as hak_region_set_huge says, for memory that is no region (a
 * whale): before its first touch, and when it has grown. */
void hak_region_advise(void *memory, size_t size);

/* Binds fresh memory that is no region (a whale) as hak_region_map does, before its first touch.
 * Returns false if the node has no room and its memory must not spill to other nodes. */
bool hak_region_bind(const struct hak_region_source *source, void *memory, size_t size);

static inline int hak_region_source_node(const struct hak_region_source *source)
{
    /* relaxed: re-sharding may change it; memory is then mapped for the old node or the new one */
    return __atomic_load_n(&source->node, __ATOMIC_RELAXED);
}

/* size: as it was mapped. The caller has cleared the entries of the page map. Address space that
 * the kernel will not unmap serves later maps (os/kept.h). */
void hak_region_unmap(const struct hak_region_source *source, void *region, size_t size);

/* The same for memory that may consist of explicit huge pages. */
void hak_region_unmap_large(const struct hak_region_source *source, void *region, size_t size,
                            enum hak_os_pages_kind kind);

#endif
