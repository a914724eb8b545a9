/* SPDX-License-Identifier: MIT */
/*
 * Constants into registers: Arm ARM DDI 0487, "PC-rel. addressing", "Move wide (immediate)".
 */
#include "emit.h"

bool emit_ADR(struct isa_ctx *ctx, const struct args_adr *a)
{
	put_x(ctx, a->rd, ir_const(ctx->b, ctx->pc + ((uint64_t)(int64_t)a->immhi << 2 | a->immlo)));
	return true;
}

bool emit_ADRP(struct isa_ctx *ctx, const struct args_adr *a)
{
	uint64_t imm = (uint64_t)(int64_t)a->immhi << 2 | a->immlo;

	put_x(ctx, a->rd, ir_const(ctx->b, (ctx->pc & ~0xfffull) + (imm << 12)));
	return true;
}

/* The halfword in its place; false: beyond the register. */
static bool halfword(const struct args_movw *a, uint64_t *v)
{
	if (!a->sf && a->hw >= 2)
		return false;
	*v = (uint64_t)a->imm << (16 * a->hw);
	return true;
}

bool emit_MOVN(struct isa_ctx *ctx, const struct args_movw *a)
{
	uint64_t v;

	if (!halfword(a, &v))
		return false;
	put_x(ctx, a->rd, ir_const(ctx->b, ~v & ones(a->sf ? 64 : 32)));
	return true;
}

bool emit_MOVZ(struct isa_ctx *ctx, const struct args_movw *a)
{
	uint64_t v;

	if (!halfword(a, &v))
		return false;
	put_x(ctx, a->rd, ir_const(ctx->b, v));
	return true;
}

bool emit_MOVK(struct isa_ctx *ctx, const struct args_movw *a)
{
	uint64_t v;

	if (!halfword(a, &v))
		return false;
	put_x(ctx, a->rd, ir_bfi(ctx->b, get_r(ctx, a->sf, a->rd), ir_const(ctx->b, a->imm), 16 * a->hw, 16));
	return true;
}
