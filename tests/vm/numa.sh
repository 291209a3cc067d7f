#!/bin/sh
# SPDX-License-Identifier: MIT
# Placement on machines of several nodes, each a guest (tests/vm/guest): TAP. Without a guest it is
# skipped, loudly. HAKMEM_CHECK_HEAVY adds a machine of 8 nodes and 64 CPUs.
folder=$(dirname "$0")
program=${HAKMEM_TEST_PLACEMENT:?is to name the built tests/vm/placement}
: "${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}"
. "$(dirname "$0")/../lib/tap.sh"
skip_all_in_sanitizer_build
reason=$("$folder/guest" --ready 2>&1)
[ $? -ne 77 ] || skip_all "$reason"

output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
count=0
failed=0

machine() { # NAME "GUEST OPTIONS" PART...
    name=$1
    options=$2
    shift 2
    # shellcheck disable=SC2086  # options are words
    "$folder/guest" $options -- /bin/sh "$folder/inside.sh" "$program" "$@" >"$output" 2>&1
    status=$?
    if [ $status -eq 77 ] && ! grep -q '^== ' "$output"; then
        count=$((count + 1))
        echo "ok $count - $name # SKIP $(tail -n 1 "$output")"
        return
    fi
    joined=$(awk -v machine="$name" -v count="$count" -v status="$status" '
        function case_line(result, text) { print result " " ++count " - " machine ": " text }
        /^== ended / {
            streams++
            if (seen != planned || ($3 != 0 && !bad)) {
                case_line("not ok", part ": ended with status " $3 " after " seen + 0 " of " \
                          planned + 0 " cases"); failed++
            }
            next
        }
        /^== / { part = $2; planned = -1; seen = bad = 0; next }
        /^1\.\.[0-9]+/ { planned = substr($1, 4) + 0; next }
        /^(not )?ok / {
            seen++
            result = "ok"
            if ($1 == "not") { result = "not ok"; failed++; bad++ }
            sub(/^(not )?ok [0-9]+( -)? */, "")
            case_line(result, part ": " $0)
            next
        }
        { sub(/^#? ?/, "# "); print }
        END {
            if (!streams || (status != 0 && !failed)) {
                case_line("not ok", "the guest ended with status " status); failed++
            }
            print "COUNT " count " " failed + 0
        }' "$output")
    printf '%s\n' "$joined" | sed '$d'
    last=$(printf '%s\n' "$joined" | sed -n '$p')
    last=${last#COUNT }
    count=${last% *}
    failed=$((failed + ${last#* }))
}

machine "4 nodes, 8 CPUs" "--nodes 4 --cpus 8 --mem 512 --limit 600" \
    places auto full refused changes limit heaps figures
machine "3 nodes, one without memory, one without CPUs" \
    "--nodes 3 --cpus 4 --mem 512 --memless 1 --cpuless 2" places refused
machine "4 nodes, one of memory alone" "--nodes 4 --cpus 6 --mem 384 --cpuless 3" heaps
if [ -n "${HAKMEM_CHECK_HEAVY:-}" ]; then
    machine "8 nodes, 64 CPUs" "--nodes 8 --cpus 64 --mem 512 --boot 300 --limit 600" places
else
    echo "# 8 nodes, 64 CPUs: with HAKMEM_CHECK_HEAVY=1"
fi
echo "1..$count"
[ $failed -eq 0 ]
