#!/bin/sh
# SPDX-License-Identifier: MIT
#
# learning.sh - the learner's options seen from outside: what a burst leaves behind, pins, the log
# and what `hakmem learn` makes of it, the file, the shadow, call sites, the limit of memory,
# hakmem_purge. Memory and words only; no time is measured.
#
# HAKMEM_TEST_LIBRARY, HAKMEM_TEST_TOOL: the built library and program, absolute
# HAKMEM_CHECK_HEAVY=1: bursts of 1 GiB instead of 256 MiB

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_quick_check
skip_all_in_sanitizer_build

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
program=${HAKMEM_TEST_HABITS:-tests/conform/habits}
burst=256
[ -z "$HAKMEM_CHECK_HEAVY" ] || burst=1024
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/out $work/err"

# habits OPTION=VALUE... -- ARGUMENT...: its lines go to $work/out; sets status
habits() {
    options=
    while [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    shift
    # shellcheck disable=SC2086  # several words
    timeout -k 5 120 env $options LD_PRELOAD="$library" "$program" "$@" >"$work/out" 2>"$work/err"
    status=$?
}

# figure NAME: the number of its line, 0 where there is none
figure() {
    sed -n "s/^$1=\([0-9]*\)$/\1/p" "$work/out" | tail -n 1 | grep . || echo 0
}

# matches PATTERN FILE: how many lines
matches() {
    grep -c -e "$1" "$2" 2>/dev/null || true
}

half=$((burst * 512))

habits "HAKMEM_LEARN_LOG=$work/log" -- burst $burst
verdict "after a burst less than 64 MiB are resident, idle as the program is" \
    "$status == 0 && $(figure full_kib) > $burst * 1000 && $(figure freed_kib) < 65536"
verdict "the log says how much was purged, and why" \
    "$(matches '"event":"retain".*"why":"excess","purged":[1-9]' "$work/log") > 0"

habits HAKMEM_LEARN_PIN=all=dontneed -- burst $burst
verdict "pinned to dontneed, nothing is left of it" \
    "$status == 0 && $(figure full_kib) > $burst * 1000 && $(figure freed_kib) < 24576"
habits HAKMEM_LEARN_PIN=all=batch -- burst $burst
verdict "pinned to batch, no more than a batch" "$status == 0 && $(figure freed_kib) < 65536"
habits HAKMEM_LEARN_PIN=all=free "HAKMEM_LEARN_LOG=$work/log" -- waste 64
verdict "pinned to free, which is none of the learner's arms" \
    "$status == 0 && $(matches 'LEARN_PIN' "$work/err") == 0 && \
     $(matches '"arms":\["keep","dontneed","batch"\]' "$work/log") == 1"
habits HAKMEM_MEMORY_LIMIT=none HAKMEM_LEARN=off HAKMEM_RETAIN=4G -- burst $burst
verdict "without learning as much is kept as RETAIN allows" \
    "$status == 0 && $(figure freed_kib) > $half"
habits HAKMEM_LEARN=off HAKMEM_RETAIN=0 -- burst $burst
verdict "RETAIN=0 keeps nothing" "$status == 0 && $(figure freed_kib) < 24576"

habits "HAKMEM_LEARN_LOG=$work/log" HAKMEM_MEMORY_PRICE=20ms -- waste 64
verdict "dear memory that is not used again is given back at once before long" \
    "$status == 0 && $(matches '"next":"dontneed"' "$work/log") > 0"
timeout 20 "$tool" learn "$work/log" >"$work/replay" 2>"$work/err"
verdict "hakmem learn replays that log" "$? == 0 && $(matches dontneed "$work/replay") > 0"
habits "HAKMEM_LEARN_LOG=$work/log" HAKMEM_MEMORY_PRICE=1us -- churn 64
verdict "what is used again and again is kept" \
    "$status == 0 && $(matches '"next":"keep"' "$work/log") > 0 && \
     $(matches '"next":"dontneed"' "$work/log") == 0"

habits "HAKMEM_LEARN_FILE=$work/learned" HAKMEM_MEMORY_PRICE=20ms -- waste 64
verdict "what was learned is written" \
    "$status == 0 && $(matches '^hakmem-learned 2$' "$work/learned") == 1 && \
     $(matches ' dontneed ' "$work/learned") > 0"
habits "HAKMEM_LEARN_FILE=$work/learned" HAKMEM_LEARN=frozen -- burst 64
verdict "and obeyed by the next run, which may be a frozen one" \
    "$status == 0 && $(figure freed_kib) < 24576"
cp "$work/learned" "$work/spoilt"
echo "1 256K hold 1 2 3" >>"$work/spoilt"
line=$(wc -l <"$work/spoilt")
habits "HAKMEM_LEARN_FILE=$work/spoilt" HAKMEM_LEARN=frozen -- burst 64
verdict "a line that is not understood is named" \
    "$status == 0 && $(matches "LEARN_FILE=.*line $line\$" "$work/err") == 1"

{ echo "hakmem-learned 1" && echo "1 256K keep 1500 1500 1500 1500"; } >"$work/older"
habits "HAKMEM_LEARN_FILE=$work/older" -- churn 64
verdict "a file of the older form is refused by a line, and written again" \
    "$status == 0 && $(matches 'LEARN_FILE=.*line 1$' "$work/err") == 1 && \
     $(matches '^hakmem-learned 2$' "$work/older") == 1"

habits HAKMEM_LEARN=shadow HAKMEM_MEMORY_PRICE=20ms -- waste 64
verdict "the shadow tells what it would have done" \
    "$status == 0 && $(matches 'would have done' "$work/err") == 1 && \
     $(matches ' dontneed ' "$work/err") > 0"
habits HAKMEM_LEARN_SITE=1 "HAKMEM_LEARN_LOG=$work/log-%p" -- churn 64
cat "$work"/log-[0-9]* >"$work/log" 2>/dev/null
verdict "call sites are told apart, and %p names the process" \
    "$status == 0 && $(matches '"key":"site:' "$work/log") > 0"

# What was kept of one kind must make room for the other.
habits HAKMEM_MEMORY_LIMIT=none HAKMEM_LEARN=off -- swing 160
without=$(figure peak_kib)
habits HAKMEM_MEMORY_LIMIT=256M HAKMEM_LEARN=off -- swing 160
verdict "a process keeps below its limit of memory what would else pass it (by $without KiB)" \
    "$status == 0 && $without > 300000 && $(figure peak_kib) > 0 && $(figure peak_kib) < 262144"

habits HAKMEM_MEMORY_LIMIT=none HAKMEM_LEARN=off HAKMEM_RETAIN=4G -- purge $burst
verdict "hakmem_purge gives back what was asked for, then all" \
    "$status == 0 && $(figure some) > 0 && $(figure rest_kib) < 24576 && \
     $(figure freed_kib) > $half && $(figure nothing) < 1048576 && $(figure no_such_shard) == 0"
tap_end
