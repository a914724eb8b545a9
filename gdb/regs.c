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

/* A register that KVM lists and the table does not name: one of a family, or by its encoding. False: not for a person. */
static bool name_unnamed(uint64_t id, char *name, size_t size, const char **group)
{
	unsigned e = (unsigned)(id & 0xffff), op0 = e >> 14, op1 = e >> 11 & 7, crn = e >> 7 & 15, crm = e >> 3 & 15,
		 op2 = e & 7;
	static const char *const debug[4] = {"DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"};

	if ((id & KVM_REG_ARM_COPROC_MASK) != KVM_REG_ARM64_SYSREG)
		return false;
	*group = "system";
	if (op0 == 2 && !op1 && !crn && op2 >= 4) {
		*group = "debug";
		snprintf(name, size, "%s%u_EL1", debug[op2 - 4], crm);
	} else if (op0 == 3 && op1 == 3 && crn == 14 && crm >= 8) {
		*group = "pmu";
		snprintf(name, size, "%s%u_EL0", crm < 12 ? "PMEVCNTR" : "PMEVTYPER", (crm & 3) << 3 | op2);
	} else if ((op0 == 3 && !op1 && !crn) || op1 >= 4) { /* reserved for identification, and 0; or of EL2 and up */
		return false;
	} else {
		snprintf(name, size, "S%u_%u_C%u_C%u_%u", op0, op1, crn, crm, op2);
	}
	return true;
}

static uint64_t gic_attr(struct target *t, unsigned vcpu, uint64_t reg)
{
	uint64_t mpidr = target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 0, 0, 5));

	/* Aff3..Aff0 in the upper half: "ARM Virtual Generic Interrupt Controller v3", KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS */
	return (mpidr >> 32 & 0xff) << 56 | (mpidr & 0xffffff) << 32 | reg;
}

static int gic_reg(struct target *t, unsigned vcpu, uint64_t reg, unsigned long request, void *val)
{
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, .attr = gic_attr(t, vcpu, reg), .addr = (uintptr_t)val};

	return t->ops->gic_ioctl(t->opaque, request, &a);
}

static bool is_gic(const struct sysreg *r)
{
	return r->group == sysreg_gic_group;
}

static bool exists(struct target *t, const struct kvm_reg_list *list, const struct sysreg *r)
{
	uint64_t val;

	return is_gic(r) ? !gic_reg(t, 0, r->id, KVM_GET_DEVICE_ATTR, &val) : in_list(list, r->id);
}

static bool in_table(uint64_t id)
{
	unsigned n;
	const struct sysreg *r = sysreg_table(&n);

	for (unsigned i = 0; i < n; i++)
		if (r[i].id == id && !is_gic(&r[i]))
			return true;
	return false;
}

static bool list_sysregs(struct target *t, const struct kvm_reg_list *list)
{
	unsigned n, extra = 0;
	const struct sysreg *r = sysreg_table(&n);

	t->sysregs = calloc(n + list->n, sizeof(*t->sysregs));
	t->unnamed = calloc(list->n + 1, sizeof(*t->unnamed));
	t->unnamed_names = calloc(list->n + 1, sizeof(*t->unnamed_names));
	if (!t->sysregs || !t->unnamed || !t->unnamed_names)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (exists(t, list, &r[i]))
			t->sysregs[t->n_sysregs++] = &r[i];
	for (uint64_t i = 0; i < list->n; i++) {
		struct sysreg *u = &t->unnamed[extra];
		char *name = t->unnamed_names[extra];

		if (in_table(list->reg[i]) || (list->reg[i] & KVM_REG_SIZE_MASK) != KVM_REG_SIZE_U64 ||
		    !name_unnamed(list->reg[i], name, sizeof(*t->unnamed_names), &u->group))
			continue;
		u->name = name;
		u->id = list->reg[i];
		t->sysregs[t->n_sysregs++] = u;
		extra++;
	}
	return true;
}

/* ID_AA64ISAR1_EL1.API, APA; ID_AA64ISAR2_EL1.APA3 */
static bool has_pauth(struct target *t)
{
	return (target_get_u64(t, 0, ARM64_SYS_REG(3, 0, 0, 6, 1)) & 0xff0) ||
	       (target_get_u64(t, 0, ARM64_SYS_REG(3, 0, 0, 6, 2)) & 0xf000);
}

static void write_xml(FILE *f, struct target *t)
{
	static const char *const pac[] = {"pauth_dmask", "pauth_cmask", "pauth_dmask_high", "pauth_cmask_high"};

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
	if (t->pauth) {
		fputs("<feature name=\"org.gnu.gdb.aarch64.pauth\">\n", f);
		for (unsigned i = 0; i < 4; i++)
			fprintf(f, "<reg name=\"%s\" bitsize=\"64\" regnum=\"%u\" save-restore=\"no\"/>\n", pac[i],
				REG_PAC + i);
		fputs("</feature>\n", f);
	}
	fputs("<feature name=\"org.pawl.aarch64.system\">\n", f);
	for (unsigned i = 0; i < t->n_sysregs; i++)
		fprintf(f, "<reg name=\"%s\" bitsize=\"64\" regnum=\"%u\" group=\"%s\" save-restore=\"no\"/>\n",
			t->sysregs[i]->name, REG_SYS + i, t->sysregs[i]->group);
	fputs("</feature>\n</target>\n", f);
}

int regs_init(struct target *t)
{
	struct kvm_reg_list *list;
	size_t len;
	FILE *f = NULL;

	if (t->xml)
		return 0;
	list = reg_list(t);
	t->pauth = has_pauth(t);
	if (list && list_sysregs(t, list))
		f = open_memstream(&t->xml, &len);
	free(list);
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
	free(t->unnamed);
	free(t->unnamed_names);
	free(t->xml);
	t->sysregs = NULL;
	t->unnamed = NULL;
	t->unnamed_names = NULL;
	t->xml = NULL;
	t->n_sysregs = 0;
}

unsigned regs_count(const struct target *t)
{
	return REG_SYS + t->n_sysregs;
}

size_t regs_size(const struct target *t, unsigned n)
{
	if (n >= regs_count(t) || (n >= REG_PAC && n < REG_SYS && !t->pauth))
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
	uint64_t v = 0;
	int rc = 0;

	if (n == REG_CPSR) { /* 32 bits for gdb, 64 for KVM */
		rc = target_get_reg(t, vcpu, reg_id_pstate, &v);
		memcpy(val, &v, 4);
	} else if (n >= REG_PAC && n < REG_SYS) {
		v = walk_pac_mask(t, vcpu, (n - REG_PAC) & 2, (n - REG_PAC) & 1);
		memcpy(val, &v, 8);
	} else if (n >= REG_SYS && is_gic(t->sysregs[n - REG_SYS])) {
		rc = gic_reg(t, vcpu, t->sysregs[n - REG_SYS]->id, KVM_GET_DEVICE_ATTR, &v);
		memcpy(val, &v, 8);
	} else {
		rc = target_get_reg(t, vcpu, reg_id(t, vcpu, n), val);
	}
	return rc;
}

int regs_set(struct target *t, unsigned vcpu, unsigned n, const void *val)
{
	uint64_t v = 0;

	if (n == REG_CPSR) {
		memcpy(&v, val, 4);
		return target_set_reg(t, vcpu, reg_id_pstate, &v);
	}
	if (n >= REG_PAC && n < REG_SYS)
		return -EPERM; /* computed from TCR_EL1 */
	if (n >= REG_SYS && is_gic(t->sysregs[n - REG_SYS])) {
		memcpy(&v, val, 8);
		return gic_reg(t, vcpu, t->sysregs[n - REG_SYS]->id, KVM_SET_DEVICE_ATTR, &v);
	}
	return target_set_reg(t, vcpu, reg_id(t, vcpu, n), val);
}

int regs_find(const struct target *t, const char *name)
{
	for (unsigned i = 0; i < t->n_sysregs; i++)
		if (!strcasecmp(t->sysregs[i]->name, name))
			return REG_SYS + (int)i;
	return -1;
}
