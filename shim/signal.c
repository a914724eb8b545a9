/* SPDX-License-Identifier: MIT */
/*
 * The preload library's signal handlers. With the kernel, a signal that is handled while a thread is in KVM_RUN makes
 * that return EINTR; so each handler of the program is entered through a trampoline, which tells libpawl. The program
 * does not notice: where it asks for its handler, it gets its own. Flags, mask and alternate stack are the kernel's
 * business, as ever. Handlers that are installed without the C library are not seen: such a program sets
 * kvm_run.immediate_exit.
 */
#include "preload.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>

#include <pawl/pawl.h>

typedef void (*plain_handler)(int);
typedef void (*info_handler)(int, siginfo_t *, void *);

int __sigaction(int sig, const struct sigaction *action, struct sigaction *old);
plain_handler bsd_signal(int sig, plain_handler handler);
plain_handler __sysv_signal(int sig, plain_handler handler);

/*
 * atomic: the program's handler behind the trampoline, by signal. It is stored before the trampoline is installed, and
 * never taken away, so a trampoline that runs always finds one; when two threads set one signal's handler at the same
 * time, either order of the two is right.
 */
static _Atomic(plain_handler) handlers[NSIG];

static void trampoline(int sig, siginfo_t *info, void *context)
{
	plain_handler handler = atomic_load_explicit(&handlers[sig], memory_order_acquire);
	int inside = preload_inside, err = errno;

	preload_inside++;
	pawl_signal_ran();
	preload_inside = 0; /* what the handler calls is the program's */
	errno = err;
	/* A handler of one argument ignores the other two: they are in registers, on every host that we support. */
	((info_handler)(uintptr_t)handler)(sig, info, context);
	preload_inside = inside;
}

static bool is_trampoline(plain_handler handler)
{
	return (uintptr_t)handler == (uintptr_t)trampoline;
}

/* SIG_DFL, SIG_IGN, SIG_HOLD and SIG_ERR are small numbers or -1, and no functions. */
static bool is_function(plain_handler handler)
{
	return (uintptr_t)handler + 1 > (uintptr_t)SIG_HOLD + 1;
}

static bool is_signal(int sig)
{
	return sig > 0 && sig < NSIG;
}

/* ---- sigaction */

NEXT(int, sigaction, int, const struct sigaction *, struct sigaction *)

EXPORT int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction ours;
	plain_handler before;
	int ret;

	if (!is_signal(sig))
		return next_sigaction()(sig, action, old);
	before = atomic_load_explicit(&handlers[sig], memory_order_acquire);
	if (action && is_function(action->sa_handler)) {
		ours = *action;
		ours.sa_sigaction = trampoline; /* whether it gets a siginfo is still SA_SIGINFO's to say */
		before = atomic_exchange_explicit(&handlers[sig], action->sa_handler, memory_order_acq_rel);
		action = &ours;
	}
	ret = next_sigaction()(sig, action, old);
	if (ret != 0 && action == &ours)
		atomic_store_explicit(&handlers[sig], before, memory_order_release);
	if (ret == 0 && old && is_trampoline(old->sa_handler))
		old->sa_handler = before;
	return ret;
}

EXPORT int __sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	return sigaction(sig, action, old);
}

/* ---- signal() and its relatives: each has its own flags, which are the C library's to know */

typedef plain_handler (*signal_fn)(int, plain_handler);

static plain_handler set_handler(signal_fn set, int sig, plain_handler handler)
{
	plain_handler before, old;

	if (!is_signal(sig))
		return set(sig, handler);
	before = atomic_load_explicit(&handlers[sig], memory_order_acquire);
	if (!is_function(handler)) {
		old = set(sig, handler);
	} else {
		before = atomic_exchange_explicit(&handlers[sig], handler, memory_order_acq_rel);
		old = set(sig, (plain_handler)(uintptr_t)trampoline);
		if (old == SIG_ERR)
			atomic_store_explicit(&handlers[sig], before, memory_order_release);
	}
	return is_trampoline(old) ? before : old;
}

NEXT(plain_handler, signal, int, plain_handler)
NEXT(plain_handler, bsd_signal, int, plain_handler)
NEXT(plain_handler, ssignal, int, plain_handler)
NEXT(plain_handler, sysv_signal, int, plain_handler)
NEXT(plain_handler, __sysv_signal, int, plain_handler)
NEXT(plain_handler, sigset, int, plain_handler)

EXPORT plain_handler signal(int sig, plain_handler handler)
{
	return set_handler(next_signal(), sig, handler);
}

EXPORT plain_handler bsd_signal(int sig, plain_handler handler)
{
	return set_handler(next_bsd_signal(), sig, handler);
}

EXPORT plain_handler ssignal(int sig, plain_handler handler)
{
	return set_handler(next_ssignal(), sig, handler);
}

EXPORT plain_handler sysv_signal(int sig, plain_handler handler)
{
	return set_handler(next_sysv_signal(), sig, handler);
}

EXPORT plain_handler __sysv_signal(int sig, plain_handler handler)
{
	return set_handler(next___sysv_signal(), sig, handler);
}

EXPORT plain_handler sigset(int sig, plain_handler handler)
{
	return set_handler(next_sigset(), sig, handler);
}
