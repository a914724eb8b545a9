/* SPDX-License-Identifier: MIT */
/*
 * Floating-point arithmetic of A64, bit-exact for half, single and double precision: Arm ARM DDI 0487, "Shared
 * pseudocode", functions FPAdd, FPMul, FPMulAdd, FPRound and their kin, and the operations of vops.def built on them.
 *
 * One core serves the three formats: unpack to a 64-bit significand, operate exactly (what does not fit is jammed
 * into the lowest bit), round and pack. Exceptions only set the cumulative bits of FPSR: trapped floating-point
 * exceptions are not offered, so the enable bits of FPCR read as zero. The host's floating point is not used.
 */
#include "vec.h"

typedef unsigned __int128 u128;

/* Formats are named by log2 of their bytes, as everywhere in the descriptors. */
enum { FP_H = 1, FP_S = 2, FP_D = 3, FP_BF = 4 /* BFloat16, to be rounded to only */ };

enum fp_class { FP_ZERO, FP_FINITE, FP_INF, FP_QNAN, FP_SNAN };

/* FP_FINITE: the value is sig * 2^(exp - 63), with bit 63 of sig set. */
struct fp_num {
	enum fp_class cls;
	bool sign;
	int exp;
	uint64_t sig;
};

/* What an operation reads of FPCR, and the FPSR bits it raises. */
struct fp_env {
	uint32_t fpcr, fpsr;
};

IR_INLINE unsigned fbits(unsigned f)
{
	return f == FP_H ? 10 : f == FP_S ? 23 : f == FP_BF ? 7 : 52;
}

IR_INLINE unsigned ebits(unsigned f)
{
	return f == FP_H ? 5 : f == FP_S || f == FP_BF ? 8 : 11;
}

IR_INLINE int emax(unsigned f)
{
	return (1 << ebits(f)) - 1;
} /* exponent field of infinities and NaNs */
IR_INLINE int bias(unsigned f)
{
	return emax(f) >> 1;
}

IR_INLINE uint64_t fmask(unsigned f)
{
	return ((uint64_t)1 << fbits(f)) - 1;
}

IR_INLINE uint64_t fp_signbit(unsigned f)
{
	return (uint64_t)1 << ((f == FP_BF ? 16 : ir_vbits(f)) - 1);
}

IR_INLINE uint64_t quiet_bit(unsigned f)
{
	return (uint64_t)1 << (fbits(f) - 1);
}

IR_INLINE uint64_t fp_zero(unsigned f, bool sign)
{
	return sign ? fp_signbit(f) : 0;
}

IR_INLINE uint64_t fp_inf(unsigned f, bool sign)
{
	return fp_zero(f, sign) | (uint64_t)emax(f) << fbits(f);
}

IR_INLINE uint64_t fp_maxnormal(unsigned f, bool sign)
{
	return fp_inf(f, sign) - 1;
}

IR_INLINE uint64_t fp_default_nan(unsigned f)
{
	return fp_inf(f, false) | quiet_bit(f);
}

IR_INLINE bool flushes(const struct fp_env *e, unsigned f)
{
	return e->fpcr & (f == FP_H ? IR_FPCR_FZ16 : IR_FPCR_FZ);
}

/* FPCR.RMode, unless the instruction has a mode of its own. */
IR_INLINE unsigned rounding(const struct fp_env *e, unsigned rm)
{
	return rm == IR_RM_FPCR ? IR_FPCR_RMODE(e->fpcr) : rm;
}

IR_INLINE uint64_t shr_jam(uint64_t x, unsigned n)
{
	if (n == 0)
		return x;
	if (n > 63)
		return x != 0;
	return x >> n | (x << (64 - n) != 0);
}

IR_INLINE u128 shr_jam128(u128 x, unsigned n)
{
	if (n == 0)
		return x;
	if (n > 127)
		return x != 0;
	return x >> n | (x << (128 - n) != 0);
}

/*
 * FPUnpack. conversion: FPUnpackCV, where FZ16 has no effect and AHP has.
 */
IR_INLINE struct fp_num unpack_base(struct fp_env *e, unsigned f, uint64_t v, bool conversion)
{
	struct fp_num n = {.sign = v & fp_signbit(f)};
	uint64_t frac = v & fmask(f);
	int exp = (int)(v >> fbits(f)) & emax(f);

	if (exp == 0) {
		if (!frac)
			return n;
		if (f == FP_H ? !conversion && flushes(e, f) : flushes(e, f)) {
			if (f != FP_H)
				e->fpsr |= IR_FPSR_IDC;
			return n;
		}
		unsigned lz = (unsigned)__builtin_clzll(frac);

		n.cls = FP_FINITE;
		n.sig = frac << lz;
		n.exp = 1 - bias(f) - (int)fbits(f) + 63 - (int)lz;
		return n;
	}
	if (exp == emax(f) && !(f == FP_H && conversion && e->fpcr & IR_FPCR_AHP)) {
		n.cls = !frac ? FP_INF : frac & quiet_bit(f) ? FP_QNAN : FP_SNAN;
		return n;
	}
	n.cls = FP_FINITE;
	n.sig = (frac | (fmask(f) + 1)) << (63 - fbits(f));
	n.exp = exp - bias(f);
	return n;
}

IR_INLINE struct fp_num unpack(struct fp_env *e, unsigned f, uint64_t v)
{
	return unpack_base(e, f, v, false);
}

/* Does the magnitude go up? rem is the discarded fraction in units of 2^-64. */
IR_INLINE bool round_up(unsigned rm, bool sign, bool odd, uint64_t rem)
{
	const uint64_t half = (uint64_t)1 << 63;

	switch (rm) {
	case IR_RM_TIEEVEN: return rem > half || (rem == half && odd);
	case IR_RM_TIEAWAY: return rem >= half;
	case IR_RM_POSINF: return rem && !sign;
	case IR_RM_NEGINF: return rem && sign;
	default: return false;
	}
}

/* FPRoundBase: sig has bit 63 set and may be jammed. conversion: FPRoundCV, with AHP and without FZ16. */
IR_INLINE uint64_t round_base(struct fp_env *e, unsigned f, bool sign, int exp, uint64_t sig, unsigned rm,
			      bool conversion)
{
	const int minexp = 1 - bias(f);
	int biased = exp - minexp + 1;
	unsigned shift = 63 - fbits(f);
	bool ahp = f == FP_H && conversion && e->fpcr & IR_FPCR_AHP;
	uint64_t m, rem;

	if (biased <= 0) {
		if (f == FP_H ? !conversion && flushes(e, f) : flushes(e, f)) {
			e->fpsr |= IR_FPSR_UFC;
			return fp_zero(f, sign);
		}
		shift += (unsigned)(1 - biased);
		biased = 0;
	}
	if (shift < 64) {
		m = sig >> shift;
		rem = sig << (64 - shift);
	} else {
		m = 0;
		rem = shift == 64 ? sig : 1;
	}
	if (biased == 0 && rem) /* tininess is detected before rounding */
		e->fpsr |= IR_FPSR_UFC;
	if (round_up(rm, sign, m & 1, rem)) {
		m++;
		if (biased == 0 && m == fmask(f) + 1)
			biased = 1;
		if (m == (fmask(f) + 1) << 1) {
			m >>= 1;
			biased++;
		}
	}
	if (rem && rm == IR_RM_ODD)
		m |= 1;
	if (ahp) {
		if (biased > emax(f)) {
			e->fpsr |= IR_FPSR_IOC;
			return fp_zero(f, sign) | (fp_signbit(f) - 1);
		}
	} else if (biased >= emax(f)) {
		bool to_inf = rm == IR_RM_TIEEVEN || rm == IR_RM_TIEAWAY || rm == (sign ? IR_RM_NEGINF : IR_RM_POSINF);

		e->fpsr |= IR_FPSR_OFC | IR_FPSR_IXC;
		return to_inf ? fp_inf(f, sign) : fp_maxnormal(f, sign);
	}
	if (rem)
		e->fpsr |= IR_FPSR_IXC;
	return fp_zero(f, sign) | (uint64_t)biased << fbits(f) | (m & fmask(f));
}

IR_INLINE uint64_t round_pack(struct fp_env *e, unsigned f, bool sign, int exp, uint64_t sig)
{
	return round_base(e, f, sign, exp, sig, IR_FPCR_RMODE(e->fpcr), false);
}

/* ---- NaNs */

IR_INLINE bool is_nan(struct fp_num n)
{
	return n.cls >= FP_QNAN;
}

IR_INLINE uint64_t invalid(struct fp_env *e, unsigned f)
{
	e->fpsr |= IR_FPSR_IOC;
	return fp_default_nan(f);
}

/* FPProcessNaN */
IR_INLINE uint64_t process_nan(struct fp_env *e, unsigned f, enum fp_class cls, uint64_t v)
{
	if (cls == FP_SNAN)
		e->fpsr |= IR_FPSR_IOC;
	return e->fpcr & IR_FPCR_DN ? fp_default_nan(f) : v | quiet_bit(f);
}

/* FPProcessNaNs: a signaling NaN goes first, then the operands in order. False if neither is a NaN. */
IR_INLINE bool process_nans(struct fp_env *e, unsigned f, struct fp_num x, struct fp_num y, uint64_t a, uint64_t b,
			    uint64_t *out)
{
	if (__builtin_expect(!is_nan(x) && !is_nan(y), 1))
		return false;
	if (x.cls == FP_SNAN || (y.cls != FP_SNAN && is_nan(x)))
		*out = process_nan(e, f, x.cls, a);
	else
		*out = process_nan(e, f, y.cls, b);
	return true;
}

/* ---- arithmetic on unpacked numbers that are finite */

/* x + y, neither zero; an exact zero has the sign that the rounding mode gives it. */
IR_INLINE uint64_t add_finite(struct fp_env *e, unsigned f, struct fp_num x, struct fp_num y)
{
	if (x.exp < y.exp || (x.exp == y.exp && x.sig < y.sig)) {
		struct fp_num t = x;

		x = y;
		y = t;
	}
	/* One bit of headroom; a format of at most 53 bits leaves ten guard bits below. */
	uint64_t p = x.sig >> 1, q = shr_jam(y.sig >> 1, (unsigned)(x.exp - y.exp));

	p = x.sign == y.sign ? p + q : p - q;
	if (!p)
		return fp_zero(f, IR_FPCR_RMODE(e->fpcr) == IR_RM_NEGINF);
	unsigned lz = (unsigned)__builtin_clzll(p);

	return round_pack(e, f, x.sign, x.exp + 1 - (int)lz, p << lz);
}

/* FPAdd, FPSub */
IR_INLINE uint64_t fp_addsub(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool sub)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);
	uint64_t r;

	if (process_nans(e, f, x, y, a, b, &r))
		return r;
	y.sign ^= sub;
	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (x.cls == y.cls && x.sign != y.sign)
			return invalid(e, f);
		return fp_inf(f, x.cls == FP_INF ? x.sign : y.sign);
	}
	if (x.cls == FP_ZERO && y.cls == FP_ZERO)
		return fp_zero(f, x.sign == y.sign ? x.sign : IR_FPCR_RMODE(e->fpcr) == IR_RM_NEGINF);
	if (x.cls == FP_ZERO)
		return round_pack(e, f, y.sign, y.exp, y.sig);
	if (y.cls == FP_ZERO)
		return round_pack(e, f, x.sign, x.exp, x.sig);
	return add_finite(e, f, x, y);
}

/* FPMul; extended: FPMulX, where infinity times zero is two. */
IR_INLINE uint64_t fp_mul_base(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool extended)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);
	bool sign = x.sign ^ y.sign;
	uint64_t r;

	if (process_nans(e, f, x, y, a, b, &r))
		return r;
	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (x.cls == FP_ZERO || y.cls == FP_ZERO)
			return extended ? fp_zero(f, sign) | (uint64_t)(bias(f) + 1) << fbits(f) : invalid(e, f);
		return fp_inf(f, sign);
	}
	if (x.cls == FP_ZERO || y.cls == FP_ZERO)
		return fp_zero(f, sign);
	u128 p = (u128)x.sig * y.sig;
	int exp = x.exp + y.exp + 1;

	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	return round_pack(e, f, sign, exp, (uint64_t)(p >> 64) | ((uint64_t)p != 0));
}

/* FPDiv */
IR_INLINE uint64_t fp_div_base(struct fp_env *e, unsigned f, uint64_t a, uint64_t b)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);
	bool sign = x.sign ^ y.sign;
	uint64_t r;

	if (process_nans(e, f, x, y, a, b, &r))
		return r;
	if (x.cls == y.cls && x.cls != FP_FINITE)
		return invalid(e, f); /* inf/inf, 0/0 */
	if (x.cls == FP_INF)
		return fp_inf(f, sign);
	if (y.cls == FP_ZERO) {
		e->fpsr |= IR_FPSR_DZC;
		return fp_inf(f, sign);
	}
	if (x.cls == FP_ZERO || y.cls == FP_INF)
		return fp_zero(f, sign);
	u128 n = (u128)x.sig << 63;
	uint64_t q = (uint64_t)(n / y.sig);
	bool inexact = (u128)q * y.sig != n;
	int exp = x.exp - y.exp;

	if (!(q >> 63)) {
		q <<= 1; /* the bit shifted in is 0 and not exact, but there are many guard bits */
		exp--;
	}
	return round_pack(e, f, sign, exp, q | inexact);
}

/* Integer part of the square root of n. */
static uint64_t isqrt64(uint64_t n)
{
	uint64_t root = 0, rem = 0;

	for (int i = 62; i >= 0; i -= 2) {
		uint64_t t = root << 2 | 1;

		rem = rem << 2 | (n >> i & 3);
		root <<= 1;
		if (rem >= t) {
			rem -= t;
			root |= 1;
		}
	}
	return root;
}

/*
 * The same for n >= 2^126: half of the digits from the upper half of n, the others by one division (P. Zimmermann,
 * "Karatsuba Square Root"). The quotient may be too large, by little.
 */
static uint64_t isqrt128(u128 n)
{
	uint64_t high = isqrt64((uint64_t)(n >> 64));
	u128 rest = ((n >> 64) - high * high) << 32 | (uint32_t)(n >> 32);
	u128 q = rest / (2 * high), root = ((u128)high << 32) + q;
	__int128 rem = (__int128)((rest - q * 2 * high) << 32 | (uint32_t)n) - (__int128)(q * q);

	while (rem < 0) {
		root--;
		rem += (__int128)(2 * root + 1);
	}
	return (uint64_t)root;
}

/* FPSqrt */
IR_INLINE uint64_t fp_sqrt_base(struct fp_env *e, unsigned f, uint64_t a)
{
	struct fp_num x = unpack(e, f, a);

	if (is_nan(x))
		return process_nan(e, f, x.cls, a);
	if (x.cls == FP_ZERO)
		return fp_zero(f, x.sign);
	if (x.sign)
		return invalid(e, f);
	if (x.cls == FP_INF)
		return fp_inf(f, false);
	/* The radicand as m * 2^126 with 1 <= m < 4 and an even exponent. */
	u128 n = (u128)x.sig << (x.exp & 1 ? 64 : 63);
	uint64_t root = isqrt128(n);

	return round_pack(e, f, false, (x.exp - (x.exp & 1)) / 2, root | ((u128)root * root != n));
}

/* addend + x * y with one rounding, then times 2^scale; all classes handled but NaNs and inf * 0. f is the result's
 * format. */
IR_INLINE uint64_t muladd_numbers(struct fp_env *e, unsigned f, struct fp_num c, struct fp_num x, struct fp_num y,
				  int scale)
{
	bool sign = x.sign ^ y.sign;

	if (x.cls == FP_INF || y.cls == FP_INF) {
		if (c.cls == FP_INF && c.sign != sign)
			return invalid(e, f);
		return fp_inf(f, sign);
	}
	if (c.cls == FP_INF)
		return fp_inf(f, c.sign);
	if (x.cls == FP_ZERO || y.cls == FP_ZERO) {
		if (c.cls == FP_ZERO)
			return fp_zero(f, c.sign == sign ? sign : IR_FPCR_RMODE(e->fpcr) == IR_RM_NEGINF);
		return round_pack(e, f, c.sign, c.exp + scale, c.sig);
	}
	u128 p = (u128)x.sig * y.sig, q;
	int exp = x.exp + y.exp + 1;

	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	if (c.cls == FP_FINITE) {
		/* Both have 21 zero bits below at least: a shift by one loses nothing. */
		int cexp = c.exp;

		p >>= 1;
		q = (u128)c.sig << 63;
		if (exp >= cexp) {
			q = shr_jam128(q, (unsigned)(exp - cexp));
		} else {
			p = shr_jam128(p, (unsigned)(cexp - exp));
			exp = cexp;
		}
		if (sign == c.sign) {
			p += q;
		} else if (p >= q) {
			p -= q;
		} else {
			p = q - p;
			sign = c.sign;
		}
		if (!p)
			return fp_zero(f, IR_FPCR_RMODE(e->fpcr) == IR_RM_NEGINF);
		unsigned lz = p >> 64 ? (unsigned)__builtin_clzll((uint64_t)(p >> 64))
				      : 64 + (unsigned)__builtin_clzll((uint64_t)p);

		p <<= lz;
		exp += 1 - (int)lz;
	}
	return round_pack(e, f, sign, exp + scale, (uint64_t)(p >> 64) | ((uint64_t)p != 0));
}

/*
 * FPMulAdd: c + a * b. With fc != f it is FPMulAddH: the product of two half-precision numbers on to a single.
 */
IR_INLINE uint64_t fp_muladd_base(struct fp_env *e, unsigned fc, unsigned f, uint64_t c, uint64_t a, uint64_t b)
{
	struct fp_num z = unpack(e, fc, c), x = unpack(e, f, a), y = unpack(e, f, b);
	bool inf_times_zero = (x.cls == FP_INF && y.cls == FP_ZERO) || (x.cls == FP_ZERO && y.cls == FP_INF);

	if (__builtin_expect(is_nan(z) || is_nan(x) || is_nan(y), 0)) {
		if (z.cls == FP_QNAN && inf_times_zero)
			return invalid(e, fc);
		/* FPProcessNaNs3; a half-precision NaN widens */
		struct {
			enum fp_class cls;
			uint64_t v;
		} in[3] = {{z.cls, c}, {x.cls, a}, {y.cls, b}};

		for (enum fp_class want = FP_SNAN;; want = FP_QNAN) {
			for (int i = 0; i < 3; i++) {
				if (in[i].cls != want)
					continue;
				uint64_t v = in[i].v;

				if (i && fc != f)
					v = fp_inf(fc, v & fp_signbit(f)) | (v & fmask(f)) << (fbits(fc) - fbits(f));
				return process_nan(e, fc, want, v);
			}
		}
	}
	if (inf_times_zero)
		return invalid(e, fc);
	return muladd_numbers(e, fc, z, x, y, 0);
}

/* FPRecipStepFused (2 - a * b) and FPRSqrtStepFused ((3 - a * b) / 2) */
IR_INLINE uint64_t fp_step_base(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool rsqrt)
{
	a ^= fp_signbit(f);
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);
	struct fp_num two = {FP_FINITE, false, 1, (uint64_t)1 << 63}, three = {FP_FINITE, false, 1, (uint64_t)3 << 62};
	uint64_t r;

	if (process_nans(e, f, x, y, a, b, &r))
		return r;
	if ((x.cls == FP_INF && y.cls == FP_ZERO) || (x.cls == FP_ZERO && y.cls == FP_INF))
		return rsqrt ? (uint64_t)bias(f) << fbits(f) | quiet_bit(f) : (uint64_t)(bias(f) + 1) << fbits(f);
	return rsqrt ? muladd_numbers(e, f, three, x, y, -1) : muladd_numbers(e, f, two, x, y, 0);
}

/* ---- comparison */

/* -1, 0, 1; no NaNs */
IR_INLINE int cmp_numbers(struct fp_num x, struct fp_num y)
{
	int r;

	if (x.cls == FP_ZERO && y.cls == FP_ZERO)
		return 0;
	if (x.cls == FP_ZERO)
		return y.sign ? 1 : -1;
	if (y.cls == FP_ZERO || x.sign != y.sign)
		return x.sign ? -1 : 1;
	if (x.cls != y.cls)
		r = x.cls > y.cls ? 1 : -1; /* FP_INF > FP_FINITE */
	else if (x.cls == FP_INF)
		r = 0;
	else if (x.exp != y.exp)
		r = x.exp > y.exp ? 1 : -1;
	else
		r = x.sig > y.sig ? 1 : x.sig < y.sig ? -1 : 0;
	return x.sign ? -r : r;
}

/* -1, 0, 1, or 2 if unordered. quiet: a quiet NaN does not signal. */
IR_INLINE int fp_compare(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool quiet)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);

	if (is_nan(x) || is_nan(y)) {
		if (!quiet || x.cls == FP_SNAN || y.cls == FP_SNAN)
			e->fpsr |= IR_FPSR_IOC;
		return 2;
	}
	return cmp_numbers(x, y);
}

/* FPMax, FPMin */
IR_INLINE uint64_t fp_maxmin(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool min)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);
	uint64_t r;

	if (process_nans(e, f, x, y, a, b, &r))
		return r;
	if (x.cls == FP_ZERO && y.cls == FP_ZERO)
		return fp_zero(f, min ? x.sign | y.sign : x.sign & y.sign);
	int c = cmp_numbers(x, y);
	bool first = min ? c < 0 : c > 0;

	if ((first ? x : y).cls == FP_ZERO) /* perhaps a flushed denormal */
		return fp_zero(f, (first ? x : y).sign);
	return first ? a : b;
}

/* FPMaxNum, FPMinNum: a quiet NaN gives way to a number. */
IR_INLINE uint64_t fp_maxmin_num(struct fp_env *e, unsigned f, uint64_t a, uint64_t b, bool min)
{
	struct fp_num x = unpack(e, f, a), y = unpack(e, f, b);

	if (x.cls == FP_QNAN && y.cls != FP_QNAN)
		a = fp_inf(f, !min);
	else if (y.cls == FP_QNAN && x.cls != FP_QNAN)
		b = fp_inf(f, !min);
	return fp_maxmin(e, f, a, b, min);
}

/* ---- conversions */

/* Integer nearest to |x| * 2^fbits in mode rm; values of 2^64 and above come back as 2^64. *inexact if rounded. */
IR_INLINE u128 to_magnitude(struct fp_num x, unsigned fracbits, unsigned rm, bool *inexact)
{
	int e = x.exp + (int)fracbits;
	uint64_t m, rem;

	*inexact = false;
	if (x.cls == FP_ZERO)
		return 0;
	if (e >= 64 || x.cls == FP_INF)
		return (u128)1 << 64;
	if (e == 63) {
		m = x.sig;
		rem = 0;
	} else if (e >= 0) {
		m = x.sig >> (63 - e);
		rem = x.sig << (e + 1);
	} else {
		m = 0;
		rem = e == -1 ? x.sig : 1;
	}
	*inexact = rem;
	return (u128)m + round_up(rm, x.sign, m & 1, rem);
}

/* FPToFixed, to an integer of 1 << to bytes */
IR_INLINE uint64_t fp_to_fixed(struct fp_env *e, unsigned f, uint64_t a, unsigned to, unsigned fracbits, bool uns,
			       unsigned rm)
{
	struct fp_num x = unpack(e, f, a);
	unsigned w = ir_vbits(to);
	bool inexact;

	if (is_nan(x)) {
		e->fpsr |= IR_FPSR_IOC;
		return 0;
	}
	u128 m = to_magnitude(x, fracbits, rm, &inexact);
	u128 limit = uns ? (x.sign ? 0 : ((u128)1 << w) - 1) : ((u128)1 << (w - 1)) - !x.sign;

	if (m > limit) {
		e->fpsr |= IR_FPSR_IOC;
		m = limit;
	} else if (inexact) {
		e->fpsr |= IR_FPSR_IXC;
	}
	return (x.sign ? -(uint64_t)m : (uint64_t)m) & ir_vmask(to);
}

/* FixedToFP: a is already extended to 64 bits */
IR_INLINE uint64_t fp_from_fixed(struct fp_env *e, unsigned f, uint64_t a, unsigned fracbits, bool uns, unsigned rm)
{
	bool sign = !uns && (int64_t)a < 0;
	uint64_t m = sign ? -a : a;

	if (!m)
		return 0;
	unsigned lz = (unsigned)__builtin_clzll(m);

	return round_base(e, f, sign, 63 - (int)lz - (int)fracbits, m << lz, rm, false);
}

/* FPRoundInt */
IR_INLINE uint64_t fp_round_int(struct fp_env *e, unsigned f, uint64_t a, unsigned rm, bool exact)
{
	struct fp_num x = unpack(e, f, a);
	bool inexact;

	if (is_nan(x))
		return process_nan(e, f, x.cls, a);
	if (x.cls == FP_INF)
		return a;
	if (x.cls == FP_ZERO)
		return fp_zero(f, x.sign);
	if (x.exp >= (int)fbits(f))
		return a; /* an integer already */
	uint64_t m = (uint64_t)to_magnitude(x, 0, rm, &inexact);

	if (inexact && exact)
		e->fpsr |= IR_FPSR_IXC;
	if (!m)
		return fp_zero(f, x.sign);
	unsigned lz = (unsigned)__builtin_clzll(m);

	return round_base(e, f, x.sign, 63 - (int)lz, m << lz, IR_RM_ZERO, false);
}

/* FPRoundIntN: FRINT32X and kin. What does not fit an integer of `to` bytes becomes its most negative value. */
IR_INLINE uint64_t fp_round_int_n(struct fp_env *e, unsigned f, uint64_t a, unsigned to, unsigned rm)
{
	struct fp_num x = unpack(e, f, a);
	unsigned w = ir_vbits(to);
	bool inexact = false;

	if (x.cls == FP_ZERO)
		return fp_zero(f, x.sign);
	u128 m = is_nan(x) ? (u128)1 << 64 : to_magnitude(x, 0, rm, &inexact);

	if (m > ((u128)1 << (w - 1)) - !x.sign) {
		e->fpsr |= IR_FPSR_IOC;
		return fp_zero(f, true) | (uint64_t)(bias(f) + (int)w - 1) << fbits(f);
	}
	if (inexact)
		e->fpsr |= IR_FPSR_IXC;
	if (!m)
		return fp_zero(f, x.sign);
	unsigned lz = (unsigned)__builtin_clzll((uint64_t)m);

	return round_base(e, f, x.sign, 63 - (int)lz, (uint64_t)m << lz, IR_RM_ZERO, false);
}

/* FPConvert */
IR_INLINE uint64_t fp_convert(struct fp_env *e, unsigned from, unsigned to, uint64_t a, unsigned rm)
{
	struct fp_num x = unpack_base(e, from, a, true);
	bool ahp = to == FP_H && e->fpcr & IR_FPCR_AHP;

	switch (x.cls) {
	case FP_ZERO: return fp_zero(to, x.sign);
	case FP_FINITE: return round_base(e, to, x.sign, x.exp, x.sig, rm, true);
	case FP_INF:
		if (!ahp)
			return fp_inf(to, x.sign);
		e->fpsr |= IR_FPSR_IOC;
		return fp_zero(to, x.sign) | (fp_signbit(to) - 1);
	default: break;
	}
	if (x.cls == FP_SNAN || ahp)
		e->fpsr |= IR_FPSR_IOC;
	if (ahp)
		return fp_zero(to, x.sign);
	if (e->fpcr & IR_FPCR_DN)
		return fp_default_nan(to);
	/* FPConvertNaN: the top of the payload stays */
	uint64_t frac = (a & fmask(from)) << (52 - fbits(from)) >> (52 - fbits(to));

	return fp_inf(to, x.sign) | quiet_bit(to) | frac;
}

/* ---- estimates */

/* RecipEstimate: 256 <= a < 512, result the same */
static unsigned recip_estimate(unsigned a)
{
	unsigned b = (1u << 19) / (a * 2 + 1);

	return (b + 1) / 2;
}

/* RecipSqrtEstimate: 128 <= a < 512, result 256..511 */
static unsigned rsqrt_estimate(unsigned a)
{
	unsigned b = 512;

	a = a < 256 ? a * 2 + 1 : ((a >> 1 << 1) + 1) * 2;
	while (a * (b + 1) * (b + 1) < 1u << 28)
		b++;
	return (b + 1) / 2;
}

/* FPRecipEstimate */
IR_INLINE uint64_t fp_recpe(struct fp_env *e, unsigned f, uint64_t a)
{
	struct fp_num x = unpack(e, f, a);
	unsigned rm = IR_FPCR_RMODE(e->fpcr);

	if (is_nan(x))
		return process_nan(e, f, x.cls, a);
	if (x.cls == FP_INF)
		return fp_zero(f, x.sign);
	if (x.cls == FP_ZERO) {
		e->fpsr |= IR_FPSR_DZC;
		return fp_inf(f, x.sign);
	}
	if (x.exp < -bias(f) - 1) { /* |x| < 2^-16, 2^-128, 2^-1024: the reciprocal overflows */
		e->fpsr |= IR_FPSR_OFC | IR_FPSR_IXC;
		if (rm == IR_RM_TIEEVEN || rm == (x.sign ? IR_RM_NEGINF : IR_RM_POSINF))
			return fp_inf(f, x.sign);
		return fp_maxnormal(f, x.sign);
	}
	if (flushes(e, f) && x.exp >= bias(f) - 1) { /* |x| >= 2^14, 2^126, 2^1022: the reciprocal is denormal */
		e->fpsr |= IR_FPSR_UFC;
		return fp_zero(f, x.sign);
	}
	/* Nine bits of significand in, nine out; the result's exponent field may come out as 0 or -1. */
	uint64_t frac = (uint64_t)recip_estimate((unsigned)(x.sig >> 55)) << 44; /* bit 52 is the integer bit */
	int exp = bias(f) - 1 - x.exp;

	if (exp <= 0) {
		frac >>= 1 - exp;
		exp = 0;
	}
	return fp_zero(f, x.sign) | (uint64_t)exp << fbits(f) | ((frac & fmask(FP_D)) >> (52 - fbits(f)));
}

/* FPRSqrtEstimate */
IR_INLINE uint64_t fp_rsqrte(struct fp_env *e, unsigned f, uint64_t a)
{
	struct fp_num x = unpack(e, f, a);

	if (is_nan(x))
		return process_nan(e, f, x.cls, a);
	if (x.cls == FP_ZERO) {
		e->fpsr |= IR_FPSR_DZC;
		return fp_inf(f, x.sign);
	}
	if (x.sign)
		return invalid(e, f);
	if (x.cls == FP_INF)
		return 0;
	int field = x.exp + bias(f); /* may be negative: a normalised denormal */
	unsigned scaled = (unsigned)(x.sig >> (field & 1 ? 56 : 55));
	int exp = (3 * bias(f) - 1 - field) / 2;

	return (uint64_t)exp << fbits(f) | (uint64_t)(rsqrt_estimate(scaled) & 0xff) << (fbits(f) - 8);
}

/* FPRecpX */
IR_INLINE uint64_t fp_recpx(struct fp_env *e, unsigned f, uint64_t a)
{
	struct fp_num x = unpack(e, f, a);
	uint64_t field = a & fp_inf(f, false);

	if (is_nan(x))
		return process_nan(e, f, x.cls, a);
	if (!field)
		return fp_zero(f, x.sign) | (uint64_t)(emax(f) - 1) << fbits(f);
	return fp_zero(f, x.sign) | (~field & fp_inf(f, false));
}

/* ---- the operations: one element function each, mapped over the elements in the three formats */

#define FP_ELEM(name) \
	IR_INLINE uint64_t el_##name(struct fp_env *e, unsigned f, uint64_t x, uint64_t y, uint64_t z, uint32_t desc)

#define FP_LOOP(name, f, arity) \
	for (unsigned i = 0; i < ir_vd_count(desc, f); i++) \
	ir_vset(&r, f, i, \
		el_##name(&e, f, ir_vget(a, f, i), (arity) > 1 ? ir_vget(b, f, i) : 0, \
			  (arity) > 2 ? ir_vget(c, f, i) : 0, desc))

#define FP_VOP(name, arity) \
	void ir_vop_##name(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b, \
			   const union ir_v128 *c, uint32_t desc) \
	{ \
		struct fp_env e = {env->fpcr, 0}; \
		union ir_v128 r = {0}; \
		switch (ir_vd_size(desc)) { \
		case FP_H: FP_LOOP(name, FP_H, arity); break; \
		case FP_S: FP_LOOP(name, FP_S, arity); break; \
		default: FP_LOOP(name, FP_D, arity); break; \
		} \
		env->fpsr |= e.fpsr; \
		*d = r; \
	}

/* An operation whose element is an expression of x, y, z. */
#define FP_EXPR(name, arity, ...) \
	FP_ELEM(name) \
	{ \
		return __VA_ARGS__; \
	} \
	FP_VOP(name, arity)

FP_EXPR(fadd, 2, fp_addsub(e, f, x, y, false))
FP_EXPR(fsub, 2, fp_addsub(e, f, x, y, true))
FP_EXPR(fabd, 2, fp_addsub(e, f, x, y, true) & ~fp_signbit(f))
FP_EXPR(fmul, 2, fp_mul_base(e, f, x, y, false) ^ (desc & IR_VD_NEG ? fp_signbit(f) : 0))
FP_EXPR(fmulx, 2, fp_mul_base(e, f, x, y, true))
FP_EXPR(fdiv, 2, fp_div_base(e, f, x, y))
FP_EXPR(fmax, 2, fp_maxmin(e, f, x, y, false))
FP_EXPR(fmin, 2, fp_maxmin(e, f, x, y, true))
FP_EXPR(fmaxnm, 2, fp_maxmin_num(e, f, x, y, false))
FP_EXPR(fminnm, 2, fp_maxmin_num(e, f, x, y, true))
FP_EXPR(frecps, 2, fp_step_base(e, f, x, y, false))
FP_EXPR(frsqrts, 2, fp_step_base(e, f, x, y, true))

FP_ELEM(fmla)
{
	return fp_muladd_base(e, f, f, desc & IR_VD_NEGA ? z ^ fp_signbit(f) : z,
			      desc & IR_VD_NEG ? x ^ fp_signbit(f) : x, y);
}
FP_VOP(fmla, 3)

FP_EXPR(fcmeq, 2, fp_compare(e, f, x, y, true) == 0 ? ~(uint64_t)0 : 0)
FP_EXPR(fcmge, 2, (unsigned)fp_compare(e, f, x, y, false) < 2 ? ~(uint64_t)0 : 0)
FP_EXPR(fcmgt, 2, fp_compare(e, f, x, y, false) == 1 ? ~(uint64_t)0 : 0)
FP_EXPR(facge, 2, el_fcmge(e, f, x & ~fp_signbit(f), y & ~fp_signbit(f), 0, desc))
FP_EXPR(facgt, 2, el_fcmgt(e, f, x & ~fp_signbit(f), y & ~fp_signbit(f), 0, desc))

FP_EXPR(fabs, 1, x & ~fp_signbit(f))
FP_EXPR(fneg, 1, x ^ fp_signbit(f))
FP_EXPR(fsqrt, 1, fp_sqrt_base(e, f, x))
FP_EXPR(frecpe, 1, fp_recpe(e, f, x))
FP_EXPR(frsqrte, 1, fp_rsqrte(e, f, x))
FP_EXPR(frecpx, 1, fp_recpx(e, f, x))

FP_ELEM(frint)
{
	return fp_round_int(e, f, x, rounding(e, ir_vd_rm(desc)), desc & IR_VD_EXACT);
}
FP_VOP(frint, 1)
FP_EXPR(frintn, 1, fp_round_int_n(e, f, x, ir_vd_to(desc), rounding(e, ir_vd_rm(desc))))

/* Float to integer and back: lanes of one size, or scalar with IR_VD_TO the other size. */
FP_ELEM(fcvtz)
{
	return fp_to_fixed(e, f, x, f, ir_vd_imm(desc), desc & IR_VD_U, rounding(e, ir_vd_rm(desc)));
}
FP_VOP(fcvtz, 1)

FP_ELEM(scvtf)
{
	return fp_from_fixed(e, f, desc & IR_VD_U ? x : (uint64_t)ir_vsext(x, f), ir_vd_imm(desc), desc & IR_VD_U,
			     IR_FPCR_RMODE(e->fpcr));
}
FP_VOP(scvtf, 1)

void ir_vop_fcvtz_x(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		    const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc);

	r.d[0] = fp_to_fixed(&e, s, ir_vget(a, s, 0), ir_vd_to(desc), ir_vd_imm(desc), desc & IR_VD_U,
			     rounding(&e, ir_vd_rm(desc)));
	env->fpsr |= e.fpsr;
	*d = r;
}

void ir_vop_scvtf_x(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		    const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned from = ir_vd_size(desc);
	uint64_t x = ir_vget(a, from, 0);

	if (!(desc & IR_VD_U))
		x = (uint64_t)ir_vsext(x, from);
	r.d[0] = fp_from_fixed(&e, ir_vd_to(desc), x, ir_vd_imm(desc), desc & IR_VD_U, IR_FPCR_RMODE(e.fpcr));
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FJCVTZS: element 0 is the word, element 1 is 1 if it is exactly the operand (and the operand is not -0). */
void ir_vop_fjcvtzs(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		    const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	struct fp_num x = unpack(&e, FP_D, a->d[0]);
	uint64_t m = 0; /* magnitude modulo 2^64 */
	bool exact = true;

	if (is_nan(x) || x.cls == FP_INF) {
		e.fpsr |= IR_FPSR_IOC;
		exact = false;
	} else if (x.cls == FP_ZERO) {
		exact = !x.sign && !(e.fpsr & IR_FPSR_IDC);
	} else {
		bool big = false, inexact = false;

		if (x.exp < 63) {
			m = (uint64_t)to_magnitude(x, 0, IR_RM_ZERO, &inexact);
			big = m > (((uint64_t)1 << 31) - !x.sign);
		} else {
			m = x.exp - 63 < 64 ? x.sig << (x.exp - 63) : 0;
			big = true;
		}
		if (big)
			e.fpsr |= IR_FPSR_IOC;
		else if (inexact)
			e.fpsr |= IR_FPSR_IXC;
		exact = !big && !inexact;
	}
	r.s[0] = (uint32_t)(x.sign ? -m : m);
	r.s[1] = exact;
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FCVT: element 0 from one format to another */
void ir_vop_fcvt(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		 const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc);

	r.d[0] = fp_convert(&e, s, ir_vd_to(desc), ir_vget(a, s, 0), IR_FPCR_RMODE(e.fpcr));
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FCVTL, FCVTL2: IR_VD_SIZE is the narrow format */
void ir_vop_fcvtl(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc), n = 8u >> s, from = desc & IR_VD_HI ? n : 0;

	for (unsigned i = 0; i < n; i++)
		ir_vset(&r, s + 1, i, fp_convert(&e, s, s + 1, ir_vget(a, s, from + i), IR_FPCR_RMODE(e.fpcr)));
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FCVTN, FCVTXN (rounding to odd) and their "2" forms, which keep the low half of c */
void ir_vop_fcvtn(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc), n = desc & IR_VD_SCALAR ? 1 : 8u >> s;
	unsigned to = desc & IR_VD_HI ? n : 0;

	if (to)
		r.d[0] = c->d[0];
	for (unsigned i = 0; i < n; i++)
		ir_vset(&r, s, to + i, fp_convert(&e, s + 1, s, ir_vget(a, s + 1, i), rounding(&e, ir_vd_rm(desc))));
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FMAXV, FMINV, FMAXNMV, FMINNMV: a tree of neighbours, as Reduce() in the manual (which NaN wins depends on it) */
typedef uint64_t fp_bin(struct fp_env *e, unsigned f, uint64_t x, uint64_t y);

IR_INLINE void fp_reduce(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, uint32_t desc, fp_bin *fn)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = *a;
	unsigned s = ir_vd_size(desc);

	for (unsigned n = ir_vd_count(desc, s) / 2; n; n /= 2)
		for (unsigned i = 0; i < n; i++)
			ir_vset(&r, s, i, fn(&e, s, ir_vget(&r, s, 2 * i), ir_vget(&r, s, 2 * i + 1)));
	env->fpsr |= e.fpsr;
	*d = (union ir_v128){.d = {ir_vget(&r, s, 0), 0}};
}

#define FP_REDUCE(name, expr) \
	static uint64_t name##_elements(struct fp_env *e, unsigned f, uint64_t x, uint64_t y) \
	{ \
		return expr; \
	} \
	void ir_vop_##name(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b, \
			   const union ir_v128 *c, uint32_t desc) \
	{ \
		fp_reduce(env, d, a, desc, name##_elements); \
	}
FP_REDUCE(fmaxv, fp_maxmin(e, f, x, y, false))
FP_REDUCE(fminv, fp_maxmin(e, f, x, y, true))
FP_REDUCE(fmaxnmv, fp_maxmin_num(e, f, x, y, false))
FP_REDUCE(fminnmv, fp_maxmin_num(e, f, x, y, true))

/* URECPE, URSQRTE */
static uint32_t urecpe(uint32_t x)
{
	return x >> 31 ? recip_estimate(x >> 23) << 23 : UINT32_MAX;
}

static uint32_t ursqrte(uint32_t x)
{
	return x >> 30 ? rsqrt_estimate(x >> 23) << 23 : UINT32_MAX;
}

void ir_vop_urecpe(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		   const union ir_v128 *c, uint32_t desc)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, 2); i++)
		r.s[i] = urecpe(a->s[i]);
	*d = r;
}

void ir_vop_ursqrte(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		    const union ir_v128 *c, uint32_t desc)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, 2); i++)
		r.s[i] = ursqrte(a->s[i]);
	*d = r;
}

/* FMLAL, FMLAL2, FMLSL, FMLSL2: halves of a and b (upper ones with IR_VD_HI) on to the singles of c */
void ir_vop_fmlal(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned n = ir_vd_count(desc, FP_S), from = desc & IR_VD_HI ? n : 0;

	for (unsigned i = 0; i < n; i++)
		r.s[i] = (uint32_t)fp_muladd_base(&e, FP_S, FP_H, c->s[i],
						  a->h[from + i] ^ (desc & IR_VD_NEG ? 0x8000u : 0), b->h[from + i]);
	env->fpsr |= e.fpsr;
	*d = r;
}

/* ---- BFloat16: the upper half of a single */

IR_INLINE uint32_t bf_widen(const union ir_v128 *v, unsigned i)
{
	return (uint32_t)v->h[i & 7] << 16;
}

/* BFCVT, BFCVTN, BFCVTN2: FPConvertBF */
void ir_vop_bfcvtn(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		   const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned n = desc & IR_VD_SCALAR ? 1 : 4, to = desc & IR_VD_HI ? n : 0;

	if (to)
		r.d[0] = c->d[0];
	for (unsigned i = 0; i < n; i++)
		r.h[to + i] = (uint16_t)fp_convert(&e, FP_S, FP_BF, a->s[i], IR_FPCR_RMODE(e.fpcr));
	env->fpsr |= e.fpsr;
	*d = r;
}

/*
 * BFUnpack, BFRound, BFMul and BFAdd: denormals are zeros, there is one NaN, results are rounded to odd, and neither FPCR
 * nor FPSR has a part. An overflow is an infinity.
 */
static struct fp_num bf_unpack(uint32_t v)
{
	struct fp_env e = {IR_FPCR_FZ, 0};

	return unpack(&e, FP_S, v);
}

static uint32_t bf_round(bool sign, int exp, uint64_t sig)
{
	struct fp_env e = {IR_FPCR_FZ, 0};

	if (exp > bias(FP_S))
		return (uint32_t)fp_inf(FP_S, sign);
	return (uint32_t)round_base(&e, FP_S, sign, exp, sig, IR_RM_ODD, false);
}

static uint32_t bf_mul(uint32_t a, uint32_t b)
{
	struct fp_num x = bf_unpack(a), y = bf_unpack(b);
	bool sign = x.sign ^ y.sign;
	uint64_t p;
	int exp = x.exp + y.exp + 1;

	if (is_nan(x) || is_nan(y) || (x.cls == FP_INF && y.cls == FP_ZERO) || (x.cls == FP_ZERO && y.cls == FP_INF))
		return (uint32_t)fp_default_nan(FP_S);
	if (x.cls == FP_INF || y.cls == FP_INF)
		return (uint32_t)fp_inf(FP_S, sign);
	if (x.cls == FP_ZERO || y.cls == FP_ZERO)
		return (uint32_t)fp_zero(FP_S, sign);
	p = (x.sig >> 32) * (y.sig >> 32); /* exact: eight bits each */
	if (!(p >> 63)) {
		p <<= 1;
		exp--;
	}
	return bf_round(sign, exp, p);
}

static uint32_t bf_add(uint32_t a, uint32_t b)
{
	struct fp_num x = bf_unpack(a), y = bf_unpack(b), t;
	uint64_t p, q;
	unsigned lz;

	if (is_nan(x) || is_nan(y) || (x.cls == FP_INF && y.cls == FP_INF && x.sign != y.sign))
		return (uint32_t)fp_default_nan(FP_S);
	if (x.cls == FP_INF || y.cls == FP_INF)
		return (uint32_t)fp_inf(FP_S, x.cls == FP_INF ? x.sign : y.sign);
	if (x.cls == FP_ZERO && y.cls == FP_ZERO)
		return (uint32_t)fp_zero(FP_S, x.sign && y.sign);
	if (x.cls == FP_ZERO || y.cls == FP_ZERO)
		return x.cls == FP_ZERO ? b : a;
	if (x.exp < y.exp || (x.exp == y.exp && x.sig < y.sig)) {
		t = x;
		x = y;
		y = t;
	}
	p = x.sig >> 1;
	q = shr_jam(y.sig >> 1, (unsigned)(x.exp - y.exp));
	p = x.sign == y.sign ? p + q : p - q;
	if (!p)
		return 0;
	lz = (unsigned)__builtin_clzll(p);
	return bf_round(x.sign, x.exp + 1 - (int)lz, p << lz);
}

/* BFDotAdd of the pairs i of a and j of b */
static uint32_t bf_dot_add(uint32_t sum, const union ir_v128 *a, unsigned i, const union ir_v128 *b, unsigned j)
{
	uint32_t p = bf_mul(bf_widen(a, 2 * i), bf_widen(b, 2 * j));
	uint32_t q = bf_mul(bf_widen(a, 2 * i + 1), bf_widen(b, 2 * j + 1));

	return bf_add(sum, bf_add(p, q));
}

void ir_vop_bfdot(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	union ir_v128 r = {0};

	for (unsigned i = 0; i < ir_vd_count(desc, FP_S); i++)
		r.s[i] = bf_dot_add(c->s[i], a, i, b, i);
	*d = r;
}

void ir_vop_bfmmla(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		   const union ir_v128 *c, uint32_t desc)
{
	union ir_v128 r;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 2; j++) {
			uint32_t sum = bf_dot_add(c->s[2 * i + j], a, 2 * i, b, 2 * j);

			r.s[2 * i + j] = bf_dot_add(sum, a, 2 * i + 1, b, 2 * j + 1);
		}
	*d = r;
}

/* BFMLALB, BFMLALT: FPMulAdd of widened elements, by FPCR and with FPSR */
void ir_vop_bfmlal(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		   const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r;
	unsigned odd = !!(desc & IR_VD_HI);

	for (unsigned i = 0; i < 4; i++)
		r.s[i] = (uint32_t)fp_muladd_base(&e, FP_S, FP_S, c->s[i], bf_widen(a, 2 * i + odd),
						  bf_widen(b, 2 * i + odd));
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FCADD: IR_VD_IMM 0 is a rotation by 90 degrees, 1 by 270 */
void ir_vop_fcadd(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc);
	uint64_t neg_re = ir_vd_imm(desc) ? 0 : fp_signbit(s), neg_im = ir_vd_imm(desc) ? fp_signbit(s) : 0;

	for (unsigned i = 0; i < ir_vd_count(desc, s); i += 2) {
		uint64_t re = fp_addsub(&e, s, ir_vget(a, s, i), ir_vget(b, s, i + 1) ^ neg_re, false);
		uint64_t im = fp_addsub(&e, s, ir_vget(a, s, i + 1), ir_vget(b, s, i) ^ neg_im, false);

		ir_vset(&r, s, i, re);
		ir_vset(&r, s, i + 1, im);
	}
	env->fpsr |= e.fpsr;
	*d = r;
}

/* FCMLA: IR_VD_IMM is the rotation in quarters */
void ir_vop_fcmla(struct ir_env *env, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b,
		  const union ir_v128 *c, uint32_t desc)
{
	struct fp_env e = {env->fpcr, 0};
	union ir_v128 r = {0};
	unsigned s = ir_vd_size(desc), rot = ir_vd_imm(desc);
	uint64_t neg_re = rot == 1 || rot == 2 ? fp_signbit(s) : 0, neg_im = rot & 2 ? fp_signbit(s) : 0;

	for (unsigned i = 0; i < ir_vd_count(desc, s); i += 2) {
		uint64_t x = ir_vget(a, s, i + (rot & 1));
		uint64_t yre = ir_vget(b, s, i + (rot & 1)) ^ neg_re, yim = ir_vget(b, s, i + !(rot & 1)) ^ neg_im;

		ir_vset(&r, s, i, fp_muladd_base(&e, s, s, ir_vget(c, s, i), x, yre));
		ir_vset(&r, s, i + 1, fp_muladd_base(&e, s, s, ir_vget(c, s, i + 1), x, yim));
	}
	env->fpsr |= e.fpsr;
	*d = r;
}

uint32_t ir_fcmp(struct ir_env *env, const union ir_v128 *a, const union ir_v128 *b, unsigned log2size,
		 bool signal_qnan)
{
	static const uint32_t nzcv[] = {0x8, 0x6, 0x2, 0x3}; /* less, equal, greater, unordered */
	struct fp_env e = {env->fpcr, 0};
	uint64_t x = ir_vget(a, log2size, 0), y = ir_vget(b, log2size, 0);
	int r;

	switch (log2size) {
	case FP_H: r = fp_compare(&e, FP_H, x, y, !signal_qnan); break;
	case FP_S: r = fp_compare(&e, FP_S, x, y, !signal_qnan); break;
	default: r = fp_compare(&e, FP_D, x, y, !signal_qnan); break;
	}
	env->fpsr |= e.fpsr;
	return nzcv[r + 1] << 28;
}
