# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# The Debian packages that building, testing and the demonstration need, and a function that installs what is missing. To be
# sourced.

build_packages=(gcc libc6-dev binutils meson ninja-build pkg-config python3 libcmocka-dev libfdt-dev zlib1g-dev libzstd-dev libjansson-dev libseccomp-dev
	libnbd-dev libslirp-dev libcapstone-dev)
guest_packages=(ca-certificates debian-archive-keyring cpio gzip kmod xz-utils)
gdb_packages=("${guest_packages[@]}" gdb-multiarch)
test_packages=("${gdb_packages[@]}" g++ clang-14 clang-format-14 clang-tidy-14 gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	linux-libc-dev-arm64-cross qemu-user libunicorn-dev e2fsprogs nbdkit
	u-boot-qemu qemu-efi-aarch64 device-tree-compiler)

# need_packages NAME...: installs those that are not there; says so.
need_packages() {
	local missing=() name sudo=
	for name; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "== installing: ${missing[*]}"
	if [ "$(id -u)" -ne 0 ]; then
		sudo=$(command -v sudo) || { echo "not root, and there is no sudo: install these packages first" >&2; return 1; }
	fi
	$sudo apt-get -qq update &&
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "${missing[@]}" >/dev/null
}
