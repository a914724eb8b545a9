/* SPDX-License-Identifier: MIT */
/*
 * Exits to EL2: exception class -> handler (Arm ARM DDI 0487, "ESR_EL2.EC"). A handler returns RESUME_GUEST, EXIT_USER
 * with run->exit_reason set, or a negative errno.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "trace.h"

typedef int exit_fn(struct vcpu *vcpu, uint64_t esr);

/* WFIT, WFET: the virtual count at which they are over; false: no such register. */
static bool wfx_timeout(const struct vcpu *vcpu, uint64_t esr, uint64_t *count)
{
	if (!(ESR_ISS(esr) & ISS_WFX_TIMEOUT) || !(ESR_ISS(esr) & ISS_WFX_RV))
		return false;
	*count = vcpu_get_reg(vcpu, ISS_WFX_RN(esr));
	return true;
}

static int exit_wfx(struct vcpu *vcpu, uint64_t esr)
{
	uint64_t timeout, now = cpu_group_counter(vcpu->vm->group) - cpu_group_offset(vcpu->vm->group, CPU_TIMER_V);
	bool limited = wfx_timeout(vcpu, esr, &timeout);

	vcpu_skip_instr(vcpu);
	if (limited && now >= timeout)
		return RESUME_GUEST;
	stat_add(vcpu, ESR_ISS(esr) & ISS_WFX_WFE ? VCPU_STAT_WFE_EXIT : VCPU_STAT_WFI_EXIT, 1);
	if (!(ESR_ISS(esr) & ISS_WFX_WFE))
		return limited ? vcpu_wait_with_timeout(vcpu, timeout - now) : vcpu_wait_for_interrupt(vcpu);
	sched_yield(); /* the guest spins on what another vcpu has to do */
	return RESUME_GUEST;
}

static int exit_hvc(struct vcpu *vcpu, uint64_t esr)
{
	stat_add(vcpu, VCPU_STAT_HVC_EXIT, 1);
	return hypercall_handle(vcpu, false); /* PC is past it: HVC's own preferred return */
}

static int exit_smc(struct vcpu *vcpu, uint64_t esr)
{
	vcpu_skip_instr(vcpu);
	if (ESR_ISS(esr) & 0xffff) {
		vcpu_set_reg(vcpu, 0, ~0ull); /* SMCCC NOT_SUPPORTED */
		return RESUME_GUEST;
	}
	return hypercall_handle(vcpu, true);
}

static int exit_undef(struct vcpu *vcpu, uint64_t esr)
{
	inject_undef(vcpu);
	return RESUME_GUEST;
}

static exit_fn *const handlers[64] = {
	[EC_WFX] = exit_wfx,
	[EC_HVC64] = exit_hvc,
	[EC_SMC64] = exit_smc,
	[EC_SYS64] = sysreg_trap,
	[EC_SVE] = exit_undef,
	[EC_IABT_LOWER] = abort_handle,
	[EC_DABT_LOWER] = abort_handle,
	[EC_BREAKPT_LOWER] = debug_exit,
	[EC_STEP_LOWER] = debug_exit,
	[EC_WATCHPT_LOWER] = debug_exit,
	[EC_BKPT32] = debug_exit,
	[EC_BRK64] = debug_exit,
};

int exit_handle(struct vcpu *vcpu)
{
	uint64_t esr = vcpu->cpu->el2.esr;
	exit_fn *handler = handlers[ESR_EC(esr)];

	stat_add(vcpu, VCPU_STAT_EXIT_EC + ESR_EC(esr), 1);
	trace_trap(vcpu);
	return handler ? handler(vcpu, esr) : exit_undef(vcpu, esr);
}

int exit_system_event(struct vcpu *vcpu, uint32_t type, unsigned ndata, uint64_t flags)
{
	struct kvm_run *run = vcpu->run;

	memset(&run->system_event, 0, sizeof(run->system_event));
	run->system_event.type = type;
	run->system_event.ndata = ndata;
	run->system_event.flags = flags;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	return EXIT_USER;
}

void vcpu_assert_failed(struct vcpu *vcpu, const char *cond, const char *file, int line)
{
	fprintf(stderr, "pawl: %s:%d: %s does not hold (vcpu %u, PC %#llx, PSTATE %#x, last ESR %#llx)\n", file, line,
		cond, vcpu->id, (unsigned long long)vcpu->cpu->env.pc, vcpu->cpu->pstate,
		(unsigned long long)vcpu->cpu->el2.esr);
	abort();
}
