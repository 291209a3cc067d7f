/* SPDX-License-Identifier: MIT */
/* os/secret.c: one number for a process, another for the next; not what libc uses itself. */
#include "os/secret.h"

#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/lib/tap.h"

static const char *self;

static void stays_within_a_process(void)
{
    uint64_t secret = hak_os_secret(HAK_SECRET_OF_LINKS);
    EXPECT(secret != 0);
    EXPECT_EQ(hak_os_secret(HAK_SECRET_OF_LINKS), secret);
    pid_t child = process_fork();
    if (child == 0)
        _exit(hak_os_secret(HAK_SECRET_OF_LINKS) == secret ? 0 : 1);
    EXPECT_EQ(process_wait(child, 10), 0);
}

static void is_not_what_the_kernel_gave(void)
{
    uint64_t halves[2];
    memcpy(halves, (const void *)getauxval(AT_RANDOM), sizeof halves);
    EXPECT(hak_os_secret(HAK_SECRET_OF_LINKS) != halves[0]);
    EXPECT(hak_os_secret(HAK_SECRET_OF_LINKS) != halves[1]);
    EXPECT(hak_os_secret(HAK_SECRET_OF_LINKS) != hak_os_secret(HAK_SECRET_OF_PLACES));
}

static uint64_t secret_of_another(void)
{
    char command[4200];
    unsigned long long secret = 0;
    snprintf(command, sizeof command, "'%s' secret", self);
    FILE *answer = popen(command, "r");
    if (!EXPECT(answer != NULL))
        return 0;
    EXPECT_EQ(fscanf(answer, "%llx", &secret), 1);
    pclose(answer);
    return secret;
}

static void differs_between_processes(void)
{
    uint64_t one = secret_of_another();
    uint64_t other = secret_of_another();
    EXPECT(one != other);
    EXPECT(one != hak_os_secret(HAK_SECRET_OF_LINKS));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a secret stays the same within a process", stays_within_a_process},
        {"a secret is not what the kernel gave", is_not_what_the_kernel_gave},
        {"a secret differs between processes", differs_between_processes},
    };
    if (argc == 2 && strcmp(argv[1], "secret") == 0) {
        printf("%llx\n", (unsigned long long)hak_os_secret(HAK_SECRET_OF_LINKS));
        return 0;
    }
    self = argv[0];
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
