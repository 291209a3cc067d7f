#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wholly_static.sh - a program linked wholly statically with libhakmem.a: no loader, no shared libc.
# glibc's own malloc.o must not be pulled in beside ours.

archive=${HAKMEM_TEST_ARCHIVE:?is to name the built libhakmem.a}
source=${HAKMEM_TEST_SOURCE:?is to name the top of the sources}
cc=${CC:-cc}

[ -z "$HAKMEM_TEST_SANITIZE" ] || {
    echo "1..0 # SKIP sanitizers cannot be linked statically"
    exit 0
}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086 # compiler and libraries are lists of words
$cc -std=gnu17 -O1 -fno-builtin -I"$source" -static -o "$work/program" \
    "$source/tests/conform/static.c" "$source/tests/lib/tap.c" \
    "$archive" $HAKMEM_TEST_STATIC_LIBS -lpthread >"$work/log" 2>&1
if [ ! -x "$work/program" ]; then
    if grep -q 'cannot find -l' "$work/log"; then
        echo "1..0 # SKIP a static library is missing: $(grep -m1 'cannot find -l' "$work/log")"
        exit 0
    fi
    echo "1..1"
    echo "not ok 1 - the program can be linked statically"
    sed 's/^/# /' "$work/log"
    exit 1
fi
exec "$source/tests/lib/modes.sh" --direct "$work/program"
