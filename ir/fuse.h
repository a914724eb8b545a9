/* SPDX-License-Identifier: MIT */
/*
 * Ops that only the interpreter knows: what ir_interp_prepare (fuse.c) makes of common ops and groups of ops. They
 * never leave a block that was prepared for the interpreter, and back ends never see them.
 */
#ifndef PAWL_IR_FUSE_H
#define PAWL_IR_FUSE_H

#include "env.h"
#include "ir.h"

/* Binary ops that have a form with a constant second operand, in imm. */
/* clang-format off */
#define IR_FUSED_IMM(F) \
	F(add64) F(add32) F(sub64) F(sub32) F(and) F(or) F(xor) \
	F(shl64) F(shl32) F(lshr64) F(lshr32) F(ashr64) F(ashr32) F(ror64) F(ror32)
#define IR_FUSED_FLAGS_IMM(F) F(fl_add64) F(fl_add32) F(fl_sub64) F(fl_sub32)

/*
 * The others. Flags are F(c) where an op has another result, else F(dst).
 *   mov       X(dst) = X(a);  movv: the same for vectors
 *   adds...   X(dst) = a + b, F(c) = its flags; _i: b is imm
 *   csel      X(dst) = condition x of F(a) ? X(b) : X(c)
 *   br<cond>  to imm if: cc: condition x of F(a); z, nz: X(a) is (not) zero; tz, tnz: bit x of X(a) is (not) zero
 *   cmpbr     fl_sub and brcc; subsbr: subs and brcc; _i: the second operand is aux
 *   ld8...    plain loads and stores of one general register, by size; lds32: sign-extended to 64 bits
 *   ldp64...  pairs of X and of Q registers
 */
#define IR_FUSED_MISC(F) \
	F(mov) F(movv) F(adds64) F(adds32) F(subs64) F(subs32) F(adds64_i) F(adds32_i) F(subs64_i) F(subs32_i) \
	F(csel) F(brcc) F(brz64) F(brnz64) F(brz32) F(brnz32) F(brtz) F(brtnz) F(cmpbr64) F(cmpbr32) \
	F(cmpbr64_i) F(cmpbr32_i) F(subsbr64) F(subsbr32) F(subsbr64_i) F(subsbr32_i) F(ld8) F(ld16) F(ld32) \
	F(ld64) F(lds32) F(st8) F(st16) F(st32) F(st64) F(ldp64) F(stp64) F(ldq) F(stq)
/* clang-format on */

enum ir_fused {
	IR_FUSED_FIRST = IR_OP_COUNT - 1,
#define FUSED(name) IR_##name,
#define FUSED_IMM(name) IR_##name##_i,
	IR_FUSED_IMM(FUSED_IMM) IR_FUSED_FLAGS_IMM(FUSED_IMM) IR_FUSED_MISC(FUSED)
#undef FUSED
#undef FUSED_IMM
		IR_FUSED_END
};
_Static_assert(IR_FUSED_END <= 256, "opcodes are bytes");

/* Operand indices of guest registers, relative to the value arrays. Only prepared blocks have them, and ops
 * that translated code hands to C. */
_Static_assert((offsetof(struct ir_env, t) - offsetof(struct ir_env, x)) % 8 == 0, "");
_Static_assert((offsetof(struct ir_env, t) - offsetof(struct ir_env, nzcv)) % 8 == 0, "");
_Static_assert((offsetof(struct ir_env, tv) - offsetof(struct ir_env, v)) % 16 == 0, "");
#define IR_OPND_X(reg) ((uint16_t)(-(int)((offsetof(struct ir_env, t) - offsetof(struct ir_env, x)) / 8) + (int)(reg)))
#define IR_OPND_NZCV ((uint16_t)(-(int)((offsetof(struct ir_env, t) - offsetof(struct ir_env, nzcv)) / 8)))
#define IR_OPND_V(reg) \
	((uint16_t)(-(int)((offsetof(struct ir_env, tv) - offsetof(struct ir_env, v)) / 16) + (int)(reg)))

/* The work space of the rewriting, part of a builder; and the rewriting itself, which is ir_interp_prepare. */
struct fuse;
struct fuse *ir_fuse_new(void); /* NULL: out of memory */
void ir_fuse_free(struct fuse *f);
void ir_fuse(struct fuse *f, struct ir_block *blk);

#endif
