/* SPDX-License-Identifier: MIT */
/*
 * Structure loads and stores: Arm ARM DDI 0487, "Advanced SIMD load/store multiple structures", "single structure",
 * and their post-indexed forms; also LD1R to LD4R.
 *
 * Memory is accessed in ascending order. Registers are moved whole and (de)interleaved in between; only the elements
 * must be aligned when alignment is checked (IR_MEM_ELEM). All loads precede all puts; a store that faults may have
 * stored what comes before.
 */
#include "emit_simd.h"

/* Descriptor of an access of 1 << log2size bytes that consists of elements of 1 << elem bytes. */
static uint32_t struct_mem(unsigned log2size, unsigned elem, unsigned rt, unsigned rn)
{
	return IR_MEM(log2size, rt, rn, IR_MEM_ELEM(elem));
}

/* Post-index: Rm, or the bytes transferred if Rm is 31. */
static void post_index(struct isa_ctx *ctx, unsigned rn, unsigned rm, ir_x base, unsigned bytes)
{
	ir_x by = rm == 31 ? ir_const(ctx->b, bytes) : ir_getx(ctx->b, rm);

	ir_putx(ctx->b, rn, ir_bin(ctx->b, IR_add64, base, by));
}

enum { NO_INDEX = 32 };

/* ---- multiple structures */

/* Structures of n elements: n registers in memory order (mem) from and to one register per element (reg). */

static void deinterleave(struct isa_ctx *ctx, unsigned n, uint32_t desc, const ir_v *mem, ir_v *reg)
{
	struct ir_builder *b = ctx->b;

	switch (n) {
	case 2:
		reg[0] = ir_vop(b, IR_VOP_uzp1, mem[0], mem[1], NO_V, desc);
		reg[1] = ir_vop(b, IR_VOP_uzp2, mem[0], mem[1], NO_V, desc);
		break;
	case 3:
		for (unsigned i = 0; i < 3; i++)
			reg[i] = ir_vop(b, IR_VOP_deint3, mem[0], mem[1], mem[2], desc | IR_VD_IMM(i));
		break;
	default:
		for (unsigned i = 0; i < 2; i++) { /* elements 0 and 2, then 1 and 3 */
			enum ir_vop_id uzp = i ? IR_VOP_uzp2 : IR_VOP_uzp1;
			ir_v lo = ir_vop(b, uzp, mem[0], mem[1], NO_V, desc),
			     hi = ir_vop(b, uzp, mem[2], mem[3], NO_V, desc);

			reg[i] = ir_vop(b, IR_VOP_uzp1, lo, hi, NO_V, desc);
			reg[i + 2] = ir_vop(b, IR_VOP_uzp2, lo, hi, NO_V, desc);
		}
		break;
	}
}

static void interleave(struct isa_ctx *ctx, unsigned n, uint32_t desc, const ir_v *reg, ir_v *mem)
{
	struct ir_builder *b = ctx->b;

	switch (n) {
	case 2:
		mem[0] = ir_vop(b, IR_VOP_zip1, reg[0], reg[1], NO_V, desc);
		mem[1] = ir_vop(b, IR_VOP_zip2, reg[0], reg[1], NO_V, desc);
		break;
	case 3:
		for (unsigned i = 0; i < 3; i++)
			mem[i] = ir_vop(b, IR_VOP_int3, reg[0], reg[1], reg[2], desc | IR_VD_IMM(i));
		break;
	default:
		for (unsigned i = 0; i < 2; i++) { /* the first half of the structures, then the second */
			enum ir_vop_id zip = i ? IR_VOP_zip2 : IR_VOP_zip1;
			ir_v even = ir_vop(b, zip, reg[0], reg[2], NO_V, desc),
			     odd = ir_vop(b, zip, reg[1], reg[3], NO_V, desc);

			mem[2 * i] = ir_vop(b, IR_VOP_zip1, even, odd, NO_V, desc);
			mem[2 * i + 1] = ir_vop(b, IR_VOP_zip2, even, odd, NO_V, desc);
		}
		break;
	}
}

static bool multiple(struct isa_ctx *ctx, const struct args_simd_ldm *a, unsigned rm)
{
	/* opcode -> registers, elements of a structure */
	static const struct {
		uint8_t regs, selem;
	} shape[16] = {
		[0] = {4, 4}, [2] = {4, 1}, [4] = {3, 3}, [6] = {3, 1}, [7] = {1, 1}, [8] = {2, 2}, [10] = {2, 1}};
	unsigned n = shape[a->opcode].regs, selem = shape[a->opcode].selem, bytes = a->q ? 16 : 8;
	uint32_t desc = vdesc(a->size, a->q, 0), m = struct_mem(3 + a->q, a->size, a->rt, a->rn);
	ir_v mem[4], reg[4];
	ir_x base;

	if (!n || (selem > 1 && reserved_1d(a->size, a->q, 0)))
		return false;
	base = ir_getx(ctx->b, a->rn);
	if (a->load) {
		for (unsigned i = 0; i < n; i++)
			mem[i] = ir_loadv(ctx->b, base, i * bytes, m);
		if (selem > 1)
			deinterleave(ctx, n, desc, mem, reg);
		for (unsigned i = 0; i < n; i++)
			ir_putv(ctx->b, (a->rt + i) % 32, selem > 1 ? reg[i] : mem[i]);
	} else {
		for (unsigned i = 0; i < n; i++)
			reg[i] = ir_getv(ctx->b, (a->rt + i) % 32);
		if (selem > 1)
			interleave(ctx, n, desc, reg, mem);
		for (unsigned i = 0; i < n; i++)
			ir_storev(ctx->b, base, i * bytes, selem > 1 ? mem[i] : reg[i], m);
	}
	if (rm != NO_INDEX)
		post_index(ctx, a->rn, rm, base, n * bytes);
	return true;
}

bool emit_simd_ldm(struct isa_ctx *ctx, const struct args_simd_ldm *a)
{
	return multiple(ctx, a, NO_INDEX);
}

bool emit_simd_ldm_post(struct isa_ctx *ctx, const struct args_simd_ldm_post *a)
{
	const struct args_simd_ldm m = {a->q, a->opcode, a->size, a->rn, a->rt, a->load};

	return multiple(ctx, &m, a->rm);
}

/* ---- single structure */

static bool single(struct isa_ctx *ctx, const struct args_simd_lds *a, unsigned rm)
{
	unsigned n = ((a->opcode & 1) << 1 | a->r) + 1, scale = a->opcode >> 1, lane = a->q << 3 | a->s << 2 | a->size;
	bool replicate = scale == 3;
	ir_v v[4];
	ir_x base;

	switch (scale) {
	case 0: break;
	case 1:
		if (a->size & 1)
			return false;
		lane >>= 1;
		break;
	case 2:
		if (a->size & 2 || (a->size & 1 && a->s))
			return false;
		scale += a->size & 1;
		lane >>= scale;
		break;
	default:
		if (!a->load || a->s)
			return false;
		scale = a->size;
		break;
	}
	uint32_t m = struct_mem(scale, scale, a->rt, a->rn);

	base = ir_getx(ctx->b, a->rn);
	for (unsigned i = 0; i < n; i++) {
		unsigned rt = (a->rt + i) % 32;

		if (!a->load) {
			v[i] = dup_v(ctx, ir_getv(ctx->b, rt), scale, lane);
			ir_storev(ctx->b, base, (int64_t)i << scale, v[i], m);
		} else {
			v[i] = ir_loadv(ctx->b, base, (int64_t)i << scale, m);
		}
	}
	for (unsigned i = 0; a->load && i < n; i++) {
		unsigned rt = (a->rt + i) % 32;

		if (replicate)
			put_vop(ctx, IR_VOP_dup, rt, v[i], NO_V, false, vdesc(scale, a->q, 0));
		else
			put_vop(ctx, IR_VOP_ins, rt, ir_getv(ctx->b, rt), v[i], false,
				vdesc(scale, 1, IR_VD_IMM(lane)));
	}
	if (rm != NO_INDEX)
		post_index(ctx, a->rn, rm, base, n << scale);
	return true;
}

bool emit_simd_lds(struct isa_ctx *ctx, const struct args_simd_lds *a)
{
	return single(ctx, a, NO_INDEX);
}

bool emit_simd_lds_post(struct isa_ctx *ctx, const struct args_simd_lds_post *a)
{
	const struct args_simd_lds l = {a->q, a->r, a->opcode, a->s, a->size, a->rn, a->rt, a->load};

	return single(ctx, &l, a->rm);
}
