/* SPDX-License-Identifier: MIT */
/*
 * What the files share that turn ops into instructions: operands, and one entry for each kind of op. All emit code for the
 * op at j->i, and may change rax, rcx and rdx.
 */
#ifndef PAWL_JIT_X86_64_SELECT_H
#define PAWL_JIT_X86_64_SELECT_H

#include "vgen.h"

static inline const struct ir_insn *cur(const struct jit *j)
{
	return &j->blk->ops[j->i];
}

static inline uint64_t op_pc(const struct jit *j, const struct ir_insn *op)
{
	return ir_pc(j->blk, op->gi);
}

/* ---- operands */

struct opnd {
	enum { IMM, REG, MEM } kind;
	int reg;
	int32_t v; /* immediate, or displacement from rbp */
};

static inline bool opnd_const(const struct jit *j, uint16_t n, uint64_t *v)
{
	*v = n ? j->blk->ops[j->x[n].def].imm : 0;
	return j->x[n].cst;
}

/* In the form that costs least. 32-bit operations look at the low word only. */
static inline struct opnd opnd_of(struct jit *j, uint16_t n, bool w)
{
	const struct val *v = &j->x[n];
	uint64_t imm;

	if (opnd_const(j, n, &imm) && (!w || is_s32((int64_t)imm)))
		return (struct opnd){.kind = IMM, .v = (int32_t)(uint32_t)imm};
	if (v->reg == NO_REG && !v->cst && n)
		return (struct opnd){.kind = MEM, .v = v->home != NO_HOME ? ENV_X(v->home) : SLOT_X(n)};
	return (struct opnd){.kind = REG, .reg = reg_use(j, n)};
}

static inline void opnd_alu(struct jit *j, bool w, unsigned alu, int reg, struct opnd o)
{
	unsigned op = (8 * alu + 3) | X_WIDTH(w);

	switch (o.kind) {
	case IMM: as_alu_ri(&j->as, w, alu, reg, o.v); break;
	case REG: as_rr(&j->as, op, reg, o.reg); break;
	case MEM: as_rm(&j->as, op, reg, RBP, o.v); break;
	}
}

/* ---- flags.c */

bool flags_follow(struct jit *j, unsigned flags_op);
enum x86_cc flags_test(struct jit *j, uint16_t n);
void flags_test_value(struct jit *j);
void flags_make(struct jit *j);
void flags_adc(struct jit *j, bool w);
void flags_select(struct jit *j);
void flags_put(struct jit *j);
void flags_pack(struct jit *j);
void flags_unpack(struct jit *j);

/* What is dirty now, and its storing later: changes rax, rcx and EFLAGS. */
struct debt flags_debt(const struct jit *j);
void flags_pay(struct jit *j, const struct debt *d);

/* ---- leave.c */

void leave_set_pc(struct jit *j, uint64_t pc);
void leave_jmp(struct jit *j, const void *rx); /* to a trampoline */
void leave_call(struct jit *j, uint32_t at);   /* a thunk */
void leave_to(struct jit *j, const struct ir_insn *op);
void leave_to_rax(struct jit *j, const struct ir_insn *op);
void leave_if(struct jit *j);			  /* IR_brcond */
void leave_by_exit(struct jit *j);		  /* IR_exit */
void leave_if_kicked(struct jit *j, uint64_t pc); /* with env->pc there */
void leave_exits(struct jit *j);		  /* behind the block: what leave_if() put there */

/* ---- swap.c */

void swap_choose(struct jit *j); /* before all else: j->pin */
void swap_begin(struct jit *j);	 /* from here on registers are those of the unit */
void swap_out(struct jit *j);	 /* ... those of all units; changes no flags */
void swap_in(struct jit *j);	 /* ... and of this one again */

/* ---- call.c */

void call_op(struct jit *j, const struct ir_insn *op, ir_mem_fn *fn, uint32_t thunk);
void call_count_trap(struct jit *j, const struct ir_insn *op);
void call_by(struct jit *j, ir_mem_fn *fn);
void call_mrs(struct jit *j);
void call_msr_imm(struct jit *j);
void call_msr(struct jit *j);
void call_fence(struct jit *j);
ir_mem_fn call_pure, call_fcmp, call_btype, call_pauth;

/* ---- cover.c */

void cover_find(struct jit *j); /* before the first op: what accesses have in common */

/* ---- memory.c */

void mem_full_fence(struct jit *j);
void mem_access(struct jit *j); /* loads and stores */
void mem_ldx(struct jit *j);
void mem_stx(struct jit *j);
void mem_rmw(struct jit *j);
void mem_cas(struct jit *j);
void mem_zva(struct jit *j);
struct stub *mem_stub(struct jit *j, uint32_t from, ir_mem_fn *fn, bool attn); /* what is not done in line */
void mem_stub_done(struct jit *j, struct stub *s);
void mem_stubs(struct jit *j); /* behind the block */

#endif
