/* SPDX-License-Identifier: MIT */
/* topology/hwloc_text.c: a notation is within bounds or not; the needed part of an XML is written
 * again, and contradictions are refused. */
#include "topology/hwloc_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

static void notation(void)
{
    static const char *const good[] = {
        "pu:1",
        "2 2 2",
        "pu:4095",
        "pack:2 [numa(memory=8GB indexes=0,8)] core:4 pu:1(indexes=0,8,16,24,32,40,48,56)",
        "(memory=1GB) numa:256 pu:2",
    };
    static const struct {
        const char *text;
        int refused;
    } bad[] = {
        {"pu:100000", -E2BIG},
        {"pu:99999999999999999999999999", -E2BIG},
        {"core:64 pu:65", -E2BIG},
        {"core:4096 pu:1", -E2BIG},
        {"numa:257 pu:1", -E2BIG},
        {"pack:129 [numa] [numa] pu:1", -E2BIG},
        {"1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", -E2BIG},
        {"pu:0x10000", -EINVAL},
        {"pu:0", -EINVAL},
        {"pu:", -EINVAL},
        {"pu", -EINVAL},
        {"pu:2\t", -EINVAL},
    };
    for (unsigned i = 0; i < TAP_COUNT(good); i++)
        if (!EXPECT_EQ(hak_hwloc_check_notation(good[i]), 0))
            tap_note("%s", good[i]);
    for (unsigned i = 0; i < TAP_COUNT(bad); i++)
        if (!EXPECT_EQ(hak_hwloc_check_notation(bad[i].text), bad[i].refused))
            tap_note("%s", bad[i].text);
    static char endless[HAK_HWLOC_NOTATION_BYTES + 2];
    memset(endless, ' ', sizeof endless - 1);
    EXPECT_EQ(hak_hwloc_check_notation(endless), -E2BIG);
}

/* ---- XML ---------------------------------------------------------------------------------- */

static char cleaned[16 * 1024];

static int clean(const char *text)
{
    struct hak_writer writer = hak_writer_to_buffer(cleaned, sizeof cleaned);
    return hak_hwloc_clean_xml(text, strlen(text), &writer);
}

#define SETS(cpus, nodes) " cpuset=\"" cpus "\" nodeset=\"" nodes "\""
#define NUMA_0            "<object type=\"NUMANode\" os_index=\"0\"" SETS("0x3", "0x1") "/>"
#define PU_0              "<object type=\"PU\" os_index=\"0\"" SETS("0x1", "0x1") "/>"
#define PU_1              "<object type=\"PU\" os_index=\"1\"" SETS("0x2", "0x1") "/>"
#define OPENED            "<topology version=\"2.0\"><object type=\"Machine\"" SETS("0x3", "0x1") ">"
#define CLOSED            "</object></topology>"

static void written_anew(void)
{
    EXPECT_EQ(
        clean(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n" OPENED
            "<info name=\"Secret\" value=\"1\"/>" NUMA_0 "<object type=\"L2Cache\"" SETS(
                "0x1", "0x1") " strange=\"yes\">" PU_0
                              "</object><object type=\"Misc\"><object type=\"Misc\"/></object>" PU_1
                                  CLOSED),
        0);
    EXPECT(strstr(cleaned, "<topology") == cleaned);
    EXPECT(strstr(cleaned, "Secret") == NULL && strstr(cleaned, "strange") == NULL);
    EXPECT(strstr(cleaned, "L2Cache") == NULL && strstr(cleaned, "Misc") == NULL);
    const char *end = cleaned;
    unsigned units = 0;
    for (; (end = strstr(end, "type=\"PU\"")) != NULL; end++)
        units++;
    EXPECT_EQ(units, 2);
    EXPECT(strstr(cleaned, "complete_cpuset=\"0x2\"") != NULL); /* values that hwloc relies on */
}

static void contradictions(void)
{
    static const char *const bad[] = {
        "",
        "<",
        "<topology version=\"2.0\">",
        "<topology version=\"2.0\"/>",
        "<topology version=\"2.0\"></topology>",
        "<topology version=\"1.0\">",
        "<root>" PU_0 "</root>",
        OPENED NUMA_0 PU_0 PU_1, /* no end */
        OPENED NUMA_0 PU_0 PU_1 "</topology>",
        OPENED NUMA_0 PU_0 PU_1 "</object>" CLOSED, /* closed twice */
        OPENED PU_0 PU_1 CLOSED,                    /* no node */
        OPENED NUMA_0 NUMA_0 PU_0 CLOSED,           /* the same node twice */
        OPENED NUMA_0 PU_0 PU_0 CLOSED,             /* the same CPU twice */
        OPENED NUMA_0 "<object type=\"PU\" os_index=\"1\"" SETS("0x1", "0x1") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"PU\" os_index=\"2\"" SETS("0x4", "0x1") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"PU\" os_index=\"0\"" SETS("0x1", "0x2") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"PU\" os_index=\"0\"" SETS("0xf...f", "0x1") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"PU\" os_index=\"0\" cpuset=\"0x1\"/>" CLOSED,
        OPENED NUMA_0 "<object type=\"Nonsense\"" SETS("0x1", "0x1") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"Machine\"" SETS("0x1", "0x1") "/>" CLOSED,
        OPENED NUMA_0 "<object type=\"Core\"" SETS("0x3", "0x1") "><object type=\"Package\"" SETS(
            "0x1", "0x1") "/></object>" CLOSED, /* upside down */
        OPENED "<object type=\"NUMANode\" os_index=\"0\"" SETS("0x3", "0x1") ">" PU_0
                                                                             "</object>" CLOSED,
    };
    EXPECT_EQ(clean(OPENED NUMA_0 PU_0 PU_1 CLOSED), 0); /* the rest of them is right */
    for (unsigned i = 0; i < TAP_COUNT(bad); i++)
        if (!EXPECT_EQ(clean(bad[i]), -EINVAL))
            tap_note("%u: %s", i, bad[i]);
}

static void bounds(void)
{
    static char text[HAK_HWLOC_LEVELS * 128];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", OPENED);
    for (unsigned i = 0; i < HAK_HWLOC_LEVELS; i++)
        length += (size_t)snprintf(text + length, sizeof text - length,
                                   "<object type=\"Group\"" SETS("0x3", "0x1") ">");
    EXPECT_EQ(clean(text), -E2BIG);
    /* text for which the writer has no room is no machine, cut or not */
    char room[64];
    struct hak_writer small = hak_writer_to_buffer(room, sizeof room);
    const char *right = OPENED NUMA_0 PU_0 PU_1 CLOSED;
    EXPECT_EQ(hak_hwloc_clean_xml(right, strlen(right), &small), -E2BIG);
    /* each cut of a right text is refused, and read only up to the cut */
    for (size_t cut = 0; cut < strlen(right); cut++) {
        struct hak_writer writer = hak_writer_to_buffer(cleaned, sizeof cleaned);
        EXPECT_EQ(hak_hwloc_clean_xml(right, cut, &writer), -EINVAL);
    }
}

#define DISTANCES(count, values) \
    "<distances2 type=\"NUMANode\" nbobjs=\"2\" kind=\"5\" indexing=\"os\"><indexes length=\"9\">" \
    "0 1 </indexes><u64values length=\"" count "\">" values "</u64values></distances2>"
#define BEFORE OPENED NUMA_0 PU_0 PU_1 "</object>"
#define AFTER  "</topology>"

static void distances(void)
{
    EXPECT_EQ(clean(BEFORE DISTANCES("77", "10 20 20 10 ") AFTER), 0);
    EXPECT(strstr(cleaned, "<u64values length=\"12\">10 20 20 10 </u64values>") != NULL);
    EXPECT_EQ(clean(BEFORE DISTANCES("9", "10 20 20 ") AFTER), -EINVAL);
    EXPECT_EQ(clean(BEFORE DISTANCES("9", "10 20 20 -1") AFTER), -EINVAL);
    EXPECT_EQ(clean(BEFORE "<distances2 type=\"PU\" nbobjs=\"9\"><x>text</x></distances2>" AFTER),
              0);
    EXPECT(strstr(cleaned, "distances2") == NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a notation has bounds", notation},
        {"the needed part is written again", written_anew},
        {"contradictions are refused", contradictions},
        {"levels and texts have bounds", bounds},
        {"distances fit their nodes", distances},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
