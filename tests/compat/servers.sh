#!/bin/sh
# SPDX-License-Identifier: MIT
#
# servers.sh - programs that others have built for jemalloc or for malloc, with
# libhakmem-jemalloc.so.2 in the place of libjemalloc.so.2 or before libc: each does some work, proves
# which allocator served it, and ends by itself.
#
#     named      mallocx, rallocx, sdallocx: a zone, queries, a transfer, rndc     libjemalloc.so.2
#     varnishd   malloc of libjemalloc.so.2: pages over a Unix socket              libjemalloc.so.2
#     db_bench   RocksDB: fills, reads and overwrites                              LD_PRELOAD
#     mariadbd   tables over a Unix socket; takes long: HAKMEM_CHECK_HEAVY=1       LD_PRELOAD

# shellcheck disable=SC2034  # verdict reads variables by their names, report a list of files

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build
skip_all_in_quick_check

library=${HAKMEM_TEST_JEMALLOC:?is to name the built libhakmem-jemalloc.so.2}
tool=${HAKMEM_TEST_TOOL:?is to name the built hakmem command}
[ -z "${HAKMEM_CHECK_LONG:-}" ] || HAKMEM_CHECK_HEAVY=1
work=$(mktemp -d) || exit 99
started=
trap '[ -z "$started" ] || kill "$started" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
mkdir "$work/lib" && cp -L "$library" "$work/lib/libjemalloc.so.2"

# Both become the command, so they are called in the background or in parentheses.
in_place() # COMMAND...: in the place of jemalloc
{
    exec env HAKMEM_PUBLISH=1 LD_LIBRARY_PATH="$work/lib" "$@"
}

preloaded() # COMMAND...: before libc
{
    exec env HAKMEM_PUBLISH=1 LD_PRELOAD="$work/lib/libjemalloc.so.2" "$@"
}

installed() # WHAT PROGRAM...: else the case is skipped
{
    what=$1
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        skip "$what" "$program is not installed"
        return 1
    done
}

for_jemalloc() # PROGRAM
{
    ldd "$(command -v "$1")" | grep -q libjemalloc.so.2 && return
    skip "$1" "$1 is not linked with libjemalloc.so.2"
    return 1
}

wait_for() # COMMAND...: until it succeeds, a minute at most
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 240 ] || return 1
        sleep 0.25
    done
}

# Mapped, and with objects of its own counting.
served() # PID NAME
{
    grep -q "$work/lib/libjemalloc.so.2" "/proc/$1/maps"
    report $? "$2 has the library mapped"
    "$tool" stat "$1" >"$work/stat"
    objects=$(awk '$1 == "refill_objects" { print $2; exit }' "$work/stat")
    verdict "and was given objects by it" "${objects:-0} > 100"
}

is_gone() # PID: of a child, which is a zombie until somebody waits for it
{
    ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null
}

ended() # PID NAME: within a minute, else it is killed
{
    wait_for is_gone "$1" || kill -9 "$1"
    wait "$1"
    report $? "$2 ends by itself"
    started=
}

# ---- named ----

# Two ports of the loopback, for named lets nobody in by a socket.
named_configure() # PORT
{
    cat >"$work/named.conf" <<CONF
options {
    directory "$work";
    listen-on port $1 { 127.0.0.1; };
    listen-on-v6 { none; };
    pid-file none;
    session-keyfile none;
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    statistics-file "$work/named.stats";
};
key test { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"; };
controls { inet 127.0.0.1 port $(($1 + 1)) allow { 127.0.0.1; } keys { test; }; };
zone "example.test" { type primary; file "$work/zone"; allow-transfer { any; }; };
CONF
    cat >"$work/rndc.conf" <<CONF
key test { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"; };
options { default-key test; default-server 127.0.0.1; default-port $(($1 + 1)); };
CONF
    {
        echo "\$TTL 60"
        echo '@ IN SOA ns admin 1 60 60 60 60'
        echo '@ IN NS ns'
        echo 'ns IN A 127.0.0.1'
        seq 2000 | awk '{ print "h" $1 " IN A 10.0." int($1 / 250) "." $1 % 250 }'
    } >"$work/zone"
}

# A copy: where AppArmor is in force, Debian's profile of /usr/sbin/named knows no folder of ours.
named_start()
{
    cp "$(command -v named)" "$work/named" || return
    for port in 15353 25353 35353; do
        named_configure $port
        in_place "$work/named" -g -4 -n 2 -c "$work/named.conf" >"$work/named.log" 2>&1 &
        named=$!
        started=$named
        wait_for grep -q -E 'running$|exiting|address in use' "$work/named.log"
        grep -q 'running$' "$work/named.log" && ! grep -q 'address in use' "$work/named.log" &&
            return
        kill $named 2>/dev/null
        wait $named
    done
    return 1
}

dig_zone() # DIG'S WORDS...
{
    timeout 30 dig +time=5 +tries=3 @127.0.0.1 -p "$port" "$@"
}

rndc_do() # WORDS...
{
    timeout 30 rndc -c "$work/rndc.conf" "$@"
}

check_named()
{
    installed named named dig rndc && for_jemalloc named || return
    tap_details=$work/named.log
    named_start
    status=$?
    if [ $status -ne 0 ] && grep -q 'address in use' "$work/named.log"; then
        skip named "three ports are in use"
        return
    fi
    report $status "named starts"
    [ $status -eq 0 ] || return
    [ "$(dig_zone +short h1234.example.test A)" = 10.0.4.234 ]
    report $? "it answers"
    seq 2000 | awk '{ print "h" $1 ".example.test A" }' >"$work/names"
    [ "$(dig_zone +short -f "$work/names" | sort -u | wc -l)" -eq 2000 ]
    report $? "2000 times"
    [ "$(dig_zone +tcp +noall +answer example.test AXFR | wc -l)" -eq 2004 ]
    report $? "the zone is transferred"
    rndc_do stats && grep -q '20[0-9]* QUERY$' "$work/named.stats" && rndc_do flush &&
        rndc_do reload >/dev/null && rndc_do status >"$work/status"
    report $? "stats, flush, reload and status by rndc"
    served "$named" named
    rndc_do stop
    ended "$named" named
}

# ---- varnishd ----

check_varnish()
{
    installed varnishd varnishd varnishadm curl && for_jemalloc varnishd || return
    tap_details=$work/varnish.log
    cat >"$work/pages.vcl" <<'VCL'
vcl 4.1;
backend default none;
sub vcl_recv { return (synth(200, "served")); }
VCL
    in_place varnishd -F -j none -n "$work/varnish" -f "$work/pages.vcl" -a "$work/varnish.sock" \
        -s malloc,16m >"$work/varnish.log" 2>&1 &
    varnish=$!
    started=$varnish
    wait_for curl -s -f --unix-socket "$work/varnish.sock" http://example.test/
    status=$?
    report $status "varnishd serves"
    [ $status -eq 0 ] || return
    curl -s --unix-socket "$work/varnish.sock" 'http://example.test/[1-300]' >"$work/pages"
    [ "$(grep -c '<h1>.*served' "$work/pages")" -eq 300 ]
    report $? "300 pages"
    served "$(sed -n 's/.*Child (\([0-9]*\)) Started.*/\1/p' "$work/varnish.log")" varnishd
    varnishadm -n "$work/varnish" stop >/dev/null && kill "$varnish"
    ended "$varnish" varnishd
}

# ---- db_bench ----

check_rocksdb()
{
    installed db_bench db_bench || return
    tap_details="$work/rocksdb.out $work/rocksdb.err"
    (preloaded HAKMEM_STATS=1 timeout 240 db_bench --db="$work/rocksdb" --num=20000 --threads=2 \
        --benchmarks=fillrandom,readrandom,overwrite,readseq --write_buffer_size=1048576) \
        >"$work/rocksdb.out" 2>"$work/rocksdb.err"
    report $? "db_bench fills, reads and overwrites"
    [ "$(grep -c -E '^(fillrandom|readrandom|overwrite|readseq) .*micros/op' "$work/rocksdb.out")" -eq 4 ]
    report $? "and tells of each"
    objects=$(awk '$1 == "refill_objects" { sum += $2 } END { print sum }' "$work/rocksdb.err")
    verdict "the library served it" "${objects:-0} > 10000"
}

# ---- mariadbd ----

maria()
{
    timeout 60 mariadb --no-defaults -S "$work/maria.sock" -N "$@"
}

# Root must say that it is meant.
as_self()
{
    [ "$(id -u)" -ne 0 ] || echo --user=root
}

maria_work()
{
    echo 'create database test; use test;'
    echo 'create table numbers (n int primary key, word varchar(64), key (word)) engine=innodb;'
    seq 100 | awk '{ print "insert into numbers values (" $1 ", md5(" $1 "));" }'
    seq 100 | awk '{ print "select count(*) from numbers where word = md5(" $1 ");" }'
    echo 'select sum(n), count(distinct word) from numbers;'
    echo 'select max(a.n * b.n) from numbers a join numbers b order by a.word;'
}

check_mariadb()
{
    if [ "${HAKMEM_CHECK_HEAVY:-0}" != 1 ]; then
        skip mariadbd "it takes long: HAKMEM_CHECK_HEAVY=1 runs it"
        return
    fi
    installed mariadbd mariadbd mariadb mariadb-install-db mariadb-admin || return
    tap_details="$work/maria.log $work/maria.out"
    # shellcheck disable=SC2046  # a word or none
    (preloaded timeout 240 mariadb-install-db --no-defaults --datadir="$work/maria" \
        --skip-test-db --auth-root-authentication-method=normal $(as_self)) >"$work/maria.log" 2>&1
    report $? "mariadb-install-db makes a database"
    # shellcheck disable=SC2046  # as above
    preloaded mariadbd --no-defaults --datadir="$work/maria" --socket="$work/maria.sock" \
        --skip-networking --pid-file="$work/maria.pid" $(as_self) >"$work/maria.log" 2>&1 &
    mariadb=$!
    started=$mariadb
    wait_for timeout 5 mariadb-admin --no-defaults -u root -S "$work/maria.sock" ping
    status=$?
    report $status "mariadbd starts"
    [ $status -eq 0 ] || return
    maria_work | maria -u root >"$work/maria.out" 2>&1
    [ "$(grep -c '^1$' "$work/maria.out")" -eq 100 ] && grep -q '^5050.100$' "$work/maria.out" &&
        grep -q '^10000$' "$work/maria.out"
    report $? "100 inserts, 100 selects, a join"
    served "$mariadb" mariadbd
    timeout 60 mariadb-admin --no-defaults -u root -S "$work/maria.sock" shutdown
    ended "$mariadb" mariadbd
}

check_named
check_varnish
check_rocksdb
check_mariadb
tap_end
