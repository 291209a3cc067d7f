/* SPDX-License-Identifier: MIT */
/* The values that jemalloc's interface reads and writes: a few types. */
#ifndef HAK_COMPAT_VALUE_H
#define HAK_COMPAT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hak_value_type {
    HAK_VALUE_VOID,
    HAK_VALUE_BOOL,
    HAK_VALUE_UNSIGNED,
    HAK_VALUE_SIZE,
    HAK_VALUE_SSIZE,
    HAK_VALUE_U64,
    HAK_VALUE_TEXT,
    HAK_VALUE_PATH,  /* a text that is written */
    HAK_VALUE_QUERY, /* addresses are written; the figures of each are read */
    HAK_VALUE_BATCH,
    HAK_VALUE_LOOKUP /* an address is written; the unsigned number of its arena is read */
};

/* In memory as the caller has it: all begin at the same byte. */
union hak_value {
    bool is_true;
    unsigned number;
    size_t size;
    int64_t signed_size;
    uint64_t u64;
    const char *text;
    const void *address;
};

#endif
