#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kvm-ioctls.sh SOURCES [ARGUMENT...]: the unit tests of rust-vmm's crate kvm-ioctls for arm64, on pawl. SOURCES is a directory with
# check-outs of github.com/rust-vmm/kvm, rust-vmm/vmm-sys-util and bitflags/bitflags (2.x) under these last names. The other crates,
# the compiler (unpacked, not installed) and its library for arm64 are Debian's; on another host the tests run under qemu-user. ARGUMENT goes to
# the test program. TAP on standard output, the tests' own in CACHE/kvm-ioctls/log; what is expected to fail, and why, is a TODO.
#
# PAWL_PRELOAD is an arm64 libpawl-preload.so; without, it is built.
set -Eeuo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"
# shellcheck source=packages.sh
. "$here/packages.sh"

[ $# -ge 1 ] || { sed -n 's/^# \{0,1\}//; /^kvm-ioctls.sh/,/^PAWL_PRELOAD/p' "$0" >&2; exit 2; }
sources=$(realpath "$1")
shift
for need in kvm/kvm-ioctls vmm-sys-util bitflags; do
	[ -e "$sources/$need/src/lib.rs" ] || { echo "kvm-ioctls.sh: $sources/$need/src/lib.rs is not there" >&2; exit 2; }
done

cache=$(arm64_cache_dir)/kvm-ioctls
out=$cache/out
run=() linker=gcc
need_packages gcc libc6-dev >&2
if [ "$(uname -m)" != aarch64 ]; then
	need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >&2
	linker=aarch64-linux-gnu-gcc
	run=(qemu-aarch64 -L /usr/aarch64-linux-gnu)
fi

# ---- pawl

if [ -z "${PAWL_PRELOAD:-}" ]; then
	build=$top/build-selftests
	if [ ${#run[@]} -gt 0 ]; then
		"$here/arm64-sysroot.sh" "$(arm64_cache_dir)/selftests/sysroot" >&2
		files=(--cross-file "$here/aarch64-linux-gnu.ini" --cross-file "$(arm64_cache_dir)/selftests/sysroot/meson.ini")
	fi
	[ -e "$build/build.ninja" ] || meson setup "${files[@]}" --buildtype=release "$build" "$top" >&2
	ninja -C "$build" shim/libpawl-preload.so >&2
	PAWL_PRELOAD=$build/shim/libpawl-preload.so
fi
preload=$(realpath "$PAWL_PRELOAD")
libraries=$(dirname "$(dirname "$preload")")
if [ ${#run[@]} -gt 0 ]; then
	run+=(-E "LD_LIBRARY_PATH=$libraries" -E "LD_PRELOAD=$preload")
else
	run=(env "LD_LIBRARY_PATH=$libraries" "LD_PRELOAD=$preload")
fi

# ---- the tests

# Debian's crates, as sources; its compiler for this host and that one's library for arm64, which have to be of one version.
debian() {
	local deb version library
	version=$(apt-cache policy rustc-web | awk '$1 == "Candidate:" { print $2 }')
	[ "$(cat "$cache/version" 2>/dev/null)" != "$version" ] || return 0
	rm -rf "${cache:?}"
	mkdir -p "$cache/debs"
	(cd "$cache/debs" && apt-get -qq download "rustc-web=$version" "libstd-rust-web-dev=$version")
	# what the compiler is linked with
	library=$(apt-cache depends "libstd-rust-web-dev=$version" | awk '/Depends: libstd-rust-web-[0-9]/ { print $2 }')
	(cd "$cache/debs" && apt-get -qq download "$library=$version" "$(apt-cache depends "$library=$version" | awk '/Depends: .*llvm/ { print $2 }')")
	for deb in "$cache"/debs/*.deb; do
		dpkg-deb -x "$deb" "$cache/root"
	done
	rm -rf "$cache/debs"
	arm64_extract "$cache/apt" "$cache/root" "libstd-rust-web-dev=$version" librust-bitflags-dev librust-byteorder-dev librust-libc-dev
	echo "$version" >"$cache/version"
}

crates() { # NAME-PREFIX: the directory of Debian's crate
	find "$cache/root/usr/share/cargo/registry" -maxdepth 1 -name "$1-*" | head -n 1
}

compile() { # NAME EDITION SOURCE OPTION...
	local name=$1 edition=$2 source=$3
	shift 3
	LD_LIBRARY_PATH=$(dirname "$(find "$cache/root/usr/lib" -name 'librustc_driver-*.so' | grep "$(uname -m)" | head -n 1)") \
		"$cache/root/usr/bin/rustc" --target aarch64-unknown-linux-gnu -C "linker=$linker" -O --cap-lints allow \
		--out-dir "$out" -L "$out" --crate-name "$name" --edition "$edition" "$@" "$source"
}

build_tests() {
	local libc_cfg
	# What build.rs of libc asks the compiler for, and every compiler of today has.
	libc_cfg=(libc_priv_mod_use libc_union libc_const_size_of libc_align libc_int128 libc_core_cvoid libc_packedN libc_cfg_target_vendor
		libc_non_exhaustive libc_long_array libc_ptr_addr_of libc_underscore_const_names libc_const_extern_fn)
	mkdir -p "$out"
	compile bitflags 2018 "$(crates bitflags)/src/lib.rs" --crate-type rlib -C metadata=1 -C extra-filename=1
	compile bitflags 2021 "$sources/bitflags/src/lib.rs" --crate-type rlib -C metadata=2 -C extra-filename=2
	compile byteorder 2018 "$(crates byteorder)/src/lib.rs" --crate-type rlib --cfg 'feature="std"'
	compile libc 2015 "$(crates libc)/src/lib.rs" --crate-type rlib --cfg 'feature="std"' "${libc_cfg[@]/#/--cfg=}"
	compile vmm_sys_util 2021 "$sources/vmm-sys-util/src/lib.rs" --crate-type rlib --extern "libc=$out/liblibc.rlib" \
		--extern "bitflags=$out/libbitflags1.rlib"
	compile kvm_bindings 2021 "$sources/kvm/kvm-bindings/src/lib.rs" --crate-type rlib --cfg 'feature="fam-wrappers"' \
		--cfg 'feature="vmm-sys-util"' --extern "vmm_sys_util=$out/libvmm_sys_util.rlib"
	compile kvm_ioctls 2021 "$sources/kvm/kvm-ioctls/src/lib.rs" --test --extern "libc=$out/liblibc.rlib" \
		--extern "kvm_bindings=$out/libkvm_bindings.rlib" --extern "vmm_sys_util=$out/libvmm_sys_util.rlib" \
		--extern "bitflags=$out/libbitflags2.rlib" --extern "byteorder=$out/libbyteorder.rlib"
}

debian >&2
echo "# building the tests" >&2
trap 'tail -n 30 "$cache/build.log" >&2' ERR
build_tests >"$cache/build.log" 2>&1
trap - ERR

# ---- running

expected() { # TEST: why it fails
	case $1 in
	*::test_bad_kvm_fd)
		[ "$(uname -m)" = aarch64 ] || echo 'qemu-user says ENOSYS to a request that it does not know, on a descriptor that is not open'
		;;
	*::test_kvm_getters) [ "$(nproc)" -ge 4 ] || echo 'it wants KVM_CAP_NR_VCPUS to be 4 at least, as no kernel on this machine would say' ;;
	*::vcpu_events_test) echo 'KVM_GET_VCPU_EVENTS before KVM_ARM_VCPU_INIT, which kernels refuse' ;;
	esac
}

status=0
timeout 600 "${run[@]}" "$out/kvm_ioctls" "$@" >"$cache/log" 2>&1 </dev/null || status=$?
n=0 failed=0
while read -r name result; do
	n=$((n + 1)) why=$(expected "$name")
	case $result in
	ok) echo "ok $n - $name" ;;
	ignored*) echo "ok $n - $name # SKIP" ;;
	*)
		echo "not ok $n - $name${why:+ # TODO $why}"
		[ -n "$why" ] || failed=$((failed + 1))
		;;
	esac
done < <(sed -n 's/^test \([^ ]*\)\( - should panic\)\? \.\.\. \(.*\)$/\1 \3/p' "$cache/log")
echo "1..$n"
if [ "$n" -eq 0 ] || ! grep -q '^test result' "$cache/log"; then
	echo "# the test program ended with status $status; $cache/log ends with:"
	tail -n 20 "$cache/log" | sed 's/^/# /'
	exit 1
fi
[ "$failed" -eq 0 ]
