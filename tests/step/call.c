/* SPDX-License-Identifier: MIT */
/* Rows 21 to 29: HVC and SMC; PSCI with one and with two vcpus. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "step.h"

enum {
	SYSTEM_OFF = 0x84000008,
	SYSTEM_RESET,
	SYSTEM_SUSPEND = 0x8400000e,
	SYSTEM_RESET2 = 0x84000012,
	SYSTEM_OFF2 = 0x84000015
};
#define CPU_SUSPEND 0xc4000001ull
#define CPU_OFF 0x84000002ull
#define CPU_ON 0xc4000003ull
#define AFFINITY_INFO 0xc4000004ull
#define MPIDR_1 1ull
#define NOT_SUPPORTED ((uint64_t)-1)

static void calling(unsigned flags, uint32_t insn, uint64_t fn)
{
	stepping(flags, insn);
	set_reg(X(0), fn);
	set_reg(X(1), 1);
	set_reg(X(2), 2);
	set_reg(X(3), 3);
}

static void set_mp_state(unsigned state)
{
	struct kvm_mp_state mp = {state};

	says(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0, "KVM_SET_MP_STATE");
}

static unsigned mp_state(void)
{
	struct kvm_mp_state mp = {99};

	says(call(m.vcpu, KVM_GET_MP_STATE, &mp), 0, "KVM_GET_MP_STATE");
	return mp.mp_state;
}

TEST(row_21_a_handled_hvc_is_one_step_with_the_results_in_x0_to_x3)
{
	static const struct {
		const char *text;
		uint64_t fn, x0;
		bool any; /* other kernels have other versions */
	} rows[] = {
		{"PSCI_VERSION", 0x84000000, 0x10003, true},
		{"SMCCC_VERSION", 0x80000000, 0x10001, true},
		{"PSCI_FEATURES", 0x8400000a, NOT_SUPPORTED, false},
		{"MIGRATE_INFO_TYPE", 0x84000006, 2, false},
		{"unknown function", 0x84001234, NOT_SUPPORTED, false},
		{"unknown vendor function", 0xc6000077, NOT_SUPPORTED, false},
		{"SYSTEM_SUSPEND that is not enabled", SYSTEM_SUSPEND, NOT_SUPPORTED, false},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		calling(0, HVC, rows[i].fn);
		step_skipped(ENTRY + 4);
		if (!rows[i].any || !kvm_path)
			says(get_reg(X(0)), rows[i].x0, "x0");
		says(get_reg(X(1)) | get_reg(X(2)) | get_reg(X(3)), 0, "x1 to x3");
		step_executed(ENTRY + 8);
	}
	variant("HVC with an immediate");
	calling(0, 0xd40009a2 /* hvc #77 */, 0x84000000);
	step_skipped(ENTRY + 4);
	variant("HVC from EL0 is undefined");
	calling(0, NOP, 0x84000000);
	put_words(EL0_CODE, (const uint32_t[]){HVC}, 1);
	enter_el0();
	step_vector(EL0H_VECTOR);
}

TEST(row_22_an_smc_is_one_step)
{
	variant("SMC #0");
	calling(0, SMC, 0x84000000);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)) >> 16, 1, "the major PSCI version in x0");
	step_executed(ENTRY + 8);
	variant("SMC #0 unknown");
	calling(0, SMC, 0x84001234);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), NOT_SUPPORTED, "x0");
	variant("SMC #1");
	calling(0, SMC_1, 0x84000000);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), NOT_SUPPORTED, "x0");
	says(get_reg(X(1)), 1, "x1, which is kept,");
	step_executed(ENTRY + 8);
}

TEST(row_23_a_forwarded_call_exits_with_pc_behind_it_and_is_reported_by_the_next_run)
{
	struct kvm_smccc_filter f = {.base = 0xc6000000, .nr_functions = 16, .action = KVM_SMCCC_FILTER_FWD_TO_USER};
	struct kvm_device_attr a = {
		.group = KVM_ARM_VM_SMCCC_CTRL, .attr = KVM_ARM_VM_SMCCC_FILTER, .addr = (uintptr_t)&f};

	for (unsigned smc = 0; smc < 2; smc++) {
		variant(smc ? "SMC" : "HVC");
		calling(0, smc ? SMC : HVC, 0xc6000001);
		says(call(m.vm, KVM_SET_DEVICE_ATTR, &a), 0, "setting the filter");
		expect_exit(KVM_EXIT_HYPERCALL);
		says(m.run->hypercall.nr, 0xc6000001, "the function of the exit");
		says(m.run->hypercall.flags, smc ? KVM_HYPERCALL_EXIT_SMC : 0, "the flags of the exit");
		says(get_reg(PC), ENTRY + 4, "PC at the exit");
		set_reg(X(0), 0x600d);
		step_skipped(ENTRY + 4);
		says(get_reg(X(0)), 0x600d, "x0 as the client wrote it");
		step_executed(ENTRY + 8);

		variant(smc ? "SMC, immediate_exit in between" : "HVC, immediate_exit in between");
		calling(0, smc ? SMC : HVC, 0xc6000001);
		says(call(m.vm, KVM_SET_DEVICE_ATTR, &a), 0, "setting the filter");
		expect_exit(KVM_EXIT_HYPERCALL);
		m.run->immediate_exit = 1;
		expect_error(EINTR);
		expect_pc(ENTRY + 4);
		m.run->immediate_exit = 0;
		step_skipped(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("denied");
	calling(0, HVC, 0xc6000001);
	f.action = KVM_SMCCC_FILTER_DENY;
	says(call(m.vm, KVM_SET_DEVICE_ATTR, &a), 0, "setting the filter");
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), NOT_SUPPORTED, "x0");
}

TEST(row_24_a_system_off_or_reset_stops_the_vcpus_and_its_step_is_still_owed)
{
	static const struct {
		const char *text;
		uint64_t fn;
		unsigned type;
		uint32_t insn;
	} rows[] = {
		{"SYSTEM_OFF", SYSTEM_OFF, KVM_SYSTEM_EVENT_SHUTDOWN, HVC},
		{"SYSTEM_OFF by SMC", SYSTEM_OFF, KVM_SYSTEM_EVENT_SHUTDOWN, SMC},
		{"SYSTEM_RESET", SYSTEM_RESET, KVM_SYSTEM_EVENT_RESET, HVC},
		{"SYSTEM_RESET2", SYSTEM_RESET2, KVM_SYSTEM_EVENT_RESET, HVC},
		{"SYSTEM_OFF2", SYSTEM_OFF2, KVM_SYSTEM_EVENT_SHUTDOWN, HVC},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		calling(0, rows[i].insn, rows[i].fn);
		if (rows[i].fn == SYSTEM_RESET2 || rows[i].fn == SYSTEM_OFF2) {
			set_reg(X(1), 0);
			set_reg(X(2), 0);
		}
		expect_exit(KVM_EXIT_SYSTEM_EVENT);
		says(m.run->system_event.type, rows[i].type, "the type of the event");
		says(get_reg(PC), ENTRY + 4, "PC");
		says(mp_state(), KVM_MP_STATE_STOPPED, "the state of the vcpu");
		says(run_until_signal(), -EINTR, "the result of running a stopped vcpu");
		says(get_reg(PC), ENTRY + 4, "PC after the signal");
		set_mp_state(KVM_MP_STATE_RUNNABLE);
		step_skipped(ENTRY + 4);
		says(get_reg(X(0)), (uint64_t)-6, "x0");
		step_executed(ENTRY + 8);
	}
}

TEST(row_25_a_system_suspend_exits_with_the_registers_untouched_and_its_step_owed)
{
	variant("SYSTEM_SUSPEND");
	guest(HVC, NOP, NOP);
	enable_cap(KVM_CAP_ARM_SYSTEM_SUSPEND);
	set_reg(X(0), 0xc400000e);
	set_reg(X(1), ENTRY + 0x40);
	debug(STEP);
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	says(m.run->system_event.type, KVM_SYSTEM_EVENT_SUSPEND, "the type of the event");
	says(get_reg(PC), ENTRY + 4, "PC");
	says(get_reg(X(0)), 0xc400000e, "x0");
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), 0xc400000e, "x0");
	step_executed(ENTRY + 8);
}

/* ---- two vcpus: vcpu 0 is stepped or calls, the second is the other one */

/* Another vcpu turns the stepped one on: it runs until its HVC is done and the client is asked. */
static void turn_on(struct second *s, uint64_t mpidr, uint64_t pc, uint64_t context)
{
	int fd = m.vcpu;
	struct kvm_run *page = m.run;
	static const uint32_t words[] = {HVC, STR_X3_DEV};

	put_words(ENTRY + 0x800, words, 2);
	use(s->fd, s->run);
	set_reg(PC, ENTRY + 0x800);
	set_reg(X(0), CPU_ON);
	set_reg(X(1), mpidr);
	set_reg(X(2), pc);
	set_reg(X(3), context);
	set_reg(X(11), DEVICE);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(0)), 0, "the result of CPU_ON");
	use(fd, page);
}

TEST(row_26_cpu_off_blocks_until_another_vcpu_turns_it_on)
{
	for (unsigned smc = 0; smc < 2; smc++) {
		struct second s;

		variant(smc ? "SMC" : "HVC");
		calling(WITHOUT_GIC, smc ? SMC : HVC, CPU_OFF);
		s = add_second(0);
		says(run_until_signal(), -EINTR, "the result of KVM_RUN when a signal comes");
		says(m.run->exit_reason, KVM_EXIT_INTR, "the exit reason");
		says(mp_state(), KVM_MP_STATE_STOPPED, "the state of the vcpu");
		turn_on(&s, 0, ENTRY + 0x40, 0x1234);
		put_words(ENTRY + 0x40, (const uint32_t[]){NOP, NOP}, 2);
		step_skipped(ENTRY + 0x40);
		says(get_reg(X(0)), 0x1234, "x0, the context,");
		step_executed(ENTRY + 0x44);
		free_second(&s);
	}
}

static void *run_first(void *arg)
{
	*(long *)arg = call(m.vcpu, KVM_RUN, NULL);
	return NULL;
}

TEST(row_26_a_vcpu_that_is_off_and_undisturbed_starts_with_what_its_call_left_owed)
{
	/* ask until vcpu 0 is off, turn it on, tell the client */
	static const uint32_t words[] = {0xaa1403e0 /* mov x0, x20 */,
					 0xd2800001 /* mov x1, #0 */,
					 0xd2800002 /* mov x2, #0 */,
					 HVC,
					 0xf100041f /* cmp x0, #1 */,
					 0x54ffff61 /* b.ne .-20 */,
					 0xaa1503e0 /* mov x0, x21 */,
					 0xd2800001 /* mov x1, #0 */,
					 0xaa1603e2 /* mov x2, x22 */,
					 HVC,
					 STR_X3_DEV};

	for (unsigned smc = 0; smc < 2; smc++) {
		struct second s;
		pthread_t t;
		long result = 1;
		int fd;
		struct kvm_run *page;

		variant(smc ? "SMC: nothing, the skip is dropped by the reset" : "HVC: a step");
		calling(WITHOUT_GIC, smc ? SMC : HVC, CPU_OFF);
		put_words(ENTRY + 0x40, (const uint32_t[]){NOP, NOP, NOP}, 3);
		put_words(ENTRY + 0x800, words, sizeof(words) / 4);
		s = add_second(0);
		fd = m.vcpu;
		page = m.run;
		use(s.fd, s.run);
		set_reg(PC, ENTRY + 0x800);
		set_reg(X(11), DEVICE);
		set_reg(X(20), AFFINITY_INFO);
		set_reg(X(21), CPU_ON);
		set_reg(X(22), ENTRY + 0x40);
		use(fd, page);
		pthread_create(&t, NULL, run_first, &result);
		while (call(s.fd, KVM_RUN, NULL) == -EINTR)
			;
		pthread_join(t, NULL);
		says(result, 0, "the result of KVM_RUN");
		says(m.run->exit_reason, KVM_EXIT_DEBUG, "the exit reason");
		says(m.run->debug.arch.hsr, smc ? HSR_EXECUTED : HSR_PENDING, "ESR of the report");
		says(get_reg(PC), ENTRY + (smc ? 0x44 : 0x40), "PC");
		step_executed(ENTRY + (smc ? 0x48 : 0x44));
		free_second(&s);
	}
}

TEST(row_27_the_first_instruction_of_a_vcpu_that_was_powered_off_is_executed_and_reported)
{
	struct second s;

	guest_with(WITHOUT_GIC | POWERED_OFF, NOP, NOP);
	put_words(ENTRY + 0x40, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, NOP}, 2);
	s = add_second(0);
	debug(STEP);
	says(run_until_signal(), -EINTR, "the result of running a vcpu that is off");
	turn_on(&s, 0, ENTRY + 0x40, 0x1000);
	step_executed(ENTRY + 0x44);
	says(get_reg(X(0)), 0x1001, "x0 after the first instruction");
	free_second(&s);
}

TEST(row_28_cpu_on_and_affinity_info_are_steps_of_the_caller_only)
{
	struct second s;

	calling(WITHOUT_GIC, HVC, CPU_ON);
	put_words(ENTRY + 4, (const uint32_t[]){HVC, HVC}, 2);
	put_words(ENTRY + 0x800,
		  (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */, STR_X3_DEV}, 3);
	s = add_second(1u << KVM_ARM_VCPU_POWER_OFF);
	set_reg(X(1), MPIDR_1);
	set_reg(X(2), ENTRY + 0x800);
	set_reg(X(3), 0x50);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), 0, "the result of CPU_ON");
	set_reg(X(0), AFFINITY_INFO);
	set_reg(X(1), MPIDR_1);
	set_reg(X(2), 0);
	step_skipped(ENTRY + 8);
	says(get_reg(X(0)), 0, "AFFINITY_INFO of a vcpu that is on");
	set_reg(X(0), CPU_ON);
	set_reg(X(1), MPIDR_1);
	step_skipped(ENTRY + 12);
	says(get_reg(X(0)), (uint64_t)-4, "CPU_ON of a vcpu that is on");
	{
		int fd = m.vcpu;
		struct kvm_run *page = m.run;

		use(s.fd, s.run);
		set_reg(X(11), DEVICE);
		expect_exit(KVM_EXIT_MMIO);
		says(get_reg(X(0)), 0x52, "x0 of the target, which runs freely,");
		use(fd, page);
	}
	step_executed(ENTRY + 16);
	free_second(&s);
}

TEST(row_29_cpu_suspend_blocks_like_wfi_with_its_step_owed)
{
	variant("nothing pending, signal");
	calling(0, HVC, CPU_SUSPEND);
	says(run_until_signal(), -EINTR, "the result of KVM_RUN");
	says(get_reg(PC), ENTRY + 4, "PC");
	says(get_reg(X(0)), 0, "x0");
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("an interrupt is pending");
	calling(0, HVC, CPU_SUSPEND);
	enable_irq();
	irq_line(1);
	step_skipped(ENTRY + 4);
	says(get_reg(X(0)), 0, "x0");
}
