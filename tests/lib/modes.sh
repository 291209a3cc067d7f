#!/bin/sh
# SPDX-License-Identifier: MIT
#
# modes.sh [--direct] PROGRAM [ARG...] - runs a TAP program once in each mode, each a process of its
# own, and joins the outputs into one TAP stream in which every name begins with its mode.
#
# Without --direct the program runs under LD_PRELOAD of the library, and also once on glibc
# (`reference`): what glibc does not pass says nothing about us. With --direct the program fetches
# the library by itself (linked, static, dlopen).
#
# HAKMEM_TEST_LIBRARY   the library, absolute       HAKMEM_TEST_MODES    which modes
# HAKMEM_TEST_SANITIZE  not empty: the sanitizer owns malloc, so there is nothing to preload
# HAKMEM_TEST_TIMEOUT   seconds for one process

how=preload
if [ "$1" = --direct ]; then
    how=direct
    shift
fi
program=$1
shift
case $program in */*) ;; *) program=./$program ;; esac

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
# What a process does to its surroundings does not depend on where its one node is.
case $program in
# Forks by the hundred are long, and one shard is one of four.
*/environment/forks.*) modes=${HAKMEM_TEST_MODES:-reference cpu 4} ;;
*/environment/*) modes=${HAKMEM_TEST_MODES:-reference single cpu 4} ;;
*) modes=${HAKMEM_TEST_MODES:-reference single node cpu 4} ;;
esac
limit=${HAKMEM_TEST_TIMEOUT:-300}
count=0
bad=0

if [ -n "$HAKMEM_TEST_SANITIZE" ]; then
    echo "1..0 # SKIP in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
    exit 0
fi
if [ ! -e "$library" ]; then
    echo "1..1"
    echo "not ok 1 - $library has been built"
    exit 1
fi

output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT

run_one() # MODE ARG...
{
    mode=$1
    shift
    if [ "$mode" = reference ]; then
        env -u LD_PRELOAD -u HAKMEM_SHARD HAKMEM_TEST_MODE="$mode" \
            timeout -k 5 "$limit" "$program" "$@"
    elif [ $how = direct ]; then
        env -u LD_PRELOAD HAKMEM_SHARD="$mode" HAKMEM_TEST_MODE="$mode" \
            timeout -k 5 "$limit" "$program" "$@"
    else
        # Only the program is preloaded: env and timeout keep their malloc.
        timeout -k 5 "$limit" env HAKMEM_SHARD="$mode" HAKMEM_TEST_MODE="$mode" \
            LD_PRELOAD="$library" "$program" "$@"
    fi
}

for mode in $modes; do
    if [ "$mode" = reference ] && [ $how = direct ]; then
        continue
    fi
    # A file, no pipe: a process that the program left behind would keep a pipe open.
    run_one "$mode" "$@" >"$output" 2>&1
    status=$?
    joined=$(awk -v mode="$mode" -v count="$count" -v status="$status" '
        /^1\.\.[0-9]+/ { planned = substr($1, 4) + 0; seen_plan = 1; next }
        /^(not )?ok / {
            seen++; count++
            result = "ok"
            if ($1 == "not") { result = "not ok"; failed++ }
            sub(/^(not )?ok [0-9]+( -)? */, "")
            print result " " count " - " mode ": " $0
            next
        }
        /^Bail out!/ { $0 = "# " $0 }
        /^#/ { print; next }
        { print "# " $0 }
        END {
            if (seen != planned || !seen_plan || (status != 0 && !failed)) {
                count++; failed++
                print "not ok " count " - " mode ": ended with status " status " after " \
                      seen + 0 " of " planned + 0 " cases"
            }
            print "COUNT " count " " failed + 0
        }' "$output")
    printf '%s\n' "$joined" | sed '$d'
    last=$(printf '%s\n' "$joined" | sed -n '$p')
    count=${last#COUNT }
    bad=$((bad + ${count#* }))
    count=${count% *}
done
echo "1..$count"
[ "$bad" -eq 0 ]
