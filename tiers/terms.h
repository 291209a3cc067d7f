/* SPDX-License-Identifier: MIT */
/* The terms on which a heap that the program made has its memory: how many bytes at most, on which
 * nodes, of which pages. Every mapping of the heap passes here, so the limit is exact. Any thread;
 * no lock. */
#ifndef HAK_TIERS_TERMS_H
#define HAK_TIERS_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "os/memory.h"
#include "os/numa.h"
#include "topology/bind.h"

/* The first group is constant while the heap lives. */
struct hak_terms {
    size_t limit;              /* bytes that may be mapped; 0: no limit */
    size_t soft_limit;         /* bytes from which on the program is told; 0: never */
    struct hak_os_nodes nodes; /* for `manner` */
    enum hak_bind_manner manner;
    uint8_t chooses_nodes; /* 0: as the default heap does */
    uint8_t wants_hugetlb; /* explicit huge pages for runs */
    uint8_t is_dumped;     /* in core dumps */
    uint8_t populates;     /* makes memory present when it is mapped */
    enum hak_os_huge huge;

    size_t mapped; /* relaxed, all that follows */
    size_t peak;
    uint64_t refused; /* mappings beyond the limit */
    uint32_t claims;  /* mappings within it */
    uint32_t exceeds; /* 1: the soft limit is exceeded, and a caller was told */
};

/* Whether explicit huge pages can be used, which are given back only as a whole. */
enum hak_terms_huge { HAK_TERMS_NO_HUGETLB, HAK_TERMS_MAY_HUGETLB };

struct hak_terms_memory {
    void *address; /* NULL: none */
    enum hak_os_pages_kind kind;
};

/* Zero memory at a multiple of HAK_REGION_SIZE, bound before its first touch; `node`: the shard's.
 * The page map does not know it yet. NULL: beyond the limit, or the kernel refuses. */
struct hak_terms_memory hak_terms_map(struct hak_terms *terms, int node, size_t size,
                                      enum hak_terms_huge huge);

/* Notes that this many bytes are no longer mapped. */
void hak_terms_give_back(struct hak_terms *terms, size_t size);

/* Bytes mapped, a moment ago. */
static inline size_t hak_terms_mapped(const struct hak_terms *terms)
{
    return __atomic_load_n(&terms->mapped, __ATOMIC_RELAXED); /* relaxed: a figure */
}

/* Mappings that the limit refused, a moment ago. */
static inline uint64_t hak_terms_refused(const struct hak_terms *terms)
{
    return __atomic_load_n(&terms->refused, __ATOMIC_RELAXED); /* relaxed: a figure */
}

/* Whether the soft limit is exceeded and no caller was told, a moment ago. relaxed: a hint */
static inline bool hak_terms_seem_exceeded(const struct hak_terms *terms)
{
    return hak_terms_mapped(terms) >= terms->soft_limit &&
           __atomic_load_n(&terms->exceeds, __ATOMIC_RELAXED) == 0;
}

/* Whether the soft limit is exceeded and no caller was told since the heap last was below it.
 * Returns true to one caller. */
bool hak_terms_exceed_soft_limit(struct hak_terms *terms);

/* The same, at the cost of one test if there is no such limit. */
static inline bool hak_terms_must_tell(struct hak_terms *terms)
{
    return hak_unlikely(terms->soft_limit != 0) && hak_terms_exceed_soft_limit(terms);
}

#endif
