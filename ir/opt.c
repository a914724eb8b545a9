/* SPDX-License-Identifier: MIT */
/*
 * Optimiser of a finished block: one walk from its end. Removes puts that no one can see (a flag setter whose flags
 * the next one overwrites, above all) and values that nobody uses. What can be known while a block is built, constants
 * and forwarded registers, build.c has done already.
 *
 * State stays precise: a put is dead only if the same register is put again before anything that may leave the block
 * or look at guest state: an op that may trap, a conditional branch, a call out.
 */
#include <string.h>

#include "env.h"
#include "ir.h"
#include "op.h"

void ir_opt(struct ir_block *blk)
{
	uint8_t used_x[IR_MAX_VALUES], used_v[IR_MAX_VALUES];
	uint32_t over_x = 0, over_v = 0; /* registers that are overwritten further down before anyone looks */
	bool over_f = false;
	unsigned keep = blk->n_ops; /* ops[keep..] are the ones kept so far */

	memset(used_x, 0, blk->n_x);
	memset(used_v, 0, blk->n_v);
	for (unsigned i = blk->n_ops; i-- > 0;) {
		const struct ir_insn *op = &blk->ops[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];

		if (info->flags & (IR_OPF_TRAP | IR_OPF_END) || op->op == IR_brcond || op->op == IR_fence ||
		    ir_turns_back(blk, i + 1u)) {
			over_x = over_v = 0;
			over_f = false;
		}
		switch (op->op) {
		case IR_nop: continue;
		case IR_putx:
			if (over_x >> op->x & 1)
				continue;
			over_x |= 1u << op->x;
			break;
		case IR_putv:
			if (over_v >> op->x & 1)
				continue;
			over_v |= 1u << op->x;
			break;
		case IR_putf:
			if (over_f)
				continue;
			over_f = true;
			break;
		default:
			/* Pure: no flags at all. Those have one result. */
			if (!info->flags && !(info->res[0] == IR_CLASS_V ? used_v[op->dst] : used_x[op->dst]))
				continue;
			if (op->op == IR_getx)
				over_x &= ~(1u << op->x);
			else if (op->op == IR_getv)
				over_v &= ~(1u << op->x);
			else if (op->op == IR_getf)
				over_f = false;
			break;
		}
		for (unsigned k = 0; k < info->n_arg; k++)
			(info->arg[k] == IR_CLASS_V ? used_v : used_x)[ir_arg(op, k)] = 1;
		if (op->op == IR_casp)
			used_x[ir_casp_new0(op)] = used_x[ir_casp_new1(op)] = 1;
		blk->ops[--keep] = *op;
	}
	blk->n_ops -= (uint16_t)keep;
	memmove(blk->ops, blk->ops + keep, blk->n_ops * sizeof(blk->ops[0]));
}
