/* SPDX-License-Identifier: MIT */
/* Operations that move elements about on host instructions: none yet, so all of them call their definitions. */
#include "vgen.h"

bool vec_perm_op(struct jit *j)
{
	return false;
}
