/* SPDX-License-Identifier: MIT */
/* os/limit.c: the limit that counts is found in roots made by hand, and the room below it is
 * right. */
#define _GNU_SOURCE
#include "os/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "tests/lib/machine.h"
#include "tests/lib/tap.h"

#define V1      "sys/fs/cgroup/memory"
#define V2      "sys/fs/cgroup"
#define UNIFIED "sys/fs/cgroup/unified"
#define NONE_V1 "9223372036854771712\n" /* as the kernel says it: 2^63 less a page */

static const int64_t mib = 1 << 20;

/* The folder that stands for /, opened, of the case that runs. */
static char root_path[64];
static int root = -1;

static void begin(void)
{
    strcpy(root_path, "/tmp/limit-XXXXXX");
    if (!EXPECT(mkdtemp(root_path) != NULL))
        exit(1);
    root = hak_os_open_folder(root_path);
    EXPECT(root >= 0);
}

static void end(void)
{
    hak_os_close(root);
    machine_close(root_path);
}

/* Makes FOLDER/name below root, with the folders on the way; a folder itself if content is NULL. */
static void put(const char *folder, const char *name, const char *content)
{
    char path[2048];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdirat(root, path, 0777);
        *slash = '/';
    }
    if (content == NULL) {
        EXPECT(mkdirat(root, path, 0777) == 0);
        return;
    }
    int file = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    EXPECT_EQ(write(file, content, strlen(content)), strlen(content));
    close(file);
}

static void drop(const char *folder, const char *name)
{
    char path[2048];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    EXPECT_EQ(unlinkat(root, path, 0), 0);
}

static void groups(const char *content)
{
    put("proc/self", "cgroup", content);
}

/* A group of version 2; texts without the newline. */
static void group_v2(const char *folder, const char *max, const char *high, const char *current)
{
    char text[3][64];
    snprintf(text[0], sizeof(text[0]), "%s\n", max);
    snprintf(text[1], sizeof(text[1]), "%s\n", high);
    snprintf(text[2], sizeof(text[2]), "%s\n", current);
    put(folder, "memory.max", text[0]);
    put(folder, "memory.high", text[1]);
    put(folder, "memory.current", text[2]);
}

static void group_v1(const char *folder, const char *limit, const char *usage)
{
    put(folder, "memory.limit_in_bytes", limit);
    put(folder, "memory.usage_in_bytes", usage);
}

/* Whether the limit found is this one: of a folder, bytes, room. */
static void expect_found(const char *folder, int64_t bytes, int64_t headroom)
{
    struct hak_os_limit limit;
    memset(&limit, 0x55, sizeof(limit));
    int result = hak_os_limit_find(root, &limit);
    EXPECT_EQ(result, 0);
    if (result != 0)
        return;
    if (!EXPECT(strcmp(limit.path, folder) == 0))
        tap_note("found in %s", limit.path);
    EXPECT_EQ(limit.length, strlen(folder));
    EXPECT_EQ(limit.bytes, bytes);
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), headroom);
}

static void expect_none(int error)
{
    static const struct hak_os_limit none;
    struct hak_os_limit limit;
    memset(&limit, 0x55, sizeof(limit));
    EXPECT_EQ(hak_os_limit_find(root, &limit), error);
    EXPECT(memcmp(&limit, &none, sizeof(limit)) == 0);
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
}

static void version_2(void)
{
    begin();
    groups("0::/app/worker\n");
    group_v2(V2 "/app/worker", "104857600", "max", "41943040");
    expect_found(V2 "/app/worker", 100 * mib, 60 * mib);
    group_v2(V2 "/app/worker", "104857600", "83886080", "41943040");
    expect_found(V2 "/app/worker", 80 * mib, 40 * mib);
    group_v2(V2 "/app/worker", "62914560", "83886080", "41943040");
    expect_found(V2 "/app/worker", 60 * mib, 20 * mib);
    group_v2(V2 "/app/worker", "max", "83886080", "94371840");
    expect_found(V2 "/app/worker", 80 * mib, -10 * mib);
    group_v2(V2 "/app/worker", "0", "max", "4096");
    expect_found(V2 "/app/worker", 0, -4096);
    drop(V2 "/app/worker", "memory.high"); /* kernels have had it later than memory.max */
    expect_found(V2 "/app/worker", 0, -4096);
    end();
}

static void no_limit(void)
{
    begin();
    expect_none(-ENOENT); /* no proc */
    groups("");
    expect_none(-ENOENT);
    groups("0::/app\n");
    expect_none(-ENOENT); /* no such mount */
    put(V2 "/app", "cgroup.procs", "1\n");
    expect_none(-ENOENT); /* controller not enabled */
    group_v2(V2 "/app", "max", "max", "41943040");
    expect_none(-ENOENT);
    groups("4:memory:/app\n0::/\n");
    group_v1(V1 "/app", NONE_V1, "41943040\n");
    group_v1(V1, NONE_V1, "41943040\n");
    expect_none(-ENOENT);
    end();
}

static void ancestors(void)
{
    begin();
    groups("0::/a/b/c\n");
    group_v2(V2 "/a", "62914560", "max", "52428800");
    group_v2(V2 "/a/b", "max", "73400320", "31457280");
    group_v2(V2 "/a/b/c", "104857600", "max", "20971520");
    expect_found(V2 "/a", 60 * mib, 10 * mib);
    group_v2(V2 "/a", "max", "max", "52428800");
    expect_found(V2 "/a/b", 70 * mib, 40 * mib);
    group_v2(V2 "/a/b", "104857600", "max", "31457280");
    expect_found(V2 "/a/b", 100 * mib, 70 * mib); /* of equals, the one that counts more */
    group_v2(V2 "/a", "max", "31457280", "52428800");
    expect_found(V2 "/a", 30 * mib, -20 * mib);
    group_v2(V2, "20971520", "max", "52428800"); /* as in a container */
    expect_found(V2, 20 * mib, -30 * mib);
    group_v2("sys/fs", "10485760", "max", "52428800"); /* nothing above the mount belongs to us */
    expect_found(V2, 20 * mib, -30 * mib);
    groups("0::/\n");
    expect_found(V2, 20 * mib, -30 * mib);
    groups("0::/a/without/files\n");
    put(V2 "/a/without/files", "cgroup.procs", "1\n");
    group_v2(V2, "max", "max", "52428800");
    expect_found(V2 "/a", 30 * mib, -20 * mib);
    end();
}

static void version_1(void)
{
    begin();
    groups("11:name=memory:/wrong\n10:memory2,xmemory:/wrong\n9:cpuset:/wrong\n8:cpu,memory,pids:/"
           "docker/x:y\n"
           "1:name=systemd:/wrong\n");
    group_v1(V1, NONE_V1, "999999999\n");
    group_v1(V1 "/docker", NONE_V1, "999999999\n");
    group_v1(V1 "/docker/x:y", "104857600\n", "41943040\n");
    group_v1(V1 "/wrong", "10485760\n", "4096\n");
    expect_found(V1 "/docker/x:y", 100 * mib, 60 * mib);
    group_v1(V1 "/docker", "52428800\n", "47185920\n");
    expect_found(V1 "/docker", 50 * mib, 5 * mib);
    put(V1 "/docker", "memory.use_hierarchy", "1\n");
    expect_found(V1 "/docker", 50 * mib, 5 * mib);
    put(V1 "/docker", "memory.use_hierarchy", "0\n"); /* it holds for itself alone */
    expect_found(V1 "/docker/x:y", 100 * mib, 60 * mib);
    groups("4:memory:/\n");
    group_v1(V1, "52428800\n", "47185920\n");
    put(V1, "memory.use_hierarchy", "0\n");
    expect_found(V1, 50 * mib, 5 * mib);
    end();
}

static void hybrid(void)
{
    begin();
    groups("4:memory:/job\n1:name=systemd:/job\n0::/job\n");
    put(UNIFIED "/job", "cgroup.procs", "1\n");
    group_v1(V1 "/job", "104857600\n", "41943040\n");
    expect_found(V1 "/job", 100 * mib, 60 * mib);
    group_v2(UNIFIED "/job", "10485760", "max", "4096"); /* nobody sets this: version 1 counts */
    expect_found(V1 "/job", 100 * mib, 60 * mib);
    groups("0::/job\n4:memory:/job\n");
    expect_found(V1 "/job", 100 * mib, 60 * mib);
    groups("1:name=systemd:/job\n0::/job\n"); /* memory is not version 1's: it may be here */
    expect_found(UNIFIED "/job", 10 * mib, 10 * mib - 4096);
    end();
}

static void containers(void)
{
    begin();
    groups("0::/docker/0123\n");
    group_v2(V2, "104857600", "max", "41943040");
    expect_found(V2, 100 * mib, 60 * mib);
    group_v2(V2 "/docker", "10485760", "max", "4096"); /* of containers within this one */
    expect_found(V2, 100 * mib, 60 * mib);
    groups("0::/../docker\n");
    group_v2("sys/fs/docker", "20971520", "max", "4096");
    expect_found(V2, 100 * mib, 60 * mib);
    groups("0::/docker/..\n");
    expect_found(V2, 100 * mib, 60 * mib);
    groups("0::/..docker\n");
    group_v2(V2 "/..docker", "20971520", "max", "4096"); /* a name like another */
    expect_found(V2 "/..docker", 20 * mib, 20 * mib - 4096);
    groups("4:memory:/docker/0123\n0::/\n");
    group_v1(V1, "52428800\n", "41943040\n");
    expect_found(V1, 50 * mib, 10 * mib);
    end();
}

static void garbage(void)
{
    static const char *const texts[] = {"",      "\n",    "garbage\n", "-1\n",
                                        "12x\n", " 12\n", "maximum\n", "0x10\n"};
    begin();
    groups("0::/app\n");
    for (size_t text = 0; text < TAP_COUNT(texts); text++) {
        group_v2(V2 "/app", "max", "max", "41943040");
        put(V2 "/app", "memory.max", texts[text]);
        expect_none(-EINVAL);
        put(V2 "/app", "memory.max", "104857600\n");
        put(V2 "/app", "memory.current", texts[text]);
        expect_found(V2 "/app", 100 * mib, INT64_MAX);
    }
    put(V2 "/app", "memory.current", "max\n");
    expect_found(V2 "/app", 100 * mib, INT64_MAX);
    group_v2(V2 "/app", "104857600", "what", "41943040"); /* one half is known */
    expect_found(V2 "/app", 100 * mib, 60 * mib);
    group_v2(V2, "what", "what", "0"); /* and what is above hides nothing */
    expect_found(V2 "/app", 100 * mib, 60 * mib);
    put(V2 "/app", "memory.max", "104857600"); /* a recorded file may lack its end */
    expect_found(V2 "/app", 100 * mib, 60 * mib);
    put(V2, "memory.high", "max");
    put(V2, "memory.max", "max");
    put(V2 "/app", "memory.high", "max");
    put(V2 "/app", "memory.max", "max");
    expect_none(-ENOENT);
    groups("0::/folder\n");
    put(V2 "/folder", "memory.max", NULL);
    expect_none(-EISDIR);
    end();
}

static void garbage_of_groups(void)
{
    static const char *const lists[] = {
        "\n\n",    "garbage",   "0:",         "0::",           "0::app\n",
        ":::::\n", "1::/app\n", "4:memory\n", "memory:/app\n", "00::/app\n"};
    begin();
    group_v2(V2, "104857600", "max", "41943040");
    for (size_t list = 0; list < TAP_COUNT(lists); list++) {
        groups(lists[list]);
        expect_none(-ENOENT);
    }
    groups("garbage\n\n0::/app"); /* the line that is one is enough */
    expect_found(V2, 100 * mib, 60 * mib);
    end();
}

static void huge(void)
{
    begin();
    groups("0::/app\n");
    group_v2(V2 "/app", "1152921504606846976", "max", "0"); /* 2^60 */
    expect_found(V2 "/app", INT64_C(1) << 60, INT64_C(1) << 60);
    group_v2(V2 "/app", "1152921504606846977", "max", "0");
    expect_none(-ENOENT);
    group_v2(V2 "/app", "18446744073709551615", "max", "0");
    expect_none(-ENOENT);
    group_v2(V2 "/app", "18446744073709551716", "max", "0"); /* 2^64 + 100: not 100 */
    expect_none(-ENOENT);
    group_v2(V2 "/app", "99999999999999999999999999999999999999999999999999", "max", "0");
    expect_none(-ENOENT);
    group_v2(V2 "/app", "104857600", "18446744073709551716", "0");
    expect_found(V2 "/app", 100 * mib, 100 * mib);
    group_v2(V2 "/app", "0", "max", "1152921504606846976");
    expect_found(V2 "/app", 0, -(INT64_C(1) << 60));
    group_v2(V2 "/app", "104857600", "max", "18446744073709547520"); /* a counter gone below 0 */
    expect_found(V2 "/app", 100 * mib, INT64_MAX);
    end();
}

static void vanishing(void)
{
    struct hak_os_limit limit;
    begin();
    groups("0::/app\n");
    group_v2(V2 "/app", "104857600", "max", "41943040");
    REQUIRE(hak_os_limit_find(root, &limit) == 0);
    put(V2 "/app", "memory.max", "52428800\n"); /* moved: as of now */
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), 10 * mib);
    EXPECT_EQ(limit.bytes, 100 * mib);
    put(V2 "/app", "memory.max", "max\n");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
    put(V2 "/app", "memory.high", "52428800\n");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), 10 * mib);
    drop(V2 "/app", "memory.current");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
    group_v2(V2 "/app", "104857600", "max", "41943040");
    drop(V2 "/app", "memory.high");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), 60 * mib);
    drop(V2 "/app", "memory.max");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
    end();
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
}

static void page_cache(void)
{
    begin();
    groups("0::/app\n");
    group_v2(V2 "/app", "104857600", "max", "94371840");
    put(V2 "/app", "memory.stat",
        "anon 1\ntotal_inactive_file 4096\nworkingset_inactive_file 2\ninactive_file_ 3\n"
        "inactive_file 31457280\nactive_file 5\n");
    expect_found(V2 "/app", 100 * mib, 40 * mib);
    put(V2 "/app", "memory.stat", "inactive_file 31457280"); /* the first, the last, without end */
    expect_found(V2 "/app", 100 * mib, 40 * mib);
    put(V2 "/app", "memory.stat", "inactive_file 94375936\n"); /* counted later than the usage */
    expect_found(V2 "/app", 100 * mib, 100 * mib);
    put(V2 "/app", "memory.stat", "inactive_file 18446744073709551716\n");
    expect_found(V2 "/app", 100 * mib, 100 * mib);
    static const char *const nothing[] = {"",
                                          "\n\n",
                                          "inactive_file",
                                          "inactive_file \n",
                                          "inactive_file max\n",
                                          "inactive_file 3145728x\n",
                                          "active_file 31457280\n"};
    for (size_t text = 0; text < TAP_COUNT(nothing); text++) {
        put(V2 "/app", "memory.stat", nothing[text]);
        expect_found(V2 "/app", 100 * mib, 10 * mib);
    }
    groups("4:memory:/app\n");
    group_v1(V1 "/app", "104857600\n", "94371840\n");
    expect_found(V1 "/app", 100 * mib, 10 * mib); /* no memory.stat */
    put(V1 "/app", "memory.stat", "inactive_file 4096\ntotal_inactive_file 31457280\n");
    expect_found(V1 "/app", 100 * mib, 40 * mib);
    end();
}

/* A path of `length` in folders of at most 200, as a line of proc/self/cgroup. */
static const char *line_of(const char *before, size_t length)
{
    static char line[8192];
    size_t at = (size_t)snprintf(line, sizeof(line), "%s", before);
    for (size_t index = 0; index < length; index++)
        line[at + index] = index % 200 == 0 && index + 1 < length ? '/' : 'd';
    line[at + length] = '\n';
    line[at + length + 1] = '\0';
    return line;
}

static void long_paths(void)
{
    char folder[1024];
    size_t longest = HAK_LIMIT_PATH - 1 - strlen(V2);
    begin();
    groups(line_of("0::", longest));
    snprintf(folder, sizeof(folder), V2 "%.*s", (int)longest, line_of("", longest));
    group_v2(folder, "104857600", "max", "41943040");
    group_v2(V2, "62914560", "max", "41943040");
    expect_found(V2, 60 * mib, 20 * mib);
    group_v2(V2, "max", "max", "41943040");
    expect_found(folder, 100 * mib, 60 * mib);
    groups(line_of("0::", longest + 1));
    group_v2(V2, "104857600", "max", "41943040");
    expect_none(-ENAMETOOLONG);
    groups(line_of("0::", 5000)); /* longer than all that is read */
    expect_none(-ENAMETOOLONG);
    groups(line_of("4:memory:", 5000));
    expect_none(-ENAMETOOLONG);
    group_v1(V1 "/app", "104857600\n", "41943040\n");
    groups(line_of("4:memory:/app\n3:cpu:", 5000)); /* seen before the cut */
    expect_found(V1 "/app", 100 * mib, 60 * mib);
    end();
}

/* Wherever the list is cut, no part of a line is taken for it. */
static void long_lists(void)
{
    unsigned lists = 0;
    unsigned found = 0;
    unsigned refused = 0;
    begin();
    group_v1(V1 "/app", "10485760\n", "41943040\n");
    group_v1(V1 "/app2", "104857600\n", "41943040\n");
    for (size_t length = 1000; length < 4000; length += 3) {
        char list[9000];
        snprintf(list, sizeof(list), "%s4:memory:/app2\n", line_of("3:cpu:", length));
        groups(list);
        lists++;
        struct hak_os_limit limit;
        int result = hak_os_limit_find(root, &limit);
        found += result == 0 && strcmp(limit.path, V1 "/app2") == 0;
        refused += result == -ENAMETOOLONG;
        drop("proc/self", "cgroup"); /* file systems take their time over a file that is cut */
    }
    EXPECT_GE(found, 100);
    EXPECT_GE(refused, 100);
    EXPECT_EQ(found + refused, lists);
    end();
}

/* A folder that may not be entered exists nevertheless: the files above it count. */
static void not_entered(void)
{
    uid_t self = geteuid();
    uid_t other = self == 0 ? 65534 : self; /* root enters everything */
    if (seteuid(other) != 0 || seteuid(self) != 0) {
        tap_skip("root, and may not be another");
        return;
    }
    begin();
    groups("0::/a/closed/b\n");
    group_v2(V2 "/a/closed/b", "10485760", "max", "4096");
    group_v2(V2 "/a", "104857600", "max", "41943040");
    fchmodat(root, V2 "/a/closed", 0, 0);
    chmod(root_path, 0711);
    EXPECT_EQ(seteuid(other), 0);
    expect_found(V2 "/a", 100 * mib, 60 * mib);
    EXPECT_EQ(seteuid(self), 0);
    group_v2(V2 "/a", "max", "max", "41943040");
    EXPECT_EQ(seteuid(other), 0);
    expect_none(-EACCES);
    EXPECT_EQ(seteuid(self), 0);
    fchmodat(root, V2 "/a/closed", 0777, 0);
    end();
}

static void leaves_nothing(void)
{
    struct hak_os_limit limit;
    begin();
    groups("0::/app/missing\n");
    group_v2(V2, "104857600", "max", "41943040");
    int before = dup(root);
    close(before);
    errno = 77;
    EXPECT_EQ(hak_os_limit_find(root, &limit), 0);
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), 60 * mib);
    drop(V2, "memory.max");
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), INT64_MAX);
    EXPECT_EQ(hak_os_limit_find(root, &limit), -ENOENT);
    EXPECT_EQ(errno, 77);
    int after = dup(root);
    close(after);
    EXPECT_EQ(after, before);
    end();
}

/* A container sees its own group there; a process that sees the whole machine has none at the
 * top. */
static void at_the_top(void)
{
    struct hak_os_limit limit;
    begin();
    groups("0::/app\n");
    group_v2(V2 "/app", "52428800", "max", "41943040");
    EXPECT_EQ(hak_os_limit_find_at_top(root, &limit), -ENOENT);
    group_v2(V2, "104857600", "max", "41943040");
    EXPECT_EQ(hak_os_limit_find_at_top(root, &limit), 0);
    EXPECT_EQ(limit.bytes, 100 * mib);
    EXPECT_EQ(hak_os_limit_headroom(root, &limit), 60 * mib);
    end();
    begin();
    group_v1(V1, "104857600\n", "41943040\n");
    EXPECT_EQ(hak_os_limit_find_at_top(root, &limit), 0);
    EXPECT_EQ(limit.bytes, 100 * mib);
    EXPECT_EQ(limit.version, HAK_CGROUP_V1);
    group_v1(V1, NONE_V1, "41943040\n");
    EXPECT_EQ(hak_os_limit_find_at_top(root, &limit), -ENOENT);
    end();
}

static void this_machine(void)
{
    struct hak_os_limit limit;
    int slash = hak_os_open_folder("/");
    REQUIRE(slash >= 0);
    int result = hak_os_limit_find(slash, &limit);
    if (result == 0) {
        tap_note("%s: %zu bytes", limit.path, limit.bytes);
        EXPECT_LE(hak_os_limit_headroom(slash, &limit), INT64_MAX - 1);
    } else {
        tap_note("no limit here: %d", result);
        EXPECT_LE(result, -1);
        EXPECT_EQ(hak_os_limit_headroom(slash, &limit), INT64_MAX);
    }
    hak_os_close(slash);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"version 2: the lower one of max and high", version_2},
        {"no limit is told as -ENOENT", no_limit},
        {"the lowest limit up to the mount counts", ancestors},
        {"version 1: the group of the controller memory", version_1},
        {"version 2 beside version 1: who has the controller", hybrid},
        {"a path from outside of the container: the mount's own folder", containers},
        {"garbage is no limit, and hides none", garbage},
        {"garbage in the list of groups is no group", garbage_of_groups},
        {"huge numbers are clamped", huge},
        {"files that change and vanish", vanishing},
        {"page cache that is not in use counts as room", page_cache},
        {"paths are whole or refused", long_paths},
        {"a list of groups that is cut", long_lists},
        {"a group that may not be entered", not_entered},
        {"errno and descriptors stay as they were", leaves_nothing},
        {"the group at the top of the mount", at_the_top},
        {"this machine", this_machine},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
