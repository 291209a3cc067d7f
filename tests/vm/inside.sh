#!/bin/sh
# SPDX-License-Identifier: MIT
# inside.sh PROGRAM [PART...] - what is run within the guest: the cases of tests/vm/placement.c in
# several settings, each a TAP stream under a line "== NAME"; "figures" of other allocators.
# HAKMEM_TEST_LIBRARY names the library.
program=$1
shift
library=$HAKMEM_TEST_LIBRARY
refuse=$(dirname "$program")/../fault/refuse
bad=0

cases() { # NAME VARIABLE=VALUE...
    echo "== $1"
    shift
    env "$@" LD_PRELOAD="$library" "$program"
    status=$?
    echo "== ended $status"
    [ $status -eq 0 ] || bad=1
}

figures() { # NAME LIBRARY VARIABLE=VALUE...
    name=$1
    preload=$2
    shift 2
    [ -z "$preload" ] || [ -e "$preload" ] || return
    printf '# %-22s %s\n' "$name" "$(env "$@" PLACEMENT=figures LD_PRELOAD="$preload" "$program" 2>&1)"
}

for part in "$@"; do
    case $part in
    places)
        cases thread HAKMEM_SHARD=node HAKMEM_FRONT=thread
        cases cpu HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu
        ;;
    auto) cases auto HAKMEM_SHARD=auto ;;
    full)
        cases preferred PLACEMENT=spill HAKMEM_SHARD=node
        cases bind PLACEMENT=refuse HAKMEM_SHARD=node HAKMEM_BIND=bind
        ;;
    refused)
        echo "== refused"
        env PLACEMENT=refused HAKMEM_SHARD=node "$refuse" EPERM mbind -- \
            env LD_PRELOAD="$library" "$program"
        status=$?
        echo "== ended $status"
        [ $status -eq 0 ] || bad=1
        ;;
    figures)
        figures "hakmem (node)" "$library" HAKMEM_SHARD=node HAKMEM_FRONT=thread
        figures "hakmem (cpu)" "$library" HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu
        figures glibc ""
        figures mimalloc /usr/lib/x86_64-linux-gnu/libmimalloc.so.2
        figures jemalloc /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
        ;;
    esac
done
exit $bad
