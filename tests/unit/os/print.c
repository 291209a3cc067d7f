/* SPDX-License-Identifier: MIT */
/* os/print.c: every directive prints what C says; nothing is written past a buffer. */
#include "os/print.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tap.h"

static void same(const char *got, const char *wanted)
{
    if (!EXPECT(strcmp(got, wanted) == 0))
        tap_note("got '%s', wanted '%s'", got, wanted);
}

static char page[256];
static struct hak_writer writer;

static void begin(void)
{
    writer = hak_writer_to_buffer(page, sizeof(page));
}

/* The bytes put since begin(). */
static void wanted(const char *text)
{
    hak_writer_flush(&writer);
    same(page, text);
    EXPECT_EQ(writer.total, strlen(text));
    begin();
}

static void numbers(void)
{
    begin();
    hak_put(&writer, "%d %d %d", 0, INT_MIN, INT_MAX);
    wanted("0 -2147483648 2147483647");
    hak_put(&writer, "%ld %lld", LONG_MIN, LLONG_MAX);
    wanted("-9223372036854775808 9223372036854775807");
    hak_put(&writer, "%u %lu %llu %zu", UINT_MAX, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
    wanted("4294967295 18446744073709551615 18446744073709551615 18446744073709551615");
    hak_put(&writer, "%x %lx", 0xbeefu, 0xdeadbeef12345678ul);
    wanted("beef deadbeef12345678");
    hak_put(&writer, "%p", (void *)0x1234);
    wanted("0x1234");
}

static void fields(void)
{
    begin();
    hak_put(&writer, "%s|%8s|%-8s|%2s", "text", "right", "left", "longer");
    wanted("text|   right|left    |longer");
    hak_put(&writer, "%c%c%%", 'a', 'b');
    wanted("ab%");
    hak_put(&writer, "%5d|%-5d|%05d|%05d", 42, 42, 42, -42);
    wanted("   42|42   |00042|-0042");
    hak_put(&writer, "%08x|%-4x|%6lu", 0x12u, 0x12u, 7ul);
    wanted("00000012|12  |     7");
}

static void cut(void)
{
    char buffer[8];
    memset(buffer, '#', sizeof(buffer));
    writer = hak_writer_to_buffer(buffer, 6);
    hak_put(&writer, "%s %d", "long", 12345);
    hak_writer_flush(&writer);
    same(buffer, "long ");
    EXPECT_EQ(writer.total, 10);
    EXPECT_EQ(buffer[6], '#');
}

static void through(void)
{
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    char small[5];
    writer = hak_writer_to_fd(ends[1], small, sizeof(small));
    hak_put(&writer, "%s, %s and %u", "one", "a longer piece", 3u);
    hak_writer_flush(&writer);
    close(ends[1]);
    char got[64] = "";
    size_t length = 0;
    for (ssize_t part; (part = read(ends[0], got + length, sizeof(got) - 1 - length)) > 0;)
        length += (size_t)part;
    close(ends[0]);
    same(got, "one, a longer piece and 3");
    EXPECT_EQ(writer.total, length);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"numbers of all widths print whole", numbers},
        {"fields are filled", fields},
        {"a full buffer cuts the text", cut},
        {"a descriptor gets all of it", through},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
