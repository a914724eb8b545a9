/* SPDX-License-Identifier: MIT */
/*
 * Exceptions to EL1 and the return from them. Arm ARM DDI 0487, "Exception entry", "Exception return" and the
 * pseudocode AArch64.TakeException() and AArch64.ExceptionReturn(). Exceptions to EL2 are trap.c.
 */
#include "internal.h"

static bool uses_sp_el1(uint32_t pstate)
{
	return (pstate & PSR_MODE) == PSR_EL1H;
}

void exception_switch_sp(struct cpu *cpu, uint32_t new_pstate)
{
	unsigned from = uses_sp_el1(cpu->pstate), to = uses_sp_el1(new_pstate);
	uint32_t changed = cpu->pstate ^ new_pstate;

	if (unlikely(cpu->count.cycles))
		count_time(cpu);
	cpu->pstate = new_pstate;
	if (from != to) {
		cpu->sp_bank[from] = cpu->env.x[31];
		cpu->env.x[31] = cpu->sp_bank[to];
	}
	if (changed & PSR_UAO)
		tlb_unpriv_changed(cpu);
	if (changed & (PSR_MODE | PSR_PAN | PSR_IL | PSR_BTYPE))
		attend(cpu, ATTN_REGIME);
	attend(cpu, ATTN_IRQ);
}

uint64_t cpu_pstate(const struct cpu *cpu)
{
	return cpu->pstate | (ir_nzcv(&cpu->env) & PSR_NZCV);
}

void cpu_set_pstate(struct cpu *cpu, uint64_t spsr)
{
	ir_set_nzcv(&cpu->env, (uint32_t)spsr & PSR_NZCV);
	exception_switch_sp(cpu, (uint32_t)spsr & ~PSR_NZCV);
}

uint64_t cpu_sp(const struct cpu *cpu, unsigned el)
{
	return uses_sp_el1(cpu->pstate) == !!el ? cpu->env.x[31] : cpu->sp_bank[!!el];
}

void cpu_set_sp(struct cpu *cpu, unsigned el, uint64_t v)
{
	if (uses_sp_el1(cpu->pstate) == !!el)
		cpu->env.x[31] = v;
	else
		cpu->sp_bank[!!el] = v;
}

/* offset: of the vector within its group of four, 0x000 synchronous, 0x080 IRQ, 0x100 FIQ, 0x180 SError */
static void enter_el1(struct cpu *cpu, uint64_t ret, unsigned offset)
{
	uint64_t sctlr = cpu->sys[CPU_SCTLR_EL1];
	uint32_t pstate = cpu->pstate;

	cpu->sys[CPU_SPSR_EL1] = cpu_pstate(cpu);
	cpu->sys[CPU_ELR_EL1] = ret;
	offset += cpu_is_el0(cpu) ? 0x400 : uses_sp_el1(pstate) ? 0x200 : 0;

	pstate &= ~(PSR_MODE | PSR_SS | PSR_IL | PSR_UAO | PSR_SSBS | PSR_BTYPE);
	pstate |= PSR_EL1H | PSR_D | PSR_A | PSR_I | PSR_F;
	if (!(sctlr & SCTLR_SPAN) && cpu_has(cpu, ISA_PAN))
		pstate |= PSR_PAN;
	if ((sctlr & SCTLR_DSSBS) && cpu_has(cpu, ISA_SSBS))
		pstate |= PSR_SSBS;
	exception_switch_sp(cpu, pstate);
	cpu->env.excl.valid = 0;
	cpu->env.pc = (cpu->sys[CPU_VBAR_EL1] & ~0x7ffull) + offset;
	cpu->priv->step_isv = false;
	cpu->priv->outcome = OUTCOME_EXCEPTION;
}

void cpu_take_sync(struct cpu *cpu, uint64_t esr, uint64_t ret)
{
	cpu->sys[CPU_ESR_EL1] = esr;
	stat_inc(cpu, CPU_STAT_EL1_EC + ESR_EC(esr));
	enter_el1(cpu, ret, 0);
}

void cpu_take_abort(struct cpu *cpu, uint64_t esr, uint64_t far, uint64_t ret)
{
	cpu->sys[CPU_FAR_EL1] = far;
	cpu_take_sync(cpu, esr, ret);
}

void cpu_take_irq(struct cpu *cpu, uint32_t kind)
{
	stat_inc(cpu, CPU_STAT_EL1_IRQ + (kind == CPU_SERROR ? 2 : kind == CPU_FIQ));
	if (kind == CPU_SERROR) {
		cpu->sys[CPU_ESR_EL1] = ESR_MAKE(EC_SERROR, cpu->el2.vsesr & ISS_SERROR);
		enter_el1(cpu, cpu->env.pc, 0x180);
	} else {
		enter_el1(cpu, cpu->env.pc, kind == CPU_FIQ ? 0x100 : 0x080);
	}
}

static uint32_t unmasked(const struct cpu *cpu)
{
	uint32_t in = atomic_load_explicit(&((struct cpu *)cpu)->irq_in, memory_order_acquire), p = cpu->pstate;

	if (likely(!in) || cpu->el2.hold_irqs || cpu->window.n)
		return 0;
	return in & ((p & PSR_A ? 0 : CPU_SERROR) | (p & PSR_F ? 0 : CPU_FIQ) | (p & PSR_I ? 0 : CPU_IRQ));
}

bool exception_pending_irq(const struct cpu *cpu)
{
	return unmasked(cpu);
}

/* SError before FIQ before IRQ; the first one taken masks the others. */
void exception_take_irqs(struct cpu *cpu)
{
	uint32_t in = unmasked(cpu);

	if (in & CPU_SERROR) {
		atomic_fetch_and(&cpu->irq_in, ~CPU_SERROR); /* HCR_EL2.VSE clears when the virtual SError is taken */
		cpu_take_irq(cpu, CPU_SERROR);
	} else if (in & CPU_FIQ) {
		cpu_take_irq(cpu, CPU_FIQ);
	} else if (in & CPU_IRQ) {
		cpu_take_irq(cpu, CPU_IRQ);
	}
}

/*
 * AArch64.vESBOperation(): a virtual SError that is pending and masked is recorded in what EL1 reads as DISR_EL1 (VDISR_EL2),
 * and pending no longer.
 */
void exception_esb(struct cpu *cpu)
{
	attend(cpu, ATTN_IRQ);
	if (!(cpu->pstate & PSR_A) || !(atomic_fetch_and(&cpu->irq_in, ~CPU_SERROR) & CPU_SERROR))
		return;
	cpu->sys[CPU_DISR_EL1] = DISR_A | (cpu->el2.vsesr & ISS_SERROR);
}

int exception_sync(struct cpu *cpu, uint64_t esr)
{
	cpu_take_sync(cpu, esr, cpu->env.pc);
	return 1;
}

int exception_undef(struct cpu *cpu)
{
	return exception_sync(cpu, ESR_MAKE(EC_UNKNOWN, 0));
}

int exception_fp(struct cpu *cpu)
{
	return exception_sync(cpu, ESR_MAKE(EC_FP_ACCESS, 1 << 24 | 0xe << 20));
}

/* ---- return */

static bool illegal_return(uint32_t spsr)
{
	uint32_t mode = spsr & PSR_MODE;

	return mode != PSR_EL0T && mode != PSR_EL1T && mode != PSR_EL1H;
}

/* Bits of SPSR that a return gives to PSTATE; those of features that are not there are RES0. */
static uint32_t returned_bits(const struct cpu *cpu)
{
	return PSR_D | PSR_A | PSR_I | PSR_F | (cpu_has(cpu, ISA_BTI) ? PSR_BTYPE : 0) |
	       (cpu_has(cpu, ISA_PAN) ? PSR_PAN : 0) | (cpu_has(cpu, ISA_UAO) ? PSR_UAO : 0) |
	       (cpu_has(cpu, ISA_DIT) ? PSR_DIT : 0) | (cpu_has(cpu, ISA_SSBS) ? PSR_SSBS : 0);
}

/* auth: 0, or 1 plus the instruction key that ELR_EL1 is checked with first */
void exception_return(struct cpu *cpu, unsigned auth)
{
	uint32_t spsr = (uint32_t)cpu->sys[CPU_SPSR_EL1], pstate = spsr & returned_bits(cpu);
	uint64_t target = cpu->sys[CPU_ELR_EL1];
	bool illegal = illegal_return(spsr), source = debug_enabled(cpu);
	unsigned el = illegal ? 1 : spsr >> 2 & 3;

	if (auth &&
	    pauth(&cpu->env, IR_PAUTH(IR_PAUTH_CHECK, auth - 1) | IR_PAUTH_COMBINED, target, cpu->env.x[31], &target))
		return;

	pstate |= illegal ? (cpu->pstate & PSR_MODE) | PSR_IL : spsr & (PSR_MODE | PSR_IL);
	/* DebugExceptionReturnSS(): SPSR.SS counts only on the way from where no step can be taken to where one can. */
	if ((cpu->el2.mdscr & MDSCR_SS) && !source && debug_enabled_from(cpu, el, spsr & PSR_D))
		pstate |= spsr & PSR_SS;
	ir_set_nzcv(&cpu->env, spsr & PSR_NZCV);
	exception_switch_sp(cpu, pstate);
	cpu->env.excl.valid = 0;
	cpu->env.pc = illegal ? target : stage1_branch_addr(cpu, target);
	cpu->priv->outcome = OUTCOME_EXCEPTION; /* PSTATE.SS is as it has to be: no advance */
	cpu->priv->step_isv = source;		/* else no instruction was stepped on the way to active-pending */
}
