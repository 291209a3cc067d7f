/* SPDX-License-Identifier: MIT */
/* front_cpu_answers.c - the answers of the five sequences when they cannot serve: fronts closed,
 * magazines empty or full, another home. A compiler has lost these answers (front_cpu.h), so every
 * call stands in a function in which both ways out of the sequence meet.
 *
 * One thread; the fronts are the test's own. */
#include "front/front_cpu.h"

#include <sys/mman.h>

#include "os/rseq.h"
#include "tests/lib/tap.h"

enum {
    CPUS = 1024,
    CLASS = 3,
    HOME = 7,
    ROOM = 48,
};

static char *memory;
static unsigned calls;

/* Behind each sequence: there both ways meet. relaxed: one thread */
static inline void meet(void)
{
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void *pop(void)
{
    void *object = hak_cpu_pop(CLASS, HAK_CPU_TRIES);
    meet();
    return object;
}

static __attribute__((noinline)) uint64_t take(size_t slot)
{
    struct hak_chain chain = hak_cpu_take(slot, hak_chain_make(NULL, ROOM), HAK_CPU_TRIES);
    meet();
    return chain.word;
}

static __attribute__((noinline)) enum hak_cpu_push push(unsigned home, void *object)
{
    enum hak_cpu_push result = hak_cpu_push(CLASS, home, object, HAK_CPU_TRIES);
    meet();
    return result;
}

static __attribute__((noinline)) enum hak_cpu_push push_at(size_t slot, void *object)
{
    enum hak_cpu_push result = hak_cpu_push_at(slot, object, HAK_CPU_TRIES);
    meet();
    return result;
}

static __attribute__((noinline)) int install(size_t slot, struct hak_chain chain)
{
    int result = hak_cpu_install(slot, chain, HAK_CPU_TRIES);
    meet();
    return result;
}

/* All CPUs' fronts alike: the test may be moved between two calls. */
static void set_magazines(struct hak_chain chain)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        struct hak_front *front =
            (struct hak_front *)(memory + ((size_t)cpu << HAK_CPU_FRONT_SHIFT));
        front->home = HOME;
        front->loaded[CLASS] = front->spare[CLASS] = chain;
    }
}

/* Fronts of the test's own, of which `limit` CPU ids are served; 0 where there are no sequences. */
static int made_fronts(unsigned limit)
{
    if (hak_os_rseq_find(&hak_cpu_fronts.rseq) != 0) {
        tap_skip("no restartable sequences here");
        return 0;
    }
    if (memory == NULL) {
        memory = mmap(NULL, (size_t)CPUS << HAK_CPU_FRONT_SHIFT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (!EXPECT(memory != MAP_FAILED))
            return 0;
    }
    hak_cpu_fronts.base = memory;
    hak_cpu_fronts.limit = limit;
    return 1;
}

static void closed_fronts_serve_nobody(void)
{
    uint64_t object[8] = {0};
    if (!made_fronts(0))
        return;
    set_magazines(hak_chain_make(object, ROOM));
    EXPECT(pop() == NULL);
    EXPECT_EQ(take(hak_slot_loaded(CLASS)), 0);
    EXPECT_EQ(take(hak_slot_spare(CLASS)), 0);
    EXPECT_EQ(push(HOME, object), HAK_CPU_FULL);
    EXPECT_EQ(push_at(hak_slot_spare(CLASS), object), HAK_CPU_FULL);
    EXPECT_EQ(install(hak_slot_spare(CLASS), hak_chain_make(NULL, ROOM)), 0);
}

static void empty_magazines_give_nothing(void)
{
    if (!made_fronts(CPUS))
        return;
    set_magazines(hak_chain_make(NULL, ROOM));
    EXPECT(pop() == NULL);
    EXPECT_EQ(take(hak_slot_loaded(CLASS)), 0);
    EXPECT_EQ(take(hak_slot_spare(CLASS)), 0);
}

static void full_magazines_take_nothing(void)
{
    uint64_t object[8] = {0};
    uint64_t other[8] = {0};
    if (!made_fronts(CPUS))
        return;
    set_magazines(hak_chain_make(object, 0));
    EXPECT_EQ(push(HOME, other), HAK_CPU_FULL);
    EXPECT_EQ(push(HOME + 1, other), HAK_CPU_FOREIGN);
    EXPECT_EQ(push_at(hak_slot_spare(CLASS), other), HAK_CPU_FULL);
    EXPECT_EQ(install(hak_slot_spare(CLASS), hak_chain_make(other, 0)), 0);
    EXPECT_EQ(other[0], 0);
}

static void what_there_is_is_served(void)
{
    uint64_t object[8];
    uint64_t other[8] = {0};
    if (!made_fronts(CPUS))
        return;
    hak_link_write(object, hak_chain_make(NULL, ROOM));
    set_magazines(hak_chain_make(object, ROOM - 1));
    EXPECT(pop() == object);
    set_magazines(hak_chain_make(object, ROOM - 1));
    EXPECT_EQ(push(HOME, other), HAK_CPU_PUSHED);
    EXPECT_EQ(hak_link_read(other).word, hak_chain_make(object, ROOM - 1).word);
    set_magazines(hak_chain_make(object, ROOM - 1));
    EXPECT_EQ(take(hak_slot_spare(CLASS)), hak_chain_make(object, ROOM - 1).word);
    set_magazines(hak_chain_make(NULL, ROOM));
    EXPECT_EQ(install(hak_slot_loaded(CLASS), hak_chain_make(object, ROOM - 1)), 1);
}

/* The magazine stays as it is, for the thread that takes it apart. */
static void broken_links_give_nothing(void)
{
    uint64_t object[8];
    uint64_t other[8] = {0};
    if (!made_fronts(CPUS))
        return;
    for (unsigned room = 0; room <= ROOM; room++) {
        hak_link_write(object, hak_chain_make(other, room));
        set_magazines(hak_chain_make(object, ROOM - 1));
        EXPECT((pop() == object) == (room == ROOM));
    }
    hak_link_write(object, hak_chain_make((char *)other + 8, ROOM));
    set_magazines(hak_chain_make(object, ROOM - 1));
    EXPECT(pop() == NULL);
    object[0] = hak_chain_make(other, ROOM).word;
    EXPECT(pop() == NULL);
    EXPECT_EQ(take(hak_slot_loaded(CLASS)), hak_chain_make(object, ROOM - 1).word);
}

int main(int argc, char **argv)
{
    hak_link_start(0x6a09e667f3bcc909);
    static const struct tap_case cases[] = {
        {"closed fronts serve no thread", closed_fronts_serve_nobody},
        {"empty magazines give nothing", empty_magazines_give_nothing},
        {"full magazines take nothing", full_magazines_take_nothing},
        {"objects and room are served", what_there_is_is_served},
        {"broken links give nothing", broken_links_give_nothing},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
