/* SPDX-License-Identifier: MIT */
/* Empty objects: see the header. */
#include "tiers/empty.h"

#include <stdint.h>

#include "os/memory.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

enum {
    WINDOW = 16 * HAK_PAGE_SIZE,
    OBJECTS = WINDOW / HAK_CLASS_STEP,
    WORD_BITS = 64,
    WORDS = OBJECTS / WORD_BITS,
    WORDS_LOOKED_AT = 64,
};

/* 1: live. Bits change by atomic operations. relaxed: the program passes a pointer from its take to
 * its free, which orders the two; and a bit says nothing of other memory. */
static uint64_t live[WORDS];

static char *window; /* atomic; written once */

/* The first callers may map one each; all but one unmap theirs. */
static char *map_window(void)
{
    char *mapped = hak_os_map_target(WINDOW, HAK_PAGE_SIZE);
    char *known = NULL;
    if (mapped == NULL)
        return NULL;
    if (hak_page_map_cover(mapped, WINDOW) != 0) {
        hak_os_release(mapped, WINDOW, HAK_OS_PLAIN);
        return NULL;
    }
    hak_page_map_set_kind(mapped, WINDOW / HAK_PAGE_SIZE, HAK_PAGE_EMPTY, 0);
    /* release: pairs with the acquire in window_here; the map knows the pages when it is seen */
    if (__atomic_compare_exchange_n(&window, &known, mapped, 0, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
        return mapped;
    hak_page_map_set_kind(mapped, WINDOW / HAK_PAGE_SIZE, HAK_PAGE_FOREIGN, 0);
    hak_os_release(mapped, WINDOW, HAK_OS_PLAIN);
    return known;
}

static char *window_here(void)
{
    /* acquire: pairs with the release in map_window */
    char *mapped = __atomic_load_n(&window, __ATOMIC_ACQUIRE);
    return hak_likely(mapped != NULL) ? mapped : map_window();
}

static void *take_of_word(char *base, size_t word)
{
    uint64_t bits;
    while ((bits = __atomic_load_n(&live[word], __ATOMIC_RELAXED)) != UINT64_MAX) {
        unsigned free_bit = (unsigned)__builtin_ctzll(~bits);
        uint64_t bit = (uint64_t)1 << free_bit;
        if ((__atomic_fetch_or(&live[word], bit, __ATOMIC_RELAXED) & bit) == 0)
            return base + (word * WORD_BITS + free_bit) * HAK_CLASS_STEP;
    }
    return NULL;
}

void *hak_empty_take(size_t hint)
{
    char *base = window_here();
    void *object = NULL;
    for (size_t i = 0; base != NULL && object == NULL && i < WORDS_LOOKED_AT; i++)
        object = take_of_word(base, (hint + i) % WORDS);
    return object;
}

/* The number of an object, OBJECTS if none begins there. */
static size_t number_of(const void *object)
{
    size_t offset = (size_t)((const char *)object - window_here());
    return hak_empty_begins(object) && offset < WINDOW ? offset / HAK_CLASS_STEP : OBJECTS;
}

bool hak_empty_is_live(const void *object)
{
    size_t number = number_of(object);
    return number != OBJECTS &&
           (__atomic_load_n(&live[number / WORD_BITS], __ATOMIC_RELAXED) >> number % WORD_BITS & 1);
}

bool hak_empty_give(void *object)
{
    size_t number = number_of(object);
    if (number == OBJECTS)
        return false;
    uint64_t bit = (uint64_t)1 << number % WORD_BITS;
    return (__atomic_fetch_and(&live[number / WORD_BITS], ~bit, __ATOMIC_RELAXED) & bit) != 0;
}
