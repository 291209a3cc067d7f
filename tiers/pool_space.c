/* SPDX-License-Identifier: MIT */
/* Pages enter and leave regions, regions enter and leave lists. Any thread; the caller of a static
 * function holds the space's lock, unless a comment says otherwise. */
#include "tiers/pool_space.h"

#include "learn/learner.h"
#include "os/bits.h"
#include "os/clock.h"
#include "os/memory.h"
#include "tiers/headroom.h"
#include "topology/bind.h"

enum {
    GAP_PAGE = 1u,                   /* bit of the page that is never used */
    DEGREE_PAGES = 4,                /* free pages outside the longest run, for each degree */
    COLLECTED_AT_ONCE = 64,          /* regions, until the lock is released */
    SETTLED_AT_ONCE = 64,            /* regions visited, one of them bound, per lock */
    VISITS = 64,                     /* regions visited in a portion */
    REFUSED_NS = 1000 * 1000 * 1000, /* for so long gives try nothing after a refusal */
    SHARE = 8,                       /* of the bytes in slabs: may be dirty unclaimed */
    CLAIM_STEP = 1024 * 1024,        /* bytes */
};

_Static_assert(HAK_SPACE_LISTS == 128, "two words tell which lists are empty");

/* What a portion may still do. */
struct budget {
    unsigned calls;
    unsigned pages;
    unsigned visits;
};

static bool is_spent(const struct budget *budget)
{
    return budget->calls == 0 || budget->pages == 0 || budget->visits == 0;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void link_first(struct hak_region_list *list, struct hak_region *region,
                       enum hak_region_role role)
{
    region->links[role].previous = NULL;
    region->links[role].next = list->first;
    if (list->first != NULL)
        list->first->links[role].previous = region;
    else
        list->last = region;
    list->first = region;
    /* relaxed: hak_pool_regions reads it without the lock */
    __atomic_store_n(&list->count, list->count + 1, __ATOMIC_RELAXED);
}

static void link_last(struct hak_region_list *list, struct hak_region *region,
                      enum hak_region_role role)
{
    region->links[role].next = NULL;
    region->links[role].previous = list->last;
    if (list->last != NULL)
        list->last->links[role].next = region;
    else
        list->first = region;
    list->last = region;
    __atomic_store_n(&list->count, list->count + 1, __ATOMIC_RELAXED); /* relaxed: as above */
}

static void unlink_from(struct hak_region_list *list, struct hak_region *region,
                        enum hak_region_role role)
{
    struct hak_region *next = region->links[role].next;
    struct hak_region *previous = region->links[role].previous;
    if (previous != NULL)
        previous->links[role].next = next;
    else
        list->first = next;
    if (next != NULL)
        next->links[role].previous = previous;
    else
        list->last = previous;
    __atomic_store_n(&list->count, list->count - 1, __ATOMIC_RELAXED); /* relaxed: as above */
}

/* ---- runs of pages -------------------------------------------------------------------------- */

/* The bits of `count` pages from `first` on. */
static uint32_t page_mask(unsigned first, unsigned count)
{
    return (uint32_t)(((UINT64_C(1) << count) - 1) << first);
}

/* Length of the run of ones that begins at `first`. */
static unsigned run_length(uint32_t pages, unsigned first)
{
    return hak_lowest_bit(~((uint64_t)pages >> first));
}

unsigned hak_pool_space_longest_run(uint32_t pages)
{
    /* starts[s]: the bits at which 2^s ones begin */
    uint32_t starts[5] = {pages};
    for (unsigned step = 1; step < 5; step++)
        starts[step] = starts[step - 1] & (starts[step - 1] >> (1u << (step - 1)));
    if (pages == UINT32_MAX)
        return 32;
    unsigned length = 0;
    uint32_t found = UINT32_MAX; /* the bits at which `length` ones begin */
    for (unsigned step = 5; step-- > 0;) {
        uint32_t longer = found & (uint32_t)((uint64_t)starts[step] >> length);
        if (longer != 0) {
            found = longer;
            length += 1u << step;
        }
    }
    return length;
}

unsigned hak_pool_space_find_run(uint32_t free_pages, uint32_t dirty_pages, unsigned count)
{
    unsigned found = 0;
    unsigned found_cost = UINT32_MAX;
    uint32_t heads = free_pages & ~(free_pages << 1);
    for (; heads != 0; heads &= heads - 1) { /* at most 15: a region cannot have more runs */
        unsigned first = hak_lowest_bit(heads);
        unsigned length = run_length(free_pages, first);
        if (length < count)
            continue;
        unsigned clean = hak_bit_count(page_mask(first, count) & ~dirty_pages);
        unsigned cost = length * HAK_REGION_PAGES + clean;
        if (cost < found_cost) {
            found = first;
            found_cost = cost;
        }
    }
    return found;
}

unsigned hak_pool_space_fit(uint32_t free_pages)
{
    unsigned run = hak_pool_space_longest_run(free_pages);
    unsigned degree = (hak_bit_count(free_pages) - run) / DEGREE_PAGES;
    if (degree >= HAK_SPACE_DEGREES)
        degree = HAK_SPACE_DEGREES - 1;
    return run * HAK_SPACE_DEGREES + degree;
}

/* ---- the lists of a region ------------------------------------------------------------------ */

static void leave_fits(struct hak_pool_space *space, struct hak_region *region)
{
    struct hak_region_list *list = &space->fits[region->fit];
    if (region->fit == 0)
        return;
    unlink_from(list, region, HAK_REGION_FITS);
    if (list->first == NULL)
        space->fitting[region->fit / 64] &= ~(UINT64_C(1) << region->fit % 64);
    region->fit = 0;
}

/* Of regions that fit equally well, those with dirty pages come first: they cost no faults. */
static void enter_fits(struct hak_pool_space *space, struct hak_region *region)
{
    leave_fits(space, region);
    if (region->free_pages == 0)
        return;
    region->fit = (uint8_t)hak_pool_space_fit(region->free_pages);
    struct hak_region_list *list = &space->fits[region->fit];
    if (region->dirty_pages != 0)
        link_first(list, region, HAK_REGION_FITS);
    else
        link_last(list, region, HAK_REGION_FITS);
    space->fitting[region->fit / 64] |= UINT64_C(1) << region->fit % 64;
}

/* If the unit of purges is a huge page, only the free pages of an empty region are purged. */
static bool can_purge(const struct hak_region *region)
{
    return hak_region_purge_step() < HAK_REGION_SIZE || region->free_pages == ~(uint32_t)GAP_PAGE;
}

static void leave_dirty(struct hak_region *region)
{
    if (region->in_dirty != NULL)
        unlink_from(region->in_dirty, region, HAK_REGION_DIRTY);
    region->in_dirty = NULL;
}

/* At the end of the list: its next visit is due after a time of decay. */
static void enter_dirty(struct hak_pool_space *space, struct hak_region *region, uint64_t now_ns)
{
    leave_dirty(region);
    region->aged_pages = region->dirty_pages;
    region->looked_ns = now_ns;
    if (region->dirty_pages == 0)
        return;
    region->in_dirty = can_purge(region) ? &space->dirty : &space->spared;
    link_last(region->in_dirty, region, HAK_REGION_DIRTY);
}

/* After its pages have changed. A region that need not change its list keeps its turn. */
static void update_dirty(struct hak_pool_space *space, struct hak_region *region, uint64_t now_ns)
{
    struct hak_region_list *right = can_purge(region) ? &space->dirty : &space->spared;
    if (region->dirty_pages == 0)
        leave_dirty(region);
    else if (region->in_dirty != right)
        enter_dirty(space, region, now_ns);
}

/* relaxed: hak_pool_tick reads it before it takes the lock */
static void set_dirty_bytes(struct hak_pool_space *space, size_t bytes)
{
    __atomic_store_n(&space->dirty_bytes, bytes, __ATOMIC_RELAXED);
}

/* These pages are no longer both free and dirty: they were purged, or taken. */
static void forget_dirty(struct hak_pool_space *space, struct hak_region *region, uint32_t pages)
{
    size_t bytes = (size_t)hak_bit_count(region->dirty_pages & pages) * HAK_PAGE_SIZE;
    region->dirty_pages &= ~pages;
    region->aged_pages &= ~pages;
    set_dirty_bytes(space, space->dirty_bytes - bytes);
}

/* ---- taking pages --------------------------------------------------------------------------- */

static void note_taken(struct hak_pool_space *space, size_t bytes, size_t again)
{
    space->used_bytes += bytes;
    space->again_bytes[0] += again;
    size_t rise = hak_minus(space->used_bytes, space->least_used);
    if (space->rise[0] < rise)
        space->rise[0] = rise;
}

static void *cut_pages(struct hak_pool_space *space, struct hak_region *region, unsigned first,
                       unsigned count)
{
    uint32_t pages = page_mask(first, count);
    unsigned clean = count - hak_bit_count(region->dirty_pages & pages);
    hak_headroom_take((size_t)clean * HAK_PAGE_SIZE);
    forget_dirty(space, region, pages);
    note_taken(space, (size_t)count * HAK_PAGE_SIZE,
               (size_t)hak_bit_count(region->known_pages & pages) * HAK_PAGE_SIZE);
    region->known_pages |= pages;
    region->free_pages &= ~pages;
    enter_fits(space, region);
    update_dirty(space, region, region->given_ns);
    return region->base + (size_t)first * HAK_PAGE_SIZE;
}

/* The region with the shortest longest run that is long enough; of several the fullest. */
static struct hak_region *best_fit(const struct hak_pool_space *space, unsigned count)
{
    unsigned least = count * HAK_SPACE_DEGREES;
    unsigned word = least / 64;
    uint64_t lists = space->fitting[word] & (UINT64_MAX << least % 64);
    if (lists == 0 && word == 0)
        lists = space->fitting[++word];
    return lists == 0 ? NULL : space->fits[word * 64 + hak_lowest_bit(lists)].first;
}

void *hak_pool_space_take(struct hak_pool_space *space, unsigned count)
{
    void *pages = NULL;
    hak_lock_acquire(&space->lock);
    struct hak_region *region = best_fit(space, count);
    if (region != NULL) {
        unsigned first = hak_pool_space_find_run(region->free_pages, region->dirty_pages, count);
        pages = cut_pages(space, region, first, count);
    }
    hak_lock_release(&space->lock);
    return pages;
}

void *hak_pool_space_add(struct hak_pool_space *space, struct hak_region *region, unsigned count)
{
    region->free_pages = ~(uint32_t)GAP_PAGE;
    hak_lock_acquire(&space->lock);
    link_last(&space->all, region, HAK_REGION_ALL);
    void *pages = cut_pages(space, region, 1, count);
    hak_lock_release(&space->lock);
    return pages;
}

/* ---- giving back to the kernel -------------------------------------------------------------- */

enum purged {
    PURGED_ALL,
    PURGED_PART,    /* the budget ended */
    PURGED_REFUSED, /* by the kernel, for example memory locked by mlock */
};

/* Purges `pages` of a region, run by run, within the budget. The addresses stay mapped: a lock-free
 * reader sees zeros and never faults. */
static enum purged purge_pages(struct hak_pool_space *space, struct hak_region *region,
                               uint32_t pages, struct budget *budget)
{
    struct hak_counters *counters = space->source->counters;
    while (pages != 0) {
        if (is_spent(budget))
            return PURGED_PART;
        unsigned first = hak_lowest_bit(pages);
        unsigned count = run_length(pages, first);
        char *run = region->base + (size_t)first * HAK_PAGE_SIZE;
        budget->calls--;
        hak_count(counters, HAK_COUNTER_SLAB_PURGES, 1);
        if (hak_os_purge(run, (size_t)count * HAK_PAGE_SIZE, HAK_PURGE_NOW) != 0) {
            hak_count(counters, HAK_COUNTER_SLAB_PURGES_REFUSED, 1);
            return PURGED_REFUSED;
        }
        budget->pages -= count < budget->pages ? count : budget->pages;
        pages &= ~page_mask(first, count);
        forget_dirty(space, region, page_mask(first, count));
        hak_headroom_give((size_t)count * HAK_PAGE_SIZE);
        hak_count(counters, HAK_COUNTER_BYTES_PURGED, (uint64_t)count * HAK_PAGE_SIZE);
    }
    return PURGED_ALL;
}

/* One visit to a region, which then goes to the end of its list or leaves it, unless the budget
 * ended first. After a refusal, too: the region is not tried again before its next turn. */
static enum purged visit(struct hak_pool_space *space, struct hak_region *region, uint32_t pages,
                         uint64_t now_ns, struct budget *budget)
{
    enum purged purged = purge_pages(space, region, pages, budget);
    if (purged == PURGED_PART)
        return purged;
    enter_dirty(space, region, now_ns);
    if (region->dirty_pages == 0)
        enter_fits(space, region);
    return purged;
}

static bool is_older(uint64_t then_ns, uint64_t now_ns, uint64_t decay_ns)
{
    return now_ns > then_ns && now_ns - then_ns > decay_ns;
}

/* Purges, in a region that is due, pages that were free at the last visit, too; or all free ones if
 * none was given back for a time of decay. */
static void purge_due(struct hak_pool_space *space, uint64_t decay_ns, uint64_t now_ns,
                      struct budget *budget)
{
    struct hak_region *region;
    while (!is_spent(budget) && (region = space->dirty.first) != NULL &&
           is_older(region->looked_ns, now_ns, decay_ns)) {
        bool is_idle = is_older(region->given_ns, now_ns, decay_ns);
        budget->visits--;
        visit(space, region, is_idle ? region->dirty_pages : region->aged_pages, now_ns, budget);
    }
}

/* Purges regions visited longest ago first, so that what was given last stays in caches. If the
 * kernel refuses all, this tries nothing for a while. */
static void purge_excess(struct hak_pool_space *space, size_t keep, uint64_t now_ns,
                         struct budget *budget)
{
    size_t before = space->dirty_bytes;
    bool refused = false;
    if (space->refused_ns != 0 && !is_older(space->refused_ns, now_ns, REFUSED_NS))
        return;
    space->refused_ns = 0;
    while (space->dirty_bytes > keep && !is_spent(budget) && space->dirty.first != NULL) {
        struct hak_region *region = space->dirty.first;
        refused |= visit(space, region, region->dirty_pages, now_ns, budget) == PURGED_REFUSED;
    }
    if (refused && space->dirty_bytes == before)
        space->refused_ns = now_ns;
}

/* Bytes that the space may claim: the first ones, and as many as were lately taken again; all, if
 * the learner decides nothing. */
static size_t retained(const struct hak_pool_space *space, const struct hak_settings *settings)
{
    size_t most = hak_settings_bytes(&settings->slab_retain_bytes);
    size_t rise = space->rise[0] > space->rise[1] ? space->rise[0] : space->rise[1];
    size_t again = hak_lesser(rise, space->again_bytes[0] + space->again_bytes[1]);
    if (settings->credit == NULL || !hak_learner_decides(settings))
        return most;
    return hak_lesser(most, hak_pool_space_first(space->used_bytes) + again);
}

/* Dirty bytes beside the share of what is used. */
static size_t beside(const struct hak_pool_space *space)
{
    return hak_minus(space->dirty_bytes, space->used_bytes / SHARE);
}

/* Ends a time of decay, begins the next, and gives back what the claim did not need. */
static void turn_times(struct hak_pool_space *space, const struct hak_settings *settings,
                       uint64_t now_ns)
{
    uint64_t decay_ns = settings->decay_ns;
    if (!is_older(space->taken_ns, now_ns, decay_ns))
        return;
    bool skipped = is_older(space->taken_ns + decay_ns, now_ns, decay_ns);
    space->again_bytes[1] = skipped ? 0 : space->again_bytes[0];
    space->again_bytes[0] = 0;
    space->rise[1] = skipped ? 0 : space->rise[0];
    space->rise[0] = 0;
    space->least_used = space->used_bytes;
    space->taken_ns = now_ns;
    size_t kept = hak_align_up(hak_greater(space->most_kept, beside(space)), CLAIM_STEP);
    space->most_kept = 0;
    hak_credit_give_back(settings, &space->claim, kept, retained(space, settings));
}

/* Sets the claim to `wanted` bytes, or fewer if the credit does not allow more, and returns it. */
static size_t claimed(struct hak_pool_space *space, const struct hak_settings *settings,
                      size_t wanted)
{
    struct hak_claim *claim = &space->claim;
    size_t retain = retained(space, settings);
    size_t has = hak_lesser(retain, claim->bytes);
    hak_credit_give_back(settings, claim, has, retain);
    if (hak_unlikely(wanted > has && has < retain)) {
        /* In steps, so that the heap's credit is seldom written. */
        size_t exact = hak_lesser(wanted, retain) - has;
        size_t stepped = hak_lesser(hak_align_up(has + exact, CLAIM_STEP), retain) - has;
        if (!hak_credit_claim(settings, claim, stepped, retain) && exact < stepped)
            hak_credit_claim(settings, claim, exact, retain);
    } else if (has != 0) {
        hak_credit_give_back(settings, claim, hak_minus(has, hak_credit_excess(settings)), retain);
    }
    return claim->bytes;
}

/* How many bytes may stay dirty: see the header. Settings that keep all need no claim. */
static size_t keep_bytes(struct hak_pool_space *space, const struct hak_settings *settings,
                         uint64_t now_ns)
{
    size_t most = hak_settings_bytes(&settings->slab_retain_bytes);
    if (most == SIZE_MAX)
        return most;
    turn_times(space, settings, now_ns);
    space->most_kept = hak_greater(space->most_kept, beside(space));
    size_t keep = space->used_bytes / SHARE + claimed(space, settings, beside(space));
    size_t can = hak_minus(space->dirty_bytes, hak_headroom_shortfall());
    return hak_lesser(hak_lesser(keep, most), can);
}

void hak_pool_space_give(struct hak_pool_space *space, struct hak_region *region, unsigned first,
                         unsigned count, const struct hak_settings *settings)
{
    struct budget budget = {HAK_SPACE_GIVE_CALLS, HAK_SPACE_PORTION_PAGES, VISITS};
    uint64_t now = hak_os_coarse_now_ns();
    hak_lock_acquire(&space->lock);
    region->free_pages |= page_mask(first, count);
    region->dirty_pages |= page_mask(first, count);
    region->given_ns = now;
    /* relaxed: hak_heap_slabs_rest reads it without the lock */
    __atomic_store_n(&space->given_ns, now, __ATOMIC_RELAXED);
    set_dirty_bytes(space, space->dirty_bytes + (size_t)count * HAK_PAGE_SIZE);
    space->used_bytes -= (size_t)count * HAK_PAGE_SIZE;
    space->least_used = hak_lesser(space->least_used, space->used_bytes);
    enter_fits(space, region);
    update_dirty(space, region, now);
    purge_due(space, settings->decay_ns, now, &budget);
    purge_excess(space, keep_bytes(space, settings, now), now, &budget);
    hak_lock_release(&space->lock);
}

void hak_pool_space_tick(struct hak_pool_space *space, const struct hak_settings *settings,
                         uint64_t now_ns)
{
    struct budget budget = {HAK_SPACE_TICK_CALLS, HAK_SPACE_PORTION_PAGES, VISITS};
    if (!hak_lock_try(&space->lock))
        return;
    purge_due(space, settings->decay_ns, now_ns, &budget);
    turn_times(space, settings, now_ns);
    size_t fair = hak_credit_fair(settings, &space->claim);
    hak_credit_give_back(settings, &space->claim, fair, retained(space, settings));
    if (hak_unlikely(hak_headroom_shortfall() != 0))
        purge_excess(space, keep_bytes(space, settings, now_ns), now_ns, &budget);
    hak_lock_release(&space->lock);
}

/* Ends after as many regions as were in the list at first, whatever other threads give. */
static size_t purge_list(struct hak_pool_space *space, struct hak_region_list *list)
{
    size_t purged = 0;
    uint64_t now = hak_os_coarse_now_ns();
    hak_lock_acquire(&space->lock);
    uint32_t visits = list->count;
    while (visits != 0 && list->first != NULL) {
        struct budget budget = {HAK_SPACE_TICK_CALLS, HAK_SPACE_PORTION_PAGES, VISITS};
        size_t before = space->dirty_bytes;
        while (visits != 0 && list->first != NULL &&
               visit(space, list->first, list->first->dirty_pages, now, &budget) != PURGED_PART)
            visits--;
        purged += before - space->dirty_bytes;
        hak_lock_release(&space->lock);
        hak_lock_acquire(&space->lock);
    }
    hak_lock_release(&space->lock);
    return purged;
}

size_t hak_pool_space_purge(struct hak_pool_space *space)
{
    return purge_list(space, &space->dirty) + purge_list(space, &space->spared);
}

/* ---- empty regions -------------------------------------------------------------------------- */

static struct hak_region *detach(struct hak_pool_space *space, struct hak_region *region)
{
    leave_fits(space, region);
    leave_dirty(region);
    if (space->looked_at == region)
        space->looked_at = region->links[HAK_REGION_ALL].next;
    unlink_from(&space->all, region, HAK_REGION_ALL);
    size_t dirty = (size_t)hak_bit_count(region->dirty_pages) * HAK_PAGE_SIZE;
    set_dirty_bytes(space, space->dirty_bytes - dirty);
    hak_headroom_give(dirty);
    return region;
}

/* The region is in no list, so no lock is needed. Pages that the kernel refuses to purge go when
 * the region is unmapped. */
static void purge_detached(struct hak_region *region)
{
    if (region->dirty_pages != 0 && hak_os_purge(region->base, HAK_REGION_SIZE, HAK_PURGE_NOW) == 0)
        region->dirty_pages = 0;
}

struct hak_region *hak_pool_space_collect(struct hak_pool_space *space)
{
    struct hak_region_list *list = &space->fits[HAK_SPACE_WHOLLY_FREE];
    struct hak_region *collected = NULL;
    /* relaxed: regions that become empty meanwhile wait for the next time */
    uint32_t left = __atomic_load_n(&list->count, __ATOMIC_RELAXED);
    while (left != 0) {
        struct hak_region *portion = NULL;
        hak_lock_acquire(&space->lock);
        for (unsigned i = 0; i < COLLECTED_AT_ONCE && left != 0 && list->first != NULL; i++) {
            struct hak_region *region = detach(space, list->first);
            region->next = portion;
            portion = region;
            left--;
        }
        hak_lock_release(&space->lock);
        if (portion == NULL)
            break;
        while (portion != NULL) {
            struct hak_region *region = portion;
            portion = region->next;
            purge_detached(region);
            region->next = collected;
            collected = region;
        }
    }
    return collected;
}

struct hak_region *hak_pool_space_end(struct hak_pool_space *space)
{
    struct hak_region *regions = NULL;
    while (space->all.first != NULL) {
        struct hak_region *region = detach(space, space->all.first);
        region->next = regions;
        regions = region;
    }
    hak_headroom_give(space->used_bytes);
    return regions;
}

/* Moves the first region to the end of the list, and binds it if it stands on another node:
 * true. */
static bool settle_first(struct hak_pool_space *space, enum hak_os_pages pages)
{
    struct hak_region *region = space->all.first;
    int node = hak_region_source_node(space->source);
    unlink_from(&space->all, region, HAK_REGION_ALL);
    link_last(&space->all, region, HAK_REGION_ALL);
    if (region->node == node)
        return false;
    if (hak_bind_to(region->base, HAK_REGION_SIZE, node, pages) == HAK_BIND_DONE) {
        /* relaxed: see pool_space.h */
        __atomic_store_n(&region->node, node, __ATOMIC_RELAXED);
        hak_count(space->source->counters, HAK_COUNTER_BINDS, 1);
    }
    return true;
}

void hak_pool_space_settle(struct hak_pool_space *space, enum hak_os_pages pages)
{
    /* relaxed: a region that is added later is bound to the source's new node already */
    uint32_t left = __atomic_load_n(&space->all.count, __ATOMIC_RELAXED);
    while (left != 0) {
        bool was_bound = false;
        hak_lock_acquire(&space->lock);
        if (space->all.first == NULL)
            left = 0;
        for (unsigned i = 0; i < SETTLED_AT_ONCE && left != 0 && !was_bound; i++, left--)
            was_bound = settle_first(space, pages);
        hak_lock_release(&space->lock);
    }
}
