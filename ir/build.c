/* SPDX-License-Identifier: MIT */
/*
 * The builder: emitters call it, one call per op, and it writes the ops of a block into its own arrays. It folds
 * constants, drops operations that do nothing, and forwards guest registers (a get after a put, or after another get,
 * is the value already known), so that most of what a compiler calls local simplification happens before an op exists.
 *
 * Nothing is allocated after creation, and nothing a guest can write overflows the arrays: an instruction that does
 * not fit is taken back, and the block ends before it (or, if it is alone in its block, it is UNDEFINED).
 */
#include "ir.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "builder.h"
#include "env.h"
#include "eval.h"
#include "fuse.h"
#include "op.h"
#include "zeroed.h"

enum {
	ROOM = 256,		   /* ops and values that ir_has_room promises to the next instruction */
	OPS_LIMIT = IR_MAX_OPS - 1 /* the last op is kept for the one that ends the block */
};

struct ir_builder *ir_builder_new(void)
{
	struct ir_builder *b = zeroed_new(sizeof(*b));

	if (!b)
		return NULL;
	b->fuse = ir_fuse_new();
	if (!b->fuse) {
		zeroed_free(b, sizeof(*b));
		return NULL;
	}
	ir_begin(b, 0);
	return b;
}

void ir_builder_free(struct ir_builder *b)
{
	if (b)
		ir_fuse_free(b->fuse);
	zeroed_free(b, sizeof(*b));
}

void ir_interp_prepare(struct ir_builder *b, struct ir_block *blk)
{
	ir_fuse(b->fuse, blk);
}

static void forget_regs(struct ir_builder *b)
{
	memset(b->cur_x, 0, sizeof(b->cur_x));
	memset(b->cur_v, 0, sizeof(b->cur_v));
	b->cur_f = 0;
}

void ir_begin(struct ir_builder *b, uint64_t pc)
{
	b->pc = pc;
	b->n_ops = 0;
	b->n_x = b->n_v = 1; /* value 0 is "none" */
	b->n_insns = 0;
	b->next = pc;
	b->start = (struct mark){0, 1, 1};
	b->overflow = b->ended = b->is_trace = false;
	memset(b->consts, 0, sizeof(b->consts));
	forget_regs(b);
}

/* What the op at i does to the values known of guest registers. */
static void track(struct ir_builder *b, const struct ir_insn *op)
{
	switch (op->op) {
	case IR_getx: b->cur_x[op->x] = op->dst; break;
	case IR_putx: b->cur_x[op->x] = op->a; break;
	case IR_getv: b->cur_v[op->x] = op->dst; break;
	case IR_putv: b->cur_v[op->x] = op->a; break;
	case IR_getf: b->cur_f = op->dst; break;
	case IR_putf: b->cur_f = op->a; break;
	case IR_msr:
	case IR_msr_imm:
		/* May change which SP is current, or NZCV. */
		b->cur_x[31] = 0;
		b->cur_f = 0;
		break;
	default: break;
	}
}

static void take_back(struct ir_builder *b)
{
	b->n_ops = b->start.ops;
	b->n_x = b->start.x;
	b->n_v = b->start.v;
	b->overflow = b->ended = false;
	forget_regs(b);
	for (unsigned i = 0; i < b->n_ops; i++)
		track(b, &b->ops[i]);
}

void ir_append(struct ir_builder *b, const struct ir_insn *op)
{
	struct ir_insn *o = &b->ops[b->n_ops++];

	*o = *op;
	o->gi = b->n_insns ? b->n_insns - 1 : 0;
	if (ir_opinfo[o->op].flags & IR_OPF_END)
		b->ended = true;
}

/* The instruction did not fit: end the block before it; alone in its block, it is more than we can run. */
static void settle(struct ir_builder *b)
{
	if (!b->overflow)
		return;
	take_back(b);
	if (b->n_insns > 1) {
		b->next = b->pcs[--b->n_insns];
		ir_append(b, &(struct ir_insn){.op = IR_br, .imm = b->next});
	} else {
		ir_append(b, &(struct ir_insn){.op = IR_exit, .x = IR_EXIT_UNDEF});
	}
}

void ir_next_insn(struct ir_builder *b)
{
	settle(b);
	if (b->ended)
		return;
	if (b->n_insns == IR_MAX_INSNS) {
		ir_append(b, &(struct ir_insn){.op = IR_br, .imm = b->next});
		return;
	}
	b->pcs[b->n_insns++] = b->next;
	b->next += 4;
	b->start = (struct mark){b->n_ops, b->n_x, b->n_v};
}

bool ir_has_room(const struct ir_builder *b)
{
	return !b->overflow && !b->ended && b->n_insns < IR_MAX_INSNS && b->n_ops + ROOM <= OPS_LIMIT &&
	       b->n_x + ROOM <= IR_MAX_VALUES && b->n_v + ROOM <= IR_MAX_VALUES;
}

bool ir_ended(const struct ir_builder *b)
{
	return b->ended || b->overflow;
}

void ir_rollback_insn(struct ir_builder *b)
{
	take_back(b);
}

#ifndef NDEBUG
/* A tenth of what translation costs: of a long run, some. */
static bool is_checked(struct ir_builder *b)
{
	enum { ALL = 1024, ONE_OF = 64 };

	return ++b->n_blocks <= ALL || b->n_blocks % ONE_OF == 0 || b->check_all;
}
#endif

void ir_builder_check_all(struct ir_builder *b)
{
	b->check_all = true;
}

void ir_finish(struct ir_builder *b, struct ir_block *out)
{
	settle(b);
	if (!b->ended)
		ir_append(b, &(struct ir_insn){.op = IR_br, .imm = b->next});
	*out = (struct ir_block){.pc = b->pc,
				 .n_insns = b->n_insns,
				 .n_ops = b->n_ops,
				 .n_x = b->n_x,
				 .n_v = b->n_v,
				 .ops = b->ops,
				 .pcs = b->is_trace ? b->pcs : NULL};
#ifndef NDEBUG
	char msg[160];

	if (is_checked(b) && ir_check(out, msg, sizeof(msg))) {
		fprintf(stderr, "ir: %s\n", msg);
		ir_print(stderr, out);
		assert(!"an emitter built a bad block");
	}
#endif
	ir_opt(out);
}

/* ---- emission */

bool ir_full(struct ir_builder *b)
{
	if (b->n_ops >= OPS_LIMIT || b->n_x + 2 > IR_MAX_VALUES || b->n_v + 2 > IR_MAX_VALUES)
		b->overflow = true;
	return b->overflow || b->ended;
}

uint16_t ir_new_x(struct ir_builder *b, unsigned width)
{
	uint16_t n = b->n_x++;

	b->def[n] = b->n_ops; /* the op about to be appended */
	b->width[n] = (uint8_t)width;
	return n;
}

uint16_t ir_new_v(struct ir_builder *b)
{
	return b->n_v++;
}

uint16_t ir_emit_x(struct ir_builder *b, unsigned width, struct ir_insn op)
{
	if (ir_full(b))
		return 0;
	op.dst = ir_new_x(b, width);
	ir_append(b, &op);
	return op.dst;
}

uint16_t ir_emit_v(struct ir_builder *b, struct ir_insn op)
{
	if (ir_full(b))
		return 0;
	op.dst = ir_new_v(b);
	ir_append(b, &op);
	return op.dst;
}

void ir_emit(struct ir_builder *b, struct ir_insn op)
{
	if (!ir_full(b))
		ir_append(b, &op);
}

/* The op that defined an x or f value; a nop for 0, "none", which only exists after an overflow. */
static const struct ir_insn *def_of(const struct ir_builder *b, uint16_t n)
{
	static const struct ir_insn none;

	return n && n < b->n_x ? &b->ops[b->def[n]] : &none;
}

/* *val is 0 if v is not a constant. */
static bool is_const(const struct ir_builder *b, ir_x v, uint64_t *val)
{
	const struct ir_insn *d = def_of(b, v.n);
	bool yes = d->op == IR_const;

	*val = yes ? d->imm : 0;
	return yes;
}

static unsigned width_of(const struct ir_builder *b, ir_x v)
{
	return v.n && v.n < b->n_x ? b->width[v.n] : 64;
}
static unsigned bit_length(uint64_t v)
{
	return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}
static unsigned max_u(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

ir_x ir_const(struct ir_builder *b, uint64_t v)
{
	uint16_t *slot = &b->consts[(v * UINT64_C(0x9e3779b97f4a7c15)) >> 58 & (NUM_CONST - 1)];
	uint64_t have;

	if (!is_const(b, (ir_x){*slot}, &have) || have != v)
		*slot = ir_emit_x(b, bit_length(v), (struct ir_insn){.op = IR_const, .imm = v});
	return (ir_x){*slot};
}

/* ---- guest registers */

ir_x ir_getx(struct ir_builder *b, unsigned reg)
{
	reg &= 31;
	if (!b->cur_x[reg])
		b->cur_x[reg] = ir_emit_x(b, 64, (struct ir_insn){.op = IR_getx, .x = (uint8_t)reg});
	return (ir_x){b->cur_x[reg]};
}

void ir_putx(struct ir_builder *b, unsigned reg, ir_x v)
{
	reg &= 31;
	if (v.n && b->cur_x[reg] == v.n)
		return;
	ir_emit(b, (struct ir_insn){.op = IR_putx, .x = (uint8_t)reg, .a = v.n});
	b->cur_x[reg] = v.n;
}

ir_v ir_getv(struct ir_builder *b, unsigned reg)
{
	reg &= 31;
	if (!b->cur_v[reg])
		b->cur_v[reg] = ir_emit_v(b, (struct ir_insn){.op = IR_getv, .x = (uint8_t)reg});
	return (ir_v){b->cur_v[reg]};
}

void ir_putv(struct ir_builder *b, unsigned reg, ir_v v)
{
	reg &= 31;
	if (v.n && b->cur_v[reg] == v.n)
		return;
	ir_emit(b, (struct ir_insn){.op = IR_putv, .x = (uint8_t)reg, .a = v.n});
	b->cur_v[reg] = v.n;
}

ir_f ir_getf(struct ir_builder *b)
{
	if (!b->cur_f)
		b->cur_f = ir_emit_x(b, 32, (struct ir_insn){.op = IR_getf});
	return (ir_f){b->cur_f};
}

void ir_putf(struct ir_builder *b, ir_f f)
{
	if (f.n && b->cur_f == f.n)
		return;
	ir_emit(b, (struct ir_insn){.op = IR_putf, .a = f.n});
	b->cur_f = f.n;
}

/* ---- integer */

/* A bound on the result of an op from the bounds of its operands: result < 2^width. */
static unsigned result_width(const struct ir_builder *b, const struct ir_insn *op)
{
	unsigned wa = width_of(b, (ir_x){op->a}), wb = width_of(b, (ir_x){op->b}), wc = width_of(b, (ir_x){op->c});
	uint64_t k;

	switch (op->op) {
	case IR_add64: return min_u(64, max_u(wa, wb) + 1);
	case IR_and: return min_u(wa, wb);
	case IR_or:
	case IR_xor: return max_u(wa, wb);
	case IR_andn:
	case IR_udiv64: return wa;
	case IR_lshr64: return is_const(b, (ir_x){op->b}, &k) ? wa - min_u(wa, k & 63) : wa;
	case IR_lshr32: return is_const(b, (ir_x){op->b}, &k) ? 32 - (k & 31) : 32;
	case IR_mul64: return min_u(64, wa + wb);
	case IR_udiv32: return min_u(wa, 32);
	case IR_ubfx: return min_u(op->aux, wa - min_u(wa, op->x));
	case IR_bfi: return max_u(wa, op->x + op->aux);
	case IR_select: return max_u(wb, wc);
	case IR_eqz64:
	case IR_eqz32:
	case IR_nez64:
	case IR_nez32:
	case IR_tstbit:
	case IR_cond: return 1;
	case IR_clz64:
	case IR_clz32:
	case IR_cls64:
	case IR_cls32: return 7;
	case IR_rev16_32:
	case IR_rev32:
	case IR_rbit32:
	case IR_crc32:
	case IR_add32:
	case IR_sub32:
	case IR_not32:
	case IR_shl32:
	case IR_ashr32:
	case IR_ror32:
	case IR_mul32:
	case IR_sdiv32:
	case IR_adc32:
	case IR_extr32: return 32;
	default: return 64;
	}
}

/* How many low bits of its operands an op looks at. */
static unsigned looks_at(const struct ir_insn *op)
{
	switch (op->op) {
	case IR_add32:
	case IR_sub32:
	case IR_adc32:
	case IR_mul32:
	case IR_not32:
	case IR_shl32:
	case IR_lshr32:
	case IR_ashr32:
	case IR_ror32:
	case IR_sdiv32:
	case IR_udiv32:
	case IR_clz32:
	case IR_cls32:
	case IR_rbit32:
	case IR_rev32:
	case IR_rev16_32:
	case IR_extr32:
	case IR_eqz32:
	case IR_nez32:
	case IR_fl_add32:
	case IR_fl_sub32:
	case IR_fl_adc32:
	case IR_fl_logic32: return 32;
	case IR_ubfx:
	case IR_sbfx: return op->x + op->aux;
	default: return 64;
	}
}

uint16_t ir_not_extended(const struct ir_builder *b, uint16_t n, unsigned bits)
{
	const struct ir_insn *d = def_of(b, n);

	while ((d->op == IR_ubfx || d->op == IR_sbfx) && !d->x && d->aux >= bits) {
		n = d->a;
		d = def_of(b, n);
	}
	return n;
}

static void strip_operands(const struct ir_builder *b, struct ir_insn *op)
{
	unsigned bits = looks_at(op);

	if (bits >= 64)
		return;
	op->a = ir_not_extended(b, op->a, bits);
	if (ir_opinfo[op->op].n_arg > 1)
		op->b = ir_not_extended(b, op->b, bits);
}

/* The result of a pure op of up to three x operands, if they are all constant. */
static bool folds(struct ir_builder *b, const struct ir_insn *op, uint64_t *r)
{
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	uint64_t k[3] = {0, 0, 0};
	bool all = true;

	for (unsigned i = 0; i < info->n_arg && all; i++)
		all = info->arg[i] == IR_CLASS_X && is_const(b, (ir_x){ir_arg(op, i)}, &k[i]);
	return all && ir_eval(op, k[0], k[1], k[2], r);
}

static ir_x pure(struct ir_builder *b, struct ir_insn op)
{
	uint64_t r;

	strip_operands(b, &op);
	if (folds(b, &op, &r))
		return ir_const(b, r);
	return (ir_x){ir_emit_x(b, result_width(b, &op), op)};
}

/* The same for flags. */
static ir_f pure_f(struct ir_builder *b, struct ir_insn op)
{
	uint64_t r;

	strip_operands(b, &op);
	if (op.op != IR_fl_const && folds(b, &op, &r))
		return ir_fl_const(b, (unsigned)(r >> 28));
	return (ir_f){ir_emit_x(b, 32, op)};
}

static inline bool sig_is(enum ir_opcode op, unsigned n_arg)
{
	const struct ir_opinfo *info;

	if ((unsigned)op >= IR_OP_COUNT)
		return false;
	info = &ir_opinfo[op];
	if (info->n_res != 1 || info->res[0] != IR_CLASS_X || info->n_arg != n_arg || info->flags)
		return false;
	for (unsigned i = 0; i < n_arg; i++)
		if (info->arg[i] != IR_CLASS_X)
			return false;
	return true;
}

ir_x ir_un(struct ir_builder *b, enum ir_opcode op, ir_x a)
{
	assert(sig_is(op, 1));
	/* An i1 is its own truth value. */
	if ((op == IR_nez64 || op == IR_nez32) && width_of(b, a) <= 1)
		return a;
	if (op == IR_not64 && def_of(b, a.n)->op == IR_not64)
		return (ir_x){def_of(b, a.n)->a};
	return pure(b, (struct ir_insn){.op = (uint8_t)op, .a = a.n});
}

static bool commutes(enum ir_opcode op)
{
	switch (op) {
	case IR_add64:
	case IR_add32:
	case IR_and:
	case IR_or:
	case IR_xor:
	case IR_mul64:
	case IR_mul32:
	case IR_mulhs:
	case IR_mulhu: return true;
	default: return false;
	}
}

static ir_x zext32(struct ir_builder *b, ir_x a)
{
	return ir_ubfx(b, a, 0, 32);
}

/* a op k for constant k, where that is simpler than the op. */
static bool simplify_const(struct ir_builder *b, enum ir_opcode op, ir_x a, uint64_t k, ir_x *r)
{
	unsigned w = width_of(b, a);

	switch (op) {
	case IR_add64:
	case IR_sub64:
	case IR_or:
	case IR_xor:
	case IR_andn:
		if (k == 0)
			return *r = a, true;
		if (op == IR_xor && k == ~(uint64_t)0)
			return *r = ir_un(b, IR_not64, a), true;
		return false;
	case IR_and:
		if (k == 0)
			return *r = ir_const(b, 0), true;
		if ((ir_ones(w) & ~k) == 0) /* every bit that a may have is kept */
			return *r = a, true;
		if (k == UINT8_MAX || k == UINT16_MAX || k == UINT32_MAX)
			return *r = ir_ubfx(b, a, 0, bit_length(k)), true;
		return false;
	case IR_shl64:
	case IR_lshr64:
	case IR_ashr64:
	case IR_ror64:
		if ((k & 63) == 0)
			return *r = a, true;
		return false;
	case IR_add32:
	case IR_sub32:
		if ((uint32_t)k == 0)
			return *r = zext32(b, a), true;
		return false;
	case IR_shl32:
	case IR_lshr32:
	case IR_ashr32:
	case IR_ror32:
		if ((k & 31) == 0)
			return *r = zext32(b, a), true;
		return false;
	case IR_mul64:
		if (k == 0)
			return *r = ir_const(b, 0), true;
		if (k == 1)
			return *r = a, true;
		return false;
	case IR_udiv64:
	case IR_sdiv64:
		if (k == 1)
			return *r = a, true;
		return false;
	default: return false;
	}
}

ir_x ir_bin(struct ir_builder *b, enum ir_opcode op, ir_x a, ir_x c)
{
	uint64_t ka, kc;
	bool const_a = is_const(b, a, &ka), const_c = is_const(b, c, &kc);
	ir_x r;

	assert(sig_is(op, 2));
	if (const_a && !const_c && commutes(op)) {
		ir_x t = a;

		a = c;
		c = t;
		kc = ka;
		const_a = false;
		const_c = true;
	}
	if (const_c && !const_a && simplify_const(b, op, a, kc, &r))
		return r;
	if (a.n == c.n && a.n) {
		if (op == IR_and || op == IR_or)
			return a;
		if (op == IR_xor || op == IR_sub64 || op == IR_sub32 || op == IR_andn)
			return ir_const(b, 0);
	}
	/* Zero on the left of an or, xor: handled by commuting; of a sub: there is no neg op. */
	return pure(b, (struct ir_insn){.op = (uint8_t)op, .a = a.n, .b = c.n});
}

ir_x ir_bini(struct ir_builder *b, enum ir_opcode op, ir_x a, uint64_t imm)
{
	uint64_t ka;
	ir_x r;

	/* Before the constant is made, so that it is not made for nothing. */
	if (!is_const(b, a, &ka) && simplify_const(b, op, a, imm, &r))
		return r;
	return ir_bin(b, op, a, ir_const(b, imm));
}

ir_x ir_adc(struct ir_builder *b, bool sf, ir_x a, ir_x c, ir_x carry)
{
	return pure(b, (struct ir_insn){.op = sf ? IR_adc64 : IR_adc32, .a = a.n, .b = c.n, .c = carry.n});
}

ir_x ir_extr(struct ir_builder *b, bool sf, ir_x hi, ir_x lo, unsigned lsb)
{
	assert(lsb < (sf ? 64u : 32u));
	if (lsb == 0)
		return sf ? lo : zext32(b, lo);
	return pure(b, (struct ir_insn){.op = sf ? IR_extr64 : IR_extr32, .x = (uint8_t)lsb, .a = hi.n, .b = lo.n});
}

ir_x ir_ubfx(struct ir_builder *b, ir_x a, unsigned lsb, unsigned width)
{
	assert(width >= 1 && lsb + width <= 64);
	if (lsb == 0 && width_of(b, a) <= width)
		return a;
	if (width_of(b, a) <= lsb)
		return ir_const(b, 0);
	return pure(b, (struct ir_insn){.op = IR_ubfx, .x = (uint8_t)lsb, .aux = width, .a = a.n});
}

ir_x ir_sbfx(struct ir_builder *b, ir_x a, unsigned lsb, unsigned width)
{
	assert(width >= 1 && lsb + width <= 64);
	if (lsb == 0 && (width == 64 || width_of(b, a) < width)) /* the sign bit is known to be 0 */
		return a;
	return pure(b, (struct ir_insn){.op = IR_sbfx, .x = (uint8_t)lsb, .aux = width, .a = a.n});
}

ir_x ir_bfi(struct ir_builder *b, ir_x base, ir_x src, unsigned lsb, unsigned width)
{
	assert(width >= 1 && lsb + width <= 64);
	if (width == 64)
		return src;
	return pure(b, (struct ir_insn){.op = IR_bfi, .x = (uint8_t)lsb, .aux = width, .a = base.n, .b = src.n});
}

ir_x ir_crc32(struct ir_builder *b, ir_x acc, ir_x val, unsigned log2size, bool castagnoli)
{
	assert(log2size <= 3);
	return pure(
		b, (struct ir_insn){.op = IR_crc32, .x = (uint8_t)log2size, .aux = castagnoli, .a = acc.n, .b = val.n});
}

ir_x ir_select(struct ir_builder *b, ir_x cond, ir_x t, ir_x f)
{
	uint64_t k;

	if (is_const(b, cond, &k))
		return k ? t : f;
	if (t.n == f.n)
		return t;
	return pure(b, (struct ir_insn){.op = IR_select, .a = cond.n, .b = t.n, .c = f.n});
}

/* ---- flags */

ir_f ir_fl_add(struct ir_builder *b, bool sf, ir_x a, ir_x c)
{
	return pure_f(b, (struct ir_insn){.op = sf ? IR_fl_add64 : IR_fl_add32, .a = a.n, .b = c.n});
}

ir_f ir_fl_sub(struct ir_builder *b, bool sf, ir_x a, ir_x c)
{
	return pure_f(b, (struct ir_insn){.op = sf ? IR_fl_sub64 : IR_fl_sub32, .a = a.n, .b = c.n});
}

ir_f ir_fl_adc(struct ir_builder *b, bool sf, ir_x a, ir_x c, ir_x carry)
{
	return pure_f(b, (struct ir_insn){.op = sf ? IR_fl_adc64 : IR_fl_adc32, .a = a.n, .b = c.n, .c = carry.n});
}

ir_f ir_fl_logic(struct ir_builder *b, bool sf, ir_x a)
{
	return pure_f(b, (struct ir_insn){.op = sf ? IR_fl_logic64 : IR_fl_logic32, .a = a.n});
}

ir_f ir_fl_fcmp(struct ir_builder *b, ir_v a, ir_v c, unsigned log2size, bool signal_qnan)
{
	assert(log2size >= 1 && log2size <= 3);
	return (ir_f){ir_emit_x(
		b, 32,
		(struct ir_insn){.op = IR_fl_fcmp, .x = (uint8_t)log2size, .aux = signal_qnan, .a = a.n, .b = c.n})};
}

ir_f ir_fl_const(struct ir_builder *b, unsigned nzcv)
{
	return (ir_f){ir_emit_x(b, 32, (struct ir_insn){.op = IR_fl_const, .imm = nzcv & 15})};
}

ir_f ir_fl_select(struct ir_builder *b, ir_x cond, ir_f t, ir_f f)
{
	uint64_t k;

	if (is_const(b, cond, &k))
		return k ? t : f;
	if (t.n == f.n)
		return t;
	return (ir_f){ir_emit_x(b, 32, (struct ir_insn){.op = IR_fl_select, .a = cond.n, .b = t.n, .c = f.n})};
}

ir_f ir_fl_pack(struct ir_builder *b, ir_x v)
{
	return pure_f(b, (struct ir_insn){.op = IR_fl_pack, .a = v.n});
}

ir_x ir_fl_unpack(struct ir_builder *b, ir_f f)
{
	const struct ir_insn *d = def_of(b, f.n);

	if (d->op == IR_fl_const)
		return ir_const(b, (d->imm & 15) << 28);
	return (ir_x){ir_emit_x(b, 32, (struct ir_insn){.op = IR_fl_unpack, .a = f.n})};
}

ir_x ir_cond(struct ir_builder *b, ir_f f, enum ir_cond cc)
{
	const struct ir_insn *d = def_of(b, f.n);

	if (cc >= IR_AL)
		return ir_const(b, 1);
	if (d->op == IR_fl_const)
		return ir_const(b, ir_cond_holds((uint32_t)(d->imm & 15) << 28, cc));
	return (ir_x){ir_emit_x(b, 1, (struct ir_insn){.op = IR_cond, .x = (uint8_t)cc, .a = f.n})};
}

/* ---- control flow */

void ir_brcond(struct ir_builder *b, ir_x cond, uint64_t target)
{
	uint64_t k;

	if (!is_const(b, cond, &k))
		ir_emit(b, (struct ir_insn){.op = IR_brcond, .a = cond.n, .imm = target});
	else if (k)
		ir_br(b, target);
}

void ir_br(struct ir_builder *b, uint64_t target)
{
	ir_emit(b, (struct ir_insn){.op = IR_br, .imm = target});
}

void ir_br_ind(struct ir_builder *b, ir_x target, enum ir_br_kind kind)
{
	ir_emit(b, (struct ir_insn){.op = IR_br_ind, .x = (uint8_t)kind, .a = target.n});
}

void ir_exit(struct ir_builder *b, enum ir_exit_reason why, uint64_t payload)
{
	ir_emit(b, (struct ir_insn){.op = IR_exit, .x = (uint8_t)why, .imm = payload});
}

/* ---- traces */

enum ir_way ir_way(const struct ir_builder *b, uint64_t *target)
{
	const struct ir_insn *op = b->n_ops ? &b->ops[b->n_ops - 1] : NULL;

	if (!op || b->overflow || b->n_ops == b->start.ops)
		return IR_WAY_NONE;
	*target = op->imm;
	switch (op->op) {
	case IR_br: return IR_WAY_ALWAYS;
	case IR_brcond: return IR_WAY_COND;
	case IR_br_ind: /* RET to where BL has come from: other kinds have an effect on PSTATE.BTYPE */
		return op->x == IR_BR_RET && is_const(b, (ir_x){op->a}, target) ? IR_WAY_ALWAYS : IR_WAY_NONE;
	default: return IR_WAY_NONE;
	}
}

void ir_take(struct ir_builder *b)
{
	struct ir_insn *op = &b->ops[b->n_ops - 1];
	uint64_t from = b->next, to = from;

	if (ir_way(b, &to) == IR_WAY_COND) {
		op->imm = from;
		op->aux ^= 1;
	} else {
		b->n_ops--;
		b->ended = false;
	}
	b->next = to;
	b->is_trace |= to != from;
}
