/* SPDX-License-Identifier: MIT */
/*
 * Cryptographic operations on AES-NI, PCLMULQDQ, SHA-NI, plain vector instructions, and for SHA-512 RORX. SM3 and SM4 call
 * their definitions in ir/crypto.c. Operands are in the order that those say.
 */
#include "vgen.h"

#define V_AESIMC VO38(0xdb)
#define V_AESENC VO38(0xdc)
#define V_AESENCLAST VO38(0xdd)
#define V_AESDEC VO38(0xde)
#define V_AESDECLAST VO38(0xdf)
#define V_PCLMULQDQ VO3A(0x44)
#define V_SHA1RNDS4 (0xccu | V_3A | V_LEGACY)
#define V_SHA256RNDS2 (0xcbu | V_38 | V_LEGACY) /* with xmm0 */
#define V_SHA256MSG1 (0xccu | V_38 | V_LEGACY)
#define V_SHA256MSG2 (0xcdu | V_38 | V_LEGACY)
#define V_PADDD VO(0xfe)
#define V_PADDQ VO(0xd4)
#define V_PSUBD VO(0xfa)
#define V_RORX (0xf0u | V_F2 | V_3A | V_W) /* general registers */

struct cx {
	int a, b, c, d;
};

static struct cx start(struct jit *j)
{
	const struct ir_insn *op = vop_at(j);
	struct cx x;

	x.a = op->a ? vreg_use(j, op->a) : T1;
	x.b = op->b ? vreg_use(j, op->b) : T1;
	x.c = op->c ? vreg_use(j, op->c) : T1;
	x.d = vreg_def(j, op->dst, 4);
	return x;
}

/* d = a rotated left by n within words; tmp is not a */
static void rotate(struct jit *j, int d, int a, unsigned n, int tmp)
{
	if (has_avx512(j)) {
		v_shift(j, V_SHIFT_D | V_EVEX, 1, d, a, n); /* VPROLD */
		return;
	}
	v_shift(j, V_SHIFT_D, VSH_SLL, tmp, a, n);
	v_shift(j, V_SHIFT_D, VSH_SRL, d, a, 32 - n);
	v3(j, V_POR, d, d, tmp);
}

/* d = a rotated left by n, 1..63, within doublewords */
static void rotate_64(struct jit *j, int d, int a, unsigned n, int tmp)
{
	if (has_avx512(j)) {
		v_shift(j, V_SHIFT_D | V_W | V_EVEX, 1, d, a, n); /* VPROLQ */
		return;
	}
	v_shift(j, V_SHIFT_Q, VSH_SLL, tmp, a, n);
	v_shift(j, V_SHIFT_Q, VSH_SRL, d, a, 64 - n);
	v3(j, V_POR, d, d, tmp);
}

/* ---- AES. The key is added first, so the host's is zero. */

static bool aes_round(struct jit *j, uint32_t last)
{
	struct cx x;

	if (!j->has_aes)
		return false;
	if (j->v[vop_at(j)->dst].fused) /* aes_mix() does both */
		return true;
	x = start(j);
	v3(j, V_PXOR, x.d, x.a, x.b);
	v_zero(j, T0);
	v3(j, last, x.d, x.d, T0);
	return true;
}

/* The round whose result the op at hand mixes, and that: aes_round() has left it to do. */
static bool both(struct jit *j, uint32_t host)
{
	const struct ir_insn *op = vop_at(j), *round = &j->blk->ops[j->v[op->a].def];
	int a = vreg_use(j, round->a), b = vreg_use(j, round->b), d = vreg_def(j, op->dst, 4);

	v3(j, V_PXOR, d, a, b);
	v_zero(j, T0);
	v3(j, host, d, d, T0);
	return true;
}

/* MixColumns alone is a round after the inverse of its other steps. */
static bool aes_mix(struct jit *j)
{
	struct cx x;

	if (!j->has_aes)
		return false;
	if (j->v[vop_at(j)->a].fused)
		return both(j, V_AESENC);
	x = start(j);
	v_zero(j, T0);
	v3(j, V_AESDECLAST, x.d, x.a, T0);
	v3(j, V_AESENC, x.d, x.d, T0);
	return true;
}

static bool aes_inverse_mix(struct jit *j)
{
	struct cx x;

	if (!j->has_aes)
		return false;
	if (j->v[vop_at(j)->a].fused)
		return both(j, V_AESDEC);
	x = start(j);
	v2(j, V_AESIMC, x.d, x.a);
	return true;
}

static bool polynomial_long(struct jit *j)
{
	struct cx x;

	if (!j->has_clmul || ir_vd_size(vop_at(j)->aux) != 3)
		return false;
	x = start(j);
	v3i(j, V_PCLMULQDQ, x.d, x.a, x.b, vop_at(j)->aux & IR_VD_HI ? 0x11 : 0x00);
	return true;
}

/* ---- SHA-256 */

/* The SHA256H2 that follows SHA256H closely, of the same rounds. */
static const struct ir_insn *second_half(const struct jit *j, const struct ir_insn *op)
{
	for (unsigned i = j->i + 1; i < j->i + 6 && i < j->blk->n_ops; i++) {
		const struct ir_insn *o = &j->blk->ops[i];

		if (o->op == IR_vop && o->imm == IR_VOP_sha256h2 && o->a == op->b && o->b == op->a && o->c == op->c)
			return o;
	}
	return NULL;
}

/*
 * The host does two rounds at a time on F, E, B, A (words 0 to 3) and H, G, D, C; what was the first is the second
 * afterwards. Its third operand is xmm0.
 */
static bool sha256_rounds(struct jit *j, bool second)
{
	const struct ir_insn *op = vop_at(j), *other;
	int x, y, w, d;

	if (!j->has_sha)
		return false;
	if (j->v[op->dst].early)
		return true;
	x = vreg_use(j, second ? op->b : op->a);
	y = vreg_use(j, second ? op->a : op->b);
	w = vreg_use(j, op->c);
	j->vpinned |= 1; /* not for the result */
	d = vreg_def(j, op->dst, 4);
	v3i(j, V_SHUFPS, T0, y, x, 0x11);
	v3i(j, V_SHUFPS, d, y, x, 0xbb);
	v_mov(j, T1, 0);
	v_mov(j, 0, w);
	v_sse(j, V_SHA256RNDS2, d, T0);
	v2i(j, V_PSHUFD, 0, 0, 0x0e);
	v_sse(j, V_SHA256RNDS2, T0, d);
	v_mov(j, 0, T1);
	other = second ? NULL : second_half(j, op);
	if (other) {
		int d2 = vreg_def(j, other->dst, 4);

		v3i(j, V_SHUFPS, d2, T0, d, 0x11);
		j->v[other->dst].early = true;
	}
	v3i(j, V_SHUFPS, T0, T0, d, second ? 0x11 : 0xbb);
	v_mov(j, d, T0);
	return true;
}

static bool sha256_schedule(struct jit *j, bool second)
{
	struct cx x;

	if (!j->has_sha)
		return false;
	x = start(j);
	if (!second) {
		v3(j, V_SHA256MSG1, x.d, x.a, x.b);
		return true;
	}
	v3i(j, V_PALIGNR, T0, x.c, x.b, 4);
	v3(j, V_PADDD, x.d, x.a, T0);
	v3(j, V_SHA256MSG2, x.d, x.d, x.c);
	return true;
}

/* ---- SHA-1. The host has the words the other way round, and adds the round constant, which the guest has added. */

static bool sha1_rounds(struct jit *j, unsigned fn, enum vconst k)
{
	struct cx x;

	if (!j->has_sha)
		return false;
	x = start(j);
	v3c(j, V_PSUBD, T0, x.c, k);
	v_shift(j, V_SHIFT_Q, VSH_SLLDQ, T1, x.b, 12); /* E, to the word of the first round */
	v2i(j, V_PSHUFD, T0, T0, 0x1b);
	v3(j, V_PADDD, T0, T0, T1);
	v2i(j, V_PSHUFD, x.d, x.a, 0x1b);
	v_sse(j, V_SHA1RNDS4, x.d, T0);
	as_8(&j->as, fn);
	v2i(j, V_PSHUFD, x.d, x.d, 0x1b);
	return true;
}

static bool sha1_hash(struct jit *j)
{
	struct cx x = start(j);

	rotate(j, x.d, x.a, 30, T0);
	v_clear_above(j, 2, x.d);
	j->v[vop_at(j)->dst].clean = 2;
	return true;
}

static bool sha1_schedule_0(struct jit *j)
{
	struct cx x = start(j);

	v3i(j, V_SHUFPD, T0, x.a, x.b, 1);
	v3(j, V_PXOR, T0, T0, x.a);
	v3(j, V_PXOR, x.d, T0, x.c);
	return true;
}

static bool sha1_schedule_1(struct jit *j)
{
	struct cx x = start(j);

	v_shift(j, V_SHIFT_Q, VSH_SRLDQ, T0, x.b, 4);
	v3(j, V_PXOR, T0, T0, x.a);
	rotate(j, x.d, T0, 1, T1);
	v_shift(j, V_SHIFT_Q, VSH_SLLDQ, T0, x.d, 12);
	if (has_avx512(j)) {
		rotate(j, T0, T0, 1, T1);
	} else {
		v_shift(j, V_SHIFT_D, VSH_SLL, T1, T0, 1);
		v_shift(j, V_SHIFT_D, VSH_SRL, T0, T0, 31);
		v3(j, V_POR, T0, T0, T1);
	}
	v3(j, V_PXOR, x.d, x.d, T0);
	return true;
}

/* ---- SHA-512. Of a, b, c: the sum so far, and state as the definitions have it. */

/* d = x rotated right by r1, xor by r2, xor shifted right by s; changes T1 */
static void small_sigma(struct jit *j, int d, int x, unsigned r1, unsigned r2, unsigned s)
{
	const unsigned r[2] = {r1, r2};

	v_shift(j, V_SHIFT_Q, VSH_SRL, d, x, s);
	for (unsigned i = 0; i < 2; i++) {
		if (has_avx512(j)) {
			v_shift(j, V_SHIFT_D | V_W | V_EVEX, 0, T1, x, r[i]); /* VPRORQ */
		} else {
			v_shift(j, V_SHIFT_Q, VSH_SRL, T1, x, r[i]);
			v3(j, V_PXOR, d, d, T1);
			v_shift(j, V_SHIFT_Q, VSH_SLL, T1, x, 64 - r[i]);
		}
		v3(j, V_PXOR, d, d, T1);
	}
}

static bool sha512_schedule_0(struct jit *j)
{
	struct cx x = start(j);

	v3i(j, V_PALIGNR, T0, x.b, x.a, 8);
	small_sigma(j, x.d, T0, 1, 8, 7);
	v3(j, V_PADDQ, x.d, x.d, x.a);
	return true;
}

static bool sha512_schedule_1(struct jit *j)
{
	struct cx x = start(j);

	small_sigma(j, x.d, x.b, 19, 61, 6);
	v3(j, V_PADDQ, x.d, x.d, x.a);
	v3(j, V_PADDQ, x.d, x.d, x.c);
	return true;
}

static void element(struct jit *j, int r, int v, unsigned n)
{
	if (n)
		v2i(j, V_PEXTRD | V_W, v, r, 1);
	else
		v2(j, V_MOVD_TO_X | V_W, v, r);
}

/* rcx = rax rotated by each of three numbers, all xored; changes rdx */
static void big_sigma(struct jit *j, const uint8_t *r)
{
	v2i(j, V_RORX, RCX, RAX, r[0]);
	for (unsigned i = 1; i < 3; i++) {
		v2i(j, V_RORX, RDX, RAX, r[i]);
		as_rr(&j->as, X_XOR | X_W, RCX, RDX);
	}
}

/* rcx += element n of v; changes rdx */
static void add_element(struct jit *j, int v, unsigned n)
{
	element(j, RDX, v, n);
	as_rr(&j->as, X_ADD | X_W, RCX, RDX);
}

/* rcx += ((element 0 of `differs`) & rax) ^ element n of v: rax chooses where two differ. Changes rax, rdx. */
static void add_choice(struct jit *j, int differs, int v, unsigned n)
{
	struct as *a = &j->as;

	element(j, RDX, differs, 0);
	as_rr(a, X_AND | X_W, RDX, RAX);
	element(j, RAX, v, n);
	as_rr(a, X_XOR | X_W, RDX, RAX);
	as_rr(a, X_ADD | X_W, RCX, RDX);
}

/* x.d = the sum in rcx, and above it the one that T1 has */
static bool two_sums(struct jit *j, const struct cx *x)
{
	v2(j, V_MOVD | V_W, T0, RCX);
	v3(j, V_PUNPCKLQDQ, x->d, T0, T1);
	return true;
}

static bool can_sha512(const struct jit *j)
{
	return has_avx(j) && j->has_bmi2;
}

static bool sha512_hash(struct jit *j)
{
	static const uint8_t r[] = {14, 18, 41};
	struct cx x;

	if (!can_sha512(j))
		return false;
	x = start(j);
	element(j, RAX, x.c, 1);
	big_sigma(j, r);
	add_element(j, x.a, 1);
	v2i(j, V_PSHUFD, T0, x.b, 0x4e);
	v3(j, V_PXOR, T0, T0, x.b); /* where the halves of b differ */
	add_choice(j, T0, x.b, 1);
	v2(j, V_MOVD | V_W, T1, RCX);
	element(j, RAX, x.c, 0);
	as_rr(&j->as, X_ADD | X_W, RAX, RCX);
	big_sigma(j, r);
	add_element(j, x.a, 0);
	v2i(j, V_PSHUFD, T0, x.c, 0xee);
	v3(j, V_PXOR, T0, T0, x.b);
	add_choice(j, T0, x.b, 0);
	return two_sums(j, &x);
}

/* A majority of three is what two have in common, or where those differ the third. */
static bool sha512_hash_2(struct jit *j)
{
	static const uint8_t r[] = {28, 34, 39};
	struct cx x;

	if (!can_sha512(j))
		return false;
	x = start(j);
	v2i(j, V_PSHUFD, T0, x.c, 0x4e);
	v3(j, V_PAND, x.d, T0, x.c);
	v3(j, V_PXOR, T0, T0, x.c);
	element(j, RAX, x.c, 0);
	big_sigma(j, r);
	add_element(j, x.a, 1);
	element(j, RAX, x.b, 0);
	add_choice(j, T0, x.d, 0);
	v2(j, V_MOVD | V_W, T1, RCX);
	as_mov_rr(&j->as, RAX, RCX);
	big_sigma(j, r);
	add_element(j, x.a, 0);
	add_choice(j, T0, x.d, 0);
	return two_sums(j, &x);
}

/* ---- SHA-3 */

static bool xor_3(struct jit *j)
{
	struct cx x = start(j);

	v3(j, V_PXOR, x.d, x.a, x.b);
	v3(j, V_PXOR, x.d, x.d, x.c);
	return true;
}

static bool bit_clear_xor(struct jit *j)
{
	struct cx x = start(j);

	v3(j, V_PANDN, x.d, x.c, x.b);
	v3(j, V_PXOR, x.d, x.d, x.a);
	return true;
}

static bool rotate_xor(struct jit *j)
{
	struct cx x = start(j);

	rotate_64(j, T0, x.b, 1, T1);
	v3(j, V_PXOR, x.d, x.a, T0);
	return true;
}

static bool xor_rotate(struct jit *j)
{
	unsigned n = ir_vd_imm(vop_at(j)->aux) & 63;
	struct cx x = start(j);

	v3(j, V_PXOR, n ? T0 : x.d, x.a, x.b);
	if (n)
		rotate_64(j, x.d, T0, 64 - n, T1);
	return true;
}

bool vec_crypto_op(struct jit *j)
{
	switch (vop_at(j)->imm) {
	case IR_VOP_aese: return aes_round(j, V_AESENCLAST);
	case IR_VOP_aesd: return aes_round(j, V_AESDECLAST);
	case IR_VOP_aesmc: return aes_mix(j);
	case IR_VOP_aesimc: return aes_inverse_mix(j);
	case IR_VOP_pmull: return polynomial_long(j);
	case IR_VOP_sha1c: return sha1_rounds(j, 0, VC_SHA1_K0);
	case IR_VOP_sha1p: return sha1_rounds(j, 1, VC_SHA1_K1);
	case IR_VOP_sha1m: return sha1_rounds(j, 2, VC_SHA1_K2);
	case IR_VOP_sha1h: return sha1_hash(j);
	case IR_VOP_sha1su0: return sha1_schedule_0(j);
	case IR_VOP_sha1su1: return sha1_schedule_1(j);
	case IR_VOP_sha256h: return sha256_rounds(j, false);
	case IR_VOP_sha256h2: return sha256_rounds(j, true);
	case IR_VOP_sha256su0: return sha256_schedule(j, false);
	case IR_VOP_sha256su1: return sha256_schedule(j, true);
	case IR_VOP_sha512h: return sha512_hash(j);
	case IR_VOP_sha512h2: return sha512_hash_2(j);
	case IR_VOP_sha512su0: return sha512_schedule_0(j);
	case IR_VOP_sha512su1: return sha512_schedule_1(j);
	case IR_VOP_eor3: return xor_3(j);
	case IR_VOP_bcax: return bit_clear_xor(j);
	case IR_VOP_rax1: return rotate_xor(j);
	case IR_VOP_xar: return xor_rotate(j);
	default: return false;
	}
}
