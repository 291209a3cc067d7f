# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# redis: 600,000 keys set by redis-benchmark, read, and flushed. The server's figures, not the
# client's. At rest it is empty.
keys=${1:-600000}
serve redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save '' \
    --loglevel warning
ask()
{
    redis-cli -s "$work/redis.sock" "$@" 2>/dev/null
}
answers()
{
    [ "$(ask PING)" = PONG ]
}
until_served answers
begin
for load in set lpush get; do
    redis-benchmark -s "$work/redis.sock" -q -n "$keys" -r "$keys" -d 100 -c 20 -P 32 -t $load \
        >/dev/null || exit 1
done
ask FLUSHALL >/dev/null || exit 1
rest "$server"
