/* SPDX-License-Identifier: MIT */
/* What links are masked with. Written by the starting thread, before there is an object. */
#include "tiers/object.h"

uint64_t hak_link_secret;

void hak_link_start(uint64_t secret)
{
    hak_link_secret = secret;
}
