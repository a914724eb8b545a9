# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034 # used by those that source it
#
# What the shell tests of this folder begin with. $1 is the program. Sets
#   pawl    how to call it: under a cross build's emulator, if there is one
#   here    this folder
#   dir     an empty directory, which is removed at the end
#   failed  0: the test's exit status
pawl=$1
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
if [ -n "${MESON_EXE_WRAPPER:-}" ]; then
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$MESON_EXE_WRAPPER" "$(realpath "$pawl")" >"$dir/.pawl"
	chmod +x "$dir/.pawl"
	pawl=$dir/.pawl
fi

expect() { # WHAT COMMAND...: the command is to succeed
	what=$1
	shift
	if "$@"; then echo "ok: $what"; else echo "not ok: $what"; failed=1; fi
}

# Sets guest to the folder with Image and initrd.cpio.gz (scripts/fetch-guest.sh), or skips the test: there is none, or it would run under two emulators.
need_guest() {
	guest=${PAWL_TEST_GUEST:-/nonexistent}
	[ -e "$guest/Image" ] || { echo "no guest: set PAWL_TEST_GUEST to what scripts/fetch-guest.sh made"; exit 77; }
	[ -z "${MESON_EXE_WRAPPER:-}" ] || { echo "a guest under two emulators takes too long"; exit 77; }
}
