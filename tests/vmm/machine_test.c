/* SPDX-License-Identifier: MIT */
/*
 * The machine on a KVM that this file makes up: KVM_RUN of each vcpu plays a script of exits, so every way a machine
 * can end, and everything that a debugger may do to it, is tested without a guest. What real exits look like is not
 * tested here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pawl/kvm.h>

#include "vmm.h"

/* ---- KVM */

enum { KVM_FD = 1000, VM_FD, GIC_FD, VCPU_FD };
enum { N_VCPUS = 2, RUN_SIZE = 4096 };

enum step_kind { MMIO_WRITE, MMIO_READ, EVENT, DEBUG_STEP, EXIT, FAIL, WAIT };
struct step {
	enum step_kind kind;
	uint64_t a, b; /* address and data; event type; exit reason; errno */
};

static struct fake_vcpu {
	const struct step *script; /* WAIT: blocks until kicked, and stays there */
	atomic_int at;
	struct kvm_run *run;
	atomic_bool inside;
	atomic_int entries, completions;
	bool owed;
	uint64_t pc, x0, last_read;
} vcpus[N_VCPUS];
static atomic_int n_open, n_inits, irq_line_calls;
static uint64_t redist_region;
static int fail_request; /* this request fails with EPERM */
static uint8_t *guest_ram;

static int fake_open(const char *path, int flags)
{
	n_open++;
	return KVM_FD;
}

static int fail_with(int error)
{
	errno = error;
	return -1;
}

static int fake_run(struct fake_vcpu *v)
{
	struct kvm_run *run = v->run;
	const struct step *s = &v->script[atomic_load(&v->at)];

	v->entries++;
	if (v->owed) {
		v->owed = false;
		v->completions++;
		memcpy(&v->last_read, run->mmio.data, 8);
	}
	if (__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
		return fail_with(EINTR);
	if (s->kind == WAIT) {
		atomic_store(&v->inside, true);
		while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST))
			usleep(100);
		atomic_store(&v->inside, false);
		return fail_with(EINTR);
	}
	if (s->kind != FAIL && s->kind != EXIT)
		atomic_fetch_add(&v->at, 1);
	switch (s->kind) {
	case MMIO_WRITE:
	case MMIO_READ:
		run->exit_reason = KVM_EXIT_MMIO;
		run->mmio.phys_addr = s->a;
		run->mmio.len = s->b >> 32 ? (uint32_t)(s->b >> 32) : 4;
		run->mmio.is_write = s->kind == MMIO_WRITE;
		memset(run->mmio.data, 0xcc, 8);
		memcpy(run->mmio.data, &s->b, 4);
		v->owed = true;
		return 0;
	case EVENT:
		run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
		run->system_event.type = (uint32_t)s->a;
		return 0;
	case DEBUG_STEP:
		run->exit_reason = KVM_EXIT_DEBUG;
		run->debug.arch.hsr = 0xcb000022;
		run->flags = 0;
		v->pc += 4;
		return 0;
	case EXIT: run->exit_reason = (uint32_t)s->a; return 0;
	default: return fail_with((int)s->a);
	}
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	if ((int)request == fail_request)
		return fail_with(EPERM);
	switch (request) {
	case KVM_GET_API_VERSION: return 12;
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg == KVM_CAP_ARM_VM_IPA_SIZE ? 40
		       : (uintptr_t)arg == KVM_CAP_MAX_VCPUS	 ? N_VCPUS
								 : 0;
	case KVM_CREATE_VM: n_open++; return VM_FD;
	case KVM_GET_VCPU_MMAP_SIZE: return RUN_SIZE;
	case KVM_SET_USER_MEMORY_REGION:
		guest_ram = (uint8_t *)(uintptr_t)((struct kvm_userspace_memory_region *)arg)->userspace_addr;
		return 0;
	case KVM_CREATE_VCPU: n_open++; return VCPU_FD + (int)(uintptr_t)arg;
	case KVM_CREATE_DEVICE:
		n_open++;
		((struct kvm_create_device *)arg)->fd = GIC_FD;
		return 0;
	case KVM_SET_DEVICE_ATTR: {
		struct kvm_device_attr *a = arg;

		if (a->group == KVM_DEV_ARM_VGIC_GRP_ADDR && a->attr == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)
			redist_region = *(uint64_t *)(uintptr_t)a->addr;
		return 0;
	}
	case KVM_ARM_VCPU_INIT: n_inits++; return 0;
	case KVM_IRQ_LINE: irq_line_calls++; return 0;
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG: {
		struct kvm_one_reg *r = arg;
		uint64_t *val = (uint64_t *)(uintptr_t)r->addr;
		struct fake_vcpu *v = &vcpus[fd - VCPU_FD];
		uint64_t *at =
			r->id == (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))
				? &v->pc
			: r->id == (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
				    KVM_REG_ARM_CORE_REG(regs.regs[0]))
				? &v->x0
				: NULL;

		if (request == KVM_GET_ONE_REG)
			*val = at				       ? *at
			       : r->id == ARM64_SYS_REG(3, 0, 0, 0, 5) ? 0x80000000u + (unsigned)(fd - VCPU_FD)
								       : 0;
		else if (at)
			*at = *val;
		return 0;
	}
	case KVM_RUN: return fake_run(&vcpus[fd - VCPU_FD]);
	default: return 0;
	}
}

static void *fake_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(NULL, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	vcpus[fd - VCPU_FD].run = p;
	return p;
}

static int fake_close(int fd)
{
	n_open--;
	return 0;
}

static void fake_signal_ran(void) {}

static const struct kvm_sys fake_sys = {"fake", fake_open, fake_ioctl, fake_mmap, fake_close, fake_signal_ran};

/* ---- a machine on it, with a kernel of one instruction; standard output goes to a file */

static char dir[] = "/tmp/pawl-machine-test-XXXXXX", kernel_path[64], out_path[64];
static int real_stdout, real_stdin;
static struct machine *machine;
static struct vmm_error error;
static struct machine_config config;

static const struct step forever[] = {{WAIT, 0, 0}};

static int setup(void **state)
{
	uint8_t image[128] = {0};
	int fd;

	memset(vcpus, 0, sizeof(vcpus));
	for (unsigned i = 0; i < N_VCPUS; i++)
		vcpus[i].script = forever;
	n_open = n_inits = irq_line_calls = 0;
	fail_request = 0;
	memcpy(image + 56, "ARM\x64", 4);
	image[16] = 128;
	memcpy(image, "\x1f\x20\x03\xd5", 4);
	strcpy(dir, "/tmp/pawl-machine-test-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(kernel_path, sizeof(kernel_path), "%s/kernel", dir);
	snprintf(out_path, sizeof(out_path), "%s/out", dir);
	fd = open(kernel_path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0 || write(fd, image, sizeof(image)) != sizeof(image))
		return -1;
	close(fd);
	fflush(stdout);
	real_stdout = dup(STDOUT_FILENO);
	real_stdin = dup(STDIN_FILENO);
	fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	close(fd);
	config = (struct machine_config){.sys = &fake_sys, .kernel = kernel_path, .memory = 16 << 20, .smp = N_VCPUS};
	return 0;
}

static int teardown(void **state)
{
	fflush(stdout);
	dup2(real_stdout, STDOUT_FILENO);
	dup2(real_stdin, STDIN_FILENO);
	close(real_stdout);
	close(real_stdin);
	unlink(kernel_path);
	unlink(out_path);
	rmdir(dir);
	return 0;
}

static void create(void)
{
	machine = machine_create(&config, &error);
	if (!machine)
		fail_msg("%s", error.text);
}

static int run_to_end(const struct step *script)
{
	int status;

	vcpus[0].script = script;
	create();
	status = machine_run(machine);
	machine_destroy(machine);
	assert_int_equal(n_open, 0);
	return status;
}

static void expect_output(const char *text)
{
	char buf[4096];
	int fd = open(out_path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	close(fd);
	assert_true(n >= 0);
	buf[n] = 0;
	assert_string_equal(buf, text);
}

/* machine_run() on a thread, for tests that do something meanwhile */

static pthread_t runner;
static int run_status;

static void *run_machine(void *arg)
{
	run_status = machine_run(machine);
	return NULL;
}

static void start(void)
{
	create();
	assert_int_equal(pthread_create(&runner, NULL, run_machine, NULL), 0);
}

static void finish(void)
{
	machine_gdb_ops.kill(machine);
	pthread_join(runner, NULL);
	machine_destroy(machine);
	assert_int_equal(n_open, 0);
}

/* ---- how it begins */

static void the_first_vcpu_starts_at_the_kernel_with_the_tree_in_x0(void **state)
{
	create();
	assert_int_equal(vcpus[0].pc, 0x40200000);
	assert_memory_equal(guest_ram + 0x200000, "\x1f\x20\x03\xd5", 4);
	assert_memory_equal(guest_ram + (vcpus[0].x0 - 0x40000000), "\xd0\x0d\xfe\xed", 4);
	assert_int_equal(vcpus[1].pc, 0);
	assert_true(redist_region == ((uint64_t)N_VCPUS << 52 | 0x080a0000));
	machine_destroy(machine);
	assert_int_equal(n_open, 0);
}

static void a_failure_at_any_step_leaves_nothing_behind(void **state)
{
	static const unsigned long requests[] = {
		KVM_CREATE_VM,	   KVM_SET_USER_MEMORY_REGION, KVM_CREATE_VCPU,	    KVM_ARM_PREFERRED_TARGET,
		KVM_ARM_VCPU_INIT, KVM_CREATE_DEVICE,	       KVM_SET_DEVICE_ATTR, KVM_GET_ONE_REG,
		KVM_SET_ONE_REG,   KVM_GET_VCPU_MMAP_SIZE,     KVM_GET_API_VERSION};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		fail_request = (int)requests[i];
		error.text[0] = 0;
		assert_null(machine_create(&config, &error));
		assert_true(error.text[0] != 0);
		assert_int_equal(n_open, 0);
	}
}

static void more_vcpus_than_KVM_has_are_refused(void **state)
{
	config.smp = N_VCPUS + 1;
	assert_null(machine_create(&config, &error));
	assert_non_null(strstr(error.text, "--smp"));
}

static void files_that_are_not_there_are_named(void **state)
{
	config.initrd = "/nonexistent/initrd";
	assert_null(machine_create(&config, &error));
	assert_string_equal(error.text, "--initrd: /nonexistent/initrd: No such file or directory");
	config.initrd = "/";
	assert_null(machine_create(&config, &error));
	assert_string_equal(error.text, "--initrd: /: Is a directory");
	assert_int_equal(n_open, 0);
}

/* ---- how it ends */

static void a_power_off_is_status_0(void **state)
{
	static const struct step script[] = {{EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0}};

	assert_int_equal(run_to_end(script), MACHINE_POWERED_OFF);
}

static void a_reset_has_a_status_of_its_own(void **state)
{
	static const struct step script[] = {{EVENT, KVM_SYSTEM_EVENT_RESET, 0}};

	config.no_reboot = true;
	assert_int_equal(run_to_end(script), MACHINE_RESET);
}

static void a_reset_puts_the_machine_back_to_its_start(void **state)
{
	static const struct step script[] = {{MMIO_WRITE, 0x09000030, 0x101}, /* UARTCR */
					     {EVENT, KVM_SYSTEM_EVENT_RESET, 0},
					     {MMIO_READ, 0x09000030, 0},
					     {EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0}};

	vcpus[0].pc = 0;
	assert_int_equal(run_to_end(script), MACHINE_POWERED_OFF);
	assert_int_equal((uint32_t)vcpus[0].last_read, 0x300);
	assert_int_equal(vcpus[0].pc, 0x40200000);
	assert_int_equal(n_inits, 2 * N_VCPUS);
}

static void a_reset_that_fails_ends_the_machine(void **state)
{
	static const struct step script[] = {{EVENT, KVM_SYSTEM_EVENT_RESET, 0}};

	vcpus[0].script = script;
	create();
	fail_request = (int)KVM_ARM_VCPU_INIT;
	assert_int_equal(machine_run(machine), MACHINE_FAILED);
	machine_destroy(machine);
	assert_int_equal(n_open, 0);
}

static void the_exit_port_gives_the_status_modulo_256(void **state)
{
	static const struct step script[] = {
		{MMIO_WRITE, 0x090e0004, 9}, {MMIO_WRITE, 0x090e0000, 0x10007}, {WAIT, 0, 0}};

	assert_int_equal(run_to_end(script), 7);
}

static void a_panic_has_a_status_of_its_own_and_a_crash_kernel_none(void **state)
{
	static const struct step script[] = {{MMIO_WRITE, 0x090f0000, 2}, {MMIO_WRITE, 0x090f0000, 1}, {WAIT, 0, 0}};

	assert_int_equal(run_to_end(script), MACHINE_PANICKED);
}

static void a_panic_is_an_event_while_a_debugger_is_attached(void **state)
{
	static const struct step script[] = {{MMIO_WRITE, 0x090f0000, 1}, {WAIT, 0, 0}};
	struct pollfd pfd;
	struct gdb_stop stop;

	vcpus[0].script = script;
	config.held = true;
	start();
	machine_gdb_ops.attach(machine, NULL);
	machine_gdb_ops.resume(machine, (bool[]){true, false});
	pfd = (struct pollfd){.fd = machine_gdb_ops.fd(machine), .events = POLLIN};
	assert_int_equal(poll(&pfd, 1, -1), 1);
	assert_int_equal(machine_gdb_ops.next_stop(machine, &stop), 1);
	assert_int_equal(stop.kind, GDB_STOP_FAULT);
	assert_int_equal(stop.vcpu, 0);
	assert_non_null(strstr(stop.text, "panicked"));
	finish();
}

static void a_machine_that_does_not_end_is_ended_by_its_timeout(void **state)
{
	config.timeout_ms = 20;
	assert_int_equal(run_to_end(forever), MACHINE_TIMED_OUT);
}

static void a_failed_KVM_RUN_is_a_crash(void **state)
{
	static const struct step enosys[] = {{FAIL, ENOSYS, 0}}, efault[] = {{FAIL, EFAULT, 0}},
				 internal[] = {{EXIT, KVM_EXIT_INTERNAL_ERROR, 0}},
				 entry[] = {{EXIT, KVM_EXIT_FAIL_ENTRY, 0}};

	assert_int_equal(run_to_end(enosys), MACHINE_CRASHED);
	assert_int_equal(run_to_end(efault), MACHINE_CRASHED);
	assert_int_equal(run_to_end(internal), MACHINE_CRASHED);
	assert_int_equal(run_to_end(entry), MACHINE_CRASHED);
}

static void a_signal_is_128_and_its_number(void **state)
{
	pthread_t self = pthread_self();

	/* Blocked, so that it is there before machine_run() looks for it. */
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(self, SIGTERM);
	assert_int_equal(run_to_end(forever), 128 + SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void output_before_the_end_is_never_lost(void **state)
{
	static const struct step script[] = {{MMIO_WRITE, 0x09000000, 'o'},
					     {MMIO_WRITE, 0x09000000, 'k'},
					     {MMIO_WRITE, 0x09000000, '!'},
					     {EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0}};
	static const struct step crash[] = {{MMIO_WRITE, 0x09000000, '?'}, {FAIL, ENOSYS, 0}};

	assert_int_equal(run_to_end(script), 0);
	expect_output("ok!");
	memset(vcpus, 0, sizeof(vcpus));
	vcpus[1].script = forever;
	assert_int_equal(run_to_end(crash), MACHINE_CRASHED);
	expect_output("ok!?");
}

static void much_output_arrives_whole_and_in_order(void **state)
{
	enum { N = 300000 };
	struct step *script = calloc(N + 1, sizeof(*script));
	char *buf = malloc(N + 1);
	int fd;

	assert_non_null(script);
	assert_non_null(buf);
	for (unsigned i = 0; i < N; i++)
		script[i] = (struct step){MMIO_WRITE, 0x09000000, 'a' + i % 23};
	script[N] = (struct step){EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0};
	assert_int_equal(run_to_end(script), 0);
	fd = open(out_path, O_RDONLY);
	assert_int_equal(read(fd, buf, N + 1), N);
	close(fd);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(buf[i], 'a' + i % 23);
	free(script);
	free(buf);
}

static void output_that_nobody_reads_ends_the_machine(void **state)
{
	static const struct step script[] = {{MMIO_WRITE, 0x09000000, 'x'}, {WAIT, 0, 0}};
	int p[2];

	assert_int_equal(pipe(p), 0);
	fflush(stdout);
	dup2(p[1], STDOUT_FILENO);
	close(p[0]);
	close(p[1]);
	assert_int_equal(run_to_end(script), MACHINE_FAILED);
}

static void input_reaches_the_UART_when_the_guest_listens(void **state)
{
	/* FIFOs and interrupts on, wait for the RX FIFO's interrupt, and read two bytes */
	static const struct step script[] = {{MMIO_WRITE, 0x0900002c, 0x70},
					     {MMIO_WRITE, 0x09000030, 0x301},
					     {MMIO_WRITE, 0x09000038, 0x50},
					     {WAIT, 0, 0}};
	int p[2];

	assert_int_equal(pipe(p), 0);
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
	assert_int_equal(write(p[1], "hi", 2), 2);
	close(p[1]);
	vcpus[0].script = script;
	start();
	while (!irq_line_calls)
		usleep(100);
	finish();
}

static void accesses_without_a_device_read_0_and_go_on(void **state)
{
	static const struct step script[] = {{MMIO_READ, 0x0a000000, 4ull << 32},
					     {MMIO_READ, 0x08fffffe, 8ull << 32},
					     {MMIO_WRITE, ~0ull - 3, 8ull << 32},
					     {MMIO_READ, 0x09000ffc, 8ull << 32},
					     {EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0}};

	assert_int_equal(run_to_end(script), 0);
	assert_int_equal(vcpus[0].completions, 4);
	assert_int_equal(vcpus[0].last_read & 0xffffffffff, 0xb1); /* the last id byte, then 0 behind the device */
}

/* ---- under a debugger */

static const struct gdb_target_ops *const ops = &machine_gdb_ops;

static struct gdb_stop wait_stop(void)
{
	struct pollfd pfd = {.fd = ops->fd(machine), .events = POLLIN};
	struct gdb_stop stop;

	assert_int_equal(poll(&pfd, 1, -1), 1);
	assert_int_equal(ops->next_stop(machine, &stop), 1);
	return stop;
}

static void expect_no_stop(void)
{
	struct pollfd pfd = {.fd = ops->fd(machine), .events = POLLIN};
	struct gdb_stop stop;

	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(ops->next_stop(machine, &stop), 0);
}

static void stop_takes_every_vcpu_out_of_KVM_RUN(void **state)
{
	bool run[N_VCPUS] = {true, true};

	start();
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < N_VCPUS; i++)
			while (!vcpus[i].inside)
				usleep(100);
		if (round)
			ops->stop(machine, NULL);
		else
			ops->attach(machine, NULL);
		for (unsigned i = 0; i < N_VCPUS; i++)
			assert_false(vcpus[i].inside);
		expect_no_stop();
		ops->resume(machine, run);
	}
	finish();
	assert_int_equal(run_status, MACHINE_QUIT);
}

static void a_held_machine_runs_nothing_until_resumed(void **state)
{
	static const struct step script[] = {{DEBUG_STEP, 0, 0}, {DEBUG_STEP, 0, 0}, {WAIT, 0, 0}};
	bool run[N_VCPUS] = {true, false};
	struct gdb_stop stop;

	config.held = true;
	vcpus[0].script = script;
	start();
	ops->attach(machine, NULL);
	assert_int_equal(vcpus[0].entries + vcpus[1].entries, 0);
	ops->resume(machine, run);
	stop = wait_stop();
	assert_int_equal(stop.vcpu, 0);
	assert_int_equal(stop.kind, GDB_STOP_DEBUG);
	assert_int_equal(stop.hsr, 0xcb000022);
	expect_no_stop();
	assert_int_equal(vcpus[0].entries, 1);
	assert_int_equal(vcpus[1].entries, 0);
	ops->resume(machine, run);
	wait_stop();
	assert_int_equal(vcpus[0].entries, 2);
	assert_int_equal(vcpus[0].pc, 0x40200008);
	finish();
}

static void a_stopped_vcpu_owes_no_access(void **state)
{
	/* The debugger stops it while it hammers a device: each access was completed. */
	enum { N = 100000 };
	struct step *script = calloc(N + 1, sizeof(*script));
	bool run[N_VCPUS] = {true, true};

	assert_non_null(script);
	for (unsigned i = 0; i < N; i++)
		script[i] = (struct step){MMIO_READ, 0x09000018, 4ull << 32};
	script[N] = (struct step){WAIT, 0, 0};
	vcpus[0].script = script;
	start();
	ops->attach(machine, NULL);
	for (unsigned round = 0; round < 50; round++) {
		assert_false(vcpus[0].owed);
		assert_int_equal(vcpus[0].completions, vcpus[0].at);
		ops->resume(machine, run);
		ops->stop(machine, NULL);
	}
	finish();
	free(script);
}

static void two_vcpus_may_stop_at_once(void **state)
{
	static const struct step script[] = {{DEBUG_STEP, 0, 0}, {WAIT, 0, 0}};
	bool run[N_VCPUS] = {true, true};
	struct gdb_stop a, b;

	config.held = true;
	vcpus[0].script = vcpus[1].script = script;
	start();
	ops->attach(machine, NULL);
	ops->resume(machine, run);
	a = wait_stop();
	b = wait_stop();
	assert_int_equal(a.vcpu + b.vcpu, 1);
	expect_no_stop();
	finish();
}

static void a_failure_is_an_event_while_a_debugger_is_attached_and_repeats(void **state)
{
	static const struct step script[] = {{FAIL, ENOSYS, 0}};
	bool run[N_VCPUS] = {true, false};
	struct gdb_stop stop;

	config.held = true;
	vcpus[0].script = script;
	start();
	ops->attach(machine, NULL);
	for (unsigned i = 0; i < 3; i++) {
		ops->resume(machine, run);
		stop = wait_stop();
		assert_int_equal(stop.kind, GDB_STOP_FAULT);
		assert_int_equal(stop.error, ENOSYS);
		assert_non_null(strstr(stop.text, "vcpu 0"));
		assert_non_null(strstr(stop.text, "PC 0x40200000, instruction d503201f"));
	}
	ops->detach(machine);
	pthread_join(runner, NULL);
	assert_int_equal(run_status, MACHINE_CRASHED);
	machine_destroy(machine);
}

static void memory_is_RAM_and_nothing_else(void **state)
{
	uint8_t buf[16];
	uint64_t ipa, size;

	create();
	assert_int_equal(ops->ram(machine, 0, &ipa, &size), 1);
	assert_int_equal(ipa, 0x40000000);
	assert_int_equal(size, 16 << 20);
	assert_int_equal(ops->ram(machine, 1, &ipa, &size), 0);
	assert_int_equal(ops->read_mem(machine, 0x40200000, buf, 4), 0);
	assert_memory_equal(buf, "\x1f\x20\x03\xd5", 4);
	assert_int_equal(ops->write_mem(machine, 0x40fffff0, "0123456789abcdef", 16), 0);
	assert_int_equal(ops->write_mem(machine, 0x40fffff1, "0123456789abcdef", 16), -EFAULT);
	assert_int_equal(ops->read_mem(machine, 0x09000000, buf, 4), -EFAULT);
	assert_int_equal(ops->read_mem(machine, 0x3fffffff, buf, 4), -EFAULT);
	assert_int_equal(ops->read_mem(machine, ~0ull, buf, 4), -EFAULT);
	assert_int_equal(ops->vcpu_ioctl(machine, N_VCPUS, KVM_RUN, NULL), -EINVAL);
	machine_destroy(machine);
}

static void the_debuggers_operations_work_after_the_end(void **state)
{
	static const struct step script[] = {{EVENT, KVM_SYSTEM_EVENT_SHUTDOWN, 0}};
	bool run[N_VCPUS] = {true, true};

	vcpus[0].script = script;
	start();
	pthread_join(runner, NULL);
	ops->attach(machine, NULL);
	ops->resume(machine, run);
	ops->stop(machine, NULL);
	ops->detach(machine);
	ops->kill(machine);
	assert_int_equal(run_status, 0);
	machine_destroy(machine);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_first_vcpu_starts_at_the_kernel_with_the_tree_in_x0),
		T(a_failure_at_any_step_leaves_nothing_behind),
		T(more_vcpus_than_KVM_has_are_refused),
		T(files_that_are_not_there_are_named),
		T(a_power_off_is_status_0),
		T(a_reset_has_a_status_of_its_own),
		T(a_reset_puts_the_machine_back_to_its_start),
		T(a_reset_that_fails_ends_the_machine),
		T(the_exit_port_gives_the_status_modulo_256),
		T(a_panic_has_a_status_of_its_own_and_a_crash_kernel_none),
		T(a_panic_is_an_event_while_a_debugger_is_attached),
		T(a_machine_that_does_not_end_is_ended_by_its_timeout),
		T(a_failed_KVM_RUN_is_a_crash),
		T(a_signal_is_128_and_its_number),
		T(output_before_the_end_is_never_lost),
		T(much_output_arrives_whole_and_in_order),
		T(output_that_nobody_reads_ends_the_machine),
		T(input_reaches_the_UART_when_the_guest_listens),
		T(accesses_without_a_device_read_0_and_go_on),
		T(stop_takes_every_vcpu_out_of_KVM_RUN),
		T(a_held_machine_runs_nothing_until_resumed),
		T(a_stopped_vcpu_owes_no_access),
		T(two_vcpus_may_stop_at_once),
		T(a_failure_is_an_event_while_a_debugger_is_attached_and_repeats),
		T(memory_is_RAM_and_nothing_else),
		T(the_debuggers_operations_work_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
