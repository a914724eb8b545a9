/* SPDX-License-Identifier: MIT */
/*
 * Guest debugging: KVM_SET_GUEST_DEBUG, KVM_EXIT_DEBUG (api.rst 4.87, 5), and the state that makes a single step be reported
 * exactly once.
 *
 * The step itself is the architecture's state machine in the PE (Arm ARM DDI 0487, "Software Step exceptions"), on
 * PSTATE.SS, called P here. While the host steps, two more variables belong to the vcpu:
 *   G  the guest's own PSTATE.SS, kept aside from debug_load to debug_put
 *   H  an instruction is done and not yet reported, kept from debug_put to debug_load
 * An emulated instruction is counted by vcpu_skip_instr, which clears P as the hardware would have; so the report follows from
 * the state machine, whatever happens in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* MDSCR_EL1 */
#define MDSCR_SS (1ull << 0)
#define MDSCR_KDE (1ull << 13)
#define MDSCR_MDE (1ull << 15)
#define OSLSR_OSLK (1ull << 1)

enum { VALID_CONTROL = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW };

#define USE_COMPARATORS (KVM_GUESTDBG_USE_HW | PAWL_GUESTDBG_USE_LIST)

void vcpu_skip_instr(struct vcpu *vcpu)
{
	vcpu_assert(vcpu, !vcpu->pc_advance);
	vcpu->pc_advance = true;
}

/* ---- breakpoints by list: our own */

struct break_list { /* constant */
	_Atomic unsigned refs;
	struct cpu_breaks breaks;
};

static struct break_list *list_get(struct vm *vm)
{
	struct break_list *l;

	pthread_mutex_lock(&vm->priv->breaks_lock);
	l = vm->priv->breaks;
	if (l)
		atomic_fetch_add(&l->refs, 1);
	pthread_mutex_unlock(&vm->priv->breaks_lock);
	return l;
}

static void list_put(struct break_list *l)
{
	if (l && atomic_fetch_sub(&l->refs, 1) == 1)
		free(l);
}

static int compare_va(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int debug_set_breaks(struct vm *vm, uint64_t addr, uint64_t n)
{
	struct vm_priv *p = vm->priv;
	struct break_list *l, *old;
	int err;

	if (n > DEBUG_BREAKS_MAX)
		return -EINVAL;
	l = malloc(sizeof(*l) + n * sizeof(l->breaks.va[0]));
	if (!l)
		return -ENOMEM;
	err = client_read(l->breaks.va, addr, n * sizeof(l->breaks.va[0]));
	for (uint64_t i = 0; !err && i < n; i++) {
		if (l->breaks.va[i] & 3)
			err = -EINVAL;
		l->breaks.va[i] &= (1ull << 56) - 1;
	}
	if (err) {
		free(l);
		return err;
	}
	qsort(l->breaks.va, n, sizeof(l->breaks.va[0]), compare_va);
	l->breaks.n = n;
	atomic_init(&l->refs, 1);
	pthread_mutex_lock(&p->breaks_lock);
	old = p->breaks;
	l->breaks.id = old ? old->breaks.id + 1 : 1;
	p->breaks = l;
	pthread_mutex_unlock(&p->breaks_lock);
	list_put(old);
	return 0;
}

static bool has_list(struct vm *vm)
{
	struct break_list *l = list_get(vm);

	list_put(l);
	return l;
}

static void load_list(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;

	list_put(d->list);
	d->list = d->control & PAWL_GUESTDBG_USE_LIST ? list_get(vcpu->vm) : NULL;
	vcpu->cpu->el2.breaks = d->list ? &d->list->breaks : NULL;
}

void debug_vcpu_destroy(struct vcpu *vcpu)
{
	list_put(vcpu->debug.list);
}

void debug_vm_destroy(struct vm *vm)
{
	list_put(vm->priv->breaks);
}

/* ---- what the client asks for */

int debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	struct vcpu_debug *d = &vcpu->debug;

	if (dbg->control & ~(uint32_t)VALID_CONTROL &&
	    (dbg->control & ~(uint32_t)VALID_CONTROL & ~PAWL_GUESTDBG_USE_LIST || !has_list(vcpu->vm)))
		return -EINVAL;
	cpu_code_changed(vcpu->cpu);
	if (!(dbg->control & KVM_GUESTDBG_ENABLE)) {
		d->control = 0;
		d->h = false;
		return 0;
	}
	d->control = dbg->control;
	memset(&d->regs, 0, sizeof(d->regs)); /* a list alone has no comparators beside it */
	if (dbg->control & KVM_GUESTDBG_USE_HW) {
		memcpy(d->regs.bcr, dbg->arch.dbg_bcr, sizeof(d->regs.bcr));
		memcpy(d->regs.bvr, dbg->arch.dbg_bvr, sizeof(d->regs.bvr));
		memcpy(d->regs.wcr, dbg->arch.dbg_wcr, sizeof(d->regs.wcr));
		memcpy(d->regs.wvr, dbg->arch.dbg_wvr, sizeof(d->regs.wvr));
	}
	return 0;
}

int debug_set_policy(struct vm *vm, uint64_t policy)
{
	if (policy & ~(uint64_t)DEBUG_POLICIES)
		return -EINVAL;
	atomic_store(&vm->priv->debug_policy, (uint32_t)policy);
	return 0;
}

static uint32_t policy_now(const struct vcpu *vcpu)
{
	uint32_t policy = atomic_load_explicit(&vcpu->vm->priv->debug_policy, memory_order_relaxed);

	if (lint_always)
		policy |= PAWL_DEBUG_LINT;
	if (!(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
		policy &= PAWL_DEBUG_EMULATE_MMIO | PAWL_DEBUG_LINT;
	return policy;
}

bool debug_holds_irqs(const struct vcpu *vcpu)
{
	return policy_now(vcpu) & PAWL_DEBUG_HOLD_IRQS;
}

/* What our own capability adds. */
static void apply_policy(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;
	struct cpu *cpu = vcpu->cpu;

	d->policy = policy_now(vcpu);
	cpu->el2.hold_irqs = d->policy & PAWL_DEBUG_HOLD_IRQS;
	cpu->el2.keep_monitor = d->policy & PAWL_DEBUG_KEEP_MONITOR;
	cpu->window.on = d->policy & PAWL_DEBUG_EMULATE_MMIO;
	d->monitor = cpu->el2.keep_monitor && cpu->env.excl.valid;
}

/* Who owns the debug hardware: the host if it debugs or the guest has set its OS lock, else the guest. */
void debug_update(struct vcpu *vcpu)
{
	const struct vcpu_debug *d = &vcpu->debug;
	struct cpu *cpu = vcpu->cpu;
	uint64_t mdscr = cpu->sys[CPU_MDSCR_EL1];

	if (d->control || (cpu->sys[CPU_OSLSR_EL1] & OSLSR_OSLK)) {
		mdscr &= ~(MDSCR_SS | MDSCR_KDE | MDSCR_MDE);
		if (d->control & KVM_GUESTDBG_SINGLESTEP)
			mdscr |= MDSCR_SS;
		if (d->control & USE_COMPARATORS)
			mdscr |= MDSCR_KDE | MDSCR_MDE;
	}
	cpu->el2.mdscr = mdscr;
	cpu->el2.tde = d->control != 0;
	cpu->el2.dbg = d->control & USE_COMPARATORS ? &d->regs : &cpu->dbg;
}

void debug_load(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;

	debug_update(vcpu);
	apply_policy(vcpu);
	load_list(vcpu);
	if (d->control)
		cpu_code_changed(vcpu->cpu); /* a debugger puts breakpoints into memory while the vcpu is out */
	if (d->control & KVM_GUESTDBG_SINGLESTEP) {
		d->g = vcpu->cpu->pstate & PSR_SS;
		if (d->h)
			vcpu->cpu->pstate &= ~PSR_SS;
		else
			vcpu->cpu->pstate |= PSR_SS;
	}
}

void debug_put(struct vcpu *vcpu)
{
	struct vcpu_debug *d = &vcpu->debug;

	if (d->control & KVM_GUESTDBG_SINGLESTEP) {
		d->h = !(vcpu->cpu->pstate & PSR_SS);
		if (d->g)
			vcpu->cpu->pstate |= PSR_SS;
		else
			vcpu->cpu->pstate &= ~PSR_SS;
	}
}

int debug_exit(struct vcpu *vcpu, uint64_t esr)
{
	struct kvm_run *run = vcpu->run;

	if (lint_on(vcpu) && ESR_EC(esr) == EC_STEP_LOWER)
		lint_step(vcpu, vcpu->cpu->env.pc - 4);
	run->exit_reason = KVM_EXIT_DEBUG;
	run->flags = KVM_DEBUG_ARCH_HSR_HIGH_VALID;
	run->debug.arch.hsr = (uint32_t)esr;
	run->debug.arch.hsr_high = (uint32_t)(esr >> 32);
	run->debug.arch.far = ESR_EC(esr) == EC_WATCHPT_LOWER ? vcpu->cpu->el2.far : 0;
	if (ESR_EC(esr) == EC_STEP_LOWER)
		vcpu->cpu->pstate |= PSR_SS; /* reported: nothing is owed any more */
	return EXIT_USER;
}
