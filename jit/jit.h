/* SPDX-License-Identifier: MIT */
/*
 * A back end that turns finished IR blocks into host code, for one PE. The PE finds blocks and decides when code is
 * stale; this side only makes code, holds it, and goes from block to block as long as the PE's jump cache says where.
 * Everything it knows of the PE is ir/env.h and the few places that struct jit_dispatch names.
 */
#ifndef PAWL_JIT_H
#define PAWL_JIT_H

#include "env.h"
#include "ir.h"

struct jit;

/* An entry of the PE's jump cache: while pc and tag are those of the PE, code is where to go. */
struct jit_jump {
	uint64_t pc, tag;
	const void *code; /* never NULL in an entry that can match: jit_leave() if the block has no code */
	void *block;	  /* the PE's own */
};

/*
 * What code looks at between two blocks: it goes on by itself while *attn and env->kick are 0 and the entry of the
 * next pc matches its tag. Otherwise it comes back with IR_RET_BR. The entry of a pc is number
 * (pc >> 2 ^ pc >> (2 + jump_bits)) modulo 1 << jump_bits. All of it stays where it is for the life of the jit.
 */
struct jit_dispatch {
	const uint32_t *attn;
	const uint64_t *tag; /* by bit 63 of the pc */
	const struct jit_jump *jump;
	unsigned jump_bits;
};

/* env is the only one that the code will run on. d may be NULL: come back after each block. NULL: *why says why not. */
struct jit *jit_new(struct ir_env *env, const struct jit_dispatch *d, const char **why);
/* Which instructions of the host are used. jit_new chooses the most; a test may ask for less, before the first block. */
enum jit_level { JIT_SSE41, JIT_AVX2, JIT_AVX512 };
enum jit_level jit_level(const struct jit *j);
void jit_set_level(struct jit *j, enum jit_level level);
void jit_free(struct jit *j);

/*
 * Code for a block as ir_finish made it, or NULL if it cannot be made: interpret it then. The ops must stay where they
 * are as long as the code is used. Code begins by coming back, with env->pc at the block, if env->x[31] & sp_mask.
 */
const void *jit_compile(struct jit *j, const struct ir_block *blk, uint32_t sp_mask);
const void *jit_leave(const struct jit *j);
bool jit_is_full(const struct jit *j); /* jit_compile may fail for lack of room */
void jit_reset(struct jit *j);	       /* all code is gone; not from inside jit_run */

/* As ir_interp, for one block or more. env->pc is the block's on entry. */
enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code);

#endif
