/* SPDX-License-Identifier: MIT */
/*
 * What the emitters hand to the PE, and what ends a block: exceptions, hints, barriers, PSTATE, system registers and
 * instructions, features and FP traps. Nothing that the differential test could compare.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "harness.h"

#define ALL (~0ull)
#define WITHOUT(feature) (~(1ull << (feature)))
#define ENC(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

static struct state initial(void)
{
	struct state s = {.pc = CODE_PC};

	for (unsigned i = 0; i < 31; i++)
		s.x[i] = 0x100 + i;
	s.x[5] = DATA;
	s.x[31] = DATA + 4096;
	return s;
}

static struct result run(uint32_t insn)
{
	struct state s = initial();

	return engine_run(&s, &insn, 1, ALL, false);
}

static void expect_exit(uint32_t insn, enum ir_exit_reason why, uint64_t payload)
{
	struct result r = run(insn);

	assert_int_equal(r.outcome, EXIT);
	assert_int_equal(r.why, why);
	assert_int_equal(r.payload, payload);
	assert_int_equal(r.s.pc, CODE_PC); /* of the instruction itself */
	assert_true(engine_ended);
}

static void expect_undefined(uint32_t insn)
{
	struct result r = run(insn);

	if (r.outcome != UNDEFINED)
		fail_msg("%08x (%s) is not UNDEFINED", insn, isa_name(insn));
	assert_int_equal(r.s.pc, CODE_PC);
}

static void expect_done(uint32_t insn, bool ends_block)
{
	struct result r = run(insn);

	if (r.outcome != DONE)
		fail_msg("%08x (%s) did not complete", insn, isa_name(insn));
	assert_int_equal(r.s.pc, CODE_PC + 4);
	if (engine_ended != ends_block)
		fail_msg("%08x (%s) %s the block", insn, isa_name(insn), engine_ended ? "ends" : "does not end");
}

/* An MSR, MRS or system instruction with this encoding and Rt. */
static void expect_call(uint32_t insn, char kind, uint32_t enc, unsigned rt, uint64_t val, bool ends_block)
{
	expect_done(insn, ends_block);
	assert_int_equal(engine_calls, 1);
	assert_int_equal(engine_call.kind, kind);
	assert_int_equal(engine_call.enc, enc);
	assert_int_equal(engine_call.rt, rt);
	if (kind != 'r')
		assert_int_equal(engine_call.val, val);
}

static void exceptions_leave_with_their_immediate_and_the_pc_of_the_instruction(void **state)
{
	expect_exit(0xd4024681, IR_EXIT_SVC, 0x1234);
	expect_exit(0xd4024682, IR_EXIT_HVC, 0x1234);
	expect_exit(0xd4024683, IR_EXIT_SMC, 0x1234);
	expect_exit(0xd4224680, IR_EXIT_BRK, 0x1234);
	expect_exit(0xd4424680, IR_EXIT_HLT, 0x1234);
	expect_exit(0xd69f03e0, IR_EXIT_ERET, 0);
	expect_exit(0xd503205f, IR_EXIT_WFE, 0);
	expect_exit(0xd503207f, IR_EXIT_WFI, 0);
	expect_exit(0xd5031023, IR_EXIT_WFIT, 3);
	expect_exit(0xd5031003, IR_EXIT_WFET, 3);
}

static void el0_has_no_hvc_smc_eret_nor_privileged_pstate(void **state)
{
	static const uint32_t privileged[] = {0xd4024682, 0xd4024683, 0xd69f03e0, 0xd500417f, 0xd500419f, 0xd50041bf};

	engine_el = 0;
	for (unsigned i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++)
		expect_undefined(privileged[i]);
	expect_exit(0xd4024681, IR_EXIT_SVC, 0x1234);
	expect_exit(0xd4224680, IR_EXIT_BRK, 0x1234);
	expect_done(0xd50342df, false); /* DAIFSet: SCTLR_EL1.UMA decides, in the PE */
	engine_el = 1;
}

static void all_other_hints_are_nops(void **state)
{
	for (unsigned imm = 0; imm < 128; imm++)
		if (imm != 2 && imm != 3 && imm != 16)
			expect_done(0xd503201f | imm << 5, false);
}

static void barriers_reach_the_pe_and_isb_and_esb_end_the_block(void **state)
{
	expect_call(0xd5033f9f, 'f', IR_FENCE_DSB, 0, 0, false);
	expect_call(0xd503309f, 'f', IR_FENCE_DSB, 0, 0, false); /* SSBB */
	expect_call(0xd5033fdf, 'f', IR_FENCE_ISB, 0, 0, true);
	expect_call(0xd503221f, 'f', IR_FENCE_ESB, 0, 0, true);
	expect_done(0xd50339bf, false); /* DMB ISHLD */
	expect_done(0xd5033abf, false); /* DMB ISHST */
	expect_done(0xd5033fbf, false); /* DMB SY */
	expect_done(0xd5033f5f, false); /* CLREX */
	expect_done(0xd50330ff, false); /* SB */
}

static void clrex_clears_the_monitor(void **state)
{
	static const uint32_t pair[] = {0xc85f7ca3 /* ldxr x3, [x5] */, 0xc8047ca6 /* stxr w4, x6, [x5] */};
	static const uint32_t cleared[] = {0xc85f7ca3, 0xd5033f5f /* clrex */, 0xc8047ca6};
	struct state s = initial();

	assert_int_equal(engine_run(&s, pair, 2, ALL, false).s.x[4], 0);
	assert_int_equal(engine_run(&s, cleared, 3, ALL, false).s.x[4], 1);
}

static void pstate_writes_end_the_block_unless_they_only_mask(void **state)
{
	expect_call(0xd500417f, 'i', ENC(0, 0, 4, 0, 3), 0, 1, true);  /* UAO */
	expect_call(0xd500419f, 'i', ENC(0, 0, 4, 0, 4), 0, 1, true);  /* PAN */
	expect_call(0xd50041bf, 'i', ENC(0, 0, 4, 0, 5), 0, 1, true);  /* SPSel */
	expect_call(0xd503413f, 'i', ENC(0, 3, 4, 0, 1), 0, 1, false); /* SSBS */
	expect_call(0xd503415f, 'i', ENC(0, 3, 4, 0, 2), 0, 1, false); /* DIT */
	expect_call(0xd50342df, 'i', ENC(0, 3, 4, 0, 6), 0, 2, false); /* DAIFSet, #2 */
	expect_call(0xd5034fdf, 'i', ENC(0, 3, 4, 0, 6), 0, 15, true); /* DAIFSet, #15: D too */
	expect_call(0xd50342ff, 'i', ENC(0, 3, 4, 0, 7), 0, 2, true);  /* DAIFClr, #2 */
	expect_undefined(0xd503419f);				       /* TCO */
	expect_undefined(0xd501411f);				       /* ALLINT */
}

static void system_instructions_pass_their_encoding_and_register(void **state)
{
	expect_call(0xd50b7e23, 'w', ENC(1, 3, 7, 14, 1), 3, 0x103, false); /* DC CIVAC */
	expect_call(0xd50b7423, 'w', ENC(1, 3, 7, 4, 1), 3, 0x103, false);  /* DC ZVA */
	expect_call(0xd5087803, 'w', ENC(1, 0, 7, 8, 0), 3, 0x103, false);  /* AT S1E1R */
	expect_call(0xd50b7523, 'w', ENC(1, 3, 7, 5, 1), 3, 0x103, true);   /* IC IVAU */
	expect_call(0xd508711f, 'w', ENC(1, 0, 7, 1, 0), 31, 0, true);	    /* IC IALLUIS */
	expect_call(0xd508871f, 'w', ENC(1, 0, 8, 7, 0), 31, 0, true);	    /* TLBI VMALLE1 */
	expect_call(0xd5088323, 'w', ENC(1, 0, 8, 3, 1), 3, 0x103, true);   /* TLBI VAE1IS */
	expect_call(0xd52b7143, 'r', ENC(1, 3, 7, 1, 2), 3, 0, false);	    /* SYSL */
}

static void msr_ends_the_block_unless_nothing_can_depend_on_the_register(void **state)
{
	expect_call(0xd5381003, 'r', ENC(3, 0, 1, 0, 0), 3, 0, false); /* MRS SCTLR_EL1 */
	assert_int_equal(run(0xd5381003).s.x[3], ENGINE_MRS_VALUE);
	expect_call(0xd5181003, 'w', ENC(3, 0, 1, 0, 0), 3, 0x103, true);   /* MSR SCTLR_EL1 */
	expect_call(0xd51bd043, 'w', ENC(3, 3, 13, 0, 2), 3, 0x103, false); /* TPIDR_EL0 */
	expect_call(0xd5184103, 'w', ENC(3, 0, 4, 1, 0), 3, 0x103, false);  /* SP_EL0 */
	expect_call(0xd518403f, 'w', ENC(3, 0, 4, 0, 1), 31, 0, false);	    /* ELR_EL1, XZR */
}

static void a_trapped_register_access_changes_nothing(void **state)
{
	struct state s = initial();
	uint32_t mrs = 0xd5381003;
	struct result r;

	engine_has_pe = false;
	r = engine_run(&s, &mrs, 1, ALL, false);
	engine_has_pe = true;
	assert_int_equal(r.outcome, FAULT);
	assert_memory_equal(r.s.x, s.x, sizeof(s.x));
	assert_int_equal(r.s.pc, s.pc);
}

static void nzcv_fpcr_and_fpsr_are_read_and_written(void **state)
{
	struct state s = initial();
	uint32_t mrs = 0xd53b4203, msr = 0xd51b4203, wr_fpcr = 0xd51b4403, wr_fpsr = 0xd51b4423, rd_fpcr = 0xd53b4403;

	s.nzcv = 0xa0000000;
	s.fpcr = 0x01000000;
	assert_int_equal(engine_run(&s, &mrs, 1, ALL, false).s.x[3], 0xa0000000);
	assert_int_equal(engine_run(&s, &rd_fpcr, 1, ALL, false).s.x[3], 0x01000000);
	s.x[3] = 0xffffffff5fffffff;
	assert_int_equal(engine_run(&s, &msr, 1, ALL, false).s.nzcv, 0x50000000);
	expect_done(msr, false);
	expect_done(wr_fpsr, false);
	expect_done(wr_fpcr, true);
	s.x[3] = 0x00c00000;
	assert_int_equal(engine_run(&s, &wr_fpcr, 1, ALL, false).s.fpcr, 0x00c00000);
}

static void fp_traps_come_before_anything_but_undefined(void **state)
{
	engine_fp_traps = true;
	expect_exit(0x3dc000a3, IR_EXIT_FP_TRAP, 0);	 /* ldr q3, [x5] */
	expect_exit(0xad4010a3, IR_EXIT_FP_TRAP, 0);	 /* ldp q3, q4, [x5] */
	expect_exit(0xd53b4403, IR_EXIT_FP_TRAP, 0);	 /* mrs x3, fpcr */
	expect_exit(0xd51b4423, IR_EXIT_FP_TRAP, 0);	 /* msr fpsr, x3 */
	expect_undefined(0x7d8000a3);			 /* a 16-byte size with size != 0 */
	assert_int_equal(run(0xf94000a3).outcome, DONE); /* ldr x3, [x5] */
	engine_fp_traps = false;
}

static void an_instruction_of_a_missing_feature_is_undefined(void **state)
{
	static const struct {
		uint32_t insn;
		unsigned feature;
	} row[] = {
		{0xf82200a3, ISA_LSE},	 {0x48227cc4, ISA_LSE},	   {0x1ac34041, ISA_CRC32}, {0xf8bfc0a3, ISA_RCPC},
		{0xd500401f, ISA_FLAGM}, {0xd500403f, ISA_FLAGM2}, {0xd50330ff, ISA_SB},    {0xd503413f, ISA_SSBS2},
		{0xd503415f, ISA_DIT},	 {0xd500417f, ISA_UAO},	   {0xd500419f, ISA_PAN},   {0xd5031023, ISA_WFXT},
	};
	struct state s = initial();

	s.x[6] = DATA;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if (engine_run(&s, &row[i].insn, 1, ALL, false).outcome == UNDEFINED)
			fail_msg("%08x (%s) is UNDEFINED", row[i].insn, isa_name(row[i].insn));
		if (engine_run(&s, &row[i].insn, 1, WITHOUT(row[i].feature), false).outcome != UNDEFINED)
			fail_msg("%08x (%s) is not UNDEFINED without its feature", row[i].insn, isa_name(row[i].insn));
	}
}

/* Arm ARM DDI 0487, CFINV, XAFLAG, AXFLAG: by hand, NZCV -> NZCV. */
static void flag_conversions_follow_the_manual(void **state)
{
	for (unsigned f = 0; f < 16; f++) {
		unsigned z = f >> 2 & 1, c = f >> 1 & 1, v = f & 1;
		unsigned xa = (!c && !z) << 3 | (z && c) << 2 | (c || z) << 1 | (!c && z);
		unsigned ax = (z || v) << 2 | (c && !v) << 1;
		uint32_t insn[] = {0xd500401f, 0xd500403f, 0xd500405f};
		struct state s = initial();

		s.nzcv = f << 28;
		assert_int_equal(engine_run(&s, &insn[0], 1, ALL, false).s.nzcv >> 28, f ^ 2);
		assert_int_equal(engine_run(&s, &insn[1], 1, ALL, false).s.nzcv >> 28, xa);
		assert_int_equal(engine_run(&s, &insn[2], 1, ALL, false).s.nzcv >> 28, ax);
	}
}

static void a_load_into_its_own_base_keeps_the_loaded_value(void **state)
{
	static const uint32_t load[] = {0xf84084a5 /* ldr x5, [x5], #8 */, 0xf8408ca5 /* ldr x5, [x5, #8]! */};
	struct state s = initial();

	for (unsigned i = 0; i < 16; i++)
		engine_data[i] = 0x77;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(engine_run(&s, &load[i], 1, ALL, false).s.x[5], 0x7777777777777777);
}

static int start(void **state)
{
	engine_start();
	engine_has_pe = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exceptions_leave_with_their_immediate_and_the_pc_of_the_instruction),
		cmocka_unit_test(el0_has_no_hvc_smc_eret_nor_privileged_pstate),
		cmocka_unit_test(all_other_hints_are_nops),
		cmocka_unit_test(barriers_reach_the_pe_and_isb_and_esb_end_the_block),
		cmocka_unit_test(clrex_clears_the_monitor),
		cmocka_unit_test(pstate_writes_end_the_block_unless_they_only_mask),
		cmocka_unit_test(system_instructions_pass_their_encoding_and_register),
		cmocka_unit_test(msr_ends_the_block_unless_nothing_can_depend_on_the_register),
		cmocka_unit_test(a_trapped_register_access_changes_nothing),
		cmocka_unit_test(nzcv_fpcr_and_fpsr_are_read_and_written),
		cmocka_unit_test(fp_traps_come_before_anything_but_undefined),
		cmocka_unit_test(an_instruction_of_a_missing_feature_is_undefined),
		cmocka_unit_test(flag_conversions_follow_the_manual),
		cmocka_unit_test(a_load_into_its_own_base_keeps_the_loaded_value),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
