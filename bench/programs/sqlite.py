# SPDX-License-Identifier: MIT
"""A database in memory: filled, indexed, joined, sorted, emptied; run with PYTHONMALLOC=malloc."""
import os
import sqlite3
import sys

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 150000


def work():
    base = sqlite3.connect(":memory:")
    base.execute("create table item (id integer primary key, word text, number integer)")
    base.executemany("insert into item values (?, ?, ?)",
                     ((i, f"word {i * 7919 % 100003}", i % 1000) for i in range(ROWS)))
    base.execute("create index by_word on item (word)")
    base.execute("create index by_number on item (number, word)")
    found = base.execute("select number, count(*), max(word) from item group by number").fetchall()
    pairs = base.execute("select count(*) from item a join item b on a.word = b.word "
                         "where a.id <= b.id").fetchone()
    base.execute("select word from item order by word desc, id").fetchall()
    base.execute("update item set word = word || ' more' where number < 500")
    base.execute("delete from item where number % 3 = 0")
    base.close()
    return len(found), pairs


assert work()[0] == min(ROWS, 1000)
print("rest", os.getpid(), flush=True)
sys.stdin.read()
