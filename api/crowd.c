/* SPDX-License-Identifier: MIT */
/* Few threads and many: see the header. */
#include "api/crowd.h"

#include "api/machine.h"
#include "api/mine.h"
#include "api/options.h"
#include "front/exchange.h"
#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "front/fronts.h"
#include "heap/heap.h"
#include "os/print.h"

enum {
    CALLS_PER_WATCH = 64, /* of a thread, between two attempts to open the fronts of CPUs */
};

static uint32_t is_there; /* 1: threads share fronts; relaxed */
static uint32_t joined;   /* threads that got no front; relaxed */
static HAK_TLS unsigned calls;

static const struct hak_domains *domains_in_force(void)
{
    return hak_heap_map(hak_heap_default())->domains;
}

static unsigned cpus(void)
{
    const struct hak_domains *domains = domains_in_force();
    unsigned count = domains != NULL ? domains->cpus : hak_machine_cpus();
    return count != 0 ? count : 1;
}

bool hak_crowd_seems_small(void)
{
    return hak_options.front == HAK_FRONT_CHOICE_THREAD ||
           hak_front_count() < cpus() * HAK_CROWD_PER_CPU;
}

bool hak_crowd_has_room(void)
{
    if (hak_options.front != HAK_FRONT_CHOICE_THREAD)
        hak_front_set_few(cpus() * HAK_CROWD_FEW_PER_CPU);
    return hak_crowd_seems_small() || hak_front_has_room(cpus() * HAK_CROWD_PER_CPU);
}

/* Opens the fronts of CPUs if that is possible by now. The shared fronts then serve no thread, so
 * this empties them. */
static void open_fronts(void)
{
    const struct hak_domains *domains = domains_in_force();
    hak_cpu_fronts_watch();
    if (hak_cpu_fronts_open() || domains == NULL ||
        hak_cpu_fronts_open_late(domains->cpu_ids, hak_heap_map(hak_heap_default())) != 0)
        return;
    /* Shards may have been placed again before other threads could find the fronts. */
    hak_cpu_fronts_attach(hak_heap_map(hak_heap_default()));
    hak_shared_fronts_flush();
}

void hak_crowd_gather(void)
{
    /* relaxed, here and below: is_there only tells where to look, and joined is a figure. The
     * fronts publish themselves (hak_cpu_fronts_open, hak_shared_front_take) */
    __atomic_store_n(&is_there, 1, __ATOMIC_RELAXED);
    if (hak_cpu_fronts_open())
        return;
    open_fronts();
    if (!hak_cpu_fronts_open())
        hak_shared_fronts_start(cpus(), hak_heap_map(hak_heap_default()));
}

void hak_crowd_join(void)
{
    __atomic_fetch_add(&joined, 1, __ATOMIC_RELAXED);
    hak_crowd_gather();
}

struct hak_front *hak_crowd_front(void)
{
    if (hak_thread_state == HAK_THREAD_STARTING || hak_front_mine == &hak_front_apart ||
        __atomic_load_n(&is_there, __ATOMIC_RELAXED) == 0)
        return NULL;
    if (hak_unlikely(++calls % CALLS_PER_WATCH == 0))
        open_fronts();
    return hak_shared_front_take();
}

const char *hak_crowd_kind(void)
{
    if (__atomic_load_n(&is_there, __ATOMIC_RELAXED) == 0)
        return NULL;
    return hak_cpu_fronts_open() ? "thread+cpu" : "thread+shared";
}

const char *hak_crowd_tell(char *text, size_t size)
{
    if (hak_crowd_kind() == NULL)
        return NULL;
    struct hak_writer writer = hak_writer_to_buffer(text, size);
    hak_put(&writer, "%u threads have their own, %u came without", hak_front_count(),
            __atomic_load_n(&joined, __ATOMIC_RELAXED));
    hak_writer_flush(&writer);
    return text;
}

void hak_crowd_flush(void)
{
    hak_shared_fronts_flush();
    if (hak_thread_may_use_cpu_front())
        hak_front_flush_to_slabs(HAK_FRONT_OF_CPU);
}
