#!/bin/sh
# SPDX-License-Identifier: MIT
#
# idle.sh - 2,000 threads that each allocated, freed most of it, and wait (bench/workloads/threads_idle):
# what is resident with CPU fronts is at most 1.1 times what it is on glibc with a single arena, and
# at most half of what it is with a front for each thread. Other allocators' figures stand as comments.
#
# HAKMEM_TEST_LIBRARY     the library, absolute        HAKMEM_TEST_IDLE   the program
# HAKMEM_TEST_SANITIZE    not empty: the sanitizer owns malloc, so there is nothing to preload

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_quick_check
skip_all_in_sanitizer_build

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_IDLE:-bench/workloads/threads_idle}
threads=2000

# measure NAME SERVED VARIABLE=VALUE...: sets resident, in KiB; 0 where SERVED did not serve
measure() {
    name=$1
    served=$2
    shift 2
    line=$(timeout -k 5 120 env "$@" "$program" --threads $threads 2>&1)
    resident=$(printf '%s\n' "$line" | sed -n "s|.* idle_rss_kib=\([0-9]*\) .* library=.*$served.*|\1|p")
    resident=${resident:-0}
    case $line in
    *"cannot create a thread"*)
        echo "1..0 # SKIP $threads threads cannot be had here: $name"
        exit 0
        ;;
    esac
    if [ "$resident" -gt 0 ]; then
        echo "# $name: $resident KiB"
    else
        echo "# $name: no figures: $line"
    fi
}

measure "glibc, one arena" /libc. MALLOC_ARENA_MAX=1
glibc=$resident
measure "hakmem, thread fronts" libhakmem \
    HAKMEM_SHARD=cpu HAKMEM_FRONT=thread LD_PRELOAD="$library"
by_thread=$resident
measure "hakmem, CPU fronts" libhakmem HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu LD_PRELOAD="$library"
by_cpu=$resident
for peer in libmimalloc.so.2 libjemalloc.so.2 libtcmalloc_minimal.so.4; do
    for file in /usr/lib/*/"$peer"; do
        [ ! -e "$file" ] || measure "$peer" "$peer" LD_PRELOAD="$file"
    done
done

# What is in force may be less than what was asked for: where there are no restartable sequences.
mode=$(env HAKMEM_VERBOSE=1 HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu LD_PRELOAD="$library" true 2>&1)
case $mode in
*front=cpu*) ;;
*)
    echo "1..0 # SKIP there are no CPU fronts here: $(printf '%s\n' "$mode" | grep shards=)"
    exit 0
    ;;
esac
echo "1..2"
verdict "$threads idle threads: at most 1.1 times glibc with one arena" \
    "$by_cpu > 0 && $glibc > 0 && $by_cpu * 10 <= $glibc * 11"
verdict "$threads idle threads: at most half of what thread fronts take" \
    "$by_cpu > 0 && $by_thread > 0 && $by_cpu * 2 <= $by_thread"
exit $tap_failed
