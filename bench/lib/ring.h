/* SPDX-License-Identifier: MIT */
/*
 * A ring of pointers from one producer thread to one consumer thread.
 *
 *     taken ... head          tail ... taken + capacity
 *           ^ consumer writes ^ producer writes
 *
 * | word          | written by | read by  | order                                                 |
 * | tail          | producer   | consumer | release after the slot is filled; acquire before read |
 * | head          | consumer   | producer | release after the slot is read; acquire before reuse  |
 * | known_head    | producer   | producer | its last sight of head: spares a read of a hot line   |
 * | known_tail    | consumer   | consumer | its last sight of tail                                |
 * | is_closed     | producer   | consumer | release after the last push                           |
 *
 * Each side writes lines of its own. The ring lies in memory from the kernel, not from malloc.
 */
#ifndef HAK_BENCH_RING_H
#define HAK_BENCH_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_RING_SLOTS = 4096 };

struct bench_ring {
    uint64_t tail __attribute__((aligned(128)));
    uint64_t known_head;
    bool is_closed;
    uint64_t head __attribute__((aligned(128)));
    uint64_t known_tail;
    void *slots[BENCH_RING_SLOTS] __attribute__((aligned(128)));
};

/* Room for how many more, as far as the producer needs to know; at most `enough` matters. */
static inline bool bench_ring_has_room(struct bench_ring *ring, size_t enough)
{
    if (ring->known_head + BENCH_RING_SLOTS - ring->tail >= enough)
        return true;
    /* acquire: pairs with the release in bench_ring_release() */
    ring->known_head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    return ring->known_head + BENCH_RING_SLOTS - ring->tail >= enough;
}

/* The producer fills slots tail, tail + 1, ... and then publishes how many these were. */
static inline void bench_ring_put(struct bench_ring *ring, size_t at, void *object)
{
    ring->slots[(ring->tail + at) % BENCH_RING_SLOTS] = object;
}

static inline void bench_ring_publish(struct bench_ring *ring, size_t count)
{
    /* release: pairs with the acquire in bench_ring_count() */
    __atomic_store_n(&ring->tail, ring->tail + count, __ATOMIC_RELEASE);
}

static inline void bench_ring_close(struct bench_ring *ring)
{
    /* release: pairs with the acquire in bench_ring_is_over() */
    __atomic_store_n(&ring->is_closed, true, __ATOMIC_RELEASE);
}

/* How many objects the consumer may take now. */
static inline size_t bench_ring_count(struct bench_ring *ring)
{
    if (ring->known_tail == ring->head) {
        /* acquire: pairs with the release in bench_ring_publish() */
        ring->known_tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    }
    return (size_t)(ring->known_tail - ring->head);
}

static inline void *bench_ring_get(const struct bench_ring *ring, size_t at)
{
    return ring->slots[(ring->head + at) % BENCH_RING_SLOTS];
}

static inline void bench_ring_release(struct bench_ring *ring, size_t count)
{
    /* release: pairs with the acquire in bench_ring_has_room() */
    __atomic_store_n(&ring->head, ring->head + count, __ATOMIC_RELEASE);
}

/* True once the producer has closed the ring and nothing is left in it. */
static inline bool bench_ring_is_over(struct bench_ring *ring)
{
    /* acquire: pairs with the release in bench_ring_close(), before the last look at tail */
    return __atomic_load_n(&ring->is_closed, __ATOMIC_ACQUIRE) && bench_ring_count(ring) == 0;
}

#endif
