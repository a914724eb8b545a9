/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints and watchpoints. A software breakpoint is a BRK in guest memory if its address is mapped now, and takes
 * a hardware comparator if it is not yet (kernel addresses before the MMU is on). Hardware ones are comparators of
 * every vcpu: Arm ARM DDI 0487, "DBGBCR<n>_EL1" and "DBGWCR<n>_EL1".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define BRK_OURS 0xd4200000u /* BRK #0 */
#define BCR_ALL_ELS 0x1e7u   /* E, PMC = EL1 and EL0, BAS = 4 bytes */

static bool is_watch(enum bp_type type)
{
	return type >= BP_WRITE;
}

static unsigned comparators_used(const struct target *t, bool watch)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_bps; i++)
		n += !t->bps[i].in_memory && is_watch(t->bps[i].type) == watch;
	return n;
}

/* One comparator covers up to 8 bytes inside an aligned doubleword, or an aligned power of two. */
static bool watch_encode(const struct bp *b, uint64_t *wvr, uint64_t *wcr)
{
	unsigned lsc = b->type == BP_WRITE ? 2 : b->type == BP_READ ? 1 : 3;
	uint64_t bas = 0xff, mask = 0;

	*wvr = b->addr & ~7ull;
	if (!b->len)
		return false;
	if ((b->addr & 7) + b->len <= 8) {
		bas = ((1ull << b->len) - 1) << (b->addr & 7);
	} else {
		if (b->len & (b->len - 1) || b->addr & (b->len - 1) || b->len > 1ull << 31)
			return false;
		mask = (unsigned)__builtin_ctzll(b->len);
	}
	*wcr = 1 | 3 << 1 | lsc << 3 | bas << 5 | mask << 24;
	return true;
}

static struct bp *find(struct target *t, enum bp_type type, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < t->n_bps; i++) {
		struct bp *b = &t->bps[i];

		if (b->type == type && b->addr == addr && (!is_watch(type) || b->len == len))
			return b;
	}
	return NULL;
}

static int put_brk(struct target *t, unsigned vcpu, struct bp *b)
{
	const uint32_t brk = BRK_OURS;
	uint64_t size;
	int rc = walk(t, vcpu, b->addr, &b->ipa, &size);

	if (rc)
		return rc;
	for (unsigned i = 0; i < t->n_bps; i++) { /* a second name for the same instruction */
		if (t->bps[i].in_memory && t->bps[i].ipa == b->ipa) {
			b->saved = t->bps[i].saved;
			b->in_memory = true;
			return 0;
		}
	}
	rc = t->ops->read_mem(t->opaque, b->ipa, &b->saved, 4);
	if (!rc)
		rc = t->ops->write_mem(t->opaque, b->ipa, &brk, 4);
	b->in_memory = !rc;
	return rc;
}

int bp_insert(struct target *t, unsigned vcpu, enum bp_type type, uint64_t addr, uint64_t len)
{
	struct bp b = {.type = type, .addr = addr, .len = is_watch(type) ? len : 4};
	uint64_t wvr, wcr;

	if (find(t, type, addr, len))
		return 0;
	if (is_watch(type) ? !watch_encode(&b, &wvr, &wcr) : (addr & 3) != 0)
		return -EINVAL;
	if (t->n_bps == t->cap_bps) {
		unsigned cap = t->cap_bps ? 2 * t->cap_bps : 16;
		struct bp *p = realloc(t->bps, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		t->bps = p;
		t->cap_bps = cap;
	}
	if (type != BP_SOFT || put_brk(t, vcpu, &b)) {
		if (comparators_used(t, is_watch(type)) >= (is_watch(type) ? t->max_wps : t->max_bps))
			return -ENOSPC;
	}
	t->bps[t->n_bps++] = b;
	return 0;
}

static void take_out(struct target *t, struct bp *b)
{
	struct bp gone = *b;
	uint32_t now;

	*b = t->bps[--t->n_bps];
	if (!gone.in_memory)
		return;
	for (unsigned i = 0; i < t->n_bps; i++)
		if (t->bps[i].in_memory && t->bps[i].ipa == gone.ipa)
			return;
	/* If something else stands there now, the guest has replaced the page: leave it alone. */
	if (!t->ops->read_mem(t->opaque, gone.ipa, &now, 4) && now == BRK_OURS)
		t->ops->write_mem(t->opaque, gone.ipa, &gone.saved, 4);
}

int bp_remove(struct target *t, enum bp_type type, uint64_t addr, uint64_t len)
{
	struct bp *b = find(t, type, addr, len);

	if (b)
		take_out(t, b);
	return 0; /* gdb removes twice at times */
}

void bp_remove_all(struct target *t)
{
	while (t->n_bps)
		take_out(t, &t->bps[t->n_bps - 1]);
}

bool bp_is_ours(const struct target *t, uint64_t pc)
{
	for (unsigned i = 0; i < t->n_bps; i++)
		if (t->bps[i].type == BP_SOFT && t->bps[i].addr == pc)
			return true;
	return false;
}

const struct bp *bp_find_watch(const struct target *t, uint64_t far)
{
	const struct bp *near = NULL;

	for (unsigned i = 0; i < t->n_bps; i++) {
		const struct bp *b = &t->bps[i];

		if (!is_watch(b->type))
			continue;
		if (far >= b->addr && far - b->addr < b->len)
			return b;
		if (far < b->addr && b->addr - far < 64) /* far may be the start of a wide access */
			near = b;
	}
	return near;
}

void bp_fill_debug(const struct target *t, struct kvm_guest_debug *dbg)
{
	unsigned n = 0, w = 0;

	for (unsigned i = 0; i < t->n_bps; i++) {
		const struct bp *b = &t->bps[i];

		if (b->in_memory) {
			dbg->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
			continue;
		}
		dbg->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
		if (is_watch(b->type) && w < KVM_ARM_MAX_DBG_REGS) {
			uint64_t wvr, wcr;

			if (watch_encode(b, &wvr, &wcr)) {
				dbg->arch.dbg_wvr[w] = wvr;
				dbg->arch.dbg_wcr[w++] = wcr;
			}
		} else if (!is_watch(b->type) && n < KVM_ARM_MAX_DBG_REGS) {
			dbg->arch.dbg_bvr[n] = b->addr & 0x00fffffffffffffcull;
			if (b->addr >> 55 & 1)
				dbg->arch.dbg_bvr[n] |= 0xff00000000000000ull;
			dbg->arch.dbg_bcr[n++] = BCR_ALL_ELS;
		}
	}
}

/* The part of [ipa, ipa + len) that b's BRK covers: offsets into the buffer and into the instruction word. */
static bool overlap(const struct bp *b, uint64_t ipa, size_t len, size_t *buf_off, size_t *insn_off, size_t *n)
{
	uint64_t from = b->ipa > ipa ? b->ipa : ipa;
	uint64_t to = b->ipa + 4 < ipa + len ? b->ipa + 4 : ipa + len;

	if (!b->in_memory || from >= to)
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
