/* SPDX-License-Identifier: MIT */
/* Heaps that the program makes. Any thread. What is refused sets errno here.
 *
 *   create    options are checked, then turned into terms (tiers/terms.h), settings and domains
 *   malloc    the thread's front (api/own_fronts.c), if the heap has any; else
 *             a section, the shard of the CPU (heap/own_heap.c); if the kernel refuses, what others
 *             give back; then the soft limit's function
 *   free      the page map leads to the shard (api/own_objects.c); free and realloc come there, too
 *   destroy   heap/own_heap.c */
#include "api/heaps.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "api/fork.h"
#include "api/machine.h"
#include "api/malloc_slow.h"
#include "api/misuse.h"
#include "api/options.h"
#include "api/own_fronts.h"
#include "api/own_objects.h"
#include "api/placing.h"
#include "api/profiler.h"
#include "api/threads.h"
#include "api/wake.h"
#include "hakmem.h"
#include "heap/heap.h"
#include "heap/own_heap.h"
#include "os/bits.h"
#include "os/section.h"
#include "tiers/empty.h"
#include "topology/bind.h"

enum {
    NODES = 64,
    ATTEMPTS = 4, /* of a call that the limit refuses while others give back */
    FLAGS = HAKMEM_HEAP_NO_DUMP | HAKMEM_HEAP_POPULATE | HAKMEM_HEAP_FRONTS,
};

/* What the options had when the struct had fewer fields: none yet. */
static const size_t OPTIONS_LEAST = sizeof(struct hakmem_heap_options);

static void *refuse(int error)
{
    errno = error;
    return NULL;
}

static struct hakmem_heap *outer(struct hak_own_heap *heap)
{
    return (struct hakmem_heap *)heap;
}

/* ---- options --------------------------------------------------------------------------------- */

/* A newer program's options are known here as far as it left the rest zero. */
static bool read_options(struct hakmem_heap_options *options,
                         const struct hakmem_heap_options *from)
{
    *options = (struct hakmem_heap_options){.size = sizeof *options};
    if (from == NULL)
        return true;
    if (from->size < OPTIONS_LEAST)
        return false;
    for (size_t byte = sizeof *options; byte < from->size; byte++)
        if (((const unsigned char *)from)[byte] != 0)
            return false;
    *options = *from;
    return true;
}

static bool are_nodes_known(uint64_t nodes)
{
    for (int node = 0; node < NODES; node++)
        if ((nodes >> node & 1) != 0 && !hak_bind_has_memory(node))
            return false;
    return true;
}

static bool is_placement_sound(const struct hakmem_heap_options *options)
{
    bool wants_none = options->placement == HAKMEM_HEAP_LOCAL;
    bool wants_some =
        options->placement == HAKMEM_HEAP_PREFER || options->placement == HAKMEM_HEAP_BIND;
    if ((unsigned)options->placement > HAKMEM_HEAP_WEIGHTED)
        return false;
    return options->nodes == 0 ? !wants_some : !wants_none && are_nodes_known(options->nodes);
}

static bool are_limits_sound(const struct hakmem_heap_options *options)
{
    if (options->limit != 0 && options->limit < HAK_REGION_SIZE)
        return false;
    if (options->soft_limit == 0)
        return true;
    return options->soft_limit_reached != NULL &&
           (options->limit == 0 ||
            options->soft_limit <= hak_align_down(options->limit, HAK_REGION_SIZE));
}

static bool are_sound(const struct hakmem_heap_options *options)
{
    return (unsigned)options->sharding <= HAKMEM_HEAP_CPU &&
           (unsigned)options->pages <= HAKMEM_HEAP_PAGES_HUGETLB &&
           (options->flags & ~(unsigned)FLAGS) == 0 && is_placement_sound(options) &&
           are_limits_sound(options);
}

static enum hak_os_huge huge_of(enum hakmem_heap_pages pages)
{
    switch (pages) {
    case HAKMEM_HEAP_PAGES_HUGE:
        return HAK_HUGE_ALWAYS;
    case HAKMEM_HEAP_PAGES_SMALL:
        return HAK_HUGE_NEVER;
    default:
        return HAK_HUGE_DEFAULT;
    }
}

static enum hak_bind_manner manner_of(enum hakmem_heap_placement placement)
{
    switch (placement) {
    case HAKMEM_HEAP_BIND:
        return HAK_BIND_MANNER_ONLY;
    case HAKMEM_HEAP_INTERLEAVE:
        return HAK_BIND_MANNER_INTERLEAVE;
    case HAKMEM_HEAP_WEIGHTED:
        return HAK_BIND_MANNER_WEIGHTED;
    default:
        return HAK_BIND_MANNER_PREFER;
    }
}

/* Pages that went back would come again from any node: what is bound stays present. */
static bool is_populated(const struct hakmem_heap_options *options)
{
    return (options->flags & HAKMEM_HEAP_POPULATE) != 0 || options->placement == HAKMEM_HEAP_BIND;
}

static struct hak_terms terms_of(const struct hakmem_heap_options *options)
{
    struct hak_terms terms = {
        .limit = hak_align_down(options->limit, HAK_REGION_SIZE),
        .soft_limit = options->soft_limit,
        .manner = manner_of(options->placement),
        .chooses_nodes = options->placement != HAKMEM_HEAP_LOCAL,
        .wants_hugetlb = options->pages == HAKMEM_HEAP_PAGES_HUGETLB,
        .is_dumped = (options->flags & HAKMEM_HEAP_NO_DUMP) == 0,
        .populates = is_populated(options),
        .huge = huge_of(options->pages),
    };
    for (unsigned node = 0; node < NODES; node++)
        if (options->nodes == 0 ? hak_bind_is_near((int)node) : (options->nodes >> node & 1) != 0)
            hak_os_nodes_add(&terms.nodes, node);
    return terms;
}

/* A heap learns nothing, and keeps unused what the default heap may keep; with pages made present
 * for good it keeps all. */
static struct hak_settings settings_of(const struct hakmem_heap_options *options, unsigned shards)
{
    enum { SLAB_PART = 8, SLAB_LEAST = 256 * 1024 };
    struct hak_settings settings = *hak_heap_default()->settings;
    size_t slab_share = hak_settings_bytes(&hak_heap_default()->retain_bytes) / SLAB_PART / shards;
    settings.mode = HAK_LEARN_OFF;
    settings.audit = NULL;
    settings.saved = NULL;
    settings.credit = NULL;
    settings.learns_huge = 0;
    settings.by_site = 0;
    settings.slab_retain_bytes = slab_share > SLAB_LEAST ? slab_share : SLAB_LEAST;
    if (is_populated(options)) {
        settings.large_arm = HAK_ARM_KEEP;
        settings.slab_retain_bytes = SIZE_MAX;
        settings.large_retain_bytes = SIZE_MAX;
        settings.decay_ns = UINT64_MAX;
    } else if (settings.decay_ns == 0) {
        settings.slab_retain_bytes = 0;
    }
    return settings;
}

/* ---- domains --------------------------------------------------------------------------------- */

/* What was built for a kind of sharding: once, and kept, for heaps refer to it. */
static const struct hak_domains *known_domains[HAK_DOMAIN_COUNT];

static enum hak_domain_mode mode_of(enum hakmem_heap_sharding sharding)
{
    switch (sharding) {
    case HAKMEM_HEAP_NODE:
        return HAK_DOMAIN_NODE;
    case HAKMEM_HEAP_L3:
        return HAK_DOMAIN_L3;
    case HAKMEM_HEAP_CPU:
        return HAK_DOMAIN_CPU;
    default:
        return HAK_DOMAIN_SINGLE;
    }
}

static const struct hak_domains *build_domains(enum hak_domain_mode mode)
{
    struct hak_domain_request request = {.mode = mode, .nodes = hak_options.nodes};
    const struct hak_topology *topology = hak_machine_get(hak_domains_detail(&request), NULL);
    if (topology == NULL)
        return NULL;
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    hak_machine_put(topology);
    return domains;
}

/* NULL: no memory. */
static const struct hak_domains *domains_for(enum hak_domain_mode mode)
{
    /* acquire: pairs with the release below; it is built when it is seen */
    const struct hak_domains *domains = __atomic_load_n(&known_domains[mode], __ATOMIC_ACQUIRE);
    if (domains != NULL)
        return domains;
    const struct hak_domains *built = build_domains(mode);
    /* release: as said; acquire: another was quicker, whose domains we use */
    if (built == NULL || __atomic_compare_exchange_n(&known_domains[mode], &domains, built, 0,
                                                     __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
        return built;
    hak_domains_free(built);
    return domains;
}

/* ---- coming and going ------------------------------------------------------------------------ */

/* The machine is known. */
static void know_machine(void)
{
    hak_start();
    hak_thread_place_shards_and_wait();
    if (!hak_machine_was_placed())
        hak_place_by_options(hak_options.shard);
}

/* One shard stands on the node that is asked for, if that is one. */
static int only_node(uint64_t nodes)
{
    return hak_is_power_of_two(nodes) ? (int)hak_log2(nodes) : HAK_NODE_ANY;
}

static struct hak_own_heap *make(const struct hakmem_heap_options *options)
{
    const struct hak_domains *domains = NULL;
    enum hak_domain_mode mode = mode_of(options->sharding);
    if (mode != HAK_DOMAIN_SINGLE && (domains = domains_for(mode)) == NULL)
        return NULL;
    struct hak_terms terms = terms_of(options);
    struct hak_settings settings = settings_of(options, domains != NULL ? domains->shards : 1);
    bool has_fronts =
        (options->flags & HAKMEM_HEAP_FRONTS) != 0 && hak_thread_heap_fronts_are_possible();
    if (!hak_section_enter_late())
        return NULL;
    const struct hak_own_alarm alarm = {options->soft_limit_reached, options->argument};
    struct hak_own_heap *heap =
        hak_own_heap_make(&terms, &settings, domains, only_node(options->nodes), &alarm);
    if (heap != NULL && has_fronts)
        hak_own_heap_let_have_fronts(heap);
    hak_section_leave();
    return heap;
}

HAK_PUBLIC struct hakmem_heap *hakmem_heap_create(const struct hakmem_heap_options *from)
{
    struct hakmem_heap_options options;
    int saved = errno;
    know_machine();
    hak_fork_start();
    if (!read_options(&options, from) || !are_sound(&options))
        return refuse(EINVAL);
    struct hak_own_heap *heap = make(&options);
    if (heap == NULL)
        return refuse(ENOMEM);
    errno = saved;
    return outer(heap);
}

HAK_PUBLIC int hakmem_heap_destroy(struct hakmem_heap *heap)
{
    unsigned number = heap != NULL ? hak_heaps_inner(heap)->number : 0;
    enum hak_own_end end =
        heap != NULL ? hak_own_heap_end(hak_heaps_inner(heap)) : HAK_OWN_NOT_LIVE;
    if (end == HAK_OWN_ENDED) {
        if (hak_unlikely(hak_profiler_is_on()))
            hak_profiler_forget_heap(number);
        return 0;
    }
    errno = end == HAK_OWN_BUSY ? EBUSY : EINVAL;
    return -1;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* false: a fork lasts for longer than a call waits, so there is no object. */
static bool take_once(struct hak_own_heap *heap, const struct hak_own_request *request,
                      bool *must_tell, void **object)
{
    *object = NULL;
    if (!hak_owned_enter())
        return false;
    *object = hak_own_heap_take(heap, request, must_tell);
    hak_section_leave();
    return true;
}

/* Where the kernel refused, and not the limit, others give back what they do not use. Where the
 * limit refused, another thread may be mapping, or giving back, what this one would have used. What
 * the thread's own front has serves other sizes, too. */
static HAK_COLD void *take_again(struct hak_own_heap *heap, const struct hak_own_request *request,
                                 bool *must_tell)
{
    struct hak_reclaim call = {0};
    void *object = NULL;
    unsigned attempts = 0;
    hak_thread_flush_heap_fronts(heap);
    while (hak_own_heap_is_live(heap)) {
        uint64_t refused = hak_terms_refused(&heap->terms);
        struct hak_own_mark mark = hak_own_heap_mark(heap);
        if (!take_once(heap, request, must_tell, &object) || object != NULL)
            break;
        bool is_limit = hak_terms_refused(&heap->terms) != refused;
        if (is_limit ? ++attempts == ATTEMPTS || !hak_own_heap_was_busy(heap, &mark)
                     : !hak_give_back(&call))
            break;
    }
    return object;
}

/* Outside all locks; the heap waits with its end. */
static HAK_COLD void tell_of_soft_limit(struct hak_own_heap *own)
{
    int saved = errno;
    own->alarm.exceeded(outer(own), hak_terms_mapped(&own->terms), own->alarm.argument);
    hak_own_heap_has_told(own);
    errno = saved;
}

static struct hak_profiler_place profiled_place(const struct hak_own_heap *own, const void *object)
{
    int node = HAK_NODE_ANY;
    int shard = hak_owned_place_of(object, &node);
    return (struct hak_profiler_place){(unsigned)shard + 1, node, own->number};
}

/* The free of each object of such a heap looks into the profile: it needs no run to itself. */
static HAK_COLD void profile_taken(const struct hak_own_heap *own,
                                   const struct hak_own_request *request, const void *object)
{
    size_t size =
        request->class_id != HAK_CLASS_NONE ? hak_classes[request->class_id].size : request->size;
    if (!hak_profiler_wants(size))
        return;
    struct hak_profiler_wish wish;
    hak_profiler_begin(&wish, size, size, profiled_place(own, object));
    hak_profiler_note(&wish, object);
}

static void *take(struct hakmem_heap *heap, const struct hak_own_request *request)
{
    struct hak_own_heap *own = hak_heaps_inner(heap);
    bool must_tell = false;
    void *object;
    bool has_entered = take_once(own, request, &must_tell, &object);
    if (hak_unlikely(object == NULL) && has_entered)
        object = take_again(own, request, &must_tell);
    if (hak_unlikely(object == NULL))
        errno = hak_own_heap_is_live(own) ? ENOMEM : EINVAL;
    else if (hak_unlikely(hak_profiler_is_on()))
        profile_taken(own, request, object);
    if (hak_unlikely(must_tell))
        tell_of_soft_limit(own);
    return object;
}

static void *take_size(struct hakmem_heap *heap, size_t size, enum hak_zero zero)
{
    if (hak_unlikely(!hak_heaps_is_live(heap)))
        return refuse(EINVAL);
    if (hak_unlikely(size > PTRDIFF_MAX))
        return refuse(ENOMEM);
    unsigned class_id = size <= HAK_MID_MAX ? hak_size_class_known(size) : HAK_CLASS_NONE;
    bool is_tiny = class_id != HAK_CLASS_NONE && class_id <= HAK_CLASS_TINY_LAST;
    const struct hak_own_request request = {
        size, 1, class_id, zero, is_tiny ? hak_thread_heap_front(hak_heaps_inner(heap)) : NULL};
    void *object = take(heap, &request);
    hak_misuse_tell();
    return object;
}

HAK_PUBLIC void *hakmem_heap_malloc(struct hakmem_heap *heap, size_t size)
{
    void *object = size <= HAK_TINY_MAX
                       ? hak_own_quick_take(hak_thread_seat, hak_heaps_inner(heap), size)
                       : NULL;
    return hak_likely(object != NULL) ? object : take_size(heap, size, HAK_ZERO_NO);
}

HAK_PUBLIC void *hakmem_heap_calloc(struct hakmem_heap *heap, size_t count, size_t size)
{
    size_t total;
    if (hak_unlikely(__builtin_mul_overflow(count, size, &total)))
        return refuse(ENOMEM);
    void *object = NULL;
    if (total <= HAK_TINY_MAX)
        object = hak_own_quick_take(hak_thread_seat, hak_heaps_inner(heap), total);
    if (object == NULL)
        object = take_size(heap, total, HAK_ZERO_YES);
    if (object != NULL && total <= HAK_MID_MAX)
        memset(object, 0, total);
    return object;
}

HAK_PUBLIC void *hakmem_heap_aligned_alloc(struct hakmem_heap *heap, size_t alignment, size_t size)
{
    if (hak_unlikely(!hak_heaps_is_live(heap) || !hak_is_power_of_two(alignment)))
        return refuse(EINVAL);
    if (hak_unlikely(alignment > PTRDIFF_MAX || size > PTRDIFF_MAX - alignment))
        return refuse(ENOMEM);
    unsigned class_id = hak_size_class_aligned(size, alignment);
    if (class_id == HAK_CLASS_NONE && size <= HAK_MID_MAX)
        size = HAK_MID_MAX + 1;
    const struct hak_own_request request = {size, alignment, class_id, HAK_ZERO_NO, NULL};
    return take(heap, &request);
}

/* ---- giving ---------------------------------------------------------------------------------- */

static HAK_COLD void free_slow(struct hakmem_heap *heap, void *object)
{
    if (object == NULL)
        return;
    if (hak_unlikely(hak_thread_seat == &hak_own_nobody[0]))
        hak_thread_take_seat();
    enum hak_own_object what = hak_owned_give(hak_heaps_inner(heap), object);
    hak_misuse_tell();
    if (hak_likely(what == HAK_OWN_LIVE))
        return;
    if (what == HAK_OWN_ELSEWHERE || (!hak_owned_knows(object) && hak_usable_size(object) != 0))
        hak_misuse("hakmem_heap_free", object, HAK_MISUSE_HEAP);
    else
        hak_owned_misused("hakmem_heap_free", object, what);
}

HAK_PUBLIC void hakmem_heap_free(struct hakmem_heap *heap, void *object)
{
    if (hak_unlikely(!hak_own_quick_give(hak_thread_seat, object)))
        free_slow(heap, object);
}

/* ---- resizing -------------------------------------------------------------------------------- */

struct resized {
    struct hak_own_heap *heap; /* the object's; NULL: it has none, or a fork does not end */
    bool is_free;
    bool in_place; /* it holds `size` bytes now, by growing or shrinking */
};

static struct resized resize_in_place(void *object, size_t size)
{
    struct resized resized = {0};
    struct hak_page page;
    if (!hak_owned_enter())
        return resized;
    struct hak_own_shard *shard = hak_own_shard_enter_of(object, &page);
    if (shard != NULL) {
        resized.heap = shard->heap;
        const struct hak_own_front *front = hak_thread_heap_front_for(shard);
        resized.is_free = hak_own_shard_says_free(shard, object, page) ||
                          (front != NULL && hak_own_front_has_on_top(front, object, page));
        resized.in_place = page.offset == HAK_PAGE_OWN_LARGE && size > HAK_MID_MAX &&
                           hak_own_shard_resize(shard, object, size);
        hak_own_shard_leave(shard);
    }
    hak_section_leave();
    return resized;
}

void *hak_heaps_resize(void *object, size_t usable, size_t size)
{
    if (size == 0) {
        hak_owned_release(object);
        return NULL;
    }
    uint32_t noted = hak_profiler_hold(object);
    struct resized resized = resize_in_place(object, size);
    if (resized.in_place && hak_unlikely(hak_profiler_is_on()))
        hak_profiler_resized(noted, object, size, profiled_place(resized.heap, object));
    else if (hak_unlikely(noted != 0))
        hak_profiler_settle(noted, false);
    if (hak_unlikely(resized.is_free))
        hak_misuse("realloc", object, HAK_MISUSE_FREED);
    if (resized.heap == NULL || resized.is_free)
        return refuse(resized.is_free ? EINVAL : ENOMEM);
    if (resized.in_place || hak_fits(usable, size))
        return object;
    int saved = errno;
    void *fresh = take_size(outer(resized.heap), size, HAK_ZERO_NO);
    if (fresh == NULL) {
        if (size > usable)
            return NULL;
        errno = saved; /* large enough as it is */
        return object;
    }
    memcpy(fresh, object, size < usable ? size : usable);
    hak_owned_release(object);
    return fresh;
}

HAK_PUBLIC void *hakmem_heap_realloc(struct hakmem_heap *heap, void *object, size_t size)
{
    if (object == NULL)
        return hakmem_heap_malloc(heap, size);
    size_t usable = hak_owned_knows(object) ? hak_owned_usable_size(object) : 0;
    if (usable == 0 || hakmem_heap_of(object) != heap) {
        if (usable != 0 || hak_usable_size(object) != 0)
            hak_misuse("hakmem_heap_realloc", object, HAK_MISUSE_HEAP);
        else
            hak_owned_misused("hakmem_heap_realloc", object, HAK_OWN_FREE);
        return refuse(EINVAL);
    }
    return hak_heaps_resize(object, usable, size);
}

/* ---- asking ---------------------------------------------------------------------------------- */

HAK_PUBLIC size_t hakmem_heap_usable_size(const void *object)
{
    return hak_usable_size(object);
}

HAK_PUBLIC struct hakmem_heap *hakmem_heap_of(const void *object)
{
    struct hak_page page = hak_page_find(object);
    if (hak_page_is_own(page) && hak_owned_usable_size(object) != 0)
        return outer(hak_own_shards[page.home]->heap);
    bool is_empty = page.offset == HAK_PAGE_EMPTY && page.class_id == HAK_CLASS_NONE &&
                    hak_empty_is_live(object);
    return refuse(is_empty || hak_usable_size(object) != 0 ? ENOENT : EINVAL);
}

HAK_PUBLIC size_t hakmem_heap_purge(struct hakmem_heap *heap)
{
    size_t bytes = 0;
    if (!hak_heaps_is_live(heap)) {
        errno = EINVAL;
        return 0;
    }
    hak_thread_flush_heap_fronts(hak_heaps_inner(heap));
    /* A section for each shard: a fork waits for one only. */
    for (unsigned index = 0; index < hak_heaps_inner(heap)->count && hak_owned_enter(); index++) {
        bytes += hak_own_heap_purge_shard(hak_heaps_inner(heap), index);
        hak_section_leave();
    }
    return bytes;
}
