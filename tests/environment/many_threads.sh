#!/bin/sh
# SPDX-License-Identifier: MIT
# many_threads in the modes in which fronts are what HAKMEM_FRONT=auto makes of them. TAP.
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_quick_check
HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-auto single}
export HAKMEM_TEST_MODES
exec sh "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" \
    "$(dirname "$HAKMEM_TEST_LINKED")/../environment/many_threads"
