/* SPDX-License-Identifier: MIT */
/*
 * ir/fp.c against the floating-point unit of the host, in all four rounding modes, for single and double precision;
 * half precision against double precision, which holds its exact results; and what no host does: Arm's NaNs, flushing,
 * and estimates, as the Arm ARM's pseudocode has them.
 */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vec.h"

enum { H = 1, S = 2, D = 3, TRIALS = 20000 };
enum op { ADD, SUB, MUL, DIV, FMA, SQRT };
static const enum ir_vop_id vop_of[] = {IR_VOP_fadd, IR_VOP_fsub, IR_VOP_fmul, IR_VOP_fdiv, IR_VOP_fmla, IR_VOP_fsqrt};

static uint64_t rng = 1;

static uint64_t rnd(void)
{
	uint64_t z = (rng += 0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* One scalar operation. fpsr comes back with what it raised. */
static uint64_t run(enum ir_vop_id op, uint32_t desc, uint32_t fpcr, uint64_t a, uint64_t b, uint64_t c, uint32_t *fpsr)
{
	static struct ir_env env;
	union ir_v128 d, va = {.d = {a, 0}}, vb = {.d = {b, 0}}, vc = {.d = {c, 0}};

	env.fpcr = fpcr;
	env.fpsr = 0;
	ir_vop_table[op](&env, &d, &va, &vb, &vc, IR_VD_SCALAR | desc);
	*fpsr = env.fpsr;
	assert_int_equal(d.d[1], 0);
	return d.d[0];
}

static uint64_t run_quietly(enum ir_vop_id op, uint32_t desc, uint32_t fpcr, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t fpsr;

	return run(op, desc, fpcr, a, b, c, &fpsr);
}

static double as_double(uint64_t v)
{
	double d;

	memcpy(&d, &v, 8);
	return d;
}

static float as_float(uint64_t v)
{
	uint32_t w = (uint32_t)v;
	float f;

	memcpy(&f, &w, 4);
	return f;
}

static uint64_t bits_of_double(double d)
{
	uint64_t v;

	memcpy(&v, &d, 8);
	return v;
}

static uint64_t bits_of_float(float f)
{
	uint32_t v;

	memcpy(&v, &f, 4);
	return v;
}

/* Numbers that meet: few exponents, significands with long runs of equal bits, sometimes zero, denormal or extreme. */
static uint64_t operand(unsigned size)
{
	unsigned fbits = size == H ? 10 : size == S ? 23 : 52, ebits = size == H ? 5 : size == S ? 8 : 11;
	uint64_t exp, emax = (1u << ebits) - 1, frac = rnd();

	switch (rnd() % 8) {
	case 0: exp = 0; break;
	case 1: exp = emax - rnd() % 3; break;
	case 2: exp = 1 + rnd() % 3; break;
	case 3: exp = rnd() % emax; break;
	default: exp = emax / 2 + rnd() % (fbits + 4) - fbits / 2; break;
	}
	exp = exp > emax ? emax : exp;
	switch (rnd() % 6) {
	case 0: frac = 0; break;
	case 1: frac = ~(uint64_t)0; break;
	case 2: frac = (uint64_t)1 << rnd() % fbits; break;
	case 3: frac = ~(uint64_t)0 << rnd() % fbits; break;
	default: break;
	}
	if (exp == emax)
		frac = 0; /* infinities, no NaNs */
	frac &= ((uint64_t)1 << fbits) - 1;
	return (rnd() & 1) << (fbits + ebits) | exp << fbits | frac;
}

static const int host_mode[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

static double host_double(enum op op, double a, double b, double c)
{
	volatile double x = a, y = b, z = c, r;

	switch (op) {
	case ADD: r = x + y; break;
	case SUB: r = x - y; break;
	case MUL: r = x * y; break;
	case DIV: r = x / y; break;
	case FMA: r = fma(x, y, z); break;
	default: r = sqrt(x); break;
	}
	return r;
}

static float host_float(enum op op, float a, float b, float c)
{
	volatile float x = a, y = b, z = c, r;

	switch (op) {
	case ADD: r = x + y; break;
	case SUB: r = x - y; break;
	case MUL: r = x * y; break;
	case DIV: r = x / y; break;
	case FMA: r = fmaf(x, y, z); break;
	default: r = sqrtf(x); break;
	}
	return r;
}

/* FPSR of the host's flags. Hosts differ in when a result is tiny: underflow is left out. */
static uint32_t host_flags(void)
{
	int f = fetestexcept(FE_ALL_EXCEPT);

	return (f & FE_INVALID ? IR_FPSR_IOC : 0) | (f & FE_DIVBYZERO ? IR_FPSR_DZC : 0) |
	       (f & FE_OVERFLOW ? IR_FPSR_OFC : 0) | (f & FE_INEXACT ? IR_FPSR_IXC : 0);
}

static void arithmetic_agrees_with_the_host(unsigned size)
{
	for (unsigned i = 0; i < TRIALS * 6; i++) {
		enum op op = (enum op)(i % 6);
		unsigned mode = rnd() % 4;
		uint64_t a = operand(size), b = operand(size), c = operand(size), expect, got;
		uint32_t flags, fpsr;
		bool nan;

		if (op == FMA && i & 8) { /* cancel nearly all of the product */
			double p = size == D ? as_double(a) * as_double(b) : (double)(as_float(a) * as_float(b));

			c = (size == D ? bits_of_double(-p) : bits_of_float((float)-p)) ^ (rnd() & 3);
			if (isnan(p) || isinf(p))
				c = 0;
		}
		fesetround(host_mode[mode]);
		feclearexcept(FE_ALL_EXCEPT);
		if (size == D) {
			double r = host_double(op, as_double(a), as_double(b), as_double(c));

			nan = isnan(r);
			expect = bits_of_double(r);
		} else {
			float r = host_float(op, as_float(a), as_float(b), as_float(c));

			nan = isnan(r);
			expect = bits_of_float(r);
		}
		flags = host_flags();
		fesetround(FE_TONEAREST);
		if (nan)
			expect = size == D ? 0x7ff8000000000000 : 0x7fc00000;
		got = run(vop_of[op], IR_VD_SIZE(size), mode << 22, a, b, c, &fpsr);
		if (got != expect || (fpsr & ~IR_FPSR_UFC) != flags)
			fail_msg("op %d mode %u %#llx %#llx %#llx: %#llx %x, host %#llx %x", op, mode,
				 (unsigned long long)a, (unsigned long long)b, (unsigned long long)c,
				 (unsigned long long)got, fpsr, (unsigned long long)expect, flags);
	}
}

static void single_precision_agrees_with_the_host_in_all_rounding_modes(void **state)
{
	arithmetic_agrees_with_the_host(S);
}

static void double_precision_agrees_with_the_host_in_all_rounding_modes(void **state)
{
	arithmetic_agrees_with_the_host(D);
}

/*
 * Sum, difference and product of halves are exact in double precision, so that one rounding to half remains: the
 * conversion, which also has to be right for this to hold.
 */
static void half_precision_is_one_rounding_of_the_exact_result(void **state)
{
	for (unsigned i = 0; i < TRIALS; i++) {
		uint32_t fpcr = (uint32_t)(rnd() % 4) << 22, fpsr, wide_fpsr;
		uint64_t a = operand(H), b = operand(H), got, wide;
		enum op op = (enum op)(i % 3);
		double x = as_double(run_quietly(IR_VOP_fcvt, IR_VD_SIZE(H) | IR_VD_TO(D), 0, a, 0, 0));
		double y = as_double(run_quietly(IR_VOP_fcvt, IR_VD_SIZE(H) | IR_VD_TO(D), 0, b, 0, 0));

		if (isinf(x) || isinf(y))
			continue;
		got = run(vop_of[op], IR_VD_SIZE(H), fpcr, a, b, 0, &fpsr);
		/* the sign of an exact zero is a matter of the mode, not of the conversion */
		wide = run_quietly(vop_of[op], IR_VD_SIZE(D), fpcr, bits_of_double(x), bits_of_double(y), 0);
		wide = run(IR_VOP_fcvt, IR_VD_SIZE(D) | IR_VD_TO(H), fpcr, wide, 0, 0, &wide_fpsr);
		assert_int_equal(got, wide);
		assert_int_equal(fpsr, wide_fpsr);
	}
}

static void conversion_to_single_agrees_with_the_host(void **state)
{
	for (unsigned i = 0; i < TRIALS; i++) {
		unsigned mode = rnd() % 4;
		uint64_t a = rnd() & 1 ? operand(D) : bits_of_double((double)as_float(operand(S))) ^ (rnd() & 3) << 27;
		volatile double x = as_double(a);
		volatile float r;
		uint32_t fpsr, flags;
		uint64_t got;

		if (isnan(x))
			continue;
		fesetround(host_mode[mode]);
		feclearexcept(FE_ALL_EXCEPT);
		r = (float)x;
		flags = host_flags();
		fesetround(FE_TONEAREST);
		got = run(IR_VOP_fcvt, IR_VD_SIZE(D) | IR_VD_TO(S), mode << 22, a, 0, 0, &fpsr);
		assert_int_equal(got, bits_of_float(r));
		assert_int_equal(fpsr & ~IR_FPSR_UFC, flags);
	}
}

static void integers_convert_as_on_the_host(void **state)
{
	for (unsigned i = 0; i < TRIALS; i++) {
		unsigned mode = rnd() % 4;
		uint64_t v = rnd() >> rnd() % 64, u;
		volatile int64_t n = (int64_t)(rnd() & 1 ? v : -v);
		volatile double d;
		volatile float f;

		fesetround(host_mode[mode]);
		d = (double)n;
		f = (float)n;
		fesetround(FE_TONEAREST);
		u = run_quietly(IR_VOP_scvtf_x, IR_VD_SIZE(3) | IR_VD_TO(D), mode << 22, (uint64_t)n, 0, 0);
		assert_int_equal(u, bits_of_double(d));
		u = run_quietly(IR_VOP_scvtf_x, IR_VD_SIZE(3) | IR_VD_TO(S), mode << 22, (uint64_t)n, 0, 0);
		assert_int_equal(u, bits_of_float(f));
	}
}

static void rounding_to_an_integer_agrees_with_the_host(void **state)
{
	for (unsigned i = 0; i < TRIALS; i++) {
		unsigned mode = rnd() % 4;
		uint64_t a = operand(D), got;
		volatile double x = as_double(a), r;
		uint32_t fpsr;

		fesetround(host_mode[mode]);
		feclearexcept(FE_ALL_EXCEPT);
		r = rint(x);
		int inexact = fetestexcept(FE_INEXACT);
		fesetround(FE_TONEAREST);
		got = run(IR_VOP_frint, IR_VD_SIZE(D) | IR_VD_RM(mode) | IR_VD_EXACT, 0, a, 0, 0, &fpsr);
		assert_int_equal(got, bits_of_double(r));
		assert_int_equal(fpsr, inexact ? IR_FPSR_IXC : 0);
	}
	assert_int_equal(
		run_quietly(IR_VOP_frint, IR_VD_SIZE(D) | IR_VD_RM(IR_RM_TIEAWAY), 0, bits_of_double(2.5), 0, 0),
		bits_of_double(3.0));
	assert_int_equal(
		run_quietly(IR_VOP_frint, IR_VD_SIZE(D) | IR_VD_RM(IR_RM_TIEAWAY), 0, bits_of_double(-2.5), 0, 0),
		bits_of_double(-3.0));
}

static void expect(enum ir_vop_id op, uint32_t desc, uint32_t fpcr, uint64_t a, uint64_t b, uint64_t c, uint64_t result,
		   uint32_t flags)
{
	uint32_t fpsr;

	assert_int_equal(run(op, desc, fpcr, a, b, c, &fpsr), result);
	assert_int_equal(fpsr, flags);
}

#define QNAN1 0x7fc00001u
#define QNAN2 0xffc00002u
#define SNAN1 0x7f800001u
#define SNAN2 0xff800002u
#define ONE 0x3f800000u
#define INF 0x7f800000u
#define DEFAULT_NAN 0x7fc00000u

static void a_signaling_nan_wins_over_a_quiet_one_and_the_first_over_the_second(void **state)
{
	expect(IR_VOP_fadd, S, 0, QNAN1, QNAN2, 0, QNAN1, 0);
	expect(IR_VOP_fadd, S, 0, ONE, QNAN2, 0, QNAN2, 0);
	expect(IR_VOP_fadd, S, 0, QNAN1, SNAN2, 0, SNAN2 | 0x400000, IR_FPSR_IOC);
	expect(IR_VOP_fadd, S, 0, SNAN1, SNAN2, 0, SNAN1 | 0x400000, IR_FPSR_IOC);
	expect(IR_VOP_fadd, S, IR_FPCR_DN, QNAN2, ONE, 0, DEFAULT_NAN, 0);
}

static void in_a_fused_operation_the_addend_comes_first(void **state)
{
	expect(IR_VOP_fmla, S, 0, QNAN1, ONE, QNAN2, QNAN2, 0);
	expect(IR_VOP_fmla, S, 0, SNAN1, ONE, QNAN2, SNAN1 | 0x400000, IR_FPSR_IOC);
	/* infinity times zero is invalid even if the addend is a quiet NaN */
	expect(IR_VOP_fmla, S, 0, INF, 0, QNAN2, DEFAULT_NAN, IR_FPSR_IOC);
}

static void the_num_forms_prefer_a_number_to_a_quiet_nan(void **state)
{
	expect(IR_VOP_fmaxnm, S, 0, QNAN1, ONE, 0, ONE, 0);
	expect(IR_VOP_fminnm, S, 0, ONE, QNAN1, 0, ONE, 0);
	expect(IR_VOP_fmaxnm, S, 0, SNAN1, ONE, 0, SNAN1 | 0x400000, IR_FPSR_IOC);
	expect(IR_VOP_fmax, S, 0, 0x80000000, 0, 0, 0, 0);
	expect(IR_VOP_fmin, S, 0, 0, 0x80000000, 0, 0x80000000, 0);
}

static void tininess_is_detected_before_rounding(void **state)
{
	/* The largest value below the smallest normal that rounds up to it is still an underflow. */
	expect(IR_VOP_fmul, S, 0, 0x00ffffff, 0x3f000000, 0, 0x00800000, IR_FPSR_UFC | IR_FPSR_IXC);
	expect(IR_VOP_fmul, S, IR_FPCR_FZ, 0x00ffffff, 0x3f000000, 0, 0, IR_FPSR_UFC);
}

static void flush_to_zero_reports_denormal_inputs_except_in_half_precision(void **state)
{
	expect(IR_VOP_fadd, S, IR_FPCR_FZ, 0x80000001, 0x80000001, 0, 0x80000000, IR_FPSR_IDC);
	expect(IR_VOP_fadd, H, IR_FPCR_FZ, 1, 1, 0, 2, 0);
	expect(IR_VOP_fadd, H, IR_FPCR_FZ16, 1, 1, 0, 0, 0);
	/* conversions from and to half know no FZ16 */
	expect(IR_VOP_fcvt, H | IR_VD_TO(S), IR_FPCR_FZ16, 1, 0, 0, 0x33800000, 0);
}

static void alternative_half_precision_has_no_infinity(void **state)
{
	expect(IR_VOP_fcvt, H | IR_VD_TO(S), IR_FPCR_AHP, 0x7c00, 0, 0, 0x47800000, 0); /* 65536 */
	expect(IR_VOP_fcvt, S | IR_VD_TO(H), IR_FPCR_AHP, INF, 0, 0, 0x7fff, IR_FPSR_IOC);
	expect(IR_VOP_fcvt, S | IR_VD_TO(H), IR_FPCR_AHP, QNAN2, 0, 0, 0x8000, IR_FPSR_IOC);
	expect(IR_VOP_fcvt, S | IR_VD_TO(H), IR_FPCR_AHP, 0x7f000000, 0, 0, 0x7fff, IR_FPSR_IOC);
	/* arithmetic does not know it */
	expect(IR_VOP_fadd, H, IR_FPCR_AHP, 0x7c00, 0x3c00, 0, 0x7c00, 0);
}

static void conversion_to_integer_saturates_and_says_invalid(void **state)
{
	expect(IR_VOP_fcvtz_x, S | IR_VD_TO(2) | IR_VD_RM(IR_RM_ZERO), 0, 0x4f000000, 0, 0, 0x7fffffff, IR_FPSR_IOC);
	expect(IR_VOP_fcvtz_x, S | IR_VD_TO(2) | IR_VD_RM(IR_RM_ZERO), 0, 0xcf000000, 0, 0, 0x80000000, 0);
	expect(IR_VOP_fcvtz_x, S | IR_VD_TO(3) | IR_VD_RM(IR_RM_ZERO), 0, SNAN1, 0, 0, 0, IR_FPSR_IOC);
	expect(IR_VOP_fcvtz_x, S | IR_VD_TO(3) | IR_VD_U | IR_VD_RM(IR_RM_ZERO), 0, 0xbf000000, 0, 0, 0, IR_FPSR_IXC);
	expect(IR_VOP_fcvtz_x, S | IR_VD_TO(3) | IR_VD_U | IR_VD_RM(IR_RM_ZERO), 0, 0xbf800000, 0, 0, 0, IR_FPSR_IOC);
}

static void the_javascript_conversion_is_modulo_2_to_the_32(void **state)
{
	expect(IR_VOP_fjcvtzs, D, 0, bits_of_double(-1.0), 0, 0, 0x1ffffffff, 0);
	expect(IR_VOP_fjcvtzs, D, 0, bits_of_double(4294967298.0), 0, 0, 2, IR_FPSR_IOC);
	expect(IR_VOP_fjcvtzs, D, 0, bits_of_double(-0.0), 0, 0, 0, 0);
	expect(IR_VOP_fjcvtzs, D, 0, bits_of_double(1.5), 0, 0, 1, IR_FPSR_IXC);
	expect(IR_VOP_fjcvtzs, D, IR_FPCR_FZ, 1, 0, 0, 0, IR_FPSR_IDC);
}

static void estimates_have_nine_bits(void **state)
{
	expect(IR_VOP_frecpe, S, 0, 0x3f800000, 0, 0, 0x3f7f8000, 0); /* 1/1 is 511/512 */
	expect(IR_VOP_frecpe, S, 0, 0, 0, 0, INF, IR_FPSR_DZC);
	expect(IR_VOP_frecpe, S, 0, 0x00000001, 0, 0, INF, IR_FPSR_OFC | IR_FPSR_IXC);
	expect(IR_VOP_frecpe, S, IR_RM_ZERO << 22, 0x00000001, 0, 0, 0x7f7fffff, IR_FPSR_OFC | IR_FPSR_IXC);
	expect(IR_VOP_frsqrte, S, 0, 0x3f800000, 0, 0, 0x3f7f8000, 0);
	expect(IR_VOP_frsqrte, S, 0, 0xbf800000, 0, 0, DEFAULT_NAN, IR_FPSR_IOC);
	expect(IR_VOP_urecpe, 2, 0, 0x80000000, 0, 0, 0xff800000, 0);
	expect(IR_VOP_urecpe, 2, 0, 0x7fffffff, 0, 0, 0xffffffff, 0);
}

static void comparison_signals_for_quiet_nans_only_if_asked(void **state)
{
	union ir_v128 one = {.s = {ONE}}, nan = {.s = {QNAN1}};
	struct ir_env env = {.fpsr = 0};

	assert_int_equal(ir_fcmp(&env, &one, &one, S, true), 0x60000000);
	assert_int_equal(ir_fcmp(&env, &one, &nan, S, false), 0x30000000);
	assert_int_equal(env.fpsr, 0);
	assert_int_equal(ir_fcmp(&env, &nan, &one, S, true), 0x30000000);
	assert_int_equal(env.fpsr, IR_FPSR_IOC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_precision_agrees_with_the_host_in_all_rounding_modes),
		cmocka_unit_test(double_precision_agrees_with_the_host_in_all_rounding_modes),
		cmocka_unit_test(half_precision_is_one_rounding_of_the_exact_result),
		cmocka_unit_test(conversion_to_single_agrees_with_the_host),
		cmocka_unit_test(integers_convert_as_on_the_host),
		cmocka_unit_test(rounding_to_an_integer_agrees_with_the_host),
		cmocka_unit_test(a_signaling_nan_wins_over_a_quiet_one_and_the_first_over_the_second),
		cmocka_unit_test(in_a_fused_operation_the_addend_comes_first),
		cmocka_unit_test(the_num_forms_prefer_a_number_to_a_quiet_nan),
		cmocka_unit_test(tininess_is_detected_before_rounding),
		cmocka_unit_test(flush_to_zero_reports_denormal_inputs_except_in_half_precision),
		cmocka_unit_test(alternative_half_precision_has_no_infinity),
		cmocka_unit_test(conversion_to_integer_saturates_and_says_invalid),
		cmocka_unit_test(the_javascript_conversion_is_modulo_2_to_the_32),
		cmocka_unit_test(estimates_have_nine_bits),
		cmocka_unit_test(comparison_signals_for_quiet_nans_only_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
