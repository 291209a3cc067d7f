/* SPDX-License-Identifier: MIT */
/* Bounds for hwloc. One thread a text.
 *
 *   tags     <name attribute="value" ...>, nothing nested in them; only distances have text
 *   objects  Machine > Package > L3Cache > Core > PU, Groups between, NUMANodes beside any of them.
 *            Others are left out: devices with all below them, caches and dies without.
 *   sets     a child's CPUs are its parent's, those of siblings are disjoint; each id occurs once
 *
 * Work: one pass over the text, and for each object a few sets of 512 bytes. Memory: struct
 * machine. */
#include "topology/hwloc_text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "os/bits.h"
#include "os/memory.h"
#include "topology/cpu_set.h"
#include "topology/topology.h"

/* ---- the notation --------------------------------------------------------------------------- */

/* The text behind the bracket that closes the one at `at`; brackets do not nest. NULL: none. */
static const char *behind(const char *at, char closing)
{
    at = strchr(at, closing);
    return at != NULL ? at + 1 : NULL;
}

/* The count of "type:count" or "count", 0 if there is none. Hexadecimal is not accepted. */
static size_t count_at(const char *word, size_t length)
{
    const char *colon = memchr(word, ':', length);
    size_t at = colon != NULL ? (size_t)(colon + 1 - word) : 0;
    size_t count = 0;
    for (; at < length && word[at] >= '0' && word[at] <= '9'; at++)
        count = count < HAK_HWLOC_OBJECTS ? count * 10 + (size_t)(word[at] - '0') : count;
    return at == length ? count : 0;
}

int hak_hwloc_check_notation(const char *text)
{
    size_t width = 1, objects = 1, nodes = 0;
    unsigned levels = 0;
    if (strlen(text) > HAK_HWLOC_NOTATION_BYTES)
        return -E2BIG;
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, " \n([");
        if (*text == '(') {
            text = behind(text, ')');
        } else if (*text == '[') { /* memory, at each object of this level */
            objects += width;
            nodes += width;
            text = behind(text, ']');
        } else if (length == 0) {
            text++;
        } else {
            size_t count = count_at(text, length);
            if (count == 0)
                return -EINVAL;
            width *= count;
            objects += width;
            nodes += *text == 'n' || *text == 'N' ? width : 0;
            levels++;
            text += length;
        }
        if (width > HAK_HWLOC_OBJECTS || objects > HAK_HWLOC_OBJECTS + 1 ||
            levels > HAK_HWLOC_LEVELS || nodes > HAK_TOPOLOGY_MAX_NODES)
            return -E2BIG;
    }
    return 0;
}

/* ---- tags ----------------------------------------------------------------------------------- */

enum {
    ATTRIBUTES = 64,
    SET_GROUP_BITS = 32,
};

struct span {
    const char *at;
    size_t length;
};

struct tag {
    struct span name;
    bool closes;   /* </name> */
    bool is_empty; /* <name/> */
    unsigned attributes;
    struct span attribute[ATTRIBUTES];
    struct span value[ATTRIBUTES];
};

enum type { NO_TYPE, MACHINE, PACKAGE, L3, CORE, PU, GROUP, NODE, PASSED, LEFT_OUT };

/* An object that is open. */
struct level {
    enum type type;
    unsigned rank; /* types below have a higher one */
    struct hak_cpu_set cpus;
    struct hak_cpu_set taken; /* by its children */
};

struct machine {
    const char *at;
    const char *end;
    struct hak_writer *cleaned;
    struct tag tag;
    unsigned objects;
    unsigned open; /* levels, including those that were skipped */
    bool has_root;
    struct level level[HAK_HWLOC_LEVELS];
    struct hak_cpu_set nodes; /* seen */
    struct hak_cpu_set root_nodes;
    struct hak_cpu_set set;
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static bool is_word(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

static bool is(struct span span, const char *word)
{
    return strlen(word) == span.length && memcmp(word, span.at, span.length) == 0;
}

static void skip_blanks(struct machine *machine)
{
    while (machine->at < machine->end && is_blank(*machine->at))
        machine->at++;
}

static bool take(struct machine *machine, char byte)
{
    if (machine->at == machine->end || *machine->at != byte)
        return false;
    machine->at++;
    return true;
}

static struct span take_word(struct machine *machine)
{
    struct span word = {machine->at, 0};
    for (; machine->at < machine->end && is_word(*machine->at); machine->at++)
        word.length++;
    return word;
}

/* name="value", the value without quotes, brackets or line ends. */
static int take_attribute(struct machine *machine)
{
    struct tag *tag = &machine->tag;
    if (tag->attributes == ATTRIBUTES)
        return -E2BIG;
    struct span name = take_word(machine);
    if (name.length == 0 || !take(machine, '=') || !take(machine, '"'))
        return -EINVAL;
    struct span value = {machine->at, 0};
    for (; machine->at < machine->end && *machine->at != '"'; machine->at++) {
        if (*machine->at == '<' || *machine->at == '>' || *machine->at == '\n')
            return -EINVAL;
        value.length++;
    }
    tag->attribute[tag->attributes] = name;
    tag->value[tag->attributes++] = value;
    return take(machine, '"') ? 0 : -EINVAL;
}

/* Reads the next tag into machine->tag. */
static int take_tag(struct machine *machine)
{
    struct tag *tag = &machine->tag;
    skip_blanks(machine);
    if (!take(machine, '<'))
        return -EINVAL;
    tag->attributes = 0;
    tag->closes = take(machine, '/');
    tag->name = take_word(machine);
    for (;;) {
        skip_blanks(machine);
        tag->is_empty = take(machine, '/');
        if (take(machine, '>'))
            return tag->name.length != 0 && !(tag->closes && tag->is_empty) ? 0 : -EINVAL;
        int refused = tag->is_empty ? -EINVAL : take_attribute(machine);
        if (refused != 0)
            return refused;
    }
}

/* An empty span: the tag has no such attribute. */
static struct span value_of(const struct tag *tag, const char *name)
{
    for (unsigned i = 0; i < tag->attributes; i++)
        if (is(tag->attribute[i], name))
            return tag->value[i];
    return (struct span){"", 0};
}

/* Skips the rest of an element whose tag was read, whatever is in it. */
static int skip_element(struct machine *machine)
{
    unsigned open = machine->tag.is_empty ? 0 : 1;
    while (open != 0) {
        while (machine->at < machine->end && *machine->at != '<')
            machine->at++;
        int refused = take_tag(machine);
        if (refused != 0)
            return refused;
        if (machine->tag.closes)
            open--;
        else if (!machine->tag.is_empty)
            open++;
    }
    return 0;
}

/* ---- numbers and sets ----------------------------------------------------------------------- */

/* A decimal number of at most `limit`; limit + 1: no such number. */
static uint64_t number_of(struct span text, uint64_t limit)
{
    uint64_t number = 0;
    if (text.length == 0)
        return limit + 1;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || number > limit)
            return limit + 1;
        number = number * 10 + (uint64_t)(text.at[i] - '0');
    }
    return number <= limit ? number : limit + 1;
}

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* 32 bits, "0x0000000f" or nothing. */
static int group_of(struct span text, uint64_t *bits)
{
    *bits = 0;
    if (text.length == 0)
        return 0;
    if (text.length < 3 || text.length > 10 || text.at[0] != '0' || text.at[1] != 'x')
        return -EINVAL;
    for (size_t i = 2; i < text.length; i++) {
        int digit = digit_of(text.at[i]);
        if (digit < 0)
            return -EINVAL;
        *bits = *bits * 16 + (uint64_t)digit;
    }
    return 0;
}

/* Groups separated by commas, the highest first. Infinite sets are refused. */
static int set_of(struct span text, struct hak_cpu_set *set)
{
    memset(set, 0, sizeof *set);
    size_t end = text.length;
    for (unsigned group = 0;; group++) {
        size_t start = end;
        uint64_t bits;
        while (start > 0 && text.at[start - 1] != ',')
            start--;
        if (group == HAK_CPU_SET_MAX / SET_GROUP_BITS)
            return -E2BIG;
        if (group_of((struct span){text.at + start, end - start}, &bits) != 0)
            return -EINVAL;
        set->words[group / 2] |= bits << group % 2 * SET_GROUP_BITS;
        if (start == 0)
            return text.length != 0 ? 0 : -EINVAL;
        end = start - 1;
    }
}

static bool lies_in(const struct hak_cpu_set *part, const struct hak_cpu_set *whole)
{
    uint64_t outside = 0;
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        outside |= part->words[word] & ~whole->words[word];
    return outside == 0;
}

static bool meets(const struct hak_cpu_set *some, const struct hak_cpu_set *others)
{
    uint64_t both = 0;
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        both |= some->words[word] & others->words[word];
    return both != 0;
}

static bool is_only(const struct hak_cpu_set *set, uint64_t id)
{
    return id < HAK_CPU_SET_MAX && hak_cpu_set_count(set) == 1 &&
           hak_cpu_set_has(set, (unsigned)id);
}

/* ---- objects -------------------------------------------------------------------------------- */

static enum type type_of(struct span name)
{
    static const struct {
        const char *name;
        enum type type;
    } types[] = {
        {"Machine", MACHINE}, {"Package", PACKAGE}, {"L3Cache", L3},      {"Core", CORE},
        {"PU", PU},           {"Group", GROUP},     {"NUMANode", NODE},   {"Die", PASSED},
        {"L1Cache", PASSED},  {"L2Cache", PASSED},  {"L4Cache", PASSED},  {"L5Cache", PASSED},
        {"L1iCache", PASSED}, {"L2iCache", PASSED}, {"L3iCache", PASSED}, {"MemCache", PASSED},
        {"Misc", LEFT_OUT},   {"Bridge", LEFT_OUT}, {"PCIDev", LEFT_OUT}, {"OSDev", LEFT_OUT},
    };
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(types); i++)
        if (is(name, types[i].name))
            return types[i].type;
    return NO_TYPE;
}

static void put_span(struct machine *machine, const char *name, struct span value)
{
    hak_put(machine->cleaned, " %s=\"", name);
    hak_put_bytes(machine->cleaned, value.at, value.length);
    hak_put_text(machine->cleaned, "\"");
}

/* The sets: hwloc relies on them without a check. Below the root, all CPUs that are named exist. */
static int put_sets(struct machine *machine, const struct hak_cpu_set *cpus, bool is_root)
{
    static const char *const of_root[] = {"complete_cpuset", "allowed_cpuset", "allowed_nodeset"};
    const struct tag *tag = &machine->tag;
    struct span cpuset = value_of(tag, "cpuset"), nodeset = value_of(tag, "nodeset");
    if (set_of(nodeset, &machine->set) != 0 ||
        (!is_root && !lies_in(&machine->set, &machine->root_nodes)))
        return -EINVAL;
    if (is_root)
        machine->root_nodes = machine->set;
    put_span(machine, "cpuset", cpuset);
    put_span(machine, "nodeset", nodeset);
    put_span(machine, "complete_nodeset", nodeset);
    if (!is_root)
        put_span(machine, "complete_cpuset", cpuset);
    for (size_t i = 0; is_root && i < HAK_ARRAY_LENGTH(of_root); i++) {
        struct span value = value_of(tag, of_root[i]);
        if (value.length == 0)
            value = i < 2 ? cpuset : nodeset;
        if (set_of(value, &machine->set) != 0 || (i == 0 && !lies_in(cpus, &machine->set)))
            return -EINVAL;
        put_span(machine, of_root[i], value);
    }
    return 0;
}

static int put_numbers(struct machine *machine)
{
    static const char *const numbers[] = {"os_index",   "gp_index", "local_memory",
                                          "cache_size", "depth",    "cache_type"};
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(numbers); i++) {
        struct span value = value_of(&machine->tag, numbers[i]);
        if (value.length == 0)
            continue;
        if (number_of(value, UINT64_MAX / 16) > UINT64_MAX / 16)
            return -EINVAL;
        put_span(machine, numbers[i], value);
    }
    return 0;
}

/* The CPUs of an object that lies in `parent`, into `cpus`. */
static int check_cpus(struct machine *machine, enum type type, struct level *parent,
                      struct hak_cpu_set *cpus)
{
    uint64_t id = number_of(value_of(&machine->tag, "os_index"), HAK_CPU_SET_MAX);
    if (set_of(value_of(&machine->tag, "cpuset"), cpus) != 0)
        return -EINVAL;
    if (type == PU && !is_only(cpus, id))
        return -EINVAL;
    if (parent != NULL && !lies_in(cpus, &parent->cpus))
        return -EINVAL;
    if (type == NODE || type == PASSED || parent == NULL)
        return 0;
    if (hak_cpu_set_count(cpus) == 0 || meets(cpus, &parent->taken))
        return -EINVAL;
    hak_cpu_set_add_all(&parent->taken, cpus);
    return 0;
}

/* Each node once, by a set that holds only this node. */
static int check_node(struct machine *machine)
{
    uint64_t id = number_of(value_of(&machine->tag, "os_index"), HAK_CPU_SET_MAX);
    if (set_of(value_of(&machine->tag, "nodeset"), &machine->set) != 0 ||
        !is_only(&machine->set, id) || meets(&machine->set, &machine->nodes))
        return -EINVAL;
    hak_cpu_set_add_all(&machine->nodes, &machine->set);
    return hak_cpu_set_count(&machine->nodes) <= HAK_TOPOLOGY_MAX_NODES ? 0 : -E2BIG;
}

/* The innermost open object that is written to the new text. */
static struct level *parent_of(struct machine *machine)
{
    for (unsigned i = machine->open; i > 0; i--)
        if (machine->level[i - 1].type != PASSED)
            return &machine->level[i - 1];
    return NULL;
}

static int check_place(const struct machine *machine, enum type type, const struct level *parent)
{
    if ((type == MACHINE) != (parent == NULL) || (type == MACHINE && machine->has_root))
        return -EINVAL;
    if (parent == NULL)
        return 0;
    if (parent->type == PU || parent->type == NODE)
        return -EINVAL;
    bool is_in_order = type == GROUP ? parent->rank < CORE : type > parent->rank;
    return is_in_order ? 0 : -EINVAL;
}

static int take_object(struct machine *machine)
{
    enum type type = type_of(value_of(&machine->tag, "type"));
    if (type == LEFT_OUT)
        return skip_element(machine);
    if (type == NO_TYPE)
        return -EINVAL;
    if (machine->open == HAK_HWLOC_LEVELS || machine->objects++ == 4 * HAK_HWLOC_OBJECTS)
        return -E2BIG;
    struct level *parent = parent_of(machine), *level = &machine->level[machine->open];
    int refused = check_place(machine, type, parent);
    if (refused == 0)
        refused = check_cpus(machine, type, parent, &level->cpus);
    if (refused == 0 && type == NODE)
        refused = check_node(machine);
    if (refused != 0)
        return refused;
    memset(&level->taken, 0, sizeof level->taken);
    level->type = type;
    level->rank = type == GROUP ? parent->rank : (unsigned)type;
    machine->has_root = true;
    machine->open += !machine->tag.is_empty;
    if (type == PASSED)
        return 0;
    hak_put_text(machine->cleaned, "<object");
    put_span(machine, "type", value_of(&machine->tag, "type"));
    refused = put_sets(machine, &level->cpus, type == MACHINE);
    if (refused == 0)
        refused = put_numbers(machine);
    hak_put_text(machine->cleaned, machine->tag.is_empty ? "/>\n" : ">\n");
    return refused;
}

static int close_object(struct machine *machine)
{
    if (machine->open == 0)
        return -EINVAL;
    if (machine->level[--machine->open].type != PASSED)
        hak_put_text(machine->cleaned, "</object>\n");
    return 0;
}

/* ---- distances ------------------------------------------------------------------------------ */

/* <name length="...">numbers</name>, written with its right length. How many numbers, or -errno. */
static int take_numbers(struct machine *machine)
{
    struct span name = machine->tag.name, text = {machine->at, 0};
    int count = 0;
    if (machine->tag.is_empty)
        return -EINVAL;
    for (; machine->at < machine->end && *machine->at != '<'; machine->at++) {
        bool is_digit = *machine->at >= '0' && *machine->at <= '9';
        if (!is_digit && *machine->at != ' ')
            return -EINVAL;
        count += is_digit && (text.length == 0 || machine->at[-1] == ' ');
        text.length++;
    }
    int refused = take_tag(machine);
    if (refused != 0 || !machine->tag.closes || text.length == 0)
        return -EINVAL;
    hak_put(machine->cleaned, "<%s length=\"%zu\">", is(name, "indexes") ? "indexes" : "u64values",
            text.length);
    hak_put_bytes(machine->cleaned, text.at, text.length);
    hak_put(machine->cleaned, "</%s>\n", is(name, "indexes") ? "indexes" : "u64values");
    return count;
}

/* Only latencies between nodes are used. */
static int take_distances(struct machine *machine)
{
    const struct tag *tag = &machine->tag;
    uint64_t nodes = number_of(value_of(tag, "nbobjs"), HAK_TOPOLOGY_MAX_NODES);
    uint64_t kind = number_of(value_of(tag, "kind"), 1000);
    uint64_t count[2] = {0, 0}; /* ids, values */
    if (!is(value_of(tag, "type"), "NUMANode") || !is(value_of(tag, "indexing"), "os") ||
        tag->is_empty || kind > 1000)
        return skip_element(machine);
    if (nodes < 2 || nodes > HAK_TOPOLOGY_MAX_NODES)
        return -EINVAL;
    hak_put(machine->cleaned,
            "<distances2 type=\"NUMANode\" nbobjs=\"%lu\" kind=\"%lu\" indexing=\"os\">\n",
            (unsigned long)nodes, (unsigned long)kind);
    for (;;) {
        int refused = take_tag(machine);
        if (refused != 0)
            return refused;
        if (tag->closes)
            break;
        bool is_values = is(tag->name, "u64values");
        if (!is_values && !is(tag->name, "indexes"))
            return -EINVAL;
        int numbers = take_numbers(machine);
        if (numbers < 0)
            return numbers;
        count[is_values] += (uint64_t)numbers;
    }
    hak_put_text(machine->cleaned, "</distances2>\n");
    return count[0] == nodes && count[1] == nodes * nodes ? 0 : -EINVAL;
}

/* ---- the whole text ------------------------------------------------------------------------- */

/* What precedes <topology>: <?xml ...?>, <!DOCTYPE ...>. */
static int skip_head(struct machine *machine)
{
    for (;;) {
        skip_blanks(machine);
        if (machine->end - machine->at < 2 || machine->at[0] != '<')
            return -EINVAL;
        if (machine->at[1] != '?' && machine->at[1] != '!')
            return 0;
        const char *end = memchr(machine->at, '>', (size_t)(machine->end - machine->at));
        if (end == NULL)
            return -EINVAL;
        machine->at = end + 1;
    }
}

static int take_machine(struct machine *machine)
{
    const struct tag *tag = &machine->tag;
    int refused = skip_head(machine);
    if (refused == 0)
        refused = take_tag(machine);
    if (refused != 0 || !is(tag->name, "topology") || tag->is_empty || tag->closes ||
        value_of(tag, "version").length < 2 || value_of(tag, "version").at[0] != '2' ||
        value_of(tag, "version").at[1] != '.')
        return -EINVAL;
    hak_put_text(machine->cleaned, "<topology version=\"2.0\">\n");
    while (refused == 0) {
        refused = take_tag(machine);
        if (refused != 0)
            break;
        if (tag->closes && is(tag->name, "topology"))
            break;
        if (tag->closes)
            refused = is(tag->name, "object") ? close_object(machine) : -EINVAL;
        else if (is(tag->name, "object"))
            refused = take_object(machine);
        else if (is(tag->name, "distances2") && machine->open == 0 && machine->has_root)
            refused = take_distances(machine);
        else
            refused = skip_element(machine);
    }
    hak_put_text(machine->cleaned, "</topology>\n");
    if (refused != 0)
        return refused;
    return machine->open == 0 && machine->has_root &&
                   hak_cpu_set_next(&machine->nodes, 0) < HAK_CPU_SET_MAX
               ? 0
               : -EINVAL;
}

int hak_hwloc_clean_xml(const char *text, size_t length, struct hak_writer *cleaned)
{
    size_t size = hak_align_up(sizeof(struct machine), hak_os_page_size());
    struct machine *machine = hak_os_map(size, hak_os_page_size());
    if (machine == NULL)
        return -ENOMEM;
    machine->at = text;
    machine->end = text + length;
    machine->cleaned = cleaned;
    int refused = take_machine(machine);
    hak_writer_flush(cleaned);
    hak_os_unmap(machine, size);
    if (refused == 0 && cleaned->total >= cleaned->capacity)
        refused = -E2BIG;
    return refused;
}
