/* SPDX-License-Identifier: MIT */
/* hakmem learn: what the learner decided, what that cost, and what each arm would have cost, from a
 * log of HAKMEM_LEARN_LOG. The script does all the work. One thread. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/commands.h"

int hak_command_learn(int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 1, sizeof *arguments);
    if (arguments == NULL) {
        perror("hakmem: learn");
        return HAK_STATUS_FAILED;
    }
    for (int i = 0; i < argc; i++)
        arguments[i] = argv[i];
    int status = hak_run_script("pictures.py", arguments);
    free(arguments);
    return status;
}
