/* SPDX-License-Identifier: MIT */
/* The replay as tables for people, figures rounded, and as one JSON object for programs, figures
 * exact. One thread. */
#include <inttypes.h>

#include "tools/learn.h"

enum {
    ROWS = 40, /* of a table for people */
    PAD = 13   /* of a key's name */
};

/* ------------------------------------------------------------------ figures */

struct hak_figure hak_figure_ns(int64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    struct hak_figure figure;
    double value = (double)ns;
    size_t unit = 0;
    while ((value >= 999.5 || value <= -999.5) && unit < 3) {
        value /= 1000;
        unit++;
    }
    double size = value < 0 ? -value : value;
    int decimals = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(figure.text, sizeof figure.text, "%.*f %s", decimals, value, units[unit]);
    return figure;
}

struct hak_figure hak_figure_bytes(int64_t bytes)
{
    static const char *const units[] = {"", "K", "M", "G", "T", "P"};
    struct hak_figure figure;
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1023.5 && unit < 5; unit++)
        value /= 1024;
    snprintf(figure.text, sizeof figure.text, "%.*f%s", unit > 0 && value < 9.95 ? 1 : 0, value,
             units[unit]);
    return figure;
}

struct hak_figure hak_figure_percent(int64_t difference, int64_t of)
{
    struct hak_figure figure;
    if (of > 0)
        snprintf(figure.text, sizeof figure.text, "%+.1f%%",
                 100.0 * (double)difference / (double)of);
    else
        snprintf(figure.text, sizeof figure.text, "-");
    return figure;
}

static struct hak_figure share(int64_t part, int64_t all)
{
    struct hak_figure figure;
    if (part > 0 && all > 0)
        snprintf(figure.text, sizeof figure.text, "%.0f%%", 100.0 * (double)part / (double)all);
    else
        snprintf(figure.text, sizeof figure.text, "-");
    return figure;
}

/* ------------------------------------------------------------------ for people */

static void put_rest(size_t rows, const char *what, FILE *file)
{
    if (rows > ROWS)
        fprintf(file, "  and %zu more %s: --json has them\n", rows - ROWS, what);
}

static void put_head(const struct hak_replay *replay, FILE *file)
{
    fprintf(file, "%s: mode %s, %" PRId64 " matches of %zu keys in %.1f s\n", replay->file,
            replay->mode, replay->matches, replay->keys, (double)replay->ms / 1000);
    fprintf(file, "costs are CPU time; a MiB kept unused for a second counts %s\n",
            hak_figure_ns(replay->price_ns).text);
    if (replay->malformed > 0)
        fprintf(file, "%" PRId64 " malformed lines are left out\n", replay->malformed);
    if (replay->is_cut)
        fprintf(file, "the last line is cut off, and left out\n");
    if (replay->ignored > 0)
        fprintf(file, "%" PRId64 " lines of unknown kinds are left out\n", replay->ignored);
    if (replay->left_out > 0)
        fprintf(file, "%" PRId64 " matches are left out for want of room\n", replay->left_out);
}

static void put_keys(const struct hak_replay *replay, FILE *file)
{
    fprintf(file, "\n%5s %-*s %7s %6s  %5s %6s %6s %6s  %-8s %8s  %8s %8s %8s\n", "shard", PAD,
            "key", "matches", "bytes", "learn", "frozen", "canary", "pinned", "in force",
            "switches", "paid", "regret", "of best");
    for (size_t i = 0; i < replay->keys && i < ROWS; i++) {
        const struct hak_replay_key *key = replay->key[i];
        int64_t regret = hak_replay_regret(replay, key);
        int64_t ms = 0;
        for (int state = 0; state < HAK_REPLAY_STATES; state++)
            ms += key->state_ms[state];
        fprintf(file, "%5u %-*s %7" PRId64 " %6s ", key->shard, PAD, key->name, key->matches,
                hak_figure_bytes(key->bytes).text);
        for (int state = 0; state < HAK_REPLAY_OTHER; state++)
            fprintf(file, " %*s", state == 0 ? 5 : 6, share(key->state_ms[state], ms).text);
        fprintf(file, "  %-8s %8zu  %8s", replay->arm[key->arm], key->switches,
                hak_figure_ns(key->paid).text);
        fprintf(file, " %8s %8s\n", hak_figure_ns(regret).text,
                hak_figure_percent(regret, key->paid - regret).text);
    }
    put_rest(replay->keys, "keys", file);
}

static void put_arms(const struct hak_replay *replay, FILE *file)
{
    fprintf(file, "\nwhat each arm would have cost, alone, and its last rating (* least cost)\n");
    fprintf(file, "%5s %-*s", "shard", PAD, "key");
    for (unsigned arm = 0; arm < replay->arms; arm++)
        fprintf(file, " %15s ", replay->arm[arm]);
    fprintf(file, "\n");
    for (size_t i = 0; i < replay->keys && i < ROWS; i++) {
        const struct hak_replay_key *key = replay->key[i];
        unsigned best = hak_replay_best(replay, key->cost);
        fprintf(file, "%5u %-*s", key->shard, PAD, key->name);
        for (unsigned arm = 0; arm < replay->arms; arm++)
            fprintf(file, " %9s %5.0f%c", hak_figure_ns(key->cost[arm]).text, key->rating[arm],
                    arm == best ? '*' : ' ');
        fprintf(file, "\n");
    }
    put_rest(replay->keys, "keys", file);
}

/* The oldest of a key's switches that is still known. */
static size_t first_switch(const struct hak_replay_key *key)
{
    return key->switches > HAK_REPLAY_SWITCHES ? key->switches - HAK_REPLAY_SWITCHES : 0;
}

static void put_switches(const struct hak_replay *replay, FILE *file)
{
    size_t rows = 0;
    fprintf(file, "\nswitches, the last %d of each key at most\n", HAK_REPLAY_SWITCHES);
    for (size_t i = 0; i < replay->keys; i++) {
        const struct hak_replay_key *key = replay->key[i];
        for (size_t at = first_switch(key); at < key->switches; at++, rows++) {
            const struct hak_replay_switch *changed = &key->changed[at % HAK_REPLAY_SWITCHES];
            if (rows < ROWS)
                fprintf(file, "%5u %-*s %9.3f s  %s -> %s, %s\n", key->shard, PAD, key->name,
                        (double)changed->ms / 1000, replay->arm[changed->from],
                        replay->arm[changed->to], changed->why);
        }
    }
    if (rows == 0)
        fprintf(file, "  none\n");
    put_rest(rows, "switches", file);
}

static void put_shards(const struct hak_replay *replay, FILE *file)
{
    size_t rows = 0;
    for (unsigned i = 0; i < HAK_REPLAY_SHARDS; i++) {
        const struct hak_replay_shard *shard = &replay->shard[i];
        if (shard->retains + shard->decays == 0 || rows++ >= ROWS)
            continue;
        if (rows == 1)
            fprintf(file, "\nwhat the shards kept\n");
        fprintf(file, "%5u", i);
        if (shard->retains > 0) {
            fprintf(file, " retain %s", hak_figure_bytes(shard->retain_from).text);
            fprintf(file, " -> %s by", hak_figure_bytes(shard->retain_to).text);
            for (int why = 0; why < HAK_REPLAY_WHYS; why++) {
                if (shard->why[why] > 0)
                    fprintf(file, " %" PRId64 " %s", shard->why[why], hak_replay_why_names[why]);
            }
            fprintf(file, ", purged %s", hak_figure_bytes(shard->purged).text);
        }
        if (shard->decays > 0)
            fprintf(file, "%s decay %" PRId64 " -> %" PRId64 " ms in %" PRId64,
                    shard->retains > 0 ? ";" : "", shard->decay_from_ms, shard->decay_to_ms,
                    shard->decays);
        fprintf(file, "\n");
    }
    put_rest(rows, "shards", file);
}

static void put_total(const char *what, int64_t cost, int64_t best, FILE *file)
{
    fprintf(file, "%-36s %9s", what, hak_figure_ns(cost).text);
    fprintf(file, " %9s %8s\n", hak_figure_ns(cost - best).text,
            hak_figure_percent(cost - best, best).text);
}

static void put_totals(const struct hak_replay *replay, FILE *file)
{
    struct hak_replay_sums sums = hak_replay_sum(replay);
    unsigned best = hak_replay_best(replay, sums.cost);
    fprintf(file, "\n%-36s %9s %9s %8s\n", "all keys", "cost", "regret", "of best");
    put_total("the learner", sums.paid, sums.best, file);
    for (unsigned arm = 0; arm < replay->arms; arm++) {
        char what[HAK_REPLAY_NAME + 40];
        snprintf(what, sizeof what, "%s for everything%s", replay->arm[arm],
                 arm == best ? " *" : "");
        put_total(what, sums.cost[arm], sums.best, file);
    }
    put_total("the best arm for each key", sums.best, sums.best, file);
    fprintf(file, "%-36s %9s", "the learner, against *", "");
    fprintf(file, " %9s %8s\n", hak_figure_ns(sums.paid - sums.cost[best]).text,
            hak_figure_percent(sums.paid - sums.cost[best], sums.cost[best]).text);
}

void hak_replay_put_text(const struct hak_replay *replay, FILE *file)
{
    put_head(replay, file);
    if (replay->keys > 0) {
        put_keys(replay, file);
        put_arms(replay, file);
        put_switches(replay, file);
    }
    put_shards(replay, file);
    if (replay->keys > 0)
        put_totals(replay, file);
}

/* ------------------------------------------------------------------ for programs */

static void put_numbers(const char *name, const int64_t *number, unsigned count, FILE *file)
{
    fprintf(file, ",\"%s\":[", name);
    for (unsigned i = 0; i < count; i++)
        fprintf(file, "%s%" PRId64, i > 0 ? "," : "", number[i]);
    fprintf(file, "]");
}

static void put_named(const char *name, const char *const *names, const int64_t *number,
                      unsigned count, FILE *file)
{
    fprintf(file, ",\"%s\":{", name);
    for (unsigned i = 0; i < count; i++)
        fprintf(file, "%s\"%s\":%" PRId64, i > 0 ? "," : "", names[i], number[i]);
    fprintf(file, "}");
}

/* What was paid, against what the best of those arms would have cost. */
static void put_regret(const struct hak_replay *replay, int64_t paid, const int64_t *cost,
                       FILE *file)
{
    unsigned best = hak_replay_best(replay, cost);
    fprintf(file, "\"paid\":%" PRId64, paid);
    put_numbers("costs", cost, replay->arms, file);
    fprintf(file, ",\"best\":\"%s\",\"regret\":%" PRId64 ",\"regret_percent\":", replay->arm[best],
            paid - cost[best]);
    if (cost[best] > 0)
        fprintf(file, "%.3f", 100.0 * (double)(paid - cost[best]) / (double)cost[best]);
    else
        fprintf(file, "null");
}

static void put_json_key(const struct hak_replay *replay, const struct hak_replay_key *key,
                         FILE *file)
{
    fprintf(file, "{\"shard\":%u,\"key\":\"%s\",\"matches\":%" PRId64, key->shard, key->name,
            key->matches);
    fprintf(file, ",\"bytes\":%" PRId64 ",\"samples\":%" PRId64 ",", key->bytes, key->samples);
    put_regret(replay, key->paid, key->cost, file);
    put_named("state_ms", hak_replay_state_names, key->state_ms, HAK_REPLAY_STATES, file);
    put_numbers("arm_ms", key->arm_ms, replay->arms, file);
    fprintf(file, ",\"ratings\":[");
    for (unsigned arm = 0; arm < replay->arms; arm++)
        fprintf(file, "%s%.10g", arm > 0 ? "," : "", key->rating[arm]);
    fprintf(file, "],\"state\":\"%s\",\"in_force\":\"%s\",\"switches\":%zu,\"last_switches\":[",
            hak_replay_state_names[key->state], replay->arm[key->arm], key->switches);
    for (size_t at = first_switch(key); at < key->switches; at++) {
        const struct hak_replay_switch *changed = &key->changed[at % HAK_REPLAY_SWITCHES];
        fprintf(file, "%s{\"t\":%" PRId64 ",\"from\":\"%s\",\"to\":\"%s\",\"why\":\"%s\"}",
                at > first_switch(key) ? "," : "", changed->ms, replay->arm[changed->from],
                replay->arm[changed->to], changed->why);
    }
    fprintf(file, "]}");
}

static void put_json_shards(const struct hak_replay *replay, FILE *file)
{
    const char *comma = "";
    for (unsigned i = 0; i < HAK_REPLAY_SHARDS; i++) {
        const struct hak_replay_shard *shard = &replay->shard[i];
        if (shard->retains + shard->decays == 0)
            continue;
        fprintf(file, "%s\n{\"shard\":%u,\"retains\":%" PRId64, comma, i, shard->retains);
        fprintf(file, ",\"retain_from\":%" PRId64 ",\"retain_to\":%" PRId64, shard->retain_from,
                shard->retain_to);
        put_named("why", hak_replay_why_names, shard->why, HAK_REPLAY_WHYS, file);
        fprintf(file, ",\"purged\":%" PRId64 ",\"decays\":%" PRId64, shard->purged, shard->decays);
        fprintf(file, ",\"decay_from_ms\":%" PRId64 ",\"decay_to_ms\":%" PRId64 "}",
                shard->decay_from_ms, shard->decay_to_ms);
        comma = ",";
    }
}

void hak_replay_put_json(const struct hak_replay *replay, FILE *file)
{
    struct hak_replay_sums sums = hak_replay_sum(replay);
    fprintf(file, "{\"mode\":\"%s\",\"price_ns\":%" PRId64 ",\"ms\":%" PRId64, replay->mode,
            replay->price_ns, replay->ms);
    fprintf(file, ",\"arms\":[");
    for (unsigned arm = 0; arm < replay->arms; arm++)
        fprintf(file, "%s\"%s\"", arm > 0 ? "," : "", replay->arm[arm]);
    fprintf(file, "],\n\"lines\":%" PRId64 ",\"matches\":%" PRId64 ",\"events\":%" PRId64,
            replay->lines, replay->matches, replay->events);
    fprintf(file, ",\"ignored\":%" PRId64 ",\"malformed\":%" PRId64 ",\"left_out\":%" PRId64,
            replay->ignored, replay->malformed, replay->left_out);
    fprintf(file, ",\"cut\":%s,\n\"keys\":[", replay->is_cut ? "true" : "false");
    for (size_t i = 0; i < replay->keys; i++) {
        fprintf(file, i > 0 ? ",\n" : "\n");
        put_json_key(replay, replay->key[i], file);
    }
    fprintf(file, "],\n\"shards\":[");
    put_json_shards(replay, file);
    fprintf(file, "],\n\"total\":{");
    put_regret(replay, sums.paid, sums.cost, file);
    fprintf(file, ",\"best_for_each_key\":%" PRId64 ",\"regret_for_each_key\":%" PRId64 "}}\n",
            sums.best, sums.paid - sums.best);
}
