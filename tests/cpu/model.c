/* SPDX-License-Identifier: MIT */
/*
 * CPU models and their switches: what the ID registers say is what the PE does. Arm ARM DDI 0487, ID_AA64*_EL1, and the
 * instruction pages of what is switched off.
 */
#include "machine.h"

#include <strings.h>

#include "isa.h"

static struct cpu_model parse(const char *text)
{
	struct cpu_model m;
	char why[160] = "";

	if (cpu_model_parse(text, &m, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	return m;
}

static void use(struct machine *m, const char *text)
{
	struct cpu_model model = parse(text);

	memcpy(m->cpu->id, model.id, sizeof(model.id));
	cpu_id_changed(m->cpu);
}

/* One instruction and an HVC: whether it is UNDEFINED. */
static bool undefined(struct machine *m, uint32_t insn)
{
	LOAD(m, CODE, {insn, 0xd4000002 /* hvc #0 */});
	cpu_code_changed(m->cpu);
	m->cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	m->cpu->env.pc = CODE;
	for (unsigned i = 0; i < 31; i++)
		m->cpu->env.x[i] = DATA;
	cpu_set_pstate(m->cpu, PSR_EL1H | PSR_D | PSR_A | PSR_I | PSR_F);
	assert_int_equal(cpu_run(m->cpu), CPU_EXIT_TRAP);
	if (m->cpu->el2.esr == ESR_MAKE(EC_HVC64, 0))
		return false;
	assert_int_equal(m->cpu->el2.esr, ESR_MAKE(EC_HVC64, VEC_CUR_SYNC));
	assert_int_equal(m->cpu->sys[CPU_ESR_EL1], ESR_MAKE(EC_UNKNOWN, 0));
	return true;
}

static const struct {
	const char *name;
	uint32_t insn;
} examples[] = {
	{"aes", 0x4e284820},	   /* aese v0.16b, v1.16b */
	{"pmull", 0x0ee2e020},	   /* pmull v0.1q, v1.1d, v2.1d */
	{"sha1", 0x5e280820},	   /* sha1h s0, s1 */
	{"sha256", 0x5e282820},	   /* sha256su0 v0.4s, v1.4s */
	{"sha512", 0xcec08020},	   /* sha512su0 v0.2d, v1.2d */
	{"sha3", 0xce020c20},	   /* eor3 v0.16b, v1.16b, v2.16b, v3.16b */
	{"sm3", 0xce62c020},	   /* sm3partw1 v0.4s, v1.4s, v2.4s */
	{"sm4", 0xcec08420},	   /* sm4e v0.4s, v1.4s */
	{"crc32", 0x1ac24020},	   /* crc32b w0, w1, w2 */
	{"lse", 0xf8200041},	   /* ldadd x0, x1, [x2] */
	{"rdm", 0x2e428420},	   /* sqrdmlah v0.4h, v1.4h, v2.4h */
	{"dotprod", 0x2e829420},   /* udot v0.2s, v1.8b, v2.8b */
	{"fhm", 0x0e22ec20},	   /* fmlal v0.2s, v1.2h, v2.2h */
	{"flagm", 0xd500401f},	   /* cfinv */
	{"flagm2", 0xd500403f},	   /* xaflag */
	{"dpb", 0xd50b7c20},	   /* dc cvap, x0 */
	{"dpb2", 0xd50b7d20},	   /* dc cvadp, x0 */
	{"tlbios", 0xd508811f},	   /* tlbi vmalle1os */
	{"tlbirange", 0xd5088620}, /* tlbi rvae1, x0 */
	{"tlbirange", 0xd5088220}, /* tlbi rvae1is, x0 */
	{"tlbios", 0xd5088520},	   /* tlbi rvae1os, x0 */
	{"jscvt", 0x1e7e0020},	   /* fjcvtzs w0, d1 */
	{"fcma", 0x2e82e420},	   /* fcadd v0.2s, v1.2s, v2.2s, #90 */
	{"rcpc", 0xf8bfc020},	   /* ldapr x0, [x1] */
	{"rcpc2", 0xd9400020},	   /* ldapur x0, [x1] */
	{"frintts", 0x1e684020},   /* frint32z d0, d1 */
	{"sb", 0xd50330ff},	   /* sb */
	{"bf16", 0x1e634020},	   /* bfcvt h0, s1 */
	{"i8mm", 0x4e82a420},	   /* smmla v0.4s, v1.16b, v2.16b */
	{"fp16", 0x1ee22820},	   /* fadd h0, h1, h2 */
	{"ssbs2", 0xd503413f},	   /* msr ssbs, #1 */
	{"ssbs2", 0xd53b42c0},	   /* mrs x0, ssbs */
	{"lor", 0xc8df7c20},	   /* ldlar x0, [x1] */
	{"pan", 0xd500409f},	   /* msr pan, #0 */
	{"pan", 0xd5384260},	   /* mrs x0, pan */
	{"pauth", 0xdac10020},	   /* pacia x0, x1 */
	{"rng", 0xd53b2400},	   /* mrs x0, rndr */
	{"rng", 0xd53b2420},	   /* mrs x0, rndrrs */
	{"dit", 0xd503415f},	   /* msr dit, #1 */
	{"dit", 0xd53b42a0},	   /* mrs x0, dit */
	{"wfxt", 0xd5031000},	   /* wfet x0 */
	{"wfxt", 0xd5031020},	   /* wfit x0 */
	{"cssc", 0xdac01c20},	   /* cnt x0, x1 */
	{"hbc", 0x54000031},	   /* bc.ne .+4 */
	{"xs", 0xd5033e3f},	   /* dsb synxs */
	{"xs", 0xd508971f},	   /* tlbi vmalle1nxs */
	{"pan2", 0xd5087900},	   /* at s1e1rp, x0 */
	{"uao", 0xd500407f},	   /* msr uao, #0 */
	{"ras", 0xd538c120},	   /* mrs x0, disr_el1 */
};

static void every_switch_takes_its_instruction_away(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	m.cpu->el2.twi = m.cpu->el2.twe = false;
	for (unsigned i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		char without[40];

		use(&m, "max");
		if (undefined(&m, examples[i].insn))
			fail_msg("%08x of %s is UNDEFINED on max", examples[i].insn, examples[i].name);
		snprintf(without, sizeof(without), "max,-%s", examples[i].name);
		use(&m, without);
		if (!undefined(&m, examples[i].insn))
			fail_msg("%08x is not UNDEFINED on %s", examples[i].insn, without);
	}
	machine_free(&m);
}

/* Features without an instruction of their own, by the control bit that is RES0 without them. */
static const struct {
	const char *name;
	uint32_t msr, mrs; /* of x0 */
	unsigned bit;
} controls[] = {
	{"ssbs", 0xd5181000, 0xd5381000, 44},  /* SCTLR_EL1.DSSBS */
	{"bti", 0xd5181000, 0xd5381000, 35},   /* BT0 */
	{"bti", 0xd5181000, 0xd5381000, 36},   /* BT1 */
	{"epan", 0xd5181000, 0xd5381000, 57},  /* EPAN */
	{"lse2", 0xd5181000, 0xd5381000, 6},   /* nAA */
	{"pauth", 0xd5181000, 0xd5381000, 31}, /* EnIA */
	{"haf", 0xd5182040, 0xd5382040, 39},   /* TCR_EL1.HA */
	{"hdbs", 0xd5182040, 0xd5382040, 40},  /* HD */
	{"hpds", 0xd5182040, 0xd5382040, 41},  /* HPD0 */
	{"pauth", 0xd5182040, 0xd5382040, 51}, /* TBID0 */
	{"fp16", 0xd51b4400, 0xd53b4400, 19},  /* FPCR.FZ16 */
};

static bool keeps(struct machine *m, unsigned i)
{
	LOAD(m, CODE, {controls[i].msr, controls[i].mrs, 0xd4000002 /* hvc #0 */});
	cpu_code_changed(m->cpu);
	m->cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	m->cpu->env.pc = CODE;
	m->cpu->env.x[0] = 1ull << controls[i].bit;
	expect_hvc(m->cpu, END);
	return m->cpu->env.x[0] >> controls[i].bit & 1;
}

static void every_switch_takes_its_control_bit_away(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	for (unsigned i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
		char without[40];

		use(&m, "max");
		if (!keeps(&m, i))
			fail_msg("bit %u of %s is RES0 on max", controls[i].bit, controls[i].name);
		snprintf(without, sizeof(without), "max,-%s", controls[i].name);
		use(&m, without);
		if (keeps(&m, i))
			fail_msg("bit %u is not RES0 on %s", controls[i].bit, without);
	}
	machine_free(&m);
}

/* What a model makes of a VA under TCR_EL1: two levels of tables in that granule lead to DATA. */
static bool reaches(const char *model, unsigned page, uint64_t tcr, uint64_t va)
{
	uint64_t root = TABLES, l3 = TABLES + 0x10000;
	unsigned stride = page - 3, top = page + 2 * stride;
	struct machine m;
	ipa_t ipa = 0;
	bool is;

	machine_new(&m, 1);
	use(&m, model);
	machine_write(&m, root + 8 * (va >> top & 1023), l3 | 3);
	machine_write(&m, l3 + 8 * (va >> (page + stride) & ((1u << stride) - 1)), (l3 + 0x10000) | 3);
	machine_write(&m, l3 + 0x10000 + 8 * (va >> page & ((1u << stride) - 1)), (DATA & ~0xffffull) | PTE_AF | PTE_V);
	m.cpu->sys[CPU_TCR_EL1] = tcr | 1 << 23 | 2ull << 32;
	m.cpu->sys[CPU_TTBR0_EL1] = root;
	m.cpu->sys[CPU_SCTLR_EL1] |= 1;
	cpu_sys_changed(m.cpu);
	is = cpu_translate(m.cpu, va, &ipa) == 0 && ipa == (DATA & ~0xffffull);
	machine_free(&m);
	return is;
}

static void the_granule_of_16_kib_and_vas_of_52_bits_have_switches(void **state)
{
	assert_true(reaches("max", 14, 17 | 2 << 14, 0x1240000000));
	assert_false(reaches("max,-tgran16", 14, 17 | 2 << 14, 0x1240000000));
	assert_true(reaches("max", 16, 12 | 1 << 14, 5ull << 48 | 0x40000000));
	assert_false(reaches("max,-lva", 16, 12 | 1 << 14, 5ull << 48 | 0x40000000));
}

static void there_is_a_test_for_every_switch(void **state)
{
	static const char *const elsewhere[] = {"TGRAN16", "LVA",	  "EPAC",  "PAUTH2",
						"FPAC",	   "FPACCOMBINE", "QARMA5" /* the last ones: pauth.c */};
	const char *name;

	for (unsigned i = 0; (name = cpu_model_switch(i)); i++) {
		bool has = false;

		for (unsigned k = 0; k < sizeof(examples) / sizeof(examples[0]); k++)
			has |= !strcasecmp(examples[k].name, name);
		for (unsigned k = 0; k < sizeof(controls) / sizeof(controls[0]); k++)
			has |= !strcasecmp(controls[k].name, name);
		for (unsigned k = 0; k < sizeof(elsewhere) / sizeof(elsewhere[0]); k++)
			has |= !strcmp(elsewhere[k], name);
		if (!has)
			fail_msg("nothing here looks at %s", name);
	}
}

/* A switch that is off is off in the ID registers, and they come back as they were. */
static void switches_and_fields_say_the_same(void **state)
{
	const char *name;

	for (unsigned i = 0; (name = cpu_model_switch(i)); i++) {
		struct cpu_model max = parse("max"), a, b;
		char text[80];

		snprintf(text, sizeof(text), "max,-%s", name);
		a = parse(text);
		if (!strcmp(name, "QARMA5"))
			snprintf(text, sizeof(text), "max,+%s", name), a = parse(text);
		if (!memcmp(a.id, max.id, sizeof(max.id)))
			fail_msg("%s leaves the ID registers as they are", text);
		snprintf(text, sizeof(text), "cortex-a72,+%s", name);
		b = parse(text);
		snprintf(text, sizeof(text), "cortex-a72,+%s,-%s", name, name);
		a = parse(text);
		if (!memcmp(a.id, b.id, sizeof(b.id)))
			fail_msg("%s switches on what is on, or not off", text);
	}
}

static void the_default_is_a_neoverse_n1(void **state)
{
	struct cpu_model n1 = parse("neoverse-n1");
	struct machine m;

	machine_new(&m, 1);
	assert_memory_equal(m.cpu->id, n1.id, sizeof(n1.id));
	assert_int_equal(m.cpu->sys[CPU_MIDR_EL1], 0x414fd0c1);
	assert_int_equal(m.cpu->id[CPU_ID(6, 0)], 0x0000100010211120);
	assert_int_equal(m.cpu->id[CPU_ID(6, 1)], 0x0000000000100001);
	assert_true(cpu_has(m.cpu, ISA_LSE));
	assert_true(undefined(&m, 0xcec08020)); /* no SHA512 */
	machine_free(&m);
}

static void a_cortex_a72_has_no_armv8_1(void **state)
{
	static const char *const later[] = {"lse", "rdm", "fp16", "rcpc", "pan", "uao", "lor", "dpb"};
	struct machine m;

	machine_new(&m, 1);
	use(&m, "cortex-a72");
	for (unsigned i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		for (unsigned k = 0; k < sizeof(later) / sizeof(later[0]); k++)
			if (!strcmp(examples[i].name, later[k]))
				assert_true(undefined(&m, examples[i].insn));
	assert_false(undefined(&m, 0x4e284820)); /* AES is there */
	/* Without PAN, SCTLR_EL1.SPAN does nothing. */
	m.cpu->sys[CPU_SCTLR_EL1] &= ~(1ull << 23);
	assert_true(undefined(&m, 0));
	assert_false(m.cpu->pstate & PSR_PAN);
	machine_free(&m);
}

/* What a write of all ones leaves of the bits that features have in a control register. */
static void bits_of_features_that_are_not_there_are_res0(void **state)
{
	static const struct {
		const char *model;
		uint64_t fpcr, tcr, sctlr;
	} cases[] = {
		{"cortex-a72", 0, 0, 0},
		{"neoverse-n1", 1 << 19, 0xful << 39, 1ul << 44},
		{"max", 1 << 19, 0xful << 39 | 3ul << 51,
		 1ul << 44 | 1ul << 57 | 3ul << 35 | 1ul << 31 | 1 << 30 | 1 << 27 | 1 << 13 | 1 << 6},
		{"max,-fp16,-hdbs,-bti,-epan,-pauth", 0, 0xdul << 39, 1ul << 44 | 1 << 6},
	};
	const uint64_t fpcr = 1 << 19, tcr = 0xful << 39 | 3ul << 51,
		       sctlr = 1ul << 44 | 1ul << 57 | 3ul << 35 | 1ul << 31 | 1 << 30 | 1 << 27 | 1 << 13 | 1 << 6;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine m;

		machine_new(&m, 1);
		use(&m, cases[i].model);
		m.cpu->sys[CPU_CPACR_EL1] = 3 << 20;
		LOAD(&m, CODE,
		     {
			     0x92800000, /* mov x0, #-1 */
			     0xd51b4400, /* msr fpcr, x0 */
			     0xd5182040, /* msr tcr_el1, x0 */
			     0x92800021, /* mov x1, #-2 */
			     0xd5181001, /* msr sctlr_el1, x1: no M, as there are no tables */
			     0xd53b4402, /* mrs x2, fpcr */
			     0xd5382043, /* mrs x3, tcr_el1 */
			     0xd5381004, /* mrs x4, sctlr_el1 */
			     0xd4000002, /* hvc #0 */
		     });
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[2] & fpcr, cases[i].fpcr);
		assert_int_equal(m.cpu->env.x[3] & tcr, cases[i].tcr);
		assert_int_equal(m.cpu->env.x[4] & sctlr, cases[i].sctlr);
		machine_free(&m);
	}
}

static void no_model_has_what_the_table_says_is_absent(void **state)
{
	const char *name, *what;

	assert_true(isa_absent_count > 30);
	for (unsigned k = 0; (name = cpu_model_name(k, &what)); k++) {
		struct cpu_model m = parse(name);

		for (unsigned i = 0; i < isa_absent_count; i++) {
			const struct isa_absent *a = &isa_absents[i];
			unsigned v = m.id[CPU_ID(a->crm, a->op2)] >> a->shift & 15;

			if (v != a->value)
				fail_msg("%s has %s: %s is %u", name, a->name, a->field, v);
		}
	}
}

/* The PE's own; registers, which a hypervisor answers for, are looked at in tests/api/reg_test.c. */
static void what_is_absent_is_undefined(void **state)
{
	static const uint32_t insns[] = {
		0xd53c1100, /* mrs x0, hcr_el2 */
		0xd51cc000, /* msr vbar_el2, x0 */
		0xd50c871f, /* tlbi alle2 */
		0xd50c7800, /* at s1e2r, x0 */
		0xd53d1000, /* mrs x0, sctlr_el12 */
		0xd53e1100, /* mrs x0, scr_el3 */
		0xd50e871f, /* tlbi alle3 */
		0x04200000, /* add z0.b, z0.b, z0.b */
		0x80800000, /* fmopa za0.s, p0/m, p0/m, z0.s, z0.s */
		0xd503477f, /* smstart */
		0x91800020, /* addg x0, x1, #0, #0 */
		0x9ac01020, /* irg x0, x1, x0 */
		0xd9600020, /* ldg x0, [x1] */
		0xd9200420, /* stg x0, [x1], #0 */
		0x69000420, /* stgp x0, x1, [x1] */
		0xd50b7460, /* dc gva, x0 */
		0xd503419f, /* msr tco, #1 */
		0xd501411f, /* msr allint, #1 */
		0xd50b7700, /* gcspushm x0 */
		0xd5233060, /* tstart x0 */
		0xd503307f, /* tcommit */
		0xd4600000, /* tcancel #0 */
		0xd50b7380, /* cfp rctx, x0 */
		0xd50b73a0, /* dvp rctx, x0 */
		0xd50b73e0, /* cpp rctx, x0 */
		0xf83fd040, /* ld64b x0, [x2] */
		0xf83f9040, /* st64b x0, [x2] */
		0x19010440, /* cpyfp [x0]!, [x1]!, x2! */
		0x1d010440, /* cpyp [x0]!, [x1]!, x2! */
		0x19c10440, /* setp [x0]!, x2!, x1 */
	};
	struct machine m;

	machine_new(&m, 1);
	use(&m, "max");
	for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]); i++)
		if (!undefined(&m, insns[i]))
			fail_msg("%08x is not UNDEFINED", insns[i]);
	/* Hints are NOPs. */
	assert_false(undefined(&m, 0xd50320df)); /* dgh */
	assert_false(undefined(&m, 0xd50322df)); /* clrbhb */
	machine_free(&m);
}

static void control_bits_of_what_is_absent_are_res0(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	use(&m, "max");
	m.cpu->sys[CPU_CPACR_EL1] = 3 << 20;
	LOAD(&m, CODE,
	     {
		     0x92800000, /* mov x0, #-1 */
		     0xd51b4400, /* msr fpcr, x0 */
		     0xd5182040, /* msr tcr_el1, x0 */
		     0xd5181040, /* msr cpacr_el1, x0 */
		     0x92800021, /* mov x1, #-2 */
		     0xd5181001, /* msr sctlr_el1, x1 */
		     0xd53b4402, /* mrs x2, fpcr */
		     0xd5382043, /* mrs x3, tcr_el1 */
		     0xd5381044, /* mrs x4, cpacr_el1 */
		     0xd5381005, /* mrs x5, sctlr_el1 */
		     0xd4000002, /* hvc #0 */
	     });
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[2], 0x07c80000); /* AHP, DN, FZ, RMode, FZ16: no AH, FIZ, NEP, no traps */
	assert_int_equal(m.cpu->env.x[3] >> 53, 0);    /* no DS, E0PD, TCMA, MTX */
	assert_int_equal(m.cpu->env.x[4] & ~(1ull << 28), 3 << 20); /* no SMEN, ZEN; TTA is another thing */
	assert_int_equal(m.cpu->env.x[5] & (1ull << 25 | 1ull << 24 | 1ull << 63 | 1ull << 62 | 0xful << 37), 0);
	machine_free(&m);
}

static void what_names_no_model_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {{"cortex-a99", "there is no CPU model 'cortex-a99'"},
		   {"", "there is no CPU model ''"},
		   {"max,sve", "'sve' is neither +FEATURE nor -FEATURE"},
		   {"max,-lse,+sve", "there is no CPU feature 'sve'"},
		   {"max,", "'' is neither +FEATURE nor -FEATURE"}};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cpu_model m;
		char why[160] = "";

		assert_int_equal(cpu_model_parse(bad[i].text, &m, why, sizeof(why)), -22);
		assert_string_equal(why, bad[i].why);
	}
}

static uint64_t next_random;

static bool random_source(void *opaque, uint64_t *val)
{
	*val = next_random;
	return next_random;
}

static void rndr_says_in_the_flags_whether_there_was_a_number(void **state)
{
	static const struct cpu_platform platform = {.random = random_source};
	struct machine m;

	machine_new(&m, 1);
	use(&m, "max");
	for (unsigned i = 0; i < 3; i++) {
		m.cpu->platform = i ? &platform : NULL;
		next_random = i == 2 ? 0x123456789abcdef0 : 0;
		LOAD(&m, CODE,
		     {
			     0xeb1f03ff, /* cmp xzr, xzr */
			     0xd53b2400, /* mrs x0, rndr */
			     0x1a9f17e1, /* cset w1, eq */
			     0x1a9f57e2, /* cset w2, mi */
			     0x1a9f37e3, /* cset w3, cs */
			     0xd4000002, /* hvc #0 */
		     });
		cpu_code_changed(m.cpu);
		m.cpu->env.pc = CODE;
		m.cpu->env.x[0] = 55;
		expect_hvc(m.cpu, END);
		assert_int_equal(m.cpu->env.x[0], next_random);
		assert_int_equal(m.cpu->env.x[1], i != 2);
		assert_int_equal(m.cpu->env.x[2], 0);
		assert_int_equal(m.cpu->env.x[3], 0); /* the comparison's C is gone */
		assert_int_equal(m.cpu->env.nzcv >> 28, i == 2 ? 0 : 4);
	}
	LOAD(&m, CODE, {0xd51b2400 /* msr rndr, x0 */});
	cpu_code_changed(m.cpu);
	m.cpu->env.pc = CODE;
	expect_el1(m.cpu, VEC_CUR_SYNC, ESR_MAKE(EC_UNKNOWN, 0), CODE);
	machine_free(&m);
}

static void dit_stays_over_exceptions_and_comes_back_from_spsr(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	use(&m, "max");
	LOAD(&m, CODE,
	     {
		     0xd503415f, /* msr dit, #1 */
		     0xd53b42a0, /* mrs x0, dit */
		     0xd4000001, /* svc #0 */
	     });
	LOAD(&m, VECTORS + 0x200, {0xd53b42a1 /* mrs x1, dit */, 0xd51b42bf /* msr dit, xzr */, 0xd69f03e0 /* eret */});
	LOAD(&m, CODE + 12, {0xd53b42a2 /* mrs x2, dit */, 0xd4000002 /* hvc #0 */});
	expect_hvc(m.cpu, END);
	assert_int_equal(m.cpu->env.x[0], PSR_DIT);
	assert_int_equal(m.cpu->env.x[1], PSR_DIT);
	assert_int_equal(m.cpu->env.x[2], PSR_DIT);
	machine_free(&m);
}

/* Arm ARM DDI 0487, "ISS encoding for an exception from a WF* instruction" */
static void wfit_and_wfet_trap_with_their_register(void **state)
{
	struct machine m;

	machine_new(&m, 1);
	use(&m, "max");
	LOAD(&m, CODE, {0xd5031023 /* wfit x3 */});
	expect_trap(m.cpu, ESR_MAKE(EC_WFX, 0x1e00000 | 3 << 5 | 4 | 2), CODE);
	LOAD(&m, CODE, {0xd503101f /* wfet xzr */});
	cpu_code_changed(m.cpu);
	expect_trap(m.cpu, ESR_MAKE(EC_WFX, 0x1e00000 | 31 << 5 | 4 | 3), CODE);
	machine_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_switch_takes_its_instruction_away),
		cmocka_unit_test(every_switch_takes_its_control_bit_away),
		cmocka_unit_test(the_granule_of_16_kib_and_vas_of_52_bits_have_switches),
		cmocka_unit_test(there_is_a_test_for_every_switch),
		cmocka_unit_test(switches_and_fields_say_the_same),
		cmocka_unit_test(rndr_says_in_the_flags_whether_there_was_a_number),
		cmocka_unit_test(dit_stays_over_exceptions_and_comes_back_from_spsr),
		cmocka_unit_test(wfit_and_wfet_trap_with_their_register),
		cmocka_unit_test(the_default_is_a_neoverse_n1),
		cmocka_unit_test(a_cortex_a72_has_no_armv8_1),
		cmocka_unit_test(bits_of_features_that_are_not_there_are_res0),
		cmocka_unit_test(no_model_has_what_the_table_says_is_absent),
		cmocka_unit_test(what_is_absent_is_undefined),
		cmocka_unit_test(control_bits_of_what_is_absent_are_res0),
		cmocka_unit_test(what_names_no_model_is_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
