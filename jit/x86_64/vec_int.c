/* SPDX-License-Identifier: MIT */
/* Integer vector operations on host instructions: none yet, so all of them call their definitions. */
#include "vgen.h"

bool vec_int_op(struct jit *j)
{
	return false;
}
