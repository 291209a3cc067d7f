/* SPDX-License-Identifier: MIT */
/* The ring of decisions, written as JSON lines. Any thread; no lock is held while a line is
 * written. */
#include "learn/audit.h"

#include "learn/regime.h"
#include "os/file.h"

static const uint64_t NS_OF_MS = 1000 * 1000;

enum {
    RATING_START = 1500, /* ratings are stored as differences from it */
};

static const char *const mode_names[] = {"on", "off", "frozen", "shadow"};

void hak_audit_put(struct hak_audit *audit, const struct hak_audit_record *record)
{
    hak_lock_acquire(&audit->lock);
    if (audit->put == 0)
        audit->began_ns = record->now_ns;
    if (audit->put - audit->drained == HAK_AUDIT_RECORDS) {
        /* relaxed: as below */
        __atomic_store_n(&audit->drained, audit->drained + 1, __ATOMIC_RELAXED);
        audit->lost++;
    }
    audit->ring[audit->put % HAK_AUDIT_RECORDS] = *record;
    /* relaxed: hak_audit_waiting reads it without the lock */
    __atomic_store_n(&audit->put, audit->put + 1, __ATOMIC_RELAXED);
    hak_lock_release(&audit->lock);
}

unsigned hak_audit_waiting(const struct hak_audit *audit)
{
    /* relaxed, both: a hint */
    return (unsigned)(__atomic_load_n(&audit->put, __ATOMIC_RELAXED) -
                      __atomic_load_n(&audit->drained, __ATOMIC_RELAXED));
}

static void write_first_line(struct hak_writer *writer, const struct hak_settings *settings)
{
    hak_put(writer, "{\"hakmem_learn\":1,\"mode\":\"%s\",\"price_ns\":%lu,\"arms\":[",
            mode_names[settings->mode], (unsigned long)settings->price_ns);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        hak_put(writer, "%s\"%s\"", arm != 0 ? "," : "", hak_arms[arm].name);
    hak_put_text(writer, "]}\n");
}

static void put_numbers(struct hak_writer *writer, const char *name, const double *numbers,
                        double base)
{
    hak_put(writer, ",\"%s\":[", name);
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        hak_put(writer, "%s%ld", arm != 0 ? "," : "", (long)(numbers[arm] + base));
    hak_put_text(writer, "]");
}

static void put_match(struct hak_writer *writer, const struct hak_audit_record *record)
{
    if (record->site != 0)
        hak_put(writer, ",\"key\":\"site:%x\"", record->site);
    else
        hak_put(writer, ",\"key\":\"%s\"", hak_learn_bucket_names[record->bucket]);
    hak_put(writer, ",\"state\":\"%s\",\"played\":\"%s\",\"next\":\"%s\",\"why\":\"%s\"",
            hak_regime_names[record->state], hak_arms[record->played].name,
            hak_arms[record->next].name, record->why);
    hak_put(writer, ",\"bytes\":%lu,\"samples\":%u,\"paid\":%ld", (unsigned long)record->bytes,
            record->samples, (long)record->paid);
    put_numbers(writer, "costs", record->costs, 0);
    put_numbers(writer, "ratings", record->ratings, RATING_START);
    hak_put(writer, ",\"retain\":%lu}\n", (unsigned long)record->retain_bytes);
}

static void put_record(struct hak_writer *writer, const struct hak_audit *audit,
                       const struct hak_audit_record *record)
{
    uint64_t began = audit->began_ns;
    uint64_t since = record->now_ns > began ? record->now_ns - began : 0;
    hak_put(writer, "{\"t\":%lu,\"shard\":%u", (unsigned long)(since / NS_OF_MS), record->shard);
    if (record->kind == HAK_AUDIT_MATCH) {
        put_match(writer, record);
        return;
    }
    hak_put(writer, ",\"event\":\"retain\",\"from\":%lu,\"to\":%lu,\"why\":\"%s\"",
            (unsigned long)record->from, (unsigned long)record->retain_bytes, record->why);
    hak_put(writer, ",\"purged\":%lu}\n", (unsigned long)record->bytes);
}

/* Takes the oldest waiting record: 1, or 0 if none waits. */
static int next_record(struct hak_audit *audit, struct hak_audit_record *record)
{
    hak_lock_acquire(&audit->lock);
    int waits = audit->drained != audit->put;
    if (waits) {
        *record = audit->ring[audit->drained % HAK_AUDIT_RECORDS];
        /* relaxed: as in hak_audit_put */
        __atomic_store_n(&audit->drained, audit->drained + 1, __ATOMIC_RELAXED);
    }
    hak_lock_release(&audit->lock);
    return waits;
}

void hak_audit_drain(struct hak_audit *audit, struct hak_writer *writer)
{
    struct hak_audit_record record;
    /* At most one ring: other threads that keep putting must not hold this one here. */
    for (unsigned i = 0; i < HAK_AUDIT_RECORDS && next_record(audit, &record); i++)
        put_record(writer, audit, &record);
    hak_writer_flush(writer);
}

int hak_audit_open(struct hak_audit *audit, const char *path, const struct hak_settings *settings)
{
    char buffer[256];
    int descriptor = hak_os_open_to_write(path, HAK_WRITE_ANEW);
    if (descriptor < 0)
        return descriptor;
    struct hak_writer writer = hak_writer_to_fd(descriptor, buffer, sizeof buffer);
    write_first_line(&writer, settings);
    hak_writer_flush(&writer);
    hak_os_close(descriptor);
    if (writer.refused != 0)
        return writer.refused;
    audit->path = path;
    audit->written = writer.total;
    return 0;
}

void hak_audit_flush(struct hak_audit *audit)
{
    char buffer[4096];
    if (audit->path == NULL || hak_audit_waiting(audit) == 0 ||
        !hak_lock_try_over(&audit->flushing))
        return;
    int descriptor = audit->written < HAK_AUDIT_FILE_MAX
                         ? hak_os_open_to_write(audit->path, HAK_WRITE_APPEND)
                         : -1;
    struct hak_writer writer = descriptor >= 0 ? hak_writer_to_fd(descriptor, buffer, sizeof buffer)
                                               : hak_writer_to_buffer(buffer, sizeof buffer);
    hak_audit_drain(audit, &writer);
    if (descriptor >= 0)
        audit->written += writer.total;
    hak_os_close(descriptor);
    hak_lock_release_over(&audit->flushing);
}
