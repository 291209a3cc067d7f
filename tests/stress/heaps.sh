#!/bin/sh
# SPDX-License-Identifier: MIT
# 100,000 heaps made and ended, and the threads of tests/conform/heaps.c many times: TAP, for
# `make check-long`. HAKMEM_TEST_HEAPS: another number.
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
heaps=$(dirname "$HAKMEM_TEST_LIBRARY")/../tests/conform/heaps.modes
status=0
count=0

run() { # NAME REPEATS CASE
    count=$((count + 1))
    result=ok
    repeat=0
    while [ $repeat -lt "$2" ]; do
        LD_PRELOAD="$HAKMEM_TEST_LIBRARY" HAKMEM_SHARD=cpu \
            HAKMEM_TEST_HEAPS="${HAKMEM_TEST_HEAPS:-100000}" "$heaps" "$3" >"$output" 2>&1 ||
            result="not ok"
        grep '^# tests' "$output"
        repeat=$((repeat + 1))
    done
    [ "$result" = ok ] || status=1
    echo "$result $count - $1"
}

output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
run "the process stays as large" 1 "creating and destroying"
run "eight threads free while a ninth destroys and creates" 30 "eight threads"
run "calls while heaps are destroyed" 30 "calls on a heap"
run "forks" 10 "heaps go on"
heaps=$(dirname "$HAKMEM_TEST_LIBRARY")/../tests/conform/heap_fronts.modes
run "the process stays as large, with fronts" 1 "heaps and threads"
run "eight threads with fronts while a ninth ends and creates" 30 "eight threads"
run "calls on fronts while heaps end" 10 "calls on a heap"
echo "1..$count"
exit $status
