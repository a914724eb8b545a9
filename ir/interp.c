/* SPDX-License-Identifier: MIT */
/*
 * The portable interpreter, and with eval.h and memory.c the definition of every op. Runs one block and returns;
 * finding the next block is the PE's business.
 *
 * It runs a block as the builder made it, or as ir_interp_prepare (fuse.c) rewrote it. Operands are signed indices
 * into the value arrays at the end of struct ir_env; in a prepared block they may be negative and then name guest
 * registers, which lie before the arrays.
 */
#include "fuse.h"
#include "ir.h"

#include <string.h>

#include "env.h"
#include "eval.h"
#include "memory.h"
#include "vec.h"

#define X(n) IR_OPND(x, n)
#define V(n) IR_OPND(v, n)
#define W(n) ((uint32_t)X(n))
#define F(n) (*(uint32_t *)&X(n)) /* flags: the low word, so that it may also be env->nzcv */

#define PC_OF(op) (blk->pc + 4 * (uint64_t)(op)->gi)

/* The host address of an aligned access that the soft TLB lets through; one compare checks page and alignment. */
#define FAST(va, size, rw) \
	__extension__({ \
		unsigned i_ = ir_tlb_index(va); \
		__builtin_expect(((va) & (IR_PAGE_MASK | ((size)-1))) == env->tlb->rw[i_], 1) \
			? (void *)(uintptr_t)((va) + env->tlb->delta[i_]) \
			: NULL; \
	})

static inline uint64_t lane_get(const union ir_v128 *v, unsigned lane, unsigned desc)
{
	bool sext = desc >> 4 & 1;

	switch (desc & 3) {
	case 0: return sext ? (uint64_t)(int64_t)v->sb[lane] : v->b[lane];
	case 1: return sext ? (uint64_t)(int64_t)v->sh[lane] : v->h[lane];
	case 2: return sext ? (uint64_t)(int64_t)v->ss[lane] : v->s[lane];
	default: return v->d[lane];
	}
}

static inline void lane_set(union ir_v128 *v, unsigned lane, unsigned log2size, uint64_t val)
{
	switch (log2size & 3) {
	case 0: v->b[lane] = (uint8_t)val; break;
	case 1: v->h[lane] = (uint16_t)val; break;
	case 2: v->s[lane] = (uint32_t)val; break;
	default: v->d[lane] = val; break;
	}
}

enum ir_ret ir_interp(struct ir_env *env, const struct ir_block *blk)
{
	static const void *const labels[] = {
#define OP(name, sig, flags) [IR_##name] = &&L_##name,
#include "ops.def"
#undef OP
#define FUSED(name) [IR_##name] = &&L_##name,
#define FUSED_IMM(name) [IR_##name##_i] = &&L_##name##_i,
		IR_FUSED_IMM(FUSED_IMM) IR_FUSED_FLAGS_IMM(FUSED_IMM) IR_FUSED_MISC(FUSED)
#undef FUSED
#undef FUSED_IMM
	};
	const struct ir_insn *op = blk->ops;
	uint64_t *x = env->t;
	union ir_v128 *v = env->tv;

	/* They also reach the registers before them: the compiler must not think that they stay in the arrays. */
	__asm__("" : "+r"(x), "+r"(v));

#define DISPATCH() goto *labels[op->op]
/* Every way out: the instructions begun are those up to this op's. */
#define LEAVE(ret) \
	do { \
		env->insn_count += (uint64_t)op->gi + 1; \
		return ret; \
	} while (0)
#define NEXT() \
	do { \
		op++; \
		DISPATCH(); \
	} while (0)
/* A pure op: its value by the one definition there is. The compiler resolves the switch for each op. */
#define PURE(name, bval) \
	do { \
		struct ir_insn o_ = *op; \
		uint64_t r_; \
		o_.op = IR_##name; \
		ir_eval(&o_, X(op->a), bval, X(op->c), &r_); \
		X(op->dst) = r_; \
	} while (0)
#define PURE_OP(name) \
	L_##name : PURE(name, X(op->b)); \
	NEXT()
/* The same with a constant for its second operand. */
#define PURE_IMM(name) \
	L_##name##_i : PURE(name, op->imm); \
	NEXT()
/* Flag results are words. */
#define FLAG(name, bval) \
	do { \
		struct ir_insn o_ = *op; \
		uint64_t r_; \
		o_.op = IR_##name; \
		ir_eval(&o_, X(op->a), bval, X(op->c), &r_); \
		F(op->dst) = (uint32_t)r_; \
	} while (0)
#define FLAG_OP(name) \
	L_##name : FLAG(name, X(op->b)); \
	NEXT()
#define FLAG_IMM(name) \
	L_##name##_i : FLAG(name, op->imm); \
	NEXT()
/* A memory op out of line. */
#define CALL_MEM(fn) \
	do { \
		env->pc = PC_OF(op); \
		if (!fn(env, op, x, v)) \
			LEAVE(IR_RET_TRAP); \
	} while (0)
#define MEM_OP(name) \
	L_##name : CALL_MEM(ir_mem_##name); \
	NEXT()

	DISPATCH();

L_nop:
	NEXT();

	/* ---- guest state */
L_const:
	X(op->dst) = op->imm;
	NEXT();
L_getx:
	X(op->dst) = env->x[op->x];
	NEXT();
L_putx:
	env->x[op->x] = X(op->a);
	NEXT();
L_getv:
	V(op->dst) = env->v[op->x];
	NEXT();
L_putv:
	env->v[op->x] = V(op->a);
	NEXT();
L_getf:
	F(op->dst) = env->nzcv;
	NEXT();
L_putf:
	env->nzcv = F(op->a);
	NEXT();

	/* ---- integer */
	PURE_OP(add64);
	PURE_OP(add32);
	PURE_OP(sub64);
	PURE_OP(sub32);
	PURE_OP(and);
	PURE_OP(or);
	PURE_OP(xor);
	PURE_OP(andn);
	PURE_OP(not64);
	PURE_OP(not32);
	PURE_OP(shl64);
	PURE_OP(shl32);
	PURE_OP(lshr64);
	PURE_OP(lshr32);
	PURE_OP(ashr64);
	PURE_OP(ashr32);
	PURE_OP(ror64);
	PURE_OP(ror32);
	PURE_OP(mul64);
	PURE_OP(mul32);
	PURE_OP(mulhs);
	PURE_OP(mulhu);
	PURE_OP(sdiv64);
	PURE_OP(sdiv32);
	PURE_OP(udiv64);
	PURE_OP(udiv32);
	PURE_OP(adc64);
	PURE_OP(adc32);
	PURE_OP(extr64);
	PURE_OP(extr32);
	PURE_OP(ubfx);
	PURE_OP(sbfx);
	PURE_OP(bfi);
	PURE_OP(clz64);
	PURE_OP(clz32);
	PURE_OP(cls64);
	PURE_OP(cls32);
	PURE_OP(rbit64);
	PURE_OP(rbit32);
	PURE_OP(rev64);
	PURE_OP(rev32);
	PURE_OP(rev32_64);
	PURE_OP(rev16_64);
	PURE_OP(rev16_32);
	PURE_OP(crc32);
	PURE_OP(select);
	PURE_OP(eqz64);
	PURE_OP(eqz32);
	PURE_OP(nez64);
	PURE_OP(nez32);
	PURE_OP(tstbit);

	/* ---- flags */
	FLAG_OP(fl_add64);
	FLAG_OP(fl_add32);
	FLAG_OP(fl_sub64);
	FLAG_OP(fl_sub32);
	FLAG_OP(fl_adc64);
	FLAG_OP(fl_adc32);
	FLAG_OP(fl_logic64);
	FLAG_OP(fl_logic32);
	FLAG_OP(fl_const);
	FLAG_OP(fl_pack);
L_fl_select:
	F(op->dst) = X(op->a) ? F(op->b) : F(op->c);
	NEXT();
	PURE_OP(fl_unpack);
	PURE_OP(cond);
L_fl_fcmp:
	F(op->dst) = ir_fcmp(env, &V(op->a), &V(op->b), op->x, op->aux & 1);
	NEXT();

	/* ---- memory */
L_load : {
	uint64_t va = X(op->a) + op->imm, val;
	uint32_t m = op->aux;
	const void *p = FAST(va, (uint64_t)1 << IR_MEM_SIZE(m), r);

	if (p && !(m & (IR_MEM_ACQREL | IR_MEM_UNPRIV))) {
		switch (IR_MEM_SIZE(m)) {
		case 0: val = __atomic_load_n((const uint8_t *)p, __ATOMIC_RELAXED); break;
		case 1: val = __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED); break;
		case 2: val = __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED); break;
		default: val = __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED); break;
		}
		X(op->dst) = ir_mem_extend(val, m);
		NEXT();
	}
	CALL_MEM(ir_mem_load);
	NEXT();
}
L_store : {
	uint64_t va = X(op->a) + op->imm, val = X(op->b);
	uint32_t m = op->aux;
	void *p = FAST(va, (uint64_t)1 << IR_MEM_SIZE(m), w);

	if (p && !(m & (IR_MEM_ACQREL | IR_MEM_UNPRIV))) {
		switch (IR_MEM_SIZE(m)) {
		case 0: __atomic_store_n((uint8_t *)p, (uint8_t)val, __ATOMIC_RELAXED); break;
		case 1: __atomic_store_n((uint16_t *)p, (uint16_t)val, __ATOMIC_RELAXED); break;
		case 2: __atomic_store_n((uint32_t *)p, (uint32_t)val, __ATOMIC_RELAXED); break;
		default: __atomic_store_n((uint64_t *)p, val, __ATOMIC_RELAXED); break;
		}
		NEXT();
	}
	CALL_MEM(ir_mem_store);
	NEXT();
}
	MEM_OP(loadv);
	MEM_OP(storev);
	MEM_OP(loadp);
	MEM_OP(storep);
	MEM_OP(loadpv);
	MEM_OP(storepv);
	MEM_OP(ldx);
	MEM_OP(rmw);
	MEM_OP(stx);
	MEM_OP(cas);
	MEM_OP(casp);
L_ldxp:
	CALL_MEM(ir_mem_ldx);
	NEXT();
L_stxp:
	CALL_MEM(ir_mem_stx);
	NEXT();
L_clrex:
	env->excl.valid = 0;
	NEXT();
L_fence:
	env->pc = PC_OF(op);
	ir_mem_fence(env, op->x);
	NEXT();

	/* ---- system */
L_mrs : {
	uint64_t val;

	env->pc = PC_OF(op);
	if (env->ops->mrs(env, op->aux, op->x, &val))
		LEAVE(IR_RET_TRAP);
	X(op->dst) = val;
	NEXT();
}
L_btype:
	env->ops->btype(env, op->x);
	NEXT();
L_pauth : {
	uint64_t val;

	env->pc = PC_OF(op);
	if (env->ops->pauth(env, op->x, X(op->a), X(op->b), &val))
		LEAVE(IR_RET_TRAP);
	X(op->dst) = val;
	NEXT();
}
L_msr:
	env->pc = PC_OF(op);
	if (env->ops->msr(env, op->aux, op->x, X(op->a)))
		LEAVE(IR_RET_TRAP);
	NEXT();
L_msr_imm:
	env->pc = PC_OF(op);
	if (env->ops->msr_imm(env, op->aux, op->x))
		LEAVE(IR_RET_TRAP);
	NEXT();

	/* ---- control flow */
L_brcond:
	if ((X(op->a) == 0) == op->aux) {
		env->pc = op->imm;
		LEAVE(IR_RET_BR);
	}
	NEXT();
L_br:
	env->pc = op->imm;
	LEAVE(IR_RET_BR);
L_br_ind:
	env->pc = X(op->a);
	LEAVE(IR_RET_BR);
L_exit:
	env->pc = PC_OF(op);
	env->exit_reason = op->x;
	env->exit_imm = op->imm;
	LEAVE(IR_RET_EXIT);

	/* ---- vectors */
L_v_from_x:
	V(op->dst) = (union ir_v128){.d = {X(op->a), 0}};
	NEXT();
L_v_from_xx:
	V(op->dst) = (union ir_v128){.d = {X(op->a), X(op->b)}};
	NEXT();
L_x_from_v:
	X(op->dst) = lane_get(&V(op->a), op->x, op->aux);
	NEXT();
L_v_ins_x : {
	union ir_v128 t = V(op->a);

	lane_set(&t, op->x, op->aux, X(op->b));
	V(op->dst) = t;
	NEXT();
}
L_vop : {
	union ir_v128 t; /* the result may lie where an operand does */

	ir_vop_table[op->imm](env, &t, &V(op->a), &V(op->b), &V(op->c), op->aux);
	V(op->dst) = t;
	NEXT();
}

/* ---- the interpreter's own ops, see fuse.h */
#define IMM(name) PURE_IMM(name);
	IR_FUSED_IMM(IMM)
#undef IMM
#define IMM(name) FLAG_IMM(name);
	IR_FUSED_FLAGS_IMM(IMM)
#undef IMM
L_mov:
	X(op->dst) = X(op->a);
	NEXT();
L_movv:
	V(op->dst) = V(op->a);
	NEXT();

#define ADDSUB(type, sign, flags, bval) \
	do { \
		type a_ = (type)X(op->a), b_ = (type)(bval); \
\
		X(op->dst) = (type)(a_ sign b_); \
		F(op->c) = flags; \
	} while (0)
L_adds64:
	ADDSUB(uint64_t, +, ir_flags_add64(a_, b_), X(op->b));
	NEXT();
L_adds32:
	ADDSUB(uint32_t, +, ir_flags_adc32(a_, b_, 0), X(op->b));
	NEXT();
L_subs64:
	ADDSUB(uint64_t, -, ir_flags_sub64(a_, b_), X(op->b));
	NEXT();
L_subs32:
	ADDSUB(uint32_t, -, ir_flags_sub32(a_, b_), X(op->b));
	NEXT();
L_adds64_i:
	ADDSUB(uint64_t, +, ir_flags_add64(a_, b_), op->imm);
	NEXT();
L_adds32_i:
	ADDSUB(uint32_t, +, ir_flags_adc32(a_, b_, 0), op->imm);
	NEXT();
L_subs64_i:
	ADDSUB(uint64_t, -, ir_flags_sub64(a_, b_), op->imm);
	NEXT();
L_subs32_i:
	ADDSUB(uint32_t, -, ir_flags_sub32(a_, b_), op->imm);
	NEXT();

L_csel:
	X(op->dst) = ir_cond_holds(F(op->a), op->x) ? X(op->b) : X(op->c);
	NEXT();

#define BRANCH_IF(c) \
	do { \
		if (c) { \
			env->pc = op->imm; \
			LEAVE(IR_RET_BR); \
		} \
		NEXT(); \
	} while (0)
L_brcc:
	BRANCH_IF(ir_cond_holds(F(op->a), op->x));
L_brz64:
	BRANCH_IF(!X(op->a));
L_brnz64:
	BRANCH_IF(X(op->a));
L_brz32:
	BRANCH_IF(!W(op->a));
L_brnz32:
	BRANCH_IF(W(op->a));
L_brtz:
	BRANCH_IF(!(X(op->a) >> op->x & 1));
L_brtnz:
	BRANCH_IF(X(op->a) >> op->x & 1);

#define CMPBR(bits, bval) \
	do { \
		uint32_t nzcv_ = ir_flags_sub##bits((uint##bits##_t)X(op->a), (uint##bits##_t)(bval)); \
\
		F(op->dst) = nzcv_; \
		BRANCH_IF(ir_cond_holds(nzcv_, op->x)); \
	} while (0)
L_cmpbr64:
	CMPBR(64, X(op->b));
L_cmpbr32:
	CMPBR(32, X(op->b));
L_cmpbr64_i:
	CMPBR(64, op->aux);
L_cmpbr32_i:
	CMPBR(32, op->aux);

#define SUBSBR(bits, bval) \
	do { \
		uint32_t nzcv_; \
\
		ADDSUB(uint##bits##_t, -, nzcv_ = ir_flags_sub##bits(a_, b_), bval); \
		BRANCH_IF(ir_cond_holds(nzcv_, op->x)); \
	} while (0)
L_subsbr64:
	SUBSBR(64, X(op->b));
L_subsbr32:
	SUBSBR(32, X(op->b));
L_subsbr64_i:
	SUBSBR(64, op->aux);
L_subsbr32_i:
	SUBSBR(32, op->aux);

#define LOAD(bits, sbits) \
	do { \
		uint64_t va_ = X(op->a) + op->imm; \
		const uint##bits##_t *p_ = FAST(va_, (uint64_t)bits / 8, r); \
\
		if (p_) \
			X(op->dst) = (uint64_t)(sbits)__atomic_load_n(p_, __ATOMIC_RELAXED); \
		else \
			CALL_MEM(ir_mem_load); \
		NEXT(); \
	} while (0)
L_ld8:
	LOAD(8, uint8_t);
L_ld16:
	LOAD(16, uint16_t);
L_ld32:
	LOAD(32, uint32_t);
L_ld64:
	LOAD(64, uint64_t);
L_lds32:
	LOAD(32, int32_t);

#define STORE(bits) \
	do { \
		uint64_t va_ = X(op->a) + op->imm; \
		uint##bits##_t *p_ = FAST(va_, (uint64_t)bits / 8, w); \
\
		if (p_) \
			__atomic_store_n(p_, (uint##bits##_t)X(op->b), __ATOMIC_RELAXED); \
		else \
			CALL_MEM(ir_mem_store); \
		NEXT(); \
	} while (0)
L_st8:
	STORE(8);
L_st16:
	STORE(16);
L_st32:
	STORE(32);
L_st64:
	STORE(64);

/* Two aligned doublewords, which must lie in one page. */
#define FAST_PAIR(va, rw) (((va)&0xff8) != 0xff8 ? FAST(va, (uint64_t)8, rw) : NULL)
L_ldp64 : {
	uint64_t va = X(op->a) + op->imm;
	const uint64_t *p = FAST_PAIR(va, r);

	if (p) {
		uint64_t lo = __atomic_load_n(p, __ATOMIC_RELAXED), hi = __atomic_load_n(p + 1, __ATOMIC_RELAXED);

		X(op->dst) = lo;
		X(op->c) = hi;
	} else {
		CALL_MEM(ir_mem_loadp);
	}
	NEXT();
}
L_stp64 : {
	uint64_t va = X(op->a) + op->imm;
	uint64_t *p = FAST_PAIR(va, w);

	if (p) {
		__atomic_store_n(p, X(op->b), __ATOMIC_RELAXED);
		__atomic_store_n(p + 1, X(op->c), __ATOMIC_RELAXED);
	} else {
		CALL_MEM(ir_mem_storep);
	}
	NEXT();
}
L_ldq : {
	uint64_t va = X(op->a) + op->imm;
	const uint64_t *p = FAST_PAIR(va, r);

	if (p)
		V(op->dst) = ir_load_16(p);
	else
		CALL_MEM(ir_mem_loadv);
	NEXT();
}
L_stq : {
	uint64_t va = X(op->a) + op->imm;
	uint64_t *p = FAST_PAIR(va, w);

	if (p)
		ir_store_16(p, &V(op->b));
	else
		CALL_MEM(ir_mem_storev);
	NEXT();
}
}
