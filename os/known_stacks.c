/* SPDX-License-Identifier: MIT */
/* Call stacks that were walked before: see the header. */
#include "os/known_stacks.h"

#include <string.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/memory.h"

enum {
    SETS_SHIFT = 8,
    SETS = 1 << SETS_SHIFT,
    WAYS = 4,
    DEPTH_MOST = 62, /* three quarters of a KiB for each stack */
};

struct known {
    uintptr_t frame; /* 0: none */
    uint32_t depth;
    uint32_t words[DEPTH_MOST];
    uint64_t returns[DEPTH_MOST];
};

struct set {
    struct hak_lock lock; /* only tried */
    uint32_t next;        /* the way that is replaced next */
    struct known ways[WAYS];
};

static struct set *sets; /* NULL: no stack is known */

void hak_known_stacks_start(void)
{
    size_t page = hak_os_page_size();
    size_t size = hak_align_up(SETS * sizeof(struct set), page);
    if (sets == NULL && (sets = hak_os_map(size, page)) != NULL)
        hak_os_advise_sparse(sets, size);
}

static struct set *set_of(uintptr_t frame)
{
    return &sets[(uint64_t)frame * UINT64_C(0x9E3779B97F4A7C15) >> (64 - SETS_SHIFT)];
}

/* A sanitizer, too, must let it read where no variable is. */
__attribute__((no_sanitize("address", "thread"))) static inline uint64_t word_at(uintptr_t frame,
                                                                                 uint32_t word)
{
    return ((const volatile uint64_t *)frame)[word];
}

static bool is_in_place(uintptr_t frame, const uint64_t *returns, const uint32_t *words,
                        unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        if (word_at(frame, words[i]) != returns[i])
            return false;
    }
    return depth != 0;
}

static bool find_in(const struct set *set, struct hak_walk *walk)
{
    for (unsigned way = 0; way < WAYS; way++) {
        const struct known *known = &set->ways[way];
        if (known->frame != walk->frame ||
            !is_in_place(walk->frame, known->returns, known->words, known->depth))
            continue;
        walk->depth = known->depth;
        memcpy(walk->returns, known->returns, known->depth * sizeof known->returns[0]);
        memcpy(walk->words, known->words, known->depth * sizeof known->words[0]);
        return true;
    }
    return false;
}

bool hak_known_stacks_find(struct hak_walk *walk)
{
    if (sets == NULL)
        return false;
    struct set *set = set_of(walk->frame);
    if (!hak_lock_try(&set->lock))
        return false;
    bool is_found = find_in(set, walk);
    hak_lock_release(&set->lock);
    return is_found;
}

void hak_known_stacks_learn(const struct hak_walk *walk)
{
    if (sets == NULL || walk->depth > DEPTH_MOST ||
        !is_in_place(walk->frame, walk->returns, walk->words, walk->depth))
        return;
    struct set *set = set_of(walk->frame);
    if (!hak_lock_try(&set->lock))
        return;
    struct known *known = &set->ways[set->next];
    set->next = (set->next + 1) % WAYS;
    known->frame = walk->frame;
    known->depth = walk->depth;
    memcpy(known->returns, walk->returns, walk->depth * sizeof known->returns[0]);
    memcpy(known->words, walk->words, walk->depth * sizeof known->words[0]);
    hak_lock_release(&set->lock);
}
