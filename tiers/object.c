/* SPDX-License-Identifier: MIT */
/* The secret of the links' masks. The starting thread writes it before there is any object. */
#include "tiers/object.h"

uint64_t hak_link_secret;

void hak_link_start(uint64_t secret)
{
    hak_link_secret = secret;
}
