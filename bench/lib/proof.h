/* SPDX-License-Identifier: MIT */
/*
 * Which allocator really serves this process: a measurement without that is worth nothing.
 *
 * Two witnesses must agree: the dynamic linker (dladdr) and the kernel (/proc/self/maps).
 */
#ifndef HAK_BENCH_PROOF_H
#define HAK_BENCH_PROOF_H

#include <stdbool.h>
#include <stdint.h>

struct bench_proof {
    char library[1024];  /* path of the mapped file that malloc lies in */
    char allocator[256]; /* its last part; "mixed" when free and the rest lie elsewhere, "disputed"
                            when the two witnesses differ */
    bool is_hakmem;      /* the process has hakmem_stats_print(), */
    uint64_t refilled;   /* and by its statistics this many objects were handed to fronts */
};

void bench_prove(struct bench_proof *proof);

#endif
