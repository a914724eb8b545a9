/* SPDX-License-Identifier: MIT */
/*
 * The program's system calls, one SIGSYS each. A row says which ones are ours to look at; the others are made as they are.
 * Those that go to libpawl leave the signal frame first: it is copied to the thread's stack of ours, since the next
 * signal of the program may take the place where the kernel put it.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/stat.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

#include "../device.h"
#include "resident.h"

#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2 /* si_code */
#endif

enum { RED_ZONE = 128, N_CALLS = 512 };

/* Arguments by position. */
static inline long arg(const ucontext_t *uc, unsigned i)
{
	static const uint8_t where[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};

	return uc->uc_mcontext.gregs[where[i]];
}

static long as_it_is(const ucontext_t *uc)
{
	return raw(uc->uc_mcontext.gregs[REG_RAX], arg(uc, 0), arg(uc, 1), arg(uc, 2), arg(uc, 3), arg(uc, 4),
		   arg(uc, 5));
}

/* ---- calls that libpawl answers */

typedef long (*libpawl_fn)(const ucontext_t *uc);

struct call {
	struct thread *thread;
	ucontext_t *uc;
	libpawl_fn fn;
};

/* The first descriptor was opened: before, no descriptor can be ours. Never taken back. */
static _Atomic bool opened;
static dev_t memfd_dev; /* of our descriptors; set before */
static long opened_by;	/* process; set before */

/* On the thread's stack of ours. */
static void run_call(void *arg_)
{
	struct call *c = arg_;
	struct thread *t = c->thread;
	char *top = t->stack_top;
	long ret;

	t->stack_top = (char *)c;
	if (thread_need_twin(t)) {
		t->program_fs = get_fs();
		set_fs(t->twin_fs);
		ret = c->fn(c->uc);
		set_fs(t->program_fs);
	} else {
		ret = -ENOMEM;
	}
	t->stack_top = top;
	c->uc->uc_mcontext.gregs[REG_RAX] = ret;
	raw_sigreturn(c->uc);
}

static _Noreturn void to_libpawl(ucontext_t *uc, libpawl_fn fn)
{
	struct thread *t = this_thread();
	char *here = __builtin_frame_address(0), *top = is_on_stack_of(t, here) ? here - 4096 : t->stack_top;
	struct call *c;

	c = (struct call *)(void *)(((uintptr_t)top - sizeof(*c)) & ~15ull);
	*c = (struct call){t, NULL, fn};
	c->uc = frame_copy((char *)c, uc);
	on_stack(c->uc, run_call, c);
}

static long result(long ret)
{
	return ret == -1 ? -errno : ret;
}

static long pawl_opens(int flags)
{
	int fd = device_open(flags);
	struct stat st;

	if (fd < 0)
		return -errno;
	if ((!opened || opened_by != getpid()) && fstat(fd, &st) == 0) {
		memfd_dev = st.st_dev;
		opened_by = getpid();
		opened = true;
	}
	return fd;
}

static long pawl_open_2(const ucontext_t *uc)
{
	return pawl_opens((int)arg(uc, 1));
}

static long pawl_openat(const ucontext_t *uc)
{
	return pawl_opens((int)arg(uc, 2));
}

static long pawl_openat2(const ucontext_t *uc)
{
	uint64_t flags;

	return copy_in(&flags, (const void *)arg(uc, 2), sizeof(flags)) ? -EFAULT : pawl_opens((int)flags);
}

/* Around all memory that was ever a slot's: what is changed outside of it is no guest's. Never empty again; both only grow. */
static _Atomic uintptr_t slots_from = UINTPTR_MAX, slots_to;

static void note_slot(uint32_t request, const void *region)
{
	struct kvm_userspace_memory_region r;
	uintptr_t from, to;

	if ((request != KVM_SET_USER_MEMORY_REGION && request != KVM_SET_USER_MEMORY_REGION2) ||
	    copy_some(&r, region, sizeof(r)) != sizeof(r) || !r.memory_size)
		return;
	from = atomic_load(&slots_from);
	while (r.userspace_addr < from && !atomic_compare_exchange_weak(&slots_from, &from, r.userspace_addr))
		;
	to = atomic_load(&slots_to);
	while (r.userspace_addr + r.memory_size > to &&
	       !atomic_compare_exchange_weak(&slots_to, &to, r.userspace_addr + r.memory_size))
		;
}

static bool may_be_a_slots(uintptr_t from, size_t length)
{
	return from < atomic_load(&slots_to) &&
	       (length > UINTPTR_MAX - from || from + length > atomic_load(&slots_from));
}

/* A change of the program's memory, while no vcpu uses it. */
struct change {
	const ucontext_t *uc;
	long result;
};

static int change(void *arg_)
{
	struct change *c = arg_;

	c->result = as_it_is(c->uc);
	return 0;
}

static long pawl_changes(const ucontext_t *uc)
{
	bool moves = uc->uc_mcontext.gregs[REG_RAX] == SYS_mremap;
	size_t length = (size_t)arg(uc, 1);
	struct change c = {uc, 0};

	if (moves && (size_t)arg(uc, 2) > length)
		length = (size_t)arg(uc, 2);
	if (moves && (arg(uc, 3) & MREMAP_FIXED)) /* two ranges */
		pawl_change_memory(NULL, SIZE_MAX, change, &c);
	else
		pawl_change_memory((void *)arg(uc, 0), length, change, &c);
	return c.result;
}

static long pawl_ioctls(const ucontext_t *uc)
{
	int fd = (int)arg(uc, 0);
	int ret = pawl_ioctl(fd, (uint32_t)arg(uc, 1), (void *)arg(uc, 2));

	if (ret == 0)
		note_slot((uint32_t)arg(uc, 1), (const void *)arg(uc, 2));
	/* EBADF may also be about a descriptor that the argument names. */
	return ret == -1 && errno == EBADF && !pawl_is_fd(fd) ? as_it_is(uc) : result(ret);
}

static long pawl_mmaps(const ucontext_t *uc)
{
	if (!pawl_is_fd((int)arg(uc, 4)))
		return as_it_is(uc);
	return result((long)pawl_mmap((void *)arg(uc, 0), (size_t)arg(uc, 1), (int)arg(uc, 2), (int)arg(uc, 3),
				      (int)arg(uc, 4), arg(uc, 5)));
}

static long pawl_fallocates(const ucontext_t *uc)
{
	if (!pawl_is_fd((int)arg(uc, 0))) {
		long ret = as_it_is(uc);

		device_fallocated((int)arg(uc, 0), (int)arg(uc, 1));
		return ret;
	}
	return result(pawl_fallocate((int)arg(uc, 0), (int)arg(uc, 1), arg(uc, 2), arg(uc, 3)));
}

static long pawl_lseeks(const ucontext_t *uc)
{
	long ret = pawl_lseek((int)arg(uc, 0), arg(uc, 1), (int)arg(uc, 2));

	return ret < 0 && errno == EBADF ? as_it_is(uc) : result(ret);
}

static long pawl_collapses(const ucontext_t *uc)
{
	return device_collapse((const void *)arg(uc, 0)) < 0 ? -errno : as_it_is(uc);
}

static long pawl_advises(const ucontext_t *uc)
{
	long ret = as_it_is(uc);

	device_advised((void *)arg(uc, 0), (size_t)arg(uc, 1), (int)arg(uc, 2));
	return ret;
}

static long pawl_closes(const ucontext_t *uc)
{
	return pawl_is_fd((int)arg(uc, 0)) ? result(device_close((int)arg(uc, 0))) : as_it_is(uc);
}

static long pawl_dup2(const ucontext_t *uc)
{
	return device_make_room((int)arg(uc, 0), (int)arg(uc, 1)) < 0 ? -errno : as_it_is(uc);
}

static long pawl_close_range(const ucontext_t *uc)
{
	device_close_range((unsigned)arg(uc, 0), (unsigned)arg(uc, 1));
	return as_it_is(uc);
}

/* ---- which calls those are */

static bool names_device(long path)
{
	char text[sizeof(DEVICE_PATH)];

	return path && copy_some(text, (const void *)path, sizeof(text)) == sizeof(text) &&
	       memcmp(text, DEVICE_PATH, sizeof(text)) == 0;
}

/* Whether fd may be libpawl's: it knows better, but must not be asked in the program's life. */
static bool may_be_pawl(long fd)
{
	struct stat st;

	return opened && (int)fd >= 0 && raw(SYS_fstat, (int)fd, &st) == 0 && st.st_dev == memfd_dev &&
	       S_ISREG(st.st_mode);
}

static long do_open(ucontext_t *uc)
{
	if (names_device(arg(uc, 0)))
		to_libpawl(uc, pawl_open_2);
	return as_it_is(uc);
}

static long do_openat(ucontext_t *uc)
{
	if (names_device(arg(uc, 1)))
		to_libpawl(uc, uc->uc_mcontext.gregs[REG_RAX] == SYS_openat2 ? pawl_openat2 : pawl_openat);
	return as_it_is(uc);
}

/* Requests that no driver sees. */
static bool is_any_files(uint32_t request)
{
	return request == FIOCLEX || request == FIONCLEX || request == FIONBIO || request == FIOASYNC;
}

static long do_ioctl(ucontext_t *uc)
{
	if (!opened || is_any_files((uint32_t)arg(uc, 1)))
		return as_it_is(uc);
	if (_IOC_TYPE((uint32_t)arg(uc, 1)) != KVM_IOCTL_TYPE && !may_be_pawl(arg(uc, 0)))
		return as_it_is(uc);
	if (may_be_pawl(arg(uc, 0)) && raw(SYS_getpid) != opened_by)
		return -EIO; /* after fork(), as the kernel */
	to_libpawl(uc, pawl_ioctls);
}

static long do_mmap(ucontext_t *uc)
{
	if (!(arg(uc, 3) & MAP_ANONYMOUS) && may_be_pawl(arg(uc, 4)))
		to_libpawl(uc, pawl_mmaps);
	if ((arg(uc, 3) & MAP_FIXED) && may_be_a_slots((uintptr_t)arg(uc, 0), (size_t)arg(uc, 1)))
		to_libpawl(uc, pawl_changes);
	return as_it_is(uc);
}

static long do_munmap(ucontext_t *uc) /* and mprotect */
{
	if (may_be_a_slots((uintptr_t)arg(uc, 0), (size_t)arg(uc, 1)))
		to_libpawl(uc, pawl_changes);
	return as_it_is(uc);
}

static long do_mremap(ucontext_t *uc)
{
	size_t length = (size_t)(arg(uc, 1) > arg(uc, 2) ? arg(uc, 1) : arg(uc, 2));

	if (may_be_a_slots((uintptr_t)arg(uc, 0), length) ||
	    ((arg(uc, 3) & MREMAP_FIXED) && may_be_a_slots((uintptr_t)arg(uc, 4), length)))
		to_libpawl(uc, pawl_changes);
	return as_it_is(uc);
}

static long do_fallocate(ucontext_t *uc)
{
	if (((arg(uc, 1) & FALLOC_FL_PUNCH_HOLE) && may_be_a_slots(0, UINTPTR_MAX)) || may_be_pawl(arg(uc, 0)))
		to_libpawl(uc, pawl_fallocates);
	return as_it_is(uc);
}

static long do_lseek(ucontext_t *uc)
{
	if (may_be_pawl(arg(uc, 0)))
		to_libpawl(uc, pawl_lseeks);
	return as_it_is(uc);
}

static long do_madvise(ucontext_t *uc)
{
	if (opened && (int)arg(uc, 2) == DEVICE_MADV_COLLAPSE)
		to_libpawl(uc, pawl_collapses);
	if (device_advice_drops((int)arg(uc, 2)) && may_be_a_slots((uintptr_t)arg(uc, 0), (size_t)arg(uc, 1)))
		to_libpawl(uc, pawl_advises);
	return as_it_is(uc);
}

static long do_close(ucontext_t *uc)
{
	if (may_be_pawl(arg(uc, 0)))
		to_libpawl(uc, pawl_closes);
	return as_it_is(uc);
}

static long do_dup2(ucontext_t *uc)
{
	if ((uc->uc_mcontext.gregs[REG_RAX] == SYS_dup2 || (arg(uc, 2) & ~O_CLOEXEC) == 0) && may_be_pawl(arg(uc, 1)))
		to_libpawl(uc, pawl_dup2);
	return as_it_is(uc);
}

static long do_close_range(ucontext_t *uc)
{
	if (opened && (int)arg(uc, 2) == 0 && (unsigned)arg(uc, 0) <= (unsigned)arg(uc, 1))
		to_libpawl(uc, pawl_close_range);
	return as_it_is(uc);
}

/* ---- the file's looks */

static long put_stat(void *to)
{
	struct stat st;

	device_stat(&st);
	return copy_out(to, &st, sizeof(st));
}

static long do_stat(ucontext_t *uc)
{
	return names_device(arg(uc, 0)) ? put_stat((void *)arg(uc, 1)) : as_it_is(uc);
}

static long do_newfstatat(ucontext_t *uc)
{
	return names_device(arg(uc, 1)) ? put_stat((void *)arg(uc, 2)) : as_it_is(uc);
}

static long do_statx(ucontext_t *uc)
{
	struct statx st;

	if (!names_device(arg(uc, 1)))
		return as_it_is(uc);
	device_statx(&st);
	return copy_out((void *)arg(uc, 4), &st, sizeof(st));
}

static long do_access(ucontext_t *uc)
{
	bool at = uc->uc_mcontext.gregs[REG_RAX] != SYS_access;

	if (!names_device(arg(uc, at)))
		return as_it_is(uc);
	return arg(uc, 1 + at) & X_OK ? -EACCES : 0;
}

/* ---- signals */

static long do_sigaction(ucontext_t *uc)
{
	return signal_action((int)arg(uc, 0), (const void *)arg(uc, 1), (void *)arg(uc, 2), (size_t)arg(uc, 3));
}

static long do_procmask(ucontext_t *uc)
{
	return signal_procmask(uc, (int)arg(uc, 0), (const void *)arg(uc, 1), (void *)arg(uc, 2), (size_t)arg(uc, 3));
}

static long do_altstack(ucontext_t *uc)
{
	return signal_altstack(uc, (const void *)arg(uc, 0), (void *)arg(uc, 1));
}

static long do_sigreturn(ucontext_t *uc)
{
	/* The frame is the program's own affair, but what the kernel would refuse it refuses here, too. */
	ucontext_t *theirs = (ucontext_t *)uc->uc_mcontext.gregs[REG_RSP];

	*mask_of(theirs) &= ~SIGSYS_BIT;
	raw_sigreturn(theirs);
}

/* A call that waits with the mask at argument i; size is argument i + 1. */
static long with_mask(const ucontext_t *uc, unsigned i)
{
	long a[6];
	uint64_t mask;

	for (unsigned k = 0; k < 6; k++)
		a[k] = arg(uc, k);
	if (a[i]) {
		if (copy_in(&mask, (const void *)a[i], sizeof(mask)))
			return -EFAULT;
		mask &= ~SIGSYS_BIT;
		a[i] = (long)&mask;
	}
	return raw(uc->uc_mcontext.gregs[REG_RAX], a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long do_sigsuspend(ucontext_t *uc)
{
	return with_mask(uc, 0);
}

static long do_ppoll(ucontext_t *uc)
{
	return with_mask(uc, 3);
}

static long do_epoll_pwait(ucontext_t *uc)
{
	return with_mask(uc, 4);
}

static long do_pselect6(ucontext_t *uc)
{
	struct {
		const void *mask;
		size_t size;
	} pack;
	uint64_t mask;

	if (!arg(uc, 5))
		return as_it_is(uc);
	if (copy_in(&pack, (const void *)arg(uc, 5), sizeof(pack)))
		return -EFAULT;
	if (pack.mask) {
		if (copy_in(&mask, pack.mask, sizeof(mask)))
			return -EFAULT;
		mask &= ~SIGSYS_BIT;
		pack.mask = &mask;
	}
	return raw(SYS_pselect6, arg(uc, 0), arg(uc, 1), arg(uc, 2), arg(uc, 3), arg(uc, 4), &pack);
}

/* ---- what cannot be had */

static long no_filter(void)
{
	say("installs a seccomp filter, which would judge pawl's system calls as the program's; it is refused. Run the "
	    "program "
	    "with its filter switched off");
	return -EPERM;
}

static long do_seccomp(ucontext_t *uc)
{
	return arg(uc, 0) == SECCOMP_SET_MODE_STRICT || arg(uc, 0) == SECCOMP_SET_MODE_FILTER ? no_filter()
											      : as_it_is(uc);
}

static long do_prctl(ucontext_t *uc)
{
	switch (arg(uc, 0)) {
	case PR_SET_SECCOMP: return no_filter();
	case PR_SET_SYSCALL_USER_DISPATCH: return -EINVAL; /* as a kernel without */
	default: return as_it_is(uc);
	}
}

static long do_arch_prctl(ucontext_t *uc)
{
	switch (arg(uc, 0)) {
	case ARCH_SET_GS: say("uses the GS register, which pawl needs itself; it is refused"); return -EPERM;
	case ARCH_GET_GS: {
		const uintptr_t zero = 0;

		return copy_out((void *)arg(uc, 1), &zero, sizeof(zero));
	}
	default: return as_it_is(uc);
	}
}

static long do_exit(ucontext_t *uc)
{
	thread_exit(arg(uc, 0));
}

static long (*const calls[N_CALLS])(ucontext_t *uc) = {
	[SYS_open] = do_open,
	[SYS_openat] = do_openat,
	[SYS_openat2] = do_openat,
	[SYS_ioctl] = do_ioctl,
	[SYS_mmap] = do_mmap,
	[SYS_munmap] = do_munmap,
	[SYS_mprotect] = do_munmap,
	[SYS_mremap] = do_mremap,
	[SYS_fallocate] = do_fallocate,
	[SYS_lseek] = do_lseek,
	[SYS_madvise] = do_madvise,
	[SYS_close] = do_close,
	[SYS_dup2] = do_dup2,
	[SYS_dup3] = do_dup2,
	[SYS_close_range] = do_close_range,
	[SYS_stat] = do_stat,
	[SYS_lstat] = do_stat,
	[SYS_newfstatat] = do_newfstatat,
	[SYS_statx] = do_statx,
	[SYS_access] = do_access,
	[SYS_faccessat] = do_access,
	[SYS_faccessat2] = do_access,
	[SYS_rt_sigaction] = do_sigaction,
	[SYS_rt_sigprocmask] = do_procmask,
	[SYS_rt_sigreturn] = do_sigreturn,
	[SYS_sigaltstack] = do_altstack,
	[SYS_rt_sigsuspend] = do_sigsuspend,
	[SYS_ppoll] = do_ppoll,
	[SYS_pselect6] = do_pselect6,
	[SYS_epoll_pwait] = do_epoll_pwait,
	[SYS_epoll_pwait2] = do_epoll_pwait,
	[SYS_seccomp] = do_seccomp,
	[SYS_prctl] = do_prctl,
	[SYS_arch_prctl] = do_arch_prctl,
	[SYS_clone] = thread_clone,
	[SYS_clone3] = thread_clone,
	[SYS_fork] = thread_clone,
	[SYS_vfork] = thread_clone,
	[SYS_exit] = do_exit,
};

void calls_dispatch(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	unsigned long nr = (unsigned long)uc->uc_mcontext.gregs[REG_RAX];

	if (info->si_code != SYS_USER_DISPATCH) {
		signal_sigsys(sig, info, uc);
		return;
	}
	if (info->si_arch != AUDIT_ARCH_X86_64)
		uc->uc_mcontext.gregs[REG_RAX] = -ENOSYS; /* 32-bit system calls of a 64-bit program */
	else if (nr < N_CALLS && calls[nr])
		uc->uc_mcontext.gregs[REG_RAX] = calls[nr](uc);
	else
		uc->uc_mcontext.gregs[REG_RAX] = as_it_is(uc);
}
