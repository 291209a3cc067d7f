/* SPDX-License-Identifier: MIT */
/* The replay as a picture: at the top what was paid, beside what each arm would have cost for
 * everything; its bars are the arms' colours. Below, a panel for each of the keys with most bytes,
 * all over the same time:
 *
 *     +------------------------+
 *     | __--^^ ratings, a line |   the ground is the state, white before there is one
 *     | ^^--__ for each arm    |
 *     +------------------------+
 *     |  keep   |     free     |   the arm in force
 *     +------------------------+
 *     |      regret so far     |   paid more than the arm that was the best until then
 *     +------------------------+
 *
 * Names come without what would need quoting (learn_scan.h). One thread. */
#include <string.h>

#include "tools/learn.h"

enum {
    WIDTH = 1240,
    GAP = 14,
    PANELS = 12,
    PANELS_A_ROW = 3,
    TICKS = 12, /* of a scale, at most */
    BAR = 20,   /* height of a bar and its line of text */
    BARS_TOP = 48,
    BARS_LEFT = 204,
    BARS_WIDTH = 400,
    LEGEND_LEFT = 810,
    LEGEND_LINES = 6,
    /* Of a panel. */
    LEFT = 58, /* of the curves */
    RIGHT = 12,
    RATINGS_TOP = 44,
    RATINGS_HEIGHT = 120,
    BAND_TOP = RATINGS_TOP + RATINGS_HEIGHT + 5,
    BAND_HEIGHT = 15,
    REGRET_TOP = BAND_TOP + BAND_HEIGHT + 7,
    REGRET_HEIGHT = 52,
    PANEL_HEIGHT = REGRET_TOP + REGRET_HEIGHT + 26,
    COLOURS = 8
};

/* Okabe and Ito's, which differ for the colour-blind too. */
static const char *const colours[COLOURS] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                             "#d55e00", "#56b4e9", "#777777", "#b8a800"};
/* Of a name on the colour. */
static const char *const inks[COLOURS] = {"#fff", "#000", "#fff", "#000",
                                          "#fff", "#000", "#fff", "#000"};
static const char *const grounds[HAK_REPLAY_STATES] = {"#eef6ea", "#dfeaf6", "#fdf0cc", "#e6e6e6",
                                                       "#f8e1ea"};

static const char *const legend[LEGEND_LINES] = {
    "Percentages: against the best arm for each key.",
    "Each panel is a shard and a key; from above:",
    "ratings of the arms, higher is better;",
    "the arm in force;",
    "regret: what was paid beyond the arm that was best until then.",
    "Ground:",
};

/* A scale from one value to another, with round numbers between. */
struct scale {
    double low;
    double high;
    double step;
    double from; /* where low and high are drawn */
    double to;
};

struct panel {
    const struct hak_replay *replay;
    const struct hak_replay_key *key;
    FILE *file;
    double x;
    double y;
    double width;
    struct scale time;
    struct scale ratings;
};

/* ------------------------------------------------------------------ scales */

static double at(const struct scale *scale, double value)
{
    return scale->from +
           (scale->to - scale->from) * (value - scale->low) / (scale->high - scale->low);
}

/* 1, 2 or 5 times a power of ten, so that `parts` of them or a few less cover the range. */
static double round_step(double range, double parts)
{
    double step = 1;
    while (step * parts < range)
        step *= 10;
    if (step / 5 * parts >= range)
        return step / 5;
    return step / 2 * parts >= range ? step / 2 : step;
}

/* Multiples of the step around the two values; no step is below 1. */
static struct scale scale_over(double low, double high, double parts)
{
    struct scale scale = {.step = round_step(high - low, parts)};
    scale.step = scale.step < 1 ? 1 : scale.step;
    scale.low = (double)(int64_t)(low / scale.step) * scale.step;
    scale.high = (double)(int64_t)(high / scale.step) * scale.step;
    if (scale.low > low)
        scale.low -= scale.step;
    if (scale.high < high || scale.high <= scale.low)
        scale.high += scale.step;
    return scale;
}

static size_t shown(const struct hak_replay *replay)
{
    return replay->keys < PANELS ? replay->keys : PANELS;
}

/* One scale for all panels, so that they can be compared. */
static struct scale scale_of_ratings(const struct hak_replay *replay)
{
    double low = 0;
    double high = 0;
    int is_first = 1;
    for (size_t i = 0; i < shown(replay); i++) {
        const struct hak_replay_key *key = replay->key[i];
        for (size_t j = 0; j < key->points * replay->arms; j++) {
            double rating = key->point[j / replay->arms].rating[j % replay->arms];
            low = is_first || rating < low ? rating : low;
            high = is_first || rating > high ? rating : high;
            is_first = 0;
        }
    }
    return scale_over(low, high, 4);
}

/* ------------------------------------------------------------------ panels */

static const char *dashes(unsigned arm)
{
    return arm < COLOURS ? "" : " stroke-dasharray=\"5 2\"";
}

/* Runs of points in the same state are one rectangle. */
static void put_ground(const struct panel *panel)
{
    const struct hak_replay_key *key = panel->key;
    for (size_t from = 0, to; from < key->points; from = to) {
        const struct hak_replay_point *point = &key->point[from];
        for (to = from + 1; to < key->points && key->point[to].state == point->state; to++)
            continue;
        double end = (double)(to < key->points ? key->point[to].ms : panel->replay->ms);
        double x = at(&panel->time, (double)point->ms);
        fprintf(panel->file,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", x,
                panel->y + RATINGS_TOP, at(&panel->time, end) - x, RATINGS_HEIGHT,
                grounds[point->state]);
    }
}

static void put_ratings(const struct panel *panel)
{
    const struct hak_replay_key *key = panel->key;
    struct scale scale = panel->ratings;
    scale.from = panel->y + RATINGS_TOP + RATINGS_HEIGHT;
    scale.to = panel->y + RATINGS_TOP;
    double left = panel->time.from;
    double right = panel->time.to;
    put_ground(panel);
    for (int i = 0; i < TICKS && scale.low + i * scale.step <= scale.high; i++) {
        double value = scale.low + i * scale.step;
        double y = at(&scale, value);
        fprintf(panel->file, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", left, y, right);
        fprintf(panel->file, "<text class=\"tick end\" x=\"%.1f\" y=\"%.1f\">%.0f</text>\n",
                left - 5, y + 4, value);
    }
    for (unsigned arm = 0; arm < panel->replay->arms; arm++) {
        fprintf(panel->file, "<polyline class=\"line\" stroke=\"%s\"%s points=\"",
                colours[arm % COLOURS], dashes(arm));
        for (size_t i = 0; i < key->points; i++)
            fprintf(panel->file, "%s%.1f,%.1f", i > 0 ? " " : "",
                    at(&panel->time, (double)key->point[i].ms),
                    at(&scale, (double)key->point[i].rating[arm]));
        fprintf(panel->file, "\"><title>%s</title></polyline>\n", panel->replay->arm[arm]);
    }
}

/* An arm was in force from then to then. */
static void put_reign(const struct panel *panel, unsigned arm, int64_t from, int64_t to)
{
    const char *name = panel->replay->arm[arm];
    double x = at(&panel->time, (double)from);
    double width = at(&panel->time, (double)to) - x;
    double y = panel->y + BAND_TOP;
    fprintf(panel->file,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\">"
            "<title>%s, %.3f s to %.3f s</title></rect>",
            x, y, width, BAND_HEIGHT, colours[arm % COLOURS], name, (double)from / 1000,
            (double)to / 1000);
    if (width > 7.0 * (double)strlen(name) + 6)
        fprintf(panel->file, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s</text>",
                x + width / 2, y + BAND_HEIGHT - 4, inks[arm % COLOURS], name);
    fprintf(panel->file, "\n");
}

static void put_band(const struct panel *panel)
{
    const struct hak_replay_key *key = panel->key;
    if (key->points == 0)
        return;
    int64_t from = key->point[0].ms;
    unsigned arm = key->points > 1 ? key->point[1].arm : key->arm;
    for (size_t i = 1; i < key->points; i++) {
        unsigned next = i + 1 < key->points ? key->point[i + 1].arm : key->arm;
        if (next == arm)
            continue;
        put_reign(panel, arm, from, key->point[i].ms);
        from = key->point[i].ms;
        arm = next;
    }
    put_reign(panel, arm, from, panel->replay->ms);
}

/* A round number, without the zeros that hak_figure_ns() would have behind its point. */
static void put_round_ns(double value, FILE *file)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};
    size_t unit = 0;
    for (; (value >= 1000 || value <= -1000) && unit < 3; unit++)
        value /= 1000;
    fprintf(file, "%g%s", value, value == 0 ? "" : units[unit]);
}

static void put_regret(const struct panel *panel)
{
    const struct hak_replay_key *key = panel->key;
    double low = 0;
    double high = 0;
    for (size_t i = 0; i < key->points; i++) {
        double regret = (double)key->point[i].regret;
        low = regret < low ? regret : low;
        high = regret > high ? regret : high;
    }
    struct scale scale = scale_over(low, high, 2);
    scale.from = panel->y + REGRET_TOP + REGRET_HEIGHT;
    scale.to = panel->y + REGRET_TOP;
    for (int i = 0; i < TICKS && scale.low + i * scale.step <= scale.high; i++) {
        double value = scale.low + i * scale.step;
        double y = at(&scale, value);
        if (value != 0 && low == high)
            continue; /* all is 0: no label for the scale's 1 ns */
        fprintf(panel->file, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", panel->time.from, y,
                panel->time.to);
        fprintf(panel->file, "<text class=\"tick end\" x=\"%.1f\" y=\"%.1f\">",
                panel->time.from - 5, y + 4);
        put_round_ns(value, panel->file);
        fprintf(panel->file, "</text>\n");
    }
    if (key->points == 0)
        return;
    double zero = at(&scale, 0);
    fprintf(panel->file, "<path class=\"regret\" d=\"M%.1f %.1f",
            at(&panel->time, (double)key->point[0].ms), zero);
    for (size_t i = 0; i < key->points; i++)
        fprintf(panel->file, "L%.1f %.1f", at(&panel->time, (double)key->point[i].ms),
                at(&scale, (double)key->point[i].regret));
    fprintf(panel->file, "H%.1fV%.1f\"/>\n", panel->time.to, zero);
}

static void put_time(const struct panel *panel)
{
    double bottom = panel->y + REGRET_TOP + REGRET_HEIGHT;
    const struct scale *time = &panel->time;
    for (int i = 0; i < TICKS && i * time->step <= time->high; i++) {
        double x = at(time, i * time->step);
        fprintf(panel->file, "<path class=\"grid\" d=\"M%.1f %.1fv4\"/>", x, bottom);
        fprintf(panel->file, "<text class=\"tick middle\" x=\"%.1f\" y=\"%.1f\">%g%s</text>\n", x,
                bottom + 15, i * time->step / 1000, i == 0 ? " s" : "");
    }
}

static void put_panel(const struct panel *panel)
{
    const struct hak_replay_key *key = panel->key;
    int64_t regret = hak_replay_regret(panel->replay, key);
    double left = panel->time.from;
    fprintf(panel->file, "<g class=\"panel\">\n");
    fprintf(panel->file, "<text class=\"head\" x=\"%.1f\" y=\"%.1f\">shard %u, %s</text>\n", left,
            panel->y + 18, key->shard, key->name);
    fprintf(panel->file, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%lld matches, %s, ", left,
            panel->y + 35, (long long)key->matches, hak_figure_bytes(key->bytes).text);
    fprintf(panel->file, "paid %s, ", hak_figure_ns(key->paid).text);
    fprintf(panel->file, "regret %s (%s)</text>\n", hak_figure_ns(regret).text,
            hak_figure_percent(regret, key->paid - regret).text);
    put_ratings(panel);
    put_band(panel);
    put_regret(panel);
    put_time(panel);
    fprintf(panel->file,
            "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>"
            "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n</g>\n",
            left, panel->y + RATINGS_TOP, panel->time.to - left, RATINGS_HEIGHT, left,
            panel->y + REGRET_TOP, panel->time.to - left, REGRET_HEIGHT);
}

/* ------------------------------------------------------------------ the top */

struct bar {
    const char *label;
    const char *colour;
    const char *dashes;
    int64_t cost;
    int64_t best; /* that it is measured by */
    int64_t longest;
};

static void put_bar(const struct bar *bar, double y, FILE *file)
{
    double width =
        bar->longest > 0 ? BARS_WIDTH * (double)bar->cost / (double)bar->longest : 0;
    fprintf(file, "<text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>", BARS_LEFT - 32, y + 14,
            bar->label);
    fprintf(file, "<path class=\"line\" stroke=\"%s\"%s d=\"M%d %.1fh20\"/>", bar->colour,
            bar->dashes, BARS_LEFT - 26, y + 9.5);
    fprintf(file,
            "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>"
            "<text x=\"%.1f\" y=\"%.1f\">%s",
            BARS_LEFT, y + 2, width, BAR - 5, bar->colour, BARS_LEFT + width + 6, y + 14,
            hak_figure_ns(bar->cost).text);
    if (bar->cost != bar->best)
        fprintf(file, " (%s)", hak_figure_percent(bar->cost - bar->best, bar->best).text);
    fprintf(file, "</text>\n");
}

static void put_bars(const struct hak_replay *replay, FILE *file)
{
    struct hak_replay_sums sums = hak_replay_sum(replay);
    double y = BARS_TOP;
    struct bar bar = {.dashes = "", .best = sums.best, .longest = sums.paid};
    for (unsigned arm = 0; arm < replay->arms; arm++)
        bar.longest = sums.cost[arm] > bar.longest ? sums.cost[arm] : bar.longest;
    bar.label = "the learner";
    bar.colour = "#222222";
    bar.cost = sums.paid;
    put_bar(&bar, y, file);
    for (unsigned arm = 0; arm < replay->arms; arm++) {
        char label[HAK_REPLAY_NAME + 16];
        snprintf(label, sizeof label, "%s everywhere", replay->arm[arm]);
        bar.label = label;
        bar.colour = colours[arm % COLOURS];
        bar.dashes = dashes(arm);
        bar.cost = sums.cost[arm];
        put_bar(&bar, y += BAR, file);
    }
    bar.label = "best arm for each key";
    bar.colour = "#aaaaaa";
    bar.dashes = "";
    bar.cost = sums.best;
    put_bar(&bar, y + BAR, file);
}

static void put_legend(const struct hak_replay *replay, FILE *file)
{
    for (int i = 0; i < LEGEND_LINES; i++)
        fprintf(file, "<text class=\"note\" x=\"%d\" y=\"%d\">%s</text>\n",
                LEGEND_LEFT + (i > 1 && i < LEGEND_LINES - 1 ? 12 : 0), BARS_TOP + 14 + i * 17,
                legend[i]);
    for (int state = 0; state < HAK_REPLAY_STATES; state++) {
        int x = LEGEND_LEFT + 56 + state * 72;
        int y = BARS_TOP + 14 + (LEGEND_LINES - 1) * 17;
        fprintf(file,
                "<rect class=\"swatch\" x=\"%d\" y=\"%d\" width=\"14\" height=\"12\" fill=\"%s\"/>"
                "<text class=\"note\" x=\"%d\" y=\"%d\">%s</text>\n",
                x, y - 10, grounds[state], x + 19, y, hak_replay_state_names[state]);
    }
    if (replay->keys > PANELS)
        fprintf(file, "<text class=\"note\" x=\"%d\" y=\"%d\">%zu keys with less bytes are not "
                      "shown.</text>\n",
                LEGEND_LEFT, BARS_TOP + 14 + LEGEND_LINES * 17, replay->keys - PANELS);
}

static void put_top(const struct hak_replay *replay, double height, FILE *file)
{
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
            "viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"13\">\n",
            WIDTH, height, WIDTH, height);
    fprintf(file, "<style>.grid{stroke:#888;stroke-opacity:.3;fill:none}.frame{fill:none;"
                  "stroke:#999}.line{fill:none;stroke-width:2;stroke-linejoin:round}"
                  ".regret{fill:#b22;fill-opacity:.15;stroke:#b22;stroke-width:1.5}"
                  ".tick{font-size:11px;fill:#555}.note{font-size:12px;fill:#444}"
                  ".head{font-weight:bold}.end{text-anchor:end}.middle{text-anchor:middle}"
                  ".name{font-size:11px;text-anchor:middle}"
                  ".swatch{stroke:#999}</style>\n");
    fprintf(file, "<rect width=\"%d\" height=\"%.0f\" fill=\"#fff\"/>\n", WIDTH, height);
    fprintf(file,
            "<text class=\"head\" font-size=\"16\" x=\"%d\" y=\"28\">What the learner paid, and "
            "what each arm would have cost</text>\n",
            GAP);
    fprintf(file,
            "<text class=\"note end\" x=\"%d\" y=\"28\">mode %s, %lld matches of %zu keys in %.1f "
            "s; a MiB kept for a second counts %s</text>\n",
            WIDTH - GAP, replay->mode, (long long)replay->matches, replay->keys,
            (double)replay->ms / 1000, hak_figure_ns(replay->price_ns).text);
}

void hak_replay_put_svg(const struct hak_replay *replay, FILE *file)
{
    size_t panels = shown(replay);
    size_t columns = panels == 4 ? 2 : panels < PANELS_A_ROW ? panels : PANELS_A_ROW;
    size_t rows = columns > 0 ? (panels + columns - 1) / columns : 0;
    double bars = BAR * (replay->arms + 2.0);
    double least = 17 * (LEGEND_LINES + 1);
    double top = BARS_TOP + (bars > least ? bars : least) + GAP;
    struct panel panel = {.replay = replay, .file = file};
    put_top(replay, top + (double)rows * (PANEL_HEIGHT + GAP), file);
    put_bars(replay, file);
    put_legend(replay, file);
    panel.ratings = scale_of_ratings(replay);
    panel.time = scale_over(0, (double)replay->ms, 6);
    panel.time.high = replay->ms > 0 ? (double)replay->ms : 1;
    for (size_t i = 0; i < panels; i++) {
        panel.key = replay->key[i];
        panel.width = (double)WIDTH / (double)columns;
        panel.x = (double)(i % columns) * panel.width;
        panel.y = top + (double)(i / columns) * (PANEL_HEIGHT + GAP);
        panel.time.from = panel.x + LEFT;
        panel.time.to = panel.x + panel.width - RIGHT;
        put_panel(&panel);
    }
    fprintf(file, "</svg>\n");
}
