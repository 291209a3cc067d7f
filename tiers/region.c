/* SPDX-License-Identifier: MIT */
/* Regions: mapping and unmapping whole 2 MiB units for a shard, counted. Any thread. */
#include "tiers/region.h"

#include "tiers/page_map.h"
#include "topology/bind.h"

static enum hak_os_huge huge_pages;    /* written by the starting thread only */

void hak_region_set_huge(enum hak_os_huge huge)
{
    huge_pages = huge;
}

void hak_region_advise(void *memory, size_t size)
{
    if (huge_pages != HAK_HUGE_DEFAULT)
        hak_os_advise_huge(memory, size, huge_pages);
}

int hak_region_bind(const struct hak_region_source *source, void *memory, size_t size)
{
    switch (hak_bind_fresh(memory, size, hak_region_source_node(source))) {
    case HAK_BIND_LEFT:
        return 1;
    case HAK_BIND_SPILLED:
        hak_count(source->counters, HAK_COUNTER_BINDS_SPILLED, 1);
        /* fall through */
    case HAK_BIND_DONE:
        hak_count(source->counters, HAK_COUNTER_BINDS, 1);
        return 1;
    case HAK_BIND_REFUSED:
        hak_count(source->counters, HAK_COUNTER_BINDS_REFUSED, 1);
        return 1;
    case HAK_BIND_FULL:
        hak_count(source->counters, HAK_COUNTER_BINDS_FULL, 1);
        return 0;
    }
    return 1;
}

void *hak_region_map(const struct hak_region_source *source, size_t size)
{
    void *region = hak_os_map(size, HAK_REGION_SIZE);
    if (region == NULL)
        return NULL;
    if (hak_page_map_cover(region, size) != 0) {
        hak_os_unmap(region, size);
        return NULL;
    }
    hak_region_advise(region, size);
    if (!hak_region_bind(source, region, size)) {
        hak_os_unmap(region, size);
        return NULL;
    }
    hak_count(source->counters, HAK_COUNTER_REGIONS_MAPPED, size >> HAK_REGION_SHIFT);
    hak_count(source->counters, HAK_COUNTER_BYTES_MAPPED, size);
    return region;
}

void hak_region_unmap(const struct hak_region_source *source, void *region, size_t size)
{
    hak_os_unmap(region, size);
    hak_count(source->counters, HAK_COUNTER_REGIONS_UNMAPPED, size >> HAK_REGION_SHIFT);
    hak_count(source->counters, HAK_COUNTER_BYTES_UNMAPPED, size);
}
