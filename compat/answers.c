/* SPDX-License-Identifier: MIT */
/* The functions behind the names of mallctl. Any thread. Figures are always current: epoch counts,
 * but its refreshes have no other effect. */
#include "compat/answers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "compat/arenas.h"
#include "compat/conf.h"
#include "compat/jemalloc.h"
#include "hakmem.h"

#define none NULL

enum {
    PAGE = 4096,
    QUANTUM = 16,
    SMALL_MAX = 32768,
    LG_LARGE_LEAST = 16,
    LG_LARGE_MOST = 62,
    ANY_FD = -1,
};

/* ------------------------------------------------------------------ constants */

static int version(size_t number, union hak_value *value)
{
    (void)number;
    value->text = JEMALLOC_VERSION;
    return 0;
}

static int no_text(size_t number, union hak_value *value)
{
    (void)number;
    value->text = "";
    return 0;
}

/* Memory comes from mmap; the rest of the answer is a hint. */
static int dss(size_t number, union hak_value *value)
{
    (void)number;
    value->text = "disabled";
    return 0;
}

/* Zero, or false, in whichever type the name has: the widest member is 0. */
static int zero(size_t number, union hak_value *value)
{
    (void)number;
    value->u64 = 0;
    return 0;
}

static int one(size_t number, union hak_value *value)
{
    (void)number;
    value->u64 = 1;
    return 0;
}

static int quantum(size_t number, union hak_value *value)
{
    (void)number;
    value->size = QUANTUM;
    return 0;
}

static int page_size(size_t number, union hak_value *value)
{
    (void)number;
    value->size = PAGE;
    return 0;
}

static int small_max(size_t number, union hak_value *value)
{
    (void)number;
    value->size = SMALL_MAX;
    return 0;
}

/* ------------------------------------------------------------------ size classes */

/* The size of the class behind the one of `size` bytes, from 0 for the first. */
static size_t next_class(size_t size)
{
    return hakmem_good_size(size + 1);
}

static int bin_count(size_t number, union hak_value *value)
{
    (void)number;
    value->number = 0;
    for (size_t size = 0; size < SMALL_MAX; size = next_class(size))
        value->number++;
    return 0;
}

static int bin_size(size_t number, union hak_value *value)
{
    size_t size = 0;
    for (; number > 0 && size < SMALL_MAX; number--)
        size = next_class(size);
    value->size = next_class(size);
    return size < SMALL_MAX ? 0 : ENOENT;
}

/* Above them sizes are whole pages; listed are the powers of two up to the largest. */
static int large_count(size_t number, union hak_value *value)
{
    (void)number;
    value->number = LG_LARGE_MOST - LG_LARGE_LEAST + 1;
    return 0;
}

static int large_size(size_t number, union hak_value *value)
{
    if (number > LG_LARGE_MOST - LG_LARGE_LEAST)
        return ENOENT;
    value->size = (size_t)1 << (LG_LARGE_LEAST + number);
    return 0;
}

/* ------------------------------------------------------------------ the process */

static uint64_t epochs = 1;

static int epoch(size_t number, union hak_value *value)
{
    (void)number;
    value->u64 = __atomic_load_n(&epochs, __ATOMIC_RELAXED); /* relaxed: a figure */
    return 0;
}

static int set_epoch(size_t number, const union hak_value *value)
{
    (void)number;
    (void)value;
    __atomic_fetch_add(&epochs, 1, __ATOMIC_RELAXED); /* relaxed: a figure */
    return 0;
}

static int background_thread(size_t number, union hak_value *value)
{
    (void)number;
    *value = hak_conf_value(HAK_CONF_background_thread);
    return 0;
}

static int background_threads(size_t number, union hak_value *value)
{
    (void)number;
    value->size = hak_conf_value(HAK_CONF_background_thread).is_true;
    return 0;
}

/* The thread begins with the process or not at all. */
static int set_background_thread(size_t number, const union hak_value *value)
{
    (void)number;
    return hak_conf_value(HAK_CONF_background_thread).is_true == value->is_true ? 0 : EFAULT;
}

static bool profile_exists(void)
{
    int saved = errno;
    hakmem_profile_dump(ANY_FD);
    bool exists = errno != ENOTSUP;
    errno = saved;
    return exists;
}

static int is_profiled(size_t number, union hak_value *value)
{
    (void)number;
    value->is_true = profile_exists();
    return value->is_true ? 0 : ENOENT; /* as jemalloc without prof:true */
}

/* Sampling goes on from start to end. */
static int set_profiled(size_t number, const union hak_value *value)
{
    (void)number;
    if (!profile_exists())
        return ENOENT;
    return value->is_true ? 0 : EFAULT;
}

/* The name that jemalloc gives a dump on demand. */
static const char *dump_name(char *buffer, size_t size)
{
    static unsigned dumps;
    unsigned dump = __atomic_fetch_add(&dumps, 1, __ATOMIC_RELAXED); /* relaxed: a number */
    snprintf(buffer, size, "%s.%d.%u.m%u.heap", hak_conf_value(HAK_CONF_prof_prefix).text,
             (int)getpid(), dump, dump);
    return buffer;
}

static int dump_profile(size_t number, const union hak_value *value)
{
    (void)number;
    char buffer[512];
    if (!profile_exists())
        return ENOENT;
    const char *name =
        value != NULL && value->text != NULL ? value->text : dump_name(buffer, sizeof buffer);
    int saved = errno;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && hakmem_profile_dump(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    errno = saved;
    return is_written ? 0 : EFAULT;
}

/* ------------------------------------------------------------------ threads, caches */

/* Fronts go on; this only remembers the answer for later queries. */
static __thread bool cache_is_off;

static int thread_cache(size_t number, union hak_value *value)
{
    (void)number;
    value->is_true = !cache_is_off;
    return 0;
}

static int set_thread_cache(size_t number, const union hak_value *value)
{
    (void)number;
    cache_is_off = !value->is_true;
    if (cache_is_off)
        hakmem_thread_flush();
    return 0;
}

static int accept(size_t number, const union hak_value *value)
{
    (void)number;
    (void)value;
    return 0;
}

static int flush_thread(size_t number, const union hak_value *value)
{
    (void)number;
    (void)value;
    hakmem_thread_flush();
    return 0;
}

/* Threads use the default heap; a call may name another by MALLOCX_ARENA. */
static int set_thread_arena(size_t number, const union hak_value *value)
{
    (void)number;
    return value->number == 0 ? 0 : EFAULT;
}

/* Caches hold nothing: any number serves. */
static int create_cache(size_t number, union hak_value *value)
{
    enum { NUMBERS = 4094 };
    static unsigned caches;
    (void)number;
    value->number =
        __atomic_fetch_add(&caches, 1, __ATOMIC_RELAXED) % NUMBERS; /* relaxed: a number */
    return 0;
}

/* ------------------------------------------------------------------ arenas */

static int arena_exists(size_t number, union hak_value *value)
{
    value->is_true = hak_arenas_exist(number);
    return number < hak_arenas_count() ? 0 : ENOENT;
}

static int purge_arena(size_t number, const union hak_value *value)
{
    (void)value;
    return hak_arenas_purge(number);
}

static int reset_arena(size_t number, const union hak_value *value)
{
    (void)value;
    return hak_arenas_reset(number);
}

static int destroy_arena(size_t number, const union hak_value *value)
{
    (void)value;
    return hak_arenas_destroy(number);
}

static int arena_count(size_t number, union hak_value *value)
{
    (void)number;
    value->number = hak_arenas_count();
    return 0;
}

static int create_arena(size_t number, union hak_value *value)
{
    (void)number;
    value->number = hak_arenas_create();
    return value->number != 0 ? 0 : EAGAIN;
}

static int arena_of(size_t number, union hak_value *value)
{
    (void)number;
    int arena = hak_arenas_of(value->address);
    value->number = arena >= 0 ? (unsigned)arena : 0;
    return arena >= 0 ? 0 : EINVAL;
}

/* ------------------------------------------------------------------ figures */

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static size_t active_of(const struct hak_arena_figures *figures)
{
    return whole_pages(figures->active);
}

static size_t resident_of(const struct hak_arena_figures *figures)
{
    return active_of(figures) + whole_pages(figures->dirty + figures->metadata);
}

static int figures_of(size_t number, struct hak_arena_figures *figures)
{
    return hak_arenas_figures(number, figures) ? 0 : ENOENT;
}

#define FIGURE(name, expression) \
    static int name(size_t number, union hak_value *value) \
    { \
        struct hak_arena_figures now; \
        int result = figures_of(number, &now); \
        value->size = (expression); \
        return result; \
    }

FIGURE(allocated, now.small + now.large)
FIGURE(active, active_of(&now))
FIGURE(metadata, now.metadata)
FIGURE(resident, resident_of(&now))
FIGURE(mapped, now.mapped > active_of(&now) ? now.mapped : active_of(&now))
FIGURE(retained,
       now.mapped > active_of(&now) + now.dirty ? now.mapped - active_of(&now) - now.dirty : 0)
FIGURE(active_pages, active_of(&now) / PAGE)
FIGURE(dirty_pages, now.dirty / PAGE)
FIGURE(small_allocated, now.small)
FIGURE(large_allocated, now.large)

/* ------------------------------------------------------------------ options */

#define CONF(key, type, default_text, effect) \
    static int opt_##key(size_t number, union hak_value *value) \
    { \
        (void)number; \
        *value = hak_conf_value(HAK_CONF_##key); \
        return 0; \
    }
#include "compat/conf.def"
#undef CONF

const struct hak_answer_row hak_answer_rows[] = {
#define NAME(name, type, read, write) {name, HAK_VALUE_##type, read, write},
#include "compat/names.def"
#undef NAME
#define CONF(key, type, default_text, effect) {"opt." #key, HAK_VALUE_##type, opt_##key, none},
#include "compat/conf.def"
#undef CONF
};

const size_t hak_answer_count = sizeof hak_answer_rows / sizeof *hak_answer_rows;
