/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of two registers: Arm ARM DDI 0487, "Load/store register pair" with all indexings and "no-allocate
 * pair"; general and SIMD&FP registers. An abort never has ISV. SP alignment: see emit_ldst.c.
 *
 * CONSTRAINED UNPREDICTABLE: writeback with the base among the registers transferred behaves as in emit_ldst.c; a load
 * of both elements into one register leaves the second there.
 */
#include "emit.h"

enum index { OFFSET, POST, PRE };

static bool pair_x(struct isa_ctx *ctx, const struct args_ldst_pair *a, enum index index)
{
	unsigned log2size = a->opc & 2 ? 3 : 2;
	uint32_t sse = a->opc & 1 ? IR_MEM_SSE | IR_MEM_SF : 0; /* LDPSW */
	int64_t disp = (int64_t)a->imm * (1 << log2size), at = index == POST ? 0 : disp;
	uint32_t m = IR_MEM(log2size, a->rt, a->rn, IR_MEM_PAIR | sse | (log2size == 3 ? IR_MEM_SF : 0));
	ir_x base = ir_getx(ctx->b, a->rn);
	ir_x lo = {0}, hi = {0};
	/* FEAT_LSE2: an aligned pair of doublewords is one access, as the engines' vector loads and stores are. */
	uint32_t one = IR_MEM(4, a->rt, a->rn, IR_MEM_ELEM(3));
	bool as_one = ctx->pair_as_vector && a->opc & 2;

	if (as_one && a->L) {
		ir_v v = ir_loadv(ctx->b, base, at, one);

		lo = ir_x_from_v(ctx->b, v, 3, 0, false);
		hi = ir_x_from_v(ctx->b, v, 3, 1, false);
	} else if (as_one) {
		ir_storev(ctx->b, base, at, ir_v_from_xx(ctx->b, get_x(ctx, a->rt), get_x(ctx, a->rt2)), one);
	} else if (a->L) {
		ir_loadp(ctx->b, base, at, m, &lo, &hi);
	} else {
		ir_storep(ctx->b, base, at, get_x(ctx, a->rt), get_x(ctx, a->rt2), m);
	}
	if (index != OFFSET)
		ir_putx(ctx->b, a->rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)disp));
	if (!a->L)
		return true;
	put_x(ctx, a->rt, lo);
	put_x(ctx, a->rt2, hi);
	return true;
}

bool emit_ldst_pair_offset(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_x(ctx, a, OFFSET);
}

bool emit_ldst_pair_post(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_x(ctx, a, POST);
}

bool emit_ldst_pair_pre(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_x(ctx, a, PRE);
}

/* opc: 0 S, 1 D, 2 Q */
static bool pair_v(struct isa_ctx *ctx, const struct args_ldst_pair *a, enum index index)
{
	unsigned log2size = 2 + a->opc;
	int64_t disp = (int64_t)a->imm * (1 << log2size), at = index == POST ? 0 : disp;
	uint32_t m = IR_MEM(log2size, a->rt, a->rn, IR_MEM_PAIR);
	ir_x base = ir_getx(ctx->b, a->rn);
	ir_v lo = {0}, hi = {0};

	if (a->L)
		ir_loadpv(ctx->b, base, at, m, &lo, &hi);
	else
		ir_storepv(ctx->b, base, at, ir_getv(ctx->b, a->rt), ir_getv(ctx->b, a->rt2), m);
	if (index != OFFSET)
		ir_putx(ctx->b, a->rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)disp));
	if (!a->L)
		return true;
	ir_putv(ctx->b, a->rt, lo);
	ir_putv(ctx->b, a->rt2, hi);
	return true;
}

bool emit_ldst_pairv_offset(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_v(ctx, a, OFFSET);
}

bool emit_ldst_pairv_post(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_v(ctx, a, POST);
}

bool emit_ldst_pairv_pre(struct isa_ctx *ctx, const struct args_ldst_pair *a)
{
	return pair_v(ctx, a, PRE);
}
