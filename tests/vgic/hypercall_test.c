/* SPDX-License-Identifier: MIT */
/* PSCI (Arm DEN0022) and SMCCC (DEN0028): return codes, exits, filter, firmware registers. */
#include "fake.h"

#define NOT_SUPPORTED ((uint64_t)-1)
#define INVALID ((uint64_t)-2)
#define ALREADY_ON ((uint64_t)-4)
#define FAILURE ((uint64_t)-6)
enum { DIRT = 0x77 };

static struct fake *start(unsigned vcpus)
{
	struct fake *f = fake_new(vcpus);

	assert_int_equal(hypercall_vm_init(&f->vm), 0);
	return f;
}

static void end(struct fake *f)
{
	hypercall_vm_destroy(&f->vm);
	fake_free(f);
}

static uint64_t *regs(struct fake *f, unsigned vcpu)
{
	return f->vm.vcpus[vcpu]->cpu->env.x;
}

static int call(struct fake *f, uint64_t fn, uint64_t a1, uint64_t a2, uint64_t a3)
{
	uint64_t *x = regs(f, 0);

	x[0] = fn;
	x[1] = a1;
	x[2] = a2;
	x[3] = a3;
	return hypercall_handle(f->vm.vcpus[0], false);
}

/* A call that goes on in the guest: its x0 */
static uint64_t result(struct fake *f, uint64_t fn, uint64_t a1, uint64_t a2, uint64_t a3)
{
	assert_int_equal(call(f, fn, a1, a2, a3), RESUME_GUEST);
	return regs(f, 0)[0];
}

static int state_of(struct fake *f, unsigned vcpu)
{
	return atomic_load(&f->vm.vcpus[vcpu]->mp_state);
}
static void set_state(struct fake *f, unsigned vcpu, int s)
{
	atomic_store(&f->vm.vcpus[vcpu]->mp_state, s);
}

static int set_fw(struct fake *f, uint64_t id, uint64_t val)
{
	return hypercall_set_fw_reg(f->vm.vcpus[0], id, val);
}

static void every_function_has_its_return_code(void **state)
{
	static const struct {
		uint64_t fn, x1, x2, x3, x0;
	} table[] = {
		{0x84000000, 0, 0, 0, 0x10003}, /* PSCI_VERSION */
		{0x84000006, 0, 0, 0, 2},	/* MIGRATE_INFO_TYPE */
		{0x84000001, 0, 0, 0, 0},	/* CPU_SUSPEND */
		{0xc4000001, 0, 0, 0, 0},
		{0x84000003, 0, 0, 0, ALREADY_ON},	 /* CPU_ON: ourselves */
		{0xc4000003, 9, 0, 0, INVALID},		 /* no such vcpu */
		{0xc4000003, 1ull << 24, 0, 0, INVALID}, /* not affinity */
		{0xc4000003, 1ull << 31, 0, 0, INVALID},
		{0x84000003, 1ull << 32, 0, 0, ALREADY_ON}, /* 32-bit call: the upper half is not looked at */
		{0xc4000004, 0, 0, 0, 0},		    /* AFFINITY_INFO */
		{0xc4000004, 9, 0, 0, INVALID},
		{0xc4000004, 9, 1, 0, 0}, /* the whole cluster */
		{0xc4000004, 0, 4, 0, INVALID},
		{0x84000005, 0, 0, 0, NOT_SUPPORTED}, /* MIGRATE */
		{0x84000007, 0, 0, 0, NOT_SUPPORTED}, /* MIGRATE_INFO_UP_CPU */
		{0x8400000b, 0, 0, 0, NOT_SUPPORTED}, /* CPU_FREEZE */
		{0x84000010, 0, 0, 0, NOT_SUPPORTED}, /* STAT_RESIDENCY */
		{0x84000013, 0, 0, 0, NOT_SUPPORTED}, /* MEM_PROTECT */
		{0xc4000000, 0, 0, 0, NOT_SUPPORTED}, /* no 64-bit PSCI_VERSION */
		{0x8400000e, 0, 0, 0, NOT_SUPPORTED}, /* SYSTEM_SUSPEND, not enabled */
		{0x84000012, 1, 0, 0, INVALID},	      /* SYSTEM_RESET2 */
		{0x84000015, 2, 0, 0, INVALID},	      /* SYSTEM_OFF2 */
		{0x84000015, 1, 1, 0, INVALID},
		{0x95c1ba5f, 0, 0, 0, NOT_SUPPORTED}, /* PSCI 0.1 */
		{0x8400000a, 0x84000000, 0, 0, 0},    /* PSCI_FEATURES */
		{0x8400000a, 0xc4000003, 0, 0, 0},
		{0x8400000a, 0x8400000a, 0, 0, 0},
		{0x8400000a, 0x80000000, 0, 0, 0},
		{0x8400000a, 0x84000012, 0, 0, 0},
		{0x8400000a, 0xc4000015, 0, 0, 1},
		{0x8400000a, 0x8400000e, 0, 0, NOT_SUPPORTED},
		{0x8400000a, 0x84000005, 0, 0, NOT_SUPPORTED},
		{0x80000000, 0, 0, 0, 0x10001},	   /* SMCCC_VERSION */
		{0x80000001, 0x80008000, 0, 0, 1}, /* ARCH_FEATURES: workarounds not needed */
		{0x80000001, 0x80003fff, 0, 0, 1},
		{0x80000001, 0x80007fff, 0, 0, (uint64_t)-2},
		{0x80000001, 0xc5000020, 0, 0, 0},
		{0x80000001, 0x84000000, 0, 0, NOT_SUPPORTED},
		{0xc5000020, 0xc5000021, 0, 0, NOT_SUPPORTED}, /* PV_TIME */
		{0xc5000021, 0, 0, 0, NOT_SUPPORTED},
		{0x84000050, 0, 0, 0, 0x10000}, /* TRNG */
		{0x84000051, 0x84000053, 0, 0, 0},
		{0x84000051, 0xc4000053, 0, 0, 0},
		{0x84000051, 0x84000054, 0, 0, NOT_SUPPORTED},
		{0x84000053, 97, 0, 0, INVALID},
		{0xc4000053, 193, 0, 0, INVALID},
		{0x86000000, 0, 0, 0, 3},	      /* VENDOR_HYP_FEATURES */
		{0x86000001, 2, 0, 0, NOT_SUPPORTED}, /* PTP of no counter */
		{0x86000040, 0, 0, 0, NOT_SUPPORTED},
		{0x12345678, 0, 0, 0, NOT_SUPPORTED},
		{0, 0, 0, 0, NOT_SUPPORTED},
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct fake *f = start(2);
		uint64_t x0 = result(f, table[i].fn, table[i].x1, table[i].x2, table[i].x3);

		if (x0 != table[i].x0)
			fail_msg("function %llx: %llx", (unsigned long long)table[i].fn, (unsigned long long)x0);
		if (table[i].fn != 0x86000000)
			assert_int_equal(regs(f, 0)[1] | regs(f, 0)[2] | regs(f, 0)[3], 0);
		end(f);
	}
}

static void cpu_on_resets_a_stopped_vcpu_to_the_entry_point(void **state)
{
	struct fake *f = start(2);
	struct vcpu *target = f->vm.vcpus[1];

	set_state(f, 1, KVM_MP_STATE_STOPPED);
	f->vm.vcpus[0]->cpu->sys[CPU_SCTLR_EL1] = 1 << 25;
	assert_int_equal(result(f, 0xc4000004, 1, 0, 0), 1); /* AFFINITY_INFO: off */
	assert_int_equal(result(f, 0xc4000003, 1, 0x123456789abc, 0xdef012345678), 0);
	assert_int_equal(state_of(f, 1), KVM_MP_STATE_RUNNABLE);
	assert_int_equal(atomic_load(&target->requests), REQ_RESET);
	assert_int_equal(target->reset.pc, 0x123456789abc);
	assert_int_equal(target->reset.x0, 0xdef012345678);
	assert_true(target->reset.be);
	assert_int_equal(f->kicks[1], 1);
	assert_int_equal(result(f, 0xc4000003, 1, 0, 0), ALREADY_ON);
	assert_int_equal(target->reset.pc, 0x123456789abc);
	end(f);
}

static void a_32_bit_cpu_on_uses_32_bits(void **state)
{
	struct fake *f = start(2);

	set_state(f, 1, KVM_MP_STATE_STOPPED);
	assert_int_equal(result(f, 0xffffffff84000003, 0xffffffff00000001, 0x1122334455667788, ~0ull), 0);
	assert_int_equal(f->vm.vcpus[1]->reset.pc, 0x55667788);
	assert_int_equal(f->vm.vcpus[1]->reset.x0, 0xffffffff);
	assert_false(f->vm.vcpus[1]->reset.be);
	end(f);
}

static void cpu_off_stops_the_caller(void **state)
{
	struct fake *f = start(2);

	call(f, 0x84000002, 0, 0, 0);
	assert_int_equal(state_of(f, 0), KVM_MP_STATE_STOPPED);
	assert_int_equal(state_of(f, 1), KVM_MP_STATE_RUNNABLE);
	end(f);
}

static void cpu_suspend_waits_for_an_interrupt_with_its_result_in_place(void **state)
{
	struct fake *f = start(1);

	assert_int_equal(result(f, 0xc4000001, DIRT, DIRT, DIRT), 0);
	assert_int_equal(f->waits, 1);
	assert_int_equal(regs(f, 0)[1], 0);
	end(f);
}

static void expect_event(struct fake *f, uint32_t type, unsigned ndata, uint64_t flags)
{
	const struct kvm_run *run = f->vm.vcpus[0]->run;

	assert_int_equal(run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	assert_int_equal(run->system_event.type, type);
	assert_int_equal(run->system_event.ndata, ndata);
	assert_int_equal(run->system_event.flags, flags);
}

static void system_off_and_reset_stop_all_and_are_the_clients(void **state)
{
	static const struct {
		uint64_t fn, x1;
		uint32_t type;
		uint64_t flags, x1_after;
	} table[] = {
		{0x84000008, DIRT, KVM_SYSTEM_EVENT_SHUTDOWN, 0, 0},
		{0x84000009, DIRT, KVM_SYSTEM_EVENT_RESET, 0, 0},
		{0x84000012, 0, KVM_SYSTEM_EVENT_RESET, 1, 0},
		{0xc4000012, 0x80000001, KVM_SYSTEM_EVENT_RESET, 1, 0x80000001}, /* keeps the other registers */
		{0x84000015, 0, KVM_SYSTEM_EVENT_SHUTDOWN, 1, 0},
		{0xc4000015, 1, KVM_SYSTEM_EVENT_SHUTDOWN, 1, 0},
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct fake *f = start(3);

		assert_int_equal(call(f, table[i].fn, table[i].x1, 0, 0), EXIT_USER);
		expect_event(f, table[i].type, 1, table[i].flags);
		for (unsigned c = 0; c < 3; c++)
			assert_int_equal(state_of(f, c), KVM_MP_STATE_STOPPED);
		assert_int_equal(regs(f, 0)[0], FAILURE);
		assert_int_equal(regs(f, 0)[1], table[i].x1_after);
		end(f);
	}
}

static void system_suspend_leaves_everything_as_it_is(void **state)
{
	struct fake *f = start(2);

	f->vm.system_suspend = true;
	assert_int_equal(call(f, 0xc400000e, DIRT, DIRT, DIRT), EXIT_USER);
	expect_event(f, KVM_SYSTEM_EVENT_SUSPEND, 0, 0);
	assert_int_equal(regs(f, 0)[0], 0xc400000e);
	assert_int_equal(regs(f, 0)[3], DIRT);
	assert_int_equal(state_of(f, 0), KVM_MP_STATE_RUNNABLE);
	assert_int_equal(result(f, 0x8400000a, 0xc400000e, 0, 0), 0);
	end(f);
}

static void older_versions_lack_the_newer_functions(void **state)
{
	struct fake *f = start(1);

	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 0x10001), 0);
	assert_int_equal(result(f, 0x84000000, 0, 0, 0), 0x10001);
	assert_int_equal(result(f, 0x84000015, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x8400000a, 0x84000015, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x8400000a, 0x84000012, 0, 0), 0);
	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 0x10000), 0);
	assert_int_equal(result(f, 0x84000012, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 2), 0);
	assert_int_equal(result(f, 0x84000000, 0, 0, 0), 2);
	assert_int_equal(result(f, 0x8400000a, 0x84000000, 0, 0), NOT_SUPPORTED);
	end(f);
}

static void psci_0_1_has_its_own_ids_and_codes(void **state)
{
	struct fake *f = start(2);

	f->vm.vcpus[0]->features = 0;
	assert_int_equal(result(f, 0x84000000, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x95c1ba5e, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x95c1ba61, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x95c1ba60, 1, 0, 0), INVALID); /* it is on */
	set_state(f, 1, KVM_MP_STATE_STOPPED);
	assert_int_equal(result(f, 0x95c1ba60, 1, 0xffffffc010000000, 0), 0);
	assert_int_equal(f->vm.vcpus[1]->reset.pc, 0xffffffc010000000);
	call(f, 0x95c1ba5f, 0, 0, 0);
	assert_int_equal(state_of(f, 0), KVM_MP_STATE_STOPPED);
	end(f);
}

static void trng_gives_as_many_bits_as_were_asked_for(void **state)
{
	struct fake *f = start(1);
	uint64_t all = 0;

	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(result(f, 0xc4000053, 68, 0, 0), 0);
		assert_int_equal(regs(f, 0)[1], 0);
		assert_int_equal(regs(f, 0)[2] & ~0xfull, 0);
		all |= regs(f, 0)[3];
		assert_int_equal(result(f, 0x84000053, 40, 0, 0), 0);
		assert_int_equal(regs(f, 0)[1], 0);
		assert_int_equal(regs(f, 0)[2] & ~0xffull, 0);
		assert_int_equal(regs(f, 0)[3] >> 32, 0);
	}
	assert_true(all == ~0ull);
	result(f, 0x84000052, 0, 0, 0);
	assert_int_equal(regs(f, 0)[0], 0x00e0210d);
	assert_int_equal(regs(f, 0)[3], 0x4c5a4e55);
	end(f);
}

static void vendor_services(void **state)
{
	struct fake *f = start(1);
	uint64_t *x = regs(f, 0);

	result(f, 0x8600ff01, 0, 0, 0);
	assert_int_equal(x[0], 0xb66fb428);
	assert_int_equal(x[1], 0xe911c52e);
	assert_int_equal(x[2], 0x564bcaa9);
	assert_int_equal(x[3], 0x743a004d);
	fake_counter = 0x123456789;
	result(f, 0x86000001, 1, 0, 0);
	assert_int_equal(x[2] << 32 | x[3], 0x123456789);
	assert_true((x[0] << 32 | x[1]) > 1600000000ull * 1000000000);
	end(f);
}

static void a_workaround_call_keeps_all_but_x0(void **state)
{
	struct fake *f = start(1);

	assert_int_equal(result(f, 0x80008000, DIRT, DIRT, DIRT), 0);
	assert_int_equal(regs(f, 0)[1], DIRT);
	assert_int_equal(regs(f, 0)[3], DIRT);
	end(f);
}

static void a_cleared_bitmap_takes_a_service_away(void **state)
{
	struct fake *f = start(1);

	assert_int_equal(set_fw(f, KVM_REG_ARM_STD_BMAP, 0), 0);
	assert_int_equal(result(f, 0x84000050, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x84000000, 0, 0, 0), 0x10003);
	assert_int_equal(set_fw(f, KVM_REG_ARM_VENDOR_HYP_BMAP, 2), 0);
	assert_int_equal(result(f, 0x86000000, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(result(f, 0x8600ff01, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(set_fw(f, KVM_REG_ARM_STD_HYP_BMAP, 0), 0);
	assert_int_equal(result(f, 0x80000001, 0xc5000020, 0, 0), NOT_SUPPORTED);
	assert_int_equal(set_fw(f, KVM_REG_ARM_VENDOR_HYP_BMAP, 1), 0);
	assert_int_equal(set_fw(f, KVM_REG_ARM_VENDOR_HYP_BMAP_2, 3), 0);
	assert_int_equal(result(f, 0x86000000, 0, 0, 0), 1);
	assert_int_equal(regs(f, 0)[2], 3);
	end(f);
}

static void firmware_registers_are_checked(void **state)
{
	struct fake *f = start(1);
	uint64_t val;

	for (unsigned i = 0; i < hypercall_n_fw_regs; i++) { /* what is read can be written back */
		assert_int_equal(hypercall_get_fw_reg(f->vm.vcpus[0], hypercall_fw_regs[i], &val), 0);
		assert_int_equal(set_fw(f, hypercall_fw_regs[i], val), 0);
	}
	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 1), -EINVAL); /* 0.1 without the means to have it */
	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 0x10004), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1, 3), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1, 0), 0);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, 0x13), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, 0x12), 0);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2, 4), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3, 16), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_STD_BMAP, 2), -EINVAL);
	assert_int_equal(set_fw(f, KVM_REG_ARM_FW_REG(99), 0), -ENOENT);
	assert_int_equal(hypercall_get_fw_reg(f->vm.vcpus[0], KVM_REG_ARM_FW_REG(99), &val), -ENOENT);
	atomic_store(&f->vm.has_run, true);
	assert_int_equal(set_fw(f, KVM_REG_ARM_STD_BMAP, 0), -EBUSY);
	assert_int_equal(set_fw(f, KVM_REG_ARM_STD_BMAP, 1), 0);
	f->vm.vcpus[0]->features = 0;
	assert_int_equal(hypercall_get_fw_reg(f->vm.vcpus[0], KVM_REG_ARM_PSCI_VERSION, &val), 0);
	assert_int_equal(val, 1);
	assert_int_equal(set_fw(f, KVM_REG_ARM_PSCI_VERSION, 0x10000), -EINVAL);
	end(f);
}

static int filter(struct fake *f, uint32_t base, uint32_t n, uint8_t action)
{
	struct kvm_smccc_filter a = {.base = base, .nr_functions = n, .action = action};

	return hypercall_set_filter(&f->vm, &a);
}

static void filter_errors(void **state)
{
	struct kvm_smccc_filter padded = {.base = 1, .nr_functions = 1, .pad = {[14] = 1}};
	struct fake *f = start(1);

	assert_int_equal(hypercall_set_filter(&f->vm, &padded), -EINVAL);
	assert_int_equal(filter(f, 1, 0, KVM_SMCCC_FILTER_DENY), -EINVAL);
	assert_int_equal(filter(f, ~0u, 2, KVM_SMCCC_FILTER_DENY), -EINVAL);
	assert_int_equal(filter(f, 1, 1, 3), -EINVAL);
	assert_int_equal(filter(f, 0x80000000, 1, KVM_SMCCC_FILTER_DENY), -EEXIST);
	assert_int_equal(filter(f, 0x7fffffff, 2, KVM_SMCCC_FILTER_DENY), -EEXIST);
	assert_int_equal(filter(f, 0xc000ffff, 1, KVM_SMCCC_FILTER_DENY), -EEXIST);
	assert_int_equal(filter(f, 0xc0010000, 16, KVM_SMCCC_FILTER_DENY), 0);
	assert_int_equal(filter(f, 0xc001000f, 1, KVM_SMCCC_FILTER_FWD_TO_USER), -EEXIST);
	assert_int_equal(filter(f, ~0u, 1, KVM_SMCCC_FILTER_DENY), 0);
	atomic_store(&f->vm.has_run, true);
	assert_int_equal(filter(f, 1, 1, KVM_SMCCC_FILTER_DENY), -EBUSY);
	end(f);
}

static void filtered_calls_are_denied_or_forwarded(void **state)
{
	struct fake *f = start(1);
	struct vcpu *vcpu = f->vm.vcpus[0];

	assert_int_equal(filter(f, 0x84000000, 1, KVM_SMCCC_FILTER_DENY), 0);
	assert_int_equal(filter(f, 0x84000008, 2, KVM_SMCCC_FILTER_FWD_TO_USER), 0);
	assert_int_equal(result(f, 0x84000000, 0, 0, 0), NOT_SUPPORTED);
	assert_int_equal(call(f, 0x84000008, DIRT, 0, 0), EXIT_USER);
	assert_int_equal(vcpu->run->exit_reason, KVM_EXIT_HYPERCALL);
	assert_int_equal(vcpu->run->hypercall.nr, 0x84000008);
	assert_int_equal(vcpu->run->hypercall.flags, 0);
	assert_int_equal(regs(f, 0)[0], 0x84000008); /* the client answers */
	assert_int_equal(regs(f, 0)[1], DIRT);
	assert_int_equal(state_of(f, 0), KVM_MP_STATE_RUNNABLE);
	regs(f, 0)[0] = 0x84000009;
	assert_int_equal(hypercall_handle(vcpu, true), EXIT_USER);
	assert_int_equal(vcpu->run->hypercall.flags, KVM_HYPERCALL_EXIT_SMC);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function_has_its_return_code),
		cmocka_unit_test(cpu_on_resets_a_stopped_vcpu_to_the_entry_point),
		cmocka_unit_test(a_32_bit_cpu_on_uses_32_bits),
		cmocka_unit_test(cpu_off_stops_the_caller),
		cmocka_unit_test(cpu_suspend_waits_for_an_interrupt_with_its_result_in_place),
		cmocka_unit_test(system_off_and_reset_stop_all_and_are_the_clients),
		cmocka_unit_test(system_suspend_leaves_everything_as_it_is),
		cmocka_unit_test(older_versions_lack_the_newer_functions),
		cmocka_unit_test(psci_0_1_has_its_own_ids_and_codes),
		cmocka_unit_test(trng_gives_as_many_bits_as_were_asked_for),
		cmocka_unit_test(vendor_services),
		cmocka_unit_test(a_workaround_call_keeps_all_but_x0),
		cmocka_unit_test(a_cleared_bitmap_takes_a_service_away),
		cmocka_unit_test(firmware_registers_are_checked),
		cmocka_unit_test(filter_errors),
		cmocka_unit_test(filtered_calls_are_denied_or_forwarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
