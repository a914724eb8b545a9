/* SPDX-License-Identifier: MIT */
/*
 * TLB maintenance on one PE, and what address spaces know of one another. Arm ARM DDI 0487, "Translation Lookaside Buffers" and "TLB
 * maintenance instructions". Walks and faults are in mmu.c, TLBI of ranges in vmsa.c.
 */
#include "machine.h"

#define DABT(iss) ESR_MAKE(EC_DABT_CUR, iss)

enum { PAGE = 0x40400000 }; /* a VA that the tests map as they like */

/* ---- TLB maintenance */

static void a_changed_descriptor_is_seen_after_tlbi(void **state)
{
	static const uint32_t ops[] = {
		0xd5088729, /* tlbi vae1, x9 */
		0xd5088769, /* tlbi vaae1, x9 */
		0xd50887a9, /* tlbi vale1, x9 */
		0xd50887e9, /* tlbi vaale1, x9 */
		0xd508871f, /* tlbi vmalle1 */
		0xd5088748, /* tlbi aside1, x8 */
		0xd5088329, /* tlbi vae1is, x9 */
		0xd508831f, /* tlbi vmalle1is */
	};

	for (unsigned i = 0; i < sizeof(ops) / 4; i++) {
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_NG);
		machine_write(&m, DATA, 1);
		machine_write(&m, DATA + 0x1000, 2);
		LOAD(&m, CODE,
		     {
			     0xf9400140, /* ldr x0, [x10] */
			     0xf9000162, /* str x2, [x11] */
			     0xd503201f, /* nop */
			     0xd5033f9f, /* dsb sy */
			     0xf9400141, /* ldr x1, [x10] */
			     0xd4000002, /* hvc #0 */
		     });
		memcpy(machine_host(&m, CODE + 8), &ops[i], 4);
		m.cpu->env.x[10] = PAGE;
		m.cpu->env.x[9] = PAGE >> 12;
		m.cpu->env.x[11] = RAM + 0x10000; /* the descriptor, through a window on the table */
		machine_map(&m, root, RAM + 0x10000, machine_pte(&m, root, PAGE) & ~0xfffull, PTE_AF);
		m.cpu->env.x[11] += machine_pte(&m, root, PAGE) & 0xfff;
		m.cpu->env.x[2] = (DATA + 0x1000) | PTE_AF | PTE_NG | PTE_V;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], 1);
		assert_int_equal(m.cpu->env.x[1], 2);
		machine_free(&m);
	}
}

static void tlbi_of_one_address_drops_all_of_a_block_mapping(void **state)
{
	struct machine m;
	uint64_t root, l2, at;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_pte(&m, root, PAGE);
	l2 = machine_read(&m, root + 8 * (PAGE >> 30)) & 0xfffffffff000;
	at = l2 + 8 * (PAGE >> 21 & 511);
	machine_write(&m, at, RAM | PTE_AF | PTE_BLOCK);
	machine_write(&m, DATA, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xd4000002, /* hvc #0 */
		     0xd5088729, /* tlbi vae1, x9 */
		     0xd5033f9f, /* dsb sy */
		     0xf9400141, /* ldr x1, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = PAGE + (DATA - RAM);
	m.cpu->env.x[9] = (PAGE + 0x100000) >> 12; /* another page of the block */
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 1);
	machine_write(&m, at, 0);
	expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 2), CODE + 16);
	machine_free(&m);
}

/* What was found out about the first of two pages says nothing about the second, unless they are one memory with the same rights. */
static void a_page_that_another_seems_to_continue_is_looked_at_by_itself(void **state)
{
	static const struct {
		const char *name;
		uint64_t next; /* the second page's descriptor */
		uint64_t esr;  /* of the store to it; 0: it is done */
	} rows[] = {
		{"the next page", (DATA + 0x1000) | PTE_AF | PTE_V, 0},
		{"bits for software", (DATA + 0x1000) | PTE_AF | PTE_V | 0xfull << 55, 0},
		{"contiguous", (DATA + 0x1000) | PTE_AF | PTE_V | 1ull << 52, 0},
		{"other memory", (DATA + 0x3000) | PTE_AF | PTE_V, 0},
		{"other attributes", (DATA + 0x1000) | PTE_AF | PTE_V | PTE_DEVICE, 0},
		{"invalid", (DATA + 0x1000) | PTE_AF, DABT(FSC_TRANSLATION | 3 | ISS_DABT_WNR)},
		{"not accessed", (DATA + 0x1000) | PTE_V, DABT(FSC_ACCESS_FLAG | 3 | ISS_DABT_WNR)},
		{"read-only", (DATA + 0x1000) | PTE_AF | PTE_RO | PTE_V, DABT(FSC_PERMISSION | 3 | ISS_DABT_WNR)},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine m;
		uint64_t root, to = rows[i].next & 0xfffff000;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		machine_map(&m, root, PAGE, DATA, PTE_AF);
		machine_write(&m, machine_pte(&m, root, PAGE + 0x1000), rows[i].next);
		LOAD(&m, CODE,
		     {
			     0xf9000141, /* str x1, [x10] */
			     0xf9000141, /* str x1, [x10] */
			     0xf9080142, /* str x2, [x10, #4096] */
			     0xd4000002, /* hvc #0 */
		     });
		m.cpu->env.x[10] = PAGE;
		m.cpu->env.x[1] = 1;
		m.cpu->env.x[2] = 2;
		if (rows[i].esr)
			expect_el1(m.cpu, VEC_CUR_SYNC, rows[i].esr, CODE + 8);
		else
			expect_hvc(m.cpu, END);
		assert_int_equal(machine_read(&m, DATA), 1);
		assert_int_equal(machine_read(&m, to), rows[i].esr ? 0 : 2);
		machine_free(&m);
	}
}

static void tlbi_of_one_page_drops_what_its_neighbours_knew_of_it(void **state)
{
	for (uint64_t n = 0; n < 16; n++) { /* the page that is not there any more */
		struct machine m;
		uint64_t root;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		for (uint64_t at = 0; at < 0x10000; at += 4096)
			machine_map(&m, root, PAGE + at, RAM + 0x10000 + at, PTE_AF);
		LOAD(&m, CODE,
		     {
			     0xf9400140, /* ldr x0, [x10] */
			     0xf9400140, /* ldr x0, [x10] */
			     0xd4000002, /* hvc #0 */
			     0xd5088729, /* tlbi vae1, x9 */
			     0xd5033f9f, /* dsb sy */
			     0xf9400140, /* ldr x0, [x10] */
			     0xf86b6941, /* ldr x1, [x10, x11] */
			     0xd4000002, /* hvc #0 */
		     });
		m.cpu->env.x[10] = PAGE + 0x1000 * (n ^ 1);
		m.cpu->env.x[9] = (PAGE >> 12) + n;
		m.cpu->env.x[11] = 0x1000 * n - 0x1000 * (n ^ 1);
		expect_hvc(m.cpu, END);
		machine_write(&m, machine_pte(&m, root, PAGE + 0x1000 * n), 0);
		expect_el1(m.cpu, VEC_CUR_SYNC, DABT(FSC_TRANSLATION | 3), CODE + 24);
		machine_free(&m);
	}
}

/*
 * Every TLBI of EL1, in each shareability domain and with nXS: two pages that are not global, of ASID 1 and ASID 2 at one VA, and a
 * global one have been read; their descriptors (or the table that leads to them) change; then all that the operation is for must be
 * read anew. What it is not for may be either. The operations of the inner and outer shareable domain are for the other PE as well.
 */
struct every {
	struct machine m;
	uint64_t root[2], va, global, old, new; /* tables of ASID 1 and 2; the VAs; the two pages of data */
};
enum { EVERY_LOAD, EVERY_ASID_1, EVERY_ASID_2, EVERY_TLBI };

static void every_run(struct every *e, unsigned pe, unsigned program)
{
	struct cpu *cpu = e->m.pe[pe];

	cpu->env.pc = CODE + 32 * program;
	expect_hvc(cpu, END);
}

static uint64_t every_load(struct every *e, unsigned pe, unsigned asid, uint64_t va)
{
	e->m.pe[pe]->env.x[8] = e->root[asid - 1] | (uint64_t)asid << 48;
	every_run(e, pe, EVERY_ASID_1);
	e->m.pe[pe]->env.x[10] = va;
	every_run(e, pe, EVERY_LOAD);
	return e->m.pe[pe]->env.x[0];
}

/* Of level 3, or a new table of level 3 with such descriptors in place of the one that is there. */
static void every_map(struct every *e, uint64_t pa, bool by_table)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t low = e->va & 0x7fffffffff, glow = e->global & 0x7fffffffff;

		if (by_table) {
			uint64_t at = machine_read(&e->m, e->root[i] + 8 * (low >> 30)) & 0xfffffffff000;

			machine_write(&e->m, at + 8 * (low >> 21 & 511), machine_table(&e->m) | 3);
		}
		machine_map(&e->m, e->root[i], low, pa, PTE_AF | PTE_NG);
		machine_map(&e->m, e->root[i], glow, pa, PTE_AF);
	}
}

static void every_begin(struct every *e, unsigned upper)
{
	static const uint32_t programs[][8] = {
		[EVERY_LOAD] = {0xf9400140 /* ldr x0, [x10] */, 0xd4000002 /* hvc #0 */},
		[EVERY_ASID_1] = {0xd5182008 /* msr ttbr0_el1, x8 */, 0xd5033fdf /* isb */, 0xd4000002},
	};
	struct cpu_model max;
	char why[160];

	assert_int_equal(cpu_model_parse("max", &max, why, sizeof(why)), 0);
	machine_new(&e->m, 2);
	e->root[0] = machine_mmu(&e->m, e->m.pe[0]);
	e->root[1] = machine_mmu(&e->m, e->m.pe[0]);
	machine_mmu(&e->m, e->m.pe[1]);
	e->va = PAGE | (upper ? 0xffffff8000000000 : 0);
	e->global = e->va + 0x1000;
	for (unsigned pe = 0; pe < 2; pe++) {
		struct cpu *cpu = e->m.pe[pe];

		memcpy(cpu->id, max.id, sizeof(max.id));
		cpu_id_changed(cpu);
		cpu->sys[CPU_TCR_EL1] = (cpu->sys[CPU_TCR_EL1] & ~(1ull << 23)) | 1ull << 36; /* EPD1; AS */
		cpu->sys[CPU_TTBR1_EL1] = e->root[0]; /* pages at one VA are one page there */
		cpu->sys[CPU_TTBR0_EL1] = e->root[0] | 1ull << 48;
		cpu_sys_changed(cpu);
	}
	machine_load(&e->m, CODE, programs[0], sizeof(programs));
	machine_write(&e->m, DATA, 1);
	machine_write(&e->m, DATA + 0x1000, 2);
}

static void every_tlbi_drops_what_it_is_for(void **state)
{
	enum { LOCAL, IS, OS, DOMAINS };
	static const uint8_t crm[2][DOMAINS] = {{7, 3, 1}, {6, 2, 5}};
	static const struct {
		unsigned op2;
		bool va, asid1, asid2, global, last; /* by address; for which pages; not for tables */
	} ops[] = {
		{0, false, true, true, true, false},   /* VMALLE1 */
		{1, true, true, false, true, false},   /* VAE1 */
		{2, false, true, false, false, false}, /* ASIDE1 */
		{3, true, true, true, true, false},    /* VAAE1 */
		{5, true, true, false, true, true},    /* VALE1 */
		{7, true, true, true, true, true},     /* VAALE1 */
	};
	unsigned n = 0;

	for (unsigned k = 0; k < 2 * 2 * 2 * 2 * DOMAINS * 6; k++) {
		unsigned op = k % 6, domain = k / 6 % DOMAINS, flags = k / 6 / DOMAINS;
		bool range = flags & 1, nxs = flags & 2, upper = flags & 4, by_table = flags & 8;
		struct every e;

		if ((range && !ops[op].va) || (by_table && ops[op].last))
			continue;
		every_begin(&e, upper);
		every_map(&e, DATA, false);
		/* VAs by their own operation each */
		for (unsigned global = 0; global <= ops[op].va; global++) {
			uint32_t tlbi =
				0xd508000c | (8u + nxs) << 12 | (uint32_t)crm[range][domain] << 8 | ops[op].op2 << 5;
			uint64_t va = global ? e.global : e.va, arg = 1ull << 48;

			if (ops[op].va)
				arg |= (va >> 12 & (range ? 0x1fffffffff : 0xfffffffffff)) | (range ? 1ull << 46 : 0);
			every_map(&e, DATA, false);
			for (unsigned pe = 0; pe < 2; pe++) {
				LOAD(&e.m, CODE + 32 * EVERY_TLBI,
				     {0xd508871f /* tlbi vmalle1 */, 0xd5033f9f, 0xd5033fdf, 0xd4000002});
				cpu_code_changed(e.m.pe[pe]);
				every_run(&e, pe, EVERY_TLBI);
				for (unsigned asid = 1; asid <= 2; asid++) {
					assert_int_equal(every_load(&e, pe, asid, e.va), 1);
					assert_int_equal(every_load(&e, pe, asid, e.global), 1);
				}
			}
			every_map(&e, DATA + 0x1000, by_table);
			LOAD(&e.m, CODE + 32 * EVERY_TLBI,
			     {tlbi, 0xd5033f9f /* dsb sy */, 0xd5033fdf /* isb */, 0xd4000002});
			cpu_code_changed(e.m.pe[0]);
			e.m.pe[0]->env.x[12] = arg;
			every_run(&e, 0, EVERY_TLBI);
			for (unsigned pe = 0; pe < (domain == LOCAL ? 1 : 2); pe++) {
				if (ops[op].asid1 && !global)
					assert_int_equal(every_load(&e, pe, 1, e.va), 2);
				if (ops[op].asid2 && !global)
					assert_int_equal(every_load(&e, pe, 2, e.va), 2);
				if (ops[op].global && (global || !ops[op].va)) {
					assert_int_equal(every_load(&e, pe, 2, e.global), 2);
					assert_int_equal(every_load(&e, pe, 1, e.global), 2);
				}
			}
			n++;
		}
		machine_free(&e.m);
	}
	/* By descriptor and by table, of an address or a range; those of an address are tried twice. */
	assert_int_equal(n, 2 * 2 * DOMAINS * (10 + 8 + 6 + 4));
}

/* TCR_EL1.AS: without it bits 15:8 of an ASID, in TTBR0_EL1 and in what TLBI is given, are ignored. A1: the other register's counts. */
static void asids_have_eight_bits_unless_tcr_as_says_sixteen(void **state)
{
	static const struct {
		uint64_t tcr, asid, arg; /* of the page, of TLBI */
	} cases[] = {
		{0, 0x01, 0x01},
		{0, 0x201, 0x01},
		{0, 0x01, 0x701},
		{0, 0x3ff, 0xff},
		{1ull << 36, 0x201, 0x201},
		{1ull << 36, 0xffff, 0xffff},
		{1ull << 22, 0x301, 0x05},
		{1ull << 36 | 1ull << 22, 0x301, 0x505},
	};
	/* ASIDE1, VAE1, VALE1IS */
	static const uint32_t forms[] = {0xd508874c, 0xd508872c, 0xd50883ac};

	for (unsigned i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t tcr = cases[i / 3].tcr, root;
		struct machine m;

		machine_new(&m, 1);
		root = machine_mmu(&m, m.cpu);
		m.cpu->sys[CPU_TCR_EL1] |= tcr;
		m.cpu->sys[CPU_TTBR0_EL1] = root | cases[i / 3].asid << 48;
		m.cpu->sys[CPU_TTBR1_EL1] = 0x505ull << 48;
		cpu_sys_changed(m.cpu);
		machine_map(&m, root, PAGE, DATA, PTE_AF | PTE_NG);
		machine_write(&m, DATA, 1);
		machine_write(&m, DATA + 0x1000, 2);
		LOAD(&m, CODE,
		     {
			     0xf9400140,	     /* ldr x0, [x10] */
			     0xd4000002,	     /* hvc #0 */
			     forms[i % 3],	     /* tlbi ..., x12 */
			     0xd5033f9f, 0xd5033fdf, /* dsb sy; isb */
			     0xf9400140,	     /* ldr x0, [x10] */
			     0xd4000002,	     /* hvc #0 */
		     });
		m.cpu->env.x[10] = PAGE;
		m.cpu->env.x[12] = cases[i / 3].arg << 48 | (i % 3 ? PAGE >> 12 : 0);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], 1);
		machine_map(&m, root, PAGE, DATA + 0x1000, PTE_AF | PTE_NG);
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], 2);
		machine_free(&m);
	}
}

static void two_address_spaces_do_not_see_each_other(void **state)
{
	struct machine m;
	uint64_t a, b;

	machine_new(&m, 1);
	a = machine_mmu(&m, m.cpu);
	b = machine_mmu(&m, m.cpu);
	machine_map(&m, a, PAGE, DATA, PTE_AF | PTE_NG);
	machine_map(&m, b, PAGE, DATA + 0x1000, PTE_AF | PTE_NG);
	machine_write(&m, DATA, 1);
	machine_write(&m, DATA + 0x1000, 2);
	LOAD(&m, CODE,
	     {
		     0xd5182008, /* msr ttbr0_el1, x8 */
		     0xd5033fdf, /* isb */
		     0xf9400140, /* ldr x0, [x10] */
		     0xd5182009, /* msr ttbr0_el1, x9 */
		     0xd5033fdf, /* isb */
		     0xf9400141, /* ldr x1, [x10] */
		     0xd5182008, /* msr ttbr0_el1, x8 */
		     0xd5033fdf, /* isb */
		     0xf9400142, /* ldr x2, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[8] = a | 1ull << 48;
	m.cpu->env.x[9] = b | 2ull << 48;
	m.cpu->env.x[10] = PAGE;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 1);
	assert_int_equal(m.cpu->env.x[1], 2);
	assert_int_equal(m.cpu->env.x[2], 1);
	machine_free(&m);
}

static void a_global_page_of_the_upper_half_is_dropped_in_every_address_space(void **state)
{
	struct machine m;
	uint64_t a, b, pte, high;

	machine_new(&m, 1);
	a = machine_mmu(&m, m.cpu);
	b = machine_mmu(&m, m.cpu);
	high = 0xffffff8000000000 | PAGE;	  /* 39 bits of VA in both halves, one table for both */
	m.cpu->sys[CPU_TCR_EL1] &= ~(1ull << 23); /* EPD1 */
	m.cpu->sys[CPU_TTBR1_EL1] = a;
	cpu_sys_changed(m.cpu);
	machine_map(&m, a, PAGE, DATA, PTE_AF);
	pte = machine_pte(&m, a, PAGE);
	machine_map(&m, a, RAM + 0x10000, pte & ~0xfffull, PTE_AF);
	machine_map(&m, b, RAM + 0x10000, pte & ~0xfffull, PTE_AF);
	machine_write(&m, DATA, 1);
	machine_write(&m, DATA + 0x1000, 2);
	LOAD(&m, CODE,
	     {
		     0xd5182008, /* msr ttbr0_el1, x8 */
		     0xd5033fdf, /* isb */
		     0xf9400140, /* ldr x0, [x10] */
		     0xd5182009, /* msr ttbr0_el1, x9 */
		     0xd5033fdf, /* isb */
		     0xf9400141, /* ldr x1, [x10] */
		     0xf9000162, /* str x2, [x11] */
		     0xd5088767, /* tlbi vaae1, x7 */
		     0xd5033f9f, /* dsb sy */
		     0xf9400143, /* ldr x3, [x10] */
		     0xd5182008, /* msr ttbr0_el1, x8 */
		     0xd5033fdf, /* isb */
		     0xf9400144, /* ldr x4, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[2] = (DATA + 0x1000) | PTE_AF | PTE_V;
	m.cpu->env.x[7] = high >> 12 & 0xfffffffffff;
	m.cpu->env.x[8] = a | 1ull << 48;
	m.cpu->env.x[9] = b | 2ull << 48;
	m.cpu->env.x[10] = high;
	m.cpu->env.x[11] = RAM + 0x10000 + (pte & 0xfff);
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], 1);
	assert_int_equal(m.cpu->env.x[1], 1);
	assert_int_equal(m.cpu->env.x[3], 2);
	assert_int_equal(m.cpu->env.x[4], 2);
	machine_free(&m);
}

/*
 * A page of the upper half that the bank of one regime (PSTATE.PAN is part of it) walked to is taken by the other's from what they
 * share. Where each access has to be looked at, it must not be mixed up with the page whose entry has the same index.
 */
static void a_page_that_another_regime_looked_up_is_its_own_under_alignment_checks(void **state)
{
	enum { STRIDE = IR_TLB_SIZE << IR_PAGE_SHIFT, PAGES = 3 }; /* one index of the soft TLB */
	struct machine m;
	uint64_t high = 0xffffff8000000000, root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	m.cpu->sys[CPU_TCR_EL1] &= ~(1ull << 23); /* EPD1: the lower half's tables for both */
	m.cpu->sys[CPU_TTBR1_EL1] = root;
	cpu_sys_changed(m.cpu);
	for (unsigned i = 0; i < PAGES; i++) {
		machine_map(&m, root, PAGE + i * STRIDE, DATA + 0x1000 * i, PTE_AF);
		for (unsigned k = 0; k < 3; k++)
			machine_write(&m, DATA + 0x1000 * i + 8 * k, 10 * i + k);
	}
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xf9400541, /* ldr x1, [x10, #8] */
		     0xf9400942, /* ldr x2, [x10, #16] */
		     0xf9000d43, /* str x3, [x10, #24] */
		     0xd4000002, /* hvc #0 */
	     });
	for (unsigned n = 0; n < 8 * PAGES; n++) {
		unsigned i = n % PAGES, pan = n / PAGES & 1, a = n / PAGES >> 1 & 1;

		if (a != (m.cpu->sys[CPU_SCTLR_EL1] >> 1 & 1)) { /* which clears the TLB */
			m.cpu->sys[CPU_SCTLR_EL1] ^= 2;
			cpu_sys_changed(m.cpu);
		}
		cpu_set_pstate(m.cpu, 0x3c5 | (pan ? PSR_PAN : 0));
		m.cpu->env.pc = CODE;
		m.cpu->env.x[10] = high + PAGE + i * STRIDE;
		m.cpu->env.x[3] = n + 1;
		expect_hvc(m.cpu, END);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(m.cpu->env.x[k], 10 * i + k);
		assert_int_equal(machine_read(&m, DATA + 0x1000 * i + 24), n + 1);
	}
	machine_free(&m);
}

/*
 * Pages of the upper half that are not global, under several ASIDs: descriptors and tables change with and without TLBI, and what
 * a load or a call finds is something that was there since the last TLBI that was for its address space, while that was the PE's. Anything
 * that a TLB of the architecture may do is let through, nothing else.
 */
enum { NG_PAGES = 24, NG_ASIDS_MOST = 80, NG_WORDS = 4, NG_NOTHING = NG_WORDS };
struct ng {
	struct machine m;
	uint64_t root, high, table[2]; /* of level 3 */
	unsigned now, asid;
	uint8_t is[2][NG_PAGES], may[NG_ASIDS_MOST][NG_PAGES]; /* numbers of words; bits of those that may be found */
	uint64_t seed;
};

static unsigned ng_random(struct ng *g, unsigned n)
{
	g->seed = g->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(g->seed >> 33) % n;
}

static uint64_t ng_va(unsigned page)
{
	return 0xffffff8000000000 + PAGE + page * 0x1000ull * (page % 3 ? 1 : 5);
}

/* What may be found there from now on, in the PE's address space. */
static void ng_changed(struct ng *g, unsigned page)
{
	uint8_t *may = &g->may[g->asid][page];

	*may = (uint8_t)((*may & ~(1u << NG_NOTHING)) |
			 1u << g->is[g->now][page]); /* what is not there is not in a TLB */
}

static void ng_set(struct ng *g, unsigned table, unsigned page, unsigned to)
{
	g->is[table][page] = (uint8_t)to;
	machine_write(&g->m, g->table[table] + 8 * (ng_va(page) >> 12 & 511),
		      to == NG_NOTHING ? 0 : (DATA + 0x1000ull * to) | PTE_AF | PTE_NG | PTE_V);
	if (table == g->now)
		ng_changed(g, page);
}

static void ng_invalidated(struct ng *g, unsigned asid, unsigned page)
{
	g->may[asid][page] = 0;
	if (asid == g->asid)
		ng_changed(g, page);
}

/* From one of the programs of ng_begin(): the number of what was found. */
static unsigned ng_run(struct ng *g, unsigned program)
{
	struct cpu *cpu = g->m.cpu;

	cpu->env.pc = CODE + 32 * program;
	cpu->env.x[0] = 0;
	assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
	if (cpu->el2.esr == ESR_MAKE(EC_HVC64, VEC_CUR_SYNC))
		return NG_NOTHING;
	assert_int_equal(cpu->el2.esr, ESR_MAKE(EC_HVC64, END));
	return (unsigned)cpu->env.x[0] >> 5 & 0xffff; /* of MOVZ */
}

enum { NG_LOAD, NG_CALL, NG_SWITCH, NG_TLBI_ASID, NG_TLBI_VA, NG_TLBI_ALL, NG_PAN, NG_NO_PAN };
static void ng_begin(struct ng *g)
{
	static const uint32_t programs[][8] = {
		[NG_LOAD] = {0xb9400140 /* ldr w0, [x10] */, 0xd4000002 /* hvc #0 */},
		[NG_CALL] = {0xd63f0140 /* blr x10 */, 0xd37be800 /* lsl x0, x0, #5 */, 0xd4000002},
		[NG_SWITCH] = {0xd5182008 /* msr ttbr0_el1, x8 */, 0xd5033fdf /* isb */, 0xd4000002},
		[NG_TLBI_ASID] = {0xd5088748 /* tlbi aside1, x8 */, 0xd5033f9f /* dsb sy */, 0xd5033fdf, 0xd4000002},
		[NG_TLBI_VA] = {0xd5088769 /* tlbi vaae1, x9 */, 0xd5033f9f, 0xd5033fdf, 0xd4000002},
		[NG_TLBI_ALL] = {0xd508871f /* tlbi vmalle1 */, 0xd5033f9f, 0xd5033fdf, 0xd4000002},
		[NG_PAN] = {0xd500419f /* msr pan, #1 */, 0xd4000002},
		[NG_NO_PAN] = {0xd500409f, 0xd4000002},
	};
	uint64_t l2;

	machine_new(&g->m, 1);
	g->root = machine_mmu(&g->m, g->m.cpu);
	g->high = machine_table(&g->m);
	l2 = machine_table(&g->m);
	g->m.cpu->sys[CPU_TCR_EL1] &= ~(1ull << 23); /* EPD1 */
	g->m.cpu->sys[CPU_TTBR1_EL1] = g->high;
	cpu_sys_changed(g->m.cpu);
	machine_write(&g->m, g->high + 8 * (PAGE >> 30 & 511), l2 | 3);
	g->now = g->asid = 0;
	for (unsigned t = 0; t < 2; t++)
		g->table[t] = machine_table(&g->m);
	machine_write(&g->m, l2 + 8 * (PAGE >> 21 & 511), g->table[0] | 3);
	memset(g->may, 0, sizeof(g->may));
	for (unsigned page = 0; page < NG_PAGES; page++) {
		for (unsigned t = 0; t < 2; t++)
			ng_set(g, t, page, ng_random(g, NG_WORDS + 1));
	}
	for (unsigned i = 0; i < NG_WORDS; i++) {
		const uint32_t words[] = {0xd2800000 | i << 5 /* mov x0, #i */, 0xd65f03c0 /* ret */};

		machine_load(&g->m, DATA + 0x1000 * i, words, sizeof(words));
	}
	machine_load(&g->m, CODE, programs[0], sizeof(programs));
}

/* calm: one change or TLBI of so many happens */
static void ng_try(unsigned asids, unsigned calm)
{
	struct ng g = {.seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 7};
	unsigned rounds = getenv("ROUNDS") ? (unsigned)strtoul(getenv("ROUNDS"), NULL, 0) : 30000;
	uint64_t l2;

	ng_begin(&g);
	l2 = machine_read(&g.m, g.high + 8 * (PAGE >> 30 & 511)) & ~0xfffull;
	for (unsigned n = 0; n < rounds; n++) {
		struct cpu *cpu = g.m.cpu;
		unsigned page = ng_random(&g, NG_PAGES), asid = ng_random(&g, asids), what = ng_random(&g, 40), got;

		if ((what < 5 || (what >= 8 && what < 13 && what != 11)) && ng_random(&g, calm)) {
			;
		} else if (what < 4) {
			ng_set(&g, ng_random(&g, 2), page, ng_random(&g, NG_WORDS + 1));
		} else if (what == 4) {
			g.now ^= 1;
			machine_write(&g.m, l2 + 8 * (PAGE >> 21 & 511), g.table[g.now] | 3);
			for (page = 0; page < NG_PAGES; page++)
				ng_changed(&g, page);
		} else if (what < 8) {
			cpu->env.x[8] = g.root | (uint64_t)asid << 48;
			ng_run(&g, NG_SWITCH);
			g.asid = asid;
			for (page = 0; page < NG_PAGES; page++)
				ng_changed(&g, page);
		} else if (what < 10) {
			cpu->env.x[8] = (uint64_t)asid << 48;
			ng_run(&g, NG_TLBI_ASID);
			for (page = 0; page < NG_PAGES; page++)
				ng_invalidated(&g, asid, page);
		} else if (what == 10) {
			cpu->env.x[9] = ng_va(page) >> 12 & 0xfffffffffff;
			ng_run(&g, NG_TLBI_VA);
			for (asid = 0; asid < asids; asid++)
				ng_invalidated(&g, asid, page);
		} else if (what == 11) {
			ng_run(&g, ng_random(&g, 2) ? NG_PAN : NG_NO_PAN);
		} else if (what == 12 && !ng_random(&g, 8)) {
			ng_run(&g, NG_TLBI_ALL);
			for (unsigned i = 0; i < asids * NG_PAGES; i++)
				ng_invalidated(&g, i / NG_PAGES, i % NG_PAGES);
		} else {
			cpu->env.x[10] = ng_va(page);
			got = ng_run(&g, what < 25 ? NG_CALL : NG_LOAD);
			if (!(g.may[g.asid][page] >> got & 1))
				fail_msg("round %u: page %u under ASID %u is %u, may be %x", n, page, g.asid, got,
					 g.may[g.asid][page]);
		}
	}
	machine_free(&g.m);
}

static void a_page_that_is_not_global_is_no_older_than_its_address_space_knows(void **state)
{
	ng_try(5, 1);
}

/* More than a PE keeps apart. */
static void nor_if_there_are_many_address_spaces(void **state)
{
	ng_try(NG_ASIDS_MOST, 1);
	ng_try(NG_ASIDS_MOST, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_descriptor_is_seen_after_tlbi),
		cmocka_unit_test(tlbi_of_one_address_drops_all_of_a_block_mapping),
		cmocka_unit_test(a_page_that_another_seems_to_continue_is_looked_at_by_itself),
		cmocka_unit_test(tlbi_of_one_page_drops_what_its_neighbours_knew_of_it),
		cmocka_unit_test(every_tlbi_drops_what_it_is_for),
		cmocka_unit_test(asids_have_eight_bits_unless_tcr_as_says_sixteen),
		cmocka_unit_test(two_address_spaces_do_not_see_each_other),
		cmocka_unit_test(a_global_page_of_the_upper_half_is_dropped_in_every_address_space),
		cmocka_unit_test(a_page_that_another_regime_looked_up_is_its_own_under_alignment_checks),
		cmocka_unit_test(a_page_that_is_not_global_is_no_older_than_its_address_space_knows),
		cmocka_unit_test(nor_if_there_are_many_address_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
