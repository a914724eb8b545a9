/* SPDX-License-Identifier: MIT */
/* Rows 1 to 5 and 47 to 49: instructions that the PE executes by itself, and memory. */
#include <sys/mman.h>

#include "step.h"

TEST(row_01_an_alu_instruction_nop_barrier_or_untrapped_register_access_is_one_executed_step)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"nop", NOP},
		{"add", 0x91000400 /* add x0, x0, #1 */},
		{"madd", 0x9b020c20 /* madd x0, x1, x2, x3 */},
		{"udiv by zero", 0x9adf0820 /* udiv x0, x1, xzr */},
		{"adr", 0x10000000 /* adr x0, . */},
		{"dmb", 0xd5033bbf /* dmb ish */},
		{"dsb", 0xd5033f9f /* dsb sy */},
		{"isb", 0xd5033fdf /* isb */},
		{"msr tpidr_el1", 0xd518d080 /* msr tpidr_el1, x0 */},
		{"mrs tpidr_el0", 0xd53bd040 /* mrs x0, tpidr_el0 */},
		{"msr spsel", 0xd50040bf /* msr spsel, #0 */},
		{"mrs currentel", 0xd5384240 /* mrs x0, currentel */},
		{"msr vbar_el1", 0xd518c000 /* msr vbar_el1, x0 */},
		{"msr ttbr0_el1", 0xd5182000 /* msr ttbr0_el1, x0 */},
		{"tlbi", 0xd508871f /* tlbi vmalle1 */},
		{"ic iallu", 0xd508751f /* ic iallu */},
		{"at s1e1r", 0xd508780a /* at s1e1r, x10 */},
		{"hint #20", 0xd503229f /* hint #20 */},
		{"sev", 0xd503209f /* sev */},
		{"sevl", 0xd50320bf /* sevl */},
		{"clrex", 0xd5033f5f /* clrex */},
		{"crc32x", 0x9ac24c20 /* crc32x w0, w1, x2 */},
		{"cntvct", 0xd53be040 /* mrs x0, cntvct_el0 */},
		{"cntv_ctl", 0xd53be320 /* mrs x0, cntv_ctl_el0 */},
		{"prfm", 0xf9800160 /* prfm pldl1keep, [x11] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		steps_over(rows[i].insn);
	}
	variant("the effect is there at the report");
	stepping(0, 0xd2824680 /* movz x0, #0x1234 */);
	step_executed(ENTRY + 4);
	says(get_reg(X(0)), 0x1234, "x0 after MOVZ");
}

TEST(row_02_a_branch_is_one_step_to_where_it_goes)
{
	static const struct {
		const char *text;
		uint32_t insn;
		int64_t offset; /* of the next PC */
		bool link;
	} rows[] = {
		{"b", 0x14000004 /* b .+16 */, 16, false},
		{"b backwards", 0x17fffffc /* b .-16 */, -16, false},
		{"b to itself", 0x14000000 /* b . */, 0, false},
		{"bl", 0x94000004 /* bl .+16 */, 16, true},
		{"br", 0xd61f0120 /* br x9 */, 0x40, false},
		{"blr", 0xd63f0120 /* blr x9 */, 0x40, true},
		{"blr x30", 0xd63f03c0 /* blr x30 */, 0x80, true},
		{"ret", 0xd65f03c0 /* ret */, 0x80, false},
		{"ret x9", 0xd65f0120 /* ret x9 */, 0x40, false},
		{"cbz taken", 0xb4000080 /* cbz x0, .+16 */, 16, false},
		{"cbz untaken", 0xb4000081 /* cbz x1, .+16 */, 4, false},
		{"cbnz taken", 0x35000081 /* cbnz w1, .+16 */, 16, false},
		{"cbnz untaken", 0x35000080 /* cbnz w0, .+16 */, 4, false},
		{"tbz taken", 0xb6f80081 /* tbz x1, #63, .+16 */, 16, false},
		{"tbz untaken", 0x36000081 /* tbz x1, #0, .+16 */, 4, false},
		{"tbnz taken", 0x37000081 /* tbnz w1, #0, .+16 */, 16, false},
		{"tbnz untaken", 0x37080081 /* tbnz w1, #1, .+16 */, 4, false},
		{"b.eq taken (Z set)", 0x54000080 /* b.eq .+16 */, 16, false},
		{"b.ne untaken (Z set)", 0x54000081 /* b.ne .+16 */, 4, false},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t to = ENTRY + 0x100 + (uint64_t)rows[i].offset;

		variant(rows[i].text);
		guest(NOP);
		put_words(ENTRY + 0x100, &rows[i].insn, 1);
		set_reg(PC, ENTRY + 0x100);
		set_reg(PSTATE, PSTATE_EL1H | 1ull << 30);
		set_reg(X(1), 1);
		set_reg(X(9), ENTRY + 0x140);
		set_reg(X(30), ENTRY + 0x180);
		debug(STEP);
		step_executed(to);
		says(get_reg(X(30)), rows[i].link ? ENTRY + 0x104 : ENTRY + 0x180, "LR at the report");
	}
}

TEST(row_03_a_load_or_store_to_memory_is_one_executed_step_with_the_data_moved)
{
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t x0;
	} loads[] = {
		{"ldrb", 0x39400140 /* ldrb w0, [x10] */, 0x88},
		{"ldrsb x", 0x39800140 /* ldrsb x0, [x10] */, 0xffffffffffffff88},
		{"ldrsb w", 0x39c00140 /* ldrsb w0, [x10] */, 0xffffff88},
		{"ldrh", 0x79400140 /* ldrh w0, [x10] */, 0x9788},
		{"ldrsh x", 0x79800140 /* ldrsh x0, [x10] */, 0xffffffffffff9788},
		{"ldr w", 0xb9400140 /* ldr w0, [x10] */, 0xb5a69788},
		{"ldrsw", 0xb9800140 /* ldrsw x0, [x10] */, 0xffffffffb5a69788},
		{"ldr x", 0xf9400140 /* ldr x0, [x10] */, 0xf1e2d3c4b5a69788},
		{"ldur", 0xf8400140 /* ldur x0, [x10, #0] */, 0xf1e2d3c4b5a69788},
		{"ldr post-index", 0xf8408540 /* ldr x0, [x10], #8 */, 0xf1e2d3c4b5a69788},
		{"ldtr", 0xf8400940 /* ldtr x0, [x10] */, 0xf1e2d3c4b5a69788},
		{"ldar", 0xc8dffd40 /* ldar x0, [x10] */, 0xf1e2d3c4b5a69788},
		{"ldp", 0xa9400540 /* ldp x0, x1, [x10] */, 0xf1e2d3c4b5a69788},
		{"ldr literal", 0x58000100 /* ldr x0, .+32 */, 0xf1e2d3c4b5a69788},
	};
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t word;
	} stores[] = {
		{"strb", 0x39000143 /* strb w3, [x10] */, 0x08},
		{"strh", 0x79000143 /* strh w3, [x10] */, 0x0708},
		{"str w", 0xb9000143 /* str w3, [x10] */, 0x05060708},
		{"str x", 0xf9000143 /* str x3, [x10] */, 0x0102030405060708},
		{"stlr", 0xc89ffd43 /* stlr x3, [x10] */, 0x0102030405060708},
		{"sttr", 0xf8000943 /* sttr x3, [x10] */, 0x0102030405060708},
		{"stp", 0xa9000d43 /* stp x3, x3, [x10] */, 0x0102030405060708},
		{"str pre-index", 0xf8000d43 /* str x3, [x10, #0]! */, 0x0102030405060708},
	};

	for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		variant(loads[i].text);
		stepping(0, loads[i].insn);
		set_ram_word(DATA, 0xf1e2d3c4b5a69788);
		set_ram_word(ENTRY + 32, 0xf1e2d3c4b5a69788);
		step_executed(ENTRY + 4);
		says(get_reg(X(0)), loads[i].x0, "x0 after the load");
	}
	for (unsigned i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
		variant(stores[i].text);
		stepping(0, stores[i].insn);
		set_reg(X(3), 0x0102030405060708);
		step_executed(ENTRY + 4);
		says(ram_word(DATA), stores[i].word, "the word in memory");
	}
	variant("dc zva");
	stepping(0, 0xd50b742a /* dc zva, x10 */);
	stage1_on();
	set_ram_word(DATA, ~0ull);
	step_executed(ENTRY + 4);
	says(ram_word(DATA), 0, "the word that DC ZVA cleared");
	variant("a vector register");
	stepping(0, 0x3d800140 /* str q0, [x10] */);
	set_reg(SYS(3, 0, 1, 0, 2), 3 << 20);
	step_executed(ENTRY + 4);
}

static void log_dirty(uint32_t flags)
{
	struct kvm_userspace_memory_region r = {.slot = 0,
						.flags = flags,
						.guest_phys_addr = ENTRY,
						.memory_size = RAM_SIZE,
						.userspace_addr = (uintptr_t)m.ram};

	says(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0, "KVM_SET_USER_MEMORY_REGION");
}

static uint64_t dirty_bits(void)
{
	uint64_t bits = 0;
	struct kvm_dirty_log l = {.slot = 0, .dirty_bitmap = &bits};

	says(call(m.vm, KVM_GET_DIRTY_LOG, &l), 0, "KVM_GET_DIRTY_LOG");
	return bits;
}

TEST(row_04_a_stage_2_fault_on_memory_is_resolved_inside_and_the_instruction_is_stepped_once)
{
	variant("first touch of a page, load and store");
	stepping(0, 0xf9000143 /* str x3, [x10] */);
	set_reg(X(3), 7);
	step_executed(ENTRY + 4);
	says(ram_word(DATA), 7, "the word in memory");

	variant("write protected by the dirty log, each time again");
	guest(0xf8230140 /* ldadd x3, x0, [x10] */, 0xf8230140 /* ldadd x3, x0, [x10] */,
	      0xf8230140 /* ldadd x3, x0, [x10] */);
	set_reg(X(3), 1);
	log_dirty(KVM_MEM_LOG_DIRTY_PAGES);
	dirty_bits();
	debug(STEP);
	for (uint64_t i = 0; i < 3; i++) {
		step_executed(ENTRY + 4 * (i + 1));
		says(ram_word(DATA), i + 1, "the word that is counted up");
		says(dirty_bits(), 1ull << ((DATA - ENTRY) >> 12), "the dirty log");
	}

	variant("the slot changes between two steps");
	guest(0xf9400140 /* ldr x0, [x10] */, 0xf9000143 /* str x3, [x10] */, NOP);
	debug(STEP);
	step_executed(ENTRY + 4);
	log_dirty(KVM_MEM_LOG_DIRTY_PAGES);
	step_executed(ENTRY + 8);
	log_dirty(0);
	step_executed(ENTRY + 12);

	variant("a load from a read-only slot");
	stepping(0, 0xf94001a0 /* ldr x0, [x13] */);
	memset(m.rom, 0x5a, 8);
	step_executed(ENTRY + 4);
	says(get_reg(X(0)), 0x5a5a5a5a5a5a5a5a, "x0 after the load");
}

TEST(row_05_memory_that_the_host_lacks_is_efault_without_a_step_and_the_retry_steps)
{
	struct kvm_userspace_memory_region r = {
		.slot = 5, .guest_phys_addr = HOLE, .memory_size = 0x10000, .userspace_addr = 0};
	void *p;

	variant("data");
	stepping(0, 0xf90001c3 /* str x3, [x14] */);
	p = mmap(NULL, 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)p;
	says(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0, "KVM_SET_USER_MEMORY_REGION");
	says(run(), -EFAULT, "the result of KVM_RUN");
	expect_pc(ENTRY);
	says(run(), -EFAULT, "the result of a second KVM_RUN");
	mprotect(p, 0x10000, PROT_READ | PROT_WRITE);
	set_reg(X(3), 9);
	step_executed(ENTRY + 4);
	says(*(uint64_t *)p, 9, "the word in memory after the retry");
	munmap(p, 0x10000);

	variant("memory that the host may only read");
	stepping(0, 0xf94001c0 /* ldr x0, [x14] */);
	put_words(ENTRY + 4, (const uint32_t[]){0xf90001c3 /* str x3, [x14] */}, 1);
	p = mmap(NULL, 0x10000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)p;
	says(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0, "KVM_SET_USER_MEMORY_REGION");
	step_executed(ENTRY + 4);
	says(run(), -EFAULT, "the result of KVM_RUN with a store");
	expect_pc(ENTRY + 4);
	munmap(p, 0x10000);

	variant("instructions in memory that the host lacks");
	stepping(0, 0xd61f01c0 /* br x14 */);
	p = mmap(NULL, 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	r.userspace_addr = (uintptr_t)p;
	says(call(m.vm, KVM_SET_USER_MEMORY_REGION, &r), 0, "KVM_SET_USER_MEMORY_REGION");
	step_executed(HOLE);
	says(run(), -EFAULT, "the result of KVM_RUN");
	expect_pc(HOLE);
	mprotect(p, 0x10000, PROT_READ | PROT_WRITE);
	memcpy(p, (const uint32_t[]){NOP, NOP}, 8);
	__builtin___clear_cache(p, (char *)p + 8);
	step_executed(HOLE + 4);
	munmap(p, 0x10000);
}

TEST(row_47_a_load_exclusive_is_reported_with_ex)
{
	static const struct {
		const char *text;
		uint32_t insn;
	} rows[] = {
		{"ldxr", 0xc85f7d40 /* ldxr x0, [x10] */},	   {"ldaxr", 0xc85ffd40 /* ldaxr x0, [x10] */},
		{"ldxrb", 0x085f7d40 /* ldxrb w0, [x10] */},	   {"ldaxrh", 0x485ffd40 /* ldaxrh w0, [x10] */},
		{"ldxr w", 0x885f7d40 /* ldxr w0, [x10] */},	   {"ldxp", 0xc87f0540 /* ldxp x0, x1, [x10] */},
		{"ldaxp w", 0x887f8540 /* ldaxp w0, w1, [x10] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		step_loaded(ENTRY + 4);
		step_executed(ENTRY + 8);
	}
}

TEST(row_48_a_store_exclusive_after_a_stepped_load_exclusive_fails)
{
	static const struct {
		const char *text;
		uint32_t load, store;
	} rows[] = {
		{"ldxr, stxr", 0xc85f7d40 /* ldxr x0, [x10] */, 0xc8017d43 /* stxr w1, x3, [x10] */},
		{"ldaxr, stlxr", 0x885ffd40 /* ldaxr w0, [x10] */, 0x8801fd43 /* stlxr w1, w3, [x10] */},
		{"ldxp, stxp", 0xc87f0940 /* ldxp x0, x2, [x10] */, 0xc8210d43 /* stxp w1, x3, x3, [x10] */},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		guest(rows[i].load, rows[i].store, NOP);
		set_reg(X(3), 5);
		debug(STEP);
		step_loaded(ENTRY + 4);
		step_executed(ENTRY + 8);
		says(get_reg(X(1)), 1, "the status of the store-exclusive");
		says(ram_word(DATA), 0, "the word in memory");
	}
}

TEST(row_49_an_atomic_instruction_on_memory_is_one_executed_step)
{
	static const struct {
		const char *text;
		uint32_t insn;
		uint64_t word, x0;
	} rows[] = {
		{"ldadd", 0xf8230140 /* ldadd x3, x0, [x10] */, 12, 7},
		{"ldaddal", 0xb8e30140 /* ldaddal w3, w0, [x10] */, 12, 7},
		{"stset", 0xf823315f /* stset x3, [x10] */, 7, 99},
		{"swp", 0xf8238140 /* swp x3, x0, [x10] */, 5, 7},
		{"cas that does not match", 0xc8a07d43 /* cas x0, x3, [x10] */, 7, 7},
		{"ldumax", 0xf8236140 /* ldumax x3, x0, [x10] */, 7, 7},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variant(rows[i].text);
		stepping(0, rows[i].insn);
		set_reg(X(0), 99);
		set_reg(X(3), 5);
		set_ram_word(DATA, 7);
		step_executed(ENTRY + 4);
		says(ram_word(DATA), rows[i].word, "the word in memory");
		says(get_reg(X(0)), rows[i].x0, "the old value in x0");
	}
}
