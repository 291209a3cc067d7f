/* SPDX-License-Identifier: MIT */
/* stats/render_prometheus.c: the rules of the text format: a name is described once, before its
 * samples, which stand together; each is on a line of its own; names have the letters that are
 * allowed. */
#include "stats/render_prometheus.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/sheet.h"
#include "tests/lib/tap.h"

static char text[128 * 1024];

static unsigned count(const char *what)
{
    unsigned found = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        found++;
    return found;
}

static void samples(void)
{
    EXPECT_EQ(count("\nhakmem_slabs_made_total{shard=\"0\",node=\"3\"} 12\n"), 1);
    EXPECT_EQ(count("\nhakmem_slabs_made_total{shard=\"1\",node=\"-1\"} 0\n"), 1);
    EXPECT_EQ(count("\nhakmem_live_bytes{shard=\"1\",node=\"-1\"} 81920\n"), 1);
    EXPECT_EQ(count("\nhakmem_class_live_objects{class=\"1\",size=\"16\"} 50\n"), 1);
    EXPECT_EQ(count("\nhakmem_process_whales_whales 2\n"), 1);
    EXPECT_EQ(count("\nhakmem_info{version=\"hakmem 1\",by=\"c\\\"p\\\\u?\",front=\"thread\"} 1\n"),
              1);
}

/* The name that a line begins with, or that it describes. */
static size_t name_of(const char *line, const char **name)
{
    *name = line[0] == '#' ? line + strlen("# HELP ") : line;
    return strspn(*name, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

static void check_line(const char *line, const char *name, size_t length)
{
    EXPECT_GE(length, 8);
    EXPECT(strncmp(name, "hakmem_", 7) == 0);
    if (line[0] == '#') {
        EXPECT(name[length] == ' ');
        return;
    }
    EXPECT(name[length] == ' ' || name[length] == '{');
    char *end;
    const char *value = strrchr(line, ' ');
    REQUIRE(value != NULL);
    strtoull(value + 1, &end, 10);
    EXPECT(end != value + 1 && *end == '\0');
}

static void follows_the_rules(void)
{
    struct hak_report report = sheet_test_report();
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_render_prometheus(&report, &writer);
    EXPECT_LE(writer.total, sizeof text - 1);
    samples();
    char described[64] = "";
    unsigned families = 0;
    EXPECT(text[strlen(text) - 1] == '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *name;
        size_t length = name_of(line, &name);
        check_line(line, name, length);
        REQUIRE(length < sizeof described);
        if (strncmp(line, "# HELP ", 7) == 0) {
            families++;
            memcpy(described, name, length);
            described[length] = '\0';
        }
        EXPECT(strlen(described) == length && memcmp(described, name, length) == 0);
    }
    EXPECT_EQ(families, 1 + HAK_FIGURE_COUNT + HAK_CLASS_FIGURE_COUNT + HAK_PROCESS_FIGURE_COUNT +
                            HAK_COUNTER_COUNT);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each name is described once, and its samples follow", follows_the_rules},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
