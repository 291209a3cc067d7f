# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# pgbench: short transactions in four sessions. The figures of all of the server's processes.
# shellcheck source=/dev/null
. "$here/postgres.lib"
start_server
begin
as_user "$programs/pgbench" -h "$work" -n -c 4 -j 1 -t "${1:-1500}" postgres >"$work/pgbench" 2>&1 || exit 1
sleep 0.2 # until the sessions have ended
# shellcheck disable=SC2046 # a list
rest "$server" $(pgrep -P "$server")
