/* SPDX-License-Identifier: MIT */
/*
 * What the vector operations of vops.def have in common: the descriptor that an ir_vop carries, and access to the
 * elements of a register. Nothing here knows an encoding; the emitters in isa/ build descriptors, vec.c, fp.c and
 * crypto.c read them.
 *
 * A result always defines all 128 bits: a scalar or 64-bit result has zeros above.
 */
#ifndef PAWL_IR_VEC_H
#define PAWL_IR_VEC_H

#include "env.h"
#include "ir.h"

/* Descriptor. Which fields an operation reads is said beside its row in vops.def; unused fields are 0. */
#define IR_VD_SIZE(s) ((uint32_t)(s))	    /* log2 of the bytes of an element (long and narrow: of the narrow one) */
#define IR_VD_Q (1u << 3)		    /* 128-bit vector; else 64-bit */
#define IR_VD_SCALAR (1u << 4)		    /* element 0 only */
#define IR_VD_HI (1u << 5)		    /* the "2" forms: narrow elements are those of the upper half */
#define IR_VD_U (1u << 6)		    /* unsigned */
#define IR_VD_RND (1u << 7)		    /* rounding */
#define IR_VD_NEG (1u << 8)		    /* negate the product (FP: the first factor) */
#define IR_VD_NEGA (1u << 9)		    /* negate the addend */
#define IR_VD_IMM(i) ((uint32_t)(i) << 10)  /* 8 bits: shift amount, lane, byte offset, fraction bits */
#define IR_VD_LANE(l) ((uint32_t)(l) << 18) /* 4 bits: a second lane */
#define IR_VD_RM(rm) ((uint32_t)(rm) << 22) /* enum ir_fp_round */
#define IR_VD_EXACT (1u << 25)		    /* FRINTX: report inexact */
#define IR_VD_TO(s) ((uint32_t)(s) << 26)   /* log2 of the bytes of the result, where it is not that of the source */

/* The first four are FPCR.RMode. */
enum ir_fp_round { IR_RM_TIEEVEN, IR_RM_POSINF, IR_RM_NEGINF, IR_RM_ZERO, IR_RM_TIEAWAY, IR_RM_ODD, IR_RM_FPCR = 7 };

#define IR_FPSR_IOC (1u << 0)
#define IR_FPSR_DZC (1u << 1)
#define IR_FPSR_OFC (1u << 2)
#define IR_FPSR_UFC (1u << 3)
#define IR_FPSR_IXC (1u << 4)
#define IR_FPSR_IDC (1u << 7)
#define IR_FPSR_QC (1u << 27)
#define IR_FPCR_FZ16 (1u << 19)
#define IR_FPCR_RMODE(fpcr) (((fpcr) >> 22) & 3)
#define IR_FPCR_FZ (1u << 24)
#define IR_FPCR_DN (1u << 25)
#define IR_FPCR_AHP (1u << 26)

#define IR_INLINE static inline __attribute__((always_inline))

IR_INLINE unsigned ir_vd_size(uint32_t desc)
{
	return desc & 7;
}

IR_INLINE unsigned ir_vd_imm(uint32_t desc)
{
	return (desc >> 10) & 0xff;
}

IR_INLINE unsigned ir_vd_lane(uint32_t desc)
{
	return (desc >> 18) & 15;
}

IR_INLINE unsigned ir_vd_rm(uint32_t desc)
{
	return (desc >> 22) & 7;
}

IR_INLINE unsigned ir_vd_to(uint32_t desc)
{
	return (desc >> 26) & 7;
}

/* Elements of 1 << s bytes that the operation works on. */
IR_INLINE unsigned ir_vd_count(uint32_t desc, unsigned s)
{
	if (desc & IR_VD_SCALAR)
		return 1;
	return (desc & IR_VD_Q ? 16u : 8u) >> s;
}

/* Element i (modulo the number of them), zero-extended. s is a constant at every use that matters. */
IR_INLINE uint64_t ir_vget(const union ir_v128 *v, unsigned s, unsigned i)
{
	switch (s) {
	case 0: return v->b[i & 15];
	case 1: return v->h[i & 7];
	case 2: return v->s[i & 3];
	default: return v->d[i & 1];
	}
}

IR_INLINE void ir_vset(union ir_v128 *v, unsigned s, unsigned i, uint64_t x)
{
	switch (s) {
	case 0: v->b[i & 15] = (uint8_t)x; break;
	case 1: v->h[i & 7] = (uint16_t)x; break;
	case 2: v->s[i & 3] = (uint32_t)x; break;
	default: v->d[i & 1] = x; break;
	}
}

IR_INLINE unsigned ir_vbits(unsigned s)
{
	return 8u << s;
}

IR_INLINE uint64_t ir_vmask(unsigned s)
{
	return ~(uint64_t)0 >> (64 - ir_vbits(s));
}

IR_INLINE int64_t ir_vsext(uint64_t x, unsigned s)
{
	return (int64_t)(x << (64 - ir_vbits(s))) >> (64 - ir_vbits(s));
}

/*
 * FCMP (signal_qnan: FCMPE) of the elements 0, of 1 << log2size bytes. Returns NZCV in bits 31:28 and sets the
 * cumulative bits of env->fpsr.
 */
uint32_t ir_fcmp(struct ir_env *env, const union ir_v128 *a, const union ir_v128 *b, unsigned log2size,
		 bool signal_qnan);

/* The operations themselves, for ir_vop_table and for back ends that call one directly. */
#define VOP(name) extern ir_vop_fn ir_vop_##name;
#include "vops.def"
#undef VOP

#endif
