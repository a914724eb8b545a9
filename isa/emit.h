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

static inline ir_x get_x(struct isa_ctx *ctx, unsigned reg)
{
	return reg == 31 ? ir_const(ctx->b, 0) : ir_getx(ctx->b, reg);
}

/* Low word of a register unless sf, zero-extended. */
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

#endif
