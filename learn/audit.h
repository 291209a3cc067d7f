/* SPDX-License-Identifier: MIT */
/* The audit: a ring of decisions with their evidence, written as JSON lines to a file that an
 * option names. Any thread puts, under the lock. If no thread flushes, new records overwrite the
 * oldest, which are counted as lost. Each flush opens the file: a program may close descriptors
 * that it does not know, and the library must not write into a file that reuses the number. */
#ifndef HAK_LEARN_AUDIT_H
#define HAK_LEARN_AUDIT_H

#include <stdint.h>

#include "learn/settings.h"
#include "os/lock.h"
#include "os/print.h"

enum {
    HAK_AUDIT_RECORDS = 512,
    HAK_AUDIT_MANY = 64,                   /* this many waiting records are worth a flush */
    HAK_AUDIT_FILE_MAX = 64 * 1024 * 1024, /* bytes of the file; more is dropped */
};

enum hak_audit_kind {
    HAK_AUDIT_MATCH,
    HAK_AUDIT_RETAIN, /* the retention of a cache has changed */
};

struct hak_audit_record {
    uint64_t now_ns;
    uint32_t kind; /* enum hak_audit_kind */
    uint32_t shard;
    uint32_t site; /* hash of a call site; 0: the bucket decides */
    uint8_t bucket;
    uint8_t state;  /* enum hak_regime_state */
    uint8_t played; /* enum hak_arm: in force in the match */
    uint8_t next;   /* enum hak_arm: from now on */
    const char *why;
    uint64_t bytes; /* freed since the last match */
    uint32_t samples;
    double paid;                 /* ns that the arm played really cost */
    double costs[HAK_ARM_COUNT]; /* ns that each arm cost, or would have cost */
    double ratings[HAK_ARM_COUNT];
    uint64_t retain_bytes; /* in force; RETAIN: the new value */
    uint64_t from;         /* RETAIN: the old value */
};

/* All zero: empty. */
struct hak_audit {
    struct hak_lock lock;
    uint64_t put; /* records ever */
    uint64_t drained;
    uint64_t lost;
    uint64_t began_ns; /* of the first record; times count from there */
    const char *path;  /* constant once threads run */
    size_t written;    /* bytes of the file; the flusher writes it */
    struct hak_lock flushing;
    struct hak_audit_record ring[HAK_AUDIT_RECORDS];
};

void hak_audit_put(struct hak_audit *audit, const struct hak_audit_record *record);

/* Waiting records; may be stale. */
unsigned hak_audit_waiting(const struct hak_audit *audit);

/* Starts a file with its first line, by the starting thread. 0 or -errno. */
int hak_audit_open(struct hak_audit *audit, const char *path, const struct hak_settings *settings);

/* Writes all waiting records, a line each. Any thread that holds no lock of malloc; while one
 * flushes, others return at once. */
void hak_audit_flush(struct hak_audit *audit);

/* Writes all waiting records to a writer. */
void hak_audit_drain(struct hak_audit *audit, struct hak_writer *writer);

#endif
