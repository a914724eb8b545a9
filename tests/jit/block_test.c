/* SPDX-License-Identifier: MIT */
/*
 * Translated blocks do what the interpreter does: random blocks, and every op on its own, from the same state. All that a
 * guest or a debugger can see is compared, also when an instruction in the middle traps or branches away. SEED and ROUNDS in
 * the environment are for long runs.
 */
#include "compare.h"

/* Runs the block in both ways from the state of seed st. */
static enum ir_ret compare(const struct ir_block *blk, uint64_t st, const char *what, unsigned n)
{
	return compare_from(random_state, blk, st, what, n);
}

static int setup(void **s)
{
	const char *why;

	jit = jit_new(&got.env, 0, &why);
	return jit ? 0 : -1;
}

static int teardown(void **s)
{
	jit_free(jit);
	return 0;
}

static void random_blocks_do_what_the_interpreter_does(void **s)
{
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 77;
	unsigned rounds = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) : 40000, traps = 0, branches = 0;

	for (unsigned n = 0; n < rounds; n++) {
		uint64_t st = rnd(&seed) | 1;

		random_block(&seed);
		traps += compare(&h.blk, st, "as written", n) == IR_RET_TRAP;
		branches += want.env.pc >= PC + 0x1000;
		ir_opt(&h.blk);
		compare(&h.blk, st, "optimised", n);
	}
	assert_true(traps > rounds / 100 && branches > rounds / 10);
}

/* Small immediates that are valid for the op, at random. */
static struct ir_insn random_fields(unsigned opcode, uint64_t *seed)
{
	struct ir_insn op = {.op = (uint8_t)opcode};
	unsigned size = rnd(seed) & 3;

	switch (opcode) {
	case IR_const: op.imm = rnd_edge(seed); break;
	case IR_fl_const: op.imm = rnd(seed) & 15; break;
	case IR_extr64: op.x = rnd(seed) & 63; break;
	case IR_extr32: op.x = rnd(seed) & 31; break;
	case IR_ubfx:
	case IR_sbfx:
	case IR_bfi:
		op.x = rnd(seed) & 63;
		op.aux = 1 + rnd(seed) % (64u - op.x);
		break;
	case IR_crc32:
		op.x = (uint8_t)size;
		op.aux = rnd(seed) & 1;
		break;
	case IR_tstbit: op.x = rnd(seed) & 63; break;
	case IR_cond: op.x = rnd(seed) & 15; break;
	case IR_x_from_v:
	case IR_v_ins_x:
		op.x = rnd(seed) % (16u >> size);
		op.aux = size | (opcode == IR_x_from_v ? (uint32_t)(rnd(seed) & 1) << 4 : 0);
		break;
	case IR_fl_fcmp:
		op.x = 1 + rnd(seed) % 3;
		op.aux = rnd(seed) & 1;
		break;
	case IR_getx:
	case IR_getv: op.x = rnd(seed) & 31; break;
	default: break;
	}
	return op;
}

static uint16_t random_x(uint64_t *seed)
{
	switch (rnd(seed) & 3) {
	case 0: return OP(.op = IR_const, .imm = rnd_edge(seed));
	case 1: {
		uint16_t a = OP(.op = IR_getx, .x = 4 + rnd(seed) % 20);

		return OP(.op = IR_xor, .a = a, .b = OP(.op = IR_const, .imm = rnd(seed) & 3));
	}
	default: return OP(.op = IR_getx, .x = 4 + rnd(seed) % 20);
	}
}

static uint16_t random_f(uint64_t *seed)
{
	static const uint8_t made[] = {IR_fl_add64, IR_fl_add32, IR_fl_sub64,	IR_fl_sub32,   IR_fl_adc64,
				       IR_fl_adc32, IR_fl_pack,	 IR_fl_logic64, IR_fl_logic32, IR_fl_const};
	unsigned k = rnd(seed) % (sizeof(made) + 2);
	struct ir_insn op;
	uint16_t a, b;

	if (k >= sizeof(made))
		return OP(.op = IR_getf);
	op = random_fields(made[k], seed);
	a = random_x(seed);
	b = rnd(seed) & 3 ? random_x(seed) : a;
	op.a = ir_opinfo[op.op].n_arg > 0 ? a : 0;
	op.b = ir_opinfo[op.op].n_arg > 1 ? b : 0;
	op.c = ir_opinfo[op.op].n_arg > 2 ? random_x(seed) : 0;
	return hand_op(&h, op);
}

static uint16_t random_of(unsigned cls, uint64_t *seed)
{
	return cls == IR_CLASS_V   ? OP(.op = IR_getv, .x = rnd(seed) & 31)
	       : cls == IR_CLASS_F ? random_f(seed)
				   : random_x(seed);
}

static void put_result(unsigned cls, uint16_t n, unsigned reg)
{
	if (cls == IR_CLASS_V)
		OP(.op = IR_putv, .x = reg, .a = n);
	else if (cls == IR_CLASS_F)
		OP(.op = IR_putf, .a = n);
	else
		OP(.op = IR_putx, .x = reg, .a = n);
}

static void every_op_does_what_the_interpreter_does(void **s)
{
	uint64_t seed = 4711;

	for (unsigned opcode = IR_getx; opcode < IR_OP_COUNT; opcode++) {
		const struct ir_opinfo *info = &ir_opinfo[opcode];

		if (info->flags & (IR_OPF_TRAP | IR_OPF_END | IR_OPF_PUT) || opcode == IR_vop || opcode == IR_brcond)
			continue;
		for (unsigned n = 0; n < 600; n++) {
			struct ir_insn op = random_fields(opcode, &seed);
			uint16_t arg[3] = {0}, d;

			hand_begin(&h);
			for (unsigned k = 0; k < info->n_arg; k++)
				arg[k] = k && rnd(&seed) % 4 == 0 && info->arg[k] == info->arg[k - 1]
						 ? arg[k - 1]
						 : random_of(info->arg[k], &seed);
			op.a = arg[0];
			op.b = arg[1];
			op.c = arg[2];
			d = hand_op(&h, op);
			hand_next(&h);
			if (info->n_res)
				put_result(info->res[0], d, 3);
			/* again, so that it is not always the last use of everything */
			if (info->n_res && rnd(&seed) & 1) {
				d = hand_op(&h, op);
				put_result(info->res[0], d, 5);
			}
			hand_end(&h);
			compare(&h.blk, rnd(&seed) | 1, info->name, n);
		}
	}
}

static void every_vector_op_with_host_code_does_what_the_interpreter_does(void **s)
{
	static const uint8_t ids[] = {IR_VOP_vand, IR_VOP_vorr, IR_VOP_veor, IR_VOP_vbic,
				      IR_VOP_add,  IR_VOP_sub,	IR_VOP_cmeq};
	uint64_t seed = 31;

	for (unsigned n = 0; n < 7000; n++) {
		unsigned id = ids[n % sizeof(ids)], size = rnd(&seed) & 3;
		uint16_t a, b, d;

		hand_begin(&h);
		a = OP(.op = IR_getv, .x = rnd(&seed) & 3);
		b = OP(.op = IR_getv, .x = rnd(&seed) & 3);
		/* some lanes that are equal */
		if (rnd(&seed) & 1)
			b = OP(.op = IR_v_ins_x, .a = a, .b = OP(.op = IR_getx, .x = 7), .x = rnd(&seed) & 7, .aux = 1);
		d = OP(.op = IR_vop, .imm = id, .a = a, .b = b,
		       .aux = IR_VD_SIZE(size) | (rnd(&seed) & 1 ? IR_VD_Q : 0) |
			      (id >= IR_VOP_add && size == 3 && rnd(&seed) & 1 ? IR_VD_SCALAR : 0));
		OP(.op = IR_putv, .x = rnd(&seed) & 3, .a = d);
		OP(.op = IR_putv, .x = rnd(&seed) & 3, .a = rnd(&seed) & 1 ? a : b);
		hand_end(&h);
		compare(&h.blk, rnd(&seed) | 1, "vop", n);
	}
}

/* What may be in the address registers of random_state: two pages of RAM, one that is reached by calls, a fault. */
static void every_access_does_what_the_interpreter_does(void **s)
{
	static const uint8_t ops[] = {IR_load,	  IR_store, IR_loadv, IR_storev, IR_loadp, IR_storep, IR_loadpv,
				      IR_storepv, IR_ldx,   IR_ldxp,  IR_stx,	 IR_stxp,  IR_rmw,    IR_cas};
	uint64_t seed = 99;
	unsigned traps = 0;

	for (unsigned n = 0; n < 60000; n++) {
		struct ir_insn op = {.op = ops[rnd(&seed) % sizeof(ops)]};
		const struct ir_opinfo *info = &ir_opinfo[op.op];
		bool vec = op.op == IR_loadv || op.op == IR_storev || op.op == IR_loadpv || op.op == IR_storepv;
		bool pair = op.op == IR_loadp || op.op == IR_storep || op.op == IR_loadpv || op.op == IR_storepv ||
			    op.op == IR_ldxp || op.op == IR_stxp;
		bool plain = op.op == IR_load || op.op == IR_store;
		unsigned size = rnd(&seed) & 3;
		uint16_t d, live[6];

		if (vec && rnd(&seed) & 1)
			size = pair ? 2 + rnd(&seed) % 3 : 4;
		if (pair && size < 2)
			size = 2 + (rnd(&seed) & 1);
		op.aux = IR_MEM(size, 0, 0, (pair ? IR_MEM_PAIR : 0) | (vec ? IR_MEM_VEC : 0));
		if (op.op == IR_load || op.op == IR_loadp) {
			if (rnd(&seed) & 1 && size < 3)
				op.aux |= IR_MEM_SSE | (rnd(&seed) & 1 || size == 2 ? IR_MEM_SF : 0);
		}
		if (plain && rnd(&seed) % 4 == 0)
			op.aux |= IR_MEM_ACQREL | (rnd(&seed) & 1 ? IR_MEM_SEQCST : 0);
		if (plain && rnd(&seed) % 8 == 0)
			op.aux |= IR_MEM_UNPRIV;
		if (info->flags & IR_OPF_SIDE && op.op != IR_ldx && op.op != IR_ldxp)
			op.aux |= IR_MEM_WNR;
		if (op.op <= IR_storepv)
			op.imm = rnd(&seed) & 7 ? rnd(&seed) & 0x7f : -(rnd(&seed) & 0x7f);
		if (op.op == IR_rmw)
			op.x = rnd(&seed) % 9;
		hand_begin(&h);
		for (unsigned k = 0; k < 6; k++) /* in registers, over the access */
			live[k] = OP(.op = IR_not64, .a = OP(.op = IR_getx, .x = 10 + k));
		op.a = OP(.op = IR_getx, .x = rnd(&seed) % ADDRS);
		if (op.op > IR_storepv && rnd(&seed) & 1)
			op.a = OP(.op = IR_and, .a = op.a, .b = OP(.op = IR_const, .imm = ~(uint64_t)15));
		if (op.op == IR_stx || op.op == IR_stxp) /* a pair, usually */
			if (rnd(&seed) & 3) {
				struct ir_insn ldx = op;

				ldx.op = op.op == IR_stx ? IR_ldx : IR_ldxp;
				ldx.aux &= ~IR_MEM_WNR;
				hand_op(&h, ldx);
				hand_next(&h);
			}
		if (info->n_arg > 1)
			op.b = random_of(info->arg[1], &seed);
		if (info->n_arg > 2)
			op.c = rnd(&seed) & 3 ? random_of(info->arg[2], &seed) : op.b;
		d = hand_op(&h, op);
		op = h.ops[h.blk.n_ops - 1];
		if (info->n_res)
			put_result(info->res[0], d, 3);
		if (info->n_res == 2)
			put_result(info->res[1], op.c, 2);
		for (unsigned k = 0; k < 6; k++)
			put_result(IR_CLASS_X, live[k], 20 + k);
		hand_end(&h);
		traps += compare(&h.blk, rnd(&seed) | 1, info->name, n) == IR_RET_TRAP;
	}
	assert_true(traps > 1000);
}

/* Of one base, or of another that is it with a constant added: some in one page, some over its end, some not to be had. */
static void accesses_near_to_one_another_do_what_the_interpreter_does(void **s)
{
	static const uint8_t ops[] = {IR_load, IR_store, IR_loadp, IR_storep, IR_loadv, IR_storev};
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 5;
	unsigned rounds = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) : 20000, traps = 0, done = 0;

	for (unsigned n = 0; n < rounds; n++) {
		unsigned n_accesses = 2 + rnd(&seed) % 7;
		uint16_t base[3];

		hand_begin(&h);
		base[0] = OP(.op = IR_getx, .x = rnd(&seed) % ADDRS);
		base[1] = OP(.op = IR_add64, .a = base[0], .b = OP(.op = IR_const, .imm = rnd(&seed) & 0x7f));
		base[2] = OP(.op = IR_sub64, .a = base[1], .b = OP(.op = IR_const, .imm = rnd(&seed) & 0x7f));
		for (unsigned i = 0; i < n_accesses; i++) {
			struct ir_insn op = {.op = ops[rnd(&seed) % sizeof(ops)], .a = base[rnd(&seed) % 3]};
			bool pair = op.op == IR_loadp || op.op == IR_storep,
			     vec = op.op >= IR_loadv && op.op <= IR_storev;
			const struct ir_opinfo *info = &ir_opinfo[op.op];
			unsigned size = pair ? 2 + (rnd(&seed) & 1) : rnd(&seed) % (vec ? 5 : 4);
			uint16_t d;

			op.aux = IR_MEM(size, 0, 0,
					(pair ? IR_MEM_PAIR : 0) | (vec ? IR_MEM_VEC : 0) |
						(info->flags & IR_OPF_SIDE ? IR_MEM_WNR : 0));
			if (!pair && !vec && rnd(&seed) % 16 == 0)
				op.aux |= rnd(&seed) & 1 ? IR_MEM_ACQREL : IR_MEM_UNPRIV;
			op.imm = (rnd(&seed) & 0xff) - 0x60;
			if (rnd(&seed) % 16 == 0)
				OP(.op = IR_msr, .aux = 77, .a = base[0]);
			if (info->n_arg > 1)
				op.b = vec ? OP(.op = IR_getv, .x = rnd(&seed) % 32)
					   : OP(.op = IR_getx, .x = rnd(&seed) % 31);
			if (info->n_arg > 2)
				op.c = op.b;
			d = hand_op(&h, op);
			op = h.ops[h.blk.n_ops - 1];
			if (info->n_res)
				put_result(info->res[0], d, 8 + i);
			if (info->n_res == 2)
				put_result(info->res[1], op.c, 20 + i);
			hand_next(&h);
		}
		hand_end(&h);
		if (compare(&h.blk, rnd(&seed) | 1, "near", n) == IR_RET_TRAP)
			traps++;
		else
			done++;
	}
	assert_true(traps > rounds / 100 && done > rounds / 4);
}

static void a_block_ends_as_the_interpreter_says(void **s)
{
	uint16_t a;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 9);
	OP(.op = IR_br_ind, .a = a);
	assert_int_equal(compare(&h.blk, 5, "br_ind", 0), IR_RET_BR);

	hand_begin(&h);
	hand_next(&h);
	OP(.op = IR_exit, .x = IR_EXIT_SVC, .imm = 0xfedcba9876543210);
	assert_int_equal(compare(&h.blk, 5, "exit", 0), IR_RET_EXIT);
}

static void a_block_with_a_misaligned_sp_is_left_at_its_start(void **s)
{
	struct jit_unit u = {.blk = &h.blk, .sp_mask = 15};

	hand_begin(&h);
	OP(.op = IR_putx, .x = 1, .a = OP(.op = IR_const, .imm = 1));
	hand_end(&h);
	random_state(&got, 3);
	got.env.x[1] = 0;
	got.env.x[31] = 8;
	got.env.pc = PC;
	assert_true(jit_compile(jit, &u));
	assert_int_equal(jit_run(jit, &got.env, u.code), IR_RET_BR);
	assert_int_equal(got.env.pc, PC);
	assert_int_equal(got.env.x[1], 0);
	got.env.x[31] = 16;
	assert_int_equal(jit_run(jit, &got.env, u.code), IR_RET_BR);
	assert_int_equal(got.env.pc, PC + 4);
	assert_int_equal(got.env.x[1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_op_does_what_the_interpreter_does),
		cmocka_unit_test(every_access_does_what_the_interpreter_does),
		cmocka_unit_test(every_vector_op_with_host_code_does_what_the_interpreter_does),
		cmocka_unit_test(random_blocks_do_what_the_interpreter_does),
		cmocka_unit_test(accesses_near_to_one_another_do_what_the_interpreter_does),
		cmocka_unit_test(a_block_ends_as_the_interpreter_says),
		cmocka_unit_test(a_block_with_a_misaligned_sp_is_left_at_its_start),
	};

	return cmocka_run_group_tests_name("jit/blocks", tests, setup, teardown);
}
