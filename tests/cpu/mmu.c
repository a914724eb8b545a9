/* SPDX-License-Identifier: MIT */
/*
 * Both stages of translation and their faults, alignment on one PE; TLB maintenance is in tlb.c. Arm ARM DDI 0487, "The AArch64
 * Virtual Memory System Architecture".
 */
#include "machine.h"

#define DABT(iss) ESR_MAKE(EC_DABT_CUR, iss)
#define DABT_LOW(iss) ESR_MAKE(EC_DABT_LOWER, iss)

enum { PAGE = 0x40400000 }; /* a VA that the tests map as they like */

static void load_from_x10(struct machine *m)
{
	LOAD(m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m->cpu->env.x[10] = PAGE;
}

static void store_to_x10(struct machine *m)
{
	LOAD(m, CODE,
	     {
		     0xf9000141, /* str x1, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m->cpu->env.x[10] = PAGE;
	m->cpu->env.x[1] = 0x77;
}

/* ---- stage 2 */

static void a_load_outside_all_ranges_goes_to_el2_with_its_syndrome(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x79c00423, /* ldrsh w3, [x1, #2] */
		     0x39000024, /* strb w4, [x1] */
		     0xf9400025, /* ldr x5, [x1] */
		     0xa9401c26, /* ldp x6, x7, [x1] */
		     0x88dffc28, /* ldar w8, [x1] */
	     });
	m.cpu->env.x[1] = HOLE;
	/* ISV, SAS, SSE, SRT, SF, AR, WnR; translation fault at level 1 */
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 1 << 22 | ISS_DABT_SSE | 3 << 16 | 5), CODE);
	assert_int_equal(m.cpu->el2.far, HOLE + 2);
	assert_int_equal(m.cpu->el2.hpfar, HOLE >> 12 << 4);
	assert_int_equal(m.cpu->el2.ipa, HOLE + 2);
	m.cpu->env.pc += 4;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 0 << 22 | 4 << 16 | ISS_DABT_WNR | 5), CODE + 4);
	m.cpu->env.pc += 4;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 3 << 22 | 5 << 16 | ISS_DABT_SF | 5), CODE + 8);
	m.cpu->env.pc += 4;
	expect_trap(m.cpu, DABT_LOW(5), CODE + 12);
	m.cpu->env.pc += 4;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 2 << 22 | 8 << 16 | ISS_DABT_AR | 5), CODE + 16);
	machine_free(&m);
}

/* As if there were tables for the ranges that there are, and no others: 4 KiB granules, from level 1 on with 40 bits of IPA. */
static void a_stage_2_fault_has_the_level_of_the_first_table_that_is_not_needed(void **state)
{
	static const struct {
		uint64_t ipa;
		unsigned level;
	} cases[] = {
		{HOLE, 1},		 /* its GiB has no range */
		{RAM - 8, 1},		 /* just below one that has */
		{0x80000000, 1},	 /* just above */
		{RAM + RAM_SIZE, 2},	 /* its 2 MiB have none: above a range */
		{ROM - 8, 2},		 /* below one */
		{0x48000000, 2},	 /* between two */
		{ROM + ROM_SIZE, 3},	 /* beside a page that is there */
		{ROM + 0x200000 - 8, 3}, /* the last of them */
		{ROM + 0x200000, 2},
	};
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE, {0xf9400025}); /* ldr x5, [x1] */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m.cpu->env.x[1] = cases[i].ipa;
		expect_trap(m.cpu,
			    DABT_LOW(ISS_DABT_ISV | 3 << 22 | 5 << 16 | ISS_DABT_SF | FSC_TRANSLATION | cases[i].level),
			    CODE);
	}
	machine_free(&m);
}

static void a_store_to_a_read_only_range_goes_to_el2_and_a_load_does_not(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400020, /* ldr x0, [x1] */
		     0xf9000020, /* str x0, [x1] */
	     });
	machine_write(&m, ROM, 0x1234);
	m.cpu->env.x[1] = ROM;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 3 << 22 | ISS_DABT_SF | ISS_DABT_WNR | FSC_PERMISSION | 3),
		    CODE + 4);
	assert_int_equal(m.cpu->env.x[0], 0x1234);
	machine_free(&m);
}

static void an_ipa_beyond_the_size_is_an_address_size_fault(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400020, /* ldr x0, [x1] */
	     });
	m.cpu->env.x[1] = 1ull << 40;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_ISV | 3 << 22 | ISS_DABT_SF | FSC_ADDR_SIZE), CODE);
	machine_free(&m);
}

static void a_fetch_outside_all_ranges_goes_to_el2(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	m.cpu->env.pc = HOLE + 8;
	expect_trap(m.cpu, ESR_MAKE(EC_IABT_LOWER, 5), HOLE + 8);
	assert_int_equal(m.cpu->el2.far, HOLE + 8);
	machine_free(&m);
}

static void a_store_marks_its_page_dirty_again_after_the_log_was_cleared(void **state)
{
	struct machine m;
	struct stage2 *s2;

	machine_new(&m, 1);
	s2 = machine_stage2(&m, true);
	cpu_group_set_stage2(m.group, s2);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xf9000140, /* str x0, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = DATA;
	for (unsigned i = 0; i < 3; i++) {
		m.cpu->env.pc = CODE;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.dirty[0], 1ul << (DATA - RAM) / 4096);
		m.dirty[0] = 0;
		cpu_group_flush_tlbs(m.group);
	}
	machine_free(&m);
	free(s2);
}

/* ---- stage 1 off */

static void with_the_mmu_off_data_is_device_memory_and_must_be_aligned(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xa9408d42, /* ldp x2, x3, [x10, #8] */
		     0xf8646941, /* ldr x1, [x10, x4] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = DATA;
	m.cpu->env.x[4] = 1;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT), CODE + 8);
	assert_int_equal(m.cpu->sys[CPU_FAR_EL1], DATA + 1);
	machine_free(&m);
}

/* ---- stage 1 faults */

static void faults_report_their_kind_and_level(void **state)
{
	static const struct {
		const char *what;
		uint64_t attr;
		unsigned load, store; /* FSC, 0: no fault */
	} cases[] = {
		{"writable", PTE_AF, 0, 0},
		{"no access flag", 0, FSC_ACCESS_FLAG | 3, FSC_ACCESS_FLAG | 3},
		{"read-only", PTE_AF | PTE_RO, 0, FSC_PERMISSION | 3},
		{"output address too large", PTE_AF | 1ull << 47, FSC_ADDR_SIZE | 3, FSC_ADDR_SIZE | 3},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;
		uint64_t root;

		for (unsigned store = 0; store < 2; store++) {
			unsigned fsc = store ? cases[i].store : cases[i].load;

			machine_new(&m, 1);
			root = machine_mmu(&m, m.cpu);
			machine_map(&m, root, PAGE, DATA, cases[i].attr);
			if (store)
				store_to_x10(&m);
			else
				load_from_x10(&m);
			if (fsc) {
				expect_el1(m.cpu, VEC_CUR_SYNC, DABT(fsc | (store ? ISS_DABT_WNR : 0)), CODE);
				assert_int_equal(m.cpu->sys[CPU_FAR_EL1], PAGE);
			} else {
				expect_hvc(m.cpu, END);
			}
			machine_free(&m);
		}
	}
}

static void translation_faults_have_the_level_of_the_missing_descriptor(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	load_from_x10(&m);
	m.cpu->env.x[10] = PAGE + 0x40000000ull;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 1), CODE);
	m.cpu->env.pc = CODE;
	m.cpu->env.x[10] = PAGE;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 2), CODE);
	machine_pte(&m, root, PAGE);
	m.cpu->env.pc = CODE;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 3), CODE);
	m.cpu->env.pc = CODE;
	m.cpu->env.x[10] = 1ull << 40; /* outside both halves */
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 0), CODE);
	m.cpu->env.pc = CODE;
	m.cpu->env.x[10] = ~0ull << 38; /* TTBR1: EPD1 */
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 0), CODE);
	machine_free(&m);
}

static void a_walk_that_leaves_stage_2_is_reported_as_one(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_write(&m, root + 8 * (PAGE >> 30), HOLE | 3);
	LOAD(&m, CODE,
	     {
		     0xd503201f, /* nop */
	     });
	m.cpu->env.pc = PAGE;
	expect_trap(m.cpu, ESR_MAKE(EC_IABT_LOWER, ISS_ABT_S1PTW | FSC_TRANSLATION | 1), PAGE);
	assert_int_equal(m.cpu->el2.hpfar, HOLE >> 12 << 4);
	assert_int_equal(m.cpu->el2.s1_level, 2);
	machine_free(&m);
}

static void hardware_sets_the_access_flag_and_the_dirty_state(void **state)
{
	struct machine m;
	uint64_t root, pte;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	m.cpu->sys[CPU_TCR_EL1] |= 3ull << 39;
	machine_map(&m, root, PAGE, DATA, PTE_RO | PTE_DBM);
	pte = machine_pte(&m, root, PAGE);
	load_from_x10(&m);
	expect_hvc(m.cpu, END);
	assert_int_equal(machine_read(&m, pte), DATA | PTE_V | PTE_RO | PTE_DBM | PTE_AF);
	m.cpu->env.pc = CODE + 0x100;
	LOAD(&m, CODE + 0x100,
	     {
		     0xf9000141, /* str x1, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	expect_hvc(m.cpu, END);
	assert_int_equal(machine_read(&m, pte), DATA | PTE_V | PTE_DBM | PTE_AF);
	machine_free(&m);
}

static void pan_and_unprivileged_accesses_use_the_rights_they_should(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_EL0);
	machine_map(&m, root, PAGE + 0x1000, DATA, PTE_AF);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xd500419f, /* msr pan, #1 */
		     0xf8400940, /* ldtr x0, [x10] */
		     0xf9400140, /* ldr x0, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | 3), CODE + 12);
	/* LDTR of a page that is EL1's alone, unless UAO is set */
	LOAD(&m, CODE,
	     {
		     0xf8400960, /* ldtr x0, [x11] */
		     0xd4000002, /* hvc #0 */
	     });
	cpu_code_changed(m.cpu);
	m.cpu->env.x[11] = PAGE + 0x1000;
	m.cpu->env.pc = CODE;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | 3), CODE);
	m.cpu->env.pc = CODE;
	m.cpu->pstate |= PSR_UAO;
	expect_hvc(m.cpu, END);
	machine_free(&m);
}

static void el0_may_not_touch_or_run_what_is_el1s(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, USER, USER, PTE_AF | PTE_EL0);
	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_UXN);
	LOAD(&m, USER,
	     {
		     0xf9400140, /* ldr x0, [x10] */
	     });
	m.cpu->env.x[10] = PAGE;
	m.cpu->env.pc = USER;
	cpu_set_pstate(m.cpu, PSR_EL0T);
	expect_el1(m.cpu, VEC_LOW_SYNC, DABT_LOW(FSC_PERMISSION | 3), USER);
	m.cpu->env.pc = PAGE;
	cpu_set_pstate(m.cpu, PSR_EL0T);
	expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_IABT_LOWER, FSC_PERMISSION | 3), PAGE);
	/* EL1 may not run what EL0 may write */
	m.cpu->env.pc = USER;
	cpu_set_pstate(m.cpu, 0x3c5);
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_IABT_CUR, FSC_PERMISSION | 3), USER);
	machine_free(&m);
}

static void an_access_across_pages_writes_nothing_if_the_second_faults(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF);
	store_to_x10(&m);
	m.cpu->env.x[10] = PAGE + 0xffc;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | ISS_DABT_WNR | 3), CODE);
	assert_int_equal(m.cpu->sys[CPU_FAR_EL1], PAGE + 0x1000);
	assert_int_equal(machine_read(&m, DATA + 0xff8), 0);
	machine_map(&m, root, PAGE + 0x1000, DATA + 0x2000, PTE_AF);
	m.cpu->env.pc = CODE;
	m.cpu->env.x[1] = 0x1122334455667788;
	expect_hvc(m.cpu, END);
	assert_int_equal(machine_read(&m, DATA + 0xff8) >> 32, 0x55667788);
	assert_int_equal(machine_read(&m, DATA + 0x2000), 0x11223344);
	machine_free(&m);
}

static void sp_alignment_is_checked_before_anything_else(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0xf94003e0, /* ldr x0, [sp] */
		     0xd10023ff, /* sub sp, sp, #8 */
		     0xf94003e0, /* ldr x0, [sp] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[31] = DATA + 0x100;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_SP_ALIGN, 0), CODE + 8);
	m.cpu->env.pc = CODE + 8;
	m.cpu->sys[CPU_SCTLR_EL1] &= ~8ull; /* SA */
	expect_hvc(m.cpu, END);
	machine_free(&m);
}

static void sctlr_a_and_ordered_accesses_ask_for_alignment(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0x88dffd40, /* ldar w0, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE + 2;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT), CODE + 4);
	m.cpu->env.pc = CODE;
	m.cpu->sys[CPU_SCTLR_EL1] |= 2;
	cpu_sys_changed(m.cpu);
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT), CODE);
	machine_free(&m);
}

/* Arm ARM, "Alignment of data accesses": it is the element that counts, not what an access of the register has. */
static void structures_ask_for_the_alignment_of_their_elements(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF);
	machine_map(&m, root, PAGE + 0x1000, DATA, PTE_AF | PTE_DEVICE);
	machine_write(&m, DATA + 4, 0x1122334455667788);
	LOAD(&m, CODE,
	     {
		     0x4c407940, /* ld1 {v0.4s}, [x10] */
		     0x4c007960, /* st1 {v0.4s}, [x11] */
		     0x4c40a940, /* ld1 {v0.4s-v1.4s}, [x10] */
		     0x4d40c961, /* ld1r {v1.4s}, [x11] */
		     0x4c407d40, /* ld1 {v0.2d}, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	m.cpu->sys[CPU_SCTLR_EL1] |= 2;
	for (unsigned device = 0; device < 2; device++) {
		cpu_sys_changed(m.cpu);
		m.cpu->env.pc = CODE;
		m.cpu->env.x[10] = PAGE + 0x1000 * device + 4;
		m.cpu->env.x[11] = PAGE + 0x1000 * device + 28;
		expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT), CODE + 16);
		assert_int_equal(machine_read(&m, DATA + 28), 0x1122334455667788);
		m.cpu->sys[CPU_SCTLR_EL1] &= ~2ull;
	}
	m.cpu->env.pc = CODE;
	m.cpu->env.x[11] = PAGE + 0x1000 + 30;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT | ISS_DABT_WNR), CODE + 4);
	machine_free(&m);
}

static void accesses_to_page_0_and_around_the_end_of_the_address_space_hit_no_empty_entry(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0x79400140, /* ldrh w0, [x10] */
		     0xb9400140, /* ldr w0, [x10] */
		     0xf9400140, /* ldr x0, [x10] */
		     0xf9000140, /* str x0, [x10] */
		     0xa9400540, /* ldp x0, x1, [x10] */
		     0x3dc00140, /* ldr q0, [x10] */
	     });
	m.cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	for (unsigned low = 0; low < 4096; low += low < 32 ? 1 : 97) {
		for (unsigned i = 0; i < 6; i++) {
			m.cpu->env.pc = CODE + 4 * i;
			m.cpu->env.x[10] = low;
			expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 1 | (i == 3 ? ISS_DABT_WNR : 0)),
				   CODE + 4 * i);
		}
	}
	/* From the last page, which TTBR1 may not map, some go on in page 0. */
	for (unsigned low = 1; low < 33; low++) {
		for (unsigned i = 0; i < 6; i++) {
			m.cpu->env.pc = CODE + 4 * i;
			m.cpu->env.x[10] = -(uint64_t)low;
			expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 0 | (i == 3 ? ISS_DABT_WNR : 0)),
				   CODE + 4 * i);
			assert_int_equal(m.cpu->sys[CPU_FAR_EL1], -(uint64_t)low);
		}
	}
	machine_free(&m);
}

static void top_byte_ignore_keeps_the_tag_in_far(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	m.cpu->sys[CPU_TCR_EL1] |= 1ull << 37;
	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO);
	machine_write(&m, DATA, 99);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xf9000140, /* str x0, [x10] */
	     });
	m.cpu->env.x[10] = PAGE | 0x5aull << 56;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | ISS_DABT_WNR | 3), CODE + 4);
	assert_int_equal(m.cpu->env.x[0], 99);
	assert_int_equal(m.cpu->sys[CPU_FAR_EL1], PAGE | 0x5aull << 56);
	machine_free(&m);
}

static void at_fills_par_and_takes_no_stage_1_fault(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO | PTE_SH);
	LOAD(&m, CODE,
	     {
		     0xd508780a, /* at s1e1r, x10 */
		     0xd5387400, /* mrs x0, par_el1 */
		     0xd508782a, /* at s1e1w, x10 */
		     0xd5387401, /* mrs x1, par_el1 */
		     0xd508784a, /* at s1e0r, x10 */
		     0xd5387402, /* mrs x2, par_el1 */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE + 0x123;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 0xffull << 56 | DATA | 0xb80 | 1 << 9);
	assert_int_equal(m.cpu->env.x[1], 1 << 11 | (FSC_PERMISSION | 3) << 1 | 1);
	assert_int_equal(m.cpu->env.x[2], 1 << 11 | (FSC_PERMISSION | 3) << 1 | 1);
	machine_free(&m);
}

static void dc_zva_clears_its_block_and_faults_as_a_store(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, PAGE, DATA, PTE_AF);
	machine_map(&m, root, PAGE + 0x1000, DATA, PTE_AF | PTE_DEVICE);
	machine_map(&m, root, PAGE + 0x2000, HOLE, PTE_AF);
	memset(machine_host(&m, DATA), 0xff, 256);
	LOAD(&m, CODE,
	     {
		     0xd50b742a, /* dc zva, x10 */
		     0xd50b742b, /* dc zva, x11 */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE + 0x47;
	m.cpu->env.x[11] = PAGE + 0x1000;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT | ISS_DABT_WNR), CODE + 4);
	for (unsigned i = 0; i < 256; i += 8)
		assert_int_equal(machine_read(&m, DATA + i), i >= 0x40 && i < 0x80 ? 0 : ~0ull);
	m.cpu->env.pc = CODE + 4;
	m.cpu->env.x[11] = PAGE + 0x2000;
	expect_trap(m.cpu, DABT_LOW(ISS_DABT_WNR | 5), CODE + 4);
	machine_free(&m);
}

static void cache_maintenance_by_address_faults_with_cm(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0xd50b7a2a, /* dc cvac, x10 */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 2 | ISS_DABT_WNR | ISS_DABT_CM), CODE);
	machine_free(&m);
}

static void sixteen_and_sixty_four_kib_granules_walk(void **state)
{
	for (unsigned page = 14; page <= 16; page += 2) {
		struct machine m;
		uint64_t root = TABLES + 0x10000, l3 = TABLES + 0x20000, tcr;
		unsigned stride = page - 3;

		/* Two levels: 36-bit VAs with 16 KiB, 42-bit with 64 KiB */
		machine_new(&m, 1);
		machine_write(&m, root + 8 * (RAM >> (page + stride)), l3 | 3);
		for (unsigned i = 0; i < 8; i++)
			machine_write(&m, l3 + 8 * ((RAM >> page & ((1u << stride) - 1)) + i),
				      (RAM + (i << page)) | PTE_AF | PTE_V);
		tcr = (page == 14 ? 64 - 36 : 64 - 42) | (page == 14 ? 2 : 1) << 14 | 1 << 23 | 2ull << 32;
		m.cpu->sys[CPU_TCR_EL1] = tcr;
		m.cpu->sys[CPU_TTBR0_EL1] = root;
		m.cpu->sys[CPU_MAIR_EL1] = 0xff;
		m.cpu->sys[CPU_SCTLR_EL1] |= 1;
		cpu_sys_changed(m.cpu);
		machine_write(&m, DATA, 42);
		load_from_x10(&m);
		m.cpu->env.x[10] = DATA;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], 42);
		m.cpu->env.pc = CODE;
		m.cpu->env.x[10] = RAM + (9u << page);
		expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 3), CODE);
		machine_free(&m);
	}
}

static void translate_answers_without_side_effects(void **state)
{
	struct machine m;
	uint64_t root;
	ipa_t ipa;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	m.cpu->sys[CPU_TCR_EL1] |= 1ull << 39;
	machine_map(&m, root, PAGE, DATA, 0);
	assert_int_equal(cpu_translate(m.cpu, PAGE + 5, &ipa), 0);
	assert_int_equal(ipa, DATA + 5);
	assert_int_equal(machine_read(&m, machine_pte(&m, root, PAGE)), DATA | PTE_V);
	assert_int_equal(cpu_translate(m.cpu, PAGE + 0x1000, &ipa), FSC_TRANSLATION | 3);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_load_outside_all_ranges_goes_to_el2_with_its_syndrome),
		cmocka_unit_test(a_stage_2_fault_has_the_level_of_the_first_table_that_is_not_needed),
		cmocka_unit_test(a_store_to_a_read_only_range_goes_to_el2_and_a_load_does_not),
		cmocka_unit_test(an_ipa_beyond_the_size_is_an_address_size_fault),
		cmocka_unit_test(a_fetch_outside_all_ranges_goes_to_el2),
		cmocka_unit_test(a_store_marks_its_page_dirty_again_after_the_log_was_cleared),
		cmocka_unit_test(with_the_mmu_off_data_is_device_memory_and_must_be_aligned),
		cmocka_unit_test(faults_report_their_kind_and_level),
		cmocka_unit_test(translation_faults_have_the_level_of_the_missing_descriptor),
		cmocka_unit_test(a_walk_that_leaves_stage_2_is_reported_as_one),
		cmocka_unit_test(hardware_sets_the_access_flag_and_the_dirty_state),
		cmocka_unit_test(pan_and_unprivileged_accesses_use_the_rights_they_should),
		cmocka_unit_test(el0_may_not_touch_or_run_what_is_el1s),
		cmocka_unit_test(an_access_across_pages_writes_nothing_if_the_second_faults),
		cmocka_unit_test(sp_alignment_is_checked_before_anything_else),
		cmocka_unit_test(sctlr_a_and_ordered_accesses_ask_for_alignment),
		cmocka_unit_test(structures_ask_for_the_alignment_of_their_elements),
		cmocka_unit_test(accesses_to_page_0_and_around_the_end_of_the_address_space_hit_no_empty_entry),
		cmocka_unit_test(top_byte_ignore_keeps_the_tag_in_far),
		cmocka_unit_test(at_fills_par_and_takes_no_stage_1_fault),
		cmocka_unit_test(dc_zva_clears_its_block_and_faults_as_a_store),
		cmocka_unit_test(cache_maintenance_by_address_faults_with_cm),
		cmocka_unit_test(sixteen_and_sixty_four_kib_granules_walk),
		cmocka_unit_test(translate_answers_without_side_effects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
