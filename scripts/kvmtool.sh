#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kvmtool.sh LKVM [GUEST-DIR]: boots Debian's arm64 kernel with kvmtool's lkvm on pawl: virtio console, disk, network and 9p
# over each interrupt controller and transport, with one and four vcpus. LKVM is kvmtool's arm64 flavour, built for this host
# (docs/clients.md says how) or for arm64: that one runs under qemu-user on another host, with PAWL_PRELOAD=an arm64
# libpawl-preload.so and PAWL_SYSROOT=what scripts/arm64-sysroot.sh made. GUEST-DIR is what scripts/fetch-guest.sh made. Only CASES
# (a pattern of their names) are run if that is set; PAWL is another pawl than that of build/. TAP.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"

[ $# -ge 1 ] && [ $# -le 2 ] || { echo "usage: $0 LKVM [GUEST-DIR]" >&2; exit 2; }
lkvm=$(realpath "$1")
guest=${2:-${PAWL_TEST_GUEST:-$(arm64_cache_dir)/guest}}
pawl=${PAWL:-$here/../build/cli/pawl}
tmp=$(mktemp -d)
port=$((20000 + $$ % 20000))

if readelf -h "$lkvm" | grep -q AArch64 && [ "$(uname -m)" != aarch64 ]; then
	root=$(realpath "${PAWL_SYSROOT:?names what arm64-sysroot.sh made}")/root
	preload=$(realpath "${PAWL_PRELOAD:?names an arm64 libpawl-preload.so}")
	run=(qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_PRELOAD=$preload" -E
		"LD_LIBRARY_PATH=$(dirname "$(dirname "$preload")"):$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu")
	limit=900
else
	run=("$pawl" exec --)
	limit=240
fi

mkdir "$tmp/init" "$tmp/share"
head -c 4M /dev/urandom >"$tmp/disk"
sum=$(md5sum <"$tmp/disk")
echo "$RANDOM$RANDOM" >"$tmp/share/answer"
answer=$(cat "$tmp/share/answer")
# The first process: everything that has a device says so on the console.
cat >"$tmp/init/init" <<END
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in virtio_pci virtio_mmio virtio_console virtio_blk virtio_net 9p 9pnet_virtio; do modprobe \$m; done
exec >/dev/hvc0 2>&1 </dev/hvc0
echo "cpus: \$(grep -c ^processor /proc/cpuinfo)"
echo "disk: \$(md5sum </dev/vda)"
ip link set eth0 up; ip addr add 192.168.33.15/24 dev eth0; ip route add default via 192.168.33.1
echo "net: \$(wget -q -O - http://192.168.33.1:$port/answer)"
mount -t 9p -o trans=virtio,version=9p2000.L hostshare /mnt
echo "9p: \$(cat /mnt/answer)"
echo "$answer from the guest" >/mnt/question
umount /mnt
poweroff -f
END
chmod +x "$tmp/init/init"
{
	cat "$guest/initrd.cpio.gz"
	(cd "$tmp/init" && echo init | cpio -o -H newc -R 0:0 --quiet | gzip)
} >"$tmp/initrd.gz"
python3 -m http.server "$port" --bind 127.0.0.1 --directory "$tmp/share" >/dev/null 2>&1 &
server=$!
trap 'kill "$server"; rm -rf "$tmp"' EXIT

n=0 failed=0
boot() { # NAME VCPUS OPTION...
	local name=$1 cpus=$2 missing=()
	shift 2
	# shellcheck disable=SC2053 # a pattern
	[[ $name = ${CASES:-*} ]] || return
	n=$((n + 1))
	rm -f "$tmp/share/question"
	timeout "$limit" "${run[@]}" "$lkvm" run -c "$cpus" -m 512 --console virtio -d "$tmp/disk" -k "$guest/Image" -i "$tmp/initrd.gz" \
		-p console=hvc0 -n mode=user --9p "$tmp/share,hostshare" "$@" >"$tmp/log" 2>&1 </dev/null
	grep -q "^cpus: $cpus" "$tmp/log" || missing+=(vcpus)
	grep -qF "disk: $sum" "$tmp/log" || missing+=(disk)
	grep -q "^net: $answer" "$tmp/log" || missing+=(network)
	grep -q "^9p: $answer" "$tmp/log" || missing+=(9p)
	grep -q "^$answer from the guest" "$tmp/share/question" 2>/dev/null || missing+=("a file written by 9p")
	grep -q 'KVM session ended normally' "$tmp/log" || missing+=("power off")
	if [ ${#missing[@]} -eq 0 ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name: missing: ${missing[*]}"
		tail -n 15 "$tmp/log" | sed 's/^/# /'
		failed=$((failed + 1))
	fi
}

boot its-1 1
boot its-4 4
boot gicv3-1 1 --irqchip gicv3
boot gicv3-4 4 --irqchip gicv3
boot gicv2-1 1 --irqchip gicv2
boot gicv2-4 4 --irqchip gicv2
boot gicv2m-4 4 --irqchip gicv2m
boot mmio-4 4 --virtio-transport mmio
boot mmio-legacy-1 1 --virtio-transport mmio-legacy
boot pmu-1 1 --pmu
echo "1..$n"
[ "$failed" -eq 0 ]
