/* SPDX-License-Identifier: MIT */
/*
 * FEAT_CSSC and FEAT_HBC, which neither oracle has, by hand: Arm ARM DDI 0487, ABS, CNT, CTZ, SMAX, SMIN, UMAX, UMIN and
 * BC.cond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "harness.h"

static uint64_t run(uint32_t insn, uint64_t n, uint64_t m)
{
	struct state s = {.pc = CODE_PC, .nzcv = 0x50000000};
	struct result r;

	s.x[1] = n;
	s.x[2] = m;
	s.x[0] = ~0ull;
	r = engine_run(&s, &insn, 1, ~0ull, false);
	assert_int_equal(r.outcome, DONE);
	assert_int_equal(r.s.pc, CODE_PC + 4);
	assert_int_equal(r.s.nzcv, 0x50000000);
	return r.s.x[0];
}

static const uint64_t values[] = {0,
				  1,
				  2,
				  0x7f,
				  0x80,
				  0xff,
				  0x7fffffff,
				  0x80000000,
				  0xffffffff,
				  0x7fffffffffffffff,
				  1ull << 63,
				  ~0ull,
				  ~0x7full,
				  ~0x80ull,
				  0x123456789abcdef0,
				  0xfffffffe00000001};
enum { N = sizeof(values) / sizeof(values[0]) };

static uint64_t width(unsigned sf, uint64_t v)
{
	return sf ? v : (uint32_t)v;
}

static int64_t number(unsigned sf, uint64_t v)
{
	return sf ? (int64_t)v : (int32_t)v;
}

static void counts_and_absolute_values(void **state)
{
	for (unsigned sf = 0; sf < 2; sf++)
		for (unsigned i = 0; i < N; i++) {
			uint64_t v = width(sf, values[i]), bits = 0, zeros = sf ? 64 : 32;

			for (unsigned b = 0; b < (sf ? 64 : 32); b++) {
				bits += v >> b & 1;
				if (v >> b & 1 && b < zeros)
					zeros = b;
			}
			assert_int_equal(run(0x5ac01820 | sf << 31, values[i], 0), zeros); /* ctz x0, x1 */
			assert_int_equal(run(0x5ac01c20 | sf << 31, values[i], 0), bits);  /* cnt x0, x1 */
			assert_int_equal(run(0x5ac02020 | sf << 31, values[i], 0),	   /* abs x0, x1 */
					 number(sf, v) < 0 ? width(sf, 0 - v) : v);
		}
}

/* op: 0 SMAX, 1 UMAX, 2 SMIN, 3 UMIN */
static uint64_t want(unsigned sf, unsigned op, uint64_t n, uint64_t m)
{
	bool less = op & 1 ? width(sf, n) < width(sf, m) : number(sf, n) < number(sf, m);

	return width(sf, less == !!(op & 2) ? n : m);
}

static void minima_and_maxima(void **state)
{
	for (unsigned sf = 0; sf < 2; sf++)
		for (unsigned op = 0; op < 4; op++)
			for (unsigned i = 0; i < N; i++) {
				for (unsigned k = 0; k < N; k++)
					assert_int_equal(run(0x1ac26020 | op << 10 | sf << 31, values[i], values[k]),
							 want(sf, op, values[i], values[k]));
				for (unsigned imm = 0; imm < 256; imm++)
					assert_int_equal(
						run(0x11c00020 | op << 18 | imm << 10 | sf << 31, values[i], 0),
						want(sf, op, values[i], op & 1 ? imm : (uint64_t)(int64_t)(int8_t)imm));
			}
}

static void a_consistent_branch_is_a_branch(void **state)
{
	for (unsigned cond = 0; cond < 16; cond++)
		for (unsigned nzcv = 0; nzcv < 16; nzcv++) {
			uint32_t plain = 0x54000800 | cond, hinted = plain | 16; /* b.cond, bc.cond +0x100 */
			struct state s = {.pc = CODE_PC, .nzcv = nzcv << 28};

			assert_int_equal(engine_run(&s, &hinted, 1, ~0ull, false).s.pc,
					 engine_run(&s, &plain, 1, ~0ull, false).s.pc);
		}
}

static void without_the_features_they_are_undefined(void **state)
{
	static const uint32_t cssc[] = {0xdac01820, 0xdac01c20, 0xdac02020, 0x9ac26020, 0x91c00020};
	static const uint32_t bc = 0x54000810;
	struct state s = {.pc = CODE_PC};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(engine_run(&s, &cssc[i], 1, ~(1ull << ISA_CSSC), false).outcome, UNDEFINED);
	assert_int_equal(engine_run(&s, &bc, 1, ~(1ull << ISA_HBC), false).outcome, UNDEFINED);
}

static int start(void **state)
{
	engine_start();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_absolute_values),
		cmocka_unit_test(minima_and_maxima),
		cmocka_unit_test(a_consistent_branch_is_a_branch),
		cmocka_unit_test(without_the_features_they_are_undefined),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
