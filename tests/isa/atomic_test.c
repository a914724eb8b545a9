/* SPDX-License-Identifier: MIT */
/*
 * The signed and unsigned minima and maxima of the LSE atomics at every size, by hand: the oracle of the differential
 * test takes one for the other below 64 bits. Arm ARM DDI 0487, LDSMAX, LDSMIN, LDUMAX, LDUMIN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

enum { LDSMAX = 4, LDSMIN = 5, LDUMAX = 6, LDUMIN = 7 };

/* op w2, w3, [x5] */
static uint32_t word(unsigned size, unsigned op)
{
	return size << 30 | 0x382200a3u | op << 12;
}

/* Memory holds old, the operand register arg with rubbish above the size; memory must become want. */
static void expect(unsigned size, unsigned op, uint64_t old, uint64_t arg, uint64_t want)
{
	unsigned len = 1u << size;
	uint64_t mask = size == 3 ? ~0ull : (1ull << 8 * len) - 1;
	uint64_t got = 0, beside = 0x5a5a5a5a5a5a5a5a, after;
	struct state s = {.pc = CODE_PC};
	uint32_t insn = word(size, op);
	struct result r;

	s.x[2] = (arg & mask) | (0x123456789abcdef0 & ~mask);
	s.x[3] = ~0ull;
	s.x[5] = DATA;
	memcpy(engine_data, &old, 8);
	memcpy(engine_data + len, &beside, 8);
	r = engine_run(&s, &insn, 1, ~0ull, false);
	assert_int_equal(r.outcome, DONE);
	assert_int_equal(r.s.x[3], old & mask); /* zero-extended */
	memcpy(&got, engine_data, len);
	memcpy(&after, engine_data + len, 8);
	assert_int_equal(got, want & mask);
	assert_int_equal(after, beside);
}

static void signed_and_unsigned_order_differ_at_every_size(void **state)
{
	for (unsigned size = 0; size < 4; size++) {
		uint64_t minus_one = ~0ull, one = 1, least = 1ull << ((8u << size) - 1), most = least - 1;

		expect(size, LDSMAX, minus_one, one, one);
		expect(size, LDSMIN, minus_one, one, minus_one);
		expect(size, LDUMAX, minus_one, one, minus_one);
		expect(size, LDUMIN, minus_one, one, one);
		expect(size, LDSMAX, most, least, most);
		expect(size, LDSMIN, most, least, least);
		expect(size, LDUMAX, most, least, least);
		expect(size, LDUMIN, most, least, most);
		expect(size, LDSMAX, one, one, one);
		expect(size, LDUMIN, one, one, one);
	}
}

static int start(void **state)
{
	engine_start();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(signed_and_unsigned_order_differ_at_every_size)};

	return cmocka_run_group_tests(tests, start, NULL);
}
