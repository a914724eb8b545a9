/* SPDX-License-Identifier: MIT */
/*
 * PEs that go from one address space to another, each on a thread, and change each other's pages meanwhile: who is in another address
 * space is not waited for, and applies what has changed when it comes back. Each page has a number in it that grows, and is announced when
 * the DSB is over: nobody may see a smaller one afterwards. Nothing here depends on timing.
 */
#include "machine.h"

#include <pthread.h>
#include <sched.h>

enum {
	PES = 3,
	SPACES = 4,
	GLOBAL = SPACES, /* the page that is the same in each of them */
	OBJECTS,
	COPIES = 8, /* pages that a VA leads to in turn */
	COMMANDS = 2000,
	COMMAND_BYTES = 96,
	LIST = RAM + 0x20000,
	COPY = RAM + 0x1c0000,
	OWN_VA = 0x40400000,
	GLOBAL_VA = 0x40600000
};
enum tlbi { ONE, ASID, ALL, MANY, LOCAL_TOO, COME_OUT = 1 << 8 };

#define TCR_A1_BIT (1ull << 22)
#define TCR_AS_BIT (1ull << 36)

enum {
	GLOBALS = 1,
	WIDE = 2,
	IN_TTBR1 = 4
}; /* what a round has: pages that are global, ASIDs of 16 bits, in TTBR1_EL1 */

struct world {
	struct machine m;
	uint64_t root[SPACES], pte[OBJECTS];
	uint16_t asid[SPACES];
	uint64_t number[OBJECTS];
	unsigned seed;
};

static unsigned any_of(struct world *w, unsigned n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

static uint64_t copy_of(unsigned object, uint64_t number)
{
	return COPY + 4096 * (COPIES * object + number % COPIES);
}

static uint64_t pte_for(unsigned object, uint64_t number)
{
	return copy_of(object, number) | PTE_AF | PTE_SH | PTE_EL0 | PTE_V | (object == GLOBAL ? 0 : PTE_NG);
}

static void write_program(struct machine *m)
{
	LOAD(m, CODE,
	     {
		     0xa8c10680, /* loop: ldp x0, x1, [x20], #16 */
		     0xa8c10e82, /* ldp x2, x3, [x20], #16 */
		     0xa8c11684, /* ldp x4, x5, [x20], #16 */
		     0xa8c11e86, /* ldp x6, x7, [x20], #16 */
		     0xa8c12e8a, /* ldp x10, x11, [x20], #16 */
		     0xa8c13e8e, /* ldp x14, x15, [x20], #16 */
		     0xd518202e, /* msr ttbr1_el1, x14 */
		     0xd5182000, /* msr ttbr0_el1, x0 */
		     0xd5033fdf, /* isb */
		     0xc8dffc48, /* ldar x8, [x2] */
		     0xf8400829, /* ldtr x9, [x1] */
		     0xeb08013f, /* cmp x9, x8 */
		     0x9a9526b5, /* cinc x21, x21, lo */
		     0xb4000443, /* cbz x3, next */
		     0xf9000147, /* str x7, [x10] */
		     0xd5033bbf, /* dmb ish */
		     0xf9000064, /* str x4, [x3] */
		     0xd5033a9f, /* dsb ishst */
		     0x9240096c, /* and x12, x11, #7 */
		     0xf100059f, /* cmp x12, #1 */
		     0x54000103, /* b.lo one */
		     0x54000120, /* b.eq asid */
		     0xf1000d9f, /* cmp x12, #3 */
		     0x54000123, /* b.lo all */
		     0x54000140, /* b.eq many */
		     0xd508871f, /* tlbi vmalle1 */
		     0xd5088365, /* tlbi vaae1is, x5 */
		     0x1400000d, /* b done */
		     0xd5088325, /* one: tlbi vae1is, x5 */
		     0x1400000b, /* b done */
		     0xd5088345, /* asid: tlbi aside1is, x5 */
		     0x14000009, /* b done */
		     0xd5088365, /* all: tlbi vaae1is, x5 */
		     0x14000007, /* b done */
		     0xaa1f03ec, /* many: mov x12, xzr */
		     0x8b0c00ad, /* page: add x13, x5, x12 */
		     0xd508832d, /* tlbi vae1is, x13 */
		     0x9100058c, /* add x12, x12, #1 */
		     0xf100a19f, /* cmp x12, #40 */
		     0x54ffff81, /* b.ne page */
		     0xd5033b9f, /* done: dsb ish */
		     0xc8dffc48, /* ldar x8, [x2] */
		     0xf8400829, /* ldtr x9, [x1] */
		     0xeb08013f, /* cmp x9, x8 */
		     0x9a9526b5, /* cinc x21, x21, lo */
		     0xd5033fdf, /* isb */
		     0xc89ffcc7, /* stlr x7, [x6] */
		     0x3640004b, /* next: tbz x11, #8, more */
		     0xd4000022, /* hvc #1 */
		     0xd1000673, /* more: sub x19, x19, #1 */
		     0xb5fff9d3, /* cbnz x19, loop */
		     0xd4000002, /* hvc #0 */
	     });
}

/* One entry of PE pe's list: into a space, a look at a page, and for half of them a change of a page that is this PE's to change. */
static void write_command(struct world *w, unsigned pe, uint64_t at, unsigned how)
{
	unsigned space = any_of(w, SPACES), seen = how & GLOBALS && !any_of(w, 4) ? GLOBAL : space;
	unsigned changed = pe + PES * any_of(w, 2), kind = any_of(w, 5);
	unsigned asid = w->asid[changed < SPACES ? changed : any_of(w, SPACES)];
	uint64_t va = changed == GLOBAL ? GLOBAL_VA : OWN_VA;
	uint64_t c[COMMAND_BYTES / 8] = {
		w->root[space] | (how & IN_TTBR1 ? 0 : (uint64_t)w->asid[space] << 48),
		seen == GLOBAL ? GLOBAL_VA : OWN_VA,
		DATA + 64 * seen,
	};

	if (changed < (how & GLOBALS ? OBJECTS : SPACES) && any_of(w, 2)) {
		uint64_t number = ++w->number[changed];

		if (changed == GLOBAL && kind == ASID)
			kind = ONE; /* a TLBI of an ASID leaves what is global */
		c[3] = w->pte[changed];
		c[4] = pte_for(changed, number);
		c[5] = va >> 12 | (uint64_t)asid << 48;
		c[6] = DATA + 64 * changed;
		c[7] = number;
		c[8] = copy_of(changed, number);
		c[9] = kind;
	}
	c[10] = how & IN_TTBR1 ? (uint64_t)w->asid[space] << 48 : 0;
	c[9] |= any_of(w, 40) ? 0 : COME_OUT;
	memcpy(machine_host(&w->m, at), c, sizeof(c));
}

static void *run(void *arg)
{
	struct cpu *cpu = arg;

	for (;;) {
		int why = cpu_run(cpu);

		if (why == CPU_EXIT_TRAP && cpu->el2.esr == ESR_MAKE(EC_HVC64, 1))
			sched_yield(); /* on a machine with few processors, too, each comes to see what the others did */
		else if (why != CPU_EXIT_KICK)
			return NULL;
	}
}

static void go_round(unsigned how, unsigned seed)
{
	/* 1 and 1025 have the same low bits; with 8 bits the upper ones say nothing */
	static const uint16_t wide[SPACES] = {1, 1025, 2, 0x8003}, narrow[SPACES] = {0x501, 0xff02, 3, 0x8004};
	struct world w = {.seed = seed};
	uint64_t shared;
	pthread_t t[PES];

	machine_new(&w.m, PES);
	machine_mmu(&w.m, w.m.pe[0]);
	write_program(&w.m);
	shared = machine_table(&w.m); /* the last level at GLOBAL_VA */
	for (unsigned i = 0; i < SPACES; i++) {
		uint64_t l2 = machine_table(&w.m);

		w.asid[i] = how & WIDE ? wide[i] : narrow[i];
		w.root[i] = machine_table(&w.m);
		machine_write(&w.m, w.root[i] + 8 * (RAM >> 30), l2 | 3);
		machine_write(&w.m, l2, RAM | PTE_AF | PTE_SH | PTE_NG | PTE_BLOCK);
		machine_write(&w.m, l2 + 8 * (GLOBAL_VA >> 21 & 511), shared | 3);
		w.pte[i] = machine_pte(&w.m, w.root[i], OWN_VA);
	}
	w.pte[GLOBAL] = shared + 8 * (GLOBAL_VA >> 12 & 511);
	for (unsigned o = 0; o < OBJECTS; o++)
		machine_write(&w.m, w.pte[o], pte_for(o, 0));
	for (unsigned i = 0; i < PES; i++) {
		struct cpu *cpu = w.m.pe[i];
		uint64_t list = LIST + (uint64_t)i * COMMANDS * COMMAND_BYTES;

		for (unsigned k = 0; k < COMMANDS; k++)
			write_command(&w, i, list + (uint64_t)k * COMMAND_BYTES, how);
		for (unsigned s = 0; i && s < CPU_SYS_COUNT; s++) {
			if (s != CPU_MPIDR_EL1)
				cpu->sys[s] = w.m.pe[0]->sys[s];
		}
		if (!i)
			cpu->sys[CPU_TCR_EL1] |= (how & WIDE ? TCR_AS_BIT : 0) | (how & IN_TTBR1 ? TCR_A1_BIT : 0);
		cpu->sys[CPU_TTBR0_EL1] = w.root[i] | (uint64_t)w.asid[i] << 48;
		cpu_sys_changed(cpu);
		cpu->env.x[19] = COMMANDS;
		cpu->env.x[20] = list;
		cpu->env.x[21] = 0;
	}
	for (unsigned i = 0; i < PES; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run, w.m.pe[i]), 0);
	for (unsigned i = 0; i < PES; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w.m.pe[i]->el2.esr, ESR_MAKE(EC_HVC64, END));
		assert_int_equal(w.m.pe[i]->env.x[19], 0);
		assert_int_equal(w.m.pe[i]->env.x[21], 0); /* pages that were older than had been announced */
	}
	machine_free(&w.m);
}

static void rounds(unsigned how)
{
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : 1;
	unsigned n = getenv("ROUNDS") ? (unsigned)atoi(getenv("ROUNDS")) : 4;

	for (unsigned i = 0; i < n; i++)
		go_round(how, seed + i);
}

static void a_page_is_no_older_than_the_dsb_when_an_address_space_is_entered_again(void **state)
{
	rounds(WIDE);
}

static void so_it_is_with_asids_of_eight_bits(void **state)
{
	rounds(0);
}

static void so_it_is_with_the_asid_of_the_other_table(void **state)
{
	rounds(WIDE | IN_TTBR1);
}

static void a_global_page_of_the_lower_half_changes_in_all_address_spaces(void **state)
{
	rounds(GLOBALS | WIDE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_no_older_than_the_dsb_when_an_address_space_is_entered_again),
		cmocka_unit_test(so_it_is_with_asids_of_eight_bits),
		cmocka_unit_test(so_it_is_with_the_asid_of_the_other_table),
		cmocka_unit_test(a_global_page_of_the_lower_half_changes_in_all_address_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
