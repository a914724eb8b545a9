/* SPDX-License-Identifier: MIT */
/*
 * Software generated interrupts: ICC_SGI1R_EL1, ICC_SGI0R_EL1 and ICC_ASGI1R_EL1 of GICv3 (IHI 0069, "ICC_SGI1R_EL1"),
 * and GICD_SGIR of GICv2 (IHI 0048, "GICD_SGIR").
 */
#include "state.h"

static void send_v3(struct vgic_cpu *to, unsigned intid, bool allow_group1)
{
	struct vgic_irq *irq = &to->irq[intid];

	if (irq->group == 1 && !allow_group1)
		return;
	irq->latch = true;
	vgic_irq_update_locked(to->vgic, irq);
}

void vgic_send_sgi(struct vcpu *vcpu, uint64_t val, bool allow_group1)
{
	struct vgic_cpu *self = vcpu->vgic;
	unsigned intid = val >> 24 & 15;
	bool all_but_self = val >> 40 & 1;
	/* Aff3 and Aff2..1 as in MPIDR; Aff0 is the list's bit number */
	uint64_t cluster = (val >> 48 & 0xff) << 32 | (val >> 32 & 0xff) << 16 | (val >> 16 & 0xff) << 8;
	struct vgic *vgic;

	if (!self)
		return;
	vgic = self->vgic;
	vgic_lock(vgic);
	for (unsigned i = 0; i < vgic->n_cpus; i++) {
		struct vgic_cpu *cpu = vgic_cpu_by_index(vgic, i);
		uint64_t affinity = vgic_cpu_affinity(cpu);
		unsigned aff0 = affinity & 0xff;

		if (all_but_self ? cpu != self : (affinity & ~0xffull) == cluster && aff0 < 16 && (val >> aff0 & 1))
			send_v3(cpu, intid, allow_group1);
	}
	vgic_unlock(vgic);
}

void sgi_send_v2(struct vgic_cpu *from, unsigned intid, unsigned filter, unsigned targets)
{
	enum { LIST, ALL_BUT_SELF, SELF, RESERVED };
	struct vgic *vgic = from->vgic;
	unsigned self = 1u << from->vcpu->index;

	switch (filter) {
	case LIST: break;
	case ALL_BUT_SELF: targets = 0xff & ~self; break;
	case SELF: targets = self; break;
	case RESERVED: return;
	}
	for (unsigned i = 0; i < vgic->n_cpus; i++) {
		struct vgic_irq *irq = &vgic_cpu_by_index(vgic, i)->irq[intid];

		if (!(targets >> i & 1))
			continue;
		irq->sources |= (uint8_t)(1u << (from->vcpu->id & 7));
		irq->latch = true;
		vgic_irq_update_locked(vgic, irq);
	}
}
