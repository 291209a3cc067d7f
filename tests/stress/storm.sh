#!/bin/sh
# SPDX-License-Identifier: MIT
#
# storm.sh - the storm in each kind of front, one process each; what a process prints stands as a
# comment before its line.
#
#   storm.sh --long       what `make check-storm` runs: CPU fronts for minutes, and 1,000 re-shardings,
#                         with this build's library and with one that injects delays
#
# HAKMEM_STRESS_SECONDS   for each process (4; --long: 150)
# HAKMEM_TEST_INJECT      --long: a library of ./configure --enable-inject, absolute; empty: none
# HAKMEM_TEST_LIBRARY     the library, absolute        HAKMEM_TEST_STORM   the program
# HAKMEM_TEST_SANITIZE    not empty: the sanitizer owns malloc, so there is nothing to preload

. "$(dirname "$0")/../lib/tap.sh"

skip_all_in_sanitizer_build
library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_STORM:-tests/stress/storm}
seconds=4
[ "$1" != --long ] || seconds=150
seconds=${HAKMEM_STRESS_SECONDS:-$seconds}
refuse=$(dirname "$program")/../fault/refuse
under=    # what the program is run by, in words
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT

# storm NAME FRONT VARIABLE=VALUE... -- OPTION...
storm() {
    name=$1
    front=$2
    shift 2
    settings=
    while [ "$1" != -- ]; do
        settings="$settings $1"
        shift
    done
    shift
    # shellcheck disable=SC2086  # several words
    timeout -k 5 $((seconds * 4 + 150)) env $settings HAKMEM_TEST_LIBRARY="$library" \
        LD_PRELOAD="$library" $under "$program" \
        --threads 16 --seconds "$seconds" --front "$front" "$@" >"$output" 2>&1
    status=$?
    sed 's/^#* */# /' "$output"
    [ $status -eq 0 ] || echo "# ended with status $status"
    report $status "$name"
}

if [ "$1" = --long ]; then
    for build in this inject; do
        [ $build = this ] || library=$HAKMEM_TEST_INJECT
        if [ ! -e "$library" ]; then
            for name in "in motion" "across 1,000 re-shardings"; do
                skip "$build: CPU fronts $name" "no library with injected delays"
            done
            continue
        fi
        echo "# $build: $library, $seconds s each"
        storm "$build: CPU fronts in motion" cpu \
            HAKMEM_SHARD=cpu -- --move yes --signals 1000 --trim 50
        storm "$build: CPU fronts across 1,000 re-shardings" cpu \
            HAKMEM_SHARD=cpu -- --move yes --signals 1000 --trim 50 --reshard 1000
    done
    tap_end
fi

storm "CPU fronts, a shard for each CPU: moved, signalled, trimmed" cpu \
    HAKMEM_SHARD=cpu -- --move yes --signals 1000 --trim 50
storm "CPU fronts that are closed and emptied a thousand times a second" cpu \
    HAKMEM_SHARD=cpu -- --threads 4 --trim 3000
storm "CPU fronts over a single shard: moved, signalled" cpu \
    HAKMEM_SHARD=single HAKMEM_FRONT=cpu -- --move yes --signals 1000
storm "CPU fronts across re-shardings: moved, signalled, trimmed" cpu \
    HAKMEM_SHARD=cpu -- --move yes --signals 1000 --trim 50 --reshard $((seconds * 15))
storm "thread fronts across re-shardings: moved, signalled, trimmed" thread \
    HAKMEM_SHARD=node HAKMEM_FRONT=thread -- --move yes --signals 1000 --trim 50 \
    --reshard $((seconds * 15))
storm "thread fronts where threads have no restartable sequences" thread \
    HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu GLIBC_TUNABLES=glibc.pthread.rseq=0 -- \
    --move yes --signals 1000 --trim 50
if "$refuse" EPERM membarrier -- true; then
    under="$refuse EPERM membarrier --"
    storm "CPU fronts that cannot be emptied, for want of membarrier" cpu \
        HAKMEM_SHARD=cpu -- --move yes --signals 1000 --trim 50
else
    skip "CPU fronts that cannot be emptied" "no filter may be set here"
fi
tap_end
