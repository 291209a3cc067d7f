/* SPDX-License-Identifier: MIT */
/* Names and descriptions of the counters, made from the table. Any thread. */
#include "stats/counters.h"

const struct hak_counter_info hak_counter_infos[HAK_COUNTER_COUNT] = {
#define COUNTER(name, unit, kind, sentence) {#name, unit, sentence, HAK_COUNTER_##kind},
#include "stats/counters.def"
#undef COUNTER
};
