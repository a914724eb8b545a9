#!/bin/bash
# SPDX-License-Identifier: MIT
# install_test.sh BUILD-DIR CC: what `meson install` puts down is enough to compile, link and run a client. TAP.
set -uo pipefail
build=$1 cc=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0 status=0

case_() { # SENTENCE COMMAND...
	local sentence=$1
	shift
	n=$((n + 1))
	if "$@" >"$tmp/log" 2>&1; then
		echo "ok $n - $sentence"
	else
		echo "not ok $n - $sentence"
		sed 's/^/# /' "$tmp/log"
		status=1
	fi
}

case_ "meson install works" meson install -C "$build" --no-rebuild --destdir "$tmp/root"
prefix=$(find "$tmp/root" -path '*/bin/pawl' -printf '%h\n')/..
prefix=$(cd "$prefix" && pwd) || exit
pc=$(dirname "$(find "$prefix" -name pawl.pc)")
lib=$(dirname "$pc")
# The prefix that the files say is where they will be; here they are elsewhere.
flags() { PKG_CONFIG_PATH=$pc pkg-config --define-variable=prefix="$prefix" "$@"; }

cat >"$tmp/kvm_client.c" <<'END'
#include <linux/kvm.h>
#include <asm/ptrace.h>
#include <signal.h>
int main(void) { return sizeof(struct kvm_regs) != 864 || sizeof(struct user_pt_regs) != 272; }
END
cat >"$tmp/pawl_client.c" <<'END'
#include <pawl/kvm.h>
#include <pawl/pawl.h>
int vcpu_run(void) { return 12; } /* a name that the library uses itself */
int main(void)
{
	int fd = pawl_open(0), version = pawl_ioctl(fd, KVM_GET_API_VERSION, 0);
	return fd < 0 || version != vcpu_run() || pawl_close(fd) != 0;
}
END
cat >"$tmp/client.cpp" <<'END'
#include <pawl/kvm.h>
#include <pawl/pawl.h>
int main() { return pawl_is_fd(-1); }
END

compile() { # FLAGS-OF SOURCE PROGRAM EXTRA...
	local of=$1 source=$2 program=$3
	shift 3
	# shellcheck disable=SC2046,SC2086 # lists of flags
	$cc -D_GNU_SOURCE -Wall -Werror "$source" -o "$program" $(flags --cflags $of) "$@"
}

only_pawl_names() { # of: nm's output on standard input
	! grep -v ' pawl_[a-z_]*$'
}

case_ "pawl-kvm.pc gives a client arm64's <linux/kvm.h>" compile pawl-kvm "$tmp/kvm_client.c" "$tmp/kvm_client"
case_ "... with arm64's layouts" "$tmp/kvm_client"
# shellcheck disable=SC2046 # a list of flags
case_ "pawl.pc gives a client the shared library" compile pawl "$tmp/pawl_client.c" "$tmp/shared" $(flags --libs pawl)
case_ "... and it runs" env LD_LIBRARY_PATH="$lib:$(dirname "$(find "$prefix" -name libpawl.so.0)")" "$tmp/shared"
# shellcheck disable=SC2046 # a list of flags
case_ "pawl.pc gives a client the static library" compile pawl "$tmp/pawl_client.c" "$tmp/static" \
	"$(find "$prefix" -name libpawl.a)" $(flags --libs --static pawl | tr ' ' '\n' | grep -v pawl)
case_ "... and it runs" "$tmp/static"
if command -v c++ >/dev/null; then
	case_ "the headers are C++, too" c++ -fsyntax-only "-I$prefix/include" "$tmp/client.cpp"
else
	n=$((n + 1))
	echo "ok $n - the headers are C++, too # SKIP no C++ compiler"
fi
case_ "the shared library shows pawl_* only" only_pawl_names < <(nm -D --defined-only "$(find "$prefix" -name libpawl.so.0)")
case_ "the static library shows pawl_* only" only_pawl_names < <(nm -g --defined-only "$(find "$prefix" -name libpawl.a)" | grep -v ':$' | sed '/^$/d')
case_ "the shared library's name is libpawl.so.0" grep -q 'SONAME.*\[libpawl.so.0\]' <(readelf -d "$(find "$prefix" -name libpawl.so.0)")
case_ "the command finds the preload library" "$prefix/bin/pawl" exec sh -c 'case $LD_PRELOAD in *libpawl-preload.so*) ;; *) exit 1 ;; esac'
case_ "the preload library finds libpawl" "$prefix/bin/pawl" exec sh -c 'test -c /dev/kvm'
case_ "there are manual pages" test -e "$prefix/share/man/man1/pawl.1" -a -e "$prefix/share/man/man1/pawl-exec.1"
echo "1..$n"
exit $status
