/* SPDX-License-Identifier: MIT */
/* The firmware configuration device: vmm/fw_cfg.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fw_cfg.h"

enum { RAM_SIZE = 4096, DESC = 0x100, BUF = 0x200 };

static struct fw_cfg fw;
static uint8_t ram[RAM_SIZE];

static uint8_t *get_ram(void *arg, uint64_t ipa, uint64_t len)
{
	ipa -= 0x40000000;
	return ipa <= RAM_SIZE && len <= RAM_SIZE - ipa ? ram + ipa : NULL;
}

static int setup(void **state)
{
	memset(&fw, 0, sizeof(fw));
	memset(ram, 0xee, sizeof(ram));
	fw.ram = get_ram;
	fw_cfg_init(&fw);
	fw_cfg_set(&fw, FW_CFG_CMDLINE_DATA, "console=ttyAMA0", 16);
	fw_cfg_set_number(&fw, FW_CFG_CMDLINE_SIZE, 16, 4);
	return 0;
}

static void wr(uint64_t off, unsigned len, uint32_t val)
{
	fw.dev.ops->write(&fw.dev, off, len, val);
}

static uint32_t rd(uint64_t off, unsigned len)
{
	return fw.dev.ops->read(&fw.dev, off, len);
}

static void select_key(uint16_t key)
{
	wr(8, 2, __builtin_bswap16(key));
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint64_t at, uint32_t val)
{
	val = __builtin_bswap32(val);
	memcpy(ram + at, &val, 4);
}

/* A transfer by DMA; returns the control field afterwards. */
static uint32_t dma(uint32_t control, uint32_t length, uint64_t ipa)
{
	put32(DESC, control);
	put32(DESC + 4, length);
	put32(DESC + 8, (uint32_t)(ipa >> 32));
	put32(DESC + 12, (uint32_t)ipa);
	wr(16, 4, 0);
	wr(20, 4, __builtin_bswap32(0x40000000 + DESC));
	return be32(ram + DESC);
}

static void the_data_register_gives_the_bytes_in_order_whatever_the_width(void **state)
{
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(rd(0, 1), 'Q');
	assert_int_equal(rd(0, 2), 'E' | 'M' << 8);
	assert_int_equal(rd(0, 1), 'U');
	assert_int_equal(rd(0, 4), 0);
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(rd(0, 4), 'Q' | 'E' << 8 | 'M' << 16 | (uint32_t)'U' << 24);
	assert_int_equal(rd(4, 4), 0);
}

static void the_id_offers_DMA_and_the_DMA_register_has_its_signature(void **state)
{
	select_key(FW_CFG_ID);
	assert_int_equal(rd(0, 4), 3);
	assert_int_equal(rd(16, 4), 'Q' | 'E' << 8 | 'M' << 16 | (uint32_t)'U' << 24);
	assert_int_equal(rd(20, 4), ' ' | 'C' << 8 | 'F' << 16 | (uint32_t)'G' << 24);
}

static void numbers_are_little_endian_and_the_directory_is_empty(void **state)
{
	select_key(FW_CFG_CMDLINE_SIZE);
	assert_int_equal(rd(0, 4), 16);
	select_key(FW_CFG_FILE_DIR);
	assert_int_equal(rd(0, 4), 0);
}

static void an_unknown_key_reads_as_zeros(void **state)
{
	for (unsigned key = 0; key < 0x10000; key += 7) {
		select_key((uint16_t)key);
		for (unsigned i = 0; i < 20; i++)
			rd(0, 4);
		assert_int_equal(rd(0, 4), 0);
	}
}

static void DMA_selects_skips_and_reads(void **state)
{
	assert_int_equal(dma(FW_CFG_CMDLINE_DATA << 16 | 8 | 4, 8, 0), 0);
	assert_int_equal(dma(2, 4, 0x40000000 + BUF), 0);
	assert_memory_equal(ram + BUF, "ttyA\xee", 5);
	assert_int_equal(dma(2, 16, 0x40000000 + BUF), 0);
	assert_memory_equal(ram + BUF, "MA0\0\0\0\0\0\0\0\0\0\0\0\0\0\xee", 17);
}

static void DMA_outside_of_RAM_is_an_error_and_writes_nothing(void **state)
{
	assert_int_equal(dma(FW_CFG_SIGNATURE << 16 | 8 | 2, 4, 0x40000000 + RAM_SIZE - 3), 1);
	assert_int_equal(ram[RAM_SIZE - 1], 0xee);
	assert_int_equal(dma(FW_CFG_SIGNATURE << 16 | 8 | 2, 0xffffffff, 0x40000000), 1);
	assert_int_equal(dma(FW_CFG_SIGNATURE << 16 | 8 | 2, 4, UINT64_MAX - 1), 1);
	assert_int_equal(dma(FW_CFG_SIGNATURE << 16 | 8 | 2, 0, UINT64_MAX), 0);
	/* a descriptor outside of it has nobody to tell */
	wr(16, 4, 0xffffffff);
	wr(20, 4, 0xffffffff);
}

static void items_cannot_be_written(void **state)
{
	assert_int_equal(dma(FW_CFG_SIGNATURE << 16 | 8 | 16, 4, 0x40000000 + BUF), 1);
	select_key(FW_CFG_SIGNATURE);
	wr(0, 4, 0x12345678);
	assert_int_equal(rd(0, 1), 'Q');
}

static void a_skip_beyond_the_end_stays_there(void **state)
{
	select_key(FW_CFG_SIGNATURE);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(dma(4, 0xffffffff, 0), 0);
	assert_int_equal(rd(0, 4), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(the_data_register_gives_the_bytes_in_order_whatever_the_width),
		T(the_id_offers_DMA_and_the_DMA_register_has_its_signature),
		T(numbers_are_little_endian_and_the_directory_is_empty),
		T(an_unknown_key_reads_as_zeros),
		T(DMA_selects_skips_and_reads),
		T(DMA_outside_of_RAM_is_an_error_and_writes_nothing),
		T(items_cannot_be_written),
		T(a_skip_beyond_the_end_stays_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
