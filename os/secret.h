/* SPDX-License-Identifier: MIT */
/* Numbers that differ from process to process and that nobody outside knows. */
#ifndef HAK_OS_SECRET_H
#define HAK_OS_SECRET_H

#include <stdint.h>

/* What a secret is for. Each is independent: one of them does not reveal the others. */
enum hak_secret { HAK_SECRET_OF_LINKS, HAK_SECRET_OF_PLACES, HAK_SECRET_OF_SAMPLES };

/* Always the same within a process and its children of fork, never 0. Costs no system call. */
uint64_t hak_os_secret(enum hak_secret purpose);

/* Mixes a word: each bit of the result depends on each bit of the word. */
uint64_t hak_os_stir(uint64_t word);

#endif
