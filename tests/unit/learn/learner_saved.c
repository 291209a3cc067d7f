/* SPDX-License-Identifier: MIT */
/* learn/learner_saved.c: one run of a program begins with the results of the last one; of a file
 * from elsewhere only what is understood is used. */
#include "learn/learner_saved.h"

#include <string.h>

#include "learn/elo.h"
#include "learn/match.h"
#include "tests/lib/tap.h"

enum {
    MIB = 1024 * 1024,
};

#define FIRST "hakmem-learned 2\n"

static struct hak_learner learner, next;
static struct hak_learn_saved saved;
static char text[16384];

static void start(struct hak_learner *one, uint32_t id)
{
    memset(one, 0, sizeof *one);
    hak_learner_start(one, &hak_settings_default, id);
}

/* A learner that has learned something about every other bucket. */
static void teach(struct hak_learner *one, uint32_t id)
{
    start(one, id);
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket += 2) {
        struct hak_learn_key *key = &one->keys[bucket];
        key->matches = 5;
        key->arm = (uint8_t)((bucket + id) % HAK_ARM_COUNT);
        for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
            key->ratings[arm] = 37.0 * arm - 40 - bucket - id;
    }
    one->retain_bytes = (size_t)(id + 1) * MIB;
    one->tick_ns = 1;
}

static void compare(const struct hak_learner *left, const struct hak_learner *right)
{
    EXPECT_EQ(left->retain_bytes, right->retain_bytes);
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket++) {
        EXPECT_EQ(left->keys[bucket].arm, right->keys[bucket].arm);
        for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
            double off = left->keys[bucket].ratings[arm] - right->keys[bucket].ratings[arm];
            EXPECT(off <= 1 && off >= -1);
        }
    }
}

static void round_trip(void)
{
    static const uint32_t ids[] = {0, 1, 3, HAK_LEARN_SAVED_SHARDS};
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_learn_write_first(&writer);
    for (unsigned i = 0; i < TAP_COUNT(ids); i++) {
        teach(&learner, ids[i]);
        hak_learn_write(&writer, &learner);
    }
    hak_writer_flush(&writer);
    EXPECT_LE(writer.total, sizeof text - 1);
    EXPECT_EQ(hak_learn_parse(&saved, text), 0);
    for (unsigned i = 0; i < TAP_COUNT(ids); i++) {
        teach(&learner, ids[i]);
        start(&next, ids[i]);
        hak_learn_recall(&saved, &next);
        compare(&next, &learner);
    }
    start(&learner, 2); /* nothing was written of it */
    start(&next, 2);
    hak_learn_recall(&saved, &next);
    compare(&next, &learner);
}

static void begins_with_it(void)
{
    EXPECT_EQ(hak_learn_parse(&saved, "hakmem-learned 2\n"
                                      "2 256K dontneed 1400 1600 1550\n"
                                      "2 retain 7340032\n"),
              0);
    struct hak_settings settings = hak_settings_default;
    settings.mode = HAK_LEARN_FROZEN;
    settings.saved = &saved;
    memset(&learner, 0, sizeof learner);
    hak_learner_start(&learner, &settings, 2);
    EXPECT_EQ(hak_learner_choose(&learner, &settings, 2, 64), HAK_ARM_DONTNEED);
    EXPECT_EQ(hak_learner_choose(&learner, &settings, 3, 64), HAK_ARM_KEEP);
    EXPECT_EQ(hak_learner_retain(&learner, &settings, 64 * MIB), 7 * MIB);
    EXPECT_EQ(hak_elo_best(learner.keys[2].ratings, HAK_ARM_COUNT), HAK_ARM_DONTNEED);
    EXPECT_EQ((int)learner.keys[2].ratings[HAK_ARM_KEEP], -100);
}

static void only_what_is_known(void)
{
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    start(&learner, 1);
    hak_learn_write(&writer, &learner);
    hak_writer_flush(&writer);
    EXPECT_EQ(writer.total, 0);
    teach(&learner, HAK_LEARN_SAVED_SHARDS + 1); /* has learned what an earlier one did, too */
    hak_learn_write(&writer, &learner);
    EXPECT_EQ(writer.total, 0);
}

/* Results that were recalled and not used meanwhile are worth as much as before. */
static void unused_is_not_forgotten(void)
{
    teach(&learner, 1);
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_learn_write_first(&writer);
    hak_learn_write(&writer, &learner);
    hak_writer_flush(&writer);
    for (unsigned run = 0; run < 3; run++) {
        EXPECT_EQ(hak_learn_parse(&saved, text), 0);
        start(&next, 1);
        hak_learn_recall(&saved, &next);
        next.tick_ns = 1;
        writer = hak_writer_to_buffer(text, sizeof text);
        hak_learn_write_first(&writer);
        hak_learn_write(&writer, &next);
        hak_writer_flush(&writer);
    }
    compare(&next, &learner);
}

static void beyond_the_table(void)
{
    EXPECT_EQ(hak_learn_parse(&saved, "hakmem-learned 2\n"
                                      "1 64K batch 1500 1500 1600\n"
                                      "64 64K dontneed 1500 1600 1500\n"
                                      "0 64M+ dontneed 1500 1600 1500\n"),
              0);
    static const struct {
        uint32_t id;
        enum hak_arm arm;
    } shared[] = {{1, HAK_ARM_BATCH},
                  {64, HAK_ARM_DONTNEED},
                  {65, HAK_ARM_BATCH},
                  {128, HAK_ARM_DONTNEED},
                  {129, HAK_ARM_BATCH}};
    for (unsigned i = 0; i < TAP_COUNT(shared); i++) {
        start(&next, shared[i].id);
        hak_learn_recall(&saved, &next);
        EXPECT_EQ(next.keys[0].arm, shared[i].arm);
    }
    start(&next, 0);
    hak_learn_recall(&saved, &next);
    EXPECT_EQ(next.keys[0].arm, HAK_ARM_KEEP);
    EXPECT_EQ(next.keys[HAK_LEARN_BUCKETS - 1].arm, HAK_ARM_DONTNEED);
}

static void not_understood(void)
{
    static const struct {
        const char *text;
        unsigned line;
    } files[] = {
        {"", 1},
        {"\n", 1},
        {"hakmem-learned 3\n", 1},
        /* with a rating for "free" */
        {"hakmem-learned 1\n1 64K keep 1500 1500 1500 1500\n", 1},
        {"hakmem-learned 22\n", 1},
        {"hakmem-learne", 1},
        {"1 64K keep 1500 1500 1500\n", 1},
        {"hakmem-learned 2", 0},
        {FIRST, 0},
        {FIRST "\n \n\t\n", 0},
        {FIRST "1 64K keep 1500 1500 1500", 0},
        {FIRST "  1\t64K  keep 1500 1500 -12 \n", 0},
        {FIRST "garbage\n", 2},
        {FIRST "1 64K keep 1500 1500 1500\n\n1 64K keep 1500\n", 4},
        {FIRST "1 64K keep 1500 1500 1500 1500\n", 2},
        {FIRST "1 64K keep 1500 1500 1500x\n", 2},
        {FIRST "1 64K keep 1500 1500 99999\n", 2},
        {FIRST "1 64K keep 1500 1500 -\n", 2},
        {FIRST "1 64K kee 1500 1500 1500\n", 2},
        {FIRST "1 64K free 1500 1500 1500\n", 2}, /* a pin, no arm of the learner */
        {FIRST "1 64K keeps 1500 1500 1500\n", 2},
        {FIRST "1 128M keep 1500 1500 1500\n", 2},
        {FIRST "1 64 keep 1500 1500 1500\n", 2},
        {FIRST "65 64K keep 1500 1500 1500\n", 2},
        {FIRST "-1 64K keep 1500 1500 1500\n", 2},
        {FIRST "1 retain\n", 2},
        {FIRST "1 retain -5\n", 2},
        {FIRST "1 retain 5 5\n", 2},
        {FIRST "1 retain 18446744073709551621\n", 2}, /* 5 more than 64 bits hold */
        {FIRST "1 retain 1M\n", 2},
        {FIRST "1 decay 5\n", 2},
        {FIRST "1\n", 2},
        {FIRST "\377\376\n", 2},
    };
    for (unsigned i = 0; i < TAP_COUNT(files); i++)
        if (!EXPECT_EQ(hak_learn_parse(&saved, files[i].text), files[i].line))
            tap_note("in file %u", i);
}

static void up_to_the_fault(void)
{
    EXPECT_EQ(hak_learn_parse(&saved, FIRST "1 retain 1234\nnonsense\n2 retain 5\n"), 3);
    EXPECT_EQ(saved.shards[1].retain_bytes, 1234);
    EXPECT_EQ(saved.shards[2].retain_bytes, 0);
    EXPECT_EQ(hak_learn_parse(&saved, FIRST "2 64K keep 1500 x"), 2);
    EXPECT_EQ(saved.shards[1].retain_bytes, 0); /* not of the file before */
    EXPECT_EQ(saved.shards[2].buckets[0].arm, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a file that was written is read again", round_trip},
        {"a learner begins with the saved results", begins_with_it},
        {"a key about which nothing is known is not written", only_what_is_known},
        {"recalled results that were not used are not forgotten", unused_is_not_forgotten},
        {"shards beyond the saved ones begin without results", beyond_the_table},
        {"the first line that is not understood is reported", not_understood},
        {"the lines before it are used", up_to_the_fault},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
