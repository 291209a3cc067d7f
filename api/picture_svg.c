/* SPDX-License-Identifier: MIT */
/* The machine as a picture: a row for each node, in it a box for each L3, in that a square for each
 * CPU in its shard's colour. An arc leads from each shard to the one that it asks first; below
 * stands the whole order. A CPU that the process may not use is hollow.
 *
 *   +- node 0 --------------------------------+
 *   | +- L3 0 --------+  +- L3 1 --------+    |
 *   | | 0  1  2  3    |  | 4  5  6  7    |    |
 *   | +---------------+  +---------------+    |
 *   +-----------------------------------------+
 *
 * The same loops run twice: the first time only measures. */
#include "api/picture.h"

#include <stddef.h>

enum {
    CPU_WIDTH = 34,
    CPU_HEIGHT = 30,
    CPUS_A_ROW = 8, /* of an L3 */
    L3S_A_ROW = 4,  /* of a node */
    GAP = 8,
    TITLE = 20, /* height of a line of text */
    L3_WIDTH = CPUS_A_ROW * CPU_WIDTH + GAP,
    WIDTH = L3S_A_ROW * (L3_WIDTH + GAP) + 3 * GAP,
    ASKED_LETTERS = 100, /* of the order that is shown: the rest is in the tool's other formats */
    TURN = 137           /* degrees of hue between neighbours: nearly the golden angle */
};

/* Where a shard's first CPU was drawn; the picture has room for as many arcs. */
enum {
    ARCS = 256
};

struct spot {
    unsigned x;
    unsigned y;
};

struct canvas {
    const struct hak_picture *picture;
    struct hak_writer *writer; /* NULL: measure only */
    unsigned y;
    struct spot spots[ARCS];
};

static void put_box(const struct canvas *canvas, unsigned x, unsigned y, unsigned width,
                    unsigned height, const char *class)
{
    hak_put(canvas->writer,
            "<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"4\"/>\n", class,
            x, y, width, height);
}

static void put_cpu(struct canvas *canvas, unsigned cpu, unsigned x, unsigned y)
{
    const struct hak_domains *domains = canvas->picture->domains;
    unsigned shard = hak_domains_shard_of(domains, cpu, 0);
    int is_allowed = (canvas->picture->topology->cpu[cpu].state & HAK_CPU_ALLOWED) != 0;
    if (is_allowed && shard < ARCS && canvas->spots[shard].y == 0)
        canvas->spots[shard] = (struct spot){x + CPU_WIDTH / 2 - 2, y};
    if (canvas->writer == NULL)
        return;
    hak_put(canvas->writer, "<g><title>CPU %u: %sshard %u</title>", cpu,
            is_allowed ? "" : "not allowed; falls to ", shard);
    hak_put(canvas->writer,
            "<rect class=\"cpu\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
            "fill=\"hsl(%u,65%%,75%%)\" fill-opacity=\"%u\"/>",
            x, y, (unsigned)CPU_WIDTH - 4, (unsigned)CPU_HEIGHT - 4, shard * TURN % 360,
            (unsigned)is_allowed);
    hak_put(canvas->writer, "<text class=\"id\" x=\"%u\" y=\"%u\">%u</text></g>\n",
            x + CPU_WIDTH / 2 - 2, y + CPU_HEIGHT / 2 + 2, cpu);
}

static int is_on(const struct hak_topology *topology, unsigned cpu, unsigned l3)
{
    return (topology->cpu[cpu].state & HAK_CPU_ONLINE) != 0 && topology->cpu[cpu].l3 == l3;
}

/* Draws an L3 with its left upper corner there; its height. */
static unsigned put_l3(struct canvas *canvas, unsigned l3, unsigned x, unsigned y)
{
    const struct hak_topology *topology = canvas->picture->topology;
    unsigned cpus = 0;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++)
        cpus += (unsigned)is_on(topology, cpu, l3);
    unsigned rows = (cpus + CPUS_A_ROW - 1) / CPUS_A_ROW;
    unsigned height = TITLE + rows * CPU_HEIGHT + GAP;
    if (canvas->writer != NULL) {
        put_box(canvas, x, y, L3_WIDTH, height, "l3");
        hak_put(canvas->writer, "<text x=\"%u\" y=\"%u\">L3 %u</text>\n", x + GAP, y + TITLE - 5,
                l3);
    }
    unsigned place = 0;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if (!is_on(topology, cpu, l3))
            continue;
        put_cpu(canvas, cpu, x + GAP / 2 + 2 + place % CPUS_A_ROW * CPU_WIDTH,
                y + TITLE + place / CPUS_A_ROW * CPU_HEIGHT);
        place++;
    }
    return height;
}

static int l3_is_of(const struct hak_topology *topology, unsigned l3, unsigned node)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if (is_on(topology, cpu, l3))
            return topology->cpu[cpu].node == node;
    }
    return 0;
}

/* Draws what is in a node from `y` on; its height. */
static unsigned put_inside(struct canvas *canvas, unsigned node, unsigned y)
{
    const struct hak_topology *topology = canvas->picture->topology;
    unsigned column = 0;
    unsigned above = 0;
    unsigned tallest = 0;
    for (unsigned l3 = 0; l3 < topology->l3s; l3++) {
        if (!l3_is_of(topology, l3, node))
            continue;
        if (column == L3S_A_ROW) {
            above += tallest + GAP;
            column = tallest = 0;
        }
        unsigned x = 2 * GAP + column++ * (L3_WIDTH + GAP);
        unsigned height = put_l3(canvas, l3, x, y + above);
        tallest = height > tallest ? height : tallest;
    }
    return above + tallest;
}

static void put_node(struct canvas *canvas, unsigned node)
{
    const struct hak_topology_node *entry = &canvas->picture->topology->node[node];
    unsigned inside_y = canvas->y + TITLE + GAP / 2;
    struct hak_writer *writer = canvas->writer;
    canvas->writer = NULL;
    unsigned height = TITLE + GAP + put_inside(canvas, node, inside_y) + GAP / 2;
    canvas->writer = writer;
    if (writer != NULL) {
        put_box(canvas, GAP, canvas->y, WIDTH - 2 * GAP, height, "node");
        hak_put(writer, "<text x=\"%u\" y=\"%u\">node %u%s%s</text>\n", 2u * GAP,
                canvas->y + TITLE - 4, entry->id, entry->has_memory ? "" : ", no memory",
                entry->cpus == 0 ? ", no CPUs" : "");
        put_inside(canvas, node, inside_y);
    }
    canvas->y += height + GAP;
}

/* From each shard to the first that it asks: a bow over the CPUs between. */
static void put_arcs(const struct canvas *canvas)
{
    const struct hak_domains *domains = canvas->picture->domains;
    for (unsigned shard = 0; shard < domains->shards && shard < ARCS; shard++) {
        unsigned first = hak_domains_sibling(domains, shard, 0);
        if (first == shard || first >= ARCS)
            continue;
        struct spot from = canvas->spots[shard];
        struct spot to = canvas->spots[first];
        if (from.y == 0 || to.y == 0)
            continue; /* shards that share a CPU have one square for all */
        hak_put(canvas->writer,
                "<path class=\"asks\" d=\"M%u %uQ%u %u %u %u\"><title>shard %u asks shard %u first"
                "</title></path>\n",
                from.x, from.y, (from.x + to.x) / 2, (from.y + to.y) / 2 - 14, to.x, to.y, shard,
                first);
    }
}

static void put_orders(struct canvas *canvas)
{
    const struct hak_domains *domains = canvas->picture->domains;
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        if (canvas->writer != NULL) {
            char asked[ASKED_LETTERS];
            struct hak_writer order = hak_writer_to_buffer(asked, sizeof asked);
            hak_picture_put_asked(canvas->picture, shard, &order);
            hak_writer_flush(&order);
            hak_put(canvas->writer,
                    "<rect x=\"%u\" y=\"%u\" width=\"12\" height=\"12\" "
                    "fill=\"hsl(%u,65%%,75%%)\"/>",
                    2u * GAP, canvas->y - 11, shard * TURN % 360);
            hak_put(canvas->writer, "<text x=\"%u\" y=\"%u\">shard %u, CPUs ", 4u * GAP, canvas->y,
                    shard);
            hak_domains_put_cpus(canvas->writer, domains, shard);
            hak_put(canvas->writer, "%s%s%s</text>\n", domains->shards > 1 ? ": asks " : "", asked,
                    order.total >= sizeof asked ? " ..." : "");
        }
        canvas->y += TITLE;
    }
}

static void put_all(struct canvas *canvas)
{
    canvas->y = 2 * TITLE;
    for (unsigned node = 0; node < canvas->picture->topology->nodes; node++)
        put_node(canvas, node);
    if (canvas->writer != NULL)
        put_arcs(canvas);
    canvas->y += TITLE;
    put_orders(canvas);
}

void hak_picture_svg(const struct hak_picture *picture, struct hak_writer *writer)
{
    struct canvas canvas = {.picture = picture};
    put_all(&canvas);
    unsigned height = canvas.y;
    hak_put(writer,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
            "font-family=\"sans-serif\" font-size=\"13\">\n",
            (unsigned)WIDTH, height);
    hak_put(writer, "<style>.node{fill:#f4f4f4;stroke:#888}.l3{fill:#fff;stroke:#aaa}"
                    ".cpu{stroke:#555}.id{text-anchor:middle;font-size:11px}"
                    ".asks{fill:none;stroke:#333;stroke-opacity:.5}</style>\n");
    hak_put(writer, "<rect width=\"%u\" height=\"%u\" fill=\"#fff\"/>\n", (unsigned)WIDTH, height);
    hak_put(writer, "<text x=\"%u\" y=\"%u\">%u shards by %s, machine from %s</text>\n",
            (unsigned)GAP, (unsigned)TITLE, picture->domains->shards,
            hak_domains_mode_name(picture->domains->mode), picture->topology->source);
    canvas.writer = writer;
    put_all(&canvas);
    hak_put(writer, "</svg>\n");
}
