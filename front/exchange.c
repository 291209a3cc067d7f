/* SPDX-License-Identifier: MIT */
/* What fronts and shards exchange, whole chains at a time.
 *
 * There is one way through here for both kinds of fronts, over three steps that touch a magazine:
 *
 *     step             a thread's front       a CPU's front: a sequence (front_cpu.h)
 *     take             load, store            hak_cpu_take
 *     install          store, if empty        hak_cpu_install
 *     push             load, store            hak_cpu_push_at
 *
 * Each step is complete by itself. A chain that was taken belongs to the taker alone. Two steps for
 * a CPU front may meet two CPUs, so every path copes with a magazine that is full again, and ends
 * at the slabs. A thread's front meets that only if a handler of a signal used it.
 *
 * The fields beside the magazines (fill, missed, spare_bytes, seen) are hints. Threads of one CPU
 * overwrite each other's, so they are relaxed atomics, all in this file: plain moves to the
 * machine. */
#include "front/exchange.h"

#include "front/front_cpu.h"
#include "front/pause.h"
#include "os/inject.h"
#include "os/probe.h"
#include "shard/found.h"
#include "shard/give.h"
#include "shard/refill.h"
#include "shard/rest.h"

enum {
    ROUNDS_TO_GIVE = 4, /* others may fill the foreign magazine of a CPU that we emptied */
};

/* ---- a magazine, by its slot ----------------------------------------------------------------- */

/* The sequences are functions of their own: inlined, they would take registers from the code for
 * thread fronts. */
static __attribute__((noinline)) struct hak_chain take_on_cpu(size_t slot, unsigned class_id,
                                                              unsigned tries)
{
    return hak_cpu_take(slot, hak_magazine_empty(class_id), tries);
}

static __attribute__((noinline)) bool install_on_cpu(size_t slot, struct hak_chain chain)
{
    return hak_cpu_install(slot, chain, HAK_CPU_TRIES);
}

static __attribute__((noinline)) bool push_on_cpu(size_t slot, void *object)
{
    return hak_cpu_push_at(slot, object, HAK_CPU_TRIES) == HAK_CPU_PUSHED;
}

static inline struct hak_chain *magazine_at(struct hak_front *front, size_t slot)
{
    return (struct hak_chain *)((char *)front + slot);
}

/* Takes all from a magazine; HAK_NO_CHAIN: it has nothing, or each try was disturbed. */
static inline struct hak_chain take(struct hak_front *front, size_t slot, unsigned class_id,
                                    unsigned tries)
{
    if (front == HAK_FRONT_OF_CPU)
        return take_on_cpu(slot, class_id, tries);
    struct hak_chain *magazine = magazine_at(front, slot);
    struct hak_chain chain = *magazine;
    if (hak_chain_is_empty(chain))
        return HAK_NO_CHAIN;
    *magazine = hak_magazine_empty(class_id);
    __atomic_signal_fence(__ATOMIC_RELEASE); /* as in hak_front_pop_spare */
    return chain;
}

/* Puts a chain into an empty magazine; false: the magazine is not empty, or each try was
 * disturbed. */
static inline bool install(struct hak_front *front, size_t slot, struct hak_chain chain)
{
    if (front == HAK_FRONT_OF_CPU)
        return install_on_cpu(slot, chain);
    struct hak_chain *magazine = magazine_at(front, slot);
    if (hak_unlikely(!hak_chain_is_empty(*magazine)))
        return false;
    *magazine = chain;
    return true;
}

static inline bool push(struct hak_front *front, size_t slot, void *object)
{
    if (front == HAK_FRONT_OF_CPU)
        return push_on_cpu(slot, object);
    return hak_magazine_push(magazine_at(front, slot), object);
}

static struct hak_chain single(unsigned class_id, void *object)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    hak_magazine_push(&chain, object);
    return chain;
}

/* ---- hints ----------------------------------------------------------------------------------- */

/* The front's hints and shard. For the CPU's: those of the CPU that the caller runs on now. */
static struct hak_front *hints_of(struct hak_front *front)
{
    return front != HAK_FRONT_OF_CPU ? front : hak_cpu_front_here();
}

static struct hak_shard *shard_of(struct hak_front *front)
{
    return hak_front_shard(hints_of(front));
}

/* relaxed, here and below: hints */
static bool has(const struct hak_chain *magazine)
{
    struct hak_chain chain = {__atomic_load_n(&magazine->word, __ATOMIC_RELAXED)};
    return !hak_chain_is_empty(chain);
}

/* Whether one more spare magazine of the class is within the bound. */
static bool may_keep_spare(const struct hak_front *hints, unsigned class_id)
{
    int32_t bytes = (int32_t)__atomic_load_n(&hints->spare_bytes, __ATOMIC_RELAXED);
    return bytes + (int32_t)hak_magazine_bytes(class_id) <= HAK_FRONT_SPARE_BYTES;
}

/* Bytes in spare magazines. Threads of one CPU may lose each other's; each shrink counts again. */
static void add_spare_bytes(struct hak_front *hints, uint32_t bytes)
{
    bytes += __atomic_load_n(&hints->spare_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&hints->spare_bytes, bytes, __ATOMIC_RELAXED);
}

/* ---- what is left behind --------------------------------------------------------------------- */

static void count_flushed(struct hak_shard *shard, unsigned class_id, struct hak_chain chain,
                          enum hak_counter counter)
{
    unsigned length = hak_chain_length(class_id, chain);
    HAK_PROBE3(flush, shard->id, hak_classes[class_id].size, length);
    hak_count(&shard->counters, counter, length);
    hak_count_objects(&shard->classes[class_id].flushed, length);
}

/* All magazines of a class in a word that is 0 if they are empty, and else changes with them. */
static uint32_t digest_of(const struct hak_front *hints, unsigned class_id)
{
    if (!has(&hints->loaded[class_id]) && !has(&hints->spare[class_id]) &&
        !has(&hints->foreign[class_id]))
        return 0;
    uint64_t word = __atomic_load_n(&hints->loaded[class_id].word, __ATOMIC_RELAXED) +
                    __atomic_load_n(&hints->spare[class_id].word, __ATOMIC_RELAXED) * 3 +
                    __atomic_load_n(&hints->foreign[class_id].word, __ATOMIC_RELAXED) * 5;
    return (uint32_t)(word ^ word >> 32) | 1;
}

static struct hak_chain take_counted(struct hak_front *front, size_t slot, unsigned class_id,
                                     enum hak_counter counter)
{
    struct hak_chain chain = take(front, slot, class_id, HAK_CPU_ONE_TRY);
    if (!hak_chain_is_empty(chain))
        count_flushed(shard_of(front), class_id, chain, counter);
    return chain;
}

static void give_up_class(struct hak_front *front, struct hak_front *hints, unsigned class_id)
{
    struct hak_chain loaded =
        take_counted(front, hak_slot_loaded(class_id), class_id, HAK_COUNTER_FLUSH_OBJECTS);
    struct hak_chain spare =
        take_counted(front, hak_slot_spare(class_id), class_id, HAK_COUNTER_FLUSH_OBJECTS);
    struct hak_chain foreign =
        take_counted(front, hak_slot_foreign(class_id), class_id, HAK_COUNTER_FOREIGN_FLUSHED);
    if (!hak_chain_is_empty(spare))
        add_spare_bytes(hints, -hak_magazine_bytes(class_id));
    hak_shard_give_to_slabs(class_id, loaded);
    hak_shard_give_to_slabs(class_id, spare);
    if (!hak_chain_is_empty(foreign))
        hak_shard_give_up_foreign(shard_of(front), class_id, foreign);
}

/* Objects of mid classes that nobody used since the last sweep go back to their slabs. A program
 * whose sizes move on leaves up to a MiB in each class and front, and that keeps many times as much
 * in slabs. The clock of ticks is too slow for sizes that move on within milliseconds. */
static HAK_COLD void sweep(struct hak_front *front, struct hak_front *hints)
{
    for (unsigned i = 0; i < HAK_FRONT_MID_CLASSES; i++) {
        unsigned class_id = HAK_CLASS_TINY_LAST + 1 + i;
        uint32_t digest = digest_of(hints, class_id);
        uint32_t last = __atomic_load_n(&hints->swept[i], __ATOMIC_RELAXED);
        __atomic_store_n(&hints->swept[i], digest, __ATOMIC_RELAXED);
        if (digest != 0 && digest == last)
            give_up_class(front, hints, class_id);
    }
}

/* At a slow call of the class. */
static inline void sweep_if_due(struct hak_front *front, unsigned class_id)
{
    if (class_id <= HAK_CLASS_TINY_LAST)
        return;
    struct hak_front *hints = hints_of(front);
    if (hak_unlikely(hak_rest_claims_sweep(&hints->swept_at)))
        sweep(front, hints);
}

/* ---- in ------------------------------------------------------------------------------------- */

static struct hak_chain chain_from_shard(struct hak_front *front, struct hak_front *hints,
                                         unsigned class_id)
{
    unsigned bundle = hak_classes[class_id].bundle;
    unsigned fill = __atomic_load_n(&hints->fill[class_id], __ATOMIC_RELAXED);
    __atomic_store_n(&hints->missed[class_id], 1, __ATOMIC_RELAXED);
    sweep_if_due(front, class_id);
    struct hak_chain chain = hak_shard_refill(hak_front_shard(hints), class_id, fill);
    if (hak_chain_is_empty(chain))
        return HAK_NO_CHAIN;
    /* P1: a class that is missed again before the next tick is filled twice as far. */
    fill = fill * 2 > bundle ? bundle : fill * 2;
    __atomic_store_n(&hints->fill[class_id], (uint16_t)fill, __ATOMIC_RELAXED);
    return chain;
}

/* A chain for a front in which no pop succeeded: the loaded one, if it is not empty after all (its
 * link is broken, or another thread filled it); the spare one; or one from the shard.
 * HAK_NO_CHAIN: no memory. */
static struct hak_chain find_chain(struct hak_front *front, unsigned class_id)
{
    struct hak_front *hints = hints_of(front);
    if (hak_unlikely(has(&hints->loaded[class_id]))) {
        struct hak_chain loaded = take(front, hak_slot_loaded(class_id), class_id, HAK_CPU_TRIES);
        if (!hak_chain_is_empty(loaded)) {
            if (front == HAK_FRONT_OF_CPU)
                hak_count(&hak_front_shard(hints)->counters, HAK_COUNTER_FRONT_INTERRUPTED, 1);
            return loaded;
        }
    }
    if (has(&hints->spare[class_id])) {
        struct hak_chain spare = take(front, hak_slot_spare(class_id), class_id, HAK_CPU_TRIES);
        if (!hak_chain_is_empty(spare)) {
            add_spare_bytes(hints, -hak_magazine_bytes(class_id));
            return spare;
        }
    }
    return chain_from_shard(front, hints, class_id);
}

static void give_back(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    count_flushed(shard, class_id, chain, HAK_COUNTER_FLUSH_OBJECTS);
    hak_shard_accept_part(shard, class_id, chain);
}

static bool is_paused(const struct hak_front *front, unsigned class_id)
{
    return front != HAK_FRONT_OF_CPU && hak_front_is_paused(front, class_id);
}

/* At a call: whether the class is paused and stays so. Else it is open. */
static bool stays_paused(struct hak_front *front, unsigned class_id)
{
    if (hak_likely(!is_paused(front, class_id)))
        return false;
    if ((has(&front->spare[class_id]) || may_keep_spare(front, class_id)) &&
        hak_pause_goes_on(front, class_id))
        return true;
    hak_pause_end(front, class_id);
    return false;
}

/* Puts what is left of a refill where the next call looks first. */
static bool install_rest(struct hak_front *front, unsigned class_id, struct hak_chain rest,
                         bool waits)
{
    if (!install(front, waits ? hak_slot_spare(class_id) : hak_slot_loaded(class_id), rest))
        return false;
    if (waits)
        add_spare_bytes(front, hak_magazine_bytes(class_id));
    return true;
}

/* A broken chain is given up, and the next one tried. */
void *hak_front_refill(struct hak_front *front, unsigned class_id)
{
    bool waits = stays_paused(front, class_id);
    struct hak_chain chain;
    struct hak_chain rest = HAK_NO_CHAIN;
    do {
        chain = find_chain(front, class_id);
        if (hak_chain_is_empty(chain))
            return NULL;
    } while (hak_unlikely(!hak_found_chain_below(class_id, chain, &rest)));
    hak_inject();
    if (!hak_chain_is_empty(rest) && hak_unlikely(!install_rest(front, class_id, rest, waits)))
        give_back(shard_of(front), class_id, rest);
    return hak_chain_top(chain);
}

/* ---- out: objects of the front's shard ------------------------------------------------------- */

/* Keeps a magazine that was full as the spare one. If there is one, that goes to the shard: the
 * objects of the magazine that was filled last are warm. */
static void put_spare(struct hak_front *front, unsigned class_id, struct hak_chain chain)
{
    struct hak_front *hints = hints_of(front);
    struct hak_shard *shard = hak_front_shard(hints);
    size_t slot = hak_slot_spare(class_id);
    if (!has(&hints->spare[class_id]) && may_keep_spare(hints, class_id) &&
        install(front, slot, chain)) {
        add_spare_bytes(hints, hak_magazine_bytes(class_id));
        return;
    }
    struct hak_chain behind = take(front, slot, class_id, HAK_CPU_TRIES);
    hak_inject();
    if (hak_chain_is_empty(behind) || !install(front, slot, chain))
        give_back(shard, class_id, chain);
    if (!hak_chain_is_empty(behind))
        give_back(shard, class_id, behind);
}

/* Pushes an object where those of a paused class wait. False: the class is open. */
static bool push_paused(struct hak_front *front, unsigned class_id, void *object)
{
    if (hak_likely(!stays_paused(front, class_id)))
        return false;
    struct hak_chain *waiting = &front->spare[class_id];
    if (!has(waiting))
        add_spare_bytes(front, hak_magazine_bytes(class_id));
    if (hak_magazine_push(waiting, object))
        return true;
    hak_pause_end(front, class_id);
    return false;
}

void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object)
{
    size_t slot = hak_slot_loaded(class_id);
    if (hak_unlikely(push_paused(front, class_id, object)))
        return;
    /* There is room if the visit of the heap, or another thread of the CPU, emptied it. */
    if (hak_unlikely(push(front, slot, object)))
        return;
    struct hak_chain chain = take(front, slot, class_id, HAK_CPU_TRIES);
    hak_inject();
    struct hak_chain fresh = single(class_id, object);
    if (hak_unlikely(!install(front, slot, fresh)))
        hak_shard_give_to_slabs(class_id, fresh);
    if (!hak_chain_is_empty(chain))
        put_spare(front, class_id, chain);
    sweep_if_due(front, class_id);
}

/* ---- out: foreign objects -------------------------------------------------------------------- */

/* Makes a foreign magazine the spare one, if the front has none. That adopts it without a round
 * through the transfer cache, where the next refill would look first. false: the chain is still the
 * caller's. */
static bool keep_foreign(struct hak_front *front, unsigned class_id, struct hak_chain chain)
{
    struct hak_front *hints = hints_of(front);
    struct hak_shard *shard = hak_front_shard(hints);
    if (!may_keep_spare(hints, class_id) || has(&hints->spare[class_id]) ||
        !hak_shard_leaves_foreign(shard, class_id, chain))
        return false;
    hak_inject();
    if (install(front, hak_slot_spare(class_id), chain))
        add_spare_bytes(hints, hak_magazine_bytes(class_id));
    else
        give_back(shard, class_id, chain);
    return true;
}

void hak_front_give_foreign(struct hak_front *front, unsigned class_id, void *object)
{
    size_t slot = hak_slot_foreign(class_id);
    for (unsigned round = 0; round < ROUNDS_TO_GIVE; round++) {
        if (push(front, slot, object))
            return;
        struct hak_chain chain = take(front, slot, class_id, HAK_CPU_TRIES);
        if (hak_chain_is_empty(chain))
            break; /* closed, no CPU front to be had, or taken meanwhile */
        if (!keep_foreign(front, class_id, chain))
            hak_shard_take_foreign(shard_of(front), class_id, chain);
        sweep_if_due(front, class_id);
    }
    hak_shard_give_to_slabs(class_id, single(class_id, object));
}

/* ---- out: all of a class --------------------------------------------------------------------- */

static void flush_foreign(struct hak_front *front, unsigned class_id, unsigned tries)
{
    struct hak_chain chain = take(front, hak_slot_foreign(class_id), class_id, tries);
    if (!hak_chain_is_empty(chain))
        hak_shard_take_foreign(shard_of(front), class_id, chain);
}

static void flush_spare(struct hak_front *front, unsigned class_id, unsigned tries)
{
    struct hak_chain chain = take(front, hak_slot_spare(class_id), class_id, tries);
    if (hak_chain_is_empty(chain))
        return;
    add_spare_bytes(hints_of(front), -hak_magazine_bytes(class_id));
    give_back(shard_of(front), class_id, chain);
}

static void flush_loaded(struct hak_front *front, unsigned class_id, unsigned tries)
{
    struct hak_chain chain = take(front, hak_slot_loaded(class_id), class_id, tries);
    if (!hak_chain_is_empty(chain))
        give_back(shard_of(front), class_id, chain);
}

void hak_front_flush_classes(struct hak_front *front, unsigned first, unsigned count)
{
    for (unsigned class_id = first; class_id < HAK_CLASS_COUNT && count != 0; class_id++, count--) {
        flush_spare(front, class_id, HAK_CPU_TRIES);
        flush_foreign(front, class_id, HAK_CPU_TRIES);
        flush_loaded(front, class_id, HAK_CPU_TRIES);
    }
}

void hak_front_flush(struct hak_front *front)
{
    hak_front_flush_classes(front, 1, HAK_CLASS_COUNT);
}

static void flush_slot_to_slabs(struct hak_front *front, size_t slot, unsigned class_id,
                                enum hak_counter counter)
{
    struct hak_chain chain = take(front, slot, class_id, HAK_CPU_TRIES);
    if (hak_chain_is_empty(chain))
        return;
    count_flushed(shard_of(front), class_id, chain, counter);
    hak_shard_give_to_slabs(class_id, chain);
}

void hak_front_flush_to_slabs(struct hak_front *front)
{
    for (unsigned id = 1; id < HAK_CLASS_COUNT; id++) {
        flush_slot_to_slabs(front, hak_slot_loaded(id), id, HAK_COUNTER_FLUSH_OBJECTS);
        flush_slot_to_slabs(front, hak_slot_spare(id), id, HAK_COUNTER_FLUSH_OBJECTS);
        flush_slot_to_slabs(front, hak_slot_foreign(id), id, HAK_COUNTER_FOREIGN_FLUSHED);
    }
    __atomic_store_n(&hints_of(front)->spare_bytes, 0, __ATOMIC_RELAXED);
}

void hak_front_flush_cpus(void)
{
    if (!hak_cpu_fronts_close())
        return;
    for (unsigned cpu = 0; cpu < hak_cpu_fronts.ids; cpu++)
        hak_front_flush_to_slabs(hak_cpu_front_of(cpu));
    hak_cpu_fronts_reopen();
}

/* Whether the class's loaded magazine has not changed for enough ticks that it goes back. A class
 * whose pops and pushes alternate may look unused, and is then refilled: once in
 * HAK_FRONT_IDLE_TICKS. */
static bool is_unused(struct hak_front *hints, unsigned class_id)
{
    uint64_t now = __atomic_load_n(&hints->loaded[class_id].word, __ATOMIC_RELAXED);
    if (now == HAK_FRONT_PAUSED)
        now = __atomic_load_n(&hints->spare[class_id].word, __ATOMIC_RELAXED);
    uint64_t seen = __atomic_load_n(&hints->seen[class_id].word, __ATOMIC_RELAXED);
    unsigned unchanged = __atomic_load_n(&hints->unchanged[class_id], __ATOMIC_RELAXED) + 1u;
    if (now != seen)
        unchanged = 0;
    bool is_due = unchanged >= HAK_FRONT_IDLE_TICKS;
    __atomic_store_n(&hints->seen[class_id].word, now, __ATOMIC_RELAXED);
    __atomic_store_n(&hints->unchanged[class_id], (uint8_t)(is_due ? 0 : unchanged),
                     __ATOMIC_RELAXED);
    return is_due;
}

static void halve_fill(struct hak_front *hints, unsigned class_id)
{
    unsigned fill = __atomic_load_n(&hints->fill[class_id], __ATOMIC_RELAXED);
    if (fill > 1)
        __atomic_store_n(&hints->fill[class_id], (uint16_t)(fill / 2), __ATOMIC_RELAXED);
}

/* Tries each magazine once: the next tick tries again. Whether the class is in demand. */
static bool shrink_class(struct hak_front *front, struct hak_front *hints, unsigned class_id)
{
    flush_foreign(front, class_id, HAK_CPU_ONE_TRY);
    bool is_idle = is_unused(hints, class_id);
    if (__atomic_load_n(&hints->missed[class_id], __ATOMIC_RELAXED) != 0) {
        __atomic_store_n(&hints->missed[class_id], 0, __ATOMIC_RELAXED);
        return true;
    }
    if (is_idle || !is_paused(front, class_id))
        flush_spare(front, class_id, HAK_CPU_ONE_TRY);
    if (is_idle)
        flush_loaded(front, class_id, HAK_CPU_ONE_TRY);
    halve_fill(hints, class_id);
    return false;
}

/* If its objects have room to wait: half of what spare magazines may have, so that busy classes
 * have the rest. front->spare_bytes counts those of all classes here: it is a thread's front. */
static void pause_class(struct hak_front *front, unsigned class_id)
{
    bool has_room = front->spare_bytes + hak_magazine_bytes(class_id) <= HAK_FRONT_SPARE_BYTES / 2;
    if (hak_front_is_open(front, class_id) && !has(&front->spare[class_id]) &&
        (has_room || !has(&front->loaded[class_id])))
        hak_pause_class(front, class_id);
}

static void shrink(struct hak_front *front, bool pauses)
{
    struct hak_front *hints = hints_of(front);
    uint32_t spare_bytes = 0;
    if (pauses)
        hak_pause_begin(front);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        bool in_demand = shrink_class(front, hints, class_id);
        if (pauses && !in_demand)
            pause_class(front, class_id);
        if (has(&hints->spare[class_id]))
            spare_bytes += hak_magazine_bytes(class_id);
    }
    __atomic_store_n(&hints->spare_bytes, spare_bytes, __ATOMIC_RELAXED);
}

void hak_front_shrink(struct hak_front *front)
{
    shrink(front, false);
}

void hak_front_shrink_and_pause(struct hak_front *front)
{
    shrink(front, front != HAK_FRONT_OF_CPU);
}

static bool chain_holds(unsigned class_id, struct hak_chain chain, const void *object)
{
    for (unsigned steps = hak_classes[class_id].bundle; steps != 0; steps--) {
        const void *top = hak_chain_top(chain);
        if (top == NULL || top == object)
            return top != NULL;
        if (!hak_found_is_of_class(class_id, top))
            return false;
        struct hak_chain below = hak_link_read(top);
        if (!hak_link_is_sound(chain, below))
            return false;
        chain = below;
    }
    return false;
}

bool hak_front_holds(const struct hak_front *front, unsigned class_id, const void *object)
{
    return chain_holds(class_id, front->loaded[class_id], object) ||
           chain_holds(class_id, front->spare[class_id], object) ||
           chain_holds(class_id, front->foreign[class_id], object);
}
