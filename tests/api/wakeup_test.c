/* SPDX-License-Identifier: MIT */
/*
 * Vcpus that wait, and everything that may wake them at the same moment: interrupts from each other, the timer, signal
 * handlers, immediate_exit. Counts are bounded and nothing depends on timing; a wake-up that is lost is a test that hangs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

enum { VCPUS = 4, TOKENS = 3, LAPS = 400, TICKS = 1500 };

/*
 * Passes on each software generated interrupt that it gets. x0 counters, x1 ICC_SGI1R_EL1 of the next in the ring, x2
 * laps of a token, x3 device, x4 interrupts until the end, x5 whether a token ends here
 */
static const uint32_t ring[] = {
	0xd2800008, /* mov x8, #0 */
	0x14000002, /* b 2f */
	WFI,	    /* 1: wfi, interrupts are masked */
	0xd538cc06, /* 2: mrs x6, icc_iar1_el1 */
	0xf10040df, /* cmp x6, #16 */
	0x54ffffa2, /* b.hs 1b */
	0xf8667807, /* ldr x7, [x0, x6, lsl #3] */
	0x910004e7, /* add x7, x7, #1 */
	0xf8267807, /* str x7, [x0, x6, lsl #3] */
	0xd518cc26, /* msr icc_eoir1_el1, x6 */
	0x91000508, /* add x8, x8, #1 */
	0xeb0200ff, /* cmp x7, x2 */
	0x54000041, /* b.ne 3f */
	0xb5000085, /* cbnz x5, 4f */
	0xd3689cc9, /* 3: lsl x9, x6, #24 */
	0xaa010129, /* orr x9, x9, x1 */
	0xd518cba9, /* msr icc_sgi1r_el1, x9 */
	0xeb04011f, /* 4: cmp x8, x4 */
	0x54fffe21, /* b.ne 2b */
	0xf9000068, /* str x8, [x3] */
};

/* Waits for its timer. x1 CNTV_TVAL_EL0, x2 how often, x3 device, x5 = 1, x8 = 0 */
static const uint32_t ticks[] = {
	0xd51be301, /* 1: msr cntv_tval_el0, x1 */
	0xd51be325, /* msr cntv_ctl_el0, x5 */
	WFI,	    /* 2: wfi */
	0xd53be326, /* mrs x6, cntv_ctl_el0 */
	0x3617ffc6, /* tbz w6, #2, 2b */
	0xd51be33f, /* msr cntv_ctl_el0, xzr */
	0x91000508, /* add x8, x8, #1 */
	0xeb02011f, /* cmp x8, x2 */
	0x54ffff01, /* b.ne 1b */
	0xf9000068, /* str x8, [x3] */
};

static struct one {
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	long result;
	_Atomic bool done;
} one[VCPUS];
static __thread struct one *self;

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

/* All SGIs and PPIs of all vcpus enabled in group 1. */
static void make_vcpus_and_gic(void)
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
	for (uint64_t i = 0; i < VCPUS; i++) {
		gic_set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10080, 0xffffffff);
		gic_set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, i << 32 | 0x10100, 0xffffffff);
		gic_set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 4 << 7 | 6 << 3, 0xf0);
		gic_set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, i << 32 | 3 << 14 | 12 << 7 | 12 << 3 | 7, 1);
	}
}

static void on_usr1(int sig)
{
	pawl_signal_ran();
}

static void on_usr2(int sig)
{
	if (self)
		*(volatile uint8_t *)&self->run->immediate_exit = 1;
}

static void *vcpu_main(void *arg)
{
	self = arg;
	do {
		self->run->immediate_exit = 0;
		self->result = call(self->fd, KVM_RUN, NULL);
	} while (self->result == -EINTR);
	atomic_store(&self->done, true);
	return NULL;
}

/* Until every vcpu has stored to the device; signals in between, as many as there is time for. */
static void run_all(unsigned n)
{
	struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	struct sigaction usr2 = {.sa_handler = on_usr2, .sa_flags = SA_RESTART};
	unsigned left = n;

	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGUSR2, &usr2, NULL);
	for (unsigned i = 0; i < n; i++) {
		atomic_store(&one[i].done, false);
		pthread_create(&one[i].thread, NULL, vcpu_main, &one[i]);
	}
	for (unsigned turn = 0; left; turn++) {
		left = n;
		for (unsigned i = 0; i < n; i++) {
			if (atomic_load(&one[i].done))
				left--;
			else if ((turn + i) % 3)
				pthread_kill(one[i].thread, turn & 1 ? SIGUSR1 : SIGUSR2);
		}
		usleep(2000);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(one[i].thread, NULL);
	for (unsigned i = 0; i < n; i++) {
		expect_eq(one[i].result, 0);
		expect_eq(one[i].run->exit_reason, KVM_EXIT_MMIO);
	}
}

static void free_vcpus(void)
{
	for (unsigned i = 1; i < VCPUS; i++) {
		munmap(one[i].run, 8192);
		pawl_close(one[i].fd);
	}
}

TEST(interrupts_that_vcpus_send_each_other_wake_them_whatever_else_does)
{
	make_vcpus_and_gic();
	put_words(ENTRY, ring, sizeof(ring) / 4);
	for (unsigned i = 0; i < VCPUS; i++) {
		set(one[i].fd, X(0), DATA + 0x200 * i);
		set(one[i].fd, X(1), 1u << (i + 1) % VCPUS);
		set(one[i].fd, X(2), LAPS);
		set(one[i].fd, X(3), DEVICE);
		set(one[i].fd, X(4), TOKENS * (i ? LAPS - 1 : LAPS));
		set(one[i].fd, X(5), i == 0);
		set(one[i].fd, PC, ENTRY);
	}
	gic_set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10200, (1u << TOKENS) - 1); /* pending: the tokens start */
	run_all(VCPUS);
	for (unsigned i = 0; i < VCPUS; i++) {
		for (unsigned token = 0; token < TOKENS; token++) {
			uint64_t count;

			memcpy(&count, m.ram + (DATA - ENTRY) + 0x200 * i + 8 * token, 8);
			expect_eq(count, i ? LAPS - 1 : LAPS);
		}
	}
	free_vcpus();
}

TEST(the_timer_wakes_vcpus_that_wait_for_it)
{
	make_vcpus_and_gic();
	put_words(ENTRY, ticks, sizeof(ticks) / 4);
	for (unsigned i = 0; i < VCPUS; i++) {
		set(one[i].fd, X(1), 300 * (i + 1));
		set(one[i].fd, X(2), TICKS);
		set(one[i].fd, X(3), DEVICE);
		set(one[i].fd, X(5), 1);
		set(one[i].fd, X(8), 0);
		set(one[i].fd, PC, ENTRY);
	}
	run_all(VCPUS);
	free_vcpus();
}
