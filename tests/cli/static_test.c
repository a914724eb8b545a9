/* SPDX-License-Identifier: MIT */
/*
 * An ordinary KVM client that is statically linked, with threads, handlers and children, for `pawl exec`. It knows nothing of
 * pawl. TAP; with an argument, one thing that pawl exec refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CODE = 0x40000000, RAM_SIZE = 0x10000, VCPUS = 4 };

extern char **environ;

static int n_tests, failures;

static void ok(bool good, const char *sentence)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, sentence);
	failures += !good;
}

struct vm {
	int kvm, vm, vcpu[VCPUS];
	struct kvm_run *run[VCPUS];
	uint32_t *ram;
};

static bool start(struct vm *v, const uint32_t *code, size_t size)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = CODE, .memory_size = RAM_SIZE};
	uint64_t pc = CODE;
	struct kvm_one_reg reg = {.id = 0x6030000000100040, .addr = (uintptr_t)&pc};
	struct kvm_vcpu_init init;
	int run_size;

	v->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	v->vm = ioctl(v->kvm, KVM_CREATE_VM, 0);
	v->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->vm < 0 || v->ram == MAP_FAILED)
		return false;
	memcpy(v->ram, code, size);
	slot.userspace_addr = (uintptr_t)v->ram;
	run_size = ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &slot) || ioctl(v->vm, KVM_ARM_PREFERRED_TARGET, &init))
		return false;
	for (int i = 0; i < VCPUS; i++) {
		v->vcpu[i] = ioctl(v->vm, KVM_CREATE_VCPU, i);
		v->run[i] = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu[i], 0);
		if (v->vcpu[i] < 0 || v->run[i] == MAP_FAILED || ioctl(v->vcpu[i], KVM_ARM_VCPU_INIT, &init) ||
		    ioctl(v->vcpu[i], KVM_SET_ONE_REG, &reg))
			return false;
	}
	return true;
}

static const uint32_t store_to_device[] = {
	0x52800aa0, /* mov w0, #0x55 */
	0xd2a14001, /* mov x1, #0x0a000000 */
	0xb9000020, /* str w0, [x1] */
	0x17ffffff, /* b to the store */
};

static const uint32_t for_ever[] = {0x14000000 /* b . */};

static struct vm v;

static void *run_to_the_store(void *arg)
{
	int i = (int)(intptr_t)arg;

	for (int n = 0; n < 1000; n++)
		if (ioctl(v.vcpu[i], KVM_RUN, 0) != 0 || v.run[i]->exit_reason != KVM_EXIT_MMIO ||
		    v.run[i]->mmio.phys_addr != 0x0a000000)
			return "wrong exit";
	return NULL;
}

static void each_thread_runs_its_vcpu(void)
{
	pthread_t threads[VCPUS];
	bool good = start(&v, store_to_device, sizeof(store_to_device));

	for (intptr_t i = 0; good && i < VCPUS; i++)
		good = pthread_create(&threads[i], NULL, run_to_the_store, (void *)i) == 0;
	for (int i = 0; good && i < VCPUS; i++) {
		void *wrong;

		good = pthread_join(threads[i], &wrong) == 0 && !wrong;
	}
	ok(good, "four threads run a vcpu each");
}

/* ---- signals */

static atomic_int handled, version_in_handler;

static void handler(int sig, siginfo_t *info, void *context)
{
	version_in_handler = ioctl(v.kvm, KVM_GET_API_VERSION, 0);
	handled++;
}

static void *run_until_signals(void *arg)
{
	for (int n = 0; n < 3; n++)
		if (ioctl(v.vcpu[0], KVM_RUN, 0) != -1 || errno != EINTR)
			return "not EINTR";
	return NULL;
}

static void a_signal_ends_kvm_run(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
	bool good = start(&v, for_ever, sizeof(for_ever));
	pthread_t thread;
	void *wrong = "";

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR1, NULL, &old);
	ok(old.sa_sigaction == handler, "a program that asks for its handler gets its own");
	good = good && pthread_create(&thread, NULL, run_until_signals, NULL) == 0;
	/* one that comes before KVM_RUN does not end it: again and again */
	while (good && pthread_tryjoin_np(thread, &wrong) == EBUSY) {
		pthread_kill(thread, SIGUSR1);
		usleep(2000);
	}
	ok(good && !wrong, "a handled signal ends KVM_RUN with EINTR, whatever SA_RESTART says");
	ok(handled >= 3 && version_in_handler == 12, "a handler that interrupts KVM_RUN can make ioctls");
}

static uintptr_t handler_stack;

static void note_stack(int sig)
{
	char here;

	handler_stack = (uintptr_t)&here;
	getppid(); /* a system call on that stack */
}

static void *has_alternate_stack(void *arg)
{
	stack_t now;

	return sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE ? NULL : "has";
}

static void handlers_run_on_the_alternate_stack(void)
{
	pthread_t thread;
	void *has = "";
	static char stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)}, none = {.ss_flags = SS_DISABLE}, old;
	struct sigaction action = {.sa_handler = note_stack, .sa_flags = SA_ONSTACK};

	ok(sigaltstack(&alternate, NULL) == 0 && sigaltstack(NULL, &old) == 0 && old.ss_sp == stack,
	   "an alternate stack can be set and is remembered");
	sigaction(SIGUSR2, &action, NULL);
	raise(SIGUSR2);
	ok(handler_stack - (uintptr_t)stack < sizeof(stack), "a handler runs on it");
	ok(ioctl(v.kvm, KVM_GET_API_VERSION, 0) == 12, "ioctls work with one");
	ok(pthread_create(&thread, NULL, has_alternate_stack, NULL) == 0 && pthread_join(thread, &has) == 0 && !has,
	   "a new thread has none");
	ok(sigaltstack(&none, NULL) == 0, "it can be taken away");
}

static void blocked_signals_wait(void)
{
	sigset_t all, old, now;
	int before = handled;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	raise(SIGUSR1);
	ok(handled == before, "a blocked signal does not run its handler");
	sigprocmask(SIG_BLOCK, NULL, &now);
	ok(sigismember(&now, SIGUSR1) == 1 && sigismember(&old, SIGUSR1) == 0, "the mask is the program's");
	sigprocmask(SIG_SETMASK, &old, NULL);
	ok(handled == before + 1, "and it runs when the signal is let in");
}

/* ---- children */

static int status_of(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void children_are_started_in_every_way(void)
{
	char *const arguments[] = {"sh", "-c", "exit 5", NULL};
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(ioctl(v.vm, KVM_CHECK_EXTENSION, KVM_CAP_ONE_REG) == -1 && errno == EIO ? 3 : 1);
	ok(status_of(pid) == 3, "after fork(), ioctls in the child give EIO");
	pid = fork();
	if (pid == 0) {
		int kvm = open("/dev/kvm", O_RDWR);

		_exit(kvm >= 0 && ioctl(kvm, KVM_GET_API_VERSION, 0) == 12 ? 4 : 1);
	}
	ok(status_of(pid) == 4, "and the child can open the device itself");
	pid = vfork();
	if (pid == 0) {
		execv("/bin/sh", arguments);
		_exit(1);
	}
	ok(status_of(pid) == 5, "vfork() and exec work");
	ok(posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ) == 0 && status_of(pid) == 5,
	   "posix_spawn() works");
	ok(WEXITSTATUS(system("exit 6")) == 6, "system() works");
}

/* ---- the file and its descriptors */

static void the_file_is_a_character_device(void)
{
	struct stat st;
	int kvm, copy;

	ok(stat("/dev/kvm", &st) == 0 && S_ISCHR(st.st_mode) && access("/dev/kvm", R_OK | W_OK) == 0,
	   "/dev/kvm looks like a character device");
	kvm = open("/dev/kvm", O_RDWR);
	copy = fcntl(kvm, F_DUPFD, 100);
	close(kvm);
	ok(ioctl(kvm, KVM_GET_API_VERSION, 0) == -1 && errno == EBADF, "a closed descriptor is closed");
	ok(copy >= 100 && ioctl(copy, KVM_GET_API_VERSION, 0) == 12, "its duplicate is not");
	kvm = open("/dev/null", O_RDWR);
	ok(dup2(kvm, copy) == copy && ioctl(copy, KVM_GET_API_VERSION, 0) == -1 && errno == ENOTTY,
	   "dup2() replaces a descriptor");
	ok(close(copy) == 0 && close(kvm) == 0, "and what took its place can be closed");
}

static int refused(const char *what)
{
	if (strcmp(what, "seccomp") == 0)
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) == -1 && errno == EPERM ? 7 : 1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == -1 && errno == EPERM ? 7 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return refused(argv[1]);
	each_thread_runs_its_vcpu();
	a_signal_ends_kvm_run();
	handlers_run_on_the_alternate_stack();
	blocked_signals_wait();
	children_are_started_in_every_way();
	the_file_is_a_character_device();
	printf("1..%d\n", n_tests);
	return failures != 0;
}
