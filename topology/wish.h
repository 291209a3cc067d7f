/* SPDX-License-Identifier: MIT */
/* The machine that HAKMEM_TOPOLOGY asks for, and the way to learn it. */
#ifndef HAK_TOPOLOGY_WISH_H
#define HAK_TOPOLOGY_WISH_H

enum hak_topology_way {
    HAK_WAY_AUTO,      /* sysfs, or without it the allowed CPUs */
    HAK_WAY_SYSFS,     /* the same, by name */
    HAK_WAY_HWLOC,     /* this machine, as hwloc sees it */
    HAK_WAY_SYNTHETIC, /* a machine in hwloc's notation: "pack:2 numa:2 core:8 pu:2" */
    HAK_WAY_XML,       /* a machine that hwloc recorded in a file */
};

/* Which machine, and how to read it. */
struct hak_wish {
    enum hak_topology_way way;
    const char *text; /* the notation or the file's name, else NULL; owned by the caller */
};

/* Reads "auto", "sysfs", "hwloc", "synthetic:SPEC" or "xml:FILE"; the wish points into `text`. 0,
 * or -EINVAL with the wish untouched. */
int hak_wish_parse(const char *text, struct hak_wish *wish);

#endif
