#!/bin/sh
# SPDX-License-Identifier: MIT
# inside.sh PROGRAM [PART...] - what is run within the guest: the cases of tests/vm/placement.c in
# several settings, each a TAP stream under a line "== NAME"; "figures" of other allocators; "changes":
# tests/stress/storm while the machine is changed under it; "limit": within a cgroup's memory. HAKMEM_TEST_LIBRARY names the library.
program=$1
shift
library=$HAKMEM_TEST_LIBRARY
refuse=$(dirname "$program")/../fault/refuse
storm=$(dirname "$program")/../stress/storm
habits=$(dirname "$program")/../conform/habits
cpus=/sys/devices/system/cpu
groups=/sys/fs/cgroup
patience=120 # with one process, seconds
bad=0

# Ends a process that does not end by itself, and tells where its threads were.
end_at_last() { # PID
    sleep "$patience"
    echo "# not ended after $patience s; its threads, what they wait for, and their system calls:"
    for task in /proc/"$1"/task/*; do
        echo "# $(cat "$task/comm") $(cat "$task/wchan") $(cat "$task/syscall")"
    done
    kill -KILL "$1"
}

start() { # COMMAND...
    "$@" &
    pid=$!
    end_at_last $pid &
    watcher=$!
}

await() {
    wait $pid
    status=$?
    kill $watcher 2>/dev/null
}

cases() { # NAME VARIABLE=VALUE...
    echo "== $1"
    shift
    start env "$@" LD_PRELOAD="$library" "$program"
    await
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

skipped() { # NAME REASON
    printf '== %s\n1..1\nok 1 - all of it # SKIP %s\n== ended 0\n' "$1" "$2"
}

# The storm with CPU fronts, its payloads checked, while CHANGE is called again and again, with 0 and
# with 1 in turn. The last call is with 1.
under_change() { # NAME MODE CHANGE [OPTION...]
    name=$1
    mode=$2
    change=$3
    shift 3
    echo "== $name-$mode"
    # shellcheck disable=SC2086  # none, or the words of a command
    start $within env HAKMEM_SHARD="$mode" HAKMEM_FRONT=cpu LD_PRELOAD="$library" "$storm" \
        --threads 6 --seconds 2 --front cpu --move yes --signals 50 --refresh 10 "$@"
    changes=0
    wrong=
    while [ $changes -lt 4 ] || kill -0 $pid 2>/dev/null; do
        $change $((changes % 2)) || wrong=yes
        changes=$((changes + 1))
        sleep 0.4
    done
    $change 1
    await
    echo "# $changes changes"
    [ -z "$wrong" ] || { echo "# a change was refused" && status=1; }
    echo "== ended $status"
    [ $status -eq 0 ] || bad=1
}

unchanged() { :; }

# All CPUs of a node leave, and come back.
plug() { # 0 or 1
    for cpu in $leaving; do
        echo "$1" >"$cpu/online" || return 1
    done
}

# The group is left with the first node's CPUs, and gets back all.
resize() { # 0 or 1
    if [ "$1" = 0 ]; then
        cat /sys/devices/system/node/node0/cpulist
    else
        cat "$cpus/online"
    fi >"$group/cpuset.cpus"
}

in_group() { # COMMAND...
    echo 0 >"$group/cgroup.procs" && exec "$@"
}

# Mounted where the library looks for limits.
make_group() { # CONTROLLER FILE VALUE: the reason why there is none
    if [ ! -e $groups/cgroup.procs ]; then
        mount -t cgroup2 groups $groups 2>/dev/null || { echo "no cgroup2 here" && return; }
    fi
    echo "+$1" >$groups/cgroup.subtree_control 2>/dev/null ||
        { echo "cgroup2 has no $1 here" && return; }
    mkdir -p "$group"
    echo "$3" >"$group/$2" || echo "no group with $2 can be made"
}

changes() {
    within=
    leaving=$(find /sys/devices/system/node/node1/ -maxdepth 1 -name 'cpu[0-9]*')
    last=$(sed 's/.*[-,]//' $cpus/online)
    group=$groups/storm
    no_group=$(make_group cpuset cpuset.cpus "$(cat $cpus/online)")
    for mode in cpu node; do
        under_change unplugged "$mode" plug --recut yes --seconds 5
        if [ -z "$no_group" ]; then
            within="in_group"
            under_change cpuset "$mode" resize --recut yes
        else
            skipped "cpuset-$mode" "$no_group"
        fi
        within="taskset -c $last"
        under_change highest-cpu "$mode" unchanged
        within=
        echo 2 >/proc/sys/vm/overcommit_memory
        under_change overcommit-never "$mode" unchanged
        echo 0 >/proc/sys/vm/overcommit_memory
    done
}

# In a group that may hold 512 MiB, 400 MiB are held in small runs, then in large ones, by turns.
swing() { # STATUS NAME VARIABLE=VALUE...
    wanted=$1
    name=$2
    shift 2
    start in_group env "$@" "$habits" swing 400
    await
    number=$((number + 1))
    killed=$(sed -n 's/^oom_kill //p' "$group/memory.events")
    verdict=ok
    # By the kernel, for want of memory: not by end_at_last.
    if [ $status -ne "$wanted" ] || [ "$killed" -ne $((wanted / 137)) ]; then
        verdict="not ok"
        swung=1
    fi
    echo "$verdict $number - $name (status $status, $killed killed)"
}

limit() {
    group=$groups/limited
    number=0
    swung=0
    no_group=$(make_group memory memory.max 512M)
    [ -z "$no_group" ] || { skipped limit "$no_group" && return; }
    keep="HAKMEM_LEARN=off HAKMEM_RETAIN=4G"
    printf '== limit\n1..4\n'
    swing 0 "glibc lives within a group's limit of memory" LD_PRELOAD=
    # As systemd tells its services.
    swing 0 "so does a service under the library" LD_PRELOAD="$library" INVOCATION_ID=1
    # shellcheck disable=SC2086  # words
    swing 0 "and one told to keep all" LD_PRELOAD="$library" $keep INVOCATION_ID=1
    # shellcheck disable=SC2086
    swing 137 "and is killed where the limit is not to be heeded" LD_PRELOAD="$library" $keep \
        HAKMEM_MEMORY_LIMIT=none
    echo "== ended $swung"
    [ $swung -eq 0 ] || bad=1
}

for part in "$@"; do
    case $part in
    places)
        cases thread HAKMEM_SHARD=node HAKMEM_FRONT=thread
        cases cpu HAKMEM_SHARD=cpu HAKMEM_FRONT=cpu
        ;;
    auto) cases auto HAKMEM_SHARD=auto ;;
    heaps)
        placement=$program
        program=$(dirname "$program")/heaps
        cases heaps HAKMEM_SHARD=node
        program=$placement
        ;;
    full)
        cases preferred PLACEMENT=spill HAKMEM_SHARD=node
        cases bind PLACEMENT=refuse HAKMEM_SHARD=node HAKMEM_BIND=bind
        ;;
    refused)
        echo "== refused"
        start env PLACEMENT=refused HAKMEM_SHARD=node "$refuse" EPERM mbind -- \
            env LD_PRELOAD="$library" "$program"
        await
        echo "== ended $status"
        [ $status -eq 0 ] || bad=1
        ;;
    changes) changes ;;
    limit) limit ;;
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
