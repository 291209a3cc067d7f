#!/bin/sh
# SPDX-License-Identifier: MIT
#
# topology.sh - HAKMEM_TOPOLOGY: a real program runs on machines that are not this one, in all modes;
# nonsense is answered by one line; hwloc is loaded by nobody who did not ask, and leaves neither
# variables nor plugins with the program. And the tool: `hakmem topo`, `hakmem run`.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
machines=$HAKMEM_TEST_SOURCE/tests/topologies

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/err"
: >"$work/err"

# Sorts, with two threads, some megabytes whose order is known.
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "%07d %d\n", (i * 7919) % 100003, i }' \
    >"$work/lines"
sort "$work/lines" >"$work/expected"
sorter=$(command -v sort)
run() # NAME=VALUE...
{
    # Only the sorter is preloaded: env and timeout keep their malloc.
    timeout 60 env "$@" LD_PRELOAD="$library" "$sorter" --parallel=2 "$work/lines" \
        >"$work/out" 2>"$work/err"
}

"$tool" topo --topology=synthetic:pu:1 >"$work/out" 2>"$work/err"
hwloc=yes
grep -q 'cannot be loaded' "$work/err" && hwloc=

# ------------------------------------------------------------------ nonsense
for value in nonsense synthetic synthetic: xml: sysfs:x; do
    run HAKMEM_TOPOLOGY=$value && cmp -s "$work/out" "$work/expected" &&
        [ "$(grep -c 'HAKMEM_TOPOLOGY=' "$work/err")" -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ]
    report $? "HAKMEM_TOPOLOGY=$value is answered by one line"
done
for value in synthetic:nonsense xml:/nonexistent xml:/dev/null; do
    "$tool" topo --topology=$value >"$work/out" 2>"$work/err" &&
        [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "HAKMEM_TOPOLOGY=$value: " "$work/err" &&
        ! grep -q 'not this one' "$work/out"
    report $? "HAKMEM_TOPOLOGY=$value is answered by one line and the default"
done

# What would keep hwloc for minutes, for ever, or kill it: hwloc is not asked.
# (The first kills hwloc 2.9, but not us, who say it for it; of the second nothing can be made.)
sed 's/type="PU" os_index="7" cpuset="0x00000080" complete_cpuset="0x00000080"/type="PU" \
os_index="7" cpuset="0x00000080"/' "$machines/snc3.xml" >"$work/crash.xml"
timeout 5 "$tool" topo "--topology=xml:$work/crash.xml" >"$work/out" 2>"$work/err"
report $? "a machine that lacks what hwloc takes for granted ends no program"
sed 's/cpuset="0x00000080"/cpuset="0xf...f"/g' "$machines/snc3.xml" >"$work/endless.xml"
mkfifo "$work/pipe.xml"
for value in synthetic:pu:100000 synthetic:pu:0x100000 'synthetic:core:300 pu:300' xml:/dev/zero \
    "xml:$work/pipe.xml" "xml:$work/endless.xml"; do
    timeout 5 "$tool" topo "--topology=$value" >"$work/out" 2>"$work/err" &&
        [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "^hakmem: HAKMEM_TOPOLOGY=${value%%/*}" \
        "$work/err" && ! grep -q 'not this one' "$work/out"
    report $? "HAKMEM_TOPOLOGY=${value##*/} is answered at once by one line and the default"
done

# ------------------------------------------------------------------ machines
for machine in "$machines"/*.synthetic "$machines"/*.xml; do
    name=${machine##*/}
    case $name in
        *.xml) value=xml:$machine ;;
        *) value=synthetic:$(tail -n 1 "$machine") ;;
    esac
    if [ -z "$hwloc" ]; then
        skip "$name in all modes" "libhwloc.so.15 cannot be loaded"
        continue
    fi
    wrong=
    for mode in auto single node l3 package cpu 3 64; do
        for front in thread cpu; do
            run "HAKMEM_TOPOLOGY=$value" HAKMEM_SHARD=$mode HAKMEM_FRONT=$front &&
                cmp -s "$work/out" "$work/expected" && [ ! -s "$work/err" ] ||
                wrong="$wrong $mode/$front"
        done
    done
    [ -z "$wrong" ]
    report $? "$name in all modes${wrong:+, but not in$wrong}"
done

# ------------------------------------------------------------------ what many CPUs may keep
limit_is() # MIB NAME=VALUE...
{
    mib=$1
    shift
    env HAKMEM_TOPOLOGY=synthetic:numa:2\ l3:8\ core:8\ pu:1 HAKMEM_STATS=json "$@" \
        LD_PRELOAD="$library" python3 -c "$two_threads" >"$work/out" 2>"$work/err"
    grep -q "\"retain_limit\": *$((mib << 20))[,}]" "$work/err"
}
two_threads="import threading
thread = threading.Thread(target=print)
thread.start()
thread.join()"
if [ -z "$hwloc" ]; then
    skip "128 CPUs may keep 512 MiB unused" "libhwloc.so.15 cannot be loaded"
elif ! command -v python3 >"$work/out"; then
    skip "128 CPUs may keep 512 MiB unused" "python3 is not installed"
else
    limit_is 512 && limit_is 512 HAKMEM_RETAIN=auto && limit_is 256 HAKMEM_RETAIN=256M
    report $? "128 CPUs may keep 512 MiB unused, or what HAKMEM_RETAIN says"
fi

# ------------------------------------------------------------------ hwloc comes and goes
maps() # NAME=VALUE...: what is mapped into a process of the library, and its variables
{
    env "$@" LD_PRELOAD="$library" cat /proc/self/maps >"$work/maps" 2>"$work/err"
    env "$@" LD_PRELOAD="$library" env >"$work/variables"
}
maps HAKMEM_SHARD=cpu
! grep -q -e hwloc -e udev "$work/maps"
report $? "hwloc is not loaded unasked"
if [ -n "$hwloc" ]; then
    maps HAKMEM_TOPOLOGY=hwloc PROBE=1
    ! grep -q -e hwloc -e udev -e libX11 -e OpenCL "$work/maps"
    report $? "hwloc is unloaded once it has told"
    grep -q '^PROBE=1$' "$work/variables" && ! grep -q '^HWLOC_' "$work/variables"
    report $? "the program's environment is as it was"
    HWLOC_SYNTHETIC="pack:3 core:2 pu:1" "$tool" topo --topology=hwloc >"$work/out" 2>"$work/err"
    grep -q '^machine from hwloc: ' "$work/out" && [ ! -s "$work/err" ]
    report $? "hwloc is not led astray by its own variables"
fi

# ------------------------------------------------------------------ the tool
"$tool" topo >"$work/out" 2>"$work/err" && grep -q '^machine from ' "$work/out" &&
    grep -q '^  shard 0: ' "$work/out"
report $? "hakmem topo shows the machine"
"$tool" topo --json --shard=cpu >"$work/out" 2>"$work/err"
if command -v perl >/dev/null && perl -MJSON::PP -e 1 2>/dev/null; then
    perl -MJSON::PP -0777 -ne '$t = decode_json($_);
        exit !($t->{by} eq "cpu" && @{$t->{cpus}} >= @{$t->{shards}});' "$work/out" 2>"$work/err"
    report $? "hakmem topo --json prints one JSON value"
else
    skip "hakmem topo --json prints one JSON value" "perl has no JSON::PP"
fi
"$tool" topo --svg --shard=cpu >"$work/out" 2>"$work/err" && tail -n 1 "$work/out" | grep -q '^</svg>$'
report $? "hakmem topo --svg draws a picture"
if command -v xmllint >/dev/null; then
    xmllint --noout "$work/out" 2>"$work/err"
    report $? "the picture is well-formed"
else
    skip "the picture is well-formed" "xmllint is not installed"
fi

# shellcheck disable=SC2016  # the inner shell is to expand it
"$tool" run --shard=3 --verbose=1 -- sh -c 'echo "$HAKMEM_SHARD"; exit 7' >"$work/out" 2>"$work/err"
[ $? -eq 7 ] && [ "$(cat "$work/out")" = 3 ] && grep -q '^hakmem: shards=3 ' "$work/err"
report $? "hakmem run sets options, preloads, and hands on the status"
"$tool" run /nonexistent/command 2>"$work/err"
[ $? -eq 127 ]
report $? "hakmem run of what is not there ends with 127"
"$tool" run --nonsense true 2>"$work/err"
[ $? -eq 2 ]
report $? "hakmem run refuses what is no option"

# Lists as numactl takes them. The last CPU that we may use: relative to it alone, it is CPU 0.
last=$(taskset -cp $$ 2>/dev/null | sed 's/.*[-, ]//')
numa=$("$tool" run --nodes=all printenv HAKMEM_NODES 2>"$work/err")
if [ -n "$numa" ] && [ -n "$last" ]; then
    [ "$numa" = "$(sed -n 's/^Mems_allowed_list:[[:space:]]*//p' /proc/self/status)" ]
    report $? "hakmem run --nodes=all names the nodes"
    [ "$(taskset -c "$last" "$tool" run --shard=cpu:+0 printenv HAKMEM_SHARD 2>"$work/err")" \
        = "cpu:$last" ]
    report $? "hakmem run --shard=cpu:+0 names the first CPU that it may use"
    taskset -c "$last" "$tool" run --shard=cpu:+0 --verbose=1 true 2>"$work/err"
    grep -q '^hakmem: shards=1 by=cpu' "$work/err"
    report $? "the library takes the list"
    "$tool" run --nodes=nonsense true 2>"$work/err"
    [ $? -eq 2 ] && grep -q nonsense "$work/err"
    report $? "hakmem run refuses a list that is none"
else
    skip "lists of nodes and CPUs as numactl's" "no NUMA calls or no taskset here"
fi
"$tool" run --nodes=9,11-12 --shard=node:7 printenv HAKMEM_NODES HAKMEM_SHARD \
    >"$work/out" 2>"$work/err"
[ "$(tr '\n' ' ' <"$work/out")" = "9,11-12 node:7 " ]
report $? "plain lists pass as they are, for machines that are not this one"
"$tool" nonsense 2>"$work/err"
[ $? -eq 2 ]
report $? "hakmem refuses what is no command"

tap_end
