/* SPDX-License-Identifier: MIT */
/* stats/profile.c: rows by stack and shard, live samples, samples without room, pages that others
 * wrote. */
#include "stats/profile.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/tap.h"

static const uint64_t here[] = {0x1000, 0x2000, 0x3000};
static const uint64_t there[] = {0x1000, 0x2000, 0x4000};

static struct hak_profile profile;
static char *memory;

static void begin(void)
{
    if (memory != NULL)
        munmap(memory, hak_profile_size());
    hak_profile_forget();
    memory = mmap(NULL, hak_profile_size(), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    profile = hak_profile_lay_out(memory, 4096);
}

static void add(uintptr_t object, size_t size, double scale, const uint64_t *stack, unsigned shard)
{
    struct hak_profile_sample sample = {
        .object = (const void *)object,
        .size = size,
        .scale = scale,
        .stack = stack,
        .depth = 3,
        .shard = shard,
        .node = -1,
    };
    hak_profile_add(&profile, &sample);
}

static uint64_t figure(unsigned row, enum hak_profile_figure which)
{
    return hak_profile_figure(&profile.rows[row], which);
}

static void rows_by_stack_and_shard(void)
{
    begin();
    EXPECT(!hak_profile_may_hold((void *)0x10000));
    add(0x10000, 100, 10, here, 1);
    add(0x20000, 50, 10, here, 1);
    add(0x30000, 50, 10, there, 1);
    add(0x40000, 50, 10, here, 2);
    EXPECT_EQ(profile.header->rows, 3);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 1500);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 20);
    EXPECT(hak_profile_may_hold((void *)0x10000));
    hak_profile_remove(&profile, (void *)0x10000);
    hak_profile_remove(&profile, (void *)0x10000);
    hak_profile_remove(&profile, (void *)0x50000);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 500);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 10);
    EXPECT_EQ(figure(0, HAK_PROFILE_TOTAL_BYTES), 1500);
    EXPECT_EQ(figure(0, HAK_PROFILE_SAMPLED), 2);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 500);
}

static void what_has_no_room_is_lost_and_told(void)
{
    begin();
    for (uintptr_t i = 1; i <= HAK_PROFILE_SAMPLES + 10; i++)
        add(i << 12, 1, 1, here, 1);
    EXPECT_EQ(profile.header->lost, 11); /* entry 0 is never used */
    for (uintptr_t i = 1; i <= HAK_PROFILE_SAMPLES + 10; i++)
        hak_profile_remove(&profile, (void *)(i << 12));
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 0);
    add(4096, 1, 1, here, 1);
    EXPECT_EQ(profile.header->lost, 11);
    begin();
    for (uint64_t i = 0; i < HAK_PROFILE_ROWS + 100; i++) {
        const uint64_t stack[] = {i, 2, 3};
        add((i + 1) << 12, 1, 1, stack, 1);
        hak_profile_remove(&profile, (void *)((i + 1) << 12));
    }
    EXPECT_EQ(profile.header->rows, HAK_PROFILE_ROWS);
    EXPECT_EQ(profile.header->lost, 100);
}

/* While an object is resized no look-up finds it; then it is where it was, or gone. */
static void taken_and_put_back(void)
{
    begin();
    add(0x10000, 100, 10, here, 1);
    uint32_t sample = hak_profile_take((void *)0x10000);
    EXPECT(sample != 0);
    EXPECT_EQ(hak_profile_take((void *)0x10000), 0);
    add(0x10000, 7, 1, there, 1); /* another thread's, where this one was */
    hak_profile_drop(&profile, sample);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 0);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 7);
    sample = hak_profile_take((void *)0x10000);
    hak_profile_put_back(sample);
    hak_profile_remove(&profile, (void *)0x10000);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 0);
}

/* Pieces of memory rest for samples of their shard, are found meanwhile, and are few. */
static void rest_and_are_reused(void)
{
    struct hak_profile_sample sample = {
        .object = (void *)0x10000,
        .size = 10,
        .scale = 2,
        .stack = here,
        .depth = 3,
        .shard = 1,
        .node = -1,
        .may_rest = true,
    };
    begin();
    EXPECT(hak_profile_reuse(&profile, &sample) == NULL);
    hak_profile_add(&profile, &sample);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)0x10000), HAK_PROFILE_RESTS);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 0);
    EXPECT(hak_profile_may_hold((void *)0x10000));
    EXPECT_EQ(hak_profile_take((void *)0x10000), 0);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)0x10000), HAK_PROFILE_RESTED);
    sample.shard = 1 + HAK_PROFILE_REST_LISTS; /* another one with the same list */
    EXPECT(hak_profile_reuse(&profile, &sample) == NULL);
    EXPECT_EQ(profile.header->rows, 1);
    sample.shard = 1;
    EXPECT(hak_profile_reuse(&profile, &sample) == NULL); /* too few */
    sample.stack = there;
    for (uintptr_t i = 2; i < HAK_PROFILE_REST_MOST + 3; i++) {
        sample.object = (void *)(i << 16);
        hak_profile_add(&profile, &sample);
    }
    unsigned resting = 0;
    for (uintptr_t i = 2; i < HAK_PROFILE_REST_MOST + 3; i++)
        resting += hak_profile_remove(&profile, (void *)(i << 16)) == HAK_PROFILE_RESTS;
    EXPECT_EQ(resting, HAK_PROFILE_REST_MOST - 1);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 0);
    EXPECT(hak_profile_reuse(&profile, &sample) == (void *)0x10000);
    EXPECT(hak_profile_reuse(&profile, &sample) == (void *)0x20000);
    EXPECT_EQ(figure(0, HAK_PROFILE_SAMPLED), 1);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 40);
    while (hak_profile_reuse(&profile, &sample) != NULL)
        resting--;
    EXPECT_EQ(resting, HAK_PROFILE_REST_LEAST + 1);
    hak_profile_forget();
    EXPECT(hak_profile_reuse(&profile, &sample) == NULL);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)0x10000), HAK_PROFILE_OF_HEAP);
}

static char text[1 << 16];

static const char *written(void)
{
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_profile_write(&profile, -1, &writer);
    return text;
}

/* A child of fork knows the sizes of its parent's small samples, and its pieces that rest, but has
 * no row for them. */
static void inherited(void)
{
    enum { RESTING = HAK_PROFILE_REST_LEAST + 4, LARGE = 100000 };
    struct hak_profile_sample sample = {
        .scale = 10, .stack = here, .depth = 3, .shard = 1, .node = -1, .may_rest = true};
    begin();
    add(0x10000, 100, 10, here, 1);
    add(0x20000, LARGE, 10, here, 1);
    for (uintptr_t i = 0; i < RESTING; i++) {
        sample.object = (const void *)((i + 16) << 16);
        sample.size = i % 2 != 0 ? 100 : LARGE;
        hak_profile_add(&profile, &sample);
        EXPECT_EQ(hak_profile_remove(&profile, sample.object), HAK_PROFILE_RESTS);
    }
    hak_profile_inherit();
    memset(memory, 0, hak_profile_size());
    profile = hak_profile_lay_out(memory, 4096);
    EXPECT_EQ(hak_profile_small_size((void *)0x10000), 112);
    for (uintptr_t i = 1; i <= 8; i++)
        add(i << 8, 50, 10, there, 1);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 80);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)0x10000), HAK_PROFILE_OF_HEAP);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)0x20000), HAK_PROFILE_OF_HEAP);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 80);
    sample.stack = there;
    for (uintptr_t i = 0; i < RESTING - HAK_PROFILE_REST_LEAST; i++)
        EXPECT_EQ((uintptr_t)hak_profile_reuse(&profile, &sample), (i + 16) << 16);
    EXPECT(hak_profile_reuse(&profile, &sample) == NULL);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_OBJECTS), 80 + 10 * (RESTING - HAK_PROFILE_REST_LEAST));
}

/* The samples of a heap that ends go, and no others. */
static void of_heaps(void)
{
    struct hak_profile_sample sample = {
        .size = 10, .scale = 1, .stack = here, .depth = 3, .shard = 1};
    begin();
    for (uintptr_t i = 1; i <= 30; i++) {
        sample.object = (void *)(i << 4);
        sample.heap = i % 3;
        hak_profile_add(&profile, &sample);
    }
    EXPECT_EQ(profile.header->rows, 3);
    EXPECT_EQ(profile.rows[0].heap, 1);
    EXPECT_EQ(hak_profile_remove(&profile, (void *)(4 << 4)), HAK_PROFILE_OF_HEAP);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 90);
    hak_profile_drop_heap(&profile, 1);
    EXPECT_EQ(figure(0, HAK_PROFILE_LIVE_BYTES), 0);
    EXPECT_EQ(figure(1, HAK_PROFILE_LIVE_BYTES), 100);
    EXPECT_EQ(figure(2, HAK_PROFILE_LIVE_BYTES), 100);
    EXPECT_EQ(hak_profile_take((void *)(7 << 4)), 0);
    EXPECT(hak_profile_take((void *)(5 << 4)) != 0);
    EXPECT(strstr(written(), "# shard 1 node 0 sampled 10 heap 2\n") != NULL);
}

static void largest_first(void)
{
    const struct hak_profile_row *row = NULL;
    begin();
    add(0x10000, 100, 1, here, 1);
    add(0x20000, 300, 1, there, 1);
    add(0x30000, 100, 1, here, 2);
    add(0x40000, 1, 1, there, 2);
    hak_profile_remove(&profile, (void *)0x40000);
    const unsigned order[] = {1, 0, 2};
    for (unsigned i = 0; i < 3; i++) {
        row = hak_profile_next(&profile, row);
        EXPECT(row == &profile.rows[order[i]]);
    }
    EXPECT(hak_profile_next(&profile, row) == NULL);
}

static void is_written_as_gperftools_does(void)
{
    begin();
    add(0x10000, 100, 2, here, 3);
    EXPECT_EQ(strcmp(written(), "heap profile: 2: 200 [2: 200] @ heapprofile\n"
                                "# hakmem: one sample in 4096 bytes, 1 samples, 0 lost\n"
                                "# shard 3 node -1 sampled 1\n"
                                "2: 200 [2: 200] @ 0x1000 0x2000 0x3000\n"
                                "\nMAPPED_LIBRARIES:\n"),
              0);
    profile.header = NULL;
    EXPECT_EQ(strcmp(written(), "heap profile: 0: 0 [0: 0] @ heapprofile\n"
                                "\nMAPPED_LIBRARIES:\n"),
              0);
}

/* Whatever another process published: there is an answer, and no access beyond the mapping. */
static void nothing_published_is_trusted(void)
{
    struct hak_profile seen;
    begin();
    add(0x10000, 100, 2, here, 3);
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size()) == NULL);
    EXPECT(hak_profile_check(&seen, memory, 100) != NULL);
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size() - 1) != NULL);
    profile.header->size++;
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size()) != NULL);
    profile.header->size--;
    profile.header->version++;
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size()) != NULL);
    profile.header->version--;
    profile.header->magic[0]++;
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size()) != NULL);
    profile.header->magic[0]--;
    profile.header->rows = UINT32_MAX;
    profile.rows[0].depth = UINT16_MAX;
    profile.rows[1].first = UINT32_MAX;
    profile.rows[2].first = HAK_PROFILE_FRAMES;
    profile.rows[2].depth = 1;
    EXPECT(hak_profile_check(&seen, memory, hak_profile_size()) == NULL);
    EXPECT(strstr(written(), "0x1000") == NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a row for each stack and shard counts live and all objects", rows_by_stack_and_shard},
        {"samples without room are counted as lost", what_has_no_room_is_lost_and_told},
        {"a sample is taken out, and put back", taken_and_put_back},
        {"small pieces rest and are used again", rest_and_are_reused},
        {"a child of fork knows its parent's sizes, and has rows of its own", inherited},
        {"samples of heaps are told apart, and go with their heap", of_heaps},
        {"rows come by size, equal ones in order", largest_first},
        {"the profile is written in gperftools' format", is_written_as_gperftools_does},
        {"no published number is trusted", nothing_published_is_trusted},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
