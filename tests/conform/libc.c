/* SPDX-License-Identifier: MIT */
/*
 * libc.c - libc's functions that hand out memory of malloc, or free memory of ours.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/tap.h"

#include <dirent.h>
#include <errno.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <regex.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

static void test_strings(void)
{
    char *text = strdup("a text");
    REQUIRE(text != NULL);
    EXPECT_EQ(strcmp(text, "a text"), 0);
    text = realloc(text, 100000); /* it is an object as any other */
    REQUIRE(text != NULL);
    EXPECT_EQ(strcmp(text, "a text"), 0);
    free(text);
    text = strndup("a text", 3);
    EXPECT(text && strcmp(text, "a t") == 0);
    free(text);
    wchar_t *wide = wcsdup(L"wide");
    EXPECT(wide && wcscmp(wide, L"wide") == 0);
    free(wide);
    for (size_t length = 1; length < 200000; length = length * 2 + 1) {
        char *source = malloc(length + 1);
        REQUIRE(source != NULL);
        memset(source, 'x', length);
        source[length] = '\0';
        char *copy = strdup(source);
        EXPECT(copy && strcmp(copy, source) == 0);
        free(source);
        free(copy);
    }
}

static void test_asprintf(void)
{
    char *text = NULL;
    EXPECT_EQ(asprintf(&text, "%d-%s", 42, "x"), 4);
    EXPECT(text && strcmp(text, "42-x") == 0);
    free(text);
    EXPECT_EQ(asprintf(&text, "%*d", 300000, 7), 300000);
    EXPECT(text && text[299999] == '7' && text[0] == ' ');
    free(text);
}

static void test_getline(void)
{
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    for (int i = 0; i < 200; i++)
        fprintf(file, "%d:%0*d\n", i, i * i + 1, i);
    rewind(file);
    char *line = malloc(3); /* getline grows ours */
    size_t capacity = 3;
    int lines = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0) {
        EXPECT_EQ(atoi(line), lines);
        EXPECT_EQ(line[length - 1], '\n');
        EXPECT_GE(capacity, length + 1);
        lines++;
    }
    EXPECT_EQ(lines, 200);
    rewind(file);
    free(line);
    line = NULL;
    capacity = 0;
    EXPECT_EQ(getdelim(&line, &capacity, ':', file), 2);
    EXPECT(line && strcmp(line, "0:") == 0);
    free(line);
    fclose(file);
}

static void test_streams(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    REQUIRE(stream != NULL);
    for (int i = 0; i < 50000; i++)
        fprintf(stream, "%08d", i);
    fclose(stream);
    EXPECT_EQ(length, 400000);
    EXPECT(text && strncmp(text + 8 * 31415, "00031415", 8) == 0);
    free(text);
    stream = fmemopen(NULL, 1000, "w+");
    REQUIRE(stream != NULL);
    EXPECT_EQ(fprintf(stream, "hello"), 5);
    fclose(stream);
    for (int i = 0; i < 100; i++) {
        stream = fopen("/proc/self/status", "r");
        REQUIRE(stream != NULL);
        EXPECT(fgetc(stream) != EOF);
        fclose(stream);
    }
}

static int compare_ints(const void *left, const void *right)
{
    return (*(const int *)left > *(const int *)right) - (*(const int *)left < *(const int *)right);
}

static void test_qsort(void)
{
    enum { COUNT = 200000 }; /* qsort takes a buffer from malloc */
    int *numbers = malloc(COUNT * sizeof(int));
    REQUIRE(numbers != NULL);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (int)((i * 7919L) % COUNT);
    qsort(numbers, COUNT, sizeof(int), compare_ints);
    for (int i = 0; i < COUNT; i++)
        EXPECT_EQ(numbers[i], i);
    free(numbers);
}

static void test_paths(void)
{
    char *folder = getcwd(NULL, 0);
    EXPECT(folder && folder[0] == '/');
    free(folder);
    char *path = realpath("/proc/../proc/self/..", NULL);
    EXPECT(path && strcmp(path, "/proc") == 0);
    free(path);
    struct dirent **entries = NULL;
    int count = scandir("/proc/self", &entries, NULL, alphasort);
    EXPECT_GE(count, 10);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

static void keep_key(void *key)
{
    (void)key;
}

static void test_larger_users(void)
{
    regex_t expression;
    REQUIRE(regcomp(&expression, "^(a|b+)*[[:alpha:]]{2,30}$", REG_EXTENDED) == 0);
    EXPECT_EQ(regexec(&expression, "aabbabxyz", 0, NULL, 0), 0);
    regfree(&expression);
    iconv_t converter = iconv_open("UTF-16", "UTF-8"); /* loads a module */
    if (converter != (iconv_t)-1)
        iconv_close(converter);
    EXPECT(setlocale(LC_ALL, "C.UTF-8") == NULL || setlocale(LC_ALL, "C") != NULL);
    struct addrinfo *addresses = NULL;
    if (getaddrinfo("127.0.0.1", "80", NULL, &addresses) == 0)
        freeaddrinfo(addresses);
    void *tree = NULL;
    static int keys[1000];
    for (int i = 0; i < 1000; i++) {
        keys[i] = i * 37 % 1000;
        EXPECT(tsearch(&keys[i], &tree, compare_ints) != NULL);
    }
    tdestroy(tree, keep_key);
}

static void test_environment(void)
{
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "CONFORM_%d", i);
        EXPECT_EQ(setenv(name, name, 1), 0);
    }
    EXPECT(getenv("CONFORM_77") && strcmp(getenv("CONFORM_77"), "CONFORM_77") == 0);
    FILE *pipe = popen("echo $CONFORM_499", "r");
    REQUIRE(pipe != NULL);
    EXPECT(fgets(name, sizeof(name), pipe) && strcmp(name, "CONFORM_499\n") == 0);
    pclose(pipe);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"strdup, strndup, wcsdup", test_strings},
        {"asprintf", test_asprintf},
        {"getline and getdelim grow our buffer", test_getline},
        {"open_memstream, fmemopen, fopen", test_streams},
        {"qsort of a large array", test_qsort},
        {"getcwd, realpath, scandir", test_paths},
        {"regcomp, iconv, setlocale, getaddrinfo, tsearch", test_larger_users},
        {"setenv and popen", test_environment},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
