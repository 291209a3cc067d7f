/* SPDX-License-Identifier: MIT */
/* What the renderings of a report share. One thread a report. */
#include "stats/report.h"

void hak_report_put_name(struct hak_writer *writer, const char *name)
{
    for (; *name != '\0'; name++) {
        char byte = *name;
        if (byte >= 'A' && byte <= 'Z')
            byte = (char)(byte - 'A' + 'a');
        hak_put_bytes(writer, &byte, 1);
    }
}

/* Text that is not ASCII may come from another process's page, and need not be UTF-8. */
void hak_report_put_string(struct hak_writer *writer, const char *text)
{
    hak_put_text(writer, "\"");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            hak_put(writer, "\\%c", byte);
        else
            hak_put(writer, "%c", byte < 0x20 || byte >= 0x7f ? '?' : byte);
    }
    hak_put_text(writer, "\"");
}

/* Figures that combine counters. A free whose object stays in the front, or is handed out again, is
 * counted nowhere. So these figures cover only the objects that came back from fronts: in the end
 * every foreign free, and of the frees at home those that the front did not use again. */
static uint64_t back_objects(const struct hak_snapshot *counters)
{
    return counters->value[HAK_COUNTER_FLUSH_OBJECTS] +
           counters->value[HAK_COUNTER_FOREIGN_FLUSHED];
}

static uint64_t back_remote_percent(const struct hak_snapshot *counters)
{
    double remote = (double)counters->value[HAK_COUNTER_FOREIGN_FLUSHED];
    uint64_t all = back_objects(counters);
    double percent = all != 0 ? remote * 100 / (double)all + 0.5 : 0;
    return percent < 100 ? (uint64_t)percent : 100;
}

const struct hak_counter_info hak_report_derived[HAK_REPORT_DERIVED] = {
    {"BACK_OBJECTS", "objects", "Objects that fronts here gave back", HAK_COUNTER_SUM},
    {"BACK_REMOTE", "percent", "Share of these that belongs to other shards", HAK_COUNTER_GAUGE},
};

uint64_t hak_report_derive(const struct hak_snapshot *counters, unsigned derived)
{
    return derived == 0 ? back_objects(counters) : back_remote_percent(counters);
}

int hak_report_has_class(const uint64_t *figures)
{
    return figures[HAK_CLASS_FIGURE_SLABS] != 0 || figures[HAK_CLASS_FIGURE_REFILLED] != 0 ||
           figures[HAK_CLASS_FIGURE_IN_FRONTS] != 0;
}
