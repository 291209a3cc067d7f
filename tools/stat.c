/* SPDX-License-Identifier: MIT */
/* hakmem stat: the statistics that a process publishes (HAKMEM_PUBLISH=1), once or again and again.
 * hakmem top and hakmem map have a script draw what this command prints as JSON. One thread. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stats/render_json.h"
#include "stats/render_prometheus.h"
#include "stats/render_text.h"
#include "tools/commands.h"
#include "tools/page.h"

enum form { FORM_TEXT, FORM_JSON, FORM_PROMETHEUS };

struct wish {
    const char *process;
    enum form form;
    int regions;     /* --map: JSON has them */
    double interval; /* seconds; 0: once */
};

/* ---- arguments ------------------------------------------------------------------------------- */

static int parse_interval(const char *text, double *seconds)
{
    char *end;
    *seconds = strtod(text, &end);
    return *text >= '0' && *text <= '9' && *end == '\0' && *seconds >= 0.1 && *seconds <= 86400
               ? 0
               : -1;
}

/* 0; or 1: the argument is no option. */
static int parse_form(const char *argument, struct wish *wish)
{
    static const struct {
        const char *argument;
        enum form form;
    } forms[] = {{"--text", FORM_TEXT}, {"--json", FORM_JSON}, {"--prometheus", FORM_PROMETHEUS}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(argument, forms[i].argument) == 0) {
            wish->form = forms[i].form;
            return 0;
        }
    }
    return 1;
}

static int parse(int argc, char **argv, struct wish *wish)
{
    for (int i = 1; i < argc; i++) {
        if (parse_form(argv[i], wish) == 0)
            continue;
        if (strcmp(argv[i], "--map") == 0) {
            wish->regions = 1;
            wish->form = FORM_JSON;
        } else if (strcmp(argv[i], "--interval") == 0 && i + 1 < argc) {
            if (parse_interval(argv[++i], &wish->interval) != 0)
                return hak_usage("stat --interval takes 0.1..86400 seconds, not", argv[i]);
        } else if (argv[i][0] == '-' || wish->process != NULL) {
            return hak_usage("stat takes no such argument", argv[i]);
        } else {
            wish->process = argv[i];
        }
    }
    return wish->process != NULL ? 0 : hak_usage("stat: no process", NULL);
}

/* ---- printing -------------------------------------------------------------------------------- */

static void put_json(const struct hak_page_copy *copy, int regions, struct hak_writer *writer)
{
    hak_render_json_open(&copy->report, writer);
    hak_put(writer, ",\"age_ns\":%lu", (unsigned long)copy->age_ns);
    if (regions) {
        hak_put_text(writer, ",");
        hak_published_put_regions(writer, &copy->sheet->head, copy->regions);
    }
    hak_put_text(writer, "}\n");
    hak_writer_flush(writer);
}

static int print(const struct wish *wish, const struct hak_page_copy *copy)
{
    char buffer[16 * 1024];
    struct hak_writer writer = hak_writer_to_fd(STDOUT_FILENO, buffer, sizeof buffer);
    writer.patience = HAK_WRITE_WAITS;
    if (wish->form == FORM_JSON) {
        put_json(copy, wish->regions, &writer);
    } else if (wish->form == FORM_PROMETHEUS) {
        hak_render_prometheus(&copy->report, &writer);
    } else {
        hak_put(&writer, "process %s, %lu ms ago\n", wish->process,
                (unsigned long)(copy->age_ns / 1000000));
        hak_render_text(&copy->report, &writer);
    }
    if (writer.refused == 0)
        return 0;
    fprintf(stderr, "hakmem: stat: %s\n", strerror(-writer.refused));
    return HAK_STATUS_FAILED;
}

static void sleep_for(double seconds)
{
    double whole = floor(seconds);
    struct timespec time = {(time_t)whole, (long)((seconds - whole) * 1e9)};
    nanosleep(&time, NULL);
}

int hak_command_stat(int argc, char **argv)
{
    struct wish wish = {0};
    struct hak_page_file page;
    struct hak_page_copy copy = {0};
    int status = parse(argc, argv, &wish);
    if (status != 0)
        return status;
    if (hak_page_find_of(&hak_page_statistics, wish.process, &page) != 0)
        return HAK_STATUS_FAILED;
    do {
        status = hak_page_copy(&page, wish.regions, &copy) == 0 ? print(&wish, &copy)
                                                                : HAK_STATUS_FAILED;
        if (wish.interval > 0 && status == 0)
            sleep_for(wish.interval);
    } while (wish.interval > 0 && status == 0 && hak_page_has_process(&page));
    hak_page_close(&page);
    free(copy.sheet);
    free(copy.regions);
    return status;
}

/* ---- views that a script draws -------------------------------------------------------------- */

static int draw(int argc, char **argv)
{
    char own[PATH_MAX];
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    if (arguments == NULL || hak_own_path(own) != 0) {
        perror("hakmem");
        free(arguments);
        return HAK_STATUS_FAILED;
    }
    arguments[0] = argv[0];
    arguments[1] = own;
    for (int i = 1; i < argc; i++)
        arguments[i + 1] = argv[i];
    int status = hak_run_script("live.py", arguments);
    free(arguments);
    return status;
}

int hak_command_top(int argc, char **argv)
{
    return draw(argc, argv);
}

int hak_command_map(int argc, char **argv)
{
    return draw(argc, argv);
}
