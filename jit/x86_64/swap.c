/* SPDX-License-Identifier: MIT */
/*
 * Loops with pinned registers of their own: where a trace comes back to its start, the host registers that units have for guest
 * registers hold those that the loop uses most, from its start until it is left, or C code looks. Then they are exchanged: what the
 * loop had there goes to env, and what all other units expect there comes from env.
 */
#include "select.h"

/* How often each guest register is used. */
static void count_uses(const struct ir_block *blk, unsigned uses[32])
{
	uint8_t of[IR_MAX_VALUES]; /* guest register that a value is of */

	memset(uses, 0, 32 * sizeof(*uses));
	memset(of, NO_HOME, blk->n_x);
	for (unsigned i = 0; i < blk->n_ops; i++) {
		const struct ir_insn *op = &blk->ops[i];
		const struct ir_opinfo *info = &ir_opinfo[op->op];

		if (op->op == IR_getx)
			of[op->dst] = op->x;
		for (unsigned k = 0; k < info->n_arg; k++) {
			uint16_t n = ir_arg(op, k);

			if (info->arg[k] == IR_CLASS_X && of[n] != NO_HOME)
				uses[of[n]]++;
		}
		if (op->op == IR_putx) {
			of[op->a] = op->x;
			uses[op->x]++;
		}
	}
}

void swap_choose(struct jit *j)
{
	unsigned uses[32];

	memcpy(j->pin, reg_pin, sizeof(j->pin));
	j->n_swaps = 0;
	if (!j->unit->loops)
		return;
	count_uses(j->blk, uses);
	for (unsigned most = 1; most;) {
		unsigned in = 0, out = 32;

		most = 0;
		for (unsigned r = 0; r < 32; r++) {
			if (j->pin[r] == NO_REG && uses[r] > most) {
				most = uses[r];
				in = r;
			}
			if (r == 31 && j->unit->sp_mask)
				continue; /* the unit looks at SP where it begins */
			if (j->pin[r] != NO_REG && reg_pin[r] != NO_REG && (out == 32 || uses[r] < uses[out]))
				out = r;
		}
		if (out == 32 || most <= uses[out] + 1)
			break;
		j->swaps[j->n_swaps++] =
			(struct swap){.host = (int8_t)j->pin[out], .in = (uint8_t)in, .out = (uint8_t)out};
		j->pin[in] = j->pin[out];
		j->pin[out] = NO_REG;
	}
}

/* Where the loop begins. */
void swap_begin(struct jit *j)
{
	for (unsigned i = 0; i < j->n_swaps; i++)
		as_rm(&j->as, X_MOV_ST | X_W, j->swaps[i].host, RBP, ENV_X(j->swaps[i].out));
	swap_in(j);
}

void swap_in(struct jit *j)
{
	for (unsigned i = 0; i < j->n_swaps; i++)
		as_rm(&j->as, X_MOV | X_W, j->swaps[i].host, RBP, ENV_X(j->swaps[i].in));
}

void swap_out(struct jit *j)
{
	for (unsigned i = 0; i < j->n_swaps; i++) {
		as_rm(&j->as, X_MOV_ST | X_W, j->swaps[i].host, RBP, ENV_X(j->swaps[i].in));
		as_rm(&j->as, X_MOV | X_W, j->swaps[i].host, RBP, ENV_X(j->swaps[i].out));
	}
}
