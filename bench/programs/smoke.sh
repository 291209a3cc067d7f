#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs in short forms, under glibc and under the built library. Prints TAP.
if [ -n "${HAKMEM_CHECK_QUICK:-}" ]; then
    echo "1..0 # SKIP long, and run by the part of the check that runs all"
    exit 0
fi
case ${HAKMEM_TEST_SANITIZE-} in
*address* | *thread*)
    echo "1..0 # SKIP a build with a sanitizer that brings its own malloc"
    exit 0
    ;;
esac
command -v python3 >/dev/null || {
    echo "1..0 # SKIP python3 is not installed"
    exit 0
}
exec python3 "$(dirname "$0")/run" --smoke --build "${1:-.}"
