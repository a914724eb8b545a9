/* SPDX-License-Identifier: MIT */
/*
 * Exceptions that the hypervisor injects into EL1, and KVM_GET/SET_VCPU_EVENTS (api.rst 4.31, 4.32). Taken at once: registers
 * read right after show the guest in its vector, as since Linux 7.
 */
#include <errno.h>
#include <string.h>

#include "core.h"

static void take(struct vcpu *vcpu)
{
	/* The access that a KVM_EXIT_MMIO is owed for does not happen any more. */
	vcpu->mmio.pending = false;
	vcpu->cpu->window.n = 0;
	vcpu->pc_advance = false;
}

void inject_sync(struct vcpu *vcpu, uint64_t esr)
{
	take(vcpu);
	cpu_take_sync(vcpu->cpu, esr, vcpu->cpu->env.pc);
}

void inject_undef(struct vcpu *vcpu)
{
	inject_sync(vcpu, ESR_MAKE(EC_UNKNOWN, 0));
}

/* Synchronous external abort; fsc is FSC_EXTERNAL, or FSC_EXTERNAL_WALK with the level. */
void inject_abort(struct vcpu *vcpu, bool fetch, uint64_t far, unsigned fsc)
{
	bool lower = cpu_el(vcpu->cpu) == 0;
	unsigned ec = fetch ? (lower ? EC_IABT_LOWER : EC_IABT_CUR) : (lower ? EC_DABT_LOWER : EC_DABT_CUR);

	take(vcpu);
	cpu_take_abort(vcpu->cpu, ESR_MAKE(ec, fsc), far, vcpu->cpu->env.pc);
}

/* Arm ARM DDI 0487, "SError interrupt": taken at once if PSTATE.A is clear and no debugger holds it off, else it stays pending. */
void inject_serror(struct vcpu *vcpu, uint64_t iss)
{
	struct cpu *cpu = vcpu->cpu;

	cpu->el2.vsesr = iss;
	if ((cpu->pstate & PSR_A) || debug_holds_irqs(vcpu)) {
		atomic_fetch_or(&cpu->irq_in, CPU_SERROR);
		return;
	}
	take(vcpu);
	cpu_take_irq(cpu, CPU_SERROR);
}

int inject_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->exception.serror_pending = (atomic_load(&vcpu->cpu->irq_in) & CPU_SERROR) != 0;
	ev->exception.serror_has_esr = 1; /* FEAT_RAS */
	if (ev->exception.serror_pending)
		ev->exception.serror_esr = vcpu->cpu->el2.vsesr;
	return 0;
}

int inject_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	static const struct kvm_vcpu_events zero;

	if (memcmp(ev->exception.pad, zero.exception.pad, sizeof(zero.exception.pad)) ||
	    memcmp(ev->reserved, zero.reserved, sizeof(zero.reserved)))
		return -EINVAL;
	if (ev->exception.ext_dabt_pending)
		inject_abort(vcpu, false, vcpu->fault_far, FSC_EXTERNAL);
	if (!ev->exception.serror_pending)
		return 0;
	if (ev->exception.serror_has_esr && (ev->exception.serror_esr & ~0x1ffffffull))
		return -EINVAL;
	/* Without one the syndrome is of no format of the architecture's: IDS. */
	inject_serror(vcpu, ev->exception.serror_has_esr ? ev->exception.serror_esr : ISS_SERROR_IDS);
	return 0;
}
