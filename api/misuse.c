/* SPDX-License-Identifier: MIT */
/* What a bad free or realloc meets: a line that names function, pointer and reason, and the end
 * of the program unless the option says otherwise. Any thread, at once too: a line is one write. */
#include "api/misuse.h"

#include <stdlib.h>

#include "api/options.h"
#include "os/print.h"

static const char *const reasons[] = {
    [HAK_MISUSE_FOREIGN] = "hakmem did not allocate it",
    [HAK_MISUSE_INTERIOR] = "it points into hakmem's memory, but not to the start of an object",
    [HAK_MISUSE_FREED] = "it seems to have been freed already",
};

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
    if (choice == HAK_MISUSE_CHOICE_ABORT)
        abort();
}
