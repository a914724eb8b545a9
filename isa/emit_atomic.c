/* SPDX-License-Identifier: MIT */
/*
 * Exclusives and atomics: Arm ARM DDI 0487, "Load/store exclusive register", "exclusive pair", "Compare and swap",
 * "Atomic memory operations". All want an aligned address; an abort never has ISV.
 *
 * CONSTRAINED UNPREDICTABLE: a store-exclusive whose status register is also its data or base uses the old values; a
 * load of a pair into one register leaves the second element there.
 */
#include "emit.h"

static uint32_t excl_mem(const struct args_ldst_excl *a, uint32_t flags)
{
	flags |= IR_MEM_ALIGNED | IR_MEM_EXCL;
	if (a->acqrel)
		flags |= IR_MEM_ACQREL | IR_MEM_SEQCST;
	if (a->size == 3)
		flags |= IR_MEM_SF;
	return IR_MEM(a->size, a->rt, a->rn, flags);
}

bool emit_LDXR(struct isa_ctx *ctx, const struct args_ldst_excl *a)
{
	put_x(ctx, a->rt, ir_ldx(ctx->b, ir_getx(ctx->b, a->rn), excl_mem(a, 0)));
	return true;
}

bool emit_LDXP(struct isa_ctx *ctx, const struct args_ldst_excl *a)
{
	ir_x lo, hi;

	ir_ldxp(ctx->b, ir_getx(ctx->b, a->rn), excl_mem(a, IR_MEM_PAIR), &lo, &hi);
	put_x(ctx, a->rt, lo);
	put_x(ctx, a->rt2, hi);
	return true;
}

bool emit_STXR(struct isa_ctx *ctx, const struct args_ldst_excl *a)
{
	ir_x addr = ir_getx(ctx->b, a->rn);

	put_x(ctx, a->rs, ir_stx(ctx->b, addr, get_x(ctx, a->rt), excl_mem(a, 0)));
	return true;
}

bool emit_STXP(struct isa_ctx *ctx, const struct args_ldst_excl *a)
{
	ir_x addr = ir_getx(ctx->b, a->rn);
	ir_x lo = get_x(ctx, a->rt), hi = get_x(ctx, a->rt2);

	put_x(ctx, a->rs, ir_stxp(ctx->b, addr, lo, hi, excl_mem(a, IR_MEM_PAIR)));
	return true;
}

static uint32_t atomic_mem(unsigned size, unsigned rt, unsigned rn, bool ordered, uint32_t flags)
{
	flags |= IR_MEM_ALIGNED;
	if (ordered)
		flags |= IR_MEM_ACQREL | IR_MEM_SEQCST;
	if (size == 3)
		flags |= IR_MEM_SF;
	return IR_MEM(size, rt, rn, flags);
}

/* The value at the width of the access, zero-extended. */
static ir_x get_sized(struct isa_ctx *ctx, unsigned reg, unsigned size)
{
	ir_x v = get_x(ctx, reg);

	return size == 3 ? v : ir_ubfx(ctx->b, v, 0, 8u << size);
}

bool emit_lse_rmw(struct isa_ctx *ctx, const struct args_lse *a)
{
	uint32_t m = atomic_mem(a->size, a->rt, a->rn, a->acq || a->rel, 0);
	ir_x v = get_sized(ctx, a->rs, a->size);

	put_x(ctx, a->rt, ir_rmw(ctx->b, (enum ir_rmw)a->op, ir_getx(ctx->b, a->rn), v, m));
	return true;
}

bool emit_CAS(struct isa_ctx *ctx, const struct args_cas *a)
{
	uint32_t m = atomic_mem(a->size, a->rt, a->rn, a->acq || a->rel, 0);
	ir_x expect = get_sized(ctx, a->rs, a->size), v = get_sized(ctx, a->rt, a->size);

	put_x(ctx, a->rs, ir_cas(ctx->b, ir_getx(ctx->b, a->rn), expect, v, m));
	return true;
}

/* The pairs are Rs, Rs + 1 and Rt, Rt + 1, and start at an even register. The one of 30 ends in the zero register. */
bool emit_CASP(struct isa_ctx *ctx, const struct args_cas *a)
{
	unsigned size = 2 + a->size;
	uint32_t m = atomic_mem(size, a->rt, a->rn, a->acq || a->rel, IR_MEM_PAIR);
	ir_x expect[2], v[2], old[2];

	if (a->rs & 1 || a->rt & 1)
		return false;
	for (unsigned i = 0; i < 2; i++) {
		expect[i] = get_sized(ctx, a->rs + i, size);
		v[i] = get_sized(ctx, a->rt + i, size);
	}
	ir_casp(ctx->b, ir_getx(ctx->b, a->rn), expect, v, m, old);
	put_x(ctx, a->rs, old[0]);
	put_x(ctx, a->rs + 1, old[1]);
	return true;
}
