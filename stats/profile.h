/* SPDX-License-Identifier: MIT */
/* The tables of the heap profile: which call stacks allocated how much, and how much of it lives.
 * They lie in one piece of memory that another process may read (os/memfd.h). The reader trusts
 * nothing in it (hak_profile_check), and sees only whole rows, since a row is written before it is
 * counted.
 *
 *     header | rows, one for each stack and shard | frames of the stacks, one after another
 *
 * Beside them, for this process alone, the samples that live, found by address. All tables have a
 * fixed size in addresses; what has no room is counted as lost. Their pages are touched as they are
 * needed.
 *
 * A small object that is sampled has a piece of memory to itself. A few such pieces rest when their
 * objects are freed, for the next samples of the same shard (hak_profile_reuse): the heap is not
 * asked, and the piece is still in the cache. Their addresses stay among those that are found, so a
 * second free is.
 *
 * A sample stands for more than itself: for `scale` objects (stats/chance.h). Figures are sums of
 * these estimates, so readers need no correction. */
#ifndef HAK_STATS_PROFILE_H
#define HAK_STATS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/lock.h"
#include "os/print.h"

/* The name of the file: /proc/PID/fd/N leads to "/memfd:NAME (deleted)". */
#define HAK_PROFILE_NAME "hakmem-profile"

enum {
    HAK_PROFILE_VERSION = 2,
    HAK_PROFILE_DEPTH_MAX = 64, /* frames of a stack */
    HAK_PROFILE_ROWS = 1 << 16,
    HAK_PROFILE_FRAMES = 1 << 20,
    HAK_PROFILE_SAMPLES = 1 << 18, /* that live */
    HAK_PROFILE_REST_LISTS = 16,   /* lists of pieces that rest, by shard, */
    HAK_PROFILE_REST_MOST = 16,    /* and pieces in each; */
    HAK_PROFILE_REST_LEAST = 4,    /* of so many none is used, so that a second free meets it */
    HAK_PROFILE_FRACTION = 1024,   /* objects are counted in such parts */
};

/* The figures of a row, in order. Atomic, relaxed: each number by itself. */
enum hak_profile_figure {
    HAK_PROFILE_LIVE_OBJECTS, /* 1/HAK_PROFILE_FRACTION of objects */
    HAK_PROFILE_LIVE_BYTES,
    HAK_PROFILE_TOTAL_OBJECTS, /* since the start, likewise */
    HAK_PROFILE_TOTAL_BYTES,
    HAK_PROFILE_SAMPLED, /* objects that were sampled: how good the estimate is */
    HAK_PROFILE_FIGURES
};

struct hak_profile_row {
    uint64_t hash;
    uint32_t first; /* frame */
    uint16_t depth;
    uint16_t heap; /* that the program made; 0: the default heap */
    uint32_t shard;
    int32_t node; /* -1: the shard has none */
    uint64_t figures[HAK_PROFILE_FIGURES];
};

struct hak_profile_header {
    char magic[8];
    uint32_t version;
    uint32_t process;
    uint64_t size; /* bytes of all */
    uint64_t rate; /* bytes between two samples on average */
    uint32_t rows; /* rows that are whole; release and acquire */
    uint32_t frames;
    uint64_t lost; /* samples without room */
};

struct hak_profile {
    struct hak_profile_header *header; /* NULL: nothing has been sampled yet */
    struct hak_profile_row *rows;
    uint64_t *frames;
};

/* A sampled object, until it is freed. */
struct hak_profile_sample {
    const void *object;
    size_t size;
    double scale; /* objects that it stands for */
    const uint64_t *stack;
    unsigned depth;
    unsigned shard;
    int node;
    unsigned heap; /* as in struct hak_profile_row */
    bool may_rest; /* its piece of memory, when it is freed */
};

/* Bytes of all tables together. */
size_t hak_profile_size(void);

/* Lays the tables out in zero memory. */
struct hak_profile hak_profile_lay_out(void *memory, uint64_t rate);

/* Notes a sample; under the caller's lock. */
void hak_profile_add(struct hak_profile *profile, const struct hak_profile_sample *sample);

/* The same for a sample that may rest and has no object yet: it gets a piece of memory that rests,
 * which is returned. NULL: nothing is noted, for none of its shard does. Under the lock, too. */
void *hak_profile_reuse(struct hak_profile *profile, const struct hak_profile_sample *sample);

/* Whether the object may be one that was sampled. No lock. */
bool hak_profile_may_hold(const void *object);

enum hak_profile_freed {
    HAK_PROFILE_OF_HEAP, /* the heap may have it back, sampled or not */
    HAK_PROFILE_RESTS,   /* its memory rests now */
    HAK_PROFILE_RESTED,  /* it did already: freed twice */
};

/* The object is freed. Under the caller's lock, as the following. */
enum hak_profile_freed hak_profile_remove(struct hak_profile *profile, const void *object);

/* The size that a small object was sampled with; 0: it was not, or is larger than 64 KiB, or of a
 * heap that the program made. Its memory may have room for more. */
size_t hak_profile_small_size(const void *object);

/* Removes a sample from those that can be found, while its object may move; 0: it was not sampled,
 * or rests. Afterwards it is dropped or put back. */
uint32_t hak_profile_take(const void *object);
void hak_profile_drop(struct hak_profile *profile, uint32_t sample);
void hak_profile_put_back(uint32_t sample);

/* A heap has ended, and its samples with it. Under the lock. */
void hak_profile_drop_heap(struct hak_profile *profile, unsigned heap);

/* Whether another sample has room; if not it counts as lost. No lock. */
bool hak_profile_has_room(const struct hak_profile *profile);

/* In the child of a fork. Its parent's samples are in no row of the child's. Small objects are
 * still found with their sizes, and pieces that rested still rest. Work: by samples that live. */
void hak_profile_inherit(void);

/* The same where another thread of the parent was about to change the tables: no sample lives. */
void hak_profile_forget(void);

/* Checks the tables of another process, `size` readable bytes. NULL, or the fault in words. */
const char *hak_profile_check(struct hak_profile *profile, const void *memory, size_t size);

/* Writes the rows in the text format of gperftools' heap profiles, which pprof, google-pprof and
 * jeprof read; then the mappings that `maps` (a descriptor of /proc/PID/maps, or -1) tells. Takes
 * no lock and allocates nothing; safe in a signal handler. */
void hak_profile_write(const struct hak_profile *profile, int maps, struct hak_writer *writer);

/* The row with the most live bytes after `last` in that order (NULL: of all); of rows with equal
 * bytes the first comes first. NULL: no further row has any. */
const struct hak_profile_row *hak_profile_next(const struct hak_profile *profile,
                                               const struct hak_profile_row *last);

/* A figure of a row, as whole objects or bytes. */
uint64_t hak_profile_figure(const struct hak_profile_row *row, enum hak_profile_figure figure);

#endif
