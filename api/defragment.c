/* SPDX-License-Identifier: MIT */
/* For a program that moves its objects together (active defragmentation). Any thread.
 *
 *     hakmem_page_utilisation    is this object worth moving?
 *     hakmem_malloc_direct       a place in the fullest slab; fronts and caches would hand out
 *                                again what the program has just moved away
 *     hakmem_free_direct         back into its slab, which becomes empty that way */
#include <errno.h>
#include <string.h>

#include "api/doubt.h"
#include "api/malloc_slow.h"
#include "api/mine.h"
#include "api/misuse.h"
#include "api/profiler.h"
#include "api/publish.h"
#include "api/wake.h"
#include "front/fronts.h"
#include "hakmem.h"
#include "heap/heap.h"
#include "shard/magazine.h"
#include "shard/shard.h"

/* The page of an object of a slab of any heap, as the page map describes pages of the default
 * heap. */
static struct hak_page slab_page(const void *object)
{
    struct hak_page page = hak_page_find(object);
    return hak_page_is_own(page) ? hak_slab_own_page(object, page) : page;
}

/* A figure that the holder of the bin's lock may be writing. */
__attribute__((no_sanitize("thread"))) static unsigned free_in(const struct hak_slab *slab)
{
    return __atomic_load_n(&slab->free_count, __ATOMIC_RELAXED); /* relaxed: as in read_figure */
}

HAK_PUBLIC int hakmem_page_utilisation(const void *object, struct hakmem_page_use *use, size_t size)
{
    struct hak_page page = slab_page(object);
    if (hak_usable_size(object) == 0 || page.class_id == HAK_CLASS_NONE) {
        errno = hak_usable_size(object) == 0 ? EINVAL : ENOENT;
        return -1;
    }
    const struct hak_slab *slab = hak_slab_of(object, page);
    const struct hak_pool *pool = hak_region_of(object)->pool;
    struct hakmem_page_use told = {
        .object_size = hak_classes[page.class_id].size,
        .slab_objects = hak_classes[page.class_id].capacity,
        .slab_free = free_in(slab),
        .class_objects = hak_pool_objects(pool, page.class_id),
        .class_free = hak_pool_free_objects(pool, page.class_id),
    };
    if (use != NULL)
        memcpy(use, &told, size < sizeof told ? size : sizeof told);
    /* An eighth above the average (jemalloc's, too): where all slabs are about as full, a single
     * emptier one would else keep all others where they are. */
    size_t used = told.slab_objects - told.slab_free;
    size_t class_used = told.class_objects - told.class_free;
    return told.slab_free != 0 &&
           used * told.class_objects * 8 <= class_used * told.slab_objects * 9;
}

/* ---- past the fronts ------------------------------------------------------------------------- */

static struct hak_shard *shard_here(void)
{
    const struct hak_front *front = hak_mine_front();
    return front != NULL && front->pinned != NULL ? front->pinned
                                                  : hak_heap_shard_here(hak_heap_default());
}

/* The one object of a chain; NULL: it has none. */
static void *unlinked(struct hak_chain chain)
{
    void *object = hak_chain_top(chain);
    if (object != NULL)
        hak_link_erase(object);
    return object;
}

static void *take_from(struct hak_shard *shard, unsigned class_id)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    hak_pool_take(hak_shard_pool(shard, class_id), class_id, 1, &chain);
    return unlinked(chain);
}

static void *take_fresh(struct hak_shard *shard, unsigned class_id)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    hak_pool_take_fresh(hak_shard_pool(shard, class_id), class_id, 1, &chain);
    return unlinked(chain);
}

/* Otherwise a thread that wanders over the CPUs would copy from shard to shard into new slabs, and
 * back: with each object that moves away, the average of the shard that it leaves falls. */
static void *take_packed(struct hak_shard *own, unsigned class_id)
{
    const struct hak_shard_map *map = hak_heap_map(hak_heap_default());
    void *object = take_from(own, class_id);
    for (unsigned index = 0; object == NULL && index < map->count; index++)
        if (hak_shard_node(map->shards[index]) == hak_shard_node(own))
            object = take_from(map->shards[index], class_id);
    return object != NULL ? object : take_fresh(own, class_id);
}

HAK_PUBLIC void *hakmem_malloc_direct(size_t size)
{
    void *object = NULL;
    hak_start();
    /* With HAKMEM_MISUSE=check fronts hold nothing, and the plain functions do the same. */
    if (size <= HAK_MID_MAX && !hak_misuse_is_checked()) {
        unsigned class_id = hak_size_class_known(size);
        size_t counted = hak_classes[class_id].size;
        if (hak_profiler_wants(counted))
            object = hak_allocate_noted(class_id, counted);
        if (object == NULL && hak_heap_enter()) {
            object = take_packed(shard_here(), class_id);
            hak_publish_leave_heap();
        }
        if (object == NULL && hak_unlikely(hak_profiler_is_on()))
            hak_profiler_uncount(counted); /* malloc counts it */
    }
    return object != NULL ? object : hakmem_malloc(size);
}

HAK_PUBLIC void hakmem_free_direct(void *object)
{
    struct hak_page page = hak_page_find(object);
    struct hak_shard *home = hak_shard_of_id(page.home);
    if (page.class_id == HAK_CLASS_NONE || home == NULL || !hak_slab_begins(object, page) ||
        hak_misuse_is_checked() || hak_doubt_at_hand(hak_mine_front(), page.class_id, object) ||
        !hak_heap_enter()) {
        hakmem_free(object); /* reports the misuse */
        return;
    }
    struct hak_pool *pool = hak_shard_pool(home, page.class_id);
    bool is_given = hak_pool_give_one(pool, page.class_id, object, home->settings);
    hak_publish_leave_heap();
    if (hak_unlikely(!is_given))
        hak_misuse("hakmem_free_direct", object, HAK_MISUSE_FREED);
}
