/* SPDX-License-Identifier: MIT */
/*
 * Integer vector operations and permutations: Arm ARM DDI 0487, "A64 Advanced SIMD and Floating-point Instructions".
 * An operation is a function on one element; macros map it over the elements for each size. Only saturation touches
 * guest state (FPSR.QC). Floating point is in fp.c, cryptography in crypto.c.
 */
#include "vec.h"

typedef __int128 i128;

#define VOP_ARGS \
	struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b, const union ir_v128 *c, \
		uint32_t desc

static inline bool is_unsigned(uint32_t desc)
{
	return desc & IR_VD_U;
}

static inline bool rounds(uint32_t desc)
{
	return desc & IR_VD_RND;
}

static inline bool negates(uint32_t desc)
{
	return desc & IR_VD_NEG;
}

/* An element as the number it is: signed unless desc says unsigned. */
IR_INLINE i128 number(uint64_t x, unsigned s, uint32_t desc)
{
	return desc & IR_VD_U ? (i128)x : (i128)ir_vsext(x, s);
}

IR_INLINE uint64_t sat_signed(struct ir_env *env, i128 v, unsigned s)
{
	const i128 max = (i128)(ir_vmask(s) >> 1);

	if (v > max || v < -max - 1) {
		env->fpsr |= IR_FPSR_QC;
		v = v > 0 ? max : -max - 1;
	}
	return (uint64_t)v;
}

IR_INLINE uint64_t sat_unsigned(struct ir_env *env, i128 v, unsigned s)
{
	const i128 max = (i128)ir_vmask(s);

	if (v > max || v < 0) {
		env->fpsr |= IR_FPSR_QC;
		v = v > 0 ? max : 0;
	}
	return (uint64_t)v;
}

IR_INLINE uint64_t saturate(struct ir_env *env, i128 v, unsigned s, bool uns)
{
	return uns ? sat_unsigned(env, v, s) : sat_signed(env, v, s);
}

/*
 * v * 2^sh, rounded down, or to nearest with ties up. |v| < 2^64. Left shifts by 64 and more give a number that
 * saturates in any size and has 64 low bits of zero.
 */
IR_INLINE i128 shift(i128 v, int sh, bool rnd)
{
	if (sh >= 64)
		return v == 0 ? 0 : v < 0 ? -((i128)1 << 100) : (i128)1 << 100;
	if (sh >= 0)
		return v * ((i128)1 << sh);
	if (sh < -100)
		sh = -100;
	if (rnd)
		v += (i128)1 << (-sh - 1);
	return v >> -sh;
}

/* ---- element by element */

#define ELEM(name) \
	IR_INLINE uint64_t el_##name(struct ir_env *env, unsigned s, uint64_t x, uint64_t y, uint64_t z, uint32_t desc)

#define MAP_N(name, s, arity, n) \
	for (unsigned i = 0; i < (n); i++) \
	ir_vset(&r, s, i, \
		el_##name(env, s, ir_vget(a, s, i), (arity) > 1 ? ir_vget(b, s, i) : 0, \
			  (arity) > 2 ? ir_vget(c, s, i) : 0, desc))

/* The loops have constant bounds, so that the C compiler makes vector instructions of them without a tail. */
#define MAP(name, s, arity) \
	if (desc & IR_VD_SCALAR) \
		MAP_N(name, s, arity, 1); \
	else if (desc & IR_VD_Q) \
		MAP_N(name, s, arity, 16 >> (s)); \
	else \
		MAP_N(name, s, arity, 8 >> (s))

#define VOP_MAP(name, arity) \
	void ir_vop_##name(VOP_ARGS) \
	{ \
		union ir_v128 r = {0}; \
		switch (ir_vd_size(desc)) { \
		case 0: MAP(name, 0, arity); break; \
		case 1: MAP(name, 1, arity); break; \
		case 2: MAP(name, 2, arity); break; \
		default: MAP(name, 3, arity); break; \
		} \
		*d = r; \
	}

/* An operation whose element is an expression of x, y, z. */
#define VOP_EXPR(name, arity, ...) \
	ELEM(name) \
	{ \
		return __VA_ARGS__; \
	} \
	VOP_MAP(name, arity)

VOP_EXPR(vabs, 1, ir_vsext(x, s) < 0 ? -x : x)
VOP_EXPR(vneg, 1, -x)
VOP_EXPR(sqabs, 1, sat_signed(env, ir_vsext(x, s) < 0 ? -(i128)ir_vsext(x, s) : ir_vsext(x, s), s))
VOP_EXPR(sqneg, 1, sat_signed(env, -(i128)ir_vsext(x, s), s))
VOP_EXPR(vclz, 1, x ? (unsigned)__builtin_clzll(x) - (64 - ir_vbits(s)) : ir_vbits(s))
VOP_EXPR(vcls, 1, el_vclz(env, s, (x ^ (x >> 1)) & (ir_vmask(s) >> 1), 0, 0, desc) - 1)
VOP_EXPR(vcnt, 1, (unsigned)__builtin_popcountll(x))

ELEM(vrbit)
{
	x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
	x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
	x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
	return __builtin_bswap64(x) >> (64 - ir_vbits(s));
}
VOP_MAP(vrbit, 1)

VOP_EXPR(add, 2, x + y)
VOP_EXPR(sub, 2, x - y)
VOP_EXPR(mul, 2, (x * y))
VOP_EXPR(mla, 3, negates(desc) ? z - (x * y) : z + (x * y))

VOP_EXPR(hadd, 2, (uint64_t)((number(x, s, desc) + number(y, s, desc) + !!(desc & IR_VD_RND)) >> 1))
VOP_EXPR(hsub, 2, (uint64_t)((number(x, s, desc) - number(y, s, desc)) >> 1))
VOP_EXPR(qadd, 2, saturate(env, number(x, s, desc) + number(y, s, desc), s, is_unsigned(desc)))
VOP_EXPR(qsub, 2, saturate(env, number(x, s, desc) - number(y, s, desc), s, is_unsigned(desc)))
VOP_EXPR(suqadd, 3, sat_signed(env, (i128)ir_vsext(z, s) + x, s))
VOP_EXPR(usqadd, 3, sat_unsigned(env, (i128)z + ir_vsext(x, s), s))

IR_INLINE bool greater(uint64_t x, uint64_t y, unsigned s, uint32_t desc)
{
	return desc & IR_VD_U ? x > y : ir_vsext(x, s) > ir_vsext(y, s);
}

VOP_EXPR(vmax, 2, greater(x, y, s, desc) ? x : y)
VOP_EXPR(vmin, 2, greater(x, y, s, desc) ? y : x)
VOP_EXPR(abd, 2, greater(x, y, s, desc) ? x - y : y - x)
VOP_EXPR(aba, 3, z + el_abd(env, s, x, y, 0, desc))
VOP_EXPR(cmeq, 2, -(uint64_t)(x == y))
VOP_EXPR(cmgt, 2, -(uint64_t)greater(x, y, s, desc))
VOP_EXPR(cmge, 2, -(uint64_t)!greater(y, x, s, desc))
VOP_EXPR(cmtst, 2, -(uint64_t)((x & y) != 0))

ELEM(sqdmulh)
{
	i128 p = (i128)ir_vsext(x, s) * ir_vsext(y, s) * 2;

	if (desc & IR_VD_RND)
		p += (i128)1 << (ir_vbits(s) - 1);
	return sat_signed(env, p >> ir_vbits(s), s);
}
VOP_MAP(sqdmulh, 2)

ELEM(sqrdmlah) /* halfwords and words only */
{
	i128 p = (i128)ir_vsext(x, s) * ir_vsext(y, s) * 2;
	i128 acc = (i128)ir_vsext(z, s) * ((i128)1 << ir_vbits(s));

	acc += (desc & IR_VD_NEG ? -p : p) + ((i128)1 << (ir_vbits(s) - 1));
	return sat_signed(env, acc >> ir_vbits(s), s);
}
VOP_MAP(sqrdmlah, 3)

VOP_EXPR(shl_reg, 2, (uint64_t)shift(number(x, s, desc), (int8_t)y, rounds(desc)))
VOP_EXPR(qshl_reg, 2, saturate(env, shift(number(x, s, desc), (int8_t)y, rounds(desc)), s, is_unsigned(desc)))

VOP_EXPR(shl, 1, x << ir_vd_imm(desc))
VOP_EXPR(shr, 1, (uint64_t)shift(number(x, s, desc), -(int)ir_vd_imm(desc), rounds(desc)))
VOP_EXPR(sra, 3, z + el_shr(env, s, x, 0, 0, desc))
VOP_EXPR(sli, 3, x << ir_vd_imm(desc) | (z & (((uint64_t)1 << ir_vd_imm(desc)) - 1)))

ELEM(sri)
{
	unsigned n = ir_vd_imm(desc); /* 1..element size */
	uint64_t mask = n > 63 ? 0 : ir_vmask(s) >> n;

	return (n > 63 ? 0 : x >> n) | (z & ~mask);
}
VOP_MAP(sri, 3)

VOP_EXPR(qshl, 1, saturate(env, shift(number(x, s, desc), (int)ir_vd_imm(desc), false), s, is_unsigned(desc)))
VOP_EXPR(sqshlu, 1, sat_unsigned(env, shift(ir_vsext(x, s), (int)ir_vd_imm(desc), false), s))

IR_INLINE uint64_t clmul8(uint64_t x, uint64_t y)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < 8; i++)
		r ^= (y >> i & 1) * (x << i);
	return r;
}

void ir_vop_pmul(VOP_ARGS)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, 0); i++)
		r.b[i] = (uint8_t)clmul8(a->b[i], b->b[i]);
	*d = r;
}

/* ---- narrowing: x, y are elements of size s + 1 */

#define NARROW(name, s, arity) \
	do { \
		unsigned n = desc & IR_VD_SCALAR ? 1 : 8u >> (s), to = desc & IR_VD_HI ? n : 0; \
		for (unsigned i = 0; i < n; i++) \
			ir_vset(&r, s, to + i, \
				el_##name(env, s, ir_vget(a, (s) + 1, i), (arity) > 1 ? ir_vget(b, (s) + 1, i) : 0, 0, \
					  desc)); \
	} while (0)

#define VOP_NARROW(name, arity) \
	void ir_vop_##name(VOP_ARGS) \
	{ \
		union ir_v128 r = {.d = {desc & IR_VD_HI ? c->d[0] : 0, 0}}; \
		switch (ir_vd_size(desc)) { \
		case 0: NARROW(name, 0, arity); break; \
		case 1: NARROW(name, 1, arity); break; \
		default: NARROW(name, 2, arity); break; \
		} \
		*d = r; \
	}

#define VOP_NARROW_EXPR(name, arity, ...) \
	ELEM(name) \
	{ \
		return __VA_ARGS__; \
	} \
	VOP_NARROW(name, arity)

VOP_NARROW_EXPR(shrn, 1, (uint64_t)shift((i128)x, -(int)ir_vd_imm(desc), rounds(desc)))
ELEM(qshrn)
{
	i128 v = shift(number(x, s + 1, desc), -(int)ir_vd_imm(desc), desc & IR_VD_RND);

	return saturate(env, v, s, desc & IR_VD_U);
}
VOP_NARROW(qshrn, 1)
VOP_NARROW_EXPR(qshrun, 1, sat_unsigned(env, shift(ir_vsext(x, s + 1), -(int)ir_vd_imm(desc), rounds(desc)), s))

IR_INLINE uint64_t high_half(uint64_t x, unsigned s, uint32_t desc)
{
	if (desc & IR_VD_RND)
		x += (uint64_t)1 << (ir_vbits(s) - 1);
	return x >> ir_vbits(s);
}

VOP_NARROW_EXPR(addhn, 2, high_half(x + y, s, desc))
VOP_NARROW_EXPR(subhn, 2, high_half(x - y, s, desc))

/* ---- widening: x, y are elements of size s extended to 64 bits (x of size s + 1 if wide), z is one of size s + 1 */

IR_INLINE uint64_t extend(uint64_t x, unsigned s, uint32_t desc)
{
	return desc & IR_VD_U ? x : (uint64_t)ir_vsext(x, s);
}

#define WIDEN(name, s, arity, wide) \
	do { \
		unsigned n = desc & IR_VD_SCALAR ? 1 : 8u >> (s), from = desc & IR_VD_HI ? n : 0; \
		for (unsigned i = 0; i < n; i++) { \
			uint64_t x = (wide) ? ir_vget(a, (s) + 1, i) : extend(ir_vget(a, s, from + i), s, desc); \
			uint64_t y = (arity) > 1 ? extend(ir_vget(b, s, from + i), s, desc) : 0; \
			uint64_t z = (arity) > 2 ? ir_vget(c, (s) + 1, i) : 0; \
			ir_vset(&r, (s) + 1, i, el_##name(env, s, x, y, z, desc)); \
		} \
	} while (0)

#define VOP_WIDEN(name, arity, wide) \
	void ir_vop_##name(VOP_ARGS) \
	{ \
		union ir_v128 r = {0}; \
		switch (ir_vd_size(desc)) { \
		case 0: WIDEN(name, 0, arity, wide); break; \
		case 1: WIDEN(name, 1, arity, wide); break; \
		default: WIDEN(name, 2, arity, wide); break; \
		} \
		*d = r; \
	}

#define VOP_WIDEN_EXPR(name, arity, wide, ...) \
	ELEM(name) \
	{ \
		return __VA_ARGS__; \
	} \
	VOP_WIDEN(name, arity, wide)

VOP_WIDEN_EXPR(shll, 1, false, x << ir_vd_imm(desc))
VOP_WIDEN_EXPR(addl, 2, false, x + y)
VOP_WIDEN_EXPR(subl, 2, false, x - y)
VOP_WIDEN_EXPR(addw, 2, true, x + y)
VOP_WIDEN_EXPR(subw, 2, true, x - y)
/* Both operands are extended to 64 bits, so the signed difference of words does not overflow. */
VOP_WIDEN_EXPR(abdl, 2, false, (int64_t)x > (int64_t)y ? x - y : y - x)
VOP_WIDEN_EXPR(abal, 3, false, z + el_abdl(env, s, x, y, 0, desc))
VOP_WIDEN_EXPR(mull, 2, false, (x * y))
VOP_WIDEN_EXPR(mlal, 3, false, negates(desc) ? z - (x * y) : z + (x * y))
VOP_WIDEN_EXPR(sqdmull, 2, false, sat_signed(env, 2 * ((i128)(int64_t)x * (int64_t)y), s + 1))

ELEM(sqdmlal)
{
	i128 p = ir_vsext(sat_signed(env, (i128)(int64_t)x * (int64_t)y * 2, s + 1), s + 1);

	return sat_signed(env, ir_vsext(z, s + 1) + (desc & IR_VD_NEG ? -p : p), s + 1);
}
VOP_WIDEN(sqdmlal, 3, false)

/* 64 by 64 bits, four at a time */
static unsigned __int128 clmul64(uint64_t x, uint64_t y)
{
	unsigned __int128 multiple[16] = {0, x}, r = 0;

	for (unsigned i = 2; i < 16; i++)
		multiple[i] = multiple[i / 2] << 1 ^ multiple[i & 1];
	for (int i = 60; i >= 0; i -= 4)
		r = r << 4 ^ multiple[y >> i & 15];
	return r;
}

void ir_vop_pmull(VOP_ARGS)
{
	union ir_v128 r = {0};
	unsigned hi = !!(desc & IR_VD_HI);

	if (ir_vd_size(desc) == 0) {
		for (unsigned i = 0; i < 8; i++)
			r.h[i] = (uint16_t)clmul8(a->b[hi * 8 + i], b->b[hi * 8 + i]);
	} else {
		unsigned __int128 p = clmul64(a->d[hi], b->d[hi]);

		r.d[0] = (uint64_t)p;
		r.d[1] = (uint64_t)(p >> 64);
	}
	*d = r;
}

/* ---- neighbours and whole registers */

static void addlp(const union ir_v128 *a, uint32_t desc, union ir_v128 *r)
{
	unsigned s = ir_vd_size(desc);

	for (unsigned i = 0; i < ir_vd_count(desc, s) / 2; i++) {
		uint64_t sum = extend(ir_vget(a, s, 2 * i), s, desc) + extend(ir_vget(a, s, 2 * i + 1), s, desc);

		ir_vset(r, s + 1, i, ir_vget(r, s + 1, i) + sum);
	}
}

void ir_vop_addlp(VOP_ARGS)
{
	union ir_v128 r = {0};

	addlp(a, desc, &r);
	*d = r;
}

void ir_vop_adalp(VOP_ARGS)
{
	union ir_v128 r = {.d = {c->d[0], desc & IR_VD_Q ? c->d[1] : 0}};

	addlp(a, desc, &r);
	*d = r;
}

static uint64_t sum(const union ir_v128 *a, uint32_t desc)
{
	unsigned s = ir_vd_size(desc);
	uint64_t r = 0;

	for (unsigned i = 0; i < ir_vd_count(desc, s); i++)
		r += extend(ir_vget(a, s, i), s, desc);
	return r;
}

void ir_vop_addv(VOP_ARGS)
{
	*d = (union ir_v128){.d = {sum(a, desc) & ir_vmask(ir_vd_size(desc)), 0}};
}

void ir_vop_addlv(VOP_ARGS)
{
	*d = (union ir_v128){.d = {sum(a, desc) & ir_vmask(ir_vd_size(desc) + 1), 0}};
}

static uint64_t extreme(const union ir_v128 *a, uint32_t desc, bool min)
{
	unsigned s = ir_vd_size(desc);
	uint64_t r = ir_vget(a, s, 0);

	for (unsigned i = 1; i < ir_vd_count(desc, s); i++) {
		uint64_t x = ir_vget(a, s, i);

		if (greater(x, r, s, desc) != min)
			r = x;
	}
	return r;
}

void ir_vop_maxv(VOP_ARGS)
{
	*d = (union ir_v128){.d = {extreme(a, desc, false), 0}};
}

void ir_vop_minv(VOP_ARGS)
{
	*d = (union ir_v128){.d = {extreme(a, desc, true), 0}};
}

/* Sum of n products of bytes of a from i on and of b from j on. */
IR_INLINE uint32_t dot(const union ir_v128 *a, unsigned i, bool ua, const union ir_v128 *b, unsigned j, bool ub,
		       unsigned n)
{
	int32_t sum = 0;

	for (unsigned k = 0; k < n; k++)
		sum += (ua ? a->b[i + k] : a->sb[i + k]) * (ub ? b->b[j + k] : b->sb[j + k]);
	return (uint32_t)sum;
}

IR_INLINE void dots(union ir_v128 *d, const union ir_v128 *a, bool ua, const union ir_v128 *b, bool ub,
		    const union ir_v128 *c, uint32_t desc)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, 2); i++)
		r.s[i] = c->s[i] + dot(a, 4 * i, ua, b, 4 * i, ub, 4);
	*d = r;
}

void ir_vop_dot(VOP_ARGS)
{
	dots(d, a, desc & IR_VD_U, b, desc & IR_VD_U, c, desc);
}

void ir_vop_usdot(VOP_ARGS)
{
	dots(d, a, true, b, false, c, desc);
}

IR_INLINE void matmul(union ir_v128 *d, const union ir_v128 *a, bool ua, const union ir_v128 *b, bool ub,
		      const union ir_v128 *c)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < 4; i++)
		r.s[i] = c->s[i] + dot(a, i / 2 * 8, ua, b, i % 2 * 8, ub, 8);
	*d = r;
}

void ir_vop_mmla(VOP_ARGS)
{
	matmul(d, a, desc & IR_VD_U, b, desc & IR_VD_U, c);
}

void ir_vop_usmmla(VOP_ARGS)
{
	matmul(d, a, true, b, false, c);
}

/* ---- bits of the whole register */

#define VOP_BITS(name, expr) \
	void ir_vop_##name(VOP_ARGS) \
	{ \
		union ir_v128 r = {0}; \
		for (unsigned i = 0; i < (desc & IR_VD_Q ? 2 : 1); i++) \
			r.d[i] = expr; \
		*d = r; \
	}

VOP_BITS(vmov, a->d[i])
VOP_BITS(vand, a->d[i] & b->d[i])
VOP_BITS(vbic, a->d[i] & ~b->d[i])
VOP_BITS(vorr, a->d[i] | b->d[i])
VOP_BITS(vorn, a->d[i] | ~b->d[i])
VOP_BITS(veor, a->d[i] ^ b->d[i])
VOP_BITS(vnot, ~a->d[i])
VOP_BITS(vbsl, (a->d[i] & b->d[i]) | (~a->d[i] & c->d[i]))

/* ---- permutations: element i of the result is the element that expr names */

#define VOP_PERMUTE(name, expr) \
	IR_INLINE uint64_t el_##name(const union ir_v128 *a, const union ir_v128 *b, const union ir_v128 *c, \
				     unsigned s, unsigned i, unsigned n, uint32_t desc) \
	{ \
		return expr; \
	} \
	void ir_vop_##name(VOP_ARGS) \
	{ \
		union ir_v128 r = {0}; \
		unsigned s = ir_vd_size(desc), n = ir_vd_count(desc, s); \
		switch (s) { \
		case 0: \
			for (unsigned i = 0; i < n; i++) \
				r.b[i] = (uint8_t)el_##name(a, b, c, 0, i, n, desc); \
			break; \
		case 1: \
			for (unsigned i = 0; i < n; i++) \
				r.h[i] = (uint16_t)el_##name(a, b, c, 1, i, n, desc); \
			break; \
		case 2: \
			for (unsigned i = 0; i < n; i++) \
				r.s[i] = (uint32_t)el_##name(a, b, c, 2, i, n, desc); \
			break; \
		default: \
			for (unsigned i = 0; i < n; i++) \
				r.d[i] = el_##name(a, b, c, 3, i, n, desc); \
			break; \
		} \
		*d = r; \
	}

/* Element k of the registers lo and hi of n elements each, seen as one. */
IR_INLINE uint64_t of_two(const union ir_v128 *lo, const union ir_v128 *hi, unsigned s, unsigned k, unsigned n)
{
	return k < n ? ir_vget(lo, s, k) : ir_vget(hi, s, k - n);
}

VOP_PERMUTE(dup, ir_vget(a, s, ir_vd_imm(desc)))
VOP_PERMUTE(vrev, ir_vget(a, s, i ^ ((1u << (ir_vd_imm(desc) - s)) - 1)))
VOP_PERMUTE(zip1, ir_vget(i & 1 ? b : a, s, i / 2))
VOP_PERMUTE(zip2, ir_vget(i & 1 ? b : a, s, n / 2 + i / 2))
VOP_PERMUTE(uzp1, of_two(a, b, s, 2 * i, n))
VOP_PERMUTE(uzp2, of_two(a, b, s, 2 * i + 1, n))
VOP_PERMUTE(trn1, ir_vget(i & 1 ? b : a, s, i & ~1u))
VOP_PERMUTE(trn2, ir_vget(i & 1 ? b : a, s, i | 1))
VOP_PERMUTE(ext, of_two(a, b, s, i + ir_vd_imm(desc), n))

IR_INLINE uint64_t of_three(const union ir_v128 *a, const union ir_v128 *b, const union ir_v128 *c, unsigned s,
			    unsigned k, unsigned n)
{
	return k < n ? ir_vget(a, s, k) : k < 2 * n ? ir_vget(b, s, k - n) : ir_vget(c, s, k - 2 * n);
}

VOP_PERMUTE(deint3, of_three(a, b, c, s, 3 * i + ir_vd_imm(desc), n))

IR_INLINE uint64_t interleaved3(const union ir_v128 *a, const union ir_v128 *b, const union ir_v128 *c, unsigned s,
				unsigned k)
{
	return ir_vget(k % 3 == 0 ? a : k % 3 == 1 ? b : c, s, k / 3);
}

VOP_PERMUTE(int3, interleaved3(a, b, c, s, ir_vd_imm(desc) * n + i))

void ir_vop_ins(VOP_ARGS)
{
	union ir_v128 r = *a;
	unsigned s = ir_vd_size(desc);

	ir_vset(&r, s, ir_vd_imm(desc), ir_vget(b, s, ir_vd_lane(desc)));
	*d = r;
}

void ir_vop_tbx(VOP_ARGS)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, 0); i++) {
		unsigned k = (unsigned)a->b[i] - ir_vd_imm(desc);

		r.b[i] = k < 16 ? b->b[k] : c->b[i];
	}
	*d = r;
}

static void ir_vop_none(VOP_ARGS)
{
	*d = (union ir_v128){0};
}

ir_vop_fn *const ir_vop_table[IR_VOP_COUNT] = {
	[IR_VOP_NONE] = ir_vop_none,
#define VOP(name) [IR_VOP_##name] = ir_vop_##name,
#include "vops.def"
#undef VOP
};
