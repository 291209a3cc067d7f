/* SPDX-License-Identifier: MIT */
/* Parses HAKMEM_TOPOLOGY. Any thread. */
#include "topology/wish.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/compiler.h"

int hak_wish_parse(const char *text, struct hak_wish *wish)
{
    static const struct {
        const char *word; /* a word that ends in a colon needs a value */
        enum hak_topology_way way;
    } words[] = {
        {"auto", HAK_WAY_AUTO},   {"sysfs", HAK_WAY_SYSFS},
        {"hwloc", HAK_WAY_HWLOC}, {"synthetic:", HAK_WAY_SYNTHETIC},
        {"xml:", HAK_WAY_XML},
    };
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(words); i++) {
        size_t length = strlen(words[i].word);
        int wants_more = words[i].word[length - 1] == ':';
        if (strncmp(text, words[i].word, length) != 0 || (text[length] != '\0') != wants_more)
            continue;
        wish->way = words[i].way;
        wish->text = wants_more ? text + length : NULL;
        return 0;
    }
    return -EINVAL;
}
