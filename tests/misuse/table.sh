#!/bin/sh
# SPDX-License-Identifier: MIT
#
# table.sh - runs the misuses under each malloc that there is, and writes docs/security.md on standard
# output. `make security-table` is the way to call it.

library=${HAKMEM_TEST_LIBRARY:?is to name the built libhakmem.so}
program=${HAKMEM_TEST_MISUSE:?is to name the built program misuse}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

found() # PATTERN...: the first file that there is
{
    for file in "$@"; do
        [ -e "$file" ] && echo "$file" && return
    done
    return 1
}

column() # NAME SETTING...: one more column; it proves which malloc ran
{
    name=$1
    shift
    env "$@" cat /proc/self/maps >"$work/maps"
    case $1 in
        LD_PRELOAD=*) grep -q "${1##*/}" "$work/maps" || return ;;
    esac
    "$program" "$@" >"$work/result.$name" || exit 1
    columns="$columns $name"
}

preload() # NAME FILE...: a column, if one of the files is there
{
    name=$1
    shift
    file=$(found "$@") && column "$name" LD_PRELOAD="$file"
}

columns=
column hakmem LD_PRELOAD="$library"
column cpu LD_PRELOAD="$library" HAKMEM_SHARD=cpu
column warn LD_PRELOAD="$library" HAKMEM_MISUSE=warn
column ignore LD_PRELOAD="$library" HAKMEM_MISUSE=ignore
column check LD_PRELOAD="$library" HAKMEM_MISUSE=check
column glibc HAKMEM_NONE=1
preload jemalloc /usr/lib/*/libjemalloc.so.2
preload mimalloc /usr/lib/*/libmimalloc.so.2
preload tcmalloc /usr/lib/*/libtcmalloc_minimal.so.4
preload scudo /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so

# shellcheck disable=SC2086  # names without blanks
set -- $columns
cases=$(wc -l <"$work/result.hakmem")

cat <<END
# Misuse of the heap

What becomes of a program that frees twice, frees what is no object, writes where it owns nothing, or
is made to by somebody else. \`SECURITY.md\` says what is promised; this is what happens. Made by
\`make security-table\` from the $cases programs of \`tests/misuse/cases.c\`, each in a process of its
own; \`make check\` holds the columns of hakmem to what they are.

First what malloc handed out when the program went on: **twice** an address that somebody owns,
**overlap** bytes that somebody owns, **attacker** the memory that an attacker chose. Then what
ended it: **caught** by a line, an abort, or a page without memory where the program wrote; **crash**
elsewhere by the processor. A dash: nothing of all that.
cpu is \`HAKMEM_SHARD=cpu\`; warn, ignore and check are \`HAKMEM_MISUSE\` (with check nothing that is
free links to anything, so what is written there is not noticed, and harms nobody). \`as hakmem
links\` means an attacker who knows this library: others have no such case.

END
printf '| of %s |' "$cases"
printf ' %s |' "$@"
printf '\n|---|'
for name; do printf '%s' '---:|'; done
printf '\n'
total() # WORDS PATTERN
{
    printf '| %s |' "$1"
    pattern=$2
    for name in $columns; do
        printf ' %s |' "$(cut -f 3 "$work/result.$name" | grep -c -E "$pattern")"
    done
    printf '\n'
}
total 'caught' caught
total 'caught, but after something was handed out' ', caught'
total 'an address or bytes twice' '^(twice|overlap)'
total "the attacker's memory" '^attacker'
total 'crash' '^crash'
total 'nothing' '^-'

for name; do
    shift
    set -- "$@" "$work/result.$name"
done
paste "$@" |
    awk -F '\t' -v columns="$columns" '
    BEGIN { count = split(columns, names, " ") }
    $1 != family {
        family = $1
        printf "\n## %s\n\n| |", toupper(substr($1, 1, 1)) substr($1, 2)
        for (i = 1; i <= count; i++) printf " %s |", names[i]
        printf "\n|---|"
        for (i = 1; i <= count; i++) printf "---|"
        printf "\n"
    }
    {
        printf "| %s |", $2
        for (i = 1; i <= count; i++) printf " %s |", $(3 * i)
        printf "\n"
    }'
