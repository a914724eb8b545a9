/* SPDX-License-Identifier: MIT */
/*
 * Random words of a row, and random register values that favour the interesting ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"

uint64_t rng_state;

uint64_t random_x(void)
{
	static const uint64_t edge[] = {0,
					1,
					2,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0xffffffff,
					0x100000000,
					0x7fffffffffffffff,
					0x8000000000000000,
					0xffffffffffffffff};
	uint64_t v = rnd();

	switch (v >> 60) {
	case 0:
	case 1:
	case 2: return edge[rnd() % (sizeof(edge) / sizeof(edge[0]))];
	case 3: return edge[rnd() % (sizeof(edge) / sizeof(edge[0]))] + rnd() % 5 - 2;
	case 4: return rnd() & 0xff;
	case 5: return rnd() << (rnd() & 63);
	default: return rnd();
	}
}

/* A boundary value of the IEEE format with that many exponent and fraction bits. */
static uint64_t random_float(unsigned exp_bits, unsigned frac_bits)
{
	uint64_t exp_max = (1ull << exp_bits) - 1, frac_max = (1ull << frac_bits) - 1, bias = exp_max >> 1;
	uint64_t frac, e, sign = rnd() & 1;

	switch (rnd() % 8) {
	case 0: e = 0; break;	    /* zero, denormals */
	case 1: e = exp_max; break; /* infinity, NaN */
	case 2: e = exp_max - 1 - rnd() % 2; break;
	case 3: e = 1 + rnd() % 2; break;
	case 4:
	case 5: e = bias + rnd() % 66 - 1; break; /* integers in range of conversions, and near 1 */
	default: e = bias - 3 + rnd() % 6; break;
	}
	switch (rnd() % 8) {
	case 0:
	case 1: frac = 0; break;
	case 2: frac = frac_max; break;
	case 3: frac = 1; break;
	case 4: frac = 1ull << (frac_bits - 1); break;
	case 5: frac = rnd() << (rnd() % frac_bits); break;
	default: frac = rnd(); break;
	}
	return sign << (exp_bits + frac_bits) | (e & exp_max) << frac_bits | (frac & frac_max);
}

union ir_v128 random_v(void)
{
	union ir_v128 v;
	unsigned kind = rnd() % 8;

	for (unsigned i = 0; i < 8; i++)
		v.h[i] = (uint16_t)random_float(5, 10);
	for (unsigned i = 0; i < 4 && kind >= 2; i++)
		v.s[i] = (uint32_t)random_float(8, 23);
	for (unsigned i = 0; i < 2 && kind >= 4; i++)
		v.d[i] = random_float(11, 52);
	for (unsigned i = 0; i < 2 && kind >= 6; i++)
		v.d[i] = kind == 6 ? random_x() : rnd();
	return v;
}

uint32_t random_word(unsigned row)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		uint64_t dice = rnd();
		uint32_t w = (uint32_t)rnd();

		if ((dice & 15) == 0)
			w |= 31;
		if ((dice >> 4 & 15) == 0)
			w |= 31 << 5;
		if ((dice >> 8 & 15) == 0)
			w |= 31 << 16;
		if ((dice >> 12 & 15) == 0)
			w = (w & ~31u) | (w >> 5 & 31); /* rd = rn */
		if ((dice >> 16 & 15) == 0)
			w = (w & ~31u) | (w >> 16 & 31); /* rd = rm */
		if ((dice >> 20 & 15) == 0)
			w = (w & ~(31u << 16)) | (w >> 5 & 31) << 16; /* rm = rn */
		w = (w & ~isa_rows[row].mask) | isa_rows[row].value;
		if (isa_row_of(w) == (int)row)
			return w;
	}
	fprintf(stderr, "%s: no word found\n", isa_rows[row].name);
	abort();
}

/* ---- addresses */

static void aim_at(struct state *s, uint32_t insn, uint64_t va)
{
	unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31;
	bool reg_offset = (insn >> 24 & 0x3b) == 0x38 && (insn >> 21 & 1) && (insn >> 10 & 3) == 2;

	if (reg_offset && rm != 31) {
		/* small, and the same in all extensions; a negative one is small only if it is extended as it is meant
		 */
		s->x[rm] = insn >> 15 & 1 ? (uint64_t)((int64_t)(rnd() % 512) - 256) : rnd() % 512;
		if (rm != rn && (insn >> 13 & 3) == 2)
			s->x[rm] = (s->x[rm] & 0xffffffff) | rnd() << 32; /* a W index: the top is ignored */
	}
	s->x[rn] = va;
}

void aim(struct state *s, uint32_t insn)
{
	uint64_t va = DATA + DATA_SIZE / 4 + rnd() % (DATA_SIZE / 4);

	switch (rnd() % 8) {
	case 0:
	case 1:
	case 2:
	case 3: va &= ~15ull; break;
	case 4: va = (va & ~0xfffull) - rnd() % 17; break; /* about to cross a page */
	case 5:
		if (rnd() % 4 == 0)
			va = NOWHERE + rnd() % 4096;
		break;
	}
	aim_at(s, insn, va);
}

void aim_aligned(struct state *s, uint32_t insn)
{
	aim_at(s, insn, DATA + DATA_SIZE / 4 + (rnd() % (DATA_SIZE / 4) & ~15ull));
}
