/* SPDX-License-Identifier: MIT */
/*
 * The program's signals. Its handlers are entered through one of ours: it leaves libpawl's life for the program's while
 * the handler runs, and tells libpawl, so that KVM_RUN returns EINTR. SIGSYS belongs to us and is never blocked: the
 * kernel kills a thread whose system call cannot be dispatched. The program's own idea of SIGSYS is kept here.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <pawl/pawl.h>

#include "resident.h"

typedef void (*handler_fn)(int, siginfo_t *, void *);

struct kernel_action {
	handler_fn handler;
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

enum { SIGNALS = 65, RED_ZONE = 128, HANDLER_ROOM = 1024, SA_RESTORER_ = 0x04000000, MIN_ALTSTACK = 2048 };

/* atomic: the program's handlers behind ours; stored before ours is installed, never taken away. */
static _Atomic(handler_fn) handlers[SIGNALS];
/* The program's action for SIGSYS. Two threads that set it at the same time are on their own. */
static struct kernel_action sigsys_action;

/* SIG_DFL is 0 and SIG_IGN 1. */
static bool is_function(handler_fn handler)
{
	return (uintptr_t)handler > (uintptr_t)SIG_IGN;
}

/* ---- client memory */

size_t copy_some(void *dst, const void *src, size_t len)
{
	struct {
		void *base;
		size_t len;
	} to = {dst, len}, from = {(void *)(uintptr_t)src, len};
	long n = raw(SYS_process_vm_readv, raw(SYS_getpid), &to, 1, &from, 1, 0);

	if (n == -ENOSYS || n == -EPERM) { /* not to be had in this container: trust the pointer */
		memcpy(dst, src, len);
		n = (long)len;
	}
	return is_error(n) ? 0 : (size_t)n;
}

long copy_in(void *dst, const void *src, size_t len)
{
	return copy_some(dst, src, len) == len ? 0 : -EFAULT;
}

long copy_out(void *dst, const void *src, size_t len)
{
	struct {
		void *base;
		size_t len;
	} to = {dst, len}, from = {(void *)(uintptr_t)src, len};
	long n = raw(SYS_process_vm_writev, raw(SYS_getpid), &from, 1, &to, 1, 0);

	if (n == -ENOSYS || n == -EPERM) {
		memcpy(dst, src, len);
		return 0;
	}
	return n == (long)len ? 0 : -EFAULT;
}

/* ---- entering the program's handlers */

/* FS is the twin's. */
static __attribute__((noinline)) int tell_libpawl(void)
{
	int err = errno;

	pawl_signal_ran();
	return err;
}

static __attribute__((noinline)) void restore_errno(int err)
{
	errno = err;
}

static void enter(int sig, siginfo_t *info, void *context)
{
	handler_fn handler = handlers[sig];
	struct thread *t = this_thread();
	ucontext_t *uc = context;
	uintptr_t program_fs;
	char *top;
	int err;

	if (!t->twin_fs || get_fs() != t->twin_fs) {
		handler(sig, info, uc);
		return;
	}
	err = tell_libpawl();
	top = t->stack_top;
	program_fs = t->program_fs;
	/* A call that the handler makes runs below what it interrupted. */
	t->stack_top = (char *)uc->uc_mcontext.gregs[REG_RSP] - RED_ZONE;
	set_fs(program_fs);
	handler(sig, info, uc);
	t->program_fs = program_fs;
	t->stack_top = top;
	set_fs(t->twin_fs);
	restore_errno(err);
}

/* ---- the system calls */

long signal_action(int sig, const void *action, void *old, size_t size)
{
	struct kernel_action want, before;
	handler_fn previous = NULL;
	bool function = false;
	long ret;

	if (size != SIGSET_SIZE || sig <= 0 || sig >= SIGNALS)
		return -EINVAL;
	if (action && copy_in(&want, action, sizeof(want)))
		return -EFAULT;
	if (sig == SIGSYS) {
		before = sigsys_action;
		if (action)
			sigsys_action = want;
		return old ? copy_out(old, &before, sizeof(before)) : 0;
	}
	previous = handlers[sig];
	if (action) {
		want.mask &= ~SIGSYS_BIT;
		function = is_function(want.handler);
		if (function) {
			handlers[sig] = want.handler;
			want.handler = enter;
			want.flags |= SA_RESTORER_;
			want.restorer = restorer;
		}
	}
	ret = raw(SYS_rt_sigaction, sig, action ? &want : NULL, &before, size);
	if (ret && function)
		handlers[sig] = previous;
	if (ret || !old)
		return ret;
	if (before.handler == enter)
		before.handler = previous;
	return copy_out(old, &before, sizeof(before));
}

long signal_procmask(ucontext_t *uc, int how, const void *set, void *old, size_t size)
{
	uint64_t *mask = mask_of(uc), before = *mask, bits;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	if (set) {
		if (copy_in(&bits, set, sizeof(bits)))
			return -EFAULT;
		if (how == SIG_BLOCK)
			bits |= before;
		else if (how == SIG_UNBLOCK)
			bits = before & ~bits;
		else if (how != SIG_SETMASK)
			return -EINVAL;
		*mask = bits & ~SIGSYS_BIT;
	}
	return old ? copy_out(old, &before, sizeof(before)) : 0;
}

/* The kernel takes over uc_stack when our handler returns. */
long signal_altstack(ucontext_t *uc, const void *stack, void *old)
{
	stack_t now = uc->uc_stack, want;
	uintptr_t sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	bool on = sp - (uintptr_t)now.ss_sp < now.ss_size && !(now.ss_flags & (SS_DISABLE | (1u << 31)));
	int mode;

	if (stack && copy_in(&want, stack, sizeof(want)))
		return -EFAULT;
	if (stack) {
		mode = want.ss_flags & ~(int)(1u << 31); /* SS_AUTODISARM */
		if (on)
			return -EPERM;
		if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
			return -EINVAL;
		if (mode == SS_DISABLE) {
			want.ss_sp = NULL;
			want.ss_size = 0;
		} else if (want.ss_size < MIN_ALTSTACK) {
			return -ENOMEM;
		}
		uc->uc_stack = want;
	}
	if (!old)
		return 0;
	now.ss_flags = now.ss_size == 0 ? SS_DISABLE : on ? SS_ONSTACK : now.ss_flags & (int)(1u << 31);
	return copy_out(old, &now, sizeof(now));
}

void signal_sigsys(int sig, siginfo_t *info, void *uc)
{
	static const struct kernel_action by_default = {.flags = SA_RESTORER_, .restorer = restorer};

	if (is_function(sigsys_action.handler)) {
		handlers[sig] = sigsys_action.handler;
		enter(sig, info, uc);
		return;
	}
	if (sigsys_action.handler) /* ignored */
		return;
	raw(SYS_rt_sigaction, SIGSYS, &by_default, NULL, SIGSET_SIZE);
	raw(SYS_tgkill, raw(SYS_getpid), raw(SYS_gettid), SIGSYS);
}
