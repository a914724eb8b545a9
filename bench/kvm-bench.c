/* SPDX-License-Identifier: MIT */
/*
 * What the KVM API costs: guest speed on a hot loop, a user-space MMIO round trip, an exact step, the creation of a VM; how
 * long an irqfd, another vcpu's interrupt and the timer take to the guest's handler, of a vcpu that runs and of one that waits.
 * An ordinary KVM client on libpawl, or on a real device with --kvm PATH. Prints the median of several rounds, or of the samples that
 * a second has room for; measures, never judges. bench/README.md tells how the figures in docs/performance.md are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <pawl/kvm.h>
#include <pawl/pawl.h>

enum { RAM = 0x40000000, RAM_SIZE = 0x20000, CODE = RAM, DATA = RAM + 0x10000, MMIO = 0x0a000000, ROUNDS = 7 };

static int real_kvm; /* --kvm: system calls instead of the library */

static int do_ioctl(int fd, unsigned long req, void *arg)
{
	return real_kvm ? ioctl(fd, req, arg) : pawl_ioctl(fd, req, arg);
}

static void do_close(int fd)
{
	if (real_kvm)
		close(fd);
	else
		pawl_close(fd);
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "kvm-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int rc, const char *what)
{
	if (rc < 0)
		die(what);
	return rc;
}

struct vm {
	int kvm, fd, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
	size_t run_size;
};

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

static void set_reg(struct vm *v, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	must(do_ioctl(v->vcpu, KVM_SET_ONE_REG, &r), "KVM_SET_ONE_REG");
}

static struct kvm_run *map_run(const struct vm *v, int vcpu)
{
	void *p = real_kvm ? mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0)
			   : pawl_mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (p == MAP_FAILED)
		die("mmap of kvm_run");
	return p;
}

static void vm_open(struct vm *v, const char *path, const uint32_t *code, size_t bytes)
{
	struct kvm_vcpu_init init = {0};
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = RAM, .memory_size = RAM_SIZE};

	v->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->ram == MAP_FAILED)
		die("mmap");
	memcpy(v->ram + (CODE - RAM), code, bytes);
	slot.userspace_addr = (uintptr_t)v->ram;
	v->kvm = must(real_kvm ? open(path, O_RDWR | O_CLOEXEC) : pawl_open(O_CLOEXEC), "open");
	v->fd = must(do_ioctl(v->kvm, KVM_CREATE_VM, NULL), "KVM_CREATE_VM");
	must(do_ioctl(v->fd, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	v->vcpu = must(do_ioctl(v->fd, KVM_CREATE_VCPU, NULL), "KVM_CREATE_VCPU");
	must(do_ioctl(v->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	must(do_ioctl(v->vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	v->run_size = (size_t)must(do_ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL), "KVM_GET_VCPU_MMAP_SIZE");
	v->run = map_run(v, v->vcpu);
	set_reg(v, CORE(regs.pc), CODE);
	set_reg(v, CORE(regs.regs[10]), DATA);
	set_reg(v, CORE(regs.regs[11]), MMIO);
}

static void vm_close(struct vm *v)
{
	munmap(v->run, v->run_size);
	do_close(v->vcpu);
	do_close(v->fd);
	do_close(v->kvm);
	munmap(v->ram, RAM_SIZE);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Of this thread: what runs on it alone is measured so, whatever else the machine does. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static double median(double *v)
{
	return median_of(v, ROUNDS);
}

static void run_to_mmio(struct vm *v)
{
	must(do_ioctl(v->vcpu, KVM_RUN, NULL), "KVM_RUN");
	if (v->run->exit_reason != KVM_EXIT_MMIO) {
		fprintf(stderr, "kvm-bench: unexpected exit %u\n", v->run->exit_reason);
		exit(1);
	}
}

/* Million guest instructions per second; `per_loop` instructions, x1 times, then a store to a device. */
static double speed(const char *path, const uint32_t *code, size_t bytes, unsigned per_loop, uint64_t loops)
{
	double rate[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t;

		set_reg(&v, CORE(regs.pc), CODE);
		set_reg(&v, CORE(regs.regs[1]), loops);
		t = cpu_ns();
		run_to_mmio(&v);
		t = cpu_ns() - t;
		rate[r] = (double)loops * per_loop * 1e3 / (double)t;
		v.run->immediate_exit = 1; /* complete the store, so that PC can be set anew */
		do_ioctl(v.vcpu, KVM_RUN, NULL);
		v.run->immediate_exit = 0;
	}
	vm_close(&v);
	return median(rate);
}

static double mmio_ns(const char *path, const uint32_t *code, size_t bytes)
{
	enum { N = 200000 };
	double ns[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = cpu_ns();

		for (unsigned i = 0; i < N; i++)
			run_to_mmio(&v);
		ns[r] = (double)(cpu_ns() - t) / N;
	}
	vm_close(&v);
	return median(ns);
}

static double step_ns(const char *path, const uint32_t *code, size_t bytes)
{
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	enum { N = 200000 };
	double ns[ROUNDS];
	struct vm v;

	vm_open(&v, path, code, bytes);
	set_reg(&v, CORE(regs.regs[1]), ~0ull >> 1);
	must(do_ioctl(v.vcpu, KVM_SET_GUEST_DEBUG, &dbg), "KVM_SET_GUEST_DEBUG");
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = cpu_ns();

		for (unsigned i = 0; i < N; i++) {
			must(do_ioctl(v.vcpu, KVM_RUN, NULL), "KVM_RUN");
			if (v.run->exit_reason != KVM_EXIT_DEBUG)
				die("KVM_RUN did not step");
		}
		ns[r] = (double)(cpu_ns() - t) / N;
	}
	vm_close(&v);
	return median(ns);
}

static double create_us(const char *path, const uint32_t *code, size_t bytes)
{
	double us[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		struct vm v;
		uint64_t t = now_ns();

		vm_open(&v, path, code, bytes);
		run_to_mmio(&v);
		us[r] = (double)(now_ns() - t) / 1e3;
		vm_close(&v);
	}
	return median(us);
}

/* ---- interrupts: a GICv3, vectors with the handler, and up to two vcpus on threads of their own */

#define GICD 0x08000000ull
#define GICR 0x080a0000ull

enum {
	VECTORS = RAM + 0x8000,
	IRQ_VECTOR = 0x280,
	SPI = 8 /* INTID 40 */,
	SAMPLES = 2000, /* of a latency, or as many as there are in SAMPLE_MS */
	SAMPLE_MS = 1000,
	PAUSE_US = 200, /* before each: who is to wait does */
	TICKS = 200,
	PERIOD = 12500 /* ticks of the counter */
};

/* x10: counter, counter-timer at the handler's begin, its frequency. The handler of an interrupt that is timed */
static const uint32_t count_irq[] = {0xd53be047 /* mrs x7, cntvct_el0 */,   0xf9000547 /* str x7, [x10, #8] */,
				     0xd538cc06 /* mrs x6, icc_iar1_el1 */, 0xd518cc26 /* msr icc_eoir1_el1, x6 */,
				     0xf9400147 /* ldr x7, [x10] */,	    0x910004e7 /* add x7, x7, #1 */,
				     0xc89ffd47 /* stlr x7, [x10] */,	    0xd69f03e0 /* eret */};
static const uint32_t spin[] = {0xd53be00c /* mrs x12, cntfrq_el0 */, 0xf900094c /* str x12, [x10, #16] */,
				0x14000000 /* b . */};
static const uint32_t wait_for_irq[] = {0xd53be00c /* mrs x12, cntfrq_el0 */, 0xf900094c /* str x12, [x10, #16] */,
					0xd503207f /* 1: wfi */, 0x17ffffff /* b 1b */};
/* x1 ICC_SGI1R_EL1, x8 = 0, x10 as above, x11 device: gets what each took. WFE lets others have the processor. */
static const uint32_t send_ipis[] = {0x91000508 /* 1: add x8, x8, #1 */,
				     0xd5033fdf /* isb */,
				     0xd53be04d /* mrs x13, cntvct_el0 */,
				     0xd518cba1 /* msr icc_sgi1r_el1, x1 */,
				     0xd503205f /* 2: wfe */,
				     0xc8dffd46 /* ldar x6, [x10] */,
				     0xeb0800df /* cmp x6, x8 */,
				     0x54ffffa3 /* b.lo 2b */,
				     0xf940054e /* ldr x14, [x10, #8] */,
				     0xcb0d01ce /* sub x14, x14, x13 */,
				     0xf900016e /* str x14, [x11] */,
				     0x17fffff5 /* b 1b */};
/* x1 period, x2 how often, x8 sum of what it was late, x11 device */
static const uint32_t count_ticks[] = {0xd538cc06 /* mrs x6, icc_iar1_el1 */,  0xd53be047 /* mrs x7, cntvct_el0 */,
				       0xd53be349 /* mrs x9, cntv_cval_el0 */, 0xcb0900e9 /* sub x9, x7, x9 */,
				       0x8b090108 /* add x8, x8, x9 */,	       0x8b0100e7 /* add x7, x7, x1 */,
				       0xd51be347 /* msr cntv_cval_el0, x7 */, 0xd518cc26 /* msr icc_eoir1_el1, x6 */,
				       0xf1000442 /* subs x2, x2, #1 */,       0x54000041 /* b.ne 1f */,
				       0xf9000168 /* str x8, [x11] */,	       0xd69f03e0 /* 1: eret */};
static const uint32_t start_ticks[] = {0xd53be00c /* mrs x12, cntfrq_el0 */,
				       0xd53be047 /* mrs x7, cntvct_el0 */,
				       0x8b0100e7 /* add x7, x7, x1 */,
				       0xd51be347 /* msr cntv_cval_el0, x7 */,
				       0xd2800026 /* mov x6, #1 */,
				       0xd51be326 /* msr cntv_ctl_el0, x6 */,
				       0xd503207f /* 1: wfi */,
				       0x17ffffff /* b 1b */};

struct runner {
	struct vm vm; /* what set_reg() and run_to_mmio() need */
	pthread_t thread;
	atomic_bool over;
};

static void gic_attr(int gic, uint32_t group, uint64_t attr, uint64_t val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&val};

	must(do_ioctl(gic, KVM_SET_DEVICE_ATTR, &a), "KVM_SET_DEVICE_ATTR");
}

static int make_gic(const struct vm *v, unsigned vcpus)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	must(do_ioctl(v->fd, KVM_CREATE_DEVICE, &d), "GICv3");
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0, 0x12);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, ~0u);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104, 1u << SPI);
	gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc08, 2u << 2 * SPI); /* edge */
	for (uint64_t i = 0; i < vcpus; i++) {
		gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x14, 0);
		gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10080, ~0u);
		gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10100, ~0u);
		gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
		gic_attr((int)d.fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	}
	return (int)d.fd;
}

/* Interrupts unmasked, at EL1. */
static void take_irqs(struct vm *v)
{
	set_reg(v, ARM64_SYS_REG(3, 0, 12, 0, 0), VECTORS);
	set_reg(v, CORE(regs.pstate), 5);
}

static void put_code(const struct vm *v, uint64_t at, const uint32_t *code, size_t bytes)
{
	memcpy(v->ram + (at - RAM), code, bytes);
}

/* A second vcpu of v's VM. */
static void add_vcpu(const struct vm *v, struct vm *second)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2};

	*second = *v;
	second->vcpu = must(do_ioctl(v->fd, KVM_CREATE_VCPU, (void *)1), "KVM_CREATE_VCPU");
	must(do_ioctl(v->fd, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	must(do_ioctl(second->vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	second->run = map_run(v, second->vcpu);
	set_reg(second, CORE(regs.regs[10]), DATA);
	set_reg(second, CORE(regs.regs[11]), MMIO);
}

static void on_signal(int sig)
{
	if (!real_kvm)
		pawl_signal_ran();
}

static void *run_until_signal(void *arg)
{
	struct runner *r = arg;

	if (do_ioctl(r->vm.vcpu, KVM_RUN, NULL) == 0 || errno != EINTR)
		die("KVM_RUN did not run on");
	atomic_store(&r->over, true);
	return NULL;
}

static void runner_start(struct runner *r)
{
	atomic_store(&r->over, false);
	if (pthread_create(&r->thread, NULL, run_until_signal, r) != 0)
		die("pthread_create");
}

static void runner_stop(struct runner *r)
{
	while (!atomic_load(&r->over)) {
		pthread_kill(r->thread, SIGUSR1);
		usleep(1000);
	}
	pthread_join(r->thread, NULL);
}

static uint64_t get_reg(struct vm *v, uint64_t id)
{
	uint64_t val;
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	must(do_ioctl(v->vcpu, KVM_GET_ONE_REG, &r), "KVM_GET_ONE_REG");
	return val;
}

/*
 * When the handler began, by the guest's counter, on the clock that the client sees: nothing that happens afterwards counts, not even
 * whether the client has a processor to look.
 */
struct clocks {
	uint64_t ns, count;
};

static uint64_t counter_ns(void)
{
	struct timespec ts;

	clock_gettime(real_kvm ? CLOCK_MONOTONIC_RAW : CLOCK_MONOTONIC, &ts); /* what runs like the counter */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct clocks clocks_now(struct vm *v)
{
	struct clocks c = {.ns = counter_ns(), .count = get_reg(v, KVM_REG_ARM_TIMER_CNT)};

	return c;
}

static bool is_enough(unsigned n, uint64_t began)
{
	return n == SAMPLES || (n && counter_ns() - began > SAMPLE_MS * 1000000ull);
}

/* From the write to an eventfd to the handler. */
static double irqfd_us(const char *path, const uint32_t *idle, size_t bytes)
{
	static struct runner r;
	static double us[SAMPLES];
	int event = eventfd(0, EFD_CLOEXEC), gic;
	struct kvm_irqfd irqfd = {.fd = (uint32_t)event, .gsi = SPI};
	_Atomic uint64_t *data;
	struct clocks base;
	uint64_t began;
	unsigned n = 0;

	vm_open(&r.vm, path, idle, bytes);
	put_code(&r.vm, VECTORS + IRQ_VECTOR, count_irq, sizeof(count_irq));
	gic = make_gic(&r.vm, 1);
	take_irqs(&r.vm);
	must(do_ioctl(r.vm.fd, KVM_IRQFD, &irqfd), "KVM_IRQFD");
	data = (_Atomic uint64_t *)(void *)(r.vm.ram + (DATA - RAM));
	base = clocks_now(&r.vm);
	runner_start(&r);
	while (!atomic_load(&data[2])) /* the frequency is the last that the guest stores before it idles */
		sched_yield();
	usleep(10000);
	began = counter_ns();
	for (; !is_enough(n, began); n++) {
		uint64_t t;

		usleep(PAUSE_US);
		t = counter_ns();
		if (eventfd_write(event, 1) != 0)
			die("eventfd");
		while (atomic_load_explicit(data, memory_order_acquire) == n)
			sched_yield();
		us[n] = (double)(data[1] - base.count) * 1e6 / (double)data[2] - (double)(t - base.ns) / 1e3;
	}
	runner_stop(&r);
	do_close(gic);
	vm_close(&r.vm);
	close(event);
	return median_of(us, n);
}

/* From one vcpu's SGI to the other's handler, by the guest's counter. */
static double ipi_us(const char *path, const uint32_t *idle, size_t bytes)
{
	static struct runner r;
	static double us[SAMPLES];
	enum { HANDLER_CODE = CODE + 0x1000 };
	const _Atomic uint64_t *data;
	uint64_t began, count;
	unsigned n = 0;
	struct vm v;
	int gic;

	vm_open(&v, path, send_ipis, sizeof(send_ipis));
	put_code(&v, HANDLER_CODE, idle, bytes);
	put_code(&v, VECTORS + IRQ_VECTOR, count_irq, sizeof(count_irq));
	add_vcpu(&v, &r.vm);
	gic = make_gic(&v, 2);
	take_irqs(&r.vm);
	set_reg(&r.vm, CORE(regs.pc), HANDLER_CODE);
	data = (const _Atomic uint64_t *)(const void *)(v.ram + (DATA - RAM));
	runner_start(&r);
	while (!atomic_load(&data[2]))
		sched_yield();
	usleep(10000);
	set_reg(&v, CORE(regs.regs[1]), 1u << 1);
	began = counter_ns();
	for (; !is_enough(n, began); n++) {
		usleep(PAUSE_US);
		run_to_mmio(&v);
		memcpy(&count, v.run->mmio.data, sizeof(count));
		us[n] = (double)count * 1e6 / (double)data[2];
	}
	runner_stop(&r);
	munmap(r.vm.run, r.vm.run_size);
	do_close(r.vm.vcpu);
	do_close(gic);
	vm_close(&v);
	return median_of(us, n);
}

/* How late the timer's handler is, by the guest's own clock. */
static double timer_us(const char *path, int waits)
{
	static const uint32_t idle_spin = 0x14000000;
	double us[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct vm v;
		int gic;

		vm_open(&v, path, start_ticks, sizeof(start_ticks));
		if (!waits)
			put_code(&v, CODE + sizeof(start_ticks) - 8, &idle_spin, 4);
		put_code(&v, VECTORS + IRQ_VECTOR, count_ticks, sizeof(count_ticks));
		gic = make_gic(&v, 1);
		take_irqs(&v);
		set_reg(&v, CORE(regs.regs[1]), PERIOD);
		set_reg(&v, CORE(regs.regs[2]), TICKS);
		run_to_mmio(&v);
		us[round] = (double)get_reg(&v, CORE(regs.regs[8])) * 1e6 / (double)get_reg(&v, CORE(regs.regs[12])) /
			    TICKS;
		do_close(gic);
		vm_close(&v);
	}
	return median(us);
}

/* The hot integer loop: eor, add, ror, add, subs, b.ne; then str to the device */
static const uint32_t loop_alu[] = {0xca020063, 0x8b030084, 0x93c41c84, 0x91000c42,
				    0xf1000421, 0x54ffff61, 0xf9000161, 0x14000000};
/* The same with memory: ldr x2, [x10]; add x2, x2, #1; str x2, [x10]; ldr x3, [x10, #8]; subs; b.ne; str to the device
 */
static const uint32_t loop_mem[] = {0xf9400142, 0x91000442, 0xf9000142, 0xf9400543,
				    0xf1000421, 0x54ffff61, 0xf9000161, 0x14000000};
/* ldr x0, [x11]; b . - 4 */
static const uint32_t loop_mmio[] = {0xf9400160, 0x17ffffff};

int main(int argc, char **argv)
{
	const char *path = "/dev/kvm";

	if (argc == 3 && !strcmp(argv[1], "--kvm")) {
		real_kvm = 1;
		path = argv[2];
	} else if (argc != 1) {
		fprintf(stderr, "usage: kvm-bench [--kvm PATH]\n");
		return 2;
	}
	printf("%-44s %10.0f million/s\n", "guest instructions, hot integer loop",
	       speed(path, loop_alu, sizeof(loop_alu), 6, 3000000));
	printf("%-44s %10.0f million/s\n", "guest instructions, loop with loads and stores",
	       speed(path, loop_mem, sizeof(loop_mem), 6, 3000000));
	printf("%-44s %10.1f ns\n", "user-space MMIO round trip", mmio_ns(path, loop_mmio, sizeof(loop_mmio)));
	printf("%-44s %10.1f ns\n", "exact step", step_ns(path, loop_alu, sizeof(loop_alu)));
	printf("%-44s %10.1f us\n", "VM, vcpu, first instruction, first exit",
	       create_us(path, loop_mmio, sizeof(loop_mmio)));
	signal(SIGUSR1, on_signal);
	printf("%-44s %10.1f us\n", "irqfd to handler, vcpu running", irqfd_us(path, spin, sizeof(spin)));
	printf("%-44s %10.1f us\n", "irqfd to handler, vcpu waiting",
	       irqfd_us(path, wait_for_irq, sizeof(wait_for_irq)));
	printf("%-44s %10.1f us\n", "IPI to handler, vcpu running", ipi_us(path, spin, sizeof(spin)));
	printf("%-44s %10.1f us\n", "IPI to handler, vcpu waiting", ipi_us(path, wait_for_irq, sizeof(wait_for_irq)));
	printf("%-44s %10.1f us\n", "timer's handler is late, vcpu running", timer_us(path, 0));
	printf("%-44s %10.1f us\n", "timer's handler is late, vcpu waiting", timer_us(path, 1));
	return 0;
}
