/* SPDX-License-Identifier: MIT */
/*
 * The debugger's own walk of the guest's stage 1 tables, EL1&0 regime: registers by KVM_GET_ONE_REG, tables from guest
 * RAM. Arm ARM DDI 0487, "The AArch64 Virtual Memory System Architecture". Looks at no permissions: a debugger may read
 * what the guest maps, whoever it is mapped for. Changes nothing.
 */
#include <errno.h>

#include "server.h"

#define SYS(op0, op1, crn, crm, op2) ARM64_SYS_REG(op0, op1, crn, crm, op2)

static uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
	return v >> lo & ((2ull << (hi - lo)) - 1);
}

struct regime {
	uint64_t ttbr;
	unsigned va_bits;
	unsigned page_shift; /* 12, 14 or 16 */
	bool lpa2;	     /* TCR.DS or 52-bit layouts: not offered by our PEs, seen on others */
};

/* The half that va belongs to; false if neither can translate it. */
static bool regime_of(struct target *t, unsigned vcpu, uint64_t va, struct regime *r)
{
	static const unsigned tg0_shift[4] = {12, 16, 14, 0}, tg1_shift[4] = {0, 14, 12, 16};
	uint64_t tcr = target_get_u64(t, vcpu, SYS(3, 0, 2, 0, 2));
	bool high = va >> 55 & 1;
	bool tbi = tcr >> (high ? 38 : 37) & 1;
	unsigned txsz = (unsigned)bits(tcr, high ? 21 : 5, high ? 16 : 0);
	uint64_t top;

	if (tcr >> (high ? 23 : 7) & 1 || txsz > 48) /* EPDn */
		return false;
	r->ttbr = target_get_u64(t, vcpu, high ? SYS(3, 0, 2, 0, 1) : SYS(3, 0, 2, 0, 0));
	r->page_shift = high ? tg1_shift[bits(tcr, 31, 30)] : tg0_shift[bits(tcr, 15, 14)];
	r->va_bits = 64 - txsz;
	r->lpa2 = tcr >> 59 & 1;
	if (!r->page_shift || r->va_bits > 52 || r->va_bits < 16)
		return false;
	top = bits(va, tbi ? 55 : 63, r->va_bits);
	return top == (high ? bits(~0ull, tbi ? 55 : 63, r->va_bits) : 0);
}

int walk(struct target *t, unsigned vcpu, uint64_t va, uint64_t *ipa, uint64_t *size)
{
	struct regime r;
	unsigned stride, level, shift;
	uint64_t table;

	if (!(target_get_u64(t, vcpu, SYS(3, 0, 1, 0, 0)) & 1)) { /* SCTLR_EL1.M */
		*ipa = va;
		*size = 0x1000 - (va & 0xfff);
		return 0;
	}
	if (!regime_of(t, vcpu, va, &r))
		return -EFAULT;
	stride = r.page_shift - 3;
	level = 4 - (r.va_bits - r.page_shift + stride - 1) / stride;
	table = r.ttbr & 0xfffffffffffeull;
	if (level < 4 && r.va_bits <= 48) { /* a first table with few entries is aligned to its size only */
		unsigned first = r.va_bits - (r.page_shift + (3 - level) * stride);

		table &= ~((8ull << first) - 1);
	}
	for (; level <= 3; level++) {
		uint64_t desc, index, out;

		shift = r.page_shift + (3 - level) * stride;
		index = bits(
			va,
			(level == 4 - (r.va_bits - r.page_shift + stride - 1) / stride ? r.va_bits : shift + stride) -
				1,
			shift);
		if (t->ops->read_mem(t->opaque, table + index * 8, &desc, 8))
			return -EFAULT;
		if (!(desc & 1) || (level == 3 && !(desc & 2)))
			return -EFAULT;
		out = desc & 0xffffffffffffull & ~((1ull << r.page_shift) - 1);
		if (level == 3 || !(desc & 2)) {
			uint64_t mask = (1ull << shift) - 1;

			*ipa = (out & ~mask) | (va & mask);
			*size = mask + 1 - (va & mask);
			return 0;
		}
		table = out;
	}
	return -EFAULT;
}

int gdb_translate(const struct gdb_target_ops *ops, void *opaque, unsigned vcpu, uint64_t va, uint64_t *ipa)
{
	struct target t = {.ops = ops, .opaque = opaque};
	uint64_t size;

	return walk(&t, vcpu, va, ipa, &size);
}
