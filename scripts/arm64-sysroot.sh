#!/bin/bash
# SPDX-License-Identifier: MIT
#
# arm64-sysroot.sh DIR: the arm64 libraries that the cross build needs beyond the C library, from Debian, and DIR/meson.ini
# which tells meson and qemu-user where they are. What is there already is kept.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"

packages=(libcmocka-dev libcmocka0 libfdt-dev libfdt1 zlib1g-dev zlib1g libzstd-dev libzstd1 libjansson-dev libjansson4 libseccomp-dev libseccomp2
	# libnbd and what it is linked with
	libnbd-dev libnbd0 libgnutls30 libp11-kit0 libidn2-0 libunistring2 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8 libxml2
	libicu72 liblzma5
	# the same for libslirp
	libslirp-dev libslirp0 libglib2.0-0 libpcre2-8-0 libmount1 libselinux1 libblkid1)

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)

if [ "$(cat "$out/packages" 2>/dev/null)" != "${packages[*]}" ]; then
	rm -rf "${out:?}/root"
	arm64_extract "$out/apt" "$out/root" "${packages[@]}"
	rm -rf "$out/apt"
	# Links that are absolute lead out of the tree.
	find "$out/root" -lname '/*' -printf '%p\t%l\n' | while IFS=$'\t' read -r link target; do
		ln -sf "$out/root$target" "$link"
	done
	echo "${packages[*]}" >"$out/packages"
fi
libraries=$out/root/usr/lib/aarch64-linux-gnu:$out/root/lib/aarch64-linux-gnu
cat >"$out/meson.ini" <<END
[properties]
sys_root = '$out/root'
pkg_config_libdir = '$out/root/usr/lib/aarch64-linux-gnu/pkgconfig:$out/root/usr/share/pkgconfig'

[binaries]
exe_wrapper = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', '-E', 'LD_LIBRARY_PATH=$libraries']

[built-in options]
c_args = ['-isystem', '$out/root/usr/include']
c_link_args = ['-L$out/root/usr/lib/aarch64-linux-gnu', '-L$out/root/lib/aarch64-linux-gnu', '-Wl,-rpath-link,$out/root/lib/aarch64-linux-gnu']
END
