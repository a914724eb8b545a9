/* SPDX-License-Identifier: MIT */
/* Floating-point operations on host instructions: none yet, so all of them call their definitions. */
#include "vgen.h"

bool vec_fp_op(struct jit *j)
{
	return false;
}
