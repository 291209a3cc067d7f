#!/bin/sh
# SPDX-License-Identifier: MIT
#
# options.sh - the environment: right values are obeyed in silence, wrong ones are answered by one
# line on stderr and the default; statistics are printed when they are asked for.

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
count=0
bad=0

report() # STATUS NAME
{
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        sed 's/^/# /' "$work/err"
        bad=1
    fi
}

if [ -n "$HAKMEM_TEST_SANITIZE" ]; then
    echo "1..0 # SKIP in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
    exit 0
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

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
    count=$((count + 1))
    echo "ok $count - HAKMEM_STATS=json prints one JSON value # SKIP perl has no JSON::PP"
fi

# stdout closed, stderr closed: nothing of ours may land in a file that took the number.
env HAKMEM_STATS=1 LD_PRELOAD="$library" "$sorter" "$work/expected" -o "$work/sorted" 2>&- >&-
sort "$work/expected" | cmp -s - "$work/sorted"
report $? "with stderr closed, statistics do not land in the program's files"

echo "1..$count"
exit $bad
