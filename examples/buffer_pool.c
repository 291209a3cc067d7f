/* SPDX-License-Identifier: MIT */
/* A buffer pool as a database has it: pages of 8 KiB, found by a hash table, replaced by a clock
 * sweep, partitioned by node. Each partition is a heap on its node (docs/heaps.md): its frames and
 * its table are local to the threads that use it, are not in core dumps, cannot grow beyond a limit,
 * and go at once.
 *
 *     buffer_pool [--mib POOL] [--threads N] [--rounds N]
 *
 * compares it with the same pool in one piece from malloc: look-ups by threads that mostly want pages
 * of their own node's partition, with a scan among them now and then, and where frames lie. Each page
 * is checked when it is read, so it is a test, too: status 1 if one was wrong. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hakmem.h"

enum {
    PAGE = 8192,
    NODES_MOST = 64,
    THREADS_MOST = 64,
    USE_MOST = 5,       /* turns of the clock that a page of much use survives */
    REMOTE_ONE_IN = 20, /* look-ups in another node's partition */
    SCAN_ONE_IN = 5000, /* look-ups that read many pages in a row */
    SCAN_PAGES = 500,
};

/* ------------------------------------------------------------------ a partition */

struct frame {
    uint64_t page; /* number of the page in it, 0: none */
    unsigned pins; /* who reads it now; as all, under the partition's lock */
    unsigned use;
    struct frame *next; /* in its bucket */
    char *bytes;
};

struct partition {
    pthread_mutex_t lock;
    struct hakmem_heap *heap; /* NULL: from malloc */
    struct frame *frames;
    struct frame **buckets;
    size_t count; /* of frames, and of buckets */
    size_t hand;  /* of the clock */
    uint64_t hits;
    uint64_t misses;
};

static void *take(struct partition *partition, size_t alignment, size_t size)
{
    void *memory = partition->heap != NULL
                       ? hakmem_heap_aligned_alloc(partition->heap, alignment, size)
                       : aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory == NULL) {
        fprintf(stderr, "buffer_pool: no memory\n");
        exit(1);
    }
    return memory;
}

/* A heap on one node; where there is one only, or the kernel binds nothing, anywhere. The limit is
 * the frames, and an eighth for headers and the table. */
static struct hakmem_heap *heap_on(int node, size_t bytes)
{
    struct hakmem_heap_options options = {.size = sizeof options};
    options.placement = HAKMEM_HEAP_PREFER;
    options.nodes = UINT64_C(1) << node;
    options.flags = HAKMEM_HEAP_NO_DUMP;
    options.limit = bytes + bytes / 8 + ((size_t)16 << 20);
    struct hakmem_heap *heap = hakmem_heap_create(&options);
    if (heap != NULL)
        return heap;
    options.placement = HAKMEM_HEAP_LOCAL; /* an imagined machine, say */
    options.nodes = 0;
    return hakmem_heap_create(&options);
}

static void build(struct partition *partition, size_t frames, struct hakmem_heap *heap)
{
    memset(partition, 0, sizeof *partition);
    pthread_mutex_init(&partition->lock, NULL);
    partition->heap = heap;
    partition->count = frames;
    partition->frames = take(partition, 64, frames * sizeof(struct frame));
    partition->buckets = take(partition, 64, frames * sizeof(struct frame *));
    memset(partition->frames, 0, frames * sizeof(struct frame));
    memset(partition->buckets, 0, frames * sizeof(struct frame *));
    for (size_t i = 0; i < frames; i++)
        partition->frames[i].bytes = take(partition, PAGE, PAGE);
}

/* A heap goes in one call; what came from malloc piece by piece. */
static void end(struct partition *partition)
{
    if (partition->heap != NULL) {
        hakmem_heap_destroy(partition->heap);
        return;
    }
    for (size_t i = 0; i < partition->count; i++)
        free(partition->frames[i].bytes);
    free(partition->buckets);
    free(partition->frames);
}

static struct frame **bucket_of(struct partition *partition, uint64_t page)
{
    return &partition->buckets[(page * UINT64_C(0x9E3779B97F4A7C15) >> 20) % partition->count];
}

static struct frame *find(struct partition *partition, uint64_t page)
{
    struct frame *frame = *bucket_of(partition, page);
    while (frame != NULL && frame->page != page)
        frame = frame->next;
    return frame;
}

static void forget(struct partition *partition, struct frame *frame)
{
    struct frame **link = bucket_of(partition, frame->page);
    while (*link != frame)
        link = &(*link)->next;
    *link = frame->next;
}

/* The clock sweep: a page loses one of its uses at each turn, and goes when it has none left. */
static struct frame *victim(struct partition *partition)
{
    for (;;) {
        struct frame *frame = &partition->frames[partition->hand++ % partition->count];
        if (frame->pins != 0)
            continue;
        if (frame->use == 0)
            return frame;
        frame->use--;
    }
}

/* What the disk would give: each page's words tell its number. */
static void read_page(struct frame *frame, uint64_t page)
{
    for (size_t word = 0; word < PAGE / sizeof page; word += 64)
        ((uint64_t *)frame->bytes)[word] = page + word;
}

static struct frame *pin(struct partition *partition, uint64_t page)
{
    pthread_mutex_lock(&partition->lock);
    struct frame *frame = find(partition, page);
    if (frame != NULL) {
        partition->hits++;
    } else {
        partition->misses++;
        frame = victim(partition);
        if (frame->page != 0)
            forget(partition, frame);
        struct frame **bucket = bucket_of(partition, page);
        frame->page = page;
        frame->next = *bucket;
        *bucket = frame;
        read_page(frame, page);
    }
    frame->pins++;
    if (frame->use < USE_MOST)
        frame->use++;
    pthread_mutex_unlock(&partition->lock);
    return frame;
}

static void unpin(struct partition *partition, struct frame *frame)
{
    pthread_mutex_lock(&partition->lock);
    frame->pins--;
    pthread_mutex_unlock(&partition->lock);
}

/* ------------------------------------------------------------------ threads */

struct pool {
    struct partition partitions[NODES_MOST];
    unsigned count;
    uint64_t pages; /* of the database, for each partition: as many again as frames */
    unsigned rounds;
    bool is_wrong;
};

struct reader {
    pthread_t thread;
    struct pool *pool;
    unsigned home;  /* its partition */
    unsigned shard; /* whose CPUs it runs on */
    uint64_t seed;
};

static uint64_t next_number(struct reader *reader)
{
    reader->seed = reader->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return reader->seed >> 33;
}

static void look_up(struct reader *reader, unsigned partition, uint64_t page)
{
    struct pool *pool = reader->pool;
    struct partition *at = &pool->partitions[partition];
    struct frame *frame = pin(at, page);
    const uint64_t *words = (const uint64_t *)frame->bytes;
    for (size_t word = 0; word < PAGE / sizeof page; word += 64)
        if (words[word] != page + word)
            __atomic_store_n(&pool->is_wrong, true, __ATOMIC_RELAXED);
    unpin(at, frame);
}

static void *read_pages(void *argument)
{
    struct reader *reader = argument;
    struct pool *pool = reader->pool;
    for (unsigned round = 0; round < pool->rounds; round++) {
        unsigned partition = reader->home;
        if (next_number(reader) % REMOTE_ONE_IN == 0)
            partition = (unsigned)(next_number(reader) % pool->count);
        /* The lower of two: some pages are wanted more than others. */
        uint64_t page = next_number(reader) % pool->pages;
        uint64_t other = next_number(reader) % pool->pages;
        page = (page < other ? page : other) + 1;
        look_up(reader, partition, page);
        for (unsigned i = 0; round % SCAN_ONE_IN == SCAN_ONE_IN - 1 && i < SCAN_PAGES; i++)
            look_up(reader, partition, (page + i) % pool->pages + 1);
    }
    return NULL;
}

/* The CPUs of a shard of the default heap, which stands on one node. */
static void run_on_shard(unsigned shard)
{
    struct hakmem_shard_info info;
    cpu_set_t cpus;
    if (hakmem_shard_info(shard, &info, sizeof info) != 0 || info.cpus == 0)
        return;
    CPU_ZERO(&cpus);
    for (char *list = info.cpu_list; *list != '\0';) {
        unsigned long first = strtoul(list, &list, 10), last = first;
        if (*list == '-')
            last = strtoul(list + 1, &list, 10);
        for (; first <= last && first < CPU_SETSIZE; first++)
            CPU_SET(first, &cpus);
        list += *list == ',';
    }
    sched_setaffinity(0, sizeof cpus, &cpus);
}

static void *run_reader(void *argument)
{
    struct reader *reader = argument;
    run_on_shard(reader->shard);
    return read_pages(reader);
}

/* ------------------------------------------------------------------ both pools */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Frames whose memory lies on the node, in per cent; -1: the kernel does not tell. */
static int local_per_cent(const struct partition *partition, int node)
{
    size_t local = 0;
    for (size_t i = 0; i < partition->count; i++) {
        int lies_on = hakmem_node_resident(partition->frames[i].bytes);
        if (lies_on < 0 && partition->frames[i].page != 0)
            return -1;
        local += lies_on == node || partition->frames[i].page == 0;
    }
    return (int)(local * 100 / partition->count);
}

/* The nodes that shards stand on, and a shard of each. */
static unsigned find_nodes(int *nodes, unsigned *shards)
{
    unsigned count = 0;
    for (unsigned shard = 0; shard < hakmem_shard_count(); shard++) {
        struct hakmem_shard_info info;
        if (hakmem_shard_info(shard, &info, sizeof info) != 0)
            continue;
        int node = info.node >= 0 ? info.node : 0;
        unsigned known = 0;
        while (known < count && nodes[known] != node)
            known++;
        if (known == count && count < NODES_MOST && node < NODES_MOST) {
            shards[count] = shard;
            nodes[count++] = node;
        }
    }
    return count;
}

static void run(struct pool *pool, const char *name, unsigned threads, const int *nodes,
                const unsigned *shards, unsigned node_count)
{
    struct reader readers[THREADS_MOST];
    double began = seconds();
    for (unsigned i = 0; i < threads; i++) {
        readers[i] = (struct reader){
            .pool = pool, .home = i % pool->count, .shard = shards[i % node_count], .seed = i + 1};
        if (pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(readers[i].thread, NULL);
    double took = seconds() - began;
    uint64_t hits = 0, misses = 0;
    int local = 100;
    for (unsigned i = 0; i < pool->count; i++) {
        int part = local_per_cent(&pool->partitions[i], nodes[i]);
        hits += pool->partitions[i].hits;
        misses += pool->partitions[i].misses;
        local = part < local ? part : local;
    }
    printf("%-22s %7.2f M look-ups/s, %2.0f %% hits, local: ", name,
           (double)(hits + misses) / took / 1e6, 100.0 * (double)hits / (double)(hits + misses));
    if (local < 0)
        printf("not told\n");
    else
        printf("%d %% of the worst partition\n", local);
}

static size_t number_after(int argc, char **argv, const char *option, size_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return strtoul(argv[i + 1], NULL, 10);
    return otherwise;
}

int main(int argc, char **argv)
{
    static struct pool local, plain;
    int nodes[NODES_MOST];
    unsigned shards[NODES_MOST];
    size_t frames = (number_after(argc, argv, "--mib", 64) << 20) / PAGE;
    unsigned threads = (unsigned)number_after(argc, argv, "--threads", 2);
    unsigned rounds = (unsigned)number_after(argc, argv, "--rounds", 300000);
    unsigned count = find_nodes(nodes, shards);
    if (count == 0 || threads == 0 || threads > THREADS_MOST || frames / count < 1000) {
        fprintf(stderr, "usage: buffer_pool [--mib POOL] [--threads N] [--rounds N]\n");
        return 2;
    }
    printf("%u partition(s) of %zu pages\n", count, frames / count);
    for (unsigned i = 0; i < count; i++) {
        build(&local.partitions[i], frames / count, heap_on(nodes[i], frames / count * PAGE));
        build(&plain.partitions[i], frames / count, NULL);
    }
    local.count = plain.count = count;
    local.pages = plain.pages = frames / count * 2;
    local.rounds = plain.rounds = rounds;
    run(&plain, "malloc", threads, nodes, shards, count);
    run(&local, "heaps", threads, nodes, shards, count);
    double began = seconds();
    for (unsigned i = 0; i < count; i++)
        end(&plain.partitions[i]);
    double middle = seconds();
    for (unsigned i = 0; i < count; i++)
        end(&local.partitions[i]);
    printf("freed in %.2f ms (malloc), %.2f ms (heaps)\n", (middle - began) * 1e3,
           (seconds() - middle) * 1e3);
    return local.is_wrong || plain.is_wrong;
}
