/* SPDX-License-Identifier: MIT */
/* Sets of ids; reads and writes them as lists. Any thread, on a set of its own. */
#include "topology/cpu_set.h"

#include <errno.h>
#include <string.h>

#include "os/bits.h"

unsigned hak_cpu_set_next(const struct hak_cpu_set *set, unsigned from)
{
    if (from >= HAK_CPU_SET_MAX)
        return HAK_CPU_SET_MAX;
    unsigned at = from / 64;
    uint64_t word = set->words[at] & (UINT64_MAX << (from % 64));
    while (word == 0) {
        if (++at == HAK_CPU_SET_WORDS)
            return HAK_CPU_SET_MAX;
        word = set->words[at];
    }
    return at * 64 + hak_lowest_bit(word);
}

unsigned hak_cpu_set_count(const struct hak_cpu_set *set)
{
    unsigned count = 0;
    for (unsigned i = 0; i < HAK_CPU_SET_WORDS; i++)
        count += hak_bit_count(set->words[i]);
    return count;
}

/* Reads a number at *at and moves behind it; clamps numbers that are too large to matter. */
static int read_id(const char **at, unsigned *id)
{
    const char *from = *at;
    unsigned value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        value = value * 10 + (unsigned)(**at - '0');
        if (value > 1000000)
            value = 1000000;
    }
    *id = value;
    return *at == from ? -EINVAL : 0;
}

int hak_cpu_set_parse(struct hak_cpu_set *set, const char *list)
{
    memset(set, 0, sizeof(*set));
    if (*list == '\0' || *list == '\n')
        return 0;
    for (;;) {
        unsigned first;
        if (read_id(&list, &first) != 0)
            return -EINVAL;
        unsigned last = first;
        if (*list == '-') {
            list++;
            if (read_id(&list, &last) != 0 || last < first)
                return -EINVAL;
        }
        for (unsigned id = first; id <= last && id < HAK_CPU_SET_MAX; id++)
            hak_cpu_set_add(set, id);
        if (*list == '\0' || *list == '\n')
            return 0;
        if (*list++ != ',')
            return -EINVAL;
    }
}

void hak_cpu_set_put(struct hak_writer *writer, const struct hak_cpu_set *set)
{
    const char *comma = "";
    unsigned first = hak_cpu_set_next(set, 0);
    while (first < HAK_CPU_SET_MAX) {
        unsigned last = first;
        while (hak_cpu_set_has(set, last + 1))
            last++;
        if (last == first)
            hak_put(writer, "%s%u", comma, first);
        else
            hak_put(writer, "%s%u-%u", comma, first, last);
        comma = ",";
        first = hak_cpu_set_next(set, last + 1);
    }
}
