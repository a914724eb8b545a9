/* SPDX-License-Identifier: MIT */
/*
 * Coalesced MMIO (api.rst 4.116): writes to registered zones go into a ring in shared memory instead of to the client, until
 * the ring is full. One ring per VM, a page of the VM's memfd that is mapped behind kvm_run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

struct coalesced_zone {
	struct io_dev dev; /* first member */
	struct vm *vm;
	bool pio;
	struct coalesced_zone *next;
};

static unsigned ring_entries(void)
{
	return (unsigned)((host_page_size() - sizeof(struct kvm_coalesced_mmio_ring)) /
			  sizeof(struct kvm_coalesced_mmio));
}

static int coalesced_write(struct vcpu *vcpu, struct io_dev *dev, uint64_t off, unsigned len, uint64_t val)
{
	struct coalesced_zone *zone = (struct coalesced_zone *)dev;
	struct vm_priv *p = zone->vm->priv;
	struct kvm_coalesced_mmio_ring *ring = p->coalesced;
	unsigned n = ring_entries();
	struct kvm_coalesced_mmio *e;
	uint32_t last;
	int err = -EOPNOTSUPP;

	if (zone->pio)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&p->coalesced_lock);
	last = __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
	/* the page is the client's to write, so its indices are checked */
	if (last < n && (last + 1) % n != __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE)) {
		e = &ring->coalesced_mmio[last];
		e->phys_addr = dev->base + off;
		e->len = len;
		e->pio = 0;
		memset(e->data, 0, sizeof(e->data));
		memcpy(e->data, &val, len);
		__atomic_store_n(&ring->last, (last + 1) % n, __ATOMIC_RELEASE);
		err = 0;
	}
	pthread_mutex_unlock(&p->coalesced_lock);
	return err;
}

static const struct io_dev_ops coalesced_ops = {.write = coalesced_write};

/* vm->lock held */
int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone *z;
	int err;

	if (zone->pio > 1)
		return -EINVAL;
	z = calloc(1, sizeof(*z));
	if (!z)
		return -ENOMEM;
	z->dev = (struct io_dev){.base = zone->addr, .size = zone->size, .ops = &coalesced_ops};
	z->vm = vm;
	z->pio = zone->pio;
	if (!z->pio && zone->size) { /* there is no port bus for the others to be on */
		err = iobus_add(vm, &z->dev);
		if (err) {
			free(z);
			return err;
		}
	}
	z->next = vm->priv->zones;
	vm->priv->zones = z;
	return 0;
}

static bool zone_contains(const struct coalesced_zone *z, const struct kvm_coalesced_mmio_zone *zone)
{
	uint64_t off = zone->addr - z->dev.base;

	return zone->addr >= z->dev.base && off <= z->dev.size && zone->size <= z->dev.size - off;
}

/* Removes every zone that contains the given range. vm->lock held */
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone **link = &vm->priv->zones, *z;

	if (zone->pio > 1)
		return -EINVAL;
	while ((z = *link)) {
		if (z->pio != zone->pio || !zone_contains(z, zone)) {
			link = &z->next;
			continue;
		}
		*link = z->next;
		if (!z->pio && z->dev.size)
			iobus_remove(vm, &z->dev);
		free(z);
	}
	return 0;
}

void coalesced_vm_destroy(struct vm *vm)
{
	struct coalesced_zone *z;

	while ((z = vm->priv->zones)) {
		vm->priv->zones = z->next;
		free(z);
	}
}
