/* SPDX-License-Identifier: MIT */
/* What another process publishes: its statistics (HAKMEM_PUBLISH=1) or its profile
 * (HAKMEM_PROFILE), found through /proc and read by read(2). Nothing in it is trusted. One
 * thread. */
#ifndef HAK_TOOLS_PAGE_H
#define HAK_TOOLS_PAGE_H

#include <stdint.h>
#include <sys/types.h>

#include "stats/published.h"
#include "stats/report.h"

struct hak_page_kind {
    const char *link;   /* the name of its memfd: "/memfd:NAME" */
    const char *what;   /* for messages */
    const char *option; /* the option that the process must be started with */
};

extern const struct hak_page_kind hak_page_statistics;
extern const struct hak_page_kind hak_page_profile;

/* A page that was found. */
struct hak_page_file {
    const struct hak_page_kind *kind;
    pid_t process;
    int descriptor;  /* of the page, or of the process's memory */
    uint64_t offset; /* where the page begins in it */
};

/* A copy of it, in memory that the next copy uses again. All zero at first. */
struct hak_page_copy {
    struct hak_sheet *sheet;
    struct hak_published_regions *regions;
    size_t room; /* shards */
    struct hak_report report;
    uint64_t age_ns; /* since it was collected; 0: the time is in the future */
};

/* Finds the page of the process that the argument names. 0, or -1 after a line on stderr. */
int hak_page_find_of(const struct hak_page_kind *kind, const char *argument,
                     struct hak_page_file *page);
void hak_page_close(struct hak_page_file *page);

/* Reads a part. Bytes that are there; fewer than asked for at the end, or when the process has ended. */
size_t hak_page_read(const struct hak_page_file *page, void *bytes, size_t size, uint64_t offset);

/* Whether `process`, the number in the page, is the process that was found: not its parent. 1, or 0
 * after a line on stderr. */
int hak_page_is_own(const struct hak_page_file *page, uint64_t process);

/* The page of statistics: copies it, with its regions if `wants_regions` is not 0. 0, or -1 after a
 * line on stderr. */
int hak_page_copy(const struct hak_page_file *page, int wants_regions, struct hak_page_copy *copy);

/* Whether the process is still there. */
int hak_page_has_process(const struct hak_page_file *page);

#endif
