/* SPDX-License-Identifier: MIT */
/* Restartable sequences: where glibc has registered the thread's area, whether the kernel keeps its
 * promise, and a fence against sequences under way. Any thread. */
#ifndef HAK_OS_RSEQ_H
#define HAK_OS_RSEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Distance from the thread pointer to struct rseq. 0; -ENOSYS where nobody registered one for this
 * thread; -EOPNOTSUPP on kernels known not to restart (arm64, Linux 6.19). */
int hak_os_rseq_find(ptrdiff_t *offset);

/* A sequence that is never entered: what a thread leaves behind in its area for the kernel to look
 * at. Where it is written must stay for good: the kernel reads it at any time. */
struct hak_os_rseq_mark {
    uint32_t version, flags;
    uint64_t start, length, abort;
    uint32_t unreached, signature;    /* `abort` is behind them */
    uint64_t end;
} __attribute__((aligned(64)));

/* False where glibc does not say what it registered areas with. */
bool hak_os_rseq_make_mark(struct hak_os_rseq_mark *mark);

/* Leaves the mark in the calling thread's area, unless a sequence has left something. Whether it
 * stands there now. */
bool hak_os_rseq_leave_mark(ptrdiff_t area, const struct hak_os_rseq_mark *mark);

/* Whether the kernel has cleared what stood in the calling thread's area. A kernel that restarts
 * sequences does so when it finds the thread outside of the one that stands there, after a
 * preemption; who keeps no such promise does not look. */
bool hak_os_rseq_is_clear(ptrdiff_t area);

/* Sets in motion a kernel task of this process that waits until the caller, whose area this is,
 * has begun a sequence (or a tenth of a second is over), interrupts it (by membarrier(2); where
 * that is refused it moves the caller to another CPU and back), then sets *flag and ends. It runs
 * none of the program's code, no signal reaches it, and hak_os_disturb_end waits until it is gone.
 * 0 or -errno. One at a time, by the starting thread. For how many milliseconds in all it makes
 * sense to wait for interruptions: 0 where none can come, as the task could only run when the
 * caller, of a real-time policy and bound to one CPU, lets it. */
unsigned hak_os_disturb_patience_ms(void);
int hak_os_disturb_begin(ptrdiff_t area, uint32_t *flag);
void hak_os_disturb_end(void);

/* When it returns 0, no thread of the process is inside a sequence that began before the call: by
 * membarrier(2). -errno (Linux before 5.10, or a filter forbids it): one may yet be under way. */
int hak_os_rseq_fence(void);

#endif
