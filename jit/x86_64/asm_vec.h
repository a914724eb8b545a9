/* SPDX-License-Identifier: MIT */
/*
 * Encoding of the vector instructions: the legacy form of two operands (SSE), and those of three operands (VEX, EVEX),
 * 128 bits wide but for V_L. Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, "Instruction Format".
 */
#ifndef PAWL_JIT_X86_64_ASM_VEC_H
#define PAWL_JIT_X86_64_ASM_VEC_H

#include "asm.h"

/* An opcode is its last byte and these: prefix, map, REX.W or VEX.W. */
#define V_66 (1u << 8)
#define V_F3 (2u << 8)
#define V_F2 (3u << 8)
#define V_PP(op) ((op) >> 8 & 3)
#define V_0F (1u << 10)
#define V_38 (2u << 10)
#define V_3A (3u << 10)
#define V_MAP(op) ((op) >> 10 & 3)
#define V_W (1u << 12)
#define V_EVEX (1u << 13)   /* has no other form */
#define V_LEGACY (1u << 14) /* has no VEX form */
#define V_L (1u << 15)	    /* VEX.L: 256 bits; who uses them clears upper halves again (V_ZEROUPPER) */

/* 66 0F xx and so on */
#define VO(op) ((op) | V_66 | V_0F)
#define VO38(op) ((op) | V_66 | V_38)
#define VO3A(op) ((op) | V_66 | V_3A)

#define V_MOVAPS (0x28u | V_0F)
#define V_MOVUPS (0x10u | V_0F)
#define V_MOVUPS_ST (0x11u | V_0F)
#define V_MOVAPS_ST (0x29u | V_0F)
#define V_MOVQ (0x7eu | V_F3 | V_0F)	/* xmm, xmm/m64: zeros above */
#define V_MOVQ_ST (0xd6u | V_66 | V_0F) /* m64, xmm */
#define V_MOVSS_LD (0x10u | V_F3 | V_0F)
#define V_MOVSS_ST (0x11u | V_F3 | V_0F)
#define V_MOVD VO(0x6e)	     /* xmm, r/m32; W: r/m64 */
#define V_MOVD_TO_X VO(0x7e) /* r/m32, xmm; W: r/m64 */
#define V_PEXTRB VO3A(0x14)
#define V_PEXTRW VO3A(0x15) /* also to memory */
#define V_PEXTRD VO3A(0x16)
#define V_PINSRB VO3A(0x20)
#define V_PINSRW VO(0xc4)
#define V_PINSRD VO3A(0x22)
#define V_INSERTPS VO3A(0x21)
#define V_PMOVMSKB VO(0xd7)
#define V_MOVMSKPS (0x50u | V_0F)
#define V_PTEST VO38(0x17)
#define V_BEXTR (0xf7u | V_38)	     /* general registers: to, what (length << 8 | start), from */
#define V_SHLX (0xf7u | V_66 | V_38) /* ...: to, by how much, what; W: 64 bits */
#define V_SARX (0xf7u | V_F3 | V_38)
#define V_SHRX (0xf7u | V_F2 | V_38)
#define V_MULX (0xf6u | V_F2 | V_38 | V_W) /* general registers: high, low, factor; the other is rdx */

#define V_PAND VO(0xdb)
#define V_PANDN VO(0xdf) /* ~a & b */
#define V_POR VO(0xeb)
#define V_PXOR VO(0xef)
#define V_PCMPEQB VO(0x74)
#define V_PCMPEQD VO(0x76)
#define V_PCMPEQQ VO38(0x29)
#define V_PCMPGTB VO(0x64)
#define V_PCMPGTD VO(0x66)
#define V_PCMPGTQ VO38(0x37)
#define V_PUNPCKLBW VO(0x60)
#define V_PUNPCKLQDQ VO(0x6c)
#define V_PUNPCKHQDQ VO(0x6d)
#define V_PSHUFB VO38(0x00)
#define V_PSHUFD VO(0x70)
#define V_PSHUFLW (0x70u | V_F2 | V_0F)
#define V_PSHUFHW (0x70u | V_F3 | V_0F)
#define V_SHUFPS (0xc6u | V_0F)
#define V_SHUFPD VO(0xc6)
#define V_PALIGNR VO3A(0x0f)
#define V_PBLENDW VO3A(0x0e)
#define V_PBLENDVB VO3A(0x4c) /* VEX only: the mask is a fourth register */
#define V_PACKUSWB VO(0x67)
#define V_PACKUSDW VO38(0x2b)
#define V_PADDUSB VO(0xdc)
#define V_PMADDUBSW VO38(0x04)
#define V_PMADDWD VO(0xf5)
#define V_PSADBW VO(0xf6)
#define V_PMULUDQ VO(0xf4)
#define V_PMULDQ VO38(0x28)
#define V_PMULLW VO(0xd5)
#define V_PMULLD VO38(0x40)
#define V_PTERNLOGD (VO3A(0x25) | V_EVEX)

/* Shifts by an immediate: 66 0F 71, 72, 73 and an extension in the reg field. */
#define V_SHIFT_W VO(0x71)
#define V_SHIFT_D VO(0x72)
#define V_SHIFT_Q VO(0x73)
enum { VSH_SRL = 2, VSH_SRLDQ = 3, VSH_SRA = 4, VSH_SLL = 6, VSH_SLLDQ = 7 };

static inline void asv_prefix(struct as *a, unsigned op, int reg, int rm)
{
	static const uint8_t pp[] = {0, 0x66, 0xf3, 0xf2};
	unsigned rex = 0x40u | (op & V_W ? 8u : 0) | (unsigned)(reg >> 3 & 1) << 2 | (unsigned)(rm >> 3 & 1);

	if (V_PP(op))
		as_8(a, pp[V_PP(op)]);
	if (rex != 0x40)
		as_8(a, rex);
	as_8(a, 0x0f);
	if (V_MAP(op) > 1)
		as_8(a, V_MAP(op) == 2 ? 0x38 : 0x3a);
	as_8(a, op & 0xff);
}

/* v is the register in VEX.vvvv; 0 if there is none. */
static inline void asv_vex(struct as *a, unsigned op, int reg, int v, int rm)
{
	unsigned r = ~(unsigned)reg >> 3 & 1, b = ~(unsigned)rm >> 3 & 1, last = (~(unsigned)v & 15) << 3 | V_PP(op);

	last |= op & V_L ? 4 : 0;

	if (op & V_EVEX) {
		as_8(a, 0x62);
		as_8(a, r << 7 | 1u << 6 | b << 5 | 1u << 4 | V_MAP(op));
		as_8(a, (op & V_W ? 0x80u : 0) | (~(unsigned)v & 15) << 3 | 4 | V_PP(op));
		as_8(a, 1u << 3);
	} else if (b && V_MAP(op) == 1 && !(op & V_W)) {
		as_8(a, 0xc5);
		as_8(a, r << 7 | last);
	} else {
		as_8(a, 0xc4);
		as_8(a, r << 7 | 1u << 6 | b << 5 | V_MAP(op));
		as_8(a, (op & V_W ? 0x80u : 0) | last);
	}
	as_8(a, op & 0xff);
}

static inline void asv_mod_rr(struct as *a, int reg, int rm)
{
	as_8(a, 0xc0u | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* The displacement is always of 4 bytes with EVEX, which scales one of a byte. */
static inline void asv_mod_rm(struct as *a, unsigned op, int reg, int base, int32_t disp)
{
	unsigned mod = op & V_EVEX ? 2 : is_s8(disp) ? (disp == 0 && (base & 7) != RBP ? 0 : 1) : 2;

	as_8(a, mod << 6 | (unsigned)(reg & 7) << 3 | (unsigned)(base & 7));
	if ((base & 7) == RSP)
		as_8(a, 0x24);
	if (mod == 1)
		as_8(a, (uint8_t)disp);
	else if (mod == 2)
		as_32(a, (uint32_t)disp);
}

/* The prefixes for reg and [rax + index + disp], and what follows them. Not for EVEX. */
static inline void asv_rax_index(struct as *a, unsigned op, bool vex, int reg, int index, int32_t disp)
{
	unsigned r = (unsigned)reg >> 3 & 1, x = (unsigned)index >> 3 & 1;

	if (vex) {
		as_8(a, 0xc4);
		as_8(a, (r ^ 1) << 7 | (x ^ 1) << 6 | 1u << 5 | V_MAP(op));
		as_8(a, (op & V_W ? 0x80u : 0) | 15u << 3 | V_PP(op));
		as_8(a, op & 0xff);
	} else {
		static const uint8_t pp[] = {0, 0x66, 0xf3, 0xf2};

		if (V_PP(op))
			as_8(a, pp[V_PP(op)]);
		as_8(a, 0x40u | (op & V_W ? 8u : 0) | r << 2 | x << 1);
		as_8(a, 0x0f);
		if (V_MAP(op) > 1)
			as_8(a, V_MAP(op) == 2 ? 0x38 : 0x3a);
		as_8(a, op & 0xff);
	}
	as_index(a, reg, RAX, index, disp);
}

/* [rip + what reaches offset at], with more bytes of the instruction to come */
static inline void asv_mod_rip(struct as *a, int reg, uint32_t at, unsigned more)
{
	as_8(a, (unsigned)(reg & 7) << 3 | 5);
	as_32(a, at - (as_here(a) + 4 + more));
}

#endif
