/* SPDX-License-Identifier: MIT */
/* Messages about the library, on stderr and only if an option asks for them. */
#include "api/inform.h"

#include "api/control.h"
#include "api/machine.h"
#include "api/options.h"
#include "os/print.h"

void hak_inform_start(void)
{
    if (hak_options.verbose == 0)
        return;
    char text[256];
    char mode[256];
    struct hak_writer writer = hak_writer_to_stderr(text, sizeof text);
    hakmem_mode(mode, sizeof mode);
    hak_put(&writer, "hakmem: %s\n", mode);
    struct hak_machine_facts facts = hak_machine_facts();
    if (hak_options.verbose >= 2 && facts.source != NULL)
        hak_put(&writer, "hakmem: topology from %s: %u CPUs allowed, %u L3s, %u nodes\n",
                facts.source, facts.cpus, facts.l3s, facts.nodes);
    hak_writer_flush(&writer);
}

void hak_inform_exit(void)
{
    if (hak_options.stats != HAK_STATS_CHOICE_NONE)
        hak_print_stats_to_stderr(hak_options.stats == HAK_STATS_CHOICE_JSON ? HAKMEM_JSON
                                                                             : HAKMEM_TEXT);
}
