/* SPDX-License-Identifier: MIT */
/* Published pages: their layout, and the checks of a page that may come from anybody. */
#include "stats/published.h"

static const char magic[8] = {'h', 'a', 'k', 'p', 'a', 'g', 'e', '\n'};

enum {
    TRIES = 64, /* to find a part that nobody is writing */
    ALIGNMENT = 4096,
    PAGE_BYTES = 64 * 1024,
};

static const char too_short[] = "the page is truncated";

/* ---- layout ---------------------------------------------------------------------------------- */

static uint64_t sheet_offset(void)
{
    return ALIGNMENT;
}

static uint64_t regions_offset(uint64_t shard_room)
{
    uint64_t end = sheet_offset() + hak_sheet_size(shard_room);
    return (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint64_t size_for(uint64_t shard_room)
{
    uint64_t end = regions_offset(shard_room) + sizeof(struct hak_published_regions);
    return (end + 64 * 1024 - 1) / (64 * 1024) * (64 * 1024); /* of the largest page size */
}

size_t hak_published_size(void)
{
    return size_for(HAK_PUBLISHED_SHARDS);
}

struct hak_sheet *hak_published_sheet(struct hak_published_head *page)
{
    return (struct hak_sheet *)((char *)page + sheet_offset());
}

struct hak_published_regions *hak_published_regions_of(struct hak_published_head *page)
{
    return (struct hak_published_regions *)((char *)page + regions_offset(HAK_PUBLISHED_SHARDS));
}

/* FNV-1a. */
static uint32_t hash(uint32_t hash, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        hash = (hash ^ (unsigned char)*bytes) * 16777619;
    return hash;
}

static uint32_t hash_names(uint32_t sum, const struct hak_counter_info *infos, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sum = hash(hash(sum, infos[i].name), ",");
    return sum;
}

uint32_t hak_published_layout(void)
{
    uint32_t sum = 2166136261u;
    sum = hash_names(sum, hak_counter_infos, HAK_COUNTER_COUNT);
    sum = hash_names(sum, hak_figure_infos, HAK_FIGURE_COUNT);
    sum = hash_names(sum, hak_class_figure_infos, HAK_CLASS_FIGURE_COUNT);
    sum = hash_names(sum, hak_process_figure_infos, HAK_PROCESS_FIGURE_COUNT);
    sum ^= (uint32_t)sizeof(struct hak_sheet_shard) * 31;
    sum ^= (uint32_t)sizeof(struct hak_sheet_head) * 1009;
    return sum ^ (uint32_t)sizeof(struct hak_published_region) * 100003;
}

void hak_published_begin(struct hak_published_head *page)
{
    for (unsigned i = 0; i < sizeof magic; i++)
        page->magic[i] = magic[i];
    page->version = HAK_PUBLISHED_VERSION;
    page->layout = hak_published_layout();
    page->size = hak_published_size();
    page->shard_room = HAK_PUBLISHED_SHARDS;
    page->region_room = HAK_PUBLISHED_REGIONS;
}

/* ---- copying --------------------------------------------------------------------------------- */

static bool get(const struct hak_published_source *source, void *bytes, size_t size,
                uint64_t offset)
{
    return source->read(source->context, bytes, size, offset) == (long)size;
}

/* Copies a part that begins with its sequence, at a time when nobody writes it. False: a part of it
 * could not be read. */
static bool copy_part(const struct hak_published_source *source, void *bytes, size_t size,
                      uint64_t offset, bool *is_torn)
{
    const uint64_t *sequence = bytes;
    uint64_t after;
    for (unsigned try = 0; try < TRIES; try++) {
        if (!get(source, bytes, size, offset))
            return false;
        /* acquire: the kernel copies in order; pairs with the fence in hak_sheet_begin */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!get(source, &after, sizeof after, offset))
            return false;
        if (*sequence == after && after % 2 == 0)
            return true;
    }
    *is_torn = true;
    return true;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* Ends the text, and removes all bytes that a terminal obeys. */
static void clean(char *text, size_t size)
{
    size_t length = 0;
    for (; length + 1 < size && text[length] != '\0'; length++)
        if (text[length] < ' ' || text[length] > '~')
            text[length] = '?';
    for (; length < size; length++)
        text[length] = '\0';
}

/* Prometheus' labels are made of these. */
static bool is_word(const char *name)
{
    for (const char *at = name; *at != '\0'; at++)
        if (!((*at >= 'a' && *at <= 'z') || *at == '_'))
            return false;
    return true;
}

static const char *check_head(struct hak_sheet_head *head)
{
    if (head->class_count > HAK_SHEET_CLASSES || head->key_count > HAK_SHEET_KEYS ||
        head->arm_count > HAK_SHEET_ARMS || head->state_count > HAK_SHEET_STATES ||
        head->shard_count > HAK_PUBLISHED_SHARDS)
        return "the page has counts that are out of bounds";
    clean(head->title, sizeof head->title);
    for (unsigned i = 0; i < HAK_SHEET_FACTS; i++) {
        clean(head->facts[i].name, HAK_SHEET_NAME);
        clean(head->facts[i].text, HAK_SHEET_TEXT);
        if (!is_word(head->facts[i].name))
            return "the page has a fact whose name is none";
    }
    for (unsigned i = 0; i < HAK_SHEET_KEYS; i++)
        clean(head->keys[i], HAK_SHEET_NAME);
    for (unsigned i = 0; i < HAK_SHEET_ARMS; i++)
        clean(head->arms[i], HAK_SHEET_NAME);
    for (unsigned i = 0; i < HAK_SHEET_STATES; i++)
        clean(head->states[i], HAK_SHEET_NAME);
    return NULL;
}

static const char *check_shard(struct hak_sheet_shard *shard, size_t index)
{
    if (shard->id != index + 1)
        return "the page has a shard of another number";
    if (shard->node < -1)
        return "the page has a node that is none";
    for (unsigned i = 0; i <= HAK_TRAFFIC_PEERS; i++)
        if (shard->traffic.peers[i].id >= HAK_SHEET_SHARDS)
            return "the page has traffic with a shard that is none";
    clean(shard->cpus, sizeof shard->cpus);
    return NULL;
}

static const char *check_regions(struct hak_published_regions *regions, size_t shards)
{
    if (regions->count > HAK_PUBLISHED_REGIONS)
        return "the page has more regions than room";
    for (uint64_t i = 0; i < regions->count; i++) {
        struct hak_published_region *region = &regions->region[i];
        if (region->shard == 0 || region->shard > shards || region->node < -1)
            return "the page has a region of no shard";
        for (unsigned page = 0; page < HAK_PUBLISHED_PAGES; page++)
            if (region->used[page] > 100)
                return "the page has a slab that is more than full";
    }
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

const char *hak_published_open(const struct hak_published_source *source, size_t *shards)
{
    struct hak_published_head page;
    struct hak_sheet_head head;
    bool is_torn = false;
    *shards = 0;
    if (!get(source, &page, sizeof page, 0))
        return too_short;
    for (unsigned i = 0; i < sizeof magic; i++)
        if (page.magic[i] != magic[i])
            return "it is no page of this library's";
    if (page.version != HAK_PUBLISHED_VERSION)
        return page.version < HAK_PUBLISHED_VERSION
                   ? "the page is of an older library: use its own hakmem"
                   : "the page is of a newer library: use its own hakmem";
    if (page.layout != hak_published_layout())
        return "the page is of another build of the library: use its own hakmem";
    if (page.size != hak_published_size() || page.shard_room != HAK_PUBLISHED_SHARDS ||
        page.region_room != HAK_PUBLISHED_REGIONS)
        return "the page has another size than it must";
    if (!copy_part(source, &head, sizeof head, sheet_offset(), &is_torn))
        return too_short;
    const char *wrong = check_head(&head);
    if (wrong == NULL)
        *shards = head.shard_count;
    return wrong;
}

static const char *read_shards(const struct hak_published_source *source,
                               struct hak_published_copy *copy)
{
    for (size_t i = 0; i < copy->shards; i++) {
        struct hak_sheet_shard *shard = &copy->sheet->shards[i];
        uint64_t offset = sheet_offset() + sizeof(struct hak_sheet) + i * sizeof *shard;
        if (!copy_part(source, shard, sizeof *shard, offset, &copy->is_torn))
            return too_short;
        const char *wrong = check_shard(shard, i);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

const char *hak_published_read(const struct hak_published_source *source,
                               struct hak_published_copy *copy)
{
    struct hak_sheet_head *head = &copy->sheet->head;
    copy->is_torn = false;
    if (!copy_part(source, head, sizeof *head, sheet_offset(), &copy->is_torn))
        return too_short;
    const char *wrong = check_head(head);
    if (wrong != NULL)
        return wrong;
    /* Shards that came since the page was opened are left out. */
    if (head->shard_count > copy->shards)
        head->shard_count = (uint32_t)copy->shards;
    copy->shards = head->shard_count;
    wrong = read_shards(source, copy);
    if (wrong != NULL || copy->regions == NULL)
        return wrong;
    if (!get(source, copy->regions, sizeof *copy->regions, regions_offset(HAK_PUBLISHED_SHARDS)))
        return too_short;
    return check_regions(copy->regions, copy->shards);
}

/* ---- regions as JSON ------------------------------------------------------------------------- */

static unsigned bits_in(uint32_t word)
{
    return (unsigned)__builtin_popcount(word & ~UINT32_C(1));
}

static void put_slabs(struct hak_writer *writer, const struct hak_sheet_head *head,
                      const struct hak_published_region *region)
{
    const char *comma = "";
    for (unsigned page = 1; page < HAK_PUBLISHED_PAGES;) {
        unsigned class_id = region->class_id[page];
        unsigned pages = 1;
        if (class_id != 0 && class_id < head->class_count) {
            pages = head->classes[class_id].slab_bytes / PAGE_BYTES;
            if (pages == 0 || pages > HAK_PUBLISHED_PAGES - page)
                pages = 1;
            hak_put(writer, "%s{\"page\":%u,\"pages\":%u,\"class\":%u,\"used\":%u}", comma, page,
                    pages, class_id, region->used[page]);
            comma = ",";
        }
        page += pages;
    }
}

static bool is_seen_before(const struct hak_published_regions *regions, uint64_t index)
{
    for (uint64_t i = 0; i < index; i++)
        if (regions->region[i].address == regions->region[index].address)
            return true;
    return false;
}

void hak_published_put_regions(struct hak_writer *writer, const struct hak_sheet_head *head,
                               const struct hak_published_regions *regions)
{
    const char *comma = "";
    hak_put_text(writer, "\"regions\":[");
    for (uint64_t i = 0; i < regions->count; i++) {
        const struct hak_published_region *region = &regions->region[i];
        if (is_seen_before(regions, i))
            continue;
        hak_put(writer, "%s{\"address\":\"0x%lx\",\"shard\":%u,\"node\":%d,", comma,
                (unsigned long)region->address, region->shard - 1, region->node);
        hak_put(writer, "\"free\":%u,\"dirty\":%u,\"slabs\":[", bits_in(region->free_pages),
                bits_in(region->dirty_pages));
        put_slabs(writer, head, region);
        hak_put_text(writer, "]}");
        comma = ",";
    }
    hak_put_text(writer, "]");
}
