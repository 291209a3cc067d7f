/* SPDX-License-Identifier: MIT */
/* The functions behind the names of mallctl: each function of compat/names.def reads or writes one
 * value. */
#ifndef HAK_COMPAT_ANSWERS_H
#define HAK_COMPAT_ANSWERS_H

#include "compat/value.h"

/* The number in the name, in place of <i>; in names without one, all arenas. Functions that need
 * none ignore it. 0, or an errno that mallctl returns. */
typedef int (*hak_answer_read)(size_t number, union hak_value *value);
typedef int (*hak_answer_write)(size_t number, const union hak_value *value);

struct hak_answer_row {
    const char *name;
    enum hak_value_type type;
    hak_answer_read read;   /* NULL: may not be read */
    hak_answer_write write; /* NULL: may not be written */
};

/* In the order of names.def, then opt.* */
extern const struct hak_answer_row hak_answer_rows[];
extern const size_t hak_answer_count;

#endif
