/* SPDX-License-Identifier: MIT */
/*
 * Arm ARM DDI 0487, "Advanced SIMD shift by immediate" and its scalar class, including the conversions from and to
 * fixed point. The highest bit set in immh is the element size; the shift is what immh:immb says beyond it.
 */
#include "emit_simd.h"

static unsigned shift_size(const struct args_simd_shift *a)
{
	return 31 - (unsigned)__builtin_clz(a->immh);
}

/* 1..element size */
static unsigned right_amount(const struct args_simd_shift *a)
{
	return (16u << shift_size(a)) - (a->immh << 3 | a->immb);
}

/* 0..element size - 1 */
static unsigned left_amount(const struct args_simd_shift *a)
{
	return (a->immh << 3 | a->immb) - (8u << shift_size(a));
}

static bool shift_same(struct isa_ctx *ctx, const struct args_simd_shift *a, unsigned amount, bool acc)
{
	unsigned size = shift_size(a);

	if (reserved_1d(size, a->q, a->fl))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, acc,
		       vdesc(size, a->q, a->fl | IR_VD_IMM(amount)));
}

bool emit_simd_shift_right(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_same(ctx, a, right_amount(a), false);
}

bool emit_simd_shift_right_acc(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_same(ctx, a, right_amount(a), true);
}

bool emit_simd_shift_left(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_same(ctx, a, left_amount(a), false);
}

bool emit_simd_shift_left_acc(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_same(ctx, a, left_amount(a), true);
}

/* Q selects the half that is narrow. */
static bool shift_half(struct isa_ctx *ctx, const struct args_simd_shift *a, unsigned amount, bool acc)
{
	unsigned size = shift_size(a);

	if (size == 3)
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, acc,
		       vdesc(size, a->q, a->fl | IR_VD_IMM(amount) | (a->q ? IR_VD_HI : 0)));
}

bool emit_simd_shift_narrow(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_half(ctx, a, right_amount(a), a->q);
}

bool emit_simd_shift_long(struct isa_ctx *ctx, const struct args_simd_shift *a)
{
	return shift_half(ctx, a, left_amount(a), false);
}
