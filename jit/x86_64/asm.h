/* SPDX-License-Identifier: MIT */
/*
 * Encoding of the x86-64 instructions that the back end uses, and nothing else. Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 2, "Instruction Format". Memory operands are base + displacement, or base +
 * index * 8 + displacement.
 */
#ifndef PAWL_JIT_X86_64_ASM_H
#define PAWL_JIT_X86_64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = -1 };

enum x86_cc { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_GE, CC_LE, CC_G };

struct as {
	uint8_t *begin, *at, *end; /* where it is written */
	bool full;		   /* something would not have fitted; what was written is of no use */
};

/* Whoever writes an instruction has asked, at most so many bytes ago, whether there is room. */
enum { AS_ROOM = 8192 };
static inline bool as_has_room(struct as *a)
{
	if (a->end - a->at < AS_ROOM)
		a->full = true;
	return !a->full;
}

/* An opcode is its last byte and these. */
#define X_W (1u << 8)	/* 64-bit operands */
#define X_0F (1u << 9)	/* 0F map */
#define X_66 (1u << 10) /* prefixes */
#define X_F3 (1u << 11)
#define X_BYTE (1u << 12) /* byte registers: SPL..DIL need a REX prefix */

#define X_WIDTH(w) ((w) ? X_W : 0u)

/* op reg, r/m */
#define X_ADD 0x03u
#define X_OR 0x0bu
#define X_ADC 0x13u
#define X_AND 0x23u
#define X_SUB 0x2bu
#define X_XOR 0x33u
#define X_CMP 0x3bu
#define X_MOV 0x8bu
#define X_LEA 0x8du
#define X_MOV_ST 0x89u /* op r/m, reg */
#define X_MOV_ST8 (0x88u | X_BYTE)
#define X_TEST 0x85u
#define X_IMUL (0xafu | X_0F)
#define X_BSR (0xbdu | X_0F)
#define X_MOVZX8 (0xb6u | X_0F)
#define X_MOVZX16 (0xb7u | X_0F)
#define X_MOVSX8 (0xbeu | X_0F)
#define X_MOVSX16 (0xbfu | X_0F)
#define X_MOVSXD (0x63u | X_W)
#define X_CMOV(cc) ((0x40u + (cc)) | X_0F)
#define X_SET(cc) ((0x90u + (cc)) | X_0F | X_BYTE)
#define X_SHRD (0xacu | X_0F) /* r/m, reg, imm8 */
#define X_MOVUPS (0x10u | X_0F)
#define X_MOVUPS_ST (0x11u | X_0F)

/* Numbers of the ALU operations in the immediate forms. */
enum { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
/* ... and of the shifts */
enum { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR = 5, SH_SAR = 7 };

static inline void as_8(struct as *a, unsigned v)
{
	*a->at++ = (uint8_t)v;
}

static inline void as_32(struct as *a, uint32_t v)
{
	memcpy(a->at, &v, sizeof(v));
	a->at += sizeof(v);
}

static inline void as_64(struct as *a, uint64_t v)
{
	as_32(a, (uint32_t)v);
	as_32(a, (uint32_t)(v >> 32));
}

static inline bool is_s8(int64_t v)
{
	return v == (int8_t)v;
}
static inline bool is_s32(int64_t v)
{
	return v == (int32_t)v;
}

static inline void as_opcode(struct as *a, unsigned op, int reg, int index, int rm)
{
	unsigned rex = 0x40 | (op & X_W ? 8 : 0) | (unsigned)(reg >> 3 & 1) << 2 | (unsigned)(index >> 3 & 1) << 1 |
		       (unsigned)(rm >> 3 & 1);

	if (op & X_66)
		as_8(a, 0x66);
	if (op & X_F3)
		as_8(a, 0xf3);
	if (rex != 0x40 || op & X_BYTE)
		as_8(a, rex);
	if (op & X_0F)
		as_8(a, 0x0f);
	as_8(a, op & 0xff);
}

static inline void as_rr(struct as *a, unsigned op, int reg, int rm)
{
	as_opcode(a, op, reg, 0, rm);
	as_8(a, 0xc0u | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* reg, [base + disp] */
static inline void as_rm(struct as *a, unsigned op, int reg, int base, int32_t disp)
{
	unsigned mod = is_s8(disp) ? (disp == 0 && (base & 7) != RBP ? 0 : 1) : 2;

	as_opcode(a, op, reg, 0, base);
	as_8(a, mod << 6 | (unsigned)(reg & 7) << 3 | (unsigned)(base & 7));
	if ((base & 7) == RSP)
		as_8(a, 0x24);
	if (mod == 1)
		as_8(a, (uint8_t)disp);
	else if (mod == 2)
		as_32(a, (uint32_t)disp);
}

/* reg, [base + index * 8 + disp] */
static inline void as_rx8(struct as *a, unsigned op, int reg, int base, int index, int32_t disp)
{
	bool none = !disp && (base & 7) != RBP;

	as_opcode(a, op, reg, index, base);
	as_8(a, (none ? 0x04u : 0x84u) | (unsigned)(reg & 7) << 3);
	as_8(a, 0xc0u | (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
	if (!none)
		as_32(a, (uint32_t)disp);
}

/* reg, [base + index * 4 + disp] */
static inline void as_rx4(struct as *a, unsigned op, int reg, int base, int index, int32_t disp)
{
	as_opcode(a, op, reg, index, base);
	as_8(a, 0x84u | (unsigned)(reg & 7) << 3);
	as_8(a, 0x80u | (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
	as_32(a, (uint32_t)disp);
}

/* The bytes behind an opcode for reg and [base + index + disp]. */
static inline void as_index(struct as *a, int reg, int base, int index, int32_t disp)
{
	unsigned mod = disp == 0 && (base & 7) != RBP ? 0 : is_s8(disp) ? 1 : 2;

	as_8(a, mod << 6 | 4 | (unsigned)(reg & 7) << 3);
	as_8(a, (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
	if (mod == 1)
		as_8(a, (uint8_t)disp);
	else if (mod == 2)
		as_32(a, (uint32_t)disp);
}

/* reg, [base + index + disp] */
static inline void as_rx1(struct as *a, unsigned op, int reg, int base, int index, int32_t disp)
{
	as_opcode(a, op, reg, index, base);
	as_index(a, reg, base, index, disp);
}

/* reg = a + b, leaving EFLAGS alone. A displacement, even of 0, would cost a cycle. */
static inline void as_lea_rr(struct as *as, bool w, int reg, int a, int b)
{
	bool disp = (a & 7) == RBP, swap = disp && (b & 7) != RBP;
	int base = swap ? b : a, index = swap ? a : b;

	disp = disp && !swap;
	as_opcode(as, X_LEA | X_WIDTH(w), reg, index, base);
	as_8(as, (disp ? 0x44u : 0x04u) | (unsigned)(reg & 7) << 3);
	as_8(as, (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
	if (disp)
		as_8(as, 0);
}

/* reg = base + index << scale, likewise. scale: 1 to 3 */
static inline void as_lea_scaled(struct as *a, bool w, int reg, int base, int index, unsigned scale)
{
	bool disp = (base & 7) == RBP;

	as_opcode(a, X_LEA | X_WIDTH(w), reg, index, base);
	as_8(a, (disp ? 0x44u : 0x04u) | (unsigned)(reg & 7) << 3);
	as_8(a, scale << 6 | (unsigned)(index & 7) << 3 | (unsigned)(base & 7));
	if (disp)
		as_8(a, 0);
}

static inline void as_alu_ri(struct as *a, bool w, unsigned alu, int reg, int32_t imm)
{
	as_rr(a, (is_s8(imm) ? 0x83u : 0x81u) | X_WIDTH(w), (int)alu, reg);
	if (is_s8(imm))
		as_8(a, (uint8_t)imm);
	else
		as_32(a, (uint32_t)imm);
}

static inline void as_alu_mi(struct as *a, bool w, unsigned alu, int base, int32_t disp, int32_t imm)
{
	as_rm(a, (is_s8(imm) ? 0x83u : 0x81u) | X_WIDTH(w), (int)alu, base, disp);
	if (is_s8(imm))
		as_8(a, (uint8_t)imm);
	else
		as_32(a, (uint32_t)imm);
}

static inline void as_mov_rr(struct as *a, int d, int s)
{
	if (d != s)
		as_rr(a, X_MOV | X_W, d, s);
}

/* Leaves EFLAGS alone. */
static inline void as_mov_ri(struct as *a, int d, uint64_t v)
{
	if (v <= UINT32_MAX) {
		as_opcode(a, 0xb8u + (unsigned)(d & 7), 0, 0, d);
		as_32(a, (uint32_t)v);
	} else if (is_s32((int64_t)v)) {
		as_rr(a, 0xc7u | X_W, 0, d);
		as_32(a, (uint32_t)v);
	} else {
		as_opcode(a, (0xb8u + (unsigned)(d & 7)) | X_W, 0, 0, d);
		as_64(a, v);
	}
}

static inline void as_imm(struct as *a, unsigned log2size, int32_t imm)
{
	if (log2size >= 2) {
		as_32(a, (uint32_t)imm);
		return;
	}
	as_8(a, (uint8_t)imm);
	if (log2size)
		as_8(a, (uint8_t)(imm >> 8));
}

static inline unsigned as_mov_imm(unsigned log2size)
{
	return log2size == 0 ? 0xc6u : log2size == 1 ? 0xc7u | X_66 : 0xc7u | X_WIDTH(log2size == 3);
}

/* 1 << log2size bytes at [base + disp] become imm, whose extension it is for 8 bytes. */
static inline void as_mov_mi(struct as *a, unsigned log2size, int base, int32_t disp, int32_t imm)
{
	as_rm(a, as_mov_imm(log2size), 0, base, disp);
	as_imm(a, log2size, imm);
}
static inline void as_mov_xi(struct as *a, unsigned log2size, int base, int index, int32_t disp, int32_t imm)
{
	as_rx1(a, as_mov_imm(log2size), 0, base, index, disp);
	as_imm(a, log2size, imm);
}

static inline void as_shift_ri(struct as *a, bool w, unsigned sh, int reg, unsigned n)
{
	as_rr(a, 0xc1u | X_WIDTH(w), (int)sh, reg);
	as_8(a, n);
}
static inline void as_shift_rcl(struct as *a, bool w, unsigned sh, int reg)
{
	as_rr(a, 0xd3u | X_WIDTH(w), (int)sh, reg);
}

/* F7 group: 2 NOT, 3 NEG, 4 MUL, 5 IMUL, 6 DIV, 7 IDIV */
static inline void as_f7(struct as *a, bool w, unsigned n, int reg)
{
	as_rr(a, 0xf7u | X_WIDTH(w), (int)n, reg);
}

static inline void as_bswap(struct as *a, bool w, int reg)
{
	as_opcode(a, (0xc8u + (unsigned)(reg & 7)) | X_0F | X_WIDTH(w), 0, 0, reg);
}

/* Bit n of reg to CF */
static inline void as_bt_ri(struct as *a, int reg, unsigned n)
{
	as_rr(a, 0xbau | X_0F | X_W, 4, reg);
	as_8(a, n);
}

/* Bit n of the word or doubleword at [base + disp] to CF */
static inline void as_bt_mi(struct as *a, bool w, int base, int32_t disp, unsigned n)
{
	as_rm(a, 0xbau | X_0F | X_WIDTH(w), 4, base, disp);
	as_8(a, n);
}

/* ---- jumps. A label is the offset behind the displacement that is to be filled in. */

static inline uint32_t as_here(const struct as *a)
{
	return (uint32_t)(a->at - a->begin);
}

static inline uint32_t as_jcc(struct as *a, enum x86_cc cc)
{
	as_8(a, 0x0f);
	as_8(a, 0x80u + cc);
	as_32(a, 0);
	return as_here(a);
}

/* To a place not further than 127 bytes behind it, which as_land_near() says. */
static inline uint32_t as_jcc_near(struct as *a, enum x86_cc cc)
{
	as_8(a, 0x70u + cc);
	as_8(a, 0);
	return as_here(a);
}
static inline void as_land_near(struct as *a, uint32_t label)
{
	a->begin[label - 1] = (uint8_t)(as_here(a) - label);
}

static inline uint32_t as_jmp(struct as *a)
{
	as_8(a, 0xe9);
	as_32(a, 0);
	return as_here(a);
}

static inline void as_link(struct as *a, uint32_t label, uint32_t target)
{
	uint32_t d = target - label;

	if (!a->full)
		memcpy(a->begin + label - 4, &d, 4);
}
static inline void as_land(struct as *a, uint32_t label)
{
	as_link(a, label, as_here(a));
}

/*
 * Code that others execute meanwhile: one store within 8 aligned bytes is seen as a whole. May what is in front of a label be changed
 * by that?
 */
static inline bool as_is_atomic(uint32_t label)
{
	return ((label - 4) & 7) <= 4;
}

/* The 4 bytes in front of a label, of code that may run. */
static inline void as_patch(uint8_t *begin, uint32_t label, uint32_t v)
{
	uint32_t at = label - 4;
	uint64_t *word = (uint64_t *)(void *)(begin + (at & ~7u)), was;

	if (!as_is_atomic(label)) {
		memcpy(begin + at, &v, 4);
		return;
	}
	was = *word;
	memcpy((uint8_t *)&was + (at & 7), &v, 4);
	__atomic_store_n(word, was, __ATOMIC_RELEASE);
}

/* An instruction of n bytes, up to 8, that does nothing. */
static inline void as_nop(struct as *a, unsigned n)
{
	static const uint8_t nop[9][8] = {
		{0},
		{0x90},
		{0x66, 0x90},
		{0x0f, 0x1f, 0x00},
		{0x0f, 0x1f, 0x40, 0x00},
		{0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
		{0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
	};

	for (unsigned i = 0; i < n; i++)
		as_8(a, nop[n][i]);
}

static inline void as_call(struct as *a, const void *fn)
{
	as_mov_ri(a, RAX, (uint64_t)(uintptr_t)fn);
	as_rr(a, 0xffu, 2, RAX);
}

#endif
