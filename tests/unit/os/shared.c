/* SPDX-License-Identifier: MIT */
/* os/shared.c: memory that another process finds in /proc and reads, and that a child does not
 * have. */
#include "os/shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/lib/tap.h"

enum { SIZE = 64 * 1024 };

static void is_found_and_read_by_others(void)
{
    char path[64];
    char target[64] = "";
    char text[8] = "";
    int descriptor;
    char *memory = hak_os_map_shared("hakmem-test", SIZE, &descriptor);
    if (!EXPECT(memory != NULL && descriptor >= 0))
        return;
    EXPECT_EQ(memory[SIZE - 1], 0);
    memcpy(memory + 100, "shown", 6);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    EXPECT(readlink(path, target, sizeof target - 1) > 0);
    EXPECT(strncmp(target, "/memfd:hakmem-test", 18) == 0);
    int reader = open(path, O_RDONLY);
    EXPECT_EQ(pread(reader, text, 6, 100), 6);
    EXPECT_EQ(strcmp(text, "shown"), 0);
    struct stat status;
    EXPECT_EQ(fstat(reader, &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600);
    EXPECT_EQ(fcntl(descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(reader);
    munmap(memory, SIZE);
    close(descriptor);
}

/* A child that wrote to it would write into what its parent shows. */
static void a_child_has_it_not(void)
{
    int descriptor;
    char *memory = hak_os_map_shared("hakmem-test", SIZE, &descriptor);
    if (!EXPECT(memory != NULL))
        return;
    memory[0] = 1;
    pid_t child = process_fork();
    if (child == 0) {
        unsigned char present;
        int is_gone = mincore(memory, 4096, &present) != 0;
        hak_os_forget_shared(descriptor, SIZE);
        int is_closed = fcntl(descriptor, F_GETFD) < 0;
        _exit(is_gone && is_closed ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 10), 0);
    EXPECT(fcntl(descriptor, F_GETFD) >= 0);
    munmap(memory, SIZE);
    close(descriptor);
}

/* The program closed what it did not know, and opened something that got the number. */
static void a_descriptor_of_the_program_stays(void)
{
    int null = open("/dev/null", O_RDONLY);
    hak_os_forget_shared(null, SIZE);
    EXPECT(fcntl(null, F_GETFD) >= 0);
    close(null);
    hak_os_forget_shared(null, SIZE);
    hak_os_forget_shared(-1, SIZE);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"others find it and read it", is_found_and_read_by_others},
        {"the child of a fork has it not", a_child_has_it_not},
        {"a descriptor of the program stays open", a_descriptor_of_the_program_stays},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
