/* SPDX-License-Identifier: MIT */
/* Reads one line of a log: a flat JSON object. What is nested deeper is checked and passed over.
 * Values are handed out as the text that they begin at, inside the line. One thread. */
#ifndef HAK_TOOLS_LEARN_SCAN_H
#define HAK_TOOLS_LEARN_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum {
    HAK_SCAN_MEMBERS = 48 /* further ones are checked, but not found */
};

struct hak_scan {
    size_t members;
    struct {
        const char *name; /* behind its opening quote */
        size_t length;
        const char *value;
    } member[HAK_SCAN_MEMBERS];
};

/* NULL, or what is wrong with the line, in a few words. */
const char *hak_scan_line(struct hak_scan *scan, const char *line);

/* The value of that name, or NULL. */
const char *hak_scan_find(const struct hak_scan *scan, const char *name);

/* What follows takes NULL for a value too. 0, or -1: it is no such thing. A fraction is rounded to
 * an integer; a text must fit, and be printable without "&<>\: it needs no quoting anywhere. */
int hak_scan_integer(const char *value, int64_t *integer);
int hak_scan_real(const char *value, double *real);
int hak_scan_text(const char *value, char *text, size_t size);

/* The elements of an array; NULL behind the last, and of what is no array. */
const char *hak_scan_first(const char *value);
const char *hak_scan_next(const char *element);

#endif
