/* SPDX-License-Identifier: MIT */
/*
 * ir/opt.c and ir/fuse.c: what they remove, and that a guest cannot tell. The second part runs random blocks with and
 * without them, from the same state, and compares all that a guest or a debugger can see: also when an instruction
 * in the middle traps or branches away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ir_random.h"

#define MEM64 IR_MEM(3, 0, 0, 0)

static unsigned count(const struct ir_block *blk, unsigned op)
{
	unsigned n = 0;

	for (unsigned i = 0; i < blk->n_ops; i++)
		n += blk->ops[i].op == op;
	return n;
}

static void flags_that_the_next_compare_overwrites_are_not_computed(void **s)
{
	uint16_t a, f;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	f = OP(.op = IR_fl_sub64, .a = a, .b = a);
	OP(.op = IR_putf, .a = f);
	hand_next(&h);
	f = OP(.op = IR_fl_add64, .a = a, .b = a);
	OP(.op = IR_putf, .a = f);
	hand_end(&h);
	ir_opt(&h.blk);
	assert_int_equal(count(&h.blk, IR_fl_sub64), 0);
	assert_int_equal(count(&h.blk, IR_fl_add64), 1);
	assert_int_equal(count(&h.blk, IR_putf), 1);
}

/* What lies between two puts of x1; the first is dead only if it is nothing. */
static unsigned puts_left_around(struct ir_insn between)
{
	uint16_t a;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	OP(.op = IR_putx, .x = 1, .a = a);
	hand_next(&h);
	if (between.op)
		hand_op(&h, between);
	hand_next(&h);
	OP(.op = IR_putx, .x = 1, .a = a);
	hand_end(&h);
	ir_opt(&h.blk);
	return count(&h.blk, IR_putx);
}

static void a_put_stays_if_anything_can_look_before_the_next(void **s)
{
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_nop}), 1);
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_putx, .x = 2, .a = 1}), 2); /* x1 once, x2 */
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_clrex}), 1);
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_load, .a = 1, .aux = MEM64}), 2);
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_mrs, .aux = 1}), 2);
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_brcond, .a = 1}), 2);
	assert_int_equal(puts_left_around((struct ir_insn){.op = IR_fence, .x = IR_FENCE_DSB}), 2);
}

static void a_put_that_is_got_again_stays(void **s)
{
	uint16_t a, b;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	OP(.op = IR_putx, .x = 2, .a = a);
	b = OP(.op = IR_getx, .x = 2);
	OP(.op = IR_putx, .x = 3, .a = b);
	OP(.op = IR_putx, .x = 2, .a = b);
	hand_end(&h);
	ir_opt(&h.blk);
	assert_int_equal(count(&h.blk, IR_putx), 3);
}

static void a_load_whose_value_is_unused_still_happens(void **s)
{
	uint16_t a;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	OP(.op = IR_load, .a = a, .aux = MEM64);
	hand_end(&h);
	ir_opt(&h.blk);
	assert_int_equal(count(&h.blk, IR_load), 1);
	assert_int_equal(count(&h.blk, IR_getx), 1);
}

static void values_that_nobody_uses_go(void **s)
{
	uint16_t a;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	a = OP(.op = IR_not64, .a = a);
	OP(.op = IR_not64, .a = a);
	OP(.op = IR_getv);
	hand_end(&h);
	ir_opt(&h.blk);
	assert_int_equal(h.blk.n_ops, 1);
}

static void a_hot_loop_is_a_few_ops_for_the_interpreter(void **s)
{
	struct ir_builder *b = ir_builder_new();
	struct ir_block blk;
	ir_x one, n;

	/* ldr x3, [x2], #8; add x0, x0, x3; subs x1, x1, #1; b.ne . - 12 */
	ir_begin(b, PC);
	ir_next_insn(b);
	n = ir_load(b, ir_getx(b, 2), 0, MEM64);
	ir_putx(b, 2, ir_bini(b, IR_add64, ir_getx(b, 2), 8));
	ir_putx(b, 3, n);
	ir_next_insn(b);
	ir_putx(b, 0, ir_bin(b, IR_add64, ir_getx(b, 0), ir_getx(b, 3)));
	ir_next_insn(b);
	one = ir_const(b, 1);
	n = ir_bin(b, IR_sub64, ir_getx(b, 1), one);
	ir_putf(b, ir_fl_sub(b, true, ir_getx(b, 1), one));
	ir_putx(b, 1, n);
	ir_next_insn(b);
	ir_brcond(b, ir_cond(b, ir_getf(b), IR_NE), PC);
	ir_finish(b, &blk);
	ir_interp_prepare(b, &blk);
	assert_int_equal(blk.n_ops, 5); /* ld64, add64_i, add64, subsbr64_i, br */
	assert_int_equal(count(&blk, IR_subsbr64_i), 1);
	ir_builder_free(b);
}

/* ---- random blocks */

static void random_blocks_do_the_same_in_every_mode(void **s)
{
	static struct pe want, got;
	uint64_t seed = 2024;
	unsigned traps = 0, branches = 0, fewer = 0;

	for (unsigned n = 0; n < 20000; n++) {
		uint64_t before = seed, st = rnd(&seed) | 1;
		enum ir_ret ret;
		char msg[160];

		random_block(&seed);
		if (ir_check(&h.blk, msg, sizeof(msg)))
			fail_msg("%s", msg);
		random_state(&want, st);
		ret = run_mode(&want, &h.blk, AS_WRITTEN);
		traps += ret == IR_RET_TRAP;
		branches += want.env.pc >= PC + 0x1000;
		for (enum mode m = OPTIMISED; m < MODE_COUNT; m++) {
			random_state(&got, st);
			/* values of an earlier block must not matter */
			memset(got.env.t + 1, 0xa5, sizeof(got.env.t) - sizeof(got.env.t[0]));
			if (run_mode(&got, &h.blk, m) != ret ||
			    memcmp(&want.env, &got.env, offsetof(struct ir_env, tlb)) ||
			    memcmp(&want.env.fpcr, &got.env.fpcr,
				   offsetof(struct ir_env, ops) - offsetof(struct ir_env, fpcr)) ||
			    memcmp(&want.env.excl, &got.env.excl, sizeof(want.env.excl)) ||
			    memcmp(want.mem, got.mem, sizeof(want.mem)) || want.env.insn_count != got.env.insn_count ||
			    want.sys != got.sys || want.faults != got.faults || want.slow_loads != got.slow_loads ||
			    want.slow_stores != got.slow_stores) {
				ir_print(stderr, &h.blk);
				for (unsigned i = 0; i < 32; i++)
					if (want.env.x[i] != got.env.x[i])
						fprintf(stderr, "x%u %llx, not %llx\n", i,
							(unsigned long long)got.env.x[i],
							(unsigned long long)want.env.x[i]);
				fail_msg("mode %d differs, block %u, seed %#llx: pc %llx, not %llx; nzcv %x, not %x", m,
					 n, (unsigned long long)before, (unsigned long long)got.env.pc,
					 (unsigned long long)want.env.pc, got.env.nzcv, want.env.nzcv);
			}
		}
		{
			uint16_t n_ops = h.blk.n_ops;

			ir_opt(&h.blk);
			fewer += h.blk.n_ops < n_ops;
			/* what the optimiser leaves is still a good block */
			if (ir_check(&h.blk, msg, sizeof(msg)))
				fail_msg("%s", msg);
		}
	}
	/* the blocks did go everywhere */
	assert_true(traps > 200 && branches > 2000 && fewer > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_that_the_next_compare_overwrites_are_not_computed),
		cmocka_unit_test(a_put_stays_if_anything_can_look_before_the_next),
		cmocka_unit_test(a_put_that_is_got_again_stays),
		cmocka_unit_test(a_load_whose_value_is_unused_still_happens),
		cmocka_unit_test(values_that_nobody_uses_go),
		cmocka_unit_test(a_hot_loop_is_a_few_ops_for_the_interpreter),
		cmocka_unit_test(random_blocks_do_the_same_in_every_mode),
	};

	return cmocka_run_group_tests_name("ir/opt", tests, NULL, NULL);
}
