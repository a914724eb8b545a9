/* SPDX-License-Identifier: MIT */
/*
 * Conditions and flags: Arm ARM DDI 0487, "Conditional select", "Conditional compare", "Rotate right into flags",
 * "Evaluate into flags", and the flag instructions CFINV, XAFLAG and AXFLAG of "PSTATE".
 */
#include "emit.h"

static bool always(unsigned cond)
{
	return cond >= IR_AL; /* the condition NV is always true in A64 */
}

/* ---- select */

static bool csel(struct isa_ctx *ctx, const struct args_csel *a, ir_x otherwise)
{
	ir_x v = get_r(ctx, a->sf, a->rn);

	if (!always(a->cond))
		v = ir_select(ctx->b, ir_cond(ctx->b, ir_getf(ctx->b), a->cond), v, otherwise);
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_CSEL(struct isa_ctx *ctx, const struct args_csel *a)
{
	return csel(ctx, a, get_r(ctx, a->sf, a->rm));
}

bool emit_CSINC(struct isa_ctx *ctx, const struct args_csel *a)
{
	return csel(ctx, a, ir_bini(ctx->b, BY_SF(a->sf, add), get_x(ctx, a->rm), 1));
}

bool emit_CSINV(struct isa_ctx *ctx, const struct args_csel *a)
{
	return csel(ctx, a, ir_un(ctx->b, a->sf ? IR_not64 : IR_not32, get_x(ctx, a->rm)));
}

bool emit_CSNEG(struct isa_ctx *ctx, const struct args_csel *a)
{
	return csel(ctx, a, ir_bin(ctx->b, BY_SF(a->sf, sub), ir_const(ctx->b, 0), get_x(ctx, a->rm)));
}

/* ---- compare; op: 0 CCMN, 1 CCMP */

static bool ccmp(struct isa_ctx *ctx, const struct args_ccmp *a, ir_x y)
{
	ir_x n = get_x(ctx, a->rn);
	ir_f f = a->op ? ir_fl_sub(ctx->b, a->sf, n, y) : ir_fl_add(ctx->b, a->sf, n, y);

	if (!always(a->cond)) {
		ir_x cond = ir_cond(ctx->b, ir_getf(ctx->b), a->cond);

		f = ir_fl_select(ctx->b, cond, f, ir_fl_const(ctx->b, a->nzcv));
	}
	ir_putf(ctx->b, f);
	return true;
}

bool emit_ccmp_reg(struct isa_ctx *ctx, const struct args_ccmp *a)
{
	return ccmp(ctx, a, get_x(ctx, a->y));
}

bool emit_ccmp_imm(struct isa_ctx *ctx, const struct args_ccmp *a)
{
	return ccmp(ctx, a, ir_const(ctx->b, a->y));
}

/* ---- flags as bits: in the order of SPSR, N is 31, Z 30, C 29, V 28 */

bool emit_RMIF(struct isa_ctx *ctx, const struct args_RMIF *a)
{
	ir_x v = ir_bini(ctx->b, IR_ror64, get_x(ctx, a->rn), a->imm);
	ir_x old = ir_fl_unpack(ctx->b, ir_getf(ctx->b));
	uint64_t mask = (uint64_t)a->mask << 28;

	v = ir_bini(ctx->b, IR_and, ir_bini(ctx->b, IR_shl64, v, 28), mask);
	v = ir_bin(ctx->b, IR_or, v, ir_bini(ctx->b, IR_and, old, ~mask));
	ir_putf(ctx->b, ir_fl_pack(ctx->b, v));
	return true;
}

/* N and Z of a value of that width; V if the next bit differs from its top bit; C is kept. */
static bool setf(struct isa_ctx *ctx, unsigned rn, unsigned width)
{
	struct ir_builder *b = ctx->b;
	ir_x v = get_x(ctx, rn);
	ir_x n = ir_ubfx(b, v, width - 1, 1);
	ir_x z = ir_un(b, IR_eqz64, ir_ubfx(b, v, 0, width));
	ir_x ovf = ir_bin(b, IR_xor, n, ir_ubfx(b, v, width, 1));
	ir_x f = ir_bini(b, IR_and, ir_fl_unpack(b, ir_getf(b)), 1u << 29);

	f = ir_bfi(b, f, n, 31, 1);
	f = ir_bfi(b, f, z, 30, 1);
	f = ir_bfi(b, f, ovf, 28, 1);
	ir_putf(b, ir_fl_pack(b, f));
	return true;
}

bool emit_SETF8(struct isa_ctx *ctx, const struct args_setf *a)
{
	return setf(ctx, a->rn, 8);
}

bool emit_SETF16(struct isa_ctx *ctx, const struct args_setf *a)
{
	return setf(ctx, a->rn, 16);
}

bool emit_CFINV(struct isa_ctx *ctx, const struct args_none *a)
{
	ir_x f = ir_fl_unpack(ctx->b, ir_getf(ctx->b));

	ir_putf(ctx->b, ir_fl_pack(ctx->b, ir_bini(ctx->b, IR_xor, f, 1u << 29)));
	return true;
}

static void put_nzcv(struct isa_ctx *ctx, ir_x n, ir_x z, ir_x c, ir_x v)
{
	ir_x f = ir_const(ctx->b, 0);

	f = ir_bfi(ctx->b, f, n, 31, 1);
	f = ir_bfi(ctx->b, f, z, 30, 1);
	f = ir_bfi(ctx->b, f, c, 29, 1);
	f = ir_bfi(ctx->b, f, v, 28, 1);
	ir_putf(ctx->b, ir_fl_pack(ctx->b, f));
}

bool emit_XAFLAG(struct isa_ctx *ctx, const struct args_none *a)
{
	struct ir_builder *b = ctx->b;
	ir_f f = ir_getf(b);
	ir_x z = ir_cond(b, f, IR_EQ), c = ir_cond(b, f, IR_CS), not_c = ir_cond(b, f, IR_CC);

	put_nzcv(ctx, ir_bin(b, IR_andn, not_c, z), ir_bin(b, IR_and, z, c), ir_bin(b, IR_or, c, z),
		 ir_bin(b, IR_and, not_c, z));
	return true;
}

bool emit_AXFLAG(struct isa_ctx *ctx, const struct args_none *a)
{
	struct ir_builder *b = ctx->b;
	ir_f f = ir_getf(b);
	ir_x z = ir_cond(b, f, IR_EQ), c = ir_cond(b, f, IR_CS), v = ir_cond(b, f, IR_VS);
	ir_x zero = ir_const(b, 0);

	put_nzcv(ctx, zero, ir_bin(b, IR_or, z, v), ir_bin(b, IR_andn, c, v), zero);
	return true;
}
