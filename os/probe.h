/* SPDX-License-Identifier: MIT */
/* Trace points for bpftrace, perf and gdb (USDT): docs/trace-points.md has their table. Each is an
 * instruction that does nothing, and a note in the file that tells where it is and where its
 * arguments lie. Only on slow paths. Without <sys/sdt.h> (systemtap-sdt-dev) at build time they
 * compile to nothing. */
#ifndef HAK_OS_PROBE_H
#define HAK_OS_PROBE_H

#include "config.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define HAK_PROBE2(name, a, b)       DTRACE_PROBE2(hakmem, name, a, b)
#define HAK_PROBE3(name, a, b, c)    DTRACE_PROBE3(hakmem, name, a, b, c)
#define HAK_PROBE4(name, a, b, c, d) DTRACE_PROBE4(hakmem, name, a, b, c, d)
#else
#define HAK_PROBE2(name, a, b)       ((void)(a), (void)(b))
#define HAK_PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define HAK_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
