/* SPDX-License-Identifier: MIT */
/* Whether what a program frees or resizes is free already: see the header. Any thread. */
#include "api/doubt.h"

#include <string.h>

#include "api/mine.h"
#include "api/misuse.h"
#include "front/exchange.h"
#include "front/front_cpu.h"
#include "heap/beside.h"
#include "heap/heap.h"
#include "os/bits.h"
#include "os/memory.h"
#include "tiers/object.h"
#include "tiers/region.h"

enum { WRITTEN_MOST = 1024 * 1024 }; /* bytes: more might touch pages that the program did not */

bool hak_doubt_at_hand(const struct hak_front *front, unsigned class_id, const void *object)
{
    if (hak_unlikely(hak_misuse_is_checked()))
        return hak_doubt_seems_freed(object);
    if (front == NULL)
        return hak_thread_may_use_cpu_front() &&
               hak_front_has_on_top(hak_cpu_front_here(), class_id, object);
    return hak_front_has_on_top(front, class_id, object) ||
           (hak_link_is_likely(object) && hak_front_holds(front, class_id, object));
}

/* Whole kernel pages go back where the kernel takes them, so the rest of a sparse object gains
 * none: locked memory does not, and explicit huge pages only whole ones. What shares a kernel page
 * with a neighbour is written. */
void hak_doubt_clear(void *object, size_t size)
{
    if (hak_likely(!hak_misuse_is_checked()))
        return;
    size_t page = hak_os_page_size();
    uintptr_t begin = (uintptr_t)object;
    uintptr_t first = hak_align_up(begin + (size < WRITTEN_MOST ? size : WRITTEN_MOST), page);
    uintptr_t last = hak_align_down(begin + size, page);
    if (first >= last || hak_region_wants_hugetlb() ||
        hak_os_purge((char *)object + (first - begin), last - first, HAK_PURGE_NOW) != 0) {
        memset(object, 0, size);
        return;
    }
    memset(object, 0, first - begin);
    memset((char *)object + (last - begin), 0, begin + size - last);
}

bool hak_doubt_seems_freed(const void *object)
{
    struct hak_page page = hak_page_find(object);
    const struct hak_front *front = hak_mine_front();
    struct hak_shard *home = hak_shard_of_id(page.home);
    if (page.class_id == HAK_CLASS_NONE || home == NULL)
        return false;
    if (front != NULL && hak_front_holds(front, page.class_id, object))
        return true;
    if (!hak_misuse_is_checked() || !hak_heap_enter())
        return false;
    bool is_free = hak_pool_says_free(hak_shard_pool(home, page.class_id), page.class_id, object);
    hak_heap_leave();
    return is_free;
}
