/* SPDX-License-Identifier: MIT */
/* learn/audit.c: every line is JSON with its evidence; the ring keeps the newest; the file grows
 * only by flushed records, up to its bound. */
#include "learn/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "learn/regime.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

static const uint64_t ms_ns = 1000 * 1000;

static struct hak_audit audit;
static char text[4 * 1024 * 1024]; /* more than any test writes */

/* ---- a reader of JSON: what stands behind a value, NULL if there is none */

static const char *read_value(const char *at);

static const char *read_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++)
        if ((unsigned char)*at < ' ' || *at == '\\') /* none of ours needs to be escaped */
            return NULL;
    return at + 1;
}

static const char *read_number(const char *at)
{
    at += *at == '-';
    size_t digits = strspn(at, "0123456789");
    return digits == 0 || (at[0] == '0' && digits > 1) ? NULL : at + digits;
}

static const char *read_members(const char *at, char end, int named)
{
    for (at++; *at != end; at += *at == ',' && at[1] != end) {
        if (named) {
            at = read_string(at);
            if (at == NULL || *at++ != ':')
                return NULL;
        }
        at = read_value(at);
        if (at == NULL || (*at != ',' && *at != end) || (*at == ',' && at[1] == end))
            return NULL;
    }
    return at + 1;
}

static const char *read_value(const char *at)
{
    switch (*at) {
    case '{':
        return read_members(at, '}', 1);
    case '[':
        return read_members(at, ']', 0);
    case '"':
        return read_string(at);
    default:
        return read_number(at);
    }
}

/* Checks that all lines are objects. */
static unsigned count_lines(const char *lines)
{
    unsigned count = 0;
    for (; *lines != '\0'; lines++, count++) {
        const char *end = *lines == '{' ? read_value(lines) : NULL;
        if (!EXPECT(end != NULL && *end == '\n')) {
            tap_note("line %u is no JSON: %.200s", count, lines);
            break;
        }
        lines = end;
    }
    return count;
}

/* Whether the line of that number, from 0, has the text in it. */
static int line_has(const char *lines, unsigned number, const char *sought)
{
    while (number-- > 0 && lines != NULL)
        lines = strchr(lines, '\n') + 1;
    const char *found = strstr(lines, sought);
    int has = found != NULL && found < strchr(lines, '\n');
    if (!has)
        tap_note("no %s in %.*s", sought, (int)strcspn(lines, "\n"), lines);
    return has;
}

static void reader_reads(void)
{
    EXPECT_EQ(count_lines("{}\n{\"a\":1,\"b\":[1,-2,\"c\"],\"d\":{}}\n"), 2);
    static const char *const bad[] = {"{\"a\":}",   "{\"a\":1,}",  "{\"a\":[1,]}",
                                      "{\"a\":01}", "{\"a\":1 1}", "{\"a\" 1}",
                                      "{\"a\":[1}", "{a:1}",       "{\"a\":\"x\n"};
    for (unsigned i = 0; i < TAP_COUNT(bad); i++) {
        const char *end = read_value(bad[i]);
        EXPECT(end == NULL || *end != '\0');
    }
}

/* ---- lines ---------------------------------------------------------------------------------- */

static struct hak_audit_record match_of(uint64_t now_ns)
{
    return (struct hak_audit_record){
        .now_ns = now_ns,
        .kind = HAK_AUDIT_MATCH,
        .shard = 3,
        .bucket = 2,
        .state = HAK_REGIME_CANARY,
        .played = HAK_ARM_KEEP,
        .next = HAK_ARM_DONTNEED,
        .why = "rating",
        .bytes = 123456,
        .samples = 17,
        .paid = 7654.4,
        .costs = {1000.2, 3000, 0},
        .ratings = {40, -50, 10},
        .retain_bytes = 33554432,
    };
}

static const char *drained(void)
{
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_audit_drain(&audit, &writer);
    EXPECT_LE(writer.total, sizeof text - 1);
    return text;
}

static void matches(void)
{
    static const char *const parts[] = {
        "{\"t\":20,",
        "\"shard\":3",
        "\"key\":\"256K\"",
        "\"state\":\"canary\"",
        "\"played\":\"keep\"",
        "\"next\":\"dontneed\"",
        "\"why\":\"rating\"",
        "\"bytes\":123456",
        "\"samples\":17",
        "\"paid\":7654",
        "\"costs\":[1000,3000,0]",
        "\"ratings\":[1540,1450,1510]",
        "\"retain\":33554432",
    };
    memset(&audit, 0, sizeof audit);
    struct hak_audit_record record = match_of(5000 * ms_ns);
    hak_audit_put(&audit, &record);
    record.now_ns += 20 * ms_ns;
    hak_audit_put(&audit, &record);
    record.site = 0xabc1;
    hak_audit_put(&audit, &record);
    record.now_ns = 0; /* of a thread that looked at the clock before the first */
    hak_audit_put(&audit, &record);
    EXPECT_EQ(hak_audit_waiting(&audit), 4);
    EXPECT_EQ(count_lines(drained()), 4);
    EXPECT(line_has(text, 0, "{\"t\":0,"));
    for (unsigned i = 0; i < TAP_COUNT(parts); i++)
        EXPECT(line_has(text, 1, parts[i]));
    EXPECT(line_has(text, 2, "\"key\":\"site:abc1\""));
    EXPECT(line_has(text, 3, "{\"t\":0,"));
    EXPECT_EQ(hak_audit_waiting(&audit), 0);
    EXPECT_EQ(count_lines(drained()), 0);
}

static void numbers(void)
{
    memset(&audit, 0, sizeof audit);
    struct hak_audit_record record = match_of(0);
    record.kind = HAK_AUDIT_RETAIN;
    record.why = "excess";
    record.from = 1048576;
    hak_audit_put(&audit, &record);
    EXPECT_EQ(count_lines(drained()), 1);
    EXPECT(line_has(text, 0, "\"event\":\"retain\""));
    EXPECT(line_has(text, 0, "\"from\":1048576"));
    EXPECT(line_has(text, 0, "\"to\":33554432"));
    EXPECT(line_has(text, 0, "\"why\":\"excess\""));
    EXPECT(line_has(text, 0, "\"purged\":123456"));
}

static void newest_stay(void)
{
    memset(&audit, 0, sizeof audit);
    for (unsigned i = 0; i < HAK_AUDIT_RECORDS + 10; i++) {
        struct hak_audit_record record = match_of(i * ms_ns);
        record.bytes = i;
        hak_audit_put(&audit, &record);
        EXPECT_LE(hak_audit_waiting(&audit), HAK_AUDIT_RECORDS);
    }
    EXPECT_EQ(audit.lost, 10);
    EXPECT_EQ(hak_audit_waiting(&audit), HAK_AUDIT_RECORDS);
    EXPECT_EQ(count_lines(drained()), HAK_AUDIT_RECORDS);
    EXPECT(line_has(text, 0, "\"bytes\":10,"));
    EXPECT(line_has(text, 1, "\"bytes\":11,"));
    EXPECT(line_has(text, HAK_AUDIT_RECORDS - 1, "\"bytes\":521,"));
}

/* ---- the file ------------------------------------------------------------------------------- */

static char folder[64];
static char path[96];

static void new_folder(void)
{
    memset(&audit, 0, sizeof audit);
    snprintf(folder, sizeof folder, "/tmp/hakmem-audit-XXXXXX");
    EXPECT(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/log", folder);
}

static void end_folder(void)
{
    unlink(path);
    EXPECT_EQ(rmdir(folder), 0);
}

static size_t read_log(void)
{
    int descriptor = open(path, O_RDONLY);
    size_t length = 0;
    for (ssize_t got = 1; descriptor >= 0 && got > 0; length += (size_t)got) {
        got = read(descriptor, text + length, sizeof text - 1 - length);
        if (got < 0)
            break;
    }
    text[length] = '\0';
    close(descriptor);
    return length;
}

static void put(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hak_audit_record record = match_of(i * ms_ns);
        hak_audit_put(&audit, &record);
    }
}

static void flushes(void)
{
    struct hak_settings settings = hak_settings_default;
    settings.mode = HAK_LEARN_SHADOW;
    settings.price_ns = 4321;
    new_folder();
    EXPECT_EQ(hak_audit_open(&audit, path, &settings), 0);
    read_log();
    EXPECT_EQ(count_lines(text), 1);
    EXPECT(line_has(text, 0, "\"mode\":\"shadow\""));
    EXPECT(line_has(text, 0, "\"price_ns\":4321"));
    EXPECT(line_has(text, 0, "\"arms\":[\"keep\",\"dontneed\",\"batch\"]"));
    for (unsigned flush = 1; flush <= 3; flush++) {
        put(100);
        hak_audit_flush(&audit);
        EXPECT_EQ(hak_audit_waiting(&audit), 0);
        EXPECT_EQ(read_log(), audit.written);
        EXPECT_EQ(count_lines(text), 1 + 100 * flush);
        hak_audit_flush(&audit);
        EXPECT_EQ(read_log(), audit.written);
    }
    memset(&audit, 0, sizeof audit); /* the next run starts again */
    EXPECT_EQ(hak_audit_open(&audit, path, &settings), 0);
    read_log();
    EXPECT_EQ(count_lines(text), 1);
    end_folder();
}

static void bounded(void)
{
    new_folder();
    EXPECT_EQ(hak_audit_open(&audit, path, &hak_settings_default), 0);
    size_t first = read_log();
    audit.written = HAK_AUDIT_FILE_MAX; /* as if this much had been written */
    put(100);
    hak_audit_flush(&audit);
    EXPECT_EQ(read_log(), first);
    EXPECT_EQ(hak_audit_waiting(&audit), 0); /* dropped: no later call tries again */
    end_folder();
}

static void another_is_flushing(void)
{
    new_folder();
    EXPECT_EQ(hak_audit_open(&audit, path, &hak_settings_default), 0);
    put(5);
    hak_lock_acquire(&audit.flushing);
    hak_audit_flush(&audit); /* goes on without */
    EXPECT_EQ(hak_audit_waiting(&audit), 5);
    hak_lock_release(&audit.flushing);
    hak_audit_flush(&audit);
    EXPECT_EQ(hak_audit_waiting(&audit), 0);
    end_folder();
}

static void nobody_asked(void)
{
    memset(&audit, 0, sizeof audit);
    put(3);
    hak_audit_flush(&audit);
    EXPECT_EQ(hak_audit_waiting(&audit), 3);
    EXPECT_EQ(hak_audit_open(&audit, "/nowhere/log", &hak_settings_default), -ENOENT);
    EXPECT(audit.path == NULL);
    EXPECT_EQ(hak_audit_open(&audit, "/tmp", &hak_settings_default), -EMEDIUMTYPE);
    hak_audit_flush(&audit);
    EXPECT_EQ(hak_audit_waiting(&audit), 3);
}

static void *put_and_flush(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 20; i++) {
        put(100);
        hak_audit_flush(&audit);
    }
    return NULL;
}

static void threads_put(void)
{
    new_folder();
    EXPECT_EQ(hak_audit_open(&audit, path, &hak_settings_default), 0);
    threads_run(4, put_and_flush, NULL, 0);
    hak_audit_flush(&audit);
    EXPECT_EQ(audit.put, 4 * 20 * 100);
    size_t length = read_log();
    if (EXPECT(length < sizeof text - 1))
        EXPECT_EQ(count_lines(text), 1 + audit.put - audit.lost);
    end_folder();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the test's reader of JSON refuses other text", reader_reads},
        {"a match is a line of JSON with its evidence", matches},
        {"a change of a number is a line of JSON, too", numbers},
        {"the ring keeps the newest records, and counts the lost ones", newest_stay},
        {"a file gets each waiting record once", flushes},
        {"a file does not grow beyond its bound", bounded},
        {"one thread at a time flushes", another_is_flushing},
        {"without a log, or with one that cannot be written, nothing is written", nobody_asked},
        {"threads put and flush at once", threads_put},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
