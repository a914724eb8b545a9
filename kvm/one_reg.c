/* SPDX-License-Identifier: MIT */
/*
 * Register ids of KVM_GET_ONE_REG, KVM_SET_ONE_REG and KVM_GET_REG_LIST (api.rst 4.68, 4.69, 4.84): core registers here,
 * the others by their owners (sysreg.c, timer.c, hypercall.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define COPROC(id) ((unsigned)((id) >> KVM_REG_ARM_COPROC_SHIFT) & 0xfff)
enum {
	COPROC_CORE = 0x10,
	COPROC_DEMUX = 0x11,
	COPROC_SYSREG = 0x13,
	COPROC_FW = 0x14,
	COPROC_SVE = 0x15,
	COPROC_FW_BMAP = 0x16
};
enum { N_CCSIDR = 14, VALUE_MAX = 512 /* bytes; larger ones than there are */ };

/* Word index in struct kvm_regs */
#define CORE(field) (offsetof(struct kvm_regs, field) / 4)

static const uint8_t spsr_sys[KVM_NR_SPSR] = {CPU_SPSR_EL1, CPU_SPSR_ABT, CPU_SPSR_UND, CPU_SPSR_IRQ, CPU_SPSR_FIQ};

/* Bytes of the register that starts at this word of struct kvm_regs; 0: none does. */
static unsigned core_size(unsigned word)
{
	if (word < CORE(spsr[KVM_NR_SPSR]))
		return word % 2 ? 0 : 8;
	if (word >= CORE(fp_regs.vregs[0]) && word < CORE(fp_regs.fpsr))
		return (word - CORE(fp_regs.vregs[0])) % 4 ? 0 : 16;
	return word == CORE(fp_regs.fpsr) || word == CORE(fp_regs.fpcr) ? 4 : 0;
}

static int core_check(uint64_t id, unsigned *word)
{
	unsigned w = (unsigned)(id & 0xffff);

	if (w + KVM_REG_SIZE(id) / 4 >= sizeof(struct kvm_regs) / 4)
		return -ENOENT;
	if (KVM_REG_SIZE(id) != core_size(w))
		return -EINVAL;
	*word = w;
	return 0;
}

static void core_get(const struct vcpu *vcpu, unsigned w, void *val)
{
	const struct cpu *cpu = vcpu->cpu;
	uint64_t v;

	if (w >= CORE(fp_regs.fpsr)) {
		memcpy(val, w == CORE(fp_regs.fpsr) ? &cpu->env.fpsr : &cpu->env.fpcr, 4);
		return;
	}
	if (w >= CORE(fp_regs.vregs[0])) {
		memcpy(val, &cpu->env.v[(w - CORE(fp_regs.vregs[0])) / 4], 16);
		return;
	}
	if (w < CORE(regs.sp))
		v = cpu->env.x[w / 2];
	else if (w == CORE(regs.sp))
		v = cpu_sp(cpu, 0);
	else if (w == CORE(regs.pc))
		v = cpu->env.pc;
	else if (w == CORE(regs.pstate))
		v = cpu_pstate(cpu);
	else if (w == CORE(sp_el1))
		v = cpu_sp(cpu, 1);
	else if (w == CORE(elr_el1))
		v = cpu->sys[CPU_ELR_EL1];
	else
		v = cpu->sys[spsr_sys[(w - CORE(spsr[0])) / 2]];
	memcpy(val, &v, 8);
}

static int core_set(struct vcpu *vcpu, unsigned w, const void *val)
{
	struct cpu *cpu = vcpu->cpu;
	uint64_t v;

	if (w >= CORE(fp_regs.fpsr)) {
		memcpy(w == CORE(fp_regs.fpsr) ? &cpu->env.fpsr : &cpu->env.fpcr, val, 4);
		return 0;
	}
	if (w >= CORE(fp_regs.vregs[0])) {
		memcpy(&cpu->env.v[(w - CORE(fp_regs.vregs[0])) / 4], val, 16);
		return 0;
	}
	memcpy(&v, val, 8);
	if (w < CORE(regs.sp)) {
		cpu->env.x[w / 2] = v;
	} else if (w == CORE(regs.sp)) {
		cpu_set_sp(cpu, 0, v);
	} else if (w == CORE(regs.pc)) {
		cpu->env.pc = v;
	} else if (w == CORE(regs.pstate)) {
		unsigned mode = v & (PSR_MODE | PSR_NRW);

		if (mode != PSR_EL0T && mode != PSR_EL1T && mode != PSR_EL1H)
			return -EINVAL;
		cpu_set_pstate(cpu, v);
	} else if (w == CORE(sp_el1)) {
		cpu_set_sp(cpu, 1, v);
	} else if (w == CORE(elr_el1)) {
		cpu->sys[CPU_ELR_EL1] = v;
	} else {
		cpu->sys[spsr_sys[(w - CORE(spsr[0])) / 2]] = v;
	}
	return 0;
}

/* ---- registers of 64 bits by id */

static int u64_get(struct vcpu *vcpu, uint64_t id, uint64_t *val)
{
	if (KVM_REG_SIZE(id) != 8)
		return -ENOENT;
	if (COPROC(id) != COPROC_SYSREG)
		return hypercall_get_fw_reg(vcpu, id, val);
	return sysreg_get(vcpu, (uint32_t)id & 0xffff, val);
}

static int u64_set(struct vcpu *vcpu, uint64_t id, uint64_t val)
{
	if (KVM_REG_SIZE(id) != 8)
		return -ENOENT;
	if (COPROC(id) != COPROC_SYSREG)
		return hypercall_set_fw_reg(vcpu, id, val);
	return sysreg_set(vcpu, (uint32_t)id & 0xffff, val);
}

static int demux_check(uint64_t id)
{
	if ((id & KVM_REG_ARM_DEMUX_ID_MASK) != KVM_REG_ARM_DEMUX_ID_CCSIDR || KVM_REG_SIZE(id) != 4 ||
	    (id & KVM_REG_ARM_DEMUX_VAL_MASK) >= N_CCSIDR)
		return -ENOENT;
	return 0;
}

static int get(struct vcpu *vcpu, uint64_t id, void *val)
{
	unsigned word;
	int err;

	switch (COPROC(id)) {
	case COPROC_CORE:
		err = core_check(id, &word);
		if (!err)
			core_get(vcpu, word, val);
		return err;
	case COPROC_DEMUX:
		err = demux_check(id);
		if (!err)
			memcpy(val, &(uint32_t){ccsidr_get(vcpu, id & KVM_REG_ARM_DEMUX_VAL_MASK)}, 4);
		return err;
	case COPROC_SYSREG:
	case COPROC_FW:
	case COPROC_FW_BMAP: return u64_get(vcpu, id, val);
	default: return -ENOENT; /* also SVE: the model has none */
	}
}

static int set(struct vcpu *vcpu, uint64_t id, const void *val)
{
	unsigned word;
	uint32_t v32;
	uint64_t v64;
	int err;

	switch (COPROC(id)) {
	case COPROC_CORE: err = core_check(id, &word); return err ? err : core_set(vcpu, word, val);
	case COPROC_DEMUX:
		err = demux_check(id);
		memcpy(&v32, val, 4);
		return err ? err : ccsidr_set(vcpu, id & KVM_REG_ARM_DEMUX_VAL_MASK, v32);
	case COPROC_SYSREG:
	case COPROC_FW:
	case COPROC_FW_BMAP: memcpy(&v64, val, 8); return u64_set(vcpu, id, v64);
	default: return -ENOENT;
	}
}

static int check_id(uint64_t id)
{
	if ((id & ~KVM_REG_SIZE_MASK) >> 32 != KVM_REG_ARM64 >> 32)
		return -EINVAL;
	return KVM_REG_SIZE(id) > VALUE_MAX ? -ENOENT : 0;
}

int one_reg_get(struct vcpu *vcpu, const struct kvm_one_reg *reg)
{
	uint64_t val[VALUE_MAX / 8];
	int err = check_id(reg->id);

	if (!err)
		err = get(vcpu, reg->id, val);
	return err ? err : client_write(reg->addr, val, KVM_REG_SIZE(reg->id));
}

int one_reg_set(struct vcpu *vcpu, const struct kvm_one_reg *reg)
{
	uint64_t val[VALUE_MAX / 8] = {0};
	int err = check_id(reg->id);

	if (!err)
		err = client_read(val, reg->addr, KVM_REG_SIZE(reg->id));
	return err ? err : set(vcpu, reg->id, val);
}

/* ---- the list */

enum { MAX_LISTED_SYSREGS = 512 };

static unsigned list_core(uint64_t *ids)
{
	static const uint64_t size_bits[] = {[4] = KVM_REG_SIZE_U32, [8] = KVM_REG_SIZE_U64, [16] = KVM_REG_SIZE_U128};
	unsigned n = 0;

	for (unsigned w = 0; w < sizeof(struct kvm_regs) / 4; w++)
		if (core_size(w))
			ids[n++] = KVM_REG_ARM64 | size_bits[core_size(w)] | KVM_REG_ARM_CORE | w;
	return n;
}

/* All ids in listing order, in fresh memory. */
static uint64_t *list_all(struct vcpu *vcpu, uint64_t *count)
{
	uint32_t encs[MAX_LISTED_SYSREGS];
	unsigned n_sys = sysreg_list(vcpu, encs, MAX_LISTED_SYSREGS);
	uint64_t *ids = malloc((sizeof(struct kvm_regs) / 4 + hypercall_n_fw_regs + n_sys + N_CCSIDR) * sizeof(*ids));
	unsigned n;

	if (!ids)
		return NULL;
	n = list_core(ids);
	for (unsigned i = 0; i < hypercall_n_fw_regs; i++)
		ids[n++] = hypercall_fw_regs[i];
	for (unsigned i = 0; i < n_sys; i++)
		ids[n++] = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | encs[i];
	for (unsigned i = 0; i < N_CCSIDR; i++)
		ids[n++] = KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | KVM_REG_ARM_DEMUX_ID_CCSIDR | i;
	*count = n;
	return ids;
}

int one_reg_list(struct vcpu *vcpu, uint64_t list)
{
	uint64_t room, count = 0, *ids;
	int err = client_read(&room, list, sizeof(room));

	if (err)
		return err;
	ids = list_all(vcpu, &count);
	if (!ids)
		return -ENOMEM;
	err = client_write(list, &count, sizeof(count));
	if (!err)
		err = room < count ? -E2BIG : client_write(list + 8, ids, count * sizeof(*ids));
	free(ids);
	return err;
}
