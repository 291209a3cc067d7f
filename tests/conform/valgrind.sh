#!/bin/sh
# SPDX-License-Identifier: MIT
#
# valgrind.sh - a program with threads (effect.c) runs under Valgrind, which has no restartable
# sequences, and whose threads take turns: the mode says that fronts are the threads'.

if [ -n "$HAKMEM_TEST_SANITIZE" ]; then
    echo "1..0 # SKIP in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
    exit 0
fi
library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_LINKED%/*}/effect
if ! command -v valgrind >/dev/null; then
    echo "1..0 # SKIP valgrind is not installed"
    exit 0
fi
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
timeout -k 5 240 env HAKMEM_SHARD=cpu LD_PRELOAD="$library" \
    valgrind -q --tool=none "$program" >"$output" 2>&1
status=$?
cut -c 1-200 "$output" | sed 's/^/# /'
echo "1..2"
failed=0
if [ $status -eq 0 ] && grep -q '"counters":{' "$output"; then
    echo "ok 1 - a program runs under valgrind --tool=none"
else
    echo "not ok 1 - a program runs under valgrind --tool=none: status $status"
    failed=1
fi
if grep -q '^mode=.* by=cpu front=thread ' "$output"; then
    echo "ok 2 - the mode tells that there are no CPU fronts"
else
    echo "not ok 2 - the mode tells that there are no CPU fronts"
    failed=1
fi
exit $failed
