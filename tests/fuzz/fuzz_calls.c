/* SPDX-License-Identifier: MIT */
/* Calls of the malloc family: any order, on two threads at once, which free each other's objects.
 * The shadow model finds live objects that overlap, and objects that do not keep their bytes.
 *
 * The first half of the input is one thread's, the second the other's; three bytes are a call:
 * which function, which object, how many bytes. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hakmem.h"
#include "tests/lib/shadow.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { OBJECTS = 32, LETTERS = 8, CALL_BYTES = 3 };

struct worker {
    const uint8_t *bytes;
    size_t calls;
    struct shadow_object objects[OBJECTS];
};

/* The object that one thread leaves for the other to free; NULL: none. Atomic. */
static struct shadow_object *letters[LETTERS];

/* 0, all small sizes, and then fewer and fewer up to beyond what slabs and segments hold. */
static size_t size_of(unsigned byte)
{
    static const size_t sizes[] = {2000,  4096,   8193,   20000,   32768,         32769,
                                   70000, 100000, 262144, 1 << 20, (2 << 20) + 1, 5 << 20};
    if (byte < 200)
        return byte * 5u;
    return sizes[(byte - 200) % (sizeof sizes / sizeof sizes[0])];
}

static void enter(struct shadow_object *object, void *address, size_t size)
{
    object->address = NULL;
    if (address != NULL)
        shadow_enter(object, address, size, hakmem_usable_size(address));
}

static void drop(struct shadow_object *object)
{
    if (object->address == NULL)
        return;
    unsigned char *address = object->address;
    shadow_leave(object);
    object->address = NULL;
    hakmem_free(address);
}

static void resize(struct shadow_object *object, size_t size)
{
    struct shadow_object old = *object;
    if (old.address == NULL || size == 0)
        return;
    shadow_leave(object);
    void *address = hakmem_realloc(old.address, size);
    if (address == NULL)
        shadow_fail("realloc gave nothing", old.address, size);
    shadow_enter_resized(object, &old, address, size, hakmem_usable_size(address));
}

/* The object goes to the thread that looks there next; the one that lay there is freed here. */
static void post(struct shadow_object *object, unsigned letter)
{
    struct shadow_object *sent = NULL;
    if (object->address != NULL) {
        sent = malloc(sizeof *sent);
        if (sent == NULL)
            return;
        *sent = *object;
        object->address = NULL;
    }
    sent = __atomic_exchange_n(&letters[letter % LETTERS], sent, __ATOMIC_ACQ_REL);
    if (sent != NULL)
        drop(sent);
    free(sent);
}

static void call(struct shadow_object *object, unsigned what, unsigned number)
{
    size_t size = size_of(number);
    switch (what % 8) {
    case 0:
    case 1:
        drop(object);
        enter(object, hakmem_malloc(size), size);
        break;
    case 2:
        drop(object);
        enter(object, hakmem_calloc(1, size), size);
        break;
    case 3:
        drop(object);
        size += size == 0;
        enter(object, hakmem_aligned_alloc((size_t)16 << what / 8 % 12, size), size);
        break;
    case 4:
        resize(object, size);
        break;
    case 5:
        post(object, number);
        break;
    case 6:
        if (number == 255)
            hakmem_trim();
        else if (object->address != NULL)
            shadow_check(object);
        break;
    default:
        drop(object);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < worker->calls; i++) {
        const uint8_t *bytes = worker->bytes + i * CALL_BYTES;
        call(&worker->objects[bytes[1] % OBJECTS], bytes[0], bytes[2]);
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        drop(&worker->objects[i]);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int is_started;
    struct worker workers[2] = {0};
    pthread_t thread;
    if (!is_started)
        shadow_start(1);
    is_started = 1;
    for (unsigned i = 0; i < 2; i++) {
        workers[i].calls = size / 2 / CALL_BYTES;
        workers[i].bytes = bytes + i * workers[i].calls * CALL_BYTES;
    }
    if (pthread_create(&thread, NULL, work, &workers[1]) != 0)
        return 0;
    work(&workers[0]);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < LETTERS; i++)
        post(&(struct shadow_object){0}, i);
    return 0;
}
