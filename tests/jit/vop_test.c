/* SPDX-License-Identifier: MIT */
/*
 * Translated vector and floating-point operations do what their definitions do, bit for bit and with the same FPSR: each
 * operation with each kind of descriptor that an emitter makes, on values at the borders of its formats, under every
 * FPCR; for each level of host instructions that this host has.
 */
#include "compare.h"

/* What IR_VD_IMM may be. */
enum imm { NO_IMM, LEFT, RIGHT, RIGHT_OR_0, LANE, LANES, CONTAINER, BYTE, TABLE, FRACTION, THREE, TWO, FOUR, AMOUNT };

struct row {
	uint8_t id, args;
	uint8_t sizes, scalar; /* masks of log2 sizes: vectors, scalars */
	uint32_t flags;	       /* each at random */
	enum imm imm;
};

#define U IR_VD_U
#define R IR_VD_RND
#define HI IR_VD_HI
#define N IR_VD_NEG
#define NA IR_VD_NEGA

static const struct row rows[] = {
	{IR_VOP_vmov, 1, 1, 0, 0, NO_IMM},
	{IR_VOP_vand, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_vbic, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_vorr, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_vorn, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_veor, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_vnot, 1, 1, 0, 0, NO_IMM},
	{IR_VOP_vbsl, 3, 1, 0, 0, NO_IMM},
	{IR_VOP_vabs, 1, 15, 8, 0, NO_IMM},
	{IR_VOP_vneg, 1, 15, 8, 0, NO_IMM},
	{IR_VOP_sqabs, 1, 15, 15, 0, NO_IMM},
	{IR_VOP_sqneg, 1, 15, 15, 0, NO_IMM},
	{IR_VOP_vcls, 1, 7, 0, 0, NO_IMM},
	{IR_VOP_vclz, 1, 7, 0, 0, NO_IMM},
	{IR_VOP_vcnt, 1, 1, 0, 0, NO_IMM},
	{IR_VOP_vrbit, 1, 1, 0, 0, NO_IMM},
	{IR_VOP_vrev, 1, 7, 0, 0, CONTAINER},
	{IR_VOP_add, 2, 15, 8, 0, NO_IMM},
	{IR_VOP_sub, 2, 15, 8, 0, NO_IMM},
	{IR_VOP_mul, 2, 7, 0, 0, NO_IMM},
	{IR_VOP_pmul, 2, 1, 0, 0, NO_IMM},
	{IR_VOP_hadd, 2, 7, 0, U | R, NO_IMM},
	{IR_VOP_hsub, 2, 7, 0, U, NO_IMM},
	{IR_VOP_qadd, 2, 15, 15, U, NO_IMM},
	{IR_VOP_qsub, 2, 15, 15, U, NO_IMM},
	{IR_VOP_suqadd, 3, 15, 15, 0, NO_IMM},
	{IR_VOP_usqadd, 3, 15, 15, 0, NO_IMM},
	{IR_VOP_vmax, 2, 7, 0, U, NO_IMM},
	{IR_VOP_vmin, 2, 7, 0, U, NO_IMM},
	{IR_VOP_abd, 2, 7, 0, U, NO_IMM},
	{IR_VOP_aba, 3, 7, 0, U, NO_IMM},
	{IR_VOP_cmeq, 2, 15, 8, 0, NO_IMM},
	{IR_VOP_cmgt, 2, 15, 8, U, NO_IMM},
	{IR_VOP_cmge, 2, 15, 8, U, NO_IMM},
	{IR_VOP_cmtst, 2, 15, 8, 0, NO_IMM},
	{IR_VOP_mla, 3, 7, 0, N, NO_IMM},
	{IR_VOP_sqdmulh, 2, 6, 6, R, NO_IMM},
	{IR_VOP_sqrdmlah, 3, 6, 6, N, NO_IMM},
	{IR_VOP_shl_reg, 2, 15, 8, U | R, NO_IMM},
	{IR_VOP_qshl_reg, 2, 15, 15, U | R, NO_IMM},
	{IR_VOP_shl, 1, 15, 8, 0, LEFT},
	{IR_VOP_shr, 1, 15, 8, U | R, RIGHT},
	{IR_VOP_sra, 3, 15, 8, U | R, RIGHT},
	{IR_VOP_sli, 3, 15, 8, 0, LEFT},
	{IR_VOP_sri, 3, 15, 8, 0, RIGHT},
	{IR_VOP_qshl, 1, 15, 15, U, LEFT},
	{IR_VOP_sqshlu, 1, 15, 15, 0, LEFT},
	{IR_VOP_shrn, 3, 7, 0, R | HI, RIGHT_OR_0},
	{IR_VOP_qshrn, 3, 7, 7, U | R | HI, RIGHT_OR_0},
	{IR_VOP_qshrun, 3, 7, 7, R | HI, RIGHT_OR_0},
	{IR_VOP_addhn, 3, 7, 0, R | HI, NO_IMM},
	{IR_VOP_subhn, 3, 7, 0, R | HI, NO_IMM},
	{IR_VOP_shll, 1, 7, 0, U | HI, LEFT},
	{IR_VOP_addl, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_subl, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_addw, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_subw, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_abdl, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_abal, 3, 7, 0, U | HI, NO_IMM},
	{IR_VOP_mull, 2, 7, 0, U | HI, NO_IMM},
	{IR_VOP_mlal, 3, 7, 0, U | HI | N, NO_IMM},
	{IR_VOP_sqdmull, 2, 6, 6, HI, NO_IMM},
	{IR_VOP_sqdmlal, 3, 6, 6, HI | N, NO_IMM},
	{IR_VOP_pmull, 2, 9, 0, HI, NO_IMM},
	{IR_VOP_addlp, 1, 7, 0, U, NO_IMM},
	{IR_VOP_adalp, 3, 7, 0, U, NO_IMM},
	{IR_VOP_addv, 1, 7, 0, 0, NO_IMM},
	{IR_VOP_addlv, 1, 7, 0, U, NO_IMM},
	{IR_VOP_maxv, 1, 7, 0, U, NO_IMM},
	{IR_VOP_minv, 1, 7, 0, U, NO_IMM},
	{IR_VOP_dot, 3, 4, 0, U, NO_IMM},
	{IR_VOP_usdot, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_mmla, 3, 4, 0, U, NO_IMM},
	{IR_VOP_usmmla, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_dup, 1, 15, 15, 0, LANE},
	{IR_VOP_ins, 2, 15, 0, 0, LANES},
	{IR_VOP_ext, 2, 1, 0, 0, BYTE},
	{IR_VOP_zip1, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_zip2, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_uzp1, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_uzp2, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_trn1, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_trn2, 2, 15, 0, 0, NO_IMM},
	{IR_VOP_tbx, 3, 1, 0, 0, TABLE},
	{IR_VOP_deint3, 3, 15, 0, 0, THREE},
	{IR_VOP_int3, 3, 15, 0, 0, THREE},
	{IR_VOP_fadd, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fsub, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fabd, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fmul, 2, 14, 14, N, NO_IMM},
	{IR_VOP_fmulx, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fdiv, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fmax, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fmin, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fmaxnm, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fminnm, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_frecps, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_frsqrts, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fmla, 3, 14, 14, N | NA, NO_IMM},
	{IR_VOP_fcmeq, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fcmge, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fcmgt, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_facge, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_facgt, 2, 14, 14, 0, NO_IMM},
	{IR_VOP_fabs, 1, 14, 14, 0, NO_IMM},
	{IR_VOP_fneg, 1, 14, 14, 0, NO_IMM},
	{IR_VOP_fsqrt, 1, 14, 14, 0, NO_IMM},
	{IR_VOP_frecpe, 1, 14, 14, 0, NO_IMM},
	{IR_VOP_frsqrte, 1, 14, 14, 0, NO_IMM},
	{IR_VOP_frecpx, 1, 0, 14, 0, NO_IMM},
	{IR_VOP_frint, 1, 14, 14, IR_VD_EXACT, NO_IMM},
	{IR_VOP_frintn, 1, 12, 12, 0, NO_IMM},
	{IR_VOP_fcvtz, 1, 14, 14, U, FRACTION},
	{IR_VOP_scvtf, 1, 14, 14, U, FRACTION},
	{IR_VOP_fcvtz_x, 1, 0, 14, U, FRACTION},
	{IR_VOP_scvtf_x, 1, 0, 12, U, FRACTION},
	{IR_VOP_fjcvtzs, 1, 0, 8, 0, NO_IMM},
	{IR_VOP_fcvt, 1, 0, 14, 0, NO_IMM},
	{IR_VOP_fcvtl, 1, 6, 0, HI, NO_IMM},
	{IR_VOP_fcvtn, 3, 6, 4, HI, NO_IMM},
	{IR_VOP_fmaxv, 1, 6, 0, 0, NO_IMM},
	{IR_VOP_fminv, 1, 6, 0, 0, NO_IMM},
	{IR_VOP_fmaxnmv, 1, 6, 0, 0, NO_IMM},
	{IR_VOP_fminnmv, 1, 6, 0, 0, NO_IMM},
	{IR_VOP_urecpe, 1, 4, 0, 0, NO_IMM},
	{IR_VOP_ursqrte, 1, 4, 0, 0, NO_IMM},
	{IR_VOP_fmlal, 3, 2, 0, HI | N, NO_IMM},
	{IR_VOP_bfcvtn, 3, 2, 2, HI, NO_IMM},
	{IR_VOP_bfdot, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_bfmmla, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_bfmlal, 3, 4, 0, HI, NO_IMM},
	{IR_VOP_fcadd, 2, 14, 0, 0, TWO},
	{IR_VOP_fcmla, 3, 14, 0, 0, FOUR},
	{IR_VOP_aese, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_aesd, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_aesmc, 1, 4, 0, 0, NO_IMM},
	{IR_VOP_aesimc, 1, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1c, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1p, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1m, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1h, 1, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1su0, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha1su1, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_sha256h, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha256h2, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha256su0, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_sha256su1, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha512h, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha512h2, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sha512su0, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_sha512su1, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_eor3, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_bcax, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_rax1, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_xar, 2, 4, 0, 0, AMOUNT},
	{IR_VOP_sm3ss1, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sm3tt1, 3, 4, 0, U, FOUR},
	{IR_VOP_sm3tt2, 3, 4, 0, U, FOUR},
	{IR_VOP_sm3partw1, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sm3partw2, 3, 4, 0, 0, NO_IMM},
	{IR_VOP_sm4e, 2, 4, 0, 0, NO_IMM},
	{IR_VOP_sm4ekey, 2, 4, 0, 0, NO_IMM},
};

static bool is_fp(unsigned id)
{
	return id >= IR_VOP_fadd && id < IR_VOP_aese;
}

static unsigned pick_size(unsigned mask, uint64_t *seed)
{
	unsigned s;

	do
		s = rnd(seed) & 3;
	while (!(mask >> s & 1));
	return s;
}

static uint32_t random_imm(const struct row *row, unsigned s, bool q, uint64_t *seed)
{
	unsigned bits = 8u << s, lanes = 16u >> s;
	uint64_t r = rnd(seed) >> 8;

	switch (row->imm) {
	case LEFT: return IR_VD_IMM(r % bits);
	case RIGHT: return IR_VD_IMM(1 + r % bits);
	case RIGHT_OR_0: return IR_VD_IMM(r % (bits + 1));
	case LANE: return IR_VD_IMM(r % lanes);
	case LANES: return IR_VD_IMM(r % lanes) | IR_VD_LANE((r >> 8) % lanes);
	case CONTAINER: return IR_VD_IMM(s + 1 + r % (3 - s));
	case BYTE: return IR_VD_IMM(r % (q ? 16 : 8));
	case TABLE: return IR_VD_IMM(r % 4 * 16);
	case FRACTION: return r & 0x300 ? 0 : IR_VD_IMM(1 + r % bits);
	case THREE: return IR_VD_IMM(r % 3);
	case TWO: return IR_VD_IMM(r % 2);
	case FOUR: return IR_VD_IMM(r % 4);
	case AMOUNT: return IR_VD_IMM(r % 64);
	default: return 0;
	}
}

static uint32_t random_desc(const struct row *row, uint64_t *seed, unsigned *args)
{
	static const uint8_t modes[] = {IR_RM_TIEEVEN, IR_RM_POSINF,  IR_RM_NEGINF,
					IR_RM_ZERO,    IR_RM_TIEAWAY, IR_RM_FPCR};
	bool scalar = row->scalar && (!row->sizes || rnd(seed) & 1), q;
	unsigned s = pick_size(scalar ? row->scalar : row->sizes, seed);
	uint32_t desc = IR_VD_SIZE(s) | (row->flags & (uint32_t)rnd(seed)), imm, rm = modes[rnd(seed) % sizeof(modes)];

	if (scalar) {
		desc = (desc & ~HI) | IR_VD_SCALAR | (rnd(seed) & 1 ? IR_VD_Q : 0);
	} else if (s == 3 || row->id >= IR_VOP_aese || row->id == IR_VOP_ins || row->id == IR_VOP_mmla ||
		   row->id == IR_VOP_usmmla || rnd(seed) & 1) {
		desc |= IR_VD_Q;
	}
	q = desc & IR_VD_Q;
	imm = random_imm(row, s, q, seed);
	*args = row->args;
	if (row->flags & HI && row->args == 3 && row->id <= IR_VOP_subhn)
		*args = desc & HI ? 3 : row->id >= IR_VOP_addhn ? 2 : 1;
	switch (row->id) {
	case IR_VOP_fcvtz:
	case IR_VOP_fcvtz_x:
		if (row->id == IR_VOP_fcvtz_x) {
			desc |= IR_VD_TO(2 + (rnd(seed) & 1));
			if (ir_vd_to(desc) == 2 && ir_vd_imm(imm) > 32)
				imm = 0;
		}
		if (rm == IR_RM_FPCR || imm)
			rm = IR_RM_ZERO;
		desc |= IR_VD_RM(rm);
		break;
	case IR_VOP_frint: desc |= IR_VD_RM(rm); break;
	case IR_VOP_frintn: desc |= IR_VD_RM(rm) | IR_VD_TO(2 + (rnd(seed) & 1)); break;
	case IR_VOP_scvtf_x: desc |= IR_VD_TO(1 + rnd(seed) % 3); break;
	case IR_VOP_fcvt:
		do
			desc = (desc & ~IR_VD_TO(7)) | IR_VD_TO(1 + rnd(seed) % 3);
		while (ir_vd_to(desc) == s);
		break;
	case IR_VOP_fcvtn:
		desc |= IR_VD_RM(s == 2 && (scalar || rnd(seed) & 1) ? IR_RM_ODD : IR_RM_FPCR);
		*args = desc & HI ? 3 : 1;
		break;
	default: break;
	}
	return desc | imm;
}

/* A number of 1 << s bytes that is one of those where something changes. */
static uint64_t edge_fp(unsigned s, uint64_t *seed)
{
	unsigned fbits = s == 1 ? 10 : s == 2 ? 23 : 52, ebits = s == 1 ? 5 : s == 2 ? 8 : 11;
	uint64_t one = (uint64_t)1 << fbits, emax = ((uint64_t)1 << ebits) - 1, bias = emax >> 1, r = rnd(seed);
	uint64_t frac = rnd(seed) & (one - 1), v;

	switch (r % 26) {
	case 0: v = 0; break;
	case 1: v = 1 + (r >> 8 & 1); break;
	case 2: v = one - 1; break; /* the largest denormal */
	case 3: v = one; break;	    /* the smallest normal */
	case 4: v = one + 1; break;
	case 5: v = emax << fbits; break;
	case 6: v = (emax << fbits) - 1; break;
	case 7: v = emax << fbits | one >> 1 | frac; break;		 /* quiet NaN */
	case 8: v = emax << fbits | ((frac & (one / 2 - 1)) | 1); break; /* signalling NaN */
	case 9: v = bias << fbits; break;
	case 10: v = (bias + (r >> 8) % 66) << fbits; break; /* powers of two, up to the borders of integers */
	case 11: v = ((bias + (r >> 8) % 66) << fbits) - 1; break;
	case 12: v = frac; break;
	case 13: v = (bias / 2 + (r >> 8) % 3) << fbits | ((r >> 16 & 1) ? frac : one - 1 - (r >> 17 & 3)); break;
	case 14: v = (1 + (r >> 8) % 3) << fbits | frac; break;
	case 15: v = (bias + 1) << fbits | (one >> (1 + (r >> 8) % 8)); break;
	case 16: v = (bias - 1) << fbits | ((r >> 9 & 1) ? frac : 0); break;
	case 17: v = (bias + (r >> 8) % fbits) << fbits | (frac & ~(uint64_t)0 << (r >> 16) % fbits); break;
	case 18: v = (bias - fbits + (r >> 8) % (2 * fbits)) << fbits | frac; break;
	case 19:
	case 20:
	case 21:
		v = (bias << fbits) + (r >> 8 & 7) - 4;
		break; /* about 1, and about the smallest normal: products and ... */
	case 22:
	case 23: v = one + (r >> 8 & 7) - 4; break;
	case 24:
		v = s == 3 ? (UINT64_C(0x381) << 52) + (rnd(seed) >> (r >> 8 & 31) & 0x7fffffff) - 0x3fffffff : one;
		break;
	default: v = rnd(seed); break; /* ... conversions that are nearly it */
	}
	return v ^ (uint64_t)(r >> 63) << (8u * (1u << s) - 1);
}

static uint64_t edge_int(unsigned s, uint64_t *seed)
{
	uint64_t r = rnd(seed), sign = (uint64_t)1 << ((8u << s) - 1);

	switch (r % 8) {
	case 0: return 0;
	case 1: return ~(uint64_t)0;
	case 2: return sign;
	case 3: return sign - 1;
	case 4: return sign + 1;
	case 5: return (r >> 8 & 0xff) - 128;
	case 6: return r >> 8 & 31;
	default: return rnd(seed);
	}
}

static void random_vector(union ir_v128 *v, unsigned usual_size, uint64_t *seed)
{
	uint64_t r = rnd(seed);
	unsigned s = r >> 9 & 3 ? usual_size : r & 3;
	bool fp = s && r >> 2 & 3;

	*v = (union ir_v128){.d = {0, 0}};
	for (unsigned i = 0; i < 16u >> s; i++)
		ir_vset(v, s, i, fp ? edge_fp(s, seed) : edge_int(s, seed));
	if (r >> 8 & 1)
		v->d[1] = 0;
}

static void fp_state(struct pe *pe, uint64_t seed)
{
	uint64_t r = rnd(&seed);

	random_state(pe, seed);
	for (unsigned i = 0; i < 32; i++)
		random_vector(&pe->env.v[i], r >> 40 & 3, &seed);
	if (r & 1) /* RMode; FZ and others less often */
		pe->env.fpcr = (uint32_t)(r >> 8 & 3) << 22;
	if ((r >> 16 & 3) == 0)
		pe->env.fpcr |= (uint32_t)(r >> 24) & (IR_FPCR_FZ16 | IR_FPCR_FZ | IR_FPCR_DN | IR_FPCR_AHP);
	if (r >> 1 & 1)
		pe->env.fpsr = (uint32_t)(r >> 32) & 0x0800009f;
}

static void each_level(void (*test)(uint64_t seed))
{
	const char *why;
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 20;

	for (enum jit_level l = JIT_SSE41; l <= JIT_AVX512; l++) {
		jit = jit_new(&got.env, 0, &why);
		assert_non_null(jit);
		if (l <= jit_level(jit)) {
			jit_set_level(jit, l);
			test(seed + l);
		}
		jit_free(jit);
	}
}

static uint16_t vop(const struct row *row, const uint16_t *v, unsigned n, uint64_t *seed)
{
	unsigned args;
	struct ir_insn op = {.op = IR_vop, .imm = row->id, .aux = random_desc(row, seed, &args)};

	op.a = v[rnd(seed) % n];
	if (row->args == 3 && args == 1) {
		op.b = 0;
	} else if (args > 1) {
		op.b = v[rnd(seed) % n];
	}
	if (args > 2) {
		op.c = v[rnd(seed) % n];
		/* one operand and the destination */
		if ((row->id <= IR_VOP_qshrun && row->id >= IR_VOP_shl) || row->id == IR_VOP_adalp ||
		    row->id == IR_VOP_fcvtn || row->id == IR_VOP_suqadd || row->id == IR_VOP_usqadd)
			op.b = 0;
	}
	return hand_op(&h, op);
}

static void one_by_one(uint64_t seed)
{
	unsigned rounds = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) : 300;

	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		for (unsigned n = 0; n < rounds * (is_fp(rows[k].id) ? 3 : 1); n++) {
			uint16_t v[5], d;

			hand_begin(&h);
			for (unsigned i = 0; i < 4; i++)
				v[i] = OP(.op = IR_getv, .x = i);
			v[4] = OP(.op = IR_v_from_x, .a = OP(.op = IR_const, .imm = rnd(&seed) & 1 ? 0 : rnd(&seed)));
			d = vop(&rows[k], v, 5, &seed);
			OP(.op = IR_putv, .x = rnd(&seed) & 7, .a = d);
			if (rnd(&seed) & 1)
				OP(.op = IR_putv, .x = rnd(&seed) & 7, .a = v[rnd(&seed) & 3]);
			hand_end(&h);
			compare_from(fp_state, &h.blk, rnd(&seed) | 1, ir_vop_name(rows[k].id), n);
		}
	}
}

static void each_operation_does_what_its_definition_does(void **s)
{
	each_level(one_by_one);
}

/* Many at once, so that registers run out, with other ops between them: added to the block at hand. */
static void many(uint64_t *seed)
{
	unsigned ops = 1 + rnd(seed) % 24, have = 0;
	uint16_t v[40];

	while (have < 6)
		v[have++] = OP(.op = IR_getv, .x = rnd(seed) & 15);
	for (unsigned i = 0; i < ops && have < 32; i++) {
		uint64_t r = rnd(seed);
		uint16_t a;

		switch (r & 15) {
		case 0: v[have++] = OP(.op = IR_getv, .x = r >> 8 & 15); break;
		case 1:
			a = OP(.op = IR_getx, .x = r >> 8 & 3);
			v[have++] = OP(.op = IR_loadv, .a = a, .imm = r >> 16 & 0x7f,
				       .aux = IR_MEM((r >> 32) % 5, 0, 0, IR_MEM_VEC));
			break;
		case 2:
			a = OP(.op = IR_getx, .x = r >> 8 & 3);
			OP(.op = IR_storev, .a = a, .b = v[(r >> 40) % have], .imm = r >> 16 & 0x7f,
			   .aux = IR_MEM((r >> 32) % 5, 0, 0, IR_MEM_VEC | IR_MEM_WNR));
			break;
		case 3:
			a = OP(.op = IR_x_from_v, .x = (r >> 8) % (16u >> (r >> 16 & 3)), .a = v[(r >> 40) % have],
			       .aux = (r >> 16 & 3) | (r >> 20 & 1) << 4);
			OP(.op = IR_putx, .x = 10, .a = a);
			break;
		case 4:
			a = OP(.op = IR_getx, .x = 5 + (r >> 4 & 3));
			v[have] = OP(.op = IR_v_ins_x, .x = (r >> 8) % (16u >> (r >> 16 & 3)), .a = v[(r >> 40) % have],
				     .b = a, .aux = r >> 16 & 3);
			have++;
			break;
		case 5: {
			uint16_t f = OP(.op = IR_fl_fcmp, .x = 1 + (r >> 8) % 3, .aux = r >> 16 & 1,
					.a = v[(r >> 40) % have], .b = v[(r >> 48) % have]);

			if (r >> 20 & 1)
				OP(.op = IR_putf, .a = f);
			for (unsigned k = 0; k < 2; k++)
				OP(.op = IR_putx, .x = 11 + k,
				   .a = OP(.op = IR_cond, .x = (r >> (24 + 4 * k)) & 15, .a = f));
			if (r >> 21 & 1)
				OP(.op = IR_brcond, .a = OP(.op = IR_cond, .x = r >> 32 & 15, .a = f),
				   .imm = PC + 0x1000);
			break;
		}
		case 6: {
			uint32_t reg = r >> 8 & 1 ? 1 : PE_FPSR;

			if ((r >> 9 & 3) == 0)
				OP(.op = IR_msr, .x = 3, .aux = reg, .a = OP(.op = IR_getx, .x = r >> 16 & 7));
			else
				OP(.op = IR_putx, .x = 13, .a = OP(.op = IR_mrs, .x = 3, .aux = reg));
			break;
		}
		case 7: /* a round of AES */
			v[have] = OP(.op = IR_vop, .imm = r >> 8 & 1 ? IR_VOP_aese : IR_VOP_aesd, .aux = 10,
				     .a = v[(r >> 40) % have], .b = v[(r >> 48) % have]);
			a = OP(.op = IR_vop,
			       .imm = r >> 9 & 3 ? (r >> 8 & 1 ? IR_VOP_aesmc : IR_VOP_aesimc) : IR_VOP_aesmc,
			       .aux = 10, .a = v[have]);
			if (r >> 11 & 1)
				have++;
			v[have++] = a;
			break;
		case 8: /* rounds of SHA-256, both halves */
			v[have + 1] = OP(.op = IR_vop, .imm = IR_VOP_sha256h, .aux = 10, .a = v[(r >> 40) % have],
					 .b = v[(r >> 48) % have], .c = v[(r >> 56) % have]);
			if (r >> 8 & 1)
				OP(.op = IR_putv, .x = r >> 9 & 15, .a = v[have + 1]);
			v[have] = OP(.op = IR_vop, .imm = IR_VOP_sha256h2, .aux = 10, .a = v[(r >> 48) % have],
				     .b = v[(r >> 40) % have], .c = v[(r >> 56) % have]);
			have += 2;
			break;
		default:
			v[have] = vop(&rows[rnd(seed) % (sizeof(rows) / sizeof(rows[0]))], v, have, seed);
			have++;
			break;
		}
		if (rnd(seed) & 1) {
			OP(.op = IR_putv, .x = rnd(seed) & 15, .a = v[rnd(seed) % have]);
			hand_next(&h);
		}
	}
}

static void in_company(uint64_t seed)
{
	unsigned rounds = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) * 20 : 6000;

	for (unsigned n = 0; n < rounds; n++) {
		hand_begin(&h);
		many(&seed);
		hand_end(&h);
		compare_from(fp_state, &h.blk, rnd(&seed) | 1, "company", n);
		ir_opt(&h.blk);
		compare_from(fp_state, &h.blk, rnd(&seed) | 1, "company, optimised", n);
	}
}

static void operations_in_blocks_do_what_the_interpreter_does(void **s)
{
	each_level(in_company);
}

/* Two units that go to each other, the second one a few times: registers hold what they should where they meet. */
static void in_a_loop(uint64_t seed)
{
	enum { SECOND = PC + 0x200, END = PC + 0x400, TURNS = 5 };
	unsigned rounds = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) * 8 : 2000, turns = 0;
	static struct jit_jump jump[16];
	static const uint32_t map[JIT_CODE_SLOTS];
	static struct hand first;
	const char *why;
	enum jit_level level = jit_level(jit);

	jit_free(jit);
	jit = jit_new(&got.env, 4, &why);
	assert_non_null(jit);
	jit_set_level(jit, level);
	for (unsigned n = 0; n < rounds; n++) {
		uint64_t st = rnd(&seed) | 1;
		struct jit_unit u[2] = {{.blk = &first.blk, .chain = true}, {.blk = &h.blk, .chain = true}};
		enum ir_ret ret = IR_RET_BR, ret2 = IR_RET_BR;
		uint16_t count;

		hand_begin(&h);
		many(&seed);
		hand_op(&h, (struct ir_insn){.op = IR_br, .imm = SECOND});
		first = h;
		first.blk.ops = first.ops;
		hand_begin(&h);
		h.blk.pc = SECOND;
		many(&seed);
		hand_next(&h);
		count = OP(.op = IR_sub64, .a = OP(.op = IR_getx, .x = 20), .b = OP(.op = IR_const, .imm = 1));
		OP(.op = IR_putx, .x = 20, .a = count);
		OP(.op = IR_brcond, .a = OP(.op = IR_nez64, .a = count), .imm = PC);
		hand_op(&h, (struct ir_insn){.op = IR_br, .imm = END});

		fp_state(&want, st);
		fp_state(&got, st);
		want.env.x[20] = got.env.x[20] = TURNS;
		got.env.jump = jump;
		got.env.code_map[0] = got.env.code_map[1] = map;
		for (want.env.pc = PC; ret == IR_RET_BR && (want.env.pc == PC || want.env.pc == SECOND); turns++)
			ret = ir_interp(&want.env, want.env.pc == PC ? &first.blk : &h.blk);
		if (jit_is_full(jit))
			jit_reset(jit);
		u[0].flushes = u[1].flushes = got.env.fpcr & IR_FPCR_FZ;
		assert_true(jit_compile(jit, &u[0]) && jit_compile(jit, &u[1]));
		for (got.env.pc = PC; ret2 == IR_RET_BR && (got.env.pc == PC || got.env.pc == SECOND);) {
			const void *code = u[got.env.pc == SECOND].code;

			if (got.env.site)
				jit_link(jit, got.env.site, code, 1);
			ret2 = jit_run(jit, &got.env, code);
		}
		want.env.insn_count = got.env.insn_count = 0;
		expect_same(&h.blk, ret, ret2, "loop", n);
	}
	assert_true(turns > 4 * rounds);
}

/* Products of halves that lie in the middle between two, and what moves the sum off it or does not; or near the largest one. */
static void tie_state(struct pe *pe, uint64_t seed)
{
	fp_state(pe, seed);
	pe->env.fpcr = rnd(&seed) & 3 ? 0 : (uint32_t)(rnd(&seed) & 3) << 22;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t r = rnd(&seed);
		unsigned a = 45 + 2 * (r & 7), b = 47 + 2 * (r >> 3 & 7), e = r >> 6 & 7; /* a product of twelve bits */

		/* a * 2 to the power of e - 5, and b: odd numbers of six bits */
		pe->env.v[0].h[i] = (uint16_t)((15 + e) << 10 | (a - 32) << 5 | (r >> 16 & 1) << 15);
		pe->env.v[1].h[i] = (uint16_t)(20u << 10 | (b - 32) << 5 | (r >> 17 & 1) << 15);
		pe->env.v[2].h[i] = (uint16_t)((r >> 18 & 3) | (r >> 20 & 1) << 15);
		if ((r >> 24 & 7) == 0) { /* 65519.99 is not 65520, which overflows: 63 * 1040 */
			pe->env.v[0].h[i] = (uint16_t)(20u << 10 | (63 - 32) << 5);
			pe->env.v[1].h[i] = (uint16_t)(25u << 10 | 16 | (r >> 17 & 1) << 15);
		}
	}
}

static void ties(uint64_t seed)
{
	for (unsigned n = 0; n < 600; n++) {
		uint32_t form = n % 3 == 0 ? IR_VD_SCALAR : n % 3 == 1 ? IR_VD_Q : 0;
		uint16_t v[3];

		hand_begin(&h);
		for (unsigned i = 0; i < 3; i++)
			v[i] = OP(.op = IR_getv, .x = i);
		OP(.op = IR_putv, .x = 3,
		   .a = OP(.op = IR_vop, .imm = IR_VOP_fmla, .a = v[0], .b = v[1], .c = v[2],
			   .aux = IR_VD_SIZE(1) | form | (rnd(&seed) & (N | NA))));
		hand_end(&h);
		compare_from(tie_state, &h.blk, rnd(&seed) | 1, "ties", n);
	}
}

static void fused_sums_of_halves_next_to_a_tie_are_rounded_once(void **s)
{
	each_level(ties);
}

static void operations_in_linked_units_do_what_the_interpreter_does(void **s)
{
	each_level(in_a_loop);
}

static void every_operation_is_tested(void **s)
{
	bool seen[IR_VOP_COUNT] = {true};

	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
		seen[rows[k].id] = true;
	for (unsigned id = 0; id < IR_VOP_COUNT; id++) {
		if (!seen[id])
			fail_msg("no row for %s", ir_vop_name(id));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_is_tested),
		cmocka_unit_test(each_operation_does_what_its_definition_does),
		cmocka_unit_test(operations_in_blocks_do_what_the_interpreter_does),
		cmocka_unit_test(fused_sums_of_halves_next_to_a_tie_are_rounded_once),
		cmocka_unit_test(operations_in_linked_units_do_what_the_interpreter_does),
	};

	return cmocka_run_group_tests_name("jit/vops", tests, NULL, NULL);
}
