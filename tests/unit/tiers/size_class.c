/* SPDX-License-Identifier: MIT */
/* tiers/size_class.c: every size, class and byte of a slab, against plain arithmetic. */
#include "tiers/size_class.h"

#include "tests/lib/tap.h"
#include "tiers/page_map.h"
#include "tiers/slab.h"

enum { PARTS = HAK_CLASSES_PER_DOUBLING, LINE = 64 };

/* The rule of the header, written a second time: first a class for each step, then a number for
 * each doubling, above that a line longer; then the powers of two. It also holds for other numbers
 * than those of the header. */
static unsigned list_sizes(unsigned sizes[HAK_CLASS_COUNT])
{
    unsigned count = 0;
    sizes[count++] = 0;
    for (unsigned size = HAK_CLASS_STEP; size <= HAK_CLASS_LINEAR_MAX; size += HAK_CLASS_STEP)
        sizes[count++] = size;
    for (unsigned doubling = HAK_CLASS_LINEAR_MAX; doubling < HAK_MID_MAX; doubling *= 2)
        for (unsigned part = 1; part <= PARTS && count < HAK_CLASS_COUNT; part++) {
            unsigned size = doubling + doubling / PARTS * part;
            sizes[count++] = size < HAK_CLASS_SPREAD_MIN ? size : size + LINE;
        }
    for (unsigned size = HAK_CLASS_SPREAD_MIN; size <= HAK_MID_MAX && count < HAK_CLASS_COUNT;
         size *= 2)
        sizes[count++] = size;
    return count;
}

static void classes_follow_the_rule(void)
{
    unsigned sizes[HAK_CLASS_COUNT];
    EXPECT_EQ(hak_size_class(100), 0); /* before start everything is slow */
    hak_size_class_start();
    hak_size_class_start();
    EXPECT_EQ(list_sizes(sizes), HAK_CLASS_COUNT);
    for (unsigned class_id = 0; class_id < HAK_CLASS_COUNT; class_id++)
        EXPECT_EQ(hak_classes[class_id].size, sizes[class_id]);
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        EXPECT_EQ(sizes[class_id] % HAK_CLASS_STEP, 0);
        if (class_id <= HAK_CLASS_MID_LAST && sizes[class_id] > HAK_CLASS_SPREAD_MIN)
            EXPECT_EQ(sizes[class_id] / LINE % 2, 1);
    }
    EXPECT_EQ(hak_classes[HAK_CLASS_TINY_LAST].size, HAK_TINY_MAX);
    EXPECT_EQ(hak_classes[HAK_CLASS_MID_LAST].size, HAK_MID_MAX + LINE);
    EXPECT_EQ(hak_classes[HAK_CLASS_LAST].size, HAK_MID_MAX);
    EXPECT_EQ(hak_classes[0].bundle, 0); /* class 0 has neither objects nor room */
}

static void smallest_class_that_fits(void)
{
    hak_size_class_start();
    for (size_t size = 0; size <= HAK_MID_MAX; size++) {
        unsigned class_id = hak_size_class(size);
        REQUIRE(class_id >= 1 && class_id <= HAK_CLASS_MID_LAST);
        EXPECT_GE(hak_classes[class_id].size, size);
        if (class_id > 1)
            EXPECT_LE(hak_classes[class_id - 1].size + 1, size);
        if (size > HAK_CLASS_LINEAR_MAX)
            EXPECT_LE((hak_classes[class_id].size - size) * PARTS, hak_classes[class_id].size);
    }
}

static unsigned search_aligned(size_t size, size_t alignment)
{
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        unsigned object = hak_classes[class_id].size;
        if (object >= size && object % alignment == 0)
            return class_id;
    }
    return HAK_CLASS_NONE;
}

static void aligned_classes(void)
{
    hak_size_class_start();
    for (size_t alignment = 1; alignment <= 4 * HAK_MID_MAX; alignment *= 2)
        for (size_t size = 0; size <= HAK_MID_MAX + 40; size += size < 2200 ? 1 : 61)
            EXPECT_EQ(hak_size_class_aligned(size, alignment), search_aligned(size, alignment));
    EXPECT_EQ(hak_size_class_aligned(HAK_MID_MAX, HAK_MID_MAX), HAK_CLASS_LAST);
    for (size_t size = 1; size <= HAK_MID_MAX; size *= 2) /* pages and the like lose nothing */
        EXPECT_LE(hak_classes[hak_size_class_aligned(size, size)].size, size < 16 ? 16 : size);
    EXPECT_EQ(hak_size_class_aligned((size_t)-1, 16), HAK_CLASS_NONE);
    EXPECT_EQ(hak_size_class_aligned(16, (size_t)1 << 63), HAK_CLASS_NONE);
}

static void slabs_and_bundles(void)
{
    hak_size_class_start();
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        const struct hak_class *class = &hak_classes[class_id];
        unsigned bytes = class->slab_pages * HAK_PAGE_SIZE;
        EXPECT(class->slab_pages == 1 || class->slab_pages == 2 || class->slab_pages == 4 ||
               class->slab_pages == 8);
        EXPECT_EQ(class->capacity, bytes / class->size);
        EXPECT_LE(class->capacity, HAK_SLAB_WORDS * 64);
        EXPECT_GE(class->capacity, 8);
        EXPECT_LE((bytes - class->capacity * class->size) * 16, bytes);
        EXPECT_LE(class->bundle, 64);
        EXPECT_GE(class->bundle, 4);
        EXPECT_LE(class->bundle * class->size, 16 * HAK_MID_MAX + 16 * LINE);
    }
}

/* Every byte of a slab: the multiplication finds the object that begins there, if one does, and
 * never makes an inner byte pass for a beginning. (For an object's last bytes it may name the next
 * object: it is no division.) */
static void reciprocals_find_objects(void)
{
    hak_size_class_start();
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        const struct hak_class *class = &hak_classes[class_id];
        uint32_t index = 0;
        uint32_t rest = 0;
        unsigned wrong = 0;
        for (uint64_t offset = 0; offset < class->slab_pages * (uint64_t)HAK_PAGE_SIZE; offset++) {
            uint64_t found = offset * class->reciprocal >> 32;
            wrong += rest == 0 ? found != index : found * class->size == offset;
            if (++rest == class->size) {
                rest = 0;
                index++;
            }
        }
        EXPECT_EQ(wrong, 0);
    }
}

/* Last: it cannot be undone. */
static void classes_can_be_hidden(void)
{
    uint8_t before[HAK_MID_MAX + 1];
    for (size_t size = 0; size <= HAK_MID_MAX; size++)
        before[size] = (uint8_t)hak_size_class(size);
    unsigned aligned = hak_size_class_aligned(100, 64);
    hak_size_class_hide_empty();
    EXPECT_EQ(hak_size_class(0), HAK_CLASS_NONE);
    EXPECT_EQ(hak_size_class(1), 1);
    EXPECT_EQ(hak_size_class_known(0), 1);
    EXPECT_EQ(hak_size_class_hide(), 0);
    unsigned wrong = 0;
    for (size_t size = 0; size <= HAK_MID_MAX; size++)
        wrong +=
            hak_size_class(size) != HAK_CLASS_NONE || hak_size_class_known(size) != before[size];
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(hak_size_class_aligned(100, 64), aligned);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"classes follow the rule", classes_follow_the_rule},
        {"each size has the smallest class that fits", smallest_class_that_fits},
        {"alignment is given by the class", aligned_classes},
        {"slabs and bundles add up", slabs_and_bundles},
        {"reciprocals find every object and no other", reciprocals_find_objects},
        {"classes can be hidden from the fast paths", classes_can_be_hidden},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
