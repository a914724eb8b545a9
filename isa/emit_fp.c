/* SPDX-License-Identifier: MIT */
/*
 * Scalar floating point: Arm ARM DDI 0487, "Floating-point data-processing", "compare", "conditional compare",
 * "conditional select", and "Conversion between floating-point and integer" (and fixed-point). FMOV (immediate) is in
 * emit_simd_copy.c with the other immediates.
 */
#include "emit_simd.h"

bool emit_fp1(struct isa_ctx *ctx, const struct args_fp1 *a)
{
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, false,
		       vdesc(fp_size(a->h, a->sz), 0, IR_VD_SCALAR | a->fl));
}

bool emit_fp2(struct isa_ctx *ctx, const struct args_fp2 *a)
{
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), false,
		       vdesc(fp_size(a->h, a->sz), 0, IR_VD_SCALAR | a->fl));
}

bool emit_fp3(struct isa_ctx *ctx, const struct args_fp3 *a)
{
	ir_putv(ctx->b, a->rd,
		ir_vop(ctx->b, IR_VOP_fmla, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), ir_getv(ctx->b, a->ra),
		       vdesc(fp_size(a->h, a->sz), 0, IR_VD_SCALAR | a->fl)));
	return true;
}

bool emit_fp_cvt(struct isa_ctx *ctx, const struct args_fp_cvt *a)
{
	return put_vop(ctx, IR_VOP_fcvt, a->rd, ir_getv(ctx->b, a->rn), NO_V, false,
		       vdesc(a->from, 0, IR_VD_SCALAR | IR_VD_TO(a->to)));
}

bool emit_BFCVT(struct isa_ctx *ctx, const struct args_BFCVT *a)
{
	return put_vop(ctx, IR_VOP_bfcvtn, a->rd, ir_getv(ctx->b, a->rn), NO_V, false, vdesc(1, 0, IR_VD_SCALAR));
}

/* ---- integers and fixed point */

static bool to_general(struct isa_ctx *ctx, unsigned sf, unsigned size, unsigned rn, unsigned rd, uint32_t fl)
{
	ir_v v = ir_vop(ctx->b, IR_VOP_fcvtz_x, ir_getv(ctx->b, rn), NO_V, NO_V,
			vdesc(size, 0, IR_VD_SCALAR | IR_VD_TO(2 + sf) | fl));

	put_x(ctx, rd, ir_x_from_v(ctx->b, v, 2 + sf, 0, false));
	return true;
}

static bool from_general(struct isa_ctx *ctx, unsigned sf, unsigned size, unsigned rn, unsigned rd, uint32_t fl)
{
	return put_vop(ctx, IR_VOP_scvtf_x, rd, ir_v_from_x(ctx->b, get_x(ctx, rn)), NO_V, false,
		       vdesc(2 + sf, 0, IR_VD_SCALAR | IR_VD_TO(size) | fl));
}

bool emit_fp_to_int(struct isa_ctx *ctx, const struct args_fp_int *a)
{
	return to_general(ctx, a->sf, fp_size(a->h, a->sz), a->rn, a->rd, a->fl);
}

bool emit_fp_from_int(struct isa_ctx *ctx, const struct args_fp_int *a)
{
	return from_general(ctx, a->sf, fp_size(a->h, a->sz), a->rn, a->rd, a->fl);
}

/* scale is 64 minus the number of fraction bits, of which a word has at most 32. */
bool emit_fp_to_fixed(struct isa_ctx *ctx, const struct args_fp_fixed *a)
{
	if (!a->sf && a->scale < 32)
		return false;
	return to_general(ctx, a->sf, fp_size(a->h, a->sz), a->rn, a->rd,
			  a->fl | IR_VD_RM(IR_RM_ZERO) | IR_VD_IMM(64 - a->scale));
}

bool emit_fp_from_fixed(struct isa_ctx *ctx, const struct args_fp_fixed *a)
{
	if (!a->sf && a->scale < 32)
		return false;
	return from_general(ctx, a->sf, fp_size(a->h, a->sz), a->rn, a->rd, a->fl | IR_VD_IMM(64 - a->scale));
}

bool emit_fp_mov_to_gen(struct isa_ctx *ctx, const struct args_fp_mov_gen *a)
{
	put_x(ctx, a->rd, ir_x_from_v(ctx->b, ir_getv(ctx->b, a->rn), a->size, a->lane, false));
	return true;
}

bool emit_fp_mov_from_gen(struct isa_ctx *ctx, const struct args_fp_mov_gen *a)
{
	ir_x v = get_x(ctx, a->rn);

	if (a->lane) /* only the upper half is written */
		ir_putv(ctx->b, a->rd, ir_v_ins_x(ctx->b, ir_getv(ctx->b, a->rd), a->size, a->lane, v));
	else
		ir_putv(ctx->b, a->rd, ir_v_from_x(ctx->b, a->size < 3 ? ir_ubfx(ctx->b, v, 0, 8u << a->size) : v));
	return true;
}

/* Z says that the conversion was exact; N, C and V are 0. */
bool emit_FJCVTZS(struct isa_ctx *ctx, const struct args_FJCVTZS *a)
{
	ir_v v = ir_vop(ctx->b, IR_VOP_fjcvtzs, ir_getv(ctx->b, a->rn), NO_V, NO_V, vdesc(3, 0, IR_VD_SCALAR));
	ir_x z = ir_x_from_v(ctx->b, v, 2, 1, false);

	put_x(ctx, a->rd, ir_x_from_v(ctx->b, v, 2, 0, false));
	ir_putf(ctx->b, ir_fl_pack(ctx->b, ir_bini(ctx->b, IR_shl64, z, 30)));
	return true;
}

/* ---- comparison and selection */

bool emit_fp_cmp(struct isa_ctx *ctx, const struct args_fp_cmp *a)
{
	ir_putf(ctx->b,
		ir_fl_fcmp(ctx->b, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), fp_size(a->h, a->sz), a->fl));
	return true;
}

bool emit_fp_cmp_zero(struct isa_ctx *ctx, const struct args_fp_cmp *a)
{
	ir_putf(ctx->b, ir_fl_fcmp(ctx->b, ir_getv(ctx->b, a->rn), zero_v(ctx), fp_size(a->h, a->sz), a->fl));
	return true;
}

/* Element 0 of V[reg] as an integer. */
static ir_x element0(struct isa_ctx *ctx, unsigned reg, unsigned size)
{
	return ir_x_from_v(ctx->b, ir_getv(ctx->b, reg), size, 0, false);
}

/* If the condition fails nothing is compared, so FPSR must not change: compare zeros then. */
bool emit_FCCMP(struct isa_ctx *ctx, const struct args_fp_ccmp *a)
{
	unsigned size = fp_size(a->h, a->sz);
	ir_x zero = ir_const(ctx->b, 0), cond = ir_cond(ctx->b, ir_getf(ctx->b), (enum ir_cond)a->cond);
	ir_x n = ir_select(ctx->b, cond, element0(ctx, a->rn, size), zero);
	ir_x m = ir_select(ctx->b, cond, element0(ctx, a->rm, size), zero);
	ir_f f = ir_fl_fcmp(ctx->b, ir_v_from_x(ctx->b, n), ir_v_from_x(ctx->b, m), size, a->op);

	ir_putf(ctx->b, ir_fl_select(ctx->b, cond, f, ir_fl_const(ctx->b, a->nzcv)));
	return true;
}

bool emit_FCSEL(struct isa_ctx *ctx, const struct args_fp_csel *a)
{
	unsigned size = fp_size(a->h, a->sz);
	ir_x cond = ir_cond(ctx->b, ir_getf(ctx->b), (enum ir_cond)a->cond);
	ir_x v = ir_select(ctx->b, cond, element0(ctx, a->rn, size), element0(ctx, a->rm, size));

	ir_putv(ctx->b, a->rd, ir_v_from_x(ctx->b, v));
	return true;
}
