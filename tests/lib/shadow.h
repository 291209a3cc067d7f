/* SPDX-License-Identifier: MIT */
/* shadow.h - the model that every stress checks an allocator against.
 *
 * The model knows two things of each live object: which bytes are its own, and what is in them.
 *
 *   claims   one bit for each 8 bytes of the address space. Entering an object sets the bits of all
 *            its usable bytes; a bit that was set already means that two live objects overlap.
 *   payload  a pattern from (seed, address, size). It is checked whenever the object is looked at,
 *            resized or freed; a wrong byte means that another thread or object wrote there.
 *
 * Any thread may enter and leave objects; each object belongs to one thread at a time. The model
 * never allocates from malloc. It prints a fault and aborts the process at once: later the heap
 * would no longer show the cause. */
#ifndef HAK_TESTS_SHADOW_H
#define HAK_TESTS_SHADOW_H

#include <stddef.h>
#include <stdint.h>

struct shadow_object {
    unsigned char *address; /* NULL: no object */
    size_t size;            /* requested bytes; the payload covers them */
    size_t usable;          /* bytes that the allocator promised; the claim covers them */
    uint64_t key;           /* from (seed, address, size) */
};

/* Once, before any other call. The seed is printed with every failure. */
void shadow_start(uint64_t seed);

/* A fresh object: claims it and writes its payload. */
void shadow_enter(struct shadow_object *object, void *address, size_t size, size_t usable);

/* Its payload must be what was written. */
void shadow_check(const struct shadow_object *object);

/* Checks it and gives the claim back: call it just before free. */
void shadow_leave(struct shadow_object *object);

/* For a resize: call shadow_leave before; then this, which finds the first bytes of `old`'s payload
 * at the new address, and enters the object again. */
void shadow_enter_resized(struct shadow_object *object, const struct shadow_object *old,
                          void *address, size_t size, size_t usable);

/* calloc's promise for an object not yet entered. */
void shadow_check_zero(const void *address, size_t size);

/* Prints the fault and the seed, and aborts. */
void shadow_fail(const char *what, const void *address, size_t size) __attribute__((noreturn));

#endif
