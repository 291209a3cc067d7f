/* SPDX-License-Identifier: MIT */
/* stats/counters.c: each row of the table has its place, and adds lose nothing. */
#include "stats/counters.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

static struct hak_counters counters;

static void described(void)
{
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++) {
        const struct hak_counter_info *info = &hak_counter_infos[i];
        REQUIRE(info->name != NULL);
        EXPECT_GE(strlen(info->unit), 4);
        EXPECT_GE(strlen(info->sentence), 10);
        EXPECT_LE(strlen(info->name), 24); /* fits the column of the report */
        for (unsigned k = 0; k < i; k++)
            EXPECT(strcmp(info->name, hak_counter_infos[k].name) != 0);
    }
    EXPECT(strcmp(hak_counter_infos[HAK_COUNTER_INBOX_PEAK].name, "INBOX_PEAK") == 0);
    EXPECT_EQ(hak_counter_infos[HAK_COUNTER_INBOX_PEAK].kind, HAK_COUNTER_PEAK);
    EXPECT_EQ(sizeof(counters) % HAK_CACHE_LINE, 0);
}

static void *add(void *argument)
{
    unsigned number = *(unsigned *)argument;
    for (unsigned i = 1; i <= 10000; i++) {
        hak_count(&counters, HAK_COUNTER_REFILL_OBJECTS, 3);
        hak_count_peak(&counters, HAK_COUNTER_INBOX_PEAK, number * 10000 + i);
    }
    return NULL;
}

static void concurrent(void)
{
    unsigned numbers[4] = {0, 1, 2, 3};
    threads_run(4, add, numbers, sizeof(numbers[0]));
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_REFILL_OBJECTS), 120000);
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_INBOX_PEAK), 40000);
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_OUT_OF_MEMORY), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each counter is described once", described},
        {"threads add and none is lost", concurrent},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
