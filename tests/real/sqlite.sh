# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# sqlite3: a million rows (a tenth of them unless heavy ones are asked for) go in, are queried,
# changed and checked.

sqlite_missing()
{
    command -v sqlite3 >/dev/null || echo "sqlite3 is not installed"
}

sqlite_probe()
{
    probes sqlite3
    under sqlite3 :memory: 'select 1'
}

sqlite_run()
{
    rows=100000
    [ "${HAKMEM_CHECK_HEAVY:-0}" != 1 ] || rows=1000000
    rm -f rows.db
    under timeout "$limit" sqlite3 rows.db <<SQL
pragma journal_mode = off;
pragma synchronous = off;
create table rows (id integer primary key, name text, score real, blob blob);
insert into rows
    with recursive n(i) as (select 1 union all select i + 1 from n where i < $rows)
    select i, 'name ' || (i * 7919 % 1000003), i * 0.5, zeroblob(i % 40) from n;
create index by_name on rows (name);
select count(*), sum(id), sum(length(name)), sum(length(blob)) from rows;
select * from rows where name between 'name 5' and 'name 50001' order by name limit 20;
select id % 10, count(*), round(avg(score), 3), max(name) from rows group by 1 order by 1;
select group_concat(name, ',') from (select name from rows where id % 50000 = 0 order by id);
select a.id, b.id from rows a join rows b on b.name = 'name ' || a.id where a.id < 15 order by 1;
update rows set name = upper(name) || name where id % 20 = 0;
delete from rows where id % 3 = 0;
select count(*), sum(length(name)) from rows;
pragma integrity_check;
SQL
}
