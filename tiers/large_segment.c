/* SPDX-License-Identifier: MIT */
/* Large segments: descriptors with boundary tags (Knuth, "The Art of Computer Programming", volume
 * 1, 2.5), dirty bits, page map entries, and the lists of free runs. The caller holds the lock of
 * the cache that owns the segment, unless a header says otherwise. */
#include "tiers/large_segment.h"

#include <string.h>

#include "tiers/header.h"
#include "tiers/large.h"
#include "tiers/page_map.h"

enum {
    WORD_BITS = 64,
    BINS_SHIFT = 4,                /* log2 of the bins of a doubling */
    BINS_LINEAR = 1 << BINS_SHIFT, /* units: one bin for each shorter length */
    PROBES = 16,                   /* runs looked at in one bin */
};

static size_t words_for(size_t units)
{
    return (units + WORD_BITS - 1) / WORD_BITS;
}

static size_t header_size(size_t units)
{
    return sizeof(struct hak_large_segment) + units * sizeof(struct hak_unit) +
           2 * words_for(units) * sizeof(uint64_t);
}

struct hak_large_segment *hak_large_segment_start(struct hak_large_cache *cache, void *memory,
                                                  size_t size)
{
    size_t units = size >> HAK_LARGE_UNIT_SHIFT;
    struct hak_large_segment *segment = hak_header_take(header_size(units));
    if (segment == NULL)
        return NULL;
    segment->cache = cache;
    segment->base = memory;
    segment->size = size;
    segment->units = (uint32_t)units;
    segment->dirty = (uint64_t *)&segment->unit[units];
    segment->watched = segment->dirty + words_for(units);
    return segment;
}

void hak_large_segment_end(struct hak_large_segment *segment)
{
    hak_header_give(segment, header_size(segment->units));
}

void hak_large_segment_publish(struct hak_large_segment *segment)
{
    const struct hak_region_source *source = segment->cache->source;
    enum hak_page_kind kind = source->terms != NULL ? HAK_PAGE_OWN_LARGE : HAK_PAGE_LARGE;
    hak_page_map_set_header(segment->base, segment->size, segment);
    hak_page_map_set_kind(segment->base, segment->size >> HAK_PAGE_SHIFT, kind,
                          source->terms != NULL ? source->home : 0);
}

void hak_large_segment_withdraw(struct hak_large_segment *segment)
{
    hak_page_map_set_kind(segment->base, segment->size >> HAK_PAGE_SHIFT, HAK_PAGE_FOREIGN, 0);
    hak_page_map_set_header(segment->base, segment->size, NULL);
}

struct hak_large_segment *hak_large_segment_find(const void *address)
{
    struct hak_page page = hak_page_find(address);
    bool is_large =
        page.class_id == 0 && (page.offset == HAK_PAGE_LARGE || page.offset == HAK_PAGE_OWN_LARGE);
    return is_large ? hak_page_header(address) : NULL;
}

/* relaxed: hak_large_size may read the kind of a run that a faulty program is freeing; whoever
 * acts upon a kind holds the lock */
static void set_kind(struct hak_unit *unit, enum hak_unit_kind kind)
{
    __atomic_store_n(&unit->kind, (uint16_t)kind, __ATOMIC_RELAXED);
}

void hak_large_segment_mark(struct hak_large_segment *segment, uint32_t index, uint32_t units,
                            enum hak_unit_kind kind)
{
    struct hak_unit *head = &segment->unit[index];
    /* Only a free run needs a descriptor at its end, for the run behind it to find it. The last run
     * has none behind it, so the last page of descriptors stays untouched. */
    bool is_free = kind == HAK_UNIT_FREE || kind == HAK_UNIT_SLIVER;
    if (is_free && index + units < segment->units) {
        struct hak_unit *end = &segment->unit[index + units - 1];
        end->index = (uint16_t)(index + units - 1);
        end->number = units;
        set_kind(end, kind == HAK_UNIT_FREE ? HAK_UNIT_FREE_END : HAK_UNIT_SLIVER);
    }
    head->index = (uint16_t)index;
    head->number = units;
    set_kind(head, kind);
}

void hak_large_segment_unmark(struct hak_large_segment *segment, uint32_t index)
{
    struct hak_unit *head = &segment->unit[index];
    uint32_t units = head->number;
    if (index + units < segment->units)
        set_kind(&segment->unit[index + units - 1], HAK_UNIT_INNER);
    set_kind(head, HAK_UNIT_INNER);
}

struct hak_unit *hak_large_segment_free_before(struct hak_large_segment *segment, uint32_t index)
{
    if (index == 0)
        return NULL;
    const struct hak_unit *end = &segment->unit[index - 1];
    if (end->kind != HAK_UNIT_FREE_END && end->kind != HAK_UNIT_SLIVER)
        return NULL;
    return &segment->unit[index - end->number];
}

struct hak_unit *hak_large_segment_free_at(struct hak_large_segment *segment, uint32_t index)
{
    if (index == segment->units)
        return NULL;
    struct hak_unit *head = &segment->unit[index];
    return head->kind == HAK_UNIT_FREE || head->kind == HAK_UNIT_SLIVER ? head : NULL;
}

/* The bits of [bit, end) that lie in the word of `bit`. */
static uint64_t mask_in_word(uint32_t bit, uint32_t end)
{
    uint32_t low = bit % WORD_BITS;
    uint32_t room = WORD_BITS - low;
    uint32_t count = end - bit < room ? end - bit : room;
    return (count == WORD_BITS ? ~(uint64_t)0 : (((uint64_t)1 << count) - 1)) << low;
}

static uint32_t next_word(uint32_t bit)
{
    return (bit / WORD_BITS + 1) * WORD_BITS;
}

/* relaxed, here and below: written under the lock; hak_large_segment_clear reads without it, but
 * only uses bits of its own run, which no other thread writes */
static uint64_t read_word(const struct hak_large_segment *segment, uint32_t bit)
{
    return __atomic_load_n(&segment->dirty[bit / WORD_BITS], __ATOMIC_RELAXED);
}

static void write_word(struct hak_large_segment *segment, uint32_t bit, uint64_t word)
{
    __atomic_store_n(&segment->dirty[bit / WORD_BITS], word, __ATOMIC_RELAXED);
}

void hak_large_segment_set_dirty(struct hak_large_segment *segment, uint32_t index, uint32_t units)
{
    uint32_t end = index + units;
    for (uint32_t bit = index; bit < end; bit = next_word(bit))
        write_word(segment, bit, read_word(segment, bit) | mask_in_word(bit, end));
}

void hak_large_segment_set_clean(struct hak_large_segment *segment, uint32_t index, uint32_t units)
{
    uint32_t end = index + units;
    for (uint32_t bit = index; bit < end; bit = next_word(bit))
        write_word(segment, bit, read_word(segment, bit) & ~mask_in_word(bit, end));
}

uint32_t hak_large_segment_count_dirty(const struct hak_large_segment *segment, uint32_t index,
                                       uint32_t units)
{
    uint32_t end = index + units;
    uint32_t count = 0;
    for (uint32_t bit = index; bit < end; bit = next_word(bit))
        count += hak_bit_count(read_word(segment, bit) & mask_in_word(bit, end));
    return count;
}

/* The first unit of [index, end) whose dirty bit is as those of `wanted` (all zeros or all ones),
 * or end. */
static uint32_t find_dirty(const struct hak_large_segment *segment, uint32_t index, uint32_t end,
                           uint64_t wanted)
{
    for (uint32_t bit = index; bit < end; bit = next_word(bit)) {
        uint64_t found = ~(read_word(segment, bit) ^ wanted) & mask_in_word(bit, end);
        if (found != 0)
            return bit / WORD_BITS * WORD_BITS + hak_lowest_bit(found);
    }
    return end;
}

void hak_large_segment_clear(const struct hak_large_segment *segment, uint32_t index,
                             uint32_t units)
{
    uint32_t end = index + units;
    uint32_t from = find_dirty(segment, index, end, ~(uint64_t)0);
    while (from < end) {
        uint32_t to = find_dirty(segment, from, end, 0);
        memset(hak_large_segment_address(segment, from), 0,
               (size_t)(to - from) << HAK_LARGE_UNIT_SHIFT);
        from = find_dirty(segment, to, end, ~(uint64_t)0);
    }
}

/* ---- units that the learner watches ---- */

void hak_large_segment_watch(struct hak_large_segment *segment, uint32_t index)
{
    segment->watched[index / WORD_BITS] |= (uint64_t)1 << index % WORD_BITS;
}

void hak_large_segment_unwatch(struct hak_large_segment *segment, uint32_t index)
{
    segment->watched[index / WORD_BITS] &= ~((uint64_t)1 << index % WORD_BITS);
}

uint32_t hak_large_segment_next_watched(const struct hak_large_segment *segment, uint32_t index,
                                        uint32_t end)
{
    for (uint32_t bit = index; bit < end; bit = next_word(bit)) {
        uint64_t found = segment->watched[bit / WORD_BITS] & mask_in_word(bit, end);
        if (found != 0)
            return bit / WORD_BITS * WORD_BITS + hak_lowest_bit(found);
    }
    return end;
}

/* ---- lists ---- */

static unsigned bin_of(uint32_t units)
{
    if (units < BINS_LINEAR)
        return units;
    unsigned log = hak_log2(units);
    unsigned step = (units >> (log - BINS_SHIFT)) & (BINS_LINEAR - 1);
    return BINS_LINEAR + (log - BINS_SHIFT) * BINS_LINEAR + step;
}

static enum hak_large_set set_of(uint32_t dirty)
{
    return dirty != 0 ? HAK_LARGE_DIRTY : HAK_LARGE_CLEAN;
}

/* Whether decay and retention may purge a free run: such runs are linked by age. */
static bool is_aged(const struct hak_large_segment *segment, uint32_t units, uint32_t dirty)
{
    return dirty != 0 && (!segment->is_hugetlb || hak_large_segment_is_whole(segment, units));
}

static void link_bin(struct hak_large_cache *cache, struct hak_unit *run, uint32_t dirty)
{
    unsigned bin = bin_of(run->number);
    enum hak_large_set set = set_of(dirty);
    struct hak_unit *next = cache->bins[set][bin];
    run[0].link = next;
    run[1].link = NULL;
    if (next != NULL)
        next[1].link = run;
    cache->bins[set][bin] = run;
    cache->occupied[set][bin / WORD_BITS] |= (uint64_t)1 << bin % WORD_BITS;
}

static void unlink_bin(struct hak_large_cache *cache, struct hak_unit *run)
{
    unsigned bin = bin_of(run->number);
    enum hak_large_set set = set_of(run[1].number);
    struct hak_unit *next = run[0].link;
    struct hak_unit *previous = run[1].link;
    if (next != NULL)
        next[1].link = previous;
    if (previous != NULL) {
        previous[0].link = next;
        return;
    }
    cache->bins[set][bin] = next;
    if (next == NULL)
        cache->occupied[set][bin / WORD_BITS] &= ~((uint64_t)1 << bin % WORD_BITS);
}

/* Puts a run behind `older` in the order of freeing; NULL makes it the oldest. */
static void link_age(struct hak_large_cache *cache, struct hak_unit *run, struct hak_unit *older)
{
    struct hak_unit *newer = older != NULL ? older[3].link : cache->oldest;
    run[2].link = older;
    run[3].link = newer;
    if (newer != NULL)
        newer[2].link = run;
    else
        cache->newest = run;
    if (older != NULL)
        older[3].link = run;
    else
        cache->oldest = run;
}

/* Returns its older neighbour. */
static struct hak_unit *unlink_age(struct hak_large_cache *cache, struct hak_unit *run)
{
    struct hak_unit *older = run[2].link;
    struct hak_unit *newer = run[3].link;
    if (newer != NULL)
        newer[2].link = older;
    else
        cache->newest = older;
    if (older != NULL)
        older[3].link = newer;
    else
        cache->oldest = newer;
    return older;
}

void hak_large_file(struct hak_large_cache *cache, struct hak_large_segment *segment,
                    uint32_t index, uint32_t units, uint32_t dirty, struct hak_unit *older)
{
    if (units < HAK_LARGE_RUN_MIN) {
        hak_large_segment_mark(segment, index, units, HAK_UNIT_SLIVER);
        return;
    }
    hak_large_segment_mark(segment, index, units, HAK_UNIT_FREE);
    struct hak_unit *run = &segment->unit[index];
    run[1].number = dirty;
    link_bin(cache, run, dirty);
    if (!is_aged(segment, units, dirty))
        return;
    link_age(cache, run, older);
    /* relaxed, here and below: written under the lock, read without it */
    __atomic_store_n(&cache->dirty_units, cache->dirty_units + dirty, __ATOMIC_RELAXED);
}

uint32_t hak_large_unfile(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, struct hak_unit **older)
{
    uint32_t index = hak_large_segment_index(segment, run);
    if (run->kind == HAK_UNIT_SLIVER) {
        hak_large_segment_unmark(segment, index);
        return hak_large_segment_count_dirty(segment, index, run->number);
    }
    uint32_t dirty = run[1].number;
    unlink_bin(cache, run);
    if (is_aged(segment, run->number, dirty)) {
        *older = unlink_age(cache, run);
        __atomic_store_n(&cache->dirty_units, cache->dirty_units - dirty, __ATOMIC_RELAXED);
    }
    hak_large_segment_unmark(segment, index);
    return dirty;
}

uint32_t hak_large_lead(const struct hak_unit *run, uint32_t alignment)
{
    uint32_t index = hak_large_segment_index(hak_large_segment_of(run), run);
    return -index & (alignment - 1);
}

/* The shortest run that has the room, of the first few of a bin. */
static struct hak_unit *find_in_bin(struct hak_unit *run, uint32_t units, uint32_t alignment)
{
    struct hak_unit *best = NULL;
    for (int probe = 0; probe < PROBES && run != NULL; probe++, run = run[0].link) {
        if (run->number < units + hak_large_lead(run, alignment))
            continue;
        if (best == NULL || run->number < best->number)
            best = run;
        if (best->number == units)
            break;
    }
    return best;
}

struct hak_unit *hak_large_find(struct hak_large_cache *cache, enum hak_large_set set,
                                uint32_t units, uint32_t alignment)
{
    unsigned from = bin_of(units);
    for (unsigned word = from / WORD_BITS; word < HAK_LARGE_BIN_WORDS; word++) {
        uint64_t bits = cache->occupied[set][word];
        if (word == from / WORD_BITS)
            bits &= ~(uint64_t)0 << from % WORD_BITS;
        for (; bits != 0; bits &= bits - 1) {
            unsigned bin = word * WORD_BITS + hak_lowest_bit(bits);
            struct hak_unit *run = cache->bins[set][bin];
            /* In higher bins each run is long enough, if no alignment is asked for. */
            if (bin == from || alignment > 1)
                run = find_in_bin(run, units, alignment);
            if (run != NULL)
                return run;
        }
    }
    return NULL;
}
