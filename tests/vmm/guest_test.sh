#!/bin/sh
# SPDX-License-Identifier: MIT
# guest_test.sh PAWL: small guests (guest.S) from kernel file to exit status, in each form that a kernel may have. Skipped (77)
# without a cross compiler.
set -u
# shellcheck source=tests/vmm/begin.sh
. "$(dirname "$0")/begin.sh"
cross=${CROSS_COMPILE:-aarch64-linux-gnu-}
command -v "${cross}gcc" >/dev/null || exit 77

elf() { # NAME: $dir/NAME, an ELF
	"${cross}gcc" -nostdlib -static -Wl,-Ttext=0x40100000,--build-id=none "-DGUEST_$1" -o "$dir/$1" "$here/guest.S" || exit 1
}

# guest STATUS "OUTPUT" "INPUT" ARGUMENT...
guest() {
	status=$1 output=$2 input=$3
	shift 3
	printf "$input" | "$pawl" run "$@" >"$dir/out" 2>"$dir/err"
	got=$?
	if [ $got -ne "$status" ] || [ "$(cat "$dir/out")" != "$output" ]; then
		echo "not ok: pawl run $*: status $got (want $status), output:"
		cat "$dir/out" "$dir/err"
		failed=1
	fi
}

for name in HELLO RESET REBOOT STATUS PANIC PAIR ECHO HOLES LOOP; do
	elf $name
done

guest 0 hello "" "$dir/HELLO"
guest 0 hello "" --memory 4M --smp 3 "$dir/HELLO"
guest 3 "" "" --no-reboot "$dir/RESET"
guest 0 "hello
hello
hello
hello" "" --smp 2 "$dir/REBOOT"
guest 42 "" "" "$dir/STATUS"
guest 6 "" "" "$dir/PANIC"
grep -q 'kernel has panicked' "$dir/err" || { echo "not ok: the panic's message:"; cat "$dir/err"; failed=1; }
guest 124 hello "" --timeout 0.3 "$dir/LOOP"
grep -q 'not ended in 0.300 seconds' "$dir/err" || { echo "not ok: the timeout's message:"; cat "$dir/err"; failed=1; }
guest 4 "!" "" "$dir/PAIR"
grep -q 'PC 0x401000.*, instruction a9400660' "$dir/err" || { echo "not ok: the fault's message:"; cat "$dir/err"; failed=1; }
grep -q 'emulate-mmio does' "$dir/err" || { echo "not ok: the fault's way out:"; cat "$dir/err"; failed=1; }
guest 0 "!" "" --emulate-mmio "$dir/PAIR"
[ "$(grep -c 'real KVM would fail here.*LDP' "$dir/err")" -eq 1 ] || { echo "not ok: what --emulate-mmio says:"; cat "$dir/err"; failed=1; }
guest 0 "what is typed early comes back, all of it, q" "what is typed early comes back, all of it, q" "$dir/ECHO"
guest 0 hello "" -v "$dir/HOLES"
[ "$(grep -c 'where there is no device' "$dir/err")" -eq 64 ] || { echo "not ok: a line per page, 64 at most"; failed=1; }

# The same as an Image, plain and wrapped.
"${cross}gcc" -nostdlib -static -Wl,-Ttext=0,--build-id=none -DGUEST_HELLO -DIMAGE_HEADER -o "$dir/flat.elf" "$here/guest.S" &&
	"${cross}objcopy" -O binary "$dir/flat.elf" "$dir/Image" || exit 1
gzip -c "$dir/Image" >"$dir/Image.gz"
guest 0 hello "" --kernel "$dir/Image"
guest 0 hello "" --kernel "$dir/Image.gz"
if command -v zstd >/dev/null; then
	zstd -q "$dir/Image" -o "$dir/Image.zst"
	guest 0 hello "" --kernel "$dir/Image.zst"
fi

# --stats: a table at the end, with what the guest is known to have done; one column more if there are several vcpus.
counted() { # "LABEL" COLUMN: its value
	sed -n "s/^ *$1  *//p" "$dir/err" | awk -v n="$2" '{ print $n; exit }'
}
guest 0 hello "" --stats "$dir/HELLO"
[ "$(counted HVC 1)" = 1 ] && [ "$(counted mmio_exit_user 1)" -ge 5 ] ||
	{ echo "not ok: statistics:"; cat "$dir/err"; failed=1; }
made=$(counted units 1)$(counted 'blocks without code' 1)
[ "$made" -gt 0 ] || { echo "not ok: a guest without code:"; cat "$dir/err"; failed=1; }
guest 0 hello "" --stats --smp 2 "$dir/HELLO"
[ "$(counted HVC 1) $(counted HVC 2) $(counted HVC 3)" = "1 0 1" ] ||
	{ echo "not ok: statistics of two vcpus:"; cat "$dir/err"; failed=1; }

# ... and on SIGUSR1, while the guest runs.
mkfifo "$dir/fifo" "$dir/stats"
"$pawl" run --no-sandbox --stats "$dir/LOOP" >"$dir/fifo" 2>"$dir/stats" </dev/null &
pid=$!
exec 9<"$dir/fifo" 8<"$dir/stats"
read -r line <&9
kill -USR1 $pid
read -r line <&8
kill -TERM $pid
cat <&8 >"$dir/err"
wait $pid
got=$?
exec 8<&- 9<&-
case $line in
statistics*) ;;
*) got="$got, '$line'" ;;
esac
[ "$got" = 143 ] && grep -q '^statistics' "$dir/err" || { echo "not ok: SIGUSR1: status $got:"; cat "$dir/err"; failed=1; }
rm "$dir/fifo"

# Ended by a signal, at a moment when the guest runs.
mkfifo "$dir/fifo"
"$pawl" run "$dir/LOOP" >"$dir/fifo" 2>"$dir/err" </dev/null &
pid=$!
read -r line <"$dir/fifo"
kill -TERM $pid
wait $pid
got=$?
[ $got -eq 143 ] && [ "$line" = hello ] || { echo "not ok: SIGTERM: status $got, output '$line'"; failed=1; }

[ $failed -eq 0 ] && echo "ok"
exit $failed
