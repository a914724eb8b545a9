/* SPDX-License-Identifier: MIT */
/*
 * What the differential test must know of the SIMD and floating-point rows.
 */
#include "harness.h"

const struct rule rules_fp[] = {
	{.rows = NULL},
};
