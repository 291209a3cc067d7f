/* SPDX-License-Identifier: MIT */
/* Where mappings lie. The kernel puts each below the last, so what is mapped in turn is neighbours
 * at the same distance in every run: who writes past the end of an object would know what he meets.
 * So two kinds of memory get places of their own, in two windows of 4 GiB far from where the kernel
 * puts the rest:
 *
 *   stack      |  32 GiB  |  metadata  |  8 GiB  |  large memory  |  ...  | libraries, small memory
 *              `- apart.base                                        what the kernel places
 *
 *   metadata: one mapping below the other from a random address on, a page between them unmapped
 *   large memory: each mapping at a place of its own, chosen at random
 *
 * The kernel is asked by a hint, so no call is made that would not be made anyway. Where the place
 * is taken, or there is none (a small address space), the kernel chooses; before metadata a page is
 * then made inaccessible.
 *
 * Bounds: two windows, so the page map has two leaves more at most. Any thread; hak_apart_start by
 * the starting thread. */
#ifndef HAK_OS_APART_H
#define HAK_OS_APART_H

#include <stddef.h>
#include <stdint.h>

enum { HAK_APART_ALIKE = 1 };    /* a seed for runs that are to be alike */

/* Chooses the windows, from the stack's place, and all else from `seed`: the same seed, the same
 * places, if the kernel places the stack alike. Again with another seed: from now on. Without a
 * start the kernel chooses. */
void hak_apart_start(uint64_t seed);

/* Memory for the program as by hak_os_map, at a random place. */
void *hak_apart_map(size_t size, size_t alignment);

/* Zero memory that an overflow of the program's does not reach: nothing is accessible right below
 * it. alignment: a power of two >= the page size. NULL when refused. */
void *hak_apart_map_meta(size_t size, size_t alignment);

/* Gives that back, with the same size and alignment. */
void hak_apart_release_meta(void *memory, size_t size, size_t alignment);

#endif
