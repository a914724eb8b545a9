/* SPDX-License-Identifier: MIT */
/*
 * PMUv3 (Arm ARM DDI 0487, "The Performance Monitors Extension"), and the attributes of KVM_ARM_VCPU_PMU_V3_CTRL
 * (devices/vcpu.rst). Counts what the PE counts (cpu/count.c): time in the guest, called cycles of a processor of 1 GHz, and
 * instructions; and what software counts, and counters that continue others.
 *
 * Counters are brought up to date when somebody looks at a register and before the guest is entered. That is soon enough: the
 * PE comes back when the next overflow of a counter of instructions is due, and a timer interrupts it for one of cycles.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "vgic.h"

enum { CYCLE = 31, CYCLES_PER_TICK = 1000000000 / CPU_CNTFRQ };
enum {
	EVENT_SW_INCR = 0x00,
	EVENT_INST_RETIRED = 0x08,
	EVENT_CPU_CYCLES = 0x11,
	EVENT_CHAIN = 0x1e,
	N_EVENTS = 0x10000
};
enum { PMUV3P1 = 4, PMUV3P5 = 6 }; /* ID_AA64DFR0_EL1.PMUVer */
enum { WORD_BITS = 8 * sizeof(unsigned long) };
#define PMCR_E 1ull
#define PMCR_P 2ull
#define PMCR_C 4ull
#define PMCR_LC (1ull << 6)
#define PMCR_LP (1ull << 7)
#define PMCR_WRITABLE 0xf9ull /* without P and C, which read as 0 */
#define PMCR_N_SHIFT 11
#define TYPE_P (1u << 31) /* not at EL1 */
#define TYPE_U (1u << 30) /* not at EL0 */
#define TYPE_NSK (1u << 29)
#define TYPE_NSU (1u << 28)
#define PMUSERENR_EN 1u
#define PMUSERENR_SW 2u
#define PMUSERENR_CR 4u
#define PMUSERENR_ER 8u

struct vcpu_pmu { /* under vcpu->mutex */
	bool has_irq, inited;
	int irq;
	uint64_t pmcr; /* writable bits */
	uint32_t enable, inten, overflow, selr, userenr;
	uint64_t counter[32]; /* as of the last count() */
	uint64_t type[32];    /* [31]: PMCCFILTR */
	struct service_timer timer;
	_Atomic bool timer_armed;
};

static unsigned n_counters(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->vm->priv->pmu_counters, memory_order_relaxed);
}

static uint32_t valid_mask(const struct vcpu *vcpu)
{
	return 1u << CYCLE | ((1u << n_counters(vcpu)) - 1);
}

static unsigned pmuver(const struct vcpu *vcpu)
{
	return vcpu->cpu->id[CPU_ID(5, 0)] >> 8 & 15;
}

static uint32_t event_mask(unsigned version) /* PMEVTYPER.evtCount */
{
	return version >= PMUV3P1 && version != 15 ? 0xffff : 0x3ff;
}

static bool has_long_counters(const struct vcpu *vcpu)
{
	return pmuver(vcpu) >= PMUV3P5 && pmuver(vcpu) != 15;
}

/* ---- what counts */

static unsigned event_of(const struct vcpu *vcpu, unsigned i)
{
	return i == CYCLE ? EVENT_CPU_CYCLES : vcpu->pmu->type[i] & event_mask(pmuver(vcpu));
}

static bool event_allowed(const struct vcpu *vcpu, unsigned event)
{
	const unsigned long *filter = vcpu->vm->priv->pmu_filter;

	if (event == EVENT_SW_INCR || event == EVENT_CHAIN || !filter)
		return true;
	return filter[event / WORD_BITS] >> event % WORD_BITS & 1;
}

static bool is_enabled(const struct vcpu_pmu *p, unsigned i)
{
	return (p->pmcr & PMCR_E) && (p->enable >> i & 1);
}

/* The PE counts for this one. */
static bool follows(const struct vcpu *vcpu, unsigned i, unsigned event)
{
	return is_enabled(vcpu->pmu, i) && event_of(vcpu, i) == event && event_allowed(vcpu, event);
}

/* EL0 and EL1 as the filter bits choose: those of the Non-secure state invert the others. */
static uint64_t selected(uint64_t type, const uint64_t by_el[2])
{
	bool not_el1 = !!(type & TYPE_P) != !!(type & TYPE_NSK), not_el0 = !!(type & TYPE_U) != !!(type & TYPE_NSU);

	return (not_el0 ? 0 : by_el[0]) + (not_el1 ? 0 : by_el[1]);
}

static bool overflows_at_64_bits(const struct vcpu *vcpu, unsigned i)
{
	return vcpu->pmu->pmcr & (i == CYCLE ? PMCR_LC : PMCR_LP);
}

static bool holds_64_bits(const struct vcpu *vcpu, unsigned i)
{
	return i == CYCLE || has_long_counters(vcpu);
}

/* Add to a counter; sets its overflow bit, and lets the next one continue it if that is asked for. */
static void advance(struct vcpu *vcpu, unsigned i, uint64_t n)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint64_t old = p->counter[i], new = old + n, carry;

	if (overflows_at_64_bits(vcpu, i))
		carry = new < old;
	else
		carry = ((old & 0xffffffff) + n) >> 32;
	p->counter[i] = holds_64_bits(vcpu, i) ? new : (uint32_t) new;
	if (!carry)
		return;
	p->overflow |= 1u << i;
	if (!(i & 1) && i + 1 < n_counters(vcpu) && !overflows_at_64_bits(vcpu, i) && is_enabled(p, i + 1) &&
	    event_of(vcpu, i + 1) == EVENT_CHAIN)
		advance(vcpu, i + 1, carry);
}

/* What the PE has counted since the last time, into the counters. */
static void count(struct vcpu *vcpu)
{
	struct vcpu_pmu *p = vcpu->pmu;
	struct cpu_count *c = &vcpu->cpu->count;
	uint64_t cycles[2] = {c->cycle[0] * CYCLES_PER_TICK, c->cycle[1] * CYCLES_PER_TICK};
	uint32_t all = p->enable & valid_mask(vcpu);

	if (!(c->cycle[0] | c->cycle[1] | c->insn[0] | c->insn[1]))
		return;
	for (uint32_t m = all; m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctz(m);

		if (follows(vcpu, i, EVENT_CPU_CYCLES))
			advance(vcpu, i, selected(p->type[i], cycles));
		else if (follows(vcpu, i, EVENT_INST_RETIRED))
			advance(vcpu, i, selected(p->type[i], c->insn));
	}
	memset(c->cycle, 0, sizeof(c->cycle));
	memset(c->insn, 0, sizeof(c->insn));
}

static uint64_t until_overflow(const struct vcpu *vcpu, unsigned i)
{
	uint64_t val = vcpu->pmu->counter[i];

	if (!overflows_at_64_bits(vcpu, i))
		return 0x100000000ull - (uint32_t)val;
	return val < 2 ? UINT64_MAX - 1 : -val;
}

/* The smallest distance to an overflow among the counters of an event; UINT64_MAX: none counts it. */
static uint64_t next_overflow(const struct vcpu *vcpu, unsigned event)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t m = vcpu->pmu->enable & valid_mask(vcpu); m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctz(m);

		if (follows(vcpu, i, event) && until_overflow(vcpu, i) < least)
			least = until_overflow(vcpu, i);
	}
	return least;
}

/* ---- the interrupt */

static void set_line(struct vcpu *vcpu)
{
	struct vcpu_pmu *p = vcpu->pmu;
	bool level = (p->pmcr & PMCR_E) && (p->overflow & p->inten & p->enable);

	if (level == vcpu->pmu_level)
		return;
	vcpu->pmu_level = level;
	if (vcpu->vgic && p->inited)
		vgic_set_irq(vcpu->vm, p->irq < 32 ? vcpu : NULL, (unsigned)p->irq, level, p);
}

/* Service thread. A vcpu that sleeps counts nothing; it looks when it goes on. */
static void timer_fired(void *arg)
{
	struct vcpu *vcpu = arg;

	atomic_store(&vcpu->pmu->timer_armed, false);
	if (!atomic_load(&vcpu->sleeping))
		vcpu_request(vcpu, REQ_PMU);
}

/* Time that is not spent in the guest does not count, so the timer fires too early rather than too late, and is set again. */
static void arm_timer(struct vcpu *vcpu, uint64_t cycles)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint64_t ticks = cycles / CYCLES_PER_TICK + 1;

	if (cycles == UINT64_MAX || ticks >> 62 || atomic_exchange(&p->timer_armed, true))
		return;
	service_timer_arm(vcpu->vm, &p->timer, cpu_group_counter(vcpu->vm->group) + ticks);
}

void pmu_update(struct vcpu *vcpu)
{
	struct cpu_count *c = &vcpu->cpu->count;
	uint64_t cycles, insns;

	count(vcpu);
	set_line(vcpu);
	cycles = next_overflow(vcpu, EVENT_CPU_CYCLES);
	insns = next_overflow(vcpu, EVENT_INST_RETIRED);
	c->cycles = cycles != UINT64_MAX;
	c->insns = insns != UINT64_MAX;
	c->insns_left = c->insns ? insns : 0;
	vcpu->pmu_busy = c->cycles || c->insns;
	if (vcpu->pmu->inten)
		arm_timer(vcpu, cycles);
}

/* ---- life */

int pmu_vcpu_init(struct vcpu *vcpu)
{
	if (!vcpu->pmu) {
		vcpu->pmu = calloc(1, sizeof(*vcpu->pmu));
		if (!vcpu->pmu)
			return -ENOMEM;
		vcpu->pmu->timer.fn = timer_fired;
		vcpu->pmu->timer.arg = vcpu;
	}
	return 0;
}

void pmu_cancel_timer(struct vcpu *vcpu)
{
	if (vcpu->pmu)
		service_timer_cancel(vcpu->vm, &vcpu->pmu->timer);
}

void pmu_vcpu_destroy(struct vcpu *vcpu)
{
	free(vcpu->pmu);
	vcpu->pmu = NULL;
}

void pmu_vcpu_reset(struct vcpu *vcpu)
{
	struct vcpu_pmu *p = vcpu->pmu;

	if (!p)
		return;
	p->pmcr = PMCR_LC;
	p->enable = p->inten = p->overflow = p->selr = p->userenr = 0;
	memset(p->counter, 0, sizeof(p->counter));
	memset(p->type, 0, sizeof(p->type));
	memset(&vcpu->cpu->count, 0, sizeof(vcpu->cpu->count));
	vcpu->pmu_busy = true;
	set_line(vcpu);
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

static uint64_t events_there(const struct vcpu *vcpu)
{
	static const uint8_t events[] = {EVENT_SW_INCR, EVENT_INST_RETIRED, EVENT_CPU_CYCLES, EVENT_CHAIN};
	uint64_t val = 0;

	for (unsigned i = 0; i < sizeof(events); i++)
		if (event_allowed(vcpu, events[i]))
			val |= 1ull << events[i];
	return val;
}

static uint64_t reg_read(struct vcpu *vcpu, enum pmu_reg reg, unsigned i)
{
	struct vcpu_pmu *p = vcpu->pmu;

	count(vcpu);
	switch (reg) {
	case PMCR: return p->pmcr | (uint64_t)n_counters(vcpu) << PMCR_N_SHIFT;
	case CNTENSET:
	case CNTENCLR: return p->enable;
	case INTENSET:
	case INTENCLR: return p->inten;
	case OVSSET:
	case OVSCLR: return p->overflow;
	case SELR: return p->selr;
	case USERENR: return p->userenr;
	case CEID0: return events_there(vcpu);
	case CCNTR:
	case EVCNTR:
	case XEVCNTR: return p->counter[i];
	case EVTYPER:
	case XEVTYPER: return p->type[i];
	default: return 0;
	}
}

static void software_increment(struct vcpu *vcpu, uint32_t which)
{
	for (uint32_t m = which & valid_mask(vcpu) & ~(1u << CYCLE); m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctz(m);

		if (is_enabled(vcpu->pmu, i) && event_of(vcpu, i) == EVENT_SW_INCR)
			advance(vcpu, i, 1);
	}
}

static void set_pmcr(struct vcpu *vcpu, uint64_t val)
{
	vcpu->pmu->pmcr = val & PMCR_WRITABLE & ~(has_long_counters(vcpu) ? 0 : PMCR_LP);
}

static void set_type(struct vcpu *vcpu, unsigned i, uint64_t val)
{
	vcpu->pmu->type[i] = val & (0xf8000000u | (i == CYCLE ? 0 : event_mask(pmuver(vcpu))));
}

static void reg_write(struct vcpu *vcpu, enum pmu_reg reg, unsigned i, uint64_t val)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint32_t bits = (uint32_t)val & valid_mask(vcpu);

	count(vcpu); /* under the old settings */
	vcpu->pmu_busy = true;
	switch (reg) {
	case PMCR:
		set_pmcr(vcpu, val);
		if (val & PMCR_C)
			p->counter[CYCLE] = 0;
		for (unsigned k = 0; (val & PMCR_P) && k < n_counters(vcpu); k++)
			p->counter[k] = 0;
		break;
	case CNTENSET: p->enable |= bits; break;
	case CNTENCLR: p->enable &= ~bits; break;
	case INTENSET: p->inten |= bits; break;
	case INTENCLR: p->inten &= ~bits; break;
	case OVSSET: p->overflow |= bits; break;
	case OVSCLR: p->overflow &= ~bits; break;
	case SWINC: software_increment(vcpu, bits); break;
	case SELR: p->selr = val & 31; break;
	case USERENR: p->userenr = val & 15; break;
	case CCNTR:
	case EVCNTR:
	case XEVCNTR: p->counter[i] = holds_64_bits(vcpu, i) ? val : (uint32_t)val; break;
	case EVTYPER:
	case XEVTYPER: set_type(vcpu, i, val); break;
	default: break;
	}
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

static bool counter_exists(const struct vcpu *vcpu, enum pmu_reg reg, unsigned i)
{
	if (reg == EVCNTR || reg == XEVCNTR)
		return i < n_counters(vcpu);
	if (reg == EVTYPER || reg == XEVTYPER)
		return i < n_counters(vcpu) || i == CYCLE;
	return true;
}

int pmu_guest_read(struct vcpu *vcpu, uint32_t enc, uint64_t *val)
{
	unsigned i;
	enum pmu_reg reg = decode(vcpu->pmu, enc, &i);

	if (reg == UNKNOWN || reg == SWINC || !el0_may(vcpu, reg, false) || !counter_exists(vcpu, reg, i))
		return -ENOENT;
	*val = reg_read(vcpu, reg, i);
	return 0;
}

int pmu_guest_write(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	unsigned i;
	enum pmu_reg reg = decode(vcpu->pmu, enc, &i);

	if (reg == UNKNOWN || reg == CEID0 || reg == CEID1 || !el0_may(vcpu, reg, true) ||
	    !counter_exists(vcpu, reg, i))
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

/* The client restores state: no side effects, and both of a SET and a CLR register replace, as both are listed. */
int pmu_client_set(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	struct vcpu_pmu *p = vcpu->pmu;
	uint32_t bits = (uint32_t)val & valid_mask(vcpu);
	unsigned i, n = val >> PMCR_N_SHIFT & 31;
	enum pmu_reg reg = decode(p, enc, &i);

	count(vcpu);
	vcpu->pmu_busy = true;
	switch (reg) {
	case PMCR:
		if (!atomic_load(&vcpu->vm->has_run) && n <= PMU_COUNTERS)
			atomic_store(&vcpu->vm->priv->pmu_counters, n);
		set_pmcr(vcpu, val);
		break;
	case CNTENSET:
	case CNTENCLR: p->enable = bits; break;
	case INTENSET:
	case INTENCLR: p->inten = bits; break;
	case OVSSET:
	case OVSCLR: p->overflow = bits; break;
	case SWINC: break;
	default: reg_write(vcpu, reg, i, val); break;
	}
	return 0;
}

/* ---- attributes */

static int set_irq(struct vcpu *vcpu, uint64_t addr)
{
	struct vcpu_pmu *p = vcpu->pmu;
	int irq, err;

	if (!vcpu->vm->vgic)
		return -EINVAL;
	err = client_read(&irq, addr, sizeof(irq));
	if (err)
		return err;
	if (irq < 16 || irq > 1019)
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

static void filter_range(unsigned long *filter, unsigned first, unsigned n, bool allow)
{
	for (unsigned e = first; e < first + n; e++) {
		if (allow)
			filter[e / WORD_BITS] |= 1ul << e % WORD_BITS;
		else
			filter[e / WORD_BITS] &= ~(1ul << e % WORD_BITS);
	}
}

/* The first filter says what becomes of the events that none names: the opposite of its own action. */
static int set_filter(struct vcpu *vcpu, uint64_t addr)
{
	struct vm *vm = vcpu->vm;
	struct kvm_pmu_event_filter f;
	int err = client_read(&f, addr, sizeof(f));

	if (err)
		return err;
	if ((unsigned)f.base_event + f.nevents > event_mask(pmuver(vcpu)) + 1u || f.action > KVM_PMU_EVENT_DENY)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	if (atomic_load(&vm->has_run))
		err = -EBUSY;
	if (!err && !vm->priv->pmu_filter) {
		vm->priv->pmu_filter = malloc(N_EVENTS / 8);
		if (!vm->priv->pmu_filter)
			err = -ENOMEM;
		else
			memset(vm->priv->pmu_filter, f.action == KVM_PMU_EVENT_ALLOW ? 0 : 0xff, N_EVENTS / 8);
	}
	if (!err)
		filter_range(vm->priv->pmu_filter, f.base_event, f.nevents, f.action == KVM_PMU_EVENT_ALLOW);
	pthread_mutex_unlock(&vm->lock);
	return err;
}

static int set_nr_counters(struct vcpu *vcpu, uint64_t addr)
{
	uint32_t n;
	int err = client_read(&n, addr, sizeof(n));

	if (err)
		return err;
	if (n > PMU_COUNTERS)
		return -EINVAL;
	atomic_store(&vcpu->vm->priv->pmu_counters, n);
	return 0;
}

static int set_pmu(struct vcpu *vcpu, uint64_t addr)
{
	int id, err = client_read(&id, addr, sizeof(id));

	return err ? err : -ENXIO; /* there is one, and it is not one of the host's */
}

int pmu_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	if (!vcpu->pmu)
		return -ENODEV;
	if (vcpu->pmu->inited)
		return -EBUSY;
	switch (attr->attr) {
	case KVM_ARM_VCPU_PMU_V3_IRQ: return set_irq(vcpu, attr->addr);
	case KVM_ARM_VCPU_PMU_V3_INIT: return init(vcpu);
	case KVM_ARM_VCPU_PMU_V3_FILTER: return set_filter(vcpu, attr->addr);
	case KVM_ARM_VCPU_PMU_V3_SET_PMU: return set_pmu(vcpu, attr->addr);
	case KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS: return set_nr_counters(vcpu, attr->addr);
	default: return -ENXIO;
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
