/* SPDX-License-Identifier: MIT */
/* tiers/header.c: headers are zero, lie apart from each other, and are used again; given back, they
 * have no pages. */
#include "tiers/header.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "os/bits.h"
#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/resident.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/tiers/child.h"

enum { MANY = 400, ROUNDS = 800, SLOTS_MOST = HAK_HEADER_SLOTS_MOST };

struct header {
    unsigned char *memory;
    size_t size;
    unsigned char mark;
};

static int is_filled(const unsigned char *memory, size_t size, unsigned char value)
{
    for (size_t byte = 0; byte < size; byte++)
        if (memory[byte] != value)
            return 0;
    return 1;
}

static void take(struct header *header, size_t size, unsigned char mark)
{
    *header = (struct header){hak_header_take(size), size, mark};
    REQUIRE(header->memory != NULL);
    EXPECT_EQ((uintptr_t)header->memory % hak_os_page_size(), 0);
    EXPECT(is_filled(header->memory, size, 0));
    memset(header->memory, mark, size);
}

static void give(struct header *header)
{
    EXPECT(is_filled(header->memory, header->size, header->mark));
    hak_header_give(header->memory, header->size);
    header->memory = NULL;
}

static size_t random_size(struct prng *prng)
{
    size_t slots = prng_below(prng, 8) == 0 ? 1 + prng_below(prng, SLOTS_MOST) : 1;
    return slots * HAK_HEADER_SLOT - prng_below(prng, 4000);
}

static void *take_and_give(void *argument)
{
    struct prng prng = {*(const uint64_t *)argument};
    struct header headers[20] = {{0}};
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct header *header = &headers[prng_below(&prng, 20)];
        if (header->memory != NULL)
            give(header);
        else
            take(header, random_size(&prng), (unsigned char)(1 + prng_below(&prng, 255)));
    }
    for (unsigned i = 0; i < 20; i++)
        if (headers[i].memory != NULL)
            give(&headers[i]);
    return NULL;
}

static void threads_at_once(void)
{
    uint64_t seeds[4] = {1, 2, 3, 4};
    threads_run(4, take_and_give, seeds, sizeof seeds[0]);
}

static size_t resident(const struct header *header)
{
    return resident_pages(header->memory, hak_align_up(HAK_HEADER_SLOT, hak_os_page_size()));
}

/* Taking as many again maps nothing more, and given headers have no pages meanwhile. */
static void addresses_serve_again(void)
{
    static struct header headers[MANY];
    static unsigned char *before[MANY];
    for (unsigned round = 0; round < 5; round++) {
        unsigned again = 0;
        for (unsigned i = 0; i < MANY; i++)
            take(&headers[i], HAK_HEADER_SLOT, 7);
        for (unsigned i = 0; i < MANY; i++)
            for (unsigned j = 0; j < MANY; j++)
                again += headers[i].memory == before[j];
        EXPECT_EQ(again, round == 0 ? 0 : MANY);
        for (unsigned i = 0; i < MANY; i++) {
            struct header was = headers[i];
            before[i] = headers[i].memory;
            give(&headers[i]);
            EXPECT_EQ(resident(&was), 0);
        }
    }
}

static int refused_child(void)
{
    if (!child_limit(RLIMIT_AS, (size_t)64 << 20))
        return CHILD_CANNOT;
    unsigned headers = 0;
    while (headers < 100 && hak_header_take(SLOTS_MOST * (size_t)HAK_HEADER_SLOT) != NULL)
        headers++;
    int good = EXPECT_GE(headers, 10);
    good &= EXPECT_LE(headers, 99);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void refused(void)
{
    child_run(refused_child, "an address-space limit");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a refusal is reported", refused},
        {"addresses are used again", addresses_serve_again},
        {"threads take and give at once", threads_at_once},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
