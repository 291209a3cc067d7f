/* SPDX-License-Identifier: MIT */
/* stats/render_json.c: one object that nests as JSON must, with every figure in every block. */
#include "stats/render_json.h"

#include <string.h>

#include "tests/lib/sheet.h"
#include "tests/lib/tap.h"

static char text[64 * 1024];

static unsigned count(const char *what)
{
    unsigned found = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        found++;
    return found;
}

static void write_report(unsigned shard_count)
{
    struct hak_report report = sheet_test_report();
    sheet_test.sheet.head.shard_count = shard_count;
    sheet_test.sheet.shards[1].counters.value[HAK_COUNTER_OUT_OF_MEMORY] = UINT64_MAX;
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_render_json(&report, &writer);
    EXPECT_LE(writer.total, sizeof text - 1);
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
    EXPECT_EQ(count("\"retained\":"), 3 + 1);
    EXPECT_EQ(count("\"live_percent\":"), 2 + 2 + 2);
    EXPECT_EQ(count("\"by\":\"c\\\"p\\\\u?\""), 1);
    EXPECT_EQ(count("\"absent\""), 0);
    EXPECT_EQ(count("\"total\":{\"bytes_held\":2098688,"), 1);
    EXPECT_EQ(count("\"shards\":[{\"id\":0,\"node\":3,\"retired\":false,\"cpus\":\"0-3,8\","
                    "\"bytes_held\":2097152,"),
              1);
    EXPECT_EQ(count("{\"id\":1,\"node\":-1,\"retired\":true,\"bytes_held\":1536,"), 1);
    EXPECT_EQ(count("\"traffic\":[{\"shard\":0,\"posted\":0,\"adopted\":20,\"stolen\":0}]"), 1);
    EXPECT_EQ(count("{\"key\":\"64K\",\"arm\":\"keep\",\"state\":\"frozen\",\"matches\":9,"), 1);
    EXPECT_EQ(count(":18446744073709551615"), 1);
    EXPECT_EQ(count(",,") + count(",}") + count("{,") + count("[,") + count(",]"), 0);
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
