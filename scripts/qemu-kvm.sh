#!/bin/bash
# SPDX-License-Identifier: MIT
#
# qemu-kvm.sh [--release RELEASE] [GUEST-DIR]: boots Debian's arm64 kernel with Debian's own arm64 qemu-system-aarch64 and -accel kvm on
# pawl, to a first process that turns the machine off; on another host QEMU itself runs under qemu-user. With one vcpu, with four, and
# with a GICv2. GUEST-DIR is what scripts/fetch-guest.sh made; --release is another Debian release to take QEMU from. Only CASES (a
# pattern of their names) are run if that is set. PAWL_PRELOAD is an arm64 libpawl-preload.so. TAP.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"

if [ "${1:-}" = --release ]; then
	export ARM64_RELEASE=${2:?names no release}
	shift 2
fi
[ $# -le 1 ] || { echo "usage: $0 [--release RELEASE] [GUEST-DIR]" >&2; exit 2; }
guest=${1:-${PAWL_TEST_GUEST:-$(arm64_cache_dir)/guest}}
preload=$(realpath "${PAWL_PRELOAD:?names an arm64 libpawl-preload.so}")
dir=$(arm64_cache_dir)/qemu${ARM64_RELEASE:+-$ARM64_RELEASE}
root=$dir/root

if [ ! -e "$dir/unpacked" ]; then
	echo "# fetching qemu-system-arm and its libraries" >&2
	rm -rf "$dir"
	arm64_apt "$dir/apt" apt-get -qq -y --download-only --no-install-recommends install qemu-system-arm >&2
	for deb in "$dir"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$root"
	done
	rm -rf "$dir/apt/cache"
	touch "$dir/unpacked"
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/init" <<'END'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
/bin/busybox echo "up: $(/bin/busybox grep -c ^processor /proc/cpuinfo) processors"
/bin/busybox poweroff -f
END
chmod +x "$tmp/init"
{
	cat "$guest/initrd.cpio.gz"
	(cd "$tmp" && echo init | cpio -o -H newc -R 0:0 --quiet | gzip)
} >"$tmp/initrd.gz"

libraries=$(dirname "$(dirname "$preload")"):$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu:$root/usr/lib/aarch64-linux-gnu/pulseaudio
if [ "$(uname -m)" = aarch64 ]; then
	run=(env "LD_LIBRARY_PATH=$libraries" "LD_PRELOAD=$preload")
else
	run=(qemu-aarch64 -L "$root" -E "LD_LIBRARY_PATH=$libraries" -E "LD_PRELOAD=$preload")
fi

n=0 failed=0
boot() { # NAME GIC VCPUS
	local missing=()
	# shellcheck disable=SC2053 # a pattern
	[[ $1 = ${CASES:-*} ]] || return 0
	n=$((n + 1))
	timeout 1800 "${run[@]}" "$root/usr/bin/qemu-system-aarch64" -L "$root/usr/share/qemu" -M "virt,gic-version=$2" -accel kvm -cpu host \
		-smp "$3" -m 256 -nographic -nodefaults -serial stdio -net none -kernel "$guest/Image" -initrd "$tmp/initrd.gz" \
		-append "console=ttyAMA0 earlycon panic=-1" >"$tmp/log" 2>&1 </dev/null || missing+=("status $?")
	grep -q 'Booting Linux on physical CPU' "$tmp/log" || missing+=("the kernel's first line")
	grep -q "^up: $3 processors" "$tmp/log" || missing+=("the first process")
	if [ ${#missing[@]} -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1: missing: ${missing[*]}"
		tail -n 15 "$tmp/log" | sed 's/^/# /'
		failed=$((failed + 1))
	fi
}

boot gicv3-1 3 1
boot gicv3-4 3 4
boot gicv2-2 2 2
echo "1..$n"
[ "$failed" -eq 0 ]
