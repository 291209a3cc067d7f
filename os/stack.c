/* SPDX-License-Identifier: MIT */
/* Call stacks: see the header. */
#define _GNU_SOURCE
#include "os/stack.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdbool.h>
#include <unwind.h>

#include "os/arch.h"
#include "os/known_stacks.h"

enum { STEP_MOST = 16 * 1024 / sizeof(uint64_t) }; /* words, of a frame that is learned */

/* Functions of the unwinder, which libc loads for itself alone. NULL: libc's backtrace must do. */
static struct {
    __typeof__(&_Unwind_Backtrace) walk;
    __typeof__(&_Unwind_GetIP) address;
    __typeof__(&_Unwind_GetCFA) frame_end;
} unwinder;

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

static void find_unwinder(void)
{
    /* Looked up, since the linker of a static program would warn of a direct call. */
    void *(*open)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_DEFAULT, "dlopen");
    void *library = open != NULL ? open("libgcc_s.so.1", RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (library == NULL)
        return;
    unwinder.address = (__typeof__(unwinder.address))dlsym(library, "_Unwind_GetIP");
    unwinder.frame_end = (__typeof__(unwinder.frame_end))dlsym(library, "_Unwind_GetCFA");
    unwinder.walk = (__typeof__(unwinder.walk))dlsym(library, "_Unwind_Backtrace");
    if (unwinder.address == NULL || unwinder.frame_end == NULL)
        unwinder.walk = NULL;
}

void hak_os_stack_prepare(void)
{
    void *frames[2];
    dl_iterate_phdr(look_for_own, NULL);
    backtrace(frames, 2);
    find_unwinder();
    /* Elsewhere nothing would ever be found in place, so each sample walks its stack. */
    if (HAK_OS_CALL_PUSHES)
        hak_known_stacks_start();
}

static bool is_own(uintptr_t address)
{
    return address - own.begin < own.end - own.begin;
}

/* A frame whose return address would lie below the last one, or far above it, may be on another
 * stack (a signal handler's, or one that grows in pieces), which may be gone when the first is
 * found again: word 0 has no return address, so such a stack is not learned. */
static uint32_t word_of(const struct hak_walk *walk, uintptr_t place)
{
    uint64_t word = (place - walk->frame) / sizeof(uint64_t); /* huge, if below */
    uint64_t last = walk->depth != 0 ? walk->words[walk->depth - 1] : 0;
    return word > last && word - last <= STEP_MOST ? (uint32_t)word : 0;
}

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
    struct hak_walk *walk = argument;
    uint64_t address = unwinder.address(context);
    uintptr_t place = unwinder.frame_end(context) - sizeof(uint64_t);
    if (place == walk->frame + sizeof(uint64_t))
        walk->depth = 0; /* our caller; what came before is ours */
    if (address == 0 || walk->depth == HAK_WALK_MOST)
        return _URC_END_OF_STACK;
    walk->returns[walk->depth] = address;
    walk->words[walk->depth] = word_of(walk, place);
    walk->depth++;
    return _URC_NO_REASON;
}

static void walk_with_libc(struct hak_walk *walk)
{
    void *all[HAK_WALK_MOST];
    int depth = backtrace(all, HAK_WALK_MOST);
    for (int i = 0; i < depth; i++)
        walk->returns[i] = (uintptr_t)all[i];
    walk->depth = depth > 0 ? (unsigned)depth : 0;
}

__attribute__((noinline)) unsigned hak_os_stack(uint64_t *frames, unsigned most)
{
    struct hak_walk walk;
    walk.frame = (uintptr_t)__builtin_frame_address(0);
    walk.depth = 0;
    if (unwinder.walk == NULL) {
        walk_with_libc(&walk);
    } else if (!hak_known_stacks_find(&walk)) {
        unwinder.walk(note_frame, &walk);
        hak_known_stacks_learn(&walk);
    }
    unsigned count = 0;
    unsigned at = 0;
    while (at < walk.depth && is_own(walk.returns[at]))
        at++;
    for (; at < walk.depth && count < most; at++)
        frames[count++] = walk.returns[at];
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
