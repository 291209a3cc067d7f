/* SPDX-License-Identifier: MIT */
/* The public functions for the library as a whole: version, mode, statistics, giving memory back.
 * Any thread. */
#include "config.h"

#include "api/control.h"

#include <errno.h>

#include "api/crowd.h"
#include "api/learning.h"
#include "api/malloc_slow.h"
#include "api/misuse.h"
#include "api/mode.h"
#include "api/own_fronts.h"
#include "api/paper.h"
#include "api/placing.h"
#include "api/threads.h"
#include "api/wake.h"
#include "front/exchange.h"
#include "heap/heap.h"
#include "heap/purge.h"
#include "os/clock.h"
#include "os/compiler.h"
#include "os/print.h"
#include "os/section.h"
#include "stats/render_json.h"
#include "stats/render_prometheus.h"
#include "stats/render_text.h"

_Static_assert(sizeof HAKMEM_VERSION == sizeof PACKAGE_VERSION,
               "hakmem.h and configure.ac tell different versions");

static const uint64_t NS_OF_MS = 1000 * 1000;

static struct hak_heap *started_heap(void)
{
    hak_start();
    hak_thread_front(); /* here, since making the front may call malloc */
    hak_thread_place_shards_and_wait();
    return hak_heap_default();
}

/* ---- for other files of api/ ---------------------------------------------------------------- */

static void flush_crowd(void)
{
    if (!hak_section_enter_late())
        return;
    hak_crowd_flush();
    hak_section_leave();
}

size_t hak_trim(void)
{
    /* This does not wait for a thread that places shards: a seccomp filter may forbid to sleep. */
    hak_start();
    hak_thread_front();
    hakmem_thread_flush();
    flush_crowd();
    size_t bytes = hak_heap_trim(hak_heap_default());
    hak_misuse_tell();
    return bytes;
}

static void put_learners(struct hak_heap *heap, struct hak_writer *writer)
{
    if (!hak_section_enter_late())
        return;
    hak_learning_report(heap, writer);
    hak_section_leave();
    hak_writer_flush(writer);
}

static void put_stats(struct hak_writer *writer, enum hakmem_format format)
{
    struct hak_heap *heap = started_heap();
    struct hak_paper paper;
    if (!hak_paper_take(&paper))
        return;
    const struct hak_report report = {paper.sheet, paper.total};
    if (format == HAKMEM_JSON) {
        hak_render_json(&report, writer);
    } else if (format == HAKMEM_PROMETHEUS) {
        hak_render_prometheus(&report, writer);
    } else {
        hak_render_text(&report, writer);
        put_learners(heap, writer);
    }
    hak_paper_drop(&paper);
}

void hak_print_stats_to_stderr(enum hakmem_format format)
{
    char buffer[1024];
    struct hak_writer writer = hak_writer_to_stderr(buffer, sizeof buffer);
    put_stats(&writer, format);
}

/* ---- public --------------------------------------------------------------------------------- */

const char *hakmem_version(void)
{
    return PACKAGE_VERSION;
}

unsigned hakmem_shard_count(void)
{
    return hak_mode_in_force(started_heap()).shards;
}

static void put_why(struct hak_writer *writer, const char *why)
{
    if (why != NULL)
        hak_put(writer, " (%s)", why);
}

size_t hakmem_mode(char *buffer, size_t size)
{
    struct hak_mode mode = hak_mode_in_force(started_heap());
    char counts[HAK_MODE_COUNTS];
    struct hak_writer writer = hak_writer_to_buffer(buffer, size);
    hak_put(&writer, "shards=%u by=%s front=%s", mode.shards, mode.by, mode.front);
    put_why(&writer, mode.front_why);
    put_why(&writer, hak_crowd_tell(counts, sizeof counts));
    hak_put(&writer, " remote=%s bind=%s", mode.remote, mode.bind);
    put_why(&writer, mode.bind_why);
    hak_writer_flush(&writer);
    return writer.total;
}

int hakmem_reshard(const char *mode)
{
    started_heap();
    struct hak_domain_request request;
    int refused = mode == NULL ? -EINVAL : hak_domains_parse(mode, &request);
    if (refused == 0)
        refused = hak_section_enter_late() ? 0 : -EAGAIN;
    if (refused == 0) {
        refused = hak_place_by_options(request);
        hak_section_leave();
    }
    if (refused == 0)
        return 0;
    errno = -refused;
    return -1;
}

int hakmem_topology_refresh(void)
{
    started_heap();
    int refused = -EAGAIN;
    if (hak_section_enter_late()) {
        refused = hak_place_anew();
        hak_section_leave();
    }
    if (refused == 0)
        return 0;
    errno = -refused;
    return -1;
}

void hakmem_stats_print(int fd, enum hakmem_format format)
{
    char buffer[1024];
    struct hak_writer writer = hak_writer_to_fd(fd, buffer, sizeof buffer);
    put_stats(&writer, format);
}

void hakmem_thread_flush(void)
{
    hak_thread_flush_heap_fronts(NULL);
    struct hak_front *front = hak_mine_front();
    if (front == NULL || !hak_section_enter_late())
        return;
    hak_front_flush(front);
    hak_section_leave();
    hak_misuse_tell();
}

size_t hakmem_trim(void)
{
    return hak_trim();
}

size_t hakmem_purge(int shard, size_t bytes, unsigned milliseconds)
{
    struct hak_heap *heap = started_heap();
    if (shard < HAKMEM_ALL_SHARDS || shard >= (int)hak_mode_in_force(heap).shards) {
        errno = EINVAL;
        return 0;
    }
    hakmem_thread_flush();
    flush_crowd();
    const struct hak_heap_purge purge = {
        .id = (unsigned)(shard + 1),
        .bytes = bytes != 0 ? bytes : SIZE_MAX,
        .deadline_ns = milliseconds != 0 ? hak_os_now_ns() + milliseconds * NS_OF_MS : UINT64_MAX,
    };
    size_t given = hak_heap_purge(heap, &purge);
    hak_misuse_tell();
    return given;
}
