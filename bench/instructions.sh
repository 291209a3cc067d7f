#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the instructions of one malloc + free of 32 bytes, under Valgrind's callgrind.
#
# Two runs of different length: their difference has no start-up in it. The same difference of the
# loop with an empty body is taken off, so that what is left are the two calls with all that lies
# behind them. A count, not a time: it is the same on a busy machine.
#
#     instructions.sh [--build DIR] [--size BYTES] [--limit N] [LIBRARY.so]
#
# Without LIBRARY: glibc. The environment (HAKMEM_SHARD, ...) reaches the library. With --limit the
# exit status is 1 when the count is above N.
set -eu

build=.
size=32
limit=
library=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2; shift 2 ;;
    --size) size=$2; shift 2 ;;
    --limit) limit=$2; shift 2 ;;
    -*) echo "instructions.sh: unknown option $1" >&2; exit 2 ;;
    *) library=$(realpath "$1"); shift ;;
    esac
done

program=$build/bench/workloads/tiny_hot
[ -x "$program" ] || { echo "instructions.sh: $program is not built" >&2; exit 2; }
command -v valgrind >/dev/null || { echo "instructions.sh: valgrind is missing" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Turns of tiny_hot are 20000 pairs, so both lengths are whole turns. The shorter one is long
# enough for caches to be full and counters that act now and then to have acted.
short=40000
long=440000
pairs=$(((long - short) / 2))

# count SHAPE OPS: instructions of a whole run
count()
{
    LD_PRELOAD=$library valgrind --tool=callgrind --callgrind-out-file="$scratch/out" \
        "$program" --shape "$1" --min "$size" --max "$size" --ops "$2" \
        >"$scratch/line" 2>"$scratch/log" || { cat "$scratch/log" >&2; exit 2; }
    served=$(sed -n 's/.* library=//p' "$scratch/line")
    if [ -n "$library" ] && [ "$served" != "$library" ]; then
        echo "instructions.sh: served by $served, not by $library" >&2
        exit 2
    fi
    awk '/^(summary|totals):/ { print $2; exit }' "$scratch/out"
}

# A count of its own line: inside $(( )) a failure would go unseen.
full_long=$(count pair "$long")
full_short=$(count pair "$short")
bare_long=$(count empty "$long")
bare_short=$(count empty "$short")
served=$(sed -n 's/.* library=//p' "$scratch/line")

awk -v full="$((full_long - full_short))" -v bare="$((bare_long - bare_short))" -v n="$pairs" \
    -v served="$served" -v size="$size" -v limit="$limit" 'BEGIN {
    count = (full - bare) / n
    printf "instructions_per_pair=%.2f loop=%.2f size=%d library=%s\n",
           count, bare / n, size, served
    exit limit != "" && count > limit + 0
}'
