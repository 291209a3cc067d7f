/* SPDX-License-Identifier: MIT */
/* experimental.utilization.*: how full the slabs around objects are, in jemalloc's form. Addresses
 * go in; for each address the figures of its slab come out: free objects, all objects, bytes. Any
 * thread. */
#include "compat/utilization.h"

#include <errno.h>
#include <string.h>

#include "hakmem.h"

enum {
    SLAB_UNIT = 64 * 1024, /* slabs are whole units; less than one object of each is unused */
};

/* What a batch query gives for each address. */
struct slab {
    size_t free_objects;
    size_t objects;
    size_t bytes;
};

/* What a query of one address gives. */
struct slab_and_class {
    void *current; /* jemalloc's slab in use; hakmem has none: NULL */
    struct slab slab;
    size_t class_free_objects;
    size_t class_objects;
};

/* A large object is one of one; a pointer to no object gives zeroes. */
static struct slab_and_class look_at(const void *object)
{
    struct hakmem_page_use use;
    struct slab_and_class told = {0};
    int saved = errno;
    if (hakmem_page_utilisation(object, &use, sizeof use) >= 0) {
        size_t bytes = use.slab_objects * use.object_size;
        told.slab = (struct slab){use.slab_free, use.slab_objects,
                                  (bytes + SLAB_UNIT - 1) / SLAB_UNIT * SLAB_UNIT};
        told.class_free_objects = use.class_free;
        told.class_objects = use.class_objects;
    } else if (errno == ENOENT) {
        told.slab = (struct slab){0, 1, hakmem_usable_size((void *)object)};
    }
    errno = saved;
    return told;
}

int hak_utilization_query(void *old, size_t *old_size, const void *fresh, size_t fresh_size)
{
    const void *object;
    if (old == NULL || old_size == NULL || *old_size != sizeof(struct slab_and_class) ||
        fresh == NULL || fresh_size != sizeof object)
        return EINVAL;
    memcpy(&object, fresh, sizeof object);
    struct slab_and_class told = look_at(object);
    memcpy(old, &told, sizeof told);
    return 0;
}

int hak_utilization_batch_query(void *old, size_t *old_size, const void *fresh, size_t fresh_size)
{
    const void *object;
    size_t count = fresh_size / sizeof object;
    if (old == NULL || old_size == NULL || fresh == NULL || count == 0 ||
        fresh_size % sizeof object != 0 || *old_size != count * sizeof(struct slab))
        return EINVAL;
    for (size_t i = 0; i < count; i++) {
        memcpy(&object, (const char *)fresh + i * sizeof object, sizeof object);
        struct slab slab = look_at(object).slab;
        memcpy((char *)old + i * sizeof slab, &slab, sizeof slab);
    }
    return 0;
}
