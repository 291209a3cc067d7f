/* SPDX-License-Identifier: MIT */
/* The order of waking up.
 *
 *   stage 1   the first call, from wherever: a constructor of another library, the loader. Tables,
 *             one shard. System calls only: nothing can call malloc, so nothing can
 *             come back here, and a lock of one word suffices.
 *   stage 2   our constructor: options, the machine, the shards; fork handlers; the key whose
 *             destructor gives back a thread's front. Libraries may be called, and may call us:
 *             stage 1 serves them. No lock is held while files are read.
 *   thread    its first call makes its front. What that calls in turn (pthread_setspecific may
 *             allocate) is served without a front. The process's first one registers the fork
 *             handlers: a constructor that runs before ours may fork.
 */
#include "api/start.h"

#include <errno.h>
#include <pthread.h>

#include "api/background.h"
#include "api/entry.h"
#include "api/fork.h"
#include "api/inform.h"
#include "api/learning.h"
#include "api/machine.h"
#include "api/misuse.h"
#include "api/options.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/secret.h"
#include "os/section.h"
#include "shard/beside.h"
#include "shard/front.h"
#include "shard/front_cpu.h"
#include "shard/grace.h"
#include "shard/heap.h"
#include "tiers/object.h"
#include "tiers/size_class.h"
#include "topology/bind.h"

HAK_TLS unsigned char hak_thread_state;

/* Shards may have to wait until the process has two threads. */
enum placement_state {
    PLACEMENT_NOT_YET,          /* before stage 2 */
    PLACEMENT_DUE,
    PLACEMENT_UNDER_WAY,
    PLACEMENT_DONE,
};

enum {
    PLACEMENT_WAIT_NS = 50 * 1000,
};

static struct {
    struct hak_lock lock;       /* over stage 1 */
    uint32_t ready;             /* stage 1 is done: release, acquire */
    uint32_t cpu_fronts;        /* fronts are kept per CPU: release, acquire */
    int cpu_fronts_refused;     /* -errno: why they are not, although asked for; or 0 */
    uint32_t placement;         /* enum placement_state; atomic */
    uint32_t threads;           /* that made themselves known; atomic */
    uint32_t key_ready;         /* thread_key may be used: release, acquire */
    pthread_key_t thread_key;
} start;

/* ---- stage 1 -------------------------------------------------------------------------------- */

static HAK_COLD void first_stage(void)
{
    hak_lock_acquire(&start.lock);
    if (!start.ready) {
        struct hak_heap *heap = hak_heap_default();
        hak_size_class_start();
        hak_link_start(hak_os_secret());
        int refused = hak_heap_start(heap, &hak_policy_fixed);
        if (refused)
            __builtin_trap();    /* not 1 MiB from the kernel: no program can run */
        /* release: pairs with the acquire in hak_start */
        __atomic_store_n(&start.ready, 1, __ATOMIC_RELEASE);
    }
    hak_lock_release(&start.lock);
}

void hak_start(void)
{
    /* acquire: pairs with the release in first_stage */
    if (hak_unlikely(!__atomic_load_n(&start.ready, __ATOMIC_ACQUIRE)))
        first_stage();
}

/* ---- threads -------------------------------------------------------------------------------- */

/* To the heap, or to whoever enters it when no thread forks any more. */
static void give_back(struct hak_front *front)
{
    if (!hak_heap_enter()) {
        hak_front_leave(front);
        return;
    }
    hak_front_destroy(front);
    hak_heap_leave();
    hak_misuse_tell();
}

/* NULL: no memory, or another thread forks. */
static struct hak_front *make_front(void)
{
    if (!hak_heap_enter())
        return NULL;
    struct hak_front *front = hak_front_create();
    hak_heap_leave();
    return front;
}

/* Runs among the destructors of a thread's keys. In the first round others may still free what
 * they own, so we only ask to be called again; in the next the front goes. */
static void end_thread(void *argument)
{
    struct hak_front *front = argument;
    if (hak_thread_state == HAK_THREAD_RUNNING) {
        hak_thread_state = HAK_THREAD_ENDING;
        pthread_setspecific(start.thread_key, front);
        return;
    }
    hak_thread_state = HAK_THREAD_ENDED;
    hak_front_set(NULL);
    give_back(front);
}

static int fronts_are_per_cpu(void)
{
    /* acquire: pairs with the release in open_cpu_fronts */
    return __atomic_load_n(&start.cpu_fronts, __ATOMIC_ACQUIRE) != 0;
}

/* The front is the thread's from here on, to be given back at its end: by the key, if there is
 * one yet. pthread_setspecific may allocate: without a front, or from one that the thread had. */
static struct hak_front *bind(struct hak_front *front)
{
    hak_thread_state = HAK_THREAD_STARTING;
    /* acquire: pairs with the release in second_stage */
    int is_bound = front == NULL || (__atomic_load_n(&start.key_ready, __ATOMIC_ACQUIRE) &&
                                     pthread_setspecific(start.thread_key, front) == 0);
    hak_thread_state = is_bound ? HAK_THREAD_RUNNING : HAK_THREAD_UNBOUND;
    hak_front_set(front);
    return front;
}

static struct hak_front *start_thread(void)
{
    if (hak_thread_state == HAK_THREAD_UNBOUND)
        return bind(hak_front_of_thread());
    hak_start();
    /* While another thread forks this one stays new, and is served beside the heap. */
    if (!hak_heap_enter())
        return NULL;
    hak_heap_leave();
    hak_thread_state = HAK_THREAD_STARTING;
    hak_fork_start();
    /* relaxed: a count */
    if (__atomic_fetch_add(&start.threads, 1, __ATOMIC_RELAXED) != 0)
        hak_place_shards();
    hak_heap_meet_cpu(hak_heap_default(), hak_os_cpu());
    int per_cpu = fronts_are_per_cpu();
    struct hak_front *front = per_cpu ? NULL : make_front();
    if (front == NULL) {
        hak_thread_state = per_cpu ? HAK_THREAD_RUNNING : HAK_THREAD_NEW;
        return NULL;
    }
    return bind(front);
}

/* The first call of a thread may be free, which leaves errno alone; what we call may not. */
struct hak_front *hak_thread_start(void)
{
    int saved = errno;
    struct hak_front *front = start_thread();
    errno = saved;
    return front;
}

struct hak_front *hak_thread_own_front(void)
{
    struct hak_front *front = hak_thread_front();
    if (front != NULL || hak_thread_state != HAK_THREAD_RUNNING)
        return front;
    hak_thread_state = HAK_THREAD_STARTING;
    front = make_front();
    if (front != NULL)
        return bind(front);
    hak_thread_state = HAK_THREAD_RUNNING;    /* served as before */
    return NULL;
}

/* The front that the thread gives back now is not to be given back at its end once more. */
static void forget_bound(void)
{
    /* acquire: pairs with the release in second_stage */
    if (__atomic_load_n(&start.key_ready, __ATOMIC_ACQUIRE))
        pthread_setspecific(start.thread_key, NULL);
}

void hak_thread_drop_own_front(void)
{
    struct hak_front *front = hak_thread_front();
    if (front == NULL || !fronts_are_per_cpu() || hak_thread_state != HAK_THREAD_RUNNING)
        return;
    hak_front_set(hak_thread_is_apart ? &hak_front_apart : NULL);
    forget_bound();
    give_back(front);
}

/* ---- stage 2 -------------------------------------------------------------------------------- */

/* The policy is read without a lock, field by field; each field is valid by itself at any time. */
static void obey_options(struct hak_heap *heap)
{
    heap->policy_store.decay_ns = hak_options.decay_ns;
    hak_heap_set_retain(heap, hak_options.retain_bytes);
    heap->remote = hak_options.remote == HAK_REMOTE_CHOICE_HOME ? HAK_REMOTE_HOME
                                                                : HAK_REMOTE_ADOPT;
    hak_region_set_huge(hak_options.huge == HAK_HUGE_CHOICE_LEARN
                            ? HAK_HUGE_DEFAULT
                            : (enum hak_os_huge)hak_options.huge);
    hak_region_set_hugetlb(hak_options.hugetlb == HAK_HUGETLB_CHOICE_YES);
    hak_learning_start(heap);
}

/* Per CPU where that is asked for, by itself or by HAKMEM_SHARD=cpu. */
static int fronts_per_cpu_wanted(void)
{
    if (hak_options.front == HAK_FRONT_CHOICE_AUTO)
        return hak_options.shard.mode == HAK_DOMAIN_CPU;
    return hak_options.front == HAK_FRONT_CHOICE_CPU;
}

/* The thread that starts the library may have a front already: it gives that back. */
static void open_cpu_fronts(unsigned cpu_ids)
{
    start.cpu_fronts_refused = hak_cpu_fronts_start(cpu_ids);
    if (start.cpu_fronts_refused != 0)
        return;    /* fronts per thread, as hakmem_mode() tells */
    /* release: pairs with the acquire in fronts_are_per_cpu */
    __atomic_store_n(&start.cpu_fronts, 1, __ATOMIC_RELEASE);
    struct hak_front *front = hak_front_of_thread();
    hak_front_set(NULL);
    if (front != NULL) {
        forget_bound();
        give_back(front);
    }
}

const char *hak_fronts_why(void)
{
    switch (-start.cpu_fronts_refused) {
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

static int place_on(const struct hak_topology *topology, const struct hak_domain_request *request)
{
    if (topology == NULL)
        return -ENOMEM;
    int refused = -EAGAIN;
    if (hak_section_enter()) {
        hak_bind_start(topology, hak_options.bind);
        refused = hak_heap_place(hak_heap_default(), topology, request);
        hak_section_leave();
    }
    hak_inform_topology(topology);
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
    /* acquire: pairs with the release in publish (shard/heap.c) */
    const struct hak_placement *placement =
        __atomic_load_n(&hak_heap_default()->placement, __ATOMIC_ACQUIRE);
    return placement->domains != NULL ? placement->request : hak_options.shard;
}

/* `also`: CPUs that the process may use beside those of the calling thread, or NULL. */
static int look_again(const struct hak_cpu_set *also)
{
    hak_machine_forget();
    if (hak_heap_default()->placement->domains == NULL)
        return 0;    /* one shard, whatever the machine is */
    struct hak_domain_request request = hak_request_in_force();
    const struct hak_topology *topology = hak_machine_get(hak_domains_detail(&request), also);
    if (topology == NULL)
        return -ENOMEM;
    int refused = -EAGAIN;
    if (hak_section_enter()) {
        hak_bind_start(topology, hak_options.bind);
        refused = hak_heap_refresh(hak_heap_default(), topology, &request);
        hak_section_leave();
    }
    hak_inform_topology(topology);
    hak_machine_put(topology);
    return refused;
}

int hak_place_anew(void)
{
    return look_again(NULL);
}

/* CPUs are only added here: the calling thread may be bound to a few of those that others use.
 * Without memory for it all stays as it is; while another thread forks it is put off. */
void hak_place_strangers(void)
{
    struct hak_cpu_set cpus;
    struct hak_heap *heap = hak_heap_default();
    if (hak_unlikely(hak_heap_take_strangers(heap, &cpus)) && look_again(&cpus) == -EAGAIN)
        __atomic_store_n(&heap->stale, 1, __ATOMIC_RELAXED);    /* relaxed: as in heap.c */
}

/* Whether one shard for all is asked for, and memory from wherever it is touched will do. */
static int machine_matters_not(void)
{
    return hak_options.shard.mode == HAK_DOMAIN_SINGLE &&
           hak_options.front != HAK_FRONT_CHOICE_CPU && hak_options.bind != HAK_BIND_INTERLEAVE;
}

/* A process of one thread is served by one shard, whose memory the kernel takes from its node. On a
 * small machine a second thread needs no more than is known by then: no file is read, neither for
 * nothing at the start of a short program, nor later, when the program may have forbidden itself to
 * open any. Elsewhere the machine is read at start. */
static int placement_may_wait(void)
{
    return hak_machine_is_small() && hak_options.shard.mode == HAK_DOMAIN_AUTO &&
           hak_options.front != HAK_FRONT_CHOICE_CPU &&
           hak_cpu_set_count(&hak_options.nodes) == 0 &&
           hak_options.bind != HAK_BIND_STRICT && hak_options.bind != HAK_BIND_INTERLEAVE;
}

/* Shards for what the kernel told at start, or for the machine that is read now. */
static int place_first(void)
{
    struct hak_domain_request request = hak_options.shard;
    request.nodes = hak_options.nodes;
    return placement_may_wait() ? place_on(hak_machine_get_small(), &request) : hak_place(&request);
}

/* What becomes of it: done, or due again, for another thread forks. */
static enum placement_state place_shards(void)
{
    if (machine_matters_not())
        return PLACEMENT_DONE;
    int refused = place_first();
    if (refused == -EAGAIN)
        return PLACEMENT_DUE;
    if (refused != 0) {
        start.cpu_fronts_refused = fronts_per_cpu_wanted() ? -ENOMEM : 0;
        return PLACEMENT_DONE;
    }
    const struct hak_domains *domains = hak_heap_default()->placement->domains;
    if (fronts_per_cpu_wanted())
        open_cpu_fronts(domains->cpu_ids);
    return PLACEMENT_DONE;
}

void hak_place_shards(void)
{
    /* relaxed, then acquire and release: one thread places, having seen what stage 2 wrote */
    uint32_t due = PLACEMENT_DUE;
    if (__atomic_load_n(&start.placement, __ATOMIC_RELAXED) == PLACEMENT_DUE &&
        __atomic_compare_exchange_n(&start.placement, &due, PLACEMENT_UNDER_WAY, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        enum placement_state state = place_shards();
        __atomic_store_n(&start.placement, (uint32_t)state, __ATOMIC_RELEASE);
    }
}

void hak_place_shards_and_wait(void)
{
    hak_place_shards();
    /* acquire: pairs with the release above */
    while (__atomic_load_n(&start.placement, __ATOMIC_ACQUIRE) == PLACEMENT_UNDER_WAY)
        hak_os_sleep_ns(PLACEMENT_WAIT_NS);
}

void hak_start_after_fork(void)
{
    /* relaxed: the child has one thread, which is not the one that was placing: that forks
     * nowhere. What there is by then is found again or built anew. */
    if (__atomic_load_n(&start.placement, __ATOMIC_RELAXED) == PLACEMENT_UNDER_WAY)
        __atomic_store_n(&start.placement, PLACEMENT_DUE, __ATOMIC_RELAXED);
}

int hak_machine_was_placed(void)
{
    /* acquire: pairs with the release in publish (shard/heap.c) */
    return __atomic_load_n(&hak_heap_default()->placement, __ATOMIC_ACQUIRE)->domains != NULL;
}

__attribute__((constructor)) static void second_stage(void)
{
    hak_start();
    hak_grace_start();
    hak_options_start();
    struct hak_heap *heap = hak_heap_default();
    bool is_inside = hak_section_enter_late();
    obey_options(heap);
    if (is_inside)
        hak_section_leave();
    /* release: pairs with hak_place_shards */
    __atomic_store_n(&start.placement, PLACEMENT_DUE, __ATOMIC_RELEASE);
    hak_machine_start();
    if (!placement_may_wait())
        hak_place_shards();
    if (pthread_key_create(&start.thread_key, end_thread) == 0) {
        /* release: pairs with the acquires in bind and forget_bound */
        __atomic_store_n(&start.key_ready, 1, __ATOMIC_RELEASE);
        /* The thread that starts the library may have made its front before there was a key, as may
         * others, which see to it themselves; in this one, CPU fronts may have replaced it. */
        if (hak_thread_state == HAK_THREAD_UNBOUND)
            bind(hak_front_of_thread());
    }
    hak_fork_start();
    hak_inform_start();
    if (hak_options.background == HAK_BACKGROUND_CHOICE_YES)
        hak_background_start();
}

/* A library that is closed (a plugin that has the archive in it) leaves no destructor of ours
 * behind: a thread that ends later must not run what is unmapped. Its front is found by others. */
static void forget_key(void)
{
    /* acq_rel: pairs with the acquires of who uses the key, and the release in second_stage */
    if (__atomic_exchange_n(&start.key_ready, 0, __ATOMIC_ACQ_REL))
        pthread_key_delete(start.thread_key);
}

/* At exit: statistics, if asked for. The allocator itself goes on, for others run after us. */
__attribute__((destructor)) static void at_exit(void)
{
    hak_inform_exit();
    if (hak_section_enter_late()) {
        hak_learning_exit(hak_heap_default());
        hak_section_leave();
    }
    forget_key();
}
