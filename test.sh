#!/bin/bash
# SPDX-License-Identifier: MIT
#
# test.sh [--quick]: builds pawl in every way it is meant to build and runs all tests, on Debian 12.
#
#   gcc, with warnings as errors       all tests
#   clang                              all tests, clang-format, clang-tidy
#   gcc, address and undefined-behaviour sanitizers   all tests
#   cross gcc for arm64                all tests, and the kernel's quick KVM selftests, under qemu-user
#
# --quick: gcc's build and its tests, and clang-format. Missing Debian packages are installed (as root, or with sudo).
# The last line says how many test cases passed, failed and were skipped, over all builds; the exit status is 0 if none failed.
set -uo pipefail
cd "$(dirname "$0")" || exit
# shellcheck source=scripts/arm64-apt.sh
. scripts/arm64-apt.sh
# shellcheck source=scripts/packages.sh
. scripts/packages.sh

quick=
for arg; do
	case $arg in
	--quick) quick=1 ;;
	--help) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) echo "test.sh: unknown option '$arg'" >&2; exit 2 ;;
	esac
done

out=${PAWL_TEST_DIR:-build-test}
jobs=$(nproc)
passed=0 failed=0 skipped=0
mkdir -p "$out/log"

say() { printf '%s\n' "== $*"; }

# check NAME COMMAND...: one test case; its output is shown if it fails.
check() {
	local name=$1 log=$out/log/$1.log start=$SECONDS
	shift
	if "$@" >"$log" 2>&1; then
		say "$name: ok, $((SECONDS - start)) s"
		passed=$((passed + 1))
	else
		say "$name: FAILED, $((SECONDS - start)) s; $log ends with:"
		tail -n 40 "$log"
		failed=$((failed + 1))
		return 1
	fi
}

# build NAME MESON-OPTION...: configure and compile $out/NAME. Not a test case of its own if it works.
build() {
	local name=$1 dir=$out/$1 start=$SECONDS
	shift
	if [ ! -e "$dir/build.ninja" ]; then
		rm -rf "$dir"
		meson setup "$dir" "$@" >"$out/log/$name-setup.log" 2>&1 || { check "$name-setup" meson setup "$dir" "$@"; return 1; }
	fi
	if ! ninja -C "$dir" -j "$jobs" >"$out/log/$name-build.log" 2>&1; then
		say "$name: does not build; $out/log/$name-build.log ends with:"
		tail -n 40 "$out/log/$name-build.log"
		failed=$((failed + 1))
		return 1
	fi
	say "$name: built, $((SECONDS - start)) s"
}

# tests NAME MESON-OPTION...: run the tests of $out/NAME and count their cases.
tests() {
	local name=$1 dir=$out/$1 counts p f s start=$SECONDS
	shift
	CMOCKA_MESSAGE_OUTPUT=TAP meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes "$jobs" "$@" \
		>"$out/log/$name-test.log" 2>&1
	counts=$(python3 scripts/count_tests.py "$dir/meson-logs/testlog.json") || counts="0 1 0"
	read -r p f s <<<"$counts"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	say "$name: $p passed, $f failed, $s skipped, $((SECONDS - start)) s"
	[ "$f" -eq 0 ] || grep -v '^ *[0-9]*/[0-9]* .* OK ' "$out/log/$name-test.log" | tail -n 60
}

# Not stepgold.c: most of it is a table whose lines are the guest's.
c_files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files '*.c' '*.h'
	else
		find . -name '*.[ch]' -not -path './build*' -not -path "./$out/*"
	fi | grep -v 'tests/golden/stepgold.c$'
}

format() { c_files | xargs clang-format-14 --dry-run -Werror; }

# One file of a build at a time; a file that takes too long is named and not counted against it.
tidy() {
	python3 scripts/tidy.py "$out/clang" "$jobs" "${PAWL_TIDY_SECONDS:-240}"
}

scripts_parse() {
	python3 - <<-'END'
		import ast, pathlib
		for path in sorted(p for d in ('scripts', 'tests', 'bench', 'docs') for p in pathlib.Path(d).rglob('*.py')):
		    ast.parse(path.read_text(), str(path))
	END
	# shellcheck disable=SC2046 # no names with spaces
	for script in test.sh demo.sh .ci/run scripts/*.sh $(find tests -name '*.sh'); do
		[ ! -e "$script" ] || bash -n "$script" || return
	done
}

need_packages "${build_packages[@]}" "${test_packages[@]}" || exit 1

guest=$(arm64_cache_dir)/guest
if [ -z "$quick" ]; then
	say "guest for the boot tests: $guest"
	check guest scripts/fetch-guest.sh "$guest"
fi
export PAWL_TEST_GUEST=$guest

check format format
check scripts scripts_parse

build gcc -Dwerror=true --buildtype=debugoptimized && tests gcc

if [ -z "$quick" ]; then
	CC=clang-14 build clang -Dwerror=true --buildtype=debugoptimized && tests clang && check tidy tidy
	# The preloaded library is sanitized and the program is not, so the sanitizer is not the first library there.
	export ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	build sanitizers --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false && tests sanitizers --timeout-multiplier 4
	sysroot=$(arm64_cache_dir)/sysroot
	check sysroot scripts/arm64-sysroot.sh "$sysroot" &&
		build arm64 --cross-file scripts/aarch64-linux-gnu.ini --cross-file "$sysroot/meson.ini" -Dwerror=true --buildtype=debugoptimized &&
		ASAN_OPTIONS=detect_leaks=0 tests arm64 --timeout-multiplier 8 && # leak detection needs ptrace
		check selftests scripts/selftests.sh --quick --preload "$out/arm64/shim/libpawl-preload.so" &&
		check selftests-newer scripts/selftests.sh --quick --source linux-source-6.12 --release trixie \
			--preload "$out/arm64/shim/libpawl-preload.so"
fi

say "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
