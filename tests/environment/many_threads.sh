#!/bin/sh
# SPDX-License-Identifier: MIT
# many_threads in the modes in which fronts are what HAKMEM_FRONT=auto makes of them. TAP.
if [ -n "$HAKMEM_CHECK_QUICK" ]; then
    echo "1..0 # SKIP long, and run by the part of the check that runs all"
    exit 0
fi
HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-auto single}
export HAKMEM_TEST_MODES
exec sh "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" \
    "$(dirname "$HAKMEM_TEST_LINKED")/../environment/many_threads"
