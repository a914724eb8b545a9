/* SPDX-License-Identifier: MIT */
/*
 * AND, ORR, EOR and their inverted and flag-setting forms: Arm ARM DDI 0487, "Logical (immediate)", "Logical (shifted
 * register)", and DecodeBitMasks() of the shared pseudocode.
 */
#include "emit.h"

/*
 * An immediate is a run of S + 1 ones in an element of 2, 4, ... 64 bits, rotated right by R and replicated. The
 * element size is in the leading bits of N:NOT(imms). A run that fills the element is reserved.
 */
static bool bit_mask(bool sf, unsigned n, unsigned imms, unsigned immr, uint64_t *out)
{
	unsigned sizes = n << 6 | (~imms & 0x3f);
	unsigned esize, s, r;
	uint64_t v;

	if (sizes < 2 || (n && !sf))
		return false;
	esize = 1u << (31 - __builtin_clz(sizes));
	s = imms & (esize - 1);
	r = immr & (esize - 1);
	if (s == esize - 1)
		return false;
	v = ones(s + 1);
	if (r)
		v = (v >> r | v << (esize - r)) & ones(esize);
	for (; esize < 64; esize *= 2)
		v |= v << esize;
	*out = sf ? v : v & ones(32);
	return true;
}

static bool logic_imm(struct isa_ctx *ctx, const struct args_logic_imm *a, enum ir_opcode op, bool setflags)
{
	uint64_t imm;
	ir_x v;

	if (!bit_mask(a->sf, a->N, a->imms, a->immr, &imm))
		return false;
	v = ir_bini(ctx->b, op, get_r(ctx, a->sf, a->rn), imm);
	if (setflags) {
		ir_putf(ctx->b, ir_fl_logic(ctx->b, a->sf, v));
		put_x(ctx, a->rd, v);
	} else {
		ir_putx(ctx->b, a->rd, v); /* 31 is SP */
	}
	return true;
}

bool emit_AND_imm(struct isa_ctx *ctx, const struct args_logic_imm *a)
{
	return logic_imm(ctx, a, IR_and, false);
}

bool emit_ORR_imm(struct isa_ctx *ctx, const struct args_logic_imm *a)
{
	return logic_imm(ctx, a, IR_or, false);
}

bool emit_EOR_imm(struct isa_ctx *ctx, const struct args_logic_imm *a)
{
	return logic_imm(ctx, a, IR_xor, false);
}

bool emit_ANDS_imm(struct isa_ctx *ctx, const struct args_logic_imm *a)
{
	return logic_imm(ctx, a, IR_and, true);
}

static bool logic_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a, enum ir_opcode op, bool invert,
			bool setflags)
{
	ir_x m, v;

	if (!a->sf && a->imm >= 32)
		return false;
	m = shift_r(ctx, a->sf, a->rm, a->shift, a->imm);
	if (invert)
		m = ir_un(ctx->b, a->sf ? IR_not64 : IR_not32, m);
	if (op == IR_or && a->rn == 31) /* MOV, MVN */
		v = m;
	else
		v = ir_bin(ctx->b, op, get_r(ctx, a->sf, a->rn), m);
	if (setflags)
		ir_putf(ctx->b, ir_fl_logic(ctx->b, a->sf, v));
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_AND_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_and, false, false);
}

bool emit_BIC_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_andn, false, false);
}

bool emit_ORR_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_or, false, false);
}

bool emit_ORN_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_or, true, false);
}

bool emit_EOR_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_xor, false, false);
}

bool emit_EON_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_xor, true, false);
}

bool emit_ANDS_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_and, false, true);
}

bool emit_BICS_shift(struct isa_ctx *ctx, const struct args_rrr_shift *a)
{
	return logic_shift(ctx, a, IR_andn, false, true);
}
