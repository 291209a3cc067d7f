/* SPDX-License-Identifier: MIT */
/*
 * engine.c - the slots, the steps of their threads, the end of a run.
 *
 * A slot's objects and prng belong to its present thread; the mailbox is under its lock.
 */
#define _GNU_SOURCE
#include "tests/stress/engine.h"

#include "tests/lib/prng.h"
#include "tests/lib/shadow.h"
#include "tests/lib/tap.h"
#include "tests/stress/allocator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    OBJECTS = 512,     /* live objects of a slot */
    MAIL = 1024,       /* objects waiting in a mailbox */
    LEGACY = 16,       /* objects that a thread's destructor frees */
    LIFE_STEPS = 4000, /* about what a thread does before its successor takes over */
    SMALL_BITS = 16,
    LARGE_BITS = 23, /* 8 MiB */
    LARGE_ONE_IN = 80,
};

struct slot {
    struct shadow_object objects[OBJECTS];
    struct prng prng;
    pthread_t predecessor;
    int has_predecessor;
    unsigned long steps; /* of all its threads; read by main at the end */
    unsigned lives;      /* threads that lived here */
    pid_t thread;        /* who lives here now; atomic, for those who disturb it */
    pthread_mutex_t lock;
    unsigned mail_count;
    struct shadow_object mail[MAIL];
};

static struct slot slots[ENGINE_SLOTS_MAX];
static unsigned slot_count;
static size_t budget;
static size_t live_bytes;    /* of all slots; a limit that may be missed by a little */
static unsigned stop;        /* set by main when the time is over */
static unsigned slots_ended; /* main waits for all */
static pthread_key_t legacy_key;

static void give_back(struct shadow_object *object)
{
    shadow_leave(object);
    /* relaxed: a sum, read as an estimate */
    __atomic_fetch_sub(&live_bytes, object->usable, __ATOMIC_RELAXED);
    stress_free(object->address);
    object->address = NULL;
}

static size_t choose_size(struct prng *prng)
{
    unsigned bits = prng_below(prng, LARGE_ONE_IN) == 0 ? LARGE_BITS : SMALL_BITS;
    return prng_size(prng, bits);
}

static void make(struct prng *prng, struct shadow_object *object)
{
    size_t size = choose_size(prng);
    unsigned kind = (unsigned)prng_below(prng, 10);
    size_t alignment = size < 16 ? 8 : 16;
    void *address;
    if (kind < 6) {
        address = stress_malloc(size);
    } else if (kind < 8) {
        address = stress_calloc(1, size);
        if (address)
            shadow_check_zero(address, size);
    } else {
        alignment = (size_t)16 << prng_below(prng, kind == 9 ? 18 : 9);
        address = stress_aligned_alloc(alignment, size);
    }
    if (!address)
        shadow_fail("no memory within the budget", NULL, size);
    if ((uintptr_t)address & (alignment - 1))
        shadow_fail("it is not aligned", address, size);
    shadow_enter(object, address, size, stress_usable_size(address));
    /* relaxed: as in give_back */
    __atomic_fetch_add(&live_bytes, object->usable, __ATOMIC_RELAXED);
}

static void resize(struct prng *prng, struct shadow_object *object)
{
    struct shadow_object old = *object;
    size_t size = prng_below(prng, 3) ? choose_size(prng) : old.size + prng_below(prng, 64) + 1;
    if (prng_below(prng, 8) == 0)
        size = old.usable; /* nothing may move or be lost */
    shadow_leave(object);
    void *address = stress_realloc(old.address, size);
    if (!address)
        shadow_fail("realloc found no memory within the budget", old.address, size);
    shadow_enter_resized(object, &old, address, size, stress_usable_size(address));
    /* relaxed: as in give_back */
    __atomic_fetch_add(&live_bytes, object->usable - old.usable, __ATOMIC_RELAXED);
}

/* Whether the other slot's mailbox took it. */
static int post(struct slot *to, struct shadow_object *object)
{
    int taken = 0;
    pthread_mutex_lock(&to->lock);
    if (to->mail_count < MAIL) {
        to->mail[to->mail_count++] = *object;
        taken = 1;
    }
    pthread_mutex_unlock(&to->lock);
    if (taken)
        object->address = NULL;
    return taken;
}

static void empty_mailbox(struct slot *slot)
{
    for (;;) {
        struct shadow_object object = {0};
        pthread_mutex_lock(&slot->lock);
        if (slot->mail_count > 0)
            object = slot->mail[--slot->mail_count];
        pthread_mutex_unlock(&slot->lock);
        if (!object.address)
            return;
        give_back(&object);
    }
}

static void step(struct slot *slot)
{
    struct prng *prng = &slot->prng;
    struct shadow_object *object = &slot->objects[prng_below(prng, OBJECTS)];
    /* relaxed: an estimate */
    int is_over = __atomic_load_n(&live_bytes, __ATOMIC_RELAXED) > budget;
    unsigned kind = (unsigned)prng_below(prng, 100);
    if (!object->address) {
        if (!is_over)
            make(prng, object);
        return;
    }
    if (is_over || kind < 40) {
        give_back(object);
    } else if (kind < 60) {
        resize(prng, object);
    } else if (kind < 75) {
        /* half of all mail goes to the slot that never allocates */
        unsigned to = kind % 2 ? slot_count - 1 : (unsigned)prng_below(prng, slot_count);
        if (!post(&slots[to], object))
            give_back(object);
    } else {
        shadow_check(object);
    }
}

/* Runs while the thread ends, before or after the allocator's own destructor. */
static void free_legacy(void *value)
{
    struct shadow_object *legacy = value;
    for (unsigned i = 0; i < LEGACY; i++)
        give_back(&legacy[i]);
    stress_free(legacy);
}

static void leave_legacy(struct slot *slot)
{
    struct shadow_object *legacy = stress_malloc(LEGACY * sizeof(*legacy));
    if (!legacy)
        shadow_fail("no memory for the legacy", NULL, LEGACY * sizeof(*legacy));
    for (unsigned i = 0; i < LEGACY; i++)
        make(&slot->prng, &legacy[i]);
    pthread_setspecific(legacy_key, legacy);
}

static int is_over(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED); /* relaxed: only the wish to stop */
}

/* relaxed: if the thread has just ended, the disturbance has no effect */
static void set_thread(struct slot *slot, pid_t thread)
{
    __atomic_store_n(&slot->thread, thread, __ATOMIC_RELAXED);
}

pid_t engine_thread(unsigned slot)
{
    return __atomic_load_n(&slots[slot].thread, __ATOMIC_RELAXED); /* relaxed: as above */
}

static void *live(void *argument)
{
    struct slot *slot = argument;
    if (slot->has_predecessor)
        pthread_join(slot->predecessor, NULL);
    set_thread(slot, gettid());
    int receives_only = slot == &slots[slot_count - 1] && slot_count > 1;
    unsigned long life = LIFE_STEPS / 2 + prng_below(&slot->prng, LIFE_STEPS);
    if (receives_only)
        life /= 64; /* its steps are whole mailboxes */
    if (!receives_only)
        leave_legacy(slot);
    for (unsigned long i = 0; i < life && !is_over(); i++) {
        if (receives_only || i % 64 == 0)
            empty_mailbox(slot);
        if (receives_only)
            usleep(100);
        else
            step(slot);
        slot->steps++;
    }
    slot->lives++;
    slot->predecessor = pthread_self();
    slot->has_predecessor = 1;
    pthread_t successor;
    if (!is_over() && pthread_create(&successor, NULL, live, slot) == 0)
        return NULL;
    set_thread(slot, 0);
    /* release: pairs with main's acquire, which then reads the slot and joins this thread */
    __atomic_fetch_add(&slots_ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void end_run(const struct engine *engine)
{
    unsigned long steps = 0;
    unsigned lives = 0;
    for (unsigned i = 0; i < slot_count; i++) {
        pthread_join(slots[i].predecessor, NULL);
        empty_mailbox(&slots[i]);
        for (unsigned j = 0; j < OBJECTS; j++) {
            if (slots[i].objects[j].address)
                give_back(&slots[i].objects[j]);
        }
        steps += slots[i].steps;
        lives += slots[i].lives;
    }
    tap_note("%u slots, seed %llu: %lu steps by %u threads", slot_count,
             (unsigned long long)engine->seed, steps, lives);
    EXPECT_EQ(live_bytes, 0);
    EXPECT_GE(steps, slot_count); /* something happened */
    EXPECT_GE(lives, slot_count);
}

static void start_slots(const struct engine *engine)
{
    for (unsigned i = 0; i < slot_count; i++) {
        slots[i].prng.state = prng_mix(engine->seed + i);
        pthread_mutex_init(&slots[i].lock, NULL);
    }
    for (unsigned i = 0; i < slot_count; i++) {
        pthread_t first;
        if (pthread_create(&first, NULL, live, &slots[i]) != 0)
            shadow_fail("no thread could be started", NULL, 0);
    }
}

void engine_run(const struct engine *engine, unsigned threads, int (*still_busy)(void))
{
    const struct timespec pause = {0, 10000000};
    struct timespec now;
    /* sanitizers and loaded machines are slow; a deadlock never ends */
    alarm(engine->seconds * 4 + 120);
    slot_count = threads;
    budget = engine->budget;
    stop = 0;
    slots_ended = 0;
    memset(slots, 0, sizeof(slots));
    start_slots(engine);
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t end = now.tv_sec + (time_t)engine->seconds;
    while (now.tv_sec < end || (still_busy && still_busy())) {
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED); /* relaxed: as in is_over */
    /* acquire: pairs with the release at the end of live */
    while (__atomic_load_n(&slots_ended, __ATOMIC_ACQUIRE) < threads)
        nanosleep(&pause, NULL);
    end_run(engine);
}

size_t engine_live_bytes(void)
{
    return __atomic_load_n(&live_bytes, __ATOMIC_RELAXED); /* relaxed: an estimate */
}

int engine_take_option(struct engine *engine, const char *name, const char *value)
{
    unsigned long long number = strtoull(value, NULL, 0);
    if (strcmp(name, "--threads") == 0 && number >= 1 && number <= ENGINE_SLOTS_MAX)
        engine->threads = (unsigned)number;
    else if (strcmp(name, "--seconds") == 0 && number >= 1)
        engine->seconds = (unsigned)number;
    else if (strcmp(name, "--budget") == 0 && number >= 1)
        engine->budget = (size_t)number << 20;
    else if (strcmp(name, "--seed") == 0)
        engine->seed = number;
    else
        return 0;
    return 1;
}

int engine_start(struct engine *engine)
{
    if (engine->seed == 0) {
        if (getrandom(&engine->seed, sizeof(engine->seed), 0) != sizeof(engine->seed))
            engine->seed = (uint64_t)time(NULL);
        engine->seed &= 0xffffffff;
    }
    tap_note("seed %llu, %u s, budget %zu MiB", (unsigned long long)engine->seed, engine->seconds,
             engine->budget >> 20);
    shadow_start(engine->seed);
    return pthread_key_create(&legacy_key, free_legacy) == 0 ? 0 : -1;
}
