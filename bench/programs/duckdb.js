// SPDX-License-Identifier: MIT
// DuckDB within node (npm install @duckdb/node-api): joins, groups and sorts of two million rows,
// in two threads; then all is dropped.
'use strict';
const { DuckDBInstance } = require('@duckdb/node-api');
const rows = Number(process.argv[2] || 2000000);
const questions = [
  `create table numbers as select i, md5(i::varchar) as word, hash(i) % 100003 as hash,
    i % 1000 / 7 as share from range(${rows}) t(i)`,
  'select count(*) from numbers a join numbers b on a.hash = b.i',
  'select count(*) from (select hash, count(*), min(word), sum(share) from numbers group by 1)',
  'select max(r) from (select row_number() over (order by word) r from numbers)',
  'select count(*) from (select word, i from numbers order by word, i offset 1)',
  'select sum(a.share * b.share) from numbers a join numbers b using (word)',
];
(async () => {
  const database = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await database.connect();
  console.log('begin');
  for (const question of questions) await connection.run(question);
  connection.closeSync();
  database.closeSync();
  console.log('rest ' + process.pid);
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
})();
