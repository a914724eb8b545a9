/* SPDX-License-Identifier: MIT */
/*
 * Getting a vcpu's attention: kicks, requests, signals, immediate_exit; and its waits (WFI, STOPPED, SUSPENDED).
 *
 * A vcpu in the guest is kicked through the PE's kick flag. One that waits sleeps in a futex on the first word of kvm_run,
 * which holds immediate_exit:
 *
 *     waiter: sleeping = 1; WAKE = 0; look at everything that ends the wait; load the word; FUTEX_WAIT on that value
 *     waker:  change something; WAKE = 1 (a padding byte of the word); if (sleeping) FUTEX_WAKE
 *
 * All of these are sequentially consistent, so either the waiter sees the change, or its word no longer has the value it
 * loaded, or the waker sees it sleep. A signal handler that stores immediate_exit, or tells pawl_signal_ran, changes the
 * word as well. The wait always has a (long) timeout: with one, the kernel ends it with EINTR for every handler that
 * runs, SA_RESTART or not.
 *
 * Signals that the thread blocks and KVM_SET_SIGNAL_MASK lets in cannot interrupt us by themselves, and must stay pending:
 * while such a mask is in force the vcpu looks for them at entry and once per millisecond.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "core.h"
#include "handler.h"
#include "order.h"
#include "vgic.h"

enum { TICK_NS = 1000000, LONG_WAIT_S = 3600 };
enum { WORD_IMMEDIATE_EXIT = 0xff00, WORD_WAKE = 0xff0000 };

__thread struct vcpu *vcpu_running __attribute__((tls_model("initial-exec")));

static _Atomic uint32_t *wait_word(struct vcpu *vcpu)
{
	return (_Atomic uint32_t *)(void *)vcpu->run;
}

static _Atomic uint8_t *wake_byte(struct vcpu *vcpu)
{
	return (_Atomic uint8_t *)&vcpu->run->padding1[0];
}

/* ---- the waker's side: any thread */

void vcpu_kick(struct vcpu *vcpu)
{
	cpu_kick(vcpu->cpu);
	atomic_store(wake_byte(vcpu), 1);
	order_store_load();
	if (atomic_load(&vcpu->sleeping))
		syscall(SYS_futex, wait_word(vcpu), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void vcpu_request(struct vcpu *vcpu, uint32_t req)
{
	atomic_fetch_or(&vcpu->requests, req); /* pairs with the exchange in request_handle */
	vcpu_kick(vcpu);
}

void vm_stop_all_vcpus(struct vm *vm)
{
	unsigned n = atomic_load(&vm->n_vcpus);

	for (unsigned i = 0; i < n; i++) {
		atomic_store(&vm->vcpus[i]->mp_state, KVM_MP_STATE_STOPPED);
		vcpu_kick(vm->vcpus[i]);
	}
}

/* In a signal handler. No futex call: the handler runs on the thread that would sleep. */
IN_HANDLER __attribute__((visibility("default"))) void pawl_signal_ran(void)
{
	struct vcpu *vcpu = vcpu_running;

	if (!vcpu)
		return;
	atomic_store(&vcpu->signal_ran, true);
	atomic_store((_Atomic uint8_t *)&vcpu->run->padding1[0],
		     1); /* wake_byte(): functions that are called are instrumented */
	cpu_kick_self(vcpu->cpu);
}

/* ---- the vcpu's thread */

bool request_masked_signal(struct vcpu *vcpu)
{
	uint64_t pending = 0;

	if (syscall(SYS_rt_sigpending, &pending, sizeof(pending)) != 0)
		return false;
	return pending & ~vcpu->sigmask;
}

static void tick(void *arg)
{
	vcpu_request(arg, REQ_TICK);
}

void request_arm_tick(struct vcpu *vcpu)
{
	if (vcpu->tick_armed)
		return;
	vcpu->tick_armed = true;
	service_timer_arm(vcpu->vm, &vcpu->tick,
			  cpu_group_counter(vcpu->vm->group) + (uint64_t)CPU_CNTFRQ * TICK_NS / 1000000000);
}

static void wake(void *arg)
{
	vcpu_request(arg, REQ_WAKE);
}

void request_vcpu_init(struct vcpu *vcpu)
{
	vcpu->tick.fn = tick;
	vcpu->tick.arg = vcpu;
	vcpu->wfit.fn = wake;
	vcpu->wfit.arg = vcpu;
}

void request_vcpu_destroy(struct vcpu *vcpu)
{
	service_timer_cancel(vcpu->vm, &vcpu->tick);
	service_timer_cancel(vcpu->vm, &vcpu->wfit);
}

static bool is_interrupted(struct vcpu *vcpu)
{
	if (request_immediate_exit(vcpu) || (vcpu->sigmask_set && request_masked_signal(vcpu)))
		atomic_store(&vcpu->signal_ran, true);
	return atomic_load(&vcpu->signal_ran);
}

/* Sleep until done(vcpu), or something interrupts the wait: then signal_ran is set. */
static void wait_until(struct vcpu *vcpu, bool (*done)(struct vcpu *))
{
	struct timespec limit = {.tv_sec = vcpu->sigmask_set ? 0 : LONG_WAIT_S,
				 .tv_nsec = vcpu->sigmask_set ? TICK_NS : 0};

	atomic_store(&vcpu->sleeping, true);
	for (;;) {
		uint32_t word;

		atomic_store(wake_byte(vcpu), 0);
		order_store_load();
		if (done(vcpu) || is_interrupted(vcpu))
			break;
		word = atomic_load(wait_word(vcpu));
		if (word & (WORD_IMMEDIATE_EXIT | WORD_WAKE))
			continue;
		if (syscall(SYS_futex, wait_word(vcpu), FUTEX_WAIT_PRIVATE, word, &limit, NULL, 0) != 0 &&
		    errno == EINTR) {
			atomic_store(&vcpu->signal_ran, true);
			break;
		}
	}
	atomic_store(&vcpu->sleeping, false);
}

/* What ends a WFI: an interrupt that would be signalled if PSTATE did not mask it. */
static bool irq_pending(struct vcpu *vcpu)
{
	if (atomic_load(&vcpu->cpu->irq_in))
		return true;
	if (vcpu->vgic)
		return vgic_irq_pending(vcpu);
	return cpu_timer_line(vcpu->cpu, CPU_TIMER_V) || cpu_timer_line(vcpu->cpu, CPU_TIMER_P);
}

static bool wfi_done(struct vcpu *vcpu)
{
	return irq_pending(vcpu) || atomic_load(&vcpu->requests) || atomic_load(&vcpu->vm->dead) ||
	       atomic_load(&vcpu->mp_state) == KVM_MP_STATE_STOPPED;
}

static bool stopped_done(struct vcpu *vcpu)
{
	return atomic_load(&vcpu->mp_state) != KVM_MP_STATE_STOPPED || atomic_load(&vcpu->vm->dead);
}

static void halt(struct vcpu *vcpu)
{
	uint64_t start;

	if (wfi_done(vcpu))
		return;
	start = cpu_group_counter(vcpu->vm->group);
	vcpu->stats.value[VCPU_STAT_BLOCKING] = 1;
	wait_until(vcpu, wfi_done);
	vcpu->stats.value[VCPU_STAT_BLOCKING] = 0;
	stats_wait(vcpu, (cpu_group_counter(vcpu->vm->group) - start) * (1000000000 / CPU_CNTFRQ));
	if (irq_pending(vcpu))
		stat_add(vcpu, VCPU_STAT_HALT_WAKEUP, 1);
}

int vcpu_wait_for_interrupt(struct vcpu *vcpu)
{
	if (vcpu->debug.policy & PAWL_DEBUG_WFI_RETURNS)
		return RESUME_GUEST;
	halt(vcpu);
	if (vcpu->pvtime.set)
		pvtime_record(vcpu);
	return RESUME_GUEST; /* an interruption is found by the run loop */
}

int vcpu_wait_with_timeout(struct vcpu *vcpu, uint64_t counts)
{
	uint64_t now = cpu_group_counter(vcpu->vm->group);
	int ret;

	service_timer_arm(vcpu->vm, &vcpu->wfit, counts > UINT64_MAX - now ? UINT64_MAX : now + counts);
	ret = vcpu_wait_for_interrupt(vcpu);
	service_timer_arm(vcpu->vm, &vcpu->wfit, UINT64_MAX);
	return ret;
}

/* Something but plain running was asked for. The order is that of the kernel. */
int request_handle(struct vcpu *vcpu)
{
	uint32_t req;

	if (atomic_load(&vcpu->signal_ran)) {
		stat_add(vcpu, VCPU_STAT_SIGNAL_EXITS, 1);
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	if (atomic_load(&vcpu->vm->dead))
		return -EIO;
	if (atomic_load(&vcpu->mp_state) == KVM_MP_STATE_STOPPED) {
		wait_until(vcpu, stopped_done);
		if (atomic_load(&vcpu->signal_ran) || atomic_load(&vcpu->vm->dead))
			return RESUME_GUEST; /* round again: the signal comes first */
	}
	req = atomic_exchange(&vcpu->requests, 0);
	if (req & REQ_RESET) {
		atomic_fetch_or(&vcpu->requests, REQ_RESET);
		vcpu_apply_reset(vcpu);
	}
	if (req & REQ_TICK) {
		vcpu->tick_armed = false;
		if (vcpu->sigmask_set) {
			if (request_masked_signal(vcpu)) {
				vcpu->run->exit_reason = KVM_EXIT_INTR;
				return -EINTR;
			}
			request_arm_tick(vcpu);
		}
	}
	if (atomic_load(&vcpu->mp_state) == KVM_MP_STATE_SUSPENDED) {
		wait_until(vcpu, wfi_done);
		if (atomic_load(&vcpu->signal_ran) || !irq_pending(vcpu))
			return RESUME_GUEST;
		return exit_system_event(vcpu, KVM_SYSTEM_EVENT_WAKEUP, 0, 0);
	}
	return RESUME_GUEST;
}
