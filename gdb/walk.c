/* SPDX-License-Identifier: MIT */
/*
 * The debugger's own walk of the guest's stage 1 tables, EL1&0 regime: registers by KVM_GET_ONE_REG, tables from guest
 * RAM. Arm ARM DDI 0487, "The AArch64 Virtual Memory System Architecture". Looks at no permissions: a debugger may read
 * what the guest maps, whoever it is mapped for. Changes nothing.
 */
#include <errno.h>

#include "server.h"

#define SYS(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)

const struct view view_virtual = {.kind = VIEW_VIRTUAL};

static uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
	return v >> lo & ((2ull << (hi - lo)) - 1);
}

struct regime {
	uint64_t table; /* of the first level */
	unsigned va_bits;
	unsigned page_shift; /* 12, 14 or 16 */
	int level;	     /* of the first table: -1 to 3 */
	bool ds;	     /* TCR_EL1.DS: descriptors of 52-bit addresses for 4K and 16K */
};

static unsigned stride(const struct regime *r)
{
	return r->page_shift - 3;
}

static unsigned shift_of(const struct regime *r, int level)
{
	return r->page_shift + (unsigned)(3 - level) * stride(r);
}

static bool regime_of_half(uint64_t tcr, uint64_t ttbr, bool high, struct regime *r)
{
	static const unsigned tg0_shift[4] = {12, 16, 14, 0}, tg1_shift[4] = {0, 14, 12, 16};
	unsigned txsz = (unsigned)bits(tcr, high ? 21 : 5, high ? 16 : 0), first;

	r->page_shift = high ? tg1_shift[bits(tcr, 31, 30)] : tg0_shift[bits(tcr, 15, 14)];
	r->va_bits = 64 - txsz;
	r->ds = tcr >> 59 & 1;
	if (!r->page_shift || txsz > 48 || r->va_bits > 52 || r->va_bits <= r->page_shift)
		return false;
	r->level = 4 - (int)((r->va_bits - r->page_shift + stride(r) - 1) / stride(r));
	first = r->va_bits -
		shift_of(r, r->level); /* index bits of the first table, which is aligned to its size only */
	r->table = ttbr & 0xfffffffffffeull & ~((8ull << first) - 1);
	if (r->va_bits > 48) /* bits 51:48 of the table are in 5:2, and it is aligned to 64 bytes at least */
		r->table = (ttbr & 0xffffffffffc0ull & ~((8ull << first) - 1)) | bits(ttbr, 5, 2) << 48;
	return true;
}

/* The half that va belongs to; false if neither can translate it. */
static bool regime_of(struct target *t, unsigned vcpu, const struct view *view, uint64_t va, struct regime *r)
{
	uint64_t tcr = target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2)), ttbr, top;
	bool high = va >> 55 & 1;
	bool tbi = tcr >> (high ? 38 : 37) & 1;

	if (view->kind == VIEW_TABLE && !high) {
		ttbr = view->ttbr0;
	} else {
		if (tcr >> (high ? 23 : 7) & 1) /* EPDn */
			return false;
		ttbr = target_get_u64(t, vcpu, high ? SYS(3, 0, 2, 0, 1) : SYS(3, 0, 2, 0, 0));
	}
	if (!regime_of_half(tcr, ttbr, high, r))
		return false;
	top = bits(va, tbi ? 55 : 63, r->va_bits);
	return top == (high ? bits(~0ull, tbi ? 55 : 63, r->va_bits) : 0);
}

static uint64_t output(const struct regime *r, uint64_t desc)
{
	if (r->ds && r->page_shift < 16)
		return bits(desc, 49, r->page_shift) << r->page_shift | bits(desc, 9, 8) << 50;
	if (r->page_shift == 16) /* bits 51:48, 0 without 52-bit addresses */
		return bits(desc, 47, 16) << 16 | bits(desc, 15, 12) << 48;
	return bits(desc, 47, r->page_shift) << r->page_shift;
}

static bool is_leaf(int level, uint64_t desc)
{
	return level == 3 || !(desc & 2);
}

static bool is_valid(int level, uint64_t desc)
{
	return (desc & 1) && (level < 3 || (desc & 2));
}

bool walk_mmu_on(struct target *t, unsigned vcpu)
{
	return target_get_u64(t, vcpu, SYS(3, 0, 1, 0, 0)) & 1; /* SCTLR_EL1.M */
}

static int walk_tables(struct target *t, struct regime r, uint64_t va, uint64_t *ipa, uint64_t *size)
{
	const int first = r.level;

	for (int level = first; level <= 3; level++) {
		unsigned shift = shift_of(&r, level);
		unsigned top = level == first ? r.va_bits : shift + stride(&r);
		uint64_t desc, mask = (1ull << shift) - 1;

		if (t->ops->read_mem(t->opaque, r.table + bits(va, top - 1, shift) * 8, &desc, 8) ||
		    !is_valid(level, desc))
			return -EFAULT;
		if (is_leaf(level, desc)) {
			*ipa = (output(&r, desc) & ~mask) | (va & mask);
			*size = mask + 1 - (va & mask);
			return 0;
		}
		r.table = output(&r, desc);
	}
	return -EFAULT;
}

int walk(struct target *t, unsigned vcpu, const struct view *view, uint64_t va, uint64_t *ipa, uint64_t *size)
{
	struct regime r;
	int rc;

	if (view->kind == VIEW_PHYSICAL || !walk_mmu_on(t, vcpu)) {
		*ipa = va;
		*size = 0x1000 - (va & 0xfff);
		return 0;
	}
	if (!regime_of(t, vcpu, view, va, &r))
		return -EFAULT;
	rc = walk_tables(t, r, va, ipa, size);
	/* In user space with page-table isolation the kernel has nothing mapped but its entry. */
	if (rc && va >> 55 & 1 && t->kernel_ttbr1 &&
	    regime_of_half(target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2)), t->kernel_ttbr1, true, &r))
		rc = walk_tables(t, r, va, ipa, size);
	return rc;
}

/* ---- all of a half */

struct tour {
	struct target *t;
	const struct regime *r;
	bool (*visit)(void *arg, uint64_t va, uint64_t desc, uint64_t size);
	void *arg;
	unsigned budget; /* tables: a guest may have written a loop of them */
};

static bool tour_table(struct tour *tour, uint64_t table, int level, uint64_t va)
{
	const struct regime *r = tour->r;
	unsigned shift = shift_of(r, level);
	unsigned n = 1u << (level == r->level ? r->va_bits - shift : stride(r));

	if (!tour->budget)
		return false;
	tour->budget--;
	for (unsigned i = 0; i < n; i++) {
		uint64_t desc, at = va | (uint64_t)i << shift;

		if (tour->t->ops->read_mem(tour->t->opaque, table + 8ull * i, &desc, 8) || !is_valid(level, desc))
			continue;
		if (is_leaf(level, desc)) {
			uint64_t mask = (1ull << shift) - 1, low = (1ull << r->page_shift) - 1;

			/* the output address in bits 51:12, the lowest attributes and bits 63:52 as they are */
			desc = (desc & 0xfff0000000000000ull) | (output(r, desc) & ~mask & ~low) | (desc & 0xfff);
			if (!tour->visit(tour->arg, at, desc, mask + 1))
				return false;
		} else if (!tour_table(tour, output(r, desc), level + 1, at)) {
			return false;
		}
	}
	return true;
}

unsigned walk_high_page(struct target *t, unsigned vcpu)
{
	struct regime r;

	return regime_of_half(target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2)), 0, true, &r) ? 1u << r.page_shift : 4096;
}

void walk_high(struct target *t, unsigned vcpu, uint64_t ttbr1,
	       bool (*visit)(void *arg, uint64_t va, uint64_t desc, uint64_t size), void *arg)
{
	uint64_t tcr = target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2));
	struct regime r;
	struct tour tour = {.t = t, .r = &r, .visit = visit, .arg = arg, .budget = 20000};

	if (!walk_mmu_on(t, vcpu) || (tcr >> 23 & 1) || !regime_of_half(tcr, ttbr1, true, &r))
		return;
	tour_table(&tour, r.table, r.level, ~0ull << r.va_bits);
}

uint64_t walk_pac_mask(struct target *t, unsigned vcpu, bool high, bool code)
{
	uint64_t tcr = target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2));
	unsigned va_bits = 64 - (unsigned)bits(tcr, high ? 21 : 5, high ? 16 : 0);
	bool tbi = tcr >> (high ? 38 : 37) & 1;
	bool tbid = tcr >> (high ? 52 : 51) & 1; /* the top byte is ignored for data only */
	uint64_t mask;

	if (va_bits > 55)
		va_bits = 55;
	mask = (1ull << 55) - (1ull << va_bits);
	if (!tbi || (code && tbid))
		mask |= 0xff00000000000000ull;
	return mask;
}

int gdb_translate(const struct gdb_target_ops *ops, void *opaque, unsigned vcpu, uint64_t va, uint64_t *ipa)
{
	struct target t = {.ops = ops, .opaque = opaque};
	uint64_t size;

	return walk(&t, vcpu, &view_virtual, va, ipa, &size);
}
