/* SPDX-License-Identifier: MIT */
/* learn/match.c: what workloads with a clock of their own make of the arms and of retention. A
 * simulated cache obeys the learner: it purges as the arm says, keeps for the time of decay, and
 * uses each object again after its idle time. */
#include "learn/match.h"

#include <string.h>

#include "learn/audit.h"
#include "learn/learner_sample.h"
#include "tests/lib/tap.h"

enum {
    UNITS = 64,
    BUCKET = 2,   /* of 256 KiB */
    FREED = 4096, /* objects that lie free at once, at most */
    NEVER = 0,    /* idle: never used again */
    LONG = 200,   /* ms; memory that is given back meanwhile is cheaper at ten times the price */
    MIB = 1024 * 1024,
    MOST = 256 * MIB,
};

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t second_ns = 1000u * 1000 * 1000;
static const uint64_t fixed_price = 130 * 1000;
static const uint64_t high_price = 100 * 130 * 1000;

struct freed {
    uintptr_t id;      /* 0: none */
    uint64_t purge_ns; /* it will be then, or was */
    uint64_t reuse_ns; /* it will be then; 0: never */
    int is_purged;
};

/* A learner, and the cache around it. */
struct world {
    struct hak_learner learner;
    struct hak_settings settings;
    uint64_t now_ns;
    uintptr_t last_id;
    unsigned freed_count; /* places of freed[] ever used */
    unsigned played[HAK_ARM_COUNT];
    struct freed freed[FREED];
};

static struct world one, two;

static void new_world(struct world *world, enum hak_learn_mode mode, uint64_t price_ns)
{
    memset(world, 0, sizeof *world);
    world->settings = hak_settings_default;
    world->settings.mode = mode;
    world->settings.price_ns = price_ns;
    world->now_ns = 1000 * second_ns;
    hak_learner_start(&world->learner, &world->settings, 1);
}

/* ---- the cache ------------------------------------------------------------------------------ */

static void give(struct world *world, unsigned key, unsigned idle_ms)
{
    struct hak_learner *learner = &world->learner;
    struct hak_learn_give given = {
        .id = world->last_id += UNITS * 4096,
        .units = UNITS,
        .key = (uint8_t)key,
        .now_ns = world->now_ns,
    };
    given.arm = (uint8_t)hak_learner_choose(learner, &world->settings, key, UNITS);
    given.is_purged = given.arm == HAK_ARM_DONTNEED;
    if (given.arm == HAK_ARM_DONTNEED)
        given.spent_ns = (uint64_t)(UNITS * learner->cost.act_ns[given.arm]);
    world->played[given.arm]++;
    if (!hak_learner_gave(learner, &given))
        return;
    struct freed *place = world->freed;
    while (place < &world->freed[FREED - 1] && place->id != 0)
        place++;
    if (place == &world->freed[world->freed_count] && world->freed_count < FREED)
        world->freed_count++;
    uint64_t hold = (uint64_t)hak_cost_hold(&learner->cost, given.arm);
    uint64_t reuse = world->now_ns + idle_ms * ms_ns;
    if (given.arm == HAK_ARM_BATCH && reuse < world->now_ns + hold)
        reuse = world->now_ns + hold; /* until then it is free */
    *place = (struct freed){
        .id = given.id,
        .purge_ns = world->now_ns + hold,
        .reuse_ns = idle_ms == NEVER ? 0 : reuse,
        .is_purged = given.is_purged,
    };
}

static void pass_ms(struct world *world)
{
    world->now_ns += ms_ns;
    for (unsigned i = 0; i < world->freed_count; i++) {
        struct freed *freed = &world->freed[i];
        if (freed->id == 0)
            continue;
        if (!freed->is_purged && freed->purge_ns <= world->now_ns) {
            hak_learner_purged(&world->learner, freed->id, freed->purge_ns);
            freed->is_purged = 1;
        }
        if (freed->reuse_ns != 0 && freed->reuse_ns <= world->now_ns)
            hak_learner_reused(&world->learner, freed->id, world->now_ns);
        if (freed->reuse_ns != 0 ? freed->reuse_ns <= world->now_ns : freed->is_purged)
            freed->id = 0;
    }
    if (hak_learner_is_due(&world->learner, world->now_ns))
        hak_learner_tick(&world->learner, &world->settings, MOST, world->now_ns);
}

/* An object each 5 ms, of the key and the one beside it, idle for idle_ms and beside_ms. */
static void run(struct world *world, unsigned ms, unsigned idle_ms, unsigned beside_ms)
{
    for (unsigned i = 0; i < ms; i++) {
        if (i % 5 == 0)
            give(world, BUCKET, idle_ms);
        if (i % 5 == 2)
            give(world, BUCKET + 1, beside_ms);
        pass_ms(world);
        if (!EXPECT(world->learner.retain_bytes <= MOST))
            return;
    }
}

static enum hak_arm arm_of(const struct world *world, unsigned key)
{
    return world->learner.keys[key].arm;
}

/* Plays objects, a good part of which follow the arm in force. */
static int is_played(struct world *world, enum hak_arm arm, unsigned idle_ms)
{
    memset(world->played, 0, sizeof world->played);
    run(world, 500, idle_ms, idle_ms);
    unsigned all = 0;
    for (unsigned i = 0; i < HAK_ARM_COUNT; i++)
        all += world->played[i];
    return all >= 200 && world->played[arm] * 10 >= all * 9;
}

/* ---- arms ----------------------------------------------------------------------------------- */

static void short_idle_is_kept(void)
{
    for (unsigned idle = 2; idle <= 50; idle *= 5) {
        new_world(&one, HAK_LEARN_ON, fixed_price);
        run(&one, 5000, idle, idle);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
        EXPECT(is_played(&one, HAK_ARM_KEEP, idle));
    }
}

static void never_used_again_goes(void)
{
    new_world(&one, HAK_LEARN_ON, high_price);
    run(&one, 5000, NEVER, NEVER);
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
    EXPECT(is_played(&one, HAK_ARM_DONTNEED, NEVER));
    EXPECT(one.learner.keys[BUCKET].switches >= 1);
}

static void follows_changes(void)
{
    new_world(&one, HAK_LEARN_ON, 10 * fixed_price);
    run(&one, 5000, LONG, LONG);
    for (unsigned i = 0; i < 4; i++) {
        run(&one, 2000, 2, 2);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
        run(&one, 5000, 2, 2);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
        run(&one, 2000, LONG, LONG);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
        run(&one, 5000, LONG, LONG);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
    }
    EXPECT_LE(one.learner.keys[BUCKET].switches, 40); /* it does not waver */
}

static void learners_differ(void)
{
    new_world(&one, HAK_LEARN_ON, high_price);
    new_world(&two, HAK_LEARN_ON, high_price);
    for (unsigned i = 0; i < 50; i++) {
        run(&one, 100, 2, 2);
        run(&two, 100, NEVER, NEVER);
    }
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
    EXPECT_EQ(arm_of(&two, BUCKET), HAK_ARM_DONTNEED);
}

static void buckets_differ(void)
{
    new_world(&one, HAK_LEARN_ON, high_price);
    run(&one, 5000, 2, NEVER);
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
    EXPECT_EQ(arm_of(&one, BUCKET + 1), HAK_ARM_DONTNEED);
    run(&one, 3000, NEVER, 2);
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
    EXPECT_EQ(arm_of(&one, BUCKET + 1), HAK_ARM_KEEP);
}

/* The first call after a pause comes before the memory is used again: then only what it cost to
 * keep it is known. Here a page fault costs twelve times as much. */
static void pauses_are_judged_by_their_ends(void)
{
    enum { OBJECTS = 8, PAUSE_MS = 800, FAULT_NS = 5000 };
    new_world(&one, HAK_LEARN_ON, fixed_price);
    for (unsigned i = 0; i < 100; i++)
        hak_cost_saw_faults(&one.learner.cost, 1, FAULT_NS);
    for (unsigned burst = 0; burst < 10; burst++) {
        uintptr_t last = one.last_id;
        for (unsigned i = 0; i < OBJECTS; i++)
            give(&one, BUCKET, NEVER);
        one.now_ns += 50 * ms_ns;
        hak_learner_tick(&one.learner, &one.settings, MOST, one.now_ns);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
        one.now_ns += PAUSE_MS * ms_ns;
        hak_learner_tick(&one.learner, &one.settings, MOST, one.now_ns);
        EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
        for (unsigned i = 0; i < OBJECTS; i++)
            hak_learner_reused(&one.learner, last += UNITS * 4096, one.now_ns);
        one.now_ns += 50 * ms_ns;
        hak_learner_tick(&one.learner, &one.settings, MOST, one.now_ns);
    }
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_KEEP);
}

/* Nobody calls but after pauses: matches are played all the same. */
static void pauses_do_not_stop_matches(void)
{
    new_world(&one, HAK_LEARN_ON, high_price);
    for (unsigned i = 0; i < 40; i++) {
        for (unsigned object = 0; object < 8; object++)
            give(&one, BUCKET, NEVER);
        one.now_ns += 800 * ms_ns;
        hak_learner_tick(&one.learner, &one.settings, MOST, one.now_ns);
    }
    EXPECT_GE(one.learner.keys[BUCKET].matches, 19);
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
}

static void frozen_never_switches(void)
{
    for (unsigned arm = HAK_ARM_KEEP; arm <= HAK_ARM_DONTNEED; arm += HAK_ARM_DONTNEED) {
        new_world(&one, HAK_LEARN_FROZEN, high_price);
        one.learner.keys[BUCKET].arm = (uint8_t)arm;
        one.learner.keys[BUCKET + 1].arm = (uint8_t)arm;
        size_t retain = hak_learner_retain(&one.learner, &one.settings, MOST);
        unsigned idle = arm == HAK_ARM_KEEP ? NEVER : 2;
        run(&one, 6000, idle, idle);
        EXPECT_EQ(arm_of(&one, BUCKET), arm);
        EXPECT(is_played(&one, arm, idle));
        EXPECT_EQ(one.learner.keys[BUCKET].switches, 0);
        EXPECT_EQ(one.learner.retain_bytes, retain);
    }
}

static void off_and_shadow_obey(void)
{
    static const enum hak_learn_mode modes[] = {HAK_LEARN_OFF, HAK_LEARN_SHADOW};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
            new_world(&one, modes[i], high_price);
            one.settings.large_arm = arm;
            run(&one, 3000, NEVER, NEVER);
            for (unsigned other = 0; other < HAK_ARM_COUNT; other++)
                EXPECT_EQ(one.played[other] != 0, other == arm);
        }
    }
    /* and the shadow says what it would have done */
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
}

static void unknown_arms_are_not_chosen(void)
{
    static const unsigned idles[] = {1, 5, 20, 300, 2000, NEVER};
    static const uint64_t prices[] = {0, 130 * 1000, 100 * 130 * 1000};
    for (unsigned price = 0; price < TAP_COUNT(prices); price++) {
        for (unsigned i = 0; i < TAP_COUNT(idles); i++) {
            new_world(&one, HAK_LEARN_ON, prices[price]);
            one.learner.arms = 1u << HAK_ARM_KEEP | 1u << HAK_ARM_DONTNEED;
            one.learner.budget_ns = 1e9; /* to try others by */
            run(&one, 3000, idles[i], idles[i]);
            EXPECT_EQ(one.played[HAK_ARM_BATCH], 0);
        }
    }
    EXPECT_EQ(arm_of(&one, BUCKET), HAK_ARM_DONTNEED);
}

/* ---- retention ------------------------------------------------------------------------------ */

/* A tick after 50 ms in which the given MiB were evicted, were missed, and were dirty at most. */
static size_t tick(struct world *world, unsigned evicted, unsigned missed, unsigned dirty)
{
    world->now_ns += 50 * ms_ns;
    hak_learner_saw(&world->learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, evicted * 256, 0);
    hak_learner_saw(&world->learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, missed * 256, 0);
    hak_learner_saw(&world->learner, HAK_LEARN_DIRTY, HAK_ARM_KEEP, dirty * 256, 0);
    hak_learner_tick(&world->learner, &world->settings, MOST, world->now_ns);
    return hak_learner_retain(&world->learner, &world->settings, MOST);
}

static void retention_grows(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    size_t last = first;
    for (unsigned i = 0; i < 200; i++) {
        size_t now = tick(&one, 1000, 1000, 256);
        EXPECT(now >= last && now <= MOST);
        last = now;
    }
    EXPECT_EQ(last, MOST);
    new_world(&one, HAK_LEARN_ON, fixed_price);
    for (unsigned i = 0; i < 200; i++) /* no request missed the purged memory */
        EXPECT_EQ(tick(&one, 1000, 0, 32), first);
    new_world(&one, HAK_LEARN_ON, fixed_price);
    for (unsigned i = 0; i < 200; i++) /* keeping more would not have helped */
        EXPECT_EQ(tick(&one, 0, 1000, 32), first);
    new_world(&one, HAK_LEARN_ON, 1000 * fixed_price);
    for (unsigned i = 0; i < 200; i++) /* keeping costs more than faults do */
        EXPECT_EQ(tick(&one, 100, 100, 32), first);
}

/* There is too much: this many MiB were handed out again, and the lowest level was that low. */
static int excess(struct world *world, unsigned reused, unsigned least)
{
    hak_learner_saw(&world->learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, reused * 256, 0);
    hak_learner_saw(&world->learner, HAK_LEARN_DIRTY, HAK_ARM_KEEP, least * 256, 0);
    return hak_learner_grow_retain(&world->learner, &world->settings, MOST);
}

static void retention_grows_by_use(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    EXPECT(!excess(&one, 0, 1));
    EXPECT(excess(&one, 1000, 1));
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + first / 2);
    EXPECT(!excess(&one, 0, 1)); /* each step must be earned again */
    EXPECT(excess(&one, 1000, 1));
    EXPECT(!excess(&one, 1000, 60)); /* one hot buffer beside what lies there */
    EXPECT(excess(&one, 0, 10));
    size_t last = hak_learner_retain(&one.learner, &one.settings, MOST);
    one.learner.reused = 1000 * 256;
    for (unsigned i = 0; i < 200; i++) /* there is no excess, and the old value is forgotten */
        EXPECT_LE(tick(&one, 0, 0, 256), last);
    EXPECT(!excess(&one, 0, 1));
    new_world(&one, HAK_LEARN_ON, 1000 * fixed_price);
    EXPECT(!excess(&one, 1000, 1)); /* the kept memory is not worth its price */
    new_world(&one, HAK_LEARN_FROZEN, fixed_price);
    EXPECT(!excess(&one, 1000, 1));
}

/* None of many caches reaches its own bound: steps are in proportion to its memory, and its
 * findings are not forgotten because the bound is far away. */
static void retention_grows_in_parts(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    EXPECT_EQ(tick(&one, 2, 2, 2), first); /* too little to make half as much again of 16 MiB */
    one.learner.refused_bytes = first - 2 * MIB;
    size_t found = tick(&one, 2, 2, 2);
    EXPECT_LE(first + MIB, found);
    EXPECT_LE(found, first + 8 * MIB);
    size_t retain = one.learner.retain_bytes;
    one.learner.refused_bytes = 0;
    for (unsigned i = 0; i < 100; i++)
        tick(&one, 0, 0, 8);
    EXPECT_EQ(one.learner.retain_bytes, retain);
    for (unsigned i = 0; i < 1000; i++)
        tick(&one, 0, 0, 0);
    EXPECT_EQ(one.learner.retain_bytes, first);
}

static void retention_shrinks(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    for (unsigned i = 0; i < 200; i++)
        tick(&one, 1000, 1000, 256);
    EXPECT_EQ(tick(&one, 1000, 1000, 256), MOST);
    for (unsigned i = 0; i < 600; i++) /* in use, until what was missed is forgotten */
        tick(&one, 0, 0, 250);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
    EXPECT_EQ(one.learner.retain_bytes, MOST);
    hak_learner_saw(&one.learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 1000 * 256, 0);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), MOST); /* asked for again */
    size_t last = MOST;
    for (unsigned i = 0; i < 1000; i++) {
        size_t now = tick(&one, 0, 0, 0);
        EXPECT_LE(now, last);
        EXPECT_GE(now, 1);
        last = now;
    }
    EXPECT_LE(last, first);
}

/* Memory that was asked for again by the time it was freed, and no longer ago than a time of
 * decay. */
static void retention_follows_demand(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    one.learner.retain_bytes = MOST;
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
    hak_learner_turn(&one.learner, one.now_ns);
    for (unsigned i = 0; i < 100; i++) { /* a hot run of a MiB: not more */
        hak_learner_saw(&one.learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 256, 0);
        const struct hak_learn_give give = {.id = 4096, .units = 256, .now_ns = one.now_ns};
        hak_learner_gave(&one.learner, &give);
    }
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 3 * MIB / 2);
    hak_learner_saw(&one.learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 32 * 256, 0);
    hak_learner_turn(&one.learner, one.now_ns += second_ns);
    hak_learner_turn(&one.learner, one.now_ns - second_ns); /* a late caller is ignored */
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 48 * MIB);
    hak_learner_turn(&one.learner, one.now_ns += second_ns);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
    hak_learner_saw(&one.learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, 256, 0); /* never had */
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
    hak_learner_saw(&one.learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, 256, 0);
    hak_learner_saw(&one.learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, 512, 0);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 3 * MIB / 2);
    hak_learner_turn(&one.learner, one.now_ns += 2 * second_ns); /* both at once */
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
}

static void free_runs(size_t mib)
{
    const struct hak_learn_give give = {.id = 4096, .units = 256, .now_ns = one.now_ns};
    for (size_t i = 0; i < mib; i++)
        hak_learner_gave(&one.learner, &give);
}

/* What a program draws on while much of its memory lives says nothing of what it needs when it has
 * freed all. What it draws on from nothing does. */
static void retention_ends_with_what_lives(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    size_t first = hak_learner_retain(&one.learner, &one.settings, MOST);
    one.learner.retain_bytes = MOST;
    hak_learner_turn(&one.learner, one.now_ns);
    hak_learner_saw(&one.learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, 200 * 256, 0);
    free_runs(20);
    hak_learner_saw(&one.learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 20 * 256, 0);
    free_runs(30); /* 10 MiB below where it began: rounds differ */
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 30 * MIB);
    free_runs(5);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 25 * MIB);
    hak_learner_turn(&one.learner, one.now_ns += second_ns); /* that was the time before */
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 25 * MIB);
    free_runs(165);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first);
    hak_learner_saw(&one.learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 20 * 256, 0);
    free_runs(20);
    EXPECT_EQ(hak_learner_retain(&one.learner, &one.settings, MOST), first + 30 * MIB);
}

static void retention_has_limits(void)
{
    static const size_t limits[] = {1, 4096, MIB, 3 * MIB, 40 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(limits); i++) {
        new_world(&one, HAK_LEARN_ON, fixed_price);
        for (unsigned turn = 0; turn < 100; turn++) {
            one.now_ns += 50 * ms_ns;
            size_t units = turn < 50 ? 100000 : 0;
            hak_learner_saw(&one.learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, units, 0);
            hak_learner_saw(&one.learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, units, 0);
            hak_learner_tick(&one.learner, &one.settings, limits[i], one.now_ns);
            EXPECT(one.learner.retain_bytes > 0 && one.learner.retain_bytes <= limits[i]);
        }
    }
    new_world(&one, HAK_LEARN_SHADOW, fixed_price);
    EXPECT_EQ(tick(&one, 1000, 1000, 0), MOST);
}

/* ---- evidence ------------------------------------------------------------------------------- */

static struct hak_audit audit;
static char text[512 * 1024];

static int has(const char *sought)
{
    return strstr(text, sought) != NULL;
}

static void tells_why(void)
{
    new_world(&one, HAK_LEARN_ON, high_price);
    memset(&audit, 0, sizeof audit);
    one.settings.audit = &audit;
    run(&one, 3000, NEVER, NEVER);
    tick(&one, 1000, 1000, 256);
    EXPECT_GE(audit.put, one.learner.keys[BUCKET].matches);
    EXPECT_EQ(audit.lost, 0);
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_audit_drain(&audit, &writer);
    EXPECT(has("\"key\":\"256K\"") && has("\"key\":\"512K\"") && !has("\"key\":\"1M\""));
    EXPECT(has("\"played\":\"keep\",\"next\":\"dontneed\""));
    EXPECT(has("\"why\":\"excess\",\"purged\":1048576000}"));
}

static void sums_for_reports(void)
{
    new_world(&one, HAK_LEARN_ON, fixed_price);
    run(&one, 3000, 5, 5);
    const struct hak_learn_key *key = &one.learner.keys[BUCKET];
    EXPECT(key->all_bytes > 590u * UNITS * 4096 && key->all_bytes <= 600u * UNITS * 4096);
    EXPECT_GE(key->matches, 50);
    EXPECT(key->all_paid > 0 && key->all_paid < key->all_costs[HAK_ARM_DONTNEED]);
    EXPECT(key->all_costs[HAK_ARM_KEEP] < key->all_costs[HAK_ARM_BATCH]);
    EXPECT_EQ(one.learner.keys[BUCKET + 2].matches, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"memory that is soon used again is kept", short_idle_is_kept},
        {"memory that is never used again goes at once, at a high price", never_used_again_goes},
        {"within 2 s of a change another arm is in force", follows_changes},
        {"two learners that are fed oppositely learn opposite things", learners_differ},
        {"so do two buckets of one", buckets_differ},
        {"memory that a pause left is judged when it is used again",
         pauses_are_judged_by_their_ends},
        {"where all calls follow pauses, matches are played", pauses_do_not_stop_matches},
        {"a frozen key never switches", frozen_never_switches},
        {"off and shadow do as the settings say", off_and_shadow_obey},
        {"arms that a cache does not know are never chosen", unknown_arms_are_not_chosen},
        {"retention grows where that spares faults", retention_grows},
        {"retention grows before anything is missed if the kept memory is worth it",
         retention_grows_by_use},
        {"retention grows in parts where many share", retention_grows_in_parts},
        {"retention shrinks when less memory was there", retention_shrinks},
        {"retention follows the memory that is asked for again", retention_follows_demand},
        {"retention ends with what lived when it was earned", retention_ends_with_what_lives},
        {"retention stays within its limits", retention_has_limits},
        {"the audit gets each decision and its reason", tells_why},
        {"sums for reports are kept", sums_for_reports},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
