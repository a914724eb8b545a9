#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The installed libpawl.a: all parts linked into one object whose only global names are pawl_*, so that a client may use
# names like vcpu_run itself.
#
# usage: static_library.sh LD OBJCOPY AR OUTPUT PART.a...
set -eu
ld=$1 objcopy=$2 ar=$3 out=$4
shift 4

object=$out.o
trap 'rm -f "$object"' EXIT
"$ld" -r -o "$object" --whole-archive "$@"
"$objcopy" --wildcard --keep-global-symbol='pawl_*' "$object"
rm -f "$out"
"$ar" rcs "$out" "$object"
