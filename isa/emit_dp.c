/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic beyond addition: Arm ARM DDI 0487, "Data-processing (1 source)", "(2 source)", "(3 source)".
 */
#include "emit.h"

/* ---- one source */

static bool unary(struct isa_ctx *ctx, const struct args_rr *a, enum ir_opcode op)
{
	put_x(ctx, a->rd, ir_un(ctx->b, op, get_x(ctx, a->rn)));
	return true;
}

bool emit_RBIT(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, BY_SF(a->sf, rbit));
}

bool emit_REV16(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, BY_SF(a->sf, rev16_));
}

bool emit_REV_32(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, IR_rev32);
}

bool emit_REV32(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, IR_rev32_64);
}

bool emit_REV_64(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, IR_rev64);
}

bool emit_CLZ(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, BY_SF(a->sf, clz));
}

bool emit_CLS(struct isa_ctx *ctx, const struct args_rr *a)
{
	return unary(ctx, a, BY_SF(a->sf, cls));
}

bool emit_CTZ(struct isa_ctx *ctx, const struct args_rr *a)
{
	ir_x v = ir_un(ctx->b, BY_SF(a->sf, rbit), get_x(ctx, a->rn));

	put_x(ctx, a->rd, ir_un(ctx->b, BY_SF(a->sf, clz), v));
	return true;
}

/* Pairs, nibbles, bytes, and the sum of the bytes by a multiplication. */
bool emit_CNT(struct isa_ctx *ctx, const struct args_rr *a)
{
	struct ir_builder *b = ctx->b;
	ir_x v = get_r(ctx, a->sf, a->rn), t;

	t = ir_bini(b, IR_and, ir_bini(b, IR_lshr64, v, 1), 0x5555555555555555);
	v = ir_bin(b, IR_sub64, v, t);
	t = ir_bini(b, IR_and, ir_bini(b, IR_lshr64, v, 2), 0x3333333333333333);
	v = ir_bin(b, IR_add64, ir_bini(b, IR_and, v, 0x3333333333333333), t);
	v = ir_bin(b, IR_add64, v, ir_bini(b, IR_lshr64, v, 4));
	v = ir_bini(b, IR_mul64, ir_bini(b, IR_and, v, 0x0f0f0f0f0f0f0f0f), 0x0101010101010101);
	put_x(ctx, a->rd, ir_bini(b, IR_lshr64, v, 56));
	return true;
}

bool emit_ABS(struct isa_ctx *ctx, const struct args_rr *a)
{
	ir_x v = get_r(ctx, a->sf, a->rn), zero = ir_const(ctx->b, 0);
	ir_x minus = ir_bin(ctx->b, BY_SF(a->sf, sub), zero, v);
	ir_x negative = ir_ubfx(ctx->b, v, a->sf ? 63 : 31, 1);

	put_x(ctx, a->rd, ir_select(ctx->b, negative, minus, v));
	return true;
}

/* ---- two sources */

static bool minmax(struct isa_ctx *ctx, bool sf, bool less, bool u, unsigned rd, ir_x n, ir_x m)
{
	ir_f f = ir_fl_sub(ctx->b, sf, n, m);
	ir_x first = ir_cond(ctx->b, f, less ? (u ? IR_CC : IR_LT) : u ? IR_HI : IR_GT);

	put_x(ctx, rd, ir_select(ctx->b, first, n, m));
	return true;
}

bool emit_minmax_reg(struct isa_ctx *ctx, const struct args_minmax *a)
{
	ir_x n = get_r(ctx, a->sf, a->rn);

	return minmax(ctx, a->sf, a->less, a->u, a->rd, n, get_r(ctx, a->sf, a->rm));
}

/* The immediate is signed if the comparison is. */
bool emit_minmax_imm(struct isa_ctx *ctx, const struct args_minmax_imm *a)
{
	uint64_t imm = a->u ? (uint8_t)a->imm : (uint64_t)(int64_t)a->imm;

	return minmax(ctx, a->sf, a->less, a->u, a->rd, get_r(ctx, a->sf, a->rn),
		      ir_const(ctx->b, a->sf ? imm : (uint32_t)imm));
}

static bool binary(struct isa_ctx *ctx, const struct args_rrr *a, enum ir_opcode op)
{
	ir_x n = get_x(ctx, a->rn), m = get_x(ctx, a->rm);

	put_x(ctx, a->rd, ir_bin(ctx->b, op, n, m));
	return true;
}

bool emit_UDIV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, udiv));
}

bool emit_SDIV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, sdiv));
}

bool emit_LSLV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, shl));
}

bool emit_LSRV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, lshr));
}

bool emit_ASRV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, ashr));
}

bool emit_RORV(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, BY_SF(a->sf, ror));
}

static bool crc32(struct isa_ctx *ctx, const struct args_crc32 *a, bool castagnoli)
{
	ir_x acc, val;

	if (a->sf != (a->sz == 3)) /* the doubleword form, and only it, has sf */
		return false;
	acc = get_r(ctx, false, a->rn);
	val = get_x(ctx, a->rm);
	put_x(ctx, a->rd, ir_crc32(ctx->b, acc, val, a->sz, castagnoli));
	return true;
}

bool emit_CRC32(struct isa_ctx *ctx, const struct args_crc32 *a)
{
	return crc32(ctx, a, false);
}

bool emit_CRC32C(struct isa_ctx *ctx, const struct args_crc32 *a)
{
	return crc32(ctx, a, true);
}

/* ---- three sources */

static bool muladd(struct isa_ctx *ctx, const struct args_rrrr *a, bool sf, ir_x n, ir_x m, bool sub)
{
	ir_x v = ir_bin(ctx->b, BY_SF(sf, mul), n, m);

	if (a->ra != 31 || sub)
		v = ir_bin(ctx->b, sub ? BY_SF(sf, sub) : BY_SF(sf, add), get_x(ctx, a->ra), v);
	put_x(ctx, a->rd, v);
	return true;
}

bool emit_MADD(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd(ctx, a, a->sf, get_x(ctx, a->rn), get_x(ctx, a->rm), false);
}

bool emit_MSUB(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd(ctx, a, a->sf, get_x(ctx, a->rn), get_x(ctx, a->rm), true);
}

static bool muladd_long(struct isa_ctx *ctx, const struct args_rrrr *a, bool is_signed, bool sub)
{
	unsigned sxtw = 6, uxtw = 2;
	ir_x n = extend_x(ctx, a->rn, is_signed ? sxtw : uxtw, 0);
	ir_x m = extend_x(ctx, a->rm, is_signed ? sxtw : uxtw, 0);

	return muladd(ctx, a, true, n, m, sub);
}

bool emit_SMADDL(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd_long(ctx, a, true, false);
}

bool emit_SMSUBL(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd_long(ctx, a, true, true);
}

bool emit_UMADDL(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd_long(ctx, a, false, false);
}

bool emit_UMSUBL(struct isa_ctx *ctx, const struct args_rrrr *a)
{
	return muladd_long(ctx, a, false, true);
}

bool emit_SMULH(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, IR_mulhs);
}

bool emit_UMULH(struct isa_ctx *ctx, const struct args_rrr *a)
{
	return binary(ctx, a, IR_mulhu);
}
