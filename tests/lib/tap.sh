# SPDX-License-Identifier: MIT
# TAP for test scripts, sourced: `. "$(dirname "$0")/../lib/tap.sh"`.
#
# A script sets tap_details to files that are shown when a case fails, and ends by tap_end, unless it
# prints its plan first and ends by `exit $tap_failed`.
# shellcheck shell=sh

tap_count=0
tap_failed=0
tap_details=

report() # STATUS NAME: a case, which passes if STATUS is 0
{
    tap_count=$((tap_count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_count - $2"
        return
    fi
    echo "not ok $tap_count - $2"
    # shellcheck disable=SC2086  # a list of files
    [ -z "$tap_details" ] || sed 's/^/# /' $tap_details
    tap_failed=1
}

verdict() # NAME CONDITION: a case, which passes if CONDITION, in the shell's arithmetic, holds
{
    if [ $(($2)) -ne 0 ]; then
        report 0 "$1"
    else
        report 1 "$1: does not hold: $2"
    fi
}

skip() # NAME WHY: a case that cannot run here
{
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() # WHY: none of the script's cases can run here
{
    echo "1..0 # SKIP $1"
    exit 0
}

# Most scripts preload the library, which a sanitizer does not allow.
skip_all_in_sanitizer_build()
{
    [ -z "${HAKMEM_TEST_SANITIZE:-}" ] ||
        skip_all "in a $HAKMEM_TEST_SANITIZE build malloc belongs to the sanitizer"
}

# Long scripts are left out where HAKMEM_CHECK_QUICK says that another part of the check runs them.
skip_all_in_quick_check()
{
    [ -z "${HAKMEM_CHECK_QUICK:-}" ] ||
        skip_all "long, and run by the part of the check that runs all"
}

tap_end()
{
    echo "1..$tap_count"
    exit $tap_failed
}
