/* SPDX-License-Identifier: MIT */
/* Rows 17 to 20 and 58: system registers that trap. */
#include "step.h"

TEST(row_17_a_trapped_register_is_emulated_and_reported_in_the_same_run)
{
	static const struct {
		const char *text;
		uint32_t insn;
		unsigned flags;
	} rows[] = {
		{"mrs actlr_el1", 0xd5381020 /* mrs x0, actlr_el1 */, 0},
		{"msr actlr_el1", 0xd5181020 /* msr actlr_el1, x0 */, 0},
		{"mrs id_aa64pfr0_el1", 0xd5380400 /* mrs x0, id_aa64pfr0_el1 */, 0},
		{"mrs pmcr_el0", 0xd53b9c00 /* mrs x0, pmcr_el0 */, WITH_PMU},
		{"msr pmcr_el0", 0xd51b9c03 /* msr pmcr_el0, x3 */, WITH_PMU},
		{"mrs pmccntr_el0", 0xd53b9d00 /* mrs x0, pmccntr_el0 */, WITH_PMU},
		{"msr pmcntenset_el0", 0xd51b9c23 /* msr pmcntenset_el0, x3 */, WITH_PMU},
		{"msr pmselr_el0", 0xd51b9cbf /* msr pmselr_el0, xzr */, WITH_PMU},
		{"mrs pmceid0_el0", 0xd53b9cc0 /* mrs x0, pmceid0_el0 */, WITH_PMU},
		{"msr pmuserenr_el0", 0xd51b9e03 /* msr pmuserenr_el0, x3 */, WITH_PMU},
		{"msr pmintenset_el1", 0xd5189e23 /* msr pmintenset_el1, x3 */, WITH_PMU},
		{"msr oslar_el1", 0xd5101083 /* msr oslar_el1, x3 */, 0},
		{"mrs oslsr_el1", 0xd5301180 /* mrs x0, oslsr_el1 */, 0},
		{"msr osdlr_el1", 0xd5101383 /* msr osdlr_el1, x3 */, 0},
		{"mrs osdlr_el1", 0xd5301380 /* mrs x0, osdlr_el1 */, 0},
		{"msr mdscr_el1", 0xd5100243 /* msr mdscr_el1, x3 */, 0},
		{"mrs mdscr_el1", 0xd5300240 /* mrs x0, mdscr_el1 */, 0},
		{"msr dbgbvr0_el1", 0xd5100083 /* msr dbgbvr0_el1, x3 */, 0},
		{"mrs dbgbcr0_el1", 0xd53000a0 /* mrs x0, dbgbcr0_el1 */, 0},
		{"msr dbgwvr1_el1", 0xd51001c3 /* msr dbgwvr1_el1, x3 */, 0},
		{"mrs dbgwcr1_el1", 0xd53001e0 /* mrs x0, dbgwcr1_el1 */, 0},
		{"mrs mdccsr_el0", 0xd5330100 /* mrs x0, mdccsr_el0 */, 0},
		{"mrs dbgauthstatus_el1", 0xd5307ec0 /* mrs x0, dbgauthstatus_el1 */, 0},
		{"mrs mdrar_el1", 0xd5301000 /* mrs x0, mdrar_el1 */, 0},
		{"msr icc_sgi1r_el1", 0xd518cba3 /* msr icc_sgi1r_el1, x3 */, 0},
		{"msr icc_asgi1r_el1", 0xd518cbc3 /* msr icc_asgi1r_el1, x3 */, 0},
		{"msr icc_sgi0r_el1", 0xd518cbe3 /* msr icc_sgi0r_el1, x3 */, 0},
		{"mrs lorid_el1", 0xd538a4e0 /* mrs x0, lorid_el1 */, 0},
		{"msr lorc_el1", 0xd518a463 /* msr lorc_el1, x3 */, 0},
		{"mrs lorsa_el1", 0xd538a400 /* mrs x0, lorsa_el1 */, 0},
		{"dc isw", 0xd508765f /* dc isw, xzr */, 0},
		{"dc csw", 0xd5087a5f /* dc csw, xzr */, 0},
		{"dc cisw", 0xd5087e5f /* dc cisw, xzr */, 0},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(rows[i].flags, rows[i].insn);
		step_skipped(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
	variant("a value written comes back");
	guest(0xd5100183 /* msr dbgbvr1_el1, x3 */, 0xd5300180 /* mrs x0, dbgbvr1_el1 */, NOP);
	set_reg(X(3), 0x40001230);
	debug(STEP);
	step_skipped(ENTRY + 4);
	step_skipped(ENTRY + 8);
	says(get_reg(X(0)), 0x40001230, "x0 at the report");
}

TEST(row_18_an_id_register_allocated_or_not_reads_and_is_reported)
{
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t id; /* 0: reads as 0 */
	} rows[] = {
		{"id_aa64mmfr0_el1", 0xd5380700 /* mrs x0, id_aa64mmfr0_el1 */, SYS(3, 0, 0, 7, 0)},
		{"id_aa64isar0_el1", 0xd5380600 /* mrs x0, id_aa64isar0_el1 */, SYS(3, 0, 0, 6, 0)},
		{"id_aa64dfr0_el1", 0xd5380500 /* mrs x0, id_aa64dfr0_el1 */, SYS(3, 0, 0, 5, 0)},
		{"id_aa64pfr1_el1", 0xd5380420 /* mrs x0, id_aa64pfr1_el1 */, SYS(3, 0, 0, 4, 1)},
		{"unallocated s3_0_c0_c7_7", 0xd53807e0 /* mrs x0, s3_0_c0_c7_7 */, 0},
		{"unallocated s3_0_c0_c4_6", 0xd53804c0 /* mrs x0, s3_0_c0_c4_6 */, 0},
		{"unallocated s3_0_c0_c6_7", 0xd53806e0 /* mrs x0, s3_0_c0_c6_7 */, 0},
		{"unallocated s3_0_c0_c3_7", 0xd53803e0 /* mrs x0, s3_0_c0_c3_7 */, 0},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		set_reg(X(0), 0x77);
		step_skipped(ENTRY + 4);
		says(get_reg(X(0)), rows[i].id ? get_reg(rows[i].id) : 0, "x0, the value the client sees too,");
	}
}

TEST(row_19_a_register_that_is_not_there_is_undefined_and_reported_at_the_vector)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"msr midr", 0xd5180000 /* msr s3_0_c0_c0_0, x0 */},
		{"msr mpidr", 0xd51800a0 /* msr s3_0_c0_c0_5, x0 */},
		{"msr id_aa64pfr0_el1", 0xd5180400 /* msr s3_0_c0_c4_0, x0 */},
		{"mrs oslar_el1", 0xd5301080 /* mrs x0, s2_0_c1_c0_4 */},
		{"msr oslsr_el1", 0xd5101180 /* msr s2_0_c1_c1_4, x0 */},
		{"implementation defined", 0xd538ffe0 /* mrs x0, s3_0_c15_c15_7 */},
		{"implementation defined, write", 0xd51fb000 /* msr s3_7_c11_c0_0, x0 */},
		{"pmcr_el0 without a PMU", 0xd53b9c00 /* mrs x0, pmcr_el0 */},
		{"sctlr_el2", 0xd53c1000 /* mrs x0, sctlr_el2 */},
		{"scr_el3", 0xd53e1100 /* mrs x0, scr_el3 */},
		{"tpidr2_el0", 0xd53bd0a0 /* mrs x0, s3_3_c13_c0_5 */},
		{"a breakpoint that is not implemented", 0xd5100f83 /* msr dbgbvr15_el1, x3 */},
		{"a watchpoint that is not implemented", 0xd5300fe0 /* mrs x0, dbgwcr15_el1 */},
		{"msr cntpct_el0", 0xd51be020 /* msr s3_3_c14_c0_1, x0 */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		step_vector(EL1H_VECTOR);
		says(get_reg(ESR_EL1), 0x02000000, "ESR_EL1");
		says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
		says(get_reg(SPSR_EL1) >> 21 & 1, 1, "SPSR_EL1.SS");
		step_executed(VECTORS + EL1H_VECTOR + 4);
	}
	variant("an id register from EL0");
	stepping(0, NOP);
	put_words(EL0_CODE, (const uint32_t[]){0xd5380700 /* mrs x0, id_aa64mmfr0_el1 */}, 1);
	enter_el0();
	step_vector(EL0H_VECTOR);
	if (get_reg(ESR_EL1) >> 26 != 0x18)
		says(get_reg(ESR_EL1), 0x02000000, "ESR_EL1");
	says(get_reg(ELR_EL1), EL0_CODE, "ELR_EL1");
}

TEST(row_20_a_register_emulated_next_to_the_hardware_is_one_step)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"mrs cntp_ctl_el0", 0xd53be220 /* mrs x0, cntp_ctl_el0 */},
		{"msr cntp_cval_el0", 0xd51be243 /* msr cntp_cval_el0, x3 */},
		{"mrs cntp_cval_el0", 0xd53be240 /* mrs x0, cntp_cval_el0 */},
		{"msr cntp_tval_el0", 0xd51be203 /* msr cntp_tval_el0, x3 */},
		{"mrs cntpct_el0", 0xd53be020 /* mrs x0, cntpct_el0 */},
		{"mrs icc_pmr_el1", 0xd5384600 /* mrs x0, s3_0_c4_c6_0 */},
		{"mrs icc_iar1_el1", 0xd538cc00 /* mrs x0, s3_0_c12_c12_0 */},
		{"msr icc_igrpen1_el1", 0xd518cce3 /* msr s3_0_c12_c12_7, x3 */},
		{"mrs icc_ctlr_el1", 0xd538cc80 /* mrs x0, s3_0_c12_c12_4 */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t hsr;

		variant(rows[i].text);
		stepping(0, rows[i].insn);
		expect_exit(KVM_EXIT_DEBUG);
		hsr = m.run->debug.arch.hsr;
		if (hsr != HSR_EXECUTED) /* whether it traps is the host's choice */
			says(hsr, HSR_PENDING, "ESR of the report");
		expect_pc(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
}

TEST(row_58_the_guest_cannot_disturb_the_hosts_steps)
{
	variant("masks, barriers, MDSCR_EL1, OSLAR_EL1");
	guest(0xd5034fff /* msr daifclr, #15 */, 0xd5033fdf /* isb */, 0xd5034fdf /* msr daifset, #15 */,
	      0xd510025f /* msr mdscr_el1, xzr */, 0xd5101083 /* msr oslar_el1, x3 */, 0x91000400 /* add x0, x0, #1 */,
	      0xd510109f /* msr oslar_el1, xzr */, 0xd5100244 /* msr mdscr_el1, x4 */, 0xd50348ff /* msr daifclr, #8 */,
	      0x91000400 /* add x0, x0, #1 */);
	set_reg(X(3), 1);
	set_reg(X(4), 1 | 1 << 13 | 1 << 15);
	debug(STEP);
	step_executed(ENTRY + 0x04);
	step_executed(ENTRY + 0x08);
	step_executed(ENTRY + 0x0c);
	step_skipped(ENTRY + 0x10);
	step_skipped(ENTRY + 0x14);
	step_executed(ENTRY + 0x18);
	step_skipped(ENTRY + 0x1c);
	step_skipped(ENTRY + 0x20);
	step_executed(ENTRY + 0x24);
	step_executed(ENTRY + 0x28);
	says(get_reg(X(0)), 2, "the count of executed additions");
	says(get_reg(MDSCR_EL1), 1 | 1 << 13 | 1 << 15, "the guest's MDSCR_EL1");
}
