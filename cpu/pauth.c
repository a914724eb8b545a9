/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication, and the PE's side of branch target identification. Arm ARM DDI 0487, FEAT_PAuth and FEAT_PAuth2, pseudocode AddPAC(), Auth(), Strip() and
 * ComputePAC(). The algorithm is one of our own, which is fast and no cipher (ID_AA64ISAR1_EL1.API), or QARMA5 (APA).
 */
#include "internal.h"

/* ---- QARMA5: sixteen cells of four bits, cell i in bits 4i+3:4i. Loops over cells are of constants and unrolled. */

#define CELLS 0x1111111111111111 /* times a nibble: it in every cell */

static inline __attribute__((always_inline)) uint64_t permute(uint64_t v, const uint8_t *from)
{
	uint64_t r = 0;

#pragma GCC unroll 16
	for (unsigned i = 0; i < 16; i++)
		r |= (v >> (4 * from[i]) & 15) << (4 * i);
	return r;
}

static inline __attribute__((always_inline)) uint64_t permute_back(uint64_t v, const uint8_t *from)
{
	uint64_t r = 0;

#pragma GCC unroll 16
	for (unsigned i = 0; i < 16; i++)
		r |= (v >> (4 * i) & 15) << (4 * from[i]);
	return r;
}

static inline __attribute__((always_inline)) uint64_t substitute(uint64_t v, const uint8_t *box)
{
	uint64_t r = 0;

#pragma GCC unroll 16
	for (unsigned i = 0; i < 16; i++)
		r |= (uint64_t)box[v >> (4 * i) & 15] << (4 * i);
	return r;
}

static const uint8_t shuffle[16] = {13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15};
static const uint8_t sbox[16] = {11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10};
static const uint8_t inv_sbox[16] = {5, 14, 13, 8, 10, 11, 1, 9, 2, 6, 15, 0, 4, 12, 7, 3};

static uint64_t shuffled(uint64_t v)
{
	return permute(v, shuffle);
}

static uint64_t unshuffled(uint64_t v)
{
	return permute_back(v, shuffle);
}

/* Each cell to the left by n in itself. */
static uint64_t rot(uint64_t v, unsigned n)
{
	uint64_t low = CELLS * (15u >> n);

	return (v & low) << n | (v >> (4 - n) & CELLS * ((1u << n) - 1));
}

/* Each column, which is every fourth cell, times the circulant of 0, rot 1, rot 2, rot 1. */
static uint64_t mix(uint64_t v)
{
	return rot(v >> 16 | v << 48, 1) ^ rot(v >> 32 | v << 32, 2) ^ rot(v >> 48 | v << 16, 1);
}

/* Tweak: a permutation, and a step of an LFSR in some cells. */
static const uint8_t tweak_from[16] = {4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9};
#define TWEAK_LFSR 0xff0ff000f00f0f00 /* cells of the result */

static uint64_t tweak_next(uint64_t t)
{
	uint64_t x;

	t = permute(t, tweak_from);
	x = t & TWEAK_LFSR;
	x = (x >> 1 & CELLS * 7) | ((x ^ x >> 1) & CELLS) << 3;
	return (t & ~TWEAK_LFSR) | (x & TWEAK_LFSR);
}

static uint64_t tweak_back(uint64_t t)
{
	uint64_t x = t & TWEAK_LFSR;

	x = (x & CELLS * 7) << 1 | ((x ^ x >> 3) & CELLS);
	return permute_back((t & ~TWEAK_LFSR) | (x & TWEAK_LFSR), tweak_from);
}

enum { ROUNDS = 4 };

static uint64_t qarma5(uint64_t data, uint64_t tweak, uint64_t key0, uint64_t key1)
{
	static const uint64_t rc[ROUNDS + 1] = {0, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
						0x452821e638d01377};
	const uint64_t alpha = 0xc0ac29b7c97c50dd;
	uint64_t modk0 = key0 << 63 | (key0 >> 1 & 0x7ffffffffffffffe) | ((key0 >> 63 ^ key0 >> 1) & 1);
	uint64_t v = data ^ key0;

	for (unsigned i = 0; i <= ROUNDS; i++) {
		v ^= key1 ^ tweak ^ rc[i];
		if (i)
			v = mix(shuffled(v));
		v = substitute(v, sbox);
		tweak = tweak_next(tweak);
	}
	v = substitute(mix(shuffled(v ^ modk0 ^ tweak)), sbox);
	v = mix(shuffled(v)) ^ key1;
	v = mix(substitute(unshuffled(v), inv_sbox));
	v = unshuffled(v) ^ key0 ^ tweak;
	for (unsigned i = 0; i <= ROUNDS; i++) {
		v = substitute(v, inv_sbox);
		if (i < ROUNDS)
			v = unshuffled(mix(v));
		tweak = tweak_back(tweak);
		v ^= rc[ROUNDS - i] ^ key1 ^ tweak ^ alpha;
	}
	return v ^ modk0;
}

/* ---- the fast one: multiplications and shifts that bring every bit of the input to every bit of the result */

static uint64_t stir(uint64_t v)
{
	v = (v ^ v >> 32) * 0x9e3779b97f4a7c15;
	return v ^ v >> 29;
}

static uint64_t fast(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1)
{
	return stir(stir(stir(data ^ key0) ^ modifier) + key1);
}

static uint64_t compute(const struct cpu *cpu, uint64_t data, uint64_t modifier, const uint64_t *key)
{
	return (cpu_has(cpu, ISA_QARMA5) ? qarma5 : fast)(data, modifier, key[1], key[0]);
}

/* ---- where the code is in a pointer */

static bool is_data(unsigned kind)
{
	return IR_PAUTH_KEY(kind) >= IR_PAUTH_DA;
}

static bool tbi(const struct cpu *cpu, uint64_t ptr, unsigned kind)
{
	return is_data(kind) ? stage1_tbi(cpu, ptr) : stage1_tbi_code(cpu, ptr);
}

/* Bits of the code: from the top of the address, but 55, up to the tag or all. */
static uint64_t code_bits(const struct cpu *cpu, uint64_t ptr, bool upper, unsigned kind)
{
	uint64_t above = ~0ull << stage1_va_bits(cpu, upper);

	return above & ~(1ull << 55) & (tbi(cpu, ptr, kind) ? (1ull << 56) - 1 : ~0ull);
}

/* ptr with bit `sign` in all of the code's bits and bit 55. */
static uint64_t extended(uint64_t ptr, uint64_t bits, bool sign)
{
	bits |= 1ull << 55;
	return sign ? ptr | bits : ptr & ~bits;
}

static const uint64_t *key_of(const struct cpu *cpu, unsigned kind)
{
	return &cpu->sys[CPU_APIAKEYLO_EL1 + 2 * IR_PAUTH_KEY(kind)];
}

static uint64_t add(const struct cpu *cpu, unsigned kind, uint64_t ptr, uint64_t modifier)
{
	/* Which half a pointer is of: bit 55 if one of the halves has tags, else 63. */
	bool tags = tbi(cpu, 0, kind) || tbi(cpu, 1ull << 55, kind);
	bool upper = ptr >> (tags ? 55 : 63) & 1;
	uint64_t bits = code_bits(cpu, ptr, upper, kind), all = bits | 1ull << 55;
	uint64_t pac = compute(cpu, extended(ptr, bits, upper), modifier, key_of(cpu, kind));
	uint64_t good = ptr & all;

	if (cpu_has(cpu, ISA_PAUTH2))
		return ((ptr ^ (pac & bits)) & ~(1ull << 55)) | (uint64_t)upper << 55;
	if (good && good != all) {
		/* Not a pointer that could be used: make sure that it cannot be after the check. */
		if (cpu_has(cpu, ISA_EPAC))
			pac = 0;
		else
			pac ^= 1ull << (bits >> 63 ? 62 : 54);
	}
	return (ptr & ~all) | (pac & bits) | (uint64_t)upper << 55;
}

static int fpac(struct cpu *cpu, unsigned kind)
{
	return exception_sync(cpu, ESR_MAKE(EC_FPAC, IR_PAUTH_KEY(kind)));
}

static int check(struct cpu *cpu, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val)
{
	bool upper = ptr >> 55 & 1, combined = kind & IR_PAUTH_COMBINED;
	uint64_t bits = code_bits(cpu, ptr, upper, kind), plain = extended(ptr, bits, upper);
	uint64_t pac = compute(cpu, plain, modifier, key_of(cpu, kind)) & bits;
	unsigned error = IR_PAUTH_KEY(kind) & 1 ? 2 : 1, at = bits >> 63 ? 61 : 53;

	if (cpu_has(cpu, ISA_PAUTH2)) {
		*val = ptr ^ pac;
		if (*val != plain && cpu_has(cpu, combined ? ISA_FPACCOMBINE : ISA_FPAC))
			return fpac(cpu, kind);
		return 0;
	}
	*val = pac == (ptr & bits) ? plain : (plain & ~(3ull << at)) | (uint64_t)error << at;
	return 0;
}

/* ---- what the instructions call */

void pauth_btype(struct ir_env *env, unsigned btype)
{
	struct cpu *cpu = (struct cpu *)env;

	cpu->pstate = (cpu->pstate & ~PSR_BTYPE) | btype << PSR_BTYPE_SHIFT;
	cpu->priv->key = (cpu->priv->key & ~(uint32_t)KEY_BTYPE) | btype << KEY_BTYPE_SHIFT;
	tlb_btype_changed(cpu);
}

static bool enabled(const struct cpu *cpu, unsigned kind)
{
	static const uint64_t en[4] = {SCTLR_ENIA, SCTLR_ENIB, SCTLR_ENDA, SCTLR_ENDB};

	return cpu->sys[CPU_SCTLR_EL1] & en[IR_PAUTH_KEY(kind)];
}

int pauth(struct ir_env *env, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val)
{
	struct cpu *cpu = (struct cpu *)env;

	switch (IR_PAUTH_OP(kind)) {
	case IR_PAUTH_ADD: *val = enabled(cpu, kind) ? add(cpu, kind, ptr, modifier) : ptr; return 0;
	case IR_PAUTH_CHECK:
		if (enabled(cpu, kind))
			return check(cpu, kind, ptr, modifier, val);
		*val = ptr;
		return 0;
	case IR_PAUTH_STRIP: *val = extended(ptr, code_bits(cpu, ptr, ptr >> 55 & 1, kind), ptr >> 55 & 1); return 0;
	case IR_PAUTH_GENERIC:
		*val = compute(cpu, ptr, modifier, &cpu->sys[CPU_APGAKEYLO_EL1]) & ~0xffffffffull;
		return 0;
	}
	return 0;
}
