/* SPDX-License-Identifier: MIT */
/* hakmem learn: what the learner decided, what that cost, and what each arm would have cost, from
 * the log of HAKMEM_LEARN_LOG. One thread. */
#include "tools/learn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"

struct call {
    const char *log;
    const char *svg; /* file of the picture, or NULL */
    int is_json;
};

/* 0, or the status of a wrong call. */
static int read_call(struct call *call, int argc, char **argv)
{
    static const char svg[] = "--svg=";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            call->is_json = 1;
        else if (strncmp(argv[i], svg, sizeof svg - 1) == 0)
            call->svg = argv[i] + sizeof svg - 1;
        else if (strcmp(argv[i], "--svg") == 0 && i + 1 < argc)
            call->svg = argv[++i];
        else if (strcmp(argv[i], "--svg") == 0)
            return hak_usage("learn: --svg needs a file", NULL);
        else if (argv[i][0] == '-')
            return hak_usage("learn takes no such argument", argv[i]);
        else if (call->log != NULL)
            return hak_usage("learn takes one log, not this too", argv[i]);
        else
            call->log = argv[i];
    }
    return call->log != NULL ? 0 : hak_usage("learn: no log to read", NULL);
}

/* 0, or -1 and said why. */
static int close_written(FILE *file, const char *name)
{
    int failed = ferror(file);
    errno = failed ? EIO : 0;
    if (fclose(file) == 0 && !failed)
        return 0;
    fprintf(stderr, "hakmem: %s: %s\n", name, strerror(errno));
    return -1;
}

static int draw(const struct hak_replay *replay, const char *name)
{
    FILE *file = fopen(name, "w");
    if (file == NULL) {
        fprintf(stderr, "hakmem: %s: %s\n", name, strerror(errno));
        return -1;
    }
    hak_replay_put_svg(replay, file);
    return close_written(file, name);
}

static int learn(struct hak_replay *replay, const struct call *call)
{
    replay->file = call->log;
    replay->wants_points = call->svg != NULL;
    if (hak_replay_read(replay) != 0)
        return HAK_STATUS_FAILED;
    int failed = replay->malformed > 0;
    if (call->svg != NULL)
        failed |= draw(replay, call->svg) != 0;
    if (call->is_json)
        hak_replay_put_json(replay, stdout);
    else
        hak_replay_put_text(replay, stdout);
    failed |= close_written(stdout, "standard output") != 0;
    return failed ? HAK_STATUS_FAILED : 0;
}

int hak_command_learn(int argc, char **argv)
{
    struct call call = {0};
    int status = read_call(&call, argc, argv);
    if (status != 0)
        return status;
    struct hak_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        perror("hakmem: learn");
        return HAK_STATUS_FAILED;
    }
    status = learn(replay, &call);
    hak_replay_free(replay);
    free(replay);
    return status;
}
