/* SPDX-License-Identifier: MIT */
/* Checks the text that hwloc will read. Its XML reader trusts the text: sets that are missing or do
 * not fit together end the process. Its time grows with the square of the machine, or more. So the
 * synthetic notation has bounds here, and a recorded XML is read, checked, and written again with
 * only the objects that we need. One thread a text. */
#ifndef HAK_TOPOLOGY_HWLOC_TEXT_H
#define HAK_TOPOLOGY_HWLOC_TEXT_H

#include <stddef.h>

#include "os/print.h"

enum {
    HAK_HWLOC_TEXT_BYTES = 8 * 1024 * 1024, /* of a recorded machine */
    HAK_HWLOC_NOTATION_BYTES = 4096,        /* of a machine that is made up */
    HAK_HWLOC_OBJECTS = 4096,
    HAK_HWLOC_LEVELS = 32,
};

/* Checks a machine in hwloc's notation. 0; -E2BIG: too long, too deep, too many objects; -EINVAL: a
 * level without a decimal count. hwloc reports other errors. */
int hak_hwloc_check_notation(const char *text);

/* Reads a machine that hwloc 2 recorded, and writes the part of it that is needed. 0, -E2BIG,
 * -EINVAL: no such machine, or one that contradicts itself; -ENOMEM. */
int hak_hwloc_clean_xml(const char *text, size_t length, struct hak_writer *cleaned);

#endif
