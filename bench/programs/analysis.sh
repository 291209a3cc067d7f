# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# Seven analytical queries in one session of PostgreSQL. The figures of its backend, which is idle
# at rest.
# shellcheck source=/dev/null
. "$here/postgres.lib"
start_server
mkfifo "$work/questions" && chmod 666 "$work/questions"
ask -v ON_ERROR_STOP=1 <"$work/questions" >"$work/answers" 2>&1 &
exec 9>"$work/questions"
at_end "exec 9>&-"
cat >&9 <<'SQL'
set work_mem = '256MB';
select pg_backend_pid();
\echo begun
SQL
until grep -q begun "$work/answers"; do sleep 0.02; done
begin
cat >&9 <<'SQL'
select count(distinct word) from numbers;
select count(*) from (select hash, count(*), min(word), sum(share) from numbers group by 1) t;
select count(*) from numbers a join numbers b on a.hash = b.i;
select length(string_agg(word, ',' order by word)) from numbers;
select sum(r) from (select rank() over (partition by hash % 100 order by word) r from numbers) t;
select count(*) from (select word, array_agg(i) from numbers group by word order by 2 desc) t;
select sum(a.share * b.share) from numbers a join numbers b using (hash) where a.i < b.i;
\echo ended
SQL
until grep -q 'ended\|ERROR' "$work/answers"; do sleep 0.02; done
grep -q ERROR "$work/answers" && cat "$work/answers" >&2 && exit 1
rest "$(head -n 1 "$work/answers")"
