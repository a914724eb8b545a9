/* SPDX-License-Identifier: MIT */
/* PAWL_CAP_BREAKPOINTS (pawl.h): breakpoints by address, as many as a debugger likes. */
#include "harness.h"

#define ADD_X0_1 0x91000400u /* add x0, x0, #1 */
#define NOP 0xd503201fu
#define B_SELF 0x14000000u
#define STR_X3_DEV 0xf9000163u /* str x3, [x11] */
#define HSR_BREAKPOINT 0xc2000022u
#define LISTED (KVM_GUESTDBG_ENABLE | PAWL_GUESTDBG_USE_LIST)

static long list(const uint64_t *va, uint64_t n)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_BREAKPOINTS, .args = {(uintptr_t)va, n}};

	return call(m.vm, KVM_ENABLE_CAP, &cap);
}

#define list_of(...) list((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void expect_breakpoint(uint64_t pc)
{
	expect_exit(KVM_EXIT_DEBUG);
	expect_eq(m.run->debug.arch.hsr, HSR_BREAKPOINT);
	expect_pc(pc);
}

TEST(the_capability_says_how_many_a_list_may_have)
{
	long most;

	guest(NOP);
	most = call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_BREAKPOINTS));
	expect_eq(most >= 10000, true);
	expect_eq(call(m.kvm, KVM_CHECK_EXTENSION, value(PAWL_CAP_BREAKPOINTS)), most);
}

TEST(the_flag_is_unknown_until_the_vm_has_a_list)
{
	struct kvm_guest_debug dbg = {.control = LISTED};

	guest(NOP);
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &dbg), -EINVAL);
	expect_eq(list(NULL, 0), 0);
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &dbg), 0);
	dbg.control |= 1u << 30;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &dbg), -EINVAL);
}

TEST(the_guest_stops_before_each_listed_instruction_until_the_list_is_another)
{
	guest(ADD_X0_1, ADD_X0_1, ADD_X0_1, ADD_X0_1, STR_X3_DEV);
	expect_eq(list_of(ENTRY + 12, ENTRY + 4), 0); /* in any order */
	debug(LISTED);
	expect_breakpoint(ENTRY + 4);
	expect_breakpoint(ENTRY + 4); /* nothing has run */
	expect_reg(X(0), 1);
	expect_eq(list_of(ENTRY + 12), 0);
	expect_breakpoint(ENTRY + 12);
	expect_reg(X(0), 3);
	expect_eq(list(NULL, 0), 0);
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 4);
}

TEST(a_list_means_nothing_to_a_vcpu_that_has_not_asked_for_it)
{
	guest(NOP, NOP, STR_X3_DEV);
	expect_eq(list_of(ENTRY + 4), 0);
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW);
	expect_exit(KVM_EXIT_MMIO);
}

TEST(listed_breakpoints_are_hit_at_el0_and_under_any_top_byte)
{
	guest(0xd69f03e0u /* eret */);
	put_words(EL0_CODE, (const uint32_t[]){NOP, NOP, B_SELF}, 3);
	set_reg(ELR_EL1, EL0_CODE);
	set_reg(SPSR_EL1, 0);
	expect_eq(list_of(EL0_CODE + 4 + (0xabull << 56)), 0);
	debug(LISTED);
	expect_breakpoint(EL0_CODE + 4);
}

TEST(code_that_has_run_before_stops_at_what_is_listed_later)
{
	guest(ADD_X0_1, 0xf100141fu /* cmp x0, #5 */, 0x54ffffc1u /* b.ne to the first */, STR_X3_DEV,
	      0x17fffffcu /* b to the first */);
	debug(LISTED & ~PAWL_GUESTDBG_USE_LIST);
	expect_exit(KVM_EXIT_MMIO);
	set_reg(X(0), 0);
	expect_eq(list_of(ENTRY + 8), 0);
	debug(LISTED);
	expect_breakpoint(ENTRY + 8);
	expect_reg(X(0), 1);
}

TEST(there_may_be_thousands)
{
	static uint64_t va[20000];

	guest(NOP, NOP, NOP, NOP, STR_X3_DEV);
	for (unsigned i = 0; i < 20000; i++)
		va[i] = 0xffff800080000000ull + 4 * i; /* where a kernel will be */
	va[7777] = ENTRY + 8;
	expect_eq(list(va, 20000), 0);
	debug(LISTED);
	expect_breakpoint(ENTRY + 8);
}

TEST(a_list_alone_leaves_the_guests_own_comparators_to_the_guest)
{
	guest(NOP, NOP, STR_X3_DEV);
	set_reg(SYS(2, 0, 0, 0, 4), ENTRY + 4);	 /* DBGBVR0_EL1 */
	set_reg(SYS(2, 0, 0, 0, 5), 0x1e7);	 /* DBGBCR0_EL1 */
	set_reg(MDSCR_EL1, 1u << 15 | 1u << 13); /* MDE, KDE */
	expect_eq(list_of(ENTRY + 0x100), 0);
	debug(LISTED);
	expect_exit(KVM_EXIT_MMIO); /* as always while the host debugs */
}

TEST(comparators_and_steps_go_on_beside_a_list)
{
	struct kvm_guest_debug dbg = {.control = LISTED | KVM_GUESTDBG_USE_HW};

	guest(NOP, NOP, NOP, NOP, STR_X3_DEV);
	expect_eq(list_of(ENTRY + 12), 0);
	dbg.arch.dbg_bvr[0] = ENTRY + 4;
	dbg.arch.dbg_bcr[0] = 0x1e7;
	expect_eq(call(m.vcpu, KVM_SET_GUEST_DEBUG, &dbg), 0);
	expect_breakpoint(ENTRY + 4);
	debug(STEP | PAWL_GUESTDBG_USE_LIST);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_step(ENTRY + 12, HSR_EXECUTED);
	expect_breakpoint(ENTRY + 12); /* stepped to, and then met */
	debug(STEP);
	expect_step(ENTRY + 16, HSR_EXECUTED);
}

TEST(a_wrong_list_is_refused_and_the_old_one_stays)
{
	long most;

	guest(NOP, NOP, NOP, STR_X3_DEV);
	most = call(m.vm, KVM_CHECK_EXTENSION, value(PAWL_CAP_BREAKPOINTS));
	expect_eq(list_of(ENTRY + 8), 0);
	expect_eq(list_of(ENTRY + 4, ENTRY + 2), -EINVAL);
	expect_eq(list_of(ENTRY), 0);
	expect_eq(list_of(ENTRY + 8), 0);
	expect_eq(list(value(8), 1), -EFAULT);
	expect_eq(list(value(8), (uint64_t)most + 1), -EINVAL);
	expect_eq(list(value(8), ~0ull), -EINVAL);
	debug(LISTED);
	expect_breakpoint(ENTRY + 8);
}
