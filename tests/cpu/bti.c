/* SPDX-License-Identifier: MIT */
/*
 * Branch target identification: what PSTATE.BTYPE is after each branch, and where it may land in a guarded page. Arm ARM
 * DDI 0487, FEAT_BTI, "PSTATE.BTYPE", and the table of compatible instructions.
 */
#include "machine.h"

#include "isa.h"

#define PTE_GP (1ull << 50)
enum {
	BR_X0 = 0xd61f0000,
	BR_X16 = 0xd61f0200,
	BLR_X0 = 0xd63f0000,
	RET_X0 = 0xd65f0000,
	B_X = 0x14000040 /* +0x100 */
};
enum { BTI_NONE = 0xd503241f, BTI_C = 0xd503245f, BTI_J = 0xd503249f, BTI_JC = 0xd50324df };
enum { PACIASP = 0xd503233f, PACIBSP = 0xd503237f, NOP = 0xd503201f, HVC_0 = 0xd4000002, HLT_0 = 0xd4400000 };
#define SCTLR_BT1 (1ull << 36)

/* The page of CODE is guarded or not, and that of CODE + 0x2000, where branches go. */
static uint64_t start(struct machine *m, const char *model_name, bool from_guarded, bool to_guarded)
{
	struct cpu_model model;
	char why[160];
	uint64_t root;

	assert_int_equal(cpu_model_parse(model_name, &model, why, sizeof(why)), 0);
	machine_new(m, 1);
	memcpy(m->cpu->id, model.id, sizeof(model.id));
	cpu_id_changed(m->cpu);
	root = machine_mmu(m, m->cpu);
	machine_map(m, root, CODE, CODE, PTE_AF | PTE_SH | (from_guarded ? PTE_GP : 0));
	machine_map(m, root, CODE + 0x2000, CODE + 0x2000, PTE_AF | PTE_SH | (to_guarded ? PTE_GP : 0));
	return root;
}

/* Branches to the landing; true if it is taken for good. */
static bool lands(struct machine *m, uint32_t branch, uint32_t landing, unsigned btype)
{
	LOAD(m, CODE, {branch});
	LOAD(m, CODE + 0x2000, {landing, HVC_0});
	cpu_code_changed(m->cpu);
	cpu_sys_changed(m->cpu);
	m->cpu->env.x[0] = m->cpu->env.x[16] = CODE + 0x2000;
	m->cpu->env.pc = CODE;
	cpu_set_pstate(m->cpu, 0x3c5);
	assert_int_equal(cpu_run(m->cpu), CPU_EXIT_TRAP);
	if (m->cpu->el2.esr == ESR_MAKE(EC_HVC64, END)) {
		assert_int_equal(cpu_pstate(m->cpu) & PSR_BTYPE, 0);
		return true;
	}
	assert_int_equal(m->cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_SYNC));
	assert_int_equal(m->cpu->sys[CPU_ELR_EL1], CODE + 0x2000);
	if (m->cpu->sys[CPU_ESR_EL1] >> 26 == EC_BRK64 || m->cpu->sys[CPU_ESR_EL1] == ESR_MAKE(EC_UNKNOWN, 0))
		return true; /* BRK and HLT: their own exception */
	assert_int_equal(m->cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_BTI, btype));
	assert_int_equal(m->cpu->sys[CPU_SPSR_EL1] >> 10 & 3, btype);
	assert_int_equal(cpu_pstate(m->cpu) & PSR_BTYPE, 0);
	return false;
}

/* Landing pads and, by BTYPE 1 (BR of X16 or from a page that is not guarded), 2 (BLR), 3 (BR), what they admit. */
static const struct {
	uint32_t insn;
	bool any, call, jump, jump_strict;
} pads[] = {
	{BTI_NONE, false, false, false, false},
	{BTI_C, true, true, false, false},
	{BTI_J, true, false, true, true},
	{BTI_JC, true, true, true, true},
	{PACIASP, true, true, true, false},
	{PACIBSP, true, true, true, false},
	{NOP, false, false, false, false},
	{0x91000400 /* add x0, x0, #1 */, false, false, false, false},
	{0xd4200020 /* brk #1 */, true, true, true, true},
	{HLT_0, true, true, true, true},
	{0xd503239f /* autiaz */, false, false, false, false},
	{0xd503231f /* paciaz */, false, false, false, false},
};

static void a_guarded_page_admits_what_the_table_says(void **state)
{
	struct machine m;

	start(&m, "max", true, true);
	for (unsigned strict = 0; strict < 2; strict++) {
		if (strict)
			m.cpu->sys[CPU_SCTLR_EL1] |= SCTLR_BT1;
		for (unsigned i = 0; i < sizeof(pads) / sizeof(pads[0]); i++) {
			assert_int_equal(lands(&m, BR_X16, pads[i].insn, 1), pads[i].any);
			assert_int_equal(lands(&m, BLR_X0, pads[i].insn, 2), pads[i].call);
			assert_int_equal(lands(&m, BR_X0, pads[i].insn, 3),
					 strict ? pads[i].jump_strict : pads[i].jump);
			assert_true(lands(&m, RET_X0, pads[i].insn, 0));
		}
	}
	machine_free(&m);
}

static void branches_with_authentication_are_like_the_plain_ones(void **state)
{
	struct machine m;

	start(&m, "max", true, true); /* no key is enabled: pointers stay as they are */
	assert_true(lands(&m, 0xd63f081f /* blraaz x0 */, BTI_C, 2));
	assert_false(lands(&m, 0xd63f081f, BTI_J, 2));
	assert_true(lands(&m, 0xd61f081f /* braaz x0 */, BTI_J, 3));
	assert_false(lands(&m, 0xd61f081f, BTI_C, 3));
	assert_true(lands(&m, 0xd61f0a1f /* braaz x16 */, BTI_C, 1));
	machine_free(&m);
}

static void other_pages_and_models_admit_everything(void **state)
{
	struct machine m;

	start(&m, "max", true, false);
	assert_true(lands(&m, BR_X0, NOP, 3));
	assert_true(lands(&m, BLR_X0, 0xf9400001 /* ldr x1, [x0] */, 2));
	machine_free(&m);
	start(&m, "max", false, true); /* from a page that is not guarded a jump is any branch */
	assert_true(lands(&m, BR_X0, BTI_C, 1));
	assert_false(lands(&m, BR_X0, NOP, 1));
	machine_free(&m);
	start(&m, "max,-bti", true, true);
	assert_true(lands(&m, BR_X0, NOP, 3));
	assert_true(lands(&m, BLR_X0, NOP, 2));
	machine_free(&m);
}

/* The landing is only the first instruction; what follows runs on in the same page without being asked. */
static void only_the_first_instruction_is_checked(void **state)
{
	struct machine m;

	start(&m, "max", true, true);
	LOAD(&m, CODE, {BLR_X0});
	LOAD(&m, CODE + 0x2000,
	     {BTI_C, 0x91000421 /* add x1, x1, #1 */, 0x14000002 /* b +8 */, NOP, 0xf9400002 /* ldr x2, [x0] */,
	      HVC_0});
	m.cpu->env.x[0] = CODE + 0x2000;
	m.cpu->env.x[1] = 1;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[1], 2);
	assert_int_equal((uint32_t)m.cpu->env.x[2], BTI_C);
	machine_free(&m);
}

/* BTYPE is what the exception return gives, and what an exception on the landing saves. */
static void btype_goes_through_spsr(void **state)
{
	struct machine m;
	uint64_t root = start(&m, "max", true, true);

	LOAD(&m, CODE, {0xd69f03e0 /* eret */});
	LOAD(&m, CODE + 0x2000, {NOP});
	m.cpu->sys[CPU_ELR_EL1] = CODE + 0x2000;
	m.cpu->sys[CPU_SPSR_EL1] = 0x3c5 | 2 << 10;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_BTI, 2), CODE + 0x2000);

	/* A landing that faults in a page that is not guarded. */
	machine_map(&m, root, CODE + 0x2000, CODE + 0x2000, PTE_AF | PTE_SH);
	LOAD(&m, CODE, {BLR_X0});
	LOAD(&m, CODE + 0x2000, {0xf9400022 /* ldr x2, [x1] */, HVC_0});
	cpu_code_changed(m.cpu);
	cpu_sys_changed(m.cpu);
	m.cpu->env.x[0] = CODE + 0x2000;
	m.cpu->env.x[1] = 0;
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, VEC_CUR_SYNC);
	assert_int_equal(m.cpu->sys[CPU_ESR_EL1] >> 26, EC_DABT_CUR);
	assert_int_equal(m.cpu->sys[CPU_SPSR_EL1] >> 10 & 3, 2);
	/* It completes the second time, and clears it. */
	LOAD(&m, VECTORS + 0x200, {0xd69f03e0 /* eret */});
	cpu_code_changed(m.cpu);
	m.cpu->env.x[1] = DATA;
	m.cpu->env.pc = VECTORS + 0x200;
	expect_hvc(m.cpu, END);
	assert_int_equal(cpu_pstate(m.cpu) & PSR_BTYPE, 0);
	machine_free(&m);
}

/* RET, with and without authentication, as a landing; and what the PE does while it steps, which it leaves the block behind. */
static void what_is_complete_has_cleared_btype(void **state)
{
	static const uint32_t landing[] = {RET_X0,
					   0xd65f0bff /* retaa */,
					   0xd508780a /* at s1e1r, x10 */,
					   0xd51b440a /* msr fpcr, x10 */,
					   0xd53b4200 /* mrs x0, nzcv */,
					   0xd5384100 /* mrs x0, sp_el0 */,
					   0xd5033f9f /* dsb sy */,
					   0xd503221f /* esb */,
					   NOP};

	for (unsigned i = 0; i < sizeof(landing) / sizeof(landing[0]); i++) {
		for (unsigned stepped = 0; stepped < 2; stepped++) {
			struct machine m;
			bool returns = i < 2;

			start(&m, "max", false, false);
			m.cpu->sys[CPU_CPACR_EL1] = 3 << 20;
			LOAD(&m, CODE, {landing[i], 0xf9400021 /* ldr x1, [x1] */});
			LOAD(&m, CODE + 0x2000, {0xf9400021});
			m.cpu->env.x[0] = m.cpu->env.x[30] = CODE + 0x2000;
			m.cpu->env.x[1] = 0x7000000000; /* a fault saves BTYPE */
			m.cpu->env.x[10] = DATA;
			cpu_set_pstate(m.cpu, 0x3c5 | 3 << 10); /* D: no step is taken, but the state machine runs */
			m.cpu->el2.mdscr = stepped;
			expect_hvc(m.cpu, VEC_CUR_SYNC);
			assert_int_equal(m.cpu->sys[CPU_ELR_EL1], returns ? CODE + 0x2000 : CODE + 4);
			assert_int_equal(m.cpu->sys[CPU_SPSR_EL1] & PSR_BTYPE, 0);
			machine_free(&m);
		}
	}
}

/* Breakpoint exceptions come before, BTI's before the instruction. */
static void a_page_with_a_breakpoint_is_guarded_as_well(void **state)
{
	struct machine m;

	start(&m, "max", true, true);
	m.cpu->dbg.bcr[0] = 0x1e7;
	m.cpu->dbg.bvr[0] = CODE + 0x2010;
	m.cpu->el2.mdscr = 1 << 15; /* MDE */
	assert_false(lands(&m, BR_X0, NOP, 3));
	assert_true(lands(&m, BR_X0, BTI_J, 3));
	machine_free(&m);
}

/* A landing that the PE completes by itself and that ends its block. */
static void system_instructions_clear_btype(void **state)
{
	static const uint32_t landing[] = {0xd5033fdf /* isb */,
					   0xd5182000 /* msr ttbr0_el1, x0 */,
					   0xd50342ff /* msr daifclr, #2 */,
					   0xd5087600 | 0x120 /* dc ivac, x0 */,
					   0xd508871f /* tlbi vmalle1 */,
					   0xd503203f /* yield */,
					   0xd503205f /* wfe */,
					   0xd5034fff /* msr daifclr, #15 */};
	struct machine m;

	start(&m, "max", true, false);
	m.cpu->el2.twe = m.cpu->el2.twi = false;
	for (unsigned i = 0; i < sizeof(landing) / sizeof(landing[0]); i++) {
		uint64_t ttbr = m.cpu->sys[CPU_TTBR0_EL1];

		if (i == 1) {
			LOAD(&m, CODE, {BR_X16});
			LOAD(&m, CODE + 0x2000, {landing[i], HVC_0});
			cpu_code_changed(m.cpu);
			m.cpu->env.x[16] = CODE + 0x2000;
			m.cpu->env.x[0] = ttbr;
			m.cpu->env.pc = CODE;
			cpu_set_pstate(m.cpu, 0x3c5);
			expect_hvc(m.cpu, END);
		} else {
			assert_true(lands(&m, BR_X16, landing[i], 1));
		}
		assert_int_equal(cpu_pstate(m.cpu) & PSR_BTYPE, 0);
	}
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guarded_page_admits_what_the_table_says),
		cmocka_unit_test(branches_with_authentication_are_like_the_plain_ones),
		cmocka_unit_test(other_pages_and_models_admit_everything),
		cmocka_unit_test(only_the_first_instruction_is_checked),
		cmocka_unit_test(btype_goes_through_spsr),
		cmocka_unit_test(what_is_complete_has_cleared_btype),
		cmocka_unit_test(a_page_with_a_breakpoint_is_guarded_as_well),
		cmocka_unit_test(system_instructions_clear_btype),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
