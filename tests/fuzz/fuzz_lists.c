/* SPDX-License-Identifier: MIT */
/* Lists of CPUs, requests for domains, the notation of machines: any text. A written list reads as
 * the same list. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topology/cpu_set.h"
#include "topology/discover.h"
#include "topology/domains.h"
#include "topology/hwloc_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char text[8192], written[32768];
    struct hak_cpu_set set, again;
    struct hak_domain_request request;
    struct hak_wish wish;
    size = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (hak_cpu_set_parse(&set, text) == 0) {
        struct hak_writer writer = hak_writer_to_buffer(written, sizeof written);
        hak_cpu_set_put(&writer, &set);
        hak_writer_flush(&writer);
        if (hak_cpu_set_parse(&again, written) != 0 || memcmp(&set, &again, sizeof set) != 0)
            abort();
    }
    hak_domains_parse(text, &request);
    hak_wish_parse(text, &wish);
    hak_hwloc_check_notation(text);
    return 0;
}
