/* SPDX-License-Identifier: MIT */
/* Kept ranges: see the header. Any thread, no lock. */
#include "os/kept.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/syscall.h"

struct kept {
    struct kept *next;
    struct kept *last; /* of a list's first range only: the last range */
    size_t size;
    size_t kind; /* enum hak_kept_kind */
};

HAK_EARLY static struct {
    struct kept *list;
    size_t bytes; /* relaxed: a figure */
} kept;

size_t hak_kept_bytes(void)
{
    return __atomic_load_n(&kept.bytes, __ATOMIC_RELAXED); /* relaxed: a figure */
}

/* ---- lists of one thread --------------------------------------------------------------------- */

static struct kept *joined(struct kept *first, struct kept *second)
{
    if (first == NULL || second == NULL)
        return first != NULL ? first : second;
    first->last->next = second;
    first->last = second->last;
    return first;
}

/* Takes the first range off a list. */
static struct kept *pop(struct kept **list)
{
    struct kept *range = *list;
    if (range->next != NULL)
        range->next->last = range->last;
    *list = range->next;
    range->next = NULL;
    range->last = range;
    return range;
}

static struct kept *make(void *address, size_t size, enum hak_kept_kind kind)
{
    struct kept *range = address;
    *range = (struct kept){NULL, range, size, kind};
    return range;
}

/* ---- the list of all ------------------------------------------------------------------------- */

static struct kept *take_all(void)
{
    /* relaxed: avoids the exchange when the list is empty; acquire: pairs with the release in
     * put_all */
    if (__atomic_load_n(&kept.list, __ATOMIC_RELAXED) == NULL)
        return NULL;
    return __atomic_exchange_n(&kept.list, NULL, __ATOMIC_ACQUIRE);
}

/* Joins what others have put meanwhile, so it loops once for each of their puts. */
static void put_all(struct kept *list)
{
    while (list != NULL) {
        struct kept *none = NULL;
        /* release: pairs with the acquire in take_all; relaxed: take_all follows */
        if (__atomic_compare_exchange_n(&kept.list, &none, list, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
            return;
        list = joined(list, take_all());
    }
}

static void count(size_t more, size_t less)
{
    __atomic_fetch_add(&kept.bytes, more - less, __ATOMIC_RELAXED); /* relaxed: a figure */
}

/* Merges `range` into *whole if the two touch. Clears the header that then lies inside, so that the
 * memory is zero. */
static bool merge(struct kept **whole, struct kept *range)
{
    struct kept *first = *whole < range ? *whole : range;
    struct kept *second = *whole < range ? range : *whole;
    bool is_huge = first->kind == HAK_KEPT_HUGE || second->kind == HAK_KEPT_HUGE;
    if (is_huge || (uintptr_t)first + first->size != (uintptr_t)second)
        return false;
    first->size += second->size;
    if (second->kind == HAK_KEPT_DIRTY)
        first->kind = HAK_KEPT_DIRTY;
    *second = (struct kept){NULL, NULL, 0, 0};
    *whole = first;
    return true;
}

/* Merges neighbours: small pieces would fit no later request. */
void hak_kept_put(void *address, size_t size, enum hak_kept_kind kind)
{
    struct kept *whole = make(address, size, kind);
    struct kept *rest = take_all();
    struct kept *seen = NULL;
    count(size, 0);
    for (int look = 0; look < HAK_KEPT_LOOKS && rest != NULL; look++) {
        struct kept *range = pop(&rest);
        if (!merge(&whole, range))
            seen = joined(seen, range);
    }
    whole->next = NULL;
    whole->last = whole;
    put_all(joined(whole, joined(rest, seen)));
}

/* ---- cutting --------------------------------------------------------------------------------- */

static bool has_room(const struct kept *range, size_t size, size_t alignment)
{
    uintptr_t start = hak_align_up((uintptr_t)range, alignment);
    uintptr_t end = (uintptr_t)range + range->size;
    return range->kind != HAK_KEPT_HUGE && start < end && end - start >= size;
}

/* Cuts memory from a range that has room; the rest of the range joins *list. */
static void *cut(struct kept *range, size_t size, size_t alignment, struct kept **list)
{
    uintptr_t start = hak_align_up((uintptr_t)range, alignment);
    uintptr_t end = (uintptr_t)range + range->size;
    enum hak_kept_kind kind = (enum hak_kept_kind)range->kind;
    if (start + size != end)
        *list = joined(make((void *)(start + size), end - start - size, kind), *list);
    if (start != (uintptr_t)range)
        *list = joined(make(range, start - (uintptr_t)range, kind), *list);
    memset((void *)start, 0, kind == HAK_KEPT_DIRTY ? size : sizeof *range);
    count(0, size);
    return (void *)start;
}

static bool is_gone(struct kept *range)
{
    size_t bytes = range->size;
    if (hak_syscall2(SYS_munmap, (uintptr_t)range, bytes) != 0)
        return false;
    count(0, bytes);
    return true;
}

void *hak_kept_take(size_t size, size_t alignment)
{
    struct kept *rest = take_all();
    struct kept *seen = NULL;
    struct kept *best = NULL;
    int tries = 0;
    for (int look = 0; look < HAK_KEPT_LOOKS && rest != NULL; look++) {
        struct kept *range = pop(&rest);
        bool serves = has_room(range, size, alignment);
        if (serves && (best == NULL || range->size < best->size)) {
            seen = joined(seen, best);
            best = range;
        } else if (serves || tries++ >= HAK_KEPT_TRIES || !is_gone(range)) {
            seen = joined(seen, range);
        }
    }
    void *found = best != NULL ? cut(best, size, alignment, &rest) : NULL;
    /* Ranges that were looked at go behind the others. */
    put_all(joined(rest, seen));
    return found;
}

size_t hak_kept_retry(void)
{
    size_t before = hak_kept_bytes();
    if (before != 0)
        hak_kept_take(SIZE_MAX, 1); /* no range fits, so each range it looks at is unmapped */
    size_t after = hak_kept_bytes();
    return after < before ? before - after : 0;
}
