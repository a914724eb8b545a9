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
 * Fields that a client may lower. A field is four bits; in the signed ones 0xf means "not there" and is below 0. Everything
 * else must stay as the model has it.
 */
static const struct writable {
	uint8_t index; /* CPU_ID */
	uint64_t mask, is_signed;
} writable[] = {
	/* ID_AA64PFR0: CSV3 CSV2 DIT AMU MPAM SEL2 SVE RAS GIC AdvSIMD FP EL3 EL2 EL1 EL0 */
	{CPU_ID(4, 0), FIELD(60) | FIELD(56) | FIELD(48) | FIELD(28) | FIELD(0), FIELD(20) | FIELD(16)},
	/* ID_AA64PFR1: MTE_frac, MTE, SSBS, BT */
	{CPU_ID(4, 1), FIELD(0) | FIELD(4), 0},
	/* ID_AA64DFR0: PMUVer, DebugVer, DoubleLock; CTX_CMPs, WRPs, BRPs */
	{CPU_ID(5, 0), FIELD(8) | FIELD(0) | FIELD(28) | FIELD(20) | FIELD(12), FIELD(8)},
	{CPU_ID(6, 0), 0xfffffffffffffff0ull & ~FIELD(24), 0},			   /* ID_AA64ISAR0 but TME */
	{CPU_ID(6, 1), ~0ull & ~(FIELD(4) | FIELD(8) | FIELD(24) | FIELD(28)), 0}, /* ISAR1 but PtrAuth */
	{CPU_ID(6, 2), FIELD(0) | FIELD(4) | FIELD(20) | FIELD(28) | FIELD(52), 0},
	/* ID_AA64MMFR0: ECV FGT ExS TGran4_2.. TGran4 TGran64 TGran16 BigEndEL0 SNSMem BigEnd ASIDBits PARange */
	{CPU_ID(7, 0), ~0ull & ~(FIELD(4) | FIELD(60) | FIELD(56)), FIELD(28) | FIELD(24)},
	{CPU_ID(7, 1), ~0ull & ~(FIELD(8) | FIELD(4) | FIELD(52) | FIELD(60) | FIELD(56)), 0},
	{CPU_ID(7, 2), ~0ull & ~(FIELD(24) | FIELD(56) | FIELD(12) | FIELD(16)), 0},
};

#define CTR_WRITABLE ((1ull << 29) | (1ull << 28) | (0xfull << 16) | 0xfull) /* DIC, IDC, DminLine, IminLine */

static const struct writable *find_writable(unsigned index)
{
	for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (writable[i].index == index)
			return &writable[i];
	return NULL;
}

static bool field_within(uint64_t val, uint64_t limit, unsigned shift, bool is_signed)
{
	unsigned v = val >> shift & 15, l = limit >> shift & 15;

	return is_signed ? (v ^ 8) <= (l ^ 8) : v <= l;
}

static bool value_within(unsigned index, uint64_t val, uint64_t limit, uint64_t now)
{
	const struct writable *w = find_writable(index);
	uint64_t mask = w ? w->mask : 0;

	if ((val ^ now) & ~mask)
		return false;
	for (unsigned shift = 0; shift < 64; shift += 4)
		if ((mask >> shift & 15) && !field_within(val, limit, shift, w->is_signed >> shift & 1))
			return false;
	return true;
}

/* AArch32 registers, CRm 1..3: the model has no AArch32, so they read as zero and take no notice of writes. */
static bool is_aarch32(unsigned index)
{
	unsigned crm = index / 8 + 1, op2 = index % 8;

	return crm == 1 || crm == 2 || (crm == 3 && op2 != 3 && op2 != 7);
}

/* vm->lock held; the first vcpu's PE is the model */
void idreg_vm_init(struct vm *vm, const struct cpu *model)
{
	struct vm_priv *p = vm->priv;

	if (p->id_set)
		return;
	p->id_set = true;
	memcpy(p->id, model->id, sizeof(p->id));
	memcpy(p->id_limit, model->id, sizeof(p->id_limit));
	p->ctr = p->ctr_limit = model->sys[CPU_CTR_EL0];
	p->clidr = model->sys[CPU_CLIDR_EL1];
	p->impl[0] = model->sys[CPU_MIDR_EL1];
	p->impl[1] = model->sys[CPU_REVIDR_EL1];
	p->impl[2] = model->sys[CPU_AIDR_EL1];
}

/* Fields that follow from the VM's devices and features. */
static uint64_t shown(const struct vcpu *vcpu, unsigned index)
{
	const struct vm *vm = vcpu->vm;
	uint64_t val = vm->priv->id[index];

	switch (index) {
	case CPU_ID(4, 0):
		val &= ~FIELD(24);
		if (vm->vgic && vgic_type(vm) == KVM_DEV_TYPE_ARM_VGIC_V3)
			val |= 1ull << 24;
		break;
	case CPU_ID(5, 0): {
		uint64_t pmuver = val >> 8 & 15;

		val &= ~FIELD(8);
		if (vcpu->features & 1u << KVM_ARM_VCPU_PMU_V3)
			val |= (pmuver ? pmuver : 1) << 8;
		break;
	}
	default: break;
	}
	return val;
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
	if (val >> 32)
		return -EINVAL;
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
	p->ctr = val;
	return 0;
}

static int set_id(struct vcpu *vcpu, unsigned index, uint64_t val)
{
	struct vm *vm = vcpu->vm;
	struct vm_priv *p = vm->priv;
	uint64_t now = shown(vcpu, index), limit = p->id_limit[index];

	if (is_aarch32(index) || val == now)
		return 0;
	if (atomic_load(&vm->has_run))
		return -EBUSY;
	if (index == CPU_ID(4, 0)) /* GIC follows from the device; a client that has not made it yet may ask for it */
		limit |= 1ull << 24, now = (now & ~FIELD(24)) | (val & FIELD(24) & (1ull << 24));
	if (index == CPU_ID(5, 0))
		limit = (limit & ~FIELD(8)) | (now & FIELD(8));
	if (!value_within(index, val, limit, now))
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

		masks[8 + i] = is_aarch32(i) ? UINT64_MAX : w ? w->mask : 0;
	}
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 1, 0, 0, 1)] = (1ull << 47) - 1;
	masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 3, 0, 0, 1)] = CTR_WRITABLE;
	if (vm->priv->writable_impl_ids) {
		masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 0, 0)] = 0xffffffff;
		masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 0, 0, 0, 6)] = 0xffffffff;
		masks[KVM_ARM_FEATURE_ID_RANGE_IDX(3, 1, 0, 0, 7)] = 0xffffffff;
	}
	return client_write(range->addr, masks, sizeof(masks));
}
