#!/bin/bash
# SPDX-License-Identifier: MIT
#
# virtio-bench.sh [PAWL [QEMU]]: throughput and operations per second of virtio-blk and virtio-net, of `pawl run` and of
# QEMU's TCG, one after the other: Debian's kernel, and fio and iperf3 from Debian's arm64 packages. The disk is a file of 256 MiB in memory (/dev/shm); the network is the user network of each, to an iperf3 server on
# the loopback interface. Prints the best of some rounds, in which the two take turns, and judges nothing.
#
# Needs what scripts/fetch-guest.sh needs, e2fsprogs, binutils, iperf3 and python3 on the host, and qemu-system-aarch64 (else pawl alone is measured).
# $BENCH_TASKSET, as in "taskset -c 1", goes before each machine; $BENCH_CPUS is the number of vcpus (1);
# $BENCH_SECONDS the time of each measurement (3), $BENCH_ROUNDS the number of rounds (3).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../scripts/arm64-apt.sh
. "$here/../scripts/arm64-apt.sh"
pawl=${1:-$here/../build/cli/pawl}
qemu=${2:-qemu-system-aarch64}
cache=$(arm64_cache_dir)
guest=$cache/guest
tools=$cache/bench
cpus=${BENCH_CPUS:-1}
seconds=${BENCH_SECONDS:-3}
rounds=${BENCH_ROUNDS:-3}

"$here/../scripts/fetch-guest.sh" "$guest"
mkdir -p "$tools"
if [ ! -e "$tools/root/usr/bin/fio" ]; then
	# What they depend on comes along; nothing is installed in this apt's own world.
	mapfile -t packages < <(arm64_apt "$tools/apt" apt-get -qq -s install fio iperf3 | sed -n 's/^Inst \([^ ]*\).*/\1/p')
	arm64_extract "$tools/apt" "$tools/root" "${packages[@]}"
	rm -rf "$tools/apt"
fi

dir=$(mktemp -d)
disk=$(mktemp /dev/shm/virtio-bench-XXXXXX)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$dir" "$disk"' EXIT

# The programs and the libraries that they are linked with, and no more: a file system on a disk of its own.
mkdir -p "$dir/tools/bin" "$dir/tools/lib"
collect() { # FILE
	local name path
	while read -r name; do
		[ ! -e "$dir/tools/lib/$name" ] || continue
		for path in "$tools/root"/{usr/,}lib/aarch64-linux-gnu/{,ceph/}"$name"; do
			[ -e "$path" ] || continue
			cp -L "$path" "$dir/tools/lib/$name"
			collect "$path"
			break
		done
	done < <(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
}
for name in fio iperf3; do
	cp "$tools/root/usr/bin/$name" "$dir/tools/bin/$name"
	collect "$tools/root/usr/bin/$name"
done
cat >"$dir/tools/bench" <<'END'
#!/bin/sh
# Prints "FIGURE value unit".
seconds=$1 port=$2
export LD_LIBRARY_PATH=/mnt/lib PATH=$PATH:/mnt/bin
ln -s /mnt/lib/ld-linux-aarch64.so.1 /lib/
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
for disk in vda vdb; do [ "$(cat /sys/block/$disk/serial)" = tools ] || break; done
block() { # NAME FIELD ARGUMENT...: field 1 is bandwidth, 2 operations
	name=$1 field=$2
	shift 2
	fio --name=x --filename=/dev/$disk --direct=1 --ioengine=libaio --time_based --runtime="$seconds" --minimal "$@" >/tmp/fio
	# terse format 3: read bandwidth (KiB/s) is field 7 and IOPS 8; write 48 and 49
	awk -F ';' -v n="$name" -v f="$field" '{ if (f == 1) printf "FIGURE %s %.0f MiB/s\n", n, ($7 + $48) / 1024; else printf "FIGURE %s %.0f ops/s\n", n, $8 + $49 }' /tmp/fio
}
block "disk: read, 1 MiB blocks" 1 --rw=read --bs=1M --iodepth=4
block "disk: write, 1 MiB blocks" 1 --rw=write --bs=1M --iodepth=4
block "disk: random read, 4 KiB, depth 1" 2 --rw=randread --bs=4k --iodepth=1
block "disk: random read, 4 KiB, depth 32" 2 --rw=randread --bs=4k --iodepth=32
block "disk: random write, 4 KiB, depth 32" 2 --rw=randwrite --bs=4k --iodepth=32
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
net() { # NAME AWK-EXPRESSION ARGUMENT...
	name=$1
	shift
	iperf3 -c 10.0.2.2 -p "$port" -t "$seconds" -f m "$@" >/tmp/iperf 2>&1 || { echo "$name failed"; tail -n 3 /tmp/iperf; return; }
	awk -v n="$name" '/receiver/ { for (i = 1; i < NF; i++) if ($(i + 1) == "Mbits/sec") printf "FIGURE %s %.0f Mbit/s\n", n, $i }' /tmp/iperf
}
net "network: TCP from the guest"
net "network: TCP to the guest" -R
ip link set eth0 mtu 1500
net "network: TCP from the guest, MTU 1500"
net "network: TCP to the guest, MTU 1500" -R
net "network: UDP from the guest, 64 bytes" -u -b 0 -l 64
ping -c 1 10.0.2.2 >/dev/null
ping -c 20 -i 0.1 10.0.2.2 2>/dev/null | awk '/round-trip/ { split($4, t, "/"); printf "FIGURE network: round trip of a ping %.0f us\n", t[2] * 1000 }'
END
chmod +x "$dir/tools/bench"
mke2fs -q -t ext4 -d "$dir/tools" "$dir/tools.img" 200M >/dev/null
head -c 268435456 /dev/urandom >"$disk"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
iperf3 -s -B 127.0.0.1 -p "$port" >/dev/null 2>&1 &
server=$!
cat >"$dir/script" <<END
modprobe crc32c_generic; modprobe ext4
for d in vda vdb; do [ "\$(cat /sys/block/\$d/serial)" != tools ] || mount -o ro /dev/\$d /mnt; done
/mnt/bench $seconds $port
exit
END
append="console=ttyAMA0 quiet pawl.init=run"


# machine NAME OUT COMMAND...: types the script when the guest is ready for it.
machine() {
	local out=$2 pid
	local who=$1
	shift 2
	rm -f "$dir/in"
	mkfifo "$dir/in"
	: >"$dir/console"
	"$@" <"$dir/in" >"$dir/console" 2>&1 &
	pid=$!
	exec 3>"$dir/in"
	until grep -q PAWL-READY "$dir/console"; do
		kill -0 "$pid" 2>/dev/null || { cat "$dir/console" >&2; exit 1; }
		sleep 0.1
	done
	cat "$dir/script" >&3
	wait "$pid"
	exec 3>&-
	tr -d '\r' <"$dir/console" | sed -n 's/^.*FIGURE //p' >>"$out"
	sed -n "s/^\(.* failed\)\r*\$/$who: \1/p" "$dir/console" >&2
}

export PAWL_ENGINE=${PAWL_ENGINE:-jit}
: >"$dir/qemu.txt"
for ((i = 0; i < rounds; i++)); do
	# shellcheck disable=SC2086 # words are wanted
	machine pawl "$dir/pawl.txt" ${BENCH_TASKSET:-} "$pawl" run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --memory 1G --smp "$cpus" --append "$append" \
		--disk "$disk" --disk "$dir/tools.img,ro,serial=tools" --net user
	if command -v "$qemu" >/dev/null; then
		# shellcheck disable=SC2086
		machine QEMU "$dir/qemu.txt" ${BENCH_TASKSET:-} "$qemu" -M virt,gic-version=3 -cpu neoverse-n1 -accel tcg,thread=multi -m 1G -smp "$cpus" -display none -nodefaults -serial stdio \
			-kernel "$guest/Image" -initrd "$guest/initrd.cpio.gz" -append "$append" -global virtio-mmio.force-legacy=false \
			-drive "file=$disk,format=raw,if=none,id=d" -device virtio-blk-device,drive=d \
			-drive "file=$dir/tools.img,format=raw,if=none,id=t,read-only=on" -device virtio-blk-device,drive=t,serial=tools \
			-netdev user,id=n -device virtio-net-device,netdev=n
	fi
done
awk -v p="$dir/pawl.txt" -v q="$dir/qemu.txt" '
# "name value unit": the best of each name; a round trip is best when short
function best(file, into, line, n, w, v) {
	while ((getline line <file) > 0) {
		n = line
		sub(/ [^ ]+ [^ ]+$/, "", n)
		split(substr(line, length(n) + 2), w, " ")
		v = w[1] + 0
		unit[n] = w[2]
		if (!(n in order)) { order[n] = ++names; name[names] = n }
		if (!(n in into) || (w[2] == "us" ? v < into[n] : v > into[n]))
			into[n] = v
	}
}
function ratio(p, q, unit) { return p && q ? sprintf("%.1f", unit == "us" ? q / p : p / q) : "" }
BEGIN {
	best(p, pawl)
	best(q, qemu)
	printf "%-40s %12s %12s %10s\n", "", "pawl", "QEMU", "times"
	for (i = 1; i <= names; i++)
		printf "%-40s %12s %12s %10s %s\n", name[i], pawl[name[i]], qemu[name[i]], ratio(pawl[name[i]], qemu[name[i]], unit[name[i]]), unit[name[i]]
}'
