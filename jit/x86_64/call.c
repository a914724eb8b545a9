/* SPDX-License-Identifier: MIT */
/*
 * Ops as calls of the functions that the interpreter has for them, and system registers, most of which are calls.
 */
#include "select.h"

/* ---- calls of C code */

/* What op_thunk finds the function by. There are few of them, the one of most accesses among the first. */
static unsigned number_of(struct jit *j, ir_mem_fn *fn)
{
	unsigned n = 0;

	while (n < j->n_functions && j->functions[n] != fn)
		n++;
	if (n == j->n_functions && n < FUNCTIONS_MAX)
		j->functions[j->n_functions++] = fn;
	if (n == FUNCTIONS_MAX)
		j->as.full = true; /* never: there are fewer */
	return n;
}

/*
 * A PE that gets here has come by a link, which was made later than this. A thread sanitizer knows nothing of stores to code and
 * what executing them means.
 */
static __attribute__((no_sanitize("thread"))) uint32_t keep(struct jit *j, const struct ir_insn *op, unsigned function)
{
	struct kept *kept = &j->kept[j->n_kept];

	kept->op = *op;
	kept->op.gi = (uint16_t)function;
	kept->pc = op_pc(j, op);
	return j->n_kept++ * (uint32_t)sizeof(*kept);
}

/*
 * The op by a function with the interpreter's view of values: those that it reads are in their slots, what it changes is
 * in memory. The thunk stores and loads the pinned registers, sets env->pc, and does not come back if the op trapped.
 */
void call_op(struct jit *j, const struct ir_insn *op, ir_mem_fn *fn, uint32_t thunk)
{
	as_mov_ri(&j->as, RCX, keep(j, op, number_of(j, fn)));
	leave_call(j, thunk);
}

/* An op that traps leaves from inside its call, so it is counted before, and that is taken back behind it. */
void call_count_trap(struct jit *j, const struct ir_insn *op)
{
	as_alu_mi(&j->as, true, ALU_ADD, RBP, ENV(insn_count), op->gi + 1);
}

/* Any op, by a function that has the interpreter's view of values. */
void call_by(struct jit *j, ir_mem_fn *fn)
{
	const struct ir_insn *op = cur(j);
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	bool sys = op->op == IR_msr || op->op == IR_msr_imm;

	for (unsigned k = 0; k < info->n_arg; k++) {
		uint16_t n = ir_arg(op, k);

		if (info->arg[k] == IR_CLASS_X) {
			reg_slot(j, n);
		} else if (info->arg[k] == IR_CLASS_V) {
			vreg_slot(j, n);
		}
	}
	if (op->op == IR_casp) {
		reg_slot(j, ir_casp_new0(op));
		reg_slot(j, ir_casp_new1(op));
	}
	flags_clean(j);
	flags_save(j);
	reg_clean(j);
	if (sys) { /* may change which SP is current, and NZCV */
		reg_lose_home(j, 31);
		reg_lose_home(j, HOME_NZCV);
	}
	reg_before_call(j);
	vreg_before_call(j);
	swap_out(j);
	if (j->unit->counts && info->flags & IR_OPF_TRAP)
		call_count_trap(j, op);
	call_op(j, op, fn, sys || op->op == IR_fence ? j->op_thunk_attn : j->op_thunk);
	if (j->unit->counts && info->flags & IR_OPF_TRAP)
		as_alu_mi(&j->as, true, ALU_SUB, RBP, ENV(insn_count), op->gi + 1);
	swap_in(j);
	if (info->n_res && info->res[0] != IR_CLASS_V)
		j->x[op->dst].slot = true;
	else if (info->n_res)
		j->v[op->dst].slot = true;
	if (info->n_res == 2 && info->res[1] != IR_CLASS_V)
		j->x[op->c].slot = true;
	else if (info->n_res == 2)
		j->v[op->c].slot = true;
	if (op->op == IR_casp)
		j->x[ir_casp_old1(op)].slot = true;
}

bool call_pure(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	ir_eval(op, x[op->a], x[op->b], x[op->c], &x[op->dst]);
	return true;
}

bool call_fcmp(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	x[op->dst] = ir_raw_of(ir_fcmp(env, &v[op->a], &v[op->b], op->x, op->aux & 1));
	return true;
}

/* FPCR and FPSR, part of which is in MXCSR */
static bool is_fp_register(uint32_t enc)
{
	enum { FPCR = 3 << 14 | 3 << 11 | 4 << 7 | 4 << 3 };

	return (enc & ~1u) == FPCR;
}

static bool do_mrs(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val;

	if (is_fp_register(op->aux))
		jit_fp_sync(env);
	if (env->ops->mrs(env, op->aux, op->x, &val))
		return false;
	x[op->dst] = val;
	return true;
}

bool call_btype(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	env->ops->btype(env, op->x);
	return true;
}

bool call_pauth(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	uint64_t val;

	if (env->ops->pauth(env, op->x, x[op->a], x[op->b], &val))
		return false;
	x[op->dst] = val;
	return true;
}

static bool do_msr(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	bool fp = is_fp_register(op->aux), ok;

	if (fp)
		jit_fp_sync(env);
	ok = !env->ops->msr(env, op->aux, op->x, IR_OPND(x, op->a));
	if (fp)
		jit_fp_sync(env);
	return ok;
}

/* MRS and MSR of what is only storage, at its place; the others by a call. */
static bool place_of(struct jit *j, bool write, struct ir_place *at)
{
	return j->env->ops->place && !is_fp_register(cur(j)->aux) && j->env->ops->place(j->env, cur(j)->aux, write, at);
}

void call_mrs(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	struct ir_place at;
	int d;

	if (!place_of(j, false, &at)) {
		call_by(j, do_mrs);
		return;
	}
	d = reg_def(j, op->dst);
	as_rm(&j->as, X_MOV | X_WIDTH(!at.half), d, RBP, at.offset - ENV_BIAS);
	if (at.half)
		as_alu_ri(&j->as, false, ALU_AND, d, (int32_t)at.mask);
}

/*
 * Bits of a word, in line unless what would be noticed is there.
 */
static bool bits(struct jit *j, int imm, ir_mem_fn *fn)
{
	const struct ir_insn *op = cur(j);
	struct as *a = &j->as;
	struct ir_bits b;
	struct stub *s = NULL;

	if (!j->env->ops->bits || !j->env->ops->bits(j->env, op->aux, imm, &b))
		return false;
	if (imm < 0) {
		as_rr(a, X_MOV, RAX, reg_use(j, op->a));
		as_alu_ri(a, false, ALU_AND, RAX, (int32_t)b.set);
	}
	if (b.unless) {
		as_alu_mi(a, false, ALU_CMP, RBP, b.unless - ENV_BIAS, 0);
		s = mem_stub(j, as_jcc(a, CC_NE), fn, true);
	}
	if (b.clear)
		as_alu_mi(a, false, ALU_AND, RBP, b.word - ENV_BIAS, (int32_t)~b.clear);
	if (imm < 0)
		as_rm(a, 8u * ALU_OR + 1, RAX, RBP, b.word - ENV_BIAS);
	else if (b.set)
		as_alu_mi(a, false, ALU_OR, RBP, b.word - ENV_BIAS, (int32_t)b.set);
	if (s)
		mem_stub_done(j, s);
	return true;
}

void call_msr(struct jit *j)
{
	enum { DC_ZVA = 1 << 14 | 3 << 11 | 7 << 7 | 4 << 3 | 1 };
	const struct ir_insn *op = cur(j);
	struct ir_place at;
	int r;

	if (op->aux == DC_ZVA) {
		mem_zva(j);
		return;
	}
	if (!place_of(j, true, &at) || at.half) {
		if (!bits(j, -1, do_msr))
			call_by(j, do_msr);
		return;
	}
	r = reg_use(j, op->a);
	if (at.mask == UINT32_MAX) {
		as_rr(&j->as, X_MOV, RAX, r);
		r = RAX;
	} else if (at.mask != UINT64_MAX) {
		as_mov_ri(&j->as, RAX, at.mask);
		as_rr(&j->as, X_AND | X_W, RAX, r);
		r = RAX;
	}
	as_rm(&j->as, X_MOV_ST | X_W, r, RBP, at.offset - ENV_BIAS);
}

static bool do_msr_imm(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	return !env->ops->msr_imm(env, op->aux, op->x);
}

void call_msr_imm(struct jit *j)
{
	if (!bits(j, cur(j)->x, do_msr_imm))
		call_by(j, do_msr_imm);
}

static bool do_fence(struct ir_env *env, const struct ir_insn *op, uint64_t *x, union ir_v128 *v)
{
	ir_mem_fence(env, op->x);
	return true;
}

/*
 * ISB has nothing to do but to let what wants attention have it: what it would synchronise is done at once. So has DSB while there
 * is no other PE, whose TLBI it would wait for.
 */
void call_fence(struct jit *j)
{
	const struct ir_insn *op = cur(j);
	bool here = op->x == IR_FENCE_ISB || (op->x == IR_FENCE_DSB && j->unit->alone);

	if (op->x == IR_FENCE_LD || op->x == IR_FENCE_ST)
		return;
	if (op->x == IR_FENCE_FULL || (here && op->x == IR_FENCE_DSB))
		mem_full_fence(j);
	if (here) {
		as_alu_mi(&j->as, false, ALU_CMP, RBP, ENV(attn), 0);
		mem_stub_done(j, mem_stub(j, as_jcc(&j->as, CC_NE), do_fence, true));
	} else if (op->x != IR_FENCE_FULL) {
		call_by(j, do_fence);
	}
}
