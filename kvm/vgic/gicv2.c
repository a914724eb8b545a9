/* SPDX-License-Identifier: MIT */
/*
 * Registers of the GICv2 distributor and of the CPU interface that a guest sees (GICV). IHI 0048, "Distributor register
 * descriptions", "GIC virtual CPU interface"; the client's view of the latter is in arm-vgic.rst.
 */
#include <errno.h>

#include "state.h"

/* ---- distributor */

static uint64_t read_ctlr(struct vgic_access *a)
{
	return a->vgic->enabled;
}

static void write_ctlr(struct vgic_access *a, uint64_t val)
{
	bool enable = val & 1;

	if (enable == a->vgic->enabled)
		return;
	a->vgic->enabled = enable;
	vgic_update_all_locked(a->vgic);
}

static uint64_t read_typer(struct vgic_access *a)
{
	return (a->vgic->nr_irqs / 32 - 1) | (a->vgic->n_cpus - 1) << 5;
}

static uint64_t read_iidr(struct vgic_access *a)
{
	return vgic_dist_iidr(a->vgic);
}

static int client_write_iidr(struct vgic_access *a, uint64_t val)
{
	int err = vgic_dist_client_write_iidr(a, val);

	if (!err)
		a->vgic->v2_groups_writable = true;
	return err;
}

/* A client that never wrote IIDR saved zeroes, from before there were groups. */
static int client_write_group(struct vgic_access *a, uint64_t val)
{
	if (a->vgic->v2_groups_writable)
		regs_write_group(a, val);
	return 0;
}

static void set_sources(struct vgic_access *a, struct vgic_irq *irq, unsigned sources)
{
	irq->sources = (uint8_t)sources;
	irq->latch = sources != 0;
	vgic_irq_update_locked(a->vgic, irq);
}

/* The client's ISPENDR and ICPENDR reach SGIs too: it does not know who sent them. */
static int client_set_pending(struct vgic_access *a, uint64_t val)
{
	regs_set_pending(a, val);
	for (unsigned i = 0; i < a->count && a->intid + i < VGIC_SGIS; i++) {
		struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);

		if (irq && (val >> i & 1))
			set_sources(a, irq, irq->sources | 1u << (a->cpu->vcpu->id & 7));
	}
	return 0;
}

static int client_clear_pending(struct vgic_access *a, uint64_t val)
{
	regs_clear_pending(a, val);
	for (unsigned i = 0; i < a->count && a->intid + i < VGIC_SGIS; i++) {
		struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);

		if (irq && (val >> i & 1))
			set_sources(a, irq, 0);
	}
	return 0;
}

static uint64_t read_targets(struct vgic_access *a)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < a->count; i++) {
		const struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);

		if (irq)
			val |= (uint64_t)irq->targets << i * 8;
	}
	return val;
}

/* Of several targets the lowest gets it; of none, vcpu 0. */
static void write_targets(struct vgic_access *a, uint64_t val)
{
	unsigned online = (1u << a->vgic->n_cpus) - 1;

	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);
		unsigned first;

		if (!irq || irq->intid < VGIC_PRIVATE)
			continue;
		irq->targets = val >> i * 8 & online;
		first = irq->targets ? (unsigned)__builtin_ctz(irq->targets) : 0;
		vgic_irq_retarget_locked(a->vgic, irq, vgic_cpu_by_index(a->vgic, first));
	}
}

static void write_sgir(struct vgic_access *a, uint64_t val)
{
	sgi_send_v2(a->cpu, val & 15, val >> 24 & 3, val >> 16 & 0xff);
}

static uint64_t read_sources(struct vgic_access *a)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < a->count; i++)
		val |= (uint64_t)a->cpu->irq[(a->intid + i) % VGIC_SGIS].sources << i * 8;
	return val;
}

static void clear_sources(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = &a->cpu->irq[(a->intid + i) % VGIC_SGIS];

		set_sources(a, irq, irq->sources & ~(unsigned)(val >> i * 8 & 0xff));
	}
}

static void add_sources(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = &a->cpu->irq[(a->intid + i) % VGIC_SGIS];

		set_sources(a, irq, irq->sources | (unsigned)(val >> i * 8 & 0xff));
	}
}

static const struct vgic_row dist_rows[] = {
	{0x000, 4, 0, 4, read_ctlr, write_ctlr, NULL, NULL},
	{0x004, 4, 0, 4, read_typer, NULL, NULL, NULL},
	{0x008, 4, 0, 4, read_iidr, NULL, NULL, client_write_iidr},
	{0x080, 0x080, 1, 4, regs_read_group, regs_write_group, NULL, client_write_group},
	{0x100, 0x080, 1, 4, regs_read_enable, regs_set_enable, NULL, NULL},
	{0x180, 0x080, 1, 4, regs_read_enable, regs_clear_enable, NULL, NULL},
	{0x200, 0x080, 1, 4, regs_read_pending, regs_set_pending, NULL, client_set_pending},
	{0x280, 0x080, 1, 4, regs_read_pending, regs_clear_pending, NULL, client_clear_pending},
	{0x300, 0x080, 1, 4, regs_read_active, regs_set_active, NULL, NULL},
	{0x380, 0x080, 1, 4, regs_read_active, regs_clear_active, NULL, NULL},
	{0x400, 0x400, 8, 1 | 4, regs_read_priority, regs_write_priority, NULL, NULL},
	{0x800, 0x400, 8, 1 | 4, read_targets, write_targets, NULL, NULL},
	{0xc00, 0x100, 2, 4, regs_read_config, regs_write_config, NULL, NULL},
	{0xf00, 4, 0, 4, NULL, write_sgir, NULL, NULL},
	{0xf10, 16, 8, 1 | 4, read_sources, clear_sources, NULL, NULL},
	{0xf20, 16, 8, 1 | 4, read_sources, add_sources, NULL, NULL},
};
const struct vgic_map gicv2_dist_map = {dist_rows, sizeof(dist_rows) / sizeof(dist_rows[0])};

/* ---- CPU interface */

enum {
	GICV_ENABLE_GRP0 = 1 << 0,
	GICV_ENABLE_GRP1 = 1 << 1,
	GICV_ACK_CTL = 1 << 2,
	GICV_FIQ_EN = 1 << 3,
	GICV_CBPR = 1 << 4,
	GICV_EOIMODE = 1 << 9,
	GICV_IIDR = 0x04b2043b, /* architecture version 2 */
	INTID_MASK = 0x3ff,
	SOURCE_SHIFT = 10,
};

static uint64_t read_gicv_ctlr(struct vgic_access *a)
{
	const struct vgic_cpuif *ci = &a->cpu->cpuif;

	return (ci->enabled[0] ? GICV_ENABLE_GRP0 : 0) | (ci->enabled[1] ? GICV_ENABLE_GRP1 : 0) |
	       (ci->ack_ctl ? GICV_ACK_CTL : 0) | (ci->fiq_en ? GICV_FIQ_EN : 0) | (ci->cbpr ? GICV_CBPR : 0) |
	       (ci->eoimode ? GICV_EOIMODE : 0);
}

static void write_gicv_ctlr(struct vgic_access *a, uint64_t val)
{
	struct vgic_cpuif *ci = &a->cpu->cpuif;

	ci->enabled[0] = val & GICV_ENABLE_GRP0;
	ci->enabled[1] = val & GICV_ENABLE_GRP1;
	ci->ack_ctl = val & GICV_ACK_CTL;
	ci->fiq_en = val & GICV_FIQ_EN;
	ci->cbpr = val & GICV_CBPR;
	ci->eoimode = val & GICV_EOIMODE;
	cpuif_update_locked(a->cpu);
}

static uint64_t read_pmr(struct vgic_access *a)
{
	return a->cpu->cpuif.pmr;
}

static void write_pmr(struct vgic_access *a, uint64_t val)
{
	a->cpu->cpuif.pmr = val & VGIC_PRIORITY_MASK;
	cpuif_update_locked(a->cpu);
}

/* The client's is in the format of GICH_VMCR.VMPriMask. */
static uint64_t client_read_pmr(struct vgic_access *a)
{
	return a->cpu->cpuif.pmr >> VGIC_PRIORITY_SHIFT;
}

static int client_write_pmr(struct vgic_access *a, uint64_t val)
{
	write_pmr(a, val << VGIC_PRIORITY_SHIFT);
	return 0;
}

static uint64_t read_bpr(struct vgic_access *a)
{
	return a->cpu->cpuif.bpr[0];
}

static void write_bpr(struct vgic_access *a, uint64_t val)
{
	cpuif_set_bpr(a->cpu, 0, val);
	cpuif_update_locked(a->cpu);
}

static uint64_t read_abpr(struct vgic_access *a)
{
	return cpuif_get_bpr1(a->cpu);
}

static void write_abpr(struct vgic_access *a, uint64_t val)
{
	if (a->cpu->cpuif.cbpr)
		return;
	cpuif_set_bpr(a->cpu, 1, val);
	cpuif_update_locked(a->cpu);
}

static uint64_t iar_value(const struct vgic_irq *irq, unsigned source)
{
	return irq->intid | (irq->intid < VGIC_SGIS ? source << SOURCE_SHIFT : 0);
}

static unsigned next_source(const struct vgic_irq *irq)
{
	return irq->sources ? (unsigned)__builtin_ctz(irq->sources) : 0;
}

static uint64_t acknowledge(struct vgic_cpu *cpu, struct vgic_irq *irq)
{
	cpuif_activate(cpu, irq);
	return iar_value(irq, irq->active_source);
}

/* IAR and HPPIR serve group 0, and group 1 if AckCtl allows; the aliased ones group 1 alone. */
static uint64_t read_iar(struct vgic_access *a)
{
	struct vgic_irq *irq = cpuif_highest(a->cpu);

	if (!irq || !cpuif_signals(a->cpu, irq))
		return INTID_SPURIOUS;
	if (irq->group == 1 && !a->cpu->cpuif.ack_ctl)
		return INTID_NONSECURE;
	return acknowledge(a->cpu, irq);
}

static uint64_t read_aiar(struct vgic_access *a)
{
	struct vgic_irq *irq = cpuif_highest(a->cpu);

	if (!irq || irq->group != 1 || !cpuif_signals(a->cpu, irq))
		return INTID_SPURIOUS;
	return acknowledge(a->cpu, irq);
}

static uint64_t read_hppir(struct vgic_access *a)
{
	const struct vgic_irq *irq = cpuif_highest(a->cpu);

	if (!irq)
		return INTID_SPURIOUS;
	if (irq->group == 1 && !a->cpu->cpuif.ack_ctl)
		return INTID_NONSECURE;
	return iar_value(irq, next_source(irq));
}

static uint64_t read_ahppir(struct vgic_access *a)
{
	const struct vgic_irq *irq = cpuif_highest(a->cpu);

	return irq && irq->group == 1 ? iar_value(irq, next_source(irq)) : INTID_SPURIOUS;
}

static unsigned irq_group(const struct vgic_access *a, unsigned intid)
{
	const struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, intid);

	return irq ? irq->group : 0;
}

/* With AckCtl, EOIR ends interrupts of both groups, as IAR acknowledges both. */
static void write_eoir(struct vgic_access *a, uint64_t val)
{
	unsigned intid = val & INTID_MASK;

	a->eoi = cpuif_eoi(a->cpu, intid, a->cpu->cpuif.ack_ctl ? irq_group(a, intid) : 0);
}

static void write_aeoir(struct vgic_access *a, uint64_t val)
{
	a->eoi = cpuif_eoi(a->cpu, val & INTID_MASK, 1);
}

static void write_dir(struct vgic_access *a, uint64_t val)
{
	if (a->cpu->cpuif.eoimode)
		a->eoi = cpuif_deactivate(a->cpu, val & INTID_MASK);
}

static int client_ignore(struct vgic_access *a, uint64_t val)
{
	return 0;
}

static uint64_t read_rpr(struct vgic_access *a)
{
	return cpuif_running_priority(a->cpu);
}

/* 32 levels fit APR0. */
static uint64_t read_apr(struct vgic_access *a)
{
	return a->off == 0 ? a->cpu->cpuif.ap[0] : 0;
}

static void write_apr(struct vgic_access *a, uint64_t val)
{
	if (a->off != 0)
		return;
	a->cpu->cpuif.ap[0] = (uint32_t)val;
	cpuif_update_locked(a->cpu);
}

static uint64_t read_gicv_iidr(struct vgic_access *a)
{
	return GICV_IIDR;
}

static const struct vgic_row cpu_rows[] = {
	{0x000c, 4, 0, 4, read_iar, NULL, NULL, NULL},
	{0x0010, 4, 0, 4, NULL, write_eoir, NULL, NULL},
	{0x0000, 4, 0, 4, read_gicv_ctlr, write_gicv_ctlr, NULL, NULL},
	{0x0004, 4, 0, 4, read_pmr, write_pmr, NULL, NULL},
	{0x0008, 4, 0, 4, read_bpr, write_bpr, NULL, NULL},
	{0x0014, 4, 0, 4, read_rpr, NULL, NULL, NULL},
	{0x0018, 4, 0, 4, read_hppir, NULL, NULL, NULL},
	{0x001c, 4, 0, 4, read_abpr, write_abpr, NULL, NULL},
	{0x0020, 4, 0, 4, read_aiar, NULL, NULL, NULL},
	{0x0024, 4, 0, 4, NULL, write_aeoir, NULL, NULL},
	{0x0028, 4, 0, 4, read_ahppir, NULL, NULL, NULL},
	{0x00d0, 16, 0, 4, read_apr, write_apr, NULL, NULL},
	{0x00fc, 4, 0, 4, read_gicv_iidr, NULL, NULL, NULL},
	{0x1000, 4, 0, 4, NULL, write_dir, NULL, NULL},
};
const struct vgic_map gicv2_cpu_map = {cpu_rows, sizeof(cpu_rows) / sizeof(cpu_rows[0])};

void vgic_gicv_access(void *opaque, ipa_t ipa, unsigned len, bool write, uint64_t *data)
{
	struct vcpu *vcpu = opaque;
	struct vgic *vgic = vcpu->vm->vgic;

	if (write)
		vgic_map_write(vgic, vcpu->vgic, &gicv2_cpu_map, ipa - vgic->cpu_base, len, *data);
	else
		*data = vgic_map_read(vgic, vcpu->vgic, &gicv2_cpu_map, ipa - vgic->cpu_base, len);
}

/* What the client saves and restores: no access that acknowledges or ends anything. */
static const struct vgic_row cpu_client_rows[] = {
	{0x0000, 4, 0, 4, read_gicv_ctlr, write_gicv_ctlr, NULL, NULL},
	{0x0004, 4, 0, 4, read_pmr, write_pmr, client_read_pmr, client_write_pmr},
	{0x0008, 4, 0, 4, read_bpr, write_bpr, NULL, NULL},
	{0x001c, 4, 0, 4, read_abpr, write_abpr, NULL, NULL},
	{0x00d0, 16, 0, 4, read_apr, write_apr, NULL, NULL},
	{0x00fc, 4, 0, 4, read_gicv_iidr, NULL, NULL, NULL},
	{0x1000, 4, 0, 4, NULL, write_dir, NULL, client_ignore},
};
const struct vgic_map gicv2_cpu_client_map = {cpu_client_rows, sizeof(cpu_client_rows) / sizeof(cpu_client_rows[0])};
