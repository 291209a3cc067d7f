/* SPDX-License-Identifier: MIT */
/* Claims on what a heap may keep: see the header. */
#include "learn/credit.h"

#include "learn/learner.h"

enum {
    YIELD_SHARE = 4, /* 1/4 of what it has beyond its part a cache gives up at once */
};

/* relaxed, in all of this file: the numbers only say how much may be kept, and publish no memory;
 * see the header */
static size_t read_bytes(const size_t *bytes)
{
    return __atomic_load_n(bytes, __ATOMIC_RELAXED);
}

static uint32_t read_count(const uint32_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

/* What is allowed before anything is known. Of a machine of 64 CPUs at work each has a lane, which
 * would get a quarter of a MiB of the first 16 MiB, and fault in again what it gave back. */
static size_t first_bytes(const struct hak_credit *credit, size_t more)
{
    size_t holders = read_count(&credit->holders) + more;
    size_t seats = read_count(&credit->seats);
    holders = holders > seats ? holders : seats;
    size_t cpus = read_bytes(&credit->cpus);
    size_t each = (holders < cpus ? holders : cpus) * HAK_CREDIT_EACH;
    return each > HAK_CREDIT_FIRST ? each : HAK_CREDIT_FIRST;
}

static size_t allowed(const struct hak_settings *settings, size_t more)
{
    const struct hak_credit *credit = settings->credit;
    size_t most = read_bytes(&credit->most);
    size_t first = first_bytes(credit, more) + read_bytes(&credit->granted);
    return hak_learner_decides(settings) && first < most ? first : most;
}

/* Between the load and the store another may take a seat: then one is missing until somebody claims
 * anew, or is refused as before. */
static void count_holder(struct hak_credit *credit)
{
    uint32_t holders = __atomic_add_fetch(&credit->holders, 1, __ATOMIC_RELAXED);
    if (read_count(&credit->seats) < holders)
        __atomic_store_n(&credit->seats, holders, __ATOMIC_RELAXED);
}

static void grant(struct hak_credit *credit, struct hak_claim *claim, size_t retain)
{
    size_t granted = retain > HAK_CREDIT_FIRST ? retain - HAK_CREDIT_FIRST : 0;
    if (granted == claim->granted)
        return;
    /* Unsigned: the difference wraps, and the sum comes out right. */
    __atomic_fetch_add(&credit->granted, granted - claim->granted, __ATOMIC_RELAXED);
    claim->granted = granted;
}

int hak_credit_claim(const struct hak_settings *settings, struct hak_claim *claim, size_t bytes,
                     size_t retain)
{
    struct hak_credit *credit = settings->credit;
    if (credit == NULL) {
        claim->bytes += bytes;
        return 1;
    }
    grant(credit, claim, retain);
    size_t most = allowed(settings, claim->bytes == 0); /* it would be a holder, too */
    size_t now = read_bytes(&credit->claimed);
    do {
        if (now + bytes > most) {
            __atomic_fetch_add(&credit->refused, 1, __ATOMIC_RELAXED);
            return 0;
        }
    } while (!__atomic_compare_exchange_n(&credit->claimed, &now, now + bytes, 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    if (claim->bytes == 0 && bytes != 0)
        count_holder(credit);
    claim->bytes += bytes;
    return 1;
}

void hak_credit_give_back(const struct hak_settings *settings, struct hak_claim *claim,
                          size_t bytes, size_t retain)
{
    struct hak_credit *credit = settings->credit;
    size_t excess = claim->bytes > bytes ? claim->bytes - bytes : 0;
    claim->bytes -= excess;
    if (credit == NULL)
        return;
    grant(credit, claim, retain);
    if (excess == 0)
        return;
    __atomic_fetch_sub(&credit->claimed, excess, __ATOMIC_RELAXED);
    if (claim->bytes == 0)
        __atomic_fetch_sub(&credit->holders, 1, __ATOMIC_RELAXED);
}

void hak_credit_turn(const struct hak_settings *settings)
{
    struct hak_credit *credit = settings->credit;
    if (credit == NULL)
        return;
    uint32_t seats = read_count(&credit->seats);
    if (seats > read_count(&credit->holders))
        __atomic_store_n(&credit->seats, seats - 1, __ATOMIC_RELAXED);
}

size_t hak_credit_excess(const struct hak_settings *settings)
{
    if (settings->credit == NULL)
        return 0;
    size_t claimed = read_bytes(&settings->credit->claimed);
    size_t most = allowed(settings, 0);
    return claimed > most ? claimed - most : 0;
}

size_t hak_credit_fair(const struct hak_settings *settings, struct hak_claim *claim)
{
    const struct hak_credit *credit = settings->credit;
    if (credit == NULL)
        return claim->bytes;
    uint32_t refused = read_count(&credit->refused);
    uint32_t holders = read_count(&credit->holders);
    if (refused == claim->refused)
        return claim->bytes;
    claim->refused = refused;
    /* The cache that was refused may have no claim yet; it gets a part, too. */
    size_t part = allowed(settings, 0) / ((size_t)holders + 1);
    return claim->bytes > part ? claim->bytes - (claim->bytes - part) / YIELD_SHARE : claim->bytes;
}
