/* SPDX-License-Identifier: MIT */
/*
 * What the differential test must know of the SIMD and floating-point rows: which need an address, which the oracle
 * lacks, and where it is known to be wrong. All of the latter agree with the Arm ARM, and, but for the first two, with
 * qemu-aarch64 7.2.
 */
#include "harness.h"

static unsigned rn(uint32_t insn)
{
	return insn >> 5 & 31;
}

/* The oracle sign-extends the scalar halfword into bits 31:16, which must be zero: no negative results. */
static void not_negative(struct state *s, uint32_t insn)
{
	s->v[rn(insn)].h[0] &= 0x7fff;
}

/* The oracle says that a flushed denormal was converted exactly; FPToFixedJS() says not. */
static void no_flush_to_zero(struct state *s, uint32_t insn)
{
	s->fpcr &= ~(1u << 24);
}

static const char upper_half[] = "it accumulates the exceptions of the upper half of 64-bit vectors, too";
static const char lacks[] = "it does not have the instruction";

const struct rule rules_fp[] = {
	{.rows = "LDn_*", .prepare = aim},
	{.rows = "STn_*", .prepare = aim},
	{.rows = "FCVTZS_sf_h", .prepare = not_negative},
	{.rows = "FJCVTZS", .prepare = no_flush_to_zero},
	{.rows = "FCMLA_ve", .unicorn = upper_half},
	{.rows = "USDOT_v*", .unicorn = lacks},
	{.rows = "SUDOT_ve", .unicorn = lacks},
	{.rows = "*MMLA_v", .unicorn = lacks},
	{.rows = "BFCVT*", .unicorn = lacks},
	{.rows = "BFDOT*", .unicorn = lacks},
	{.rows = "BFML*", .unicorn = lacks},
	{.rows = "BFMMLA", .unicorn = lacks},
	{.rows = NULL},
};
