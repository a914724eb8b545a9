/* SPDX-License-Identifier: MIT */
/*
 * Software step, breakpoints and watchpoints, for a debugger at EL2 and for the guest's own. Arm ARM DDI 0487,
 * "Software Step exceptions", "Breakpoint exceptions", "Watchpoint exceptions".
 */
#include "machine.h"

#define STEP_EXECUTED ESR_MAKE(EC_STEP_LOWER, ISS_STEP_ISV | FSC_DEBUG)
#define STEP_EXCLUSIVE ESR_MAKE(EC_STEP_LOWER, ISS_STEP_ISV | ISS_STEP_EX | FSC_DEBUG)
#define STEP_NOTHING ESR_MAKE(EC_STEP_LOWER, FSC_DEBUG)

enum { MDSCR_SS = 1, MDSCR_KDE = 1 << 13, MDSCR_MDE = 1 << 15 };

/* A debugger at EL2 steps one instruction. */
static void step(struct machine *m, uint64_t esr, uint64_t pc)
{
	m->cpu->pstate |= PSR_SS;
	expect_trap(m->cpu, esr, pc);
	assert_false(m->cpu->pstate & PSR_SS);
}

static void stepping(struct machine *m)
{
	m->cpu->el2.tde = true;
	m->cpu->el2.mdscr = MDSCR_SS;
}

static void each_instruction_is_reported_once_after_its_effects(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x91000400, /* add x0, x0, #1 */
		     0xb4000041, /* cbz x1, t */
		     0xd503201f, /* nop */
		     0xd28000a2, /* mov x2, #5 */
	     });
	stepping(&m);
	step(&m, STEP_EXECUTED, CODE + 4);
	assert_int_equal(m.cpu->env.x[0], 1);
	step(&m, STEP_EXECUTED, CODE + 12);
	step(&m, STEP_EXECUTED, CODE + 16);
	assert_int_equal(m.cpu->env.x[2], 5);
	machine_free(&m);
}

static void a_step_that_is_pending_at_entry_is_reported_without_executing(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x91000400, /* add x0, x0, #1 */
	     });
	stepping(&m);
	expect_trap(m.cpu, STEP_NOTHING, CODE);
	assert_int_equal(m.cpu->env.x[0], 0);
	machine_free(&m);
}

static void a_load_exclusive_sets_ex_and_its_monitor_is_lost(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xc85f7d40, /* ldxr x0, [x10] */
		     0xc8017d40, /* stxr w1, x0, [x10] */
	     });
	m.cpu->env.x[10] = DATA;
	stepping(&m);
	step(&m, STEP_EXCLUSIVE, CODE + 4);
	step(&m, STEP_EXECUTED, CODE + 8);
	assert_int_equal(m.cpu->env.x[1], 1);
	machine_free(&m);
}

static void svc_is_stepped_to_the_vector_with_spsr_ss_clear(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd40000a1, /* svc #5 */
	     });
	stepping(&m);
	step(&m, STEP_NOTHING, VECTORS + 0x200);
	assert_int_equal(m.cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_SVC64, 5));
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE + 4);
	assert_false(m.cpu->sys[CPU_SPSR_EL1] & PSR_SS);
	machine_free(&m);
}

static void another_synchronous_exception_keeps_ss_in_spsr(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd4400020, /* hlt #1 */
	     });
	stepping(&m);
	step(&m, STEP_NOTHING, VECTORS + 0x200);
	assert_int_equal(m.cpu->sys[CPU_ESR_EL1], 0x02000000);
	assert_true(m.cpu->sys[CPU_SPSR_EL1] & PSR_SS);
	machine_free(&m);
}

static void eret_is_reported_at_its_target(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd69f03e0, /* eret */
	     });
	m.cpu->sys[CPU_ELR_EL1] = USER;
	m.cpu->sys[CPU_SPSR_EL1] = 0x3c0 | PSR_SS; /* the guest's own step is not ours */
	stepping(&m);
	step(&m, STEP_EXECUTED, USER);
	assert_int_equal(cpu_pstate(m.cpu), 0x3c0);
	machine_free(&m);
}

static void hvc_clears_ss_before_it_leaves_and_smc_does_not(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd40000e2, /* hvc #7 */
		     0xd4000063, /* smc #3 */
	     });
	stepping(&m);
	m.cpu->pstate |= PSR_SS;
	expect_trap(m.cpu, ESR_MAKE(EC_HVC64, 7), CODE + 4);
	assert_false(m.cpu->pstate & PSR_SS);
	m.cpu->pstate |= PSR_SS;
	expect_trap(m.cpu, ESR_MAKE(EC_SMC64, 3), CODE + 4);
	assert_true(m.cpu->pstate & PSR_SS);
	machine_free(&m);
}

static void an_access_that_leaves_for_el2_is_no_step(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400020, /* ldr x0, [x1] */
	     });
	m.cpu->env.x[1] = HOLE;
	stepping(&m);
	m.cpu->pstate |= PSR_SS;
	assert_int_equal(cpu_run(m.cpu), CPU_EXIT_TRAP);
	assert_int_equal(ESR_EC(m.cpu->el2.esr), EC_DABT_LOWER);
	assert_int_equal(m.cpu->env.pc, CODE);
	assert_true(m.cpu->pstate & PSR_SS);
	machine_free(&m);
}

static void a_pending_step_comes_before_an_interrupt(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503201f, /* nop */
		     0xd503201f, /* nop */
	     });
	stepping(&m);
	m.cpu->pstate &= ~PSR_I;
	atomic_store(&m.cpu->irq_in, CPU_IRQ);
	expect_trap(m.cpu, STEP_NOTHING, CODE);
	/* and an interrupt before the instruction that is to be stepped: it has the step's place, SPSR keeps SS */
	step(&m, STEP_NOTHING, VECTORS + 0x280);
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE);
	assert_true(m.cpu->sys[CPU_SPSR_EL1] & PSR_SS);
	machine_free(&m);
}

static void a_register_write_that_ends_a_block_is_one_step(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd5034fff, /* msr daifclr, #15 */
		     0xd5182000, /* msr ttbr0_el1, x0 */
		     0xd50040bf, /* msr spsel, #0 */
		     0xd5033fdf, /* isb */
		     0xd5033f9f, /* dsb sy */
		     0xd508831f, /* tlbi vmalle1is */
	     });
	stepping(&m);
	for (unsigned i = 1; i <= 6; i++)
		step(&m, STEP_EXECUTED, CODE + 4 * i);
	machine_free(&m);
}

static void brk_goes_to_el2_and_is_not_a_step(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd4202460, /* brk #0x123 */
	     });
	stepping(&m);
	m.cpu->pstate |= PSR_SS;
	expect_trap(m.cpu, ESR_MAKE(EC_BRK64, 0x123), CODE);
	assert_true(m.cpu->pstate & PSR_SS);
	m.cpu->el2.tde = false;
	m.cpu->el2.mdscr = 0;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_BRK64, 0x123), CODE);
	machine_free(&m);
}

static void a_guest_steps_its_own_el0(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd69f03e0, /* eret */
	     });
	LOAD(&m, USER,
	     {
		     0x91000400, /* add x0, x0, #1 */
		     0x91000400, /* add x0, x0, #1 */
	     });
	m.cpu->el2.mdscr = m.cpu->sys[CPU_MDSCR_EL1] = MDSCR_SS;
	m.cpu->sys[CPU_ELR_EL1] = USER;
	m.cpu->sys[CPU_SPSR_EL1] = 0x1c0 | PSR_SS;
	expect_el1(m.cpu, VEC_LOW_SYNC, STEP_EXECUTED, USER + 4);
	assert_int_equal(m.cpu->env.x[0], 1);
	assert_false(m.cpu->sys[CPU_SPSR_EL1] & PSR_SS);
	machine_free(&m);
}

static void a_guest_steps_its_own_el1_only_with_kde_and_d_clear(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->el2.mdscr = MDSCR_SS;
	expect_hvc(m.cpu, END); /* KDE clear */
	m.cpu->env.pc = CODE;
	m.cpu->el2.mdscr = MDSCR_SS | MDSCR_KDE;
	expect_hvc(m.cpu, END); /* PSTATE.D set */
	m.cpu->env.pc = CODE;
	m.cpu->pstate &= ~PSR_D;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_STEP_CUR, FSC_DEBUG), CODE);
	machine_free(&m);
}

/* D2, "Software Step exceptions": ISV is 0 if the instruction before was executed in the inactive state. */
static void a_step_that_became_pending_without_a_stepped_instruction_has_no_isv(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	m.cpu->el2.mdscr = MDSCR_SS | MDSCR_KDE;
	LOAD(&m, CODE,
	     {
		     0xd50348ff, /* msr daifclr, #8: debug exceptions of EL1 are no longer masked */
		     0xd503201f, /* nop */
	     });
	m.cpu->pstate |= PSR_D;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_STEP_CUR, FSC_DEBUG), CODE + 4);
	machine_free(&m);

	machine_new(&m, 1);
	m.cpu->el2.mdscr = MDSCR_SS | MDSCR_KDE;
	LOAD(&m, CODE,
	     {
		     0xd69f03e0, /* eret, with SPSR_EL1.SS = 0 */
	     });
	m.cpu->pstate |= PSR_D;
	m.cpu->sys[CPU_ELR_EL1] = USER;
	m.cpu->sys[CPU_SPSR_EL1] = PSR_EL0T;
	expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_STEP_LOWER, FSC_DEBUG), USER);
	machine_free(&m);
}

static void a_breakpoint_stops_before_its_instruction(void **state)
{
	struct machine m;
	struct cpu_dbg_regs host = {.bcr = {0x1e7}, .bvr = {CODE + 8}};

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x91000400, /* add x0, x0, #1 */
		     0x91000400, /* add x0, x0, #1 */
		     0x91000400, /* add x0, x0, #1 */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->el2.tde = true;
	m.cpu->el2.mdscr = MDSCR_MDE | MDSCR_KDE;
	m.cpu->el2.dbg = &host;
	for (unsigned i = 0; i < 2; i++) { /* and again, until it is taken away */
		expect_trap(m.cpu, 0xc2000022, CODE + 8);
		assert_int_equal(m.cpu->env.x[0], 2);
	}
	m.cpu->el2.mdscr = 0;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 3);
	machine_free(&m);
}

static void a_breakpoint_is_for_the_exception_level_that_pmc_says(void **state)
{
	struct machine m;
	struct cpu_dbg_regs host = {.bcr = {0x1e5}, .bvr = {CODE + 4}}; /* PMC: EL0 only */

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503201f, /* nop */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->el2.tde = true;
	m.cpu->el2.mdscr = MDSCR_MDE;
	m.cpu->el2.dbg = &host;
	expect_hvc(m.cpu, END);
	machine_free(&m);
}

static void a_linked_breakpoint_asks_for_the_context(void **state)
{
	struct machine m;
	struct cpu_dbg_regs host = {.bcr = {0x1e7 | 1 << 20 | 5 << 16, [5] = 0x1e7 | 3 << 20},
				    .bvr = {CODE + 4, [5] = 77}};

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503201f, /* nop */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->el2.tde = true;
	m.cpu->el2.mdscr = MDSCR_MDE;
	m.cpu->el2.dbg = &host;
	expect_hvc(m.cpu, END);
	m.cpu->env.pc = CODE;
	m.cpu->sys[CPU_CONTEXTIDR_EL1] = 77;
	expect_trap(m.cpu, 0xc2000022, CODE + 4);
	machine_free(&m);
}

/* Breakpoint types 2 and 6 match wherever CONTEXTIDR_EL1 does, at the Exception level that PMC says; the last two have them. */
static void a_context_breakpoint_that_is_not_linked_matches_every_instruction_of_the_context(void **state)
{
	static const struct {
		unsigned n, bt;
		uint32_t bcr;
		bool match;
	} cases[] = {
		{5, 2, 0x1e7, true},  {4, 2, 0x1e7, true},  {3, 2, 0x1e7, false}, {5, 6, 0x1e7, true},
		{5, 2, 0x1e6, false}, {5, 2, 0x1e5, false}, {5, 3, 0x1e7, false}, {5, 7, 0x1e7, false},
		{5, 8, 0x1e7, false}, {5, 4, 0x1e7, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;
		struct cpu_dbg_regs *own;

		machine_new(&m, 1);
		LOAD(&m, CODE,
		     {
			     0xd503201f, /* nop */
			     0xd518d021, /* msr contextidr_el1, x1 */
			     0xd503201f, /* nop */
			     0xd4000002, /* hvc #0 */
		     });
		own = &m.cpu->dbg;
		own->bcr[cases[i].n] = cases[i].bcr | cases[i].bt << 20;
		own->bvr[cases[i].n] = 0xffffffff00000000 | 77; /* the upper word is not compared */
		m.cpu->el2.mdscr = MDSCR_MDE | 1 << 13;		/* KDE */
		m.cpu->env.x[1] = 77;
		cpu_set_pstate(m.cpu, PSR_EL1H);
		if (cases[i].match)
			expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_BREAKPT_CUR, FSC_DEBUG), CODE + 8);
		else
			expect_hvc(m.cpu, END);
		machine_free(&m);
	}
}

static void what_a_breakpoint_or_watchpoint_may_be_linked_to(void **state)
{
	static const struct {
		unsigned lbn;
		uint32_t bcr;
		uint64_t context;
		bool match;
	} cases[] = {
		{5, 0x1e7 | 3 << 20, 77, true},	 {4, 0x1e7 | 3 << 20, 77, true},   {5, 0x1e7 | 7 << 20, 77, true},
		{5, 0x1e7 | 3 << 20, 78, false}, {5, 0x1e6 | 3 << 20, 77, false},  {5, 0x1e7 | 1 << 20, 77, false},
		{3, 0x1e7 | 3 << 20, 77, false}, {15, 0x1e7 | 3 << 20, 77, false}, {5, 1 | 3 << 20, 77, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned watch = 0; watch < 2; watch++) {
			struct machine m;
			struct cpu_dbg_regs *own;

			machine_new(&m, 1);
			LOAD(&m, CODE,
			     {
				     0xf9400140, /* ldr x0, [x10] */
				     0xd4000002, /* hvc #0 */
			     });
			m.cpu->env.x[10] = DATA;
			own = &m.cpu->dbg;
			own->bcr[cases[i].lbn] = cases[i].bcr;
			own->bvr[cases[i].lbn] = 77;
			if (watch) {
				own->wcr[0] = 1 | 3 << 1 | 3 << 3 | 0xff << 5 | cases[i].lbn << 16 | 1 << 20;
				own->wvr[0] = DATA;
			} else {
				own->bcr[0] = 0x1e7 | cases[i].lbn << 16 | 1 << 20;
				own->bvr[0] = CODE;
			}
			m.cpu->sys[CPU_CONTEXTIDR_EL1] = cases[i].context;
			m.cpu->el2.mdscr = MDSCR_MDE | 1 << 13; /* KDE */
			cpu_set_pstate(m.cpu, PSR_EL1H);
			if (cases[i].match)
				expect_el1(m.cpu, VEC_CUR_SYNC,
					   ESR_MAKE(watch ? EC_WATCHPT_CUR : EC_BREAKPT_CUR, FSC_DEBUG), CODE);
			else
				expect_hvc(m.cpu, END);
			machine_free(&m);
		}
	}
}

static void a_watchpoint_stops_the_access_and_names_the_lowest_byte(void **state)
{
	struct machine m;
	struct cpu_dbg_regs host = {.wcr = {0x1 | 3 << 1 | 2 << 3 | 0xf0 << 5},
				    .wvr = {DATA}}; /* stores, bytes 4 to 7 */

	machine_new(&m, 1);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xb9000141, /* str w1, [x10] */
		     0xf9000141, /* str x1, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = DATA;
	m.cpu->env.x[1] = 5;
	m.cpu->el2.tde = true;
	m.cpu->el2.mdscr = MDSCR_MDE;
	m.cpu->el2.dbg = &host;
	expect_trap(m.cpu, 0xd2000062, CODE + 8);
	assert_int_equal(m.cpu->el2.far, DATA + 4);
	assert_int_equal(machine_read(&m, DATA), 5); /* the word store below the watched bytes was done */
	m.cpu->el2.mdscr = 0;
	expect_hvc(m.cpu, END);
	machine_free(&m);
}

static void a_watchpoint_with_a_mask_covers_pages(void **state)
{
	struct machine m;
	struct cpu_dbg_regs host = {.wcr = {0x1 | 3 << 1 | 1 << 3 | 0xff << 5 | 13 << 24},
				    .wvr = {DATA}}; /* loads, 8 KiB */

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400120, /* ldr x0, [x9] */
		     0xf9400140, /* ldr x0, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[9] = DATA + 0x2000;
	m.cpu->env.x[10] = DATA + 0x1008;
	m.cpu->el2.tde = true;
	m.cpu->el2.mdscr = MDSCR_MDE;
	m.cpu->el2.dbg = &host;
	expect_trap(m.cpu, 0xd2000022, CODE + 4);
	assert_int_equal(m.cpu->el2.far, DATA + 0x1008);
	machine_free(&m);
}

/* The page in front of it was looked up before, and came from the same leaf, or from one that continues it. */
static void a_watchpoint_is_met_by_an_access_that_goes_on_from_another_page(void **state)
{
	for (unsigned block = 0; block < 2; block++) {
		struct machine m;
		struct cpu_dbg_regs host = {.wcr = {0x1 | 3 << 1 | 3 << 3 | 0xff << 5}, .wvr = {DATA + 0x2000}};
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		for (uint64_t at = DATA; at < DATA + 0x4000; at += 4096)
			machine_map(&m, root, at, at, PTE_AF | PTE_SH);
		if (block)
			machine_write(&m, machine_read(&m, root + 8 * (RAM >> 30)) & 0xfffffffff000,
				      RAM | PTE_AF | PTE_BLOCK);
		LOAD(&m, CODE,
		     {
			     0xf9400140, /* ldr x0, [x10] */
			     0xf9400140, /* ldr x0, [x10] */
			     0xf9480140, /* ldr x0, [x10, #4096] */
			     0xd4000002, /* hvc #0 */
		     });
		m.cpu->env.x[10] = DATA + 0x1000;
		m.cpu->el2.tde = true;
		m.cpu->el2.mdscr = MDSCR_MDE;
		m.cpu->el2.dbg = &host;
		expect_trap(m.cpu, 0xd2000022, CODE + 8);
		assert_int_equal(m.cpu->el2.far, DATA + 0x2000);
		machine_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_instruction_is_reported_once_after_its_effects),
		cmocka_unit_test(a_step_that_is_pending_at_entry_is_reported_without_executing),
		cmocka_unit_test(a_load_exclusive_sets_ex_and_its_monitor_is_lost),
		cmocka_unit_test(svc_is_stepped_to_the_vector_with_spsr_ss_clear),
		cmocka_unit_test(another_synchronous_exception_keeps_ss_in_spsr),
		cmocka_unit_test(eret_is_reported_at_its_target),
		cmocka_unit_test(hvc_clears_ss_before_it_leaves_and_smc_does_not),
		cmocka_unit_test(an_access_that_leaves_for_el2_is_no_step),
		cmocka_unit_test(a_pending_step_comes_before_an_interrupt),
		cmocka_unit_test(a_register_write_that_ends_a_block_is_one_step),
		cmocka_unit_test(brk_goes_to_el2_and_is_not_a_step),
		cmocka_unit_test(a_guest_steps_its_own_el0),
		cmocka_unit_test(a_guest_steps_its_own_el1_only_with_kde_and_d_clear),
		cmocka_unit_test(a_step_that_became_pending_without_a_stepped_instruction_has_no_isv),
		cmocka_unit_test(a_breakpoint_stops_before_its_instruction),
		cmocka_unit_test(a_breakpoint_is_for_the_exception_level_that_pmc_says),
		cmocka_unit_test(a_linked_breakpoint_asks_for_the_context),
		cmocka_unit_test(a_context_breakpoint_that_is_not_linked_matches_every_instruction_of_the_context),
		cmocka_unit_test(what_a_breakpoint_or_watchpoint_may_be_linked_to),
		cmocka_unit_test(a_watchpoint_stops_the_access_and_names_the_lowest_byte),
		cmocka_unit_test(a_watchpoint_with_a_mask_covers_pages),
		cmocka_unit_test(a_watchpoint_is_met_by_an_access_that_goes_on_from_another_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
