/* SPDX-License-Identifier: MIT */
/*
 * The memory ops as functions: the way through the soft TLB, the way around it, exclusives and LSE atomics. What the
 * interpreter's dispatch loop does not do in line, and what a back end calls for the ops that it has no host code for.
 * Translation and checks are not here: ir_env_ops does those.
 */
#ifndef PAWL_IR_MEMORY_H
#define PAWL_IR_MEMORY_H

#include "env.h"
#include "ir.h"

/*
 * Each function executes one op. x and v are the value arrays that the op's operands index. env->pc has been set to
 * the op's instruction. True: done. False: an exception was taken or an exit recorded; return IR_RET_TRAP.
 */
typedef bool ir_mem_fn(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v);

ir_mem_fn ir_mem_load, ir_mem_store; /* any size and order */
ir_mem_fn ir_mem_loadv, ir_mem_storev, ir_mem_loadp, ir_mem_storep, ir_mem_loadpv, ir_mem_storepv;
ir_mem_fn ir_mem_ldx, ir_mem_stx; /* also ldxp, stxp */
ir_mem_fn ir_mem_rmw, ir_mem_cas, ir_mem_casp;

void ir_mem_fence(struct ir_env *env, enum ir_fence kind);

/* Operands are signed: prepared blocks name guest registers, which lie before the values. */
#define IR_OPND(array, n) ((array)[(int16_t)(n)])

/* The value of a load as its descriptor extends it. */
static inline uint64_t ir_mem_extend(uint64_t v, uint32_t m)
{
	if (m & IR_MEM_SSE) {
		unsigned up = 64 - (8u << IR_MEM_SIZE(m));

		v = (uint64_t)((int64_t)(v << up) >> up);
		if (!(m & IR_MEM_SF))
			v = (uint32_t)v;
	}
	return v;
}

static inline const struct ir_tlbe *ir_tlb_entry(const struct ir_env *env, uint64_t va)
{
	return &env->tlb[va >> IR_PAGE_SHIFT & (IR_TLB_SIZE - 1)];
}

#endif
