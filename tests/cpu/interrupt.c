/* SPDX-License-Identifier: MIT */
/*
 * Which interrupt is taken, from where and when: all masks, all pending sets, all exception levels; and the OS lock. Arm ARM DDI
 * 0487, "Asynchronous exception masking", "Prioritization of asynchronous exceptions" (the order is ours to choose: SError,
 * FIQ, IRQ), "OS Lock"; and ESB.
 */
#include "machine.h"

enum { SYNC, IRQ, FIQ, SERROR };

/* What is taken of that set under these masks; SYNC: nothing. */
static unsigned taken(uint32_t pending, uint32_t pstate)
{
	if ((pending & CPU_SERROR) && !(pstate & PSR_A))
		return SERROR;
	if ((pending & CPU_FIQ) && !(pstate & PSR_F))
		return FIQ;
	if ((pending & CPU_IRQ) && !(pstate & PSR_I))
		return IRQ;
	return SYNC;
}

static void every_mask_and_every_pending_set_at_every_level(void **state)
{
	static const struct {
		uint32_t mode, group;
	} from[] = {{PSR_EL0T, 8}, {PSR_EL1T, 0}, {PSR_EL1H, 4}};
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd4000fe1, /* svc #0x7f */
	     });
	for (unsigned i = 0; i < 3; i++) {
		for (uint32_t masks = 0; masks < 8; masks++) {
			for (uint32_t pending = 0; pending < 8; pending++) {
				uint32_t pstate = from[i].mode | masks << 6 | PSR_D;
				unsigned what = taken(pending, pstate);

				cpu_set_pstate(m.cpu, pstate);
				m.cpu->env.pc = CODE;
				m.cpu->el2.vsesr = 0x123;
				atomic_store(&m.cpu->irq_in, pending);
				expect_hvc(m.cpu, 0x100 + from[i].group + what);
				assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE + (what == SYNC ? 4 : 0));
				assert_int_equal(m.cpu->sys[CPU_SPSR_EL1], pstate);
				/* taking a virtual SError clears it; the others are levels */
				assert_int_equal(atomic_load(&m.cpu->irq_in),
						 what == SERROR ? pending & ~CPU_SERROR : pending);
				if (what == SERROR)
					assert_int_equal(m.cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_SERROR, 0x123));
				assert_int_equal(m.cpu->pstate & (PSR_D | PSR_A | PSR_I | PSR_F | PSR_MODE),
						 PSR_D | PSR_A | PSR_I | PSR_F | PSR_EL1H);
			}
		}
	}
	machine_free(&m);
}

static void isr_shows_what_is_pending_whatever_the_masks(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (uint32_t pending = 0; pending < 8; pending++) {
		LOAD(&m, CODE,
		     {
			     0xd538c100, /* mrs x0, isr_el1 */
			     0xd4000002, /* hvc #0 */
		     });
		cpu_set_pstate(m.cpu, PSR_EL1H | PSR_A | PSR_I | PSR_F | PSR_D);
		m.cpu->env.pc = CODE;
		atomic_store(&m.cpu->irq_in, pending);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], (pending & CPU_SERROR ? 1 << 8 : 0) |
							  (pending & CPU_IRQ ? 1 << 7 : 0) |
							  (pending & CPU_FIQ ? 1 << 6 : 0));
	}
	machine_free(&m);
}

static void an_exception_return_that_unmasks_takes_the_interrupt_before_its_target(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd69f03e0, /* eret */
	     });
	m.cpu->sys[CPU_ELR_EL1] = USER;
	m.cpu->sys[CPU_SPSR_EL1] = PSR_EL0T | PSR_F;
	atomic_store(&m.cpu->irq_in, CPU_IRQ | CPU_FIQ);
	expect_hvc(m.cpu, VEC_LOW_IRQ);
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], USER);
	assert_int_equal(m.cpu->sys[CPU_SPSR_EL1], PSR_EL0T | PSR_F);
	machine_free(&m);
}

/* ---- ESB: "Error synchronization barrier", pseudocode AArch64.vESBOperation() */

static const uint32_t esb_program[] = {
	0xd503221f, /* esb */
	0xd538c121, /* mrs x1, disr_el1 */
	0xd538c102, /* mrs x2, isr_el1 */
	0xd4000002, /* hvc #0 */
};

static void start_esb(struct machine *m, uint32_t pstate, uint32_t pending)
{
	machine_load(m, CODE, esb_program, sizeof(esb_program));
	m->cpu->sys[CPU_DISR_EL1] = 0;
	m->cpu->el2.vsesr = 0x1234567;
	m->cpu->env.pc = CODE;
	cpu_set_pstate(m->cpu, PSR_D | PSR_I | PSR_F | pstate);
	atomic_store(&m->cpu->irq_in, pending);
}

static void esb_defers_the_serror_that_is_masked_to_disr(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (uint32_t others = 0; others < 4; others++) {
		start_esb(&m, PSR_EL1H | PSR_A, CPU_SERROR | others);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[1], DISR_A | 0x1234567);
		assert_int_equal(m.cpu->env.x[2], (others & CPU_IRQ ? 1 << 7 : 0) | (others & CPU_FIQ ? 1 << 6 : 0));
		assert_int_equal(atomic_load(&m.cpu->irq_in), others);
	}
	machine_free(&m);
}

static void esb_without_an_serror_leaves_disr_as_it_is(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	start_esb(&m, PSR_EL1H | PSR_A, CPU_IRQ | CPU_FIQ);
	m.cpu->sys[CPU_DISR_EL1] = DISR_A | 5;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[1], DISR_A | 5);
	machine_free(&m);
}

static void esb_at_el0_defers_as_well(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xd503221f, /* esb */
		     0xd4000fe1, /* svc #0x7f */
	     });
	m.cpu->env.pc = CODE;
	m.cpu->el2.vsesr = 0x42;
	cpu_set_pstate(m.cpu, PSR_EL0T | PSR_A);
	atomic_store(&m.cpu->irq_in, CPU_SERROR);
	expect_hvc(m.cpu, 0x108);
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE + 8);
	assert_int_equal(m.cpu->sys[CPU_DISR_EL1], DISR_A | 0x42);
	assert_int_equal(atomic_load(&m.cpu->irq_in), 0);
	machine_free(&m);
}

/* What is held off by a debugger when ESB is executed is not masked: it stays pending. */
static void esb_does_not_defer_an_serror_that_is_not_masked(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	start_esb(&m, PSR_EL1H, CPU_SERROR);
	m.cpu->el2.hold_irqs = true;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[1], 0);
	assert_int_equal(m.cpu->env.x[2], 1 << 8);
	m.cpu->el2.hold_irqs = false;
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, VEC_CUR_SERROR);
	assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE);
	machine_free(&m);
}

static void esb_without_ras_is_a_nop(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	m.cpu->id[CPU_ID(4, 0)] &= ~(15ull << 28);
	cpu_id_changed(m.cpu);
	start_esb(&m, PSR_EL1H | PSR_A, CPU_SERROR);
	LOAD(&m, CODE + 4,
	     {
		     0xd503201f, /* nop */
	     });
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[2], 1 << 8);
	assert_int_equal(m.cpu->sys[CPU_DISR_EL1], 0);
	/* and DISR_EL1 is UNDEFINED */
	start_esb(&m, PSR_EL1H | PSR_A, 0);
	cpu_code_changed(m.cpu);
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE + 4);
	machine_free(&m);
}

/* ---- the OS lock */

enum { MDSCR_SS = 1, MDSCR_KDE = 1 << 13, MDSCR_MDE = 1 << 15, OSLSR_OSLK = 2 };

static void the_os_lock_keeps_debug_exceptions_of_the_guest_away_but_not_brk(void **state)
{
	for (unsigned locked = 0; locked < 2; locked++) {
		for (unsigned kind = 0; kind < 3; kind++) {
			struct machine m;

			machine_new(&m, 1);
			m.cpu->sys[CPU_OSLSR_EL1] |= locked ? OSLSR_OSLK : 0;
			m.cpu->el2.mdscr = MDSCR_KDE | (kind ? MDSCR_MDE : MDSCR_SS);
			m.cpu->pstate &= ~PSR_D;
			m.cpu->dbg.bvr[0] = CODE;
			m.cpu->dbg.bcr[0] = kind == 1 ? 0xf << 5 | 1 << 1 | 1 : 0;
			m.cpu->dbg.wvr[0] = DATA;
			m.cpu->dbg.wcr[0] = kind == 2 ? 0xffu << 5 | 3 << 3 | 1 << 1 | 1 : 0;
			LOAD(&m, CODE,
			     {
				     0xf9400020, /* ldr x0, [x1] */
				     0xd4202460, /* brk #0x123 */
			     });
			m.cpu->env.x[1] = DATA;
			expect_hvc(m.cpu, VEC_CUR_SYNC);
			if (locked)
				assert_int_equal(m.cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_BRK64, 0x123));
			else
				assert_int_equal(ESR_EC(m.cpu->sys[CPU_ESR_EL1]), kind == 0   ? EC_STEP_CUR
										  : kind == 1 ? EC_BREAKPT_CUR
											      : EC_WATCHPT_CUR);
			machine_free(&m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mask_and_every_pending_set_at_every_level),
		cmocka_unit_test(isr_shows_what_is_pending_whatever_the_masks),
		cmocka_unit_test(an_exception_return_that_unmasks_takes_the_interrupt_before_its_target),
		cmocka_unit_test(esb_defers_the_serror_that_is_masked_to_disr),
		cmocka_unit_test(esb_without_an_serror_leaves_disr_as_it_is),
		cmocka_unit_test(esb_at_el0_defers_as_well),
		cmocka_unit_test(esb_does_not_defer_an_serror_that_is_not_masked),
		cmocka_unit_test(esb_without_ras_is_a_nop),
		cmocka_unit_test(the_os_lock_keeps_debug_exceptions_of_the_guest_away_but_not_brk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
