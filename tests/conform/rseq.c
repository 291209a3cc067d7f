/* SPDX-License-Identifier: MIT */
/*
 * rseq.c - threads that have given up restartable sequences go on allocating and freeing, while
 * others, whose fronts may be the CPUs', do the same.
 *
 * A thread may unregister the area that glibc has registered for it (some runtimes do, to use their
 * own). Objects are handed on through places that all threads exchange: no lock, no owner.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    THREADS = 6, /* every other one gives up its area, halfway */
    PLACES = 256,
    TURNS = 60000,
    SIZE_MOST = 3000,
    KERNEL_SIZE = 32, /* of struct rseq, as it was first */
    UNREGISTER = 1,
    SIGNATURE = 0x53053053, /* glibc's, on x86-64 */
};

struct object {
    unsigned size, tag; /* the bytes behind are bytes_fill's */
};

static struct object *places[PLACES]; /* exchanged by all threads */
static unsigned gave_up;              /* any thread adds */
static int refused;                   /* errno of who could not; 0: none. Any thread */

static struct object *make(struct prng *prng)
{
    unsigned size = (unsigned)prng_below(prng, SIZE_MOST);
    struct object *object = malloc(sizeof(*object) + size);
    if (!EXPECT(object != NULL))
        return NULL;
    object->size = size;
    object->tag = (unsigned)prng_below(prng, 1000);
    bytes_fill(object + 1, object->tag, size);
    return object;
}

static void drop(struct object *object)
{
    if (!object)
        return;
    EXPECT_EQ(bytes_wrong(object + 1, object->tag, object->size, object->size), 0);
    free(object);
}

/* 0, or errno. */
static int give_up_area(void)
{
#if defined(__x86_64__)
    const ptrdiff_t *offset = dlsym(RTLD_DEFAULT, "__rseq_offset");
    const unsigned *size = dlsym(RTLD_DEFAULT, "__rseq_size");
    if (!offset || !size || *size == 0)
        return ENOSYS;
    char *area = (char *)__builtin_thread_pointer() + *offset;
    unsigned length = *size > KERNEL_SIZE ? *size : KERNEL_SIZE;
    return syscall(SYS_rseq, area, length, UNREGISTER, SIGNATURE) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

static void *exchange_body(void *argument)
{
    unsigned number = *(unsigned *)argument;
    struct prng prng = {number + 1};
    for (unsigned turn = 0; turn < TURNS; turn++) {
        if (turn == TURNS / 2 && number % 2 == 0) {
            int error = give_up_area();
            /* relaxed, both: read after the join */
            if (error == 0)
                __atomic_fetch_add(&gave_up, 1, __ATOMIC_RELAXED);
            else
                __atomic_store_n(&refused, error, __ATOMIC_RELAXED);
        }
        struct object *object = prng_below(&prng, 3) == 0 ? NULL : make(&prng);
        /* acquire and release: who takes an object reads what its maker wrote */
        drop(__atomic_exchange_n(&places[prng_below(&prng, PLACES)], object, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void test_unregistered(void)
{
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        numbers[i] = i;
    threads_run(THREADS, exchange_body, numbers, sizeof(numbers[0]));
    for (unsigned i = 0; i < PLACES; i++) {
        drop(places[i]);
        places[i] = NULL;
    }
    if (refused == ENOSYS) {
        tap_skip("threads have no restartable sequences here");
        return;
    }
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(gave_up, THREADS / 2);
}

/* What starts and ends without an area: also a thread's first and last calls. */
static void *short_life(void *argument)
{
    void *objects[40];
    give_up_area();
    for (unsigned i = 0; i < TAP_COUNT(objects); i++) {
        objects[i] = malloc(i * 100);
        EXPECT(objects[i] != NULL);
    }
    for (unsigned i = 0; i < TAP_COUNT(objects); i++)
        free(objects[i]);
    return argument;
}

static void test_short_lives(void)
{
    for (unsigned round = 0; round < 20; round++)
        threads_run(THREADS, short_life, NULL, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"threads without restartable sequences work beside those with", test_unregistered},
        {"threads that begin without them come and go", test_short_lives},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
