/* SPDX-License-Identifier: MIT */
/* api/options.c: every row's default, limits and nonsense; the messages about nonsense. */
#include "api/options.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/tap.h"

static struct hak_options options;
static char said[4096];

/* Reads an environment of up to three entries; `said` gets the messages. */
static void read_entries(char *first, char *second, char *third)
{
    char *environment[] = {first, second, third, NULL};
    struct hak_writer complaints = hak_writer_to_buffer(said, sizeof said);
    memset(&options, 0xa5, sizeof options);
    hak_options_read(&options, environment, &complaints);
    hak_writer_flush(&complaints);
}

static void read_one(const char *entry)
{
    read_entries((char *)entry, NULL, NULL);
}

static unsigned lines_said(void)
{
    unsigned lines = 0;
    for (const char *at = said; *at != '\0'; at++)
        lines += *at == '\n';
    return lines;
}

static void expect_silence(const char *entry)
{
    read_one(entry);
    if (!EXPECT_EQ(lines_said(), 0))
        tap_note("%s: %s", entry, said);
}

/* One line, and all options at their defaults. */
static void expect_refusal(const char *entry)
{
    struct hak_options defaults;
    read_one("PATH=/bin");
    defaults = options;
    read_one(entry);
    if (!EXPECT_EQ(lines_said(), 1))
        tap_note("%s: %s", entry, said);
    EXPECT(memcmp(&options, &defaults, sizeof options) == 0);
    size_t length = strcspn(entry, "=") + 1;
    EXPECT(strncmp(said, "hakmem: ", 8) == 0 && strncmp(said + 8, entry, length) == 0);
    EXPECT(strstr(said, ": not understood; allowed: ") != NULL);
    EXPECT(strstr(said, "; using ") != NULL);
}

static void test_defaults(void)
{
    expect_silence("PATH=/bin");
    EXPECT_EQ(options.shard.mode, HAK_DOMAIN_AUTO);
    EXPECT_EQ(options.front, HAK_FRONT_CHOICE_AUTO);
    EXPECT_EQ(options.remote, HAK_REMOTE_CHOICE_AUTO);
    EXPECT_EQ(options.decay_ns, 1000u * 1000 * 1000);
    EXPECT_EQ(options.retain_bytes, HAK_SIZE_AUTO);
    EXPECT_EQ(options.background, HAK_BACKGROUND_CHOICE_NO);
    EXPECT_EQ(options.huge, HAK_HUGE_CHOICE_AUTO);
    EXPECT_EQ(options.hugetlb, HAK_HUGETLB_CHOICE_NO);
    EXPECT_EQ(options.misuse, HAK_MISUSE_CHOICE_ABORT);
    EXPECT_EQ(options.stats, HAK_STATS_CHOICE_NONE);
    EXPECT_EQ(options.verbose, 0);
}

static void test_no_environment(void)
{
    struct hak_writer complaints = hak_writer_to_buffer(said, sizeof said);
    hak_options_read(&options, NULL, &complaints);
    EXPECT_EQ(complaints.total, 0);
    EXPECT_EQ(options.retain_bytes, HAK_SIZE_AUTO);
}

/* Each row allows its own default. */
static void test_rows_allow_their_defaults(void)
{
    for (unsigned i = 0; i < HAK_OPTION_COUNT_OF_ROWS; i++) {
        const struct hak_option *row = &hak_option_rows[i];
        char entry[128];
        struct hak_writer writer = hak_writer_to_buffer(entry, sizeof entry);
        hak_put(&writer, "HAKMEM_%s=%s", row->name, row->default_text);
        hak_writer_flush(&writer);
        expect_silence(entry);
        EXPECT(row->sentence[0] != '\0' && row->since[0] != '\0' && row->allowed[0] != '\0');
    }
}

/* Each row: wrong in ways that are wrong for all, and an empty value that counts as none. */
static void test_rows_refuse_nonsense(void)
{
    static const char *const nonsense[] = {"foo", "-1",    " 1",  "1 ",  "99999999999999999999999",
                                           ",",   "auto,", "1s1", "0x1", "18446744073709551616T",
                                           "AUTO"};
    for (unsigned i = 0; i < HAK_OPTION_COUNT_OF_ROWS; i++) {
        char entry[128];
        for (unsigned j = 0; j < TAP_COUNT(nonsense); j++) {
            struct hak_writer writer = hak_writer_to_buffer(entry, sizeof entry);
            hak_put(&writer, "HAKMEM_%s=%s", hak_option_rows[i].name, nonsense[j]);
            hak_writer_flush(&writer);
            expect_refusal(entry);
        }
        struct hak_writer writer = hak_writer_to_buffer(entry, sizeof entry);
        hak_put(&writer, "HAKMEM_%s=", hak_option_rows[i].name);
        hak_writer_flush(&writer);
        expect_silence(entry);
    }
}

static void test_learn(void)
{
    expect_silence("HAKMEM_LEARN=shadow");
    EXPECT_EQ(options.learn, HAK_LEARN_SHADOW);
    expect_silence("HAKMEM_LEARN_FILE=/a/file");
    EXPECT(strcmp(options.learn_file, "/a/file") == 0);
    expect_refusal("HAKMEM_LEARN_LOG=a/file");
    expect_silence("HAKMEM_MEMORY_PRICE=2ms");
    EXPECT_EQ(options.price_ns, 2000000);
    expect_silence("HAKMEM_MEMORY_LIMIT=none");
    EXPECT_EQ(options.limit, HAK_LIMIT_NONE);
    expect_silence("HAKMEM_MEMORY_LIMIT=watch");
    EXPECT_EQ(options.limit, HAK_LIMIT_WATCH);
    expect_silence("HAKMEM_MEMORY_LIMIT=auto");
    EXPECT_EQ(options.limit, HAK_LIMIT_AUTO);
    expect_refusal("HAKMEM_MEMORY_LIMIT=2");
    expect_silence("HAKMEM_MEMORY_LIMIT=512M");
    EXPECT_EQ(options.limit, 512u << 20);
}

static void test_learn_pins(void)
{
    expect_silence("HAKMEM_LEARN_PIN=256K-1M=keep,8M=dontneed");
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket++) {
        unsigned wanted = bucket >= 2 && bucket <= 4 ? HAK_ARM_KEEP + 1
                          : bucket == 7              ? HAK_ARM_DONTNEED + 1
                                                     : 0;
        EXPECT_EQ(options.learn_pins.arm[bucket], wanted);
    }
    expect_silence("HAKMEM_LEARN_PIN=all=batch,1T=free");
    EXPECT_EQ(options.learn_pins.arm[0], HAK_ARM_BATCH + 1);
    EXPECT_EQ(options.learn_pins.arm[HAK_LEARN_BUCKETS - 1], HAK_ARM_FREE + 1);
    expect_refusal("HAKMEM_LEARN_PIN=1M-256K=keep");
    expect_refusal("HAKMEM_LEARN_PIN=1M=hold");
    expect_refusal("HAKMEM_LEARN_PIN=all");
    expect_refusal("HAKMEM_LEARN_PIN=all=keep,,");
}

static void test_topology(void)
{
    expect_silence("HAKMEM_TOPOLOGY=hwloc");
    EXPECT_EQ(options.topology.way, HAK_WAY_HWLOC);
    expect_silence("HAKMEM_TOPOLOGY=xml:/a/file");
    EXPECT_EQ(options.topology.way, HAK_WAY_XML);
    EXPECT(strcmp(options.topology.text, "/a/file") == 0);
    expect_refusal("HAKMEM_TOPOLOGY=xml");
    expect_refusal("HAKMEM_TOPOLOGY=synthetic:");
}

static void test_shard(void)
{
    static const struct {
        const char *entry;
        enum hak_domain_mode mode;
    } modes[] = {
        {"HAKMEM_SHARD=single", HAK_DOMAIN_SINGLE}, {"HAKMEM_SHARD=node", HAK_DOMAIN_NODE},
        {"HAKMEM_SHARD=l3", HAK_DOMAIN_L3},         {"HAKMEM_SHARD=package", HAK_DOMAIN_PACKAGE},
        {"HAKMEM_SHARD=cpu", HAK_DOMAIN_CPU},       {"HAKMEM_SHARD=auto", HAK_DOMAIN_AUTO},
        {"HAKMEM_SHARD=1", HAK_DOMAIN_COUNT},       {"HAKMEM_SHARD=4096", HAK_DOMAIN_COUNT},
    };
    for (unsigned i = 0; i < TAP_COUNT(modes); i++) {
        expect_silence(modes[i].entry);
        EXPECT_EQ(options.shard.mode, modes[i].mode);
    }
    EXPECT_EQ(options.shard.count, 4096);
    expect_refusal("HAKMEM_SHARD=0");
    expect_refusal("HAKMEM_SHARD=4097");
}

static void test_choices(void)
{
    expect_silence("HAKMEM_FRONT=thread");
    EXPECT_EQ(options.front, HAK_FRONT_CHOICE_THREAD);
    expect_silence("HAKMEM_FRONT=cpu");
    EXPECT_EQ(options.front, HAK_FRONT_CHOICE_CPU);
    expect_silence("HAKMEM_REMOTE=home");
    EXPECT_EQ(options.remote, HAK_REMOTE_CHOICE_HOME);
    expect_silence("HAKMEM_REMOTE=adopt");
    EXPECT_EQ(options.remote, HAK_REMOTE_CHOICE_ADOPT);
    expect_silence("HAKMEM_THP=always");
    EXPECT_EQ(options.huge, HAK_HUGE_CHOICE_ALWAYS);
    expect_silence("HAKMEM_THP=never");
    EXPECT_EQ(options.huge, HAK_HUGE_CHOICE_NEVER);
    expect_silence("HAKMEM_THP=learn");
    EXPECT_EQ(options.huge, HAK_HUGE_CHOICE_LEARN);
    expect_silence("HAKMEM_HUGETLB=1");
    EXPECT_EQ(options.hugetlb, HAK_HUGETLB_CHOICE_YES);
    expect_silence("HAKMEM_MISUSE=warn");
    EXPECT_EQ(options.misuse, HAK_MISUSE_CHOICE_WARN);
    expect_silence("HAKMEM_MISUSE=ignore");
    EXPECT_EQ(options.misuse, HAK_MISUSE_CHOICE_IGNORE);
    expect_silence("HAKMEM_STATS=1");
    EXPECT_EQ(options.stats, HAK_STATS_CHOICE_TEXT);
    expect_silence("HAKMEM_STATS=json");
    EXPECT_EQ(options.stats, HAK_STATS_CHOICE_JSON);
    expect_silence("HAKMEM_BACKGROUND=1");
    EXPECT_EQ(options.background, HAK_BACKGROUND_CHOICE_YES);
    expect_refusal("HAKMEM_BACKGROUND=2");
    expect_refusal("HAKMEM_FRONT=threads");
    expect_refusal("HAKMEM_FRONT=thread, cpu");
}

static void test_numbers(void)
{
    expect_silence("HAKMEM_VERBOSE=2");
    EXPECT_EQ(options.verbose, 2);
    expect_refusal("HAKMEM_VERBOSE=3");
    expect_silence("HAKMEM_RETAIN=0");
    EXPECT_EQ(options.retain_bytes, 0);
    expect_silence("HAKMEM_RETAIN=4097");
    EXPECT_EQ(options.retain_bytes, 4097);
    expect_silence("HAKMEM_RETAIN=512K");
    EXPECT_EQ(options.retain_bytes, 512u << 10);
    expect_silence("HAKMEM_RETAIN=1T");
    EXPECT_EQ(options.retain_bytes, (size_t)1 << 40);
    expect_silence("HAKMEM_RETAIN=auto");
    EXPECT_EQ(options.retain_bytes, HAK_SIZE_AUTO);
    expect_refusal("HAKMEM_RETAIN=automatic");
    expect_refusal("HAKMEM_RETAIN=never");
    expect_refusal("HAKMEM_PROFILE=auto");
    expect_refusal("HAKMEM_RETAIN=1025G");
    expect_refusal("HAKMEM_RETAIN=1P");
    expect_refusal("HAKMEM_RETAIN=M");
    expect_refusal("HAKMEM_RETAIN=16777216T");
}

static void test_durations(void)
{
    static const struct {
        const char *entry;
        uint64_t ns;
    } durations[] = {
        {"HAKMEM_DECAY=0", 0},
        {"HAKMEM_DECAY=0s", 0},
        {"HAKMEM_DECAY=7ns", 7},
        {"HAKMEM_DECAY=7us", 7000},
        {"HAKMEM_DECAY=500ms", 500ull * 1000 * 1000},
        {"HAKMEM_DECAY=10s", 10ull * 1000 * 1000 * 1000},
        {"HAKMEM_DECAY=2m", 120ull * 1000 * 1000 * 1000},
        {"HAKMEM_DECAY=24h", 24ull * 3600 * 1000 * 1000 * 1000},
    };
    for (unsigned i = 0; i < TAP_COUNT(durations); i++) {
        expect_silence(durations[i].entry);
        EXPECT(options.decay_ns == durations[i].ns);
    }
    expect_silence("HAKMEM_DECAY=never");
    EXPECT(options.decay_ns == HAK_DURATION_NEVER);
    expect_refusal("HAKMEM_DECAY=10"); /* no unit */
    expect_refusal("HAKMEM_DECAY=25h");
    expect_refusal("HAKMEM_DECAY=1d");
    expect_refusal("HAKMEM_DECAY=s");
    expect_refusal("HAKMEM_RETAIN=never");
}

static void test_what_is_said(void)
{
    read_one("HAKMEM_SHARD=foo");
    EXPECT(strcmp(said, "hakmem: HAKMEM_SHARD=foo: not understood; allowed: single, node, l3, "
                        "package, cpu, auto or a number 1..4096; using auto\n") == 0);
    read_one("HAKMEM_FRONT=a\nb\033[1m\177");
    EXPECT(strcmp(said, "hakmem: HAKMEM_FRONT=a?b?[1m?: not understood; allowed: auto, thread, "
                        "cpu; using auto\n") == 0);
    char entry[600] = "HAKMEM_FRONT=";
    memset(entry + strlen(entry), 'x', 500);
    read_one(entry);
    EXPECT_EQ(lines_said(), 1);
    EXPECT_LE(strlen(said), 200);
    read_entries("HAKMEM_FRONT=x", "HAKMEM_STATS=x", "HAKMEM_RETAIN=1M");
    EXPECT_EQ(lines_said(), 2);
    EXPECT_EQ(options.retain_bytes, 1u << 20);
}

static void test_the_first_of_a_name_counts(void)
{
    read_entries("HAKMEM_VERBOSE=1", "HAKMEM_VERBOSE=2", NULL);
    EXPECT_EQ(options.verbose, 1);
    EXPECT_EQ(lines_said(), 0);
    read_entries("HAKMEM_VERBOSES=2", "xHAKMEM_VERBOSE=2", "HAKMEM_VERBOSE");
    EXPECT_EQ(options.verbose, 0);
}

static void test_unknown_names(void)
{
    read_entries("HAKMEM_SHRAD=cpu", "HAKMEM_STAT=1", NULL);
    EXPECT_EQ(lines_said(), 0); /* not without VERBOSE */
    read_entries("HAKMEM_SHRAD=cpu", "HAKMEM_VERBOSE=1", NULL);
    EXPECT(strcmp(said, "hakmem: HAKMEM_SHRAD: no such option; did you mean HAKMEM_SHARD?\n") == 0);
    read_entries("HAKMEM_XYZZY=1", "HAKMEM_VERBOSE=1", "HAKMEM_=");
    EXPECT(strcmp(said, "hakmem: HAKMEM_XYZZY: no such option\n"
                        "hakmem: HAKMEM_: no such option\n") == 0);
    char entry[300] = "HAKMEM_";
    memset(entry + strlen(entry), 'Y', 200);
    read_entries(entry, "HAKMEM_VERBOSE=1", NULL);
    EXPECT_EQ(lines_said(), 1);
}

static void test_start_reads_the_process(void)
{
    errno = 4711;
    hak_options_start();
    EXPECT_EQ(errno, 4711);
    EXPECT_EQ(hak_options.retain_bytes, HAK_SIZE_AUTO);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"an environment without options gives the defaults", test_defaults},
        {"no environment gives the defaults", test_no_environment},
        {"each row allows its default", test_rows_allow_their_defaults},
        {"each row refuses nonsense and ignores emptiness", test_rows_refuse_nonsense},
        {"SHARD", test_shard},
        {"the learner's options", test_learn},
        {"arms are pinned by size", test_learn_pins},
        {"HAKMEM_TOPOLOGY names a machine", test_topology},
        {"choices", test_choices},
        {"counts and sizes", test_numbers},
        {"durations", test_durations},
        {"each wrong value is reported in one clear line", test_what_is_said},
        {"the first entry of a name counts", test_the_first_of_a_name_counts},
        {"unknown names are reported on request, with the nearest known name", test_unknown_names},
        {"the start reads the environment and leaves errno", test_start_reads_the_process},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
