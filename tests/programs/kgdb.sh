#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A kernel that debugs itself: Debian's source of Linux 6.1, configured small with kgdb, kprobes and ftrace and their own
# tests, which run while it boots on `pawl run`.
#
#     kgdb.sh [--pawl FILE] [--engine interp|jit]...
#
#   kgdbts         software breakpoints planted and hit, a thousand single steps, 100 hits of a breakpoint in kernel_clone()
#   kprobes        KUnit: probes and return probes, and stack traces through them
#   hw_breakpoint  KUnit: the two cases that arm64 has; those of a task's kernel addresses are refused by arm64's kernels
#   ftrace         the tracers' tests at start
#
# Then gdb-multiarch at the guest's serial line (kgdboc): a kernel that waits for it (kgdbwait) and is stopped by SysRq, software
# breakpoints, single steps, registers and memory read and written; and hardware breakpoints and watchpoints on the kernel's
# addresses, set by the guest through perf: arm64's kgdb has none. kgdb_init.c, kgdb_line.py, kgdb_gdb.py.
#
# The first time it fetches the source and builds it (some 140 MB, minutes; kept in the user's cache).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/arm64-apt.sh
. "$top/scripts/arm64-apt.sh"
# shellcheck source=../../scripts/packages.sh
. "$top/scripts/packages.sh"

pawl=$top/build/cli/pawl engines=()
while [ $# -gt 0 ]; do
	case $1 in
	--pawl) pawl=$2; shift ;;
	--engine) engines+=("$2"); shift ;;
	*) sed -n '3,19s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
[ ${#engines[@]} -gt 0 ] || engines=(interp jit)

source=linux-source-6.1
dir=$(arm64_cache_dir)/kgdb
image=$dir/Image
cross=''
[ "$(uname -m)" = aarch64 ] || cross=aarch64-linux-gnu-
on=(64BIT SMP PRINTK PRINTK_TIME BUG TTY SERIAL_AMBA_PL011 SERIAL_AMBA_PL011_CONSOLE PROC_FS PROC_SYSCTL SYSFS HIGH_RES_TIMERS POSIX_TIMERS
	FUTEX MODULES KALLSYMS KALLSYMS_ALL STACKTRACE PERF_EVENTS FTRACE FUNCTION_TRACER FTRACE_STARTUP_TEST KPROBES DEBUG_KERNEL MAGIC_SYSRQ
	KGDB KGDB_SERIAL_CONSOLE KGDB_TESTS KGDB_TESTS_ON_BOOT RUNTIME_TESTING_MENU KUNIT KPROBES_SANITY_TEST HW_BREAKPOINT_KUNIT_TEST
	BLK_DEV_INITRD BINFMT_ELF)
if [ "$(cat "$dir/options" 2>/dev/null)" != "${on[*]}" ]; then
	need_packages make gcc libc6-dev bc flex bison xz-utils gcc-aarch64-linux-gnu
	tree=$dir/tree
	rm -rf "$dir"
	mkdir -p "$tree"
	arm64_extract "$dir/apt" "$dir/deb" $source
	tar -C "$tree" --strip-components=1 -xf "$dir/deb/usr/src/$source.tar.xz"
	make -s -C "$tree" ARCH=arm64 CROSS_COMPILE=$cross tinyconfig
	for option in "${on[@]}"; do
		"$tree/scripts/config" --file "$tree/.config" -e "$option"
	done
	"$tree/scripts/config" --file "$tree/.config" --set-str KGDB_TESTS_BOOT_STRING V1F100 -d STRICT_KERNEL_RWX
	make -s -C "$tree" ARCH=arm64 CROSS_COMPILE=$cross olddefconfig
	make -s -C "$tree" ARCH=arm64 CROSS_COMPILE=$cross -j"$(nproc)" Image
	mv "$tree/arch/arm64/boot/Image" "$image"
	mv "$tree/vmlinux" "$dir/vmlinux"
	rm -rf "$tree" "$dir/deb" "$dir/apt"
	echo "${on[*]}" >"$dir/options"
fi

wanted=('Testing tracer function: PASSED' 'Testing dynamic ftrace: PASSED' 'Testing ftrace regs: PASSED' 'kgdbts:RUN plant and detach test'
	'kgdbts:RUN sw breakpoint test' 'kgdbts:RUN bad memory access test' 'kgdbts:RUN singlestep \[900/1000\]'
	'kgdbts:RUN kernel_clone for 100 breakpoints' 'KGDB: Unregistered I/O driver kgdbts, debugger disabled' ' ok 1 test_one_cpu'
	' ok 2 test_many_cpus' ' kprobes_test: pass:6 fail:0')
need_packages gdb-multiarch cpio gcc-aarch64-linux-gnu
said=('init: breakpoint as often as 5' 'init: watchpoint for stores as often as 3' 'init: watchpoint for loads as often as 3' 'init: parent 4321' 'init: end')
mkdir -p "$dir/root"
${cross}gcc -O2 -static -o "$dir/root/init" "$here/kgdb_init.c"
(cd "$dir/root" && echo init | cpio -o -H newc -R 0:0 --quiet) >"$dir/initrd.cpio"

failed=0
missing() { # LOG ENGINE LINE...
	local log=$1 engine=$2 line
	shift 2
	for line; do
		if grep -aq -- "$line" "$log"; then
			echo "ok      $engine: $line"
		else
			echo "MISSING $engine: $line"
			failed=1
		fi
	done
}
for engine in "${engines[@]}"; do
	log=$dir/$engine.log
	# It ends in a panic, since there is nothing to run.
	"$pawl" run --engine "$engine" -m 256M --smp 2 -k "$image" -a "console=ttyAMA0 panic=-1" --no-reboot </dev/null |
		tr -d '\r' >"$log" || true
	missing "$log" "$engine" "${wanted[@]}"
	if grep -aE 'kgdbts: |WARNING:|BUG:' "$log"; then # its errors; what it does has no blank
		echo "FAILED  $engine"
		failed=1
	fi
	log=$dir/$engine-gdb.log
	KGDB_VMLINUX=$dir/vmlinux python3 "$here/kgdb_line.py" "$dir" "$log" "$pawl" run --engine "$engine" -m 256M --smp 2 -k "$image" \
		-i "$dir/initrd.cpio" -a "console=ttyAMA0 quiet panic=-1 kgdbts= kgdboc=ttyAMA0 kgdbwait nokaslr" --no-reboot || failed=1
	missing "$log" "$engine" "${said[@]}"
done
exit $failed
