/* SPDX-License-Identifier: MIT */
/* Reports a bad free or realloc: one line with function, pointer and reason, and abort, unless the
 * option says otherwise. Any thread; several may report at once, since a line is one write. */
#include "api/misuse.h"

#include <errno.h>
#include <stdlib.h>

#include "api/options.h"
#include "os/print.h"
#include "tiers/size_class.h"

static const char *const reasons[] = {
    [HAK_MISUSE_FOREIGN] = "hakmem did not allocate it",
    [HAK_MISUSE_INTERIOR] = "it points into hakmem's memory, but not to the start of an object",
    [HAK_MISUSE_FREED] = "it seems to have been freed already",
    [HAK_MISUSE_HEAP] = "it belongs to another heap",
    [HAK_MISUSE_WRITTEN] = "it was written to after it had been freed, or freed twice",
    [HAK_MISUSE_SIZE] = "it is an object of another size",
};

bool hak_misuse_catches_empty;

void hak_misuse_start(void)
{
    enum hak_misuse_choice choice = hak_options.misuse;
    if (choice == HAK_MISUSE_CHOICE_WARN || choice == HAK_MISUSE_CHOICE_IGNORE)
        return;
    hak_misuse_catches_empty = true;
    hak_size_class_hide_empty();
}

void hak_misuse(const char *function, const void *pointer, enum hak_misuse what)
{
    enum hak_misuse_choice choice = hak_options.misuse;
    if (choice == HAK_MISUSE_CHOICE_IGNORE)
        return;
    char buffer[256];
    struct hak_writer writer = hak_writer_to_stderr(buffer, sizeof buffer);
    hak_put(&writer, "hakmem: %s(%p): invalid pointer: %s%s\n", function, pointer, reasons[what],
            choice == HAK_MISUSE_CHOICE_WARN ? "; ignored" : "");
    hak_writer_flush(&writer);
    if (choice != HAK_MISUSE_CHOICE_WARN)
        abort();
}

static enum hak_misuse misuse_of(enum hak_found found)
{
    switch (found) {
    case HAK_FOUND_INTERIOR:
        return HAK_MISUSE_INTERIOR;
    case HAK_FOUND_OVERWRITTEN:
        return HAK_MISUSE_WRITTEN;
    default:
        return HAK_MISUSE_FREED;
    }
}

/* The reports name free, whichever call found the objects: free had passed the pointers. */
void hak_misuse_tell_found(void)
{
    const void *object;
    enum hak_found found;
    int saved = errno;
    while ((found = hak_found_take(&object)) != HAK_FOUND_NOTHING)
        hak_misuse("free", object, misuse_of(found));
    errno = saved;
}
