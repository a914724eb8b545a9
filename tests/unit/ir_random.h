/* SPDX-License-Identifier: MIT */
/*
 * Random blocks of IR, and random states to run them from: for tests that compare two ways of running a block. Blocks
 * are well formed but mean nothing; some trap in their middle, some branch away.
 */
#ifndef TESTS_IR_RANDOM_H
#define TESTS_IR_RANDOM_H

#include "ir_block.h"

static struct hand h;

#define OP(...) hand_op(&h, (struct ir_insn){__VA_ARGS__})

enum { NVAL = 24 };

/* The last few values of each class, to choose operands from. */
struct recent {
	uint16_t n[NVAL];
	unsigned count;
};

static void remember(struct recent *r, uint16_t n)
{
	r->n[r->count++ % NVAL] = n;
}

static uint16_t choose(struct recent *r, uint64_t *seed)
{
	unsigned have = r->count < NVAL ? r->count : NVAL;

	return r->n[rnd(seed) % have];
}

/* An address register is x0..x3, kept valid; others have anything. Few registers, so that they collide. */
enum { ADDRS = 4, REGS = 9 };

static inline void random_block(uint64_t *seed)
{
	static const uint8_t pure[] = {IR_add64, IR_add32,  IR_sub64, IR_sub32,	 IR_and,    IR_or,     IR_xor,
				       IR_andn,	 IR_shl64,  IR_shl32, IR_lshr64, IR_lshr32, IR_ashr64, IR_ashr32,
				       IR_ror64, IR_ror32,  IR_mul64, IR_not64,	 IR_eqz64,  IR_eqz32,  IR_nez64,
				       IR_nez32, IR_select, IR_clz32, IR_udiv64};
	static const uint8_t flag[] = {IR_fl_add64, IR_fl_add32,   IR_fl_sub64,
				       IR_fl_sub32, IR_fl_logic64, IR_fl_logic32};
	unsigned insns = 1 + rnd(seed) % 12;
	struct recent x = {.count = 0}, f = {.count = 0}, v = {.count = 0};

	hand_begin(&h);
	remember(&x, OP(.op = IR_getx, .x = 4));
	remember(&f, OP(.op = IR_getf));
	remember(&v, OP(.op = IR_getv, .x = 0));
	for (unsigned i = 0; i < insns; i++) {
		unsigned pures = rnd(seed) % 6, puts = rnd(seed) % 4;

		if (i)
			hand_next(&h);
		for (unsigned k = 0; k < pures; k++) {
			uint64_t r = rnd(seed);
			struct ir_insn op = {.op = 0};

			switch (r % 14) {
			case 0:
			case 1: remember(&x, OP(.op = IR_getx, .x = r >> 8 & 7)); break;
			case 2:
				remember(&x, OP(.op = IR_const, .imm = r >> 8 & 1 ? rnd(seed) % 3 : rnd_edge(seed)));
				break;
			case 3: remember(&f, OP(.op = IR_getf)); break;
			case 4: remember(&v, OP(.op = IR_getv, .x = r >> 8 & 3)); break;
			case 5: remember(&x, OP(.op = IR_cond, .x = r >> 8 & 15, .a = choose(&f, seed))); break;
			case 6:
				remember(&f,
					 OP(.op = flag[(r >> 8) % 6], .a = choose(&x, seed), .b = choose(&x, seed)));
				break;
			case 7:
				switch (r >> 8 & 3) {
				case 0:
					remember(&v,
						 OP(.op = IR_v_from_xx, .a = choose(&x, seed), .b = choose(&x, seed)));
					break;
				case 1:
					remember(&x, OP(.op = IR_x_from_v, .x = r >> 16 & 1, .aux = 3,
							.a = choose(&v, seed)));
					break;
				case 2:
					remember(&v, OP(.op = IR_v_ins_x, .x = r >> 16 & 1, .aux = 3,
							.a = choose(&v, seed), .b = choose(&x, seed)));
					break;
				default:
					remember(&v, OP(.op = IR_vop, .imm = IR_VOP_add, .aux = 3 | 1u << 3,
							.a = choose(&v, seed), .b = choose(&v, seed)));
					break;
				}
				break;
			case 8: /* sum and flags of the same operands */
				op.a = choose(&x, seed);
				op.b = choose(&x, seed);
				op.op = (uint8_t[]){IR_add64, IR_add32, IR_sub64, IR_sub32}[r >> 8 & 3];
				remember(&x, hand_op(&h, op));
				op.op = (uint8_t[]){IR_fl_add64, IR_fl_add32, IR_fl_sub64, IR_fl_sub32}[r >> 8 & 3];
				remember(&f, hand_op(&h, op));
				break;
			case 9:
				switch (r >> 8 & 3) {
				case 0:
					remember(&x, OP(.op = IR_tstbit, .x = r >> 16 & 63, .a = choose(&x, seed)));
					break;
				case 1:
					remember(&x, OP(.op = IR_ubfx, .x = r >> 16 & 31, .aux = 1 + (r >> 24 & 7),
							.a = choose(&x, seed)));
					break;
				case 2:
					remember(&f, OP(.op = IR_fl_select, .a = choose(&x, seed),
							.b = choose(&f, seed), .c = choose(&f, seed)));
					break;
				default: remember(&x, OP(.op = IR_fl_unpack, .a = choose(&f, seed))); break;
				}
				break;
			case 10: /* a sum with one that is shifted, as of an address in an array */
				op.op = r >> 8 & 1 ? IR_shl64 : IR_shl32;
				op.a = choose(&x, seed);
				op.b = OP(.op = IR_const, .imm = r >> 16 & 3);
				op.a = hand_op(&h, op);
				op.b = choose(&x, seed);
				if (r >> 9 & 1)
					op = (struct ir_insn){.a = op.b, .b = op.a};
				op.op = r >> 10 & 1 ? IR_add64 : IR_add32;
				remember(&x, hand_op(&h, op));
				break;
			case 11: /* one made of another */
				op.a = choose(&x, seed);
				for (unsigned n = 0; n < 1 + (r >> 8 & 3); n++) {
					op.op = (uint8_t[]){IR_shl64, IR_and, IR_add32,
							    IR_lshr32}[r >> (16 + 2 * n) & 3];
					op.b = OP(.op = IR_const, .imm = 1 + (r >> 32 & 31));
					op.a = hand_op(&h, op);
				}
				remember(&x, op.a);
				break;
			default:
				op.op = pure[(r >> 8) % sizeof(pure)];
				op.a = choose(&x, seed);
				op.b = ir_opinfo[op.op].n_arg > 1 ? choose(&x, seed) : 0;
				op.c = ir_opinfo[op.op].n_arg > 2 ? choose(&x, seed) : 0;
				remember(&x, hand_op(&h, op));
				break;
			}
		}
		switch (rnd(seed) % 16) { /* at most one op that may leave, before the puts */
		case 0:
		case 1: {
			uint16_t a = OP(.op = IR_getx, .x = rnd(seed) % ADDRS);

			remember(&x, OP(.op = IR_load, .a = a, .imm = rnd(seed) & 0xff,
					.aux = IR_MEM(rnd(seed) & 3, 0, 0, 0)));
			break;
		}
		case 2:
		case 3: {
			uint16_t a = OP(.op = IR_getx, .x = rnd(seed) % ADDRS);

			OP(.op = IR_store, .a = a, .b = choose(&x, seed), .imm = rnd(seed) & 0xff,
			   .aux = IR_MEM(rnd(seed) & 3, 0, 0, IR_MEM_WNR));
			break;
		}
		case 4: {
			uint16_t a = OP(.op = IR_getx, .x = rnd(seed) % ADDRS), lo;

			lo = OP(.op = IR_loadp, .a = a, .imm = (rnd(seed) & 0xf) * 8,
				.aux = IR_MEM(2 + (rnd(seed) & 1), 0, 0, IR_MEM_PAIR));
			remember(&x, lo);
			remember(&x, (uint16_t)(lo + 1));
			break;
		}
		case 5: {
			uint16_t a = OP(.op = IR_getx, .x = rnd(seed) % ADDRS);

			remember(&v, OP(.op = IR_loadv, .a = a, .imm = rnd(seed) & 0xff,
					.aux = IR_MEM(2 + rnd(seed) % 3, 0, 0, IR_MEM_VEC)));
			break;
		}
		case 6:
			OP(.op = IR_mrs, .x = 3, .aux = 1);
			remember(&x, (uint16_t)(h.blk.n_x - 1));
			break;
		case 7:
			OP(.op = rnd(seed) & 1 ? IR_msr_imm : IR_clrex, .x = 0, .aux = 0);
			if (h.ops[h.blk.n_ops - 1].op == IR_msr_imm)
				h.ops[h.blk.n_ops - 1].aux = 1;
			break;
		case 8:
		case 9: OP(.op = IR_brcond, .a = choose(&x, seed), .imm = PC + 0x1000 + 4 * i); break;
		case 10: {
			uint16_t c = OP(.op = IR_cond, .x = rnd(seed) & 15, .a = choose(&f, seed));

			OP(.op = IR_brcond, .a = c, .imm = PC + 0x2000 + 4 * i);
			break;
		}
		default: break;
		}
		for (unsigned k = 0; k < puts; k++) {
			uint64_t r = rnd(seed);

			if (r % 4 == 0)
				OP(.op = IR_putf, .a = choose(&f, seed));
			else if (r % 4 == 1)
				OP(.op = IR_putv, .x = r >> 8 & 3, .a = choose(&v, seed));
			else
				OP(.op = IR_putx, .x = r >> 16 & 7 ? ADDRS + (r >> 8) % (REGS - ADDRS) : 31,
				   .a = choose(&x, seed));
		}
	}
	hand_end(&h);
}

static void random_state(struct pe *pe, uint64_t seed)
{
	static const uint64_t addr[] = {RAM + 0x80, RAM + 0xf80, SLOW - 0x80, SLOW + 0x40, BAD - 0x40};

	pe_init(pe);
	for (unsigned i = 0; i < 32; i++)
		pe->env.x[i] = i < ADDRS ? addr[rnd(&seed) % 5] : rnd_edge(&seed);
	for (unsigned i = 0; i < 32; i++)
		pe->env.v[i] = (union ir_v128){.d = {rnd(&seed), rnd(&seed)}};
	pe->env.nzcv = (uint32_t)rnd(&seed) & 0xf0000000;
	pe->sys = rnd(&seed);
	if (rnd(&seed) & 1) /* the second page of RAM: loads go straight to it, stores do not */
		pe->tlb.w[(RAM >> 12) + 1] = IR_TLB_NONE;
	for (unsigned i = 0; i < sizeof(pe->mem); i += 8)
		memcpy(pe->mem + i, &(uint64_t){rnd(&seed)}, 8);
}

#endif
