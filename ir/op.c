/* SPDX-License-Identifier: MIT */
/*
 * The rows of ops.def as a table. The signature strings are taken apart at compile time, so that the table is constant
 * data. Says nothing about what an op does: that is interp.c and eval.h.
 */
#include "op.h"

#define CLS(ch) ((ch) == 'x' ? IR_CLASS_X : (ch) == 'v' ? IR_CLASS_V : (ch) == 'f' ? IR_CLASS_F : IR_CLASS_NONE)
/* Characters of a signature; past its end they are 0. */
#define CH(sig, i) ((i) < sizeof(sig) ? (sig)[(i) < sizeof(sig) ? (i) : 0] : 0)
#define COLON(sig) ((sig)[0] == ':' ? 0u : (sig)[1] == ':' ? 1u : 2u)
#define NRES(sig) COLON(sig)
#define NARG(sig) (sizeof(sig) - 1 - 1 - COLON(sig))

const struct ir_opinfo ir_opinfo[IR_OP_COUNT] = {
#define OP(nm, sig, fl) \
	[IR_##nm] = { \
		.name = #nm, \
		.flags = (fl), \
		.n_res = NRES(sig), \
		.n_arg = NARG(sig), \
		.res = {CLS(CH(sig, 0)), NRES(sig) == 2 ? CLS(CH(sig, 1)) : IR_CLASS_NONE}, \
		.arg = {CLS(CH(sig, COLON(sig) + 1)), CLS(CH(sig, COLON(sig) + 2)), CLS(CH(sig, COLON(sig) + 3))}, \
	},
#include "ops.def"
#undef OP
};

const char *ir_vop_name(unsigned id)
{
	static const char *const names[IR_VOP_COUNT] = {
		[IR_VOP_NONE] = "none",
#define VOP(name) [IR_VOP_##name] = #name,
#include "vops.def"
#undef VOP
	};

	return id < IR_VOP_COUNT ? names[id] : "?";
}
