/* SPDX-License-Identifier: MIT */
/* hakmem: a sharded malloc for Linux. The public interface, and nothing else is public.
 *
 * What holds for every function here unless it says otherwise:
 *
 *   threads    Any thread may call any function at any time; whatever one thread allocated
 *              another may free. Not for signal handlers.
 *   sizes      Bytes. An object begins at a multiple of 16. A size of 0 gives an object of its
 *              own that holds nothing.
 *   ownership  What an allocating function returns is the caller's until it gives the object to
 *              hakmem_free, to hakmem_realloc, or to one of the functions that are named after
 *              free. The names with and without prefix are one family: malloc's objects may go
 *              to hakmem_free and hakmem_malloc's to free, as long as both are this library's.
 *   errors     NULL, with errno ENOMEM: no memory, or a size above PTRDIFF_MAX. Nobody touches
 *              errno on success, and freeing never does.
 *   since      0.1.
 *
 * A program needs none of this to use the library: malloc, free, new, delete and their relatives
 * are defined by it, whether it is linked or preloaded. hakmem(7) tells the environment
 * variables. */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HAKMEM_API __attribute__((visibility("default")))
/* The result is memory that nothing else points to. */
#define HAKMEM_RETURNS_FRESH __attribute__((malloc, warn_unused_result))
#define HAKMEM_MUST_USE __attribute__((warn_unused_result))
#else
#define HAKMEM_API
#define HAKMEM_RETURNS_FRESH
#define HAKMEM_MUST_USE
#endif

/* The version of this header, to be compared with what hakmem_version() tells of the library. */
#define HAKMEM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ the malloc family */

/* An object of at least `size` bytes, of any content. */
HAKMEM_API void *hakmem_malloc(size_t size) HAKMEM_RETURNS_FRESH;

/* An object of at least `count` times `size` bytes, all zero. A product that does not fit in a
 * size_t is ENOMEM. */
HAKMEM_API void *hakmem_calloc(size_t count, size_t size) HAKMEM_RETURNS_FRESH;

/* Makes an object hold `size` bytes: the result holds what `object` held, as far as both sizes
 * reach, and `object` is no longer the caller's (often both are the same address). NULL as
 * object: as hakmem_malloc. Size 0: frees the object and returns NULL, errno untouched. On
 * failure the object stays as it was, and the caller's. Making an object smaller does not fail. */
HAKMEM_API void *hakmem_realloc(void *object, size_t size) HAKMEM_MUST_USE;

/* hakmem_realloc to `count` times `size` bytes. A product that does not fit is ENOMEM. */
HAKMEM_API void *hakmem_reallocarray(void *object, size_t count, size_t size)
    HAKMEM_MUST_USE;

/* An object that begins at a multiple of `alignment`, a power of two, otherwise EINVAL. The size
 * need not be a multiple of the alignment. */
HAKMEM_API void *hakmem_aligned_alloc(size_t alignment, size_t size) HAKMEM_RETURNS_FRESH;

/* The same by POSIX's rules: 0, and the object at *result; EINVAL when `alignment` is no power
 * of two or less than sizeof(void *); ENOMEM, which is also written to errno, as by glibc. On
 * failure *result keeps its value. */
HAKMEM_API int hakmem_posix_memalign(void **result, size_t alignment, size_t size)
    HAKMEM_MUST_USE;

/* Ends an object's life. NULL is ignored. A pointer that is no live object of this library is an
 * error of the program: HAKMEM_MISUSE says what happens then. */
HAKMEM_API void hakmem_free(void *object);

/* hakmem_free for a caller that knows the size it asked for (C23). */
HAKMEM_API void hakmem_free_sized(void *object, size_t size);

/* hakmem_free for a caller that knows alignment and size of its hakmem_aligned_alloc (C23). */
HAKMEM_API void hakmem_free_aligned_sized(void *object, size_t alignment, size_t size);

/* Bytes that may be used at `object`: what was asked for or more. 0 for NULL, and for a pointer
 * that can be told to be none of ours. */
HAKMEM_API size_t hakmem_usable_size(const void *object);

/* ------------------------------------------------------------------ what is in force */

/* "0.1.0": the library's version, a string that lives as long as the program. */
HAKMEM_API const char *hakmem_version(void);

/* Shards of the default heap, at least 1. */
HAKMEM_API unsigned hakmem_shard_count(void);

/* What is really in force, which may be less than what HAKMEM_SHARD and HAKMEM_FRONT asked for:
 * one line without an end of line, such as
 * "shards=8 by=cpu front=thread (no rseq) remote=home bind=preferred". front= is followed by why it
 * is not what HAKMEM_FRONT or HAKMEM_SHARD asked for, if it is not: "(no rseq)", "(self-test
 * failed)", "(rseq is not to be trusted here)", "(no memory)". bind= is
 * what HAKMEM_BIND asked for where it is in force; else the step of the ladder that is, and why:
 * "first-touch (EPERM)", "first-touch (a shard spans nodes)", "plain (one node)", "plain (not this
 * machine)". Written to `buffer`, cut to `size` bytes with the ending NUL; `size` may be 0. Returns
 * the length of the whole text without its NUL, as snprintf does. */
HAKMEM_API size_t hakmem_mode(char *buffer, size_t size);

enum hakmem_format {
    HAKMEM_TEXT, /* for people: several lines, counters of 0 are left out */
    HAKMEM_JSON  /* for programs: one object on one line, every counter */
};

/* Writes what the shards have done so far to a file descriptor. The figures are read while other
 * threads run, so they may be of slightly different moments. Nothing is allocated from the heap. */
HAKMEM_API void hakmem_stats_print(int fd, enum hakmem_format format);

/* Cuts the running process's shards anew: `mode` is a value of HAKMEM_SHARD. Objects stay where
 * they are and stay valid; what is freed of shards that serve no CPU any more is taken over by the
 * others. Threads follow with their next refill; fronts stay per thread or per CPU, as they are.
 * 0, or -1 with errno: EINVAL (not a mode), ENOMEM (nothing has changed). Any thread; opens files
 * of /sys, may take milliseconds. Since 0.1. */
HAKMEM_API int hakmem_reshard(const char *mode);

/* Looks at the machine again and cuts the shards as they were asked for last: after CPUs were
 * plugged in or out, or the process's cpuset or affinity changed (the CPUs count that the calling
 * thread or the first one may use). Objects stay valid, as in hakmem_reshard. Nothing else looks at
 * the machine again but the thread of HAKMEM_BACKGROUND=1: a CPU that is new is served by the shard
 * of another until then. What HAKMEM_TOPOLOGY=hwloc told is asked of sysfs from now on; a machine
 * that is not this one does not change. 0, or -1 with errno ENOMEM
 * (nothing has changed). Any thread; opens files of /sys, may take milliseconds. Since 0.1. */
HAKMEM_API int hakmem_topology_refresh(void);

/* Writes to a file descriptor the machine as the shards were cut for it: nodes, L3 domains, CPUs,
 * shards, and whom each shard asks for memory, in which order. What `hakmem topo` shows. 0, or -1
 * with errno ENOMEM. Any thread; opens files of /sys. Since 0.1. */
HAKMEM_API int hakmem_topology_print(int fd, enum hakmem_format format);

/* ------------------------------------------------------------------ placement
 *
 * Shards are numbered 0 .. hakmem_shard_count() - 1, nodes by the kernel's ids (as in numactl -H).
 * What these functions allocate goes to plain free like everything else; hakmem_realloc keeps the
 * content but promises nothing about the place. All of it works on every machine: where the kernel
 * does not let memory be bound (hakmem_mode() tells), on a machine of one node, or where the
 * topology is a made-up one, memory comes all the same, from wherever it is touched first. Since
 * 0.1. */

/* An object of a shard's memory, whoever calls. NULL with errno EINVAL: no such shard; ENOMEM. It
 * costs a lock, which an allocation by a pinned thread does not. */
HAKMEM_API void *hakmem_malloc_on_shard(size_t size, unsigned shard) HAKMEM_RETURNS_FRESH;

/* An object that lies on a node, whoever calls: of a shard there; or, on a node that has memory
 * but no shard (no CPUs, or fewer shards than nodes), or when HAKMEM_BIND keeps shards from being
 * bound, a mapping of its own of 128 KiB at least. A full node spills to the nearest, with
 * HAKMEM_BIND=bind it is ENOMEM. EINVAL: no such node, or none with memory. */
HAKMEM_API void *hakmem_malloc_on_node(size_t size, int node) HAKMEM_RETURNS_FRESH;

/* An object whose kernel pages lie on several nodes in turn: bit n of `nodemask` is node n; 0:
 * all that have memory. A mapping of its own (128 KiB at least), aligned to 2 MiB; where the
 * kernel uses huge pages, those are what is dealt out. EINVAL: none of the nodes has memory. */
HAKMEM_API void *hakmem_malloc_interleaved(size_t size, uint64_t nodemask) HAKMEM_RETURNS_FRESH;

/* From now on the calling thread allocates from this shard, on whatever CPU it runs (where caches
 * are kept per CPU it gets one of its own). Up to 32 KiB an object may also be one that lay free at
 * another shard of the same node. The thread is not moved: bind it to the CPUs of
 * hakmem_shard_info() yourself. 0; or -1 with errno: EINVAL (no such shard), ENOTSUP (no caches
 * here: little address space), ENOMEM. Until hakmem_unpin_thread, or the thread's end. */
HAKMEM_API int hakmem_pin_thread(unsigned shard);
HAKMEM_API void hakmem_unpin_thread(void);

/* The shard that an object belongs to; -1 with errno EINVAL for what is none of ours. No system
 * call. */
HAKMEM_API int hakmem_shard_of(const void *object);

/* The node that an object's memory was taken from, as far as the library asked the kernel for
 * one. -1 with errno: EINVAL (none of ours), ENOENT (from wherever it is touched). No system
 * call. */
HAKMEM_API int hakmem_node_of(const void *object);

/* The node on which the kernel page at `address` really lies now: asks the kernel, for any
 * address of the process. -1 with errno: ENOENT (no page there: not touched, or not mapped), EPERM
 * or ENOSYS (the kernel does not tell). */
HAKMEM_API int hakmem_node_resident(const void *address);

/* Moves an object to a node: its kernel pages, with whatever else lies on them; a mapping of its
 * own stays bound there. 0; or -1 with errno: EINVAL (no object of ours, no such node with
 * memory), EPERM or ENOSYS (the kernel does not let it), ENOMEM (part of it could not be moved).
 * The content stays, other threads may go on using it. Takes about a microsecond a page. */
HAKMEM_API int hakmem_move(const void *object, int node);

/* Moves a whole shard: what it has, and what it maps from now on. Errors as in hakmem_move. May
 * take seconds, in which allocations from that shard wait. */
HAKMEM_API int hakmem_move_shard(unsigned shard, int node);

/* What is told of a shard. */
struct hakmem_shard_info {
    int node;            /* of its memory; -1: none in particular */
    unsigned cpus;       /* CPUs that it serves; 0: all, the machine was not looked at */
    size_t bytes_mapped; /* got from the kernel for it, and not given back */
    uint64_t binds;      /* mappings bound, and how many of them began on another node, */
    uint64_t spilled;    /* for theirs was full */
    char cpu_list[128];  /* "0-3,8-11"; cut at the end */
};

/* Fills in the first `size` bytes of *info, sizeof *info as the caller knows it. 0, or -1 with
 * errno EINVAL: no such shard. */
HAKMEM_API int hakmem_shard_info(unsigned shard, struct hakmem_shard_info *info, size_t size);

/* ------------------------------------------------------------------ giving memory back */

/* Hands the objects that are cached for the calling thread back to the shards, so that others may
 * use them: for a thread that is about to be idle for long. The next allocation fills the cache
 * anew. */
HAKMEM_API void hakmem_thread_flush(void);

/* Gives back to the kernel what lies unused in all shards; the calling thread's cache is flushed
 * first, those of other threads stay. May take milliseconds. Returns the bytes given back. */
HAKMEM_API size_t hakmem_trim(void);

enum {
    HAKMEM_ALL_SHARDS = -1
};

/* The same in measure: of one shard (0 .. hakmem_shard_count() - 1) or HAKMEM_ALL_SHARDS; until at
 * least `bytes` were given back (0: all there is) or `milliseconds` have passed (0: no limit of
 * time; looked at between shards and size classes, so a call may take a little longer). Works from
 * any thread on what all threads left in the shards, idle ones included; whales, and what lies in
 * CPUs' caches, belong to all shards together. The last shard's purge may give back more than was
 * asked for. Returns the bytes given back; 0 with errno EINVAL: no such shard. Since 0.1. */
HAKMEM_API size_t hakmem_purge(int shard, size_t bytes, unsigned milliseconds);

#ifdef __cplusplus
}
#endif

#endif
