#!/bin/sh
# SPDX-License-Identifier: MIT
#
# options.sh - the environment: right values are obeyed in silence, wrong ones are answered by one
# line on stderr and the default; statistics are printed when they are asked for. Each option has an
# effect that a small program with threads tells (effect.c); and the modes that modes.sh leaves out
# pass the tests of malloc, threads and fork.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/err"
LC_ALL=C # a locale that is not installed is told on standard error
export LC_ALL

# The person's own options end at make check; ./setup.sh check sets one to see it.
env | grep '^HAKMEM_' | grep -v -E '^HAKMEM_(TEST|CHECK|STRESS|VM)_' >"$work/err"
[ ! -s "$work/err" ]
report $? "no option of the person's own reaches the tests"

# A program that allocates in each tier, whose output is known. Only it is preloaded.
run() # NAME=VALUE...
{
    env "$@" LD_PRELOAD="$library" "$work/probe" >"$work/out" 2>"$work/err"
}
sorter=$(command -v sort)
cat >"$work/probe" <<'PROBE'
#!/bin/sh
i=0
while [ $i -lt 300 ]; do
    i=$((i + 1))
    echo "line $i"
done
PROBE
sed -i "1s|.*|#!$(command -v bash || echo /bin/sh)|" "$work/probe"
chmod +x "$work/probe"
sh "$work/probe" >"$work/expected"

for value in single node l3 cpu auto 1 2 4 64; do
    run HAKMEM_SHARD=$value && cmp -s "$work/out" "$work/expected" && [ ! -s "$work/err" ]
    report $? "HAKMEM_SHARD=$value is obeyed in silence"
done

for pair in HAKMEM_SHARD=nonsense HAKMEM_SHARD= HAKMEM_SHARD=-1 HAKMEM_SHARD=0 \
    HAKMEM_SHARD=99999999999999999999 HAKMEM_SHARD=4x HAKMEM_STATS=maybe HAKMEM_STATS=7; do
    name=${pair%%=*}
    run "$pair" && cmp -s "$work/out" "$work/expected"
    report $? "$pair does not disturb the program"
    # An empty value may as well mean "not set".
    case $pair in
        *=) [ "$(wc -l <"$work/err")" -le 1 ] ;;
        *) [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "$name" "$work/err" ;;
    esac
    report $? "$pair is answered by one line that names it"
done

run HAKMEM_STATS=0 && [ ! -s "$work/err" ]
report $? "HAKMEM_STATS=0 prints nothing"
run HAKMEM_STATS=1 && cmp -s "$work/out" "$work/expected" && [ -s "$work/err" ]
report $? "HAKMEM_STATS=1 prints statistics on stderr, and nothing on stdout"

run HAKMEM_STATS=json && cmp -s "$work/out" "$work/expected"
report $? "HAKMEM_STATS=json leaves stdout alone"
if command -v perl >/dev/null && perl -MJSON::PP -e 1 2>/dev/null; then
    perl -MJSON::PP -0777 -ne 'decode_json($_)' "$work/err" 2>"$work/err2"
    report $? "HAKMEM_STATS=json prints one JSON value"
else
    skip "HAKMEM_STATS=json prints one JSON value" "perl has no JSON::PP"
fi

# Fronts that are not as asked for say why. (Where there are restartable sequences at all.)
why() # WORDS WHEN NAME=VALUE...
{
    words=$1
    name=$2
    shift 2
    run HAKMEM_VERBOSE=1 "$@" && cmp -s "$work/out" "$work/expected" &&
        grep -q "^hakmem: .* front=$words remote=" "$work/err"
    report $? "HAKMEM_VERBOSE=1 tells of front=$words $name"
}
why thread "unasked" HAKMEM_FRONT=thread
if run HAKMEM_VERBOSE=1 HAKMEM_FRONT=cpu && grep -q " front=cpu remote=" "$work/err"; then
    why "thread (no rseq)" "without rseq" HAKMEM_FRONT=cpu GLIBC_TUNABLES=glibc.pthread.rseq=0
    why "thread (no rseq)" "in mode cpu without rseq" HAKMEM_SHARD=cpu \
        GLIBC_TUNABLES=glibc.pthread.rseq=0
    run HAKMEM_STATS=json HAKMEM_FRONT=cpu GLIBC_TUNABLES=glibc.pthread.rseq=0 &&
        grep -q '"front":"thread","front_why":"no rseq",' "$work/err"
    report $? "statistics tell of it, too"
    run HAKMEM_STATS=json HAKMEM_FRONT=cpu && ! grep -q front_why "$work/err"
    report $? "and of nothing where fronts are as asked for"
fi

sh -c 'ulimit -v 1000000 && exec env HAKMEM_VERBOSE=1 LD_PRELOAD="$1" "$2" /dev/null' \
    sh "$library" "$sorter" 2>"$work/err" &&
    grep -q " front=thread remote=" "$work/err"
report $? "a process whose addresses are limited has fronts as any other"

# stdout closed, stderr closed: nothing of ours may land in a file that took the number.
env HAKMEM_STATS=1 LD_PRELOAD="$library" "$sorter" "$work/expected" -o "$work/sorted" 2>&- >&-
sort "$work/expected" | cmp -s - "$work/sorted"
report $? "with stderr closed, statistics do not land in the program's files"

# ------------------------------------------------------------------ effects
effect() # [-ARG] NAME=VALUE...: runs effect.c with all else by default; sets status
{
    argument=
    case $1 in
        -*) argument=${1#-} && shift ;;
    esac
    # shellcheck disable=SC2086  # none or one word
    timeout -k 5 60 env "$@" LD_PRELOAD="$library" "$program" $argument >"$work/out" 2>"$work/err"
    status=$?
    { cat "$work/err" && head -n 12 "$work/out" | cut -c 1-200; } >"$work/both"
    cp "$work/err" "$work/complaints"
    cp "$work/both" "$work/err" # what report shows
}

fact() # NAME: what effect.c told
{
    sed -n "s/^$1=[[:space:]]*//p" "$work/out"
}

counter() # NAME: of all shards together
{
    grep -o "\"$1\":[0-9]*" "$work/out" | head -n 1 | cut -d : -f 2
}

tells() # WORDS: the program ended well, and its mode holds these words
{
    [ $status -eq 0 ] && [ ! -s "$work/complaints" ] && fact mode | grep -q -e "$1"
}

program=${HAKMEM_TEST_LINKED%/*}/effect
# Memory is compared without huge pages, whatever the system's setting.
keep="HAKMEM_MEMORY_LIMIT=none HAKMEM_SHARD=single HAKMEM_THP=never HAKMEM_LEARN=off"
keep="$keep HAKMEM_DECAY=never HAKMEM_RETAIN=1G"

effect HAKMEM_SHARD=cpu
cpus=$(fact cpus)
first=$(fact first_cpu)
tells "shards=$cpus by=cpu .*remote=adopt"
report $? "HAKMEM_SHARD=cpu makes a shard for each of $cpus CPUs"
if [ "${cpus:-0}" -lt 2 ]; then
    for name in "HAKMEM_SHARD=cpu:LIST" "HAKMEM_REMOTE=adopt" "HAKMEM_REMOTE=home"; do
        skip "$name" "one CPU has no other shards"
    done
else
    [ "$(counter foreign_adopted)" -gt 0 ] && [ "$(counter foreign_objects_home)" -eq 0 ]
    report $? "HAKMEM_REMOTE=auto adopts what was freed elsewhere on the node"
    effect "HAKMEM_SHARD=cpu:$first"
    tells "shards=1 by=cpu"
    report $? "HAKMEM_SHARD=cpu:$first makes a shard for that CPU alone"
    effect HAKMEM_SHARD=cpu HAKMEM_REMOTE=home
    tells "by=cpu .*remote=home" && [ "$(counter foreign_objects_home)" -gt 0 ] &&
        [ "$(counter foreign_adopted)" -eq 0 ]
    report $? "HAKMEM_REMOTE=home sends home what was freed elsewhere"
fi

effect HAKMEM_SHARD=cpu HAKMEM_NODES=0
tells "shards=[1-9][0-9]* by=cpu"
report $? "HAKMEM_NODES=0 is obeyed"
machine="HAKMEM_TOPOLOGY=synthetic:numa:2 core:3 pu:1"
effect "$machine" HAKMEM_SHARD=cpu
if grep -q 'cannot be loaded' "$work/complaints"; then
    skip "HAKMEM_NODES=1 makes shards for its CPUs alone" "libhwloc.so.15 cannot be loaded"
else
    whole=$(fact mode)
    effect "$machine" HAKMEM_SHARD=cpu HAKMEM_NODES=1
    tells "shards=3 by=cpu" && [ "${whole#shards=6 }" != "$whole" ]
    report $? "HAKMEM_NODES=1 makes shards for its CPUs alone"
fi

effect HAKMEM_SHARD=cpu HAKMEM_BIND=none
tells "bind=none$"
report $? "HAKMEM_BIND=none is in force"
effect HAKMEM_SHARD=cpu HAKMEM_BIND=interleave
tells "bind=interleave$" || tells "bind=plain (one node)$" || tells "bind=first-touch ("
report $? "HAKMEM_BIND=interleave is in force, or the mode says why not"

# shellcheck disable=SC2086  # several words
{
    effect $keep
    [ $status -eq 0 ] && [ "$(fact stirred_kib)" -ge $(($(fact held_kib) * 9 / 10)) ]
    report $? "HAKMEM_DECAY=never keeps what HAKMEM_RETAIN=1G allows, without a learner"
    [ "$(fact threads)" = 1 ]
    report $? "no thread of the library's own runs unasked"
    effect $keep HAKMEM_DECAY=0
    [ $status -eq 0 ] && [ "$(fact stirred_kib)" -le $(($(fact held_kib) / 2)) ]
    report $? "HAKMEM_DECAY=0 gives back what is unused, at the next occasion"
    effect $keep HAKMEM_RETAIN=0
    [ $status -eq 0 ] && [ "$(fact freed_kib)" -le $(($(fact held_kib) / 2)) ]
    report $? "HAKMEM_RETAIN=0 gives back what is unused when it is freed"
    effect -idle $keep HAKMEM_DECAY=300ms HAKMEM_BACKGROUND=1
    [ $status -eq 0 ] && [ "$(fact threads)" = 2 ] &&
        [ "$(fact idle_kib)" -le $(($(fact held_kib) / 2)) ]
    report $? "HAKMEM_BACKGROUND=1 gives back what is unused while the program idles"
}

effect HAKMEM_SHARD=cpu
case " $(fact flags) " in
    *" hg "* | *" nh "*) false ;;
    "  ") skip "HAKMEM_THP" "the kernel tells no VmFlags" ;;
esac
report $? "HAKMEM_THP=auto leaves huge pages to the system"
for pair in always-hg never-nh; do
    effect HAKMEM_SHARD=cpu "HAKMEM_THP=${pair%-*}"
    case " $(fact flags) " in
        *" ${pair#*-} "*) ;;
        *) [ ! -e /sys/kernel/mm/transparent_hugepage ] ;; # a kernel without them
    esac
    report $? "HAKMEM_THP=${pair%-*} marks mappings as ${pair#*-}"
done

effect -twice HAKMEM_SHARD=cpu HAKMEM_MISUSE=warn
[ $status -eq 0 ] && [ "$(wc -l <"$work/complaints")" -eq 1 ] &&
    grep -q '^hakmem: ' "$work/complaints"
report $? "HAKMEM_MISUSE=warn answers a second free by one line"
effect -twice HAKMEM_SHARD=cpu HAKMEM_MISUSE=ignore
[ $status -eq 0 ] && [ ! -s "$work/complaints" ]
report $? "HAKMEM_MISUSE=ignore answers a second free by nothing"
effect -twice HAKMEM_SHARD=cpu HAKMEM_MISUSE=abort
[ $status -eq 134 ] && [ "$(wc -l <"$work/complaints")" -eq 1 ]
report $? "HAKMEM_MISUSE=abort ends the program at a second free"

# ------------------------------------------------------------------ the other modes
for name in malloc threads fork; do
    for mode in l3 package auto 64; do
        if [ -n "$HAKMEM_TEST_MODES" ]; then
            skip "$name in mode $mode" "HAKMEM_TEST_MODES asks for $HAKMEM_TEST_MODES"
            continue
        fi
        HAKMEM_TEST_MODES=$mode sh "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" \
            "${HAKMEM_TEST_LINKED%/*}/$name.modes" >"$work/err" 2>&1
        report $? "$name in mode $mode"
    done
done

tap_end
