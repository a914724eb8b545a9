/* SPDX-License-Identifier: MIT */
/*
 * Registers for the integer values of one unit, in one forward walk. The value of a pinned guest register is in that
 * register; others are loaded when they are first used and stay in the pool until they are dead or something else needs
 * the register. Guest registers that are not pinned are stored when they are put, or not at all if the next put makes that
 * needless; gen.h says how. A value that is about to be put to a pinned register is made there, if nobody can see it
 * between the two.
 */
#include <assert.h>

#include "vgen.h"

const int16_t reg_pin[32] = {RSI,    RDI,    R8,     R9,     NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG,
			     NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, RBX,    R12,    NO_REG,
			     NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, NO_REG, R13};

static uint64_t imm_of(const struct jit *j, uint16_t n)
{
	return n ? j->blk->ops[j->x[n].def].imm : 0;
}

/* ---- uses */

/* Flags that are one or two host instructions on their operands. */
static bool is_made_again(unsigned op)
{
	return (op >= IR_fl_add64 && op <= IR_fl_sub32) || op == IR_fl_logic64 || op == IR_fl_logic32;
}

static bool is_plain_flags(unsigned op)
{
	switch (op) {
	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32: return true;
	default: return false;
	}
}

static bool is_zero_test(unsigned op)
{
	return op == IR_eqz64 || op == IR_eqz32 || op == IR_nez64 || op == IR_nez32;
}

static bool is_test(const struct ir_insn *op)
{
	return op->op == IR_cond || op->op == IR_tstbit || is_zero_test(op->op) || (op->op == IR_ubfx && op->aux == 1);
}

/* Operand k of the op is only asked whether it is 0. */
static bool asks(const struct jit *j, const struct ir_insn *op, unsigned k)
{
	switch (op->op) {
	case IR_brcond:
	case IR_select: return k == 0;
	case IR_fl_select: return k < 2;
	case IR_adc64:
	case IR_adc32:
	case IR_fl_adc64:
	case IR_fl_adc32: return k == 2;
	default: return is_zero_test(op->op) && j->x[op->dst].lazy;
	}
}

/* In the backward pass: EFLAGS are another's, or nobody's, behind op i; it may also say so if they are not. */
static bool takes_eflags(const struct jit *j, unsigned i)
{
	const struct ir_insn *op = &j->blk->ops[i], *next = op + 1;

	switch (op->op) {
	case IR_add64:
	case IR_add32:
	case IR_sub64:
	case IR_sub32: /* LEA, or the flags that follow */
		return !j->x[op->b].cst && !(i + 1 < j->blk->n_ops && next->op >= IR_fl_add64 &&
					     next->op <= IR_fl_sub32 && next->a == op->a && next->b == op->b);
	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32:
	case IR_fl_logic64:
	case IR_fl_logic32:
	case IR_fl_fcmp:
	case IR_fl_select: return !j->x[op->dst].lazy;
	default: return !flags_survive(j, op->op);
	}
}

static void use(struct jit *j, uint16_t n, unsigned at, bool as_test)
{
	struct val *v = &j->x[n];

	v->uses++;
	v->tests += as_test;
	if (v->last < at)
		v->last = (uint16_t)at;
}

/*
 * In the backward pass: put[r] is the value of the next put to r, if nothing looks at r before it, or what that is made of. Until
 * its definition is reached, a value's want is the pinned register of the first put, which may have been looked at meanwhile; and
 * what another is made of in place may turn out to be wanted longer.
 */
static void note_want(struct jit *j, uint16_t n, const uint16_t *put)
{
	struct val *v = &j->x[n];

	if (v->want >= 0 && (put[v->want] != n || (v->heir && v->last != v->heir)))
		v->want = -1;
}

static void note_barrier(struct jit *j, const struct ir_insn *op, const struct ir_opinfo *info, uint16_t *put)
{
	if (op->op == IR_putx) {
		put[op->x] = op->a;
		if (op->a && (j->pin[op->x] != NO_REG || j->x[op->a].heir)) {
			j->x[op->a].want =
				j->pin[op->x] != NO_REG ? op->x : -1; /* it may have to last if it is dirty */
			j->x[op->a].heir = 0;
		}
	} else if (op->op == IR_getx)
		put[op->x] = 0;
	else if (info->flags & (IR_OPF_TRAP | IR_OPF_END) || op->op == IR_brcond || op->op == IR_fence)
		memset(put, 0, 32 * sizeof(*put));
}

/* Ops that may leave the unit, or look at guest registers, or be a call that does. */
static bool is_observer(unsigned op)
{
	return ir_opinfo[op].flags & (IR_OPF_TRAP | IR_OPF_END | IR_OPF_SIDE) && op != IR_vop && op != IR_fl_fcmp;
}

/*
 * In the backward pass. A put is needless for who goes on in the unit if next[] has another to the same register, and nothing
 * reads the register from env between the two.
 */
struct puts {
	uint16_t next[33];
	unsigned seen; /* the first observer so far */
};

static void note_observer(struct jit *j, unsigned i, struct puts *p)
{
	while (p->seen > i)
		j->observer[p->seen--] = (uint16_t)i;
}

static void note_put(struct jit *j, unsigned i, struct puts *p)
{
	const struct ir_insn *op = &j->blk->ops[i];
	unsigned r = op->op == IR_putf || op->op == IR_getf ? HOME_NZCV : op->x;

	switch (op->op) {
	case IR_putx:
	case IR_putf:
		j->until[i] = p->next[r] > p->seen ? j->observer[p->next[r]] : 0;
		p->next[r] = (uint16_t)i;
		if (op->op == IR_putf && j->x[op->a].last < j->until[i])
			j->x[op->a].last = j->until[i];
		return;
	case IR_getx:
	case IR_getf: p->next[r] = 0; return;
	default: break;
	}
	if (!is_observer(op->op))
		return;
	note_observer(j, i, p);
	if (op->op >= IR_mrs && op->op <= IR_pauth) /* flags_clean(), reg_clean() */
		memset(p->next, 0, sizeof(p->next));
}

/*
 * In the backward pass: the shift left of op i is part of the sum that its value is for, if there is no other use and the sum can
 * be an LEA. How far it is shifted, or 0.
 */
static unsigned scale_of(const struct jit *j, unsigned i)
{
	const struct ir_insn *op = &j->blk->ops[i], *sum = &j->blk->ops[j->x[op->dst].last];
	uint64_t by = imm_of(j, op->b);
	uint16_t other = sum->a == op->dst ? sum->b : sum->a;

	if ((op->op != IR_shl64 && op->op != IR_shl32) || j->x[op->dst].uses != 1 || !j->x[op->b].cst || !by ||
	    by > 3 || sum->op != (op->op == IR_shl64 ? IR_add64 : IR_add32) || other == op->dst ||
	    (sum->a != op->dst && sum->b != op->dst))
		return 0;
	return j->x[other].cst || j->x[other].scaled ? 0 : (unsigned)by;
}

/* Its result is best made where its first operand is. */
static bool is_in_place(unsigned op)
{
	switch (op) {
	case IR_add64:
	case IR_add32:
	case IR_sub64:
	case IR_sub32:
	case IR_and:
	case IR_or:
	case IR_xor:
	case IR_andn:
	case IR_shl64:
	case IR_shl32:
	case IR_lshr64:
	case IR_lshr32:
	case IR_ashr64:
	case IR_ashr32:
	case IR_ror64:
	case IR_ror32:
	case IR_not64:
	case IR_not32:
	case IR_ubfx:
	case IR_sbfx:
	case IR_bfi:
	case IR_rev64:
	case IR_rev32: return true;
	default: return false;
	}
}

/* In the backward pass: if the result of op i is wanted in a pinned register, so is its first operand, which ends here. */
static void pass_want(struct jit *j, unsigned i, uint16_t *put)
{
	const struct ir_insn *op = &j->blk->ops[i];
	const struct val *d = &j->x[op->dst];
	struct val *a = &j->x[op->a];

	if (d->want < 0 || d->lazy || !is_in_place(op->op) || !op->a || a->uses || a->cst || a->scaled ||
	    (ir_opinfo[op->op].n_arg > 1 && op->b == op->a))
		return;
	put[d->want] = op->a;
	a->want = d->want;
	a->heir = (uint16_t)i;
}

void reg_begin(struct jit *j)
{
	const struct ir_block *blk = j->blk;
	uint16_t put[32] = {0};
	struct puts puts = {.seen = blk->n_ops};
	unsigned lost = blk->n_ops; /* the first op so far that changes EFLAGS */

	for (unsigned n = 0; n < blk->n_x; n++)
		j->x[n] = (struct val){.reg = NO_REG, .home = NO_HOME, .want = -1};
	vreg_begin(j);
	j->x[0].cst = true;
	memset(j->regs, 0, sizeof(j->regs));
	memset(j->home, 0, sizeof(j->home));
	j->has_mulhu = false;
	for (unsigned i = 0; i < blk->n_ops; i++) {
		if (blk->ops[i].op == IR_const) {
			j->x[blk->ops[i].dst].cst = true;
			j->x[blk->ops[i].dst].def = (uint16_t)i;
		}
		j->has_mulhu |= blk->ops[i].op == IR_mulhu;
	}
	for (unsigned i = blk->n_ops; i-- > 0;) {
		const struct ir_insn *op = &blk->ops[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];
		unsigned at = i;

		if (info->n_res && info->res[0] != IR_CLASS_V) {
			struct val *d = &j->x[op->dst];

			d->def = (uint16_t)i;
			if (op->op == IR_fl_fcmp)
				j->uses_fp |= j->fp_native;
			d->lazy = (is_test(op) && d->tests == d->uses) ||
				  (is_plain_flags(op->op) && d->tests == 1 && d->uses == 1);
			d->scaled = (uint8_t)scale_of(j, i);
			d->lazy |= d->scaled != 0;
			note_want(j, op->dst, put);
			pass_want(j, i, put);
			if (d->last < i)
				d->last = (uint16_t)i;
			if (d->lazy)
				at = d->last;
		}
		if (info->n_res && info->res[0] == IR_CLASS_V)
			at = vreg_note_def(j, op->dst, i);
		if (info->n_res == 2 && info->res[1] == IR_CLASS_V)
			vreg_note_def(j, op->c, i);
		if (info->n_res == 2 && info->res[1] != IR_CLASS_V) {
			j->x[op->c].def = (uint16_t)i;
			note_want(j, op->c, put);
			if (j->x[op->c].last < i)
				j->x[op->c].last = (uint16_t)i;
		}
		if (op->op == IR_casp) {
			uint16_t old1 = ir_casp_old1(op);

			j->x[old1].def = (uint16_t)i;
			if (j->x[old1].last < i)
				j->x[old1].last = (uint16_t)i;
			use(j, ir_casp_new0(op), i, false);
			use(j, ir_casp_new1(op), i, false);
		}
		if (is_made_again(op->op) && lost <= j->x[op->dst].last) {
			j->x[op->dst].plain = true;
			at = j->x[op->dst].last;
		}
		if (takes_eflags(j, i))
			lost = i;
		for (unsigned k = 0; k < info->n_arg; k++) {
			uint16_t n = ir_arg(op, k);

			if (info->arg[k] == IR_CLASS_V) {
				vreg_note_use(j, n, at);
			} else {
				use(j, n, at, asks(j, op, k));
			}
		}
		note_barrier(j, op, info, put);
		note_put(j, i, &puts);
		if (i && ir_turns_back(blk, i)) { /* leave_if_kicked(), behind the op before */
			memset(put, 0, sizeof(put));
			note_observer(j, i - 1, &puts);
		}
	}
	j->x[0].last = UINT16_MAX;
	memset(j->ends, 0, blk->n_ops * sizeof(j->ends[0]));
	for (unsigned n = 1; n < blk->n_x; n++)
		j->ends[j->x[n].last] = true;
}

/* ---- registers */

static void clean(struct jit *j, uint16_t n)
{
	struct val *v = &j->x[n];

	if (v->dirty)
		as_rm(&j->as, X_MOV_ST | X_W, v->reg, RBP, ENV_X(v->home));
	v->dirty = false;
}

void reg_clean(struct jit *j)
{
	for (unsigned left = reg_held(j->regs); left; left &= left - 1)
		clean(j, j->regs[__builtin_ctz(left)]);
}

static void spill(struct jit *j, uint16_t n)
{
	struct val *v = &j->x[n];

	clean(j, n);
	if (v->slot || v->cst || v->home != NO_HOME)
		return;
	as_rm(&j->as, X_MOV_ST | X_W, v->reg, RBP, SLOT_X(n));
	v->slot = true;
}

static void release(struct jit *j, uint16_t n)
{
	if (j->x[n].reg != NO_REG)
		j->regs[j->x[n].reg] = 0;
	j->x[n].reg = NO_REG;
}

static void assign(struct jit *j, uint16_t n, int reg)
{
	j->regs[reg] = n;
	j->x[n].reg = (int16_t)reg;
	j->pinned |= 1u << reg;
}

static bool is_pool(int reg)
{
	return 1u << reg & (1u << R10 | 1u << R11 | 1u << R14 | 1u << R15);
}

/*
 * The pinned register that n is about to be put to, if what is there now is not needed any more: from this op on, or
 * (late) behind it. NO_REG: it has none, or has to wait.
 */
static int wanted(struct jit *j, uint16_t n, bool late, uint16_t but)
{
	int r = j->x[n].want;
	uint16_t old;

	if (r < 0)
		return NO_REG;
	old = j->regs[j->pin[r]];
	if (old && old != but && (late ? j->x[old].last > j->end : j->x[old].last >= j->i))
		return NO_REG;
	return j->pin[r];
}

/* Value n is made in pinned register r, ahead of the put. */
static int claim(struct jit *j, uint16_t n, int r)
{
	uint16_t old = j->regs[r];

	if (old) {
		clean(j, old);
		if (j->x[old].home != NO_HOME)
			j->home[j->x[old].home] = 0;
		j->x[old].home = NO_HOME;
		release(j, old);
	}
	assign(j, n, r);
	return r;
}

/* A register for value n: a free one, else the one whose value is not needed for longest. Only moves are emitted. */
static int alloc(struct jit *j, uint16_t n)
{
	static const uint8_t order[] = {R14, R15, R10, R11};
	int best = NO_REG;

	for (unsigned k = 0; k < sizeof(order); k++) {
		int r = order[k];

		if (j->pinned >> r & 1)
			continue;
		if (!j->regs[r]) {
			best = r;
			break;
		}
		if (best == NO_REG || j->x[j->regs[r]].last > j->x[j->regs[best]].last)
			best = r;
	}
	assert(best != NO_REG); /* no op has that many operands, and tests among them */
	if (best == NO_REG) {	/* the block is interpreted, then: a guest must not be able to do more */
		j->as.full = true;
		best = R14;
	}
	if (j->regs[best]) {
		uint16_t old = j->regs[best];

		spill(j, old);
		release(j, old);
	}
	assign(j, n, best);
	return best;
}

static void load(struct jit *j, uint16_t n, int reg)
{
	const struct val *v = &j->x[n];

	if (v->reg != NO_REG)
		as_mov_rr(&j->as, reg, v->reg);
	else if (v->cst)
		as_mov_ri(&j->as, reg, imm_of(j, n));
	else if (v->home != NO_HOME)
		as_rm(&j->as, X_MOV | X_W, reg, RBP, ENV_X(v->home));
	else
		as_rm(&j->as, X_MOV | X_W, reg, RBP, SLOT_X(n));
}

void reg_fetch(struct jit *j, uint16_t n, int scratch)
{
	if (n)
		load(j, n, scratch);
	else
		as_mov_ri(&j->as, scratch, 0);
}

int reg_use(struct jit *j, uint16_t n)
{
	int r = j->x[n].reg;

	if (n == 0) { /* no value: zero, in a register of its own for the op */
		r = alloc(j, 0);
		j->regs[r] = 0;
		j->x[0].reg = NO_REG;
		as_mov_ri(&j->as, r, 0);
		return r;
	}
	if (r != NO_REG) {
		j->pinned |= 1u << r;
		return r;
	}
	r = alloc(j, n);
	j->x[n].reg = NO_REG;
	load(j, n, r);
	j->x[n].reg = (int16_t)r;
	return r;
}

int reg_def(struct jit *j, uint16_t n)
{
	int r = wanted(j, n, false, 0);

	return r != NO_REG ? claim(j, n, r) : alloc(j, n);
}

int reg_def_late(struct jit *j, uint16_t n)
{
	int r = wanted(j, n, true, 0);

	return r != NO_REG ? claim(j, n, r) : alloc(j, n);
}

bool reg_is_wanted(struct jit *j, uint16_t n)
{
	return wanted(j, n, true, 0) != NO_REG;
}

static unsigned times(const struct ir_insn *op, uint16_t n)
{
	unsigned c = 0;

	for (unsigned k = 0; k < ir_opinfo[op->op].n_arg; k++)
		c += ir_opinfo[op->op].arg[k] != IR_CLASS_V && ir_arg(op, k) == n;
	return c;
}

int reg_copy(struct jit *j, uint16_t d, uint16_t a)
{
	const struct ir_insn *op = &j->blk->ops[j->i];
	int r = wanted(j, d, false, reg_dies(j, a) && times(op, a) == 1 ? a : 0);

	if (r == NO_REG)
		r = alloc(j, d);
	else if (j->x[a].reg == r)
		return claim(j, d, r);
	load(j, a, r);
	if (!is_pool(r))
		claim(j, d, r);
	return r;
}

int reg_take(struct jit *j, uint16_t d, uint16_t a)
{
	const struct ir_insn *op = &j->blk->ops[j->i];
	int r = j->x[a].reg;

	if (r == NO_REG && !j->x[a].cst && !reg_dies(j, a))
		r = reg_use(j, a); /* it will be wanted again */
	if (r == NO_REG || !is_pool(r) || !reg_dies(j, a) || times(op, a) != 1 || wanted(j, d, false, 0) != NO_REG)
		return reg_copy(j, d, a);
	release(j, a);
	assign(j, d, r);
	return r;
}

void reg_slot(struct jit *j, uint16_t n)
{
	struct val *v = &j->x[n];

	if (v->slot)
		return;
	if (v->reg != NO_REG) {
		as_rm(&j->as, X_MOV_ST | X_W, v->reg, RBP, SLOT_X(n));
	} else if (v->cst && is_s32((int64_t)imm_of(j, n))) {
		as_mov_mi(&j->as, 3, RBP, SLOT_X(n), (int32_t)imm_of(j, n));
	} else {
		load(j, n, RAX);
		as_rm(&j->as, X_MOV_ST | X_W, RAX, RBP, SLOT_X(n));
	}
	v->slot = true;
}

void reg_is_home(struct jit *j, uint16_t n, unsigned reg)
{
	if (!n)
		return;
	clean(j, n);
	if (j->x[n].home != NO_HOME)
		j->home[j->x[n].home] = 0;
	j->x[n].home = (uint8_t)reg;
	j->home[reg] = n;
	if (reg < 32 && j->pin[reg] != NO_REG && j->x[n].reg != j->pin[reg]) {
		release(j, n);
		j->regs[j->pin[reg]] = n;
		j->x[n].reg = j->pin[reg];
	}
}

void reg_is_dirty(struct jit *j, uint16_t n, unsigned reg)
{
	reg_is_home(j, n, reg);
	j->x[n].dirty = true;
}

void reg_lose_home(struct jit *j, unsigned reg)
{
	uint16_t n = j->home[reg];
	struct val *v = &j->x[n];
	bool lives, pinned = reg < 32 && j->pin[reg] != NO_REG;
	int r;

	if (!n)
		return;
	lives = v->last > j->i && !v->slot && !v->cst && !v->lazy;
	v->home = NO_HOME;
	v->dirty = false;
	j->home[reg] = 0;
	if (pinned) {
		r = v->reg;
		release(j, n);
		if (lives)
			as_mov_rr(&j->as, alloc(j, n), r);
	} else if (lives && v->reg == NO_REG) {
		if (reg == HOME_NZCV) {
			if (j->ef == n)
				return; /* saved when EFLAGS are about to change */
			as_rm(&j->as, X_MOV, RAX, RBP, ENV(nzcv));
			as_rm(&j->as, X_MOV_ST, RAX, RBP, SLOT_X(n));
			v->slot = true;
		} else {
			as_rm(&j->as, X_MOV | X_W, alloc(j, n), RBP, ENV_X(reg));
		}
	}
}

void reg_before_call(struct jit *j)
{
	for (int r = 0; r < 16; r++) {
		uint16_t n = j->regs[r];

		if (!n || !(CALLER_SAVED >> r & 1))
			continue;
		if (j->x[n].last > j->i)
			spill(j, n);
		release(j, n);
	}
}

void reg_end_op(struct jit *j)
{
	j->pinned = 0;
	if (!j->ends[j->i])
		return;
	for (unsigned left = reg_held(j->regs); left; left &= left - 1) {
		uint16_t n = j->regs[__builtin_ctz(left)];

		if (!reg_dies(j, n))
			continue;
		if (j->x[n].dirty) { /* nobody looks at it before it is put again */
			j->x[n].dirty = false;
			j->home[j->x[n].home] = 0;
			j->x[n].home = NO_HOME;
		}
		release(j, n);
	}
}
