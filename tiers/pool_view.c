/* SPDX-License-Identifier: MIT */
/* Looks at regions: see the header. */
#include "tiers/pool_view.h"

/* Written under the lock of the slab's bin, which is not held here: the words are read one by one,
 * and whatever they say is kept in bounds. */
__attribute__((no_sanitize("thread"))) static void look_at_slab(const struct hak_slab *slab,
                                                                uint8_t *class_id, uint8_t *used)
{
    unsigned seen = __atomic_load_n(&slab->class_id, __ATOMIC_RELAXED); /* relaxed, all: figures */
    unsigned capacity = __atomic_load_n(&slab->capacity, __ATOMIC_RELAXED);
    unsigned free = __atomic_load_n(&slab->free_count, __ATOMIC_RELAXED);
    bool is_slab = seen != HAK_CLASS_NONE && seen < HAK_CLASS_COUNT && capacity != 0;
    *class_id = is_slab ? (uint8_t)seen : HAK_CLASS_NONE;
    *used = is_slab && free <= capacity ? (uint8_t)((capacity - free) * 100 / capacity) : 0;
}

static void look_at_region(const struct hak_region *region, struct hak_region_view *view)
{
    view->address = (uintptr_t)region->base;
    view->node = region->node;
    view->free_pages = region->free_pages;
    view->dirty_pages = region->dirty_pages;
    view->class_id[0] = HAK_CLASS_NONE;
    view->used[0] = 0;
    for (unsigned page = 1; page < HAK_REGION_PAGES; page++)
        look_at_slab(&region->slabs[page], &view->class_id[page], &view->used[page]);
}

unsigned hak_pool_look(struct hak_pool *pool, bool goes_on, struct hak_region_view *views,
                       unsigned count)
{
    struct hak_pool_space *space = &pool->space;
    unsigned looked = 0;
    hak_lock_acquire(&space->lock);
    struct hak_region *region = goes_on ? space->looked_at : space->all.first;
    for (; region != NULL && looked < count; looked++) {
        look_at_region(region, &views[looked]);
        region = region->links[HAK_REGION_ALL].next;
    }
    space->looked_at = region;
    hak_lock_release(&space->lock);
    return looked;
}
