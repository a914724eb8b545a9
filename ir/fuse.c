/* SPDX-License-Identifier: MIT */
/*
 * Rewrites a finished block for the interpreter, in place. Three things:
 *
 * - Operands name guest registers directly. A value that was got from a register is that register for as long as all
 *   its uses come before the register changes; a value that is put into a register is made there, if nothing between
 *   its definition and the put can leave the block or look at the register. So most gets and puts disappear.
 * - Constants move into the ops that use them.
 * - Groups become one op of fuse.h: compare and branch, add and set flags, test and branch, condition and select.
 *
 * What the block does, and what a trap in its middle leaves behind, stays the same.
 */
#include "fuse.h"

#include <stdlib.h>
#include <string.h>

#include "op.h"

enum {
	VALUES = 2 * IR_MAX_VALUES, /* x and f values, then v values */
	/* Registers: 0..31 general, then NZCV, then vectors */
	REG_NZCV = 32,
	REG_V0 = 33,
	REG_COUNT = REG_V0 + 32,
	NEVER = IR_MAX_OPS /* op number behind all others */
};

struct fuse {
	struct ir_block *blk;
	unsigned n_out;

	/* Per value */
	uint16_t def[VALUES];	   /* op that defines it */
	uint16_t last_use[VALUES]; /* op; 0 if none */
	uint16_t uses[VALUES];
	uint16_t put[VALUES];  /* the first op that puts it, NEVER if none */
	uint16_t slot[VALUES]; /* what the interpreter's operand is */
	uint8_t need[VALUES];  /* a constant that is also used where no immediate can be */

	/* Per op */
	uint16_t next_write[IR_MAX_OPS]; /* gets and puts: the next op that changes the same register */
	uint16_t prev_touch[IR_MAX_OPS]; /* puts: 1 + the last op before it that gets, changes or may expose the
					    register */
	uint8_t drop[IR_MAX_OPS];

	/* Per register, at the op at hand: the last use of any value that lives in it */
	uint16_t busy[REG_COUNT];

	struct ir_insn in[IR_MAX_OPS];
};

static unsigned value(unsigned cls, uint16_t n)
{
	return cls == IR_CLASS_V ? IR_MAX_VALUES + n : n;
}

/* Register that an op gets or puts, or REG_COUNT. */
static unsigned reg_of(const struct ir_insn *op)
{
	switch (op->op) {
	case IR_getx:
	case IR_putx: return op->x;
	case IR_getf:
	case IR_putf: return REG_NZCV;
	case IR_getv:
	case IR_putv: return REG_V0 + op->x;
	default: return REG_COUNT;
	}
}

static uint16_t slot_of_reg(unsigned reg)
{
	if (reg < REG_NZCV)
		return IR_OPND_X(reg);
	return reg == REG_NZCV ? IR_OPND_NZCV : IR_OPND_V(reg - REG_V0);
}

static bool is_get(const struct ir_insn *op)
{
	return op->op == IR_getx || op->op == IR_getf || op->op == IR_getv;
}
static bool is_put(const struct ir_insn *op)
{
	return ir_opinfo[op->op].flags & IR_OPF_PUT;
}

/* Guest state must be complete when it runs: it may leave the block, or call out. */
static bool observes(const struct ir_insn *op)
{
	return ir_opinfo[op->op].flags & (IR_OPF_TRAP | IR_OPF_END) || op->op == IR_brcond || op->op == IR_fence;
}

/* MSR may change which SP is current, and NZCV. */
static bool changes_state(const struct ir_insn *op)
{
	return op->op == IR_msr || op->op == IR_msr_imm;
}

static uint8_t imm_form(unsigned op)
{
	switch (op) {
#define CASE(name) \
	case IR_##name: return IR_##name##_i;
		IR_FUSED_IMM(CASE)
		IR_FUSED_FLAGS_IMM(CASE)
#undef CASE
	default: return 0;
	}
}

/* The op that defines an x value, if it is a constant. */
static const struct ir_insn *constant(const struct fuse *f, uint16_t n)
{
	const struct ir_insn *d = &f->in[f->def[n]];

	return n && d->op == IR_const ? d : NULL;
}

/* Operand 0 is the address, and imm is added to it. */
static bool has_address(const struct ir_insn *op)
{
	return op->op >= IR_load && op->op <= IR_storepv;
}

/* Operand k of the op may be a constant without a value of its own. Value 0 of the array is always zero. */
static bool folds(const struct ir_insn *op, unsigned k, uint64_t val)
{
	return val == 0 || op->op == IR_putx || (k == 1 && imm_form(op->op)) || (k == 0 && has_address(op));
}

/* A test whose only use is a branch or a select; it is made part of that. */
static bool is_test(const struct ir_insn *op)
{
	switch (op->op) {
	case IR_cond:
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit: return true;
	case IR_ubfx: return op->aux == 1;
	default: return false;
	}
}

static bool takes_test(const struct ir_insn *user, const struct ir_insn *test)
{
	return (user->op == IR_brcond && !user->aux) || (user->op == IR_select && test->op == IR_cond);
}

/* ---- what is known before rewriting */

static void scan_values(struct fuse *f)
{
	const struct ir_block *blk = f->blk;

	for (unsigned n = 0; n < blk->n_x; n++) {
		f->last_use[n] = f->uses[n] = f->need[n] = 0;
		f->put[n] = NEVER;
		f->slot[n] = (uint16_t)n;
	}
	for (unsigned n = 0; n < blk->n_v; n++) {
		unsigned v = IR_MAX_VALUES + n;

		f->last_use[v] = f->uses[v] = f->need[v] = 0;
		f->put[v] = NEVER;
		f->slot[v] = (uint16_t)n;
	}
	f->def[0] = f->def[IR_MAX_VALUES] = 0;
	for (unsigned i = 0; i < blk->n_ops; i++) {
		const struct ir_insn *op = &f->in[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];

		f->drop[i] = false;
		if (info->n_res >= 1)
			f->def[value(info->res[0], op->dst)] = (uint16_t)i;
		if (info->n_res == 2)
			f->def[value(info->res[1], op->c)] = (uint16_t)i;
		if (op->op == IR_casp)
			f->def[ir_casp_old1(op)] = (uint16_t)i;
	}
}

static void use(struct fuse *f, unsigned v, unsigned at)
{
	f->uses[v]++;
	if (f->last_use[v] < at)
		f->last_use[v] = (uint16_t)at;
}

/* Backwards, so that a test that moves to its only user carries the uses of its operands along. */
static void scan_uses(struct fuse *f)
{
	for (unsigned i = f->blk->n_ops; i-- > 0;) {
		const struct ir_insn *op = &f->in[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];
		unsigned at = i;

		if (is_test(op) && f->uses[op->dst] == 1 && takes_test(&f->in[f->last_use[op->dst]], op) &&
		    f->in[f->last_use[op->dst]].a == op->dst) {
			at = f->last_use[op->dst];
			f->drop[i] = true;
		}
		for (unsigned k = 0; k < info->n_arg; k++) {
			uint16_t n = ir_arg(op, k);
			const struct ir_insn *c = info->arg[k] == IR_CLASS_X ? constant(f, n) : NULL;

			use(f, value(info->arg[k], n), at);
			if (c && !folds(op, k, c->imm))
				f->need[n] = true;
		}
		if (op->op == IR_casp) {
			use(f, ir_casp_new0(op), at);
			use(f, ir_casp_new1(op), at);
			f->need[ir_casp_new0(op)] = f->need[ir_casp_new1(op)] = true; /* if not zero */
		}
		if (is_put(op))
			f->put[value(info->arg[0], op->a)] = (uint16_t)i;
	}
}

static void scan_regs(struct fuse *f)
{
	uint16_t write[REG_COUNT], touch[REG_COUNT];
	uint16_t observed = 0; /* 1 + the last op that observes all registers */

	for (unsigned r = 0; r < REG_COUNT; r++)
		write[r] = NEVER;
	for (unsigned i = f->blk->n_ops; i-- > 0;) {
		const struct ir_insn *op = &f->in[i];
		unsigned r = reg_of(op);

		if (r != REG_COUNT)
			f->next_write[i] = write[r];
		if (is_put(op))
			write[r] = (uint16_t)i;
		else if (changes_state(op))
			write[31] = write[REG_NZCV] = (uint16_t)i;
	}
	memset(touch, 0, sizeof(touch));
	for (unsigned i = 0; i < f->blk->n_ops; i++) {
		const struct ir_insn *op = &f->in[i];
		unsigned r = reg_of(op);

		if (r != REG_COUNT) {
			f->prev_touch[i] = touch[r] > observed ? touch[r] : observed;
			touch[r] = (uint16_t)(i + 1);
		} else if (observes(op)) {
			observed = (uint16_t)(i + 1);
		}
	}
}

/* ---- rewriting */

/*
 * Where a value is made by the op at i: in the register that it is put into, if that register is free from here to the
 * put and the value's uses are over before the register changes again; else in its own place. An op that observes may
 * itself make a value in a register: it does so when it can no longer trap.
 */
static uint16_t place(struct fuse *f, unsigned cls, uint16_t n, unsigned i)
{
	unsigned v = value(cls, n), put = f->put[v], reg;

	if (put == NEVER)
		return f->slot[v];
	reg = reg_of(&f->in[put]);
	if (f->prev_touch[put] > i + 1 || f->busy[reg] > i || f->last_use[v] > f->next_write[put])
		return f->slot[v];
	f->drop[put] = true;
	f->busy[reg] = f->last_use[v];
	f->slot[v] = slot_of_reg(reg);
	return f->slot[v];
}

static uint16_t operand_value(const struct fuse *f, unsigned cls, uint16_t n)
{
	const struct ir_insn *c = cls == IR_CLASS_X ? constant(f, n) : NULL;

	return c && c->imm == 0 ? 0 : f->slot[value(cls, n)];
}

static uint16_t operand(const struct fuse *f, const struct ir_insn *op, unsigned k)
{
	return operand_value(f, ir_opinfo[op->op].arg[k], ir_arg(op, k));
}

static void out(struct fuse *f, const struct ir_insn *op)
{
	f->blk->ops[f->n_out++] = *op;
}

static void fuse_get(struct fuse *f, unsigned i)
{
	const struct ir_insn *op = &f->in[i];
	unsigned v = value(ir_opinfo[op->op].res[0], op->dst), reg = reg_of(op);

	if (f->last_use[v] > f->next_write[i]) {
		out(f, op);
		return;
	}
	f->slot[v] = slot_of_reg(reg);
	if (f->busy[reg] < f->last_use[v])
		f->busy[reg] = f->last_use[v];
}

static void fuse_put(struct fuse *f, unsigned i)
{
	struct ir_insn op = f->in[i];
	const struct ir_insn *c = op.op == IR_putx ? constant(f, op.a) : NULL;

	if (f->drop[i])
		return;
	if (c) {
		op.imm = c->imm;
		op.dst = IR_OPND_X(op.x);
		op.op = IR_const;
	} else if (op.op == IR_putf) {
		op.a = operand(f, &f->in[i], 0);
	} else {
		op.a = operand(f, &f->in[i], 0);
		op.dst = slot_of_reg(reg_of(&f->in[i]));
		op.op = op.op == IR_putx ? IR_mov : IR_movv;
	}
	out(f, &op);
}

static void fuse_const(struct fuse *f, unsigned i)
{
	struct ir_insn op = f->in[i];

	/* Zero needs no place, but may as well be made where it is put. */
	op.dst = place(f, IR_CLASS_X, op.dst, i);
	if (op.dst != f->in[i].dst || (f->need[op.dst] && op.imm))
		out(f, &op);
}

/* Compare and branch: what the last op set the flags for. */
static bool fuse_cmpbr(struct fuse *f, struct ir_insn *br)
{
	struct ir_insn *cmp = f->n_out ? &f->blk->ops[f->n_out - 1] : NULL;
	bool imm = false;
	uint8_t op;

	if (!cmp)
		return false;
	switch (cmp->op) {
	case IR_fl_sub64: op = IR_cmpbr64; break;
	case IR_fl_sub32: op = IR_cmpbr32; break;
	case IR_fl_sub64_i:
		op = IR_cmpbr64_i;
		imm = true;
		break;
	case IR_fl_sub32_i:
		op = IR_cmpbr32_i;
		imm = true;
		break;
	case IR_subs64: op = IR_subsbr64; break;
	case IR_subs32: op = IR_subsbr32; break;
	case IR_subs64_i:
		op = IR_subsbr64_i;
		imm = true;
		break;
	case IR_subs32_i:
		op = IR_subsbr32_i;
		imm = true;
		break;
	default: return false;
	}
	if ((op >= IR_subsbr64 ? cmp->c : cmp->dst) != br->a || (imm && cmp->imm > UINT32_MAX))
		return false;
	if (imm)
		cmp->aux = (uint32_t)cmp->imm;
	cmp->op = op;
	cmp->x = br->x;
	cmp->imm = br->imm;
	cmp->gi = br->gi;
	return true;
}

static void fuse_brcond(struct fuse *f, unsigned i)
{
	struct ir_insn op = f->in[i];
	const struct ir_insn *t = &f->in[f->def[op.a]];
	bool fused = f->drop[f->def[op.a]];

	op.a = fused ? operand(f, t, 0) : operand(f, &f->in[i], 0);
	op.x = t->x;
	if (fused) {
		switch (t->op) {
		case IR_cond:
			op.op = IR_brcc;
			if (fuse_cmpbr(f, &op))
				return;
			break;
		case IR_eqz64: op.op = IR_brz64; break;
		case IR_eqz32: op.op = IR_brz32; break;
		case IR_nez64: op.op = IR_brnz64; break;
		case IR_nez32: op.op = IR_brnz32; break;
		default: op.op = IR_brtnz; break; /* tstbit, ubfx of one bit */
		}
		if (op.op == IR_brz64 || op.op == IR_brz32 || op.op == IR_brnz64 || op.op == IR_brnz32) {
			/* The zero test of a bit: it was emitted just before, and nobody else looks at it. */
			struct ir_insn *bit = f->n_out ? &f->blk->ops[f->n_out - 1] : NULL;

			if (bit && is_test(bit) && bit->op != IR_cond && bit->dst == op.a && f->uses[t->a] == 1 &&
			    (bit->op == IR_tstbit || bit->op == IR_ubfx)) {
				op.op = op.op == IR_brz64 || op.op == IR_brz32 ? IR_brtz : IR_brtnz;
				op.a = bit->a;
				op.x = bit->x;
				f->n_out--;
			}
		}
	} else {
		op.op = op.aux ? IR_brz64 : IR_brnz64;
		op.aux = 0;
	}
	out(f, &op);
}

/* Loads and stores that have a form of their own. */
static void fuse_mem(struct ir_insn *op)
{
	static const uint8_t loads[] = {IR_ld8, IR_ld16, IR_ld32, IR_ld64};
	static const uint8_t stores[] = {IR_st8, IR_st16, IR_st32, IR_st64};
	uint32_t m = op->aux;
	unsigned size = IR_MEM_SIZE(m);

	if (m & (IR_MEM_ACQREL | IR_MEM_ALIGNED | IR_MEM_UNPRIV))
		return;
	switch (op->op) {
	case IR_load:
		if (!(m & IR_MEM_SSE))
			op->op = loads[size];
		else if (size == 2 && m & IR_MEM_SF)
			op->op = IR_lds32;
		break;
	case IR_store: op->op = stores[size]; break;
	case IR_loadp:
		if (size == 3)
			op->op = IR_ldp64;
		break;
	case IR_storep:
		if (size == 3)
			op->op = IR_stp64;
		break;
	case IR_loadv:
		if (size == 4)
			op->op = IR_ldq;
		break;
	case IR_storev:
		if (size == 4)
			op->op = IR_stq;
		break;
	default: break;
	}
}

/* Sum and flags of the same operands, the one right behind the other: one op. */
static bool fuse_addsub(struct fuse *f, unsigned i)
{
	const struct ir_insn *sum = &f->in[i], *fl = sum + 1;
	struct ir_insn op = *sum;
	const struct ir_insn *k;
	uint8_t with, op_reg, op_imm;

	switch (sum->op) {
	case IR_add64:
		with = IR_fl_add64;
		op_reg = IR_adds64;
		op_imm = IR_adds64_i;
		break;
	case IR_add32:
		with = IR_fl_add32;
		op_reg = IR_adds32;
		op_imm = IR_adds32_i;
		break;
	case IR_sub64:
		with = IR_fl_sub64;
		op_reg = IR_subs64;
		op_imm = IR_subs64_i;
		break;
	case IR_sub32:
		with = IR_fl_sub32;
		op_reg = IR_subs32;
		op_imm = IR_subs32_i;
		break;
	default: return false;
	}
	if (i + 1 >= f->blk->n_ops || fl->op != with || fl->a != sum->a || fl->b != sum->b)
		return false;
	op.a = operand(f, sum, 0);
	op.b = operand(f, sum, 1);
	k = constant(f, sum->b);
	op.op = op_reg;
	if (k) {
		op.op = op_imm;
		op.b = 0;
		op.imm = k->imm;
	}
	op.dst = place(f, IR_CLASS_X, sum->dst, i + 1);
	op.c = place(f, IR_CLASS_F, fl->dst, i + 1);
	out(f, &op);
	f->drop[i + 1] = true;
	return true;
}

static void fuse_other(struct fuse *f, unsigned i)
{
	const struct ir_insn *old = &f->in[i];
	const struct ir_opinfo *info = &ir_opinfo[old->op];
	struct ir_insn op = *old;
	const struct ir_insn *k = info->n_arg == 2 && imm_form(op.op) ? constant(f, old->b) : NULL;

	if (info->n_arg > 0)
		op.a = operand(f, old, 0);
	if (info->n_arg > 1)
		op.b = operand(f, old, 1);
	if (info->n_arg > 2)
		op.c = operand(f, old, 2);
	if (op.op == IR_casp)
		op.imm = (uint64_t)operand_value(f, IR_CLASS_X, ir_casp_new0(old)) |
			 (uint64_t)operand_value(f, IR_CLASS_X, ir_casp_new1(old)) << 16;
	if (k) {
		op.op = imm_form(op.op);
		op.b = 0;
		op.imm = k->imm;
	} else if (op.op == IR_select && f->drop[f->def[old->a]]) {
		const struct ir_insn *t = &f->in[f->def[old->a]];

		op.op = IR_csel;
		op.x = t->x;
		op.a = operand(f, t, 0);
	} else if (has_address(&op)) {
		const struct ir_insn *at = constant(f, old->a);

		if (at) {
			op.a = 0;
			op.imm += at->imm;
		}
		fuse_mem(&op);
	}
	/* Operands are read before results are written, so results may take the operands' registers. */
	if (info->n_res >= 1)
		op.dst = place(f, info->res[0], old->dst, i);
	if (info->n_res == 2)
		op.c = place(f, info->res[1], old->c, i);
	if (old->op == IR_casp)
		op.imm |= (uint64_t)place(f, IR_CLASS_X, ir_casp_old1(old), i) << 32;
	out(f, &op);
}

struct fuse *ir_fuse_new(void)
{
	return malloc(sizeof(struct fuse));
}
void ir_fuse_free(struct fuse *f)
{
	free(f);
}

void ir_fuse(struct fuse *f, struct ir_block *blk)
{
	f->blk = blk;
	f->n_out = 0;
	memset(f->busy, 0, sizeof(f->busy));
	memcpy(f->in, blk->ops, blk->n_ops * sizeof(blk->ops[0]));
	scan_values(f);
	scan_uses(f);
	scan_regs(f);
	for (unsigned i = 0; i < blk->n_ops; i++) {
		const struct ir_insn *op = &f->in[i];

		if (op->op == IR_nop)
			continue;
		if (is_get(op))
			fuse_get(f, i);
		else if (is_put(op))
			fuse_put(f, i);
		else if (f->drop[i])
			continue;
		else if (op->op == IR_const)
			fuse_const(f, i);
		else if (op->op == IR_brcond)
			fuse_brcond(f, i);
		else if (!fuse_addsub(f, i))
			fuse_other(f, i);
	}
	blk->n_ops = (uint16_t)f->n_out;
}
