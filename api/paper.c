/* SPDX-License-Identifier: MIT */
/* Sheets for calls that ask: see the header. The memory holds the sheet, one more shard for the
 * total, and the counts of objects in fronts. */
#include "api/paper.h"

#include "api/mode.h"
#include "heap/collect.h"
#include "os/bits.h"
#include "os/memory.h"
#include "os/section.h"

bool hak_paper_take(struct hak_paper *paper)
{
    struct hak_collect collect;
    unsigned shards = hak_shard_last_id();
    size_t sheet = hak_align_up(hak_sheet_size(shards + 1), HAK_CACHE_LINE);
    paper->size = hak_align_up(sheet + hak_collect_rows_size(shards), hak_os_page_size());
    char *memory = hak_os_map(paper->size, hak_os_page_size());
    if (memory == NULL)
        return false;
    paper->sheet = (struct hak_sheet *)memory;
    paper->total = &paper->sheet->shards[shards];
    hak_collect_start(&collect, paper->sheet, (uint32_t *)(memory + sheet), shards);
    hak_mode_put_facts(&paper->sheet->head);
    if (hak_section_enter_late()) {
        hak_collect_step(hak_heap_default(), &collect, &hak_collect_all);
        hak_section_leave();
    }
    hak_sheet_total(paper->sheet, paper->total);
    hak_sheet_derive_process(&paper->sheet->head, paper->total);
    return true;
}

void hak_paper_drop(struct hak_paper *paper)
{
    hak_os_release(paper->sheet, paper->size, HAK_OS_PLAIN);
}
