/* SPDX-License-Identifier: MIT */
/*
 * The verifier: what must hold of every block that an emitter builds, so that the interpreter and the back ends need
 * not ask. Above all the rule that makes exceptions precise: within a guest instruction no op that may trap follows a
 * put. It does not judge whether a block means what its instructions mean.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "env.h"
#include "ir.h"
#include "op.h"

struct checker {
	const struct ir_block *blk;
	char *buf;
	size_t len;
	unsigned i;		      /* op at hand */
	uint8_t cls_x[IR_MAX_VALUES]; /* class of a defined x or f value, 0: not defined */
	uint8_t cls_v[IR_MAX_VALUES];
};

static int bad(const struct checker *c, const char *what)
{
	const struct ir_insn *op = c->i < c->blk->n_ops ? &c->blk->ops[c->i] : NULL;

	if (op)
		snprintf(c->buf, c->len, "block %#llx, op %u (%s), instruction %u: %s", (unsigned long long)c->blk->pc,
			 c->i, op->op < IR_OP_COUNT ? ir_opinfo[op->op].name : "?", op->gi, what);
	else
		snprintf(c->buf, c->len, "block %#llx: %s", (unsigned long long)c->blk->pc, what);
	return -EINVAL;
}

static bool defined(const struct checker *c, unsigned cls, uint16_t n)
{
	if (n == 0)
		return false;
	if (cls == IR_CLASS_V)
		return n < c->blk->n_v && c->cls_v[n];
	return n < c->blk->n_x && c->cls_x[n] == cls;
}

static bool define(struct checker *c, unsigned cls, uint16_t n)
{
	uint8_t *slot;

	if (n == 0 || n >= (cls == IR_CLASS_V ? c->blk->n_v : c->blk->n_x))
		return false;
	slot = cls == IR_CLASS_V ? &c->cls_v[n] : &c->cls_x[n];
	if (*slot)
		return false;
	*slot = (uint8_t)cls;
	return true;
}

/* Memory descriptor: the flags that the op implies are there, the others are possible with it. */
static const char *check_mem(const struct ir_insn *op)
{
	uint32_t m = op->aux;
	bool pair = false, vec = false, wnr = true, rmw = false, excl = false, has_disp = true;

	switch (op->op) {
	case IR_load: wnr = false; break;
	case IR_store: break;
	case IR_loadv:
		vec = true;
		wnr = false;
		break;
	case IR_storev: vec = true; break;
	case IR_loadp:
		pair = true;
		wnr = false;
		break;
	case IR_storep: pair = true; break;
	case IR_loadpv:
		pair = vec = true;
		wnr = false;
		break;
	case IR_storepv: pair = vec = true; break;
	case IR_ldx:
		excl = true;
		wnr = has_disp = false;
		break;
	case IR_ldxp:
		excl = pair = true;
		wnr = has_disp = false;
		break;
	case IR_stx:
		excl = true;
		has_disp = false;
		break;
	case IR_stxp:
		excl = pair = true;
		has_disp = false;
		break;
	case IR_rmw:
	case IR_cas:
		rmw = true;
		has_disp = false;
		break;
	case IR_casp: rmw = pair = true; break;
	default: return NULL;
	}
	if (IR_MEM_SIZE(m) > (vec ? 4u : 3u) || (op->op == IR_casp && IR_MEM_SIZE(m) < 2) ||
	    ((op->op == IR_ldxp || op->op == IR_stxp) && IR_MEM_SIZE(m) < 2))
		return "access size";
	if (!!(m & IR_MEM_PAIR) != pair || !!(m & IR_MEM_VEC) != vec || !!(m & IR_MEM_WNR) != wnr ||
	    !!(m & IR_MEM_RMW) != rmw || !!(m & IR_MEM_EXCL) != excl)
		return "memory descriptor does not fit the op";
	if ((excl || rmw) && !(m & IR_MEM_ALIGNED))
		return "atomic without IR_MEM_ALIGNED";
	if (IR_MEM_BASE(m) > IR_MEM_BASE_LITERAL)
		return "base register";
	if (!has_disp && op->imm)
		return "displacement on an op that has none";
	return NULL;
}

/* Immediates in range. */
static const char *check_fields(const struct ir_block *blk, const struct ir_insn *op)
{
	switch (op->op) {
	case IR_getx:
	case IR_putx:
	case IR_getv:
	case IR_putv: return op->x < 32 ? NULL : "register number";
	case IR_ubfx:
	case IR_sbfx:
	case IR_bfi: return op->aux >= 1 && op->aux <= 64 && op->x + op->aux <= 64 ? NULL : "bit field";
	case IR_extr64:
	case IR_tstbit: return op->x < 64 ? NULL : "bit number";
	case IR_extr32: return op->x < 32 ? NULL : "bit number";
	case IR_crc32: return op->x <= 3 && op->aux <= 1 ? NULL : "operand size";
	case IR_fl_fcmp: return op->x >= 1 && op->x <= 3 && op->aux <= 1 ? NULL : "operand size";
	case IR_fl_const: return op->imm <= 15 ? NULL : "flags";
	case IR_cond: return op->x <= IR_NV ? NULL : "condition";
	case IR_rmw: return op->x <= IR_RMW_SWP ? check_mem(op) : "operation";
	case IR_fence: return op->x <= IR_FENCE_ESB ? NULL : "fence";
	case IR_mrs:
	case IR_msr: return op->x < 32 && op->aux <= 0xffff ? NULL : "system register";
	case IR_btype: return op->x < 4 ? NULL : "BTYPE";
	case IR_pauth: return op->x < 32 ? NULL : "pointer authentication";
	case IR_msr_imm: return op->x < 16 && op->aux <= 0xffff ? NULL : "system register";
	case IR_brcond:
	case IR_br: return (op->imm ^ blk->pc) & 3 ? "branch target" : op->aux > 1 ? "sense of the branch" : NULL;
	case IR_br_ind: return op->x <= IR_BR_RET ? NULL : "kind of branch";
	case IR_exit: return op->x <= IR_EXIT_STEPPED ? NULL : "exit reason";
	case IR_x_from_v: return (op->aux & ~0x13u) == 0 && op->x < 16u >> (op->aux & 3) ? NULL : "lane";
	case IR_v_ins_x: return op->aux <= 3 && op->x < 16u >> op->aux ? NULL : "lane";
	case IR_vop: return op->imm > IR_VOP_NONE && op->imm < IR_VOP_COUNT ? NULL : "vector operation";
	default: return check_mem(op);
	}
}

static int check_op(struct checker *c)
{
	const struct ir_insn *op = &c->blk->ops[c->i];
	const struct ir_opinfo *info = &ir_opinfo[op->op];
	const char *what;

	for (unsigned k = 0; k < info->n_arg; k++) {
		uint16_t n = ir_arg(op, k);

		if (op->op == IR_vop && n == 0)
			continue; /* an operand that this operation does not have */
		if (!defined(c, info->arg[k], n))
			return bad(c, "operand is not a defined value of its class");
	}
	if (op->op == IR_casp &&
	    (!defined(c, IR_CLASS_X, ir_casp_new0(op)) || !defined(c, IR_CLASS_X, ir_casp_new1(op)) || op->imm >> 48))
		return bad(c, "operand is not a defined value of its class");
	if (info->n_res >= 1 && !define(c, info->res[0], op->dst))
		return bad(c, "result is defined twice or out of range");
	if (info->n_res == 2 && !define(c, info->res[1], op->c))
		return bad(c, "second result is defined twice or out of range");
	if (op->op == IR_casp && !define(c, IR_CLASS_X, ir_casp_old1(op)))
		return bad(c, "second result is defined twice or out of range");
	what = check_fields(c->blk, op);
	return what ? bad(c, what) : 0;
}

int ir_check(const struct ir_block *blk, char *buf, size_t len)
{
	struct checker c = {.blk = blk, .buf = buf, .len = len, .i = ~0u};
	unsigned gi = 0;
	bool put = false; /* the current guest instruction has put something */

	if (blk->n_insns < 1 || blk->n_insns > IR_MAX_INSNS)
		return bad(&c, "number of instructions");
	if (blk->n_ops < 1 || blk->n_ops > IR_MAX_OPS)
		return bad(&c, "number of ops");
	if (blk->n_x < 1 || blk->n_x > IR_MAX_VALUES || blk->n_v < 1 || blk->n_v > IR_MAX_VALUES)
		return bad(&c, "number of values");
	for (c.i = 0; c.i < blk->n_ops; c.i++) {
		const struct ir_insn *op = &blk->ops[c.i];
		unsigned flags;
		int err;

		if (op->op >= IR_OP_COUNT)
			return bad(&c, "no such op");
		flags = ir_opinfo[op->op].flags;
		if (op->gi < gi || op->gi >= blk->n_insns)
			return bad(&c, "instructions are not in order");
		if (op->gi != gi) {
			gi = op->gi;
			put = false;
		}
		if (flags & IR_OPF_TRAP && put)
			return bad(&c, "may trap after its instruction has put a register");
		if (flags & IR_OPF_PUT)
			put = true;
		if (!!(flags & IR_OPF_END) != (c.i + 1 == blk->n_ops))
			return bad(&c,
				   flags & IR_OPF_END ? "ops behind the end" : "block does not end in control flow");
		err = check_op(&c);
		if (err)
			return err;
	}
	return 0;
}
