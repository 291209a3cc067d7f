/* SPDX-License-Identifier: MIT */
/* The limit, and how far away it is. Any thread; one of them finds the limit, and until then the
 * others see none. */
#include "tiers/headroom.h"

#include <stdbool.h>

#include "os/compiler.h"
#include "os/file.h"
#include "os/limit.h"
#include "os/memory.h"

enum {
    LOOK_BYTES = 32 * 1024 * 1024, /* mapped bytes, from which on a limit is looked for */
    RESERVE_SHARE = 8,             /* of the limit */
    BEFORE_LOOKING = 0,
    LOOKING = 1,
    LIMITED = 2,
    UNLIMITED = 3,
};

static const int64_t LEFT_MOST = INT64_MAX / 4;
static const uint64_t REFRESH_NS = 50ul * 1000 * 1000;

static struct {
    uint32_t state;              /* one of the above; release, acquire */
    enum hak_headroom_mode mode; /* constant once threads run, as the next */
    size_t bytes;                /* the limit; that of a cgroup is written by look */
    struct hak_os_limit cgroup;
    size_t grown;      /* relaxed */
    uint64_t asked_ns; /* relaxed */
    /* relaxed; apart from the state, which all read */
    int64_t left __attribute__((aligned(HAK_CACHE_LINE)));
} headroom = {.state = UNLIMITED};

/* The second number of statm: resident kernel pages. */
static int64_t resident_bytes(void)
{
    char text[128];
    if (hak_os_read_file(HAK_OS_HERE, "/proc/self/statm", text, sizeof text) <= 0)
        return 0;
    const char *at = text;
    while (*at != ' ' && *at != '\0')
        at++;
    int64_t pages = 0;
    for (at += *at == ' '; *at >= '0' && *at <= '9'; at++)
        pages = pages * 10 + (*at - '0');
    return pages * (int64_t)hak_os_page_size();
}

static int64_t ask(void)
{
    if (headroom.mode == HAK_HEADROOM_BYTES)
        return (int64_t)headroom.bytes - resident_bytes();
    int64_t left = hak_os_limit_headroom(HAK_OS_HERE, &headroom.cgroup);
    /* A group without a readable limit counts as far from it, but sums must not overflow. */
    return left < LEFT_MOST ? left : LEFT_MOST;
}

static bool is_asked_once(void)
{
    return headroom.mode == HAK_HEADROOM_CONTAINER || headroom.mode == HAK_HEADROOM_CGROUP;
}

/* Finds the limit. One thread does this, once. */
static HAK_COLD void look(void)
{
    if (headroom.mode != HAK_HEADROOM_BYTES) {
        int none = headroom.mode == HAK_HEADROOM_CONTAINER
                       ? hak_os_limit_find_at_top(HAK_OS_HERE, &headroom.cgroup)
                       : hak_os_limit_find(HAK_OS_HERE, &headroom.cgroup);
        headroom.bytes = headroom.cgroup.bytes;
        if (none != 0) {
            __atomic_store_n(&headroom.state, UNLIMITED, __ATOMIC_RELEASE); /* as below */
            return;
        }
    }
    /* relaxed: the release publishes it, and pairs with the acquire in is_limited */
    __atomic_store_n(&headroom.left, ask(), __ATOMIC_RELAXED);
    __atomic_store_n(&headroom.state, LIMITED, __ATOMIC_RELEASE);
}

void hak_headroom_start(enum hak_headroom_mode mode, size_t bytes)
{
    headroom.mode = mode;
    headroom.bytes = bytes;
    /* relaxed: there are no threads yet, or they may learn of it a little later */
    __atomic_store_n(&headroom.state, mode == HAK_HEADROOM_UNLIMITED ? UNLIMITED : BEFORE_LOOKING,
                     __ATOMIC_RELAXED);
    if (is_asked_once())
        look();
}

void hak_headroom_grow(size_t bytes)
{
    uint32_t before = BEFORE_LOOKING;
    /* relaxed, all: the exchange lets one thread look, which then owns the fields */
    if (__atomic_load_n(&headroom.state, __ATOMIC_RELAXED) != BEFORE_LOOKING ||
        __atomic_add_fetch(&headroom.grown, bytes, __ATOMIC_RELAXED) < LOOK_BYTES ||
        !__atomic_compare_exchange_n(&headroom.state, &before, LOOKING, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    look();
}

static bool is_limited(void)
{
    /* acquire: pairs with the release in look */
    return hak_unlikely(__atomic_load_n(&headroom.state, __ATOMIC_ACQUIRE) == LIMITED);
}

void hak_headroom_refresh(uint64_t now_ns)
{
    /* relaxed, both: if two threads ask at once, that does no harm */
    if (!is_limited() || is_asked_once() ||
        now_ns - __atomic_load_n(&headroom.asked_ns, __ATOMIC_RELAXED) < REFRESH_NS)
        return;
    __atomic_store_n(&headroom.asked_ns, now_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&headroom.left, ask(), __ATOMIC_RELAXED);
}

void hak_headroom_take(size_t bytes)
{
    /* relaxed, here and below: `left` is an estimate */
    if (is_limited())
        __atomic_fetch_sub(&headroom.left, (int64_t)bytes, __ATOMIC_RELAXED);
}

void hak_headroom_give(size_t bytes)
{
    if (is_limited())
        __atomic_fetch_add(&headroom.left, (int64_t)bytes, __ATOMIC_RELAXED);
}

size_t hak_headroom_shortfall(void)
{
    if (!is_limited())
        return 0;
    int64_t reserve = (int64_t)(headroom.bytes / RESERVE_SHARE);
    int64_t left = __atomic_load_n(&headroom.left, __ATOMIC_RELAXED);
    return left < reserve ? (size_t)(reserve - left) : 0;
}

void hak_headroom_after_fork(void)
{
    /* relaxed: the child has one thread. A thread that was looking does not exist in it. */
    if (__atomic_load_n(&headroom.state, __ATOMIC_RELAXED) == LOOKING)
        __atomic_store_n(&headroom.state, BEFORE_LOOKING, __ATOMIC_RELAXED);
}
