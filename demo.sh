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
	boot --smp 2 --append "console=ttyAMA0 nokaslr pawl.init=hello" </dev/null
}

demo_shell() {
	title "Booting it to a shell"
	boot --smp 2 --append "console=ttyAMA0 quiet pawl.init=shell"
}

demo_gdb() {
	[ -e scripts/demo.gdb ] || return 0
	title "gdb steps the kernel over instructions that a hypervisor has to emulate"
	gdb-multiarch -q -nx -batch -x scripts/demo.gdb
}

case ${1:-} in
"") steps=(demo_packages demo_build demo_guest demo_boot demo_gdb) ;;
--shell) steps=(demo_packages demo_build demo_guest demo_shell) ;;
--help) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) echo "demo.sh: unknown option '$1'" >&2; exit 2 ;;
esac
for step in "${steps[@]}"; do
	$step
done
