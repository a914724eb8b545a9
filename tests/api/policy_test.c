/* SPDX-License-Identifier: MIT */
/*
 * PAWL_CAP_DEBUG (pawl.h, "Debugging better than a kernel can"): what each policy changes for a vcpu that is stepped, and that
 * nothing changes without it.
 */
#include "harness.h"

#define LDXR_W0 0x885f7d40u	  /* ldxr w0, [x10] */
#define STXR_W2_W1 0x88027d41u	  /* stxr w2, w1, [x10] */
#define LDXP_X0_X3 0xc87f0d40u	  /* ldxp x0, x3, [x10] */
#define STXP_W2_X1_X3 0xc8220d41u /* stxp w2, x1, x3, [x10] */

static long policy(uint64_t set)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_DEBUG, .args = {set}};

	return call(m.vm, KVM_ENABLE_CAP, &cap);
}

/* SPI 40 to this vcpu, its line up. */
static void raise_irq(void)
{
	enable_irq();
	irq_line(1);
}

TEST(the_capability_says_which_policies_there_are)
{
	machine_new(0);
	expect_eq(call(m.kvm, KVM_CHECK_EXTENSION, value(PAWL_CAP_DEBUG)) & 7,
		  PAWL_DEBUG_HOLD_IRQS | PAWL_DEBUG_KEEP_MONITOR | PAWL_DEBUG_WFI_RETURNS);
	expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_DEBUG)),
		  call(m.kvm, KVM_CHECK_EXTENSION, value(PAWL_CAP_DEBUG)));
}

TEST(an_unknown_policy_is_refused_and_changes_nothing)
{
	guest(LDXR_W0, STXR_W2_W1);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	expect_eq(policy(1ull << 31), -EINVAL);
	expect_eq(policy(1ull << 32), -EINVAL);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(2), 0);
}

TEST(interrupts_wait_while_the_vcpu_is_stepped_and_come_when_it_runs)
{
	guest(ADD_X0_1, ADD_X0_1, ADD_X0_1, LDR_X0_DEV);
	put_words(VECTORS + 0x280, (const uint32_t[]){STR_X3_DEV}, 1);
	set_reg(PSTATE, 0x3c5 & ~0x80u);
	raise_irq();
	expect_eq(policy(PAWL_DEBUG_HOLD_IRQS), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(0), 2);
	debug(KVM_GUESTDBG_ENABLE); /* not stepped any more */
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.is_write, 1);
	expect_reg(ELR_EL1, ENTRY + 8);
}

TEST(interrupts_come_during_a_step_without_the_policy)
{
	guest(ADD_X0_1, ADD_X0_1);
	set_reg(PSTATE, 0x3c5 & ~0x80u);
	raise_irq();
	debug(STEP);
	expect_step(VECTORS + 0x280, HSR_PENDING);
	expect_reg(ELR_EL1, ENTRY);
}

TEST(an_serror_waits_while_the_vcpu_is_stepped)
{
	struct kvm_vcpu_events ev = {.exception = {.serror_pending = 1}};

	guest(ADD_X0_1, ADD_X0_1, NOP);
	set_reg(PSTATE, 0x3c5 & ~0x100u);
	expect_eq(policy(PAWL_DEBUG_HOLD_IRQS), 0);
	debug(STEP);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_eq(policy(0), 0);
	expect_step(VECTORS + 0x380, HSR_PENDING);
	expect_reg(ELR_EL1, ENTRY + 4);
}

TEST(the_exclusive_monitor_survives_a_step)
{
	uint32_t word;

	guest(LDXR_W0, ADD_X0_1, STXR_W2_W1, STXR_W2_W1);
	set_reg(X(1), 0x77);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_step(ENTRY + 12, HSR_EXECUTED);
	expect_reg(X(2), 0);
	memcpy(&word, m.ram + (DATA - ENTRY), 4);
	expect_eq(word, 0x77);
	expect_step(ENTRY + 16, HSR_EXECUTED); /* the first one has used it up */
	expect_reg(X(2), 1);
}

TEST(the_exclusive_monitor_survives_the_step_of_an_emulated_instruction)
{
	guest(LDXP_X0_X3, LDR_W0_DEV, 0xd5381024 /* mrs x4, actlr_el1 */, STXP_W2_X1_X3, NOP);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	expect_exit(KVM_EXIT_MMIO);
	answer(1);
	expect_step(ENTRY + 8, HSR_PENDING);
	expect_step(ENTRY + 12, HSR_PENDING);
	expect_step(ENTRY + 16, HSR_EXECUTED);
	expect_reg(X(2), 0);
}

TEST(a_store_exclusive_fails_if_memory_changed_between_the_steps)
{
	guest(LDXR_W0, STXR_W2_W1);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	m.ram[DATA - ENTRY] ^= 1;
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(2), 1);
}

TEST(an_exception_of_the_guest_clears_the_monitor_still)
{
	guest(LDXR_W0, SVC);
	put_words(VECTORS + 0x200, (const uint32_t[]){STXR_W2_W1, NOP}, 2);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	expect_step(VECTORS + 0x200, HSR_PENDING);
	expect_step(VECTORS + 0x204, HSR_EXECUTED);
	expect_reg(X(2), 1);
}

TEST(the_exclusive_monitor_is_lost_over_a_step_without_the_policy)
{
	guest(LDXR_W0, STXR_W2_W1);
	expect_eq(policy(PAWL_DEBUG_KEEP_MONITOR), 0);
	expect_eq(policy(0), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXCLUSIVE);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(2), 1);
}

TEST(wfi_and_cpu_suspend_do_not_wait)
{
	guest(WFI, HVC, NOP);
	set_reg(X(0), 0xc4000001); /* CPU_SUSPEND */
	expect_eq(policy(PAWL_DEBUG_WFI_RETURNS), 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_step(ENTRY + 8, HSR_PENDING);
	expect_reg(X(0), 0);
	expect_step(ENTRY + 12, HSR_EXECUTED);
}
