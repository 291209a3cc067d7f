/* SPDX-License-Identifier: MIT */
/* Call stacks that were walked before. The unwinder takes some 300 ns for each frame, and most
 * samples have the stack of an earlier one. For each stack the table holds the places of its return
 * addresses. If all of them are still there, the stack is the same: from the inside out, each
 * return address says which function it is in, and so how far the next one is. (A function that
 * takes more or less room each time might leave an old return address behind; then all further ones
 * would have to be in place as well.) A word is read only after those below it were found in place.
 * So no word outside the stack is read, unless a function that takes a variable amount of room
 * (alloca) runs on a shorter stack at the same address. The caller (os/stack.c) does not add walks
 * with a frame above 16 KiB, or that go from one stack to another.
 *
 *     256 sets, by the address of the innermost frame, of 4 stacks each: 784 KiB of addresses
 *
 * Any thread: if a set is in use by another thread, the stack counts as unknown. */
#ifndef HAK_OS_KNOWN_STACKS_H
#define HAK_OS_KNOWN_STACKS_H

#include <stdbool.h>
#include <stdint.h>

enum { HAK_WALK_MOST = 128 }; /* frames */

/* The stack as seen from a frame that has a frame pointer. */
struct hak_walk {
    uintptr_t frame; /* __builtin_frame_address(0) */
    unsigned depth;
    uint64_t returns[HAK_WALK_MOST]; /* return addresses, from the frame's own on */
    uint32_t words[HAK_WALK_MOST];   /* where they lie: words above the frame's address */
};

/* Maps the table. If the kernel refuses, no stack is ever known. Once, before the following. */
void hak_known_stacks_start(void);

/* Whether the stack of walk->frame is known; then the rest of *walk is filled in. The caller is the
 * function of that frame. */
bool hak_known_stacks_find(struct hak_walk *walk);

/* Remembers a stack in the same way; does nothing if it is too deep or a return address is not in
 * place. */
void hak_known_stacks_learn(const struct hak_walk *walk);

#endif
