/* SPDX-License-Identifier: MIT */
/* The protocol of sections, for Spin: what forks and the shared structures do to each other
 * (os/section.h). tests/model/run checks it, and that it finds each of the mutations.
 *
 *     here                        there
 *     enter, leave                hak_section_enter, hak_section_leave
 *     freeze, thaw                hak_section_freeze, hak_section_thaw
 *     acquire                     hak_lock_acquire, hak_lock_wait with hak_section_wait_suspended
 *     handler                     a signal handler that forks while its thread is inside
 *     fork                        the moment of the copy: what the child finds is asserted
 *
 * Each step reads or changes one shared word. One stripe stands for all: each is waited for alone,
 * and one that was once empty counts only threads that are turned back. Time is left out: a wait
 * that ends after a while may end at any moment (GIVES_UP), since then nothing may depend on it.
 *
 * Shown, for all interleavings within the bounds: a child that is not estranged finds nobody else
 * inside and no lock held but by its own thread; who is turned back was turned back by a fork;
 * counts are whole at the end; no deadlock, where no wait gives up. */

#ifndef WORKERS
#define WORKERS 2       /* each enters, takes the lock, may be interrupted by a handler that forks */
#endif
#ifndef HANDLERS
#define HANDLERS 1      /* workers of them that are interrupted */
#endif
#ifndef FORKERS
#define FORKERS 1       /* that fork from outside */
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define THREADS (WORKERS + FORKERS)
#define NOBODY 255

byte count;             /* the stripe */
byte frozen;
byte suspended;
byte intruders;
byte lock = NOBODY;     /* its holder */

/* What is true of each thread, for assertions alone: it may be changing shared structures now. */
bool really[THREADS];
/* It stands still in a handler, inside. */
bool still[THREADS];

inline count_in() {
    count++
}

inline count_out() {
    assert(count > 0);
    count--
}

/* in := whether it may. forks: the thread's own freezes. */
inline enter(in) {
    in = false;
    if
    :: frozen != forks -> skip
    :: else ->
#ifdef LOOK_FIRST
        /* the look that counts comes before the count: the mutation */
        if
        :: frozen == forks -> in = true
        :: else -> skip
        fi;
        if
        :: in -> count_in()
        :: else -> skip
        fi
#else
        count_in();
        if
        :: frozen == forks -> in = true
        :: else -> count_out()
        fi
#endif
    fi;
    really[_pid - 1] = in
}

inline leave() {
    really[_pid - 1] = false;
    count_out();
    if
    :: intrudes -> intrudes = false; intruders--
    :: else -> skip
    fi
}

/* Counts in again. Gives up waiting only where that is modelled. */
inline resume() {
    do
    :: count_in();
       if
       :: frozen == forks -> break
       :: else -> count_out()
       fi;
       if
       :: frozen == forks -> skip
#ifdef GIVES_UP
       :: true ->
#ifndef SILENT
          if
          :: !intrudes -> intruders++; intrudes = true
          :: else -> skip
          fi;
#endif
          count_in();
          break
#endif
       fi
    od
}

/* From inside or from outside (within: whether counted). The copy is made in the middle. */
inline fork(within) {
    forks++;
    frozen++;
    if
    :: within ->
        still[_pid - 1] = true;
        suspended++;
#ifndef KEEPS_COUNT
        count_out()
#endif
    :: else -> skip
    fi;
    unsure = false;
    if
    :: count == 0 -> skip
#ifdef GIVES_UP
    :: count != 0 -> unsure = true
#endif
#ifdef DOES_NOT_WAIT
    :: true -> skip
#endif
    fi;
    /* foreign handlers run here; then the copy, which is one moment for all (a thread that writes
     * one word after another is never copied with the later one alone) */
    atomic {
        others = 0;
        do
        :: others == THREADS -> break
        :: else ->
            /* what makes the child estranged */
            if
            :: unsure || suspended != within || intruders != intrudes -> skip
            :: else ->
                assert(others == _pid - 1 || !really[others]);
                assert(lock == NOBODY || lock == _pid - 1)
            fi;
            others++
        od;
        others = 0
    };
    forks--;
    frozen--;
    if
    :: within ->
#ifndef KEEPS_COUNT
#ifdef RESUMES_AT_ONCE
        count_in();
#else
        resume();
#endif
#endif
        still[_pid - 1] = false;
        suspended--
    :: else -> skip
    fi
}

/* Takes the lock; while it is held, and a thread is suspended, the caller takes its count back. */
inline acquire() {
    do
    :: atomic { lock == NOBODY -> lock = _pid - 1 }; break
#ifndef NEVER_LENDS
    :: lock != NOBODY && suspended != 0 ->
        really[_pid - 1] = false;
        count_out();
        if
        :: suspended == 0 -> skip
#ifdef GIVES_UP
        :: true -> skip
#endif
        fi;
        resume();
        really[_pid - 1] = true
#endif
    od
}

proctype worker(bool interrupted) {
    bool in, intrudes, unsure;
    byte forks, round, others;
    do
    :: round == ROUNDS -> break
    :: else ->
        round++;
        enter(in);
        if
        :: in ->
            acquire();
            /* the handler may come here, the lock being held */
            if
            :: interrupted -> fork(true)
            :: true -> skip
            fi;
            lock = NOBODY;
            leave()
        :: else ->
            assert(true)    /* served beside */
        fi
    od
}

proctype forker() {
    bool intrudes, unsure;
    byte forks, round, others;
    do
    :: round == ROUNDS -> break
    :: else -> round++; fork(false)
    od
}

init {
    atomic {
        byte i = 0;
        do
        :: i == WORKERS -> break
        :: else -> run worker(i < HANDLERS); i++
        od;
        i = 0;
        do
        :: i == FORKERS -> break
        :: else -> run forker(); i++
        od
    };
    (_nr_pr == 1);
    assert(count == 0 && frozen == 0 && suspended == 0 && intruders == 0 && lock == NOBODY)
}
