#!/bin/sh
# SPDX-License-Identifier: MIT
#
# secure.sh - setuid programs ignore the environment. The program is linked with the library by
# an absolute path (the loader itself drops LD_PRELOAD), and made setuid in a copy.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

program=${HAKMEM_TEST_LINKED:?is to name the program linked with the library}

[ -z "$HAKMEM_TEST_SANITIZE" ] || skip_all "sanitizers and setuid do not go together"
[ "$(id -u)" -eq 0 ] || skip_all "only root can make a setuid program of another user"
command -v setpriv >/dev/null || skip_all "setpriv is not installed"

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
tap_details="$work/err"
chmod 755 "$work"
cp "$program" "$work/program" && chmod 4755 "$work/program"

as_nobody() # COMMAND...
{
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
as_nobody test -r "$HAKMEM_TEST_LIBRARY" || skip_all "nobody cannot read the library where it is"
effective=$(as_nobody "$work/program" effective-user 2>/dev/null)
[ "$effective" = "65534 0" ] || skip_all "setuid has no effect here (nosuid, or no new privileges)"

# The same wrong value, first without the privilege: it must be noticed, or the test shows nothing.
chmod 755 "$work/program"
as_nobody env HAKMEM_SHARD=nonsense HAKMEM_TEST_LIBRARY="$HAKMEM_TEST_LIBRARY" \
    "$work/program" effective-user >"$work/out" 2>"$work/err"
grep -q HAKMEM_SHARD "$work/err"
report $? "without the privilege a wrong HAKMEM_SHARD is reported"
chmod 4755 "$work/program"

as_nobody env HAKMEM_SHARD=nonsense "$work/program" effective-user >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = "65534 0" ] && [ ! -s "$work/err" ]
report $? "with it, the variable is not even looked at"

as_nobody env HAKMEM_STATS=1 HAKMEM_VERBOSE=1 "$work/program" effective-user \
    >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = "65534 0" ] && [ ! -s "$work/err" ]
report $? "with it, statistics cannot be asked for"

# What it starts has the rights, and no mark of it.
for word in environment third; do
    as_nobody env HAKMEM_STATS=1 KEPT=1 HAKMEM_LEARN_FILE=/x HAKMEM_=0 HAKMEMORY=1 LAST=1 \
        "$work/program" $word >"$work/out" 2>"$work/err"
    ! grep -q '^HAKMEM_' "$work/out" && [ "$(grep -c -e '^KEPT=1$' -e '^HAKMEMORY=1$' \
        -e '^LAST=1$' "$work/out")" -eq 3 ]
    report $? "with it, our variables and no others are taken from the environment ($word)"
done

# Rights may come from the file, too (capabilities), for root's own programs as for another's.
if command -v setcap >/dev/null && chmod 755 "$work/program" &&
    setcap cap_net_raw+ep "$work/program" 2>/dev/null; then
    as_nobody env HAKMEM_SHARD=nonsense LAST=1 "$work/program" environment >"$work/out" 2>"$work/err"
    ! grep -q '^HAKMEM_' "$work/out" && grep -q '^LAST=1$' "$work/out" && [ ! -s "$work/err" ]
    report $? "so it is with capabilities of the file"
else
    skip "so it is with capabilities of the file" "setcap is not installed, or refused"
fi

tap_end
