/* SPDX-License-Identifier: MIT */
/*
 * Watchpoints on comparators: Arm ARM DDI 0487, "DBGWCR<n>_EL1", "Determining the memory location that caused a Watchpoint
 * exception". There may be more watchpoints than comparators, and a watchpoint may have any size: neighbours then share a
 * comparator that watches a range over both, and an access that none of them asked for is stepped over unseen
 * (run_goes_on). Ranges are powers of two up to 2 GiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum { LSC_LOAD = 1, LSC_STORE = 2 };

struct cover {
	uint64_t start, end; /* the last byte */
	unsigned lsc;
};

static unsigned lsc_of(enum bp_type type)
{
	return type == BP_WRITE ? LSC_STORE : type == BP_READ ? LSC_LOAD : LSC_STORE | LSC_LOAD;
}

/* The aligned power of two that holds [start, end]: its log2, at least 3. */
static unsigned range_log2(uint64_t start, uint64_t end)
{
	uint64_t differ = start ^ end;
	unsigned log2 = differ ? 64 - (unsigned)__builtin_clzll(differ) : 0;

	return log2 < 3 ? 3 : log2;
}

bool watch_exact(uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len - 1;

	return addr >> 3 == end >> 3 || len == 1ull << range_log2(addr, end);
}

/* False: wider than a comparator can be. */
static bool encode(const struct cover *c, __u64 *wvr, __u64 *wcr)
{
	unsigned log2 = range_log2(c->start, c->end);
	uint64_t bas = 0xff;

	if (log2 > 31)
		return false;
	*wvr = c->start & ~((1ull << log2) - 1);
	if (log2 == 3)
		bas = (0xffull << (c->start & 7)) & (0xffull >> (7 - (c->end & 7)));
	*wcr = 1 | 3 << 1 | c->lsc << 3 | bas << 5 | (log2 > 3 ? (uint64_t)log2 : 0) << 24;
	return true;
}

/* Of the neighbours in c[n], join those whose common range is the smallest. */
static bool join_two(struct cover *c, unsigned *n)
{
	unsigned best = 0, best_log2 = 65;

	for (unsigned i = 0; i + 1 < *n; i++) {
		uint64_t end = c[i].end > c[i + 1].end ? c[i].end : c[i + 1].end;
		unsigned log2 = range_log2(c[i].start, end);

		if (log2 < best_log2) {
			best_log2 = log2;
			best = i;
		}
	}
	if (best_log2 > 31)
		return false;
	if (c[best + 1].end > c[best].end)
		c[best].end = c[best + 1].end;
	c[best].lsc |= c[best + 1].lsc;
	memmove(&c[best + 1], &c[best + 2], (*n - best - 2) * sizeof(*c));
	(*n)--;
	return true;
}

int watch_plan(const struct target *t, struct kvm_guest_debug *dbg, bool *wide)
{
	struct cover *c = calloc(t->n_bps ? t->n_bps : 1, sizeof(*c));
	unsigned n = 0;
	int rc = -ENOSPC;

	if (!c)
		return -ENOMEM;
	*wide = false;
	for (unsigned i = 0; i < t->n_bps; i++) { /* which are in order of address */
		const struct bp *b = &t->bps[i];

		if (!bp_is_watch(b->type))
			continue;
		c[n++] = (struct cover){b->addr, b->addr + b->len - 1, lsc_of(b->type)};
		*wide |= !watch_exact(b->addr, b->len);
	}
	while (n > t->max_wps) {
		*wide = true;
		if (n < 2 || !join_two(c, &n))
			goto out;
	}
	for (unsigned i = 0; i < n; i++)
		if (!encode(&c[i], &dbg->arch.dbg_wvr[i], &dbg->arch.dbg_wcr[i]))
			goto out;
	if (n)
		dbg->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
	rc = 0;
out:
	free(c);
	return rc;
}

/*
 * An upper bound of the bytes that a load or store accesses from its address on: Arm ARM DDI 0487, "Loads and Stores"
 * (top level encodings). *both: it may read and write.
 */
static unsigned access_size(uint32_t insn, bool *both)
{
	bool vector = insn >> 26 & 1;
	unsigned size = insn >> 30, opc = insn >> 22 & 3;

	*both = false;
	if ((insn >> 25 & 5) != 4) /* not a load or store: DC ZVA and such */
		return 64;
	switch (insn >> 27 & 7) {
	case 1: /* exclusive, ordered, compare and swap; vector structures */
		*both = true;
		return vector ? 64 : (insn >> 21 & 1) ? 16 : 1u << size;
	case 3: /* literal */ return vector ? 4u << (size & 3) : size == 1 ? 8 : size == 0 ? 4 : 8;
	case 5: /* pair */ return 2 * (vector ? 4u << (size & 3) : size == 2 ? 8 : size == 0 ? 4 : 16);
	case 7: /* one register; atomic operations */
		*both = !vector && (insn >> 21 & 1) && !(insn >> 10 & 3);
		return vector && (opc & 2) ? 16 : 1u << size;
	default: return 64;
	}
}

/* 0: no, 1: the access touches the watched bytes, 2: and is of the kind. */
static int matches(const struct bp *b, uint64_t far, unsigned size, bool is_write, bool both)
{
	if (far + size - 1 < b->addr || far > b->addr + b->len - 1)
		return 0;
	return both || lsc_of(b->type) & (is_write ? LSC_STORE : LSC_LOAD) ? 2 : 1;
}

struct bp *watch_find(struct target *t, unsigned vcpu, const struct gdb_stop *stop)
{
	uint64_t pc = target_get_u64(t, vcpu, reg_id_pc);
	bool is_write = stop->hsr >> 6 & 1, both = true;
	struct bp *best = NULL;
	unsigned size = 64;
	uint32_t insn;
	int how = 0;

	if (!target_read(t, vcpu, &view_virtual, pc, &insn, 4))
		size = access_size(insn, &both);
	for (unsigned i = 0; i < t->n_bps; i++) {
		struct bp *b = &t->bps[i];
		int m = bp_is_watch(b->type) ? matches(b, stop->far, size, is_write, both) : 0;

		if (m > how) {
			how = m;
			best = b;
		}
	}
	if (how == 2 || (how && !t->watch_wide))
		return best;
	if (t->watch_wide)
		return NULL;
	/* Comparators are exact, so it was one of them; the address reported may be near it only. */
	for (unsigned i = 0; i < t->n_bps; i++)
		if (bp_is_watch(t->bps[i].type) && (!best || llabs((long long)(t->bps[i].addr - stop->far)) <
								     llabs((long long)(best->addr - stop->far))))
			best = &t->bps[i];
	return best;
}
