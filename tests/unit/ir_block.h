/* SPDX-License-Identifier: MIT */
/*
 * For tests of ir/: a PE without a PE. Two pages of guest memory behind the soft TLB, one page that is only reached
 * through the calls out (a device, or memory with a watchpoint), everything else faults. And blocks written by hand.
 */
#ifndef TESTS_IR_BLOCK_H
#define TESTS_IR_BLOCK_H

#include <string.h>

#include "env.h"
#include "eval.h"
#include "fuse.h"
#include "ir.h"
#include "op.h"

enum {
	RAM = 0x10000,	/* two pages that loads and stores go straight to */
	SLOW = 0x12000, /* a page behind the calls out, next to them */
	BAD = 0x13000,	/* faults */
	PC = 0x8000,
	PE_FPSR = 3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 | 1 /* as in env; other encodings are one register */
};

struct pe {
	struct ir_env env;
	struct ir_tlb tlb;
	_Alignas(4096) uint8_t mem[3 * 4096]; /* RAM, SLOW */
	unsigned slow_loads, slow_stores, slow_atomics, fences, faults;
	uint64_t fault_pc;
	uint32_t last_m;
	uint64_t sys; /* what mrs reads and msr writes; encoding 0 traps */
};

static inline struct pe *pe_of(struct ir_env *env)
{
	return (struct pe *)env;
}

static inline void *pe_host(struct pe *pe, uint64_t va, uint64_t size)
{
	return va >= RAM && va < BAD && size <= BAD - va ? pe->mem + (va - RAM) : NULL;
}

static inline int pe_fault(struct pe *pe)
{
	pe->faults++;
	pe->fault_pc = pe->env.pc;
	return 1;
}

static inline uint64_t pe_size(uint32_t m)
{
	return (uint64_t)(m & IR_MEM_PAIR ? 2 : 1) << IR_MEM_SIZE(m);
}

static inline int pe_load(struct ir_env *env, uint64_t va, uint32_t m, void *out)
{
	struct pe *pe = pe_of(env);
	void *host = pe_host(pe, va, pe_size(m));

	pe->last_m = m;
	if (!host || (m & (IR_MEM_ALIGNED | IR_MEM_ACQREL) && va & (pe_size(m) - 1)))
		return pe_fault(pe);
	pe->slow_loads++;
	memcpy(out, host, pe_size(m));
	return 0;
}

static inline int pe_store(struct ir_env *env, uint64_t va, uint32_t m, const void *in)
{
	struct pe *pe = pe_of(env);
	void *host = pe_host(pe, va, pe_size(m));

	pe->last_m = m;
	if (!host || (m & (IR_MEM_ALIGNED | IR_MEM_ACQREL) && va & (pe_size(m) - 1)))
		return pe_fault(pe);
	pe->slow_stores++;
	memcpy(host, in, pe_size(m));
	return 0;
}

static inline int pe_atomic(struct ir_env *env, uint64_t va, uint32_t m, void **host)
{
	struct pe *pe = pe_of(env);

	pe->last_m = m;
	*host = pe_host(pe, va, pe_size(m));
	if (!*host || va & (pe_size(m) - 1))
		return pe_fault(pe);
	pe->slow_atomics++;
	return 0;
}

static inline int pe_mrs(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t *val)
{
	if (!enc)
		return pe_fault(pe_of(env));
	*val = enc == PE_FPSR ? env->fpsr : pe_of(env)->sys + rt;
	return 0;
}

static inline int pe_msr(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t val)
{
	if (!enc)
		return pe_fault(pe_of(env));
	if (enc == PE_FPSR)
		env->fpsr = (uint32_t)val & 0x0800009f;
	else
		pe_of(env)->sys = val;
	return 0;
}

static inline int pe_msr_imm(struct ir_env *env, uint32_t enc, unsigned imm4)
{
	if (!enc)
		return pe_fault(pe_of(env));
	env->x[31] = ~env->x[31]; /* as SPSel would: another SP */
	ir_set_nzcv(env, ir_nzcv(env) ^ IR_N);
	return 0;
}

static inline void pe_fence(struct ir_env *env, enum ir_fence kind)
{
	pe_of(env)->fences++;
}

static inline void pe_btype(struct ir_env *env, unsigned btype)
{
	pe_of(env)->sys = pe_of(env)->sys << 2 | btype;
}

static inline int pe_pauth(struct ir_env *env, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val)
{
	if (kind & IR_PAUTH_COMBINED)
		return pe_fault(pe_of(env));
	*val = ptr + 3 * modifier + kind;
	return 0;
}

static const struct ir_env_ops pe_ops = {.load = pe_load,
					 .store = pe_store,
					 .atomic = pe_atomic,
					 .mrs = pe_mrs,
					 .msr = pe_msr,
					 .msr_imm = pe_msr_imm,
					 .btype = pe_btype,
					 .pauth = pe_pauth,
					 .fence = pe_fence};

static inline void pe_init(struct pe *pe)
{
	memset(pe, 0, sizeof(*pe));
	pe->env.tlb = &pe->tlb;
	pe->env.ops = &pe_ops;
	for (unsigned i = 0; i < IR_TLB_SIZE; i++)
		pe->tlb.r[i] = pe->tlb.w[i] = IR_TLB_NONE;
	for (uint64_t va = RAM; va < SLOW; va += 4096) {
		unsigned i = ir_tlb_index(va);

		pe->tlb.r[i] = pe->tlb.w[i] = va;
		pe->tlb.delta[i] = (uint64_t)(uintptr_t)pe->mem - RAM;
	}
}

/* xorshift64*: the same numbers on every run */
static inline uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Random, but often one of the values where things go wrong. */
static inline uint64_t rnd_edge(uint64_t *seed)
{
	static const uint64_t edge[] = {0,
					1,
					2,
					31,
					32,
					33,
					63,
					64,
					65,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0x80000001,
					0xffffffff,
					UINT64_C(0x100000000),
					UINT64_C(0x7fffffffffffffff),
					UINT64_C(0x8000000000000000),
					UINT64_C(0x8000000000000001),
					UINT64_C(0xfffffffffffffffe),
					UINT64_MAX};
	uint64_t r = rnd(seed);

	return r & 1 ? edge[(r >> 8) % (sizeof(edge) / sizeof(edge[0]))] : rnd(seed) >> (r >> 1 & 63);
}

/* ---- blocks by hand, past the builder and its folding */

struct hand {
	struct ir_block blk;
	struct ir_insn ops[IR_MAX_OPS];
};

static inline void hand_begin(struct hand *h)
{
	h->blk = (struct ir_block){.pc = PC, .n_insns = 1, .n_x = 1, .n_v = 1, .ops = h->ops};
}

/* Appends an op to the current instruction; numbers its results, returns the first one's. */
static inline uint16_t hand_op(struct hand *h, struct ir_insn op)
{
	const struct ir_opinfo *info = &ir_opinfo[op.op];

	op.gi = h->blk.n_insns - 1;
	if (info->n_res >= 1)
		op.dst = info->res[0] == IR_CLASS_V ? h->blk.n_v++ : h->blk.n_x++;
	if (info->n_res == 2)
		op.c = info->res[1] == IR_CLASS_V ? h->blk.n_v++ : h->blk.n_x++;
	if (op.op == IR_casp)
		op.imm |= (uint64_t)h->blk.n_x++ << 32;
	h->ops[h->blk.n_ops++] = op;
	return op.dst;
}

static inline void hand_next(struct hand *h)
{
	h->blk.n_insns++;
}
static inline void hand_end(struct hand *h)
{
	hand_op(h, (struct ir_insn){.op = IR_br, .imm = PC + 4 * (uint64_t)h->blk.n_insns});
}

/* Every way in which a block may be run. */
enum mode { AS_WRITTEN, OPTIMISED, PREPARED, OPTIMISED_AND_PREPARED, MODE_COUNT };

static inline enum ir_ret run_mode(struct pe *pe, const struct ir_block *blk, enum mode mode)
{
	static struct ir_insn ops[IR_MAX_OPS];
	static struct ir_builder *builder;
	struct ir_block copy = *blk;

	memcpy(ops, blk->ops, blk->n_ops * sizeof(ops[0]));
	copy.ops = ops;
	if (mode == OPTIMISED || mode == OPTIMISED_AND_PREPARED)
		ir_opt(&copy);
	if (mode == PREPARED || mode == OPTIMISED_AND_PREPARED)
		ir_interp_prepare(builder ? builder : (builder = ir_builder_new()), &copy);
	return ir_interp(&pe->env, &copy);
}

#endif
