#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drift.sh - drift.c in each kind of placement: a shard for the process, a node, a CPU, what the
# default makes of it, and many more shards than CPUs.
#
# HAKMEM_CHECK_LONG       not empty: eight times the rounds (`make check-long`)
# HAKMEM_TEST_MODES       which modes                  HAKMEM_TEST_DRIFT   the program
# HAKMEM_TEST_LIBRARY, HAKMEM_TEST_SANITIZE, HAKMEM_TEST_SOURCE: see tests/lib/modes.sh, tests/local.mk

. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_quick_check

HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-auto single node cpu 64}
[ -z "$HAKMEM_CHECK_LONG" ] || HAKMEM_TEST_TIMEOUT=${HAKMEM_TEST_TIMEOUT:-1200}
export HAKMEM_TEST_MODES HAKMEM_TEST_TIMEOUT
exec sh "${HAKMEM_TEST_SOURCE:?is the folder of the sources}/tests/lib/modes.sh" \
    "${HAKMEM_TEST_DRIFT:-tests/stress/drift}" "$@"
