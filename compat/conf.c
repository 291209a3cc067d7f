/* SPDX-License-Identifier: MIT */
/* malloc_conf and MALLOC_CONF, KEY:VALUE separated by commas, become HAKMEM_ variables, which the
 * library reads in its own constructor; then they are removed. A variable that the user has set
 * wins. The rows are in compat/conf.def.
 *
 * One thread: the constructors. No memory is allocated. */
#define _GNU_SOURCE
#include "compat/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/jemalloc.h"

__attribute__((weak)) const char *malloc_conf;

typedef void (*effect)(const union hak_value *value);

struct row {
    const char *key;
    enum hak_value_type type;
    const char *default_text;
    effect says;
};

enum {
    VARIABLES = 16,
    VARIABLE_LENGTH = 320,
    VALUE_LENGTH = 256,
    SHOWN = 64,
};

static union hak_value values[HAK_CONF_KEYS];
static char texts[HAK_CONF_KEYS][VALUE_LENGTH];
static bool is_given[HAK_CONF_KEYS];

/* "NAME=value" of those that were set. */
static char variables[VARIABLES][VARIABLE_LENGTH];
static unsigned variable_count;

/* ------------------------------------------------------------------ as variables */

__attribute__((format(printf, 2, 3))) static void say(const char *name, const char *format, ...)
{
    const char *given = getenv(name);
    if ((given != NULL && *given != '\0') || variable_count == VARIABLES)
        return;
    char *variable = variables[variable_count++];
    int length = snprintf(variable, VARIABLE_LENGTH, "%s=", name);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(variable + length, VARIABLE_LENGTH - (size_t)length, format, arguments);
    va_end(arguments);
    putenv(variable);
}

static void as_background(const union hak_value *value)
{
    say("HAKMEM_BACKGROUND", "%d", value->is_true);
}

static void as_decay(const union hak_value *value)
{
    if (value->signed_size < 0)
        say("HAKMEM_DECAY", "never");
    else
        say("HAKMEM_DECAY", "%lldms", (long long)value->signed_size);
}

/* 0 is jemalloc's choice by the machine. */
static void as_shards(const union hak_value *value)
{
    if (value->number != 0)
        say("HAKMEM_SHARD", "%u", value->number < 4096 ? value->number : 4096);
}

static void as_cpu_shards(const union hak_value *value)
{
    if (strcmp(value->text, "disabled") != 0)
        say("HAKMEM_SHARD", "cpu");
}

static void as_profile(const union hak_value *value)
{
    size_t lg = values[HAK_CONF_lg_prof_sample].size;
    if (value->is_true)
        say("HAKMEM_PROFILE", "%zu", (size_t)1 << (lg < 40 ? lg : 40));
}

/* jemalloc's name for the file, in a folder that exists. */
static void as_profile_file(const union hak_value *value)
{
    const char *prefix = values[HAK_CONF_prof_prefix].text;
    if (value->is_true && *prefix == '/')
        say("HAKMEM_PROFILE_FILE", "%s.%%p.f.heap", prefix);
    else if (value->is_true)
        dprintf(STDERR_FILENO, "hakmem: MALLOC_CONF: prof_final: needs prof_prefix, an absolute "
                               "path; no file is written\n");
}

static void as_leaks(const union hak_value *value)
{
    say("HAKMEM_PROFILE_LEAKS", "%d", value->is_true);
}

static void as_stats(const union hak_value *value)
{
    say("HAKMEM_STATS", "%d", value->is_true);
}

static void as_huge(const union hak_value *value)
{
    if (strcmp(value->text, "default") != 0)
        say("HAKMEM_THP", "%s", value->text);
}

static void hint(const union hak_value *value)
{
    (void)value;
}

/* Called for a default that was written out; obey() refuses all other values. */
static void unmet(const union hak_value *value)
{
    (void)value;
}

/* ------------------------------------------------------------------ the rows */

static const struct row rows[HAK_CONF_KEYS] = {
#define CONF(key, type, default_text, effect) {#key, HAK_VALUE_##type, default_text, effect},
#include "compat/conf.def"
#undef CONF
};

union hak_value hak_conf_value(unsigned key)
{
    return values[key];
}

/* Whether all of the text is a number within the type. */
static bool parse_number(enum hak_value_type type, const char *text, union hak_value *value)
{
    char *rest;
    long long number = strtoll(text, &rest, 0);
    if (*text == '\0' || *rest != '\0' || (number < 0 && (type != HAK_VALUE_SSIZE || number < -1)))
        return false;
    if (type == HAK_VALUE_UNSIGNED) {
        value->number = (unsigned)number;
        return (long long)value->number == number;
    }
    value->signed_size = number;
    return true;
}

static bool parse(enum hak_value_type type, const char *text, union hak_value *value)
{
    switch (type) {
    case HAK_VALUE_BOOL:
        value->is_true = strcmp(text, "true") == 0;
        return value->is_true || strcmp(text, "false") == 0;
    case HAK_VALUE_TEXT:
        value->text = text;
        return true;
    default:
        return parse_number(type, text, value);
    }
}

static void set_defaults(void)
{
    for (unsigned key = 0; key < HAK_CONF_KEYS; key++)
        parse(rows[key].type, rows[key].default_text, &values[key]);
}

/* ------------------------------------------------------------------ the text */

/* Foreign text, without bytes that a terminal obeys. */
static void complain(const char *source, const char *text, size_t length, const char *why)
{
    char shown[SHOWN + 1];
    size_t bytes = length < SHOWN ? length : SHOWN;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        shown[i] = byte < ' ' || (byte >= 0x7f && byte <= 0x9f) ? '?' : text[i];
    }
    shown[bytes] = '\0';
    dprintf(STDERR_FILENO, "hakmem: %s: %s: %s\n", source, shown, why);
}

static unsigned find_key(const char *text, size_t length)
{
    unsigned key = 0;
    while (key < HAK_CONF_KEYS &&
           (strlen(rows[key].key) != length || memcmp(rows[key].key, text, length) != 0))
        key++;
    return key;
}

static void obey(const char *source, const char *text, size_t key_length, size_t length)
{
    unsigned key = find_key(text, key_length);
    char word[VALUE_LENGTH];
    size_t bytes = length - key_length - 1;
    if (key == HAK_CONF_KEYS) {
        complain(source, text, key_length, "no such option of jemalloc");
        return;
    }
    union hak_value value = {0};
    bool is_short = bytes < sizeof word;
    snprintf(word, sizeof word, "%.*s", (int)(is_short ? bytes : 0), text + key_length + 1);
    bool is_default_word = key == HAK_CONF_narenas && strcmp(word, "default") == 0;
    if (!is_short || !parse(rows[key].type, is_default_word ? "0" : word, &value)) {
        complain(source, text, length, "not understood; using the default");
        return;
    }
    if (rows[key].says == unmet && strcmp(word, rows[key].default_text) != 0) {
        complain(source, text, key_length, "not done by hakmem");
        return;
    }
    memcpy(texts[key], word, sizeof word);
    values[key] = value;
    if (rows[key].type == HAK_VALUE_TEXT)
        values[key].text = texts[key];
    is_given[key] = true;
}

static void read_text(const char *source, const char *text)
{
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, ",");
        size_t key_length = strcspn(text, ":,");
        if (key_length == length) {
            complain(source, text, length, "not understood; allowed: KEY:VALUE,KEY:VALUE...");
            return;
        }
        obey(source, text, key_length, length);
        text += length;
        text += *text == ',';
    }
}

/* Before the library's own constructor, which has no priority. */
__attribute__((constructor(101))) static void read_conf(void)
{
    set_defaults();
    read_text("malloc_conf", malloc_conf);
    read_text("MALLOC_CONF", secure_getenv("MALLOC_CONF"));
    for (unsigned key = 0; key < HAK_CONF_KEYS; key++)
        if (is_given[key])
            rows[key].says(&values[key]);
}

/* After it: the linker places this object behind the library's. A program that this one starts
 * reads MALLOC_CONF itself. */
__attribute__((constructor)) static void take_away(void)
{
    while (variable_count > 0) {
        char name[VARIABLE_LENGTH];
        const char *variable = variables[--variable_count];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(variable, "="), variable);
        unsetenv(name);
    }
}
