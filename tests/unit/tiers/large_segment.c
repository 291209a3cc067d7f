/* SPDX-License-Identifier: MIT */
/* tiers/large_segment.c: tags, dirty bits, page map entries, and the lists, without a cache's
 * decisions. */
#include "tiers/large_segment.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tiers/large.h"
#include "tiers/page_map.h"

enum {
    MIB = 1024 * 1024,
    SIZE = 4 * MIB,
};

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 0};
static struct hak_large_cache cache;

static struct hak_large_segment *new_segment(size_t size)
{
    cache = (struct hak_large_cache){.source = &source};
    struct hak_large_segment *segment =
        hak_large_segment_start(&cache, hak_region_map(&source, size), size);
    if (segment == NULL)
        abort();
    return segment;
}

static void end(struct hak_large_segment *segment)
{
    hak_region_unmap(&source, segment->base, segment->size);
    hak_large_segment_end(segment);
}

/* A write over all of a segment, and beyond, meets no header. */
static void header_is_apart(void)
{
    for (size_t size = SIZE; size <= HAK_LARGE_SEGMENT_MAX; size *= 2) {
        struct hak_large_segment *segment = new_segment(size);
        uintptr_t distance = (uintptr_t)segment - (uintptr_t)segment->base;
        EXPECT(distance >= size + hak_os_page_size());
        EXPECT((uintptr_t)(segment->watched + segment->units / 64) - (uintptr_t)segment <=
               size / 200);
        uint32_t last = segment->units - 5;
        hak_large_segment_mark(segment, last, 5, HAK_UNIT_USED);
        EXPECT(hak_large_segment_of(&segment->unit[last]) == segment);
        EXPECT(hak_large_segment_address(segment, last) == segment->base + last * 4096ul);
        end(segment);
    }
}

static void page_map_leads_to_it(void)
{
    struct hak_large_segment *segment = new_segment(3 * SIZE);
    char *start = segment->base;
    EXPECT(hak_large_segment_find(start) == NULL);
    hak_large_segment_publish(segment);
    for (size_t offset = 0; offset < 3 * SIZE; offset += 60000)
        EXPECT(hak_large_segment_find(start + offset) == segment);
    hak_large_segment_withdraw(segment);
    for (size_t offset = 0; offset < 3 * SIZE; offset += 60000)
        EXPECT(hak_large_segment_find(start + offset) == NULL);
    end(segment);
}

static void dirty_bits_agree_with_bytes(void)
{
    struct hak_large_segment *segment = new_segment(SIZE);
    unsigned char *model = calloc(segment->units, 1);
    struct prng prng = {5};
    for (int i = 0; i < 2000; i++) {
        uint32_t index = (uint32_t)prng_below(&prng, segment->units);
        uint32_t units = 1 + (uint32_t)prng_below(&prng, segment->units - index);
        int dirty = prng_below(&prng, 2) == 0;
        if (dirty)
            hak_large_segment_set_dirty(segment, index, units);
        else
            hak_large_segment_set_clean(segment, index, units);
        memset(model + index, dirty, units);
        index = (uint32_t)prng_below(&prng, segment->units);
        units = (uint32_t)prng_below(&prng, segment->units - index + 1);
        uint32_t count = 0;
        for (uint32_t unit = index; unit < index + units; unit++)
            count += model[unit];
        EXPECT_EQ(hak_large_segment_count_dirty(segment, index, units), count);
    }
    free(model);
    end(segment);
}

static void clear_writes_dirty_units_only(void)
{
    struct hak_large_segment *segment = new_segment(SIZE);
    uint32_t from = 0;
    uint32_t units = segment->units - from;
    struct prng prng = {6};
    for (uint32_t unit = from; unit < segment->units; unit++) {
        memset(hak_large_segment_address(segment, unit), 1, HAK_LARGE_UNIT);
        if (prng_below(&prng, 3) == 0)
            hak_large_segment_set_dirty(segment, unit, 1);
    }
    hak_large_segment_clear(segment, from + 3, units - 5);
    for (uint32_t unit = from; unit < segment->units; unit++) {
        const char *bytes = hak_large_segment_address(segment, unit);
        int within = unit >= from + 3 && unit < segment->units - 2;
        int cleared = within && hak_large_segment_count_dirty(segment, unit, 1);
        EXPECT_EQ(bytes[0], cleared ? 0 : 1);
        EXPECT_EQ(bytes[HAK_LARGE_UNIT - 1], cleared ? 0 : 1);
    }
    end(segment);
}

static void free_neighbours_are_seen(void)
{
    struct hak_large_segment *segment = new_segment(SIZE);
    uint32_t at = 0;
    hak_large_segment_mark(segment, at, 9, HAK_UNIT_FREE);
    hak_large_segment_mark(segment, at + 9, 20, HAK_UNIT_USED);
    hak_large_segment_mark(segment, at + 29, 1, HAK_UNIT_SLIVER);
    hak_large_segment_mark(segment, at + 30, 5, HAK_UNIT_BUSY);
    EXPECT(hak_large_segment_free_before(segment, at) == NULL);
    EXPECT(hak_large_segment_free_before(segment, at + 9) == &segment->unit[at]);
    EXPECT(hak_large_segment_free_at(segment, at + 29) == &segment->unit[at + 29]);
    EXPECT(hak_large_segment_free_before(segment, at + 30) == &segment->unit[at + 29]);
    EXPECT(hak_large_segment_free_before(segment, at + 35) == NULL);
    EXPECT(hak_large_segment_free_at(segment, at + 30) == NULL);
    EXPECT(hak_large_segment_free_at(segment, segment->units) == NULL);
    hak_large_segment_unmark(segment, at);
    EXPECT(hak_large_segment_free_before(segment, at + 9) == NULL);
    end(segment);
}

static void find_prefers_the_tightest(void)
{
    struct hak_large_segment *segment = new_segment(SIZE);
    static const uint32_t sizes[] = {100, 40, 39, 10, 200, 41};
    uint32_t index = 0;
    struct hak_unit *runs[HAK_ARRAY_LENGTH(sizes)];
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(sizes); i++) {
        runs[i] = &segment->unit[index];
        hak_large_file(&cache, segment, index, sizes[i], 0, NULL);
        index += sizes[i] + 1;
    }
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 39, 1) == runs[2]);
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 40, 1) == runs[1]);
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 42, 1) == runs[0]);
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 9, 1) == runs[3]);
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 201, 1) == NULL);
    EXPECT(hak_large_find(&cache, HAK_LARGE_DIRTY, 9, 1) == NULL);
    struct hak_unit *aligned = hak_large_find(&cache, HAK_LARGE_CLEAN, 64, 64);
    EXPECT(aligned != NULL && hak_large_lead(aligned, 64) + 64 <= aligned->number);
    struct hak_unit *older;
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(sizes); i++)
        EXPECT_EQ(hak_large_unfile(&cache, segment, runs[i], &older), 0);
    EXPECT(hak_large_find(&cache, HAK_LARGE_CLEAN, 1, 1) == NULL);
    end(segment);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the header is small, and out of reach", header_is_apart},
        {"the page map leads to the segment", page_map_leads_to_it},
        {"dirty bits agree with a model", dirty_bits_agree_with_bytes},
        {"clearing writes dirty units only", clear_writes_dirty_units_only},
        {"free neighbours are seen, others not", free_neighbours_are_seen},
        {"the tightest run is found", find_prefers_the_tightest},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
