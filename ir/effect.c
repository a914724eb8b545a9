/* SPDX-License-Identifier: MIT */
/* The builder's ops that are more than values: memory, the system, and vectors, of which nothing is folded. */
#include "builder.h"

#include <assert.h>

#include "env.h"

/* ---- memory */

/* Bound of a loaded value, as the descriptor extends it. */
static unsigned load_width(uint32_t m)
{
	if (m & IR_MEM_SSE)
		return m & IR_MEM_SF ? 64 : 32;
	return min_u(64, 8u << min_u(IR_MEM_SIZE(m), 3));
}

ir_x ir_load(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m)
{
	return (ir_x){ir_emit_x(b, load_width(m),
				(struct ir_insn){.op = IR_load, .a = addr.n, .imm = (uint64_t)disp, .aux = m})};
}

void ir_store(struct ir_builder *b, ir_x addr, int64_t disp, ir_x v, uint32_t m)
{
	ir_emit(b, (struct ir_insn){.op = IR_store,
				    .a = addr.n,
				    .b = ir_not_extended(b, v.n, min_u(64, 8u << IR_MEM_SIZE(m))),
				    .imm = (uint64_t)disp,
				    .aux = m | IR_MEM_WNR});
}

ir_v ir_loadv(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m)
{
	return (ir_v){ir_emit_v(
		b, (struct ir_insn){.op = IR_loadv, .a = addr.n, .imm = (uint64_t)disp, .aux = m | IR_MEM_VEC})};
}

void ir_storev(struct ir_builder *b, ir_x addr, int64_t disp, ir_v v, uint32_t m)
{
	ir_emit(b, (struct ir_insn){.op = IR_storev,
				    .a = addr.n,
				    .b = v.n,
				    .imm = (uint64_t)disp,
				    .aux = m | IR_MEM_VEC | IR_MEM_WNR});
}

/* An op with two x results. */
static void emit_xx(struct ir_builder *b, unsigned width, struct ir_insn op, ir_x *r0, ir_x *r1)
{
	*r0 = *r1 = (ir_x){0};
	if (ir_full(b))
		return;
	op.dst = ir_new_x(b, width);
	r1->n = ir_new_x(b, width);
	r0->n = op.dst;
	if (op.op == IR_casp)
		op.imm |= (uint64_t)r1->n << 32;
	else
		op.c = r1->n;
	ir_append(b, &op);
}

void ir_loadp(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m, ir_x *lo, ir_x *hi)
{
	emit_xx(b, load_width(m),
		(struct ir_insn){.op = IR_loadp, .a = addr.n, .imm = (uint64_t)disp, .aux = m | IR_MEM_PAIR}, lo, hi);
}

void ir_storep(struct ir_builder *b, ir_x addr, int64_t disp, ir_x lo, ir_x hi, uint32_t m)
{
	ir_emit(b, (struct ir_insn){.op = IR_storep,
				    .a = addr.n,
				    .b = lo.n,
				    .c = hi.n,
				    .imm = (uint64_t)disp,
				    .aux = m | IR_MEM_PAIR | IR_MEM_WNR});
}

void ir_loadpv(struct ir_builder *b, ir_x addr, int64_t disp, uint32_t m, ir_v *lo, ir_v *hi)
{
	struct ir_insn op = {.op = IR_loadpv, .a = addr.n, .imm = (uint64_t)disp, .aux = m | IR_MEM_PAIR | IR_MEM_VEC};

	*lo = *hi = (ir_v){0};
	if (ir_full(b))
		return;
	lo->n = op.dst = ir_new_v(b);
	hi->n = op.c = ir_new_v(b);
	ir_append(b, &op);
}

void ir_storepv(struct ir_builder *b, ir_x addr, int64_t disp, ir_v lo, ir_v hi, uint32_t m)
{
	ir_emit(b, (struct ir_insn){.op = IR_storepv,
				    .a = addr.n,
				    .b = lo.n,
				    .c = hi.n,
				    .imm = (uint64_t)disp,
				    .aux = m | IR_MEM_PAIR | IR_MEM_VEC | IR_MEM_WNR});
}

ir_x ir_ldx(struct ir_builder *b, ir_x addr, uint32_t m)
{
	m |= IR_MEM_EXCL | IR_MEM_ALIGNED;
	return (ir_x){ir_emit_x(b, load_width(m), (struct ir_insn){.op = IR_ldx, .a = addr.n, .aux = m})};
}

void ir_ldxp(struct ir_builder *b, ir_x addr, uint32_t m, ir_x *lo, ir_x *hi)
{
	m |= IR_MEM_EXCL | IR_MEM_ALIGNED | IR_MEM_PAIR;
	emit_xx(b, load_width(m), (struct ir_insn){.op = IR_ldxp, .a = addr.n, .aux = m}, lo, hi);
}

ir_x ir_stx(struct ir_builder *b, ir_x addr, ir_x v, uint32_t m)
{
	m |= IR_MEM_EXCL | IR_MEM_ALIGNED | IR_MEM_WNR;
	return (ir_x){ir_emit_x(b, 1, (struct ir_insn){.op = IR_stx, .a = addr.n, .b = v.n, .aux = m})};
}

ir_x ir_stxp(struct ir_builder *b, ir_x addr, ir_x lo, ir_x hi, uint32_t m)
{
	m |= IR_MEM_EXCL | IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_PAIR;
	return (ir_x){ir_emit_x(b, 1, (struct ir_insn){.op = IR_stxp, .a = addr.n, .b = lo.n, .c = hi.n, .aux = m})};
}

ir_x ir_rmw(struct ir_builder *b, enum ir_rmw op, ir_x addr, ir_x v, uint32_t m)
{
	m |= IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_RMW;
	return (ir_x){ir_emit_x(b, load_width(m),
				(struct ir_insn){.op = IR_rmw, .x = (uint8_t)op, .a = addr.n, .b = v.n, .aux = m})};
}

ir_x ir_cas(struct ir_builder *b, ir_x addr, ir_x expect, ir_x v, uint32_t m)
{
	m |= IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_RMW;
	return (ir_x){ir_emit_x(b, load_width(m),
				(struct ir_insn){.op = IR_cas, .a = addr.n, .b = expect.n, .c = v.n, .aux = m})};
}

void ir_casp(struct ir_builder *b, ir_x addr, const ir_x expect[2], const ir_x v[2], uint32_t m, ir_x old[2])
{
	m |= IR_MEM_ALIGNED | IR_MEM_WNR | IR_MEM_RMW | IR_MEM_PAIR;
	emit_xx(b, load_width(m),
		(struct ir_insn){.op = IR_casp,
				 .a = addr.n,
				 .b = expect[0].n,
				 .c = expect[1].n,
				 .imm = (uint64_t)v[0].n | (uint64_t)v[1].n << 16,
				 .aux = m},
		&old[0], &old[1]);
}

void ir_clrex(struct ir_builder *b)
{
	ir_emit(b, (struct ir_insn){.op = IR_clrex});
}

void ir_fence(struct ir_builder *b, enum ir_fence kind)
{
	ir_emit(b, (struct ir_insn){.op = IR_fence, .x = (uint8_t)kind});
}

/* ---- system */

/* mrs and the like may read what an earlier instruction put; they change no register that is forwarded but these. */
static void forget_after_msr(struct ir_builder *b)
{
	b->cur_x[31] = 0;
	b->cur_f = 0;
}

ir_x ir_mrs(struct ir_builder *b, uint32_t enc, unsigned rt)
{
	return (ir_x){ir_emit_x(b, 64, (struct ir_insn){.op = IR_mrs, .aux = enc, .x = (uint8_t)rt})};
}

void ir_msr(struct ir_builder *b, uint32_t enc, unsigned rt, ir_x v)
{
	ir_emit(b, (struct ir_insn){.op = IR_msr, .aux = enc, .x = (uint8_t)rt, .a = v.n});
	forget_after_msr(b);
}

void ir_msr_imm(struct ir_builder *b, uint32_t enc, unsigned imm4)
{
	ir_emit(b, (struct ir_insn){.op = IR_msr_imm, .aux = enc, .x = (uint8_t)imm4});
	forget_after_msr(b);
}

void ir_btype(struct ir_builder *b, unsigned btype)
{
	ir_emit(b, (struct ir_insn){.op = IR_btype, .x = (uint8_t)btype});
}

ir_x ir_pauth(struct ir_builder *b, unsigned kind, ir_x ptr, ir_x modifier)
{
	return (ir_x){
		ir_emit_x(b, 64, (struct ir_insn){.op = IR_pauth, .x = (uint8_t)kind, .a = ptr.n, .b = modifier.n})};
}

/* ---- vectors */

ir_v ir_v_from_x(struct ir_builder *b, ir_x lo)
{
	return (ir_v){ir_emit_v(b, (struct ir_insn){.op = IR_v_from_x, .a = lo.n})};
}

ir_v ir_v_from_xx(struct ir_builder *b, ir_x lo, ir_x hi)
{
	return (ir_v){ir_emit_v(b, (struct ir_insn){.op = IR_v_from_xx, .a = lo.n, .b = hi.n})};
}

ir_x ir_x_from_v(struct ir_builder *b, ir_v v, unsigned log2size, unsigned lane, bool sext)
{
	assert(log2size <= 3 && lane < 16u >> log2size);
	return (ir_x){ir_emit_x(
		b, sext ? 64 : 8u << log2size,
		(struct ir_insn){
			.op = IR_x_from_v, .x = (uint8_t)lane, .a = v.n, .aux = log2size | (uint32_t)sext << 4})};
}

ir_v ir_v_ins_x(struct ir_builder *b, ir_v v, unsigned log2size, unsigned lane, ir_x x)
{
	assert(log2size <= 3 && lane < 16u >> log2size);
	return (ir_v){ir_emit_v(
		b, (struct ir_insn){.op = IR_v_ins_x, .x = (uint8_t)lane, .a = v.n, .b = x.n, .aux = log2size})};
}

ir_v ir_vop(struct ir_builder *b, enum ir_vop_id op, ir_v a, ir_v v2, ir_v v3, uint32_t desc)
{
	assert(op > IR_VOP_NONE && op < IR_VOP_COUNT);
	return (ir_v){
		ir_emit_v(b, (struct ir_insn){.op = IR_vop, .a = a.n, .b = v2.n, .c = v3.n, .imm = op, .aux = desc})};
}
