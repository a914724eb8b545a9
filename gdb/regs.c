/* SPDX-License-Identifier: MIT */
/*
 * Registers by gdb's numbers, and the target description that tells gdb about them: gdb manual, "Target Descriptions",
 * "AArch64 Features". System registers are those that the KVM at hand lists (KVM_GET_REG_LIST) and the table below
 * names.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CORE(field) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define FP_CORE(size, field) (KVM_REG_ARM64 | (size) | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

const uint64_t reg_id_pc = CORE(regs.pc), reg_id_pstate = CORE(regs.pstate), reg_id_sp_el0 = CORE(regs.sp),
	       reg_id_sp_el1 = CORE(sp_el1), reg_id_elr_el1 = CORE(elr_el1), reg_id_spsr_el1 = CORE(spsr[0]);

uint64_t reg_x(unsigned n)
{
	return CORE(regs.regs[0]) + 2 * n;
}

struct sysreg {
	const char *name;
	uint64_t id;
};

#define S(name, op0, op1, crn, crm, op2) \
	{ \
#name, ARM64_SYS_REG(op0, op1, crn, crm, op2) \
	}
static const struct sysreg sysregs[] = {
	{"SP_EL0", CORE(regs.sp)},
	{"SP_EL1", CORE(sp_el1)},
	{"ELR_EL1", CORE(elr_el1)},
	{"SPSR_EL1", CORE(spsr[0])},
	S(SCTLR_EL1, 3, 0, 1, 0, 0),
	S(ACTLR_EL1, 3, 0, 1, 0, 1),
	S(CPACR_EL1, 3, 0, 1, 0, 2),
	S(TTBR0_EL1, 3, 0, 2, 0, 0),
	S(TTBR1_EL1, 3, 0, 2, 0, 1),
	S(TCR_EL1, 3, 0, 2, 0, 2),
	S(AFSR0_EL1, 3, 0, 5, 1, 0),
	S(AFSR1_EL1, 3, 0, 5, 1, 1),
	S(ESR_EL1, 3, 0, 5, 2, 0),
	S(FAR_EL1, 3, 0, 6, 0, 0),
	S(PAR_EL1, 3, 0, 7, 4, 0),
	S(MAIR_EL1, 3, 0, 10, 2, 0),
	S(AMAIR_EL1, 3, 0, 10, 3, 0),
	S(VBAR_EL1, 3, 0, 12, 0, 0),
	S(DISR_EL1, 3, 0, 12, 1, 1),
	S(CONTEXTIDR_EL1, 3, 0, 13, 0, 1),
	S(TPIDR_EL1, 3, 0, 13, 0, 4),
	S(TPIDR_EL0, 3, 3, 13, 0, 2),
	S(TPIDRRO_EL0, 3, 3, 13, 0, 3),
	S(CNTKCTL_EL1, 3, 0, 14, 1, 0),
	S(CSSELR_EL1, 3, 2, 0, 0, 0),
	{"CNTV_CTL_EL0", KVM_REG_ARM_TIMER_CTL},
	{"CNTV_CVAL_EL0", KVM_REG_ARM_TIMER_CVAL},
	{"CNTVCT_EL0", KVM_REG_ARM_TIMER_CNT},
	{"CNTP_CTL_EL0", KVM_REG_ARM_PTIMER_CTL},
	{"CNTP_CVAL_EL0", KVM_REG_ARM_PTIMER_CVAL},
	{"CNTPCT_EL0", KVM_REG_ARM_PTIMER_CNT},
	S(MDSCR_EL1, 2, 0, 0, 2, 2),
	S(MDCCINT_EL1, 2, 0, 0, 2, 0),
	S(OSLSR_EL1, 2, 0, 1, 1, 4),
	S(MIDR_EL1, 3, 0, 0, 0, 0),
	S(MPIDR_EL1, 3, 0, 0, 0, 5),
	S(REVIDR_EL1, 3, 0, 0, 0, 6),
	S(ID_AA64PFR0_EL1, 3, 0, 0, 4, 0),
	S(ID_AA64PFR1_EL1, 3, 0, 0, 4, 1),
	S(ID_AA64DFR0_EL1, 3, 0, 0, 5, 0),
	S(ID_AA64ISAR0_EL1, 3, 0, 0, 6, 0),
	S(ID_AA64ISAR1_EL1, 3, 0, 0, 6, 1),
	S(ID_AA64ISAR2_EL1, 3, 0, 0, 6, 2),
	S(ID_AA64MMFR0_EL1, 3, 0, 0, 7, 0),
	S(ID_AA64MMFR1_EL1, 3, 0, 0, 7, 1),
	S(ID_AA64MMFR2_EL1, 3, 0, 0, 7, 2),
	S(CTR_EL0, 3, 3, 0, 0, 1),
	S(CLIDR_EL1, 3, 1, 0, 0, 1),
	S(PMCR_EL0, 3, 3, 9, 12, 0),
	S(PMCCNTR_EL0, 3, 3, 9, 13, 0),
};
#undef S

enum { SYSREGS = sizeof(sysregs) / sizeof(sysregs[0]) };

static const char xml_core[] = "<?xml version=\"1.0\"?>\n"
			       "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
			       "<target version=\"1.0\">\n"
			       "<architecture>aarch64</architecture>\n"
			       "<feature name=\"org.gnu.gdb.aarch64.core\">\n";

static const char xml_cpsr[] =
	"<flags id=\"pstate\" size=\"4\">\n"
	"<field name=\"SP\" start=\"0\" end=\"0\"/><field name=\"EL\" start=\"2\" end=\"3\"/>\n"
	"<field name=\"nRW\" start=\"4\" end=\"4\"/><field name=\"F\" start=\"6\" end=\"6\"/>\n"
	"<field name=\"I\" start=\"7\" end=\"7\"/><field name=\"A\" start=\"8\" end=\"8\"/>\n"
	"<field name=\"D\" start=\"9\" end=\"9\"/><field name=\"BTYPE\" start=\"10\" end=\"11\"/>\n"
	"<field name=\"SSBS\" start=\"12\" end=\"12\"/><field name=\"IL\" start=\"20\" end=\"20\"/>\n"
	"<field name=\"SS\" start=\"21\" end=\"21\"/><field name=\"PAN\" start=\"22\" end=\"22\"/>\n"
	"<field name=\"UAO\" start=\"23\" end=\"23\"/><field name=\"DIT\" start=\"24\" end=\"24\"/>\n"
	"<field name=\"V\" start=\"28\" end=\"28\"/><field name=\"C\" start=\"29\" end=\"29\"/>\n"
	"<field name=\"Z\" start=\"30\" end=\"30\"/><field name=\"N\" start=\"31\" end=\"31\"/>\n"
	"</flags>\n";

static const char xml_vector_types[] =
	"<vector id=\"vd\" type=\"ieee_double\" count=\"2\"/><vector id=\"vdi\" type=\"int64\" count=\"2\"/>\n"
	"<vector id=\"vs\" type=\"ieee_single\" count=\"4\"/><vector id=\"vsi\" type=\"int32\" count=\"4\"/>\n"
	"<vector id=\"vhi\" type=\"int16\" count=\"8\"/><vector id=\"vbi\" type=\"int8\" count=\"16\"/>\n"
	"<vector id=\"vq\" type=\"uint128\" count=\"1\"/>\n"
	"<union id=\"vreg\"><field name=\"d\" type=\"vd\"/><field name=\"di\" type=\"vdi\"/>\n"
	"<field name=\"s\" type=\"vs\"/><field name=\"si\" type=\"vsi\"/><field name=\"h\" type=\"vhi\"/>\n"
	"<field name=\"b\" type=\"vbi\"/><field name=\"q\" type=\"vq\"/></union>\n";

static bool in_list(const struct kvm_reg_list *list, uint64_t id)
{
	for (uint64_t i = 0; i < list->n; i++)
		if (list->reg[i] == id)
			return true;
	return false;
}

static struct kvm_reg_list *reg_list(struct target *t)
{
	struct kvm_reg_list size = {.n = 0}, *list;
	int rc = t->ops->vcpu_ioctl(t->opaque, 0, KVM_GET_REG_LIST, &size);

	if (rc && rc != -E2BIG)
		return NULL;
	list = calloc(1, sizeof(*list) + size.n * sizeof(list->reg[0]));
	if (!list)
		return NULL;
	list->n = size.n;
	if (t->ops->vcpu_ioctl(t->opaque, 0, KVM_GET_REG_LIST, list)) {
		free(list);
		return NULL;
	}
	return list;
}

static void write_xml(FILE *f, struct target *t)
{
	fputs(xml_core, f);
	fputs(xml_cpsr, f);
	for (unsigned i = 0; i < 31; i++)
		fprintf(f, "<reg name=\"x%u\" bitsize=\"64\" regnum=\"%u\"/>\n", i, i);
	fprintf(f, "<reg name=\"sp\" bitsize=\"64\" type=\"data_ptr\" regnum=\"%d\"/>\n", REG_SP);
	fprintf(f, "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\" regnum=\"%d\"/>\n", REG_PC);
	fprintf(f, "<reg name=\"cpsr\" bitsize=\"32\" type=\"pstate\" regnum=\"%d\"/>\n", REG_CPSR);
	fputs("</feature>\n<feature name=\"org.gnu.gdb.aarch64.fpu\">\n", f);
	fputs(xml_vector_types, f);
	for (unsigned i = 0; i < 32; i++)
		fprintf(f, "<reg name=\"v%u\" bitsize=\"128\" type=\"vreg\" regnum=\"%u\"/>\n", i, REG_V0 + i);
	fprintf(f, "<reg name=\"fpsr\" bitsize=\"32\" regnum=\"%d\"/>\n", REG_FPSR);
	fprintf(f, "<reg name=\"fpcr\" bitsize=\"32\" regnum=\"%d\"/>\n</feature>\n", REG_FPCR);
	fputs("<feature name=\"org.pawl.aarch64.system\">\n", f);
	for (unsigned i = 0; i < t->n_sysregs; i++)
		fprintf(f, "<reg name=\"%s\" bitsize=\"64\" regnum=\"%u\" group=\"system\" save-restore=\"no\"/>\n",
			t->sysregs[i]->name, REG_SYS + i);
	fputs("</feature>\n</target>\n", f);
}

int regs_init(struct target *t)
{
	struct kvm_reg_list *list;
	size_t len;
	FILE *f;

	if (t->xml)
		return 0;
	list = reg_list(t);
	t->sysregs = calloc(SYSREGS, sizeof(*t->sysregs));
	if (!list || !t->sysregs) {
		free(list);
		regs_free(t);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < SYSREGS; i++)
		if (in_list(list, sysregs[i].id))
			t->sysregs[t->n_sysregs++] = &sysregs[i];
	free(list);
	f = open_memstream(&t->xml, &len);
	if (!f) {
		regs_free(t);
		return -ENOMEM;
	}
	write_xml(f, t);
	fclose(f);
	return 0;
}

void regs_free(struct target *t)
{
	free(t->sysregs);
	free(t->xml);
	t->sysregs = NULL;
	t->xml = NULL;
	t->n_sysregs = 0;
}

unsigned regs_count(const struct target *t)
{
	return REG_SYS + t->n_sysregs;
}

size_t regs_size(const struct target *t, unsigned n)
{
	if (n >= regs_count(t))
		return 0;
	if (n >= REG_V0 && n < REG_FPSR)
		return 16;
	return n == REG_CPSR || n == REG_FPSR || n == REG_FPCR ? 4 : 8;
}

/* gdb's "sp" is the one in use: PSTATE.SP and EL choose the bank. */
static uint64_t sp_id(struct target *t, unsigned vcpu)
{
	uint64_t psr = target_get_u64(t, vcpu, reg_id_pstate);

	return (psr & 0xc) && (psr & 1) ? reg_id_sp_el1 : reg_id_sp_el0;
}

static uint64_t reg_id(struct target *t, unsigned vcpu, unsigned n)
{
	if (n < REG_SP)
		return reg_x(n);
	if (n == REG_SP)
		return sp_id(t, vcpu);
	if (n == REG_PC)
		return reg_id_pc;
	if (n == REG_CPSR)
		return reg_id_pstate;
	if (n < REG_FPSR)
		return FP_CORE(KVM_REG_SIZE_U128, fp_regs.vregs[0]) + 4 * (n - REG_V0);
	if (n == REG_FPSR)
		return FP_CORE(KVM_REG_SIZE_U32, fp_regs.fpsr);
	if (n == REG_FPCR)
		return FP_CORE(KVM_REG_SIZE_U32, fp_regs.fpcr);
	return t->sysregs[n - REG_SYS]->id;
}

int regs_get(struct target *t, unsigned vcpu, unsigned n, void *val)
{
	uint64_t psr = 0;
	int rc;

	if (n != REG_CPSR) /* 32 bits for gdb, 64 for KVM */
		return target_get_reg(t, vcpu, reg_id(t, vcpu, n), val);
	rc = target_get_reg(t, vcpu, reg_id_pstate, &psr);
	memcpy(val, &psr, 4);
	return rc;
}

int regs_set(struct target *t, unsigned vcpu, unsigned n, const void *val)
{
	uint64_t psr = 0;

	if (n != REG_CPSR)
		return target_set_reg(t, vcpu, reg_id(t, vcpu, n), val);
	memcpy(&psr, val, 4);
	return target_set_reg(t, vcpu, reg_id_pstate, &psr);
}

int regs_find(const struct target *t, const char *name)
{
	for (unsigned i = 0; i < t->n_sysregs; i++)
		if (!strcasecmp(t->sysregs[i]->name, name))
			return REG_SYS + (int)i;
	return -1;
}
