/* SPDX-License-Identifier: MIT */
/*
 * The table of breakpoints and watchpoints, and where each is: a BRK in guest memory, or comparators of every vcpu (Arm ARM
 * DDI 0487, "DBGBCR<n>_EL1"; watchpoints: watch.c).
 *
 * A software breakpoint is a BRK if its address is mapped now. It takes a comparator while it is not (kernel addresses before
 * the MMU is on), and also if it has conditions and a comparator is free: a vcpu steps off a comparator by itself, while a
 * BRK has to leave memory for that, and the other vcpus with it. Who needs a comparator takes it away from who does not. What
 * then is still too much for the comparators goes to a list that pawl has beside them (PAWL_CAP_BREAKPOINTS), and a kernel has not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pawl/pawl.h>

#include "server.h"

#define BRK_OURS 0xd4200000u /* BRK #0 */
#define BCR_ALL_ELS 0x1e7u   /* E, PMC = EL1 and EL0, BAS = 4 bytes */

void bp_free_conditions(struct agent_expr **cond, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(cond[i]);
	free(cond);
}

/* ---- the table, in order of address */

static unsigned lower_bound(const struct target *t, uint64_t addr)
{
	unsigned from = 0, to = t->n_bps;

	while (from < to) {
		unsigned mid = from + (to - from) / 2;

		if (t->bps[mid].addr < addr)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static struct bp *lookup(struct target *t, enum bp_type type, uint64_t addr, uint64_t len)
{
	for (unsigned i = lower_bound(t, addr); i < t->n_bps && t->bps[i].addr == addr; i++)
		if (t->bps[i].type == type && (!bp_is_watch(type) || t->bps[i].len == len))
			return &t->bps[i];
	return NULL;
}

static struct bp *add(struct target *t, const struct bp *b)
{
	unsigned at = lower_bound(t, b->addr);

	if (t->n_bps == t->cap_bps) {
		unsigned cap = t->cap_bps ? 2 * t->cap_bps : 16;
		struct bp *p = realloc(t->bps, cap * sizeof(*p));

		if (!p)
			return NULL;
		t->bps = p;
		t->cap_bps = cap;
	}
	memmove(&t->bps[at + 1], &t->bps[at], (t->n_bps - at) * sizeof(*b));
	memcpy(&t->bps[at], b, sizeof(*b));
	t->n_bps++;
	return &t->bps[at];
}

/* ---- BRKs in memory */

static struct bp *at_ipa(const struct target *t, uint64_t ipa)
{
	for (unsigned i = 0; i < t->n_bps; i++)
		if (!bp_is_watch(t->bps[i].type) && t->bps[i].place == BP_IN_MEMORY && t->bps[i].ipa == ipa)
			return &t->bps[i];
	return NULL;
}

static void write_word(struct target *t, uint64_t ipa, uint32_t word)
{
	t->ops->write_mem(t->opaque, ipa, &word, 4);
}

static int put_brk(struct target *t, unsigned vcpu, struct bp *b)
{
	uint64_t size, ipa;
	const struct bp *other;
	int rc = walk(t, vcpu, &view_virtual, b->addr, &ipa, &size);

	if (rc)
		return rc;
	other = at_ipa(t, ipa); /* a second name for the same instruction */
	if (other) {
		b->saved = other->saved;
	} else {
		rc = t->ops->read_mem(t->opaque, ipa, &b->saved, 4);
		if (rc)
			return rc;
		write_word(t, ipa, BRK_OURS);
	}
	b->ipa = ipa;
	b->place = BP_IN_MEMORY;
	return 0;
}

void bp_lift_brk(struct target *t, uint64_t ipa)
{
	const struct bp *b = at_ipa(t, ipa);

	if (b)
		write_word(t, ipa, b->saved);
}

void bp_lower_brk(struct target *t, uint64_t ipa)
{
	if (at_ipa(t, ipa))
		write_word(t, ipa, BRK_OURS);
}

bool bp_brk_is_ours(struct target *t, unsigned vcpu, uint64_t pc, uint64_t *ipa)
{
	uint64_t size;

	return !walk(t, vcpu, &view_virtual, pc, ipa, &size) && at_ipa(t, *ipa);
}

/* ---- comparators */

/* The list that KVM has: replaced only if it has been or is to be one, as each costs a copy. */
static int give_list(struct target *t, const uint64_t *va, unsigned n)
{
	struct kvm_enable_cap cap = {.cap = PAWL_CAP_BREAKPOINTS, .args = {(uintptr_t)va, n}};
	int rc = n || t->n_list ? t->ops->vm_ioctl(t->opaque, KVM_ENABLE_CAP, &cap) : 0;

	if (!rc)
		t->n_list = n;
	return rc;
}

/* The breakpoints into comparators, and behind those into va, which has room for all. How many are in va, or -ENOSPC. */
static int plan_breaks(const struct target *t, struct kvm_guest_debug *dbg, uint64_t *va)
{
	unsigned n = 0, listed = 0;

	for (unsigned i = 0; i < t->n_bps; i++) {
		const struct bp *b = &t->bps[i];

		if (bp_is_watch(b->type) || b->place == BP_NOWHERE)
			continue;
		dbg->control |= KVM_GUESTDBG_ENABLE;
		if (b->place == BP_IN_MEMORY) {
			dbg->control |= KVM_GUESTDBG_USE_SW_BP;
		} else if (n < t->max_bps) {
			dbg->control |= KVM_GUESTDBG_USE_HW;
			dbg->arch.dbg_bvr[n] = b->addr & 0x00fffffffffffffcull;
			if (b->addr >> 55 & 1)
				dbg->arch.dbg_bvr[n] |= 0xff00000000000000ull;
			dbg->arch.dbg_bcr[n++] = BCR_ALL_ELS;
		} else if (listed < t->max_list) {
			dbg->control |= PAWL_GUESTDBG_USE_LIST;
			va[listed++] = b->addr;
		} else {
			return -ENOSPC;
		}
	}
	return (int)listed;
}

static int plan(struct target *t)
{
	struct kvm_guest_debug dbg = {0};
	uint64_t *va = calloc(t->n_bps ? t->n_bps : 1, sizeof(*va));
	bool wide;
	int rc;

	if (!va)
		return -ENOMEM;
	rc = plan_breaks(t, &dbg, va);
	if (rc >= 0)
		rc = give_list(t, va, (unsigned)rc);
	free(va);
	if (!rc)
		rc = watch_plan(t, &dbg, &wide);
	if (rc)
		return rc;
	t->plan = dbg;
	t->watch_wide = wide;
	return 0;
}

static unsigned comparators_used(const struct target *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_bps; i++)
		n += !bp_is_watch(t->bps[i].type) && t->bps[i].place == BP_IN_COMPARATOR;
	return n;
}

/* A software breakpoint that sits in a comparator and can be a BRK as well becomes one. */
static bool free_comparator(struct target *t, unsigned vcpu)
{
	for (unsigned i = 0; i < t->n_bps; i++)
		if (t->bps[i].type == BP_SOFT && t->bps[i].place == BP_IN_COMPARATOR && !put_brk(t, vcpu, &t->bps[i]))
			return true;
	return false;
}

static int place(struct target *t, unsigned vcpu, struct bp *b)
{
	bool room = comparators_used(t) < t->max_bps;

	b->place = BP_IN_COMPARATOR;
	if (bp_is_watch(b->type))
		return b->len && b->addr + b->len - 1 >= b->addr ? 0 : -EINVAL;
	if (b->addr & 3)
		return -EINVAL;
	if (b->type == BP_SOFT && !(b->n_cond && room && !b->mmu_off) && !put_brk(t, vcpu, b))
		return 0;
	return room || free_comparator(t, vcpu) || comparators_used(t) < t->max_bps + t->max_list ? 0 : -ENOSPC;
}

/* ---- insert, remove */

static void take_out(struct target *t, struct bp *b)
{
	struct bp gone;
	uint32_t now;

	memcpy(&gone, b, sizeof(gone));
	memmove(b, b + 1, (size_t)(&t->bps[t->n_bps] - (b + 1)) * sizeof(*b));
	t->n_bps--;
	bp_free_conditions(gone.cond, gone.n_cond);
	if (bp_is_watch(gone.type) || gone.place != BP_IN_MEMORY || at_ipa(t, gone.ipa))
		return;
	/* If something else stands there now, the guest has replaced the page: leave it alone. */
	if (!t->ops->read_mem(t->opaque, gone.ipa, &now, 4) && now == BRK_OURS)
		write_word(t, gone.ipa, gone.saved);
}

int bp_insert(struct target *t, unsigned vcpu, enum bp_type type, uint64_t addr, uint64_t len, struct agent_expr **cond,
	      unsigned n_cond)
{
	struct bp *b = lookup(t, type, addr, len),
		  new = {.type = type, .addr = addr, .len = bp_is_watch(type) ? len : 4};
	int rc;

	if (b) {
		bp_free_conditions(b->cond, b->n_cond);
		b->cond = cond;
		b->n_cond = n_cond;
		return 0;
	}
	new.cond = cond;
	new.n_cond = n_cond;
	new.mmu_off = !walk_mmu_on(t, vcpu);
	rc = place(t, vcpu, &new);
	if (!rc && !(b = add(t, &new))) {
		if (!bp_is_watch(type) && new.place == BP_IN_MEMORY && !at_ipa(t, new.ipa))
			write_word(t, new.ipa, new.saved);
		rc = -ENOMEM;
	}
	if (rc) {
		bp_free_conditions(cond, n_cond);
		return rc;
	}
	rc = plan(t);
	if (rc) {
		take_out(t, b);
		plan(t);
	}
	return rc;
}

int bp_remove(struct target *t, enum bp_type type, uint64_t addr, uint64_t len)
{
	struct bp *b = lookup(t, type, addr, len);

	if (!b)
		return 0; /* gdb removes twice at times */
	take_out(t, b);
	return plan(t);
}

void bp_remove_all(struct target *t)
{
	while (t->n_bps)
		take_out(t, &t->bps[t->n_bps - 1]);
	plan(t);
}

/*
 * One that was set with the MMU off is meant for the instruction at its address, which is there again. Any other waits for its
 * address to be mapped.
 */
unsigned bp_machine_reset(struct target *t)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < t->n_bps; i++)
		if (!bp_is_watch(t->bps[i].type) && t->bps[i].place == BP_IN_MEMORY)
			t->bps[i].place = BP_NOWHERE;
	for (unsigned i = 0; i < t->n_bps; i++) {
		struct bp *b = &t->bps[i];

		if (bp_is_watch(b->type) || b->place != BP_NOWHERE || (b->mmu_off && !put_brk(t, 0, b)))
			continue;
		if (comparators_used(t) < t->max_bps + t->max_list)
			b->place = BP_IN_COMPARATOR;
		else
			lost++;
	}
	plan(t);
	return lost;
}

struct bp *bp_find(struct target *t, unsigned vcpu, uint64_t pc)
{
	struct bp *found = NULL;
	uint64_t ipa, size;

	for (unsigned i = lower_bound(t, pc); i < t->n_bps && t->bps[i].addr == pc; i++) {
		if (!bp_is_watch(t->bps[i].type) && !found)
			found = &t->bps[i];
	}
	if (found || walk(t, vcpu, &view_virtual, pc, &ipa, &size))
		return found;
	for (unsigned i = 0; i < t->n_bps; i++) /* under another address */
		if (t->bps[i].mmu_off && !bp_is_watch(t->bps[i].type) && t->bps[i].place == BP_IN_MEMORY &&
		    t->bps[i].ipa == ipa)
			return &t->bps[i];
	return NULL;
}

/* ---- memory as if there were no BRKs */

/* The part of [ipa, ipa + len) that b's BRK covers: offsets into the buffer and into the instruction word. */
static bool overlap(const struct bp *b, uint64_t ipa, size_t len, size_t *buf_off, size_t *insn_off, size_t *n)
{
	uint64_t from = b->ipa > ipa ? b->ipa : ipa;
	uint64_t to = b->ipa + 4 < ipa + len ? b->ipa + 4 : ipa + len;

	if (bp_is_watch(b->type) || b->place != BP_IN_MEMORY || from >= to)
		return false;
	*buf_off = from - ipa;
	*insn_off = from - b->ipa;
	*n = to - from;
	return true;
}

void bp_hide(const struct target *t, uint64_t ipa, void *buf, size_t len)
{
	size_t off, at, n;

	for (unsigned i = 0; i < t->n_bps; i++)
		if (overlap(&t->bps[i], ipa, len, &off, &at, &n))
			memcpy((char *)buf + off, (const char *)&t->bps[i].saved + at, n);
}

void bp_absorb(struct target *t, uint64_t ipa, void *buf, size_t len)
{
	const uint32_t brk = BRK_OURS;
	size_t off, at, n;

	/* Two breakpoints may stand on one instruction (two VAs): save all, then cover. */
	for (unsigned i = 0; i < t->n_bps; i++)
		if (overlap(&t->bps[i], ipa, len, &off, &at, &n))
			memcpy((char *)&t->bps[i].saved + at, (char *)buf + off, n);
	for (unsigned i = 0; i < t->n_bps; i++)
		if (overlap(&t->bps[i], ipa, len, &off, &at, &n))
			memcpy((char *)buf + off, (const char *)&brk + at, n);
}
