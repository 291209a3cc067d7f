/* SPDX-License-Identifier: MIT */
/* Where mappings lie. The kernel puts each mapping below the last one. So mappings made one after
 * another lie side by side, at the same distances in every run, and an attacker who writes past the
 * end of an object would know what lies there. Therefore two kinds of memory get places of their
 * own, in two windows of 4 GiB far from where the kernel puts the rest:
 *
 *   stack      |  32 GiB  |  metadata  |  8 GiB  |  large memory  |  ...  | libraries, small memory
 *              `- apart.base                                        what the kernel places
 *
 *   metadata: one mapping below the other from a random address on, a page between them unmapped
 *   large memory: each mapping at a place of its own, chosen at random
 *
 * The kernel gets the place as a hint, so there is no further system call. If the place is taken,
 * or there is none (a small address space), the kernel chooses; a page below metadata is then made
 * inaccessible.
 *
 * Bounds: two windows, so the page map has at most two more leaves. Any thread; hak_apart_start by
 * the starting thread. */
#ifndef HAK_OS_APART_H
#define HAK_OS_APART_H

#include <stddef.h>
#include <stdint.h>

enum { HAK_APART_ALIKE = 1 }; /* a seed for runs that should be alike */

/* Chooses the windows by the stack's place, and places in them by `seed`: the same seed gives the
 * same places, if the kernel puts the stack in the same place. A later call with another seed
 * changes the places from then on. Before the first call the kernel chooses. */
void hak_apart_start(uint64_t seed);

/* Memory for the program as by hak_os_map, at a random place. */
void *hak_apart_map(size_t size, size_t alignment);

/* Zero memory that an overflow in the program's memory does not reach: nothing is accessible right
 * below it. alignment: a power of two >= the page size. NULL when refused. */
void *hak_apart_map_meta(size_t size, size_t alignment);

/* Gives such memory back, with the same size and alignment. */
void hak_apart_release_meta(void *memory, size_t size, size_t alignment);

#endif
