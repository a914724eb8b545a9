/* SPDX-License-Identifier: MIT */
/*
 * Entry of the translator: one instruction word to IR. Finds the row of the decode tables, asks for its feature,
 * and calls its emitter. What an instruction means is in the emit_*.c files.
 */
#include "isa.h"

#include "decode.h"

bool isa_emit(struct isa_ctx *ctx, uint32_t insn)
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

int isa_row_of(uint32_t insn)
{
	return isa_decode_row(insn);
}

const char *isa_name(uint32_t insn)
{
	int row = isa_decode_row(insn);

	return row < 0 ? NULL : isa_rows[row].name;
}
