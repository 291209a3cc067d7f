/* SPDX-License-Identifier: MIT */
/* Attributes and hints for the compiler. All function-like macros of the project are here, except
 * those of the .def tables, os/probe.h and tests/lib/tap.h. */
#ifndef HAK_OS_COMPILER_H
#define HAK_OS_COMPILER_H

#define hak_likely(condition)   __builtin_expect(!!(condition), 1)
#define hak_unlikely(condition) __builtin_expect(!!(condition), 0)

/* The slow half of a function: out of line, away from the hot text. */
#define HAK_COLD __attribute__((cold, noinline))

/* Functions that have this stay in the order of the source. clang keeps it anyway. */
#if defined(__GNUC__) && !defined(__clang__)
#define HAK_IN_ORDER __attribute__((no_reorder))
#else
#define HAK_IN_ORDER
#endif

/* Exported to the program; everything else is hidden by -fvisibility=hidden. */
#define HAK_PUBLIC __attribute__((visibility("default")))

/* Defined in this library, so reached without the global offset table. -fvisibility=hidden only
 * covers definitions; declarations of hot variables need the attribute, too. */
#define HAK_HIDDEN __attribute__((visibility("hidden")))

/* Thread-local in the static TLS block: one load, never a call that might allocate. */
#define HAK_TLS __thread __attribute__((tls_model("initial-exec")))

/* Written by every start, and so little that it lies in pages which the loader has written anyway:
 * of .bss each page that is touched costs a fault. */
#define HAK_EARLY __attribute__((section(".data")))

#define HAK_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

#define HAK_ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Built for ThreadSanitizer, which cannot see the ordering that assembly gives. */
#if defined(__SANITIZE_THREAD__)
#define HAK_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAK_THREAD_SANITIZER 1
#endif
#endif
#ifndef HAK_THREAD_SANITIZER
#define HAK_THREAD_SANITIZER 0
#endif

enum { HAK_CACHE_LINE = 64 };

#endif
