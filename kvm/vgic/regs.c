/* SPDX-License-Identifier: MIT */
/*
 * Memory-mapped registers of the GIC as rows of tables: the access to a frame finds its row, and the registers that
 * have a field per INTID, which all frames share. IHI 0069, "The Distributor register map". An access that no row takes
 * (unknown offset, other width, not aligned) reads as zero and is ignored when it writes, as in KVM; it is never an
 * abort.
 */
#include <errno.h>

#include "state.h"

/* ---- access */

const struct vgic_row *vgic_row_find(const struct vgic_map *map, uint64_t off, unsigned len)
{
	if (off & (len - 1))
		return NULL;
	for (unsigned i = 0; i < map->count; i++) {
		const struct vgic_row *row = &map->rows[i];

		if (off >= row->off && off - row->off < row->size)
			return row->widths & len ? row : NULL;
	}
	return NULL;
}

static struct vgic_access access_make(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_row *row, uint64_t off,
				      unsigned len)
{
	struct vgic_access a = {.vgic = vgic, .cpu = cpu, .off = (uint32_t)(off - row->off), .len = len};

	if (row->bits) {
		a.intid = a.off * 8 / row->bits;
		a.count = len * 8 / row->bits;
	}
	return a;
}

uint64_t vgic_map_read(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, unsigned len)
{
	const struct vgic_row *row = vgic_row_find(map, off, len);
	struct vgic_access a;
	uint64_t val;

	if (!row || !row->read)
		return 0;
	a = access_make(vgic, cpu, row, off, len);
	vgic_lock(vgic);
	val = row->read(&a);
	vgic_unlock(vgic);
	return len < 8 ? val & ((1ull << len * 8) - 1) : val;
}

void vgic_map_write(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, unsigned len,
		    uint64_t val)
{
	const struct vgic_row *row = vgic_row_find(map, off, len);
	struct vgic_access a;

	if (!row || !row->write)
		return;
	a = access_make(vgic, cpu, row, off, len);
	vgic_lock(vgic);
	row->write(&a, val);
	vgic_unlock(vgic);
	if (a.eoi)
		vgic_notify_eoi(vgic, a.eoi);
	if (a.after)
		its_after_write(cpu, a.after, a.after_intid);
}

uint32_t vgic_client_read(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off)
{
	const struct vgic_row *row = vgic_row_find(map, off, 4);
	vgic_read_fn *read = row && row->client_read ? row->client_read : row ? row->read : NULL;
	struct vgic_access a;
	uint64_t val;

	if (!read)
		return 0;
	a = access_make(vgic, cpu, row, off, 4);
	vgic_lock(vgic);
	val = read(&a);
	vgic_unlock(vgic);
	return (uint32_t)val;
}

int vgic_client_write(struct vgic *vgic, struct vgic_cpu *cpu, const struct vgic_map *map, uint64_t off, uint32_t val)
{
	const struct vgic_row *row = vgic_row_find(map, off, 4);
	struct vgic_access a;
	int err = 0;

	if (!row)
		return 0;
	a = access_make(vgic, cpu, row, off, 4);
	vgic_lock(vgic);
	if (row->client_write)
		err = row->client_write(&a, val);
	else if (row->write)
		row->write(&a, val);
	vgic_unlock(vgic);
	if (a.after)
		its_after_write(cpu, a.after, a.after_intid);
	return err;
}

/* GICv2's frames show each vcpu its own private INTIDs; a redistributor shows its owner's, to whoever looks. */
static struct vgic_cpu *frame_cpu(const struct vgic_frame *f, struct vcpu *vcpu)
{
	return vgic_is_v3(f->vgic) ? f->cpu : vcpu->vgic;
}

static int frame_read(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t *val)
{
	const struct vgic_frame *f = (const struct vgic_frame *)dev;

	*val = vgic_map_read(f->vgic, frame_cpu(f, vcpu), f->map, off, len);
	return 0;
}

static int frame_write(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t val)
{
	const struct vgic_frame *f = (const struct vgic_frame *)dev;

	vgic_map_write(f->vgic, frame_cpu(f, vcpu), f->map, off, len, val);
	return 0;
}

_Static_assert(offsetof(struct vgic_frame, io) == 0, "an io_dev is the head of its frame");
const struct io_dev_ops vgic_frame_ops = {.read = frame_read, .write = frame_write};

/* ---- registers with a field per INTID */

static struct vgic_irq *access_irq(const struct vgic_access *a, unsigned i)
{
	return vgic_irq_of(a->vgic, a->cpu, a->intid + i);
}

/* The bit of each INTID that `get` gives for it */
#define READ_BITS(a, get) \
	({ \
		uint64_t val_ = 0; \
		for (unsigned i_ = 0; i_ < (a)->count; i_++) { \
			const struct vgic_irq *irq = access_irq(a, i_); \
			if (irq && (get)) \
				val_ |= 1ull << i_; \
		} \
		val_; \
	})

uint64_t regs_read_group(struct vgic_access *a)
{
	return READ_BITS(a, irq->group);
}
uint64_t regs_read_enable(struct vgic_access *a)
{
	return READ_BITS(a, irq->enabled);
}
uint64_t regs_read_pending(struct vgic_access *a)
{
	return READ_BITS(a, vgic_irq_is_pending(irq));
}
uint64_t regs_read_active(struct vgic_access *a)
{
	return READ_BITS(a, irq->active);
}

void regs_write_group(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = access_irq(a, i);

		if (!irq)
			continue;
		irq->group = val >> i & 1;
		vgic_irq_update_locked(a->vgic, irq);
	}
}

static void write_flag(struct vgic_access *a, uint64_t val, void (*apply)(struct vgic_access *, struct vgic_irq *))
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = access_irq(a, i);

		if (!irq || !(val >> i & 1))
			continue;
		apply(a, irq);
		vgic_irq_update_locked(a->vgic, irq);
	}
}

static bool is_v2_sgi(const struct vgic_access *a, const struct vgic_irq *irq)
{
	return irq->intid < VGIC_SGIS && !vgic_is_v3(a->vgic);
}

static void enable(struct vgic_access *a, struct vgic_irq *irq)
{
	irq->enabled = true;
}
static void disable(struct vgic_access *a, struct vgic_irq *irq)
{
	irq->enabled = false;
}
static void activate(struct vgic_access *a, struct vgic_irq *irq)
{
	irq->active = true;
}
static void deactivate(struct vgic_access *a, struct vgic_irq *irq)
{
	irq->active = false;
}

static void pend(struct vgic_access *a, struct vgic_irq *irq)
{
	if (!is_v2_sgi(a, irq)) /* those have SPENDSGIR */
		irq->latch = true;
}

static void unpend(struct vgic_access *a, struct vgic_irq *irq)
{
	if (!is_v2_sgi(a, irq))
		irq->latch = false;
}

void regs_set_enable(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, enable);
}
void regs_clear_enable(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, disable);
}
void regs_set_pending(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, pend);
}
void regs_clear_pending(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, unpend);
}
void regs_set_active(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, activate);
}
void regs_clear_active(struct vgic_access *a, uint64_t val)
{
	write_flag(a, val, deactivate);
}

uint64_t regs_read_priority(struct vgic_access *a)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < a->count; i++) {
		const struct vgic_irq *irq = access_irq(a, i);

		if (irq)
			val |= (uint64_t)irq->priority << i * 8;
	}
	return val;
}

void regs_write_priority(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = access_irq(a, i);

		if (!irq)
			continue;
		irq->priority = val >> i * 8 & VGIC_PRIORITY_MASK;
		vgic_irq_update_locked(a->vgic, irq);
	}
}

uint64_t regs_read_config(struct vgic_access *a)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < a->count; i++) {
		const struct vgic_irq *irq = access_irq(a, i);

		if (irq && !irq->level)
			val |= 2ull << i * 2;
	}
	return val;
}

/* SGIs are always edge, and PPIs keep the configuration that they have. */
void regs_write_config(struct vgic_access *a, uint64_t val)
{
	for (unsigned i = 0; i < a->count; i++) {
		struct vgic_irq *irq = access_irq(a, i);

		if (!irq || irq->intid < VGIC_PRIVATE)
			continue;
		irq->level = !(val >> i * 2 & 2);
		vgic_irq_update_locked(a->vgic, irq);
	}
}
