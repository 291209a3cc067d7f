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
#include "api/paper.h"
#include "api/wake.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "os/compiler.h"
#include "os/memory.h"
#include "os/print.h"
#include "os/section.h"

#if HAK_OVERRIDE_MALLOC

static struct mallinfo2 figures(void)
{
    hak_start();
    struct hak_heap_totals totals;
    if (!hak_section_enter_late())
        return (struct mallinfo2){0}; /* another thread has been forking for long */
    hak_heap_totals(hak_heap_default(), &totals);
    hak_section_leave();
    size_t in_use = totals.in_use_small + totals.in_use_large;
    size_t whales = totals.in_use_whales;
    /* The figures are of slightly different times: differences must not wrap. */
    size_t arena = totals.mapped > whales ? totals.mapped - whales : 0;
    return (struct mallinfo2){
        .arena = arena,
        .hblks = totals.whales,
        .hblkhd = whales,
        .fsmblks = totals.in_fronts,
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
        .hblks = cut(wide.hblks),
        .fsmblks = cut(wide.fsmblks),
        .hblkhd = cut(wide.hblkhd),
        .uordblks = cut(wide.uordblks),
        .fordblks = cut(wide.fordblks),
        .keepcost = cut(wide.keepcost),
    };
}

/* 1 if any memory was given back. The padding at the top of glibc's heap has no meaning here. */
HAK_PUBLIC int malloc_trim(size_t pad)
{
    (void)pad;
    return hak_trim() != 0;
}

HAK_PUBLIC void malloc_stats(void)
{
    hak_print_stats_to_stderr(HAKMEM_TEXT);
}

/* ---- malloc_info ----------------------------------------------------------------------------- */

enum {
    INFO_BYTES = 16 * 1024, /* for the text of one shard, at most */
};

static uint64_t free_in_caches(const uint64_t *class)
{
    return class[HAK_CLASS_FIGURE_IN_TRANSFER_CACHE] + class[HAK_CLASS_FIGURE_IN_INBOX] +
           class[HAK_CLASS_FIGURE_FREE];
}

static uint64_t free_bytes(const struct hak_sheet_shard *shard)
{
    return shard->figures[HAK_FIGURE_IN_TRANSFER_CACHE] + shard->figures[HAK_FIGURE_IN_INBOX] +
           shard->figures[HAK_FIGURE_FREE];
}

/* Free objects by size. */
static void put_sizes(struct hak_writer *writer, const struct hak_sheet_head *head,
                      const struct hak_sheet_shard *shard)
{
    hak_put_text(writer, "<sizes>\n");
    for (unsigned id = 1; id < head->class_count; id++) {
        const uint64_t *class = shard->classes[id];
        uint64_t count = free_in_caches(class) + class[HAK_CLASS_FIGURE_IN_FRONTS];
        if (count != 0)
            hak_put(writer, "  <size from=\"%u\" to=\"%u\" total=\"%lu\" count=\"%lu\"/>\n",
                    head->classes[id].size, head->classes[id].size,
                    (unsigned long)(count * head->classes[id].size), (unsigned long)count);
    }
    hak_put_text(writer, "</sizes>\n");
}

/* What glibc calls fast bins are fronts here; the rest is in transfer caches, inboxes and slabs. */
static void put_totals(struct hak_writer *writer, const struct hak_sheet_head *head,
                       const struct hak_sheet_shard *shard)
{
    uint64_t fast = 0, rest = 0;
    for (unsigned id = 1; id < head->class_count; id++) {
        fast += shard->classes[id][HAK_CLASS_FIGURE_IN_FRONTS];
        rest += free_in_caches(shard->classes[id]);
    }
    hak_put(writer, "<total type=\"fast\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)fast,
            (unsigned long)shard->figures[HAK_FIGURE_IN_FRONTS]);
    hak_put(writer, "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n", (unsigned long)rest,
            (unsigned long)free_bytes(shard));
}

static void put_system(struct hak_writer *writer, const struct hak_sheet_shard *shard)
{
    unsigned long mapped = shard->figures[HAK_FIGURE_MAPPED];
    hak_put(writer,
            "<system type=\"current\" size=\"%lu\"/>\n"
            "<system type=\"max\" size=\"%lu\"/>\n"
            "<aspace type=\"total\" size=\"%lu\"/>\n"
            "<aspace type=\"mprotect\" size=\"%lu\"/>\n",
            mapped, mapped, mapped, mapped);
}

/* Writes the text that the buffer holds, and empties the buffer. 0 or -1. */
static int put_out(struct hak_writer *writer, FILE *stream)
{
    hak_writer_flush(writer);
    int refused = fputs(writer->buffer, stream) < 0 ? -1 : 0;
    *writer = hak_writer_to_buffer(writer->buffer, writer->capacity);
    return refused;
}

static int put_info(struct hak_writer *writer, const struct hak_paper *paper, FILE *stream)
{
    const struct hak_sheet_head *head = &paper->sheet->head;
    int refused = 0;
    hak_put_text(writer, "<malloc version=\"1\">\n");
    for (unsigned i = 0; i < head->shard_count && refused == 0; i++) {
        const struct hak_sheet_shard *shard = &paper->sheet->shards[i];
        hak_put(writer, "<heap nr=\"%u\">\n", i);
        put_sizes(writer, head, shard);
        put_totals(writer, head, shard);
        put_system(writer, shard);
        hak_put_text(writer, "</heap>\n");
        refused = put_out(writer, stream);
    }
    put_totals(writer, head, paper->total);
    hak_put(writer, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n",
            (unsigned long)head->figures[HAK_PROCESS_FIGURE_WHALES],
            (unsigned long)head->figures[HAK_PROCESS_FIGURE_WHALE_BYTES]);
    put_system(writer, paper->total);
    hak_put_text(writer, "</malloc>\n");
    return refused == 0 ? put_out(writer, stream) : refused;
}

/* In glibc's form, for programs that parse it: a shard is a heap. */
HAK_PUBLIC int malloc_info(int options, FILE *stream)
{
    struct hak_paper paper;
    if (options != 0)
        return EINVAL;
    hak_start();
    char *text = hak_os_map(INFO_BYTES, hak_os_page_size());
    if (text == NULL || !hak_paper_take(&paper)) {
        if (text != NULL)
            hak_os_release(text, INFO_BYTES, HAK_OS_PLAIN);
        errno = ENOMEM;
        return -1;
    }
    struct hak_writer writer = hak_writer_to_buffer(text, INFO_BYTES);
    int refused = put_info(&writer, &paper, stream);
    hak_paper_drop(&paper);
    hak_os_release(text, INFO_BYTES, HAK_OS_PLAIN);
    return refused;
}

/* ---- mallopt --------------------------------------------------------------------------------- */

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

HAK_PUBLIC struct mallinfo __libc_mallinfo(void) __attribute__((leaf, nothrow, alias("mallinfo")));
HAK_PUBLIC int __libc_mallopt(int, int) __attribute__((leaf, nothrow, alias("mallopt")));

#endif
