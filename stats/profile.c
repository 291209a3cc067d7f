/* SPDX-License-Identifier: MIT */
/* The tables of the heap profile: see the header. */
#include "stats/profile.h"

#include <string.h>

#include "os/bits.h"
#include "os/file.h"
#include "os/memory.h"

static const char magic[8] = "hakprof";

enum {
    ROWS_AT = 4096,
    BUCKETS = HAK_PROFILE_SAMPLES / 2,
    PROBES = 64, /* of rows, before a stack counts as lost */
};

static const size_t FRAMES_AT = ROWS_AT + (size_t)HAK_PROFILE_ROWS * sizeof(struct hak_profile_row);

size_t hak_profile_size(void)
{
    return FRAMES_AT + (size_t)HAK_PROFILE_FRAMES * sizeof(uint64_t);
}

static struct hak_profile lay_out(void *memory)
{
    char *begin = memory;
    return (struct hak_profile){memory, (void *)(begin + ROWS_AT), (void *)(begin + FRAMES_AT)};
}

struct hak_profile hak_profile_lay_out(void *memory, uint64_t rate)
{
    struct hak_profile profile = lay_out(memory);
    struct hak_profile_header *header = profile.header;
    header->version = HAK_PROFILE_VERSION;
    header->process = hak_os_process_id();
    header->size = hak_profile_size();
    header->rate = rate;
    memcpy(header->magic, magic, sizeof header->magic);
    return profile;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The row of each stack: 0, or its number plus one. A hash table; private, since no reader needs
 * it. Under the caller's lock, as all that writes. */
static struct {
    uint32_t *row_of; /* 2 * HAK_PROFILE_ROWS slots */
    struct live *live;
    uint32_t *buckets;
    uint32_t rows; /* copies; those in the header are for readers, and this process does not read
                      them */
    uint32_t frames;
    uint32_t used;   /* entries of `live` ever used; entry 0 is never used */
    uint32_t unused; /* a list of entries that are free again */
    struct rest {    /* a ring: the one that has rested longest is used next */
        uint32_t first;
        uint32_t count;
        uint32_t entries[HAK_PROFILE_REST_MOST];
    } rests[HAK_PROFILE_REST_LISTS];
} tables;

enum { SLOTS = 2 * HAK_PROFILE_ROWS };

static uint64_t hash_stack(const struct hak_profile_sample *sample)
{
    uint64_t hash = (sample->shard | (uint64_t)sample->heap << 32) + UINT64_C(0x9E3779B97F4A7C15);
    for (unsigned i = 0; i < sample->depth; i++) {
        hash = (hash ^ sample->stack[i]) * UINT64_C(0xFF51AFD7ED558CCD);
        hash ^= hash >> 32;
    }
    return hash;
}

static bool is_row_of(const struct hak_profile *profile, const struct hak_profile_row *row,
                      const struct hak_profile_sample *sample, uint64_t hash)
{
    return row->hash == hash && row->depth == sample->depth && row->shard == sample->shard &&
           row->heap == sample->heap &&
           memcmp(&profile->frames[row->first], sample->stack, sample->depth * sizeof(uint64_t)) ==
               0;
}

/* NULL: no room. */
static struct hak_profile_row *add_row(struct hak_profile *profile,
                                       const struct hak_profile_sample *sample, uint64_t hash)
{
    struct hak_profile_header *header = profile->header;
    if (tables.rows == HAK_PROFILE_ROWS || sample->depth > HAK_PROFILE_FRAMES - tables.frames)
        return NULL;
    struct hak_profile_row *row = &profile->rows[tables.rows];
    row->hash = hash;
    row->first = tables.frames;
    row->depth = (uint16_t)sample->depth;
    row->heap = (uint16_t)sample->heap;
    row->shard = sample->shard;
    row->node = sample->node;
    memcpy(&profile->frames[row->first], sample->stack, sample->depth * sizeof(uint64_t));
    tables.frames += sample->depth;
    tables.rows++;
    header->frames = tables.frames;
    /* release: pairs with the acquire in count_rows; a row that is counted is whole */
    __atomic_store_n(&header->rows, tables.rows, __ATOMIC_RELEASE);
    return row;
}

static struct hak_profile_row *find_row(struct hak_profile *profile,
                                        const struct hak_profile_sample *sample)
{
    uint64_t hash = hash_stack(sample);
    for (unsigned probe = 0; probe < PROBES; probe++) {
        uint32_t *slot = &tables.row_of[(hash + probe) % SLOTS];
        if (*slot == 0) {
            struct hak_profile_row *row = add_row(profile, sample, hash);
            *slot = row != NULL ? (uint32_t)(row - profile->rows) + 1 : 0;
            return row;
        }
        if (is_row_of(profile, &profile->rows[*slot - 1], sample, hash))
            return &profile->rows[*slot - 1];
    }
    return NULL;
}

/* relaxed: each figure by itself; one writer, under the lock */
static void add_to(struct hak_profile_row *row, enum hak_profile_figure figure, uint64_t amount)
{
    __atomic_store_n(&row->figures[figure], row->figures[figure] + amount, __ATOMIC_RELAXED);
}

/* ---- samples that live ---------------------------------------------------------------------- */

struct live {
    const void *object;
    uint64_t objects; /* what it added to its row, 0: it rests; */
    uint64_t bytes;
    uint16_t row;
    uint16_t home;             /* the shard whose next sample may have its memory, 0: none */
    uint32_t next : 18;        /* in its bucket, or among the unused */
    uint32_t units : 12;       /* of 16 bytes; 0: more than fit, or nobody asks for them */
    uint32_t is_inherited : 1; /* its parent's sample: it is in no row of this process */
};

enum { UNIT = 16, UNITS_MOST = (1 << 12) - 1 };

_Static_assert(HAK_PROFILE_SAMPLES <= 1 << 18, "an entry's number fits its field");

_Static_assert(HAK_PROFILE_ROWS <= UINT16_MAX + 1, "a row's number fits its field");

static struct rest *rest_of(unsigned shard)
{
    return &tables.rests[shard % HAK_PROFILE_REST_LISTS];
}

static uint32_t *bucket_of(const void *object)
{
    uint64_t hash = (uintptr_t)object / 16 * UINT64_C(0x9E3779B97F4A7C15);
    return &tables.buckets[(hash >> 40) % BUCKETS];
}

static void *map(size_t size)
{
    void *memory = hak_os_map(size, hak_os_page_size());
    if (memory != NULL)
        hak_os_advise_sparse(memory, size);
    return memory;
}

static bool make_tables(void)
{
    if (tables.row_of == NULL)
        tables.row_of = map(SLOTS * sizeof *tables.row_of);
    if (tables.live == NULL)
        tables.live = map(HAK_PROFILE_SAMPLES * sizeof *tables.live);
    if (tables.row_of == NULL || tables.live == NULL)
        return false;
    if (tables.buckets != NULL)
        return true;
    uint32_t *buckets = map(BUCKETS * sizeof *buckets);
    /* release: pairs with the acquire in hak_profile_may_hold */
    __atomic_store_n(&tables.buckets, buckets, __ATOMIC_RELEASE);
    return buckets != NULL;
}

/* relaxed: hak_profile_has_room reads it without the lock */
static void set_unused(uint32_t entry)
{
    __atomic_store_n(&tables.unused, entry, __ATOMIC_RELAXED);
}

/* 0: no room. */
static uint32_t take_entry(void)
{
    uint32_t entry = tables.unused;
    if (entry != 0)
        set_unused(tables.live[entry].next);
    else if (tables.used + 1 < HAK_PROFILE_SAMPLES)
        __atomic_store_n(&tables.used, entry = tables.used + 1, __ATOMIC_RELAXED); /* as read */
    return entry;
}

static void put(uint32_t entry)
{
    uint32_t *bucket = bucket_of(tables.live[entry].object);
    tables.live[entry].next = *bucket;
    /* relaxed: a thread that frees the object got it, and with it this store, from us */
    __atomic_store_n(bucket, entry, __ATOMIC_RELAXED);
}

static void give_entry(uint32_t entry)
{
    tables.live[entry].next = tables.unused;
    set_unused(entry);
}

/* relaxed: a count, which reports read without the lock */
static void count_lost(const struct hak_profile *profile)
{
    __atomic_fetch_add(&profile->header->lost, 1, __ATOMIC_RELAXED);
}

bool hak_profile_has_room(const struct hak_profile *profile)
{
    /* relaxed, all: may be old; hak_profile_add looks again */
    bool has_room = __atomic_load_n(&tables.unused, __ATOMIC_RELAXED) != 0 ||
                    __atomic_load_n(&tables.used, __ATOMIC_RELAXED) + 1 < HAK_PROFILE_SAMPLES;
    if (!has_room)
        count_lost(profile);
    return has_room;
}

/* Notes what an object of the row stands for. */
static void fill(struct live *live, struct hak_profile *profile, struct hak_profile_row *row,
                 const struct hak_profile_sample *sample)
{
    live->objects = (uint64_t)(sample->scale * HAK_PROFILE_FRACTION + 0.5);
    live->bytes = (uint64_t)(sample->scale * (double)sample->size + 0.5);
    live->row = (uint16_t)(row - profile->rows);
    size_t units = (sample->size + UNIT - 1) / UNIT;
    /* Objects of heaps that the program made have no more room than others of their size. If their
     * heap ends, another thread may have the address before the sample is dropped. */
    live->units = sample->heap == 0 && units <= UNITS_MOST ? (uint32_t)units : 0;
    live->is_inherited = 0;
    live->home = sample->may_rest ? (uint16_t)sample->shard : 0;
    add_to(row, HAK_PROFILE_LIVE_OBJECTS, live->objects);
    add_to(row, HAK_PROFILE_LIVE_BYTES, live->bytes);
    add_to(row, HAK_PROFILE_TOTAL_OBJECTS, live->objects);
    add_to(row, HAK_PROFILE_TOTAL_BYTES, live->bytes);
    add_to(row, HAK_PROFILE_SAMPLED, 1);
}

void hak_profile_add(struct hak_profile *profile, const struct hak_profile_sample *sample)
{
    uint32_t entry = make_tables() ? take_entry() : 0;
    struct hak_profile_row *row = entry != 0 ? find_row(profile, sample) : NULL;
    if (row == NULL) {
        count_lost(profile);
        if (entry != 0)
            give_entry(entry);
        return;
    }
    tables.live[entry].object = sample->object;
    fill(&tables.live[entry], profile, row, sample);
    put(entry);
}

void *hak_profile_reuse(struct hak_profile *profile, const struct hak_profile_sample *sample)
{
    struct rest *rest = rest_of(sample->shard);
    if (rest->count <= HAK_PROFILE_REST_LEAST)
        return NULL;
    struct live *live = &tables.live[rest->entries[rest->first]];
    struct hak_profile_row *row = live->home == sample->shard ? find_row(profile, sample) : NULL;
    if (row == NULL)
        return NULL;
    rest->first = (rest->first + 1) % HAK_PROFILE_REST_MOST;
    rest->count--;
    fill(live, profile, row, sample);
    return (void *)(uintptr_t)live->object;
}

bool hak_profile_may_hold(const void *object)
{
    /* acquire: pairs with the release in make_tables */
    if (__atomic_load_n(&tables.buckets, __ATOMIC_ACQUIRE) == NULL)
        return false;
    return __atomic_load_n(bucket_of(object), __ATOMIC_RELAXED) != 0; /* relaxed: as stored */
}

/* The entry of an object, 0: none. */
static uint32_t find(const void *object)
{
    uint32_t entry = tables.buckets != NULL ? *bucket_of(object) : 0;
    while (entry != 0 && tables.live[entry].object != object)
        entry = tables.live[entry].next;
    return entry;
}

/* Takes an entry out of its bucket; false: it is in none. */
static bool unlink_entry(uint32_t entry)
{
    const struct live *live = &tables.live[entry];
    uint32_t *bucket = bucket_of(live->object);
    uint32_t before = *bucket;
    if (before == entry) {
        __atomic_store_n(bucket, live->next, __ATOMIC_RELAXED); /* relaxed: as in put */
        return true;
    }
    while (before != 0 && tables.live[before].next != entry)
        before = tables.live[before].next;
    if (before == 0)
        return false;
    tables.live[before].next = live->next;
    return true;
}

size_t hak_profile_small_size(const void *object)
{
    uint32_t entry = find(object);
    return entry != 0 && tables.live[entry].objects != 0 ? tables.live[entry].units * UNIT : 0;
}

uint32_t hak_profile_take(const void *object)
{
    if (tables.buckets == NULL)
        return 0;
    uint32_t entry = find(object);
    if (entry == 0 || tables.live[entry].objects == 0)
        return 0;
    unlink_entry(entry);
    return entry;
}

void hak_profile_put_back(uint32_t sample)
{
    put(sample);
}

static void take_off(struct hak_profile *profile, const struct live *live)
{
    if (live->is_inherited)
        return;
    struct hak_profile_row *row = &profile->rows[live->row];
    add_to(row, HAK_PROFILE_LIVE_OBJECTS, -live->objects);
    add_to(row, HAK_PROFILE_LIVE_BYTES, -live->bytes);
}

void hak_profile_drop(struct hak_profile *profile, uint32_t sample)
{
    take_off(profile, &tables.live[sample]);
    tables.live[sample].object = NULL;
    give_entry(sample);
}

void hak_profile_drop_heap(struct hak_profile *profile, unsigned heap)
{
    for (uint32_t entry = 1; tables.live != NULL && entry <= tables.used; entry++) {
        const struct live *live = &tables.live[entry];
        if (live->object == NULL || live->objects == 0 || live->is_inherited ||
            profile->rows[live->row].heap != heap)
            continue;
        /* What is taken out a thread is about to drop. */
        if (unlink_entry(entry))
            hak_profile_drop(profile, entry);
    }
}

enum hak_profile_freed hak_profile_remove(struct hak_profile *profile, const void *object)
{
    uint32_t entry = find(object);
    struct live *live = &tables.live[entry];
    if (entry == 0)
        return HAK_PROFILE_OF_HEAP;
    if (live->objects == 0)
        return HAK_PROFILE_RESTED;
    struct rest *rest = rest_of(live->home);
    if (live->home == 0 || rest->count == HAK_PROFILE_REST_MOST) {
        hak_profile_drop(profile, hak_profile_take(object));
        return HAK_PROFILE_OF_HEAP;
    }
    take_off(profile, live);
    live->objects = 0;
    rest->entries[(rest->first + rest->count++) % HAK_PROFILE_REST_MOST] = entry;
    return HAK_PROFILE_RESTS;
}

static void clear(void *memory, size_t size)
{
    if (memory != NULL && hak_os_purge(memory, size, HAK_PURGE_NOW) != 0)
        memset(memory, 0, size);
}

static void forget_rows(void)
{
    clear(tables.row_of, SLOTS * sizeof *tables.row_of);
    tables.rows = 0;
    tables.frames = 0;
}

/* What has no units is known for its row alone; what rests is in no row. What another thread has
 * taken out never comes back, but that cannot be told from what the caller has. */
void hak_profile_inherit(void)
{
    for (uint32_t entry = 1; tables.live != NULL && entry <= tables.used; entry++) {
        struct live *live = &tables.live[entry];
        if (live->object == NULL || live->objects == 0 || live->is_inherited)
            continue;
        live->is_inherited = 1;
        if (live->units == 0 && unlink_entry(entry))
            hak_profile_drop(NULL, entry);
    }
    forget_rows();
}

/* They stay mapped: a handler that forks may have interrupted a look into them. */
void hak_profile_forget(void)
{
    forget_rows();
    clear(tables.live, HAK_PROFILE_SAMPLES * sizeof *tables.live);
    clear(tables.buckets, BUCKETS * sizeof *tables.buckets);
    memset(tables.rests, 0, sizeof tables.rests);
    tables.used = 0;
    tables.unused = 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* These tables may belong to another process, which may write anything at any time: each number is
 * read once and checked against its bounds. */
static uint32_t count_rows(const struct hak_profile *profile)
{
    /* acquire: pairs with the release in add_row */
    uint32_t rows = __atomic_load_n(&profile->header->rows, __ATOMIC_ACQUIRE);
    return rows < HAK_PROFILE_ROWS ? rows : HAK_PROFILE_ROWS;
}

const char *hak_profile_check(struct hak_profile *profile, const void *memory, size_t size)
{
    *profile = lay_out((void *)(uintptr_t)memory);
    if (size < ROWS_AT)
        return "it is too short";
    if (memcmp(profile->header->magic, magic, sizeof magic) != 0)
        return "it is no profile of hakmem";
    if (profile->header->version != HAK_PROFILE_VERSION)
        return "it was made by another version of hakmem";
    if (profile->header->size != hak_profile_size() || size < hak_profile_size())
        return "its size is wrong";
    return NULL;
}

uint64_t hak_profile_figure(const struct hak_profile_row *row, enum hak_profile_figure figure)
{
    uint64_t value = __atomic_load_n(&row->figures[figure], __ATOMIC_RELAXED); /* as written */
    bool is_fraction = figure == HAK_PROFILE_LIVE_OBJECTS || figure == HAK_PROFILE_TOTAL_OBJECTS;
    return is_fraction ? (value + HAK_PROFILE_FRACTION / 2) / HAK_PROFILE_FRACTION : value;
}

const struct hak_profile_row *hak_profile_next(const struct hak_profile *profile,
                                               const struct hak_profile_row *last)
{
    const struct hak_profile_row *best = NULL;
    uint64_t most = 0;
    uint64_t limit = last != NULL ? hak_profile_figure(last, HAK_PROFILE_LIVE_BYTES) : UINT64_MAX;
    uint32_t rows = count_rows(profile);
    for (uint32_t i = 0; i < rows; i++) {
        const struct hak_profile_row *row = &profile->rows[i];
        uint64_t bytes = hak_profile_figure(row, HAK_PROFILE_LIVE_BYTES);
        bool is_after = bytes < limit || (bytes == limit && last != NULL && row > last);
        if (is_after && bytes > most) {
            most = bytes;
            best = row;
        }
    }
    return best;
}

static void put_figures(struct hak_writer *writer, const uint64_t *figures)
{
    hak_put(writer, "%lu: %lu [%lu: %lu] @", (unsigned long)figures[HAK_PROFILE_LIVE_OBJECTS],
            (unsigned long)figures[HAK_PROFILE_LIVE_BYTES],
            (unsigned long)figures[HAK_PROFILE_TOTAL_OBJECTS],
            (unsigned long)figures[HAK_PROFILE_TOTAL_BYTES]);
}

static void read_figures(const struct hak_profile_row *row, uint64_t *figures)
{
    for (unsigned figure = 0; figure < HAK_PROFILE_FIGURES; figure++)
        figures[figure] = hak_profile_figure(row, figure);
}

/* Readers of the format skip what begins with '#'. */
static void put_row(struct hak_writer *writer, const struct hak_profile *profile,
                    const struct hak_profile_row *row)
{
    uint64_t figures[HAK_PROFILE_FIGURES];
    uint32_t first = row->first;
    uint32_t depth = row->depth;
    read_figures(row, figures);
    if (depth > HAK_PROFILE_DEPTH_MAX || first > HAK_PROFILE_FRAMES - depth)
        return;
    hak_put(writer, "# shard %u node %d sampled %lu", row->shard, row->node,
            (unsigned long)figures[HAK_PROFILE_SAMPLED]);
    if (row->heap != 0)
        hak_put(writer, " heap %u", row->heap);
    hak_put_text(writer, "\n");
    put_figures(writer, figures);
    for (uint32_t i = 0; i < depth; i++)
        hak_put(writer, " 0x%lx", (unsigned long)profile->frames[first + i]);
    hak_put_text(writer, "\n");
}

static void put_mappings(struct hak_writer *writer, int maps)
{
    char text[2048];
    long length;
    hak_put_text(writer, "\nMAPPED_LIBRARIES:\n");
    while (maps >= 0 && (length = hak_os_read_on(maps, text, sizeof text)) > 0)
        hak_put_bytes(writer, text, (size_t)length);
}

void hak_profile_write(const struct hak_profile *profile, int maps, struct hak_writer *writer)
{
    uint64_t sums[HAK_PROFILE_FIGURES] = {0};
    uint32_t rows = profile->header != NULL ? count_rows(profile) : 0;
    for (uint32_t i = 0; i < rows; i++)
        for (unsigned figure = 0; figure < HAK_PROFILE_FIGURES; figure++)
            sums[figure] += hak_profile_figure(&profile->rows[i], figure);
    hak_put_text(writer, "heap profile: ");
    put_figures(writer, sums);
    /* Not "heap_v2": the figures are estimates already, which the reader must not scale. */
    hak_put_text(writer, " heapprofile\n");
    if (profile->header != NULL)
        hak_put(writer, "# hakmem: one sample in %lu bytes, %lu samples, %lu lost\n",
                (unsigned long)profile->header->rate, (unsigned long)sums[HAK_PROFILE_SAMPLED],
                /* relaxed: as counted */
                (unsigned long)__atomic_load_n(&profile->header->lost, __ATOMIC_RELAXED));
    for (uint32_t i = 0; i < rows; i++)
        put_row(writer, profile, &profile->rows[i]);
    put_mappings(writer, maps);
    hak_writer_flush(writer);
}
