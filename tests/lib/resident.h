/* SPDX-License-Identifier: MIT */
/* Which pages of a range the kernel backs: mincore(2). Any thread. */
#ifndef HAK_TESTS_LIB_RESIDENT_H
#define HAK_TESTS_LIB_RESIDENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Resident kernel pages of [address, address + size), which begins with a page; SIZE_MAX: part of
 * it is not mapped. */
static inline size_t resident_pages(void *address, size_t size)
{
    enum { AT_ONCE = 256 };
    unsigned char pages[AT_ONCE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = 0;
    for (size_t done = 0; done < size; done += AT_ONCE * page) {
        size_t part = size - done < AT_ONCE * page ? size - done : AT_ONCE * page;
        if (mincore((char *)address + done, part, pages) != 0)
            return SIZE_MAX;
        for (size_t i = 0; i < part / page; i++)
            count += pages[i] & 1;
    }
    return count;
}

#endif
