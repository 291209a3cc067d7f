/* SPDX-License-Identifier: MIT */
/* stats/published.c: a published page is read as it is; truncated, foreign, older, newer and
 * hostile pages are told apart, or at least do no harm. */
#include "stats/published.h"

#include <stdlib.h>

#include "tests/lib/prng.h"
#include "tests/lib/sheet.h"
#include "tests/lib/tap.h"

static struct hak_published_head *page;
static size_t length;  /* of the page that is there to be read */
static uint64_t *busy; /* a sequence that is odd at each read */
static struct hak_sheet *copy_of_sheet;
static struct hak_published_regions *copy_of_regions;

static long read_page(void *context, void *bytes, size_t size, uint64_t offset)
{
    (void)context;
    if (offset >= length)
        return 0;
    size_t left = length - offset;
    size = size < left ? size : left;
    if (busy != NULL)
        *busy += 2;
    memcpy(bytes, (char *)page + offset, size);
    return (long)size;
}

static const struct hak_published_source source = {read_page, NULL};

static void make_page(void)
{
    memset(page, 0, hak_published_size());
    length = hak_published_size();
    busy = NULL;
    hak_published_begin(page);
    const struct hak_sheet *sheet = sheet_for_test();
    memcpy(hak_published_sheet(page), sheet, sizeof sheet_test);
    struct hak_published_regions *regions = hak_published_regions_of(page);
    regions->count = 2;
    for (unsigned i = 0; i < 2; i++) {
        regions->region[i] = (struct hak_published_region){0x200000, 1, 0, 0xf0, 0x30, {0}, {0}};
        regions->region[i].class_id[1] = 1;
        regions->region[i].used[1] = 42;
    }
}

/* NULL, or the fault, by both halves of the reader. */
static const char *read_it(struct hak_published_copy *copy)
{
    size_t shards;
    const char *wrong = hak_published_open(&source, &shards);
    if (wrong != NULL)
        return wrong;
    EXPECT_LE(shards, HAK_PUBLISHED_SHARDS);
    if (shards > SHEET_TEST_SHARDS)
        return "more shards than the test made";
    *copy = (struct hak_published_copy){copy_of_sheet, shards, copy_of_regions, false};
    return hak_published_read(&source, copy);
}

static void reads_what_is_there(void)
{
    static char text[4096];
    struct hak_published_copy copy;
    make_page();
    EXPECT(read_it(&copy) == NULL);
    EXPECT_EQ(copy.shards, SHEET_TEST_SHARDS);
    EXPECT(!copy.is_torn);
    EXPECT_EQ(copy.sheet->head.pid, 4711);
    EXPECT_EQ(memcmp(copy.sheet->shards, sheet_test.sheet.shards,
                     SHEET_TEST_SHARDS * sizeof copy.sheet->shards[0]),
              0);
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_published_put_regions(&writer, &copy.sheet->head, copy.regions);
    hak_writer_flush(&writer);
    EXPECT(strcmp(text, "\"regions\":[{\"address\":\"0x200000\",\"shard\":0,\"node\":0,\"free\":4,"
                        "\"dirty\":2,\"slabs\":[{\"page\":1,\"pages\":1,\"class\":1,\"used\":42}"
                        "]}]") == 0);
}

static void waits_for_writers(void)
{
    struct hak_published_copy copy;
    make_page();
    busy = &hak_published_sheet(page)->shards[1].sequence;
    *busy = 1;
    EXPECT(read_it(&copy) == NULL); /* tries have an end */
    EXPECT(copy.is_torn);
}

static void expect_wrong(const char *part)
{
    struct hak_published_copy copy;
    const char *wrong = read_it(&copy);
    if (!EXPECT(wrong != NULL && strstr(wrong, part) != NULL))
        tap_note("'%s', not '%s'", wrong != NULL ? wrong : "nothing wrong", part);
}

static void strangers_are_told(void)
{
    make_page();
    page->magic[3]++;
    expect_wrong("no page of this library");
    make_page();
    page->version = 0;
    expect_wrong("older");
    make_page();
    page->version++;
    expect_wrong("newer");
    make_page();
    page->layout ^= 1;
    expect_wrong("another build");
    make_page();
    page->shard_room = UINT64_MAX;
    expect_wrong("size");
    static const size_t lengths[] = {0, 7, sizeof *page, 4096, 5000, 20000};
    for (unsigned i = 0; i < TAP_COUNT(lengths); i++) {
        make_page();
        length = lengths[i];
        expect_wrong("truncated");
    }
}

static void nonsense_is_told(void)
{
    struct hak_sheet *sheet = hak_published_sheet(page);
    make_page();
    sheet->head.shard_count = UINT32_MAX;
    expect_wrong("bounds");
    make_page();
    sheet->head.class_count = HAK_SHEET_CLASSES + 1;
    expect_wrong("bounds");
    make_page();
    memcpy(sheet->head.facts[0].name, "a\"b", 4);
    expect_wrong("fact");
    make_page();
    sheet->shards[1].id = 7;
    expect_wrong("another number");
    make_page();
    sheet->shards[1].traffic.peers[2].id = UINT32_MAX;
    expect_wrong("traffic");
    make_page();
    hak_published_regions_of(page)->count = HAK_PUBLISHED_REGIONS + 1;
    expect_wrong("more regions");
    make_page();
    hak_published_regions_of(page)->region[1].shard = 3;
    expect_wrong("no shard");
    make_page();
    hak_published_regions_of(page)->region[1].used[5] = 101;
    expect_wrong("full");
}

static void texts_are_harmless(void)
{
    struct hak_published_copy copy;
    make_page();
    struct hak_sheet *sheet = hak_published_sheet(page);
    memset(sheet->head.title, '\x1b', sizeof sheet->head.title);
    memset(sheet->shards[0].cpus, 'x', sizeof sheet->shards[0].cpus);
    EXPECT(read_it(&copy) == NULL);
    EXPECT_EQ(strlen(copy.sheet->head.title), sizeof sheet->head.title - 1);
    EXPECT(strchr(copy.sheet->head.title, '\x1b') == NULL);
    EXPECT_EQ(strlen(copy.sheet->shards[0].cpus), sizeof sheet->shards[0].cpus - 1);
}

/* Bytes changed at random: an answer each time, and a page that passes can be used. */
static void damage_does_no_harm(void)
{
    struct prng prng = {.state = 4711};
    unsigned passed = 0;
    size_t used = 4096 + sizeof sheet_test;
    for (unsigned round = 0; round < 300; round++) {
        struct hak_published_copy copy;
        make_page();
        for (unsigned i = 0; i <= round % 8; i++)
            ((char *)page)[prng_below(&prng, used)] ^= (char)(1 << prng_below(&prng, 8));
        if (read_it(&copy) != NULL)
            continue;
        passed++;
        hak_sheet_total(copy.sheet, &sheet_test_total);
        for (unsigned i = 0; i < copy.shards; i++)
            EXPECT_EQ(copy.sheet->shards[i].id, i + 1);
    }
    tap_note("%u of 300 passed", passed);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a published page is read as it is", reads_what_is_there},
        {"readers wait for a writer, for a bounded time", waits_for_writers},
        {"truncated, foreign, older and newer pages are refused", strangers_are_told},
        {"pages with nonsense are refused", nonsense_is_told},
        {"texts end, and hold no byte that a terminal obeys", texts_are_harmless},
        {"damaged pages do no harm", damage_does_no_harm},
    };
    page = malloc(hak_published_size());
    copy_of_sheet = malloc(hak_sheet_size(SHEET_TEST_SHARDS + 1));
    copy_of_regions = malloc(sizeof *copy_of_regions);
    if (page == NULL || copy_of_sheet == NULL || copy_of_regions == NULL)
        return 99;
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
