/* SPDX-License-Identifier: MIT */
/*
 * engine.h - random calls from many threads against the shadow model: what all stresses share.
 *
 * A slot is a place in which one thread after another lives: it inherits its predecessor's objects,
 * so most objects are freed by another thread than the one that made them. Slots post objects to
 * each other's mailboxes. The last slot only receives: its threads never allocate.
 *
 *        slot 0 <--+--> slot 1 <--+--> slot 2          each: objects[], mailbox, prng
 *                  \------+-------/------> last slot   (frees whatever comes)
 *
 * The main thread sets the engine up and runs it; any thread may ask for a slot's thread.
 */
#ifndef HAK_TESTS_ENGINE_H
#define HAK_TESTS_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { ENGINE_SLOTS_MAX = 64 };

struct engine {
    unsigned threads; /* slots; 0: not asked for */
    unsigned seconds;
    size_t budget; /* bytes; a limit that may be missed by a little */
    uint64_t seed;
};

/* Takes one of the options --threads, --seconds, --budget (MiB), --seed. Whether it was one, and
 * its value a good one. */
int engine_take_option(struct engine *engine, const char *name, const char *value);

/* Once: a seed if none was given, the model, the key. 0, or -1. */
int engine_start(struct engine *engine);

/* Runs `threads` slots for the given seconds, and then as long as busy() is true (it may be NULL);
 * states the expectations. A fault of the heap aborts the process. */
void engine_run(const struct engine *engine, unsigned threads, int (*still_busy)(void));

/* Usable bytes of all live objects, slightly old: each thread counts an object just after it came,
 * and just before it goes. */
size_t engine_live_bytes(void);

/* The thread that lives in a slot, as the kernel names it; 0: none at the moment. */
pid_t engine_thread(unsigned slot);

#endif
