/* SPDX-License-Identifier: MIT */
/*
 * Power State Coordination Interface (Arm DEN0022), versions 0.1, 0.2 and 1.0 to 1.3 as the client chose
 * (KVM_REG_ARM_PSCI_VERSION). Suspending is waiting for an interrupt; there are no power-down states. What concerns the
 * whole system is the client's to do: KVM_EXIT_SYSTEM_EVENT.
 */
#include <errno.h>

#include "hypercall.h"

/* Function numbers of 0x84000000; the 64-bit variant has bit 30 set. */
enum {
	FN_BASE = 0x84000000u,
	FN_LAST = 0x8400001fu,
	FN_VERSION = FN_BASE,
	FN_CPU_SUSPEND = FN_BASE + 0x1,
	FN_CPU_OFF = FN_BASE + 0x2,
	FN_CPU_ON = FN_BASE + 0x3,
	FN_AFFINITY_INFO = FN_BASE + 0x4,
	FN_MIGRATE_INFO_TYPE = FN_BASE + 0x6,
	FN_SYSTEM_OFF = FN_BASE + 0x8,
	FN_SYSTEM_RESET = FN_BASE + 0x9,
	FN_FEATURES = FN_BASE + 0xa,
	FN_SYSTEM_SUSPEND = FN_BASE + 0xe,
	FN_SYSTEM_RESET2 = FN_BASE + 0x12,
	FN_SYSTEM_OFF2 = FN_BASE + 0x15,
	FN64_CPU_SUSPEND = FN_CPU_SUSPEND | SMCCC_64BIT,
	FN64_CPU_ON = FN_CPU_ON | SMCCC_64BIT,
	FN64_AFFINITY_INFO = FN_AFFINITY_INFO | SMCCC_64BIT,
	FN64_SYSTEM_SUSPEND = FN_SYSTEM_SUSPEND | SMCCC_64BIT,
	FN64_SYSTEM_RESET2 = FN_SYSTEM_RESET2 | SMCCC_64BIT,
	FN64_SYSTEM_OFF2 = FN_SYSTEM_OFF2 | SMCCC_64BIT,
};

#define PSCI_SUCCESS 0ull
#define PSCI_NOT_SUPPORTED ((uint64_t)-1)
#define PSCI_INVALID_PARAMETERS ((uint64_t)-2)
#define PSCI_ALREADY_ON ((uint64_t)-4)
#define PSCI_INTERNAL_FAILURE ((uint64_t)-6)

enum { AFFINITY_ON = 0, AFFINITY_OFF = 1 };
enum { MIGRATE_NO_TRUSTED_OS = 2 };
enum { OFF2_HIBERNATE = 1, OFF2_HIBERNATE_FEATURE = 1 };
#define RESET2_VENDOR 0x80000000u
#define MPIDR_AFFINITY 0xff00ffffffull

bool psci_is_function(uint32_t fn)
{
	uint32_t narrow = fn & ~SMCCC_64BIT;

	return (narrow >= FN_BASE && narrow <= FN_LAST) || (fn >= KVM_PSCI_FN_CPU_SUSPEND && fn <= KVM_PSCI_FN_MIGRATE);
}

uint64_t psci_version(const struct vcpu *vcpu)
{
	const struct hypercall *hc = vcpu->vm->hypercall;

	if (!(vcpu->features & 1u << KVM_ARM_VCPU_PSCI_0_2))
		return PSCI_VERSION(0, 1);
	return hc->psci_version ? hc->psci_version : PSCI_LATEST;
}

/* An argument: the 32-bit functions of 0.2 and later have 32-bit ones. */
static uint64_t arg(const struct vcpu *vcpu, unsigned n)
{
	uint32_t fn = smccc_function(vcpu);
	uint64_t val = smccc_arg(vcpu, n);

	return fn >= FN_BASE && fn <= FN_LAST ? (uint32_t)val : val;
}

static bool is_big_endian(const struct vcpu *vcpu)
{
	uint64_t sctlr = vcpu->cpu->sys[CPU_SCTLR_EL1];

	return sctlr >> (cpu_el(vcpu->cpu) == 0 ? 24 : 25) & 1; /* E0E, EE */
}

/* ---- one vcpu */

static uint64_t cpu_on(struct vcpu *vcpu)
{
	uint64_t mpidr = arg(vcpu, 1);
	struct hypercall *hc = vcpu->vm->hypercall;
	struct vcpu *target;
	uint64_t ret;

	if (mpidr & ~MPIDR_AFFINITY)
		return PSCI_INVALID_PARAMETERS;
	target = vm_vcpu_by_mpidr(vcpu->vm, mpidr);
	if (!target)
		return PSCI_INVALID_PARAMETERS;
	pthread_mutex_lock(&hc->power_lock);
	if (atomic_load(&target->mp_state) != KVM_MP_STATE_STOPPED) {
		ret = psci_version(vcpu) == PSCI_VERSION(0, 1) ? PSCI_INVALID_PARAMETERS : PSCI_ALREADY_ON;
	} else {
		target->reset.pc = arg(vcpu, 2);
		target->reset.x0 = arg(vcpu, 3);
		target->reset.be = is_big_endian(vcpu);
		/* Posted before it may run, so that it does not run a moment in its old state. */
		atomic_fetch_or(&target->requests, REQ_RESET);
		atomic_store(&target->mp_state, KVM_MP_STATE_RUNNABLE);
		vcpu_kick(target);
		ret = PSCI_SUCCESS;
	}
	pthread_mutex_unlock(&hc->power_lock);
	return ret;
}

/* It stops where the run loop looks at its state next, before any other instruction. */
static void cpu_off(struct vcpu *vcpu)
{
	atomic_store(&vcpu->mp_state, KVM_MP_STATE_STOPPED);
}

static uint64_t affinity_info(struct vcpu *vcpu)
{
	uint64_t target = arg(vcpu, 1), level = arg(vcpu, 2), mask;
	unsigned n = atomic_load(&vcpu->vm->n_vcpus), found = 0;

	if (level > 3)
		return PSCI_INVALID_PARAMETERS;
	mask = MPIDR_AFFINITY & ~((1ull << level * 8) - 1);
	for (unsigned i = 0; i < n; i++) {
		struct vcpu *v = vcpu->vm->vcpus[i];

		if ((__atomic_load_n(&v->cpu->sys[CPU_MPIDR_EL1], __ATOMIC_RELAXED) ^ target) & mask)
			continue;
		found++;
		if (atomic_load(&v->mp_state) != KVM_MP_STATE_STOPPED)
			return AFFINITY_ON;
	}
	return found ? AFFINITY_OFF : PSCI_INVALID_PARAMETERS;
}

/* ---- the whole system */

/* The client decides what comes next. If it runs this vcpu on, the call has failed. */
static int stop_system(struct vcpu *vcpu, uint32_t type, uint64_t flags)
{
	vm_stop_all_vcpus(vcpu->vm);
	return exit_system_event(vcpu, type, 1, flags);
}

static int system_event(struct vcpu *vcpu, uint32_t type, uint64_t flags)
{
	smccc_return(vcpu, PSCI_INTERNAL_FAILURE, 0, 0, 0);
	return stop_system(vcpu, type, flags);
}

/* ---- dispatch by version. A function's result is its x0 unless it says otherwise. */

static int result(struct vcpu *vcpu, uint64_t x0)
{
	smccc_return(vcpu, x0, 0, 0, 0);
	return RESUME_GUEST;
}

static int call_0_2(struct vcpu *vcpu, uint32_t fn)
{
	switch (fn) {
	case FN_VERSION: return result(vcpu, psci_version(vcpu));
	case FN_CPU_SUSPEND:
	case FN64_CPU_SUSPEND: result(vcpu, PSCI_SUCCESS); return vcpu_wait_for_interrupt(vcpu);
	case FN_CPU_OFF: cpu_off(vcpu); return result(vcpu, PSCI_SUCCESS);
	case FN_CPU_ON:
	case FN64_CPU_ON: return result(vcpu, cpu_on(vcpu));
	case FN_AFFINITY_INFO:
	case FN64_AFFINITY_INFO: return result(vcpu, affinity_info(vcpu));
	case FN_MIGRATE_INFO_TYPE: return result(vcpu, MIGRATE_NO_TRUSTED_OS);
	case FN_SYSTEM_OFF: return system_event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN, 0);
	case FN_SYSTEM_RESET: return system_event(vcpu, KVM_SYSTEM_EVENT_RESET, 0);
	default: return result(vcpu, PSCI_NOT_SUPPORTED);
	}
}

static uint64_t features(struct vcpu *vcpu, unsigned minor)
{
	switch ((uint32_t)smccc_arg(vcpu, 1)) {
	case FN_VERSION:
	case FN_CPU_SUSPEND:
	case FN64_CPU_SUSPEND:
	case FN_CPU_OFF:
	case FN_CPU_ON:
	case FN64_CPU_ON:
	case FN_AFFINITY_INFO:
	case FN64_AFFINITY_INFO:
	case FN_MIGRATE_INFO_TYPE:
	case FN_SYSTEM_OFF:
	case FN_SYSTEM_RESET:
	case FN_FEATURES:
	case SMCCC_VERSION: return 0;
	case FN_SYSTEM_SUSPEND:
	case FN64_SYSTEM_SUSPEND: return vcpu->vm->system_suspend ? 0 : PSCI_NOT_SUPPORTED;
	case FN_SYSTEM_RESET2:
	case FN64_SYSTEM_RESET2: return minor >= 1 ? 0 : PSCI_NOT_SUPPORTED;
	case FN_SYSTEM_OFF2:
	case FN64_SYSTEM_OFF2: return minor >= 3 ? OFF2_HIBERNATE_FEATURE : PSCI_NOT_SUPPORTED;
	default: return PSCI_NOT_SUPPORTED;
	}
}

static int system_reset2(struct vcpu *vcpu)
{
	uint32_t type = (uint32_t)smccc_arg(vcpu, 1);

	if (type != 0 && type < RESET2_VENDOR)
		return result(vcpu, PSCI_INVALID_PARAMETERS);
	vcpu_set_reg(vcpu, 0, PSCI_INTERNAL_FAILURE); /* the other registers are kept */
	return stop_system(vcpu, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2);
}

static int system_off2(struct vcpu *vcpu)
{
	uint32_t type = (uint32_t)smccc_arg(vcpu, 1);

	if ((type != 0 && type != OFF2_HIBERNATE) || arg(vcpu, 2) != 0)
		return result(vcpu, PSCI_INVALID_PARAMETERS);
	return system_event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN, KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2);
}

static int call_1_x(struct vcpu *vcpu, uint32_t fn, unsigned minor)
{
	switch (fn) {
	case FN_FEATURES: return result(vcpu, features(vcpu, minor));
	case FN_SYSTEM_SUSPEND:
	case FN64_SYSTEM_SUSPEND:
		if (!vcpu->vm->system_suspend)
			break;
		return exit_system_event(vcpu, KVM_SYSTEM_EVENT_SUSPEND, 0, 0); /* registers as they are */
	case FN_SYSTEM_RESET2:
	case FN64_SYSTEM_RESET2:
		if (minor < 1)
			break;
		return system_reset2(vcpu);
	case FN_SYSTEM_OFF2:
	case FN64_SYSTEM_OFF2:
		if (minor < 3)
			break;
		return system_off2(vcpu);
	default: return call_0_2(vcpu, fn);
	}
	return result(vcpu, PSCI_NOT_SUPPORTED);
}

static int call_0_1(struct vcpu *vcpu, uint32_t fn)
{
	switch (fn) {
	case KVM_PSCI_FN_CPU_OFF: cpu_off(vcpu); return result(vcpu, PSCI_SUCCESS);
	case KVM_PSCI_FN_CPU_ON: return result(vcpu, cpu_on(vcpu));
	default: return result(vcpu, PSCI_NOT_SUPPORTED);
	}
}

int psci_call(struct vcpu *vcpu)
{
	uint64_t version = psci_version(vcpu);
	uint32_t fn = smccc_function(vcpu);

	switch (version) {
	case PSCI_VERSION(0, 1): return call_0_1(vcpu, fn);
	case PSCI_VERSION(0, 2): return call_0_2(vcpu, fn);
	default: return call_1_x(vcpu, fn, (unsigned)version & 0xffff);
	}
}
