/* SPDX-License-Identifier: MIT */
/* What --kernel takes and what it says to other files: vmm/image.h, on synthetic files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "image.h"

enum { LIMIT = 1 << 20, IMAGE_SIZE = 5000 };

static struct image image;
static struct vmm_error error;

static void put_le(uint8_t *p, uint64_t v, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A file in a malloc'ed buffer of exactly its size, so that the sanitizer sees each byte read beyond it. */
static int parse(const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	memset(&error, 0, sizeof(error));
	rc = image_parse(&image, copy, size, LIMIT, &error);
	if (!rc && image.kind == IMAGE_ELF)
		for (unsigned i = 0; i < image.n_seg; i++)
			assert_true(image.seg[i].offset <= image.size &&
				    image.seg[i].filesz <= image.size - image.seg[i].offset);
	if (!rc) {
		volatile uint8_t sum = 0;

		for (size_t i = 0; i < image.size; i++)
			sum ^= image.data[i];
		(void)sum;
	}
	image_free(&image);
	free(copy);
	return rc;
}

static void expect_refused(const void *bytes, size_t size, const char *words)
{
	assert_int_equal(parse(bytes, size), -1);
	if (!strstr(error.text, words))
		fail_msg("said \"%s\", which lacks \"%s\"", error.text, words);
}

/* ---- files */

static void make_linux(uint8_t *p)
{
	memset(p, 0, IMAGE_SIZE);
	memcpy(p, "MZ\x40\xfa", 4);
	put_le(p + 16, 0x8000, 8);
	put_le(p + 24, 0xa, 8);
	memcpy(p + 56, "ARM\x64", 4);
	put_le(p + 60, 0x40, 4);
	for (unsigned i = 64; i < IMAGE_SIZE; i++)
		p[i] = (uint8_t)(i * 7);
}

static size_t gzip(const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
	z_stream z = {
		.next_in = (uint8_t *)in, .avail_in = (unsigned)size, .next_out = out, .avail_out = (unsigned)room};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

/* Header, payload at 0x100, 13 bytes of padding. */
static size_t make_zboot(uint8_t *p, const char *method)
{
	uint8_t linux_image[IMAGE_SIZE];
	size_t n;

	make_linux(linux_image);
	memset(p, 0, 0x100);
	if (!strncmp(method, "zstd", 4))
		n = ZSTD_compress(p + 0x100, 2 * IMAGE_SIZE, linux_image, IMAGE_SIZE, 3);
	else
		n = gzip(linux_image, IMAGE_SIZE, p + 0x100, 2 * IMAGE_SIZE);
	memcpy(p, "MZ\0\0zimg", 8);
	put_le(p + 8, 0x100, 4);
	put_le(p + 12, n, 4);
	strcpy((char *)p + 24, method);
	put_le(p + 56, 0x818223cd, 4);
	memset(p + 0x100 + n, 0xee, 13);
	return 0x100 + n + 13;
}

/* Two segments; virtual addresses are not the physical ones. */
static size_t make_elf(uint8_t *p)
{
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_EXEC,
			 .e_machine = EM_AARCH64,
			 .e_entry = 0xffff000000001004,
			 .e_phoff = 64,
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 3};
	Elf64_Phdr ph[3] = {
		{.p_type = PT_LOAD,
		 .p_offset = 0x200,
		 .p_vaddr = 0xffff000000001000,
		 .p_paddr = 0x40001000,
		 .p_filesz = 0x100,
		 .p_memsz = 0x100},
		{.p_type = PT_NOTE, .p_offset = ~0ull, .p_filesz = 5},
		{.p_type = PT_LOAD,
		 .p_offset = 0x300,
		 .p_vaddr = 0xffff000000002000,
		 .p_paddr = 0x40002000,
		 .p_filesz = 0x80,
		 .p_memsz = 0x1000},
	};

	memset(p, 0x5a, 0x400);
	memcpy(p, &eh, sizeof(eh));
	memcpy(p + 64, ph, sizeof(ph));
	return 0x400;
}

/* ---- what is taken */

static void an_arm64_Image_is_taken_with_its_header_fields(void **state)
{
	uint8_t p[IMAGE_SIZE];

	make_linux(p);
	put_le(p + 8, 0x80000, 8);
	assert_int_equal(image_parse(&image, p, sizeof(p), LIMIT, &error), 0);
	assert_int_equal(image.kind, IMAGE_LINUX);
	assert_int_equal(image.text_offset, 0x80000);
	assert_int_equal(image.image_size, 0x8000);
	assert_int_equal(image.flags, 0xa);
	assert_ptr_equal(image.data, p);
	assert_int_equal(image.size, sizeof(p));
	image_free(&image);
}

static void expect_unwrapped(const uint8_t *file, size_t size)
{
	uint8_t plain[IMAGE_SIZE];

	make_linux(plain);
	if (image_parse(&image, file, size, LIMIT, &error))
		fail_msg("%s", error.text);
	assert_int_equal(image.kind, IMAGE_LINUX);
	assert_int_equal(image.size, IMAGE_SIZE);
	assert_memory_equal(image.data, plain, IMAGE_SIZE);
	image_free(&image);
}

static void an_Image_in_gzip_is_unwrapped_and_what_follows_is_ignored(void **state)
{
	uint8_t plain[IMAGE_SIZE], p[2 * IMAGE_SIZE];
	size_t n;

	make_linux(plain);
	n = gzip(plain, sizeof(plain), p, sizeof(p) - 4);
	expect_unwrapped(p, n);
	memcpy(p + n, "tail", 4);
	expect_unwrapped(p, n + 4);
}

static void an_Image_in_zstd_is_unwrapped(void **state)
{
	uint8_t plain[IMAGE_SIZE], p[2 * IMAGE_SIZE];

	make_linux(plain);
	expect_unwrapped(p, ZSTD_compress(p, sizeof(p), plain, sizeof(plain), 3));
}

static void an_EFI_zboot_image_is_unwrapped_by_the_size_in_its_header(void **state)
{
	static const char *const methods[] = {"gzip", "zstd", "zstd22"};
	uint8_t p[4 * IMAGE_SIZE];

	for (unsigned i = 0; i < 3; i++)
		expect_unwrapped(p, make_zboot(p, methods[i]));
}

static void a_static_ELF_is_taken_and_its_entry_point_becomes_physical(void **state)
{
	uint8_t p[0x400];
	size_t n = make_elf(p);

	assert_int_equal(image_parse(&image, p, n, LIMIT, &error), 0);
	assert_int_equal(image.kind, IMAGE_ELF);
	assert_int_equal(image.entry, 0x40001004);
	assert_int_equal(image.n_seg, 2);
	assert_int_equal(image.seg[1].ipa, 0x40002000);
	assert_int_equal(image.seg[1].filesz, 0x80);
	assert_int_equal(image.seg[1].memsz, 0x1000);
	image_free(&image);
}

/* ---- what is refused, and how */

static void other_files_are_named(void **state)
{
	static const struct {
		const char *bytes;
		size_t offset, len, size;
		const char *words;
	} files[] = {
		{"HdrS", 0x202, 4, 0x400, "bzImage"},
		{"070701", 0, 6, 200, "--initrd"},
		{"\x27\x05\x19\x56", 0, 4, 200, "uImage"},
		{"\xd0\x0d\xfe\xed", 0, 4, 200, "device tree"},
		{"\xfd"
		 "7zXZ\0",
		 0, 6, 200, "xz"},
		{"\x04\x22\x4d\x18", 0, 4, 200, "lz4"},
		{"BZh9", 0, 4, 200, "bzip2"},
		{"ustar", 257, 5, 600, "tar"},
		{"!<arch>\n", 0, 8, 200, "Debian package"},
		{"hsqs", 0, 4, 200, "squashfs"},
		{"\x18\x28\x6f\x01", 0x24, 4, 200, "32-bit Arm"},
		{"ANDROID!", 0, 8, 200, "Android"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		uint8_t p[1024] = {0};

		memcpy(p + files[i].offset, files[i].bytes, files[i].len);
		expect_refused(p, files[i].size, files[i].words);
	}
	expect_refused("hello\nworld, this is a longer text than a header, to be sure of the case\n", 72,
		       "a text file");
	expect_refused("#!/bin/sh\nexit 0\n", 17, "a script");
	expect_refused("\1\2\3", 3, "only 3 bytes");
	expect_refused("", 0, "empty");
}

static void an_unknown_binary_shows_what_stands_where_the_magic_should(void **state)
{
	uint8_t p[128];

	memset(p, 0xa5, sizeof(p));
	expect_refused(p, sizeof(p), "offset 56 (found a5 a5 a5 a5)");
}

static void an_EFI_program_of_another_machine_is_named(void **state)
{
	uint8_t p[512] = "MZ";

	put_le(p + 60, 0x80, 4);
	memcpy(p + 0x80, "PE\0\0\x64\x86", 6);
	expect_refused(p, sizeof(p), "x86-64");
	put_le(p + 60, 0xfffffff0, 4);
	expect_refused(p, sizeof(p), "DOS or EFI");
}

static void an_ELF_says_what_is_wrong_with_it(void **state)
{
	uint8_t p[0x400];
	Elf64_Ehdr *eh = (Elf64_Ehdr *)p;
	Elf64_Phdr *ph = (Elf64_Phdr *)(p + 64);

	make_elf(p), eh->e_machine = EM_X86_64;
	expect_refused(p, sizeof(p), "an x86-64 ELF");
	make_elf(p), eh->e_machine = EM_ARM, eh->e_ident[EI_CLASS] = ELFCLASS32;
	expect_refused(p, sizeof(p), "32-bit Arm");
	make_elf(p), eh->e_ident[EI_DATA] = ELFDATA2MSB, p[18] = 0, p[19] = EM_AARCH64;
	expect_refused(p, sizeof(p), "little-endian");
	make_elf(p), eh->e_type = ET_DYN;
	expect_refused(p, sizeof(p), "ET_DYN");
	make_elf(p), eh->e_type = ET_REL;
	expect_refused(p, sizeof(p), "ET_REL");
	make_elf(p), eh->e_phnum = 0;
	expect_refused(p, sizeof(p), "without program headers");
	make_elf(p), eh->e_phentsize = 57;
	expect_refused(p, sizeof(p), "57");
	make_elf(p), eh->e_phoff = ~0ull - 10;
	expect_refused(p, sizeof(p), "cut off");
	make_elf(p), ph[0].p_offset = ~0ull - 0x10;
	expect_refused(p, sizeof(p), "cut off: segment 0");
	make_elf(p), ph[0].p_filesz = 0x101;
	expect_refused(p, sizeof(p), "impossible sizes");
	make_elf(p), ph[2].p_memsz = ~0ull;
	expect_refused(p, sizeof(p), "impossible sizes");
	make_elf(p), ph[1].p_type = PT_INTERP;
	expect_refused(p, sizeof(p), "dynamically linked");
	make_elf(p), eh->e_entry = 0x1234;
	expect_refused(p, sizeof(p), "entry point 0x1234");
	make_elf(p), eh->e_entry += 2;
	expect_refused(p, sizeof(p), "multiple of 4");
	make_elf(p), eh->e_entry = 0xffff000000002800; /* in the zeroes behind the second segment */
	expect_refused(p, sizeof(p), "entry point");
	make_elf(p), ph[0].p_type = ph[2].p_type = PT_NULL;
	expect_refused(p, sizeof(p), "without a segment");
}

static void a_zboot_image_says_what_is_wrong_with_it(void **state)
{
	uint8_t p[4 * IMAGE_SIZE];
	size_t n = make_zboot(p, "gzip");

	expect_refused(p, n - 100, "cut off");
	make_zboot(p, "gzip"), put_le(p + 8, 0xffffffff, 4);
	expect_refused(p, n, "cut off");
	make_zboot(p, "gzip"), put_le(p + 8, 0, 4);
	expect_refused(p, n, "cut off");
	make_zboot(p, "lzma");
	expect_refused(p, n, "lzma compression");
	make_zboot(p, "gzip"), put_le(p + 12, 50, 4);
	expect_refused(p, n, "ends early");
	make_zboot(p, "gzip"), memset(p + 0x100, 0xff, 20);
	expect_refused(p, n, "bad gzip");
	n = make_zboot(p, "zstd"), memset(p + 0x100, 0xff, 20);
	expect_refused(p, n, "bad zstd");
}

static void a_wrapped_file_of_another_kind_is_named_with_its_wrapper(void **state)
{
	uint8_t p[1000];
	size_t n = gzip((const uint8_t *)"070701............", 18, p, sizeof(p));

	expect_refused(p, n, "a gzip file: contains a cpio archive");
	n = gzip((const uint8_t *)"", 0, p, sizeof(p));
	expect_refused(p, n, "contains nothing");
}

static void unpacking_stops_at_the_size_of_the_guests_memory(void **state)
{
	uint8_t *zeroes = calloc(1, 2 * LIMIT), p[20000];
	size_t n;

	assert_non_null(zeroes);
	n = gzip(zeroes, 2 * LIMIT, p, sizeof(p));
	expect_refused(p, n, "more than the guest's memory (1 MiB)");
	n = ZSTD_compress(p, sizeof(p), zeroes, 2 * LIMIT, 3);
	expect_refused(p, n, "more than the guest's memory (1 MiB)");
	free(zeroes);
}

/* ---- hostile files: any outcome is right that reads nothing outside the file, which the sanitizer watches */

static unsigned make_corpus(uint8_t corpus[][4 * IMAGE_SIZE], size_t *size)
{
	uint8_t plain[IMAGE_SIZE];

	make_linux(plain);
	make_linux(corpus[0]), size[0] = 128;
	size[1] = make_elf(corpus[1]);
	size[2] = make_zboot(corpus[2], "gzip");
	size[3] = make_zboot(corpus[3], "zstd");
	size[4] = gzip(plain, sizeof(plain), corpus[4], sizeof(corpus[4]));
	size[5] = ZSTD_compress(corpus[5], sizeof(corpus[5]), plain, sizeof(plain), 3);
	return 6;
}

static void every_truncation_is_taken_or_refused_with_a_message(void **state)
{
	static uint8_t corpus[6][4 * IMAGE_SIZE];
	size_t size[6];
	unsigned n = make_corpus(corpus, size);

	for (unsigned i = 0; i < n; i++)
		for (size_t len = 0; len < size[i]; len += len < 700 ? 1 : 61)
			if (parse(corpus[i], len))
				assert_true(error.text[0] != 0);
}

static void mutated_files_do_no_harm(void **state)
{
	static uint8_t corpus[6][4 * IMAGE_SIZE];
	size_t size[6];
	unsigned n = make_corpus(corpus, size);

	for (unsigned seed = 1; seed <= 3000; seed++) {
		unsigned i = seed % n, changes;
		static uint8_t p[4 * IMAGE_SIZE];
		uint32_t r = seed * 2654435761u;

		memcpy(p, corpus[i], size[i]);
		changes = 1 + seed % 4;
		while (changes--) {
			size_t at;

			r = r * 1664525 + 1013904223;
			at = (r >> 8) % (r & 1 ? size[i] : size[i] < 256 ? size[i] : 256);
			r = r * 1664525 + 1013904223;
			p[at] = r & 0x100 ? (uint8_t)(r >> 24) : r & 0x200 ? 0xff : p[at] ^ 1 << (r >> 28 & 7);
		}
		if (parse(p, size[i]))
			assert_true(error.text[0] != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arm64_Image_is_taken_with_its_header_fields),
		cmocka_unit_test(an_Image_in_gzip_is_unwrapped_and_what_follows_is_ignored),
		cmocka_unit_test(an_Image_in_zstd_is_unwrapped),
		cmocka_unit_test(an_EFI_zboot_image_is_unwrapped_by_the_size_in_its_header),
		cmocka_unit_test(a_static_ELF_is_taken_and_its_entry_point_becomes_physical),
		cmocka_unit_test(other_files_are_named),
		cmocka_unit_test(an_unknown_binary_shows_what_stands_where_the_magic_should),
		cmocka_unit_test(an_EFI_program_of_another_machine_is_named),
		cmocka_unit_test(an_ELF_says_what_is_wrong_with_it),
		cmocka_unit_test(a_zboot_image_says_what_is_wrong_with_it),
		cmocka_unit_test(a_wrapped_file_of_another_kind_is_named_with_its_wrapper),
		cmocka_unit_test(unpacking_stops_at_the_size_of_the_guests_memory),
		cmocka_unit_test(every_truncation_is_taken_or_refused_with_a_message),
		cmocka_unit_test(mutated_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
