/* SPDX-License-Identifier: MIT */
/* topology/wish.c: values of HAKMEM_TOPOLOGY, right and wrong ones. */
#include "topology/wish.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/tap.h"

static void parses(void)
{
    static const char *const bad[] = {
        "", "x", "Auto", " auto", "auto:", "hwloc:x", "xml", "xml:", "synthetic", "synthetic:"};
    struct hak_wish wish = {HAK_WAY_XML, "file"};
    for (unsigned i = 0; i < TAP_COUNT(bad); i++)
        EXPECT_EQ(hak_wish_parse(bad[i], &wish), -EINVAL);
    EXPECT_EQ(wish.way, HAK_WAY_XML);
    EXPECT_EQ(hak_wish_parse("synthetic:pu:2", &wish), 0);
    EXPECT_EQ(wish.way, HAK_WAY_SYNTHETIC);
    EXPECT(strcmp(wish.text, "pu:2") == 0);
    EXPECT_EQ(hak_wish_parse("hwloc", &wish), 0);
    EXPECT_EQ(wish.way, HAK_WAY_HWLOC);
    EXPECT(wish.text == NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the values of HAKMEM_TOPOLOGY are understood", parses},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
