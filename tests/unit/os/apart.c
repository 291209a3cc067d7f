/* SPDX-License-Identifier: MIT */
/* os/apart.c: places differ from start to start unless the option forbids it; no accessible memory
 * lies below metadata, wherever that was mapped. */
#include "os/apart.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/compiler.h"
#include "os/memory.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

enum { MIB = 1 << 20, STARTS = 20, MAPS = 40 };

/* 0: a signal, as it should be. */
static int writes_below(volatile char *memory)
{
    pid_t child = process_fork();
    if (child == 0) {
        /* Not a sanitizer's handlers. */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        memory[-1] = 1;
        _exit(1);
    }
    int status = process_wait(child, 10);
    return status == 128 + SIGSEGV || status == 128 + SIGBUS ? 0 : 1;
}

static void expect_meta(size_t size, size_t alignment)
{
    char *memory = hak_apart_map_meta(size, alignment);
    REQUIRE(memory != NULL);
    EXPECT_EQ((uintptr_t)memory % alignment, 0);
    EXPECT_EQ(memory[0] | memory[size - 1], 0);
    memset(memory, 1, size);
    EXPECT_EQ(writes_below(memory), 0);
    hak_apart_release_meta(memory, size, alignment);
    /* It is gone; a thread sanitizer maps things of its own meanwhile. */
    if (!HAK_THREAD_SANITIZER)
        EXPECT_EQ(writes_below(memory + 1), 0);
}

/* Without a start the kernel chooses, and a wall is built. */
static void kernel_chooses(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_apart_map(4 * MIB, 2 * MIB);
    REQUIRE(memory != NULL);
    EXPECT_EQ((uintptr_t)memory % (2 * MIB), 0);
    hak_os_unmap(memory, 4 * MIB);
    expect_meta(page, page);
    expect_meta(MIB, 2 * MIB);
    EXPECT(hak_apart_map_meta(SIZE_MAX & ~(page - 1), page) == NULL);
    EXPECT(hak_apart_map(SIZE_MAX & ~(page - 1), page) == NULL);
}

/* The places of some maps after a start, in a process of its own. */
static void places_after(uint64_t seed, uintptr_t places[MAPS])
{
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t child = process_fork();
    if (child == 0) {
        hak_apart_start(seed);
        for (int i = 0; i < MAPS; i++)
            places[i] = i % 2 == 0 ? (uintptr_t)hak_apart_map(4 * MIB, 2 * MIB)
                                   : (uintptr_t)hak_apart_map_meta(5 * MIB / 4, 2 * MIB);
        _exit(write(ends[1], places, MAPS * sizeof *places) == MAPS * sizeof *places ? 0 : 1);
    }
    close(ends[1]);
    EXPECT_EQ(process_wait(child, 10), 0);
    EXPECT_EQ(read(ends[0], places, MAPS * sizeof *places), MAPS * sizeof *places);
    close(ends[0]);
}

static void seed_says_where(void)
{
    static uintptr_t places[STARTS][MAPS];
    unsigned alike[MAPS] = {0};
    for (unsigned start = 0; start < STARTS; start++)
        places_after(1000 + start, places[start]);
    for (unsigned start = 1; start < STARTS; start++)
        for (unsigned i = 0; i < MAPS; i++)
            alike[i] += places[start][i] == places[0][i];
    for (unsigned i = 0; i < MAPS; i++)
        EXPECT_LE(alike[i], 3);
    places_after(1000 + STARTS - 1, places[0]);
    for (unsigned i = 0; i < MAPS; i++)
        EXPECT_EQ(places[0][i], places[STARTS - 1][i]);
}

/* Memory of the two kinds never meets, however much there is. */
static void kinds_are_apart(void)
{
    enum { GIB = 1 << 30 };
    size_t page = hak_os_page_size();
    hak_apart_start(7);
    for (unsigned i = 0; i < MAPS; i++) {
        char *large = hak_apart_map(4 * MIB, 2 * MIB);
        char *meta = hak_apart_map_meta((1 + i) * page, page);
        REQUIRE(large != NULL && meta != NULL);
        uintptr_t distance = meta > large ? (uintptr_t)(meta - large) : (uintptr_t)(large - meta);
        EXPECT(distance > GIB);
        EXPECT_EQ(writes_below(meta), 0);
    }
    expect_meta(page, page);
    expect_meta(5 * MIB / 4, 2 * MIB);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"without a start the kernel chooses", kernel_chooses},
        {"the seed says where", seed_says_where},
        {"the kinds are apart", kinds_are_apart},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
