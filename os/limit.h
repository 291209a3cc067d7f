/* SPDX-License-Identifier: MIT */
/* The memory limit of the process's cgroup, and how far it is away. Any thread, also inside malloc:
 * raw system calls, less than 4 KiB of stack, errno untouched, nothing kept between calls. */
#ifndef HAK_OS_LIMIT_H
#define HAK_OS_LIMIT_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Kubernetes within Kubernetes takes some 400 */
    HAK_LIMIT_PATH = 512
};

/* Which files a group has. */
enum hak_os_cgroup {
    HAK_CGROUP_NONE,
    HAK_CGROUP_V1,
    HAK_CGROUP_V2,
};

/* The group whose limit counts; constant once it is found. All zero: none. */
struct hak_os_limit {
    enum hak_os_cgroup version;
    unsigned length;           /* of the path */
    size_t bytes;              /* the limit when it was found */
    char path[HAK_LIMIT_PATH]; /* of the group's folder, below root */
};

/* Finds the lowest limit among the process's group and those above it; of equal ones the uppermost,
 * which counts most memory. `root` is the folder that stands for / (hak_os_open_folder), or
 * HAK_OS_HERE for / itself. 0, or
 * -ENOENT: no limit in force (none set, or above 2^60); -ENAMETOOLONG: a path or a list of groups
 * too long for us; -EINVAL: files that we do not understand; or another -errno. `limit` is all zero
 * unless 0 is returned. */
int hak_os_limit_find(int root, struct hak_os_limit *limit);

/* The same of the group at the top of what is mounted, and of no other: in a container that is the
 * container's, elsewhere there is none. Opens three files, of which the last mostly is the only one
 * that exists. */
int hak_os_limit_find_at_top(int root, struct hak_os_limit *limit);

/* Bytes that may still be used before the limit is reached (the lower one of memory.max and
 * memory.high as they stand now), negative above it. Page cache that the kernel would drop first
 * counts as unused. INT64_MAX when it cannot be told (any more), or the limit has been lifted. */
int64_t hak_os_limit_headroom(int root, const struct hak_os_limit *limit);

#endif
