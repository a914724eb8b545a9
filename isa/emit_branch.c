/* SPDX-License-Identifier: MIT */
/*
 * Branches: Arm ARM DDI 0487, "Conditional branch (immediate)", "Unconditional branch", "Compare and branch", "Test and
 * branch". A conditional branch leaves the block if it is taken; else the block goes on.
 */
#include "emit.h"

static uint64_t target(const struct isa_ctx *ctx, int32_t words)
{
	return ctx->pc + (uint64_t)((int64_t)words * 4);
}

bool emit_B(struct isa_ctx *ctx, const struct args_branch_imm *a)
{
	ir_br(ctx->b, target(ctx, a->imm));
	return true;
}

bool emit_BL(struct isa_ctx *ctx, const struct args_branch_imm *a)
{
	ir_putx(ctx->b, 30, ir_const(ctx->b, ctx->pc + 4));
	ir_br(ctx->b, target(ctx, a->imm));
	return true;
}

/* Also BC.cond, whose hint about the direction is of no use. */
bool emit_B_cond(struct isa_ctx *ctx, const struct args_b_cond *a)
{
	if (a->cond >= IR_AL) /* NV is always true, too */
		ir_br(ctx->b, target(ctx, a->imm));
	else
		ir_brcond(ctx->b, ir_cond(ctx->b, ir_getf(ctx->b), a->cond), target(ctx, a->imm));
	return true;
}

bool emit_CBZ(struct isa_ctx *ctx, const struct args_cbz *a)
{
	ir_brcond(ctx->b, ir_un(ctx->b, BY_SF(a->sf, eqz), get_x(ctx, a->rt)), target(ctx, a->imm));
	return true;
}

bool emit_CBNZ(struct isa_ctx *ctx, const struct args_cbz *a)
{
	ir_brcond(ctx->b, ir_un(ctx->b, BY_SF(a->sf, nez), get_x(ctx, a->rt)), target(ctx, a->imm));
	return true;
}

static ir_x test_bit(struct isa_ctx *ctx, const struct args_tbz *a)
{
	return ir_ubfx(ctx->b, get_x(ctx, a->rt), a->b5 << 5 | a->b40, 1);
}

bool emit_TBZ(struct isa_ctx *ctx, const struct args_tbz *a)
{
	ir_brcond(ctx->b, ir_un(ctx->b, IR_eqz64, test_bit(ctx, a)), target(ctx, a->imm));
	return true;
}

bool emit_TBNZ(struct isa_ctx *ctx, const struct args_tbz *a)
{
	ir_brcond(ctx->b, test_bit(ctx, a), target(ctx, a->imm));
	return true;
}

bool emit_BR(struct isa_ctx *ctx, const struct args_branch_reg *a)
{
	emit_btype_jump(ctx, a->rn);
	ir_br_ind(ctx->b, get_x(ctx, a->rn), IR_BR_JUMP);
	return true;
}

bool emit_BLR(struct isa_ctx *ctx, const struct args_branch_reg *a)
{
	ir_x to = get_x(ctx, a->rn); /* before X30 changes */

	emit_btype(ctx, BTYPE_CALL);
	ir_putx(ctx->b, 30, ir_const(ctx->b, ctx->pc + 4));
	ir_br_ind(ctx->b, to, IR_BR_CALL);
	return true;
}

bool emit_RET(struct isa_ctx *ctx, const struct args_branch_reg *a)
{
	if (ctx->btype)
		emit_btype(ctx, BTYPE_NONE);
	ir_br_ind(ctx->b, get_x(ctx, a->rn), IR_BR_RET);
	return true;
}
