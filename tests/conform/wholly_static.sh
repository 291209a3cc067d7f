#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wholly_static.sh - a program linked wholly statically with libhakmem.a: no loader, no shared libc.
# glibc's own malloc.o must not be pulled in beside ours.

archive=${HAKMEM_TEST_ARCHIVE:?is to name the built libhakmem.a}
source=${HAKMEM_TEST_SOURCE:?is to name the top of the sources}
cc=${CC:-cc}
. "$(dirname "$0")/../lib/tap.sh"

[ -z "$HAKMEM_TEST_SANITIZE" ] || skip_all "sanitizers cannot be linked statically"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086 # compiler and libraries are lists of words
$cc -std=gnu17 -O1 -fno-builtin -I"$source" -static -o "$work/program" \
    "$source/tests/conform/static.c" "$source/tests/lib/tap.c" \
    "$archive" $HAKMEM_TEST_STATIC_LIBS -lpthread >"$work/log" 2>&1
if [ ! -x "$work/program" ]; then
    grep -q 'cannot find -l' "$work/log" &&
        skip_all "a static library is missing: $(grep -m1 'cannot find -l' "$work/log")"
    # shellcheck disable=SC2034  # tap.sh shows it
    tap_details=$work/log
    report 1 "the program can be linked statically"
    tap_end
fi
exec "$source/tests/lib/modes.sh" --direct "$work/program"
