# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# MariaDB over a Unix socket, a thread for each connection. The server's figures.
#   mariadb.sh idle N    N connections, two queries each, all of which stay open
#   mariadb.sh write N   N clients that insert and update at once
as_self()
{
    [ "$(id -u)" -ne 0 ] || echo --user=root
}
PATH=$PATH:/usr/sbin
if [ ! -d "$cache/mariadb" ]; then
    # shellcheck disable=SC2046 # a word or none
    mariadb-install-db --no-defaults --datadir="$cache/mariadb.new" --skip-test-db \
        --auth-root-authentication-method=normal $(as_self) >"$work/log" 2>&1 || exit 1
    mv "$cache/mariadb.new" "$cache/mariadb"
fi
cp -a "$cache/mariadb" "$work/data"
# shellcheck disable=SC2046 # a word or none
serve mariadbd --no-defaults --datadir="$work/data" --socket="$work/maria.sock" --skip-networking \
    --skip-grant-tables --skip-log-bin --innodb-flush-log-at-trx-commit=0 --max-connections=1200 \
    --open-files-limit=4096 --thread-cache-size=0 --pid-file="$work/maria.pid" $(as_self)
until mariadb-admin --no-defaults -S "$work/maria.sock" ping >/dev/null 2>&1; do
    kill -0 "$server" || exit 1
    sleep 0.05
done
begin
if [ "$1" = write ]; then
    mariadb-slap --no-defaults -S "$work/maria.sock" --concurrency="$2" --iterations=1 \
        --number-of-queries=10000 --auto-generate-sql --auto-generate-sql-load-type=mixed \
        --auto-generate-sql-add-autoincrement >"$work/slap" 2>&1 || exit 1
    rest "$server"
else
    python3 "$here/connections.py" "$work/maria.sock" "$2" "$server"
fi
