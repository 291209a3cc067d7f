#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh [SECONDS [NAME...]] - compiles the targets of this folder by clang with libFuzzer and the
# sanitizers, and runs each so long, beginning with what there is in the tree. In the build folder;
# what a target falls over is left there as crash-*. TAP. `make fuzz` calls it.

seconds=${1:-10}
[ $# -eq 0 ] || shift
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
clang=${CLANG:-clang}
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details=$work/shown

echo 'int LLVMFuzzerTestOneInput(void){return 0;}' >"$work/none.c"
"$clang" -fsanitize=fuzzer "$work/none.c" -o "$work/none" 2>"$work/log" ||
    skip_all "no clang with libFuzzer"

seed() # NAME: what there is of its kind
{
    mkdir -p "$work/corpus-$1"
    case $1 in
        xml) cp "$source"/tests/topologies/*.xml "$work/corpus-$1" ;;
        lists)
            for text in 0-3,8 cpu:0-15,32-47 'pack:2 [numa(memory=8GB)] core:4 pu:1'; do
                printf '%s' "$text" >"$work/corpus-$1/$(printf '%s' "$text" | cksum | cut -d ' ' -f 1)"
            done ;;
        calls) cp "$source"/tests/fuzz/calls/* "$work/corpus-$1" ;;
        sysfs) printf '0-1\n\3770\n\3770-1\n\37710\n\3770-1\n\3770\n\3773\n\3770-1\n' \
            >"$work/corpus-$1/two" ;;
    esac
}

cd "$source" || exit 99
names=${*:-$(for file in tests/fuzz/fuzz_*.c; do
    name=${file##*/fuzz_}
    echo "${name%.c}"
done)}
# The sanitizer's malloc keeps its name.
sed 's/HAK_OVERRIDE_MALLOC 1/HAK_OVERRIDE_MALLOC 0/' "$build/config.h" >"$work/config.h"
set -- -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -I"$work" -I"$source" -I"$source/include" -I"$build"
[ "$(uname -m)" != x86_64 ] || set -- "$@" -mcx16

# The targets but one are linked with the same objects, which are compiled once.
mkdir "$work/shared"
(cd "$work/shared" &&
    "$clang" "$@" -c "$source"/os/*.c "$source"/topology/*.c "$source"/learn/*.c) >"$work/log" 2>&1
shared_status=$?

for name in $names; do
    longest=8192
    shared="$work/shared/*.o"
    case $name in
    options) more=api/options.c ;;
    published) longest=65536 more=$(echo stats/*.c) ;;
    calls)
        # urcu's readers are not aligned as their type says.
        more=-fno-sanitize=alignment\ $(echo tests/lib/shadow.c tests/lib/tap.c api/*.c heap/*.c front/*.c shard/*.c tiers/*.c stats/*.c)
        shared="os/*.c topology/*.c learn/*.c"
        ;;
    *) more= ;;
    esac
    seed "$name"
    # shellcheck disable=SC2086  # none or some files
    [ $shared_status -eq 0 ] &&
        "$clang" "$@" -o "$work/$name" "tests/fuzz/fuzz_$name.c" $more $shared \
            -lurcu-bp -lhwloc -lnuma -ldl -lpthread >"$work/log" 2>&1 &&
        (cd "$build" && "$work/$name" -max_total_time="$seconds" -max_len="$longest" -timeout=10 \
            -print_final_stats=1 "$work/corpus-$name" >"$work/log" 2>&1)
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    grep -v '^#[0-9]' "$work/log" | head -n 60 >"$work/shown"
    report $status "$name, $seconds seconds, ${runs:-0} inputs"
done
tap_end
