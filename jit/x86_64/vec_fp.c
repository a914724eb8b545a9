/* SPDX-License-Identifier: MIT */
/*
 * Floating point on host instructions, with the results and FPSR of ir/fp.c bit for bit. Half precision is computed in single, where
 * that is the same. FMULX, estimates, comparisons and complex numbers in half precision, and FPCR.FZ call their definitions.
 *
 * From the first unit that uses it until code is left, MXCSR holds the guest's rounding mode, and its sticky bits are those
 * of FPSR that have not been merged yet: such a unit begins by looking at env->host_fp. The host computes the same but for
 *  - NaNs: which operand's, and the sign of the default one. A result that is a NaN goes the slow way, before anyone has
 *    seen it, and is made again by the definition. Sticky bits that the host has set by then are right.
 *  - underflow: tininess is found before rounding by the guest, after it by the host. That differs only if the result
 *    is the smallest normal number, so such a result goes the slow way too, where it can arise: not from sums.
 *  - MAXxx and MINxx: look at NaNs first, and treat zeros of different sign by hand.
 *  - conversions to integers that do not fit: the host's result for them goes the slow way.
 *
 * Elements that are not the guest's must not raise flags: upper halves are zero or copies of the lower ones.
 */
#include <immintrin.h>

#include "vgen.h"

#define V_UCOMIS (0x2eu | V_0F)
#define V_COMIS (0x2fu | V_0F)
#define V_CMP 0xc2u
enum { CMP_EQ, CMP_LT, CMP_LE, CMP_UNORD, CMP_EQ_UQ = 8 };

/* ---- MXCSR */

enum { MXCSR_MASKED = 0x1f80, MXCSR_STICKY = 0x3f };

static unsigned mxcsr_of(uint32_t fpcr)
{
	static const uint8_t rc[] = {0, 2, 1, 3};

	return MXCSR_MASKED | (unsigned)rc[IR_FPCR_RMODE(fpcr)] << 13;
}

static void merge(struct ir_env *env, unsigned csr)
{
	env->fpsr |= (csr & 1) | (csr >> 1 & 0x1e); /* IE; ZE, OE, UE, PE, without DE between */
}

void jit_fp_end(struct ir_env *env)
{
	if (!env->host_fp)
		return;
	env->host_fp = 0;
	merge(env, _mm_getcsr());
	_mm_setcsr(env->host_fp_mode[1]);
}

void jit_fp_sync(struct ir_env *env)
{
	env->host_fp_mode[0] = mxcsr_of(env->fpcr);
	if (!env->host_fp)
		return;
	merge(env, _mm_getcsr());
	_mm_setcsr(env->host_fp_mode[0]);
}

void vec_fp_thunk(struct jit *j)
{
	struct as *a = &j->as;

	as_rm(a, 0xaeu | X_0F, 3, RBP, ENV(host_fp_mode[1])); /* stmxcsr */
	as_rm(a, 0xaeu | X_0F, 2, RBP, ENV(host_fp_mode[0])); /* ldmxcsr */
	as_mov_mi(a, 2, RBP, ENV(host_fp), 1);
	as_8(a, 0xc3);
}

bool vec_is_host_fp(const struct jit *j, const struct ir_insn *op)
{
	return op->op == IR_vop && op->imm >= IR_VOP_fadd && op->imm <= IR_VOP_fcmla && j->fp_native;
}

void vec_fp_prologue(struct jit *j)
{
	if (!j->uses_fp)
		return;
	as_alu_mi(&j->as, false, ALU_CMP, RBP, ENV(host_fp), 0);
	vec_thunk_if(j, CC_E, j->fp_thunk);
	vec_rejoin(j);
}

/* ---- operands */

struct fx {
	unsigned s, imm;
	bool scalar, q, neg, nega;
	int a, b, c, d;
	bool ca, cb, cc; /* clean: zeros above the element, or above the lower half */
};

static uint32_t op_of(const struct fx *x, uint32_t op)
{
	if (x->scalar)
		return op | V_0F | (x->s == 3 ? V_F2 : V_F3);
	return op | V_0F | (x->s == 3 ? V_66 : 0);
}

static int take(struct jit *j, uint16_t n, const struct fx *x, bool *clean)
{
	*clean = true;
	if (!n)
		return T1;
	if (x->scalar || !x->q)
		return vreg_use_low(j, n, x->scalar ? x->s : 3, clean);
	return vreg_use(j, n);
}

static struct fx start(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	struct fx x = {.s = ir_vd_size(op->aux),
		       .imm = ir_vd_imm(op->aux),
		       .scalar = op->aux & IR_VD_SCALAR,
		       .q = op->aux & IR_VD_Q,
		       .neg = op->aux & IR_VD_NEG,
		       .nega = op->aux & IR_VD_NEGA};

	x.a = take(j, op->a, &x, &x.ca);
	x.b = take(j, op->b, &x, &x.cb);
	x.c = take(j, op->c, &x, &x.cc);
	if (!x.scalar) /* either zeros or copies, since infinity times zero raises a flag */
		x.ca = x.cb = x.cc = x.ca && x.cb && x.cc;
	x.d = vreg_def(j, op->dst, x.scalar ? x.s : x.q ? 4 : 3);
	return x;
}

/* r with its lower half twice in tmp, unless what is above can do no harm. */
static int twice(struct jit *j, const struct fx *x, int r, bool clean, int tmp)
{
	if (x->q || x->scalar || clean)
		return r;
	v3(j, V_PUNPCKLQDQ, tmp, r, r);
	return tmp;
}

/* The end of an operation whose result has in its upper part what `clean` is about. */
static void clear(struct jit *j, const struct fx *x, bool clean)
{
	if (x->scalar ? !clean : !x->q)
		v_clear_above(j, x->scalar ? x->s : 3, x->d);
}

static void v3ci(struct jit *j, unsigned op, int d, int a, enum vconst c, unsigned imm)
{
	asv_vex(&j->as, op, d, a, 0);
	asv_mod_rip(&j->as, d, v_const_at(j, c), 1);
	as_8(&j->as, imm);
}

/* ---- results that go the slow way. Change T0 and T1. */

static void slow_if_any(struct jit *j, const struct fx *x, int r)
{
	v2(j, V_MOVMSKPS | (x->s == 3 ? V_66 : 0), RAX, r);
	as_rr(&j->as, X_TEST, RAX, RAX);
	vec_slow_if(j, CC_NE, x->d);
}

static void slow_if_nan(struct jit *j, const struct fx *x)
{
	if (x->scalar) {
		v2(j, V_UCOMIS | (x->s == 3 ? V_66 : 0), x->d, x->d);
		vec_slow_if(j, CC_P, x->d);
		return;
	}
	v3i(j, op_of(x, V_CMP), T0, x->d, x->d, CMP_UNORD);
	slow_if_any(j, x, T0);
}

/* UCOMIS says "equal" for unordered, too. */
static void slow_if_nan_or_min_normal(struct jit *j, const struct fx *x)
{
	enum vconst min = x->s == 3 ? VC_MIN_NORMAL_D : VC_MIN_NORMAL_S;

	v3c(j, V_PAND, T0, x->d, x->s == 3 ? VC_ABS_D : VC_ABS_S);
	if (x->scalar) {
		v2c(j, V_UCOMIS | (x->s == 3 ? V_66 : 0), T0, min);
		vec_slow_if(j, CC_E, x->d);
		return;
	}
	if (has_avx(j)) {
		v3ci(j, op_of(x, V_CMP), T0, T0, min, CMP_EQ_UQ);
	} else {
		v3c(j, x->s == 3 ? V_PCMPEQQ : V_PCMPEQD, T1, T0, min);
		v3i(j, op_of(x, V_CMP), T0, T0, T0, CMP_UNORD);
		v3(j, V_POR, T0, T0, T1);
	}
	slow_if_any(j, x, T0);
}

/* ---- arithmetic */

enum { ADD = 0x58, MUL = 0x59, SUB = 0x5c, MIN = 0x5d, DIV = 0x5e, MAX = 0x5f, SQRT = 0x51 };

static bool arithmetic(struct jit *j, uint32_t host)
{
	bool commutes = host == ADD || host == MUL, abs = vop_at(j)->imm == IR_VOP_fabd;
	struct fx x = start(j);
	int a = x.a, b = x.b;
	bool ca = x.ca, cb = x.cb;

	if (commutes && !ca && cb) { /* only NaNs know which was first */
		a = x.b;
		b = x.a;
		ca = true;
		cb = false;
	}
	if (host == DIV) /* not 0 / 0 */
		ca = ca && x.scalar, cb = cb && x.scalar;
	v3(j, op_of(&x, host), x.d, twice(j, &x, a, ca, T0), twice(j, &x, b, cb, T1));
	if (host == ADD || host == SUB)
		slow_if_nan(j, &x);
	else
		slow_if_nan_or_min_normal(j, &x);
	if (abs)
		v3c(j, V_PAND, x.d, x.d, x.s == 3 ? VC_ABS_D : VC_ABS_S);
	clear(j, &x, ca);
	if (x.neg) {
		/* the sign of the element alone */
		if (x.scalar && x.s == 3) {
			v2c(j, V_MOVQ, T0, VC_SIGN_D);
			v3(j, V_PXOR, x.d, x.d, T0);
		} else if (x.scalar) {
			v2c(j, V_MOVSS_LD, T0, VC_SIGN_S);
			v3(j, V_PXOR, x.d, x.d, T0);
		} else {
			v3c(j, V_PXOR, x.d, x.d, x.s == 3 ? VC_SIGN_D : VC_SIGN_S);
			clear(j, &x, false);
		}
	}
	vec_rejoin(j);
	return true;
}

/* c + a * b in one rounding, by the form that adds to its destination */
static uint32_t fma_op(const struct fx *x)
{
	static const uint8_t host[2][2] = {{0xb8, 0xba}, {0xbc, 0xbe}};

	return VO38((uint32_t)host[x->neg][x->nega] + x->scalar) | (x->s == 3 ? V_W : 0);
}

static bool multiply_add(struct jit *j)
{
	struct fx x;

	if (!has_avx(j))
		return false;
	x = start(j);
	if (x.scalar && !x.cc && x.s == 3)
		v2(j, V_MOVQ, x.d, x.c);
	else if (x.scalar && !x.cc)
		v3i(j, V_INSERTPS, x.d, x.c, x.c, 0x0e);
	else if (!x.scalar && !x.q && !x.cc)
		v3(j, V_PUNPCKLQDQ, x.d, x.c, x.c);
	else
		v_mov(j, x.d, x.c);
	v3(j, fma_op(&x), x.d, twice(j, &x, x.a, x.ca, T0), twice(j, &x, x.b, x.cb, T1));
	slow_if_nan_or_min_normal(j, &x);
	clear(j, &x, true);
	vec_rejoin(j);
	return true;
}

/* ---- complex numbers: pairs of elements */

/* d = elements `re` and `im` (each 0 or 1) of each pair; the lower pair twice if there is no other */
static void pairs(struct jit *j, const struct fx *x, int d, int r, unsigned re, unsigned im)
{
	unsigned lo = x->s == 3 ? (re ? 0xe : 4) & 0xf : re | im << 2, hi;

	if (x->s == 3)
		hi = im ? 0xe : 4;
	else
		hi = x->q ? lo + 0xa : lo;
	v2i(j, V_PSHUFD, d, r, lo | hi << 4);
}

/* T1 = elements of the pairs of b, in their order or exchanged, with the signs of the first or the second, or both, changed; changes T0 */
static void rotated(struct jit *j, const struct fx *x, bool exchange, bool neg_re, bool neg_im)
{
	pairs(j, x, T1, x->b, exchange, !exchange);
	if (!neg_re && !neg_im)
		return;
	v2c(j, V_MOVAPS, T0, x->s == 3 ? VC_SIGN_D : VC_SIGN_S);
	if (!neg_im)
		v_shift(j, V_SHIFT_Q, x->s == 3 ? VSH_SRLDQ : VSH_SRL, T0, T0, x->s == 3 ? 8 : 32);
	else if (!neg_re)
		v_shift(j, V_SHIFT_Q, x->s == 3 ? VSH_SLLDQ : VSH_SLL, T0, T0, x->s == 3 ? 8 : 32);
	v3(j, V_PXOR, T1, T1, T0);
}

static bool complex_add(struct jit *j)
{
	struct fx x = start(j);

	rotated(j, &x, true, !x.imm, x.imm);
	pairs(j, &x, T0, x.a, 0, 1);
	v3(j, op_of(&x, ADD), x.d, T0, T1);
	slow_if_nan(j, &x);
	clear(j, &x, false);
	vec_rejoin(j);
	return true;
}

static bool complex_multiply_add(struct jit *j)
{
	unsigned rot;
	struct fx x;

	if (!has_avx(j))
		return false;
	x = start(j);
	rot = x.imm;
	rotated(j, &x, rot & 1, rot == 1 || rot == 2, rot & 2);
	pairs(j, &x, T0, x.a, rot & 1, rot & 1);
	pairs(j, &x, x.d, x.c, 0, 1);
	v3(j, fma_op(&x), x.d, T0, T1);
	slow_if_nan_or_min_normal(j, &x);
	clear(j, &x, false);
	vec_rejoin(j);
	return true;
}

/* An operation on a scalar alone: into a zeroed register, so that the rest is zero. */
static void scalar_unary(struct jit *j, uint32_t host, int d, int a)
{
	v_zero(j, d);
	v3(j, host, d, d, a);
}

static bool square_root(struct jit *j)
{
	struct fx x = start(j);

	if (x.scalar)
		scalar_unary(j, op_of(&x, SQRT), x.d, x.a);
	else
		v2(j, op_of(&x, SQRT), x.d, twice(j, &x, x.a, x.ca, T0));
	slow_if_nan(j, &x);
	clear(j, &x, true);
	vec_rejoin(j);
	return true;
}

/* Zeros of both signs are equal to the host, which then gives its second operand: so it is asked both ways. */
static bool max_min(struct jit *j, bool max)
{
	struct fx x = start(j);
	uint32_t host = op_of(&x, max ? MAX : MIN);
	int a, b;

	a = twice(j, &x, x.a, x.ca, T0);
	b = twice(j, &x, x.b, x.cb, x.d);
	if (x.scalar) {
		v2(j, V_UCOMIS | (x.s == 3 ? V_66 : 0), a, b);
		vec_slow_if(j, CC_P, x.d);
	} else {
		v3i(j, op_of(&x, V_CMP), T1, a, b, CMP_UNORD);
		slow_if_any(j, &x, T1);
	}
	v3(j, host, T1, a, b);
	v3(j, host, x.d, b, a);
	v3(j, max ? V_PAND : V_POR, x.d, x.d, T1);
	clear(j, &x, max ? x.ca || x.cb : x.ca && x.cb);
	vec_rejoin(j);
	return true;
}

/* ---- signs; whatever FPCR says */

static bool sign(struct jit *j, bool negate)
{
	struct fx x;

	if (ir_vd_size(vop_at(j)->aux) < 2)
		return false;
	x = start(j);
	if (negate)
		v3c(j, V_PXOR, x.d, x.a, x.s == 3 ? VC_SIGN_D : VC_SIGN_S);
	else
		v3c(j, V_PAND, x.d, x.a, x.s == 3 ? VC_ABS_D : VC_ABS_S);
	clear(j, &x, x.ca && !negate);
	return true;
}

/* ---- comparisons */

static bool compare(struct jit *j, unsigned how, bool absolute)
{
	struct fx x = start(j);
	int a = x.a, b = x.b;

	if (absolute) {
		v3c(j, V_PAND, T0, a, x.s == 3 ? VC_ABS_D : VC_ABS_S);
		v3c(j, V_PAND, T1, b, x.s == 3 ? VC_ABS_D : VC_ABS_S);
		a = twice(j, &x, T0, x.ca, T0);
		b = twice(j, &x, T1, x.cb, T1);
	} else {
		a = twice(j, &x, a, x.ca, T0);
		b = twice(j, &x, b, x.cb, T1);
	}
	if (how == CMP_EQ)
		v3i(j, op_of(&x, V_CMP), x.d, a, b, how);
	else
		v3i(j, op_of(&x, V_CMP), x.d, b, a, how);
	clear(j, &x, how == CMP_EQ ? x.ca : x.cb);
	return true;
}

bool vec_fcmp(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	struct as *a = &j->as;
	uint32_t ordered;
	bool clean;
	int n, m;

	if (!j->fp_native || op->x < 2)
		return false;
	n = vreg_use_low(j, op->a, op->x, &clean);
	m = vreg_use_low(j, op->b, op->x, &clean);
	v2(j, (op->aux & 1 ? V_COMIS : V_UCOMIS) | (op->x == 3 ? V_66 : 0), n, m);
	/*
	 * CF is less or unordered, ZF equal or unordered, PF unordered. Flags of a compare of integers are what the others
	 * expect: of 1 and 0 if greater, 0 and 0 if equal, 0 and 1 if less; 80 - 1 overflows to a positive number.
	 */
	as_rr(a, X_SET(CC_A), 0, RAX);
	as_rr(a, X_SET(CC_B), 0, RCX);
	ordered = as_jcc(a, CC_NP);
	as_8(a, 0xb0); /* mov al, imm8 */
	as_8(a, 0x80);
	as_land(a, ordered);
	as_rr(a, 0x3au | X_BYTE, RAX, RCX);
	return true;
}

/* ---- rounding and conversions */

/* The immediate of ROUNDxx, which then reports inexactness; -1: the host cannot. */
static int round_mode(unsigned rm)
{
	switch (rm) {
	case IR_RM_TIEEVEN: return 0;
	case IR_RM_NEGINF: return 1;
	case IR_RM_POSINF: return 2;
	case IR_RM_ZERO: return 3;
	case IR_RM_FPCR: return 4;
	default: return -1;
	}
}
enum { ROUND_QUIETLY = 8 };

static uint32_t round_op(unsigned s, bool scalar)
{
	return VO3A(8u + (s == 3) + 2u * scalar);
}

/*
 * x->d = x->a rounded to nearest, ties away from zero, in bits that are the result's: towards zero, and one more if what was
 * cut off is a half or more. Sums and differences are exact, comparisons are of integers: no flag is raised. Numbers that
 * are integers by their size, and NaNs, go the slow way.
 */
static bool round_away(struct jit *j, const struct fx *x)
{
	bool d = x->s == 3;
	uint32_t greater = d ? V_PCMPGTQ : V_PCMPGTD;
	int a = twice(j, x, x->a, x->ca, x->d);

	v3c(j, V_PAND, T0, a, d ? VC_ABS_D : VC_ABS_S);
	v3c(j, greater, T0, T0, d ? VC_WHOLE_D : VC_WHOLE_S);
	v2(j, V_MOVMSKPS | (d ? V_66 : 0), RAX, T0);
	as_alu_ri(&j->as, false, ALU_AND, RAX, x->scalar ? 1 : 15);
	vec_slow_if(j, CC_NE, x->d);
	if (x->scalar)
		v3i(j, round_op(x->s, true), T1, a, a, 3 | ROUND_QUIETLY);
	else
		v2i(j, round_op(x->s, false), T1, a, 3 | ROUND_QUIETLY);
	v3(j, op_of(x, SUB), T0, a, T1);
	v3c(j, V_PAND, T0, T0, d ? VC_ABS_D : VC_ABS_S);
	v3c(j, greater, T0, T0, d ? VC_HALF_LESS_D : VC_HALF_LESS_S);
	v3c(j, V_PAND, T0, T0, d ? VC_1_D : VC_1_S);
	v3c(j, V_PAND, T1, T1, d ? VC_ABS_D : VC_ABS_S);
	v3(j, op_of(x, ADD), T1, T1, T0);
	v3c(j, V_PAND, T0, a, d ? VC_SIGN_D : VC_SIGN_S);
	v3(j, V_POR, x->d, T1, T0);
	return true;
}

static bool can_round_away(const struct jit *j, unsigned s, unsigned rm)
{
	return rm == IR_RM_TIEAWAY && (s == 2 || j->has_sse42);
}

static bool round_to_integral(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	int mode = round_mode(ir_vd_rm(desc));
	unsigned imm = (unsigned)mode | (desc & IR_VD_EXACT ? 0 : ROUND_QUIETLY);
	struct fx x;

	if (mode < 0) {
		if (desc & IR_VD_EXACT || !can_round_away(j, ir_vd_size(desc), ir_vd_rm(desc)))
			return false;
		x = start(j);
		round_away(j, &x);
		clear(j, &x, false);
		vec_rejoin(j);
		return true;
	}
	x = start(j);
	if (x.scalar) {
		v_zero(j, x.d);
		v3i(j, round_op(x.s, true), x.d, x.d, x.a, imm);
	} else {
		v2i(j, round_op(x.s, false), x.d, twice(j, &x, x.a, x.ca, T0), imm);
	}
	slow_if_nan(j, &x);
	clear(j, &x, true);
	vec_rejoin(j);
	return true;
}

/* Element 0 to an integer of 1 << to bytes. What does not fit, and some numbers that do, go the slow way. */
static bool to_integer(struct jit *j, unsigned to)
{
	uint32_t desc = vop_at(j)->aux, cvtt;
	int mode = round_mode(ir_vd_rm(desc));
	bool u = desc & IR_VD_U, w = to == 3, direct, away = can_round_away(j, ir_vd_size(desc), ir_vd_rm(desc));
	struct as *a = &j->as;
	struct fx x;
	int from;

	if ((mode < 0 && !away) || mode == 4 || ir_vd_imm(desc))
		return false;
	x = start(j);
	j->v[vop_at(j)->dst].clean = (uint8_t)to;
	cvtt = op_of(&x, 0x2c);
	direct = mode == 3 && !u;
	from = x.a;
	if (mode == 3 && u && has_avx512(j)) {
		v2(j, op_of(&x, 0x78) | V_EVEX | (w ? V_W : 0), RAX, x.a);
		as_alu_ri(a, w, ALU_CMP, RAX, -1);
		vec_slow_if(j, CC_E, x.d);
		direct = true;
	} else {
		if (away) {
			round_away(j, &x);
			from = x.d;
			mode = 3;     /* as exact as any other */
		} else if (!direct) { /* no flags from a number that does not fit */
			v3i(j, round_op(x.s, true), T0, x.a, x.a, (unsigned)mode | ROUND_QUIETLY);
			from = T0;
		}
		if (u && w) { /* the host's integer is signed */
			v2c(j, V_UCOMIS | (x.s == 3 ? V_66 : 0), from, x.s == 3 ? VC_2_63_D : VC_2_63_S);
			vec_slow_if(j, CC_AE, x.d);
		}
		v2(j, cvtt | (w || u ? V_W : 0), RAX, from);
		if (!u) {
			as_alu_ri(a, w, ALU_CMP, RAX, 1);
			vec_slow_if(j, CC_O, x.d);
		} else if (w) {
			as_rr(a, X_TEST | X_W, RAX, RAX);
			vec_slow_if(j, CC_S, x.d);
		} else {
			as_rr(a, X_MOV, RCX, RAX);
			as_rr(a, X_CMP | X_W, RCX, RAX);
			vec_slow_if(j, CC_NE, x.d);
		}
	}
	if (!direct)
		v3i(j, round_op(x.s, true), T0, x.a, x.a, (unsigned)mode);
	v2(j, V_MOVD | (w ? V_W : 0), x.d, RAX);
	vec_rejoin(j);
	return true;
}

/* The word that JavaScript makes of a double, and above it whether it is the same number, and not -0 */
static bool to_javascript_word(struct jit *j)
{
	struct as *a = &j->as;
	struct fx x = start(j);

	j->v[vop_at(j)->dst].clean = 3;
	v2(j, op_of(&x, 0x2c), RAX, x.a);
	as_alu_ri(a, false, ALU_CMP, RAX, 1);
	vec_slow_if(j, CC_O, x.d);
	if (has_avx(j)) {
		v_vex(j, op_of(&x, 0x2a), T0, x.a, RAX);
	} else {
		v_mov(j, T0, x.a);
		v_sse(j, op_of(&x, 0x2a), T0, RAX);
	}
	v2(j, V_MOVD_TO_X | V_W, T0, RDX);
	v2(j, V_MOVD_TO_X | V_W, x.a, RCX);
	as_rr(a, X_CMP | X_W, RCX, RDX);
	as_rr(a, X_SET(CC_E), 0, RCX);
	as_rr(a, X_MOVZX8 | X_BYTE, RCX, RCX);
	as_shift_ri(a, true, SH_SHL, RCX, 32);
	as_rr(a, X_OR | X_W, RAX, RCX);
	v2(j, V_MOVD | V_W, x.d, RAX);
	vec_rejoin(j);
	return true;
}

static bool to_integers(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	bool u = desc & IR_VD_U, d = ir_vd_size(desc) == 3, away = can_round_away(j, ir_vd_size(desc), ir_vd_rm(desc));
	int mode = round_mode(ir_vd_rm(desc)), from;
	struct fx x;

	if (desc & IR_VD_SCALAR)
		return to_integer(j, ir_vd_size(desc));
	if (ir_vd_imm(desc) || (mode < 0 && !away) || mode == 4 || ((u || d) && !has_avx512(j)))
		return false;
	x = start(j);
	if (away) {
		round_away(j, &x);
		from = x.d;
	} else {
		from = twice(j, &x, x.a, x.ca, T0);
		if (mode != 3) { /* no flags from a number that does not fit */
			v2i(j, round_op(x.s, false), T0, from, (unsigned)mode | ROUND_QUIETLY);
			from = T0;
		}
	}
	if (d)
		v2(j, (u ? VO(0x78) : VO(0x7a)) | V_W | V_EVEX, x.d, from);
	else if (u)
		v2(j, 0x78u | V_0F | V_EVEX, x.d, from);
	else
		v2(j, 0x5bu | V_F3 | V_0F, x.d, from);
	/* what the host gives for numbers that do not fit */
	if (u) {
		v_ones(j, T0);
		v3(j, d ? V_PCMPEQQ : V_PCMPEQD, T0, T0, x.d);
	} else {
		v3c(j, d ? V_PCMPEQQ : V_PCMPEQD, T0, x.d, d ? VC_SIGN_D : VC_SIGN_S);
	}
	slow_if_any(j, &x, T0);
	if (mode != 3) /* inexact? As any other way of rounding */
		v2i(j, round_op(x.s, false), T0, twice(j, &x, x.a, x.ca, T0), 3);
	clear(j, &x, true);
	vec_rejoin(j);
	return true;
}

/* From an integer of 1 << from bytes in element 0 */
static bool from_integer(struct jit *j, unsigned from, unsigned to)
{
	uint32_t desc = vop_at(j)->aux;
	bool u = desc & IR_VD_U, w = from == 3;
	struct fx x;

	if (ir_vd_imm(desc) || from < 2 || to < 2)
		return false;
	x = start(j);
	x.s = to;
	j->v[vop_at(j)->dst].clean = (uint8_t)to;
	v2(j, V_MOVD_TO_X | (w ? V_W : 0), x.a, RAX);
	v_zero(j, x.d);
	if (u && w) {
		if (has_avx512(j)) {
			v_vex(j, op_of(&x, 0x7b) | V_W | V_EVEX, x.d, x.d, RAX);
			return true;
		}
		as_rr(&j->as, X_TEST | X_W, RAX, RAX);
		vec_slow_if(j, CC_S, x.d);
	}
	if (has_avx(j))
		v_vex(j, op_of(&x, 0x2a) | (w || u ? V_W : 0), x.d, x.d, RAX);
	else
		v_sse(j, op_of(&x, 0x2a) | (w || u ? V_W : 0), x.d, RAX);
	vec_rejoin(j);
	return true;
}

static bool from_integers(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	bool u = desc & IR_VD_U, d = ir_vd_size(desc) == 3;
	struct fx x;

	if (desc & IR_VD_SCALAR)
		return from_integer(j, ir_vd_size(desc), ir_vd_size(desc));
	if (ir_vd_imm(desc) || ((u || d) && !has_avx512(j)))
		return false;
	x = start(j);
	x.a = twice(j, &x, x.a, x.ca, T0);
	if (d)
		v2(j, (u ? 0x7au : 0xe6u) | V_F3 | V_0F | V_W | V_EVEX, x.d, x.a);
	else if (u)
		v2(j, 0x7au | V_F2 | V_0F | V_EVEX, x.d, x.a);
	else
		v2(j, 0x5bu | V_0F, x.d, x.a);
	clear(j, &x, true);
	return true;
}

/* ---- half precision: conversions. Those of FPCR.AHP go the slow way. */

#define V_PH2PS VO38(0x13)
#define V_PS2PH VO3A(0x1d) /* the result is in the second register */

static void slow_if_alternative(struct jit *j, const struct fx *x)
{
	as_rm(&j->as, X_MOV, RAX, RBP, ENV(fpcr));
	as_alu_ri(&j->as, false, ALU_AND, RAX, IR_FPCR_AHP);
	vec_slow_if(j, CC_NE, x->d);
}

/* Halfwords of d, of which those above the lower four are zero: NaNs and the smallest normal number. */
static void slow_if_half_nan_or_min_normal(struct jit *j, const struct fx *x)
{
	v3c(j, V_PAND, T0, x->d, VC_ABS_H);
	v3c(j, VO(0x75), T1, T0, VC_MIN_NORMAL_H); /* pcmpeqw */
	v3c(j, VO(0x65), T0, T0, VC_INF_H);	   /* pcmpgtw */
	v3(j, V_POR, T0, T0, T1);
	v2(j, V_PMOVMSKB, RAX, T0);
	as_rr(&j->as, X_TEST, RAX, RAX);
	vec_slow_if(j, CC_NE, x->d);
}

/*
 * Arithmetic in half precision: made single, computed, and rounded a second time. The second rounding is innocuous:
 *  - products of 11 bits have 22, and are exact in 24;
 *  - sums and differences that need more than 24 bits are further from a number of 12 bits (the halves and what is in the middle
 *    between two) than 24 bits can tell, since then the smaller operand is less than a quarter of that distance; sums below the
 *    smallest normal number are multiples of the smallest subnormal one, and exact;
 *  - a quotient a / b that is not such a number m differs from it by (a - m * b) / b, at least 2^-22 of it: a - m * b has 22 bits;
 *  - for roots, which are never subnormal, it is known (Figueroa, "When is double rounding innocuous?": 24 >= 2 * 11 + 2);
 *  - in the rounding modes with a direction any rounding of that direction before is.
 * So PE is raised by either, UE and OE by the second as the guest has them (but for the smallest normal number, see above).
 *
 * A product that is added to is not so: the sum is of up to 65 bits. If the single is not in the middle between two halves, it is on
 * the side of all middles that the sum is on; then only its exactness may be lost, which matters below the smallest normal number.
 * Both go the slow way.
 */
#define V_PCMPEQW VO(0x75)
#define V_PCMPGTW VO(0x65)
#define V_PSUBW VO(0xf9)
#define V_ZEROUPPER 0x77u

static void slow_if_fz16(struct jit *j, const struct fx *x)
{
	as_rm(&j->as, X_MOV, RAX, RBP, ENV(fpcr));
	as_alu_ri(&j->as, false, ALU_AND, RAX, (int32_t)IR_FPCR_FZ16);
	vec_slow_if(j, CC_NE, x->d);
}

static void zero_upper(struct jit *j, const struct fx *x)
{
	if (!x->q)
		return;
	as_8(&j->as, 0xc5);
	as_8(&j->as, 0xf8);
	as_8(&j->as, V_ZEROUPPER);
}

static struct fx start_half(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	struct fx x = {.s = 2, /* what it is computed in */
		       .scalar = op->aux & IR_VD_SCALAR,
		       .q = op->aux & IR_VD_Q && !(op->aux & IR_VD_SCALAR),
		       .neg = op->aux & IR_VD_NEG,
		       .nega = op->aux & IR_VD_NEGA};

	x.a = vreg_use(j, op->a);
	x.b = op->b ? vreg_use(j, op->b) : T1;
	x.c = op->c ? vreg_use(j, op->c) : T1;
	x.d = vreg_def(j, op->dst, x.scalar ? 2 : x.q ? 4 : 3);
	slow_if_fz16(j, &x);
	return x;
}

/* d = the halves of a, as singles */
static void to_singles(struct jit *j, const struct fx *x, int d, int a)
{
	if (x->scalar) {
		v_zero(j, d);
		v3i(j, V_PBLENDW, d, d, a, 1);
		a = d;
	}
	v2(j, V_PH2PS | (x->q ? V_L : 0), d, a);
}

/* x->d = the singles of a, which upper halves of registers are in no more */
static void to_halves(struct jit *j, const struct fx *x, int a)
{
	v2i(j, V_PS2PH | (x->q ? V_L : 0), a, x->d, 4);
	zero_upper(j, x);
}

static bool arithmetic_half(struct jit *j, uint32_t host)
{
	unsigned wide;
	struct fx x;

	if (!has_avx(j))
		return false;
	x = start_half(j);
	wide = x.q ? V_L : 0;
	to_singles(j, &x, T0, x.a);
	if (host == SQRT) {
		if (x.scalar)
			v3(j, op_of(&x, SQRT), T0, T0, T0);
		else
			v2(j, op_of(&x, SQRT) | wide, T0, T0);
	} else {
		to_singles(j, &x, T1, x.b);
		v3(j, op_of(&x, host) | wide, T0, T0, T1);
	}
	to_halves(j, &x, T0);
	slow_if_half_nan_or_min_normal(j, &x);
	if (vop_at(j)->imm == IR_VOP_fabd)
		v3c(j, V_PAND, x.d, x.d, VC_ABS_H);
	if (x.neg) {
		v2c(j, V_MOVAPS, T0, VC_SIGN_H);
		if (x.scalar)
			v_shift(j, V_SHIFT_Q, VSH_SRLDQ, T0, T0, 14);
		else if (!x.q)
			v_clear_above(j, 3, T0);
		v3(j, V_PXOR, x.d, x.d, T0);
	}
	vec_rejoin(j);
	return true;
}

static bool multiply_add_half(struct jit *j)
{
	unsigned wide;
	struct fx x;

	if (!has_avx(j))
		return false;
	x = start_half(j);
	wide = x.q ? V_L : 0;
	to_singles(j, &x, x.d, x.c);
	to_singles(j, &x, T0, x.a);
	to_singles(j, &x, T1, x.b);
	v3(j, fma_op(&x) | wide, x.d, T0, T1);
	v_shift(j, V_SHIFT_D | wide, VSH_SLL, T0, x.d,
		19); /* what a half has not of the fraction: 1000... is the middle */
	v3(j, V_PCMPEQD | wide, T1, T1, T1);
	v_shift(j, V_SHIFT_D | wide, VSH_SLL, T1, T1, 31);
	v3(j, V_PCMPEQD | wide, T0, T0, T1);
	v2(j, V_MOVMSKPS | wide, RAX, T0);
	as_rr(&j->as, X_TEST, RAX, RAX);
	vec_slow_if(j, CC_NE, x.d); /* before the second rounding, which may overflow where the sum does not */
	to_halves(j, &x, x.d);
	v3c(j, V_PAND, T0, x.d, VC_ABS_H);
	v3c(j, V_PCMPGTW, T1, T0, VC_INF_H);
	v3c(j, V_PSUBW, T0, T0, VC_ONE_H);
	v_shift(j, V_SHIFT_W, VSH_SRL, T0, T0, 10); /* 0 of 1 to 0x400 */
	v2(j, V_PMOVMSKB, RAX, T1);
	v_zero(j, T1);
	v3(j, V_PCMPEQW, T0, T0, T1);
	v2(j, V_PMOVMSKB, RCX, T0);
	as_rr(&j->as, X_OR, RAX, RCX);
	vec_slow_if(j, CC_NE, x.d);
	vec_rejoin(j);
	return true;
}

static bool half(struct jit *j)
{
	switch (vop_at(j)->imm) {
	case IR_VOP_fadd: return arithmetic_half(j, ADD);
	case IR_VOP_fsub:
	case IR_VOP_fabd: return arithmetic_half(j, SUB);
	case IR_VOP_fmul: return arithmetic_half(j, MUL);
	case IR_VOP_fdiv: return arithmetic_half(j, DIV);
	case IR_VOP_fsqrt: return arithmetic_half(j, SQRT);
	case IR_VOP_fmla: return multiply_add_half(j);
	default: return false;
	}
}

static bool convert_half(struct jit *j, unsigned from, unsigned to)
{
	struct fx x;

	if (!has_avx(j) || from == 3)
		return false;
	x = start(j);
	x.s = to;
	j->v[vop_at(j)->dst].clean = 2;
	slow_if_alternative(j, &x);
	if (from == 1) {
		v2i(j, V_PEXTRW, x.a, RAX, 0);
		v2(j, V_MOVD, T0, RAX);
		if (to == 2) {
			v2(j, V_PH2PS, x.d, T0);
		} else {
			j->v[vop_at(j)->dst].clean = 3;
			v2(j, V_PH2PS, T0, T0);
			scalar_unary(j, 0x5au | V_F3 | V_0F, x.d, T0);
		}
		slow_if_nan(j, &x);
	} else {
		v3i(j, V_INSERTPS, T0, x.a, x.a, 0x0e);
		v2i(j, V_PS2PH, T0, x.d, 4);
		slow_if_half_nan_or_min_normal(j, &x);
	}
	vec_rejoin(j);
	return true;
}

static bool lengthen_half(struct jit *j)
{
	struct fx x = {.s = 2, .q = true};
	int from;

	if (!has_avx(j))
		return false;
	from = x.a = vreg_use(j, vop_at(j)->a);
	x.d = vreg_def(j, vop_at(j)->dst, 4);
	slow_if_alternative(j, &x);
	if (vop_at(j)->aux & IR_VD_HI) {
		v2i(j, V_PSHUFD, T0, x.a, 0xee);
		from = T0;
	}
	v2(j, V_PH2PS, x.d, from);
	slow_if_nan(j, &x);
	vec_rejoin(j);
	return true;
}

static bool narrow_half(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	bool hi = desc & IR_VD_HI;
	struct fx x = {.s = 1, .q = true};

	if (!has_avx(j) || desc & IR_VD_SCALAR || ir_vd_rm(desc) != IR_RM_FPCR)
		return false;
	x.a = vreg_use(j, vop_at(j)->a);
	if (hi)
		x.c = vreg_use(j, vop_at(j)->c);
	x.d = vreg_def(j, vop_at(j)->dst, hi ? 4 : 3);
	slow_if_alternative(j, &x);
	v2i(j, V_PS2PH, x.a, x.d, 4);
	slow_if_half_nan_or_min_normal(j, &x);
	if (hi) {
		v_mov(j, T0, x.d);
		v3(j, V_PUNPCKLQDQ, x.d, x.c, T0);
	}
	vec_rejoin(j);
	return true;
}

static bool convert(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	unsigned from = ir_vd_size(desc), to = ir_vd_to(desc);
	struct fx x;

	if (from < 2 || to < 2)
		return convert_half(j, from, to);
	x = start(j);
	scalar_unary(j, op_of(&x, 0x5a), x.d, x.a);
	x.s = to;
	j->v[vop_at(j)->dst].clean = (uint8_t)to;
	if (to == 2)
		slow_if_nan_or_min_normal(j, &x);
	else
		slow_if_nan(j, &x);
	vec_rejoin(j);
	return true;
}

static bool lengthen(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	struct fx x = {.s = 3, .q = true};
	int from;

	if (ir_vd_size(desc) == 1)
		return lengthen_half(j);
	from = x.a = vreg_use(j, vop_at(j)->a);
	x.d = vreg_def(j, vop_at(j)->dst, 4);
	if (desc & IR_VD_HI) {
		v2i(j, V_PSHUFD, T0, x.a, 0xee);
		from = T0;
	}
	v2(j, 0x5au | V_0F, x.d, from);
	slow_if_nan(j, &x);
	vec_rejoin(j);
	return true;
}

static bool narrow(struct jit *j)
{
	uint32_t desc = vop_at(j)->aux;
	bool hi = desc & IR_VD_HI;
	struct fx x = {.s = 2, .q = true};

	if (ir_vd_size(desc) == 1)
		return narrow_half(j);
	if (desc & IR_VD_SCALAR || ir_vd_rm(desc) != IR_RM_FPCR)
		return false;
	x.a = vreg_use(j, vop_at(j)->a);
	if (hi)
		x.c = vreg_use(j, vop_at(j)->c);
	x.d = vreg_def(j, vop_at(j)->dst, hi ? 4 : 3);
	v2(j, 0x5au | V_66 | V_0F, x.d, x.a);
	slow_if_nan_or_min_normal(j, &x);
	if (hi) {
		v_mov(j, T0, x.d);
		v3(j, V_PUNPCKLQDQ, x.d, x.c, T0);
	}
	vec_rejoin(j);
	return true;
}

/* ---- */

bool vec_fp_op(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);

	if (op->imm < IR_VOP_fadd || op->imm > IR_VOP_fcmla)
		return false;
	if (op->imm == IR_VOP_fabs || op->imm == IR_VOP_fneg)
		return sign(j, op->imm == IR_VOP_fneg);
	if (!j->fp_native)
		return false;
	switch (op->imm) { /* what has halves in it */
	case IR_VOP_fcvt: return convert(j);
	case IR_VOP_fcvtl: return lengthen(j);
	case IR_VOP_fcvtn: return narrow(j);
	}
	if (ir_vd_size(op->aux) < 2)
		return half(j);
	switch (op->imm) {
	case IR_VOP_fadd: return arithmetic(j, ADD);
	case IR_VOP_fsub:
	case IR_VOP_fabd: return arithmetic(j, SUB);
	case IR_VOP_fmul: return arithmetic(j, MUL);
	case IR_VOP_fdiv: return arithmetic(j, DIV);
	case IR_VOP_fmax:
	case IR_VOP_fmaxnm: return max_min(j, true);
	case IR_VOP_fmin:
	case IR_VOP_fminnm: return max_min(j, false);
	case IR_VOP_fmla: return multiply_add(j);
	case IR_VOP_fcmeq: return compare(j, CMP_EQ, false);
	case IR_VOP_fcmge: return compare(j, CMP_LE, false);
	case IR_VOP_fcmgt: return compare(j, CMP_LT, false);
	case IR_VOP_facge: return compare(j, CMP_LE, true);
	case IR_VOP_facgt: return compare(j, CMP_LT, true);
	case IR_VOP_fsqrt: return square_root(j);
	case IR_VOP_frint: return round_to_integral(j);
	case IR_VOP_fcvtz: return to_integers(j);
	case IR_VOP_fcvtz_x: return to_integer(j, ir_vd_to(op->aux));
	case IR_VOP_fjcvtzs: return to_javascript_word(j);
	case IR_VOP_fcadd: return complex_add(j);
	case IR_VOP_fcmla: return complex_multiply_add(j);
	case IR_VOP_scvtf: return from_integers(j);
	case IR_VOP_scvtf_x: return from_integer(j, ir_vd_size(op->aux), ir_vd_to(op->aux));
	default: return false;
	}
}
