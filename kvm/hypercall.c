/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls by the SMC calling convention (Arm DEN0028): who answers (the client's filter, the firmware bitmaps, or
 * nobody), the architecture and vendor services, TRNG (DEN0098), and the firmware pseudo registers
 * (arm/fw-pseudo-registers.rst, arm/hypercalls.rst, devices/vm.rst "KVM_ARM_VM_SMCCC_CTRL"). PSCI is in psci.c.
 * Paravirtual time (DEN0057) is as on a kernel without scheduler statistics: known, and not available.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "hypercall.h"

enum { BMAP_STD, BMAP_STD_HYP, BMAP_VENDOR_HYP, BMAP_VENDOR_HYP_2 };
#define BIT(n) (1ull << (n))

static const uint64_t bmap_supported[4] = {
	[BMAP_STD] = BIT(KVM_REG_ARM_STD_BIT_TRNG_V1_0),
	[BMAP_STD_HYP] = BIT(KVM_REG_ARM_STD_HYP_BIT_PV_TIME),
	[BMAP_VENDOR_HYP] = BIT(KVM_REG_ARM_VENDOR_HYP_BIT_FUNC_FEAT) | BIT(KVM_REG_ARM_VENDOR_HYP_BIT_PTP),
	[BMAP_VENDOR_HYP_2] =
		BIT(KVM_REG_ARM_VENDOR_HYP_BIT_DISCOVER_IMPL_VER) | BIT(KVM_REG_ARM_VENDOR_HYP_BIT_DISCOVER_IMPL_CPUS),
};

/* ---- the client's filter */

struct smccc_filter {
	uint32_t first, last;
	uint8_t action; /* KVM_SMCCC_FILTER_* */
};

/* Arm Architecture Calls, both widths: discovery must not lie. */
static const struct smccc_filter reserved[] = {{0x80000000, 0x8000ffff, KVM_SMCCC_FILTER_HANDLE},
					       {0xc0000000, 0xc000ffff, KVM_SMCCC_FILTER_HANDLE}};

static const struct smccc_filter *find_range(const struct smccc_filter *f, unsigned n, uint32_t first, uint32_t last)
{
	for (unsigned i = 0; i < n; i++)
		if (f[i].first <= last && first <= f[i].last)
			return &f[i];
	return NULL;
}

int hypercall_set_filter(struct vm *vm, const struct kvm_smccc_filter *filter)
{
	static const uint8_t zero[sizeof(filter->pad)];
	uint32_t first = filter->base, last = first + filter->nr_functions - 1;
	struct hypercall *hc = vm->hypercall;
	struct smccc_filter *f;

	if (memcmp(filter->pad, zero, sizeof(zero)))
		return -EINVAL;
	if (filter->nr_functions == 0 || last < first || filter->action > KVM_SMCCC_FILTER_FWD_TO_USER)
		return -EINVAL;
	if (atomic_load(&vm->has_run))
		return -EBUSY;
	if (find_range(reserved, 2, first, last) || find_range(hc->filter, hc->n_filters, first, last))
		return -EEXIST;
	f = realloc(hc->filter, (hc->n_filters + 1) * sizeof(*f));
	if (!f)
		return -ENOMEM;
	f[hc->n_filters++] = (struct smccc_filter){first, last, filter->action};
	hc->filter = f;
	return 0;
}

static bool is_allowed(const struct hypercall *hc, uint32_t fn)
{
	switch (fn) {
	case SMCCC_VERSION:
	case SMCCC_ARCH_FEATURES:
	case SMCCC_ARCH_WORKAROUND_1:
	case SMCCC_ARCH_WORKAROUND_2:
	case SMCCC_ARCH_WORKAROUND_3: return true;
	case SMCCC_TRNG_VERSION:
	case SMCCC_TRNG_FEATURES:
	case SMCCC_TRNG_UUID:
	case SMCCC_TRNG_RND32:
	case SMCCC_TRNG_RND64: return hc->bmap[BMAP_STD] & BIT(KVM_REG_ARM_STD_BIT_TRNG_V1_0);
	case SMCCC_PV_TIME_FEATURES:
	case SMCCC_PV_TIME_ST: return hc->bmap[BMAP_STD_HYP] & BIT(KVM_REG_ARM_STD_HYP_BIT_PV_TIME);
	case SMCCC_VENDOR_HYP_UID:
	case SMCCC_VENDOR_HYP_FEATURES: return hc->bmap[BMAP_VENDOR_HYP] & BIT(KVM_REG_ARM_VENDOR_HYP_BIT_FUNC_FEAT);
	case SMCCC_VENDOR_HYP_PTP: return hc->bmap[BMAP_VENDOR_HYP] & BIT(KVM_REG_ARM_VENDOR_HYP_BIT_PTP);
	default: return psci_is_function(fn);
	}
}

/* ---- services */

/* Nothing that these firmware calls would repair can happen to code that we translate. */
enum { WORKAROUND_NOT_NEEDED = 1 };
#define WORKAROUND_2_NOT_NEEDED ((uint64_t)-2)

static uint64_t arch_features(const struct vcpu *vcpu)
{
	switch ((uint32_t)smccc_arg(vcpu, 1)) {
	case SMCCC_ARCH_WORKAROUND_1:
	case SMCCC_ARCH_WORKAROUND_3: return WORKAROUND_NOT_NEEDED;
	case SMCCC_ARCH_WORKAROUND_2: return WORKAROUND_2_NOT_NEEDED;
	case SMCCC_PV_TIME_FEATURES:
		return is_allowed(vcpu->vm->hypercall, SMCCC_PV_TIME_FEATURES) ? 0 : SMCCC_RET_NOT_SUPPORTED;
	default: return SMCCC_RET_NOT_SUPPORTED;
	}
}

enum { TRNG_VERSION_1_0 = 0x10000 };
#define TRNG_INVALID_PARAMETER ((uint64_t)-2)
#define TRNG_NO_ENTROPY ((uint64_t)-3)

/* The one place where host randomness reaches the guest by hypercall. */
static bool host_entropy(void *buf, size_t len)
{
	return getrandom(buf, len, 0) == (ssize_t)len;
}

/* RNDR: the one place where it does by register. */
bool hypercall_random(void *opaque, uint64_t *val)
{
	return host_entropy(val, sizeof(*val));
}

/* DEN0098, "TRNG_RND": bits is the width of a result register; the last one holds the low end. */
static void trng_rnd(struct vcpu *vcpu, unsigned bits)
{
	uint64_t wanted = smccc_arg(vcpu, 1), word[3] = {0};
	uint64_t mask = bits == 64 ? ~0ull : 0xffffffffull;

	if (bits == 32)
		wanted = (uint32_t)wanted;
	if (wanted > 3 * bits) {
		smccc_return(vcpu, TRNG_INVALID_PARAMETER, 0, 0, 0);
		return;
	}
	if (!host_entropy(word, sizeof(word))) {
		smccc_return(vcpu, TRNG_NO_ENTROPY, 0, 0, 0);
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		uint64_t left = wanted > (uint64_t)i * bits ? wanted - (uint64_t)i * bits : 0;

		word[i] &= left >= bits ? mask : (1ull << left) - 1;
	}
	smccc_return(vcpu, 0, word[2], word[1], word[0]);
}

static void trng_features(struct vcpu *vcpu)
{
	switch ((uint32_t)smccc_arg(vcpu, 1)) {
	case SMCCC_TRNG_VERSION:
	case SMCCC_TRNG_FEATURES:
	case SMCCC_TRNG_UUID:
	case SMCCC_TRNG_RND32:
	case SMCCC_TRNG_RND64: smccc_return(vcpu, 0, 0, 0, 0); break;
	default: smccc_return(vcpu, SMCCC_RET_NOT_SUPPORTED, 0, 0, 0); break;
	}
}

/* The one place where the host's wall clock reaches the guest. */
static uint64_t host_wall_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void ptp(struct vcpu *vcpu)
{
	enum { VIRTUAL_COUNTER, PHYSICAL_COUNTER };
	uint32_t which = (uint32_t)smccc_arg(vcpu, 1);
	struct cpu_group *g = vcpu->vm->group;
	uint64_t ns, count;

	if (which > PHYSICAL_COUNTER) {
		smccc_return(vcpu, SMCCC_RET_NOT_SUPPORTED, 0, 0, 0);
		return;
	}
	ns = host_wall_clock_ns();
	count = cpu_group_counter(g) - cpu_group_offset(g, which == VIRTUAL_COUNTER ? CPU_TIMER_V : CPU_TIMER_P);
	smccc_return(vcpu, ns >> 32, (uint32_t)ns, count >> 32, (uint32_t)count);
}

static int handle(struct vcpu *vcpu, uint32_t fn)
{
	const struct hypercall *hc = vcpu->vm->hypercall;

	if (!is_allowed(hc, fn)) {
		smccc_return(vcpu, SMCCC_RET_NOT_SUPPORTED, 0, 0, 0);
		return RESUME_GUEST;
	}
	switch (fn) {
	case SMCCC_VERSION: smccc_return(vcpu, 0x10001, 0, 0, 0); break;
	case SMCCC_ARCH_FEATURES: smccc_return(vcpu, arch_features(vcpu), 0, 0, 0); break;
	case SMCCC_ARCH_WORKAROUND_1:
	case SMCCC_ARCH_WORKAROUND_2:
	case SMCCC_ARCH_WORKAROUND_3: vcpu_set_reg(vcpu, 0, 0); break; /* everything else is kept */
	case SMCCC_TRNG_VERSION: smccc_return(vcpu, TRNG_VERSION_1_0, 0, 0, 0); break;
	case SMCCC_TRNG_FEATURES: trng_features(vcpu); break;
	case SMCCC_TRNG_UUID: smccc_return(vcpu, 0x00e0210d, 0xeb118443, 0x44527080, 0x4c5a4e55); break;
	case SMCCC_TRNG_RND32: trng_rnd(vcpu, 32); break;
	case SMCCC_TRNG_RND64: trng_rnd(vcpu, 64); break;
	case SMCCC_PV_TIME_FEATURES: pvtime_features(vcpu); break;
	case SMCCC_PV_TIME_ST: pvtime_start(vcpu); break;
	case SMCCC_VENDOR_HYP_UID: smccc_return(vcpu, 0xb66fb428, 0xe911c52e, 0x564bcaa9, 0x743a004d); break;
	case SMCCC_VENDOR_HYP_FEATURES:
		smccc_return(vcpu, hc->bmap[BMAP_VENDOR_HYP], 0, hc->bmap[BMAP_VENDOR_HYP_2], 0);
		break;
	case SMCCC_VENDOR_HYP_PTP: ptp(vcpu); break;
	default: return psci_call(vcpu);
	}
	return RESUME_GUEST;
}

static int forward(struct vcpu *vcpu, uint32_t fn, bool smc)
{
	struct kvm_run *run = vcpu->run;

	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = fn;
	run->hypercall.flags = smc ? KVM_HYPERCALL_EXIT_SMC : 0;
	run->exit_reason = KVM_EXIT_HYPERCALL;
	return EXIT_USER;
}

int hypercall_handle(struct vcpu *vcpu, bool smc)
{
	const struct hypercall *hc = vcpu->vm->hypercall;
	uint32_t fn = smccc_function(vcpu);
	const struct smccc_filter *f = find_range(hc->filter, hc->n_filters, fn, fn);

	switch (f ? f->action : KVM_SMCCC_FILTER_HANDLE) {
	case KVM_SMCCC_FILTER_DENY: smccc_return(vcpu, SMCCC_RET_NOT_SUPPORTED, 0, 0, 0); return RESUME_GUEST;
	case KVM_SMCCC_FILTER_FWD_TO_USER: return forward(vcpu, fn, smc);
	default: return handle(vcpu, fn);
	}
}

/* ---- firmware registers */

const uint64_t hypercall_fw_regs[] = {
	KVM_REG_ARM_PSCI_VERSION,
	KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1,
	KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2,
	KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3,
	KVM_REG_ARM_STD_BMAP,
	KVM_REG_ARM_STD_HYP_BMAP,
	KVM_REG_ARM_VENDOR_HYP_BMAP,
	KVM_REG_ARM_VENDOR_HYP_BMAP_2,
};
const unsigned hypercall_n_fw_regs = sizeof(hypercall_fw_regs) / sizeof(hypercall_fw_regs[0]);

static int bmap_index(uint64_t id)
{
	switch (id) {
	case KVM_REG_ARM_STD_BMAP: return BMAP_STD;
	case KVM_REG_ARM_STD_HYP_BMAP: return BMAP_STD_HYP;
	case KVM_REG_ARM_VENDOR_HYP_BMAP: return BMAP_VENDOR_HYP;
	case KVM_REG_ARM_VENDOR_HYP_BMAP_2: return BMAP_VENDOR_HYP_2;
	default: return -1;
	}
}

int hypercall_get_fw_reg(struct vcpu *vcpu, uint64_t id, uint64_t *val)
{
	struct hypercall *hc = vcpu->vm->hypercall;

	pthread_mutex_lock(&hc->lock);
	switch (id) {
	case KVM_REG_ARM_PSCI_VERSION: *val = psci_version(vcpu); break;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1: *val = KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1_NOT_REQUIRED; break;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2: *val = KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_REQUIRED; break;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3: *val = KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3_NOT_REQUIRED; break;
	default:
		if (bmap_index(id) < 0) {
			pthread_mutex_unlock(&hc->lock);
			return -ENOENT;
		}
		*val = hc->bmap[bmap_index(id)];
		break;
	}
	pthread_mutex_unlock(&hc->lock);
	return 0;
}

static int set_psci_version_locked(struct vcpu *vcpu, uint64_t val)
{
	switch (val) {
	case PSCI_VERSION(0, 2):
	case PSCI_VERSION(1, 0):
	case PSCI_VERSION(1, 1):
	case PSCI_VERSION(1, 2):
	case PSCI_VERSION(1, 3):
		if (!(vcpu->features & 1u << KVM_ARM_VCPU_PSCI_0_2))
			return -EINVAL;
		vcpu->vm->hypercall->psci_version = val;
		return 0;
	case PSCI_VERSION(0, 1): return vcpu->features & 1u << KVM_ARM_VCPU_PSCI_0_2 ? -EINVAL : 0;
	default: return -EINVAL;
	}
}

/* A guest that came from a host which needed less protection, or says nothing about it, is welcome here. */
static int check_workaround_2(uint64_t val)
{
	enum { LEVEL_MASK = 0xf };
	uint64_t level = val & LEVEL_MASK;

	if (val & ~(uint64_t)(LEVEL_MASK | KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED))
		return -EINVAL;
	if ((val & KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_ENABLED) && level != KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_AVAIL)
		return -EINVAL;
	return level <= KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2_NOT_REQUIRED ? 0 : -EINVAL;
}

static int set_bmap_locked(struct vm *vm, unsigned i, uint64_t val)
{
	struct hypercall *hc = vm->hypercall;

	if (val & ~bmap_supported[i])
		return -EINVAL;
	if (val != hc->bmap[i] && atomic_load(&vm->has_run))
		return -EBUSY;
	hc->bmap[i] = val;
	return 0;
}

int hypercall_set_fw_reg(struct vcpu *vcpu, uint64_t id, uint64_t val)
{
	struct hypercall *hc = vcpu->vm->hypercall;
	int err;

	pthread_mutex_lock(&hc->lock);
	switch (id) {
	case KVM_REG_ARM_PSCI_VERSION: err = set_psci_version_locked(vcpu, val); break;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1:
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3:
		err = val <= KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_1_NOT_REQUIRED ? 0 : -EINVAL;
		break;
	case KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_2: err = check_workaround_2(val); break;
	default: err = bmap_index(id) < 0 ? -ENOENT : set_bmap_locked(vcpu->vm, (unsigned)bmap_index(id), val); break;
	}
	pthread_mutex_unlock(&hc->lock);
	return err;
}

/* ---- life */

int hypercall_vm_init(struct vm *vm)
{
	struct hypercall *hc = calloc(1, sizeof(*hc));

	if (!hc)
		return -ENOMEM;
	pthread_mutex_init(&hc->lock, NULL);
	pthread_mutex_init(&hc->power_lock, NULL);
	memcpy(hc->bmap, bmap_supported, sizeof(hc->bmap));
	hc->bmap[BMAP_VENDOR_HYP_2] = 0; /* opt-in */
	vm->hypercall = hc;
	return 0;
}

void hypercall_vm_destroy(struct vm *vm)
{
	struct hypercall *hc = vm->hypercall;

	if (!hc)
		return;
	pthread_mutex_destroy(&hc->lock);
	pthread_mutex_destroy(&hc->power_lock);
	free(hc->filter);
	free(hc);
	vm->hypercall = NULL;
}
