/* SPDX-License-Identifier: MIT */
/* hakmem: a sharded malloc for Linux. This is the whole public interface.
 *
 * Every function follows these rules unless it says otherwise:
 *
 *   threads    Any thread may call any function at any time, and may free what another thread
 *              allocated. Signal handlers may not call.
 *   sizes      Bytes. An object begins at a multiple of 16. A size of 0 gives a distinct object
 *              that holds nothing.
 *   ownership  The caller owns what an allocating function returns until it passes the object to
 *              hakmem_free, hakmem_realloc, or another function with free in its name. The names
 *              with and without prefix are one family: hakmem_free takes malloc's objects and free
 *              takes hakmem_malloc's, as long as both are this library's.
 *   errors     NULL, with errno ENOMEM: no memory, or a size above PTRDIFF_MAX. Successful calls
 *              do not touch errno, and freeing never does.
 *   since      0.1.
 *
 * A program does not need this header to use the library, which defines malloc, free, new, delete
 * and their relatives, whether it is linked or preloaded. hakmem(7) lists the environment
 * variables. */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HAKMEM_API __attribute__((visibility("default")))
/* The result points to memory that nothing else points to. */
#define HAKMEM_RETURNS_FRESH __attribute__((malloc, warn_unused_result))
#define HAKMEM_MUST_USE      __attribute__((warn_unused_result))
#else
#define HAKMEM_API
#define HAKMEM_RETURNS_FRESH
#define HAKMEM_MUST_USE
#endif

/* The version of this header, to compare with the library's hakmem_version(). */
#define HAKMEM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ the malloc family */

/* An object of at least `size` bytes with undefined content. */
HAKMEM_API void *hakmem_malloc(size_t size) HAKMEM_RETURNS_FRESH;

/* An object of at least `count` times `size` bytes, all zero. ENOMEM if the product overflows. */
HAKMEM_API void *hakmem_calloc(size_t count, size_t size) HAKMEM_RETURNS_FRESH;

/* Resizes an object to `size` bytes. The result holds the content of `object` up to the smaller of
 * both sizes, and the caller no longer owns `object` (often both have the same address). If object
 * is NULL: as hakmem_malloc. If size is 0: frees the object and returns NULL, errno untouched. On
 * failure the object is unchanged and still the caller's. Making an object smaller does not
 * fail. */
HAKMEM_API void *hakmem_realloc(void *object, size_t size) HAKMEM_MUST_USE;

/* hakmem_realloc to `count` times `size` bytes. ENOMEM if the product overflows. */
HAKMEM_API void *hakmem_reallocarray(void *object, size_t count, size_t size) HAKMEM_MUST_USE;

/* An object at a multiple of `alignment`, a power of two, else EINVAL. The size need not be a
 * multiple of the alignment. */
HAKMEM_API void *hakmem_aligned_alloc(size_t alignment, size_t size) HAKMEM_RETURNS_FRESH;

/* The same by POSIX's rules: returns 0, with the object at *result; EINVAL if `alignment` is no
 * power of two or less than sizeof(void *); ENOMEM, which it also writes to errno, as glibc does.
 * On failure *result is unchanged. */
HAKMEM_API int hakmem_posix_memalign(void **result, size_t alignment, size_t size) HAKMEM_MUST_USE;

/* Frees an object; ignores NULL. Any other pointer that is no live object of this library is a
 * program error: HAKMEM_MISUSE says what happens then. */
HAKMEM_API void hakmem_free(void *object);

/* hakmem_free for a caller that knows the requested size (C23). */
HAKMEM_API void hakmem_free_sized(void *object, size_t size);

/* hakmem_free for a caller that knows alignment and size of its hakmem_aligned_alloc (C23). */
HAKMEM_API void hakmem_free_aligned_sized(void *object, size_t alignment, size_t size);

/* Usable bytes at `object`, at least the requested size. 0 for NULL, for an object of size 0, which
 * has no memory (unless HAKMEM_MISUSE is warn or ignore), and for a pointer that the library can
 * tell is not its own. */
HAKMEM_API size_t hakmem_usable_size(const void *object);

/* The least usable bytes of an object of `size` bytes, without making one; 0 for a size of 0 that
 * gets no memory, and for one above PTRDIFF_MAX. Since 0.1. */
HAKMEM_API size_t hakmem_good_size(size_t size);

/* ------------------------------------------------------------------ what is in force */

/* "0.1.0": the library's version, a static string. */
HAKMEM_API const char *hakmem_version(void);

/* Shards of the default heap, at least 1. */
HAKMEM_API unsigned hakmem_shard_count(void);

/* Writes the mode in force as one line without an end of line, such as "shards=8 by=cpu
 * front=thread (no rseq) remote=home bind=preferred". The mode may be less than HAKMEM_SHARD and
 * HAKMEM_FRONT asked for: if front= differs from them, the reason follows: "(no rseq)", "(self-test
 * failed)", "(rseq is not to be trusted here)", "(no memory)". If some of many threads have no
 * front of their own, front= is "thread+cpu" or "thread+shared", by what these use, followed by
 * "(32 threads have their own, 966 came without)". bind= is what HAKMEM_BIND asked for if it is in
 * force, else the step of the ladder and the reason: "first-touch (EPERM)", "first-touch (a shard
 * spans nodes)", "plain (one node)", "plain (not this machine)". The text in `buffer` is cut to
 * `size` bytes with its NUL; `size` may be 0. Returns the length of the whole text without the NUL,
 * as snprintf does. */
HAKMEM_API size_t hakmem_mode(char *buffer, size_t size);

enum hakmem_format {
    HAKMEM_TEXT,      /* for people: several lines, without counters of 0 */
    HAKMEM_JSON,      /* for programs: one object on one line, every counter */
    HAKMEM_PROMETHEUS /* statistics as Prometheus reads them: text format 0.0.4 */
};

/* Writes statistics of the process, the shards and their size classes to a file descriptor;
 * docs/statistics.md has each figure. Other threads run meanwhile, so the figures may be of
 * slightly different moments. Allocates nothing from the heap; without memory from the kernel it
 * writes nothing. Opens no file. */
HAKMEM_API void hakmem_stats_print(int fd, enum hakmem_format format);

/* Writes the heap profile of a process that was started with HAKMEM_PROFILE=RATE to a file
 * descriptor: for each call stack the objects and bytes that live and that were ever allocated,
 * estimated from one sample in RATE bytes, in the text format of gperftools that pprof,
 * google-pprof, jeprof and `hakmem profile` read. Other threads run meanwhile. 0; or -1 with errno:
 * ENOTSUP (started without HAKMEM_PROFILE), or why write(2) failed. Any thread, also in a signal
 * handler; allocates nothing. Since 0.1. */
HAKMEM_API int hakmem_profile_dump(int fd);

/* Builds other shards for the running process; `mode` is a value of HAKMEM_SHARD. Objects keep
 * their addresses and stay valid. If a shard serves no CPU any more, another one takes over its
 * freed objects. Threads switch at their next refill; fronts stay per thread or per CPU. 0, or -1
 * with errno: EINVAL (not a mode), ENOMEM (nothing has changed). Any thread; opens files of /sys,
 * may take milliseconds. Since 0.1. */
HAKMEM_API int hakmem_reshard(const char *mode);

/* Reads the machine again and builds the shards as last requested. For use after CPUs were plugged
 * in or out, or the process's cpuset or affinity changed (the CPUs of the calling thread and of the
 * first thread count). Objects stay valid, as in hakmem_reshard. Otherwise only the thread of
 * HAKMEM_BACKGROUND=1 reads the machine again: until then another CPU's shard serves a new CPU.
 * sysfs replaces what HAKMEM_TOPOLOGY=hwloc reported; an imagined machine does not change. 0, or -1
 * with errno ENOMEM (nothing has changed). Any thread; opens files of /sys, may take milliseconds.
 * Since 0.1. */
HAKMEM_API int hakmem_topology_refresh(void);

/* Writes the machine for which the shards were built to a file descriptor: nodes, L3 domains, CPUs,
 * shards, and the order in which each shard asks others for memory. `hakmem topo` prints this.
 * HAKMEM_PROMETHEUS is taken as HAKMEM_TEXT. 0, or -1 with errno ENOMEM. Any thread; opens files
 * of /sys. Since 0.1. */
HAKMEM_API int hakmem_topology_print(int fd, enum hakmem_format format);

/* ------------------------------------------------------------------ placement
 *
 * Shards are numbered 0 .. hakmem_shard_count() - 1; nodes have the kernel's ids (as in numactl
 * -H). free takes the objects of these functions like all others; hakmem_realloc keeps the content
 * but may change the place. The functions work on every machine. Where the kernel does not let
 * memory be bound (hakmem_mode() tells), on a machine of one node, or with an imagined topology,
 * memory lies where it is touched first. Since 0.1. */

/* An object from a shard's memory, for any caller. NULL with errno EINVAL: no such shard; ENOMEM.
 * It takes a lock, which an allocation by a pinned thread does not. */
HAKMEM_API void *hakmem_malloc_on_shard(size_t size, unsigned shard) HAKMEM_RETURNS_FRESH;

/* An object on a node, for any caller, from a shard there. If the node has memory but no shard (no
 * CPUs, or fewer shards than nodes), or HAKMEM_BIND keeps shards from being bound, the object is a
 * mapping of its own of at least 128 KiB. A full node spills to the nearest; with HAKMEM_BIND=bind
 * it is ENOMEM. EINVAL: no such node, or none with memory. */
HAKMEM_API void *hakmem_malloc_on_node(size_t size, int node) HAKMEM_RETURNS_FRESH;

/* An object whose kernel pages alternate between nodes: bit n of `nodemask` is node n; 0: all that
 * have memory and CPUs, or stand in HAKMEM_NODES. It is a mapping of its own (at least 128 KiB),
 * aligned to 2 MiB; where the kernel uses huge pages, these alternate. EINVAL: none of the nodes
 * has memory. */
HAKMEM_API void *hakmem_malloc_interleaved(size_t size, uint64_t nodemask) HAKMEM_RETURNS_FRESH;

/* Makes the calling thread allocate from this shard, whatever CPU it runs on (if fronts are per
 * CPU, the thread gets its own). An object of up to 32 KiB may also come from free objects of
 * another shard of the same node. This does not move the thread: bind it to the CPUs of
 * hakmem_shard_info() yourself. 0; or -1 with errno: EINVAL (no such shard), ENOTSUP (no fronts
 * here: little address space), ENOMEM. Lasts until hakmem_unpin_thread or the thread's end. */
HAKMEM_API int hakmem_pin_thread(unsigned shard);
HAKMEM_API void hakmem_unpin_thread(void);

/* The shard that an object belongs to, of its heap's; -1 with errno EINVAL if it is not the
 * library's. No system call. */
HAKMEM_API int hakmem_shard_of(const void *object);

/* The node that the library requested an object's memory from. -1 with errno: EINVAL (not the
 * library's), ENOENT (no node requested: first touch decides). No system call. */
HAKMEM_API int hakmem_node_of(const void *object);

/* The node of the kernel page at `address` now: asks the kernel, for any address of the process. -1
 * with errno: ENOENT (no page there: not touched, or not mapped), EPERM or ENOSYS (the kernel does
 * not tell). */
HAKMEM_API int hakmem_node_resident(const void *address);

/* Moves an object's kernel pages to a node, with all else on these pages; a mapping of its own
 * stays bound there. 0; or -1 with errno: EINVAL (not the library's object, or no such node with
 * memory), EPERM or ENOSYS (the kernel refuses), ENOMEM (part could not be moved). The content is
 * kept, and other threads may use the object meanwhile. Takes about a microsecond a page. */
HAKMEM_API int hakmem_move(const void *object, int node);

/* Moves a whole shard: the memory it has, and what it maps later. Errors as in hakmem_move. May
 * take seconds, in which allocations from that shard wait. */
HAKMEM_API int hakmem_move_shard(unsigned shard, int node);

/* Description of a shard. */
struct hakmem_shard_info {
    int node;            /* node of its memory; -1: none in particular */
    unsigned cpus;       /* CPUs that it serves; 0: all, the topology was not read */
    size_t bytes_mapped; /* mapped from the kernel for it and not given back */
    uint64_t binds;      /* mappings bound */
    uint64_t spilled;    /* of these, on another node because theirs was full */
    char cpu_list[128];  /* "0-3,8-11"; cut at the end */
};

/* Fills in the first `size` bytes of *info; pass the caller's sizeof *info. 0, or -1 with errno
 * EINVAL: no such shard. */
HAKMEM_API int hakmem_shard_info(unsigned shard, struct hakmem_shard_info *info, size_t size);

/* ------------------------------------------------------------------ giving memory back */

/* Gives the objects in the calling thread's cache back to the shards, for others to use: for a
 * thread that will be idle for long. The next allocation refills the cache. */
HAKMEM_API void hakmem_thread_flush(void);

/* Gives all unused memory of the shards back to the kernel. Flushes the calling thread's cache
 * first, but not those of other threads. May take milliseconds. Returns the bytes given back. */
HAKMEM_API size_t hakmem_trim(void);

enum { HAKMEM_ALL_SHARDS = -1 };

/* The same within limits: from one shard (0 .. hakmem_shard_count() - 1) or HAKMEM_ALL_SHARDS;
 * until at least `bytes` were given back (0: all) or `milliseconds` have passed (0: no limit;
 * checked between shards and size classes, so a call may take slightly longer). Works from any
 * thread on what all threads, idle ones included, left in the shards. Whales and the contents of
 * CPU fronts belong to all shards together. The last shard's purge may give back more than
 * requested. Returns the bytes given back; 0 with errno EINVAL: no such shard. Since 0.1. */
HAKMEM_API size_t hakmem_purge(int shard, size_t bytes, unsigned milliseconds);

/* ------------------------------------------------------------------ heaps
 *
 * A heap is memory apart from all other memory of the process: in shards of its own, on nodes and
 * in pages of its own choice, with a limit of its own, and freed as a whole. For databases: a
 * buffer pool for each node, an arena for each query.
 *
 * Any thread may use any heap. free, realloc and malloc_usable_size (with and without prefix) take
 * its objects, too: realloc keeps an object in its heap. Unless HAKMEM_HEAP_FRONTS is asked for, no
 * front and no cache of a thread holds anything of a heap, so what is freed may be taken again at
 * once, by any thread, and a second free of the same object is always detected.
 *
 * Each heap of one shard costs some 30 KiB; a heap maps at least 2 MiB for objects up to 1 KiB, as
 * much for those up to 32 KiB, and as much for larger ones, each when the first of them is asked
 * for. At most 65535 shards of all heaps are alive at once.
 *
 * Until another thread's fork is over, at most a second, calls on heaps wait. Since 0.1. */

/* Which CPUs share a shard. More shards: less waiting, more memory that is partly used. */
enum hakmem_heap_sharding {
    HAKMEM_HEAP_ONE,  /* one shard for all */
    HAKMEM_HEAP_NODE, /* one for each node that has CPUs */
    HAKMEM_HEAP_L3,
    HAKMEM_HEAP_CPU
};

/* On which nodes memory lies. If the kernel does not let memory be bound (hakmem_mode() tells), or
 * there is one node, it lies where it is touched first. */
enum hakmem_heap_placement {
    HAKMEM_HEAP_LOCAL,      /* each shard on its CPUs' node, by the rules of HAKMEM_BIND; the only
                               shard of HAKMEM_HEAP_ONE where it is touched first */
    HAKMEM_HEAP_PREFER,     /* on `nodes`, the shard's own first if it is one of them; if they are
                               full, elsewhere */
    HAKMEM_HEAP_BIND,       /* on `nodes` only: ENOMEM if they are full. Memory is present from when
                               it is mapped, and stays until the heap is purged */
    HAKMEM_HEAP_INTERLEAVE, /* page by page over `nodes`, 0: over all that have memory and CPUs */
    HAKMEM_HEAP_WEIGHTED    /* the same by the weights that the administrator has set in
                               /sys/kernel/mm/mempolicy/weighted_interleave; before Linux 6.9 as
                               HAKMEM_HEAP_INTERLEAVE */
};

enum hakmem_heap_pages {
    HAKMEM_HEAP_PAGES_DEFAULT, /* as the system is set */
    HAKMEM_HEAP_PAGES_HUGE,    /* asks for transparent huge pages */
    HAKMEM_HEAP_PAGES_SMALL,   /* asks for none */
    HAKMEM_HEAP_PAGES_HUGETLB  /* explicit huge pages for objects above 32 KiB, while the
                                     administrator's last; then as DEFAULT */
};

/* Flags. */
enum {
    HAKMEM_HEAP_NO_DUMP = 1,  /* not in core dumps */
    HAKMEM_HEAP_POPULATE = 2, /* memory is present from when it is mapped, and kept until
                                 hakmem_heap_purge, the heap's end, or a call that would exceed its
                                 limit */
    HAKMEM_HEAP_FRONTS = 4    /* each thread keeps a stock of free objects up to 1 KiB, at most 190
                                 KiB of them, for hakmem_heap_malloc, _calloc and _free: as fast as
                                 hakmem_malloc; a second free, and a free to another heap, may be
                                 found late or not at all. At most eight heaps a thread; none where
                                 membarrier(2) is refused, with HAKMEM_MISUSE=check or with a
                                 profile (HAKMEM_PROFILE) */
};

struct hakmem_heap;

/* Zero all of it, set `size`, then what is wanted: zero is the default of each field. */
struct hakmem_heap_options {
    size_t size; /* sizeof (struct hakmem_heap_options) */
    enum hakmem_heap_sharding sharding;
    enum hakmem_heap_placement placement;
    enum hakmem_heap_pages pages;
    unsigned flags;    /* HAKMEM_HEAP_NO_DUMP, HAKMEM_HEAP_POPULATE, HAKMEM_HEAP_FRONTS */
    uint64_t nodes;    /* bit n: node n by the kernel's id, for `placement` */
    size_t limit;      /* bytes that the heap may map, in units of 2 MiB; what would exceed it is
                          ENOMEM. 0: no limit */
    size_t soft_limit; /* mapped bytes from which soft_limit_reached is called, once until there are
                          fewer. 0: never */
    /* Called by the thread whose call reached the limit, at the end of that call, outside all
     * locks: it may call any function, also on this heap, but not destroy it. */
    void (*soft_limit_reached)(struct hakmem_heap *heap, size_t mapped, void *argument);
    void *argument; /* handed to it */
};

/* A heap, to be passed to hakmem_heap_destroy; `options` NULL: all defaults. NULL with errno:
 * EINVAL (an unknown value or flag, a node that does not exist or has no memory, LOCAL with nodes,
 * PREFER or BIND without, a limit below 2 MiB, a soft limit above it or without a function, a size
 * that this library does not know); ENOMEM (no memory for descriptors, or too many shards). Then
 * nothing was made. The first heap of each kind of sharding may open files of /sys; memory for
 * objects is mapped when it is asked for. Since 0.1. */
HAKMEM_API struct hakmem_heap *hakmem_heap_create(const struct hakmem_heap_options *options)
    HAKMEM_MUST_USE;

/* Frees all objects of a heap and the heap, in a time in proportion to its mappings, however many
 * objects there are. Calls that other threads have begun on the heap are waited for; calls begun
 * later are refused (EINVAL), and what they free is gone already, or misuse. Afterwards the heap
 * must not be used any more: the next heap may have its address. 0; or -1 with errno: EINVAL
 * (destroyed already, or being destroyed), EBUSY (a call, or a fork, did not end within ten
 * seconds: the heap lives on; what was freed meanwhile stays until its end). Not from
 * soft_limit_reached. Since 0.1. */
HAKMEM_API int hakmem_heap_destroy(struct hakmem_heap *heap);

/* As hakmem_malloc and its relatives, from the heap. NULL with errno ENOMEM: the limit, or no
 * memory; nothing of the heap is lost then. EINVAL: the heap is destroyed, or the alignment is no
 * power of two. Since 0.1. */
HAKMEM_API void *hakmem_heap_malloc(struct hakmem_heap *heap, size_t size) HAKMEM_RETURNS_FRESH;
HAKMEM_API void *hakmem_heap_calloc(struct hakmem_heap *heap, size_t count,
                                    size_t size) HAKMEM_RETURNS_FRESH;
HAKMEM_API void *hakmem_heap_aligned_alloc(struct hakmem_heap *heap, size_t alignment,
                                           size_t size) HAKMEM_RETURNS_FRESH;

/* As hakmem_realloc, for an object of this heap or NULL. An object that is none of this heap's is a
 * program error, as in hakmem_heap_free. Since 0.1. */
HAKMEM_API void *hakmem_heap_realloc(struct hakmem_heap *heap, void *object,
                                     size_t size) HAKMEM_MUST_USE;

/* Frees an object of this heap; ignores NULL. Anything else is a program error, for HAKMEM_MISUSE:
 * an object of another heap, one that was freed, or whose heap was destroyed. Since 0.1. */
HAKMEM_API void hakmem_heap_free(struct hakmem_heap *heap, void *object);

/* Usable bytes at an object of any heap, as hakmem_usable_size. Since 0.1. */
HAKMEM_API size_t hakmem_heap_usable_size(const void *object);

/* The heap that an object belongs to. NULL with errno: ENOENT (the default heap's), EINVAL (none of
 * this library's). No system call. Since 0.1. */
HAKMEM_API struct hakmem_heap *hakmem_heap_of(const void *object);

/* Figures of a heap, in bytes where nothing else is said. */
struct hakmem_heap_stats {
    size_t mapped;     /* from the kernel, now */
    size_t peak;       /* and at most so far */
    size_t used;       /* in objects that the program holds, rounded up to their classes */
    size_t used_small; /* of these, in objects of up to 32 KiB */
    size_t slabs;      /* in slabs, from which these are cut */
    size_t cached;     /* unused, with pages behind */
    size_t limit;
    size_t soft_limit;
    uint64_t refused; /* mappings that the limit refused; a call may try several */
    unsigned shards;
    size_t metadata; /* the default heap's: the library's own, for all heaps */
    size_t holes;    /* in slabs, but without pages behind: no object is there */
    size_t fronts;   /* in free objects of threads' fronts, with HAKMEM_HEAP_FRONTS */
};

/* Fills in the first `size` bytes of *stats; pass the caller's sizeof *stats. Heap NULL is the
 * default one, without peak and limits (0). Other threads run meanwhile, so the figures may be of
 * slightly different moments. 0, or -1 with errno EINVAL: the heap is destroyed. Since 0.1. */
HAKMEM_API int hakmem_heap_stats(struct hakmem_heap *heap, struct hakmem_heap_stats *stats,
                                 size_t size);

/* Gives all unused memory of a heap back to the kernel, as hakmem_trim does for all heaps. Returns
 * the bytes given back; 0 with errno EINVAL: the heap is destroyed. May take milliseconds. Since
 * 0.1. */
HAKMEM_API size_t hakmem_heap_purge(struct hakmem_heap *heap);

/* How well the memory around an object is used. */
struct hakmem_page_use {
    size_t object_size;    /* usable bytes of each object of the slab */
    unsigned slab_objects; /* objects that the slab holds */
    unsigned slab_free;    /* of these free; what lies in fronts and caches counts as used */
    size_t class_objects;  /* the same of all slabs of the same size in the same shard */
    size_t class_free;
};

/* The hint that an active defragmentation wants: 1 if the object (up to 32 KiB, of any heap) lies
 * in a slab that has free objects and is at most an eighth fuller than the average slab of its size
 * and shard: copies (hakmem_malloc_direct) lie in fewer slabs, and this one falls empty; else 0. -1
 * with errno: EINVAL (not an object), ENOENT (larger than 32 KiB: it shares its pages with no
 * other). Fills in the first `size` bytes of *use unless that is NULL. The figures may be a moment
 * old. No system call. Since 0.1. */
HAKMEM_API int hakmem_page_utilisation(const void *object, struct hakmem_page_use *use,
                                       size_t size);

/* As hakmem_malloc and hakmem_free, past all fronts and caches: the object comes out of the fullest
 * slab of the shard in use here, or where that has no free one, of the node's other shards, and
 * goes back into its own. For the copies of an active defragmentation: the others would hand out
 * again what was moved away. Above 32 KiB there is no difference; a heap's objects always come and
 * go so. Each takes a lock or some. Any thread. Since 0.1. */
HAKMEM_API void *hakmem_malloc_direct(size_t size) HAKMEM_RETURNS_FRESH;
HAKMEM_API void hakmem_free_direct(void *object);

#ifdef __cplusplus
}
#endif

#endif
