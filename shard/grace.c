/* SPDX-License-Identifier: MIT */
/* The pool of readers: made at start, polled for grace periods, repaired in a fork's child. */
#include "shard/grace.h"

#include "os/memory.h"
#include "os/signals.h"

enum {
    /* The most that liburcu maps for all readers, in pieces that double. */
    MEMORY_OF_READERS = 4 * HAK_GRACE_READERS * sizeof(struct urcu_bp_reader),
    CPUS_MOST = 1024,
};

struct hak_grace_slot hak_grace_slots[HAK_GRACE_READERS];
HAK_EARLY uint32_t hak_grace_readers;
struct hak_grace_figures hak_grace_figures;

/* ---- start ---------------------------------------------------------------------------------- */

/* liburcu ends the process if it cannot map memory, so we try first. If a library started a thread
 * before our constructor ran, that thread may still take the memory in between. */
static bool is_memory_to_be_had(void)
{
    size_t page = hak_os_page_size();
    size_t size = (MEMORY_OF_READERS + page - 1) / page * page;
    void *memory = hak_os_map(size, page);
    if (memory == NULL)
        return false;
    hak_os_unmap(memory, size);
    return true;
}

/* A reader that is in liburcu's list and belongs to no thread. */
static struct urcu_bp_reader *make_reader(void)
{
    URCU_TLS(urcu_bp_reader) = NULL;
    urcu_bp_register();
    return URCU_TLS(urcu_bp_reader);
}

/* When the calling thread ends, liburcu removes the last reader made here from its list, because
 * its key holds that one. So the last reader stays out of the pool, and becomes the thread's own
 * unless it had one. The others are never unregistered, so liburcu keeps their memory until the
 * process ends. */
static void make_pool(unsigned readers)
{
    struct urcu_bp_reader *own = URCU_TLS(urcu_bp_reader);
    for (unsigned index = 0; index < readers; index++)
        hak_grace_slots[index].reader = make_reader();
    make_reader();
    if (own != NULL)
        URCU_TLS(urcu_bp_reader) = own;
}

static unsigned readers_wanted(void)
{
    uint64_t cpus[CPUS_MOST / 64] = {0};
    unsigned count = 0;
    if (hak_os_affinity(cpus, sizeof cpus) != 0)
        return HAK_GRACE_READERS; /* more CPUs than the mask has bits */
    for (unsigned word = 0; word < CPUS_MOST / 64; word++)
        count += (unsigned)__builtin_popcountll(cpus[word]);
    unsigned readers = HAK_GRACE_READERS_LEAST;
    while (readers < 2 * count && readers < HAK_GRACE_READERS)
        readers *= 2;
    return readers;
}

void hak_grace_start(void)
{
    HAK_EARLY static uint32_t started;
    /* relaxed: constructors run one after the other */
    if (__atomic_exchange_n(&started, 1, __ATOMIC_RELAXED) || !is_memory_to_be_had())
        return;
    uint64_t signals = hak_os_block_signals();
    unsigned readers = readers_wanted();
    make_pool(readers);
    hak_os_set_signals(signals);
    /* release: pairs with the acquire in hak_grace_enter, which then finds the slots made */
    __atomic_store_n(&hak_grace_readers, readers, __ATOMIC_RELEASE);
}

/* ---- grace periods ------------------------------------------------------------------------- */

void hak_grace_begin(struct hak_grace_period *period)
{
    period->awaited = 0;
    __atomic_fetch_add(&hak_grace_figures.begun, 1, __ATOMIC_RELAXED); /* relaxed: a figure */
    /* Full: between C and D of the table in the header; pairs with the barrier in hak_grace_enter.
     * The count of readers, a plain load here and below, never changes once there are sections. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned index = 0; index < hak_grace_readers; index++) {
        const struct hak_grace_slot *slot = &hak_grace_slots[index];
        /* acquire, both: pair with the releases in hak_grace_leave. First the borrower: the count
         * read after it is not less than it was when that borrower came. */
        if (__atomic_load_n(&slot->borrower, __ATOMIC_ACQUIRE) == 0)
            continue;
        period->sections[index] = __atomic_load_n(&slot->sections, __ATOMIC_ACQUIRE);
        period->awaited |= UINT64_C(1) << index;
    }
}

bool hak_grace_has_passed(struct hak_grace_period *period)
{
    for (unsigned index = 0; index < hak_grace_readers; index++) {
        uint64_t bit = UINT64_C(1) << index;
        const struct hak_grace_slot *slot = &hak_grace_slots[index];
        /* acquire, both: as above */
        if ((period->awaited & bit) != 0 &&
            (__atomic_load_n(&slot->borrower, __ATOMIC_ACQUIRE) == 0 ||
             __atomic_load_n(&slot->sections, __ATOMIC_ACQUIRE) != period->sections[index]))
            period->awaited &= ~bit;
    }
    if (period->awaited != 0)
        return false;
    __atomic_fetch_add(&hak_grace_figures.passed, 1, __ATOMIC_RELAXED); /* relaxed: a figure */
    return true;
}

bool hak_grace_poll(struct hak_grace_period *period)
{
    for (unsigned poll = 0; poll < HAK_GRACE_POLLS; poll++) {
        if (hak_grace_has_passed(period))
            return true;
        hak_os_pause();
    }
    return false;
}

/* ---- fork ----------------------------------------------------------------------------------- */

/* Whether liburcu's own child handler, which the program may have registered, removed the reader
 * from its list. It may have become the thread's own since, so it leaves the pool. */
static bool is_lost(const struct hak_grace_slot *slot)
{
    const struct urcu_bp_reader *reader = slot->reader;
    return !reader->alloc ||
           (reader == URCU_TLS(urcu_bp_reader) && slot->borrower != hak_grace_mark());
}

/* If a signal handler forked, the calling thread may be inside a section, as its mark shows. The
 * readers become this thread's for liburcu, so that its handler, if it runs after ours, leaves them
 * alone. relaxed, all: there is one thread */
void hak_grace_after_fork_in_child(void)
{
    for (unsigned index = 0; index < hak_grace_readers; index++) {
        struct hak_grace_slot *slot = &hak_grace_slots[index];
        if (slot->reader == NULL)
            continue;
        if (is_lost(slot)) {
            slot->reader = NULL;
        } else {
            slot->reader->tid = pthread_self();
            if (slot->borrower != hak_grace_mark())
                slot->reader->ctr = 0;
        }
        if (slot->borrower != hak_grace_mark())
            __atomic_store_n(&slot->borrower, 0, __ATOMIC_RELAXED);
    }
}
