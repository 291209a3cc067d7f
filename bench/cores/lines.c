/* SPDX-License-Identifier: MIT */
/* Who holds which line: a directory of lines of 64 bytes with an owner (modified or exclusive) or
 * sharers. Caches have room for all that a program touches. */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/mman.h>

#include "machine.h"

typedef unsigned __int128 core_set;

struct line {
    core_set holders;
    uint64_t busy_until; /* until it has arrived at who got it last */
    int owner;           /* the only holder, who may write; or NOBODY */
};

struct page {
    uint64_t number;
    int toucher; /* the core that faulted it in, or NOBODY */
    struct line lines[PAGE_BYTES / LINE_BYTES];
};

enum {
    NOBODY = -1,
    PAGES_MAX = 1 << 20,
    ARENA_BYTES = 64 << 20,
};

static struct page **pages; /* hashed by number */
static uint64_t pages_count;

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        fail("no memory");
    return memory;
}

void lines_begin(void)
{
    pages = map(PAGES_MAX * sizeof *pages);
}

static struct page *new_page(void)
{
    static char *at;
    static size_t left;
    if (left < sizeof(struct page)) {
        at = map(ARENA_BYTES);
        left = ARENA_BYTES;
    }
    struct page *page = (struct page *)at;
    at += sizeof *page;
    left -= sizeof *page;
    return page;
}

static struct page **slot_of(uint64_t number)
{
    uint64_t slot = number * 0x9E3779B97F4A7C15u >> 44;
    while (pages[slot] != NULL && pages[slot]->number != number)
        slot = (slot + 1) % PAGES_MAX;
    return &pages[slot];
}

static void reset(struct page *page)
{
    page->toucher = NOBODY;
    for (int i = 0; i < PAGE_BYTES / LINE_BYTES; i++)
        page->lines[i] = (struct line){.owner = NOBODY};
}

static struct page *page_of(uint64_t number)
{
    static __thread struct page *latest;
    if (latest != NULL && latest->number == number)
        return latest;
    struct page **slot = slot_of(number);
    if (*slot == NULL) {
        if (++pages_count > PAGES_MAX / 4 * 3)
            fail("the program touches too many pages");
        *slot = new_page();
        (*slot)->number = number;
        reset(*slot);
    }
    return latest = *slot;
}

uint64_t pages_forget(uint64_t address, uint64_t bytes)
{
    uint64_t first = address / PAGE_BYTES;
    uint64_t last = (address + bytes + PAGE_BYTES - 1) / PAGE_BYTES;
    bool is_huge = last - first > PAGES_MAX; /* address space, hardly any of it touched */
    uint64_t present = 0;
    for (uint64_t i = is_huge ? 0 : first; i < (is_huge ? PAGES_MAX : last); i++) {
        struct page *page = is_huge ? pages[i] : *slot_of(i);
        if (page == NULL || page->number < first || page->number >= last || page->toucher == NOBODY)
            continue;
        reset(page);
        present++;
    }
    return present;
}

static core_set bit(int core)
{
    return (core_set)1 << core;
}

/* All cores of the group of `size` that `core` belongs to. */
static core_set group_of(int core, enum parameter size)
{
    int count = (int)parameters[size];
    core_set all = count == CORES_MAX ? ~(core_set)0 : bit(count) - 1;
    return all << (core / count * count);
}

/* What it costs to get the line from the nearest of `from`, or to tell the farthest. */
static enum parameter way_to_nearest(int core, core_set from)
{
    return (from & group_of(core, PARAMETER_l3)) != 0     ? PARAMETER_from_l3
           : (from & group_of(core, PARAMETER_node)) != 0 ? PARAMETER_from_node
                                                          : PARAMETER_from_far;
}

static enum parameter way_to_farthest(int core, core_set to)
{
    return (to & ~group_of(core, PARAMETER_node)) != 0 ? PARAMETER_from_far
           : (to & ~group_of(core, PARAMETER_l3)) != 0 ? PARAMETER_from_node
                                                       : PARAMETER_from_l3;
}

static void hold(struct line *line, int core, bool writes)
{
    if (writes || line->holders == 0) {
        line->holders = bit(core);
        line->owner = core;
    } else {
        line->holders |= bit(core);
        line->owner = NOBODY;
    }
}

static void touch(struct thread *thread, struct page *page, struct counts *counts)
{
    if (page->toucher != NOBODY)
        return;
    page->toucher = thread->core;
    counts->faults++;
    counts->ticks += cost(PARAMETER_fault);
    thread->clock += cost(PARAMETER_fault);
}

static void spend(struct thread *thread, struct instruction *by, struct counts *counts,
                  uint64_t ticks)
{
    thread->clock += ticks;
    counts->ticks += ticks;
    if (thread->counts) {
        by->ticks += ticks;
        by->misses++;
    }
}

/* How many ticks until the line is here; it is not to be had by others before. A line that is only
 * read by many comes to all at once. */
static uint64_t transfer(struct line *line, uint64_t now, enum parameter way, bool moves,
                         struct counts *counts)
{
    uint64_t wait = line->busy_until > now ? line->busy_until - now : 0;
    if (moves)
        line->busy_until = now + wait + cost(way);
    counts->transfers++;
    counts->far += way == PARAMETER_from_far;
    counts->queued += wait;
    return wait + cost(way);
}

static bool is_hit(const struct line *line, int core, bool writes)
{
    return writes ? line->owner == core : (line->holders & bit(core)) != 0;
}

void line_access(struct thread *thread, struct instruction *by, uint64_t address, bool writes)
{
    int core = thread->core;
    struct counts *counts = counts_of(thread, by->owner);
    struct page *page = page_of(address / PAGE_BYTES);
    struct line *line = &page->lines[address % PAGE_BYTES / LINE_BYTES];
    /* Whoever is behind may want the line before us. */
    while (!is_hit(line, core, writes) && line->holders != 0 && !turn_is_first(thread))
        turn_pass(thread, READY);
    touch(thread, page, counts);
    if (is_hit(line, core, writes))
        return;
    core_set others = line->holders & ~bit(core);
    if (others == 0) { /* zeroed by who touched the page */
        spend(thread, by, counts, cost(way_to_nearest(core, bit(page->toucher))));
    } else {
        enum parameter way = writes ? way_to_farthest(core, others) : way_to_nearest(core, others);
        bool moves = writes || line->owner != NOBODY;
        uint64_t ticks = transfer(line, thread->clock, way, moves, counts);
        if (writes && !by->is_atomic)
            ticks = (uint64_t)((double)ticks * parameters[PARAMETER_store] / 100);
        spend(thread, by, counts, ticks);
    }
    hold(line, core, writes);
}
