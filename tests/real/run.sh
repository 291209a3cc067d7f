#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh [NAME...] - real programs under LD_PRELOAD, in each mode; what they print must be what they
# print without. Speaks TAP.
#
# A program is a file NAME.sh beside this one, which defines
#   NAME_missing  prints why the program cannot run here, nothing when it can
#   NAME_probe    runs the program shortly; the loader's own log then proves which malloc it took
#   NAME_run      the work; what it prints is compared. Its notes go to "$work/notes".
# and starts what it tests by `under`. A mode is "bare", or a value of HAKMEM_SHARD.
#
# Each program runs in mode cpu and in one of the others, by turns: so each mode meets several
# programs. What takes long runs in one mode. HAKMEM_CHECK_LONG=1 (`make check-long`) runs each
# program in each mode.
#
# HAKMEM_CHECK_HEAVY=1  also the programs that take long       HAKMEM_TEST_MODES  which modes
# HAKMEM_TEST_LIBRARY   the library, absolute

# The files that are read in call the functions and use the variables of this one.
# shellcheck disable=SC2317,SC2034

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build

here=$(cd "$(dirname "$0")" && pwd)
library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
others="single node 4" # modes beside cpu, of which a program gets the first; they turn
turns="single node 4 cpu" # the one mode of a program that takes long; they turn
light="scripts git sqlite"
heavy="redis python compilers postgres"
loader_log= # set while a probe runs
limit=240 # seconds for one run of one program

# Runs a command with the malloc of the present mode. Our own shell keeps libc's.
under() # COMMAND...
{
    if [ "$mode" = bare ]; then
        "$@"
    else
        # shellcheck disable=SC2086 # a list of words, empty but in prove_binding
        env $loader_log HAKMEM_SHARD="$mode" LD_PRELOAD="$preload" "$@"
    fi
}

# The same as another user, who takes the environment from here.
under_user() # USER COMMAND...
{
    user=$1
    shift
    if [ "$mode" = bare ]; then
        runuser -u "$user" -- "$@"
    else
        runuser -u "$user" -- env HAKMEM_SHARD="$mode" LD_PRELOAD="$preload" "$@"
    fi
}

note() # TEXT...
{
    echo "$*" >>"$work/notes"
}

# The files that a process has mapped: root may be forbidden to see another user's (no CAP_SYS_PTRACE).
maps_of() # PID
{
    owner=$(stat -c %U "/proc/$1")
    if [ "$owner" = "$(id -un)" ]; then
        cat "/proc/$1/maps"
    else
        runuser -u "$owner" -- cat "/proc/$1/maps"
    fi
}

# A running process must have the library mapped, or must not when bare.
prove_process() # PID NAME
{
    maps_of "$1" >"$work/maps"
    [ -s "$work/maps" ] || { note "$2: the maps of process $1 cannot be read" && return 1; }
    if grep -q "$preload" "$work/maps"; then
        mapped=yes
    else
        mapped=no
    fi
    note "$2 (process $1) has the library mapped: $mapped"
    if [ "$mode" = bare ]; then
        [ "$mapped" = no ]
    else
        [ "$mapped" = yes ]
    fi
}

# The loader's log of a short run must bind malloc to the library. NAME_probe prints the name of the
# program file whose binding counts.
prove_binding() # NAME
{
    rm -f "$work"/bindings.*
    loader_log="LD_DEBUG=bindings LD_DEBUG_OUTPUT=$work/bindings LD_BIND_NOW=1"
    "$1_probe" >"$work/probe.out" 2>&1
    probed=$?
    loader_log=
    files=$(cat "$work/probe.files" 2>/dev/null)
    rm -f "$work/probe.files"
    [ $probed -eq 0 ] || return 1
    for file in $files; do
        bound=$(cat "$work"/bindings.* | grep -E "[ /]$file \\[0\\] to " |
            sed -n "s/.* to \\(.*\\) \\[0\\]: normal symbol .malloc'.*/\\1/p" | sort -u |
            grep -v -E "(^|/)$file\$") # its own entry for malloc, where it takes the address
        if [ -z "$bound" ]; then # the program itself calls no malloc: its libraries do
            bound=$(cat "$work"/bindings.* |
                sed -n "s/.* to \\(.*\\) \\[0\\]: normal symbol .malloc'.*/\\1/p" | sort -u)
        fi
        echo "# $file takes malloc from ${bound:-nowhere}"
        [ "$bound" = "$preload" ] || return 1
    done
}

# Names the program files that a probe is about.
probes() # FILE...
{
    for file in "$@"; do
        basename "$(command -v "$file" || echo "$file")"
    done >"$work/probe.files"
}

# One run of a program in the present mode: its output in $work/NAME.MODE.
run_once() # NAME
{
    : >"$work/notes"
    started=$(date +%s)
    (
        cd "$work" || exit 99
        "$1_run"
    ) >"$work/$1.$mode" 2>"$work/$1.$mode.err"
    status=$?
    echo "# $1 in mode $mode: status $status, $(($(date +%s) - started)) s"
    sed 's/^/#   /' "$work/notes"
    [ $status -eq 0 ] || tail -n 20 "$work/$1.$mode.err" | sed 's/^/#   /'
    return $status
}

check_program() # NAME
{
    mode=bare
    run_once "$1"
    status=$?
    report $status "bare: $1 runs"
    [ $status -eq 0 ] || return
    for mode in $modes; do
        prove_binding "$1"
        report $? "$mode: $1 takes malloc from the library"
        run_once "$1"
        report $? "$mode: $1 runs"
        cmp -s "$work/$1.bare" "$work/$1.$mode"
        same=$?
        [ $same -eq 0 ] || diff "$work/$1.bare" "$work/$1.$mode" | head -n 20 | sed 's/^/#   /'
        [ -s "$work/$1.bare" ] || same=1
        report $same "$mode: $1 prints what it prints without"
    done
}

unset LD_PRELOAD HAKMEM_SHARD HAKMEM_STATS HAKMEM_VERBOSE
LC_ALL=C
TZ=UTC
export LC_ALL TZ
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
# A copy that every user can read, wherever the build is.
preload=$work/libhakmem.so
if ! cp -L "$library" "$preload"; then
    echo "1..1"
    echo "not ok 1 - $library has been built"
    exit 1
fi
chmod 755 "$preload"

modes_for_next() # NAME: sets modes
{
    modes=${HAKMEM_TEST_MODES:-$others cpu}
    [ -z "$HAKMEM_TEST_MODES$HAKMEM_CHECK_LONG" ] || return
    case " $heavy " in
        *" $1 "*)
            modes=${turns%% *}
            turns="${turns#* } ${turns%% *}"
            ;;
        *)
            modes="${others%% *} cpu"
            others="${others#* } ${others%% *}"
            ;;
    esac
}

[ -z "${HAKMEM_CHECK_LONG:-}" ] || HAKMEM_CHECK_HEAVY=1
asked=$*
for name in ${asked:-$light $heavy}; do
    # shellcheck source=/dev/null
    . "$here/$name.sh"
    case " $heavy " in
        *" $name "*)
            if [ -z "$asked" ] && [ "${HAKMEM_CHECK_HEAVY:-0}" != 1 ]; then
                skip "$name" "it takes long: HAKMEM_CHECK_HEAVY=1 runs it"
                continue
            fi
            ;;
    esac
    reason=$("${name}_missing")
    if [ -n "$reason" ]; then
        skip "$name" "$reason"
    else
        modes_for_next "$name"
        check_program "$name"
    fi
done
tap_end
