#!/bin/sh
# SPDX-License-Identifier: MIT
#
# prefixed.sh - the stress by hakmem_malloc and its sisters (random.c, STRESS_PREFIXED): in a
# sanitizer build in each mode, since there nothing else stresses the library; else once, for
# random.modes does the same through malloc.
#
# HAKMEM_TEST_SANITIZE    not empty: the sanitizer owns malloc
# HAKMEM_STRESS_SECONDS   for each case (2)

program=${HAKMEM_TEST_PREFIXED:-tests/stress/prefixed}
seconds=${HAKMEM_STRESS_SECONDS:-2}
. "$(dirname "$0")/../lib/tap.sh"
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT

# run NAME IN-FORCE VARIABLE=VALUE...: IN-FORCE is what HAKMEM_VERBOSE must tell of the mode
run() {
    name=$1
    in_force=$2
    shift 2
    timeout -k 5 300 env HAKMEM_VERBOSE=1 "$@" "$program" --seconds "$seconds" >"$output" 2>&1
    status=$?
    grep -q "^hakmem: .*$in_force" "$output" || status="$status, not $in_force"
    grep -v ': no such option$' "$output" | sed 's/^#* */# /'
    [ "$status" = 0 ] || echo "# ended with status $status"
    [ "$status" = 0 ]
    report $? "$name"
}

if [ -z "$HAKMEM_TEST_SANITIZE" ]; then
    run "by the names with a prefix" by=
    tap_end
fi
run single by=single HAKMEM_SHARD=single
run node by=node HAKMEM_SHARD=node
run cpu by=cpu HAKMEM_SHARD=cpu
run 4 "shards=4 by=count" HAKMEM_SHARD=4
run "cpu, what was freed elsewhere goes home" "by=cpu .*remote=home" \
    HAKMEM_SHARD=cpu HAKMEM_REMOTE=home
tap_end
