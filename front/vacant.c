/* SPDX-License-Identifier: MIT */
/* Vacant fronts: see the header. */
#include "front/vacant.h"

#include <string.h>

#include "os/inject.h"
#include "os/lock.h"
#include "shard/shard_map.h"

struct vacant {
    struct hak_front *front;
    uint64_t since_ns;
    unsigned shard; /* by its id, when the front was put here */
};

/* The oldest is the first. */
struct group {
    struct hak_lock lock;
    uint32_t count; /* written under the lock; a look without it is a hint */
    struct vacant vacant[HAK_VACANT_EACH];
} __attribute__((aligned(2 * HAK_CACHE_LINE)));

static struct group groups[HAK_VACANT_GROUPS];

static struct group *group_of(const struct hak_shard *shard)
{
    return &groups[shard->id % HAK_VACANT_GROUPS];
}

static bool has_any(const struct group *group)
{
    return __atomic_load_n(&group->count, __ATOMIC_RELAXED) != 0; /* relaxed: a hint */
}

static void set_count(struct group *group, unsigned count)
{
    __atomic_store_n(&group->count, count, __ATOMIC_RELAXED); /* relaxed: as where it is read */
}

/* Under the lock, as the next. */
static struct hak_front *remove_at(struct group *group, unsigned index)
{
    struct hak_front *front = group->vacant[index].front;
    unsigned after = group->count - index - 1;
    memmove(&group->vacant[index], &group->vacant[index + 1], after * sizeof *group->vacant);
    set_count(group, group->count - 1);
    return front;
}

/* Fronts that a shard may have here: threads that come and go need no more. */
static unsigned places_of(const struct hak_shard *shard)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL || map->domains == NULL || shard->index >= map->count)
        return HAK_VACANT_EACH;
    return HAK_VACANT_PER_CPU * map->domains->shard[shard->index].cpus;
}

static bool has_room(const struct group *group, const struct hak_shard *shard)
{
    unsigned places = places_of(shard);
    for (unsigned index = 0; index < group->count; index++)
        places -= group->vacant[index].shard == shard->id && places != 0;
    return places != 0 && group->count < HAK_VACANT_EACH;
}

/* A thread that ends waits for nobody. */
bool hak_vacant_put(struct hak_front *front, uint64_t now_ns)
{
    const struct hak_shard *shard = hak_front_shard(front);
    struct group *group = group_of(shard);
    if (!hak_lock_try(&group->lock))
        return false;
    bool is_kept = has_room(group, shard);
    if (is_kept) {
        /* relaxed: who looks at fronts without a thread leaves it alone, before and after */
        __atomic_store_n(&front->left, HAK_FRONT_VACANT, __ATOMIC_RELAXED);
        group->vacant[group->count] = (struct vacant){front, now_ns, shard->id};
        hak_inject();
        set_count(group, group->count + 1);
    }
    hak_lock_release(&group->lock);
    return is_kept;
}

struct hak_front *hak_vacant_take(const struct hak_shard *shard)
{
    struct group *group = group_of(shard);
    if (!has_any(group) || !hak_lock_try(&group->lock))
        return NULL;
    struct hak_front *front = NULL;
    for (unsigned index = group->count; index > 0 && front == NULL; index--)
        if (group->vacant[index - 1].shard == shard->id)
            front = remove_at(group, index - 1);
    hak_lock_release(&group->lock);
    hak_inject();
    return front;
}

struct hak_front *hak_vacant_take_old(unsigned number, uint64_t before_ns)
{
    struct group *group = &groups[number];
    if (!has_any(group) || !hak_lock_try(&group->lock))
        return NULL;
    struct hak_front *front = NULL;
    if (group->count != 0 && group->vacant[0].since_ns < before_ns)
        front = remove_at(group, 0);
    hak_lock_release(&group->lock);
    return front;
}
