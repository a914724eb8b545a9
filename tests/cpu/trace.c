/* SPDX-License-Identifier: MIT */
/*
 * Loops that are hot and made one unit (cpu/trace.c): what such a unit must not go through, and that what is left in the middle of it is
 * exact. Units are hot after few entries here.
 */
#include "machine.h"

enum { AROUND = 2000, A = RAM + 0xa000, B = RAM + 0xc000 /* VAs */ };

static uint64_t reads, every;
static struct machine *bench;

/* Every so often an interrupt is there, which is masked at that time. */
static int read_and_raise(void *opaque, uint32_t enc, uint64_t *val)
{
	*val = 0;
	if (++reads % every == 0)
		atomic_store(&bench->cpu->irq_in, CPU_IRQ);
	return 0;
}

static int write_nothing(void *opaque, uint32_t enc, uint64_t val)
{
	return 0;
}

struct work {
	uint64_t x4, x5, x6, x7, x8, x9, n;
};

/* Up to where interrupts are unmasked; and the rest of the loop. */
static void work_on(struct work *w)
{
	w->n++;
	w->x4++;
	w->x5 += w->x4;
	w->x6 ^= w->x5;
	w->x7 += w->x6;
	w->x8 -= w->x7;
}

static void expect_work(const struct cpu *cpu, const struct work *w)
{
	assert_int_equal(cpu->env.x[4], w->x4);
	assert_int_equal(cpu->env.x[5], w->x5);
	assert_int_equal(cpu->env.x[6], w->x6);
	assert_int_equal(cpu->env.x[7], w->x7);
	assert_int_equal(cpu->env.x[8], w->x8);
	assert_int_equal(cpu->env.x[9], w->x9);
	assert_int_equal(cpu->env.x[10], AROUND - w->n + 1);
}

static void an_interrupt_that_a_loop_unmasks_finds_its_registers(void **state)
{
	static const struct cpu_platform platform = {.icc_read = read_and_raise, .icc_write = write_nothing};

	for (every = 1; every < 40; every += 3) {
		struct work w = {.n = 0};
		struct machine m;

		machine_new(&m, 0);
		bench = &m;
		m.cpu = m.pe[0] = cpu_new(m.group, &platform, NULL);
		assert_non_null(m.cpu);
		m.cpu->sys[CPU_VBAR_EL1] = VECTORS;
		cpu_set_pstate(m.cpu, PSR_EL1H);
		m.cpu->env.pc = CODE;
		m.cpu->env.x[10] = AROUND;
		reads = 0;
		LOAD(&m, CODE,
		     {
			     0xd50342df, /* 1: msr daifset, #2 */
			     0xd538cc00, /* mrs x0, icc_iar1_el1 */
			     0x91000484, /* add x4, x4, #1 */
			     0x8b0400a5, /* add x5, x5, x4 */
			     0xca0500c6, /* eor x6, x6, x5 */
			     0x8b0600e7, /* add x7, x7, x6 */
			     0xcb070108, /* sub x8, x8, x7 */
			     0xd50342ff, /* msr daifclr, #2 */
			     0x8b080129, /* add x9, x9, x8 */
			     0xf100054a, /* subs x10, x10, #1 */
			     0x54fffec1, /* b.ne 1b */
			     0xd4000002, /* hvc #0 */
		     });
		while (w.n + every <= AROUND) {
			for (unsigned i = 0; i < every; i++) {
				if (w.n)
					w.x9 += w.x8;
				work_on(&w);
			}
			expect_hvc(m.cpu, VEC_CUR_IRQ);
			assert_int_equal(m.cpu->sys[CPU_ELR_EL1], CODE + 32);
			expect_work(m.cpu, &w);
			atomic_store(&m.cpu->irq_in, 0);
			m.cpu->env.pc = m.cpu->sys[CPU_ELR_EL1];
			cpu_set_pstate(m.cpu, (uint32_t)m.cpu->sys[CPU_SPSR_EL1]);
		}
		expect_hvc(m.cpu, END);
		machine_free(&m);
	}
}

/*
 * A loop of two blocks in one page of memory, which is in two pages of VAs; and then the second VA is that of other code. The second block is
 * hot before the first one is there.
 */
static void a_loop_through_another_page_ends_when_that_page_is_another(void **state)
{
	struct machine m;
	uint64_t root;

	machine_new(&m, 1);
	root = machine_mmu(&m, m.cpu);
	machine_map(&m, root, B, A, PTE_AF | PTE_SH);
	LOAD(&m, A,
	     {
		     0xd4000002, /* 1: hvc #0 */
		     0x54000040, /* b.eq 2f */
		     0x1400080e, /* b B + 0x40 */
		     0xd4000002, /* 2: hvc #0 */
	     });
	LOAD(&m, A + 0x40, {0xf9400083 /* ldr x3, [x4] */, 0x91000421 /* add x1, x1, #1 */, 0x17fff7ee /* b A */});
	LOAD(&m, A + 0x1040, {0xf9400083 /* ldr x3, [x4] */, 0x91000842 /* add x2, x2, #2 */, 0x17fff7ee /* b A */});
	m.cpu->env.x[4] = DATA;
	LOAD(&m, CODE, {0xd508831f /* tlbi vmalle1is */, 0xd5033b9f /* dsb ish */, 0xd5033fdf /* isb */, 0xd4000002});
	for (unsigned i = 0; i < 100; i++) {
		m.cpu->env.pc = B + 0x40;
		expect_hvc(m.cpu, END);
	}
	LOAD(&m, A, {0xf1000400 /* 1: subs x0, x0, #1 */});
	cpu_code_changed(m.cpu);
	for (unsigned round = 0; round < 4; round++) {
		m.cpu->env.pc = A;
		m.cpu->env.x[0] = AROUND + 1;
		m.cpu->env.x[1] = m.cpu->env.x[2] = 0;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[1], round % 2 ? 0 : AROUND);
		assert_int_equal(m.cpu->env.x[2], round % 2 ? 2 * AROUND : 0);
		machine_map(&m, root, B, round % 2 ? A : A + 0x1000, PTE_AF | PTE_SH);
		m.cpu->env.pc = CODE;
		expect_hvc(m.cpu, END);
	}
	machine_free(&m);
}

/*
 * The block that uses SP is hot before the other one is there, which so becomes the head of the loop, and has nothing to do with SP.
 */
static void a_loop_that_is_entered_with_sp_misaligned_faults_where_it_uses_sp(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	machine_mmu(&m, m.cpu);
	LOAD(&m, CODE,
	     {
		     0xd4000002, /* 1: hvc #0 */
		     0x540000a0, /* b.eq 3f */
		     0x14000002, /* b 2f */
		     0xd503201f, /* nop */
		     0xf94003e1, /* 2: ldr x1, [sp] */
		     0x17fffffb, /* b 1b */
		     0xd4000002, /* 3: hvc #0 */
	     });
	m.cpu->env.x[31] = DATA;
	for (unsigned i = 0; i < 100; i++) {
		m.cpu->env.pc = CODE + 16;
		expect_hvc(m.cpu, END);
	}
	LOAD(&m, CODE, {0xf1000400 /* 1: subs x0, x0, #1 */});
	cpu_code_changed(m.cpu);
	for (unsigned round = 0; round < 4; round++) {
		m.cpu->env.pc = CODE;
		m.cpu->env.x[0] = AROUND;
		m.cpu->env.x[31] = DATA;
		expect_hvc(m.cpu, END);
		m.cpu->env.pc = CODE;
		m.cpu->env.x[0] = AROUND;
		m.cpu->env.x[31] = DATA + 8;
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_SP_ALIGN, 0), CODE + 16);
		assert_int_equal(m.cpu->env.x[0], AROUND - 1);
	}
	assert_int_equal(m.cpu->stat[CPU_STAT_TRACES] > 0, m.cpu->stat[CPU_STAT_UNITS] > 0);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_that_a_loop_unmasks_finds_its_registers),
		cmocka_unit_test(a_loop_through_another_page_ends_when_that_page_is_another),
		cmocka_unit_test(a_loop_that_is_entered_with_sp_misaligned_faults_where_it_uses_sp),
	};

	setenv("PAWL_HEAT", "16", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
