/* SPDX-License-Identifier: MIT */
/*
 * cases.c - the misuses, by family. Each is one that real programs were found to have.
 *
 * Pointers go through asm, for the compiler knows malloc and would leave the misuse out.
 */
#define _GNU_SOURCE
#include "tests/misuse/misuse.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* As C++ calls it: the size of what is deleted. */
void _ZdlPvm(void *object, size_t size);

enum { MANY = 1000 };

static void *objects[2 * MANY];

static void *hide(void *pointer)
{
    __asm__("" : "+r"(pointer) : : "memory");
    return pointer;
}

static void *get(size_t size)
{
    unsigned char *object = hide(malloc(size));
    if (object == NULL)
        abort();
    memset(object, 1, size < 4096 ? size : 4096);
    return object;
}

static void put(void *object)
{
    free(hide(object));
}

static unsigned char *at(void *object, long offset)
{
    return (unsigned char *)hide(object) + offset;
}

static void write_word(void *object, long offset, uint64_t word)
{
    misuse_is_writing = 1;
    memcpy(hide(at(object, offset)), &word, sizeof word);
    hide(object);
    misuse_is_writing = 0;
}

static uint64_t read_word(void *object, long offset)
{
    uint64_t word;
    memcpy(&word, hide(at(object, offset)), sizeof word);
    return word;
}

static uint64_t target_word(void)
{
    return (uint64_t)(uintptr_t)(misuse_target + 4096);
}

/* The same as hakmem writes a link: the address above, below how many more the chain may take. */
static uint64_t target_link(uint64_t room)
{
    return target_word() << 16 | (room & 0xffff);
}

static void in_thread(void (*run)(void *))
{
    pthread_t thread;
    void *(*start)(void *) = (void *(*)(void *))(void *)run;
    if (pthread_create(&thread, NULL, start, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

/* ---- freed twice ------------------------------------------------------------------------------- */

/* With this many others freed between. */
static void twice(size_t size, unsigned between)
{
    void *object = get(size);
    for (unsigned i = 0; i < between; i++)
        objects[i] = get(size);
    put(object);
    for (unsigned i = 0; i < between; i++)
        put(objects[i]);
    put(object);
}

/* With this many allocations of another size between. */
static void twice_after_others(size_t size, unsigned others)
{
    void *object = get(size);
    put(object);
    for (unsigned i = 0; i < others; i++)
        misuse_hold(get(2 * size), 2 * size);
    put(object);
}

/* The second free comes when another owner has it: nobody can tell. */
static void twice_reused(size_t size, unsigned unused)
{
    (void)unused;
    void *object = get(size);
    put(object);
    void *other = get(size);
    put(object);
    if (other == object)
        misuse_hold(other, size);
}

static void twice_moved(size_t size, unsigned unused)
{
    (void)unused;
    void *object = get(size);
    misuse_hold(get(size), size);
    void *grown = realloc(hide(object), 40 * size);
    misuse_hold(grown, 40 * size);
    if (grown != object)
        put(object);
}

static void *shared;
static size_t shared_size;

static void put_shared(void *unused)
{
    (void)unused;
    put(shared);
}

static void get_shared(void *unused)
{
    (void)unused;
    shared = get(shared_size);
}

/* The thread is the second to free, or the first. */
static void twice_in_thread(size_t size, unsigned thread_first)
{
    shared = get(size);
    if (thread_first) {
        in_thread(put_shared);
        put(shared);
    } else {
        put(shared);
        in_thread(put_shared);
    }
}

/* Of a thread that has ended since. */
static void twice_of_ended(size_t size, unsigned unused)
{
    (void)unused;
    shared_size = size;
    in_thread(get_shared);
    put(shared);
    put(shared);
}

/* ---- pointers that are none -------------------------------------------------------------------- */

static void interior(size_t size, unsigned offset)
{
    void *object = get(size);
    misuse_hold(object, size);
    put(at(object, offset));
}

static void past_the_end(size_t size, unsigned unused)
{
    (void)unused;
    for (unsigned i = 0; i < 8; i++) {
        objects[i] = get(size);
        misuse_hold(objects[i], size);
    }
    put(at(objects[7], (long)size));
}

static void wild_stack(size_t size, unsigned unused)
{
    unsigned char bytes[256] __attribute__((aligned(64))) = {0};
    (void)unused;
    misuse_hold(get(size), size);
    put(bytes + 64);
}

static void wild_static(size_t size, unsigned unused)
{
    static unsigned char bytes[256] __attribute__((aligned(64)));
    (void)unused;
    misuse_hold(get(size), size);
    put(bytes + 64);
}

static void wild_mapped(size_t size, unsigned offset)
{
    misuse_hold(get(size), size);
    put(misuse_target + offset);
}

static void wild_number(size_t size, unsigned number)
{
    static const uint64_t numbers[] = {0x1000, UINT64_C(0xffff800000001000), 0x4141414141414140};
    misuse_hold(get(size), size);
    put((void *)(uintptr_t)numbers[number]);
}

/* The attacker's memory looks like a chunk of glibc's. */
static void wild_forged(size_t size, unsigned unused)
{
    (void)unused;
    uint64_t chunk = (size + 8 + 15) / 16 * 16 + 1;
    misuse_hold(get(size), size);
    write_word(misuse_target, 4096 + 8, chunk);
    write_word(misuse_target, 4096 + 8 + (long)(chunk & ~15ul), chunk);
    put(misuse_target + 4096 + 16);
}

/* ---- written after it was freed ---------------------------------------------------------------- */

static void write_after(size_t size, unsigned offset)
{
    for (unsigned i = 0; i < 8; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 8; i++)
        put(objects[i]);
    write_word(objects[7], offset, target_word());
}

static void fill_after(size_t size, unsigned byte)
{
    for (unsigned i = 0; i < 8; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 8; i++)
        put(objects[i]);
    memset(hide(objects[7]), (int)byte, size);
    hide(objects[7]);
}

/* By one who knows how hakmem links what is free. */
static void link_after(size_t size, unsigned offset)
{
    for (unsigned i = 0; i < 8; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 8; i++)
        put(objects[i]);
    write_word(objects[7], offset, target_link(read_word(objects[7], offset)));
}

static void link_deep(size_t size, unsigned offset)
{
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < MANY; i++)
        put(objects[i]);
    for (unsigned i = 0; i < MANY / 2; i++)
        write_word(objects[i], offset, target_link(read_word(objects[i], offset)));
}

/* Deep in what was freed: the first of many, which have left the front since. */
static void write_deep(size_t size, unsigned offset)
{
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < MANY; i++)
        put(objects[i]);
    for (unsigned i = 0; i < MANY / 2; i++)
        write_word(objects[i], offset, target_word());
}

/* ---- written over the end ---------------------------------------------------------------------- */

/* All but each eighth of a row of neighbours are freed, or none; then bytes behind a live one are
 * those of the attacker's address, again and again. */
static void overflow(size_t size, unsigned bytes, int into_free)
{
    const uint64_t word = target_word();
    enum { ROW = 64 };
    for (unsigned i = 0; i < ROW; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < ROW; i++) {
        if (i % 8 == 0)
            misuse_hold(objects[i], size);
        else if (into_free)
            put(objects[i]);
    }
    for (unsigned i = 0; i < ROW; i += 8)
        for (unsigned byte = 0; byte < bytes; byte++)
            *at(objects[i], (long)(size + byte)) =
                bytes == 1 ? 0xff : (unsigned char)(word >> byte % 8 * 8);
    hide(objects);
}

static void overflow_free(size_t size, unsigned bytes)
{
    overflow(size, bytes, 1);
}

/* The first word of free neighbours is a link as hakmem writes it. */
static void overflow_link(size_t size, unsigned room)
{
    for (unsigned i = 0; i < 64; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 64; i++) {
        if (i % 2 == 0)
            misuse_hold(objects[i], size);
        else
            put(objects[i]);
    }
    for (unsigned i = 0; i < 64; i += 2)
        write_word(objects[i], (long)size, target_link(room));
}

static void overflow_live(size_t size, unsigned bytes)
{
    overflow(size, bytes, 0);
    for (unsigned i = 1; i < 64; i += 2)
        put(objects[i]);
}

static void underflow(size_t size, unsigned bytes)
{
    for (unsigned i = 0; i < 16; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 16; i++)
        if (i % 2 == 1)
            put(objects[i]);
    for (unsigned i = 2; i < 16; i += 2) {
        misuse_hold(objects[i], size);
        for (unsigned word = 8; word <= bytes; word += 8)
            write_word(objects[i], -(long)word, target_word());
    }
}

/* One large object, and what lies behind or before it, free or live. */
static void overflow_large(size_t size, unsigned bytes)
{
    for (unsigned i = 0; i < 4; i++)
        objects[i] = get(size);
    put(objects[2]);
    misuse_hold(objects[1], size);
    misuse_hold(objects[3], size);
    for (unsigned word = 0; word < bytes; word += 8)
        write_word(objects[1], (long)(size + word), target_word());
    put(objects[0]);
}

/* ---- links that are forged --------------------------------------------------------------------- */

enum { BY_HIGH_BITS, BY_COPY, BY_SWAP, TO_ITSELF, BY_DIFFERENCE, BY_LINK_DIFFERENCE };

/* By one who reads what is freed, and writes it. */
static void forge(size_t size, unsigned how)
{
    for (unsigned i = 0; i < 8; i++)
        objects[i] = get(size);
    for (unsigned i = 0; i < 8; i++)
        put(objects[i]);
    uint64_t link = read_word(objects[7], 0), other = read_word(objects[5], 0);
    uint64_t next = (uint64_t)(uintptr_t)objects[6];
    switch (how) {
    case BY_HIGH_BITS: /* what stands beside the address is kept */
        write_word(objects[7], 0, (link & UINT64_C(0xffff) << 48) | target_word());
        break;
    case BY_COPY:
        write_word(objects[7], 0, other);
        break;
    case BY_SWAP:
        write_word(objects[7], 0, other);
        write_word(objects[5], 0, link);
        break;
    case TO_ITSELF:
        write_word(objects[7], 0, (uint64_t)(uintptr_t)objects[7]);
        break;
    case BY_DIFFERENCE: /* what a link is encoded with falls out, if it is xor alone */
        write_word(objects[7], 0, link ^ next ^ target_word());
        break;
    case BY_LINK_DIFFERENCE:
        write_word(objects[7], 0, link ^ (next ^ target_word()) << 16);
        break;
    }
}

/* ---- realloc and sized deletes ----------------------------------------------------------------- */

static void realloc_freed(size_t size, unsigned factor)
{
    void *object = get(size);
    misuse_hold(get(size), size);
    put(object);
    void *moved = realloc(hide(object), size * factor);
    if (moved != NULL)
        misuse_hold(moved, size * factor);
}

static void realloc_interior(size_t size, unsigned offset)
{
    void *object = get(size);
    misuse_hold(object, size);
    void *moved = realloc(at(object, offset), size);
    if (moved != NULL)
        misuse_hold(moved, size);
}

static void realloc_wild(size_t size, unsigned offset)
{
    misuse_hold(get(size), size);
    void *moved = realloc(hide(misuse_target + offset), size);
    if (moved != NULL)
        misuse_hold(moved, size);
}

static void sized(size_t size, unsigned told)
{
    for (unsigned i = 0; i < 8; i++) {
        objects[i] = get(size);
        misuse_hold(get(size), size);
    }
    for (unsigned i = 0; i < 8; i++)
        _ZdlPvm(hide(objects[i]), told);
    for (unsigned i = 0; i < 8; i++)
        misuse_hold(get(told), told);
}

static void sized_twice(size_t size, unsigned unused)
{
    (void)unused;
    void *object = get(size);
    _ZdlPvm(hide(object), size);
    _ZdlPvm(hide(object), size);
}

/* ---- the table --------------------------------------------------------------------------------- */

enum { WHALE = 40 << 20 };

const struct misuse_case misuse_cases[] = {
    {"freed twice", "64 bytes, at once", twice, 64, 0},
    {"freed twice", "64 bytes, 1 other between", twice, 64, 1},
    {"freed twice", "64 bytes, 10 others between", twice, 64, 10},
    {"freed twice", "64 bytes, 100 others between", twice, 64, 100},
    {"freed twice", "64 bytes, 1000 others between", twice, 64, 1000},
    {"freed twice", "1000 bytes, at once", twice, 1000, 0},
    {"freed twice", "3000 bytes, at once", twice, 3000, 0},
    {"freed twice", "3000 bytes, 1 other between", twice, 3000, 1},
    {"freed twice", "3000 bytes, 100 others between", twice, 3000, 100},
    {"freed twice", "20000 bytes, at once", twice, 20000, 0},
    {"freed twice", "20000 bytes, 10 others between", twice, 20000, 10},
    {"freed twice", "100000 bytes, at once", twice, 100000, 0},
    {"freed twice", "100000 bytes, 10 others between", twice, 100000, 10},
    {"freed twice", "40 MiB, at once", twice, WHALE, 0},
    {"freed twice", "64 bytes, other sizes allocated between", twice_after_others, 64, 10},
    {"freed twice", "64 bytes, after realloc moved it", twice_moved, 64, 0},
    {"freed twice", "64 bytes, the second time by another thread", twice_in_thread, 64, 0},
    {"freed twice", "64 bytes, the first time by a thread that ended", twice_in_thread, 64, 1},
    {"freed twice", "3000 bytes, the second time by another thread", twice_in_thread, 3000, 0},
    {"freed twice", "64 bytes of a thread that ended", twice_of_ended, 64, 0},
    {"freed twice", "64 bytes, when it has another owner", twice_reused, 64, 0},
    {"no object", "8 bytes into 64", interior, 64, 8},
    {"no object", "16 bytes into 64", interior, 64, 16},
    {"no object", "1 byte into 64", interior, 64, 1},
    {"no object", "16 bytes into 3000", interior, 3000, 16},
    {"no object", "1024 bytes into 3000", interior, 3000, 1024},
    {"no object", "16 bytes into 100000", interior, 100000, 16},
    {"no object", "4096 bytes into 100000", interior, 100000, 4096},
    {"no object", "4096 bytes into 40 MiB", interior, WHALE, 4096},
    {"no object", "the end of 64", past_the_end, 64, 0},
    {"no object", "the stack", wild_stack, 64, 0},
    {"no object", "static data", wild_static, 64, 0},
    {"no object", "the start of a mapping", wild_mapped, 64, 0},
    {"no object", "within a mapping", wild_mapped, 64, 4096 + 64},
    {"no object", "0x1000", wild_number, 64, 0},
    {"no object", "an address of the kernel's", wild_number, 64, 1},
    {"no object", "letters", wild_number, 64, 2},
    {"no object", "a mapping made up as a chunk of glibc's", wild_forged, 64, 0},
    {"written when free", "64 bytes, first word", write_after, 64, 0},
    {"written when free", "64 bytes, second word", write_after, 64, 8},
    {"written when free", "64 bytes, third word", write_after, 64, 16},
    {"written when free", "64 bytes, all zero", fill_after, 64, 0},
    {"written when free", "64 bytes, all 0x41", fill_after, 64, 0x41},
    {"written when free", "3000 bytes, first word", write_after, 3000, 0},
    {"written when free", "3000 bytes, second word", write_after, 3000, 8},
    {"written when free", "100000 bytes, first word", write_after, 100000, 0},
    {"written when free", "64 bytes, first words of 500", write_deep, 64, 0},
    {"written when free", "64 bytes, second words of 500", write_deep, 64, 8},
    {"written when free", "3000 bytes, first words of 500", write_deep, 3000, 0},
    {"written when free", "64 bytes, first word, as hakmem links", link_after, 64, 0},
    {"written when free", "64 bytes, second word, as hakmem links", link_after, 64, 8},
    {"written when free", "3000 bytes, first word, as hakmem links", link_after, 3000, 0},
    {"written when free", "64 bytes, first words of 500, as hakmem links", link_deep, 64, 0},
    {"written when free", "64 bytes, second words of 500, as hakmem links", link_deep, 64, 8},
    {"over the end", "64 bytes, by 1 into free ones", overflow_free, 64, 1},
    {"over the end", "64 bytes, by 8 into free ones", overflow_free, 64, 8},
    {"over the end", "64 bytes, by 16 into free ones", overflow_free, 64, 16},
    {"over the end", "64 bytes, by 64 into free ones", overflow_free, 64, 64},
    {"over the end", "64 bytes, by 8 into free ones, as hakmem links", overflow_link, 64, 5},
    {"over the end", "1024 bytes, by 8 into free ones, as hakmem links", overflow_link, 1024, 1},
    {"over the end", "64 bytes, by 8 into live ones", overflow_live, 64, 8},
    {"over the end", "64 bytes, by 64 into live ones", overflow_live, 64, 64},
    {"over the end", "1024 bytes, by 8 into free ones", overflow_free, 1024, 8},
    {"over the end", "64 bytes, 8 before the start", underflow, 64, 8},
    {"over the end", "64 bytes, 16 before the start", underflow, 64, 16},
    {"over the end", "98304 bytes, by 64", overflow_large, 98304, 64},
    {"over the end", "98304 bytes, by 32768", overflow_large, 98304, 32768},
    {"over the end", "40 MiB, by 64", overflow_large, WHALE, 64},
    {"over the end", "40 MiB, by 8192", overflow_large, WHALE, 8192},
    {"forged links", "the attacker's address, high bits kept", forge, 64, BY_HIGH_BITS},
    {"forged links", "another's link", forge, 64, BY_COPY},
    {"forged links", "two links exchanged", forge, 64, BY_SWAP},
    {"forged links", "to the object itself", forge, 64, TO_ITSELF},
    {"forged links", "the attacker's address, by the difference", forge, 64, BY_DIFFERENCE},
    {"forged links", "the same at 3000 bytes, high bits kept", forge, 3000, BY_HIGH_BITS},
    {"forged links", "the same by hakmem's form", forge, 64, BY_LINK_DIFFERENCE},
    {"forged links", "the same by hakmem's form, 3000 bytes", forge, 3000, BY_LINK_DIFFERENCE},
    {"realloc", "what is free, as large", realloc_freed, 64, 1},
    {"realloc", "what is free, larger", realloc_freed, 64, 100},
    {"realloc", "what is free, 100000 bytes", realloc_freed, 100000, 1},
    {"realloc", "16 bytes into 64", realloc_interior, 64, 16},
    {"realloc", "16 bytes into 3000", realloc_interior, 3000, 16},
    {"realloc", "a mapping", realloc_wild, 64, 4096},
    {"sized delete", "64 bytes as 16", sized, 64, 16},
    {"sized delete", "64 bytes as 4096", sized, 64, 4096},
    {"sized delete", "twice", sized_twice, 64, 0},
};

const size_t misuse_case_count = sizeof misuse_cases / sizeof misuse_cases[0];
