/* SPDX-License-Identifier: MIT */
/* tiers/pool.c: a taken object belongs to one taker, every given one can be taken again, and free
 * memory goes back to the kernel. */
#define _GNU_SOURCE
#include "tiers/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "os/bits.h"
#include "os/clock.h"
#include "tests/lib/prng.h"
#include "tests/lib/resident.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/tiers/child.h"
#include "tiers/object.h"

enum { HOME = 7, OTHER_HOME = 8, ANY_ROOM = 1000 };

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = HOME};
static struct hak_pool tiny;
static struct hak_pool mid;
static const struct hak_settings keep_all = {.slab_retain_bytes = SIZE_MAX,
                                             .decay_ns = 60000000000};
static const struct hak_settings keep_nothing = {.slab_retain_bytes = 0};

static uint64_t count_of(enum hak_counter counter)
{
    return hak_counter_read(&counters, counter);
}

static void start(void)
{
    hak_size_class_start();
    if (tiny.source != NULL)
        return;
    hak_pool_init(&tiny, &source, 1, HAK_CLASS_TINY_LAST);
    hak_pool_init(&mid, &source, HAK_CLASS_TINY_LAST + 1, HAK_CLASS_LAST);
}

static struct hak_pool *pool_of(unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST ? &tiny : &mid;
}

static void *pop(struct hak_chain *word)
{
    void *object = hak_chain_top(*word);
    if (object != NULL)
        *word = hak_link_read(object);
    return object;
}

static void push(struct hak_chain *word, void *object)
{
    hak_link_write(object, *word);
    *word = hak_chain_make(object, hak_chain_room(*word) - 1);
}

/* A chain of `count` objects, out of old slabs or a fresh one. */
static unsigned take(unsigned class_id, unsigned count, struct hak_chain *word)
{
    unsigned taken = hak_pool_take(pool_of(class_id), class_id, count, word);
    return taken != 0 ? taken : hak_pool_take_fresh(pool_of(class_id), class_id, count, word);
}

static void give(unsigned class_id, void *object, const struct hak_settings *settings)
{
    struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
    push(&word, object);
    EXPECT_EQ(hak_pool_give(pool_of(class_id), class_id, &word, settings), 1);
    EXPECT(hak_chain_top(word) == NULL);
}

/* After all objects were given, the pool gives up everything, down to the last region. */
static void expect_empty(struct hak_pool *pool)
{
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++)
        EXPECT_LE(pool->bins[class_id - pool->first_class].slabs, 1); /* kept for the next */
    size_t kept = hak_pool_slab_bytes(pool) + pool->space.dirty_bytes;
    EXPECT_EQ(hak_pool_purge(pool), kept);
    EXPECT_EQ(hak_pool_slab_bytes(pool), 0);
    EXPECT_EQ(pool->space.dirty_bytes, 0);
    struct hak_region *region = hak_pool_collect_empty(pool);
    while (region != NULL) {
        struct hak_region *next = region->next;
        EXPECT_EQ(resident_pages(region->base, HAK_REGION_SIZE), 0);
        hak_pool_unmap_region(region);
        region = next;
    }
    EXPECT(pool->space.all.first == NULL);
    EXPECT_EQ(pool->space.all.count, 0);
    EXPECT(hak_pool_collect_empty(pool) == NULL);
}

static void expect_all_empty(void)
{
    expect_empty(&tiny);
    expect_empty(&mid);
    EXPECT_EQ(count_of(HAK_COUNTER_SLABS_MADE), count_of(HAK_COUNTER_SLABS_RELEASED));
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_MAPPED), count_of(HAK_COUNTER_BYTES_UNMAPPED));
}

/* ---- one thread ------------------------------------------------------------------------- */

static int by_address(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left;
    uintptr_t b = *(const uintptr_t *)right;
    return a < b ? -1 : a > b;
}

/* Takes objects of a class over several slabs: they are apart, in the page map, and fill the
 * slabs. */
static void take_many(unsigned class_id, uintptr_t *objects, unsigned count)
{
    const struct hak_class *class = &hak_classes[class_id];
    unsigned have = 0;
    while (have < count) {
        struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
        unsigned want = count - have < class->bundle ? count - have : class->bundle;
        unsigned got = take(class_id, want, &word);
        REQUIRE(got != 0 && got <= want);
        EXPECT_EQ(hak_chain_room(word), ANY_ROOM - got);
        for (unsigned i = 0; i < got; i++)
            objects[have++] = (uintptr_t)pop(&word);
        EXPECT_EQ(word.word, hak_chain_make(NULL, ANY_ROOM).word);
    }
    qsort(objects, count, sizeof *objects, by_address);
    for (unsigned i = 0; i < count; i++) {
        const void *object = (const void *)objects[i];
        struct hak_page page = hak_page_find(object);
        EXPECT_EQ(page.class_id, class_id);
        EXPECT_EQ(page.home, HOME);
        EXPECT(hak_slab_is_object(hak_slab_of(object, page), object));
        EXPECT(!hak_pool_says_free(pool_of(class_id), class_id, object));
        if (i > 0)
            EXPECT_GE(objects[i] - objects[i - 1], class->size);
    }
}

static void all_classes(void)
{
    start();
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        unsigned count = hak_classes[class_id].capacity * 3 - 1;
        uintptr_t *objects = calloc(count, sizeof *objects);
        uint64_t made = count_of(HAK_COUNTER_SLABS_MADE);
        take_many(class_id, objects, count);
        EXPECT_EQ(count_of(HAK_COUNTER_SLABS_MADE) - made, 3); /* free + taken = capacity */
        for (unsigned i = 0; i < count; i++)
            memset((void *)objects[i], 0xee, hak_classes[class_id].size);
        for (unsigned i = 0; i < count; i++)
            give(class_id, (void *)objects[(i * 7919ul) % count], &keep_all);
        free(objects);
    }
    expect_all_empty();
}

/* A chain ends where the objects of this pool end. */
static void chains_of_mixed_homes(void)
{
    start();
    static struct hak_counters other_counters;
    static const struct hak_region_source other_source = {
        .counters = &other_counters, .node = -1, .home = OTHER_HOME};
    static struct hak_pool other;
    hak_pool_init(&other, &other_source, 1, HAK_CLASS_TINY_LAST);
    struct hak_chain ours = hak_chain_make(NULL, ANY_ROOM);
    struct hak_chain mixed = hak_chain_make(NULL, ANY_ROOM);
    REQUIRE(hak_pool_take_fresh(&other, 4, 3, &mixed) == 3);
    struct hak_chain theirs = mixed;
    REQUIRE(take(4, 5, &ours) == 5);
    for (unsigned i = 0; i < 5; i++)
        push(&mixed, pop(&ours));
    EXPECT_EQ(hak_pool_give(&tiny, 4, &mixed, &keep_all), 5);
    EXPECT_EQ(mixed.word, theirs.word);
    EXPECT_EQ(hak_pool_give(&tiny, 4, &mixed, &keep_all), 0);
    EXPECT_EQ(hak_pool_give(&other, 5, &mixed, &keep_all), 0); /* not of that class */
    EXPECT_EQ(hak_pool_give(&other, 4, &mixed, &keep_all), 3);
    hak_pool_purge(&other);
    EXPECT_EQ(hak_pool_slab_bytes(&other), 0);
    expect_all_empty();
}

static void bad_objects_stay_on_top(void)
{
    start();
    struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
    REQUIRE(take(6, 3, &word) == 3);
    char *first = pop(&word);
    char *second = pop(&word);
    char *third = pop(&word);
    give(6, first, &keep_all);
    push(&word, third);
    push(&word, first); /* a second time */
    push(&word, second);
    EXPECT_EQ(hak_pool_give(&tiny, 6, &word, &keep_all), 1);
    EXPECT(hak_chain_top(word) == first);
    word = hak_link_read(first);
    push(&word, third + 16);
    EXPECT_EQ(hak_pool_give(&tiny, 6, &word, &keep_all), 0);
    EXPECT(pop(&word) == third + 16);
    uint64_t was[2];
    memcpy(was, first, sizeof was);
    EXPECT(!hak_pool_give_one(&tiny, 6, first, &keep_all)); /* and nothing is written to it */
    EXPECT(memcmp(was, first, sizeof was) == 0);
    EXPECT(!hak_pool_give_one(&tiny, 6, third + 16, &keep_all));
    EXPECT(!hak_pool_give_one(&tiny, 5, third, &keep_all)); /* not of that class */
    EXPECT(hak_pool_give_one(&tiny, 6, third, &keep_all));
    EXPECT(!hak_pool_give_one(&tiny, 6, third, &keep_all));
    EXPECT(take(6, 1, &word) == 1);
    third = pop(&word);
    give(6, third, &keep_all);
    expect_all_empty();
}

/* What the bin says of a class's slabs is what they are. */
static void expect_bin_in_order(unsigned class_id, unsigned slabs, size_t free_objects)
{
    struct hak_pool *pool = pool_of(class_id);
    const struct hak_pool_bin *bin = &pool->bins[class_id - pool->first_class];
    unsigned open = 0;
    size_t free_in_lists = 0;
    for (unsigned degree = 0; degree < HAK_POOL_DEGREES; degree++) {
        for (const struct hak_slab *slab = bin->lists[degree].first; slab != NULL;
             slab = slab->next) {
            unsigned right = slab->free_count * HAK_POOL_DEGREES / slab->capacity;
            EXPECT_EQ(slab->degree, degree);
            EXPECT_GE(slab->free_count, 1);
            if (degree + 1 < HAK_POOL_DEGREES && slab->free_count != 0)
                EXPECT_EQ(right, degree);
            free_in_lists += slab->free_count;
            open++;
        }
    }
    EXPECT_EQ(bin->open, open);
    EXPECT_EQ(bin->slabs, slabs);
    EXPECT_EQ(bin->free_objects, free_objects);
    EXPECT_EQ(free_in_lists, free_objects);
}

/* Chains in which several slabs' objects take turns, in runs of so many; one is freed twice. */
static void chains_over_slabs(void)
{
    enum { CLASS = 4, SLABS = 3, CHAIN = 24 };
    static const unsigned runs[] = {1, 2, 7, CHAIN};
    start();
    unsigned capacity = hak_classes[CLASS].capacity;
    uintptr_t *objects = calloc(capacity * SLABS, sizeof *objects);
    for (unsigned which = 0; which < TAP_COUNT(runs); which++) {
        take_many(CLASS, objects, capacity * SLABS);
        expect_bin_in_order(CLASS, SLABS, 0);
        unsigned next[SLABS] = {0};
        for (unsigned given = 0; given + CHAIN <= capacity * SLABS / 2; given += CHAIN) {
            struct hak_chain chain = hak_chain_make(NULL, ANY_ROOM);
            for (unsigned i = 0; i < CHAIN; i++) {
                unsigned slab = (given + i) / runs[which] % SLABS;
                push(&chain, (void *)objects[slab * capacity + next[slab]++]);
            }
            EXPECT_EQ(hak_pool_give(&tiny, CLASS, &chain, &keep_all), CHAIN);
            expect_bin_in_order(CLASS, SLABS, given + CHAIN);
        }
        size_t free_objects = next[0] + next[1] + next[2];
        struct hak_chain twice = hak_chain_make(NULL, ANY_ROOM);
        push(&twice, (void *)objects[next[0]]);
        push(&twice, (void *)objects[0]); /* a second time */
        push(&twice, (void *)objects[next[0] + 1]);
        EXPECT_EQ(hak_pool_give(&tiny, CLASS, &twice, &keep_all), 1);
        EXPECT(hak_chain_top(twice) == (void *)objects[0]);
        expect_bin_in_order(CLASS, SLABS, free_objects + 1);
        give(CLASS, (void *)objects[next[0]], &keep_all);
        next[0] += 2;
        for (unsigned slab = 0; slab < SLABS; slab++)
            for (; next[slab] < capacity; next[slab]++)
                give(CLASS, (void *)objects[slab * capacity + next[slab]], &keep_all);
        expect_bin_in_order(CLASS, 1, capacity); /* one is kept */
        EXPECT_EQ(hak_pool_purge(&tiny) != 0, 1);
    }
    free(objects);
    expect_all_empty();
}

/* ---- how much is kept, and for how long ----------------------------------------------------- */

/* Takes `slabs` slabs of the class and gives all back. */
static void fill_and_give(unsigned class_id, unsigned slabs, const struct hak_settings *settings)
{
    unsigned count = hak_classes[class_id].capacity * slabs;
    uintptr_t *objects = calloc(count, sizeof *objects);
    take_many(class_id, objects, count);
    for (unsigned i = 0; i < count; i++)
        memset((void *)objects[i], 1, hak_classes[class_id].size);
    for (unsigned i = 0; i < count; i++)
        give(class_id, (void *)objects[i], settings);
    free(objects);
}

static void kept_as_told(void)
{
    start();
    size_t slab = hak_classes[HAK_CLASS_LAST].slab_pages * (size_t)HAK_PAGE_SIZE;
    fill_and_give(HAK_CLASS_LAST, 9, &keep_nothing);
    EXPECT_EQ(mid.space.dirty_bytes, 0);
    EXPECT_EQ(hak_pool_slab_bytes(&mid), slab);
    expect_all_empty();

    const struct hak_settings keep_some = {.slab_retain_bytes = 4 * slab};
    fill_and_give(HAK_CLASS_LAST, 9, &keep_some);
    EXPECT_LE(mid.space.dirty_bytes, 4 * slab);
    EXPECT_GE(mid.space.dirty_bytes, slab);
    expect_all_empty();

    fill_and_give(HAK_CLASS_LAST, 9, &keep_all);
    EXPECT_EQ(mid.space.dirty_bytes, 8 * slab);
    uint64_t now = hak_os_coarse_now_ns();
    hak_pool_tick(&mid, &keep_all, now);
    EXPECT_EQ(mid.space.dirty_bytes, 8 * slab);
    uint64_t purged = count_of(HAK_COUNTER_BYTES_PURGED);
    hak_pool_tick(&mid, &keep_all, now + keep_all.decay_ns + 1);
    EXPECT_EQ(mid.space.dirty_bytes, 0);
    /* And the pages inside the one that was kept. */
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_PURGED) - purged, 9 * slab);
    expect_all_empty();
}

/* Objects come from a slab with few free objects before one with many, wherever they stand. */
static void fullest_slab_first(void)
{
    enum { SLABS = 4 };
    start();
    unsigned class_id = hak_size_class(1024);
    unsigned capacity = hak_classes[class_id].capacity;
    unsigned count = SLABS * capacity;
    uintptr_t *objects = calloc(count, sizeof *objects);
    take_many(class_id, objects, count); /* sorted: slab after slab */
    const unsigned free_part[SLABS] = {capacity - 1, capacity / 8, capacity - 2, capacity / 2};
    for (unsigned slab = 0; slab < SLABS; slab++)
        for (unsigned i = 0; i < free_part[slab]; i++)
            give(class_id, (void *)objects[slab * capacity + i], &keep_all);
    const unsigned order[SLABS] = {1, 3, 0, 2}; /* of two alike, the first one */
    for (unsigned turn = 0; turn < SLABS; turn++)
        for (unsigned i = 0; i < free_part[order[turn]]; i++) {
            struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
            REQUIRE(hak_pool_take(&tiny, class_id, 1, &word) == 1);
            uintptr_t object = (uintptr_t)pop(&word);
            EXPECT_GE(object, objects[order[turn] * capacity]);
            EXPECT_LE(object, objects[order[turn] * capacity + capacity - 1]);
        }
    for (unsigned i = 0; i < count; i++)
        give(class_id, (void *)objects[i], &keep_all);
    free(objects);
    expect_all_empty();
}

/* Regions of huge pages lose all free pages or none; a purge of all spares nothing. */
static void huge_regions_are_spared(void)
{
    start();
    unsigned pages = hak_classes[HAK_CLASS_LAST].slab_pages;
    hak_region_set_huge(HAK_HUGE_ALWAYS);
    hak_pool_purge(&mid);
    uint64_t purged = count_of(HAK_COUNTER_BYTES_PURGED);
    fill_and_give(HAK_CLASS_LAST, 4, &keep_nothing);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_PURGED), purged);
    EXPECT_EQ(mid.space.dirty_bytes, 3 * pages * HAK_PAGE_SIZE);
    hak_pool_tick(&mid, &keep_nothing, UINT64_MAX);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_PURGED), purged);

    fill_and_give(HAK_CLASS_LAST, 4 * HAK_REGION_PAGES / pages, &keep_nothing);
    EXPECT(count_of(HAK_COUNTER_BYTES_PURGED) > purged);
    for (struct hak_region *region = mid.space.all.first; region != NULL;
         region = region->links[HAK_REGION_ALL].next)
        EXPECT(region->dirty_pages == 0 || region->free_pages != ~(uint32_t)1);
    EXPECT(mid.space.dirty_bytes > 0);
    hak_pool_purge(&mid);
    EXPECT_EQ(mid.space.dirty_bytes, 0);
    hak_region_set_huge(HAK_HUGE_DEFAULT);
}

/* Pages that were free and dirty and are in use again are not purged. */
static void purges_spare_the_living(void)
{
    enum { CLASS = HAK_CLASS_LAST - 1 };
    start();
    fill_and_give(CLASS, 6, &keep_all);
    unsigned count = hak_classes[CLASS].capacity * 3;
    uintptr_t *objects = calloc(count, sizeof *objects);
    take_many(CLASS, objects, count);
    for (unsigned i = 0; i < count; i++)
        memset((void *)objects[i], 0x3c, hak_classes[CLASS].size);
    /* Six slabs, of which one was kept; three are in use again, the kept one among them. */
    EXPECT_EQ(mid.space.dirty_bytes, 3 * hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
    hak_pool_purge(&mid);
    EXPECT_EQ(mid.space.dirty_bytes, 0);
    for (unsigned i = 0; i < count; i++) {
        const unsigned char *object = (const unsigned char *)objects[i];
        EXPECT_EQ(object[0], 0x3c);
        EXPECT_EQ(object[hak_classes[CLASS].size - 1], 0x3c);
        give(CLASS, (void *)objects[i], &keep_all);
    }
    free(objects);
    expect_all_empty();
}

/* Live memory of constant size that changes from one class to another and back: the pages that one
 * gives up must serve the other, wherever their regions stand. */
static void classes_use_each_others_pages(void)
{
    enum { SLABS = 400, TURNS = 6 };
    unsigned kinds[] = {HAK_CLASS_LAST, HAK_CLASS_LAST - 1};
    start();
    while (hak_classes[kinds[1]].slab_pages != hak_classes[kinds[0]].slab_pages)
        kinds[1]--;
    unsigned live = SLABS * hak_classes[kinds[0]].capacity;
    void **queue = calloc(live, sizeof *queue);
    unsigned regions_first = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < live; i++) {
            if (queue[i] != NULL)
                give(kinds[(turn + 1) % 2], queue[i], &keep_nothing);
            struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
            if (!EXPECT_EQ(take(kinds[turn % 2], 1, &word), 1))
                return;
            queue[i] = hak_chain_top(word);
        }
        if (turn == 0)
            regions_first = mid.space.all.count;
    }
    EXPECT_LE(mid.space.all.count, 2 * regions_first + 2);
    for (unsigned i = 0; i < live; i++)
        give(kinds[(TURNS - 1) % 2], queue[i], &keep_nothing);
    free(queue);
    expect_all_empty();
}

static int refused_child(void)
{
    hak_size_class_start();
    if (!child_limit(RLIMIT_AS, (size_t)256 << 20))
        return CHILD_CANNOT;
    start();
    const struct hak_chain none = hak_chain_make(NULL, ANY_ROOM);
    static void *objects[16384];
    unsigned taken = 0;
    struct hak_chain word = none;
    while (taken < TAP_COUNT(objects) && take(HAK_CLASS_LAST, 1, &word) == 1)
        objects[taken++] = pop(&word);
    int good = EXPECT_GE(taken, 1000) & EXPECT_LE(taken, 8192);
    good &= EXPECT_EQ(hak_pool_take_fresh(&mid, HAK_CLASS_LAST, 1, &word), 0);
    good &= EXPECT_EQ(word.word, none.word);
    for (unsigned i = 0; i < taken; i++)
        give(HAK_CLASS_LAST, objects[i], &keep_all);
    good &= EXPECT_EQ(take(HAK_CLASS_LAST, 1, &word), 1);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void refused(void)
{
    child_run(refused_child, "an address-space limit");
}

/* ---- many threads ----------------------------------------------------------------------- */

enum { THREADS = 6, TABLE = 512, STEPS = 12000, CLASSES = 5, CHAIN = 16 };

static const unsigned classes[CLASSES] = {1, 2, 17, HAK_CLASS_TINY_LAST + 4, HAK_CLASS_LAST};
static void *table[CLASSES][TABLE]; /* objects on their way from thread to thread */
static uint64_t serial;

struct worker {
    unsigned number;
    uint64_t failures;
};

/* An object that a thread holds has its number in the first and last words: if it was handed out
 * twice, the second owner's words would be there. */
static void sign(unsigned class_id, uint64_t *object)
{
    /* relaxed: only has to be a new number */
    uint64_t number = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
    object[0] = number;
    object[hak_classes[class_id].size / 8 - 1] = ~number;
}

static int is_signed(unsigned class_id, const uint64_t *object)
{
    return object[hak_classes[class_id].size / 8 - 1] == ~object[0];
}

/* Puts new objects into the table and gives back those that were there, whichever thread took
 * them. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct prng prng = {worker->number};
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned which = (unsigned)prng_below(&prng, CLASSES);
        unsigned class_id = classes[which];
        struct hak_chain fresh = hak_chain_make(NULL, ANY_ROOM);
        struct hak_chain back = hak_chain_make(NULL, ANY_ROOM);
        unsigned count = take(class_id, 1 + (unsigned)prng_below(&prng, CHAIN), &fresh);
        unsigned returned = 0;
        for (unsigned i = 0; i < count; i++) {
            void *object = pop(&fresh);
            sign(class_id, object);
            void **slot = &table[which][prng_below(&prng, TABLE)];
            /* acq_rel: the object's words go with it */
            void *old = __atomic_exchange_n(slot, object, __ATOMIC_ACQ_REL);
            if (old == NULL)
                continue;
            worker->failures += !is_signed(class_id, old);
            push(&back, old);
            returned++;
        }
        const struct hak_settings *settings = step % 3 != 0 ? &keep_all : &keep_nothing;
        worker->failures += hak_pool_give(pool_of(class_id), class_id, &back, settings) != returned;
        if (step % 1000 == 0)
            hak_pool_purge(pool_of(class_id));
        /* All memory that was free at the last look goes, also inside slabs. */
        hak_pool_tick(pool_of(class_id), &keep_nothing, hak_os_now_ns());
    }
    return NULL;
}

static void many_threads(void)
{
    start();
    struct worker workers[THREADS] = {{0}};
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].number = i + 1;
    threads_run(THREADS, work, workers, sizeof workers[0]);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(workers[i].failures, 0);
    for (unsigned which = 0; which < CLASSES; which++)
        for (unsigned i = 0; i < TABLE; i++)
            if (table[which][i] != NULL) {
                EXPECT(is_signed(classes[which], table[which][i]));
                give(classes[which], table[which][i], &keep_all);
                table[which][i] = NULL;
            }
    expect_all_empty();
}

int main(int argc, char **argv)
{
    /* The test asks which pages are resident: in units of 4 KiB, whatever the system does by
     * itself. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    static const struct tap_case cases[] = {
        {"refused memory is reported, and nothing is lost", refused},
        {"every class over several slabs", all_classes},
        {"a chain ends at the first object of another home", chains_of_mixed_homes},
        {"a pointer to no object stays on top of its chain", bad_objects_stay_on_top},
        {"chains over several slabs leave the lists in order", chains_over_slabs},
        {"free pages are kept as the settings say", kept_as_told},
        {"a purge spares used memory", purges_spare_the_living},
        {"the fullest slab is taken from first", fullest_slab_first},
        {"classes use each other's pages", classes_use_each_others_pages},
        {"many threads each get objects of their own", many_threads},
        {"regions of huge pages are purged as a whole", huge_regions_are_spared},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
