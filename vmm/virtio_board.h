/* SPDX-License-Identifier: MIT */
/* The board's virtio-mmio slots: which devices are in them, and their connection to KVM. */
#ifndef PAWL_VMM_VIRTIO_BOARD_H
#define PAWL_VMM_VIRTIO_BOARD_H

#include "virtio.h"

enum { VIRTIO_N_SLOTS = MACHINE_MAX_VIRTIO, VIRTIO_BASE = 0x0a000000, VIRTIO_SPI = 16 };

struct virtio_slots {
	struct machine *m;
	struct virtio_host host;
	unsigned n;
	struct virtio *slot[VIRTIO_N_SLOTS]; /* the first n have a device, in the user's order */
};

/* Makes m->virtio with the devices that the configuration names. After the GIC. */
int virtio_slots_create(struct machine *m, struct vmm_error *err);
/* The devices' threads. Call it with the signals blocked that they should not get. */
int virtio_slots_start(struct machine *m, struct vmm_error *err);
/* The board's reset line. */
void virtio_slots_reset(struct machine *m);
void virtio_slots_free(struct machine *m);
/* The board's first balloon: another size if it is not NULL; what it is to have and has, in bytes. 0, or -1 with a message. */
int virtio_slots_balloon(struct machine *m, const char *size, uint64_t *wanted, uint64_t *actual,
			 struct vmm_error *err);
/* An access to [VIRTIO_BASE, VIRTIO_BASE + 32 slots), at offset off. vcpu thread. */
uint32_t virtio_slots_access(struct machine *m, uint64_t off, unsigned len, uint32_t val, bool is_write);
/* Nodes for the first n slots, in ascending order: Linux numbers disks in the order of the tree. */
void virtio_slots_fdt(void *fdt, unsigned n);

#endif
