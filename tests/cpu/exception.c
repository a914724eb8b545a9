/* SPDX-License-Identifier: MIT */
/*
 * Exception entry and return, traps to EL1 and EL2, system registers, interrupts. Arm ARM DDI 0487, "The AArch64
 * Application and System Level Programmers' Model".
 */
#include "machine.h"

static void entry_saves_and_masks_and_picks_the_vector(void **state)
{
	static const struct {
		uint32_t pstate;
		unsigned vec;
	} cases[] = {{PSR_EL1H, VEC_CUR_SYNC}, {PSR_EL1T, VEC_CUR0_SYNC}, {PSR_EL0T, VEC_LOW_SYNC}};

	for (unsigned i = 0; i < 3; i++) {
		struct machine m;

		machine_new(&m, 1);
		LOAD(&m, CODE,
		     {
			     0xd4000121, /* svc #9 */
		     });
		m.cpu->sys[CPU_SCTLR_EL1] &= ~(1ull << 23); /* SPAN clear: PAN is set on entry */
		m.cpu->sys[CPU_SCTLR_EL1] |= 1ull << 44;    /* DSSBS */
		cpu_set_sp(m.cpu, 0, 0x1000);
		cpu_set_sp(m.cpu, 1, 0x2000);
		cpu_set_pstate(m.cpu, cases[i].pstate | 0x60000000 | PSR_UAO);
		expect_el1(m.cpu, cases[i].vec, ESR_MAKE(EC_SVC64, 9), CODE + 4);
		assert_int_equal(m.cpu->sys[CPU_SPSR_EL1], cases[i].pstate | 0x60000000 | PSR_UAO);
		assert_int_equal(cpu_pstate(m.cpu), 0x600003c5 | PSR_PAN | PSR_SSBS);
		assert_int_equal(m.cpu->env.x[31], 0x2000);
		assert_int_equal(cpu_sp(m.cpu, 0), 0x1000);
		machine_free(&m);
	}
}

static void eret_restores_pstate_and_the_stack_pointer(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd5184020, /* msr elr_el1, x0 */
		     0xd5184001, /* msr spsr_el1, x1 */
		     0xd5184102, /* msr sp_el0, x2 */
		     0xd69f03e0, /* eret */
	     });
	LOAD(&m, USER,
	     {
		     0x910003e3, /* mov x3, sp */
		     0xd53b4204, /* mrs x4, nzcv */
		     0xd4000021, /* svc #1 */
	     });
	m.cpu->env.x[0] = USER;
	m.cpu->env.x[1] = 0x90000000;
	m.cpu->env.x[2] = 0x7770;
	expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_SVC64, 1), USER + 12);
	assert_int_equal(m.cpu->env.x[3], 0x7770);
	assert_int_equal(m.cpu->env.x[4], 0x90000000);
	machine_free(&m);
}

static void an_illegal_return_sets_il_and_the_next_instruction_takes_it(void **state)
{
	static const uint32_t modes[] = {0x1, 0x7, 0x8, 0x9, 0xc, 0xd, 0x10, 0x13, 0x1f};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct machine m;

		machine_new(&m, 1);
		LOAD(&m, CODE,
		     {
			     0xd69f03e0, /* eret */
			     0xd503201f, /* nop */
			     0x910004a5, /* add x5, x5, #1 */
		     });
		m.cpu->sys[CPU_ELR_EL1] = CODE + 8;
		m.cpu->sys[CPU_SPSR_EL1] = modes[i] | 0x3c0;
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_ILLEGAL_STATE, 0), CODE + 8);
		assert_int_equal(m.cpu->env.x[5], 0);
		assert_true(m.cpu->sys[CPU_SPSR_EL1] & PSR_IL);
		assert_false(m.cpu->pstate & PSR_IL);
		machine_free(&m);
	}
}

static void a_misaligned_pc_is_its_own_exception(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd61f0000, /* br x0 */
	     });
	m.cpu->env.x[0] = CODE + 6;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_PC_ALIGN, 0), CODE + 6);
	assert_int_equal(m.cpu->sys[CPU_FAR_EL1], CODE + 6);
	machine_free(&m);
}

static void fp_traps_as_cpacr_says(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x1e6e1000, /* fmov d0, #1.0 */
		     0xd53b4400, /* mrs x0, fpcr */
		     0xd4000002, /* hvc #0 */
	     });
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FP_ACCESS, 0x1e00000), CODE);
	m.cpu->env.pc = CODE + 4;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FP_ACCESS, 0x1e00000), CODE + 4);
	m.cpu->env.pc = CODE;
	cpu_sysreg_set(m.cpu, SYSREG(3, 0, 1, 0, 2), 1 << 20);
	expect_hvc(m.cpu, END);
	m.cpu->env.pc = CODE;
	cpu_set_pstate(m.cpu, PSR_EL0T); /* FPEN = 1 traps EL0 only */
	expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_FP_ACCESS, 0x1e00000), CODE);
	machine_free(&m);
}

static void wfi_and_wfe_trap_to_el1_from_el0_and_else_to_el2(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503207f, /* wfi */
		     0xd503205f, /* wfe */
		     0xd4000002, /* hvc #0 */
	     });
	expect_trap(m.cpu, ESR_MAKE(EC_WFX, 0x1e00000), CODE);
	m.cpu->env.pc += 4;
	expect_trap(m.cpu, ESR_MAKE(EC_WFX, 0x1e00001), CODE + 4);
	m.cpu->el2.twe = m.cpu->el2.twi = false;
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, END);
	m.cpu->el2.twi = true;
	m.cpu->sys[CPU_SCTLR_EL1] &= ~(5ull << 16);
	cpu_set_pstate(m.cpu, PSR_EL0T);
	m.cpu->env.pc = CODE;
	expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_WFX, 0x1e00000), CODE);
	machine_free(&m);
}

static void interrupts_are_taken_when_unmasked_and_not_before(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503201f, /* nop */
		     0xd50342ff, /* msr daifclr, #2 */
		     0x91000400, /* add x0, x0, #1 */
		     0xd4000002, /* hvc #0 */
	     });
	atomic_store(&m.cpu->irq_in, CPU_IRQ);
	expect_hvc(m.cpu, VEC_CUR_IRQ);
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE + 8);
	assert_int_equal(m.cpu->env.x[0], 0);
	atomic_store(&m.cpu->irq_in, CPU_FIQ | CPU_SERROR);
	m.cpu->el2.vsesr = 0x1000011;
	cpu_set_pstate(m.cpu, PSR_EL1H);
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, VEC_CUR_SERROR);
	assert_int_equal(m.cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_SERROR, 0x1000011));
	assert_int_equal(atomic_load(&m.cpu->irq_in), CPU_FIQ);
	machine_free(&m);
}

static void a_kick_before_cpu_run_is_not_lost(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x14000000, /* b . */
	     });
	cpu_kick(m.cpu);
	assert_int_equal(cpu_run(m.cpu), CPU_EXIT_KICK);
	assert_int_equal(m.cpu->env.kick, 0);
	machine_free(&m);
}

/* ---- system registers */

static void registers_that_el2_has_trap_with_their_syndrome(void **state)
{
	static const struct {
		uint32_t enc;
		bool read;
	} cases[] = {
		{SYSREG(3, 0, 0, 7, 0), true},					 /* ID_AA64MMFR0_EL1 */
		{SYSREG(3, 0, 1, 0, 1), true},					 /* ACTLR_EL1 */
		{SYSREG(3, 0, 1, 0, 1), false},	 {SYSREG(2, 0, 0, 2, 2), false}, /* MDSCR_EL1 */
		{SYSREG(2, 0, 1, 0, 4), false},					 /* OSLAR_EL1 */
		{SYSREG(3, 3, 9, 12, 0), true},					 /* PMCR_EL0 */
		{SYSREG(3, 0, 15, 15, 7), true}, {SYSREG(1, 0, 7, 6, 2), false}, /* DC ISW */
	};
	struct machine m;

	machine_new(&m, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t word = 0xd5000000 | cases[i].enc << 5 | 7 | (cases[i].read ? 1 << 21 : 0);

		machine_load(&m, CODE + 16 * i, &word, 4);
		m.cpu->env.pc = CODE + 16 * i;
		expect_trap(m.cpu, ESR_MAKE(EC_SYS64, iss_sys(cases[i].enc, 7, cases[i].read)), CODE + 16 * i);
		assert_int_equal(iss_sys_enc(ESR_ISS(m.cpu->el2.esr)), cases[i].enc);
	}
	machine_free(&m);
}

static void el0_gets_undefined_or_the_trap_of_its_gate(void **state)
{
	const struct {
		uint32_t word;
		uint64_t esr;
	} cases[] = {
		{0xd5384100, 0},			    /* mrs x0, sp_el0 */
		{0xd5381000, 0},			    /* mrs x0, sctlr_el1 */
		{0xd5380700, ESR_MAKE(EC_SYS64, 0x30000f)}, /* mrs x0, id_aa64mmfr0_el1: FEAT_IDST */
		{0xd5380000, ESR_MAKE(EC_SYS64, 0x300001)}, /* mrs x0, midr_el1 */
		{0xd5380840, 0},			    /* CRm 8 is not the ID space */
		{0xd53b0020, ESR_MAKE(EC_SYS64, iss_sys(SYSREG(3, 3, 0, 0, 1), 0, 1))},	  /* mrs x0, ctr_el0 */
		{0xd53be040, ESR_MAKE(EC_SYS64, iss_sys(SYSREG(3, 3, 14, 0, 2), 0, 1))},  /* mrs x0, cntvct_el0 */
		{0xd50b7420, ESR_MAKE(EC_SYS64, iss_sys(SYSREG(1, 3, 7, 4, 1), 0, 0))},	  /* dc zva, x0 */
		{0xd50b7520, ESR_MAKE(EC_SYS64, iss_sys(SYSREG(1, 3, 7, 5, 1), 0, 0))},	  /* ic ivau, x0 */
		{0xd5034fdf, ESR_MAKE(EC_SYS64, iss_sys(SYSREG(0, 3, 4, 15, 6), 31, 0))}, /* msr daifset, #15 */
		{0xd508871f, 0},							  /* tlbi vmalle1 */
	};
	struct machine m;

	machine_new(&m, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		machine_load(&m, CODE + 16 * i, &cases[i].word, 4);
		cpu_set_pstate(m.cpu, PSR_EL0T);
		m.cpu->env.pc = CODE + 16 * i;
		expect_el1(m.cpu, VEC_LOW_SYNC, cases[i].esr ? cases[i].esr : ESR_MAKE(EC_UNKNOWN, 0), CODE + 16 * i);
	}
	machine_free(&m);
}

/* MDSCR_EL1.TDCC; without it the registers are EL2's, as KVM traps them. */
static void el0_gets_the_debug_channel_unless_mdscr_traps_it(void **state)
{
	static const struct {
		uint32_t word, enc;
		bool read, there;
	} cases[] = {
		{0xd5330100, SYSREG(2, 3, 0, 1, 0), true, true},   /* mrs x0, mdccsr_el0 */
		{0xd5130100, SYSREG(2, 3, 0, 1, 0), false, false}, /* which is read-only */
		{0xd5330400, SYSREG(2, 3, 0, 4, 0), true, true},   /* mrs x0, dbgdtr_el0 */
		{0xd5130400, SYSREG(2, 3, 0, 4, 0), false, true},
		{0xd5330500, SYSREG(2, 3, 0, 5, 0), true, true}, /* mrs x0, dbgdtrrx_el0 */
		{0xd5130500, SYSREG(2, 3, 0, 5, 0), false, true},
		{0xd5330600, SYSREG(2, 3, 0, 6, 0), true, false},
	};
	struct machine m;

	machine_new(&m, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned tdcc = 0; tdcc < 2; tdcc++) {
			uint64_t esr = ESR_MAKE(EC_SYS64, iss_sys(cases[i].enc, 0, cases[i].read));

			machine_load(&m, CODE + 16 * i, &cases[i].word, 4);
			m.cpu->sys[CPU_MDSCR_EL1] = tdcc << 12;
			cpu_set_pstate(m.cpu, PSR_EL0T);
			m.cpu->env.pc = CODE + 16 * i;
			if (tdcc && cases[i].there)
				expect_el1(m.cpu, VEC_LOW_SYNC, esr, CODE + 16 * i);
			else
				expect_trap(m.cpu, esr, CODE + 16 * i);
		}
	}
	machine_free(&m);
}

static void special_registers_read_back(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	cpu_sysreg_set(m.cpu, SYSREG(3, 0, 1, 0, 2), 3 << 20);
	LOAD(&m, CODE,
	     {
		     0xd5384240, /* mrs x0, currentel */
		     0xd53b4221, /* mrs x1, daif */
		     0xd50343df, /* msr daifset, #3 */
		     0xd500419f, /* msr pan, #1 */
		     0xd5384262, /* mrs x2, s3_0_c4_c2_3 */
		     0x92800009, /* mov x9, #-1 */
		     0xd51b4409, /* msr fpcr, x9 */
		     0xd53b4403, /* mrs x3, fpcr */
		     0xd51b4429, /* msr fpsr, x9 */
		     0xd53b4424, /* mrs x4, fpsr */
		     0xd51b4209, /* msr nzcv, x9 */
		     0xd53b4205, /* mrs x5, nzcv */
		     0xd5384206, /* mrs x6, spsel */
		     0xd5380007, /* mrs x7, midr_el1 */
		     0xd53b00e8, /* mrs x8, dczid_el0 */
		     0xd518c009, /* msr vbar_el1, x9 */
		     0xd538c009, /* mrs x9, vbar_el1 */
		     0xd4000002, /* hvc #0 */
	     });
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 4);
	assert_int_equal(m.cpu->env.x[1], 0x3c0);
	assert_int_equal(m.cpu->env.x[2], PSR_PAN);
	assert_int_equal(m.cpu->env.x[3], 0x07c80000);
	assert_int_equal(m.cpu->env.x[4], 0x0800009f);
	assert_int_equal(m.cpu->env.x[5], 0xf0000000);
	assert_int_equal(m.cpu->env.x[6], 1);
	assert_int_equal(m.cpu->env.x[7], m.cpu->sys[CPU_MIDR_EL1]);
	assert_int_equal(m.cpu->env.x[8], 4);
	assert_int_equal(m.cpu->env.x[9], ~0x7ffull);
	machine_free(&m);
}

static void the_sp_el0_register_is_undefined_while_it_is_the_stack_pointer(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd50040bf, /* msr spsel, #0 */
		     0xd5184100, /* msr sp_el0, x0 */
	     });
	expect_el1(m.cpu, VEC_CUR0_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE + 4);
	machine_free(&m);
}

static unsigned timer_calls;

static void timer_changed(void *opaque)
{
	timer_calls++;
}

static void timers_compare_with_the_counter(void **state)
{
	static const struct cpu_platform platform = {.timer_changed = timer_changed};
	struct machine m;
	struct cpu *cpu;
	uint64_t now;

	machine_new(&m, 1);
	cpu = m.cpu;
	cpu->platform = &platform;
	timer_calls = 0;
	LOAD(&m, CODE,
	     {
		     0xd53be041, /* mrs x1, cntvct_el0 */
		     0xd51be35f, /* msr cntv_cval_el0, xzr */
		     0xd2800020, /* mov x0, #1 */
		     0xd51be320, /* msr cntv_ctl_el0, x0 */
		     0xd53be322, /* mrs x2, cntv_ctl_el0 */
		     0xb2407be0, /* mov x0, #0x7fffffff */
		     0xd51be300, /* msr cntv_tval_el0, x0 */
		     0xd53be323, /* mrs x3, cntv_ctl_el0 */
		     0xd53be344, /* mrs x4, cntv_cval_el0 */
		     0xd53be005, /* mrs x5, cntfrq_el0 */
		     0xd4000002, /* hvc #0 */
	     });
	now = cpu_group_counter(m.group);
	cpu_group_set_offset(m.group, CPU_TIMER_V, now);
	assert_false(cpu_timer_line(cpu, CPU_TIMER_V));
	assert_int_equal(cpu_timer_deadline(cpu, CPU_TIMER_V), UINT64_MAX);
	expect_hvc(cpu, END);
	assert_in_range(cpu->env.x[1], 0, CPU_CNTFRQ * 60ull);
	assert_int_equal(cpu->env.x[2], 5);
	assert_int_equal(cpu->env.x[3], 1);
	assert_in_range(cpu->env.x[4], 0x7fffffff, 0x7fffffffull + CPU_CNTFRQ * 60ull);
	assert_int_equal(cpu->env.x[5], CPU_CNTFRQ);
	assert_int_equal(timer_calls, 3);
	assert_in_range(cpu_timer_deadline(cpu, CPU_TIMER_V) - now, 0x7fffffff, 0x7fffffffull + CPU_CNTFRQ * 60ull);
	cpu->timer[CPU_TIMER_V].cval = 0;
	assert_true(cpu_timer_line(cpu, CPU_TIMER_V));
	cpu->timer[CPU_TIMER_V].ctl = 3;
	assert_false(cpu_timer_line(cpu, CPU_TIMER_V));
	machine_free(&m);
}

/* ---- code */

static void changed_code_runs_after_ic_ivau_and_not_before(void **state)
{
	struct machine m;
	uint64_t fn = CODE + 0x100;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xaa1e03f4, /* mov x20, x30 */
		     0xd63f0140, /* blr x10 */
		     0xb900014b, /* str w11, [x10] */
		     0xd63f0140, /* blr x10 */
		     0xaa0003f5, /* mov x21, x0 */
		     0xd50b752a, /* ic ivau, x10 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xd63f0140, /* blr x10 */
		     0xd4000002, /* hvc #0 */
	     });
	LOAD(&m, fn,
	     {
		     0xd2800020, /* mov x0, #1 */
		     0xd65f03c0, /* ret */
	     });
	m.cpu->env.x[10] = fn;
	m.cpu->env.x[11] = 0xd2800040; /* mov x0, #2 */
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[21], 1);
	assert_int_equal(m.cpu->env.x[0], 2);
	machine_free(&m);
}

static void code_that_the_host_changed_runs_after_cpu_code_changed(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd2800020, /* mov x0, #1 */
		     0xd4000002, /* hvc #0 */
	     });
	expect_hvc(m.cpu, END);
	LOAD(&m, CODE,
	     {
		     0xd2800040, /* mov x0, #2 */
		     0xd4000002, /* hvc #0 */
	     });
	cpu_code_changed(m.cpu);
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 2);
	machine_free(&m);
}

/* Blocks of a cache that is bounded: more of them than it holds. */
static void a_full_code_cache_is_emptied_and_the_guest_goes_on(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (unsigned i = 0; i < 40000; i++) {
		uint32_t *code = machine_host(&m, CODE);

		for (unsigned k = 0; k < 60; k++)
			code[k] = 0xf8400000 | 10 << 5 | (k & 7); /* ldur xk, [x10] */
		code[60] = 0xd2800000 | (i & 0xffff) << 5 | 9;	  /* mov x9, #i */
		code[61] = 0xd4000002;
		m.cpu->env.x[10] = DATA;
		m.cpu->env.pc = CODE;
		cpu_code_changed(m.cpu);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[9], i);
	}
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_saves_and_masks_and_picks_the_vector),
		cmocka_unit_test(eret_restores_pstate_and_the_stack_pointer),
		cmocka_unit_test(an_illegal_return_sets_il_and_the_next_instruction_takes_it),
		cmocka_unit_test(a_misaligned_pc_is_its_own_exception),
		cmocka_unit_test(fp_traps_as_cpacr_says),
		cmocka_unit_test(wfi_and_wfe_trap_to_el1_from_el0_and_else_to_el2),
		cmocka_unit_test(interrupts_are_taken_when_unmasked_and_not_before),
		cmocka_unit_test(a_kick_before_cpu_run_is_not_lost),
		cmocka_unit_test(registers_that_el2_has_trap_with_their_syndrome),
		cmocka_unit_test(el0_gets_undefined_or_the_trap_of_its_gate),
		cmocka_unit_test(el0_gets_the_debug_channel_unless_mdscr_traps_it),
		cmocka_unit_test(special_registers_read_back),
		cmocka_unit_test(the_sp_el0_register_is_undefined_while_it_is_the_stack_pointer),
		cmocka_unit_test(timers_compare_with_the_counter),
		cmocka_unit_test(changed_code_runs_after_ic_ivau_and_not_before),
		cmocka_unit_test(code_that_the_host_changed_runs_after_cpu_code_changed),
		cmocka_unit_test(a_full_code_cache_is_emptied_and_the_guest_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
