/* SPDX-License-Identifier: MIT */
/* Start of the heap at the first call, which may come from another library's constructor or from
 * the loader: fills the tables and builds one shard. It calls the kernel only, never a library that
 * may call malloc, so it is not re-entered and a lock of one word suffices. */
#include "api/wake.h"

#include <stdint.h>

#include "api/options.h"
#include "heap/heap.h"
#include "os/apart.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/secret.h"
#include "tiers/object.h"
#include "tiers/size_class.h"

HAK_EARLY static struct {
    struct hak_lock lock;
    uint32_t ready; /* release, acquire */
} waking;

static HAK_COLD void first_stage(void)
{
    hak_lock_acquire(&waking.lock);
    if (!waking.ready) {
        struct hak_heap *heap = hak_heap_default();
        hak_size_class_start();
        hak_link_start(hak_os_secret(HAK_SECRET_OF_LINKS));
        if (hak_options_ask_for_random_places())
            hak_apart_start(hak_os_secret(HAK_SECRET_OF_PLACES));
        else
            hak_apart_start(HAK_APART_ALIKE);
        int refused = hak_heap_start(heap, &hak_settings_default);
        if (refused)
            __builtin_trap(); /* the kernel refuses even 1 MiB: no program can run */
        /* release: pairs with the acquire in hak_start */
        __atomic_store_n(&waking.ready, 1, __ATOMIC_RELEASE);
    }
    hak_lock_release(&waking.lock);
}

void hak_start(void)
{
    /* acquire: pairs with the release in first_stage */
    if (hak_unlikely(!__atomic_load_n(&waking.ready, __ATOMIC_ACQUIRE)))
        first_stage();
}
