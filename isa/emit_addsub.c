/* SPDX-License-Identifier: MIT */
/*
 * Addition and subtraction: Arm ARM DDI 0487, "Add/subtract (immediate)", "(shifted register)", "(extended register)",
 * "(with carry)". The aliases CMP, CMN, NEG, NGC and MOV (to/from SP) are these with register 31.
 */
#include "emit.h"

enum op { ADD, ADDS, SUB, SUBS };

static ir_x sum(struct isa_ctx *ctx, enum op op, bool sf, ir_x a, ir_x c)
{
	return ir_bin(ctx->b, op == SUB || op == SUBS ? BY_SF(sf, sub) : BY_SF(sf, add), a, c);
}

static void put_flags(struct isa_ctx *ctx, enum op op, bool sf, ir_x a, ir_x c)
{
	if (op == ADDS)
		ir_putf(ctx->b, ir_fl_add(ctx->b, sf, a, c));
	else if (op == SUBS)
		ir_putf(ctx->b, ir_fl_sub(ctx->b, sf, a, c));
}

/* Immediate and extended register: Rn is SP or X, and so is Rd unless the flags are set. */
static void addsub_sp(struct isa_ctx *ctx, enum op op, bool sf, unsigned rd, unsigned rn, ir_x c)
{
	ir_x a = ir_getx(ctx->b, rn);
	ir_x v = sum(ctx, op, sf, a, c);

	put_flags(ctx, op, sf, a, c);
	if (rd != 31 || op == ADD || op == SUB)
		ir_putx(ctx->b, rd, v);
}

static bool addsub_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a, enum op op)
{
	uint64_t imm = a->sh ? (uint64_t)a->imm << 12 : a->imm;

	addsub_sp(ctx, op, a->sf, a->rd, a->rn, ir_const(ctx->b, imm));
	return true;
}

bool emit_ADD_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, ADD);
}

bool emit_ADDS_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, ADDS);
}

bool emit_SUB_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, SUB);
}

bool emit_SUBS_imm(struct isa_ctx *ctx, const struct args_addsub_imm *a)
{
	return addsub_imm(ctx, a, SUBS);
}

static bool addsub_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a, enum op op)
{
	ir_x n, m, v;

	if (!a->sf && a->imm >= 32)
		return false;
	n = get_x(ctx, a->rn);
	m = shift_r(ctx, a->sf, a->rm, a->shift, a->imm);
	v = sum(ctx, op, a->sf, n, m);
	put_flags(ctx, op, a->sf, n, m);
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_ADD_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return addsub_shift(ctx, a, ADD);
}

bool emit_ADDS_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return addsub_shift(ctx, a, ADDS);
}

bool emit_SUB_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return addsub_shift(ctx, a, SUB);
}

bool emit_SUBS_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return addsub_shift(ctx, a, SUBS);
}

static bool addsub_ext(struct isa_ctx *ctx, const struct args_rrr_ext *a, enum op op)
{
	if (a->imm > 4)
		return false;
	addsub_sp(ctx, op, a->sf, a->rd, a->rn, extend_x(ctx, a->rm, a->option, a->imm));
	return true;
}

bool emit_ADD_ext(struct isa_ctx *ctx, const struct args_rrr_ext *a)
{
	return addsub_ext(ctx, a, ADD);
}

bool emit_ADDS_ext(struct isa_ctx *ctx, const struct args_rrr_ext *a)
{
	return addsub_ext(ctx, a, ADDS);
}

bool emit_SUB_ext(struct isa_ctx *ctx, const struct args_rrr_ext *a)
{
	return addsub_ext(ctx, a, SUB);
}

bool emit_SUBS_ext(struct isa_ctx *ctx, const struct args_rrr_ext *a)
{
	return addsub_ext(ctx, a, SUBS);
}

/* AddWithCarry(); a subtraction adds the inverse. */
static bool addsub_carry(struct isa_ctx *ctx, const struct args_rrr *a, enum op op)
{
	ir_x n = get_x(ctx, a->rn), m = get_x(ctx, a->rm);
	ir_x carry = ir_cond(ctx->b, ir_getf(ctx->b), IR_CS);
	ir_x v;

	if (op == SUB || op == SUBS)
		m = ir_un(ctx->b, a->sf ? IR_not64 : IR_not32, m);
	v = ir_adc(ctx->b, a->sf, n, m, carry);
	if (op == ADDS || op == SUBS)
		ir_putf(ctx->b, ir_fl_adc(ctx->b, a->sf, n, m, carry));
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_ADC(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return addsub_carry(ctx, a, ADD);
}

bool emit_ADCS(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return addsub_carry(ctx, a, ADDS);
}

bool emit_SBC(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return addsub_carry(ctx, a, SUB);
}

bool emit_SBCS(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return addsub_carry(ctx, a, SUBS);
}
