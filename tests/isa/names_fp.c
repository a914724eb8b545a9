/* SPDX-License-Identifier: MIT */
/*
 * The mnemonics of the SIMD and floating-point rows where they are not the row's name.
 */
#include "harness.h"

const struct name names_fp[] = {
	{NULL},
};
