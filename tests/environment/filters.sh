#!/bin/sh
# SPDX-License-Identifier: MIT
# filters.modes in the modes that a filter may find in force; `auto` reads least at start. TAP.
HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-reference auto single node cpu 64}
export HAKMEM_TEST_MODES
exec sh "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" \
    "$(dirname "$HAKMEM_TEST_LINKED")/../environment/filters"
