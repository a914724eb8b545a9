/* SPDX-License-Identifier: MIT */
/* KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST. */
#include <sys/mman.h>

#include "harness.h"

static struct kvm_reg_list *reg_list(void)
{
	struct kvm_reg_list head = {.n = 0}, *list;

	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, &head), -E2BIG);
	list = calloc(1, sizeof(*list) + head.n * sizeof(list->reg[0]));
	list->n = head.n;
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, list), 0);
	expect_eq(list->n, head.n);
	return list;
}

static bool listed(const struct kvm_reg_list *list, uint64_t id)
{
	for (uint64_t i = 0; i < list->n; i++)
		if (list->reg[i] == id)
			return true;
	return false;
}

TEST(every_listed_register_can_be_read_and_written_back)
{
	struct kvm_reg_list *list;
	uint8_t val[256];

	guest(NOP);
	list = reg_list();
	for (uint64_t i = 0; i < list->n; i++) {
		long err = try_get_reg(list->reg[i], val);

		if (err)
			fail("get %#llx: %ld", (unsigned long long)list->reg[i], err);
		err = try_set_reg(list->reg[i], val);
		if (err)
			fail("set %#llx: %ld", (unsigned long long)list->reg[i], err);
	}
	free(list);
}

/* By the registers' encodings, not by the ids of which two are swapped. As recorded from kernel 7.2.13. */
static uint64_t place_of(uint64_t id)
{
	return id == KVM_REG_ARM_TIMER_CNT    ? SYS(3, 3, 14, 0, 2)
	       : id == KVM_REG_ARM_TIMER_CVAL ? SYS(3, 3, 14, 3, 2)
					      : id;
}

TEST(the_list_has_each_register_once_and_system_registers_in_order)
{
	struct kvm_reg_list *list;
	uint64_t last = 0;
	unsigned core = 0;

	guest(NOP);
	list = reg_list();
	for (uint64_t i = 0; i < list->n; i++) {
		uint64_t coproc = list->reg[i] >> 16 & 0xfff;

		core += coproc == 0x10;
		if (coproc == 0x13) {
			uint64_t place = place_of(list->reg[i]);

			if (place <= last)
				fail("%#llx after %#llx", (unsigned long long)list->reg[i], (unsigned long long)last);
			last = place;
		}
		for (uint64_t k = 0; k < i; k++)
			if (list->reg[k] == list->reg[i])
				fail("%#llx twice", (unsigned long long)list->reg[i]);
	}
	expect_eq(core, 75);
	expect_eq(listed(list, KVM_REG_ARM_PSCI_VERSION), true);
	expect_eq(listed(list, KVM_REG_ARM_TIMER_CNT), true);
	expect_eq(listed(list, SYS(3, 0, 0, 7, 7)), true);
	expect_eq(listed(list, SYS(2, 0, 0, 15, 7)), true);
	expect_eq(listed(list, SYS(3, 4, 5, 3, 0)), true);
	expect_eq(listed(list, SYS(3, 3, 9, 12, 0)), false); /* no PMU */
	expect_eq(listed(list, 0x602000000011000dull), true);
	free(list);
}

TEST(pmu_registers_are_listed_with_the_feature)
{
	struct kvm_reg_list *list;

	guest_with(WITH_PMU, NOP);
	list = reg_list();
	expect_eq(listed(list, SYS(3, 3, 9, 12, 0)), true);
	expect_eq(listed(list, SYS(3, 3, 9, 12, 4)), true);
	expect_eq(listed(list, SYS(3, 3, 9, 12, 6)), false);
	expect_eq(listed(list, SYS(3, 3, 14, 15, 7)), true);
	free(list);
}

TEST(ids_are_checked_in_the_kernels_order)
{
	uint64_t val = 0;

	guest(NOP);
	expect_eq(try_get_reg(0x6130000000100000ull, &val), -EINVAL);
	expect_eq(try_get_reg(0x5030000000100000ull, &val), -EINVAL);
	expect_eq(try_get_reg(0x6030000100100000ull, &val), -EINVAL);
	expect_eq(try_get_reg(0x6030000000100001ull, &val), -EINVAL);
	expect_eq(try_get_reg(0x6020000000100000ull, &val), -EINVAL);
	expect_eq(try_get_reg(0x6030000000100400ull, &val), -ENOENT);
	expect_eq(try_get_reg(0x6030000000100052ull, &val), -EINVAL); /* the hole */
	expect_eq(try_get_reg(0x602000000011000eull, &val), -ENOENT);
	expect_eq(try_get_reg(0x603000000013ffffull, &val), -ENOENT);
	expect_eq(try_get_reg(SYS(3, 3, 14, 0, 0), &val), -ENOENT); /* CNTFRQ_EL0 */
	expect_eq(try_get_reg(0x6080000000150000ull, &val), -ENOENT);
	expect_eq(try_get_reg(0x6030000000170000ull, &val), -ENOENT);
	expect_eq(try_get_reg(0x60200000001000d4ull, &val), 0); /* FPSR */
}

TEST(pstate_takes_only_modes_that_exist)
{
	guest(NOP);
	expect_eq(try_set_reg(PSTATE, &(uint64_t){0x3c9}), -EINVAL);
	expect_eq(try_set_reg(PSTATE, &(uint64_t){0x1d3}), -EINVAL);
	expect_eq(try_set_reg(PSTATE, &(uint64_t){0x3c0}), 0);
	expect_eq(try_set_reg(PSTATE, &(uint64_t){0xf00003c4}), 0);
	expect_reg(PSTATE, 0xf00003c4);
}

TEST(stack_pointers_are_banked)
{
	guest(NOP);
	set_reg(CORE_ID(regs.sp), 0x1000);
	set_reg(CORE_ID(sp_el1), 0x2000);
	set_reg(PSTATE, 0x3c4);
	expect_reg(CORE_ID(regs.sp), 0x1000);
	expect_reg(CORE_ID(sp_el1), 0x2000);
	set_reg(PSTATE, 0x3c5);
	expect_reg(CORE_ID(regs.sp), 0x1000);
	expect_reg(CORE_ID(sp_el1), 0x2000);
}

TEST(mpidr_follows_the_vcpu_id)
{
	static const unsigned ids[] = {0, 1, 15, 16, 33, 511};
	static const uint64_t mpidr[] = {0x80000000, 0x80000001, 0x8000000f, 0x80000100, 0x80000201, 0x80001f0f};

	for (unsigned i = 0; i < 6; i++) {
		struct kvm_run *page;

		machine_new(WITHOUT_GIC | WITHOUT_INIT);
		if (ids[i]) {
			api_close(m.vcpu);
			m.vcpu = add_vcpu(ids[i], 1u << KVM_ARM_VCPU_PSCI_0_2, &page);
		} else {
			struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8};

			expect_eq(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0);
		}
		expect_reg(SYS(3, 0, 0, 0, 5), mpidr[i]);
		machine_free();
	}
}

TEST(id_registers_can_be_lowered_before_the_first_run_only)
{
	uint64_t isar0, val;

	guest(STR_X3_DEV);
	isar0 = get_reg(SYS(3, 0, 0, 6, 0));
	val = isar0 & ~(0xfull << 20); /* no LSE */
	expect_eq(try_set_reg(SYS(3, 0, 0, 6, 0), &val), 0);
	expect_reg(SYS(3, 0, 0, 6, 0), val);
	expect_eq(try_set_reg(SYS(3, 0, 0, 6, 0), &isar0), 0);
	val = isar0 | 0xfull << 20;
	expect_eq(try_set_reg(SYS(3, 0, 0, 6, 0), &val), -EINVAL);
	expect_eq(try_set_reg(SYS(3, 0, 0, 1, 0), &(uint64_t){5}), 0); /* AArch32: ignored */
	expect_reg(SYS(3, 0, 0, 1, 0), 0);
	expect_eq(try_set_reg(SYS(3, 0, 0, 4, 7), &(uint64_t){5}), -EINVAL); /* unallocated */
	expect_eq(try_set_reg(SYS(3, 0, 0, 0, 0), &(uint64_t){5}), -EINVAL); /* MIDR */
	expect_exit(KVM_EXIT_MMIO);
	val = isar0 & ~(0xfull << 20);
	expect_eq(try_set_reg(SYS(3, 0, 0, 6, 0), &val), -EBUSY);
	expect_eq(try_set_reg(SYS(3, 0, 0, 6, 0), &isar0), 0);
}

TEST(what_a_lowered_id_register_denies_is_undefined)
{
	static const uint32_t ldadd = 0xf8200041; /* ldadd x0, x1, [x2] */

	guest(ldadd, STR_X3_DEV);
	set_reg(X(2), DATA);
	expect_exit(KVM_EXIT_MMIO);
	machine_free();

	guest(ldadd, STR_X3_DEV);
	put_words(VECTORS + 0x200, (const uint32_t[]){MRS_X2_ESR, STR_X3_DEV}, 2);
	set_reg(X(2), DATA);
	set_reg(SYS(3, 0, 0, 6, 0), get_reg(SYS(3, 0, 0, 6, 0)) & ~(0xfull << 20)); /* no LSE */
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(2), 0x2000000); /* unknown reason */
	expect_reg(ELR_EL1, ENTRY);
}

static long choose_model(const char *name)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_CPU_MODEL, .args = {(uintptr_t)name}};

	return call(m.vm, KVM_ENABLE_CAP, &cap);
}

TEST(a_vm_without_vcpus_takes_another_cpu_model)
{
	struct kvm_run *run;

	machine_new(WITHOUT_GIC | WITHOUT_INIT);
	if (call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_CPU_MODEL)) <= 0)
		skip("CPU models are an extension of the library's");
	expect_eq(choose_model("max"), -EBUSY);
	api_close(m.vcpu);
	api_close(m.vm);
	m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
	expect_eq(choose_model("z80"), -EINVAL);
	expect_eq(choose_model(NULL), -EFAULT);
	expect_eq(choose_model("max,-sm4"), 0);
	munmap(m.run, 2 * 4096);
	m.vcpu = add_vcpu(0, 1u << KVM_ARM_VCPU_PSCI_0_2, &run);
	m.run = run;
	expect_eq(get_reg(SYS(3, 0, 0, 6, 0)) >> 32 & 0xfff, 0x011); /* SM4, SM3, SHA3 */
	expect_eq(get_reg(SYS(3, 0, 0, 0, 0)), 0x000f0a10);
}

static void machine_of(const char *model)
{
	struct kvm_run *run;

	machine_new(WITHOUT_GIC | WITHOUT_INIT);
	if (call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_CPU_MODEL)) <= 0)
		skip("CPU models are an extension of the library's");
	api_close(m.vcpu);
	api_close(m.vm);
	munmap(m.run, 2 * 4096);
	munmap(m.ram, RAM_SIZE);
	munmap(m.rom, 0x1000);
	m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
	expect_eq(choose_model(model), 0);
	m.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m.rom = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION,
		       &(struct kvm_userspace_memory_region){
			       .guest_phys_addr = ENTRY, .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)m.ram}),
		  0);
	m.vcpu = add_vcpu(0, 1u << KVM_ARM_VCPU_PSCI_0_2, &run);
	m.run = run;
	set_reg(PC, ENTRY);
	set_reg(X(11), DEVICE);
}

TEST(registers_of_what_no_model_has_are_undefined)
{
	static const uint32_t insns[] = {
		0xd5381200, /* mrs x0, zcr_el1 */
		0xd53b4240, /* mrs x0, svcr */
		0xd53bd0a0, /* mrs x0, tpidr2_el0 */
		0xd53810c0, /* mrs x0, gcr_el1 */
		0xd53b42e0, /* mrs x0, tco */
		0xd5384300, /* mrs x0, allint */
		0xd53b2520, /* mrs x0, gcspr_el0 */
		0xd53be0c0, /* mrs x0, cntvctss_el0 */
		0xd53be0a0, /* mrs x0, cntpctss_el0 */
		0xd5319000, /* mrs x0, brbcr_el1 */
		0xd5389900, /* mrs x0, pmscr_el1 */
		0xd5389b00, /* mrs x0, trblimitr_el1 */
	};

	for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		machine_of("max");
		set_reg(VBAR_EL1, VECTORS);
		put_words(ENTRY, (const uint32_t[]){insns[i], STR_X3_DEV}, 2);
		put_words(VECTORS + 0x200, (const uint32_t[]){MRS_X2_ESR, STR_X3_DEV}, 2);
		expect_exit(KVM_EXIT_MMIO);
		expect_reg(PC, VECTORS + 0x204);
		expect_reg(X(2), 0x2000000); /* unknown reason */
		expect_reg(ELR_EL1, ENTRY);
		machine_free();
	}
}

TEST(wfit_ends_at_its_time_without_an_interrupt)
{
	static const uint32_t code[] = {
		0xd53be041, /* mrs x1, cntvct_el0 */
		0x91400421, /* add x1, x1, #4096: 65 us */
		0xd5031021, /* wfit x1 */
		0xd53be042, /* mrs x2, cntvct_el0 */
		0xd503103f, /* wfit xzr: over already */
		0xd5031001, /* wfet x1 */
		STR_X3_DEV,
	};

	machine_of("max");
	put_words(ENTRY, code, sizeof(code) / 4);
	expect_exit(KVM_EXIT_MMIO);
	if (get_reg(X(2)) < get_reg(X(1)))
		fail("WFIT came back %llu counts early", (unsigned long long)(get_reg(X(1)) - get_reg(X(2))));
}

TEST(rndr_gives_the_hosts_random_numbers)
{
	static const uint32_t code[] = {0xd53b2401 /* mrs x1, rndr */, 0xd53b2422 /* mrs x2, rndrrs */, STR_X3_DEV};

	machine_of("max");
	put_words(ENTRY, code, 3);
	expect_exit(KVM_EXIT_MMIO);
	if (!get_reg(X(1)) || get_reg(X(1)) == get_reg(X(2)))
		fail("%llx, %llx", (unsigned long long)get_reg(X(1)), (unsigned long long)get_reg(X(2)));
}

static long init_vcpu(unsigned features)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {features}};

	return call(m.vcpu, KVM_ARM_VCPU_INIT, &init);
}

TEST(pointer_authentication_is_there_if_the_cpu_has_it_and_the_client_asks)
{
	enum { ADDRESS = 1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS, GENERIC = 1 << KVM_ARM_VCPU_PTRAUTH_GENERIC };
	static const uint64_t isar1 = SYS(3, 0, 0, 6, 1), key = SYS(3, 0, 2, 1, 0), fields = 0xff000ff0;
	struct kvm_run *run;
	uint64_t val = 5;

	machine_new(WITHOUT_GIC | WITHOUT_INIT);
	if (call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_CPU_MODEL)) <= 0)
		skip("CPU models are an extension of the library's");
	if (!getenv("PAWL_CPU")) {
		expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_ARM_PTRAUTH_ADDRESS)), 0);
		expect_eq(init_vcpu(ADDRESS | GENERIC), -EINVAL);
	}
	for (unsigned with = 0; with < 2; with++) {
		api_close(m.vcpu);
		api_close(m.vm);
		munmap(m.run, 2 * 4096);
		m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
		expect_eq(choose_model("max"), 0);
		expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_ARM_PTRAUTH_ADDRESS)), 1);
		expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_ARM_PTRAUTH_GENERIC)), 1);
		m.vcpu = add_vcpu(0, ~0u, &run);
		m.run = run;
		expect_eq(init_vcpu(ADDRESS), -EINVAL);
		expect_eq(init_vcpu(GENERIC), -EINVAL);
		expect_eq(init_vcpu(with ? ADDRESS | GENERIC : 0), 0);
		expect_eq(get_reg(isar1) & fields, with ? 0x10000500 : 0);
		expect_eq(try_set_reg(key, &val), with ? 0 : -ENOENT);
		expect_eq(try_get_reg(key, &val), with ? 0 : -ENOENT);
		expect_eq(val, 5);
		val = get_reg(isar1);
		expect_eq(try_set_reg(isar1, &val), 0);
		expect_eq(try_set_reg(isar1, &(uint64_t){val ^ 0x100}), -EINVAL); /* not a field that can be written */
		val = 5;
	}
}

TEST(oslsr_lets_only_the_lock_be_written)
{
	guest(NOP);
	expect_eq(try_set_reg(SYS(2, 0, 1, 1, 4), &(uint64_t){0xa}), 0);
	expect_reg(SYS(2, 0, 1, 1, 4), 0xa);
	expect_eq(try_set_reg(SYS(2, 0, 1, 1, 4), &(uint64_t){0}), -EINVAL);
}

TEST(writable_masks_ask_for_range_zero)
{
	uint64_t masks[KVM_ARM_FEATURE_ID_RANGE_SIZE];
	struct reg_mask_range r = {.addr = (uintptr_t)masks, .range = 1};

	machine_new(WITHOUT_GIC);
	expect_eq(call(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), -EINVAL);
	r.range = 0;
	r.reserved[12] = 1;
	expect_eq(call(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), -EINVAL);
	r.reserved[12] = 0;
	expect_eq(call(m.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &r), 0);
	expect_eq(masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 6, 0)] >> 20 & 15, 15);
	expect_eq(masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 5, 0)], 0xf000f00f0f); /* breakpoints stay */
	expect_eq(masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 7, 2)], 0xf0ff000ff00fffff);
	expect_eq(masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 1, 0)], 0); /* AArch32 that is not there */
}

#define ID_AA64PFR0 SYS(3, 0, 0, 4, 0)
#define GIC_FIELD (0xfull << 24)

TEST(the_gic_field_is_shown_until_the_vm_runs_without_a_gic)
{
	uint64_t pfr0;

	guest_with(WITHOUT_GIC, STR_X3_DEV);
	pfr0 = get_reg(ID_AA64PFR0);
	expect_eq(pfr0 & GIC_FIELD, 1 << 24);
	expect_eq(try_set_reg(ID_AA64PFR0, &(uint64_t){pfr0 & ~GIC_FIELD}), 0);
	expect_reg(ID_AA64PFR0, pfr0 & ~GIC_FIELD);
	expect_eq(try_set_reg(ID_AA64PFR0, &pfr0), 0);
	expect_eq(try_set_reg(ID_AA64PFR0, &(uint64_t){pfr0 + (1 << 24)}), -EINVAL);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ID_AA64PFR0, pfr0 & ~GIC_FIELD);
}

TEST(the_gic_field_follows_the_gic_when_the_vm_runs)
{
	uint64_t pfr0;

	guest(STR_X3_DEV);
	pfr0 = get_reg(ID_AA64PFR0);
	expect_eq(try_set_reg(ID_AA64PFR0, &(uint64_t){pfr0 & ~GIC_FIELD}), 0);
	expect_reg(ID_AA64PFR0, pfr0 & ~GIC_FIELD);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ID_AA64PFR0, pfr0);
}

TEST(fields_that_promise_less_the_other_way_round)
{
	uint64_t mmfr0, mmfr1, pfr0, ctr;

	guest(NOP);
	mmfr0 = get_reg(SYS(3, 0, 0, 7, 0));
	expect_eq(try_set_reg(SYS(3, 0, 0, 7, 0), &(uint64_t){mmfr0 | 1ull << 40}), 0); /* TGran4_2: none at stage 2 */
	expect_eq(try_set_reg(SYS(3, 0, 0, 7, 0), &(uint64_t){mmfr0 | 2ull << 40}), -EINVAL);
	mmfr1 = get_reg(SYS(3, 0, 0, 7, 1));
	expect_eq(try_set_reg(SYS(3, 0, 0, 7, 1), &(uint64_t){mmfr1 | 1ull << 24}), 0); /* SpecSEI: may happen */
	pfr0 = get_reg(ID_AA64PFR0);
	expect_eq(try_set_reg(ID_AA64PFR0, &(uint64_t){pfr0 & ~0xfull}), -EINVAL); /* no EL0 */
	ctr = get_reg(SYS(3, 3, 0, 0, 1));
	if (ctr == 0x9444c004 && !kvm_path) /* IDC and not DIC; as recorded */
		expect_eq(get_reg(SYS(3, 1, 0, 0, 1)), 0x02000021);
	expect_eq(try_set_reg(SYS(3, 3, 0, 0, 1), &(uint64_t){ctr ^ 1 << 14}), 0); /* L1Ip: VIPT for PIPT */
	expect_eq(try_set_reg(SYS(3, 3, 0, 0, 1), &(uint64_t){ctr & ~(3ull << 14)}), -EINVAL);
}

TEST(hidden_id_registers_take_only_zero)
{
	static const uint64_t ids[] = {SYS(3, 0, 0, 1, 3), SYS(3, 0, 0, 3, 3), SYS(3, 0, 0, 3, 5), SYS(3, 0, 0, 3, 7)};

	guest(NOP);
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		expect_eq(try_set_reg(ids[i], &(uint64_t){5}), -EINVAL);
		expect_eq(try_set_reg(ids[i], &(uint64_t){0}), 0);
	}
}

TEST(an_id_register_that_is_not_implemented_reports_what_was_read)
{
	guest(0xd5390043); /* mrs x3, ccsidr2_el1 */
	put_words(VECTORS + 0x200, (const uint32_t[]){STR_X3_DEV}, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ELR_EL1, ENTRY);
	expect_reg(ESR_EL1, 0x62344061);
}

/* ---- paravirtual time */

#define HVC_THEN_STORE HVC, 0xf9000160u /* str x0, [x11] */
#define PV_TIME_FEATURES 0xc5000020ull
#define PV_TIME_ST 0xc5000021ull

static long pvtime(unsigned long request, uint64_t *ipa)
{
	struct kvm_device_attr a = {
		.group = KVM_ARM_VCPU_PVTIME_CTRL, .attr = KVM_ARM_VCPU_PVTIME_IPA, .addr = (uintptr_t)ipa};

	return call(m.vcpu, request, &a);
}

TEST(stolen_time_goes_to_where_the_client_put_it)
{
	uint64_t ipa = DATA + 1;

	guest(HVC_THEN_STORE, HVC_THEN_STORE, STR_X3_DEV);
	if (pvtime(KVM_HAS_DEVICE_ATTR, NULL) == -ENXIO)
		skip("the host keeps no account of it");
	expect_eq(pvtime(KVM_GET_DEVICE_ATTR, &ipa), 0);
	expect_eq(ipa, UINT64_MAX);
	ipa = DATA + 8;
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), -EINVAL); /* 64 bytes */
	ipa = DEVICE;
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), -EINVAL); /* no slot */
	ipa = READONLY;
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), -EINVAL);
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, NULL), -EFAULT);
	ipa = DATA;
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), 0);
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), -EEXIST);
	memset(m.ram + (DATA - ENTRY), 0xff, 16);
	set_reg(X(0), PV_TIME_FEATURES);
	set_reg(X(1), PV_TIME_ST);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 0);
	set_reg(X(0), PV_TIME_ST);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), DATA);
	expect_eq(*(const uint64_t *)(m.ram + (DATA - ENTRY)), 0); /* revision, attributes */
	expect_exit(KVM_EXIT_MMIO);
}

TEST(stolen_time_needs_a_slot_that_may_be_written_not_the_hosts_memory)
{
	enum { SIZE = 0x10000 };
	void *host = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.slot = 5, .guest_phys_addr = 0x60000000, .memory_size = SIZE, .userspace_addr = (uintptr_t)host};
	uint64_t ipa = slot.guest_phys_addr;

	guest(NOP);
	if (pvtime(KVM_HAS_DEVICE_ATTR, NULL) == -ENXIO)
		skip("the host keeps no account of it");
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	expect_eq(pvtime(KVM_SET_DEVICE_ATTR, &ipa), 0);
	machine_free();
	munmap(host, SIZE);
}
