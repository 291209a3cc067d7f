/* SPDX-License-Identifier: MIT */
/* The state of a thread between a vfork and its return in the parent. See vfork.c. */
#ifndef HAK_API_VFORK_H
#define HAK_API_VFORK_H

#include "os/compiler.h"

/* 1 between a vfork and its return in the parent, if hak_front_mine was switched to
 * hak_front_apart. */
extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_is_apart;

#endif
