/* SPDX-License-Identifier: MIT */
/* The heap profiler: see the header. The tables are made at the first sample of a process, under
 * the lock; they are read without it (stats/profile.h). */
#define _GNU_SOURCE
#include "api/profiler.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "api/mine.h"
#include "api/misuse.h"
#include "api/options.h"
#include "api/wake.h"
#include "hakmem.h"
#include "heap/heap.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/memfd.h"
#include "os/memory.h"
#include "os/probe.h"
#include "os/secret.h"
#include "os/stack.h"
#include "stats/chance.h"
#include "tiers/large_segment.h"
#include "tiers/meta.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

enum {
    PATH_BYTES = 1024,
    LEAKS_SHOWN = 20, /* stacks */
    FRAMES_SHOWN = 16,
};

/* What a child of fork has yet to do with its parent's tables. */
enum legacy {
    LEGACY_NONE,
    LEGACY_WHOLE,  /* keep what is known of small objects */
    LEGACY_BROKEN, /* forget all: another thread was about to change them */
};

static struct {
    struct hak_lock lock;
    const int64_t *holder; /* its thread's hak_profiler_left */
    enum legacy legacy;
    bool is_missed;             /* objects may have been freed that the tables still know */
    struct hak_profile tables;  /* .header is published: release, acquire */
    struct hak_os_memfd shared; /* where they lie; memory NULL: where nobody else can read */
    uint32_t age;     /* of the tables: how often this process and its parents forgot some */
    uint32_t *mark;   /* 1, and 0 in each copy of the process; NULL: nobody wipes it */
    uint32_t process; /* whose the tables are, if nobody wipes the mark */
    const char *path; /* as the option has it; NULL: none */
    uint32_t written; /* files, by signals */
    bool is_child;
    uint64_t seed; /* of draws */
} profile;

HAK_TLS int64_t hak_profiler_left = -1;
uint64_t hak_profiler_rate;

/* ---- notes ---------------------------------------------------------------------------------- */

/* By a mark a copy of the process knows itself, without a system call for each sample. */
static void make_ours(void)
{
    profile.process = hak_os_process_id();
    size_t page = hak_os_page_size();
    if (profile.mark == NULL) {
        uint32_t *mark = hak_os_map(page, page);
        if (mark == NULL)
            return;
        if (hak_os_advise_wipe(mark, page) != 0) {
            hak_os_release(mark, page, HAK_OS_PLAIN);
            return;
        }
        profile.mark = mark;
    }
    *profile.mark = 1;
}

/* Under the lock. Where the kernel refuses a file that others can read, files and reports know what
 * there is. */
static bool make_tables(void)
{
    if (profile.tables.header != NULL)
        return true;
    size_t size = hak_profile_size();
    void *memory = hak_os_memfd_make(&profile.shared, HAK_PROFILE_NAME, size) == 0
                       ? profile.shared.memory
                       : hak_os_map(size, hak_os_page_size());
    if (memory == NULL)
        return false;
    hak_os_advise_sparse(memory, size);
    struct hak_profile made = hak_profile_lay_out(memory, hak_options.profile_bytes);
    profile.tables.rows = made.rows;
    profile.tables.frames = made.frames;
    /* release: pairs with the acquire in tables_now */
    __atomic_store_n(&profile.tables.header, made.header, __ATOMIC_RELEASE);
    return true;
}

/* In a child that was made without fork's handlers, or by a handler that interrupted the caller,
 * the tables are its parent's. Under the lock. */
static bool are_ours(void)
{
    bool ours = profile.mark != NULL ? *profile.mark != 0 : profile.process == hak_os_process_id();
    if (!ours)
        profile.is_missed = true;
    return ours;
}

/* In a child of fork, under the lock, while it has one thread: others look into the tables without
 * the lock. Those of its own are made at its first sample. A handler may fork in here: its child
 * goes on from there. */
static HAK_COLD void settle_legacy(void)
{
    if (profile.legacy == LEGACY_BROKEN || profile.is_missed) {
        hak_profile_forget();
        profile.age++;
        profile.is_missed = false;
    } else {
        hak_profile_inherit();
    }
    struct hak_profile_header *header = profile.tables.header;
    profile.tables = (struct hak_profile){NULL, NULL, NULL};
    if (profile.shared.memory != NULL)
        hak_os_memfd_leave(&profile.shared);
    else if (header != NULL)
        hak_os_unmap(header, hak_profile_size());
    profile.legacy = LEGACY_NONE;
    make_ours();
}

static void hold(void)
{
    /* relaxed: the fence orders it */
    __atomic_store_n(&profile.holder, &hak_profiler_left, __ATOMIC_RELAXED);
    /* release: a child of fork that finds a change of the tables finds its holder, too */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void let_go(void)
{
    /* release: a child of fork that finds no holder finds all changes */
    __atomic_store_n(&profile.holder, NULL, __ATOMIC_RELEASE);
    /* seq_cst: to the compiler alone; a handler that forks from now on settles by itself */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Taken outside the heap's sections, for objects are freed while another thread forks, too. */
static void lock(void)
{
    hak_lock_acquire(&profile.lock);
    hold();
}

/* If a handler has forked since lock, its child settles here, before it can have threads. Again if
 * another one does so meanwhile. */
static void unlock(void)
{
    let_go();
    while (hak_unlikely(profile.legacy != LEGACY_NONE)) {
        hold();
        settle_legacy();
        let_go();
    }
    hak_lock_release(&profile.lock);
}

static struct hak_profile tables_now(void)
{
    struct hak_profile now = {NULL, NULL, NULL};
    /* acquire: pairs with the release in make_tables */
    now.header = __atomic_load_n(&profile.tables.header, __ATOMIC_ACQUIRE);
    if (now.header != NULL) {
        now.rows = profile.tables.rows;
        now.frames = profile.tables.frames;
    }
    return now;
}

/* Whole bytes before the next wanted one. relaxed: draws of two threads may come in any order */
static int64_t draw(void)
{
    static uint64_t draws;
    uint64_t state = profile.seed + __atomic_add_fetch(&draws, 1, __ATOMIC_RELAXED);
    return (int64_t)hak_chance_bytes(hak_chance_scatter(&state), (double)hak_profiler_rate);
}

bool hak_profiler_reached(int64_t *left, size_t size)
{
    if (*left < 0) {
        *left = draw();
        if (*left >= (int64_t)size) {
            *left -= (int64_t)size;
            return false;
        }
    }
    struct hak_profile tables = tables_now();
    bool has_room = tables.header == NULL || hak_profile_has_room(&tables);
    /* Where the next one lies is counted from the end of this object: the process has no memory. */
    *left = draw();
    return has_room;
}

/* The stack, without wanting what the unwinder allocates. */
static unsigned take_stack(uint64_t *stack)
{
    struct hak_front *front = hak_mine_front();
    int64_t left = hak_profiler_left;
    int64_t left_of_front = front != NULL ? front->to_sample : 0;
    hak_profiler_left = INT64_MAX;
    if (front != NULL)
        front->to_sample = INT64_MAX;
    unsigned depth = hak_os_stack(stack, HAK_PROFILE_DEPTH_MAX);
    hak_profiler_left = left;
    if (front != NULL)
        front->to_sample = left_of_front;
    return depth;
}

struct hak_profiler_place hak_profiler_place_of(const struct hak_shard *shard)
{
    return (struct hak_profiler_place){shard->id, hak_shard_node(shard), 0};
}

void hak_profiler_begin(struct hak_profiler_wish *wish, size_t size, size_t counted,
                        struct hak_profiler_place place)
{
    int saved = errno;
    wish->sample = (struct hak_profile_sample){
        .size = size,
        .scale = 1 / hak_chance_of(counted, (double)hak_profiler_rate),
        .stack = wish->stack,
        .depth = take_stack(wish->stack),
        .shard = place.shard,
        .node = place.node,
        .heap = place.heap,
        /* What is freed is to be cleared, if misuse is checked. */
        .may_rest = size <= HAK_LARGE_UNIT && place.heap == 0 && !hak_misuse_is_checked(),
    };
    errno = saved;
}

void *hak_profiler_reuse(struct hak_profiler_wish *wish)
{
    if (!wish->sample.may_rest)
        return NULL;
    lock();
    void *object =
        are_ours() && make_tables() ? hak_profile_reuse(&profile.tables, &wish->sample) : NULL;
    unlock();
    if (object != NULL)
        HAK_PROBE3(sample, object, wish->sample.size, wish->sample.shard);
    return object;
}

/* Only a run is a whole page: while another thread forks an object may lie anywhere. */
static bool is_run(const void *object)
{
    struct hak_page page = hak_page_find(object);
    return page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_LARGE;
}

void hak_profiler_note(struct hak_profiler_wish *wish, const void *object)
{
    int saved = errno;
    wish->sample.object = object;
    wish->sample.may_rest &= is_run(object);
    HAK_PROBE3(sample, object, wish->sample.size, wish->sample.shard);
    lock();
    if (are_ours() && make_tables())
        hak_profile_add(&profile.tables, &wish->sample);
    unlock();
    errno = saved;
}

bool hak_profiler_note_free(const void *object)
{
    lock();
    enum hak_profile_freed freed =
        are_ours() ? hak_profile_remove(&profile.tables, object) : HAK_PROFILE_OF_HEAP;
    unlock();
    if (freed == HAK_PROFILE_RESTED)
        hak_misuse("free", object, HAK_MISUSE_FREED);
    return freed != HAK_PROFILE_OF_HEAP;
}

size_t hak_profiler_usual_size(const void *object, size_t usable)
{
    if (usable > HAK_MID_MAX + HAK_LARGE_UNIT || !hak_profile_may_hold(object))
        return usable;
    lock();
    size_t size = are_ours() ? hak_profile_small_size(object) : 0;
    unlock();
    /* What is larger is a run of its own, sampled or not. */
    return size != 0 && size <= HAK_MID_MAX && size < usable ? size : usable;
}

/* Entries are numbers of tables that the child of a fork in a handler, which interrupts the caller,
 * may have forgotten: the upper bits say of which. */
enum { ENTRY_BITS = 18, AGES = 1 << (32 - ENTRY_BITS) };

_Static_assert(HAK_PROFILE_SAMPLES <= 1 << ENTRY_BITS, "an entry leaves room for the tables' age");

uint32_t hak_profiler_take(const void *object)
{
    lock();
    uint32_t entry = are_ours() ? hak_profile_take(object) : 0;
    uint32_t age = profile.age % AGES << ENTRY_BITS;
    unlock();
    return entry != 0 ? entry | age : 0;
}

void hak_profiler_settle(uint32_t noted, bool is_freed)
{
    if (noted == 0)
        return;
    uint32_t entry = noted % (1 << ENTRY_BITS);
    lock();
    bool is_known = are_ours() && noted >> ENTRY_BITS == profile.age % AGES;
    if (is_known && is_freed)
        hak_profile_drop(&profile.tables, entry);
    else if (is_known)
        hak_profile_put_back(entry);
    unlock();
}

void hak_profiler_forget_heap(unsigned heap)
{
    lock();
    if (are_ours())
        hak_profile_drop_heap(&profile.tables, heap);
    unlock();
}

void hak_profiler_resized(uint32_t noted, const void *now, size_t size,
                          struct hak_profiler_place place)
{
    hak_profiler_settle(noted, now != NULL);
    if (now == NULL || size > PTRDIFF_MAX || !hak_profiler_wants(size))
        return;
    struct hak_profiler_wish wish;
    hak_profiler_begin(&wish, size, size, place);
    hak_profiler_note(&wish, now);
}

/* ---- what comes of it ----------------------------------------------------------------------- */

static int write_to(int descriptor, enum hak_os_patience patience)
{
    char buffer[4096];
    struct hak_profile tables = tables_now();
    struct hak_writer writer = hak_writer_to_fd(descriptor, buffer, sizeof buffer);
    writer.patience = patience;
    int maps = hak_os_open_to_read("/proc/self/maps");
    hak_profile_write(&tables, maps, &writer);
    hak_os_close(maps);
    return writer.refused;
}

/* "%p" becomes the process's id; files that signals ask for are numbered from 1 on. */
static int name_file(char *name, unsigned number)
{
    struct hak_writer writer = hak_writer_to_buffer(name, PATH_BYTES);
    const char *mark = strstr(profile.path, "%p");
    size_t length = mark != NULL ? (size_t)(mark - profile.path) : strlen(profile.path);
    hak_put_bytes(&writer, profile.path, length);
    if (mark != NULL)
        hak_put(&writer, "%u%s", hak_os_process_id(), mark + 2);
    if (number != 0)
        hak_put(&writer, ".%u", number);
    hak_writer_flush(&writer);
    return writer.total < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int write_file(unsigned number)
{
    char name[PATH_BYTES];
    struct hak_os_beside beside;
    if (profile.path == NULL)
        return 0; /* in a child of fork, whose parent has the file */
    int refused = name_file(name, number);
    if (refused != 0)
        return refused;
    int descriptor = hak_os_open_beside(&beside, name);
    if (descriptor < 0)
        return descriptor;
    return hak_os_close_beside(&beside, descriptor, write_to(descriptor, HAK_WRITE_WAITS));
}

static void complain(const char *what, int refused)
{
    char text[512];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hak_put_text(&writer, "hakmem: HAKMEM_PROFILE_FILE=");
    hak_options_put_shown(&writer, profile.path);
    hak_put(&writer, ": %s; error %d\n", what, -refused);
    hak_writer_flush(&writer);
}

/* Whatever the thread was doing: the tables are read without a lock, the rest is system calls. */
static void on_signal(int unused)
{
    (void)unused;
    /* relaxed: a number for a name */
    unsigned number = __atomic_add_fetch(&profile.written, 1, __ATOMIC_RELAXED);
    int saved = errno;
    write_file(number);
    errno = saved;
}

HAK_PUBLIC int hakmem_profile_dump(int fd)
{
    hak_start();
    if (!hak_profiler_is_on()) {
        errno = ENOTSUP;
        return -1;
    }
    int refused = write_to(fd, HAK_WRITE_WAITS);
    if (refused == 0)
        return 0;
    errno = -refused;
    return -1;
}

/* ---- the report of leaks -------------------------------------------------------------------- */

static void put_frame(struct hak_writer *writer, uint64_t address)
{
    /* A return address: the call lies before it. */
    struct hak_os_symbol symbol = hak_os_symbol_of(address - 1);
    hak_put(writer, "        0x%lx %s%s%s+0x%lx\n", (unsigned long)address,
            symbol.function != NULL ? symbol.function : "", symbol.function != NULL ? " in " : "",
            symbol.file != NULL ? symbol.file : "?", (unsigned long)symbol.offset);
}

static void put_leak(struct hak_writer *writer, const struct hak_profile *tables,
                     const struct hak_profile_row *row)
{
    hak_put(writer, "    about %lu bytes in %lu objects (%lu sampled) of shard %u, from\n",
            (unsigned long)hak_profile_figure(row, HAK_PROFILE_LIVE_BYTES),
            (unsigned long)hak_profile_figure(row, HAK_PROFILE_LIVE_OBJECTS),
            (unsigned long)hak_profile_figure(row, HAK_PROFILE_SAMPLED), row->shard);
    for (uint32_t i = 0; i < row->depth && i < FRAMES_SHOWN; i++)
        put_frame(writer, tables->frames[row->first + i]);
}

static void report_leaks(void)
{
    char text[1024];
    struct hak_profile tables = tables_now();
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    const struct hak_profile_row *row = NULL;
    hak_put(&writer, "hakmem: still allocated at exit, by one sample in %lu bytes:\n",
            (unsigned long)hak_profiler_rate);
    unsigned shown = 0;
    while (tables.header != NULL && shown < LEAKS_SHOWN &&
           (row = hak_profile_next(&tables, row)) != NULL) {
        put_leak(&writer, &tables, row);
        shown++;
    }
    if (shown == 0)
        hak_put_text(&writer, "    nothing that was sampled\n");
    hak_writer_flush(&writer);
}

/* ---- start, exit, fork ---------------------------------------------------------------------- */

/* The environment may be another text by the time of exit. */
static const char *keep(const char *path)
{
    size_t length = strlen(path) + 1;
    char *own = hak_meta_alloc(length, 1);
    return own != NULL ? memcpy(own, path, length) : NULL;
}

/* What a fault raises would be raised again when the handler returns. */
static bool is_fault(unsigned number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGTRAP || number == SIGSYS;
}

/* A handler that the program has, or sets later, stays. */
static void obey_signal(unsigned number)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction old;
    if (number == 0)
        return;
    if (profile.path == NULL || is_fault(number) || sigaction((int)number, NULL, &old) != 0 ||
        old.sa_handler != SIG_DFL || sigaction((int)number, &action, NULL) != 0) {
        char text[256];
        struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
        hak_put(&writer,
                "hakmem: HAKMEM_PROFILE_SIGNAL=%u: ignored; allowed: a signal that has no "
                "handler, can have one and is no fault, and HAKMEM_PROFILE_FILE to be "
                "written to\n",
                number);
        hak_writer_flush(&writer);
    }
}

void hak_profiler_start(void)
{
    if (hak_options.profile_bytes == 0)
        return;
    hak_os_stack_prepare();
    profile.seed = hak_os_secret(HAK_SECRET_OF_SAMPLES);
    if (hak_options.profile_file != NULL)
        profile.path = keep(hak_options.profile_file);
    obey_signal(hak_options.profile_signal);
    /* Now: a filter that the program sets may forbid it later. */
    lock();
    make_ours();
    bool are_made = make_tables();
    unlock();
    if (are_made && hak_size_class_hide() == 0)
        /* relaxed: as in hak_profiler_is_on */
        __atomic_store_n(&hak_profiler_rate, hak_options.profile_bytes, __ATOMIC_RELAXED);
}

void hak_profiler_exit(void)
{
    if (!hak_profiler_is_on())
        return;
    if (profile.path != NULL) {
        int refused = write_file(0);
        if (refused != 0)
            complain("cannot be written, left as it was", refused);
    }
    if (hak_options.profile_leaks == HAK_PROFILE_LEAKS_CHOICE_YES && !profile.is_child)
        report_leaks();
}

void hak_profiler_after_fork(void)
{
    if (!hak_profiler_is_on())
        return;
    profile.is_child = true;
    /* relaxed: the child has one thread. What was not settled when its parent forked still is not,
     * and may be broken. A handler that forked inside a section returns into it, and its end
     * settles. */
    const int64_t *holder = __atomic_load_n(&profile.holder, __ATOMIC_RELAXED);
    bool is_ours = holder == &hak_profiler_left;
    if (profile.legacy != LEGACY_BROKEN)
        profile.legacy = holder == NULL || is_ours ? LEGACY_WHOLE : LEGACY_BROKEN;
    if (!is_ours) {
        hak_lock_reset(&profile.lock);
        lock();
        unlock();
    }
    /* One file has one writer. */
    if (profile.path != NULL && strstr(profile.path, "%p") == NULL)
        profile.path = NULL;
}
