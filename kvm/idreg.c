/* SPDX-License-Identifier: MIT */
/*
 * Identification registers: one set per VM, made from the PE model, which the client may lower field by field before the first
 * KVM_RUN (api.rst 4.68 and KVM_ARM_GET_REG_WRITABLE_MASKS). Fields are those of the Arm ARM DDI 0487, "ID_AA64*_EL1".
 */
#include <errno.h>
#include <string.h>

#include "core.h"
#include "vgic.h"

enum {
	MIDR = SYSREG(3, 0, 0, 0, 0),
	REVIDR = SYSREG(3, 0, 0, 0, 6),
	AIDR = SYSREG(3, 1, 0, 0, 7),
	CLIDR = SYSREG(3, 1, 0, 0, 1),
	CTR = SYSREG(3, 3, 0, 0, 1)
};

#define FIELD(shift) (0xfull << (shift))

/*
 * Fields that a client may set: to what the model has or less, where a signed 0xf means "not there" and is below 0. The fields
 * that are not offered at all are here too, as clients ask for the mask. Everything else must stay as the model has it.
 */
static const struct writable {
	uint8_t index; /* CPU_ID */
	uint64_t mask, is_signed;
	uint64_t more; /* more of it promises less */
	uint64_t one;  /* the model's value or 1: not supported */
} writable[] = {
	/* ID_AA64PFR0 but AMU, MPAM, SVE, AdvSIMD, FP */
	{.index = CPU_ID(4, 0), .mask = ~(FIELD(44) | FIELD(40) | FIELD(32) | FIELD(20) | FIELD(16))},
	/* ID_AA64PFR1: DF2, CSV2_frac, RAS_frac, SSBS, BT */
	{.index = CPU_ID(4, 1), .mask = FIELD(56) | FIELD(32) | FIELD(12) | FIELD(4) | FIELD(0)},
	/* ID_AA64PFR2: FPMR, GCIE, MTEFAR, MTESTOREONLY */
	{.index = CPU_ID(4, 2), .mask = FIELD(32) | FIELD(12) | FIELD(8) | FIELD(4)},
	{.index = CPU_ID(4, 4), .mask = 0x0fffff0f0ffff0ff}, /* ID_AA64ZFR0 */
	{.index = CPU_ID(4, 7), .mask = 0x00000000fc0080ff}, /* ID_AA64FPFR0 */
	/* ID_AA64DFR0: DoubleLock, WRPs, PMUVer, DebugVer. Breakpoints are numbered from the end: their number stays. */
	{.index = CPU_ID(5, 0), .mask = FIELD(36) | FIELD(20) | FIELD(8) | FIELD(0), .is_signed = FIELD(36) | FIELD(8)},
	{.index = CPU_ID(6, 0), .mask = ~(FIELD(24) | FIELD(0))}, /* ID_AA64ISAR0 but TME */
	{.index = CPU_ID(6, 1),
	 .mask = ~(FIELD(28) | FIELD(24) | FIELD(8) | FIELD(4))}, /* ID_AA64ISAR1 but GPI, GPA, API, APA */
	{.index = CPU_ID(6, 2), .mask = ~(FIELD(12) | FIELD(8))}, /* ID_AA64ISAR2 but APA3, GPA3 */
	{.index = CPU_ID(6, 3),
	 .mask = FIELD(28) | FIELD(24) | FIELD(16) | FIELD(4)}, /* ID_AA64ISAR3: FPRCVT, LSUI, LSFE, FAMINMAX */
	/* ID_AA64MMFR0 but ASIDBits; TGran4, TGran64; TGran4_2, TGran64_2, TGran16_2 */
	{.index = CPU_ID(7, 0),
	 .mask = ~(FIELD(52) | FIELD(48) | FIELD(4)),
	 .is_signed = FIELD(28) | FIELD(24),
	 .one = FIELD(40) | FIELD(36) | FIELD(32)},
	/* ID_AA64MMFR1 but XNX, VH, VMIDBits; SpecSEI */
	{.index = CPU_ID(7, 1), .mask = ~(FIELD(28) | FIELD(8) | FIELD(4)), .more = FIELD(24)},
	/* ID_AA64MMFR2 but EVT, FWB, IDS, NV, CCIDX */
	{.index = CPU_ID(7, 2), .mask = ~(FIELD(56) | FIELD(44) | FIELD(40) | FIELD(36) | FIELD(24) | FIELD(20))},
	{.index = CPU_ID(7, 3), .mask = FIELD(16) | FIELD(8) | FIELD(4) | FIELD(0)}, /* ID_AA64MMFR3: S1POE .. TCRX */
	{.index = CPU_ID(7, 4), .mask = FIELD(20)},				     /* ID_AA64MMFR4: NV_frac */
};

enum { CTR_L1IP_VIPT = 2 };
#define CTR_WRITABLE \
	((1ull << 29) | (1ull << 28) | (0xfull << 16) | (3ull << 14) | 0xfull) /* DIC, IDC, DminLine, L1Ip, IminLine */

static const struct writable *find_writable(unsigned index)
{
	for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (writable[i].index == index)
			return &writable[i];
	return NULL;
}

static bool field_within(const struct writable *w, uint64_t val, uint64_t limit, unsigned shift)
{
	unsigned v = val >> shift & 15, l = limit >> shift & 15;

	if (v == l || (w->one >> shift & 15 && v == 1))
		return true;
	if ((w->one | w->more) >> shift & 15)
		return w->more >> shift & 15 && v > l;
	return w->is_signed >> shift & 15 ? (v ^ 8) < (l ^ 8) : v < l;
}

static bool value_within(unsigned index, uint64_t val, uint64_t limit)
{
	const struct writable *w = find_writable(index);
	uint64_t mask = w ? w->mask : 0;

	if ((val ^ limit) & ~mask)
		return false;
	for (unsigned shift = 0; mask && shift < 64; shift += 4)
		if ((mask >> shift & 15) && !field_within(w, val, limit, shift))
			return false;
	return true;
}

/* What no client may take away: AArch64 at EL0 and EL1, and the debug architecture's least version. */
static bool lacks_the_least(unsigned index, uint64_t val)
{
	switch (index) {
	case CPU_ID(4, 0): return !(val & FIELD(0)) || !(val & FIELD(4));
	case CPU_ID(5, 0): return (val & FIELD(0)) < 6;
	default: return false;
	}
}

/*
 * AArch32 registers, CRm 1..3: the model has no AArch32, so they read as zero and take no notice of writes. ID_AFR0, ID_DFR1 and
 * the unallocated ones are zero for every VM, and take no other value.
 */
static bool is_aarch32(unsigned index)
{
	unsigned crm = index / 8 + 1, op2 = index % 8;

	return (crm == 1 && op2 != 3) || crm == 2 || (crm == 3 && op2 != 3 && op2 != 5 && op2 != 7);
}

/* The GIC is made, or none is and the VM begins to run: what the client has set does not count. vm->lock held */
void idreg_vm_gic(struct vm *vm)
{
	struct vm_priv *p = vm->priv;
	bool v3 = vm->vgic && vgic_type(vm) == KVM_DEV_TYPE_ARM_VGIC_V3;

	if (!p->id_set)
		return; /* no vcpu yet */
	pthread_mutex_lock(&p->id_lock);
	p->id[CPU_ID(4, 0)] = (p->id[CPU_ID(4, 0)] & ~FIELD(24)) | (uint64_t)v3 << 24;
	pthread_mutex_unlock(&p->id_lock);
}

/*
 * Not the hardware's caches, but as few as CTR_EL0 allows, as the kernel does: data caches that need no cleaning to the PoU (IDC) are one
 * unified cache, the rest is level 1.
 */
static uint64_t clidr_of(uint64_t ctr)
{
	enum { INSTRUCTION = 1, DATA = 2, UNIFIED = 4 };
	bool idc = ctr >> 28 & 1, dic = ctr >> 29 & 1;
	unsigned loc = idc && !dic ? 2 : 1;
	uint64_t clidr = dic ? 0 : INSTRUCTION;

	if (idc)
		clidr |= (uint64_t)UNIFIED << 3 * (loc - 1);
	else
		clidr |= DATA | 1 << 21 /* LoUIS */ | 1 << 27 /* LoUU */;
	return clidr | (uint64_t)loc << 24;
}

/* vm->lock held; the first vcpu's PE is the model */
void idreg_vm_init(struct vm *vm, const struct cpu *model)
{
	struct vm_priv *p = vm->priv;

	if (p->id_set)
		return;
	p->id_set = true;
	memcpy(p->id, model->id, sizeof(p->id));
	/* A GIC may still be made; a client that looks before is shown it, so that what it saves fits a VM that has one. */
	p->id[CPU_ID(4, 0)] = (model->id[CPU_ID(4, 0)] & ~FIELD(24)) | 1ull << 24;
	memcpy(p->id_limit, p->id, sizeof(p->id_limit));
	if (vm->vgic)
		idreg_vm_gic(vm);
	p->ctr = p->ctr_limit = model->sys[CPU_CTR_EL0];
	p->clidr = clidr_of(p->ctr);
	p->impl[0] = model->sys[CPU_MIDR_EL1];
	p->impl[1] = model->sys[CPU_REVIDR_EL1];
	p->impl[2] = model->sys[CPU_AIDR_EL1];
}

/* With the fields that follow from the VM's features. */
static uint64_t with_features(const struct vcpu *vcpu, unsigned index, uint64_t val)
{
	switch (index) {
	case CPU_ID(5, 0): {
		uint64_t pmuver = val >> 8 & 15;

		val &= ~FIELD(8);
		if (vcpu->features & 1u << KVM_ARM_VCPU_PMU_V3)
			val |= (pmuver ? pmuver : 1) << 8;
		break;
	}
	case CPU_ID(6, 1): /* GPI, GPA, API, APA */
		if (!(vcpu->features & 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS))
			val &= ~(FIELD(28) | FIELD(24) | FIELD(8) | FIELD(4));
		break;
	default: break;
	}
	return val;
}

static uint64_t shown(const struct vcpu *vcpu, unsigned index)
{
	return with_features(vcpu, index, vcpu->vm->priv->id[index]);
}

void idreg_vcpu_init(struct vcpu *vcpu)
{
	const struct vm_priv *p = vcpu->vm->priv;
	struct cpu *cpu = vcpu->cpu;

	for (unsigned i = 0; i < CPU_ID_COUNT; i++)
		cpu->id[i] = shown(vcpu, i);
	cpu->sys[CPU_CTR_EL0] = p->ctr;
	cpu->sys[CPU_CLIDR_EL1] = p->clidr;
	cpu->sys[CPU_MIDR_EL1] = p->impl[0];
	cpu->sys[CPU_REVIDR_EL1] = p->impl[1];
	cpu->sys[CPU_AIDR_EL1] = p->impl[2];
	cpu_id_changed(cpu);
}

int idreg_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val)
{
	const struct vm_priv *p = vcpu->vm->priv;

	switch (enc) {
	case MIDR: *val = p->impl[0]; return 0;
	case REVIDR: *val = p->impl[1]; return 0;
	case AIDR: *val = p->impl[2]; return 0;
	case CLIDR: *val = p->clidr; return 0;
	case CTR: *val = p->ctr; return 0;
	default: *val = shown(vcpu, enc - SYSREG(3, 0, 0, 1, 0)); return 0;
	}
}

static int set_impl(struct vm *vm, unsigned i, uint64_t val)
{
	if (vm->priv->impl[i] == val)
		return 0;
	if (!vm->priv->writable_impl_ids)
		return -EINVAL;
	if (atomic_load(&vm->has_run))
		return -EBUSY;
	if (i == 0 && val >> 32)
		return -EINVAL; /* MIDR */
	vm->priv->impl[i] = val;
	return 0;
}

static int set_ctr(struct vm *vm, uint64_t val)
{
	struct vm_priv *p = vm->priv;

	if (val == p->ctr)
		return 0;
	if (atomic_load(&vm->has_run))
		return -EBUSY;
	if ((val ^ p->ctr) & ~CTR_WRITABLE || (val & ~p->ctr_limit & (3ull << 28)) ||
	    (val >> 16 & 15) > (p->ctr_limit >> 16 & 15) || (val & 15) > (p->ctr_limit & 15))
		return -EINVAL;
	if ((val >> 14 & 3) != (p->ctr_limit >> 14 & 3) && (val >> 14 & 3) != CTR_L1IP_VIPT)
		return -EINVAL;
	p->ctr = val;
	return 0;
}

static int set_id(struct vcpu *vcpu, unsigned index, uint64_t val)
{
	struct vm *vm = vcpu->vm;
	struct vm_priv *p = vm->priv;
	uint64_t now = shown(vcpu, index), limit = p->id_limit[index];

	if (is_aarch32(index))
		return 0;
	if (lacks_the_least(index, val))
		return -EINVAL;
	if (val == now)
		return 0;
	if (atomic_load(&vm->has_run))
		return -EBUSY;
	limit = with_features(vcpu, index, limit);
	if (index == CPU_ID(5, 0)) /* PMUVer: as the feature says */
		limit = (limit & ~FIELD(8)) | (now & FIELD(8));
	if (!value_within(index, val, limit))
		return -EINVAL;
	p->id[index] = val;
	return 0;
}

static int set_one(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	struct vm *vm = vcpu->vm;

	switch (enc) {
	case MIDR: return set_impl(vm, 0, val);
	case REVIDR: return set_impl(vm, 1, val);
	case AIDR: return set_impl(vm, 2, val);
	case CTR: return set_ctr(vm, val);
	case CLIDR:
		if (val == vm->priv->clidr)
			return 0;
		if (atomic_load(&vm->has_run))
			return -EBUSY;
		if (val >> 47)
			return -EINVAL;
		vm->priv->clidr = val;
		return 0;
	default: return set_id(vcpu, enc - SYSREG(3, 0, 0, 1, 0), val);
	}
}

int idreg_set(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	int err;

	pthread_mutex_lock(&vcpu->vm->priv->id_lock);
	err = set_one(vcpu, enc, val);
	if (!err)
		idreg_vcpu_init(vcpu); /* the others take the VM's values over when they first run */
	pthread_mutex_unlock(&vcpu->vm->priv->id_lock);
	return err;
}

int idreg_writable_masks(struct vm *vm, const struct reg_mask_range *range)
{
	uint64_t masks[KVM_ARM_FEATURE_ID_RANGE_SIZE] = {0};

	if (range->range != KVM_ARM_FEATURE_ID_RANGE)
		return -EINVAL;
	for (unsigned i = 0; i < sizeof(range->reserved) / sizeof(range->reserved[0]); i++)
		if (range->reserved[i])
			return -EINVAL;
	for (unsigned i = 0; i < CPU_ID_COUNT; i++) {
		const struct writable *w = find_writable(i);

		masks[8 + i] = w ? w->mask : 0;
	}
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 1, 0, 0, 1)] = (1ull << 47) - 1;
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 3, 0, 0, 1)] = CTR_WRITABLE;
	/* If KVM_CAP_ARM_WRITABLE_IMP_ID_REGS is enabled; the masks do not depend on that. */
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 0, 0)] = 0xffffffff;
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 0, 6)] = UINT64_MAX;
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 1, 0, 0, 7)] = UINT64_MAX;
	return client_write(range->addr, masks, sizeof(masks));
}
