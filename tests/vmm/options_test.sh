#!/bin/sh
# SPDX-License-Identifier: MIT
# options_test.sh PAWL: what `pawl run` says to wrong command lines and files, with which status, and that it leaves
# nothing behind. No guest runs.
set -u
# shellcheck source=tests/vmm/begin.sh
. "$(dirname "$0")/begin.sh"
n=0

# refused STATUS "WORDS" ARGUMENT...: exactly one line, which has the words
refused() {
	status=$1 words=$2
	shift 2
	n=$((n + 1))
	"$pawl" run "$@" >"$dir/out" 2>"$dir/said" </dev/null
	got=$?
	grep -v ' are not confined: ' "$dir/said" >"$dir/err" # a host without landlock
	rm -f "$dir/said"
	if [ $got -ne "$status" ] || ! grep -qF -- "$words" "$dir/err" || [ -s "$dir/out" ] ||
		[ "$(wc -l <"$dir/err")" -ne 1 ] || ! grep -q '^pawl run: ' "$dir/err"; then
		echo "not ok: pawl run $*: status $got (want $status), want \"$words\":"
		cat "$dir/err" "$dir/out"
		failed=1
	fi
}

# A kernel: the header of an arm64 Image.
kernel=$dir/Image
{
	head -c 16 /dev/zero
	printf '\000\000\001\000\000\000\000\000'
	head -c 32 /dev/zero
	printf 'ARM\144'
	head -c 4 /dev/zero
} >"$kernel"

refused 2 "a kernel is missing"
refused 2 "unknown option '--frobnicate'" --frobnicate=3 --kernel x
refused 2 "unknown option '-z'" -z
refused 2 "unknown option '-kernel': it has two dashes, --kernel" -kernel x
refused 2 "unknown option '-smp': it has two dashes, --smp" -smp 2 --kernel x
refused 2 "unknown option '-drive': it is --disk FILE" -drive file=x --kernel x
refused 2 "unknown option '--drive': it is --disk FILE" --drive=x --kernel x
refused 2 "unknown option '-hda': it is --disk FILE" -hda x
refused 2 "unknown option '-S': it is --gdb-wait" -S
refused 2 "unknown option '-p': it is --append" -p x
refused 2 "--memory: '1024' is not a multiple of 64K; it is bytes without K, M or G" --kernel x --memory 1024
refused 2 "--kernel needs an argument" --kernel
refused 2 "--smp is given twice" --smp 1 --kernel x --smp 2
refused 2 "--kernel is given twice" -k x --kernel=y
refused 2 "unexpected argument 'y'" x y
refused 2 "--gdb-wait takes no argument" --kernel x --gdb-wait=1 --gdb 1
refused 2 "--flash-vars needs --firmware" --kernel x --flash-vars y
refused 2 "--gdb-wait needs --gdb" --kernel x --gdb-wait
refused 2 "--gdb: the address is empty" --kernel x --gdb ""
for size in "" x -1 +1 12Q 1MM 0x 99999999999999999999 18446744073709551615K " 5M"; do
	refused 2 "--memory: '$size' is not a size" --kernel x --memory "$size"
done
refused 2 "--memory: '0' is no memory at all" --kernel x --memory 0
for size in 1000 1K 100M1; do
	refused 2 "--memory: '$size'" --kernel x --memory $size
done
for smp in 0 124 9999 99999999999999999999 x -1 "" 1.5; do
	refused 2 "--smp: '$smp' is not a number from 1 to" --kernel x --smp "$smp"
done
refused 2 "unknown engine 'warp'" --kernel x --engine warp
for time in "" x -1 0 1d 5mm nan 1e99; do
	refused 2 "--timeout: '$time' is not a time" --kernel x --timeout "$time"
done
refused 2 "--control: the path is empty" --kernel x --control ""
refused 2 "--no-reboot takes no argument" --kernel x --no-reboot=1
refused 2 "exclude each other" --kernel x --engine interp --kvm /dev/kvm

refused 2 "--disk: the file's name is empty" --kernel x --disk ,ro
refused 2 "--disk: ro and snapshot exclude each other" --kernel x --disk a,ro,snapshot
refused 2 "--net: 'slirp' is none of user" --kernel x --net slirp
refused 2 "--net: hostfwd: 'tcp:22' is not" --kernel x --net user,hostfwd=tcp:22
refused 2 "--share: a tag has 1 to" --kernel x --share /,tag=
refused 2 "--console: 'tty' is none of pty" --kernel x --console tty
refused 2 "--vsock: '2' is not a guest's CID" --kernel x --vsock x,cid=2
refused 2 "--balloon: 'much' is not a size" --kernel x --balloon much
refused 2 "--rng: more devices than the board's 32 slots" --kernel x $(for i in $(seq 33); do echo --rng; done)

refused 1 "--kernel: /nonexistent: No such file or directory" --kernel /nonexistent
refused 1 "/: Is a directory" --kernel /
refused 1 "--initrd: /nonexistent: No such file or directory" --kernel "$kernel" --initrd /nonexistent
refused 1 "--disk: /nonexistent: No such file or directory" --kernel "$kernel" --disk /nonexistent
refused 1 "--disk: $kernel: in use by another machine, or given twice" --kernel "$kernel" --disk "$kernel" --disk "$kernel"
refused 1 "in use by another machine, which writes to it, or given twice" --kernel "$kernel" --disk "$kernel" --disk "$kernel,ro"
refused 1 "--share: /nonexistent: No such file or directory" --kernel "$kernel" --share /nonexistent
refused 1 "--share: two folders with the tag 'share'" --kernel "$kernel" --share "$dir" --rng --share "$dir"
refused 1 "--net: passt: /nonexistent: No such file or directory" --kernel "$kernel" --net passt=/nonexistent
refused 1 "--balloon 512M: the guest has no more than that" --kernel "$kernel" --balloon 512M
: >"$dir/empty"
refused 1 "--kernel: $dir/empty: empty" --kernel "$dir/empty"
refused 1 "--initrd: $dir/empty: empty" --kernel "$kernel" --initrd "$dir/empty"
printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\076\000' >"$dir/elf"
refused 1 "$dir/elf: an x86-64 ELF" --kernel "$dir/elf"
echo "hello, this is not a kernel" >"$dir/text"
refused 1 "$dir/text: a text file" --kernel "$dir/text"
head -c 40 "$kernel" >"$dir/short"
refused 1 "only 40 bytes" --kernel "$dir/short"
head -c 3000000 /dev/zero >"$dir/big"
refused 1 "larger than 2 MiB, which is all" --kernel "$kernel" --memory 2M --initrd "$dir/big"
refused 1 "cannot get 4194304000 MiB of memory" --kernel "$kernel" --memory 4000T
refused 1 "more guest memory than an address can name" --kernel "$kernel" --memory 16000000T
refused 1 "do not fit into 2 MiB" --kernel "$kernel" --memory 2M
refused 1 "/nonexistent" --kernel "$kernel" --kvm /nonexistent
refused 1 "larger than 64 KiB, which is all" --kernel "$dir/big" --memory 64K
refused 1 "--firmware: $dir/empty: empty" --firmware "$dir/empty"
refused 1 "--firmware: $dir/elf: an ELF; a flash takes raw bytes" --firmware "$dir/elf"
refused 1 "--firmware: $dir/text: a text file, not firmware" --firmware "$dir/text"
refused 1 "--firmware: /nonexistent: No such file" --firmware /nonexistent
refused 1 "firmware needs more than 3 MiB" --firmware "$kernel" --memory 3M
refused 1 "--flash-vars: /nonexistent/v: No such file" --firmware "$kernel" --flash-vars /nonexistent/v
refused 1 "--flash-vars: $dir: Is a directory" --firmware "$kernel" --flash-vars "$dir"
refused 1 "--flash-vars: /dev/null: no regular file" --firmware "$kernel" --flash-vars /dev/null
truncate -s 65M "$dir/big"
refused 1 "larger than 64 MiB" --firmware "$dir/big"
refused 1 "--flash-vars: $dir/big: larger than the 64 MiB" --firmware "$kernel" --flash-vars "$dir/big"
refused 1 "--dtb: $dir/text: no device tree" --kernel "$kernel" --dtb "$dir/text"
refused 1 "--dtb: /nonexistent: No such file" --kernel "$kernel" --dtb /nonexistent
# A kernel that is an EFI program too, with a section of 16 bytes at 0x1000, and cut off before its end.
{
	printf 'MZ\000\000'
	head -c 12 /dev/zero
	printf '\000\000\001\000\000\000\000\000'
	head -c 32 /dev/zero
	printf 'ARM\144\100\000\000\000'
	printf 'PE\000\000\144\252\001\000'
	head -c 32 /dev/zero
	printf '\020\000\000\000\000\020\000\000'
	head -c 3000 /dev/zero
} >"$dir/pe"
refused 1 "ends early, after 3112 of 4112 bytes: truncated file?" --kernel "$dir/pe"
ln -s /dev/full "$dir/full"
[ -c /dev/full ] && refused 1 "$dir/full: No space left on device" --kernel "$kernel" --dump-dtb "$dir/full"
[ -L "$dir/full" ] || { echo "not ok: a failed --dump-dtb removes what is no file"; failed=1; }
refused 1 "no KVM device" --kernel "$kernel" --kvm /dev/null
for address in 256.0.0.1:notaport 0 65536 99999999999999999999 foo "host:" :: unix: " 1" -1; do
	refused 2 "--gdb: '$address' is no address for gdb" --kernel x --gdb "$address"
done
refused 1 "--gdb: cannot listen for gdb on /nonexistent/g: No such file" --kernel "$kernel" --gdb /nonexistent/g
refused 1 "--control: /nonexistent/c: No such file" --kernel "$kernel" --control /nonexistent/c
refused 1 "longer than the 107 bytes" --kernel "$kernel" --control "$dir/$(printf 'x%.0s' $(seq 200))"
refused 1 "--control: $kernel: there already, and no socket" --kernel "$kernel" --control "$kernel"
refused 1 "--pidfile: /nonexistent/p: No such file" --kernel "$kernel" --pidfile /nonexistent/p
refused 1 "--pidfile: $dir: Is a directory" --kernel "$kernel" --pidfile "$dir"
refused 1 "/nonexistent/dtb: No such file or directory" --kernel "$kernel" --dump-dtb /nonexistent/dtb

# The tree, with dtc's opinion if there is one.
n=$((n + 1))
if ! "$pawl" run --kernel "$kernel" --append 'a b' --smp 3 --dump-dtb "$dir/dtb" || [ ! -s "$dir/dtb" ]; then
	echo "not ok: --dump-dtb writes the tree"
	failed=1
elif command -v dtc >/dev/null && ! dtc -q -I dtb -O dts "$dir/dtb" >"$dir/dts"; then
	echo "not ok: dtc reads the tree"
	failed=1
elif [ -s "$dir/dts" ] && ! grep -q 'bootargs = "a b";' "$dir/dts"; then
	echo "not ok: the tree has the command line"
	failed=1
fi
# A tree that is given is checked, and completed.
n=$((n + 1))
if ! "$pawl" run --kernel "$kernel" --append 'c d' --dtb "$dir/dtb" --dump-dtb "$dir/dtb2" || ! grep -q 'c d' "$dir/dtb2" || grep -q 'a b' "$dir/dtb2"; then
	echo "not ok: --dtb FILE with --append"
	failed=1
fi
refused 1 "--dtb: $dir/dtb: memory at 0x40000000, 512 MiB, and the machine has 256 MiB" --kernel "$kernel" --dtb "$dir/dtb" --memory 256M
head -c 100 "$dir/dtb" >"$dir/dtb2"
refused 1 "--dtb: $dir/dtb2: no device tree" --kernel "$kernel" --dtb "$dir/dtb2"
rm -f "$dir/dtb2"
n=$((n + 1))
"$pawl" run --help | grep -q -- '--dump-dtb FILE' || { echo "not ok: --help"; failed=1; }

rm -f "$dir/dts"
[ "$(ls "$dir" | tr '\n' ' ')" = "Image big dtb elf empty err full out pe short text " ] || { echo "not ok: files left behind"; ls "$dir"; failed=1; }
[ $failed -eq 0 ] && echo "$n command lines: as they should be"
exit $failed
