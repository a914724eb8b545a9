/* SPDX-License-Identifier: MIT */
/*
 * The meaning of the pure integer and flag ops, as C functions of their operands. The interpreter runs them, the
 * builder folds constants with them, so the two cannot disagree. Flags are NZCV in bits 31:28 here.
 * Arm ARM DDI 0487, "Shared pseudocode": AddWithCarry, ConditionHolds, and the A64 data processing instructions.
 */
#ifndef PAWL_IR_EVAL_H
#define PAWL_IR_EVAL_H

#include "ir.h"

#define IR_N (1u << 31)
#define IR_Z (1u << 30)
#define IR_C (1u << 29)
#define IR_V (1u << 28)

static inline uint64_t ir_ones(unsigned width)
{
	return width >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << width) - 1;
}

static inline uint64_t ir_sext(uint64_t v, unsigned width)
{
	unsigned up = 64 - width;

	return (uint64_t)((int64_t)(v << up) >> up);
}

static inline uint64_t ir_ror64(uint64_t a, unsigned n)
{
	n &= 63;
	return a >> n | a << (-n & 63);
}

static inline uint32_t ir_ror32(uint32_t a, unsigned n)
{
	n &= 31;
	return a >> n | a << (-n & 31);
}

static inline uint64_t ir_sdiv64(uint64_t a, uint64_t b)
{
	if (b == 0)
		return 0;
	if (b == ~(uint64_t)0)
		return -a; /* also INT_MIN / -1, which C leaves undefined */
	return (uint64_t)((int64_t)a / (int64_t)b);
}

static inline uint32_t ir_sdiv32(uint32_t a, uint32_t b)
{
	if (b == 0)
		return 0;
	if (b == ~(uint32_t)0)
		return -a;
	return (uint32_t)((int32_t)a / (int32_t)b);
}

static inline uint64_t ir_mulhu(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}
static inline uint64_t ir_mulhs(uint64_t a, uint64_t b)
{
	return (uint64_t)((__int128)(int64_t)a * (int64_t)b >> 64);
}

static inline uint64_t ir_extr64(uint64_t hi, uint64_t lo, unsigned lsb)
{
	lsb &= 63;
	return lsb ? lo >> lsb | hi << (64 - lsb) : lo;
}

static inline uint32_t ir_extr32(uint32_t hi, uint32_t lo, unsigned lsb)
{
	return (uint32_t)(((uint64_t)hi << 32 | lo) >> (lsb & 31));
}

static inline uint64_t ir_bfi_val(uint64_t base, uint64_t src, unsigned lsb, unsigned width)
{
	uint64_t mask = ir_ones(width) << lsb;

	return (base & ~mask) | (src << lsb & mask);
}

static inline uint64_t ir_clz64(uint64_t a)
{
	return a ? (uint64_t)__builtin_clzll(a) : 64;
}
static inline uint64_t ir_clz32(uint32_t a)
{
	return a ? (uint64_t)__builtin_clz(a) : 32;
}
/* Leading bits equal to the sign bit, not counting it. */
static inline uint64_t ir_cls64(uint64_t a)
{
	return ir_clz64((a ^ (uint64_t)((int64_t)a >> 63)) << 1 | 1);
}
static inline uint64_t ir_cls32(uint32_t a)
{
	return ir_clz32((a ^ (uint32_t)((int32_t)a >> 31)) << 1 | 1);
}

static inline uint64_t ir_rev16(uint64_t a)
{
	return (a >> 8 & UINT64_C(0x00ff00ff00ff00ff)) | (a & UINT64_C(0x00ff00ff00ff00ff)) << 8;
}

static inline uint64_t ir_rev32_64(uint64_t a)
{
	a = __builtin_bswap64(a);
	return a >> 32 | a << 32;
}

static inline uint64_t ir_rbit64(uint64_t a)
{
	a = (a >> 1 & UINT64_C(0x5555555555555555)) | (a & UINT64_C(0x5555555555555555)) << 1;
	a = (a >> 2 & UINT64_C(0x3333333333333333)) | (a & UINT64_C(0x3333333333333333)) << 2;
	a = (a >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (a & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
	return __builtin_bswap64(a);
}

/* CRC32 and CRC32C, bit-reflected polynomials as the instructions use them; size = 1 << log2size bytes of val. */
uint32_t ir_crc32_val(uint32_t acc, uint64_t val, unsigned log2size, bool castagnoli);

/* AddWithCarry: flags of a + b + carry. */
static inline uint32_t ir_flags_adc64(uint64_t a, uint64_t b, uint64_t carry)
{
	uint64_t s, r;
	bool c = __builtin_add_overflow(a, b, &s);

	c |= __builtin_add_overflow(s, carry & 1, &r);
	return (uint32_t)(r >> 63) << 31 | (r == 0 ? IR_Z : 0) | (uint32_t)c << 29 |
	       (uint32_t)((~(a ^ b) & (a ^ r)) >> 63) << 28;
}

static inline uint32_t ir_flags_adc32(uint32_t a, uint32_t b, uint64_t carry)
{
	uint64_t s = (uint64_t)a + b + (carry & 1);
	uint32_t r = (uint32_t)s;

	return (r & IR_N) | (r == 0 ? IR_Z : 0) | (uint32_t)(s >> 32) << 29 | (~(a ^ b) & (a ^ r)) >> 31 << 28;
}

static inline uint32_t ir_flags_add64(uint64_t a, uint64_t b)
{
	uint64_t r = a + b;

	return (uint32_t)(r >> 63) << 31 | (r == 0 ? IR_Z : 0) | (r < a ? IR_C : 0) |
	       (uint32_t)((~(a ^ b) & (a ^ r)) >> 63) << 28;
}

static inline uint32_t ir_flags_sub64(uint64_t a, uint64_t b)
{
	uint64_t r = a - b;

	return (uint32_t)(r >> 63) << 31 | (a == b ? IR_Z : 0) | (a >= b ? IR_C : 0) |
	       (uint32_t)(((a ^ b) & (a ^ r)) >> 63) << 28;
}

static inline uint32_t ir_flags_sub32(uint32_t a, uint32_t b)
{
	uint32_t r = a - b;

	return (r & IR_N) | (a == b ? IR_Z : 0) | (a >= b ? IR_C : 0) | ((a ^ b) & (a ^ r)) >> 31 << 28;
}

static inline uint32_t ir_flags_logic64(uint64_t a)
{
	return (uint32_t)(a >> 63) << 31 | (a == 0 ? IR_Z : 0);
}
static inline uint32_t ir_flags_logic32(uint32_t a)
{
	return (a & IR_N) | (a == 0 ? IR_Z : 0);
}

/* ConditionHolds: bit n of row cc says whether it holds when NZCV = n. NV is "always", as AL. */
static const uint16_t ir_cond_row[16] = {
	[IR_EQ] = 0xf0f0, [IR_NE] = 0x0f0f, [IR_CS] = 0xcccc, [IR_CC] = 0x3333, [IR_MI] = 0xff00, [IR_PL] = 0x00ff,
	[IR_VS] = 0xaaaa, [IR_VC] = 0x5555, [IR_HI] = 0x0c0c, [IR_LS] = 0xf3f3, [IR_GE] = 0xaa55, [IR_LT] = 0x55aa,
	[IR_GT] = 0x0a05, [IR_LE] = 0xf5fa, [IR_AL] = 0xffff, [IR_NV] = 0xffff,
};

static inline uint64_t ir_cond_holds(uint32_t nzcv, unsigned cc)
{
	return ir_cond_row[cc & 15] >> (nzcv >> 28) & 1;
}

/*
 * The pure ops with integer and flag operands and one such result. False: not one of them. Always inline: where the
 * op is a constant only its case remains.
 */
static inline __attribute__((always_inline)) bool ir_eval(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c,
							  uint64_t *r)
{
	uint32_t aw = (uint32_t)a, bw = (uint32_t)b;

	switch (op->op) {
	case IR_const: *r = op->imm; return true;
	case IR_add64: *r = a + b; return true;
	case IR_add32: *r = aw + bw; return true;
	case IR_sub64: *r = a - b; return true;
	case IR_sub32: *r = aw - bw; return true;
	case IR_and: *r = a & b; return true;
	case IR_or: *r = a | b; return true;
	case IR_xor: *r = a ^ b; return true;
	case IR_andn: *r = a & ~b; return true;
	case IR_not64: *r = ~a; return true;
	case IR_not32: *r = ~aw; return true;
	case IR_shl64: *r = a << (b & 63); return true;
	case IR_shl32: *r = aw << (b & 31); return true;
	case IR_lshr64: *r = a >> (b & 63); return true;
	case IR_lshr32: *r = aw >> (b & 31); return true;
	case IR_ashr64: *r = (uint64_t)((int64_t)a >> (b & 63)); return true;
	case IR_ashr32: *r = (uint32_t)((int32_t)aw >> (b & 31)); return true;
	case IR_ror64: *r = ir_ror64(a, (unsigned)b); return true;
	case IR_ror32: *r = ir_ror32(aw, (unsigned)b); return true;
	case IR_mul64: *r = a * b; return true;
	case IR_mul32: *r = aw * bw; return true;
	case IR_mulhs: *r = ir_mulhs(a, b); return true;
	case IR_mulhu: *r = ir_mulhu(a, b); return true;
	case IR_sdiv64: *r = ir_sdiv64(a, b); return true;
	case IR_sdiv32: *r = ir_sdiv32(aw, bw); return true;
	case IR_udiv64: *r = b ? a / b : 0; return true;
	case IR_udiv32: *r = bw ? aw / bw : 0; return true;
	case IR_adc64: *r = a + b + (c & 1); return true;
	case IR_adc32: *r = (uint32_t)(aw + bw + (c & 1)); return true;
	case IR_extr64: *r = ir_extr64(a, b, op->x); return true;
	case IR_extr32: *r = ir_extr32(aw, bw, op->x); return true;
	case IR_ubfx: *r = a >> op->x & ir_ones(op->aux); return true;
	case IR_sbfx: *r = ir_sext(a >> op->x, op->aux); return true;
	case IR_bfi: *r = ir_bfi_val(a, b, op->x, op->aux); return true;
	case IR_clz64: *r = ir_clz64(a); return true;
	case IR_clz32: *r = ir_clz32(aw); return true;
	case IR_cls64: *r = ir_cls64(a); return true;
	case IR_cls32: *r = ir_cls32(aw); return true;
	case IR_rbit64: *r = ir_rbit64(a); return true;
	case IR_rbit32: *r = ir_rbit64(a) >> 32; return true;
	case IR_rev64: *r = __builtin_bswap64(a); return true;
	case IR_rev32: *r = __builtin_bswap32(aw); return true;
	case IR_rev32_64: *r = ir_rev32_64(a); return true;
	case IR_rev16_64: *r = ir_rev16(a); return true;
	case IR_rev16_32: *r = ir_rev16(aw); return true;
	case IR_crc32: *r = ir_crc32_val(aw, b, op->x, op->aux & 1); return true;
	case IR_select: *r = a ? b : c; return true;
	case IR_eqz64: *r = a == 0; return true;
	case IR_eqz32: *r = aw == 0; return true;
	case IR_nez64: *r = a != 0; return true;
	case IR_nez32: *r = aw != 0; return true;
	case IR_tstbit: *r = a >> (op->x & 63) & 1; return true;
	case IR_fl_add64: *r = ir_flags_add64(a, b); return true;
	case IR_fl_add32: *r = ir_flags_adc32(aw, bw, 0); return true;
	case IR_fl_sub64: *r = ir_flags_sub64(a, b); return true;
	case IR_fl_sub32: *r = ir_flags_sub32(aw, bw); return true;
	case IR_fl_adc64: *r = ir_flags_adc64(a, b, c); return true;
	case IR_fl_adc32: *r = ir_flags_adc32(aw, bw, c); return true;
	case IR_fl_logic64: *r = ir_flags_logic64(a); return true;
	case IR_fl_logic32: *r = ir_flags_logic32(aw); return true;
	case IR_fl_const: *r = (uint32_t)(op->imm & 15) << 28; return true;
	case IR_fl_select: *r = (uint32_t)(a ? b : c); return true;
	case IR_fl_pack: *r = aw & 0xf0000000u; return true;
	case IR_fl_unpack: *r = aw & 0xf0000000u; return true;
	case IR_cond: *r = ir_cond_holds(aw, op->x); return true;
	default: return false;
	}
}

#endif
