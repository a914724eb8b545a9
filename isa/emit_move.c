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
