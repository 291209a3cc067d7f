/* SPDX-License-Identifier: MIT */
/* One line of flat JSON, by descent: each skip_ function gets the text that its thing begins at and
 * answers with the text behind it, or NULL where the thing is not well-formed. One thread. */
#include "tools/learn_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = 8 /* of what is nested: enough for keys that we do not know */
};

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r");
}

static const char *skip_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < ' ')
            return NULL; /* the end of the line, too */
        if (*at == '\\' && *++at == '\0')
            return NULL;
    }
    return at + 1;
}

static const char *skip_digits(const char *at)
{
    size_t digits = at == NULL ? 0 : strspn(at, "0123456789");
    return digits > 0 ? at + digits : NULL;
}

static const char *skip_number(const char *at)
{
    at = skip_digits(at + (*at == '-'));
    if (at != NULL && *at == '.')
        at = skip_digits(at + 1);
    if (at != NULL && (*at == 'e' || *at == 'E'))
        at = skip_digits(at + 1 + (at[1] == '+' || at[1] == '-'));
    return at;
}

static const char *skip_word(const char *at)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    }
    return NULL;
}

static const char *skip_value(const char *at, unsigned depth);

/* Behind "name": of an object. */
static const char *skip_name(const char *at)
{
    at = skip_string(at);
    if (at == NULL)
        return NULL;
    at = skip_blanks(at);
    return *at == ':' ? skip_blanks(at + 1) : NULL;
}

static const char *skip_nested(const char *at, unsigned depth)
{
    int is_object = *at == '{';
    char end = is_object ? '}' : ']';
    if (depth == 0)
        return NULL;
    at = skip_blanks(at + 1);
    if (*at == end)
        return at + 1;
    for (;;) {
        if (is_object)
            at = skip_name(at);
        if (at != NULL)
            at = skip_value(at, depth - 1);
        if (at == NULL)
            return NULL;
        at = skip_blanks(at);
        if (*at == end)
            return at + 1;
        if (*at != ',')
            return NULL;
        at = skip_blanks(at + 1);
    }
}

static const char *skip_value(const char *at, unsigned depth)
{
    switch (*at) {
    case '"':
        return skip_string(at);
    case '{':
    case '[':
        return skip_nested(at, depth);
    case 't':
    case 'f':
    case 'n':
        return skip_word(at);
    default:
        return skip_number(at);
    }
}

static void keep_member(struct hak_scan *scan, const char *name, const char *value)
{
    if (scan->members == HAK_SCAN_MEMBERS)
        return;
    scan->member[scan->members].name = name + 1;
    scan->member[scan->members].length = (size_t)(skip_string(name) - name) - 2;
    scan->member[scan->members].value = value;
    scan->members++;
}

const char *hak_scan_line(struct hak_scan *scan, const char *line)
{
    const char *at = skip_blanks(line);
    scan->members = 0;
    if (*at != '{')
        return "no JSON object";
    at = skip_blanks(at + 1);
    while (*at != '}') {
        const char *name = at;
        const char *value = skip_name(name);
        if (value == NULL)
            return "a name and a colon were expected";
        at = skip_value(value, DEPTH);
        if (at == NULL)
            return "no JSON value behind a name";
        keep_member(scan, name, value);
        at = skip_blanks(at);
        if (*at == ',' && *skip_blanks(at + 1) != '}')
            at = skip_blanks(at + 1);
        else if (*at != '}')
            return "a comma or the end of the object was expected";
    }
    return *skip_blanks(at + 1) == '\0' ? NULL : "more than one JSON object";
}

const char *hak_scan_find(const struct hak_scan *scan, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < scan->members; i++) {
        if (scan->member[i].length == length && memcmp(scan->member[i].name, name, length) == 0)
            return scan->member[i].value;
    }
    return NULL;
}

int hak_scan_real(const char *value, double *real)
{
    if (value == NULL || skip_number(value) == NULL)
        return -1;
    errno = 0;
    *real = strtod(value, NULL);
    return errno == ERANGE && (*real > 1 || *real < -1) ? -1 : 0;
}

int hak_scan_integer(const char *value, int64_t *integer)
{
    char *end;
    double real;
    if (hak_scan_real(value, &real) != 0 || real > 9e18 || real < -9e18)
        return -1;
    *integer = strtoll(value, &end, 10);
    if (end != skip_number(value))
        *integer = (int64_t)(real < 0 ? real - 0.5 : real + 0.5);
    return 0;
}

int hak_scan_text(const char *value, char *text, size_t size)
{
    const char *end = value == NULL ? NULL : skip_string(value);
    if (end == NULL)
        return -1;
    size_t length = (size_t)(end - value) - 2;
    if (length == 0 || length >= size)
        return -1;
    for (size_t i = 0; i < length; i++) {
        char byte = value[1 + i];
        if (byte < ' ' || byte > '~' || strchr("\"&<>\\", byte) != NULL)
            return -1;
        text[i] = byte;
    }
    text[length] = '\0';
    return 0;
}

const char *hak_scan_first(const char *value)
{
    if (value == NULL || *value != '[')
        return NULL;
    value = skip_blanks(value + 1);
    return *value == ']' ? NULL : value;
}

const char *hak_scan_next(const char *element)
{
    const char *at = skip_blanks(skip_value(element, DEPTH));
    return *at == ',' ? skip_blanks(at + 1) : NULL;
}
