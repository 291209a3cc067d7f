#!/bin/sh
# SPDX-License-Identifier: MIT
#
# programs.sh - MALLOC_CONF as it is obeyed and as it is refused; then Debian's redis-server with the
# library in the place of libjemalloc.so.2, and what it tells of its memory.

# shellcheck disable=SC2034  # verdict reads variables by their names

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build
skip_all_in_quick_check

library=${HAKMEM_TEST_JEMALLOC:?is to name the built libhakmem-jemalloc.so.2}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/out $work/err"

ask() # MALLOC_CONF [VARIABLE=VALUE...]
{
    conf=$1
    shift
    env MALLOC_CONF="$conf" "$@" ./tests/compat/ask >"$work/out" 2>"$work/err"
}

told() # PATTERN: on stdout
{
    grep -q -e "$1" "$work/out"
}

silent()
{
    [ ! -s "$work/err" ]
}

one_line() # PATTERN: all that stderr holds
{
    [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q -e "$1" "$work/err"
}

ask '' && told '^opt.narenas: 0$' && told '^opt.dirty_decay_ms: 1000$' && silent
report $? "no option: jemalloc's defaults"

ask 'narenas:3,dirty_decay_ms:-1,thp:never,tcache:false' && told '^shards=3 ' &&
    told '^opt.dirty_decay_ms: -1$' && told '^opt.thp: never$' && told '^opt.tcache: false$' && silent
report $? "known options are obeyed or accepted"

ask 'narenas:3' HAKMEM_SHARD=2 && told '^shards=2 ' && silent
report $? "a HAKMEM_ variable counts more"

ask 'colour:red,narenas:2' && told '^shards=2 ' && one_line 'MALLOC_CONF: colour: no such option'
report $? "an unknown option is told in a line, and the rest obeyed"

ask 'narenas:many' && told '^opt.narenas: 0$' && one_line 'MALLOC_CONF: narenas:many: not understood'
report $? "a wrong value is told in a line"

ask 'narenas' && one_line 'MALLOC_CONF: narenas: not understood; allowed: KEY:VALUE'
report $? "a key without a value is told in a line"

ask 'zero:true' && told '^opt.zero: false$' && one_line 'MALLOC_CONF: zero: not done by hakmem'
report $? "what is not done is told in a line"

env MALLOC_CONF='prof_prefix:a"b\c' ./tests/compat/ask '' J >"$work/out" 2>"$work/err"
told '"opt.prof_prefix":"a\\u0022b\\u005cc"'
report $? "a text is escaped in JSON"

# e with an accent stays; a byte alone, half of a surrogate and a cut character do not.
env MALLOC_CONF="$(printf 'prof_prefix:\303\251\377\355\240\303')" ./tests/compat/ask '' J \
    >"$work/out" 2>"$work/err"
told "$(printf '"opt.prof_prefix":"\303\251')"'\\ufffd\\ufffd\\ufffd\\ufffd"'
report $? "JSON is UTF-8, whatever the text is"

env MALLOC_CONF=prof:true,lg_prof_sample:12 ./tests/compat/ask "$work/profile" >"$work/out" \
    2>"$work/err" && told '^prof.dump=0$' && told '^prof.active: true$' && silent &&
    head -n 1 "$work/profile" | grep -q '^heap profile:'
report $? "prof:true, prof.dump write a profile"

# ---- redis ----

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    skip "redis-server" "redis-server is not installed"
    tap_end
fi
if ! ldd "$(command -v redis-server)" | grep -q libjemalloc.so.2; then
    skip "redis-server" "redis-server is not linked with libjemalloc.so.2"
    tap_end
fi

redis()
{
    timeout 30 redis-cli -s "$work/redis.sock" "$@" 2>/dev/null | tr -d '\r'
}

figure() # NAME: of INFO memory
{
    sed -n "s/^$1:\([0-9]*\).*/\1/p" "$work/out"
}

look()
{
    redis INFO memory >"$work/out"
    allocated=$(figure allocator_allocated)
    active=$(figure allocator_active)
    resident=$(figure allocator_resident)
    used=$(figure used_memory)
}

mkdir "$work/lib" && ln -s "$library" "$work/lib/libjemalloc.so.2"
LD_LIBRARY_PATH=$work/lib redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" \
    --save '' --loglevel warning >"$work/redis.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until [ "$(redis PING)" = PONG ] || [ $tries -ge 240 ]; do
    tries=$((tries + 1))
    sleep 0.25
done
tap_details="$work/out $work/redis.log"
grep -q "$(basename "$(readlink -f "$library")")" "/proc/$server/maps"
report $? "redis-server runs on the library"

look
before=$allocated
redis EVAL 'for i = 1, 20000 do redis.call("SET", "k" .. i, string.rep("x", 1000)) end' 0 >/dev/null
look
grown=$((allocated - before))
verdict "allocator_allocated grows by what is stored" 'grown > 20000000 && grown < 60000000'
verdict "active and resident are no less" 'active >= allocated && resident >= active'
verdict "used_memory agrees with what is allocated" \
    'used <= allocated * 11 / 10 && used >= allocated / 2'

redis MEMORY MALLOC-STATS >"$work/out"
grep -q 'stats.allocated: [1-9]' "$work/out"
report $? "MEMORY MALLOC-STATS tells the figures"

redis FLUSHALL >/dev/null
look
full=$resident
[ "$(redis MEMORY PURGE)" = OK ]
report $? "MEMORY PURGE is done"
redis MEMORY STATS >"$work/stats"
look
tap_details="$work/out $work/stats"
# Metadata and what redis took meanwhile aside.
verdict "and memory went back" 'resident <= full + 4194304 && resident - active <= 8388608'
[ "$(sed -n '/^allocator.allocated$/{n;p}' "$work/stats")" -gt 0 ]
report $? "MEMORY STATS tells the figures"
redis SHUTDOWN NOSAVE
wait $server
report $? "redis-server ends"
tap_end
