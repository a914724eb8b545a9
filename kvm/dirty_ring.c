/* SPDX-License-Identifier: MIT */
/*
 * Dirty rings (api.rst 8.29): each vcpu tells the client page by page what it wrote, in an array that both have mapped. The vcpu
 * thread produces: slot and offset, then flags = DIRTY. The client takes entries in order and stores RESET; after
 * KVM_RESET_DIRTY_RINGS the pages of these are watched again.
 *
 * A page is watched while its bit in the slot's `dirty` map is clear: the PE asks before the first store to it
 * (cpu_platform.log_dirty). The bit is set before the entry is made: so a reset that finds the entry clears it, and the flush
 * of the TLBs that ends a reset waits for the store that is under way.
 *
 * Nothing of a page is stored while no entry is to be had: the access traps, and KVM_RUN returns KVM_EXIT_DIRTY_RING_FULL.
 * RESERVED entries are kept back for what the hypervisor itself writes on a vcpu's behalf.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core.h"
#include "memslot.h"

enum { RESERVED = 64, MAX_BYTES = 65536 * (int)sizeof(struct kvm_dirty_gfn) };

struct dirty_ring {
	struct kvm_dirty_gfn *gfn; /* shared with the client */
	uint32_t size;		   /* entries, a power of two */
	_Atomic uint32_t produced; /* written by the vcpu thread */
	_Atomic uint32_t reset;	   /* entries before this one are free; written under memslots->lock */
};

/* KVM_CAP_DIRTY_LOG_RING_ACQ_REL; vm->lock held */
int dirty_ring_enable(struct vm *vm, uint32_t bytes)
{
	if (!bytes || (bytes & (bytes - 1)) || bytes < host_page_size() ||
	    bytes < RESERVED * sizeof(struct kvm_dirty_gfn))
		return -EINVAL;
	if (bytes > MAX_BYTES)
		return -E2BIG;
	if (vm->priv->dirty_ring_bytes || atomic_load(&vm->n_vcpus))
		return -EINVAL;
	vm->priv->dirty_ring_bytes = bytes;
	return 0;
}

/* KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: only while there are no slots */
int dirty_ring_enable_bitmap(struct vm *vm)
{
	int err = -EINVAL;

	pthread_mutex_lock(&vm->memslots->lock);
	if (vm->priv->dirty_ring_bytes && !vm->memslots->count) {
		vm->priv->dirty_ring_bitmap = true;
		err = 0;
	}
	pthread_mutex_unlock(&vm->memslots->lock);
	return err;
}

size_t dirty_ring_offset(void)
{
	return KVM_DIRTY_LOG_PAGE_OFFSET * host_page_size();
}

/* Bytes of the vcpu's descriptor: kvm_run, the coalesced ring's place, and the dirty ring far behind them. */
size_t dirty_ring_file_size(const struct vm *vm)
{
	return vm->priv->dirty_ring_bytes ? dirty_ring_offset() + vm->priv->dirty_ring_bytes : 2 * host_page_size();
}

int dirty_ring_vcpu_create(struct vcpu *vcpu, int fd)
{
	size_t bytes = vcpu->vm->priv->dirty_ring_bytes;
	struct dirty_ring *ring;
	void *p;

	if (!bytes)
		return 0;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	p = map_descriptor(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)dirty_ring_offset());
	if (p == MAP_FAILED) {
		int err = -errno;

		free(ring);
		return err;
	}
	ring->gfn = p;
	ring->size = (uint32_t)(bytes / sizeof(*ring->gfn));
	vcpu->ring = ring;
	return 0;
}

void dirty_ring_vcpu_destroy(struct vcpu *vcpu)
{
	struct dirty_ring *ring = vcpu->ring;

	if (!ring)
		return;
	munmap(ring->gfn, ring->size * sizeof(*ring->gfn));
	free(ring);
	vcpu->ring = NULL;
}

static uint32_t used(const struct dirty_ring *ring)
{
	return atomic_load_explicit(&ring->produced, memory_order_relaxed) -
	       atomic_load_explicit(&ring->reset, memory_order_acquire);
}

bool dirty_ring_is_full(const struct vcpu *vcpu)
{
	return used(vcpu->ring) >= vcpu->ring->size - RESERVED;
}

static void push(struct dirty_ring *ring, uint32_t slot, uint64_t offset)
{
	uint32_t at = atomic_load_explicit(&ring->produced, memory_order_relaxed);
	struct kvm_dirty_gfn *e = &ring->gfn[at & (ring->size - 1)];

	e->slot = slot;
	e->offset = offset;
	__atomic_store_n(&e->flags, (uint32_t)KVM_DIRTY_GFN_F_DIRTY, __ATOMIC_RELEASE);
	atomic_store_explicit(&ring->produced, at + 1, memory_order_release);
}

/* The PE, before its first store to a page; page is in units of 4 KiB, tag the slot plus one. False: no room, do not store. */
bool dirty_ring_log(void *opaque, unsigned tag, uint64_t page)
{
	struct vcpu *vcpu = opaque;

	if (dirty_ring_is_full(vcpu))
		return false;
	push(vcpu->ring, tag - 1, page / dirty_pages_per_bit());
	return true;
}

bool dirty_ring_here(const struct vm *vm)
{
	const struct vcpu *vcpu = vcpu_current();

	return vcpu && vcpu->vm == vm && used(vcpu->ring) < vcpu->ring->size;
}

void dirty_ring_log_own(unsigned slot, uint64_t page)
{
	push(vcpu_current()->ring, slot, page / dirty_pages_per_bit());
}

/* The client may write anything into its entries: only pages that are there count. memslots->lock held */
static void watch_again(struct vm *vm, uint32_t slot, uint64_t offset)
{
	struct memslot *s = memslot_by_id(vm->memslots, slot);

	if (s && s->dirty && offset < s->size / host_page_size())
		dirty_clear_page(s, offset);
}

static unsigned reset_ring(struct vm *vm, struct dirty_ring *ring)
{
	uint32_t at = atomic_load_explicit(&ring->reset, memory_order_relaxed);
	uint32_t end = atomic_load_explicit(&ring->produced, memory_order_acquire);
	unsigned n = 0;

	while (at != end) { /* not beyond, whatever the client has written there */
		struct kvm_dirty_gfn *e = &ring->gfn[at & (ring->size - 1)];

		if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_RESET))
			break;
		watch_again(vm, __atomic_load_n(&e->slot, __ATOMIC_RELAXED),
			    __atomic_load_n(&e->offset, __ATOMIC_RELAXED));
		__atomic_store_n(&e->flags, 0, __ATOMIC_RELAXED);
		at++;
		n++;
	}
	atomic_store_explicit(&ring->reset, at, memory_order_release);
	return n;
}

/* KVM_RESET_DIRTY_RINGS: how many entries were reset, or -EINVAL */
int dirty_ring_reset(struct vm *vm)
{
	unsigned n = 0;

	if (!vm->priv->dirty_ring_bytes)
		return -EINVAL;
	pthread_mutex_lock(&vm->memslots->lock);
	for (unsigned i = 0; i < atomic_load(&vm->n_vcpus); i++)
		n += reset_ring(vm, vm->vcpus[i]->ring);
	if (n)
		memslot_flush_tlbs(vm);
	pthread_mutex_unlock(&vm->memslots->lock);
	return (int)n;
}
