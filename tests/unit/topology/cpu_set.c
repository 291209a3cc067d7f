/* SPDX-License-Identifier: MIT */
/* topology/cpu_set.c: lists are read and written as the kernel does; nonsense is refused. */
#include "topology/cpu_set.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/tap.h"

static void there_and_back(void)
{
    static const char *const lists[] = {"",        "0",         "0-1",        "0,2,4,6",
                                        "63-64",   "3-5,7,900", "0-4095",     "4095",
                                        "0-2,4-6", "127-130",   "0,4094-4095"};
    for (unsigned i = 0; i < TAP_COUNT(lists); i++) {
        struct hak_cpu_set set;
        char text[64];
        EXPECT_EQ(hak_cpu_set_parse(&set, lists[i]), 0);
        struct hak_writer writer = hak_writer_to_buffer(text, sizeof(text));
        hak_cpu_set_put(&writer, &set);
        hak_writer_flush(&writer);
        if (!EXPECT(strcmp(text, lists[i]) == 0))
            tap_note("%s came back as %s", lists[i], text);
    }
}

static void queries(void)
{
    struct hak_cpu_set set;
    EXPECT_EQ(hak_cpu_set_parse(&set, "1,64,4000-4095\n"), 0);
    EXPECT_EQ(hak_cpu_set_count(&set), 98);
    EXPECT_EQ(hak_cpu_set_next(&set, 0), 1);
    EXPECT_EQ(hak_cpu_set_next(&set, 2), 64);
    EXPECT_EQ(hak_cpu_set_next(&set, 65), 4000);
    EXPECT_EQ(hak_cpu_set_next(&set, 4096), HAK_CPU_SET_MAX);
    EXPECT(hak_cpu_set_has(&set, 64) && !hak_cpu_set_has(&set, 63));
    EXPECT(!hak_cpu_set_has(&set, 4096) && !hak_cpu_set_has(&set, UINT32_MAX));
    EXPECT_EQ(hak_cpu_set_parse(&set, "\n"), 0);
    EXPECT_EQ(hak_cpu_set_next(&set, 0), HAK_CPU_SET_MAX);
}

static void far_ids(void)
{
    struct hak_cpu_set set;
    EXPECT_EQ(hak_cpu_set_parse(&set, "5,4090-9999,99999999999999999999"), 0);
    EXPECT_EQ(hak_cpu_set_count(&set), 7);
    hak_cpu_set_add(&set, 4096);
    hak_cpu_set_add(&set, UINT32_MAX);
    EXPECT_EQ(hak_cpu_set_count(&set), 7);
}

static void nonsense(void)
{
    static const char *const lists[] = {"x",    "-",   "1-",   "-1",    "2-1", "1,", ",1",
                                        "1,,2", "1 2", "0-3x", "1-2-3", " 1",  "1\t"};
    for (unsigned i = 0; i < TAP_COUNT(lists); i++) {
        struct hak_cpu_set set;
        if (!EXPECT_EQ(hak_cpu_set_parse(&set, lists[i]), -EINVAL))
            tap_note("'%s' was taken for a list", lists[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a list comes back as it was", there_and_back},
        {"members are found", queries},
        {"ids beyond the end are left out", far_ids},
        {"nonsense is refused", nonsense},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
