#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make-debian.sh DIR: a Debian system for arm64 with systemd, of this host's release, from Debian's packages alone and
# without root.
#
#   DIR/Image        the kernel
#   DIR/initrd       loads what the root file system needs, and starts it
#   DIR/debian.img   ext4 root file system for the first virtio disk: root without a password on the console, the network by
#                    DHCP, the mirror of this host in /etc/apt/sources.list
#
#   pawl run --kernel DIR/Image --initrd DIR/initrd --disk DIR/debian.img --net user --memory 1G
#
# The packages are unpacked here and installed by the guest itself, in a first boot with the pawl that PAWL names (default:
# pawl in PATH). That takes minutes; DIR/install.log tells how it went. What is there already is kept.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"
# shellcheck source=packages.sh
. "$here/packages.sh"
PATH=$PATH:/usr/sbin:/sbin # depmod, mke2fs

only_unpack=
if [ "${1:-}" = --unpack ]; then # this script under fakeroot, which remembers that files are root's
	only_unpack=1
	shift
fi
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
pawl=${PAWL:-pawl}
mkdir -p "$1"
out=$(cd "$1" && pwd)
packages=(systemd-sysv systemd-resolved udev dbus iproute2 iputils-ping ca-certificates less)
modules=(virtio_mmio virtio_pci virtio_blk crc32c_generic ext4)

fetch() {
	local kernel
	kernel=$(arm64_apt "$out/apt" apt-cache depends linux-image-arm64 | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)/\1/p' | head -n 1)
	arm64_extract "$out/apt" "$out/kernel" "$kernel"
	arm64_extract "$out/apt" "$out/busybox" busybox-static
	echo "${kernel#linux-image-}" >"$out/release"
	cp "$out/kernel/boot/vmlinuz-${kernel#linux-image-}" "$out/Image"
	# With an empty package system, apt installs what is essential and what that needs besides the names.
	arm64_apt "$out/apt" apt-get -qq -y --download-only install '?essential' apt "${packages[@]}"
}

# copy_module FROM TO NAME...: modules and what they need, as depmod has written it down
copy_modules() {
	local from=$1 to=$2 name path
	shift 2
	for name; do
		while read -r path; do
			install -D -m 644 "$from/$path" "$to/$path"
		done < <(sed -n "s|^\(.*/$name\.ko[.xz]*\):\(.*\)|\1 \2|p" "$from/modules.dep" | tr -s ' ' '\n' | sed '/^$/d')
	done
	find "$to" -name '*.ko.xz' -exec xz -d {} +
	cp "$from"/modules.{builtin,builtin.modinfo,order} "$to/"
}

make_initrd() {
	local root=$out/initrd.root release modules_dir
	release=$(cat "$out/release")
	modules_dir=$out/kernel/lib/modules/$release
	[ -d "$modules_dir" ] || modules_dir=$out/kernel/usr/lib/modules/$release
	depmod -b "${modules_dir%/lib/modules/*}" "$release"
	rm -rf "$root"
	mkdir -p "$root"/{bin,proc,sys,dev,root}
	install -m 755 "$(find "$out/busybox" -path "*bin/busybox" -type f)" "$root/bin/busybox"
	copy_modules "$modules_dir" "$root/lib/modules/$release" "${modules[@]}"
	depmod -b "$root" "$release"
	cat >"$root/init" <<-END
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		for module in ${modules[*]}; do modprobe -q \$module; done
		until mount -t ext4 /dev/vda /root; do sleep 1; done
		init=/sbin/init
		for word in \$(cat /proc/cmdline); do case \$word in pawl.init=*) init=\${word#pawl.init=} ;; esac; done
		mount --move /dev /root/dev
		umount /proc /sys
		exec switch_root /root \$init </root/dev/console >/root/dev/console 2>&1
	END
	chmod 755 "$root/init"
	(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -9n >"$out/initrd"
	rm -rf "$root"
}

# What debootstrap's second stage does, by the guest.
second_stage() {
	cat <<-'END'
		#!/bin/sh
		export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
		set -e
		trap 'echo PAWL-INSTALL-FAILED; sync; echo o >/proc/sysrq-trigger; sleep 100' EXIT
		mount -o remount,rw /
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t tmpfs run /run
		cd /var/cache/apt/archives
		echo "PAWL-INSTALL begins: $(ls ./*.deb | wc -l) packages"
		install_core() { dpkg --force-all --install "$@"; }
		# mawk's postinst makes the link that others' scripts use before it is configured
		[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
		: >/var/lib/dpkg/status
		: >/var/lib/dpkg/available
		install_core ./base-passwd_*.deb
		install_core ./base-files_*.deb
		install_core ./dpkg_*.deb
		dpkg --force-all --unpack ./*.deb
		echo "PAWL-INSTALL unpacked"
		dpkg --configure -a --force-confdef || dpkg --configure -a
		passwd -d root
		echo debian >/etc/hostname
		printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >/etc/hosts
		printf '/dev/vda / ext4 errors=remount-ro 0 1\n' >/etc/fstab
		printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' >/etc/systemd/network/80-dhcp.network
		# A busy host makes a slow machine, and systemd's patience is counted in seconds.
		mkdir -p /etc/systemd/system.conf.d /etc/systemd/system/dev-ttyAMA0.device.d
		printf '[Manager]\nDefaultTimeoutStartSec=30min\n' >/etc/systemd/system.conf.d/patience.conf
		printf '[Unit]\nJobRunningTimeoutSec=30min\n' >/etc/systemd/system/dev-ttyAMA0.device.d/patience.conf
		systemctl enable systemd-networkd systemd-resolved
		ln -sf ../run/systemd/resolve/resolv.conf /etc/resolv.conf
		rm -f ./*.deb /pawl-install
		echo "PAWL-INSTALL done"
		trap - EXIT
		sync
		mount -o remount,ro / || true
		echo o >/proc/sysrq-trigger
		sleep 100
	END
}

unpack() {
	local root=$out/root deb dir release
	release=$(cat "$out/release")
	rm -rf "$root"
	mkdir -p "$root"/{dev,proc,sys,run,tmp,etc/apt,var/cache/apt/archives,var/lib/dpkg/info}
	for dir in bin sbin lib; do # merged /usr, as debootstrap makes it
		mkdir -p "$root/usr/$dir"
		ln -s "usr/$dir" "$root/$dir"
	done
	chmod 1777 "$root/tmp"
	for deb in "$out"/apt/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -p --keep-directory-symlink -C "$root"
		cp "$deb" "$root/var/cache/apt/archives/"
	done
	arm64_sources | sed 's/ \[[^]]*\]//' >"$root/etc/apt/sources.list"
	local from=$out/kernel/lib/modules/$release
	[ -d "$from" ] || from=$out/kernel/usr/lib/modules/$release
	copy_modules "$from" "$root/usr/lib/modules/$release" "${modules[@]}" virtio_net virtio_console virtio_balloon virtio-rng \
		9p 9pnet_virtio vmw_vsock_virtio_transport gpio_keys evdev af_packet
	depmod -b "$root/usr" "$release" 2>/dev/null || depmod -b "$root" "$release"
	second_stage >"$root/pawl-install"
	chmod 755 "$root/pawl-install"
}

if [ -n "$only_unpack" ]; then
	unpack
	mke2fs -q -t ext4 -L debian -d "$out/root" "$out/new.img"
	exit
fi
need_packages "${guest_packages[@]}" e2fsprogs fakeroot
[ -e "$out/release" ] || { echo "fetching packages"; fetch; }
[ -e "$out/initrd" ] || make_initrd
if [ ! -e "$out/debian.img" ]; then
	echo "unpacking $(ls "$out"/apt/cache/archives/*.deb | wc -l) packages"
	rm -f "$out/new.img"
	truncate -s 4G "$out/new.img"
	fakeroot -- "$0" --unpack "$out"
	rm -rf "$out/root"
	echo "installing them in the guest: $out/install.log"
	"$pawl" run --kernel "$out/Image" --initrd "$out/initrd" --disk "$out/new.img" --memory 1G --no-reboot --timeout 2h \
		--append "quiet pawl.init=/pawl-install" </dev/null >"$out/install.log" 2>&1 || true
	if ! grep -q 'PAWL-INSTALL done' "$out/install.log"; then
		tail -n 30 "$out/install.log"
		echo "make-debian: the installation in the guest has failed" >&2
		exit 1
	fi
	mv "$out/new.img" "$out/debian.img"
fi
ls -ls "$out"/{Image,initrd,debian.img}
