/* SPDX-License-Identifier: MIT */
/* os/owner.c: owners whose thread has ended are found, and no others. */
#include "os/owner.h"

#include "os/compiler.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

static struct hak_owner owner;

static void *take(void *drops)
{
    hak_owner_take(&owner);
    EXPECT(!hak_owner_bury(&owner));
    if (drops != NULL)
        hak_owner_drop(&owner);
    return NULL;
}

static void nobody_cannot_die(void)
{
    struct hak_owner none = {.is_owned = false};
    EXPECT(!hak_owner_bury(&none));
}

static void the_dead_are_found_once(void)
{
    for (unsigned i = 0; i < 100; i++) {
        threads_run(1, take, NULL, 0);
        EXPECT(hak_owner_bury(&owner));
        EXPECT(!hak_owner_bury(&owner));
    }
}

static void who_drops_leaves_nothing(void)
{
    char yes = 1;
    threads_run(1, take, &yes, 1);
    EXPECT(!hak_owner_bury(&owner));
}

/* The child's thread is another one for the kernel, and becomes the owner again. */
static void a_child_takes_again(void)
{
    if (HAK_THREAD_SANITIZER) {
        tap_skip("the thread sanitizer takes the child's thread for its parent's");
        return;
    }
    hak_owner_take(&owner);
    pid_t child = process_fork();
    if (child == 0) {
        hak_owner_take(&owner);
        int good = !hak_owner_bury(&owner);
        hak_owner_drop(&owner);
        threads_run(1, take, NULL, 0);
        _exit(good && hak_owner_bury(&owner) ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
    EXPECT(!hak_owner_bury(&owner));
    hak_owner_drop(&owner);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a thing without an owner has no dead owner", nobody_cannot_die},
        {"an owner that ended without notice is found, once", the_dead_are_found_once},
        {"an owner that gave up ownership is not found", who_drops_leaves_nothing},
        {"the child of a fork becomes the owner again", a_child_takes_again},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
