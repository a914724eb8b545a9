#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fetch-guest.sh DIR: a guest to boot, from the Debian release of this host: its arm64 kernel, and an initial file system
# of busybox and a few modules, whose first process is scripts/guest-init.
#
#   DIR/Image           the kernel
#   DIR/initrd.cpio.gz  the initial file system
#   DIR/System.map      the kernel's symbols, if its package has them
#   DIR/release         the kernel's release
#
# Needs apt, dpkg, cpio, gzip, kmod (and xz-utils where modules are compressed); no root. What is there already is kept;
# remove DIR to fetch again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"

PATH=$PATH:/usr/sbin:/sbin # depmod, for users other than root
modules=(virtio_mmio virtio_pci virtio_blk virtio_net virtio-rng virtio_balloon virtio_console ext4 crc32c_generic 9p 9pnet_virtio
	vsock vmw_vsock_virtio_transport)

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)

make_initrd() {
	local root=$out/root release=$1 boot_modules=$out/kernel/lib/modules/$1 path
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/lib/modules/$release"
	install -m 755 "$here/guest-init" "$root/init"
	install -m 755 "$out/busybox/bin/busybox" "$root/bin/busybox"
	[ -d "$boot_modules" ] || boot_modules=$out/kernel/usr/lib/modules/$1
	# Which files a module needs: depmod writes them down, in the order to be loaded from the right.
	depmod -b "${boot_modules%/lib/modules/*}" "$release"
	for module in "${modules[@]}"; do
		while read -r path; do
			install -D -m 644 "$boot_modules/$path" "$root/lib/modules/$release/$path"
		done < <(sed -n "s|^\(.*/$module\.ko[.xz]*\):\(.*\)|\1 \2|p" "$boot_modules/modules.dep" | tr -s ' ' '\n' | sed '/^$/d')
	done
	find "$root/lib" -name '*.ko.xz' -exec xz -d {} +
	# depmod wants these, and modprobe in the guest does not.
	cp "$boot_modules"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
	depmod -b "$root" "$release"
	rm -f "$root/lib/modules/$release"/modules.{builtin*,order,*.bin}
	(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet --reproducible) | gzip -9n >"$out/initrd.new"
	mv "$out/initrd.new" "$out/initrd.cpio.gz"
	rm -rf "$root"
}

if [ ! -e "$out/release" ]; then
	kernel=$(arm64_apt "$out/apt" apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)/\1/p' | head -n 1)
	[ -n "$kernel" ] || { echo "fetch-guest: linux-image-arm64 names no kernel" >&2; exit 1; }
	echo "fetching $kernel and busybox-static for arm64"
	rm -rf "$out/kernel" "$out/busybox"
	arm64_extract "$out/apt" "$out/kernel" "$kernel"
	arm64_extract "$out/apt" "$out/busybox" busybox-static
	[ -e "$out/busybox/bin/busybox" ] || { mkdir -p "$out/busybox/bin" && cp "$out/busybox/usr/bin/busybox" "$out/busybox/bin/"; }
	release=${kernel#linux-image-}
	cp "$out/kernel/boot/vmlinuz-$release" "$out/Image"
	# Debian ships a System.map of one line that says where the real one is.
	if [ "$(stat -c %s "$out/kernel/boot/System.map-$release" 2>/dev/null || echo 0)" -gt 4096 ]; then
		cp "$out/kernel/boot/System.map-$release" "$out/System.map"
	fi
	rm -rf "$out/apt"
	echo "$release" >"$out/release"
fi
if [ ! -e "$out/initrd.cpio.gz" ] || [ "$here/guest-init" -nt "$out/initrd.cpio.gz" ] || [ "$0" -nt "$out/initrd.cpio.gz" ]; then
	make_initrd "$(cat "$out/release")"
fi
