/* SPDX-License-Identifier: MIT */
/*
 * Stage 2 as a processing element sees it: a sorted table of IPA ranges backed by host memory. kvm/memslot.c builds
 * a new one for every change and publishes it with cpu_group_set_stage2(). Everything outside is a stage 2 fault.
 */
#ifndef PAWL_CPU_STAGE2_H
#define PAWL_CPU_STAGE2_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t ipa_t;

struct stage2_range {
	ipa_t base;
	uint64_t size; /* bytes, both page aligned */
	uint8_t *host;
	bool readonly;
	/* Dirty log, or NULL: one bit per 4 KiB page, set atomically before the first store to a page since it was clear. */
	unsigned long *dirty;
	unsigned log_tag; /* with dirty: what cpu_platform.log_dirty is told; 0: it is not asked */
	/*
	 * Which pages the host is known to have, two bits per 4 KiB page: readable, writable. Set atomically when a page is
	 * first used. A page that the host does not have is a fault with FSC_UNBACKED. Who takes one away clears its bits
	 * while no PE runs.
	 */
	unsigned long *backed;
	void *owner; /* of whoever made the table; not for the PE */
};

struct stage2 {
	unsigned count;
	unsigned ipa_bits; /* accesses at or beyond 1 << ipa_bits are address size faults */
	/* Registers that are mapped into the guest as Device memory, but for what ranges cover: see cpu_platform.device. No size: none. */
	ipa_t device;
	uint64_t device_size;
	struct stage2_range range[]; /* sorted by base, disjoint */
};

/* Words of the bitmap stage2_range.backed. */
static inline uint64_t stage2_backed_words(uint64_t size)
{
	return ((size >> 12) * 2 + 8 * sizeof(unsigned long) - 1) / (8 * sizeof(unsigned long));
}

/* The range that holds ipa, or NULL. */
const struct stage2_range *stage2_find(const struct stage2 *s2, ipa_t ipa);
/* Whether the host has the page; asked of its kernel once, when it is first used. */
bool stage2_is_backed(const struct stage2_range *r, ipa_t ipa, bool write);

#endif
