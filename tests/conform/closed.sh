#!/bin/sh
# SPDX-License-Identifier: MIT
#
# closed.sh - a plugin that has the archive in it, closed while threads that allocated in it live on:
# their ends, and forks after it, run no code that is gone. liburcu-bp itself stays (the program is
# linked with it): it has a destructor of its own for threads that it knows.

archive=${HAKMEM_TEST_ARCHIVE:?is to name the built libhakmem.a}
. "$(dirname "$0")/../lib/tap.sh"

if [ -n "$HAKMEM_TEST_SANITIZE" ] || [ ! -e "$archive" ]; then
    skip_all "no archive that could be linked"
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2034  # tap.sh shows it
tap_details=$work/log
cat >"$work/plugin.c" <<'END'
#include <stddef.h>
void *hakmem_malloc(size_t size);
void hakmem_free(void *object);
void use(void)
{
    void *objects[100];
    for (int i = 0; i < 100; i++)
        objects[i] = hakmem_malloc(10 * i);
    for (int i = 0; i < 100; i++)
        hakmem_free(objects[i]);
}
END
cat >"$work/program.c" <<'END'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void (*use)(void);
static pthread_barrier_t used, closed;
static void *body(void *unused)
{
    use();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return unused;
}
int main(int argc, char **argv)
{
    for (int turn = 0; turn < 3; turn++) {
        void *plugin = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
        use = plugin ? (void (*)(void))dlsym(plugin, "use") : 0;
        if (!use)
            return fprintf(stderr, "%s\n", dlerror()), 2;
        pthread_t threads[4];
        pthread_barrier_init(&used, 0, 5);
        pthread_barrier_init(&closed, 0, 5);
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], 0, body, 0);
        pthread_barrier_wait(&used);
        use();
        dlclose(plugin);
        if (dlopen(argv[argc - 1], RTLD_NOW | RTLD_NOLOAD))
            return 3;
        pthread_barrier_wait(&closed);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], 0);
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            return 4;
    }
    return 0;
}
END
# shellcheck disable=SC2086 # a list of words
{
    ${CC:-cc} -fPIC -shared -o "$work/plugin.so" "$work/plugin.c" "$archive" -Wl,-Bsymbolic \
        -Wl,--exclude-libs,ALL -pthread -lurcu-bp -lurcu-common -ldl &&
        ${CC:-cc} -o "$work/program" "$work/program.c" -Wl,--no-as-needed -lurcu-bp -pthread -ldl
} >"$work/log" 2>&1
report $? "a plugin with the archive in it can be built"
timeout 60 env -u LD_PRELOAD "$work/program" "$work/plugin.so" >"$work/log" 2>&1
status=$?
echo "status $status" >>"$work/log"
report $status "threads outlive a plugin that has the archive in it"
tap_end
