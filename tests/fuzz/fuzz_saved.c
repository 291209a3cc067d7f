/* SPDX-License-Identifier: MIT */
/* The learner's file: any text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "learn/learner_saved.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct hak_learn_saved saved;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size != 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    memset(&saved, 0, sizeof saved);
    hak_learn_parse(&saved, text);
    free(text);
    return 0;
}
