#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh - Debian's packages: built from what `make dist` packs, installed into an empty root,
# used there, and purged without a trace. Nothing outside a scratch folder changes.
#
#     packages.sh TARBALL

. "$(dirname "$0")/../lib/tap.sh"

tarball=$(realpath "${1:?is to name what make dist made}")

for needed in dpkg-buildpackage dh gcc pkg-config; do
    command -v "$needed" >/dev/null || skip_all "no $needed"
done

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
root=$work/root
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)

# shellcheck disable=SC2034  # tests/lib/tap.sh reads it
tap_details=$work/log

there() # PATH...: each is in the root
{
    for path in "$@"; do
        [ -e "$root/$path" ] || [ -L "$root/$path" ] || { echo "no $path" >>"$work/log"; return 1; }
    done
}

# The packages depend on others, which this root has not.
package_manager()
{
    dpkg --root="$root" --force-depends --force-not-root --force-script-chrootless --no-triggers \
        --log="$work/dpkg.log" "$@" >>"$work/log" 2>&1
}

tar -xf "$tarball" -C "$work" && cd "$work"/hakmem-*/ || exit 99
DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" dpkg-buildpackage -us -uc -b \
    >"$work/log" 2>&1
report $? "dpkg-buildpackage makes them"

mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" && : >"$root/var/lib/dpkg/status"
package_manager --install "$work"/libhakmem0_*.deb "$work"/libhakmem-dev_*.deb "$work"/hakmem_*.deb
report $? "they install"

there "usr/lib/$multiarch/libhakmem.so.0" "usr/lib/$multiarch/libhakmem.so" \
    "usr/lib/$multiarch/libhakmem.a" "usr/lib/$multiarch/pkgconfig/hakmem.pc" \
    usr/include/hakmem.h usr/bin/hakmem usr/share/hakmem/pictures.py \
    usr/share/hakmem/profile.py usr/share/man/man3/hakmem.3.gz \
    usr/share/man/man1/hakmem.1.gz usr/share/man/man7/hakmem.7.gz \
    usr/share/doc/libhakmem0/copyright
report $? "each file is in its place"

export LD_LIBRARY_PATH="$root/usr/lib/$multiarch"
"$root/usr/bin/hakmem" topo >"$work/log" 2>&1 && grep -q shard "$work/log"
report $? "the command shows the machine"
HAKMEM_STATS=1 LD_PRELOAD="$root/usr/lib/$multiarch/libhakmem.so.0" /bin/true 2>"$work/log" &&
    grep -q '^hakmem' "$work/log"
report $? "a program runs under the library"

printf '#include <hakmem.h>\nint main(void) { hakmem_free(hakmem_malloc(1)); return 0; }\n' \
    >"$work/program.c"
export PKG_CONFIG_PATH="$root/usr/lib/$multiarch/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
# shellcheck disable=SC2046  # flags are words
gcc -o "$work/program" "$work/program.c" $(pkg-config --cflags --libs hakmem) 2>"$work/log" &&
    "$work/program" && readelf -d "$work/program" | grep -q 'NEEDED.*libhakmem.so.0'
report $? "a program is built by hakmem.pc, and needs the library by its soname"

package_manager --purge hakmem libhakmem-dev libhakmem0
status=$?
find "$root" -type f ! -path "$root/var/lib/dpkg/*" >"$work/left"
cat "$work/left" >>"$work/log"
[ ! -s "$work/left" ] || status=1
report $status "they are purged without a trace"

tap_end
