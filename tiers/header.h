/* SPDX-License-Identifier: MIT */
/* Memory for the headers of regions and large segments. It lies apart from what they describe, so
 * no overflow in the program's memory reaches a header. Zero when taken. The page map leads from a
 * region to its header (hak_page_header).
 *
 *   chunk (1.25 MiB, aligned to 2 MiB):  | slot 0: which are free | slot 1 | ... | slot 63 |
 *
 * A header takes neighbouring slots of 20 KiB: one for a region of slabs or a segment of 4 MiB, 53
 * for a segment of 256 MiB. A header that is given back loses its pages at once, by one madvise.
 * Chunks stay mapped.
 *
 * Bounds: a take looks at 16 chunks; no lock is held over system calls. Addresses: a slot for each
 * 2 MiB of slabs, a 200th of large segments, of the most that there were. Pages: as many as headers
 * have touched, and one a chunk. Any thread. */
#ifndef HAK_TIERS_HEADER_H
#define HAK_TIERS_HEADER_H

#include <stddef.h>

enum {
    HAK_HEADER_SLOT = 20 * 1024,
    HAK_HEADER_SLOTS_MOST = 63, /* of one header */
};

/* size: up to HAK_HEADER_SLOT * HAK_HEADER_SLOTS_MOST. Zero, at the start of a kernel page. NULL:
 * the kernel refuses. */
void *hak_header_take(size_t size);

/* Gives it back, with the same size. No thread reads it any more. */
void hak_header_give(void *header, size_t size);

#endif
