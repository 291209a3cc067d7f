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
#include "api/placing.h"
#include "api/threads.h"
#include "api/wake.h"
#include "front/exchange.h"
#include "front/front_cpu.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/purge.h"
#include "os/clock.h"
#include "os/compiler.h"
#include "os/print.h"
#include "os/section.h"
#include "stats/report.h"
#include "topology/bind.h"

_Static_assert(sizeof HAKMEM_VERSION == sizeof PACKAGE_VERSION,
               "hakmem.h and configure.ac tell different versions");

enum {
    COUNTS_SIZE = 80, /* bytes of the text of hak_crowd_tell */
};

static const uint64_t NS_OF_MS = 1000 * 1000;

static struct hak_heap *started_heap(void)
{
    hak_start();
    hak_thread_front();    /* here, since making the front may call malloc */
    hak_thread_place_shards_and_wait();
    return hak_heap_default();
}

/* ------------------------------------------------------------------ within api/ */

/* The mode in force, in words. */
struct mode {
    unsigned shards;
    const char *by; /* what the shards were made for: node, l3, ... */
    const char *front;
    const char *front_why; /* why it is not as asked for; NULL if it is */
    const char *remote;
    const char *bind;
    const char *bind_why; /* as front_why */
};

static const char *front_in_force(void)
{
    const struct hak_front *own = hak_thread_front();
    const char *of_many = hak_crowd_kind();
    if (of_many != NULL)
        return of_many;
    if (hak_cpu_fronts_open())
        return "cpu";
    return own != NULL ? "thread" : "none";
}

/* A shard that spans several nodes is not bound, whatever the kernel allows. */
static void tell_binding(struct mode *mode, const struct hak_shard_map *map)
{
    struct hak_bind_state state = hak_bind_state();
    mode->bind = hak_bind_step_name(state.step);
    mode->bind_why = state.why;
    if (state.policy == HAK_BIND_NONE) {
        mode->bind = hak_bind_policy_name(state.policy);
        mode->bind_why = NULL;
    } else if (map->domains == NULL) {
        mode->bind_why = "one shard";
    } else if (state.step == HAK_BIND_STEP_BOUND) {
        bool is_placed = state.policy == HAK_BIND_INTERLEAVE ||
                         hak_shard_node(map->shards[0]) != HAK_NODE_ANY;
        mode->bind = is_placed ? hak_bind_policy_name(state.policy)
                               : hak_bind_step_name(HAK_BIND_STEP_FIRST_TOUCH);
        mode->bind_why = is_placed ? NULL : "a shard spans nodes";
    }
}

static struct mode mode_in_force(const struct hak_heap *heap)
{
    const struct hak_shard_map *map = hak_heap_map(heap);
    const struct hak_domains *domains = map->domains;
    struct mode mode = {
        .shards = map->count,
        .by = hak_domains_mode_name(domains != NULL ? domains->mode : HAK_DOMAIN_SINGLE),
        .front = front_in_force(),
        .front_why = hak_fronts_why(),
        .remote = heap->policy->remote == HAK_REMOTE_ADOPT ? "adopt" : "home",
    };
    tell_binding(&mode, map);
    return mode;
}

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

static void put_stats(struct hak_writer *writer, enum hakmem_format format)
{
    struct hak_heap *heap = started_heap();
    struct mode mode = mode_in_force(heap);
    char counts[COUNTS_SIZE];
    const struct hak_report_fact facts[] = {
        {"by", mode.by},
        {"front", mode.front},
        {"front_why", mode.front_why},
        {"threads", hak_crowd_tell(counts, sizeof counts)},
        {"remote", mode.remote},
        {"bind", mode.bind},
        {"bind_why", mode.bind_why},
    };
    hak_heap_report(heap, "hakmem " PACKAGE_VERSION, facts, HAK_ARRAY_LENGTH(facts),
                    format == HAKMEM_JSON ? &hak_report_json : &hak_report_text, writer);
    /* The learners' part takes locks, so it is omitted while another thread forks. */
    if (format != HAKMEM_JSON && hak_section_enter_late()) {
        hak_learning_report(heap, writer);
        hak_section_leave();
        hak_writer_flush(writer);
    }
}

void hak_print_stats_to_stderr(enum hakmem_format format)
{
    char buffer[1024];
    struct hak_writer writer = hak_writer_to_stderr(buffer, sizeof buffer);
    put_stats(&writer, format);
}

/* ------------------------------------------------------------------ public */

const char *hakmem_version(void)
{
    return PACKAGE_VERSION;
}

unsigned hakmem_shard_count(void)
{
    return mode_in_force(started_heap()).shards;
}

static void put_why(struct hak_writer *writer, const char *why)
{
    if (why != NULL)
        hak_put(writer, " (%s)", why);
}

size_t hakmem_mode(char *buffer, size_t size)
{
    struct mode mode = mode_in_force(started_heap());
    char counts[COUNTS_SIZE];
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
    if (shard < HAKMEM_ALL_SHARDS || shard >= (int)mode_in_force(heap).shards) {
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
