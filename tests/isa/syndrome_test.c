/* SPDX-License-Identifier: MIT */
/*
 * The memory descriptors that instructions hand to the PE: all that the syndrome of a data abort is made from. Arm ARM
 * DDI 0487, "ISS encoding for an exception from a Data Abort": ISV is set for loads and stores of one general register,
 * also with acquire-release, without writeback; not for exclusives, atomics, pairs, SIMD&FP registers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "harness.h"

enum {
	SSE = IR_MEM_SSE,
	SF = IR_MEM_SF,
	ISV = IR_MEM_ISV,
	UNPRIV = IR_MEM_UNPRIV,
	AR = IR_MEM_ACQREL,
	ALIGNED = IR_MEM_ALIGNED,
	PAIR = IR_MEM_PAIR,
	WNR = IR_MEM_WNR,
	EXCL = IR_MEM_EXCL,
	CST = IR_MEM_SEQCST,
	VEC = IR_MEM_VEC,
	RMW = IR_MEM_RMW,
};

struct row {
	uint32_t insn;
	const char *text;
	unsigned size, rt, base;
	uint32_t flags;
};

static const struct row one_register[] = {
	{0x394000a3, "ldrb w3, [x5]", 0, 3, 5, ISV},
	{0x794004a3, "ldrh w3, [x5, #2]", 1, 3, 5, ISV},
	{0xb94004a3, "ldr w3, [x5, #4]", 2, 3, 5, ISV},
	{0xf94004a3, "ldr x3, [x5, #8]", 3, 3, 5, ISV | SF},
	{0x39c000a3, "ldrsb w3, [x5]", 0, 3, 5, ISV | SSE},
	{0x398000a3, "ldrsb x3, [x5]", 0, 3, 5, ISV | SSE | SF},
	{0x79c000a3, "ldrsh w3, [x5]", 1, 3, 5, ISV | SSE},
	{0x798000a3, "ldrsh x3, [x5]", 1, 3, 5, ISV | SSE | SF},
	{0xb98000a3, "ldrsw x3, [x5]", 2, 3, 5, ISV | SSE | SF},
	{0xb85ff0a3, "ldur w3, [x5, #-1]", 2, 3, 5, ISV},
	{0xf86668a3, "ldr x3, [x5, x6]", 3, 3, 5, ISV | SF},
	{0xb94000bf, "ldr wzr, [x5]", 2, 31, 5, ISV},
	{0xf94003e3, "ldr x3, [sp]", 3, 3, 31, ISV | SF},
	{0x58000803, "ldr x3, .+0x100", 3, 3, IR_MEM_BASE_LITERAL, ISV | SF},
	{0x390000a3, "strb w3, [x5]", 0, 3, 5, ISV | WNR},
	{0xb90000a3, "str w3, [x5]", 2, 3, 5, ISV | WNR},
	{0xf90000a3, "str x3, [x5]", 3, 3, 5, ISV | SF | WNR},
	{0xf90000bf, "str xzr, [x5]", 3, 31, 5, ISV | SF | WNR},
	{0xf84008a3, "ldtr x3, [x5]", 3, 3, 5, ISV | SF | UNPRIV},
	{0x380008a3, "sttrb w3, [x5]", 0, 3, 5, ISV | UNPRIV | WNR},
	{0x88dffca3, "ldar w3, [x5]", 2, 3, 5, ISV | AR | ALIGNED | CST},
	{0x08dffca3, "ldarb w3, [x5]", 0, 3, 5, ISV | AR | ALIGNED | CST},
	{0xc89ffca3, "stlr x3, [x5]", 3, 3, 5, ISV | SF | AR | ALIGNED | CST | WNR},
	{0xf8bfc0a3, "ldapr x3, [x5]", 3, 3, 5, ISV | SF | AR | ALIGNED},
};

static const struct row others[] = {
	{0xf84084a3, "ldr x3, [x5], #8", 3, 3, 5, SF},
	{0xf8408ca3, "ldr x3, [x5, #8]!", 3, 3, 5, SF},
	{0xb80084a3, "str w3, [x5], #8", 2, 3, 5, WNR},
	{0xa94010a3, "ldp x3, x4, [x5]", 3, 3, 5, SF | PAIR},
	{0x290010a3, "stp w3, w4, [x5]", 2, 3, 5, PAIR | WNR},
	{0x694010a3, "ldpsw x3, x4, [x5]", 2, 3, 5, SF | SSE | PAIR},
	{0x3dc000a3, "ldr q3, [x5]", 4, 3, 5, VEC},
	{0xbd4000a3, "ldr s3, [x5]", 2, 3, 5, VEC},
	{0xfd0000a3, "str d3, [x5]", 3, 3, 5, VEC | WNR},
	{0xad4010a3, "ldp q3, q4, [x5]", 4, 3, 5, VEC | PAIR},
	{0x885f7ca3, "ldxr w3, [x5]", 2, 3, 5, ALIGNED | EXCL},
	{0xc85ffca3, "ldaxr x3, [x5]", 3, 3, 5, SF | ALIGNED | EXCL | AR | CST},
	{0xc87f10a3, "ldxp x3, x4, [x5]", 3, 3, 5, SF | ALIGNED | EXCL | PAIR},
	{0xb82200a3, "ldadd w2, w3, [x5]", 2, 3, 5, ALIGNED | RMW | WNR},
	{0xf8e200a3, "ldaddal x2, x3, [x5]", 3, 3, 5, SF | ALIGNED | RMW | WNR | AR | CST},
	{0x48227cc4, "casp x2, x3, x4, x5, [x6]", 3, 4, 6, SF | ALIGNED | PAIR | RMW | WNR},
	{0x382280a3, "swpb w2, w3, [x5]", 0, 3, 5, ALIGNED | RMW | WNR},
};

static void check(const struct row *rows, unsigned n)
{
	struct state s = {.pc = CODE_PC};

	s.x[5] = s.x[6] = s.x[31] = DATA + 256;
	s.x[6] = DATA + 512;
	for (unsigned i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		uint32_t want = IR_MEM(r->size, r->rt, r->base, r->flags);

		s.x[6] = r->base == 6 ? DATA + 512 : 64;
		engine_access = (struct access){0};
		if (engine_run(&s, &r->insn, 1, ~0ull, false).outcome != DONE)
			fail_msg("%s did not complete", r->text);
		if (engine_access.m != want)
			fail_msg("%s: descriptor %08x, expected %08x", r->text, engine_access.m, want);
	}
}

static void loads_and_stores_of_one_general_register_have_a_valid_syndrome(void **state)
{
	check(one_register, sizeof(one_register) / sizeof(one_register[0]));
}

static void writeback_pairs_vectors_exclusives_and_atomics_have_none(void **state)
{
	check(others, sizeof(others) / sizeof(others[0]));
}

static void a_faulting_access_leaves_the_base_and_the_destination_alone(void **state)
{
	static const uint32_t insn[] = {0xf84084a3, 0xf8408ca3, 0xb80084a3, 0xa8c110a3 /* ldp x3, x4, [x5], #16 */,
					0xf8e200a3};
	struct state s = {.pc = CODE_PC};

	for (unsigned i = 0; i < 32; i++)
		s.x[i] = 0x1000 + i;
	s.x[5] = NOWHERE;
	for (unsigned i = 0; i < sizeof(insn) / sizeof(insn[0]); i++) {
		struct result r = engine_run(&s, &insn[i], 1, ~0ull, false);

		assert_int_equal(r.outcome, FAULT);
		assert_memory_equal(r.s.x, s.x, sizeof(s.x));
		assert_int_equal(r.s.pc, s.pc);
	}
}

static int start(void **state)
{
	engine_start();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_and_stores_of_one_general_register_have_a_valid_syndrome),
		cmocka_unit_test(writeback_pairs_vectors_exclusives_and_atomics_have_none),
		cmocka_unit_test(a_faulting_access_leaves_the_base_and_the_destination_alone),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
