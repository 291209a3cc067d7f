/* SPDX-License-Identifier: MIT */
/* The option table as plain text: the preprocessor lays each row of api/options.def out as one
 * record of string literals, and docs/options.awk prints the records as a manual page or as
 * Markdown. No program is built and run for it, so cross-compiling makes the same pages. */
#define OPTION(name, type, default_text, allowed, field, since, sentence) \
    @option #name #type default_text @values allowed @release since @text sentence @end
#include "api/options.def"
