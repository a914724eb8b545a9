/* SPDX-License-Identifier: MIT */
/*
 * The in-kernel interrupt controller as the rest of kvm/ sees it: GICv3 (and GICv2) distributor, redistributors, CPU
 * interface. Behaviour: GIC architecture specification IHI 0069, and KVM's arm-vgic-v3.rst / arm-vgic.rst for the
 * attributes.
 */
#ifndef PAWL_VGIC_H
#define PAWL_VGIC_H

#include "kvm.h"

/* vm->lock held. type: KVM_DEV_TYPE_ARM_VGIC_V2 or _V3. 0 and vm->vgic is set; -ENODEV, -EEXIST, -EBUSY, -E2BIG, -ENOMEM. */
int vgic_create(struct vm *vm, unsigned type);
void vgic_destroy(struct vm *vm);	 /* after the service thread has stopped */
unsigned vgic_type(const struct vm *vm); /* KVM_DEV_TYPE_*, 0 if none */
bool vgic_initialized(const struct vm *vm);
/* vm->lock held: redistributors fit (-EINVAL); -EBUSY after init, -ENOMEM. Sets vcpu->vgic, before the vcpu is counted in n_vcpus */
int vgic_vcpu_create(struct vcpu *vcpu);
void vgic_vcpu_destroy(struct vcpu *vcpu);
void vgic_vcpu_reset(struct vcpu *vcpu); /* KVM_ARM_VCPU_INIT, PSCI reset: CPU interface registers */

/* KVM_{SET,GET,HAS}_DEVICE_ATTR on the device fd. addr in attr is a pointer in this process. Kernel errnos. Take vm->lock. */
int vgic_set_attr(struct vm *vm, const struct kvm_device_attr *attr);
int vgic_get_attr(struct vm *vm, const struct kvm_device_attr *attr);
int vgic_has_attr(struct vm *vm, const struct kvm_device_attr *attr);
int vgic_set_device_addr(struct vm *vm, const struct kvm_arm_device_addr *addr); /* KVM_ARM_SET_DEVICE_ADDR */

/* First KVM_RUN, vm->lock held: addresses set (-ENXIO), no overlap (-EINVAL), v3 initialised (-EBUSY), v2 lazily; puts the frames on the iobus. */
int vgic_map_resources(struct vm *vm);

/*
 * An input line changes. vcpu is NULL for SPIs. owner NULL: the client (ignored if a device claimed the line). Any thread.
 * 0; -EINVAL no such line; -EBUSY not initialised (GICv2 is, by this: takes vm->lock then, and only then). Kicks the target if that makes an interrupt deliverable.
 */
int vgic_set_irq(struct vm *vm, struct vcpu *vcpu, unsigned intid, bool level, const void *owner);
int vgic_lazy_init(struct vm *vm); /* what vgic_set_irq does first: 0, -EBUSY, -ENOMEM, -EINVAL no GIC */
int vgic_claim(struct vm *vm, struct vcpu *vcpu, unsigned intid, const void *owner); /* -EEXIST claimed by another */
/* fn is called, under no vgic lock, when the guest deactivates a level SPI: irqfd resample. NULL: nobody. */
void vgic_set_eoi_notifier(struct vm *vm, void (*fn)(struct vm *vm, unsigned intid));
/* ICC_SGI1R_EL1, ICC_SGI0R_EL1, ICC_ASGI1R_EL1 trapped to us */
void vgic_send_sgi(struct vcpu *vcpu, uint64_t val, bool allow_group1);
/* WFI wake condition: an enabled pending interrupt that the CPU interface signals, whatever PSTATE says. Any thread. */
bool vgic_irq_pending(struct vcpu *vcpu);

/* cpu_platform's ICC_* accesses; opaque is the vcpu. 0 or -ENOENT (UNDEFINED). */
int vgic_icc_read(void *vcpu, uint32_t enc, uint64_t *val);
int vgic_icc_write(void *vcpu, uint32_t enc, uint64_t val);
/*
 * cpu_platform's accesses to a GICv2's CPU interface. It is not on the bus: in a kernel's guest it is hardware's, mapped at stage 2
 * and never trapped.
 */
void vgic_gicv_access(void *vcpu, ipa_t ipa, unsigned len, bool write, uint64_t *data);

#endif
