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
 * A wait that one of the vcpu's timers ends soon is left by the vcpu itself, which looks at the clock and that word meanwhile, or
 * sleeps for all but the last of it (halt polling, as KVM has it): who sleeps until a moment wakes some 20 us after it, with cold
 * caches, and the service thread would wake it later by as much again.
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
/* SHORT_WAIT: the end of longer waits is not polled for, as nobody who waits so long needs it. POLL_LAST: what wakes early enough to be
 * there in time. POLL_GAP: others had the processor. */
enum { SHORT_WAIT_NS = 2000000, POLL_LAST_NS = 50000, POLL_GAP_NS = 100000, POLL_BACKOFF_MAX = 1023 };
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_COUNT (NS_PER_S / CPU_CNTFRQ)
#define COUNTS(ns) ((ns) / NS_PER_COUNT)
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

static void stat_wait(struct vcpu *vcpu, unsigned stat, uint64_t counts)
{
	stats_wait(vcpu, stat, counts * NS_PER_COUNT);
}

static bool is_interrupted(struct vcpu *vcpu)
{
	if (request_immediate_exit(vcpu) || (vcpu->sigmask_set && request_masked_signal(vcpu)))
		atomic_store(&vcpu->signal_ran, true);
	return atomic_load(&vcpu->signal_ran);
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

static void pause_cpu(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/*
 * Until a waker changes the word, a handler tells, or the counter is at until. Returns false if this thread did not run meanwhile, and
 * for how long: then what is left is slept for.
 */
static bool poll_word(struct vcpu *vcpu, uint32_t word, uint64_t until)
{
	uint64_t now = cpu_group_counter(vcpu->vm->group), last;

	while (now < until && atomic_load(wait_word(vcpu)) == word) {
		pause_cpu();
		last = now;
		now = cpu_group_counter(vcpu->vm->group);
		if (now - last > COUNTS(POLL_GAP_NS))
			return false;
	}
	return true;
}

static void poll(struct vcpu *vcpu, uint32_t word, uint64_t until)
{
	uint64_t from = cpu_group_counter(vcpu->vm->group);
	bool alone;

	timer_poll_begin(vcpu);
	alone = poll_word(vcpu, word, until);
	timer_poll_end(vcpu);
	stat_add(vcpu, VCPU_STAT_HALT_ATTEMPTED_POLL, 1);
	stat_add(vcpu, VCPU_STAT_HALT_SUCCESSFUL_POLL, alone);
	stat_wait(vcpu, alone ? VCPU_STAT_HALT_POLL_SUCCESS_NS : VCPU_STAT_HALT_POLL_FAIL_NS,
		  cpu_group_counter(vcpu->vm->group) - from);
	/* The oftener that happens, the more of the next waits are slept for. */
	if (alone) {
		vcpu->poll_backoff /= 2;
	} else {
		if (vcpu->poll_backoff < POLL_BACKOFF_MAX)
			vcpu->poll_backoff = 2 * vcpu->poll_backoff + 1;
		vcpu->poll_skip = vcpu->poll_backoff;
	}
}

/*
 * The longest wait, in ns, that is polled for. Who polls has used its share of a processor that others want when the guest goes on, so
 * there had better be one for each vcpu, and none but them.
 */
static uint64_t poll_limit_ns(struct vcpu *vcpu)
{
	if (vcpu->poll_skip || atomic_load(&vcpu->vm->n_vcpus) > vcpu->vm->host_cpus)
		return 0;
	return atomic_load(&vcpu->vm->halt_poll_ns);
}

/* Once: sleep, or poll, while the word is that. until: no longer than that value of the counter. Returns false if a handler ran. */
static bool wait_on(struct vcpu *vcpu, uint32_t word, uint64_t until)
{
	uint64_t limit_ns = vcpu->sigmask_set ? TICK_NS : LONG_WAIT_S * NS_PER_S, poll_ns = poll_limit_ns(vcpu);
	struct timespec limit;

	if (until != UINT64_MAX && poll_ns) {
		uint64_t now = cpu_group_counter(vcpu->vm->group),
			 left_ns = until > now ? (until - now) * NS_PER_COUNT : 0;

		if (left_ns <= poll_ns) {
			poll(vcpu, word, until);
			return true;
		}
		left_ns -= poll_ns < POLL_LAST_NS ? poll_ns : POLL_LAST_NS;
		if (left_ns < limit_ns)
			limit_ns = left_ns;
	}
	limit = (struct timespec){.tv_sec = (time_t)(limit_ns / NS_PER_S), .tv_nsec = (long)(limit_ns % NS_PER_S)};
	return syscall(SYS_futex, wait_word(vcpu), FUTEX_WAIT_PRIVATE, word, &limit, NULL, 0) == 0 || errno != EINTR;
}

/* The counter's value at which a timer ends a wait that is a short one; UINT64_MAX: none. */
static uint64_t short_end(struct vcpu *vcpu)
{
	uint64_t rise = timer_next_rise(vcpu), now = cpu_group_counter(vcpu->vm->group);

	return rise == UINT64_MAX || (rise > now && rise - now > COUNTS(SHORT_WAIT_NS)) ? UINT64_MAX : rise;
}

/* Wait until done(vcpu), or something interrupts the wait: then signal_ran is set. */
static void wait_until(struct vcpu *vcpu, bool (*done)(struct vcpu *))
{
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
		if (!wait_on(vcpu, word, done == wfi_done ? short_end(vcpu) : UINT64_MAX)) {
			atomic_store(&vcpu->signal_ran, true);
			break;
		}
	}
	atomic_store(&vcpu->sleeping, false);
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
	vcpu->poll_skip -= vcpu->poll_skip > 0;
	start = cpu_group_counter(vcpu->vm->group);
	vcpu->stats.value[VCPU_STAT_BLOCKING] = 1;
	wait_until(vcpu, wfi_done);
	vcpu->stats.value[VCPU_STAT_BLOCKING] = 0;
	stat_wait(vcpu, VCPU_STAT_HALT_WAIT_NS, cpu_group_counter(vcpu->vm->group) - start);
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
