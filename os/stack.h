/* SPDX-License-Identifier: MIT */
/* Call stacks, by the unwinder of gcc's runtime (libgcc_s), which reads the tables that exceptions
 * use: most programs have no frame pointers. Without it a stack has only the caller. */
#ifndef HAK_OS_STACK_H
#define HAK_OS_STACK_H

#include <stddef.h>
#include <stdint.h>

/* Loads the unwinder, which allocates. The constructor calls it if an option wants stacks. */
void hak_os_stack_prepare(void);

/* The return addresses above the library's own functions, innermost first; at most `most`. Any
 * thread, after hak_os_stack_prepare; it may allocate, so the caller holds no lock of ours. */
unsigned hak_os_stack(uint64_t *frames, unsigned most);

/* Where an address lies, as backtrace_symbols tells it: FILE(FUNCTION+0xOFFSET). Unknown parts are
 * NULL. */
struct hak_os_symbol {
    const char *file;
    const char *function;
    uint64_t offset; /* in the function, or else in the file */
};
struct hak_os_symbol hak_os_symbol_of(uint64_t address);

#endif
