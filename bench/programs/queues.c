/* SPDX-License-Identifier: MIT */
/*
 * queues: two threads make batches of 4,096 objects of 64 bytes, two others free them, and up to a
 * hundred batches wait in between, as in a pipeline whose stages take turns at being the slower.
 *
 *   queues [BATCHES]    that each producer makes (600)
 */
#include "bench/programs/program.h"

enum {
    SIDES = 2,    /* producers, and consumers */
    BATCH = 4096, /* objects */
    OBJECT = 64,  /* bytes */
    QUEUE = 100,  /* batches */
};

struct object {
    struct object *next;
    char rest[OBJECT - sizeof(struct object *)];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    pthread_cond_t has_batch;
    struct object *batches[QUEUE];
    unsigned first;
    unsigned count;
    unsigned producers; /* that go on */
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .has_room = PTHREAD_COND_INITIALIZER,
    .has_batch = PTHREAD_COND_INITIALIZER,
    .producers = SIDES,
};

static unsigned batches_each;

static void put(struct object *batch)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE)
        pthread_cond_wait(&queue.has_room, &queue.lock);
    queue.batches[(queue.first + queue.count++) % QUEUE] = batch;
    pthread_cond_signal(&queue.has_batch);
    pthread_mutex_unlock(&queue.lock);
}

/* NULL when there are none and will be none. */
static struct object *get(void)
{
    struct object *batch = NULL;
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && queue.producers != 0)
        pthread_cond_wait(&queue.has_batch, &queue.lock);
    if (queue.count != 0) {
        batch = queue.batches[queue.first];
        queue.first = (queue.first + 1) % QUEUE;
        queue.count--;
        pthread_cond_signal(&queue.has_room);
    }
    pthread_mutex_unlock(&queue.lock);
    return batch;
}

static void produce(void)
{
    for (unsigned i = 0; i < batches_each; i++) {
        struct object *batch = NULL;
        for (unsigned j = 0; j < BATCH; j++) {
            struct object *object = malloc(sizeof *object);
            if (object == NULL)
                abort();
            object->next = batch;
            batch = object;
        }
        put(batch);
    }
    pthread_mutex_lock(&queue.lock);
    queue.producers--;
    pthread_cond_broadcast(&queue.has_batch);
    pthread_mutex_unlock(&queue.lock);
}

static void consume(void)
{
    struct object *object;
    while ((object = get()) != NULL) {
        while (object != NULL) {
            struct object *next = object->next;
            free(object);
            object = next;
        }
    }
}

static void *work(void *number)
{
    if (*(unsigned *)number < SIDES)
        produce();
    else
        consume();
    return NULL;
}

int main(int argc, char **argv)
{
    batches_each = program_count(argc, argv, 600);
    program_run(2 * SIDES, work);
    return program_rest();
}
