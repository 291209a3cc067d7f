/* SPDX-License-Identifier: MIT */
/* A published page: any bytes over a sound one, and any length; a page that passes is rendered. The
 * input: how much of the page is there (4 bytes), then pieces {offset:4, count:1, bytes}. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stats/published.h"
#include "stats/render_json.h"
#include "stats/render_prometheus.h"
#include "stats/render_text.h"
#include "tests/lib/sheet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    SHARDS = 16
}; /* at most this much is copied: a larger page is refused like one without memory */

static struct hak_published_head *page;
static size_t length;

static long read_page(void *context, void *bytes, size_t size, uint64_t offset)
{
    (void)context;
    if (offset >= length)
        return 0;
    size = size < length - offset ? size : length - offset;
    memcpy(bytes, (const char *)page + offset, size);
    return (long)size;
}

static void make_page(size_t used)
{
    memset(page, 0, used);
    hak_published_begin(page);
    sheet_for_test();
    memcpy(hak_published_sheet(page), &sheet_test, sizeof sheet_test);
    hak_published_regions_of(page)->count = 1;
    hak_published_regions_of(page)->region[0].shard = 1;
}

/* A piece for the room of further shards goes to the regions. */
static size_t place_of(uint32_t offset, size_t used)
{
    size_t regions = (size_t)((char *)hak_published_regions_of(page) - (char *)page);
    return offset < used ? offset : regions + offset % 2048;
}

static void change(const uint8_t *bytes, size_t size, size_t used)
{
    while (size > 5) {
        uint32_t offset;
        memcpy(&offset, bytes, 4);
        size_t count = bytes[4];
        bytes += 5;
        size -= 5;
        count = count < size ? count : size;
        memcpy((char *)page + place_of(offset % (used + 2048), used), bytes, count);
        bytes += count;
        size -= count;
    }
}

static void render(const struct hak_published_copy *copy)
{
    char buffer[256];
    struct hak_sheet_shard *total = &copy->sheet->shards[copy->shards];
    hak_sheet_total(copy->sheet, total);
    hak_sheet_derive_process(&copy->sheet->head, total);
    const struct hak_report report = {copy->sheet, total};
    struct hak_writer writer = hak_writer_to_buffer(buffer, sizeof buffer);
    hak_render_text(&report, &writer);
    hak_render_json(&report, &writer);
    hak_render_prometheus(&report, &writer);
    hak_published_put_regions(&writer, &copy->sheet->head, copy->regions);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct hak_published_source source = {read_page, NULL};
    const size_t used = 4096 + sizeof(struct hak_sheet) + SHARDS * sizeof(struct hak_sheet_shard);
    static struct hak_published_copy copy;
    size_t shards;
    uint32_t cut;
    if (size < 4)
        return 0;
    if (page == NULL) {
        page = calloc(1, hak_published_size());
        copy.sheet = malloc(hak_sheet_size(SHARDS + 1));
        copy.regions = malloc(sizeof *copy.regions);
    }
    if (page == NULL || copy.sheet == NULL || copy.regions == NULL)
        return 0;
    make_page(used);
    memcpy(&cut, bytes, 4);
    length = cut % 4 == 0 ? cut % hak_published_size() : hak_published_size();
    change(bytes + 4, size - 4, used);
    if (hak_published_open(&source, &shards) != NULL || shards > SHARDS)
        return 0;
    copy.shards = shards;
    if (hak_published_read(&source, &copy) == NULL)
        render(&copy);
    return 0;
}
