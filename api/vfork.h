/* SPDX-License-Identifier: MIT */
/* A thread that is about to vfork, and its child. See vfork.c. */
#ifndef HAK_API_VFORK_H
#define HAK_API_VFORK_H

#include "front/front.h"
#include "os/compiler.h"

/* Stands in hak_front_mine between a vfork and its return in the parent: without objects and
 * without room, so it serves nobody, and nobody writes it. The thread and its child are then served
 * without a front, and never by the CPU's. */
extern HAK_HIDDEN struct hak_front hak_front_apart;

/* Whether the thread is between the two, with that front or one of its own. */
extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_is_apart;

#endif
