/* SPDX-License-Identifier: MIT */
/* Rows 33 to 35, 43 to 46, 50 and 51: exceptions that the guest takes, and the way back. */
#include <signal.h>
#include <sys/mman.h>

#include "step.h"

TEST(row_33_svc_is_reported_at_the_vector_with_no_instruction_of_it_executed)
{
	variant("from EL1h");
	stepping(0, 0xd40000a1 /* svc #5 */);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x56000005, "ESR_EL1");
	says(get_reg(ELR_EL1), ENTRY + 4, "ELR_EL1");
	says(get_reg(SPSR_EL1), PSTATE_EL1H, "SPSR_EL1, without SS,");
	step_executed(VECTORS + EL1H_VECTOR + 4);
	variant("from EL1t");
	stepping(0, 0xd40000a1 /* svc #5 */);
	set_reg(PSTATE, PSTATE_EL1H & ~1ull);
	step_vector(0);
	variant("from EL0");
	stepping(0, NOP);
	put_words(EL0_CODE, (const uint32_t[]){0xd40000e1 /* svc #7 */}, 1);
	enter_el0();
	step_vector(EL0H_VECTOR);
	says(get_reg(ESR_EL1), 0x56000007, "ESR_EL1");
	says(get_reg(SPSR_EL1), PSTATE_EL0, "SPSR_EL1, without SS,");
	says(get_reg(PSTATE) & 0x3cf, PSTATE_EL1H, "PSTATE");
}

TEST(row_34_a_synchronous_exception_is_reported_at_the_vector_with_elr_at_the_instruction)
{
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t esr;
	} rows[] = {
		{"udf", 0x00000000 /* udf #0 */, 0x02000000},
		{"hlt", 0xd4400020 /* hlt #1 */, 0x02000000},
		{"unallocated", 0xd4200001u, 0x02000000},
		{"FP trapped by CPACR_EL1", 0x1e6e1000 /* fmov d0, #1.0 */, 0x1fe00000},
		{"data abort", 0xf9400120 /* ldr x0, [x9] */, 0x96000005},
		{"data abort of a store", 0xf9000120 /* str x0, [x9] */, 0x96000045},
		{"unaligned exclusive", 0xc85f7d00 /* ldxr x0, [x8] */, 0x96000021},
		{"unaligned stack pointer", 0xf94003e0 /* ldr x0, [sp] */, 0x9a000000},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		stage1_on();
		set_reg(SYS(3, 0, 1, 0, 0), 0x30d00800 | 1 | 4 | 8 | 1 << 12); /* and SA */
		set_reg(X(8), DATA + 1);
		set_reg(X(9), 0x90000000);
		set_reg(CORE_ID(sp_el1), DATA + 8);
		step_vector(EL1H_VECTOR);
		says(get_reg(ESR_EL1), rows[i].esr, "ESR_EL1");
		says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
		says(get_reg(SPSR_EL1), PSTATE_EL1H | PSTATE_SS, "SPSR_EL1, with the host's SS,");
		step_executed(VECTORS + EL1H_VECTOR + 4);
	}
	variant("unaligned PC");
	stepping(0, 0xd61f0120 /* br x9 */);
	set_reg(X(9), ENTRY + 0x42);
	step_executed(ENTRY + 0x42);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x8a000000, "ESR_EL1");
	says(get_reg(ELR_EL1), ENTRY + 0x42, "ELR_EL1");
	variant("illegal exception return: to EL2");
	guest(ERET);
	set_reg(ELR_EL1, ENTRY + 0x40);
	set_reg(SPSR_EL1, 0x3c9);
	debug(STEP);
	step_executed(ENTRY + 0x40);
	says(get_reg(PSTATE) >> 20 & 1, 1, "PSTATE.IL");
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x3a000000, "ESR_EL1, illegal execution state,");
	says(get_reg(ELR_EL1), ENTRY + 0x40, "ELR_EL1");
	variant("an alignment fault at EL0");
	stepping(0, NOP);
	put_words(EL0_CODE, (const uint32_t[]){0xc85f7d00 /* ldxr x0, [x8] */}, 1);
	set_reg(X(8), DATA + 1);
	enter_el0();
	step_vector(EL0H_VECTOR);
	says(get_reg(ESR_EL1), 0x92000021, "ESR_EL1");
}

TEST(row_35_eret_is_reported_at_its_target_with_nothing_executed_there)
{
	for (unsigned ss = 0; ss < 2; ss++) {
		static const struct {
			const char *text;
			uint64_t pc, spsr;
		} rows[] = {
			{"to EL0", EL0_CODE, PSTATE_EL0},
			{"to EL1h", ENTRY + 0x40, PSTATE_EL1H},
			{"to EL1t", ENTRY + 0x40, PSTATE_EL1H & ~1ull},
		};

		for (unsigned i = 0; i < 3; i++) {
			variant(rows[i].text);
			guest(ERET);
			put_words(EL0_CODE, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, NOP}, 2);
			put_words(ENTRY + 0x40, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */, NOP}, 2);
			set_reg(ELR_EL1, rows[i].pc);
			set_reg(SPSR_EL1, rows[i].spsr | (ss ? PSTATE_SS : 0));
			debug(STEP);
			step_executed(rows[i].pc);
			says(get_reg(X(0)), 0, "x0");
			says(get_reg(PSTATE), rows[i].spsr, "PSTATE");
			step_executed(rows[i].pc + 4);
			says(get_reg(X(0)), 1, "x0");
		}
	}
}

static void irq_guest(uint64_t pstate)
{
	stepping(0, 0x91000400 /* add x0, x0, #1 */);
	enable_irq();
	set_reg(PSTATE, pstate);
}

static void inject_serror(void)
{
	struct kvm_vcpu_events e = {.exception.serror_pending = 1};

	says(call(m.vcpu, KVM_SET_VCPU_EVENTS, &e), 0, "KVM_SET_VCPU_EVENTS");
}

TEST(row_43_an_interrupt_that_is_pending_and_unmasked_is_the_step)
{
	variant("IRQ at EL1h");
	irq_guest(PSTATE_EL1H & ~0x80ull);
	irq_line(1);
	step_vector(EL1H_VECTOR + 0x80);
	says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
	says(get_reg(X(0)), 0, "x0");
	says(get_reg(SPSR_EL1) & ~PSTATE_SS, PSTATE_EL1H & ~0x80ull, "SPSR_EL1 but for SS");
	step_executed(VECTORS + EL1H_VECTOR + 0x84);
	variant("IRQ at EL1t");
	irq_guest(0x344);
	irq_line(1);
	step_vector(0x80);
	variant("IRQ at EL0");
	irq_guest(PSTATE_EL0 & ~0x80ull);
	set_reg(PC, EL0_CODE);
	irq_line(1);
	step_vector(EL0H_VECTOR + 0x80);
	says(get_reg(ELR_EL1), EL0_CODE, "ELR_EL1");
	variant("FIQ: group 0");
	irq_guest(PSTATE_EL1H & ~0x40ull);
	{
		static const uint64_t regs[][3] = {
			{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84, 0},
			{KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 0x13},
			{KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 3 << 14 | 12 << 7 | 12 << 3 | 6, 1},
		};

		for (unsigned i = 0; i < 3; i++) {
			struct kvm_device_attr a = {
				.group = (uint32_t)regs[i][0], .attr = regs[i][1], .addr = (uintptr_t)&regs[i][2]};

			says(call(m.gic, KVM_SET_DEVICE_ATTR, &a), 0, "setting a register of the GIC");
		}
	}
	irq_line(1);
	step_vector(EL1H_VECTOR + 0x100);
	variant("SError pending behind the mask, then unmasked");
	guest(0xd50344ff /* msr daifclr, #4 */, 0x91000400 /* add x0, x0, #1 */, NOP);
	debug(STEP);
	inject_serror();
	step_executed(ENTRY + 4);
	step_vector(EL1H_VECTOR + 0x180);
	says(get_reg(ELR_EL1), ENTRY + 4, "ELR_EL1");
	says(get_reg(ESR_EL1) >> 26, 0x2f, "the exception class in ESR_EL1");
	says(get_reg(X(0)), 0, "x0");
}

TEST(row_44_of_a_step_and_an_interrupt_both_pending_each_is_seen_once)
{
	variant("unmasked by the instruction itself");
	guest(0xd50342ff /* msr daifclr, #2 */, 0x91000400 /* add x0, x0, #1 */, NOP);
	enable_irq();
	irq_line(1);
	debug(STEP);
	expect_exit(KVM_EXIT_DEBUG);
	if (get_reg(PC) == ENTRY + 4) {
		says(m.run->debug.arch.hsr, HSR_EXECUTED, "ESR of the step report");
		step_vector(EL1H_VECTOR + 0x80);
	} else {
		says(get_reg(PC), VECTORS + EL1H_VECTOR + 0x80, "PC");
	}
	says(get_reg(ELR_EL1), ENTRY + 4, "ELR_EL1");
	says(get_reg(X(0)), 0, "x0");
	step_executed(VECTORS + EL1H_VECTOR + 0x84);

	variant("an interrupt to itself, skipped instruction");
	guest(0xd518cba3 /* msr icc_sgi1r_el1, x3 */, 0x91000400 /* add x0, x0, #1 */, NOP);
	enable_irq();
	set_reg(X(3), 1);
	set_reg(PSTATE, PSTATE_EL1H & ~0x80ull);
	debug(STEP);
	expect_exit(KVM_EXIT_DEBUG);
	says(m.run->debug.arch.hsr, HSR_PENDING, "ESR of the step report");
	if (get_reg(PC) == ENTRY + 4)
		step_vector(EL1H_VECTOR + 0x80);
	says(get_reg(PC), VECTORS + EL1H_VECTOR + 0x80, "PC");
	says(get_reg(ELR_EL1), ENTRY + 4, "ELR_EL1");
	says(get_reg(X(0)), 0, "x0");
	step_executed(VECTORS + EL1H_VECTOR + 0x84);

	variant("raised at the MMIO exit");
	guest(LDR_X0_DEV, NOP, NOP);
	enable_irq();
	set_reg(PSTATE, PSTATE_EL1H & ~0x80ull);
	debug(STEP);
	mmio_read(DEVICE, 8);
	answer(5);
	irq_line(1);
	expect_exit(KVM_EXIT_DEBUG);
	if (get_reg(PC) == ENTRY + 4)
		step_vector(EL1H_VECTOR + 0x80);
	says(get_reg(PC), VECTORS + EL1H_VECTOR + 0x80, "PC");
	says(get_reg(ELR_EL1), ENTRY + 4, "ELR_EL1");
	says(get_reg(X(0)), 5, "x0");
}

TEST(row_45_a_masked_interrupt_has_no_effect)
{
	variant("executed");
	irq_guest(PSTATE_EL1H);
	irq_line(1);
	step_executed(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("at an MMIO exit");
	guest(LDR_X0_DEV, NOP);
	enable_irq();
	debug(STEP);
	mmio_read(DEVICE, 8);
	irq_line(1);
	step_skipped(ENTRY + 4);
	step_executed(ENTRY + 8);
	variant("SError");
	stepping(0, NOP);
	inject_serror();
	step_executed(ENTRY + 4);
}

static volatile unsigned ticks;
static KICK_HANDLER void on_tick(int sig)
{
	ticks++;
	pawl_signal_ran();
}

TEST(row_46_signals_at_any_moment_neither_lose_nor_double_a_step)
{
	static const uint32_t words[] = {0x91000400 /* add x0, x0, #1 */, 0xb9400181 /* ldr w1, [x12] */,
					 0xd5381021 /* mrs x1, actlr_el1 */, 0x17fffffd /* b .-12 */};
	uint64_t pc = ENTRY;

	guest(words[0], words[1], words[2], words[3]);
	debug(STEP);
	kick_handle(SIG_KICK, on_tick, 0);
	kick_every(150);
	for (unsigned n = 0; n < 20000;) {
		long ret = run();
		uint64_t next = pc == ENTRY + 12 ? ENTRY : pc + 4;

		if (ret == -EINTR) {
			if (get_reg(PC) != pc && get_reg(PC) != next)
				break;
			continue;
		}
		if (ret != 0 || get_reg(PC) != next || m.run->exit_reason != KVM_EXIT_DEBUG)
			break;
		pc = next;
		n++;
		if (n % 4 == 1 && get_reg(X(0)) != n / 4 + 1)
			break;
		if (n == 20000) {
			kick_every(0);
			return;
		}
	}
	kick_every(0);
	fail("after PC %#llx comes PC %#llx with x0 = %llu: a step was lost or doubled", (unsigned long long)pc,
	     (unsigned long long)get_reg(PC), (unsigned long long)get_reg(X(0)));
}

TEST(row_50_an_instruction_abort_of_stage_1_is_reported_at_the_vector)
{
	stepping(0, 0xd61f0120 /* br x9 */);
	stage1_on();
	set_reg(X(9), 0x90000000);
	step_executed(0x90000000);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x86000005, "ESR_EL1");
	says(get_reg(ELR_EL1), 0x90000000, "ELR_EL1");
	says(get_reg(FAR_EL1), 0x90000000, "FAR_EL1");
	says(get_reg(SPSR_EL1) >> 21 & 1, 1, "SPSR_EL1.SS");
}

TEST(row_51_a_fetch_outside_memory_is_an_external_abort_after_the_step_to_it)
{
	variant("branch to a hole");
	stepping(0, 0xd61f01c0 /* br x14 */);
	step_executed(HOLE);
	step_vector(EL1H_VECTOR);
	says(get_reg(ESR_EL1), 0x86000010, "ESR_EL1");
	says(get_reg(ELR_EL1), HOLE, "ELR_EL1");
	variant("over the end of a slot");
	stepping(0, NOP);
	put_words(ENTRY + RAM_SIZE - 4, (const uint32_t[]){NOP}, 1);
	set_reg(PC, ENTRY + RAM_SIZE - 4);
	step_executed(ENTRY + RAM_SIZE);
	step_vector(EL1H_VECTOR);
	says(get_reg(ELR_EL1), ENTRY + RAM_SIZE, "ELR_EL1");
	variant("MMIO as the last instruction of a slot");
	stepping(0, NOP);
	put_words(ENTRY + RAM_SIZE - 4, (const uint32_t[]){LDR_X0_DEV}, 1);
	set_reg(PC, ENTRY + RAM_SIZE - 4);
	mmio_read(DEVICE, 8);
	expect_exit(KVM_EXIT_DEBUG);
	if (!kvm_path || get_reg(PC) == ENTRY + RAM_SIZE) {
		expect_pc(ENTRY + RAM_SIZE);
		step_vector(EL1H_VECTOR);
	}
	variant("a read-only slot executes");
	stepping(0, 0xd61f01a0 /* br x13 */);
	memcpy(m.rom, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */}, 4);
	__builtin___clear_cache((char *)m.rom, (char *)m.rom + 4);
	step_executed(READONLY);
	step_executed(READONLY + 4);
	says(get_reg(X(0)), 1, "x0");
}
