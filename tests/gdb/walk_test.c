/* SPDX-License-Identifier: MIT */
/*
 * Memory through the guest's own tables (gdb/walk.c): both halves, every granule, sizes of address, blocks, page-table
 * isolation, the masks of pointer authentication. Tables and addresses are written down from the manual (DDI 0487, "VMSAv8-64
 * translation table format descriptors"), not computed as the walk does it.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "server.h"

#define SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define TCR_EL1 ARM64_SYS_REG(3, 0, 2, 0, 2)

#define TG0_4K (UINT64_C(0) << 14)
#define TG0_64K (UINT64_C(1) << 14)
#define TG0_16K (UINT64_C(2) << 14)
#define TG1_16K (UINT64_C(1) << 30)
#define TG1_4K (UINT64_C(2) << 30)
#define TG1_64K (UINT64_C(3) << 30)
#define T0SZ(va_bits) ((uint64_t)(64 - (va_bits)))
#define T1SZ(va_bits) ((uint64_t)(64 - (va_bits)) << 16)
#define EPD0 (UINT64_C(1) << 7)
#define EPD1 (UINT64_C(1) << 23)
#define TBI0 (UINT64_C(1) << 37)
#define TBI1 (UINT64_C(1) << 38)
#define TBID0 (UINT64_C(1) << 51)
#define DS (UINT64_C(1) << 59)

/* Attributes that a walk must not take for an address: XN bits above, AF, SH, AP, AttrIndx below. */
#define ATTRIBUTES (UINT64_C(0x0060000000000000) | 0x724)
#define TABLE(ipa) ((uint64_t)(ipa) | 3)
#define PAGE(ipa) ((uint64_t)(ipa) | ATTRIBUTES | 3)
#define BLOCK(ipa) ((uint64_t)(ipa) | ATTRIBUTES | 1)

enum { L0 = RAM, L1 = RAM + 0x4000, L2 = RAM + 0x8000, L3 = RAM + 0xc000 };

#define HIGH(va_bits) (~UINT64_C(0) << (va_bits)) /* the first address of the upper half */
/* Addresses by their indices into the tables of the levels, and the rest. */
#define VA_4K(l0, l1, l2, l3, rest) \
	((uint64_t)(l0) << 39 | (uint64_t)(l1) << 30 | (uint64_t)(l2) << 21 | (uint64_t)(l3) << 12 | (rest))
#define VA_16K(l0, l1, l2, l3, rest) \
	((uint64_t)(l0) << 47 | (uint64_t)(l1) << 36 | (uint64_t)(l2) << 25 | (uint64_t)(l3) << 14 | (rest))
#define VA_64K(l1, l2, l3, rest) ((uint64_t)(l1) << 42 | (uint64_t)(l2) << 29 | (uint64_t)(l3) << 16 | (rest))

static int mmu_on(void **state)
{
	memset(&m, 0, sizeof(m));
	set_reg(0, SCTLR_EL1, 1);
	return 0;
}

static void regime(uint64_t tcr, uint64_t ttbr0, uint64_t ttbr1)
{
	set_reg(0, TCR_EL1, tcr);
	set_reg(0, TTBR0_EL1, ttbr0);
	set_reg(0, TTBR1_EL1, ttbr1);
}

static void put(uint64_t table, unsigned index, uint64_t descriptor)
{
	memcpy(m.ram + (table - RAM) + 8 * index, &descriptor, 8);
}

static void expect_at(uint64_t va, uint64_t want, unsigned line)
{
	uint64_t ipa = 0;

	if (gdb_translate(&fake_ops, NULL, 0, va, &ipa) || ipa != want)
		fail_msg("line %u: %#" PRIx64 " is at %#" PRIx64 ", not %#" PRIx64, line, va, ipa, want);
}

static void expect_fault_at(uint64_t va, unsigned line)
{
	uint64_t ipa;

	if (!gdb_translate(&fake_ops, NULL, 0, va, &ipa))
		fail_msg("line %u: %#" PRIx64 " is at %#" PRIx64 ", and should be nowhere", line, va, ipa);
}

#define expect(va, ipa) expect_at(va, ipa, __LINE__)
#define expect_fault(va) expect_fault_at(va, __LINE__)

static void with_the_mmu_off_an_address_is_physical(void **state)
{
	set_reg(0, SCTLR_EL1, 0);
	regime(TG0_4K | T0SZ(48) | TG1_4K | T1SZ(48), L0, L0);
	expect(0x40001234, 0x40001234);
}

static void pages_of_4k_have_up_to_four_levels(void **state)
{
	regime(TG0_4K | T0SZ(48) | TG1_4K | T1SZ(39), L0, L1);
	put(L0, 258, TABLE(L1));
	put(L1, 141, TABLE(L2));
	put(L2, 43, TABLE(L3));
	put(L3, 511, PAGE(0xfedcba987000));
	expect(VA_4K(258, 141, 43, 511, 0xabc), 0xfedcba987abc);
	expect(HIGH(39) | VA_4K(0, 141, 43, 511, 0xfff), 0xfedcba987fff); /* 39 bits begin at level 1 */
	expect_fault(VA_4K(258, 141, 43, 510, 0xabc));
	expect_fault(VA_4K(258, 141, 44, 511, 0xabc));
	expect_fault(VA_4K(258, 142, 43, 511, 0xabc));
	expect_fault(VA_4K(257, 141, 43, 511, 0xabc));
}

static void pages_of_16k_have_up_to_four_levels(void **state)
{
	regime(TG0_16K | T0SZ(47) | TG1_16K | T1SZ(48), L1, L0);
	put(L0, 1, TABLE(L1));
	put(L1, 2047, TABLE(L2));
	put(L2, 1024, TABLE(L3));
	put(L3, 3, PAGE(0xfedcba984000));
	expect(VA_16K(0, 2047, 1024, 3, 0x3abc), 0xfedcba987abc); /* 47 bits begin at level 1 */
	expect(HIGH(48) | VA_16K(1, 2047, 1024, 3, 0x1), 0xfedcba984001);
	expect_fault(HIGH(48) | VA_16K(0, 2047, 1024, 3, 0x1));
	regime(TG0_16K | T0SZ(36) | TG1_16K | T1SZ(36), L2, L2); /* and 36 at level 2 */
	expect(VA_16K(0, 0, 1024, 3, 0x10), 0xfedcba984010);
	expect(HIGH(36) | VA_16K(0, 0, 1024, 3, 0x10), 0xfedcba984010);
}

static void pages_of_64k_have_up_to_three_levels(void **state)
{
	regime(TG0_64K | T0SZ(48) | TG1_64K | T1SZ(42), RAM, RAM);
	put(RAM, 63, TABLE(RAM)); /* one table, as large as all of this memory, is that of each level */
	put(RAM, 8191, TABLE(RAM));
	put(RAM, 17, PAGE(0xfedcba980000));
	expect(VA_64K(63, 8191, 17, 0x7abc), 0xfedcba987abc);
	expect(HIGH(42) | VA_64K(0, 8191, 17, 0xffff), 0xfedcba98ffff);
	expect_fault(VA_64K(62, 8191, 17, 0));
	expect_fault(VA_64K(63, 8191, 18, 0));
}

static void addresses_of_52_bits_have_their_upper_bits_elsewhere(void **state)
{
	/* 64K: bits 51:48 of the output in 15:12 */
	regime(TG0_64K | T0SZ(52), RAM, 0);
	put(RAM, 1023, TABLE(RAM));
	put(RAM, 5, TABLE(RAM));
	put(RAM, 17, PAGE(0xedcba9870000 | 0xf << 12));
	expect(VA_64K(1023, 5, 17, 0x1234), 0xfedcba9871234);
	regime(TG0_64K | T0SZ(52), RAM | 1 << 2, 0); /* bits 51:48 of the table in 5:2: it is not in this memory */
	expect_fault(VA_64K(1023, 5, 17, 0x1234));

	/* 4K with DS: bits 51:50 in 9:8, and a level -1 of 4 bits */
	memset(m.ram, 0, sizeof(m.ram));
	regime(DS | TG0_4K | T0SZ(52), L0, 0);
	put(L0, 15, TABLE(L1));
	put(L1, 1, TABLE(L1));
	put(L1, 2, TABLE(L2));
	put(L2, 3, TABLE(L3));
	put(L3, 4, (PAGE(0x3edcba9876000) & ~UINT64_C(0x300)) | 3 << 8);
	expect(UINT64_C(15) << 48 | VA_4K(1, 2, 3, 4, 0x123), 0xfedcba9876123);
	expect_fault(UINT64_C(14) << 48 | VA_4K(1, 2, 3, 4, 0x123));

	/* 16K with DS: the same, a level 0 of 5 bits */
	regime(DS | TG0_16K | T0SZ(52), L0, 0);
	put(L0, 31, TABLE(L1));
	put(L3, 4, (PAGE(0x3edcba9874000) & ~UINT64_C(0x300)) | 3 << 8);
	expect(VA_16K(31, 2, 3, 4, 0x123), 0xfedcba9874123);
}

static void blocks_end_a_walk_early(void **state)
{
	const struct view *v = &view_virtual;
	struct target t = {.ops = &fake_ops};
	uint64_t ipa, size;

	regime(TG0_4K | T0SZ(48), L0, 0);
	put(L0, 0, TABLE(L1));
	put(L1, 1, BLOCK(0xfed000000000 & ~0x3fffffffULL)); /* 1 GiB */
	put(L1, 2, TABLE(L2));
	put(L2, 7, BLOCK(0xfed0ca600000)); /* 2 MiB */
	put(L2, 8, TABLE(L3));
	put(L3, 0, BLOCK(0xfed0ca600000)); /* is none at the last level */
	expect(VA_4K(0, 1, 0x123, 0x45, 0x678), 0xfed000000000 | 0x123 << 21 | 0x45678);
	expect(VA_4K(0, 2, 7, 0x45, 0x678), 0xfed0ca645678);
	expect_fault(VA_4K(0, 2, 8, 0, 0));
	assert_int_equal(walk(&t, 0, v, VA_4K(0, 2, 7, 1, 1), &ipa, &size), 0);
	assert_int_equal(size, 0x200000 - 0x1001); /* bytes up to its end */

	regime(TG0_16K | T0SZ(36), L2, 0);
	put(L2, 7, BLOCK(0xfed0ca000000)); /* 32 MiB */
	expect(VA_16K(0, 0, 7, 0x45, 0x678), 0xfed0ca000678 | 0x45 << 14);
	regime(TG0_64K | T0SZ(42), RAM, 0); /* a table of 64 KiB, aligned */
	put(RAM, 7, BLOCK(0xfed0c0000000)); /* 512 MiB */
	expect(VA_64K(0, 7, 0x45, 0x678), 0xfed0c0450678);
}

static void an_address_belongs_to_a_half_or_to_none(void **state)
{
	put(L1, 1, BLOCK(0x40000000));
	put(L2, 1, BLOCK(0x80000000));
	regime(TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1 | UINT64_C(0xabcd) << 48 | 1, L2 | UINT64_C(0x1234) << 48 | 1);
	expect(0x40000010, 0x40000010); /* the ASID and CnP are no part of a table's address */
	expect(HIGH(39) | 0x40000010, 0x80000010);
	expect_fault(UINT64_C(1) << 39 | 0x40000010);
	expect_fault(HIGH(40) | 0x40000010);
	expect_fault(UINT64_C(0x5500000040000010));
	regime(TBI0 | TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	expect(0x5500000040000010, 0x40000010); /* the top byte is ignored in one half */
	expect_fault(0x55ffff8040000010);
	regime(TBI1 | TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	expect(0x55ffff8040000010, 0x80000010);
	expect_fault(0x5500000040000010);
	regime(EPD0 | TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	expect_fault(0x40000010);
	expect(HIGH(39) | 0x40000010, 0x80000010);
	regime(EPD1 | TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	expect(0x40000010, 0x40000010);
	expect_fault(HIGH(39) | 0x40000010);
	regime(UINT64_C(3) << 14 | T0SZ(39) | T1SZ(39), L1, L2); /* reserved granules */
	expect_fault(0x40000010);
	expect_fault(HIGH(39) | 0x40000010);
}

static void a_view_of_another_table_changes_the_lower_half_only(void **state)
{
	const struct view other = {.kind = VIEW_TABLE, .ttbr0 = L3}, physical = {.kind = VIEW_PHYSICAL};
	struct target t = {.ops = &fake_ops};
	uint64_t ipa, size;

	put(L1, 1, BLOCK(0x40000000));
	put(L2, 1, BLOCK(0x80000000));
	put(L3, 1, BLOCK(0xc0000000));
	regime(TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	assert_int_equal(walk(&t, 0, &other, 0x40000010, &ipa, &size), 0);
	assert_int_equal(ipa, 0xc0000010);
	assert_int_equal(walk(&t, 0, &other, HIGH(39) | 0x40000010, &ipa, &size), 0);
	assert_int_equal(ipa, 0x80000010);
	assert_int_equal(walk(&t, 0, &physical, 0x12345678, &ipa, &size), 0);
	assert_int_equal(ipa, 0x12345678);
}

static void in_user_space_the_kernels_own_table_is_asked_too(void **state)
{
	struct target t = {.ops = &fake_ops, .kernel_ttbr1 = L3};
	uint64_t ipa, size;

	put(L2, 1, BLOCK(0x80000000)); /* the trampoline's table */
	put(L3, 1, BLOCK(0xc0000000));
	put(L3, 2, BLOCK(0x100000000));
	regime(TG0_4K | T0SZ(39) | TG1_4K | T1SZ(39), L1, L2);
	assert_int_equal(walk(&t, 0, &view_virtual, HIGH(39) | 0x40000010, &ipa, &size), 0);
	assert_int_equal(ipa, 0x80000010); /* what is mapped comes first */
	assert_int_equal(walk(&t, 0, &view_virtual, HIGH(39) | 0x80000010, &ipa, &size), 0);
	assert_int_equal(ipa, 0x100000010);
	assert_int_not_equal(walk(&t, 0, &view_virtual, 0x80000010, &ipa, &size), 0);
}

static void the_mask_of_pointer_authentication_is_what_no_address_needs(void **state)
{
	struct target t = {.ops = &fake_ops};

	regime(TBI0 | TBID0 | T0SZ(48) | T1SZ(39), 0, 0);
	assert_int_equal(walk_pac_mask(&t, 0, true, true), UINT64_C(0xff7fff8000000000));
	assert_int_equal(walk_pac_mask(&t, 0, false, false), UINT64_C(0x007f000000000000)); /* not the ignored byte */
	assert_int_equal(walk_pac_mask(&t, 0, false, true), UINT64_C(0xff7f000000000000));  /* ignored for data only */
	regime(T0SZ(52) | T1SZ(52), 0, 0);
	assert_int_equal(walk_pac_mask(&t, 0, true, true), UINT64_C(0xff70000000000000));
}

static bool count_loop(void *arg, uint64_t va, uint64_t desc, uint64_t size)
{
	(*(unsigned *)arg)++;
	return true;
}

static void tables_that_point_at_themselves_come_to_an_end(void **state)
{
	struct target t = {.ops = &fake_ops};
	unsigned pages = 0;

	for (unsigned i = 0; i < 512; i++)
		put(L0, i, TABLE(L0));
	regime(TG1_4K | T1SZ(48), L0, L0);
	expect(HIGH(48) | VA_4K(1, 2, 3, 4, 5), L0 | 5);
	walk_high(&t, 0, L0, count_loop, &pages);
	assert_true(pages > 0);
	regime(TG1_4K | T1SZ(48), 0, 0x90000000); /* and a table where no memory is, at once */
	expect_fault(HIGH(48) | VA_4K(1, 2, 3, 4, 5));
}

#define T(name) cmocka_unit_test_setup(name, mmu_on)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(with_the_mmu_off_an_address_is_physical),
		T(pages_of_4k_have_up_to_four_levels),
		T(pages_of_16k_have_up_to_four_levels),
		T(pages_of_64k_have_up_to_three_levels),
		T(addresses_of_52_bits_have_their_upper_bits_elsewhere),
		T(blocks_end_a_walk_early),
		T(an_address_belongs_to_a_half_or_to_none),
		T(a_view_of_another_table_changes_the_lower_half_only),
		T(in_user_space_the_kernels_own_table_is_asked_too),
		T(the_mask_of_pointer_authentication_is_what_no_address_needs),
		T(tables_that_point_at_themselves_come_to_an_end),
	};

	return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
