/* SPDX-License-Identifier: MIT */
/*
 * Stage 2 aborts: an access that found no memory, or memory that is read only. Memory that is there never gets here, since
 * the PE reads the memslots itself. Arm ARM DDI 0487, "ISS encoding for an exception from a Data Abort".
 */
#include <errno.h>

#include "core.h"

/* Without a syndrome the client can be asked to look at the instruction, if it wants to (api.rst 7.19). */
static int abort_without_syndrome(struct vcpu *vcpu, uint32_t iss, ipa_t ipa)
{
	if (lint_on(vcpu))
		lint_found(vcpu, PAWL_LINT_NO_SYNDROME, vcpu->cpu->env.pc, ipa);
	if (vcpu->cpu->window.request)
		return mmio_window(vcpu);
	if (!vcpu->vm->nisv_to_user)
		return -ENOSYS;
	vcpu->run->exit_reason = KVM_EXIT_ARM_NISV;
	vcpu->run->arm_nisv.esr_iss = iss & (ISS_DABT_CM | ISS_DABT_WNR | 0x3f);
	vcpu->run->arm_nisv.fault_ipa = ipa;
	return EXIT_USER;
}

/* The host has no memory there. Only for a guest_memfd, which was closed, does the exit say where (api.rst 5, KVM_EXIT_MEMORY_FAULT). */
static int abort_unbacked(struct vcpu *vcpu, ipa_t ipa)
{
	struct kvm_run *run = vcpu->run;

	if (memslot_is_guest_memfd(vcpu->vm, ipa)) {
		run->exit_reason = KVM_EXIT_MEMORY_FAULT;
		run->memory_fault.flags = 0;
		run->memory_fault.gpa = ipa & -(ipa_t)host_page_size();
		run->memory_fault.size = host_page_size();
	}
	return -EFAULT;
}

/*
 * The PE has looked at the memslots: a translation fault is an address without one, a permission fault a store to one that is
 * read only. One that has come to be since then is seen by the next access.
 */
int abort_handle(struct vcpu *vcpu, uint64_t esr)
{
	bool fetch = ESR_EC(esr) == EC_IABT_LOWER;
	uint32_t iss = ESR_ISS(esr);
	uint64_t far = vcpu->cpu->el2.far;

	vcpu->fault_far = far;
	if (ISS_ABT_FSC(iss) == FSC_NO_LOG) /* the dirty ring is full: the run loop says so */
		return RESUME_GUEST;
	if (ISS_ABT_FSC(iss) == FSC_UNBACKED) {
		if (lint_on(vcpu))
			lint_found(vcpu, PAWL_LINT_HOST_MEMORY, vcpu->cpu->env.pc, vcpu->cpu->el2.ipa);
		return abort_unbacked(vcpu, vcpu->cpu->el2.ipa);
	}
	if (ISS_ABT_FSC(iss) ==
	    FSC_ALIGNMENT) /* of a device that is mapped, by a guest that calls it memory: the kernel gives up */
		return -EFAULT;
	if (ISS_ABT_FSC(iss) < FSC_TRANSLATION) { /* beyond the VM's IPA size */
		inject_abort(vcpu, fetch, far, FSC_EXTERNAL);
		return RESUME_GUEST;
	}
	if (iss & ISS_ABT_S1PTW) {
		inject_abort(vcpu, fetch, far, FSC_EXTERNAL_WALK | vcpu->cpu->el2.s1_level);
		return RESUME_GUEST;
	}
	if (fetch) {
		inject_abort(vcpu, true, far, FSC_EXTERNAL);
		return RESUME_GUEST;
	}
	if (iss & ISS_DABT_CM) { /* nothing to maintain */
		vcpu_skip_instr(vcpu);
		return RESUME_GUEST;
	}
	if (!(iss & ISS_DABT_ISV))
		return abort_without_syndrome(vcpu, iss, vcpu->cpu->el2.ipa);
	return mmio_access(vcpu, esr, vcpu->cpu->el2.ipa);
}
