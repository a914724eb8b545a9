#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel's own KVM selftests for arm64, against pawl: fetches a Debian kernel's source package, builds the tests out of
# it, and runs them with the preload library. On an x86-64 host they are cross-built and run under qemu-user, with
# pawl's cross build, since the guests' code is in the same arm64 programs. TAP on standard output, what a test printed in
# its log. docs/clients.md says what is expected and why; what is expected to fail is a TODO here.
#
#   selftests.sh [--quick] [--source PACKAGE] [--release RELEASE] [--preload LIBRARY] [NAME...]
#
#   --quick              only those that take a second or two
#   --source PACKAGE     linux-source-6.1 by default
#   --release RELEASE    of Debian, where the package is (default: the host's)
#   --preload LIBRARY    an arm64 libpawl-preload.so; without, it is built
#   NAME...              these tests only
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
# shellcheck source=arm64-apt.sh
. "$here/arm64-apt.sh"
# shellcheck source=packages.sh
. "$here/packages.sh"

usage() {
	sed -n 's/^# \{0,1\}//; /^  selftests.sh/,/^  NAME/p' "$0" >&2
	exit 2
}

source_package=linux-source-6.1 quick='' preload='' only=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=1 ;;
	--source) source_package=${2:?$(usage)} && shift ;;
	--release) export ARM64_RELEASE=${2:?$(usage)} && shift ;;
	--preload) preload=$(realpath "${2:?$(usage)}") && shift ;;
	-*) usage ;;
	*) only+=("$1") ;;
	esac
	shift
done

cache=$(arm64_cache_dir)/selftests
tree=$cache/$source_package
cross='' run=()
if [ "$(uname -m)" != aarch64 ]; then
	cross=aarch64-linux-gnu-
	need_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross linux-libc-dev-arm64-cross qemu-user
fi
need_packages make gcc libc6-dev rsync gawk xz-utils

# ---- the tests: what of the tree they need, and no more

fetch_tree() {
	local deb tmp=$cache/tmp
	rm -rf "$tmp"
	mkdir -p "$tmp"
	arm64_extract "$cache/apt${ARM64_RELEASE:+-$ARM64_RELEASE}" "$tmp/deb" "$source_package" >&2
	deb=$(find "$tmp/deb/usr/src" -name "$source_package.tar.*" | head -n 1)
	mkdir "$tmp/tree"
	tar -C "$tmp/tree" --strip-components=1 -xf "$deb" --wildcards "$source_package/Makefile" "$source_package/Kbuild" \
		"$source_package/Kconfig" "$source_package/tools" "$source_package/arch/arm64" "$source_package/arch/x86/include" \
		"$source_package/arch/x86/lib" "$source_package/arch/x86/tools" "$source_package/include" "$source_package/scripts" \
		"$source_package/usr" "$source_package/kernel/Makefile"
	rm -rf "$tmp/deb" "$tree"
	mv "$tmp/tree" "$tree"
}

build_tests() {
	make -s -C "$tree" ARCH=arm64 CROSS_COMPILE=$cross headers_install &&
		# Some do not build in Debian's tree.
		{ make -s -C "$tree/tools/testing/selftests/kvm" -k -j"$(nproc)" ARCH=arm64 CROSS_COMPILE=$cross || true; }
}

if [ ! -e "$tree/built" ]; then
	mkdir -p "$cache"
	echo "# fetching $source_package" >&2
	fetch_tree
	echo "# building the tests" >&2
	build_tests >"$tree/build.log" 2>&1
	touch "$tree/built"
fi

# ---- pawl

if [ -z "$preload" ]; then
	build=$top/build-selftests
	if [ -n "$cross" ]; then
		"$here/arm64-sysroot.sh" "$cache/sysroot" >&2
		files=(--cross-file "$here/aarch64-linux-gnu.ini" --cross-file "$cache/sysroot/meson.ini")
	fi
	[ -e "$build/build.ninja" ] || meson setup "${files[@]}" --buildtype=release "$build" "$top" >&2
	ninja -C "$build" shim/libpawl-preload.so >&2
	preload=$build/shim/libpawl-preload.so
fi
if [ -n "$cross" ]; then
	run=(qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$(dirname "$(dirname "$preload")")" -E "LD_PRELOAD=$preload")
else
	run=(env "LD_LIBRARY_PATH=$(dirname "$(dirname "$preload")")" "LD_PRELOAD=$preload")
fi

# ---- running: name, q(uick) or -, the seconds it may take where nothing else runs, options; then why it is expected to fail

tests() {
	cat <<'END'
aarch32_id_regs q 30
arch_timer - 60 -p 50 -e 300000
arch_timer_edge_cases - 120 # a check of it fails when a wait takes longer than 10 ms
at q 30
debug-exceptions q 120
external_aborts q 30
get-reg-list q 30
hello_el2 q 30
host_sve q 30
hypercalls q 30
idreg-idst q 30
kvm-uuid q 30
mmio_abort q 30
mmio_sign_ext q 30
no-vgic q 30
no-vgic-v3 q 30
page_fault_test - 60 # qemu-user has no userfaultfd
psci_test q 30
sea_to_user q 30
set_id_regs q 30
smccc_filter q 30
vcpu_width_config q 30
vgic_init q 60
vgic_irq q 60
vgic_lpi_stress q 60
vgic_v5 q 30
vpmu_counter_access q 60
access_tracking_perf_test - 30
coalesced_io_test q 30
demand_paging_test q 60 -b 16M
dirty_log_test - 120 -i 3
dirty_log_perf_test q 60 -b 16M -i 2
guest_memfd_test q 30
guest_print_test q 30
irqfd_test - 60
kvm_binary_stats_test q 30
kvm_create_max_vcpus - 60
kvm_page_table_test q 60 -b 16M
memslot_modification_stress_test q 60 -i 20 -b 16M
memslot_perf_test - 120 -l 1 -s 100
mmu_stress_test - 60 -m 1 -s 1
pre_fault_memory_test q 30
rseq_test - 60 # qemu-user has no rseq
set_memory_region_test - 180
steal_time q 30
END
}

# Why a kernel of the tests' own version fails as well, or later ones do.
kernels_own() { # NAME
	local kvm=$tree/tools/testing/selftests/kvm
	case $1 in
	vgic_init)
		! sed -n '/^static void __vm_mem_region_delete/,/^}/p' "$kvm/lib/kvm_util.c" | grep -q KVM_SET_USER_MEMORY_REGION2 ||
			echo 'it deletes the slots of a VM that a failed first KVM_RUN has killed, which kernels refuse too'
		;;
	set_id_regs)
		! grep -rqs 'ID_AA64ISAR0_EL1, TME' "$kvm" --include=set_id_regs.c ||
			echo 'it sets fields that later kernels keep: TME, ASIDBits, EL1 without AArch64'
		;;
	esac
}

wanted() { # NAME KIND
	[ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " = *" $1 "* ]] || return 1
	[ -z "$quick" ] || [ "$2" = q ]
}

logs=$cache/logs-$source_package
mkdir -p "$logs"
n=0 failed=0
while read -r name kind limit options; do
	why=
	[[ $options = *#* ]] && why=${options#*# } options=${options%%#*}
	wanted "$name" "$kind" || continue
	program=$(find "$tree/tools/testing/selftests/kvm" -name "$name" -type f -perm -u+x | head -n 1)
	[ -n "$program" ] || continue
	n=$((n + 1)) status=0 start=$SECONDS
	# 6.1's arch_timer knows no margin, and its own is too short for an emulator
	if [ "$name" = arch_timer ] && ! grep -rqs "case 'e'" "$tree/tools/testing/selftests/kvm" --include='arch_timer.c'; then
		options='' why='its margin of 10 ms is too short for an emulator'
	fi
	why=${why:-$(kernels_own "$name")}
	# shellcheck disable=SC2086 # a list
	timeout "$((limit * 4))" "${run[@]}" "$program" $options >"$logs/$name" 2>&1 </dev/null || status=$?
	took=$((SECONDS - start))
	case $status in
	0) echo "ok $n - $name, $took s" ;;
	4) echo "ok $n - $name # SKIP $(grep -im1 'skip\|require' "$logs/$name" | tr -d '#' || echo 'says nothing')" ;;
	*)
		echo "not ok $n - $name, status $status, $took s${why:+ # TODO $why}"
		tail -n 5 "$logs/$name" | sed 's/^/# /'
		[ -n "$why" ] || failed=$((failed + 1))
		;;
	esac
done < <(tests)
echo "1..$n"
[ "$failed" -eq 0 ]
