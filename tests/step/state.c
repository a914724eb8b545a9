/* SPDX-License-Identifier: MIT */
/*
 * Row 59 and what lies under the rows: the ioctl's own rules, who owns the debug hardware, the state machine of P, G and H, and
 * the guest's own stepping.
 */
#include "step.h"

#define SS PSTATE_SS
#define OSLSR_EL1 SYS(2, 0, 1, 1, 4)
enum { MDSCR_SS = 1, MDSCR_KDE = 1 << 13, MDSCR_MDE = 1 << 15 };

static void owe_a_report(void)
{
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	m.run->immediate_exit = 1;
	says(run(), -EINTR, "the result of KVM_RUN");
	m.run->immediate_exit = 0;
	expect_pc(ENTRY + 4);
}

static void guest_vectors_exit(void)
{
	for (uint64_t i = 0; i < 0x800; i += 0x80)
		put_words(VECTORS + i, (const uint32_t[]){MRS_X2_ESR, STR_X3_DEV}, 2);
}

TEST(row_59_the_guests_own_stepping_does_not_touch_the_hosts)
{
	for (unsigned el0 = 0; el0 < 2; el0++) {
		uint64_t pc = el0 ? EL0_CODE : ENTRY + 0x40, pstate = el0 ? 0x1c0 : 0x1c5;

		variant(el0 ? "EL0" : "EL1 with KDE");
		guest(ERET);
		put_words(pc, (const uint32_t[]){NOP, 0x91000400 /* add x0, x0, #1 */, NOP}, 3);
		set_reg(MDSCR_EL1, MDSCR_SS | MDSCR_KDE);
		set_reg(ELR_EL1, pc);
		set_reg(SPSR_EL1, pstate | SS);
		set_reg(PSTATE, 0x1c5);
		debug(STEP);
		for (uint64_t i = 0; i < 3; i++) {
			step_executed(pc + 4 * i);
			says(get_reg(PSTATE), pstate, "PSTATE");
		}
	}
}

TEST(the_ioctl_knows_its_control_bits_and_refuses_others_without_effect)
{
	static const uint32_t bad[] = {4, 8, 0x40000, 0x80000000, 0x3fffc};

	guest_with(0, NOP, NOP, NOP);
	debug(STEP);
	for (unsigned i = 0; i < 5; i++) {
		struct kvm_guest_debug d = {.control = STEP | bad[i]};

		says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), -EINVAL, "the result with an unknown bit");
		d.control = bad[i];
		says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), -EINVAL, "the result without ENABLE");
	}
	says(call(m.vcpu, KVM_SET_GUEST_DEBUG, NULL), -EFAULT, "the result without an argument");
	step_executed(ENTRY + 4);
	debug(KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW | KVM_GUESTDBG_USE_SW_BP); /* without ENABLE: all off */
	put_words(ENTRY + 8, (const uint32_t[]){STR_X3_DEV}, 1);
	expect_exit(KVM_EXIT_MMIO);
}

TEST(guest_debug_may_be_set_before_vcpu_init)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	machine_new(WITHOUT_INIT | WITHOUT_GIC);
	debug(STEP);
	says(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0, "KVM_ARM_VCPU_INIT");
	put_words(ENTRY, (const uint32_t[]){NOP, NOP}, 2);
	set_reg(PC, ENTRY);
	step_executed(ENTRY + 4);
}

TEST(the_capabilities_say_what_there_is)
{
	machine_new(0);
	says(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_SET_GUEST_DEBUG)), 1, "KVM_CAP_SET_GUEST_DEBUG");
	says(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_SET_GUEST_DEBUG2)), 0x30003, "KVM_CAP_SET_GUEST_DEBUG2");
	says(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_DEBUG_HW_BPS)),
	     (get_reg(SYS(3, 0, 0, 5, 0)) >> 12 & 15) + 1, "KVM_CAP_GUEST_DEBUG_HW_BPS");
	says(call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_GUEST_DEBUG_HW_WPS)),
	     (get_reg(SYS(3, 0, 0, 5, 0)) >> 20 & 15) + 1, "KVM_CAP_GUEST_DEBUG_HW_WPS");
}

TEST(singlestep_is_a_level_that_lasts_until_it_is_changed)
{
	guest(NOP, NOP, NOP, NOP, STR_X3_DEV, NOP);
	debug(STEP);
	step_executed(ENTRY + 4);
	step_executed(ENTRY + 8);
	debug(STEP);
	step_executed(ENTRY + 12);
	debug(KVM_GUESTDBG_ENABLE);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 16);
}

TEST(enable_without_singlestep_never_steps_and_keeps_what_is_owed)
{
	owe_a_report();
	debug(KVM_GUESTDBG_ENABLE);
	put_words(ENTRY + 8, (const uint32_t[]){STR_X3_DEV}, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 8);
	m.run->immediate_exit = 1;
	says(run(), -EINTR, "the result of KVM_RUN");
	m.run->immediate_exit = 0;
	debug(STEP);
	step_skipped(ENTRY + 12);
	step_executed(ENTRY + 16);
}

TEST(disabling_drops_what_is_owed)
{
	owe_a_report();
	debug(0);
	debug(STEP);
	step_executed(ENTRY + 8);
}

TEST(a_report_that_is_owed_is_made_where_the_client_has_put_pc)
{
	owe_a_report();
	set_reg(PC, ENTRY + 12);
	step_skipped(ENTRY + 12);
	says(get_reg(X(0)), 0, "x0");
	step_executed(ENTRY + 16);
}

TEST(pstate_shows_and_takes_the_guests_own_step_bit)
{
	for (unsigned ss = 0; ss < 2; ss++) {
		uint64_t pstate = PSTATE_EL1H | (ss ? SS : 0);

		variant(ss ? "set" : "clear");
		guest(NOP, LDR_X0_DEV, 0xd5381020 /* mrs x0, actlr_el1 */, 0xc85f7d40 /* ldxr x0, [x10] */, NOP, NOP);
		set_reg(PSTATE, pstate);
		says(get_reg(PSTATE), pstate, "PSTATE as written");
		debug(STEP);
		step_executed(ENTRY + 4);
		says(get_reg(PSTATE), pstate, "PSTATE after a step");
		mmio_read(DEVICE, 8);
		says(get_reg(PSTATE), pstate, "PSTATE at the MMIO exit");
		step_skipped(ENTRY + 8);
		says(get_reg(PSTATE), pstate, "PSTATE after MMIO");
		step_skipped(ENTRY + 12);
		says(get_reg(PSTATE), pstate, "PSTATE after an emulated instruction");
		step_loaded(ENTRY + 16);
		set_reg(PSTATE, pstate ^ SS);
		step_executed(ENTRY + 20);
		says(get_reg(PSTATE), pstate ^ SS, "PSTATE as written in between");
		debug(0);
		says(get_reg(PSTATE), pstate ^ SS, "PSTATE after disabling");
	}
}

TEST(the_guest_steps_itself_when_the_host_does_not_debug)
{
	for (unsigned el0 = 0; el0 < 2; el0++) {
		uint64_t pc = el0 ? EL0_CODE : ENTRY + 0x40, pstate = el0 ? 0x1c0 : 0x1c5;

		variant(el0 ? "EL0" : "EL1 with KDE");
		guest(ERET);
		guest_vectors_exit();
		put_words(pc, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */}, 2);
		set_reg(MDSCR_EL1, MDSCR_SS | MDSCR_KDE);
		set_reg(ELR_EL1, pc);
		set_reg(SPSR_EL1, pstate | SS);
		set_reg(PSTATE, 0x3c5);
		expect_exit(KVM_EXIT_MMIO);
		says(get_reg(X(2)), el0 ? 0xcb000022 : 0xcf000022, "ESR_EL1 of the guest's step exception");
		says(get_reg(ELR_EL1), pc + 4, "ELR_EL1");
		says(get_reg(X(0)), 1, "x0");
		says(get_reg(SPSR_EL1), pstate, "SPSR_EL1");
	}
}

TEST(the_guests_stepping_goes_on_when_the_host_lets_go)
{
	variant("active and not pending: one more instruction");
	guest(NOP);
	guest_vectors_exit();
	put_words(EL0_CODE,
		  (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */,
				     0x91000400 /* add x0, x0, #1 */},
		  3);
	enter_el0();
	set_reg(MDSCR_EL1, MDSCR_SS);
	set_reg(PSTATE, 0x1c0 | SS);
	debug(STEP);
	step_executed(EL0_CODE + 4);
	says(get_reg(PSTATE), 0x1c0 | SS, "PSTATE");
	debug(0);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0xcb000022, "ESR_EL1");
	says(get_reg(ELR_EL1), EL0_CODE + 8, "ELR_EL1");
	says(get_reg(X(0)), 2, "x0");

	variant("active and pending: none");
	guest(NOP);
	guest_vectors_exit();
	put_words(EL0_CODE, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */}, 2);
	enter_el0();
	set_reg(MDSCR_EL1, MDSCR_SS);
	set_reg(PSTATE, 0x1c0);
	debug(STEP);
	step_executed(EL0_CODE + 4);
	debug(0);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(ELR_EL1), EL0_CODE + 4, "ELR_EL1");
	says(get_reg(X(0)), 1, "x0");
}

TEST(the_os_lock_silences_the_guests_debugging_but_not_brk_nor_the_host)
{
	variant("step");
	guest(0xd5101083 /* msr oslar_el1, x3 */, ERET);
	guest_vectors_exit();
	put_words(EL0_CODE, (const uint32_t[]){NOP, 0xd4000021 /* svc #1 */}, 2);
	set_reg(X(3), 1);
	set_reg(MDSCR_EL1, MDSCR_SS);
	set_reg(ELR_EL1, EL0_CODE);
	set_reg(SPSR_EL1, 0x1c0 | SS);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0x56000001, "ESR_EL1, of the SVC and not of a step,");
	says(get_reg(OSLSR_EL1) & 2, 2, "OSLSR_EL1.OSLK");

	variant("breakpoint");
	guest(0xd5101083 /* msr oslar_el1, x3 */, 0xd5033fdf /* isb */, NOP, 0xd4000021 /* svc #1 */);
	guest_vectors_exit();
	set_reg(X(3), 1);
	set_reg(MDSCR_EL1, MDSCR_MDE | MDSCR_KDE);
	set_reg(SYS(2, 0, 0, 0, 4), ENTRY + 8);
	set_reg(SYS(2, 0, 0, 0, 5), BCR_ANY_EL);
	set_reg(PSTATE, 0x1c5);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0x56000001, "ESR_EL1, of the SVC and not of a breakpoint,");

	variant("BRK");
	guest(0xd5101083 /* msr oslar_el1, x3 */, BRK);
	guest_vectors_exit();
	set_reg(X(3), 1);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0xf2000123, "ESR_EL1 of the BRK");

	variant("the host's steps, breakpoints, watchpoints");
	guest(0xd5101083 /* msr oslar_el1, x3 */, NOP, NOP, 0xf9000141 /* str x1, [x10] */, NOP);
	set_reg(X(3), 1);
	breakpoint(STEP, BCR_ANY_EL, ENTRY + 8);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	debug_exit(HSR_BREAKPOINT, ENTRY + 8);
	watchpoint(STEP, WCR(3, 0xff), DATA);
	step_executed(ENTRY + 12);
	debug_exit(HSR_WATCH_WRITE, ENTRY + 12);
}

TEST(the_guests_breakpoints_are_its_own_and_silent_while_the_host_debugs)
{
	for (unsigned hw = 0; hw < 2; hw++) {
		variant(hw ? "with USE_HW" : "without USE_HW");
		guest(NOP, NOP, 0xf9000141 /* str x1, [x10] */, 0xd5300080 /* mrs x0, dbgbvr0_el1 */, NOP);
		guest_vectors_exit();
		set_reg(MDSCR_EL1, MDSCR_MDE | MDSCR_KDE);
		set_reg(SYS(2, 0, 0, 0, 4), ENTRY + 4);
		set_reg(SYS(2, 0, 0, 0, 5), BCR_ANY_EL);
		set_reg(SYS(2, 0, 0, 0, 6), DATA);
		set_reg(SYS(2, 0, 0, 0, 7), 0x1fff);
		set_reg(PSTATE, 0x1c5);
		if (hw)
			breakpoint(STEP, BCR_ANY_EL, ENTRY + 8);
		else
			debug(STEP);
		step_executed(ENTRY + 4);
		step_executed(ENTRY + 8);
		if (hw) {
			debug_exit(HSR_BREAKPOINT, ENTRY + 8);
			debug(STEP);
		}
		step_executed(ENTRY + 12);
		step_skipped(ENTRY + 16);
		says(get_reg(X(0)), ENTRY + 4, "DBGBVR0_EL1 as the guest reads it");
		says(get_reg(SYS(2, 0, 0, 0, 4)), ENTRY + 4, "DBGBVR0_EL1 as the client reads it");
	}
	variant("live when the host lets go");
	guest(NOP, NOP, NOP, NOP);
	guest_vectors_exit();
	set_reg(MDSCR_EL1, MDSCR_MDE | MDSCR_KDE);
	set_reg(SYS(2, 0, 0, 0, 4), ENTRY + 8);
	set_reg(SYS(2, 0, 0, 0, 5), BCR_ANY_EL);
	set_reg(PSTATE, 0x1c5);
	debug(STEP);
	step_executed(ENTRY + 4);
	debug(0);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0xc6000022, "ESR_EL1 of the guest's breakpoint");
	says(get_reg(ELR_EL1), ENTRY + 8, "ELR_EL1");
}

TEST(the_hosts_registers_are_copied_with_use_hw_only)
{
	struct kvm_guest_debug d = {.control = STEP};

	guest(NOP, NOP, NOP);
	d.arch.dbg_bcr[0] = BCR_ANY_EL;
	d.arch.dbg_bvr[0] = ENTRY;
	says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0, "KVM_SET_GUEST_DEBUG");
	step_executed(ENTRY + 4);
	breakpoint(STEP, BCR_ANY_EL, ENTRY + 4);
	debug_exit(HSR_BREAKPOINT, ENTRY + 4);
	says(get_reg(SYS(2, 0, 0, 0, 5)), 0, "the guest's DBGBCR0_EL1");
	debug(STEP | KVM_GUESTDBG_USE_HW); /* all zero */
	step_executed(ENTRY + 8);
}

TEST(an_mmio_that_is_owed_takes_its_registers_as_they_are)
{
	variant("PC");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	set_reg(PC, ENTRY + 8);
	step_skipped(ENTRY + 12);
	variant("Rt");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	answer(0x12);
	set_reg(X(0), 0x5555);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), 0x12, "x0");
	variant("disabled in between");
	guest(LDR_X0_DEV, STR_X3_DEV);
	debug(STEP);
	mmio_read(DEVICE, 8);
	debug(0);
	expect_exit(KVM_EXIT_MMIO);
	says(m.run->mmio.is_write, 1, "the next MMIO is the store: is_write");
	expect_pc(ENTRY + 4);
	variant("off and on in between");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	debug(0);
	debug(STEP);
	step_skipped(ENTRY + 4);
	variant("enabled in between");
	guest(LDR_X0_DEV, NOP);
	expect_exit(KVM_EXIT_MMIO);
	debug(STEP);
	step_skipped(ENTRY + 4);
}

TEST(stepping_visits_the_instructions_that_free_running_executes)
{
	/* a loop over memory, a trapped register, MMIO, SVC and ERET: the same registers at the end */
	static const uint32_t words[] = {0xd2800000 /* mov x0, #0 */,
					 0xd28000a4 /* mov x4, #5 */,
					 0xb9400981 /* ldr w1, [x12, #8] */,
					 0xd5381022 /* mrs x2, actlr_el1 */,
					 0xb9400163 /* ldr w3, [x11] */,
					 0x8b030000 /* add x0, x0, x3 */,
					 0xd4000021 /* svc #1 */,
					 0xf8008540 /* str x0, [x10], #8 */,
					 0xf1000484 /* subs x4, x4, #1 */,
					 0x54ffff21 /* b.ne .-28 */,
					 0xf900057f /* str xzr, [x11, #8] */,
					 NOP};
	uint64_t end[2][5];
	unsigned steps = 0;

	for (unsigned stepped = 0; stepped < 2; stepped++) {
		variant(stepped ? "stepped" : "free");
		guest_words(0, words, sizeof(words) / 4);
		put_words(VECTORS + EL1H_VECTOR, (const uint32_t[]){0x910004a5 /* add x5, x5, #1 */, ERET}, 2);
		debug(stepped ? STEP : 0);
		for (;;) {
			says(run(), 0, "the result of KVM_RUN");
			if (m.run->exit_reason == KVM_EXIT_DEBUG) {
				steps++;
				continue;
			}
			says(m.run->exit_reason, KVM_EXIT_MMIO, "the exit reason");
			if (m.run->mmio.is_write)
				break;
			answer(3);
		}
		for (unsigned i = 0; i < 5; i++)
			end[stepped][i] = get_reg(i == 4 ? X(10) : i == 3 ? X(5) : X(i));
		says(get_reg(PC), ENTRY + 40, "PC at the last store");
	}
	for (unsigned i = 0; i < 5; i++)
		says(end[1][i], end[0][i], "a register at the end, against the free run,");
	/* 2, then 5 times 8 and the vector's 2 and the SVC's own report */
	says(steps, 2 + 5 * (8 + 2), "the number of reports");
}
