/* SPDX-License-Identifier: MIT */
/* stats/render_json.c: one object that nests as JSON must, with every counter in every block. */
#include <string.h>

#include "stats/report.h"
#include "tests/lib/tap.h"

static char text[32 * 1024];

static unsigned count(const char *what)
{
    unsigned found = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        found++;
    return found;
}

static void write_report(unsigned shard_count)
{
    static const struct hak_report_fact facts[] = {{"mode", "c\"p\\u\n"}, {"front", "thread"}};
    struct hak_report_shard shards[2] = {
        {.id = 0, .node = 0, .cpus = "0-3", .bytes_held = 4096},
        {.id = 1, .node = -1},
    };
    shards[1].counters.value[HAK_COUNTER_OUT_OF_MEMORY] = UINT64_MAX;
    struct hak_report report = {"hakmem 1", facts, 2, shards, shard_count};
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof(text));
    hak_report_write(&report, &hak_report_json, &writer);
}

/* Brackets close what they opened, outside of strings. */
static int is_nested(void)
{
    char open[16];
    unsigned depth = 0;
    int in_string = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (in_string && *at == '\\')
            at++;
        else if (*at == '"')
            in_string = !in_string;
        else if (!in_string && (*at == '{' || *at == '['))
            open[depth++ % sizeof(open)] = *at;
        else if (!in_string && (*at == '}' || *at == ']')) {
            if (depth == 0 || open[--depth] != (*at == '}' ? '{' : '['))
                return 0;
        }
    }
    return depth == 0 && !in_string;
}

static void renders(void)
{
    write_report(2);
    EXPECT(is_nested());
    EXPECT_EQ(count("\"refill_objects\":"), 3);
    /* title, facts; two facts; total and its two; shards; five and four of the shards */
    EXPECT_EQ(count(":"), 2 + 2 + 3 + 1 + 5 + 4 + 3 * (HAK_COUNTER_COUNT + HAK_REPORT_DERIVED));
    EXPECT_EQ(count("\"mode\":\"c\\\"p\\\\u\\u000a\""), 1);
    EXPECT_EQ(count("\"total\":{\"bytes_held\":4096,"), 1);
    EXPECT_EQ(count("\"shards\":[{\"id\":0,\"node\":0,\"cpus\":\"0-3\",\"bytes_held\":4096,"), 1);
    EXPECT_EQ(count("}},{\"id\":1,\"node\":-1,\"bytes_held\":0,"), 1);
    EXPECT_EQ(count(":18446744073709551615"), 2);
    EXPECT_EQ(count(",,") + count(",}") + count("{,"), 0);
    EXPECT_EQ(count("\n"), 1);
}

static void empty(void)
{
    write_report(0);
    EXPECT(is_nested());
    EXPECT_EQ(count("\"shards\":[]}"), 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a report is one object", renders},
        {"no shards are an empty list", empty},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
