/* SPDX-License-Identifier: MIT */
/*
 * A signal between every two points of the flow of KVM_RUN, one at a time: the linker puts this file's functions around those that
 * KVM_RUN consists of (--wrap), and they raise it before and after each call, on the vcpu's own thread. So "after the emulation, before
 * the report" is a place in the program, not a moment that a test hopes to meet.
 *
 * Wherever it comes, the client sees the same exits with the same registers, and at most one EINTR more.
 */
#include "harness.h"

#include <sys/mman.h>

/* ---- where a signal may come: points are counted, and the one with this number is it */

static unsigned points, chosen;
enum { NEVER = ~0u };

static KICK_HANDLER void on_kick(int sig)
{
	pawl_signal_ran();
}

static void point(void)
{
	if (points++ == chosen)
		raise(SIG_KICK);
}

#define AROUND(type, name) \
	type __real_##name(void *arg); \
	type __wrap_##name(void *arg); \
	type __wrap_##name(void *arg) \
	{ \
		type ret; \
\
		point(); \
		ret = __real_##name(arg); \
		point(); \
		return ret; \
	}
#define AROUND_VOID(name) \
	void __real_##name(void *arg); \
	void __wrap_##name(void *arg); \
	void __wrap_##name(void *arg) \
	{ \
		point(); \
		__real_##name(arg); \
		point(); \
	}

AROUND_VOID(mmio_complete)  /* what the client has answered is written to the register */
AROUND_VOID(debug_load)	    /* stepping is armed */
AROUND(int, request_handle) /* interruptions are looked at */
AROUND(int, cpu_run)	    /* the PE runs: an instruction is executed, or trapped, or a step is due */
AROUND(int, exit_handle)    /* an instruction is emulated, or a report made */
AROUND_VOID(debug_put)	    /* what is owed is kept for the next KVM_RUN */

/* ---- what the client sees */

enum { MAX_EXITS = 64, REGS = 4 };

struct seen {
	unsigned reason;
	uint32_t ec; /* KVM_EXIT_DEBUG */
	uint64_t pc, reg[REGS];
};

struct story {
	unsigned n, interrupted;
	struct seen exit[MAX_EXITS];
};

static struct seen look(void)
{
	struct seen s = {.reason = m.run->exit_reason,
			 .ec = m.run->exit_reason == KVM_EXIT_DEBUG ? m.run->debug.arch.hsr >> 26 : 0,
			 .pc = get_reg(PC)};

	for (unsigned i = 0; i < REGS; i++)
		s.reg[i] = get_reg(X(i));
	return s;
}

/* Until the guest stands at `end`. */
static void tell(struct story *story, uint64_t end)
{
	uint64_t pc = get_reg(PC);

	while (pc != end) {
		long ret = run();

		if (ret == -EINTR) {
			uint64_t now = get_reg(PC);

			story->interrupted++;
			if (now != pc && story->n && story->exit[story->n - 1].reason != KVM_EXIT_MMIO &&
			    now != pc + 4 && now != VECTORS + 0x200)
				fail("an interruption at point %u moves PC from %#llx to %#llx", chosen,
				     (unsigned long long)pc, (unsigned long long)now);
			continue;
		}
		expect_eq(ret, 0);
		if (story->n == MAX_EXITS)
			fail("no end is reached with a signal at point %u", chosen);
		if (m.run->exit_reason == KVM_EXIT_MMIO && !m.run->mmio.is_write)
			answer(0x1122334455667788);
		story->exit[story->n++] = look();
		pc = get_reg(PC);
	}
}

static void same(const struct story *have, const struct story *want)
{
	expect_eq(have->n, want->n);
	for (unsigned i = 0; i < want->n; i++) {
		const struct seen *h = &have->exit[i], *w = &want->exit[i];

		expect_eq(h->reason, w->reason);
		expect_eq(h->ec, w->ec);
		expect_eq(h->pc, w->pc);
		for (unsigned r = 0; r < REGS; r++)
			expect_eq(h->reg[r], w->reg[r]);
	}
	if (have->interrupted > 1)
		fail("%u interruptions by one signal", have->interrupted);
}

/* The guest that make() makes, up to `end`: without a signal, then with one at each point that there is. How many stories had an EINTR. */
static unsigned at_every_point(void (*make)(void), uint64_t end)
{
	static struct story undisturbed, disturbed;
	unsigned interrupted = 0;
	char text[64];

	kick_handle(SIG_KICK, on_kick, 0);
	memset(&undisturbed, 0, sizeof(undisturbed));
	chosen = NEVER;
	make();
	tell(&undisturbed, end);
	machine_free();
	test_variant = text;
	for (chosen = 0;; chosen++) {
		bool came;

		snprintf(text, sizeof(text), "a signal at point %u", chosen);
		memset(&disturbed, 0, sizeof(disturbed));
		points = 0;
		make();
		tell(&disturbed, end);
		came = points > chosen;
		machine_free();
		if (!came)
			break;
		same(&disturbed, &undisturbed);
		interrupted += disturbed.interrupted;
	}
	test_variant = NULL;
	chosen = NEVER;
	return interrupted;
}

/* ---- the guests */

static void stepped(const uint32_t *words, unsigned n)
{
	guest_words(0, words, n);
	debug(STEP);
}

static void in_kernel_mmio(void)
{
	static const uint32_t words[] = {ADD_X0_1, LDR_W0_DIST, 0xb9000183 /* str w3, [x12] */, ADD_X1_1};

	stepped(words, 4);
}

TEST(no_signal_spoils_the_steps_of_an_access_to_the_gic)
{
	expect_eq(at_every_point(in_kernel_mmio, ENTRY + 16) > 4, true);
}

static void trapped_registers(void)
{
	static const uint32_t words[] = {0xd5381022 /* mrs x2, actlr_el1 */, 0xd5181021 /* msr actlr_el1, x1 */,
					 0xd5380703 /* mrs x3, id_aa64mmfr0_el1 */, ADD_X1_1};

	stepped(words, 4);
}

TEST(no_signal_spoils_the_steps_of_a_trapped_system_register)
{
	expect_eq(at_every_point(trapped_registers, ENTRY + 16) > 4, true);
}

static void calls(void)
{
	static const uint32_t words[] = {HVC, 0xd2b08000 /* mov x0, #0x84000000 */, SMC, ADD_X1_1, SMC_1};

	stepped(words, 5);
	set_reg(X(0), 0x84000000); /* PSCI_VERSION */
}

TEST(no_signal_spoils_the_steps_of_a_hypercall)
{
	expect_eq(at_every_point(calls, ENTRY + 20) > 5, true);
}

static void forwarded_call(void)
{
	static const uint32_t words[] = {HVC, ADD_X1_1, SMC, ADD_X1_1};
	struct kvm_smccc_filter f = {.base = 0xc6000000, .nr_functions = 16, .action = KVM_SMCCC_FILTER_FWD_TO_USER};
	struct kvm_device_attr a = {
		.group = KVM_ARM_VM_SMCCC_CTRL, .attr = KVM_ARM_VM_SMCCC_FILTER, .addr = (uintptr_t)&f};

	stepped(words, 4);
	expect_eq(call(m.vm, KVM_SET_DEVICE_ATTR, &a), 0);
	set_reg(X(0), 0xc6000001);
}

TEST(no_signal_spoils_the_steps_of_a_hypercall_that_the_client_handles)
{
	expect_eq(at_every_point(forwarded_call, ENTRY + 16) > 4, true);
}

static void client_mmio(void)
{
	static const uint32_t words[] = {LDR_X0_DEV, LDR_W0_DEV, STR_X3_DEV, ADD_X1_1, STR_X3_ROM};

	stepped(words, 5);
}

TEST(no_signal_spoils_the_steps_of_an_access_that_the_client_answers)
{
	expect_eq(at_every_point(client_mmio, ENTRY + 20) > 5, true);
}

static void exceptions(void)
{
	static const uint32_t words[] = {ADD_X0_1, 0xd538ffe0 /* mrs x0, s3_0_c15_c15_7: UNDEFINED */, SVC, NOP,
					 ADD_X1_1};

	stepped(words, 5);
	put_words(VECTORS + 0x200, /* returns one instruction behind */
		  (const uint32_t[]){0xd5384022 /* mrs x2, elr_el1 */, 0x91001042 /* add x2, x2, #4 */,
				     0xd5184022 /* msr elr_el1, x2 */, ERET},
		  4);
}

TEST(no_signal_spoils_the_steps_of_exceptions_and_returns)
{
	expect_eq(at_every_point(exceptions, ENTRY + 20) > 8, true);
}

static void waits(void)
{
	static const uint32_t words[] = {ADD_X0_1, WFI, ADD_X1_1, 0xd503205f /* wfe */, ADD_X1_1};

	stepped(words, 5);
	enable_irq();
	irq_line(1); /* masked by PSTATE.I */
}

TEST(no_signal_spoils_the_steps_of_a_wait)
{
	expect_eq(at_every_point(waits, ENTRY + 20) > 5, true);
}

static void comparators(void)
{
	static const uint32_t words[] = {ADD_X0_1, LDR_X0_DEV, STR_X1_RAM, ADD_X1_1};
	struct kvm_guest_debug d = {.control = STEP | KVM_GUESTDBG_USE_HW,
				    .arch = {.dbg_bcr = {0x1e7}, .dbg_bvr = {ENTRY + 16}}};

	guest_words(0, words, 4);
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
}

TEST(no_signal_spoils_the_step_onto_a_breakpoint)
{
	expect_eq(at_every_point(comparators, ENTRY + 16) > 4, true);
}

static void memory(void)
{
	static const uint32_t words[] = {STR_X1_RAM,
					 0xf9400140 /* ldr x0, [x10] */,
					 0xf8210142 /* ldadd x1, x2, [x10] */,
					 0x14000002 /* b .+8 */,
					 NOP,
					 ADD_X1_1};

	stepped(words, 6);
}

TEST(no_signal_spoils_the_steps_of_executed_instructions)
{
	expect_eq(at_every_point(memory, ENTRY + 24) > 5, true);
}

/* ---- without a debugger */

static void free_running(void)
{
	static const uint32_t words[] = {
		LDR_W0_DIST, LDR_X0_DEV, HVC, ADD_X1_1, STR_X3_DEV, 0xd5381022 /* mrs x2, actlr_el1 */, LDR_W0_DEV};

	guest_words(0, words, 7);
}

TEST(no_signal_spoils_a_guest_that_is_not_debugged)
{
	expect_eq(at_every_point(free_running, ENTRY + 24) > 3, true);
}
