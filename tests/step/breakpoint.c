/* SPDX-License-Identifier: MIT */
/* Rows 36 to 42: breakpoints and watchpoints of the host. */
#include "step.h"

TEST(row_36_a_guests_brk_exits_at_itself_and_again_until_the_client_moves_on)
{
	static const struct {
		const char *text;
		uint32_t control;
	} rows[] = {
		{"ENABLE", KVM_GUESTDBG_ENABLE},
		{"ENABLE, SINGLESTEP", STEP},
		{"ENABLE, USE_SW_BP", KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP},
		{"all of them", STEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW},
	};

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned el0 = 0; el0 < 2; el0++) {
			static const uint32_t words[] = {0xd43fffe0 /* brk #0xffff */, 0xd4200000 /* brk #0 */, NOP};
			uint64_t pc = el0 ? EL0_CODE : ENTRY;

			variant(rows[i].text);
			guest(words[0], words[1], words[2]);
			put_words(EL0_CODE, words, 3);
			if (el0)
				enter_el0();
			set_reg(ESR_EL1, 0);
			debug(rows[i].control);
			for (int again = 0; again < 3; again++)
				debug_exit(HSR_BRK(0xffff), pc);
			says(get_reg(ESR_EL1), 0, "ESR_EL1, of which the guest sees nothing,");
			set_reg(PC, pc + 4);
			debug_exit(HSR_BRK(0), pc + 4);
			set_reg(PC, pc + 8);
			if (rows[i].control & KVM_GUESTDBG_SINGLESTEP)
				step_executed(pc + 12);
		}
	}
	variant("not debugging: the guest's own");
	guest(BRK);
	put_words(VECTORS + EL1H_VECTOR, (const uint32_t[]){MRS_X2_ESR, STR_X3_DEV}, 2);
	expect_exit(KVM_EXIT_MMIO);
	says(get_reg(X(2)), 0xf2000123, "the guest's ESR_EL1");
	says(get_reg(ELR_EL1), ENTRY, "ELR_EL1");
}

TEST(row_37_a_software_breakpoint_of_the_host_is_replaced_and_stepped_over)
{
	guest(NOP, 0x91000400 /* add x0, x0, #1 */, NOP);
	put_words(ENTRY + 4, (const uint32_t[]){BRK}, 1);
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	for (uint64_t i = 0; i < 3; i++) {
		set_reg(PC, ENTRY);
		debug_exit(HSR_BRK(0x123), ENTRY + 4);
		put_words(ENTRY + 4, (const uint32_t[]){0x91000400 /* add x0, x0, #1 */}, 1);
		debug(STEP | KVM_GUESTDBG_USE_SW_BP);
		step_executed(ENTRY + 8);
		says(get_reg(X(0)), i + 1, "x0 after the instruction that was there");
		put_words(ENTRY + 4, (const uint32_t[]){BRK}, 1);
		debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	}
}

TEST(row_38_a_brk_that_the_client_hands_to_the_guest_is_not_counted)
{
	guest(BRK);
	debug(STEP);
	debug_exit(HSR_BRK(0x123), ENTRY);
	set_reg(ESR_EL1, m.run->debug.arch.hsr);
	set_reg(ELR_EL1, ENTRY);
	set_reg(SPSR_EL1, get_reg(PSTATE));
	set_reg(PSTATE, PSTATE_EL1H);
	set_reg(PC, VECTORS + EL1H_VECTOR);
	step_executed(VECTORS + EL1H_VECTOR + 4);
}

TEST(row_39_a_hardware_breakpoint_exits_before_its_instruction_until_it_is_disabled)
{
	variant("repeats");
	guest(0x91000400 /* add x0, x0, #1 */, 0x91000400 /* add x0, x0, #1 */, NOP);
	breakpoint(0, BCR_ANY_EL, ENTRY + 4);
	for (int again = 0; again < 3; again++) {
		debug_exit(HSR_BREAKPOINT, ENTRY + 4);
		says(get_reg(X(0)), 1, "x0");
	}
	debug(STEP);
	step_executed(ENTRY + 8);
	says(get_reg(X(0)), 2, "x0");

	variant("on the first instruction, while stepping");
	guest(NOP, NOP);
	breakpoint(STEP, BCR_ANY_EL, ENTRY);
	debug_exit(HSR_BREAKPOINT, ENTRY);
	debug(STEP);
	step_executed(ENTRY + 4);

	variant("on a trapped instruction");
	guest(0xd5381020 /* mrs x0, actlr_el1 */, NOP);
	breakpoint(STEP, BCR_ANY_EL, ENTRY);
	debug_exit(HSR_BREAKPOINT, ENTRY);

	variant("on an MMIO instruction");
	guest(LDR_X0_DEV, NOP);
	breakpoint(STEP, BCR_ANY_EL, ENTRY);
	debug_exit(HSR_BREAKPOINT, ENTRY);
	debug(STEP);
	mmio_read(DEVICE, 8);
	step_skipped(ENTRY + 4);

	variant("breakpoint before BRK");
	guest(BRK);
	breakpoint(0, BCR_ANY_EL, ENTRY);
	debug_exit(HSR_BREAKPOINT, ENTRY);

	variant("undefined instruction");
	guest(0x00000000 /* udf #0 */);
	breakpoint(0, BCR_ANY_EL, ENTRY);
	debug_exit(HSR_BREAKPOINT, ENTRY);

	for (unsigned pmc = 0; pmc < 4; pmc++) {
		variant("EL filter at EL1");
		guest(NOP, NOP);
		breakpoint(STEP, BCR(pmc), ENTRY);
		if (pmc & 1)
			debug_exit(HSR_BREAKPOINT, ENTRY);
		else
			step_executed(ENTRY + 4);
		variant("EL filter at EL0");
		guest(NOP);
		put_words(EL0_CODE, (const uint32_t[]){NOP, NOP}, 2);
		enter_el0();
		breakpoint(STEP, BCR(pmc), EL0_CODE);
		if (pmc & 2)
			debug_exit(HSR_BREAKPOINT, EL0_CODE);
		else
			step_executed(EL0_CODE + 4);
	}

	variant("disabled: E is 0");
	guest(NOP, NOP);
	breakpoint(STEP, BCR_ANY_EL & ~1ull, ENTRY);
	step_executed(ENTRY + 4);
}

/* The highest breakpoint compares context ids. */
static unsigned last_breakpoint(void)
{
	return (unsigned)(get_reg(SYS(3, 0, 0, 5, 0)) >> 12 & 15);
}

TEST(row_39_a_breakpoint_linked_to_a_context_id_matches_in_that_context_only)
{
	for (unsigned same = 0; same < 2; same++) {
		struct kvm_guest_debug d = {.control = STEP | KVM_GUESTDBG_USE_HW};
		unsigned last;

		variant(same ? "same context, linked" : "another context, linked");
		guest(NOP, NOP);
		last = last_breakpoint();
		set_reg(CONTEXTIDR_EL1, same ? 0x1234 : 0x4321);
		d.arch.dbg_bcr[0] = BCR_ANY_EL | 1ull << 20 | (uint64_t)last << 16;
		d.arch.dbg_bvr[0] = ENTRY;
		d.arch.dbg_bcr[last] = BCR_ANY_EL | 3ull << 20;
		d.arch.dbg_bvr[last] = 0x1234;
		says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0, "KVM_SET_GUEST_DEBUG");
		if (same)
			debug_exit(HSR_BREAKPOINT, ENTRY);
		else
			step_executed(ENTRY + 4);

		variant(same ? "same context, unlinked" : "another context, unlinked");
		guest(NOP, NOP);
		set_reg(CONTEXTIDR_EL1, same ? 0x1234 : 0x4321);
		memset(&d.arch, 0, sizeof(d.arch));
		d.arch.dbg_bcr[last] = BCR_ANY_EL | 2ull << 20;
		d.arch.dbg_bvr[last] = 0x1234;
		says(call(m.vcpu, KVM_SET_GUEST_DEBUG, &d), 0, "KVM_SET_GUEST_DEBUG");
		if (same)
			debug_exit(HSR_BREAKPOINT, ENTRY);
		else
			step_executed(ENTRY + 4);
	}
}

TEST(row_40_a_step_onto_a_hardware_breakpoint_is_two_reports)
{
	variant("after an executed instruction");
	guest(NOP, NOP, NOP);
	breakpoint(STEP, BCR_ANY_EL, ENTRY + 4);
	step_executed(ENTRY + 4);
	debug_exit(HSR_BREAKPOINT, ENTRY + 4);
	debug_exit(HSR_BREAKPOINT, ENTRY + 4);
	variant("after MMIO");
	guest(LDR_X0_DEV, NOP, NOP);
	breakpoint(STEP, BCR_ANY_EL, ENTRY + 4);
	mmio_read(DEVICE, 8);
	step_skipped(ENTRY + 4);
	debug_exit(HSR_BREAKPOINT, ENTRY + 4);
	variant("at a vector");
	guest(SVC);
	breakpoint(STEP, BCR_ANY_EL, VECTORS + EL1H_VECTOR);
	step_vector(EL1H_VECTOR);
	debug_exit(HSR_BREAKPOINT, VECTORS + EL1H_VECTOR);
	variant("at the target of an ERET");
	guest(ERET);
	set_reg(ELR_EL1, EL0_CODE);
	set_reg(SPSR_EL1, PSTATE_EL0);
	breakpoint(STEP, BCR_ANY_EL, EL0_CODE);
	step_executed(EL0_CODE);
	debug_exit(HSR_BREAKPOINT, EL0_CODE);
}

TEST(row_41_a_step_onto_a_software_breakpoint_is_two_reports)
{
	variant("after an executed instruction");
	guest(NOP, BRK);
	debug(STEP | KVM_GUESTDBG_USE_SW_BP);
	step_executed(ENTRY + 4);
	debug_exit(HSR_BRK(0x123), ENTRY + 4);
	debug_exit(HSR_BRK(0x123), ENTRY + 4);
	variant("after an emulated instruction");
	guest(0xd5381020 /* mrs x0, actlr_el1 */, BRK);
	debug(STEP | KVM_GUESTDBG_USE_SW_BP);
	step_skipped(ENTRY + 4);
	debug_exit(HSR_BRK(0x123), ENTRY + 4);
}

static void watching(uint32_t insn, uint64_t wcr, uint64_t wvr)
{
	guest(insn, NOP, NOP);
	set_reg(X(9), DATA + 0x100);
	set_reg(X(14), HOLE);
	watchpoint(STEP, wcr, wvr);
}

TEST(row_42_a_watchpoint_exits_before_the_access_and_is_no_step)
{
	enum { LOAD = 1, STORE, BOTH };
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t wcr, wvr;
		uint32_t hsr; /* 0: not hit */
		uint64_t far;
	} rows[] = {
		{"store", 0xf9000141 /* str x1, [x10] */, WCR(STORE, 0xff), DATA, HSR_WATCH_WRITE, DATA},
		{"store, loads watched", 0xf9000141 /* str x1, [x10] */, WCR(LOAD, 0xff), DATA, 0, 0},
		{"load", 0xf9400141 /* ldr x1, [x10] */, WCR(LOAD, 0xff), DATA, HSR_WATCH_READ, DATA},
		{"load, stores watched", 0xf9400141 /* ldr x1, [x10] */, WCR(STORE, 0xff), DATA, 0, 0},
		{"load, both", 0xf9400141 /* ldr x1, [x10] */, WCR(BOTH, 0xff), DATA, HSR_WATCH_READ, DATA},
		{"store, both", 0xf9000141 /* str x1, [x10] */, WCR(BOTH, 0xff), DATA, HSR_WATCH_WRITE, DATA},
		{"BAS, byte beside it", 0x39000141 /* strb w1, [x10] */, WCR(BOTH, 0x02), DATA, 0, 0},
		{"BAS, the byte", 0x39000541 /* strb w1, [x10, #1] */, WCR(BOTH, 0x02), DATA, HSR_WATCH_WRITE,
		 DATA + 1},
		{"BAS, upper word", 0xb9000141 /* str w1, [x10] */, WCR(BOTH, 0xf0), DATA, 0, 0},
		{"BAS, upper word hit", 0xb9000541 /* str w1, [x10, #4] */, WCR(BOTH, 0xf0), DATA, HSR_WATCH_WRITE,
		 DATA + 4},
		{"WVR with bit 2", 0xb9000541 /* str w1, [x10, #4] */, WCR(BOTH, 0x0f), DATA + 4, HSR_WATCH_WRITE,
		 DATA + 4},
		{"MASK, in the range", 0xb900fd41 /* str w1, [x10, #0xfc] */, WCR(BOTH, 0xff) | 8ull << 24, DATA,
		 HSR_WATCH_WRITE, DATA + 0xfc},
		{"MASK, behind the range", 0xb9000121 /* str w1, [x9] */, WCR(BOTH, 0xff) | 8ull << 24, DATA, 0, 0},
		{"STP, the first", 0xa9000941 /* stp x1, x2, [x10] */, WCR(BOTH, 0xff), DATA, HSR_WATCH_WRITE, DATA},
		{"LDP, the second", 0xa9400941 /* ldp x1, x2, [x10] */, WCR(BOTH, 0xff), DATA + 8, HSR_WATCH_READ,
		 DATA + 8},
		{"atomic", 0xf8210140 /* ldadd x1, x0, [x10] */, WCR(STORE, 0xff), DATA, HSR_WATCH_WRITE, DATA},
		{"load-exclusive", 0xc85f7d40 /* ldxr x0, [x10] */, WCR(LOAD, 0xff), DATA, HSR_WATCH_READ, DATA},
		{"unprivileged load, EL0 watched", 0xf8400940 /* ldtr x0, [x10] */, (WCR(BOTH, 0xff) & ~6ull) | 4, DATA,
		 HSR_WATCH_READ, DATA},
		{"unprivileged load, EL1 watched", 0xf8400940 /* ldtr x0, [x10] */, (WCR(BOTH, 0xff) & ~6ull) | 2, DATA,
		 0, 0},
		{"load, EL0 watched", 0xf9400140 /* ldr x0, [x10] */, (WCR(BOTH, 0xff) & ~6ull) | 4, DATA, 0, 0},
		{"load, EL1 watched", 0xf9400140 /* ldr x0, [x10] */, (WCR(BOTH, 0xff) & ~6ull) | 2, DATA,
		 HSR_WATCH_READ, DATA},
		{"prefetch", 0xf9800140 /* prfm pldl1keep, [x10] */, WCR(BOTH, 0xff), DATA, 0, 0},
		{"disabled: E is 0", 0xf9000141 /* str x1, [x10] */, WCR(BOTH, 0xff) & ~1ull, DATA, 0, 0},
		{"clean by address", 0xd50b7a2a /* dc cvac, x10 */, WCR(BOTH, 0xff), DATA, 0, 0},
		{"load of a read-only slot", 0xf94001a0 /* ldr x0, [x13] */, WCR(LOAD, 0xff), READONLY, HSR_WATCH_READ,
		 READONLY},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		watching(rows[i].insn, rows[i].wcr, rows[i].wvr);
		set_reg(X(1), 0x77);
		if (!rows[i].hsr) {
			expect_exit(KVM_EXIT_DEBUG);
			says(m.run->debug.arch.hsr & ~0x40u, HSR_EXECUTED, "ESR of the report");
			expect_pc(ENTRY + 4);
			continue;
		}
		for (int again = 0; again < 2; again++) {
			debug_exit(rows[i].hsr, ENTRY);
			says(m.run->debug.arch.far, rows[i].far, "far");
			says(get_reg(X(1)), 0x77, "x1, which the access must not have changed,");
			says(ram_word(DATA) | ram_word(DATA + 8), 0, "the memory");
		}
		debug(STEP);
		expect_exit(KVM_EXIT_DEBUG);
		says(m.run->debug.arch.hsr & ~0x40u, HSR_EXECUTED, "ESR of the report without the watchpoint");
		expect_pc(ENTRY + 4);
	}

	variant("dc zva");
	watching(0xd50b742a /* dc zva, x10 */, WCR(STORE, 0xff), DATA + 0x20);
	stage1_on();
	expect_exit(KVM_EXIT_DEBUG);
	says(m.run->debug.arch.hsr >> 26, 0x34, "the exception class");
	says(m.run->debug.arch.hsr & 0x40, 0x40, "WnR");
	expect_pc(ENTRY);
	debug(STEP);
	step_executed(ENTRY + 4);

	variant("after the stage 1 fault");
	watching(0xf9000121 /* str x1, [x9] */, WCR(BOTH, 0xff), 0x90000000);
	stage1_on();
	set_reg(X(9), 0x90000000);
	step_vector(EL1H_VECTOR);
}

TEST(row_42_the_cpu_interface_of_a_gicv2_is_mapped_and_watched)
{
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t wvr; /* of GICC_PMR */
		uint32_t hsr; /* 0: not hit */
	} rows[] = {
		{"load", 0xb9400520 /* ldr w0, [x9, #4] */, GICC, HSR_WATCH_READ},
		{"store", 0xb9000523 /* str w3, [x9, #4] */, GICC, HSR_WATCH_WRITE},
		{"pair, the first", 0x29408520 /* ldp w0, w1, [x9, #4] */, GICC, HSR_WATCH_READ},
		{"pair, the second", 0x29000d22 /* stp w2, w3, [x9] */, GICC, HSR_WATCH_WRITE},
		{"vector", 0x4c407920 /* ld1 {v0.4s}, [x9] */, GICC, HSR_WATCH_READ},
		{"another register", 0xb9400920 /* ldr w0, [x9, #8] */, GICC, 0},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		guest_gicv2(rows[i].insn, NOP);
		set_reg(X(0), 0x77);
		watchpoint(STEP, WCR(3, 0xf0), rows[i].wvr);
		if (!rows[i].hsr) {
			step_executed(ENTRY + 4);
			continue;
		}
		debug_exit(rows[i].hsr, ENTRY);
		says(m.run->debug.arch.far, GICC + 4, "far");
		says(get_reg(X(0)), 0x77, "x0, which the access must not have changed,");
		debug(STEP);
		step_executed(ENTRY + 4);
	}
}

TEST(row_42_an_emulated_access_never_hits_a_watchpoint)
{
	enum { BOTH = 3 };

	variant("MMIO read");
	watching(LDR_X0_DEV, WCR(BOTH, 0xff), DEVICE);
	mmio_read(DEVICE, 8);
	step_skipped(ENTRY + 4);
	variant("MMIO write");
	watching(STR_X3_DEV, WCR(BOTH, 0xff), DEVICE);
	mmio_write(DEVICE, 8);
	step_skipped(ENTRY + 4);
	variant("vGIC");
	watching(LDR_W0_DIST, WCR(BOTH, 0xff), DIST);
	step_skipped(ENTRY + 4);
	variant("write to a read-only slot");
	watching(STR_X3_ROM, WCR(BOTH, 0xff), READONLY);
	mmio_write(READONLY, 8);
	step_skipped(ENTRY + 4);
	variant("no syndrome");
	watching(LDP_DEV, WCR(BOTH, 0xff), DEVICE);
	says(run(), -ENOSYS, "the result of KVM_RUN");
}
