/* SPDX-License-Identifier: MIT */
/* The restartable sequences of front_cpu.h for x86-64. Every sequence has the form
 *
 *        lea   descriptor -> rseq_cs
 *     1: ...                              first instruction that may be restarted
 *        mov   ..., magazine              COMMIT
 *     2:                                  done
 *     4: (elsewhere, behind the signature that the kernel demands) jump to the label `again`
 *
 * A preemption between 1 and 2 continues at 4: then another try is made, or none is left. The
 * descriptor's address stays in rseq_cs afterwards: the kernel clears it when it finds the thread
 * outside. */
#ifndef HAK_FRONT_FRONT_CPU_X86_64_H
#define HAK_FRONT_FRONT_CPU_X86_64_H

#include "front/front_cpu.h"

/* clang-format off */

/* The descriptor {version, flags, start, length, abort}; RSEQ_SIG as operand of an undefined
 * instruction in front of the abort address; writing the descriptor's address; the front of the
 * CPU in `front`. */
#define SEQUENCE_BEGIN                                          \
    ".pushsection __rseq_cs, \"aw\"\n\t"                        \
    ".balign 32\n"                                              \
    "3:\n\t"                                                    \
    ".long 0, 0\n\t"                                            \
    ".quad 1f, 2f - 1f, 4f\n\t"                                 \
    ".popsection\n\t"                                           \
    ".pushsection __rseq_cs_ptr_array, \"aw\"\n\t"              \
    ".quad 3b\n\t"                                              \
    ".popsection\n\t"                                           \
    ".pushsection __rseq_failure, \"ax\"\n\t"                   \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                                \
    ".long 0x53053053\n"                                        \
    "4:\n\t"                                                    \
    "jmp %l[again]\n\t"                                       \
    ".popsection\n\t"                                           \
    "leaq 3b(%%rip), %[front]\n\t"                              \
    "movq %[front], %%fs:8(%[rseq])\n"                          \
    "1:\n\t"                                                    \
    "movl %%fs:4(%[rseq]), %k[front]\n\t"  /* front = cpu_id */ \
    "cmpl %[limit], %k[front]\n\t"                              \
    "jae %l[none]\n\t"                                          \
    "shlq %[shift], %[front]\n\t"                               \
    "addq %[base], %[front]\n\t"           /* front = base + cpu_id * stride */

#define SEQUENCE_END "2:\n\t"

#define SEQUENCE_INPUTS                                                                   \
    [rseq] "r"(hak_cpu_fronts.rseq), [limit] "m"(hak_cpu_fronts.limit),                   \
    [base] "m"(hak_cpu_fronts.base), [shift] "i"(HAK_CPU_FRONT_SHIFT)

static inline void *hak_cpu_pop(unsigned class_id, unsigned tries)
{
    uint64_t front, word, object, next;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "movq (%[front], %[class], 8), %[word]\n\t"     /* w = front.loaded[class] */
        "movq %[word], %[object]\n\t"
        "shrq $16, %[object]\n\t"                       /* object(w) */
        "jz %l[none]\n\t"                               /* if (!object(w)) return NULL */
        "movq (%[object]), %[next]\n\t"
        "xorq %[secret], %[next]\n\t"                   /* l = link(object(w)) */
        "notq %[word]\n\t"
        "addq %[next], %[word]\n\t"                     /* l - w - 1 */
        "testl %[sound], %k[word]\n\t"                  /* if (!is_sound(w, l)) */
        "jnz %l[none]\n\t"                              /*     return NULL */
        "movq %[next], (%[front], %[class], 8)\n"       /* COMMIT front.loaded[class] = link */
        SEQUENCE_END
        : [front] "=&r"(front), [word] "=&r"(word), [object] "=&r"(object), [next] "=&r"(next)
        : SEQUENCE_INPUTS, [class] "r"((uint64_t)class_id), [secret] "m"(hak_link_secret),
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
    uint64_t front, word, link;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "cmpl %[home], %c[home_offset](%[front])\n\t"   /* if (front.home != home) */
        "jne %l[foreign]\n\t"                           /*     return FOREIGN */
        "movq (%[front], %[class], 8), %[word]\n\t"     /* w = front.loaded[class] */
        "testw %w[word], %w[word]\n\t"                  /* if (!room(w)) */
        "jz %l[none]\n\t"                               /*     return FULL */
        "testl %k[shifted], %c[refused_offset](%[front], %[class], 4)\n\t"
        "jnz %l[none]\n\t"                              /* if (o is misplaced) return FULL */
        "movq %[word], %[link]\n\t"
        "shrq $16, %[link]\n\t"                         /* if (object(w) == o) */
        "cmpq %[link], %[object]\n\t"                   /*     return FULL: see release_small */
        "je %l[none]\n\t"
        "movq %[secret], %[link]\n\t"
        "xorq %[word], %[link]\n\t"
        "movq %[link], (%[object])\n\t"                 /* link(o) = w */
        "movzwl %w[word], %k[word]\n\t"                 /* room(w) */
        "leaq -1(%[word], %[shifted]), %[word]\n\t"     /* {o, room(w) - 1} */
        "movq %[word], (%[front], %[class], 8)\n"       /* COMMIT front.loaded[class] */
        SEQUENCE_END
        : [front] "=&r"(front), [word] "=&r"(word), [link] "=&r"(link)
        : SEQUENCE_INPUTS, [class] "r"((uint64_t)class_id), [home] "r"(home),
          [object] "r"(object), [shifted] "r"(hak_chain_make(object, 0).word),
          [secret] "m"(hak_link_secret), [refused_offset] "i"(offsetof(struct hak_front, refused)),
          [home_offset] "i"(offsetof(struct hak_front, home))
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
    uint64_t front, word, link;
restart:
    link = hak_link_secret;
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "movq (%[front], %[slot]), %[word]\n\t"         /* w = magazine */
        "testw %w[word], %w[word]\n\t"                  /* if (!room(w)) */
        "jz %l[none]\n\t"                               /*     return FULL */
        "xorq %[word], %[link]\n\t"
        "movq %[link], (%[object])\n\t"                 /* link(o) = w */
        "movzwl %w[word], %k[word]\n\t"                 /* room(w) */
        "leaq -1(%[word], %[shifted]), %[word]\n\t"     /* {o, room(w) - 1} */
        "movq %[word], (%[front], %[slot])\n"           /* COMMIT magazine */
        SEQUENCE_END
        : [front] "=&r"(front), [word] "=&r"(word), [link] "+&r"(link)
        : SEQUENCE_INPUTS, [slot] "r"(slot), [object] "r"(object),
          [shifted] "r"(hak_chain_make(object, 0).word)
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
    uint64_t front, word;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "movq (%[front], %[slot]), %[word]\n\t"         /* w = magazine */
        "cmpq $0xffff, %[word]\n\t"                     /* if (!object(w)) */
        "jbe %l[none]\n\t"                              /*     return {0} */
        "movq %[empty], (%[front], %[slot])\n"          /* COMMIT magazine = empty */
        SEQUENCE_END
        : [front] "=&r"(front), [word] "=&r"(word)
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
    uint64_t front;
restart:
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "cmpq $0xffff, (%[front], %[slot])\n\t"         /* if (object(magazine)) */
        "ja %l[none]\n\t"                               /*     return false */
        "movq %[word], (%[front], %[slot])\n"           /* COMMIT magazine = w */
        SEQUENCE_END
        : [front] "=&r"(front)
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

/* For the self-test, on `fronts` that nobody else knows and that it does not touch: spins inside a
 * sequence until *flag is set, at most *turns times. Whether it was restarted, as it must be; else
 * it saw the flag without, with *turns left, or came to the end of them. */
static inline bool hak_cpu_spin(const struct hak_cpu_fronts *fronts, const uint32_t *flag,
                               uint64_t *turns)
{
    uint64_t front, left = *turns;
    __asm__ goto volatile(
        SEQUENCE_BEGIN
        "5:\n\t"
        "cmpl $0, (%[flag])\n\t"
        "jne %l[none]\n\t"
        "decq %[turns]\n\t"
        "jnz 5b\n"
        SEQUENCE_END
        : [front] "=&r"(front), [turns] "+&r"(left)
        : [rseq] "r"(fronts->rseq), [limit] "m"(fronts->limit), [base] "m"(fronts->base),
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
