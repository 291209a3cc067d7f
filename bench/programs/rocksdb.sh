# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# RocksDB by its db_bench: two threads fill, overwrite and read while others compact.
# It ends: there is no rest.
under db_bench --db="$work/rocksdb" --num="${1:-200000}" --threads=2 --value_size=200 \
    --write_buffer_size=4194304 --cache_size=33554432 --compression_type=none --disable_wal=1 \
    --benchmarks=fillrandom,overwrite,readrandom,readrandomwriterandom >"$work/out" 2>&1 || exit 1
grep -q '^readrandomwriterandom .*micros/op' "$work/out"
