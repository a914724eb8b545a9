/* SPDX-License-Identifier: MIT */
/*
 * CPU models, AArch64 only, as a guest of a hypervisor sees them. What a PE can do and what its ID registers say is one
 * thing: the table of switches below names the field and the least value that stand for each feature, and everything
 * that asks for a feature (the decode tables, system registers, the MMU) gets the answer from the ID registers through
 * it. So a field that a client lowers takes its instructions away. Arm ARM DDI 0487, "AArch64 System register
 * descriptions", ID_AA64*_EL1.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	PFR0 = CPU_ID(4, 0),
	PFR1 = CPU_ID(4, 1),
	DFR0 = CPU_ID(5, 0),
	ISAR0 = CPU_ID(6, 0),
	ISAR1 = CPU_ID(6, 1),
	ISAR2 = CPU_ID(6, 2),
	MMFR0 = CPU_ID(7, 0),
	MMFR1 = CPU_ID(7, 1),
	MMFR2 = CPU_ID(7, 2)
};

/* The fields that switches do not name alone: halves of one feature, and the two places of address authentication. */
enum { PFR0_FP = 16, PFR0_ADVSIMD = 20, ISAR1_APA = 4, ISAR1_API = 8, ISAR1_GPA = 24, ISAR1_GPI = 28 };

static unsigned field(const uint64_t *id, unsigned reg, unsigned shift)
{
	return id[reg] >> shift & 15;
}

static void set_field(uint64_t *id, unsigned reg, unsigned shift, unsigned v)
{
	id[reg] = (id[reg] & ~(15ull << shift)) | (uint64_t)v << shift;
}

/* One switch: the feature is there if the field is at least value. A field's switches are in ascending order. */
/* clang-format off */
static const struct cpu_switch {
	const char *name;
	uint8_t feature, reg, shift, value;
} switches[] = {
#define S(name, reg, shift, value) {#name, ISA_##name, reg, shift, value}
	S(AES, ISAR0, 4, 1),
	S(PMULL, ISAR0, 4, 2),
	S(SHA1, ISAR0, 8, 1),
	S(SHA256, ISAR0, 12, 1),
	S(SHA512, ISAR0, 12, 2),
	S(CRC32, ISAR0, 16, 1),
	S(LSE, ISAR0, 20, 2),
	S(RDM, ISAR0, 28, 1),
	S(SHA3, ISAR0, 32, 1),
	S(SM3, ISAR0, 36, 1),
	S(SM4, ISAR0, 40, 1),
	S(DOTPROD, ISAR0, 44, 1),
	S(FHM, ISAR0, 48, 1),
	S(FLAGM, ISAR0, 52, 1),
	S(FLAGM2, ISAR0, 52, 2),
	S(TLBIOS, ISAR0, 56, 1),
	S(TLBIRANGE, ISAR0, 56, 2),
	S(RNG, ISAR0, 60, 1),
	S(DPB, ISAR1, 0, 1),
	S(DPB2, ISAR1, 0, 2),
	S(PAUTH, ISAR1, ISAR1_API, 1), /* or APA: the two are told apart by QARMA5 */
	S(EPAC, ISAR1, ISAR1_API, 2),
	S(PAUTH2, ISAR1, ISAR1_API, 3),
	S(FPAC, ISAR1, ISAR1_API, 4),
	S(FPACCOMBINE, ISAR1, ISAR1_API, 5),
	S(QARMA5, ISAR1, ISAR1_APA, 1),
	S(JSCVT, ISAR1, 12, 1),
	S(FCMA, ISAR1, 16, 1),
	S(RCPC, ISAR1, 20, 1),
	S(RCPC2, ISAR1, 20, 2),
	S(FRINTTS, ISAR1, 32, 1),
	S(SB, ISAR1, 36, 1),
	S(BF16, ISAR1, 44, 1),
	S(I8MM, ISAR1, 52, 1),
	S(XS, ISAR1, 56, 1),
	S(HBC, ISAR2, 20, 1),
	S(CSSC, ISAR2, 52, 1),
	S(FP16, PFR0, PFR0_FP, 1), /* and AdvSIMD */
	S(WFXT, ISAR2, 0, 2),
	S(RAS, PFR0, 28, 1),
	S(DIT, PFR0, 48, 1),
	S(BTI, PFR1, 0, 1),
	S(SSBS, PFR1, 4, 1),
	S(SSBS2, PFR1, 4, 2),
	S(TGRAN16, MMFR0, 20, 1),
	S(HAF, MMFR1, 0, 1),
	S(HDBS, MMFR1, 0, 2),
	S(HPDS, MMFR1, 12, 1),
	S(LOR, MMFR1, 16, 1),
	S(PAN, MMFR1, 20, 1),
	S(PAN2, MMFR1, 20, 2),
	S(EPAN, MMFR1, 20, 3),
	S(UAO, MMFR2, 4, 1),
	S(LSE2, MMFR2, 32, 1),
	S(LVA, MMFR2, 16, 1),
#undef S
};
/* clang-format on */
enum { N_SWITCHES = sizeof(switches) / sizeof(switches[0]) };

static bool fp_absent(const uint64_t *id)
{
	return field(id, PFR0, PFR0_FP) == 15;
}

/* The level of address authentication, in whichever field it is: APA says QARMA5, API says that it is an algorithm of ours. */
static unsigned pauth_level(const uint64_t *id)
{
	unsigned apa = field(id, ISAR1, ISAR1_APA);

	return apa ? apa : field(id, ISAR1, ISAR1_API);
}

static void set_pauth(uint64_t *id, unsigned level, bool qarma5)
{
	set_field(id, ISAR1, ISAR1_APA, qarma5 ? level : 0);
	set_field(id, ISAR1, ISAR1_GPA, qarma5 && level);
	set_field(id, ISAR1, ISAR1_API, qarma5 ? 0 : level);
	set_field(id, ISAR1, ISAR1_GPI, !qarma5 && level);
}

static unsigned value_of(const uint64_t *id, const struct cpu_switch *s)
{
	if (s->feature == ISA_FP16 && fp_absent(id))
		return 0;
	return s->reg == ISAR1 && s->shift == ISAR1_API ? pauth_level(id) : field(id, s->reg, s->shift);
}

static uint64_t features_of(const uint64_t *id)
{
	uint64_t set = 1ull << ISA_BASE;

	if (!fp_absent(id))
		set |= 1ull << ISA_FP;
	for (unsigned i = 0; i < N_SWITCHES; i++)
		if (value_of(id, &switches[i]) >= switches[i].value)
			set |= 1ull << switches[i].feature;
	if (set >> ISA_PAUTH2 & 1) /* which does without the other kind of enhancement */
		set &= ~(1ull << ISA_EPAC);
	return set;
}

static void set_switch(uint64_t *id, const struct cpu_switch *s, bool on)
{
	bool qarma5 = field(id, ISAR1, ISAR1_APA);
	unsigned v;

	if (on == (value_of(id, s) >= s->value))
		return;
	v = on ? s->value : s->value - 1;
	if (s->feature == ISA_LSE && !on)
		v = 0; /* 1 is reserved */
	if (s->feature == ISA_QARMA5)
		set_pauth(id, pauth_level(id) ? pauth_level(id) : 1, on);
	else if (s->reg == ISAR1 && s->shift == ISAR1_API)
		set_pauth(id, v, qarma5);
	else
		set_field(id, s->reg, s->shift, v);
	if (s->feature == ISA_FP16)
		set_field(id, PFR0, PFR0_ADVSIMD, field(id, PFR0, PFR0_FP));
}

/* ---- the models */

static void model_neoverse_n1(struct cpu_model *m)
{
	*m = (struct cpu_model){
		.midr = 0x414fd0c1, /* r4p1 */
		/* 64-byte lines; IDC: data caches need no cleaning for fetches; DIC clear: instruction caches need IC IVAU. */
		.ctr = 0x9444c004,
		.clidr = 0x02000023, /* L1 split, L2 unified; LoC 2, LoUU 0 */
		.dczid = 4,	     /* 64 bytes */
		.id =
			{
				[PFR0] =
					0x1100000010110011, /* EL0, EL1 AArch64 only; FP, AdvSIMD with FP16; RAS; CSV2, CSV3 */
				[PFR1] = 0x20,		    /* SSBS with its MSR */
				[DFR0] =
					0x10305008, /* Armv8.2 debug; 6 breakpoints, 2 for contexts; 4 watchpoints; no PMU of its own */
				[ISAR0] =
					0x0000100010211120, /* DotProd, RDM, LSE, CRC32, SHA256, SHA1, AES with PMULL */
				[ISAR1] = 0x0000000000100001, /* LRCPC, DPB */
				[MMFR0] =
					0x0000000000100025, /* 48-bit PA, 16-bit ASID, all granules, little endian only */
				[MMFR1] =
					0x0000000010211022, /* XNX, PAN with AT S1E1RP, LOR, HPD, VMID16, hardware AF and dirty state */
				[MMFR2] =
					0x0000001000001011, /* IDS (EL0 reads of the ID space report EC 0x18), IESB, UAO, CnP */
			},
	};
}

static void model_cortex_a72(struct cpu_model *m)
{
	*m = (struct cpu_model){
		.midr = 0x410fd083,  /* r0p3 */
		.ctr = 0x8444c004,   /* as above, and data caches need cleaning for fetches */
		.clidr = 0x0a200023, /* LoC 2, LoUU 1 */
		.dczid = 4,
		.id =
			{
				[PFR0] = 0x11,
				[DFR0] = 0x10305006, /* Armv8.0 debug; 6 breakpoints, 2 for contexts; 4 watchpoints */
				[ISAR0] = 0x11120,   /* CRC32, SHA256, SHA1, AES with PMULL */
				[MMFR0] = 0x24,	     /* 44-bit PA, 16-bit ASID, 4K and 64K granules */
			},
	};
}

/* Everything there is; the algorithm of pointer authentication is the fast one. */
static void model_max(struct cpu_model *m)
{
	model_neoverse_n1(m);
	m->midr = 0x000f0a10; /* implementer 0: reserved for software */
	for (unsigned i = 0; i < N_SWITCHES; i++)
		if (switches[i].feature != ISA_QARMA5)
			set_switch(m->id, &switches[i], true);
}

static const struct {
	const char *name, *what;
	void (*make)(struct cpu_model *m);
} models[] = {
	{"neoverse-n1", "an Armv8.2 core: the default", model_neoverse_n1},
	{"cortex-a72", "an Armv8.0 core with cryptography", model_cortex_a72},
	{"max", "every feature that pawl has", model_max},
};
enum { N_MODELS = sizeof(models) / sizeof(models[0]) };

const char *cpu_model_name(unsigned i, const char **what)
{
	if (i >= N_MODELS)
		return NULL;
	*what = models[i].what;
	return models[i].name;
}

const char *cpu_model_switch(unsigned i)
{
	return i < N_SWITCHES ? switches[i].name : NULL;
}

bool cpu_model_has_pauth(const struct cpu_model *m)
{
	return pauth_level(m->id);
}

static const struct cpu_switch *find_switch(const char *name, size_t len)
{
	for (unsigned i = 0; i < N_SWITCHES; i++)
		if (strlen(switches[i].name) == len && !strncasecmp(switches[i].name, name, len))
			return &switches[i];
	return NULL;
}

int cpu_model_parse(const char *text, struct cpu_model *m, char *why, size_t len)
{
	size_t n = strcspn(text, ",");
	unsigned i;

	for (i = 0; i < N_MODELS; i++)
		if (strlen(models[i].name) == n && !strncmp(models[i].name, text, n))
			break;
	if (i == N_MODELS) {
		snprintf(why, len, "there is no CPU model '%.*s'", (int)(n < 64 ? n : 64), text);
		return -EINVAL;
	}
	models[i].make(m);
	for (text += n; *text; text += n) {
		const struct cpu_switch *s;
		char sign = *++text;

		n = strcspn(text, ",");
		if (sign != '+' && sign != '-') {
			snprintf(why, len, "'%.*s' is neither +FEATURE nor -FEATURE", (int)(n < 64 ? n : 64), text);
			return -EINVAL;
		}
		s = find_switch(text + 1, n - 1);
		if (!s) {
			snprintf(why, len, "there is no CPU feature '%.*s'", (int)(n < 64 ? n - 1 : 64), text + 1);
			return -EINVAL;
		}
		set_switch(m->id, s, sign == '+');
	}
	return 0;
}

/* ---- a PE's */

void cpu_group_set_model(struct cpu_group *g, const struct cpu_model *m)
{
	g->model = *m;
}

const struct cpu_model *cpu_group_model(const struct cpu_group *g)
{
	return &g->model;
}

void model_default(struct cpu_model *m)
{
	model_neoverse_n1(m);
}

void model_init(struct cpu *cpu)
{
	const struct cpu_model *m = &cpu->group->model;

	cpu->sys[CPU_MIDR_EL1] = m->midr;
	cpu->sys[CPU_MPIDR_EL1] = 0x80000000;
	cpu->sys[CPU_CTR_EL0] = m->ctr;
	cpu->sys[CPU_CLIDR_EL1] = m->clidr;
	cpu->sys[CPU_DCZID_EL0] = m->dczid;
	memcpy(cpu->id, m->id, sizeof(cpu->id));
	cpu->features = features_of(cpu->id);
	cache_classify(cpu);
}

void cpu_id_changed(struct cpu *cpu)
{
	uint64_t now = features_of(cpu->id);

	if (now == cpu->features)
		return;
	cpu->features = now;
	cache_classify(cpu); /* the words are the same, what they mean is not */
	cpu_sys_changed(cpu);
}
