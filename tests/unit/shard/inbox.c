/* SPDX-License-Identifier: MIT */
/* shard/inbox.h: many post, one or many collect; every bundle arrives once, with what was written
 * into it. */
#include "shard/inbox.h"

#include <string.h>

#include "tests/lib/tap.h"
#include "tests/unit/shaker.h"

enum { POSTERS = 8, COLLECTORS = 8, BUNDLES = 32, ROUNDS = 1000, OBJECTS = 2 };

struct object {
    uint64_t link;
    uint64_t next_bundle;
    uint64_t payload; /* plain: only the inbox makes it seen */
};

static struct object bundles[POSTERS][BUNDLES][OBJECTS];
static unsigned seen[POSTERS][BUNDLES]; /* times collected; then it may be posted again */
static struct hak_inbox inbox;
static unsigned posters_left;

struct worker {
    unsigned poster; /* number, or POSTERS: a collector */
    unsigned faults;
    unsigned collected;
};

static unsigned count_of(unsigned number, unsigned round)
{
    return 1 + (number + round) % 60000;
}

/* Posts a bundle once its last round's has been collected; 0 if that takes for ever. */
static int post_one(struct worker *worker, unsigned i, unsigned round)
{
    struct object *bundle = bundles[worker->poster][i];
    unsigned patience = 100000;
    /* acquire: pairs with the release in check_bundle */
    while (__atomic_load_n(&seen[worker->poster][i], __ATOMIC_ACQUIRE) != round) {
        shaker_pause(10000);
        if (--patience == 0)
            return 0;
    }
    bundle[0].payload = round;
    bundle[1].payload = ~(uint64_t)round;
    hak_link_write(&bundle[0], hak_chain_make(&bundle[1], 1));
    hak_link_write(&bundle[1], hak_chain_make(NULL, 2));
    hak_inbox_post(&inbox, hak_bundle_make(bundle, count_of(i, round)));
    return 1;
}

static void *post(struct worker *worker)
{
    for (unsigned round = 0; round < ROUNDS && worker->faults == 0; round++)
        for (unsigned i = 0; i < BUNDLES && worker->faults == 0; i++)
            worker->faults += !post_one(worker, i, round);
    __atomic_sub_fetch(&posters_left, 1, __ATOMIC_RELEASE); /* pairs with the acquire in collect */
    return NULL;
}

static void check_bundle(struct worker *worker, struct object *bundle, unsigned count)
{
    size_t offset = (size_t)((const char *)bundle - (const char *)bundles);
    unsigned poster = (unsigned)(offset / sizeof bundles[0]);
    unsigned i = (unsigned)(offset % sizeof bundles[0] / sizeof bundles[0][0]);
    if (poster >= POSTERS || bundle != bundles[poster][i]) {
        worker->faults++;
        return;
    }
    unsigned round = (unsigned)bundle[0].payload;
    worker->faults += count != count_of(i, round);
    worker->faults += bundle[1].payload != ~(uint64_t)round;
    worker->faults += hak_chain_top(hak_link_read(bundle)) != &bundle[1];
    memset(bundle, 0x77, OBJECTS * sizeof *bundle); /* as its next owner would */
    /* release: pairs with the acquire in post_one; a second visit in a round is a fault */
    worker->faults += __atomic_fetch_add(&seen[poster][i], 1, __ATOMIC_RELEASE) != round;
    worker->collected++;
}

static void *collect(struct worker *worker)
{
    int last = 0;
    while (!last && worker->faults == 0) {
        last = __atomic_load_n(&posters_left, __ATOMIC_ACQUIRE) == 0;
        struct hak_bundle bundle = hak_inbox_collect(&inbox);
        while (!hak_bundle_is_none(bundle)) {
            struct object *object = hak_bundle_top(bundle);
            struct hak_bundle next = hak_bundle_next(object);
            check_bundle(worker, object, hak_bundle_count(bundle));
            bundle = next;
        }
    }
    return NULL;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    return worker->poster < POSTERS ? post(worker) : collect(worker);
}

static void exchange(unsigned collectors)
{
    struct worker workers[POSTERS + COLLECTORS];
    memset(workers, 0, sizeof workers);
    memset(seen, 0, sizeof seen);
    posters_left = POSTERS;
    for (unsigned i = 0; i < POSTERS + collectors; i++)
        workers[i].poster = i < POSTERS ? i : POSTERS;
    shaker_run(POSTERS + collectors, work, workers, sizeof workers[0]);
    unsigned collected = 0;
    for (unsigned i = 0; i < POSTERS + collectors; i++) {
        EXPECT_EQ(workers[i].faults, 0);
        collected += workers[i].collected;
    }
    EXPECT_EQ(collected, POSTERS * BUNDLES * ROUNDS);
    EXPECT(hak_inbox_is_empty(&inbox));
}

static void one_collects(void)
{
    exchange(1);
}

static void many_collect(void)
{
    exchange(COLLECTORS);
}

static void newest_first(void)
{
    struct object *first = bundles[0][0];
    struct object *second = bundles[0][1];
    EXPECT(hak_inbox_is_empty(&inbox));
    EXPECT(hak_bundle_is_none(hak_inbox_collect(&inbox)));
    hak_inbox_post(&inbox, hak_bundle_make(first, 64));
    EXPECT(!hak_inbox_is_empty(&inbox));
    hak_inbox_post(&inbox, hak_bundle_make(second, 1));
    struct hak_bundle all = hak_inbox_collect(&inbox);
    EXPECT(hak_inbox_is_empty(&inbox));
    EXPECT_EQ(all.word, hak_bundle_make(second, 1).word);
    EXPECT_EQ(hak_bundle_next(second).word, hak_bundle_make(first, 64).word);
    EXPECT(hak_bundle_is_none(hak_bundle_next(first)));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"all is collected, newest first", newest_first},
        {"many post, one collects", one_collects},
        {"many post, many collect", many_collect},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
