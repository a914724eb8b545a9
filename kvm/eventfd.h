/* SPDX-License-Identifier: MIT */
/*
 * What the interrupt controller needs of eventfd.c. The ioctls are in kvm.h.
 */
#ifndef PAWL_KVM_EVENTFD_H
#define PAWL_KVM_EVENTFD_H

#include "kvm.h"

/* The GIC is initialised: GSI n is SPI n, whatever table the client set before. vm->lock held. */
void irq_routing_set_default(struct vm *vm, unsigned n_spis);

#endif
