#!/bin/sh
# SPDX-License-Identifier: MIT
#
# floor.sh - the misuses under the library: no fewer are caught than were, and malloc hands out no more
# that is wrong. docs/security.md tells what comes of each. TAP.
#
# The bounds. They are to be tightened when something is caught that was not; never to be loosened.
caught_at_least=68      # of those that HAKMEM_MISUSE=abort and warn may catch
checked_at_least=48     # of those that HAKMEM_MISUSE=check may
twice_at_most=3         # an address or bytes with two owners, in any mode
attacker_at_most=0      # the attacker's memory handed out, in any mode
crashes_at_most=3       # not caught, but ended by the processor

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_LINKED:?is to name the built linked.direct}
program=${program%/*}/../misuse/misuse

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details=$work/uncaught

bound() # PATTERN RELATION NUMBER NAME
{
    number=$(cut -f 3 "$work/out" | grep -c -E "$1")
    grep -v -E '	(-|caught)$' "$work/out" >"$work/uncaught"
    # shellcheck disable=SC1009,SC1072,SC1073  # the relation is an argument
    test "$number" "$2" "$3"
    status=$?
    report $status "$mode: $4 ($number, bound $3)"
    [ $status -ne 0 ] || [ "$mode" = glibc ] || [ "$number" -eq "$3" ] ||
        echo "# $mode: tighten the bound of '$4' to $number"
}

# What was written over a link may look like one by chance, by the secret of the process. So a run in
# which fewer are caught is repeated once.
try() # CAUGHT SETTING...
{
    caught=$1
    shift
    for attempt in first second; do
        "$program" "$@" >"$work/out" 2>"$work/err"
        [ "$mode" != ignore ] || return
        [ "$(cut -f 3 "$work/out" | grep -c caught)" -lt "$caught" ] || return
        echo "# $mode: the $attempt run caught fewer"
    done
}

for settings in "thread" "cpu HAKMEM_SHARD=cpu" "warn HAKMEM_MISUSE=warn" \
    "ignore HAKMEM_MISUSE=ignore"; do
    mode=${settings%% *}
    # shellcheck disable=SC2086  # none or one word
    try $caught_at_least LD_PRELOAD="$library" ${settings#"$mode"}
    [ "$mode" = ignore ] || bound caught -ge $caught_at_least "misuse is caught"
    bound '^(twice|overlap)' -le $twice_at_most "nothing has two owners"
    bound '^attacker' -le $attacker_at_most "no memory is the attacker's"
    bound '^(crash|hang)' -le $crashes_at_most "what is not caught crashes seldom"
done

mode=check
try $checked_at_least LD_PRELOAD="$library" HAKMEM_MISUSE=check
bound caught -ge $checked_at_least "misuse is caught"
bound '^(twice|overlap)' -le 1 "what is freed when it has another owner has two, and nothing else"
bound '^(attacker|crash|hang)' -le 0 "there is no other end"

# A bound that an empty answer would keep is none: glibc is known to catch some and miss some.
mode=glibc
"$program" HAKMEM_NONE=1 >"$work/out" 2>"$work/err"
bound caught -ge 30 "the programs misuse the heap"
bound . -ge 40 "there are many of them"
tap_end
