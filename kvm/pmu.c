/* SPDX-License-Identifier: MIT */
/*
 * PMUv3 (Arm ARM DDI 0487, "The Performance Monitors Extension"): the registers, a cycle counter that follows the system
 * counter, software increments, and the attributes of KVM_ARM_VCPU_PMU_V3_CTRL (devices/vcpu.rst). Counts no other events,
 * and raises no overflow interrupt.
 */
#include <errno.h>
#include <stdlib.h>

#include "core.h"
#include "vgic.h"

enum { PMU_COUNTERS = 6, CYCLE = 31 };
enum { EVENT_SW_INCR = 0x00, EVENT_CPU_CYCLES = 0x11 };
#define PMCR_E 1ull
#define PMCR_P 2ull
#define PMCR_C 4ull
#define PMCR_WRITABLE 0xf9ull /* without P and C, which read as 0 */
#define PMCR_N_SHIFT 11
#define PMUSERENR_EN 1u
#define PMUSERENR_SW 2u
#define PMUSERENR_CR 4u
#define PMUSERENR_ER 8u

struct vcpu_pmu { /* under vcpu->mutex */
	bool has_irq, inited;
	int irq;
	unsigned n;    /* event counters */
	uint64_t pmcr; /* writable bits */
	uint32_t enable, inten, overflow, selr, userenr;
	/* A counter that follows the system counter holds its value minus that; see is_running. */
	uint64_t counter[32];
	uint64_t type[32]; /* [31]: PMCCFILTR */
};

static uint32_t valid_mask(const struct vcpu_pmu *p)
{
	return 1u << CYCLE | ((1u << p->n) - 1);
}

static bool is_running(const struct vcpu_pmu *p, unsigned i)
{
	return (p->pmcr & PMCR_E) && (p->enable >> i & 1) && (i == CYCLE || (p->type[i] & 0xffff) == EVENT_CPU_CYCLES);
}

static uint64_t now(struct vcpu *vcpu)
{
	return cpu_group_counter(vcpu->vm->group);
}

static uint64_t counter_read(struct vcpu *vcpu, unsigned i)
{
	const struct vcpu_pmu *p = vcpu->pmu;
	uint64_t val = p->counter[i] + (is_running(p, i) ? now(vcpu) : 0);

	return i == CYCLE ? val : (uint32_t)val;
}

static void counter_write(struct vcpu *vcpu, unsigned i, uint64_t val)
{
	struct vcpu_pmu *p = vcpu->pmu;

	p->counter[i] = val - (is_running(p, i) ? now(vcpu) : 0);
}

/* Which counters run may be about to change: take their values out before, put them back after. */
static void counters_stop(struct vcpu *vcpu, uint64_t val[32])
{
	for (unsigned i = 0; i < 32; i++)
		val[i] = counter_read(vcpu, i);
}

static void counters_restart(struct vcpu *vcpu, const uint64_t val[32])
{
	for (unsigned i = 0; i < 32; i++)
		counter_write(vcpu, i, val[i]);
}

int pmu_vcpu_init(struct vcpu *vcpu)
{
	if (!vcpu->pmu) {
		vcpu->pmu = calloc(1, sizeof(*vcpu->pmu));
		if (!vcpu->pmu)
			return -ENOMEM;
		vcpu->pmu->n = PMU_COUNTERS;
	}
	return 0;
}

void pmu_vcpu_destroy(struct vcpu *vcpu)
{
	free(vcpu->pmu);
	vcpu->pmu = NULL;
}

void pmu_vcpu_reset(struct vcpu *vcpu)
{
	struct vcpu_pmu *p = vcpu->pmu;

	if (p)
		*p = (struct vcpu_pmu){
			.has_irq = p->has_irq, .inited = p->inited, .irq = p->irq, .n = p->n, .pmcr = 1 << 6 /* LC */};
}

int pmu_first_run(struct vcpu *vcpu)
{
	return vcpu->pmu && !vcpu->pmu->inited ? -EINVAL : 0;
}

/* ---- registers */

enum pmu_reg {
	PMCR,
	CNTENSET,
	CNTENCLR,
	OVSCLR,
	SWINC,
	SELR,
	CEID0,
	CEID1,
	CCNTR,
	XEVTYPER,
	XEVCNTR,
	USERENR,
	INTENSET,
	INTENCLR,
	OVSSET,
	EVCNTR,
	EVTYPER,
	UNKNOWN
};

/* Which register an encoding names, and for the numbered ones the counter. */
static enum pmu_reg decode(struct vcpu_pmu *p, uint32_t enc, unsigned *i)
{
	unsigned crn = enc >> 7 & 15, crm = enc >> 3 & 15, op2 = enc & 7;
	static const enum pmu_reg c12[8] = {PMCR, CNTENSET, CNTENCLR, OVSCLR, SWINC, SELR, CEID0, CEID1};
	static const enum pmu_reg c13[3] = {CCNTR, XEVTYPER, XEVCNTR};
	static const enum pmu_reg c14[4] = {USERENR, INTENSET, INTENCLR, OVSSET};

	*i = CYCLE;
	if (crn == 14) {
		*i = (crm & 3) << 3 | op2;
		return crm < 12 ? EVCNTR : EVTYPER;
	}
	if (crm == 13 && op2)
		*i = p->selr;
	return crm == 12 ? c12[op2] : crm == 13 && op2 < 3 ? c13[op2] : crm == 14 && op2 < 4 ? c14[op2] : UNKNOWN;
}

static uint64_t reg_read(struct vcpu *vcpu, enum pmu_reg reg, unsigned i)
{
	struct vcpu_pmu *p = vcpu->pmu;

	switch (reg) {
	case PMCR: return p->pmcr | (uint64_t)p->n << PMCR_N_SHIFT;
	case CNTENSET:
	case CNTENCLR: return p->enable;
	case INTENSET:
	case INTENCLR: return p->inten;
	case OVSSET:
	case OVSCLR: return p->overflow;
	case SELR: return p->selr;
	case USERENR: return p->userenr;
	case CEID0: return 1ull << EVENT_SW_INCR | 1ull << EVENT_CPU_CYCLES;
	case CCNTR:
	case EVCNTR:
	case XEVCNTR: return counter_read(vcpu, i);
	case EVTYPER:
	case XEVTYPER: return p->type[i];
	default: return 0;
	}
}

static void software_increment(struct vcpu *vcpu, uint32_t which)
{
	struct vcpu_pmu *p = vcpu->pmu;

	for (unsigned i = 0; i < p->n; i++) {
		if (!(which & p->enable & 1u << i) || !(p->pmcr & PMCR_E) || (p->type[i] & 0xffff) != EVENT_SW_INCR)
			continue;
		p->counter[i] = (uint32_t)(p->counter[i] + 1);
		if (p->counter[i] == 0)
			p->overflow |= 1u << i;
	}
}

static void reg_write(struct vcpu *vcpu, enum pmu_reg reg, unsigned i, uint64_t val)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint32_t bits = (uint32_t)val & valid_mask(p);
	uint64_t saved[32];

	counters_stop(vcpu, saved);
	switch (reg) {
	case PMCR:
		p->pmcr = val & PMCR_WRITABLE;
		if (val & PMCR_C)
			saved[CYCLE] = 0;
		for (unsigned k = 0; (val & PMCR_P) && k < p->n; k++)
			saved[k] = 0;
		break;
	case CNTENSET: p->enable |= bits; break;
	case CNTENCLR: p->enable &= ~bits; break;
	case INTENSET: p->inten |= bits; break;
	case INTENCLR: p->inten &= ~bits; break;
	case OVSSET: p->overflow |= bits; break;
	case OVSCLR: p->overflow &= ~bits; break;
	case SELR: p->selr = val & 31; break;
	case USERENR: p->userenr = val & 15; break;
	case CCNTR:
	case EVCNTR:
	case XEVCNTR: saved[i] = val; break;
	case EVTYPER:
	case XEVTYPER: p->type[i] = val & (i == CYCLE ? 0xf8000000u : 0xf800ffffu); break;
	default: break;
	}
	counters_restart(vcpu, saved);
	if (reg == SWINC)
		software_increment(vcpu, (uint32_t)val);
}

/* PMUSERENR_EL0 lets EL0 in: EN all, SW software increments, CR reads of the cycle counter, ER of event counters. */
static bool el0_may(const struct vcpu *vcpu, enum pmu_reg reg, bool is_write)
{
	uint32_t u = vcpu->pmu->userenr;

	if (cpu_el(vcpu->cpu))
		return true;
	switch (reg) {
	case INTENSET:
	case INTENCLR: return false;
	case USERENR: return !is_write;
	case SWINC: return u & (PMUSERENR_EN | PMUSERENR_SW);
	case CCNTR: return u & (PMUSERENR_EN | (is_write ? 0 : PMUSERENR_CR));
	case XEVCNTR:
	case EVCNTR: return u & (PMUSERENR_EN | (is_write ? 0 : PMUSERENR_ER));
	case SELR: return u & (PMUSERENR_EN | PMUSERENR_ER);
	default: return u & PMUSERENR_EN;
	}
}

static bool counter_exists(const struct vcpu_pmu *p, enum pmu_reg reg, unsigned i)
{
	if (reg == EVCNTR || reg == XEVCNTR)
		return i < p->n;
	if (reg == EVTYPER || reg == XEVTYPER)
		return i < p->n || i == CYCLE;
	return true;
}

int pmu_guest_read(struct vcpu *vcpu, uint32_t enc, uint64_t *val)
{
	unsigned i;
	enum pmu_reg reg = decode(vcpu->pmu, enc, &i);

	if (reg == UNKNOWN || reg == SWINC || !el0_may(vcpu, reg, false) || !counter_exists(vcpu->pmu, reg, i))
		return -ENOENT;
	*val = reg_read(vcpu, reg, i);
	return 0;
}

int pmu_guest_write(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	unsigned i;
	enum pmu_reg reg = decode(vcpu->pmu, enc, &i);

	if (reg == UNKNOWN || reg == CEID0 || reg == CEID1 || !el0_may(vcpu, reg, true) ||
	    !counter_exists(vcpu->pmu, reg, i))
		return -ENOENT;
	reg_write(vcpu, reg, i, val);
	return 0;
}

int pmu_client_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val)
{
	unsigned i;
	enum pmu_reg reg = decode(vcpu->pmu, enc, &i);

	*val = reg_read(vcpu, reg, i);
	return 0;
}

/* The client restores state: no side effects, and the SET registers replace. */
int pmu_client_set(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint32_t bits = (uint32_t)val & valid_mask(p);
	uint64_t saved[32];
	unsigned i;
	enum pmu_reg reg = decode(p, enc, &i);

	counters_stop(vcpu, saved);
	switch (reg) {
	case PMCR:
		if (!atomic_load(&vcpu->vm->has_run) && (val >> PMCR_N_SHIFT & 31) <= PMU_COUNTERS)
			p->n = val >> PMCR_N_SHIFT & 31;
		p->pmcr = val & PMCR_WRITABLE;
		break;
	case CNTENSET: p->enable = bits; break;
	case INTENSET: p->inten = bits; break;
	case OVSSET: p->overflow = bits; break;
	case CNTENCLR: p->enable &= ~bits; break;
	case INTENCLR: p->inten &= ~bits; break;
	case OVSCLR: p->overflow &= ~bits; break;
	case SWINC: break;
	default:
		counters_restart(vcpu, saved);
		reg_write(vcpu, reg, i, val);
		return 0;
	}
	counters_restart(vcpu, saved);
	return 0;
}

/* ---- attributes */

static int set_irq(struct vcpu *vcpu, uint64_t addr)
{
	struct vcpu_pmu *p = vcpu->pmu;
	int irq, err = client_read(&irq, addr, sizeof(irq));

	if (err)
		return err;
	if (!vcpu->vm->vgic || irq < 16 || irq > 1019)
		return -EINVAL;
	for (unsigned i = 0; i < atomic_load(&vcpu->vm->n_vcpus); i++) {
		const struct vcpu_pmu *o = vcpu->vm->vcpus[i]->pmu;

		if (o && o->has_irq && (irq < 32 ? o->irq != irq : o->irq == irq))
			return -EINVAL;
	}
	if (p->has_irq)
		return -EBUSY;
	p->has_irq = true;
	p->irq = irq;
	return 0;
}

static int init(struct vcpu *vcpu)
{
	struct vcpu_pmu *p = vcpu->pmu;

	if (p->inited)
		return -EBUSY;
	if (vcpu->vm->vgic) {
		int err;

		if (!vgic_initialized(vcpu->vm))
			return -ENODEV;
		if (!p->has_irq)
			return -ENXIO;
		err = vgic_claim(vcpu->vm, vcpu, (unsigned)p->irq, p);
		if (err)
			return err;
	}
	p->inited = true;
	return 0;
}

static int set_filter(struct vcpu *vcpu, uint64_t addr)
{
	struct kvm_pmu_event_filter f;
	int err = client_read(&f, addr, sizeof(f));

	if (err)
		return err;
	if (atomic_load(&vcpu->vm->has_run))
		return -EBUSY;
	if ((unsigned)f.base_event + f.nevents > 0x10000 || f.action > KVM_PMU_EVENT_DENY)
		return -EINVAL;
	return 0; /* the only events there are can not be filtered: software increments, and cycles */
}

int pmu_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	int err = pmu_has_attr(vcpu, attr);

	if (attr->attr <= KVM_ARM_VCPU_PMU_V3_INIT && !vcpu->pmu)
		return -ENODEV;
	if (err)
		return err;
	if (vcpu->pmu->inited)
		return -EBUSY;
	switch (attr->attr) {
	case KVM_ARM_VCPU_PMU_V3_IRQ: return set_irq(vcpu, attr->addr);
	case KVM_ARM_VCPU_PMU_V3_INIT: return init(vcpu);
	case KVM_ARM_VCPU_PMU_V3_FILTER: return set_filter(vcpu, attr->addr);
	case KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS: {
		uint32_t n;

		err = client_read(&n, attr->addr, sizeof(n));
		if (err)
			return err;
		if (n > PMU_COUNTERS)
			return -EINVAL;
		vcpu->pmu->n = n;
		return 0;
	}
	default: return -ENXIO; /* SET_PMU: there is one, without a number */
	}
}

int pmu_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	if (attr->attr != KVM_ARM_VCPU_PMU_V3_IRQ)
		return -ENXIO;
	if (!vcpu->vm->vgic)
		return -EINVAL;
	if (!vcpu->pmu)
		return -ENODEV;
	if (!vcpu->pmu->has_irq)
		return -ENXIO;
	return client_write(attr->addr, &vcpu->pmu->irq, sizeof(vcpu->pmu->irq));
}

int pmu_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	switch (attr->attr) {
	case KVM_ARM_VCPU_PMU_V3_IRQ:
	case KVM_ARM_VCPU_PMU_V3_INIT:
	case KVM_ARM_VCPU_PMU_V3_FILTER:
	case KVM_ARM_VCPU_PMU_V3_SET_PMU:
	case KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS: return vcpu->pmu ? 0 : -ENXIO;
	default: return -ENXIO;
	}
}
