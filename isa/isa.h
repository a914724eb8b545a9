/* SPDX-License-Identifier: MIT */
/*
 * A64 decode tables to IR. The meaning of an instruction is written once, here, as an emit function per row of
 * the .decode files. Knows encodings; knows no PE state but what the context below says.
 */
#ifndef PAWL_ISA_H
#define PAWL_ISA_H

#include <stdbool.h>
#include <stdint.h>

#include "ir.h"
#include "vec.h" /* descriptors in the tables */

/* Features that rows of the decode tables ask for; the CPU model is a set of them. */
enum isa_feature {
	ISA_BASE,
	ISA_FP,
	ISA_FP16,
	ISA_LSE,
	ISA_RDM,
	ISA_DOTPROD,
	ISA_RCPC,
	ISA_RCPC2,
	ISA_CRC32,
	ISA_AES,
	ISA_PMULL,
	ISA_SHA1,
	ISA_SHA256,
	ISA_SHA512,
	ISA_SHA3,
	ISA_SM3,
	ISA_SM4,
	ISA_JSCVT,
	ISA_FCMA,
	ISA_FLAGM,
	ISA_FLAGM2,
	ISA_FRINTTS,
	ISA_SB,
	ISA_SSBS,
	ISA_DPB,
	ISA_DPB2,
	ISA_TLBIRANGE,
	ISA_TLBIOS,
	ISA_LSE2,
	ISA_DIT,
	ISA_BTI,
	ISA_PAUTH,
	ISA_I8MM,
	ISA_BF16,
	ISA_FHM,
	ISA_RNG,
	ISA_WFXT,
	ISA_CSSC,
	ISA_HBC,
	ISA_XS,
	ISA_LOR,
	ISA_PAN,
	ISA_UAO,
	/* what the PE asks for, and no row */
	ISA_SSBS2, /* MSR SSBS */
	ISA_PAN2,  /* AT S1E1RP, S1E1WP */
	ISA_EPAN,
	ISA_HPDS,
	ISA_HAF, /* hardware update of the access flag */
	ISA_HDBS,
	ISA_TGRAN16,
	ISA_LVA, /* 52-bit VAs with the 64 KiB granule */
	ISA_EPAC,
	ISA_PAUTH2,
	ISA_FPAC,
	ISA_FPACCOMBINE,
	ISA_RAS,    /* ESB, which is a NOP without it */
	ISA_QARMA5, /* the address authentication algorithm is the architected one */
	ISA_FEATURE_COUNT
};
_Static_assert(ISA_FEATURE_COUNT <= 64, "a set of features is a word");

/* Translation context: what the block key says. */
struct isa_ctx {
	struct ir_builder *b;
	uint64_t pc;	     /* VA of the instruction */
	uint64_t features;   /* bit set of enum isa_feature */
	uint8_t el;	     /* 0 or 1 */
	bool fp_traps;	     /* CPACR_EL1.FPEN traps FP/SIMD at this EL: emit IR_EXIT_FP_TRAP */
	bool pair_as_vector; /* LSE2: pairs of doublewords are one access */
	bool guarded;	     /* BTI: the page is */
	bool btype;	     /* BTI: PSTATE.BTYPE is not 0 before the next instruction, which has to clear it */
};

/*
 * Emits the IR of one instruction (ir_next_insn has been called). UNDEFINED, unallocated and unimplemented ones
 * become IR_EXIT_UNDEF. Returns true if the block goes on, false if the instruction ended it.
 */
bool isa_emit(struct isa_ctx *ctx, uint32_t insn);

static inline bool isa_has(const struct isa_ctx *ctx, unsigned feature)
{
	return feature == ISA_BASE || (ctx->features >> feature & 1);
}

/* Row name of an encoding ("ADD_imm"), or NULL if no row matches. */
const char *isa_name(uint32_t insn);

/* The table, for `pawl info --isa`, docs/isa.md, the random-instruction test. */
struct isa_row {
	const char *name;
	const char *syntax;   /* group or class, for listings */
	uint32_t mask, value; /* (insn & mask) == value */
	uint8_t feature;
	bool implemented; /* false: the row says why in note; raises UNDEFINED */
	const char *note;
};
extern const struct isa_row isa_rows[];
int isa_row_of(uint32_t insn); /* index of the row that an encoding matches, -1 if none */
extern const unsigned isa_row_count;

/* Features that no CPU model has, whether they have encodings or not: the field of an ID register that says so. */
struct isa_absent {
	const char *name, *field; /* "ID_AA64PFR0_EL1[35:32]" */
	uint8_t crm, op2;	  /* the register: op0 3, op1 0, CRn 0 */
	uint8_t shift, value;
	const char *note; /* what a guest finds in its place */
};
extern const struct isa_absent isa_absents[];
extern const unsigned isa_absent_count;

#endif
