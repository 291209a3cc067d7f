/* SPDX-License-Identifier: MIT */
/* Asks hwloc what a machine is. One thread a description.
 *
 *   Package        obj->parent of what lies below it; CPUs take the labels of the first Package,
 *     L3           L3 and Core on the way up,
 *       Core
 *         PU
 *     [NUMANode]   hangs at the side of whatever has the same CPUs (memory_first_child); a CPU's
 *     [NUMANode]   node is the one of lowest id at the first such place on the way up. The others
 *                  there (high-bandwidth memory) become nodes without CPUs, as in sysfs.
 *
 * The library is opened by name, not linked: linked, it and libudev would be loaded into every
 * process. dlopen is named weakly, so that a wholly static program does without. */
#include "topology/from_hwloc.h"

#include <dlfcn.h>
#include <errno.h>
#include <hwloc.h>
#include <stddef.h>
#include <string.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/file.h"
#include "os/memory.h"
#include "topology/allowed.h"
#include "topology/hwloc_text.h"

extern __typeof__(dlopen) dlopen __attribute__((weak));
extern __typeof__(dlsym) dlsym __attribute__((weak));
extern __typeof__(dlclose) dlclose __attribute__((weak));

static const char library_name[] = "libhwloc.so.15"; /* the same in all of hwloc 2.x */

struct calls {
    __typeof__(&hwloc_get_api_version) api_version;
    __typeof__(&hwloc_topology_init) init;
    __typeof__(&hwloc_topology_destroy) destroy;
    __typeof__(&hwloc_topology_set_synthetic) set_synthetic;
    __typeof__(&hwloc_topology_set_xmlbuffer) set_xml;
    __typeof__(&hwloc_topology_set_flags) set_flags;
    __typeof__(&hwloc_topology_set_components) set_components;
    __typeof__(&hwloc_topology_set_all_types_filter) set_all_filters;
    __typeof__(&hwloc_topology_set_type_filter) set_filter;
    __typeof__(&hwloc_topology_load) load;
    __typeof__(&hwloc_topology_is_thissystem) is_this_system;
    __typeof__(&hwloc_topology_get_complete_cpuset) complete_cpus;
    __typeof__(&hwloc_topology_get_allowed_cpuset) allowed_cpus;
    __typeof__(&hwloc_bitmap_next) next;
    __typeof__(&hwloc_get_type_depth) depth_of;
    __typeof__(&hwloc_get_nbobjs_by_depth) count;
    __typeof__(&hwloc_get_obj_by_depth) object;
    __typeof__(&hwloc_distances_get_by_depth) distances;
    __typeof__(&hwloc_distances_release) release_distances;
};

static const struct {
    const char *name;
    size_t offset;
} call_names[] = {
    {"hwloc_get_api_version", offsetof(struct calls, api_version)},
    {"hwloc_topology_init", offsetof(struct calls, init)},
    {"hwloc_topology_destroy", offsetof(struct calls, destroy)},
    {"hwloc_topology_set_synthetic", offsetof(struct calls, set_synthetic)},
    {"hwloc_topology_set_xmlbuffer", offsetof(struct calls, set_xml)},
    {"hwloc_topology_set_flags", offsetof(struct calls, set_flags)},
    {"hwloc_topology_set_components", offsetof(struct calls, set_components)},
    {"hwloc_topology_set_all_types_filter", offsetof(struct calls, set_all_filters)},
    {"hwloc_topology_set_type_filter", offsetof(struct calls, set_filter)},
    {"hwloc_topology_load", offsetof(struct calls, load)},
    {"hwloc_topology_is_thissystem", offsetof(struct calls, is_this_system)},
    {"hwloc_topology_get_complete_cpuset", offsetof(struct calls, complete_cpus)},
    {"hwloc_topology_get_allowed_cpuset", offsetof(struct calls, allowed_cpus)},
    {"hwloc_bitmap_next", offsetof(struct calls, next)},
    {"hwloc_get_type_depth", offsetof(struct calls, depth_of)},
    {"hwloc_get_nbobjs_by_depth", offsetof(struct calls, count)},
    {"hwloc_get_obj_by_depth", offsetof(struct calls, object)},
    {"hwloc_distances_get_by_depth", offsetof(struct calls, distances)},
    {"hwloc_distances_release", offsetof(struct calls, release_distances)},
};

/* One reading. */
struct reader {
    struct calls hwloc;
    hwloc_topology_t machine;
    struct hak_topology *topology;
    const char *xml; /* checked; NULL: another way */
};

enum {
    MAJOR_SHIFT = 16,          /* of hwloc's version number */
    SAME_PACKAGE_DISTANCE = 15 /* distance between local and remote nodes: a guess where hwloc tells
                                  none */
};

/* ---- the library --------------------------------------------------------------------------- */

static int find_calls(void *library, struct calls *calls)
{
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(call_names); i++) {
        void *call = dlsym(library, call_names[i].name);
        if (call == NULL)
            return -ENOENT;
        memcpy((char *)calls + call_names[i].offset, &call, sizeof call);
    }
    return calls->api_version() >> MAJOR_SHIFT == HWLOC_API_VERSION >> MAJOR_SHIFT ? 0 : -ENOENT;
}

/* ---- the machine as hwloc keeps it ---------------------------------------------------------- */

/* An older library refuses flags that it does not know: then only the indispensable ones. */
static int set_flags(const struct reader *reader)
{
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED;
    unsigned long finer = flags;
#if HWLOC_API_VERSION >= 0x00020800
    finer |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
             HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#endif
    if (reader->hwloc.set_flags(reader->machine, finer) == 0)
        return 0;
    return reader->hwloc.set_flags(reader->machine, flags);
}

/* Groups stay where they carry structure: nodes within a package hang on them. */
static int load_machine(const struct reader *reader, const struct hak_wish *wish)
{
    static const hwloc_obj_type_t kept[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_CORE};
    const struct calls *hwloc = &reader->hwloc;
    /* hwloc's x86 part would move the calling thread to each CPU in turn: not in the user's
     * process */
    hwloc->set_components(reader->machine, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
    if (wish->way == HAK_WAY_SYNTHETIC && hwloc->set_synthetic(reader->machine, wish->text) != 0)
        return -EINVAL;
    /* its length counts the NUL */
    if (reader->xml != NULL &&
        hwloc->set_xml(reader->machine, reader->xml, (int)strlen(reader->xml) + 1) != 0)
        return -EINVAL;
    if (set_flags(reader) != 0)
        return -EINVAL;
    hwloc->set_all_filters(reader->machine, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc->set_filter(reader->machine, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(kept); i++)
        hwloc->set_filter(reader->machine, kept[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    return hwloc->load(reader->machine) == 0 ? 0 : -EINVAL;
}

static void copy_set(const struct calls *hwloc, hwloc_const_cpuset_t from, struct hak_cpu_set *to)
{
    memset(to, 0, sizeof(*to));
    /* the set may be infinite: hak_cpu_set_add ignores ids beyond its own */
    int id = hwloc->next(from, -1);
    for (; id >= 0 && id < HAK_CPU_SET_MAX; id = hwloc->next(from, id))
        hak_cpu_set_add(to, (unsigned)id);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static unsigned node_index(const struct hak_topology *topology, unsigned id)
{
    unsigned index = 0;
    while (index < topology->nodes && topology->node[index].id != id)
        index++;
    return index;
}

static void enter_node(struct hak_topology *topology, const struct hwloc_obj *object)
{
    if (topology->nodes == HAK_TOPOLOGY_MAX_NODES || object->os_index > UINT16_MAX)
        return;
    unsigned to = topology->nodes++;
    for (; to > 0 && topology->node[to - 1].id > object->os_index; to--)
        topology->node[to] = topology->node[to - 1];
    topology->node[to] = (struct hak_topology_node){
        .id = (uint16_t)object->os_index,
        .has_memory = object->attr->numanode.local_memory != 0,
    };
}

/* The node of lowest id, preferably with memory, at an object's side; memory-side caches may stand
 * between. NULL: none. */
static const struct hwloc_obj *node_beside(const struct hwloc_obj *place,
                                           const struct hwloc_obj *best)
{
    const struct hwloc_obj *at = place->memory_first_child;
    for (; at != NULL; at = at->next_sibling) {
        if (at->type != HWLOC_OBJ_NUMANODE) {
            best = node_beside(at, best);
            continue;
        }
        int has_memory = at->attr->numanode.local_memory != 0;
        int best_has = best != NULL && best->attr->numanode.local_memory != 0;
        if (best == NULL || has_memory > best_has ||
            (has_memory == best_has && at->os_index < best->os_index))
            best = at;
    }
    return best;
}

static const struct hwloc_obj *package_of(const struct hwloc_obj *object)
{
    while (object != NULL && object->type != HWLOC_OBJ_PACKAGE)
        object = object->parent;
    return object;
}

static const struct hwloc_obj *node_object(const struct reader *reader, unsigned number)
{
    return reader->hwloc.object(reader->machine, HWLOC_TYPE_DEPTH_NUMANODE, number);
}

/* hwloc tells no distances: nodes of one package are nearer to each other than to those of
 * another. */
static void guess_distances(const struct reader *reader)
{
    struct hak_topology *topology = reader->topology;
    const struct calls *hwloc = &reader->hwloc;
    unsigned count = (unsigned)hwloc->count(reader->machine, HWLOC_TYPE_DEPTH_NUMANODE);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < count; j++) {
            const struct hwloc_obj *from = node_object(reader, i);
            const struct hwloc_obj *to = node_object(reader, j);
            unsigned a = node_index(topology, from->os_index);
            unsigned b = node_index(topology, to->os_index);
            if (a == b || a == topology->nodes || b == topology->nodes ||
                package_of(from) == NULL || package_of(from) != package_of(to))
                continue;
            topology->distance[a][b] = SAME_PACKAGE_DISTANCE;
        }
    }
}

static void read_distances(const struct reader *reader)
{
    struct hak_topology *topology = reader->topology;
    struct hwloc_distances_s *told = NULL;
    unsigned count = 1;
    if (reader->hwloc.distances(reader->machine, HWLOC_TYPE_DEPTH_NUMANODE, &count, &told,
                                HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) != 0 ||
        count == 0 || told == NULL) {
        guess_distances(reader);
        return;
    }
    for (unsigned i = 0; i < told->nbobjs; i++) {
        for (unsigned j = 0; j < told->nbobjs; j++) {
            unsigned a = node_index(topology, told->objs[i]->os_index);
            unsigned b = node_index(topology, told->objs[j]->os_index);
            uint64_t value = told->values[i * told->nbobjs + j];
            if (a < topology->nodes && b < topology->nodes)
                topology->distance[a][b] = value < UINT8_MAX ? (uint8_t)value : UINT8_MAX;
        }
    }
    reader->hwloc.release_distances(reader->machine, told);
}

static void read_nodes(const struct reader *reader)
{
    unsigned count = (unsigned)reader->hwloc.count(reader->machine, HWLOC_TYPE_DEPTH_NUMANODE);
    for (unsigned i = 0; i < count; i++)
        enter_node(reader->topology, node_object(reader, i));
    if (reader->topology->nodes > 1)
        read_distances(reader);
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

/* The label of the CPUs that share an object: the lowest id of them. */
static uint16_t label_of(const struct calls *hwloc, const struct hwloc_obj *object)
{
    int first = hwloc->next(object->cpuset, -1);
    return first >= 0 && first < HAK_TOPOLOGY_MAX_CPUS ? (uint16_t)first : HAK_TOPOLOGY_UNKNOWN;
}

static void read_cpu(const struct reader *reader, const struct hwloc_obj *cpu)
{
    if (cpu->os_index >= HAK_TOPOLOGY_MAX_CPUS)
        return;
    struct hak_topology_cpu *entry = &reader->topology->cpu[cpu->os_index];
    const struct hwloc_obj *node = NULL;
    for (const struct hwloc_obj *at = cpu; at != NULL; at = at->parent) {
        if (node == NULL)
            node = node_beside(at, NULL);
        if (at->type == HWLOC_OBJ_CORE)
            entry->core = label_of(&reader->hwloc, at);
        else if (at->type == HWLOC_OBJ_L3CACHE)
            entry->l3 = label_of(&reader->hwloc, at);
        else if (at->type == HWLOC_OBJ_PACKAGE)
            entry->package = label_of(&reader->hwloc, at);
    }
    if (node != NULL)
        entry->node = (uint16_t)node_index(reader->topology, node->os_index);
}

static int read_machine(const struct reader *reader)
{
    const struct calls *hwloc = &reader->hwloc;
    struct hak_cpu_set possible, online, allowed;
    int depth = hwloc->depth_of(reader->machine, HWLOC_OBJ_PU);
    unsigned cpus = (unsigned)hwloc->count(reader->machine, depth);
    memset(&online, 0, sizeof online);
    for (unsigned i = 0; i < cpus; i++)
        hak_cpu_set_add(&online, hwloc->object(reader->machine, depth, i)->os_index);
    copy_set(hwloc, hwloc->complete_cpus(reader->machine), &possible);
    copy_set(hwloc, hwloc->allowed_cpus(reader->machine), &allowed);
    hak_topology_begin(reader->topology, &possible, &online);
    read_nodes(reader);
    for (unsigned i = 0; i < cpus; i++)
        read_cpu(reader, hwloc->object(reader->machine, depth, i));
    int error = hak_topology_finish(reader->topology);
    if (error != 0)
        return error;
    hak_allowed_restrict(reader->topology, &allowed);
    reader->topology->imagined = !hwloc->is_this_system(reader->machine);
    return 0;
}

/* ---- the way -------------------------------------------------------------------------------- */

static int read_through(void *library, struct hak_topology *topology, const struct hak_wish *wish,
                        const char *xml)
{
    struct reader reader = {.topology = topology, .xml = xml};
    int error = find_calls(library, &reader.hwloc);
    if (error != 0)
        return error;
    if (reader.hwloc.init(&reader.machine) != 0)
        return -ENOMEM;
    error = load_machine(&reader, wish);
    if (error == 0)
        error = read_machine(&reader);
    reader.hwloc.destroy(reader.machine);
    return error;
}

static int load(struct hak_topology *topology, const struct hak_wish *wish, const char *xml)
{
    if (dlopen == NULL || dlsym == NULL || dlclose == NULL)
        return -ENOENT;
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return -ENOENT;
    int error = read_through(library, topology, wish, xml);
    dlclose(library);
    return error;
}

/* The file is read here: from a device hwloc would read without end. */
static int load_file(struct hak_topology *topology, const struct hak_wish *wish)
{
    const size_t size = HAK_HWLOC_TEXT_BYTES;
    char *pages = hak_os_map(2 * size, hak_os_page_size());
    if (pages == NULL)
        return -ENOMEM;
    char *cleaned = pages + size;
    struct hak_writer writer = hak_writer_to_buffer(cleaned, size);
    long length = hak_os_read_regular(wish->text, pages, size);
    int error = length < 0                 ? -EINVAL
                : length == (long)size - 1 ? -E2BIG
                                           : hak_hwloc_clean_xml(pages, (size_t)length, &writer);
    if (error == 0)
        error = load(topology, wish, cleaned);
    hak_os_unmap(pages, 2 * size);
    return error;
}

int hak_topology_from_hwloc(struct hak_topology *topology, const struct hak_wish *wish)
{
    if (wish->way == HAK_WAY_XML)
        return load_file(topology, wish);
    int error = wish->way == HAK_WAY_SYNTHETIC ? hak_hwloc_check_notation(wish->text) : 0;
    return error != 0 ? error : load(topology, wish, NULL);
}
