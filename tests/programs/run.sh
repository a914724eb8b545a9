#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Real programs: Debian's arm64 openssl, coreutils, python with its own tests, sqlite, gcc, LuaJIT, node, and programs with
# threads, in a guest of `pawl run`, must write what they write under qemu-aarch64 (user mode), byte for byte.
#
#     run.sh [--pawl FILE] [--engine interp|jit]... [--only PATTERN] [--smp N] [--show]
#
# The first time it fetches the packages and a kernel (some 150 MB, to the user's cache). cases.sh has the programs. A line
# per case: its status and the digest of what it wrote, the guest's and the reference's. --show prints the first differing
# lines. Needs apt, dpkg, cpio, qemu-user, gcc-aarch64-linux-gnu; no root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/arm64-apt.sh
. "$top/scripts/arm64-apt.sh"

pawl=$top/build/cli/pawl only='*' smp=2 show='' engines=()
while [ $# -gt 0 ]; do
	case $1 in
	--pawl) pawl=$2; shift ;;
	--engine) engines+=("$2"); shift ;;
	--only) only=$2; shift ;;
	--smp) smp=$2; shift ;;
	--show) show=1 ;;
	*) sed -n '3,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
[ ${#engines[@]} -gt 0 ] || engines=(interp)

packages="busybox-static openssl coreutils diffutils gawk python3.11 libpython3.11-testsuite sqlite3 gcc-12 libc6-dev luajit nodejs xz-utils zstd
	bzip2"
dir=$(arm64_cache_dir)/programs
guest=$(arm64_cache_dir)/guest
mkdir -p "$dir"
# shellcheck disable=SC2086
if [ "$(cat "$dir/packages" 2>/dev/null)" != "$packages" ]; then
	echo fetching $packages for arm64
	rm -rf "$dir/root" "$dir/apt"
	mkdir -p "$dir/root"
	arm64_apt "$dir/apt" apt-get -qq -y -d install $packages >/dev/null
	for deb in "$dir"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	rm -rf "$dir/apt"
	# What the packages of this release have in /bin is to be found in /usr/bin too, as on a system with merged directories.
	(cd "$dir/root/bin" && for f in *; do [ -e "../usr/bin/$f" ] || ln "$f" "../usr/bin/$f"; done)
	(cd "$dir/root/usr" && rm -rf share/{doc,man,locale,info,lintian,bash-completion} lib/systemd include/linux)
	echo "$packages" >"$dir/packages"
fi
"$top/scripts/fetch-guest.sh" "$guest"

# The inputs, the same for both sides. Keys are made once, under the reference.
root=$dir/root
rm -rf "$root/data"
mkdir -p "$root"/{data,dev,proc,sys,tmp}
cp "$here"/inputs/* "$root/data/"
aarch64-linux-gnu-gcc -O2 -static -pthread -o "$root/data/threads" "$here/threads.c"
# Inputs that a change of this tree does not change: the reference is made once.
cat "$root"/usr/lib/python3.11/[a-c]*.py >"$root/data/text"
aarch64-linux-gnu-gcc -O2 -static -o "$root/data/ptrace" "$here/ptrace.c"
aarch64-linux-gnu-gcc -E -O2 "$here/threads.c" -o "$root/data/unit.i"
aarch64-linux-gnu-gcc -E -O2 "$here/ptrace.c" -o "$root/data/unit2.i"
head -c 300000 "$root/usr/bin/openssl" >"$root/data/binary"
cp "$here/cases.sh" "$here/init" "$root/"
chmod 755 "$root/init"
ref=$dir/reference
mkdir -p "$ref"
key() {
	[ -s "$dir/$1" ] || qemu-aarch64 -cpu max -L "$root" "$root/usr/bin/openssl" genpkey -out "$dir/$1" "${@:2}" 2>/dev/null
	cp "$dir/$1" "$root/data/"
}
export OPENSSL_CONF=/dev/null
key rsa.pem -algorithm RSA -pkeyopt rsa_keygen_bits:2048
key ed25519.pem -algorithm ED25519
key x25519.pem -algorithm X25519
key x25519b.pem -algorithm X25519

(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$dir/initrd.new"
mv "$dir/initrd.new" "$dir/initrd.cpio"

# What the reference says; kept as long as nothing that goes into it has changed.
stamp=$(grep -v CASE "$here/cases.sh" | cat - "$here"/inputs/* "$root/data/text" "$root"/data/*.i "$dir/packages" | sha256sum)
if [ "$(cat "$ref/stamp" 2>/dev/null)" != "$stamp" ]; then
	echo "the reference: qemu-aarch64"
	rm -rf "$ref"
	mkdir -p "$ref"
	ROOT=$root EMU="qemu-aarch64 -cpu max -L $root" OUT=$ref sh "$here/cases.sh" '*'
	echo "$stamp" >"$ref/stamp"
fi
cp "$here"/expected/* "$ref/"

failed=0
for engine in "${engines[@]}"; do
	log=$dir/$engine.log
	echo "the guest: $engine"
	start=$SECONDS
	"$pawl" run --engine "$engine" -k "$guest/Image" -i "$dir/initrd.cpio" -m 3G -s "$smp" \
		-a "console=ttyAMA0 quiet panic=-1 cases=$only ${show:+show=1}" --no-reboot </dev/null | sed -u 's|\r$||' >"$log" || true
	echo "it took $((SECONDS - start)) s"
	for f in "$ref"/*.out; do
		name=$(basename "$f" .out)
		# shellcheck disable=SC2053 # a pattern
		[[ $name == $only ]] || continue
		want="CASE $name $(cat "$ref/$name.status") $(sha256sum <"$f" | cut -c 1-16)"
		got=$(grep -a -m 1 "^CASE $name " "$log" || echo "nothing")
		if [ "$got" = "$want" ]; then
			echo "same    $engine $name: status $(cat "$ref/$name.status"), $(wc -c <"$f") bytes"
		else
			echo "DIFFERS $engine $name: $got, the reference $want"
			failed=1
			[ -z "$show" ] || sed -n "/^OUT $name\$/,/^END $name\$/p" "$log" | sed '1d;$d' | diff - "$f" | head -20 || true
		fi
	done
done
exit $failed
