/* SPDX-License-Identifier: MIT */
/* Regions: 2 MiB-aligned memory straight from the kernel, entered in the page map's reach (not in
 * the map itself) and bound to the node of the shard that asks. Any thread. */
#ifndef HAK_TIERS_REGION_H
#define HAK_TIERS_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "os/memory.h"
#include "stats/counters.h"

enum {
    HAK_REGION_SHIFT = 21,
    HAK_REGION_SIZE = 1 << HAK_REGION_SHIFT
};

/* For whom memory is mapped: all that a tier must know of its shard. */
struct hak_region_source {
    struct hak_counters *counters;   /* where it is counted */
    int node;                        /* NUMA node by the kernel's id, or HAK_NODE_ANY */
    uint16_t home;                   /* id of the shard */
};

/* Whether regions mapped from now on ask for transparent huge pages; by the starting thread. */
void hak_region_set_huge(enum hak_os_huge huge);

/* size: a multiple of HAK_REGION_SIZE. Zero memory, covered by the page map; NULL when refused. */
void *hak_region_map(const struct hak_region_source *source, size_t size);

/* Bytes in whose multiples memory is to be purged, unless all of it is wanted back: a huge page
 * that is broken up was taken in vain. */
size_t hak_region_purge_step(void);

/* Whether large segments and whales are tried with explicit huge pages first; by the starting
 * thread. */
void hak_region_set_hugetlb(int wanted);
int hak_region_wants_hugetlb(void);

/* Fresh memory of explicit huge pages, bound and counted, but not covered by the page map; NULL: it
 * is not wanted, or there is none (which is counted). size: a multiple of HAK_REGION_SIZE. */
void *hak_region_take_hugetlb(const struct hak_region_source *source, size_t size);

/* As hak_region_map, but tries explicit huge pages first. *is_hugetlb: it is of those, and is to be
 * given back as a whole. huge: what to ask for where nothing was set for all. */
void *hak_region_map_large(const struct hak_region_source *source, size_t size,
                           enum hak_os_huge huge, int *is_hugetlb);

/* Memory of another kind than regions (a whale), before its first touch or when it has grown: asks
 * for huge pages, or for none, as was set. */
void hak_region_advise(void *memory, size_t size);

/* Fresh memory of another kind than regions (a whale): binds it as hak_region_map does, before its
 * first touch. 1; or 0: the node has no room and must not be spilled from. */
int hak_region_bind(const struct hak_region_source *source, void *memory, size_t size);

static inline int hak_region_source_node(const struct hak_region_source *source)
{
    /* relaxed: re-sharding may change it; memory is then mapped for the old node or the new one */
    return __atomic_load_n(&source->node, __ATOMIC_RELAXED);
}

/* The same size as mapped. Entries of the page map must have been cleared by the caller. What the
 * kernel will not unmap serves other maps (os/kept.h). */
void hak_region_unmap(const struct hak_region_source *source, void *region, size_t size);

/* The same of memory that may be of explicit huge pages. */
void hak_region_unmap_large(const struct hak_region_source *source, void *region, size_t size,
                            enum hak_os_pages_kind kind);

#endif
