/* SPDX-License-Identifier: MIT */
/* Rows 52 to 57 and 60 to 63: entering and leaving KVM_RUN. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

static void immediate_exit(unsigned reason)
{
	m.run->immediate_exit = 1;
	says(run(), -EINTR, "the result of KVM_RUN");
	says(m.run->exit_reason, reason, "the exit reason, which is left alone,");
	m.run->immediate_exit = 0;
}

TEST(row_52_an_immediate_exit_with_nothing_owed_executes_nothing)
{
	variant("first run");
	stepping(0, 0x91000400 /* add x0, x0, #1 */);
	m.run->exit_reason = 77;
	immediate_exit(77);
	expect_pc(ENTRY);
	says(get_reg(X(0)), 0, "x0");
	step_executed(ENTRY + 4);
	immediate_exit(KVM_EXIT_DEBUG);
	expect_pc(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("with a report owed, twice");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	immediate_exit(KVM_EXIT_MMIO);
	immediate_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 4);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
}

TEST(row_53_an_immediate_exit_completes_the_mmio_and_the_next_run_reports_it)
{
	variant("read");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	answer(0x4321);
	immediate_exit(KVM_EXIT_MMIO);
	says(get_reg(PC), ENTRY + 4, "PC");
	says(get_reg(X(0)), 0x4321, "x0");
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("write");
	stepping(0, STR_X3_DEV);
	mmio_write(DEVICE, 8);
	immediate_exit(KVM_EXIT_MMIO);
	says(get_reg(PC), ENTRY + 4, "PC");
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
}

TEST(row_54_a_signal_before_entry_executes_nothing)
{
	stepping(0, 0x91000400 /* add x0, x0, #1 */);
	signal_pending(true);
	says(run(), -EINTR, "the result of KVM_RUN");
	says(m.run->exit_reason, KVM_EXIT_INTR, "the exit reason");
	says(get_reg(X(0)), 0, "x0");
	expect_pc(ENTRY);
	signal_pending(false);
	step_executed(ENTRY + 4);
	signal_pending(true);
	says(run(), -EINTR, "the result of KVM_RUN after a report");
	expect_pc(ENTRY + 4);
	signal_pending(false);
	step_executed(ENTRY + 8);
}

TEST(row_55_a_signal_after_the_instruction_leaves_the_report_to_the_next_run)
{
	variant("MMIO");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	answer(0x99);
	signal_pending(true);
	says(run(), -EINTR, "the result of KVM_RUN");
	says(m.run->exit_reason, KVM_EXIT_INTR, "the exit reason");
	says(get_reg(PC), ENTRY + 4, "PC");
	says(get_reg(X(0)), 0x99, "x0");
	says(run(), -EINTR, "the result with the signal still pending");
	says(get_reg(PC), ENTRY + 4, "PC");
	signal_pending(false);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("a call of the client");
	stepping(0, HVC);
	enable_cap(KVM_CAP_ARM_SYSTEM_SUSPEND);
	set_reg(X(0), 0x8400000e);
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	signal_pending(true);
	says(run(), -EINTR, "the result of KVM_RUN");
	signal_pending(false);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
}

TEST(row_56_an_exit_of_the_vcpus_own_state_comes_first_and_executes_nothing)
{
	struct kvm_mp_state mp = {KVM_MP_STATE_SUSPENDED};

	variant("wake-up of a suspended vcpu");
	stepping(0, 0x91000400 /* add x0, x0, #1 */);
	enable_irq();
	irq_line(1);
	says(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0, "KVM_SET_MP_STATE");
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	says(m.run->system_event.type, KVM_SYSTEM_EVENT_WAKEUP, "the type of the event");
	expect_pc(ENTRY);
	says(get_reg(X(0)), 0, "x0");
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	says(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0, "KVM_SET_MP_STATE");
	step_executed(ENTRY + 4);

	variant("the same with a report owed");
	stepping(0, LDR_X0_DEV);
	enable_irq();
	irq_line(1);
	mmio_read(DEVICE, 8);
	immediate_exit(KVM_EXIT_MMIO);
	mp.mp_state = KVM_MP_STATE_SUSPENDED;
	says(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0, "KVM_SET_MP_STATE");
	expect_exit(KVM_EXIT_SYSTEM_EVENT);
	expect_pc(ENTRY + 4);
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	says(call(m.vcpu, KVM_SET_MP_STATE, &mp), 0, "KVM_SET_MP_STATE");
	step_skipped(ENTRY + 4);

	variant("a timer's line to the client's interrupt controller");
	guest_with(WITHOUT_GIC, 0xd51be35f /* msr cntv_cval_el0, xzr */, 0xd51be323 /* msr cntv_ctl_el0, x3 */,
		   0x91000400 /* add x0, x0, #1 */, NOP);
	set_reg(X(3), 1);
	debug(STEP);
	step_executed(ENTRY + 4);
	if (run() == 0) { /* the step is reported, then the line is looked at */
		says(m.run->exit_reason, KVM_EXIT_DEBUG, "the exit reason");
		expect_pc(ENTRY + 8);
		says(run(), -EINTR, "the result of KVM_RUN when the line rises");
	} else {
		says(m.result, -EINTR, "the result of KVM_RUN when the line rises");
		expect_pc(ENTRY + 8);
		says(m.run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER, KVM_ARM_DEV_EL1_VTIMER, "the line");
		step_executed(ENTRY + 8);
	}
	says(m.run->s.regs.device_irq_level & KVM_ARM_DEV_EL1_VTIMER, KVM_ARM_DEV_EL1_VTIMER, "the line");
	says(get_reg(X(0)), 0, "x0");
	step_executed(ENTRY + 12);
}

TEST(row_56_a_full_dirty_ring_comes_first_and_executes_nothing)
{
	enum { LOGGED = 0x60000000, PAGES = 512, ENTRIES = 256, RESERVED = 64 };
	struct kvm_userspace_memory_region r = {
		.slot = 2, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = LOGGED, .memory_size = PAGES * 4096};
	struct kvm_dirty_gfn *ring;
	void *memory;
	int ret;

	machine_new(0);
	ret = (int)call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
	machine_free();
	if (ret <= 0 || sysconf(_SC_PAGESIZE) != 4096)
		skip("no dirty rings, or pages that are not 4 KiB");
	memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)memory;
	guest_with(WITH_RING, 0xf9000281 /* str x1, [x20] */, 0x91400694 /* add x20, x20, #1, lsl #12 */,
		   0x17fffffe /* b .-8 */, LDR_X0_DEV, NOP);
	says(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0, "adding a slot");
	ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
	set_reg(X(20), LOGGED);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	says(get_reg(PC), ENTRY, "PC");
	debug(STEP);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	says(get_reg(PC), ENTRY, "PC");
	/* with a report owed, which enabling without stepping keeps */
	for (unsigned i = 0; i < 2; i++)
		__atomic_store_n(&ring[i].flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	says(call(m.vm, KVM_RESET_DIRTY_RINGS, NULL), 2, "the result of KVM_RESET_DIRTY_RINGS");
	set_reg(PC, ENTRY + 12);
	mmio_read(DEVICE, 8);
	immediate_exit(KVM_EXIT_MMIO);
	debug(KVM_GUESTDBG_ENABLE);
	set_reg(PC, ENTRY);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	debug(STEP);
	expect_exit(KVM_EXIT_DIRTY_RING_FULL);
	says(get_reg(PC), ENTRY, "PC");
	__atomic_store_n(&ring[2].flags, (uint32_t)KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	says(call(m.vm, KVM_RESET_DIRTY_RINGS, NULL), 1, "the result of KVM_RESET_DIRTY_RINGS");
	step_skipped(ENTRY);
	munmap(ring, 4096);
	munmap(memory, PAGES * 4096);
}

/* ---- interruptions before every run */

struct report {
	uint64_t pc;
	uint32_t hsr;
};

enum { BY_IMMEDIATE_EXIT = 1, BY_SIGNAL = 2 };

/* Step n times, interrupted before each run in these ways; the reports. */
static void collect(struct report *out, unsigned n, unsigned how)
{
	/* executed, both ways of MMIO, in-kernel, trapped, calls, an exception and its return, an exclusive */
	guest(0x91000421 /* add x1, x1, #1 */, LDR_X0_DEV, STR_X3_DEV, LDR_W0_DIST, 0xd5381020 /* mrs x0, actlr_el1 */,
	      0xd2b08000 /* mov x0, #0x84000000 */, HVC, 0xd2b08000, SMC, SVC, 0xc85f7d40 /* ldxr x0, [x10] */,
	      0xd538ffe0 /* mrs x0, s3_0_c15_c15_7 */, LDR_X0_DEV, STR_X3_DEV, NOP);
	put_words(VECTORS + 0x200,
		  (const uint32_t[]){0xd5384020 /* mrs x0, elr_el1 */, 0xd538520e /* mrs x14, esr_el1 */,
				     0xb500004e /* cbnz x14, .+8 */, NOP, 0x91001000 /* add x0, x0, #4 */,
				     0xd5184020 /* msr elr_el1, x0 */, ERET},
		  7);
	debug(STEP);
	for (unsigned i = 0; i < n;) {
		if (how & BY_IMMEDIATE_EXIT) {
			m.run->immediate_exit = 1;
			says(run(), -EINTR, "the result of KVM_RUN with immediate_exit");
			m.run->immediate_exit = 0;
		}
		if (how & BY_SIGNAL) {
			signal_pending(true);
			says(run(), -EINTR, "the result of KVM_RUN with a signal");
			signal_pending(false);
		}
		says(run(), 0, "the result of KVM_RUN");
		if (m.run->exit_reason == KVM_EXIT_MMIO) {
			answer(0);
			continue;
		}
		says(m.run->exit_reason, KVM_EXIT_DEBUG, "the exit reason");
		out[i++] = (struct report){get_reg(PC), m.run->debug.arch.hsr};
	}
	machine_free();
}

TEST(row_55_interruptions_before_every_run_change_none_of_the_reports)
{
	enum { N = 28 };
	struct report plain[N], other[N];

	collect(plain, N, 0);
	for (unsigned how = 1; how < 4; how++) {
		variant(how == 1 ? "immediate_exit" : how == 2 ? "signal" : "both");
		collect(other, N, how);
		for (unsigned i = 0; i < N; i++) {
			says(other[i].pc, plain[i].pc, "PC of a report");
			says(other[i].hsr, plain[i].hsr, "ESR of a report");
		}
	}
}

TEST(row_57_aarch32_at_el0)
{
	machine_new(0);
	if (!kvm_path || call(m.kvm, KVM_CHECK_EXTENSION, value(KVM_CAP_ARM_EL1_32BIT)) <= 0)
		skip("this CPU has no AArch32");
	skip("no AArch32 guest is written here");
}

TEST(row_60_vcpu_init_keeps_guest_debug_and_what_is_owed)
{
	struct kvm_vcpu_init init = {.target = KVM_ARM_TARGET_GENERIC_V8, .features = {1u << KVM_ARM_VCPU_PSCI_0_2}};

	variant("nothing owed");
	stepping(0, NOP);
	step_executed(ENTRY + 4);
	says(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0, "KVM_ARM_VCPU_INIT");
	says(get_reg(PC), 0, "PC after KVM_ARM_VCPU_INIT");
	set_reg(PC, ENTRY);
	step_executed(ENTRY + 4);
	variant("a report owed");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	immediate_exit(KVM_EXIT_MMIO);
	says(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0, "KVM_ARM_VCPU_INIT");
	set_reg(PC, ENTRY + 12);
	step_skipped(ENTRY + 12);
	step_executed(ENTRY + 16);
	variant("an MMIO owed is completed after it");
	stepping(0, LDR_X0_DEV);
	mmio_read(DEVICE, 8);
	answer(0x66);
	says(call(m.vcpu, KVM_ARM_VCPU_INIT, &init), 0, "KVM_ARM_VCPU_INIT");
	step_skipped(4);
	says(get_reg(X(0)), 0x66, "x0");
}

static void *stop_and_run(void *arg)
{
	struct second *s = arg;

	return (void *)(intptr_t)call(s->fd, KVM_RUN, NULL);
}

TEST(row_61_debugging_is_each_vcpus_own)
{
	struct second s;
	pthread_t t;
	void *result = NULL;
	int fd;
	struct kvm_run *page;

	guest_with(WITHOUT_GIC, 0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */, LDR_X0_DEV);
	put_words(ENTRY + 0x800,
		  (const uint32_t[]){0xb9400140 /* ldr w0, [x10] */, 0x34ffffe0 /* cbz w0, .-4 */,
				     0x91000421 /* add x1, x1, #1 */, STR_X3_DEV},
		  4);
	s = add_second(0);
	fd = m.vcpu;
	page = m.run;
	debug(STEP);
	use(s.fd, s.run);
	set_reg(PC, ENTRY + 0x800);
	set_reg(X(10), DATA);
	set_reg(X(11), DEVICE);
	use(fd, page);
	pthread_create(&t, NULL, stop_and_run, &s);
	step_executed(ENTRY + 4);
	step_executed(ENTRY + 8);
	mmio_read(DEVICE, 8);
	__atomic_store_n((uint32_t *)(m.ram + (DATA - ENTRY)), 1, __ATOMIC_RELEASE);
	pthread_join(t, &result);
	says((intptr_t)result, 0, "the result of the other vcpu's KVM_RUN");
	says(s.run->exit_reason, KVM_EXIT_MMIO, "the other vcpu's exit, which is no debug exit,");
	use(s.fd, s.run);
	says(get_reg(X(1)), 1, "the other vcpu's x1");
	use(fd, page);
	step_skipped(ENTRY + 12);
	free_second(&s);
}

/* One vcpu's thread: steps a loop of four instructions, all on its own. */
struct stepper {
	int fd;
	struct kvm_run *run;
	uint64_t entry;
	const char *wrong; /* NULL: nothing */
};

static void *step_loop(void *arg)
{
	struct stepper *s = arg;
	struct kvm_guest_debug d = {.control = STEP};
	uint64_t pc = s->entry, now;
	struct kvm_one_reg r = {.id = PC, .addr = (uintptr_t)&now};

	if (call(s->fd, KVM_SET_GUEST_DEBUG, &d))
		s->wrong = "KVM_SET_GUEST_DEBUG failed";
	for (unsigned n = 0; n < 2000 && !s->wrong;) {
		if (call(s->fd, KVM_RUN, NULL)) {
			s->wrong = "KVM_RUN failed";
		} else if (s->run->exit_reason == KVM_EXIT_DEBUG) {
			pc = pc == s->entry + 12 ? s->entry : pc + 4;
			n++;
		} else if (s->run->exit_reason != KVM_EXIT_MMIO || pc != s->entry + 4) {
			s->wrong = "an exit that is not its turn";
		}
		if (!s->wrong && (call(s->fd, KVM_GET_ONE_REG, &r) || now != pc))
			s->wrong = "PC is not that of the next step";
	}
	return NULL;
}

TEST(row_61_two_vcpus_are_stepped_at_the_same_time)
{
	static const uint32_t words[] = {0x91000400 /* add x0, x0, #1 */, LDR_X0_DEV,
					 0xd5381021 /* mrs x1, actlr_el1 */, 0x17fffffd /* b .-12 */};
	struct stepper one, two;
	struct second s;
	pthread_t t;

	guest_with(WITHOUT_GIC, words[0], words[1], words[2], words[3]);
	put_words(ENTRY + 0x800, words, 4);
	s = add_second(0);
	one = (struct stepper){.fd = m.vcpu, .run = m.run, .entry = ENTRY};
	two = (struct stepper){.fd = s.fd, .run = s.run, .entry = ENTRY + 0x800};
	use(s.fd, s.run);
	set_reg(PC, two.entry);
	set_reg(X(11), DEVICE);
	use(one.fd, one.run);
	pthread_create(&t, NULL, step_loop, &two);
	step_loop(&one);
	pthread_join(t, NULL);
	if (one.wrong || two.wrong)
		fail("%s", one.wrong ? one.wrong : two.wrong);
	free_second(&s);
}

static _Atomic bool debug_returned;
static void *disable_debug(void *arg)
{
	struct kvm_guest_debug d = {.control = STEP};
	long ret = call(m.vcpu, KVM_SET_GUEST_DEBUG, &d);

	atomic_store(&debug_returned, true);
	return (void *)(intptr_t)ret;
}

TEST(row_62_set_guest_debug_waits_for_a_vcpu_that_runs)
{
	pthread_t t;
	void *result = NULL;

	guest(0xb9400140 /* ldr w0, [x10] */, 0x34ffffe0 /* cbz w0, .-4 */, STR_X3_DEV, NOP, NOP);
	atomic_store(&debug_returned, false);
	/* the vcpu stops at the store in any order; the ioctl before or after the whole run */
	pthread_create(&t, NULL, disable_debug, NULL);
	__atomic_store_n((uint32_t *)(m.ram + (DATA - ENTRY)), 1, __ATOMIC_RELEASE);
	do {
		says(run(), 0, "the result of KVM_RUN");
	} while (m.run->exit_reason == KVM_EXIT_DEBUG);
	says(m.run->exit_reason, KVM_EXIT_MMIO, "the exit reason");
	pthread_join(t, &result);
	says((intptr_t)result, 0, "the result of KVM_SET_GUEST_DEBUG");
	step_skipped(ENTRY + 12);
	step_executed(ENTRY + 16);
}

TEST(row_63_an_illegal_pstate_is_refused_and_the_vcpu_still_steps)
{
	static const uint64_t bad[] = {0x3c9 /* EL2h */, 0x3cd /* EL3h */, 0x3c1 /* EL0h */, 0x1d3 /* AArch32 SVC */};

	stepping(0, NOP);
	for (unsigned i = 0; i < 4; i++) {
		says(try_set_reg(PSTATE, &bad[i]), -EINVAL, "the result of setting PSTATE");
		says(get_reg(PSTATE), PSTATE_EL1H, "PSTATE");
	}
	step_executed(ENTRY + 4);
}
