/* SPDX-License-Identifier: MIT */
/*
 * The machine of harness.h, and the runner: [--kvm PATH] [part of a test's name]... TAP on stdout. With --kvm the tests make
 * system calls on that device and not on the library, each in a process of its own: one that does not come back has failed.
 */
#include "harness.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct machine m = {.kvm = -1, .vm = -1, .vcpu = -1, .gic = -1};
const char *test_name, *test_variant, *kvm_path;
static const char *why_skipped;
static struct test *tests, **tests_end = &tests;
static jmp_buf failed;
enum { FAILED = 1, SKIPPED, PATIENCE_S = 120 };

void test_register(struct test *t)
{
	*tests_end = t;
	tests_end = &t->next;
}

void fail_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: %s%s", file, line, test_variant ? test_variant : "", test_variant ? ": " : "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	longjmp(failed, FAILED);
}

void skip(const char *why)
{
	why_skipped = why;
	longjmp(failed, SKIPPED);
}

void check_equal(const char *file, int line, const char *what, uint64_t have, uint64_t want)
{
	if (have != want)
		fail_at(file, line, "%s is %#llx, not %#llx", what, (unsigned long long)have, (unsigned long long)want);
}

int api_open(int flags)
{
	return kvm_path ? open(kvm_path, flags) : pawl_open(flags);
}

int api_ioctl(int fd, unsigned long request, void *arg)
{
	return kvm_path ? ioctl(fd, request, arg) : pawl_ioctl(fd, request, arg);
}

int api_close(int fd)
{
	return kvm_path ? close(fd) : pawl_close(fd);
}

long call(int fd, unsigned long request, void *arg)
{
	int ret = api_ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

/* ---- the machine */

static uint8_t *add_slot(unsigned id, uint64_t ipa, uint64_t size, uint32_t flags)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = ipa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)p};

	expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	return p;
}

int add_vcpu(unsigned id, unsigned features, struct kvm_run **run_page)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {features}};
	long size = call(m.kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	int fd = (int)call(m.vm, KVM_CREATE_VCPU, value(id));

	if (fd < 0)
		fail("KVM_CREATE_VCPU: %s", strerror(-fd));
	*run_page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*run_page == MAP_FAILED)
		fail("mmap of a vcpu: %s", strerror(errno));
	if (features != ~0u)
		expect_eq(call(fd, KVM_ARM_VCPU_INIT, &init), 0);
	return fd;
}

void gic_reg(uint32_t group, uint64_t attr, uint64_t val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&val};

	expect_eq(call(m.gic, KVM_SET_DEVICE_ATTR, &a), 0);
}

static void add_gic(void)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	m.gic = (int)d.fd;
	gic_reg(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 64);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}

void enable_irq(void)
{
	gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0, 0x12);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, 0xffffffff);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104, 1u << 8);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x14, 0);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10080, 0xffffffff);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10100, 1u << 27 | 1u << 30 | 1);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
	gic_reg(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
}

void irq_line(int level)
{
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40, .level = (uint32_t)level};

	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), 0);
}

void machine_new(unsigned flags)
{
	unsigned features = 1u << KVM_ARM_VCPU_PSCI_0_2;

	m.kvm = api_open(O_RDWR | O_CLOEXEC);
	m.vm = (int)call(m.kvm, KVM_CREATE_VM, NULL);
	if (m.vm < 0)
		fail("KVM_CREATE_VM: %s", strerror(-m.vm));
	if (flags & (WITH_RING | WITH_RING_BITMAP)) {
		struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = {4096}};

		expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
	}
	if (flags & WITH_RING_BITMAP) {
		struct kvm_enable_cap cap = {.cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP};

		expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
	}
	m.ram = add_slot(0, ENTRY, RAM_SIZE, 0);
	m.rom = add_slot(1, READONLY, 0x1000, KVM_MEM_READONLY);
	if (flags & WITH_NISV) {
		struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

		expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
	}
	if (flags & WITH_PMU)
		features |= 1u << KVM_ARM_VCPU_PMU_V3;
	if (flags & POWERED_OFF)
		features |= 1u << KVM_ARM_VCPU_POWER_OFF;
	m.vcpu = add_vcpu(0, flags & WITHOUT_INIT ? ~0u : features, &m.run);
	if (!(flags & WITHOUT_GIC))
		add_gic();
}

void machine_free(void)
{
	int *fds[] = {&m.gic, &m.vcpu, &m.vm, &m.kvm};

	if (m.run && m.run != MAP_FAILED)
		munmap(m.run, 2 * 4096);
	for (unsigned i = 0; i < 4; i++) {
		if (*fds[i] >= 0)
			api_close(*fds[i]);
		*fds[i] = -1;
	}
	if (m.ram)
		munmap(m.ram, RAM_SIZE);
	if (m.rom)
		munmap(m.rom, 0x1000);
	m = (struct machine){.kvm = -1, .vm = -1, .vcpu = -1, .gic = -1};
}

void put_words(uint64_t ipa, const uint32_t *words, unsigned n)
{
	char *p = (char *)m.ram + (ipa - ENTRY);

	memcpy(p, words, 4 * n);
	__builtin___clear_cache(p, p + 4 * n); /* where the guest is the host's own CPU */
}

void guest_words(unsigned flags, const uint32_t *words, unsigned n)
{
	static const uint32_t vector[] = {NOP, SPIN};
	static const uint64_t regs[][2] = {{10, DATA}, {11, DEVICE}, {12, DIST}, {13, READONLY}};

	machine_new(flags);
	put_words(ENTRY, words, n);
	put_words(ENTRY + 4 * n, (const uint32_t[]){SPIN}, 1);
	for (unsigned i = 0; i < 16; i++)
		put_words(VECTORS + 0x80 * i, vector, 2);
	for (unsigned i = 0; i < 4; i++)
		set_reg(X(regs[i][0]), regs[i][1]);
	set_reg(PC, ENTRY);
	set_reg(VBAR_EL1, VECTORS);
}

/* ---- registers */

long try_get_reg(uint64_t id, void *val)
{
	struct kvm_one_reg r = {id, (uintptr_t)val};

	return call(m.vcpu, KVM_GET_ONE_REG, &r);
}

long try_set_reg(uint64_t id, const void *val)
{
	struct kvm_one_reg r = {id, (uintptr_t)val};

	return call(m.vcpu, KVM_SET_ONE_REG, &r);
}

uint64_t get_reg(uint64_t id)
{
	uint64_t val = 0;
	long err = try_get_reg(id, &val);

	if (err)
		fail("KVM_GET_ONE_REG %#llx: %s", (unsigned long long)id, strerror((int)-err));
	return val;
}

void set_reg(uint64_t id, uint64_t val)
{
	long err = try_set_reg(id, &val);

	if (err)
		fail("KVM_SET_ONE_REG %#llx: %s", (unsigned long long)id, strerror((int)-err));
}

/* ---- running */

void debug(uint32_t control)
{
	struct kvm_guest_debug d = {.control = control};

	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
}

long run(void)
{
	return m.result = call(m.vcpu, KVM_RUN, NULL);
}

void answer(uint64_t data)
{
	memcpy(m.run->mmio.data, &data, 8);
}

void expect_exit(unsigned reason)
{
	if (run() != 0)
		fail("KVM_RUN: %s, not exit %u", strerror((int)-m.result), reason);
	if (m.run->exit_reason != reason)
		fail("exit reason is %u, not %u; PC %#llx", m.run->exit_reason, reason,
		     (unsigned long long)get_reg(PC));
}

void expect_error(int err)
{
	expect_eq(-run(), err);
}

void expect_step(uint64_t pc, uint32_t hsr)
{
	expect_exit(KVM_EXIT_DEBUG);
	expect_eq(m.run->debug.arch.hsr, hsr);
	expect_eq(m.run->debug.arch.hsr_high, 0);
	expect_eq(m.run->flags, KVM_DEBUG_ARCH_HSR_HIGH_VALID);
	expect_pc(pc);
}

static bool is_wanted(const struct test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(t->name, argv[i]))
			return true;
	return argc < 2;
}

/* Runs the nth test and says what came of it: whether it is good. */
void kick_every(unsigned us)
{
	const struct itimerspec interval = {{0, us * 1000l}, {0, us * 1000l}};
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIG_KICK};
	static timer_t timer;
	static bool have_timer;

	if (!have_timer && timer_create(CLOCK_MONOTONIC, &e, &timer) != 0)
		fail("timer_create: %s", strerror(errno));
	have_timer = true;
	timer_settime(timer, 0, &interval, NULL);
}

static bool run_test(const struct test *t, int n)
{
	int outcome = setjmp(failed);

	if (outcome == 0)
		t->fn();
	if (outcome == SKIPPED)
		printf("ok %d %s # SKIP %s\n", n, t->name, why_skipped);
	else
		printf("%sok %d %s\n", outcome == 0 ? "" : "not ", n, t->name);
	machine_free();
	return outcome != FAILED;
}

static bool run_apart(const struct test *t, int n)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	time_t end = time(NULL) + PATIENCE_S;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		bool good = run_test(t, n);

		fflush(stdout);
		_exit(!good);
	}
	while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (time(NULL) > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		nanosleep(&pause, NULL);
	}
	if (pid < 0 || !WIFEXITED(status))
		printf("# %s\nnot ok %d %s\n",
		       pid < 0			     ? "no process for it"
		       : WTERMSIG(status) == SIGKILL ? "KVM_RUN or another call does not come back"
						     : "the test was ended by a signal",
		       n, t->name);
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	int n = 0, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2 && !strcmp(argv[1], "--kvm")) {
		kvm_path = argv[2];
		argc -= 2;
		argv += 2;
	}
	for (struct test *t = tests; t; t = t->next) {
		if (!is_wanted(t, argc, argv))
			continue;
		test_name = t->name;
		test_variant = NULL;
		n++;
		bad += !(kvm_path ? run_apart(t, n) : run_test(t, n));
	}
	printf("1..%d\n", n);
	return bad != 0;
}
