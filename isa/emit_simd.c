/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD arithmetic on vectors and scalars: Arm ARM DDI 0487, "Advanced SIMD three same", "three different",
 * "two-register miscellaneous", "across lanes", "pairwise", "vector x indexed element" and their scalar and FP16
 * classes. A row names its operation, so most of this is about operands and about what is reserved.
 */
#include "emit_simd.h"

/* ---- three same */

static bool allocated(unsigned sizes, unsigned size, unsigned q, uint32_t fl)
{
	return sizes >> size & 1 && !reserved_1d(size, q, fl);
}

static bool three_same(struct isa_ctx *ctx, const struct args_simd3 *a, bool acc)
{
	if (!allocated(a->sizes, a->size, a->q, a->fl))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), acc,
		       vdesc(a->size, a->q, a->fl));
}

bool emit_simd3(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return three_same(ctx, a, false);
}

bool emit_simd3_acc(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return three_same(ctx, a, true);
}

bool emit_simd3_mmla(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return a->q && three_same(ctx, a, true);
}

bool emit_simd3_pair(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return allocated(a->sizes, a->size, a->q, 0) &&
	       put_pairwise(ctx, a->op, a->rd, a->rn, a->rm, vdesc(a->size, a->q, a->fl));
}

bool emit_simd_logic(struct isa_ctx *ctx, const struct args_simd_logic *a)
{
	if (a->op == IR_VOP_vorr && a->rn == a->rm && a->q) { /* MOV */
		ir_putv(ctx->b, a->rd, ir_getv(ctx->b, a->rn));
		return true;
	}
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), false, vdesc(0, a->q, 0));
}

/* The three bitwise selections differ in which register is the mask. */
static bool bitwise_select(struct isa_ctx *ctx, const struct args_simd_logic *a, ir_v mask, ir_v ones, ir_v zeros)
{
	ir_putv(ctx->b, a->rd, ir_vop(ctx->b, IR_VOP_vbsl, mask, ones, zeros, vdesc(0, a->q, 0)));
	return true;
}

bool emit_BSL_v(struct isa_ctx *ctx, const struct args_simd_logic *a)
{
	return bitwise_select(ctx, a, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm));
}

bool emit_BIT_v(struct isa_ctx *ctx, const struct args_simd_logic *a)
{
	return bitwise_select(ctx, a, ir_getv(ctx->b, a->rm), ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rd));
}

bool emit_BIF_v(struct isa_ctx *ctx, const struct args_simd_logic *a)
{
	return bitwise_select(ctx, a, ir_getv(ctx->b, a->rm), ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn));
}

static bool fp_three_same(struct isa_ctx *ctx, const struct args_simdf3 *a, bool acc)
{
	unsigned size = fp_size(a->h, a->sz);

	if (reserved_1d(size, a->q, a->fl))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), acc,
		       vdesc(size, a->q, a->fl));
}

bool emit_simdf3(struct isa_ctx *ctx, const struct args_simdf3 *a)
{
	return fp_three_same(ctx, a, false);
}

bool emit_simdf3_acc(struct isa_ctx *ctx, const struct args_simdf3 *a)
{
	return fp_three_same(ctx, a, true);
}

bool emit_simdf3_pair(struct isa_ctx *ctx, const struct args_simdf3 *a)
{
	unsigned size = fp_size(a->h, a->sz);

	return !reserved_1d(size, a->q, 0) && put_pairwise(ctx, a->op, a->rd, a->rn, a->rm, vdesc(size, a->q, a->fl));
}

bool emit_simd_fmlal(struct isa_ctx *ctx, const struct args_simd_fmlal *a)
{
	return put_vop(ctx, IR_VOP_fmlal, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), true,
		       vdesc(1, a->q, a->fl));
}

bool emit_simd_bf(struct isa_ctx *ctx, const struct args_simd_bf *a)
{
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), true, vdesc(2, a->q, a->fl));
}

bool emit_BFCVTN(struct isa_ctx *ctx, const struct args_BFCVTN *a)
{
	return put_vop(ctx, IR_VOP_bfcvtn, a->rd, ir_getv(ctx->b, a->rn), NO_V, a->q,
		       vdesc(1, a->q, a->q ? IR_VD_HI : 0));
}

/* Complex numbers: no bytes, and halves only with FP16. */
static bool complex_size(struct isa_ctx *ctx, unsigned size, unsigned q)
{
	return size != 0 && !reserved_1d(size, q, 0) && (size != 1 || isa_has(ctx, ISA_FP16));
}

bool emit_FCMLA_v(struct isa_ctx *ctx, const struct args_FCMLA_v *a)
{
	return complex_size(ctx, a->size, a->q) &&
	       put_vop(ctx, IR_VOP_fcmla, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), true,
		       vdesc(a->size, a->q, IR_VD_IMM(a->rot)));
}

bool emit_FCADD_v(struct isa_ctx *ctx, const struct args_FCADD_v *a)
{
	return complex_size(ctx, a->size, a->q) &&
	       put_vop(ctx, IR_VOP_fcadd, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), false,
		       vdesc(a->size, a->q, IR_VD_IMM(a->rot)));
}

/* ---- three different: Q selects the half that is narrow */

static bool three_different(struct isa_ctx *ctx, const struct args_simd3 *a, bool acc)
{
	if (!(a->sizes >> a->size & 1))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), acc,
		       vdesc(a->size, a->q, a->fl) | (a->q ? IR_VD_HI : 0));
}

bool emit_simd_long(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return three_different(ctx, a, false);
}

bool emit_simd_long_acc(struct isa_ctx *ctx, const struct args_simd3 *a)
{
	return three_different(ctx, a, true);
}

/* ---- two-register miscellaneous */

static bool two_reg(struct isa_ctx *ctx, const struct args_simd2 *a, ir_v x, ir_v y, bool acc)
{
	if (!allocated(a->sizes, a->size, a->q, a->fl))
		return false;
	return put_vop(ctx, a->op, a->rd, x, y, acc, vdesc(a->size, a->q, a->fl));
}

bool emit_simd2(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	return two_reg(ctx, a, ir_getv(ctx->b, a->rn), NO_V, false);
}

bool emit_simd2_acc(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	return two_reg(ctx, a, ir_getv(ctx->b, a->rn), NO_V, true);
}

bool emit_simd2_zero(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	return two_reg(ctx, a, ir_getv(ctx->b, a->rn), zero_v(ctx), false);
}

bool emit_simd2_zero_first(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	return two_reg(ctx, a, zero_v(ctx), ir_getv(ctx->b, a->rn), false);
}

bool emit_simd2_narrow(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	if (!(a->sizes >> a->size & 1))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, a->q,
		       vdesc(a->size, a->q, a->fl) | (a->q ? IR_VD_HI : 0));
}

bool emit_SHLL_v(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	if (!(a->sizes >> a->size & 1))
		return false;
	return put_vop(ctx, IR_VOP_shll, a->rd, ir_getv(ctx->b, a->rn), NO_V, false,
		       vdesc(a->size, a->q, IR_VD_IMM(8u << a->size) | (a->q ? IR_VD_HI : 0)));
}

static bool fp_two_reg(struct isa_ctx *ctx, const struct args_simdf2 *a, ir_v x, ir_v y)
{
	unsigned size = fp_size(a->h, a->sz);

	return !reserved_1d(size, a->q, a->fl) && put_vop(ctx, a->op, a->rd, x, y, false, vdesc(size, a->q, a->fl));
}

bool emit_simdf2(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return fp_two_reg(ctx, a, ir_getv(ctx->b, a->rn), NO_V);
}

bool emit_simdf2_zero(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return fp_two_reg(ctx, a, ir_getv(ctx->b, a->rn), zero_v(ctx));
}

bool emit_simdf2_zero_first(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return fp_two_reg(ctx, a, zero_v(ctx), ir_getv(ctx->b, a->rn));
}

/* sz = 0: single and half, 1: double and single. The descriptor names the narrower. */
bool emit_simd_fcvtn(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, a->q,
		       vdesc(1 + a->sz, a->q, a->fl) | (a->q ? IR_VD_HI : 0));
}

bool emit_simd_fcvtl(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, false,
		       vdesc(1 + a->sz, a->q, a->fl) | (a->q ? IR_VD_HI : 0));
}

/* ---- across lanes: at least four elements */

bool emit_simd_across(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	if (!(a->sizes >> a->size & 1) || (a->size == 2 && !a->q))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, false, vdesc(a->size, a->q, a->fl));
}

bool emit_simdf_across(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	if (!a->h && (a->sz || !a->q))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, false, vdesc(a->h ? 1 : 2, a->q, a->fl));
}

/* ---- scalar pairwise: elements 0 and 1 */

static bool pair_scalar(struct isa_ctx *ctx, unsigned op, unsigned size, unsigned rn, unsigned rd)
{
	ir_v n = ir_getv(ctx->b, rn);

	return put_vop(ctx, op, rd, n, dup_v(ctx, n, size, 1), false, vdesc(size, 0, IR_VD_SCALAR));
}

bool emit_simd_pair_s(struct isa_ctx *ctx, const struct args_simd2 *a)
{
	return a->sizes >> a->size & 1 && pair_scalar(ctx, a->op, a->size, a->rn, a->rd);
}

bool emit_simdf_pair_s(struct isa_ctx *ctx, const struct args_simdf2 *a)
{
	return pair_scalar(ctx, a->op, fp_size(a->h, a->sz), a->rn, a->rd);
}

/* ---- by element: the element is the second operand in every lane. Halfwords come from V0..V15 only. */

static bool indexed_element(struct isa_ctx *ctx, const struct args_simd_elem *a, ir_v *elem)
{
	unsigned rm = a->size == 1 ? a->rm : a->m << 4 | a->rm, lane;

	switch (a->size) {
	case 1: lane = a->h << 2 | a->l << 1 | a->m; break;
	case 2: lane = a->h << 1 | a->l; break;
	default:
		if (a->l)
			return false;
		lane = a->h;
		break;
	}
	*elem = dup_v(ctx, ir_getv(ctx->b, rm), a->size, lane);
	return true;
}

static bool by_element(struct isa_ctx *ctx, const struct args_simd_elem *a, uint32_t fl, bool acc)
{
	ir_v elem;

	if (reserved_1d(a->size, a->q, a->fl) || !indexed_element(ctx, a, &elem))
		return false;
	return put_vop(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), elem, acc, vdesc(a->size, a->q, fl));
}

bool emit_simd_elem_same(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	return by_element(ctx, a, a->fl, false);
}

bool emit_simd_elem_same_acc(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	return by_element(ctx, a, a->fl, true);
}

bool emit_simd_elem_long(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	return by_element(ctx, a, a->fl | (a->q ? IR_VD_HI : 0), false);
}

bool emit_simd_elem_long_acc(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	return by_element(ctx, a, a->fl | (a->q ? IR_VD_HI : 0), true);
}

bool emit_simd_elem_fmlal(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	return by_element(ctx, a, a->fl, true);
}

/* The only one whose element is the unsigned operand. */
bool emit_SUDOT_ve(struct isa_ctx *ctx, const struct args_simd_elem *a)
{
	ir_v elem;

	return indexed_element(ctx, a, &elem) &&
	       put_vop(ctx, a->op, a->rd, elem, ir_getv(ctx->b, a->rn), true, vdesc(a->size, a->q, 0));
}

/* The element is a pair: real and imaginary part. */
bool emit_FCMLA_ve(struct isa_ctx *ctx, const struct args_FCMLA_ve *a)
{
	unsigned lane = a->size == 1 ? a->h << 1 | a->l : a->h;

	if (!complex_size(ctx, a->size, a->q) || (a->size == 2 && (a->l || !a->q)) || (a->size == 1 && a->h && !a->q))
		return false;
	return put_vop(ctx, IR_VOP_fcmla, a->rd, ir_getv(ctx->b, a->rn),
		       dup_v(ctx, ir_getv(ctx->b, a->m << 4 | a->rm), a->size + 1, lane), true,
		       vdesc(a->size, a->q, IR_VD_IMM(a->rot)));
}
