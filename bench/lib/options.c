/* SPDX-License-Identifier: MIT */
/*
 * The command line of a workload: --name=value or --name value, from one table.
 *
 * Threads: the main thread, before any other exists.
 */
#include "bench/lib/bench.h"

#include <stdio.h>
#include <string.h>

enum kind { SECONDS, COUNT64, COUNT, BYTES, TEXT, SMOKE };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *meaning;
};

static const struct row rows[] = {
    {"seconds", SECONDS, offsetof(struct bench_options, seconds), "how long (default by clock)"},
    {"ops", COUNT64, offsetof(struct bench_options, ops), "mallocs + frees of each thread"},
    {"threads", COUNT, offsetof(struct bench_options, threads), "how many threads"},
    {"min", BYTES, offsetof(struct bench_options, min), "smallest object"},
    {"max", BYTES, offsetof(struct bench_options, max), "largest object"},
    {"slots", BYTES, offsetof(struct bench_options, slots), "objects held by a thread"},
    {"bytes", BYTES, offsetof(struct bench_options, bytes), "live set"},
    {"generations", COUNT, offsetof(struct bench_options, generations),
     "turnovers of the slots before a thread is replaced"},
    {"seed", COUNT64, offsetof(struct bench_options, seed), "of the random numbers"},
    {"shape", TEXT, offsetof(struct bench_options, shape), "variant of the loop"},
    {"smoke", SMOKE, 0, "few operations, all contents checked"},
};

static void print_usage(FILE *out, const char *program, const char *summary)
{
    fprintf(out, "usage: %s [--OPTION=VALUE]...\n%s\n", program, summary);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fprintf(out, "  --%-12s %s\n", rows[i].name, rows[i].meaning);
}

static const struct row *find_row(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

/* Reads 4096, 64K, 4M or 1G; false when it is not a number to the end. */
static bool read_number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    if (end == text || *text == '-')
        return false;
    if (*end == 'K' || *end == 'M' || *end == 'G') {
        *value <<= *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
        end++;
    }
    return *end == '\0';
}

static bool set_row(struct bench_options *options, const struct row *row, const char *text)
{
    char *field = (char *)options + row->offset;
    uint64_t number;
    if (row->kind == TEXT) {
        *(const char **)(void *)field = text;
        return true;
    }
    if (row->kind == SECONDS) {
        char *end;
        *(double *)(void *)field = strtod(text, &end);
        return end != text && *end == '\0' && *(double *)(void *)field > 0;
    }
    if (!read_number(text, &number))
        return false;
    if (row->kind == COUNT)
        *(unsigned *)(void *)field = (unsigned)number;
    else
        *(uint64_t *)(void *)field = number;
    return true;
}

static void check_options(const struct bench_options *options)
{
    if (options->threads == 0 || options->threads > 65536)
        bench_die("--threads must be 1 to 65536");
    if (options->min > options->max)
        bench_die("--min is above --max");
    if (options->max != 0 && options->min < sizeof(size_t))
        bench_die("--min must be 8 at least: the first word of each object holds its size");
    if (options->max > UINT32_MAX / 2 || options->slots > UINT32_MAX / 2)
        bench_die("--max and --slots must be below 2 G");
}

void bench_parse(struct bench_options *options, int argc, char **argv, const char *summary)
{
    _Static_assert(sizeof(size_t) == sizeof(uint64_t), "BYTES are stored as 64 bits");
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--help") == 0) {
            print_usage(stdout, argv[0], summary);
            exit(0);
        }
        size_t length = strncmp(name, "--", 2) == 0 ? strcspn(name + 2, "=") : 0;
        const struct row *row = find_row(name + 2, length);
        if (row != NULL && row->kind == SMOKE) {
            options->mode = BENCH_SMOKE;
            options->ops = options->smoke_ops;
            continue;
        }
        const char *text = name + 2 + length;
        text = row != NULL && *text == '=' ? text + 1 : argv[++i];
        if (row == NULL || text == NULL || !set_row(options, row, text)) {
            fprintf(stderr, "%s: cannot use %s\n", argv[0], name);
            print_usage(stderr, argv[0], summary);
            exit(2);
        }
    }
    check_options(options);
}
