/* SPDX-License-Identifier: MIT */
/* topology/from_hwloc.c: each machine in hwloc's notation (tests/topologies/NAME.synthetic) or
 * recorded by it (NAME.xml) is understood as its NAME.expect says; so is this one. */
#define _GNU_SOURCE
#include "topology/from_hwloc.h"

#include <errno.h>

#include "tests/lib/described.h"
#include "tests/lib/tap.h"

/* 0, or what was refused; without hwloc -ENOENT. */
static int read_machine(struct hak_topology *topology, enum hak_topology_way way, const char *text)
{
    const struct hak_wish wish = {way, text};
    return hak_topology_from_hwloc(topology, &wish);
}

static int hwloc_is_here(void)
{
    struct hak_topology *topology = hak_topology_map();
    int error = read_machine(topology, HAK_WAY_SYNTHETIC, "pu:1");
    hak_topology_unmap(topology);
    return error != -ENOENT;
}

static void compare(const char *name, enum hak_topology_way way, const char *text)
{
    struct hak_topology *topology = hak_topology_map();
    REQUIRE(topology != NULL);
    if (EXPECT_EQ(read_machine(topology, way, text), 0)) {
        EXPECT_EQ(topology->imagined, 1);
        described_compare(name, topology);
    } else {
        tap_note("%s", name);
    }
    hak_topology_unmap(topology);
}

/* The last line; those before it are comments. */
static void compare_synthetic(const char *name)
{
    char path[PATH_MAX + 256];
    char line[1024] = "";
    snprintf(path, sizeof(path), "%s/%s.synthetic", machine_folder(), name);
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        line[strcspn(line, "\n")] = '\0';
    fclose(file);
    compare(name, HAK_WAY_SYNTHETIC, line);
}

static void compare_xml(const char *name)
{
    char path[PATH_MAX + 256];
    snprintf(path, sizeof(path), "%s/%s.xml", machine_folder(), name);
    compare(name, HAK_WAY_XML, path);
}

static void synthetic(void)
{
    EXPECT_GE(described_for_each(".synthetic", compare_synthetic), 8);
}

static void xml(void)
{
    EXPECT_GE(described_for_each(".xml", compare_xml), 2);
}

static void here(void)
{
    struct hak_topology *topology = hak_topology_map();
    REQUIRE(topology != NULL);
    EXPECT_EQ(read_machine(topology, HAK_WAY_HWLOC, NULL), 0);
    EXPECT_EQ(topology->imagined, 0);
    EXPECT_GE(topology->online, 1);
    hak_topology_unmap(topology);
}

static void refused(void)
{
    static const struct hak_wish wishes[] = {
        {HAK_WAY_SYNTHETIC, "nonsense"}, {HAK_WAY_SYNTHETIC, "pack:"},
        {HAK_WAY_SYNTHETIC, "pu:0"},     {HAK_WAY_XML, "/nonexistent"},
        {HAK_WAY_XML, "/dev/null"},      {HAK_WAY_XML, "/proc/self/exe"},
        {HAK_WAY_XML, "/dev/zero"},      {HAK_WAY_SYNTHETIC, "pu:0x100000"},
    };
    for (unsigned i = 0; i < TAP_COUNT(wishes); i++) {
        struct hak_topology *topology = hak_topology_map();
        REQUIRE(topology != NULL);
        if (!EXPECT_EQ(hak_topology_from_hwloc(topology, &wishes[i]), -EINVAL))
            tap_note("%s", wishes[i].text);
        hak_topology_unmap(topology);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"machines in hwloc's notation are understood", synthetic},
        {"machines that hwloc recorded are understood", xml},
        {"this machine is described", here},
        {"a text that hwloc does not understand is refused", refused},
    };
    if (!hwloc_is_here()) {
        puts("1..0 # SKIP libhwloc.so.15 cannot be loaded");
        return 0;
    }
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
