/* SPDX-License-Identifier: MIT */
/* KVM_RUN against the rest of the world: signals, waits, other vcpus, other threads. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

#define STR_W0_DATA 0xb9000140u /* str w0, [x10] */
#define LDR_W0_DATA 0xb9400140u /* ldr w0, [x10] */

/* ---- a thread that runs the vcpu while the test does something else */

static struct {
	pthread_t thread;
	_Atomic bool done;
	int fd;
	long result;
} runner;

static void *runner_main(void *arg)
{
	runner.result = call(runner.fd, KVM_RUN, NULL);
	atomic_store(&runner.done, true);
	return NULL;
}

static void run_in_thread(int fd)
{
	atomic_store(&runner.done, false);
	runner.fd = fd;
	pthread_create(&runner.thread, NULL, runner_main, NULL);
}

static long runner_join(void)
{
	pthread_join(runner.thread, NULL);
	return runner.result;
}

static uint32_t data_word(void)
{
	return __atomic_load_n((uint32_t *)(m.ram + (DATA - ENTRY)), __ATOMIC_ACQUIRE);
}

static void wait_data(uint32_t want)
{
	while (data_word() != want)
		sched_yield();
}

static KICK_HANDLER void on_signal(int sig)
{
	pawl_signal_ran();
}

static KICK_HANDLER void on_signal_immediate(int sig)
{
	m.run->immediate_exit = 1;
}

/* ---- waits */

TEST(wfi_waits_for_an_interrupt_even_a_masked_one)
{
	guest(0x52800020 /* mov w0, #1 */, STR_W0_DATA, WFI, STR_X3_DEV);
	enable_irq();
	run_in_thread(m.vcpu);
	wait_data(1);
	irq_line(1);
	expect_eq(runner_join(), 0);
	expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	expect_pc(ENTRY + 12);
}

TEST(wfi_with_an_interrupt_pending_does_not_wait)
{
	guest(WFI, STR_X3_DEV);
	enable_irq();
	irq_line(1);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_PENDING);
}

TEST(no_wake_up_of_wfi_is_lost)
{
	guest(0xb9000140 /* 0: str w0, [x10] */, WFI, 0x11000400 /* add w0, w0, #1 */, STR_X3_DEV,
	      0x17fffffc /* b 0 */);
	enable_irq();
	for (uint32_t i = 0; i < 2000; i++) {
		run_in_thread(m.vcpu);
		wait_data(i);
		irq_line(1);
		expect_eq(runner_join(), 0);
		expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
		irq_line(0);
	}
}

TEST(a_signal_ends_wfi_and_the_instruction_counts_as_done)
{
	guest(0x52800020 /* mov w0, #1 */, STR_W0_DATA, WFI, NOP, STR_X3_DEV);
	enable_irq();
	kick_handle(SIG_KICK, on_signal, SA_RESTART);
	set_reg(X(0), 0);
	run_in_thread(m.vcpu);
	wait_data(1);
	while (!atomic_load(&runner.done)) {
		pthread_kill(runner.thread, SIG_KICK);
		usleep(2000);
	}
	expect_eq(runner_join(), -EINTR);
	expect_eq(m.run->exit_reason, KVM_EXIT_INTR);
	if (get_reg(PC) != ENTRY + 12 && get_reg(PC) != ENTRY + 8)
		fail("PC is %#llx", (unsigned long long)get_reg(PC));
}

TEST(a_handler_that_stores_immediate_exit_ends_a_wait)
{
	guest_with(POWERED_OFF, NOP);
	kick_handle(SIG_KICK, on_signal_immediate, SA_RESTART);
	run_in_thread(m.vcpu);
	usleep(20000); /* it waits by now, or finds immediate_exit when it begins */
	while (!atomic_load(&runner.done)) {
		pthread_kill(runner.thread, SIG_KICK);
		usleep(2000);
	}
	expect_eq(runner_join(), -EINTR);
	expect_pc(ENTRY);
}

TEST(a_handler_ends_a_guest_that_spins)
{
	guest(SPIN);
	kick_handle(SIG_KICK, on_signal, 0);
	debug(0);
	for (int i = 0; i < 20; i++) {
		run_in_thread(m.vcpu);
		while (!atomic_load(&runner.done)) {
			pthread_kill(runner.thread, SIG_KICK);
			usleep(2000);
		}
		expect_eq(runner_join(), -EINTR);
		expect_pc(ENTRY);
	}
}

static void *runner_blocked(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return runner_main(arg);
}

TEST(a_signal_that_only_the_mask_lets_in_interrupts_without_its_handler)
{
	struct {
		uint32_t len; /* struct kvm_signal_mask */
		uint8_t set[8];
	} mask = {.len = 8};

	for (int wait = 0; wait < 2; wait++) {
		guest(0x52800020 /* mov w0, #1 */, STR_W0_DATA, wait ? WFI : NOP, SPIN);
		signal(SIGUSR2, SIG_DFL); /* would end the process */
		expect_eq(call(m.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
		atomic_store(&runner.done, false);
		runner.fd = m.vcpu;
		pthread_create(&runner.thread, NULL, runner_blocked, NULL);
		wait_data(1);
		pthread_kill(runner.thread, SIGUSR2);
		expect_eq(runner_join(), -EINTR);
		expect_eq(m.run->exit_reason, KVM_EXIT_INTR);
		machine_free();
	}
}

/* ---- several vcpus */

TEST(vcpus_run_in_parallel)
{
	/* two vcpus pass a word back and forth; neither leaves the guest before the end */
	static const uint32_t first[] = {
		0x52800001, /* mov w1, #0 */
		0x88dffd42, /* 0: ldar w2, [x10] */
		0x6b01005f, /* cmp w2, w1 */
		0x54ffffc1, /* b.ne 0b */
		0x11000421, /* add w1, w1, #1 */
		0x889ffd41, /* stlr w1, [x10] */
		0x11000421, /* add w1, w1, #1 */
		0x6b03003f, /* cmp w1, w3 */
		0x54ffff2b, /* b.lt 0b */
		0xf9000163, /* str x3, [x11] */
	};
	struct kvm_run *page;
	struct kvm_one_reg r;
	uint64_t val;
	int other;

	guest_with(WITHOUT_GIC, SPIN);
	put_words(ENTRY, first, 10);
	put_words(EL0_CODE, first, 10);
	put_words(EL0_CODE, (const uint32_t[]){0x52800021 /* mov w1, #1 */}, 1);
	other = add_vcpu(1, 1u << KVM_ARM_VCPU_PSCI_0_2, &page);
	set_reg(X(3), 2000);
	static const uint64_t ids[] = {X(3), X(10), X(11), PC};
	const uint64_t vals[] = {2000, DATA, DEVICE, EL0_CODE};

	for (int i = 0; i < 4; i++) {
		val = vals[i];
		r = (struct kvm_one_reg){ids[i], (uintptr_t)&val};
		expect_eq(call(other, KVM_SET_ONE_REG, &r), 0);
	}
	run_in_thread(other);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(runner_join(), 0);
	expect_eq(page->exit_reason, KVM_EXIT_MMIO);
	munmap(page, 8192);
	api_close(other);
}

static int second_vcpu(struct kvm_run **page)
{
	return add_vcpu(1, 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF, page);
}

static uint64_t reg_of(int fd, uint64_t id)
{
	uint64_t val = 0;
	struct kvm_one_reg r = {id, (uintptr_t)&val};

	expect_eq(call(fd, KVM_GET_ONE_REG, &r), 0);
	return val;
}

TEST(cpu_on_starts_a_stopped_vcpu_that_waits_in_kvm_run)
{
	struct kvm_guest_debug d = {.control = STEP};
	struct kvm_run *page;
	int other;

	guest_with(WITHOUT_GIC, HVC, STR_X3_DEV);
	put_words(EL0_CODE, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, SPIN}, 2);
	other = second_vcpu(&page);
	expect_eq(call(other, KVM_SET_GUEST_DEBUG, &d), 0);
	run_in_thread(other);
	set_reg(X(0), 0xc4000003); /* CPU_ON */
	set_reg(X(1), 1);
	set_reg(X(2), EL0_CODE);
	set_reg(X(3), 41);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 0);
	expect_eq(runner_join(), 0);
	expect_eq(page->exit_reason, KVM_EXIT_DEBUG);
	expect_eq(reg_of(other, PC), EL0_CODE + 4); /* its first instruction was executed: no step was owed */
	expect_eq(reg_of(other, X(0)), 42);
	munmap(page, 8192);
	api_close(other);
}

TEST(a_reset_by_cpu_on_is_seen_by_one_reg_before_the_vcpu_runs)
{
	struct kvm_run *page;
	int other;

	guest_with(WITHOUT_GIC, HVC, STR_X3_DEV);
	other = second_vcpu(&page);
	set_reg(X(0), 0xc4000003);
	set_reg(X(1), 1);
	set_reg(X(2), 0x40009000);
	set_reg(X(3), 7);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(reg_of(other, PC), 0x40009000);
	expect_eq(reg_of(other, X(0)), 7);
	expect_eq(reg_of(other, PSTATE), 0x3c5);
	munmap(page, 8192);
	api_close(other);
}

TEST(an_ioctl_on_a_running_vcpu_waits_for_it)
{
	struct kvm_irq_level l = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 40, .level = 1};

	guest(0x52800020 /* mov w0, #1 */, STR_W0_DATA, WFI, STR_X3_DEV);
	enable_irq();
	run_in_thread(m.vcpu);
	wait_data(1);
	expect_eq(call(m.vm, KVM_IRQ_LINE, &l), 0);
	expect_reg(X(0), 1); /* waited for the exit */
	expect_pc(ENTRY + 12);
	expect_eq(runner_join(), 0);
}

TEST(slots_come_and_go_while_a_vcpu_runs)
{
	uint8_t *p = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region r = {
		.slot = 5, .guest_phys_addr = 0x60000000, .memory_size = 0x1000, .userspace_addr = (uintptr_t)p};

	guest_with(WITHOUT_GIC, LDR_W0_DATA, 0x34ffffe0 /* cbz w0, .-4 */, STR_X3_DEV);
	run_in_thread(m.vcpu);
	for (int i = 0; i < 500; i++) {
		r.memory_size = i & 1 ? 0 : 0x1000;
		expect_eq(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	}
	__atomic_store_n((uint32_t *)(m.ram + (DATA - ENTRY)), 1, __ATOMIC_RELEASE);
	expect_eq(runner_join(), 0);
	expect_eq(m.run->exit_reason, KVM_EXIT_MMIO);
	munmap(p, 0x1000);
}

TEST(suspended_vcpu_exits_when_an_interrupt_wakes_it_and_stays_suspended)
{
	struct kvm_mp_state mp = {KVM_MP_STATE_SUSPENDED};

	guest(STR_X3_DEV);
	enable_irq();
	expect_eq(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0);
	run_in_thread(m.vcpu);
	irq_line(1);
	expect_eq(runner_join(), 0);
	expect_eq(m.run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	expect_eq(m.run->system_event.type, KVM_SYSTEM_EVENT_WAKEUP);
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	expect_eq(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0);
	expect_exit(KVM_EXIT_MMIO);
}

TEST(a_stepped_vcpu_that_turned_itself_off_by_hvc_owes_a_report_at_its_new_entry)
{
	struct kvm_guest_debug d = {.control = STEP};
	struct kvm_run *page;
	struct kvm_one_reg r;
	struct kvm_mp_state mp;
	uint64_t val;
	int other;

	guest_with(WITHOUT_GIC, HVC, STR_X3_DEV);
	put_words(EL0_CODE, (const uint32_t[]){HVC, SPIN}, 2);
	put_words(EL0_CODE + 0x100, (const uint32_t[]){ADD_X0_1, SPIN}, 2);
	other = add_vcpu(1, 1u << KVM_ARM_VCPU_PSCI_0_2, &page);
	val = EL0_CODE;
	r = (struct kvm_one_reg){PC, (uintptr_t)&val};
	expect_eq(call(other, KVM_SET_ONE_REG, &r), 0);
	val = 0x84000002; /* CPU_OFF */
	r.id = X(0);
	expect_eq(call(other, KVM_SET_ONE_REG, &r), 0);
	expect_eq(call(other, KVM_SET_GUEST_DEBUG, &d), 0);
	run_in_thread(other);
	for (;;) { /* CPU_ON until the other is off */
		set_reg(PC, ENTRY);
		set_reg(X(0), 0xc4000003);
		set_reg(X(1), 1);
		set_reg(X(2), EL0_CODE + 0x100);
		set_reg(X(3), 41);
		m.run->exit_reason = 0; /* do not complete the last store at the new PC */
		expect_exit(KVM_EXIT_MMIO);
		if (get_reg(X(0)) == 0)
			break;
		expect_reg(X(0), (uint64_t)-4);
	}
	expect_eq(runner_join(), 0);
	expect_eq(page->exit_reason, KVM_EXIT_DEBUG);
	expect_eq(reg_of(other, PC), EL0_CODE + 0x100);
	expect_eq(reg_of(other, X(0)), 41);
	expect_eq(call(other, KVM_RUN, NULL), 0);
	expect_eq(reg_of(other, PC), EL0_CODE + 0x104);
	expect_eq(call(other, KVM_GET_MP_STATE, &mp), 0);
	expect_eq(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	munmap(page, 8192);
	api_close(other);
}
