#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh: from a fresh Debian 12 to an arm64 kernel that runs on pawl and is single-stepped by gdb.
#
#   ./demo.sh           packages, build, guest, boot, gdb
#   ./demo.sh --shell   the same up to the guest, then a shell in it ("exit" powers it off)
#
# Missing Debian packages are installed (as root, or with sudo). Downloads and the build are kept: the second run is quick.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/arm64-apt.sh
. scripts/arm64-apt.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

build=build-demo
guest=$(arm64_cache_dir)/guest
append=nokaslr
traces=$(mktemp -d /tmp/pawl-demo.XXXXXX)
n=0

title() {
	n=$((n + 1))
	printf '\n\033[1m[%d] %s\033[0m\n' "$n" "$*"
}

demo_packages() {
	title "Debian packages for building, and gdb"
	need_packages "${build_packages[@]}" "${gdb_packages[@]}"
	echo "all there"
}

demo_build() {
	title "Building pawl ($build)"
	[ -e $build/build.ninja ] || meson setup $build --buildtype=release >$build.log || { cat $build.log; return 1; }
	rm -f $build.log
	ninja -C $build -j "$(nproc)" cli/pawl
}

demo_guest() {
	title "The guest: Debian's own arm64 kernel and busybox ($guest)"
	scripts/fetch-guest.sh "$guest"
	ls -l "$guest/Image" "$guest/initrd.cpio.gz"
}

# boot OPTION...: the guest on this terminal.
boot() {
	$build/cli/pawl run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --memory 512M "$@"
}

demo_boot() {
	title "Booting it: two processors, 512 MiB, no /dev/kvm"
	rm -f "$traces"/boot.trace
	PAWL_TRACE=$traces/boot.trace boot --smp 2 --append "$append pawl.init=hello" </dev/null
	echo
	echo "It powered itself off. $(wc -l <"$traces/boot.trace") exits and returns are in $traces/boot.trace (docs/trace.md)."
}

demo_shell() {
	title "Booting it to a shell"
	boot --smp 2 --append "quiet pawl.init=shell"
}

demo_gdb() {
	local socket=$traces/gdb pid status=0
	title "gdb steps the kernel over instructions that a hypervisor has to emulate"
	rm -f "$traces/live.trace" "$socket"
	PAWL_TRACE=$traces/live.trace boot --append "$append pawl.init=hello" --gdb "unix:$socket" --gdb-wait </dev/null >"$traces/console" &
	pid=$!
	until [ -S "$socket" ]; do
		kill -0 $pid || return 1
		sleep 0.1
	done
	PAWL_DEMO_BOOT=$traces/boot.trace PAWL_DEMO_LIVE=$traces/live.trace PAWL_DEMO_GDB=$socket PAWL_DEMO_FD=3 \
		gdb-multiarch -q -nx -batch -x scripts/demo_gdb.py 3>&1 >/dev/null || status=$?
	wait $pid || status=$?
	tr -d '\r' <"$traces/console" | grep -A 2 PAWL-HELLO | sed 's/^/    /' || true
	[ $status -eq 0 ] || { echo "demo.sh: the debugging part failed ($status)" >&2; return 1; }
	echo "The guest powered off; pawl's exit status is 0."
}

demo_next() {
	title "What to try next"
	cat <<EOF
    ./demo.sh --shell                                       a shell in the guest (Ctrl-A h: the console's keys)
    $build/cli/pawl run --kernel $guest/Image --initrd $guest/initrd.cpio.gz \\
        --append pawl.init=shell --gdb 1234 --gdb-wait
    gdb-multiarch -ex 'target remote :1234'                 in another terminal; stepi, hbreak, monitor help
    docs/tutorial.md                                        from here into a driver's probe, with symbols and source
    $build/cli/pawl run --help
    ./test.sh                                               every test
EOF
}

case ${1:-} in
"") steps=(demo_packages demo_build demo_guest demo_boot demo_gdb demo_next) ;;
--shell) steps=(demo_packages demo_build demo_guest demo_shell) ;;
--help) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "demo.sh: unknown option '$1'" >&2; exit 2 ;;
esac
for step in "${steps[@]}"; do
	$step
done
