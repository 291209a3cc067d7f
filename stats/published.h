/* SPDX-License-Identifier: MIT */
/* A published page: the statistics of a process in memory that others may read (HAKMEM_PUBLISH).
 *
 *     | head | sheet: head, shards ... (room for more) | regions ... (room) |
 *
 * The head is written once, before anybody can find the page. It names the layout: a version, and a
 * number made of all names and sizes, so that a tool with other tables does not misread the page.
 * The sheet is as in sheet.h; its parts have sequences. Regions show the slabs. They are written in
 * portions, so an entry may come from an older walk.
 *
 * Writing: one thread of the process at a time. Reading: another process, which trusts nothing: it
 * copies by read(2), so that nothing changes or vanishes meanwhile, and checks the copy. */
#ifndef HAK_STATS_PUBLISHED_H
#define HAK_STATS_PUBLISHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/print.h"
#include "stats/sheet.h"

enum {
    HAK_PUBLISHED_VERSION = 1,
    HAK_PUBLISHED_SHARDS = 4096,  /* room; further shards are left out */
    HAK_PUBLISHED_REGIONS = 4096, /* 8 GiB of slabs */
    HAK_PUBLISHED_PAGES = 32,     /* of 64 KiB in a region, the header's included */
};

/* What the file is called where it is found: /proc/PID/fd/N leads to "/memfd:NAME (deleted)". */
#define HAK_PUBLISHED_NAME "hakmem-statistics"

struct hak_published_head {
    char magic[8];
    uint32_t version;
    uint32_t layout; /* hak_published_layout */
    uint64_t size;   /* of the page */
    uint64_t shard_room;
    uint64_t region_room;
};

struct hak_published_region {
    uint64_t address;
    uint32_t shard;       /* of the shard */
    int32_t node;         /* that the shard is bound to, or -1 */
    uint32_t free_pages;  /* bit p: page p belongs to no slab; page 0 is the header */
    uint32_t dirty_pages; /* free pages that the kernel still backs */
    uint8_t class_id[HAK_PUBLISHED_PAGES]; /* of the slab that begins at the page; 0: none */
    uint8_t used[HAK_PUBLISHED_PAGES];     /* percent of its objects that are not free in it */
};

struct hak_published_regions {
    uint64_t count;    /* entries in use, in the last whole walk */
    uint64_t left_out; /* regions without room, in the same walk */
    struct hak_published_region region[HAK_PUBLISHED_REGIONS];
};

/* Bytes of a page, and where its parts begin. */
size_t hak_published_size(void);
struct hak_sheet *hak_published_sheet(struct hak_published_head *page);
struct hak_published_regions *hak_published_regions_of(struct hak_published_head *page);

uint32_t hak_published_layout(void);

/* Writes the head of a page of zeroes. */
void hak_published_begin(struct hak_published_head *page);

/* ---- reading --------------------------------------------------------------------------------- */

/* Where a page is read from. `read` copies `size` bytes from `offset` on. Returns how many it got,
 * or a negative value. */
struct hak_published_source {
    long (*read)(void *context, void *bytes, size_t size, uint64_t offset);
    void *context;
};

/* A copy, in the caller's memory. */
struct hak_published_copy {
    struct hak_sheet *sheet; /* room for `shards` shards, and one more */
    size_t shards;
    struct hak_published_regions *regions; /* NULL: not wanted */
    bool is_torn;                          /* parts were being written at each try */
};

/* Looks at the page's heads. Returns NULL and the number of shards, or the fault in words. */
const char *hak_published_open(const struct hak_published_source *source, size_t *shards);

/* Copies the page and checks it: then each text has an end and can be shown, each index is in
 * bounds, and each number has its meaning. NULL, or the fault in words. */
const char *hak_published_read(const struct hak_published_source *source,
                               struct hak_published_copy *copy);

/* Writes the regions as the member "regions" of a JSON object; of two entries for one address the
 * first. `head` has the classes. */
void hak_published_put_regions(struct hak_writer *writer, const struct hak_sheet_head *head,
                               const struct hak_published_regions *regions);

#endif
