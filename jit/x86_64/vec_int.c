/* SPDX-License-Identifier: MIT */
/*
 * Integer vector operations on host instructions. What is not here (some saturating forms, carry-less products of bytes)
 * calls its definition in ir/vec.c.
 *
 * A 64-bit vector is computed in 128 bits and its upper half cleared, unless both operands' are known to be zero and
 * the operation keeps it so.
 */
#include "vgen.h"

struct vx {
	unsigned s, bits, imm;
	bool q, u;
	int a, b, c, d;
	bool clean; /* upper halves of all operands are zero */
};

static int take(struct jit *j, uint16_t n, bool q, bool *clean)
{
	bool c;
	int r;

	if (!n)
		return T1;
	if (!q) {
		r = vreg_use_low(j, n, 3, &c);
		*clean = *clean && c;
		return r;
	}
	return vreg_use(j, n);
}

/* The operands and the result. Wide operations and those that gather elements look at whole registers: q. */
static struct vx start(struct jit *j, bool q)
{
	const struct ir_insn *op = vop_at(j);
	unsigned s = ir_vd_size(op->aux);
	struct vx x = {
		.s = s, .bits = 8u << s, .imm = ir_vd_imm(op->aux), .q = q, .u = op->aux & IR_VD_U, .clean = true};

	x.a = take(j, op->a, q, &x.clean);
	x.b = take(j, op->b, q, &x.clean);
	x.c = take(j, op->c, q, &x.clean);
	x.d = vreg_def(j, op->dst, q ? 4 : 3);
	return x;
}

static struct vx start_same(struct jit *j)
{
	return start(j, (vop_at(j)->aux & (IR_VD_Q | IR_VD_SCALAR)) == IR_VD_Q);
}

static bool done(struct jit *j, const struct vx *x, bool keeps_zero)
{
	if (!x->q && !(keeps_zero && x->clean))
		v_clear_above(j, 3, x->d);
	return true;
}

/* v in all doublewords */
static void broadcast(struct jit *j, int d, uint64_t v)
{
	as_mov_ri(&j->as, RAX, v);
	v2(j, V_MOVD | V_W, d, RAX);
	v3(j, V_PUNPCKLQDQ, d, d, d);
}

static uint64_t in_all(unsigned s, uint64_t v)
{
	static const uint64_t ones[] = {0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1};

	return (v & ir_vmask(s)) * ones[s];
}

static void invert(struct jit *j, int d, int tmp)
{
	v_ones(j, tmp);
	v3(j, V_PXOR, d, d, tmp);
}

/* ---- opcodes by element size; 0: none */

static const uint32_t padd[] = {VO(0xfc), VO(0xfd), VO(0xfe), VO(0xd4)};
static const uint32_t psub[] = {VO(0xf8), VO(0xf9), VO(0xfa), VO(0xfb)};
static const uint32_t pcmpeq[] = {V_PCMPEQB, VO(0x75), V_PCMPEQD, V_PCMPEQQ};
static const uint32_t pcmpgt[] = {V_PCMPGTB, VO(0x65), V_PCMPGTD, V_PCMPGTQ};
static const uint32_t pmaxs[] = {VO38(0x3c), VO(0xee), VO38(0x3d), 0};
static const uint32_t pmins[] = {VO38(0x38), VO(0xea), VO38(0x39), 0};
static const uint32_t pmaxu[] = {VO(0xde), VO38(0x3e), VO38(0x3f), 0};
static const uint32_t pminu[] = {VO(0xda), VO38(0x3a), VO38(0x3b), 0};
static const uint32_t pabs[] = {VO38(0x1c), VO38(0x1d), VO38(0x1e), VO38(0x1f) | V_W | V_EVEX};
static const uint32_t pmovsx[] = {VO38(0x20), VO38(0x23), VO38(0x25)};
static const uint32_t pmovzx[] = {VO38(0x30), VO38(0x33), VO38(0x35)};
static const uint32_t shift_op[] = {0, V_SHIFT_W, V_SHIFT_D, V_SHIFT_Q};
static const uint8_t sign_const[] = {VC_SIGN_B, VC_SIGN_H, VC_SIGN_S, VC_SIGN_D};

static uint32_t max_op(const struct vx *x)
{
	return (x->u ? pmaxu : pmaxs)[x->s];
}
static uint32_t min_op(const struct vx *x)
{
	return (x->u ? pminu : pmins)[x->s];
}

/* ---- shifts. Amounts up to the element size. */

static void shift_left(struct jit *j, unsigned s, int d, int a, unsigned n, int tmp)
{
	if (s) {
		v_shift(j, shift_op[s], VSH_SLL, d, a, n);
		return;
	}
	v_shift(j, V_SHIFT_W, VSH_SLL, d, a, n);
	broadcast(j, tmp, in_all(0, 0xffu << n));
	v3(j, V_PAND, d, d, tmp);
}

/* Changes T0 and T1, one of which d may be if a is not. */
static void shift_right(struct jit *j, unsigned s, bool u, int d, int a, unsigned n)
{
	if (s && (u || s < 3)) {
		v_shift(j, shift_op[s], u ? VSH_SRL : VSH_SRA, d, a, n);
	} else if (s == 3 && has_avx512(j)) {
		v_shift(j, V_SHIFT_D | V_W | V_EVEX, VSH_SRA, d, a, n < 64 ? n : 63);
	} else if (s == 3) {
		v_shift(j, V_SHIFT_D, VSH_SRA, T1, a, 31);
		v2i(j, V_PSHUFD, T1, T1, 0xf5);
		v_shift(j, V_SHIFT_Q, VSH_SRL, d, a, n);
		v_shift(j, V_SHIFT_Q, VSH_SLL, T1, T1, 64 - n);
		v3(j, V_POR, d, d, T1);
	} else if (u) {
		v_shift(j, V_SHIFT_W, VSH_SRL, d, a, n);
		broadcast(j, T1, in_all(0, 0xffu >> n));
		v3(j, V_PAND, d, d, T1);
	} else { /* bytes: odd and even ones by themselves */
		v_shift(j, V_SHIFT_W, VSH_SRA, T1, a, n);
		v_shift(j, V_SHIFT_W, VSH_SLL, d, a, 8);
		v_shift(j, V_SHIFT_W, VSH_SRA, d, d, 8 + n);
		v3c(j, V_PAND, d, d, VC_LOW_B);
		v_shift(j, V_SHIFT_W, VSH_SRL, T1, T1, 8);
		v_shift(j, V_SHIFT_W, VSH_SLL, T1, T1, 8);
		v3(j, V_POR, d, d, T1);
	}
}

static bool shift_imm(struct jit *j, bool acc)
{
	const struct ir_insn *op = vop_at(j);
	bool rnd = op->aux & IR_VD_RND;
	struct vx x;

	if (rnd && ir_vd_size(op->aux) == 0)
		return false;
	x = start_same(j);
	shift_right(j, x.s, x.u, x.d, x.a, x.imm);
	if (rnd) { /* the last bit that is shifted out */
		v_shift(j, shift_op[x.s], VSH_SLL, T0, x.a, x.bits - x.imm);
		v_shift(j, shift_op[x.s], VSH_SRL, T0, T0, x.bits - 1);
		v3(j, padd[x.s], x.d, x.d, T0);
	}
	if (acc)
		v3(j, padd[x.s], x.d, x.d, x.c);
	return done(j, &x, true);
}

static bool shift_insert(struct jit *j, bool left)
{
	struct vx x = start_same(j);
	unsigned keep = x.bits - x.imm;

	if (x.s == 0) {
		uint64_t mask = left ? 0xffu << x.imm & 0xff : 0xffu >> x.imm;

		v_shift(j, V_SHIFT_W, left ? VSH_SLL : VSH_SRL, T0, x.a, x.imm);
		broadcast(j, T1, in_all(0, mask));
		v3(j, V_PAND, T0, T0, T1);
		v3(j, V_PANDN, x.d, T1, x.c);
	} else if (left) {
		v_shift(j, shift_op[x.s], VSH_SLL, T0, x.a, x.imm);
		v_shift(j, shift_op[x.s], VSH_SLL, x.d, x.c, keep);
		v_shift(j, shift_op[x.s], VSH_SRL, x.d, x.d, keep);
	} else {
		v_shift(j, shift_op[x.s], VSH_SRL, T0, x.a, x.imm);
		v_shift(j, shift_op[x.s], VSH_SRL, x.d, x.c, keep);
		v_shift(j, shift_op[x.s], VSH_SLL, x.d, x.d, keep);
	}
	v3(j, V_POR, x.d, x.d, T0);
	return done(j, &x, true);
}

/* T1 shifted to the right by one and rounded: its last bit is added. Changes d. */
static void shift_last(struct jit *j, const struct vx *x)
{
	if (x->u || x->s < 3)
		v_shift(j, shift_op[x->s], x->u ? VSH_SRL : VSH_SRA, x->d, T1, 1);
	else
		v_shift(j, V_SHIFT_D | V_W | V_EVEX, VSH_SRA, x->d, T1, 1);
	v_shift(j, shift_op[x->s], VSH_SLL, T1, T1, x->bits - 1);
	v_shift(j, shift_op[x->s], VSH_SRL, T1, T1, x->bits - 1);
	v3(j, padd[x->s], T1, T1, x->d);
}

/*
 * Shifts by a register: the low byte of each element of b, signed, negative to the right. Each way by its own amount
 * modulo 256, which shifts everything out if it is the other way that is meant; an amount of 0 is good for both. Rounding, by
 * one less to the right, which everything is shifted out by for an amount of 0, and then by one with the bit that goes.
 */
static bool shift_reg(struct jit *j)
{
	static const uint32_t left[] = {0, VO38(0x12) | V_W | V_EVEX, VO38(0x47), VO38(0x47) | V_W};
	static const uint32_t logical[] = {0, VO38(0x10) | V_W | V_EVEX, VO38(0x45), VO38(0x45) | V_W};
	static const uint32_t arithmetic[] = {0, VO38(0x11) | V_W | V_EVEX, VO38(0x46), VO38(0x46) | V_W | V_EVEX};
	const struct ir_insn *op = vop_at(j);
	unsigned s = ir_vd_size(op->aux);
	bool u = op->aux & IR_VD_U, rnd = op->aux & IR_VD_RND;
	struct vx x;

	if (s == 0 || !has_avx(j) || ((s == 1 || (s == 3 && !u)) && !has_avx512(j)))
		return false;
	x = start_same(j);
	v_shift(j, shift_op[s], VSH_SLL, T0, x.b, x.bits - 8);
	if (rnd) {
		v_ones(j, T1);
		v3(j, V_PXOR, T1, T1, T0);
	} else {
		v_zero(j, T1);
		v3(j, psub[s], T1, T1, T0);
	}
	v_shift(j, shift_op[s], VSH_SRL, T1, T1, x.bits - 8);
	if (rnd) {
		v3(j, (u ? logical : arithmetic)[s], T1, x.a, T1);
		shift_last(j, &x);
		if (u) {
			v_shift(j, shift_op[s], VSH_SRL, T0, T0, x.bits - 8);
			v3(j, left[s], x.d, x.a, T0);
			v3(j, V_POR, x.d, x.d, T1);
			return done(j, &x, true);
		}
	} else if (u) {
		v_shift(j, shift_op[s], VSH_SRL, T0, T0, x.bits - 8);
		v3(j, left[s], x.d, x.a, T0);
		v3(j, logical[s], T1, x.a, T1);
		v3(j, V_POR, x.d, x.d, T1);
		return done(j, &x, true);
	}
	if (!rnd)
		v3(j, arithmetic[s], T1, x.a, T1);
	v_shift(j, shift_op[s], VSH_SRL, x.d, T0, x.bits - 8);
	v3(j, left[s], x.d, x.a, x.d);
	shift_right(j, s, false, T0, T0, x.bits - 1);
	v3(j, V_PBLENDVB, x.d, x.d, T1);
	as_8(&j->as, T0 << 4);
	return done(j, &x, true);
}

/* ---- arithmetic on equal elements */

static bool same(struct jit *j, uint32_t host, bool keeps_zero)
{
	struct vx x;

	if (!host)
		return false;
	x = start_same(j);
	v3(j, host, x.d, x.a, x.b);
	return done(j, &x, keeps_zero);
}

static void multiply(struct jit *j, unsigned s, int d, int a, int b)
{
	if (s) {
		v3(j, s == 1 ? V_PMULLW : V_PMULLD, d, a, b);
		return;
	}
	v_shift(j, V_SHIFT_W, VSH_SRL, T0, a, 8);
	v_shift(j, V_SHIFT_W, VSH_SRL, T1, b, 8);
	v3(j, V_PMULLW, T0, T0, T1);
	v_shift(j, V_SHIFT_W, VSH_SLL, T0, T0, 8);
	v3(j, V_PMULLW, d, a, b);
	v3c(j, V_PAND, d, d, VC_LOW_B);
	v3(j, V_POR, d, d, T0);
}

static bool mul(struct jit *j, bool acc)
{
	bool neg = vop_at(j)->aux & IR_VD_NEG;
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3)
		return false;
	x = start_same(j);
	if (!acc) {
		multiply(j, x.s, x.d, x.a, x.b);
	} else if (neg) {
		multiply(j, x.s, T1, x.a, x.b);
		v3(j, psub[x.s], x.d, x.c, T1);
	} else {
		multiply(j, x.s, x.d, x.a, x.b);
		v3(j, padd[x.s], x.d, x.d, x.c);
	}
	return done(j, &x, true);
}

static void distance(struct jit *j, const struct vx *x, int d)
{
	v3(j, max_op(x), d, x->a, x->b);
	v3(j, min_op(x), T0, x->a, x->b);
	v3(j, psub[x->s], d, d, T0);
}

static bool abd(struct jit *j, bool acc)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3)
		return false;
	x = start_same(j);
	distance(j, &x, x.d);
	if (acc)
		v3(j, padd[x.s], x.d, x.d, x.c);
	return done(j, &x, true);
}

/* Unsigned bytes and halfwords have an average that rounds up; all else is made of common bits and different ones. */
static bool halving_add(struct jit *j)
{
	static const uint32_t avg[] = {VO(0xe0), VO(0xe3)};
	const struct ir_insn *op = vop_at(j);
	bool rnd = op->aux & IR_VD_RND, u = op->aux & IR_VD_U;
	struct vx x;

	if (ir_vd_size(op->aux) == 3 || (ir_vd_size(op->aux) == 0 && !u))
		return false;
	x = start_same(j);
	if (x.s < 2 && u) {
		v3(j, avg[x.s], x.d, x.a, x.b);
		if (!rnd) {
			v3(j, V_PXOR, T0, x.a, x.b);
			v3c(j, V_PAND, T0, T0, x.s ? VC_ONE_H : VC_ONE_B);
			v3(j, psub[x.s], x.d, x.d, T0);
		}
		return done(j, &x, true);
	}
	v3(j, V_PXOR, T0, x.a, x.b);
	v_shift(j, shift_op[x.s], u ? VSH_SRL : VSH_SRA, T0, T0, 1);
	v3(j, rnd ? V_POR : V_PAND, x.d, x.a, x.b);
	v3(j, (rnd ? psub : padd)[x.s], x.d, x.d, T0);
	return done(j, &x, true);
}

/* Words and doublewords: what overflows goes the slow way. */
static bool saturating_words(struct jit *j, bool sub)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3 && vop_at(j)->aux & IR_VD_U)
		return false;
	x = start_same(j);
	v3(j, (sub ? psub : padd)[x.s], x.d, x.a, x.b);
	if (x.u) { /* a sum that is less than an operand; a difference of one that is less than the other */
		v3(j, pmaxu[x.s], T0, x.a, sub ? x.b : x.d);
		v3(j, V_PXOR, T0, T0, sub ? x.a : x.d);
		if (!x.q)
			v_clear_above(j, 3, T0);
		v2(j, V_PTEST, T0, T0);
	} else { /* the sign is neither operand's; or operands differ and it is not the first one's */
		v3(j, V_PXOR, T0, x.a, sub ? x.b : x.d);
		v3(j, V_PXOR, T1, sub ? x.a : x.b, x.d);
		v3(j, V_PAND, T0, T0, T1);
		if (!x.q)
			v_clear_above(j, 3, T0);
		v2(j, V_MOVMSKPS | (x.s == 3 ? V_66 : 0), RAX, T0);
		as_rr(&j->as, X_TEST, RAX, RAX);
	}
	done(j, &x, true);
	vec_slow_if(j, CC_NE, x.d);
	vec_rejoin(j);
	return true;
}

/* Where the saturated result is not the plain one, FPSR.QC is set. */
static bool saturating(struct jit *j, bool sub)
{
	static const uint32_t host[2][2][2] = {{{VO(0xec), VO(0xed)}, {VO(0xdc), VO(0xdd)}},
					       {{VO(0xe8), VO(0xe9)}, {VO(0xd8), VO(0xd9)}}};
	const struct ir_insn *op = vop_at(j);
	struct vx x;

	if (op->aux & IR_VD_SCALAR)
		return false;
	if (ir_vd_size(op->aux) > 1)
		return saturating_words(j, sub);
	x = start_same(j);
	v3(j, host[sub][x.u][x.s], x.d, x.a, x.b);
	v3(j, (sub ? psub : padd)[x.s], T0, x.a, x.b);
	v3(j, V_PXOR, T0, T0, x.d);
	if (!x.q)
		v_clear_above(j, 3, T0);
	v2(j, V_PTEST, T0, T0);
	vec_saturated_if(j, CC_NE);
	vec_rejoin(j);
	return done(j, &x, true);
}

/* High halves of doubled products of words: even ones in even places, odd ones in odd ones. */
static void doubled_words(struct jit *j, const struct vx *x, bool rnd)
{
	v3(j, V_PMULDQ, T0, x->a, x->b);
	v_shift(j, V_SHIFT_Q, VSH_SRL, x->d, x->a, 32);
	v_shift(j, V_SHIFT_Q, VSH_SRL, T1, x->b, 32);
	v3(j, V_PMULDQ, T1, x->d, T1);
	if (rnd) {
		v3c(j, padd[3], T0, T0, VC_ROUND_S);
		v3c(j, padd[3], T1, T1, VC_ROUND_S);
	}
	v_shift(j, V_SHIFT_Q, VSH_SRL, T0, T0, 31);
	v_shift(j, V_SHIFT_Q, VSH_SLL, T1, T1, 1);
	v3i(j, V_PBLENDW, x->d, T0, T1, 0xcc);
}

/* SQDMULH, SQRDMULH. The only product that saturates gives what no other gives. */
static bool doubling_mul_high(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	unsigned s = ir_vd_size(op->aux);
	bool rnd = op->aux & IR_VD_RND;
	struct vx x;

	if (s < 1 || s > 2 || op->aux & IR_VD_SCALAR)
		return false;
	x = start_same(j);
	if (s == 2) {
		doubled_words(j, &x, rnd);
	} else if (rnd) {
		v3(j, VO38(0x0b), x.d, x.a, x.b);
	} else {
		v3(j, V_PMULLW, T0, x.a, x.b);
		v3(j, VO(0xe5), x.d, x.a, x.b); /* pmulhw */
		v_shift(j, V_SHIFT_W, VSH_SRL, T0, T0, 15);
		v_shift(j, V_SHIFT_W, VSH_SLL, x.d, x.d, 1);
		v3(j, V_POR, x.d, x.d, T0);
	}
	done(j, &x, true);
	v3c(j, pcmpeq[s], T0, x.d, s == 2 ? VC_SIGN_S : VC_SIGN_H);
	v2(j, V_PTEST, T0, T0);
	vec_slow_if(j, CC_NE, x.d);
	vec_rejoin(j);
	return true;
}

/* ---- comparisons */

static bool compare_equal(struct jit *j)
{
	return same(j, pcmpeq[ir_vd_size(vop_at(j)->aux)], false);
}

static bool compare_greater(struct jit *j)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3 && !j->has_sse42)
		return false;
	x = start_same(j);
	if (!x.u) {
		v3(j, pcmpgt[x.s], x.d, x.a, x.b);
		return done(j, &x, true);
	}
	v3c(j, V_PXOR, T0, x.b, sign_const[x.s]);
	v3c(j, V_PXOR, x.d, x.a, sign_const[x.s]);
	v3(j, pcmpgt[x.s], x.d, x.d, T0);
	return done(j, &x, true);
}

static bool compare_greater_equal(struct jit *j)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3 && !j->has_sse42)
		return false;
	x = start_same(j);
	if (x.s < 3) {
		v3(j, max_op(&x), x.d, x.a, x.b);
		v3(j, pcmpeq[x.s], x.d, x.d, x.a);
	} else {
		v_mov(j, T0, x.a);
		v_mov(j, x.d, x.b);
		if (x.u) {
			v3c(j, V_PXOR, T0, T0, VC_SIGN_D);
			v3c(j, V_PXOR, x.d, x.d, VC_SIGN_D);
		}
		v3(j, V_PCMPGTQ, x.d, x.d, T0);
		invert(j, x.d, T1);
	}
	return done(j, &x, false);
}

static bool compare_bits(struct jit *j)
{
	struct vx x = start_same(j);

	v3(j, V_PAND, x.d, x.a, x.b);
	v_zero(j, T0);
	v3(j, pcmpeq[x.s], x.d, x.d, T0);
	invert(j, x.d, T0);
	return done(j, &x, false);
}

/* ---- one operand */

static bool negate(struct jit *j)
{
	struct vx x = start_same(j);

	v_zero(j, x.d);
	v3(j, psub[x.s], x.d, x.d, x.a);
	return done(j, &x, true);
}

static bool absolute(struct jit *j)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) == 3 && !has_avx512(j))
		return false;
	x = start_same(j);
	v2(j, pabs[x.s], x.d, x.a);
	return done(j, &x, true);
}

static bool count_leading_zeros(struct jit *j)
{
	struct vx x;

	if (ir_vd_size(vop_at(j)->aux) != 2 || !has_avx512(j))
		return false;
	x = start_same(j);
	v2(j, VO38(0x44) | V_EVEX, x.d, x.a);
	return done(j, &x, false);
}

/* d = low[a's low nibbles] op high[a's high nibbles] */
static bool by_nibbles(struct jit *j, enum vconst low, enum vconst high, uint32_t op)
{
	struct vx x = start_same(j);

	v3c(j, V_PAND, T0, x.a, VC_NIBBLE);
	v_shift(j, V_SHIFT_W, VSH_SRL, T1, x.a, 4);
	v3c(j, V_PAND, T1, T1, VC_NIBBLE);
	v2c(j, V_MOVAPS, x.d, low);
	v3(j, V_PSHUFB, x.d, x.d, T0);
	v2c(j, V_MOVAPS, T0, high);
	v3(j, V_PSHUFB, T0, T0, T1);
	v3(j, op, x.d, x.d, T0);
	return done(j, &x, true);
}

/* ---- bits of the whole register */

static bool select_bits(struct jit *j)
{
	struct vx x = start_same(j);

	if (has_avx512(j)) {
		v_mov(j, x.d, x.a);
		v3i(j, V_PTERNLOGD, x.d, x.b, x.c, 0xca);
		return done(j, &x, true);
	}
	v3(j, V_PANDN, T0, x.a, x.c);
	v3(j, V_PAND, x.d, x.a, x.b);
	v3(j, V_POR, x.d, x.d, T0);
	return done(j, &x, true);
}

static bool bits(struct jit *j, unsigned id)
{
	struct vx x = start_same(j);

	switch (id) {
	case IR_VOP_vmov: v_mov(j, x.d, x.a); return done(j, &x, true);
	case IR_VOP_vbic: v3(j, V_PANDN, x.d, x.b, x.a); return done(j, &x, true);
	case IR_VOP_vorn:
		v_ones(j, T0);
		v3(j, V_PXOR, T0, T0, x.b);
		v3(j, V_POR, x.d, x.a, T0);
		break;
	default: /* vnot */
		v_ones(j, x.d);
		v3(j, V_PXOR, x.d, x.d, x.a);
		break;
	}
	return done(j, &x, false);
}

/* ---- widening. Results are whole registers. */

static void extend(struct jit *j, const struct vx *x, int d, int a)
{
	if (vop_at(j)->aux & IR_VD_HI) {
		v2i(j, V_PSHUFD, d, a, 0xee);
		a = d;
	}
	v2(j, (x->u ? pmovzx : pmovsx)[x->s], d, a);
}

static struct vx start_wide(struct jit *j)
{
	return start(j, true);
}

static bool shift_long(struct jit *j)
{
	struct vx x = start_wide(j);

	extend(j, &x, x.d, x.a);
	if (x.imm)
		v_shift(j, shift_op[x.s + 1], VSH_SLL, x.d, x.d, x.imm);
	return true;
}

static bool add_long(struct jit *j, const uint32_t *host, bool wide)
{
	struct vx x = start_wide(j);

	extend(j, &x, T0, x.b);
	if (wide) {
		v3(j, host[x.s + 1], x.d, x.a, T0);
	} else {
		extend(j, &x, x.d, x.a);
		v3(j, host[x.s + 1], x.d, x.d, T0);
	}
	return true;
}

static bool abd_long(struct jit *j, bool acc)
{
	struct vx x = start_wide(j);

	distance(j, &x, T1);
	if (vop_at(j)->aux & IR_VD_HI)
		v2i(j, V_PSHUFD, T1, T1, 0xee);
	v2(j, pmovzx[x.s], x.d, T1);
	if (acc)
		v3(j, padd[x.s + 1], x.d, x.d, x.c);
	return true;
}

/* T0 = the products; changes T1 */
static void products(struct jit *j, const struct vx *x)
{
	bool hi = vop_at(j)->aux & IR_VD_HI;

	if (x->s == 2) { /* PMULUDQ and PMULDQ take the even words */
		v2i(j, V_PSHUFD, T0, x->a, hi ? 0xfa : 0x50);
		v2i(j, V_PSHUFD, T1, x->b, hi ? 0xfa : 0x50);
		v3(j, x->u ? V_PMULUDQ : V_PMULDQ, T0, T0, T1);
	} else {
		extend(j, x, T0, x->a);
		extend(j, x, T1, x->b);
		v3(j, x->s ? V_PMULLD : V_PMULLW, T0, T0, T1);
	}
}

/* SQDMULL, SQDMLAL, SQDMLSL. What saturates goes the slow way: the one product that gives what no other gives, and sums that overflow. */
static bool doubling_mul_long(struct jit *j, bool acc)
{
	bool neg = vop_at(j)->aux & IR_VD_NEG, d;
	struct vx x;

	if (vop_at(j)->aux & IR_VD_SCALAR)
		return false;
	x = start_wide(j);
	d = x.s == 2;
	products(j, &x);
	v3(j, padd[x.s + 1], T0, T0, T0);
	v3c(j, d ? V_PCMPEQQ : V_PCMPEQD, T1, T0, d ? VC_SIGN_D : VC_SIGN_S);
	v2(j, V_MOVMSKPS, RAX, T1);
	if (!acc) {
		v_mov(j, x.d, T0);
	} else {
		v3(j, (neg ? psub : padd)[x.s + 1], x.d, x.c, T0);
		v3(j, V_PXOR, T1, x.c, x.d);
		v3(j, V_PXOR, T0, T0, neg ? x.c : x.d);
		v3(j, V_PAND, T0, T0, T1);
		v2(j, V_MOVMSKPS | (d ? V_66 : 0), RCX, T0);
		as_rr(&j->as, X_OR, RAX, RCX);
	}
	as_rr(&j->as, X_TEST, RAX, RAX);
	vec_slow_if(j, CC_NE, x.d);
	vec_rejoin(j);
	return true;
}

static bool mul_long(struct jit *j, bool acc)
{
	bool neg = vop_at(j)->aux & IR_VD_NEG;
	struct vx x = start_wide(j);

	products(j, &x);
	if (!acc)
		v_mov(j, x.d, T0);
	else
		v3(j, (neg ? psub : padd)[x.s + 1], x.d, x.c, T0);
	return true;
}

/* ---- narrowing, from T0 */

static void narrow(struct jit *j, const struct vx *x)
{
	enum vconst how = x->s == 0 ? VC_NARROW_B : x->s == 1 ? VC_NARROW_H : VC_NARROW_S;

	if (vop_at(j)->aux & IR_VD_HI) {
		v3c(j, V_PSHUFB, T0, T0, how);
		v3(j, V_PUNPCKLQDQ, x->d, x->c, T0);
	} else {
		v3c(j, V_PSHUFB, x->d, T0, how);
	}
}

static struct vx start_narrow(struct jit *j)
{
	struct vx x = start(j, true);

	j->v[vop_at(j)->dst].clean = vop_at(j)->aux & IR_VD_HI ? 4 : 3;
	return x;
}

static bool shift_narrow(struct jit *j)
{
	struct vx x = start_narrow(j);
	int from = x.a;

	if (vop_at(j)->aux & IR_VD_RND && x.imm) {
		broadcast(j, T0, in_all(x.s + 1, (uint64_t)1 << (x.imm - 1)));
		v3(j, padd[x.s + 1], T0, T0, x.a);
		from = T0;
	}
	v_shift(j, shift_op[x.s + 1], VSH_SRL, T0, from, x.imm);
	narrow(j, &x);
	return true;
}

static bool high_narrow(struct jit *j, const uint32_t *host)
{
	struct vx x = start_narrow(j);

	v3(j, host[x.s + 1], T0, x.a, x.b);
	if (vop_at(j)->aux & IR_VD_RND) {
		broadcast(j, T1, in_all(x.s + 1, (uint64_t)1 << (x.bits - 1)));
		v3(j, padd[x.s + 1], T0, T0, T1);
	}
	v_shift(j, shift_op[x.s + 1], VSH_SRL, T0, T0, x.bits);
	narrow(j, &x);
	return true;
}

/* What does not come back when it is widened again was saturated. */
static bool saturating_narrow(struct jit *j, bool to_unsigned)
{
	static const uint32_t pack_signed[] = {VO(0x63), VO(0x6b)}, pack_unsigned[] = {V_PACKUSWB, V_PACKUSDW};
	static const uint32_t min_unsigned[] = {VO38(0x3a), VO38(0x3b)};
	const struct ir_insn *op = vop_at(j);
	bool hi = op->aux & IR_VD_HI;
	struct vx x;

	if (ir_vd_size(op->aux) > 1 || op->aux & IR_VD_SCALAR)
		return false;
	x = start_narrow(j);
	v_shift(j, shift_op[x.s + 1], x.u ? VSH_SRL : VSH_SRA, T0, x.a, x.imm);
	if (op->aux & IR_VD_RND && x.imm) { /* the last bit that is shifted out; there is room for the sum */
		v_shift(j, shift_op[x.s + 1], VSH_SLL, T1, x.a, 2 * x.bits - x.imm);
		v_shift(j, shift_op[x.s + 1], VSH_SRL, T1, T1, 2 * x.bits - 1);
		v3(j, padd[x.s + 1], T0, T0, T1);
	}
	if (x.u) {
		broadcast(j, T1, in_all(x.s + 1, ir_vmask(x.s)));
		v3(j, min_unsigned[x.s], T1, T1, T0);
		v3(j, pack_unsigned[x.s], T1, T1, T1);
	} else {
		v3(j, (to_unsigned ? pack_unsigned : pack_signed)[x.s], T1, T0, T0);
	}
	if (hi)
		v3(j, V_PUNPCKLQDQ, x.d, x.c, T1);
	else
		v2(j, V_MOVQ, x.d, T1);
	v2(j, (x.u || to_unsigned ? pmovzx : pmovsx)[x.s], T1, T1);
	v3(j, V_PXOR, T0, T0, T1);
	v2(j, V_PTEST, T0, T0);
	vec_saturated_if(j, CC_NE);
	vec_rejoin(j);
	return true;
}

/* ---- neighbours and whole registers */

static bool add_pairs(struct jit *j, bool acc)
{
	struct vx x = start_same(j);

	switch (x.s) {
	case 0:
		if (x.u) {
			v3c(j, V_PMADDUBSW, x.d, x.a, VC_ONE_B);
		} else {
			v2c(j, V_MOVAPS, x.d, VC_ONE_B);
			v3(j, V_PMADDUBSW, x.d, x.d, x.a);
		}
		break;
	case 1:
		if (x.u) {
			v_shift(j, V_SHIFT_D, VSH_SRL, T0, x.a, 16);
			v3c(j, V_PAND, x.d, x.a, VC_LOW_H);
			v3(j, padd[2], x.d, x.d, T0);
		} else {
			v3c(j, V_PMADDWD, x.d, x.a, VC_ONE_H);
		}
		break;
	default:
		if (x.u) {
			v_shift(j, V_SHIFT_Q, VSH_SRL, T0, x.a, 32);
			v3c(j, V_PAND, x.d, x.a, VC_LOW_S);
		} else { /* signs into the upper words */
			v_shift(j, V_SHIFT_D, VSH_SRA, T1, x.a, 31);
			v_shift(j, V_SHIFT_Q, VSH_SLL, T0, T1, 32);
			v3i(j, V_PBLENDW, x.d, x.a, T0, 0xcc);
			v_shift(j, V_SHIFT_Q, VSH_SRL, T0, x.a, 32);
			v3i(j, V_PBLENDW, T0, T0, T1, 0xcc);
		}
		v3(j, padd[3], x.d, x.d, T0);
		break;
	}
	if (acc)
		v3(j, padd[x.s + 1], x.d, x.d, x.c);
	return done(j, &x, true);
}

/* Leaves the low n bytes of d. */
static void low_bytes(struct jit *j, int d, unsigned n)
{
	v_shift(j, V_SHIFT_Q, VSH_SLLDQ, d, d, 16 - n);
	v_shift(j, V_SHIFT_Q, VSH_SRLDQ, d, d, 16 - n);
}

/* host on the halves of the register, on the halves of that, and so on */
static bool across(struct jit *j, const uint32_t *host)
{
	struct vx x;
	int a;

	if (ir_vd_size(vop_at(j)->aux) == 3)
		return false;
	x = start_same(j);
	a = x.a;
	if (x.q) {
		v2i(j, V_PSHUFD, T0, a, 0xee);
		v3(j, host[x.s], x.d, a, T0);
		a = x.d;
	}
	v2i(j, V_PSHUFD, T0, a, 0x55);
	v3(j, host[x.s], x.d, a, T0);
	if (x.s < 2) {
		v_shift(j, V_SHIFT_D, VSH_SRL, T0, x.d, 16);
		v3(j, host[x.s], x.d, x.d, T0);
	}
	if (x.s == 0) {
		v_shift(j, V_SHIFT_W, VSH_SRL, T0, x.d, 8);
		v3(j, host[x.s], x.d, x.d, T0);
	}
	low_bytes(j, x.d, 1u << x.s);
	j->v[vop_at(j)->dst].clean = 2;
	return true;
}

/* ADDV and UADDLV of bytes */
static bool add_bytes(struct jit *j, bool wide)
{
	struct vx x = start_same(j);

	v_zero(j, T0);
	v3(j, V_PSADBW, x.d, x.a, T0);
	if (x.q) {
		v2i(j, V_PSHUFD, T0, x.d, 0xee);
		v3(j, padd[3], x.d, x.d, T0);
	}
	if (wide)
		v_clear_above(j, 3, x.d);
	else
		low_bytes(j, x.d, 1);
	j->v[vop_at(j)->dst].clean = 2;
	return true;
}

/* The odd or even bytes of a as halfwords */
static void bytes_apart(struct jit *j, int d, int a, bool odd, bool u)
{
	if (odd) {
		v_shift(j, V_SHIFT_W, u ? VSH_SRL : VSH_SRA, d, a, 8);
	} else if (u) {
		v3c(j, V_PAND, d, a, VC_LOW_B);
	} else {
		v_shift(j, V_SHIFT_W, VSH_SLL, d, a, 8);
		v_shift(j, V_SHIFT_W, VSH_SRA, d, d, 8);
	}
}

static bool dot_product(struct jit *j, bool ua, bool ub)
{
	struct vx x = start_same(j);

	bytes_apart(j, T0, x.a, false, ua);
	bytes_apart(j, T1, x.b, false, ub);
	v3(j, V_PMADDWD, T0, T0, T1);
	bytes_apart(j, x.d, x.a, true, ua);
	bytes_apart(j, T1, x.b, true, ub);
	v3(j, V_PMADDWD, x.d, x.d, T1);
	v3(j, padd[2], x.d, x.d, T0);
	v3(j, padd[2], x.d, x.d, x.c);
	return done(j, &x, true);
}

/* ---- */

bool vec_int_op(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	unsigned s = ir_vd_size(op->aux);
	bool u = op->aux & IR_VD_U;

	switch (op->imm) {
	case IR_VOP_vand: return same(j, V_PAND, true);
	case IR_VOP_vorr: return same(j, V_POR, true);
	case IR_VOP_veor: return same(j, V_PXOR, true);
	case IR_VOP_vmov:
	case IR_VOP_vbic:
	case IR_VOP_vorn:
	case IR_VOP_vnot: return bits(j, (unsigned)op->imm);
	case IR_VOP_vbsl: return select_bits(j);

	case IR_VOP_vabs: return absolute(j);
	case IR_VOP_vneg: return negate(j);
	case IR_VOP_vclz: return count_leading_zeros(j);
	case IR_VOP_vcnt: return by_nibbles(j, VC_POPCOUNT, VC_POPCOUNT, padd[0]);
	case IR_VOP_vrbit: return by_nibbles(j, VC_BITREV_LOW, VC_BITREV_HIGH, V_POR);

	case IR_VOP_add: return same(j, padd[s], true);
	case IR_VOP_sub: return same(j, psub[s], true);
	case IR_VOP_mul: return mul(j, false);
	case IR_VOP_mla: return mul(j, true);
	case IR_VOP_hadd: return halving_add(j);
	case IR_VOP_qadd: return saturating(j, false);
	case IR_VOP_qsub: return saturating(j, true);
	case IR_VOP_vmax: return same(j, (u ? pmaxu : pmaxs)[s], true);
	case IR_VOP_vmin: return same(j, (u ? pminu : pmins)[s], true);
	case IR_VOP_abd: return abd(j, false);
	case IR_VOP_aba: return abd(j, true);
	case IR_VOP_cmeq: return compare_equal(j);
	case IR_VOP_cmgt: return compare_greater(j);
	case IR_VOP_cmge: return compare_greater_equal(j);
	case IR_VOP_cmtst: return compare_bits(j);
	case IR_VOP_sqdmulh: return doubling_mul_high(j);

	case IR_VOP_shl_reg: return shift_reg(j);
	case IR_VOP_shl: {
		struct vx x = start_same(j);

		shift_left(j, s, x.d, x.a, x.imm, T0);
		return done(j, &x, true);
	}
	case IR_VOP_shr: return shift_imm(j, false);
	case IR_VOP_sra: return shift_imm(j, true);
	case IR_VOP_sli: return shift_insert(j, true);
	case IR_VOP_sri: return shift_insert(j, false);

	case IR_VOP_shrn: return shift_narrow(j);
	case IR_VOP_qshrn: return saturating_narrow(j, false);
	case IR_VOP_qshrun: return saturating_narrow(j, true);
	case IR_VOP_addhn: return high_narrow(j, padd);
	case IR_VOP_subhn: return high_narrow(j, psub);

	case IR_VOP_shll: return shift_long(j);
	case IR_VOP_addl: return add_long(j, padd, false);
	case IR_VOP_subl: return add_long(j, psub, false);
	case IR_VOP_addw: return add_long(j, padd, true);
	case IR_VOP_subw: return add_long(j, psub, true);
	case IR_VOP_abdl: return abd_long(j, false);
	case IR_VOP_abal: return abd_long(j, true);
	case IR_VOP_mull: return mul_long(j, false);
	case IR_VOP_mlal: return mul_long(j, true);
	case IR_VOP_sqdmull: return doubling_mul_long(j, false);
	case IR_VOP_sqdmlal: return doubling_mul_long(j, true);

	case IR_VOP_addlp: return add_pairs(j, false);
	case IR_VOP_adalp: return add_pairs(j, true);
	case IR_VOP_addv: return s ? across(j, padd) : add_bytes(j, false);
	case IR_VOP_addlv: return s == 0 && u && add_bytes(j, true);
	case IR_VOP_maxv: return across(j, u ? pmaxu : pmaxs);
	case IR_VOP_minv: return across(j, u ? pminu : pmins);
	case IR_VOP_dot: return dot_product(j, u, u);
	case IR_VOP_usdot: return dot_product(j, true, false);
	default: return false;
	}
}
