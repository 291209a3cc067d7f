/* SPDX-License-Identifier: MIT */
/* Whether neighbours may take from slabs: see rest.h. Any thread. */
#include "shard/rest.h"

struct hak_rest_clock hak_rest_clock;

bool hak_rest_may_take(struct hak_shard *shard, unsigned class_id)
{
    return hak_pool_free_objects(hak_shard_pool(shard, class_id), class_id) >
               hak_classes[class_id].capacity ||
           hak_rest_is_resting(shard);
}
