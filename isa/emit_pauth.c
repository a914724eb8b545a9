/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication and branch target identification: Arm ARM DDI 0487, FEAT_PAuth and FEAT_BTI: "Data-processing (1
 * source)", "Hints", "Unconditional branch (register)", "Load/store register (pac)". Keys, algorithm and whether a key is
 * enabled are the PE's business: the pauth op calls it. What a branch leaves in PSTATE.BTYPE is here; the PE checks it
 * where the branch lands.
 */
#include "emit.h"

static ir_x pauth(struct isa_ctx *ctx, unsigned op, unsigned key, ir_x ptr, ir_x modifier)
{
	return ir_pauth(ctx->b, IR_PAUTH(op, key), ptr, modifier);
}

/* The modifier is X[n] or SP. */
bool emit_pac(struct isa_ctx *ctx, const struct args_pac *a)
{
	put_x(ctx, a->rd, pauth(ctx, a->op, a->key, get_x(ctx, a->rd), ir_getx(ctx->b, a->rn)));
	return true;
}

bool emit_pac_zero(struct isa_ctx *ctx, const struct args_pac *a)
{
	put_x(ctx, a->rd, pauth(ctx, a->op, a->key, get_x(ctx, a->rd), ir_const(ctx->b, 0)));
	return true;
}

bool emit_XPAC(struct isa_ctx *ctx, const struct args_XPAC *a)
{
	unsigned key = a->data ? IR_PAUTH_DA : IR_PAUTH_IA;

	put_x(ctx, a->rd, pauth(ctx, IR_PAUTH_STRIP, key, get_x(ctx, a->rd), ir_const(ctx->b, 0)));
	return true;
}

bool emit_PACGA(struct isa_ctx *ctx, const struct args_rrr *a)
{
	ir_x v = get_x(ctx, a->rn);

	put_x(ctx, a->rd, pauth(ctx, IR_PAUTH_GENERIC, 0, v, ir_getx(ctx->b, a->rm)));
	return true;
}

/* ---- hints: NOPs without the feature. X17 with X16, else X30 with SP or zero. */

bool emit_XPACLRI(struct isa_ctx *ctx, const struct args_none *a)
{
	if (isa_has(ctx, ISA_PAUTH))
		ir_putx(ctx->b, 30, pauth(ctx, IR_PAUTH_STRIP, IR_PAUTH_IA, ir_getx(ctx->b, 30), ir_const(ctx->b, 0)));
	return true;
}

bool emit_hint_pac(struct isa_ctx *ctx, const struct args_hint_pac *a)
{
	unsigned reg = a->mod == 16 ? 17 : 30;

	if (isa_has(ctx, ISA_PAUTH))
		ir_putx(ctx->b, reg,
			pauth(ctx, a->op, a->key, ir_getx(ctx->b, reg),
			      a->mod == 32 ? ir_const(ctx->b, 0) : ir_getx(ctx->b, a->mod)));
	return true;
}

/* ---- branches */

static ir_x checked(struct isa_ctx *ctx, unsigned key, ir_x ptr, ir_x modifier)
{
	return ir_pauth(ctx->b, IR_PAUTH(IR_PAUTH_CHECK, key) | IR_PAUTH_COMBINED, ptr, modifier);
}

static bool branch_target(struct isa_ctx *ctx, const struct args_branch_pac *a, ir_x *to)
{
	if (!a->z && a->rm != 31)
		return false;
	*to = checked(ctx, a->key, get_x(ctx, a->rn), a->z ? ir_getx(ctx->b, a->rm) : ir_const(ctx->b, 0));
	return true;
}

bool emit_BRA(struct isa_ctx *ctx, const struct args_branch_pac *a)
{
	ir_x to;

	if (!branch_target(ctx, a, &to))
		return false;
	emit_btype_jump(ctx, a->rn);
	ir_br_ind(ctx->b, to, IR_BR_JUMP);
	return true;
}

bool emit_BLRA(struct isa_ctx *ctx, const struct args_branch_pac *a)
{
	ir_x to;

	if (!branch_target(ctx, a, &to))
		return false;
	emit_btype(ctx, BTYPE_CALL);
	ir_putx(ctx->b, 30, ir_const(ctx->b, ctx->pc + 4));
	ir_br_ind(ctx->b, to, IR_BR_CALL);
	return true;
}

bool emit_RETA(struct isa_ctx *ctx, const struct args_pac_key *a)
{
	ir_x to = checked(ctx, a->key, ir_getx(ctx->b, 30), ir_getx(ctx->b, 31));

	if (ctx->btype)
		emit_btype(ctx, BTYPE_NONE);
	ir_br_ind(ctx->b, to, IR_BR_RET);
	return true;
}

/* The check is part of the return, which is the PE's: payload is the key plus 1. */
bool emit_ERETA(struct isa_ctx *ctx, const struct args_pac_key *a)
{
	if (ctx->el == 0)
		return false;
	ir_exit(ctx->b, IR_EXIT_ERET, 1 + a->key);
	return true;
}

/* ---- loads */

bool emit_LDRA(struct isa_ctx *ctx, const struct args_LDRA *a)
{
	int64_t offset = (int64_t)((uint64_t)(a->s << 9 | a->imm) << 54) >> 51; /* ten bits, signed, times 8 */
	uint32_t m = IR_MEM(3, a->rt, a->rn, IR_MEM_SF | (a->w ? 0 : IR_MEM_ISV));
	ir_x base = checked(ctx, IR_PAUTH_DA + a->key, ir_getx(ctx->b, a->rn), ir_const(ctx->b, 0));
	ir_x v = ir_load(ctx->b, base, offset, m);

	if (a->w)
		ir_putx(ctx->b, a->rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)offset));
	put_x(ctx, a->rt, v);
	return true;
}

/* ---- branch targets: the PE has checked it before the block */

bool emit_BTI(struct isa_ctx *ctx, const struct args_bti *a)
{
	return true;
}

void emit_btype(struct isa_ctx *ctx, unsigned btype)
{
	if (isa_has(ctx, ISA_BTI))
		ir_btype(ctx->b, btype);
}

/* From a guarded page a jump may only go to "BTI j", unless through the registers that linkers' veneers use. */
void emit_btype_jump(struct isa_ctx *ctx, unsigned rn)
{
	emit_btype(ctx, ctx->guarded && rn != 16 && rn != 17 ? BTYPE_JUMP : BTYPE_ANY);
}
