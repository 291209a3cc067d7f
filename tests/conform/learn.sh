#!/bin/sh
# SPDX-License-Identifier: MIT
#
# learn.sh - `hakmem learn`: exact sums from the log beside this file, whose costs are the same in
# each match of a phase, so that they can be added up by hand; damaged logs; bounded pictures.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
# The tool is Python and reads a file: how the library was built does not matter to it.
skip_all_in_quick_check
[ -z "$HAKMEM_TEST_SANITIZE" ] || skip_all "the tool does not use the library"

tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
log=${HAKMEM_TEST_SOURCE:?is to name the source tree}/tests/conform/learn.jsonl

if ! command -v python3 >/dev/null; then
    echo "1..0 # SKIP hakmem learn needs python3"
    exit 0
fi

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/err"

learn() # ARGUMENT...: what it prints goes to $work/out and $work/err; its status
{
    timeout 60 "$tool" learn "$@" >"$work/out" 2>"$work/err"
}

has() # TEXT...: each is printed
{
    for text in "$@"; do
        grep -qF -e "$text" "$work/out" && continue
        echo "not printed: $text" >>"$work/err"
        return 1
    done
}

row() # SHARD KEY TEXT...: each is printed, in the line of that key
{
    grep -F "{\"shard\":$1,\"key\":\"$2\"," "$work/out" >"$work/row" || : >"$work/row"
    head="shard $1, $2"
    shift 2
    for text in "$@"; do
        grep -qF -e "$text" "$work/row" && continue
        echo "not printed of $head: $text" >>"$work/err"
        return 1
    done
}

told() # TEXT: as the only line on stderr
{
    [ "$(cat "$work/err")" = "hakmem: $1" ]
}

# ------------------------------------------------------------------ sums
learn "$log" --json && [ ! -s "$work/err" ] &&
    has '"arms":["keep","free","dontneed","batch"]' '"lines":41,"matches":33,"events":5' \
        '"ignored":2,"malformed":0,"left_out":0,"cut":false' '"price_ns":130000,"ms":9600'
report $? "the sample log is read"

# 12 matches that would cost 20, 60, 100, 80 us; 2 played free, 1 dontneed, 9 keep at 21 us.
paid=$((2 * 60000 + 100000 + 9 * 21000))
row 0 256K "\"matches\":12,\"bytes\":$((12 * 8388608)),\"samples\":$((12 * 32))" \
    "\"paid\":$paid,\"costs\":[$((12 * 20000)),$((12 * 60000)),$((12 * 100000)),$((12 * 80000))]" \
    "\"best\":\"keep\",\"regret\":$((paid - 12 * 20000)),\"regret_percent\":70.417" \
    '"in_force":"keep","switches":2' '"t":2400,"from":"dontneed","to":"keep","why":"rating"'
report $? "shard 0 keeps: 409 us paid, 169 us of regret"

# 4 matches that would cost 40, 50, 70, 60 us, then 8 that would cost 300, 90, 70, 80 us; 5 played
# keep, 1 free, 6 dontneed.
paid=$((4 * 40000 + 300000 + 90000 + 6 * 70000))
best=$((4 * 70000 + 8 * 70000))
row 1 256K "\"costs\":[$((4 * 40000 + 8 * 300000)),$((4 * 50000 + 8 * 90000)),$best," \
    "\"paid\":$paid" "\"best\":\"dontneed\",\"regret\":$((paid - best)),\"regret_percent\":15.476" \
    '"in_force":"dontneed","switches":2' '"t":3600,"from":"keep","to":"free","why":"thaw"'
report $? "shard 1 gives back: 970 us paid, 130 us of regret"

# 5 matches at 500, 200, 260, 150 us, pinned to batch; 4 at 30, 25, 60, 45 us, with keep.
row 0 4M '"paid":750000,' '"best":"batch","regret":0,' '"switches":0,"last_switches":[]' &&
    row 1 site:1a2b3c4d '"paid":120000,' '"best":"free","regret":20000,"regret_percent":20.000'
report $? "no regret where the best is pinned; a site is a key"

# Frozen at 4000 ms, canary at 8000, frozen again at 8800, the log's end at 9600.
row 0 256K '"state_ms":{"learn":3200,"frozen":4800,"canary":800,"pinned":0,"other":0}' \
    '"arm_ms":[7200,800,800,0]' '"ratings":[1688,1562,1312,1438]' &&
    row 1 256K '"state_ms":{"learn":4800,"frozen":4400,"canary":0,"pinned":0,"other":0}' \
        '"arm_ms":[3200,800,5200,0]' &&
    row 0 4M '"pinned":7700,'
report $? "times in states, arms in force, last ratings"

paid=$((409000 + 970000 + 750000 + 120000))
free=$((12 * 60000 + 920000 + 5 * 200000 + 4 * 25000))
each=$((240000 + 840000 + 750000 + 100000))
has "\"total\":{\"paid\":$paid,\"costs\":[5420000,$free,3580000,2770000]" \
    "\"best\":\"free\",\"regret\":$((paid - free)),\"regret_percent\":-17.920" \
    "\"best_for_each_key\":$each,\"regret_for_each_key\":$((paid - each))}"
report $? "in all 2249 us, where the best single arm costs 2740 and the best for each key 1930"

has '"retain_from":33554432,"retain_to":134217728,"why":{"miss":1,"use":1,"idle":0,' \
    '"why":{"miss":0,"use":0,"idle":2,"excess":0,"decay":0,"other":0},"purged":25165824,"decays":1' \
    '"decay_from_ms":1000,"decay_to_ms":500'
report $? "what the shards kept"

if command -v perl >/dev/null && perl -MJSON::PP -e 1 2>/dev/null; then
    perl -MJSON::PP -0777 -ne '$t = decode_json($_); $sum += $_->{paid} for @{$t->{keys}};
        exit !($sum == $t->{total}{paid} && @{$t->{keys}} == 4);' "$work/out" 2>"$work/err"
    report $? "hakmem learn --json prints one JSON value"
else
    skip "hakmem learn --json prints one JSON value" "perl has no JSON::PP"
fi

learn "$log" && [ ! -s "$work/err" ] && has '409 us   169 us   +70.4%' '970 us   130 us   +15.5%' \
    '  240 us  1688*' '1.600 s  free -> dontneed, rating' 'the learner, against *' \
    '32M -> 8.0M by 2 idle, purged 24M' '-491 us   -17.9%' &&
    [ "$(awk 'length > 120' "$work/out" | wc -l)" -eq 0 ]
report $? "tables for people say the same"

# ------------------------------------------------------------------ damage
# Whatever remains of the last line, as it was when the program was killed.
size=$(wc -c <"$log")
last=$(tail -n 1 "$log" | wc -c)
wrong=
for cut in 2 3 20 100 $((last - 1)); do
    head -c $((size - cut)) "$log" >"$work/cut"
    learn "$work/cut" --json && [ ! -s "$work/err" ] && has '"matches":32,' '"malformed":0,' \
        '"cut":true' || wrong="$wrong $cut"
done
head -c $((size - 1)) "$log" >"$work/cut"
learn "$work/cut" --json && has '"matches":33,' '"cut":false' || wrong="$wrong newline"
[ -z "$wrong" ]
report $? "a last line that is cut off is left out${wrong:+, but not without$wrong}"

damage() # TEXT WHAT: the text as line 3 is told, and changes nothing else
{
    { head -n 2 "$log" && printf '%s\n' "$1" && tail -n +3 "$log"; } >"$work/log"
    learn "$work/log" --json
    [ $? -eq 1 ] && told "$work/log:3: $2" && has '"malformed":1,' "\"total\":{\"paid\":$paid,"
}
match='"t":1,"shard":0,"key":"256K","played":"keep","paid":1'
wrong=
damage 'nonsense' 'no JSON object' || wrong="$wrong nonsense"
damage '{"t":1' 'no JSON object' || wrong="$wrong end"
damage '{"t":}' 'no JSON object' || wrong="$wrong value"
damage '{"t":01x}' 'no JSON object' || wrong="$wrong number"
damage "{$match,\"costs\":[1,2,3],\"ratings\":[1,2,3,4]}" \
    '"costs" are not a number for each arm' || wrong="$wrong costs"
damage "{$match,\"costs\":[1,2,3,-4],\"ratings\":[1,2,3,4]}" \
    '"costs" are not a number for each arm' || wrong="$wrong negative"
damage "{$match,\"costs\":[1,2,3,4],\"ratings\":[1,2,3,4,5]}" \
    '"ratings" are not a number for each arm' || wrong="$wrong ratings"
damage '{"t":1,"shard":0,"key":"256K","played":"huge"}' '"played" is no arm of the header' ||
    wrong="$wrong arm"
damage '{"t":1,"shard":4096,"key":"256K","played":"keep"}' 'no number of a "shard"' ||
    wrong="$wrong shard"
damage '{"t":1,"shard":0,"key":"<b>","played":"keep"}' 'the "key" is no name' || wrong="$wrong key"
damage '{"t":1,"shard":0,"event":"retain"}' 'a "retain" without numbers "from" and "to"' ||
    wrong="$wrong event"
[ -z "$wrong" ]
report $? "a malformed line is told by number${wrong:+, but not as of$wrong}"

{ cat "$log" && yes nonsense | head -n 20; } >"$work/log"
learn "$work/log" --json
[ $? -eq 1 ] && has '"malformed":20,' && [ "$(wc -l <"$work/err")" -le 10 ] &&
    grep -q ': 20 malformed lines in all$' "$work/err"
report $? "of many malformed lines few are told"

awk 'BEGIN {
    printf "{\"t\":1,\"note\":\""
    for (i = 0; i < 20000; i++)
        printf "long "
    print "\"}"
}' >"$work/long"
{ cat "$log" "$work/long" && head -c 100 /dev/zero && echo && tail -n 1 "$log"; } >"$work/log"
learn "$work/log" --json
[ $? -eq 1 ] && has '"matches":34,' '"malformed":2,' && grep -q ':42: ' "$work/err" &&
    grep -q ':43: ' "$work/err"
report $? "a line that is too long, and one of zeros, are malformed"

# ------------------------------------------------------------------ no such log
learn "$work/none"
[ $? -eq 1 ] && told "$work/none: No such file or directory" && [ ! -s "$work/out" ]
report $? "a missing log is told"
learn "$work"
[ $? -eq 1 ] && told "$work: Is a directory"
report $? "a folder is no log"
: >"$work/log"
learn "$work/log"
[ $? -eq 1 ] && told "$work/log: empty: no log of HAKMEM_LEARN_LOG"
report $? "an empty file is no log"
tail -n +2 "$log" >"$work/log"
learn "$work/log"
[ $? -eq 1 ] && told "$work/log:1: not a log of HAKMEM_LEARN_LOG: no header"
report $? "a log without its header is none"
sed '1s/"hakmem_learn":1/"hakmem_learn":2/' "$log" >"$work/log"
learn "$work/log"
[ $? -eq 1 ] && told "$work/log:1: a log of another format than 1"
report $? "another format is told"
head -n 1 "$log" >"$work/log"
learn "$work/log" && has '0 matches of 0 keys' && learn "$work/log" --json && has '"keys":[],'
report $? "a log of nothing but its header has no matches"
cat "$log" "$log" >"$work/log"
learn "$work/log" --json && told "$work/log:42: another log begins here, and is left out" &&
    has "\"total\":{\"paid\":$paid,"
report $? "of two logs in a file the first is read"

# ------------------------------------------------------------------ calls
wrong=
for arguments in "" "$log --nonsense" "$log $log" "$log --svg" "--json"; do
    # shellcheck disable=SC2086  # several arguments
    learn $arguments
    [ $? -eq 2 ] && [ ! -s "$work/out" ] && grep -q '^hakmem learn LOG' "$work/err" ||
        wrong="$wrong; learn $arguments"
done
[ -z "$wrong" ]
report $? "a wrong call is refused${wrong:+, but not$wrong}"
learn "$log" --svg "$work/none/x.svg"
[ $? -eq 1 ] && told "$work/none/x.svg: No such file or directory"
report $? "a picture that cannot be written is told"
if [ -c /dev/full ]; then
    timeout 60 "$tool" learn "$log" >/dev/full 2>"$work/err"
    [ $? -eq 1 ] && grep -q '^hakmem: standard output: ' "$work/err"
    report $? "a full disk is told"
else
    skip "a full disk is told" "there is no /dev/full"
fi

# ------------------------------------------------------------------ pictures
well_formed() # FILE
{
    [ "$(head -c 5 "$1")" = "<svg " ] && [ "$(tail -n 1 "$1")" = "</svg>" ] || return 1
    if command -v xmllint >/dev/null; then
        xmllint --noout "$1" 2>"$work/err"
    else
        for tag in g text title style polyline; do
            [ "$(grep -o "<${tag}[ >]" "$1" | wc -l)" -eq "$(grep -o "</${tag}>" "$1" | wc -l)" ] ||
                return 1
        done
    fi
}

learn "$log" --svg "$work/a.svg" && has 'the learner, against *' && well_formed "$work/a.svg" &&
    [ "$(grep -c 'class="panel"' "$work/a.svg")" -eq 4 ] &&
    [ "$(grep -c '<polyline' "$work/a.svg")" -eq 16 ] &&
    grep -q '<title>keep, 2.400 s to 9.600 s</title>' "$work/a.svg" &&
    grep -q '>shard 1, site:1a2b3c4d<' "$work/a.svg"
report $? "--svg draws a panel a key, with a line an arm, and the arms in force"

# 20 keys, one with 5000 matches: each costs 2 for the first arm, 1 for the second.
awk 'BEGIN {
    print "{\"hakmem_learn\":1,\"mode\":\"on\",\"arms\":[\"a\",\"b\"]}"
    for (i = 0; i < 5019; i++)
        printf "{\"t\":%d,\"shard\":%d,\"key\":\"1M\",\"played\":\"%s\",\"bytes\":%d,\"paid\":2," \
            "\"costs\":[2,1],\"ratings\":[%d,-1.5e2]}\n", i, i < 5000 ? 0 : i - 4999,
            i % 2 ? "a" : "b", i == 0 ? 1000 : 1, i
}' >"$work/log"
learn "$work/log" --json --svg="$work/b.svg" && well_formed "$work/b.svg" &&
    row 0 1M '"paid":10000,"costs":[10000,5000]' '"regret":5000,"regret_percent":100.000' \
        '"ratings":[4999,-150]' '"switches":4999' &&
    [ "$(grep -o '"t":' "$work/out" | wc -l)" -eq 16 ] &&
    [ "$(grep -c 'class="panel"' "$work/b.svg")" -eq 12 ] &&
    grep -q '>8 keys with less bytes are not shown.<' "$work/b.svg" &&
    [ "$(wc -c <"$work/b.svg")" -lt 200000 ] &&
    grep -m 1 '<polyline' "$work/b.svg" | sed 's/.*points="//; s/".*//' | tr ' ' '\n' |
    awk -F, 'NR > 1 && $1 - last > 3 { uneven = 1 } { last = $1 }
        END { exit uneven || NR < 250 || NR > 513 || last < 300 }'
report $? "pictures and lists of switches are bounded, sums are not"

tap_end
