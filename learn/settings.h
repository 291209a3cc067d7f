/* SPDX-License-Identifier: MIT */
/* What the tiers do with memory that no thread uses. A heap has one set of settings, made of the
 * options; it is constant once threads run, except for the limits of bytes. What a shard learns
 * beyond it belongs to the shard (learn/learner.h). Readers take it as an argument. */
#ifndef HAK_LEARN_SETTINGS_H
#define HAK_LEARN_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

/* What happens to the pages of a freed run. The learner chooses among the first HAK_ARM_COUNT; the
 * last is for pins alone, since its pages cost what kept ones do and a system call more
 * (docs/decisions/022-what-lost.md). */
enum hak_arm {
    HAK_ARM_KEEP,     /* stay mapped and dirty until no thread has needed them for a time of
                         decay */
    HAK_ARM_DONTNEED, /* MADV_DONTNEED at once */
    HAK_ARM_BATCH,    /* collected for some milliseconds, released many at a time */
    HAK_ARM_COUNT,
    HAK_ARM_FREE = HAK_ARM_COUNT, /* MADV_FREE at once, otherwise as KEEP */
    HAK_ARM_NAMES
};

enum {
    HAK_LEARN_BUCKETS = 12, /* a size bucket for each doubling, from 64 KiB on */
    HAK_LEARN_BUCKET_FIRST_SHIFT = 16,
};

/* In the order of HAKMEM_LEARN's values. */
enum hak_learn_mode {
    HAK_LEARN_ON,     /* watch, choose and go on watching */
    HAK_LEARN_OFF,    /* the settings, or what is pinned */
    HAK_LEARN_FROZEN, /* as it was learned before (HAKMEM_LEARN_FILE), and no further */
    HAK_LEARN_SHADOW, /* watch, and tell what would have been chosen */
};

/* What becomes of objects that are freed away from their shard. */
enum hak_remote {
    HAK_REMOTE_HOME,  /* they go home */
    HAK_REMOTE_ADOPT, /* within a node they are kept where they are freed */
};

/* How long an arm leaves pages behind a freed run. */
enum hak_hold { HAK_HOLD_DECAY, HAK_HOLD_NONE, HAK_HOLD_BATCH };

/* What is done when the run is freed (tiers/large.c). */
enum hak_act { HAK_ACT_NONE, HAK_ACT_PURGE, HAK_ACT_COLLECT, HAK_ACT_MARK };

struct hak_arm_row {
    const char *name;
    enum hak_hold hold;
    unsigned first_ns; /* what purging a unit takes, until that was measured: never 0, or the arm
                          would win every match */
    enum hak_act act;
};

/* By enum hak_arm. Another arm is a value there, above HAK_ARM_COUNT, and a row here; one that does
 * something new is an act, too. */
extern const struct hak_arm_row hak_arms[HAK_ARM_NAMES];

struct hak_audit;
struct hak_credit;
struct hak_learn_saved;

struct hak_settings {
    enum hak_learn_mode mode;
    struct hak_audit *audit;             /* where decisions are recorded; NULL: nowhere */
    const struct hak_learn_saved *saved; /* what was learned before; NULL: nothing */
    enum hak_arm large_arm;              /* for freed runs, where nothing was learned or pinned */
    uint8_t pinned[HAK_LEARN_BUCKETS];   /* enum hak_arm + 1; 0: not pinned */
    uint8_t learns_huge;                 /* whether to ask for huge pages, too */
    uint8_t by_site;                     /* call sites are told apart, too */
    uint64_t price_ns;                   /* CPU time that a MiB kept unused for a second is worth */
    struct hak_credit *credit;           /* caches claim from it what they keep; NULL: no bound */
    size_t large_retain_bytes;           /* dirty bytes a shard's large cache may keep */
    size_t slab_retain_bytes;            /* dirty bytes of empty slabs a pool may keep */
    size_t whale_retain_bytes;           /* bytes of freed whales kept mapped, per heap */
    uint64_t decay_ns;          /* unused for longer than this: purged at the next slow path */
    size_t large_segment_bytes; /* growth step of the large tier, a multiple of 2 MiB */
    unsigned batch_runs;        /* HAK_ARM_BATCH: runs in a batch */
    enum hak_remote remote;
};

/* The size bucket of a freed run or whale. */
static inline unsigned hak_learn_bucket(size_t bytes)
{
    size_t rounds = (bytes - 1) >> HAK_LEARN_BUCKET_FIRST_SHIFT;
    unsigned bucket = rounds == 0 ? 0 : 64 - (unsigned)__builtin_clzll(rounds);
    return bucket < HAK_LEARN_BUCKETS ? bucket : HAK_LEARN_BUCKETS - 1;
}

/* "64K", "128K" .. "64M", "64M+": the largest size of a bucket. */
extern const char *const hak_learn_bucket_names[HAK_LEARN_BUCKETS];

/* A limit of bytes. relaxed, here and below: limits change one by one, when shards are placed, and
 * any recent value will do; the other fields are constant once threads run. */
static inline size_t hak_settings_bytes(const size_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static inline void hak_settings_set_bytes(size_t *limit, size_t bytes)
{
    __atomic_store_n(limit, bytes, __ATOMIC_RELAXED);
}

/* The settings in force where no option says otherwise. */
extern const struct hak_settings hak_settings_default;

#endif
