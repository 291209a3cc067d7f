#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gdb.sh - gdb's commands (tools/hakmem-gdb.py) in a program that holds memory of each kind; a
# breakpoint in malloc while a profile is taken; gdb at a trace point; the trace points' table.

. "$(dirname "$0")/../lib/tap.sh"

library=$(realpath "${HAKMEM_TEST_LIBRARY:?is to name the built library}")
source=${HAKMEM_TEST_SOURCE:?is to name the source tree}
program=tests/conform/debugged

skip_all_in_sanitizer_build

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
: >"$work/out"
# shellcheck disable=SC2034  # tests/lib/tap.sh reads it
tap_details=$work/out

has() # TEXT...: in the last output
{
    for text in "$@"; do
        grep -qE -e "$text" "$work/out" || return 1
    done
}

# ------------------------------------------------------------------ trace points
name="the library has the trace points of docs/trace-points.md, and no others"
if ! grep -q '^#define HAVE_SYS_SDT_H 1' config.h; then
    skip "$name" "built without sys/sdt.h"
elif ! command -v readelf >/dev/null; then
    skip "$name" "no readelf"
else
    readelf -n "$library" | sed -n 's/^ *Name: //p' | sort -u >"$work/there"
    sed -n '/^|---/,/^$/s/^| \([a-z]*\) |.*/\1/p' "$source/docs/trace-points.md" | sort -u >"$work/told"
    diff "$work/told" "$work/there" >"$work/out" && [ -s "$work/there" ]
    report $? "$name"
fi

# ------------------------------------------------------------------ gdb
debug() # COMMAND...
{
    set -- "$@" end-of-commands
    until [ "$1" = end-of-commands ]; do
        set -- "$@" -ex "$1"
        shift
    done
    shift
    timeout 120 gdb -q -batch -nx -iex "set auto-load off" -iex "set debuginfod enabled off" \
        -ex "source $source/tools/hakmem-gdb.py" -ex "set environment LD_PRELOAD=$library" \
        -ex "set breakpoint pending on" "$@" "$program" </dev/null >"$work/out" 2>&1
}

if ! command -v gdb >/dev/null; then
    skip "gdb's commands" "no gdb"
    tap_end
fi
gdb -q -batch -nx -ex 'python print(6 * 7)' >"$work/out" 2>&1
if ! has '^42$'; then
    skip "gdb's commands" "this gdb has no Python"
    tap_end
fi
timeout 60 gdb -q -batch -nx -iex "set debuginfod enabled off" -ex "break stop_here" -ex run \
    "$program" </dev/null >"$work/out" 2>&1
if ! has 'Breakpoint 1, .*stop_here'; then
    skip "gdb's commands" "gdb cannot stop a program here"
    tap_end
fi
debug "break stop_here" run "hakmem heap"
if has "no debug information"; then
    skip "gdb's commands" "the library has no debug information"
    tap_end
fi
has '^[0-9]+ shards?, ' 'in slabs, 100 KiB in runs, 64 MiB in whales' '^ +208 +[0-9]+ +[0-9]+ +[0-9]+'
report $? "hakmem heap"
debug "break stop_here" run "hakmem shards" "hakmem of held->live" "hakmem of held->live + 5" \
    "hakmem of held->freed" "hakmem of held->run" "hakmem of held->run + 5000" \
    "hakmem of held->whale" "hakmem of held->whale + 1000000" "hakmem of held" "hakmem of 0"
has '^ +1 +(-|[0-9]+) +[0-9]+ +[0-9]+ KiB'
report $? "hakmem shards"
has ': object at 0x[0-9a-f]+: live; class of 208 B' 'of which this is byte 5: live' \
    ': object at 0x[0-9a-f]+: free, in the front of ' 'run of 100 KiB at 0x[0-9a-f]+: live$' \
    'of which this is byte 5000' 'whale of 64 MiB at 0x[0-9a-f]+: live' \
    'of which this is byte 1000000' '^0x0: not of hakmem' &&
    [ "$(grep -c "not of hakmem's heap" "$work/out")" -eq 2 ]
report $? "hakmem of ADDRESS"
name="hakmem of ADDRESS in a core dump"
debug "break stop_here" run "print held->live" "generate-core-file $work/core"
if [ -s "$work/core" ]; then
    address=$(sed -n 's/^[$]1 = .*\(0x[0-9a-f]*\).*/\1/p' "$work/out")
    timeout 120 gdb -q -batch -nx -iex "set auto-load off" -iex "set debuginfod enabled off" \
        -ex "source $source/tools/hakmem-gdb.py" -ex "hakmem of $address + 5" -ex "hakmem heap" \
        "$program" "$work/core" </dev/null >"$work/out" 2>&1
    has ': object at 0x[0-9a-f]+, of which this is byte 5: live; class of 208 B' 'in slabs, 100 KiB'
    report $? "$name"
else
    skip "$name" "gdb writes no core dump here"
fi
debug "hakmem heap"
has "no hak_shards: no hakmem in this process"
report $? "without a process it says so"
debug "hakmem of"
has "hakmem of ADDRESS: an expression"
report $? "an address must be given"

debug "set environment HAKMEM_PROFILE=4K" "break hakmem_malloc" run delete continue
has 'Breakpoint 1, ' 'exited normally'
report $? "a breakpoint in malloc, and a profile"
name="gdb stops at a trace point"
if grep -q '^#define HAVE_SYS_SDT_H 1' config.h; then
    debug "break stop_here" run "break -probe-stap hakmem:map" continue
    has 'Breakpoint 2[.0-9]*, '
    report $? "$name"
else
    skip "$name" "built without sys/sdt.h"
fi
tap_end
