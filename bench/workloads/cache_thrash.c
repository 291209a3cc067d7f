/* SPDX-License-Identifier: MIT */
/*
 * cache_thrash: does the allocator put objects of two threads into one cache line?
 *
 * Each thread takes an object of 8 bytes, writes to it a thousand times and frees it, without the
 * other threads. Idea: Hoard's test of active false sharing. Good allocators have equal rates.
 */
#include "bench/lib/writes.h"

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 8,
        .max = 8,
        .smoke_ops = 2000,
    };
    bench_parse(&options, argc, argv, "Active false sharing: objects of --max bytes.");
    return bench_run("cache_thrash", &options, bench_write_loop, NULL);
}
