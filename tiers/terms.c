/* SPDX-License-Identifier: MIT */
/* Mapping by the terms of a heap that the program made. Any thread. */
#include "tiers/terms.h"

#include "os/compiler.h"

enum { ALIGNMENT = 2 * 1024 * 1024 };

static bool claim(struct hak_terms *terms, size_t size)
{
    /* relaxed, all: only the sum matters, and it never includes what would exceed the limit */
    size_t mapped = __atomic_load_n(&terms->mapped, __ATOMIC_RELAXED);
    do {
        if (terms->limit != 0 && (size > terms->limit || mapped > terms->limit - size)) {
            __atomic_fetch_add(&terms->refused, 1, __ATOMIC_RELAXED);
            return false;
        }
    } while (!__atomic_compare_exchange_n(&terms->mapped, &mapped, mapped + size, 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    __atomic_fetch_add(&terms->claims, 1, __ATOMIC_RELAXED);
    size_t peak = __atomic_load_n(&terms->peak, __ATOMIC_RELAXED);
    while (peak < mapped + size &&
           !__atomic_compare_exchange_n(&terms->peak, &peak, mapped + size, 1, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
    return true;
}

void hak_terms_give_back(struct hak_terms *terms, size_t size)
{
    /* relaxed, both: as above */
    size_t mapped = __atomic_sub_fetch(&terms->mapped, size, __ATOMIC_RELAXED);
    if (mapped < terms->soft_limit)
        __atomic_store_n(&terms->exceeds, 0, __ATOMIC_RELAXED);
}

bool hak_terms_exceed_soft_limit(struct hak_terms *terms)
{
    /* relaxed, all: a hint; of several callers at once, the exchange tells one */
    return terms->soft_limit != 0 && hak_terms_mapped(terms) >= terms->soft_limit &&
           __atomic_load_n(&terms->exceeds, __ATOMIC_RELAXED) == 0 &&
           __atomic_exchange_n(&terms->exceeds, 1, __ATOMIC_RELAXED) == 0;
}

static bool bind(const struct hak_terms *terms, void *memory, size_t size, int node)
{
    enum hak_bind_result result =
        terms->chooses_nodes ? hak_bind_among(memory, size, &terms->nodes, terms->manner, node)
                             : hak_bind_fresh(memory, size, node);
    return result != HAK_BIND_FULL;
}

/* Prepares fresh memory: advice before the first touch, then binding, then pages. */
static bool furnish(const struct hak_terms *terms, const struct hak_terms_memory *memory,
                    size_t size, int node)
{
    if (terms->huge != HAK_HUGE_DEFAULT && memory->kind == HAK_OS_PLAIN)
        hak_os_advise_huge(memory->address, size, terms->huge);
    if (!terms->is_dumped)
        hak_os_advise_no_dump(memory->address, size);
    return bind(terms, memory->address, size, node) &&
           (!terms->populates || hak_os_populate(memory->address, size) == 0);
}

static struct hak_terms_memory map_furnished(const struct hak_terms *terms, size_t size, int node,
                                             enum hak_os_pages_kind kind)
{
    struct hak_terms_memory memory = {NULL, kind};
    memory.address = kind == HAK_OS_HUGETLB ? hak_os_map_huge(size) : hak_os_map(size, ALIGNMENT);
    if (memory.address != NULL && !furnish(terms, &memory, size, node)) {
        hak_os_release(memory.address, size, memory.kind);
        memory.address = NULL;
    }
    return memory;
}

struct hak_terms_memory hak_terms_map(struct hak_terms *terms, int node, size_t size,
                                      enum hak_terms_huge huge)
{
    struct hak_terms_memory memory = {NULL, HAK_OS_PLAIN};
    if (!claim(terms, size))
        return memory;
    if (terms->wants_hugetlb && huge == HAK_TERMS_MAY_HUGETLB)
        memory = map_furnished(terms, size, node, HAK_OS_HUGETLB);
    /* Too few huge pages, in all or on these nodes: plain ones serve. */
    if (memory.address == NULL)
        memory = map_furnished(terms, size, node, HAK_OS_PLAIN);
    if (memory.address == NULL)
        hak_terms_give_back(terms, size);
    return memory;
}
