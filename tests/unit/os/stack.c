/* SPDX-License-Identifier: MIT */
/* os/stack.c: the callers, from the inside out, and the names of addresses. */
#include "os/stack.h"

#include <string.h>

#include "tests/lib/tap.h"

enum { MOST = 32 };

static uint64_t frames[MOST];

static __attribute__((noinline)) unsigned innermost(unsigned most)
{
    unsigned depth = hak_os_stack(frames, most);
    __asm__ volatile("" ::: "memory"); /* no jump: it would leave no frame */
    return depth;
}

static __attribute__((noinline)) unsigned outer(unsigned most)
{
    unsigned depth = innermost(most);
    __asm__ volatile("" ::: "memory");
    return depth;
}

static int lies_in(uint64_t address, unsigned (*function)(unsigned))
{
    enum { LONGEST = 512 }; /* bytes of such a function, also with a sanitizer */
    return address - (uintptr_t)function < LONGEST;
}

static void tells_who_called(void)
{
    hak_os_stack_prepare();
    unsigned depth = outer(MOST);
    EXPECT(depth >= 3);
    unsigned at = 0;
    while (at < depth && !lies_in(frames[at], innermost))
        at++;
    EXPECT(at + 1 < depth && lies_in(frames[at + 1], outer));
}

static void gives_no_more_than_is_asked_for(void)
{
    hak_os_stack_prepare();
    frames[2] = 4711;
    EXPECT_EQ(outer(2), 2);
    EXPECT_EQ(frames[2], 4711);
}

static void names_addresses(void)
{
    struct hak_os_symbol symbol = hak_os_symbol_of((uintptr_t)&strlen);
    EXPECT(symbol.file != NULL);
    symbol = hak_os_symbol_of(1);
    EXPECT(symbol.file == NULL && symbol.function == NULL);
    EXPECT_EQ(symbol.offset, 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a stack names the callers, from the inside out", tells_who_called},
        {"a stack has no more frames than asked for", gives_no_more_than_is_asked_for},
        {"addresses have names", names_addresses},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
