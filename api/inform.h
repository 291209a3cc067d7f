/* SPDX-License-Identifier: MIT */
/* What is told of ourselves: statistics at exit, the mode in force. */
#ifndef HAK_API_INFORM_H
#define HAK_API_INFORM_H

/* HAKMEM_VERBOSE: tells on stderr what is in force. */
void hak_inform_start(void);

/* HAKMEM_STATS: the report on stderr. */
void hak_inform_exit(void);

#endif
