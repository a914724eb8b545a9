/* SPDX-License-Identifier: MIT */
/*
 * Traces: if control usually comes back to a hot block, through other hot blocks of its page, all of that is one unit, whose values
 * stay in registers from one block to the next. What probes have counted says which way is usual, and how often it is not taken: a
 * loop that is left every few times around is not worth registers of its own, and only one that is seldom left is unrolled, if it is
 * short. What does not come back stays a unit for each block: traces that overlap would be many times the code.
 */
#include "internal.h"

enum {
	COPIES = 4,  /* of a loop, at most */
	ENOUGH = 32, /* instructions, of which no further copy is made */
	SELDOM = 16, /* strays of a loop (struct block) that is unrolled, at most */
	OFTEN = 64,  /* ... that has registers of its own */
	WHOLE = IR_MAX_INSNS
};

struct maker {
	struct cpu *cpu;
	const struct block *head;
	struct trace *t;
	struct trace_parts *parts;
	const struct block *of[JIT_PIECES]; /* what each piece is of */
	unsigned copies, around; /* how often it came back to the head; where that was the last time, in of[] */
	unsigned most;		 /* instructions */
	bool loops;		 /* it comes back to the head */
	unsigned strays;	 /* of all blocks, once around */
};

/* The block to go on with at pc; NULL: here the trace ends. */
static const struct block *next_block(struct maker *m, uint64_t pc)
{
	const struct block *head = m->head, *b;
	unsigned n = m->t->n;

	if ((pc ^ head->pc) & IR_PAGE_MASK || m->parts->n == JIT_PIECES)
		return NULL;
	if (pc == head->pc) {
		m->loops = true;
		if (m->strays > SELDOM || ++m->copies == COPIES || n >= ENOUGH || n + n / m->copies > WHOLE)
			return NULL;
		m->around = m->parts->n;
		return head;
	}
	b = block_known_locked(m->cpu, pc, (head->ipa & IR_PAGE_MASK) | (pc & ~IR_PAGE_MASK), head->key);
	for (unsigned i = m->around; i < m->parts->n; i++) {
		if (m->of[i] == b)
			return NULL; /* a loop inside */
	}
	return b && b->tier == JIT_HOT ? b : NULL;
}

/* Instructions of b, as far as control usually comes. What is next, or NULL. */
static const struct block *emit_block(struct maker *m, const struct block *b)
{
	struct isa_ctx ctx = block_context(m->cpu, b->key);
	const struct hot *hot = b->hot;
	struct trace *t = m->t;
	uint64_t to;

	m->strays += m->loops ? 0 : hot->strays;
	m->of[m->parts->n] = b;
	m->parts->piece[m->parts->n++] =
		(struct jit_piece){.gi = t->n, .site_extent = hot->site_extent, .extents = hot->extents};
	for (unsigned i = 0; i < b->n_words; i++) {
		const struct block *next;
		enum ir_way way;
		bool open;

		if (t->n == m->most || !ir_has_room(ctx.b))
			return NULL;
		ctx.pc = b->pc + 4 * i;
		t->words[t->n] = block_words(b)[i];
		t->at[t->n++] = (uint16_t)((ctx.pc & ~IR_PAGE_MASK) / 4);
		ir_next_insn(ctx.b);
		open = isa_emit(&ctx, block_words(b)[i]);
		way = ir_way(ctx.b, &to);
		if (way == IR_WAY_COND && !(hot->ways >> i & 1))
			return NULL;
		if (way == IR_WAY_ALWAYS || (way == IR_WAY_COND && hot->taken >> i & 1)) {
			next = next_block(m, to);
			if (next)
				ir_take(ctx.b);
			return next;
		}
		if (!open)
			return NULL;
	}
	return next_block(m, b->pc + 4 * b->n_words);
}

/* Code may have to be left behind such an op, so that a loop with one is not a unit's business. */
static bool may_end_unit(const struct ir_insn *op)
{
	return op->op == IR_msr || op->op == IR_msr_imm || (op->op == IR_fence && op->x >= IR_FENCE_DSB);
}

static bool stays_in_code(const struct ir_block *ir)
{
	for (unsigned i = 0; i < ir->n_ops; i++) {
		if (may_end_unit(&ir->ops[i]))
			return false;
	}
	return true;
}

bool trace_emit(struct cpu *cpu, const struct block *head, struct ir_block *ir, struct trace *t,
		struct trace_parts *parts, uint32_t *sp_mask)
{
	struct maker m = {.cpu = cpu, .head = head, .t = t, .parts = parts, .most = WHOLE};
	uint32_t mask;

	if (head->key & (KEY_BTYPE | KEY_COUNT | KEY_ONE))
		return false;
	for (;;) {
		t->n = parts->n = m.copies = m.around = 0;
		m.loops = false;
		m.strays = 0;
		ir_begin(cpu->priv->builder, head->pc);
		for (const struct block *b = head; b;)
			b = emit_block(&m, b);
		ir_finish(cpu->priv->builder, ir);
		t->n = ir->n_insns;
		m.most = block_sp_scan(ir, t->n, &mask);
		if (m.most == t->n)
			break;
	}
	parts->loops = m.strays <= OFTEN;
	if (!m.loops || (parts->n == 1 && !parts->loops) || !stays_in_code(ir))
		return false;
	parts->sp_mask = mask;
	*sp_mask |= mask;
	return true;
}

bool trace_is_good(const struct block *b, const uint8_t *host)
{
	const struct trace *t = block_trace(b);
	const uint32_t *page = (const uint32_t *)(const void *)(host - (b->pc & ~IR_PAGE_MASK));

	for (unsigned i = 0; i < t->n; i++) {
		if (t->words[i] != __atomic_load_n(&page[t->at[i]], __ATOMIC_RELAXED))
			return false;
	}
	return true;
}
