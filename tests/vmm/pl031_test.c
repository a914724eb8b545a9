/* SPDX-License-Identifier: MIT */
/* The clock's register model: PrimeCell Real Time Clock (PL031) Technical Reference Manual, Arm DDI 0224. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pl031.h"

enum { DR = 0x00, MR = 0x04, LR = 0x08, CR = 0x0c, IMSC = 0x10, RIS = 0x14, MIS = 0x18, ICR = 0x1c };

static struct pl031 rtc;
static uint32_t host_time;
static uint64_t timer;
static int line;

static uint32_t now(void *arg)
{
	return host_time;
}

static void set_timer(void *arg, uint64_t seconds)
{
	timer = seconds;
}

static void set_irq(void *arg, bool level)
{
	line = level;
}

static uint32_t rd(uint64_t reg)
{
	return rtc.dev.ops->read(&rtc.dev, reg, 4);
}

static void wr(uint64_t reg, uint32_t val)
{
	rtc.dev.ops->write(&rtc.dev, reg, 4, val);
}

static int reset(void **state)
{
	memset(&rtc, 0, sizeof(rtc));
	pthread_mutex_init(&rtc.dev.lock, NULL);
	rtc.dev.set_irq = set_irq;
	rtc.now = now;
	rtc.set_timer = set_timer;
	host_time = 1700000000;
	timer = 0;
	line = 0;
	pl031_init(&rtc);
	return 0;
}

static void it_runs_at_the_hosts_time_from_the_start(void **state)
{
	assert_int_equal(rd(DR), 1700000000);
	host_time++;
	assert_int_equal(rd(DR), 1700000001);
	wr(CR, 0);
	assert_int_equal(rd(CR), 1);
}

static void the_guest_can_set_it(void **state)
{
	wr(LR, 5);
	assert_int_equal(rd(LR), 5);
	assert_int_equal(rd(DR), 5);
	host_time += 10;
	assert_int_equal(rd(DR), 15);
	wr(LR, 0xffffffff);
	host_time += 2;
	assert_int_equal(rd(DR), 1);
}

static void the_PrimeCell_ids_are_those_that_drivers_match(void **state)
{
	static const uint8_t id[8] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rd(0xfe0 + 4 * i), id[i]);
}

static void the_alarm_comes_when_the_count_equals_the_match_register(void **state)
{
	wr(IMSC, 1);
	wr(MR, 1700000010);
	assert_int_equal(timer, 10);
	assert_int_equal(rd(RIS), 0);
	host_time += 9;
	pl031_alarm(&rtc); /* woken early, since the host's clock was set */
	assert_int_equal(rd(RIS), 0);
	assert_int_equal(timer, 1);
	host_time++;
	pl031_alarm(&rtc);
	assert_int_equal(rd(RIS), 1);
	assert_int_equal(rd(MIS), 1);
	assert_int_equal(line, 1);
	wr(ICR, 1);
	assert_int_equal(line, 0);
	assert_int_equal(rd(RIS), 0);
}

static void a_masked_alarm_shows_in_the_raw_status_only(void **state)
{
	wr(MR, 1700000000);
	assert_int_equal(rd(RIS), 1);
	assert_int_equal(rd(MIS), 0);
	assert_int_equal(line, 0);
	wr(IMSC, 1);
	assert_int_equal(line, 1);
	wr(IMSC, 0);
	assert_int_equal(line, 0);
}

static void setting_the_clock_moves_the_alarm(void **state)
{
	wr(MR, 100);
	wr(LR, 40);
	assert_int_equal(timer, 60);
}

static void a_match_in_the_past_comes_when_the_count_has_wrapped(void **state)
{
	wr(MR, 1699999999);
	assert_int_equal(timer, 0xffffffff);
	assert_int_equal(rd(RIS), 0);
	wr(MR, 1700000000);
	assert_true(timer == UINT64_C(1) << 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_runs_at_the_hosts_time_from_the_start, reset),
		cmocka_unit_test_setup(the_guest_can_set_it, reset),
		cmocka_unit_test_setup(the_PrimeCell_ids_are_those_that_drivers_match, reset),
		cmocka_unit_test_setup(the_alarm_comes_when_the_count_equals_the_match_register, reset),
		cmocka_unit_test_setup(a_masked_alarm_shows_in_the_raw_status_only, reset),
		cmocka_unit_test_setup(setting_the_clock_moves_the_alarm, reset),
		cmocka_unit_test_setup(a_match_in_the_past_comes_when_the_count_has_wrapped, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
