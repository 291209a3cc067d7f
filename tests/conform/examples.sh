#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of examples/ run, and find what they wrote: TAP.
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
: "${HAKMEM_TEST_SOURCE:?is to name the source folder}"
if [ -n "${HAKMEM_TEST_SANITIZE:-}" ]; then
    echo "1..0 # SKIP in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
    exit 0
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
folder=$(dirname "$HAKMEM_TEST_LIBRARY")
failed=0

verdict() { # NUMBER STATUS NAME
    sed 's/^/# /' "$work/output"
    if [ "$2" -eq 0 ]; then
        echo "ok $1 - $3"
    else
        echo "not ok $1 - $3 (status $2)"
        failed=1
    fi
}

echo "1..3"
"$folder/../examples/buffer_pool" --mib 16 --rounds 20000 >"$work/output" 2>&1
verdict 1 $? "a buffer pool on heaps gives back the pages that it was given"
"$folder/../examples/buffer_pool" --mib nonsense >"$work/output" 2>&1
[ $? -eq 2 ]
verdict 2 $? "and refuses a pool of nothing"

: >"$work/output"
if ! echo '#include <sqlite3.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1; then
    echo "ok 3 - SQLite on a heap # SKIP no sqlite3.h (libsqlite3-dev)"
elif ! ${CC:-cc} -O1 -I "$HAKMEM_TEST_SOURCE/include" -o "$work/sqlite" \
    "$HAKMEM_TEST_SOURCE/examples/sqlite.c" -L "$folder" -lhakmem -lsqlite3 >"$work/output" 2>&1; then
    verdict 3 1 "SQLite on a heap: built"
else
    LD_LIBRARY_PATH="$folder" "$work/sqlite" 5000 >"$work/output" 2>&1
    verdict 3 $? "SQLite on a heap, beyond its limit too"
fi
exit $failed
