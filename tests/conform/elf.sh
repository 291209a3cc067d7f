#!/bin/sh
# SPDX-License-Identifier: MIT
#
# elf.sh - what the linker sees of the shared library: thread-local data of at most 64 bytes in the
# static block, no access that calls the loader, and no name but malloc's family, operators, ours.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}

if [ -n "$HAKMEM_TEST_SANITIZE" ]; then
    echo "1..0 # SKIP a sanitizer brings its own thread-local data and names"
    exit 0
fi
if ! command -v readelf >/dev/null; then
    echo "1..0 # SKIP readelf is not installed"
    exit 0
fi

[ -e "$library" ]
report $? "$library has been built"

bytes=$(readelf -lW "$library" | awk '$1 == "TLS" { print $6 }')
echo "# thread-local data: ${bytes:-none}"
[ $((${bytes:-0})) -le 64 ]
report $? "thread-local data takes at most 64 bytes"

dynamic=$(readelf -rW "$library" | grep -c -E 'DTPMOD|DTPREL|TLSDESC')
echo "# relocations for dynamic thread-local data: $dynamic"
[ "$dynamic" -eq 0 ]
report $? "thread-local data is reached without the loader's help"

# What a thread without a front points to must stay as it is, for all of them.
# It holds an address, so it lies among what is read-only once that has been relocated.
none=$(objdump -t "$library" 2>/dev/null | awk '$NF == "hak_front_none" { print $4 }')
if [ -n "$none" ]; then
    echo "# hak_front_none lies in $none"
    [ "$none" = .data.rel.ro ]
    report $? "the front of threads without one is read-only"
else
    skip "the front of threads without one is read-only" "the library is stripped"
fi

exported=$(readelf --dyn-syms -W "$library" |
    awk '$5 != "LOCAL" && $7 != "UND" && NR > 3 && $8 != "" { sub(/@.*/, "", $8); print $8 }' |
    sort -u)
# new and delete are _Zn* and _Zd*; HAKMEM_* are version names
strange=$(printf '%s\n' "$exported" | grep -v -x -E \
    -e 'malloc|calloc|realloc|reallocarray|free|cfree|aligned_alloc|posix_memalign|memalign' \
    -e 'valloc|pvalloc|malloc_usable_size|malloc_trim|malloc_stats|malloc_info|mallinfo2?' \
    -e '(__)?vfork' \
    -e 'mallopt|free_sized|free_aligned_sized|__libc_[a-z]+|hakmem_[a-z0-9_]+|HAKMEM_[0-9.]+' \
    -e '_Z(nw|na|dl|da)[A-Za-z0-9_]*' -e '')
[ -z "$strange" ] || printf '%s\n' "$strange" | sed 's/^/# exported too: /'
[ -z "$strange" ]
report $? "nothing else is exported"

missing=
for name in malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign valloc \
    pvalloc malloc_usable_size malloc_trim malloc_stats malloc_info mallinfo mallinfo2 mallopt \
    free_sized free_aligned_sized hakmem_malloc hakmem_calloc hakmem_realloc hakmem_free \
    hakmem_aligned_alloc hakmem_usable_size; do
    printf '%s\n' "$exported" | grep -q -x "$name" || missing="$missing $name"
done
[ -z "$missing" ] || echo "# not exported:$missing"
[ -z "$missing" ]
report $? "the whole family is exported"

needed=$(readelf -dW "$library" | awk '/NEEDED/ { print $NF }' | tr -d '[]')
printf '%s\n' "$needed" | sed 's/^/# needs /'
! printf '%s\n' "$needed" | grep -q -E 'libstdc|libhwloc|libnuma'
report $? "it loads neither the C++ library nor hwloc nor libnuma"

tap_end
