/* SPDX-License-Identifier: MIT */
/*
 * The reset in place: devices, GIC, vcpus and the boot payload, while the VM and its descriptors stay. KVM has no request
 * that resets a GIC, so its registers are written through the device attributes: Documentation/virt/kvm/devices/arm-vgic-v3.rst;
 * reset values are those of the GIC Architecture Specification (IHI 0069), "Programmers' Model".
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "machine.h"
#include "virtio_board.h"

enum { /* offsets that distributor and a redistributor's SGI frame share */
       GICD_CTLR = 0x0000,
       GIC_IGROUPR = 0x0080,
       GIC_ICENABLER = 0x0180,
       GIC_ISPENDR = 0x0200,
       GIC_ICACTIVER = 0x0380,
       GIC_IPRIORITYR = 0x0400,
       GIC_ICFGR = 0x0c00,
       GICD_IROUTER = 0x6000,
       GICR_CTLR = 0x0000,
       GICR_SGI_FRAME = 0x10000
};

struct gic_space { /* which registers: group of the attribute, and the vcpu in its upper half */
	uint32_t group;
	uint64_t vcpu;
};

static int gic_write(struct machine *m, struct gic_space s, uint32_t offset, uint32_t val)
{
	struct kvm_device_attr a = {.group = s.group, .attr = s.vcpu << 32 | offset, .addr = (uintptr_t)&val};

	/* EBUSY: a vcpu is in an ioctl, which a debugger has called */
	for (unsigned i = 0; i < 1000; i++) {
		if (!m->sys->ioctl(m->gic_fd, KVM_SET_DEVICE_ATTR, &a))
			return 0;
		if (errno != EBUSY)
			break;
		poll(NULL, 0, 1);
	}
	return -1;
}

/* A register of bits_per bits for each interrupt of [first, end), all written with val. */
static int gic_fill(struct machine *m, struct gic_space s, uint32_t base, unsigned bits_per, unsigned first,
		    unsigned end, uint32_t val)
{
	for (unsigned i = first; i < end; i += 32 / bits_per)
		if (gic_write(m, s, base + i * bits_per / 8, val))
			return -1;
	return 0;
}

/* Those of one frame. ISPENDR is a value when written this way, the clearing ones clear. */
static int gic_reset_interrupts(struct machine *m, struct gic_space s, uint32_t frame, unsigned first, unsigned end)
{
	return gic_fill(m, s, frame + GIC_ICENABLER, 1, first, end, ~0u) ||
	       gic_fill(m, s, frame + GIC_ICACTIVER, 1, first, end, ~0u) ||
	       gic_fill(m, s, frame + GIC_ISPENDR, 1, first, end, 0) ||
	       gic_fill(m, s, frame + GIC_IGROUPR, 1, first, end, 0) ||
	       gic_fill(m, s, frame + GIC_IPRIORITYR, 8, first, end, 0) ||
	       gic_fill(m, s, frame + GIC_ICFGR, 2, first ? first : 16, end, 0);
}

/* The CPU interface: KVM_ARM_VCPU_INIT may leave it as it was. */
static int gic_reset_cpu(struct machine *m, const struct vcpu *v)
{
	static const struct {
		uint16_t reg; /* op0 op1 crn crm op2 as in an instruction: 2 3 4 4 3 bits */
		bool optional;
	} regs[] = {
#define ICC(op1, crn, crm, op2) (3 << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
		{ICC(0, 4, 6, 0), false},   /* ICC_PMR_EL1 */
		{ICC(0, 12, 8, 4), false},  /* ICC_AP0R0_EL1 */
		{ICC(0, 12, 9, 0), false},  /* ICC_AP1R0_EL1 */
		{ICC(0, 12, 9, 1), true},   /* ICC_AP1R1_EL1: with more than 5 bits of priority */
		{ICC(0, 12, 9, 2), true},   /* ICC_AP1R2_EL1 */
		{ICC(0, 12, 9, 3), true},   /* ICC_AP1R3_EL1 */
		{ICC(0, 12, 8, 3), false},  /* ICC_BPR0_EL1 */
		{ICC(0, 12, 12, 3), false}, /* ICC_BPR1_EL1 */
		{ICC(0, 12, 12, 6), false}, /* ICC_IGRPEN0_EL1 */
		{ICC(0, 12, 12, 7), false}, /* ICC_IGRPEN1_EL1 */
#undef ICC
	};
	uint64_t zero = 0;
	/* The affinity in the attribute's format: Aff3, Aff2, Aff1, Aff0 in its upper 32 bits. */
	uint64_t vcpu = (v->mpidr & 0xffffff) | (v->mpidr >> 32 & 0xff) << 24;

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		struct kvm_device_attr a = {.group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
					    .attr = vcpu << 32 | regs[i].reg,
					    .addr = (uintptr_t)&zero};

		if (m->sys->ioctl(m->gic_fd, KVM_SET_DEVICE_ATTR, &a) && !regs[i].optional)
			return -1;
	}
	return 0;
}

static int gic_reset(struct machine *m)
{
	struct gic_space dist = {KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0};

	if (gic_write(m, dist, GICD_CTLR, 0) || gic_reset_interrupts(m, dist, 0, 32, BOARD_GIC_INTIDS))
		return -1;
	for (unsigned i = 32; i < BOARD_GIC_INTIDS; i++) /* 64 bits for each SPI, in two words */
		if (gic_write(m, dist, GICD_IROUTER + 8 * i, 0) || gic_write(m, dist, GICD_IROUTER + 8 * i + 4, 0))
			return -1;
	for (unsigned i = 0; i < m->n_vcpus; i++) {
		const struct vcpu *v = &m->vcpus[i];
		struct gic_space redist = {KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
					   (v->mpidr & 0xffffff) | (v->mpidr >> 32 & 0xff) << 24};

		if (gic_write(m, redist, GICR_CTLR, 0) || gic_reset_interrupts(m, redist, GICR_SGI_FRAME, 0, 32) ||
		    gic_reset_cpu(m, v))
			return -1;
	}
	return 0;
}

int machine_reset(struct machine *m, struct vmm_error *err)
{
	for (unsigned i = 0; i < board_n_devices; i++) {
		struct device *dev = m->devices[i];

		if (!dev || !dev->ops->reset)
			continue;
		pthread_mutex_lock(&dev->lock);
		dev->ops->reset(dev);
		pthread_mutex_unlock(&dev->lock);
	}
	virtio_slots_reset(m);
	if (gic_reset(m))
		return vmm_fail(err, "cannot reset the GICv3: %s", strerror(errno));
	if (vcpus_reset(m, err) || machine_load(m, err))
		return -1;
	m->n_resets++;
	debug_was_reset(m);
	return 0;
}
