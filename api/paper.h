/* SPDX-License-Identifier: MIT */
/* A sheet of figures (stats/sheet.h) filled in for a call that asks, in memory of its own. Any
 * thread. */
#ifndef HAK_API_PAPER_H
#define HAK_API_PAPER_H

#include <stdbool.h>
#include <stddef.h>

#include "stats/sheet.h"

struct hak_paper {
    struct hak_sheet *sheet;
    struct hak_sheet_shard *total; /* of its shards */
    size_t size;
};

/* False: no memory. If another thread forks for long, the sheet has only facts. */
bool hak_paper_take(struct hak_paper *paper);
void hak_paper_drop(struct hak_paper *paper);

#endif
