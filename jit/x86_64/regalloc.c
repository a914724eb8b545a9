/* SPDX-License-Identifier: MIT */
/*
 * Registers for the integer values of one block, in one forward walk: a value is loaded when it is first used and stays
 * until it is dead or something else needs the register. Because guest registers are stored when they are put,
 * nothing has to be written back where a block ends or traps.
 */
#include "vgen.h"

static uint64_t imm_of(const struct jit *j, uint16_t n)
{
	return n ? j->blk->ops[j->x[n].def].imm : 0;
}

/* ---- uses */

static bool is_lazy_flags(unsigned op)
{
	switch (op) {
	case IR_fl_add64:
	case IR_fl_add32:
	case IR_fl_sub64:
	case IR_fl_sub32:
	case IR_fl_adc64:
	case IR_fl_adc32:
	case IR_fl_logic64:
	case IR_fl_logic32: return true;
	default: return false;
	}
}

static bool is_test(unsigned op)
{
	switch (op) {
	case IR_cond:
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit: return true;
	default: return false;
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

void reg_begin(struct jit *j)
{
	const struct ir_block *blk = j->blk;

	for (unsigned n = 0; n < blk->n_x; n++)
		j->x[n] = (struct val){.reg = NO_REG, .home = NO_HOME};
	vreg_begin(j);
	j->x[0].cst = true;
	memset(j->regs, 0, sizeof(j->regs));
	memset(j->home, 0, sizeof(j->home));
	for (unsigned i = blk->n_ops; i-- > 0;) {
		const struct ir_insn *op = &blk->ops[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];
		unsigned at = i;

		if (info->n_res && info->res[0] != IR_CLASS_V) {
			struct val *d = &j->x[op->dst];

			d->def = (uint16_t)i;
			d->cst = op->op == IR_const;
			d->lazy = is_lazy_flags(op->op) || (op->op == IR_fl_fcmp && vec_fcmp_is_native(j, op)) ||
				  (is_test(op->op) && d->tests == d->uses);
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
		for (unsigned k = 0; k < info->n_arg; k++) {
			uint16_t n = ir_arg(op, k);

			if (info->arg[k] == IR_CLASS_V) {
				vreg_note_use(j, n, at);
			} else {
				use(j, n, at,
				    k == 0 && (op->op == IR_brcond || op->op == IR_select || op->op == IR_fl_select));
			}
		}
	}
	j->x[0].last = UINT16_MAX;
}

/* ---- registers */

static void spill(struct jit *j, uint16_t n)
{
	struct val *v = &j->x[n];

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

/* A register for value n: a free one, else the one whose value is not needed for longest. Only moves are emitted. */
static int alloc(struct jit *j, uint16_t n)
{
	static const uint8_t order[] = {RBX, R12, R13, R14, R15, RSI, RDI, R8, R9, R10, R11};
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
	return alloc(j, n);
}

int reg_copy(struct jit *j, uint16_t d, uint16_t a)
{
	int r = alloc(j, d);

	load(j, a, r);
	return r;
}

int reg_take(struct jit *j, uint16_t d, uint16_t a)
{
	const struct ir_insn *op = &j->blk->ops[j->i];
	int r = j->x[a].reg;
	unsigned n = 0;

	for (unsigned k = 0; k < ir_opinfo[op->op].n_arg; k++)
		n += ir_arg(op, k) == a;
	if (r == NO_REG || !reg_dies(j, a) || n != 1) {
		if (r == NO_REG && !j->x[a].cst && !reg_dies(j, a))
			reg_use(j, a); /* it will be wanted again */
		return reg_copy(j, d, a);
	}
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
	if (j->x[n].home != NO_HOME)
		j->home[j->x[n].home] = 0;
	j->x[n].home = (uint8_t)reg;
	j->home[reg] = n;
}

void reg_lose_home(struct jit *j, unsigned reg)
{
	uint16_t n = j->home[reg];
	struct val *v = &j->x[n];

	if (!n)
		return;
	if (v->last > j->i && v->reg == NO_REG && !v->slot && !v->cst && !v->lazy) {
		if (reg == HOME_NZCV) {
			as_rm(&j->as, X_MOV, RAX, RBP, ENV(nzcv));
			as_rm(&j->as, X_MOV_ST, RAX, RBP, SLOT_X(n));
			v->slot = true;
		} else {
			reg_use(j, n);
		}
	}
	v->home = NO_HOME;
	j->home[reg] = 0;
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
	for (int r = 0; r < 16; r++) {
		if (j->regs[r] && reg_dies(j, j->regs[r]))
			release(j, j->regs[r]);
	}
	j->pinned = 0;
}
