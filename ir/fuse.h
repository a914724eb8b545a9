/* SPDX-License-Identifier: MIT */
/*
 * Ops that only the interpreter knows: what ir_interp_prepare (fuse.c) makes of common groups of ops. They never leave
 * a block that was prepared for the interpreter, and back ends never see them.
 */
#ifndef PAWL_IR_FUSE_H
#define PAWL_IR_FUSE_H

#include "ir.h"

#define IR_FUSED_OPS

enum ir_fused {
	IR_FUSED_FIRST = IR_OP_COUNT - 1,
#define FUSED(name) IR_##name,
	IR_FUSED_OPS
#undef FUSED
		IR_FUSED_END
};

#endif
