#!/bin/bash
# SPDX-License-Identifier: MIT
# linux_test.sh PAWL: the real gdb-multiarch against Debian's kernel in `pawl run`. Three boots: a guest that is up and busy, to
# which one debugger after the other attaches; guests that are held at their first instruction. TAP on standard output.
# $PAWL_TEST_GUEST has Image and initrd.cpio.gz (scripts/fetch-guest.sh); without them or gdb-multiarch it is skipped.
set -euo pipefail
pawl=$1 guest=${PAWL_TEST_GUEST:-/nonexistent} here=$(cd "$(dirname "$0")" && pwd)
scripts=$here/../../gdb
command -v gdb-multiarch >/dev/null || { echo "1..0 # SKIP no gdb-multiarch"; exit 0; }
[ -e "$guest/Image" ] || { echo "1..0 # SKIP no guest: set PAWL_TEST_GUEST to what scripts/fetch-guest.sh made"; exit 0; }
tmp=$(mktemp -d)
pid='' keep=''
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	[ -z "$keep" ] || kill "$keep" 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT
mkfifo "$tmp/in"
sleep infinity >"$tmp/in" &
keep=$!
status=0
export PAWL_GDB_ADDR=$tmp/gdb PAWL_GDB_SYMBOLS=$tmp/symbols.elf PAWL_GDB_SCRIPT=$scripts/pawl-gdb.py

boot() { # CPUS APPEND OPTION...: in the background, console to $tmp/console
	local cpus=$1 append=$2
	shift 2
	: >"$tmp/console"
	rm -f "$tmp/gdb"
	"$pawl" run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --smp "$cpus" --memory 512M --gdb "unix:$tmp/gdb" \
		--append "console=ttyAMA0 pawl.init=busy $append" "$@" <"$tmp/in" >"$tmp/console" 2>&1 &
	pid=$!
	PAWL_GDB_CPUS=$cpus
	export PAWL_GDB_CPUS
}

stop() {
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	pid=
}

await() { # TEXT: in the console, or the guest is gone
	until grep -q "$1" "$tmp/console"; do
		kill -0 "$pid" 2>/dev/null || { echo "Bail out! the guest ended:"; sed 's/^/# /' "$tmp/console" | tail -n 20; exit 1; }
		sleep 0.2
	done
}

result() { # NAME RC: the part's TAP, its names with NAME before; if it failed also what gdb said
	[ "$2" = 0 ] || { status=1; sed 's/^/# /' "$tmp/log" | tail -n 40; }
	grep -E '^(not )?ok ' "$tmp/log" | sed -E "s/ok [0-9]+ - /ok - $1: /" || status=1
	grep -q '^1\.\.' "$tmp/log" || { echo "not ok - $1: did not come to its end"; status=1; }
}

debug() { # PART: tests/gdb/linux_PART.py inside gdb
	local rc=0
	timeout 240 gdb-multiarch -q -nx -batch -x "$here/linux_$1.py" >"$tmp/log" 2>&1 || rc=$?
	result "$1" $rc
	return $rc
}

rc=0
python3 "$scripts/kallsyms.py" "$guest/Image" "$PAWL_GDB_SYMBOLS" >"$tmp/log" 2>&1 || { rc=1 status=1; }
if [ $rc = 0 ]; then echo "ok - symbols are taken from the kernel's image"; else echo "not ok - $(cat "$tmp/log")"; exit 1; fi

boot 2 "" --cpu max
await "PAWL-BUSY"
for part in basic registers points; do
	debug $part || true
done
rc=0
timeout 240 python3 "$here/nonstop.py" "$PAWL_GDB_ADDR" "$PAWL_GDB_SYMBOLS" "$PAWL_GDB_SCRIPT" >"$tmp/log" 2>&1 || rc=$?
result non-stop $rc
if kill -0 "$pid"; then echo "ok - the guest runs on after every detach"; else echo "not ok - the guest ended"; status=1; fi
stop
for kaslr in on off; do
	boot 1 "$([ $kaslr = on ] || echo nokaslr)" --gdb-wait
	until [ -S "$tmp/gdb" ]; do sleep 0.1; done
	if PAWL_GDB_KASLR=$kaslr debug held; then
		wait "$pid" || true # killed by the debugger
		pid=
	else
		stop
	fi
done
exit $status
