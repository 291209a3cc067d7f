/* SPDX-License-Identifier: MIT */
/* Restartable sequences: where glibc has registered the thread's area, whether the kernel keeps its
 * promise, and a fence against sequences under way. Any thread. */
#ifndef HAK_OS_RSEQ_H
#define HAK_OS_RSEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Distance from the thread pointer to struct rseq. 0; -ENOSYS where this thread has none
 * registered; -EOPNOTSUPP on kernels known not to restart (arm64, Linux 6.19). */
int hak_os_rseq_find(ptrdiff_t *offset);

/* A sequence that is never entered: a thread names it in its area, for the kernel to look at. Its
 * memory must stay for good, because the kernel may read it at any time. */
struct hak_os_rseq_mark {
    uint32_t version, flags;
    uint64_t start, length, abort;
    uint32_t unreached, signature; /* `abort` is behind them */
    uint64_t end;
} __attribute__((aligned(64)));

/* false: glibc does not tell the signature by which it registers areas. */
bool hak_os_rseq_make_mark(struct hak_os_rseq_mark *mark);

/* Leaves the mark in the calling thread's area, unless a sequence is named there. Whether the mark
 * is there now. */
bool hak_os_rseq_leave_mark(ptrdiff_t area, const struct hak_os_rseq_mark *mark);

/* Whether the kernel has cleared the word of the calling thread's area that names a sequence. A
 * kernel that restarts sequences does so after a preemption, when it finds the thread outside the
 * named one; any other kernel does not look. */
bool hak_os_rseq_is_clear(ptrdiff_t area);

/* hak_os_disturb_begin starts a kernel task in this process. The task waits until the caller, whose
 * area this is, has begun a sequence (or a tenth of a second is over), interrupts it by
 * membarrier(2) (if that is refused, it moves the caller to another CPU and back), then sets *flag
 * and ends. It runs none of the program's code, no signal reaches it, and hak_os_disturb_end waits
 * until it is gone. 0 or -errno. One at a time, by the starting thread. The first function tells
 * for how many milliseconds in all to wait for interruptions: 0 where none can come, because the
 * caller has a real-time policy and is bound to one CPU, on which the task would never run. */
unsigned hak_os_disturb_patience_ms(void);
int hak_os_disturb_begin(ptrdiff_t area, uint32_t *flag);
void hak_os_disturb_end(void);

/* When it returns 0, no thread of the process is inside a sequence that began before the call: by
 * membarrier(2). -errno (Linux before 5.10, or a filter forbids it): one may yet be under way. */
int hak_os_rseq_fence(void);

#endif
