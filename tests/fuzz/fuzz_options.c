/* SPDX-License-Identifier: MIT */
/* The environment: any strings. The first byte selects an option, a zero byte ends its value.
 * Messages contain no byte that a terminal obeys. */
#include <stdlib.h>
#include <string.h>

#include "api/options.h"

enum { ENTRIES = 8, ENTRY_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char entries[ENTRIES][ENTRY_BYTES];
    char *environment[ENTRIES + 1] = {NULL};
    static struct hak_options options;
    char complaints[4096];
    unsigned count = 0;
    while (size != 0 && count < ENTRIES) {
        const char *name =
            bytes[0] < HAK_OPTION_COUNT_OF_ROWS ? hak_option_rows[bytes[0]].name : "";
        size_t length = strnlen((const char *)bytes + 1, size - 1);
        size_t kept = length < 200 ? length : 200;
        strcpy(entries[count], "HAKMEM_");
        strcat(entries[count], name);
        if (*name != '\0')
            strcat(entries[count], "=");
        strncat(entries[count], (const char *)bytes + 1, kept);
        environment[count] = entries[count];
        count++;
        size -= length + 1;
        bytes += length + 1;
        if (size != 0) {
            size--;
            bytes++;
        }
    }
    struct hak_writer writer = hak_writer_to_buffer(complaints, sizeof complaints);
    hak_options_read(&options, environment, &writer);
    hak_writer_flush(&writer);
    for (const char *at = complaints; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if ((byte < ' ' && byte != '\n') || (byte >= 0x7f && byte <= 0x9f))
            abort();
    }
    return 0;
}
