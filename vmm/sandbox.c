/* SPDX-License-Identifier: MIT */
/*
 * What the process gives up once it is set up, so that a guest which finds its way out of a device model finds little: it can
 * start no program, reach no file but those that are open and those below, and make no memory executable. landlock(7)
 * for the file system, on the main thread before it starts others; seccomp(2) for the system calls, on all threads, before the first
 * vcpu runs. A system call that is not on the list fails with EPERM. What stays possible on purpose: sockets, for the
 * debugger, the user network and network block devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "machine.h"
#include "sandbox.h"

/* LeakSanitizer starts a process at the end, and looks at memory that is not its own. */
#if defined(__SANITIZE_ADDRESS__)
const bool machine_can_confine = false;
#elif defined(__has_feature)
const bool machine_can_confine = !__has_feature(address_sanitizer);
#else
const bool machine_can_confine = true;
#endif

/* ---- the file system */

/* Rights by the ABI that brought them; a kernel refuses a right that it does not know. */
enum { FS_RIGHTS_1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
#define FS_REFER UINT64_C(0x2000)     /* ABI 2 */
#define FS_TRUNCATE UINT64_C(0x4000)  /* ABI 3 */
#define FS_IOCTL_DEV UINT64_C(0x8000) /* ABI 5 */
#define SCOPE_TSYNC 8		      /* ABI 8: LANDLOCK_RESTRICT_SELF_TSYNC, all threads */

static int ruleset_create(uint64_t *rights)
{
	struct landlock_ruleset_attr attr;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1)
		return -1;
	*rights =
		FS_RIGHTS_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
	memset(&attr, 0, sizeof(attr));
	attr.handled_access_fs = *rights;
	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
}

/* What is missing needs no rule. */
static void allow(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights,
						  .parent_fd = open(path, O_PATH | O_CLOEXEC)};

	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

static void allow_directory_of(int ruleset, const char *path, uint64_t rights)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *directory;

	if (!path)
		return;
	directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (directory)
		allow(ruleset, directory, rights);
	free(directory);
}

int sandbox_files(const struct sandbox *s, struct vmm_error *err)
{
	static const char *const resolver[] = {"/etc/resolv.conf", "/etc/hosts"};
	const uint64_t sockets = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
	uint64_t all;
	int ruleset = ruleset_create(&all), rc;

	if (ruleset < 0)
		return vmm_fail(err, "this kernel has no landlock: %s", strerror(errno));
	for (unsigned i = 0; i < s->n_shares; i++)
		allow(ruleset, s->shares[i].path,
		      s->shares[i].read_only ? LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
					     : all & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | FS_IOCTL_DEV));
	for (size_t i = 0; s->network && i < sizeof(resolver) / sizeof(resolver[0]); i++)
		allow(ruleset, resolver[i], LANDLOCK_ACCESS_FS_READ_FILE);
	/* Sockets and the pidfile are removed at the end, and a debugger's may be made later. */
	allow_directory_of(ruleset, s->control, sockets);
	allow_directory_of(ruleset, s->gdb, sockets);
	for (unsigned i = 0; i < s->n_sockets; i++)
		allow_directory_of(ruleset, s->sockets[i], sockets);
	allow_directory_of(ruleset, s->pidfile,
			   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE |
				   LANDLOCK_ACCESS_FS_REMOVE_FILE);
	rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!rc && syscall(SYS_landlock_restrict_self, ruleset, SCOPE_TSYNC))
		rc = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	if (rc)
		vmm_fail(err, "landlock: %s", strerror(errno));
	close(ruleset);
	return rc ? -1 : 0;
}

/* ---- system calls */

#define CALL(name) SCMP_SYS(name)

static const int everybody[] = {
	/* descriptors that are open */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(lseek),
	CALL(close),
	CALL(close_range),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fcntl),
	CALL(ioctl),
	CALL(dup),
	CALL(dup3),
	CALL(pipe2),
	CALL(flock),
	CALL(fsync),
	CALL(fdatasync),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fadvise64),
	CALL(sync_file_range),
	CALL(splice),
	CALL(copy_file_range),
	CALL(sendfile),
	CALL(fstatfs),
	CALL(getcwd),
	/* waiting */
	CALL(poll),
	CALL(ppoll),
	CALL(select),
	CALL(pselect6),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(eventfd2),
	CALL(signalfd4),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	/* time, chance, who am I */
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(gettimeofday),
	CALL(time),
	CALL(getrandom),
	CALL(uname),
	CALL(getpid),
	CALL(getppid),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(getpgrp),
	CALL(getrusage),
	CALL(getrlimit),
	CALL(sysinfo),
	CALL(getcpu),
	CALL(kcmp),
	/* memory; mmap and mprotect are below */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(mincore),
	CALL(msync),
	CALL(mlock),
	CALL(munlock),
	CALL(memfd_create),
	CALL(membarrier),
	/* threads and signals; clone, kill and tgkill are below */
	CALL(futex),
	CALL(futex_waitv),
	CALL(set_robust_list),
	CALL(get_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigpending),
	CALL(rt_sigtimedwait),
	CALL(sigaltstack),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	/* sockets: the debugger, the control socket, network devices */
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(connect),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(sendto),
	CALL(recvfrom),
	CALL(sendmsg),
	CALL(recvmsg),
	CALL(sendmmsg),
	CALL(recvmmsg),
	CALL(shutdown),
	CALL(socketpair),
	/* what is left behind goes; landlock says where */
	CALL(unlink),
	CALL(unlinkat),
};

/* With a shared folder, or a network whose resolver reads its configuration; landlock says which. */
static const int with_files[] = {
	CALL(open),   CALL(openat),    CALL(openat2),	 CALL(getdents64), CALL(readlink), CALL(readlinkat),
	CALL(access), CALL(faccessat), CALL(faccessat2), CALL(stat),	   CALL(lstat),	   CALL(statfs),
};

static const int with_share[] = {
	CALL(mkdir),	    CALL(mkdirat),    CALL(mknodat),	 CALL(rename),
	CALL(renameat),	    CALL(renameat2),  CALL(link),	 CALL(linkat),
	CALL(symlink),	    CALL(symlinkat),  CALL(rmdir),	 CALL(chmod),
	CALL(fchmod),	    CALL(fchmodat),   CALL(chown),	 CALL(fchown),
	CALL(lchown),	    CALL(fchownat),   CALL(utimensat),	 CALL(truncate),
	CALL(umask),	    CALL(getxattr),   CALL(lgetxattr),	 CALL(fgetxattr),
	CALL(listxattr),    CALL(llistxattr), CALL(flistxattr),	 CALL(setxattr),
	CALL(lsetxattr),    CALL(fsetxattr),  CALL(removexattr), CALL(lremovexattr),
	CALL(fremovexattr), CALL(setfsuid),   CALL(setfsgid),	 CALL(name_to_handle_at),
};

/* A call that this architecture does not have needs no rule. */
static int add(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (rc == -EDOM)
			rc = 0;
	}
	return rc;
}

#define ADD(filter, calls) add(filter, calls, sizeof(calls) / sizeof((calls)[0]))

/* Those whose arguments matter: the bits of mask in one argument are val. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t mask, scmp_datum_t val)
{
	struct scmp_arg_cmp cmp = {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = val};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &cmp);
}

static int add_conditional(scmp_filter_ctx filter)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
	static const int names[] = {PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */, PR_GET_DUMPABLE,
				    PR_SET_TIMERSLACK};
	const scmp_datum_t all = UINT64_MAX, me = (scmp_datum_t)getpid();
	int rc = 0;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		rc |= allow_if(filter, CALL(socket), 0, all, (scmp_datum_t)families[i]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		rc |= allow_if(filter, CALL(prctl), 0, all, (scmp_datum_t)names[i]);
	rc |= allow_if(filter, CALL(mmap), 2, PROT_EXEC, 0);
	rc |= allow_if(filter, CALL(mprotect), 2, PROT_EXEC, 0);
	/* A thread, not a process. The structure of clone3 cannot be looked at: the C library then uses clone. */
	rc |= allow_if(filter, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
	rc |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	rc |= allow_if(filter, CALL(kill), 0, all, me);
	rc |= allow_if(filter, CALL(tgkill), 0, all, me);
	rc |= allow_if(filter, CALL(prlimit64), 2, all, 0); /* limits are read, not set */
	return rc;
}

int sandbox_calls(const struct sandbox *s, struct vmm_error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (!filter)
		return vmm_fail(err, "no memory for a seccomp filter");
	rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	if (!rc)
		rc = ADD(filter, everybody);
	if (!rc && (s->n_shares || s->network))
		rc = ADD(filter, with_files);
	if (!rc && s->n_shares)
		rc = ADD(filter, with_share);
	if (!rc)
		rc = add_conditional(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc ? vmm_fail(err, "seccomp: %s", strerror(-rc)) : 0;
}
