#!/bin/bash
# SPDX-License-Identifier: MIT
# linux_test.sh PAWL GUEST_DIR: the real gdb-multiarch against Debian's kernel in `pawl run`. Two boots: in the first gdb
# attaches to a guest that is up and busy; the second is held at its first instruction. TAP on standard output.
# GUEST_DIR has Image and initrd.cpio.gz (scripts/fetch-guest.sh); without them or gdb-multiarch it is skipped (77).
set -euo pipefail
pawl=$1 guest=$2 here=$(cd "$(dirname "$0")" && pwd)
command -v gdb-multiarch >/dev/null || { echo "1..0 # SKIP no gdb-multiarch"; exit 77; }
[ -e "$guest/Image" ] || { echo "1..0 # SKIP no guest in $guest"; exit 77; }
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

debug() { # PART CPUS
	PAWL_GDB_ADDR="$tmp/gdb" PAWL_GDB_CPUS=$2 PAWL_GDB_PART=$1 timeout 300 gdb-multiarch -q -nx -batch -x "$here/linux.py" 2>&1
}

mkfifo "$tmp/in"
sleep infinity >"$tmp/in" &
keep=$!
trap 'kill $keep 2>/dev/null; finish' EXIT

status=0
boot 2
await "PAWL-BUSY"
debug late 2 | tee "$tmp/late" || status=1
# detach left it running
kill -0 "$pid" && echo "# the guest is alive after detach" || status=1
kill "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
rm -f "$tmp/gdb"
PAWL_GDB_VECTORS=$(sed -n 's/^# VECTORS //p' "$tmp/late")
export PAWL_GDB_VECTORS
boot 1 --gdb-wait
until [ -S "$tmp/gdb" ]; do sleep 0.1; done
debug early 1 || status=1
wait "$pid" || true
pid=
exit $status
