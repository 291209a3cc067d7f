#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of examples/ run, and find what they wrote; its drop-ins are what systemd
# understands, and set variables that the library knows: TAP.
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
: "${HAKMEM_TEST_SOURCE:?is to name the source folder}"
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
folder=$(dirname "$HAKMEM_TEST_LIBRARY")
# shellcheck disable=SC2034  # tap.sh shows it
tap_details=$work/output

"$folder/../examples/buffer_pool" --mib 16 --rounds 20000 >"$work/output" 2>&1
report $? "a buffer pool on heaps gives back the pages that it was given"
"$folder/../examples/buffer_pool" --mib nonsense >"$work/output" 2>&1
[ $? -eq 2 ]
report $? "a pool of nothing is refused"

: >"$work/output"
if ! echo '#include <sqlite3.h>' | ${CC:-cc} -E -x c - >/dev/null 2>&1; then
    skip "SQLite on a heap" "no sqlite3.h (libsqlite3-dev)"
elif ! ${CC:-cc} -O1 -I "$HAKMEM_TEST_SOURCE/include" -o "$work/sqlite" \
    "$HAKMEM_TEST_SOURCE/examples/sqlite.c" -L "$folder" -lhakmem -lsqlite3 >"$work/output" 2>&1; then
    report 1 "SQLite on a heap: built"
else
    LD_LIBRARY_PATH="$folder" "$work/sqlite" 5000 >"$work/output" 2>&1
    report $? "SQLite on a heap, beyond its limit too"
fi

# Each as the drop-in of a service of nothing.
: >"$work/output"
if ! command -v systemd-analyze >/dev/null; then
    skip "drop-ins for systemd" "no systemd-analyze"
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
        report $? "systemd understands the drop-ins"
    else
        skip "drop-ins for systemd" "systemd-analyze finds nothing wrong here"
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
report $? "the library understands their variables"

# The files that a container is made of are named by lines of known words, and are there.
: >"$work/output"
awk '/^#/ || /^$/ { next }
    !goes_on && !/^(FROM|RUN|COPY|WORKDIR|ENV|USER|EXPOSE|CMD) / { print "not known: " $0 }
    { goes_on = /\\$/ }' "$HAKMEM_TEST_SOURCE/examples/Containerfile" >"$work/output"
[ ! -s "$work/output" ] && [ -s "$HAKMEM_TEST_SOURCE/examples/Containerfile" ]
report $? "the container file has known words"
tap_end
