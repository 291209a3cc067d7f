/* SPDX-License-Identifier: MIT */
/* Grace periods: the one place that names liburcu. The read side stands around each look into
 * memory or into a descriptor that somebody else may be about to retire; it is entered once a
 * bundle, never per object, and costs about 2 ns. Nobody waits inside malloc or free: waiting is
 * hak_grace_wait's, called by whoever trims and by the optional background thread.
 *
 * The "bp" flavour registers threads by itself (at their first read section) and knows fork. Its
 * small functions are compiled in, with initial-exec TLS: the library's own copies use
 * general-dynamic TLS, whose first access in a thread may call malloc. A thread's registration may
 * call malloc too (pthread_setspecific with a late key), so it is done once, by
 * hak_grace_register, where re-entry is provided for. */
#ifndef HAK_SHARD_GRACE_H
#define HAK_SHARD_GRACE_H

#define _LGPL_SOURCE
#include <urcu-bp.h>
#undef _LGPL_SOURCE

static inline void hak_grace_read_lock(void)
{
    rcu_read_lock();
}

static inline void hak_grace_read_unlock(void)
{
    rcu_read_unlock();
}

/* Makes the calling thread known before its first read section. */
static inline void hak_grace_register(void)
{
    rcu_read_lock();
    rcu_read_unlock();
}

/* Returns when every read section that had begun has ended. Milliseconds; never under a lock. */
static inline void hak_grace_wait(void)
{
    synchronize_rcu();
}

static inline void hak_grace_before_fork(void)
{
    urcu_bp_before_fork();
}

static inline void hak_grace_after_fork_in_parent(void)
{
    urcu_bp_after_fork_parent();
}

static inline void hak_grace_after_fork_in_child(void)
{
    urcu_bp_after_fork_child();
}

#endif
