/* SPDX-License-Identifier: MIT */
/*
 * The Interrupt Translation Service and its LPIs as the rest of kvm/ sees them: IHI 0069, "Locality-specific Peripheral
 * Interrupts and the ITS"; Linux Documentation/virt/kvm/devices/arm-vgic-its.rst.
 */
#ifndef PAWL_VGIC_ITS_H
#define PAWL_VGIC_ITS_H

#include "vgic.h"

struct its;

/* KVM_CREATE_DEVICE. vm->lock held. 0, -ENODEV without a GICv3, -ENOMEM. It lives as long as the VM. */
int its_create(struct vm *vm, struct its **its);
void its_destroy_all(struct vgic *vgic);

/* KVM_{SET,GET,HAS}_DEVICE_ATTR on the device's descriptor. Kernel errnos. */
int its_set_attr(struct its *its, const struct kvm_device_attr *attr);
int its_get_attr(struct its *its, const struct kvm_device_attr *attr);
int its_has_attr(struct its *its, const struct kvm_device_attr *attr);

/*
 * An MSI of the client: 1 delivered, 0 the guest has mapped no interrupt to it, -ENODEV no ITS, -EINVAL no device id or not
 * the doorbell of an ITS, -EBUSY the ITS or the target's LPIs are off. Any thread.
 */
int its_signal_msi(struct vm *vm, const struct kvm_msi *msi);

/* KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES; vm->lock and all vcpus held. 0, -EFAULT */
int its_save_pending_tables(struct vgic *vgic);

/* What a write to a redistributor leaves to be done when the GIC's lock is dropped, since it reads guest memory. */
enum its_after { ITS_AFTER_NOTHING, ITS_AFTER_ENABLE, ITS_AFTER_INV, ITS_AFTER_INVALL };
void its_after_write(struct vgic_cpu *cpu, enum its_after what, unsigned intid);

#endif
