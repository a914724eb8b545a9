/* SPDX-License-Identifier: MIT */
/*
 * PAWL_DEBUG_EMULATE_MMIO: accesses without a syndrome as a sequence of KVM_EXIT_MMIO, and PAWL_DEBUG_LINT, which says where
 * a real KVM would fail (pawl.h).
 */
#include "harness.h"

#define STP_X3_X4_DEV 0xa9001163u
#define LDP_POST_DEV 0xa8c10560u    /* ldp x0, x1, [x11], #16 */
#define LDR_X0_PRE_DEV 0xf8408d60u  /* ldr x0, [x11, #8]! */
#define STR_W3_POST_DEV 0xb8004563u /* str w3, [x11], #4 */
#define LDR_Q0_DEV 0x3dc00160u
#define STR_Q0_DEV 0x3d800160u
#define LDP_W_DEV 0x29400560u
#define LDPSW_DEV 0x69400560u
#define ST4_8B_DEV 0x0c000160u /* st4 {v0.8b, v1.8b, v2.8b, v3.8b}, [x11] */
#define LDADD_X1_X0_DEV 0xf8210160u
#define LDADDB_DEV 0x38210160u
#define SWP_X0_X0_DEV 0xf8208160u
#define CAS_X0_X1_DEV 0xc8a07d61u /* cas x0, x1, [x11] */
#define LDXR_X0_DEV 0xc85f7d60u
#define STXR_W2_X1_DEV 0xc8027d61u
#define LDXP_W_DEV 0x887f0560u /* ldxp w0, w1, [x11] */
#define STXP_W_DEV 0x88221163u /* stxp w2, w3, w4, [x11] */
#define ZVA_DEV 0xd50b742bu
#define LDP_W_DIST 0x29400580u
#define STP_ROM 0xa90011a3u
#define LDADD_ROM 0xf82101a0u
#define LDP_X9 0xa9400520u /* ldp x0, x1, [x9] */
#define V(n) (KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.vregs[n]))

static void policy(uint64_t set)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_DEBUG, .args = {set}};

	expect_eq(call(m.vm, KVM_ENABLE_CAP, &cap), 0);
}

#define emulated(...) \
	do { \
		guest(__VA_ARGS__); \
		policy(PAWL_DEBUG_EMULATE_MMIO); \
		set_reg(SYS(3, 0, 1, 0, 2), 3 << 20); /* CPACR_EL1.FPEN */ \
		set_reg(X(3), 0x3333333333333333); \
		set_reg(X(4), 0x4444444444444444); \
	} while (0)

static void reads(uint64_t ipa, unsigned len, uint64_t data)
{
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, ipa);
	expect_eq(m.run->mmio.len, len);
	expect_eq(m.run->mmio.is_write, 0);
	expect_pc(ENTRY);
	answer(data);
}

static void writes(uint64_t ipa, unsigned len, uint64_t data)
{
	uint64_t val = 0;

	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, ipa);
	expect_eq(m.run->mmio.len, len);
	expect_eq(m.run->mmio.is_write, 1);
	memcpy(&val, m.run->mmio.data, len);
	expect_eq(val, data);
	expect_pc(ENTRY);
}

/* The instruction is complete: the next exit is that of the one behind it. */
static void done(void)
{
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	debug(0);
}

TEST(a_pair_is_two_reads_or_two_writes)
{
	emulated(LDP_DEV, NOP);
	reads(DEVICE, 8, 0x1111);
	expect_reg(X(0), 0);
	reads(DEVICE + 8, 8, 0x2222);
	expect_reg(X(0), 0);
	done();
	expect_reg(X(0), 0x1111);
	expect_reg(X(1), 0x2222);
	machine_free();

	emulated(STP_X3_X4_DEV, NOP);
	writes(DEVICE, 8, 0x3333333333333333);
	writes(DEVICE + 8, 8, 0x4444444444444444);
	done();
	machine_free();

	emulated(LDP_W_DEV, NOP);
	reads(DEVICE, 4, 0x80000001);
	reads(DEVICE + 4, 4, 2);
	done();
	expect_reg(X(0), 0x80000001);
	machine_free();

	emulated(LDPSW_DEV, NOP);
	reads(DEVICE, 4, 0x80000001);
	reads(DEVICE + 4, 4, 2);
	done();
	expect_reg(X(0), 0xffffffff80000001);
}

TEST(writeback_comes_with_the_last_access)
{
	emulated(LDP_POST_DEV, NOP);
	reads(DEVICE, 8, 1);
	expect_reg(X(11), DEVICE);
	reads(DEVICE + 8, 8, 2);
	expect_reg(X(11), DEVICE);
	done();
	expect_reg(X(11), DEVICE + 16);
	machine_free();

	emulated(LDR_X0_PRE_DEV, NOP);
	reads(DEVICE + 8, 8, 5);
	done();
	expect_reg(X(0), 5);
	expect_reg(X(11), DEVICE + 8);
	machine_free();

	emulated(STR_W3_POST_DEV, NOP);
	writes(DEVICE, 4, 0x33333333);
	done();
	expect_reg(X(11), DEVICE + 4);
}

TEST(a_vector_is_read_and_written_in_eights)
{
	uint64_t v[2] = {0x1122334455667788, 0x99aabbccddeeff00}, got[2];

	emulated(LDR_Q0_DEV, NOP);
	reads(DEVICE, 8, v[0]);
	reads(DEVICE + 8, 8, v[1]);
	done();
	expect_eq(try_get_reg(V(0), got), 0);
	expect_eq(got[0], v[0]);
	expect_eq(got[1], v[1]);
	machine_free();

	emulated(STR_Q0_DEV, NOP);
	expect_eq(try_set_reg(V(0), v), 0);
	writes(DEVICE, 8, v[0]);
	writes(DEVICE + 8, 8, v[1]);
	done();
}

TEST(a_structure_is_written_element_by_element)
{
	uint64_t v[2] = {0, 0};

	emulated(ST4_8B_DEV, NOP);
	for (unsigned n = 0; n < 4; n++) {
		v[0] = 0x0706050403020100 + 0x1010101010101010 * n;
		expect_eq(try_set_reg(V(n), v), 0);
	}
	for (unsigned i = 0; i < 32; i++)
		writes(DEVICE + i, 1, i / 4 + 0x10 * (i % 4));
	done();
}

TEST(an_atomic_is_a_read_and_then_a_write)
{
	emulated(LDADD_X1_X0_DEV, NOP);
	set_reg(X(1), 5);
	reads(DEVICE, 8, 100);
	writes(DEVICE, 8, 105);
	expect_reg(X(0), 0);
	done();
	expect_reg(X(0), 100);
	machine_free();

	emulated(LDADDB_DEV, NOP);
	set_reg(X(1), 1);
	reads(DEVICE, 1, 0xff);
	writes(DEVICE, 1, 0);
	done();
	expect_reg(X(0), 0xff);
	machine_free();

	emulated(SWP_X0_X0_DEV, NOP); /* the register that is stored is the one that is loaded */
	set_reg(X(0), 7);
	reads(DEVICE, 8, 8);
	writes(DEVICE, 8, 7);
	expect_reg(X(0), 7);
	done();
	expect_reg(X(0), 8);
}

TEST(a_compare_and_swap_writes_if_it_swaps)
{
	emulated(CAS_X0_X1_DEV, NOP);
	set_reg(X(0), 10);
	set_reg(X(1), 11);
	reads(DEVICE, 8, 10);
	writes(DEVICE, 8, 11);
	done();
	expect_reg(X(0), 10);
	machine_free();

	emulated(CAS_X0_X1_DEV, NOP);
	set_reg(X(0), 10);
	set_reg(X(1), 11);
	reads(DEVICE, 8, 12);
	done();
	expect_reg(X(0), 12);
}

TEST(an_exclusive_pair_of_instructions_reads_and_writes_once)
{
	emulated(LDXR_X0_DEV, STXR_W2_X1_DEV, STR_X3_ROM);
	set_reg(X(1), 21);
	set_reg(X(2), 9);
	reads(DEVICE, 8, 20);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.is_write, 1);
	expect_eq(m.run->mmio.data[0], 21);
	expect_pc(ENTRY + 4);
	expect_reg(X(0), 20);
	expect_reg(X(2), 9);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, READONLY);
	expect_reg(X(2), 0);
	machine_free();

	emulated(LDXP_W_DEV, STXP_W_DEV, STR_X3_ROM);
	reads(DEVICE, 4, 1);
	reads(DEVICE + 4, 4, 2);
	for (unsigned i = 0; i < 2; i++) {
		expect_exit(KVM_EXIT_MMIO);
		expect_eq(m.run->mmio.phys_addr, DEVICE + 4 * i);
		expect_eq(m.run->mmio.is_write, 1);
		expect_eq(m.run->mmio.len, 4);
	}
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(m.run->mmio.phys_addr, READONLY);
	expect_reg(X(2), 0);
}

TEST(zeroing_a_block_is_eight_writes)
{
	static const uint64_t block = 1 << 10 | 3 << 8 | 1;
	static const uint64_t table[2] = {block, 0x40000000 | block};

	emulated(ZVA_DEV, NOP);
	memcpy(m.ram + 0xe000, table, sizeof(table));
	set_reg(SYS(3, 0, 10, 2, 0), 0xff);
	set_reg(SYS(3, 0, 2, 0, 2), 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1ull << 32);
	set_reg(SYS(3, 0, 2, 0, 0), ENTRY + 0xe000);
	set_reg(SYS(3, 0, 1, 0, 0), 0x30d00800 | 1 | 4 | 1 << 12);
	set_reg(X(11), DEVICE + 0x48);
	for (unsigned i = 0; i < 8; i++)
		writes(DEVICE + 0x40 + 8 * i, 8, 0);
	done();
}

TEST(what_is_in_memory_of_an_access_is_not_asked_for)
{
	uint64_t last = 0x77;

	emulated(LDP_X9, NOP);
	memcpy(m.ram + RAM_SIZE - 8, &last, 8);
	set_reg(X(9), ENTRY + RAM_SIZE - 8); /* the second half is behind the slot */
	reads(ENTRY + RAM_SIZE, 8, 0x88);
	done();
	expect_reg(X(0), 0x77);
	expect_reg(X(1), 0x88);
	machine_free();

	emulated(STP_ROM, NOP);
	writes(READONLY, 8, 0x3333333333333333);
	writes(READONLY + 8, 8, 0x4444444444444444);
	done();
	machine_free();

	emulated(LDADD_ROM, NOP);
	m.rom[0] = 30;
	set_reg(X(1), 3);
	writes(READONLY, 8, 33);
	done();
	expect_reg(X(0), 30);
	expect_eq(m.rom[0], 30);
}

TEST(an_in_kernel_device_answers_without_an_exit)
{
	emulated(LDP_W_DIST, NOP);
	done();
	expect_eq(get_reg(X(1)) & 0x1f, 1); /* GICD_TYPER: 64 interrupts */
}

TEST(it_is_one_step_reported_when_all_of_it_is_done)
{
	emulated(LDP_DEV, STP_X3_X4_DEV, NOP);
	debug(STEP);
	reads(DEVICE, 8, 1);
	reads(DEVICE + 8, 8, 2);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_exit(KVM_EXIT_MMIO);
	expect_exit(KVM_EXIT_MMIO);
	expect_step(ENTRY + 8, HSR_EXECUTED);
	expect_step(ENTRY + 12, HSR_EXECUTED);
}

TEST(the_same_instruction_again_asks_again)
{
	emulated(LDP_DEV, 0x17ffffff /* b .-4 */);
	for (unsigned i = 0; i < 3; i++) {
		reads(DEVICE, 8, i);
		reads(DEVICE + 8, 8, i + 1);
	}
	expect_exit(KVM_EXIT_MMIO);
	expect_reg(X(0), 2);
}

TEST(an_immediate_exit_between_two_accesses_loses_none)
{
	emulated(LDP_DEV, NOP);
	reads(DEVICE, 8, 1);
	m.run->immediate_exit = 1;
	expect_error(EINTR);
	expect_pc(ENTRY);
	m.run->immediate_exit = 0;
	m.run->exit_reason = KVM_EXIT_UNKNOWN; /* nothing is owed any more */
	reads(DEVICE + 8, 8, 2);
	done();
	expect_reg(X(0), 1);
	expect_reg(X(1), 2);
}

TEST(no_interrupt_is_taken_between_two_accesses)
{
	struct kvm_vcpu_events ev = {.exception = {.serror_pending = 1}};

	emulated(LDP_DEV, NOP, NOP);
	set_reg(PSTATE, 0x3c5);
	reads(DEVICE, 8, 1);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0); /* masked: stays pending */
	set_reg(PSTATE, 0x3c5 & ~0x100u);
	reads(DEVICE + 8, 8, 2);
	debug(STEP);
	expect_step(ENTRY + 4, HSR_EXECUTED);
	expect_step(VECTORS + 0x380, HSR_PENDING);
	expect_reg(ELR_EL1, ENTRY + 4);
	expect_reg(X(1), 2);
}

TEST(an_abort_of_the_clients_takes_the_place_of_the_rest)
{
	struct kvm_vcpu_events ev = {.exception = {.ext_dabt_pending = 1}};

	emulated(LDP_DEV, NOP);
	reads(DEVICE, 8, 1);
	reads(DEVICE + 8, 8, 2);
	expect_eq(call(m.vcpu, KVM_SET_VCPU_EVENTS, &ev), 0);
	expect_pc(VECTORS + 0x200);
	expect_reg(ELR_EL1, ENTRY);
	debug(STEP);
	expect_step(VECTORS + 0x204, HSR_EXECUTED);
	expect_reg(X(0), 0);
	expect_reg(X(1), 0);
}

TEST(another_pc_gives_the_rest_up)
{
	emulated(LDP_DEV, NOP, LDP_DEV);
	reads(DEVICE, 8, 1);
	set_reg(PC, ENTRY + 8);
	expect_exit(KVM_EXIT_MMIO);
	expect_pc(ENTRY + 8);
	expect_eq(m.run->mmio.phys_addr, DEVICE); /* from its beginning */
}

TEST(without_the_policy_it_is_the_kernels_error)
{
	emulated(LDP_DEV, NOP);
	policy(0);
	expect_error(ENOSYS);
	expect_pc(ENTRY);
}

/* ---- lint */

static unsigned n_findings;
static struct pawl_finding last;

static void found(void *arg, const struct pawl_finding *f)
{
	expect_eq((uintptr_t)arg, 42);
	n_findings++;
	last = *f;
}

static void lint(uint64_t more)
{
	policy(PAWL_DEBUG_LINT | more);
	n_findings = 0;
	expect_eq(pawl_set_lint(m.vm, found, value(42)), 0);
}

TEST(lint_names_an_access_that_a_kernel_cannot_emulate_once)
{
	guest(NOP, LDP_DEV, 0x17fffffe /* b .-8 */);
	lint(PAWL_DEBUG_EMULATE_MMIO);
	for (unsigned i = 0; i < 4; i++)
		expect_exit(KVM_EXIT_MMIO);
	expect_eq(n_findings, 1);
	expect_eq(last.kind, PAWL_LINT_NO_SYNDROME);
	expect_eq(last.pc, ENTRY + 4);
	expect_eq(last.ipa, DEVICE);
	expect_eq(last.insn, LDP_DEV);
	expect_eq(strncmp(last.insn_name, "LDP", 3), 0);
	expect_eq(last.vcpu, 0);
	machine_free();

	guest(LDP_DEV);
	lint(0);
	expect_error(ENOSYS);
	expect_eq(n_findings, 1);
}

TEST(lint_names_a_store_exclusive_that_a_kernel_lets_fail)
{
	guest(0x885f7d40 /* ldxr w0, [x10] */, NOP, 0x88027d41 /* stxr w2, w1, [x10] */, NOP);
	lint(PAWL_DEBUG_KEEP_MONITOR);
	debug(STEP);
	for (unsigned i = 1; i <= 4; i++)
		expect_exit(KVM_EXIT_DEBUG);
	expect_eq(n_findings, 1);
	expect_eq(last.kind, PAWL_LINT_STEPPED_EXCLUSIVE);
	expect_eq(last.pc, ENTRY + 8);
	machine_free();

	guest(0x885f7d40, 0x88027d41, STR_X3_DEV); /* not stepped: a kernel does it, too */
	lint(PAWL_DEBUG_KEEP_MONITOR);
	expect_exit(KVM_EXIT_MMIO);
	expect_eq(n_findings, 0);
}

TEST(lint_says_nothing_of_what_a_kernel_does)
{
	guest(LDR_X0_DEV, STR_W3_DEV, LDR_W0_DIST, HVC, STR_X1_RAM, STR_X3_DEV);
	lint(PAWL_DEBUG_EMULATE_MMIO);
	for (unsigned i = 0; i < 3; i++)
		expect_exit(KVM_EXIT_MMIO);
	expect_eq(n_findings, 0);
}

TEST(lint_is_told_to_a_vm)
{
	machine_new(0);
	expect_eq(pawl_set_lint(m.vcpu, found, NULL), -1);
	expect_eq(errno, EINVAL);
	expect_eq(pawl_set_lint(-1, found, NULL), -1);
	expect_eq(errno, EBADF);
	expect_eq(pawl_set_lint(m.vm, NULL, NULL), 0);
}
