/* SPDX-License-Identifier: MIT */
/*
 * Accesses near to one another: the first of them, the lead, looks whether all that they reach is in one page, and those that
 * follow it take its answer. What each of them does if the lead did not find out is its own business (memory.c).
 *
 * Two addresses are near if they come from one value by adding constants. An answer holds until something may change what
 * the soft TLB was filled from, or the long way of an access may have changed the soft TLB.
 */
#include "select.h"

enum { REACH = 256, DEPTH = 8 };

struct address { /* root + offset; root is an x value, or a mark for constants */
	uint32_t root;
	int64_t offset;
};
enum { CONSTANT = UINT32_MAX };

static struct address address_of(const struct jit *j, const struct ir_insn *access)
{
	struct address at = {access->a, (int64_t)access->imm};

	for (unsigned i = 0; i < DEPTH; i++) {
		const struct ir_insn *op = &j->blk->ops[j->x[at.root].def], *c;

		if (op->op == IR_const) {
			at.offset = (int64_t)((uint64_t)at.offset + op->imm);
			at.root = CONSTANT;
			break;
		}
		if (op->op != IR_add64 && op->op != IR_sub64)
			break;
		c = &j->blk->ops[j->x[op->b].def];
		if (!op->a || !op->b || c->op != IR_const)
			break;
		at.offset = (int64_t)((uint64_t)at.offset + (op->op == IR_add64 ? c->imm : -c->imm));
		at.root = op->a;
	}
	return at;
}

static unsigned bytes_of(const struct ir_insn *op)
{
	bool pair = op->op == IR_loadp || op->op == IR_storep || op->op == IR_loadpv || op->op == IR_storepv;

	return 1u << IR_MEM_SIZE(op->aux) << pair;
}

/* A plain load or store that has host code. */
static bool may_take_part(const struct ir_insn *op)
{
	if (op->aux & (IR_MEM_UNPRIV | IR_MEM_ACQREL | IR_MEM_ALIGNED | IR_MEM_EXCL) || !op->a)
		return false;
	switch (op->op) {
	case IR_load:
	case IR_loadp:
	case IR_store:
	case IR_storep: return IR_MEM_SIZE(op->aux) <= 3;
	case IR_loadv:
	case IR_loadpv: return !(op->aux & IR_MEM_SSE);
	case IR_storev:
	case IR_storepv: return true;
	default: return false;
	}
}

static bool ends_all(unsigned op)
{
	return (op >= IR_load && op <= IR_fence) || op == IR_msr || op == IR_msr_imm || op == IR_pauth;
}

struct group {
	struct address at; /* of the lead; offset: its first byte */
	int64_t lo, hi;	   /* of all, as offsets from root; hi: behind the last byte */
	uint16_t lead;
	uint8_t cover; /* 0: nobody follows yet */
};

/* Joins the group: false if it is too far from it, or wants more than the group's lead asks for. */
static bool join(struct jit *j, struct group *g, unsigned i, struct address at)
{
	const struct ir_insn *op = &j->blk->ops[i], *lead = &j->blk->ops[g->lead];
	int64_t lo = at.offset < g->lo ? at.offset : g->lo, hi = at.offset + (int64_t)bytes_of(op);
	struct cover *c;

	hi = hi > g->hi ? hi : g->hi;
	if (at.root != g->at.root || hi - lo > REACH || (op->aux & IR_MEM_WNR && !(lead->aux & IR_MEM_WNR)))
		return false;
	if (!g->cover && j->n_covers == IR_COVERS)
		return false;
	if (!g->cover) {
		g->cover = (uint8_t)++j->n_covers;
		j->covers[g->cover] = (struct cover){.lead = g->lead};
		j->cover_of[g->lead] = g->cover;
	}
	g->lo = lo;
	g->hi = hi;
	c = &j->covers[g->cover];
	c->lo = (int32_t)(lo - g->at.offset);
	c->hi = (int32_t)(hi - g->at.offset);
	c->last = (uint16_t)i;
	c->n++;
	j->cover_of[i] = g->cover;
	return true;
}

static bool has_two(const struct ir_block *blk)
{
	unsigned n = 0;

	for (unsigned i = 0; i < blk->n_ops; i++)
		n += blk->ops[i].op >= IR_load && blk->ops[i].op <= IR_storepv;
	return n > 1;
}

void cover_find(struct jit *j)
{
	struct group group[4];
	unsigned n = 0, next = 0;

	j->n_covers = 0;
	j->covers_live = 0;
	if (j->unit->tier == JIT_PROBE || !has_two(j->blk))
		return;
	memset(j->cover_of, 0, j->blk->n_ops * sizeof(j->cover_of[0]));
	for (unsigned i = 0; i < j->blk->n_ops; i++) {
		const struct ir_insn *op = &j->blk->ops[i];
		struct address at;
		unsigned k = 0;

		if (!may_take_part(op)) {
			if (ends_all(op->op))
				n = 0;
			continue;
		}
		at = address_of(j, op);
		if (at.offset > INT32_MAX / 2 || at.offset < INT32_MIN / 2)
			continue;
		while (k < n && !join(j, &group[k], i, at))
			k++;
		if (k < n)
			continue;
		k = n < 4 ? n++ : next++ % 4;
		group[k] =
			(struct group){.at = at, .lo = at.offset, .hi = at.offset + bytes_of(op), .lead = (uint16_t)i};
	}
}
