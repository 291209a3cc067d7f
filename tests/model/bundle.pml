/* SPDX-License-Identifier: MIT */
/* The protocol of bundles, for Spin: what several threads may do to transfer caches, inboxes, slabs
 * and regions at once. tests/model/run checks it, and that it finds each of the mutations.
 *
 * An object stands for a bundle (its top object), for a slab and for a region: an object in a slab
 * is an empty region, so whatever is free can be unmapped. Only the second word of an object is
 * modelled, the link between bundles; the first is for the bundle's holder alone. Each step reads
 * or changes one shared word, as the C does; what a lock covers is one step.
 *
 *     here                        there
 *     pop_by_peeking              the same in transfer_cache.c: load_head is two steps, peek one more
 *     pop_by_taking_all           the same: its exchanges are a step each, for what they write hangs
 *                                 on nothing that was read before but the number of bundles
 *     push                        hak_transfer_cache_push
 *     accept                      hak_shard_accept: push, or slabs where the bin is full
 *     post                        hak_inbox_post
 *     sort_inbox                  sort_inbox (refill.c); what is not kept was of another class than
 *                                 wanted, or not the first; the budget may end after any bundle
 *     give, take                  hak_pool_give, hak_pool_take: under the bin's lock
 *     fresh                       hak_pool_take_fresh, at an address that was unmapped
 *     refill                      hak_shard_refill: the sources in order, the neighbour's too
 *     release                     hak_shard_send_home (home: post), or the front's own overflow
 *     POSTS_NEAR                  hak_shard_take_foreign: what goes to another node goes to any
 *                                 shard there
 *     drain, reap                 hak_shard_drain, hak_heap_reap
 *     read_lock .. grace_wait     hak_grace_*: a wait, which stands for polls, of one call or many,
 *                                 ends when the sections that had begun have ended; sections that
 *                                 begin later do not prolong it
 *     FEW_READERS                 now and then there is no reader to borrow
 *     MID                         objects are of mid classes: nobody peeks, regions go at once, and
 *                                 the program may hold pages of what it has (protect): it takes
 *                                 access away and gives it back before it frees
 *     RETIRES                     the shard's threads move, then it is drained; who read the old
 *                                 shard before goes on putting bundles there: a later drain's work
 *
 * Shown, for all interleavings within the bounds below:
 *     - no bundle is lost: at the end a walk over all links finds each object in exactly the one
 *       place where it is said to be;
 *     - none is handed out twice: whoever takes one asserts where it was;
 *     - no link of unmapped memory, or of a page that the program protects, is read or written;
 *     - no deadlock: all threads reach their ends.
 *
 * Not shown: memory order; here all see a step at once. It suffices because heads are changed by
 * read-modify-writes alone, each a release and (where a link is followed) an acquire: a link is
 * written before the head that leads to it and read after that head, so whose compare succeeds has
 * read the link that the push of this very tag wrote. The one read that may be anything, the peek
 * at a bundle that somebody else has taken, returns here what the program scribbled there, which
 * is worse than stale. That nothing of a section moves before its beginning is liburcu's promise.
 * Nor is shown: that 48 bits do not come round (here the tag is wide enough, which is asserted). */

#ifndef THREADS
#define THREADS 2       /* one more trims */
#endif
#ifndef OPERATIONS
#define OPERATIONS 3    /* mallocs and frees of a thread; each misses the front */
#endif
#ifndef OBJECTS
#define OBJECTS 3
#endif
#ifndef CACHED
#define CACHED 2        /* objects that are in the transfer cache of shard 0 at first */
#endif
#ifndef TRIMS
#define TRIMS 1
#endif
#ifndef CAPACITY
#define CAPACITY 2      /* bundles in a transfer cache */
#endif
#ifndef ALONE
#define ALONE 9         /* the thread that runs on shard 1; the others run on shard 0 */
#endif
#ifdef ONE_CLASS
#define MIXED false
#else
#define MIXED true      /* a bundle in an inbox may be of another class than wanted */
#endif
#ifdef SENDS_HOME
#define ADOPTS false
#else
#define ADOPTS true     /* an object of another shard may be kept */
#endif
#ifdef POSTS_NEAR
#define NEAR true       /* or be sent to another shard, as if that were on its home's node */
#else
#define NEAR false
#endif
#define SHARDS 2
#define HELD_MOST 2     /* objects with one thread */

#define NONE 0          /* objects are 1 .. OBJECTS */
#define JUNK 15         /* what a program writes where the link was */

/* Places. */
#define SLAB 0
#define CACHE 1         /* + shard */
#define INBOX 3         /* + shard */
#define COLLECTED 5     /* taken out by reap, still mapped */
#define UNMAPPED 6
#define WITH 7          /* + thread: in its hands or its program's */

#ifdef ALL_AWAY
#define HOME(object) true
#else
#define HOME(object) (object > 2)
#endif
#define TRIMMER THREADS

byte top[SHARDS];
byte tag[SHARDS];
byte bundles[SHARDS];   /* the low half of the tag's word: read and written with it */
byte inbox[SHARDS];
byte backlog[SHARDS];  /* collected, not yet sorted */
bool sorting[SHARDS];
byte link[OBJECTS + 1];
bool mapped[OBJECTS + 1];
bool shut[OBJECTS + 1];    /* on a page to which the program has taken away access */
byte reading;           /* bit t: thread t is in a read section */
byte awaited;           /* sections whose end the grace period waits for */
bool moved;             /* shard 0 is retired: its threads run on shard 1 */
byte finished;

/* The ghost. Of the protocol only slabs and regions look at it: it is their bitmaps. */
byte place[OBJECTS + 1];

/* ---- links, and hands ------------------------------------------------------------------------ */

inline write_link(object, value)
{
    d_step {
        assert(mapped[object] && !shut[object]);
#if !defined(LINK_AFTER_PUSH) && !defined(LINK_AFTER_POST)
        assert(place[object] == WITH + me);
#endif
        link[object] = value
    }
}

inline grasp(object, from)
{
    assert(object != JUNK);
    assert(place[object] == from);
    place[object] = WITH + me
}

inline let_go(object, to)
{
    assert(place[object] == WITH + me);
    place[object] = to
}

/* ---- grace periods --------------------------------------------------------------------------- */

inline read_lock()
{
#ifndef NO_READ_SECTION
    reading = reading | (1 << me)
#else
    skip
#endif
}

inline read_unlock()
{
    atomic {
        reading = reading & ~(1 << me);
        awaited = awaited & ~(1 << me)
    }
}

inline grace_wait()
{
    awaited = reading;
    awaited == 0
}

/* ---- transfer cache -------------------------------------------------------------------------- */

#ifdef NO_TAG
#define UNCHANGED(shard) (top[shard] == old_top)
#else
#define UNCHANGED(shard) (top[shard] == old_top && tag[shard] == old_tag)
#endif

inline pop_by_peeking(shard, object)
{
    if
    :: top[shard] == NONE
    :: else ->
        read_lock();
        do
        ::
#ifndef LATE_TAG
            old_tag = tag[shard];
#endif
            old_top = top[shard];
            if
            :: old_top == NONE -> break
            :: else
            fi;
            d_step {
                assert(mapped[old_top]);
                assert(!shut[old_top]);
                successor = link[old_top]
            };
#ifdef LATE_TAG
            old_tag = tag[shard];
#endif
            if
            :: d_step {
                    UNCHANGED(shard) ->
                    assert(successor != JUNK);
                    top[shard] = successor;
                    tag[shard]++;
                    assert(tag[shard] != 0 && bundles[shard] != 0);
                    bundles[shard]--;
                    object = old_top;
                    grasp(object, CACHE + shard)
                };
                break
            :: else
            fi
        od;
        read_unlock()
    fi;
    atomic { old_top = 0; old_tag = 0; successor = 0 }
}

inline push(shard, object)
{
    do
    ::
        d_step { old_tag = tag[shard]; refused = bundles[shard] >= CAPACITY };
        if
        :: refused -> break
        :: else -> old_top = top[shard]
        fi;
#ifndef LINK_AFTER_PUSH
        write_link(object, old_top);
#endif
        if
        :: d_step {
                UNCHANGED(shard) ->
                top[shard] = object;
                tag[shard]++;
                assert(tag[shard] != 0);
                bundles[shard]++;
                let_go(object, CACHE + shard)
            };
#ifdef LINK_AFTER_PUSH
            write_link(object, old_top);
#endif
            break
        :: else
        fi
    od;
    atomic { old_top = 0; old_tag = 0 }
}

inline give(object)
{
    d_step { let_go(object, SLAB) }
}

inline accept(shard, object)
{
    push(shard, object);
    if
    :: refused ->
#ifndef FULL_IS_LOST
        give(object);
#endif
        refused = false
    :: else
    fi
}

/* All of it, and then the link of what is ours. */
inline take_all(shard, object)
{
    d_step {
        object = top[shard];
        top[shard] = NONE;
        taken = bundles[shard];
        bundles[shard] = 0;
        if
        :: object != NONE -> tag[shard]++; assert(tag[shard] != 0)
        :: else
        fi;
        rest = object;
        do
        :: rest == NONE -> break
        :: else -> grasp(rest, CACHE + shard); rest = link[rest]
        od;
        rest = NONE
    }
}

#ifdef PUT_BACK_BLINDLY
#define STILL_EMPTY(shard) (rest != NONE)
#else
#define STILL_EMPTY(shard) (rest != NONE && top[shard] == NONE)
#endif

/* By one exchange if nobody has pushed meanwhile, else one by one. */
inline put_back(shard)
{
    d_step {
        if
        :: STILL_EMPTY(shard) ->
            top[shard] = rest;
            tag[shard]++;
            assert(tag[shard] != 0);
            bundles[shard] = taken - 1;
            do
            :: rest == NONE -> break
            :: else -> let_go(rest, CACHE + shard); rest = link[rest]
            od
        :: else
        fi;
        taken = 0
    };
    do
    :: rest == NONE -> break
    :: else ->
        bundle = rest;
        rest = link[rest];
        accept(shard, bundle);
        bundle = NONE
    od
}

inline pop_by_taking_all(shard, object)
{
    take_all(shard, object);
    if
    :: object == NONE
    :: else ->
        d_step { assert(mapped[object] && !shut[object]); rest = link[object] };
        put_back(shard)
    fi;
    rest = NONE
}

inline pop(shard, object)
{
    object = NONE;
#if defined(MID) && !defined(PEEKS_AT_MID)
    pop_by_taking_all(shard, object)
#elif defined(FEW_READERS)
    if
    :: pop_by_peeking(shard, object)
    :: pop_by_taking_all(shard, object)
    fi
#else
    pop_by_peeking(shard, object)
#endif
}

/* ---- slabs and regions ----------------------------------------------------------------------- */

inline find_at_home(shard, where, object)
{
    object = 1;
    do
    :: object > OBJECTS -> object = NONE; break
    :: else ->
        if
        :: place[object] == where && HOME(object) == shard -> break
        :: else -> object++
        fi
    od
}

inline take(shard, object)
{
    d_step {
        find_at_home(shard, SLAB, object);
        if
        :: object != NONE -> grasp(object, SLAB)
        :: else
        fi
    }
}

inline fresh(shard, object)
{
    d_step {
        find_at_home(shard, UNMAPPED, object);
        if
        :: object != NONE ->
            grasp(object, UNMAPPED);
            mapped[object] = true;
            link[object] = NONE
        :: else
        fi
    }
}

inline collect_empty()
{
    d_step {
        bundle = 1;
        do
        :: bundle > OBJECTS -> bundle = NONE; break
        :: else ->
            if
            :: place[bundle] == SLAB ->
                place[bundle] = COLLECTED;
                link[bundle] = NONE;     /* purged */
                collected = true
            :: else
            fi;
            bundle++
        od
    }
}

inline unmap_collected()
{
    d_step {
        bundle = 1;
        do
        :: bundle > OBJECTS -> bundle = NONE; break
        :: else ->
            if
            :: place[bundle] == COLLECTED -> place[bundle] = UNMAPPED; mapped[bundle] = false
            :: else
            fi;
            bundle++
        od;
        collected = false
    }
}

inline reap()
{
#ifdef EARLY_GRACE
    grace_wait();
#endif
    collect_empty();
    if
    :: collected ->
#if !defined(NO_RCU) && !defined(EARLY_GRACE) && !defined(MID)
        grace_wait();
#endif
        unmap_collected()
    :: else
    fi
}

/* ---- inbox ----------------------------------------------------------------------------------- */

inline post(shard, object)
{
    old_top = inbox[shard];
    do
    ::
#ifndef LINK_AFTER_POST
        write_link(object, old_top);
#endif
        if
        :: d_step {
#ifdef NO_COMPARE
                true ->
#else
                inbox[shard] == old_top ->
#endif
                inbox[shard] = object;
                let_go(object, INBOX + shard)
            };
#ifdef LINK_AFTER_POST
            write_link(object, old_top);
#endif
            break
#ifndef NO_COMPARE
        :: else -> old_top = inbox[shard]
#endif
        fi
    od;
    old_top = 0
}

/* keeps: whether there is a wanted class, of which the first bundle is kept back. */
inline sort_inbox(shard, keeps, kept)
{
    if
#ifdef NO_TRY_LOCK
    :: true ->
#else
    :: d_step { !sorting[shard] -> sorting[shard] = true };
#endif
        if
        :: backlog[shard] == NONE ->
#ifdef NO_EXCHANGE
            backlog[shard] = inbox[shard];
            inbox[shard] = NONE
#else
            d_step { backlog[shard] = inbox[shard]; inbox[shard] = NONE }
#endif
        :: else
        fi;
        do
        :: backlog[shard] == NONE -> break
        :: else ->
            d_step { bundle = backlog[shard]; grasp(bundle, INBOX + shard) };
#ifndef LINK_READ_LATE
            backlog[shard] = link[bundle];
#endif
            if
            :: keeps && kept == NONE -> kept = bundle
            :: !keeps || kept != NONE || MIXED -> accept(shard, bundle)
            fi;
#ifdef LINK_READ_LATE
            backlog[shard] = link[bundle];
#endif
            bundle = NONE;
            if
            :: keeps -> break
            :: true
            fi
        od;
        sorting[shard] = false
#ifndef NO_TRY_LOCK
    :: else
#endif
    fi
}

/* ---- threads of the program ------------------------------------------------------------------ */

inline refill()
{
    asked = shard;
    do
    ::
        pop(asked, object);
        if
        :: object == NONE -> sort_inbox(asked, true, object)
        :: else
        fi;
        if
        :: object == NONE && asked == shard -> take(shard, object)
        :: else
        fi;
        if
        :: object == NONE && asked == shard -> asked = 1 - shard
        :: else -> break
        fi
    od;
    if
    :: object == NONE -> fresh(shard, object)
    :: else
    fi;
    asked = 0
}

/* An object of another's is sent home, or to home's node, or adopted. */
inline release()
{
    if
    :: HOME(object) != shard || NEAR -> asked = 1 - shard; post(asked, object)
    :: HOME(object) == shard || ADOPTS -> accept(shard, object)
    fi;
    asked = 0
}

proctype thread(byte me)
{
    byte shard, asked, object, old_top, old_tag, successor, rest, bundle, taken, held, operations;
    bool refused;
    do
    :: operations == OPERATIONS -> break
    :: else ->
        /* hak_front_follow: what it reads may be out of date when it is used. */
        shard = (me == ALONE || moved);
        if
        :: held < HELD_MOST ->
            refill();
            if
            :: object != NONE ->
#ifndef POLITE
                write_link(object, JUNK);
#endif
#ifdef MID
                if
                :: shut[object] = true
                :: true
                fi;
#endif
                held++
            :: else
            fi
        :: held > 0 ->
            if
            :: place[1] == WITH + me -> object = 1
            :: place[2] == WITH + me -> object = 2
#if OBJECTS > 2
            :: place[3] == WITH + me -> object = 3
#endif
#if OBJECTS > 3
            :: place[4] == WITH + me -> object = 4
#endif
            fi;
#ifdef MID
            shut[object] = false;
#endif
            release();
            held--
        fi;
        d_step { object = NONE; shard = 0; operations++ }
    od;
    atomic {
        for (object : 1 .. OBJECTS) {
            if
            :: place[object] == WITH + me -> held--
            :: else
            fi
        }
        assert(held == 0);       /* nothing stuck to its hands */
        finished++
    }
}

/* ---- who trims ------------------------------------------------------------------------------- */

inline drain(shard)
{
    sort_inbox(shard, false, object);
    do
    ::
        pop(shard, object);
        if
        :: object == NONE -> break
        :: else -> give(object)
        fi
    od
}

proctype trimmer(byte me)
{
    byte object, old_top, old_tag, successor, rest, bundle, taken, trims;
    bool refused, collected;
    do
    :: trims == TRIMS -> break
    :: else ->
#ifdef RETIRES
        moved = true;
#endif
#if defined(DRAINS) || defined(RETIRES)
        drain(0);
#endif
#ifdef DRAINS
        drain(1);
#endif
        reap();
        trims++
    od;
    finished++
}

/* ---- the beginning and the end --------------------------------------------------------------- */

inline walk(first, where)
{
    object = first;
    length = 0;
    do
    :: object == NONE -> break
    :: else ->
        assert(object != JUNK);
        assert(place[object] == where);
        place[object] = WITH;            /* found; a second time would fail */
        length++;
        object = link[object]
    od
}

init
{
    byte object, length;
    atomic {
        for (object : 1 .. OBJECTS) {
            mapped[object] = true;
            if
            :: object <= CACHED ->
                place[object] = CACHE;
                link[object] = (object < CACHED -> object + 1 : NONE)
            :: else -> place[object] = SLAB
            fi
        }
        top[0] = (CACHED > 0 -> 1 : NONE);
        bundles[0] = CACHED;
        for (object : 0 .. THREADS - 1) {
            run thread(object)
        }
        run trimmer(TRIMMER)
    }
    d_step {
        finished == THREADS + 1 ->
        walk(top[0], CACHE);
        assert(length == bundles[0]);
        walk(top[1], CACHE + 1);
        assert(length == bundles[1]);
        walk(inbox[0], INBOX);
        walk(inbox[1], INBOX + 1);
        walk(backlog[0], INBOX);
        walk(backlog[1], INBOX + 1);
        for (object : 1 .. OBJECTS) {
            assert(place[object] == SLAB || place[object] >= UNMAPPED);
            assert(mapped[object] == (place[object] != UNMAPPED))
        }
    }
}
