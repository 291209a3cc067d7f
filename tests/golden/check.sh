#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check.sh [--rewrite] - what the fast paths are made of, against what it was.
#
#     from the machine code   instructions, loads, stores, calls and conditional jumps on the fast
#                             way of malloc and free, by both kinds of front; they must be those of
#                             ARCHITECTURE.golden. --rewrite writes it: review the diff.
#     from a run              instructions that the library executes for a malloc and a free of 32
#                             bytes, under callgrind: the difference of two lengths, so that
#                             start-up is not in it. The same while the heap profile counts.
#
# Counts, no times. The golden file holds for one compiler and its flags: elsewhere that half is
# skipped, and so is the run where there is no valgrind.
#
# HAKMEM_TEST_LIBRARY   the library, absolute     HAKMEM_TEST_PAIRS      the program
# HAKMEM_TEST_SOURCE    top of the sources        HAKMEM_TEST_CFLAGS     what it was compiled with
# HAKMEM_TEST_SANITIZE  not empty: no fast path is as it is in a release. The same holds where the
#                       build's config.h says debug or inject.

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
folder=${HAKMEM_TEST_SOURCE:-.}/tests/golden
program=${HAKMEM_TEST_PAIRS:-tests/golden/pairs}
compiler=${CC:-gcc}
if [ ! -e "$library" ]; then
    echo "Bail out! $library has not been built"
    exit 1
fi
# What a front of the thread serves, and what one of the CPU.
names="hakmem_malloc hakmem_free malloc_again/cpu free_again/cpu"
pair_limit=48
counted_limit=52
. "$(dirname "$0")/../lib/tap.sh"

architecture=$(uname -m)
golden=$folder/$architecture.golden
scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT

# What the build has that a release has not.
variant=$(sed -n 's/^#define HAK_\(DEBUG\|INJECT\) 1$/\1/p' "$(dirname "$library")/../config.h" \
    2>/dev/null | tr '\n' ' ')

# Why the machine code may not be compared; nothing where it may.
reason_to_skip() {
    version=$($compiler --version 2>/dev/null | sed -n 1p)
    major=$($compiler -dumpversion 2>/dev/null | sed 's/\..*//')
    case $version in
    *clang*) echo "the figures are gcc's, this is $version"; return ;;
    esac
    [ "$major" = 12 ] || { echo "the figures are gcc 12's, this is $version"; return; }
    for flag in $HAKMEM_TEST_CFLAGS; do
        case $flag in
        -O2) optimized=yes ;;
        -O* | -march=* | -mtune=* | -flto* | -fsanitize* | --coverage | -pg | -fcf-protection*)
            echo "compiled with $flag"
            return
            ;;
        esac
    done
    [ -n "$optimized" ] || { echo "not compiled with -O2"; return; }
    [ -z "$variant" ] || { echo "a build with $variant"; return; }
    command -v objdump >/dev/null || { echo "objdump is missing"; return; }
    nm "$library" 2>/dev/null | grep -q ' t ' || { echo "the library is stripped"; return; }
}

count_code() {
    places=
    for name in $names; do
        places="$places $name=$(nm "$library" |
            awk -v name="${name%/*}" '$3 == name { sub(/^0+/, "", $1); print $1 }')"
    done
    objdump -d --no-show-raw-insn "$library" | awk -v names="$places" -f "$folder/ways.awk"
}

check_code() {
    reason=$(reason_to_skip)
    for name in $names; do
        if [ -n "$reason" ]; then
            skip "the fast way of $name" "$reason"
            continue
        elif [ ! -e "$golden" ]; then
            skip "the fast way of $name" "no $architecture.golden"
            continue
        fi
        was=$(grep "^$name " "$golden")
        is=$(grep "^$name " "$scratch/code")
        echo "# $is"
        [ "$was" = "$is" ] || echo "# was: $was (make golden, review the diff)"
        [ "$was" = "$is" ]
        report $? "the fast way of $name is as it was"
    done
}

# instructions COUNT PROFILE: those that the library executed in a run of this many pairs, by the cost
# lines of its object in callgrind's output; what a call costs inclusively stands behind "calls=".
instructions() {
    HAKMEM_SHARD=single HAKMEM_FRONT=thread HAKMEM_PROFILE=$2 LD_PRELOAD=$library \
        valgrind --tool=callgrind \
        --callgrind-out-file="$scratch/out" "$program" "$1" 32 >"$scratch/log" 2>&1 || return
    awk -v library="$(realpath "$library")" '
        /^ob=/ {
            key = $0; sub(/^ob=/, "", key)
            id = key; sub(/ .*/, "", id)
            if (key != id) { path = key; sub(/^[^ ]* /, "", path); object[id] = path }
            ours = object[id] == library
            next
        }
        /^cob=/ {
            key = $0; sub(/^cob=/, "", key)
            id = key; sub(/ .*/, "", id)
            if (key != id) { path = key; sub(/^[^ ]* /, "", path); object[id] = path }
            next
        }
        /^calls=/ { skip = 1; next }
        /^[-+*0-9]/ { if (!skip && ours) sum += $2; skip = 0 }
        END { print sum + 0 }' "$scratch/out"
}

check_run() { # LIMIT PROFILE WHEN
    what="a malloc and a free of 32 bytes execute at most $1 instructions$3"
    if ! command -v valgrind >/dev/null; then
        skip "$what" "valgrind is missing"
        return
    elif [ -n "$variant" ]; then
        skip "$what" "a build with $variant"
        return
    fi
    short=$(instructions 10000 "$2")
    long=$(instructions 110000 "$2")
    if [ -z "$short" ] || [ -z "$long" ]; then
        sed 's/^/# /' "$scratch/log"
        report 1 "$what: callgrind did not run"
        return
    fi
    hundredths=$(((long - short) / 1000))
    echo "# $((hundredths / 100)).$(printf %02d $((hundredths % 100))) instructions a pair"
    # None at all: the program was served by somebody else.
    [ "$hundredths" -gt 0 ] && [ "$hundredths" -le $(($1 * 100)) ]
    report $? "$what"
}

if [ "$1" = --rewrite ]; then
    reason=$(reason_to_skip)
    [ -z "$reason" ] || { echo "check.sh: no figures from here: $reason" >&2; exit 1; }
    count_code >"$golden.new" || exit 1
    if grep missing "$golden.new" >&2; then
        rm "$golden.new"
        exit 1
    fi
    mv "$golden.new" "$golden"
    cat "$golden"
    exit 0
fi
[ -z "$HAKMEM_TEST_SANITIZE" ] ||
    skip_all "in a $HAKMEM_TEST_SANITIZE build nothing is as in a release"
count_code >"$scratch/code"
check_code
check_run $pair_limit 0 ""
# At a rate that has no samples in so few bytes. (Elsewhere malloc has no page of its own.)
if [ "$architecture" = x86_64 ]; then
    check_run $counted_limit 1000000M " while they are counted"
else
    skip "a pair that is counted" "counted mallocs are slow on $architecture"
fi
tap_end
