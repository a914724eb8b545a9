/* SPDX-License-Identifier: MIT */
/* base/bits.h: bit fields at the edges of a 64-bit value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bits.h"

static void ones_reach_from_none_to_all(void **state)
{
	assert_int_equal(bits_ones(0), 0);
	assert_int_equal(bits_ones(1), 1);
	assert_int_equal(bits_ones(63), INT64_MAX);
	assert_int_equal(bits_ones(64), UINT64_MAX);
}

static void a_field_is_read_between_both_bounds_included(void **state)
{
	assert_int_equal(bits_get(0x8000000000000001, 0, 0), 1);
	assert_int_equal(bits_get(0x8000000000000001, 63, 63), 1);
	assert_int_equal(bits_get(0x8000000000000001, 63, 0), 0x8000000000000001);
	assert_int_equal(bits_get(0x0000000012345678, 27, 8), 0x23456);
	assert_true(bits_test(0x8000000000000000, 63));
	assert_false(bits_test(0x8000000000000000, 62));
}

static void a_written_field_leaves_its_neighbours_alone(void **state)
{
	assert_int_equal(bits_set(UINT64_MAX, 15, 8, 0), 0xffffffffffff00ff);
	assert_int_equal(bits_set(0, 15, 8, 0x1ff), 0xff00);
	assert_int_equal(bits_set(0x55, 63, 0, 0xaa), 0xaa);
}

static void sign_extension_copies_the_topmost_bit(void **state)
{
	assert_int_equal(bits_sext(0x80, 8), -128);
	assert_int_equal(bits_sext(0xff7f, 8), 127);
	assert_int_equal(bits_sext(1, 1), -1);
	assert_int_equal(bits_sext(0x8000000000000000, 64), INT64_MIN);
}

static void alignment_keeps_what_is_aligned(void **state)
{
	assert_int_equal(align_down(0x1fff, 0x1000), 0x1000);
	assert_int_equal(align_up(0x1000, 0x1000), 0x1000);
	assert_int_equal(align_up(0x1001, 0x1000), 0x2000);
	assert_int_equal(align_up(UINT64_MAX, 0x1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ones_reach_from_none_to_all),
		cmocka_unit_test(a_field_is_read_between_both_bounds_included),
		cmocka_unit_test(a_written_field_leaves_its_neighbours_alone),
		cmocka_unit_test(sign_extension_copies_the_topmost_bit),
		cmocka_unit_test(alignment_keeps_what_is_aligned),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
