/* SPDX-License-Identifier: MIT */
/* The words of step.h. */
#include "step.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

void variant(const char *text)
{
	machine_free();
	test_variant = text;
}

void check_equal_says(const char *file, int line, uint64_t have, uint64_t want, const char *sentence)
{
	if (have != want)
		fail_at(file, line, "%s is %#llx, not %#llx", sentence, (unsigned long long)have,
			(unsigned long long)want);
}

static void gic_addr(int gic, uint64_t type, uint64_t addr)
{
	struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_ADDR, .attr = type, .addr = (uintptr_t)&addr};

	says(call(gic, KVM_SET_DEVICE_ATTR, &a), 0, "KVM_DEV_ARM_VGIC_GRP_ADDR");
}

void guest_gicv2(uint32_t insn, uint32_t next)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V2};
	struct kvm_device_attr init = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL, .attr = KVM_DEV_ARM_VGIC_CTRL_INIT};

	guest_with(WITHOUT_GIC, insn, next, NOP);
	if (call(m.vm, KVM_CREATE_DEVICE, &d) < 0)
		skip("no GICv2 here");
	gic_addr((int)d.fd, KVM_VGIC_V2_ADDR_TYPE_DIST, DIST);
	gic_addr((int)d.fd, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC);
	says(call((int)d.fd, KVM_SET_DEVICE_ATTR, &init), 0, "KVM_DEV_ARM_VGIC_CTRL_INIT");
	api_close((int)d.fd);
	set_reg(X(9), GICC);
	set_reg(SYS(3, 0, 1, 0, 2), 3u << 20); /* CPACR_EL1: SIMD is not trapped */
}

/* ---- reports */

static void run_to(const char *file, int line, unsigned reason, const char *what, uint64_t pc)
{
	if (run() != 0)
		fail_at(file, line, "no %s at PC %#llx: KVM_RUN failed (%s) with PC %#llx", what,
			(unsigned long long)pc, strerror((int)-m.result), (unsigned long long)get_reg(PC));
	if (m.run->exit_reason != reason)
		fail_at(file, line, "no %s at PC %#llx: exit reason %u with PC %#llx", what, (unsigned long long)pc,
			m.run->exit_reason, (unsigned long long)get_reg(PC));
}

static void at_pc(const char *file, int line, const char *what, uint64_t pc)
{
	if (get_reg(PC) != pc)
		fail_at(file, line, "the %s is at PC %#llx, not %#llx", what, (unsigned long long)get_reg(PC),
			(unsigned long long)pc);
}

void debug_exit_at(const char *file, int line, uint32_t hsr, uint64_t pc)
{
	run_to(file, line, KVM_EXIT_DEBUG, "debug exit", pc);
	if (m.run->debug.arch.hsr != hsr || m.run->debug.arch.hsr_high)
		fail_at(file, line, "the debug exit at PC %#llx has ESR %#x, not %#x", (unsigned long long)get_reg(PC),
			m.run->debug.arch.hsr, hsr);
	if (m.run->flags != KVM_DEBUG_ARCH_HSR_HIGH_VALID)
		fail_at(file, line, "kvm_run.flags are %#x: hsr_high is not said to be valid", m.run->flags);
	at_pc(file, line, "debug exit", pc);
}

void step_at(const char *file, int line, uint64_t pc, uint32_t hsr)
{
	debug_exit_at(file, line, hsr, pc);
}

void step_taken_at(const char *file, int line, uint64_t pc)
{
	run_to(file, line, KVM_EXIT_DEBUG, "step report", pc);
	if (m.run->debug.arch.hsr != HSR_PENDING && !(kvm_path && m.run->debug.arch.hsr == HSR_EXECUTED))
		fail_at(file, line, "the exception entry is reported with ESR %#x, not %#x", m.run->debug.arch.hsr,
			HSR_PENDING);
	at_pc(file, line, "step report", pc);
}

void mmio_at(const char *file, int line, bool write, uint64_t ipa, unsigned len)
{
	uint64_t pc = get_reg(PC);

	run_to(file, line, KVM_EXIT_MMIO, "MMIO exit", pc);
	if (m.run->mmio.is_write != write || m.run->mmio.len != len || m.run->mmio.phys_addr != ipa)
		fail_at(file, line, "the MMIO exit is a %u byte %s of %#llx, not a %u byte %s of %#llx",
			m.run->mmio.len, m.run->mmio.is_write ? "write" : "read",
			(unsigned long long)m.run->mmio.phys_addr, len, write ? "write" : "read",
			(unsigned long long)ipa);
	at_pc(file, line, "MMIO exit", pc);
}

static void init_pmu(void)
{
	int irq = 23;
	struct kvm_device_attr a = {
		.group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = KVM_ARM_VCPU_PMU_V3_IRQ, .addr = (uintptr_t)&irq};

	says(call(m.vcpu, KVM_SET_DEVICE_ATTR, &a), 0, "setting the PMU's interrupt");
	a.attr = KVM_ARM_VCPU_PMU_V3_INIT;
	says(call(m.vcpu, KVM_SET_DEVICE_ATTR, &a), 0, "initialising the PMU");
}

void stepping(unsigned flags, uint32_t insn)
{
	guest_with(flags, insn, NOP, NOP, NOP);
	if (flags & WITH_PMU)
		init_pmu();
	set_reg(X(14), HOLE);
	set_reg(X(15), REDIST);
	debug(STEP);
}

void steps_over_at(const char *file, int line, uint32_t insn)
{
	stepping(0, insn);
	step_at(file, line, ENTRY + 4, HSR_EXECUTED);
	step_at(file, line, ENTRY + 8, HSR_EXECUTED);
}

/* ---- breakpoints and watchpoints */

void breakpoint(uint32_t control, uint64_t bcr, uint64_t bvr)
{
	struct kvm_guest_debug d = {.control = control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW};

	d.arch.dbg_bcr[0] = bcr;
	d.arch.dbg_bvr[0] = bvr;
	says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0, "KVM_SET_GUEST_DEBUG with a breakpoint");
}

void watchpoint(uint32_t control, uint64_t wcr, uint64_t wvr)
{
	struct kvm_guest_debug d = {.control = control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW};

	d.arch.dbg_wcr[0] = wcr;
	d.arch.dbg_wvr[0] = wvr;
	says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0, "KVM_SET_GUEST_DEBUG with a watchpoint");
}

/* ---- surroundings */

uint64_t ram_word(uint64_t ipa)
{
	uint64_t val;

	memcpy(&val, m.ram + (ipa - ENTRY), 8);
	return val;
}

void set_ram_word(uint64_t ipa, uint64_t val)
{
	memcpy(m.ram + (ipa - ENTRY), &val, 8);
}

/* 1 GiB blocks of level 1: valid, AF, inner shareable, attribute 0 = normal write-back. */
void stage1_on(void)
{
	enum { BLOCK = 1 | 1 << 10 | 3 << 8 };

	set_ram_word(STAGE1_TABLE, BLOCK);
	set_ram_word(STAGE1_TABLE + 8, 0x40000000 | BLOCK);
	set_reg(SYS(3, 0, 10, 2, 0), 0xff);						     /* MAIR_EL1 */
	set_reg(SYS(3, 0, 2, 0, 2), 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1ull << 32); /* TCR_EL1: 39 bits, 4K */
	set_reg(SYS(3, 0, 2, 0, 0), STAGE1_TABLE);					     /* TTBR0_EL1 */
	set_reg(SYS(3, 0, 1, 0, 0), 0x30d00800 | 1 | 4 | 1 << 12);			     /* SCTLR_EL1: M, C, I */
}

void enter_el0(void)
{
	set_reg(PC, EL0_CODE);
	set_reg(PSTATE, PSTATE_EL0);
}

void enable_cap(uint32_t cap)
{
	struct kvm_enable_cap c = {.cap = cap};

	says(call(m.vm, KVM_ENABLE_CAP, &c), 0, "KVM_ENABLE_CAP");
}

/* ---- signals */

static KICK_HANDLER void on_signal(int sig)
{
	pawl_signal_ran();
}

long run_until_signal(void)
{
	long ret;

	kick_handle(SIG_KICK, on_signal, 0);
	kick_every(20000);
	ret = run();
	kick_every(0);
	return ret;
}

void signal_pending(bool pending)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = {.len = 8}; /* nothing is blocked inside */
	struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	says(call(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0, "KVM_SET_SIGNAL_MASK");
	if (pending)
		raise(SIGUSR1);
	else
		sigtimedwait(&set, NULL, &now);
}

/* ---- a second vcpu */

struct second add_second(unsigned extra_features)
{
	struct second s;

	s.fd = add_vcpu(1, 1u << KVM_ARM_VCPU_PSCI_0_2 | extra_features, &s.run);
	return s;
}

void use(int fd, struct kvm_run *run_page)
{
	m.vcpu = fd;
	m.run = run_page;
}

void free_second(struct second *s)
{
	api_close(s->fd);
}
