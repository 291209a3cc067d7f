/* SPDX-License-Identifier: MIT */
/* Shared fronts: made once, never freed. Only the holder of a front's lock writes it. */
#include "front/front_shared.h"

#include "front/exchange.h"
#include "front/fronts.h"
#include "os/cpu.h"
#include "os/lock.h"
#include "os/section.h"
#include "shard/shard_map.h"
#include "tiers/meta.h"

enum {
    TRIES = 4, /* locks that are looked at */
};

struct slot {
    struct hak_front front;
    struct hak_lock lock; /* its holder may take others */
};

static struct {
    struct hak_lock making;
    unsigned count;     /* constant once slots are there */
    struct slot *slots; /* NULL: not made. release, acquire */
} shared;

static struct slot *slots_made(void)
{
    /* acquire: pairs with the release in hak_shared_fronts_start */
    return __atomic_load_n(&shared.slots, __ATOMIC_ACQUIRE);
}

void hak_shared_fronts_start(unsigned cpus, const struct hak_shard_map *map)
{
    if (slots_made() != NULL)
        return;
    hak_lock_acquire_over(&shared.making);
    unsigned count = cpus * HAK_SHARED_FRONTS_PER_CPU;
    count = count < HAK_SHARED_FRONTS_MAX ? count : HAK_SHARED_FRONTS_MAX;
    struct slot *slots =
        shared.slots == NULL ? hak_meta_alloc(count * sizeof *slots, HAK_CACHE_LINE) : NULL;
    if (slots != NULL) {
        shared.count = count;
        for (unsigned index = 0; index < count; index++) {
            hak_front_init(&slots[index].front, index, hak_shard_map_here(map, index));
            hak_lock_reset(&slots[index].lock);
        }
        /* release: pairs with the acquire in slots_made; whoever finds the fronts finds them
         * made */
        __atomic_store_n(&shared.slots, slots, __ATOMIC_RELEASE);
    }
    hak_lock_release_over(&shared.making);
}

struct hak_front *hak_shared_front_take(void)
{
    struct slot *slots = slots_made();
    if (slots == NULL)
        return NULL;
    unsigned first = hak_os_cpu() * HAK_SHARED_FRONTS_PER_CPU;
    for (unsigned try = 0; try < TRIES && try < shared.count; try++) {
        struct slot *slot = &slots[(first + try) % shared.count];
        if (hak_lock_try_over(&slot->lock))
            return &slot->front;
    }
    return NULL;
}

void hak_shared_front_put(struct hak_front *front)
{
    struct slot *slot = (struct slot *)front; /* its first member */
    hak_lock_release_over(&slot->lock);
}

void hak_shared_fronts_flush(void)
{
    struct slot *slots = slots_made();
    for (unsigned index = 0; slots != NULL && index < shared.count; index++) {
        if (!hak_lock_try_over(&slots[index].lock))
            continue;
        hak_front_flush(&slots[index].front);
        hak_lock_release_over(&slots[index].lock);
    }
}

void hak_shared_fronts_add_rows(struct hak_front_rows *rows)
{
    struct slot *slots = slots_made();
    for (unsigned index = 0; slots != NULL && index < shared.count; index++)
        hak_front_rows_add(rows, &slots[index].front);
}

size_t hak_shared_fronts_bytes(void)
{
    size_t bytes = 0;
    const struct slot *slots = slots_made();
    for (unsigned index = 0; slots != NULL && index < shared.count; index++)
        bytes += hak_front_bytes(&slots[index].front);
    return bytes;
}

void hak_shared_fronts_after_fork(void)
{
    /* The caller may be a signal handler whose own thread holds one. */
    if (hak_section_is_inside())
        return;
    struct slot *slots = slots_made();
    hak_lock_reset(&shared.making);
    for (unsigned index = 0; slots != NULL && index < shared.count; index++)
        hak_lock_reset(&slots[index].lock);
}
