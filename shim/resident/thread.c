/* SPDX-License-Identifier: MIT */
/*
 * The program's threads, and their twins. libpawl needs a thread pointer of its own C library. So a thread that comes to
 * libpawl for the first time gets a twin: a thread of the resident that sleeps for ever and lends its thread pointer. The
 * program's thread runs libpawl itself, with its own signals and priority, and only FS is changed. The resident's main
 * thread pointer, which nobody has any more, is borrowed to make the twins.
 *
 * Twins and the memory of threads that have ended are used again.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "resident.h"

enum {
	AREA_SIZE = 1 << 20, /* a guard page, the stack, struct thread */
	GUARD_SIZE = 4096,
	TWIN_STACK_SIZE = 128 << 10,
	SW_BYTES = 464, /* of an fxsave image: "magic1", then the size of the whole */
	MAGIC1 = 0x46505853,
	FXSAVE_SIZE = 512,
};

static atomic_int lock; /* a futex: 0 free, 1 taken, 2 awaited */
/* under lock */
static struct thread *unused;
static uintptr_t main_fs;

static const uint64_t all_signals = ~0ull & ~SIGSYS_BIT;

/* Signals are blocked, too: a handler of the program that ran inside and called us would wait for itself. */
static uint64_t lock_up(void)
{
	uint64_t mask;
	int free = 0;

	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &mask, SIGSET_SIZE);
	if (!atomic_compare_exchange_strong(&lock, &free, 1))
		while (atomic_exchange(&lock, 2) != 0)
			raw(SYS_futex, &lock, FUTEX_WAIT_PRIVATE, 2, NULL);
	return mask;
}

static void unlock(uint64_t mask)
{
	if (atomic_exchange(&lock, 0) == 2)
		raw(SYS_futex, &lock, FUTEX_WAKE_PRIVATE, 1);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
}

/* ---- memory */

struct thread *thread_new(void)
{
	uint64_t mask = lock_up();
	struct thread *t = unused;
	char *area;
	long p;

	if (t)
		unused = t->next;
	unlock(mask);
	if (t) {
		t->stack_top = (char *)t;
		return t;
	}
	p = raw(SYS_mmap, 0, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (is_error(p))
		return NULL;
	area = (char *)p;
	raw(SYS_mprotect, area, GUARD_SIZE, PROT_NONE);
	t = (struct thread *)(void *)(area + AREA_SIZE - 128);
	t->self = t;
	t->stack_low = area + GUARD_SIZE;
	t->stack_top = (char *)t;
	return t;
}

void thread_free(struct thread *t)
{
	uint64_t mask = lock_up();

	t->next = unused;
	unused = t;
	unlock(mask);
}

void thread_enter(struct thread *t)
{
	raw(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, t);
}

void thread_init(void)
{
	main_fs = get_fs();
	thread_enter(thread_new());
}

/* ---- twins */

struct birth {
	atomic_uint done;
	uintptr_t fs;
};

static void *twin_main(void *arg)
{
	static atomic_int never;
	struct birth *b = arg;

	b->fs = get_fs();
	atomic_store(&b->done, 1);
	raw(SYS_futex, &b->done, FUTEX_WAKE_PRIVATE, 1);
	for (;;)
		raw(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL);
	return NULL;
}

/* The resident's life, on its main thread's pointer. */
static __attribute__((noinline)) bool make_twin(struct birth *b)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	if (pthread_attr_init(&attr) != 0)
		return false;
	ok = pthread_attr_setstacksize(&attr, TWIN_STACK_SIZE) == 0 &&
	     pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
	     pthread_create(&thread, &attr, twin_main, b) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

bool thread_need_twin(struct thread *t)
{
	struct birth b = {0};
	uintptr_t program_fs;
	uint64_t mask;
	bool ok;

	if (t->twin_fs)
		return true;
	mask = lock_up();
	program_fs = get_fs();
	set_fs(main_fs);
	ok = make_twin(&b);
	set_fs(program_fs);
	while (ok && atomic_load(&b.done) == 0)
		raw(SYS_futex, &b.done, FUTEX_WAIT_PRIVATE, 0, NULL);
	t->twin_fs = b.fs;
	unlock(mask);
	return ok;
}

/* ---- signal frames */

ucontext_t *frame_copy(char *top, const ucontext_t *uc)
{
	const char *fp = (const char *)uc->uc_mcontext.fpregs;
	uint32_t magic, size = FXSAVE_SIZE;
	ucontext_t *copy;
	char *to;

	if (fp) {
		memcpy(&magic, fp + SW_BYTES, sizeof(magic));
		if (magic == MAGIC1)
			memcpy(&size, fp + SW_BYTES + sizeof(magic), sizeof(size));
	}
	to = (char *)(((uintptr_t)top - size) & ~63ull);
	copy = (ucontext_t *)(void *)(to - (KERNEL_UCONTEXT_SIZE + 15) / 16 * 16);
	memcpy(copy, uc, KERNEL_UCONTEXT_SIZE);
	if (fp) {
		memcpy(to, fp, size);
		copy->uc_mcontext.fpregs = (fpregset_t)(void *)to;
	}
	return copy;
}

/* ---- clone */

struct child {
	struct thread *thread;
	ucontext_t *uc;
	bool is_thread;
};

/* The child of a clone that shares memory, on its struct thread's stack; all signals are blocked. */
static void child_main(void *arg)
{
	struct child *c = arg;

	if (c->is_thread) {
		thread_enter(c->thread);
		dispatch_on();
	}
	raw_sigreturn(c->uc);
}

/* What clone, clone3, fork and vfork ask for. */
struct request {
	uint64_t flags, stack; /* stack: where the child's SP begins; 0: the parent's */
	struct clone_args args;
	size_t size; /* of args */
};

static long get_request(const greg_t *r, struct request *q)
{
	memset(q, 0, sizeof(*q));
	switch (r[REG_RAX]) {
	case SYS_clone:
		q->flags = (uint64_t)r[REG_RDI];
		q->stack = (uint64_t)r[REG_RSI];
		return 0;
	case SYS_fork: q->flags = SIGCHLD; return 0;
	case SYS_vfork: q->flags = CLONE_VFORK | CLONE_VM | SIGCHLD; return 0;
	default: break;
	}
	q->size = (size_t)r[REG_RSI];
	if (q->size < CLONE_ARGS_SIZE_VER0 || q->size > sizeof(q->args))
		return q->size < CLONE_ARGS_SIZE_VER0 ? -EINVAL : -E2BIG;
	if (copy_in(&q->args, (const void *)r[REG_RDI], q->size))
		return -EFAULT;
	q->flags = q->args.flags;
	q->stack = q->args.stack ? q->args.stack + q->args.stack_size : 0;
	return 0;
}

/* With the child's SP at stack; 0: as it is. */
static long make_child(const greg_t *r, struct request *q, char *stack_low, char *stack, struct child *c)
{
	if (q->size) {
		q->args.stack = (uintptr_t)stack_low;
		q->args.stack_size = (uint64_t)(stack - stack_low);
		return raw_clone(SYS_clone3, (long)&q->args, (long)q->size, 0, 0, 0, child_main, c);
	}
	if (r[REG_RAX] == SYS_clone)
		return raw_clone(SYS_clone, (long)q->flags, (long)stack, r[REG_RDX], r[REG_R10], r[REG_R8], child_main,
				 c);
	return raw_clone(SYS_clone, (long)q->flags, (long)stack, 0, 0, 0, child_main, c);
}

/* A process with a copy of all memory, this frame and stack included: both return from here. */
static long fork_process(ucontext_t *uc, struct request *q)
{
	const greg_t *r = uc->uc_mcontext.gregs;
	long ret;

	if (q->size) {
		q->args.stack = q->args.stack_size = 0;
		ret = raw(SYS_clone3, &q->args, q->size);
	} else if (r[REG_RAX] == SYS_clone) {
		ret = raw(SYS_clone, q->flags, 0, r[REG_RDX], r[REG_R10], r[REG_R8]);
	} else {
		ret = raw(SYS_clone, q->flags, 0, 0, 0, 0);
	}
	if (ret == 0) {
		dispatch_on();
		if (q->stack)
			uc->uc_mcontext.gregs[REG_RSP] = (greg_t)q->stack;
	}
	return ret;
}

static long clone_sharing_memory(ucontext_t *uc, struct request *q)
{
	struct thread *t = thread_new();
	struct child *c;
	uint64_t mask;
	long ret;

	if (!t)
		return -ENOMEM;
	c = (struct child *)(void *)((char *)t - sizeof(*c));
	c->thread = t;
	c->is_thread = q->flags & CLONE_THREAD;
	c->uc = frame_copy((char *)c, uc);
	c->uc->uc_mcontext.gregs[REG_RAX] = 0;
	if (q->stack)
		c->uc->uc_mcontext.gregs[REG_RSP] = (greg_t)q->stack;
	if (!(q->flags & CLONE_VFORK)) /* as the kernel; the return from our handler would set it again */
		c->uc->uc_stack = (stack_t){.ss_flags = SS_DISABLE};
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &mask, SIGSET_SIZE);
	ret = make_child(uc->uc_mcontext.gregs, q, t->stack_low, (char *)c->uc, c);
	raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
	if (is_error(ret) || (!c->is_thread && q->flags & CLONE_VFORK))
		thread_free(t);
	return ret;
}

struct vfork_call {
	ucontext_t *uc;
	struct request request;
};

static void vfork_on_own_stack(void *arg)
{
	struct vfork_call *v = arg;

	v->uc->uc_mcontext.gregs[REG_RAX] = clone_sharing_memory(v->uc, &v->request);
	raw_sigreturn(v->uc);
}

/*
 * The child goes on where the parent does, with 0 as result. One that is no thread is about to exec, and is left alone.
 * One that has no stack of its own runs on the parent's, where this handler is: so the parent waits elsewhere.
 */
long thread_clone(ucontext_t *uc)
{
	struct thread *t = this_thread();
	struct request q;
	struct vfork_call *v;
	char here;
	long ret = get_request(uc->uc_mcontext.gregs, &q);

	if (ret)
		return ret;
	if (!(q.flags & CLONE_VM))
		return fork_process(uc, &q);
	if (q.stack || is_on_stack_of(t, &here))
		return clone_sharing_memory(uc, &q);
	v = (struct vfork_call *)(void *)(((uintptr_t)t->stack_top - sizeof(*v)) & ~15ul);
	v->request = q;
	v->uc = frame_copy((char *)v, uc);
	on_stack(v->uc, vfork_on_own_stack, v);
}

/* The memory may be another thread's at once: what runs from here on is on the program's stack. */
void thread_exit(long status)
{
	struct thread *t = this_thread();
	char here;

	raw(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, NULL, SIGSET_SIZE);
	if (!is_on_stack_of(t, &here))
		thread_free(t);
	for (;;)
		raw(SYS_exit, status);
}
