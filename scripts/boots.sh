#!/bin/bash
# SPDX-License-Identifier: MIT
#
# boots.sh WHAT...: what pawl run boots, beyond what the tests boot in seconds. Needs the network, for Debian's packages; no root.
# Each line is "ok" or "not ok"; the consoles are kept in the cache directory.
#
#   kernels     Debian's kernels of four releases, as they are, gzipped, as EFI zboot images with gzip and zstd; one with pages of
#               16 KiB, on 2 to 16 vcpus
#   flavours    the kernels that Debian makes besides: for clouds, real time, pages of 16 KiB, backports; each to its first process, as
#               neoverse-n1 and as max
#   grub        GRUB from a disk to Linux, started by EDK2 and by U-Boot
#   installer   Debian's installer to its first screen, with the network
#   debian      a Debian system: made (scripts/make-debian.sh), logged in to, a package installed through the user network,
#               powered off by the power button
#
# PAWL names the program (default: build/cli/pawl), PAWL_OPTIONS what every machine gets besides (--engine jit).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"
# shellcheck source=packages.sh
. "$here/packages.sh"
PATH=$PATH:/usr/sbin:/sbin

PAWL=${PAWL:-$here/../build/cli/pawl}
export PAWL
read -ra pawl_options <<<"${PAWL_OPTIONS:-}"
cache=$(arm64_cache_dir)/boots
guest=$(arm64_cache_dir)/guest
failed=0
mkdir -p "$cache"

say() { # STATUS SENTENCE
	if [ "$1" -eq 0 ]; then echo "ok - $2"; else
		echo "not ok - $2"
		failed=1
	fi
}

# boot LOG WORDS PATIENCE OPTION...: whether the console says the words before the patience (seconds) is over; it is ended then
boot() {
	local log=$1 words=$2 patience=$3 pid status=1
	shift 3
	: >"$log"
	"$PAWL" run --timeout "$patience" "${pawl_options[@]}" "$@" </dev/null >"$log" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		if grep -qaF -- "$words" "$log"; then
			status=0
			kill $pid 2>/dev/null || true
		fi
		sleep 0.2
	done
	wait $pid 2>/dev/null || true
	grep -qaF -- "$words" "$log" && status=0
	return $status
}

# kernel_of RELEASE [FLAVOUR]: a Debian release's kernel in $cache/RELEASE[-FLAVOUR]/Image; prints what it is. Flavours: 16k, cloud, rt.
kernel_of() (
	local release=$1 suite=$1${2:+-$2} name package
	case ${2:-} in
	cloud | rt) package=linux-image-$2-arm64 ;;
	*) package=linux-image-arm64${2:+-$2} ;;
	esac
	arm64_host_sources=$(arm64_sources | grep -v -e -updates -e -security | head -n 1)
	arm64_sources() { echo "${arm64_host_sources% * main} $release main"; }
	if [ ! -e "$cache/$suite/Image" ]; then
		name=$(arm64_apt "$cache/$suite/apt" apt-cache depends "$package" 2>/dev/null |
			sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)/\1/p' | head -n 1)
		[ -n "$name" ]
		arm64_extract "$cache/$suite/apt" "$cache/$suite/kernel" "$name" 2>/dev/null
		# From 2026 on the image is in a package of its own.
		[ -n "$(find "$cache/$suite/kernel" -name "vmlinuz*" -type f)" ] ||
			arm64_extract "$cache/$suite/apt" "$cache/$suite/kernel" "linux-binary-${name#linux-image-}" 2>/dev/null
		cp "$(find "$cache/$suite/kernel" -name "vmlinuz*" -type f | head -n 1)" "$cache/$suite/Image"
		rm -rf "$cache/$suite/kernel"
		echo "${name#linux-image-}" >"$cache/$suite/release"
	fi
	cat "$cache/$suite/release"
)

# The kernel's own EFI zboot form around a compressed Image: Documentation/arch/arm64/booting.rst says nothing of it, the header is
# drivers/firmware/efi/libstub/zboot-header.S.
zboot() { # METHOD FROM TO
	local payload
	payload=$(mktemp)
	case $1 in
	gzip) gzip -9c "$2" >"$payload" ;;
	zstd) zstd -q -c "$2" >"$payload" ;;
	esac
	python3 - "$1" "$payload" "$3" <<-'END'
		import struct, sys
		data = open(sys.argv[2], "rb").read()
		head = b"MZ\0\0zimg" + struct.pack("<II", 0x200, len(data)) + bytes(8) + sys.argv[1].encode().ljust(32, b"\0")
		head += struct.pack("<II", 0x818223cd, 0x40)
		open(sys.argv[3], "wb").write(head.ljust(0x200, b"\0") + data + bytes(-len(data) % 512))
	END
	rm -f "$payload"
}

kernels() {
	local suite release image form options
	need_packages zstd
	"$here/fetch-guest.sh" "$guest" >/dev/null
	for suite in bullseye bookworm trixie sid; do
		if ! release=$(kernel_of $suite); then
			say 1 "the kernel of $suite cannot be fetched"
			continue
		fi
		image=$cache/$suite/Image
		boot "$cache/$suite.log" PAWL-HELLO 300 --kernel "$image" --initrd "$guest/initrd.cpio.gz" --smp 2 && status=0 || status=1
		say $status "$suite: $release to its first process"
		for form in gzip zboot-gzip zboot-zstd; do
			case $form in
			gzip) gzip -9c "$image" >"$cache/form" ;;
			zboot-*) zboot ${form#zboot-} "$image" "$cache/form" ;;
			esac
			boot "$cache/$suite-$form.log" PAWL-HELLO 300 --kernel "$cache/form" --initrd "$guest/initrd.cpio.gz" && status=0 || status=1
			say $status "$suite: the same as $form"
		done
		rm -f "$cache/form"
	done
	# Pages of 16 KiB; pointer authentication and BTI in use; more vcpus than hosts have.
	if release=$(kernel_of trixie 16k); then
		for options in "--smp 2" "--smp 8 --cpu max" "--smp 16 --cpu max,+qarma5"; do
			# shellcheck disable=SC2086 # words are wanted
			boot "$cache/trixie-16k.log" PAWL-HELLO 300 --kernel "$cache/trixie-16k/Image" --initrd "$guest/initrd.cpio.gz" --memory 1G $options && status=0 || status=1
			say $status "$release, $options"
		done
	else
		say 1 "the kernel of trixie with pages of 16 KiB cannot be fetched"
	fi
}

flavours() {
	local suite flavour release cpu
	"$here/fetch-guest.sh" "$guest" >/dev/null
	for suite in bullseye bookworm bookworm-backports trixie sid; do
		for flavour in "" cloud rt 16k; do
			case $suite-$flavour in
			bookworm-backports- | *-cloud | *-rt | trixie-16k | sid-16k) ;;
			*) continue ;; # there is none, or kernels() has it
			esac
			if ! release=$(kernel_of $suite $flavour); then
				say 1 "$suite's kernel ${flavour:-of the usual kind} cannot be fetched"
				continue
			fi
			for cpu in neoverse-n1 max; do
				boot "$cache/$suite${flavour:+-$flavour}.log" PAWL-HELLO 600 --kernel "$cache/$suite${flavour:+-$flavour}/Image" \
					--initrd "$guest/initrd.cpio.gz" --memory 1G --smp 2 --cpu $cpu && status=0 || status=1
				say $status "$suite: $release on 2 vcpus, $cpu"
			done
		done
	done
}

# A disk with a FAT file system in its only partition, GRUB where firmware looks for it, kernel and initrd.
grub_disk() {
	local disk=$1 part=$1@@1M
	rm -f "$disk"
	truncate -s 128M "$disk"
	python3 - "$disk" <<-'END'
		import struct, sys
		with open(sys.argv[1], "r+b") as f:
		    f.seek(446)
		    f.write(struct.pack("<B3sB3sII", 0x80, bytes(3), 0xef, bytes(3), 2048, 260000))
		    f.seek(510)
		    f.write(b"\x55\xaa")
	END
	mformat -i "$part" -F -T 260000 -h 16 -s 63 ::
	mmd -i "$part" ::EFI ::EFI/BOOT ::EFI/debian
	mcopy -i "$part" "$cache/grub/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi" ::EFI/BOOT/BOOTAA64.EFI
	mcopy -i "$part" "$guest/Image" ::vmlinuz
	mcopy -i "$part" "$guest/initrd.cpio.gz" ::initrd
	printf 'set timeout=0\nmenuentry pawl {\n linux ($root)/vmlinuz pawl.init=hello\n initrd ($root)/initrd\n}\n' |
		mcopy -i "$part" - ::EFI/debian/grub.cfg
}

grub() {
	local firmware status
	need_packages mtools u-boot-qemu qemu-efi-aarch64
	"$here/fetch-guest.sh" "$guest" >/dev/null
	[ -e "$cache/grub" ] || arm64_extract "$cache/apt" "$cache/grub" grub-efi-arm64-bin 2>/dev/null
	grub_disk "$cache/grub.img"
	for firmware in /usr/share/qemu-efi-aarch64/QEMU_EFI.fd /usr/lib/u-boot/qemu_arm64/u-boot.bin; do
		boot "$cache/grub-${firmware##*/}.log" PAWL-HELLO 300 --firmware "$firmware" --disk "$cache/grub.img,ro" && status=0 || status=1
		grep -qa 'Welcome to GRUB' "$cache/grub-${firmware##*/}.log" || status=1
		say $status "${firmware##*/}, GRUB from a disk, Linux"
	done
}

installer() {
	local dir status
	[ -e "$cache/di" ] || arm64_extract "$cache/apt" "$cache/di" "debian-installer-$(. /etc/os-release && echo "$VERSION_ID")-netboot-arm64" 2>/dev/null
	dir=$(dirname "$(find "$cache/di" -path '*text*' -name linux | head -n 1)")
	boot "$cache/installer.log" "Select a language" 900 --kernel "$dir/linux" --initrd "$dir/initrd.gz" --memory 1G --net user && status=0 || status=1
	say $status "Debian's installer to its first screen"
}

debian() {
	"$here/make-debian.sh" "$cache/debian" || { say 1 "a Debian system is made"; return; }
	say 0 "a Debian system is made"
	python3 "$here/boots_login.py" "$cache/debian" "$cache/debian.log" "${pawl_options[@]}" || failed=1
}

[ $# -gt 0 ] || { sed -n '4,18s/^# \{0,1\}//p' "$0"; exit 2; }
for what; do
	case $what in
	kernels | flavours | grub | installer | debian) $what ;;
	*) echo "boots.sh: unknown '$what'" >&2; exit 2 ;;
	esac
done
exit $failed
