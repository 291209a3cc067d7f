/* SPDX-License-Identifier: MIT */
/* stats/render_text.c: the text for people. */
#include "stats/render_text.h"

#include <string.h>

#include "tests/lib/sheet.h"
#include "tests/lib/tap.h"

static char text[16 * 1024];

static void write_report(const struct hak_report *report)
{
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_render_text(report, &writer);
}

static void renders(void)
{
    static const char *const parts[] = {
        "hakmem 1\n",
        "  front                      thread\n",
        "process: 5.1 MiB live, 5.2 MiB resident at most\n",
        "  whales                                  2 whales\n",
        "total: 2.0 MiB held\n",
        "  slabs_made                             12 slabs\n",
        "  back_remote                            20 percent\n",
        "   size       live  live%    resident",
        "     16         50     1%       61440        30        10        10          1         "
        "128",
        "shard 0: node 3, cpus 0-3,8, 2.0 MiB held\n",
        "shard 1: retired, 1.5 KiB held\n",
        "  adopted from shard 0: 20 objects\n",
    };
    const char *from = text;
    struct hak_report report = sheet_test_report();
    write_report(&report);
    for (unsigned i = 0; i < TAP_COUNT(parts); i++) {
        const char *found = strstr(from, parts[i]);
        if (!EXPECT(found != NULL)) {
            tap_note("no '%s', in order, in\n%s", parts[i], text);
            return;
        }
        from = found;
    }
    EXPECT(strstr(text, "inbox_peak") == NULL); /* what is 0 */
}

static void sizes(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "total: 0 B held"},
        {1023, "total: 1023 B held"},
        {1024, "total: 1.0 KiB held"},
        {(uint64_t)5 << 40, "total: 5.0 TiB held"},
    };
    for (unsigned i = 0; i < TAP_COUNT(rows); i++) {
        struct hak_report report = sheet_test_report();
        sheet_test_total.figures[HAK_FIGURE_MAPPED] = rows[i].bytes;
        write_report(&report);
        if (!EXPECT(strstr(text, rows[i].text) != NULL))
            tap_note("got %s", text);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"figures that are not 0 stand under their shard", renders},
        {"sizes have units", sizes},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
