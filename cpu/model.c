/* SPDX-License-Identifier: MIT */
/*
 * The default model: an Armv8.2 core of the neoverse-n1 class, AArch64 only, as a guest of a hypervisor sees it.
 * Feature set of the translator and ID register values say the same. Arm ARM DDI 0487, "AArch64 System register
 * descriptions".
 */
#include "internal.h"

#define F(name) (1ull << ISA_##name)

void model_init(struct cpu *cpu)
{
	cpu->features = F(BASE) | F(FP) | F(FP16) | F(LSE) | F(RDM) | F(DOTPROD) | F(RCPC) | F(CRC32) | F(AES) |
			F(PMULL) | F(SHA1) | F(SHA256) | F(SSBS) | F(DPB) | F(LOR) | F(PAN) | F(UAO);

	cpu->sys[CPU_MIDR_EL1] = 0x414fd0c1; /* r4p1 */
	cpu->sys[CPU_MPIDR_EL1] = 0x80000000;
	/* 64-byte lines; IDC: data caches need no cleaning for fetches; DIC clear: instruction caches need IC IVAU. */
	cpu->sys[CPU_CTR_EL0] = 0x9444c004;
	cpu->sys[CPU_CLIDR_EL1] = 0x02000023; /* L1 split, L2 unified; LoC 2, LoUU 0 */
	cpu->sys[CPU_DCZID_EL0] = 4;	      /* 64 bytes */

	/* PFR0: EL0, EL1 AArch64 only; FP and AdvSIMD with half precision; RAS; CSV2, CSV3 */
	cpu->id[CPU_ID(4, 0)] = 0x1100000010110011;
	/* PFR1: SSBS with its MSR */
	cpu->id[CPU_ID(4, 1)] = 0x20;
	/* DFR0: Armv8.2 debug, 6 breakpoints of which 2 compare contexts, 4 watchpoints; no PMU of its own */
	cpu->id[CPU_ID(5, 0)] = 0x10305008;
	/* ISAR0: DotProd, RDM, LSE, CRC32, SHA256, SHA1, AES with PMULL */
	cpu->id[CPU_ID(6, 0)] = 0x0000100010211120;
	/* ISAR1: LRCPC, DPB */
	cpu->id[CPU_ID(6, 1)] = 0x0000000000100001;
	/* MMFR0: 48-bit PA, 16-bit ASID, all granules, little endian only */
	cpu->id[CPU_ID(7, 0)] = 0x0000000000100025;
	/* MMFR1: XNX, PAN with AT S1E1RP, LOR, HPD, VMID16, hardware AF and dirty state */
	cpu->id[CPU_ID(7, 1)] = 0x0000000010211022;
	/* MMFR2: IDS (EL0 reads of the ID space report EC 0x18), IESB, UAO, CnP */
	cpu->id[CPU_ID(7, 2)] = 0x0000001000001011;
}
