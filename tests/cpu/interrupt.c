/* SPDX-License-Identifier: MIT */
/*
 * Which interrupt is taken, from where and when: all masks, all pending sets, all exception levels; and the OS lock. Arm ARM DDI
 * 0487, "Asynchronous exception masking", "Prioritization of asynchronous exceptions" (the order is ours to choose: SError,
 * FIQ, IRQ), "OS Lock".
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
		cmocka_unit_test(the_os_lock_keeps_debug_exceptions_of_the_guest_away_but_not_brk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
