/* SPDX-License-Identifier: MIT */
/* The functions of <malloc.h> that query and tune glibc's allocator, with answers for this one. Any
 * thread.
 *
 * In glibc's words, whales are "mmapped blocks" and all other memory is the "arena". "In use" is
 * what the program holds: runs, and objects that are not free in slabs, transfer caches, inboxes or
 * fronts. No thread is stopped for these figures, so they lag behind threads that allocate. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "api/control.h"
#include "api/malloc_slow.h"
#include "api/wake.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "os/compiler.h"
#include "os/print.h"
#include "os/section.h"

#if HAK_OVERRIDE_MALLOC

static struct mallinfo2 figures(void)
{
    hak_start();
    struct hak_heap_totals totals;
    if (!hak_section_enter_late())
        return (struct mallinfo2){0};    /* another thread has been forking for long */
    hak_heap_totals(hak_heap_default(), &totals);
    hak_section_leave();
    size_t in_use = totals.in_use_small + totals.in_use_large;
    size_t whales = totals.in_use_whales;
    /* The figures are of slightly different times: differences must not wrap. */
    size_t arena = totals.mapped > whales ? totals.mapped - whales : 0;
    return (struct mallinfo2){
        .arena = arena,
        .hblkhd = whales,
        .uordblks = in_use,
        .fordblks = arena > in_use ? arena - in_use : 0,
        .keepcost = totals.cached,
    };
}

/* For the old mallinfo, whose fields are ints. */
static int cut(size_t figure)
{
    return figure < INT_MAX ? (int)figure : INT_MAX;
}

HAK_PUBLIC struct mallinfo2 mallinfo2(void)
{
    return figures();
}

HAK_PUBLIC struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = figures();
    return (struct mallinfo){
        .arena = cut(wide.arena),
        .hblkhd = cut(wide.hblkhd),
        .uordblks = cut(wide.uordblks),
        .fordblks = cut(wide.fordblks),
        .keepcost = cut(wide.keepcost),
    };
}

/* 1 if any memory was given back. The padding that glibc leaves at its heap's top has no
 * meaning. */
HAK_PUBLIC int malloc_trim(size_t pad)
{
    (void)pad;
    return hak_trim() != 0;
}

HAK_PUBLIC void malloc_stats(void)
{
    hak_print_stats_to_stderr(HAKMEM_TEXT);
}

/* In the form of glibc's sums over all arenas, for programs that parse it. */
HAK_PUBLIC int malloc_info(int options, FILE *stream)
{
    if (options != 0)
        return EINVAL;
    struct mallinfo2 now = figures();
    char buffer[1024];
    struct hak_writer writer = hak_writer_to_buffer(buffer, sizeof buffer);
    hak_put(&writer,
            "<malloc version=\"1\">\n"
            "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
            "<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
            "<total type=\"mmap\" count=\"0\" size=\"%zu\"/>\n",
            now.fordblks, now.hblkhd);
    hak_put(&writer,
            "<system type=\"current\" size=\"%zu\"/>\n"
            "<system type=\"max\" size=\"%zu\"/>\n"
            "<aspace type=\"total\" size=\"%zu\"/>\n"
            "<aspace type=\"mprotect\" size=\"%zu\"/>\n"
            "</malloc>\n",
            now.arena, now.arena, now.arena, now.arena);
    hak_writer_flush(&writer);
    return fputs(buffer, stream) < 0 ? -1 : 0;
}

/* 1 for parameters that glibc knows, although they have no effect here: HAKMEM_ variables tune this
 * library. */
HAK_PUBLIC int mallopt(int parameter, int value)
{
    (void)value;
    switch (parameter) {
    case M_MXFAST:
    case M_NLBLKS:
    case M_GRAIN:
    case M_KEEP:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1;
    default:
        return 0;
    }
}

HAK_PUBLIC struct mallinfo __libc_mallinfo(void)
    __attribute__((leaf, nothrow, alias("mallinfo")));
HAK_PUBLIC int __libc_mallopt(int, int) __attribute__((leaf, nothrow, alias("mallopt")));

#endif
