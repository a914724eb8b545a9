# SPDX-License-Identifier: MIT
# shellcheck shell=dash disable=SC2013,SC2016
#
# cases.sh PATTERN: runs the cases whose name matches, in the guest ($EMU and $ROOT empty) or with each program under an
# emulator ($EMU) with its files below $ROOT. $OUT/NAME.out gets what a case wrote to stdout and stderr, NAME.status its
# status. What depends on time, addresses or process numbers is not printed, or taken out.
set -f
export PYTHONHOME="$ROOT/usr" PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 LC_ALL=C HOME=/tmp
cd "$ROOT/data" || exit 2
work=${TMPDIR:-/tmp}/pawl-programs.$$
mkdir -p "$work"

# A program of the packages.
p() {
	name=$1
	shift
	if [ -n "$EMU" ]; then
		$EMU -0 "/usr/bin/$name" "$ROOT/usr/bin/$name" "$@"
	else
		"/usr/bin/$name" "$@"
	fi
}
# One that is elsewhere.
at() {
	name=$1
	shift
	$EMU "$ROOT$name" "$@"
}

# ---- openssl

case_openssl_digests() {
	for d in md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-224 sha3-256 sha3-384 sha3-512 shake128 blake2b512 blake2s256 sm3 ripemd160; do
		p openssl dgst "-$d" text binary
	done
	p openssl dgst -hmac secret -sha256 text
	p openssl mac -macopt cipher:AES-256-CBC -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in text CMAC
	p openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -in text POLY1305
}

case_openssl_ciphers() {
	k=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
	for c in aes-128-cbc aes-192-ctr aes-256-cbc aes-256-ctr aes-256-cfb aes-256-ofb aes-256-ecb chacha20 camellia-256-cbc aria-256-ctr sm4-cbc \
		sm4-ctr des-ede3-cbc; do
		p openssl enc "-$c" -K "$(echo $k | cut -c "1-$(case $c in *128* | sm4*) echo 32 ;; *192* | des*) echo 48 ;; *) echo 64 ;; esac)")" \
			-iv 00112233445566778899aabbccddeeff -in binary >"$work/enc" 2>/dev/null
		echo "$c $(p openssl dgst -sha256 -r <"$work/enc")"
		p openssl enc -d "-$c" -K "$(echo $k | cut -c "1-$(case $c in *128* | sm4*) echo 32 ;; *192* | des*) echo 48 ;; *) echo 64 ;; esac)")" \
			-iv 00112233445566778899aabbccddeeff -in "$work/enc" 2>/dev/null | cmp - binary && echo back
	done
}

case_openssl_keys() {
	p openssl pkey -in rsa.pem -pubout
	p openssl pkey -in rsa.pem -check -noout
	p openssl dgst -sha256 -sign rsa.pem -out "$work/sig" text
	p openssl dgst -sha256 -r "$work/sig" | cut -c 1-64
	p openssl dgst -sha256 -prverify rsa.pem -signature "$work/sig" text
	p openssl dgst -sha256 -prverify rsa.pem -signature "$work/sig" binary 2>/dev/null
	head -c 5000 text >"$work/short"
	p openssl pkeyutl -sign -rawin -inkey ed25519.pem -in "$work/short" | od -An -tx1
	p openssl pkey -in x25519b.pem -pubout -out "$work/pub"
	p openssl pkeyutl -derive -inkey x25519.pem -peerkey "$work/pub" | od -An -tx1
	p openssl prime -checks 20 170141183460469231731687303715884105727 170141183460469231731687303715884105729
	p openssl req -new -x509 -key ed25519.pem -subj /CN=test -set_serial 7 -days 1 -noout -pubkey
	p openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:password -kdfopt salt:salt -kdfopt iter:5000 PBKDF2
	p openssl kdf -keylen 32 -kdfopt pass:password -kdfopt salt:salt -kdfopt n:1024 -kdfopt r:8 -kdfopt p:1 SCRYPT
}

# ---- coreutils, awk

case_coreutils_sums() {
	for s in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum sum cksum; do p $s text binary; done
	for a in crc sysv bsd sm3 blake2b sha384; do p cksum -a $a text binary; done
	p sha512sum text >"$work/sums" && p sha512sum -c "$work/sums"
}

case_coreutils_text() {
	p sort text | p uniq -c | p sort -k1,1nr -k2 | p head -50
	p sort -R --random-source=binary text | p md5sum
	p shuf --random-source=binary -n 20 text
	p tac text | p nl | p tail -20
	p tr -cs A-Za-z '\n' <text | p sort -f | p uniq -ci | p sort -rn | p head -40
	p fmt -w 60 text | p md5sum
	p fold -w 33 text | p md5sum
	p expand text | p unexpand -a | p md5sum
	p cut -d' ' -f2-4 text | p md5sum
	p paste -s -d, text | p md5sum
	p od -A x -t x2fF -N 400 binary
	p base64 binary | p base64 -d | p cmp - binary && echo base64
	p base32 binary | p md5sum
	p split -n l/7 text part && cat partag partac | p md5sum # a filter would be a program of the host
	rm -f part??
	p ptx text | p md5sum
	p tsort <<-END
		a b
		b c
		a d
		d c
	END
	p join -j 1 sorted1 sorted2
	p comm sorted1 sorted2
	p wc text binary
}

case_coreutils_numbers() {
	p factor 18446744073709551557 18446744073709551615 600851475143 2305843009213693951
	p factor 340282366920938463463374607431768211455 # by itself: numbers of several words are written in another order to a pipe
	p seq 1 0.37 20
	p seq -f %.17g -3 0.1 3
	p numfmt --to=iec-i --format %.3f 123456789 1099511627776 999 1
	p numfmt --from=si 1.5G 17k
	p expr 9223372036854775807 '*' 9223372036854775807
	p printf '%a %.20g %e %x %o %q\n' 0.1 0.1 1e300 255 255 'a b' 1e-320 1e-320 inf -1 -1 x
}

case_awk() {
	p gawk 'BEGIN { for (i = 0; i < 2000; i++) { x = i / 7.3; s += sin(x) * exp(-x / 90) + log(1 + x) ^ 1.7 + atan2(x, 3) }
		printf "%.17g %.17g %d\n", s, sqrt(s), int(s * 1e9) }'
	p gawk '{ n[length($0) % 97]++; for (i = 1; i <= NF; i++) w[$i]++ } END { PROCINFO["sorted_in"] = "@ind_str_asc"
		for (i in n) print i, n[i]; for (i in w) if (w[i] > 200) print i, w[i] }' text
	p gawk 'BEGIN { srand(42); for (i = 0; i < 20; i++) print rand(); print substr("abcdef", 2, 3), toupper("xyz"), strtonum("0x1f") }'
}

# ---- python and its own tests

python_tests() {
	p python3.11 -W ignore -m unittest -v "$@" 2>&1 |
		sed -E "s/ in [0-9.]+s\$//; s/0x[0-9a-f]{6,}/0x/g; s/line [0-9]+/line/; s|$ROOT/usr/|/usr/|g
			s/\t?fetching http.*//; s/skipped 'Could not retrieve.*//; /^\$/d"
}
case_python_math() { python_tests test.test_math test.test_cmath test.test_float; }
case_python_struct() { python_tests test.test_struct test.test_memoryview test.test_int test.test_strtod; }
case_python_hash() { python_tests test.test_hashlib test.test_hmac test.test_binascii test.test_zlib; }
case_python_misc() { python_tests test.test_heapq test.test_bisect test.test_textwrap; }
case_python_decimal() { p python3.11 digits.py; }
case_python_threads() { p python3.11 threads.py; }

# ---- sqlite, compression

case_sqlite() { p sqlite3 :memory: <rows.sql; }

case_compress() {
	for c in "xz -6 -T1" "xz -2 -T4 --block-size=300000" "bzip2 -9" "zstd -q -5 -T1" "zstd -q -15 -T4" "gzip -9 -n"; do
		[ "${c%% *}" != gzip ] || continue
		# shellcheck disable=SC2086
		p $c -c text >"$work/c"
		echo "$c $(p md5sum <"$work/c")"
		p "${c%% *}" -dc "$work/c" | p cmp - text && echo back
	done
}

# ---- gcc: what the driver would run

case_gcc() {
	lib=/usr/lib/gcc/aarch64-linux-gnu/12
	for o in "-O0 unit" "-O2 unit" "-O3 unit2"; do
		u=${o#* }
		at $lib/cc1 -quiet -fpreprocessed $u.i -dumpbase $u.i "${o% *}" -o "$work/unit.s" && grep -v '^	\.ident' "$work/unit.s" | p md5sum
		p aarch64-linux-gnu-as "$work/unit.s" -o "$work/unit.o" && p aarch64-linux-gnu-objdump -d "$work/unit.o" | sed 1,2d | p md5sum
	done
	at $lib/cc1 -quiet -fpreprocessed hello.i -dumpbase hello.i -O2 -o "$work/hello.s"
	p aarch64-linux-gnu-as "$work/hello.s" -o "$work/hello.o"
	l=$ROOT/usr/lib/aarch64-linux-gnu
	p aarch64-linux-gnu-ld --sysroot="$ROOT/" -dynamic-linker /lib/ld-linux-aarch64.so.1 -o "$work/hello" "$l/crt1.o" "$l/crti.o" "$work/hello.o" \
		"$ROOT/lib/aarch64-linux-gnu/libc.so.6" \
		"$ROOT/lib/aarch64-linux-gnu/libm.so.6" "$l/crtn.o" && $EMU "$work/hello" 10
}

# ---- JITs, threads

case_luajit() {
	for j in on off; do p luajit -j$j jit.lua; done
	p luajit -Ohotloop=3 -Ohotexit=2 jit.lua
}
case_node() { p node --single-threaded jit.js; }
case_node_threads() { p node jit.js; }
case_threads() { $EMU ./threads; }

# What it has to say is in expected/: the reference cannot run it.
case_ptrace() { [ -n "$EMU" ] || ./ptrace; }

for c in $(sed -n 's/^case_\([a-z0-9_]*\)().*/\1/p' "$ROOT/cases.sh"); do
	# shellcheck disable=SC2254 # a pattern
	case $c in $1) ;; *) continue ;; esac
	("case_$c") >"$OUT/$c.out" 2>&1
	echo $? >"$OUT/$c.status"
	[ -n "$EMU" ] || echo "CASE $c $(cat "$OUT/$c.status") $(sha256sum <"$OUT/$c.out" | cut -c 1-16)"
done
rm -rf "$work"
