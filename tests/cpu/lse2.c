/* SPDX-License-Identifier: MIT */
/*
 * FEAT_LSE2: what may be misaligned inside of 16 aligned bytes, and what is one access. Arm ARM DDI 0487, "Alignment of
 * data accesses" and "Changes to single-copy atomicity in Armv8.4". Where a misaligned atomic is allowed it must do what the
 * aligned one does.
 */
#include <pthread.h>

#include "machine.h"

#include "isa.h"

#define SCTLR_A (1ull << 1)
#define SCTLR_NAA (1ull << 6)
enum { HVC_0 = 0xd4000002 };

static void start(struct machine *m, unsigned pes, const char *text)
{
	struct cpu_model model;
	char why[160];

	assert_int_equal(cpu_model_parse(text, &model, why, sizeof(why)), 0);
	machine_new(m, pes);
	for (unsigned i = 0; i < pes; i++) {
		memcpy(m->pe[i]->id, model.id, sizeof(model.id));
		cpu_id_changed(m->pe[i]);
		machine_mmu(m, m->pe[i]);
	}
}

/* Runs insn with x5 as its address. False: an alignment fault. */
static bool run1(struct machine *m, uint32_t insn, uint64_t va)
{
	LOAD(m, CODE, {insn, HVC_0});
	cpu_code_changed(m->cpu);
	m->cpu->env.pc = CODE;
	m->cpu->env.x[5] = va;
	cpu_set_pstate(m->cpu, 0x3c5);
	assert_int_equal(cpu_run(m->cpu), CPU_EXIT_TRAP);
	if (m->cpu->el2.esr == ESR_MAKE(EC_HVC64, END))
		return true;
	assert_int_equal(m->cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_SYNC));
	assert_int_equal(m->cpu->sys[CPU_ESR_EL1] >> 26, EC_DABT_CUR);
	assert_int_equal(m->cpu->sys[CPU_ESR_EL1] & 0x3f, 0x21);
	assert_int_equal(m->cpu->sys[CPU_FAR_EL1], va);
	return false;
}

/* Without the size, which bits 31:30 are; all have their address in x5. */
static const struct {
	uint32_t insn;
	bool ordered; /* neither exclusive nor atomic */
} accesses[] = {
	{0x08dffca3, true},  /* ldar x3, [x5] */
	{0x089ffca3, true},  /* stlr x3, [x5] */
	{0x38bfc0a3, true},  /* ldapr x3, [x5] */
	{0x194000a3, true},  /* ldapur x3, [x5] */
	{0x190000a3, true},  /* stlur x3, [x5] */
	{0x085f7ca3, false}, /* ldxr x3, [x5] */
	{0x08a27ca3, false}, /* cas x2, x3, [x5] */
	{0x382200a3, false}, /* ldadd x2, x3, [x5] */
	{0x38a280a3, false}, /* swpa x2, x3, [x5] */
};

static void misaligned_inside_of_sixteen_bytes_is_allowed(void **state)
{
	struct machine m;

	start(&m, 1, "max");
	for (unsigned naa = 0; naa < 2; naa++) {
		m.cpu->sys[CPU_SCTLR_EL1] = (m.cpu->sys[CPU_SCTLR_EL1] & ~SCTLR_NAA) | (naa ? SCTLR_NAA : 0);
		for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
			for (unsigned size = 1; size < 4; size++)
				for (unsigned at = 0; at < 16; at++) {
					uint32_t insn = accesses[i].insn | size << 30;
					bool inside = at + (1u << size) <= 16;

					assert_int_equal(run1(&m, insn, DATA + at),
							 inside || (naa && accesses[i].ordered));
				}
	}
	m.cpu->sys[CPU_SCTLR_EL1] |= SCTLR_A | SCTLR_NAA;
	cpu_sys_changed(m.cpu);
	assert_false(run1(&m, 0xc8dffca3, DATA + 4));
	assert_false(run1(&m, 0xf82200a3, DATA + 4));
	assert_true(run1(&m, 0xc8dffca3, DATA + 8));
	machine_free(&m);

	start(&m, 1, "max,-lse2");
	for (unsigned i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		assert_false(run1(&m, accesses[i].insn | 3u << 30, DATA + 4));
	machine_free(&m);
}

static void misaligned_atomics_do_what_aligned_ones_do(void **state)
{
	/* LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN, SWP x2, x3, [x5]; CAS x3, x2, [x5] */
	static const uint32_t ops[] = {0x382200a3, 0x382210a3, 0x382220a3, 0x382230a3, 0x382240a3,
				       0x382250a3, 0x382260a3, 0x382270a3, 0x382280a3, 0x08a37ca2};
	static const uint64_t values[] = {0, 1, ~0ull, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x123456789abcdef0};
	enum { N = sizeof(values) / sizeof(values[0]) };
	struct machine m;

	start(&m, 1, "max");
	for (unsigned op = 0; op < sizeof(ops) / sizeof(ops[0]); op++)
		for (unsigned size = 1; size < 4; size++)
			for (unsigned k = 0; k < N * N; k++) {
				uint64_t old = values[k % N], v = values[k / N], got[2], mem[2], want = 0, have = 0;
				uint64_t mask = ~0ull >> (64 - (8u << size));
				unsigned at = 3;

				for (unsigned misaligned = 0; misaligned < 2; misaligned++) {
					uint8_t *p = machine_host(&m, DATA + (misaligned ? at : 0));

					memset(machine_host(&m, DATA), 0x55, 32);
					memcpy(p, &old, 1u << size);
					m.cpu->env.x[2] = v;
					m.cpu->env.x[3] = k & 1 ? old : v; /* CAS: equal, or perhaps not */
					assert_true(run1(&m, ops[op] | size << 30, DATA + (misaligned ? at : 0)));
					got[misaligned] = m.cpu->env.x[3];
					mem[misaligned] = 0;
					memcpy(&mem[misaligned], p, 1u << size);
					memset(p, 0x55, 1u << size); /* and nothing else has changed */
					for (unsigned i = 0; i < 32; i++)
						assert_int_equal(*(uint8_t *)machine_host(&m, DATA + i), 0x55);
				}
				want = got[0] & mask;
				have = got[1] & mask;
				assert_int_equal(have, want);
				assert_int_equal(mem[1], mem[0]);
			}
	machine_free(&m);
}

static void a_misaligned_store_exclusive_follows_its_load(void **state)
{
	struct machine m;

	start(&m, 1, "max");
	LOAD(&m, CODE,
	     {
		     0xc85f7ca3, /* ldxr x3, [x5] */
		     0x91000463, /* add x3, x3, #1 */
		     0xc8047ca3, /* stxr w4, x3, [x5] */
		     HVC_0,
	     });
	m.cpu->env.x[4] = 7;
	m.cpu->env.x[5] = DATA + 5;
	machine_write(&m, DATA + 5, 0x11223344556677ff);
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[4], 0);
	assert_int_equal(machine_read(&m, DATA + 5), 0x1122334455667800);
	machine_free(&m);
}

static void pairs_load_and_store_both_registers_with_any_indexing(void **state)
{
	struct machine m;

	start(&m, 1, "max");
	LOAD(&m, CODE,
	     {
		     0xa9010ca2, /* stp x2, x3, [x5, #16] */
		     0xa9c11ca6, /* ldp x6, x7, [x5, #16]! */
		     0xa8c124a8, /* ldp x8, x9, [x5], #16 */
		     0xa9bf7ca2, /* stp x2, xzr, [x5, #-16]! */
		     0xa94028bf, /* ldp xzr, x10, [x5] */
		     HVC_0,
	     });
	m.cpu->env.x[2] = 0x1111222233334444;
	m.cpu->env.x[3] = 0x5555666677778888;
	m.cpu->env.x[5] = DATA + 8; /* not aligned to 16 */
	m.cpu->env.x[10] = 1;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[6], 0x1111222233334444);
	assert_int_equal(m.cpu->env.x[7], 0x5555666677778888);
	assert_int_equal(m.cpu->env.x[8], 0x1111222233334444);
	assert_int_equal(m.cpu->env.x[9], 0x5555666677778888);
	assert_int_equal(m.cpu->env.x[10], 0);
	assert_int_equal(m.cpu->env.x[5], DATA + 24);
	assert_int_equal(machine_read(&m, DATA + 24), 0x1111222233334444);
	assert_int_equal(machine_read(&m, DATA + 32), 0);
	m.cpu->sys[CPU_SCTLR_EL1] |= SCTLR_A; /* a pair is aligned to its elements */
	cpu_sys_changed(m.cpu);
	assert_true(run1(&m, 0xa9400ca2, DATA + 8));
	assert_false(run1(&m, 0xa9400ca2, DATA + 4));
	machine_free(&m);
}

#ifdef __x86_64__

static void *run_pe(void *cpu)
{
	cpu_run(cpu);
	return NULL;
}

/* One PE stores pairs of equal numbers, the other never sees two that differ. */
static void an_aligned_pair_is_one_access(void **state)
{
	enum { ROUNDS = 200000 };
	struct machine m;
	pthread_t t[2];

	start(&m, 2, "max");
	LOAD(&m, CODE,
	     {
		     0xa90008a2, /* 1: stp x2, x2, [x5] */
		     0x91000442, /* add x2, x2, #1 */
		     0xf1000421, /* subs x1, x1, #1 */
		     0x54ffffa1, /* b.ne 1b */
		     HVC_0,
	     });
	LOAD(&m, CODE + 0x100,
	     {
		     0xa94018a3, /* 1: ldp x3, x6, [x5] */
		     0xca060063, /* eor x3, x3, x6 */
		     0xaa030084, /* orr x4, x4, x3 */
		     0xf1000421, /* subs x1, x1, #1 */
		     0x54ffff81, /* b.ne 1b */
		     HVC_0,
	     });
	for (unsigned i = 0; i < 2; i++) {
		m.pe[i]->env.pc = CODE + 0x100 * i;
		m.pe[i]->env.x[1] = ROUNDS;
		m.pe[i]->env.x[5] = DATA;
		assert_int_equal(pthread_create(&t[i], NULL, run_pe, m.pe[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(m.pe[i]->el2.esr, ESR_MAKE(EC_HVC64, END));
	}
	assert_int_equal(m.pe[1]->env.x[4], 0);
	machine_free(&m);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(misaligned_inside_of_sixteen_bytes_is_allowed),
		cmocka_unit_test(misaligned_atomics_do_what_aligned_ones_do),
		cmocka_unit_test(a_misaligned_store_exclusive_follows_its_load),
		cmocka_unit_test(pairs_load_and_store_both_registers_with_any_indexing),
#ifdef __x86_64__ /* the sixteen bytes are atomic on what has AVX */
		cmocka_unit_test(an_aligned_pair_is_one_access),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
