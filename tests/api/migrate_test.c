/* SPDX-License-Identifier: MIT */
/*
 * A guest goes on in another VM: everything that a client can read of one is written into a new one, in the order that
 * arm-vgic-v3.rst and arm-vgic-its.rst ask for, and nothing that was pending, armed or counted is lost.
 */
#include <unistd.h>

#include "harness.h"

enum { SPI_LEVEL = 40, SPI_EDGE = 41, SPI_ACTIVE = 42, LPI = 8192 + 3, TIMER = 27, PMU_PPI = 23, N_IRQS = 64 };
enum { ITS = 0x08080000, DEVICE_ID = 5, EVENT = 2 };
/* Guest memory: ITS tables and LPI tables, 64 KiB apart where they must be aligned */
#define MORE_RAM 0x42000000ull
enum { MORE_SIZE = 0x80000 };
#define TABLE_DEVICES MORE_RAM
#define TABLE_COLLECTIONS (MORE_RAM + 0x10000)
#define QUEUE (MORE_RAM + 0x20000)
#define PROP (MORE_RAM + 0x30000)
#define PEND (MORE_RAM + 0x40000)
#define ITT (MORE_RAM + 0x50000)
#define VALID (1ull << 63)
#define IAR_X0 0xd538cc00u  /* mrs x0, icc_iar1_el1 */
#define EOIR_X0 0xd518cc20u /* msr icc_eoir1_el1, x0 */
#define STR_X0_DEV 0xf9000160u
#define UNMASK_IRQ 0xd50342ffu /* msr daifclr, #2 */
#define PMEVCNTR0 SYS(3, 3, 14, 8, 0)

static int its;
static uint8_t *more;

static long attr(int fd, uint32_t request, uint32_t group, uint64_t which, void *val)
{
	struct kvm_device_attr a = {.group = group, .attr = which, .addr = (uintptr_t)val};

	return call(fd, request, &a);
}

static void put(int fd, uint32_t group, uint64_t which, uint64_t val)
{
	expect_eq(attr(fd, KVM_SET_DEVICE_ATTR, group, which, &val), 0);
}

static uint64_t read_attr(int fd, uint32_t group, uint64_t which)
{
	uint64_t val = 0;

	expect_eq(attr(fd, KVM_GET_DEVICE_ATTR, group, which, &val), 0);
	return val;
}

/* ---- the machine, the same on both sides */

static void machine(void)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_ITS};
	struct kvm_userspace_memory_region r = {.slot = 5, .guest_phys_addr = MORE_RAM, .memory_size = MORE_SIZE};
	int irq = PMU_PPI;

	guest_with(WITH_PMU, STR_X3_DEV, UNMASK_IRQ, WFI, 0x17ffffff /* b .-4 */);
	put_words(VECTORS + 0x280, (const uint32_t[]){IAR_X0, EOIR_X0, STR_X0_DEV, ERET}, 4);
	r.userspace_addr = (uintptr_t)more;
	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	its = (int)d.fd;
	put(its, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, ITS);
	expect_eq(attr(its, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
	expect_eq(attr(m.vcpu, KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_IRQ, &irq), 0);
	expect_eq(attr(m.vcpu, KVM_SET_DEVICE_ATTR, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, NULL), 0);
}

static void command(unsigned n, uint64_t c0, uint64_t c1, uint64_t c2)
{
	uint64_t c[4] = {c0, c1, c2, 0};

	memcpy(more + (QUEUE - MORE_RAM) + n * 32, c, sizeof(c));
}

/* What a guest would have set up: interrupts 40 to 42, the timer's and an LPI enabled, the instruction counter running. */
static void configure(void)
{
	const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, redist = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;
	const uint32_t sys = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, regs = KVM_DEV_ARM_VGIC_GRP_ITS_REGS;

	memset(more + (PROP - MORE_RAM), 0xa1, 0x100);
	put(m.gic, dist, 0x0, 2);
	put(m.gic, dist, 0x84, ~0u);
	put(m.gic, dist, 0x104, 7u << 8);
	put(m.gic, dist, 0xc08, 2u << 18); /* 41 is an edge */
	put(m.gic, dist, 0x428, 0x908070);
	put(m.gic, redist, 0x10080, ~0u);
	put(m.gic, redist, 0x10100, 1u << TIMER);
	put(m.gic, redist, 0x70, PROP | 15);
	put(m.gic, redist, 0x74, PROP >> 32);
	put(m.gic, redist, 0x78, PEND);
	put(m.gic, redist, 0x0, 1);
	put(m.gic, sys, 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
	put(m.gic, sys, 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	command(0, 0x08 | (uint64_t)DEVICE_ID << 32, 4, VALID | ITT);
	command(1, 0x09, 0, VALID | 1);
	command(2, 0x0a | (uint64_t)DEVICE_ID << 32, (uint64_t)LPI << 32 | EVENT, 1);
	put(its, regs, 0x100, VALID | TABLE_DEVICES);
	put(its, regs, 0x108, VALID | TABLE_COLLECTIONS);
	put(its, regs, 0x80, VALID | QUEUE);
	put(its, regs, 0x0, 1);
	put(its, regs, 0x88, 3 * 32);
	set_reg(SYS(3, 3, 14, 12, 0), 8); /* PMEVTYPER0: INST_RETIRED */
	set_reg(SYS(3, 3, 9, 12, 1), 1);
	set_reg(SYS(3, 3, 9, 12, 0), get_reg(SYS(3, 3, 9, 12, 0)) | 1); /* PMCR.E */
}

static void line(unsigned spi, unsigned level)
{
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | spi, .level = level};

	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), 0);
}

/* ---- the state */

/* Runs of registers of 32 bits, in the order in which they are restored. */
static const struct run {
	uint32_t group, first, bytes;
} gic_runs[] = {
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0, 4},	 {KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x70, 16},
	{KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x0, 4},	 {KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10080, 4},
	{KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10100, 4},	 {KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10c00, 8},
	{KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10400, 32}, {KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10200, 4},
	{KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10300, 4},	 {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, 4},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104, 4},	 {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc08, 8},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x420, 32},	 {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x6100, 0x100},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x204, 4},	 {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x304, 4},
};
enum { N_RUNS = sizeof(gic_runs) / sizeof(gic_runs[0]), MAX_REGS = 512 };
#define ICC(crn, crm, op2) (3 << 14 | (crn) << 7 | (crm) << 3 | (op2))
static const uint64_t icc[] = {ICC(12, 12, 5), ICC(12, 12, 4), ICC(4, 6, 0),   ICC(12, 8, 3), ICC(12, 12, 3),
			       ICC(12, 8, 4),  ICC(12, 9, 0),  ICC(12, 12, 6), ICC(12, 12, 7)};
enum { N_ICC = sizeof(icc) / sizeof(icc[0]) };
static const uint64_t its_regs[] = {0x80, 0x90, 0x88, 0x100, 0x108, 0x0}; /* CTLR is last, behind the tables */
enum { N_ITS = sizeof(its_regs) / sizeof(its_regs[0]) };

static struct state {
	uint64_t ids[MAX_REGS];
	uint64_t n;
	uint64_t val[MAX_REGS][2];
	uint32_t gic[N_RUNS][64], level[2];
	uint64_t icc[N_ICC], its[N_ITS];
	struct kvm_vcpu_events events;
	uint8_t ram[RAM_SIZE];
} s;

static uint64_t level_attr(unsigned first)
{
	return (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | first;
}

static void save(void)
{
	struct {
		uint64_t n, ids[MAX_REGS];
	} list = {.n = MAX_REGS};

	expect_eq(
		attr(m.gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES, NULL),
		0);
	expect_eq(attr(its, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_SAVE_TABLES, NULL), 0);
	expect_eq(call(m.vcpu, KVM_GET_REG_LIST, &list), 0);
	s.n = list.n;
	for (unsigned i = 0; i < s.n; i++) {
		s.ids[i] = list.ids[i];
		expect_eq(try_get_reg(s.ids[i], s.val[i]), 0);
	}
	for (unsigned i = 0; i < N_RUNS; i++)
		for (unsigned k = 0; k < gic_runs[i].bytes / 4; k++)
			s.gic[i][k] = (uint32_t)read_attr(m.gic, gic_runs[i].group, gic_runs[i].first + 4 * k);
	for (unsigned i = 0; i < 2; i++)
		s.level[i] = (uint32_t)read_attr(m.gic, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, level_attr(32 * i));
	for (unsigned i = 0; i < N_ICC; i++)
		s.icc[i] = read_attr(m.gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, icc[i]);
	for (unsigned i = 0; i < N_ITS; i++)
		s.its[i] = read_attr(its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, its_regs[i]);
	expect_eq(call(m.vcpu, KVM_GET_VCPU_EVENTS, &s.events), 0);
	memcpy(s.ram, m.ram, RAM_SIZE);
}

static void restore(void)
{
	memcpy(m.ram, s.ram, RAM_SIZE);
	for (unsigned i = 0; i < s.n; i++)
		expect_eq(try_set_reg(s.ids[i], s.val[i]), 0);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &s.events), 0);
	for (unsigned i = 0; i < N_RUNS; i++)
		for (unsigned k = 0; k < gic_runs[i].bytes / 4; k++)
			put(m.gic, gic_runs[i].group, gic_runs[i].first + 4 * k, s.gic[i][k]);
	for (unsigned i = 0; i < 2; i++)
		put(m.gic, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, level_attr(32 * i), s.level[i]);
	for (unsigned i = 0; i < N_ICC; i++)
		put(m.gic, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, icc[i], s.icc[i]);
	for (unsigned i = 0; i < N_ITS - 1; i++)
		put(its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, its_regs[i], s.its[i]);
	expect_eq(attr(its, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_RESTORE_TABLES, NULL), 0);
	put(its, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, its_regs[N_ITS - 1], s.its[N_ITS - 1]);
}

/* ---- */

static unsigned taken(void)
{
	uint64_t intid;

	expect_exit(KVM_EXIT_MMIO);
	memcpy(&intid, m.run->mmio.data, 8);
	return (unsigned)intid;
}

TEST(a_guest_goes_on_in_another_vm_with_all_that_was_pending)
{
	struct kvm_msi msi = {
		.address_lo = ITS + 0x10040, .data = EVENT, .flags = KVM_MSI_VALID_DEVID, .devid = DEVICE_ID};
	uint64_t counted, now;
	bool timer = false;

	more = calloc(1, MORE_SIZE + 0x10000);
	more = (uint8_t *)(((uintptr_t)more + 0xffff) & ~(uintptr_t)0xffff);
	machine();
	configure();
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR); /* the store is complete */
	expect_pc(ENTRY + 4);
	line(SPI_LEVEL, 1);
	line(SPI_EDGE, 1);
	line(SPI_EDGE, 0);
	put(m.gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x304, 1u << 10); /* 42 is active */
	expect_eq(call(m.vm, KVM_SIGNAL_MSI, &msi), 1);
	now = get_reg(KVM_REG_ARM_TIMER_CNT);
	set_reg(KVM_REG_ARM_TIMER_CVAL, now + 62500); /* in a millisecond */
	set_reg(KVM_REG_ARM_TIMER_CTL, 1);
	counted = get_reg(PMEVCNTR0);
	expect_eq(counted, 1);
	save();
	machine_free();
	close(its);

	machine();
	restore();
	expect_reg(PMEVCNTR0, counted);
	expect_eq(read_attr(m.gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x304), 1u << 10);
	expect_eq(get_reg(KVM_REG_ARM_TIMER_CNT) - now < 62500000ull * 3600, 1); /* goes on where it was */
	/* by priority: 40 (0x70), 41 (0x80), the LPI (0xa0); the timer (0) whenever it comes */
	static const unsigned order[] = {SPI_LEVEL, SPI_EDGE, LPI};
	for (unsigned i = 0; i < 3;) {
		unsigned intid = taken();

		if (intid == TIMER && !timer) {
			timer = true;
			set_reg(KVM_REG_ARM_TIMER_CTL, 0);
			continue;
		}
		expect_eq(intid, order[i]);
		if (intid == SPI_LEVEL)
			line(SPI_LEVEL, 0);
		i++;
	}
	if (!timer)
		expect_eq(taken(), TIMER);
	set_reg(KVM_REG_ARM_TIMER_CTL, 0);
	expect_eq(get_reg(PMEVCNTR0) > counted, 1);
	expect_eq(call(m.vm, KVM_SIGNAL_MSI, &msi), 1); /* what the ITS maps is there */
	expect_eq(taken(), LPI);
	line(SPI_ACTIVE, 1); /* not while it is active */
	put(m.gic, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x384, 1u << 10);
	expect_eq(taken(), SPI_ACTIVE);
	close(its);
}

/* ISTATUS of a timer depends on the time */
static uint64_t comparable(const struct state *state, unsigned i)
{
	bool ctl = state->ids[i] == KVM_REG_ARM_TIMER_CTL || state->ids[i] == KVM_REG_ARM_PTIMER_CTL;

	return ctl ? state->val[i][0] & ~4ull : state->val[i][0];
}

TEST(what_was_restored_is_what_is_read)
{
	static struct state first;

	more = calloc(1, MORE_SIZE + 0x10000);
	more = (uint8_t *)(((uintptr_t)more + 0xffff) & ~(uintptr_t)0xffff);
	machine();
	configure();
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	line(SPI_LEVEL, 1);
	set_reg(SYS(3, 0, 12, 0, 0), VECTORS);
	for (unsigned i = 0; i < 31; i++)
		set_reg(X(i), i * 0x0101010101010101);
	save();
	first = s;
	machine_free();
	close(its);
	machine();
	restore();
	save();
	expect_eq(s.n, first.n);
	for (unsigned i = 0; i < s.n; i++) {
		char name[32];

		if (s.ids[i] == KVM_REG_ARM_TIMER_CNT || s.ids[i] == KVM_REG_ARM_PTIMER_CNT)
			continue;
		snprintf(name, sizeof(name), "register %#llx", (unsigned long long)s.ids[i]);
		test_variant = name;
		expect_eq(comparable(&s, i), comparable(&first, i));
	}
	test_variant = NULL;
	expect_eq(memcmp(s.gic, first.gic, sizeof(s.gic)), 0);
	expect_eq(memcmp(s.level, first.level, sizeof(s.level)), 0);
	expect_eq(memcmp(s.icc, first.icc, sizeof(s.icc)), 0);
	expect_eq(memcmp(s.its, first.its, sizeof(s.its)), 0);
	close(its);
}

/* ---- GICv2: no lines in its state, but the source of an SGI */

#define GICC 0x08010000ull
static const struct run v2_runs[] = {
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x008, 4},  {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x000, 4},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x100, 8},  {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc00, 16},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x400, 64}, {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x820, 32},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x200, 8},  {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x300, 8},
	{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xf20, 16}, {KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0x00, 12},
	{KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0x1c, 4},    {KVM_DEV_ARM_VGIC_GRP_CPU_REGS, 0xd0, 4},
};
enum { N_V2_RUNS = sizeof(v2_runs) / sizeof(v2_runs[0]) };

static void machine_v2(void)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V2};

	guest_with(WITHOUT_GIC, STR_X3_DEV, UNMASK_IRQ, WFI, 0x17ffffff /* b .-4 */);
	put_words(VECTORS + 0x280,
		  (const uint32_t[]){0xb9400d80 /* ldr w0, [x12, #12] */, 0xb9001180 /* str w0, [x12, #16] */,
				     STR_X0_DEV, ERET},
		  4);
	set_reg(X(12), GICC);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	m.gic = (int)d.fd;
	put(m.gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, N_IRQS);
	put(m.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, DIST);
	put(m.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC);
	expect_eq(attr(m.gic, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), 0);
}

TEST(a_gicv2_moves_with_what_is_pending_and_who_sent_it)
{
	const uint32_t dist = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, cpu = KVM_DEV_ARM_VGIC_GRP_CPU_REGS;
	static uint32_t val[N_V2_RUNS][16];

	machine_v2();
	put(m.gic, dist, 0x000, 1);
	put(m.gic, dist, 0x104, 3u << 8);
	put(m.gic, dist, 0xc08, 2u << 18); /* 41 is an edge */
	put(m.gic, dist, 0x400, 0x40);	   /* SGI 0 comes after 41 */
	put(m.gic, dist, 0x828, 0x0101);
	put(m.gic, cpu, 0x00, 1);
	put(m.gic, cpu, 0x04, 0xf0 >> 3);
	expect_exit(KVM_EXIT_MMIO);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	line(SPI_EDGE, 1);
	put(m.gic, dist, 0xf20, 1);	  /* SGI 0 from CPU 0 */
	put(m.gic, dist, 0x304, 1u << 8); /* 40 is active */
	for (unsigned i = 0; i < N_V2_RUNS; i++)
		for (unsigned k = 0; k < v2_runs[i].bytes / 4; k++)
			val[i][k] = (uint32_t)read_attr(m.gic, v2_runs[i].group, v2_runs[i].first + 4 * k);
	machine_free();

	machine_v2();
	for (unsigned i = 0; i < N_V2_RUNS; i++)
		for (unsigned k = 0; k < v2_runs[i].bytes / 4; k++)
			put(m.gic, v2_runs[i].group, v2_runs[i].first + 4 * k, val[i][k]);
	for (unsigned i = 0; i < N_V2_RUNS; i++)
		for (unsigned k = 0; k < v2_runs[i].bytes / 4; k++)
			expect_eq((uint32_t)read_attr(m.gic, v2_runs[i].group, v2_runs[i].first + 4 * k), val[i][k]);
	set_reg(PC, ENTRY + 4);
	line(SPI_LEVEL, 1); /* not while it is active */
	expect_eq(taken(), SPI_EDGE);
	expect_eq(taken(), 0); /* from CPU 0 */
	put(m.gic, dist, 0x384, 1u << 8);
	expect_eq(taken(), SPI_LEVEL);
}
