/* SPDX-License-Identifier: MIT */
/* Searches slabs that wait, and makes holes: see the header. */
#include "tiers/pool_holes.h"

#include "os/bits.h"
#include "os/clock.h"
#include "os/memory.h"
#include "tiers/headroom.h"
#include "tiers/region.h"

enum {
    WORD_BITS = 64,
    REFUSED_NS = 1000 * 1000 * 1000, /* for so long ticks try nothing after a refusal */
};

/* What a portion may still do. */
struct budget {
    unsigned calls;
    unsigned pages;
    unsigned looks;
};

static const struct budget portion = {HAK_HOLES_TICK_CALLS, HAK_HOLES_TICK_PAGES,
                                      HAK_HOLES_TICK_LOOKS};

/* Which free pages of a slab are purged: those free since the last search, or all. */
enum which { WHICH_IDLE, WHICH_ALL };

/* How a slab's turn ended. */
enum turn {
    TURN_OVER,
    TURN_SPENT,   /* the budget ended first */
    TURN_REFUSED, /* by the kernel, for example memory locked by mlock */
};

/* One tick or purge. */
struct round {
    struct hak_pool *pool;
    enum which which;
    uint64_t now_ns;
    struct budget left;
    size_t bytes;
};

static bool is_spent(const struct budget *budget)
{
    return budget->calls == 0 || budget->pages == 0 || budget->looks == 0;
}

/* ---- the list of a bin; under its lock ------------------------------------------------------- */

static void note_first(struct hak_pool_bin *bin)
{
    uint64_t awaited = bin->waiting.first != NULL ? ~bin->waiting.first->looked_ns : 0;
    /* relaxed: ticks read it before they take the lock */
    __atomic_store_n(&bin->awaited, awaited, __ATOMIC_RELAXED);
}

static void append(struct hak_pool_bin *bin, struct hak_slab *slab, uint64_t now_ns)
{
    slab->looked_ns = now_ns;
    slab->waits = 1;
    slab->next_waiting = NULL;
    slab->previous_waiting = bin->waiting.last;
    if (bin->waiting.last != NULL)
        bin->waiting.last->next_waiting = slab;
    else
        bin->waiting.first = slab;
    bin->waiting.last = slab;
    bin->waiting_count++;
    if (bin->waiting.first == slab)
        note_first(bin);
}

void hak_pool_holes_enter(struct hak_pool *pool, struct hak_pool_bin *bin, struct hak_slab *slab)
{
    /* relaxed: the time of the last tick is precise enough, and keeps the list in order */
    append(bin, slab, __atomic_load_n(&pool->ticked_ns, __ATOMIC_RELAXED));
}

void hak_pool_holes_leave(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    if (!slab->waits)
        return;
    bool was_first = bin->waiting.first == slab;
    slab->waits = 0;
    if (was_first)
        bin->waiting.first = slab->next_waiting;
    else
        slab->previous_waiting->next_waiting = slab->next_waiting;
    if (slab->next_waiting != NULL)
        slab->next_waiting->previous_waiting = slab->previous_waiting;
    else
        bin->waiting.last = slab->previous_waiting;
    bin->waiting_count--;
    if (was_first)
        note_first(bin);
}

/* ---- one slab; under its bin's lock ---------------------------------------------------------- */

static bool is_empty(const struct hak_slab_pages *pages)
{
    return (pages->words[0] | pages->words[1]) == 0;
}

/* Removes the lowest run from the set, and returns it. */
static struct hak_slab_pages cut_run(struct hak_slab_pages *pages, unsigned *first, unsigned *count)
{
    struct hak_slab_pages run = {{0}};
    unsigned page = pages->words[0] != 0 ? hak_lowest_bit(pages->words[0])
                                         : WORD_BITS + hak_lowest_bit(pages->words[1]);
    *first = page;
    for (; page < HAK_SLAB_HOLE_WORDS * WORD_BITS; page++) {
        uint64_t bit = UINT64_C(1) << page % WORD_BITS;
        if ((pages->words[page / WORD_BITS] & bit) == 0)
            break;
        pages->words[page / WORD_BITS] &= ~bit;
        run.words[page / WORD_BITS] |= bit;
    }
    *count = page - *first;
    return run;
}

/* Purges the pages run by run, within the budget, and makes them holes. */
static enum turn make_holes(struct round *round, struct hak_slab *slab, struct hak_slab_pages pages)
{
    struct hak_counters *counters = round->pool->source->counters;
    size_t page_size = hak_os_page_size();
    while (!is_empty(&pages)) {
        unsigned first;
        unsigned count;
        if (is_spent(&round->left))
            return TURN_SPENT;
        struct hak_slab_pages run = cut_run(&pages, &first, &count);
        round->left.calls--;
        round->left.pages -= count < round->left.pages ? count : round->left.pages;
        hak_count(counters, HAK_COUNTER_HOLE_PURGES, 1);
        if (hak_os_purge(slab->base + first * page_size, count * page_size, HAK_PURGE_NOW) != 0) {
            hak_count(counters, HAK_COUNTER_HOLE_PURGES_REFUSED, 1);
            return TURN_REFUSED;
        }
        hak_slab_make_holes(slab, &run);
        round->bytes += count * page_size;
        hak_count(counters, HAK_COUNTER_HOLES_MADE, count);
        hak_count(counters, HAK_COUNTER_BYTES_PURGED, count * page_size);
        hak_headroom_give(count * page_size);
    }
    return TURN_OVER;
}

/* Whether a purge would break up a huge page that is mostly in use. */
static bool is_spared(const struct hak_slab *slab, unsigned free_pages)
{
    unsigned pages = (unsigned)((size_t)slab->pages * HAK_PAGE_SIZE / hak_os_page_size());
    return hak_region_purge_step() >= HAK_REGION_SIZE &&
           (free_pages + slab->hole_count) * 2 < pages;
}

/* The turn of the list's first slab, which then goes to the end of the list or leaves it, unless
 * the budget ended first. */
static enum turn look_at_first(struct round *round, struct hak_pool_bin *bin)
{
    struct hak_slab *slab = bin->waiting.first;
    struct hak_slab_pages pages;
    struct hak_slab_pages due;
    enum turn turn = TURN_OVER;
    round->left.looks--;
    unsigned found = hak_slab_find_free_pages(slab, &pages);
    for (unsigned word = 0; word < HAK_SLAB_HOLE_WORDS; word++)
        due.words[word] = round->which == WHICH_ALL ? pages.words[word]
                                                    : pages.words[word] & slab->idle.words[word];
    unsigned holes = slab->hole_count;
    if (!is_spared(slab, found))
        turn = make_holes(round, slab, due);
    hak_pool_count_holes(bin, (int)slab->hole_count - (int)holes);
    if (turn == TURN_SPENT)
        return turn;
    for (unsigned word = 0; word < HAK_SLAB_HOLE_WORDS; word++)
        slab->idle.words[word] = pages.words[word] & ~slab->holes.words[word];
    hak_pool_holes_leave(bin, slab);
    if (!is_empty(&slab->idle))
        append(bin, slab, round->now_ns);
    return turn;
}

/* ---- decay ----------------------------------------------------------------------------------- */

static bool is_due(const struct hak_pool_bin *bin, uint64_t now_ns, uint64_t decay_ns)
{
    uint64_t awaited = __atomic_load_n(&bin->awaited, __ATOMIC_RELAXED); /* relaxed: a hint */
    return awaited != 0 && now_ns > ~awaited && now_ns - ~awaited > decay_ns;
}

static enum turn tick_bin(struct round *round, struct hak_pool_bin *bin, uint64_t decay_ns)
{
    enum turn turn = TURN_OVER;
    if (!is_due(bin, round->now_ns, decay_ns) || !hak_lock_try(&bin->lock))
        return turn;
    while (turn == TURN_OVER && is_due(bin, round->now_ns, decay_ns))
        turn = is_spent(&round->left) ? TURN_SPENT : look_at_first(round, bin);
    hak_lock_release(&bin->lock);
    return turn;
}

/* Whether a tick must purge nothing: huge pages were asked for, or the kernel just refused. */
static bool must_wait(struct hak_pool *pool, uint64_t now_ns)
{
    /* relaxed: a hint; of two ticks at once one may try in vain */
    uint64_t refused = __atomic_load_n(&pool->refused_ns, __ATOMIC_RELAXED);
    return hak_region_purge_step() >= HAK_REGION_SIZE ||
           (refused != 0 && now_ns - refused < REFUSED_NS);
}

/* relaxed, all: if two threads tick at once, each does a portion */
bool hak_pool_holes_tick(struct hak_pool *pool, const struct hak_settings *settings,
                         uint64_t now_ns)
{
    bool is_near = hak_headroom_shortfall() != 0;
    struct round round = {pool, is_near ? WHICH_ALL : WHICH_IDLE, now_ns, portion, 0};
    unsigned bins = pool->last_class - pool->first_class + 1;
    unsigned first = __atomic_load_n(&pool->tick_bin, __ATOMIC_RELAXED);
    enum turn turn = TURN_OVER;
    __atomic_store_n(&pool->ticked_ns, now_ns, __ATOMIC_RELAXED);
    if (must_wait(pool, now_ns)) {
        __atomic_store_n(&pool->hurries, 0, __ATOMIC_RELAXED);
        return false;
    }
    for (unsigned i = 0; i < bins && turn == TURN_OVER; i++) {
        unsigned bin = (first + i) % bins;
        turn = tick_bin(&round, &pool->bins[bin], is_near ? 0 : settings->decay_ns);
        __atomic_store_n(&pool->tick_bin, turn == TURN_OVER ? bin + 1 : bin, __ATOMIC_RELAXED);
    }
    if (turn == TURN_REFUSED)
        __atomic_store_n(&pool->refused_ns, now_ns, __ATOMIC_RELAXED);
    bool is_calm = __atomic_exchange_n(&pool->filled, 0, __ATOMIC_RELAXED) == 0;
    __atomic_store_n(&pool->hurries, turn == TURN_SPENT && is_calm, __ATOMIC_RELAXED);
    return turn == TURN_SPENT;
}

/* ---- all at once ----------------------------------------------------------------------------- */

/* Ends after as many slabs as waited at first, whatever other threads add and the kernel
 * refuses. */
static void purge_bin(struct round *round, struct hak_pool_bin *bin)
{
    hak_lock_acquire(&bin->lock);
    uint32_t turns = bin->waiting_count;
    while (turns != 0 && bin->waiting.first != NULL) {
        round->left = portion;
        while (turns != 0 && bin->waiting.first != NULL && !is_spent(&round->left) &&
               look_at_first(round, bin) != TURN_SPENT)
            turns--;
        hak_lock_release(&bin->lock);
        hak_lock_acquire(&bin->lock);
    }
    hak_lock_release(&bin->lock);
}

size_t hak_pool_holes_purge(struct hak_pool *pool)
{
    struct round round = {pool, WHICH_ALL, hak_os_coarse_now_ns(), portion, 0};
    for (unsigned bin = 0; bin <= pool->last_class - pool->first_class; bin++)
        purge_bin(&round, &pool->bins[bin]);
    return round.bytes;
}
