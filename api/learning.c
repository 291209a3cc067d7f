/* SPDX-License-Identifier: MIT */
/* The learner as the options set it. One thread starts it, one ends it; any thread may report. */
#define _GNU_SOURCE
#include "api/learning.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "api/options.h"
#include "learn/audit.h"
#include "learn/learner_saved.h"
#include "os/bits.h"
#include "os/file.h"
#include "shard/lanes.h"
#include "tiers/headroom.h"
#include "tiers/meta.h"

enum {
    PATH_BYTES = 1024,
    SAVED_BYTES = 128 * 1024, /* of the longest text that can be saved */
};

static const double NS_OF_MS = 1e6;

static bool is_child; /* of a fork: it reports nothing; written before the child has threads */

/* ---- files ---------------------------------------------------------------------------------- */

static void complain(const char *name, const char *path, const char *why, long number)
{
    char text[512];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hak_put(&writer, "hakmem: HAKMEM_%s=", name);
    hak_options_put_shown(&writer, path);
    hak_put(&writer, ": %s %ld\n", why, number);
    hak_writer_flush(&writer);
}

/* what: the consequence; refused: -errno. */
static void complain_of_file(const char *name, const char *path, const char *what, int refused)
{
    char text[512];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hak_put(&writer, "hakmem: HAKMEM_%s=", name);
    hak_options_put_shown(&writer, path);
    if (refused == -EMEDIUMTYPE)
        hak_put(&writer,
                ": no regular file; allowed: an absolute path of a regular file or of none yet, no "
                "link, pipe or device; %s\n",
                what);
    else
        hak_put(&writer, ": %s; error %d\n", what, -refused);
    hak_writer_flush(&writer);
}

/* Replaces "%p" by the process id. NULL if there is no memory, or the name is too long. */
static const char *path_for_process(const char *path)
{
    char *own = hak_meta_alloc(PATH_BYTES, 1);
    if (own == NULL || strlen(path) + sizeof "4294967295" > PATH_BYTES)
        return NULL;
    struct hak_writer writer = hak_writer_to_buffer(own, PATH_BYTES);
    const char *mark = strstr(path, "%p");
    if (mark == NULL) {
        hak_put_text(&writer, path);
    } else {
        hak_put_bytes(&writer, path, (size_t)(mark - path));
        hak_put(&writer, "%u%s", hak_os_process_id(), mark + 2);
    }
    hak_writer_flush(&writer);
    return own;
}

static void begin_log(struct hak_settings *settings)
{
    const char *path = path_for_process(hak_options.learn_log);
    struct hak_audit *audit = hak_meta_alloc(sizeof *audit, HAK_CACHE_LINE);
    if (path == NULL || audit == NULL)
        return;
    int refused = hak_audit_open(audit, path, settings);
    if (refused != 0)
        complain_of_file("LEARN_LOG", path, "cannot be written, no log", refused);
    else
        settings->audit = audit;
}

/* If there is no file yet, it is written at exit. */
static void read_saved(struct hak_settings *settings)
{
    /* A copy: the program may change its environment before exit. */
    const char *path = path_for_process(hak_options.learn_file);
    hak_options.learn_file = path;
    if (path == NULL)
        return;
    size_t size = hak_align_up(SAVED_BYTES, hak_os_page_size());
    char *text = hak_os_map(size, hak_os_page_size());
    struct hak_learn_saved *saved = hak_meta_alloc(sizeof *saved, HAK_CACHE_LINE);
    long length = text != NULL && saved != NULL ? hak_os_read_regular(path, text, size) : 0;
    if (length == -EMEDIUMTYPE) {
        complain_of_file("LEARN_FILE", path, "not used", (int)length);
        hak_options.learn_file = NULL;
    }
    if (length > 0) {
        unsigned line = hak_learn_parse(saved, text);
        if (line != 0)
            complain("LEARN_FILE", path, "not understood from here on: line", line);
        settings->saved = saved;
    }
    if (text != NULL)
        hak_os_unmap(text, size);
}

static void write_saved(struct hak_heap *heap)
{
    static const char failed[] = "cannot be written, left as it was";
    char buffer[4096];
    struct hak_os_beside beside;
    int descriptor = hak_os_open_beside(&beside, hak_options.learn_file);
    if (descriptor < 0) {
        complain_of_file("LEARN_FILE", hak_options.learn_file, failed, descriptor);
        return;
    }
    struct hak_writer writer = hak_writer_to_fd(descriptor, buffer, sizeof buffer);
    hak_learn_write_first(&writer);
    hak_learn_write(&writer, &heap->whales.learner);
    struct hak_large_cache *large;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        for (unsigned lane = 0; (large = hak_lane_next(hak_shard_of_id(id), &lane)) != NULL;)
            hak_learn_write(&writer, large->learner);
    hak_writer_flush(&writer);
    int refused = hak_os_close_beside(&beside, descriptor, writer.refused);
    if (refused != 0)
        complain_of_file("LEARN_FILE", hak_options.learn_file, failed, refused);
}

/* ---- the report ----------------------------------------------------------------------------- */

static double best_fixed(const struct hak_learn_key *key, uint32_t arms)
{
    double best = key->all_costs[HAK_ARM_KEEP];
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        if ((arms == 0 || (arms & 1u << arm) != 0) && key->all_costs[arm] < best)
            best = key->all_costs[arm];
    return best;
}

static void report_key(struct hak_writer *writer, const struct hak_learner *learner,
                       unsigned key_id)
{
    const struct hak_learn_key *key = &learner->keys[key_id];
    if (key->matches == 0)
        return;
    if (learner->id == 0)
        hak_put_text(writer, "  whales ");
    else
        hak_put(writer, "  %6u ", learner->id);
    if (key_id < HAK_LEARN_BUCKETS)
        hak_put(writer, "%13s", hak_learn_bucket_names[key_id]);
    else
        hak_put(writer, "site:%08x", learner->sites[key_id - HAK_LEARN_BUCKETS]);
    hak_put(writer, " %8s %6s %9lu %10ld %10ld", hak_arms[key->arm].name,
            hak_regime_names[key->regime.state], (unsigned long)(key->all_bytes >> 20),
            (long)(key->all_paid / NS_OF_MS), (long)(best_fixed(key, learner->arms) / NS_OF_MS));
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        hak_put(writer, " %8ld", (long)(key->all_costs[arm] / NS_OF_MS));
    hak_put_text(writer, "\n");
}

static bool has_learned(const struct hak_learner *learner)
{
    for (unsigned key = 0; key < HAK_LEARN_KEYS; key++)
        if (learner->keys[key].matches != 0)
            return true;
    return false;
}

static bool anybody_has_learned(const struct hak_heap *heap)
{
    struct hak_large_cache *large;
    bool found = has_learned(&heap->whales.learner);
    for (unsigned id = 1; id <= hak_shard_last_id() && !found; id++)
        for (unsigned lane = 0; (large = hak_lane_next(hak_shard_of_id(id), &lane)) != NULL;)
            found |= has_learned(large->learner);
    return found;
}

void hak_learning_report(struct hak_heap *heap, struct hak_writer *writer)
{
    if (!hak_learner_watches(heap->settings) || !anybody_has_learned(heap))
        return;
    hak_put(writer,
            "freed memory above 32 KiB, %s; costs in ms of CPU time, a MiB kept for a second being "
            "%lu us\n",
            heap->settings->mode == HAK_LEARN_SHADOW ? "what a learner would have done" : "learned",
            (unsigned long)(heap->settings->price_ns / 1000));
    hak_put_text(writer, "   shard          size      arm  state freed MiB       paid best fixed");
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        hak_put(writer, " %8s", hak_arms[arm].name);
    hak_put_text(writer, "\n");
    for (unsigned key = 0; key < HAK_LEARN_KEYS; key++)
        report_key(writer, &heap->whales.learner, key);
    struct hak_large_cache *large;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        for (unsigned lane = 0; (large = hak_lane_next(hak_shard_of_id(id), &lane)) != NULL;)
            for (unsigned key = 0; key < HAK_LEARN_KEYS; key++)
                report_key(writer, large->learner, key);
}

/* ---- start, exit, fork ---------------------------------------------------------------------- */

/* systemd, Kubernetes, podman and systemd-nspawn set a variable for what they start. Without one
 * the cgroups are not read: looking for one missing file costs a short program 4 % of its time. */
static enum hak_headroom_mode automatic_limit(void)
{
    if (hak_options_look_up_other("INVOCATION_ID") != NULL)
        return HAK_HEADROOM_CGROUP;
    if (hak_options_look_up_other("container") != NULL ||
        hak_options_look_up_other("KUBERNETES_SERVICE_HOST") != NULL)
        return HAK_HEADROOM_CONTAINER;
    return HAK_HEADROOM_UNLIMITED;
}

void hak_learning_start(struct hak_heap *heap)
{
    struct hak_settings *settings = &heap->settings_store;
    settings->mode = hak_options.learn;
    settings->price_ns = hak_options.price_ns;
    settings->learns_huge =
        settings->mode == HAK_LEARN_ON && hak_options.huge == HAK_HUGE_CHOICE_LEARN;
    settings->by_site = hak_options.learn_site == HAK_LEARN_SITE_CHOICE_YES;
    memcpy(settings->pinned, hak_options.learn_pins.arm, sizeof settings->pinned);
    if (hak_options.learn_file != NULL)
        read_saved(settings);
    if (hak_options.learn_log != NULL)
        begin_log(settings);
    hak_heap_start_learning(heap);
    size_t limit = hak_options.limit;
    hak_headroom_start(limit == HAK_LIMIT_AUTO    ? automatic_limit()
                       : limit == HAK_LIMIT_WATCH ? HAK_HEADROOM_WATCH
                       : limit == HAK_LIMIT_NONE  ? HAK_HEADROOM_UNLIMITED
                                                  : HAK_HEADROOM_BYTES,
                       limit);
}

void hak_learning_exit(struct hak_heap *heap)
{
    bool is_shadow = heap->settings->mode == HAK_LEARN_SHADOW;
    bool saves = hak_options.learn_file != NULL && heap->settings->mode == HAK_LEARN_ON;
    if (heap->settings->audit == NULL && !saves && !is_shadow)
        return;
    hak_heap_end_learning(heap);
    if (heap->settings->audit != NULL)
        hak_audit_flush(heap->settings->audit);
    if (saves)
        write_saved(heap);
    if (is_shadow && !is_child) {
        char text[1024];
        struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
        hak_learning_report(heap, &writer);
        hak_writer_flush(&writer);
    }
}

void hak_learning_after_fork(struct hak_heap *heap)
{
    hak_headroom_after_fork();
    is_child = true;
    heap->settings_store.audit = NULL;
    hak_options.learn_file = NULL;
}
