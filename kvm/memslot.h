/* SPDX-License-Identifier: MIT */
/* The table of memory slots, for memslot.c and dirty.c only. */
#ifndef PAWL_KVM_MEMSLOT_H
#define PAWL_KVM_MEMSLOT_H

#include <pthread.h>
#include <stdint.h>

#include "stage2.h"

struct vm;

enum { DIRTY_WORD_BITS = 8 * sizeof(unsigned long) };

struct memslot {
	unsigned id;
	uint32_t flags; /* KVM_MEM_* */
	ipa_t gpa;
	uint64_t size, hva;    /* bytes; address in this process, as the client says */
	uint8_t *host;	       /* what the guest sees: at hva, or a mapping of guest_memfd that is the slot's own */
	unsigned long *dirty;  /* a bit per 4 KiB; NULL: not logged. With dirty rings: pages that are in one */
	unsigned long *bitmap; /* with dirty rings and KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: the log */
	unsigned long *backed; /* stage2_range.backed */
	/* guest_memfd.c */
	struct guest_memfd *memfd;  /* NULL: none, or it was closed */
	uint64_t memfd_offset;	    /* bytes */
	struct memslot *memfd_next; /* bound to the same one */
};

struct memslots {
	pthread_mutex_t lock; /* writers; see memslot.c */
	/* under lock */
	struct memslot **sorted; /* by gpa, disjoint */
	unsigned count, sorted_room;
	struct memslot **by_id;
	unsigned n_ids;
	ipa_t device; /* stage2.device */
	uint64_t device_size;
	/* written under lock and readers_lock */
	pthread_rwlock_t readers_lock;
	struct stage2 *table;
};

/* Words of the bitmap of a slot of this size, as the client sees its length, too: whole 64-page groups. */
static inline uint64_t dirty_words(uint64_t size)
{
	return ((size >> 12) + DIRTY_WORD_BITS - 1) / DIRTY_WORD_BITS;
}

void memslot_flush_tlbs(struct vm *vm);			 /* of all PEs; lock held */
void dirty_clear_page(struct memslot *s, uint64_t page); /* dirty.c; page of the client's size */

struct memslot *memslot_by_id(struct memslots *m, unsigned id); /* lock held */

#endif
