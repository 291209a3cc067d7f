#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of examples/ run, and find what they wrote; its drop-ins are what systemd
# understands, and set variables that the library knows: TAP.
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

echo "1..6"
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

# Each as the drop-in of a service of nothing.
: >"$work/output"
if ! command -v systemd-analyze >/dev/null; then
    echo "ok 4 - drop-ins for systemd # SKIP no systemd-analyze"
else
    for unit in "$HAKMEM_TEST_SOURCE"/examples/systemd/*.conf; do
        name=$(basename "$unit" .conf)
        mkdir "$work/$name.service.d"
        printf '[Service]\nExecStart=/bin/true\n' >"$work/$name.service"
        cp "$unit" "$work/$name.service.d/hakmem.conf"
        SYSTEMD_UNIT_PATH=$work: systemd-analyze verify --man=no "$work/$name.service" \
            >>"$work/output" 2>&1
    done
    grep "$work" "$work/output" >"$work/ours" # what it says of the machine's own units is no matter
    mv "$work/ours" "$work/output"
    # It has looked: a wrong one is told.
    mkdir "$work/wrong.service.d"
    printf '[Service]\nExecStart=/bin/true\n' >"$work/wrong.service"
    printf '[Service]\nMemoryMax=much\n' >"$work/wrong.service.d/hakmem.conf"
    if SYSTEMD_UNIT_PATH=$work: systemd-analyze verify --man=no "$work/wrong.service" 2>&1 |
        grep -q "$work"; then
        [ ! -s "$work/output" ]
        verdict 4 $? "systemd understands the drop-ins"
    else
        echo "ok 4 - drop-ins for systemd # SKIP systemd-analyze finds nothing wrong here"
    fi
fi

# A variable that the library does not know, or a wrong value of one, is told in a line.
: >"$work/output"
settings=$(cat "$HAKMEM_TEST_SOURCE"/examples/systemd/*.conf \
    "$HAKMEM_TEST_SOURCE/examples/Containerfile" |
    grep -o 'HAKMEM_[A-Z_]*=[A-Za-z0-9]*' | sort -u)
for setting in $settings; do
    env HAKMEM_VERBOSE=1 "$setting" LD_PRELOAD="$HAKMEM_TEST_LIBRARY" true 2>&1 |
        grep "^hakmem: ${setting%%=*}" >>"$work/output"
done
[ "$(echo "$settings" | wc -l)" -ge 5 ] && [ ! -s "$work/output" ]
verdict 5 $? "the library understands their variables"

# The files that a container is made of are named by lines of known words, and are there.
: >"$work/output"
awk '/^#/ || /^$/ { next }
    !goes_on && !/^(FROM|RUN|COPY|WORKDIR|ENV|USER|EXPOSE|CMD) / { print "not known: " $0 }
    { goes_on = /\\$/ }' "$HAKMEM_TEST_SOURCE/examples/Containerfile" >"$work/output"
[ ! -s "$work/output" ] && [ -s "$HAKMEM_TEST_SOURCE/examples/Containerfile" ]
verdict 6 $? "the container file has known words"
exit $failed
