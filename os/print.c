/* SPDX-License-Identifier: MIT */
/* Formatted text without malloc, stdio, locale or errno. One thread a writer.
 *
 * buffer: |---- length ----|.... room ....|  full: written out (fd) or the rest is cut (no fd) */
#include "os/print.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

struct hak_writer hak_writer_to_fd(int fd, char *buffer, size_t capacity)
{
    return (struct hak_writer){
        .fd = fd, .buffer = buffer, .capacity = capacity, .patience = HAK_WRITE_WAITS};
}

struct hak_writer hak_writer_to_stderr(char *buffer, size_t capacity)
{
    return (struct hak_writer){.fd = hak_os_stderr(),
                               .buffer = buffer,
                               .capacity = capacity,
                               .patience = HAK_WRITE_BOUNDED};
}

struct hak_writer hak_writer_to_buffer(char *buffer, size_t capacity)
{
    return (struct hak_writer){.fd = -1, .buffer = buffer, .capacity = capacity};
}

/* Once the descriptor refuses something, it gets no more: no text with gaps. */
static void write_out(struct hak_writer *writer, const char *bytes, size_t count)
{
    if (writer->refused == 0 && count != 0)
        writer->refused = hak_os_write(writer->fd, bytes, count, writer->patience);
}

void hak_writer_flush(struct hak_writer *writer)
{
    if (writer->fd >= 0) {
        write_out(writer, writer->buffer, writer->length);
        writer->length = 0;
        return;
    }
    if (writer->capacity == 0)
        return;
    size_t end = writer->length;
    if (end == writer->capacity)
        end = writer->capacity - 1;
    writer->buffer[end] = '\0';
}

void hak_put_bytes(struct hak_writer *writer, const char *bytes, size_t count)
{
    writer->total += count;
    while (count != 0) {
        size_t room = writer->capacity - writer->length;
        if (room == 0 && writer->fd < 0)
            return;
        if (room == 0 && writer->capacity == 0) {
            write_out(writer, bytes, count);
            return;
        }
        if (room == 0) {
            hak_writer_flush(writer);
            continue;
        }
        size_t part = count < room ? count : room;
        memcpy(writer->buffer + writer->length, bytes, part);
        writer->length += part;
        bytes += part;
        count -= part;
    }
}

void hak_put_text(struct hak_writer *writer, const char *text)
{
    hak_put_bytes(writer, text, strlen(text));
}

/* What stands between % and the letter. */
struct directive {
    size_t width;
    int to_the_left; /* '-' */
    int zeroes;      /* '0' */
    int longs;       /* number of l; z counts as one: size_t is a long where we run */
};

static const char *read_directive(const char *at, struct directive *directive)
{
    *directive = (struct directive){0};
    for (;; at++) {
        if (*at == '-')
            directive->to_the_left = 1;
        else if (*at == '0')
            directive->zeroes = 1;
        else
            break;
    }
    for (; *at >= '0' && *at <= '9'; at++)
        directive->width = directive->width * 10 + (size_t)(*at - '0');
    for (; *at == 'l' || *at == 'z'; at++)
        directive->longs++;
    return at;
}

static void put_repeated(struct hak_writer *writer, char byte, size_t count)
{
    for (; count != 0; count--)
        hak_put_bytes(writer, &byte, 1);
}

/* A field: prefix (sign or 0x), then body, filled up to the width. */
static void put_field(struct hak_writer *writer, const struct directive *directive,
                      const char *prefix, const char *body, size_t length)
{
    size_t used = strlen(prefix) + length;
    size_t fill = directive->width > used ? directive->width - used : 0;
    if (!directive->to_the_left && !directive->zeroes)
        put_repeated(writer, ' ', fill);
    hak_put_text(writer, prefix);
    if (!directive->to_the_left && directive->zeroes)
        put_repeated(writer, '0', fill);
    hak_put_bytes(writer, body, length);
    if (directive->to_the_left)
        put_repeated(writer, ' ', fill);
}

static void put_number(struct hak_writer *writer, const struct directive *directive,
                       const char *prefix, uint64_t value, unsigned base)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    put_field(writer, directive, prefix, digits + at, sizeof(digits) - at);
}

static void put_signed(struct hak_writer *writer, const struct directive *directive, int64_t value)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put_number(writer, directive, value < 0 ? "-" : "", size, 10);
}

static void put_string(struct hak_writer *writer, struct directive *directive, const char *text)
{
    directive->zeroes = 0;
    if (text == NULL)
        text = "(null)";
    put_field(writer, directive, "", text, strlen(text));
}

/* A va_list behind a pointer, so that functions may take from it in turn (C17 7.16, note 253). */
struct arguments {
    va_list list;
};

static uint64_t take_unsigned(struct arguments *arguments, const struct directive *directive)
{
    if (directive->longs == 0)
        return va_arg(arguments->list, unsigned);
    if (directive->longs == 1)
        return va_arg(arguments->list, unsigned long);
    return va_arg(arguments->list, unsigned long long);
}

static int64_t take_signed(struct arguments *arguments, const struct directive *directive)
{
    if (directive->longs == 0)
        return va_arg(arguments->list, int);
    if (directive->longs == 1)
        return va_arg(arguments->list, long);
    return va_arg(arguments->list, long long);
}

static void put_directive(struct hak_writer *writer, char letter, struct directive *directive,
                          struct arguments *arguments)
{
    char byte = letter;
    switch (letter) {
    case 'd':
        put_signed(writer, directive, take_signed(arguments, directive));
        return;
    case 'u':
        put_number(writer, directive, "", take_unsigned(arguments, directive), 10);
        return;
    case 'x':
        put_number(writer, directive, "", take_unsigned(arguments, directive), 16);
        return;
    case 'p':
        put_number(writer, directive, "0x", (uintptr_t)va_arg(arguments->list, void *), 16);
        return;
    case 's':
        put_string(writer, directive, va_arg(arguments->list, const char *));
        return;
    case 'c':
        byte = (char)va_arg(arguments->list, int);
        break;
    default: /* %% and unknown letters: the letter itself */
        break;
    }
    directive->zeroes = 0;
    put_field(writer, directive, "", &byte, 1);
}

void hak_put(struct hak_writer *writer, const char *format, ...)
{
    struct arguments arguments;
    va_start(arguments.list, format);
    while (*format != '\0') {
        size_t plain = strcspn(format, "%");
        hak_put_bytes(writer, format, plain);
        format += plain;
        if (*format == '\0')
            break;
        struct directive directive;
        format = read_directive(format + 1, &directive);
        if (*format == '\0')
            break;
        put_directive(writer, *format, &directive, &arguments);
        format++;
    }
    va_end(arguments.list);
}
