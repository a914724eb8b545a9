/* SPDX-License-Identifier: MIT */
/*
 * What a code cache does that takes long to come about: numbers of views that come again, more kinds of PEs than there are
 * numbers for. What was translated before must not be found then under a name that is another one's now. And what may come between a
 * branch and its link, brought about by a register whose read waits for another PE.
 */
#include "machine.h"

#include <sched.h>

#include "internal.h"

enum { FUNCTION = RAM + 0xa000, OTHER = END + 1 };

/*
 * At `at`: x0 = number. At `at` + 0x40: a branch there, three times at most.
 * A PE that goes there by the second way comes by the page's view first, and to the first way's block by its jump cache.
 */
static void load_number(struct machine *m, uint64_t at, uint32_t number)
{
	LOAD(m, at,
	     {
		     0xd2800000 | number << 5, /* mov x0, #number */
		     0xd4000002,	       /* hvc #0 */
	     });
	LOAD(m, at + 0x40,
	     {
		     0xf1000442,	     /* subs x2, x2, #1 */
		     0x54fffde1,	     /* b.ne at */
		     0xd4000002 | OTHER << 5 /* hvc #1 */
	     });
}

static void expect_number(struct cpu *cpu, uint64_t pc, uint64_t number)
{
	cpu->env.pc = pc;
	cpu->env.x[0] = 0;
	cpu->env.x[2] = 3;
	expect_hvc(cpu, END);
	assert_int_equal(cpu->env.x[0], number);
}

static void numbers_of_views_run_out_and_come_again_from_the_first(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (uint32_t round = 1; round <= 3; round++) {
		load_number(&m, CODE, round);
		cpu_code_changed(m.cpu);
		cache_number_from(m.group, CACHE_VIEWS_MOST + round);
		expect_number(m.cpu, CODE + 0x40, round);
		assert_int_equal(m.group->cache->numbering, round);
		assert_in_range(m.group->cache->view_next, 1, 100);
		assert_int_equal(m.cpu->stat[CPU_STAT_CODE_DROPS], round);
	}
	machine_free(&m);
}

static void a_number_that_comes_again_does_not_name_what_it_named_before(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (uint32_t round = 1; round <= 5; round++) {
		load_number(&m, CODE, round);
		cpu_code_changed(m.cpu);
		cache_number_from(m.group, CACHE_VIEWS_MOST + 1);
		expect_number(m.cpu, CODE + 0x40, round);
		expect_number(m.cpu, CODE, round);
	}
	machine_free(&m);
}

/* The other PE did not run while the numbers began anew. */
static void nor_for_a_pe_that_comes_later(void **state)
{
	struct machine m;

	machine_new(&m, 2);
	for (uint32_t round = 1; round <= 5; round++) {
		load_number(&m, CODE, round);
		load_number(&m, FUNCTION, 100 + round);
		cpu_code_changed(m.pe[0]);
		cache_number_from(m.group, CACHE_VIEWS_MOST + 1);
		expect_number(m.pe[0], CODE + 0x40, round);
		expect_number(m.pe[1], FUNCTION + 0x40, 100 + round);
		expect_number(m.pe[1], FUNCTION, 100 + round);
		expect_number(m.pe[0], CODE, round);
	}
	machine_free(&m);
}

/* ---- kinds of PEs */

static const char *const switches[] = {"crc32", "rdm",	"dotprod", "flagm", "jscvt",  "fcma",
				       "rcpc",	"bf16", "i8mm",	   "sb",    "frintts"};
enum { KINDS = 1 << (sizeof(switches) / sizeof(switches[0])) };

static void be(struct cpu *cpu, unsigned kind, bool lse)
{
	struct cpu_model model;
	char text[200] = "max", why[160];

	for (unsigned i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%c%s", kind >> i & 1 ? '+' : '-',
			 switches[i]);
	strcat(text, lse ? ",+lse" : ",-lse");
	if (cpu_model_parse(text, &model, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	memcpy(cpu->id, model.id, sizeof(model.id));
	cpu_id_changed(cpu);
}

static void expect_lse(struct machine *m, struct cpu *cpu, bool lse)
{
	uint64_t was = machine_read(m, DATA);

	cpu->env.pc = CODE;
	cpu->env.x[3] = 1;
	cpu->env.x[10] = DATA;
	if (lse)
		expect_hvc(cpu, END);
	else
		expect_el1(cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE);
	assert_int_equal(machine_read(m, DATA), was + lse);
}

/* The second PE is another one again and again, and at each time runs what others have run; two more stay what they are. */
static void there_may_be_more_kinds_of_pes_than_there_are_numbers_for(void **state)
{
	struct machine m;
	uint32_t resets = 0;

	_Static_assert((unsigned)KINDS > (unsigned)KEY_CLASSES, "");
	machine_new(&m, 3);
	LOAD(&m, CODE,
	     {
		     0xf8230144, /* ldadd x3, x4, [x10] */
		     0xd4000002, /* hvc #0 */
	     });
	be(m.pe[0], 0, true);
	be(m.pe[2], 1, false);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		bool lse = kind & 1;
		uint32_t generation = m.group->cache->generation;

		be(m.pe[1], kind, lse);
		resets += m.group->cache->generation != generation;
		expect_lse(&m, m.pe[1], lse);
		if (kind % 64 == 0 || m.group->cache->generation != generation) {
			expect_lse(&m, m.pe[0], true);
			expect_lse(&m, m.pe[2], false);
		}
	}
	assert_in_range(resets, 1, 3);
	machine_free(&m);
}

/* ---- what comes between a branch that has no link yet and the link */

enum { TLBI = RAM + 0xb000, CHANGER = RAM + 0xc000 };
static struct machine *interrupted; /* by the next read of an ICC register */
static pthread_t other;

static void *run_other(void *cpu)
{
	assert_int_equal(cpu_run(cpu), CPU_EXIT_TRAP);
	return NULL;
}

/* Another PE wants this one to apply its TLBI, so that code comes back where it looks next, and the PE stays in the guest. */
static int read_and_interrupt(void *opaque, uint32_t enc, uint64_t *val)
{
	struct machine *m = interrupted;

	*val = 0;
	interrupted = NULL;
	if (!m)
		return 0;
	atomic_store(&m->cpu->irq_in, CPU_IRQ);
	assert_int_equal(pthread_create(&other, NULL, run_other, m->pe[1]), 0);
	while (!__atomic_load_n(&m->cpu->env.kick, __ATOMIC_SEQ_CST))
		sched_yield();
	return 0;
}

static int write_nothing(void *opaque, uint32_t enc, uint64_t val)
{
	return 0;
}

static void an_interrupt_behind_a_branch_is_not_where_the_branch_leads(void **state)
{
	static const struct cpu_platform platform = {.icc_read = read_and_interrupt, .icc_write = write_nothing};
	static const uint64_t ends[] = {FUNCTION, CODE + 0x40,
					VECTORS + 0x680}; /* another page, this one, that of the vector */

	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint64_t from = i == 2 ? VECTORS + 0x600 : CODE;
		struct machine m;

		machine_new(&m, 0);
		m.cpu = m.pe[0] = cpu_new(m.group, &platform, NULL);
		assert_non_null(m.cpu);
		m.cpu->sys[CPU_VBAR_EL1] = VECTORS;
		m.pe[1] = machine_pe(&m);
		m.pe[1]->env.pc = TLBI;
		LOAD(&m, TLBI, {0xd508831f /* tlbi vmalle1is */, 0xd5033b9f /* dsb ish */, 0xd4000002 /* hvc #0 */});
		LOAD(&m, from,
		     {
			     0xd538cc00,						    /* mrs x0, icc_iar1_el1 */
			     0x14000000 | (uint32_t)((ends[i] - from - 4) / 4 & 0x3ffffff), /* b end */
		     });
		LOAD(&m, ends[i], {0xd4000002 /* hvc #0 */});
		for (unsigned round = 0; round < 3; round++) {
			interrupted = round ? NULL : &m;
			cpu_set_pstate(m.cpu, PSR_EL1H);
			m.cpu->env.pc = from;
			if (!round)
				expect_hvc(m.cpu, VEC_CUR_IRQ);
			else
				expect_hvc(m.cpu, END);
			atomic_store(&m.cpu->irq_in, 0);
			if (!round)
				pthread_join(other, NULL);
		}
		machine_free(&m);
	}
}

static uint64_t *cell(struct machine *m, unsigned n)
{
	return machine_host(m, DATA + 8 * n);
}

/* The program of the second PE: it makes `at` be mov x0, #2, with IC, and says so; and waits before the DSB until it is told to go on. */
static void load_changer(struct machine *m, uint64_t at, uint32_t ic)
{
	struct ir_env *env = &m->pe[1]->env;

	LOAD(m, CHANGER,
	     {
		     0xb9000022,     /* str w2, [x1] */
		     ic, 0xc89ffc62, /* stlr x2, [x3] */
		     0x91002063,     /* add x3, x3, #8 */
		     0xc8dffc64,     /* ldar x4, [x3] */
		     0xb4ffffe4,     /* cbz x4, .-4 */
		     0xd5033b9f,     /* dsb ish */
		     0xd4000002,     /* hvc #0 */
	     });
	env->pc = CHANGER;
	env->x[1] = at;
	env->x[2] = 0xd2800040; /* mov x0, #2 */
	env->x[3] = DATA;
}

static void start_changer(struct machine *m)
{
	assert_int_equal(pthread_create(&other, NULL, run_other, m->pe[1]), 0);
	while (!__atomic_load_n(cell(m, 0), __ATOMIC_ACQUIRE))
		sched_yield();
}

static void finish_changer(struct machine *m)
{
	__atomic_store_n(cell(m, 1), 1, __ATOMIC_RELEASE);
	pthread_join(other, NULL);
}

static int read_and_wait_for_other(void *opaque, uint32_t enc, uint64_t *val)
{
	struct machine *m = interrupted;

	*val = 0;
	interrupted = NULL;
	if (m)
		start_changer(m);
	return 0;
}

/*
 * The other PE has changed what a branch leads to, with IC, but no DSB: this PE may still run what was there, once more, but that must not
 * stay where the branch leads.
 */
static void what_another_pe_has_marked_is_not_linked(void **state)
{
	static const struct cpu_platform platform = {.icc_read = read_and_wait_for_other, .icc_write = write_nothing};
	static const struct {
		uint64_t end, before; /* where the branch leads; where rounds begin until then */
	} ways[] = {{FUNCTION, FUNCTION}, {FUNCTION, CODE}, {CODE + 0x40, CODE}};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct machine m;

		machine_new(&m, 0);
		m.cpu = m.pe[0] = cpu_new(m.group, &platform, NULL);
		m.pe[1] = machine_pe(&m);
		load_changer(&m, ways[i].end, 0xd50b7521 /* ic ivau, x1 */);
		LOAD(&m, CODE,
		     {
			     0xd538cc00, /* mrs x0, icc_iar1_el1 */
			     0x14000000 | (uint32_t)((ways[i].end - CODE - 4) / 4 & 0x3ffffff), /* b end */
		     });
		LOAD(&m, ways[i].end, {0xd2800020 /* mov x0, #1 */, 0xd4000002 /* hvc #0 */});
		for (unsigned round = 0; round < 8; round++) {
			interrupted = round == 4 ? &m : NULL;
			m.cpu->env.pc = round < 4 ? ways[i].before : CODE;
			expect_hvc(m.cpu, END);
			assert_in_range(m.cpu->env.x[0], round > 4 ? 2 : 1, round >= 4 ? 2 : 1);
			if (round == 4)
				finish_changer(&m);
		}
		machine_free(&m);
	}
}

/* ---- code that changes while it is being translated */

static void *
	emitting; /* (struct machine *) whose other PE changes what is being translated, behind the first instruction */

bool __real_isa_emit(struct isa_ctx *ctx, uint32_t insn);
bool __wrap_isa_emit(struct isa_ctx *ctx, uint32_t insn);
bool __wrap_isa_emit(struct isa_ctx *ctx, uint32_t insn)
{
	bool open = __real_isa_emit(ctx, insn);
	struct machine *m = ctx->pc == FUNCTION ? emitting : NULL;

	if (m) {
		emitting = NULL;
		start_changer(m);
	}
	return open;
}

/* The other PE's IC comes between the words that were read and the block that is made of them. */
static void what_changes_while_it_is_translated_is_translated_again(void **state)
{
	static const uint32_t ic[] = {0xd50b7521 /* ic ivau, x1 */, 0xd508711f /* ic ialluis */};

	for (unsigned i = 0; i < sizeof(ic) / sizeof(ic[0]); i++) {
		struct machine m;

		machine_new(&m, 2);
		load_changer(&m, FUNCTION, ic[i]);
		LOAD(&m, FUNCTION, {0xd2800020 /* mov x0, #1 */, 0xd4000002 /* hvc #0 */});
		emitting = &m;
		for (unsigned round = 0; round < 3; round++) {
			m.cpu->env.pc = FUNCTION;
			expect_hvc(m.cpu, END);
			assert_in_range(m.cpu->env.x[0], round ? 2 : 1, 2);
			if (!round)
				finish_changer(&m);
		}
		machine_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_views_run_out_and_come_again_from_the_first),
		cmocka_unit_test(a_number_that_comes_again_does_not_name_what_it_named_before),
		cmocka_unit_test(nor_for_a_pe_that_comes_later),
		cmocka_unit_test(there_may_be_more_kinds_of_pes_than_there_are_numbers_for),
		cmocka_unit_test(an_interrupt_behind_a_branch_is_not_where_the_branch_leads),
		cmocka_unit_test(what_another_pe_has_marked_is_not_linked),
		cmocka_unit_test(what_changes_while_it_is_translated_is_translated_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
