/* SPDX-License-Identifier: MIT */
/* mallctl: names are found in compat/names.def, values go in and out as jemalloc documents it.
 *
 * A mib has a number for each part of a name. A number in the name stands for itself. Any other
 * part is the place of the first row that agrees with the name up to this part; so the last part of
 * a whole name is the row itself. Any thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compat/answers.h"
#include "compat/arenas.h"
#include "compat/jemalloc.h"
#include "compat/utilization.h"

__attribute__((weak)) void (*malloc_message)(void *opaque, const char *text);

enum {
    PARTS_MAX = 8,
};

static const char index_part[] = "<i>";

/* ------------------------------------------------------------------ names */

/* One part of a name, and the start of the next; NULL: there is none. */
struct part {
    const char *text;
    size_t length;
    const char *next;
};

static struct part part_at(const char *text)
{
    size_t length = strcspn(text, ".");
    return (struct part){text, length, text[length] == '.' ? text + length + 1 : NULL};
}

static bool is_index(struct part part)
{
    return part.length == sizeof index_part - 1 && memcmp(part.text, index_part, part.length) == 0;
}

/* A number of one to nine digits. */
static bool parse_index(struct part part, size_t *number)
{
    *number = 0;
    for (size_t i = 0; i < part.length; i++) {
        if (part.text[i] < '0' || part.text[i] > '9')
            return false;
        *number = *number * 10 + (size_t)(part.text[i] - '0');
    }
    return part.length > 0 && part.length < 10;
}

/* The name may be that of another row. */
static bool agrees(struct part row, struct part name)
{
    size_t number;
    if (is_index(row))
        return is_index(name) || parse_index(name, &number);
    return row.length == name.length && memcmp(row.text, name.text, row.length) == 0;
}

/* How many parts of the name the row's begins with; *is_whole: all of both. */
static size_t parts_in_common(const char *row, const char *name, bool *is_whole)
{
    size_t count = 0;
    *is_whole = false;
    while (row != NULL && name != NULL) {
        struct part of_row = part_at(row), of_name = part_at(name);
        if (!agrees(of_row, of_name))
            return count;
        count++;
        row = of_row.next;
        name = of_name.next;
    }
    *is_whole = row == NULL && name == NULL;
    return count;
}

/* The first row whose first `parts` parts agree with the name. */
static size_t first_row(const char *name, size_t parts)
{
    bool is_whole;
    size_t row = 0;
    while (row < hak_answer_count &&
           parts_in_common(hak_answer_rows[row].name, name, &is_whole) < parts)
        row++;
    return row;
}

/* The row of a whole name of the program's; hak_answer_count: there is none. */
static size_t find_row(const char *name)
{
    bool is_whole = false;
    size_t row = strchr(name, index_part[0]) == NULL ? 0 : hak_answer_count;
    while (row < hak_answer_count) {
        parts_in_common(hak_answer_rows[row].name, name, &is_whole);
        if (is_whole)
            break;
        row++;
    }
    return row;
}

/* How many parts a name has. */
static size_t count_parts(const char *name)
{
    size_t count = 0;
    for (; name != NULL; name = part_at(name).next)
        count++;
    return count;
}

int mallctlnametomib(const char *name, size_t *mib, size_t *mib_length)
{
    const char *at = name;
    size_t parts = 0;
    for (; at != NULL && parts < *mib_length; parts++) {
        struct part part = part_at(at);
        size_t row = first_row(name, parts + 1);
        if (row == hak_answer_count)
            return ENOENT;
        if (!parse_index(part, &mib[parts]))
            mib[parts] = row;
        at = part.next;
    }
    if (at == NULL && find_row(name) == hak_answer_count)
        return ENOENT;
    *mib_length = parts;
    return 0;
}

/* The row of a mib, and the number in it. */
static const struct hak_answer_row *row_of(const size_t *mib, size_t length, size_t *number)
{
    if (length == 0 || mib[length - 1] >= hak_answer_count)
        return NULL;
    const struct hak_answer_row *row = &hak_answer_rows[mib[length - 1]];
    if (count_parts(row->name) != length)
        return NULL;
    const char *at = row->name;
    for (size_t i = 0; i < length; i++) {
        struct part part = part_at(at);
        if (is_index(part))
            *number = mib[i];
        else if (mib[i] != first_row(row->name, i + 1))
            return NULL;
        at = part.next;
    }
    return row;
}

/* The number in a name that agrees with the row's. */
static void read_number(const char *row, const char *name, size_t *number)
{
    for (; row != NULL; row = part_at(row).next, name = part_at(name).next)
        if (is_index(part_at(row)))
            parse_index(part_at(name), number);
}

/* ------------------------------------------------------------------ values */

static const size_t size_of_type[] = {
    [HAK_VALUE_VOID] = 0,
    [HAK_VALUE_BOOL] = sizeof(bool),
    [HAK_VALUE_UNSIGNED] = sizeof(unsigned),
    [HAK_VALUE_SIZE] = sizeof(size_t),
    [HAK_VALUE_SSIZE] = sizeof(ssize_t),
    [HAK_VALUE_U64] = sizeof(uint64_t),
    [HAK_VALUE_TEXT] = sizeof(const char *),
    [HAK_VALUE_PATH] = sizeof(const char *),
    [HAK_VALUE_LOOKUP] = sizeof(unsigned),
};

/* The arguments of mallctl. */
struct call {
    const struct hak_answer_row *row;
    size_t number;
    void *old;
    size_t *old_size;
    const void *fresh;
    size_t fresh_size;
};

/* If the room is wrong, as much as fits. */
static int give(const struct call *call, const union hak_value *value)
{
    size_t size = size_of_type[call->row->type];
    if (call->old == NULL || call->old_size == NULL)
        return 0;
    bool is_right = *call->old_size == size;
    if (*call->old_size > size)
        *call->old_size = size;
    memcpy(call->old, value, *call->old_size);
    return is_right ? 0 : EINVAL;
}

static int run_command(const struct call *call)
{
    if (call->old != NULL || call->old_size != NULL || call->fresh != NULL || call->fresh_size != 0)
        return EPERM;
    return call->row->write(call->number, NULL);
}

/* The caller writes an address and reads the arena of the object there. */
static int look_up(const struct call *call)
{
    union hak_value value;
    if (call->fresh == NULL || call->fresh_size != sizeof value.address)
        return EINVAL;
    memcpy(&value.address, call->fresh, sizeof value.address);
    int result = call->row->read(call->number, &value);
    return result != 0 ? result : give(call, &value);
}

/* arenas.create, tcache.create: nothing is created unless its number can be returned. */
static int create(const struct call *call)
{
    union hak_value value;
    if (call->old == NULL || call->old_size == NULL || *call->old_size != sizeof value.number) {
        if (call->old_size != NULL)
            *call->old_size = 0;
        return EINVAL;
    }
    int result = call->row->read(call->number, &value);
    return result != 0 ? result : give(call, &value);
}

static bool is_creating(const struct hak_answer_row *row)
{
    static const char word[] = "create";
    size_t length = strlen(row->name);
    return length >= sizeof word && strcmp(row->name + length - (sizeof word - 1), word) == 0;
}

static int write_fresh(const struct call *call)
{
    union hak_value value;
    if (call->fresh == NULL)
        return call->row->read == NULL && call->row->type == HAK_VALUE_PATH
                   ? call->row->write(call->number, NULL)
                   : 0;
    if (call->fresh_size != size_of_type[call->row->type])
        return EINVAL;
    memcpy(&value, call->fresh, call->fresh_size);
    return call->row->write(call->number, &value);
}

/* The old value is from before the new one was written; only epoch returns the new one. */
static int read_and_write(const struct call *call)
{
    union hak_value value;
    bool is_epoch = call->row->type == HAK_VALUE_U64;
    int result = is_epoch ? write_fresh(call) : 0;
    if (result == 0 && call->row->read != NULL)
        result = call->row->read(call->number, &value);
    if (result == 0 && !is_epoch && call->row->write != NULL)
        result = write_fresh(call);
    return result == 0 && call->row->read != NULL ? give(call, &value) : result;
}

static int run(const struct call *call)
{
    const struct hak_answer_row *row = call->row;
    if (row->type == HAK_VALUE_VOID)
        return run_command(call);
    if (row->type == HAK_VALUE_LOOKUP)
        return look_up(call);
    if (row->type == HAK_VALUE_QUERY)
        return hak_utilization_query(call->old, call->old_size, call->fresh, call->fresh_size);
    if (row->type == HAK_VALUE_BATCH)
        return hak_utilization_batch_query(call->old, call->old_size, call->fresh,
                                           call->fresh_size);
    if (row->write == NULL && (call->fresh != NULL || call->fresh_size != 0))
        return EPERM;
    if (row->read == NULL && (call->old != NULL || call->old_size != NULL))
        return EPERM;
    return is_creating(row) ? create(call) : read_and_write(call);
}

int mallctl(const char *name, void *old, size_t *old_size, void *fresh, size_t fresh_size)
{
    size_t found = find_row(name);
    if (found == hak_answer_count)
        return ENOENT;
    struct call call = {&hak_answer_rows[found], HAK_ARENAS_ALL, old, old_size, fresh, fresh_size};
    read_number(call.row->name, name, &call.number);
    return run(&call);
}

int mallctlbymib(const size_t *mib, size_t mib_length, void *old, size_t *old_size, void *fresh,
                 size_t fresh_size)
{
    struct call call = {NULL, HAK_ARENAS_ALL, old, old_size, fresh, fresh_size};
    call.row = row_of(mib, mib_length, &call.number);
    return call.row != NULL ? run(&call) : ENOENT;
}

/* ------------------------------------------------------------------ all of them */

/* Where the text goes. */
struct output {
    void (*write)(void *opaque, const char *text);
    void *opaque;
    bool is_json;
    bool is_first;
};

static void write_to_stderr(void *opaque, const char *text)
{
    (void)opaque;
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

/* Bytes of the character of UTF-8 that the text, not empty, begins with; 0: it begins with none.
 * Overlong forms, surrogates and what lies above U+10FFFF are none. */
static size_t utf8_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t length = byte[0] < 0x80    ? 1
                    : byte[0] < 0xc2  ? 0
                    : byte[0] < 0xe0  ? 2
                    : byte[0] < 0xf0  ? 3
                    : byte[0] <= 0xf4 ? 4
                                      : 0;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    bool is_out = (byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] >= 0xa0) ||
                  (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] >= 0x90);
    return is_out ? 0 : length;
}

/* A text as JSON wants it: quoted, with escapes; a byte that is not UTF-8 becomes U+FFFD. What does
 * not fit is cut. */
static void put_json_text(char *buffer, size_t size, const char *text)
{
    enum { ESCAPED = 6 }; /* bytes of the longest */
    size_t length = 0;
    buffer[length++] = '"';
    while (*text != '\0' && length + ESCAPED + sizeof "\"" <= size) {
        unsigned char byte = (unsigned char)*text;
        size_t bytes = utf8_length(text);
        if (bytes == 0 || byte < ' ' || byte == '"' || byte == '\\') {
            length += (size_t)snprintf(buffer + length, size - length, "\\u%04x",
                                       bytes == 0 ? 0xfffdu : byte);
            text++;
            continue;
        }
        memcpy(buffer + length, text, bytes);
        length += bytes;
        text += bytes;
    }
    buffer[length++] = '"';
    buffer[length] = '\0';
}

static void put_value(char *buffer, size_t size, enum hak_value_type type,
                      const union hak_value *value, bool is_json)
{
    if (type == HAK_VALUE_BOOL)
        snprintf(buffer, size, "%s", value->is_true ? "true" : "false");
    else if (type == HAK_VALUE_TEXT && is_json)
        put_json_text(buffer, size, value->text);
    else if (type == HAK_VALUE_TEXT)
        snprintf(buffer, size, "%s", value->text);
    else if (type == HAK_VALUE_UNSIGNED)
        snprintf(buffer, size, "%u", value->number);
    else if (type == HAK_VALUE_SSIZE)
        snprintf(buffer, size, "%lld", (long long)value->signed_size);
    else
        snprintf(buffer, size, "%llu", (unsigned long long)value->u64);
}

static void put_row(struct output *output, const struct hak_answer_row *row)
{
    char line[512], shown[320];
    union hak_value value = {0};
    bool is_told = row->read != NULL && row->type != HAK_VALUE_LOOKUP && !is_creating(row) &&
                   strchr(row->name, '<') == NULL;
    if (!is_told || row->read(HAK_ARENAS_ALL, &value) != 0)
        return;
    put_value(shown, sizeof shown, row->type, &value, output->is_json);
    const char *form = output->is_json ? "%s\"%s\":%s" : "%s%s: %s\n";
    snprintf(line, sizeof line, form, output->is_json && !output->is_first ? "," : "", row->name,
             shown);
    output->is_first = false;
    output->write(output->opaque, line);
}

void malloc_stats_print(void (*write)(void *opaque, const char *text), void *opaque,
                        const char *options)
{
    struct output output = {write, opaque, false, true};
    if (output.write == NULL)
        output.write = malloc_message != NULL ? malloc_message : write_to_stderr;
    output.is_json = options != NULL && strchr(options, 'J') != NULL;
    output.write(opaque, output.is_json ? "{\"jemalloc\":{"
                                        : "___ Begin jemalloc statistics (hakmem) ___\n");
    for (size_t row = 0; row < hak_answer_count; row++)
        put_row(&output, &hak_answer_rows[row]);
    output.write(opaque, output.is_json ? "}}\n" : "--- End jemalloc statistics ---\n");
}
