/* SPDX-License-Identifier: MIT */
/*
 * Registers of the GICv3 distributor and redistributors. IHI 0069, "Distributor register descriptions" and
 * "Redistributor register descriptions"; what the client sees differently is in arm-vgic-v3.rst. One security state,
 * affinity routing always on; LPIs exist once the client has made an ITS.
 */
#include <errno.h>

#include "state.h"

enum {
	CTLR_ENABLE_GRP1 = 1 << 1,
	CTLR_ARE_NS = 1 << 4,
	CTLR_DS = 1 << 6,
	TYPER_IDBITS = 9 << 19,	     /* 10 bits of INTID */
	TYPER_IDBITS_LPI = 15 << 19, /* 16 */
	TYPER_LPIS = 1 << 17,
	IIDR_IMPLEMENTER = 0x43b,
	IIDR_PRODUCT = 0x4b,
	PIDR2_GICV3 = 0x3b,
	IROUTER_AFFINITY = 0xffffff, /* Aff2..0 */
	GICR_CTLR_ENABLE_LPIS = 1 << 0,
	GICR_CTLR_CES = 1 << 1,
	GICR_CTLR_IR = 1 << 2,
	GICR_TYPER_PLPIS = 1 << 0,
	GICR_TYPER_LAST = 1 << 4,
	MIN_REVISION = 2,
	MAX_REVISION = 3,
};

/* ---- distributor */

static uint64_t read_ctlr(struct vgic_access *a)
{
	return CTLR_DS | CTLR_ARE_NS | (a->vgic->enabled ? CTLR_ENABLE_GRP1 : 0);
}

static void write_ctlr(struct vgic_access *a, uint64_t val)
{
	bool enable = val & CTLR_ENABLE_GRP1;

	if (enable == a->vgic->enabled)
		return;
	a->vgic->enabled = enable;
	vgic_update_all_locked(a->vgic);
}

static uint64_t read_typer(struct vgic_access *a)
{
	return (a->vgic->its ? TYPER_LPIS | TYPER_IDBITS_LPI : TYPER_IDBITS) | (a->vgic->nr_irqs / 32 - 1);
}

uint32_t vgic_dist_iidr(const struct vgic *vgic)
{
	return (uint32_t)IIDR_PRODUCT << 24 | (uint32_t)vgic->revision << 12 | IIDR_IMPLEMENTER;
}

static uint64_t read_iidr(struct vgic_access *a)
{
	return vgic_dist_iidr(a->vgic);
}

/* Of a redistributor: as KVM's, without the revision. */
static uint64_t read_gicr_iidr(struct vgic_access *a)
{
	return (uint32_t)IIDR_PRODUCT << 24 | IIDR_IMPLEMENTER;
}

/* The client may ask for an older revision and nothing else. */
int vgic_dist_client_write_iidr(struct vgic_access *a, uint64_t val)
{
	unsigned revision = val >> 12 & 0xf;

	if ((val ^ vgic_dist_iidr(a->vgic)) & ~0xf000ull || revision < MIN_REVISION || revision > MAX_REVISION)
		return -EINVAL;
	a->vgic->revision = (uint8_t)revision;
	return 0;
}

/* No nASSGIcap to switch on; and when the GIC is initialised, that does not matter any more. */
static int client_write_typer2(struct vgic_access *a, uint64_t val)
{
	if (!val)
		return 0;
	return atomic_load(&a->vgic->initialized) ? -EBUSY : -EINVAL;
}

static uint64_t read_all_ones(struct vgic_access *a)
{
	return ~0ull;
}

static uint64_t read_id(struct vgic_access *a)
{
	return a->off == 0x18 ? PIDR2_GICV3 : 0;
}

static uint64_t read_latch(struct vgic_access *a)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < a->count; i++) {
		const struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);

		if (irq && irq->latch)
			val |= 1ull << i;
	}
	return val;
}

/* The client replaces the latches; the lines have a register of their own (LEVEL_INFO). */
static int client_write_latch(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = vgic_irq_of(a->vgic, a->cpu, a->intid + i);

		if (!irq)
			continue;
		irq->latch = val >> i & 1;
		vgic_irq_update_locked(a->vgic, irq);
	}
	return 0;
}

static uint64_t read_zero(struct vgic_access *a)
{
	return 0;
}
static int client_ignore(struct vgic_access *a, uint64_t val)
{
	return 0;
}

static uint64_t read_irouter(struct vgic_access *a)
{
	const struct vgic_irq *irq = vgic_irq_of(a->vgic, NULL, a->off / 8);

	return irq && !(a->off & 4) ? irq->affinity : 0;
}

/* No Aff3 and no 1-of-N: the upper word stays zero. */
static void write_irouter(struct vgic_access *a, uint64_t val)
{
	struct vgic_irq *irq = vgic_irq_of(a->vgic, NULL, a->off / 8);

	if (!irq || (a->off & 4))
		return;
	irq->affinity = val & IROUTER_AFFINITY;
	vgic_irq_retarget_locked(a->vgic, irq, vgic_cpu_by_affinity(a->vgic, irq->affinity));
}

static const struct vgic_row dist_rows[] = {
	{0x0000, 4, 0, 4, read_ctlr, write_ctlr, NULL, NULL},
	{0x0004, 4, 0, 4, read_typer, NULL, NULL, NULL},
	{0x0008, 4, 0, 4, read_iidr, NULL, NULL, vgic_dist_client_write_iidr},
	{0x000c, 4, 0, 4, NULL, NULL, NULL, client_write_typer2},
	{0x0010, 4, 0, 4, read_all_ones, NULL, NULL, NULL}, /* STATUSR: what KVM answers */
	{0x0080, 0x080, 1, 4, regs_read_group, regs_write_group, NULL, NULL},
	{0x0100, 0x080, 1, 4, regs_read_enable, regs_set_enable, NULL, NULL},
	{0x0180, 0x080, 1, 4, regs_read_enable, regs_clear_enable, NULL, NULL},
	{0x0200, 0x080, 1, 4, regs_read_pending, regs_set_pending, read_latch, client_write_latch},
	{0x0280, 0x080, 1, 4, regs_read_pending, regs_clear_pending, read_zero, client_ignore},
	{0x0300, 0x080, 1, 4, regs_read_active, regs_set_active, NULL, NULL},
	{0x0380, 0x080, 1, 4, regs_read_active, regs_clear_active, NULL, NULL},
	{0x0400, 0x400, 8, 1 | 4, regs_read_priority, regs_write_priority, NULL, NULL},
	{0x0800, 0x400, 8, 1 | 4, NULL, NULL, NULL, NULL}, /* ITARGETSR */
	{0x0c00, 0x100, 2, 4, regs_read_config, regs_write_config, NULL, NULL},
	{0x0d00, 0x080, 1, 4, NULL, NULL, NULL, NULL}, /* IGRPMODR */
	{0x6000, 0x2000, 64, 4 | 8, read_irouter, write_irouter, NULL, NULL},
	{0xffd0, 0x030, 0, 4, read_id, NULL, NULL, NULL},
};
const struct vgic_map gicv3_dist_map = {dist_rows, sizeof(dist_rows) / sizeof(dist_rows[0])};

/* ---- redistributor */

static uint64_t read_gicr_ctlr(struct vgic_access *a)
{
	return (a->cpu->lpis_enabled ? GICR_CTLR_ENABLE_LPIS : 0) |
	       (a->vgic->revision >= 3 ? GICR_CTLR_CES | GICR_CTLR_IR : 0);
}

static void lpis_update(struct vgic_access *a, bool drop)
{
	for (unsigned n = 0; n < VGIC_LPI_COUNT; n++) {
		struct vgic_irq *irq = a->vgic->lpi[n];

		if (!irq || irq->target != a->cpu)
			continue;
		if (drop)
			irq->latch = false;
		vgic_irq_update_locked(a->vgic, irq);
	}
}

static void write_gicr_ctlr(struct vgic_access *a, uint64_t val)
{
	bool on = val & GICR_CTLR_ENABLE_LPIS;

	if (!a->vgic->its || on == a->cpu->lpis_enabled)
		return;
	a->cpu->lpis_enabled = on;
	lpis_update(a, !on);
	if (on)
		a->after = ITS_AFTER_ENABLE;
}

static void write_invlpir(struct vgic_access *a, uint64_t val)
{
	if (!a->cpu->lpis_enabled || a->off)
		return;
	a->after = ITS_AFTER_INV;
	a->after_intid = (unsigned)val;
}

static void write_invallr(struct vgic_access *a, uint64_t val)
{
	if (a->cpu->lpis_enabled && !a->off)
		a->after = ITS_AFTER_INVALL;
}

/* The last frame that is dealt out of its region, unless that is full and the next frame comes right behind it. */
static bool is_last(const struct vgic_cpu *cpu)
{
	const struct vgic *vgic = cpu->vgic;
	const struct vgic_region *r;

	if (cpu->region < 0)
		return false;
	r = &vgic->region[cpu->region];
	if (cpu->region_slot + 1 < r->used)
		return false;
	for (unsigned i = 0; r->count && r->used == r->count && i < vgic->n_regions; i++)
		if (vgic->region[i].used &&
		    vgic->region[i].base == r->base + (uint64_t)r->count * KVM_VGIC_V3_REDIST_SIZE)
			return false;
	return true;
}

static uint64_t read_gicr_typer(struct vgic_access *a)
{
	uint64_t mpidr = vgic_cpu_affinity(a->cpu);
	uint64_t val = (mpidr & 0xffffff) << 32 | (uint64_t)a->cpu->vcpu->id << 8;

	if (is_last(a->cpu))
		val |= GICR_TYPER_LAST;
	if (a->vgic->its)
		val |= GICR_TYPER_PLPIS;
	return a->off & 4 ? val >> 32 : val;
}

uint64_t vgic_sanitise_table(uint64_t val, unsigned inner_shift, unsigned outer_shift)
{
	enum { SHARE_SHIFT = 10, OUTER_SHAREABLE = 2, INNER_SHAREABLE = 1, RAWB = 3 };

	if ((val >> SHARE_SHIFT & 3) == OUTER_SHAREABLE)
		val = (val & ~(3ull << SHARE_SHIFT)) | (uint64_t)INNER_SHAREABLE << SHARE_SHIFT;
	if ((val >> inner_shift & 7) < 2) /* device or not cacheable */
		val = (val & ~(7ull << inner_shift)) | (uint64_t)RAWB << inner_shift;
	if ((val >> outer_shift & 7) > 1) /* as inner */
		val &= ~(7ull << outer_shift);
	return val;
}

static uint64_t sanitise_table(uint64_t val)
{
	return vgic_sanitise_table(val, 7, 56);
}

#define PROPBASER_RES0 (0x1full << 59 | 0xfull << 52 | 3ull << 5)
#define PENDBASER_RES0 (1ull << 63 | 7ull << 59 | 0xfull << 52 | 0xfull << 12 | 0x7full)
#define PENDBASER_PTZ (1ull << 62) /* write only */

static uint64_t half(const struct vgic_access *a, uint64_t reg)
{
	return a->off & 4 ? reg >> 32 : reg;
}

static uint64_t with_half(const struct vgic_access *a, uint64_t reg, uint64_t val)
{
	if (a->len == 8)
		return val;
	return a->off & 4 ? (reg & 0xffffffffull) | val << 32 : (reg & ~0xffffffffull) | (uint32_t)val;
}

static uint64_t read_propbaser(struct vgic_access *a)
{
	return half(a, a->vgic->propbaser);
}

static void write_propbaser(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->vgic->n_cpus; i++)
		if (vgic_cpu_by_index(a->vgic, i)->lpis_enabled)
			return; /* it is the same register for all of them */
	a->vgic->propbaser = sanitise_table(with_half(a, a->vgic->propbaser, val) & ~PROPBASER_RES0);
}

static uint64_t read_pendbaser(struct vgic_access *a)
{
	return half(a, a->cpu->pendbaser);
}

static void write_pendbaser(struct vgic_access *a, uint64_t val)
{
	uint64_t reg = with_half(a, a->cpu->pendbaser, val) & ~(PENDBASER_RES0 | PENDBASER_PTZ);

	if (a->cpu->lpis_enabled)
		return;
	a->cpu->pending_table_zero = with_half(a, 0, val) & PENDBASER_PTZ;
	a->cpu->pendbaser = sanitise_table(reg);
}

static const struct vgic_row redist_rows[] = {
	/* RD frame */
	{0x0000, 4, 0, 4, read_gicr_ctlr, write_gicr_ctlr, NULL, NULL},
	{0x0004, 4, 0, 4, read_gicr_iidr, NULL, NULL, NULL},
	{0x0008, 8, 0, 4 | 8, read_gicr_typer, NULL, NULL, NULL},
	{0x0010, 4, 0, 4, NULL, NULL, NULL, NULL}, /* STATUSR */
	{0x0014, 4, 0, 4, NULL, NULL, NULL, NULL}, /* WAKER: never asleep */
	{0x0070, 8, 0, 4 | 8, read_propbaser, write_propbaser, NULL, NULL},
	{0x0078, 8, 0, 4 | 8, read_pendbaser, write_pendbaser, NULL, NULL},
	{0x00a0, 8, 0, 4 | 8, NULL, write_invlpir, NULL, NULL}, /* INVLPIR */
	{0x00b0, 8, 0, 4 | 8, NULL, write_invallr, NULL, NULL}, /* INVALLR */
	{0x00c0, 4, 0, 4, NULL, NULL, NULL, NULL},		/* SYNCR: never busy */
	{0xffd0, 0x30, 0, 4, read_id, NULL, NULL, NULL},
	/* SGI frame */
	{0x10080, 4, 1, 4, regs_read_group, regs_write_group, NULL, NULL},
	{0x10100, 4, 1, 4, regs_read_enable, regs_set_enable, NULL, NULL},
	{0x10180, 4, 1, 4, regs_read_enable, regs_clear_enable, NULL, NULL},
	{0x10200, 4, 1, 4, regs_read_pending, regs_set_pending, read_latch, client_write_latch},
	{0x10280, 4, 1, 4, regs_read_pending, regs_clear_pending, read_zero, client_ignore},
	{0x10300, 4, 1, 4, regs_read_active, regs_set_active, NULL, NULL},
	{0x10380, 4, 1, 4, regs_read_active, regs_clear_active, NULL, NULL},
	{0x10400, 0x20, 8, 1 | 4, regs_read_priority, regs_write_priority, NULL, NULL},
	{0x10c00, 8, 2, 4, regs_read_config, regs_write_config, NULL, NULL},
	{0x10d00, 4, 1, 4, NULL, NULL, NULL, NULL}, /* IGRPMODR0 */
	{0x10e00, 4, 0, 4, NULL, NULL, NULL, NULL}, /* NSACR */
};
const struct vgic_map gicv3_redist_map = {redist_rows, sizeof(redist_rows) / sizeof(redist_rows[0])};
