/* SPDX-License-Identifier: MIT */
/*
 * Entry of the translator: one instruction word to IR. Finds the row of the decode tables, asks for its feature,
 * and calls its emitter. What an instruction means is in the emit_*.c files.
 */
#include "isa.h"

#include "emit.h"

static bool emit_insn(struct isa_ctx *ctx, uint32_t insn)
{
	int row = isa_decode_row(insn);

	if (row < 0 || !isa_rows[row].implemented || !isa_has(ctx, isa_rows[row].feature))
		goto undefined;
	if (!isa_decode_emit(ctx, (unsigned)row, insn)) {
		ir_rollback_insn(ctx->b);
		goto undefined;
	}
	/* An encoding that is UNDEFINED is so whether or not FP is enabled: hence the trap is decided last. */
	if (ctx->fp_traps && isa_decode_is_fp((unsigned)row)) {
		ir_rollback_insn(ctx->b);
		ir_exit(ctx->b, IR_EXIT_FP_TRAP, 0);
	}
	return !ir_ended(ctx->b);

undefined:
	ir_exit(ctx->b, IR_EXIT_UNDEF, insn);
	return false;
}

/*
 * No exception can come of it: data processing with general registers, hints, immediate branches. Not of pointer
 * authentication, which may fail.
 */
static bool cannot_trap(uint32_t insn)
{
	uint32_t group = insn >> 25 & 15;

	if ((group & 14) == 8 || (group & 7) == 5)
		return insn >> 16 != 0xdac1;
	if ((insn & 0xfffff01f) == 0xd503201f) { /* but WFE, WFI, AUT1716, AUTZ and AUTSP */
		unsigned imm = insn >> 5 & 0x7f;

		return imm != 2 && imm != 3 && (imm & 0x7d) != 0x0c && (imm & 0x7c) != 0x1c;
	}
	return (insn & 0x7c000000) == 0x14000000 || (insn & 0x7c000000) == 0x34000000 ||
	       (insn & 0xff000010) == 0x54000000; /* B, BL; CBZ, TBZ; B.cond */
}

/*
 * PSTATE.BTYPE is cleared by the instruction that a branch lands on, not by the branch: an exception on that instruction
 * still saves it. So it is cleared first if there can be none, else last.
 */
bool isa_emit(struct isa_ctx *ctx, uint32_t insn)
{
	bool last, open;

	if (__builtin_expect(!ctx->btype, 1))
		return emit_insn(ctx, insn);
	last = !cannot_trap(insn);
	if (!last) {
		emit_btype(ctx, BTYPE_NONE);
		ctx->btype = false;
	}
	open = emit_insn(ctx, insn);
	if (last && open)
		emit_btype(ctx, BTYPE_NONE);
	ctx->btype = false;
	return open;
}

int isa_row_of(uint32_t insn)
{
	return isa_decode_row(insn);
}

const char *isa_name(uint32_t insn)
{
	int row = isa_decode_row(insn);

	return row < 0 ? NULL : isa_rows[row].name;
}
