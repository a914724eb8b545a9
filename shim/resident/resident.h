/* SPDX-License-Identifier: MIT */
/*
 * The resident: libpawl for a program whose system calls do not go through the C library (statically linked, Go). It is a
 * program of its own, statically linked and position independent, that `pawl exec` places in the other one's process
 * (cli/inject.c). It makes the kernel turn every system call of the program into SIGSYS (Syscall User Dispatch, the
 * kernel's Documentation/admin-guide/syscall-user-dispatch.rst), answers those that are about /dev/kvm, and makes the
 * others itself.
 *
 * Two C libraries live in one process, so each thread has two lives, and FS says which one it is in: the program's
 * thread pointer, or that of a twin (thread.c). Code that runs in the program's life, as every handler begins, must not
 * touch thread-local storage: no C library but memcpy() and memset(), no errno. Such functions say "program's life".
 *
 * docs/exec.md says why it is done this way.
 */
#ifndef PAWL_RESIDENT_H
#define PAWL_RESIDENT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "handover.h"

/* What the kernel knows of ucontext_t; the C library's is larger. */
enum { KERNEL_UCONTEXT_SIZE = 304, SIGSET_SIZE = 8 };

/* A thread of the program. GS points at it. */
struct thread {
	struct thread *self;
	/* this thread only */
	uintptr_t program_fs; /* while FS is twin_fs: what it was */
	uintptr_t twin_fs;    /* 0: no twin yet */
	char *stack_low;      /* where calls of libpawl run */
	char *stack_top;      /* the next one begins below */
	/* under the lock of thread.c */
	struct thread *next;
};

/* ---- x86_64.S */

long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f);
/* clone or clone3 whose child runs child(arg) on top of the stack that the call gives it, and never comes back. */
long raw_clone(long nr, long a, long b, long c, long d, long e, void (*child)(void *), void *arg);
/* Becomes what the signal frame says; uc is 16-byte aligned and as the kernel made it. */
_Noreturn void raw_sigreturn(void *uc);
/* fn(arg) on the stack below top; does not come back. */
_Noreturn void on_stack(void *top, void (*fn)(void *), void *arg);
/* The program, as the kernel would have started it. */
_Noreturn void start_program(const struct handover *h);
void restorer(void); /* sa_restorer */

#define raw(...) RAW_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define RAW_(nr, a, b, c, d, e, f, ...) \
	raw_syscall6((long)(nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static inline bool is_error(long ret)
{
	return (unsigned long)ret >= -4095ul;
}

/* ---- main.c */

extern bool have_fsgsbase;

/* To standard error, as pawl exec's. Program's life. */
void say(const char *text);

/* System calls of this thread are ours from here on; false: the kernel cannot. Program's life. */
bool dispatch_on(void);

/* ---- thread.c: program's life, all of them */

static inline struct thread *this_thread(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(t));
	return t;
}

static inline uintptr_t get_fs(void)
{
	uintptr_t fs;

	if (have_fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(fs));
	else
		raw(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs);
	return fs;
}

static inline void set_fs(uintptr_t fs)
{
	if (have_fsgsbase)
		__asm__ volatile("wrfsbase %0" ::"r"(fs) : "memory");
	else
		raw(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, fs);
}

static inline bool is_on_stack_of(const struct thread *t, const void *p)
{
	return (uintptr_t)p >= (uintptr_t)t->stack_low && (uintptr_t)p < (uintptr_t)t;
}

/* A thread that is to be; NULL: no memory. */
struct thread *thread_new(void);
void thread_free(struct thread *t);
/* The calling thread is t. */
void thread_enter(struct thread *t);
/* The calling thread, which is t, gets a twin; false: it cannot. */
bool thread_need_twin(struct thread *t);
/* The main thread's; called once, in the resident's own life. */
void thread_init(void);

/* clone, clone3, fork and vfork of the program. */
long thread_clone(ucontext_t *uc);
_Noreturn void thread_exit(long status);

/* A copy of a signal frame, on top of t's stack, and the stack that is left. */
ucontext_t *frame_copy(char *top, const ucontext_t *uc);

/* ---- signal.c: program's life */

#define SIGSYS_BIT (1ull << (SIGSYS - 1))

static inline uint64_t *mask_of(ucontext_t *uc)
{
	return (uint64_t *)(void *)&uc->uc_sigmask;
}

long signal_action(int sig, const void *action, void *old, size_t size);
long signal_procmask(ucontext_t *uc, int how, const void *set, void *old, size_t size);
long signal_altstack(ucontext_t *uc, const void *stack, void *old);
/* A SIGSYS that is not a system call's. */
void signal_sigsys(int sig, siginfo_t *info, void *uc);

/* ---- client memory: program's life */

/* 0, or -EFAULT. */
long copy_in(void *dst, const void *src, size_t len);
long copy_out(void *dst, const void *src, size_t len);
/* Up to len bytes; how many. */
size_t copy_some(void *dst, const void *src, size_t len);

/* ---- calls.c */

/* The SIGSYS handler. */
void calls_dispatch(int sig, siginfo_t *info, void *uc);

#endif
