#!/bin/sh
# SPDX-License-Identifier: MIT
#
# profile.sh - the heap profile: estimates against a program that knows what it did, in each kind of
# front; a process that runs; children of fork; signals; readers of others; damaged files.
#
# HAKMEM_CHECK_PROFILE_RUNS: runs of the comparison in each mode (4).

. "$(dirname "$0")/../lib/tap.sh"

tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
library=${HAKMEM_TEST_LIBRARY:?is to name the built library}
source=${HAKMEM_TEST_SOURCE:?is to name the source tree}/tests/conform
program=tests/conform/profiled
runs=${HAKMEM_CHECK_PROFILE_RUNS:-4}

skip_all_in_sanitizer_build
skip_all_in_quick_check
for needed in python3 addr2line; do
    command -v "$needed" >/dev/null || skip_all "no $needed"
done

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
: >"$work/err"

# shellcheck disable=SC2034  # tests/lib/tap.sh reads it
tap_details=$work/err

profiled() # FILE ARGUMENT...: the program runs with a profile
{
    file=$1
    shift
    timeout 60 env LD_PRELOAD="$library" HAKMEM_PROFILE=16K HAKMEM_PROFILE_FILE="$file" \
        "$program" "$@"
}

has() # FILE TEXT...
{
    in=$1
    shift
    for text in "$@"; do
        grep -qF -e "$text" "$in" && continue
        { echo "not in it: $text"; head -20 "$in"; } >>"$work/err"
        return 1
    done
}

# ------------------------------------------------------------------ estimates
for mode in "auto auto" "cpu thread" "single cpu"; do
    export HAKMEM_SHARD="${mode% *}" HAKMEM_FRONT="${mode#* }"
    python3 "$source/profile_estimates.py" "$tool" "$library" "$program" "$work/p" "$runs" \
        >"$work/err" 2>&1
    status=$?
    sed -n '/^# /p' "$work/err"
    report $status "estimates are within their errors (shards $HAKMEM_SHARD, fronts $HAKMEM_FRONT)"
done
unset HAKMEM_SHARD HAKMEM_FRONT

# ------------------------------------------------------------------ a process that runs
mkfifo "$work/pipe"
profiled "$work/at-exit" wait >"$work/pipe" &
child=$!
pid=$(sed -n '/^ready/{s/ready //p;q}' <"$work/pipe")
timeout 60 "$tool" profile "$pid" >"$work/out" 2>"$work/err" &&
    has "$work/out" "live bytes" slow_leak large_runs
report $? "hakmem profile PID shows what lives, by function"
timeout 60 "$tool" profile "$pid" --total --by shard --folded >"$work/out" 2>"$work/err" &&
    has "$work/out" "shard 1;" hot_loop grown
report $? "and what was ever allocated, by shard"
timeout 60 "$tool" profile "$pid" --by heap --folded >"$work/out" 2>"$work/err" &&
    grep -q '^heap [0-9]*;.*of_own_heaps' "$work/out" && has "$work/out" "default heap;" &&
    [ "$(sed -n 's/^\(heap [0-9]*\);.*/\1/p' "$work/out" | sort -u | wc -l)" -eq 1 ]
report $? "and by heap, of which one has ended"
timeout 60 "$tool" profile "$pid" --svg "$work/svg" >"$work/out" 2>"$work/err" &&
    has "$work/svg" "<svg" slow_leak "</svg>" &&
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$work/svg" \
        2>>"$work/err"
report $? "a flame graph is XML"
timeout 60 "$tool" profile "$pid" --raw >"$work/raw" 2>"$work/err" &&
    has "$work/raw" "heap profile: " "@ heapprofile" MAPPED_LIBRARIES
report $? "raw, it is gperftools' format"
if [ "$(uname -m)" = x86_64 ]; then
    grep "r-xp.*$(basename "$(realpath "$library")")" "/proc/$pid/maps" >"$work/err"
    [ "$(wc -l <"$work/err")" -eq 3 ]
    report $? "the page of malloc has been replaced by the one that counts"
else
    skip "the page of malloc has been replaced" "no such page on $(uname -m)"
fi
kill -9 "$pid" 2>/dev/null
wait "$child" 2>/dev/null

for reader in google-pprof jeprof; do
    name="$reader reads it, and finds the leak first"
    command -v $reader >/dev/null || { skip "$name" "no $reader"; continue; }
    timeout 120 $reader --text --inuse_space --show_bytes "$program" "$work/raw" \
        >"$work/out" 2>"$work/err"
    has "$work/out" slow_leak large_runs
    report $? "$name"
done

refused() # TEXT ARGUMENT...: status 1, and one line that says so
{
    want=$1
    shift
    timeout 60 "$tool" profile "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qF -e "$want" "$work/err"
}
refused "is not there" 999999999
report $? "a process that does not exist"
refused "publishes no profile: it does not use hakmem" $$
report $? "a process without a profile"

# ------------------------------------------------------------------ exit, fork, signal, leaks
profiled "$work/one" >/dev/null 2>"$work/err" && has "$work/one" "heap profile:" && [ ! -s "$work/err" ]
report $? "the file is written at exit, and nothing is printed"
profiled "$work/%p" fork >/dev/null 2>"$work/err"
files=$(find "$work" -name '[0-9]*' | wc -l)
[ "$files" -eq 2 ] || echo "$files files" >>"$work/err"
[ "$files" -eq 2 ] && for file in "$work"/[0-9]*; do
    "$tool" profile "$file" --total --folded >"$file.folded" 2>>"$work/err"
done
grep -L slow_leak "$work"/[0-9]*.folded >"$work/children"
[ "$(wc -l <"$work/children")" -eq 1 ] && has "$(cat "$work/children")" hot_loop
report $? "a child of fork profiles what it allocates itself, into a file of its own"
HAKMEM_PROFILE_SIGNAL=12 profiled "$work/once" fork >/dev/null 2>"$work/err"
report $? "and lives, if the file is its parent's alone and the signal comes"
timeout 120 env LD_PRELOAD="$library" HAKMEM_PROFILE=1 "$program" handler >"$work/err" 2>&1
report $? "children that a handler forks inside realloc go on"
timeout 60 env LD_PRELOAD="$library" HAKMEM_PROFILE=1 "$program" sizes >"$work/err" 2>&1
report $? "a child of fork is told the sizes of its parent's objects as the parent"
timeout 60 env LD_PRELOAD="$library" HAKMEM_PROFILE=1 "$program" missed >"$work/err" 2>&1
report $? "but not of objects whose end the profile missed"
HAKMEM_PROFILE_SIGNAL=12 profiled "$work/sig" signal >/dev/null 2>"$work/err"
has "$work/sig.1" "heap profile:" MAPPED_LIBRARIES
report $? "the signal that is named writes a file"
HAKMEM_PROFILE_LEAKS=1 profiled "$work/one" >/dev/null 2>"$work/leaks"
has "$work/leaks" "hakmem: still allocated at exit" "bytes in" profiled
report $? "leaks are reported at exit"
mkdir "$work/folder"
profiled "$work/folder" >/dev/null 2>"$work/err"
status=$?
[ $status -eq 0 ] && has "$work/err" "HAKMEM_PROFILE_FILE=$work/folder"
report $? "a file that cannot be written is told, and changes nothing else"
(ulimit -f 1 && profiled "$work/limited") >"$work/out" 2>"$work/err"
report $? "a limit of the size of files kills nobody"
"$tool" profile "$work/one" --diff "$work/one" >"$work/out" 2>"$work/err" &&
    has "$work/out" "difference of live bytes: 0 B in 0 stacks"
report $? "a profile does not differ from itself"

# ------------------------------------------------------------------ beside other things
# With the classes of sizes hidden, heaps and sized deletes must know them all the same.
for test in heaps sized cxx realloc; do
    HAKMEM_PROFILE=64K HAKMEM_TEST_LIBRARY=$library LD_PRELOAD=$library timeout 120 \
        "tests/conform/$test.modes" >"$work/out" 2>"$work/err"
    status=$?
    sed -n '/^not ok/p' "$work/out" >>"$work/err"
    report $status "$test passes with a profile"
done
HAKMEM_MISUSE=check HAKMEM_PROFILE=64K HAKMEM_TEST_LIBRARY=$library LD_PRELOAD=$library timeout 120 \
    tests/conform/cxx.modes >"$work/out" 2>"$work/err"
report $? "sized deletes are right with a profile and HAKMEM_MISUSE=check"

# Where the kernel does not move malloc's page, calls take the longer way.
profiled_refused()
{
    tests/fault/refuse EPERM mremap -- env LD_PRELOAD="$library" HAKMEM_PROFILE=16K \
        HAKMEM_PROFILE_FILE="$work/refused" "$program" >"$work/out" 2>"$work/err"
}
profiled_refused
status=$?
if [ $status -eq 77 ]; then
    skip "a profile where the kernel moves no page" "no seccomp filter may be set here"
else
    grep "r-xp.*$(basename "$(realpath "$library")")" "$work/refused" >>"$work/err"
    [ $status -eq 0 ] && [ "$(grep -c r-xp "$work/err")" -eq 1 ] &&
        "$tool" profile "$work/refused" --total --folded >"$work/out" &&
        has "$work/out" hot_loop slow_leak large_runs grown
    report $? "a profile where the kernel moves no page"
fi

# ------------------------------------------------------------------ damaged files
head -c 300 "$work/raw" >"$work/short"
timeout 60 "$tool" profile "$work/short" >"$work/out" 2>"$work/err"
report $? "a truncated file: what is whole counts"
: >"$work/empty"
refused "no heap profile" "$work/empty"
report $? "an empty file"
head -c 100000 /dev/urandom >"$work/noise"
refused "no heap profile" "$work/noise"
report $? "noise"
sed '1s/heapprofile/heap_v2\/524288/' "$work/raw" >"$work/v2"
refused "heap_v2" "$work/v2"
report $? "a profile whose figures need correction"
{
    echo 'heap profile: 1: 1 [1: 1] @ heapprofile'
    echo '99999999999999999999999999: 5 [1: 99999999999999999999999999999999] @ 0x1'
    echo '1: 5 [1: 7] @ 0xffffffffffffffffffffffffffffffff'
    awk 'BEGIN { printf "1: 7 [1: 7] @"; for (i = 0; i < 5000; i++) printf " 0x%x", i; print "" }'
    echo 'MAPPED_LIBRARIES:'
    echo "0-ffffffffffffffff r-xp 00000000 00:00 1 $work/noise"
    echo "zzzz"
} >"$work/hostile"
timeout 60 "$tool" profile "$work/hostile" >"$work/out" 2>"$work/err" && [ -s "$work/out" ]
report $? "impossible numbers and mappings"

tap_end
