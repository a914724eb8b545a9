/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, hints, barriers, PSTATE, system registers and system instructions: Arm ARM DDI 0487, "Branches, exception
 * generating and system instructions". What a register holds, who may access it and what traps is the PE's business
 * (cpu/), which the mrs and msr ops call.
 *
 * Ends a block: whatever may change how the following instructions are fetched, translated or trapped, or may unmask or
 * raise an interrupt. Those are ISB; PSTATE writes but for flags, SSBS, DIT and setting of interrupt masks; TLBI and
 * IC; all MSR but the short list below.
 */
#include "emit.h"

#define ENC(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define ENC_OP1(enc) ((enc) >> 11 & 7)
#define ENC_CRN(enc) ((enc) >> 7 & 15)
#define ENC_CRM(enc) ((enc) >> 3 & 15)

#define ENC_NZCV ENC(3, 3, 4, 2, 0)
#define ENC_RNDR ENC(3, 3, 2, 4, 0)
#define ENC_RNDRRS ENC(3, 3, 2, 4, 1)
#define ENC_FPCR ENC(3, 3, 4, 4, 0)
#define ENC_FPSR ENC(3, 3, 4, 4, 1)

static void end_block(struct isa_ctx *ctx)
{
	if (ctx->btype)
		emit_btype(ctx, BTYPE_NONE);
	ir_br(ctx->b, ctx->pc + 4);
}

/* ---- exceptions */

bool emit_UDF(struct isa_ctx *ctx, const struct args_UDF *a)
{
	return false;
}

bool emit_SVC(struct isa_ctx *ctx, const struct args_imm16 *a)
{
	ir_exit(ctx->b, IR_EXIT_SVC, a->imm);
	return true;
}

bool emit_HVC(struct isa_ctx *ctx, const struct args_imm16 *a)
{
	if (ctx->el == 0)
		return false;
	ir_exit(ctx->b, IR_EXIT_HVC, a->imm);
	return true;
}

bool emit_SMC(struct isa_ctx *ctx, const struct args_imm16 *a)
{
	if (ctx->el == 0)
		return false;
	ir_exit(ctx->b, IR_EXIT_SMC, a->imm);
	return true;
}

bool emit_BRK(struct isa_ctx *ctx, const struct args_imm16 *a)
{
	ir_exit(ctx->b, IR_EXIT_BRK, a->imm);
	return true;
}

bool emit_HLT(struct isa_ctx *ctx, const struct args_imm16 *a)
{
	ir_exit(ctx->b, IR_EXIT_HLT, a->imm);
	return true;
}

bool emit_ERET(struct isa_ctx *ctx, const struct args_none *a)
{
	if (ctx->el == 0)
		return false;
	ir_exit(ctx->b, IR_EXIT_ERET, 0);
	return true;
}

/* ---- hints */

bool emit_NOP(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

bool emit_YIELD(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

bool emit_WFE(struct isa_ctx *ctx, const struct args_none *a)
{
	ir_exit(ctx->b, IR_EXIT_WFE, 0);
	return true;
}

bool emit_WFI(struct isa_ctx *ctx, const struct args_none *a)
{
	ir_exit(ctx->b, IR_EXIT_WFI, 0);
	return true;
}

bool emit_WFET(struct isa_ctx *ctx, const struct args_rd *a)
{
	ir_exit(ctx->b, IR_EXIT_WFET, a->rd);
	return true;
}

bool emit_WFIT(struct isa_ctx *ctx, const struct args_rd *a)
{
	ir_exit(ctx->b, IR_EXIT_WFIT, a->rd);
	return true;
}

/* An error that is pending and masked is deferred; one that is unmasked is taken behind it. */
bool emit_ESB(struct isa_ctx *ctx, const struct args_none *a)
{
	if (!isa_has(ctx, ISA_RAS))
		return true;
	ir_fence(ctx->b, IR_FENCE_ESB);
	end_block(ctx);
	return true;
}

/* There is no event register: a WFE may complete at any time, and the PE completes it without waiting for an event. */
bool emit_SEV(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

bool emit_SEVL(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

bool emit_HINT(struct isa_ctx *ctx, const struct args_hint *a)
{
	return true;
}

/* ---- barriers */

bool emit_CLREX(struct isa_ctx *ctx, const struct args_barrier *a)
{
	ir_clrex(ctx->b);
	return true;
}

/* Also SSBB and PSSBB. The shareability domain and access types are not told apart: all of them are the strongest. */
bool emit_DSB(struct isa_ctx *ctx, const struct args_barrier *a)
{
	ir_fence(ctx->b, IR_FENCE_DSB);
	return true;
}

/* Nothing has the XS attribute. */
bool emit_DSB_nXS(struct isa_ctx *ctx, const struct args_none *a)
{
	ir_fence(ctx->b, IR_FENCE_DSB);
	return true;
}

/* CRm<1:0> are the access types; the reserved value is a full barrier, as the manual says. */
bool emit_DMB(struct isa_ctx *ctx, const struct args_barrier *a)
{
	static const enum ir_fence kind[4] = {IR_FENCE_FULL, IR_FENCE_LD, IR_FENCE_ST, IR_FENCE_FULL};

	ir_fence(ctx->b, kind[a->crm & 3]);
	return true;
}

bool emit_ISB(struct isa_ctx *ctx, const struct args_barrier *a)
{
	ir_fence(ctx->b, IR_FENCE_ISB);
	end_block(ctx);
	return true;
}

/* Nothing is executed speculatively. */
bool emit_SB(struct isa_ctx *ctx, const struct args_barrier *a)
{
	return a->crm == 0;
}

/* ---- PSTATE */

/* MSR (immediate). At EL0, SCTLR_EL1.UMA decides about DAIF: that is left to the PE. */
bool emit_MSR_imm(struct isa_ctx *ctx, const struct args_MSR_imm *a)
{
	enum { UAO = 003, PAN = 004, SPSEL = 005, SSBS = 031, DIT = 032, DAIFSET = 036, DAIFCLR = 037 };
	unsigned field = a->op1 << 3 | a->op2;
	bool ends = true;

	switch (field) {
	case UAO:
		if (ctx->el == 0 || !isa_has(ctx, ISA_UAO))
			return false;
		break;
	case PAN:
		if (ctx->el == 0 || !isa_has(ctx, ISA_PAN))
			return false;
		break;
	case SPSEL: /* changes which register SP is */
		if (ctx->el == 0)
			return false;
		break;
	case SSBS:
		if (!isa_has(ctx, ISA_SSBS2))
			return false;
		ends = false;
		break;
	case DIT:
		if (!isa_has(ctx, ISA_DIT))
			return false;
		ends = false;
		break;
	case DAIFSET: /* masking interrupts changes nothing for the block, but D masks debug exceptions */
		ends = a->crm & 8;
		break;
	case DAIFCLR: break;
	default: return false;
	}
	ir_msr_imm(ctx->b, ENC(0, a->op1, 4, 0, a->op2), a->crm);
	if (ends)
		end_block(ctx);
	return true;
}

/* ---- system instructions */

/* TLBI and IC change what is fetched. DC and AT do not, nor does DC ZVA more than any store. */
static bool sys_ends_block(uint32_t enc)
{
	if (ENC_CRN(enc) != 7) /* TLBI */
		return true;
	switch (ENC_CRM(enc)) {
	case 4: /* DC ZVA and the tag forms */
	case 6: /* DC IVAC, ISW */
	case 8: /* AT */
	case 9:
	case 10: /* DC CVAC, CSW */
	case 11: /* DC CVAU */
	case 12: /* DC CVAP */
	case 13: /* DC CVADP */
	case 14: /* DC CIVAC, CISW */ return false;
	}
	return true;
}

bool emit_SYS(struct isa_ctx *ctx, const struct args_sysreg *a)
{
	ir_msr(ctx->b, a->enc, a->rt, get_x(ctx, a->rt));
	if (sys_ends_block(a->enc))
		end_block(ctx);
	return true;
}

bool emit_SYSL(struct isa_ctx *ctx, const struct args_sysreg *a)
{
	put_x(ctx, a->rt, ir_mrs(ctx->b, a->enc, a->rt));
	return true;
}

/* ---- system registers */

/* MSR of these cannot change translation, traps or pending interrupts. */
static bool msr_is_plain(uint32_t enc)
{
	switch (enc) {
	case ENC(3, 3, 13, 0, 2): /* TPIDR_EL0 */
	case ENC(3, 3, 13, 0, 3): /* TPIDRRO_EL0 */
	case ENC(3, 0, 13, 0, 4): /* TPIDR_EL1 */
	case ENC(3, 0, 4, 0, 0):  /* SPSR_EL1 */
	case ENC(3, 0, 4, 0, 1):  /* ELR_EL1 */
	case ENC(3, 0, 4, 1, 0):  /* SP_EL0: UNDEFINED while it is the current SP */
	case ENC(3, 0, 5, 2, 0):  /* ESR_EL1 */
	case ENC(3, 0, 6, 0, 0):  /* FAR_EL1 */
	case ENC(3, 0, 7, 4, 0):  /* PAR_EL1 */
	case ENC(3, 0, 5, 1, 0):  /* AFSR0_EL1 */
	case ENC(3, 0, 5, 1, 1):  /* AFSR1_EL1 */
	case ENC(3, 2, 0, 0, 0):  /* CSSELR_EL1 */
	case ENC(3, 0, 2, 1, 0):  /* APIAKeyLo_EL1, and the other keys */
	case ENC(3, 0, 2, 1, 1):
	case ENC(3, 0, 2, 1, 2):
	case ENC(3, 0, 2, 1, 3):
	case ENC(3, 0, 2, 2, 0):
	case ENC(3, 0, 2, 2, 1):
	case ENC(3, 0, 2, 2, 2):
	case ENC(3, 0, 2, 2, 3):
	case ENC(3, 0, 2, 3, 0):
	case ENC(3, 0, 2, 3, 1):
	case ENC_FPSR: return true;
	}
	return false;
}

static bool fp_register_traps(const struct isa_ctx *ctx, uint32_t enc)
{
	return ctx->fp_traps && (enc == ENC_FPCR || enc == ENC_FPSR);
}

bool emit_MSR_reg(struct isa_ctx *ctx, const struct args_sysreg *a)
{
	ir_x v = get_x(ctx, a->rt);

	if (a->enc == ENC_NZCV) {
		ir_putf(ctx->b, ir_fl_pack(ctx->b, v));
		return true;
	}
	if (fp_register_traps(ctx, a->enc)) {
		ir_exit(ctx->b, IR_EXIT_FP_TRAP, 0);
		return true;
	}
	ir_msr(ctx->b, a->enc, a->rt, v);
	if (!msr_is_plain(a->enc))
		end_block(ctx);
	return true;
}

bool emit_MRS(struct isa_ctx *ctx, const struct args_sysreg *a)
{
	ir_x v;

	if (a->enc == ENC_NZCV) {
		put_x(ctx, a->rt, ir_fl_unpack(ctx->b, ir_getf(ctx->b)));
		return true;
	}
	if (fp_register_traps(ctx, a->enc)) {
		ir_exit(ctx->b, IR_EXIT_FP_TRAP, 0);
		return true;
	}
	v = ir_mrs(ctx->b, a->enc, a->rt);
	if (a->enc == ENC_RNDR || a->enc == ENC_RNDRRS) /* Z: there was no random number, which is 0 then */
		ir_putf(ctx->b, ir_fl_pack(ctx->b, ir_bini(ctx->b, IR_shl64, ir_un(ctx->b, IR_eqz64, v), 30)));
	put_x(ctx, a->rt, v);
	return true;
}
