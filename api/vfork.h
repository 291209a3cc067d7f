/* SPDX-License-Identifier: MIT */
/* A thread that is about to vfork, and its child. See vfork.c. */
#ifndef HAK_API_VFORK_H
#define HAK_API_VFORK_H

#include "os/compiler.h"

/* Whether the thread is between a vfork and its return in the parent, with hak_front_apart or a
 * front of its own. */
extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_is_apart;

#endif
