/* SPDX-License-Identifier: MIT */
/*
 * Guest debugging: KVM_SET_GUEST_DEBUG, KVM_EXIT_DEBUG (api.rst 4.87, 5), and the state that makes a single step be reported
 * exactly once.
 *
 * The step itself is the architecture's state machine in the PE (Arm ARM DDI 0487, "Software Step exceptions"), on
 * PSTATE.SS, called P here. While the host steps, two more variables belong to the vcpu:
 *   G  the guest's own PSTATE.SS, kept aside from debug_load to debug_put
 *   H  an instruction is done and not yet reported, kept from debug_put to debug_load
 * An emulated instruction is counted by vcpu_skip_instr, which clears P as the hardware would have; so the report follows from
 * the state machine, whatever happens in between.
 */
#include <errno.h>
#include <string.h>

#include "core.h"

/* MDSCR_EL1 */
#define MDSCR_SS (1ull << 0)
#define MDSCR_KDE (1ull << 13)
#define MDSCR_MDE (1ull << 15)
#define OSLSR_OSLK (1ull << 1)

enum { VALID_CONTROL = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW };

void vcpu_skip_instr(struct vcpu *vcpu)
{
	vcpu_assert(vcpu, !vcpu->pc_advance);
	vcpu->pc_advance = true;
}

int debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	struct vcpu_debug *d = &vcpu->debug;

	if (dbg->control & ~(uint32_t)VALID_CONTROL)
		return -EINVAL;
	cpu_code_changed(vcpu->cpu);
	if (!(dbg->control & KVM_GUESTDBG_ENABLE)) {
		d->control = 0;
		d->h = false;
		return 0;
	}
	d->control = dbg->control;
	if (dbg->control & KVM_GUESTDBG_USE_HW) {
		memcpy(d->regs.bcr, dbg->arch.dbg_bcr, sizeof(d->regs.bcr));
		memcpy(d->regs.bvr, dbg->arch.dbg_bvr, sizeof(d->regs.bvr));
		memcpy(d->regs.wcr, dbg->arch.dbg_wcr, sizeof(d->regs.wcr));
		memcpy(d->regs.wvr, dbg->arch.dbg_wvr, sizeof(d->regs.wvr));
	}
	return 0;
}

int debug_set_policy(struct vm *vm, uint64_t policy)
{
	if (policy & ~(uint64_t)DEBUG_POLICIES)
		return -EINVAL;
	atomic_store(&vm->priv->debug_policy, (uint32_t)policy);
	return 0;
}

static uint32_t policy_now(const struct vcpu *vcpu)
{
	uint32_t policy = atomic_load_explicit(&vcpu->vm->priv->debug_policy, memory_order_relaxed);

	if (lint_always)
		policy |= PAWL_DEBUG_LINT;
	if (!(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
		policy &= PAWL_DEBUG_EMULATE_MMIO | PAWL_DEBUG_LINT;
	return policy;
}

bool debug_holds_irqs(const struct vcpu *vcpu)
{
	return policy_now(vcpu) & PAWL_DEBUG_HOLD_IRQS;
}

/* What our own capability adds. */
static void apply_policy(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;
	struct cpu *cpu = vcpu->cpu;

	d->policy = policy_now(vcpu);
	cpu->el2.hold_irqs = d->policy & PAWL_DEBUG_HOLD_IRQS;
	cpu->el2.keep_monitor = d->policy & PAWL_DEBUG_KEEP_MONITOR;
	cpu->window.on = d->policy & PAWL_DEBUG_EMULATE_MMIO;
	d->monitor = cpu->el2.keep_monitor && cpu->env.excl.valid;
}

/* Who owns the debug hardware: the host if it debugs or the guest has set its OS lock, else the guest. */
void debug_update(struct vcpu *vcpu)
{
	const struct vcpu_debug *d = &vcpu->debug;
	struct cpu *cpu = vcpu->cpu;
	uint64_t mdscr = cpu->sys[CPU_MDSCR_EL1];

	if (d->control || (cpu->sys[CPU_OSLSR_EL1] & OSLSR_OSLK)) {
		mdscr &= ~(MDSCR_SS | MDSCR_KDE | MDSCR_MDE);
		if (d->control & KVM_GUESTDBG_SINGLESTEP)
			mdscr |= MDSCR_SS;
		if (d->control & KVM_GUESTDBG_USE_HW)
			mdscr |= MDSCR_KDE | MDSCR_MDE;
	}
	cpu->el2.mdscr = mdscr;
	cpu->el2.tde = d->control != 0;
	cpu->el2.dbg = d->control & KVM_GUESTDBG_USE_HW ? &d->regs : &cpu->dbg;
}

void debug_load(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;

	debug_update(vcpu);
	apply_policy(vcpu);
	if (d->control)
		cpu_code_changed(vcpu->cpu); /* a debugger puts breakpoints into memory while the vcpu is out */
	if (d->control & KVM_GUESTDBG_SINGLESTEP) {
		d->g = vcpu->cpu->pstate & PSR_SS;
		if (d->h)
			vcpu->cpu->pstate &= ~PSR_SS;
		else
			vcpu->cpu->pstate |= PSR_SS;
	}
}

void debug_put(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;

	if (d->control & KVM_GUESTDBG_SINGLESTEP) {
		d->h = !(vcpu->cpu->pstate & PSR_SS);
		if (d->g)
			vcpu->cpu->pstate |= PSR_SS;
		else
			vcpu->cpu->pstate &= ~PSR_SS;
	}
}

int debug_exit(struct vcpu *vcpu, uint64_t esr)
{
	struct kvm_run *run = vcpu->run;

	if (lint_on(vcpu) && ESR_EC(esr) == EC_STEP_LOWER)
		lint_step(vcpu, vcpu->cpu->env.pc - 4);
	run->exit_reason = KVM_EXIT_DEBUG;
	run->flags = KVM_DEBUG_ARCH_HSR_HIGH_VALID;
	run->debug.arch.hsr = (uint32_t)esr;
	run->debug.arch.hsr_high = (uint32_t)(esr >> 32);
	run->debug.arch.far = ESR_EC(esr) == EC_WATCHPT_LOWER ? vcpu->cpu->el2.far : 0;
	if (ESR_EC(esr) == EC_STEP_LOWER)
		vcpu->cpu->pstate |= PSR_SS; /* reported: nothing is owed any more */
	return EXIT_USER;
}
