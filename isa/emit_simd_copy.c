/* SPDX-License-Identifier: MIT */
/*
 * Moving elements about: Arm ARM DDI 0487, "Advanced SIMD copy", "permute", "extract", "table lookup", "modified
 * immediate".
 */
#include "emit_simd.h"

/* imm5: the lowest bit set is the element size, the bits above it are the index. False if reserved. */
static bool decode_imm5(unsigned imm5, unsigned *size, unsigned *lane)
{
	if (!(imm5 & 15))
		return false;
	*size = (unsigned)__builtin_ctz(imm5);
	*lane = imm5 >> (*size + 1);
	return true;
}

bool emit_DUP_s(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;

	return decode_imm5(a->imm5, &size, &lane) && put_vop(ctx, IR_VOP_dup, a->rd, ir_getv(ctx->b, a->rn), NO_V,
							     false, vdesc(size, 0, IR_VD_SCALAR | IR_VD_IMM(lane)));
}

bool emit_DUP_v(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;

	return decode_imm5(a->imm5, &size, &lane) && !reserved_1d(size, a->q, 0) &&
	       put_vop(ctx, IR_VOP_dup, a->rd, ir_getv(ctx->b, a->rn), NO_V, false, vdesc(size, a->q, IR_VD_IMM(lane)));
}

bool emit_DUP_gen(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;

	return decode_imm5(a->imm5, &size, &lane) && !reserved_1d(size, a->q, 0) &&
	       put_vop(ctx, IR_VOP_dup, a->rd, ir_v_from_x(ctx->b, get_x(ctx, a->rn)), NO_V, false,
		       vdesc(size, a->q, 0));
}

/* To W from bytes and halfwords, to X also from words. */
bool emit_SMOV(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;
	ir_x v;

	if (!decode_imm5(a->imm5, &size, &lane) || size > 1 + a->q)
		return false;
	v = ir_x_from_v(ctx->b, ir_getv(ctx->b, a->rn), size, lane, true);
	put_x(ctx, a->rd, a->q ? v : ir_ubfx(ctx->b, v, 0, 32));
	return true;
}

/* To X from doublewords, to W from what is smaller. */
bool emit_UMOV(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;

	if (!decode_imm5(a->imm5, &size, &lane) || (size == 3) != a->q)
		return false;
	put_x(ctx, a->rd, ir_x_from_v(ctx->b, ir_getv(ctx->b, a->rn), size, lane, false));
	return true;
}

bool emit_INS_gen(struct isa_ctx *ctx, const struct args_simd_copy *a)
{
	unsigned size, lane;

	if (!decode_imm5(a->imm5, &size, &lane))
		return false;
	ir_putv(ctx->b, a->rd, ir_v_ins_x(ctx->b, ir_getv(ctx->b, a->rd), size, lane, get_x(ctx, a->rn)));
	return true;
}

bool emit_INS_elem(struct isa_ctx *ctx, const struct args_INS_elem *a)
{
	unsigned size, lane;

	return decode_imm5(a->imm5, &size, &lane) &&
	       put_vop(ctx, IR_VOP_ins, a->rd, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), false,
		       vdesc(size, 1, IR_VD_IMM(lane) | IR_VD_LANE(a->imm4 >> size)));
}

bool emit_simd_perm(struct isa_ctx *ctx, const struct args_simd_perm *a)
{
	return !reserved_1d(a->size, a->q, 0) && put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn),
							 ir_getv(ctx->b, a->rm), false, vdesc(a->size, a->q, 0));
}

bool emit_EXT(struct isa_ctx *ctx, const struct args_EXT *a)
{
	if (!a->q && a->imm4 >= 8)
		return false;
	return put_vop(ctx, IR_VOP_ext, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), false,
		       vdesc(0, a->q, IR_VD_IMM(a->imm4)));
}

/* One step for each register of the table; an index that no register has leaves `none`. */
static bool table_lookup(struct isa_ctx *ctx, const struct args_simd_tbl *a, ir_v none)
{
	ir_v index = ir_getv(ctx->b, a->rm);

	for (unsigned i = 0; i <= a->len; i++)
		none = ir_vop(ctx->b, IR_VOP_tbx, index, ir_getv(ctx->b, (a->rn + i) % 32), none,
			      vdesc(0, a->q, IR_VD_IMM(16 * i)));
	ir_putv(ctx->b, a->rd, none);
	return true;
}

bool emit_TBL(struct isa_ctx *ctx, const struct args_simd_tbl *a)
{
	return table_lookup(ctx, a, zero_v(ctx));
}

bool emit_TBX(struct isa_ctx *ctx, const struct args_simd_tbl *a)
{
	return table_lookup(ctx, a, ir_getv(ctx->b, a->rd));
}

/* VFPExpandImm: sign, an exponent of 3 bits around the bias, 4 bits of fraction */
static uint64_t expand_fp(unsigned imm8, unsigned ebits, unsigned fbits)
{
	uint64_t exp = imm8 & 0x40 ? (1u << (ebits - 1)) - 4 : 1u << (ebits - 1);

	return (uint64_t)(imm8 >> 7) << (ebits + fbits) | (exp | (imm8 >> 4 & 3)) << fbits |
	       (uint64_t)(imm8 & 15) << (fbits - 4);
}

bool emit_FMOV_imm(struct isa_ctx *ctx, const struct args_fp_imm *a)
{
	uint64_t v = a->h ? expand_fp(a->imm8, 5, 10) : a->sz ? expand_fp(a->imm8, 11, 52) : expand_fp(a->imm8, 8, 23);

	ir_putv(ctx->b, a->rd, ir_v_from_x(ctx->b, ir_const(ctx->b, v)));
	return true;
}

/* AdvSIMDExpandImm: 64 bits */
static uint64_t expand_imm(unsigned op, unsigned cmode, unsigned imm8)
{
	uint64_t v = imm8;

	switch (cmode >> 1) {
	case 0:
	case 1:
	case 2:
	case 3: v = (v << (cmode >> 1) * 8) * 0x100000001; break;
	case 4:
	case 5: v = (v << (cmode >> 1 & 1) * 8) * 0x0001000100010001; break;
	case 6: v = (cmode & 1 ? v << 16 | 0xffff : v << 8 | 0xff) * 0x100000001; break;
	default:
		if (cmode == 14 && op) { /* a bit for each byte */
			v = 0;
			for (unsigned i = 0; i < 8; i++)
				v |= imm8 >> i & 1 ? (uint64_t)0xff << 8 * i : 0;
		} else if (cmode == 14) {
			v *= 0x0101010101010101;
		} else {
			v = op ? expand_fp(imm8, 11, 52) : expand_fp(imm8, 8, 23) * 0x100000001;
		}
		break;
	}
	return v;
}

static ir_v const_v(struct isa_ctx *ctx, uint64_t v, bool q)
{
	ir_x c = ir_const(ctx->b, v);

	return q ? ir_v_from_xx(ctx->b, c, c) : ir_v_from_x(ctx->b, c);
}

/* MOVI, MVNI, ORR, BIC (immediate), FMOV (vector, immediate) */
bool emit_MOVI(struct isa_ctx *ctx, const struct args_simd_modimm *a)
{
	uint64_t v = expand_imm(a->op, a->cmode, a->abc << 5 | a->defgh);
	bool to_vd = a->cmode < 12 && a->cmode & 1; /* ORR, BIC */

	if (a->cmode == 15 && a->op && !a->q)
		return false;
	if (to_vd)
		return put_vop(ctx, a->op ? IR_VOP_vbic : IR_VOP_vorr, a->rd, ir_getv(ctx->b, a->rd),
			       const_v(ctx, v, a->q), false, vdesc(0, a->q, 0));
	ir_putv(ctx->b, a->rd, const_v(ctx, a->op && a->cmode < 14 ? ~v : v, a->q));
	return true;
}

bool emit_FMOV_v_h(struct isa_ctx *ctx, const struct args_simd_modimm *a)
{
	uint64_t v = expand_fp(a->abc << 5 | a->defgh, 5, 10) * 0x0001000100010001;

	ir_putv(ctx->b, a->rd, const_v(ctx, v, a->q));
	return true;
}
