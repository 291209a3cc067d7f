/* SPDX-License-Identifier: MIT */
/* Sections: a thread registers while it is inside structures that threads share, so that a fork can
 * wait until no thread is inside. No lock is held across a fork: other libraries' fork handlers may
 * wait for threads that allocate or end, and libc takes its stream locks after all handlers.
 *
 *     enter    add to the count, then look: a fork under way refuses entry       (false)
 *     freeze   announce a fork, then wait until the counts are 0
 *     thaw     in the parent: threads may enter again
 *
 * Each side writes before it reads, both sequentially consistent, so at least one of the two sees
 * the other. A thread that is refused is served without the shared structures (heap/beside.h).
 * Entering again from inside only counts the depth.
 *
 * A signal handler may fork while its thread is inside. That thread is then *suspended*: its count
 * is taken back until the fork is over. It keeps its locks, and releases them in the parent and in
 * the child. A thread that waits for such a lock takes its own count back, too, and enters again
 * after the fork.
 *
 * All waiting is bounded. A child is *estranged* if it cannot be sure that no other thread was
 * inside: two threads were suspended at once; a thread stayed inside for ten seconds, or waited
 * with a lock in hand; or a handler came between a count and its note, or while its thread waited
 * to fork. An estranged child stays frozen for good, which costs only memory. Any thread; signal
 * handlers may freeze and thaw. */
#ifndef HAK_OS_SECTION_H
#define HAK_OS_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"

/* Enters; if it returns true, the thread must leave. */
bool hak_section_enter(void);
void hak_section_leave(void);

/* The same, but waits up to a second for a fork to end: for rare calls that cannot be served
 * otherwise. Not inside malloc or free. */
bool hak_section_enter_late(void);

/* Whether the calling thread is inside, or suspended there. */
bool hak_section_is_inside(void);

/* Whether the process certainly has one thread. */
bool hak_section_is_alone(void);

/* Around a fork, by the forking thread. They nest: a handler may fork. */
void hak_section_freeze(void);
void hak_section_thaw(void);

/* In the child, instead of thaw. */
void hak_section_start_child(void);

/* Whether this is an estranged child, which is always served beside its shared structures. */
bool hak_section_is_estranged(void);

/* The calling thread holds one lock more (1) or less (-1) under which it takes others. While it
 * waits for one of those its structures may be incomplete though it is not counted: a child made
 * then is estranged. */
void hak_section_nest(int change);

/* For a thread that has waited for a lock for a while. If a suspended thread may hold it, takes the
 * caller's count back until no thread is suspended. True: take the lock by force, because its
 * holder does not exist in this process. */
bool hak_section_wait_suspended(void);

#endif
