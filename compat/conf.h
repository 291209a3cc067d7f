/* SPDX-License-Identifier: MIT */
/* The options of jemalloc: malloc_conf and MALLOC_CONF. */
#ifndef HAK_COMPAT_CONF_H
#define HAK_COMPAT_CONF_H

#include "compat/value.h"

enum hak_conf_key {
#define CONF(key, type, default_text, effect) HAK_CONF_##key,
#include "compat/conf.def"
#undef CONF
    HAK_CONF_KEYS
};

/* The options in force. */
union hak_value hak_conf_value(unsigned key);

#endif
