/* SPDX-License-Identifier: MIT */
/* What the program under the simulation says to it, by getpriority(SAYS, what, value), which means
 * nothing to the kernel. */
#ifndef HAK_CORES_SAYS_H
#define HAK_CORES_SAYS_H

enum {
    SAYS = 0x686d,
    SAYS_BEGIN = 1, /* here is the machine; said once, by the only thread */
    SAYS_COUNT,     /* what this thread does is counted, */
    SAYS_REST,      /* not, */
    SAYS_DONE,      /* or no longer: it was this many operations */
    SAYS_BARRIER,   /* waits for this many threads, which go on at the time of the last; two
                        * barriers at a time are of different sizes */
    SAYS_WAIT,      /* this many cycles pass */
};

#endif
