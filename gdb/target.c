/* SPDX-License-Identifier: MIT */
/*
 * What the server's commands do to the machine, in KVM ioctls: registers (api.rst 4.68, 4.69), memory through the
 * guest's tables, guest debug (api.rst 4.87), and the delivery of a BRK that was the guest's own.
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int target_get_reg(struct target *t, unsigned vcpu, uint64_t id, void *val)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)val};

	return t->ops->vcpu_ioctl(t->opaque, vcpu, KVM_GET_ONE_REG, &r);
}

int target_set_reg(struct target *t, unsigned vcpu, uint64_t id, const void *val)
{
	struct kvm_one_reg r = {.id = id, .addr = (uintptr_t)val};

	return t->ops->vcpu_ioctl(t->opaque, vcpu, KVM_SET_ONE_REG, &r);
}

uint64_t target_get_u64(struct target *t, unsigned vcpu, uint64_t id)
{
	uint64_t v = 0;

	return target_get_reg(t, vcpu, id, &v) ? 0 : v;
}

static unsigned check_extension(struct target *t, unsigned long cap, unsigned most)
{
	int n = t->ops->dev_ioctl(t->opaque, KVM_CHECK_EXTENSION, (void *)cap);

	return n < 0 ? 0 : (unsigned)n < most ? (unsigned)n : most;
}

int target_open(struct target *t, const struct gdb_target_ops *ops, void *opaque)
{
	memset(t, 0, sizeof(*t));
	t->ops = ops;
	t->opaque = opaque;
	t->n = ops->n_vcpus(opaque);
	t->max_bps = check_extension(t, KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_ARM_MAX_DBG_REGS);
	t->max_wps = check_extension(t, KVM_CAP_GUEST_DEBUG_HW_WPS, KVM_ARM_MAX_DBG_REGS);
	return 0;
}

void target_close(struct target *t)
{
	regs_free(t);
	free(t->bps);
	t->bps = NULL;
	t->n_bps = t->cap_bps = 0;
}

/* Translate all of it first, so that an access is done as a whole or not at all. */
static int for_pages(struct target *t, unsigned vcpu, uint64_t va, char *buf, size_t len, bool write)
{
	while (len) {
		uint64_t ipa, size;
		size_t n;
		int rc = walk(t, vcpu, va, &ipa, &size);

		if (rc)
			return rc;
		n = size < len ? size : len;
		if (!buf) { /* dry run */
			char probe;

			rc = t->ops->read_mem(t->opaque, ipa, &probe, 1);
			if (!rc)
				rc = t->ops->read_mem(t->opaque, ipa + n - 1, &probe, 1);
		} else if (write) {
			bp_absorb(t, ipa, buf, n);
			rc = t->ops->write_mem(t->opaque, ipa, buf, n);
		} else {
			rc = t->ops->read_mem(t->opaque, ipa, buf, n);
			if (!rc)
				bp_hide(t, ipa, buf, n);
		}
		if (rc)
			return -EFAULT;
		va += n;
		len -= n;
		if (buf)
			buf += n;
	}
	return 0;
}

int target_read(struct target *t, unsigned vcpu, uint64_t va, void *buf, size_t len)
{
	return for_pages(t, vcpu, va, buf, len, false);
}

int target_write(struct target *t, unsigned vcpu, uint64_t va, const void *buf, size_t len)
{
	int rc = for_pages(t, vcpu, va, NULL, len, true);
	char *copy;

	if (rc || !len)
		return rc;
	copy = malloc(len); /* bp_absorb changes the bytes that go to memory */
	if (!copy)
		return -ENOMEM;
	memcpy(copy, buf, len);
	rc = for_pages(t, vcpu, va, copy, len, true);
	free(copy);
	return rc;
}

int target_arm(struct target *t, unsigned vcpu, bool step)
{
	struct kvm_guest_debug dbg = {0};

	bp_fill_debug(t, &dbg);
	if (step)
		dbg.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	return t->ops->vcpu_ioctl(t->opaque, vcpu, KVM_SET_GUEST_DEBUG, &dbg);
}

void target_disarm_all(struct target *t)
{
	bp_remove_all(t);
	for (unsigned i = 0; i < t->n; i++)
		target_arm(t, i, false);
}

int target_reinject_brk(struct target *t, unsigned vcpu, uint64_t hsr)
{
	uint64_t pc = target_get_u64(t, vcpu, reg_id_pc), psr = target_get_u64(t, vcpu, reg_id_pstate);
	uint64_t vbar = target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 12, 0, 0));
	uint64_t sctlr = target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 1, 0, 0));
	uint64_t vector = vbar + ((psr & 0xc) == 0 ? 0x400 : (psr & 1) ? 0x200 : 0);
	/* NZCV, PAN, DIT and UAO as "AArch64.TakeException" leaves them; DAIF masked, EL1h */
	uint64_t now = (psr & 0xf1400000u) | 0x3c5;
	int rc = 0;

	if (!(sctlr >> 23 & 1)) /* SPAN */
		now |= 1u << 22;
	if (sctlr >> 44 & 1) /* DSSBS */
		now |= 1u << 12;
	rc |= target_set_reg(t, vcpu, ARM64_SYS_REG(3, 0, 5, 2, 0), &hsr);
	rc |= target_set_reg(t, vcpu, reg_id_elr_el1, &pc);
	rc |= target_set_reg(t, vcpu, reg_id_spsr_el1, &psr);
	rc |= target_set_reg(t, vcpu, reg_id_pstate, &now);
	rc |= target_set_reg(t, vcpu, reg_id_pc, &vector);
	return rc;
}
