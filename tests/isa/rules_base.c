/* SPDX-License-Identifier: MIT */
/*
 * What the differential test must know of the base instructions: which need an address, which words are CONSTRAINED
 * UNPREDICTABLE, and which rows an oracle cannot be asked about (they have tests of their own in system_test.c).
 */
#include "harness.h"

static unsigned rt(uint32_t insn)
{
	return insn & 31;
}
static unsigned rn(uint32_t insn)
{
	return insn >> 5 & 31;
}
static unsigned rt2(uint32_t insn)
{
	return insn >> 10 & 31;
}
static unsigned rs(uint32_t insn)
{
	return insn >> 16 & 31;
}
static bool is_vector(uint32_t insn)
{
	return insn >> 26 & 1;
}

static bool base_among_transferred(uint32_t insn)
{
	return !is_vector(insn) && rn(insn) != 31 && rt(insn) == rn(insn);
}

static bool pair_writeback(uint32_t insn)
{
	bool load = insn >> 22 & 1;

	if (load && rt(insn) == rt2(insn))
		return true;
	return !is_vector(insn) && rn(insn) != 31 && (rt(insn) == rn(insn) || rt2(insn) == rn(insn));
}

static bool pair_same(uint32_t insn)
{
	return (insn >> 22 & 1) && rt(insn) == rt2(insn);
}

static bool store_exclusive(uint32_t insn)
{
	bool pair = insn >> 21 & 1;

	return rs(insn) == rt(insn) || (pair && rs(insn) == rt2(insn)) || (rs(insn) == rn(insn) && rn(insn) != 31);
}

static bool load_exclusive_pair(uint32_t insn)
{
	return rt(insn) == rt2(insn);
}

/* A store-exclusive mostly follows its load-exclusive, into the zero register; sometimes nothing, so that it fails. */
static uint32_t load_exclusive_first(uint32_t insn)
{
	uint32_t load = (insn & ~(31u << 16 | 1u << 15)) | 1u << 22 | 31u << 16 | 31;

	if (insn >> 21 & 1)
		load |= 31u << 10;
	return rnd() % 4 ? load : 0xd503305f; /* CLREX */
}

/* Let the comparison succeed every other time. The oracle gets a copy of the memory before it runs. */
static void aim_cas(struct state *s, uint32_t insn)
{
	uint8_t *ours;

	aim_aligned(s, insn);
	if (rnd() & 1)
		return;
	ours = engine_data + (s->x[rn(insn)] - DATA);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t v = rs(insn) == 31 ? 0 : s->x[rs(insn)];
		uint64_t v2 = rs(insn) >= 30 ? 0 : s->x[rs(insn) + 1];
		bool pair = !(insn >> 23 & 1), wide = pair ? insn >> 30 & 1 : 1;

		ours[i] = (uint8_t)(v >> (8 * i));
		if (pair && wide)
			ours[i + 8] = (uint8_t)(v2 >> (8 * i));
		else if (pair && i < 4)
			ours[i + 4] = (uint8_t)(v2 >> (8 * i));
		if (pair && !wide && i == 3)
			break;
	}
}

static const char system_test[] = "handed to the PE: system_test.c";
static const char by_hand[] = "neither oracle has it: cssc_test.c";
static const char pauth_test[] = "keys and algorithm are the PE's: tests/cpu/pauth.c, with Unicorn";
static const char minmax[] = "it takes signed for unsigned below 64 bits (LDSMAX ff and 01, bytes, must be 01)";
static const char alignment[] = "it checks alignment, which is the PE's business here: tests/cpu/mmu.c";
static const char tagged[] = "in user mode TCR_EL1.TBI0 is 1, and the tag of a branch target goes";

const struct rule rules_base[] = {
	{.rows = "UDF", .skip = NULL},
	{.rows = "SVC", .skip = system_test},
	{.rows = "HVC", .skip = system_test},
	{.rows = "SMC", .skip = system_test},
	{.rows = "BRK", .skip = system_test},
	{.rows = "HLT", .skip = system_test},
	{.rows = "ERET", .skip = system_test},
	{.rows = "WF*", .skip = system_test},
	{.rows = "SYS", .skip = system_test},
	{.rows = "SYSL", .skip = system_test},
	{.rows = "MSR_*", .skip = system_test},
	{.rows = "MRS", .skip = system_test},
	{.rows = "ESB", .skip = "a NOP where no SError is pending: tests/cpu/interrupt.c"},
	{.rows = "HINT", .skip = "the oracle has PAuth: some hints are not NOPs there"},
	{.rows = "*PAC*", .skip = pauth_test},
	{.rows = "AUT*", .skip = pauth_test},
	{.rows = "BRA", .skip = pauth_test},
	{.rows = "BLRA", .skip = pauth_test},
	{.rows = "RETA", .skip = pauth_test},
	{.rows = "ERETA", .skip = pauth_test},
	{.rows = "LDRA", .skip = pauth_test},
	{.rows = "?M[AI][XN]_[ir]*", .skip = by_hand},
	{.rows = "C[TN][ZT]", .skip = by_hand},
	{.rows = "ABS", .skip = by_hand},
	{.rows = "BC_cond", .skip = by_hand},
	{.rows = "DSB_nXS", .skip = "neither oracle has FEAT_XS, and it is a DSB"},
	{.rows = "STXR", .prepare = aim_aligned, .unpredictable = store_exclusive, .before = load_exclusive_first},
	{.rows = "STXP", .prepare = aim_aligned, .unpredictable = store_exclusive, .before = load_exclusive_first},
	{.rows = "LDXR", .prepare = aim_aligned},
	{.rows = "LDXP", .prepare = aim_aligned, .unpredictable = load_exclusive_pair},
	{.rows = "CASP", .prepare = aim_cas, .qemu = "with Rs = 30 it writes SP instead of nothing"},
	{.rows = "CAS", .prepare = aim_cas},
	{.rows = "LDAR", .prepare = aim_aligned},
	{.rows = "STLR", .prepare = aim_aligned},
	{.rows = "LDLAR", .prepare = aim_aligned},
	{.rows = "STLLR", .prepare = aim_aligned},
	{.rows = "LDAPR", .prepare = aim_aligned},
	{.rows = "LDAPUR*", .prepare = aim, .qemu = alignment},
	{.rows = "STLUR*", .prepare = aim, .qemu = alignment},
	{.rows = "BR", .qemu = tagged},
	{.rows = "BLR", .qemu = tagged},
	{.rows = "RET", .qemu = tagged},
	{.rows = "LDADD", .prepare = aim_aligned},
	{.rows = "LDCLR", .prepare = aim_aligned},
	{.rows = "LDEOR", .prepare = aim_aligned},
	{.rows = "LDSET", .prepare = aim_aligned},
	{.rows = "LDSM*", .prepare = aim_aligned, .unicorn = minmax},
	{.rows = "LDUM*", .prepare = aim_aligned, .unicorn = minmax},
	{.rows = "SWP", .prepare = aim_aligned},
	{.rows = "*_lit*"},
	{.rows = "[LS][DT]P*_p*", .prepare = aim, .unpredictable = pair_writeback},
	{.rows = "LDPSW_p*", .prepare = aim, .unpredictable = pair_writeback},
	{.rows = "[LS][DT]P*", .prepare = aim, .unpredictable = pair_same},
	{.rows = "[LS][DT]NP*", .prepare = aim, .unpredictable = pair_same},
	{.rows = "LD*_p*", .prepare = aim, .unpredictable = base_among_transferred},
	{.rows = "ST*_p*", .prepare = aim, .unpredictable = base_among_transferred},
	{.rows = "LDR*", .prepare = aim},
	{.rows = "STR*", .prepare = aim},
	{.rows = "LDU*", .prepare = aim},
	{.rows = "STU*", .prepare = aim},
	{.rows = "LDT*", .prepare = aim},
	{.rows = "STT*", .prepare = aim},
	{.rows = NULL},
};
