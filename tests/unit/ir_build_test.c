/* SPDX-License-Identifier: MIT */
/*
 * ir/build.c: what it folds, what it forwards, and that nothing an emitter does can make it write outside its arrays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ir_block.h"

static struct ir_builder *b;
static struct ir_block blk;
static struct pe pe;

#define MEM64 IR_MEM(3, 0, 0, 0)

static void begin(void)
{
	ir_begin(b, PC);
	ir_next_insn(b);
}

static void finish(void)
{
	char msg[160];

	ir_finish(b, &blk);
	if (ir_check(&blk, msg, sizeof(msg)))
		fail_msg("%s", msg);
}

static unsigned count(unsigned op)
{
	unsigned n = 0;

	for (unsigned i = 0; i < blk.n_ops; i++)
		n += blk.ops[i].op == op;
	return n;
}

static void operations_that_do_nothing_are_not_emitted(void **s)
{
	ir_x a;

	begin();
	a = ir_getx(b, 1);
	assert_int_equal(ir_bini(b, IR_add64, a, 0).n, a.n);
	assert_int_equal(ir_bini(b, IR_sub64, a, 0).n, a.n);
	assert_int_equal(ir_bini(b, IR_or, a, 0).n, a.n);
	assert_int_equal(ir_bini(b, IR_and, a, UINT64_MAX).n, a.n);
	assert_int_equal(ir_bini(b, IR_shl64, a, 64).n, a.n);
	assert_int_equal(ir_bini(b, IR_mul64, a, 1).n, a.n);
	assert_int_equal(ir_bin(b, IR_and, a, a).n, a.n);
	assert_int_equal(ir_ubfx(b, a, 0, 64).n, a.n);
	assert_int_equal(ir_sbfx(b, a, 0, 64).n, a.n);
	assert_int_equal(ir_extr(b, true, ir_getx(b, 2), a, 0).n, a.n);
	assert_int_equal(ir_select(b, ir_getx(b, 2), a, a).n, a.n);
	/* 32-bit results and bytes are zero-extended already */
	a = ir_bin(b, IR_add32, a, ir_getx(b, 2));
	assert_int_equal(ir_ubfx(b, a, 0, 32).n, a.n);
	assert_int_equal(ir_bini(b, IR_and, a, 0xffffffff).n, a.n);
	a = ir_load(b, a, 0, IR_MEM(0, 0, 0, 0));
	assert_int_equal(ir_ubfx(b, a, 0, 8).n, a.n);
	assert_int_equal(ir_sbfx(b, a, 0, 32).n, a.n);
	a = ir_un(b, IR_eqz64, a);
	assert_int_equal(ir_un(b, IR_nez64, a).n, a.n);
}

static void operations_that_do_something_are_emitted(void **s)
{
	ir_x a;

	begin();
	a = ir_getx(b, 1);
	assert_int_not_equal(ir_ubfx(b, a, 0, 32).n, a.n);
	assert_int_not_equal(ir_bini(b, IR_add32, a, 0).n, a.n); /* truncates */
	assert_int_not_equal(ir_bini(b, IR_shl32, a, 32).n, a.n);
	a = ir_load(b, a, 0, IR_MEM(0, 0, 0, IR_MEM_SSE));
	assert_int_not_equal(ir_ubfx(b, a, 0, 8).n, a.n); /* a signed byte is wider than a byte */
	assert_int_not_equal(ir_sbfx(b, a, 0, 32).n, a.n);
	a = ir_load(b, a, 0, IR_MEM(1, 0, 0, 0));
	assert_int_not_equal(ir_sbfx(b, a, 0, 16).n, a.n);
}

static uint64_t constant(ir_x x)
{
	uint64_t seen = 0;

	ir_putx(b, 9, x);
	ir_br(b, PC + 4);
	finish();
	assert_int_equal(blk.n_ops, 3);
	assert_int_equal(blk.ops[0].op, IR_const);
	seen = blk.ops[0].imm;
	begin();
	return seen;
}

static void constants_fold(void **s)
{
	begin();
	assert_int_equal(constant(ir_bini(b, IR_add64, ir_const(b, 40), 2)), 42);
	assert_int_equal(constant(ir_bin(b, IR_sub32, ir_const(b, 1), ir_const(b, 2))), 0xffffffff);
	assert_int_equal(constant(ir_un(b, IR_not64, ir_const(b, 0))), UINT64_MAX);
	assert_int_equal(constant(ir_un(b, IR_eqz64, ir_const(b, 0))), 1);
	assert_int_equal(constant(ir_bfi(b, ir_const(b, 0xffff), ir_const(b, 0), 4, 4)), 0xff0f);
	assert_int_equal(constant(ir_bin(b, IR_xor, ir_getx(b, 3), ir_getx(b, 3))), 0);
	assert_int_equal(constant(ir_bini(b, IR_and, ir_getx(b, 3), 0)), 0);
	assert_int_equal(constant(ir_ubfx(b, ir_bin(b, IR_add32, ir_getx(b, 1), ir_getx(b, 2)), 32, 8)), 0);
	assert_int_equal(constant(ir_cond(b, ir_fl_const(b, 4), IR_EQ)), 1);
	assert_int_equal(constant(ir_cond(b, ir_getf(b), IR_NV)), 1);
	assert_int_equal(constant(ir_cond(b, ir_fl_sub(b, true, ir_const(b, 1), ir_const(b, 2)), IR_LT)), 1);
	assert_int_equal(constant(ir_fl_unpack(b, ir_fl_const(b, 5))), 0x50000000);
	assert_int_equal(constant(ir_select(b, ir_const(b, 1), ir_const(b, 7), ir_getx(b, 1))), 7);
}

static void a_register_is_got_once_and_a_put_forwards_its_value(void **s)
{
	ir_x a, v;

	begin();
	a = ir_getx(b, 1);
	assert_int_equal(ir_getx(b, 1).n, a.n);
	v = ir_bini(b, IR_add64, a, 1);
	ir_putx(b, 1, v);
	ir_next_insn(b);
	assert_int_equal(ir_getx(b, 1).n, v.n);
	ir_putx(b, 1, v); /* no change: no put */
	ir_putf(b, ir_getf(b));
	finish();
	assert_int_equal(count(IR_putx), 1);
	assert_int_equal(count(IR_putf), 0);
}

static void a_system_register_write_makes_sp_and_flags_unknown(void **s)
{
	ir_x sp, x;
	ir_f f;

	begin();
	sp = ir_getx(b, 31);
	x = ir_getx(b, 1);
	f = ir_getf(b);
	ir_msr(b, 0x4000, 1, x);
	assert_int_not_equal(ir_getx(b, 31).n, sp.n);
	assert_int_not_equal(ir_getf(b).n, f.n);
	assert_int_equal(ir_getx(b, 1).n, x.n);
}

static void a_rolled_back_instruction_leaves_nothing(void **s)
{
	ir_x v;

	begin();
	v = ir_bini(b, IR_add64, ir_getx(b, 1), 1);
	ir_putx(b, 1, v);
	ir_next_insn(b);
	ir_putx(b, 1, ir_const(b, 77));
	ir_putx(b, 2, ir_const(b, 78));
	ir_br(b, 0x100);
	assert_true(ir_ended(b));
	ir_rollback_insn(b);
	assert_false(ir_ended(b));
	assert_int_equal(ir_getx(b, 1).n, v.n); /* what the first instruction put */
	ir_exit(b, IR_EXIT_UNDEF, 0);
	finish();
	assert_int_equal(count(IR_putx), 1);
	assert_int_equal(count(IR_const), 1);
	assert_int_equal(blk.ops[blk.n_ops - 1].op, IR_exit);
	assert_int_equal(blk.ops[blk.n_ops - 1].gi, 1);
}

static void constants_made_in_a_rolled_back_instruction_are_made_again(void **s)
{
	begin();
	ir_const(b, 1234);
	ir_rollback_insn(b);
	ir_putx(b, 3, ir_getx(b, 4));
	ir_putx(b, 1, ir_const(b, 1234));
	finish();
	assert_int_equal(count(IR_const), 1);
}

static void what_follows_the_end_is_ignored(void **s)
{
	begin();
	ir_brcond(b, ir_const(b, 1), 0x100); /* always */
	assert_true(ir_ended(b));
	ir_putx(b, 1, ir_getx(b, 2));
	ir_br(b, 0x200);
	finish();
	assert_int_equal(blk.n_ops, 1);
	assert_int_equal(blk.ops[0].imm, 0x100);
	begin();
	ir_brcond(b, ir_const(b, 0), 0x100); /* never */
	assert_false(ir_ended(b));
}

static void an_unfinished_block_goes_on_to_the_next_instruction(void **s)
{
	begin();
	ir_next_insn(b);
	finish();
	assert_int_equal(blk.n_insns, 2);
	assert_int_equal(blk.ops[0].op, IR_br);
	assert_int_equal(blk.ops[0].imm, PC + 8);
}

static void an_instruction_that_does_not_fit_ends_the_block_before_it(void **s)
{
	begin();
	ir_putx(b, 7, ir_getx(b, 8));
	ir_next_insn(b);
	for (unsigned i = 0; i < 3 * IR_MAX_OPS; i++) {
		ir_x v = ir_load(b, ir_getx(b, i & 31), 8, MEM64), lo, hi;
		ir_v w = ir_v_from_x(b, v), vlo, vhi;

		ir_loadp(b, v, 0, MEM64, &lo, &hi);
		ir_loadpv(b, lo, 0, IR_MEM(4, 0, 0, 0), &vlo, &vhi);
		ir_putx(b, i & 31, ir_select(b, hi, v, lo));
		ir_putv(b, i & 31, ir_vop(b, IR_VOP_add, w, vlo, vhi, 0));
		ir_putf(b, ir_fl_add(b, true, v, lo));
	}
	assert_true(ir_ended(b));
	assert_false(ir_has_room(b));
	ir_finish(b, &blk);
	assert_int_equal(blk.n_insns, 1);
	assert_int_equal(count(IR_load), 0);
	assert_int_equal(count(IR_putx), 1);
	assert_int_equal(blk.ops[blk.n_ops - 1].op, IR_br);
	assert_int_equal(blk.ops[blk.n_ops - 1].imm, PC + 4);
}

static void an_instruction_that_does_not_fit_any_block_is_undefined(void **s)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		begin();
		for (unsigned i = 0; i < 2 * IR_MAX_OPS; i++) {
			if (kind == 0)
				ir_clrex(b);
			else if (kind == 1)
				ir_const(b, i);
			else
				ir_v_from_x(b, ir_const(b, 1));
		}
		ir_next_insn(b); /* ignored: the block is over */
		ir_putx(b, 1, ir_const(b, 1));
		finish();
		assert_int_equal(blk.n_insns, 1);
		assert_int_equal(blk.n_ops, 1);
		assert_int_equal(blk.ops[0].op, IR_exit);
		assert_int_equal(blk.ops[0].x, IR_EXIT_UNDEF);
	}
}

static void a_block_holds_no_more_than_its_instructions(void **s)
{
	ir_begin(b, PC);
	for (unsigned i = 0; i < IR_MAX_INSNS + 5; i++)
		ir_next_insn(b);
	finish();
	assert_int_equal(blk.n_insns, IR_MAX_INSNS);
	assert_int_equal(blk.ops[0].imm, PC + 4 * IR_MAX_INSNS);
}

static void room_is_promised_for_200_ops(void **s)
{
	unsigned insns = 0;

	ir_begin(b, PC);
	do {
		ir_next_insn(b);
		for (unsigned i = 0; i < 200; i++)
			ir_putx(b, i & 31, ir_load(b, ir_const(b, insns * 1000 + i / 8), 0, MEM64));
		insns++;
		/* puts and loads alternate, which no real instruction does */
	} while (ir_has_room(b) && insns < 3);
	assert_false(ir_ended(b));
	ir_rollback_insn(b);
}

/* ---- random instructions against a model that does them one by one */

struct model {
	uint64_t x[32];
	uint32_t nzcv;
	union ir_v128 v[4];
};

enum kind { K_BIN, K_BINI, K_SUBS, K_ANDS, K_CSEL, K_BFM, K_MOVC, K_UN, K_ADC, K_VEC, K_BRANCH, K_COUNT };

static const uint8_t bins[] = {IR_add64, IR_add32, IR_sub64,  IR_sub32,	 IR_and,    IR_or,     IR_xor,	  IR_andn,
			       IR_shl64, IR_shl32, IR_lshr64, IR_lshr32, IR_ashr64, IR_ashr32, IR_ror64,  IR_ror32,
			       IR_mul64, IR_mul32, IR_mulhs,  IR_mulhu,	 IR_sdiv64, IR_sdiv32, IR_udiv64, IR_udiv32};
static const uint8_t uns[] = {IR_not64, IR_not32,    IR_clz64, IR_cls32, IR_rbit32,
			      IR_rev64, IR_rev16_32, IR_eqz32, IR_nez64};

static uint64_t model_value(struct ir_insn op, uint64_t a, uint64_t c, uint64_t d)
{
	uint64_t r = 0;

	assert_true(ir_eval(&op, a, c, d, &r));
	return r;
}

/* Emits one random instruction and does it to the model. False: it branched away in the model. */
static bool random_insn(uint64_t *seed, struct model *m, bool *gone)
{
	uint64_t r = rnd(seed), imm = rnd_edge(seed);
	unsigned kind = r % K_COUNT, rd = r >> 8 & 7, rn = r >> 12 & 7, rm = r >> 16 & 7, cc = r >> 20 & 15;
	unsigned lsb = r >> 24 & 31, width = 1 + (r >> 32 & 31), which = r >> 40 & 0xff;
	bool sf = r >> 48 & 1;
	struct ir_insn op = {.op = IR_nop};
	uint64_t n = m->x[rn], k = m->x[rm], v = 0;
	ir_x xn = ir_getx(b, rn), xm = ir_getx(b, rm), xv = xn;
	struct model nowhere = {.nzcv = 0};

	if (*gone)
		m = &nowhere; /* emitted, but never run */
	switch (kind) {
	case K_BIN:
		op.op = bins[which % sizeof(bins)];
		xv = ir_bin(b, op.op, xn, xm);
		v = model_value(op, n, k, 0);
		break;
	case K_BINI:
		op.op = bins[which % sizeof(bins)];
		xv = ir_bini(b, op.op, xn, imm);
		v = model_value(op, n, imm, 0);
		break;
	case K_SUBS:
		op.op = sf ? IR_fl_sub64 : IR_fl_sub32;
		xv = ir_bin(b, sf ? IR_sub64 : IR_sub32, xn, xm);
		ir_putf(b, ir_fl_sub(b, sf, xn, xm));
		v = sf ? n - k : (uint32_t)(n - k);
		m->nzcv = (uint32_t)model_value(op, n, k, 0);
		break;
	case K_ANDS:
		op.op = sf ? IR_fl_logic64 : IR_fl_logic32;
		xv = ir_bin(b, IR_and, xn, xm);
		ir_putf(b, ir_fl_logic(b, sf, xv));
		v = n & k;
		m->nzcv = (uint32_t)model_value(op, v, 0, 0);
		break;
	case K_CSEL:
		op = (struct ir_insn){.op = IR_cond, .x = (uint8_t)cc};
		xv = ir_select(b, ir_cond(b, ir_getf(b), cc), xn, ir_bini(b, IR_add64, xm, 1));
		v = model_value(op, m->nzcv, 0, 0) ? n : k + 1;
		break;
	case K_BFM:
		op = (struct ir_insn){.op = which & 1	? IR_ubfx
					    : which & 2 ? IR_sbfx
							: IR_bfi,
				      .x = (uint8_t)lsb,
				      .aux = width};
		xv = which & 1	 ? ir_ubfx(b, xn, lsb, width)
		     : which & 2 ? ir_sbfx(b, xn, lsb, width)
				 : ir_bfi(b, xn, xm, lsb, width);
		v = model_value(op, n, k, 0);
		break;
	case K_MOVC:
		xv = ir_const(b, imm);
		v = imm;
		break;
	case K_UN:
		op.op = uns[which % sizeof(uns)];
		xv = ir_un(b, op.op, xn);
		v = model_value(op, n, 0, 0);
		break;
	case K_ADC:
		xv = ir_adc(b, sf, xn, xm, ir_cond(b, ir_getf(b), IR_CS));
		v = n + k + (m->nzcv >> 29 & 1);
		v = sf ? v : (uint32_t)v;
		break;
	case K_VEC:
		ir_putv(b, rd & 3, ir_v_ins_x(b, ir_getv(b, rn & 3), 3, which & 1, xm));
		m->v[rd & 3] = m->v[rn & 3];
		m->v[rd & 3].d[which & 1] = k;
		xv = ir_x_from_v(b, ir_getv(b, rd & 3), 3, 0, false);
		v = m->v[rd & 3].d[0];
		break;
	default:
		op = (struct ir_insn){.op = IR_cond, .x = (uint8_t)cc};
		ir_brcond(b, ir_cond(b, ir_getf(b), cc), 0x100);
		return !model_value(op, m->nzcv, 0, 0);
	}
	ir_putx(b, rd, xv);
	m->x[rd] = v;
	return true;
}

static void random_instructions_do_what_they_do_one_by_one(void **s)
{
	uint64_t seed = 77;

	pe_init(&pe);
	for (unsigned n = 0; n < 4000; n++) {
		unsigned insns = 1 + rnd(&seed) % 30;
		bool gone = false;
		struct model m;

		for (unsigned i = 0; i < 32; i++)
			m.x[i] = rnd_edge(&seed);
		for (unsigned i = 0; i < 4; i++)
			m.v[i] = (union ir_v128){.d = {rnd(&seed), rnd(&seed)}};
		m.nzcv = (uint32_t)rnd(&seed) & 0xf0000000;
		memcpy(pe.env.x, m.x, sizeof(m.x));
		memcpy(pe.env.v, m.v, sizeof(m.v));
		pe.env.nzcv = m.nzcv;
		ir_begin(b, PC);
		for (unsigned i = 0; i < insns && ir_has_room(b); i++) {
			ir_next_insn(b);
			if (!random_insn(&seed, &m, &gone))
				gone = true;
		}
		ir_finish(b, &blk);
		if (n & 1)
			ir_interp_prepare(b, &blk);
		assert_int_equal(ir_interp(&pe.env, &blk), IR_RET_BR);
		assert_int_equal(pe.env.pc == 0x100, gone);
		assert_int_equal(pe.env.nzcv, m.nzcv);
		assert_memory_equal(pe.env.x, m.x, sizeof(m.x));
		assert_memory_equal(pe.env.v, m.v, sizeof(m.v));
	}
}

static int setup(void **s)
{
	return (b = ir_builder_new()) ? 0 : -1;
}
static int teardown(void **s)
{
	ir_builder_free(b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations_that_do_nothing_are_not_emitted),
		cmocka_unit_test(operations_that_do_something_are_emitted),
		cmocka_unit_test(constants_fold),
		cmocka_unit_test(a_register_is_got_once_and_a_put_forwards_its_value),
		cmocka_unit_test(a_system_register_write_makes_sp_and_flags_unknown),
		cmocka_unit_test(a_rolled_back_instruction_leaves_nothing),
		cmocka_unit_test(constants_made_in_a_rolled_back_instruction_are_made_again),
		cmocka_unit_test(what_follows_the_end_is_ignored),
		cmocka_unit_test(an_unfinished_block_goes_on_to_the_next_instruction),
		cmocka_unit_test(an_instruction_that_does_not_fit_ends_the_block_before_it),
		cmocka_unit_test(an_instruction_that_does_not_fit_any_block_is_undefined),
		cmocka_unit_test(a_block_holds_no_more_than_its_instructions),
		cmocka_unit_test(room_is_promised_for_200_ops),
		cmocka_unit_test(random_instructions_do_what_they_do_one_by_one),
	};

	return cmocka_run_group_tests_name("ir/build", tests, setup, teardown);
}
