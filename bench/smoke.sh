#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every workload in its fast form, contents checked: under glibc, and under the built library
# where it can be preloaded. Prints TAP. Run in the build directory, or with the directory as $1.
set -u

build=${1:-.}
library=$build/.libs/libhakmem.so
number=0

# check NAME PRELOAD WANTED ARGUMENT...: one run, which must exit 0 and be served by WANTED.
# The workload is bench/workloads/NAME or bench/learn/NAME.
check()
{
    name=$1 preload=$2 wanted=$3
    shift 3
    number=$((number + 1))
    path=$(ls -d "$build"/bench/workloads/"$name" "$build"/bench/learn/"$name" 2>/dev/null)
    line=$(LD_PRELOAD=$preload timeout 60 "$path" --smoke "$@" 2>&1)
    status=$?
    case $status:$line in
    0:name="$name "*" allocator=$wanted"*) echo "ok $number - $name $* under $wanted" ;;
    *)
        echo "not ok $number - $name $* under $wanted: exit $status"
        echo "$line" | sed 's/^/# /'
        ;;
    esac
}

check_all()
{
    for program in "$build"/bench/workloads/* "$build"/bench/learn/*; do
        name=$(basename "$program")
        case $name in *.*) continue ;; esac
        [ -f "$program" ] && [ -x "$program" ] && check "$name" "$1" "$2"
    done
    check tiny_hot "$1" "$2" --shape pair
    check mid_large_mt "$1" "$2" --shape uniform --threads 4
    check remote_free "$1" "$2" --threads 4
    check larson "$1" "$2" --threads 5
    check mesh "$1" "$2" --threads 5
    for situation in warm cold idle large inbox drift; do
        check latency "$1" "$2" --shape "$situation" --threads 4
    done
}

# The library of such a build leaves malloc to the sanitizer: there is nothing of ours to run.
case ${HAKMEM_TEST_SANITIZE-} in
*address* | *thread*)
    echo "1..0 # SKIP a build with a sanitizer that brings its own malloc"
    exit 0
    ;;
esac

check_all '' libc.
if [ "$number" -lt 6 ]; then
    echo "Bail out! no workload found in $build/bench/workloads"
    exit 1
elif [ ! -e "$library" ]; then
    echo "# $library is not built as a shared library: glibc alone"
else
    check_all "$(realpath "$library")" libhakmem.
fi
echo "1..$number"
