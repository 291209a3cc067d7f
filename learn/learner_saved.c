/* SPDX-License-Identifier: MIT */
/* What was learned, written and read again. No libc but memory and string functions. */
#include "learn/learner_saved.h"

#include <string.h>

#include "learn/elo.h"
#include "learn/learner.h"

static const char first_line[] = "hakmem-learned 2";

enum {
    RATING_FARTHEST = 3000, /* from the start: no match leads there */
    NOTHING = -1,
};

/* ---- reading -------------------------------------------------------------------------------- */

/* The next word of a line: its length, 0 at the end. *text is moved to its start. */
static size_t next_word(const char **text)
{
    *text += strspn(*text, " \t");
    return strcspn(*text, " \t\n");
}

/* A whole number, perhaps negative, within +-most. 1, or 0. */
static int take_number(const char **text, int64_t most, int64_t *number)
{
    size_t length = next_word(text);
    const char *at = *text;
    const char *end = at + length;
    int negative = at < end && *at == '-';
    int64_t value = 0;
    at += negative;
    if (at == end)
        return 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || value > most / 10)
            return 0;
        value = value * 10 + (*at - '0');
    }
    *text = end;
    *number = negative ? -value : value;
    return value <= most;
}

/* 1 if the next word is that, which is passed; 0. */
static int take_word(const char **text, const char *word)
{
    size_t length = next_word(text);
    int is_it = strlen(word) == length && memcmp(*text, word, length) == 0;
    *text += is_it ? length : 0;
    return is_it;
}

/* The place of the next word among the names, or NOTHING. */
static int take_bucket(const char **text)
{
    for (int bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket++)
        if (take_word(text, hak_learn_bucket_names[bucket]))
            return bucket;
    return NOTHING;
}

static int take_arm(const char **text)
{
    for (int arm = 0; arm < HAK_ARM_COUNT; arm++)
        if (take_word(text, hak_arms[arm].name))
            return arm;
    return NOTHING;
}

static int is_at_end(const char *text)
{
    next_word(&text);
    return *text == '\n' || *text == '\0';
}

static int parse_bucket(struct hak_learn_saved *saved, unsigned shard, const char *line)
{
    int bucket = take_bucket(&line);
    int arm = take_arm(&line);
    int64_t ratings[HAK_ARM_COUNT];
    if (bucket == NOTHING || arm == NOTHING)
        return 0;
    for (unsigned i = 0; i < HAK_ARM_COUNT; i++)
        if (!take_number(&line, RATING_FARTHEST + HAK_ELO_START, &ratings[i]))
            return 0;
    if (!is_at_end(line))
        return 0;
    saved->shards[shard].buckets[bucket].arm = (uint8_t)(arm + 1);
    for (unsigned i = 0; i < HAK_ARM_COUNT; i++)
        saved->shards[shard].buckets[bucket].ratings[i] = (int32_t)ratings[i];
    return 1;
}

static int parse_line(struct hak_learn_saved *saved, const char *line)
{
    int64_t shard, number;
    if (!take_number(&line, HAK_LEARN_SAVED_SHARDS, &shard) || shard < 0)
        return 0;
    const char *rest = line;
    if (!take_word(&rest, "retain"))
        return parse_bucket(saved, (unsigned)shard, line);
    if (!take_number(&rest, INT64_MAX / 16, &number) || number < 0 || !is_at_end(rest))
        return 0;
    saved->shards[shard].retain_bytes = (size_t)number;
    return 1;
}

unsigned hak_learn_parse(struct hak_learn_saved *saved, const char *text)
{
    size_t length = strlen(first_line);
    memset(saved, 0, sizeof *saved);
    if (strncmp(text, first_line, length) != 0 || (text[length] != '\n' && text[length] != '\0'))
        return 1;
    for (unsigned number = 1;; number++) {
        if (number > 1 && !is_at_end(text) && !parse_line(saved, text))
            return number;
        text = strchr(text, '\n');
        if (text == NULL)
            return 0;
        text++;
    }
}

void hak_learn_recall(const struct hak_learn_saved *saved, struct hak_learner *learner)
{
    unsigned shard = learner->id;
    if (shard > HAK_LEARN_SAVED_SHARDS)
        shard = (shard - 1) % HAK_LEARN_SAVED_SHARDS + 1;
    learner->retain_bytes = saved->shards[shard].retain_bytes;
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket++) {
        struct hak_learn_key *key = &learner->keys[bucket];
        unsigned arm_in_force = saved->shards[shard].buckets[bucket].arm;
        int is_known = learner->arms == 0 || (learner->arms << 1 & 1u << arm_in_force) != 0;
        if (arm_in_force == 0 || !is_known)
            continue;
        key->arm = (uint8_t)(arm_in_force - 1);
        for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
            key->ratings[arm] = saved->shards[shard].buckets[bucket].ratings[arm] - HAK_ELO_START;
    }
}

/* ---- writing -------------------------------------------------------------------------------- */

void hak_learn_write_first(struct hak_writer *writer)
{
    hak_put(writer, "%s\n", first_line);
}

void hak_learn_write(struct hak_writer *writer, const struct hak_learner *learner)
{
    if (learner->id > HAK_LEARN_SAVED_SHARDS)
        return;
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS; bucket++) {
        const struct hak_learn_key *key = &learner->keys[bucket];
        /* What was recalled, and not used since, is not to be lost. */
        if (key->matches == 0 && key->arm == 0 &&
            key->ratings[hak_elo_best(key->ratings, HAK_ARM_COUNT)] == 0)
            continue;
        hak_put(writer, "%u %s %s", learner->id, hak_learn_bucket_names[bucket],
                hak_arms[key->arm].name);
        for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
            hak_put(writer, " %ld", (long)(key->ratings[arm] + HAK_ELO_START));
        hak_put_text(writer, "\n");
    }
    if (learner->retain_bytes != 0)
        hak_put(writer, "%u retain %lu\n", learner->id, (unsigned long)learner->retain_bytes);
}
