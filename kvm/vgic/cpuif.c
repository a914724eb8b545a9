/* SPDX-License-Identifier: MIT */
/*
 * The GIC CPU interface: which interrupt is signalled to the PE, acknowledgement, priority drop, deactivation, and the
 * ICC_*_EL1 system registers. IHI 0069, "Interrupt prioritization", "ICC_* System registers". 5 bits of priority and of
 * preemption; group 0 is FIQ, group 1 is IRQ. As on a virtual CPU interface, there is one security state.
 */
#include <errno.h>

#include "state.h"

/* ICC_CTLR_EL1 */
enum {
	CTLR_CBPR = 1 << 0,
	CTLR_EOIMODE = 1 << 1,
	CTLR_PRIBITS_SHIFT = 8,
	CTLR_IDBITS_SHIFT = 11,
	CTLR_SEIS = 1 << 14,
	CTLR_A3V = 1 << 15,
	PRIBITS = 4, /* 5 bits */
	IDBITS = 1,  /* 24 bits */
	SRE_VALUE = 7,
};

void cpuif_reset(struct vgic_cpu *cpu)
{
	cpu->cpuif = (struct vgic_cpuif){.bpr = {VGIC_BPR0_MIN, VGIC_BPR1_MIN}, .pribits = PRIBITS, .idbits = IDBITS};
}

/* ---- priorities */

/* The bits of a priority that decide about preemption: 7:BPR0+1 for group 0, 7:BPR1 for group 1. */
static unsigned group_priority_mask(const struct vgic_cpuif *ci, unsigned group)
{
	unsigned low = group == 1 && !ci->cbpr ? ci->bpr[1] : ci->bpr[0] + 1u;

	return 0xffu << low & 0xff;
}

unsigned cpuif_running_priority(const struct vgic_cpu *cpu)
{
	uint32_t active = cpu->cpuif.ap[0] | cpu->cpuif.ap[1];

	return active ? (unsigned)__builtin_ctz(active) << VGIC_PRIORITY_SHIFT : 0xff;
}

/* The highest priority ready interrupt of an enabled group, lowest INTID first; NULL if there is none. */
struct vgic_irq *cpuif_highest(const struct vgic_cpu *cpu)
{
	struct vgic_irq *best = NULL;

	for (uint32_t words = cpu->ready_words; words; words &= words - 1) {
		unsigned w = (unsigned)__builtin_ctz(words);

		for (uint64_t rest = cpu->ready[w]; rest; rest &= rest - 1) {
			struct vgic_irq *irq = vgic_irq_of(cpu->vgic, (struct vgic_cpu *)cpu,
							   w * 64 + (unsigned)__builtin_ctzll(rest));

			if (cpu->cpuif.enabled[irq->group] && (!best || irq->priority < best->priority))
				best = irq;
		}
	}
	for (struct vgic_irq *irq = cpu->ready_lpis; irq; irq = irq->next_ready)
		if (cpu->cpuif.enabled[1] && (!best || irq->priority < best->priority ||
					      (irq->priority == best->priority && irq->intid < best->intid)))
			best = irq;
	return best;
}

bool cpuif_signals(const struct vgic_cpu *cpu, const struct vgic_irq *irq)
{
	const struct vgic_cpuif *ci = &cpu->cpuif;

	return irq->priority < ci->pmr &&
	       (irq->priority & group_priority_mask(ci, irq->group)) < cpuif_running_priority(cpu);
}

void cpuif_update_locked(struct vgic_cpu *cpu)
{
	const struct vgic_irq *irq = cpuif_highest(cpu);
	uint32_t lines = 0, rise, fall;

	if (irq && cpuif_signals(cpu, irq)) {
		bool fiq = irq->group == 0 && (vgic_is_v3(cpu->vgic) || cpu->cpuif.fiq_en);

		lines = fiq ? CPU_FIQ : CPU_IRQ;
	}
	if (lines == cpu->lines)
		return;
	rise = lines & ~cpu->lines;
	fall = cpu->lines & ~lines;
	cpu->lines = lines;
	if (fall)
		atomic_fetch_and(&cpu->vcpu->cpu->irq_in, ~fall);
	if (rise) {
		atomic_fetch_or(&cpu->vcpu->cpu->irq_in, rise);
		cpu->vgic->kicks[cpu->vcpu->index / 64] |= 1ull << cpu->vcpu->index % 64;
		cpu->vgic->any_kick = true;
	}
}

/* ---- acknowledge, end, deactivate */

void cpuif_activate(struct vgic_cpu *cpu, struct vgic_irq *irq)
{
	struct vgic_cpuif *ci = &cpu->cpuif;
	unsigned level = (irq->priority & group_priority_mask(ci, irq->group)) >> VGIC_PRIORITY_SHIFT;

	ci->ap[vgic_is_v3(cpu->vgic) ? irq->group : 0] |= 1u << level;
	irq->active = !vgic_irq_is_lpi(irq); /* LPIs have no active state */
	if (irq->sources) {		     /* GICv2 SGI: one source at a time */
		irq->active_source = (uint8_t)__builtin_ctz(irq->sources);
		irq->sources &= (uint8_t)(irq->sources - 1);
		irq->latch = irq->sources != 0;
	} else {
		irq->latch = false;
	}
	vgic_irq_update_locked(cpu->vgic, irq);
	cpuif_update_locked(cpu);
}

unsigned cpuif_deactivate(struct vgic_cpu *cpu, unsigned intid)
{
	struct vgic_irq *irq = vgic_irq_of(cpu->vgic, cpu, intid);

	if (!irq || !irq->active)
		return 0;
	irq->active = false;
	vgic_irq_update_locked(cpu->vgic, irq);
	return irq->level && intid >= VGIC_PRIVATE ? intid : 0;
}

unsigned cpuif_eoi(struct vgic_cpu *cpu, unsigned intid, unsigned group)
{
	const struct vgic_irq *irq = vgic_irq_of(cpu->vgic, cpu, intid);
	struct vgic_cpuif *ci = &cpu->cpuif;
	uint32_t active = ci->ap[0] | ci->ap[1];
	unsigned notify = 0;

	if (intid >= 1020 && intid <= INTID_SPURIOUS)
		return 0;
	if (active) { /* priority drop: the highest one, whatever the INTID */
		ci->ap[0] &= ~(active & -active);
		ci->ap[1] &= ~(active & -active);
	}
	if (!ci->eoimode && irq && irq->group == group) /* by the other group's register: only the drop */
		notify = cpuif_deactivate(cpu, intid);
	cpuif_update_locked(cpu);
	return notify;
}

void cpuif_set_bpr(struct vgic_cpu *cpu, unsigned group, uint64_t val)
{
	unsigned min = group ? VGIC_BPR1_MIN : VGIC_BPR0_MIN;

	val &= 7;
	cpu->cpuif.bpr[group] = (uint8_t)(val < min ? min : val);
}

unsigned cpuif_get_bpr1(const struct vgic_cpu *cpu)
{
	const struct vgic_cpuif *ci = &cpu->cpuif;

	if (!ci->cbpr)
		return ci->bpr[1];
	return ci->bpr[0] < 7 ? ci->bpr[0] + 1u : 7;
}

/* ---- system registers. Each accessor runs under the lock; `group` or the register's number is the row's argument. */

struct icc_row {
	uint64_t (*read)(struct vgic_cpu *cpu, unsigned arg);
	unsigned (*write)(struct vgic_cpu *cpu, unsigned arg, uint64_t val); /* an INTID for the EOI notifier, 0 none */
	int (*client_write)(struct vgic_cpu *cpu, unsigned arg, uint64_t val);
	uint8_t arg;
	bool client; /* the client may read it */
};

static uint64_t read_pmr(struct vgic_cpu *cpu, unsigned arg)
{
	return cpu->cpuif.pmr;
}

static unsigned write_pmr(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	cpu->cpuif.pmr = val & VGIC_PRIORITY_MASK;
	cpuif_update_locked(cpu);
	return 0;
}

static uint64_t read_iar(struct vgic_cpu *cpu, unsigned group)
{
	struct vgic_irq *irq = cpuif_highest(cpu);

	if (!irq || irq->group != group || !cpuif_signals(cpu, irq))
		return INTID_SPURIOUS;
	cpuif_activate(cpu, irq);
	return irq->intid;
}

static unsigned write_eoir(struct vgic_cpu *cpu, unsigned group, uint64_t val)
{
	return cpuif_eoi(cpu, val & 0xffffff, group);
}

static uint64_t read_hppir(struct vgic_cpu *cpu, unsigned group)
{
	const struct vgic_irq *irq = cpuif_highest(cpu);

	return irq && irq->group == group ? irq->intid : INTID_SPURIOUS;
}

static uint64_t read_bpr(struct vgic_cpu *cpu, unsigned group)
{
	return group ? cpuif_get_bpr1(cpu) : cpu->cpuif.bpr[0];
}

static unsigned write_bpr(struct vgic_cpu *cpu, unsigned group, uint64_t val)
{
	if (group && cpu->cpuif.cbpr)
		return 0;
	cpuif_set_bpr(cpu, group, val);
	cpuif_update_locked(cpu);
	return 0;
}

static uint64_t read_ap(struct vgic_cpu *cpu, unsigned group)
{
	return cpu->cpuif.ap[group];
}

static unsigned write_ap(struct vgic_cpu *cpu, unsigned group, uint64_t val)
{
	cpu->cpuif.ap[group] = (uint32_t)val;
	cpuif_update_locked(cpu);
	return 0;
}

static unsigned write_dir(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	return cpu->cpuif.eoimode ? cpuif_deactivate(cpu, val & 0xffffff) : 0;
}

static uint64_t read_rpr(struct vgic_cpu *cpu, unsigned arg)
{
	return cpuif_running_priority(cpu);
}

static uint64_t read_ctlr(struct vgic_cpu *cpu, unsigned arg)
{
	const struct vgic_cpuif *ci = &cpu->cpuif;

	return (ci->cbpr ? CTLR_CBPR : 0) | (ci->eoimode ? CTLR_EOIMODE : 0) |
	       (unsigned)ci->pribits << CTLR_PRIBITS_SHIFT | (unsigned)ci->idbits << CTLR_IDBITS_SHIFT | CTLR_A3V;
}

static unsigned write_ctlr(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	cpu->cpuif.cbpr = val & CTLR_CBPR;
	cpu->cpuif.eoimode = val & CTLR_EOIMODE;
	cpuif_update_locked(cpu);
	return 0;
}

static uint64_t read_igrpen(struct vgic_cpu *cpu, unsigned group)
{
	return cpu->cpuif.enabled[group];
}

static unsigned write_igrpen(struct vgic_cpu *cpu, unsigned group, uint64_t val)
{
	cpu->cpuif.enabled[group] = val & 1;
	cpuif_update_locked(cpu);
	return 0;
}

static uint64_t read_sre(struct vgic_cpu *cpu, unsigned arg)
{
	return SRE_VALUE;
}

static unsigned write_sre(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	return 0;
}

static int client_write_ctlr(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	unsigned pribits = val >> CTLR_PRIBITS_SHIFT & 7, idbits = val >> CTLR_IDBITS_SHIFT & 7;

	if (pribits > PRIBITS || idbits > IDBITS || (val & CTLR_SEIS) || !(val & CTLR_A3V))
		return -EINVAL;
	cpu->cpuif.pribits = (uint8_t)pribits;
	cpu->cpuif.idbits = (uint8_t)idbits;
	write_ctlr(cpu, 0, val);
	return 0;
}

static int client_write_sre(struct vgic_cpu *cpu, unsigned arg, uint64_t val)
{
	return val & 1 ? 0 : -EINVAL;
}

#define ICC(crm, op2) ((crm) << 3 | (op2))
/* op0 3, op1 0, CRn 12. AP0R1..3 and AP1R1..3 would hold more bits of priority than there are. */
static const struct icc_row rows[16 << 3] = {
	[ICC(8, 0)] = {read_iar, NULL, NULL, 0, false},			    /* IAR0 */
	[ICC(8, 1)] = {NULL, write_eoir, NULL, 0, false},		    /* EOIR0 */
	[ICC(8, 2)] = {read_hppir, NULL, NULL, 0, false},		    /* HPPIR0 */
	[ICC(8, 3)] = {read_bpr, write_bpr, NULL, 0, true},		    /* BPR0 */
	[ICC(8, 4)] = {read_ap, write_ap, NULL, 0, true},		    /* AP0R0 */
	[ICC(9, 0)] = {read_ap, write_ap, NULL, 1, true},		    /* AP1R0 */
	[ICC(11, 1)] = {NULL, write_dir, NULL, 0, false},		    /* DIR */
	[ICC(11, 3)] = {read_rpr, NULL, NULL, 0, false},		    /* RPR */
	[ICC(12, 0)] = {read_iar, NULL, NULL, 1, false},		    /* IAR1 */
	[ICC(12, 1)] = {NULL, write_eoir, NULL, 1, false},		    /* EOIR1 */
	[ICC(12, 2)] = {read_hppir, NULL, NULL, 1, false},		    /* HPPIR1 */
	[ICC(12, 3)] = {read_bpr, write_bpr, NULL, 1, true},		    /* BPR1 */
	[ICC(12, 4)] = {read_ctlr, write_ctlr, client_write_ctlr, 0, true}, /* CTLR */
	[ICC(12, 5)] = {read_sre, write_sre, client_write_sre, 0, true},    /* SRE */
	[ICC(12, 6)] = {read_igrpen, write_igrpen, NULL, 0, true},	    /* IGRPEN0 */
	[ICC(12, 7)] = {read_igrpen, write_igrpen, NULL, 1, true},	    /* IGRPEN1 */
};
static const struct icc_row pmr_row = {read_pmr, write_pmr, NULL, 0, true};

static const struct icc_row *row_find(uint32_t enc)
{
	if (enc == SYSREG(3, 0, 4, 6, 0))
		return &pmr_row;
	if ((enc & ~0x7fu) == SYSREG(3, 0, 12, 0, 0))
		return &rows[enc & 0x7f];
	return NULL;
}

/* AP0R1..3, AP1R1..3: registers that this GIC does not have and that the client may name */
static bool is_absent_ap(uint32_t enc)
{
	return (enc >= SYSREG(3, 0, 12, 8, 5) && enc <= SYSREG(3, 0, 12, 8, 7)) ||
	       (enc >= SYSREG(3, 0, 12, 9, 1) && enc <= SYSREG(3, 0, 12, 9, 3));
}

/* The vcpu's CPU interface, if it is one with system registers. */
static struct vgic_cpu *icc_cpu(struct vcpu *vcpu)
{
	struct vgic_cpu *cpu = vcpu->vgic;

	return cpu && vgic_is_v3(cpu->vgic) ? cpu : NULL;
}

int vgic_icc_read(void *opaque, uint32_t enc, uint64_t *val)
{
	struct vgic_cpu *cpu = icc_cpu(opaque);
	const struct icc_row *row = row_find(enc);

	if (!cpu || !row || !row->read)
		return -ENOENT;
	vgic_lock(cpu->vgic);
	*val = row->read(cpu, row->arg);
	vgic_unlock(cpu->vgic);
	return 0;
}

int vgic_icc_write(void *opaque, uint32_t enc, uint64_t val)
{
	struct vgic_cpu *cpu = icc_cpu(opaque);
	const struct icc_row *row = row_find(enc);
	unsigned notify;

	if (!cpu || !row || !row->write)
		return -ENOENT;
	vgic_lock(cpu->vgic);
	notify = row->write(cpu, row->arg, val);
	vgic_unlock(cpu->vgic);
	if (notify)
		vgic_notify_eoi(cpu->vgic, notify);
	return 0;
}

bool cpuif_client_has(uint32_t enc)
{
	const struct icc_row *row = row_find(enc);

	return (row && row->client) || is_absent_ap(enc);
}

int cpuif_client_read(struct vgic_cpu *cpu, uint32_t enc, uint64_t *val)
{
	const struct icc_row *row = row_find(enc);

	if (is_absent_ap(enc))
		return -EINVAL;
	if (!row || !row->client)
		return -ENOENT;
	*val = row->read(cpu, row->arg);
	return 0;
}

int cpuif_client_write(struct vgic_cpu *cpu, uint32_t enc, uint64_t val)
{
	const struct icc_row *row = row_find(enc);

	if (is_absent_ap(enc))
		return -EINVAL;
	if (!row || !row->client)
		return -ENOENT;
	if (row->client_write)
		return row->client_write(cpu, row->arg, val);
	row->write(cpu, row->arg, val);
	return 0;
}
