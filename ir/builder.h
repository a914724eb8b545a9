/* SPDX-License-Identifier: MIT */
/* What the files of the builder share: build.c has values and the block as a whole, effect.c memory, the system and vectors. */
#ifndef PAWL_IR_BUILDER_H
#define PAWL_IR_BUILDER_H

#include "ir.h"

enum { NUM_CONST = 64 /* slots of the table of constants already made; power of two */ };

struct mark {
	uint16_t ops, x, v;
};

struct ir_builder {
	uint64_t pc;
	uint16_t n_ops, n_x, n_v, n_insns;
	struct mark start; /* where the current guest instruction began */
	bool overflow;	   /* the current guest instruction did not fit; its ops are void */
	bool ended;
	bool is_trace;
	uint64_t next; /* where the next guest instruction is */
	uint64_t pcs[IR_MAX_INSNS];

	/* What is known of x and f values: the op that defined them, and a bound: value < 2^width. */
	uint16_t def[IR_MAX_VALUES];
	uint8_t width[IR_MAX_VALUES];

	/* Values that the guest registers hold at this point, 0 if not known. */
	uint16_t cur_x[32], cur_v[32], cur_f;

	uint16_t consts[NUM_CONST]; /* hints; checked against def before use */
	struct fuse *fuse;
	uint32_t n_blocks; /* finished so far */
	bool check_all;
	struct ir_insn ops[IR_MAX_OPS];
};

static inline unsigned min_u(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Ops of one x or f result (a value below 2^width), of one vector, and without. An op that does not fit, or comes behind the end, is not
 * there, and its value is 0.
 */
uint16_t ir_emit_x(struct ir_builder *b, unsigned width, struct ir_insn op);
uint16_t ir_emit_v(struct ir_builder *b, struct ir_insn op);
void ir_emit(struct ir_builder *b, struct ir_insn op);

/* ... by hand, if it has two results: unless full, new values, then the op. */
bool ir_full(struct ir_builder *b);
uint16_t ir_new_x(struct ir_builder *b, unsigned width);
uint16_t ir_new_v(struct ir_builder *b);
void ir_append(struct ir_builder *b, const struct ir_insn *op);

/* The value itself instead of an extension of its low bits, if only those are looked at. */
uint16_t ir_not_extended(const struct ir_builder *b, uint16_t n, unsigned bits);

#endif
