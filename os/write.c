/* SPDX-License-Identifier: MIT */
/* Writes that neither kill nor hang. Any thread.
 *
 *   hold       SIGPIPE and SIGXFSZ are blocked, by this thread alone
 *   wait       until the descriptor takes something, a second at most (bounded writes)
 *   write      at most a page: a pipe that takes something takes that much
 *   release    a signal that our write raised is taken back; the mask is put back
 *
 * A pipe that others fill between the wait and the write still blocks, as it would block the
 * program's own write: O_NONBLOCK would change the others' descriptor, too. */
#define _GNU_SOURCE
#include "os/write.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "os/compiler.h"
#include "os/signals.h"
#include "os/syscall.h"

enum {
    STDERR = 2,
    AT_ONCE = 4096, /* PIPE_BUF: a pipe that polls as writable takes this much without waiting */
    PATIENCE_SECONDS = 1,
};

enum { NOT_KNOWN, IS_OPEN, IS_CLOSED };

/* Of the enum above; written by the starting thread. Atomic. */
HAK_EARLY static uint32_t stderr_state;

/* 1: a descriptor took nothing for a second. Further writes do not wait until one takes something
 * again, so a full pipe costs a second once and not for each line. Atomic. */
static uint32_t impatient;

/* ---- signals -------------------------------------------------------------------------------- */

static uint64_t bit_of(int number)
{
    return UINT64_C(1) << (number - 1);
}

struct held {
    uint64_t mask;    /* as it was */
    uint64_t waiting; /* signals that were pending before */
};

static struct held hold_signals(void)
{
    struct held held = {.mask = hak_os_signals()};
    hak_os_set_signals(held.mask | bit_of(SIGPIPE) | bit_of(SIGXFSZ));
    hak_syscall2(SYS_rt_sigpending, (uintptr_t)&held.waiting, sizeof held.waiting);
    return held;
}

static void release_signals(const struct held *held, uint64_t raised)
{
    const struct timespec now = {0, 0};
    raised &= ~held->waiting;
    if (raised != 0)
        while (hak_syscall4(SYS_rt_sigtimedwait, (uintptr_t)&raised, 0, (uintptr_t)&now,
                            sizeof raised) == -EINTR)
            continue;
    hak_os_set_signals(held->mask);
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Whether the descriptor takes something, or has failed; if poll is refused, the write tells. */
static int takes_something(int descriptor)
{
    struct pollfd poll = {.fd = descriptor, .events = POLLOUT};
    /* relaxed, all: a hint */
    struct timespec left = {
        __atomic_load_n(&impatient, __ATOMIC_RELAXED) != 0 ? 0 : PATIENCE_SECONDS, 0};
    long ready;
    do
        ready = hak_syscall5(SYS_ppoll, (uintptr_t)&poll, 1, (uintptr_t)&left, 0, 0);
    while (ready == -EINTR); /* the kernel leaves the rest of the time in `left` */
    __atomic_store_n(&impatient, ready == 0, __ATOMIC_RELAXED);
    return ready != 0;
}

static long write_some(int descriptor, const char *bytes, size_t count,
                       enum hak_os_patience patience)
{
    if (patience == HAK_WRITE_BOUNDED) {
        count = count < AT_ONCE ? count : AT_ONCE;
        if (!takes_something(descriptor))
            return -EAGAIN;
    }
    return hak_syscall3(SYS_write, (uintptr_t)descriptor, (uintptr_t)bytes, count);
}

int hak_os_write(int descriptor, const char *bytes, size_t count, enum hak_os_patience patience)
{
    struct held held = hold_signals();
    long done = 0;
    while (count != 0) {
        done = write_some(descriptor, bytes, count, patience);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            break;
        bytes += done;
        count -= (size_t)done;
    }
    release_signals(&held, done == -EPIPE ? bit_of(SIGPIPE) : done == -EFBIG ? bit_of(SIGXFSZ) : 0);
    if (count == 0)
        return 0;
    return done < 0 ? (int)done : -EIO;
}

/* ---- standard error ------------------------------------------------------------------------- */

void hak_os_look_for_stderr(void)
{
    long flags = hak_syscall2(SYS_fcntl, STDERR, F_GETFD);
    /* relaxed: a constant fact; a child has its parent's */
    __atomic_store_n(&stderr_state, flags == -EBADF ? IS_CLOSED : IS_OPEN, __ATOMIC_RELAXED);
}

int hak_os_stderr(void)
{
    /* relaxed, both: as above. Not known: a message came before the constructor */
    if (hak_unlikely(__atomic_load_n(&stderr_state, __ATOMIC_RELAXED) == NOT_KNOWN))
        hak_os_look_for_stderr();
    return __atomic_load_n(&stderr_state, __ATOMIC_RELAXED) == IS_OPEN ? STDERR : -1;
}
