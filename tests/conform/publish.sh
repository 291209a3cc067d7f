#!/bin/sh
# SPDX-License-Identifier: MIT
#
# publish.sh - HAKMEM_PUBLISH=1 and who reads it: hakmem stat, top and map of processes that publish,
# of one that forked, of one that closed all descriptors; of processes that are not there, do not
# publish, or publish nonsense: one line and status 1. What JSON has is what its schema says.

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
publisher=$(dirname "$0")/publisher
[ -x "$publisher" ] || publisher=./tests/conform/publisher
source=$HAKMEM_TEST_SOURCE
. "$(dirname "$0")/../lib/tap.sh"

skip_all_in_sanitizer_build
work=$(mktemp -d) || exit 99
trap 'exec 8>&- 9>&-; wait; rm -rf "$work"' EXIT
: >"$work/err"
# shellcheck disable=SC2034  # tap.sh shows it
tap_details=$work/err
python=$(command -v python3)

# start WHAT [NAME=VALUE...]: a publisher, whose number is $process until `stop`. Its standard input is
# descriptor 9: it ends when that is closed.
start()
{
    what=$1
    shift
    rm -f "$work/in" "$work/said"
    mkfifo "$work/in" "$work/said"
    # shellcheck disable=SC2086  # a word and perhaps a number
    env "$@" LD_PRELOAD="$preload" "$publisher" $what <"$work/in" >"$work/said" 2>"$work/its" &
    process=$!
    exec 9>"$work/in"
    read -r said <"$work/said"
}

stop()
{
    exec 9>&-
    wait "$process"
}

fails() # NAME PART: the last command said one line with the part, and ended with 1
{
    status=$?
    [ "$status" -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "^hakmem: .*$2" "$work/err"
    report $? "$1"
}

# ------------------------------------------------------------------ a process that publishes
preload=$library
start work HAKMEM_PUBLISH=1 HAKMEM_SHARD=4
if ! "$tool" stat "$process" >"$work/out" 2>"$work/err" && grep -q memfd "$work/its"; then
    stop
    skip_all "no memfd here: $(cat "$work/its")"
fi
grep -q '^process: .* live, ' "$work/out" && grep -q '^shard 3: ' "$work/out" &&
    [ ! -s "$work/err" ]
report $? "hakmem stat prints the statistics of a process"
"$tool" stat "$process" --prometheus >"$work/out" 2>"$work/err" &&
    grep -q '^hakmem_refill_objects_total{shard="0",node="-*[0-9]*"} [0-9]' "$work/out"
report $? "hakmem stat --prometheus prints metrics"
"$tool" stat "$process" --json >"$work/first" 2>"$work/err" && [ "$(wc -l <"$work/first")" -eq 1 ]
report $? "hakmem stat --json prints one line"
"$tool" stat "$process" --json --interval 0.3 >"$work/more" 2>"$work/err" &
reader=$!
sleep 1
kill "$reader"
wait "$reader" 2>/dev/null
[ "$(wc -l <"$work/more")" -ge 2 ]
report $? "hakmem stat --interval prints again and again"
if [ -n "$python" ]; then
    for file in first more; do
        # The last whole one: the end may have come in the midst of a line.
        head -n "$(wc -l <"$work/$file")" "$work/$file" | tail -n 1 >"$work/last"
        python3 "$source/tests/lib/schema.py" "$source/docs/stats.schema.json" "$work/last" \
            2>"$work/err"
        report $? "its JSON is as the schema says ($file)"
    done
    python3 - "$work/first" "$work/last" 2>"$work/err" <<'END'
import json
import sys

def flat(value, name=""):
    if isinstance(value, dict):
        for key, member in value.items():
            yield from flat(member, name + "." + key)
    elif isinstance(value, int):
        yield name, value
before, after = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
assert after["collected_ns"] > before["collected_ns"], "the page is written again"
old = dict(flat(before["total"]["counters"]))
for name, value in flat(after["total"]["counters"]):
    assert name == ".back_remote" or value >= old[name], name
END
    report $? "the page goes on, and no counter goes back"
    "$tool" map "$process" --json >"$work/out" 2>"$work/err" &&
        python3 "$source/tests/lib/schema.py" "$source/docs/stats.schema.json" "$work/out" \
            2>"$work/err" && grep -q '"slabs":\[{' "$work/out"
    report $? "hakmem map --json has regions and slabs"
    "$tool" map "$process" >"$work/out" 2>"$work/err" && tail -n 1 "$work/out" | grep -q '^</svg>$'
    report $? "hakmem map draws a picture"
    "$tool" top "$process" --once >"$work/out" 2>"$work/err" && grep -q '^hot classes' "$work/out" &&
        grep -q '^shard node' "$work/out" && ! grep -q "$(printf '\033')" "$work/out"
    report $? "hakmem top --once prints a view"
else
    skip "views and JSON" "no python3"
fi
if command -v bash >/dev/null; then
    bash -c '. "$1"; COMP_WORDS=(hakmem stat ""); COMP_CWORD=2; _hakmem; echo "${COMPREPLY[@]}"
        COMP_WORDS=(hakmem t); COMP_CWORD=1; _hakmem; echo "${COMPREPLY[@]}"' \
        bash "$source/tools/completion/hakmem" >"$work/out" 2>"$work/err"
    grep -q -w "$process" "$work/out" && grep -q '^topo top$' "$work/out"
    report $? "bash completes commands and processes"
else
    skip "bash completes commands and processes" "no bash"
fi
stop
"$tool" stat "$process" >"$work/out" 2>"$work/err"
fails "of a process that ended it says so" "is not there"

# ------------------------------------------------------------------ forks and closed descriptors
rm -f "$work/in" "$work/said"
start fork HAKMEM_PUBLISH=1
child=$said
for try in 1 2 3 4 5 6 7 8 9 10; do
    "$tool" stat "$child" --json >"$work/out" 2>"$work/err" && break
    sleep 0.3
done
grep -q "\"pid\":$child," "$work/out"
report $? "the child of a fork publishes its own (try $try)"
"$tool" stat "$process" --json >"$work/out" 2>"$work/err" && grep -q "\"pid\":$process," "$work/out"
report $? "and its parent goes on with its own"
stop
start close HAKMEM_PUBLISH=1
"$tool" stat "$process" >"$work/out" 2>"$work/err"
status=$?
[ $status -eq 0 ] || { [ $status -eq 1 ] && [ "$(wc -l <"$work/err")" -eq 1 ]; }
report $? "of a process that closed all descriptors it reads the memory, or says why not"
stop

# ------------------------------------------------------------------ who does not publish
start work HAKMEM_SHARD=4
"$tool" stat "$process" >"$work/out" 2>"$work/err"
fails "of a process that does not publish it says so" "not started with HAKMEM_PUBLISH=1"
! grep -q memfd:hakmem "/proc/$process/maps"
report $? "who is not asked to publish has no page"
stop
preload=
start work HAKMEM_SHARD=4
"$tool" stat "$process" >"$work/out" 2>"$work/err"
fails "of a process without the library it says so" "does not use hakmem"
stop
"$tool" stat 2147483647 >"$work/out" 2>"$work/err"
fails "of a number that no process has it says so" "is not there"
for argument in nonsense 0 -1x 12x 99999999999; do
    "$tool" stat "$argument" >"$work/out" 2>"$work/err"
    status=$?
    { [ $status -eq 1 ] || [ $status -eq 2 ]; } && grep -q -e "$argument" "$work/err"
    report $? "stat refuses the process $argument"
done
for arguments in "stat" "stat 1 2" "stat 1 --nonsense" "stat 1 --interval 0" "top" \
    "top 1 --nonsense" "map"; do
    # shellcheck disable=SC2086  # words
    "$tool" $arguments >"$work/out" 2>"$work/err"
    [ $? -eq 2 ] && [ -s "$work/err" ]
    report $? "hakmem $arguments is wrong usage"
done

# ------------------------------------------------------------------ pages that are not as they should be
for number in 0 1 2 3 4 5 6 7 8 9 10 11; do
    start "hostile $number"
    timeout 20 "$tool" stat "$process" --map >"$work/out" 2>"$work/err"
    fails "a page that is wrong is answered by one line ($number)" "process $process: "
    stop
done

tap_end
