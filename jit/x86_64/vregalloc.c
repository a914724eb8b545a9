/* SPDX-License-Identifier: MIT */
/*
 * Registers for the vector values of one unit, in the same forward walk as regalloc.c. v0 to v7 are pinned: they are in
 * xmm0 to xmm7, in all units, and in env too, since a put stores at once. So nothing has to be written back where a unit
 * ends or traps, and C code may read them; where code is entered, and when C code has changed all registers, they are
 * loaded. Other values are loaded when they are first used, to one of the other registers, and stay until they are dead
 * or something else needs it.
 *
 * Scalar operations leave the upper part of their first operand in the result, where it has to be zero. So a value in
 * memory that a scalar operation uses is loaded in part, with zeros above, and what is known to be zero is remembered.
 */
#include "vgen.h"

enum { WHOLE = 4 };

void vreg_begin(struct jit *j)
{
	for (unsigned n = 0; n < j->blk->n_v; n++)
		j->v[n] = (struct vval){.reg = NO_REG, .home = NO_HOME, .part = WHOLE, .clean = WHOLE};
	memset(j->vregs, 0, sizeof(j->vregs));
	memset(j->homev, 0, sizeof(j->homev));
	j->vpinned = j->vheld = 0;
	j->uses_fp = false;
	j->n_vsnaps = 0;
}

/* AESE whose result only AESMC uses, which is usual, is one instruction with it; so are AESD and AESIMC. */
static bool fuses(const struct jit *j, uint16_t n, unsigned at)
{
	const struct ir_insn *op = &j->blk->ops[at], *user = &j->blk->ops[j->v[n].last];

	return j->has_aes && j->v[n].uses == 1 && op->op == IR_vop && user->op == IR_vop && user->a == n &&
	       ((op->imm == IR_VOP_aese && user->imm == IR_VOP_aesmc) ||
		(op->imm == IR_VOP_aesd && user->imm == IR_VOP_aesimc));
}

unsigned vreg_note_def(struct jit *j, uint16_t n, unsigned at)
{
	struct vval *v = &j->v[n];

	j->uses_fp |= vec_is_host_fp(j, &j->blk->ops[at]);
	v->def = (uint16_t)at;
	if (v->last < at)
		v->last = (uint16_t)at;
	v->fused = fuses(j, n, at);
	return v->fused ? v->last : at;
}

void vreg_note_use(struct jit *j, uint16_t n, unsigned at)
{
	j->v[n].uses++;
	if (j->v[n].last < at)
		j->v[n].last = (uint16_t)at;
}

bool vreg_mem(const struct jit *j, uint16_t n, int32_t *at)
{
	const struct vval *v = &j->v[n];

	*at = v->home != NO_HOME ? ENV_V(v->home) : SLOT_V(n);
	return v->home != NO_HOME || v->slot;
}

static void reload(struct jit *j, int r, unsigned part, int32_t at)
{
	v2m(j, part == 2 ? V_MOVSS_LD : part == 3 ? V_MOVQ : V_MOVAPS, r, RBP, at);
}

static void spill(struct jit *j, uint16_t n)
{
	int32_t at;

	if (vreg_mem(j, n, &at))
		return;
	v2m(j, V_MOVAPS_ST, j->v[n].reg, RBP, at);
	j->v[n].slot = true;
}

static void hold(struct jit *j, uint16_t n, int r)
{
	j->vregs[r] = n;
	j->vheld |= 1u << r;
	j->v[n].reg = (int16_t)r;
}

static void release(struct jit *j, uint16_t n)
{
	if (j->v[n].reg != NO_REG) {
		j->vregs[j->v[n].reg] = 0;
		j->vheld &= ~(1u << j->v[n].reg);
	}
	j->v[n].reg = NO_REG;
	j->v[n].part = WHOLE;
}

/* A free register for value n, else the one whose value is not needed for longest. */
static int alloc(struct jit *j, uint16_t n)
{
	int best = NO_REG;

	for (int r = VPINS; r < 14; r++) {
		if (j->vpinned >> r & 1)
			continue;
		if (!j->vregs[r]) {
			best = r;
			break;
		}
		if (best == NO_REG || j->v[j->vregs[r]].last > j->v[j->vregs[best]].last)
			best = r;
	}
	if (j->vregs[best]) {
		uint16_t old = j->vregs[best];

		if (j->v[old].last > j->i)
			spill(j, old);
		release(j, old);
	}
	hold(j, n, best);
	j->vpinned |= 1u << best;
	return best;
}

int vreg_use(struct jit *j, uint16_t n)
{
	struct vval *v = &j->v[n];
	int32_t at;
	int r = v->reg;

	if (r != NO_REG)
		j->vpinned |= 1u << r;
	if (r != NO_REG && v->part == WHOLE)
		return r;
	if (r == NO_REG)
		r = alloc(j, n);
	vreg_mem(j, n, &at);
	v2m(j, V_MOVAPS, r, RBP, at);
	v->part = WHOLE;
	return r;
}

int vreg_use_low(struct jit *j, uint16_t n, unsigned size, bool *clean)
{
	struct vval *v = &j->v[n];
	int32_t at;

	if (v->reg != NO_REG && (v->part == WHOLE || v->part >= size)) {
		j->vpinned |= 1u << v->reg;
		*clean = v->part == WHOLE ? v->clean <= size : v->part == size || v->clean <= size;
		return v->reg;
	}
	*clean = true;
	if (v->reg != NO_REG)
		j->vpinned |= 1u << v->reg;
	else
		alloc(j, n);
	vreg_mem(j, n, &at);
	reload(j, v->reg, size, at);
	v->part = v->clean <= size ? WHOLE : (uint8_t)size;
	return v->reg;
}

int vreg_def(struct jit *j, uint16_t n, unsigned clean)
{
	j->v[n].clean = (uint8_t)clean;
	j->v[n].part = WHOLE;
	return alloc(j, n);
}

void vreg_slot(struct jit *j, uint16_t n)
{
	struct vval *v = &j->v[n];
	int r = T1;

	if (v->slot)
		return;
	if (v->reg != NO_REG && v->part == WHOLE)
		r = v->reg;
	else
		v2m(j, V_MOVAPS, T1, RBP, ENV_V(v->home));
	v2m(j, V_MOVAPS_ST, r, RBP, SLOT_V(n));
	v->slot = true;
}

/* A value that a pinned register holds stays at home there. */
void vreg_is_home(struct jit *j, uint16_t n, unsigned reg)
{
	unsigned old = j->v[n].home;

	if (old < VPINS)
		return;
	if (old != NO_HOME)
		j->homev[old] = 0;
	j->v[n].home = (uint8_t)reg;
	j->homev[reg] = n;
	if (reg < VPINS) {
		release(j, n);
		hold(j, n, (int)reg);
	}
}

void vreg_lose_home(struct jit *j, unsigned reg)
{
	uint16_t n = j->homev[reg];
	struct vval *v = &j->v[n];
	bool lives = v->last > j->i;

	if (!n)
		return;
	if (reg < VPINS) {
		release(j, n);
		if (lives && !v->slot)
			v_mov(j, alloc(j, n), (int)reg);
	} else if (lives && !v->slot) {
		vreg_use(j, n);
	} else if (v->part != WHOLE && !v->slot) {
		release(j, n);
	}
	v->home = NO_HOME;
	j->homev[reg] = 0;
}

void vreg_load_pinned(struct jit *j)
{
	for (int r = 0; r < VPINS; r++)
		v2m(j, V_MOVAPS, r, RBP, ENV_V(r));
}

void vreg_before_call(struct jit *j)
{
	for (uint32_t held = j->vheld >> VPINS << VPINS; held; held &= held - 1) {
		uint16_t n = j->vregs[__builtin_ctz(held)];

		if (j->v[n].last > j->i)
			spill(j, n);
		release(j, n);
	}
}

uint16_t vreg_snapshot(struct jit *j)
{
	struct vsnap *s = &j->vsnaps[j->n_vsnaps + 1];

	s->held = 0;
	for (uint32_t held = j->vheld; held; held &= held - 1) {
		int r = __builtin_ctz(held);
		uint16_t n = j->vregs[r];

		if (!n)
			continue; /* the op's result, from now on */
		s->held |= 1u << r;
		s->regs[r] = n;
		s->part[r] = j->v[n].part;
		if (!vreg_mem(j, n, &s->mem[r]))
			s->mem[r] = 0;
	}
	return s->held ? (uint16_t)++j->n_vsnaps : 0;
}

/* A part of a value is only in a register if all of it is in memory. */
void vreg_leave(struct jit *j, uint16_t snap, const struct ir_insn *op)
{
	const struct vsnap *s = &j->vsnaps[snap];
	uint16_t at = (uint16_t)(op - j->blk->ops);

	for (uint32_t held = snap ? s->held : 0; held; held &= held - 1) {
		int r = __builtin_ctz(held);
		uint16_t n = s->regs[r];

		if (reg_is_operand(op, IR_CLASS_V, n) ? s->mem[r] != SLOT_V(n) : j->v[n].last > at && !s->mem[r])
			v2m(j, V_MOVAPS_ST, r, RBP, SLOT_V(n));
	}
}

void vreg_come_back(struct jit *j, uint16_t snap, const struct ir_insn *op)
{
	const struct vsnap *s = &j->vsnaps[snap];
	uint16_t at = (uint16_t)(op - j->blk->ops);

	for (uint32_t held = snap ? s->held >> VPINS << VPINS : 0; held; held &= held - 1) {
		int r = __builtin_ctz(held);
		uint16_t n = s->regs[r];

		if (j->v[n].last > at)
			reload(j, r, s->part[r], s->mem[r] ? s->mem[r] : SLOT_V(n));
	}
}

void vreg_end_op(struct jit *j)
{
	for (uint32_t held = j->vheld; held; held &= held - 1) {
		uint16_t n = j->vregs[__builtin_ctz(held)];

		if (vreg_dies(j, n))
			release(j, n);
	}
	j->vpinned = 0;
}
