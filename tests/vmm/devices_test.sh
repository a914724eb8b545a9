#!/bin/bash
# SPDX-License-Identifier: MIT
# devices_test.sh PAWL: Debian's kernel and its virtio drivers on the devices of `pawl run`. $PAWL_TEST_GUEST has Image and
# initrd.cpio.gz (scripts/fetch-guest.sh); skipped (77) without them or mke2fs.
set -u
# shellcheck source=tests/vmm/begin.sh
. "$(dirname "$0")/begin.sh"
need_guest
PATH=$PATH:/usr/sbin:/sbin
command -v mke2fs >/dev/null || { echo "no mke2fs"; exit 77; }
server= sockets=
machine=
trap 'kill $server $sockets $machine 2>/dev/null; rm -rf "$dir"' EXIT

quietly() { "$@" >/dev/null 2>&1; }
said() { grep -qF -- "$1" "$dir/console"; }

mkdir "$dir/files"
head -c 300000 /dev/urandom >"$dir/files/file"
mke2fs -q -t ext4 -d "$dir/files" "$dir/disk" 16M >/dev/null || exit 1
head -c 3072000 /dev/urandom >"$dir/image"
cp "$dir/image" "$dir/image.before"

# A port that is free now is forwarded to the guest's port 77.
forwarded=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 "$here/net_server.py" "$dir/image" "$forwarded" "$dir/port" >"$dir/server" &
server=$!
until [ -e "$dir/port" ]; do sleep 0.05; done

# The share has a program for the guest, if there is a compiler for it.
mkdir "$dir/share"
head -c 100000 /dev/urandom >"$dir/share/file"
sum=$(sha256sum <"$dir/share/file" | cut -d ' ' -f 1)
if "${CROSS_COMPILE:-aarch64-linux-gnu-}gcc" -O -static -o "$dir/share/vsock_guest" "$here/vsock_guest.c" 2>"$dir/err"; then
	python3 "$here/vsock_host.py" "$dir/vsock" >"$dir/sockets" &
	sockets=$!
fi

echo "port=$(cat "$dir/port")" >"$dir/script"
cat >>"$dir/script" <<'END'
modprobe crc32c_generic; modprobe ext4
mount -t ext4 /dev/vda /mnt && sha256sum /mnt/file
echo "serial $(cat /sys/block/vda/serial), read-only $(cat /sys/block/vdb/ro)"
cat /dev/vdb | sha256sum
echo "written by the guest" >/mnt/new; rm /mnt/file; sync; umount /mnt
dd if=/dev/zero of=/dev/vdc bs=64k count=20 conv=fsync 2>/dev/null && dd if=/dev/vdc bs=64k count=20 2>/dev/null | sha256sum
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0
ping -c 1 10.0.2.2
echo file | nc 10.0.2.2 $port | sha256sum
nc -l -p 77 -e echo said by the guest & sleep 1; echo forward | nc 10.0.2.2 $port
modprobe virtio-rng; echo "$(head -c 5000 /dev/hwrng | wc -c) bytes from $(cat /sys/class/misc/hw_random/rng_current)"
modprobe virtio_console; echo "on the virtio console" >/dev/hvc0
modprobe 9p; modprobe 9pnet_virtio; mkdir /share; mount -t 9p -o trans=virtio,version=9p2000.L share /share && cd /share
sha256sum file; mkdir made; echo "written over 9p" >made/new; mv made/new made/moved; ln -s moved made/link; ln made/moved made/hard
chmod 640 made/moved; cat made/link; ls made | wc -l; rm made/hard; touch -d @1000000000 file; sync; truncate -s 1000 file
for n in $(seq 200); do : >made/f$n; done; echo "$(ls made | wc -l) names"
cat /share/../etc/shadow; ls /share/.. >/dev/null && cd /
modprobe vmw_vsock_virtio_transport; [ ! -x /share/vsock_guest ] || /share/vsock_guest
free() { awk '/MemFree/ { print $2 }' /proc/meminfo; }
before=$(free); modprobe virtio_balloon; n=0
while [ $n -lt 100 ] && [ $((before - $(free))) -lt 60000 ]; do sleep 0.1; n=$((n + 1)); done; [ $n -eq 100 ] || echo "the balloon is full"
(echo count; head -c 3000000 /dev/zero) | nc 10.0.2.2 $port
exit
END
"$pawl" run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --smp 2 --append "console=ttyAMA0 quiet pawl.init=run" \
	--disk "$dir/disk,serial=first" --disk "$dir/image,ro" --disk "$dir/image,snapshot" \
	--net "user,hostfwd=tcp::$forwarded-:77" --share "$dir/share" --rng --console "file:$dir/hvc0" --vsock "$dir/vsock" --balloon 64M <"$dir/script" >"$dir/console" 2>&1
expect "the guest powers off" [ $? -eq 0 ]
expect "a file system on a disk" said "$(sha256sum <"$dir/files/file" | cut -d ' ' -f 1)"
expect "a serial number, and a read-only disk" said "serial first, read-only 1"
expect "a whole disk" said "$(sha256sum <"$dir/image" | cut -d ' ' -f 1)"
expect "a snapshot that is written" said "$(head -c 1310720 /dev/zero | sha256sum | cut -d ' ' -f 1)"
expect "... and leaves its file alone" cmp "$dir/image" "$dir/image.before"
expect "a clean file system afterwards" quietly e2fsck -fn "$dir/disk"
expect "what the guest has written" [ "$(debugfs -R 'cat new' "$dir/disk" 2>/dev/null)" = "written by the guest" ]

expect "the gateway answers" said "1 packets received"
expect "a file from a server of the host" [ "$(grep -cF "$(sha256sum <"$dir/image" | cut -d ' ' -f 1)" "$dir/console")" -eq 2 ]
expect "a forwarded port" said "said by the guest"
expect "a stream to the host" grep -q "counted 3000000" "$dir/server"

expect "entropy" said "5000 bytes from virtio_rng.0"
expect "a second console" grep -q "on the virtio console" "$dir/hvc0"
expect "a file of a shared folder" said "$sum"
expect "a file written, renamed and linked there" [ "$(cat "$dir/share/made/link")" = "written over 9p" ]
expect "its mode, and its links" [ "$(stat -c '%a %h' "$dir/share/made/moved")" = "640 1" ]
expect "a file's time and size" [ "$(stat -c '%s' "$dir/share/file")" = 1000 ]
expect "a directory of many names" said "202 names"
expect "memory in the balloon" grep -q "^the balloon is full" "$dir/console"
if [ -n "$sockets" ]; then
	wait $sockets
	expect "a socket of the host" said "vsock: from the host"
	expect "... and of the guest" [ "$(tr '\n' ' ' <"$dir/sockets")" = "guest says from the guest OK echoed " ]
fi

# Killed after a flush, with version 1 of the transport and four vcpus: what was flushed is there.
head -c 1000000 /dev/urandom >"$dir/share/data"
head -c 2097152 /dev/zero >"$dir/raw"
cat >"$dir/script" <<'END'
modprobe 9p; modprobe 9pnet_virtio; mount -t 9p -o trans=virtio,version=9p2000.L share /mnt
for f in 1 2 3 4; do cat /mnt/data | sha256sum & done; wait
dd if=/mnt/data of=/dev/vda conv=fsync 2>/dev/null && echo FLUSHED
END
mkfifo "$dir/in"
"$pawl" run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --smp 4 --append "console=ttyAMA0 quiet pawl.init=run" \
	--virtio-legacy --disk "$dir/raw" --share "$dir/share,ro" <"$dir/in" >"$dir/console" 2>&1 &
machine=$!
exec 3>"$dir/in"
cat "$dir/script" >&3
until grep -q '^FLUSHED' "$dir/console" || ! kill -0 $machine 2>/dev/null; do sleep 0.1; done
kill -KILL $machine
wait $machine 2>/dev/null
exec 3>&-
expect "flushed data survives the process" quietly cmp -n 1000000 "$dir/share/data" "$dir/raw"
expect "four vcpus read the same" [ "$(grep -cF "$(sha256sum <"$dir/share/data" | cut -d ' ' -f 1)" "$dir/console")" -eq 4 ]

[ $failed -eq 0 ] || sed 's/^/console: /' "$dir/console"
exit $failed
