/* SPDX-License-Identifier: MIT */
/*
 * All calls from all threads: vcpus that run at the same time, and meanwhile others that change the VM, its devices, its
 * memory and its vcpus. Counts are bounded and nothing depends on timing; a wake-up that is lost is a test that hangs, and
 * the thread sanitizer's build (-Db_sanitize=thread) finds what is not ordered.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define WFI 0xd503207fu

enum { VCPUS = 4, ROUNDS = 300, EXITS = 400, EVENT_GSI = 40, EXTRA_SLOTS = 0x60000000, BELL = 0x0b000000 };

static struct one {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	_Atomic long result;
	atomic_uint exits;
	atomic_bool done;
} one[VCPUS];
static __thread struct one *self;
static atomic_bool over, stop;
static int irq_event, bell_event;

static void set(int fd, uint64_t id, uint64_t val)
{
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	expect_eq(call(fd, KVM_SET_ONE_REG, &r), 0);
}

static void gic_set(uint32_t group, uint64_t attr, uint64_t val)
{
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)&val};

	expect_eq(call(m.gic, KVM_SET_DEVICE_ATTR, &a), 0);
}

static void make_vcpus(const uint32_t *code, unsigned words)
{
	struct kvm_create_device d = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};

	machine_new(WITHOUT_GIC);
	one[0].fd = m.vcpu;
	one[0].run = m.run;
	for (unsigned i = 1; i < VCPUS; i++)
		one[i].fd = add_vcpu(i, 1u << KVM_ARM_VCPU_PSCI_0_2, &one[i].run);
	expect_eq(call(m.vm, KVM_CREATE_DEVICE, &d), 0);
	m.gic = (int)d.fd;
	gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, DIST);
	gic_set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, REDIST);
	gic_set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	gic_set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x0, 0x12);
	gic_set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, 0xffffffff);
	gic_set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x88, 0xffffffff);
	gic_set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x104, 0xffffffff);
	gic_set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x108, 0xffffffff);
	for (uint64_t i = 0; i < VCPUS; i++) {
		gic_set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10080, 0xffffffff);
		gic_set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10100, 0xffffffff);
		gic_set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
		gic_set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	}
	put_words(ENTRY, code, words);
	for (unsigned i = 0; i < VCPUS; i++) {
		set(one[i].fd, X(0), DATA);
		set(one[i].fd, X(1), 1);
		set(one[i].fd, X(2), ROUNDS);
		set(one[i].fd, X(3), DEVICE);
		set(one[i].fd, X(4), VCPUS);
		set(one[i].fd, X(5), 100);
		set(one[i].fd, X(9), DATA + 0x800 + 64 * i);
		set(one[i].fd, X(10), BELL);
		set(one[i].fd, PC, ENTRY);
	}
}

static void free_vcpus(void)
{
	for (unsigned i = 1; i < VCPUS; i++) {
		munmap(one[i].run, 8192);
		pawl_close(one[i].fd);
	}
}

/*
 * Each waits for all the others, again and again, and never leaves the guest: vcpus that ran one after the other would
 * wait for ever. x0 where they count, x1 = 1, x2 rounds, x3 device, x4 how many they are
 */
static const uint32_t barrier[] = {
	0xd2800008, /* mov x8, #0 */
	0x8b040108, /* 1: add x8, x8, x4 */
	0xf8e10006, /* ldaddal x1, x6, [x0] */
	0xc8dffc06, /* 2: ldar x6, [x0] */
	0xeb0800df, /* cmp x6, x8 */
	0x54ffffc3, /* b.lo 2b */
	0xf1000442, /* subs x2, x2, #1 */
	0x54ffff41, /* b.ne 1b */
	0xf9000068, /* str x8, [x3] */
};

static void *run_once(void *arg)
{
	struct one *v = arg;

	v->result = call(v->fd, KVM_RUN, NULL);
	return NULL;
}

TEST(vcpus_run_at_the_same_time)
{
	uint64_t count;

	make_vcpus(barrier, sizeof(barrier) / 4);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_create(&one[i].thread, NULL, run_once, &one[i]);
	for (unsigned i = 0; i < VCPUS; i++) {
		pthread_join(one[i].thread, NULL);
		expect_eq(one[i].result, 0);
		expect_eq(one[i].run->exit_reason, KVM_EXIT_MMIO);
	}
	memcpy(&count, m.ram + (DATA - ENTRY), 8);
	expect_eq(count, VCPUS * ROUNDS);
	free_vcpus();
}

/* ---- everything at once */

/*
 * Memory of its own and of all, an interrupt to the others, the timer, a doorbell that an ioeventfd takes, a wait that any of them ends, a
 * device. x0 shared, x1 = 1, x3 device, x5 CNTV_TVAL_EL0, x9 its own, x10 doorbell
 */
static const uint32_t busy[] = {
	0xf8210006,		/* 1: ldadd x1, x6, [x0] */
	0xf9400127,		/* ldr x7, [x9] */
	0x910004e7,		/* add x7, x7, #1 */
	0xf9000127,		/* str x7, [x9] */
	0xb25803e8,		/* mov x8, #1 << 40: SGI 0 to all the others */
	0xd518cba8,		/* msr icc_sgi1r_el1, x8 */
	0xd51be305,		/* msr cntv_tval_el0, x5 */
	0xd51be321,		/* msr cntv_ctl_el0, x1 */
	0xb9000146,		/* str w6, [x10] */
	WFI,	    0xd538cc06, /* mrs x6, icc_iar1_el1 */
	0xd518cc26,		/* msr icc_eoir1_el1, x6 */
	0xd51be33f,		/* msr cntv_ctl_el0, xzr */
	0xf9000067,		/* str x7, [x3] */
	0x17fffff2,		/* b 1b */
};

static void on_usr1(int sig)
{
	pawl_signal_ran();
}

static void on_usr2(int sig)
{
	if (self)
		*(volatile uint8_t *)&self->run->immediate_exit = 1;
}

static void *run_busy(void *arg)
{
	self = arg;
	while (!atomic_load(&stop)) {
		self->result = call(self->fd, KVM_RUN, NULL);
		if (self->result == 0)
			self->exits++;
		else if (self->result != -EINTR)
			break;
		*(volatile uint8_t *)&self->run->immediate_exit = 0;
	}
	atomic_store(&self->done, true);
	return NULL;
}

static void *kick(void *arg)
{
	for (unsigned n = 0; !atomic_load(&over); n++) {
		struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (48 + n % 8),
					     .level = n / 8 & 1};

		call(m.vm, KVM_IRQ_LINE, &line);
		pthread_kill(one[n % VCPUS].thread, n & 4 ? SIGUSR1 : SIGUSR2);
		usleep(200);
	}
	return NULL;
}

static void *change_memory(void *arg)
{
	uint8_t *p = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long bitmap[1];

	for (unsigned n = 0; !atomic_load(&over); n++) {
		struct kvm_userspace_memory_region r = {.slot = 4 + n % 3,
							.flags = KVM_MEM_LOG_DIRTY_PAGES,
							.guest_phys_addr = EXTRA_SLOTS + 0x10000ull * (n % 3),
							.memory_size = n & 8 ? 0x10000 : 0,
							.userspace_addr = (uintptr_t)p};
		struct kvm_dirty_log log = {.slot = 4 + n % 3, .dirty_bitmap = bitmap};

		call(m.vm, KVM_SET_USER_MEMORY_REGION, &r);
		call(m.vm, KVM_GET_DIRTY_LOG, &log);
		/* the guest's own slot, from being logged to not */
		r = (struct kvm_userspace_memory_region){.slot = 0,
							 .flags = n & 1 ? KVM_MEM_LOG_DIRTY_PAGES : 0,
							 .guest_phys_addr = ENTRY,
							 .memory_size = RAM_SIZE,
							 .userspace_addr = (uintptr_t)m.ram};
		expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
		usleep(100);
	}
	munmap(p, 0x10000);
	return NULL;
}

static void *change_events(void *arg)
{
	for (unsigned n = 0; !atomic_load(&over); n++) {
		struct kvm_irqfd irq = {
			.fd = (uint32_t)irq_event, .gsi = EVENT_GSI, .flags = n & 1 ? KVM_IRQFD_FLAG_DEASSIGN : 0};
		struct kvm_ioeventfd bell = {
			.addr = BELL, .len = 4, .fd = bell_event, .flags = n & 1 ? KVM_IOEVENTFD_FLAG_DEASSIGN : 0};
		eventfd_t count;

		expect_eq(call(m.vm, KVM_IRQFD, &irq), 0);
		expect_eq(call(m.vm, KVM_IOEVENTFD, &bell), 0);
		eventfd_write(irq_event, 1);
		eventfd_read(bell_event, &count);
		usleep(100);
	}
	return NULL;
}

/* What waits for a vcpu that runs, and what does not. */
static void *ask(void *arg)
{
	for (unsigned n = 0; !atomic_load(&over); n++) {
		uint64_t val;
		struct kvm_one_reg r = {n & 1 ? PC : SYS(3, 3, 14, 3, 2), (uintptr_t)&val};
		struct kvm_mp_state state;
		struct kvm_device_attr a = {
			.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, .attr = 0x104, .addr = (uintptr_t)&val};
		int extra;

		call(one[n % VCPUS].fd, KVM_GET_ONE_REG, &r);
		call(one[n % VCPUS].fd, KVM_GET_MP_STATE, &state);
		call(m.gic, KVM_GET_DEVICE_ATTR, &a);
		expect_eq(call(m.vm, KVM_CHECK_EXTENSION, value(KVM_CAP_ONE_REG)), 1);
		extra = (int)call(m.kvm, KVM_CREATE_VM, NULL);
		expect_eq(extra >= 0, true);
		pawl_close(extra);
		usleep(300);
	}
	return NULL;
}

TEST(everything_may_happen_at_once)
{
	static void *(*const others[])(void *) = {kick, change_memory, change_events, ask};
	struct sigaction usr1 = {.sa_handler = on_usr1}, usr2 = {.sa_handler = on_usr2};
	pthread_t threads[sizeof(others) / sizeof(others[0])];

	make_vcpus(busy, sizeof(busy) / 4);
	irq_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bell_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGUSR2, &usr2, NULL);
	atomic_store(&over, false);
	atomic_store(&stop, false);
	for (unsigned i = 0; i < VCPUS; i++) {
		one[i].exits = 0;
		one[i].done = false;
		pthread_create(&one[i].thread, NULL, run_busy, &one[i]);
	}
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		pthread_create(&threads[i], NULL, others[i], NULL);
	for (unsigned i = 0; i < VCPUS; i++)
		while (atomic_load(&one[i].exits) < EXITS && !atomic_load(&one[i].done))
			usleep(1000);
	atomic_store(&over, true);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		pthread_join(threads[i], NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < VCPUS; i++) {
		while (!atomic_load(&one[i].done)) {
			pthread_kill(one[i].thread, SIGUSR1);
			usleep(1000);
		}
		pthread_join(one[i].thread, NULL);
		expect_eq(atomic_load(&one[i].result) == 0 || one[i].result == -EINTR, true);
	}
	close(irq_event);
	close(bell_event);
	free_vcpus();
}
