/* SPDX-License-Identifier: MIT */
/*
 * Stage 2: from IPA to host memory through the ranges that the hypervisor published. Arm ARM DDI 0487, "The AArch64
 * Virtual Memory System Architecture", stage 2 translation; there are no stage 2 tables here, only their effects.
 */
#include "internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The first range that ends behind ipa; count: there is none. */
static unsigned find(const struct stage2 *s2, ipa_t ipa)
{
	unsigned lo = 0, hi = s2 ? s2->count : 0;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		const struct stage2_range *r = &s2->range[mid];

		if (r->base + (r->size - 1) < ipa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct stage2_range *stage2_find(const struct stage2 *s2, ipa_t ipa)
{
	unsigned i = find(s2, ipa);

	return s2 && i < s2->count && s2->range[i].base <= ipa ? &s2->range[i] : NULL;
}

/*
 * Level of a translation fault: that of the first table which a hypervisor with 4 KiB granules would not have, had it
 * made tables for the other ranges. Three levels up to 43 bits of IPA, four beyond.
 */
static unsigned fault_level(const struct stage2 *s2, ipa_t ipa)
{
	unsigned level = s2 && s2->ipa_bits > 43 ? 0 : 1, i = find(s2, ipa);
	bool inside = s2 && i < s2->count && s2->range[i].base <= ipa; /* this range does not count */
	const struct stage2_range *below = i > 0 ? &s2->range[i - 1] : NULL;
	const struct stage2_range *above = s2 && i + inside < s2->count ? &s2->range[i + inside] : NULL;

	for (; level < 3; level++) {
		unsigned shift = 39 - 9 * level;
		ipa_t lo = ipa >> shift << shift, hi = lo + (UINT64_C(1) << shift) - 1;

		if (!(below && below->base + (below->size - 1) >= lo) && !(above && above->base <= hi))
			break;
	}
	return level;
}

unsigned stage2_untouched_level(struct cpu *cpu, ipa_t ipa)
{
	const struct stage2 *s2 = group_stage2(cpu);

	return fault_level(s2, ipa);
}

/* False: the store may not be made, as its page cannot be logged. */
static bool mark_dirty(struct cpu *cpu, const struct stage2_range *r, ipa_t ipa)
{
	uint64_t page = (ipa - r->base) >> 12;
	unsigned bits = 8 * sizeof(unsigned long);
	unsigned long bit = 1ul << page % bits;

	if (!r->dirty || (__atomic_load_n(&r->dirty[page / bits], __ATOMIC_RELAXED) & bit))
		return true;
	if (__atomic_fetch_or(&r->dirty[page / bits], bit, __ATOMIC_SEQ_CST) & bit)
		return true;
	if (!r->log_tag || cpu->platform->log_dirty(cpu->opaque, r->log_tag, page))
		return true;
	__atomic_fetch_and(&r->dirty[page / bits], ~bit, __ATOMIC_SEQ_CST);
	return false;
}

/* ---- does the host have the page? Asked of its kernel by calls that fail with EFAULT if not, and do nothing if it has. */

static bool host_can_read(const uint8_t *page)
{
	const void *p = page + 8; /* at page 0, NULL would be no argument at all */
	int err = errno;
	bool ok;

	ok = syscall(SYS_rt_sigprocmask, ~0 /* no such operation, said after the copy */, p, NULL, 8) == 0 ||
	     errno != EFAULT;
	errno = err;
	return ok;
}

static bool add_nothing(void *p)
{
	uint32_t nobody_waits = 0;

	return syscall(SYS_futex, &nobody_waits, FUTEX_WAKE_OP_PRIVATE, 0, 0, p,
		       FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0)) >= 0 ||
	       errno != EFAULT;
}

/*
 * A futex does not wait for a userfaultfd, whose page is there when somebody has brought it: a read does, and, for pages that are
 * write-protected by one, MADV_POPULATE_WRITE (Linux 5.14).
 */
static bool host_can_write(uint8_t *p)
{
	int err = errno;
	bool ok = add_nothing(p) || (host_can_read(p) && add_nothing(p));

	if (!ok &&
	    syscall(SYS_madvise, (uintptr_t)p & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1), 1, MADV_POPULATE_WRITE) == 0)
		ok = add_nothing(p);
	errno = err;
	return ok;
}

enum { BACKED_WORD_BITS = 8 * sizeof(unsigned long) };

/* The bit of r->backed. */
static uint64_t backed_bit(const struct stage2_range *r, ipa_t ipa, bool write)
{
	return ((ipa - r->base) >> 12) * 2 + write;
}

static bool is_known(const struct stage2_range *r, uint64_t bit)
{
	return !r->backed ||
	       __atomic_load_n(&r->backed[bit / BACKED_WORD_BITS], __ATOMIC_RELAXED) >> bit % BACKED_WORD_BITS & 1;
}

/* All pages from the first to the last: two bits for each, and what can be written can be read. */
static bool all_known(const struct stage2_range *r, ipa_t first, ipa_t last, bool write)
{
	uint64_t from = backed_bit(r, first, false), to = backed_bit(r, last, true);

	for (uint64_t i = from / BACKED_WORD_BITS; i <= to / BACKED_WORD_BITS; i++) {
		unsigned long v = __atomic_load_n(&r->backed[i], __ATOMIC_RELAXED), want = ~0ul / 3;

		if (i == from / BACKED_WORD_BITS)
			want &= ~0ul << from % BACKED_WORD_BITS;
		if (i == to / BACKED_WORD_BITS)
			want &= ~0ul >> (BACKED_WORD_BITS - 1 - to % BACKED_WORD_BITS);
		if ((((write ? 0 : v) | v >> 1) & want) != want)
			return false;
	}
	return true;
}

unsigned stage2_extent(const struct stage2_range *r, ipa_t ipa, uint64_t va, unsigned most, bool write)
{
	if (write && r->dirty)
		return IR_PAGE_SHIFT;
	for (; most > IR_PAGE_SHIFT; most--) {
		uint64_t size = 1ull << most, before = va & (size - 1), at = ipa - r->base;

		if (at >= before && r->size - (at - before) >= size &&
		    (!r->backed || all_known(r, ipa - before, ipa - before + (size - 1), write)))
			break;
	}
	return most;
}

bool stage2_known_writable(const struct stage2_range *r, ipa_t ipa)
{
	return is_known(r, backed_bit(r, ipa, true));
}

bool stage2_is_backed(const struct stage2_range *r, ipa_t ipa, bool write)
{
	uint64_t bit = backed_bit(r, ipa, write);
	uint8_t *page;

	if (likely(is_known(r, bit)))
		return true;
	page = r->host + ((ipa - r->base) & IR_PAGE_MASK);
	if (!(write ? host_can_write(page) : host_can_read(page)))
		return false;
	__atomic_fetch_or(&r->backed[bit / BACKED_WORD_BITS], 1ul << bit % BACKED_WORD_BITS, __ATOMIC_RELAXED);
	return true;
}

uint8_t *stage2_access(struct cpu *cpu, ipa_t ipa, bool write, const struct stage2_range **range, struct fault *f)
{
	const struct stage2 *s2 = group_stage2(cpu);
	const struct stage2_range *r;

	f->stage2 = true;
	f->s1ptw = f->device = false;
	f->ipa = ipa;
	if (ipa >> (s2 ? s2->ipa_bits : 40)) {
		f->fsc = FSC_ADDR_SIZE;
		return NULL;
	}
	r = stage2_find(s2, ipa);
	if (!r) {
		f->device = s2 && ipa - s2->device < s2->device_size;
		f->fsc = FSC_TRANSLATION | fault_level(s2, ipa);
		return NULL;
	}
	if (write && r->readonly) {
		f->fsc = FSC_PERMISSION | 3;
		return NULL;
	}
	if (unlikely(!stage2_is_backed(r, ipa, write))) {
		f->fsc = FSC_UNBACKED;
		return NULL;
	}
	if (write && unlikely(!mark_dirty(cpu, r, ipa))) {
		f->fsc = FSC_NO_LOG;
		return NULL;
	}
	if (range)
		*range = r;
	return r->host + (ipa - r->base);
}
