/* SPDX-License-Identifier: MIT */
/*
 * Listing of a block, for people: a line per op, guest instructions set apart by their PC. Robust against bad blocks,
 * since it is what one looks at when the verifier complains.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ir.h"
#include "op.h"

static const char cls_letter[] = {[IR_CLASS_NONE] = '?', [IR_CLASS_X] = 'x', [IR_CLASS_V] = 'v', [IR_CLASS_F] = 'f'};

static const char *name_of(const char *const *names, unsigned n, unsigned i)
{
	return i < n ? names[i] : "?";
}
#define NAME_OF(names, i) name_of(names, sizeof(names) / sizeof((names)[0]), i)

static void print_mem(FILE *f, const struct ir_insn *op)
{
	uint32_t m = op->aux;

	fprintf(f, " %+" PRId64 " [%u%s", op->op == IR_casp ? 0 : (int64_t)op->imm, 8u << IR_MEM_SIZE(m),
		m & IR_MEM_PAIR ? "x2" : "");
	if (m & IR_MEM_SSE)
		fprintf(f, " sse%s", m & IR_MEM_SF ? "64" : "32");
	fprintf(f, "%s%s%s%s%s]", m & IR_MEM_UNPRIV ? " unpriv" : "", m & IR_MEM_ACQREL ? " acqrel" : "",
		m & IR_MEM_SEQCST ? " sc" : "", m & IR_MEM_ALIGNED ? " aligned" : "", m & IR_MEM_ISV ? " isv" : "");
}

static void print_fields(FILE *f, const struct ir_insn *op)
{
	static const char *const conds[] = {"eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc",
					    "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"};
	static const char *const rmws[] = {"add", "clr", "eor", "set", "smax", "smin", "umax", "umin", "swp"};
	static const char *const fences[] = {"ld", "st", "full", "dsb", "isb", "esb"};
	static const char *const kinds[] = {"jump", "call", "ret"};
	static const char *const pauth_ops[] = {"add", "check", "strip", "generic"};
	static const char *const pauth_keys[] = {"ia", "ib", "da", "db"};
	static const char *const exits[] = {"undef", "svc",  "hvc",  "smc",	"brk",	    "hlt",    "eret",	"wfi",
					    "wfe",   "wfit", "wfet", "fp_trap", "pc_align", "iabort", "stepped"};

	switch (op->op) {
	case IR_const: fprintf(f, " %#" PRIx64, op->imm); break;
	case IR_getx:
	case IR_putx: fprintf(f, op->x == 31 ? " @sp" : " @x%u", op->x); break;
	case IR_getv:
	case IR_putv: fprintf(f, " @v%u", op->x); break;
	case IR_ubfx:
	case IR_sbfx:
	case IR_bfi: fprintf(f, " lsb %u width %u", op->x, op->aux); break;
	case IR_extr64:
	case IR_extr32:
	case IR_tstbit: fprintf(f, " #%u", op->x); break;
	case IR_crc32: fprintf(f, " %u%s", 8u << (op->x & 3), op->aux ? " castagnoli" : ""); break;
	case IR_fl_fcmp: fprintf(f, " %u%s", 8u << (op->x & 3), op->aux ? " signalling" : ""); break;
	case IR_fl_const: fprintf(f, " %#" PRIx64, op->imm); break;
	case IR_cond: fprintf(f, " %s", NAME_OF(conds, op->x)); break;
	case IR_rmw: fprintf(f, " %s", NAME_OF(rmws, op->x)); break;
	case IR_fence: fprintf(f, " %s", NAME_OF(fences, op->x)); break;
	case IR_mrs:
	case IR_msr:
	case IR_msr_imm:
		fprintf(f, " S%u_%u_C%u_C%u_%u (%s%u)", op->aux >> 14 & 3, op->aux >> 11 & 7, op->aux >> 7 & 15,
			op->aux >> 3 & 15, op->aux & 7, op->op == IR_msr_imm ? "#" : "rt ", op->x);
		break;
	case IR_btype: fprintf(f, " %u", op->x); break;
	case IR_pauth:
		fprintf(f, " %s %s%s", NAME_OF(pauth_ops, IR_PAUTH_OP(op->x)), NAME_OF(pauth_keys, IR_PAUTH_KEY(op->x)),
			op->x & IR_PAUTH_COMBINED ? " combined" : "");
		break;
	case IR_brcond: fprintf(f, " %s-> %#" PRIx64, op->aux ? "is 0 " : "", op->imm); break;
	case IR_br: fprintf(f, " -> %#" PRIx64, op->imm); break;
	case IR_br_ind: fprintf(f, " %s", NAME_OF(kinds, op->x)); break;
	case IR_exit: fprintf(f, " %s %#" PRIx64, NAME_OF(exits, op->x), op->imm); break;
	case IR_x_from_v:
	case IR_v_ins_x:
		fprintf(f, " %c[%u]%s", "bhsd"[op->aux & 3], op -> x, op -> aux >> 4 & 1 ? " sext" : "");
		break;
	case IR_vop: fprintf(f, " %s desc %#x", ir_vop_name((unsigned)op->imm), op->aux); break;
	default:
		if (op->op >= IR_load && op->op <= IR_casp)
			print_mem(f, op);
		if (op->op == IR_casp)
			fprintf(f, " new x%u, x%u", ir_casp_new0(op), ir_casp_new1(op));
		break;
	}
}

void ir_print(FILE *f, const struct ir_block *blk)
{
	unsigned gi = ~0u;

	fprintf(f, "block %#" PRIx64 ": %u instructions, %u ops\n", blk->pc, blk->n_insns, blk->n_ops);
	for (unsigned i = 0; i < blk->n_ops; i++) {
		const struct ir_insn *op = &blk->ops[i];
		const struct ir_opinfo *info;

		if (op->gi != gi) {
			gi = op->gi;
			fprintf(f, " %#" PRIx64 ":\n", ir_pc(blk, gi));
		}
		if (op->op >= IR_OP_COUNT) {
			fprintf(f, "\top %u?\n", op->op);
			continue;
		}
		info = &ir_opinfo[op->op];
		fputc('\t', f);
		if (info->n_res >= 1)
			fprintf(f, "%c%u", cls_letter[info->res[0]], op->dst);
		if (info->n_res == 2 || op->op == IR_casp)
			fprintf(f, ", %c%u", op->op == IR_casp ? 'x' : cls_letter[info->res[1]], ir_dst2(op));
		fprintf(f, "%s%s", info->n_res ? " = " : "", info->name);
		for (unsigned k = 0; k < info->n_arg; k++)
			fprintf(f, "%s%c%u", k ? ", " : " ", cls_letter[info->arg[k]], ir_arg(op, k));
		print_fields(f, op);
		fputc('\n', f);
	}
}
