/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a small shared library whose constructor, destructor and fork handlers allocate, with
 * thread-local data that the loader must allocate. Preloaded before ours, or loaded by dlopen.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { EARLY = 64 };

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void *plugin_early[EARLY]; /* made by the constructor; the test checks and frees them */
EXPORTED size_t plugin_early_size(unsigned i);
EXPORTED char *plugin_local(void);
EXPORTED void plugin_end_thread(void);
EXPORTED unsigned plugin_forks; /* how often a handler ran in this process or its parents */

/* Larger than the surplus of static TLS, and general-dynamic: first use calls malloc or calloc from
 * inside __tls_get_addr. */
static _Thread_local __attribute__((tls_model("global-dynamic"))) char local[20000];

EXPORTED size_t plugin_early_size(unsigned i)
{
    return i < EARLY - 4 ? 1 + i * 97u : 20000u * (i - (EARLY - 4)) * (i - (EARLY - 4)) + 10000;
}

EXPORTED char *plugin_local(void)
{
    local[0]++;
    return local;
}

/* ---- a thread that is older than most libraries, if PLUGIN_THREAD is set ---------------------- */

static pthread_t early_thread;
static unsigned turn; /* 1: the thread has allocated; 2: it is to allocate more, and to end */

static void *allocate_early(void *unused)
{
    static void *objects[1000];
    free(malloc(100));
    __atomic_store_n(&turn, 1, __ATOMIC_RELEASE); /* pairs with the acquire in start */
    /* acquire: pairs with the release in plugin_end_thread */
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != 2)
        sched_yield();
    for (unsigned i = 0; i < 1000; i++)
        objects[i] = malloc(100);
    for (unsigned i = 0; i < 1000; i++)
        free(objects[i]);
    return unused;
}

EXPORTED void plugin_end_thread(void)
{
    __atomic_store_n(&turn, 2, __ATOMIC_RELEASE); /* pairs with the acquire in allocate_early */
    pthread_join(early_thread, NULL);
}

/* More objects of each class than a front holds, runs, a whale: each lock of an allocator is
 * taken. */
static void allocate_in_handler(void)
{
    static const size_t sizes[] = {40, 500, 5000, 20000, 100000, 3000000, 20000000};
    void *objects[150];
    plugin_forks++;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned count = sizes[i] < 10000 ? 150 : 3;
        for (unsigned j = 0; j < count; j++) {
            objects[j] = malloc(sizes[i]);
            if (!objects[j])
                abort();
            memset(objects[j], (int)j, sizes[i] < 100000 ? sizes[i] : 100);
        }
        for (unsigned j = 0; j < count; j++)
            free(objects[j]);
    }
}

static __attribute__((constructor(101))) void start(void)
{
    for (unsigned i = 0; i < EARLY; i++) {
        size_t size = plugin_early_size(i);
        plugin_early[i] = i % 3 ? malloc(size) : i % 2 ? calloc(1, size) : realloc(NULL, size);
        if (!plugin_early[i])
            abort();
        memset(plugin_early[i], (int)i + 1, size);
    }
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 10000) != 0)
        abort();
    free(aligned);
    if (getenv("PLUGIN_THREAD")) {
        if (pthread_create(&early_thread, NULL, allocate_early, NULL) != 0)
            abort();
        /* acquire: pairs with the release in allocate_early */
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) == 0)
            sched_yield();
    }
    if (pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) != 0)
        abort();
}

static __attribute__((destructor(101))) void end(void)
{
    free(malloc(500));
    free(malloc(200000));
}
