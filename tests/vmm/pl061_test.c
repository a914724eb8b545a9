/* SPDX-License-Identifier: MIT */
/* The GPIO block's register model: vmm/pl061.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pl061.h"

enum { DIR = 0x400, IS = 0x404, IBE = 0x408, IEV = 0x40c, IE = 0x410, RIS = 0x414, MIS = 0x418, IC = 0x41c };

static struct pl061 gpio;
static bool line;

static void set_line(void *arg, bool level)
{
	line = level;
}

static int setup(void **state)
{
	memset(&gpio, 0, sizeof(gpio));
	line = false;
	pthread_mutex_init(&gpio.dev.lock, NULL);
	gpio.dev.set_irq = set_line;
	pl061_init(&gpio);
	return 0;
}

static uint32_t rd(uint64_t off)
{
	return gpio.dev.ops->read(&gpio.dev, off, 4);
}

static void wr(uint64_t off, uint32_t val)
{
	gpio.dev.ops->write(&gpio.dev, off, 4, val);
}

static void the_address_is_a_mask_of_the_data(void **state)
{
	wr(DIR, 0xff);
	wr(0x3fc, 0xa5);
	assert_int_equal(rd(0x3fc), 0xa5);
	assert_int_equal(rd(0x03c), 0x05);
	wr(0x03c, 0xfa);
	assert_int_equal(rd(0x3fc), 0xaa);
	wr(0x000, 0xff);
	assert_int_equal(rd(0x3fc), 0xaa);
}

static void inputs_show_the_board_and_outputs_the_guest(void **state)
{
	wr(DIR, 0x0f);
	wr(0x3fc, 0xff);
	pl061_drive(&gpio, 5, true);
	pl061_drive(&gpio, 1, true); /* an output: not seen */
	assert_int_equal(rd(0x3fc), 0x2f);
	wr(0x3fc, 0x00);
	assert_int_equal(rd(0x3fc), 0x20);
}

static void an_edge_is_latched_until_cleared(void **state)
{
	wr(IEV, 8);
	wr(IE, 8);
	pl061_drive(&gpio, 3, true);
	assert_true(line);
	pl061_drive(&gpio, 3, false);
	assert_true(line);
	assert_int_equal(rd(RIS), 8);
	assert_int_equal(rd(MIS), 8);
	wr(IC, 8);
	assert_false(line);
	assert_int_equal(rd(RIS), 0);
	pl061_drive(&gpio, 3, false); /* no edge */
	assert_int_equal(rd(RIS), 0);
}

static void falling_and_both_edges(void **state)
{
	wr(IE, 8);
	pl061_drive(&gpio, 3, true);
	assert_false(line);
	pl061_drive(&gpio, 3, false);
	assert_true(line);
	wr(IC, 0xff);
	wr(IBE, 8);
	pl061_drive(&gpio, 3, true);
	assert_true(line);
	wr(IC, 0xff);
	pl061_drive(&gpio, 3, false);
	assert_true(line);
}

static void a_level_follows_the_pin(void **state)
{
	wr(IS, 8);
	wr(IEV, 8);
	wr(IE, 8);
	assert_false(line);
	pl061_drive(&gpio, 3, true);
	assert_true(line);
	wr(IC, 8);
	assert_true(line);
	pl061_drive(&gpio, 3, false);
	assert_false(line);
}

static void an_interrupt_that_is_masked_is_raw_only(void **state)
{
	wr(IEV, 8);
	pl061_drive(&gpio, 3, true);
	assert_false(line);
	assert_int_equal(rd(RIS), 8);
	assert_int_equal(rd(MIS), 0);
	wr(IE, 8);
	assert_true(line);
}

static void a_reset_clears_the_registers_and_not_the_pins(void **state)
{
	wr(IEV, 8);
	wr(IE, 8);
	pl061_drive(&gpio, 3, true);
	gpio.dev.ops->reset(&gpio.dev);
	assert_false(line);
	for (unsigned reg = DIR; reg <= MIS; reg += 4)
		assert_int_equal(rd(reg), 0);
	assert_int_equal(rd(0x3fc), 8);
}

static void it_has_its_primecell_ids(void **state)
{
	static const uint8_t id[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned i = 0; i < sizeof(id); i++)
		assert_int_equal(rd(0xfe0 + 4 * i), id[i]);
}

static void every_register_takes_anything(void **state)
{
	for (unsigned off = 0; off < 0x1000; off++)
		for (unsigned len = 1; len <= 4; len *= 2) {
			gpio.dev.ops->write(&gpio.dev, off, len, 0xffffffff);
			gpio.dev.ops->read(&gpio.dev, off, len);
		}
	assert_int_equal(rd(DIR), 0xff);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		T(the_address_is_a_mask_of_the_data),
		T(inputs_show_the_board_and_outputs_the_guest),
		T(an_edge_is_latched_until_cleared),
		T(falling_and_both_edges),
		T(a_level_follows_the_pin),
		T(an_interrupt_that_is_masked_is_raw_only),
		T(a_reset_clears_the_registers_and_not_the_pins),
		T(it_has_its_primecell_ids),
		T(every_register_takes_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
