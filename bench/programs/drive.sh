#!/bin/sh
# SPDX-License-Identifier: MIT
# drive.sh FILE.sh [ARGUMENT] - what the scripts among the programs share. The runner sets
#   PROGRAM_PRELOAD  what the program itself is to preload, and nobody else; may be empty
#   PROGRAM_WORK     a folder for this run   PROGRAM_CACHE  one for all   PROGRAM_PORT  a free port
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2034 # read by the scripts
{
    preload=$PROGRAM_PRELOAD
    work=$PROGRAM_WORK
    cache=$PROGRAM_CACHE
    port=$PROGRAM_PORT
}
ending=:
trap 'eval "$ending"; wait' EXIT
trap 'exit 1' INT TERM

under() # COMMAND...
{
    env ${preload:+LD_PRELOAD="$preload"} "$@"
}

# The same in the background: its process in $server, ended in the end.
serve() # COMMAND...
{
    env ${preload:+LD_PRELOAD="$preload"} "$@" >"$work/log" 2>&1 &
    server=$!
    at_end "kill $server"
}

until_served() # COMMAND...: until it succeeds, while the server lives, for half a minute
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] && kill -0 "$server" || exit 1
        sleep 0.05
    done
}

at_end() # COMMAND
{
    ending="$1; $ending"
}

begin()
{
    echo begin
}

rest() # PID...
{
    echo "rest $*"
    cat >/dev/null
}

script=$1
shift
# shellcheck source=/dev/null
. "$here/$script"
