/* SPDX-License-Identifier: MIT */
/* The flash's commands: vmm/flash.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "flash.h"

static struct flash flash;
static bool shown, full;
static unsigned n_shows;
static uint64_t kept_off, kept_len;

static void show(void *arg, bool array)
{
	shown = array;
	n_shows++;
}

static bool keep(void *arg, uint64_t off, uint64_t len)
{
	kept_off = off;
	kept_len = len;
	return !full;
}

static int setup(void **state)
{
	memset(&flash, 0, sizeof(flash));
	flash.bytes = flash_bytes();
	if (!flash.bytes)
		return -1;
	flash.writable = true;
	flash.show = show;
	flash.keep = keep;
	shown = full = false;
	kept_off = kept_len = 0;
	flash_init(&flash);
	return 0;
}

static int teardown(void **state)
{
	munmap(flash.bytes, FLASH_BANK);
	return 0;
}

static uint32_t rd(uint64_t off)
{
	return flash.dev.ops->read(&flash.dev, off, 4);
}

static void wr(uint64_t off, uint32_t val)
{
	flash.dev.ops->write(&flash.dev, off, 4, val);
}

/* A command for both chips, as drivers write it. */
static void both(uint64_t off, uint16_t cmd)
{
	wr(off, cmd | (uint32_t)cmd << 16);
}

static void program(uint64_t off, uint32_t val)
{
	both(off, 0x40);
	wr(off, val);
	assert_int_equal(rd(off), 0x00800080);
	both(off, 0xff);
}

static void it_starts_erased_and_shown(void **state)
{
	assert_true(shown);
	for (uint64_t off = 0; off < FLASH_BANK; off += 65532)
		assert_int_equal(rd(off & ~3ull), 0xffffffff);
	assert_int_equal(rd(FLASH_BANK - 4), 0xffffffff);
}

static void a_query_says_two_chips_with_the_Intel_command_set(void **state)
{
	both(0x55 * 4, 0x98);
	assert_false(shown);
	assert_int_equal(rd(0x10 * 4), 'Q' | 'Q' << 16);
	assert_int_equal(rd(0x11 * 4), 'R' | 'R' << 16);
	assert_int_equal(rd(0x12 * 4), 'Y' | 'Y' << 16);
	assert_int_equal(rd(0x13 * 4), 0x00010001);
	assert_int_equal(rd(0x27 * 4) & 0xff, 25); /* two chips of 2^25 are the bank */
	/* number of blocks times block size is the chip */
	assert_int_equal(((rd(0x2d * 4) & 0xff) + 1) * ((rd(0x2f * 4) & 0xff) | (rd(0x30 * 4) & 0xff) << 8) * 256,
			 1 << 25);
	assert_int_equal(rd(0x31 * 4), 'P' | 'P' << 16);
	assert_int_equal(rd(0x1000), 0);
	both(0, 0xff);
	assert_true(shown);
	assert_int_equal(rd(0), 0xffffffff);
}

static void the_identity_is_there_in_each_block(void **state)
{
	both(FLASH_BLOCK * 3, 0x90);
	assert_int_equal(rd(FLASH_BLOCK * 3), 0x00890089);
	assert_int_equal(rd(FLASH_BLOCK * 3 + 4), 0x00180018);
	assert_int_equal(rd(FLASH_BLOCK * 3 + 8), 0);
}

static void programming_only_clears_bits(void **state)
{
	program(0x100, 0xff00ff0f);
	assert_int_equal(rd(0x100), 0xff00ff0f);
	program(0x100, 0x12345678);
	assert_int_equal(rd(0x100), 0x12345678 & 0xff00ff0f);
	assert_int_equal(kept_off, 0x100);
	assert_int_equal(kept_len, 4);
}

static void an_erase_sets_the_bits_of_its_block(void **state)
{
	program(FLASH_BLOCK - 4, 0);
	program(FLASH_BLOCK + 4, 0);
	program(2 * FLASH_BLOCK, 0);
	both(FLASH_BLOCK + 0x40, 0x20);
	both(FLASH_BLOCK + 0x40, 0xd0);
	assert_int_equal(rd(0), 0x00800080);
	both(0, 0xff);
	assert_int_equal(rd(FLASH_BLOCK - 4), 0);
	assert_int_equal(rd(FLASH_BLOCK + 4), 0xffffffff);
	assert_int_equal(rd(2 * FLASH_BLOCK), 0);
	assert_int_equal(kept_off, FLASH_BLOCK);
	assert_int_equal(kept_len, FLASH_BLOCK);
}

static void a_buffer_is_programmed_when_it_is_confirmed(void **state)
{
	both(0x200, 0xe8);
	assert_int_equal(rd(0x200), 0x00800080);
	both(0x200, 3);
	for (uint32_t i = 0; i < 4; i++)
		wr(0x200 + 4 * i, i);
	assert_int_equal(flash.bytes[0x200], 0xff);
	both(0x200, 0xd0);
	assert_int_equal(rd(0x200), 0x00800080);
	both(0, 0xff);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(rd(0x200 + 4 * i), i);
	assert_int_equal(rd(0x210), 0xffffffff);
	assert_int_equal(kept_len, 16);
}

static void a_buffer_of_16_bit_words_for_a_driver_that_sees_one_chip(void **state)
{
	flash.dev.ops->write(&flash.dev, 0x200, 2, 0xe8);
	flash.dev.ops->write(&flash.dev, 0x200, 2, 1);
	flash.dev.ops->write(&flash.dev, 0x200, 2, 0x1111);
	flash.dev.ops->write(&flash.dev, 0x202, 2, 0x2222);
	flash.dev.ops->write(&flash.dev, 0x200, 2, 0xd0);
	assert_int_equal((uint16_t)flash.dev.ops->read(&flash.dev, 0x200, 2), 0x80);
	both(0, 0xff);
	assert_int_equal(rd(0x200), 0x22221111);
	assert_int_equal(rd(0x204), 0xffffffff);
}

static void a_buffer_that_leaves_itself_is_an_error(void **state)
{
	both(0x200, 0xe8);
	both(0x200, 1);
	wr(0x200, 0);
	wr(0x208, 0);
	assert_int_equal(rd(0) & 0x30, 0x30);
	both(0, 0xff);
	assert_int_equal(rd(0x200), 0xffffffff);
	both(0, 0x50);
	both(FLASH_BANK - 4, 0xe8);
	both(FLASH_BANK - 4, 1);
	wr(FLASH_BANK - 4, 0);
	assert_int_equal(rd(0) & 0x30, 0x30);
	both(0, 0x50);
	both(0, 0xe8);
	both(0, 0xffff);
	assert_int_equal(rd(0) & 0x30, 0x30);
}

static void an_erase_that_is_not_confirmed_is_none(void **state)
{
	program(0, 0);
	both(0, 0x20);
	both(0, 0xff);
	assert_true(shown);
	assert_int_equal(rd(0), 0);
	both(0, 0x20);
	both(0, 0x70);
	assert_int_equal(rd(0), 0x00b000b0);
	both(0, 0x50);
	both(0, 0x70);
	assert_int_equal(rd(0), 0x00800080);
}

static void a_bank_that_is_not_writable_says_so_and_keeps_its_bytes(void **state)
{
	flash.writable = false;
	both(0, 0x40);
	wr(0, 0);
	assert_int_equal(rd(0) & 0x12, 0x12);
	both(0, 0x50);
	both(0, 0x20);
	both(0, 0xd0);
	assert_int_equal(rd(0) & 0x22, 0x22);
	both(0, 0xff);
	assert_int_equal(rd(0), 0xffffffff);
	assert_int_equal(kept_len, 0);
}

static void bytes_that_cannot_be_kept_are_a_failure_for_the_guest(void **state)
{
	full = true;
	both(0, 0x40);
	wr(0, 0);
	assert_int_equal(rd(0), 0x00900090);
	both(0, 0x50);
	both(0, 0x20);
	both(0, 0xd0);
	assert_int_equal(rd(0), 0x00a000a0);
}

static void a_reset_is_array_mode(void **state)
{
	both(0, 0xe8);
	flash.dev.ops->reset(&flash.dev);
	assert_true(shown);
	assert_int_equal(rd(0), 0xffffffff);
	program(0, 5);
	assert_int_equal(rd(0), 5);
}

/* Any sequence of accesses: no byte outside of the bank is touched, and shown means array mode. */
static void any_sequence_is_safe(void **state)
{
	static const uint8_t favourite[] = {0xe8, 0x40, 0x10, 0x20, 0xd0, 0xff, 0x70,
					    0x50, 0x60, 0x90, 0x98, 0x00, 0x01};

	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		unsigned len = 1u << rand() % 3;
		uint64_t off = (rand() % 4 ? (uint64_t)rand() % 8192 : FLASH_BANK - 1 - (uint64_t)rand() % 8192) &
			       ~(len - 1ull);
		uint32_t val = rand() % 3 ? favourite[(unsigned)rand() % sizeof(favourite)] : (uint32_t)rand();

		if (rand() % 4)
			flash.dev.ops->write(&flash.dev, off, len, val);
		else
			flash.dev.ops->read(&flash.dev, off, len);
		assert_int_equal(shown, flash.mode == FLASH_ARRAY);
		assert_true(kept_off + kept_len <= FLASH_BANK);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_starts_erased_and_shown),
		T(a_query_says_two_chips_with_the_Intel_command_set),
		T(the_identity_is_there_in_each_block),
		T(programming_only_clears_bits),
		T(an_erase_sets_the_bits_of_its_block),
		T(a_buffer_is_programmed_when_it_is_confirmed),
		T(a_buffer_of_16_bit_words_for_a_driver_that_sees_one_chip),
		T(a_buffer_that_leaves_itself_is_an_error),
		T(an_erase_that_is_not_confirmed_is_none),
		T(a_bank_that_is_not_writable_says_so_and_keeps_its_bytes),
		T(bytes_that_cannot_be_kept_are_a_failure_for_the_guest),
		T(a_reset_is_array_mode),
		T(any_sequence_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
