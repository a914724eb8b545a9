/* SPDX-License-Identifier: MIT */
/*
 * Bit fields: Arm ARM DDI 0487, "Bitfield", "Extract". The immediate shifts, extensions and ROR are aliases of these.
 */
#include "emit.h"

static bool reserved(const struct args_bitfield *a)
{
	return a->N != a->sf || (!a->sf && (a->immr >= 32 || a->imms >= 32));
}

/*
 * imms >= immr extracts the field immr..imms to bit 0; else the field 0..imms goes to bit (width - immr).
 */
bool emit_SBFM(struct isa_ctx *ctx, const struct args_bitfield *a)
{
	unsigned width = a->sf ? 64 : 32;
	ir_x v;

	if (reserved(a))
		return false;
	v = get_x(ctx, a->rn);
	if (a->imms >= a->immr) {
		v = ir_sbfx(ctx->b, v, a->immr, a->imms - a->immr + 1);
	} else {
		v = ir_sbfx(ctx->b, v, 0, a->imms + 1);
		v = ir_bini(ctx->b, IR_shl64, v, width - a->immr);
	}
	if (!a->sf)
		v = ir_ubfx(ctx->b, v, 0, 32);
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_UBFM(struct isa_ctx *ctx, const struct args_bitfield *a)
{
	unsigned width = a->sf ? 64 : 32;
	ir_x v;

	if (reserved(a))
		return false;
	v = get_x(ctx, a->rn);
	if (a->imms >= a->immr) {
		v = ir_ubfx(ctx->b, v, a->immr, a->imms - a->immr + 1);
	} else {
		v = ir_ubfx(ctx->b, v, 0, a->imms + 1);
		v = ir_bini(ctx->b, IR_shl64, v, width - a->immr);
	}
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_BFM(struct isa_ctx *ctx, const struct args_bitfield *a)
{
	unsigned width = a->sf ? 64 : 32;
	ir_x d, v;

	if (reserved(a))
		return false;
	d = get_r(ctx, a->sf, a->rd);
	v = get_x(ctx, a->rn);
	if (a->imms >= a->immr) {
		unsigned len = a->imms - a->immr + 1;

		if (a->immr)
			v = ir_ubfx(ctx->b, v, a->immr, len);
		v = ir_bfi(ctx->b, d, v, 0, len);
	} else {
		v = ir_bfi(ctx->b, d, v, width - a->immr, a->imms + 1);
	}
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_EXTR(struct isa_ctx *ctx, const struct args_EXTR *a)
{
	ir_x v;

	if (a->N != a->sf || (!a->sf && a->imms >= 32))
		return false;
	if (a->rn == a->rm) /* ROR (immediate) */
		v = shift_r(ctx, a->sf, a->rn, 3, a->imms);
	else
		v = ir_extr(ctx->b, a->sf, get_x(ctx, a->rn), get_x(ctx, a->rm), a->imms);
	put_x(ctx, a->rd, v);
	return true;
}
