/* SPDX-License-Identifier: MIT */
/*
 * The dirty log (api.rst 4.8, 4.117). The PEs set a bit before the first store to a page since it was clear; so clearing bits
 * is followed by a flush of their TLBs, before the client is told: a store in between hits a page that the client was just
 * given as dirty.
 *
 * The log is kept per 4 KiB; the client's unit is the host's page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "memslot.h"

unsigned dirty_pages_per_bit(void)
{
	return (unsigned)(host_page_size() >> IR_PAGE_SHIFT);
}

static uint64_t client_pages(const struct memslot *s)
{
	return s->size / host_page_size();
}

/* The mask of our bits that stand for bit i of the client's; they never cross a word. */
static unsigned long our_bits(uint64_t i, uint64_t *word)
{
	unsigned n = dirty_pages_per_bit();
	uint64_t bit = i * n;

	*word = bit / DIRTY_WORD_BITS;
	return (n >= DIRTY_WORD_BITS ? ~0ul : ((1ul << n) - 1)) << bit % DIRTY_WORD_BITS;
}

static bool client_bit(const uint64_t *map, uint64_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

void dirty_clear_page(struct memslot *s, uint64_t page)
{
	uint64_t w;
	unsigned long mask = our_bits(page, &w);

	__atomic_fetch_and(&s->dirty[w], ~mask, __ATOMIC_ACQ_REL);
}

/* A log in the client's unit, in fresh memory; clears it if asked to. */
static uint64_t *snapshot(const struct memslot *s, unsigned long *log, bool clear)
{
	uint64_t words = dirty_words(s->size), pages = client_pages(s);
	uint64_t *out = calloc((pages + 63) / 64, sizeof(*out));

	if (!out)
		return NULL;
	if (dirty_pages_per_bit() == 1) {
		for (uint64_t w = 0; w < words; w++)
			out[w] = clear ? __atomic_exchange_n(&log[w], 0, __ATOMIC_ACQ_REL)
				       : __atomic_load_n(&log[w], __ATOMIC_ACQUIRE);
		if (pages % 64)
			out[pages / 64] &= (1ull << pages % 64) - 1;
		return out;
	}
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t w;
		unsigned long mask = our_bits(i, &w);
		unsigned long old = clear ? __atomic_fetch_and(&log[w], ~mask, __ATOMIC_ACQ_REL)
					  : __atomic_load_n(&log[w], __ATOMIC_ACQUIRE);

		if (old & mask)
			out[i / 64] |= 1ull << i % 64;
	}
	return out;
}

/* The log that the ioctls are about. With rings there is none, or one of its own. */
static int logged_slot(struct vm *vm, unsigned id, struct memslot **slot, unsigned long **log)
{
	bool rings = vm->priv->dirty_ring_bytes;

	*slot = memslot_by_id(vm->memslots, id);
	if (rings && !vm->priv->dirty_ring_bitmap)
		return -ENXIO;
	if (id >= 32767)
		return -EINVAL;
	if (!*slot)
		return -ENOENT;
	*log = rings ? (*slot)->bitmap : (*slot)->dirty;
	return *log ? 0 : -ENOENT;
}

int dirty_get_log(struct vm *vm, const struct kvm_dirty_log *log)
{
	unsigned long *bits;
	struct memslot *s;
	uint64_t *map = NULL;
	int err;

	pthread_mutex_lock(&vm->memslots->lock);
	err = logged_slot(vm, log->slot, &s, &bits);
	if (err)
		goto out;
	map = snapshot(s, bits, !vm->priv->manual_dirty);
	if (!map) {
		err = -ENOMEM;
		goto out;
	}
	if (!vm->priv->manual_dirty)
		memslot_flush_tlbs(vm);
	err = client_write((uintptr_t)log->dirty_bitmap, map, (client_pages(s) + 63) / 64 * 8);
out:
	pthread_mutex_unlock(&vm->memslots->lock);
	free(map);
	return err;
}

int dirty_clear_log(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	unsigned long *bits;
	struct memslot *s;
	uint64_t *map = NULL, pages;
	int err;

	if (log->first_page % 64)
		return -EINVAL;
	pthread_mutex_lock(&vm->memslots->lock);
	err = logged_slot(vm, log->slot, &s, &bits);
	if (err)
		goto out;
	pages = client_pages(s);
	err = -EINVAL;
	if (log->first_page > pages || log->num_pages > pages - log->first_page ||
	    (log->num_pages < pages - log->first_page && log->num_pages % 64))
		goto out;
	err = -ENOMEM;
	map = calloc((log->num_pages + 63) / 64 + 1, 8);
	if (!map)
		goto out;
	err = client_read(map, (uintptr_t)log->dirty_bitmap, ((uint64_t)log->num_pages + 63) / 64 * 8);
	if (err)
		goto out;
	for (uint64_t i = 0; i < log->num_pages; i++) {
		uint64_t w;
		unsigned long mask = our_bits(log->first_page + i, &w);

		if (client_bit(map, i))
			__atomic_fetch_and(&bits[w], ~mask, __ATOMIC_ACQ_REL);
	}
	memslot_flush_tlbs(vm);
out:
	pthread_mutex_unlock(&vm->memslots->lock);
	free(map);
	return err;
}

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
int memslot_enable_manual_dirty(struct vm *vm, uint64_t flags)
{
	if (flags & ~(uint64_t)(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET) ||
	    flags == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	pthread_mutex_lock(&vm->memslots->lock);
	vm->priv->manual_dirty = flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	vm->priv->dirty_initially_set = flags & KVM_DIRTY_LOG_INITIALLY_SET;
	pthread_mutex_unlock(&vm->memslots->lock);
	return 0;
}
