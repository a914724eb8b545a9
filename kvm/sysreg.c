/* SPDX-License-Identifier: MIT */
/*
 * System registers as the hypervisor sees them: what a trapped MRS or MSR (EC 0x18) does, and what KVM_GET/SET_ONE_REG and the
 * register list show. One row per register, ascending by encoding. Registers that the PE owns have no guest side here, unless
 * they trap while the host debugs.
 */
#include <errno.h>

#include "core.h"
#include "vgic.h"

#define OSLSR_OSLM 0x8ull
#define OSLSR_OSLK 0x2ull
#define ID_PFR0_RAS_SHIFT 28
#define ID_MMFR1_LO_SHIFT 16

struct sysreg {
	uint32_t enc;
	const char *name;
	/* The guest's side; NULL: UNDEFINED. 0, or -ENOENT: UNDEFINED after all. */
	int (*read)(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val);
	int (*write)(struct vcpu *vcpu, const struct sysreg *r, uint64_t val);
	/* The client's side; NULL: not to be had. 0 or a negative errno. */
	int (*get)(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val);
	int (*set)(struct vcpu *vcpu, const struct sysreg *r, uint64_t val);
	bool (*visible)(const struct vcpu *vcpu); /* NULL: always */
	uint16_t index;				  /* enum cpu_sys, or whatever the functions make of it */
};

/* ---- plain storage in the PE */

static int stored_get(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	*val = vcpu->cpu->sys[r->index];
	return 0;
}

static int stored_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	vcpu->cpu->sys[r->index] = val;
	cpu_sys_changed(vcpu->cpu);
	return 0;
}

static int zero_read(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	*val = 0;
	return 0;
}

static int ignore_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return 0;
}

/* ---- debug: always the guest's own registers, whoever owns the hardware */

static int mdscr_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	vcpu->cpu->sys[CPU_MDSCR_EL1] = val;
	debug_update(vcpu);
	return 0;
}

static int oslar_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	uint64_t *oslsr = &vcpu->cpu->sys[CPU_OSLSR_EL1];

	*oslsr = (*oslsr & ~OSLSR_OSLK) | (val & 1 ? OSLSR_OSLK : 0);
	debug_update(vcpu);
	return 0;
}

static int oslsr_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	if ((val ^ vcpu->cpu->sys[CPU_OSLSR_EL1]) & ~OSLSR_OSLK)
		return -EINVAL;
	vcpu->cpu->sys[CPU_OSLSR_EL1] = val;
	return 0;
}

enum { DBG_BVR, DBG_BCR, DBG_WVR, DBG_WCR };

static uint64_t *dbg_slot(struct vcpu *vcpu, const struct sysreg *r)
{
	struct cpu_dbg_regs *d = &vcpu->cpu->dbg;
	unsigned n = r->enc >> 3 & 15;

	switch (r->index) {
	case DBG_BVR: return &d->bvr[n];
	case DBG_BCR: return &d->bcr[n];
	case DBG_WVR: return &d->wvr[n];
	default: return &d->wcr[n];
	}
}

static int dbg_get(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	*val = *dbg_slot(vcpu, r);
	return 0;
}

static int dbg_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	*dbg_slot(vcpu, r) = val; /* the PE looks at its entry which ones are live */
	return 0;
}

/* The client has all 16; an instruction that names one which the PE lacks is UNDEFINED before it could trap. */
static bool dbg_is_implemented(struct vcpu *vcpu, const struct sysreg *r)
{
	bool watch = r->index == DBG_WVR || r->index == DBG_WCR;
	unsigned last = vcpu->cpu->id[CPU_ID(5, 0)] >> (watch ? 20 : 12) & 15; /* ID_AA64DFR0_EL1.WRPs, BRPs */

	return (r->enc >> 3 & 15) <= last;
}

static int dbg_read(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	return dbg_is_implemented(vcpu, r) ? dbg_get(vcpu, r, val) : -ENOENT;
}

static int dbg_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return dbg_is_implemented(vcpu, r) ? dbg_set(vcpu, r, val) : -ENOENT;
}

/* ---- identification */

static int id_get(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	return idreg_get(vcpu, r->enc, val);
}

static int id_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return idreg_set(vcpu, r->enc, val);
}

static int ccsidr_read(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	*val = ccsidr_get(vcpu, (unsigned)vcpu->cpu->sys[CPU_CSSELR_EL1] & 0xf);
	return 0;
}

static int csselr_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	vcpu->cpu->sys[CPU_CSSELR_EL1] = val & 0xf;
	return 0;
}

/* ---- features that the model may lack */

static bool has_pmu(const struct vcpu *vcpu)
{
	return vcpu->features & 1u << KVM_ARM_VCPU_PMU_V3;
}

static bool has_ras(const struct vcpu *vcpu)
{
	return vcpu->cpu->id[CPU_ID(4, 0)] >> ID_PFR0_RAS_SHIFT & 15;
}

static bool has_lor(const struct vcpu *vcpu)
{
	return vcpu->cpu->id[CPU_ID(7, 1)] >> ID_MMFR1_LO_SHIFT & 15;
}

static bool has_ptrauth(const struct vcpu *vcpu)
{
	return vcpu->features & 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS;
}

static bool has_gicv3(const struct vcpu *vcpu)
{
	return vcpu->vm->vgic && vgic_type(vcpu->vm) == KVM_DEV_TYPE_ARM_VGIC_V3;
}

/* ---- PMU */

static int pmu_read(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	return pmu_guest_read(vcpu, r->enc, val);
}

static int pmu_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return pmu_guest_write(vcpu, r->enc, val);
}

static int pmu_get(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	return pmu_client_get(vcpu, r->enc, val);
}

static int pmu_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return pmu_client_set(vcpu, r->enc, val);
}

/* ---- GIC: what traps of the CPU interface */

static int sgi_write(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	vgic_send_sgi(vcpu, val, r->index);
	return 0;
}

static int sre_read(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	*val = 7; /* SRE, DFB, DIB */
	return 0;
}

/* ---- timer: only the listing; one_reg.c gives their ids to timer.c */

static int timer_get(struct vcpu *vcpu, const struct sysreg *r, uint64_t *val)
{
	return timer_get_reg(vcpu, KVM_REG_ARM64 | KVM_REG_ARM64_SYSREG | KVM_REG_SIZE_U64 | r->enc, val);
}

static int timer_set(struct vcpu *vcpu, const struct sysreg *r, uint64_t val)
{
	return timer_set_reg(vcpu, KVM_REG_ARM64 | KVM_REG_ARM64_SYSREG | KVM_REG_SIZE_U64 | r->enc, val);
}

/* clang-format off */
#define R(op0, op1, crn, crm, op2, NAME) .enc = SYSREG(op0, op1, crn, crm, op2), .name = NAME
/* in the PE, for the client only */
#define STORED(op0, op1, crn, crm, op2, NAME) \
	{R(op0, op1, crn, crm, op2, #NAME), .get = stored_get, .set = stored_set, .index = CPU_##NAME}
#define PTRAUTH_HALF(crm, op2, NAME) \
	{R(3, 0, 2, crm, op2, #NAME), .get = stored_get, .set = stored_set, .index = CPU_##NAME, .visible = has_ptrauth}
#define PTRAUTH_KEY(crm, op2, KEY) PTRAUTH_HALF(crm, op2, KEY##LO_EL1), PTRAUTH_HALF(crm, (op2) + 1, KEY##HI_EL1)
#define RAZ_WI(op0, op1, crn, crm, op2, NAME, ...) \
	{R(op0, op1, crn, crm, op2, #NAME), .read = zero_read, .write = ignore_write, __VA_ARGS__}
#define RAZ(op0, op1, crn, crm, op2, NAME, ...) {R(op0, op1, crn, crm, op2, #NAME), .read = zero_read, __VA_ARGS__}
#define WRITE_ONLY(op0, op1, crn, crm, op2, NAME, ...) \
	{R(op0, op1, crn, crm, op2, #NAME), __VA_ARGS__}
#define DBG1(n, op2, kind) \
	{R(2, 0, 0, n, op2, "DBG" #kind #n "_EL1"), .read = dbg_read, .write = dbg_write, .get = dbg_get, .set = dbg_set, .index = DBG_##kind}
#define DBG(n) DBG1(n, 4, BVR), DBG1(n, 5, BCR), DBG1(n, 6, WVR), DBG1(n, 7, WCR)
#define ID1(crm, op2) {R(3, 0, 0, crm, op2, "ID_" #crm "_" #op2), .read = id_get, .get = id_get, .set = id_set}
#define ID8(crm) ID1(crm, 0), ID1(crm, 1), ID1(crm, 2), ID1(crm, 3), ID1(crm, 4), ID1(crm, 5), ID1(crm, 6), ID1(crm, 7)
#define PMU(op1, crn, crm, op2, NAME) \
	{R(3, op1, crn, crm, op2, #NAME), .read = pmu_read, .write = pmu_write, .get = pmu_get, .set = pmu_set, .visible = has_pmu}
#define PMU_GUEST(op1, crn, crm, op2, NAME) \
	{R(3, op1, crn, crm, op2, #NAME), .read = pmu_read, .write = pmu_write, .visible = has_pmu}
#define PMEV(op2b, crm) \
	PMU(3, 14, crm, 0, PMEV##op2b), PMU(3, 14, crm, 1, PMEV##op2b), PMU(3, 14, crm, 2, PMEV##op2b), PMU(3, 14, crm, 3, PMEV##op2b), \
	PMU(3, 14, crm, 4, PMEV##op2b), PMU(3, 14, crm, 5, PMEV##op2b), PMU(3, 14, crm, 6, PMEV##op2b)
#define TIMER(op2, crm, NAME) {R(3, 3, 14, crm, op2, #NAME), .get = timer_get, .set = timer_set}

static const struct sysreg rows[] = {
	RAZ_WI(1, 0, 7, 6, 2, DC_ISW), /* set/way: nothing to do, no cache is modelled */
	RAZ_WI(1, 0, 7, 10, 2, DC_CSW),
	RAZ_WI(1, 0, 7, 14, 2, DC_CISW),

	/* op2 4..7 of 2,0,0,n interleave with single registers of the same CRm */
	RAZ_WI(2, 0, 0, 0, 2, OSDTRRX_EL1),
	DBG(0), DBG(1),
	{R(2, 0, 0, 2, 0, "MDCCINT_EL1"), .read = stored_get, .write = stored_set, .get = stored_get, .set = stored_set, .index = CPU_MDCCINT_EL1},
	{R(2, 0, 0, 2, 2, "MDSCR_EL1"), .read = stored_get, .write = mdscr_write, .get = stored_get, .set = stored_set, .index = CPU_MDSCR_EL1},
	DBG(2),
	RAZ_WI(2, 0, 0, 3, 2, OSDTRTX_EL1),
	DBG(3), DBG(4), DBG(5),
	RAZ_WI(2, 0, 0, 6, 2, OSECCR_EL1),
	DBG(6), DBG(7), DBG(8), DBG(9), DBG(10), DBG(11), DBG(12), DBG(13), DBG(14), DBG(15),
	RAZ_WI(2, 0, 1, 0, 0, MDRAR_EL1),
	WRITE_ONLY(2, 0, 1, 0, 4, OSLAR_EL1, .write = oslar_write),
	{R(2, 0, 1, 1, 4, "OSLSR_EL1"), .read = stored_get, .get = stored_get, .set = oslsr_set, .index = CPU_OSLSR_EL1},
	RAZ_WI(2, 0, 1, 3, 4, OSDLR_EL1),
	RAZ_WI(2, 0, 1, 4, 4, DBGPRCR_EL1),
	RAZ_WI(2, 0, 7, 8, 6, DBGCLAIMSET_EL1),
	RAZ_WI(2, 0, 7, 9, 6, DBGCLAIMCLR_EL1),
	RAZ_WI(2, 0, 7, 14, 6, DBGAUTHSTATUS_EL1),
	RAZ_WI(2, 3, 0, 1, 0, MDCCSR_EL0),
	RAZ_WI(2, 3, 0, 4, 0, DBGDTR_EL0),
	RAZ_WI(2, 3, 0, 5, 0, DBGDTRTX_EL0),
	STORED(2, 4, 0, 7, 0, DBGVCR32_EL2),

	{R(3, 0, 0, 0, 0, "MIDR_EL1"), .read = id_get, .get = id_get, .set = id_set},
	{R(3, 0, 0, 0, 5, "MPIDR_EL1"), .read = stored_get, .get = stored_get, .set = stored_set, .index = CPU_MPIDR_EL1},
	{R(3, 0, 0, 0, 6, "REVIDR_EL1"), .read = id_get, .get = id_get, .set = id_set},
	ID8(1), ID8(2), ID8(3), ID8(4), ID8(5), ID8(6), ID8(7),
	STORED(3, 0, 1, 0, 0, SCTLR_EL1),
	{R(3, 0, 1, 0, 1, "ACTLR_EL1"), .read = stored_get, .write = ignore_write, .get = stored_get, .set = stored_set, .index = CPU_ACTLR_EL1},
	STORED(3, 0, 1, 0, 2, CPACR_EL1),
	STORED(3, 0, 2, 0, 0, TTBR0_EL1),
	STORED(3, 0, 2, 0, 1, TTBR1_EL1),
	STORED(3, 0, 2, 0, 2, TCR_EL1),
	PTRAUTH_KEY(1, 0, APIAKEY), PTRAUTH_KEY(1, 2, APIBKEY), PTRAUTH_KEY(2, 0, APDAKEY), PTRAUTH_KEY(2, 2, APDBKEY),
	PTRAUTH_KEY(3, 0, APGAKEY),
	STORED(3, 0, 5, 1, 0, AFSR0_EL1),
	STORED(3, 0, 5, 1, 1, AFSR1_EL1),
	STORED(3, 0, 5, 2, 0, ESR_EL1),
	RAZ(3, 0, 5, 3, 0, ERRIDR_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 3, 1, ERRSELR_EL1, .visible = has_ras),
	RAZ(3, 0, 5, 4, 0, ERXFR_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 4, 1, ERXCTLR_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 4, 2, ERXSTATUS_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 4, 3, ERXADDR_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 5, 0, ERXMISC0_EL1, .visible = has_ras),
	RAZ_WI(3, 0, 5, 5, 1, ERXMISC1_EL1, .visible = has_ras),
	STORED(3, 0, 6, 0, 0, FAR_EL1),
	STORED(3, 0, 7, 4, 0, PAR_EL1),
	PMU(0, 9, 14, 1, PMINTENSET_EL1),
	PMU(0, 9, 14, 2, PMINTENCLR_EL1),
	{R(3, 0, 9, 14, 6, "PMMIR_EL1"), .read = zero_read, .visible = has_pmu},
	STORED(3, 0, 10, 2, 0, MAIR_EL1),
	STORED(3, 0, 10, 3, 0, AMAIR_EL1),
	RAZ_WI(3, 0, 10, 4, 0, LORSA_EL1, .visible = has_lor),
	RAZ_WI(3, 0, 10, 4, 1, LOREA_EL1, .visible = has_lor),
	RAZ_WI(3, 0, 10, 4, 2, LORN_EL1, .visible = has_lor),
	RAZ_WI(3, 0, 10, 4, 3, LORC_EL1, .visible = has_lor),
	RAZ(3, 0, 10, 4, 7, LORID_EL1, .visible = has_lor),
	STORED(3, 0, 12, 0, 0, VBAR_EL1),
	STORED(3, 0, 12, 1, 1, DISR_EL1),
	WRITE_ONLY(3, 0, 12, 11, 5, ICC_SGI1R_EL1, .write = sgi_write, .visible = has_gicv3, .index = true),
	WRITE_ONLY(3, 0, 12, 11, 6, ICC_ASGI1R_EL1, .write = sgi_write, .visible = has_gicv3, .index = false),
	WRITE_ONLY(3, 0, 12, 11, 7, ICC_SGI0R_EL1, .write = sgi_write, .visible = has_gicv3, .index = false),
	{R(3, 0, 12, 12, 5, "ICC_SRE_EL1"), .read = sre_read, .write = ignore_write, .visible = has_gicv3},
	STORED(3, 0, 13, 0, 1, CONTEXTIDR_EL1),
	STORED(3, 0, 13, 0, 4, TPIDR_EL1),
	STORED(3, 0, 14, 1, 0, CNTKCTL_EL1),
	{R(3, 1, 0, 0, 0, "CCSIDR_EL1"), .read = ccsidr_read},
	{R(3, 1, 0, 0, 1, "CLIDR_EL1"), .read = id_get, .get = id_get, .set = id_set},
	{R(3, 1, 0, 0, 7, "AIDR_EL1"), .read = id_get, .get = id_get, .set = id_set},
	{R(3, 2, 0, 0, 0, "CSSELR_EL1"), .read = stored_get, .write = csselr_write, .get = stored_get, .set = stored_set, .index = CPU_CSSELR_EL1},
	{R(3, 3, 0, 0, 1, "CTR_EL0"), .read = id_get, .get = id_get, .set = id_set},
	PMU(3, 9, 12, 0, PMCR_EL0),
	PMU(3, 9, 12, 1, PMCNTENSET_EL0),
	PMU(3, 9, 12, 2, PMCNTENCLR_EL0),
	PMU(3, 9, 12, 3, PMOVSCLR_EL0),
	PMU(3, 9, 12, 4, PMSWINC_EL0),
	PMU(3, 9, 12, 5, PMSELR_EL0),
	PMU_GUEST(3, 9, 12, 6, PMCEID0_EL0),
	PMU_GUEST(3, 9, 12, 7, PMCEID1_EL0),
	PMU(3, 9, 13, 0, PMCCNTR_EL0),
	PMU_GUEST(3, 9, 13, 1, PMXEVTYPER_EL0),
	PMU_GUEST(3, 9, 13, 2, PMXEVCNTR_EL0),
	PMU(3, 9, 14, 0, PMUSERENR_EL0),
	PMU(3, 9, 14, 3, PMOVSSET_EL0),
	STORED(3, 3, 13, 0, 2, TPIDR_EL0),
	STORED(3, 3, 13, 0, 3, TPIDRRO_EL0),
	TIMER(1, 0, CNTPCT_EL0),
	TIMER(2, 0, CNTVCT_EL0), /* the id of CNTV_CVAL: exchanged in the ABI */
	TIMER(1, 2, CNTP_CTL_EL0),
	TIMER(2, 2, CNTP_CVAL_EL0),
	TIMER(1, 3, CNTV_CTL_EL0),
	TIMER(2, 3, CNTV_CVAL_EL0), /* the id of CNTVCT */
	PMEV(CNTR0, 8), PMU(3, 14, 8, 7, PMEVCNTR7_EL0),
	PMEV(CNTR8, 9), PMU(3, 14, 9, 7, PMEVCNTR15_EL0),
	PMEV(CNTR16, 10), PMU(3, 14, 10, 7, PMEVCNTR23_EL0),
	PMEV(CNTR24, 11),
	PMEV(TYPER0, 12), PMU(3, 14, 12, 7, PMEVTYPER7_EL0),
	PMEV(TYPER8, 13), PMU(3, 14, 13, 7, PMEVTYPER15_EL0),
	PMEV(TYPER16, 14), PMU(3, 14, 14, 7, PMEVTYPER23_EL0),
	PMEV(TYPER24, 15), PMU(3, 14, 15, 7, PMCCFILTR_EL0),
	STORED(3, 4, 3, 0, 0, DACR32_EL2),
	STORED(3, 4, 5, 0, 1, IFSR32_EL2),
	STORED(3, 4, 5, 3, 0, FPEXC32_EL2),
};
/* clang-format on */

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct sysreg *find(uint32_t enc)
{
	unsigned lo = 0, hi = N_ROWS;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (rows[mid].enc < enc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < N_ROWS && rows[lo].enc == enc ? &rows[lo] : NULL;
}

static bool is_visible(const struct vcpu *vcpu, const struct sysreg *r)
{
	return r && (!r->visible || r->visible(vcpu));
}

/* FEAT_IDST: the space that identification registers are in. Arm ARM DDI 0487, "UnimplementedIDRegister" */
static bool is_in_id_space(const struct vcpu *vcpu, uint32_t iss)
{
	uint32_t enc = iss_sys_enc(iss);
	unsigned op0 = enc >> 14 & 3, op1 = enc >> 11 & 7, crn = enc >> 7 & 15, crm = enc >> 3 & 15;

	return (vcpu->cpu->id[CPU_ID(7, 2)] >> 36 & 15) && (iss & ISS_SYS_READ) && op0 == 3 &&
	       (op1 == 0 || op1 == 1 || op1 == 3) && crn == 0 && crm < 8;
}

/* EC 0x18. An exit handler. */
int sysreg_trap(struct vcpu *vcpu, uint64_t esr)
{
	uint32_t iss = ESR_ISS(esr);
	const struct sysreg *r = find(iss_sys_enc(iss));
	unsigned rt = ISS_SYS_RT(iss);
	int err = -ENOENT;

	if (!is_visible(vcpu, r)) {
		/* UNDEFINED */
	} else if (iss & ISS_SYS_READ) {
		uint64_t val;

		if (r->read)
			err = r->read(vcpu, r, &val);
		if (!err)
			vcpu_set_reg(vcpu, rt, val);
	} else if (r->write) {
		err = r->write(vcpu, r, vcpu_get_reg(vcpu, rt));
	}
	if (!err)
		vcpu_skip_instr(vcpu);
	else if (!r && is_in_id_space(vcpu, iss))
		inject_sync(vcpu, esr);
	else
		inject_undef(vcpu);
	return RESUME_GUEST;
}

int sysreg_get(struct vcpu *vcpu, uint32_t enc, uint64_t *val)
{
	const struct sysreg *r = find(enc);

	return is_visible(vcpu, r) && r->get ? r->get(vcpu, r, val) : -ENOENT;
}

int sysreg_set(struct vcpu *vcpu, uint32_t enc, uint64_t val)
{
	const struct sysreg *r = find(enc);

	return is_visible(vcpu, r) && r->set ? r->set(vcpu, r, val) : -ENOENT;
}

/* The registers whose ids are swapped are each in the place that the register has, with the other one's id (ABI 5.4). */
static uint32_t listed_id(uint32_t enc)
{
	switch (enc) {
	case (uint16_t)KVM_REG_ARM_TIMER_CNT: return (uint16_t)KVM_REG_ARM_TIMER_CVAL;
	case (uint16_t)KVM_REG_ARM_TIMER_CVAL: return (uint16_t)KVM_REG_ARM_TIMER_CNT;
	default: return enc;
	}
}

unsigned sysreg_list(const struct vcpu *vcpu, uint32_t *encs, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_ROWS; i++) {
		if (!rows[i].get || !is_visible(vcpu, &rows[i]))
			continue;
		if (n < max)
			encs[n] = listed_id(rows[i].enc);
		n++;
	}
	return n;
}
