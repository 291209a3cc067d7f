/* SPDX-License-Identifier: MIT */
/* stats/report.c: names, strings, derived figures. */
#include "stats/report.h"

#include <string.h>

#include "tests/lib/tap.h"

static const char *string_of(const char *text)
{
    static char buffer[64];
    struct hak_writer writer = hak_writer_to_buffer(buffer, sizeof buffer);
    hak_report_put_string(&writer, text);
    hak_writer_flush(&writer);
    return buffer;
}

static void strings(void)
{
    EXPECT(strcmp(string_of(""), "\"\"") == 0);
    EXPECT(strcmp(string_of("a\"b\\c"), "\"a\\\"b\\\\c\"") == 0);
    EXPECT(strcmp(string_of("\n\x1b[2J\x7f\xff\x90"), "\"??[2J???\"") == 0);
}

static void derives(void)
{
    struct hak_snapshot counters = {{0}};
    EXPECT_EQ(hak_report_derive(&counters, 1), 0);
    counters.value[HAK_COUNTER_FLUSH_OBJECTS] = 1;
    counters.value[HAK_COUNTER_FOREIGN_FLUSHED] = 2;
    EXPECT_EQ(hak_report_derive(&counters, 0), 3);
    EXPECT_EQ(hak_report_derive(&counters, 1), 67);
    counters.value[HAK_COUNTER_FLUSH_OBJECTS] = UINT64_MAX; /* of a page that is not ours */
    counters.value[HAK_COUNTER_FOREIGN_FLUSHED] = UINT64_MAX;
    EXPECT_LE(hak_report_derive(&counters, 1), 100);
}

static void classes(void)
{
    uint64_t figures[HAK_CLASS_FIGURE_COUNT] = {0};
    EXPECT_EQ(hak_report_has_class(figures), 0);
    figures[HAK_CLASS_FIGURE_REFILLED] = 1;
    EXPECT_EQ(hak_report_has_class(figures), 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"strings hold no byte that JSON or a terminal obeys", strings},
        {"figures are derived from counters", derives},
        {"classes that nobody used are left out", classes},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
