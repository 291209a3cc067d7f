/* SPDX-License-Identifier: MIT */
/*
 * Records the large calls of a program, for learn_work trace:FILE.
 *
 *     LEARN_RECORD=/tmp/name LD_PRELOAD=/path/learn_record.so PROGRAM    writes /tmp/name.PID
 *
 * A call of LEARN_RECORD_MIN bytes or more (32 KiB) is a line: see trace.c. A realloc that crosses
 * that size is an `a` or an `f`. What a process does after a fork without an exec is not recorded.
 *
 * Threads: any. One lock guards the table, the buffer and the file; calls are written in the order
 * in which it was taken.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    EARLY_BYTES = 64 << 10, /* served before the real functions are known: dlsym allocates */
    TABLE_SLOTS = 1 << 16,  /* large objects at a time; more are not recorded */
    TEXT_BYTES = 64 << 10,
    LINE_MAX_BYTES = 80,
    PATH_BYTES = 4096,
};

struct entry {
    uintptr_t address; /* 0: never used; 1: was removed */
    uint32_t number;
};

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void (*real_free)(void *);

static _Alignas(16) unsigned char early[EARLY_BYTES];
static size_t early_used;

/* All below: under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry table[TABLE_SLOTS];
static uint32_t spare[TABLE_SLOTS]; /* numbers that are free again */
static uint32_t spare_count;
static uint32_t next_number;
static char text[TEXT_BYTES];
static size_t text_used;
static char path[PATH_BYTES];
static uint64_t start_us;
static size_t smallest = 32 << 10;
static bool on;

static void find_real(void)
{
    static bool finding;
    if (real_malloc != NULL || finding)
        return;
    finding = true;
    void *found[] = {dlsym(RTLD_NEXT, "calloc"), dlsym(RTLD_NEXT, "realloc"),
                     dlsym(RTLD_NEXT, "aligned_alloc"), dlsym(RTLD_NEXT, "free"),
                     dlsym(RTLD_NEXT, "malloc")};
    memcpy(&real_calloc, &found[0], sizeof real_calloc);
    memcpy(&real_realloc, &found[1], sizeof real_realloc);
    memcpy(&real_aligned_alloc, &found[2], sizeof real_aligned_alloc);
    memcpy(&real_free, &found[3], sizeof real_free);
    memcpy(&real_malloc, &found[4], sizeof real_malloc);
}

/* Zeroed, never reused; the first word before it holds its size. */
static void *take_early(size_t size)
{
    size_t at = early_used + 16;
    size = (size + 15) & ~(size_t)15;
    if (size > EARLY_BYTES - at)
        abort();
    memcpy(early + early_used, &size, sizeof size);
    early_used = at + size;
    return early + at;
}

static bool is_early(const void *memory)
{
    const unsigned char *at = memory;
    return at >= early && at < early + EARLY_BYTES;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

/* Opened again each time: the program may close files that it does not know. */
static void flush_text(void)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    for (size_t done = 0; file >= 0 && done < text_used;) {
        ssize_t length = write(file, text + done, text_used - done);
        if (length <= 0)
            break;
        done += (size_t)length;
    }
    if (file >= 0)
        close(file);
    text_used = 0;
}

static void write_line(char kind, uint32_t number, size_t size)
{
    unsigned long long when = now_us() - start_us;
    int length = kind == 'f'
                     ? snprintf(text + text_used, LINE_MAX_BYTES, "%llu f %u\n", when, number)
                     : snprintf(text + text_used, LINE_MAX_BYTES, "%llu %c %u %zu\n", when, kind,
                                number, size);
    text_used += (size_t)length;
    if (text_used > TEXT_BYTES - LINE_MAX_BYTES)
        flush_text();
}

static struct entry *find_entry(uintptr_t address)
{
    size_t at = (size_t)((address >> 4) * 0x9e3779b97f4a7c15u >> 48);
    for (size_t tried = 0; tried < TABLE_SLOTS; tried++, at = (at + 1) % TABLE_SLOTS)
        if (table[at].address == address)
            return &table[at];
        else if (table[at].address == 0)
            return NULL;
    return NULL;
}

/* A hole before the end of a chain is none: without that, chains of holes would only grow. */
static void remove_entry(struct entry *entry)
{
    size_t at = (size_t)(entry - table);
    entry->address = 1;
    if (table[(at + 1) % TABLE_SLOTS].address != 0)
        return;
    for (; table[at].address == 1; at = (at + TABLE_SLOTS - 1) % TABLE_SLOTS)
        table[at].address = 0;
}

static bool insert(uintptr_t address, uint32_t number)
{
    size_t at = (size_t)((address >> 4) * 0x9e3779b97f4a7c15u >> 48);
    for (size_t tried = 0; tried < TABLE_SLOTS; tried++, at = (at + 1) % TABLE_SLOTS) {
        if (table[at].address > 1)
            continue;
        table[at] = (struct entry){address, number};
        return true;
    }
    return false;
}

static void note_taken(void *memory, size_t size)
{
    if (memory == NULL || size < smallest || !on)
        return;
    int saved = errno;
    pthread_mutex_lock(&lock);
    uint32_t number = spare_count != 0 ? spare[spare_count - 1] : next_number;
    if (number < TABLE_SLOTS && insert((uintptr_t)memory, number)) {
        if (spare_count != 0)
            spare_count--;
        else
            next_number++;
        write_line('a', number, size);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
}

/* Before it is freed: afterwards its address may be another thread's. */
static void note_given(void *memory)
{
    if (!on)
        return;
    pthread_mutex_lock(&lock);
    struct entry *entry = find_entry((uintptr_t)memory);
    if (entry != NULL) {
        remove_entry(entry);
        spare[spare_count++] = entry->number;
        write_line('f', entry->number, 0);
    }
    pthread_mutex_unlock(&lock);
}

/* Takes the entry out while the object moves. UINT32_MAX: it has none. */
static uint32_t lift(void *memory)
{
    uint32_t number = UINT32_MAX;
    pthread_mutex_lock(&lock);
    struct entry *entry = on ? find_entry((uintptr_t)memory) : NULL;
    if (entry != NULL) {
        number = entry->number;
        remove_entry(entry);
    }
    pthread_mutex_unlock(&lock);
    return number;
}

/* The new address of an object that was lifted, and how it is written down. */
static void put_down(void *memory, uint32_t number, size_t size, char kind)
{
    int saved = errno;
    pthread_mutex_lock(&lock);
    bool stays = kind != 'f' && insert((uintptr_t)memory, number);
    if (!stays)
        spare[spare_count++] = number;
    if (kind != '\0' || !stays)
        write_line(stays ? kind : 'f', number, size);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

void *malloc(size_t size)
{
    find_real();
    if (real_malloc == NULL)
        return take_early(size);
    void *memory = real_malloc(size);
    note_taken(memory, size);
    return memory;
}

void *calloc(size_t count, size_t size)
{
    find_real();
    if (real_malloc == NULL)
        return take_early(count * size);
    void *memory = real_calloc(count, size);
    note_taken(memory, count * size);
    return memory;
}

void *realloc(void *old, size_t size)
{
    find_real();
    if (old == NULL)
        return malloc(size);
    if (is_early(old)) {
        size_t had;
        memcpy(&had, (unsigned char *)old - 16, sizeof had);
        void *memory = malloc(size);
        return memory != NULL ? memcpy(memory, old, had < size ? had : size) : NULL;
    }
    uint32_t number = lift(old);
    uintptr_t address = (uintptr_t)old;
    void *memory = real_realloc(old, size);
    if (number == UINT32_MAX)
        note_taken(memory, size);
    else if (memory == NULL && size != 0)
        put_down((void *)address, number, 0, '\0'); /* refused: all is as it was */
    else
        put_down(memory, number, size, size >= smallest ? 'r' : 'f');
    return memory;
}

void free(void *memory)
{
    if (memory == NULL || is_early(memory))
        return;
    find_real();
    note_given(memory);
    real_free(memory);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    find_real();
    void *memory = real_aligned_alloc(alignment, size);
    note_taken(memory, size);
    return memory;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *memory = aligned_alloc(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *result = memory;
    return 0;
}

static void stop_in_child(void)
{
    on = false;
}

__attribute__((constructor)) static void start(void)
{
    const char *prefix = getenv("LEARN_RECORD");
    const char *least = getenv("LEARN_RECORD_MIN");
    find_real();
    if (prefix == NULL || real_malloc == NULL)
        return;
    if (least != NULL)
        smallest = strtoull(least, NULL, 10);
    snprintf(path, sizeof path, "%s.%d", prefix, (int)getpid());
    start_us = now_us();
    pthread_atfork(NULL, NULL, stop_in_child);
    on = true;
}

__attribute__((destructor)) static void finish(void)
{
    if (!on)
        return;
    pthread_mutex_lock(&lock);
    if (text_used != 0)
        flush_text();
    on = false;
    pthread_mutex_unlock(&lock);
}
