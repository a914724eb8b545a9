/* SPDX-License-Identifier: MIT */
/*
 * What the integer emitters share: register access where register 31 is the zero register, and choices by
 * operand width. Not an interface of isa/.
 */
#ifndef PAWL_ISA_EMIT_H
#define PAWL_ISA_EMIT_H

#include "decode.h"
#include "isa.h"

/* Opcode of a pair NAME64/NAME32 by sf. */
#define BY_SF(sf, name) ((sf) ? IR_##name##64 : IR_##name##32)

/* X[reg] */
static inline ir_x get_x(struct isa_ctx *ctx, unsigned reg)
{
	return reg == 31 ? ir_const(ctx->b, 0) : ir_getx(ctx->b, reg);
}

/* X[reg] or W[reg], the latter zero-extended. Ops with a 32-bit form take get_x() as well: they use the low word. */
static inline ir_x get_r(struct isa_ctx *ctx, bool sf, unsigned reg)
{
	ir_x v = get_x(ctx, reg);

	return sf || reg == 31 ? v : ir_ubfx(ctx->b, v, 0, 32);
}

static inline void put_x(struct isa_ctx *ctx, unsigned reg, ir_x v)
{
	if (reg != 31)
		ir_putx(ctx->b, reg, v);
}

static inline uint64_t ones(unsigned n) /* n = 0..64 */
{
	return n == 0 ? 0 : ~0ull >> (64 - n);
}

/* ExtendReg(): option is UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX; shift 0..4. 64-bit result. */
static inline ir_x extend_x(struct isa_ctx *ctx, unsigned reg, unsigned option, unsigned shift)
{
	ir_x v = get_x(ctx, reg);
	unsigned width = 8u << (option & 3);

	if (width < 64)
		v = option & 4 ? ir_sbfx(ctx->b, v, 0, width) : ir_ubfx(ctx->b, v, 0, width);
	return shift ? ir_bini(ctx->b, IR_shl64, v, shift) : v;
}

/* ShiftReg(): type is LSL, LSR, ASR, ROR; amount is below the width. The result of 32-bit shifts is zero-extended. */
static inline ir_x shift_r(struct isa_ctx *ctx, bool sf, unsigned reg, unsigned type, unsigned amount)
{
	const enum ir_opcode op[4] = {BY_SF(sf, shl), BY_SF(sf, lshr), BY_SF(sf, ashr), BY_SF(sf, ror)};

	if (amount == 0)
		return get_r(ctx, sf, reg);
	return ir_bini(ctx->b, op[type & 3], get_x(ctx, reg), amount);
}

/* PSTATE.BTYPE that a branch leaves: what it may land on in a guarded page. In emit_pauth.c; nothing without BTI. */
enum { BTYPE_NONE, BTYPE_ANY, BTYPE_CALL, BTYPE_JUMP };
void emit_btype(struct isa_ctx *ctx, unsigned btype);
void emit_btype_jump(struct isa_ctx *ctx, unsigned rn);

#endif
