/* SPDX-License-Identifier: MIT */
/* The fixed policy: what holds before (or without) learning. Constants only. */
#include "learn/policy.h"

enum {
    MIB = 1024 * 1024
};

const struct hak_policy hak_policy_fixed = {
    .large_arm = HAK_ARM_KEEP,
    .large_retain_bytes = 256ul * MIB,
    .slab_retain_bytes = 8ul * MIB,
    .whale_retain_bytes = 256ul * MIB,
    .decay_ns = 1000ul * 1000 * 1000,
    .large_segment_bytes = 32ul * MIB,
    .batch_runs = 16,
};
