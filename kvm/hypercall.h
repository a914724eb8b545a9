/* SPDX-License-Identifier: MIT */
/*
 * What hypercall.c and psci.c share: the SMCCC convention's registers and return codes (Arm DEN0028), and the VM-wide
 * state of the hypercalls. The calls for the rest of kvm/ are in kvm.h.
 */
#ifndef PAWL_KVM_HYPERCALL_H
#define PAWL_KVM_HYPERCALL_H

#include "kvm.h"

/* SMCCC function ids: bit 31 fast call, bit 30 64-bit, 29:24 owner, 15:0 function number */
#define SMCCC_64BIT (1u << 30)
#define SMCCC_RET_NOT_SUPPORTED ((uint64_t)-1)

enum {
	SMCCC_VERSION = 0x80000000u,
	SMCCC_ARCH_FEATURES = 0x80000001u,
	SMCCC_ARCH_WORKAROUND_1 = 0x80008000u,
	SMCCC_ARCH_WORKAROUND_2 = 0x80007fffu,
	SMCCC_ARCH_WORKAROUND_3 = 0x80003fffu,
	SMCCC_TRNG_VERSION = 0x84000050u,
	SMCCC_TRNG_FEATURES = 0x84000051u,
	SMCCC_TRNG_UUID = 0x84000052u,
	SMCCC_TRNG_RND32 = 0x84000053u,
	SMCCC_TRNG_RND64 = 0xc4000053u,
	SMCCC_PV_TIME_FEATURES = 0xc5000020u,
	SMCCC_PV_TIME_ST = 0xc5000021u,
	SMCCC_VENDOR_HYP_FEATURES = 0x86000000u,
	SMCCC_VENDOR_HYP_PTP = 0x86000001u,
	SMCCC_VENDOR_HYP_UID = 0x8600ff01u,
};

/* KVM_REG_ARM_PSCI_VERSION: major << 16 | minor */
#define PSCI_VERSION(major, minor) ((major) << 16 | (minor))
#define PSCI_LATEST PSCI_VERSION(1, 3)

struct smccc_filter; /* hypercall.c */

struct hypercall {
	pthread_mutex_t lock;
	/* under lock until the VM has run, then constant */
	uint64_t psci_version;	     /* 0: the client has not chosen; see psci_version() */
	uint64_t bmap[4];	     /* KVM_REG_ARM_STD_BMAP and so on */
	struct smccc_filter *filter; /* n_filters ranges; under vm->lock */
	unsigned n_filters;

	pthread_mutex_t power_lock; /* CPU_ON: one decides at a time */
};

static inline uint32_t smccc_function(const struct vcpu *vcpu)
{
	return (uint32_t)vcpu->cpu->env.x[0];
}
static inline uint64_t smccc_arg(const struct vcpu *vcpu, unsigned n)
{
	return vcpu->cpu->env.x[n];
}
static inline void smccc_return(struct vcpu *vcpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3)
{
	uint64_t *x = vcpu->cpu->env.x;

	x[0] = x0;
	x[1] = x1;
	x[2] = x2;
	x[3] = x3;
}

/* ---- psci.c */
bool psci_is_function(uint32_t fn); /* PSCI 0.2 and later, or 0.1 */
int psci_call(struct vcpu *vcpu);   /* an exit handler's result */
uint64_t psci_version(const struct vcpu *vcpu);

#endif
