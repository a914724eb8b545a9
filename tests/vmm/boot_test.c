/* SPDX-License-Identifier: MIT */
/* Where kernel, initrd and device tree go: vmm/boot.h, "Booting AArch64 Linux". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "boot.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define BASE UINT64_C(0x40000000)

static struct boot_plan plan;
static struct vmm_error error;

static struct image linux_image(uint64_t text_offset, uint64_t image_size, size_t file_size)
{
	return (struct image){
		.kind = IMAGE_LINUX, .text_offset = text_offset, .image_size = image_size, .size = file_size};
}

static int make_plan(const struct image *image, uint64_t initrd_size, uint64_t ram_size)
{
	memset(&error, 0, sizeof(error));
	return boot_plan(&plan, image, initrd_size, (struct boot_ram){BASE, ram_size}, &error);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size && b_size && a < b + b_size && b < a + a_size;
}

/* What must hold of every plan, whatever was asked for. */
static void expect_sound(uint64_t initrd_size, uint64_t ram_size)
{
	uint64_t kernel_size = plan.kernel_end - plan.kernel;

	assert_true(plan.kernel >= BASE && plan.kernel_end <= BASE + ram_size);
	assert_true(plan.dtb >= BASE && plan.dtb + BOOT_DTB_SIZE <= BASE + ram_size);
	assert_int_equal(plan.dtb % BOOT_DTB_SIZE, 0);
	assert_int_equal(plan.initrd_size, initrd_size);
	if (initrd_size)
		assert_true(plan.initrd >= BASE && plan.initrd + initrd_size <= BASE + ram_size);
	assert_false(overlap(plan.kernel, kernel_size, plan.dtb, BOOT_DTB_SIZE));
	assert_false(overlap(plan.kernel, kernel_size, plan.initrd, initrd_size));
	assert_false(overlap(plan.initrd, initrd_size, plan.dtb, BOOT_DTB_SIZE));
}

static void a_kernel_of_today_goes_2_MiB_above_the_base_and_the_initrd_to_128_MiB(void **state)
{
	struct image k = linux_image(0, 32 * MIB, 31 * MIB);

	assert_int_equal(make_plan(&k, 10 * MIB, 512 * MIB), 0);
	expect_sound(10 * MIB, 512 * MIB);
	assert_int_equal(plan.kernel, BASE + 2 * MIB);
	assert_int_equal(plan.kernel_end, BASE + 34 * MIB);
	assert_int_equal(plan.entry, plan.kernel);
	assert_int_equal(plan.initrd, BASE + 128 * MIB);
	assert_int_equal(plan.dtb, BASE + 138 * MIB);
}

static void text_offset_is_kept_from_a_2_MiB_boundary(void **state)
{
	struct image k = linux_image(0x80000, 16 * MIB, 15 * MIB);

	assert_int_equal(make_plan(&k, 0, 512 * MIB), 0);
	assert_int_equal(plan.kernel, BASE + 0x80000);
	k.text_offset = 0x1f0000;
	assert_int_equal(make_plan(&k, 0, 512 * MIB), 0);
	assert_int_equal(plan.kernel % (2 * MIB), 0x1f0000);
}

static void a_kernel_without_image_size_is_an_old_one_at_text_offset_0x80000(void **state)
{
	struct image k = linux_image(0x1234567, 0, 10 * MIB);

	assert_int_equal(make_plan(&k, 0, 512 * MIB), 0);
	assert_int_equal(plan.kernel, BASE + 0x80000);
	assert_true(plan.kernel_end - plan.kernel > 10 * MIB);
}

static void the_initrd_goes_behind_a_kernel_that_reaches_beyond_128_MiB(void **state)
{
	struct image k = linux_image(0, 200 * MIB, 100 * MIB);

	assert_int_equal(make_plan(&k, MIB, 512 * MIB), 0);
	expect_sound(MIB, 512 * MIB);
	assert_true(plan.initrd >= plan.kernel_end);
}

static void what_does_not_fit_is_named(void **state)
{
	struct image k = linux_image(0, 32 * MIB, 31 * MIB);

	assert_int_equal(make_plan(&k, 0, 16 * MIB), -1);
	assert_non_null(strstr(error.text, "the kernel needs 32 MiB"));
	assert_int_equal(make_plan(&k, 100 * MIB, 128 * MIB), -1);
	assert_non_null(strstr(error.text, "the initrd"));
	assert_non_null(strstr(error.text, "100 MiB"));
	assert_int_equal(make_plan(&k, 0, 32 * MIB), -1);
	assert_non_null(strstr(error.text, "the device tree"));
	k.text_offset = ~UINT64_C(3);
	assert_int_equal(make_plan(&k, 0, 512 * MIB), -1);
	assert_non_null(strstr(error.text, "text_offset"));
	k = linux_image(0, ~UINT64_C(0), 31 * MIB);
	assert_int_equal(make_plan(&k, 0, 512 * MIB), -1);
	k = linux_image(2, 0x1000, 0x1000);
	assert_int_equal(make_plan(&k, 0, 512 * MIB), -1);
}

static void little_memory_is_used_to_the_end(void **state)
{
	struct image k = linux_image(0, 32 * MIB, 31 * MIB);

	assert_int_equal(make_plan(&k, 20 * MIB, 64 * MIB), 0);
	expect_sound(20 * MIB, 64 * MIB);
	assert_int_equal(make_plan(&k, 0, 34 * MIB), 0);
	expect_sound(0, 34 * MIB);
}

static void kernel_and_initrd_stay_within_32_GiB(void **state)
{
	struct image k = linux_image(0, 32 * MIB, 31 * MIB);

	assert_int_equal(make_plan(&k, 31 * GIB, 64 * GIB), 0);
	assert_int_equal(make_plan(&k, 33 * GIB, 64 * GIB), -1);
	assert_non_null(strstr(error.text, "32 GiB"));
}

static void segments_of_an_ELF_lie_where_they_say_and_the_rest_beside_them(void **state)
{
	struct image k = {.kind = IMAGE_ELF, .entry = BASE + 0x100000, .n_seg = 2};

	k.seg[0] = (struct image_segment){.ipa = BASE + 0x100000, .memsz = MIB};
	k.seg[1] = (struct image_segment){.ipa = BASE + 60 * MIB, .memsz = 4 * MIB};
	assert_int_equal(make_plan(&k, 0, 128 * MIB), 0);
	expect_sound(0, 128 * MIB);
	assert_int_equal(plan.entry, BASE + 0x100000);
	k.seg[1].memsz = 68 * MIB;
	assert_int_equal(make_plan(&k, 0, 128 * MIB), -1);
	k.seg[1].memsz = 69 * MIB;
	assert_int_equal(make_plan(&k, 0, 128 * MIB), -1);
	assert_non_null(strstr(error.text, "outside the guest's memory"));
	k.seg[1] = (struct image_segment){.ipa = 0x1000, .memsz = 1};
	assert_int_equal(make_plan(&k, 0, 128 * MIB), -1);
	k.seg[1] = (struct image_segment){.ipa = ~UINT64_C(0) - 5, .memsz = 3};
	assert_int_equal(make_plan(&k, 0, 128 * MIB), -1);
}

static void every_plan_is_sound_or_refused(void **state)
{
	uint32_t r = 12345;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t v[4];
		struct image k;

		for (unsigned j = 0; j < 4; j++) {
			r = r * 1664525 + 1013904223;
			v[j] = (r >> 4) % 200 * (i & 1 ? MIB : MIB / 3 & ~7ull);
		}
		k = linux_image(v[0] & 0x1ffffc, v[1], v[1] / 2 + 64);
		if (!make_plan(&k, v[2], v[3] + 0x10000))
			expect_sound(v[2], v[3] + 0x10000);
		else
			assert_true(error.text[0] != 0);
	}
}

static void loading_copies_the_file_and_clears_the_rest_of_a_segment(void **state)
{
	enum { SIZE = 0x4000 };
	uint8_t file[16] = "0123456789abcdef", *ram = malloc(SIZE);
	struct image k = {.kind = IMAGE_ELF, .data = file, .size = sizeof(file), .n_seg = 1};

	assert_non_null(ram);
	memset(ram, 0xee, SIZE);
	k.seg[0] = (struct image_segment){.ipa = BASE + SIZE - 16, .offset = 4, .filesz = 12, .memsz = 16};
	boot_load(&plan, &k, ram, (struct boot_ram){BASE, SIZE});
	assert_memory_equal(ram + SIZE - 16, "456789abcdef\0\0\0\0", 16);
	assert_int_equal(ram[SIZE - 17], 0xee);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_of_today_goes_2_MiB_above_the_base_and_the_initrd_to_128_MiB),
		cmocka_unit_test(text_offset_is_kept_from_a_2_MiB_boundary),
		cmocka_unit_test(a_kernel_without_image_size_is_an_old_one_at_text_offset_0x80000),
		cmocka_unit_test(the_initrd_goes_behind_a_kernel_that_reaches_beyond_128_MiB),
		cmocka_unit_test(what_does_not_fit_is_named),
		cmocka_unit_test(little_memory_is_used_to_the_end),
		cmocka_unit_test(kernel_and_initrd_stay_within_32_GiB),
		cmocka_unit_test(segments_of_an_ELF_lie_where_they_say_and_the_rest_beside_them),
		cmocka_unit_test(every_plan_is_sound_or_refused),
		cmocka_unit_test(loading_copies_the_file_and_clears_the_rest_of_a_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
