/* SPDX-License-Identifier: MIT */
/* The default settings: what holds before (or without) learning. Constants only. */
#include "learn/settings.h"

enum { MIB = 1024 * 1024 };

/* The price of memory: a server's CPU costs about as much as 7.5 GiB of its memory, so a MiB for a
 * second is worth 1 s / 7680 of a CPU. Giving a MiB back and faulting it in again costs about as
 * much: what is reused within a second or so is better kept. */
const struct hak_settings hak_settings_default = {
    .mode = HAK_LEARN_OFF,
    .large_arm = HAK_ARM_KEEP,
    .price_ns = 130 * 1000,
    .large_retain_bytes = 256ul * MIB,
    .slab_retain_bytes = 128ul * MIB,
    .whale_retain_bytes = 256ul * MIB,
    .decay_ns = 1000ul * 1000 * 1000,
    .large_segment_bytes = 64ul * MIB,
    .batch_runs = 16,
};

const char *const hak_learn_bucket_names[HAK_LEARN_BUCKETS] = {
    "64K", "128K", "256K", "512K", "1M", "2M", "4M", "8M", "16M", "32M", "64M", "64M+",
};

/* First costs are about what machines of 2020 take. */
_Static_assert(HAK_ARM_NAMES == 4, "a new arm needs a row in this table; then correct the number");
const struct hak_arm_row hak_arms[HAK_ARM_NAMES] = {
    [HAK_ARM_KEEP] = {"keep", HAK_HOLD_DECAY, 80, HAK_ACT_NONE},
    [HAK_ARM_DONTNEED] = {"dontneed", HAK_HOLD_NONE, 80, HAK_ACT_PURGE},
    [HAK_ARM_BATCH] = {"batch", HAK_HOLD_BATCH, 80, HAK_ACT_COLLECT},
    [HAK_ARM_FREE] = {"free", HAK_HOLD_DECAY, 80, HAK_ACT_MARK},
};
