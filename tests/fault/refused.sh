#!/bin/sh
# SPDX-License-Identifier: MIT
# A kernel that refuses calls, as in containers. Each call alone, by EPERM and by ENOSYS, with some of
# the conformance tests. All calls together, with all of these tests: by EPERM with fronts per CPU,
# by ENOSYS with fronts per thread, and each of the four ways for the tests that look at what the
# error changes. And all tests in little address space. TAP.
#
# HAKMEM_TEST_MODES: if the person asks for some modes only, one kind of front and one error are
# enough for the whole list. HAKMEM_CHECK_LONG: each of the four ways for all.

. "$(dirname "$0")/../lib/tap.sh"

skip_all_in_quick_check
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
skip_all_in_sanitizer_build
tests=$(dirname "$HAKMEM_TEST_LINKED")/..
refuse=$tests/fault/refuse
"$refuse" EPERM mbind -- true
[ $? -ne 77 ] || skip_all "no seccomp filter may be set here"
ways="cpu-cpu node-thread"
[ -z "$HAKMEM_TEST_MODES" ] || ways=cpu-cpu
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
# shellcheck disable=SC2034  # tap.sh shows it
tap_details=$output

# passes NAME COMMAND...: the command passes. Its skips become comments.
passes() {
    name=$1
    shift
    timeout -k 5 600 "$@" >"$output" 2>&1
    status=$?
    report $status "$name"
    [ $status -ne 0 ] || sed -n 's/^ok [0-9]* - \(.*# SKIP .*\)/#   \1/p' "$output"
}

under() { # MODE FRONT: sets settings, of the program alone
    settings="HAKMEM_SHARD=$1 HAKMEM_FRONT=$2 HAKMEM_TEST_MODE=$1 LD_PRELOAD=$HAKMEM_TEST_LIBRARY"
}

one() { # ERROR CALL MODE FRONT PROGRAM
    under "$3" "$4"
    # shellcheck disable=SC2086  # several words
    passes "$5 in mode $3, $4 fronts, $2 refused by $1" \
        "$refuse" "$1" "$2" -- env $settings "$tests/conform/$5"
}

# hakmem_mode() names the front in force and the reason.
told() { # ERROR CALL WORDS
    "$refuse" "$1" "$2" -- env HAKMEM_FRONT=cpu HAKMEM_VERBOSE=1 \
        LD_PRELOAD="$HAKMEM_TEST_LIBRARY" true 2>"$output" &&
        grep -q " front=$3 remote=" "$output"
    report $? "the mode says front=$3, $2 refused by $1"
}
if env HAKMEM_FRONT=cpu HAKMEM_VERBOSE=1 LD_PRELOAD="$HAKMEM_TEST_LIBRARY" true 2>&1 |
    grep -q " front=cpu "; then
    told EPERM rseq "thread (no rseq)"
    told ENOSYS rseq "thread (no rseq)"
fi

# The mode in force, and what can be asked and done about placement, follow from the error.
follows_error() { # PROGRAM ERROR WAY
    case ${1##*/}:$2:$3 in
    control.modes:* | inform.modes:* | placement.modes:* | rseq.modes:*) return 0 ;;
    *:EPERM:cpu-cpu | *:ENOSYS:node-thread) return 0 ;;
    *) [ -n "$HAKMEM_TEST_MODES$HAKMEM_CHECK_LONG" ] ;;
    esac
}

for error in EPERM ENOSYS; do
    for call in mbind get_mempolicy set_mempolicy move_pages membarrier rseq sched_setaffinity \
        sched_getaffinity; do
        one $error $call cpu auto malloc.modes
        one $error $call node auto realloc.modes
        one $error $call cpu auto placement.modes
    done
    [ -z "$HAKMEM_TEST_MODES" ] || [ $error = ENOSYS ] || continue
    for program in "$tests"/conform/*.modes; do
        for way in $ways; do
            follows_error "$program" $error "$way" || continue
            one $error all "${way%-*}" "${way#*-}" "${program##*/}"
        done
    done
done

# What gives memory back is refused, as at the limit of mappings: nothing is lost, nothing fails.
for call in munmap madvise mremap; do
    one ENOMEM $call cpu auto malloc.modes
    one ENOMEM $call node thread memalign.modes
    # Without mremap growth is copies, which that test has too many of.
    [ $call = mremap ] || one ENOMEM $call node auto realloc.modes
    under auto auto
    # shellcheck disable=SC2086  # several words
    passes "whales and runs come and go in flat address space, $call refused" \
        "$refuse" ENOMEM $call -- env $settings "$tests/environment/limits" inside churn
done

# In 1 GiB there is no room for the page map of all addresses; the library does with less. The two
# ways take turns.
others=$ways
for program in "$tests"/conform/*.modes; do
    [ -n "$HAKMEM_CHECK_LONG" ] || others=${ways%% *}
    ways="${ways#* } ${ways%% *}"
    for way in $others; do
        under "${way%-*}" "${way#*-}"
        # shellcheck disable=SC2086  # several words
        passes "${program##*/} in mode ${way%-*}, ${way#*-} fronts, in 1 GiB of address space" \
            sh -c 'ulimit -v 1048576 && exec "$@"' limited env $settings "$program"
    done
done
tap_end
