/* SPDX-License-Identifier: MIT */
/*
 * Vcpus that wait, and everything that may wake them at the same moment: interrupts from each other, the timer, signal
 * handlers, immediate_exit. Counts are bounded and nothing depends on timing; a wake-up that is lost is a test that hangs.
 */
#include <signal.h>
#include <unistd.h>

#include "smp.h"

enum { TOKENS = 3, LAPS = 400, TICKS = 1500 };

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
	unsigned left = n;

	smp_handle_signals(SA_RESTART);
	for (unsigned i = 0; i < n; i++)
		pthread_create(&one[i].thread, NULL, vcpu_main, &one[i]);
	for (unsigned turn = 0; left; turn++) {
		left = n;
		for (unsigned i = 0; i < n; i++) {
			if (atomic_load(&one[i].done))
				left--;
			else if ((turn + i) % 3)
				pthread_kill(one[i].thread, turn & 1 ? SIG_KICK : SIG_KICK_TOO);
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

TEST(interrupts_that_vcpus_send_each_other_wake_them_whatever_else_does)
{
	smp_new(ring, sizeof(ring) / 4);
	for (unsigned i = 0; i < VCPUS; i++) {
		smp_set(i, X(0), DATA + 0x200 * i);
		smp_set(i, X(1), 1u << (i + 1) % VCPUS);
		smp_set(i, X(2), LAPS);
		smp_set(i, X(3), DEVICE);
		smp_set(i, X(4), TOKENS * (i ? LAPS - 1 : LAPS));
		smp_set(i, X(5), i == 0);
	}
	gic_reg(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x10200, (1u << TOKENS) - 1); /* pending: the tokens start */
	run_all(VCPUS);
	for (unsigned i = 0; i < VCPUS; i++) {
		for (unsigned token = 0; token < TOKENS; token++) {
			uint64_t count;

			memcpy(&count, m.ram + (DATA - ENTRY) + 0x200 * i + 8 * token, 8);
			expect_eq(count, i ? LAPS - 1 : LAPS);
		}
	}
	smp_free();
}

static void wait_for_timers(long poll_ns)
{
	struct kvm_enable_cap poll = {.cap = KVM_CAP_HALT_POLL, .args = {(uint64_t)poll_ns}};

	smp_new(ticks, sizeof(ticks) / 4);
	if (poll_ns >= 0)
		expect_eq(call(m.vm, KVM_ENABLE_CAP, &poll), 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		smp_set(i, X(1), 300 * (i + 1));
		smp_set(i, X(2), TICKS);
		smp_set(i, X(3), DEVICE);
		smp_set(i, X(5), 1);
		smp_set(i, X(8), 0);
	}
	run_all(VCPUS);
	smp_free();
}

TEST(the_timer_wakes_vcpus_that_wait_for_it)
{
	wait_for_timers(-1);
}

TEST(the_timer_wakes_vcpus_whether_or_not_they_poll_for_it)
{
	static const long most[] = {0, 3000, 4000000000};

	for (unsigned i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		if (i)
			machine_free();
		wait_for_timers(most[i]);
	}
}
