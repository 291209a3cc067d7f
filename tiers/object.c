/* SPDX-License-Identifier: MIT */
/* The secret of the links' masks. The starting thread writes it before there is any object; every
 * pop reads it, so no thread writes to its line. */
#include "tiers/object.h"

HAK_EARLY uint64_t hak_link_secret __attribute__((aligned(HAK_CACHE_LINE)));

void hak_link_start(uint64_t secret)
{
    hak_link_secret = secret;
}
