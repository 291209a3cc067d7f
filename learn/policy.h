/* SPDX-License-Identifier: MIT */
/* What the tiers are told to do with memory nobody uses: an immutable snapshot of decisions. Today
 * it is fixed; the learner will publish its own. Readers take it as an argument. */
#ifndef HAK_LEARN_POLICY_H
#define HAK_LEARN_POLICY_H

#include <stddef.h>
#include <stdint.h>

/* What happens to the pages of a freed run (the arms of the learner). */
enum hak_arm {
    HAK_ARM_KEEP,        /* stay mapped and dirty until retention runs out */
    HAK_ARM_FREE,        /* MADV_FREE at once */
    HAK_ARM_DONTNEED,    /* MADV_DONTNEED at once */
    HAK_ARM_BATCH,       /* collected, released many at a time by MADV_DONTNEED */
    HAK_ARM_COUNT
};

struct hak_policy {
    enum hak_arm large_arm;          /* for freed large runs */
    size_t large_retain_bytes;       /* dirty bytes a shard's large cache may keep */
    size_t slab_retain_bytes;        /* dirty bytes of empty slabs a shard may keep */
    size_t whale_retain_bytes;       /* bytes of freed whales kept mapped, per heap */
    uint64_t decay_ns;               /* unused for longer than this: purged at the next slow path */
    size_t large_segment_bytes;      /* growth step of the large tier, a multiple of 2 MiB */
    unsigned batch_runs;             /* HAK_ARM_BATCH: runs in a batch */
};

/* A limit of bytes. relaxed: they are changed one by one, when shards are placed, and any recent
 * value will do; the other fields are constant once threads run. */
static inline size_t hak_policy_bytes(const size_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static inline void hak_policy_set_bytes(size_t *limit, size_t bytes)
{
    __atomic_store_n(limit, bytes, __ATOMIC_RELAXED);
}

/* The policy in force where nothing was learned. */
extern const struct hak_policy hak_policy_fixed;

#endif
