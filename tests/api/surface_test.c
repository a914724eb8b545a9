/* SPDX-License-Identifier: MIT */
/*
 * What there is: values of capabilities, requests that fail on arm64, and the order in which things may be done (api.rst; the
 * documents of the devices).
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness.h"

static void vm_only(void)
{
	m.kvm = api_open(0);
	m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
	expect_eq(m.vm >= 0, 1);
}

static long check(int fd, uint32_t cap)
{
	return call(fd, KVM_CHECK_EXTENSION, value(cap));
}

static long enable(uint32_t cap, uint32_t flags, uint64_t arg)
{
	struct kvm_enable_cap c = {.cap = cap, .flags = flags, .args = {arg}};

	return call(m.vm, KVM_ENABLE_CAP, &c);
}

static long create_device(unsigned type, int *fd)
{
	struct kvm_create_device d = {.type = type};
	long ret = call(m.vm, KVM_CREATE_DEVICE, &d);

	if (fd)
		*fd = ret ? -1 : (int)d.fd;
	return ret;
}

static long attr(int fd, uint32_t group, uint64_t which, uint64_t val)
{
	struct kvm_device_attr a = {.group = group, .attr = which, .addr = (uintptr_t)&val};

	return call(fd, KVM_SET_DEVICE_ATTR, &a);
}

/* ---- capabilities */

TEST(capabilities_have_their_values_on_both_descriptors)
{
	static const struct {
		uint32_t cap;
		long val;
	} rows[] = {
		{KVM_CAP_IRQCHIP, 1},
		{KVM_CAP_USER_MEMORY, 1},
		{KVM_CAP_USER_MEMORY2, 1},
		{KVM_CAP_GUEST_MEMFD, 1},
		{KVM_CAP_GUEST_MEMFD_FLAGS, 3},
		{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1},
		{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1},
		{KVM_CAP_SYNC_MMU, 1},
		{KVM_CAP_INTERNAL_ERROR_DATA, 1},
		{KVM_CAP_MAX_VCPUS, 512},
		{KVM_CAP_MAX_VCPU_ID, 512},
		{KVM_CAP_NR_MEMSLOTS, 32767},
		{KVM_CAP_MP_STATE, 1},
		{KVM_CAP_COALESCED_MMIO, 1},
		{KVM_CAP_COALESCED_PIO, 1},
		{KVM_CAP_SET_GUEST_DEBUG, 1},
		{KVM_CAP_SET_GUEST_DEBUG2, 0x30003},
		{KVM_CAP_IRQ_ROUTING, 4096},
		{KVM_CAP_IRQFD, 1},
		{KVM_CAP_IRQFD_RESAMPLE, 1},
		{KVM_CAP_IOEVENTFD, 1},
		{KVM_CAP_IOEVENTFD_ANY_LENGTH, 1},
		{KVM_CAP_IOEVENTFD_NO_LENGTH, 0},
		{KVM_CAP_VCPU_EVENTS, 1},
		{KVM_CAP_ONE_REG, 1},
		{KVM_CAP_ARM_PSCI, 1},
		{KVM_CAP_ARM_PSCI_0_2, 1},
		{KVM_CAP_ARM_SET_DEVICE_ADDR, 1},
		{KVM_CAP_DEVICE_CTRL, 1},
		{KVM_CAP_VCPU_ATTRIBUTES, 1},
		{KVM_CAP_READONLY_MEM, 1},
		{KVM_CAP_SIGNAL_MSI, 1},
		{KVM_CAP_IMMEDIATE_EXIT, 1},
		{KVM_CAP_CHECK_EXTENSION_VM, 1},
		{KVM_CAP_ENABLE_CAP_VM, 1},
		{KVM_CAP_ARM_USER_IRQ, 1},
		{KVM_CAP_ARM_IRQ_LINE_LAYOUT_2, 1},
		{KVM_CAP_ARM_NISV_TO_USER, 1},
		{KVM_CAP_ARM_INJECT_EXT_DABT, 1},
		{KVM_CAP_ARM_INJECT_SERROR_ESR, 1},
		{KVM_CAP_ARM_PMU_V3, 1},
		{KVM_CAP_PTP_KVM, 1},
		{KVM_CAP_ARM_SYSTEM_SUSPEND, 1},
		{KVM_CAP_SYSTEM_EVENT_DATA, 1},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3},
		{KVM_CAP_DIRTY_LOG_RING, 0}, /* needs total store order */
		{KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20},
		{KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 1},
		{KVM_CAP_COUNTER_OFFSET, 1},
		{KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0},
		{KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES, 0x40201000},
		{KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, 1},
		{KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 1},
		{KVM_CAP_HALT_POLL, 1},
		{KVM_CAP_BINARY_STATS_FD, 1},
		{KVM_CAP_SYNC_REGS, 0},
		{KVM_CAP_VM_ATTRIBUTES, 0},
		{KVM_CAP_ENABLE_CAP, 0},
		{KVM_CAP_PRE_FAULT_MEMORY, 0},
		{KVM_CAP_MEMORY_ATTRIBUTES, 0},
		{KVM_CAP_HYPERV, 0},
		{0x7fffffff, 0},
	};
	char name[32];

	vm_only();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(name, sizeof(name), "capability %u", rows[i].cap);
		test_variant = name;
		expect_eq(check(m.kvm, rows[i].cap), rows[i].val);
		expect_eq(check(m.vm, rows[i].cap), rows[i].val);
	}
	test_variant = NULL;
	expect_eq(check(m.kvm, KVM_CAP_NR_VCPUS) >= 1, 1);
	expect_eq(check(m.kvm, KVM_CAP_ARM_VM_IPA_SIZE) >= 40, 1);
	expect_eq(check(m.kvm, KVM_CAP_GUEST_DEBUG_HW_BPS) >= 2, 1);
	expect_eq(check(m.kvm, KVM_CAP_GUEST_DEBUG_HW_WPS) >= 2, 1);
}

TEST(capabilities_of_a_vm_follow_its_gic)
{
	vm_only();
	expect_eq(check(m.kvm, KVM_CAP_MSI_DEVID), -EINVAL);
	expect_eq(check(m.vm, KVM_CAP_MSI_DEVID), 0);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_V3, NULL), 0);
	expect_eq(check(m.vm, KVM_CAP_MSI_DEVID), 0);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_ITS, NULL), 0);
	expect_eq(check(m.vm, KVM_CAP_MSI_DEVID), 1);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_ITS, NULL), 0); /* as many as one likes */
	machine_free();
	vm_only();
	expect_eq(call(m.vm, KVM_CREATE_IRQCHIP, NULL), 0);
	expect_eq(call(m.vm, KVM_CREATE_IRQCHIP, NULL), -EEXIST);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_V3, NULL), -EEXIST);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_ITS, NULL), -ENODEV);
	expect_eq(check(m.vm, KVM_CAP_MAX_VCPUS), 8);
	expect_eq(check(m.vm, KVM_CAP_MAX_VCPU_ID), 8);
	expect_eq(call(m.vm, KVM_CREATE_VCPU, value(8)), -EINVAL);
}

TEST(enabling_a_capability_checks_its_arguments)
{
	static const struct {
		uint32_t cap, flags;
		uint64_t arg;
		long ret;
	} rows[] = {
		{KVM_CAP_ARM_NISV_TO_USER, 1, 0, -EINVAL},
		{KVM_CAP_ARM_NISV_TO_USER, 0, 0, 0},
		{KVM_CAP_ARM_SYSTEM_SUSPEND, 0, 0, 0},
		{KVM_CAP_HALT_POLL, 0, 1ull << 32, -EINVAL},
		{KVM_CAP_HALT_POLL, 0, 1000, 0},
		{KVM_CAP_ONE_REG, 0, 0, -EINVAL},
		{KVM_CAP_ARM_MTE, 0, 0, -EINVAL},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 2, -EINVAL},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 4, -EINVAL},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 3, 0},
		{KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 0, 0},
		{KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0, 8192, -EINVAL},
		{KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0, 1 << 21, 0},
		{KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 0, 0, 0},
		{0x7fffffff, 0, 0, -EINVAL},
	};

	vm_only();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_eq(enable(rows[i].cap, rows[i].flags, rows[i].arg), rows[i].ret);
	expect_eq(check(m.vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE), 1 << 21);
	machine_free();
	machine_new(0);
	expect_eq(enable(KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, 0, 0), -EINVAL); /* there are slots */
	expect_eq(enable(KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 0, 0), -EINVAL);   /* there is a vcpu */
}

/* ---- requests that are not arm64's, or for features that are not there */

TEST(requests_of_other_machines_are_einval)
{
	static const uint32_t on_vm[] = {KVM_SET_TSS_ADDR,     KVM_GET_IRQCHIP,	      KVM_SET_IRQCHIP,
					 KVM_CREATE_PIT2,      KVM_SET_CLOCK,	      KVM_GET_CLOCK,
					 KVM_SET_NR_MMU_PAGES, KVM_SET_BOOT_CPU_ID,   KVM_REINJECT_CONTROL,
					 KVM_GET_DEVICE_ATTR,  KVM_ARM_MTE_COPY_TAGS, KVM_SET_MEMORY_ATTRIBUTES};
	static const uint32_t on_vcpu[] = {KVM_GET_REGS, KVM_SET_REGS,	 KVM_GET_SREGS,	       KVM_SET_SREGS,
					   KVM_GET_FPU,	 KVM_SET_FPU,	 KVM_TRANSLATE,	       KVM_INTERRUPT,
					   KVM_NMI,	 KVM_ENABLE_CAP, KVM_PRE_FAULT_MEMORY, KVM_SMI};
	uint8_t arg[1024] = {0};
	int feature = KVM_ARM_VCPU_SVE;

	machine_new(0);
	for (unsigned i = 0; i < sizeof(on_vm) / sizeof(on_vm[0]); i++)
		expect_eq(call(m.vm, on_vm[i], arg), -EINVAL);
	for (unsigned i = 0; i < sizeof(on_vcpu) / sizeof(on_vcpu[0]); i++)
		expect_eq(call(m.vcpu, on_vcpu[i], arg), -EINVAL);
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_FINALIZE, &feature), -EINVAL); /* this vcpu has no SVE */
	feature = KVM_ARM_VCPU_PMU_V3;
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_FINALIZE, &feature), -EINVAL);
}

TEST(what_needs_vcpu_init_is_enoexec_before_it)
{
	struct kvm_one_reg r = {.id = PC, .addr = (uintptr_t)&r};
	struct kvm_vcpu_events ev = {0};
	struct kvm_reg_list list = {0};
	struct kvm_mp_state mp;
	int feature = KVM_ARM_VCPU_SVE;

	machine_new(WITHOUT_INIT);
	expect_eq(call(m.vcpu, KVM_GET_ONE_REG, &r), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_SET_ONE_REG, &r), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, &list), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_GET_VCPU_EVENTS, &ev), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_ARM_VCPU_FINALIZE, &feature), -ENOEXEC);
	expect_eq(run(), -ENOEXEC);
	expect_eq(call(m.vcpu, KVM_GET_MP_STATE, &mp), 0);
}

/* ---- what must come before what */

TEST(vcpus_come_before_the_gic_is_initialised)
{
	machine_new(0);
	expect_eq(call(m.vm, KVM_CREATE_VCPU, value(1)), -EBUSY);
}

TEST(a_gic_comes_before_the_first_run)
{
	guest_with(WITHOUT_GIC, LDR_X0_DEV);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_V3, NULL), -EBUSY);
	expect_eq(call(m.vm, KVM_CREATE_IRQCHIP, NULL), -EBUSY);
}

TEST(a_gic_without_its_addresses_ends_the_vm)
{
	for (unsigned missing = 0; missing < 3; missing++) {
		guest_with(WITHOUT_GIC, LDR_X0_DEV);
		expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_V3, &m.gic), 0);
		if (missing != 0)
			expect_eq(attr(m.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST), 0);
		if (missing != 1)
			expect_eq(attr(m.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST), 0);
		if (missing != 2)
			expect_eq(attr(m.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
		expect_eq(run(), missing == 2 ? -EBUSY : -ENXIO);
		expect_eq(run(), -EIO);
		expect_eq(call(m.vm, KVM_CREATE_VCPU, value(1)), -EIO);
		expect_eq(attr(m.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), -EIO);
		machine_free();
	}
}

TEST(interrupts_come_after_the_gic_is_initialised)
{
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40, .level = 1};
	int event = eventfd(0, 0);
	struct kvm_irqfd f = {.fd = (uint32_t)event, .gsi = 8};
	struct kvm_msi msi = {.flags = KVM_MSI_VALID_DEVID};

	guest_with(WITHOUT_GIC, NOP);
	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), -ENXIO);
	expect_eq(call(m.vm, KVM_SIGNAL_MSI, &msi), -EINVAL);
	expect_eq(create_device(KVM_DEV_TYPE_ARM_VGIC_V3, &m.gic), 0);
	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), -EBUSY);
	expect_eq(call(m.vm, KVM_IRQFD, &f), -EAGAIN);
	expect_eq(call(m.vm, KVM_SIGNAL_MSI, &msi), -ENODEV); /* no ITS */
	expect_eq(attr(m.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0), 0);
	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), 0);
	expect_eq(call(m.vm, KVM_IRQ_LINE_STATUS, &l), 0);
	expect_eq(call(m.vm, KVM_IRQFD, &f), 0);
	l.irq = KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT;
	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), -ENXIO);
	close(event);
}

TEST(what_is_settled_by_the_first_run)
{
	struct kvm_smccc_filter filter = {.base = 0xc6000000, .nr_functions = 1, .action = KVM_SMCCC_FILTER_DENY};
	struct kvm_device_attr a = {
		.group = KVM_ARM_VM_SMCCC_CTRL, .attr = KVM_ARM_VM_SMCCC_FILTER, .addr = (uintptr_t)&filter};
	uint64_t psci = 0x6030000000140000, bmap = 0x6030000000160000, old;

	guest(LDR_X0_DEV);
	expect_eq(call(m.vm, KVM_SET_DEVICE_ATTR, &a), 0);
	expect_eq(call(m.vm, KVM_SET_DEVICE_ATTR, &a), -EEXIST);
	expect_eq(attr(m.vcpu, KVM_ARM_VCPU_TIMER_CTRL, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, 20), 0);
	expect_exit(KVM_EXIT_MMIO);
	filter.base = 0xc6000010;
	expect_eq(call(m.vm, KVM_SET_DEVICE_ATTR, &a), -EBUSY);
	expect_eq(attr(m.vcpu, KVM_ARM_VCPU_TIMER_CTRL, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, 21), -EBUSY);
	old = get_reg(bmap);
	set_reg(bmap, old); /* the same is accepted */
	old ^= 1;
	expect_eq(try_set_reg(bmap, &old), -EBUSY);
	set_reg(psci, 0x10000); /* is not */
}

TEST(timers_that_share_an_interrupt_are_einval_from_kvm_run)
{
	guest(NOP);
	expect_eq(attr(m.vcpu, KVM_ARM_VCPU_TIMER_CTRL, KVM_ARM_VCPU_TIMER_IRQ_VTIMER, 30), 0);
	expect_eq(run(), -EINVAL);
}

TEST(the_older_way_to_place_a_gicv2)
{
	struct kvm_arm_device_addr a = {.id = KVM_VGIC_V2_ADDR_TYPE_DIST, .addr = DIST};

	vm_only();
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -ENODEV);
	expect_eq(call(m.vm, KVM_CREATE_IRQCHIP, NULL), 0);
	a.addr = DIST + 1;
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -EINVAL);
	a.addr = 1ull << 40;
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -E2BIG);
	a.addr = DIST;
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), 0);
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -EEXIST);
	a.id = 1 << 16;
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -ENODEV);
	a.id = 7;
	expect_eq(call(m.vm, KVM_ARM_SET_DEVICE_ADDR, &a), -ENODEV);
}

TEST(the_counter_offset_takes_over_from_the_registers)
{
	struct kvm_arm_counter_offset off = {.reserved = 1};
	uint64_t count = 1ull << 40;

	guest(0xd53be040 /* mrs x0, cntvct_el0 */, 0xd53be021 /* mrs x1, cntpct_el0 */, STR_X3_DEV);
	expect_eq(call(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &off), -EINVAL);
	off.reserved = 0;
	expect_eq(call(m.vm, KVM_ARM_SET_COUNTER_OFFSET, &off), 0);
	set_reg(KVM_REG_ARM_TIMER_CNT, count); /* ignored */
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(get_reg(X(1)) - get_reg(X(0)) < 1ull << 39, 1); /* one and the same counter */
}
