/* SPDX-License-Identifier: MIT */
/* What the environment asks for. Read once, by the thread that starts the library; constant and
 * read by any thread thereafter. Before that hak_options is all zeroes: each choice's first
 * value.
 *
 * A reader below api/ never sees this structure: start.c hands each layer the fields it obeys. */
#ifndef HAK_API_OPTIONS_H
#define HAK_API_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "os/memory.h"
#include "os/print.h"
#include "topology/bind.h"
#include "topology/discover.h"
#include "topology/domains.h"

/* The enums of CHOICE options stand in the order of their lists in api/options.def. */

enum hak_front_choice {
    HAK_FRONT_CHOICE_AUTO,
    HAK_FRONT_CHOICE_THREAD,
    HAK_FRONT_CHOICE_CPU,
};

enum hak_remote_choice {
    HAK_REMOTE_CHOICE_AUTO,
    HAK_REMOTE_CHOICE_HOME,
    HAK_REMOTE_CHOICE_ADOPT,
};

enum hak_misuse_choice {
    HAK_MISUSE_CHOICE_ABORT,
    HAK_MISUSE_CHOICE_WARN,
    HAK_MISUSE_CHOICE_IGNORE,
};

enum hak_stats_choice {
    HAK_STATS_CHOICE_NONE,
    HAK_STATS_CHOICE_TEXT,
    HAK_STATS_CHOICE_JSON,
};

enum hak_background_choice {
    HAK_BACKGROUND_CHOICE_NO,
    HAK_BACKGROUND_CHOICE_YES,
};

enum hak_huge_choice {
    HAK_HUGE_CHOICE_AUTO = HAK_HUGE_DEFAULT,
    HAK_HUGE_CHOICE_ALWAYS = HAK_HUGE_ALWAYS,
    HAK_HUGE_CHOICE_NEVER = HAK_HUGE_NEVER,
    HAK_HUGE_CHOICE_LEARN,
};

enum hak_hugetlb_choice {
    HAK_HUGETLB_CHOICE_NO,
    HAK_HUGETLB_CHOICE_YES,
};

enum hak_learn_site_choice {
    HAK_LEARN_SITE_CHOICE_NO,
    HAK_LEARN_SITE_CHOICE_YES,
};

/* Arms by size bucket: enum hak_arm + 1; 0: not pinned. */
struct hak_learn_pins {
    uint8_t arm[HAK_LEARN_BUCKETS];
};

enum {
    HAK_LIMIT_AUTO = 0,    /* of the cgroup, as it was at start */
    HAK_LIMIT_NONE = 1,
    HAK_LIMIT_WATCH = 2,   /* of the cgroup, read again and again; other values are bytes */
};

struct hak_options {
    struct hak_domain_request shard;
    struct hak_cpu_set nodes; /* empty: all */
    struct hak_wish topology; /* points into the environment: for the constructor only */
    enum hak_front_choice front;
    enum hak_bind_policy bind;
    enum hak_remote_choice remote;
    uint64_t decay_ns;   /* HAK_DURATION_NEVER: keep for good */
    size_t retain_bytes; /* of all shards */
    enum hak_learn_mode learn;
    struct hak_learn_pins learn_pins;
    enum hak_learn_site_choice learn_site;
    const char *learn_file; /* in the environment: NULL, none. For start and exit */
    const char *learn_log;
    uint64_t price_ns; /* of a MiB for a second */
    size_t limit; /* HAK_LIMIT_..., or bytes */
    enum hak_background_choice background;
    enum hak_huge_choice huge;
    enum hak_hugetlb_choice hugetlb;
    enum hak_misuse_choice misuse;
    enum hak_stats_choice stats;
    unsigned verbose; /* 0..2 */
};

#define HAK_DURATION_NEVER UINT64_MAX

enum hak_option_type {
    HAK_OPTION_BOOL,
    HAK_OPTION_CHOICE,
    HAK_OPTION_COUNT,
    HAK_OPTION_SIZE,
    HAK_OPTION_DURATION,
    HAK_OPTION_DOMAINS,
    HAK_OPTION_MACHINE,
    HAK_OPTION_LIST,
    HAK_OPTION_PINS,
    HAK_OPTION_PATH,
    HAK_OPTION_LIMIT,
    HAK_OPTION_TYPES
};

/* A row of api/options.def. */
struct hak_option {
    const char *name; /* without HAKMEM_ */
    enum hak_option_type type;
    const char *default_text;
    const char *allowed;
    size_t offset; /* of the field in struct hak_options */
    const char *since;
    const char *sentence;
};

enum {
#define OPTION(name, type, default_text, allowed, field, since, sentence) HAK_OPTION_ROW_##name,
#include "api/options.def"
#undef OPTION
    HAK_OPTION_COUNT_OF_ROWS
};

extern const struct hak_option hak_option_rows[HAK_OPTION_COUNT_OF_ROWS];

/* What is in force. */
extern struct hak_options hak_options;

/* Fills all fields: from the strings "NAME=value" of a NULL-terminated environment (itself NULL: an
 * empty one), by default where there is none, where it is empty, or where it cannot be understood.
 * The last is told by one line each; so are, if VERBOSE is 1 or more, HAKMEM_ names that do not
 * exist. */
void hak_options_read(struct hak_options *options, char *const *environment,
                      struct hak_writer *complaints);

/* Writes what somebody else wrote, on one line whatever it holds, and not too much of it. */
void hak_options_put_shown(struct hak_writer *writer, const char *text);

/* Fills hak_options from the process's environment, which a program that runs with more rights than
 * its caller (AT_SECURE) does not obey at all, and from which it takes all HAKMEM_ entries;
 * complains on stderr. errno is left as it was. */
void hak_options_start(void);

#endif
