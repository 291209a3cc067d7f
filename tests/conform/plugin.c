/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a small shared library whose constructor and destructor allocate, with thread-local
 * data that the loader must allocate. Preloaded before ours, or loaded by dlopen.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

enum {
    EARLY = 64
};

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void *plugin_early[EARLY]; /* made by the constructor; the test checks and frees them */
EXPORTED size_t plugin_early_size(unsigned i);
EXPORTED char *plugin_local(void);

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
}

static __attribute__((destructor(101))) void end(void)
{
    free(malloc(500));
    free(malloc(200000));
}
