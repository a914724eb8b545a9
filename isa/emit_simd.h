/* SPDX-License-Identifier: MIT */
/*
 * What the vector and floating-point emitters share: descriptors, and operands made from other operands.
 * Not an interface of isa/.
 */
#ifndef PAWL_ISA_EMIT_SIMD_H
#define PAWL_ISA_EMIT_SIMD_H

#include "emit.h"
#include "vec.h"

#define NO_V ((ir_v){0})

/* Element size of a floating-point instruction: h marks half precision, sz tells single from double. */
static inline unsigned fp_size(unsigned h, unsigned sz)
{
	return h ? 1 : 2 + sz;
}

static inline uint32_t vdesc(unsigned size, unsigned q, uint32_t fl)
{
	return IR_VD_SIZE(size) | (q ? IR_VD_Q : 0) | fl;
}

/* A vector of doublewords makes no sense in 64 bits: size 3 without Q is reserved, except for scalars. */
static inline bool reserved_1d(unsigned size, unsigned q, uint32_t fl)
{
	return size == 3 && !q && !(fl & IR_VD_SCALAR);
}

static inline ir_v zero_v(struct isa_ctx *ctx)
{
	return ir_v_from_x(ctx->b, ir_const(ctx->b, 0));
}

/* Element `lane` of v in all elements. */
static inline ir_v dup_v(struct isa_ctx *ctx, ir_v v, unsigned size, unsigned lane)
{
	return ir_vop(ctx->b, IR_VOP_dup, v, NO_V, NO_V, vdesc(size, 1, IR_VD_IMM(lane)));
}

/* op on vectors a, b and, if acc, Vd; the result to Vd. */
static inline bool put_vop(struct isa_ctx *ctx, unsigned op, unsigned rd, ir_v a, ir_v b, bool acc, uint32_t desc)
{
	ir_v c = acc ? ir_getv(ctx->b, rd) : NO_V;

	ir_putv(ctx->b, rd, ir_vop(ctx->b, (enum ir_vop_id)op, a, b, c, desc));
	return true;
}

/* op on neighbours: the even elements of n:m are the first operands, the odd ones the second. */
static inline bool put_pairwise(struct isa_ctx *ctx, unsigned op, unsigned rd, unsigned rn, unsigned rm, uint32_t desc)
{
	uint32_t perm = desc & (IR_VD_SIZE(7) | IR_VD_Q);
	ir_v n = ir_getv(ctx->b, rn), m = ir_getv(ctx->b, rm);
	ir_v even = ir_vop(ctx->b, IR_VOP_uzp1, n, m, NO_V, perm);
	ir_v odd = ir_vop(ctx->b, IR_VOP_uzp2, n, m, NO_V, perm);

	return put_vop(ctx, op, rd, even, odd, false, desc);
}

#endif
