/* SPDX-License-Identifier: MIT */
/* Fronts: made when a thread first allocates, given back when it ends. Only its thread writes a
 * front; the list is under its lock. Memory of fronts whose threads ended serves the next threads.
 *
 * Some threads do not give theirs back: those that a fork did not copy, those that ended while the
 * heap was frozen, and those that first allocated in their last destructors. Their fronts stay in
 * the list until another thread, which looks at a few fronts at a time, finds them and takes them
 * apart, some classes at a time. */
#include "front/fronts.h"

#include "front/exchange.h"
#include "front/owed.h"
#include "front/vacant.h"
#include "os/clock.h"
#include "os/inject.h"
#include "os/lock.h"
#include "shard/shard_map.h"
#include "tiers/meta.h"

enum {
    LOOKS = 4,         /* at fronts, whether they have a thread */
    ENDED_AT_ONCE = 4, /* more than one: the list comes to its end */
    CLASSES_AT_ONCE = 8,
    VACANT_BYTES = 256 * 1024, /* at most, in a front that is kept for another thread, */
    VACANT_WORTH = 1024,       /* and at least: what goes back is found if it is freed twice */
};

static struct {
    struct hak_lock lock;
    struct hak_front *active;
    struct hak_front *idle;  /* without a thread; linked by `next`, as the following */
    struct hak_front *apart; /* being taken apart */
    struct hak_front *ended; /* empty, but still among the active ones: linked by `ended_next`;
                                atomic, pushed without the lock */
    struct hak_front *ended_before; /* of these, what was collected; under the lock */
    struct hak_front *cursor;       /* the active one that is looked at next; NULL: the first */
    uint32_t count;                 /* active ones that have not ended: atomic */
    uint32_t linked;                /* in the list of active ones */
    uint32_t unseen;                /* of these, not looked at since round_due was set */
    uint32_t looks;                 /* at fronts, the next time */
    uint32_t round_due;             /* all are to be looked at: atomic */
    uint32_t generation;            /* forks that lie between the first process and this one */
    uint32_t sequence;              /* threads so far that got no vacant front: atomic */
} __attribute__((aligned(HAK_CACHE_LINE))) fronts; /* written by births and ends of threads */

uint32_t hak_owed;

static uint32_t few = UINT32_MAX; /* threads; relaxed */

/* The thread's front, from before it is in the list until it is no more. */
static HAK_TLS struct hak_front *own;

static void link_active(struct hak_front *front)
{
    front->previous = NULL;
    front->next = fronts.active;
    if (fronts.active != NULL)
        fronts.active->previous = front;
    fronts.active = front;
    front->generation = fronts.generation;
    fronts.linked++;
}

/* relaxed, as where it is read: a number */
static void count_threads(int change)
{
    __atomic_fetch_add(&fronts.count, (uint32_t)change, __ATOMIC_RELAXED);
}

static void count_exit(struct hak_front *front)
{
    hak_count(&hak_front_shard(front)->counters, HAK_COUNTER_THREADS_EXITED, 1);
    count_threads(-1);
}

static void unlink_active(struct hak_front *front)
{
    if (front->previous != NULL)
        front->previous->next = front->next;
    else
        fronts.active = front->next;
    if (front->next != NULL)
        front->next->previous = front->previous;
    if (fronts.cursor == front)
        fronts.cursor = front->next;
    fronts.linked--;
    front->taken_apart = 1; /* if it is: class 0 holds nothing */
}

static void put_idle(struct hak_front *front)
{
    front->next = fronts.idle;
    fronts.idle = front;
}

/* ---- fronts that were given back ------------------------------------------------------------- */

/* Threads may end all at once: none waits for the lock, under which each would touch its
 * neighbours in the list. */
static void push_ended(struct hak_front *front)
{
    struct hak_front *first = __atomic_load_n(&fronts.ended, __ATOMIC_RELAXED);
    do
        front->ended_next = first;
    /* release: pairs with the acquire in unlink_ended; the front is empty when it is seen */
    while (!__atomic_compare_exchange_n(&fronts.ended, &first, front, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

/* A few of these leave the list and are idle, the last one first. Under the lock. */
static void unlink_ended(void)
{
    struct hak_front **place = &fronts.idle;
    for (unsigned count = 0; count < ENDED_AT_ONCE; count++) {
        if (fronts.ended_before == NULL) {
            /* relaxed: a look first, for most find nothing; acquire: pairs with push_ended */
            if (__atomic_load_n(&fronts.ended, __ATOMIC_RELAXED) == NULL)
                return;
            fronts.ended_before = __atomic_exchange_n(&fronts.ended, NULL, __ATOMIC_ACQUIRE);
        }
        struct hak_front *front = fronts.ended_before;
        fronts.ended_before = front->ended_next;
        unlink_active(front);
        front->next = *place;
        *place = front;
        place = &front->next;
    }
}

/* ---- fronts without a thread ----------------------------------------------------------------- */

/* Whether the front has lost its thread. Under the lock. While `asked` is set nobody takes over the
 * front, if it becomes vacant meanwhile: the question would meet two owners. */
static bool is_gone(struct hak_front *front)
{
    /* acq_rel: pairs with that in wait_for_question. Of the two exchanges one is first: either the
     * taker sees this one, or here is seen that the front was vacant, or has its new owner. */
    __atomic_exchange_n(&front->asked, 1, __ATOMIC_ACQ_REL);
    /* acquire: pairs with the releases in hak_front_leave and take_vacant */
    uint32_t left = __atomic_load_n(&front->left, __ATOMIC_ACQUIRE);
    bool answer = left != HAK_FRONT_ENDED && left != HAK_FRONT_VACANT &&
                  (left == HAK_FRONT_LEFT || front->generation != fronts.generation ||
                   hak_owner_bury(&front->owner));
    __atomic_store_n(&front->asked, 0, __ATOMIC_RELEASE); /* release: the question is over */
    return answer;
}

/* One without a thread, out of the list; NULL: none among the next few. Each look is a miss, and
 * seldom finds any: so a look in vain makes the next ones fewer, and a find more. Under the
 * lock. */
static struct hak_front *find_gone(void)
{
    if (fronts.looks < 1 || fronts.unseen != 0)
        fronts.looks = fronts.unseen != 0 ? LOOKS : 1;
    for (unsigned look = 0; look < fronts.looks && fronts.active != NULL; look++) {
        struct hak_front *front = fronts.cursor != NULL ? fronts.cursor : fronts.active;
        fronts.cursor = front->next;
        fronts.unseen -= fronts.unseen != 0;
        if (is_gone(front)) {
            unlink_active(front);
            count_exit(front);
            fronts.looks = LOOKS;
            return front;
        }
    }
    fronts.looks /= 2;
    return NULL;
}

/* Whether fronts without a thread may be left. Under the lock. */
static void settle_owed(void)
{
    /* Those that ended have left the list unlooked at. */
    if (fronts.unseen > fronts.linked)
        fronts.unseen = fronts.linked;
    bool owes = fronts.apart != NULL || fronts.unseen != 0;
    if (!owes)
        hak_owe_no_more(HAK_OWED_FRONTS);
    /* relaxed: whoever sets round_due sets the flag afterwards, too */
    if (owes || __atomic_load_n(&fronts.round_due, __ATOMIC_RELAXED) != 0)
        hak_owe(HAK_OWED_FRONTS);
}

/* A front whose taking apart has begun, or one of the next few without a thread; NULL: neither.
 * Under the lock. */
static struct hak_front *take_gone(void)
{
    unlink_ended();
    /* relaxed: a look first, for all births come by here; acquire: pairs with the release in
     * hak_front_leave */
    if (__atomic_load_n(&fronts.round_due, __ATOMIC_RELAXED) != 0 &&
        __atomic_exchange_n(&fronts.round_due, 0, __ATOMIC_ACQUIRE) != 0)
        fronts.unseen = fronts.linked;
    struct hak_front *front = fronts.apart;
    if (front != NULL)
        fronts.apart = front->next;
    else
        front = find_gone();
    if (front == NULL)
        settle_owed();
    return front;
}

/* Takes some classes of a front apart, which take_gone returned. */
static void take_apart(struct hak_front *front, unsigned classes)
{
    hak_front_flush_classes(front, front->taken_apart, classes);
    front->taken_apart += classes;
    bool is_empty = front->taken_apart >= HAK_CLASS_COUNT;
    hak_lock_acquire(&fronts.lock);
    if (is_empty) {
        put_idle(front);
    } else {
        front->next = fronts.apart;
        fronts.apart = front;
    }
    settle_owed();
    hak_lock_release(&fronts.lock);
}

void hak_front_collect(void)
{
    if (!hak_lock_try(&fronts.lock))
        return; /* whoever has it does the same, or is soon gone: all threads come by here */
    struct hak_front *front = take_gone();
    hak_lock_release(&fronts.lock);
    if (front != NULL)
        take_apart(front, CLASSES_AT_ONCE);
}

/* Lists a vacant front among those that are taken apart. */
static void retire(struct hak_front *front)
{
    hak_lock_acquire(&fronts.lock);
    unlink_active(front);
    front->next = fronts.apart;
    fronts.apart = front;
    settle_owed();
    hak_lock_release(&fronts.lock);
}

void hak_front_collect_vacant(uint64_t before_ns)
{
    struct hak_front *front;
    for (unsigned group = 0; group < HAK_VACANT_GROUPS; group++)
        while ((front = hak_vacant_take_old(group, before_ns)) != NULL)
            retire(front);
}

bool hak_front_drop_vacant(uint64_t before_ns)
{
    struct hak_front *front = NULL;
    for (unsigned group = 0; group < HAK_VACANT_GROUPS && front == NULL; group++)
        front = hak_vacant_take_old(group, before_ns);
    if (front == NULL)
        return false;
    hak_lock_acquire(&fronts.lock);
    unlink_active(front);
    hak_lock_release(&fronts.lock);
    take_apart(front, HAK_CLASS_COUNT);
    return true;
}

void hak_front_start_child(void)
{
    fronts.generation++;
    if (own != NULL) {
        own->generation = fronts.generation;
        hak_owner_take(&own->owner);
    }
    /* relaxed: the child has one thread */
    __atomic_store_n(&fronts.round_due, 1, __ATOMIC_RELAXED);
    hak_owe(HAK_OWED_FRONTS);
}

/* ---- the life of a front -------------------------------------------------------------------- */

/* Memory of a front without a thread, NULL: there is none. Each new thread takes over one that
 * ended without notice: such a front is emptied first. */
static struct hak_front *take_idle(uint32_t *sequence)
{
    hak_lock_acquire(&fronts.lock);
    *sequence = __atomic_fetch_add(&fronts.sequence, 1, __ATOMIC_RELAXED); /* relaxed: a number */
    struct hak_front *gone = take_gone();
    if (gone != NULL) {
        hak_lock_release(&fronts.lock);
        take_apart(gone, HAK_CLASS_COUNT);
        hak_lock_acquire(&fronts.lock);
    }
    struct hak_front *front = fronts.idle;
    if (front != NULL)
        fronts.idle = front->next;
    hak_lock_release(&fronts.lock);
    return front;
}

void hak_front_set_few(unsigned threads)
{
    __atomic_store_n(&few, threads, __ATOMIC_RELAXED); /* relaxed: a hint, here and below */
}

static bool are_few(void)
{
    return hak_front_count() <= __atomic_load_n(&few, __ATOMIC_RELAXED);
}

/* Opens or closes a front that holds no objects above HAK_TINY_MAX for their classes. */
static void set_mid(struct hak_front *front, bool is_open)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        if (hak_classes[class_id].size > HAK_TINY_MAX) {
            struct hak_chain chain = is_open ? hak_magazine_empty(class_id) : HAK_NO_CHAIN;
            front->loaded[class_id] = chain;
            front->foreign[class_id] = chain;
        }
}

static bool is_closed(const struct hak_front *front)
{
    return !hak_front_is_open(front, HAK_CLASS_LAST);
}

bool hak_front_reopen(struct hak_front *front)
{
    if (is_closed(front) && are_few())
        set_mid(front, true);
    return !is_closed(front);
}

unsigned hak_front_count(void)
{
    return __atomic_load_n(&fronts.count, __ATOMIC_RELAXED); /* relaxed: a moment ago */
}

/* Until nobody asks any more whether a vacant front has lost its thread. Who asks has the lock. */
static void wait_for_question(struct hak_front *front)
{
    /* acq_rel: see is_gone */
    if (hak_likely(__atomic_fetch_or(&front->asked, 0, __ATOMIC_ACQ_REL) == 0))
        return;
    hak_lock_acquire(&fronts.lock);
    hak_lock_release(&fronts.lock);
}

/* A front that another thread gave up: with its objects, tick and sequence, but not with what that
 * thread wanted at a time. NULL: there is none of the CPU's shard. */
static struct hak_front *take_vacant(const struct hak_shard_map *map)
{
    /* relaxed: any of the CPU's shards */
    uint32_t sequence = __atomic_load_n(&fronts.sequence, __ATOMIC_RELAXED);
    if (sequence == 0) /* No thread has ended: a short process does not touch the table. */
        return NULL;
    struct hak_front *front = hak_vacant_take(hak_shard_map_here(map, sequence));
    if (front == NULL)
        return NULL;
    wait_for_question(front);
    own = front; /* first: if a handler forks from here on, the child's generation is set */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    front->generation = fronts.generation;
    hak_owner_take(&front->owner);
    front->to_sample = -1;
    hak_front_reset_fill(front);
    /* release: pairs with the acquire in is_gone; the front has its owner when it is seen held */
    __atomic_store_n(&front->left, HAK_FRONT_HELD, __ATOMIC_RELEASE);
    return front;
}

/* An empty front; NULL: no memory. */
static struct hak_front *make(const struct hak_shard_map *map)
{
    uint32_t sequence;
    struct hak_front *front = take_idle(&sequence);
    if (front == NULL)
        front = hak_meta_alloc(sizeof *front, HAK_CACHE_LINE);
    if (front == NULL)
        return NULL;
    hak_front_init(front, sequence, hak_shard_map_for_new(map, sequence));
    hak_owner_take(&front->owner);
    own = front;
    hak_lock_acquire(&fronts.lock);
    link_active(front);
    hak_lock_release(&fronts.lock);
    return front;
}

struct hak_front *hak_front_create(const struct hak_shard_map *map)
{
    struct hak_front *front = take_vacant(map);
    if (front == NULL)
        front = make(map);
    if (front == NULL)
        return NULL;
    hak_count(&hak_front_shard(front)->counters, HAK_COUNTER_THREADS_STARTED, 1);
    count_threads(1);
    bool opens = are_few();
    if (opens != !is_closed(front)) {
        hak_front_flush_classes(front, HAK_CLASS_TINY_LAST + 1, HAK_FRONT_MID_CLASSES);
        set_mid(front, opens);
    }
    return front;
}

bool hak_front_has_room(unsigned limit)
{
    if (hak_likely(hak_front_count() < limit))
        return true;
    hak_lock_acquire(&fronts.lock);
    struct hak_front *gone = take_gone();
    hak_lock_release(&fronts.lock);
    if (gone != NULL)
        take_apart(gone, HAK_CLASS_COUNT);
    return hak_front_count() < limit;
}

/* The front has no thread any more. First it says so, for a fork in a signal handler, whose child
 * would collect a front of another generation that nobody owns. */
static void give_up(struct hak_front *front)
{
    /* relaxed: find_gone leaves it alone, whenever it sees this; the list is under the lock */
    __atomic_store_n(&front->left, HAK_FRONT_ENDED, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_RELEASE);
    own = NULL; /* before the drop: such a child does not take the owner that is dropped next */
    hak_owner_drop(&front->owner);
    count_exit(front);
}

void hak_front_destroy(struct hak_front *front)
{
    hak_front_flush(front);
    give_up(front);
    push_ended(front);
}

/* Gives back what exceeds VACANT_BYTES: the larger classes, for the smaller ones are in use
 * sooner. Returns the bytes that are left. */
static size_t flush_excess(struct hak_front *front)
{
    size_t bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        size_t more = hak_front_bytes_of_class(front, class_id);
        if (bytes + more > VACANT_BYTES)
            hak_front_flush_classes(front, class_id, 1);
        else
            bytes += more;
    }
    return bytes;
}

/* Whether nobody waits for what the front holds. */
static bool may_be_kept(const struct hak_front *front)
{
    /* relaxed: a wish */
    return front->pinned == NULL && hak_front_shard(front)->settings->decay_ns != 0 &&
           front->wishes_seen == __atomic_load_n(&hak_front_wishes, __ATOMIC_RELAXED);
}

void hak_front_end(struct hak_front *front)
{
    if (!may_be_kept(front) || flush_excess(front) < VACANT_WORTH) {
        hak_front_destroy(front);
        return;
    }
    give_up(front);
    hak_inject();
    if (hak_vacant_put(front, hak_os_coarse_now_ns()))
        return;
    hak_front_flush(front);
    push_ended(front);
}

void hak_front_leave(struct hak_front *front)
{
    own = NULL;
    hak_owner_drop(&front->owner);
    /* release, both: pair with the acquires in is_gone and take_gone; then it is no more ours */
    __atomic_store_n(&front->left, HAK_FRONT_LEFT, __ATOMIC_RELEASE);
    __atomic_store_n(&fronts.round_due, 1, __ATOMIC_RELEASE);
    hak_owe(HAK_OWED_FRONTS);
}

void hak_front_attach_all(const struct hak_shard_map *map)
{
    /* This thread does not know which node another runs on; the other's next refill does. */
    if (hak_shard_map_nodes(map) != 1)
        return;
    hak_lock_acquire(&fronts.lock);
    for (struct hak_front *front = fronts.active; front != NULL; front = front->next)
        if (front->pinned == NULL)
            hak_front_attach(front, hak_shard_map_for_new(map, front->sequence));
    hak_lock_release(&fronts.lock);
}

/* Objects of one node must not be handed out on another, nor get into its transfer caches. */
static void move_to(struct hak_front *front, struct hak_shard *shard)
{
    if (hak_shard_node(shard) != hak_shard_node(hak_front_shard(front)))
        hak_front_flush(front);
    hak_front_attach(front, shard);
}

void hak_front_pin(struct hak_front *front, struct hak_shard *shard,
                   const struct hak_shard_map *map)
{
    hak_front_flush(front);
    if (is_closed(front))
        set_mid(front, true); /* other fronts hold other shards' objects */
    front->pinned = shard;
    if (shard == NULL)
        shard = hak_shard_map_here(map, front->sequence);
    hak_front_attach(front, shard);
}

/* Memory is short: other threads may need what this front holds. */
static HAK_COLD void obey(struct hak_front *front, uint32_t wishes)
{
    front->wishes_seen = wishes;
    hak_front_flush(front);
}

void hak_front_follow(struct hak_front *front, const struct hak_shard_map *map)
{
    struct hak_shard *shard = front->pinned;
    if (hak_likely(shard == NULL))
        shard = hak_shard_map_here(map, front->sequence);
    /* Shard and home are written one after the other, perhaps by two threads at once: both must
     * fit. */
    if (hak_unlikely(shard != hak_front_shard(front) || shard->id != hak_front_home(front)))
        move_to(front, shard);
    /* relaxed: a wish */
    uint32_t wishes = __atomic_load_n(&hak_front_wishes, __ATOMIC_RELAXED);
    if (hak_unlikely(wishes != front->wishes_seen))
        obey(front, wishes);
}

/* ---- figures --------------------------------------------------------------------------------- */

void hak_front_rows_add_all(struct hak_front_rows *rows, unsigned most)
{
    unsigned count = hak_front_count();
    unsigned seen = 0;
    hak_lock_acquire(&fronts.lock);
    rows->fronts = count;
    rows->unseen = count > most ? count - most : 0;
    struct hak_front *front = fronts.active;
    for (; front != NULL && seen < most; front = front->next) {
        /* relaxed: one that has just ended is empty */
        if (__atomic_load_n(&front->left, __ATOMIC_RELAXED) == HAK_FRONT_ENDED)
            continue;
        hak_front_rows_add(rows, front);
        seen++;
    }
    hak_lock_release(&fronts.lock);
}

size_t hak_front_bytes_of_all(void)
{
    size_t bytes = 0;
    hak_lock_acquire(&fronts.lock);
    for (const struct hak_front *front = fronts.active; front != NULL; front = front->next)
        bytes += hak_front_bytes(front);
    hak_lock_release(&fronts.lock);
    return bytes;
}
