#!/bin/bash
# SPDX-License-Identifier: MIT
# models_test.sh PAWL: Debian's kernel comes up with each CPU model and finds the features that the model has. $PAWL_TEST_GUEST
# has Image and initrd.cpio.gz (scripts/fetch-guest.sh); skipped (77) without them.
set -u
# shellcheck source=tests/vmm/begin.sh
. "$(dirname "$0")/begin.sh"
need_guest

has() { grep -qE "^Features.* $1( |$)" "$dir/console"; }
has_not() { ! has "$1"; }

cat >"$dir/script" <<'END_OF_SCRIPT'
grep -m 1 Features /proc/cpuinfo
grep -m 1 part /proc/cpuinfo
seq 100000 | sha256sum
awk 'BEGIN { x = 1; for (i = 1; i < 6; i++) x = x * 1.37 / (x + 0.3); printf "%.15f\n", x }'
dmesg | grep -c 'BUG\|WARNING\|Oops'
exit
END_OF_SCRIPT

boot() { # MODEL PART
	"$pawl" run --cpu "$1" -k "$guest/Image" -i "$guest/initrd.cpio.gz" --smp 2 -a "console=ttyAMA0 quiet pawl.init=run" \
		<"$dir/script" 2>&1 | tr -d '\r' >"$dir/console"
	expect "$1: the guest powers off" [ "${PIPESTATUS[0]}" -eq 0 ]
	expect "$1: its part number" grep -q "^CPU part.*: $2\$" "$dir/console"
	expect "$1: what programs compute" grep -qF "$(seq 100000 | sha256sum)" "$dir/console"
	expect "$1: floating point" grep -qx 1.069962288835018 "$dir/console"
	expect "$1: the kernel complains about nothing" grep -qx 0 "$dir/console"
	[ $failed -eq 0 ] || sed 's/^/console: /' "$dir/console"
}

boot neoverse-n1 0xd0c
for f in atomics asimdhp asimdrdm lrcpc dcpop asimddp; do expect "neoverse-n1 has $f" has $f; done
for f in sha512 paca bti i8mm flagm; do expect "neoverse-n1 has no $f" has_not $f; done
boot cortex-a72 0xd08
for f in aes pmull sha2 crc32; do expect "cortex-a72 has $f" has $f; done
for f in atomics asimdhp asimdrdm lrcpc dcpop asimddp; do expect "cortex-a72 has no $f" has_not $f; done
boot max 0x0a1
for f in atomics sha3 sm4 sha512 asimdfhm dit uscat ilrcpc flagm2 sb paca pacg frint i8mm bf16 rng bti wfxt; do expect "max has $f" has $f; done
for f in sve sme mte; do expect "max has no $f" has_not $f; done
boot max,-lse 0x0a1
expect "what is switched off is away" has_not atomics
exit $failed
