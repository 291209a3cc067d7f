/* SPDX-License-Identifier: MIT */
/* tiers/meta.c: pieces are zero, aligned, apart from each other, and a refusal of the kernel is
 * reported. */
#include "tiers/meta.h"

#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/tiers/child.h"

enum { THREADS = 4, PIECES = 400 };

struct piece {
    unsigned char *memory;
    size_t size;
};

struct owner {
    unsigned number;
    struct piece pieces[PIECES];
};

static struct owner owners[THREADS];

static int is_filled(const struct piece *piece, unsigned char value)
{
    for (size_t byte = 0; byte < piece->size; byte++)
        if (piece->memory[byte] != value)
            return 0;
    return 1;
}

/* Takes pieces of all sizes, checks that they are zero and fills them with the thread's number. */
static void *take(void *argument)
{
    struct owner *owner = argument;
    struct prng prng = {owner->number};
    for (unsigned i = 0; i < PIECES; i++) {
        struct piece *piece = &owner->pieces[i];
        size_t alignment = (size_t)1 << prng_below(&prng, 13);
        piece->size = prng_size(&prng, i % 50 == 0 ? 19 : 12);
        piece->memory = hak_meta_alloc(piece->size, alignment);
        if (!EXPECT(piece->memory != NULL))
            return NULL;
        EXPECT_EQ((uintptr_t)piece->memory % alignment, 0);
        EXPECT(is_filled(piece, 0));
        memset(piece->memory, (int)owner->number, piece->size);
    }
    return NULL;
}

static void pieces_are_apart(void)
{
    size_t before = hak_meta_bytes();
    size_t sum = 0;
    for (unsigned i = 0; i < THREADS; i++)
        owners[i].number = i + 1;
    threads_run(THREADS, take, owners, sizeof owners[0]);
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned k = 0; k < PIECES; k++) {
            EXPECT(is_filled(&owners[i].pieces[k], (unsigned char)(i + 1)));
            sum += owners[i].pieces[k].size;
        }
    EXPECT_GE(hak_meta_bytes() - before, sum);
    EXPECT_LE(hak_meta_bytes() - before, 3 * sum); /* little is lost between the pieces */
}

/* Small pieces share the kernel's pages: a hundred of them cost one chunk at the most. */
enum {
    FILL_PIECES = 200,
    FILL_PIECE = 8192,
};

static void small_pieces_share(void)
{
    hak_meta_alloc(64, 64);
    size_t before = hak_meta_bytes();
    for (unsigned i = 0; i < 100; i++)
        EXPECT(hak_meta_alloc(64, 64) != NULL);
    EXPECT_LE(hak_meta_bytes() - before, 256 * 1024);
}

/* Threads that need a new chunk at once get memory that does not overlap, and one chunk each time. */
static void *fill(void *argument)
{
    unsigned char mark = *(unsigned char *)argument;
    unsigned char *pieces[FILL_PIECES];
    for (unsigned i = 0; i < FILL_PIECES; i++) {
        pieces[i] = hak_meta_alloc(FILL_PIECE, 64);
        if (!EXPECT(pieces[i] != NULL))
            return NULL;
        memset(pieces[i], mark, FILL_PIECE);
    }
    for (unsigned i = 0; i < FILL_PIECES; i++)
        for (unsigned byte = 0; byte < FILL_PIECE; byte++)
            if (pieces[i][byte] != mark)
                return (void *)(uintptr_t)EXPECT(!"shared");
    return NULL;
}

static void threads_share(void)
{
    unsigned char marks[4] = {1, 2, 3, 4};
    size_t before = hak_meta_bytes();
    threads_run(4, fill, marks, 1);
    size_t wanted = 4ul * FILL_PIECES * FILL_PIECE;
    EXPECT_LE(hak_meta_bytes() - before, wanted + wanted / 8 + 2 * 256 * 1024);
}

static int refused_child(void)
{
    if (!child_limit(RLIMIT_AS, (size_t)64 << 20))
        return CHILD_CANNOT;
    size_t before = hak_meta_bytes();
    int good = EXPECT(hak_meta_alloc((size_t)1 << 40, 64) == NULL);
    good &= EXPECT_EQ(hak_meta_bytes(), before);
    unsigned pieces = 0;
    while (pieces < 100000 && hak_meta_alloc(4096, 4096) != NULL)
        pieces++;
    good &= EXPECT_GE(pieces, 100);
    good &= EXPECT_LE(pieces, 100000 - 1);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void refused(void)
{
    child_run(refused_child, "an address-space limit");
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"pieces are zero, aligned and apart", pieces_are_apart},
        {"small pieces share pages", small_pieces_share},
        {"threads share chunks without a lock", threads_share},
        {"a refusal of the kernel is reported", refused},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
