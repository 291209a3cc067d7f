/* SPDX-License-Identifier: MIT */
/* The mode in force: see the header. */
#include "config.h"

#include "api/mode.h"

#include <stdbool.h>

#include "api/crowd.h"
#include "api/mine.h"
#include "api/placing.h"
#include "topology/bind.h"

static const char *front_in_force(void)
{
    const struct hak_front *own = hak_mine_front();
    const char *of_many = hak_crowd_kind();
    if (of_many != NULL)
        return of_many;
    if (hak_cpu_fronts_open())
        return "cpu";
    return own != NULL ? "thread" : "none";
}

/* A shard that spans several nodes is not bound, whatever the kernel allows. */
static void tell_binding(struct hak_mode *mode, const struct hak_shard_map *map)
{
    struct hak_bind_state state = hak_bind_state();
    mode->bind = hak_bind_step_name(state.step);
    mode->bind_why = state.why;
    if (state.policy == HAK_BIND_NONE) {
        mode->bind = hak_bind_policy_name(state.policy);
        mode->bind_why = NULL;
    } else if (map->domains == NULL) {
        mode->bind_why = "one shard";
    } else if (state.step == HAK_BIND_STEP_BOUND) {
        bool is_placed =
            state.policy == HAK_BIND_INTERLEAVE || hak_shard_node(map->shards[0]) != HAK_NODE_ANY;
        mode->bind = is_placed ? hak_bind_policy_name(state.policy)
                               : hak_bind_step_name(HAK_BIND_STEP_FIRST_TOUCH);
        mode->bind_why = is_placed ? NULL : "a shard spans nodes";
    }
}

struct hak_mode hak_mode_in_force(const struct hak_heap *heap)
{
    const struct hak_shard_map *map = hak_heap_map(heap);
    const struct hak_domains *domains = map->domains;
    struct hak_mode mode = {
        .shards = map->count,
        .by = hak_domains_mode_name(domains != NULL ? domains->mode : HAK_DOMAIN_SINGLE),
        .front = front_in_force(),
        .front_why = hak_fronts_why(),
        .remote = heap->settings->remote == HAK_REMOTE_ADOPT ? "adopt" : "home",
    };
    tell_binding(&mode, map);
    return mode;
}

void hak_mode_put_facts(struct hak_sheet_head *head)
{
    struct hak_mode mode = hak_mode_in_force(hak_heap_default());
    char counts[HAK_MODE_COUNTS];
    hak_sheet_put_text(head->title, sizeof head->title, "hakmem " PACKAGE_VERSION);
    for (unsigned i = 0; i < HAK_SHEET_FACTS; i++)
        head->facts[i].name[0] = '\0';
    hak_sheet_put_fact(head, "by", mode.by);
    hak_sheet_put_fact(head, "front", mode.front);
    hak_sheet_put_fact(head, "front_why", mode.front_why);
    hak_sheet_put_fact(head, "threads", hak_crowd_tell(counts, sizeof counts));
    hak_sheet_put_fact(head, "remote", mode.remote);
    hak_sheet_put_fact(head, "bind", mode.bind);
    hak_sheet_put_fact(head, "bind_why", mode.bind_why);
}
