/* SPDX-License-Identifier: MIT */
/*
 * ir/interp.c: what each op does, against a second description of it that is as plain as can be, over edge values and
 * random ones; as written, optimised and prepared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ir_block.h"

typedef unsigned __int128 u128;

static struct pe pe;
static struct hand h;

#define OP(...) hand_op(&h, (struct ir_insn){__VA_ARGS__})

/* ---- integer ops: bit by bit where that is the plainest way to say it */

static uint64_t bits(uint64_t v, unsigned lsb, unsigned n)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < n; i++)
		r |= (v >> (lsb + i) & 1) << i;
	return r;
}

static uint64_t sign(uint64_t v, unsigned n) /* bit n - 1 repeated upwards */
{
	for (unsigned i = n; i < 64; i++)
		v = v >> (n - 1) & 1 ? v | (uint64_t)1 << i : v & ~((uint64_t)1 << i);
	return v;
}

static uint64_t reverse(uint64_t v, unsigned total, unsigned unit) /* order of the units of a word of total bits */
{
	uint64_t r = 0;

	for (unsigned i = 0; i < total; i += unit)
		r |= bits(v, i, unit) << (total - unit - i);
	return r;
}

static uint64_t reverse_in(uint64_t v, unsigned total, unsigned word, unsigned unit)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < total; i += word)
		r |= reverse(bits(v, i, word), word, unit) << i;
	return r;
}

static uint64_t leading(uint64_t v, unsigned n, bool same_as_sign)
{
	bool top = same_as_sign && v >> (n - 1) & 1;
	unsigned i = n;

	while (i && (v >> (i - 1) & 1) == top)
		i--;
	return n - i - same_as_sign;
}

static uint64_t shift_right(uint64_t v, unsigned n, unsigned by, unsigned kind) /* 0 lsr, 1 asr, 2 ror */
{
	uint64_t r = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned from = i + by;
		unsigned bit = from < n	   ? v >> from & 1
			       : kind == 0 ? 0
			       : kind == 1 ? v >> (n - 1) & 1
					   : v >> (from - n) & 1;

		r |= (uint64_t)bit << i;
	}
	return r;
}

static uint64_t high_unsigned(uint64_t a, uint64_t b)
{
	return (uint64_t)((u128)a * b >> 64);
}

static uint64_t divide(uint64_t a, uint64_t b, bool is_signed, unsigned n)
{
	bool neg = false;
	uint64_t q;

	if (is_signed) {
		a = sign(a, n);
		b = sign(b, n);
		neg = ((int64_t)a < 0) != ((int64_t)b < 0);
		a = (int64_t)a < 0 ? -a : a;
		b = (int64_t)b < 0 ? -b : b;
	}
	q = b ? a / b : 0;
	return bits(neg ? -q : q, 0, n);
}

static uint64_t crc(uint64_t acc, uint64_t val, unsigned n, uint64_t poly) /* poly as written in the manual */
{
	uint64_t rev = reverse(poly, 32, 1);

	for (unsigned i = 0; i < n; i++) {
		bool out = (acc ^ val >> i) & 1;

		acc = acc >> 1 ^ (out ? rev : 0);
	}
	return acc;
}

static uint32_t nzcv_of(uint64_t a, uint64_t b, unsigned carry, unsigned n)
{
	u128 unsigned_sum = (u128)bits(a, 0, n) + bits(b, 0, n) + carry;
	__int128 signed_sum = (__int128)(int64_t)sign(bits(a, 0, n), n) + (int64_t)sign(bits(b, 0, n), n) + carry;
	uint64_t r = bits((uint64_t)unsigned_sum, 0, n);

	return (uint32_t)(r >> (n - 1)) << 31 | (uint32_t)(r == 0) << 30 | (uint32_t)(r != unsigned_sum) << 29 |
	       (uint32_t)((int64_t)sign(r, n) != signed_sum) << 28;
}

static uint64_t low(uint64_t v)
{
	return v & 0xffffffff;
}

static uint64_t expected(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c)
{
	unsigned s64 = b & 63, s32 = b & 31;

	switch (op->op) {
	case IR_add64: return a + b;
	case IR_add32: return low(a + b);
	case IR_sub64: return a + ~b + 1;
	case IR_sub32: return low(a + ~b + 1);
	case IR_and: return a & b;
	case IR_or: return a | b;
	case IR_xor: return (a | b) & ~(a & b);
	case IR_andn: return a & (b ^ UINT64_MAX);
	case IR_not64: return a ^ UINT64_MAX;
	case IR_not32: return low(a) ^ 0xffffffff;
	case IR_shl64: return reverse(shift_right(reverse(a, 64, 1), 64, s64, 0), 64, 1);
	case IR_shl32: return reverse(shift_right(reverse(low(a), 32, 1), 32, s32, 0), 32, 1);
	case IR_lshr64: return shift_right(a, 64, s64, 0);
	case IR_lshr32: return shift_right(low(a), 32, s32, 0);
	case IR_ashr64: return shift_right(a, 64, s64, 1);
	case IR_ashr32: return shift_right(low(a), 32, s32, 1);
	case IR_ror64: return shift_right(a, 64, s64, 2);
	case IR_ror32: return shift_right(low(a), 32, s32, 2);
	case IR_mul64: return a * b;
	case IR_mul32: return low(a * b);
	case IR_mulhu: return high_unsigned(a, b);
	case IR_mulhs: return high_unsigned(a, b) - ((int64_t)a < 0 ? b : 0) - ((int64_t)b < 0 ? a : 0);
	case IR_sdiv64: return divide(a, b, true, 64);
	case IR_sdiv32: return divide(low(a), low(b), true, 32);
	case IR_udiv64: return divide(a, b, false, 64);
	case IR_udiv32: return divide(low(a), low(b), false, 32);
	case IR_adc64: return a + b + c;
	case IR_adc32: return low(a + b + c);
	case IR_extr64: return (uint64_t)(((u128)a << 64 | b) >> op->x);
	case IR_extr32: return low((low(a) << 32 | low(b)) >> op->x);
	case IR_ubfx: return bits(a, op->x, op->aux);
	case IR_sbfx: return sign(bits(a, op->x, op->aux), op->aux);
	case IR_bfi:
		for (unsigned i = 0; i < op->aux; i++)
			a = (a & ~((uint64_t)1 << (op->x + i))) | (b >> i & 1) << (op->x + i);
		return a;
	case IR_clz64: return leading(a, 64, false);
	case IR_clz32: return leading(low(a), 32, false);
	case IR_cls64: return leading(a, 64, true);
	case IR_cls32: return leading(low(a), 32, true);
	case IR_rbit64: return reverse(a, 64, 1);
	case IR_rbit32: return reverse(low(a), 32, 1);
	case IR_rev64: return reverse(a, 64, 8);
	case IR_rev32: return reverse(low(a), 32, 8);
	case IR_rev32_64: return reverse_in(a, 64, 32, 8);
	case IR_rev16_64: return reverse_in(a, 64, 16, 8);
	case IR_rev16_32: return reverse_in(low(a), 32, 16, 8);
	case IR_crc32: return crc(low(a), b, 8u << op->x, op->aux ? 0x1edc6f41 : 0x04c11db7);
	case IR_select: return a ? b : c;
	case IR_eqz64: return a ? 0 : 1;
	case IR_eqz32: return low(a) ? 0 : 1;
	case IR_nez64: return a ? 1 : 0;
	case IR_nez32: return low(a) ? 1 : 0;
	case IR_tstbit: return bits(a, op->x, 1);
	case IR_fl_add64: return nzcv_of(a, b, 0, 64);
	case IR_fl_add32: return nzcv_of(a, b, 0, 32);
	case IR_fl_sub64: return nzcv_of(a, ~b, 1, 64);
	case IR_fl_sub32: return nzcv_of(a, ~b, 1, 32);
	case IR_fl_adc64: return nzcv_of(a, b, c & 1, 64);
	case IR_fl_adc32: return nzcv_of(a, b, c & 1, 32);
	case IR_fl_logic64: return (a >> 63) << 31 | (uint64_t)(a == 0) << 30;
	case IR_fl_logic32: return (a >> 31 & 1) << 31 | (uint64_t)(low(a) == 0) << 30;
	case IR_fl_pack: return a & 0xf0000000;
	default: fail_msg("no reference for %s", ir_opinfo[op->op].name); return 0;
	}
}

/* One op between gets and a put, with its operands in registers; k: operands that are constants instead. */
static void block_of_one_op(const struct ir_insn *what, const uint64_t *val, unsigned k)
{
	const struct ir_opinfo *info = &ir_opinfo[what->op];
	struct ir_insn op = *what;
	uint16_t arg[3] = {0, 0, 0}, r;

	hand_begin(&h);
	for (unsigned i = 0; i < info->n_arg; i++)
		arg[i] = k >> i & 1 ? OP(.op = IR_const, .imm = val[i]) : OP(.op = IR_getx, .x = (uint8_t)(i + 1));
	op.a = arg[0];
	op.b = arg[1];
	op.c = arg[2];
	r = hand_op(&h, op);
	if (info->res[0] == IR_CLASS_F)
		OP(.op = IR_putf, .a = r);
	else
		OP(.op = IR_putx, .x = k & 1 ? 1 : 5, .a = r); /* also over an operand */
	hand_end(&h);
}

static void try_op(const struct ir_insn *op, uint64_t a, uint64_t b, uint64_t c, unsigned k)
{
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	uint64_t val[3] = {a, b, c}, want = expected(op, a, b, c), got;
	char msg[160];

	block_of_one_op(op, val, k);
	if (ir_check(&h.blk, msg, sizeof(msg)))
		fail_msg("%s", msg);
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		memcpy(&pe.env.x[1], val, sizeof(val));
		pe.env.nzcv = 0x50000000;
		pe.env.fpcr = 0xdeadbeef;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_int_equal(pe.env.fpcr, 0xdeadbeef);
		got = info->res[0] == IR_CLASS_F ? pe.env.nzcv : pe.env.x[k & 1 ? 1 : 5];
		if (got != want)
			fail_msg("%s x %u aux %u, mode %d, constants %u: %#llx %#llx %#llx -> %#llx, not %#llx",
				 info->name, op->x, op->aux, m, k, (unsigned long long)a, (unsigned long long)b,
				 (unsigned long long)c, (unsigned long long)got, (unsigned long long)want);
	}
}

static bool is_integer_op(const struct ir_opinfo *info)
{
	if (info->flags || info->n_res != 1 || info->n_arg == 0 || info->res[0] == IR_CLASS_V)
		return false;
	for (unsigned i = 0; i < info->n_arg; i++)
		if (info->arg[i] != IR_CLASS_X)
			return false;
	return true;
}

static void every_integer_and_flag_op_gives_the_value_of_its_plain_description(void **state)
{
	uint64_t seed = 1;
	unsigned ops = 0;

	pe_init(&pe);
	for (unsigned o = 0; o < IR_OP_COUNT; o++) {
		if (!is_integer_op(&ir_opinfo[o]) || o == IR_v_from_x || o == IR_v_from_xx)
			continue;
		ops++;
		for (unsigned n = 0; n < 300; n++) {
			struct ir_insn op = {.op = (uint8_t)o};
			uint64_t a = rnd_edge(&seed), b = rnd_edge(&seed), c = rnd_edge(&seed);

			switch (o) {
			case IR_ubfx:
			case IR_sbfx:
			case IR_bfi:
				op.x = rnd(&seed) % 64;
				op.aux = 1 + (uint32_t)(rnd(&seed) % (64 - op.x));
				break;
			case IR_extr64:
			case IR_tstbit: op.x = rnd(&seed) % 64; break;
			case IR_extr32: op.x = rnd(&seed) % 32; break;
			case IR_crc32:
				op.x = rnd(&seed) % 4;
				op.aux = rnd(&seed) & 1;
				break;
			case IR_adc64:
			case IR_adc32:
			case IR_fl_adc64:
			case IR_fl_adc32: c &= 1; break;
			default: break;
			}
			try_op(&op, a, b, c, n & 7);
			if (n % 16 == 0)
				try_op(&op, a, a, c, 0);
		}
	}
	assert_true(ops > 55);
}

static bool holds(unsigned nzcv, unsigned cc)
{
	bool n = nzcv & 8, z = nzcv & 4, c = nzcv & 2, v = nzcv & 1, r;

	switch (cc >> 1) {
	case 0: r = z; break;
	case 1: r = c; break;
	case 2: r = n; break;
	case 3: r = v; break;
	case 4: r = c && !z; break;
	case 5: r = n == v; break;
	case 6: r = n == v && !z; break;
	default: return true;
	}
	return r != (cc & 1);
}

static void every_condition_holds_as_the_manual_says(void **state)
{
	pe_init(&pe);
	for (unsigned nzcv = 0; nzcv < 16; nzcv++) {
		for (unsigned cc = 0; cc < 16; cc++) {
			for (enum mode m = 0; m < MODE_COUNT; m++) {
				uint16_t f, c, s, a, b;

				hand_begin(&h);
				f = OP(.op = IR_getf);
				c = OP(.op = IR_cond, .x = (uint8_t)cc, .a = f);
				OP(.op = IR_putx, .x = 1, .a = c);
				c = OP(.op = IR_cond, .x = (uint8_t)cc, .a = f); /* only for the select */
				a = OP(.op = IR_const, .imm = 77);
				b = OP(.op = IR_getx, .x = 9);
				s = OP(.op = IR_select, .a = c, .b = a, .c = b);
				OP(.op = IR_putx, .x = 2, .a = s);
				hand_next(&h);
				c = OP(.op = IR_cond, .x = (uint8_t)cc, .a = f); /* only for the branch */
				OP(.op = IR_brcond, .a = c, .imm = 0x100);
				hand_end(&h);
				pe.env.nzcv = nzcv << 28;
				pe.env.x[9] = 55;
				assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
				assert_int_equal(pe.env.x[1], holds(nzcv, cc));
				assert_int_equal(pe.env.x[2], holds(nzcv, cc) ? 77 : 55);
				assert_int_equal(pe.env.pc, holds(nzcv, cc) ? 0x100 : PC + 8);
			}
		}
	}
}

static void flags_are_made_selected_packed_and_unpacked(void **state)
{
	pe_init(&pe);
	for (unsigned n = 0; n < 32; n++) {
		for (enum mode m = 0; m < MODE_COUNT; m++) {
			uint16_t a, f, k, s;

			hand_begin(&h);
			a = OP(.op = IR_getx, .x = 3);
			f = OP(.op = IR_getf);
			k = OP(.op = IR_fl_const, .imm = n & 15);
			s = OP(.op = IR_fl_select, .a = a, .b = k, .c = f);
			OP(.op = IR_putf, .a = s);
			a = OP(.op = IR_fl_unpack, .a = f);
			OP(.op = IR_putx, .x = 4, .a = a);
			hand_end(&h);
			pe.env.x[3] = n & 16 ? UINT64_C(1) << 40 : 0;
			pe.env.nzcv = 0x90000000;
			run_mode(&pe, &h.blk, m);
			assert_int_equal(pe.env.nzcv, n & 16 ? (n & 15) << 28 : 0x90000000);
			assert_int_equal(pe.env.x[4], 0x90000000);
		}
	}
}

/* cmp, subs, adds, cbz, tbz and what the preparation makes of them, against the plain description */
static void compare_and_branch_gives_flags_result_and_direction(void **state)
{
	static const uint8_t sums[] = {IR_add64, IR_add32, IR_sub64, IR_sub32};
	static const uint8_t fls[] = {IR_fl_add64, IR_fl_add32, IR_fl_sub64, IR_fl_sub32};
	uint64_t seed = 5;

	pe_init(&pe);
	for (unsigned n = 0; n < 6000; n++) {
		uint64_t a = rnd_edge(&seed), b = rnd_edge(&seed), r = rnd(&seed);
		unsigned kind = r & 3, cc = r >> 2 & 15;
		bool with_sum = r >> 6 & 1, imm = r >> 7 & 1, over = r >> 8 & 1;
		struct ir_insn sum = {.op = sums[kind]}, fl = {.op = fls[kind]};
		uint64_t want = expected(&sum, a, b, 0), flags = expected(&fl, a, b, 0);
		unsigned rd = over ? 1 : 7;

		for (enum mode m = 0; m < MODE_COUNT; m++) {
			uint16_t va, vb, v, f, c;

			hand_begin(&h);
			va = OP(.op = IR_getx, .x = 1);
			vb = imm ? OP(.op = IR_const, .imm = b) : OP(.op = IR_getx, .x = 2);
			v = OP(.op = sums[kind], .a = va, .b = vb);
			f = OP(.op = fls[kind], .a = va, .b = vb);
			OP(.op = IR_putf, .a = f);
			if (with_sum)
				OP(.op = IR_putx, .x = (uint8_t)rd, .a = v);
			hand_next(&h);
			c = OP(.op = IR_cond, .x = (uint8_t)cc, .a = f);
			OP(.op = IR_brcond, .a = c, .imm = 0x100);
			hand_end(&h);
			pe.env.x[1] = a;
			pe.env.x[2] = b;
			pe.env.x[7] = 0x77;
			pe.env.nzcv = 0;
			run_mode(&pe, &h.blk, m);
			if (with_sum)
				assert_int_equal(pe.env.x[rd], want);
			assert_int_equal(pe.env.nzcv, flags);
			assert_int_equal(pe.env.pc, holds((unsigned)(flags >> 28), cc) ? 0x100 : PC + 8);
		}
	}
}

static void test_and_branch_looks_at_the_right_bits(void **state)
{
	static const uint8_t tests[] = {IR_eqz64, IR_eqz32, IR_nez64, IR_nez32, IR_tstbit, IR_ubfx};
	uint64_t seed = 6;

	pe_init(&pe);
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t a = rnd_edge(&seed), r = rnd(&seed);
		unsigned t = r % 6, bit = r >> 8 & 63;
		bool invert = r >> 16 & 1, plain = r >> 17 & 1;
		struct ir_insn op = {.op = tests[t], .x = t >= 4 ? (uint8_t)bit : 0, .aux = t == 5};
		bool want = plain ? a : expected(&op, a, 0, 0) != invert;

		for (enum mode m = 0; m < MODE_COUNT; m++) {
			uint16_t v;

			hand_begin(&h);
			v = op.a = OP(.op = IR_getx, .x = 1);
			if (!plain)
				v = hand_op(&h, op);
			if (!plain && invert)
				v = OP(.op = IR_eqz64, .a = v);
			OP(.op = IR_brcond, .a = v, .imm = 0x100);
			hand_end(&h);
			pe.env.x[1] = a;
			run_mode(&pe, &h.blk, m);
			assert_int_equal(pe.env.pc, want ? 0x100 : PC + 4);
		}
	}
}

/* ---- memory */

static void fill(void)
{
	uint64_t seed = 9;

	for (unsigned i = 0; i < sizeof(pe.mem); i++)
		pe.mem[i] = (uint8_t)rnd(&seed);
}

static void fresh(void)
{
	pe_init(&pe);
	fill();
}

static const uint64_t places[] = {RAM,	       RAM + 8,	    RAM + 0x123, RAM + 0xff8, RAM + 0xff0,
				  RAM + 0xffe, RAM + 0xffc, RAM + 0xffd, RAM + 0xfe8, SLOW - 3,
				  SLOW - 8,    SLOW,	    SLOW + 5,	 SLOW + 0xff0};
#define FOR_PLACES(at) for (const uint64_t *at = places; at < places + sizeof(places) / sizeof(places[0]); at++)

static void loads_extend_as_their_descriptor_says_wherever_they_are(void **state)
{
	static const uint32_t exts[] = {0, IR_MEM_SF, IR_MEM_SSE, IR_MEM_SSE | IR_MEM_SF};

	fresh();
	FOR_PLACES(at)
	for (unsigned size = 0; size <= 3; size++) {
		for (unsigned e = 0; e < 4; e++) {
			uint64_t raw = 0, want;

			if (size == 3 && exts[e] & IR_MEM_SSE)
				continue;
			memcpy(&raw, pe.mem + (*at - RAM), 1u << size);
			want = exts[e] & IR_MEM_SSE ? sign(raw, 8u << size) : raw;
			if (!(exts[e] & IR_MEM_SF) && size < 3)
				want = low(want);
			for (enum mode m = 0; m < MODE_COUNT; m++) {
				uint16_t a, v;

				hand_begin(&h);
				a = OP(.op = IR_getx, .x = 1);
				v = OP(.op = IR_load, .a = a, .imm = (uint64_t)-24, .aux = IR_MEM(size, 2, 1, exts[e]));
				OP(.op = IR_putx, .x = 1, .a = v);
				hand_end(&h);
				pe.env.x[1] = *at + 24;
				assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
				assert_int_equal(pe.env.x[1], want);
			}
		}
	}
}

static void stores_change_their_bytes_and_no_others(void **state)
{
	static uint8_t want[sizeof(pe.mem)];

	FOR_PLACES(at)
	for (unsigned size = 0; size <= 3; size++) {
		for (enum mode m = 0; m < MODE_COUNT; m++) {
			uint64_t val = UINT64_C(0xa1b2c3d4e5f60718);
			uint16_t a, v;

			fresh();
			memcpy(want, pe.mem, sizeof(want));
			memcpy(want + (*at - RAM), &val, 1u << size);
			hand_begin(&h);
			a = OP(.op = IR_const, .imm = *at - 8);
			v = OP(.op = IR_getx, .x = 2);
			OP(.op = IR_store, .a = a, .b = v, .imm = 8, .aux = IR_MEM(size, 2, 1, IR_MEM_WNR));
			hand_end(&h);
			pe.env.x[2] = val;
			assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
			assert_memory_equal(pe.mem, want, sizeof(want));
		}
	}
}

static void pairs_and_vectors_move_all_their_bytes(void **state)
{
	/* Bytes out of place p come back from place q, through every kind of pair and vector. */
	static const struct {
		uint8_t load, store, cls, elems;
		uint32_t flags;
		uint8_t from, to; /* log2 sizes */
	} kinds[] = {
		{IR_loadp, IR_storep, IR_CLASS_X, 2, IR_MEM_PAIR, 2, 3},
		{IR_loadv, IR_storev, IR_CLASS_V, 1, IR_MEM_VEC, 0, 4},
		{IR_loadpv, IR_storepv, IR_CLASS_V, 2, IR_MEM_VEC | IR_MEM_PAIR, 2, 4},
	};
	static uint8_t want[sizeof(pe.mem)];

	for (unsigned k = 0; k < 3; k++)
		for (unsigned size = kinds[k].from; size <= kinds[k].to; size++)
			FOR_PLACES(p)
	FOR_PLACES(q)
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		unsigned bytes = kinds[k].elems << size;
		uint16_t a, b, lo, hi;

		if (*p + bytes > BAD || *q + bytes > BAD)
			continue;
		fresh();
		memcpy(want, pe.mem, sizeof(want));
		memmove(want + (*q - RAM), pe.mem + (*p - RAM), bytes);
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		b = OP(.op = IR_getx, .x = 2);
		lo = OP(.op = kinds[k].load, .a = a, .aux = IR_MEM(size, 0, 1, kinds[k].flags));
		hi = h.ops[h.blk.n_ops - 1].c;
		OP(.op = kinds[k].cls == IR_CLASS_V ? IR_putv : IR_putx, .x = 5, .a = lo);
		if (kinds[k].elems == 2)
			OP(.op = kinds[k].cls == IR_CLASS_V ? IR_putv : IR_putx, .x = 6, .a = hi);
		hand_next(&h);
		OP(.op = kinds[k].store, .a = b, .b = lo, .c = kinds[k].elems == 2 ? hi : 0,
		   .aux = IR_MEM(size, 0, 2, kinds[k].flags | IR_MEM_WNR));
		hand_end(&h);
		pe.env.x[1] = *p;
		pe.env.x[2] = *q;
		memset(pe.env.v, 0xee, sizeof(pe.env.v));
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_memory_equal(pe.mem, want, sizeof(want));
		if (kinds[k].cls == IR_CLASS_V) {
			union ir_v128 reg = {.d = {0, 0}};

			memcpy(&reg, want + (*q - RAM), 1u << size);
			assert_memory_equal(&pe.env.v[5], &reg, 16); /* zeros above */
		}
	}
}

static void a_signed_pair_is_extended_element_by_element(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, lo;

		fresh();
		memcpy(pe.mem, (uint32_t[]){0x80000001, 0x7fffffff}, 8);
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		lo = OP(.op = IR_loadp, .a = a, .aux = IR_MEM(2, 0, 1, IR_MEM_PAIR | IR_MEM_SSE | IR_MEM_SF));
		OP(.op = IR_putx, .x = 1, .a = lo);
		OP(.op = IR_putx, .x = 2, .a = (uint16_t)(lo + 1));
		hand_end(&h);
		pe.env.x[1] = RAM;
		run_mode(&pe, &h.blk, m);
		assert_int_equal(pe.env.x[1], UINT64_C(0xffffffff80000001));
		assert_int_equal(pe.env.x[2], 0x7fffffff);
	}
}

static void plain_accesses_inside_a_mapped_page_make_no_call(void **state)
{
	fresh();
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, v;

		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		v = OP(.op = IR_load, .a = a, .aux = IR_MEM(3, 0, 1, 0));
		OP(.op = IR_store, .a = a, .b = v, .imm = 3, .aux = IR_MEM(2, 0, 1, IR_MEM_WNR));
		hand_end(&h);
		pe.env.x[1] = RAM + 0x301; /* alignment does not matter */
		run_mode(&pe, &h.blk, m);
	}
	assert_int_equal(pe.slow_loads + pe.slow_stores + pe.faults, 0);
}

static void the_call_is_made_for_pages_crossed_unprivileged_and_misaligned_ordered_accesses(void **state)
{
	static const struct {
		uint64_t at;
		uint32_t flags;
		bool fault;
	} rows[] = {{RAM + 0xffd, 0, false},
		    {RAM + 0x10, IR_MEM_UNPRIV, false},
		    {SLOW, 0, false},
		    {RAM + 0x11, IR_MEM_ACQREL | IR_MEM_SEQCST, true},
		    {RAM + 0x11, IR_MEM_ALIGNED, true}};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (enum mode m = 0; m < MODE_COUNT; m++) {
			for (unsigned write = 0; write < 2; write++) {
				uint16_t a, v;

				fresh();
				hand_begin(&h);
				a = OP(.op = IR_getx, .x = 1);
				v = OP(.op = IR_getx, .x = 2);
				if (write)
					OP(.op = IR_store, .a = a, .b = v,
					   .aux = IR_MEM(3, 0, 1, rows[i].flags | IR_MEM_WNR));
				else
					OP(.op = IR_load, .a = a, .aux = IR_MEM(3, 0, 1, rows[i].flags));
				hand_end(&h);
				pe.env.x[1] = rows[i].at;
				assert_int_equal(run_mode(&pe, &h.blk, m), rows[i].fault ? IR_RET_TRAP : IR_RET_BR);
				assert_int_equal(pe.slow_loads + pe.slow_stores + pe.faults, 1);
				assert_int_equal(pe.last_m & rows[i].flags, rows[i].flags);
			}
		}
	}
}

static void ordered_accesses_that_are_aligned_use_the_page(void **state)
{
	fresh();
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, v;

		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		v = OP(.op = IR_load, .a = a, .aux = IR_MEM(3, 0, 1, IR_MEM_ACQREL | IR_MEM_SEQCST));
		OP(.op = IR_store, .a = a, .b = v, .imm = 8,
		   .aux = IR_MEM(3, 0, 1, IR_MEM_ACQREL | IR_MEM_SEQCST | IR_MEM_WNR));
		hand_end(&h);
		pe.env.x[1] = RAM + 0x40;
		run_mode(&pe, &h.blk, m);
		assert_memory_equal(pe.mem + 0x40, pe.mem + 0x48, 8);
	}
	assert_int_equal(pe.slow_loads + pe.slow_stores, 0);
}

/* ---- precise state */

static void a_trap_in_the_middle_leaves_the_instructions_before_it_done_and_the_rest_undone(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, one, v, f, w;

		fresh();
		hand_begin(&h); /* add x1, x1, #1; subs: flags and x3 */
		one = OP(.op = IR_const, .imm = 1);
		a = OP(.op = IR_getx, .x = 1);
		v = OP(.op = IR_add64, .a = a, .b = one);
		OP(.op = IR_putx, .x = 1, .a = v);
		f = OP(.op = IR_fl_sub64, .a = v, .b = v);
		OP(.op = IR_putf, .a = f);
		hand_next(&h); /* ldr x1, [x2]: faults */
		a = OP(.op = IR_getx, .x = 2);
		w = OP(.op = IR_load, .a = a, .aux = IR_MEM(3, 1, 2, 0));
		OP(.op = IR_putx, .x = 1, .a = w);
		hand_next(&h); /* all of it overwritten here, which must not make the first puts dead */
		OP(.op = IR_putx, .x = 1, .a = one);
		OP(.op = IR_putx, .x = 3, .a = one);
		f = OP(.op = IR_fl_const, .imm = 1);
		OP(.op = IR_putf, .a = f);
		hand_end(&h);
		pe.env.x[1] = 41;
		pe.env.x[2] = BAD;
		pe.env.x[3] = 3;
		pe.env.pc = PC;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_TRAP);
		assert_int_equal(pe.faults, 1);
		assert_int_equal(pe.fault_pc, PC + 4);
		assert_int_equal(pe.env.x[1], 42);
		assert_int_equal(pe.env.x[2], BAD);
		assert_int_equal(pe.env.x[3], 3);
		assert_int_equal(pe.env.nzcv, IR_Z | IR_C);
	}
}

static void every_op_that_traps_leaves_its_registers_alone(void **state)
{
	static const struct ir_insn ops[] = {
		{.op = IR_load, .aux = IR_MEM(3, 0, 1, 0)},
		{.op = IR_load, .aux = IR_MEM(2, 0, 1, IR_MEM_SSE | IR_MEM_SF)},
		{.op = IR_load, .aux = IR_MEM(0, 0, 1, 0)},
		{.op = IR_loadp, .aux = IR_MEM(3, 0, 1, IR_MEM_PAIR)},
		{.op = IR_loadp, .aux = IR_MEM(2, 0, 1, IR_MEM_PAIR)},
		{.op = IR_ldx, .aux = IR_MEM(3, 0, 1, IR_MEM_EXCL | IR_MEM_ALIGNED)},
		{.op = IR_ldxp, .aux = IR_MEM(3, 0, 1, IR_MEM_EXCL | IR_MEM_ALIGNED | IR_MEM_PAIR)},
		{.op = IR_rmw, .b = 1, .aux = IR_MEM(3, 0, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR)},
		{.op = IR_cas, .b = 1, .c = 1, .aux = IR_MEM(3, 0, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR)},
		{.op = IR_casp,
		 .b = 1,
		 .c = 1,
		 .imm = 1 | 1 << 16,
		 .aux = IR_MEM(3, 0, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_PAIR)},
		{.op = IR_mrs},
	};

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		for (enum mode m = 0; m < MODE_COUNT; m++) {
			struct ir_insn op = ops[i];
			char msg[160];
			uint16_t r;

			fresh();
			hand_begin(&h);
			OP(.op = IR_getx, .x = 1);
			op.a = op.op == IR_mrs ? 0 : 1;
			r = hand_op(&h, op);
			OP(.op = IR_putx, .x = 1, .a = r);
			if (h.blk.n_x > r + 1)
				OP(.op = IR_putx, .x = 2, .a = (uint16_t)(r + 1));
			hand_end(&h);
			if (ir_check(&h.blk, msg, sizeof(msg)))
				fail_msg("%s", msg);
			pe.env.x[1] = BAD + 0x100;
			pe.env.x[2] = 2;
			pe.env.excl.valid = 0;
			assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_TRAP);
			assert_int_equal(pe.env.x[1], BAD + 0x100);
			assert_int_equal(pe.env.x[2], 2);
			assert_int_equal(pe.env.pc, PC);
			assert_int_equal(pe.env.excl.valid, 0);
		}
	}
}

static void a_store_that_traps_writes_nothing(void **state)
{
	static uint8_t want[sizeof(pe.mem)];

	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, v;

		fresh();
		memcpy(want, pe.mem, sizeof(want));
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		v = OP(.op = IR_getx, .x = 2);
		OP(.op = IR_storep, .a = a, .b = v, .c = v, .aux = IR_MEM(3, 0, 1, IR_MEM_PAIR | IR_MEM_WNR));
		hand_end(&h);
		pe.env.x[1] = BAD - 8; /* the second half is not there */
		pe.env.x[2] = 0x1111;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_TRAP);
		assert_memory_equal(pe.mem, want, sizeof(want));
	}
}

/* ---- exclusives and atomics */

enum { X_LOAD, X_STORE };

/* ldx or stx of the element at x1; value(s) x2, x3; results to x4, x5 */
static enum ir_ret exclusive(unsigned what, unsigned size, bool pair, enum mode m)
{
	uint32_t d = IR_MEM(size, 4, 1, IR_MEM_EXCL | IR_MEM_ALIGNED | (pair ? IR_MEM_PAIR : 0));
	uint16_t a, b, c, r;

	hand_begin(&h);
	a = OP(.op = IR_getx, .x = 1);
	b = OP(.op = IR_getx, .x = 2);
	c = OP(.op = IR_getx, .x = 3);
	if (what == X_LOAD)
		r = pair ? OP(.op = IR_ldxp, .a = a, .aux = d) : OP(.op = IR_ldx, .a = a, .aux = d);
	else if (pair)
		r = OP(.op = IR_stxp, .a = a, .b = b, .c = c, .aux = d | IR_MEM_WNR);
	else
		r = OP(.op = IR_stx, .a = a, .b = b, .aux = d | IR_MEM_WNR);
	OP(.op = IR_putx, .x = 4, .a = r);
	if (what == X_LOAD && pair)
		OP(.op = IR_putx, .x = 5, .a = (uint16_t)(r + 1));
	hand_end(&h);
	return run_mode(&pe, &h.blk, m);
}

static void an_exclusive_pair_of_instructions_stores_once_and_reports_success(void **state)
{
	static const uint64_t where[] = {RAM + 0x20, SLOW + 0x20};

	for (unsigned w = 0; w < 2; w++)
		for (unsigned size = 0; size <= 3; size++)
			for (unsigned pair = 0; pair <= (size >= 2); pair++)
				for (enum mode m = 0; m < MODE_COUNT; m++) {
					uint64_t raw[2] = {0, 0};
					uint8_t *mem = pe.mem + (where[w] - RAM), old[32];

					fresh();
					memcpy(old, mem, 32);
					memcpy(&raw[0], mem, 1u << size);
					memcpy(&raw[1], mem + (1u << size), 1u << size);
					pe.env.x[1] = where[w];
					pe.env.x[2] = UINT64_C(0x1122334455667788);
					pe.env.x[3] = UINT64_C(0x99aabbccddeeff00);
					assert_int_equal(exclusive(X_LOAD, size, pair, m), IR_RET_BR);
					assert_int_equal(pe.env.x[4], raw[0]);
					if (pair)
						assert_int_equal(pe.env.x[5], raw[1]);
					assert_int_equal(pe.env.step_ex, 1);
					assert_int_equal(exclusive(X_STORE, size, pair, m), IR_RET_BR);
					assert_int_equal(pe.env.x[4], 0);
					memcpy(old, &pe.env.x[2], 1u << size);
					if (pair)
						memcpy(old + (1u << size), &pe.env.x[3], 1u << size);
					assert_memory_equal(mem, old, 32);
					/* the monitor is clear now */
					assert_int_equal(exclusive(X_STORE, size, pair, m), IR_RET_BR);
					assert_int_equal(pe.env.x[4], 1);
				}
}

static void a_store_exclusive_fails_after_a_write_elsewhere_size_or_clrex(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		for (unsigned why = 0; why < 5; why++) {
			static uint8_t want[sizeof(pe.mem)];

			fresh();
			pe.env.x[1] = RAM + 0x20;
			pe.env.x[2] = 0x55;
			exclusive(X_LOAD, 3, why == 4, m);
			if (why == 0)
				pe.mem[0x27] ^= 1; /* another PE */
			if (why == 1)
				pe.env.x[1] += 8;
			if (why == 3) {
				hand_begin(&h);
				OP(.op = IR_clrex);
				hand_end(&h);
				run_mode(&pe, &h.blk, m);
			}
			if (why == 4)
				pe.mem[0x2f] ^= 1; /* the second element */
			memcpy(want, pe.mem, sizeof(want));
			exclusive(X_STORE, why == 2 ? 2 : 3, why == 4, m);
			assert_int_equal(pe.env.x[4], 1);
			assert_memory_equal(pe.mem, want, sizeof(want));
			assert_int_equal(pe.env.excl.valid, 0);
		}
	}
}

static void a_store_exclusive_that_fails_in_the_monitor_touches_no_memory(void **state)
{
	fresh();
	pe.env.x[1] = BAD;
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		assert_int_equal(exclusive(X_STORE, 3, false, m), IR_RET_BR);
		assert_int_equal(pe.env.x[4], 1);
	}
	assert_int_equal(pe.faults, 0);
}

static void a_misaligned_exclusive_pair_faults(void **state)
{
	fresh();
	pe.env.x[1] = RAM + 8; /* aligned to its elements only */
	for (enum mode m = 0; m < MODE_COUNT; m++)
		assert_int_equal(exclusive(X_LOAD, 3, true, m), IR_RET_TRAP);
}

static uint64_t rmw_expected(unsigned kind, uint64_t old, uint64_t v, unsigned n)
{
	int64_t so = (int64_t)sign(old, n), sv = (int64_t)sign(bits(v, 0, n), n);
	uint64_t uv = bits(v, 0, n);

	switch (kind) {
	case IR_RMW_ADD: return bits(old + v, 0, n);
	case IR_RMW_CLR: return bits(old & ~v, 0, n);
	case IR_RMW_EOR: return bits(old ^ v, 0, n);
	case IR_RMW_SET: return bits(old | v, 0, n);
	case IR_RMW_SMAX: return bits((uint64_t)(so > sv ? so : sv), 0, n);
	case IR_RMW_SMIN: return bits((uint64_t)(so < sv ? so : sv), 0, n);
	case IR_RMW_UMAX: return old > uv ? old : uv;
	case IR_RMW_UMIN: return old < uv ? old : uv;
	default: return uv;
	}
}

static void every_read_modify_write_gives_the_old_value_and_leaves_the_new(void **state)
{
	uint64_t seed = 3;

	fresh();
	for (unsigned kind = 0; kind <= IR_RMW_SWP; kind++)
		for (unsigned size = 0; size <= 3; size++)
			for (unsigned n = 0; n < 60; n++)
				for (enum mode m = 0; m < MODE_COUNT; m++) {
					uint64_t at = (n & 1 ? SLOW : RAM) + ((rnd(&seed) & 0x1f) << size), old, val,
						 now = 0;
					uint16_t a, b, r;

					old = bits(rnd_edge(&seed), 0, 8u << size);
					val = rnd_edge(&seed);
					memcpy(pe.mem + (at - RAM), &old, 1u << size);
					hand_begin(&h);
					a = OP(.op = IR_getx, .x = 1);
					b = OP(.op = IR_getx, .x = 2);
					r = OP(.op = IR_rmw, .x = (uint8_t)kind, .a = a, .b = b,
					       .aux = IR_MEM(size, 2, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR));
					OP(.op = IR_putx, .x = 2, .a = r);
					hand_end(&h);
					pe.env.x[1] = at;
					pe.env.x[2] = val;
					assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
					assert_int_equal(pe.env.x[2], old);
					memcpy(&now, pe.mem + (at - RAM), 1u << size);
					assert_int_equal(now, rmw_expected(kind, old, val, 8u << size));
				}
}

static void compare_and_swap_swaps_only_what_it_expected(void **state)
{
	fresh();
	for (unsigned pair = 0; pair < 2; pair++)
		for (unsigned size = pair ? 2 : 0; size <= 3; size++)
			for (unsigned miss = 0; miss <= 1 + pair; miss++)
				for (enum mode m = 0; m < MODE_COUNT; m++) {
					uint64_t old[2] = {bits(UINT64_C(0xf1e2d3c4b5a69788), 0, 8u << size),
							   bits(UINT64_C(0x0123456789abcdef), 0, 8u << size)};
					uint64_t fresh_val[2] = {0x5a, 0xa5}, now[2] = {0, 0};
					uint32_t d = IR_MEM(size, 2, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR);
					bool stored = miss == 0;
					uint16_t a, e0, e1, n0, n1, r;

					memcpy(pe.mem + 0x40, &old[0], 1u << size);
					memcpy(pe.mem + 0x40 + (1u << size), &old[1], 1u << size);
					hand_begin(&h);
					a = OP(.op = IR_getx, .x = 1);
					e0 = OP(.op = IR_getx, .x = 2);
					e1 = OP(.op = IR_getx, .x = 3);
					n0 = OP(.op = IR_getx, .x = 4);
					n1 = OP(.op = IR_getx, .x = 5);
					if (pair)
						r = OP(.op = IR_casp, .a = a, .b = e0, .c = e1,
						       .imm = n0 | (uint64_t)n1 << 16, .aux = d | IR_MEM_PAIR);
					else
						r = OP(.op = IR_cas, .a = a, .b = e0, .c = n0, .aux = d);
					OP(.op = IR_putx, .x = 2, .a = r);
					if (pair)
						OP(.op = IR_putx, .x = 3, .a = (uint16_t)(r + 1));
					hand_end(&h);
					pe.env.x[1] = RAM + 0x40;
					pe.env.x[2] = (old[0] ^ (miss == 1)) | (size < 3 ? UINT64_C(1) << 63 : 0);
					pe.env.x[3] = old[1] ^ (miss == 2);
					pe.env.x[4] = fresh_val[0];
					pe.env.x[5] = fresh_val[1];
					assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
					assert_int_equal(pe.env.x[2], old[0]);
					if (pair)
						assert_int_equal(pe.env.x[3], old[1]);
					memcpy(&now[0], pe.mem + 0x40, 1u << size);
					memcpy(&now[1], pe.mem + 0x40 + (1u << size), 1u << size);
					assert_int_equal(now[0], stored ? fresh_val[0] : old[0]);
					assert_int_equal(now[1], stored && pair ? fresh_val[1] : old[1]);
				}
}

static void a_casp_with_zeros_stores_zeros(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, e0, z;

		fresh();
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		e0 = OP(.op = IR_getx, .x = 2);
		z = OP(.op = IR_const, .imm = 0);
		OP(.op = IR_casp, .a = a, .b = e0, .c = e0, .imm = z | (uint64_t)z << 16,
		   .aux = IR_MEM(3, 2, 1, IR_MEM_RMW | IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_PAIR));
		hand_end(&h);
		memset(pe.mem + 0x40, 0x11, 16);
		memset(&pe.env.x[2], 0x11, 8);
		memset(pe.env.t, 0x77, sizeof(pe.env.t));
		pe.env.t[0] = 0;
		pe.env.x[1] = RAM + 0x40;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_memory_equal(pe.mem + 0x40, ((uint64_t[]){0, 0}), 16);
	}
}

/* ---- the rest */

static void barriers_that_wait_for_others_call_out(void **state)
{
	static const unsigned calls[] = {[IR_FENCE_LD] = 0,  [IR_FENCE_ST] = 0,	 [IR_FENCE_FULL] = 0,
					 [IR_FENCE_DSB] = 1, [IR_FENCE_ISB] = 1, [IR_FENCE_ESB] = 1};

	for (unsigned kind = 0; kind <= IR_FENCE_ESB; kind++) {
		for (enum mode m = 0; m < MODE_COUNT; m++) {
			fresh();
			hand_begin(&h);
			OP(.op = IR_fence, .x = (uint8_t)kind);
			hand_end(&h);
			assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
			assert_int_equal(pe.fences, calls[kind]);
		}
	}
}

static void pointer_authentication_and_btype_go_through_the_calls(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, b, v;

		fresh();
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		b = OP(.op = IR_getx, .x = 2);
		v = OP(.op = IR_pauth, .x = 5, .a = a, .b = b);
		OP(.op = IR_putx, .x = 3, .a = v);
		OP(.op = IR_btype, .x = 2);
		hand_end(&h);
		pe.env.x[1] = 100;
		pe.env.x[2] = 10;
		pe.sys = 1;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_int_equal(pe.env.x[3], 135);
		assert_int_equal(pe.sys, 6);

		fresh();
		hand_begin(&h);
		a = OP(.op = IR_getx, .x = 1);
		v = OP(.op = IR_pauth, .x = IR_PAUTH_COMBINED, .a = a, .b = a);
		OP(.op = IR_putx, .x = 3, .a = v);
		hand_end(&h);
		pe.env.x[3] = 7;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_TRAP);
		assert_int_equal(pe.fault_pc, PC);
		assert_int_equal(pe.env.x[3], 7);
	}
}

static void system_registers_go_through_the_calls(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t v, w;

		fresh();
		hand_begin(&h);
		v = OP(.op = IR_mrs, .x = 7, .aux = 0x4000);
		OP(.op = IR_putx, .x = 7, .a = v);
		hand_next(&h);
		w = OP(.op = IR_getx, .x = 8);
		OP(.op = IR_msr, .x = 8, .aux = 0x4000, .a = w);
		hand_end(&h);
		pe.sys = 100;
		pe.env.x[8] = 5;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_int_equal(pe.env.x[7], 107);
		assert_int_equal(pe.sys, 5);
	}
}

static void a_stack_pointer_got_before_it_is_switched_keeps_its_value(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t sp, f, u;

		fresh();
		hand_begin(&h);
		sp = OP(.op = IR_getx, .x = 31);
		f = OP(.op = IR_getf);
		hand_next(&h);
		OP(.op = IR_msr_imm, .x = 1, .aux = 5);
		hand_next(&h);
		OP(.op = IR_putx, .x = 1, .a = sp);
		u = OP(.op = IR_fl_unpack, .a = f);
		OP(.op = IR_putx, .x = 2, .a = u);
		hand_end(&h);
		pe.env.x[31] = 0x1234;
		pe.env.nzcv = IR_C;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_int_equal(pe.env.x[1], 0x1234);
		assert_int_equal(pe.env.x[2], IR_C);
		assert_int_equal(pe.env.x[31], ~(uint64_t)0x1234);
	}
}

static void an_exit_reports_its_reason_payload_and_instruction(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		fresh();
		hand_begin(&h);
		OP(.op = IR_nop);
		hand_next(&h);
		OP(.op = IR_exit, .x = IR_EXIT_SVC, .imm = 0xbeef);
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_EXIT);
		assert_int_equal(pe.env.pc, PC + 4);
		assert_int_equal(pe.env.exit_reason, IR_EXIT_SVC);
		assert_int_equal(pe.env.exit_imm, 0xbeef);
		assert_int_equal(pe.env.insn_count, 2);
	}
}

static void an_indirect_branch_goes_where_its_register_says(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, link;

		fresh();
		hand_begin(&h); /* blr x30: the target is read before the link is written */
		a = OP(.op = IR_getx, .x = 30);
		link = OP(.op = IR_const, .imm = PC + 4);
		OP(.op = IR_putx, .x = 30, .a = link);
		OP(.op = IR_br_ind, .a = a, .x = IR_BR_CALL);
		pe.env.x[30] = 0xabc0;
		assert_int_equal(run_mode(&pe, &h.blk, m), IR_RET_BR);
		assert_int_equal(pe.env.pc, 0xabc0);
		assert_int_equal(pe.env.x[30], PC + 4);
	}
}

static void lanes_move_between_vectors_and_integers(void **state)
{
	for (unsigned size = 0; size <= 3; size++)
		for (unsigned lane = 0; lane < 16u >> size; lane++)
			for (unsigned sext = 0; sext < 2; sext++)
				for (enum mode m = 0; m < MODE_COUNT; m++) {
					uint64_t raw = 0;
					union ir_v128 want;
					uint16_t v, x, w;

					fresh();
					memcpy(&pe.env.v[3], pe.mem, 16);
					memcpy(&raw, pe.mem + (lane << size), 1u << size);
					want = pe.env.v[3];
					memcpy(want.b + (lane << size), &(uint64_t){0x8899aabbccddeeff}, 1u << size);
					hand_begin(&h);
					v = OP(.op = IR_getv, .x = 3);
					x = OP(.op = IR_x_from_v, .x = (uint8_t)lane, .a = v, .aux = size | sext << 4);
					OP(.op = IR_putx, .x = 1, .a = x);
					x = OP(.op = IR_getx, .x = 2);
					w = OP(.op = IR_v_ins_x, .x = (uint8_t)lane, .a = v, .b = x, .aux = size);
					OP(.op = IR_putv, .x = 3, .a = w);
					w = OP(.op = IR_v_from_xx, .a = x, .b = x);
					OP(.op = IR_putv, .x = 4, .a = w);
					w = OP(.op = IR_v_from_x, .a = x);
					OP(.op = IR_putv, .x = 5, .a = w);
					OP(.op = IR_putv, .x = 6, .a = v);
					hand_end(&h);
					pe.env.x[2] = 0x8899aabbccddeeff;
					run_mode(&pe, &h.blk, m);
					assert_int_equal(pe.env.x[1], sext ? sign(raw, 8u << size) : raw);
					assert_memory_equal(&pe.env.v[3], &want, 16);
					assert_int_equal(pe.env.v[4].d[1], 0x8899aabbccddeeff);
					assert_int_equal(pe.env.v[5].d[0], 0x8899aabbccddeeff);
					assert_int_equal(pe.env.v[5].d[1], 0);
					assert_memory_equal(&pe.env.v[6], pe.mem, 16);
				}
}

static void a_vector_operation_may_overwrite_its_operand(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, b, d;

		fresh();
		hand_begin(&h);
		a = OP(.op = IR_getv, .x = 1);
		b = OP(.op = IR_getv, .x = 2);
		d = OP(.op = IR_vop, .a = a, .b = b, .imm = IR_VOP_add, .aux = 3 | 1u << 3); /* 2 x 64 */
		OP(.op = IR_putv, .x = 1, .a = d);
		hand_end(&h);
		pe.env.v[1] = (union ir_v128){.d = {5, UINT64_MAX}};
		pe.env.v[2] = (union ir_v128){.d = {7, 2}};
		run_mode(&pe, &h.blk, m);
		assert_int_equal(pe.env.v[1].d[0], 12);
		assert_int_equal(pe.env.v[1].d[1], 1);
	}
}

static void a_floating_point_compare_sets_packed_flags(void **state)
{
	for (enum mode m = 0; m < MODE_COUNT; m++) {
		uint16_t a, b, f;

		fresh();
		hand_begin(&h);
		a = OP(.op = IR_getv, .x = 1);
		b = OP(.op = IR_getv, .x = 2);
		f = OP(.op = IR_fl_fcmp, .a = a, .b = b, .x = 3);
		OP(.op = IR_putf, .a = f);
		hand_end(&h);
		pe.env.v[1].d[0] = 0x3ff0000000000000; /* 1.0 */
		pe.env.v[2].d[0] = 0x4000000000000000; /* 2.0 */
		pe.env.fpcr = 0;
		run_mode(&pe, &h.blk, m);
		assert_int_equal(pe.env.nzcv, IR_N);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_integer_and_flag_op_gives_the_value_of_its_plain_description),
		cmocka_unit_test(every_condition_holds_as_the_manual_says),
		cmocka_unit_test(flags_are_made_selected_packed_and_unpacked),
		cmocka_unit_test(compare_and_branch_gives_flags_result_and_direction),
		cmocka_unit_test(test_and_branch_looks_at_the_right_bits),
		cmocka_unit_test(loads_extend_as_their_descriptor_says_wherever_they_are),
		cmocka_unit_test(stores_change_their_bytes_and_no_others),
		cmocka_unit_test(pairs_and_vectors_move_all_their_bytes),
		cmocka_unit_test(a_signed_pair_is_extended_element_by_element),
		cmocka_unit_test(plain_accesses_inside_a_mapped_page_make_no_call),
		cmocka_unit_test(the_call_is_made_for_pages_crossed_unprivileged_and_misaligned_ordered_accesses),
		cmocka_unit_test(ordered_accesses_that_are_aligned_use_the_page),
		cmocka_unit_test(a_trap_in_the_middle_leaves_the_instructions_before_it_done_and_the_rest_undone),
		cmocka_unit_test(every_op_that_traps_leaves_its_registers_alone),
		cmocka_unit_test(a_store_that_traps_writes_nothing),
		cmocka_unit_test(an_exclusive_pair_of_instructions_stores_once_and_reports_success),
		cmocka_unit_test(a_store_exclusive_fails_after_a_write_elsewhere_size_or_clrex),
		cmocka_unit_test(a_store_exclusive_that_fails_in_the_monitor_touches_no_memory),
		cmocka_unit_test(a_misaligned_exclusive_pair_faults),
		cmocka_unit_test(every_read_modify_write_gives_the_old_value_and_leaves_the_new),
		cmocka_unit_test(compare_and_swap_swaps_only_what_it_expected),
		cmocka_unit_test(a_casp_with_zeros_stores_zeros),
		cmocka_unit_test(barriers_that_wait_for_others_call_out),
		cmocka_unit_test(pointer_authentication_and_btype_go_through_the_calls),
		cmocka_unit_test(system_registers_go_through_the_calls),
		cmocka_unit_test(a_stack_pointer_got_before_it_is_switched_keeps_its_value),
		cmocka_unit_test(an_exit_reports_its_reason_payload_and_instruction),
		cmocka_unit_test(an_indirect_branch_goes_where_its_register_says),
		cmocka_unit_test(lanes_move_between_vectors_and_integers),
		cmocka_unit_test(a_vector_operation_may_overwrite_its_operand),
		cmocka_unit_test(a_floating_point_compare_sets_packed_flags),
	};

	return cmocka_run_group_tests_name("ir/interp", tests, NULL, NULL);
}
