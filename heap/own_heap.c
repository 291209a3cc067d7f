/* SPDX-License-Identifier: MIT */
/* Heaps that the program makes: see the header. Descriptors are never unmapped but used again:
 * there is a list of free ones for each power of two of shards that they have room for. */
#include "heap/own_heap.h"

#include "heap/own_front.h"

#include "os/bits.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/inject.h"
#include "os/section.h"
#include "tiers/meta.h"

enum {
    ROOMS = 13,        /* 1, 2, 4 .. 4096 shards */
    END_ATTEMPTS = 10, /* to enter the heap, of a second each */
};

static const uint64_t END_WAIT_NS = 10ul * 1000 * 1000 * 1000;
static const uint64_t NAP_NS = 20 * 1000;

static struct {
    struct hak_lock lock;
    struct hak_own_heap *unused[ROOMS];
    uint32_t made;                           /* relaxed: a number for each heap */
    uint32_t next_tick;                      /* relaxed: turns */
    uint32_t with_slot[HAK_OWN_FRONT_SLOTS]; /* live heaps; under the lock */
} heaps;

_Static_assert(HAK_DOMAINS_MAX_SHARDS == 1 << (ROOMS - 1), "the largest heap has a descriptor");

/* ---- coming and going ------------------------------------------------------------------------ */

static struct hak_own_heap *descriptor(unsigned count)
{
    unsigned order = count == 1 ? 0 : hak_log2(count - 1) + 1;
    hak_lock_acquire(&heaps.lock);
    struct hak_own_heap *heap = heaps.unused[order];
    if (heap != NULL)
        heaps.unused[order] = heap->next;
    hak_lock_release(&heaps.lock);
    if (heap != NULL)
        return heap;
    size_t size = sizeof *heap + ((size_t)1 << order) * sizeof(struct hak_own_shard *);
    heap = hak_meta_alloc(size, HAK_CACHE_LINE);
    if (heap != NULL)
        heap->room = 1u << order;
    return heap;
}

static void drop_descriptor(struct hak_own_heap *heap)
{
    hak_lock_acquire(&heaps.lock);
    if (hak_own_heap_slot(heap) >= 0)
        heaps.with_slot[hak_own_heap_slot(heap)]--;
    struct hak_own_heap **unused = &heaps.unused[hak_log2(heap->room)];
    heap->next = *unused;
    *unused = heap;
    hak_lock_release(&heaps.lock);
}

static void set_slot(struct hak_own_heap *heap, int32_t slot)
{
    __atomic_store_n(&heap->slot, slot, __ATOMIC_RELAXED); /* relaxed: callers may come late */
}

/* The slot that the fewest heaps have. */
void hak_own_heap_let_have_fronts(struct hak_own_heap *heap)
{
    int32_t least = 0;
    hak_lock_acquire(&heaps.lock);
    for (int32_t slot = 1; slot < HAK_OWN_FRONT_SLOTS; slot++)
        if (heaps.with_slot[slot] < heaps.with_slot[least])
            least = slot;
    heaps.with_slot[least]++;
    set_slot(heap, least);
    hak_lock_release(&heaps.lock);
}

/* A shard of several nodes' CPUs has none of its own. */
static int node_of(const struct hak_domains *domains, unsigned index, int node)
{
    if (domains == NULL)
        return node;
    const struct hak_domain_shard *domain = &domains->shard[index];
    return domain->spans ? HAK_NODE_ANY : domain->memory_id;
}

/* All of them, or none. */
static bool make_shards(struct hak_own_heap *heap, int node)
{
    for (unsigned index = 0; index < heap->count; index++) {
        heap->shards[index] = hak_own_shard_make(heap, &heap->terms, &heap->settings,
                                                 node_of(heap->domains, index, node));
        if (heap->shards[index] != NULL) {
            heap->shards[index]->fronts = &heap->fronts;
            continue;
        }
        while (index-- != 0)
            hak_own_shard_drop(heap->shards[index]);
        return false;
    }
    return true;
}

struct hak_own_heap *hak_own_heap_make(const struct hak_terms *terms,
                                       const struct hak_settings *settings,
                                       const struct hak_domains *domains, int node,
                                       const struct hak_own_alarm *alarm)
{
    unsigned count = domains != NULL ? domains->shards : 1;
    struct hak_own_heap *heap = descriptor(count);
    if (heap == NULL)
        return NULL;
    heap->count = count;
    /* relaxed: a number; of 65,535 heaps two have the same, seldom at the same time */
    heap->number =
        (uint16_t)(__atomic_fetch_add(&heaps.made, 1, __ATOMIC_RELAXED) % UINT16_MAX + 1);
    heap->domains = count > 1 ? domains : NULL;
    heap->terms = *terms;
    heap->settings = *settings;
    heap->alarm = alarm != NULL ? *alarm : (struct hak_own_alarm){NULL, NULL};
    heap->telling = 0;
    set_slot(heap, -1);
    if (!make_shards(heap, count > 1 || domains == NULL ? node : node_of(domains, 0, node))) {
        drop_descriptor(heap);
        return NULL;
    }
    for (unsigned index = 0; index < count; index++)
        hak_own_shard_open(heap->shards[index]);
    /* release: pairs with the acquire in hak_own_heap_is_live */
    __atomic_store_n(&heap->live, 1, __ATOMIC_RELEASE);
    return heap;
}

/* Waits for calls under way. They end by themselves, unless a thread sleeps in one, or forks in a
 * signal handler. This holds no section: such a fork may be waiting for it. */
static bool wait_until_empty(const struct hak_own_heap *heap, uint64_t deadline)
{
    for (unsigned index = 0; index < heap->count; index++)
        while (!hak_own_shard_is_empty(heap->shards[index])) {
            if (hak_os_now_ns() > deadline)
                return false;
            hak_os_sleep_ns(NAP_NS);
        }
    /* acquire: pairs with the release in hak_own_heap_has_told. A caller sets it inside a shard, so
     * no other can begin to tell once all shards are empty. */
    while (__atomic_load_n(&heap->telling, __ATOMIC_ACQUIRE) != 0) {
        if (hak_os_now_ns() > deadline)
            return false;
        hak_os_sleep_ns(NAP_NS);
    }
    return true;
}

/* The same for the fast paths of threads that have fronts. A thread is in one for some
 * instructions, or while it does not run. */
static bool wait_until_fronts_are_empty(struct hak_own_heap *heap, uint64_t deadline)
{
    if (!hak_own_fronts_close(&heap->fronts))
        return false;
    while (!hak_own_fronts_are_empty(&heap->fronts)) {
        if (hak_os_now_ns() > deadline)
            return false;
        hak_os_sleep_ns(NAP_NS);
    }
    return true;
}

/* were_closed: the fronts, too. If not, callers may be inside shards, and change the list. */
static void reopen(struct hak_own_heap *heap, bool were_closed)
{
    if (were_closed)
        hak_own_fronts_open(&heap->fronts);
    for (unsigned index = 0; index < heap->count; index++)
        hak_own_shard_open(heap->shards[index]);
    __atomic_store_n(&heap->live, 1, __ATOMIC_RELEASE); /* release: as in hak_own_heap_make */
}

/* Waits for forks, each of which may last longer than one attempt waits. false: they do not end, or
 * this is the child of one that came at the wrong moment. */
static bool enter_patiently(void)
{
    for (unsigned attempt = 0; attempt < END_ATTEMPTS; attempt++)
        if (hak_section_enter_late())
            return true;
    return false;
}

/* Ends one shard after another. The child of a fork that comes in between has the rest of the heap,
 * and no use for it. Locks are only taken inside a section; if none can be entered, the rest stays
 * mapped, and the descriptor is lost. */
static void end_shards(struct hak_own_heap *heap)
{
    unsigned index = 0;
    hak_own_fronts_end(&heap->fronts);
    do {
        hak_own_shard_end(heap->shards[index]);
        hak_own_shard_drop(heap->shards[index]);
        index++;
        hak_section_leave();
        if (!enter_patiently())
            return;
    } while (index < heap->count);
    drop_descriptor(heap);
    hak_section_leave();
}

enum hak_own_end hak_own_heap_end(struct hak_own_heap *heap)
{
    uint32_t live = 1;
    /* acq_rel: one thread ends it, and sees it built; pairs with the release in hak_own_heap_make.
     * relaxed: else it does nothing */
    if (!__atomic_compare_exchange_n(&heap->live, &live, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return HAK_OWN_NOT_LIVE;
    for (unsigned index = 0; index < heap->count; index++)
        hak_own_shard_close(heap->shards[index]);
    hak_inject();
    uint64_t deadline = hak_os_now_ns() + END_WAIT_NS;
    bool are_empty = wait_until_empty(heap, deadline);
    if (!are_empty || !wait_until_fronts_are_empty(heap, deadline) || !enter_patiently()) {
        reopen(heap, are_empty);
        return HAK_OWN_BUSY;
    }
    end_shards(heap);
    return HAK_OWN_ENDED;
}

/* ---- objects --------------------------------------------------------------------------------- */

static struct hak_own_shard *shard_here(const struct hak_own_heap *heap)
{
    if (heap->domains == NULL)
        return heap->shards[0];
    return heap->shards[hak_domains_shard_of(heap->domains, hak_os_cpu(), 0)];
}

/* Whether the caller must call the alarm. One thread at a time: the alarm may itself ask for
 * memory. Inside a shard. */
static HAK_COLD bool begins_to_tell(struct hak_own_heap *heap)
{
    uint32_t telling = 0;
    if (!hak_terms_seem_exceeded(&heap->terms))
        return false;
    /* acquire: pairs with the release in hak_own_heap_has_told, of whoever told before. From here
     * on the heap does not end. relaxed: else it does nothing */
    if (!__atomic_compare_exchange_n(&heap->telling, &telling, 1, 0, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    if (hak_terms_must_tell(&heap->terms))
        return true;
    hak_own_heap_has_told(heap);
    return false;
}

/* A caller may use a heap that has ended. Its descriptor may serve another heap by now, with other
 * shards, so the shard itself says whose it is. */
static void *take_from(struct hak_own_shard *shard, struct hak_own_heap *heap,
                       const struct hak_own_request *request, bool *must_tell)
{
    void *object = NULL;
    if (hak_unlikely(shard == NULL) || !hak_own_shard_enter(shard))
        return NULL;
    if (hak_likely(shard->heap == heap)) {
        object = request->front != NULL
                     ? hak_own_front_take(request->front, shard, request->class_id)
                     : hak_own_shard_take(shard, request);
        if (hak_unlikely(heap->terms.soft_limit != 0) && !*must_tell)
            *must_tell = begins_to_tell(heap);
    }
    if (hak_likely(object != NULL))
        hak_own_shard_visit(shard);
    hak_own_shard_leave(shard);
    return object;
}

/* Asks each shard once, beginning with another one each time. */
static HAK_COLD void *take_from_any(struct hak_own_heap *heap,
                                    const struct hak_own_request *request, bool *must_tell)
{
    void *object = NULL;
    unsigned count = heap->count;
    /* relaxed: a turn */
    unsigned start = __atomic_fetch_add(&heap->probe, 1, __ATOMIC_RELAXED);
    for (unsigned probe = 0; probe < count && object == NULL; probe++)
        object = take_from(heap->shards[(start + probe) % count], heap, request, must_tell);
    return object;
}

void *hak_own_heap_take(struct hak_own_heap *heap, const struct hak_own_request *request,
                        bool *must_tell)
{
    void *object = take_from(shard_here(heap), heap, request, must_tell);
    if (hak_likely(object != NULL))
        return object;
    struct hak_own_request direct = *request;
    direct.front = NULL;
    object = take_from_any(heap, &direct, must_tell);
    if (object != NULL)
        return object;
    hak_own_heap_purge(heap);
    return take_from_any(heap, &direct, must_tell);
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static void tick(unsigned number, uint64_t now_ns)
{
    struct hak_own_shard *shard = hak_own_shards[number];
    if (!hak_own_shard_enter(shard))
        return;
    hak_own_shard_tick(shard, now_ns);
    hak_own_shard_leave(shard);
}

void hak_own_heaps_tick_next(uint64_t now_ns)
{
    unsigned last = hak_own_shard_last();
    if (last == 0)
        return;
    /* relaxed: turns, which two threads may share */
    uint32_t turn = __atomic_fetch_add(&heaps.next_tick, 1, __ATOMIC_RELAXED);
    tick(turn % last + 1, now_ns);
}

void hak_own_heaps_tick(uint64_t now_ns)
{
    unsigned last = hak_own_shard_last();
    for (unsigned number = 1; number <= last; number++)
        tick(number, now_ns);
}

/* of: the heap that is asked, whose shard may have got another heap meanwhile; NULL: all are asked.
 * A heap that the program wants populated keeps its pages unless it is asked itself. */
static size_t purge(struct hak_own_shard *shard, const struct hak_own_heap *of)
{
    if (shard == NULL || !hak_own_shard_enter(shard))
        return 0;
    struct hak_own_heap *heap = shard->heap;
    size_t bytes = 0;
    bool is_meant = of == NULL ? !heap->terms.populates : heap == of;
    if (is_meant) {
        __atomic_fetch_add(&heap->fronts.wishes, 1, __ATOMIC_RELAXED); /* relaxed: a wish */
        hak_own_fronts_adopt(shard);
        bytes = hak_own_shard_purge(shard);
        __atomic_fetch_add(&heap->purged, 1, __ATOMIC_RELAXED); /* relaxed: a hint */
    }
    hak_own_shard_leave(shard);
    return bytes;
}

size_t hak_own_heap_purge_shard(struct hak_own_heap *heap, unsigned index)
{
    return purge(heap->shards[index], heap);
}

size_t hak_own_heap_purge(struct hak_own_heap *heap)
{
    size_t bytes = 0;
    for (unsigned index = 0; index < heap->count; index++)
        bytes += hak_own_heap_purge_shard(heap, index);
    return bytes;
}

size_t hak_own_heaps_purge_shard(unsigned number)
{
    return purge(hak_own_shards[number], NULL);
}

size_t hak_own_heaps_purge(void)
{
    unsigned last = hak_own_shard_last();
    size_t bytes = 0;
    for (unsigned number = 1; number <= last; number++)
        bytes += hak_own_heaps_purge_shard(number);
    return bytes;
}

struct hak_own_mark hak_own_heap_mark(const struct hak_own_heap *heap)
{
    /* relaxed, both: hints */
    struct hak_own_mark mark = {
        .claims = __atomic_load_n(&heap->terms.claims, __ATOMIC_RELAXED),
        .purged = __atomic_load_n(&heap->purged, __ATOMIC_RELAXED),
    };
    for (unsigned index = 0; index < heap->count && !mark.is_busy; index++) {
        const struct hak_own_shard *shard = heap->shards[index];
        mark.is_busy = shard != NULL && !hak_own_shard_is_empty(shard);
    }
    return mark;
}

bool hak_own_heap_was_busy(const struct hak_own_heap *heap, const struct hak_own_mark *mark)
{
    struct hak_own_mark now = hak_own_heap_mark(heap);
    if (!mark->is_busy && !now.is_busy && now.claims == mark->claims &&
        now.purged - mark->purged <= heap->count)
        return false;
    hak_os_sleep_ns(NAP_NS);
    return true;
}

struct hak_own_bytes hak_own_heap_bytes(struct hak_own_heap *heap)
{
    struct hak_own_bytes sum = {0};
    for (unsigned index = 0; index < heap->count; index++) {
        struct hak_own_shard *shard = heap->shards[index];
        if (!hak_own_shard_enter(shard))
            continue;
        struct hak_own_bytes bytes = hak_own_shard_bytes(shard);
        hak_own_shard_leave(shard);
        sum.small += bytes.small;
        sum.slabs += bytes.slabs;
        sum.holes += bytes.holes;
        sum.runs += bytes.runs;
        sum.alone += bytes.alone;
        sum.cached += bytes.cached;
    }
    if (hak_own_heap_slot(heap) >= 0) {
        sum.fronts = hak_own_fronts_bytes(&heap->fronts);
        sum.small -= sum.fronts < sum.small ? sum.fronts : sum.small;
    }
    return sum;
}

unsigned hak_own_heap_index(const struct hak_own_heap *heap, const struct hak_own_shard *shard)
{
    unsigned index = 0;
    while (index + 1 < heap->count && heap->shards[index] != shard)
        index++;
    return index;
}
