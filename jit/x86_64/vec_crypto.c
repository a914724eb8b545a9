/* SPDX-License-Identifier: MIT */
/* Cryptographic operations on host instructions: none yet, so all of them call their definitions. */
#include "vgen.h"

bool vec_crypto_op(struct jit *j)
{
	return false;
}
