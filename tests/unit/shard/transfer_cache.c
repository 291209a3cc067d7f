/* SPDX-License-Identifier: MIT */
/* shard/transfer_cache.c: a pushed bundle is popped once, whole, and the cache never exceeds its
 * capacity; ABA is provoked. */
#include "shard/transfer_cache.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"
#include "shard/grace.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/unit/shaker.h"
#include "tiers/page_map.h"

enum {
    CLASS = 4, /* 64 bytes: link, next bundle, number of the bundle, number in it */
    SIZE = 64,
    BUNDLES = 256,
    LENGTH = 3, /* objects in most bundles */
    THREADS = 16,
    HELD_MAX = 6, /* by one thread, but for what has no room in the bin any more */
    ROOM_MAX = 64,
    ROUNDS = 60000,
};

struct object {
    uint64_t link;
    uint64_t next_bundle;
    uint64_t bundle;
    uint64_t rank;
    char rest[SIZE - 32];
};

static struct object objects[BUNDLES][LENGTH] __attribute__((aligned(SIZE)));
static unsigned owners[BUNDLES]; /* how many hold it: 0 or 1 */
static struct hak_transfer_cache cache;

struct worker {
    struct prng prng;
    unsigned rounds;
    unsigned faults;
    uint64_t pops;
    unsigned count; /* bundles held */
    unsigned held[HELD_MAX + ROOM_MAX];
};

static struct worker workers[THREADS];
static unsigned most; /* bundles that the class ever has room for */

static void start(void)
{
    hak_size_class_start();
    hak_grace_start();
    hak_link_start(0x6a09e667f3bcc909);
    EXPECT_EQ(hak_classes[CLASS].size, SIZE);
    /* The page map knows them as the class's, or no link to them were sound. */
    EXPECT_EQ(hak_page_map_cover(objects, sizeof objects), 0);
    hak_page_map_set_slab(objects, 2, CLASS, 1);
    memset(&cache, 0, sizeof cache);
    memset(owners, 0, sizeof owners);
    memset(workers, 0, sizeof workers);
}

/* Bundle `number` as a chain; its length is LENGTH less number % 2. */
static struct hak_chain chain_of(unsigned number)
{
    struct hak_chain chain = hak_magazine_empty(CLASS);
    for (unsigned rank = number % 2; rank < LENGTH; rank++) {
        struct object *object = &objects[number][rank];
        object->bundle = number;
        object->rank = rank;
        hak_magazine_push(&chain, object);
    }
    return chain;
}

/* The number of a popped bundle if it is whole, else BUNDLES. */
static unsigned number_of(struct hak_chain chain)
{
    struct object *top = hak_chain_top(chain);
    size_t offset = (size_t)((char *)top - (char *)objects);
    unsigned number = (unsigned)(offset / sizeof objects[0]);
    if (number >= BUNDLES || top->bundle != number)
        return BUNDLES;
    unsigned room = hak_chain_room(chain);
    for (unsigned rank = LENGTH; rank-- > number % 2; room++) {
        if (hak_chain_top(chain) != &objects[number][rank] || hak_chain_room(chain) != room)
            return BUNDLES;
        chain = hak_link_read(&objects[number][rank]);
    }
    return chain.word == hak_magazine_empty(CLASS).word ? number : BUNDLES;
}

/* There is room for all that was under it: bins hold more than there is. */
static struct hak_chain pop_bundle(unsigned class_id)
{
    struct hak_bundles_left left;
    struct hak_chain chain = hak_transfer_cache_pop(&cache, class_id, &left);
    EXPECT(hak_bundle_is_none(left.first));
    EXPECT_EQ(left.count, 0);
    return chain;
}

static int own(struct worker *worker, struct hak_chain chain)
{
    unsigned number = number_of(chain);
    worker->faults += number == BUNDLES;
    if (number == BUNDLES)
        return 0;
    /* relaxed, here and below: a wrong value is a fault, whatever its order */
    worker->faults += __atomic_fetch_add(&owners[number], 1, __ATOMIC_RELAXED) != 0;
    worker->held[worker->count++] = number;
    worker->pops++;
    memset(objects[number], 0xff, sizeof objects[number]); /* as the program would */
    return 1;
}

/* A thread that finds no reader to borrow takes all bundles; those for which the bin has no room
 * any more are the thread's, too. */
static int pop(struct worker *worker)
{
    struct hak_bundles_left left;
    struct hak_chain chain = hak_transfer_cache_pop(&cache, CLASS, &left);
    for (; !hak_bundle_is_none(left.first); left.count--) {
        struct hak_chain bundle = hak_bundle_chain(CLASS, left.first);
        left.first = hak_bundle_next(hak_bundle_top(left.first));
        own(worker, bundle);
    }
    worker->faults += left.count != 0;
    return !hak_chain_is_empty(chain) && own(worker, chain);
}

static int push(struct worker *worker, unsigned which)
{
    unsigned number = worker->held[which];
    worker->held[which] = worker->held[--worker->count];
    __atomic_fetch_sub(&owners[number], 1, __ATOMIC_RELAXED);
    if (hak_transfer_cache_push(&cache, CLASS, chain_of(number)))
        return 1;
    worker->faults += __atomic_fetch_add(&owners[number], 1, __ATOMIC_RELAXED) != 0;
    worker->held[worker->count++] = number;
    /* Threads that hold their full number only push: room must not shrink because of that. */
    __atomic_store_n(&cache.bins[CLASS].refused, 0, __ATOMIC_RELAXED);
    return 0;
}

static void *play(void *argument)
{
    struct worker *worker = argument;
    for (unsigned round = 0; round < worker->rounds; round++) {
        if (worker->count < HELD_MAX && prng_below(&worker->prng, 2) == 0)
            pop(worker);
        else if (worker->count > 0)
            push(worker, (unsigned)prng_below(&worker->prng, worker->count));
        unsigned depth = hak_transfer_cache_depth(&cache, CLASS);
        worker->faults += depth > most;
    }
    return NULL;
}

/* The classic: pops one, pops the one below, pushes the first again. A thread that slept meanwhile
 * must not put the second on top. */
static void *provoke(void *argument)
{
    struct worker *worker = argument;
    for (unsigned round = 0; round < worker->rounds; round++) {
        pop(worker);
        pop(worker);
        while (worker->count > 0)
            push(worker, 0);
    }
    return NULL;
}

/* Each bundle is in the cache or in one worker's hands, no matter what happened. */
static void account(unsigned bundles)
{
    struct worker *last = &workers[0];
    unsigned found = 0;
    uint64_t pops = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        EXPECT_EQ(workers[i].faults, 0);
        pops += workers[i].pops;
        found += workers[i].count;
    }
    EXPECT_GE(pops, ROUNDS / 40); /* they really met, also on a busy machine */
    unsigned depth = hak_transfer_cache_depth(&cache, CLASS);
    for (last->count = 0; found <= bundles && pop(last); found++)
        last->count = 0;
    EXPECT_EQ(last->faults, 0);
    EXPECT_EQ(found, bundles);
    EXPECT_LE(depth, bundles);
    EXPECT_EQ(hak_transfer_cache_depth(&cache, CLASS), 0);
    for (unsigned number = 0; number < BUNDLES; number++)
        EXPECT_EQ(owners[number], number < bundles);
}

static void run(unsigned bundles, unsigned rounds, void *(*body)(void *))
{
    for (unsigned number = 0; number < bundles; number++)
        if (!hak_transfer_cache_push(&cache, CLASS, chain_of(number))) {
            struct worker *worker = &workers[number % THREADS];
            worker->held[worker->count++] = number;
            owners[number] = 1;
        }
    cache.bins[CLASS].refused = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].prng.state = i;
        workers[i].rounds = rounds;
    }
    shaker_run(THREADS, body, workers, sizeof workers[0]);
}

static void last_in_first_out(void)
{
    start();
    EXPECT(hak_chain_is_empty(pop_bundle(CLASS)));
    struct hak_chain words[10];
    for (unsigned i = 0; i < 10; i++) {
        words[i] = chain_of(i);
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, words[i]), 1);
        EXPECT_EQ(hak_transfer_cache_depth(&cache, CLASS), i + 1);
        EXPECT_EQ(hak_transfer_cache_depth(&cache, CLASS + 1), 0);
    }
    for (unsigned i = 10; i-- > 0;) {
        EXPECT_EQ(pop_bundle(CLASS).word, words[i].word);
        EXPECT_EQ(number_of(words[i]), i);
    }
    EXPECT(hak_chain_is_empty(pop_bundle(CLASS)));
}

/* At first room for 64 KiB of each class, within bounds; a full bin says no and changes nothing. */
static void capacity_holds(void)
{
    start();
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        unsigned capacity = hak_transfer_cache_capacity(&cache, class_id);
        EXPECT_GE(capacity, 4);
        EXPECT_LE(capacity, 64);
        size_t bundle = (size_t)hak_classes[class_id].bundle * hak_classes[class_id].size;
        if (capacity > 4)
            EXPECT_LE(capacity * bundle, 64 * 1024);
    }
    cache.bins[CLASS].capacity = 5;
    for (unsigned i = 0; i < 8; i++)
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(i)), i < 5);
    EXPECT_EQ(hak_transfer_cache_depth(&cache, CLASS), 5);
    EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(7)), 0);
    for (unsigned i = 5; i-- > 0;)
        EXPECT_EQ(number_of(pop_bundle(CLASS)), i);
}

/* Somebody wants a bundle of the empty bin. */
static void miss(void)
{
    EXPECT(hak_chain_is_empty(pop_bundle(CLASS)));
    hak_transfer_cache_note_demand(&cache, CLASS, false);
}

/* Fills the bin; how many bundles it held. It has refused one then, and is empty. */
static unsigned fill_and_empty(void)
{
    unsigned held = 0;
    while (EXPECT_LE(held, 64) && hak_transfer_cache_push(&cache, CLASS, chain_of(held)))
        held++;
    for (unsigned i = held; i-- > 0;)
        EXPECT_EQ(number_of(pop_bundle(CLASS)), i);
    return held;
}

/* A bundle that was refused and then missed has room the next time, up to a bound; not one that was
 * only refused, or only missed. A bin that is left alone starts again. */
static void capacity_follows_misses(void)
{
    start();
    unsigned first = hak_transfer_cache_capacity(&cache, CLASS);
    miss();
    EXPECT_EQ(fill_and_empty(), first);
    EXPECT_EQ(fill_and_empty(), first);
    unsigned held = first;
    while (held < 64) {
        miss();
        unsigned now = fill_and_empty();
        EXPECT_EQ(now, 2 * held < 64 ? 2 * held : 64);
        if (now <= held)
            return;
        held = now;
    }
    miss();
    EXPECT_EQ(fill_and_empty(), 64);
    EXPECT_EQ(hak_transfer_cache_is_idle(&cache, CLASS), 0);
    EXPECT_EQ(hak_transfer_cache_capacity(&cache, CLASS), 64);
    EXPECT_EQ(hak_transfer_cache_is_idle(&cache, CLASS), 0); /* empty: nothing is to go */
    EXPECT_EQ(fill_and_empty(), first);
}

/* Each of the two callers that ask whether a bin was left alone has its own answer. */
static void left_alone(void)
{
    start();
    EXPECT(hak_transfer_cache_push(&cache, CLASS, chain_of(0)));
    EXPECT_EQ(hak_transfer_cache_is_stale(&cache, CLASS), 0);
    EXPECT_EQ(hak_transfer_cache_is_idle(&cache, CLASS), 0);
    EXPECT_EQ(hak_transfer_cache_is_stale(&cache, CLASS), 1);
    EXPECT(hak_transfer_cache_push(&cache, CLASS, chain_of(1)));
    EXPECT_EQ(hak_transfer_cache_is_stale(&cache, CLASS), 0);
    EXPECT_EQ(hak_transfer_cache_is_idle(&cache, CLASS), 0);
    pop_bundle(CLASS);
    pop_bundle(CLASS);
    EXPECT_EQ(hak_transfer_cache_is_stale(&cache, CLASS), 0);
    EXPECT_EQ(hak_transfer_cache_is_stale(&cache, CLASS), 0); /* empty */
}

/* A bin that refuses again and again has ever less room, until a thread misses a bundle. */
static void refused_in_vain(void)
{
    enum { ENOUGH = 200 };
    start();
    unsigned first = hak_transfer_cache_capacity(&cache, CLASS);
    for (unsigned i = 0; i < first; i++)
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(i)), 1);
    for (unsigned i = 0; i < first; i++)
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(first)), 0);
    EXPECT_EQ(hak_transfer_cache_is_over(&cache, CLASS), 0);
    hak_transfer_cache_note_demand(&cache, CLASS, true); /* not in vain yet */
    for (unsigned i = 1; i < first; i++)
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(first)), 0);
    EXPECT_EQ(hak_transfer_cache_is_over(&cache, CLASS), 0);
    for (unsigned i = 0; i < ENOUGH; i++)
        EXPECT_EQ(hak_transfer_cache_push(&cache, CLASS, chain_of(first)), 0);
    EXPECT_EQ(hak_transfer_cache_capacity(&cache, CLASS), 0);
    for (unsigned left = first; left-- > 0;) {
        EXPECT_EQ(hak_transfer_cache_is_over(&cache, CLASS), 1);
        EXPECT_EQ(number_of(pop_bundle(CLASS)), left);
    }
    miss();
    EXPECT_EQ(fill_and_empty(), first);
}

static void none_lost_or_doubled(void)
{
    start();
    most = 40;
    cache.bins[CLASS].capacity = most;
    run(100, ROUNDS, play);
    account(100);
}

/* As for a thread that finds no reader to borrow: all readers are borrowed. */
static void borrow_all(uintptr_t borrower)
{
    for (unsigned i = 0; i < HAK_GRACE_READERS; i++)
        hak_grace_slots[i].borrower = borrower;
}

static void none_lost_without_readers(void)
{
    start();
    borrow_all(1);
    most = 40;
    cache.bins[CLASS].capacity = most;
    run(40, ROUNDS, play);
    borrow_all(0);
    account(40);
}

/* Of a mid class a thread reads only its own bundle: the others go back as they came. */
static void taken_all_and_put_back(void)
{
    enum { MID = HAK_CLASS_TINY_LAST + 1 };
    static uint64_t memory[HAK_TRANSFER_MID_MAX][2] __attribute__((aligned(16)));
    struct hak_chain words[HAK_TRANSFER_MID_MAX];
    start();
    hak_page_map_set_slab(memory, 2, MID, 1);
    borrow_all(1); /* needs none */
    for (unsigned class_id = MID; class_id <= HAK_CLASS_LAST; class_id++)
        EXPECT_LE(hak_transfer_cache_capacity(&cache, class_id), HAK_TRANSFER_MID_MAX);
    cache.bins[MID].capacity = HAK_TRANSFER_MID_MAX;
    for (unsigned i = 0; i < HAK_TRANSFER_MID_MAX; i++) {
        words[i] = hak_magazine_empty(MID);
        hak_magazine_push(&words[i], memory[i]);
        EXPECT_EQ(hak_transfer_cache_push(&cache, MID, words[i]), 1);
    }
    EXPECT_EQ(hak_transfer_cache_push(&cache, MID, words[0]), 0);
    for (unsigned i = HAK_TRANSFER_MID_MAX; i-- > 0;) {
        uint64_t tag = cache.bins[MID].head.tag >> 16;
        EXPECT_EQ(pop_bundle(MID).word, words[i].word);
        EXPECT_EQ(hak_transfer_cache_depth(&cache, MID), i);
        EXPECT_LE((cache.bins[MID].head.tag >> 16) - tag, 2); /* put back at once */
    }
    EXPECT(hak_chain_is_empty(pop_bundle(MID)));
    borrow_all(0);
}

static void aba_with_few_bundles(void)
{
    for (unsigned bundles = 2; bundles <= 4; bundles++) {
        start();
        most = 40;
        run(bundles, ROUNDS, provoke);
        account(bundles);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a bin is a stack of whole bundles", last_in_first_out},
        {"capacity is kept", capacity_holds},
        {"capacity follows misses", capacity_follows_misses},
        {"bins that are left alone are known", left_alone},
        {"bundles refused in vain take room", refused_in_vain},
        {"no bundle is lost or handed out twice", none_lost_or_doubled},
        {"the same without a reader to borrow", none_lost_without_readers},
        {"of mid classes a pop takes all bundles, and puts the others back unread",
         taken_all_and_put_back},
        {"a stack that went and came back causes no error (ABA)", aba_with_few_bundles},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
