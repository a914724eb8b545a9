#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fetch-symbols.sh DIR: the symbols of the kernel that fetch-guest.sh has put into DIR, as DIR/vmlinux. Debian's debug package is
# large (800 MB to fetch, 300 MB kept). No root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"

[ $# -eq 1 ] && [ -e "$1/release" ] || { echo "usage: $0 DIR, with a guest of fetch-guest.sh in it" >&2; exit 2; }
out=$(cd "$1" && pwd)
release=$(cat "$out/release")
[ ! -e "$out/vmlinux" ] || exit 0
echo "fetching linux-image-$release-dbg (800 MB)"
mkdir -p "$out/symbols"
(cd "$out/symbols" && arm64_apt apt apt-get -qq download "linux-image-$release-dbg")
dpkg-deb --fsys-tarfile "$out"/symbols/linux-image-*-dbg_*.deb | tar -x -C "$out/symbols" "./usr/lib/debug/boot/vmlinux-$release"
mv "$out/symbols/usr/lib/debug/boot/vmlinux-$release" "$out/vmlinux"
rm -rf "$out/symbols"
ls -l "$out/vmlinux"
