/* SPDX-License-Identifier: MIT */
/* The CPU front: the same magazines as a thread's (front.h), one set for each CPU, used by whatever
 * thread runs there. Memory at hand then grows with CPUs, not with threads.
 *
 * Each operation is a restartable sequence (rseq(2), Linux 4.18; Desnoyers): the kernel restarts it
 * if the thread was preempted, migrated or signalled before the last instruction, a store, so it
 * takes effect on one CPU as a whole or not at all, without an atomic instruction. The thread is
 * registered by glibc (2.35 and later); of its area we read cpu_id and write rseq_cs, nothing else.
 *
 * Contract of the five sequences, one file per architecture. `front` is base + cpu_id * stride,
 * computed inside: cpu_id >= limit (no registration: -1 or -2; a CPU beyond the table; fronts
 * closed: limit is 0) leaves by NULL, {0} or false with nothing done. COMMIT marks the one store.
 *
 *     pop(class)                w = front.loaded[class]; if (!object(w)) return NULL;
 *                               l = link(object(w)); if (!is_sound(w, l)) return NULL;
 *                               COMMIT front.loaded[class] = l; return object(w)
 *     push(class, home, o)      if (front.home != home) return FOREIGN;
 *                               w = front.loaded[class]; if (!room(w)) return FULL;
 *                               link(o) = w; COMMIT front.loaded[class] = {o, room(w) - 1}
 *     push_at(slot, o)          the same into any magazine, without a look at home
 *     take(slot, empty)         w = magazine; if (!object(w)) return {0};
 *                               COMMIT magazine = empty; return w
 *     install(slot, w)          if (object(magazine)) return false;
 *                               COMMIT magazine = w; return true
 *
 * Each makes a few tries and then answers as if there were no front. A debugger that steps
 * restarts every one of them, so every slow path ends without one that succeeds: it goes by the
 * slabs. malloc and free themselves make a single try, which costs them no counter; the slow paths
 * behind them make more.
 *
 * A link is only followed inside a sequence, from a word read in the same sequence: the chain
 * cannot have changed. What is taken belongs to the taker alone. So every slow path is made of
 * steps each of which is whole by itself; nothing depends on two of them meeting one CPU. */
#ifndef HAK_FRONT_FRONT_CPU_H
#define HAK_FRONT_FRONT_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/front.h"
#include "os/compiler.h"
#include "os/cpu.h"

struct hak_shard_map;

enum {
    HAK_CPU_FRONT_SHIFT = 12, /* log2 of the stride */
};

struct hak_cpu_fronts {
    uint32_t limit; /* CPU ids served; 0: closed. First; read inside each sequence */
    uint32_t ids;   /* what limit is while they are open */
    char *base;     /* constant once limit was above 0 */
    ptrdiff_t rseq; /* from the thread pointer to the thread's rseq area; constant, and 0 where
                       fronts were never opened */
};

extern HAK_HIDDEN struct hak_cpu_fronts hak_cpu_fronts;

enum {
    HAK_CPU_ONE_TRY = 1, /* where another follows elsewhere, or at the next tick */
    HAK_CPU_TRIES = 16,  /* each disturbed within some ten instructions */
};

enum hak_cpu_push {
    HAK_CPU_PUSHED,
    HAK_CPU_FULL, /* or no front to be had */
    HAK_CPU_FOREIGN,
};

/* Stands where a sequence with a result was left by a jump. gcc before 12.4 and 13.3 (bug 113921)
 * writes the asm's output over the constant that is returned there, if nothing stands between the
 * jump and the place where both ways meet: a take of nothing then returned whatever the register
 * held. */
static inline void hak_cpu_left(void)
{
    __asm__ volatile("");
}

#if defined(__x86_64__)
#include "front/front_cpu_x86_64.h"
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#include "front/front_cpu_aarch64.h"
#else
#include "front/front_cpu_none.h"
#endif

/* Where a magazine lies in its front. */
static inline size_t hak_slot_loaded(unsigned class_id)
{
    return offsetof(struct hak_front, loaded) + class_id * sizeof(struct hak_chain);
}

static inline size_t hak_slot_spare(unsigned class_id)
{
    return offsetof(struct hak_front, spare) + class_id * sizeof(struct hak_chain);
}

static inline size_t hak_slot_foreign(unsigned class_id)
{
    return offsetof(struct hak_front, foreign) + class_id * sizeof(struct hak_chain);
}

/* Whether a sequence may be begun: it then finds out by itself whether the fronts are open.
 * acquire, here and below: pairs with the release in publish (front/front_cpu.c); a caller that
 * sees this finds rseq, ids, base and the fronts as they were made */
static inline bool hak_cpu_fronts_exist(void)
{
    return __atomic_load_n(&hak_cpu_fronts.rseq, __ATOMIC_ACQUIRE) != 0;
}

/* Whether CPU fronts serve, a moment ago. acquire: as above */
static inline bool hak_cpu_fronts_open(void)
{
    return __atomic_load_n(&hak_cpu_fronts.limit, __ATOMIC_ACQUIRE) != 0;
}

static inline struct hak_front *hak_cpu_front_of(unsigned cpu)
{
    return (struct hak_front *)(hak_cpu_fronts.base + ((size_t)cpu << HAK_CPU_FRONT_SHIFT));
}

/* The front of the CPU that the caller runs on, a moment ago: for its hints. */
static inline struct hak_front *hak_cpu_front_here(void)
{
    unsigned cpu = hak_os_cpu();
    return hak_cpu_front_of(cpu < hak_cpu_fronts.ids ? cpu : 0);
}

/* In the child of a fork: no other thread drains or opens them. */
void hak_cpu_fronts_after_fork(void);

/* ---- life (front_cpu.c) --------------------------------------------------------------------- */

/* Opens a front for each CPU id below `ids`, after a self-test; fronts that are open already stay
 * as they are. 0, or why not, and then nothing has changed: -ENOSYS, the thread has no rseq;
 * -EOPNOTSUPP, the kernel (or ThreadSanitizer) is known not to restart sequences; -EBUSY, nothing
 * can interrupt this thread, so there is no test; -EPROTO, the self-test failed; -ENOMEM. By the
 * starting thread. */
int hak_cpu_fronts_start(unsigned ids, const struct hak_shard_map *map);

/* Prepares hak_cpu_fronts_open_late: does what a filter may forbid later. By the starting
 * thread. */
void hak_cpu_fronts_prepare(void);

/* Finds out whether the kernel handles sequences: the thread leaves a mark for it, and finds it
 * cleared some time later. A few loads; from slow paths, now and then. */
void hak_cpu_fronts_watch(void);

/* Opens fronts without the self-test, once a watch of any thread has found its mark cleared. The
 * only system call is for memory. 0: they are open, perhaps since before; else -EAGAIN, -ENOMEM or
 * -EOPNOTSUPP. Such fronts are never closed, for a filter may forbid the fence: see
 * hak_front_flush_to_slabs. Inside a section. */
int hak_cpu_fronts_open_late(unsigned ids, const struct hak_shard_map *map);

/* Attaches each front to the shard that its CPU has now. */
void hak_cpu_fronts_attach(const struct hak_shard_map *map);

/* Closes the fronts and waits until no sequence that began before is under way. true: they are the
 * caller's alone until it reopens them. Under no lock. */
bool hak_cpu_fronts_close(void);
void hak_cpu_fronts_reopen(void);

/* Adds the fronts of `count` CPUs from `first` on to figures (front.h); how many there are. */
struct hak_front_rows;
unsigned hak_cpu_fronts_add_rows(struct hak_front_rows *rows, unsigned first, unsigned count);

/* Bytes of the objects in all CPUs' fronts, a moment ago. */
size_t hak_cpu_fronts_bytes(void);

#endif
