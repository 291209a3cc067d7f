/* SPDX-License-Identifier: MIT */
/* Messages about the library: statistics at exit, the mode at start. */
#ifndef HAK_API_INFORM_H
#define HAK_API_INFORM_H

/* With HAKMEM_VERBOSE: prints the mode in force on stderr. */
void hak_inform_start(void);

/* With HAKMEM_STATS: prints the report on stderr. */
void hak_inform_exit(void);

#endif
