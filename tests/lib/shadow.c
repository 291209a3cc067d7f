/* SPDX-License-Identifier: MIT */
/*
 * shadow.c - claims and payloads of live objects.
 *
 *   address:  | region, 26 bits | granule, 18 bits | 3 bits |
 *                   |                  |
 *             regions[] -> bitmap of 2^18 bits, made at first use, never given back
 *
 * Any thread may be in here. Claims are atomic words; payloads belong to the object's holder.
 */
#define _GNU_SOURCE
#include "tests/lib/shadow.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    GRANULE_SHIFT = 3, /* the smallest alignment that malloc promises */
    REGION_SHIFT = 21,
    ADDRESS_BITS = 47,
    WORDS_PER_REGION = 1 << (REGION_SHIFT - GRANULE_SHIFT - 6),
    FULL_PAYLOAD = 4096, /* up to here every byte is written and checked */
    EDGE = 256,          /* above it: so much at either end ... */
    STRIDE = 1016,       /* ... and a word this often between */
};

static uint64_t seed_of_run;
static uint64_t **regions; /* [2^26], of memory that costs nothing where untouched */

void shadow_fail(const char *what, const void *address, size_t size)
{
    tap_note("SHADOW: %s: object %p of %zu bytes; seed %llu", what, address, size,
             (unsigned long long)seed_of_run);
    abort();
}

static void *map_zero(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        shadow_fail("the model itself found no memory", NULL, size);
    return memory;
}

void shadow_start(uint64_t seed)
{
    seed_of_run = seed;
    if (!regions)
        regions = map_zero(sizeof(*regions) << (ADDRESS_BITS - REGION_SHIFT));
}

static uint64_t *find_word(uintptr_t granule)
{
    uint64_t **slot = &regions[granule >> (REGION_SHIFT - GRANULE_SHIFT)];
    /* acquire: pairs with the release below, so that the bitmap's zeros are seen */
    uint64_t *words = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (!words) {
        uint64_t *fresh = map_zero(WORDS_PER_REGION * sizeof(uint64_t));
        /* release: pairs with the acquire above; the loser's bitmap is unused */
        if (__atomic_compare_exchange_n(slot, &words, fresh, 0, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
            words = fresh;
        else
            munmap(fresh, WORDS_PER_REGION * sizeof(uint64_t));
    }
    return &words[(granule >> 6) % WORDS_PER_REGION];
}

/* The bits of the word that `first` lies in, from there to `end` or to the word's own end. */
static uint64_t mask_of(uintptr_t first, uintptr_t end)
{
    uintptr_t next = (first | 63) + 1;
    uint64_t mask = ~(uint64_t)0 << (first & 63);
    if (end < next)
        mask &= ~(uint64_t)0 >> (next - end);
    return mask;
}

static void claim(const struct shadow_object *object)
{
    uintptr_t first = (uintptr_t)object->address >> GRANULE_SHIFT;
    uintptr_t end = ((uintptr_t)object->address + object->usable + 7) >> GRANULE_SHIFT;
    if ((uintptr_t)object->address % 8 != 0 || end > (uintptr_t)1 << (ADDRESS_BITS - GRANULE_SHIFT))
        shadow_fail("no address that malloc may return", object->address, object->size);
    for (; first < end; first = (first | 63) + 1) {
        uint64_t mask = mask_of(first, end);
        /* relaxed: the bits guard nothing; a clash is a clash in any order */
        if (__atomic_fetch_or(find_word(first), mask, __ATOMIC_RELAXED) & mask)
            shadow_fail("it overlaps a live object", object->address, object->size);
    }
}

static void unclaim(const struct shadow_object *object)
{
    uintptr_t first = (uintptr_t)object->address >> GRANULE_SHIFT;
    uintptr_t end = ((uintptr_t)object->address + object->usable + 7) >> GRANULE_SHIFT;
    for (; first < end; first = (first | 63) + 1) {
        uint64_t mask = mask_of(first, end);
        /* relaxed: the allocator's own free and malloc order this before the next claim */
        if ((__atomic_fetch_and(find_word(first), ~mask, __ATOMIC_RELAXED) & mask) != mask)
            shadow_fail("the model lost its claim", object->address, object->size);
    }
}

static uint64_t word_at(uint64_t key, size_t offset)
{
    return prng_mix(key + offset);
}

static void write_bytes(const struct shadow_object *object, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 8) {
        uint64_t word = word_at(object->key, i);
        memcpy(object->address + i, &word, to - i < 8 ? to - i : 8);
    }
}

/* `address` holds the object's bytes now; after a realloc it is not object->address. */
static void check_bytes(const struct shadow_object *object, const unsigned char *address,
                        size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 8) {
        uint64_t word = word_at(object->key, i);
        if (memcmp(address + i, &word, to - i < 8 ? to - i : 8) != 0) {
            tap_note("at offset %zu of %p (usable %zu)", i, (const void *)address, object->usable);
            shadow_fail("its payload was overwritten", object->address, object->size);
        }
    }
}

static void write_payload(const struct shadow_object *object)
{
    if (object->size <= FULL_PAYLOAD) {
        write_bytes(object, 0, object->size);
        return;
    }
    write_bytes(object, 0, EDGE);
    for (size_t i = EDGE; i + 8 <= object->size - EDGE; i += STRIDE)
        write_bytes(object, i, i + 8);
    size_t tail = (object->size - EDGE) & ~(size_t)7;
    write_bytes(object, tail, object->size);
}

/* Checks those places of the payload that lie wholly within the first `kept` bytes. */
static void check_payload(const struct shadow_object *object, const unsigned char *address,
                          size_t kept)
{
    if (object->size <= FULL_PAYLOAD) {
        check_bytes(object, address, 0, kept);
        return;
    }
    check_bytes(object, address, 0, kept < EDGE ? kept : EDGE);
    for (size_t i = EDGE; i + 8 <= object->size - EDGE && i + 8 <= kept; i += STRIDE)
        check_bytes(object, address, i, i + 8);
    size_t tail = (object->size - EDGE) & ~(size_t)7;
    if (tail < kept)
        check_bytes(object, address, tail, kept);
}

void shadow_enter(struct shadow_object *object, void *address, size_t size, size_t usable)
{
    object->address = address;
    object->size = size;
    object->usable = usable;
    object->key = prng_mix(seed_of_run ^ (uintptr_t)address ^ prng_mix(size));
    if (usable < size)
        shadow_fail("less is usable than was asked", address, size);
    claim(object);
    write_payload(object);
}

void shadow_check(const struct shadow_object *object)
{
    check_payload(object, object->address, object->size);
}

void shadow_leave(struct shadow_object *object)
{
    shadow_check(object);
    unclaim(object);
}

void shadow_enter_resized(struct shadow_object *object, const struct shadow_object *old,
                          void *address, size_t size, size_t usable)
{
    check_payload(old, address, size < old->size ? size : old->size);
    shadow_enter(object, address, size, usable);
}

void shadow_check_zero(const void *address, size_t size)
{
    const unsigned char *bytes = address;
    if (size > 0 && (bytes[0] != 0 || memcmp(bytes, bytes + 1, size - 1) != 0))
        shadow_fail("calloc gave memory that is not zero", address, size);
}
