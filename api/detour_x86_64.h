/* SPDX-License-Identifier: MIT */
/* A page that leads each malloc to hak_malloc_counted and can replace malloc's own page
 * (api/counted.h). Only api/malloc.c includes this, once, since it defines the page.
 *
 *     hak_detour_page   never executed where it lies
 *     malloc's page     the same size, directly behind; malloc is at its start
 *     free              begins the next page
 *
 * The distance of the jump is counted from malloc's page, where the code runs after the move. */
#ifndef HAK_API_DETOUR_X86_64_H
#define HAK_API_DETOUR_X86_64_H

#include "api/counted.h"
#include "os/compiler.h"

/* 4096: HAK_DETOUR_BYTES; 4: the bytes of the distance itself, which counts from behind them. */
__asm__(".pushsection .text.hak_malloc,\"ax\",@progbits\n"
        ".balign 4096\n"
        ".globl hak_detour_page\n"
        ".hidden hak_detour_page\n"
        ".type hak_detour_page,@function\n"
        "hak_detour_page:\n"
        ".byte 0xe9\n" /* jmp */
        ".long hak_malloc_counted - 4096 - 4 - .\n"
        ".balign 4096, 0xcc\n"
        ".size hak_detour_page, 4096\n"
        ".popsection\n");

/* In this order behind the page. Checked at run time, since compilers may order them otherwise. */
#define HAK_BEHIND_DETOUR HAK_IN_ORDER __attribute__((section(".text.hak_malloc"), aligned(4096)))

extern HAK_HIDDEN const char hak_detour_page[HAK_DETOUR_BYTES];
#define HAK_DETOUR_PAGE hak_detour_page

#endif
