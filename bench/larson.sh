#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs larson with a named profile of bench/profiles against all allocators.
#
#     larson.sh [PROFILE | --list] [option of bench/run]...
#
# A profile is a file of option=value lines for bench/workloads/larson; # begins a comment.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
profiles=$here/profiles

list_profiles()
{
    for file in "$profiles"/*.profile; do
        name=$(basename "$file" .profile)
        printf '%-10s %s\n' "$name" "$(sed -n 's/^# //p' "$file" | grep -v SPDX | head -n 1)"
    done
}

case ${1-} in
'' | --help)
    echo "usage: larson.sh PROFILE [option of bench/run]...; profiles:"
    list_profiles
    exit 0
    ;;
--list)
    list_profiles
    exit 0
    ;;
esac

name=$1
profile=$profiles/$name.profile
if [ ! -f "$profile" ]; then
    echo "larson.sh: no profile $name; there are:" >&2
    list_profiles >&2
    exit 2
fi
shift
options=$(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$profile" | paste -sd , -)
exec "$here/run" "$@" "larson[$name]:$options"
