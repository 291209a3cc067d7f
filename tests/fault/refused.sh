#!/bin/sh
# SPDX-License-Identifier: MIT
# A kernel that refuses calls, as in containers: each call alone and all together, by EPERM and by
# ENOSYS. The conformance tests pass in each case. TAP.
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
if [ -n "${HAKMEM_TEST_SANITIZE:-}" ]; then
    echo "1..0 # SKIP in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
    exit 0
fi
tests=$(dirname "$HAKMEM_TEST_LINKED")/..
refuse=$tests/fault/refuse
"$refuse" EPERM mbind -- true
if [ $? -eq 77 ]; then
    echo "1..0 # SKIP no seccomp filter may be set here"
    exit 0
fi
count=0
failed=0
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT

one() { # ERROR CALL MODE PROGRAM
    count=$((count + 1))
    if timeout -k 5 120 "$refuse" "$1" "$2" -- env HAKMEM_SHARD="$3" HAKMEM_TEST_MODE="$3" \
        LD_PRELOAD="$HAKMEM_TEST_LIBRARY" "$tests/conform/$4" >"$output" 2>&1; then
        echo "ok $count - $4 in mode $3, $2 refused by $1"
    else
        echo "not ok $count - $4 in mode $3, $2 refused by $1"
        sed 's/^/# /' "$output"
        failed=1
    fi
}

for error in EPERM ENOSYS; do
    for call in mbind get_mempolicy set_mempolicy move_pages membarrier rseq sched_setaffinity \
        sched_getaffinity all; do
        one $error $call cpu malloc.modes
        one $error $call node realloc.modes
        one $error $call cpu placement.modes
    done
    one $error all cpu threads.modes
    one $error all cpu fork.modes
done
echo "1..$count"
exit $failed
