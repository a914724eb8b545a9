/* SPDX-License-Identifier: MIT */
/*
 * Operations that move elements about.
 *
 * On 64-bit vectors the two operands are first put into one register where that makes it the 128-bit operation.
 */
#include "vgen.h"

struct px {
	unsigned s, imm;
	bool q;
	int a, b, c, d;
};

static struct px start(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	struct px x = {.s = ir_vd_size(op->aux), .imm = ir_vd_imm(op->aux), .q = op->aux & IR_VD_Q};

	x.a = op->a ? vreg_use(j, op->a) : T1;
	x.b = op->b ? vreg_use(j, op->b) : T1;
	x.c = op->c ? vreg_use(j, op->c) : T1;
	x.d = vreg_def(j, op->dst, x.q ? 4 : 3);
	return x;
}

static bool done(struct jit *j, const struct px *x)
{
	if (!x->q)
		v_clear_above(j, 3, x->d);
	return true;
}

static bool zip(struct jit *j, bool upper)
{
	static const uint32_t low[] = {V_PUNPCKLBW, VO(0x61), VO(0x62), V_PUNPCKLQDQ};
	static const uint32_t high[] = {VO(0x68), VO(0x69), VO(0x6a), V_PUNPCKHQDQ};
	struct px x = start(j);

	if (x.q) {
		v3(j, (upper ? high : low)[x.s], x.d, x.a, x.b);
		return true;
	}
	v3(j, low[x.s], x.d, x.a, x.b);
	if (upper) {
		v_shift(j, V_SHIFT_Q, VSH_SRLDQ, x.d, x.d, 8);
		return true;
	}
	return done(j, &x);
}

/* Every second element of a:b */
static bool unzip(struct jit *j, bool odd)
{
	struct px x = start(j);
	int a = x.a, b = x.b;

	if (x.s == 3) {
		v3(j, odd ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, x.d, a, b);
		return true;
	}
	if (!x.q) {
		v3(j, V_PUNPCKLQDQ, T0, a, b);
		a = b = T0;
	}
	if (x.s == 2) {
		v3i(j, V_SHUFPS, x.d, a, b, odd ? 0xdd : 0x88);
		return done(j, &x);
	}
	if (odd) {
		uint32_t op = x.s ? V_SHIFT_D : V_SHIFT_W;

		v_shift(j, op, VSH_SRL, x.d, a, 8u << x.s);
		if (a != b)
			v_shift(j, op, VSH_SRL, T0, b, 8u << x.s);
	} else {
		v3c(j, V_PAND, x.d, a, x.s ? VC_LOW_H : VC_LOW_B);
		if (a != b)
			v3c(j, V_PAND, T0, b, x.s ? VC_LOW_H : VC_LOW_B);
	}
	v3(j, x.s ? V_PACKUSDW : V_PACKUSWB, x.d, x.d, a != b ? T0 : x.d);
	return done(j, &x);
}

static bool transpose(struct jit *j, bool odd)
{
	static const uint32_t op[] = {V_SHIFT_W, V_SHIFT_D, V_SHIFT_Q};
	struct px x = start(j);
	unsigned bits = 8u << x.s;

	if (x.s == 3) {
		v3(j, odd ? V_PUNPCKHQDQ : V_PUNPCKLQDQ, x.d, x.a, x.b);
		return true;
	}
	/* the element of each pair that is wanted, moved to where it goes */
	if (odd)
		v_shift(j, op[x.s], VSH_SRL, T0, x.a, bits);
	else
		v_shift(j, op[x.s], VSH_SLL, T0, x.b, bits);
	if (x.s) {
		unsigned mask = x.s == 1 ? 0xaa : 0xcc;

		v3i(j, V_PBLENDW, x.d, odd ? T0 : x.a, odd ? x.b : T0, mask);
	} else if (odd) {
		v2c(j, V_MOVAPS, T1, VC_LOW_B);
		v3(j, V_PANDN, x.d, T1, x.b);
		v3(j, V_POR, x.d, x.d, T0);
	} else {
		v3c(j, V_PAND, x.d, x.a, VC_LOW_B);
		v3(j, V_POR, x.d, x.d, T0);
	}
	return done(j, &x);
}

static bool extract(struct jit *j)
{
	struct px x = start(j);

	if (x.q) {
		v3i(j, V_PALIGNR, x.d, x.b, x.a, x.imm);
		return true;
	}
	v3(j, V_PUNPCKLQDQ, x.d, x.a, x.b);
	if (x.imm)
		v_shift(j, V_SHIFT_Q, VSH_SRLDQ, x.d, x.d, x.imm);
	return done(j, &x);
}

static bool reverse(struct jit *j)
{
	static const uint8_t how[3][4] = {{0, VC_REV_2_B, VC_REV_4_B, VC_REV_8_B}, {0, 0, VC_REV_4_H, VC_REV_8_H}};
	struct px x = start(j);

	if (x.s == 2)
		v2i(j, V_PSHUFD, x.d, x.a, 0xb1);
	else
		v3c(j, V_PSHUFB, x.d, x.a, how[x.s][x.imm]);
	return done(j, &x);
}

/* Element imm of a alone, zeros above */
static void element(struct jit *j, const struct px *x)
{
	static const uint32_t get[] = {V_PEXTRB, V_PEXTRW};

	if (x->s < 2) {
		v2i(j, get[x->s], x->a, RAX, x->imm);
		v2(j, V_MOVD, x->d, RAX);
	} else if (x->s == 2) {
		v3i(j, V_INSERTPS, x->d, x->a, x->a, x->imm << 6 | 0x0e);
	} else if (x->imm) {
		v_shift(j, V_SHIFT_Q, VSH_SRLDQ, x->d, x->a, 8);
	} else {
		v2(j, V_MOVQ, x->d, x->a);
	}
	if (x->s < 3)
		j->v[vop_at(j)->dst].clean = 2;
}

static bool duplicate(struct jit *j)
{
	struct px x = start(j);
	int from = x.a;

	if (vop_at(j)->aux & IR_VD_SCALAR) {
		element(j, &x);
		return true;
	}
	switch (x.s) {
	case 0:
		if (x.imm) {
			v_shift(j, V_SHIFT_Q, VSH_SRLDQ, x.d, x.a, x.imm);
			from = x.d;
		}
		if (has_avx(j)) {
			v2(j, VO38(0x78), x.d, from);
		} else {
			v_zero(j, T0);
			v3(j, V_PSHUFB, x.d, from, T0);
		}
		break;
	case 1:
		if (x.imm == 0 && has_avx(j)) {
			v2(j, VO38(0x79), x.d, x.a);
			break;
		}
		v2i(j, x.imm < 4 ? V_PSHUFLW : V_PSHUFHW, x.d, x.a, (x.imm & 3) * 0x55);
		v2i(j, V_PSHUFD, x.d, x.d, x.imm < 4 ? 0 : 0xaa);
		break;
	case 2: v2i(j, V_PSHUFD, x.d, x.a, x.imm * 0x55); break;
	default: v2i(j, V_PSHUFD, x.d, x.a, x.imm ? 0xee : 0x44); break;
	}
	return done(j, &x);
}

static bool insert(struct jit *j)
{
	static const uint32_t get[] = {V_PEXTRB, V_PEXTRW}, put[] = {V_PINSRB, V_PINSRW};
	struct px x = start(j);
	unsigned lane = ir_vd_lane(vop_at(j)->aux);

	if (x.s < 2) {
		v2i(j, get[x.s], x.b, RAX, lane);
		v3xi(j, put[x.s], x.d, x.a, RAX, x.imm);
	} else if (x.s == 2) {
		v3i(j, V_INSERTPS, x.d, x.a, x.b, lane << 6 | x.imm << 4);
	} else if (x.imm == lane) {
		v3i(j, V_PBLENDW, x.d, x.a, x.b, lane ? 0xf0 : 0x0f);
	} else if (lane) {
		v3i(j, V_SHUFPD, x.d, x.b, x.a, 3);
	} else {
		v3(j, V_PUNPCKLQDQ, x.d, x.a, x.b);
	}
	return true;
}

/*
 * Table b by the indexes a. Bit 7 of an index makes PSHUFB give zero, and adding 0x70 with saturation sets it for all
 * that are above 15. Zeros for those are often what is wanted.
 */
static bool lookup(struct jit *j)
{
	uint64_t lo, hi;
	bool zeros = vec_is_const(j, vop_at(j)->c, &lo, &hi) && !lo && !hi;
	struct px x = start(j);
	int index = x.a;

	if (x.imm) {
		as_mov_ri(&j->as, RAX, x.imm * UINT64_C(0x0101010101010101));
		v2(j, V_MOVD | V_W, T1, RAX);
		v3(j, V_PUNPCKLQDQ, T1, T1, T1);
		v3(j, VO(0xf8), T0, x.a, T1);
		index = T0;
	}
	v3c(j, V_PADDUSB, T0, index, VC_TBL);
	v3(j, V_PSHUFB, x.d, x.b, T0);
	if (zeros)
		return done(j, &x);
	if (has_avx(j)) {
		v3(j, V_PBLENDVB, x.d, x.d, x.c);
		as_8(&j->as, T0 << 4);
	} else {
		v_zero(j, T1);
		v3(j, V_PCMPGTB, T1, T1, T0);
		v3(j, V_PAND, T1, T1, x.c);
		v3(j, V_POR, x.d, x.d, T1);
	}
	return done(j, &x);
}

/* A structure of three: what each of the operands has of the result. */
static bool structure(struct jit *j, bool interleave)
{
	struct px x = start(j);
	enum vconst how = vec_threes(interleave, x.q, x.s, x.imm);

	v3c(j, V_PSHUFB, x.d, x.a, how);
	v3c(j, V_PSHUFB, T0, x.b, how + 1);
	v3(j, V_POR, x.d, x.d, T0);
	v3c(j, V_PSHUFB, T0, x.c, how + 2);
	v3(j, V_POR, x.d, x.d, T0);
	return true;
}

bool vec_perm_op(struct jit *j)
{
	switch (vop_at(j)->imm) {
	case IR_VOP_dup: return duplicate(j);
	case IR_VOP_ins: return insert(j);
	case IR_VOP_ext: return extract(j);
	case IR_VOP_vrev: return reverse(j);
	case IR_VOP_zip1: return zip(j, false);
	case IR_VOP_zip2: return zip(j, true);
	case IR_VOP_uzp1: return unzip(j, false);
	case IR_VOP_uzp2: return unzip(j, true);
	case IR_VOP_trn1: return transpose(j, false);
	case IR_VOP_trn2: return transpose(j, true);
	case IR_VOP_tbx: return lookup(j);
	case IR_VOP_deint3: return structure(j, false);
	case IR_VOP_int3: return structure(j, true);
	default: return false;
	}
}
