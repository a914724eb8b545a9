/* SPDX-License-Identifier: MIT */
/*
 * All calls from all threads: vcpus that run at the same time, and meanwhile others that change the VM, its devices, its
 * memory and its vcpus. Counts are bounded and nothing depends on timing; a wake-up that is lost is a test that hangs, and
 * the thread sanitizer's build (-Db_sanitize=thread) finds what is not ordered.
 */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "smp.h"

enum { ROUNDS = 300, EXITS = 400, EVENT_GSI = 40, EXTRA_SLOTS = 0x60000000, BELL = 0x0b000000 };

static atomic_bool over, stop;
static int irq_event, bell_event;

static void make_vcpus(const uint32_t *code, unsigned words)
{
	smp_new(code, words);
	for (unsigned i = 0; i < VCPUS; i++) {
		smp_set(i, X(0), DATA);
		smp_set(i, X(1), 1);
		smp_set(i, X(2), ROUNDS);
		smp_set(i, X(3), DEVICE);
		smp_set(i, X(4), VCPUS);
		smp_set(i, X(5), 100);
		smp_set(i, X(9), DATA + 0x800 + 64 * i);
		smp_set(i, X(10), BELL);
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
	smp_free();
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
		pthread_kill(one[n % VCPUS].thread, n & 4 ? SIG_KICK : SIG_KICK_TOO);
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
	pthread_t threads[sizeof(others) / sizeof(others[0])];

	make_vcpus(busy, sizeof(busy) / 4);
	irq_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bell_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	smp_handle_signals(0);
	atomic_store(&over, false);
	atomic_store(&stop, false);
	for (unsigned i = 0; i < VCPUS; i++)
		pthread_create(&one[i].thread, NULL, run_busy, &one[i]);
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
			pthread_kill(one[i].thread, SIG_KICK);
			usleep(1000);
		}
		pthread_join(one[i].thread, NULL);
		expect_eq(atomic_load(&one[i].result) == 0 || one[i].result == -EINTR, true);
	}
	close(irq_event);
	close(bell_event);
	smp_free();
}
