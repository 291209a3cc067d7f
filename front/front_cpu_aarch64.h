/* SPDX-License-Identifier: MIT */
/* The restartable sequences of front_cpu.h for aarch64 (little-endian): compiled by `make
 * check-aarch64`, not yet run on such a machine; the self-test decides at start whether they are
 * used. The form is that of front_cpu_x86_64.h. Plain loads and stores suffice for a front,
 * which is touched by its CPU alone, the kernel ordering what a thread did before it was moved; but
 * for the limit: its acquire pairs with the release of whoever opened or drained the fronts, so the
 * base is read behind it. */
#ifndef HAK_FRONT_FRONT_CPU_AARCH64_H
#define HAK_FRONT_FRONT_CPU_AARCH64_H

#include "front/front_cpu.h"

_Static_assert(offsetof(struct hak_cpu_fronts, limit) == 0, "ldar knows no offset");

/* clang-format off */

#define SEQUENCE_BEGIN                                              \
    ".pushsection __rseq_cs, \"aw\"\n\t"                            \
    ".balign 32\n"                                                  \
    "3:\n\t"                                                        \
    ".long 0, 0\n\t"                                                \
    ".quad 1f, 2f - 1f, 4f\n\t"                                     \
    ".popsection\n\t"                                               \
    ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"                  \
    ".quad 3b\n\t"                                                  \
    ".popsection\n\t"                                               \
    ".pushsection __rseq_failure, \"ax\"\n\t"                       \
    ".inst 0xd428bc00\n"                                            \
    "4:\n\t"                                                        \
    "b %l[again]\n\t"                                             \
    ".popsection\n\t"                                               \
    "adrp %[front], 3b\n\t"                                         \
    "add %[front], %[front], :lo12:3b\n\t"                          \
    "str %[front], [%[rseq], #8]\n"                                 \
    "1:\n\t"                                                        \
    "ldr %w[front], [%[rseq], #4]\n\t"     /* front = cpu_id */     \
    "ldar %w[bound], [%[fronts]]\n\t"      /* limit, read inside */ \
    "cmp %w[front], %w[bound]\n\t"                                  \
    "b.hs %l[none]\n\t"                                             \
    "ldr %[bound], [%[fronts], %[base]]\n\t"  /* after the limit */ \
    "add %[front], %[bound], %[front], lsl %[shift]\n\t"

#define SEQUENCE_END "2:\n\t"

#define SEQUENCE_INPUTS                                                                   \
    [rseq] "r"((char *)__builtin_thread_pointer() + hak_cpu_fronts.rseq),                 \
    [fronts] "r"(&hak_cpu_fronts), [base] "i"(offsetof(struct hak_cpu_fronts, base)),     \
    [shift] "i"(HAK_CPU_FRONT_SHIFT)

static inline void *hak_cpu_pop(unsigned class_id, unsigned tries)
{
    uint64_t front, bound, word, object, next;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "ldr %[word], [%[front], %[class], lsl #3]\n\t"     /* w = front.loaded[class] */
        "lsr %[object], %[word], #16\n\t"                   /* object(w) */
        "cbz %[object], %l[none]\n\t"                       /* if (!object(w)) return NULL */
        "ldr %[next], [%[object]]\n\t"
        "eor %[next], %[next], %[secret]\n\t"               /* l = link(object(w)) */
        "sub %[word], %[next], %[word]\n\t"
        "sub %[word], %[word], #1\n\t"                      /* l - w - 1 */
        "tst %[word], %[sound]\n\t"                         /* if (!is_sound(w, l)) */
        "b.ne %l[none]\n\t"                                 /*     return NULL */
        "str %[next], [%[front], %[class], lsl #3]\n"       /* COMMIT front.loaded[class] */
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound), [word] "=&r"(word), [object] "=&r"(object),
          [next] "=&r"(next)
        : SEQUENCE_INPUTS, [class] "r"((uint64_t)class_id), [secret] "r"(hak_link_secret),
          [sound] "i"(HAK_LINK_SOUND_MASK)
        : "memory", "cc"
        : again, none);
    if (object == 0)
        __builtin_unreachable();    /* spares the caller a test */
    return (void *)object;
again:
    if (--tries != 0)
        goto restart;
none:
    hak_cpu_left();
    return NULL;
}

static inline enum hak_cpu_push hak_cpu_push(unsigned class_id, unsigned home, void *object,
                                             unsigned tries)
{
    uint64_t front, bound, word, room;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "ldr %w[word], [%[front], %[home_offset]]\n\t"      /* if (front.home != home) */
        "cmp %w[word], %w[home]\n\t"
        "b.ne %l[foreign]\n\t"                              /*     return FOREIGN */
        "ldr %[word], [%[front], %[class], lsl #3]\n\t"     /* w = front.loaded[class] */
        "add %[bound], %[front], %[refused_offset]\n\t"
        "ldr %w[room], [%[bound], %[class], lsl #2]\n\t"
        "tst %w[room], %w[shifted]\n\t"                     /* if (o is misplaced) */
        "b.ne %l[none]\n\t"                                 /*     return FULL */
        "cmp %[object], %[word], lsr #16\n\t"               /* if (object(w) == o) */
        "b.eq %l[none]\n\t"                                 /*     return FULL: see release_small */
        "ands %[room], %[word], #0xffff\n\t"                /* if (!room(w)) */
        "b.eq %l[none]\n\t"                                 /*     return FULL */
        "eor %[bound], %[word], %[mask]\n\t"
        "str %[bound], [%[object]]\n\t"                     /* link(o) = w */
        "add %[word], %[room], %[shifted]\n\t"
        "sub %[word], %[word], #1\n\t"                      /* {o, room(w) - 1} */
        "str %[word], [%[front], %[class], lsl #3]\n"       /* COMMIT front.loaded[class] */
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound), [word] "=&r"(word), [room] "=&r"(room)
        : SEQUENCE_INPUTS, [class] "r"((uint64_t)class_id), [home] "r"(home),
          [object] "r"(object), [shifted] "r"(hak_chain_make(object, 0).word),
          [mask] "r"(hak_link_secret), [home_offset] "i"(offsetof(struct hak_front, home)),
          [refused_offset] "i"(offsetof(struct hak_front, refused))
        : "memory", "cc"
        : again, none, foreign);
    return HAK_CPU_PUSHED;
again:
    if (--tries != 0)
        goto restart;
none:
    return HAK_CPU_FULL;
foreign:
    return HAK_CPU_FOREIGN;
}

static inline enum hak_cpu_push hak_cpu_push_at(size_t slot, void *object, unsigned tries)
{
    uint64_t front, bound, word, room;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "ldr %[word], [%[front], %[slot]]\n\t"              /* w = magazine */
        "ands %[room], %[word], #0xffff\n\t"                /* if (!room(w)) */
        "b.eq %l[none]\n\t"                                 /*     return FULL */
        "eor %[bound], %[word], %[mask]\n\t"
        "str %[bound], [%[object]]\n\t"                     /* link(o) = w */
        "add %[word], %[room], %[shifted]\n\t"
        "sub %[word], %[word], #1\n\t"                      /* {o, room(w) - 1} */
        "str %[word], [%[front], %[slot]]\n"                /* COMMIT magazine */
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound), [word] "=&r"(word), [room] "=&r"(room)
        : SEQUENCE_INPUTS, [slot] "r"(slot), [object] "r"(object),
          [shifted] "r"(hak_chain_make(object, 0).word), [mask] "r"(hak_link_secret)
        : "memory", "cc"
        : again, none);
    return HAK_CPU_PUSHED;
again:
    if (--tries != 0)
        goto restart;
none:
    return HAK_CPU_FULL;
}

static inline struct hak_chain hak_cpu_take(size_t slot, struct hak_chain empty, unsigned tries)
{
    uint64_t front, bound, word;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "ldr %[word], [%[front], %[slot]]\n\t"              /* w = magazine */
        "lsr %[bound], %[word], #16\n\t"                    /* if (!object(w)) */
        "cbz %[bound], %l[none]\n\t"                        /*     return {0} */
        "str %[empty], [%[front], %[slot]]\n"               /* COMMIT magazine = empty */
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound), [word] "=&r"(word)
        : SEQUENCE_INPUTS, [slot] "r"(slot), [empty] "r"(empty.word)
        : "memory", "cc"
        : again, none);
    return (struct hak_chain){word};
again:
    if (--tries != 0)
        goto restart;
none:
    hak_cpu_left();
    return HAK_NO_CHAIN;
}

static inline bool hak_cpu_install(size_t slot, struct hak_chain chain, unsigned tries)
{
    uint64_t front, bound;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "ldr %[bound], [%[front], %[slot]]\n\t"             /* if (object(magazine)) */
        "lsr %[bound], %[bound], #16\n\t"
        "cbnz %[bound], %l[none]\n\t"                       /*     return false */
        "str %[word], [%[front], %[slot]]\n"                /* COMMIT magazine = w */
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound)
        : SEQUENCE_INPUTS, [slot] "r"(slot), [word] "r"(chain.word)
        : "memory", "cc"
        : again, none);
    return true;
again:
    if (--tries != 0)
        goto restart;
none:
    return false;
}

/* As in front_cpu_x86_64.h. */
static inline bool hak_cpu_spin(const struct hak_cpu_fronts *fronts, const uint32_t *flag,
                               uint64_t *turns)
{
    uint64_t front, bound, left = *turns;
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "5:\n\t"
        "ldr %w[bound], [%[flag]]\n\t"
        "cbnz %w[bound], %l[none]\n\t"
        "subs %[turns], %[turns], #1\n\t"
        "b.ne 5b\n"
        SEQUENCE_END
        : [front] "=&r"(front), [bound] "=&r"(bound), [turns] "+&r"(left)
        : [rseq] "r"((char *)__builtin_thread_pointer() + fronts->rseq),
          [fronts] "r"(fronts), [base] "i"(offsetof(struct hak_cpu_fronts, base)),
          [shift] "i"(HAK_CPU_FRONT_SHIFT), [flag] "r"(flag)
        : "memory", "cc"
        : again, none);
none:
    hak_cpu_left();
    *turns = left;
    return false;
again:
    return true;
}

#undef SEQUENCE_BEGIN
#undef SEQUENCE_END
#undef SEQUENCE_INPUTS

/* clang-format on */

#endif
