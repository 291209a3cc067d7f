/* SPDX-License-Identifier: MIT */
/* Reads the memory limit from the files of cgroups, version 1 or 2. Any thread; no state.
 *
 *     proc/self/cgroup               N:controller,...:/path for each mount of version 1,
 *                                    0::/path for version 2
 *     sys/fs/cgroup/memory/path/     version 1: memory.{limit_in_bytes,usage_in_bytes,stat}
 *     sys/fs/cgroup/path/            version 2: memory.{max,high,current,stat}
 *     sys/fs/cgroup/unified/path/    version 2 beside version 1; if memory is a controller of
 *                                    version 1, the groups here have no such files
 *
 * A group of version 2 lacks these files where its parent has not enabled the controller. */
#include "os/limit.h"

#include <errno.h>
#include <string.h>

#include "os/compiler.h"
#include "os/file.h"

enum {
    LONGEST_NAME = 32, /* of a file in a group's folder, with its slash */
    NUMBER_TEXT = 32,  /* 2^64 has 20 digits */
    LONG_TEXT = 2560,  /* memory.stat takes some 2000; proc/self/cgroup has 13 lines at most */
};

/* More than any machine has: version 1 writes "none" as 2^63 less a page. */
static const uint64_t highest = 1ull << 60;

/* File names of a group; NULL for a group that was not found. */
struct names {
    const char *limit[2];
    const char *usage;
    const char *inactive; /* line of memory.stat: page cache of the group and those below it */
};

static const struct names names_of[] = {
    [HAK_CGROUP_NONE] = {{NULL, NULL}, NULL, NULL},
    [HAK_CGROUP_V1] = {{"memory.limit_in_bytes", NULL},
                       "memory.usage_in_bytes",
                       "total_inactive_file "},
    [HAK_CGROUP_V2] = {{"memory.max", "memory.high"}, "memory.current", "inactive_file "},
};

/* A group's folder, with room for the name of a file in it. */
struct place {
    size_t length; /* less than HAK_LIMIT_PATH */
    char path[HAK_LIMIT_PATH + LONGEST_NAME];
};

/* Reads a file of the group as hak_os_read_file does. */
static long read_text(int root, struct place *place, const char *name, char *text, size_t capacity)
{
    place->path[place->length] = '/';
    memcpy(place->path + place->length + 1, name, strlen(name) + 1);
    long length = hak_os_read_file(root, place->path, text, capacity);
    place->path[place->length] = '\0';
    return length;
}

/* A line of digits; a number that is too large becomes UINT64_MAX. 0 or -EINVAL. */
static int parse_number(const char *text, uint64_t *number)
{
    const char *at = text;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    *number = value;
    return at != text && (*at == '\n' || *at == '\0') ? 0 : -EINVAL;
}

/* Reads a file that holds a number, or "max": UINT64_MAX. 0 or -errno. */
static int read_number(int root, struct place *place, const char *name, uint64_t *number)
{
    char text[NUMBER_TEXT];
    long length = read_text(root, place, name, text, sizeof(text));
    if (length < 0)
        return (int)length;
    if (strcmp(text, "max\n") != 0 && strcmp(text, "max") != 0)
        return parse_number(text, number);
    *number = UINT64_MAX;
    return 0;
}

/* The limit of one group, UINT64_MAX if it has none. 0; -ENOENT if it has no such files (without
 * the first there is no second); or -errno. */
static int read_limit(int root, struct place *place, const struct names *names, uint64_t *limit)
{
    int error = -ENOENT;
    *limit = UINT64_MAX;
    for (size_t file = 0; file < HAK_ARRAY_LENGTH(names->limit); file++) {
        if (names->limit[file] == NULL)
            continue;
        uint64_t number;
        int failed = read_number(root, place, names->limit[file], &number);
        if (failed == -ENOENT)
            break;
        if (failed != 0)
            error = failed;
        else if (error == -ENOENT)
            error = 0;
        if (failed == 0 && number < *limit)
            *limit = number;
    }
    return *limit <= highest ? 0 : error;
}

static void step_up(struct place *place)
{
    while (place->path[--place->length] != '/')
        continue;
    place->path[place->length] = '\0';
}

static void cut_to(struct place *place, size_t length)
{
    place->length = length;
    place->path[length] = '\0';
}

/* Whether a limit of the group whose path has `upper` bytes applies to `own`, below it: in old
 * kernels a group of version 1 may have no power over its descendants. */
static int holds_for(int root, const struct place *own, size_t upper)
{
    char text[NUMBER_TEXT];
    struct place at = *own;
    while (at.length > upper) {
        step_up(&at);
        if (read_text(root, &at, "memory.use_hierarchy", text, sizeof(text)) >= 0 && text[0] == '0')
            return 0;
    }
    return 1;
}

/* Whether the folder exists; one that may not be listed does. */
static int exists(int root, const struct place *place)
{
    char text[1]; /* no room: the file is opened, not read */
    long length = hak_os_read_file(root, place->path, text, sizeof(text));
    return length != -ENOENT && length != -ENOTDIR;
}

static void note(struct hak_os_limit *limit, const struct place *place, enum hak_os_cgroup version,
                 uint64_t bytes)
{
    limit->version = version;
    limit->bytes = bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
    limit->length = (unsigned)place->length;
    memcpy(limit->path, place->path, place->length + 1);
}

/* The lowest limit from `own` up to the root of the mount, whose path has `mount_length` bytes. An
 * unreadable file is an error only if no limit was found. Without a limit this reads one file a
 * group (version 2: two): every process does it at start. */
static int find_lowest(int root, const struct place *own, size_t mount_length,
                       enum hak_os_cgroup version, struct hak_os_limit *limit)
{
    uint64_t lowest = highest;
    int error = -ENOENT;
    struct place place = *own;
    for (;; step_up(&place)) {
        uint64_t here;
        int failed = read_limit(root, &place, &names_of[version], &here);
        /* A container may see its path as the host does. */
        if (failed == -ENOENT && place.length == own->length && place.length > mount_length &&
            !exists(root, &place)) {
            cut_to(&place, mount_length);
            failed = read_limit(root, &place, &names_of[version], &here);
        } else if (failed == 0 && here <= lowest && !holds_for(root, own, place.length)) {
            break;
        }
        if (failed == 0 && here <= lowest) {
            lowest = here;
            note(limit, &place, version, here);
        } else if (failed != 0 && failed != -ENOENT) {
            error = failed;
        }
        if (place.length <= mount_length)
            break;
    }
    return limit->version != HAK_CGROUP_NONE ? 0 : error;
}

/* Whether a path leaves the mount: the group is then outside of our namespace's view. */
static int leads_out(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")) != NULL; at += 3) {
        if (at[3] == '/' || at[3] == '\0')
            return 1;
    }
    return 0;
}

/* The lowest limit for the group `path` of a mount. A container sees its own group as the mount's
 * root folder, but may be told the host's path. Then no part of that path counts, even if its first
 * folders exist here for another reason. */
static int find_in_mount(int root, const char *mount, const char *path, enum hak_os_cgroup version,
                         struct hak_os_limit *limit)
{
    struct place place;
    size_t mount_length = strlen(mount);
    size_t path_length = path[1] != '\0' ? strlen(path) : 0; /* the root group is "/" */
    place.length = mount_length + path_length;
    if (place.length >= HAK_LIMIT_PATH)
        return -ENAMETOOLONG;
    memcpy(place.path, mount, mount_length);
    memcpy(place.path + mount_length, path, path_length);
    place.path[place.length] = '\0';
    if (leads_out(path))
        cut_to(&place, mount_length);
    return find_lowest(root, &place, mount_length, version, limit);
}

/* Whether a comma-separated list that ends before `end` contains a word. */
static int has_word(const char *list, const char *end, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if ((size_t)(stop - at) == length && memcmp(at, word, length) == 0)
            return 1;
        at = stop + 1;
    }
    return 0;
}

/* What a line of proc/self/cgroup says of memory; *path points into it. */
static enum hak_os_cgroup parse_line(const char *line, const char **path)
{
    const char *list = strchr(line, ':');
    const char *end = list != NULL ? strchr(list + 1, ':') : NULL;
    if (end == NULL || end[1] != '/')
        return HAK_CGROUP_NONE;
    *path = end + 1;
    if (has_word(list + 1, end, "memory"))
        return HAK_CGROUP_V1;
    return strncmp(line, "0::", 3) == 0 ? HAK_CGROUP_V2 : HAK_CGROUP_NONE;
}

/* The group whose limit counts; cuts the text into lines. If memory is a controller of version 1,
 * version 2 has no limit for it. */
static enum hak_os_cgroup find_group(char *text, const char **path)
{
    enum hak_os_cgroup version = HAK_CGROUP_NONE;
    const char *seen = NULL;
    for (char *line = text; *line != '\0' && version != HAK_CGROUP_V1;) {
        char *end = line + strcspn(line, "\n");
        char *next = *end == '\n' ? end + 1 : end;
        *end = '\0';
        enum hak_os_cgroup found = parse_line(line, &seen);
        if (found != HAK_CGROUP_NONE) {
            version = found;
            *path = seen;
        }
        line = next;
    }
    return version;
}

/* Removes an incomplete last line. */
static void drop_open_line(char *text)
{
    char *last = strrchr(text, '\n');
    *(last != NULL ? last + 1 : text) = '\0';
}

int hak_os_limit_find(int root, struct hak_os_limit *limit)
{
    char text[LONG_TEXT];
    memset(limit, 0, sizeof(*limit));
    size_t relative = root != HAK_OS_HERE; /* then without the slash */
    long length = hak_os_read_file(root, &"/proc/self/cgroup"[relative], text, sizeof(text));
    if (length < 0)
        return (int)length;
    int whole = length < (long)sizeof(text) - 1;
    if (!whole)
        drop_open_line(text);
    const char *path = NULL;
    enum hak_os_cgroup version = find_group(text, &path);
    if (version == HAK_CGROUP_V1)
        return find_in_mount(root, &"/sys/fs/cgroup/memory"[relative], path, version, limit);
    if (!whole)
        return -ENAMETOOLONG;
    if (version == HAK_CGROUP_NONE)
        return -ENOENT;
    int error = find_in_mount(root, &"/sys/fs/cgroup"[relative], path, version, limit);
    if (error == -ENOENT)
        error = find_in_mount(root, &"/sys/fs/cgroup/unified"[relative], path, version, limit);
    return error;
}

static int find_at_top(int root, const char *mount, enum hak_os_cgroup version,
                       struct hak_os_limit *limit)
{
    struct place place;
    place.length = strlen(mount);
    memcpy(place.path, mount, place.length + 1);
    return find_lowest(root, &place, place.length, version, limit);
}

int hak_os_limit_find_at_top(int root, struct hak_os_limit *limit)
{
    memset(limit, 0, sizeof(*limit));
    size_t relative = root != HAK_OS_HERE; /* then without the slash */
    int error = find_at_top(root, &"/sys/fs/cgroup"[relative], HAK_CGROUP_V2, limit);
    if (error == -ENOENT)
        error = find_at_top(root, &"/sys/fs/cgroup/memory"[relative], HAK_CGROUP_V1, limit);
    return error;
}

/* Inactive page cache of the group; 0 if unknown. */
static uint64_t read_inactive(int root, struct place *place, const char *key)
{
    char text[LONG_TEXT];
    uint64_t number;
    if (read_text(root, place, "memory.stat", text, sizeof(text)) < 0)
        return 0;
    const char *line = text;
    while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
        const char *end = strchr(line, '\n');
        line = end != NULL ? end + 1 : NULL;
    }
    return line != NULL && parse_number(line + strlen(key), &number) == 0 ? number : 0;
}

int64_t hak_os_limit_headroom(int root, const struct hak_os_limit *limit)
{
    const struct names *names = &names_of[limit->version];
    struct place place;
    place.length = limit->length;
    memcpy(place.path, limit->path, place.length + 1);
    uint64_t most;
    uint64_t used;
    if (read_limit(root, &place, names, &most) != 0 || most > highest ||
        read_number(root, &place, names->usage, &used) != 0 || used > highest)
        return INT64_MAX;
    uint64_t inactive = read_inactive(root, &place, names->inactive);
    used = inactive < used ? used - inactive : 0;
    return (int64_t)most - (int64_t)used;
}
