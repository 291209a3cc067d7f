/* SPDX-License-Identifier: MIT */
/* Fronts of heaps that the program made: see the header. One lock is over all lists: fronts
 * come and go seldom. Descriptors are never unmapped but used again. */
#include "heap/own_front.h"

#include <string.h>

#include "os/fence.h"
#include "os/inject.h"
#include "shard/found.h"
#include "tiers/meta.h"

static struct {
    struct hak_lock lock;
    struct hak_own_front *unused;
    struct hak_own_thread *unused_threads;
    struct hak_own_front *all; /* ever made, used or not */
    struct hak_own_thread *all_threads;
    uint32_t count;    /* of fronts in use; written under the lock, read relaxed */
    uint32_t forks;    /* between the first process and this one; atomic */
    uint32_t has_lost; /* 1: a thread has left something behind; atomic */
} own_fronts;

/* What seat.heap is where no heap is: no heap has its address, and it is not NULL, which a program
 * may pass. */
#define NO_HEAP ((const struct hak_own_heap *)(const void *)&own_fronts)

/* They know no address, so a free looks into the page map. */
struct hak_own_seat hak_own_nobody[HAK_OWN_FRONT_NOBODIES] = {
    [0 ... HAK_OWN_FRONT_NOBODIES - 1] = {.heap = NO_HEAP,
                                          .home = HAK_OWN_FRONT_NO_HOME,
                                          .near = HAK_OWN_FRONT_NOWHERE,
                                          .leaf = hak_page_map.nothing},
};

_Static_assert(offsetof(struct hak_own_front, loaded) ==
                   HAK_PAGE_OWN_TINY * sizeof(struct hak_chain),
               "the kind of a page leads to its magazine");

/* relaxed, all: see hak_own_fronts_close, which orders them where that matters */
static void vacate(struct hak_own_seat *seat)
{
    __atomic_store_n(&seat->heap, NO_HEAP, __ATOMIC_RELAXED);
    __atomic_store_n(&seat->home, HAK_OWN_FRONT_NO_HOME, __ATOMIC_RELAXED);
}

static void occupy(struct hak_own_front *front, const struct hak_own_heap *heap)
{
    uint32_t home = hak_own_front_home(front->shard->number);
    __atomic_store_n(&front->seat.heap, heap, __ATOMIC_RELAXED);
    __atomic_store_n(&front->seat.home, home, __ATOMIC_RELAXED);
}

static void build_seat(struct hak_own_seat *seat, struct hak_own_thread *thread)
{
    seat->thread = thread;
    seat->near = HAK_OWN_FRONT_NOWHERE;
    seat->leaf = hak_page_map.nothing;
    vacate(seat);
}

/* ---- coming ---------------------------------------------------------------------------------- */

static uint32_t forks(void)
{
    return __atomic_load_n(&own_fronts.forks, __ATOMIC_RELAXED); /* relaxed: changes in a child,
                                                                     which has one thread then */
}

static bool is_of_this_process(const uint32_t *counted)
{
    /* relaxed: be_of_this_process may write what is there already */
    return __atomic_load_n(counted, __ATOMIC_RELAXED) == forks();
}

static bool has_no_thread(const struct hak_own_front *front)
{
    /* acquire: pairs with the release in mark_orphan; what the thread did is seen */
    return __atomic_load_n(&front->is_orphan, __ATOMIC_ACQUIRE) != 0 ||
           !is_of_this_process(&front->forks);
}

/* Under the lock, as the next four. */
static void put_by(struct hak_own_front *front)
{
    front->is_used = 0;
    front->next = own_fronts.unused;
    own_fronts.unused = front;
    __atomic_store_n(&own_fronts.count, own_fronts.count - 1,
                     __ATOMIC_RELAXED); /* relaxed: a hint */
}

static void put_thread_by(struct hak_own_thread *thread)
{
    thread->is_used = 0;
    thread->next = own_fronts.unused_threads;
    own_fronts.unused_threads = thread;
}

/* Finds what threads have left that could not wait for a lock, or do not exist in the child of a
 * fork: fronts in no heap's list, and threads. The others are found by the purge or the end of
 * their heap. The work is bounded by HAK_OWN_FRONTS_MAX, and by the threads there were at once. */
static HAK_COLD void collect_lost(void)
{
    for (struct hak_own_front *front = own_fronts.all; front != NULL; front = front->older)
        if (front->is_used && front->heap == NULL && has_no_thread(front))
            put_by(front);
    for (struct hak_own_thread *thread = own_fronts.all_threads; thread != NULL;
         thread = thread->older)
        /* acquire: as in has_no_thread */
        if (thread->is_used && (__atomic_load_n(&thread->is_left, __ATOMIC_ACQUIRE) != 0 ||
                                !is_of_this_process(&thread->forks)))
            put_thread_by(thread);
}

static void collect(void)
{
    /* acquire: pairs with the release in hak_own_thread_leave */
    if (hak_unlikely(__atomic_exchange_n(&own_fronts.has_lost, 0, __ATOMIC_ACQUIRE) != 0))
        collect_lost();
}

/* Under the lock. NULL: none, or no memory. */
static struct hak_own_thread *used_or_fresh_thread(void)
{
    struct hak_own_thread *thread = own_fronts.unused_threads;
    if (thread != NULL) {
        own_fronts.unused_threads = thread->next;
        return thread;
    }
    thread = hak_meta_alloc(sizeof *thread, HAK_CACHE_LINE);
    if (thread != NULL) {
        thread->older = own_fronts.all_threads;
        own_fronts.all_threads = thread;
    }
    return thread;
}

/* Says that a front or a thread is of this process, once a child that its handlers fork would find
 * it: until then such a child takes it for another thread's. Again if a handler forks in between:
 * the child counts its forks from its own start. */
static void be_of_this_process(uint32_t *counted)
{
    do {
        /* relaxed: as in forks */
        __atomic_store_n(counted, forks(), __ATOMIC_RELAXED);
        /* seq_cst: to the compiler alone; handlers run on the thread */
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (!is_of_this_process(counted));
}

void hak_own_thread_begin(struct hak_own_thread *thread)
{
    be_of_this_process(&thread->forks);
}

struct hak_own_thread *hak_own_thread_make(void)
{
    hak_lock_acquire(&own_fronts.lock);
    collect();
    struct hak_own_thread *thread = used_or_fresh_thread();
    if (thread != NULL) {
        *thread = (struct hak_own_thread){.older = thread->older, .forks = forks(), .is_used = 1};
        build_seat(&thread->none, thread);
    }
    hak_lock_release(&own_fronts.lock);
    return thread;
}

/* Under the lock. NULL: there are too many, or no memory. */
static struct hak_own_front *used_or_fresh(void)
{
    struct hak_own_front *front = own_fronts.unused;
    if (own_fronts.count >= HAK_OWN_FRONTS_MAX)
        return NULL;
    if (front != NULL) {
        own_fronts.unused = front->next;
    } else {
        front = hak_meta_alloc(sizeof *front, HAK_CACHE_LINE);
        if (front == NULL)
            return NULL;
        front->older = own_fronts.all;
        own_fronts.all = front;
    }
    __atomic_store_n(&own_fronts.count, own_fronts.count + 1,
                     __ATOMIC_RELAXED); /* relaxed: a hint */
    struct hak_own_front *older = front->older;
    memset(front, 0, sizeof *front);
    front->older = older;
    front->forks = forks();
    front->is_used = 1;
    return front;
}

/* Whether it is in vain to ask for a front: without the lock, which all threads would wait for. */
static bool are_too_many(void)
{
    /* relaxed, both: hints */
    return __atomic_load_n(&own_fronts.count, __ATOMIC_RELAXED) >= HAK_OWN_FRONTS_MAX &&
           __atomic_load_n(&own_fronts.has_lost, __ATOMIC_RELAXED) == 0;
}

struct hak_own_front *hak_own_front_make(struct hak_own_thread *thread, unsigned slot)
{
    if (are_too_many())
        return NULL;
    hak_lock_acquire(&own_fronts.lock);
    collect();
    struct hak_own_front *front = used_or_fresh();
    hak_lock_release(&own_fronts.lock);
    if (front == NULL)
        return NULL;
    build_seat(&front->seat, thread);
    for (unsigned class_id = 1; class_id < HAK_OWN_FRONT_CLASSES; class_id++)
        front->refused[class_id] = hak_magazine_refused(class_id);
    for (size_t step = 0; step < sizeof front->kind_of; step++)
        front->kind_of[step] =
            (uint8_t)(HAK_PAGE_OWN_TINY + hak_size_class_known(step * HAK_CLASS_STEP));
    thread->fronts[slot] = front;
    be_of_this_process(&front->forks);
    return front;
}

static unsigned room_for(unsigned class_id)
{
    unsigned room = HAK_OWN_FRONT_BYTES / hak_classes[class_id].size;
    room = room < HAK_OWN_FRONT_LEAST ? HAK_OWN_FRONT_LEAST : room;
    return room < HAK_OWN_FRONT_MOST ? room : HAK_OWN_FRONT_MOST;
}

static void serve(struct hak_own_front *front, struct hak_own_shard *shard)
{
    front->shard = shard;
    front->seat.near = HAK_OWN_FRONT_NOWHERE;
    front->seat.leaf = hak_page_map.nothing;
    for (unsigned class_id = 1; class_id < HAK_OWN_FRONT_CLASSES; class_id++) {
        front->loaded[class_id] = hak_chain_make(NULL, room_for(class_id));
        front->fill[class_id] = 1;
    }
}

/* Makes the front one of the shard's heap, which does not end meanwhile: the caller is inside. */
static void join(struct hak_own_front *front, struct hak_own_shard *shard)
{
    struct hak_own_heap *heap = shard->heap;
    struct hak_own_fronts *list = shard->fronts;
    serve(front, shard);
    front->wishes_seen =
        __atomic_load_n(&shard->fronts->wishes, __ATOMIC_RELAXED); /* relaxed: wishes */
    hak_lock_acquire(&own_fronts.lock);
    be_of_this_process(&front->forks);
    front->is_orphan = 0;
    front->previous = NULL;
    front->next = list->first;
    if (front->next != NULL)
        front->next->previous = front;
    list->first = front;
    front->list = list;
    __atomic_store_n(&front->heap, heap, __ATOMIC_RELAXED); /* relaxed: see the header */
    hak_lock_release(&own_fronts.lock);
    occupy(front, heap);
}

/* ---- going ----------------------------------------------------------------------------------- */

/* Under the lock. */
static void take_out(struct hak_own_front *front)
{
    struct hak_own_fronts *list = front->list;
    if (front->previous != NULL)
        front->previous->next = front->next;
    else
        list->first = front->next;
    if (front->next != NULL)
        front->next->previous = front->previous;
    vacate(&front->seat);
    __atomic_store_n(&front->heap, NULL, __ATOMIC_RELAXED); /* relaxed: see the header */
}

static void mark_orphan(struct hak_own_front *front)
{
    /* release: pairs with the acquire in has_no_thread */
    __atomic_store_n(&front->is_orphan, 1, __ATOMIC_RELEASE);
}

/* The program wrote to a freed object, so what lies below it is lost. */
static HAK_COLD void note_broken(struct hak_own_shard *shard, struct hak_chain chain)
{
    hak_found_bad_free(&shard->counters, hak_chain_top(chain), HAK_FOUND_OVERWRITTEN);
}

/* Gives a chain of the shard's objects to slabs. What is none, or free there already, was freed
 * twice, or is no object. */
static void give_chain(struct hak_own_shard *shard, unsigned class_id, struct hak_chain chain)
{
    void *object;
    while ((object = hak_chain_top(chain)) != NULL) {
        if (hak_own_shard_give_chain(shard, class_id, &chain) != 0)
            continue;
        struct hak_page page = hak_slab_own_page(object, hak_page_find(object));
        struct hak_chain below = {0};
        if (page.class_id == class_id)
            below = hak_link_read(object);
        if (!hak_link_is_sound(chain, below)) {
            note_broken(shard, chain);
            return;
        }
        hak_found_bad_free(&shard->counters, object,
                           hak_slab_begins(object, page) ? HAK_FOUND_FREED : HAK_FOUND_INTERIOR);
        chain = below;
    }
}

static void empty(struct hak_own_front *front, struct hak_own_shard *shard)
{
    for (unsigned class_id = 1; class_id < HAK_OWN_FRONT_CLASSES; class_id++) {
        struct hak_chain chain = front->loaded[class_id];
        front->loaded[class_id] = hak_chain_make(NULL, room_for(class_id));
        give_chain(shard, class_id, chain);
    }
}

/* Enters the shard that the front serves; NULL: its heap has ended, or is about to. */
static struct hak_own_shard *enter_shard_of(const struct hak_own_front *front)
{
    struct hak_own_shard *shard = front->shard;
    struct hak_own_heap *heap = __atomic_load_n(&front->heap, __ATOMIC_RELAXED); /* relaxed: asked
                                                                          again inside */
    if (heap == NULL || shard == NULL || !hak_own_shard_enter(shard))
        return NULL;
    if (hak_own_front_serves(front, shard))
        return shard;
    hak_own_shard_leave(shard);
    return NULL;
}

void hak_own_front_flush(struct hak_own_front *front)
{
    struct hak_own_shard *shard = enter_shard_of(front);
    if (shard == NULL)
        return;
    empty(front, shard);
    hak_own_shard_leave(shard);
}

/* A heap that ends meanwhile has the front in its list until then. */
static void end_front(struct hak_own_front *front)
{
    struct hak_own_shard *shard = enter_shard_of(front);
    if (shard != NULL) {
        empty(front, shard);
        hak_lock_acquire(&own_fronts.lock);
        take_out(front);
        hak_lock_release(&own_fronts.lock);
        hak_own_shard_leave(shard);
    }
    hak_inject();
    hak_lock_acquire(&own_fronts.lock);
    if (front->heap == NULL)
        put_by(front);
    else
        mark_orphan(front);
    hak_lock_release(&own_fronts.lock);
}

void hak_own_thread_end(struct hak_own_thread *thread)
{
    for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++)
        if (thread->fronts[slot] != NULL)
            end_front(thread->fronts[slot]);
    hak_lock_acquire(&own_fronts.lock);
    put_thread_by(thread);
    hak_lock_release(&own_fronts.lock);
}

void hak_own_thread_leave(struct hak_own_thread *thread)
{
    for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++)
        if (thread->fronts[slot] != NULL)
            mark_orphan(thread->fronts[slot]);
    /* release, both: pair with the acquires in collect_lost and collect */
    __atomic_store_n(&thread->is_left, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&own_fronts.has_lost, 1, __ATOMIC_RELEASE);
}

static struct hak_own_front *take_orphan(struct hak_own_shard *shard)
{
    hak_lock_acquire(&own_fronts.lock);
    struct hak_own_front *front = shard->fronts->first;
    while (front != NULL && !(has_no_thread(front) && front->shard == shard))
        front = front->next;
    if (front != NULL) {
        take_out(front);
        front->is_used = 0; /* the caller's, until it puts it by */
    }
    hak_lock_release(&own_fronts.lock);
    return front;
}

void hak_own_fronts_adopt(struct hak_own_shard *shard)
{
    struct hak_own_front *front;
    /* relaxed: a hint; written under the lock */
    if (__atomic_load_n(&shard->fronts->first, __ATOMIC_RELAXED) == NULL)
        return;
    while ((front = take_orphan(shard)) != NULL) {
        empty(front, shard);
        hak_lock_acquire(&own_fronts.lock);
        put_by(front);
        hak_lock_release(&own_fronts.lock);
    }
}

void hak_own_fronts_start_child(struct hak_own_thread *mine)
{
    uint32_t now = own_fronts.forks + 1;
    __atomic_store_n(&own_fronts.forks, now, __ATOMIC_RELAXED); /* relaxed: one thread */
    __atomic_store_n(&own_fronts.has_lost, own_fronts.all_threads != NULL, __ATOMIC_RELAXED);
    if (mine == NULL)
        return;
    mine->forks = now;
    for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++)
        if (mine->fronts[slot] != NULL)
            mine->fronts[slot]->forks = now;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* Before a call uses the magazines: the front of this shard, and emptied if that was wished. */
static void prepare(struct hak_own_front *front, struct hak_own_shard *shard)
{
    struct hak_own_heap *heap = shard->heap;
    uint32_t wishes =
        __atomic_load_n(&shard->fronts->wishes, __ATOMIC_RELAXED); /* relaxed: a wish */
    /* relaxed: as in hak_own_front_serves */
    if (__atomic_load_n(&front->heap, __ATOMIC_RELAXED) != heap) {
        join(front, shard);
        return;
    }
    if (front->shard != shard) {
        /* The heap does not end while the caller is inside one of its shards. */
        empty(front, front->shard);
        serve(front, shard);
        occupy(front, heap);
    } else if (front->wishes_seen != wishes) {
        empty(front, shard);
    }
    front->wishes_seen = wishes;
}

/* Twice as many each time, until a magazine is half full. */
static unsigned next_fill(struct hak_own_front *front, unsigned class_id)
{
    unsigned fill = front->fill[class_id];
    if (fill < room_for(class_id) / 2)
        front->fill[class_id] = (uint8_t)(2 * fill);
    return fill;
}

void *hak_own_front_take(struct hak_own_front *front, struct hak_own_shard *shard,
                         unsigned class_id)
{
    prepare(front, shard);
    struct hak_chain *loaded = &front->loaded[class_id];
    void *object = hak_own_front_pop(&front->loaded[class_id]);
    if (object != NULL)
        return object;
    struct hak_chain chain = hak_chain_make(NULL, room_for(class_id));
    if (hak_unlikely(!hak_chain_is_empty(*loaded))) {
        note_broken(shard, *loaded);
        *loaded = chain;
    }
    if (hak_own_shard_refill(shard, class_id, next_fill(front, class_id), &chain) == 0)
        return NULL;
    object = hak_chain_top(chain);
    front->seat.near = (uintptr_t)object >> HAK_PAGE_LEAF_SHIFT << HAK_PAGE_LEAF_SHIFT;
    front->seat.leaf = hak_page_leaf(object);
    chain = hak_link_read(object);
    /* To the compiler alone: if another thread forks here, the child finds a magazine whose links
     * are all written. release */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    *loaded = chain;
    return object;
}

/* Half of a full magazine, so that neither the next call nor the one after comes here again. */
static void give_half(struct hak_own_front *front, struct hak_own_shard *shard, unsigned class_id)
{
    struct hak_chain half = hak_chain_make(NULL, room_for(class_id));
    for (unsigned count = room_for(class_id) / 2; count != 0; count--) {
        void *object = hak_own_front_pop(&front->loaded[class_id]);
        if (hak_unlikely(object == NULL)) {
            note_broken(shard, front->loaded[class_id]);
            front->loaded[class_id] = hak_chain_make(NULL, room_for(class_id));
            break;
        }
        hak_magazine_push(&half, object);
    }
    give_chain(shard, class_id, half);
}

enum hak_own_object hak_own_front_give(struct hak_own_front *front, struct hak_own_shard *shard,
                                       void *object, struct hak_page page)
{
    struct hak_page own = hak_slab_own_page(object, page);
    if (own.class_id == HAK_CLASS_NONE || own.class_id > HAK_CLASS_TINY_LAST ||
        page.offset < HAK_PAGE_OWN_TINY)
        return hak_own_shard_give(shard, object, page);
    if (!hak_slab_begins(object, own))
        return HAK_OWN_INTERIOR;
    prepare(front, shard);
    struct hak_chain *loaded = &front->loaded[own.class_id];
    if (hak_chain_top(*loaded) == object)
        return HAK_OWN_FREE;
    if (hak_chain_room(*loaded) == 0)
        give_half(front, shard, own.class_id);
    return hak_magazine_push(loaded, object) ? HAK_OWN_LIVE
                                             : hak_own_shard_give(shard, object, page);
}

bool hak_own_front_has_on_top(const struct hak_own_front *front, const void *object,
                              struct hak_page page)
{
    struct hak_page own = hak_slab_own_page(object, page);
    return own.class_id != HAK_CLASS_NONE && own.class_id <= HAK_CLASS_TINY_LAST &&
           hak_chain_top(front->loaded[own.class_id]) == object;
}

static size_t bytes_of(const struct hak_own_front *front)
{
    size_t bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_OWN_FRONT_CLASSES; class_id++) {
        /* relaxed: a magazine is one word, and only its room is read */
        struct hak_chain chain = {__atomic_load_n(&front->loaded[class_id].word, __ATOMIC_RELAXED)};
        unsigned room = hak_chain_room(chain);
        if (room < room_for(class_id))
            bytes += (size_t)(room_for(class_id) - room) * hak_classes[class_id].size;
    }
    return bytes;
}

size_t hak_own_fronts_bytes(const struct hak_own_fronts *list)
{
    size_t bytes = 0;
    hak_lock_acquire(&own_fronts.lock);
    for (const struct hak_own_front *front = list->first; front != NULL; front = front->next)
        bytes += bytes_of(front);
    hak_lock_release(&own_fronts.lock);
    return bytes;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The list stays as it is without the lock: shards that are closed and empty let no thread join or
 * leave. */
bool hak_own_fronts_close(struct hak_own_fronts *list)
{
    if (list->first == NULL)
        return true;
    for (struct hak_own_front *front = list->first; front != NULL; front = front->next)
        vacate(&front->seat);
    hak_inject();
    /* seq_cst: for the sanitizer; and before the loads of `inside` */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return hak_os_fence_all() == 0;
}

void hak_own_fronts_open(struct hak_own_fronts *list)
{
    for (struct hak_own_front *front = list->first; front != NULL; front = front->next)
        occupy(front, front->heap);
}

bool hak_own_fronts_are_empty(const struct hak_own_fronts *list)
{
    for (const struct hak_own_front *front = list->first; front != NULL; front = front->next)
        /* acquire: pairs with the release in hak_own_seat_leave */
        if (is_of_this_process(&front->forks) &&
            __atomic_load_n(&front->seat.inside, __ATOMIC_ACQUIRE) != 0)
            return false;
    return true;
}

void hak_own_fronts_end(struct hak_own_fronts *list)
{
    hak_lock_acquire(&own_fronts.lock);
    while (list->first != NULL) {
        struct hak_own_front *front = list->first;
        bool is_left = has_no_thread(front);
        take_out(front);
        if (is_left)
            put_by(front);
    }
    hak_lock_release(&own_fronts.lock);
}
