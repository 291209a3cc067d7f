/* SPDX-License-Identifier: MIT */
/* Sections: a thread says that it is inside structures that other threads share, so that a fork can
 * wait until nobody is. No lock is held across a fork: other libraries' fork handlers may wait for
 * threads that allocate or end, and libc takes the locks of its streams after all handlers.
 *
 *     enter    count yourself, then look: a fork under way turns you back        (false)
 *     freeze   say that a fork is under way, then wait until the counts are 0
 *     thaw     in the parent: entries are open again
 *
 * Each side writes before it reads, both sequentially consistent, so one of the two sees the other.
 * Whoever is turned back is served without the shared structures (heap/beside.h). Entering again
 * from inside is nothing but a count.
 *
 * A signal handler may fork while its thread is inside. That thread is then *suspended*: its count
 * is taken back until the fork is over; the locks it holds stay held, and it releases them in the
 * parent and in the child. Who waits for such a lock takes its own count back, too, and enters
 * again when the fork is over.
 *
 * All waiting has an end. A child that cannot be sure that nobody else was inside (two threads
 * suspended at once, somebody who stayed inside for ten seconds or waits with a lock in hand, a
 * handler that came between a count and its note, or while its thread waited to fork) is
 * *estranged*: it stays frozen for good, which costs it memory and nothing else. Any thread; signal
 * handlers may freeze and thaw. */
#ifndef HAK_OS_SECTION_H
#define HAK_OS_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"

/* Whether the thread may enter; only then it must leave. */
bool hak_section_enter(void);
void hak_section_leave(void);

/* The same, but waits up to a second for a fork that is under way: for what is called seldom and
 * cannot be served otherwise. Not inside malloc or free. */
bool hak_section_enter_late(void);

/* Whether the calling thread is inside, or suspended there. */
bool hak_section_is_inside(void);

/* Around a fork, by the thread that forks. Nests: a handler may fork. */
void hak_section_freeze(void);
void hak_section_thaw(void);

/* In the child, instead of thaw. */
void hak_section_start_child(void);

/* In a child: it is served beside its shared structures from now on. */
bool hak_section_is_estranged(void);

/* The calling thread holds one lock more (1) or less (-1) under which it takes others. While it
 * waits for one of those it is not at rest, though it is not counted: a child made then is
 * estranged. */
void hak_section_nest(int change);

/* For a thread that has waited for a lock for a while: if a suspended thread may hold it, the
 * caller takes its count back until no thread is suspended. True: take the lock by force, for its
 * holder was never copied to this process. */
bool hak_section_wait_suspended(void);

#endif
