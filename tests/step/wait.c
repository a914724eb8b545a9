/* SPDX-License-Identifier: MIT */
/* Rows 30 to 32: WFI, WFE, YIELD. */
#include <pthread.h>

#include "step.h"

static void *runner(void *arg)
{
	*(long *)arg = call(m.vcpu, KVM_RUN, NULL);
	return NULL;
}

TEST(row_30_wfi_waits_and_is_reported_when_it_wakes)
{
	static const struct {
		const char *text;
		uint64_t pstate;
	} rows[] = {{"masked interrupt", PSTATE_EL1H}, {"unmasked interrupt", PSTATE_EL1H & ~0x80ull}};

	for (unsigned i = 0; i < 2; i++) {
		pthread_t t;
		long result = 1;

		variant(rows[i].text);
		stepping(0, WFI);
		enable_irq();
		set_reg(PSTATE, rows[i].pstate);
		pthread_create(&t, NULL, runner, &result);
		irq_line(1); /* before or while it waits */
		pthread_join(t, NULL);
		says(result, 0, "the result of KVM_RUN");
		says(m.run->exit_reason, KVM_EXIT_DEBUG, "the exit reason");
		if (get_reg(PC) != VECTORS + EL1H_VECTOR + 0x80)
			says(get_reg(PC), ENTRY + 4, "PC");
		says(m.run->debug.arch.hsr, HSR_PENDING, "ESR of the report");
	}
	variant("already pending");
	stepping(0, WFI);
	enable_irq();
	irq_line(1);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("the virtual timer");
	guest(0xd51be309 /* msr cntv_tval_el0, x9 */, 0xd51be323 /* msr cntv_ctl_el0, x3 */, WFI,
	      0xd53be320 /* mrs x0, cntv_ctl_el0 */, NOP);
	enable_irq();
	set_reg(X(9), 1000);
	set_reg(X(3), 1);
	debug(STEP);
	step_executed(ENTRY + 4);
	step_executed(ENTRY + 8);
	step_skipped(ENTRY + 12);
	step_executed(ENTRY + 16);
	says(get_reg(X(0)), 5, "CNTV_CTL_EL0");
}

TEST(row_31_a_signal_ends_wfi_which_counts_as_done)
{
	variant("signal");
	stepping(0, WFI);
	enable_irq();
	says(run_until_signal(), -EINTR, "the result of KVM_RUN");
	says(m.run->exit_reason, KVM_EXIT_INTR, "the exit reason");
	says(get_reg(PC), ENTRY + 4, "PC");
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("the same from EL0, where WFI is not trapped to EL1");
	stepping(0, NOP);
	put_words(EL0_CODE, (const uint32_t[]){WFI, NOP}, 2);
	set_reg(SYS(3, 0, 1, 0, 0), 0x30d00800 | 1 << 16 | 1 << 18); /* SCTLR_EL1.nTWI, nTWE */
	enter_el0();
	says(run_until_signal(), -EINTR, "the result of KVM_RUN");
	says(get_reg(PC), EL0_CODE + 4, "PC");
	step_skipped(EL0_CODE + 4);
}

TEST(row_32_wfe_and_yield_never_wait_for_long)
{
	variant("wfe");
	stepping(0, 0xd503205f /* wfe */);
	expect_exit(KVM_EXIT_DEBUG);
	expect_pc(ENTRY + 4);
	if (m.run->debug.arch.hsr != HSR_EXECUTED) /* whether it traps is the host's choice */
		says(m.run->debug.arch.hsr, HSR_PENDING, "ESR of the report");
	step_executed(ENTRY + 8);
	variant("wfe after sevl");
	guest(0xd50320bf /* sevl */, 0xd503205f /* wfe */, NOP);
	debug(STEP);
	step_executed(ENTRY + 4);
	expect_exit(KVM_EXIT_DEBUG);
	expect_pc(ENTRY + 8);
	variant("yield");
	steps_over(0xd503203f /* yield */);
}
