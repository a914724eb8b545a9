/* SPDX-License-Identifier: MIT */
/*
 * Addition and subtraction: Arm ARM DDI 0487, "Add/subtract (immediate)", "(shifted register)", "(extended register)",
 * "(with carry)". The aliases CMP, CMN, NEG, NGC and MOV (to/from SP) are these with register 31.
 */
#include "emit.h"

/* Immediate and extended forms: Rn is SP-or-X; Rd too unless the flags are set. */
static void put_sum_sp(struct isa_ctx *ctx, bool sub, bool setflags, bool sf, unsigned rd, ir_x a, ir_x c)
{
	ir_x sum = ir_bin(ctx->b, sub ? BY_SF(sf, sub) : BY_SF(sf, add), a, c);

	if (setflags)
		ir_putf(ctx->b, sub ? ir_fl_sub(ctx->b, sf, a, c) : ir_fl_add(ctx->b, sf, a, c));
	if (setflags)
		put_x(ctx, rd, sum);
	else
		ir_putx(ctx->b, rd, sum);
}

static bool addsub_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a, bool sub, bool setflags)
{
	ir_x imm = ir_const(ctx->b, a->sh ? (uint64_t)a->imm << 12 : a->imm);

	put_sum_sp(ctx, sub, setflags, a->sf, a->rd, ir_getx(ctx->b, a->rn), imm);
	return true;
}

bool emit_ADD_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, false, false);
}

bool emit_ADDS_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, false, true);
}

bool emit_SUB_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, true, false);
}

bool emit_SUBS_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, true, true);
}
