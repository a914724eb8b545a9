#!/bin/bash
# SPDX-License-Identifier: MIT
# linux_test.sh PAWL: the real gdb-multiarch against Debian's kernel in `pawl run`. Two boots: in the first gdb
# attaches to a guest that is up and busy; the second is held at its first instruction. TAP on standard output.
# $PAWL_TEST_GUEST has Image and initrd.cpio.gz (scripts/fetch-guest.sh); without them or gdb-multiarch it is skipped.
set -euo pipefail
pawl=$1 guest=${PAWL_TEST_GUEST:-/nonexistent} here=$(cd "$(dirname "$0")" && pwd)
command -v gdb-multiarch >/dev/null || { echo "1..0 # SKIP no gdb-multiarch"; exit 0; }
[ -e "$guest/Image" ] || { echo "1..0 # SKIP no guest: set PAWL_TEST_GUEST to what scripts/fetch-guest.sh made"; exit 0; }
tmp=$(mktemp -d)
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT

boot() { # CPUS OPTION...: in the background, console to $tmp/console
	local cpus=$1
	shift
	: >"$tmp/console"
	"$pawl" run --kernel "$guest/Image" --initrd "$guest/initrd.cpio.gz" --smp "$cpus" --memory 512M --gdb "unix:$tmp/gdb" \
		--append "console=ttyAMA0 nokaslr pawl.init=busy" "$@" <"$tmp/in" >"$tmp/console" 2>&1 &
	pid=$!
}

await() { # TEXT: in the console, or the guest is gone
	until grep -q "$1" "$tmp/console"; do
		kill -0 "$pid" 2>/dev/null || { echo "Bail out! the guest ended:"; sed 's/^/# /' "$tmp/console" | tail -n 20; exit 1; }
		sleep 0.2
	done
}

debug() { # PART CPUS: gdb's own chatter stays in $tmp/gdb-PART.log
	PAWL_GDB_ADDR="$tmp/gdb" PAWL_GDB_CPUS=$2 PAWL_GDB_PART=$1 timeout 240 gdb-multiarch -q -nx -batch -x "$here/linux.py" \
		>"$tmp/gdb-$1.log" 2>&1 || { status=1; sed 's/^/# /' "$tmp/gdb-$1.log" | tail -n 40; }
	grep -E '^(not )?ok ' "$tmp/gdb-$1.log" | sed -E "s/ok [0-9]+ - /ok - $1: /" || status=1
}

mkfifo "$tmp/in"
sleep infinity >"$tmp/in" &
keep=$!
trap 'kill $keep 2>/dev/null; finish' EXIT

status=0
boot 2
await "PAWL-BUSY"
debug late 2
if kill -0 "$pid"; then echo "ok - late: the guest runs on after detach"; else echo "not ok - late: the guest ended"; status=1; fi
kill "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
rm -f "$tmp/gdb"
PAWL_GDB_VECTORS=$(sed -n 's/^# VECTORS //p' "$tmp/gdb-late.log")
export PAWL_GDB_VECTORS
boot 1 --gdb-wait
until [ -S "$tmp/gdb" ]; do sleep 0.1; done
debug early 1
wait "$pid" || true # killed by the debugger
pid=
echo "1..21"
exit $status
