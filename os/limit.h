/* SPDX-License-Identifier: MIT */
/* The memory limit of the process's cgroup, and the room left below it. Any thread, also inside
 * malloc: raw system calls, less than 4 KiB of stack, errno untouched, no state between calls. */
#ifndef HAK_OS_LIMIT_H
#define HAK_OS_LIMIT_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Kubernetes within Kubernetes needs about 400 */
    HAK_LIMIT_PATH = 512
};

/* Which files a group has. */
enum hak_os_cgroup {
    HAK_CGROUP_NONE,
    HAK_CGROUP_V1,
    HAK_CGROUP_V2,
};

/* The group whose limit counts; constant once found. All zero: none. */
struct hak_os_limit {
    enum hak_os_cgroup version;
    unsigned length;           /* of the path */
    size_t bytes;              /* the limit when it was found */
    char path[HAK_LIMIT_PATH]; /* of the group's folder, below root */
};

/* Finds the lowest limit among the process's group and its ancestors; of equal limits the
 * uppermost, whose group counts the most memory. `root` is the folder that stands for /
 * (hak_os_open_folder), or HAK_OS_HERE for / itself. Returns 0, or -ENOENT: no limit set, or one
 * above 2^60; -ENAMETOOLONG: a path or a list of groups is too long; -EINVAL: a file has an unknown
 * form; or another -errno. `limit` is all zero unless 0 is returned. */
int hak_os_limit_find(int root, struct hak_os_limit *limit);

/* The same for the root group of the mount alone: in a container that is the container's group;
 * elsewhere it has no limit. Opens at most three files. */
int hak_os_limit_find_at_top(int root, struct hak_os_limit *limit);

/* Bytes left before the limit (the lower of the current memory.max and memory.high), negative above
 * it. Page cache that the kernel would drop first counts as unused. INT64_MAX if it is unknown or
 * the limit was lifted. */
int64_t hak_os_limit_headroom(int root, const struct hak_os_limit *limit);

#endif
