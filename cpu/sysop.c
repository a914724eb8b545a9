/* SPDX-License-Identifier: MIT */
/*
 * System instructions, the op0 = 1 space: TLBI, DC, IC, AT. Arm ARM DDI 0487, "A64 System instructions for cache
 * maintenance", "... for address translation", "... for TLB maintenance". There are no data caches, so DC by address
 * only translates and checks; by set/way it traps to EL2 (HCR_EL2.TSW), as does what is IMPLEMENTATION DEFINED (TIDCP).
 */
#include "internal.h"

#define OP(op1, crn, crm, op2) SYSREG(1, op1, crn, crm, op2)

static int trap_to_el1(struct cpu *cpu, uint32_t enc, unsigned rt)
{
	return exception_sync(cpu, ESR_MAKE(EC_SYS64, iss_sys(enc, rt, 0)));
}

static int trap_to_el2(struct cpu *cpu, uint32_t enc, unsigned rt)
{
	return trap_el2(cpu, ESR_MAKE(EC_SYS64, iss_sys(enc, rt, 0)));
}

/* ---- TLBI */

/* Where an operation counts. The PEs are one shareability domain: outer is inner. */
enum tlbi_scope { TLBI_NONE, TLBI_LOCAL, TLBI_SHARED };
struct tlbi_form {
	enum tlbi_scope scope;
	bool range;
};

static struct tlbi_form tlbi_form(const struct cpu *cpu, uint32_t enc)
{
	bool os = cpu_has(cpu, ISA_TLBIOS), range = cpu_has(cpu, ISA_TLBIRANGE);

	if ((enc >> 11 & 7) != 0)
		return (struct tlbi_form){TLBI_NONE, false};
	switch (enc >> 3 & 15) {
	case 1: return (struct tlbi_form){os ? TLBI_SHARED : TLBI_NONE, false};
	case 2: return (struct tlbi_form){range ? TLBI_SHARED : TLBI_NONE, true};
	case 3: return (struct tlbi_form){TLBI_SHARED, false};
	case 5: return (struct tlbi_form){range ? TLBI_SHARED : TLBI_NONE, true}; /* outer shareable */
	case 6: return (struct tlbi_form){range ? TLBI_LOCAL : TLBI_NONE, true};
	case 7: return (struct tlbi_form){TLBI_LOCAL, false};
	default: return (struct tlbi_form){TLBI_NONE, false};
	}
}

static void invalidate(struct cpu *cpu, struct tlbi_form form, struct inval v)
{
	inval_apply(cpu, &(struct inval_list){.n = 1, .v = {v}});
	if (form.scope == TLBI_SHARED)
		group_defer(cpu, v);
}

/* BaseADDR, NUM, SCALE and TG of the argument of a range operation; many pages are all pages. */
static void invalidate_range(struct cpu *cpu, struct tlbi_form form, uint32_t asid, uint64_t val)
{
	unsigned tg = val >> 46 & 3, scale = val >> 44 & 3, num = val >> 39 & 31;
	unsigned page = 10 + 2 * tg; /* log2 of the granule; a TG of 0 is reserved */
	uint64_t va = (uint64_t)((int64_t)(val << 27) >> 27) << page;
	uint64_t n = ((uint64_t)num + 1) << (5 * scale + 1);

	if (!tg || n > (unsigned)(INVAL_MAX / 2) >> (page - IR_PAGE_SHIFT)) {
		invalidate(cpu, form, (struct inval){.kind = INVAL_TLB_ALL});
		return;
	}
	for (n <<= page - IR_PAGE_SHIFT; n--; va += 1ull << IR_PAGE_SHIFT)
		invalidate(cpu, form, (struct inval){INVAL_TLB_VA, asid, (uint64_t)((int64_t)(va << 8) >> 8)});
}

static int tlbi(struct cpu *cpu, uint32_t enc, uint64_t val)
{
	const struct tlbi_form form = tlbi_form(cpu, enc);
	uint32_t asid = group_asid(cpu, val >> 48);
	unsigned op2 = enc & 7;

	if (form.scope == TLBI_NONE)
		return exception_undef(cpu);
	switch (op2) {
	case 0:
	case 2:
		if (form.range)
			return exception_undef(cpu);
		invalidate(cpu, form, (struct inval){.kind = op2 ? INVAL_TLB_ASID : INVAL_TLB_ALL, .asid = asid});
		break;
	case 1: /* VAE1, VALE1; and in all address spaces: */
	case 3: /* VAAE1, VAALE1 */
	case 5:
	case 7:
		if (op2 & 2)
			asid = ASID_ANY;
		if (form.range)
			invalidate_range(cpu, form, asid, val);
		else
			invalidate(cpu, form,
				   (struct inval){INVAL_TLB_VA, asid, (uint64_t)((int64_t)(val << 20) >> 8)});
		break;
	default: return exception_undef(cpu);
	}
	return retire(cpu);
}

/* ---- AT */

static int at(struct cpu *cpu, unsigned acc, enum regime regime, uint64_t va)
{
	struct xlate x;
	struct fault f;
	uint64_t par;

	if (stage1_translate(cpu, va, acc | ACC_PROBE, regime, &x, &f))
		par = (uint64_t)x.attr << 56 | (x.ipa & 0x000ffffffffff000ull) | 1u << 11 | 1u << 9 |
		      (uint64_t)x.sh << 7;
	else if (f.stage2)				       /* a table that is not there is EL2's business */
		return abort_data(cpu, va, 0, true, true, &f); /* WnR is 1 for any AT */
	else
		par = 1u << 11 | (uint64_t)f.fsc << 1 | 1;
	cpu->sys[CPU_PAR_EL1] = par;
	return 0;
}

/* ---- IC */

static int ic_all(struct cpu *cpu, bool broadcast)
{
	block_changed_all(cpu);
	if (broadcast)
		group_defer(cpu, (struct inval){.kind = INVAL_CODE_ALL});
	return retire(cpu);
}

static int ic_ivau(struct cpu *cpu, uint64_t va)
{
	ipa_t ipa;

	if (access_maintain(cpu, va, false, &ipa))
		return 1;
	block_changed_page(cpu, ipa & IR_PAGE_MASK);
	group_defer(cpu, (struct inval){.kind = INVAL_CODE_PAGE, .arg = ipa & IR_PAGE_MASK});
	return retire(cpu);
}

int sysop(struct cpu *cpu, uint32_t enc, unsigned rt, uint64_t val)
{
	bool el0 = cpu_is_el0(cpu);
	uint64_t sctlr = cpu->sys[CPU_SCTLR_EL1];
	unsigned crn = enc >> 7 & 15;

	switch (enc) {	     /* what EL0 may have */
	case OP(3, 7, 4, 1): /* DC ZVA */
		if (el0 && !(sctlr & SCTLR_DZE))
			return trap_to_el1(cpu, enc, rt);
		return access_zva(cpu, val);
	case OP(3, 7, 12, 1): /* DC CVAP */
		if (!cpu_has(cpu, ISA_DPB))
			return exception_undef(cpu);
		goto dc;
	case OP(3, 7, 13, 1): /* DC CVADP */
		if (!cpu_has(cpu, ISA_DPB2))
			return exception_undef(cpu);
		goto dc;
	case OP(3, 7, 10, 1): /* DC CVAC */
	case OP(3, 7, 11, 1): /* DC CVAU */
	case OP(3, 7, 14, 1): /* DC CIVAC */
	dc:
		if (el0 && !(sctlr & SCTLR_UCI))
			return trap_to_el1(cpu, enc, rt);
		return access_maintain(cpu, val, false, NULL);
	case OP(3, 7, 5, 1): /* IC IVAU */
		if (el0 && !(sctlr & SCTLR_UCI))
			return trap_to_el1(cpu, enc, rt);
		return ic_ivau(cpu, val);
	}
	if (el0)
		return exception_undef(cpu);
	if ((enc == OP(0, 7, 9, 0) || enc == OP(0, 7, 9, 1)) && !cpu_has(cpu, ISA_PAN2))
		return exception_undef(cpu);
	if (crn == 8 || (crn == 9 && cpu_has(cpu, ISA_XS))) /* 9: nXS, which are the same without XS memory */
		return tlbi(cpu, enc, val);
	if (crn == 11 || crn == 15)
		return trap_to_el2(cpu, enc, rt);
	switch (enc) {
	case OP(0, 7, 1, 0): return ic_all(cpu, true);			   /* IC IALLUIS */
	case OP(0, 7, 5, 0): return ic_all(cpu, false);			   /* IC IALLU */
	case OP(0, 7, 6, 1): return access_maintain(cpu, val, true, NULL); /* DC IVAC */
	case OP(0, 7, 6, 2):						   /* DC ISW */
	case OP(0, 7, 10, 2):						   /* DC CSW */
	case OP(0, 7, 14, 2): /* DC CISW */ return trap_to_el2(cpu, enc, rt);
	case OP(0, 7, 8, 0): return at(cpu, ACC_READ, REGIME_EL1, val);	      /* AT S1E1R */
	case OP(0, 7, 8, 1): return at(cpu, ACC_WRITE, REGIME_EL1, val);      /* AT S1E1W */
	case OP(0, 7, 8, 2): return at(cpu, ACC_READ, REGIME_EL0, val);	      /* AT S1E0R */
	case OP(0, 7, 8, 3): return at(cpu, ACC_WRITE, REGIME_EL0, val);      /* AT S1E0W */
	case OP(0, 7, 9, 0): return at(cpu, ACC_READ, tlb_regime(cpu), val);  /* AT S1E1RP */
	case OP(0, 7, 9, 1): return at(cpu, ACC_WRITE, tlb_regime(cpu), val); /* AT S1E1WP */
	default: return exception_undef(cpu);
	}
}
