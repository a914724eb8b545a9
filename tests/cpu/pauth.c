/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication. With QARMA5, instructions from random states against Unicorn (a QEMU of 2020, whose algorithm and
 * layout of the code are the architecture's of FEAT_PAuth without later additions); every level of FEAT_PAuth with QARMA5 against
 * pauth_model.py, which is the manual's pseudocode once more, in another language; the rest by hand from Arm ARM DDI 0487,
 * AddPAC(), Auth(), "PAC Fail exceptions".
 */
#include "machine.h"

#include "isa.h"
#ifdef HAVE_UNICORN
#include <unicorn/unicorn.h>
#endif

enum { PACIA_X0_X1 = 0xdac10020, AUTIA_X0_X1 = 0xdac11020, AUTDB_X0_X1 = 0xdac11c20, HVC_0 = 0xd4000002 };
#define SCTLR_EN (1ull << 31 | 1ull << 30 | 1ull << 27 | 1ull << 13)

static void use(struct machine *m, const char *text)
{
	struct cpu_model model;
	char why[160];

	if (cpu_model_parse(text, &model, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	memcpy(m->cpu->id, model.id, sizeof(model.id));
	cpu_id_changed(m->cpu);
	for (unsigned i = CPU_APIAKEYLO_EL1; i <= CPU_APGAKEYHI_EL1; i++)
		m->cpu->sys[i] = 0x0123456789abcdef * (i + 1);
	m->cpu->sys[CPU_TCR_EL1] = 25 | 25 << 16; /* 39 bits in both halves */
	m->cpu->sys[CPU_SCTLR_EL1] |= SCTLR_EN;
}

static void start(struct machine *m, const char *model)
{
	machine_new(m, 1);
	use(m, model);
}

/* One instruction, with an HVC behind it. */
static void run1(struct machine *m, uint32_t insn)
{
	LOAD(m, CODE, {insn, HVC_0});
	cpu_code_changed(m->cpu);
	cpu_sys_changed(m->cpu);
	m->cpu->env.pc = CODE;
	expect_hvc(m->cpu, END);
}

static uint64_t apply(struct machine *m, uint32_t insn, uint64_t ptr, uint64_t modifier)
{
	m->cpu->env.x[0] = ptr;
	m->cpu->env.x[1] = modifier;
	run1(m, insn);
	return m->cpu->env.x[0];
}

/* ---- against the oracle */

#ifdef HAVE_UNICORN

static uint64_t rng = 1;

static uint64_t rnd(void)
{
	uint64_t z = (rng += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void uc_sys(uc_engine *uc, unsigned op1, unsigned crn, unsigned crm, unsigned op2, uint64_t val)
{
	uc_arm64_cp_reg r = {.op0 = 3, .op1 = op1, .crn = crn, .crm = crm, .op2 = op2, .val = val};

	assert_int_equal(uc_reg_write(uc, UC_ARM64_REG_CP_REG, &r), UC_ERR_OK);
}

static void random_instructions_of_qarma5_agree_with_the_oracle(void **state)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	uint64_t el1h = 0x3c5;
	uc_engine *uc;
	struct machine m;

	start(&m, "max,+qarma5,-epac");
	assert_int_equal(uc_open(UC_ARCH_ARM64, UC_MODE_LITTLE_ENDIAN, &uc), UC_ERR_OK);
	assert_int_equal(uc_ctl_set_cpu_model(uc, UC_CPU_ARM64_MAX), UC_ERR_OK);
	assert_int_equal(uc_mem_map_ptr(uc, CODE, 4096, UC_PROT_ALL, page), UC_ERR_OK);
	assert_int_equal(uc_reg_write(uc, UC_ARM64_REG_PSTATE, &el1h), UC_ERR_OK);
	uc_sys(uc, 6, 1, 1, 0, 3 << 16 | 1 << 10 | 1);	 /* SCR_EL3: APK, API, RW, NS: no traps */
	uc_sys(uc, 4, 1, 1, 0, 3ull << 40 | 1ull << 31); /* HCR_EL2: API, APK, RW */
	for (unsigned trial = 0; trial < 3000; trial++) {
		/* PAC* and AUT* of all keys with a register or zero, XPAC*, PACGA, and the hints */
		uint32_t ops[4] = {0xdac10020u | (uint32_t)(rnd() & 15) << 10,
				   0xdac143e0u | (uint32_t)(rnd() & 1) << 10, 0x9ac13000u /* pacga x0, x0, x1 */,
				   0xd503201fu};
		uint32_t insn = ops[rnd() % 8 > 3 ? 0 : rnd() % 4], code[2];
		uint64_t tcr = (16 + rnd() % 24) | (16 + rnd() % 24) << 16 | (rnd() & 3) << 37 | (rnd() & 3) << 51;
		uint64_t sctlr = 0x30d00800 | (rnd() % 4 ? SCTLR_EN : rnd() & SCTLR_EN), x[32], got[32];
		unsigned bits = 64 - (unsigned)(tcr & 63);
		static const unsigned hints[] = {7, 8, 10, 12, 14, 24, 25, 26, 27, 28, 29, 30, 31};

		if (insn == 0xd503201f)
			insn |= hints[rnd() % 13] << 5;
		if ((insn & ~0x400u) == 0xdac143e0 || insn == 0xd50320ff)
			sctlr |= SCTLR_EN; /* the oracle strips only if some key is enabled, unlike Strip() */
		if ((insn & 0xffffe000) == 0xdac12000)
			insn |= 31 << 5; /* the forms with a zero modifier */
		for (unsigned i = 0; i < 32; i++) {
			x[i] = rnd();
			/* Well-formed pointers: the oracle has the corruption of others one bit too high. */
			if (rnd() & 1 && bits > 64 - (unsigned)(tcr >> 16 & 63))
				bits = 64 - (unsigned)(tcr >> 16 & 63);
			x[i] = (uint64_t)((int64_t)(x[i] << (64 - 25)) >> (64 - 25));
			if (insn >> 12 != 0xdac10 && insn >> 12 != 0xdac12 && rnd() & 1 &&
			    (insn & 0xfffff01f) != 0xd503201f)
				x[i] = rnd();
		}
		x[31] &= ~15ull;
		m.cpu->sys[CPU_TCR_EL1] = tcr;
		m.cpu->sys[CPU_SCTLR_EL1] = sctlr;
		uc_sys(uc, 0, 2, 0, 2, tcr);
		/* By its instruction: the oracle's translator looks at the enables, too. */
		code[0] = 0xd5181009; /* msr sctlr_el1, x9 */
		uc_mem_write(uc, CODE, code, 4);
		uc_ctl_remove_cache(uc, CODE, CODE + 8);
		uc_reg_write(uc, UC_ARM64_REG_X9, &sctlr);
		assert_int_equal(uc_emu_start(uc, CODE, CODE + 4, 0, 1), UC_ERR_OK);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t k = rnd();

			m.cpu->sys[CPU_APIAKEYLO_EL1 + i] = k;
			uc_sys(uc, 0, 2, 1 + i / 4, i % 4, k);
		}
		memcpy(m.cpu->env.x, x, sizeof(x));
		run1(&m, insn);
		code[0] = insn;
		code[1] = 0xd503201f;
		uc_mem_write(uc, CODE, code, 8);
		uc_ctl_remove_cache(uc, CODE, CODE + 8);
		for (unsigned i = 0; i < 31; i++)
			uc_reg_write(uc, i < 29 ? UC_ARM64_REG_X0 + (int)i : UC_ARM64_REG_X29 + (int)i - 29, &x[i]);
		uc_reg_write(uc, UC_ARM64_REG_SP, &x[31]);
		assert_int_equal(uc_emu_start(uc, CODE, CODE + 4, 0, 1), UC_ERR_OK);
		for (unsigned i = 0; i < 31; i++)
			uc_reg_read(uc, i < 29 ? UC_ARM64_REG_X0 + (int)i : UC_ARM64_REG_X29 + (int)i - 29, &got[i]);
		for (unsigned i = 0; i < 31; i++)
			if (m.cpu->env.x[i] != got[i])
				fail_msg("trial %u, %08x, TCR %llx SCTLR %llx: x%u %016llx, oracle %016llx, before "
					 "%016llx",
					 trial, insn, (unsigned long long)tcr, (unsigned long long)sctlr, i,
					 (unsigned long long)m.cpu->env.x[i], (unsigned long long)got[i],
					 (unsigned long long)x[i]);
	}
	uc_close(uc);
	machine_free(&m);
}

#endif

/* ---- against the model */

static const struct vector {
	uint8_t level, kind; /* ID_AA64ISAR1_EL1.APA; IA, IB, DA, DB */
	uint64_t tcr, key[2], modifier, ptr, signed_ptr;
	uint64_t tried, plain, combined;  /* what AUT* and LDRA* make of that one ... */
	bool plain_fails, combined_fails; /* ... unless it is a PAC Fail exception */
} vectors[] = {
#include "pauth_vectors.h"
};

/* LDRAA, LDRAB: there is no memory at any of the addresses. */
static void expect_address_of_ldra(struct machine *m, const struct vector *v)
{
	LOAD(m, CODE, {0xf8200402u | (uint32_t)(v->kind & 1) << 23 /* ldra[ab] x2, [x0] */});
	cpu_code_changed(m->cpu);
	m->cpu->env.pc = CODE;
	m->cpu->env.x[0] = v->tried;
	assert_int_equal(cpu_run(m->cpu), CPU_EXIT_TRAP);
	if (v->combined_fails) {
		assert_int_equal(m->cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_SYNC));
		assert_int_equal(m->cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_FPAC, v->kind));
		assert_int_equal(m->cpu->sys[CPU_ELR_EL1], CODE);
	} else if (m->cpu->el2.esr >> 26 == EC_DABT_LOWER) {
		assert_int_equal(m->cpu->el2.far, v->combined);
	} else {
		assert_int_equal(m->cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_SYNC));
		assert_int_equal(m->cpu->sys[CPU_ESR_EL1] >> 26, EC_DABT_CUR);
		assert_int_equal(m->cpu->sys[CPU_FAR_EL1], v->combined);
	}
}

static void every_level_with_qarma5_agrees_with_the_model(void **state)
{
	static const char *const models[] = {NULL,
					     "max,+qarma5,-epac",
					     "max,+qarma5,-pauth2",
					     "max,+qarma5,-fpac",
					     "max,+qarma5,-fpaccombine",
					     "max,+qarma5"};
	unsigned fails = 0, later = 0;

	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		uint32_t op = (uint32_t)v->kind << 10;
		struct machine m;

		start(&m, models[v->level]);
		assert_int_equal(m.cpu->id[CPU_ID(6, 1)] >> 4 & 15, v->level);
		m.cpu->sys[CPU_TCR_EL1] = v->tcr;
		m.cpu->sys[CPU_APIAKEYLO_EL1 + 2 * v->kind] = v->key[0];
		m.cpu->sys[CPU_APIAKEYLO_EL1 + 2 * v->kind + 1] = v->key[1];
		assert_int_equal(apply(&m, 0xdac10020 | op, v->ptr, v->modifier), v->signed_ptr);
		if (v->plain_fails) {
			LOAD(&m, CODE, {0xdac11020 | op});
			cpu_code_changed(m.cpu);
			m.cpu->env.pc = CODE;
			m.cpu->env.x[0] = v->tried;
			expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FPAC, v->kind), CODE);
			assert_int_equal(m.cpu->env.x[0], v->tried);
			fails++;
		} else {
			assert_int_equal(apply(&m, 0xdac11020 | op, v->tried, v->modifier), v->plain);
		}
		if (v->kind >= 2 && !v->modifier) {
			expect_address_of_ldra(&m, v);
			later += v->plain_fails && !v->combined_fails;
		}
		machine_free(&m);
	}
	assert_true(fails > 200 && later > 20);
}

/* ---- by hand */

static void what_is_signed_is_good_for_the_same_key_and_modifier_only(void **state)
{
	static const char *const models[] = {"max,-epac", "max,-pauth2", "max,-fpac", "max,+qarma5,-fpac"};

	for (unsigned k = 0; k < 4; k++) {
		struct machine m;

		start(&m, models[k]);
		for (unsigned i = 0; i < 64; i++) {
			uint64_t ptr = (i & 1 ? ~0ull << 39 : 0) | (0x123456789aull * (i + 7) & ((1ull << 39) - 1));
			uint64_t pac = apply(&m, PACIA_X0_X1, ptr, 5 * i), bad;

			assert_int_not_equal(pac, ptr);
			assert_int_equal((pac ^ ptr) & ((1ull << 39) - 1), 0);
			assert_int_equal(pac >> 55 & 1, i & 1);
			assert_int_equal(apply(&m, AUTIA_X0_X1, pac, 5 * i), ptr);
			bad = apply(&m, AUTIA_X0_X1, pac, 5 * i + 1);
			assert_int_not_equal(bad, ptr); /* and no address at all */
			assert_true(bad >> 39 != 0 && bad >> 39 != ~0ull >> 39);
			assert_int_not_equal(apply(&m, AUTDB_X0_X1, pac, 5 * i), ptr);
		}
		machine_free(&m);
	}
}

static void a_failed_check_without_pauth2_leaves_an_error_code(void **state)
{
	struct machine m;

	start(&m, "max,-epac");
	/* key A: 01 in bits 62:61, B: 10; of a pointer of the lower and of the upper half */
	assert_int_equal(apply(&m, AUTIA_X0_X1, 0x1000, 0), 0x2000000000001000);
	assert_int_equal(apply(&m, AUTDB_X0_X1, 0x1000, 0), 0x4000000000001000);
	assert_int_equal(apply(&m, AUTIA_X0_X1, ~0xfffull, 0), ~0xfffull & ~(1ull << 62));
	m.cpu->sys[CPU_TCR_EL1] |= 1ull << 37; /* TBI0: bits 54:53 */
	assert_int_equal(apply(&m, AUTDB_X0_X1, 0x7700000000001000, 0), 0x7740000000001000);
	m.cpu->sys[CPU_TCR_EL1] |= 1ull << 51; /* TBID0: instruction keys have the top byte again */
	assert_int_equal(apply(&m, AUTDB_X0_X1, 0x7700000000001000, 0), 0x7740000000001000);
	assert_int_equal(apply(&m, AUTIA_X0_X1, 0x7700000000001000, 0), 0x2000000000001000);
	machine_free(&m);
}

/* What is not a pointer: EPAC gives it a code of zero, without it one bit of the code is wrong. */
static void a_pointer_with_bad_upper_bits_is_not_made_good(void **state)
{
	struct machine m;
	uint64_t pac;

	start(&m, "max,-pauth2");
	assert_int_equal(apply(&m, PACIA_X0_X1, 0x0123000000001000, 9), 0x1000);
	assert_int_equal(apply(&m, PACIA_X0_X1, 0x8123000000001000, 9), 0x0080000000001000);
	use(&m, "max,-epac");
	pac = apply(&m, PACIA_X0_X1, 0x1000, 9);
	assert_int_equal(apply(&m, PACIA_X0_X1, 0x0123000000001000, 9), pac ^ 1ull << 62);
	use(&m, "max,-fpac"); /* PAuth2: the bits take part */
	pac = apply(&m, PACIA_X0_X1, 0x1000, 9);
	assert_int_equal(apply(&m, PACIA_X0_X1, 0x0123000000001000, 9), pac ^ 0x0123000000000000);
	machine_free(&m);
}

static void fpac_takes_an_exception_that_names_the_key(void **state)
{
	static const struct {
		uint32_t insn;
		unsigned iss;
	} row[] = {{0xdac11020, 0}, {0xdac11420, 1}, {0xdac11820, 2}, {0xdac11c20, 3}, /* autia ... autdb x0, x1 */
		   {0xd503219f, 0}, {0xd50321df, 1} /* autia1716, autib1716 */};
	struct machine m;

	start(&m, "max,-fpaccombine");
	for (unsigned i = 0; i < 6; i++) {
		LOAD(&m, CODE, {row[i].insn, HVC_0});
		cpu_code_changed(m.cpu);
		m.cpu->env.x[0] = m.cpu->env.x[17] = 0x0055000000001000;
		m.cpu->env.pc = CODE;
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FPAC, row[i].iss), CODE);
		assert_int_equal(m.cpu->env.x[0], 0x0055000000001000);
	}
	/* Combined forms fault where they are used, unless FPACCOMBINE has them fail at once. */
	for (unsigned i = 0; i < 2; i++) {
		static const uint32_t combined[] = {0xd71f0801 /* braa x0, x1 */, 0xf8200400 /* ldraa x0, [x0] */};

		use(&m, "max");
		LOAD(&m, CODE, {combined[i], HVC_0});
		cpu_code_changed(m.cpu);
		m.cpu->env.x[0] = 0x0055000000001000;
		m.cpu->env.pc = CODE;
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FPAC, i ? 2 : 0), CODE);
		use(&m, "max,-fpaccombine");
		cpu_code_changed(m.cpu);
		m.cpu->env.pc = CODE;
		expect_hvc(m.cpu, VEC_CUR_SYNC);
		assert_int_equal(m.cpu->sys[CPU_ESR_EL1] >> 26, i ? EC_DABT_CUR : EC_IABT_CUR);
	}
	machine_free(&m);
}

static void a_key_that_is_not_enabled_changes_nothing(void **state)
{
	struct machine m;

	start(&m, "max");
	m.cpu->sys[CPU_SCTLR_EL1] &= ~SCTLR_EN;
	for (uint32_t op = 0; op < 8; op++)
		assert_int_equal(apply(&m, 0xdac10020 | op << 10, 0x0055000000001000, 3), 0x0055000000001000);
	/* Neither stripping nor the generic code asks for one. */
	assert_int_equal(apply(&m, 0xdac143e0, 0x0055000000001000, 0), 0x1000); /* xpaci x0 */
	assert_int_not_equal(apply(&m, 0x9ac13000, 1, 2), 0);			/* pacga x0, x0, x1 */
	assert_int_equal(m.cpu->env.x[0] & 0xffffffff, 0);
	machine_free(&m);
}

static void branches_and_loads_use_what_they_authenticate(void **state)
{
	struct machine m;

	start(&m, "max");
	LOAD(&m, CODE,
	     {
		     0xdac10020, /* pacia x0, x1 */
		     0xd73f0801, /* blraa x0, x1 */
		     0xd4000002, /* hvc #0 */
	     });
	LOAD(&m, CODE + 0x100,
	     {
		     0xd503233f, /* paciasp */
		     0xaa1e03e5, /* mov x5, x30 */
		     0xdac13be2, /* autdza x2: fails unless pacdza'd */
		     0xf8208c43, /* ldraa x3, [x2, #64]! */
		     0xd65f0bff, /* retaa */
	     });
	m.cpu->env.x[0] = CODE + 0x100;
	m.cpu->env.x[1] = 77;
	*(uint32_t *)machine_host(&m, CODE + 0x108) = 0xdac12be2; /* pacdza x2 */
	m.cpu->env.x[2] = DATA;
	machine_write(&m, DATA + 64, 0x1122334455667788);
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.pc, CODE + 12);
	assert_int_equal(m.cpu->env.x[3], 0x1122334455667788);
	assert_int_equal(m.cpu->env.x[2], DATA + 64);
	assert_int_not_equal(m.cpu->env.x[5], CODE + 8); /* the return address was signed */
	machine_free(&m);
}

static void eretaa_checks_elr_with_sp(void **state)
{
	struct machine m;

	start(&m, "max");
	LOAD(&m, CODE,
	     {
		     0xd503233f, /* paciasp */
		     0xd518403e, /* msr elr_el1, x30 */
		     0xd69f0bff, /* eretaa */
	     });
	LOAD(&m, CODE + 0x100, {HVC_0});
	m.cpu->env.x[30] = CODE + 0x100;
	m.cpu->sys[CPU_SPSR_EL1] = 0x3c5;
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.pc, CODE + 0x104);

	m.cpu->env.pc = CODE + 8;
	m.cpu->sys[CPU_ELR_EL1] = CODE + 0x100;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_FPAC, 0), CODE + 8);
	machine_free(&m);
}

static void without_the_feature_hints_are_nops_and_the_rest_is_undefined(void **state)
{
	static const uint32_t undefined[] = {0xdac10020, 0xdac143e0, 0x9ac13000, 0xd73f0801, 0xd65f0bff,
					     0xd69f0bff, 0xf8200400, 0xd5182103 /* msr apiakeylo_el1, x3 */};
	struct machine m;

	start(&m, "max,-pauth");
	m.cpu->env.x[30] = 0x5555;
	run1(&m, 0xd503233f);
	assert_int_equal(m.cpu->env.x[30], 0x5555);
	for (unsigned i = 0; i < 8; i++) {
		LOAD(&m, CODE, {undefined[i]});
		cpu_code_changed(m.cpu);
		m.cpu->env.pc = CODE;
		expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE);
	}
	/* The enables are RES0. */
	m.cpu->env.x[0] = ~0ull & ~1ull;
	run1(&m, 0xd5181000); /* msr sctlr_el1, x0 */
	assert_int_equal(m.cpu->sys[CPU_SCTLR_EL1] & SCTLR_EN, 0);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_UNICORN
		cmocka_unit_test(random_instructions_of_qarma5_agree_with_the_oracle),
#endif
		cmocka_unit_test(every_level_with_qarma5_agrees_with_the_model),
		cmocka_unit_test(what_is_signed_is_good_for_the_same_key_and_modifier_only),
		cmocka_unit_test(a_failed_check_without_pauth2_leaves_an_error_code),
		cmocka_unit_test(a_pointer_with_bad_upper_bits_is_not_made_good),
		cmocka_unit_test(fpac_takes_an_exception_that_names_the_key),
		cmocka_unit_test(a_key_that_is_not_enabled_changes_nothing),
		cmocka_unit_test(branches_and_loads_use_what_they_authenticate),
		cmocka_unit_test(eretaa_checks_elr_with_sp),
		cmocka_unit_test(without_the_feature_hints_are_nops_and_the_rest_is_undefined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
