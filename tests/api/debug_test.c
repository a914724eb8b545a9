/* SPDX-License-Identifier: MIT */
/*
 * KVM_GUESTDBG_SINGLESTEP and its neighbours: one report per instruction or exception entry, when its effects are complete, and
 * none lost or doubled whatever happens between two KVM_RUNs. What the PE alone decides is tested in tests/step.
 */
#include "harness.h"

TEST(step_over_alu_instructions_reports_each_once_after_its_effect)
{
	guest(ADD_X0_1, ADD_X1_1);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_reg(X(0), 1);
	expect_reg(X(1), 0);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(1), 1);
}

TEST(step_over_a_store_to_ram_reports_once)
{
	uint64_t word;

	guest(STR_X1_RAM, NOP);
	set_reg(X(1), 0x1122334455667788);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	memcpy(&word, m.ram + (DATA - ENTRY), 8);
	expect_eq(word, 0x1122334455667788);
}

TEST(step_over_mmio_load_is_reported_once_after_the_register_is_written)
{
	guest(LDR_X0_DEV, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY);
	expect_reg(X(0), 0);
	answer(0x55);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_reg(X(0), 0x55);
	expect_step(ENTRY + 8, HSR_EXECUTED);
}

TEST(step_over_back_to_back_mmio_reports_between_the_two)
{
	guest(LDR_W0_DEV, STR_X3_DEV);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	answer(1);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.is_write, 1);
	expect_step(ENTRY + 8, HSR_PENDING);
}

TEST(step_over_an_in_kernel_device_is_one_run)
{
	guest(LDR_W0_DIST, NOP);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(step_over_a_store_to_a_read_only_slot_is_an_mmio_exit_then_a_report)
{
	guest(STR_X3_ROM, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, READONLY);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(step_over_an_access_without_syndrome_fails_and_owes_nothing)
{
	guest(LDP_DEV, NOP);
	debug(STEP);
	expect_error(ENOSYS);
	expect_eq(m.run->exit_reason, KVM_EXIT_UNKNOWN);
	expect_pc(ENTRY);
	expect_error(ENOSYS);
}

TEST(a_client_that_emulates_a_nisv_access_is_not_counted)
{
	guest_with(WITH_NISV, LDP_DEV, NOP, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_ARM_NISV);
	expect_eq(m.run->arm_nisv.fault_ipa, DEVICE);
	expect_pc(ENTRY);
	set_reg(PC, ENTRY + 4);
	expect_step(ENTRY + 8, HSR_EXECUTED);
}

TEST(an_injected_abort_takes_the_place_of_the_access_and_is_not_counted)
{
	struct kvm_vcpu_events ev = {.exception = {.ext_dabt_pending = 1}};

	guest(LDR_X0_DEV, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0);
	expect_pc(VECTORS + 0x200);
	expect_reg(ESR_EL1, 0x96000010);
	expect_reg(ELR_EL1, ENTRY);
	expect_reg(FAR_EL1, DEVICE);
	expect_step(VECTORS + 0x204, HSR_EXECUTED);
	expect_reg(X(0), 0);
}

TEST(step_over_a_trapped_system_register_is_one_run)
{
	guest(0xd5381020 /* mrs x0, actlr_el1 */, 0xd5181021 /* msr actlr_el1, x1 */);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_step(ENTRY + 8, HSR_PENDING);
}

TEST(step_of_an_unknown_system_register_reports_at_the_vector)
{
	guest(0xd538ffe0 /* mrs x0, s3_0_c15_c15_7 */, NOP);
	debug(STEP);
	expect_step(VECTORS + 0x200, HSR_PENDING);
	expect_reg(ESR_EL1, 0x02000000);
	expect_reg(ELR_EL1, ENTRY);
	expect_step(VECTORS + 0x204, HSR_EXECUTED);
}

TEST(step_over_a_hypercall_reports_behind_it)
{
	guest(HVC, NOP);
	set_reg(X(0), 0x84000000); /* PSCI_VERSION */
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_reg(X(0), 0x10003);
}

TEST(step_over_an_smc_with_an_immediate_is_not_supported)
{
	guest(SMC_1, NOP);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_reg(X(0), UINT64_MAX);
}

TEST(step_of_svc_reports_at_the_vector_with_spsr_ss_clear)
{
	guest(SVC, NOP);
	debug(STEP);
	expect_step(VECTORS + 0x200, HSR_PENDING);
	expect_reg(ELR_EL1, ENTRY + 4);
	expect_eq(get_reg(SPSR_EL1) >> 21 & 1, 0);
}

TEST(step_of_eret_reports_at_the_target)
{
	guest(ERET, NOP);
	set_reg(ELR_EL1, ENTRY + 0x40);
	set_reg(SPSR_EL1, 0x3c5);
	put_words(ENTRY + 0x40, (const uint32_t[]){NOP, SPIN}, 2);
	debug(STEP);
	expect_step(ENTRY + 0x40, HSR_EXECUTED);
	expect_step(ENTRY + 0x44, HSR_EXECUTED);
}

TEST(a_breakpoint_instruction_is_no_step_and_repeats)
{
	guest(NOP, BRK);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	for (int i = 0; i < 3; i++) {
		expect_exit(KVM_EXIT_DEBUG);
		expect_eq(m.run->debug.arch.hsr, 0xf2000123);
		expect_pc(ENTRY + 4);
	}
}

TEST(enable_alone_routes_brk_to_the_host)
{
	guest(BRK);
	debug(KVM_GUESTDBG_ENABLE);
	expect_exit(KVM_EXIT_DEBUG);
	expect_eq(m.run->debug.arch.hsr, 0xf2000123);
}

TEST(step_onto_a_hardware_breakpoint_is_two_reports)
{
	struct kvm_guest_debug d = {.control = STEP | KVM_GUESTDBG_USE_HW};

	guest(NOP, NOP, NOP);
	d.arch.dbg_bcr[0] = 0x1e7;
	d.arch.dbg_bvr[0] = ENTRY + 4;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_exit(KVM_EXIT_DEBUG);
	expect_eq(m.run->debug.arch.hsr, 0xc2000022);
	expect_pc(ENTRY + 4);
	debug(STEP);
	expect_step(ENTRY + 8, HSR_EXECUTED);
}

TEST(a_watchpoint_stops_before_the_access_and_says_where)
{
	struct kvm_guest_debug d = {.control = STEP | KVM_GUESTDBG_USE_HW};
	uint64_t word;

	guest(STR_X1_RAM, NOP);
	set_reg(X(1), 7);
	d.arch.dbg_wcr[0] = 0x1fff;
	d.arch.dbg_wvr[0] = DATA;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
	expect_exit(KVM_EXIT_DEBUG);
	expect_eq(m.run->debug.arch.hsr, 0xd2000062);
	expect_eq(m.run->debug.arch.far, DATA);
	expect_pc(ENTRY);
	memcpy(&word, m.ram + (DATA - ENTRY), 8);
	expect_eq(word, 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
}

TEST(a_watchpoint_does_not_see_an_emulated_access)
{
	struct kvm_guest_debug d = {.control = STEP | KVM_GUESTDBG_USE_HW};

	guest(LDR_X0_DEV, NOP);
	d.arch.dbg_wcr[0] = 0x1fff;
	d.arch.dbg_wvr[0] = DEVICE;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(immediate_exit_with_nothing_owed_runs_nothing)
{
	guest(ADD_X0_1);
	debug(STEP);
	m.run->immediate_exit = 1;
	m.run->exit_reason = 42;
	expect_error(EINTR);
	expect_eq(m.run->exit_reason, 42);
	expect_pc(ENTRY);
	m.run->immediate_exit = 0;
	expect_step(ENTRY + 4, HSR_EXECUTED);
}

TEST(immediate_exit_completes_the_mmio_and_the_report_comes_next)
{
	guest(LDR_X0_DEV, ADD_X0_1);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	answer(0x10);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	expect_reg(X(0), 0x10);
	m.run->immediate_exit = 0;
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_reg(X(0), 0x10);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_reg(X(0), 0x11);
}

TEST(pc_written_between_exit_and_completion_is_advanced)
{
	guest(LDR_X0_DEV, NOP, NOP, NOP, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	set_reg(PC, ENTRY + 8);
	expect_step(ENTRY + 12, HSR_PENDING);
}

TEST(stepping_off_while_an_mmio_is_owed_gives_no_report)
{
	guest(LDR_X0_DEV, STR_X3_DEV);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	debug(0);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
}

TEST(stepping_on_while_an_mmio_is_owed_reports_it)
{
	guest(LDR_X0_DEV, NOP);
	expect_exit(KVM_EXIT_MMIO);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(off_and_on_again_forgets_a_pending_report)
{
	guest(LDR_X0_DEV, ADD_X0_1, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	m.run->immediate_exit = 0;
	debug(0);
	debug(STEP);
	expect_step(ENTRY + 8, HSR_EXECUTED);
}

TEST(enable_without_singlestep_keeps_a_pending_report)
{
	guest(LDR_X0_DEV, NOP, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	m.run->immediate_exit = 0;
	debug(KVM_GUESTDBG_ENABLE);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(a_pending_report_is_made_at_the_pc_that_the_client_has_set)
{
	guest(LDR_X0_DEV, NOP, NOP, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	m.run->immediate_exit = 0;
	set_reg(PC, ENTRY + 12);
	expect_step(ENTRY + 12, HSR_PENDING);
}

TEST(the_guests_own_step_bit_survives_host_steps)
{
	for (unsigned ss = 0; ss < 2; ss++) {
		uint64_t pstate = 0x3c5 | (uint64_t)ss << 21;

		guest(NOP, LDR_X0_DEV, NOP);
		set_reg(PSTATE, pstate);
		debug(STEP);
		expect_step(ENTRY + 4, HSR_EXECUTED);
		expect_reg(PSTATE, pstate);
		expect_exit(KVM_EXIT_MMIO);
		expect_reg(PSTATE, pstate);
		expect_step(ENTRY + 8, HSR_PENDING);
		expect_reg(PSTATE, pstate);
		machine_free();
	}
}

TEST(guest_debug_registers_are_its_own_while_the_host_steps)
{
	guest(0xd5100241 /* msr mdscr_el1, x1 */, 0xd5300240 /* mrs x0, mdscr_el1 */, NOP);
	set_reg(X(1), 1);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_reg(MDSCR_EL1, 1);
	expect_step(ENTRY + 8, HSR_PENDING);
	expect_reg(X(0), 1);
	expect_step(ENTRY + 12, HSR_EXECUTED);
}

TEST(power_off_stops_the_vcpus_and_the_step_stays_owed)
{
	struct kvm_mp_state mp;

	guest(HVC, NOP);
	set_reg(X(0), 0x84000008); /* SYSTEM_OFF */
	debug(STEP);
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	expect_eq(m.run->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_pc(ENTRY + 4);
	expect_reg(X(0), (uint64_t)-6);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, &mp), 0);
	expect_eq(mp.mp_state, KVM_MP_STATE_STOPPED);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	expect_eq(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(unknown_control_bits_are_refused_and_change_nothing)
{
	struct kvm_guest_debug d = {.control = STEP | 0x40000};

	guest(NOP, NOP);
	debug(STEP);
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), -EINVAL);
	d.control = 4;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), -EINVAL);
	expect_step(ENTRY + 4, HSR_EXECUTED);
}

TEST(far_is_zero_but_for_watchpoints)
{
	guest(LDR_X0_DEV, NOP);
	debug(STEP);
	expect_exit(KVM_EXIT_MMIO);
	answer(UINT64_MAX);
	expect_step(ENTRY + 4, HSR_PENDING);
	expect_eq(m.run->debug.arch.far, 0);
}
