/* SPDX-License-Identifier: MIT */
/*
 * Vector ops: those that move values between the register files and memory, the way to the definitions of ir/vec.c,
 * ir/fp.c and ir/crypto.c, and the constants and code that all operations share.
 *
 * An operation without host instructions, and one whose operands turn out to be of the rare kind that the host treats
 * otherwise, calls its definition through one thunk, which keeps all registers: the place in the code only says which.
 */
#include "vgen.h"

/* ---- shared constants and code, in front of the blocks */

#define ALL_B(x) UINT64_C(0x0101010101010101) * (x)
#define ALL_H(x) UINT64_C(0x0001000100010001) * (x)
#define ALL_S(x) UINT64_C(0x0000000100000001) * (x)
#define TWICE(x) \
	{ \
		(x), (x) \
	}

static const uint64_t constants[VC_COUNT][2] = {
	[VC_ABS_S] = TWICE(ALL_S(0x7fffffff)),
	[VC_ABS_D] = TWICE(INT64_MAX),
	[VC_SIGN_B] = TWICE(ALL_B(0x80)),
	[VC_SIGN_H] = TWICE(ALL_H(0x8000)),
	[VC_SIGN_S] = TWICE(ALL_S(0x80000000)),
	[VC_SIGN_D] = TWICE(UINT64_C(1) << 63),
	[VC_MIN_NORMAL_S] = TWICE(ALL_S(0x00800000)),
	[VC_MIN_NORMAL_D] = TWICE(UINT64_C(1) << 52),
	[VC_2_63_S] = TWICE(ALL_S(0x5f000000)),
	[VC_2_63_D] = TWICE(UINT64_C(0x43e0000000000000)),
	[VC_LOW_B] = TWICE(ALL_H(0xff)),
	[VC_LOW_H] = TWICE(ALL_S(0xffff)),
	[VC_LOW_S] = TWICE(UINT32_MAX),
	[VC_ONE_B] = TWICE(ALL_B(1)),
	[VC_ONE_H] = TWICE(ALL_H(1)),
	[VC_NIBBLE] = TWICE(ALL_B(15)),
	[VC_POPCOUNT] = {0x0302020102010100, 0x0403030203020201},
	[VC_BITREV_LOW] = {0xe060a020c0408000, 0xf070b030d0509010},
	[VC_BITREV_HIGH] = {0x0e060a020c040800, 0x0f070b030d050901},
	[VC_TBL] = TWICE(ALL_B(0x70)),
	[VC_NARROW_B] = {0x0e0c0a0806040200, UINT64_MAX},
	[VC_NARROW_H] = {0x0d0c090805040100, UINT64_MAX},
	[VC_NARROW_S] = {0x0b0a090803020100, UINT64_MAX},
	[VC_REV_2_B] = {0x0607040502030001, 0x0e0f0c0d0a0b0809},
	[VC_REV_4_B] = {0x0405060700010203, 0x0c0d0e0f08090a0b},
	[VC_REV_8_B] = {0x0001020304050607, 0x08090a0b0c0d0e0f},
	[VC_REV_4_H] = {0x0504070601000302, 0x0d0c0f0e09080b0a},
	[VC_REV_8_H] = {0x0100030205040706, 0x09080b0a0d0c0f0e},
	[VC_CRC32] = {0x1f7011641, 0x1db710641},
	[VC_SHA1_K0] = TWICE(ALL_S(UINT64_C(0x5a827999))),
	[VC_SHA1_K1] = TWICE(ALL_S(UINT64_C(0x6ed9eba1))),
	[VC_SHA1_K2] = TWICE(ALL_S(UINT64_C(0x8f1bbcdc))),
	[VC_HALF_LESS_S] = TWICE(ALL_S(0x3effffff)),
	[VC_HALF_LESS_D] = TWICE(0x3fdfffffffffffff),
	[VC_WHOLE_S] = TWICE(ALL_S(0x4affffff)),
	[VC_WHOLE_D] = TWICE(0x432fffffffffffff),
	[VC_1_S] = TWICE(ALL_S(0x3f800000)),
	[VC_1_D] = TWICE(0x3ff0000000000000),
	[VC_ABS_H] = TWICE(ALL_H(0x7fff)),
	[VC_MIN_NORMAL_H] = TWICE(ALL_H(0x0400)),
	[VC_INF_H] = TWICE(ALL_H(0x7c00)),
	[VC_ROUND_S] = TWICE(0x40000000),
};

/* For each byte of the result its place in each of three operands, or bit 7: another operand has it. */
static void three(uint8_t from[3][16], bool interleave, bool q, unsigned s, unsigned imm)
{
	unsigned n = (q ? 16u : 8u) >> s;

	memset(from, 0x80, 3 * 16);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = interleave ? imm * n + i : 3 * i + imm;
		unsigned reg = interleave ? at % 3 : at / n, element = interleave ? at / 3 : at % n;

		for (unsigned k = 0; k < 1u << s; k++)
			from[reg][(i << s) + k] = (uint8_t)((element << s) + k);
	}
}

static void threes(struct as *a)
{
	for (unsigned n = 0; n < 2 * 2 * 4 * 3; n++, a->at += 3 * 16)
		three((uint8_t(*)[16])a->at, n / 24, n / 12 & 1, n / 3 & 3, n % 3);
}

_Static_assert((int)IR_VOP_COUNT < (int)VSTUB_THUNK, "what_of() has eight bits for the operation");

/* Which operation, on which registers; 15 for operands that it has not. */
static uint64_t what_of(const struct ir_insn *op, int d, int a, int b, int c)
{
	return (uint64_t)op->aux << 32 | (uint64_t)(unsigned)c << 20 | (uint64_t)(unsigned)b << 16 |
	       (uint64_t)(unsigned)a << 12 | (uint64_t)(unsigned)d << 8 | op->imm;
}

static void vop_call(struct ir_env *env, union ir_v128 *xmm, uint64_t what)
{
	ir_vop_table[what & 0xff](env, &xmm[what >> 8 & 15], &xmm[what >> 12 & 15], &xmm[what >> 16 & 15],
				  &xmm[what >> 20 & 15], (uint32_t)(what >> 32));
}

/* Called with what in rax. Changes rax, rcx and rdx only, and the xmm register that is the result. */
static void thunk(struct jit *j)
{
	static const int8_t saved[] = {RSI, RDI, R8, R9, R10, R11};
	enum { FRAME = 16 * 16 + 8 * sizeof(saved) + 8 }; /* keeps rsp a multiple of 16 */
	struct as *a = &j->as;

	as_alu_ri(a, true, ALU_SUB, RSP, FRAME);
	for (int i = 0; i < 16; i++)
		v2m(j, V_MOVAPS_ST, i, RSP, 16 * i);
	for (unsigned i = 0; i < sizeof(saved); i++)
		as_rm(a, X_MOV_ST | X_W, saved[i], RSP, (int32_t)(256 + 8 * i));
	as_rm(a, X_LEA | X_W, RDI, RBP, -ENV_BIAS);
	as_mov_rr(a, RSI, RSP);
	as_mov_rr(a, RDX, RAX);
	as_call(a, (const void *)(uintptr_t)vop_call);
	for (int i = 0; i < 16; i++)
		v2m(j, V_MOVAPS, i, RSP, 16 * i);
	for (unsigned i = 0; i < sizeof(saved); i++)
		as_rm(a, X_MOV | X_W, saved[i], RSP, (int32_t)(256 + 8 * i));
	as_alu_ri(a, true, ALU_ADD, RSP, FRAME);
	as_8(a, 0xc3);
}

void vec_shared(struct jit *j)
{
	while (as_here(&j->as) & 15)
		as_8(&j->as, 0xcc);
	j->consts = as_here(&j->as);
	for (unsigned i = 0; i < VC_COUNT; i++) {
		as_64(&j->as, constants[i][0]);
		as_64(&j->as, constants[i][1]);
	}
	threes(&j->as);
	j->vop_thunk = as_here(&j->as);
	thunk(j);
	j->fp_thunk = as_here(&j->as);
	vec_fp_thunk(j);
}

static void call_at(struct jit *j, uint32_t at)
{
	as_8(&j->as, 0xe8);
	as_32(&j->as, 0);
	as_link(&j->as, as_here(&j->as), at);
}

static void call_thunk(struct jit *j, uint64_t what)
{
	as_mov_ri(&j->as, RAX, what);
	call_at(j, j->vop_thunk);
}

static int operand(struct jit *j, uint16_t n)
{
	return n ? vreg_use(j, n) : T1;
}

void vec_fallback(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	int a = operand(j, op->a), b = operand(j, op->b), c = operand(j, op->c), d = vreg_def(j, op->dst, 4);

	call_thunk(j, what_of(op, d, a, b, c));
}

static struct vstub *new_stub(struct jit *j, enum x86_cc cc)
{
	struct vstub *s = &j->vstubs[j->n_vstubs < VSTUBS ? j->n_vstubs++ : 0];

	*s = (struct vstub){.from = as_jcc(&j->as, cc)};
	return s;
}

static int slow_operand(const struct jit *j, uint16_t n)
{
	return n && j->v[n].reg != NO_REG ? j->v[n].reg : T1;
}

void vec_slow_if(struct jit *j, enum x86_cc cc, int d)
{
	const struct ir_insn *op = vop_at(j);

	new_stub(j, cc)->what = what_of(op, d, slow_operand(j, op->a), slow_operand(j, op->b), slow_operand(j, op->c));
}

void vec_saturated_if(struct jit *j, enum x86_cc cc)
{
	new_stub(j, cc)->what = VSTUB_QC;
}

void vec_thunk_if(struct jit *j, enum x86_cc cc, uint32_t at)
{
	new_stub(j, cc)->what = VSTUB_THUNK | (uint64_t)at << 8;
}

void vec_rejoin(struct jit *j)
{
	for (unsigned i = j->n_vstubs; i-- > 0 && !j->vstubs[i].back;)
		j->vstubs[i].back = as_here(&j->as);
}

void vec_stubs(struct jit *j)
{
	struct as *a = &j->as;

	for (unsigned i = 0; i < j->n_vstubs && as_has_room(a); i++) {
		const struct vstub *s = &j->vstubs[i];

		as_land(a, s->from);
		if (s->what == VSTUB_QC)
			as_alu_mi(a, false, ALU_OR, RBP, ENV(fpsr), (int32_t)IR_FPSR_QC);
		else if ((s->what & 0xff) == VSTUB_THUNK)
			call_at(j, (uint32_t)(s->what >> 8));
		else
			call_thunk(j, s->what);
		as_link(a, as_jmp(a), s->back);
	}
}

void vec_op(struct jit *j)
{
	if (j->n_vstubs + 8 > VSTUBS || !(vec_int_op(j) || vec_perm_op(j) || vec_fp_op(j) || vec_crypto_op(j)))
		vec_fallback(j);
}

/* ---- guest registers */

void vec_get(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);

	vreg_lose_home(j, op->x);
	vreg_is_home(j, op->dst, op->x);
}

void vec_put(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	int r;

	if (j->homev[op->x] == op->a)
		return;
	r = vreg_use(j, op->a);
	vreg_lose_home(j, op->x);
	v2m(j, V_MOVAPS_ST, r, RBP, ENV_V(op->x));
	if (op->x < VPINS)
		v_mov(j, op->x, r);
	vreg_is_home(j, op->a, op->x);
}

/* ---- vectors made of integers */

static bool x_const(const struct jit *j, uint16_t n, uint64_t *v)
{
	*v = n ? j->blk->ops[j->x[n].def].imm : 0;
	return j->x[n].cst;
}

/* Is vector n a constant? */
bool vec_is_const(const struct jit *j, uint16_t n, uint64_t *lo, uint64_t *hi)
{
	const struct ir_insn *op = &j->blk->ops[j->v[n].def];

	*hi = 0;
	if (!n || (op->op != IR_v_from_x && op->op != IR_v_from_xx))
		return false;
	return x_const(j, op->a, lo) && (op->op == IR_v_from_x || x_const(j, op->b, hi));
}

void vec_from_x(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	bool two = op->op == IR_v_from_xx;
	uint64_t lo, hi;
	int d;

	if (vec_is_const(j, op->dst, &lo, &hi)) {
		d = vreg_def(j, op->dst, hi ? 4 : lo >> 32 ? 3 : 2);
		if (!lo && !hi) {
			v_zero(j, d);
		} else if (lo == UINT64_MAX && hi == UINT64_MAX) {
			v_ones(j, d);
		} else {
			as_mov_ri(&j->as, RAX, lo);
			v2(j, V_MOVD | V_W, d, RAX);
			if (two && lo == hi) {
				v3(j, V_PUNPCKLQDQ, d, d, d);
			} else if (hi) {
				as_mov_ri(&j->as, RAX, hi);
				v3xi(j, V_PINSRD | V_W, d, d, RAX, 1);
			}
		}
		return;
	}
	d = vreg_def(j, op->dst, two ? 4 : 3);
	v2(j, V_MOVD | V_W, d, reg_use(j, op->a));
	if (two)
		v3xi(j, V_PINSRD | V_W, d, d, reg_use(j, op->b), 1);
}

void vec_to_x(struct jit *j)
{
	static const uint32_t zero[] = {X_MOVZX8, X_MOVZX16, X_MOV, X_MOV | X_W};
	static const uint32_t sign[] = {X_MOVSX8 | X_W, X_MOVSX16 | X_W, X_MOVSXD, X_MOV | X_W};
	const struct ir_insn *op = vop_at(j);
	unsigned size = op->aux & 3, part = j->v[op->a].part;
	bool sext = op->aux >> 4 & 1;
	int32_t at;
	int d, r = j->v[op->a].reg;

	if (r == NO_REG || (unsigned)(op->x + 1) << size > 1u << part) {
		d = reg_def(j, op->dst);
		vreg_mem(j, op->a, &at);
		as_rm(&j->as, (sext ? sign : zero)[size], d, RBP, at + (int32_t)(op->x << size));
		return;
	}
	d = reg_def(j, op->dst);
	if (op->x == 0 && size >= 2) {
		v2(j, V_MOVD_TO_X | (size == 3 ? V_W : 0), r, d);
	} else {
		static const uint32_t extract[] = {V_PEXTRB, V_PEXTRW, V_PEXTRD, V_PEXTRD | V_W};

		v2i(j, extract[size], r, d, op->x);
	}
	if (sext && size < 3)
		as_rr(&j->as, sign[size] | (size == 0 ? X_BYTE : 0), d, d);
}

void vec_ins_x(struct jit *j)
{
	static const uint32_t insert[] = {V_PINSRB, V_PINSRW, V_PINSRD, V_PINSRD | V_W};
	const struct ir_insn *op = vop_at(j);
	int a = vreg_use(j, op->a), x = reg_use(j, op->b), d = vreg_def(j, op->dst, 4);

	v3xi(j, insert[op->aux & 3], d, a, x, op->x);
}

/* ---- memory. A register for the result is there before the address is looked up. */

static void at_place(struct jit *j, unsigned op, int reg, struct place at)
{
	if (at.index == NO_REG)
		v2m(j, op, reg, RAX, at.disp);
	else
		asv_rax_index(&j->as, op, has_avx(j), reg, at.index, at.disp);
}

void vec_load(struct jit *j, int d, struct place at, unsigned size)
{
	static const uint32_t zx[] = {X_MOVZX8, X_MOVZX16};

	switch (size) {
	case 4: at_place(j, V_MOVUPS, d, at); break;
	case 3: at_place(j, V_MOVQ, d, at); break;
	case 2: at_place(j, V_MOVSS_LD, d, at); break;
	default:
		if (at.index == NO_REG)
			as_rm(&j->as, zx[size], RDX, RAX, at.disp);
		else
			as_rx1(&j->as, zx[size], RDX, RAX, at.index, at.disp);
		v2(j, V_MOVD, d, RDX);
		break;
	}
}

void vec_store(struct jit *j, int s, struct place at, unsigned size)
{
	switch (size) {
	case 4: at_place(j, V_MOVUPS_ST, s, at); break;
	case 3: at_place(j, V_MOVQ_ST, s, at); break;
	case 2: at_place(j, V_MOVSS_ST, s, at); break;
	default:
		at_place(j, size ? V_PEXTRW : V_PEXTRB, s, at);
		as_8(&j->as, 0);
		break;
	}
}
