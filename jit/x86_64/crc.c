/* SPDX-License-Identifier: MIT */
/*
 * CRC32 instructions: the host has CRC32C. The other polynomial is a product and a reduction without carries, 32 bits at
 * a time: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", the reflected form.
 */
#include "vgen.h"

/* eax, reduced by what a word of it shifts out: eax * x^32 modulo the polynomial. */
static void reduce_word(struct jit *j)
{
	const uint32_t clmul = VO3A(0x44);

	v2(j, V_MOVD, T0, RAX);
	v2c(j, V_MOVAPS, T1, VC_CRC32);
	v3i(j, clmul, T0, T0, T1, 0x00);
	v2(j, V_MOVD_TO_X, T0, RAX);
	v2(j, V_MOVD, T0, RAX);
	v3i(j, clmul, T0, T0, T1, 0x10);
	v2i(j, V_PEXTRD, T0, RAX, 1);
}

static void crc32c(struct jit *j, int val, unsigned size)
{
	struct as *a = &j->as;
	unsigned rex = 0x40u | (size == 3 ? 8u : 0) | (unsigned)(val >> 3);

	if (size == 1)
		as_8(a, 0x66);
	as_8(a, 0xf2);
	if (rex != 0x40 || size == 0)
		as_8(a, rex);
	as_8(a, 0x0f);
	as_8(a, 0x38);
	as_8(a, size ? 0xf1 : 0xf0);
	as_8(a, 0xc0u | (unsigned)(val & 7));
}

bool select_crc32(struct jit *j)
{
	const struct ir_insn *op = &j->blk->ops[j->i];
	unsigned size = op->x, bits = 8u << size;
	struct as *a = &j->as;
	int acc, val;

	if (!(op->aux ? j->has_sse42 : j->has_clmul))
		return false;
	acc = reg_use(j, op->a);
	val = reg_use(j, op->b);
	as_rr(a, X_MOV, RAX, acc);
	if (op->aux) {
		crc32c(j, val, size);
	} else if (size < 2) {
		as_rr(a, X_MOV, RCX, RAX);
		as_shift_ri(a, false, SH_SHR, RCX, bits);
		as_rr(a, X_XOR, RAX, val);
		as_shift_ri(a, false, SH_SHL, RAX, 32 - bits);
		reduce_word(j);
		as_rr(a, X_XOR, RAX, RCX);
	} else {
		as_rr(a, X_XOR, RAX, val);
		reduce_word(j);
		if (size == 3) {
			as_mov_rr(a, RCX, val);
			as_shift_ri(a, true, SH_SHR, RCX, 32);
			as_rr(a, X_XOR, RAX, RCX);
			reduce_word(j);
		}
	}
	as_rr(a, X_MOV, reg_def_late(j, op->dst), RAX);
	return true;
}
