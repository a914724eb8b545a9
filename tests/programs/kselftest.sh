#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The kernel's own tests of what arm64 gives to programs: Debian's source of Linux 6.1, tools/testing/selftests, its arm64 tests
# (ABI, floating point, pointer authentication, BTI, signals, tags), hardware breakpoints and watchpoints by ptrace, and
# restartable sequences, ptrace, futexes, membarrier; built statically and run in a guest with Debian's kernel.
#
#     kselftest.sh [--pawl FILE] [--engine interp|jit]... [--qemu FILE] [--cpu MODEL] [--only PATTERN] [--show]
#
# A line per test: what it counted (passed, failed, expected to fail, skipped), its status, and what the recorded result is
# (expected.kselftest); a difference is an error. --qemu runs them under qemu-system-aarch64 instead, to see who is right. --cpu:
# max (default) or another model, whose results are not compared. The first time it fetches the source (some 130 MB) and builds
# the tests, a minute. Needs gcc-aarch64-linux-gnu, make, cpio; no root.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/arm64-apt.sh
. "$top/scripts/arm64-apt.sh"
# shellcheck source=../../scripts/packages.sh
. "$top/scripts/packages.sh"

pawl=$top/build/cli/pawl cpu=max only='*' show='' qemu='' engines=()
while [ $# -gt 0 ]; do
	case $1 in
	--pawl) pawl=$2; shift ;;
	--engine) engines+=("$2"); shift ;;
	--qemu) qemu=$2; shift ;;
	--cpu) cpu=$2; shift ;;
	--only) only=$2; shift ;;
	--show) show=1 ;;
	*) sed -n '3,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
[ ${#engines[@]} -gt 0 ] || engines=(interp jit)
[ -z "$qemu" ] || engines=(qemu)

source=linux-source-6.1
dir=$(arm64_cache_dir)/kselftest
guest=$(arm64_cache_dir)/guest
tests=$dir/root/tests
"$top/scripts/fetch-guest.sh" "$guest"

build() {
	local tree=$dir/tree s f cross=''
	[ "$(uname -m)" = aarch64 ] || cross=aarch64-linux-gnu-
	local cc="${cross}gcc -static -O2 -w -pthread -D_GNU_SOURCE"
	need_packages make gcc libc6-dev xz-utils cpio gcc-aarch64-linux-gnu
	rm -rf "$dir"
	mkdir -p "$tree" "$tests"
	arm64_extract "$dir/apt" "$dir/deb" $source busybox-static
	tar -C "$tree" --strip-components=1 -xf "$dir/deb/usr/src/$source.tar.xz" $source/tools $source/scripts $source/include/uapi
	s=$tree/tools/testing/selftests
	make -s -k -C "$s/arm64" ARCH=arm64 CC="${cross}gcc -static -w" OUTPUT="$tests" all
	mkdir -p "$tests"/{breakpoints,ptrace,sigaltstack,membarrier,rseq,futex}
	for f in breakpoints/breakpoint_test_arm64 ptrace/get_syscall_info ptrace/peeksiginfo ptrace/vmaccess \
		sigaltstack/sas membarrier/membarrier_test_single_thread membarrier/membarrier_test_multi_thread; do
		$cc -iquote "$tree/include/uapi" -o "$tests/$f" "$s/$f.c"
	done
	for f in basic_test param_test; do
		$cc -idirafter "$tree/tools/include" -I "$s/rseq" -o "$tests/rseq/$f" "$s/rseq/$f.c" "$s/rseq/rseq.c"
	done
	for f in futex_requeue_pi futex_requeue_pi_signal_restart futex_wait futex_wait_timeout futex_wait_wouldblock futex_waitv; do
		$cc -I "$s" -I "$s/futex/include" -o "$tests/futex/$f" "$s/futex/functional/$f.c"
	done
	mkdir -p "$dir/root/bin"
	cp "$dir/deb/bin/busybox" "$dir/root/bin/"
	rm -rf "$tree" "$dir/deb" "$dir/apt" "$tests"/mte "$tests"/*/*.o
	touch "$dir/built"
}
[ -e "$dir/built" ] || build

# Tests are run where they are, with a limit: a name is the name of the file but for what wants arguments.
cat >"$dir/root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
/bin/busybox --install -s /bin
export PATH=/bin
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm
mount -t tmpfs tmp /dev/shm
stty -onlcr
cd /tests
for t in */*; do
	case $t in
	# no tests by themselves
	*/exec_target | */fpsimd-test | */sve-test | */ssve-test | */za-test | */fp-pidbench | */rdvl* | */vlset | */sve-probe-vls) continue ;;
	esac
	# shellcheck disable=SC2254
	case $t in ${only:-*}) ;; *) continue ;; esac
	(cd "${t%/*}" && timeout 300 ./"${t#*/}") >/tmp/out 2>&1
	status=$?
	# TAP lines; the programs print their totals in two ways
	echo "TEST $t status=$status pass=$(grep -c '^ok' /tmp/out) fail=$(grep -c '^not ok' /tmp/out) skip=$(grep -ci '^ok.*# *skip' /tmp/out)"
	[ -z "$show" ] || { echo "OUT $t"; cat /tmp/out; echo "END $t"; }
done
poweroff -f
END
chmod 755 "$dir/root/init"
(cd "$dir/root" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$dir/initrd.cpio"

args="console=ttyAMA0 quiet panic=-1 only=$only ${show:+show=1}"
failed=0
for engine in "${engines[@]}"; do
	log=$dir/$engine-$cpu.log
	if [ -n "$qemu" ]; then
		"$qemu" -M virt,gic-version=3 -cpu "$cpu" -m 1024 -smp 2 -nic none -display none -serial stdio -monitor none -no-reboot \
			-kernel "$guest/Image" -initrd "$dir/initrd.cpio" -append "$args" </dev/null 2>&1 | tr -d '\r' >"$log" || true
	else
		"$pawl" run --engine "$engine" --cpu "$cpu" -k "$guest/Image" -i "$dir/initrd.cpio" -m 1G -s 2 -a "$args" --no-reboot </dev/null |
			tr -d '\r' >"$log" || true
	fi
	while read -r name want; do
		# shellcheck disable=SC2053 # a pattern
		[[ $name == $only ]] || continue
		got=$(sed -n "s|^TEST $name ||p" "$log")
		if [ "$got" = "$want" ]; then
			echo "same    $engine $name: $got"
		elif [ "$cpu" != max ] || [ -n "$qemu" ]; then
			echo "        $engine $name: ${got:-nothing}, recorded $want"
		else
			echo "DIFFERS $engine $name: ${got:-nothing}, recorded $want"
			failed=1
		fi
	done <"$here/expected.kselftest"
done
exit $failed
