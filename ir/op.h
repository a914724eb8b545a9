/* SPDX-License-Identifier: MIT */
/*
 * What ops.def says about each op, as data: name, operand and result classes, flags. For the passes over a block
 * (build.c, check.c, opt.c, print.c, interp.c's preparation and the back ends). Says nothing about meaning.
 */
#ifndef PAWL_IR_OP_H
#define PAWL_IR_OP_H

#include "ir.h"

enum {
	IR_OPF_TRAP = 1, /* may trap */
	IR_OPF_END = 2,	 /* ends the block */
	IR_OPF_SIDE = 4, /* has a side effect on guest state: never dead */
	IR_OPF_PUT = 8	 /* writes a guest register */
};

enum ir_class { IR_CLASS_NONE, IR_CLASS_X, IR_CLASS_V, IR_CLASS_F };

struct ir_opinfo {
	const char *name;
	uint8_t flags;
	uint8_t n_res, n_arg;
	uint8_t res[2], arg[3]; /* enum ir_class */
};

extern const struct ir_opinfo ir_opinfo[IR_OP_COUNT];

/* Names of vector operations for listings: the row's name in vops.def, "?" if there is no such row. */
const char *ir_vop_name(unsigned id);

/* The operand i as a value number: fields a, b, c. */
static inline uint16_t ir_arg(const struct ir_insn *op, unsigned i)
{
	return i == 0 ? op->a : i == 1 ? op->b : op->c;
}

/*
 * casp has two operands that do not fit in a, b, c, and a second result. They travel in imm: new values in bits 15:0
 * and 31:16, the second result in bits 47:32.
 */
static inline uint16_t ir_casp_new0(const struct ir_insn *op)
{
	return (uint16_t)op->imm;
}
static inline uint16_t ir_casp_new1(const struct ir_insn *op)
{
	return (uint16_t)(op->imm >> 16);
}
static inline uint16_t ir_casp_old1(const struct ir_insn *op)
{
	return (uint16_t)(op->imm >> 32);
}

/* Second result of an op that has one: field c, or in imm for casp. */
static inline uint16_t ir_dst2(const struct ir_insn *op)
{
	return op->op == IR_casp ? ir_casp_old1(op) : op->c;
}

#endif
