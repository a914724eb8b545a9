/* SPDX-License-Identifier: MIT */
/*
 * The memory ops as functions: the way through the soft TLB, the way around it, exclusives and LSE atomics. What the
 * interpreter's dispatch loop does not do in line, and what a back end calls for the ops that it has no host code for.
 * Translation and checks are not here: ir_env_ops does those.
 */
#ifndef PAWL_IR_MEMORY_H
#define PAWL_IR_MEMORY_H

#include <string.h>

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

/* By one instruction of the host, which makes it atomic inside of 16 aligned bytes where the host can. */
static inline uint64_t ir_load_misaligned(const void *p, unsigned log2size)
{
	uint16_t h;
	uint32_t w;
	uint64_t d;

	switch (log2size) {
	case 1: memcpy(&h, p, 2); return h;
	case 2: memcpy(&w, p, 4); return w;
	default: memcpy(&d, p, 8); return d;
	}
}

static inline void ir_store_misaligned(void *p, uint64_t v, unsigned log2size)
{
	uint16_t h = (uint16_t)v;
	uint32_t w = (uint32_t)v;

	switch (log2size) {
	case 1: memcpy(p, &h, 2); break;
	case 2: memcpy(p, &w, 4); break;
	default: memcpy(p, &v, 8); break;
	}
}

/*
 * Sixteen bytes of guest memory, aligned to 8: as one single-copy atomic access if they are aligned to 16 and the host can
 * (x86-64 with AVX, arm64 with FEAT_LSE2), which FEAT_LSE2 asks of pairs of doublewords.
 */
static inline union ir_v128 ir_load_16(const void *p)
{
	union ir_v128 v;
#if defined(__x86_64__)
	uint64_t q __attribute__((vector_size(16)));

	__asm__("movdqu %1, %0" : "=x"(q) : "m"(*(const union ir_v128 *)p));
	memcpy(&v, &q, 16);
#elif defined(__aarch64__)
	__asm__("ldp %0, %1, %2" : "=r"(v.d[0]), "=r"(v.d[1]) : "Q"(*(const union ir_v128 *)p));
#else
	v.d[0] = __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	v.d[1] = __atomic_load_n((const uint64_t *)p + 1, __ATOMIC_RELAXED);
#endif
	return v;
}

static inline void ir_store_16(void *p, const union ir_v128 *v)
{
#if defined(__x86_64__)
	uint64_t q __attribute__((vector_size(16)));

	memcpy(&q, v, 16);
	__asm__("movdqu %1, %0" : "=m"(*(union ir_v128 *)p) : "x"(q));
#elif defined(__aarch64__)
	__asm__("stp %1, %2, %0" : "=Q"(*(union ir_v128 *)p) : "r"(v->d[0]), "r"(v->d[1]));
#else
	__atomic_store_n((uint64_t *)p, v->d[0], __ATOMIC_RELAXED);
	__atomic_store_n((uint64_t *)p + 1, v->d[1], __ATOMIC_RELAXED);
#endif
}

#endif
