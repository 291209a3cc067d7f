/* SPDX-License-Identifier: MIT */
/* The machine and its shards as text, JSON and SVG: hakmem_topology_print. Any thread; each picture
 * is made from a description that does not change. */
#ifndef HAK_API_PICTURE_H
#define HAK_API_PICTURE_H

#include "os/print.h"
#include "topology/domains.h"
#include "topology/topology.h"

struct hak_picture {
    const struct hak_topology *topology;
    const struct hak_domains *domains;
};

void hak_picture_text(const struct hak_picture *picture, struct hak_writer *writer);
void hak_picture_json(const struct hak_picture *picture, struct hak_writer *writer);
void hak_picture_svg(const struct hak_picture *picture, struct hak_writer *writer);

/* Whom a shard asks, in order: "1 2-3 | 4-7 | 8-15". Bars stand between those of its L3, of its
 * node and of other nodes; nothing for a shard that stands alone. */
void hak_picture_put_asked(const struct hak_picture *picture, unsigned shard,
                           struct hak_writer *writer);

#endif
