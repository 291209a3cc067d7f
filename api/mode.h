/* SPDX-License-Identifier: MIT */
/* The mode in force, and what was asked for but is not in force. Any thread that the library
 * knows. */
#ifndef HAK_API_MODE_H
#define HAK_API_MODE_H

#include "heap/heap.h"
#include "stats/sheet.h"

enum {
    HAK_MODE_COUNTS = 80, /* bytes of the text of hak_crowd_tell */
};

/* The mode in force, in words. */
struct hak_mode {
    unsigned shards;
    const char *by; /* what the shards were made for: node, l3, ... */
    const char *front;
    const char *front_why; /* why it is not as asked for; NULL if it is */
    const char *remote;
    const char *bind;
    const char *bind_why; /* as front_why */
};

struct hak_mode hak_mode_in_force(const struct hak_heap *heap);

/* Enters title and facts in a sheet. */
void hak_mode_put_facts(struct hak_sheet_head *head);

#endif
