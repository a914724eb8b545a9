/* SPDX-License-Identifier: MIT */
/*
 * The mnemonics of the SIMD and floating-point rows where they are not the row's name.
 */
#include "harness.h"

const struct name names_fp[] = {
	{"LDn_multi*", .mnemonics = "ld1 ld2 ld3 ld4"},
	{"STn_multi*", .mnemonics = "st1 st2 st3 st4"},
	{"LDn_single*", .mnemonics = "ld1 ld2 ld3 ld4 ld1r ld2r ld3r ld4r"},
	{"STn_single*", .mnemonics = "st1 st2 st3 st4"},
	{"MOVI", .mnemonics = "movi mvni orr bic fmov"},
	{"FCCMP", .mnemonics = "fccmp fccmpe"},
	{"FCCMP_h", .mnemonics = "fccmp fccmpe"},
	{.rows = NULL},
};
