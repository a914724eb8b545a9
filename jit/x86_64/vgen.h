/* SPDX-License-Identifier: MIT */
/*
 * Vector values and the instructions that work on them: what vregalloc.c, vec.c and the files of its operations share.
 *
 * xmm0 to xmm7 are v0 to v7, xmm8 to xmm13 hold other values, xmm14 and xmm15 are scratch within an op. An operation is written once, as d = a op b: on
 * hosts with AVX2 that is one VEX instruction, on others a move and an SSE instruction.
 */
#ifndef PAWL_JIT_X86_64_VGEN_H
#define PAWL_JIT_X86_64_VGEN_H

#include "asm_vec.h"
#include "gen.h"
#include "vec.h"

enum { VPINS = 8, T0 = 14, T1 = 15 }; /* pinned registers; scratch */

/* Constants of 16 bytes in front of the code. */
enum vconst {
	VC_ABS_S, /* everything but the sign bits */
	VC_ABS_D,
	VC_SIGN_B,
	VC_SIGN_H,
	VC_SIGN_S, /* also INT32_MIN, and -0.0 */
	VC_SIGN_D,
	VC_MIN_NORMAL_S,
	VC_MIN_NORMAL_D,
	VC_2_63_S, /* 2 to the power of 63 */
	VC_2_63_D,
	VC_LOW_B, /* 00ff in each halfword */
	VC_LOW_H, /* 0000ffff in each word */
	VC_LOW_S, /* the low word of each doubleword */
	VC_ONE_B,
	VC_ONE_H,
	VC_NIBBLE,     /* 0f in each byte */
	VC_POPCOUNT,   /* of the byte's number */
	VC_BITREV_LOW, /* the number's four bits reversed, in the upper half of a byte */
	VC_BITREV_HIGH,
	VC_TBL,	     /* 70: added with saturation, sets bit 7 of numbers above 15 */
	VC_NARROW_B, /* PSHUFB: the low half of each element; zeros above */
	VC_NARROW_H,
	VC_NARROW_S,
	VC_REV_2_B, /* PSHUFB: elements reversed in containers of 2, 4, 8 bytes */
	VC_REV_4_B,
	VC_REV_8_B,
	VC_REV_4_H,
	VC_REV_8_H,
	VC_CRC32,   /* low: the reciprocal of the polynomial, high: the polynomial */
	VC_SHA1_K0, /* the round constants of SHA-1's functions */
	VC_SHA1_K1,
	VC_SHA1_K2,
	VC_HALF_LESS_S, /* the number before 0.5, as an integer */
	VC_HALF_LESS_D,
	VC_WHOLE_S, /* the number before the first one of those that are all integers, as an integer */
	VC_WHOLE_D,
	VC_1_S, /* 1.0 */
	VC_1_D,
	VC_ABS_H,
	VC_MIN_NORMAL_H,
	VC_INF_H,
	VC_ROUND_S, /* 2 to the power of 30, in doublewords */
	VC_COUNT
};

/*
 * Behind them what PSHUFB wants to make each result of deint3 and int3 from its three operands: three in a row.
 * Returns the first.
 */
static inline enum vconst vec_threes(bool interleave, bool q, unsigned s, unsigned imm)
{
	return (enum vconst)(VC_COUNT + 3 * (((interleave * 2u + q) * 4u + s) * 3u + imm));
}

static inline bool has_avx(const struct jit *j)
{
	return j->level >= JIT_AVX2;
}
static inline bool has_avx512(const struct jit *j)
{
	return j->level >= JIT_AVX512;
}

static inline void v_vex(struct jit *j, unsigned op, int reg, int v, int rm)
{
	asv_vex(&j->as, op, reg, v, rm);
	asv_mod_rr(&j->as, reg, rm);
}

/* ... with [rbp + disp] */
static inline void v_vex_m(struct jit *j, unsigned op, int reg, int v, int32_t disp)
{
	asv_vex(&j->as, op, reg, v, RBP);
	asv_mod_rm(&j->as, op, reg, RBP, disp);
}

static inline void v_sse(struct jit *j, unsigned op, int reg, int rm)
{
	asv_prefix(&j->as, op, reg, rm);
	asv_mod_rr(&j->as, reg, rm);
}

/* ---- d = op a; also between xmm and general registers. No first operand. */

static inline void v2(struct jit *j, unsigned op, int d, int a)
{
	if ((has_avx(j) && !(op & V_LEGACY)) || op & V_EVEX)
		v_vex(j, op, d, 0, a);
	else
		v_sse(j, op, d, a);
}
static inline void v2i(struct jit *j, unsigned op, int d, int a, unsigned imm)
{
	v2(j, op, d, a);
	as_8(&j->as, imm);
}

static inline void v_mov(struct jit *j, int d, int a)
{
	if (d != a)
		v2(j, V_MOVAPS, d, a);
}

/* Memory at [base + disp] */
static inline void v2m(struct jit *j, unsigned op, int reg, int base, int32_t disp)
{
	if (has_avx(j))
		asv_vex(&j->as, op, reg, 0, base);
	else
		asv_prefix(&j->as, op, reg, base);
	asv_mod_rm(&j->as, op, reg, base, disp);
}

static inline uint32_t v_const_at(const struct jit *j, enum vconst c)
{
	return j->consts + 16u * (uint32_t)c;
}

static inline void v2c(struct jit *j, unsigned op, int d, enum vconst c)
{
	if (has_avx(j))
		asv_vex(&j->as, op, d, 0, 0);
	else
		asv_prefix(&j->as, op, d, 0);
	asv_mod_rip(&j->as, d, v_const_at(j, c), 0);
}

/* ---- d = a op b. d is not b, unless it is a too; or op commutes. */

static inline void v3(struct jit *j, unsigned op, int d, int a, int b)
{
	if ((has_avx(j) && !(op & V_LEGACY)) || op & V_EVEX) {
		v_vex(j, op, d, a, b);
		return;
	}
	if (d == b && d != a) {
		v_sse(j, op, d, a);
		return;
	}
	v_mov(j, d, a);
	v_sse(j, op, d, b);
}
static inline void v3i(struct jit *j, unsigned op, int d, int a, int b, unsigned imm)
{
	v3(j, op, d, a, b);
	as_8(&j->as, imm);
}

/* b is a general register */
static inline void v3xi(struct jit *j, unsigned op, int d, int a, int b, unsigned imm)
{
	if (has_avx(j)) {
		v_vex(j, op, d, a, b);
	} else {
		v_mov(j, d, a);
		v_sse(j, op, d, b);
	}
	as_8(&j->as, imm);
}

/* b a constant; more: bytes that follow */
static inline void v3c(struct jit *j, unsigned op, int d, int a, enum vconst c)
{
	if (has_avx(j)) {
		asv_vex(&j->as, op, d, a, 0);
	} else {
		v_mov(j, d, a);
		asv_prefix(&j->as, op, d, 0);
	}
	asv_mod_rip(&j->as, d, v_const_at(j, c), 0);
}

/* d = a shifted by n; op is V_SHIFT_x */
static inline void v_shift(struct jit *j, unsigned op, int how, int d, int a, unsigned n)
{
	if (has_avx(j) || op & V_EVEX) {
		v_vex(j, op, how, d, a);
	} else {
		v_mov(j, d, a);
		v_sse(j, op, how, d);
	}
	as_8(&j->as, n);
}

static inline void v_zero(struct jit *j, int d)
{
	v3(j, V_PXOR, d, d, d);
}
static inline void v_ones(struct jit *j, int d)
{
	v3(j, V_PCMPEQD, d, d, d);
}
/* Bits 127:64, or all but the low word, become 0. */
static inline void v_clear_above(struct jit *j, unsigned size, int d)
{
	if (size == 3)
		v2(j, V_MOVQ, d, d);
	else if (size == 2)
		v3i(j, V_INSERTPS, d, d, d, 0x0e);
}

/* ---- vregalloc.c */

void vreg_begin(struct jit *j);
/* In the backward pass: op `at` defines the value. Returns the op that its operands are used by. */
unsigned vreg_note_def(struct jit *j, uint16_t n, unsigned at);
void vreg_note_use(struct jit *j, uint16_t n, unsigned at);
int vreg_use(struct jit *j, uint16_t n); /* a register with the value */
/*
 * A register whose low 1 << size bytes are the value's. *clean: the others are 0, whatever the value's are. Size 2 or 3.
 */
int vreg_use_low(struct jit *j, uint16_t n, unsigned size, bool *clean);
/* A register for a value that is made now, of which all but the low 1 << clean bytes are 0. Not that of an operand. */
int vreg_def(struct jit *j, uint16_t n, unsigned clean);
void vreg_slot(struct jit *j, uint16_t n);		    /* the slot holds the value, for C code to read */
void vreg_is_home(struct jit *j, uint16_t n, unsigned reg); /* guest register reg holds the value from now on */
void vreg_lose_home(struct jit *j, unsigned reg);	    /* guest register reg is about to change */
void vreg_before_call(struct jit *j);			    /* all xmm registers are about to be lost */
/*
 * A stub is about to branch off at the op at hand. Behind the unit it leaves: values that nothing in memory has go to their
 * slots, the op's operands in any case. And it comes back: the registers are as they were.
 */
uint16_t vreg_snapshot(struct jit *j);
void vreg_leave(struct jit *j, uint16_t snap, const struct ir_insn *op);
void vreg_come_back(struct jit *j, uint16_t snap, const struct ir_insn *op);
void vreg_end_op(struct jit *j);			     /* values whose last use this was */
bool vreg_mem(const struct jit *j, uint16_t n, int32_t *at); /* it is in memory, at rbp + *at */
static inline bool vreg_dies(const struct jit *j, uint16_t n)
{
	return j->v[n].last <= j->i;
}
/* All but the low 1 << size bytes of the value are known to be 0. */
static inline bool vreg_is_clean(const struct jit *j, uint16_t n, unsigned size)
{
	return j->v[n].clean <= size;
}

/* ---- vec.c */

static inline const struct ir_insn *vop_at(const struct jit *j)
{
	return &j->blk->ops[j->i];
}
void vec_fallback(struct jit *j); /* the vop at hand by a call of its definition */
/*
 * The same out of line, if cc holds: it sets register d and goes on behind, where vec_rejoin() says. Operand registers
 * must still be as they were.
 */
void vec_slow_if(struct jit *j, enum x86_cc cc, int d);
void vec_saturated_if(struct jit *j, enum x86_cc cc);		  /* sets FPSR.QC out of line */
void vec_thunk_if(struct jit *j, enum x86_cc cc, uint32_t thunk); /* calls it out of line */
void vec_rejoin(struct jit *j);
bool vec_is_const(const struct jit *j, uint16_t n, uint64_t *lo, uint64_t *hi);

/* Each makes the vop at hand and returns true, or emits nothing and returns false. */
bool vec_int_op(struct jit *j);
bool vec_perm_op(struct jit *j);
bool vec_fp_op(struct jit *j);
bool vec_is_host_fp(const struct jit *j, const struct ir_insn *op); /* of those that define a vector; or nearly so */
bool vec_crypto_op(struct jit *j);

#endif
