/* SPDX-License-Identifier: MIT */
/* The machine on which shards are placed. The constructor writes the kept description; any thread
 * reads it, and it is never unmapped. */
#include "api/machine.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "api/options.h"
#include "os/print.h"
#include "topology/discover.h"
#include "topology/domains.h"

extern char **environ; /* libc's; <unistd.h> is os/'s door */

static const struct hak_topology *kept; /* NULL: read sysfs; release, acquire */
static uint32_t forgotten;              /* 1: read sysfs nevertheless; relaxed */
static struct hak_discovered at_start;  /* written by the constructor */
static bool is_small;

/* The environment that hwloc sees. Its plugins would load X11 and OpenCL into the process; only
 * this variable prevents that: /dev/null holds no plugins. The program's other variables for hwloc
 * are not meant for our use of it. */
static char no_plugins[] = "HWLOC_PLUGINS_PATH=/dev/null";
static char no_messages[] = "HWLOC_HIDE_ERRORS=2";
static char *hwloc_environment[] = {no_plugins, no_messages, NULL};

/* setenv would allocate and change the program's environment. The pointer is restored before any
 * code of the program runs; but if a program with threads loads us by dlopen, its threads see only
 * these two variables meanwhile. */
static const struct hak_topology *read_once(void)
{
    const struct hak_discover_request request = {.detail = HAK_DETAIL_CORES,
                                                 .wish = hak_options.topology};
    char **saved = environ;
    environ = hwloc_environment;
    const struct hak_topology *topology = hak_topology_discover(&request);
    environ = saved;
    return topology;
}

static void complain(const struct hak_topology *topology)
{
    const char *why = "hwloc does not understand it";
    if (topology->refused == -EINVAL && hak_options.topology.way == HAK_WAY_XML)
        why = "no regular file of a machine that hwloc 2 recorded";
    if (topology->refused == -ENOENT)
        why = "hwloc 2 (libhwloc.so.15) cannot be loaded";
    else if (topology->refused == -E2BIG)
        why = "too large a machine; allowed: 4096 objects, 256 nodes, 32 levels";
    else if (topology->refused == -ENOMEM)
        why = "no memory";
    static const char *const words[] = {
        [HAK_WAY_AUTO] = "auto",   [HAK_WAY_SYSFS] = "sysfs",
        [HAK_WAY_HWLOC] = "hwloc", [HAK_WAY_SYNTHETIC] = "synthetic:",
        [HAK_WAY_XML] = "xml:",
    };
    const struct hak_wish *wish = &hak_options.topology;
    char text[512];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hak_put(&writer, "hakmem: HAKMEM_TOPOLOGY=%s", words[wish->way]);
    hak_options_put_shown(&writer, wish->text != NULL ? wish->text : "");
    hak_put(&writer, ": %s; using auto\n", why);
    hak_writer_flush(&writer);
}

/* Takes some microseconds. With many CPUs this is not enough: caches and nodes must be read. */
static void ask(void)
{
    is_small = hak_topology_ask(&at_start) == 0 && at_start.node >= 0 &&
               hak_cpu_set_count(&at_start.cpus) <= HAK_DOMAINS_AUTO_CPUS;
}

bool hak_machine_is_small(void)
{
    return is_small;
}

unsigned hak_machine_cpus(void)
{
    return (unsigned)hak_cpu_set_count(&at_start.cpus);
}

const struct hak_topology *hak_machine_get_small(void)
{
    return hak_topology_of(&at_start);
}

void hak_machine_start(void)
{
    enum hak_topology_way way = hak_options.topology.way;
    if (way == HAK_WAY_AUTO)
        ask();
    if (way == HAK_WAY_AUTO || way == HAK_WAY_SYSFS)
        return;
    int saved = errno;
    const struct hak_topology *topology = read_once();
    errno = saved;
    if (topology == NULL)
        return;
    if (topology->refused != 0) {
        complain(topology);
        hak_topology_unmap(topology);
        return;
    }
    /* release: pairs with the acquire in kept_topology */
    __atomic_store_n(&kept, topology, __ATOMIC_RELEASE);
}

/* acquire: pairs with the release in hak_machine_start */
static const struct hak_topology *kept_topology(void)
{
    return __atomic_load_n(&kept, __ATOMIC_ACQUIRE);
}

static bool is_kept(void)
{
    return kept_topology() != NULL;
}

const struct hak_topology *hak_machine_get(enum hak_topology_detail detail,
                                           const struct hak_cpu_set *also)
{
    /* relaxed: a description that is kept stays valid */
    if (is_kept() && __atomic_load_n(&forgotten, __ATOMIC_RELAXED) == 0)
        return kept_topology();
    const struct hak_discover_request request = {.detail = detail, .also = also};
    return hak_topology_discover(&request);
}

void hak_machine_put(const struct hak_topology *topology)
{
    if (topology != kept_topology())
        hak_topology_unmap(topology);
}

void hak_machine_forget(void)
{
    /* relaxed: as in hak_machine_get */
    if (is_kept() && !kept_topology()->imagined)
        __atomic_store_n(&forgotten, 1, __ATOMIC_RELAXED);
}

static struct hak_machine_facts facts; /* written by the thread that places shards */

void hak_machine_note(const struct hak_topology *topology)
{
    facts = (struct hak_machine_facts){topology->source, topology->allowed, topology->nodes,
                                       topology->l3s};
}

struct hak_machine_facts hak_machine_facts(void)
{
    return facts;
}
