# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# PostgreSQL: initdb, a server on a socket of its own, pgbench (10 s in one mode, 3 s in the
# others), and queries whose answers are known. The server refuses root, so it runs as postgres.

postgres_programs()
{
    for folder in $(pg_config --bindir 2>/dev/null) /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && [ -x "$folder/pgbench" ] &&
            echo "$folder" && return
    done
}

postgres_missing()
{
    if [ -z "$(postgres_programs)" ]; then
        echo "PostgreSQL's server is not installed"
    elif [ "$(id -u)" -eq 0 ] && ! id postgres >/dev/null 2>&1; then
        echo "there is no user postgres"
    elif [ "$(id -u)" -eq 0 ] && ! command -v runuser >/dev/null; then
        echo "runuser is not installed"
    fi
}

postgres_do() # PROGRAM ARG...
{
    program=$(postgres_programs)/$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        under_user postgres timeout "$limit" "$program" "$@"
    else
        under timeout "$limit" "$program" "$@"
    fi
}

postgres_probe()
{
    probes "$(postgres_programs)/postgres"
    "$(postgres_programs)/postgres" --version >/dev/null || return 1
    under "$(postgres_programs)/postgres" --version
}

postgres_ask()
{
    postgres_do psql -h "$place" -d postgres -X -A -t -q -v ON_ERROR_STOP=1
}

postgres_query()
{
    postgres_ask <<'SQL'
select count(*), sum(bid) from pgbench_accounts;
create table numbers as select i, md5(i::text) as word, i * 7919 % 10007 as hash
    from generate_series(1, 100000) i;
create index on numbers (word);
select count(*), sum(length(word)), max(word) from numbers;
select hash % 10, count(*), min(word) from numbers group by 1 order by 1;
select md5(string_agg(word, ',' order by hash, i)) from numbers where i % 5 = 0;
select a.i, b.i from numbers a join numbers b on a.hash = b.hash and a.i < b.i
    order by 1, 2 limit 9;
select jsonb_object_agg(i, word) -> '77' from numbers where i < 1000;
SQL
}

postgres_bench()
{
    # The first mode that was asked for gets the whole ten seconds.
    duration=3
    [ "$mode" = "${modes%% *}" ] && duration=10
    postgres_do pgbench -h "$place" -i -q -s 1 postgres || return 1
    postgres_do pgbench -h "$place" -c 4 -j 2 -T "$duration" postgres >pgbench.out || return 1
    note "pgbench for $duration s: $(grep '^tps' pgbench.out)"
    grep -E 'failed transactions' pgbench.out
}

postgres_run()
{
    place=$work/postgres
    rm -rf "$place"
    mkdir "$place" && chmod 700 "$place" || return 1
    [ "$(id -u)" -ne 0 ] || chown postgres "$place" || return 1
    postgres_do initdb -D "$place/data" -A trust -N --locale=C -E UTF8 || return 1
    postgres_do pg_ctl -D "$place/data" -w -l "$place/log" \
        -o "-k $place -c listen_addresses= -c fsync=off" start >/dev/null || return 1
    prove_process "$(head -n 1 "$place/data/postmaster.pid")" postgres &&
        postgres_bench && postgres_query
    status=$?
    postgres_do pg_ctl -D "$place/data" -w -m fast stop >/dev/null || return 1
    # A session that has not yet read its client's farewell is told so when the server stops.
    grep -E 'PANIC|FATAL|signal' "$place/log" | grep -v 'due to administrator command' >&2 && return 1
    return $status
}
