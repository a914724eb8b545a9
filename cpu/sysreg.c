/* SPDX-License-Identifier: MIT */
/*
 * System registers that the PE owns: one row per register with its encoding, storage, access from EL0 and what a write
 * sets off. Arm ARM DDI 0487, "AArch64 System register descriptions". A register without a row here traps to EL2 with
 * EC 0x18, as under HCR_EL2 and MDCR_EL2 with their trap bits set (ID group 3, ACTLR, debug, OS lock, PMU, LOR, cache
 * geometry, IMPLEMENTATION DEFINED): the hypervisor has those, or makes it UNDEFINED.
 */
#include "internal.h"

#include <errno.h>

#include "vec.h"

/* Access from EL0 */
enum el0_rule { EL0_NONE, EL0_RW, EL0_RO, EL0_UMA, EL0_UCT, EL0_VCT, EL0_PCT, EL0_FRQ, EL0_VT, EL0_PT };

/* What a write sets off */
enum effect {
	PLAIN,
	REGIME, /* another address space: TTBRn */
	FLUSH,	/* translations mean something else: SCTLR, TCR, MAIR */
	RETIRE	/* block key or debug state: end the block */
};

struct sysreg {
	uint16_t enc;
	int16_t sys; /* enum cpu_sys, or -1: get and set */
	const char *name;
	uint8_t el0; /* enum el0_rule */
	uint8_t effect;
	bool read_only;
	uint8_t feature; /* UNDEFINED without it; ISA_BASE: always there */
	uint64_t mask;	 /* bits that a guest's write keeps */
	int (*get)(struct cpu *cpu, const struct sysreg *r, uint64_t *val); /* 0, or 1: exception taken */
	int (*set)(struct cpu *cpu, const struct sysreg *r, uint64_t val);  /* 0, or 1: exception, or the block ends */
	uint8_t arg;
};

/* ---- PSTATE fields and special registers */

static uint32_t pstate_write(struct cpu *cpu, uint32_t mask, uint64_t val)
{
	return (cpu->pstate & ~mask) | ((uint32_t)val & mask);
}

/*
 * New masks: an interrupt may be taken now, and PSTATE.D decides whether the next instruction is stepped. Break- and watchpoints
 * look at it when they match.
 */
static int daif_changed(struct cpu *cpu, uint32_t old)
{
	if (((cpu->pstate ^ old) & PSR_D && cpu->el2.mdscr & MDSCR_SS) || exception_pending_irq(cpu)) {
		attend(cpu, ATTN_IRQ | ATTN_REGIME);
		return retire(cpu);
	}
	return 0;
}

/* What was written may have raised an interrupt of this PE. */
static int irq_changed(struct cpu *cpu)
{
	if (likely(!exception_pending_irq(cpu)))
		return 0;
	attend(cpu, ATTN_IRQ);
	return retire(cpu);
}

static int field_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = cpu->pstate & r->mask;
	return 0;
}

static int daif_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	uint32_t old = cpu->pstate;

	cpu->pstate = pstate_write(cpu, PSR_D | PSR_A | PSR_I | PSR_F, val);
	return daif_changed(cpu, old);
}

static int pan_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	cpu->pstate = pstate_write(cpu, PSR_PAN, val);
	attend(cpu, ATTN_REGIME);
	return retire(cpu);
}

static int field_set(struct cpu *cpu, const struct sysreg *r, uint64_t val) /* UAO, SSBS: looked at when used */
{
	cpu->pstate = pstate_write(cpu, (uint32_t)r->mask, val);
	if (r->mask & PSR_UAO)
		tlb_unpriv_changed(cpu);
	return 0;
}

static int currentel_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = cpu->pstate & 0xc;
	return 0;
}

static int spsel_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = cpu->pstate & 1;
	return 0;
}

static int spsel_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	exception_switch_sp(cpu, (cpu->pstate & ~1u) | (val & 1));
	return retire(cpu); /* x[31] is another register now */
}

static int nzcv_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = ir_nzcv(&cpu->env) & PSR_NZCV;
	return 0;
}

static int nzcv_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	ir_set_nzcv(&cpu->env, (uint32_t)val & PSR_NZCV);
	return 0;
}

static int sp_el0_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	if (!(cpu->pstate & 1))
		return exception_undef(cpu);
	*val = cpu->sp_bank[0];
	return 0;
}

static int sp_el0_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	if (!(cpu->pstate & 1))
		return exception_undef(cpu);
	cpu->sp_bank[0] = val;
	return 0;
}

static bool fp_trapped(const struct cpu *cpu)
{
	unsigned fpen = cpu->sys[CPU_CPACR_EL1] >> 20 & 3;

	return cpu_is_el0(cpu) ? fpen != 3 : !(fpen & 1);
}

static int fp_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	if (fp_trapped(cpu))
		return exception_fp(cpu);
	*val = r->arg ? cpu->env.fpsr : cpu->env.fpcr;
	return 0;
}

static int fp_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	if (fp_trapped(cpu))
		return exception_fp(cpu);
	if (!r->arg && !cpu_has(cpu, ISA_FP16))
		val &= ~(uint64_t)IR_FPCR_FZ16;
	if (!r->arg && (cpu->env.fpcr ^ val) & IR_FPCR_FZ)
		attend(cpu, ATTN_REGIME); /* FZ is in the key of blocks */
	*(r->arg ? &cpu->env.fpsr : &cpu->env.fpcr) = (uint32_t)(val & r->mask);
	return 0;
}

/* ---- identification */

static int dczid_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = cpu->sys[CPU_DCZID_EL0];
	if (cpu_is_el0(cpu) && !(cpu->sys[CPU_SCTLR_EL1] & SCTLR_DZE))
		*val |= 1 << 4; /* DZP */
	return 0;
}

static int isr_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	uint32_t in = atomic_load(&cpu->irq_in);

	*val = (in & CPU_SERROR ? 1 << 8 : 0) | (in & CPU_IRQ ? 1 << 7 : 0) | (in & CPU_FIQ ? 1 << 6 : 0);
	return 0;
}

/* ---- generic timer; arg: CPU_TIMER_V or _P */

static int frq_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = CPU_CNTFRQ;
	return 0;
}

static int count_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = timer_count(cpu, r->arg);
	return 0;
}

static int timer_written(struct cpu *cpu)
{
	if (cpu->platform && cpu->platform->timer_changed)
		cpu->platform->timer_changed(cpu->opaque);
	return irq_changed(cpu);
}

static int ctl_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = timer_ctl(cpu, r->arg);
	return 0;
}

static int ctl_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	cpu->timer[r->arg].ctl = val & (TIMER_ENABLE | TIMER_IMASK);
	return timer_written(cpu);
}

static int cval_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = cpu->timer[r->arg].cval;
	return 0;
}

static int cval_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	cpu->timer[r->arg].cval = val;
	return timer_written(cpu);
}

static int tval_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	*val = (uint32_t)(cpu->timer[r->arg].cval - timer_count(cpu, r->arg));
	return 0;
}

static int tval_set(struct cpu *cpu, const struct sysreg *r, uint64_t val)
{
	cpu->timer[r->arg].cval = timer_count(cpu, r->arg) + (uint64_t)(int64_t)(int32_t)val;
	return timer_written(cpu);
}

/* ---- random numbers. 0 says that there was none, which the flags repeat. */

static int rndr_get(struct cpu *cpu, const struct sysreg *r, uint64_t *val)
{
	if (!cpu->platform || !cpu->platform->random || !cpu->platform->random(cpu->opaque, val))
		*val = 0;
	return 0;
}

/* ---- the rows */

/* clang-format off */
#define R(op0, op1, crn, crm, op2, n) .enc = SYSREG(op0, op1, crn, crm, op2), .name = n
#define ALL UINT64_MAX
/*
 * DSSBS, UCI, SPAN, IESB, WXN, nTWE, nTWI, UCT, DZE, I, UMA, SA0, SA, C, A, M, and what is RES1 here or kept for
 * AArch32's sake (28, 29, 22, 20, 16, 11, 8, 7, 5, 4). EE and E0E are RES0: little endian only.
 */
#define SCTLR_BITS ((1ull << 44) | 0x34fddbbfull | SCTLR_PAUTH | SCTLR_BT0 | SCTLR_BT1 | SCTLR_EPAN | SCTLR_NAA)
/* TBID, HPD, HD, HA, TBI, AS, IPS, and the halves' TG, SH, ORGN, IRGN, EPD, SZ with A1. HWU, NFD, E0PD, TCMA, DS, MTX: RES0. */
#define TCR_BITS 0x001807f7ffffffbfull
#define SCTLR_PAUTH (SCTLR_ENIA | SCTLR_ENIB | SCTLR_ENDA | SCTLR_ENDB)

static const struct sysreg rows[] = {
	{R(3, 0, 0, 0, 0, "MIDR_EL1"), .sys = CPU_MIDR_EL1, .read_only = true},
	{R(3, 0, 0, 0, 5, "MPIDR_EL1"), .sys = CPU_MPIDR_EL1, .read_only = true},
	{R(3, 3, 0, 0, 1, "CTR_EL0"), .sys = CPU_CTR_EL0, .el0 = EL0_UCT, .read_only = true},
	{R(3, 3, 0, 0, 7, "DCZID_EL0"), .sys = -1, .el0 = EL0_RO, .read_only = true, .get = dczid_get},
	{R(3, 0, 12, 1, 0, "ISR_EL1"), .sys = -1, .read_only = true, .get = isr_get},

	{R(3, 0, 1, 0, 0, "SCTLR_EL1"), .sys = CPU_SCTLR_EL1, .effect = FLUSH, .mask = SCTLR_BITS},
	{R(3, 0, 1, 0, 2, "CPACR_EL1"), .sys = CPU_CPACR_EL1, .effect = RETIRE, .mask = 3u << 20},
	{R(3, 0, 2, 0, 0, "TTBR0_EL1"), .sys = CPU_TTBR0_EL1, .effect = REGIME, .mask = ALL},
	{R(3, 0, 2, 0, 1, "TTBR1_EL1"), .sys = CPU_TTBR1_EL1, .effect = REGIME, .mask = ALL},
	{R(3, 0, 2, 0, 2, "TCR_EL1"), .sys = CPU_TCR_EL1, .effect = FLUSH, .mask = TCR_BITS},
	{R(3, 0, 2, 1, 0, "APIAKeyLo_EL1"), .sys = CPU_APIAKEYLO_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 1, 1, "APIAKeyHi_EL1"), .sys = CPU_APIAKEYHI_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 1, 2, "APIBKeyLo_EL1"), .sys = CPU_APIBKEYLO_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 1, 3, "APIBKeyHi_EL1"), .sys = CPU_APIBKEYHI_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 2, 0, "APDAKeyLo_EL1"), .sys = CPU_APDAKEYLO_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 2, 1, "APDAKeyHi_EL1"), .sys = CPU_APDAKEYHI_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 2, 2, "APDBKeyLo_EL1"), .sys = CPU_APDBKEYLO_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 2, 3, "APDBKeyHi_EL1"), .sys = CPU_APDBKEYHI_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 3, 0, "APGAKeyLo_EL1"), .sys = CPU_APGAKEYLO_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 2, 3, 1, "APGAKeyHi_EL1"), .sys = CPU_APGAKEYHI_EL1, .feature = ISA_PAUTH, .mask = ALL},
	{R(3, 0, 5, 1, 0, "AFSR0_EL1"), .sys = CPU_AFSR0_EL1, .mask = 0xffffffff},
	{R(3, 0, 5, 1, 1, "AFSR1_EL1"), .sys = CPU_AFSR1_EL1, .mask = 0xffffffff},
	{R(3, 0, 5, 2, 0, "ESR_EL1"), .sys = CPU_ESR_EL1, .mask = 0xffffffff},
	{R(3, 0, 6, 0, 0, "FAR_EL1"), .sys = CPU_FAR_EL1, .mask = ALL},
	{R(3, 0, 7, 4, 0, "PAR_EL1"), .sys = CPU_PAR_EL1, .mask = ALL},
	{R(3, 0, 10, 2, 0, "MAIR_EL1"), .sys = CPU_MAIR_EL1, .effect = FLUSH, .mask = ALL},
	{R(3, 0, 10, 3, 0, "AMAIR_EL1"), .sys = CPU_AMAIR_EL1, .mask = ALL},
	{R(3, 0, 12, 0, 0, "VBAR_EL1"), .sys = CPU_VBAR_EL1, .mask = ~0x7ffull},
	{R(3, 0, 12, 1, 1, "DISR_EL1"), .sys = CPU_DISR_EL1, .feature = ISA_RAS, .mask = 0x81ffffff},
	{R(3, 0, 13, 0, 1, "CONTEXTIDR_EL1"), .sys = CPU_CONTEXTIDR_EL1, .effect = RETIRE, .mask = 0xffffffff},
	{R(3, 0, 13, 0, 4, "TPIDR_EL1"), .sys = CPU_TPIDR_EL1, .mask = ALL},
	{R(3, 3, 13, 0, 2, "TPIDR_EL0"), .sys = CPU_TPIDR_EL0, .el0 = EL0_RW, .mask = ALL},
	{R(3, 3, 13, 0, 3, "TPIDRRO_EL0"), .sys = CPU_TPIDRRO_EL0, .el0 = EL0_RO, .mask = ALL},
	{R(3, 0, 14, 1, 0, "CNTKCTL_EL1"), .sys = CPU_CNTKCTL_EL1, .mask = 0x203ff},
	{R(3, 0, 4, 0, 0, "SPSR_EL1"), .sys = CPU_SPSR_EL1, .mask = 0xffffffff},
	{R(3, 0, 4, 0, 1, "ELR_EL1"), .sys = CPU_ELR_EL1, .mask = ALL},

	{R(3, 0, 4, 1, 0, "SP_EL0"), .sys = -1, .get = sp_el0_get, .set = sp_el0_set},
	{R(3, 0, 4, 2, 0, "SPSel"), .sys = -1, .get = spsel_get, .set = spsel_set},
	{R(3, 0, 4, 2, 2, "CurrentEL"), .sys = -1, .read_only = true, .get = currentel_get},
	{R(3, 0, 4, 2, 3, "PAN"), .sys = -1, .feature = ISA_PAN, .mask = PSR_PAN, .get = field_get, .set = pan_set},
	{R(3, 0, 4, 2, 4, "UAO"), .sys = -1, .feature = ISA_UAO, .mask = PSR_UAO, .get = field_get, .set = field_set},
	{R(3, 3, 2, 4, 0, "RNDR"), .sys = -1, .feature = ISA_RNG, .el0 = EL0_RO, .read_only = true, .get = rndr_get},
	{R(3, 3, 2, 4, 1, "RNDRRS"), .sys = -1, .feature = ISA_RNG, .el0 = EL0_RO, .read_only = true, .get = rndr_get},
	{R(3, 3, 4, 2, 0, "NZCV"), .sys = -1, .el0 = EL0_RW, .get = nzcv_get, .set = nzcv_set},
	{R(3, 3, 4, 2, 1, "DAIF"), .sys = -1, .el0 = EL0_UMA, .mask = PSR_D | PSR_A | PSR_I | PSR_F, .get = field_get, .set = daif_set},
	{R(3, 3, 4, 2, 5, "DIT"), .sys = -1, .feature = ISA_DIT, .el0 = EL0_RW, .mask = PSR_DIT, .get = field_get, .set = field_set},
	{R(3, 3, 4, 2, 6, "SSBS"), .sys = -1, .feature = ISA_SSBS2, .el0 = EL0_RW, .mask = PSR_SSBS, .get = field_get, .set = field_set},
	/* AHP, DN, FZ, RMode, FZ16; the trap enables are not implemented. QC and the cumulative flags. */
	{R(3, 3, 4, 4, 0, "FPCR"), .sys = -1, .el0 = EL0_RW, .mask = 0x07c80000, .get = fp_get, .set = fp_set, .arg = 0},
	{R(3, 3, 4, 4, 1, "FPSR"), .sys = -1, .el0 = EL0_RW, .mask = 0x0800009f, .get = fp_get, .set = fp_set, .arg = 1},

	{R(3, 3, 14, 0, 0, "CNTFRQ_EL0"), .sys = -1, .el0 = EL0_FRQ, .read_only = true, .get = frq_get},
	{R(3, 3, 14, 0, 1, "CNTPCT_EL0"), .sys = -1, .el0 = EL0_PCT, .read_only = true, .get = count_get, .arg = CPU_TIMER_P},
	{R(3, 3, 14, 0, 2, "CNTVCT_EL0"), .sys = -1, .el0 = EL0_VCT, .read_only = true, .get = count_get, .arg = CPU_TIMER_V},
	{R(3, 3, 14, 2, 0, "CNTP_TVAL_EL0"), .sys = -1, .el0 = EL0_PT, .get = tval_get, .set = tval_set, .arg = CPU_TIMER_P},
	{R(3, 3, 14, 2, 1, "CNTP_CTL_EL0"), .sys = -1, .el0 = EL0_PT, .get = ctl_get, .set = ctl_set, .arg = CPU_TIMER_P},
	{R(3, 3, 14, 2, 2, "CNTP_CVAL_EL0"), .sys = -1, .el0 = EL0_PT, .get = cval_get, .set = cval_set, .arg = CPU_TIMER_P},
	{R(3, 3, 14, 3, 0, "CNTV_TVAL_EL0"), .sys = -1, .el0 = EL0_VT, .get = tval_get, .set = tval_set, .arg = CPU_TIMER_V},
	{R(3, 3, 14, 3, 1, "CNTV_CTL_EL0"), .sys = -1, .el0 = EL0_VT, .get = ctl_get, .set = ctl_set, .arg = CPU_TIMER_V},
	{R(3, 3, 14, 3, 2, "CNTV_CVAL_EL0"), .sys = -1, .el0 = EL0_VT, .get = cval_get, .set = cval_set, .arg = CPU_TIMER_V},
};
/* clang-format on */

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };
_Static_assert(N_ROWS < 255, "a row number and 'none' fit in a byte");

void sysreg_index(uint8_t *row_of)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		row_of[rows[i].enc] = (uint8_t)(i + 1);
}

static const struct sysreg *row(const struct cpu *cpu, uint32_t enc)
{
	unsigned i = cpu->group->sysreg_row[enc & 0xffff];

	return likely(i) ? &rows[i - 1] : NULL;
}

/* FEAT_IDST: reads of the ID space from EL0 say what they were. */
static bool reports_id_read(const struct cpu *cpu, uint32_t enc)
{
	unsigned op0 = enc >> 14 & 3, op1 = enc >> 11 & 7, crn = enc >> 7 & 15, crm = enc >> 3 & 15;

	return op0 == 3 && (op1 == 0 || op1 == 1 || op1 == 3) && crn == 0 && crm < 8 &&
	       (cpu->id[CPU_ID(7, 2)] >> 36 & 15);
}

/* ---- access from EL0: 0 go on, 1 exception taken */

static int el0_check(struct cpu *cpu, const struct sysreg *r, uint32_t enc, unsigned rt, bool read)
{
	uint64_t sctlr = cpu->sys[CPU_SCTLR_EL1], kctl = cpu->sys[CPU_CNTKCTL_EL1];
	bool ok = false;

	switch ((enum el0_rule)r->el0) {
	case EL0_NONE:
		if (!read || !reports_id_read(cpu, enc))
			return exception_undef(cpu);
		break;
	case EL0_RW: return 0;
	case EL0_RO: return read ? 0 : exception_undef(cpu);
	case EL0_UMA: ok = sctlr & SCTLR_UMA; break;
	case EL0_UCT: ok = sctlr & SCTLR_UCT; break;
	case EL0_PCT: ok = kctl & 1; break;
	case EL0_VCT: ok = kctl & 2; break;
	case EL0_FRQ: ok = kctl & 3; break;
	case EL0_VT: ok = kctl & 1 << 8; break;
	case EL0_PT: ok = kctl & 1 << 9; break;
	}
	return ok ? 0 : exception_sync(cpu, ESR_MAKE(EC_SYS64, iss_sys(enc, rt, read)));
}

/* ---- the GIC CPU interface */

static bool is_icc(uint32_t enc)
{
	unsigned crm = enc >> 3 & 15;

	if (enc == SYSREG(3, 0, 4, 6, 0)) /* ICC_PMR_EL1 */
		return true;
	return (enc & ~0x7fu) == (SYSREG(3, 0, 12, 0, 0) & ~0x7fu) && (crm == 8 || crm == 9 || crm == 11 || crm == 12);
}

static bool is_icc_sgi(uint32_t enc) /* ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1 */
{
	return enc >= SYSREG(3, 0, 12, 11, 5) && enc <= SYSREG(3, 0, 12, 11, 7);
}

enum { ICC_SRE_EL1 = SYSREG(3, 0, 12, 12, 5) };

static int icc_read(struct cpu *cpu, uint32_t enc, uint64_t *val)
{
	if (!cpu->platform || !cpu->platform->icc_read)
		return exception_undef(cpu);
	if (enc == ICC_SRE_EL1) {
		*val = 7;
		return 0;
	}
	if (cpu->platform->icc_read(cpu->opaque, enc, val))
		return exception_undef(cpu);
	attend(cpu, ATTN_IRQ);
	return 0;
}

static int icc_write(struct cpu *cpu, uint32_t enc, uint64_t val)
{
	if (!cpu->platform || !cpu->platform->icc_write)
		return exception_undef(cpu);
	if (enc == ICC_SRE_EL1) /* all bits are RAO/WI */
		return 0;
	if (cpu->platform->icc_write(cpu->opaque, enc, val))
		return exception_undef(cpu);
	return irq_changed(cpu);
}

/* ---- registers without a row */

static int unknown(struct cpu *cpu, uint32_t enc, unsigned rt, bool read)
{
	unsigned op0 = enc >> 14 & 3, op1 = enc >> 11 & 7, crn = enc >> 7 & 15;
	uint64_t esr = ESR_MAKE(EC_SYS64, iss_sys(enc, rt, read));

	if (op0 == 1 && (cpu_is_el0(cpu) || (crn != 11 && crn != 15))) /* SYSL */
		return exception_undef(cpu);
	if (op1 == 4 || op1 == 5 || op1 == 6 || op1 == 7) /* EL2, EL3, secure: not for EL1 */
		return exception_undef(cpu);
	if (cpu_is_el0(cpu)) {
		bool pmu = op1 == 3 && (crn == 9 || (crn == 14 && (enc >> 3 & 15) >= 8));
		bool dcc = op0 == 2 && op1 == 3;
		bool dcc_there = enc == SYSREG(2, 3, 0, 4, 0) || enc == SYSREG(2, 3, 0, 5, 0) ||
				 (enc == SYSREG(2, 3, 0, 1, 0) && read);

		if (read && reports_id_read(cpu, enc))
			return exception_sync(cpu, esr);
		if (dcc_there && (cpu->sys[CPU_MDSCR_EL1] & MDSCR_TDCC))
			return exception_sync(cpu, esr);
		if (!(pmu && cpu->el2.tpm) && !dcc)
			return exception_undef(cpu);
	}
	return trap_el2(cpu, esr);
}

/* ---- from the interpreter */

int sysreg_read(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t *val)
{
	struct cpu *cpu = (struct cpu *)env;
	const struct sysreg *r = row(cpu, enc);

	if (unlikely(!r)) {
		if (is_icc(enc) && !cpu_is_el0(cpu))
			return is_icc_sgi(enc) ? exception_undef(cpu) : icc_read(cpu, enc, val); /* write-only */
		return unknown(cpu, enc, rt, true);
	}
	if (unlikely(r->feature) && !cpu_has(cpu, r->feature))
		return exception_undef(cpu);
	if (cpu_is_el0(cpu) && r->el0 != EL0_RW && el0_check(cpu, r, enc, rt, true)) {
		if (r->el0 == EL0_NONE && (enc >> 7 & 15) == 0 && (cpu->id[CPU_ID(7, 2)] >> 36 & 15))
			cpu->sys[CPU_ESR_EL1] = ESR_MAKE(EC_SYS64, iss_sys(enc, rt, 1)); /* FEAT_IDST */
		return 1;
	}
	if (r->sys >= 0) {
		*val = cpu->sys[r->sys];
		return 0;
	}
	return r->get(cpu, r, val);
}

bool sysreg_place(const struct ir_env *env, uint32_t enc, bool write, struct ir_place *at)
{
	const struct cpu *cpu = (const struct cpu *)env;
	const struct sysreg *r = row(cpu, enc);

	if (!r || r->feature || (enc >> 14 & 3) != 3)
		return false;
	if (cpu_is_el0(cpu) && r->el0 != EL0_RW && !(r->el0 == EL0_RO && !write))
		return false;
	*at = (struct ir_place){.mask = write ? r->mask : ~0ull};
	if (r->sys >= 0 && (write ? r->effect == PLAIN && !r->read_only && !r->set : !r->get)) {
		at->offset = (int32_t)(offsetof(struct cpu, sys) + sizeof(cpu->sys[0]) * (unsigned)r->sys);
		return true;
	}
	if (r->get == sp_el0_get && (cpu->pstate & PSR_MODE) == PSR_EL1H) {
		at->offset = (int32_t)offsetof(struct cpu, sp_bank);
		at->mask = ~0ull;
		return true;
	}
	if (r->set == daif_set && !write && !cpu_is_el0(cpu)) {
		at->offset = (int32_t)offsetof(struct cpu, pstate);
		at->half = true;
		at->mask = r->mask;
		return true;
	}
	return false;
}

/* DAIF, DAIFSet, DAIFClr at EL1. Code that is stepped (KEY_ONE) has a look around. */
bool sysreg_bits(const struct ir_env *env, uint32_t enc, int imm, struct ir_bits *b)
{
	enum { DAIF_SET = 036, DAIF_CLEAR = 037, ALL_OF_THEM = PSR_D | PSR_A | PSR_I | PSR_F };
	const struct cpu *cpu = (const struct cpu *)env;
	unsigned field = (enc >> 11 & 7) << 3 | (enc & 7);

	if (cpu_is_el0(cpu) || cpu->priv->key & KEY_ONE)
		return false;
	*b = (struct ir_bits){.word = (int32_t)offsetof(struct cpu, pstate)};
	if (imm < 0) {
		if (enc != SYSREG(3, 3, 4, 2, 1))
			return false;
		b->clear = b->set = ALL_OF_THEM;
	} else if (field == DAIF_SET) {
		b->set = ((unsigned)imm & 15) << 6;
	} else if (field == DAIF_CLEAR) {
		b->clear = ((unsigned)imm & 15) << 6;
	} else {
		return false;
	}
	if (b->clear) /* something may be unmasked */
		b->unless = (int32_t)offsetof(struct cpu, irq_in);
	return true;
}

static int effect(struct cpu *cpu, enum effect e)
{
	switch (e) {
	case PLAIN: return 0;
	case REGIME: tlb_address_space_changed(cpu); break;
	case FLUSH:
		tlb_flush_all(cpu);
		tlb_address_space_changed(cpu);
		break;
	case RETIRE: attend(cpu, ATTN_REGIME); break;
	}
	return retire(cpu);
}

/* Bits of features that are not there are RES0. */
static uint64_t sctlr_bits(const struct cpu *cpu)
{
	return ~((cpu_has(cpu, ISA_PAUTH) ? 0 : SCTLR_PAUTH) | (cpu_has(cpu, ISA_BTI) ? 0 : SCTLR_BT0 | SCTLR_BT1) |
		 (cpu_has(cpu, ISA_EPAN) ? 0 : SCTLR_EPAN) | (cpu_has(cpu, ISA_LSE2) ? 0 : SCTLR_NAA) |
		 (cpu_has(cpu, ISA_SSBS) ? 0 : SCTLR_DSSBS));
}

static uint64_t tcr_bits(const struct cpu *cpu)
{
	return ~((cpu_has(cpu, ISA_HAF) ? 0 : TCR_HA) | (cpu_has(cpu, ISA_HDBS) ? 0 : TCR_HD) |
		 (cpu_has(cpu, ISA_HPDS) ? 0 : TCR_HPD0 | TCR_HPD1) |
		 (cpu_has(cpu, ISA_PAUTH) ? 0 : TCR_TBID0 | TCR_TBID1));
}

int sysreg_write(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t val)
{
	struct cpu *cpu = (struct cpu *)env;
	const struct sysreg *r;

	if ((enc >> 14 & 3) == 1)
		return sysop(cpu, enc, rt, val);
	r = row(cpu, enc);
	if (unlikely(!r)) {
		if (is_icc_sgi(enc) && !cpu_is_el0(cpu) && cpu->platform && cpu->platform->icc_write)
			return trap_el2(cpu, ESR_MAKE(EC_SYS64, iss_sys(enc, rt, 0)));
		if (is_icc(enc) && !cpu_is_el0(cpu))
			return icc_write(cpu, enc, val);
		return unknown(cpu, enc, rt, false);
	}
	if (unlikely(r->feature) && !cpu_has(cpu, r->feature))
		return exception_undef(cpu);
	if (r->read_only)
		return exception_undef(cpu);
	if (cpu_is_el0(cpu) && r->el0 != EL0_RW && el0_check(cpu, r, enc, rt, false))
		return 1;
	if (r->sys < 0)
		return r->set(cpu, r, val);
	val &= r->mask;
	if (r->sys == CPU_SCTLR_EL1)
		val &= sctlr_bits(cpu);
	if (r->sys == CPU_TCR_EL1)
		val &= tcr_bits(cpu);
	if (r->effect == FLUSH && cpu->sys[r->sys] == val)
		return 0;
	cpu->sys[r->sys] = val;
	return effect(cpu, r->effect);
}

/* MSR (immediate). The field is named by op1 and op2; CRm holds the immediate. */
int sysreg_write_imm(struct ir_env *env, uint32_t enc, unsigned imm4)
{
	struct cpu *cpu = (struct cpu *)env;
	unsigned field = (enc >> 11 & 7) << 3 | (enc & 7);
	uint32_t old = cpu->pstate;

	if (cpu_is_el0(cpu) && field != 031 && field != 032 && field != 036 && field != 037)
		return exception_undef(cpu);
	switch (field) {
	case 003: /* UAO */
		cpu->pstate = pstate_write(cpu, PSR_UAO, imm4 & 1 ? PSR_UAO : 0);
		tlb_unpriv_changed(cpu);
		return 0;
	case 004: /* PAN */
		if (!((cpu->pstate ^ (imm4 & 1 ? PSR_PAN : 0)) & PSR_PAN))
			return 0;
		return pan_set(cpu, NULL, imm4 & 1 ? PSR_PAN : 0);
	case 005: return spsel_set(cpu, NULL, imm4);
	case 031: /* SSBS */ cpu->pstate = pstate_write(cpu, PSR_SSBS, imm4 & 1 ? PSR_SSBS : 0); return 0;
	case 032: /* DIT */ cpu->pstate = pstate_write(cpu, PSR_DIT, imm4 & 1 ? PSR_DIT : 0); return 0;
	case 036: /* DAIFSet */
	case 037: /* DAIFClr */
		if (cpu_is_el0(cpu) && !(cpu->sys[CPU_SCTLR_EL1] & SCTLR_UMA))
			return exception_sync(
				cpu, ESR_MAKE(EC_SYS64, iss_sys((enc & ~0x78u) | (imm4 & 15) << 3 | 4 << 7, 31, 0)));
		if (field == 036)
			cpu->pstate |= (imm4 & 15) << 6;
		else
			cpu->pstate &= ~((imm4 & 15) << 6);
		return daif_changed(cpu, old);
	default: return exception_undef(cpu);
	}
}

/* ---- for the hypervisor */

static const struct {
	uint16_t enc;
	int16_t sys;
} trapped[] = {
	/* stored here, handled at EL2 */
	{SYSREG(3, 0, 0, 0, 6), CPU_REVIDR_EL1},  {SYSREG(3, 1, 0, 0, 7), CPU_AIDR_EL1},
	{SYSREG(3, 1, 0, 0, 1), CPU_CLIDR_EL1},	  {SYSREG(3, 2, 0, 0, 0), CPU_CSSELR_EL1},
	{SYSREG(3, 0, 1, 0, 1), CPU_ACTLR_EL1},	  {SYSREG(2, 0, 0, 2, 0), CPU_MDCCINT_EL1},
	{SYSREG(2, 0, 0, 2, 2), CPU_MDSCR_EL1},	  {SYSREG(2, 0, 1, 1, 4), CPU_OSLSR_EL1},
	{SYSREG(3, 4, 3, 0, 0), CPU_DACR32_EL2},  {SYSREG(3, 4, 5, 0, 1), CPU_IFSR32_EL2},
	{SYSREG(3, 4, 5, 3, 0), CPU_FPEXC32_EL2}, {SYSREG(2, 4, 0, 7, 0), CPU_DBGVCR32_EL2},
	{SYSREG(3, 4, 4, 3, 0), CPU_SPSR_IRQ},	  {SYSREG(3, 4, 4, 3, 1), CPU_SPSR_ABT},
	{SYSREG(3, 4, 4, 3, 2), CPU_SPSR_UND},	  {SYSREG(3, 4, 4, 3, 3), CPU_SPSR_FIQ},
};

/* Storage of an encoding, or NULL. */
static uint64_t *storage(struct cpu *cpu, uint32_t enc)
{
	const struct sysreg *r = row(cpu, enc);
	unsigned n = enc >> 3 & 15;

	if (r && r->sys >= 0)
		return &cpu->sys[r->sys];
	if (enc == SYSREG(3, 3, 0, 0, 7))
		return &cpu->sys[CPU_DCZID_EL0];
	if (enc >= SYSREG(3, 0, 0, 1, 0) && enc <= SYSREG(3, 0, 0, 7, 7))
		return &cpu->id[enc - SYSREG(3, 0, 0, 1, 0)];
	for (unsigned i = 0; i < sizeof(trapped) / sizeof(trapped[0]); i++) {
		if (trapped[i].enc == enc)
			return &cpu->sys[trapped[i].sys];
	}
	if ((enc & ~0x7fu) == SYSREG(2, 0, 0, 0, 0)) {
		switch (enc & 7) {
		case 4: return &cpu->dbg.bvr[n];
		case 5: return &cpu->dbg.bcr[n];
		case 6: return &cpu->dbg.wvr[n];
		case 7: return &cpu->dbg.wcr[n];
		}
	}
	switch (enc) {
	case SYSREG(3, 3, 14, 2, 2): return &cpu->timer[CPU_TIMER_P].cval;
	case SYSREG(3, 3, 14, 3, 2): return &cpu->timer[CPU_TIMER_V].cval;
	}
	return NULL;
}

int cpu_sysreg_get(struct cpu *cpu, uint32_t enc, uint64_t *val)
{
	uint64_t *s = storage(cpu, enc);
	const struct sysreg *r = row(cpu, enc);

	if (s) {
		*val = *s;
		return 0;
	}
	if (enc == SYSREG(3, 0, 4, 1, 0)) {
		*val = cpu_sp(cpu, 0);
		return 0;
	}
	if (!r)
		return -ENOENT;
	if (r->get == fp_get)
		*val = r->arg ? cpu->env.fpsr : cpu->env.fpcr;
	else
		r->get(cpu, r, val);
	return 0;
}

int cpu_sysreg_set(struct cpu *cpu, uint32_t enc, uint64_t val)
{
	uint64_t *s = storage(cpu, enc);
	const struct sysreg *r = row(cpu, enc);

	if (s) {
		*s = val;
		if (r && (r->effect == FLUSH || r->effect == REGIME))
			cpu_sys_changed(cpu);
		return 0;
	}
	switch (enc) {
	case SYSREG(3, 0, 4, 1, 0): cpu_set_sp(cpu, 0, val); return 0;
	case SYSREG(3, 3, 4, 4, 0): cpu->env.fpcr = (uint32_t)val; return 0;
	case SYSREG(3, 3, 4, 4, 1): cpu->env.fpsr = (uint32_t)val; return 0;
	case SYSREG(3, 3, 14, 2, 1): cpu->timer[CPU_TIMER_P].ctl = val & 3; return 0;
	case SYSREG(3, 3, 14, 3, 1): cpu->timer[CPU_TIMER_V].ctl = val & 3; return 0;
	default: return -ENOENT;
	}
}
