/* SPDX-License-Identifier: MIT */
/*
 * Several PEs on a thread each: broadcast maintenance is complete when the issuer's DSB is, in both directions at once and
 * against a stop of the group; kicks; exclusives; what PEs have translated together. Nothing here depends on timing: a hang is the
 * failure.
 */
#include "machine.h"

#include <pthread.h>
#include <sched.h>

enum { PAGE = 0x40400000, ROUNDS = 300 };

static void *run_to_hvc(void *arg)
{
	struct cpu *cpu = arg;

	while (cpu_run(cpu) == CPU_EXIT_KICK)
		;
	return NULL;
}

static void both(struct machine *m)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, run_to_hvc, m->pe[1]), 0);
	run_to_hvc(m->pe[0]);
	pthread_join(t, NULL);
}

/*
 * PE 0 changes a descriptor, TLBI, DSB, then says so in a flag; PE 1 waits for the flag and must not see the old page.
 * x20: flag, x21: descriptor, x22, x23: its values, x24: the page, x25: rounds, x26: answers
 */
static void the_other_pe_sees_a_changed_descriptor_once_dsb_is_done(void **state)
{
	struct machine m;
	uint64_t root, pte;

	machine_new(&m, 2);
	root = machine_mmu(&m, m.pe[0]);
	for (unsigned i = 0; i < CPU_SYS_COUNT; i++) {
		if (i != CPU_MPIDR_EL1)
			m.pe[1]->sys[i] = m.pe[0]->sys[i];
	}
	cpu_sys_changed(m.pe[1]);
	machine_map(&m, root, PAGE, DATA, PTE_AF);
	pte = machine_pte(&m, root, PAGE);
	machine_map(&m, root, PAGE + 0x1000, pte & ~0xfffull, PTE_AF); /* a window on the table */
	machine_write(&m, DATA, 0);
	machine_write(&m, DATA + 0x1000, 1);
	LOAD(&m, CODE,
	     {
		     0x91000400, /* add x0, x0, #1 */
		     0x92400001, /* and x1, x0, #1 */
		     0xf100003f, /* cmp x1, #0 */
		     0x9a9702c2, /* csel x2, x22, x23, eq */
		     0xf90002a2, /* str x2, [x21] */
		     0xd5033a9f, /* dsb ishst */
		     0xd508837b, /* tlbi vaae1is, x27 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xc89ffe80, /* stlr x0, [x20] */
		     0xc8dfff43, /* ldar x3, [x26] */
		     0xeb00007f, /* cmp x3, x0 */
		     0x54ffffc1, /* b.ne wait */
		     0xeb19001f, /* cmp x0, x25 */
		     0x54fffe41, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
	LOAD(&m, CODE + 0x200,
	     {
		     0xc8dffe83, /* ldar x3, [x20] */
		     0xeb00007f, /* cmp x3, x0 */
		     0x54ffffc0, /* b.eq loop */
		     0xf9400304, /* ldr x4, [x24] */
		     0x92400065, /* and x5, x3, #1 */
		     0xeb05009f, /* cmp x4, x5 */
		     0x9a8604c6, /* cinc x6, x6, ne */
		     0xaa0303e0, /* mov x0, x3 */
		     0xc89fff40, /* stlr x0, [x26] */
		     0xeb19001f, /* cmp x0, x25 */
		     0x54fffec1, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
	for (unsigned i = 0; i < 2; i++) {
		struct ir_env *env = &m.pe[i]->env;

		env->x[20] = DATA + 0x2000;
		env->x[21] = PAGE + 0x1000 + (pte & 0xfff);
		env->x[22] = DATA | PTE_AF | PTE_V;
		env->x[23] = (DATA + 0x1000) | PTE_AF | PTE_V;
		env->x[24] = PAGE;
		env->x[25] = ROUNDS;
		env->x[26] = DATA + 0x3000;
		env->x[27] = PAGE >> 12;
	}
	m.pe[1]->env.pc = CODE + 0x200;
	both(&m);
	assert_int_equal(m.pe[0]->el2.esr, ESR_MAKE(EC_HVC64, END));
	assert_int_equal(m.pe[1]->el2.esr, ESR_MAKE(EC_HVC64, END));
	assert_int_equal(m.pe[1]->env.x[6], 0);
	machine_free(&m);
}

/* PE 0 writes code, IC IVAU, DSB, then the flag; PE 1 calls it after the flag and must run the new code. */
static void the_other_pe_runs_new_code_once_dsb_is_done(void **state)
{
	struct machine m;

	machine_new(&m, 2);
	LOAD(&m, CODE,
	     {
		     0x91000400, /* add x0, x0, #1 */
		     0x531b6802, /* lsl w2, w0, #5 */
		     0x2a170042, /* orr w2, w2, w23 */
		     0xb90002a2, /* str w2, [x21] */
		     0xd50b7b35, /* dc cvau, x21 */
		     0xd5033b9f, /* dsb ish */
		     0xd50b7535, /* ic ivau, x21 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xc89ffe80, /* stlr x0, [x20] */
		     0xc8dfff43, /* ldar x3, [x26] */
		     0xeb00007f, /* cmp x3, x0 */
		     0x54ffffc1, /* b.ne wait */
		     0xeb19001f, /* cmp x0, x25 */
		     0x54fffe41, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
	LOAD(&m, CODE + 0x200,
	     {
		     0xc8dffe83, /* ldar x3, [x20] */
		     0xeb00007f, /* cmp x3, x0 */
		     0x54ffffc0, /* b.eq loop */
		     0xaa0303e0, /* mov x0, x3 */
		     0xd5033fdf, /* isb */
		     0xd63f02a0, /* blr x21 */
		     0xeb00009f, /* cmp x4, x0 */
		     0x9a8604c6, /* cinc x6, x6, ne */
		     0xc89fff40, /* stlr x0, [x26] */
		     0xeb19001f, /* cmp x0, x25 */
		     0x54fffec1, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
	LOAD(&m, USER,
	     {
		     0xd2800004, /* mov x4, #0 */
		     0xd65f03c0, /* ret */
	     });
	for (unsigned i = 0; i < 2; i++) {
		struct ir_env *env = &m.pe[i]->env;

		env->x[20] = DATA + 0x2000;
		env->x[21] = USER;
		env->x[23] = 0xd2800004; /* mov x4, #imm16 */
		env->x[25] = ROUNDS;
		env->x[26] = DATA + 0x3000;
	}
	m.pe[1]->env.pc = CODE + 0x200;
	both(&m);
	assert_int_equal(m.pe[1]->el2.esr, ESR_MAKE(EC_HVC64, END));
	assert_int_equal(m.pe[1]->env.x[6], 0);
	machine_free(&m);
}

/* Both issue broadcasts all the time: each waits for the other, and a third thread stops both. */
static void *stopper(void *arg)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < 200; i++) {
		if (i & 1)
			cpu_group_set_stage2(m->group, m->s2);
		else
			cpu_group_flush_tlbs(m->group);
	}
	return NULL;
}

static void pes_that_wait_for_each_other_and_a_stop_do_not_deadlock(void **state)
{
	struct machine m;
	pthread_t t;

	machine_new(&m, 2);
	LOAD(&m, CODE,
	     {
		     0xd508831f, /* tlbi vmalle1is */
		     0xd508711f, /* ic ialluis */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xf1000400, /* subs x0, x0, #1 */
		     0x54ffff61, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
	m.pe[0]->env.x[0] = m.pe[1]->env.x[0] = ROUNDS;
	assert_int_equal(pthread_create(&t, NULL, stopper, &m), 0);
	both(&m);
	pthread_join(t, NULL);
	assert_int_equal(m.pe[0]->el2.esr, ESR_MAKE(EC_HVC64, END));
	assert_int_equal(m.pe[1]->el2.esr, ESR_MAKE(EC_HVC64, END));
	machine_free(&m);
}

static void a_new_stage_2_is_in_force_when_set_stage2_returns(void **state)
{
	struct machine m;
	struct stage2 *other;
	uint8_t *ram2;
	pthread_t t;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xf9400140, /* ldr x0, [x10] */
		     0xb4ffffe0, /* cbz x0, loop */
		     0xd4000002, /* hvc #0 */
	     });
	m.cpu->env.x[10] = DATA;
	ram2 = aligned_alloc(4096, RAM_SIZE);
	memcpy(ram2, m.ram, RAM_SIZE);
	other = machine_stage2(&m, false);
	other->range[0].host = ram2;
	assert_int_equal(pthread_create(&t, NULL, run_to_hvc, m.cpu), 0);
	cpu_group_set_stage2(m.group, other);
	memset(m.ram, 0xff, RAM_SIZE); /* nobody looks at it any more */
	cpu_group_set_stage2(m.group, other);
	__atomic_store_n((uint64_t *)(void *)(ram2 + (DATA - RAM)), 7, __ATOMIC_SEQ_CST);
	pthread_join(t, NULL);
	assert_int_equal(m.cpu->el2.esr, ESR_MAKE(EC_HVC64, END));
	assert_int_equal(m.cpu->env.x[0], 7);
	machine_free(&m);
	free(other);
	free(ram2);
}

static void a_kick_from_another_thread_ends_a_loop(void **state)
{
	struct machine m;
	pthread_t t;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0x14000000, /* b . */
	     });
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pthread_create(&t, NULL, (void *(*)(void *))(void *)cpu_run, m.cpu), 0);
		cpu_kick(m.cpu);
		pthread_join(t, NULL);
		assert_int_equal(m.cpu->env.pc, CODE);
	}
	machine_free(&m);
}

/* x0 times: one more at [x10] by an exclusive pair, x3 more at [x11] by an atomic */
static void load_counter(struct machine *m, uint64_t at)
{
	LOAD(m, at,
	     {
		     0xc85ffd41, /* ldaxr x1, [x10] */
		     0x91000421, /* add x1, x1, #1 */
		     0xc802fd41, /* stlxr w2, x1, [x10] */
		     0x35ffffa2, /* cbnz w2, loop */
		     0xf8e30164, /* ldaddal x3, x4, [x11] */
		     0xf1000400, /* subs x0, x0, #1 */
		     0x54ffff41, /* b.ne loop */
		     0xd4000002, /* hvc #0 */
	     });
}

static void exclusives_and_atomics_count_right(void **state)
{
	struct machine m;

	machine_new(&m, 2);
	load_counter(&m, CODE);
	for (unsigned i = 0; i < 2; i++) {
		m.pe[i]->env.x[0] = 20000;
		m.pe[i]->env.x[3] = 1;
		m.pe[i]->env.x[10] = DATA;
		m.pe[i]->env.x[11] = DATA + 64;
	}
	both(&m);
	assert_int_equal(machine_read(&m, DATA), 40000);
	assert_int_equal(machine_read(&m, DATA + 64), 40000);
	machine_free(&m);
}

/* A PE that is alone need not lock anything; when the second comes, the first is in the middle of its loop. */
static void atomics_count_right_when_a_second_pe_comes(void **state)
{
	struct machine m;
	pthread_t t;

	machine_new(&m, 1);
	LOAD(&m, CODE,
	     {
		     0xc85ffd41, /* ldaxr x1, [x10] */
		     0x91000421, /* add x1, x1, #1 */
		     0xc802fd41, /* stlxr w2, x1, [x10] */
		     0x35ffffa2, /* cbnz w2, loop */
		     0xf8e30164, /* ldaddal x3, x4, [x11] */
		     0x91000400, /* add x0, x0, #1 */
		     0xf9400185, /* ldr x5, [x12] */
		     0xb4ffff25, /* cbz x5, loop */
		     0xd4000002, /* hvc #0 */
	     });
	load_counter(&m, CODE + 0x200);
	for (unsigned i = 0; i < 2; i++) {
		if (i) {
			while (__atomic_load_n((uint64_t *)(void *)machine_host(&m, DATA), __ATOMIC_RELAXED) < 1000)
				sched_yield();
			m.pe[1] = machine_pe(&m);
			m.pe[1]->env.pc = CODE + 0x200;
			m.pe[1]->env.x[0] = 20000;
		}
		m.pe[i]->env.x[3] = 1;
		m.pe[i]->env.x[10] = DATA;
		m.pe[i]->env.x[11] = DATA + 64;
		m.pe[i]->env.x[12] = DATA + 128;
		if (!i)
			assert_int_equal(pthread_create(&t, NULL, run_to_hvc, m.pe[0]), 0);
	}
	run_to_hvc(m.pe[1]);
	__atomic_store_n((uint64_t *)(void *)machine_host(&m, DATA + 128), 1, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	assert_int_equal(machine_read(&m, DATA), m.pe[0]->env.x[0] + 20000);
	assert_int_equal(machine_read(&m, DATA + 64), m.pe[0]->env.x[0] + 20000);
	machine_free(&m);
}

/* ---- translations belong to the group */

static bool translates(void)
{
	const char *engine = getenv("PAWL_ENGINE");

	return engine && !strcmp(engine, "jit");
}

static void what_one_pe_has_translated_another_runs(void **state)
{
	struct machine m;

	machine_new(&m, 2);
	load_counter(&m, CODE);
	for (unsigned i = 0; i < 2; i++) {
		m.pe[i]->env.x[0] = 10;
		m.pe[i]->env.x[3] = 1;
		m.pe[i]->env.x[10] = DATA;
		m.pe[i]->env.x[11] = DATA + 64;
		expect_hvc(m.pe[i], END);
	}
	assert_int_equal(machine_read(&m, DATA), 20);
	assert_true(m.pe[0]->stat[CPU_STAT_UNITS] + m.pe[0]->stat[CPU_STAT_BLOCKS] > 0);
	assert_int_equal(m.pe[1]->stat[CPU_STAT_UNITS] + m.pe[1]->stat[CPU_STAT_BLOCKS], 0);
	machine_free(&m);
}

/* One has links to all of the loop when the other, which stops in the middle of it, comes. */
static void a_breakpoint_is_for_one_pe(void **state)
{
	struct machine m;

	machine_new(&m, 2);
	LOAD(&m, CODE,
	     {
		     0x91000421, /* 1: add x1, x1, #1 */
		     0x14000002, /* b 2f */
		     0xd503201f, /* nop */
		     0x91000842, /* 2: add x2, x2, #2 */
		     0xf1000400, /* subs x0, x0, #1 */
		     0x54ffff61, /* b.ne 1b */
		     0xd4000002, /* hvc #0 */
	     });
	for (unsigned i = 0; i < 2; i++) {
		m.pe[i]->env.x[0] = 100;
		m.pe[i]->el2.tde = true;
	}
	expect_hvc(m.pe[0], END);
	m.pe[1]->el2.mdscr = 1 << 15 | 1 << 13; /* MDE, KDE */
	m.pe[1]->dbg.bvr[0] = CODE + 12;
	m.pe[1]->dbg.bcr[0] = 0x1e7;
	for (unsigned round = 1; round <= 3; round++) {
		expect_trap(m.pe[1], 0xc2000022, CODE + 12);
		assert_int_equal(m.pe[1]->env.x[1], round);
		m.pe[0]->env.pc = CODE;
		m.pe[0]->env.x[0] = 100;
		expect_hvc(m.pe[0], END);
		m.pe[1]->dbg.bcr[0] = 0; /* over it: another one, a round later */
		m.pe[1]->dbg.bvr[1] = CODE;
		m.pe[1]->dbg.bcr[1] = 0x1e7;
		expect_trap(m.pe[1], 0xc2000022, CODE);
		m.pe[1]->dbg.bcr[1] = 0;
		m.pe[1]->dbg.bcr[0] = 0x1e7;
	}
	m.pe[1]->dbg.bcr[0] = 0;
	expect_hvc(m.pe[1], END);
	assert_int_equal(m.pe[1]->env.x[2], 200);
	assert_int_equal(m.pe[0]->env.x[2], 800);
	machine_free(&m);
}

/* The same words at the same place: LDADD for one, for the other, which has no FEAT_LSE, undefined. */
static void pes_with_other_features_run_other_code(void **state)
{
	struct machine m;

	machine_new(&m, 3);
	LOAD(&m, CODE,
	     {
		     0xf8230144, /* ldadd x3, x4, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	m.pe[1]->id[CPU_ID(6, 0)] &= ~(15ull << 20); /* ID_AA64ISAR0_EL1.Atomic */
	cpu_id_changed(m.pe[1]);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < 3; i++) {
			m.pe[i]->env.pc = CODE;
			m.pe[i]->env.x[3] = 1;
			m.pe[i]->env.x[10] = DATA;
		}
		expect_hvc(m.pe[0], END);
		expect_el1(m.pe[1], VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE);
		expect_hvc(m.pe[2], END);
		assert_int_equal(machine_read(&m, DATA), 2 * round);
	}
	machine_free(&m);
}

/* Both run the same page, from which each gets to a page of its own, by itself. */
static void a_link_to_another_page_is_for_who_has_that_page_there(void **state)
{
	struct machine m;
	uint64_t left[2];

	machine_new(&m, 2);
	LOAD(&m, CODE,
	     {
		     0x94100000, /* 1: bl PAGE */
		     0xf1000400, /* subs x0, x0, #1 */
		     0x54ffffc1, /* b.ne 1b */
		     0xd4000002, /* hvc #0 */
	     });
	for (unsigned i = 0; i < 2; i++) {
		uint32_t code[] = {0x91000421 + (i << 10), /* add x1, x1, #1 or #2 */
				   0xd65f03c0 /* ret */};
		uint64_t page = RAM + 0xa000 + 0x1000 * i;

		machine_load(&m, page, code, sizeof(code));
		machine_map(&m, machine_mmu(&m, m.pe[i]), PAGE, page, PTE_AF);
	}
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < 2; i++) {
			uint64_t *stat = m.pe[i]->stat;

			m.pe[i]->env.pc = CODE;
			m.pe[i]->env.x[0] = 100;
			left[i] = stat[CPU_STAT_LEFT_LINK] + stat[CPU_STAT_LEFT_LOOKUP];
			expect_hvc(m.pe[i], END);
			assert_int_equal(m.pe[i]->env.x[1], 100 * round * (i + 1));
			assert_in_range(stat[CPU_STAT_LEFT_LINK] + stat[CPU_STAT_LEFT_LOOKUP] - left[i], 0, 10);
		}
	}
	machine_free(&m);
}

enum {
	FUNCTIONS = RAM + 0x20000, /* a page for each PE, and behind them another one with its end */
	FILLER = RAM + 0x30000,	   /* many blocks */
	CELLS = DATA,
	FILL = 400,
};

/* Meanwhile a third party stops them all, makes PEs and unmakes them. */
static void *disturb(void *arg)
{
	struct machine *m = arg;

	for (unsigned i = 0; !__atomic_load_n(&m->over, __ATOMIC_RELAXED); i++) {
		struct cpu *cpu;

		cpu_group_flush_tlbs(m->group);
		cpu_kick(m->pe[i % MAX_PES]);
		cpu = machine_pe(m);
		cpu->env.pc = FUNCTIONS;
		cpu->env.x[30] = FILLER + 4 * FILL + 4;
		assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
		cpu_free(cpu);
		sched_yield();
	}
	return NULL;
}

/*
 * Each PE writes a number into three instructions of its own function: in the second and third of three blocks, which are linked, and
 * in a fourth in another page; IC, DSB; and then it tells the number. Then it calls everybody's function: it must not find a number that
 * is older than what it was told before, nor newer than what is told behind it. x0: how often it did.
 * x14, x21: own function, x19: rounds, x20: told numbers, x22: own number's place, x23: number, x24: the first instruction with 0,
 * x26: what else to call, x27: how many PEs, x28: the first function
 */
static void patch_and_run(unsigned rounds, bool fill)
{
	struct machine m;
	pthread_t t[MAX_PES], other;

	machine_new(&m, MAX_PES);
	LOAD(&m, CODE,
	     {
		     0x910006f7, /* 1: add x23, x23, #1 */
		     0x531b6ae2, /* lsl w2, w23, #5 */
		     0x0b180043, /* add w3, w2, w24 */
		     0xb9000aa3, /* str w3, [x21, #8] */
		     0x11000463, /* add w3, w3, #1 */
		     0xb90016a3, /* str w3, [x21, #20] */
		     0x11000463, /* add w3, w3, #1 */
		     0xb90001c3, /* str w3, [x14] */
		     0xd50b7b35, /* dc cvau, x21 */
		     0xd50b7b2e, /* dc cvau, x14 */
		     0xd5033b9f, /* dsb ish */
		     0xd50b7535, /* ic ivau, x21 */
		     0xd50b752e, /* ic ivau, x14 */
		     0xd5033b9f, /* dsb ish */
		     0xd5033fdf, /* isb */
		     0xc89ffed7, /* stlr x23, [x22] */
		     0xaa1403e9, /* mov x9, x20 */
		     0xaa1c03ea, /* mov x10, x28 */
		     0xaa1b03eb, /* mov x11, x27 */
		     0xc8dffd2c, /* 2: ldar x12, [x9] */
		     0xd5033fdf, /* isb */
		     0xd63f0140, /* blr x10 */
		     0xc8dffd2d, /* ldar x13, [x9] */
		     0x910005ad, /* add x13, x13, #1 */
		     0xeb0c009f, /* cmp x4, x12 */
		     0xfa4c20a0, /* ccmp x5, x12, #0, hs */
		     0xfa4c20c0, /* ccmp x6, x12, #0, hs */
		     0x9a802400, /* cinc x0, x0, lo */
		     0xeb0d009f, /* cmp x4, x13 */
		     0xfa4d90a2, /* ccmp x5, x13, #2, ls */
		     0xfa4d90c2, /* ccmp x6, x13, #2, ls */
		     0x9a809400, /* cinc x0, x0, hi */
		     0x91010129, /* add x9, x9, #64 */
		     0x9140054a, /* add x10, x10, #0x1000 */
		     0xf100056b, /* subs x11, x11, #1 */
		     0x54fffe01, /* b.ne 2b */
		     0xd63f0340, /* blr x26 */
		     0xf1000673, /* subs x19, x19, #1 */
		     0x54fffb41, /* b.ne 1b */
		     0xd4000002, /* hvc #0 */
	     });
	for (unsigned i = 0; i < MAX_PES; i++) {
		struct ir_env *env = &m.pe[i]->env;

		LOAD(&m, FUNCTIONS + 0x1000 * i,
		     {
			     0x14000002, /* b 1f */
			     0xd503201f, /* nop */
			     0xd2800004, /* 1: mov x4, #0 */
			     0x14000002, /* b 2f */
			     0xd503201f, /* nop */
			     0xd2800005, /* 2: mov x5, #0 */
			     0x14001000, /* b .+0x4000 */
		     });
		LOAD(&m, FUNCTIONS + 0x4018 + 0x1000 * i,
		     {
			     0xd2800006, /* mov x6, #0 */
			     0xd65f03c0, /* ret */
		     });
		env->x[14] = FUNCTIONS + 0x4018 + 0x1000 * i;
		env->x[19] = rounds;
		env->x[20] = CELLS;
		env->x[21] = FUNCTIONS + 0x1000 * i;
		env->x[22] = CELLS + 64 * i;
		env->x[24] = 0xd2800004; /* mov x4, #imm16 */
		env->x[26] = fill ? FILLER + 4 * i : FILLER + 4 * FILL;
		env->x[27] = MAX_PES;
		env->x[28] = FUNCTIONS;
	}
	for (unsigned i = 0; i < FILL; i++)
		LOAD(&m, FILLER + 4 * i, {0x14000001 /* b .+4 */});
	LOAD(&m, FILLER + 4 * FILL, {0xd65f03c0 /* ret */, 0xd4000002 /* hvc #0 */});
	assert_int_equal(pthread_create(&other, NULL, disturb, &m), 0);
	for (unsigned i = 0; i < MAX_PES; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run_to_hvc, m.pe[i]), 0);
	for (unsigned i = 0; i < MAX_PES; i++)
		pthread_join(t[i], NULL);
	__atomic_store_n(&m.over, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	for (unsigned i = 0; i < MAX_PES; i++) {
		assert_int_equal(m.pe[i]->el2.esr, ESR_MAKE(EC_HVC64, END));
		assert_int_equal(m.pe[i]->env.x[0], 0);
		assert_int_equal(machine_read(&m, CELLS + 64 * i), rounds);
		assert_true(!fill || m.pe[i]->stat[CPU_STAT_CODE_DROPS] > 0 || !translates());
	}
	machine_free(&m);
}

static void pes_that_patch_what_the_others_run_see_every_change_that_was_completed(void **state)
{
	patch_and_run(2000, false);
}

static void the_same_while_the_code_cache_is_full_again_and_again(void **state)
{
	setenv("PAWL_CODE_CACHE", "1", 1); /* as small as it can be */
	patch_and_run(400, true);
	unsetenv("PAWL_CODE_CACHE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_other_pe_sees_a_changed_descriptor_once_dsb_is_done),
		cmocka_unit_test(the_other_pe_runs_new_code_once_dsb_is_done),
		cmocka_unit_test(pes_that_wait_for_each_other_and_a_stop_do_not_deadlock),
		cmocka_unit_test(a_new_stage_2_is_in_force_when_set_stage2_returns),
		cmocka_unit_test(a_kick_from_another_thread_ends_a_loop),
		cmocka_unit_test(exclusives_and_atomics_count_right),
		cmocka_unit_test(atomics_count_right_when_a_second_pe_comes),
		cmocka_unit_test(what_one_pe_has_translated_another_runs),
		cmocka_unit_test(a_breakpoint_is_for_one_pe),
		cmocka_unit_test(a_link_to_another_page_is_for_who_has_that_page_there),
		cmocka_unit_test(pes_with_other_features_run_other_code),
		cmocka_unit_test(pes_that_patch_what_the_others_run_see_every_change_that_was_completed),
		cmocka_unit_test(the_same_while_the_code_cache_is_full_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
