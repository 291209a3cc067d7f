/* SPDX-License-Identifier: MIT */
/* Call stacks: see the header. */
#define _GNU_SOURCE
#include "os/stack.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdbool.h>

enum {
    OWN_FRAMES_MOST = 24,    /* of ours, below the program's */
    FRAMES_MOST = 128,
};

/* The library's own addresses. None if it is linked into the program itself: then its functions are
 * in the stack, and the reader knows them by their names. */
static struct {
    uintptr_t begin;
    uintptr_t end;
} own;

static int look_for_own(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size;
    (void)unused;
    uintptr_t here = (uintptr_t)&hak_os_stack;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD || here - begin >= part->p_memsz)
            continue;
        /* The program itself has no name. */
        if (info->dlpi_name != NULL && info->dlpi_name[0] != '\0') {
            own.begin = begin;
            own.end = begin + part->p_memsz;
        }
        return 1;
    }
    return 0;
}

void hak_os_stack_prepare(void)
{
    void *frames[2];
    dl_iterate_phdr(look_for_own, NULL);
    backtrace(frames, 2);
}

static bool is_own(uintptr_t address)
{
    return address - own.begin < own.end - own.begin;
}

unsigned hak_os_stack(uint64_t *frames, unsigned most)
{
    void *all[FRAMES_MOST];
    unsigned want = most + OWN_FRAMES_MOST < FRAMES_MOST ? most + OWN_FRAMES_MOST : FRAMES_MOST;
    int depth = backtrace(all, (int)want);
    unsigned count = 0;
    int at = 0;
    while (at < depth && is_own((uintptr_t)all[at]))
        at++;
    for (; at < depth && count < most; at++)
        frames[count++] = (uintptr_t)all[at];
    return count;
}

struct hak_os_symbol hak_os_symbol_of(uint64_t address)
{
    Dl_info info;
    struct hak_os_symbol symbol = {NULL, NULL, address};
    if (dladdr((const void *)(uintptr_t)address, &info) == 0)
        return symbol;
    symbol.file = info.dli_fname;
    symbol.offset = address - (uintptr_t)info.dli_fbase;
    if (info.dli_sname != NULL) {
        symbol.function = info.dli_sname;
        symbol.offset = address - (uintptr_t)info.dli_saddr;
    }
    return symbol;
}
