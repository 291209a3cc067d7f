/* SPDX-License-Identifier: MIT */
/* The ladder of binding (see bind.h). One thread at a time starts it; any thread asks.
 *
 * STRICT binds in three calls, since under MPOL_BIND alone the kernel kills a process at the first
 * touch of a page that a full node cannot give. First the memory is made present under PREFERRED,
 * which takes from other nodes. Then it is moved, which fails instead of killing. Then it is left
 * PREFERRED, so that touching purged pages again cannot kill either. */
#include "topology/bind.h"

#include <errno.h>

#include "os/lock.h"
#include "os/memory.h"

static struct {
    struct hak_lock lock;           /* over all starts */
    struct hak_os_nodes memory;     /* nodes with memory; only start writes this and the next
                                       field */
    struct hak_os_nodes near;       /* those of them that are used without being asked for: see
                                       bind.h */
    uint32_t has_far;               /* there are others; relaxed */
    struct hak_os_nodes unbindable; /* nodes refused by EINVAL (cpuset); relaxed */
    unsigned memory_nodes;
    enum hak_bind_policy policy;
    uint32_t step;  /* enum hak_bind_step; relaxed: may go down */
    uint32_t blind; /* the kernel does not tell a page's node; relaxed */
    const char *why;
} binding;

static const char *const policy_names[] = {
    [HAK_BIND_PREFERRED] = "preferred",
    [HAK_BIND_STRICT] = "bind",
    [HAK_BIND_INTERLEAVE] = "interleave",
    [HAK_BIND_NONE] = "none",
};

static const char *const step_names[] = {
    [HAK_BIND_STEP_PLAIN] = "plain",
    [HAK_BIND_STEP_FIRST_TOUCH] = "first-touch",
    [HAK_BIND_STEP_BOUND] = "bound",
};

const char *hak_bind_policy_name(enum hak_bind_policy policy)
{
    return policy_names[policy];
}

const char *hak_bind_step_name(enum hak_bind_step step)
{
    return step_names[step];
}

static enum hak_bind_step step_now(void)
{
    /* relaxed: tells what to try; a thread that sees an old value is refused once more */
    return (enum hak_bind_step)__atomic_load_n(&binding.step, __ATOMIC_RELAXED);
}

static enum hak_bind_policy policy_now(void)
{
    return __atomic_load_n(&binding.policy, __ATOMIC_RELAXED); /* relaxed: as above */
}

static void set_step(enum hak_bind_step step, const char *why)
{
    /* relaxed, both: as above; the reason is a constant text */
    __atomic_store_n(&binding.why, why, __ATOMIC_RELAXED);
    __atomic_store_n(&binding.step, (uint32_t)step, __ATOMIC_RELAXED);
}

struct hak_bind_state hak_bind_state(void)
{
    return (struct hak_bind_state){
        .policy = policy_now(),
        .step = step_now(),
        .why = __atomic_load_n(&binding.why, __ATOMIC_RELAXED), /* relaxed: as above */
    };
}

/* ---- what the kernel says -------------------------------------------------------------------- */

static const char *reason_of(int refused)
{
    switch (-refused) {
    case EPERM:
        return "EPERM";
    case EACCES:
        return "EACCES";
    case ENOSYS:
        return "ENOSYS";
    case EINVAL:
        return "EINVAL";
    default:
        return "refused";
    }
}

/* relaxed: bits that tell what to try; start may be writing them */
static int read_bit(const struct hak_os_nodes *nodes, unsigned node)
{
    return (__atomic_load_n(&nodes->word[node / 64], __ATOMIC_RELAXED) >> node % 64 & 1) != 0;
}

static int is_unbindable(unsigned node)
{
    return node >= HAK_OS_NODES || read_bit(&binding.unbindable, node);
}

/* Remembers a refusal, of one node or of all, so that it costs one call. */
static enum hak_bind_result note_refusal(int refused, int node)
{
    if (refused == -ENOMEM)
        return HAK_BIND_REFUSED; /* too many mappings for now */
    if (refused == -EINVAL && node >= 0)
        /* relaxed: as in read_bit */
        __atomic_fetch_or(&binding.unbindable.word[node / 64], (uint64_t)1 << node % 64,
                          __ATOMIC_RELAXED);
    else if (refused != -EINVAL && refused != -EFAULT)
        /* The kernel forbids binding. EINVAL and EFAULT concern only the nodes or memory of one
         * call. */
        set_step(HAK_BIND_STEP_FIRST_TOUCH, reason_of(refused));
    return HAK_BIND_REFUSED;
}

static struct hak_os_nodes only(unsigned node)
{
    struct hak_os_nodes nodes = {{0}};
    hak_os_nodes_add(&nodes, node);
    return nodes;
}

/* Whether the first page lies on another node than asked for: the node is full. */
static int has_spilled(void *memory, int node)
{
    if (__atomic_load_n(&binding.blind, __ATOMIC_RELAXED)) /* relaxed: a hint */
        return 0;
    *(volatile char *)memory = 0;
    int lies_on = hak_os_page_node(memory);
    if (lies_on == -EPERM || lies_on == -ENOSYS || lies_on == -EACCES)
        __atomic_store_n(&binding.blind, 1, __ATOMIC_RELAXED); /* relaxed: as above */
    return lies_on >= 0 && lies_on != node;
}

/* ---- start ----------------------------------------------------------------------------------- */

static void learn_nodes(const struct hak_topology *topology, const struct hak_cpu_set *asked)
{
    struct hak_os_nodes memory = {{0}};
    struct hak_os_nodes near = {{0}};
    unsigned count = 0;
    unsigned near_count = 0;
    for (unsigned index = 0; index < topology->nodes && !topology->imagined; index++) {
        const struct hak_topology_node *node = &topology->node[index];
        if (!node->has_memory || node->id >= HAK_OS_NODES)
            continue;
        hak_os_nodes_add(&memory, node->id);
        count++;
        if (node->cpus == 0 && !hak_cpu_set_has(asked, node->id))
            continue;
        hak_os_nodes_add(&near, node->id);
        near_count++;
    }
    if (near_count == 0)
        near = memory;
    /* relaxed, all: a later start finds the same machine, or one that has changed meanwhile */
    for (unsigned word = 0; word < HAK_OS_NODE_WORDS; word++) {
        __atomic_store_n(&binding.memory.word[word], memory.word[word], __ATOMIC_RELAXED);
        __atomic_store_n(&binding.near.word[word], near.word[word], __ATOMIC_RELAXED);
        __atomic_store_n(&binding.unbindable.word[word], 0, __ATOMIC_RELAXED);
    }
    uint32_t has_far = near_count != 0 && near_count < count;
    __atomic_store_n(&binding.has_far, has_far, __ATOMIC_RELAXED);
    __atomic_store_n(&binding.memory_nodes, count, __ATOMIC_RELAXED);
}

/* Tests a binding that changes nothing. */
static int try_to_bind(void)
{
    size_t size = hak_os_page_size();
    void *page = hak_os_map(size, size);
    if (page == NULL)
        return -ENOMEM;
    int refused = hak_os_bind(page, size, HAK_OS_POLICY_DEFAULT, NULL, HAK_OS_PAGES_LEAVE);
    hak_os_unmap(page, size);
    return refused;
}

static void find_step(const struct hak_topology *topology)
{
    if (topology->imagined) {
        set_step(HAK_BIND_STEP_PLAIN, "not this machine");
        return;
    }
    if (binding.memory_nodes <= 1) {
        set_step(HAK_BIND_STEP_PLAIN, "one node");
        return;
    }
    int refused = try_to_bind();
    if (refused)
        set_step(HAK_BIND_STEP_FIRST_TOUCH, reason_of(refused));
    else
        set_step(HAK_BIND_STEP_BOUND, NULL);
}

void hak_bind_start(const struct hak_topology *topology, enum hak_bind_policy policy,
                    const struct hak_cpu_set *asked)
{
    hak_lock_acquire(&binding.lock);
    /* relaxed: always the same value, since options are read once */
    __atomic_store_n(&binding.policy, policy, __ATOMIC_RELAXED);
    learn_nodes(topology, asked);
    find_step(topology);
    hak_lock_release(&binding.lock);
}

int hak_bind_places_shards(void)
{
    return step_now() == HAK_BIND_STEP_BOUND &&
           (policy_now() == HAK_BIND_PREFERRED || policy_now() == HAK_BIND_STRICT);
}

int hak_bind_is_strict(void)
{
    return step_now() == HAK_BIND_STEP_BOUND && policy_now() == HAK_BIND_STRICT;
}

unsigned hak_bind_memory_nodes(void)
{
    return __atomic_load_n(&binding.memory_nodes, __ATOMIC_RELAXED); /* relaxed: see learn_nodes */
}

int hak_bind_has_memory(int node)
{
    return node >= 0 && node < HAK_OS_NODES && read_bit(&binding.memory, (unsigned)node);
}

bool hak_bind_is_near(int node)
{
    return node >= 0 && node < HAK_OS_NODES && read_bit(&binding.near, (unsigned)node);
}

/* ---- binding --------------------------------------------------------------------------------- */

enum hak_bind_result hak_bind_to(void *memory, size_t size, int node, enum hak_os_pages pages)
{
    if (step_now() != HAK_BIND_STEP_BOUND || node < 0)
        return HAK_BIND_LEFT;
    if (is_unbindable((unsigned)node))
        return HAK_BIND_REFUSED;
    struct hak_os_nodes nodes = only((unsigned)node);
    int refused = hak_os_bind(memory, size, HAK_OS_POLICY_PREFERRED, &nodes, pages);
    return refused ? note_refusal(refused, node) : HAK_BIND_DONE;
}

static enum hak_bind_result bind_strictly(void *memory, size_t size, int node)
{
    enum hak_bind_result result = hak_bind_to(memory, size, node, HAK_OS_PAGES_LEAVE);
    if (result != HAK_BIND_DONE)
        return result;
    if (hak_os_populate(memory, size) != 0)
        return HAK_BIND_FULL;
    struct hak_os_nodes nodes = only((unsigned)node);
    if (hak_os_bind(memory, size, HAK_OS_POLICY_BIND, &nodes, HAK_OS_PAGES_MUST_MOVE) != 0)
        return HAK_BIND_FULL;
    return hak_bind_to(memory, size, node, HAK_OS_PAGES_LEAVE);
}

enum hak_bind_result hak_bind_spread(void *memory, size_t size, const struct hak_os_nodes *nodes)
{
    if (step_now() != HAK_BIND_STEP_BOUND)
        return HAK_BIND_LEFT;
    if (nodes == NULL)
        nodes = &binding.near;
    int refused = hak_os_bind(memory, size, HAK_OS_POLICY_INTERLEAVE, nodes, HAK_OS_PAGES_LEAVE);
    return refused ? note_refusal(refused, HAK_NODE_ANY) : HAK_BIND_DONE;
}

/* ---- several nodes --------------------------------------------------------------------------- */

/* Policies that this kernel does not know: bits by enum hak_os_policy. relaxed, all: they only say
 * what to try. */
static uint32_t unknown_policies;

/* As hak_os_bind, but a policy that the kernel does not know is not tried again (knows_not). EINVAL
 * may also be due to the nodes. */
static int bind_as(void *memory, size_t size, enum hak_os_policy policy,
                   const struct hak_os_nodes *nodes)
{
    uint32_t bit = UINT32_C(1) << policy;
    if ((__atomic_load_n(&unknown_policies, __ATOMIC_RELAXED) & bit) != 0)
        return -EINVAL;
    return hak_os_bind(memory, size, policy, nodes, HAK_OS_PAGES_LEAVE);
}

/* A simpler policy did what this one could not. */
static void knows_not(enum hak_os_policy policy)
{
    __atomic_fetch_or(&unknown_policies, UINT32_C(1) << policy, __ATOMIC_RELAXED);
}

static int has_node(const struct hak_os_nodes *nodes, int node)
{
    return node >= 0 && node < HAK_OS_NODES && (nodes->word[node / 64] >> node % 64 & 1) != 0;
}

/* The memory's own node, if it is among them, else the first. */
static unsigned begin_with(const struct hak_os_nodes *nodes, int node)
{
    unsigned first = 0;
    if (has_node(nodes, node))
        return (unsigned)node;
    while (first < HAK_OS_NODES - 1 && !has_node(nodes, (int)first))
        first++;
    return first;
}

static int prefer(void *memory, size_t size, const struct hak_os_nodes *nodes, unsigned first)
{
    struct hak_os_nodes one = only(first);
    int refused = bind_as(memory, size, HAK_OS_POLICY_PREFERRED_MANY, nodes);
    if (refused == -EINVAL) {
        refused = hak_os_bind(memory, size, HAK_OS_POLICY_PREFERRED, &one, HAK_OS_PAGES_LEAVE);
        if (refused == 0)
            knows_not(HAK_OS_POLICY_PREFERRED_MANY);
    } else if (refused == 0)
        hak_os_bind_home(memory, size, first); /* refused: the kernel begins where we run */
    return refused;
}

/* Tries the node, and from there the near ones, before all others, if there are others. */
static enum hak_bind_result spill_near(void *memory, size_t size, int node)
{
    /* relaxed: see learn_nodes */
    if (!__atomic_load_n(&binding.has_far, __ATOMIC_RELAXED) || !hak_bind_is_near(node) ||
        is_unbindable((unsigned)node))
        return hak_bind_to(memory, size, node, HAK_OS_PAGES_LEAVE);
    int refused = prefer(memory, size, &binding.near, (unsigned)node);
    return refused != 0 ? note_refusal(refused, node) : HAK_BIND_DONE;
}

enum hak_bind_result hak_bind_fresh(void *memory, size_t size, int node)
{
    if (step_now() != HAK_BIND_STEP_BOUND || policy_now() == HAK_BIND_NONE)
        return HAK_BIND_LEFT;
    if (policy_now() == HAK_BIND_INTERLEAVE && node != HAK_NODE_SPREAD)
        return hak_bind_spread(memory, size, NULL);
    if (policy_now() == HAK_BIND_STRICT && node >= 0)
        return bind_strictly(memory, size, node);
    enum hak_bind_result result = spill_near(memory, size, node);
    return result == HAK_BIND_DONE && has_spilled(memory, node) ? HAK_BIND_SPILLED : result;
}

/* As bind_strictly. */
static enum hak_bind_result confine(void *memory, size_t size, const struct hak_os_nodes *nodes,
                                    unsigned first)
{
    if (hak_os_populate(memory, size) != 0 ||
        hak_os_bind(memory, size, HAK_OS_POLICY_BIND, nodes, HAK_OS_PAGES_MUST_MOVE) != 0)
        return HAK_BIND_FULL;
    /* A range that stays bound might end the process when its pages come back. */
    return prefer(memory, size, nodes, first) == 0 ? HAK_BIND_DONE : HAK_BIND_FULL;
}

static int spread(void *memory, size_t size, const struct hak_os_nodes *nodes,
                  enum hak_bind_manner manner)
{
    int refused = -EINVAL;
    if (manner == HAK_BIND_MANNER_WEIGHTED)
        refused = bind_as(memory, size, HAK_OS_POLICY_WEIGHTED, nodes);
    if (refused != -EINVAL)
        return refused;
    refused = hak_os_bind(memory, size, HAK_OS_POLICY_INTERLEAVE, nodes, HAK_OS_PAGES_LEAVE);
    if (refused == 0 && manner == HAK_BIND_MANNER_WEIGHTED)
        knows_not(HAK_OS_POLICY_WEIGHTED);
    return refused;
}

enum hak_bind_result hak_bind_among(void *memory, size_t size, const struct hak_os_nodes *nodes,
                                    enum hak_bind_manner manner, int node)
{
    if (step_now() != HAK_BIND_STEP_BOUND)
        return HAK_BIND_LEFT;
    unsigned first = begin_with(nodes, node);
    int refused = manner >= HAK_BIND_MANNER_INTERLEAVE ? spread(memory, size, nodes, manner)
                                                       : prefer(memory, size, nodes, first);
    if (refused != 0) {
        enum hak_bind_result result = note_refusal(refused, HAK_NODE_ANY);
        /* Where binding is allowed at all, nothing else gives "only". */
        bool may_not = manner == HAK_BIND_MANNER_ONLY && step_now() == HAK_BIND_STEP_BOUND;
        return may_not ? HAK_BIND_FULL : result;
    }
    return manner == HAK_BIND_MANNER_ONLY ? confine(memory, size, nodes, first) : HAK_BIND_DONE;
}
