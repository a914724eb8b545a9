/* SPDX-License-Identifier: MIT */
/*
 * The edge to EL2: recording the syndrome of an exit, and what an instruction that ends a block with IR_EXIT leads to.
 * Arm ARM DDI 0487, "Traps and enables" of EL2 and the pages of the exception-generating instructions.
 */
#include "internal.h"

const char *cpu_insn_name(uint32_t insn)
{
	return isa_name(insn);
}

int trap_el2(struct cpu *cpu, uint64_t esr)
{
	cpu->el2.esr = esr;
	cpu->priv->outcome = OUTCOME_EXCEPTION;
	attend(cpu, ATTN_EXIT);
	return 1;
}

int trap_el2_abort(struct cpu *cpu, uint64_t esr, uint64_t far, ipa_t ipa)
{
	cpu->el2.far = far;
	cpu->el2.ipa = ipa;
	cpu->el2.hpfar = ipa >> 12 << 4;
	return trap_el2(cpu, esr);
}

/* ISS of the traps that carry a condition: AArch64 says "always". */
enum { ISS_CV_AL = 1 << 24 | 0xe << 20 };

static void trap_wfx(struct cpu *cpu, unsigned ti, unsigned rn)
{
	unsigned timeout = ti & ISS_WFX_TIMEOUT ? ISS_WFX_RV | rn << 5 : 0;
	uint64_t esr = ESR_MAKE(EC_WFX, ISS_CV_AL | timeout | ti);
	uint64_t sctlr = cpu->sys[CPU_SCTLR_EL1];
	bool wfe = ti & 1;

	if (cpu_is_el0(cpu) && !(sctlr & (wfe ? SCTLR_NTWE : SCTLR_NTWI))) {
		exception_sync(cpu, esr);
	} else if (wfe ? cpu->el2.twe : cpu->el2.twi) {
		trap_el2(cpu, esr);
	} else {
		retire(cpu); /* both are hints: waking up at once is allowed */
	}
}

void trap_exit(struct cpu *cpu)
{
	uint64_t imm = cpu->env.exit_imm & 0xffff;
	bool el0 = cpu_is_el0(cpu);

	cpu->priv->outcome = OUTCOME_EXCEPTION;
	switch ((enum ir_exit_reason)cpu->env.exit_reason) {
	case IR_EXIT_SVC:
		debug_ss_advance(cpu);
		cpu_take_sync(cpu, ESR_MAKE(EC_SVC64, imm), cpu->env.pc + 4);
		break;
	case IR_EXIT_HVC:
		if (el0) {
			exception_undef(cpu);
			break;
		}
		debug_ss_advance(cpu);
		cpu->env.pc += 4;
		trap_el2(cpu, ESR_MAKE(EC_HVC64, imm));
		break;
	case IR_EXIT_SMC: /* HCR_EL2.TSC: trapped, not executed */
		if (el0)
			exception_undef(cpu);
		else
			trap_el2(cpu, ESR_MAKE(EC_SMC64, imm));
		break;
	case IR_EXIT_BRK: debug_brk(cpu, (uint32_t)imm); break;
	case IR_EXIT_ERET:
		if (el0)
			exception_undef(cpu);
		else
			exception_return(cpu, (unsigned)imm);
		break;
	case IR_EXIT_WFI: trap_wfx(cpu, ISS_WFX_WFI, 0); break;
	case IR_EXIT_WFE: trap_wfx(cpu, ISS_WFX_WFE, 0); break;
	case IR_EXIT_WFIT: trap_wfx(cpu, ISS_WFX_WFIT, (unsigned)imm); break;
	case IR_EXIT_WFET: trap_wfx(cpu, ISS_WFX_WFET, (unsigned)imm); break;
	case IR_EXIT_FP_TRAP: exception_fp(cpu); break;
	case IR_EXIT_PC_ALIGN: cpu_take_abort(cpu, ESR_MAKE(EC_PC_ALIGN, 0), cpu->env.pc, cpu->env.pc); break;
	case IR_EXIT_IABORT: break; /* the next look-up fetches again */
	case IR_EXIT_STEPPED: cpu->priv->outcome = OUTCOME_RETIRED; break;
	case IR_EXIT_UNDEF:
	case IR_EXIT_HLT: /* halting debug is not there */
	default: exception_undef(cpu); break;
	}
}
