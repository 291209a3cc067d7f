/* SPDX-License-Identifier: MIT */
/* Regions: maps and unmaps whole 2 MiB units for a shard, and counts them. Any thread. */
#include "tiers/region.h"

#include "os/apart.h"
#include "os/probe.h"
#include "tiers/page_map.h"
#include "tiers/terms.h"
#include "topology/bind.h"

/* Written by the starting thread only. */
HAK_EARLY static enum hak_os_huge huge_pages;
HAK_EARLY static bool hugetlb;

void hak_region_set_huge(enum hak_os_huge huge)
{
    huge_pages = huge;
}

size_t hak_region_purge_step(void)
{
    return huge_pages == HAK_HUGE_ALWAYS ? (size_t)HAK_REGION_SIZE : hak_os_page_size();
}

void hak_region_set_hugetlb(bool wanted)
{
    hugetlb = wanted;
}

bool hak_region_wants_hugetlb(void)
{
    return hugetlb;
}

void hak_region_advise(void *memory, size_t size)
{
    if (huge_pages != HAK_HUGE_DEFAULT)
        hak_os_advise_huge(memory, size, huge_pages);
}

bool hak_region_bind(const struct hak_region_source *source, void *memory, size_t size)
{
    switch (hak_bind_fresh(memory, size, hak_region_source_node(source))) {
    case HAK_BIND_LEFT:
        return true;
    case HAK_BIND_SPILLED:
        hak_count(source->counters, HAK_COUNTER_BINDS_SPILLED, 1);
        /* fall through */
    case HAK_BIND_DONE:
        hak_count(source->counters, HAK_COUNTER_BINDS, 1);
        return true;
    case HAK_BIND_REFUSED:
        hak_count(source->counters, HAK_COUNTER_BINDS_REFUSED, 1);
        return true;
    case HAK_BIND_FULL:
        hak_count(source->counters, HAK_COUNTER_BINDS_FULL, 1);
        return false;
    }
    return true;
}

/* Lets the page map cover the memory, and counts it. Without room for the map's leaf the memory
 * goes back to the kernel: NULL. */
static void *cover(const struct hak_region_source *source, void *region, size_t size,
                   enum hak_os_pages_kind kind)
{
    if (hak_page_map_cover(region, size) != 0) {
        hak_os_release(region, size, kind);
        return NULL;
    }
    hak_count(source->counters, HAK_COUNTER_REGIONS_MAPPED, size >> HAK_REGION_SHIFT);
    hak_count(source->counters, HAK_COUNTER_BYTES_MAPPED, size);
    HAK_PROBE2(map, region, size);
    return region;
}

/* Advises and binds fresh memory, and covers it; NULL: that was refused, and the memory is unmapped
 * again. */
static void *prepare(const struct hak_region_source *source, void *region, size_t size,
                     enum hak_os_huge huge)
{
    if (region == NULL)
        return NULL;
    hak_os_advise_huge(region, size, huge_pages != HAK_HUGE_DEFAULT ? huge_pages : huge);
    if (!hak_region_bind(source, region, size)) {
        hak_os_release(region, size, HAK_OS_PLAIN);
        return NULL;
    }
    return cover(source, region, size, HAK_OS_PLAIN);
}

/* Maps by the terms of a heap that the program made. */
static HAK_COLD void *map_on_terms(const struct hak_region_source *source, size_t size,
                                   enum hak_terms_huge huge, bool *is_hugetlb)
{
    struct hak_terms_memory memory =
        hak_terms_map(source->terms, hak_region_source_node(source), size, huge);
    *is_hugetlb = memory.kind == HAK_OS_HUGETLB;
    void *region = memory.address;
    if (region != NULL)
        region = cover(source, region, size, memory.kind);
    if (region == NULL && memory.address != NULL)
        hak_terms_give_back(source->terms, size);
    return region;
}

void *hak_region_map(const struct hak_region_source *source, size_t size)
{
    bool is_hugetlb;
    if (hak_unlikely(source->terms != NULL))
        return map_on_terms(source, size, HAK_TERMS_NO_HUGETLB, &is_hugetlb);
    return prepare(source, hak_os_map(size, HAK_REGION_SIZE), size, HAK_HUGE_DEFAULT);
}

void *hak_region_take_hugetlb(const struct hak_region_source *source, size_t size)
{
    if (!hugetlb)
        return NULL;
    void *memory = hak_os_map_huge(size);
    /* A node without free huge pages may have free plain ones. */
    if (memory != NULL && !hak_region_bind(source, memory, size)) {
        hak_os_release(memory, size, HAK_OS_HUGETLB);
        memory = NULL;
    }
    hak_count(source->counters,
              memory != NULL ? HAK_COUNTER_HUGETLB_MAPS : HAK_COUNTER_HUGETLB_FALLBACKS, 1);
    return memory;
}

void *hak_region_map_large(const struct hak_region_source *source, size_t size,
                           enum hak_os_huge huge, bool *is_hugetlb)
{
    if (hak_unlikely(source->terms != NULL))
        return map_on_terms(source, size, HAK_TERMS_MAY_HUGETLB, is_hugetlb);
    void *region = hak_region_take_hugetlb(source, size);
    *is_hugetlb = region != NULL;
    return region != NULL ? cover(source, region, size, HAK_OS_HUGETLB)
                          : prepare(source, hak_apart_map(size, HAK_REGION_SIZE), size, huge);
}

void hak_region_unmap_large(const struct hak_region_source *source, void *region, size_t size,
                            enum hak_os_pages_kind kind)
{
    HAK_PROBE2(unmap, region, size);
    hak_os_release(region, size, kind);
    if (hak_unlikely(source->terms != NULL))
        hak_terms_give_back(source->terms, size);
    hak_count(source->counters, HAK_COUNTER_REGIONS_UNMAPPED, size >> HAK_REGION_SHIFT);
    hak_count(source->counters, HAK_COUNTER_BYTES_UNMAPPED, size);
}

void hak_region_unmap(const struct hak_region_source *source, void *region, size_t size)
{
    hak_region_unmap_large(source, region, size, HAK_OS_PLAIN);
}
