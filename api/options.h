/* SPDX-License-Identifier: MIT */
/* The options from the environment. The starting thread reads them once; then they are constant,
 * and any thread may read them. Before that hak_options is all zeros: the first value of each
 * choice.
 *
 * Layers below api/ do not see this structure: start.c gives each layer the fields that it
 * obeys. */
#ifndef HAK_API_OPTIONS_H
#define HAK_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"
#include "os/memory.h"
#include "os/print.h"
#include "topology/bind.h"
#include "topology/discover.h"
#include "topology/domains.h"

/* The enums of CHOICE options have the order of their lists in api/options.def. */

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
    HAK_MISUSE_CHOICE_CHECK,
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

enum hak_aslr_choice {
    HAK_ASLR_CHOICE_NO,
    HAK_ASLR_CHOICE_YES,
};

enum hak_hugetlb_choice {
    HAK_HUGETLB_CHOICE_NO,
    HAK_HUGETLB_CHOICE_YES,
};

enum hak_learn_site_choice {
    HAK_LEARN_SITE_CHOICE_NO,
    HAK_LEARN_SITE_CHOICE_YES,
};

enum hak_profile_leaks_choice {
    HAK_PROFILE_LEAKS_CHOICE_NO,
    HAK_PROFILE_LEAKS_CHOICE_YES,
};

/* For each size bucket an enum hak_arm + 1, or 0 if it is not pinned. */
struct hak_learn_pins {
    uint8_t arm[HAK_LEARN_BUCKETS];
};

enum {
    HAK_LIMIT_AUTO = 0, /* of the cgroup, as it was at start */
    HAK_LIMIT_NONE = 1,
    HAK_LIMIT_WATCH = 2, /* of the cgroup, read every 50 ms; other values are bytes */
};

enum hak_publish_choice {
    HAK_PUBLISH_CHOICE_NO,
    HAK_PUBLISH_CHOICE_YES,
};

struct hak_options {
    struct hak_domain_request shard;
    struct hak_cpu_set nodes; /* empty: all */
    struct hak_wish topology; /* points into the environment: only the constructor reads it */
    enum hak_front_choice front;
    enum hak_bind_policy bind;
    enum hak_remote_choice remote;
    uint64_t decay_ns;   /* HAK_DURATION_NEVER: memory is kept */
    size_t retain_bytes; /* of all shards; HAK_SIZE_AUTO: by the CPUs */
    enum hak_learn_mode learn;
    struct hak_learn_pins learn_pins;
    enum hak_learn_site_choice learn_site;
    const char *learn_file; /* NULL: none. Only start and exit read it */
    const char *learn_log;
    uint64_t price_ns; /* of a MiB kept for a second */
    size_t limit;      /* HAK_LIMIT_..., or bytes */
    enum hak_background_choice background;
    enum hak_huge_choice huge;
    enum hak_hugetlb_choice hugetlb;
    enum hak_misuse_choice misuse;
    enum hak_aslr_choice aslr;
    enum hak_stats_choice stats;
    size_t profile_bytes;     /* between two samples; 0: no profile */
    const char *profile_file; /* points into the environment; NULL: none. Only the start reads it */
    unsigned profile_signal;
    enum hak_profile_leaks_choice profile_leaks;
    enum hak_publish_choice publish;
    unsigned verbose; /* 0..2 */
};

#define HAK_DURATION_NEVER UINT64_MAX
#define HAK_SIZE_AUTO      SIZE_MAX

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

/* The options in force. */
extern struct hak_options hak_options;

/* Fills all fields from the strings "NAME=value" of a NULL-terminated environment (NULL: an empty
 * one). A field gets its default if there is no value, or an empty or wrong one. Each wrong value
 * is reported in one line, and if VERBOSE is 1 or more, each unknown HAKMEM_ name. */
void hak_options_read(struct hak_options *options, char *const *environment,
                      struct hak_writer *complaints);

/* Writes foreign text on one line, whatever it contains, and at most the beginning of a long
 * one. */
void hak_options_put_shown(struct hak_writer *writer, const char *text);

/* The value of a variable that is no option. NULL: it is not set, or the program has more rights
 * than its caller. */
const char *hak_options_look_up_other(const char *name);

/* Fills hak_options from the process's environment, and reports errors on stderr. A program that
 * has more rights than its caller (AT_SECURE) obeys none of it, and loses all HAKMEM_ entries. Does
 * not change errno. */
void hak_options_start(void);

/* HAKMEM_ASLR, for the first call, which comes before the options are read: whether it is not 0.
 * False as long as libc has not set up the environment. */
bool hak_options_ask_for_random_places(void);

#endif
