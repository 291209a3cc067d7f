/* SPDX-License-Identifier: MIT */
/* Placing: builds the shards that the options or a call ask for, on the machine as it is. This may
 * call libraries, which may call us: the present shards serve them. No lock is held while files are
 * read. */
#include "api/placing.h"

#include <errno.h>
#include <stdint.h>

#include "api/machine.h"
#include "api/options.h"
#include "front/front_cpu.h"
#include "heap/heap.h"
#include "heap/place.h"
#include "os/clock.h"
#include "os/section.h"
#include "topology/bind.h"

/* Placing may wait until the process has a second thread. */
enum placement_state {
    PLACEMENT_NOT_YET, /* before the options were read */
    PLACEMENT_DUE,
    PLACEMENT_UNDER_WAY,
    PLACEMENT_DONE,
};

enum {
    PLACEMENT_WAIT_NS = 50 * 1000,
};

static struct {
    uint32_t cpu_fronts;    /* fronts are kept per CPU: release, acquire */
    int cpu_fronts_refused; /* -errno: why they are not, although asked for; else 0 */
    uint32_t state;         /* enum placement_state; atomic */
} placing;

/* ---- CPU fronts ----------------------------------------------------------------------------- */

bool hak_fronts_are_per_cpu(void)
{
    /* acquire: pairs with the release in open_cpu_fronts */
    return __atomic_load_n(&placing.cpu_fronts, __ATOMIC_ACQUIRE) != 0;
}

/* Whether the options ask for fronts per CPU, by HAKMEM_FRONT=cpu or HAKMEM_SHARD=cpu. */
static bool fronts_per_cpu_wanted(void)
{
    if (hak_options.front == HAK_FRONT_CHOICE_AUTO)
        return hak_options.shard.mode == HAK_DOMAIN_CPU;
    return hak_options.front == HAK_FRONT_CHOICE_CPU;
}

/* Opens the fronts of CPUs; false if that is impossible. */
static bool open_cpu_fronts(unsigned cpu_ids)
{
    placing.cpu_fronts_refused = hak_cpu_fronts_start(cpu_ids, hak_heap_map(hak_heap_default()));
    if (placing.cpu_fronts_refused != 0)
        return false; /* fronts per thread, as hakmem_mode() tells */
    /* release: pairs with the acquire in hak_fronts_are_per_cpu */
    __atomic_store_n(&placing.cpu_fronts, 1, __ATOMIC_RELEASE);
    return true;
}

const char *hak_fronts_why(void)
{
    switch (-placing.cpu_fronts_refused) {
    case 0:
        return NULL;
    case ENOSYS:
        return "no rseq";
    case EOPNOTSUPP:
        return "rseq is not to be trusted here";
    case EBUSY:
        return "no self-test under a real-time policy on one CPU";
    case EPROTO:
        return "self-test failed";
    default:
        return "no memory";
    }
}

/* ---- shards --------------------------------------------------------------------------------- */

static int place_on(const struct hak_topology *topology, const struct hak_domain_request *request)
{
    if (topology == NULL)
        return -ENOMEM;
    int refused = -EAGAIN;
    if (hak_section_enter()) {
        hak_bind_start(topology, hak_options.bind, &hak_options.nodes);
        refused = hak_heap_place(hak_heap_default(), topology, request);
        hak_section_leave();
    }
    hak_machine_note(topology);
    hak_machine_put(topology);
    return refused;
}

int hak_place(const struct hak_domain_request *request)
{
    return place_on(hak_machine_get(hak_domains_detail(request), NULL), request);
}

int hak_place_by_options(struct hak_domain_request request)
{
    request.nodes = hak_options.nodes;
    return hak_place(&request);
}

struct hak_domain_request hak_request_in_force(void)
{
    const struct hak_shard_map *map = hak_heap_map(hak_heap_default());
    return map->domains != NULL ? map->request : hak_options.shard;
}

/* `also`: CPUs that the process may use in addition to the calling thread's, or NULL. */
static int look_again(const struct hak_cpu_set *also)
{
    hak_machine_forget();
    if (hak_heap_default()->map->domains == NULL)
        return 0; /* one shard, whatever the machine is */
    struct hak_domain_request request = hak_request_in_force();
    const struct hak_topology *topology = hak_machine_get(hak_domains_detail(&request), also);
    if (topology == NULL)
        return -ENOMEM;
    int refused = -EAGAIN;
    if (hak_section_enter()) {
        hak_bind_start(topology, hak_options.bind, &hak_options.nodes);
        refused = hak_heap_refresh(hak_heap_default(), topology, &request);
        hak_section_leave();
    }
    hak_machine_note(topology);
    hak_machine_put(topology);
    return refused;
}

int hak_place_anew(void)
{
    return look_again(NULL);
}

/* This only adds CPUs, since the calling thread may be bound to a few of those that others use.
 * Without memory nothing changes; while another thread forks, a later call tries again. */
void hak_place_new_cpus(void)
{
    struct hak_cpu_set cpus;
    struct hak_heap *heap = hak_heap_default();
    if (hak_unlikely(hak_heap_take_new_cpus(heap, &cpus)) && look_again(&cpus) == -EAGAIN)
        __atomic_store_n(&heap->stale, 1, __ATOMIC_RELAXED); /* relaxed: as in heap.c */
}

/* Whether the options need nothing from the machine: one shard, and memory of any node. */
static bool machine_matters_not(void)
{
    return hak_options.shard.mode == HAK_DOMAIN_SINGLE &&
           hak_options.front != HAK_FRONT_CHOICE_CPU && hak_options.bind != HAK_BIND_INTERLEAVE;
}

/* One shard serves a process of one thread; the kernel takes its memory from the thread's node. On
 * a small machine the facts from start suffice for a second thread. So no file is read: not at the
 * start of a short program, which would pay for it, nor later, when the program may have forbidden
 * itself to open files. Other machines are read at start. */
bool hak_placing_may_wait(void)
{
    return hak_machine_is_small() && hak_options.shard.mode == HAK_DOMAIN_AUTO &&
           hak_options.front != HAK_FRONT_CHOICE_CPU &&
           hak_cpu_set_count(&hak_options.nodes) == 0 && hak_options.bind != HAK_BIND_STRICT &&
           hak_options.bind != HAK_BIND_INTERLEAVE;
}

/* Places the shards by the facts from start, or by the machine as it is read now. */
static int place_first(void)
{
    struct hak_domain_request request = hak_options.shard;
    request.nodes = hak_options.nodes;
    if (hak_placing_may_wait())
        return place_on(hak_machine_get_small(), &request);
    return hak_place(&request);
}

/* Returns the new state: done, or due again because another thread forks. *opened: whether this
 * opened the fronts of CPUs. */
static enum placement_state place_shards(bool *opened)
{
    if (machine_matters_not())
        return PLACEMENT_DONE;
    int refused = place_first();
    if (refused == -EAGAIN)
        return PLACEMENT_DUE;
    if (refused != 0)
        placing.cpu_fronts_refused = fronts_per_cpu_wanted() ? -ENOMEM : 0;
    else if (fronts_per_cpu_wanted())
        *opened = open_cpu_fronts(hak_heap_map(hak_heap_default())->domains->cpu_ids);
    return PLACEMENT_DONE;
}

void hak_placing_allow(void)
{
    /* release: pairs with the acquire in hak_place_shards */
    __atomic_store_n(&placing.state, PLACEMENT_DUE, __ATOMIC_RELEASE);
}

bool hak_place_shards(void)
{
    bool opened = false;
    /* relaxed: a hint. acq_rel: one thread places, and sees what stage 2 wrote; pairs with the
     * release in hak_placing_allow */
    uint32_t due = PLACEMENT_DUE;
    if (__atomic_load_n(&placing.state, __ATOMIC_RELAXED) == PLACEMENT_DUE &&
        __atomic_compare_exchange_n(&placing.state, &due, PLACEMENT_UNDER_WAY, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
        enum placement_state state = place_shards(&opened);
        /* release: pairs with the acquire in hak_place_shards_and_wait */
        __atomic_store_n(&placing.state, (uint32_t)state, __ATOMIC_RELEASE);
    }
    return opened;
}

bool hak_place_shards_and_wait(void)
{
    bool opened = hak_place_shards();
    /* acquire: pairs with the release above */
    while (__atomic_load_n(&placing.state, __ATOMIC_ACQUIRE) == PLACEMENT_UNDER_WAY)
        hak_os_sleep_ns(PLACEMENT_WAIT_NS);
    return opened;
}

void hak_placing_after_fork(void)
{
    /* relaxed: the child has one thread. It was not placing, since that does not fork. The next try
     * finds the shards that exist, or builds them again. */
    if (__atomic_load_n(&placing.state, __ATOMIC_RELAXED) == PLACEMENT_UNDER_WAY)
        __atomic_store_n(&placing.state, PLACEMENT_DUE, __ATOMIC_RELAXED);
}

bool hak_machine_was_placed(void)
{
    return hak_heap_map(hak_heap_default())->domains != NULL;
}
