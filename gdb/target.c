/* SPDX-License-Identifier: MIT */
/*
 * What the server's commands do to the machine, in KVM ioctls: registers (api.rst 4.68, 4.69), memory through the
 * guest's tables, guest debug (api.rst 4.87), and the delivery of a BRK that was the guest's own.
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/pawl.h>

enum { ALL_POLICIES = PAWL_DEBUG_HOLD_IRQS | PAWL_DEBUG_KEEP_MONITOR | PAWL_DEBUG_WFI_RETURNS };

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

/* The policies that a person wants: all that this KVM has (pawl.h). */
static void init_policy(struct target *t)
{
	int known = t->ops->vm_ioctl(t->opaque, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_DEBUG);

	t->policies = known > 0 ? (unsigned)known & ALL_POLICIES : 0;
	t->policy = 0;
}

int target_set_policy(struct target *t, unsigned policy)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_DEBUG, .args = {policy}};
	int rc;

	if (policy & ~t->policies)
		return -ENOTSUP;
	if (!t->policies)
		return 0;
	rc = t->ops->vm_ioctl(t->opaque, KVM_ENABLE_CAP, &cap);
	if (!rc)
		t->policy = policy;
	return rc;
}

int target_open(struct target *t, const struct gdb_target_ops *ops, void *opaque)
{
	int rc;

	memset(t, 0, sizeof(*t));
	t->ops = ops;
	t->opaque = opaque;
	t->n = ops->n_vcpus(opaque);
	t->vcpu = calloc(t->n, sizeof(*t->vcpu));
	if (!t->vcpu)
		return -ENOMEM;
	t->max_bps = check_extension(t, KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_ARM_MAX_DBG_REGS);
	t->max_wps = check_extension(t, KVM_CAP_GUEST_DEBUG_HW_WPS, KVM_ARM_MAX_DBG_REGS);
	init_policy(t);
	rc = ops->vm_ioctl(opaque, KVM_CHECK_EXTENSION, (void *)(uintptr_t)PAWL_CAP_BREAKPOINTS);
	t->max_list = rc > 0 ? (unsigned)rc : 0;
	return 0;
}

void target_close(struct target *t)
{
	regs_free(t);
	free(t->bps);
	free(t->vcpu);
	t->bps = NULL;
	t->vcpu = NULL;
	t->n_bps = t->cap_bps = 0;
}

/* Translate all of it first, so that an access is done as a whole or not at all. */
static int for_pages(struct target *t, unsigned vcpu, const struct view *view, uint64_t va, char *buf, size_t len,
		     bool write)
{
	while (len) {
		uint64_t ipa, size;
		size_t n;
		int rc = walk(t, vcpu, view, va, &ipa, &size);

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

int target_read(struct target *t, unsigned vcpu, const struct view *view, uint64_t addr, void *buf, size_t len)
{
	return for_pages(t, vcpu, view, addr, buf, len, false);
}

int target_write(struct target *t, unsigned vcpu, const struct view *view, uint64_t addr, const void *buf, size_t len)
{
	int rc = for_pages(t, vcpu, view, addr, NULL, len, true);
	char *copy;

	if (rc || !len)
		return rc;
	copy = malloc(len); /* bp_absorb changes the bytes that go to memory */
	if (!copy)
		return -ENOMEM;
	memcpy(copy, buf, len);
	rc = for_pages(t, vcpu, view, addr, copy, len, true);
	free(copy);
	return rc;
}

int target_arm(struct target *t, unsigned vcpu)
{
	struct vcpu_run *v = &t->vcpu[vcpu];
	struct kvm_guest_debug dbg;

	if (v->owed) { /* ENABLE off drops the debt */
		struct kvm_guest_debug none = {0};

		t->ops->vcpu_ioctl(t->opaque, vcpu, KVM_SET_GUEST_DEBUG, &none);
		v->owed = false;
	}
	dbg = t->plan;
	if (v->lift & LIFT_BREAK) {
		memset(dbg.arch.dbg_bcr, 0, sizeof(dbg.arch.dbg_bcr));
		dbg.control &= ~PAWL_GUESTDBG_USE_LIST;
	}
	if (v->lift & LIFT_WATCH)
		memset(dbg.arch.dbg_wcr, 0, sizeof(dbg.arch.dbg_wcr));
	if (v->step || v->lift)
		dbg.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	return t->ops->vcpu_ioctl(t->opaque, vcpu, KVM_SET_GUEST_DEBUG, &dbg);
}

/* Linux parks a vcpu without user space on an empty table, with whatever ASID there was. */
static bool table_is_empty(struct target *t, uint64_t ttbr)
{
	uint64_t entries[512];

	if (t->ops->read_mem(t->opaque, ttbr & 0xfffffffff000ull, entries, sizeof(entries)))
		return true;
	for (unsigned i = 0; i < 512; i++)
		if (entries[i] & 1)
			return false;
	return true;
}

void target_note_space(struct target *t, unsigned vcpu)
{
	uint64_t tcr = target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 2, 0, 2));
	uint64_t ttbr0 = target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 2, 0, 0));
	uint64_t owner = tcr >> 22 & 1 ? target_get_u64(t, vcpu, ARM64_SYS_REG(3, 0, 2, 0, 1)) : ttbr0; /* TCR_EL1.A1 */
	unsigned asid = (unsigned)(owner >> 48) & (tcr >> 36 & 1 ? 0xffff : 0xff);			/* TCR_EL1.AS */
	unsigned at = 0;

	if (!walk_mmu_on(t, vcpu) || table_is_empty(t, ttbr0))
		return;
	while (at < t->n_spaces && t->spaces[at].asid != asid)
		at++;
	if (at == SPACES)
		at--;
	else if (at == t->n_spaces)
		t->n_spaces++;
	memmove(&t->spaces[1], &t->spaces[0], at * sizeof(t->spaces[0]));
	t->spaces[0].asid = asid;
	t->spaces[0].ttbr0 = ttbr0 & 0xffffffffffffull;
}

void target_disarm_all(struct target *t)
{
	bp_remove_all(t);
	target_set_policy(t, 0);
	for (unsigned i = 0; i < t->n; i++) {
		memset(&t->vcpu[i], 0, sizeof(t->vcpu[i]));
		target_arm(t, i);
	}
	t->n_running = 0;
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
