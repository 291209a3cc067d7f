/* SPDX-License-Identifier: MIT */
/* SQLite on a heap of its own, by SQLITE_CONFIG_MALLOC: all that the library allocates lies there,
 * within a limit. When the limit is reached a statement ends with SQLITE_NOMEM, and the program goes
 * on; at the end one call frees whatever SQLite has left.
 *
 *     sqlite [ROWS]
 *
 * fills and asks a database in memory, then tries one that is too large. Status 1 if an answer was
 * wrong. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "hakmem.h"

static struct hakmem_heap *heap;

static void *take(int size)
{
    return hakmem_heap_malloc(heap, (size_t)size);
}

static void give(void *object)
{
    hakmem_heap_free(heap, object);
}

static void *resize(void *object, int size)
{
    return hakmem_heap_realloc(heap, object, (size_t)size);
}

static int size_of(void *object)
{
    return (int)hakmem_heap_usable_size(object);
}

/* SQLite asks for what it would get, to use all of it. */
static int round_up(int size)
{
    return size <= 32768 ? (size + 15) & ~15 : (size + 4095) & ~4095;
}

static int start(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void end(void *unused)
{
    (void)unused;
}

static long long ask(sqlite3 *base, const char *question)
{
    sqlite3_stmt *statement;
    long long answer = -1;
    if (sqlite3_prepare_v2(base, question, -1, &statement, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW)
        answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return answer;
}

/* So many rows in a table; the result of the last statement. */
static int fill(sqlite3 *base, long long rows)
{
    sqlite3_stmt *insert;
    int result = sqlite3_exec(base,
                              "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);"
                              "CREATE INDEX i ON t (text); BEGIN",
                              NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_prepare_v2(
            base, "INSERT INTO t VALUES (?1, printf('%08d', ?1 * 7919 % 1000000))", -1, &insert,
            NULL);
    if (result != SQLITE_OK)
        return result;
    for (long long row = 1; row <= rows; row++) {
        sqlite3_bind_int64(insert, 1, row);
        result = sqlite3_step(insert);
        sqlite3_reset(insert);
        if (result != SQLITE_DONE)
            break;
    }
    sqlite3_finalize(insert);
    return result == SQLITE_DONE ? sqlite3_exec(base, "COMMIT", NULL, NULL, NULL) : result;
}

static void tell(const char *when)
{
    struct hakmem_heap_stats stats;
    hakmem_heap_stats(heap, &stats, sizeof stats);
    printf("%s: %zu KiB used, %zu KiB mapped, at most %zu KiB\n", when, stats.used >> 10,
           stats.mapped >> 10, stats.peak >> 10);
}

int main(int argc, char **argv)
{
    long long rows = argc > 1 ? atoll(argv[1]) : 50000;
    sqlite3_mem_methods methods = {take, give, resize, size_of, round_up, start, end, NULL};
    struct hakmem_heap_options options = {.size = sizeof options};
    options.limit = (size_t)32 << 20;
    heap = hakmem_heap_create(&options);
    if (heap == NULL || sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        return 2;
    sqlite3 *base;
    int wrong = sqlite3_open(":memory:", &base) != SQLITE_OK || fill(base, rows) != SQLITE_OK;
    wrong |= ask(base, "SELECT count(*) FROM t") != rows;
    wrong |= ask(base, "SELECT count(*) FROM t WHERE text = printf('%08d', 7919)") < 1;
    tell("filled");
    sqlite3_close(base);
    tell("closed");
    /* Beyond the limit: refused, and what was there before is not harmed. */
    wrong |= sqlite3_open(":memory:", &base) != SQLITE_OK;
    wrong |= fill(base, 100 * 1000 * 1000) != SQLITE_NOMEM;
    tell("full");
    sqlite3_close(base);
    wrong |= sqlite3_open(":memory:", &base) != SQLITE_OK || fill(base, rows) != SQLITE_OK;
    wrong |= ask(base, "SELECT count(*) FROM t") != rows;
    /* Not closed: the heap's end frees it. */
    wrong |= hakmem_heap_destroy(heap) != 0;
    printf("%s\n", wrong ? "WRONG" : "as it should be");
    return wrong;
}
