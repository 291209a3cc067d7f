# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# redis-server on a socket of its own, driven by redis-benchmark; then known data, read back, saved
# by a forked child, and read back by a second server.

redis_missing()
{
    for program in redis-server redis-benchmark redis-cli; do
        command -v $program >/dev/null || echo "$program is not installed"
    done
}

redis_probe()
{
    probes redis-server
    under redis-server --version
}

redis_start()
{
    under redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save '' \
        --dbfilename redis.rdb --activerehashing yes --loglevel warning >redis.log 2>&1 &
    redis_pid=$!
    tries=0
    until [ "$(redis_ask PING)" = PONG ]; do
        tries=$((tries + 1))
        [ $tries -lt 240 ] && kill -0 "$redis_pid" || return 1
        sleep 0.25
    done
    prove_process "$(redis_ask INFO server | tr -d '\r' | sed -n 's/^process_id://p')" redis-server
}

redis_ask() # WORD...
{
    timeout 30 redis-cli -s "$work/redis.sock" "$@" 2>/dev/null
}

redis_stop()
{
    redis_ask SHUTDOWN NOSAVE
    wait "$redis_pid"
}

# Known data of all types and sizes, made by the server itself; then digests of it.
redis_fill()
{
    redis_ask EVAL '
        for i = 1, 20000 do
            redis.call("SET", "s" .. i, string.rep("x", i % 700))
            redis.call("RPUSH", "l" .. i % 50, "element " .. i)
            redis.call("HSET", "h" .. i % 300, "field" .. i, i * 3)
            redis.call("ZADD", "z" .. i % 20, i * 7919 % 10007, "member" .. i)
            redis.call("SADD", "t" .. i % 70, i)
            redis.call("APPEND", "a" .. i % 10, "part " .. i)
        end
        return redis.status_reply("filled")' 0
}

redis_digest()
{
    redis_ask DBSIZE
    redis_ask EVAL '
        local sum = ""
        for i = 1, 20000, 7 do
            sum = redis.sha1hex(sum .. redis.call("GET", "s" .. i))
        end
        local function add(list) sum = redis.sha1hex(sum .. table.concat(list, ",")) end
        for i = 0, 49 do add(redis.call("LRANGE", "l" .. i, 0, -1)) end
        for i = 0, 19 do add(redis.call("ZRANGE", "z" .. i, 0, -1)) end
        for i = 0, 9 do sum = redis.sha1hex(sum .. redis.call("GET", "a" .. i)) end
        for i = 0, 299 do sum = sum .. redis.call("HLEN", "h" .. i) end
        return redis.sha1hex(sum)' 0
}

redis_run()
{
    rm -f redis.rdb
    redis_start || return 1
    # Over random keys: what is left of them is thrown away.
    timeout "$limit" redis-benchmark -s "$work/redis.sock" -q -n 20000 -r 20000 -d 200 -c 20 -P 4 \
        -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset \
        >benchmark.out 2>&1 || return 1
    tr '\r' '\n' <benchmark.out | grep 'requests per second' >benchmark.lines
    wc -l <benchmark.lines # how many were run
    note "$(grep -E '^(SET|GET): ' benchmark.lines | tr '\n' ' ')"
    redis_ask FLUSHALL
    redis_fill
    redis_digest
    redis_ask BGSAVE >/dev/null
    tries=0
    until redis_ask INFO persistence | grep -q 'rdb_bgsave_in_progress:0'; do
        tries=$((tries + 1))
        [ $tries -lt 240 ] || { note "BGSAVE has not ended in a minute" && return 1; }
        sleep 0.25
    done
    redis_ask INFO persistence | tr -d '\r' | grep rdb_last_bgsave_status
    redis_stop
    redis_start || return 1
    redis_digest
    redis_stop
}
