/* SPDX-License-Identifier: MIT */
/* A recorded machine: any bytes. A text that was written again is accepted once more, and stays as
 * it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topology/hwloc_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char once[1 << 16], twice[1 << 16];
    struct hak_writer writer = hak_writer_to_buffer(once, sizeof once);
    /* of its own, so that a byte read too far is noticed */
    char *text = malloc(size != 0 ? size : 1);
    if (text == NULL)
        return 0;
    if (size != 0)
        memcpy(text, bytes, size);
    int refused = hak_hwloc_clean_xml(text, size, &writer);
    free(text);
    if (refused != 0)
        return 0;
    struct hak_writer again = hak_writer_to_buffer(twice, sizeof twice);
    if (hak_hwloc_clean_xml(once, strlen(once), &again) != 0 || strcmp(once, twice) != 0)
        abort();
    return 0;
}
