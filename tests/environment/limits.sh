#!/bin/sh
# SPDX-License-Identifier: MIT
# Limits that are set after the start, in modes that differ in who keeps what: limits.c says which.
# TAP. glibc is no reference here: it loses what the kernel does not take back, too.
: "${HAKMEM_TEST_LINKED:?is to name the built linked.direct}"
HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-auto cpu node 64}
export HAKMEM_TEST_MODES
exec "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" "$(dirname "$HAKMEM_TEST_LINKED")/../environment/limits"
