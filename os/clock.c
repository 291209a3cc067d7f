/* SPDX-License-Identifier: MIT */
/* Clocks through libc's vDSO calls: no system call, no lock, no memory. Any thread. */
#include "os/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_clock(clockid_t which)
{
    int saved = errno; /* set only where a filter forbids the call; the time is then constant */
    struct timespec now = {0, 0};
    clock_gettime(which, &now);
    errno = saved;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t hak_os_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t hak_os_coarse_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

void hak_os_sleep_ns(uint64_t duration_ns)
{
    int saved = errno;
    struct timespec time = {(time_t)(duration_ns / 1000000000u), (long)(duration_ns % 1000000000u)};
    nanosleep(&time, NULL);
    errno = saved;
}
