/* SPDX-License-Identifier: MIT */
/* Replays a log of HAKMEM_LEARN_LOG. A line that is cut off or malformed changes nothing: each is
 * read as a whole before any of it counts. One thread.
 *
 *            t of a match      t of the next       the latest t of the log
 *   -------------|-------------------|-------------------|
 *      "played"  |      "next"       |   its "next"
 *                | "state", ratings  |   its "state" ... */
#include "tools/learn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/learn_scan.h"

enum {
    LINE_BYTES = 16384,
    TOLD = 8,       /* malformed lines that are told one by one */
    FIRST_ROOM = 32 /* points */
};

const char *const hak_replay_state_names[] = {"learn", "frozen", "canary", "pinned", "other"};
const char *const hak_replay_why_names[] = {"miss", "use", "idle", "excess", "decay", "other"};

struct match {
    int64_t ms;
    int64_t shard;
    int64_t bytes;
    int64_t samples;
    int64_t paid;
    int64_t cost[HAK_REPLAY_ARMS];
    double rating[HAK_REPLAY_ARMS];
    char key[HAK_REPLAY_NAME];
    char why[HAK_REPLAY_NAME];
    uint8_t state;
    uint8_t played;
    uint8_t next;
};

/* What became of a line. */
enum outcome {
    GOES_ON,
    ENDS,
    FAILS
};

void hak_replay_add(int64_t *sum, int64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = INT64_MAX;
}

unsigned hak_replay_best(const struct hak_replay *replay, const int64_t *cost)
{
    unsigned best = 0;
    for (unsigned arm = 1; arm < replay->arms; arm++) {
        if (cost[arm] < cost[best])
            best = arm;
    }
    return best;
}

int64_t hak_replay_regret(const struct hak_replay *replay, const struct hak_replay_key *key)
{
    return key->paid - key->cost[hak_replay_best(replay, key->cost)];
}

struct hak_replay_sums hak_replay_sum(const struct hak_replay *replay)
{
    struct hak_replay_sums sums = {0};
    for (size_t i = 0; i < replay->keys; i++) {
        const struct hak_replay_key *key = replay->key[i];
        hak_replay_add(&sums.paid, key->paid);
        hak_replay_add(&sums.best, key->cost[hak_replay_best(replay, key->cost)]);
        for (unsigned arm = 0; arm < replay->arms; arm++)
            hak_replay_add(&sums.cost[arm], key->cost[arm]);
    }
    return sums;
}

/* ------------------------------------------------------------------ values */

/* Costs, times, bytes: none is negative. */
static int natural(const struct hak_scan *scan, const char *name, int64_t *number)
{
    return hak_scan_integer(hak_scan_find(scan, name), number) == 0 && *number >= 0 ? 0 : -1;
}

/* The number stays 0 where it is not given. */
static int optional(const struct hak_scan *scan, const char *name, int64_t *number)
{
    return hak_scan_find(scan, name) == NULL ? 0 : natural(scan, name, number);
}

static int place(const char *name, const char *const *names, int others)
{
    int at = 0;
    while (at < others && strcmp(name, names[at]) != 0)
        at++;
    return at;
}

static int find_arm(const struct hak_replay *replay, const char *value, uint8_t *arm)
{
    char name[HAK_REPLAY_NAME];
    if (hak_scan_text(value, name, sizeof name) != 0)
        return -1;
    for (unsigned i = 0; i < replay->arms; i++) {
        if (strcmp(name, replay->arm[i]) == 0) {
            *arm = (uint8_t)i;
            return 0;
        }
    }
    return -1;
}

static int read_costs(const char *array, int64_t *cost, unsigned arms)
{
    unsigned count = 0;
    for (const char *at = hak_scan_first(array); at != NULL; at = hak_scan_next(at)) {
        if (count == arms || hak_scan_integer(at, &cost[count]) != 0 || cost[count] < 0)
            return -1;
        count++;
    }
    return count == arms ? 0 : -1;
}

static int read_ratings(const char *array, double *rating, unsigned arms)
{
    unsigned count = 0;
    for (const char *at = hak_scan_first(array); at != NULL; at = hak_scan_next(at)) {
        if (count == arms || hak_scan_real(at, &rating[count]) != 0)
            return -1;
        if (rating[count] > 1e9 || rating[count] < -1e9)
            return -1; /* no float could hold it, no picture show it */
        count++;
    }
    return count == arms ? 0 : -1;
}

/* ------------------------------------------------------------------ lines: NULL, or the fault */

static const char *read_header(struct hak_replay *replay, const struct hak_scan *scan)
{
    int64_t format;
    unsigned arms = 0;
    if (natural(scan, "hakmem_learn", &format) != 0 || format != 1)
        return "a log of another format than 1";
    if (hak_scan_text(hak_scan_find(scan, "mode"), replay->mode, sizeof replay->mode) != 0)
        return "the header's \"mode\" is no name";
    if (optional(scan, "price_ns", &replay->price_ns) != 0)
        return "the header's \"price_ns\" is no number";
    const char *at = hak_scan_first(hak_scan_find(scan, "arms"));
    for (; at != NULL; at = hak_scan_next(at)) {
        if (arms == HAK_REPLAY_ARMS)
            return "the header has more arms than this tool has room for";
        if (hak_scan_text(at, replay->arm[arms], HAK_REPLAY_NAME) != 0)
            return "the header's \"arms\" are no names";
        arms++;
    }
    replay->arms = arms;
    return arms > 0 ? NULL : "the header has no \"arms\"";
}

static const char *read_match(const struct hak_replay *replay, const struct hak_scan *scan,
                              struct match *match)
{
    char state[HAK_REPLAY_NAME] = "";
    const char *next = hak_scan_find(scan, "next");
    memset(match, 0, sizeof *match);
    if (natural(scan, "t", &match->ms) != 0)
        return "no time \"t\"";
    if (natural(scan, "shard", &match->shard) != 0 || match->shard >= HAK_REPLAY_SHARDS)
        return "no number of a \"shard\"";
    if (hak_scan_text(hak_scan_find(scan, "key"), match->key, sizeof match->key) != 0)
        return "the \"key\" is no name";
    if (find_arm(replay, hak_scan_find(scan, "played"), &match->played) != 0)
        return "\"played\" is no arm of the header";
    match->next = match->played;
    if (next != NULL && find_arm(replay, next, &match->next) != 0)
        return "\"next\" is no arm of the header";
    if (natural(scan, "paid", &match->paid) != 0)
        return "no number \"paid\"";
    if (optional(scan, "bytes", &match->bytes) != 0 ||
        optional(scan, "samples", &match->samples) != 0)
        return "\"bytes\" or \"samples\" is no number";
    if (read_costs(hak_scan_find(scan, "costs"), match->cost, replay->arms) != 0)
        return "\"costs\" are not a number for each arm";
    if (read_ratings(hak_scan_find(scan, "ratings"), match->rating, replay->arms) != 0)
        return "\"ratings\" are not a number for each arm";
    if (hak_scan_text(hak_scan_find(scan, "why"), match->why, sizeof match->why) != 0)
        strcpy(match->why, "unsaid");
    hak_scan_text(hak_scan_find(scan, "state"), state, sizeof state);
    match->state = (uint8_t)place(state, hak_replay_state_names, HAK_REPLAY_OTHER);
    return NULL;
}

static const char *replay_retain(struct hak_replay_shard *shard, const struct hak_scan *scan)
{
    int64_t from;
    int64_t to;
    int64_t purged = 0;
    char why[HAK_REPLAY_NAME] = "";
    if (natural(scan, "from", &from) != 0 || natural(scan, "to", &to) != 0 ||
        optional(scan, "purged", &purged) != 0)
        return "a \"retain\" without numbers \"from\" and \"to\"";
    hak_scan_text(hak_scan_find(scan, "why"), why, sizeof why);
    if (shard->retains++ == 0)
        shard->retain_from = from;
    shard->retain_to = to;
    shard->why[place(why, hak_replay_why_names, HAK_REPLAY_WHYS - 1)]++;
    hak_replay_add(&shard->purged, purged);
    return NULL;
}

static const char *replay_decay(struct hak_replay_shard *shard, const struct hak_scan *scan)
{
    int64_t from;
    int64_t to;
    if (natural(scan, "from_ms", &from) != 0 || natural(scan, "to_ms", &to) != 0)
        return "a \"decay\" without numbers \"from_ms\" and \"to_ms\"";
    if (shard->decays++ == 0)
        shard->decay_from_ms = from;
    shard->decay_to_ms = to;
    return NULL;
}

static const char *replay_event(struct hak_replay *replay, const struct hak_scan *scan)
{
    char name[HAK_REPLAY_NAME] = "";
    int64_t ms = 0;
    int64_t shard;
    const char *fault = NULL;
    hak_scan_text(hak_scan_find(scan, "event"), name, sizeof name);
    int is_retain = strcmp(name, "retain") == 0;
    if (!is_retain && strcmp(name, "decay") != 0) {
        replay->ignored++;
        return NULL;
    }
    if (natural(scan, "t", &ms) != 0)
        return "no time \"t\"";
    if (natural(scan, "shard", &shard) != 0 || shard >= HAK_REPLAY_SHARDS)
        return "no number of a \"shard\"";
    if (is_retain)
        fault = replay_retain(&replay->shard[shard], scan);
    else
        fault = replay_decay(&replay->shard[shard], scan);
    if (fault != NULL)
        return fault;
    replay->events++;
    replay->ms = ms > replay->ms ? ms : replay->ms;
    return NULL;
}

/* ------------------------------------------------------------------ keys */

/* FNV-1a. */
static size_t bucket_of(const struct match *match)
{
    uint32_t hash = 2166136261u ^ (uint32_t)match->shard;
    for (const char *at = match->key; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return (hash ^ hash >> 16) % HAK_REPLAY_BUCKETS;
}

/* The match's key, a new one if need be; NULL: no room, no memory. */
static struct hak_replay_key *key_of(struct hak_replay *replay, const struct match *match)
{
    struct hak_replay_key **bucket = &replay->bucket[bucket_of(match)];
    struct hak_replay_key *key = *bucket;
    while (key != NULL && (key->shard != match->shard || strcmp(key->name, match->key) != 0))
        key = key->next;
    if (key != NULL || replay->keys == HAK_REPLAY_KEYS)
        return key;
    key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->shard = (unsigned)match->shard;
    memcpy(key->name, match->key, sizeof key->name);
    key->ms = match->ms;
    key->arm = match->played;
    key->state = match->state;
    key->stride = 1;
    key->next = *bucket;
    *bucket = key;
    replay->key[replay->keys++] = key;
    return key;
}

static void note_switch(struct hak_replay_key *key, int64_t ms, uint8_t to, const char *why)
{
    struct hak_replay_switch *changed = &key->changed[key->switches++ % HAK_REPLAY_SWITCHES];
    changed->ms = ms;
    changed->from = key->arm;
    changed->to = to;
    snprintf(changed->why, sizeof changed->why, "%s", why);
    key->arm = to;
}

/* Lets the time pass that `arm` was in force. */
static void pass(struct hak_replay_key *key, int64_t ms, uint8_t arm)
{
    if (ms <= key->ms)
        return;
    key->state_ms[key->state] += ms - key->ms;
    key->arm_ms[arm] += ms - key->ms;
    key->ms = ms;
}

/* The newest point stands behind those that stay; it stays if it is of their stride. */
static void note_point(const struct hak_replay *replay, struct hak_replay_key *key,
                       const struct match *match)
{
    if (key->points == HAK_REPLAY_POINTS) {
        for (size_t i = 0; i < HAK_REPLAY_POINTS / 2; i++)
            key->point[i] = key->point[2 * i];
        key->points = HAK_REPLAY_POINTS / 2;
        key->stride *= 2;
    }
    if (key->points == key->room) {
        size_t room = key->room == 0 ? FIRST_ROOM : 2 * key->room;
        void *larger = realloc(key->point, room * sizeof *key->point);
        if (larger == NULL)
            return; /* the picture ends here */
        key->point = larger;
        key->room = room;
    }
    struct hak_replay_point *point = &key->point[key->points];
    point->ms = key->ms;
    point->regret = hak_replay_regret(replay, key);
    point->arm = match->played;
    point->state = match->state;
    for (unsigned arm = 0; arm < replay->arms; arm++)
        point->rating[arm] = (float)match->rating[arm];
    if ((key->matches - 1) % key->stride == 0)
        key->points++;
}

static void replay_match(struct hak_replay *replay, const struct match *match)
{
    struct hak_replay_key *key = key_of(replay, match);
    replay->matches++;
    replay->ms = match->ms > replay->ms ? match->ms : replay->ms;
    if (key == NULL) {
        replay->left_out++;
        return;
    }
    key->matches++;
    pass(key, match->ms, match->played);
    if (match->played != key->arm)
        note_switch(key, match->ms, match->played, "unsaid");
    if (match->next != match->played)
        note_switch(key, match->ms, match->next, match->why);
    key->state = match->state;
    hak_replay_add(&key->bytes, match->bytes);
    hak_replay_add(&key->samples, match->samples);
    hak_replay_add(&key->paid, match->paid);
    for (unsigned arm = 0; arm < replay->arms; arm++) {
        hak_replay_add(&key->cost[arm], match->cost[arm]);
        key->rating[arm] = match->rating[arm];
    }
    if (replay->wants_points)
        note_point(replay, key, match);
}

/* ------------------------------------------------------------------ the file */

static const char *replay_line(struct hak_replay *replay, const struct hak_scan *scan)
{
    struct match match;
    if (hak_scan_find(scan, "event") != NULL)
        return replay_event(replay, scan);
    if (hak_scan_find(scan, "key") == NULL || hak_scan_find(scan, "played") == NULL) {
        replay->ignored++;
        return NULL;
    }
    const char *fault = read_match(replay, scan, &match);
    if (fault == NULL)
        replay_match(replay, &match);
    return fault;
}

static void tell(const struct hak_replay *replay, const char *what)
{
    fprintf(stderr, "hakmem: %s:%lld: %s\n", replay->file, (long long)replay->lines, what);
}

static enum outcome take_line(struct hak_replay *replay, const char *line, int is_whole)
{
    struct hak_scan scan;
    if (line[strspn(line, " \t\r")] == '\0')
        return GOES_ON;
    const char *fault = hak_scan_line(&scan, line);
    if (fault == NULL && hak_scan_find(&scan, "hakmem_learn") != NULL) {
        if (replay->arms > 0) {
            tell(replay, "another log begins here, and is left out");
            return ENDS;
        }
        fault = read_header(replay, &scan);
        if (fault != NULL)
            tell(replay, fault);
        return fault == NULL ? GOES_ON : FAILS;
    }
    if (replay->arms == 0) {
        tell(replay, "not a log of HAKMEM_LEARN_LOG: no header");
        return FAILS;
    }
    if (fault == NULL)
        fault = replay_line(replay, &scan);
    else if (!is_whole)
        replay->is_cut = 1;
    if (fault != NULL && !replay->is_cut && replay->malformed++ < TOLD)
        tell(replay, fault);
    return GOES_ON;
}

/* Reads a line without its end, and NUL bytes as a character that no line of a log has. 1, or 0 at
 * the end of the file. What is too long is cut, and so malformed. */
static int read_line(FILE *file, char line[LINE_BYTES], int *is_whole)
{
    size_t length = 0;
    int byte = getc(file);
    if (byte == EOF)
        return 0;
    for (; byte != EOF && byte != '\n'; byte = getc(file)) {
        if (length < LINE_BYTES - 1)
            line[length++] = byte == '\0' ? '\1' : (char)byte;
    }
    line[length] = '\0';
    *is_whole = byte == '\n';
    return 1;
}

static int most_bytes_first(const void *left, const void *right)
{
    const struct hak_replay_key *a = *(struct hak_replay_key *const *)left;
    const struct hak_replay_key *b = *(struct hak_replay_key *const *)right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void finish(struct hak_replay *replay)
{
    for (size_t i = 0; i < replay->keys; i++) {
        struct hak_replay_key *key = replay->key[i];
        pass(key, replay->ms, key->arm);
        if (key->points > 0 && key->points < key->room && (key->matches - 1) % key->stride != 0)
            key->points++;
    }
    qsort(replay->key, replay->keys, sizeof replay->key[0], most_bytes_first);
    if (replay->malformed > TOLD)
        fprintf(stderr, "hakmem: %s: %lld malformed lines in all\n", replay->file,
                (long long)replay->malformed);
    if (replay->left_out > 0)
        fprintf(stderr, "hakmem: %s: no room for the keys of %lld matches\n", replay->file,
                (long long)replay->left_out);
}

int hak_replay_read(struct hak_replay *replay)
{
    static char line[LINE_BYTES];
    int is_whole;
    enum outcome outcome = GOES_ON;
    FILE *file = fopen(replay->file, "r");
    if (file == NULL) {
        fprintf(stderr, "hakmem: %s: %s\n", replay->file, strerror(errno));
        return -1;
    }
    while (outcome == GOES_ON && read_line(file, line, &is_whole)) {
        replay->lines++;
        outcome = take_line(replay, line, is_whole);
    }
    if (outcome == GOES_ON && ferror(file)) {
        fprintf(stderr, "hakmem: %s: %s\n", replay->file, strerror(errno));
        outcome = FAILS;
    } else if (outcome == GOES_ON && replay->arms == 0) {
        fprintf(stderr, "hakmem: %s: empty: no log of HAKMEM_LEARN_LOG\n", replay->file);
        outcome = FAILS;
    }
    fclose(file);
    if (outcome == FAILS)
        return -1;
    finish(replay);
    return 0;
}

void hak_replay_free(struct hak_replay *replay)
{
    for (size_t i = 0; i < replay->keys; i++) {
        free(replay->key[i]->point);
        free(replay->key[i]);
    }
}
