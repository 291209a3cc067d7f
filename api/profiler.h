/* SPDX-License-Identifier: MIT */
/* The heap profiler (HAKMEM_PROFILE): which allocations it notes, and where what it knows goes.
 *
 * Each thread counts the bytes that it allocates down to the next that is wanted (stats/chance.h).
 * So that every allocation is seen, the classes of sizes are hidden from the fast paths
 * (hak_size_class_hide), which then find nothing; malloc has a way that counts (api/counted.h), and
 * frees stay as fast as they are.
 *
 * An object that is noted gets a run of the large tier, however small it is: so its free is slow,
 * and looks here, while the frees of all others pay nothing. In exchange a noted object takes 4 KiB
 * at least, less than a hundredth of the heap at a rate of 512 KiB. A few of these pages rest when
 * they are freed, and serve the next samples (stats/profile.h).
 *
 * Off, it costs a look at a word in slow calls. */
#ifndef HAK_API_PROFILER_H
#define HAK_API_PROFILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "stats/profile.h"

/* By the thread that starts the library, before the options' others are obeyed. */
void hak_profiler_start(void);

/* At exit: the file and the report that options ask for. */
void hak_profiler_exit(void);

/* In the child of a fork: it profiles what it allocates itself. */
void hak_profiler_after_fork(void);

struct hak_shard;

/* Where an object lies: ids of the shard and its node, and the heap that the program made, 0: the
 * default heap. */
struct hak_profiler_place {
    unsigned shard;
    int node;
    unsigned heap;
};

struct hak_profiler_place hak_profiler_place_of(const struct hak_shard *shard);

/* A wanted object that there is not yet: what will be known of it, and the stack of its caller. */
struct hak_profiler_wish {
    struct hak_profile_sample sample;
    uint64_t stack[HAK_PROFILE_DEPTH_MAX];
};

/* Fills in a wish for an object of `size` bytes at the place, for which `counted` bytes were
 * counted. */
HAK_COLD void hak_profiler_begin(struct hak_profiler_wish *wish, size_t size, size_t counted,
                                 struct hak_profiler_place place);

/* Memory of one kernel page that an earlier such object had, with the wish noted; NULL: there is
 * none. The first must be outside the heap, under no lock, as the others. */
HAK_COLD void *hak_profiler_reuse(struct hak_profiler_wish *wish);

/* Notes the object of a wish. */
HAK_COLD void hak_profiler_note(struct hak_profiler_wish *wish, const void *object);

/* An object above HAK_MID_MAX, or a run, may have been noted and is about to be freed: whether its
 * memory is the profile's then, or was already, which is told. */
HAK_COLD bool hak_profiler_note_free(const void *object);

/* One that may have been noted is about to be resized, and perhaps moved: what hak_profiler_resized
 * is to be told, 0: it was not. */
HAK_COLD uint32_t hak_profiler_take(const void *object);

/* It was resized, or not (`now` NULL). To who reads a profile, a resize frees and allocates. */
HAK_COLD void hak_profiler_resized(uint32_t noted, const void *now, size_t size,
                                   struct hak_profiler_place place);

/* It was given back, or not. */
HAK_COLD void hak_profiler_settle(uint32_t noted, bool is_freed);

/* A heap that the program made, and all its objects, are no more. */
HAK_COLD void hak_profiler_forget_heap(unsigned heap);

/* Bytes that the calling thread may allocate before it reaches the wanted one; < 0: it has not
 * begun. What malloc and new pop from the thread's own front counts there instead (to_sample):
 * which of the counts an object falls to depends on neither, so together they are as good as one.
 * No more than that is thread-local: there is little room for such data in a library that may be
 * opened late. */
extern HAK_HIDDEN HAK_TLS int64_t hak_profiler_left;

/* Written by the thread that starts the library; 0: off. */
extern HAK_HIDDEN uint64_t hak_profiler_rate;

/* Fewer than `size` bytes are left in a count: true, the wanted one was among them and the next one
 * is drawn; or the count begins. */
HAK_COLD bool hak_profiler_reached(int64_t *left, size_t size);

static inline bool hak_profiler_is_on(void)
{
    /* relaxed: publishes nothing */
    return __atomic_load_n(&hak_profiler_rate, __ATOMIC_RELAXED) != 0;
}

/* Counts an object of `size` bytes that need not be noted; false: uncounted, it may have to be. */
static inline bool hak_profiler_lets_pass(size_t size)
{
    int64_t left = hak_profiler_left - (int64_t)size;
    if (hak_unlikely(left < 0))
        return false;
    hak_profiler_left = left;
    return true;
}

/* It was not handed out, after all. */
static inline void hak_profiler_uncount(size_t size)
{
    hak_profiler_left += (int64_t)size;
}

/* Counts an object: whether it is to be noted. */
static inline bool hak_profiler_wants(size_t size)
{
    return hak_unlikely(hak_profiler_is_on()) && !hak_profiler_lets_pass(size) &&
           hak_profiler_reached(&hak_profiler_left, size);
}

/* Usable bytes as they would be if the object had not been sampled: it is to move when others of
 * its size do, or samples of objects that grow would stay while theirs go. */
HAK_COLD size_t hak_profiler_usual_size(const void *object, size_t usable);

static inline bool hak_profiler_keeps(const void *object)
{
    return hak_unlikely(hak_profile_may_hold(object)) && hak_profiler_note_free(object);
}

static inline uint32_t hak_profiler_hold(const void *object)
{
    return hak_unlikely(hak_profile_may_hold(object)) ? hak_profiler_take(object) : 0;
}

#endif
