/* SPDX-License-Identifier: MIT */
/*
 * Self-hosted debug: the software step state machine, breakpoints and watchpoints. Arm ARM DDI 0487, "AArch64
 * Self-hosted Debug", sections "Software Step exceptions", "Breakpoint exceptions", "Watchpoint exceptions", and the
 * pseudocode AArch64.GenerateDebugExceptionsFrom(), AArch64.StateMatch(). Exceptions go to EL2 if el2.tde
 * (MDCR_EL2.TDE), else to EL1. No halting debug, no vector catch.
 */
#include "internal.h"

#include <string.h>

enum {
	CONTEXT_AWARE = 2, /* ID_AA64DFR0_EL1.CTX_CMPs + 1: the last ones */
	DEBUG_VHE = 7	   /* ID_AA64DFR0_EL1.DebugVer */
};

static unsigned n_breakpoints(const struct cpu *cpu)
{
	return (cpu->id[CPU_ID(5, 0)] >> 12 & 15) + 1;
}

static unsigned n_watchpoints(const struct cpu *cpu)
{
	return (cpu->id[CPU_ID(5, 0)] >> 20 & 15) + 1;
}

static const struct cpu_dbg_regs *live(const struct cpu *cpu)
{
	return cpu->el2.dbg ? cpu->el2.dbg : &cpu->dbg;
}

bool debug_enabled_from(const struct cpu *cpu, unsigned el, bool d)
{
	if (cpu->el2.tde)
		return true;
	if (cpu->sys[CPU_OSLSR_EL1] & OSLSR_OSLK)
		return false;
	return !el || ((cpu->el2.mdscr & MDSCR_KDE) && !d);
}

bool debug_enabled(const struct cpu *cpu)
{
	return debug_enabled_from(cpu, !cpu_is_el0(cpu), cpu->pstate & PSR_D);
}

/* A debug exception with this ISS; lower and cur are its classes. */
static int debug_exception(struct cpu *cpu, unsigned lower, uint64_t iss, uint64_t far, bool has_far)
{
	unsigned ec = lower;

	if (cpu->el2.tde) {
		cpu->el2.far = far;
		return trap_el2(cpu, ESR_MAKE(ec, iss));
	}
	if (!cpu_is_el0(cpu))
		ec |= 1;
	if (has_far)
		cpu_take_abort(cpu, ESR_MAKE(ec, iss), far, cpu->env.pc);
	else
		cpu_take_sync(cpu, ESR_MAKE(ec, iss), cpu->env.pc);
	return 1;
}

/* ---- software step */

/* An instruction is complete: active-not-pending becomes active-pending. */
void debug_ss_advance(struct cpu *cpu)
{
	if (cpu->el2.mdscr & MDSCR_SS)
		cpu->pstate &= ~PSR_SS;
}

bool debug_step_pending(struct cpu *cpu)
{
	uint64_t iss = FSC_DEBUG;

	cpu->priv->step_active = debug_enabled(cpu); /* what runs now is stepped, or runs in the inactive state */
	if (!(cpu->el2.mdscr & MDSCR_SS) || (cpu->pstate & PSR_SS) || !cpu->priv->step_active)
		return false;
	if (cpu->priv->step_isv)
		iss |= ISS_STEP_ISV | (cpu->env.step_ex ? ISS_STEP_EX : 0);
	debug_exception(cpu, EC_STEP_LOWER, iss, 0, false);
	return true;
}

int debug_brk(struct cpu *cpu, uint32_t imm)
{
	if (cpu->el2.tde)
		return trap_el2(cpu, ESR_MAKE(EC_BRK64, imm));
	return exception_sync(cpu, ESR_MAKE(EC_BRK64, imm));
}

/* ---- which ones are live: at cpu_run entry */

void debug_enter(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	const struct cpu_dbg_regs *d = live(cpu);
	uint16_t breaks = 0, watches = 0;
	uint64_t list = 0;

	p->breaks = NULL;
	if (cpu->el2.mdscr & MDSCR_MDE) {
		for (unsigned i = 0; i < n_breakpoints(cpu); i++)
			breaks |= (d->bcr[i] & 1) << i;
		for (unsigned i = 0; i < n_watchpoints(cpu); i++)
			watches |= (d->wcr[i] & 1) << i;
		if (cpu->el2.breaks && cpu->el2.breaks->n) {
			p->breaks = cpu->el2.breaks;
			list = p->breaks->id;
		}
	}
	p->has_breaks = breaks || list;
	if (unlikely(breaks | p->break_mask | list |
		     p->breaks_seen)) { /* blocks of pages with a breakpoint are looked up each time */
		bool same = breaks == p->break_mask && list == p->breaks_seen;

		p->break_mask = breaks;
		p->breaks_seen = list;
		for (unsigned i = 0; i < 16; i++) {
			uint64_t v = breaks >> i & 1 ? d->bvr[i] : 0, c = breaks >> i & 1 ? d->bcr[i] : 0;

			same = same && v == p->break_seen[i].wvr && c == p->break_seen[i].wcr;
			p->break_seen[i].wvr = v;
			p->break_seen[i].wcr = c;
		}
		if (!same)
			tlb_code_forget_all(cpu); /* pages with breakpoints do not come back to the maps */
	}
	if (unlikely(watches | p->watch_mask)) {
		bool same = watches == p->watch_mask;

		for (unsigned i = 0; i < 16; i++) {
			uint64_t v = watches >> i & 1 ? d->wvr[i] : 0, c = watches >> i & 1 ? d->wcr[i] : 0;

			same = same && v == p->watch_seen[i].wvr && c == p->watch_seen[i].wcr;
			p->watch_seen[i].wvr = v;
			p->watch_seen[i].wcr = c;
		}
		p->watch_mask = watches;
		if (!same) /* watched pages must leave the TLBs, others may come back */
			tlb_flush_all(cpu);
	}
}

/* ---- matching */

/* AArch64.StateMatch() in Non-secure state without EL2 and EL3 below; cr is DBGBCR or DBGWCR. */
static bool state_match(uint64_t cr, bool el0)
{
	unsigned hmc = cr >> 13 & 1, ssc = cr >> 14 & 3, pxc = cr >> 1 & 3;

	if (ssc == 2 || (hmc && pxc == 2))
		return false;
	return el0 ? pxc >> 1 : pxc & 1;
}

static bool context_match(const struct cpu *cpu, unsigned n)
{
	const struct cpu_dbg_regs *d = live(cpu);

	return (uint32_t)d->bvr[n] == (uint32_t)cpu->sys[CPU_CONTEXTIDR_EL1];
}

static bool context_aware(const struct cpu *cpu, unsigned n)
{
	unsigned count = n_breakpoints(cpu);

	return n < count && n + CONTEXT_AWARE >= count;
}

/*
 * Types of DBGBCR<n>_EL1.BT that compare with CONTEXTIDR_EL1: the context ID, and, where there is the Virtualization Host
 * Extension, CONTEXTIDR_EL1 by name, which is the same one here. Bit 0: linked, for others to ask.
 */
static bool is_context_type(const struct cpu *cpu, unsigned bt)
{
	return (bt & ~1u) == 2 || ((bt & ~1u) == 6 && (cpu->id[CPU_ID(5, 0)] & 15) >= DEBUG_VHE);
}

/* The linked breakpoint must be a context comparator of the linked kind. */
static bool link_match(const struct cpu *cpu, unsigned lbn)
{
	const struct cpu_dbg_regs *d = live(cpu);

	unsigned bt = d->bcr[lbn] >> 20 & 15;

	return context_aware(cpu, lbn) && (d->bcr[lbn] & 1) && is_context_type(cpu, bt) && (bt & 1) &&
	       context_match(cpu, lbn);
}

#define VA_55_0 ((1ull << 56) - 1)

/* The first of the list that is not below va. */
static size_t list_bound(const struct cpu_breaks *b, uint64_t va)
{
	size_t from = 0, to = b->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (b->va[mid] < va)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* One of the list is in [from, to], addresses without tags. */
static bool list_has(const struct cpu *cpu, uint64_t from, uint64_t to)
{
	const struct cpu_breaks *b = cpu->priv->breaks;
	size_t i;

	if (!b)
		return false;
	i = list_bound(b, from);
	return i < b->n && b->va[i] <= to;
}

bool debug_page_has_breakpoint(struct cpu *cpu, uint64_t va)
{
	const struct cpu_dbg_regs *d = live(cpu);
	uint64_t page = va & VA_55_0 & IR_PAGE_MASK;

	if (list_has(cpu, page, page | ~IR_PAGE_MASK))
		return true;

	for (unsigned m = cpu->priv->break_mask; m; m &= m - 1) {
		unsigned n = __builtin_ctz(m), bt = d->bcr[n] >> 20 & 15;

		if ((is_context_type(cpu, bt) && !(bt & 1)) || (bt < 2 && !((d->bvr[n] ^ va) & VA_55_0 & IR_PAGE_MASK)))
			return true;
	}
	return false;
}

bool debug_breakpoint(struct cpu *cpu, uint64_t pc)
{
	const struct cpu_dbg_regs *d = live(cpu);

	if (!debug_enabled(cpu))
		return false;
	if (list_has(cpu, pc & VA_55_0, pc & VA_55_0)) {
		debug_exception(cpu, EC_BREAKPT_LOWER, FSC_DEBUG, 0, false);
		return true;
	}
	for (unsigned m = cpu->priv->break_mask; m; m &= m - 1) {
		unsigned n = __builtin_ctz(m);
		uint64_t bcr = d->bcr[n];
		bool match;

		switch (bcr >> 20 & 15) {
		case 0:
		case 1:
			match = !((d->bvr[n] ^ pc) & VA_55_0 & ~3ull) && (bcr >> 5 & 1);
			if (bcr >> 20 & 1)
				match = match && link_match(cpu, bcr >> 16 & 15);
			break;
		case 2:
		case 6:
			match = context_aware(cpu, n) && is_context_type(cpu, bcr >> 20 & 15) && context_match(cpu, n);
			break;
		default: match = false; /* linked ones match through another; the rest is reserved here */
		}
		if (match && state_match(bcr, cpu_is_el0(cpu))) {
			debug_exception(cpu, EC_BREAKPT_LOWER, FSC_DEBUG, 0, false);
			return true;
		}
	}
	return false;
}

struct watch_range { /* bits 55:0 */
	uint64_t base;
	uint64_t mask; /* address bits that are not compared */
	unsigned bas;
};

static struct watch_range watch_range(const struct cpu_dbg_regs *d, unsigned n)
{
	unsigned mask = d->wcr[n] >> 24 & 31, bas = d->wcr[n] >> 5 & 0xff;
	struct watch_range w = {.mask = 7, .bas = bas};

	if (d->wvr[n] & 4) {
		w.mask = 3;
		w.bas = bas & 15;
	}
	if (mask >= 3) /* 1 and 2 are reserved: as no mask */
		w.mask = (1ull << mask) - 1;
	w.base = d->wvr[n] & VA_55_0 & ~w.mask;
	return w;
}

bool debug_page_watched(struct cpu *cpu, uint64_t va)
{
	const struct cpu_dbg_regs *d = live(cpu);

	for (unsigned m = cpu->priv->watch_mask; m; m &= m - 1) {
		struct watch_range w = watch_range(d, __builtin_ctz(m));
		uint64_t page = va & VA_55_0 & IR_PAGE_MASK;

		if (page <= (w.base | w.mask) && (page | ~IR_PAGE_MASK) >= w.base)
			return true;
	}
	return false;
}

static bool byte_match(const struct watch_range *w, uint64_t va)
{
	unsigned lane = va & (w->mask < 7 ? 3 : 7);

	return !((va ^ w->base) & VA_55_0 & ~w->mask) && (w->bas >> lane & 1);
}

bool debug_watchpoint(struct cpu *cpu, uint64_t va, uint64_t size, unsigned kind, bool unpriv, bool cm)
{
	const struct cpu_dbg_regs *d = live(cpu);
	bool hit = false, by_read = false;
	uint64_t far = 0;

	if (!debug_enabled(cpu))
		return false;
	for (unsigned m = cpu->priv->watch_mask; m; m &= m - 1) {
		unsigned n = __builtin_ctz(m);
		uint64_t wcr = d->wcr[n];
		struct watch_range w = watch_range(d, n);

		if (!(wcr >> 3 & 3 & kind) || !state_match(wcr, unpriv))
			continue;
		if ((wcr >> 20 & 1) && !link_match(cpu, wcr >> 16 & 15))
			continue;
		for (uint64_t i = 0; i < size; i++) {
			if (!byte_match(&w, va + i))
				continue;
			if (!hit || va + i < far)
				far = va + i;
			hit = true;
			by_read = by_read || (wcr >> 3 & kind & ACC_READ);
			break;
		}
	}
	if (!hit)
		return false;
	/* WnR of a read-modify-write: 0 if its read was enough for the match. */
	debug_exception(cpu, EC_WATCHPT_LOWER,
			FSC_DEBUG | ((kind & ACC_WRITE) && !by_read ? ISS_DABT_WNR : 0) | (cm ? ISS_DABT_CM : 0), far,
			true);
	return true;
}
