/* SPDX-License-Identifier: MIT */
/* The preload library, with a libpawl that writes down what reaches it. */
#undef _FILE_OFFSET_BITS /* open() is to mean open(), not open64() */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
void (*__sysv_signal(int sig, void (*handler)(int)))(int);

/* ---- The libpawl of this test: a set of inodes */

static struct {
	ino_t ino[8];
	int opened, opened_flags, released, ioctls, maps, allocations, seeks, signals;
	int changes, drops;
	void *changed;
	size_t changed_length;
	unsigned long request;
	void *arg;
	int (*during_ioctl)(void); /* what an ioctl does; its errno if not 0 */
} pawl;

static ino_t *find(int fd)
{
	struct stat st;

	for (size_t i = 0; fstat(fd, &st) == 0 && i < 8; i++)
		if (pawl.ino[i] == st.st_ino && st.st_nlink == 0)
			return &pawl.ino[i];
	return NULL;
}

int pawl_open(int flags)
{
	int fd = memfd_create("fake", 0);
	struct stat st;

	fstat(fd, &st);
	for (size_t i = 0; i < 8; i++) {
		if (pawl.ino[i] == 0) {
			pawl.ino[i] = st.st_ino;
			break;
		}
	}
	pawl.opened++;
	pawl.opened_flags = flags;
	assert_int_equal(ftruncate(fd, 8192), 0);
	/* The library's own look at the file system is not the program's. */
	assert_int_equal(access("/", F_OK), 0);
	return fd;
}

bool pawl_is_fd(int fd)
{
	return find(fd);
}

int pawl_close(int fd)
{
	ino_t *ino = find(fd);
	int left = 0;

	if (!ino) {
		errno = EBADF;
		return -1;
	}
	if (close(fd) != 0)
		return -1;
	for (int i = 0; i < 256; i++)
		left += find(i) == ino;
	if (left == 0) {
		pawl.released++;
		*ino = 0;
	}
	return 0;
}

int pawl_ioctl(int fd, unsigned long request, void *arg)
{
	int err;

	if (!find(fd)) {
		errno = EBADF;
		return -1;
	}
	pawl.ioctls++;
	pawl.request = request;
	pawl.arg = arg;
	err = pawl.during_ioctl ? pawl.during_ioctl() : 0;
	errno = err;
	return err ? -1 : 12;
}

void *pawl_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	pawl.maps++;
	return mmap(addr, length, prot, flags, fd, offset);
}

int pawl_fallocate(int fd, int mode, off_t offset, off_t length)
{
	pawl.allocations++;
	return fallocate(fd, mode, offset, length);
}

long pawl_lseek(int fd, long offset, int whence)
{
	if (!find(fd)) {
		errno = EBADF;
		return -1;
	}
	pawl.seeks++;
	return 0;
}

int pawl_change_memory(void *addr, size_t length, int (*change)(void *arg), void *arg)
{
	pawl.changes++;
	pawl.changed = addr;
	pawl.changed_length = length;
	return change(arg);
}

void pawl_forget_memory(void *addr, size_t length)
{
	pawl.drops++;
	pawl.changed = addr;
	pawl.changed_length = length;
	errno = EDOM; /* the advice's is kept */
}

void pawl_signal_ran(void)
{
	pawl.signals++;
	errno = EDOM; /* the trampoline keeps the program's */
}

static int clean(void **state)
{
	memset(&pawl, 0, sizeof(pawl));
	return 0;
}

/* ---- Memory */

static void the_library_hears_of_pages_that_advice_drops(void **state)
{
	char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(madvise(p, 3 * 4096, MADV_WILLNEED), 0);
	assert_int_equal(pawl.drops, 0);
	assert_int_equal(madvise(p + 4096, 4096, MADV_DONTNEED), 0);
	assert_int_equal(pawl.drops, 1);
	assert_ptr_equal(pawl.changed, p + 4096);
	assert_int_equal(pawl.changed_length, 4096);
	assert_int_equal(munmap(p + 2 * 4096, 4096), 0);
	/* The first two pages are done all the same. qemu-user, which ignores this advice, may say that all is well. */
	assert_true(madvise(p, 3 * 4096, MADV_FREE) == 0 || errno == ENOMEM);
	assert_int_equal(pawl.drops, 2);
	munmap(p, 2 * 4096);
}

static void the_library_hears_of_holes_in_files_of_memory(void **state)
{
	int fd = memfd_create("holes", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(fallocate(fd, 0, 0, 4096), 0);
	assert_int_equal(pawl.drops, 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	assert_int_equal(pawl.drops, 1);
	assert_int_equal(fallocate(-1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pawl.drops, 1);
	close(fd);
}

static void changes_of_the_programs_memory_are_made_by_the_library(void **state)
{
	char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

	assert_int_equal(pawl.changes, 0); /* nothing was there before */
	assert_int_equal(mprotect(p + 4096, 4096, PROT_READ), 0);
	assert_int_equal(pawl.changes, 1);
	assert_ptr_equal(pawl.changed, p + 4096);
	assert_int_equal(pawl.changed_length, 4096);
	q = mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(q, p);
	assert_ptr_equal(pawl.changed, p);
	q = mremap(p, 3 * 4096, 4096, 0);
	assert_ptr_equal(q, p);
	assert_int_equal(pawl.changed_length, 3 * 4096);
	assert_int_equal(munmap(p, 4096), 0);
	assert_int_equal(pawl.changes, 4);
	assert_int_equal(mprotect((void *)1, 1, PROT_READ), -1);
	assert_int_equal(errno, EINVAL);
}

/* ---- Descriptors */

static void every_open_of_dev_kvm_is_the_librarys(void **state)
{
	int fds[] = {
		open("/dev/kvm", O_RDWR),
		open64("/dev/kvm", O_RDWR),
		openat(AT_FDCWD, "/dev/kvm", O_RDWR),
		openat64(AT_FDCWD, "/dev/kvm", O_RDWR),
		__open_2("/dev/kvm", O_RDWR),
		__open64_2("/dev/kvm", O_RDWR),
		__openat_2(AT_FDCWD, "/dev/kvm", O_RDWR),
		__openat64_2(AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC),
	};

	assert_int_equal(pawl.opened, 8);
	assert_int_equal(pawl.opened_flags, O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < 8; i++) {
		assert_true(pawl_is_fd(fds[i]));
		assert_int_equal(close(fds[i]), 0);
	}
	assert_int_equal(pawl.released, 8);
	errno = 0;
	assert_int_equal(open("/dev/kvm", O_RDONLY | O_DIRECTORY), -1);
	assert_int_equal(errno, ENOTDIR);
}

static void other_files_are_the_c_librarys_with_their_mode(void **state)
{
	char dir[] = "/tmp/pawl-shim-XXXXXX", path[64];
	struct stat st;
	int fd;

	umask(022);
	assert_non_null(mkdtemp(dir));
	strcat(strcpy(path, dir), "/file");
	fd = open(path, O_CREAT | O_RDWR, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(access(path, W_OK), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open(path, O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(pawl.opened, 0);
}

static void the_file_looks_like_a_character_device(void **state)
{
	struct stat st;
	struct statx stx;

	assert_int_equal(stat("/dev/kvm", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_rdev, makedev(10, 232));
	assert_int_equal(lstat("/dev/kvm", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(fstatat(AT_FDCWD, "/dev/kvm", &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(statx(AT_FDCWD, "/dev/kvm", 0, STATX_BASIC_STATS, &stx), 0);
	assert_true(S_ISCHR(stx.stx_mode));
	assert_int_equal(access("/dev/kvm", R_OK | W_OK), 0);
	assert_int_equal(faccessat(AT_FDCWD, "/dev/kvm", F_OK, 0), 0);
	assert_int_equal(access("/dev/kvm", X_OK), -1);
	assert_int_equal(errno, EACCES);
}

static int bad_descriptor_in_the_argument(void)
{
	return EBADF;
}

static void requests_of_kvm_reach_the_library_once(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), arg;

	assert_int_equal(ioctl(fd, KVM_GET_REG_LIST, &arg), 12);
	assert_int_equal(pawl.request, 0xC008AEB0);
	assert_ptr_equal(pawl.arg, &arg);
	/* a request that went through an int */
	assert_int_equal(ioctl(fd, (unsigned long)(int)KVM_GET_REG_LIST, &arg), 12);
	assert_int_equal(pawl.request, 0xC008AEB0);
	pawl.during_ioctl = bad_descriptor_in_the_argument;
	assert_int_equal(ioctl(fd, KVM_IRQFD, &arg), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pawl.ioctls, 3);
	close(fd);
}

static void other_requests_and_descriptors_are_the_kernels(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), event = eventfd(0, 0), pipes[2], n = -1;

	assert_int_equal(ioctl(event, KVM_RUN, 0), -1);
	assert_true(errno == ENOTTY || errno == ENOSYS); /* ENOSYS: qemu-user's answer to requests it does not know */
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(ioctl(pipes[0], FIONREAD, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ioctl(fd, FIOCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pawl.ioctls, 0);
	close(pipes[0]);
	close(pipes[1]);
	close(event);
	close(fd);
}

static void space_of_descriptors_is_the_librarys_to_allocate_and_others_is_not(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), other = memfd_create("other", 0);

	assert_int_equal(fallocate(fd, 0, 0, 4096), 0);
	assert_int_equal(fallocate64(fd, 0, 0, 4096), 0);
	assert_int_equal(pawl.allocations, 2);
	assert_int_equal(fallocate(other, 0, 0, 4096), 0);
	assert_int_equal(fallocate64(other, 0, 0, 8192), 0);
	assert_int_equal(pawl.allocations, 2);
	close(other);
	close(fd);
}

static void positions_are_the_librarys_business_and_others_are_not(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), other = memfd_create("other", 0);

	assert_int_equal(lseek(fd, 8, SEEK_SET), 0);
	assert_int_equal(lseek64(fd, 8, SEEK_SET), 0);
	assert_int_equal(pawl.seeks, 2);
	assert_int_equal(lseek(other, 8, SEEK_SET), 8);
	assert_int_equal(lseek64(other, 8, SEEK_CUR), 16);
	assert_int_equal(lseek(-1, 0, SEEK_SET), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pawl.seeks, 2);
	close(other);
	close(fd);
}

/* NULL is what the C library's headers forbid, and what is tested. */
__attribute__((no_sanitize("undefined"))) static void a_path_that_is_not_there_is_the_kernels_to_refuse(void **state)
{
	const char *volatile none = NULL;
	struct statx stx;
	struct stat st;

	assert_int_equal(open(none, O_RDONLY), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(openat(AT_FDCWD, none, O_RDONLY), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(stat(none, &st), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(access(none, R_OK), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(statx(AT_FDCWD, none, 0, STATX_BASIC_STATS, &stx), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pawl.opened, 0);
}

static void maps_of_descriptors_are_the_librarys_and_others_are_not(void **state)
{
	int fd = open("/dev/kvm", O_RDWR);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	void *q = mmap64(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
	void *anon = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_ptr_not_equal(q, MAP_FAILED);
	assert_ptr_not_equal(anon, MAP_FAILED);
	assert_int_equal(pawl.maps, 2);
	munmap(p, 4096);
	munmap(q, 4096);
	munmap(anon, 4096);
	close(fd);
}

static void an_object_lives_until_its_last_duplicate_is_closed(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), second = dup(fd), third = fcntl(fd, F_DUPFD, 100);

	assert_int_equal(ioctl(third, KVM_GET_API_VERSION, 0), 12);
	close(fd);
	close(third);
	assert_int_equal(pawl.released, 0);
	assert_int_equal(ioctl(second, KVM_GET_API_VERSION, 0), 12);
	close(second);
	assert_int_equal(pawl.released, 1);
}

static void duplicating_over_a_descriptor_closes_it(void **state)
{
	int fd = open("/dev/kvm", O_RDWR), other = open("/dev/kvm", O_RDWR), event = eventfd(0, 0);
	uint64_t one = 1;

	assert_int_equal(dup2(fd, fd), fd);
	assert_int_equal(dup2(-1, fd), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pawl.released, 0);
	assert_int_equal(dup2(event, fd), fd);
	assert_int_equal(pawl.released, 1);
	assert_int_equal(write(fd, &one, 8), 8);
	assert_int_equal(dup3(event, other, O_CLOEXEC), other);
	assert_int_equal(pawl.released, 2);
	assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
	close(fd);
	close(other);
	close(event);
	assert_int_equal(pawl.released, 2);
}

static void closing_a_range_closes_the_descriptors_in_it(void **state)
{
	int below = dup(0), fd = fcntl(open("/dev/kvm", O_RDWR), F_DUPFD, 100);
	int event = fcntl(0, F_DUPFD, fd + 1);

	for (int i = 0; i < 100; i++)
		if (i != below && pawl_is_fd(i))
			close(i);
	assert_int_equal(pawl.released, 0);
	if (close_range(100, 255, 0) != 0) { /* an emulator, or a kernel before 5.9 */
		assert_int_equal(errno, ENOSYS);
		close(fd);
		close(event);
	}
	assert_int_equal(pawl.released, 1);
	assert_int_equal(fcntl(event, F_GETFD), -1);
	assert_true(fcntl(below, F_GETFD) >= 0);
	close(below);
}

/* ---- Signals */

static volatile sig_atomic_t plain_ran, info_ran, info_code, handler_errno;
static volatile uintptr_t handler_stack;

static void plain(int sig)
{
	plain_ran = sig;
	handler_errno = errno;
}

static void other_plain(int sig)
{
	plain_ran = -sig;
}

static void with_info(int sig, siginfo_t *info, void *context)
{
	info_ran = info->si_signo == sig && context ? sig : -1;
	info_code = info->si_code;
	handler_stack = (uintptr_t)__builtin_frame_address(0);
}

static void a_handler_runs_and_the_library_knows(void **state)
{
	struct sigaction action = {.sa_handler = plain};

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	errno = EXDEV;
	raise(SIGUSR1);
	assert_int_equal(plain_ran, SIGUSR1);
	assert_int_equal(handler_errno, EXDEV);
	assert_int_equal(pawl.signals, 1);

	action.sa_sigaction = with_info;
	action.sa_flags = SA_SIGINFO;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	assert_int_equal(info_ran, SIGUSR1);
	assert_int_equal(info_code, SI_TKILL);
	assert_int_equal(pawl.signals, 2);
}

static void the_program_sees_its_own_handlers(void **state)
{
	struct sigaction action = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO | SA_RESTART}, old;

	sigaddset(&action.sa_mask, SIGUSR2);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, NULL, &old), 0);
	assert_ptr_equal(old.sa_sigaction, with_info);
	assert_int_equal(old.sa_flags & (SA_SIGINFO | SA_RESTART), SA_SIGINFO | SA_RESTART);
	assert_true(sigismember(&old.sa_mask, SIGUSR2));

	action = (struct sigaction){.sa_handler = plain};
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	assert_ptr_equal(old.sa_sigaction, with_info);
	assert_ptr_equal(signal(SIGUSR1, other_plain), plain);
	assert_ptr_equal(__sysv_signal(SIGUSR1, SIG_IGN), other_plain);
	assert_ptr_equal(signal(SIGUSR1, plain), SIG_IGN);
	assert_ptr_equal(signal(SIGUSR1, SIG_DFL), plain);
	assert_int_equal(sigaction(SIGUSR1, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
}

static void a_program_that_chains_handlers_calls_the_one_before(void **state)
{
	struct sigaction action = {.sa_handler = plain}, before;

	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = other_plain;
	sigaction(SIGUSR1, &action, &before);
	sigaction(SIGUSR1, &before, NULL); /* puts the old one back */
	raise(SIGUSR1);
	assert_int_equal(plain_ran, SIGUSR1);
}

static void a_refused_action_changes_nothing(void **state)
{
	struct sigaction action = {.sa_handler = plain};

	assert_int_equal(sigaction(SIGKILL, &action, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(sigaction(0, &action, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(sigaction(NSIG, &action, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_true(signal(SIGSTOP, plain) == SIG_ERR);
	assert_true(signal(SIGUSR1, SIG_ERR) == SIG_ERR);
}

static void reset_after_one_delivery_is_reset_to_the_default(void **state)
{
	struct sigaction action = {.sa_handler = plain, .sa_flags = (int)SA_RESETHAND}, old;

	plain_ran = 0;
	assert_int_equal(sigaction(SIGURG, &action, NULL), 0);
	raise(SIGURG);
	assert_int_equal(plain_ran, SIGURG);
	assert_int_equal(sigaction(SIGURG, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, SIG_DFL);
	plain_ran = 0;
	raise(SIGURG); /* ignored by default */
	assert_int_equal(plain_ran, 0);
}

static void an_ignored_signal_is_ignored(void **state)
{
	assert_true(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	raise(SIGUSR1);
	assert_int_equal(pawl.signals, 0);
}

static void a_handler_runs_on_the_alternate_stack(void **state)
{
	static char stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)}, none = {.ss_flags = SS_DISABLE};
	struct sigaction action = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	assert_int_equal(sigaltstack(&alternate, NULL), 0);
	assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
	raise(SIGUSR2);
	assert_in_range(handler_stack, (uintptr_t)stack, (uintptr_t)stack + sizeof(stack) - 1);
	assert_int_equal(sigaltstack(&none, NULL), 0);
}

static int handler_fd;

static void asks_the_library(int sig)
{
	pawl.during_ioctl = NULL;
	plain_ran = ioctl(handler_fd, KVM_GET_API_VERSION, 0);
}

static int interrupted(void)
{
	raise(SIGUSR1);
	return EINTR;
}

static void a_handler_that_interrupts_an_ioctl_can_make_one(void **state)
{
	handler_fd = open("/dev/kvm", O_RDWR);
	assert_true(signal(SIGUSR1, asks_the_library) != SIG_ERR);
	pawl.during_ioctl = interrupted;
	assert_int_equal(ioctl(handler_fd, KVM_RUN, 0), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(plain_ran, 12);
	assert_int_equal(pawl.ioctls, 2);
	assert_int_equal(pawl.signals, 1);
	close(handler_fd);
	assert_int_equal(pawl.released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_library_hears_of_pages_that_advice_drops, clean),
		cmocka_unit_test_setup(the_library_hears_of_holes_in_files_of_memory, clean),
		cmocka_unit_test_setup(changes_of_the_programs_memory_are_made_by_the_library, clean),
		cmocka_unit_test_setup(every_open_of_dev_kvm_is_the_librarys, clean),
		cmocka_unit_test_setup(other_files_are_the_c_librarys_with_their_mode, clean),
		cmocka_unit_test_setup(the_file_looks_like_a_character_device, clean),
		cmocka_unit_test_setup(requests_of_kvm_reach_the_library_once, clean),
		cmocka_unit_test_setup(other_requests_and_descriptors_are_the_kernels, clean),
		cmocka_unit_test_setup(space_of_descriptors_is_the_librarys_to_allocate_and_others_is_not, clean),
		cmocka_unit_test_setup(positions_are_the_librarys_business_and_others_are_not, clean),
		cmocka_unit_test_setup(a_path_that_is_not_there_is_the_kernels_to_refuse, clean),
		cmocka_unit_test_setup(maps_of_descriptors_are_the_librarys_and_others_are_not, clean),
		cmocka_unit_test_setup(an_object_lives_until_its_last_duplicate_is_closed, clean),
		cmocka_unit_test_setup(duplicating_over_a_descriptor_closes_it, clean),
		cmocka_unit_test_setup(closing_a_range_closes_the_descriptors_in_it, clean),
		cmocka_unit_test_setup(a_handler_runs_and_the_library_knows, clean),
		cmocka_unit_test_setup(the_program_sees_its_own_handlers, clean),
		cmocka_unit_test_setup(a_program_that_chains_handlers_calls_the_one_before, clean),
		cmocka_unit_test_setup(a_refused_action_changes_nothing, clean),
		cmocka_unit_test_setup(reset_after_one_delivery_is_reset_to_the_default, clean),
		cmocka_unit_test_setup(an_ignored_signal_is_ignored, clean),
		cmocka_unit_test_setup(a_handler_runs_on_the_alternate_stack, clean),
		cmocka_unit_test_setup(a_handler_that_interrupts_an_ioctl_can_make_one, clean),
	};

	return cmocka_run_group_tests_name("shim", tests, NULL, NULL);
}
