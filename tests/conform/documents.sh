#!/bin/sh
# SPDX-License-Identifier: MIT
#
# documents.sh - the commands of the documents, as they are written: each indented block of those below
# is run by a shell, where the library, the tool and the program that they name are those of this build.

. "$(dirname "$0")/../lib/tap.sh"

tool=${HAKMEM_TEST_TOOL:?is to name the built program hakmem}
library=${HAKMEM_TEST_LIBRARY:?is to name the built library}
docs=${HAKMEM_TEST_SOURCE:?is to name the source tree}/docs

skip_all_in_sanitizer_build
skip_all_in_quick_check
command -v python3 >/dev/null || skip_all "no python3"

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2034  # tests/lib/tap.sh reads it
tap_details=$work/out

# The program, by a name of its own: others run it, too.
cp tests/conform/profiled "$work/documented"
printf '#!/bin/sh\nexec "%s" wait\n' "$work/documented" >"$work/your-program"
printf '#!/bin/sh\nexec "%s"\n' "$work/documented" >"$work/PROGRAM"
cat >"$work/hakmem" <<END
#!/bin/sh
exec "$tool" "\$@"
END
chmod +x "$work/your-program" "$work/PROGRAM" "$work/hakmem"

# block DOCUMENT NUMBER: the lines of an indented block
block() {
    awk -v wanted="$2" '
        /^    / { if (!inside) number++; inside = 1; if (number == wanted) print substr($0, 5); next }
        { inside = 0 }' "$docs/$1"
}

# Between the start of a program and the first look at it a person lets it run.
# shellcheck disable=SC2016  # for the shell that runs the block
await='i=0; while [ $i -lt 300 ] \&\& ! grep -q ready out; do sleep 0.1; i=$((i+1)); done'

run_block() # DOCUMENT NUMBER TEXT: it runs, and prints the text
{
    block "$1" "$2" | sed -e "s|LD_PRELOAD=libhakmem.so|LD_PRELOAD=$library|" \
        -e "s|^\(.*[^&]&\)\$|\1 $await|" >"$work/block"
    (cd "$work" && PATH=$work:$PATH timeout 100 sh -e ./block; status=$?
     pkill -9 -f "$work/documented" 2>/dev/null; exit $status) >"$work/out" 2>&1 &&
        [ -s "$work/block" ] && grep -qF -e "$3" "$work/out"
    report $? "$1, block $2"
}

run_block profiling.md 1 slow_leak
grep -q '<svg' "$work/heap.svg"
report $? "and its picture is there"
run_block troubleshooting.md 1 "hakmem: "
tap_end
