#!/bin/sh
# SPDX-License-Identifier: MIT
#
# valgrind.sh - a program with threads (effect.c) runs under Valgrind, which has no restartable
# sequences, and whose threads take turns: the mode says that fronts are the threads'.

. "$(dirname "$0")/../lib/tap.sh"

skip_all_in_sanitizer_build
library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_LINKED%/*}/effect
command -v valgrind >/dev/null || skip_all "valgrind is not installed"
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
timeout -k 5 240 env HAKMEM_SHARD=cpu LD_PRELOAD="$library" \
    valgrind -q --tool=none "$program" >"$output" 2>&1
status=$?
cut -c 1-200 "$output" | sed 's/^/# /'
echo "# status $status"
[ $status -eq 0 ] && grep -q '"counters":{' "$output"
report $? "a program runs under valgrind --tool=none"
grep -q '^mode=.* by=cpu front=thread ' "$output"
report $? "the mode tells that there are no CPU fronts"
tap_end
