/* SPDX-License-Identifier: MIT */
/* The published page: see the header. Bounds: a call does a portion of a round (heap/collect.h) and
 * of the walk over the regions, some 100 us, and only if 100 ms, or a hundred times the length of
 * the last portion, have passed. Memory: the touched part of a memfd of 45 MiB: at most 11 KiB for
 * each shard and 400 KiB of regions; and 312 bytes for each shard. */
#include "api/publish.h"

#include <errno.h>

#include "api/mine.h"
#include "api/mode.h"
#include "api/options.h"
#include "heap/collect.h"
#include "heap/regions.h"
#include "os/bits.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/memfd.h"
#include "os/memory.h"
#include "os/print.h"
#include "os/section.h"
#include "stats/published.h"

enum {
    COST_PART = 100, /* publishing takes at most one part in this many of the time */
};

static const uint64_t PAUSE_NS = 100ul * 1000 * 1000;

static struct {
    struct hak_lock lock;       /* only ever tried; protects the fields below */
    struct hak_os_memfd shared; /* memory NULL: not made yet */
    unsigned process;           /* of the process that made the page */
    uint64_t next_ns;           /* when the next portion may be */
    uint32_t *rows;
    struct hak_collect collect;
    struct hak_regions_walk walk;
} publishing;

/* ---- the page -------------------------------------------------------------------------------- */

static int make_rows(void)
{
    size_t size = hak_align_up(hak_collect_rows_size(HAK_PUBLISHED_SHARDS), hak_os_page_size());
    if (publishing.rows != NULL) /* of before the fork, which may have interrupted a round */
        return hak_os_purge(publishing.rows, size, HAK_PURGE_NOW) == 0;
    publishing.rows = hak_os_map(size, hak_os_page_size());
    return publishing.rows != NULL;
}

/* 0 or -errno. */
static int make_page(void)
{
    if (!make_rows())
        return -ENOMEM;
    int refused = hak_os_memfd_make(&publishing.shared, HAK_PUBLISHED_NAME, hak_published_size());
    if (refused != 0)
        return refused;
    struct hak_published_head *page = publishing.shared.memory;
    hak_published_begin(page);
    hak_collect_start(&publishing.collect, hak_published_sheet(page), publishing.rows,
                      HAK_PUBLISHED_SHARDS);
    hak_regions_start(&publishing.walk, hak_published_regions_of(page));
    publishing.process = hak_os_process_id();
    return 0;
}

static void give_up(int refused)
{
    char text[256];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hak_put(&writer,
            "hakmem: HAKMEM_PUBLISH=1: no memory that others can read (memfd), nothing is "
            "published; error %d\n",
            -refused);
    hak_writer_flush(&writer);
    /* relaxed, both: hints */
    __atomic_store_n(&hak_tick_watch.is_on, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&hak_tick_watch.ticked, 0, __ATOMIC_RELAXED);
}

/* ---- portions -------------------------------------------------------------------------------- */

static void put_facts(void)
{
    struct hak_sheet_head *head = &hak_published_sheet(publishing.shared.memory)->head;
    hak_sheet_begin(&head->sequence);
    hak_mode_put_facts(head);
    hak_sheet_end(&head->sequence);
}

static void go_on(uint64_t now_ns)
{
    struct hak_heap *heap = hak_heap_default();
    uint64_t begun_ns = hak_os_now_ns();
    bool is_first = publishing.collect.phase == HAK_COLLECT_THREADS;
    bool is_over = hak_collect_step(heap, &publishing.collect, &hak_collect_some);
    hak_regions_step(&publishing.walk);
    uint64_t pause = (hak_os_now_ns() - begun_ns) * COST_PART;
    if (is_first || is_over)
        pause = pause > PAUSE_NS ? pause : PAUSE_NS;
    publishing.next_ns = now_ns + pause;
    if (is_over)
        put_facts();
}

/* In the child of vfork, or of a fork without handlers, the page belongs to another process. */
static bool is_ours(void)
{
    return publishing.process == hak_os_process_id();
}

static void publish(void)
{
    uint64_t now = hak_os_coarse_now_ns();
    if (publishing.shared.memory == NULL) {
        int refused = make_page();
        if (refused != 0) {
            give_up(refused);
            return;
        }
    }
    if (now >= publishing.next_ns && is_ours())
        go_on(now);
}

void hak_publish_now(void)
{
    __atomic_store_n(&hak_tick_watch.ticked, 0, __ATOMIC_RELAXED); /* relaxed: a hint */
    if (__atomic_load_n(&hak_tick_watch.is_on, __ATOMIC_RELAXED) == 0 ||
        hak_thread_state == HAK_THREAD_STARTING || hak_front_mine == &hak_front_apart ||
        !hak_section_enter())
        return;
    if (hak_lock_try_over(&publishing.lock)) {
        publish();
        hak_lock_release_over(&publishing.lock);
    }
    hak_section_leave();
}

/* ---- start and fork -------------------------------------------------------------------------- */

void hak_publish_start(void)
{
    if (hak_options.publish != HAK_PUBLISH_CHOICE_YES)
        return;
    __atomic_store_n(&hak_tick_watch.is_on, 1, __ATOMIC_RELAXED); /* relaxed: a hint */
    hak_publish_now();
}

void hak_publish_after_fork(void)
{
    if (hak_section_is_inside() || publishing.shared.memory == NULL)
        return; /* A handler forked inside a portion: this child publishes nothing */
    hak_lock_reset(&publishing.lock);
    hak_os_memfd_leave(&publishing.shared);
    publishing.next_ns = 0;
}
