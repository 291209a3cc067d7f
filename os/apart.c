/* SPDX-License-Identifier: MIT */
/* Chooses places: see the header. Any thread. hak_apart_start writes seed and base before there are
 * other threads; later only the turn and the cursor change, each by one atomic step. All accesses
 * are relaxed: a place is a number, and the kernel, asked for it, publishes the memory. */
#include "os/apart.h"

#include <stdbool.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/kept.h"
#include "os/memory.h"
#include "os/secret.h"

static const uintptr_t WINDOW = (uintptr_t)4 << 30;
static const uintptr_t BELOW_STACK = (uintptr_t)32 << 30;
static const uintptr_t BETWEEN = (uintptr_t)8 << 30;
static const uintptr_t LEAST_BASE = (uintptr_t)128 << 30; /* below, address space is scarce */

static struct {
    uint64_t seed;    /* constant for the whole process, or until the next start */
    uint64_t turn;    /* places chosen so far */
    uintptr_t base;   /* where the upper window ends; 0: the kernel chooses */
    uintptr_t cursor; /* below the lowest mapping of metadata and the unmapped page under it */
} apart;

static uint64_t draw(void)
{
    /* relaxed, both: numbers; threads that draw at once get different turns */
    uint64_t seed = __atomic_load_n(&apart.seed, __ATOMIC_RELAXED);
    return hak_os_stir(seed + __atomic_fetch_add(&apart.turn, 1, __ATOMIC_RELAXED));
}

void hak_apart_start(uint64_t seed)
{
    uintptr_t here = hak_align_down((uintptr_t)__builtin_frame_address(0), WINDOW);
    if (here < LEAST_BASE || seed == apart.seed)
        return;
    /* relaxed, all: only this thread runs; threads that it creates see what it wrote */
    __atomic_store_n(&apart.seed, seed, __ATOMIC_RELAXED);
    __atomic_store_n(&apart.turn, 0, __ATOMIC_RELAXED);
    /* A start in the window's upper half leaves the lower half for mappings below it. */
    uintptr_t lower = draw() % (WINDOW / 2 / hak_os_page_size()) * hak_os_page_size();
    __atomic_store_n(&apart.cursor, here - BELOW_STACK - lower, __ATOMIC_RELAXED);
    __atomic_store_n(&apart.base, here - BELOW_STACK, __ATOMIC_RELAXED);
}

/* ---- large memory -------------------------------------------------------------------------- */

void *hak_apart_map(size_t size, size_t alignment)
{
    /* relaxed: constant once there are threads */
    uintptr_t base = __atomic_load_n(&apart.base, __ATOMIC_RELAXED);
    if (base == 0 || size > WINDOW / 4 || alignment > WINDOW / 4)
        return hak_os_map(size, alignment);
    void *kept = hak_kept_take(size, alignment);
    if (hak_unlikely(kept != NULL))
        return kept;
    uintptr_t places = (WINDOW - size) / alignment + 1;
    uintptr_t from = base - WINDOW - BETWEEN - WINDOW;
    return hak_os_map_near(from + draw() % places * alignment, size, alignment);
}

/* ---- metadata ------------------------------------------------------------------------------ */

/* Takes the place below all others; 0: the window is full, or there is none. relaxed, all: base as
 * above; threads that move the cursor at the same time each get a place of their own */
static uintptr_t next_place(size_t size, size_t alignment)
{
    uintptr_t bottom = __atomic_load_n(&apart.base, __ATOMIC_RELAXED) - WINDOW;
    uintptr_t cursor = __atomic_load_n(&apart.cursor, __ATOMIC_RELAXED);
    uintptr_t place;
    do {
        if (cursor == 0 || cursor - bottom < size + alignment + hak_os_page_size())
            return 0;
        place = hak_align_down(cursor - size, alignment);
    } while (!__atomic_compare_exchange_n(&apart.cursor, &cursor, place - hak_os_page_size(), 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return place;
}

static bool is_in_window(uintptr_t address)
{
    uintptr_t base = __atomic_load_n(&apart.base, __ATOMIC_RELAXED); /* relaxed: as above */
    return base != 0 && base - address - 1 < WINDOW;
}

/* Maps memory where the kernel likes, and makes what lies right below it inaccessible, if the
 * kernel does not refuse. */
static HAK_COLD void *map_walled(size_t size, size_t alignment)
{
    char *memory = size + alignment > size ? hak_os_map(size + alignment, alignment) : NULL;
    if (memory == NULL)
        return NULL;
    if (is_in_window((uintptr_t)memory)) { /* by chance; a release would then leave the wall */
        hak_os_release(memory, alignment, HAK_OS_PLAIN);
        return memory + alignment;
    }
    hak_os_forbid(memory, alignment);
    return memory + alignment;
}

void *hak_apart_map_meta(size_t size, size_t alignment)
{
    uintptr_t place = size < WINDOW / 4 ? next_place(size, alignment) : 0;
    void *memory = place != 0 ? hak_os_map_near(place, size, alignment) : NULL;
    if (memory == NULL || (uintptr_t)memory == place)
        return memory != NULL ? memory : map_walled(size, alignment);
    hak_os_release(memory, size, HAK_OS_PLAIN);
    return map_walled(size, alignment);
}

void hak_apart_release_meta(void *memory, size_t size, size_t alignment)
{
    size_t wall = is_in_window((uintptr_t)memory) ? 0 : alignment;
    hak_os_release((char *)memory - wall, size + wall, HAK_OS_PLAIN);
}
