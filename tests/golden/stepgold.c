/* SPDX-License-Identifier: MIT */
// stepgold: golden traces of KVM/arm64 guest debugging (single-step, breakpoints, watchpoints).
//
// A raw /dev/kvm client. Every case is a tiny guest made of instruction words (text beside each word), run once
// under KVM_GUESTDBG_SINGLESTEP (NAME.txt) and once without (NAME.nostep.txt). One line per KVM_RUN return.
//
//   stepgold [-o DIR] [-l] [-w] [case ...]     -l lists cases, -w prints the words and their text
//
// The array cases[] below is generated once by assembling the text; nothing at run time needs an assembler.
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum {
	CODE = 0x40000000,	// EL1 code
	VEC = 0x40001000,	// VBAR_EL1
	DATA = 0x40004000,	// RAM operand (x10)
	EL0 = 0x40008000,	// EL0 code
	PGT = 0x4000e000,	// stage 1 level 1 table
	RAM_SIZE = 0x10000,
	RO = 0x50000000,	// KVM_MEM_READONLY slot, one page (x13)
	EDGE = 0x60000000,	// one page of RAM, nothing after it
	MMIO = 0x0a000000,	// user-space device (x11)
	END = 0x0a00f000,	// a write here ends the case (x28)
	GICD = 0x08000000,	// x12
	GICR = 0x080a0000,	// x15
	GICC = 0x08010000,
	HOLE = 0x70000000,	// in no memslot (x14)
};

enum {
	F_GICV2 = 1 << 0,
	F_NOGIC = 1 << 1,
	F_PMU = 1 << 2,
	F_MMU = 1 << 3,		// stage 1 on: RAM and below 1 GiB normal memory
	F_DEV = 1 << 4,		// with F_MMU: below 1 GiB is device memory
	F_NISV = 1 << 5,	// KVM_CAP_ARM_NISV_TO_USER
	F_SWBP = 1 << 6,
	F_HW = 1 << 7,		// USE_HW: bp[] and wp[]
	F_EDGE = 1 << 8,	// code placed at the last words of EDGE
	F_IRQ = 1 << 9,		// GIC enabled through the device attributes, PSTATE.I clear
	F_GICON = 1 << 10,	// GIC enabled, PSTATE.I left set
	F_VERET = 1 << 11,	// synchronous vectors return with ERET
	F_ONLYSTEP = 1 << 12,	// no .nostep run
	F_ONLYFREE = 1 << 13,	// only the .nostep run
	F_REARM = 1 << 14,	// KVM_SET_GUEST_DEBUG again before every KVM_RUN
	F_DOFF = 1 << 15,	// PSTATE.D clear
	F_NOPSCI = 1 << 16,
	F_STARTFREE = 1 << 17,	// stepping not enabled at the start
	F_SUSPEND = 1 << 18,	// KVM_CAP_ARM_SYSTEM_SUSPEND
	F_GOON = 1 << 19,	// run again after a system event
	F_WPMISC = 1 << 20,
};

struct insn { uint32_t word; const char *text; };
struct vm;
struct gcase {
	const char *name, *what;
	unsigned flags;
	struct insn code[24];
	struct insn el0[10];
	struct { int reg; uint64_t val; } regs[6];
	unsigned max;
	int (*setup)(struct vm *);
	int (*hook)(struct vm *, int n);	// after each exit; nonzero ends the case
	uint64_t bp, wp;
	uint32_t wcr;
};

struct vm {
	const struct gcase *c;
	int kvm, fd, cpu, gic;
	struct kvm_run *run;
	uint8_t *ram, *ro, *edge;
	uint64_t entry;
	int stepping, mmios, done;
	FILE *out;
};

static volatile struct kvm_run *current_run;
static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
	if (current_run)
		current_run->immediate_exit = 1;
}

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define SYSREG(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)
#define VBAR_EL1 SYSREG(3, 0, 12, 0, 0)
#define SCTLR_EL1 SYSREG(3, 0, 1, 0, 0)
#define TTBR0_EL1 SYSREG(3, 0, 2, 0, 0)
#define TCR_EL1 SYSREG(3, 0, 2, 0, 2)
#define MAIR_EL1 SYSREG(3, 0, 10, 2, 0)
#define MDSCR_EL1 SYSREG(2, 0, 0, 2, 2)
#define CPACR_EL1 SYSREG(3, 0, 1, 0, 2)

static int set_reg(struct vm *v, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = { id, (uint64_t)(uintptr_t)&val };

	return ioctl(v->cpu, KVM_SET_ONE_REG, &r);
}

static uint64_t get_reg(struct vm *v, uint64_t id)
{
	uint64_t val = 0;
	struct kvm_one_reg r = { id, (uint64_t)(uintptr_t)&val };

	if (ioctl(v->cpu, KVM_GET_ONE_REG, &r))
		return 0xbadbadbadbadbad;
	return val;
}

static uint64_t xreg(int n) { return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (KVM_REG_ARM_CORE_REG(regs.regs[0]) + 2 * n); }

static int debug(struct vm *v, int step)
{
	struct kvm_guest_debug d = { 0 };
	int rc;

	v->stepping = step;
	if (step)
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (v->c->flags & F_SWBP)
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	if (v->c->flags & F_HW) {
		d.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
		if (v->c->bp) {
			d.arch.dbg_bcr[0] = 0x1e7;
			d.arch.dbg_bvr[0] = v->c->bp;
		}
		if (v->c->wp) {
			d.arch.dbg_wcr[0] = v->c->wcr ? v->c->wcr : 0x1fff;
			d.arch.dbg_wvr[0] = v->c->wp;
		}
	}
	rc = ioctl(v->cpu, KVM_SET_GUEST_DEBUG, &d);
	if (rc)
		fprintf(v->out, "# KVM_SET_GUEST_DEBUG control=%x: %s\n", d.control, strerror(errno));
	return rc;
}

static int attr(int fd, uint32_t group, uint64_t a, uint64_t val)
{
	uint32_t v32 = val;
	struct kvm_device_attr d = { .group = group, .attr = a, .addr = (uint64_t)(uintptr_t)&val };

	if (group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS || group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS || group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS)
		d.addr = (uint64_t)(uintptr_t)&v32;
	return ioctl(fd, KVM_SET_DEVICE_ATTR, &d);
}

static int irq_line(struct vm *v, int level)
{
	struct kvm_irq_level l = { .irq = (KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT) | 40, .level = level };
	int rc = ioctl(v->fd, KVM_IRQ_LINE, &l);

	fprintf(v->out, "# client: KVM_IRQ_LINE spi=40 level=%d rc=%d\n", level, rc);
	return 0;
}

static int make_gic(struct vm *v)
{
	unsigned f = v->c->flags;
	struct kvm_create_device d = { .type = f & F_GICV2 ? KVM_DEV_TYPE_ARM_VGIC_V2 : KVM_DEV_TYPE_ARM_VGIC_V3 };

	if (ioctl(v->fd, KVM_CREATE_DEVICE, &d))
		return -1;
	v->gic = d.fd;
	if (attr(d.fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64))
		return -1;
	if (f & F_GICV2) {
		if (attr(d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD) || attr(d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, GICC))
			return -1;
	} else if (attr(d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD) || attr(d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR)) {
		return -1;
	}
	if (attr(d.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0))
		return -1;
	if (f & (F_IRQ | F_GICON)) {
		int g = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, r = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, s = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS;
		int bad = 0;
		bad |= attr(d.fd, g, 0x0, 0x12) ? 1 : 0;			// GICD_CTLR: ARE, group 1 enabled
		bad |= attr(d.fd, g, 0x84, 0xffffffff) ? 2 : 0;			// GICD_IGROUPR1
		bad |= attr(d.fd, g, 0x104, 1u << 8) ? 4 : 0;			// GICD_ISENABLER1: INTID 40
		bad |= attr(d.fd, r, 0x14, 0) ? 8 : 0;				// GICR_WAKER
		bad |= attr(d.fd, r, 0x10080, 0xffffffff) ? 16 : 0;		// GICR_IGROUPR0
		bad |= attr(d.fd, r, 0x10100, (1u << 27) | (1u << 30) | 1) ? 32 : 0; // timers and SGI 0
		bad |= attr(d.fd, s, KVM_REG_ARM64_SYSREG_OP0_MASK & 0 , 0) ? 0 : 0;
		bad |= attr(d.fd, s, (3ull << 14) | (0 << 11) | (4 << 7) | (6 << 3) | 0, 0xf0) ? 64 : 0;	// ICC_PMR_EL1
		bad |= attr(d.fd, s, (3ull << 14) | (0 << 11) | (12 << 7) | (12 << 3) | 7, 1) ? 128 : 0;	// ICC_IGRPEN1_EL1
		if (bad)
			fprintf(v->out, "# GIC attributes failed: %x\n", bad);
	}
	return 0;
}

static const struct insn vec_sync[] = { { 0xd5385202, "mrs x2, esr_el1" }, { 0xd5384023, "mrs x3, elr_el1" }, { 0x14000000, "b ." } };
static const struct insn vec_eret[] = { { 0xd5385202, "mrs x2, esr_el1" }, { 0xd5384023, "mrs x3, elr_el1" }, { 0xd69f03e0, "eret" } };
static const struct insn vec_irq[] = { { 0xd538cc02, "mrs x2, icc_iar1_el1" }, { 0xd5384023, "mrs x3, elr_el1" }, { 0xd518cc22, "msr icc_eoir1_el1, x2" }, { 0x14000000, "b ." } };

static const struct insn *find_text(const struct gcase *c, uint32_t w)
{
	for (unsigned i = 0; i < ARRAY_LEN(c->code) && c->code[i].text; i++)
		if (c->code[i].word == w)
			return &c->code[i];
	for (unsigned i = 0; i < ARRAY_LEN(c->el0) && c->el0[i].text; i++)
		if (c->el0[i].word == w)
			return &c->el0[i];
	for (unsigned i = 0; i < ARRAY_LEN(vec_sync); i++)
		if (vec_sync[i].word == w)
			return &vec_sync[i];
	for (unsigned i = 0; i < ARRAY_LEN(vec_irq); i++)
		if (vec_irq[i].word == w)
			return &vec_irq[i];
	return vec_eret[2].word == w ? &vec_eret[2] : NULL;
}

static void put(struct vm *v, uint64_t at, const struct insn *in, unsigned n)
{
	for (unsigned i = 0; i < n && in[i].text; i++) {
		uint32_t w = in[i].word;
		uint64_t a = at + 4 * i;
		if (a >= EDGE)
			memcpy(v->edge + (a - EDGE), &w, 4);
		else
			memcpy(v->ram + (a - CODE), &w, 4);
	}
}

static uint8_t *slot(struct vm *v, int n, uint64_t gpa, uint64_t size, uint32_t flags)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region m = { .slot = n, .flags = flags, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uint64_t)(uintptr_t)p };

	if (ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &m))
		fprintf(v->out, "# memslot %d: %s\n", n, strerror(errno));
	return p;
}

static int enable_cap(struct vm *v, uint32_t cap)
{
	struct kvm_enable_cap e = { .cap = cap };
	int rc = ioctl(v->fd, KVM_ENABLE_CAP, &e);

	if (rc)
		fprintf(v->out, "# KVM_ENABLE_CAP %u: %s\n", cap, strerror(errno));
	return rc;
}

static const char *reason(unsigned r)
{
	switch (r) {
	case KVM_EXIT_UNKNOWN: return "UNKNOWN";
	case KVM_EXIT_HYPERCALL: return "HYPERCALL";
	case KVM_EXIT_DEBUG: return "DEBUG";
	case KVM_EXIT_MMIO: return "MMIO";
	case KVM_EXIT_SHUTDOWN: return "SHUTDOWN";
	case KVM_EXIT_FAIL_ENTRY: return "FAIL_ENTRY";
	case KVM_EXIT_INTR: return "INTR";
	case KVM_EXIT_INTERNAL_ERROR: return "INTERNAL_ERROR";
	case KVM_EXIT_SYSTEM_EVENT: return "SYSTEM_EVENT";
	case KVM_EXIT_ARM_NISV: return "ARM_NISV";
	}
	return "?";
}

static void show(struct vm *v, int n, int rc, int err)
{
	struct kvm_run *r = v->run;
	uint64_t pc = get_reg(v, CORE(regs.pc));
	uint32_t w = 0;
	const struct insn *in;
	char body[200] = "";

	if (pc >= CODE && pc < CODE + RAM_SIZE)
		memcpy(&w, v->ram + (pc - CODE), 4);
	else if (pc >= EDGE && pc < EDGE + 0x1000)
		memcpy(&w, v->edge + (pc - EDGE), 4);
	in = find_text(v->c, w);
	if (rc < 0) {
		snprintf(body, sizeof(body), "%-12s pc=%08llx errno=%s", "ERROR", (unsigned long long)pc, err == EINTR ? "EINTR" : err == ENOSYS ? "ENOSYS" : err == EFAULT ? "EFAULT" : err == ENOEXEC ? "ENOEXEC" : err == EINVAL ? "EINVAL" : strerror(err));
		// the exit_reason field is shown because some kernels leave the previous one there
		snprintf(body + strlen(body), sizeof(body) - strlen(body), " exit_reason=%u", r->exit_reason);
	} else {
		int o = snprintf(body, sizeof(body), "%-12s pc=%08llx", reason(r->exit_reason), (unsigned long long)pc);
		switch (r->exit_reason) {
		case KVM_EXIT_MMIO: {
			o += snprintf(body + o, sizeof(body) - o, " %s addr=%08llx len=%u", r->mmio.is_write ? "write" : "read", (unsigned long long)r->mmio.phys_addr, r->mmio.len);
			if (r->mmio.is_write) {
				o += snprintf(body + o, sizeof(body) - o, " data=");
				for (unsigned i = 0; i < r->mmio.len && i < 8; i++)
					o += snprintf(body + o, sizeof(body) - o, "%02x", r->mmio.data[i]);
			}
			break;
		}
		case KVM_EXIT_DEBUG:
			snprintf(body + o, sizeof(body) - o, " hsr=%08x far=%llx", r->debug.arch.hsr, (unsigned long long)r->debug.arch.far);
			break;
		case KVM_EXIT_SYSTEM_EVENT:
			snprintf(body + o, sizeof(body) - o, " type=%u", r->system_event.type);
			break;
		case KVM_EXIT_ARM_NISV:
			snprintf(body + o, sizeof(body) - o, " esr_iss=%llx ipa=%llx", (unsigned long long)r->arm_nisv.esr_iss, (unsigned long long)r->arm_nisv.fault_ipa);
			break;
		case KVM_EXIT_INTERNAL_ERROR:
			snprintf(body + o, sizeof(body) - o, " suberror=%u", r->internal.suberror);
			break;
		case KVM_EXIT_FAIL_ENTRY:
			snprintf(body + o, sizeof(body) - o, " why=%llx", (unsigned long long)r->fail_entry.hardware_entry_failure_reason);
			break;
		case KVM_EXIT_HYPERCALL:
			snprintf(body + o, sizeof(body) - o, " nr=%llx", (unsigned long long)r->hypercall.nr);
			break;
		}
	}
	fprintf(v->out, "%02d %s | x0=%llx x1=%llx x2=%llx x3=%llx pstate=%llx | next: %s\n", n, body, (unsigned long long)get_reg(v, xreg(0)), (unsigned long long)get_reg(v, xreg(1)),
		(unsigned long long)get_reg(v, xreg(2)), (unsigned long long)get_reg(v, xreg(3)), (unsigned long long)get_reg(v, CORE(regs.pstate)), in ? in->text : "?");
}

// ---- hooks

static const uint8_t reply[8] = { 0x88, 0x97, 0xa6, 0xb5, 0xc4, 0xd3, 0xe2, 0xf1 };

static int is_mmio(struct vm *v, int nth)
{
	return v->run->exit_reason == KVM_EXIT_MMIO && v->mmios == nth && !v->done;
}

static int hook_step_off(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: stepping off before completion\n");
		debug(v, 0);
	}
	return 0;
}

static int hook_step_on(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: stepping on before completion\n");
		debug(v, 1);
	}
	return 0;
}

static int hook_step_off_on(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: stepping off, then on, before completion\n");
		debug(v, 0);
		debug(v, 1);
	}
	return 0;
}

static int hook_setpc(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: KVM_SET_ONE_REG pc=%x before completion\n", CODE + 0x10);
		set_reg(v, CORE(regs.pc), CODE + 0x10);
	}
	return 0;
}

static int hook_setx0(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: KVM_SET_ONE_REG x0=5555 before completion\n");
		set_reg(v, xreg(0), 0x5555);
	}
	return 0;
}

static int hook_imm(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: immediate_exit=1 for the next KVM_RUN\n");
		v->run->immediate_exit = 1;
	}
	return 0;
}

// immediate_exit on every second KVM_RUN, whatever is pending
static int hook_imm_all(struct vm *v, int n)
{
	(void)n;
	if (v->done == 0) {
		v->done = 1;
		fprintf(v->out, "# client: immediate_exit=1 for the next KVM_RUN\n");
		v->run->immediate_exit = 1;
	} else {
		v->done = 0;
	}
	return 0;
}

static int hook_irq_mmio(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		irq_line(v, 1);
	}
	return 0;
}

static int hook_abort(struct vm *v, int n)
{
	(void)n;
	if ((v->run->exit_reason == KVM_EXIT_MMIO || v->run->exit_reason == KVM_EXIT_ARM_NISV) && !v->done) {
		struct kvm_vcpu_events e = { 0 };
		v->done = 1;
		e.exception.ext_dabt_pending = 1;
		fprintf(v->out, "# client: KVM_SET_VCPU_EVENTS ext_dabt_pending rc=%d\n", ioctl(v->cpu, KVM_SET_VCPU_EVENTS, &e));
	}
	return 0;
}

// what a client that emulates a no-syndrome access does: write the register, step over the instruction
static int hook_nisv(struct vm *v, int n)
{
	(void)n;
	if (v->run->exit_reason == KVM_EXIT_ARM_NISV) {
		uint64_t pc = get_reg(v, CORE(regs.pc));
		fprintf(v->out, "# client: x0=4e495356, pc+=4\n");
		set_reg(v, xreg(0), 0x4e495356);
		set_reg(v, CORE(regs.pc), pc + 4);
	}
	return 0;
}

// a software breakpoint at code[1]: put the real instruction back once it has hit, and go on
static int hook_swbp(struct vm *v, int n)
{
	(void)n;
	if (v->run->exit_reason == KVM_EXIT_DEBUG && (v->run->debug.arch.hsr >> 26) == 0x3c && !v->done) {
		uint32_t nop = 0xd503201f;
		v->done = 1;
		memcpy(v->ram + (get_reg(v, CORE(regs.pc)) - CODE), &nop, 4);
		__builtin___clear_cache((char *)v->ram, (char *)v->ram + 0x1000);
		fprintf(v->out, "# client: breakpoint replaced with nop\n");
	}
	return 0;
}

// hardware breakpoint or watchpoint hit: disable it and go on, as a debugger does
static int hook_hw(struct vm *v, int n)
{
	unsigned ec = v->run->debug.arch.hsr >> 26;

	(void)n;
	if (v->run->exit_reason == KVM_EXIT_DEBUG && (ec == 0x30 || ec == 0x34) && !v->done) {
		struct kvm_guest_debug d = { .control = v->stepping ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0 };
		v->done = 1;
		fprintf(v->out, "# client: hardware %s removed\n", ec == 0x30 ? "breakpoint" : "watchpoint");
		ioctl(v->cpu, KVM_SET_GUEST_DEBUG, &d);
	}
	return 0;
}

static int hook_setpc_debug(struct vm *v, int n)
{
	if (n == 1) {
		fprintf(v->out, "# client: KVM_SET_ONE_REG pc=%x at a DEBUG exit\n", CODE + 0xc);
		set_reg(v, CORE(regs.pc), CODE + 0xc);
	}
	return 0;
}

static int hook_off_on_debug(struct vm *v, int n)
{
	if (n == 1) {
		fprintf(v->out, "# client: stepping off, then on, at a DEBUG exit\n");
		debug(v, 0);
		debug(v, 1);
	}
	return 0;
}

static int hook_wfi_irq(struct vm *v, int n)
{
	(void)n;
	if (alarms && !v->done) {
		v->done = 1;
		irq_line(v, 1);
	}
	return 0;
}

// ---- setups

static int el0_at(struct vm *v, uint64_t spsr)
{
	set_reg(v, CORE(spsr[0]), spsr);
	set_reg(v, CORE(elr_el1), EL0);
	return 0;
}
static int setup_el0(struct vm *v) { return el0_at(v, 0x3c0); }
static int setup_el0_ss(struct vm *v)	// the guest's own software step, armed
{
	set_reg(v, MDSCR_EL1, 1);
	return el0_at(v, 0x3c0 | (1 << 21));
}
static int setup_el0_ss_d(struct vm *v)	// same with PSTATE.D clear in the target state
{
	set_reg(v, MDSCR_EL1, 1);
	return el0_at(v, 0x1c0 | (1 << 21));
}
static int setup_el1_ss(struct vm *v)	// MDSCR.SS and KDE, ERET from EL1 to EL1 with SPSR.SS
{
	set_reg(v, MDSCR_EL1, 1 | (1 << 13));
	set_reg(v, CORE(spsr[0]), 0x1c5 | (1 << 21));
	set_reg(v, CORE(elr_el1), CODE + 8);
	return 0;
}
static int setup_guest_bp(struct vm *v)	// the guest's own hardware breakpoint at code[2]
{
	set_reg(v, MDSCR_EL1, (1 << 15) | (1 << 13));
	set_reg(v, SYSREG(2, 0, 0, 0, 4), CODE + 8);
	set_reg(v, SYSREG(2, 0, 0, 0, 5), 0x1e7);
	return 0;
}
static int setup_guest_wp(struct vm *v)	// the guest's own watchpoint on the MMIO word
{
	set_reg(v, MDSCR_EL1, (1 << 15) | (1 << 13));
	set_reg(v, SYSREG(2, 0, 0, 0, 6), MMIO);
	set_reg(v, SYSREG(2, 0, 0, 0, 7), 0x1fff);
	return 0;
}
static int setup_irq(struct vm *v) { return irq_line(v, 1); }
static int setup_fp(struct vm *v) { return set_reg(v, CPACR_EL1, 3 << 20); }
static int setup_ramimm(struct vm *v) { v->run->immediate_exit = 1; return 0; }

// a signal that is blocked outside KVM_RUN and open inside it: KVM_RUN starts with work pending
static int setup_sig(struct vm *v)
{
	struct { struct kvm_signal_mask m; uint8_t set[8]; } k = { .m = { .len = 8 } };
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	fprintf(v->out, "# client: KVM_SET_SIGNAL_MASK rc=%d\n", ioctl(v->cpu, KVM_SET_SIGNAL_MASK, &k));
	return 0;
}

static int hook_sig(struct vm *v, int n)
{
	(void)n;
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: a signal is pending for the next KVM_RUN\n");
		raise(SIGUSR1);
	} else if (v->done == 1) {
		sigset_t s;
		struct timespec t = { 0 };

		v->done = 2;
		sigemptyset(&s);
		sigaddset(&s, SIGUSR1);
		sigtimedwait(&s, NULL, &t);
	}
	return 0;
}

static int setup_filter(struct vm *v)	// forward all standard-service PSCI calls and one vendor call
{
	struct { uint32_t base, nr; uint8_t action, pad[15]; } f = { .base = 0xc6000000, .nr = 16, .action = 2 };
	struct kvm_device_attr d = { .group = 0, .attr = 0, .addr = (uint64_t)(uintptr_t)&f };
	int rc = ioctl(v->fd, KVM_SET_DEVICE_ATTR, &d);

	fprintf(v->out, "# client: KVM_ARM_VM_SMCCC_FILTER rc=%d\n", rc);
	return 0;
}

static int hook_hypercall(struct vm *v, int n)
{
	(void)n;
	if (v->run->exit_reason == KVM_EXIT_HYPERCALL && v->done++ == 0) {
		fprintf(v->out, "# client: x0=600d; hypercall flags=%llx\n", (unsigned long long)v->run->hypercall.longmode);
		set_reg(v, xreg(0), 0x600d);
	}
	return 0;
}

static int setup_ioeventfd(struct vm *v)
{
	struct kvm_ioeventfd e = { .addr = MMIO, .len = 4, .fd = eventfd(0, 0) };

	fprintf(v->out, "# client: KVM_IOEVENTFD rc=%d\n", ioctl(v->fd, KVM_IOEVENTFD, &e));
	return 0;
}

static int setup_coalesced(struct vm *v)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MMIO, .size = 0x100 };

	fprintf(v->out, "# client: KVM_REGISTER_COALESCED_MMIO rc=%d\n", ioctl(v->fd, KVM_REGISTER_COALESCED_MMIO, &z));
	return 0;
}

// after an interrupted completion: stepping off and on, off for good, or the PC moved
static int hook_imm_then(struct vm *v, int what)
{
	if (is_mmio(v, 1)) {
		v->done = 1;
		fprintf(v->out, "# client: immediate_exit=1 for the next KVM_RUN\n");
		v->run->immediate_exit = 1;
	} else if (v->done == 1) {
		v->done = 2;
		fprintf(v->out, "# client: %s\n", what == 0 ? "stepping off, then on" : what == 1 ? "stepping off" : "KVM_SET_ONE_REG pc=40000010");
		if (what < 2)
			debug(v, 0);
		if (what == 0)
			debug(v, 1);
		if (what == 2)
			set_reg(v, CORE(regs.pc), CODE + 0x10);
	}
	return 0;
}
static int hook_imm_off_on(struct vm *v, int n) { (void)n; return hook_imm_then(v, 0); }
static int hook_imm_off(struct vm *v, int n) { (void)n; return hook_imm_then(v, 1); }
static int hook_imm_setpc(struct vm *v, int n) { (void)n; return hook_imm_then(v, 2); }


static const struct gcase cases[] = {
	{ "alu", "ALU sequence", 0, { { 0x91000400, "add x0, x0, #1" }, { 0x91000821, "add x1, x1, #2" }, { 0xca010042, "eor x2, x2, x1" }, { 0x9b027c23, "mul x3, x1, x2" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "branch_untaken", "branches not taken", 0, { { 0xb5000040, "cbnz x0, .+8" }, { 0xf100041f, "cmp x0, #1" }, { 0x54000040, "b.eq .+8" }, { 0x37080041, "tbnz w1, #1, .+8" }, { 0x14000000, "b ." } } },
	{ "mmio_r1u", "user-space MMIO read ldrb", 0, { { 0xd503201f, "nop" }, { 0x39400160, "ldrb w0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_r1s64", "ldrsb x", 0, { { 0xd503201f, "nop" }, { 0x39800160, "ldrsb x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_r2s32", "ldrsh w", 0, { { 0xd503201f, "nop" }, { 0x79c00160, "ldrsh w0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_r4u", "ldr w", 0, { { 0xd503201f, "nop" }, { 0xb9400160, "ldr w0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_r8", "ldr x", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_rzr", "ldr xzr", 0, { { 0xd503201f, "nop" }, { 0xf940017f, "ldr xzr, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_w2", "strh", 0, { { 0xd503201f, "nop" }, { 0x79000163, "strh w3, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 3, 0xf1e2d3c4b5a69788 } } },
	{ "mmio_w4", "str w", 0, { { 0xd503201f, "nop" }, { 0xb9000163, "str w3, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 3, 0xf1e2d3c4b5a69788 } } },
	{ "mmio_first", "MMIO as the first instruction after KVM_SET_GUEST_DEBUG", 0, { { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmio_b2b", "MMIO back to back: read read write write read", 0, { { 0xb9400160, "ldr w0, [x11]" }, { 0xb9400561, "ldr w1, [x11, #4]" }, { 0xb9000960, "str w0, [x11, #8]" }, { 0xb9000d61, "str w1, [x11, #12]" }, { 0xf9400962, "ldr x2, [x11, #16]" }, { 0x14000000, "b ." } } },
	{ "mmio_ldar", "ldar / stlr to MMIO", 0, { { 0x88dffd60, "ldar w0, [x11]" }, { 0x889ffd61, "stlr w1, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "gicv3_dist", "in-kernel GICv3 distributor: CTLR, TYPER, IIDR; write CTLR", 0, { { 0xb9400180, "ldr w0, [x12]" }, { 0xb9400581, "ldr w1, [x12, #4]" }, { 0xb9400982, "ldr w2, [x12, #8]" }, { 0xb9000183, "str w3, [x12]" }, { 0xb9400180, "ldr w0, [x12]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "gicv3_mixed", "in-kernel GICv3 read, user-space MMIO read, in-kernel write, back to back", 0, { { 0xb9400580, "ldr w0, [x12, #4]" }, { 0xb9400161, "ldr w1, [x11]" }, { 0xb9000183, "str w3, [x12]" }, { 0xb9000161, "str w1, [x11]" }, { 0x14000000, "b ." } } },
	{ "gicv2_dist", "in-kernel GICv2 distributor read and write", F_GICV2, { { 0xb9400180, "ldr w0, [x12]" }, { 0xb9400581, "ldr w1, [x12, #4]" }, { 0xb9000183, "str w3, [x12]" }, { 0xb9400180, "ldr w0, [x12]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "nogic_dist", "distributor address without an in-kernel GIC: user-space MMIO", F_NOGIC, { { 0xb9400180, "ldr w0, [x12]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "isv0_ldp", "ldp from MMIO, no KVM_CAP_ARM_NISV_TO_USER", 0, { { 0xd503201f, "nop" }, { 0xa9400560, "ldp x0, x1, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "isv0_stp", "stp to MMIO, no capability", 0, { { 0xd503201f, "nop" }, { 0xa9000560, "stp x0, x1, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "isv0_ldp_nisv", "ldp from MMIO, with the capability; client emulates", F_NISV, { { 0xd503201f, "nop" }, { 0xa9400560, "ldp x0, x1, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_nisv },
	{ "isv0_simd_nisv", "SIMD, with the capability; client emulates", F_NISV, { { 0xd503201f, "nop" }, { 0x3dc00160, "ldr q0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_fp, .hook = hook_nisv },
	{ "isv0_nisv_abort", "ldp, with the capability; client injects an external abort", F_NISV, { { 0xd503201f, "nop" }, { 0xa9400560, "ldp x0, x1, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_abort },
	{ "mmio_abort", "MMIO read; client injects an external abort before completion", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_abort },
	{ "mmio_ldadd", "ldadd to MMIO", F_NISV, { { 0xd503201f, "nop" }, { 0xf8210160, "ldadd x1, x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_nisv },
	{ "mmio_ldtr", "ldtr (unprivileged) from MMIO", 0, { { 0xd503201f, "nop" }, { 0xf8400960, "ldtr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "hole_write", "store to an address in no memslot", 0, { { 0xd503201f, "nop" }, { 0xf90001c3, "str x3, [x14]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "ro_write", "store to a read-only memslot", 0, { { 0xd503201f, "nop" }, { 0xf90001a3, "str x3, [x13]" }, { 0xf94001a0, "ldr x0, [x13]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "ro_cas", "cas to a read-only memslot, with the capability", F_NISV, { { 0xd503201f, "nop" }, { 0xc8a07da1, "cas x0, x1, [x13]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_nisv },
	{ "sys_idreg", "mrs of ID registers", 0, { { 0xd5380700, "mrs x0, id_aa64mmfr0_el1" }, { 0xd5380401, "mrs x1, id_aa64pfr0_el1" }, { 0xd5380502, "mrs x2, id_aa64dfr0_el1" }, { 0xd53807e3, "mrs x3, s3_0_c0_c7_7" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_actlr", "mrs / msr actlr_el1", 0, { { 0xd5381020, "mrs x0, actlr_el1" }, { 0xd5181021, "msr actlr_el1, x1" }, { 0xd5381020, "mrs x0, actlr_el1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_sgi1r", "msr icc_sgi1r_el1", F_GICON, { { 0xd503201f, "nop" }, { 0xd518cba9, "msr icc_sgi1r_el1, x9" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 9, 1 } } },
	{ "sys_pmu", "PMU registers with a PMU (x9: the counter)", F_PMU, { { 0xd53b9c00, "mrs x0, pmcr_el0" }, { 0xd51b9c01, "msr pmcr_el0, x1" }, { 0xd53b9d09, "mrs x9, pmccntr_el0" }, { 0xd51b9c21, "msr pmcntenset_el0, x1" }, { 0xd53b9c22, "mrs x2, pmcntenset_el0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_oslock", "OS lock set then cleared by the guest", 0, { { 0xd503201f, "nop" }, { 0xd5101081, "msr oslar_el1, x1" }, { 0xd503201f, "nop" }, { 0xd503201f, "nop" }, { 0xd510109f, "msr oslar_el1, xzr" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_cntv", "virtual timer: ctl, cval", 0, { { 0xd53be320, "mrs x0, cntv_ctl_el0" }, { 0xd51be341, "msr cntv_cval_el0, x1" }, { 0xd53be341, "mrs x1, cntv_cval_el0" }, { 0xd51be322, "msr cntv_ctl_el0, x2" }, { 0xd53be322, "mrs x2, cntv_ctl_el0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_undef", "unallocated s3_0_c15_c15_7 (implementation defined)", 0, { { 0xd503201f, "nop" }, { 0xd538ffe0, "mrs x0, s3_0_c15_c15_7" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_undef_wr", "write to a read-only trapped register: s3_0_c0_c0_5 (mpidr)", 0, { { 0xd503201f, "nop" }, { 0xd51800a0, "msr s3_0_c0_c0_5, x0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sys_sve", "SVE instruction without KVM_ARM_VCPU_SVE", 0, { { 0xd503201f, "nop" }, { 0x04bf5020, "rdvl x0, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_fp },
	{ "sys_rng", "mrs rndr (x9), mrs s3_3_c13_c0_5 (tpidr2_el0)", 0, { { 0xd503201f, "nop" }, { 0xd53b2409, "mrs x9, s3_3_c2_c4_0" }, { 0xd503201f, "nop" }, { 0xd53bd0a0, "mrs x0, s3_3_c13_c0_5" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "fp_trap_el1", "FP use with CPACR_EL1.FPEN=0", 0, { { 0xd503201f, "nop" }, { 0x1e6e1000, "fmov d0, #1.0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "hvc_version", "hvc PSCI_VERSION", 0, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0x84000000 } } },
	{ "hvc_nopsci", "hvc PSCI_VERSION, KVM_ARM_VCPU_PSCI_0_2 not set", F_NOPSCI, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0x84000000 } } },
	{ "hvc_smccc", "hvc SMCCC_VERSION", 0, { { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0x80000000 } } },
	{ "psci_cpu_suspend", "hvc CPU_SUSPEND (handled as WFI), nothing pending", 0, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0xc4000001 } } },
	{ "psci_off", "hvc SYSTEM_OFF, then run again", 0, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0x84000008 } } },
	{ "psci_suspend", "hvc SYSTEM_SUSPEND with the capability", F_SUSPEND, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0xc400000e }, { 1, CODE + 8 } } },
	{ "smc_unknown", "smc unknown", 0, { { 0xd503201f, "nop" }, { 0xd4000003, "smc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0x84001234 } } },
	{ "wfi_masked_irq", "wfi, interrupt raised by the client after the first signal, PSTATE.I set", F_GICON, { { 0xd503201f, "nop" }, { 0xd503207f, "wfi" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_wfi_irq },
	{ "wfi_pending", "wfi with an interrupt already pending, PSTATE.I set", F_GICON, { { 0xd503201f, "nop" }, { 0xd503207f, "wfi" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_irq },
	{ "wfi_timer", "wfi with the virtual timer expiring (tval 50M ticks), PSTATE.I set", F_GICON, { { 0xd51be309, "msr cntv_tval_el0, x9" }, { 0xd51be321, "msr cntv_ctl_el0, x1" }, { 0xd503207f, "wfi" }, { 0xd53be320, "mrs x0, cntv_ctl_el0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 9, 50000000 } } },
	{ "svc", "svc to the EL1 vector, eret back", F_VERET, { { 0xd503201f, "nop" }, { 0xd40000a1, "svc #5" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "el0_eret", "eret from EL1 to EL0, then svc from EL0 and back", F_VERET, { { 0xd503201f, "nop" }, { 0xd69f03e0, "eret" } }, { { 0xd503201f, "nop" }, { 0xd40000e1, "svc #7" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_el0 },
	{ "el0_mrs", "mrs id_aa64mmfr0_el1 from EL0", 0, { { 0xd69f03e0, "eret" } }, { { 0xd5380700, "mrs x0, id_aa64mmfr0_el1" }, { 0x14000000, "b ." } }, .setup = setup_el0 },
	{ "brk_swbp", "brk with USE_SW_BP; the client replaces it", F_SWBP, { { 0xd503201f, "nop" }, { 0xd4202460, "brk #0x123" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_swbp },
	{ "hlt", "hlt", 0, { { 0xd503201f, "nop" }, { 0xd4400020, "hlt #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "dabt_align", "guest data abort: unaligned with the MMU off", 0, { { 0xd503201f, "nop" }, { 0xf8616940, "ldr x0, [x10, x1]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "iabt_mmu", "guest instruction abort: branch to an unmapped page", F_MMU, { { 0xd503201f, "nop" }, { 0xd61f0120, "br x9" }, { 0x14000000, "b ." } }, .regs = { { 9, 0x90000000 } } },
	{ "mmu_mmio_unaligned", "stage 1 on, MMIO mapped as normal memory: unaligned read inside a page", F_MMU, { { 0xd503201f, "nop" }, { 0xf8616960, "ldr x0, [x11, x1]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "mmu_ram_cross", "stage 1 on: RAM read crossing into the page after the last of a memslot", F_MMU, { { 0xd503201f, "nop" }, { 0xf9400120, "ldr x0, [x9]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 9, EDGE + 0xffc } } },
	{ "irq_at_entry", "interrupt pending and unmasked when the step starts", F_IRQ, { { 0x91000400, "add x0, x0, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_irq },
	{ "irq_at_mmio_masked", "the same, PSTATE.I set", F_GICON, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_irq_mmio },
	{ "irq_sgi_self", "sgi to self, unmasked", F_IRQ, { { 0xd503201f, "nop" }, { 0xd518cba9, "msr icc_sgi1r_el1, x9" }, { 0x91000400, "add x0, x0, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 9, 1 } } },
	{ "hw_bp", "hardware breakpoint at the third instruction", F_HW, { { 0xd503201f, "nop" }, { 0x91000400, "add x0, x0, #1" }, { 0x91000421, "add x1, x1, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .bp = CODE + 8, .hook = hook_hw },
	{ "hw_bp_after_mmio", "hardware breakpoint on the instruction after an MMIO", F_HW, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .bp = CODE + 8, .hook = hook_hw },
	{ "hw_wp_ram", "hardware watchpoint on RAM", F_HW, { { 0xd503201f, "nop" }, { 0xf9000141, "str x1, [x10]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .wp = DATA, .hook = hook_hw },
	{ "hw_wp_stay", "hardware watchpoint on RAM left in place", F_HW, { { 0xd503201f, "nop" }, { 0xf9000141, "str x1, [x10]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .wp = DATA, .max = 5 },
	{ "hw_nothing", "USE_HW with no breakpoint enabled", F_HW, { { 0xd503201f, "nop" }, { 0xf9000141, "str x1, [x10]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "guest_ss_el0", "guest steps its own EL0 code (MDSCR.SS, SPSR.SS)", F_DOFF, { { 0xd69f03e0, "eret" } }, { { 0xd503201f, "nop" }, { 0x91000400, "add x0, x0, #1" }, { 0x14000000, "b ." } }, .setup = setup_el0_ss_d },
	{ "guest_ss_el1", "guest steps its own EL1 code (KDE)", F_DOFF, { { 0xd69f03e0, "eret" }, { 0xd503201f, "nop" }, { 0x91000400, "add x0, x0, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_el1_ss },
	{ "guest_bp_host_bp", "guest's own hardware breakpoint while the host uses USE_HW elsewhere", F_DOFF | F_HW, { { 0xd503201f, "nop" }, { 0x91000400, "add x0, x0, #1" }, { 0x91000421, "add x1, x1, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_guest_bp, .bp = CODE + 12, .hook = hook_hw },
	{ "guest_mdscr_rw", "guest writes and reads MDSCR_EL1.SS while stepped", 0, { { 0xd5100241, "msr mdscr_el1, x1" }, { 0xd5300240, "mrs x0, mdscr_el1" }, { 0xd510025f, "msr mdscr_el1, xzr" }, { 0xd5300240, "mrs x0, mdscr_el1" }, { 0x14000000, "b ." } } },
	{ "toggle_off", "stepping off between an MMIO exit and its completion", F_ONLYSTEP, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0xd503201f, "nop" }, { 0xf900039f, "str xzr, [x28]" }, { 0x14000000, "b ." } }, .hook = hook_step_off },
	{ "toggle_on_b2b", "the same, next instruction is MMIO too", F_ONLYSTEP | F_STARTFREE, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xf9400561, "ldr x1, [x11, #8]" }, { 0xd503201f, "nop" }, { 0xf900039f, "str xzr, [x28]" }, { 0x14000000, "b ." } }, .hook = hook_step_on },
	{ "toggle_off_on", "off and on again between", F_ONLYSTEP, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0xd503201f, "nop" }, { 0xf900039f, "str xzr, [x28]" }, { 0x14000000, "b ." } }, .hook = hook_step_off_on },
	{ "setpc_mmio", "KVM_SET_ONE_REG(PC) between an MMIO exit and its completion", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x91000421, "add x1, x1, #1" }, { 0x91000442, "add x2, x2, #1" }, { 0x91000463, "add x3, x3, #1" }, { 0x14000000, "b ." } }, .hook = hook_setpc },
	{ "setx0_mmio", "KVM_SET_ONE_REG(x0, the destination) between", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_setx0 },
	{ "imm_mmio", "immediate_exit=1 with a pending MMIO read completion", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_imm },
	{ "imm_first", "immediate_exit=1 on the very first KVM_RUN", 0, { { 0x91000400, "add x0, x0, #1" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_ramimm },
	{ "exclusive", "ldxr/stxr loop (never succeeds under step: 20 exits)", 0, { { 0xc85f7d40, "ldxr x0, [x10]" }, { 0x91000400, "add x0, x0, #1" }, { 0xc8017d40, "stxr w1, x0, [x10]" }, { 0x35ffffa1, "cbnz w1, .-12" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .max = 20 },
	{ "zva_ram", "dc zva on RAM, stage 1 on", F_MMU, { { 0xd50b742a, "dc zva, x10" }, { 0xf9400140, "ldr x0, [x10]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "zva_mmio", "dc zva on an MMIO address mapped as normal memory, with the capability", F_MMU | F_NISV, { { 0xd503201f, "nop" }, { 0xd50b742b, "dc zva, x11" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .hook = hook_nisv },
	{ "cmo_mmio", "the same on an MMIO address", 0, { { 0xd50b7a2b, "dc cvac, x11" }, { 0xd50b7e2b, "dc civac, x11" }, { 0xd508762b, "dc ivac, x11" }, { 0xd50b7b2b, "dc cvau, x11" }, { 0xd50b752b, "ic ivau, x11" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "cmo_setway", "dc isw, csw, cisw", 0, { { 0xd508765f, "dc isw, xzr" }, { 0xd5087a5f, "dc csw, xzr" }, { 0xd5087e5f, "dc cisw, xzr" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "edge_fetch", "step over the last instruction of the last page: the next fetch is in no memslot", F_EDGE, { { 0x91000400, "add x0, x0, #1" }, { 0x91000421, "add x1, x1, #1" } } },
	{ "edge_mmio", "user-space MMIO as the last instruction of the last page", F_EDGE, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" } } },
	{ "fetch_ro", "branch into the read-only slot", 0, { { 0xd503201f, "nop" }, { 0xd61f01a0, "br x13" }, { 0x14000000, "b ." } } },
	{ "spsel", "msr spsel, isb, currentel", 0, { { 0xd50040bf, "msr spsel, #0" }, { 0xd5384240, "mrs x0, currentel" }, { 0xd50041bf, "msr spsel, #1" }, { 0xd5033fdf, "isb" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } } },
	{ "sig_mmio", "a signal pending when KVM_RUN completes an MMIO read", 0, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_sig, .hook = hook_sig },
	{ "imm_mmio_off", "immediate_exit at the completion, then stepping off", F_ONLYSTEP, { { 0xd503201f, "nop" }, { 0xf9400160, "ldr x0, [x11]" }, { 0xd503201f, "nop" }, { 0x91000421, "add x1, x1, #1" }, { 0x91000442, "add x2, x2, #1" }, { 0xf900039f, "str xzr, [x28]" }, { 0x14000000, "b ." } }, .hook = hook_imm_off },
	{ "smccc_fwd_hvc", "hvc forwarded to user space by the SMCCC filter", 0, { { 0xd503201f, "nop" }, { 0xd4000002, "hvc #0" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .regs = { { 0, 0xc6000001 } }, .setup = setup_filter, .hook = hook_hypercall },
	{ "ioeventfd", "store that hits an ioeventfd", 0, { { 0xd503201f, "nop" }, { 0xb900017f, "str wzr, [x11]" }, { 0xd503201f, "nop" }, { 0x14000000, "b ." } }, .setup = setup_ioeventfd },
};

static int run_case(const struct gcase *c, int step, const char *dir)
{
	struct vm v = { .c = c, .cpu = -1, .gic = -1 };
	struct kvm_vcpu_init init;
	struct itimerval tv = { { 0, 300000 }, { 0, 300000 } }, off = { 0 };
	char path[512];
	int n, quiet = 0;
	unsigned max = c->max ? c->max : 24;
	long size;

	v.out = stdout;
	if (dir) {
		snprintf(path, sizeof(path), "%s/%s%s.txt", dir, c->name, step ? "" : ".nostep");
		v.out = fopen(path, "w");
		if (!v.out)
			return perror(path), 1;
	}
	fprintf(v.out, "# case %s%s: %s\n", c->name, step ? "" : " (not stepped)", c->what);
	v.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	v.fd = ioctl(v.kvm, KVM_CREATE_VM, 0);
	if (v.fd < 0) {
		fprintf(v.out, "# KVM_CREATE_VM: %s\n", strerror(errno));
		goto out;
	}
	v.ram = slot(&v, 0, CODE, RAM_SIZE, 0);
	v.ro = slot(&v, 1, RO, 0x1000, KVM_MEM_READONLY);
	v.edge = slot(&v, 2, EDGE, 0x1000, 0);
	for (int i = 0; i < 64; i++) {
		uint64_t p = 0x1111111111111111ull * (i + 1);
		memcpy(v.ram + (DATA - CODE) + 8 * i, &p, 8);
		p = 0xa000000000000000ull + i;
		memcpy(v.ro + 8 * i, &p, 8);
	}
	for (int i = 0; i < 16; i++) {
		if (i % 4 == 1 || i % 4 == 2)
			put(&v, VEC + 0x80 * i, vec_irq, ARRAY_LEN(vec_irq));
		else
			put(&v, VEC + 0x80 * i, c->flags & F_VERET ? vec_eret : vec_sync, 3);
	}
	v.entry = CODE;
	if (c->flags & F_EDGE) {
		unsigned k = 0;
		while (k < ARRAY_LEN(c->code) && c->code[k].text)
			k++;
		v.entry = EDGE + 0x1000 - 4 * k;
	}
	put(&v, v.entry, c->code, ARRAY_LEN(c->code));
	put(&v, EL0, c->el0, ARRAY_LEN(c->el0));
	if (c->flags & F_NISV)
		enable_cap(&v, KVM_CAP_ARM_NISV_TO_USER);
	if (c->flags & F_SUSPEND)
		enable_cap(&v, KVM_CAP_ARM_SYSTEM_SUSPEND);
	v.cpu = ioctl(v.fd, KVM_CREATE_VCPU, 0);
	memset(&init, 0, sizeof(init));
	ioctl(v.fd, KVM_ARM_PREFERRED_TARGET, &init);
	if (!(c->flags & F_NOPSCI))
		init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (c->flags & F_PMU)
		init.features[0] |= 1u << KVM_ARM_VCPU_PMU_V3;
	if (ioctl(v.cpu, KVM_ARM_VCPU_INIT, &init)) {
		fprintf(v.out, "# KVM_ARM_VCPU_INIT: %s\n", strerror(errno));
		goto out;
	}
	if (!(c->flags & F_NOGIC) && make_gic(&v)) {
		fprintf(v.out, "# no %s here: %s\n", c->flags & F_GICV2 ? "GICv2" : "GICv3", strerror(errno));
		goto out;
	}
	if (c->flags & F_PMU) {
		int irq = 23;
		struct kvm_device_attr a = { .group = KVM_ARM_VCPU_PMU_V3_CTRL, .attr = KVM_ARM_VCPU_PMU_V3_IRQ, .addr = (uint64_t)(uintptr_t)&irq };
		int r1 = ioctl(v.cpu, KVM_SET_DEVICE_ATTR, &a);
		a.attr = KVM_ARM_VCPU_PMU_V3_INIT;
		a.addr = 0;
		int r2 = ioctl(v.cpu, KVM_SET_DEVICE_ATTR, &a);
		if (r1 || r2)
			fprintf(v.out, "# PMU: irq %d init %d %s\n", r1, r2, strerror(errno));
	}
	size = ioctl(v.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v.run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v.cpu, 0);
	for (int i = 0; i < 31; i++)
		set_reg(&v, xreg(i), i);
	set_reg(&v, xreg(10), DATA);
	set_reg(&v, xreg(11), MMIO);
	set_reg(&v, xreg(12), GICD);
	set_reg(&v, xreg(13), RO);
	set_reg(&v, xreg(14), HOLE);
	set_reg(&v, xreg(15), GICR);
	set_reg(&v, xreg(28), END);
	for (unsigned i = 0; i < ARRAY_LEN(c->regs) && c->regs[i].val; i++)
		set_reg(&v, xreg(c->regs[i].reg), c->regs[i].val);
	set_reg(&v, CORE(regs.pc), v.entry);
	set_reg(&v, CORE(regs.pstate), 0x3c5 & ~(c->flags & F_IRQ ? 0x80 : 0) & ~(c->flags & F_DOFF ? 0x200 : 0));
	set_reg(&v, VBAR_EL1, VEC);
	if (c->flags & F_MMU) {
		uint64_t d[2] = { 0x00000000 | (1 << 10) | (3 << 8) | ((c->flags & F_DEV ? 1 : 0) << 2) | 1, 0x40000000 | (1 << 10) | (3 << 8) | 1 };
		memcpy(v.ram + (PGT - CODE), d, sizeof(d));
		set_reg(&v, MAIR_EL1, 0x00ff);
		set_reg(&v, TCR_EL1, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (1ull << 32));
		set_reg(&v, TTBR0_EL1, PGT);
		set_reg(&v, SCTLR_EL1, 0x30d00800 | 1 | 4 | 0x1000);
	}
	__builtin___clear_cache((char *)v.ram, (char *)v.ram + RAM_SIZE);
	__builtin___clear_cache((char *)v.edge, (char *)v.edge + 0x1000);
	current_run = v.run;
	v.run->immediate_exit = 0;
	if (c->setup)
		c->setup(&v);
	if ((step && !(c->flags & F_STARTFREE)) || (c->flags & (F_SWBP | F_HW)))
		debug(&v, step && !(c->flags & F_STARTFREE));
	alarms = 0;
	setitimer(ITIMER_REAL, &tv, NULL);
	for (n = 0; n < (int)max; n++) {
		int rc, err;
		uint64_t pc;
		uint32_t w = 0;

		if (n && (c->flags & F_REARM) && step)
			debug(&v, 1);
		rc = ioctl(v.cpu, KVM_RUN, 0);
		err = errno;
		if (rc < 0)
			v.run->immediate_exit = 0;
		show(&v, n, rc, err);
		pc = get_reg(&v, CORE(regs.pc));
		if (pc >= CODE && pc < CODE + RAM_SIZE)
			memcpy(&w, v.ram + (pc - CODE), 4);
		else if (pc >= EDGE && pc < EDGE + 0x1000)
			memcpy(&w, v.edge + (pc - EDGE), 4);
		if (rc < 0 && err == EINTR) {
			if (w == 0x14000000)
				break;
			if (++quiet > 2)
				break;
		} else if (rc < 0) {
			if (++quiet > 1)
				break;
		} else {
			quiet = 0;
			setitimer(ITIMER_REAL, &tv, NULL);
		}
		if (rc == 0 && v.run->exit_reason == KVM_EXIT_MMIO) {
			v.mmios++;
			if (v.run->mmio.is_write && v.run->mmio.phys_addr == END)
				break;
			if (!v.run->mmio.is_write)
				memcpy(v.run->mmio.data, reply, 8);
		}
		if (rc == 0 && v.run->exit_reason == KVM_EXIT_SYSTEM_EVENT && ++v.done > 1)
			break;
		if (rc == 0 && v.run->exit_reason == KVM_EXIT_DEBUG && w == 0x14000000)
			break;
		if (c->hook && c->hook(&v, n))
			break;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	current_run = NULL;
	munmap(v.run, size);
out:
	if (v.gic >= 0) close(v.gic);
	if (v.cpu >= 0) close(v.cpu);
	if (v.fd >= 0) close(v.fd);
	close(v.kvm);
	if (v.ram) munmap(v.ram, RAM_SIZE), munmap(v.ro, 0x1000), munmap(v.edge, 0x1000);
	if (dir)
		fclose(v.out);
	return 0;
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	int list = 0, words = 0, i;
	struct sigaction sa = { .sa_handler = on_alarm };

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "-o") && i + 1 < argc)
			dir = argv[++i];
		else if (!strcmp(argv[i], "-l"))
			list = 1;
		else if (!strcmp(argv[i], "-w"))
			words = 1;
		else
			return fprintf(stderr, "usage: stepgold [-o DIR] [-l] [-w] [case ...]\n"), 2;
	}
	sigaction(SIGALRM, &sa, NULL);
	for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
		const struct gcase *c = &cases[k];
		int want = i == argc;
		for (int j = i; j < argc; j++)
			want |= !strcmp(argv[j], c->name);
		if (!want)
			continue;
		if (list) {
			printf("%-24s %s\n", c->name, c->what);
			continue;
		}
		if (words) {
			for (unsigned m = 0; m < ARRAY_LEN(c->code) && c->code[m].text; m++)
				printf("%08x %s\n", c->code[m].word, c->code[m].text);
			continue;
		}
		if (!(c->flags & F_ONLYFREE))
			run_case(c, 1, dir);
		if (!(c->flags & F_ONLYSTEP))
			run_case(c, 0, dir);
	}
	return 0;
}
