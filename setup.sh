#!/bin/sh
# SPDX-License-Identifier: MIT
# The two commands of README, each doing everything on a fresh Debian 12:
#   ./setup.sh run          install what is missing, build, show redis-server under hakmem
#   ./setup.sh check        the same, then every part of the table below, and the totals
#   ./setup.sh part NAME    one part alone, its output on the screen
#   ./setup.sh parts        the table
# As root, or with sudo where packages are missing.
set -u

top=$(cd "$(dirname "$0")" && pwd)
self=$top/setup.sh
cd "$top" || exit 1
jobs=$(nproc 2>/dev/null || echo 2)

build_packages="gcc g++ libc6-dev make autoconf automake libtool pkg-config xz-utils
    liburcu-dev libnuma-dev libhwloc-dev redis-server redis-tools"
# Without one of these a test says so and is skipped.
check_packages="binutils clang clang-format gcc-aarch64-linux-gnu libc6-dev-arm64-cross shellcheck
    spin universal-ctags valgrind git perl python3 libpython3.11-testsuite sqlite3 libsqlite3-dev
    postgresql bind9 bind9-dnsutils google-perftools libjemalloc-dev debhelper gdb
    systemtap-sdt-dev qemu-system-x86 qemu-user busybox-static cpio nodejs libmimalloc2.0 libjemalloc2 libtcmalloc-minimal4 libtbbmalloc2"

# ------------------------------------------------------------------ the parts of a check
# A new part is one line here and one function part_NAME below. A part fails by its status, skips
# by status 77, and counts as one test unless its output holds a summary of its own.
#
# The second column is the lane. A part of lane - uses all CPUs and runs alone. The others leave CPUs
# idle: neighbours of different lanes run side by side, those of one lane one after another.
parts() {
    cat <<'END'
build      -  the build that ./setup.sh run uses, in build/
demo       -  redis-server under hakmem, beside the same on glibc
tests      -  make check, the real programs too
lint       -  layers, headers, lengths, tests, shell scripts
aarch64    -  every source through the cross-compiler
gcc        -  no warning from gcc, in the build that install takes
clang      -  no warning from clang
debug      -  make check with --enable-debug --enable-inject, in mode cpu, without the longest tests
asan       -  the library's own tests with the address and undefined sanitizers
tsan       -  the same with the thread sanitizer
numa       a  placement, changes under load, a limit of memory, in guests of 3 and 4 nodes
model      b  Spin searches the models of the protocols, and their mutations
fuzz       b  libFuzzer at what is read from outside, ten seconds a target
install    -  make install, and a program linked by hakmem.pc
packages   -  Debian's packages: built, installed in a root of their own, used, purged
distcheck  -  make distcheck, with the tests that read the tree
END
}

part_build() {
    configure_in build && make -C build -j "$jobs"
}

part_demo() {
    need_build && make -C build -s bench/workloads/threads_idle && scripts/demo-redis build
}

part_tests() {
    # The option is a person's own, which must not reach the tests: one of them looks.
    need_build && HAKMEM_MISUSE=ignore HAKMEM_CHECK_HEAVY=1 run_tests build
}

part_model() {
    configure_in build && make -C build --no-print-directory model
}

part_lint() {
    configure_in build && make -C build --no-print-directory lint
}

part_aarch64() {
    configure_in build && make -C build --no-print-directory check-aarch64
}

part_gcc() {
    build_strictly gcc g++ --prefix="$top/build/installed"
}

part_clang() {
    command -v clang >/dev/null || return 77
    build_strictly clang clang++
}

part_debug() {
    HAKMEM_CHECK_QUICK=1 HAKMEM_TEST_MODES=cpu check_in build-debug --enable-debug --enable-inject
}

# The sanitizers of gcc 12 do not start where more than 28 bits of addresses are random.
with_calm_addresses() { # PART
    bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)
    [ "$bits" -gt 28 ] && [ -z "${HAKMEM_CHECK_CALM:-}" ] || return 0
    setarch -R true || exit 77
    HAKMEM_CHECK_CALM=1 exec setarch -R "$self" part "$1"
}

part_asan() {
    with_calm_addresses asan
    check_sanitized build-asan --enable-sanitize=address,undefined
}

part_tsan() {
    with_calm_addresses tsan
    check_sanitized build-tsan --enable-sanitize=thread
}

part_fuzz() {
    need_build || return 1
    make -C build --no-print-directory fuzz >build/fuzz.tap 2>&1
    status=$?
    cat build/fuzz.tap
    ! grep -q '^1\.\.0 # SKIP' build/fuzz.tap || return 77
    return $status
}

part_numa() {
    need_build || return 1
    make -C build --no-print-directory check-numa >build/numa.tap 2>&1
    status=$?
    cat build/numa.tap
    # No guest to be had here: the line above says why.
    ! grep -q '^1\.\.0 # SKIP' build/numa.tap || return 77
    return $status
}

part_install() {
    need_build || return 1
    prefix=$top/build/installed
    rm -rf "$prefix"
    part_gcc && make -C build-gcc -j "$jobs" install || return 1
    printf '#include <hakmem.h>\n#include <stdlib.h>\nint main(void) { return !malloc(1); }\n' \
        >build-gcc/linked.c
    # shellcheck disable=SC2046  # flags are words
    gcc -fno-builtin -o build-gcc/linked build-gcc/linked.c -Wl,--no-as-needed \
        $(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs hakmem) \
        -Wl,-rpath,"$prefix/lib" || return 1
    build-gcc/linked || return 1
    LD_DEBUG=bindings build-gcc/linked 2>&1 |
        grep "file build-gcc/linked .*libhakmem.so.*symbol .malloc'" || return 1
    # A library that a C program preloads must not bring these along.
    if readelf -d "$prefix/lib/libhakmem.so" | grep -E 'libstdc|libgcc|libpthread'; then
        echo "libhakmem.so needs a library that it must not need"
        return 1
    fi
}

# The tests have run elsewhere. Here those run that read files of the tree, and one of each kind; the
# archive must hold every file that git knows.
part_packages() {
    command -v dh >/dev/null || return 77
    need_build && make -C build --no-print-directory check-packages
}

part_distcheck() {
    need_build || return 1
    # shellcheck disable=SC2016  # make expands it
    HAKMEM_CHECK_QUICK=1 HAKMEM_TEST_MODES=single \
        make -C build -j "$jobs" distcheck TESTS='$(tree_tests)' || return 1
    [ -e .git ] && command -v git >/dev/null || return 0
    archive=$(find build -maxdepth 1 -name 'hakmem-*.tar.xz' | head -n 1)
    git ls-files | LC_ALL=C sort >build/known
    tar -tf "$archive" | sed 's|^[^/]*/||' | LC_ALL=C sort >build/distributed
    missing=$(LC_ALL=C comm -23 build/known build/distributed | grep -v '^\.git')
    [ -z "$missing" ] || {
        printf 'not in the archive: %s\n' "$missing"
        return 1
    }
}

# ------------------------------------------------------------------ what parts are made of
# configure_in FOLDER OPTION...: configures once, and again when the options have changed.
configure_in() {
    folder=$1
    shift
    # Once made, make itself remakes them when configure.ac or a Makefile.am changes.
    if [ ! -x configure ] || [ ! -f Makefile.in ]; then
        autoreconf -fi || return 1
    fi
    mkdir -p "$folder"
    if [ -f "$folder/Makefile" ] && [ "$(cat "$folder/.options" 2>/dev/null)" = "$*" ]; then
        return 0
    fi
    # Objects of other options would be taken for up to date.
    [ ! -f "$folder/Makefile" ] || make -C "$folder" -s clean
    (cd "$folder" && "$top/configure" "$@" && printf '%s\n' "$*" >.options)
}

need_build() {
    [ -f build/.libs/libhakmem.so ] || part_build
}

check_in() {
    configure_in "$@" && make -C "$1" -j "$jobs" && run_tests "$1"
}

# The library under a sanitizer. What a program preloads is not built there: malloc is the
# sanitizer's own, so all those tests would do is say so.
check_sanitized() {
    # shellcheck disable=SC2016  # make expands them
    configure_in "$@" && make -C "$1" -j "$jobs" && run_tests "$1" \
        check_PROGRAMS='$(sanitized_programs)' check_LTLIBRARIES='$(test_library)' \
        TESTS='$(sanitized_tests)'
}

# run_tests FOLDER [VARIABLE=VALUE...]: what failing tests said follows, but for the sums, which make
# has printed. One job more than CPUs, for many tests wait now and then.
run_tests() {
    rm -f "$1/test-suite.log"
    make -C "$@" -j $((jobs + 1)) check && return 0
    sed '/^# [A-Z]*: /d' "$1/test-suite.log"
    return 1
}

# build_strictly CC CXX OPTION...: the library alone, a warning being an error.
build_strictly() {
    compiler=$1
    compiler_of_cxx=$2
    shift 2
    configure_in "build-$compiler" CC="$compiler" CXX="$compiler_of_cxx" \
        CFLAGS='-O2 -g -Werror' CXXFLAGS='-O2 -g -Werror' "$@" && make -C "build-$compiler" -j "$jobs"
}

# ------------------------------------------------------------------ packages
missing_of() {
    for package in "$@"; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            printf '%s ' "$package"
    done
}

# Services that packages bring (redis, postgresql) are not to be started by their installation.
apt_install() {
    root=
    [ "$(id -u)" -eq 0 ] || root=sudo
    policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null && $root chmod +x $policy
    fi
    # shellcheck disable=SC2086  # root may be empty
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    status=$?
    [ -z "$policy" ] || $root rm -f $policy
    return $status
}

# install_packages required|optional PACKAGE...
install_packages() {
    kind=$1
    shift
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "setup.sh: no apt-get here; configure will say what is missing" >&2
        return 0
    fi
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    echo "setup.sh: installing $missing"
    if [ -z "${updated:-}" ]; then
        if [ "$(id -u)" -eq 0 ]; then apt-get update -q; else sudo apt-get update -q; fi
        updated=yes
    fi
    # shellcheck disable=SC2086  # a list of names
    apt_install $missing && return 0
    [ "$kind" = optional ] || {
        echo "setup.sh: could not install: $missing" >&2
        return 1
    }
    # One name that this system does not know must not cost the others.
    for package in $missing; do
        apt_install "$package" || echo "setup.sh: going on without $package" >&2
    done
}

# ------------------------------------------------------------------ check
# tally STATUS LOG: prints "passed failed skipped" of one part.
tally() {
    awk -v status="$1" '
    /^# (PASS|XFAIL): +[0-9]+$/       { passed += $3 }
    /^# (FAIL|XPASS|ERROR): +[0-9]+$/ { failed += $3 }
    /^# SKIP: +[0-9]+$/               { skipped += $3 }
    /^ok [0-9]+ /                     { tap_passed++ }
    /^not ok [0-9]+ /                 { tap_failed++ }
    /^ok +check-[a-z0-9]+ /           { passed++ }
    /^FAILED +check-[a-z0-9]+ /       { failed++ }
    /^skipped +check-[a-z0-9]+ /      { skipped++ }
    END {
        # A script that speaks TAP by itself, without a summary by automake.
        if (!passed && !failed && !skipped) {
            passed += tap_passed
            failed += tap_failed
        }
        if (status == 77 && !failed)
            skipped++
        else if (status != 0 && !failed)
            failed++
        else if (status == 0 && !passed && !failed && !skipped)
            passed++
        print passed + 0, failed + 0, skipped + 0
    }' "$2"
}

# What a person wants to see of a part that failed, without opening its log: what failed, and what was
# said just before.
show_failure() {
    {
        awk -v before=8 '
            /^(FAIL|ERROR|XPASS|FAILED)|^not ok|: (fatal )?error:|\*\*\* |^configure: error/ {
                for (line = NR - before; line < NR; line++)
                    if (line in said) { print said[line]; delete said[line] }
                print
                found = 1
                next
            }
            !/^(PASS|SKIP|ok|make|=|# [A-Z]+:)/ { said[NR] = $0 }
            { delete said[NR - before] }
            END { exit !found }' "$1" ||
            tail -n 15 "$1"
    } | cut -c 1-200 | head -n 60 | sed 's/^/    /'
    echo "    ... the whole output: $1"
}

# run_lane PART...: one after another; status and seconds of each are left beside its log.
run_lane() {
    for name in "$@"; do
        began=$(date +%s)
        timeout 1800 "$self" part "$name" >"$logs/$name.log" 2>&1
        echo "$? $(($(date +%s) - began))" >"$logs/$name.status"
    done
}

run_group() { # GROUP: its lanes side by side, if there are CPUs for that
    if [ "$jobs" -eq 1 ] || [ "${1#*;}" = "$1" ]; then
        # shellcheck disable=SC2046  # names of parts
        run_lane $(printf '%s\n' "$1" | tr ';' ' ')
        return
    fi
    need_build >"$logs/group.log" 2>&1
    rest=$1
    while [ -n "$rest" ]; do
        # shellcheck disable=SC2086  # names of parts
        run_lane ${rest%%;*} &
        case $rest in *";"*) rest=${rest#*;} ;; *) rest= ;; esac
    done
    wait
}

tell_part() { # NAME: its line, and what failed
    name=$1
    read -r status seconds <"$logs/$name.status"
    # shellcheck disable=SC2046  # three numbers
    set -- $(tally "$status" "$logs/$name.log")
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
    printf '%-10s %4d passed %4d failed %4d skipped  %4d s\n' "$name" "$1" "$2" "$3" "$seconds"
    if [ "$2" -gt 0 ]; then
        show_failure "$logs/$name.log"
    elif [ "$name" = demo ]; then
        cat "$logs/$name.log"
    fi
}

check() {
    # shellcheck disable=SC2086  # a list of names
    install_packages required $build_packages || exit 1
    # shellcheck disable=SC2086
    install_packages optional $check_packages
    passed=0
    failed=0
    skipped=0
    logs=$top/build/check
    mkdir -p "$logs"
    # Each group on a line: lanes, and in them parts, as "numa;model fuzz". A group of one runs alone.
    parts | awk '
        function flush(    line, lane) {
            for (lane in lanes) line = line (line == "" ? "" : ";") lanes[lane]
            if (line != "") print line
            split("", lanes)
        }
        $2 == "-" { flush(); print $1; next }
        { lanes[$2] = lanes[$2] (lanes[$2] == "" ? "" : " ") $1 }
        END { flush() }' >"$logs/groups"
    while IFS= read -r group <&3; do
        run_group "$group"
        for name in $(printf '%s\n' "$group" | tr ';' ' '); do
            tell_part "$name"
        done
    done 3<"$logs/groups"
    printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
    [ $failed -eq 0 ]
}

# ------------------------------------------------------------------ the command
case "${1:-}" in
run)
    # shellcheck disable=SC2086  # a list of names
    install_packages required $build_packages && part_build && part_demo
    ;;
check)
    check
    ;;
part)
    parts | awk '{ print $1 }' | grep -qx -- "${2:-}" || {
        echo "setup.sh: no part '${2:-}'; there are:" >&2
        parts >&2
        exit 2
    }
    "part_$2"
    ;;
parts)
    parts
    ;;
*)
    sed -n '3,8s/^# \{0,1\}//p' "$self" >&2
    exit 2
    ;;
esac
