/* SPDX-License-Identifier: MIT */
/* Shards: made at start and by re-sharding, found by id. Any thread. */
#include "shard/shard.h"

#include "os/compiler.h"
#include "os/lock.h"
#include "tiers/meta.h"

struct hak_shard *hak_shards[HAK_SHARD_IDS];

HAK_EARLY static struct {
    struct hak_lock lock;
    uint32_t last_id;
} registry;

unsigned hak_shard_last_id(void)
{
    /* acquire: pairs with the release in hak_shard_create; ids up to it have their shards */
    return __atomic_load_n(&registry.last_id, __ATOMIC_ACQUIRE);
}

struct hak_shard *hak_shard_create(int node, const struct hak_settings *settings)
{
    struct hak_shard *shard = hak_meta_alloc(sizeof *shard, HAK_CACHE_LINE);
    if (shard == NULL)
        return NULL;
    hak_lock_acquire(&registry.lock);
    unsigned id = registry.last_id + 1;
    if (id < HAK_SHARD_IDS) {
        shard->id = (uint16_t)id;
        shard->settings = settings;
        shard->source = (struct hak_region_source){
            .counters = &shard->counters, .node = node, .home = (uint16_t)id};
        hak_pool_init(&shard->tiny, &shard->source, 1, HAK_CLASS_TINY_LAST);
        hak_pool_init(&shard->mid, &shard->source, HAK_CLASS_TINY_LAST + 1, HAK_CLASS_LAST);
        hak_learner_start(&shard->learner, settings, id);
        hak_large_init(&shard->large, &shard->source, &shard->learner);
        /* release, both: pair with the acquires in hak_shard_of_id and hak_shard_last_id */
        __atomic_store_n(&hak_shards[id], shard, __ATOMIC_RELEASE);
        __atomic_store_n(&registry.last_id, id, __ATOMIC_RELEASE);
    }
    hak_lock_release(&registry.lock);
    return id < HAK_SHARD_IDS ? shard : NULL;
}
