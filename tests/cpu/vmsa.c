/* SPDX-License-Identifier: MIT */
/*
 * What later architecture versions added to the MMU, and details of syndromes: EPAN, 52-bit VAs and outputs, TLBI of
 * ranges and of the outer domain, WnR of a read-modify-write, cache maintenance under PAN, the attributes in PAR. Arm ARM
 * DDI 0487, "The AArch64 Virtual Memory System Architecture", ESR_EL1, PAR_EL1. The rest is in mmu.c.
 */
#include "isa.h"
#include "machine.h"

#define DABT(iss) ESR_MAKE(EC_DABT_CUR, iss)

enum { PAGE = 0x40400000 };

static void with(struct machine *m, unsigned feature)
{
	m->cpu->features |= 1ull << feature;
}

/* One instruction on PAGE in x10 and its end; again from the start. */
static void prepare(struct machine *m, uint32_t insn)
{
	LOAD(m, CODE, {insn, 0xd4000002});
	cpu_code_changed(m->cpu);
	m->cpu->env.pc = CODE;
	m->cpu->env.x[10] = PAGE;
}

static void epan_keeps_el1_from_what_el0_may_only_execute(void **state)
{
	for (unsigned epan = 0; epan < 2; epan++) {
		for (unsigned uxn = 0; uxn < 2; uxn++) {
			struct machine m;
			uint64_t root;

			machine_new(&m, 1);
			root = machine_mmu(&m, m.cpu);
			with(&m, ISA_EPAN);
			m.cpu->sys[CPU_SCTLR_EL1] |= (uint64_t)epan << 57;
			m.cpu->pstate |= PSR_PAN;
			machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO | (uxn ? PTE_UXN : 0));
			prepare(&m, 0xf9400140 /* ldr x0, [x10] */);
			if (epan && !uxn)
				expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | 3), CODE);
			else
				expect_hvc(m.cpu, END);
			machine_free(&m);
		}
	}
}

static void epan_without_the_feature_is_a_reserved_bit(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	prepare(&m, 0xd518100a /* msr sctlr_el1, x10 */);
	m.cpu->env.x[10] = 1ull << 57 | 0x30d00980;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->sys[CPU_SCTLR_EL1] >> 57, 0);
	with(&m, ISA_EPAN);
	m.cpu->env.pc = CODE;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->sys[CPU_SCTLR_EL1] >> 57, 1);
	machine_free(&m);
}

/* 64 KiB granule, T0SZ as said: level 1 of 1024 entries with 52 bits, of 64 with 48. RAM is one block, twice. */
static void map_64k(struct machine *m, unsigned t0sz, uint64_t va)
{
	uint64_t l1 = TABLES + 0x10000, l2 = TABLES + 0x20000;

	machine_write(m, l1, l2 | 3);
	machine_write(m, l1 + 8 * (va >> 42), l2 | 3);
	machine_write(m, l2 + 8 * (RAM >> 29), RAM | PTE_AF | PTE_BLOCK);
	m->cpu->sys[CPU_TCR_EL1] = t0sz | 1 << 14 | 1 << 23 | 2ull << 32;
	m->cpu->sys[CPU_TTBR0_EL1] = l1;
	m->cpu->sys[CPU_MAIR_EL1] = 0xff;
	m->cpu->sys[CPU_SCTLR_EL1] |= 1;
	cpu_sys_changed(m->cpu);
}

static void vas_have_52_bits_with_the_64_kib_granule_where_the_feature_is(void **state)
{
	const uint64_t high = 5ull << 48 | DATA;
	struct machine m;

	for (unsigned lva = 0; lva < 2; lva++) {
		machine_new(&m, 1);
		if (lva)
			with(&m, ISA_LVA);
		map_64k(&m, 12, lva ? high : DATA);
		machine_write(&m, DATA, 42);
		prepare(&m, 0xf9400140 /* ldr x0, [x10] */);
		m.cpu->env.x[10] = high;
		if (lva) {
			expect_hvc(m.cpu, END);
			assert_int_equal(m.cpu->env.x[0], 42);
		} else { /* as T0SZ = 16: beyond the range */
			expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 0), CODE);
		}
		machine_free(&m);
	}
}

static void outputs_of_52_bits_have_their_top_in_bits_15_to_12(void **state)
{
	struct machine m;
	uint64_t l2 = TABLES + 0x20000;

	machine_new(&m, 1);
	map_64k(&m, 16, DATA);
	m.cpu->id[CPU_ID(7, 0)] = (m.cpu->id[CPU_ID(7, 0)] & ~15ull) | 6;
	m.cpu->sys[CPU_TCR_EL1] = (m.cpu->sys[CPU_TCR_EL1] & ~(7ull << 32)) | 6ull << 32;
	machine_write(&m, l2 + 8 * ((RAM >> 29) + 1), RAM | 5 << 12 | PTE_AF | PTE_BLOCK);
	prepare(&m, 0xd508780a /* at s1e1r, x10 */);
	m.cpu->env.x[10] = RAM + (1ull << 29);
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->sys[CPU_PAR_EL1] & 0xffffffffff001, 5ull << 48 | RAM);
	machine_free(&m);
}

static void a_block_where_the_granule_has_none_is_a_translation_fault(void **state)
{
	static const struct {
		unsigned tg0, t0sz, level;
	} cases[] = {{0, 16, 0}, {2, 17, 1}, {1, 16, 1}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;
		ipa_t ipa;

		machine_new(&m, 1);
		for (unsigned e = 0; e < 512; e++)
			machine_write(&m, TABLES + 0x10000 + 8 * e, RAM | PTE_AF | PTE_BLOCK);
		m.cpu->sys[CPU_TCR_EL1] = cases[i].t0sz | cases[i].tg0 << 14 | 1 << 23 | 2ull << 32;
		m.cpu->sys[CPU_TTBR0_EL1] = TABLES + 0x10000;
		m.cpu->sys[CPU_MAIR_EL1] = 0xff;
		m.cpu->sys[CPU_SCTLR_EL1] |= 1;
		cpu_sys_changed(m.cpu);
		assert_int_equal(cpu_translate(m.cpu, DATA, &ipa), FSC_TRANSLATION | cases[i].level);
		machine_free(&m);
	}
}

static void what_the_dirty_bit_modifier_lets_el0_write_el1_may_not_execute(void **state)
{
	for (unsigned dbm = 0; dbm < 2; dbm++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		m.cpu->sys[CPU_TCR_EL1] |= 3ull << 39; /* HA, HD */
		machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO | PTE_EL0 | (dbm ? PTE_DBM : 0));
		machine_write(&m, DATA, 0xd4000002);
		m.cpu->env.pc = PAGE;
		if (dbm)
			expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_IABT_CUR, FSC_PERMISSION | 3), PAGE);
		else
			expect_hvc(m.cpu, END);
		machine_free(&m);
	}
}

/* ---- TLBI */

/* Reads PAGE and the page behind it, exchanges their descriptors, TLBI with x12, reads again. */
static void exchange_and_tlbi(struct machine *m, uint32_t tlbi, uint64_t arg)
{
	uint64_t root = machine_mmu(m, m->cpu), pte = machine_pte(m, root, PAGE);

	machine_map(m, root, PAGE, DATA, PTE_AF);
	machine_map(m, root, PAGE + 0x1000, DATA + 0x1000, PTE_AF);
	machine_map(m, root, RAM + 0x10000, pte & ~0xfffull, PTE_AF);
	machine_write(m, DATA, 1);
	machine_write(m, DATA + 0x1000, 2);
	LOAD(m, CODE,
	     {
		     0xf9400140,	    /* ldr x0, [x10] */
		     0xf9400161,	    /* ldr x1, [x11] */
		     0xa9400da2,	    /* ldp x2, x3, [x13] */
		     0xa90009a3,	    /* stp x3, x2, [x13] */
		     0xd5033f9f,	    /* dsb sy */
		     tlbi | 12, 0xd5033f9f, /* dsb sy */
		     0xf9400140,	    /* ldr x0, [x10] */
		     0xf9400161,	    /* ldr x1, [x11] */
		     0xd4000002,	    /* hvc #0 */
	     });
	m->cpu->env.x[10] = PAGE;
	m->cpu->env.x[11] = PAGE + 0x1000;
	m->cpu->env.x[12] = arg;
	m->cpu->env.x[13] = RAM + 0x10000 + (pte & 0xfff);
}

static void tlbi_of_a_range_drops_all_its_pages(void **state)
{
	/* RVAE1IS, RVAAE1IS, RVALE1IS, RVAALE1IS, RVAE1OS, RVAE1, RVAALE1 */
	static const uint32_t forms[] = {0xd5088220, 0xd5088260, 0xd50882a0, 0xd50882e0,
					 0xd5088520, 0xd5088620, 0xd50886e0};

	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct machine m;

		for (unsigned many = 0; many < 2; many++) {
			machine_new(&m, 1);
			with(&m, ISA_TLBIRANGE);
			/* TG: 4 KiB; NUM and SCALE: (0 + 1) * 2 pages, or 32 * 2^16 of them around */
			exchange_and_tlbi(&m, forms[i],
					  many ? 1ull << 46 | 3ull << 44 | 31ull << 39 : 1ull << 46 | PAGE >> 12);
			expect_hvc(m.cpu, END);
			assert_int_equal(m.cpu->env.x[0], 2);
			assert_int_equal(m.cpu->env.x[1], 1);
			machine_free(&m);
		}
		machine_new(&m, 1);
		exchange_and_tlbi(&m, forms[i], 0);
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE + 20); /* without the feature */
		machine_free(&m);
	}
}

static void tlbi_of_the_outer_domain_is_one_of_the_inner(void **state)
{
	/* VMALLE1OS, VAE1OS, ASIDE1OS, VAAE1OS, VALE1OS, VAALE1OS: both pages by all, by address one */
	static const uint32_t forms[] = {0xd5088100, 0xd5088120, 0xd5088140, 0xd5088160, 0xd50881a0, 0xd50881e0};

	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct machine m;

		machine_new(&m, 1);
		with(&m, ISA_TLBIOS);
		exchange_and_tlbi(&m, forms[i], i == 2 ? 0 : PAGE >> 12);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], 2);
		machine_free(&m);
		machine_new(&m, 1);
		exchange_and_tlbi(&m, forms[i], 0);
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE + 20);
		machine_free(&m);
	}
}

/* ---- syndromes */

static void a_read_modify_write_that_a_read_fails_too_is_reported_as_a_read(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	prepare(&m, 0xf8210140 /* ldadd x1, x0, [x10] */);
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 2), CODE);
	machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_RO);
	prepare(&m, 0xf8210140);
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | ISS_DABT_WNR | 3), CODE);
	prepare(&m, 0xf8210140);
	m.cpu->env.x[10] = PAGE + 4;
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_ALIGNMENT), CODE);
	machine_free(&m);
}

static void a_watchpoint_on_a_read_modify_write_says_which_half_it_asked_for(void **state)
{
	for (unsigned lsc = 1; lsc < 4; lsc++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		machine_map(&m, root, PAGE, DATA, PTE_AF);
		m.cpu->dbg.wvr[0] = PAGE;
		m.cpu->dbg.wcr[0] = 1 | 1 << 1 | lsc << 3 | 0xff << 5;
		m.cpu->el2.mdscr = 1 << 15 | 1 << 13;
		m.cpu->pstate &= ~PSR_D;
		prepare(&m, 0xf8210140 /* ldadd x1, x0, [x10] */);
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_WATCHPT_CUR, FSC_DEBUG | (lsc == 2 ? ISS_DABT_WNR : 0)),
			   CODE);
		machine_free(&m);
	}
}

static void cache_maintenance_is_not_subject_to_pan(void **state)
{
	static const uint32_t dc[] = {0xd50b7a2a /* dc cvac, x10 */, 0xd508762a /* dc ivac, x10 */,
				      0xd50b752a /* ic ivau, x10 */};

	for (unsigned i = 0; i < 3; i++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_EL0);
		m.cpu->pstate |= PSR_PAN;
		prepare(&m, dc[i]);
		expect_hvc(m.cpu, END);
		prepare(&m, 0xd50b742a /* dc zva, x10 */); /* which is a store */
		expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | ISS_DABT_WNR | 3), CODE);
		machine_free(&m);
	}
}

static void par_says_outer_shareable_for_device_and_non_cacheable_memory(void **state)
{
	static const struct {
		uint8_t attr, sh, want;
	} cases[] = {{0xff, 3, 3}, {0xff, 2, 2}, {0xff, 0, 0}, {0x44, 3, 2}, {0x44, 0, 2}, {0x00, 0, 2}, {0x0c, 3, 2}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		m.cpu->sys[CPU_MAIR_EL1] |= (uint64_t)cases[i].attr << 16;
		machine_map(&m, root, PAGE, DATA, PTE_AF | 2 << 2 | (uint64_t)cases[i].sh << 8);
		prepare(&m, 0xd508780a /* at s1e1r, x10 */);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->sys[CPU_PAR_EL1] >> 56, cases[i].attr);
		assert_int_equal(m.cpu->sys[CPU_PAR_EL1] >> 7 & 3, cases[i].want);
		machine_free(&m);
	}
}

static void device_memory_must_be_aligned_even_where_the_access_is_not_permitted(void **state)
{
	static const struct {
		uint32_t insn;
		uint64_t va, attr;
		unsigned fsc;
		bool write;
	} cases[] = {
		{0xf9000140 /* str x0, [x10] */, PAGE + 4, PTE_AF | PTE_RO, FSC_ALIGNMENT, true},
		{0xf9000140, PAGE + 8, PTE_AF | PTE_RO, FSC_PERMISSION | 3, true},
		{0xf9400140 /* ldr x0, [x10] */, PAGE + 4, PTE_AF | PTE_EL0, FSC_ALIGNMENT, false}, /* PAN */
		{0xf9400140, PAGE + 8, PTE_AF | PTE_EL0, FSC_PERMISSION | 3, false},
		{0xf9000140, PAGE + 4, PTE_RO, FSC_ACCESS_FLAG | 3, true},
		{0xf8400940 /* ldtr x0, [x10] */, PAGE + 2, PTE_AF, FSC_ALIGNMENT, false},
		{0xd50b742a /* dc zva, x10 */, PAGE, PTE_AF | PTE_RO, FSC_ALIGNMENT, true},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		m.cpu->pstate |= PSR_PAN;
		machine_map(&m, root, PAGE, DATA, cases[i].attr | PTE_DEVICE);
		prepare(&m, cases[i].insn);
		m.cpu->env.x[10] = cases[i].va;
		expect_el1(m.cpu, VEC_CUR_SYNC, DABT(cases[i].fsc | (cases[i].write ? ISS_DABT_WNR : 0)), CODE);
		assert_int_equal(m.cpu->sys[CPU_FAR_EL1], cases[i].va);
		machine_free(&m);
	}
}

static void dc_ivac_asks_for_write_permission_and_makes_nothing_dirty(void **state)
{
	struct machine m;
	uint64_t root, pte;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	m.cpu->sys[CPU_TCR_EL1] |= 3ull << 39; /* HA, HD */
	pte = machine_pte(&m, root, PAGE);
	machine_map(&m, root, PAGE, DATA, PTE_RO | PTE_DBM);
	prepare(&m, 0xd508762a /* dc ivac, x10 */);
	expect_hvc(m.cpu, END);
	assert_int_equal(machine_read(&m, pte) & (PTE_AF | PTE_RO), PTE_AF | PTE_RO);
	prepare(&m, 0xf9000140 /* str x0, [x10] */);
	expect_hvc(m.cpu, END);
	assert_int_equal(machine_read(&m, pte) & (PTE_AF | PTE_RO), PTE_AF);
	machine_map(&m, root, PAGE, DATA, PTE_RO | PTE_AF);
	cpu_sys_changed(m.cpu);
	prepare(&m, 0xd508762a);
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_PERMISSION | 3 | ISS_DABT_CM | ISS_DABT_WNR), CODE);
	machine_free(&m);
}

/* The trap of SCTLR_EL1.UCI and DZE comes before any fault. CM is for what maintains caches, which DC ZVA does not. */
static void cache_maintenance_at_el0_asks_for_el0s_rights(void **state)
{
	enum { UCI = 1 << 26, DZE = 1 << 14, CM = ISS_DABT_CM | ISS_DABT_WNR, NOTHING = -1, TRAP = -2 };
	static const struct {
		uint32_t insn, enc;
		int unmapped, el1s, read_only; /* ISS of the abort */
	} cases[] = {
#define DC(crm) SYSREG(1, 3, 7, crm, 1)
		{0xd50b7a2a /* dc cvac, x10 */, DC(10), CM | FSC_TRANSLATION | 2, CM | FSC_PERMISSION | 3, NOTHING},
		{0xd50b7b2a /* dc cvau, x10 */, DC(11), CM | FSC_TRANSLATION | 2, CM | FSC_PERMISSION | 3, NOTHING},
		{0xd50b7e2a /* dc civac, x10 */, DC(14), CM | FSC_TRANSLATION | 2, CM | FSC_PERMISSION | 3, NOTHING},
		{0xd50b7c2a /* dc cvap, x10 */, DC(12), CM | FSC_TRANSLATION | 2, CM | FSC_PERMISSION | 3, NOTHING},
		{0xd50b752a /* ic ivau, x10 */, DC(5), CM | FSC_TRANSLATION | 2, CM | FSC_PERMISSION | 3, NOTHING},
		{0xd50b742a /* dc zva, x10 */, DC(4), ISS_DABT_WNR | FSC_TRANSLATION | 2,
		 ISS_DABT_WNR | FSC_PERMISSION | 3, ISS_DABT_WNR | FSC_PERMISSION | 3},
#undef DC
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned how = 0; how < 5; how++) {
			const uint64_t va = PAGE + 24;
			struct machine m;
			uint64_t root;
			int iss = NOTHING;

			machine_new(&m, 1);
			root = machine_mmu(&m, m.cpu);
			m.cpu->sys[CPU_SCTLR_EL1] |= UCI | DZE;
			LOAD(&m, USER, {cases[i].insn, 0xd4000fe1 /* svc #0x7f */});
			switch (how) {
			case 0:
				m.cpu->sys[CPU_SCTLR_EL1] &= ~(uint64_t)(UCI | DZE);
				iss = TRAP;
				break;
			case 1: iss = cases[i].unmapped; break;
			case 2:
				machine_map(&m, root, PAGE, DATA, PTE_AF);
				iss = cases[i].el1s;
				break;
			case 3:
				machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_EL0 | PTE_RO);
				iss = cases[i].read_only;
				break;
			default: machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_EL0);
			}
			m.cpu->env.x[10] = va;
			m.cpu->env.pc = USER;
			cpu_set_pstate(m.cpu, PSR_EL0T);
			if (iss == NOTHING) {
				expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_SVC64, 0x7f), USER + 8);
			} else if (iss == TRAP) {
				expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_SYS64, iss_sys(cases[i].enc, 10, 0)), USER);
			} else {
				expect_el1(m.cpu, VEC_LOW_SYNC, ESR_MAKE(EC_DABT_LOWER, (unsigned)iss), USER);
				assert_int_equal(m.cpu->sys[CPU_FAR_EL1], va);
			}
			machine_free(&m);
		}
	}
}

/* ESR_EL2.WnR is 1 for cache maintenance and address translation, whatever they do. */
static void at_of_a_table_outside_of_memory_is_reported_with_cm_and_wnr(void **state)
{
	static const uint32_t insns[] = {0xd508780a /* at s1e1r, x10 */, 0xd508782a /* at s1e1w, x10 */};

	for (unsigned i = 0; i < 2; i++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		machine_write(&m, root + 8 * 2, HOLE | 3);
		prepare(&m, insns[i]);
		m.cpu->env.x[10] = 2ull << 30;
		expect_trap(m.cpu,
			    ESR_MAKE(EC_DABT_LOWER, ISS_DABT_CM | ISS_DABT_WNR | ISS_ABT_S1PTW | FSC_TRANSLATION | 1),
			    CODE);
		machine_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epan_keeps_el1_from_what_el0_may_only_execute),
		cmocka_unit_test(epan_without_the_feature_is_a_reserved_bit),
		cmocka_unit_test(vas_have_52_bits_with_the_64_kib_granule_where_the_feature_is),
		cmocka_unit_test(outputs_of_52_bits_have_their_top_in_bits_15_to_12),
		cmocka_unit_test(a_block_where_the_granule_has_none_is_a_translation_fault),
		cmocka_unit_test(what_the_dirty_bit_modifier_lets_el0_write_el1_may_not_execute),
		cmocka_unit_test(tlbi_of_a_range_drops_all_its_pages),
		cmocka_unit_test(tlbi_of_the_outer_domain_is_one_of_the_inner),
		cmocka_unit_test(a_read_modify_write_that_a_read_fails_too_is_reported_as_a_read),
		cmocka_unit_test(a_watchpoint_on_a_read_modify_write_says_which_half_it_asked_for),
		cmocka_unit_test(cache_maintenance_is_not_subject_to_pan),
		cmocka_unit_test(device_memory_must_be_aligned_even_where_the_access_is_not_permitted),
		cmocka_unit_test(dc_ivac_asks_for_write_permission_and_makes_nothing_dirty),
		cmocka_unit_test(cache_maintenance_at_el0_asks_for_el0s_rights),
		cmocka_unit_test(at_of_a_table_outside_of_memory_is_reported_with_cm_and_wnr),
		cmocka_unit_test(par_says_outer_shareable_for_device_and_non_cacheable_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
