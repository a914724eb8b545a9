/* SPDX-License-Identifier: MIT */
/* ir/check.c: which blocks the verifier accepts and which it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir_block.h"

static struct hand h;
static char msg[200];

#define MEM64 IR_MEM(3, 0, 0, 0)
#define OP(...) hand_op(&h, (struct ir_insn){__VA_ARGS__})

static void expect_good(void)
{
	if (ir_check(&h.blk, msg, sizeof(msg)))
		fail_msg("%s", msg);
}

static void expect_bad(const char *why)
{
	assert_int_equal(ir_check(&h.blk, msg, sizeof(msg)), -22);
	if (!strstr(msg, why))
		fail_msg("expected '%s', got '%s'", why, msg);
}

static void a_block_that_only_branches_is_good(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	expect_good();
}

static void a_load_with_its_put_behind_it_is_good(void **s)
{
	uint16_t a, v;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	v = OP(.op = IR_load, .a = a, .aux = MEM64);
	OP(.op = IR_putx, .x = 2, .a = v);
	hand_next(&h);
	v = OP(.op = IR_load, .a = v, .aux = MEM64); /* the next instruction may trap again */
	OP(.op = IR_putx, .x = 2, .a = v);
	hand_end(&h);
	expect_good();
}

static void a_trap_after_a_put_of_the_same_instruction_is_refused(void **s)
{
	uint16_t a;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	OP(.op = IR_putx, .x = 3, .a = a);
	OP(.op = IR_load, .a = a, .aux = MEM64);
	hand_end(&h);
	expect_bad("may trap");
}

static void an_exit_after_a_put_of_the_same_instruction_is_refused(void **s)
{
	uint16_t f;

	hand_begin(&h);
	f = OP(.op = IR_fl_const, .imm = 8);
	OP(.op = IR_putf, .a = f);
	OP(.op = IR_exit, .x = IR_EXIT_SVC);
	expect_bad("may trap");
}

static void a_use_before_the_definition_is_refused(void **s)
{
	hand_begin(&h);
	h.blk.n_x = 3;
	h.ops[h.blk.n_ops++] = (struct ir_insn){.op = IR_not64, .dst = 1, .a = 2};
	h.ops[h.blk.n_ops++] = (struct ir_insn){.op = IR_const, .dst = 2};
	hand_end(&h);
	expect_bad("operand");
}

static void the_value_none_is_not_an_operand(void **s)
{
	hand_begin(&h);
	OP(.op = IR_putx, .x = 0, .a = 0);
	hand_end(&h);
	expect_bad("operand");
}

static void a_value_out_of_range_is_refused(void **s)
{
	hand_begin(&h);
	OP(.op = IR_putx, .x = 0, .a = 0xffff);
	hand_end(&h);
	expect_bad("operand");
}

static void a_second_definition_is_refused(void **s)
{
	hand_begin(&h);
	OP(.op = IR_const, .imm = 1);
	h.ops[h.blk.n_ops++] = (struct ir_insn){.op = IR_const, .dst = 1};
	hand_end(&h);
	expect_bad("defined twice");
}

static void flags_are_not_integers(void **s)
{
	uint16_t f;

	hand_begin(&h);
	f = OP(.op = IR_getf);
	OP(.op = IR_not64, .a = f);
	hand_end(&h);
	expect_bad("operand");
}

static void integers_are_not_flags(void **s)
{
	uint16_t x;

	hand_begin(&h);
	x = OP(.op = IR_getx);
	OP(.op = IR_putf, .a = x);
	hand_end(&h);
	expect_bad("operand");
}

static void vectors_are_not_integers(void **s)
{
	uint16_t v;

	hand_begin(&h);
	v = OP(.op = IR_getv);
	OP(.op = IR_putx, .a = v);
	hand_end(&h);
	expect_bad("operand");
}

static void a_block_without_an_end_is_refused(void **s)
{
	hand_begin(&h);
	OP(.op = IR_const);
	expect_bad("control flow");
}

static void ops_behind_the_end_are_refused(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	hand_end(&h);
	expect_bad("behind the end");
}

static void an_empty_block_is_refused(void **s)
{
	hand_begin(&h);
	expect_bad("number of ops");
}

static void a_block_of_no_or_too_many_instructions_is_refused(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	h.blk.n_insns = 0;
	expect_bad("number of instructions");
	h.blk.n_insns = IR_MAX_INSNS + 1;
	expect_bad("number of instructions");
}

static void too_many_values_are_refused(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	h.blk.n_v = IR_MAX_VALUES + 1;
	expect_bad("number of values");
}

static void instructions_out_of_order_are_refused(void **s)
{
	hand_begin(&h);
	hand_next(&h);
	OP(.op = IR_nop);
	hand_end(&h);
	h.ops[1].gi = 0;
	expect_bad("not in order");
}

static void an_instruction_beyond_the_block_is_refused(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	h.ops[0].gi = 1;
	expect_bad("not in order");
}

static void an_unknown_op_is_refused(void **s)
{
	hand_begin(&h);
	hand_end(&h);
	h.ops[0].op = IR_OP_COUNT;
	expect_bad("no such op");
}

static void immediates_out_of_range_are_refused(void **s)
{
	static const struct {
		struct ir_insn op;
		const char *why;
	} rows[] = {
		{{.op = IR_getx, .x = 32}, "register number"},
		{{.op = IR_getv, .x = 32}, "register number"},
		{{.op = IR_putx, .x = 32, .a = 1}, "register number"},
		{{.op = IR_ubfx, .a = 1, .x = 0, .aux = 0}, "bit field"},
		{{.op = IR_ubfx, .a = 1, .x = 1, .aux = 64}, "bit field"},
		{{.op = IR_sbfx, .a = 1, .x = 60, .aux = UINT32_MAX}, "bit field"},
		{{.op = IR_bfi, .a = 1, .b = 1, .x = 33, .aux = 32}, "bit field"},
		{{.op = IR_extr64, .a = 1, .b = 1, .x = 64}, "bit number"},
		{{.op = IR_extr32, .a = 1, .b = 1, .x = 32}, "bit number"},
		{{.op = IR_tstbit, .a = 1, .x = 64}, "bit number"},
		{{.op = IR_crc32, .a = 1, .b = 1, .x = 4}, "operand size"},
		{{.op = IR_fl_const, .imm = 16}, "flags"},
		{{.op = IR_cond, .a = 2, .x = 16}, "condition"},
		{{.op = IR_rmw, .a = 1, .b = 1, .x = 9}, "operation"},
		{{.op = IR_fence, .x = IR_FENCE_ESB + 1}, "fence"},
		{{.op = IR_mrs, .x = 32}, "system register"},
		{{.op = IR_mrs, .aux = 0x10000}, "system register"},
		{{.op = IR_msr_imm, .x = 16}, "system register"},
		{{.op = IR_brcond, .a = 1, .imm = PC + 2}, "branch target"},
		{{.op = IR_x_from_v, .a = 1, .x = 2, .aux = 3}, "lane"},
		{{.op = IR_v_ins_x, .a = 1, .b = 1, .x = 16, .aux = 0}, "lane"},
		{{.op = IR_fl_fcmp, .a = 1, .b = 1, .x = 0}, "operand size"},
		{{.op = IR_vop, .imm = IR_VOP_NONE}, "vector operation"},
		{{.op = IR_vop, .imm = IR_VOP_COUNT}, "vector operation"},
		{{.op = IR_load, .a = 1, .aux = IR_MEM(4, 0, 0, 0)}, "access size"},
		{{.op = IR_loadv, .a = 1, .aux = IR_MEM(5, 0, 0, IR_MEM_VEC)}, "access size"},
		{{.op = IR_load, .a = 1, .aux = IR_MEM(3, 0, 33, 0)}, "base register"},
		{{.op = IR_load, .a = 1, .aux = IR_MEM(3, 0, 0, IR_MEM_WNR)}, "descriptor"},
		{{.op = IR_store, .a = 1, .b = 1, .aux = MEM64}, "descriptor"},
		{{.op = IR_load, .a = 1, .aux = IR_MEM(3, 0, 0, IR_MEM_PAIR)}, "descriptor"},
		{{.op = IR_ldx, .a = 1, .aux = IR_MEM(3, 0, 0, IR_MEM_EXCL)}, "ALIGNED"},
		{{.op = IR_ldx, .a = 1, .imm = 8, .aux = IR_MEM(3, 0, 0, IR_MEM_EXCL | IR_MEM_ALIGNED)},
		 "displacement"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		hand_begin(&h);
		OP(.op = IR_getx); /* x1 */
		OP(.op = IR_getf); /* f2 */
		OP(.op = IR_getv); /* v1 */
		hand_op(&h, rows[i].op);
		hand_end(&h);
		expect_bad(rows[i].why);
	}
}

static void exits_and_branches_have_known_kinds(void **s)
{
	hand_begin(&h);
	OP(.op = IR_exit, .x = IR_EXIT_STEPPED + 1);
	expect_bad("exit reason");
	hand_begin(&h);
	OP(.op = IR_getx);
	OP(.op = IR_br_ind, .a = 1, .x = 3);
	expect_bad("kind of branch");
}

static void casp_is_checked_in_all_its_operands(void **s)
{
	uint32_t m = IR_MEM(3, 0, 0, IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_RMW | IR_MEM_PAIR);

	hand_begin(&h);
	OP(.op = IR_getx);
	OP(.op = IR_casp, .a = 1, .b = 1, .c = 1, .imm = 1 | 1 << 16, .aux = m);
	hand_end(&h);
	expect_good();
	hand_begin(&h);
	OP(.op = IR_getx);
	OP(.op = IR_casp, .a = 1, .b = 1, .c = 1, .imm = 1, .aux = m);
	hand_end(&h);
	expect_bad("operand");
}

/* Random garbage must be judged, whatever the verdict, without harm. */
static void garbage_is_judged_without_harm(void **s)
{
	uint64_t seed = 42;

	for (unsigned n = 0; n < 20000; n++) {
		hand_begin(&h);
		h.blk.n_ops = rnd(&seed) % 8;
		h.blk.n_x = rnd(&seed) % 8;
		h.blk.n_v = rnd(&seed) % 8;
		for (unsigned i = 0; i < 8; i++) {
			uint64_t r = rnd(&seed);

			h.ops[i] = (struct ir_insn){.op = r % (IR_OP_COUNT + 2),
						    .x = r >> 8 & 0x3f,
						    .dst = r >> 16 & 7,
						    .a = r >> 20 & 7,
						    .b = r >> 24 & 7,
						    .c = r >> 28 & 7,
						    .aux = (uint32_t)(r >> 40) & 0x7f,
						    .imm = r >> 60};
		}
		(void)ir_check(&h.blk, msg, n & 1 ? sizeof(msg) : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_that_only_branches_is_good),
		cmocka_unit_test(a_load_with_its_put_behind_it_is_good),
		cmocka_unit_test(a_trap_after_a_put_of_the_same_instruction_is_refused),
		cmocka_unit_test(an_exit_after_a_put_of_the_same_instruction_is_refused),
		cmocka_unit_test(a_use_before_the_definition_is_refused),
		cmocka_unit_test(the_value_none_is_not_an_operand),
		cmocka_unit_test(a_value_out_of_range_is_refused),
		cmocka_unit_test(a_second_definition_is_refused),
		cmocka_unit_test(flags_are_not_integers),
		cmocka_unit_test(integers_are_not_flags),
		cmocka_unit_test(vectors_are_not_integers),
		cmocka_unit_test(a_block_without_an_end_is_refused),
		cmocka_unit_test(ops_behind_the_end_are_refused),
		cmocka_unit_test(an_empty_block_is_refused),
		cmocka_unit_test(a_block_of_no_or_too_many_instructions_is_refused),
		cmocka_unit_test(too_many_values_are_refused),
		cmocka_unit_test(instructions_out_of_order_are_refused),
		cmocka_unit_test(an_instruction_beyond_the_block_is_refused),
		cmocka_unit_test(an_unknown_op_is_refused),
		cmocka_unit_test(immediates_out_of_range_are_refused),
		cmocka_unit_test(exits_and_branches_have_known_kinds),
		cmocka_unit_test(casp_is_checked_in_all_its_operands),
		cmocka_unit_test(garbage_is_judged_without_harm),
	};

	return cmocka_run_group_tests_name("ir/check", tests, NULL, NULL);
}
