/* SPDX-License-Identifier: MIT */
/* Fills a sheet with the figures of a heap: see the header. */
#include "heap/collect.h"

#include <limits.h>

#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/kept.h"
#include "os/memory.h"
#include "shard/grace.h"
#include "shard/lanes.h"

_Static_assert((int)HAK_CLASS_COUNT <= (int)HAK_SHEET_CLASSES, "a sheet has room for all classes");
_Static_assert((int)HAK_LEARN_BUCKETS <= (int)HAK_SHEET_KEYS, "and for all size buckets");
_Static_assert((int)HAK_ARM_NAMES <= (int)HAK_SHEET_ARMS, "and for all arms");
_Static_assert((int)HAK_REGIME_CANARY < (int)HAK_SHEET_STATES, "and for all states");
_Static_assert((int)HAK_SHARD_IDS <= (int)HAK_SHEET_SHARDS, "and no shard has a higher id");

const struct hak_collect_portion hak_collect_all = {UINT_MAX, UINT_MAX, UINT_MAX};
const struct hak_collect_portion hak_collect_some = {256, 64, 8};

size_t hak_collect_rows_size(unsigned shards)
{
    return ((size_t)shards + 1) * HAK_CLASS_COUNT * sizeof(uint32_t);
}

static void put_names(struct hak_sheet_head *head)
{
    head->class_count = HAK_CLASS_COUNT;
    for (unsigned id = 1; id < HAK_CLASS_COUNT; id++) {
        const struct hak_class *class = &hak_classes[id];
        head->classes[id] =
            (struct hak_sheet_class){class->size, class->bundle, class->capacity,
                                     (uint32_t) class->slab_pages << HAK_PAGE_SHIFT};
    }
    head->key_count = HAK_LEARN_BUCKETS;
    for (unsigned key = 0; key < HAK_LEARN_BUCKETS; key++)
        hak_sheet_put_text(head->keys[key], HAK_SHEET_NAME, hak_learn_bucket_names[key]);
    head->arm_count = HAK_ARM_NAMES;
    for (unsigned arm = 0; arm < HAK_ARM_NAMES; arm++)
        hak_sheet_put_text(head->arms[arm], HAK_SHEET_NAME, hak_arms[arm].name);
    head->state_count = HAK_REGIME_CANARY + 1;
    for (unsigned state = 0; state <= HAK_REGIME_CANARY; state++)
        hak_sheet_put_text(head->states[state], HAK_SHEET_NAME, hak_regime_names[state]);
}

void hak_collect_start(struct hak_collect *collect, struct hak_sheet *sheet, uint32_t *rows,
                       unsigned room)
{
    *collect = (struct hak_collect){
        .sheet = sheet, .room = room, .rows = {.objects = rows, .shards = room}};
    put_names(&sheet->head);
}

/* ---- a shard --------------------------------------------------------------------------------- */

static void put_place(const struct hak_shard_map *map, const struct hak_shard *shard,
                      struct hak_sheet_shard *out)
{
    out->id = shard->id;
    out->node = hak_shard_node(shard);
    out->is_in_force = shard->id <= map->count;
    out->cpus[0] = '\0';
    if (map->domains != NULL && shard->index < map->count) {
        struct hak_writer writer = hak_writer_to_buffer(out->cpus, sizeof out->cpus);
        hak_domains_put_cpus(&writer, map->domains, shard->index);
        hak_writer_flush(&writer);
    }
}

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

static uint64_t read_relaxed(const uint64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_RELAXED); /* relaxed: a figure */
}

static void put_class(struct hak_shard *shard, unsigned class_id, uint64_t *figures)
{
    const struct hak_class *class = &hak_classes[class_id];
    const struct hak_pool *pool = hak_shard_pool(shard, class_id);
    const struct hak_class_counters *counters = &shard->classes[class_id];
    /* read one after the other, so their difference may be negative */
    uint64_t slabs = hak_pool_slabs(pool, class_id);
    uint64_t free = hak_pool_free_objects(pool, class_id);
    figures[HAK_CLASS_FIGURE_SLABS] = slabs;
    figures[HAK_CLASS_FIGURE_FREE] = free;
    figures[HAK_CLASS_FIGURE_TAKEN] = less(slabs * class->capacity, free);
    figures[HAK_CLASS_FIGURE_HOLES] = hak_pool_hole_pages(pool, class_id) * hak_os_page_size();
    int64_t cached = (int64_t)read_relaxed(&counters->cached);
    figures[HAK_CLASS_FIGURE_IN_TRANSFER_CACHE] = cached > 0 ? (uint64_t)cached : 0;
    figures[HAK_CLASS_FIGURE_REFILLED] = read_relaxed(&counters->refilled);
    figures[HAK_CLASS_FIGURE_FLUSHED] = read_relaxed(&counters->flushed);
    /* sorted first: a bundle is posted before it is sorted, so the difference is never negative */
    figures[HAK_CLASS_FIGURE_SORTED] = read_relaxed(&counters->sorted);
    figures[HAK_CLASS_FIGURE_POSTED] = read_relaxed(&counters->posted);
    figures[HAK_CLASS_FIGURE_IN_INBOX] =
        less(figures[HAK_CLASS_FIGURE_POSTED], figures[HAK_CLASS_FIGURE_SORTED]);
}

/* Moves the counts of objects in fronts from the row to the sheet. */
static void put_classes(struct hak_shard *shard, uint32_t *row, struct hak_sheet_shard *out)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        put_class(shard, class_id, out->classes[class_id]);
        out->classes[class_id][HAK_CLASS_FIGURE_IN_FRONTS] = row[class_id];
        row[class_id] = 0;
    }
}

static void put_traffic(const struct hak_traffic *traffic, struct hak_traffic *out)
{
    for (unsigned i = 0; i <= HAK_TRAFFIC_PEERS; i++) {
        /* relaxed: figures */
        out->peers[i].id = __atomic_load_n(&traffic->peers[i].id, __ATOMIC_RELAXED);
        for (unsigned kind = 0; kind < HAK_TRAFFIC_KINDS; kind++)
            out->peers[i].objects[kind] = read_relaxed(&traffic->peers[i].objects[kind]);
    }
}

/* Of a lane; under its lock. */
static void add_keys(const struct hak_learner *learner, struct hak_sheet_key *keys)
{
    for (unsigned i = 0; i < HAK_LEARN_BUCKETS; i++) {
        const struct hak_learn_key *key = &learner->keys[i];
        if (key->matches == 0)
            continue;
        if (keys[i].matches == 0) {
            keys[i].arm = key->arm;
            keys[i].state = key->regime.state;
        }
        keys[i].matches += key->matches;
        keys[i].switches += key->switches;
        keys[i].bytes += key->all_bytes;
    }
}

static void put_lanes(struct hak_shard *shard, struct hak_sheet_shard *out)
{
    struct hak_large_cache *large;
    uint64_t runs = 0, dirty = 0;
    for (unsigned i = 0; i < HAK_SHEET_KEYS; i++)
        out->keys[i] = (struct hak_sheet_key){0};
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;) {
        struct hak_large_bytes bytes = hak_large_bytes(large);
        runs += bytes.used;
        dirty += bytes.dirty;
        hak_lock_acquire(&large->lock);
        add_keys(large->learner, out->keys);
        hak_lock_release(&large->lock);
    }
    out->figures[HAK_FIGURE_RUNS] = runs;
    out->figures[HAK_FIGURE_RETAINED] =
        dirty + hak_pool_dirty_bytes(&shard->tiny) + hak_pool_dirty_bytes(&shard->mid);
}

/* What is counted elsewhere: runs by lanes, objects by class. */
static void add_counted_elsewhere(struct hak_shard *shard, struct hak_snapshot *counters)
{
    counters->value[HAK_COUNTER_REFILL_OBJECTS] += hak_shard_refilled(shard);
    struct hak_large_counts runs = hak_lanes_counts(shard);
    counters->value[HAK_COUNTER_LARGE_TAKES] += runs.takes;
    counters->value[HAK_COUNTER_LARGE_GIVES] += runs.gives;
    counters->value[HAK_COUNTER_LARGE_CACHED_HITS] += runs.cached_hits;
}

static void collect_shard(struct hak_heap *heap, struct hak_collect *collect, unsigned id)
{
    struct hak_shard *shard = hak_shard_of_id(id);
    struct hak_sheet_shard *out = &collect->sheet->shards[id - 1];
    hak_sheet_begin(&out->sequence);
    put_place(hak_heap_map(heap), shard, out);
    out->counters = (struct hak_snapshot){{0}};
    hak_snapshot_add(&out->counters, &shard->counters);
    add_counted_elsewhere(shard, &out->counters);
    out->figures[HAK_FIGURE_MAPPED] = less(out->counters.value[HAK_COUNTER_BYTES_MAPPED],
                                           out->counters.value[HAK_COUNTER_BYTES_UNMAPPED]);
    put_classes(shard, collect->rows.objects + (size_t)id * HAK_CLASS_COUNT, out);
    put_traffic(&shard->traffic, &out->traffic);
    put_lanes(shard, out);
    hak_sheet_derive(&collect->sheet->head, out);
    hak_sheet_end(&out->sequence);
}

/* ---- the heap -------------------------------------------------------------------------------- */

static void put_heap(struct hak_heap *heap, const struct hak_collect *collect, uint64_t *figures)
{
    struct hak_whale_bytes whales = hak_whale_bytes(&heap->whales);
    struct hak_os_faults faults = hak_os_faults();
    figures[HAK_PROCESS_FIGURE_WHALE_BYTES] = whales.used;
    figures[HAK_PROCESS_FIGURE_WHALES_KEPT] = whales.cached;
    figures[HAK_PROCESS_FIGURE_NOT_UNMAPPED] = hak_kept_bytes();
    figures[HAK_PROCESS_FIGURE_RETAIN_LIMIT] = hak_settings_bytes(&heap->retain_bytes);
    figures[HAK_PROCESS_FIGURE_RETAIN_CLAIMED] = hak_settings_bytes(&heap->credit.claimed);
    figures[HAK_PROCESS_FIGURE_SHARDS_IN_FORCE] = hak_heap_map(heap)->count;
    figures[HAK_PROCESS_FIGURE_THREAD_FRONTS] = collect->rows.fronts;
    figures[HAK_PROCESS_FIGURE_FRONTS_UNSEEN] = collect->rows.unseen;
    figures[HAK_PROCESS_FIGURE_IN_THREAD_FRONTS] = collect->in_thread_fronts;
    figures[HAK_PROCESS_FIGURE_IN_CPU_FRONTS] = collect->in_cpu_fronts;
    figures[HAK_PROCESS_FIGURE_IN_SHARED_FRONTS] =
        collect->rows.bytes - collect->in_thread_fronts - collect->in_cpu_fronts;
    figures[HAK_PROCESS_FIGURE_GRACE_PASSED] = read_relaxed(&hak_grace_figures.passed);
    figures[HAK_PROCESS_FIGURE_GRACE_BEGUN] = read_relaxed(&hak_grace_figures.begun);
    figures[HAK_PROCESS_FIGURE_GRACE_REFUSED] = read_relaxed(&hak_grace_figures.refused);
    figures[HAK_PROCESS_FIGURE_MINOR_FAULTS] = faults.minor;
    figures[HAK_PROCESS_FIGURE_MAJOR_FAULTS] = faults.major;
}

static void collect_heap(struct hak_heap *heap, struct hak_collect *collect)
{
    struct hak_sheet_head *head = &collect->sheet->head;
    hak_sheet_begin(&head->sequence);
    head->pid = hak_os_process_id();
    head->rounds++;
    head->collected_ns = hak_os_now_ns();
    head->shard_count = collect->shards;
    put_heap(heap, collect, head->figures);
    hak_sheet_end(&head->sequence);
}

/* ---- a round --------------------------------------------------------------------------------- */

static void begin_phase(struct hak_collect *collect, enum hak_collect_phase phase, unsigned first)
{
    collect->phase = phase;
    collect->next = first;
}

static void collect_threads(struct hak_collect *collect, unsigned most)
{
    collect->rows.bytes = 0;
    hak_front_rows_add_all(&collect->rows, most);
    collect->in_thread_fronts = collect->rows.bytes;
    begin_phase(collect, HAK_COLLECT_CPUS, 0);
}

static bool collect_cpus(struct hak_collect *collect, unsigned count)
{
    unsigned all = hak_cpu_fronts_add_rows(&collect->rows, collect->next, count);
    if (all > collect->next && all - collect->next > count) {
        collect->next += count;
        return false;
    }
    collect->in_cpu_fronts = collect->rows.bytes - collect->in_thread_fronts;
    hak_shared_fronts_add_rows(&collect->rows);
    unsigned last = hak_shard_last_id();
    collect->shards = last < collect->room ? last : collect->room;
    begin_phase(collect, HAK_COLLECT_SHARDS, 1);
    return true;
}

static bool collect_shards(struct hak_heap *heap, struct hak_collect *collect, unsigned count)
{
    for (; count != 0 && collect->next <= collect->shards; count--)
        collect_shard(heap, collect, collect->next++);
    if (collect->next <= collect->shards)
        return false;
    begin_phase(collect, HAK_COLLECT_HEAP, 0);
    return true;
}

bool hak_collect_step(struct hak_heap *heap, struct hak_collect *collect,
                      const struct hak_collect_portion *portion)
{
    if (collect->phase == HAK_COLLECT_THREADS)
        collect_threads(collect, portion->threads);
    if (collect->phase == HAK_COLLECT_CPUS && !collect_cpus(collect, portion->cpus))
        return false;
    if (collect->phase == HAK_COLLECT_SHARDS && !collect_shards(heap, collect, portion->shards))
        return false;
    collect_heap(heap, collect);
    begin_phase(collect, HAK_COLLECT_THREADS, 0);
    return true;
}
