/* SPDX-License-Identifier: MIT */
/*
 * Arm ARM DDI 0487, "Cryptographic AES" and the other cryptographic classes. Each is one operation of ir/crypto.c;
 * these functions only say which registers it takes in which order: d, n, m, a for Vd, Vn, Vm, Va.
 */
#include "emit_simd.h"

static bool put3(struct isa_ctx *ctx, unsigned op, unsigned rd, ir_v x, ir_v y, ir_v z, uint32_t desc)
{
	ir_putv(ctx->b, rd, ir_vop(ctx->b, (enum ir_vop_id)op, x, y, z, vdesc(2, 1, desc)));
	return true;
}

bool emit_crypto_aes(struct isa_ctx *ctx, const struct args_crypto2 *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), NO_V, 0);
}

bool emit_crypto2(struct isa_ctx *ctx, const struct args_crypto2 *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), NO_V, NO_V, 0);
}

bool emit_crypto2_dn(struct isa_ctx *ctx, const struct args_crypto2 *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), NO_V, 0);
}

bool emit_crypto_nm(struct isa_ctx *ctx, const struct args_crypto *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), NO_V, 0);
}

bool emit_crypto_dnm(struct isa_ctx *ctx, const struct args_crypto *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), 0);
}

bool emit_crypto_nm_imm(struct isa_ctx *ctx, const struct args_crypto_imm *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), NO_V, IR_VD_IMM(a->imm));
}

bool emit_crypto_dnm_imm(struct isa_ctx *ctx, const struct args_crypto_imm *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rd), ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm),
		    IR_VD_IMM(a->imm) | a->fl);
}

bool emit_crypto4(struct isa_ctx *ctx, const struct args_crypto4 *a)
{
	return put3(ctx, a->op, a->rd, ir_getv(ctx->b, a->rn), ir_getv(ctx->b, a->rm), ir_getv(ctx->b, a->ra), 0);
}
