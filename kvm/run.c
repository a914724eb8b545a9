/* SPDX-License-Identifier: MIT */
/*
 * KVM_RUN (api.rst 4.10): complete what is owed, arm debug, run the guest, handle its exits until the client is needed. The order
 * of the steps is ABI: it decides what an immediate exit, a signal or a debugger finds.
 */
#include <errno.h>

#include "core.h"
#include "trace.h"

static int run_guest(struct vcpu *vcpu)
{
	int ret;

	if (vcpu->sigmask_set) {
		if (request_masked_signal(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			return -EINTR;
		}
		request_arm_tick(vcpu);
	}
	for (;;) {
		if (__builtin_expect(request_pending(vcpu), 0)) {
			ret = request_handle(vcpu);
			if (ret != RESUME_GUEST)
				return ret;
			if (request_pending(vcpu)) /* what ended a wait: a vcpu that is off must not run now */
				continue;
		}
		if (__builtin_expect(vcpu->ring != NULL, 0) && dirty_ring_is_full(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
			return EXIT_USER;
		}
		if (__builtin_expect(vcpu->pmu_busy, 0))
			pmu_update(vcpu);
		if (!vcpu->vm->vgic && timer_update_user_level(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			return -EINTR;
		}
		vcpu_commit_pc(vcpu);
		stat_add(vcpu, VCPU_STAT_EXITS, 1);
		if (cpu_run(vcpu->cpu) == CPU_EXIT_TRAP) {
			ret = exit_handle(vcpu);
			if (ret != RESUME_GUEST)
				return ret;
		} else {
			stat_add(vcpu, VCPU_STAT_EXIT_KICK, 1);
			if (vcpu->pvtime.set)
				pvtime_record(vcpu);
		}
	}
}

int vcpu_run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	if (__builtin_expect(!vcpu->has_run || !vcpu->initialized, 0)) {
		ret = vcpu_prepare_run(vcpu);
		if (ret)
			return ret;
	}
	request_enter(vcpu);
	if (request_immediate_exit(vcpu))
		ret = -EINTR;
	else
		ret = 0;
	if (run->exit_reason == KVM_EXIT_MMIO && vcpu->mmio.pending)
		mmio_complete(vcpu);
	if (vcpu->pvtime.set)
		pvtime_record(vcpu);
	debug_load(vcpu);
	if (ret == 0) {
		run->exit_reason = KVM_EXIT_UNKNOWN;
		run->flags = 0;
		ret = run_guest(vcpu);
	}
	vcpu_commit_pc(vcpu);
	debug_put(vcpu);
	request_leave();
	trace_return(vcpu, ret);
	return ret;
}
