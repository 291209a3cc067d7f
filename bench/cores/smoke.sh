#!/bin/sh
# SPDX-License-Identifier: MIT
# The simulated machine says what is known: counters apart cost the same for 64 threads as for 2,
# one counter for all moves once an operation, and two runs of the library count the same. Prints
# TAP. Run in the build directory, or with the directory as $1.
set -u

build=$(cd "${1:-.}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
number=0

skip()
{
    echo "1..0 # SKIP $1"
    exit 0
}

result() # STATUS TEXT
{
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

[ "$(uname -m)" = x86_64 ] || skip "the machine is one of x86-64"
for tool in qemu-x86_64 python3 gcc taskset setarch; do
    command -v "$tool" >/dev/null 2>&1 || skip "no $tool (Debian: qemu-user, python3, gcc, util-linux)"
done
case $(qemu-x86_64 --version) in
*'version 7.2.'*) ;;
*) skip "the plug-in speaks to QEMU 7.2, as Debian 12 has it" ;;
esac
setarch -R true 2>/dev/null || skip "addresses cannot be fixed here"
[ -z "${HAKMEM_CHECK_QUICK:-}" ] || skip "long, and run by the part of the check that runs all"
case ${HAKMEM_TEST_SANITIZE-} in
*address* | *thread*) skip "a build with a sanitizer that brings its own malloc" ;;
esac

scratch=$(mktemp -d) || exit 99
trap 'rm -rf "$scratch"' EXIT

# counted NAME ARGUMENT...: one run, its figures in $scratch/NAME
counted()
{
    name=$1
    shift
    python3 "$here/run" --build "$build" --operations 200 --svg "$scratch/svg" \
        --json "$scratch/$name" "$@" >"$scratch/log" 2>&1 && return 0
    sed 's/^/# /' "$scratch/log"
    return 1
}

# holds EXPRESSION: of `found`, by workload, allocator, threads and name
holds()
{
    python3 - "$scratch/checks" "$1" <<'END'
import json, sys
found = json.load(open(sys.argv[1]))
if not eval("(" + sys.argv[2] + ")"):
    print("#", {name: {t: (row["cycles"], row["program transfers"]) for t, row in rows["glibc"].items()}
                for name, rows in found.items()})
    sys.exit(1)
END
}

counted checks --only glibc --threads 2,64 check-padded check-read check-shared
result $? "the machine is built, and runs"
holds 'found["check-padded"]["glibc"]["64"]["cycles"] <
       1.02 * found["check-padded"]["glibc"]["2"]["cycles"]'
result $? "64 counters on lines of their own cost what 2 do"
holds 'found["check-read"]["glibc"]["64"]["program transfers"] < 0.02'
result $? "a line that all read is got once by each"
holds '0.95 < found["check-shared"]["glibc"]["64"]["program transfers"] <= 1.001'
result $? "a counter of all 64 moves once an operation"
if [ -e "$build/.libs/libhakmem.so" ]; then
    counted first --only hakmem --threads 8 larson large &&
        counted second --only hakmem --threads 8 larson large &&
        cmp "$scratch/first" "$scratch/second"
    result $? "two runs of the library count the same"
else
    echo "# no shared library is built: the machine alone"
fi
echo "1..$number"
