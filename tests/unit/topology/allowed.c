/* SPDX-License-Identifier: MIT */
/* topology/allowed.c: the kernel's CPUs are kept, a set of another machine is ignored. */
#define _GNU_SOURCE
#include "topology/allowed.h"

#include <pthread.h>
#include <sched.h>

#include "tests/lib/tap.h"

static void is_affinity(void)
{
    struct hak_cpu_set set;
    cpu_set_t wanted;
    REQUIRE(sched_getaffinity(0, sizeof(wanted), &wanted) == 0);
    EXPECT_EQ(hak_allowed_read(&set), 0);
    EXPECT_EQ(hak_cpu_set_count(&set), CPU_COUNT(&wanted));
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        EXPECT_EQ(hak_cpu_set_has(&set, cpu), CPU_ISSET(cpu, &wanted) != 0);
}

static void *read_bound(void *result)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    EXPECT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(hak_allowed_read(result), 0);
    return NULL;
}

/* A bound thread asks: the process may use more. */
static void is_the_process_s(void)
{
    struct hak_cpu_set set;
    cpu_set_t wanted;
    pthread_t thread;
    REQUIRE(sched_getaffinity(0, sizeof(wanted), &wanted) == 0);
    REQUIRE(pthread_create(&thread, NULL, read_bound, &set) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    EXPECT_EQ(hak_cpu_set_count(&set), CPU_COUNT(&wanted));
}

static void restricts(void)
{
    struct hak_cpu_set possible, online, set;
    struct hak_topology *topology = hak_topology_map();
    REQUIRE(topology != NULL);
    hak_cpu_set_parse(&possible, "0-7");
    hak_cpu_set_parse(&online, "0-5");
    hak_topology_begin(topology, &possible, &online);
    REQUIRE(hak_topology_finish(topology) == 0);

    hak_cpu_set_parse(&set, "6-7,100");
    hak_allowed_restrict(topology, &set);
    EXPECT_EQ(topology->allowed, 6);

    hak_cpu_set_parse(&set, "1,3,6,100");
    hak_allowed_restrict(topology, &set);
    EXPECT_EQ(topology->allowed, 2);
    for (unsigned cpu = 0; cpu < 8; cpu++)
        EXPECT_EQ((topology->cpu[cpu].state & HAK_CPU_ALLOWED) != 0, cpu == 1 || cpu == 3);
    hak_topology_unmap(topology);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the allowed CPUs are the affinity", is_affinity},
        {"a bound thread does not narrow them", is_the_process_s},
        {"a set restricts, unless it would leave none", restricts},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
