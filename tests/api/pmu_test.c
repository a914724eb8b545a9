/* SPDX-License-Identifier: MIT */
/*
 * PMUv3 of a vcpu: what is counted, overflow and its interrupt, chained counters, event filters, and the errors of
 * KVM_ARM_VCPU_PMU_V3_CTRL (devices/vcpu.rst). Arm ARM DDI 0487, "The Performance Monitors Extension".
 */
#include <unistd.h>

#include "harness.h"

#define PMCR SYS(3, 3, 9, 12, 0)
#define PMCNTENSET SYS(3, 3, 9, 12, 1)
#define PMOVSSET SYS(3, 3, 9, 14, 3)
#define PMINTENSET SYS(3, 0, 9, 14, 1)
#define PMCCNTR SYS(3, 3, 9, 13, 0)
#define PMCCFILTR SYS(3, 3, 14, 15, 7)
#define PMEVCNTR(n) SYS(3, 3, 14, 8, n)
#define PMEVTYPER(n) SYS(3, 3, 14, 12, n)
#define CYCLE_BIT (1ull << 31)
enum { SW_INCR = 0, INST_RETIRED = 8, CPU_CYCLES = 0x11, CHAIN = 0x1e, PPI = 23 };
#define NOT_EL1 (1ull << 31)
#define NOT_EL0 (1ull << 30)
#define MRS_X0_PMCCNTR 0xd53b9d00u
#define MRS_X0_PMCEID0 0xd53b9cc0u
#define MSR_PMSWINC_X1 0xd51b9c81u
#define MRS_X0_PMEVCNTR0 0xd53be800u

static long attr(uint64_t which, const void *val)
{
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = which, .addr = (uintptr_t)val};

	return call(m.vcpu, KVM_SET_DEVICE_ATTR, &a);
}

static long filter(uint16_t base, uint16_t n, uint8_t action)
{
	struct kvm_pmu_event_filter f = {.base_event = base, .nevents = n, .action = action};

	return attr(KVM_ARM_VCPU_PMU_V3_FILTER, &f);
}

static void pmu_init(bool gic)
{
	int irq = PPI;

	if (gic)
		expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
}

#define pmu_guest(...) \
	do { \
		guest_with(WITH_PMU, __VA_ARGS__); \
		pmu_init(true); \
	} while (0)

static void count_event(unsigned n, uint64_t type, uint64_t start)
{
	set_reg(PMEVTYPER(n), type);
	set_reg(PMEVCNTR(n), start);
	set_reg(PMCNTENSET, get_reg(PMCNTENSET) | 1ull << n);
	set_reg(PMCR, get_reg(PMCR) | 1);
}

/* The PMU's PPI is enabled, and taken: its vector stores to the device. */
static void take_interrupts(void)
{
	gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 0x12);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10080, 0xffffffff);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10100, 1u << PPI);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	set_reg(PSTATE, 0x3c5 & ~0x80u);
	put_words(VECTORS + 0x280, (const uint32_t[]){STR_X3_DEV, 0xd5384100u /* mrs x0, sp_el0 */, SPIN}, 3);
}

TEST(instructions_are_counted_one_by_one)
{
	pmu_guest(NOP, ADD_X0_1, STR_X3_DEV, NOP, 0xd5381020 /* mrs x0, actlr_el1: emulated */, STR_X3_DEV);
	count_event(0, INST_RETIRED, 100);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 102); /* the store is not complete */
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 105);
	set_reg(PMCNTENSET, 0);
}

TEST(a_branch_loop_and_calls_of_the_kernel_are_counted)
{
	pmu_guest(0xd2800064 /* mov x4, #3 */, 0xf1000484 /* subs x4, x4, #1 */, 0x54ffffe1 /* b.ne .-4 */, SVC);
	put_words(VECTORS + 0x200, (const uint32_t[]){STR_X3_DEV}, 1);
	count_event(0, INST_RETIRED, 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 1 + 3 * 2 + 1);
}

TEST(an_instruction_that_takes_an_exception_is_not_executed)
{
	pmu_guest(NOP, 0x00000000 /* udf */);
	put_words(ENTRY + 4, (const uint32_t[]){0x00000000}, 1);
	put_words(VECTORS + 0x200, (const uint32_t[]){STR_X3_DEV}, 1);
	count_event(0, INST_RETIRED, 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 1);
}

TEST(stepping_counts_the_same)
{
	pmu_guest(NOP, LDR_X0_DEV, NOP);
	count_event(0, INST_RETIRED, 0);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_reg(PMEVCNTR(0), 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 1);
	expect_step(ENTRY + 8, HSR_PENDING);
	expect_reg(PMEVCNTR(0), 2);
	expect_step(ENTRY + 12, HSR_EXECUTED);
	expect_reg(PMEVCNTR(0), 3);
}

TEST(a_counter_may_leave_an_exception_level_out)
{
	pmu_guest(ERET);
	put_words(EL0_CODE, (const uint32_t[]){NOP, NOP, NOP, SVC}, 4);
	put_words(VECTORS + 0x400, (const uint32_t[]){NOP, STR_X3_DEV}, 2);
	set_reg(ELR_EL1, EL0_CODE);
	set_reg(SPSR_EL1, 0x3c0);
	count_event(0, INST_RETIRED, 0);
	count_event(1, INST_RETIRED | NOT_EL0, 0);
	count_event(2, INST_RETIRED | NOT_EL1, 0);
	count_event(3, INST_RETIRED | NOT_EL1 | NOT_EL0, 0);
	count_event(4, CPU_CYCLES | NOT_EL1 | NOT_EL0, 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 6);
	expect_reg(PMEVCNTR(1), 2);
	expect_reg(PMEVCNTR(2), 4);
	expect_reg(PMEVCNTR(3), 0);
	expect_reg(PMEVCNTR(4), 0);
}

TEST(cycles_go_on_in_the_guest_and_stand_still_outside)
{
	uint64_t now;

	pmu_guest(MRS_X0_PMCCNTR, STR_X3_DEV, 0x17fffffe /* b .-8 */);
	set_reg(PMCNTENSET, CYCLE_BIT);
	set_reg(PMCR, get_reg(PMCR) | 1);
	for (unsigned i = 0; i < 1000; i++) /* a tick is 16 of them */
		expect_exit(KVM_EXIT_MMIO);
	now = get_reg(PMCCNTR);
	if (!now)
		fail("no cycle in a thousand runs");
	expect_reg(PMCCNTR, now);
	set_reg(PMCNTENSET, 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMCCNTR, now);
}

TEST(an_overflow_of_instructions_interrupts_right_behind_the_one_that_did_it)
{
	pmu_guest(ADD_X0_1, 0x17ffffff /* b .-4 */);
	take_interrupts();
	count_event(0, INST_RETIRED, 0xffffffff - 8);
	set_reg(PMINTENSET, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 5);
	expect_reg(ELR_EL1, ENTRY + 4);
	expect_reg(PMOVSSET, 1);
}

TEST(an_overflow_without_its_interrupt_enabled_is_a_flag_only)
{
	pmu_guest(NOP, NOP, NOP, STR_X3_DEV);
	take_interrupts();
	count_event(0, INST_RETIRED, 0xffffffff);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 12);
	expect_reg(PMOVSSET, 1);
	expect_reg(PMEVCNTR(0), 2);
	set_reg(PMINTENSET, 1); /* it is still there */
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(ELR_EL1, ENTRY + 16);
}

TEST(an_overflow_of_cycles_interrupts)
{
	static const uint64_t starts[] = {UINT64_MAX - 100, 0xffffffff - 100};

	for (unsigned i = 0; i < 2; i++) {
		test_variant = i ? "32 bits" : "64 bits";
		pmu_guest(SPIN);
		take_interrupts();
		set_reg(PMCR, (get_reg(PMCR) & ~0x40ull) | 1 | (i ? 0 : 0x40)); /* LC */
		set_reg(PMCCNTR, starts[i]);
		set_reg(PMCNTENSET, CYCLE_BIT);
		set_reg(PMINTENSET, CYCLE_BIT);
		expect_exit(KVM_EXIT_MMIO);
		expect_reg(ELR_EL1, ENTRY);
		expect_reg(PMOVSSET, CYCLE_BIT);
		machine_free();
	}
	test_variant = NULL;
}

TEST(the_interrupt_goes_away_with_the_flag)
{
	pmu_guest(0xd51b9c61 /* msr pmovsclr_el0, x1 */, 0xd50347ff /* msr daifclr, #7 */, STR_X3_DEV);
	take_interrupts();
	set_reg(PSTATE, 0x3c5);
	set_reg(X(1), 1);
	count_event(0, SW_INCR, 0);
	set_reg(PMINTENSET, 1);
	set_reg(PMOVSSET, 1);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 8);
}

TEST(an_odd_counter_continues_the_even_one)
{
	pmu_guest(NOP, NOP, NOP, STR_X3_DEV);
	count_event(0, INST_RETIRED, 0xfffffffe);
	count_event(1, CHAIN, 0xffffffff);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 1);
	expect_reg(PMEVCNTR(1), 0);
	expect_reg(PMOVSSET, 3);
}

TEST(software_increments_overflow_and_chain)
{
	pmu_guest(MSR_PMSWINC_X1, MSR_PMSWINC_X1, STR_X3_DEV);
	set_reg(X(1), 5);
	count_event(0, SW_INCR, 0xffffffff);
	count_event(1, CHAIN, 7);
	count_event(2, SW_INCR, 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 1);
	expect_reg(PMEVCNTR(1), 8);
	expect_reg(PMEVCNTR(2), 2);
	expect_reg(PMOVSSET, 1);
}

TEST(a_filter_hides_events_and_stops_their_counters)
{
	static const struct {
		uint16_t base, n;
		uint8_t action;
		uint64_t events, counted;
	} rows[] = {
		{INST_RETIRED, 1, KVM_PMU_EVENT_DENY, 1u << CPU_CYCLES, 0},
		{INST_RETIRED, 1, KVM_PMU_EVENT_ALLOW, 1u << INST_RETIRED, 2},
		{CPU_CYCLES, 1, KVM_PMU_EVENT_DENY, 1u << INST_RETIRED, 2},
		{0, 0, KVM_PMU_EVENT_ALLOW, 0, 0},
		{0, 0x400, KVM_PMU_EVENT_ALLOW, 1u << CPU_CYCLES | 1u << INST_RETIRED, 2},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		guest_with(WITH_PMU, MRS_X0_PMCEID0, NOP, STR_X3_DEV);
		expect_eq(filter(rows[i].base, rows[i].n, rows[i].action), 0);
		pmu_init(true);
		count_event(0, INST_RETIRED, 0);
		set_reg(PMCNTENSET, 1 | CYCLE_BIT);
		expect_exit(KVM_EXIT_MMIO);
		/* never filtered: software increments and chains */
		expect_reg(X(0), rows[i].events | 1 | 1u << CHAIN);
		expect_reg(PMEVCNTR(0), rows[i].counted);
		if (!(rows[i].events & 1u << CPU_CYCLES))
			expect_reg(PMCCNTR, 0);
		machine_free();
	}
}

TEST(without_an_irqchip_the_overflow_is_a_line_of_the_clients)
{
	guest_with(WITH_PMU | WITHOUT_GIC, NOP, NOP, NOP, NOP);
	pmu_init(false);
	count_event(0, INST_RETIRED, 0xfffffffe);
	set_reg(PMINTENSET, 1);
	expect_error(EINTR);
	expect_eq(m.run->exit_reason, KVM_EXIT_INTR);
	expect_eq(m.run->s.regs.device_irq_level & KVM_ARM_DEV_PMU, KVM_ARM_DEV_PMU);
	expect_pc(ENTRY + 8);
	set_reg(PMOVSSET, 0);
	expect_error(EINTR);
	expect_eq(m.run->s.regs.device_irq_level & KVM_ARM_DEV_PMU, 0);
}

TEST(counters_are_saved_and_restored)
{
	static const uint64_t ids[] = {PMCR,	PMCNTENSET, PMINTENSET,	 PMOVSSET,
				       PMCCNTR, PMCCFILTR,  PMEVCNTR(0), PMEVTYPER(0)};
	uint64_t saved[8];

	pmu_guest(NOP, NOP, STR_X3_DEV);
	count_event(0, INST_RETIRED | NOT_EL0, 0xfffffff0);
	set_reg(PMINTENSET, 1);
	set_reg(PMCCFILTR, NOT_EL0);
	expect_exit(KVM_EXIT_MMIO);
	for (unsigned i = 0; i < 8; i++)
		saved[i] = get_reg(ids[i]);
	machine_free();
	pmu_guest(NOP, NOP, STR_X3_DEV);
	for (unsigned i = 0; i < 8; i++)
		set_reg(ids[i], saved[i]);
	for (unsigned i = 0; i < 8; i++)
		expect_reg(ids[i], saved[i]);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(PMEVCNTR(0), 0xfffffff4);
}

TEST(the_number_of_counters_is_the_vms)
{
	uint32_t n = 2;
	uint64_t val;

	guest_with(WITH_PMU, 0xd53be840 /* mrs x0, pmevcntr2_el0 */, NOP);
	n = 7;
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &n), -EINVAL);
	n = 2;
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &n), 0);
	pmu_init(true);
	expect_eq(get_reg(PMCR) >> 11 & 31, 2);
	val = 7ull << 11;
	set_reg(PMCR, val); /* more than there are: the number stays */
	expect_eq(get_reg(PMCR) >> 11 & 31, 2);
	debug(STEP);
	expect_step(VECTORS + 0x200, HSR_PENDING); /* UNDEFINED */
}

TEST(attributes_have_the_kernels_errors)
{
	struct kvm_device_attr get = {.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = KVM_ARM_VCPU_PMU_V3_IRQ};
	int irq = PPI, id = 5;

	machine_new(0); /* no PMU feature */
	get.addr = (uintptr_t)&irq;
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &irq), -ENODEV);
	expect_eq(call(m.vcpu, KVM_HAS_DEVICE_ATTR, &get), -ENXIO);
	expect_eq(call(m.vcpu, KVM_GET_DEVICE_ATTR, &get), -ENODEV);
	machine_free();

	machine_new(WITH_PMU);
	expect_eq(call(m.vcpu, KVM_HAS_DEVICE_ATTR, &get), 0);
	expect_eq(call(m.vcpu, KVM_GET_DEVICE_ATTR, &get), -ENXIO);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_INIT, NULL), -ENXIO); /* no interrupt yet */
	for (int bad = 15; bad >= 0; bad -= 15)
		expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &bad), -EINVAL);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, NULL), -EFAULT);
	expect_eq(run(), -EINVAL); /* KVM_RUN without INIT */
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &irq), -EBUSY);
	expect_eq(call(m.vcpu, KVM_GET_DEVICE_ATTR, &get), 0);
	expect_eq(irq, PPI);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_SET_PMU, &id), -ENXIO);
	expect_eq(attr(99, &id), -ENXIO);
	expect_eq(filter(0x3ff, 2, KVM_PMU_EVENT_ALLOW), -EINVAL);
	expect_eq(filter(0, 1, 2), -EINVAL);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_INIT, NULL), -EBUSY);
	expect_eq(filter(0, 1, KVM_PMU_EVENT_ALLOW), -EBUSY);
	machine_free();

	machine_new(WITH_PMU | WITHOUT_GIC);
	expect_eq(attr(KVM_ARM_VCPU_PMU_V3_IRQ, &irq), -EINVAL);
	expect_eq(call(m.vcpu, KVM_GET_DEVICE_ATTR, &get), -EINVAL);
}
