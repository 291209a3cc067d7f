#!/bin/sh
# SPDX-License-Identifier: MIT
# filters.modes in the modes that a filter may find in force; `auto` reads least at start. TAP.
#
# A build that injects delays yields and sleeps, which malloc's calls have no part in.
. "$(dirname "$0")/../lib/tap.sh"
if grep -q '^#define HAK_INJECT 1$' "$(dirname "$HAKMEM_TEST_LINKED")/../../config.h"; then
    skip_all "a build that injects delays makes system calls of its own"
fi
HAKMEM_TEST_MODES=${HAKMEM_TEST_MODES:-reference auto single node cpu 64}
export HAKMEM_TEST_MODES
exec sh "$HAKMEM_TEST_SOURCE/tests/lib/modes.sh" \
    "$(dirname "$HAKMEM_TEST_LINKED")/../environment/filters"
