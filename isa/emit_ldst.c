/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of one register: Arm ARM DDI 0487, "Load/store register", all addressing forms, "Load register
 * (literal)", "Load/store ordered", "LDAPR/STLR (unscaled immediate)"; general and SIMD&FP registers. Prefetches do
 * nothing.
 *
 * SP alignment (SCTLR_EL1.SA, SA0) is not checked here: the descriptor names the base register, and the PE checks SP
 * for blocks with an access whose base is 31. A prefetch checks nothing, as in the manual.
 *
 * CONSTRAINED UNPREDICTABLE: writeback with the base among the registers transferred. A load leaves the loaded
 * value in the base (writeback is suppressed), a store stores the base as it was before.
 */
#include "emit.h"

enum index { OFFSET, POST, PRE };

/* What size and opc say, for general registers: false if unallocated. */
struct access {
	unsigned log2size;
	bool store;
	uint32_t flags; /* IR_MEM_SSE, IR_MEM_SF */
};

static struct access decode_access(unsigned size, unsigned opc)
{
	struct access acc = {.log2size = size, .store = opc == 0};

	if (opc >= 2)
		acc.flags = IR_MEM_SSE | (opc == 2 ? IR_MEM_SF : 0);
	else if (size == 3)
		acc.flags = IR_MEM_SF;
	return acc;
}

/* One general register at base + disp. X[31] is zero. */
static bool ldst_x(struct isa_ctx *ctx, unsigned size, unsigned opc, unsigned rn, unsigned rt, int64_t disp,
		   enum index index, uint32_t flags)
{
	struct access acc = decode_access(size, opc);
	ir_x base = ir_getx(ctx->b, rn);
	int64_t at = index == POST ? 0 : disp;
	uint32_t m = IR_MEM(acc.log2size, rt, rn, acc.flags | flags);

	/* The syndrome describes the access only if there is no writeback to describe. */
	if (index == OFFSET)
		m |= IR_MEM_ISV;
	if (acc.store) {
		ir_store(ctx->b, base, at, get_x(ctx, rt), m);
	} else {
		ir_x v = ir_load(ctx->b, base, at, m);

		if (index != OFFSET && !(rt == rn && rt != 31))
			ir_putx(ctx->b, rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)disp));
		put_x(ctx, rt, v);
		return true;
	}
	if (index != OFFSET)
		ir_putx(ctx->b, rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)disp));
	return true;
}

bool emit_ldst_unscaled(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, a->imm, OFFSET, 0);
}

bool emit_ldst_post(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, a->imm, POST, 0);
}

bool emit_ldst_pre(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, a->imm, PRE, 0);
}

bool emit_ldst_unpriv(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, a->imm, OFFSET, IR_MEM_UNPRIV);
}

bool emit_ldst_uimm(struct isa_ctx *ctx, const struct args_ldst_uimm *a)
{
	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, (int64_t)a->imm << a->size, OFFSET, 0);
}

/* Base + extended register. Options without bit 1 are unallocated. */
static bool reg_address(struct isa_ctx *ctx, const struct args_ldst_reg *a, unsigned shift, ir_x *addr)
{
	if (!(a->option & 2))
		return false;
	*addr = ir_bin(ctx->b, IR_add64, ir_getx(ctx->b, a->rn), extend_x(ctx, a->rm, a->option, a->S ? shift : 0));
	return true;
}

bool emit_ldst_reg(struct isa_ctx *ctx, const struct args_ldst_reg *a)
{
	struct access acc = decode_access(a->size, a->opc);
	uint32_t m = IR_MEM(acc.log2size, a->rt, a->rn, acc.flags | IR_MEM_ISV);
	ir_x addr;

	if (!reg_address(ctx, a, acc.log2size, &addr))
		return false;
	if (acc.store)
		ir_store(ctx->b, addr, 0, get_x(ctx, a->rt), m);
	else
		put_x(ctx, a->rt, ir_load(ctx->b, addr, 0, m));
	return true;
}

/* opc: 0 W, 1 X, 2 SW */
bool emit_LDR_lit(struct isa_ctx *ctx, const struct args_ldst_lit *a)
{
	static const uint32_t flags[3] = {2, 3 | IR_MEM_SF, 2 | IR_MEM_SF | IR_MEM_SSE};
	ir_x addr = ir_const(ctx->b, ctx->pc + (uint64_t)((int64_t)a->imm * 4));

	put_x(ctx, a->rt, ir_load(ctx->b, addr, 0, IR_MEM(0, a->rt, IR_MEM_BASE_LITERAL, flags[a->opc] | IR_MEM_ISV)));
	return true;
}

/* ---- prefetch: a hint */

bool emit_PRFM_lit(struct isa_ctx *ctx, const struct args_ldst_lit *a)
{
	return true;
}

bool emit_PRFM_reg(struct isa_ctx *ctx, const struct args_ldst_reg *a)
{
	return a->option & 2;
}

bool emit_PRFM_uimm(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

bool emit_PRFUM(struct isa_ctx *ctx, const struct args_none *a)
{
	return true;
}

/* ---- ordered: the address must be aligned to the size */

static bool load_acquire(struct isa_ctx *ctx, const struct args_ldst_ordered *a, uint32_t order)
{
	uint32_t m = IR_MEM(a->size, a->rt, a->rn, IR_MEM_ISV | IR_MEM_ALIGNED | IR_MEM_ACQREL | order);

	put_x(ctx, a->rt, ir_load(ctx->b, ir_getx(ctx->b, a->rn), 0, a->size == 3 ? m | IR_MEM_SF : m));
	return true;
}

static bool store_release(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	uint32_t m = IR_MEM(a->size, a->rt, a->rn, IR_MEM_ISV | IR_MEM_ALIGNED | IR_MEM_ACQREL | IR_MEM_SEQCST);

	ir_store(ctx->b, ir_getx(ctx->b, a->rn), 0, get_x(ctx, a->rt), a->size == 3 ? m | IR_MEM_SF : m);
	return true;
}

bool emit_LDAR(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	return load_acquire(ctx, a, IR_MEM_SEQCST);
}

bool emit_STLR(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	return store_release(ctx, a);
}

/* LORegions are not implemented beyond their registers, so that LDLAR and STLLR are LDAR and STLR. */
bool emit_LDLAR(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	return load_acquire(ctx, a, IR_MEM_SEQCST);
}

bool emit_STLLR(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	return store_release(ctx, a);
}

bool emit_LDAPR(struct isa_ctx *ctx, const struct args_ldst_ordered *a)
{
	return load_acquire(ctx, a, 0);
}

bool emit_ldst_rcpc_unscaled(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	uint32_t order = IR_MEM_ALIGNED | IR_MEM_ACQREL | (a->opc == 0 ? IR_MEM_SEQCST : 0);

	return ldst_x(ctx, a->size, a->opc, a->rn, a->rt, a->imm, OFFSET, order);
}

/* ---- SIMD&FP registers. opc<1>:size is log2 of the bytes, 0..4; opc<0> is load. */

static bool ldst_v(struct isa_ctx *ctx, unsigned size, unsigned opc, unsigned rn, unsigned rt, int64_t disp,
		   enum index index)
{
	unsigned log2size = (opc & 2) << 1 | size;
	ir_x base = ir_getx(ctx->b, rn);
	int64_t at = index == POST ? 0 : disp;
	uint32_t m = IR_MEM(log2size, rt, rn, 0);
	ir_v v = {0};

	if (log2size > 4)
		return false;
	if (opc & 1)
		v = ir_loadv(ctx->b, base, at, m);
	else
		ir_storev(ctx->b, base, at, ir_getv(ctx->b, rt), m);
	if (index != OFFSET)
		ir_putx(ctx->b, rn, ir_bini(ctx->b, IR_add64, base, (uint64_t)disp));
	if (opc & 1)
		ir_putv(ctx->b, rt, v);
	return true;
}

bool emit_ldstv_unscaled(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_v(ctx, a->size, a->opc, a->rn, a->rt, a->imm, OFFSET);
}

bool emit_ldstv_post(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_v(ctx, a->size, a->opc, a->rn, a->rt, a->imm, POST);
}

bool emit_ldstv_pre(struct isa_ctx *ctx, const struct args_ldst_imm *a)
{
	return ldst_v(ctx, a->size, a->opc, a->rn, a->rt, a->imm, PRE);
}

bool emit_ldstv_uimm(struct isa_ctx *ctx, const struct args_ldst_uimm *a)
{
	return ldst_v(ctx, a->size, a->opc, a->rn, a->rt, (int64_t)a->imm << ((a->opc & 2) << 1 | a->size), OFFSET);
}

bool emit_ldstv_reg(struct isa_ctx *ctx, const struct args_ldst_reg *a)
{
	unsigned log2size = (a->opc & 2) << 1 | a->size;
	uint32_t m = IR_MEM(log2size, a->rt, a->rn, 0);
	ir_x addr;

	if (log2size > 4 || !reg_address(ctx, a, log2size, &addr))
		return false;
	if (a->opc & 1)
		ir_putv(ctx->b, a->rt, ir_loadv(ctx->b, addr, 0, m));
	else
		ir_storev(ctx->b, addr, 0, ir_getv(ctx->b, a->rt), m);
	return true;
}

/* opc: 0 S, 1 D, 2 Q */
bool emit_LDR_lit_fpsimd(struct isa_ctx *ctx, const struct args_ldst_lit *a)
{
	ir_x addr = ir_const(ctx->b, ctx->pc + (uint64_t)((int64_t)a->imm * 4));

	ir_putv(ctx->b, a->rt, ir_loadv(ctx->b, addr, 0, IR_MEM(2 + a->opc, a->rt, IR_MEM_BASE_LITERAL, 0)));
	return true;
}
