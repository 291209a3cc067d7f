/* SPDX-License-Identifier: MIT */
/* What `hakmem learn` knows of a log once it has replayed it: for each shard and key what was
 * decided, what that cost, and what each arm would have cost. Times are ms since the program's
 * start, costs ns. Memory is bounded, whatever the log: further keys are counted and left out, of
 * switches the last stay, and the points of the picture are thinned by halves.
 *
 *   learn_scan.c -> learn_replay.c -> struct hak_replay -> learn_report.c, learn_svg.c */
#ifndef HAK_TOOLS_LEARN_H
#define HAK_TOOLS_LEARN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    HAK_REPLAY_ARMS = 16,
    HAK_REPLAY_NAME = 24,     /* bytes of a name, its end included */
    HAK_REPLAY_KEYS = 4096,   /* shards times keys */
    HAK_REPLAY_SHARDS = 4096, /* as many as the library builds */
    HAK_REPLAY_POINTS = 512,  /* of a key's curves, 90 bytes each: a panel has fewer pixels */
    HAK_REPLAY_SWITCHES = 16, /* of a key */
    HAK_REPLAY_BUCKETS = 1024 /* of the table of keys */
};

enum hak_replay_state {
    HAK_REPLAY_LEARN,
    HAK_REPLAY_FROZEN,
    HAK_REPLAY_CANARY,
    HAK_REPLAY_PINNED,
    HAK_REPLAY_OTHER, /* one that this tool does not know */
    HAK_REPLAY_STATES
};

extern const char *const hak_replay_state_names[HAK_REPLAY_STATES];

enum {
    HAK_REPLAY_WHYS = 6 /* of an event "retain" */
};

extern const char *const hak_replay_why_names[HAK_REPLAY_WHYS];

/* One instant of a key's curves. */
struct hak_replay_point {
    int64_t ms;
    int64_t regret;                  /* so far */
    float rating[HAK_REPLAY_ARMS];
    uint8_t arm;                     /* in force until then */
    uint8_t state;                   /* from then on */
};

struct hak_replay_switch {
    int64_t ms;
    uint8_t from;
    uint8_t to;
    char why[HAK_REPLAY_NAME];
};

struct hak_replay_key {
    struct hak_replay_key *next;     /* of the same bucket */
    unsigned shard;
    char name[HAK_REPLAY_NAME];
    int64_t matches;
    int64_t bytes;
    int64_t samples;
    int64_t paid;
    int64_t cost[HAK_REPLAY_ARMS];   /* sums */
    double rating[HAK_REPLAY_ARMS];  /* the last */
    int64_t ms;                      /* of the last match */
    int64_t state_ms[HAK_REPLAY_STATES];
    int64_t arm_ms[HAK_REPLAY_ARMS]; /* how long each was in force */
    uint8_t state;                   /* since then */
    uint8_t arm;                     /* in force since then */
    size_t switches;                 /* all; the last of them are changed[number % SWITCHES] */
    struct hak_replay_switch changed[HAK_REPLAY_SWITCHES];
    struct hak_replay_point *point;  /* NULL unless they were asked for */
    size_t points;
    size_t room;                     /* for points */
    int64_t stride;                  /* matches a point */
};

/* What a shard kept, as its events tell. */
struct hak_replay_shard {
    int64_t retains;
    int64_t retain_from; /* bytes, of the first */
    int64_t retain_to;   /* of the last */
    int64_t why[HAK_REPLAY_WHYS];
    int64_t purged;
    int64_t decays;
    int64_t decay_from_ms;
    int64_t decay_to_ms;
};

struct hak_replay {
    const char *file;
    int wants_points;
    char mode[HAK_REPLAY_NAME];
    int64_t price_ns;
    unsigned arms; /* 0: no header yet */
    char arm[HAK_REPLAY_ARMS][HAK_REPLAY_NAME];
    int64_t lines;
    int64_t matches;
    int64_t events;
    int64_t ignored;   /* lines of a kind that this tool does not know */
    int64_t malformed; /* lines; told on stderr */
    int64_t left_out;  /* matches, for want of room for their keys */
    int is_cut;        /* the last line is */
    int64_t ms;        /* the latest time */
    size_t keys;
    struct hak_replay_key *key[HAK_REPLAY_KEYS]; /* once it is read: most bytes first */
    struct hak_replay_key *bucket[HAK_REPLAY_BUCKETS];
    struct hak_replay_shard shard[HAK_REPLAY_SHARDS];
};

struct hak_replay_sums {
    int64_t paid;
    int64_t cost[HAK_REPLAY_ARMS]; /* of each arm for everything */
    int64_t best;                  /* of the best arm for each key */
};

/* Reads the log. 0, or -1: it cannot be used, and stderr says why. Malformed lines are told and
 * left out. The replay is to be all zero but for file and wants_points. */
int hak_replay_read(struct hak_replay *replay);
void hak_replay_free(struct hak_replay *replay);

/* The arm of least cost. */
unsigned hak_replay_best(const struct hak_replay *replay, const int64_t *cost);
int64_t hak_replay_regret(const struct hak_replay *replay, const struct hak_replay_key *key);
struct hak_replay_sums hak_replay_sum(const struct hak_replay *replay);

/* Saturates. */
void hak_replay_add(int64_t *sum, int64_t more);

void hak_replay_put_text(const struct hak_replay *replay, FILE *file);
void hak_replay_put_json(const struct hak_replay *replay, FILE *file);
void hak_replay_put_svg(const struct hak_replay *replay, FILE *file);

/* Figures for people: "1.23 ms", "1.5M", "+9.1%". */
struct hak_figure {
    char text[32];
};

struct hak_figure hak_figure_ns(int64_t ns);
struct hak_figure hak_figure_bytes(int64_t bytes);
struct hak_figure hak_figure_percent(int64_t difference, int64_t of);

#endif
