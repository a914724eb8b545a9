/* SPDX-License-Identifier: MIT */
/*
 * The EL1 virtual and physical timer of each vcpu, on the hypervisor's side: when a line rises and falls, offsets of
 * the counter, and what the client sets. Arm ARM DDI 0487, "The Generic Timer in AArch64 state"; api.rst 4.140;
 * arm/vcpu.rst, "KVM_ARM_VCPU_TIMER_CTRL". The registers themselves and their arithmetic for the guest are the PE's
 * (cpu/timer.c).
 *
 * Each timer has a copy of its registers here under a lock, and the counter value at which its line rises. The guest's
 * write updates both (timer_changed), the service thread raises the line when that moment comes, or the vcpu that waits for
 * it does (timer_poll_end). So the service thread never looks at a running PE, and a timer that was moved cannot fire at its old
 * time.
 */
#include <errno.h>
#include <stdlib.h>

#include "kvm.h"
#include "vgic.h"

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };
/* How much later the service thread comes if the vcpu polls: when the guest is through with this and has set the next, most likely,
 * so that neither is a system call of the vcpu while the guest runs. */
enum { POLLED_LATER = CPU_CNTFRQ / 20000 };
enum { EL2_VTIMER_PPI = 28, EL2_PTIMER_PPI = 26, PPI_FIRST = 16, PPI_END = 32 };

struct vcpu_timers {
	pthread_mutex_t lock; /* taken before the vgic's and the service's */
	struct {
		uint32_t ctl;
		uint64_t cval;
		uint64_t rise; /* host counter value at which the line goes up; UINT64_MAX: not by time alone */
	} timer[CPU_TIMER_COUNT];
	bool connected; /* the lines go to the vgic: from the first run on */
};

static const char owner; /* whose address says: the timer drives this line */

/* ---- lines */

static void set_level_locked(struct vcpu *vcpu, unsigned t, bool level)
{
	if (vcpu->timer_level[t] == level)
		return;
	__atomic_store_n(&vcpu->timer_level[t], level, __ATOMIC_RELEASE);
	if (vcpu->timers->connected)
		vgic_set_irq(vcpu->vm, vcpu, vcpu->vm->timer_ppi[t], level, &owner);
	else if (!vcpu->vgic && vcpu->run)
		vcpu_kick(vcpu); /* timer_update_user_level finds it */
}

/* The line, and when it rises, from the copy of the registers. */
static void refresh_locked(struct vcpu *vcpu, unsigned t)
{
	struct vcpu_timers *ts = vcpu->timers;
	bool on = (ts->timer[t].ctl & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE, level = false;
	uint64_t rise = UINT64_MAX;

	if (on) {
		uint64_t now = cpu_group_counter(vcpu->vm->group);
		uint64_t count = now - cpu_group_offset(vcpu->vm->group, t);

		level = count >= ts->timer[t].cval;
		if (!level && ts->timer[t].cval - count <= UINT64_MAX - now)
			rise = now + (ts->timer[t].cval - count);
	}
	set_level_locked(vcpu, t, level);
	if (rise != ts->timer[t].rise) {
		ts->timer[t].rise = rise;
		service_timer_arm(vcpu->vm, &vcpu->timer_deadline[t], rise);
	}
}

/* The registers of the PE changed. vcpu thread, or under vcpu->mutex. */
static void update(struct vcpu *vcpu, unsigned t)
{
	struct vcpu_timers *ts = vcpu->timers;

	pthread_mutex_lock(&ts->lock);
	ts->timer[t].ctl = vcpu->cpu->timer[t].ctl;
	ts->timer[t].cval = vcpu->cpu->timer[t].cval;
	refresh_locked(vcpu, t);
	pthread_mutex_unlock(&ts->lock);
}

void timer_changed(void *opaque)
{
	struct vcpu *vcpu = opaque;
	struct vcpu_timers *ts = vcpu->timers;

	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		if (ts->timer[t].ctl != vcpu->cpu->timer[t].ctl || ts->timer[t].cval != vcpu->cpu->timer[t].cval)
			update(vcpu, t);
}

/* Service thread, or the vcpu's */
static void deadline(struct vcpu *vcpu, unsigned t)
{
	struct vcpu_timers *ts = vcpu->timers;

	pthread_mutex_lock(&ts->lock);
	if (ts->timer[t].rise != UINT64_MAX && cpu_group_counter(vcpu->vm->group) >= ts->timer[t].rise) {
		ts->timer[t].rise = UINT64_MAX;
		set_level_locked(vcpu, t, true);
	}
	pthread_mutex_unlock(&ts->lock);
}

uint64_t timer_next_rise(struct vcpu *vcpu)
{
	struct vcpu_timers *ts = vcpu->timers;
	uint64_t v, p;

	pthread_mutex_lock(&ts->lock);
	v = ts->timer[CPU_TIMER_V].rise;
	p = ts->timer[CPU_TIMER_P].rise;
	pthread_mutex_unlock(&ts->lock);
	return v < p ? v : p;
}

void timer_poll_begin(struct vcpu *vcpu)
{
	struct vcpu_timers *ts = vcpu->timers;

	pthread_mutex_lock(&ts->lock);
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		if (ts->timer[t].rise < UINT64_MAX - POLLED_LATER)
			service_timer_defer(vcpu->vm, &vcpu->timer_deadline[t], ts->timer[t].rise + POLLED_LATER);
	pthread_mutex_unlock(&ts->lock);
}

void timer_poll_end(struct vcpu *vcpu)
{
	struct vcpu_timers *ts = vcpu->timers;

	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		deadline(vcpu, t);
	pthread_mutex_lock(&ts->lock);
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		if (ts->timer[t].rise != UINT64_MAX)
			service_timer_arm(vcpu->vm, &vcpu->timer_deadline[t], ts->timer[t].rise);
	pthread_mutex_unlock(&ts->lock);
}

static void deadline_v(void *arg)
{
	deadline(arg, CPU_TIMER_V);
}
static void deadline_p(void *arg)
{
	deadline(arg, CPU_TIMER_P);
}

bool timer_update_user_level(struct vcpu *vcpu)
{
	uint64_t old = vcpu->run->s.regs.device_irq_level,
		 val = old & ~(uint64_t)(KVM_ARM_DEV_EL1_VTIMER | KVM_ARM_DEV_EL1_PTIMER | KVM_ARM_DEV_PMU);

	if (__atomic_load_n(&vcpu->timer_level[CPU_TIMER_V], __ATOMIC_ACQUIRE))
		val |= KVM_ARM_DEV_EL1_VTIMER;
	if (__atomic_load_n(&vcpu->timer_level[CPU_TIMER_P], __ATOMIC_ACQUIRE))
		val |= KVM_ARM_DEV_EL1_PTIMER;
	if (vcpu->pmu_level)
		val |= KVM_ARM_DEV_PMU;
	if (val == old)
		return false;
	vcpu->run->s.regs.device_irq_level = val;
	return true;
}

/* ---- offsets */

static void set_offset(struct vm *vm, unsigned t, uint64_t offset)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	cpu_group_set_offset(vm->group, t, offset);
	for (unsigned i = 0; i < n; i++) {
		struct vcpu_timers *ts = vm->vcpus[i]->timers;

		pthread_mutex_lock(&ts->lock);
		refresh_locked(vm->vcpus[i], t);
		pthread_mutex_unlock(&ts->lock);
	}
}

int timer_set_counter_offset(struct vm *vm, const struct kvm_arm_counter_offset *off)
{
	int err;

	if (off->reserved)
		return -EINVAL;
	err = vm_lock_all_vcpus(vm);
	if (err)
		return err;
	__atomic_store_n(&vm->counter_offset_set, true, __ATOMIC_RELEASE);
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		set_offset(vm, t, off->counter_offset);
	vm_unlock_all_vcpus(vm);
	return 0;
}

/* ---- life */

int timer_vcpu_create(struct vcpu *vcpu)
{
	struct vcpu_timers *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	pthread_mutex_init(&ts->lock, NULL);
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++) {
		ts->timer[t].rise = UINT64_MAX;
		vcpu->timer_deadline[t].fn = t == CPU_TIMER_V ? deadline_v : deadline_p;
		vcpu->timer_deadline[t].arg = vcpu;
	}
	vcpu->timers = ts;
	if (!vcpu->vm->counter_offset_set)
		set_offset(vcpu->vm, CPU_TIMER_V, cpu_group_counter(vcpu->vm->group));
	return 0;
}

void timer_vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->timers)
		return;
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		service_timer_cancel(vcpu->vm, &vcpu->timer_deadline[t]);
	pthread_mutex_destroy(&vcpu->timers->lock);
	free(vcpu->timers);
	vcpu->timers = NULL;
}

void timer_vcpu_reset(struct vcpu *vcpu)
{
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++) {
		vcpu->cpu->timer[t].ctl = 0;
		update(vcpu, t);
	}
}

int timer_vcpu_first_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	if (!vm->vgic)
		return 0;
	if (vm->timer_ppi[CPU_TIMER_V] == vm->timer_ppi[CPU_TIMER_P])
		return -EINVAL;
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		if (vgic_claim(vm, vcpu, vm->timer_ppi[t], &owner) != 0)
			return -EINVAL;
	pthread_mutex_lock(&vcpu->timers->lock);
	vcpu->timers->connected = true;
	for (unsigned t = 0; t < CPU_TIMER_COUNT; t++)
		vgic_set_irq(vm, vcpu, vm->timer_ppi[t], vcpu->timer_level[t], &owner);
	pthread_mutex_unlock(&vcpu->timers->lock);
	return 0;
}

/* ---- KVM_ARM_VCPU_TIMER_CTRL */

static uint32_t *ppi_of(struct vm *vm, uint64_t attr)
{
	switch (attr) {
	case KVM_ARM_VCPU_TIMER_IRQ_VTIMER: return &vm->timer_ppi[CPU_TIMER_V];
	case KVM_ARM_VCPU_TIMER_IRQ_PTIMER: return &vm->timer_ppi[CPU_TIMER_P];
	case KVM_ARM_VCPU_TIMER_IRQ_HVTIMER: return &vm->timer_ppi_el2[0];
	case KVM_ARM_VCPU_TIMER_IRQ_HPTIMER: return &vm->timer_ppi_el2[1];
	default: return NULL;
	}
}

int timer_set_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	struct vm *vm = vcpu->vm;
	uint32_t *ppi = ppi_of(vm, attr->attr);
	int32_t irq;
	int err;

	if (!vm->vgic)
		return -EINVAL;
	err = client_read(&irq, attr->addr, sizeof(irq));
	if (err)
		return err;
	if (irq < PPI_FIRST || irq >= PPI_END)
		return -EINVAL;
	pthread_mutex_lock(&vm->lock);
	if (atomic_load(&vm->has_run))
		err = -EBUSY;
	else if (!ppi)
		err = -ENXIO;
	else
		*ppi = (uint32_t)irq;
	pthread_mutex_unlock(&vm->lock);
	return err;
}

int timer_get_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	struct vm *vm = vcpu->vm;
	uint32_t *ppi = ppi_of(vm, attr->attr);
	int32_t irq;

	if (!ppi)
		return -ENXIO;
	pthread_mutex_lock(&vm->lock);
	irq = (int32_t)*ppi;
	pthread_mutex_unlock(&vm->lock);
	if (!irq)
		irq = attr->attr == KVM_ARM_VCPU_TIMER_IRQ_HVTIMER ? EL2_VTIMER_PPI : EL2_PTIMER_PPI;
	return client_write(attr->addr, &irq, sizeof(irq));
}

int timer_has_attr(struct vcpu *vcpu, const struct kvm_device_attr *attr)
{
	return ppi_of(vcpu->vm, attr->attr) ? 0 : -ENXIO;
}

/* ---- ONE_REG */

static uint64_t count_of(struct vcpu *vcpu, unsigned t)
{
	return cpu_group_counter(vcpu->vm->group) - cpu_group_offset(vcpu->vm->group, t);
}

/* ISTATUS whether or not the timer is enabled, as KVM gives it. */
static uint64_t client_ctl(struct vcpu *vcpu, unsigned t)
{
	uint64_t ctl = vcpu->cpu->timer[t].ctl & (CTL_ENABLE | CTL_IMASK);

	return count_of(vcpu, t) >= vcpu->cpu->timer[t].cval ? ctl | CTL_ISTATUS : ctl;
}

int timer_get_reg(struct vcpu *vcpu, uint64_t id, uint64_t *val)
{
	switch (id) {
	case KVM_REG_ARM_TIMER_CTL: *val = client_ctl(vcpu, CPU_TIMER_V); return 0;
	case KVM_REG_ARM_TIMER_CVAL: *val = vcpu->cpu->timer[CPU_TIMER_V].cval; return 0;
	case KVM_REG_ARM_TIMER_CNT: *val = count_of(vcpu, CPU_TIMER_V); return 0;
	case KVM_REG_ARM_PTIMER_CTL: *val = client_ctl(vcpu, CPU_TIMER_P); return 0;
	case KVM_REG_ARM_PTIMER_CVAL: *val = vcpu->cpu->timer[CPU_TIMER_P].cval; return 0;
	case KVM_REG_ARM_PTIMER_CNT: *val = count_of(vcpu, CPU_TIMER_P); return 0;
	default: return -ENOENT;
	}
}

static int set_ctl(struct vcpu *vcpu, unsigned t, uint64_t val)
{
	vcpu->cpu->timer[t].ctl = val & (CTL_ENABLE | CTL_IMASK);
	update(vcpu, t);
	return 0;
}

static int set_cval(struct vcpu *vcpu, unsigned t, uint64_t val)
{
	vcpu->cpu->timer[t].cval = val;
	update(vcpu, t);
	return 0;
}

static int set_count(struct vcpu *vcpu, unsigned t, uint64_t val)
{
	if (!__atomic_load_n(&vcpu->vm->counter_offset_set, __ATOMIC_ACQUIRE))
		set_offset(vcpu->vm, t, cpu_group_counter(vcpu->vm->group) - val);
	return 0;
}

int timer_set_reg(struct vcpu *vcpu, uint64_t id, uint64_t val)
{
	switch (id) {
	case KVM_REG_ARM_TIMER_CTL: return set_ctl(vcpu, CPU_TIMER_V, val);
	case KVM_REG_ARM_TIMER_CVAL: return set_cval(vcpu, CPU_TIMER_V, val);
	case KVM_REG_ARM_TIMER_CNT: return set_count(vcpu, CPU_TIMER_V, val);
	case KVM_REG_ARM_PTIMER_CTL: return set_ctl(vcpu, CPU_TIMER_P, val);
	case KVM_REG_ARM_PTIMER_CVAL: return set_cval(vcpu, CPU_TIMER_P, val);
	case KVM_REG_ARM_PTIMER_CNT: return set_count(vcpu, CPU_TIMER_P, val);
	default: return -ENOENT;
	}
}
