/* SPDX-License-Identifier: MIT */
/*
 * Soft TLBs: a bank of direct-mapped entries for each regime (EL0, EL1, EL1 with PAN) of each address space, so that
 * neither a system call nor a context switch flushes. Arm ARM DDI 0487, "Translation Lookaside Buffers". May hold less
 * and drop more than the guest asks for; never the other way round.
 *
 * An address space is the pair TTBR0_EL1, TTBR1_EL1 with their ASIDs. Everything else that a translation depends on
 * (SCTLR, TCR, MAIR, stage 2, watchpoints) drops all banks when it changes.
 */
#include "internal.h"

#include <string.h>

#define TTBR_CNP 1ull

static unsigned tlb_index(uint64_t va)
{
	return va >> IR_PAGE_SHIFT & (IR_TLB_SIZE - 1);
}

static void generation(struct cpu_priv *p, struct tlb_bank *b)
{
	b->gen = p->gen_next++;
	memset(b->code_seen, 0, sizeof(b->code_seen));
	if (b == p->bank)
		p->attn |= ATTN_REGIME;
}

static void clear_entry(struct tlb_bank *b, unsigned i)
{
	b->fast[i].r = b->fast[i].w = IR_TLB_NONE;
	b->slow[i].r = b->slow[i].w = IR_TLB_NONE;
}

static void bank_clear(struct cpu_priv *p, struct tlb_bank *b)
{
	bool all = b->n_filled > FILLED_MAX, fetch_all = b->n_fetched > FILLED_MAX;

	for (unsigned i = 0; i < (all ? IR_TLB_SIZE : b->n_filled); i++)
		clear_entry(b, all ? i : b->filled[i]);
	for (unsigned i = 0; i < (fetch_all ? FETCH_SIZE : b->n_fetched); i++)
		b->fetch[fetch_all ? i : b->fetched[i]].va = IR_TLB_NONE;
	b->n_filled = b->n_fetched = 0;
	for (unsigned i = 0; i < 2; i++) {
		b->large[i].lo = UINT64_MAX;
		b->large[i].hi = 0;
	}
	generation(p, b);
}

void tlb_init(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	p->gen_next = 1;
	for (unsigned i = 0; i < IR_TLB_SIZE; i++)
		p->no_tlb[i].r = p->no_tlb[i].w = IR_TLB_NONE;
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		p->banks[i].n_filled = p->banks[i].n_fetched = FILLED_MAX + 1;
		bank_clear(p, &p->banks[i]);
	}
	tlb_select(cpu);
}

enum regime tlb_regime(const struct cpu *cpu)
{
	if (cpu_is_el0(cpu))
		return REGIME_EL0;
	return cpu->pstate & PSR_PAN ? REGIME_EL1_PAN : REGIME_EL1;
}

static struct tlb_bank *bank_find(struct cpu *cpu, enum regime regime)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t t0 = cpu->sys[CPU_TTBR0_EL1] & ~TTBR_CNP, t1 = cpu->sys[CPU_TTBR1_EL1] & ~TTBR_CNP;
	struct tlb_bank *victim = NULL;

	if (!(cpu->sys[CPU_SCTLR_EL1] & SCTLR_M))
		t0 = t1 = 0;
	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *b = &p->banks[i];

		if (b->valid && b->regime == regime && b->ttbr[0] == t0 && b->ttbr[1] == t1)
			return b;
		if (b != p->bank &&
		    (!victim || (!b->valid && victim->valid) || (b->valid == victim->valid && b->used < victim->used)))
			victim = b;
	}
	for (unsigned i = 0; i < REGIME_COUNT; i++) {
		if (p->banks_now[i] == victim)
			p->banks_now[i] = NULL;
	}
	victim->valid = true;
	victim->regime = regime;
	victim->ttbr[0] = t0;
	victim->ttbr[1] = t1;
	bank_clear(p, victim);
	return victim;
}

struct tlb_bank *tlb_bank(struct cpu *cpu, enum regime regime)
{
	struct cpu_priv *p = cpu->priv;

	if (unlikely(!p->banks_now[regime])) {
		p->banks_now[regime] = bank_find(cpu, regime);
		p->banks_now[regime]->used = ++p->stamp;
	}
	return p->banks_now[regime];
}

static bool fp_traps(const struct cpu *cpu)
{
	unsigned fpen = cpu->sys[CPU_CPACR_EL1] >> 20 & 3;

	return cpu_is_el0(cpu) ? fpen != 3 : !(fpen & 1);
}

/* Also computes the key of the blocks to run: all that a translation depends on but the code itself. */
void tlb_select(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	uint32_t key = cpu_is_el0(cpu) ? 0 : KEY_EL1;

	p->bank = tlb_bank(cpu, tlb_regime(cpu));
	cpu->env.tlb = p->bank->fast;
	if (fp_traps(cpu))
		key |= KEY_FP_TRAPS;
	if (cpu->el2.mdscr & MDSCR_SS)
		key |= KEY_ONE;
	if (cpu->pstate & PSR_IL)
		key |= KEY_ILLEGAL;
	p->tag = p->bank->gen << 8 | key;
}

/* ---- filling */

static void note_large(struct tlb_bank *b, uint64_t va, uint64_t size)
{
	unsigned half = va >> 55 & 1;
	uint64_t lo = va & ~(size - 1), hi = lo + (size - 1);

	if (size <= 1u << IR_PAGE_SHIFT)
		return;
	if (lo < b->large[half].lo)
		b->large[half].lo = lo;
	if (hi > b->large[half].hi)
		b->large[half].hi = hi;
}

/* Bits 55:0 with bit 55 extended: what TLBI addresses, whatever the tag in a VA's top byte. */
static uint64_t untag(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 8) >> 8);
}

void tlb_fill(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct xlate *x, const struct stage2_range *range,
	      uint8_t *host, bool write, uint32_t flags)
{
	unsigned i = tlb_index(va);
	uint64_t page = va & IR_PAGE_MASK, delta = (uint64_t)(uintptr_t)host - va;
	uint64_t r = x->r ? page : IR_TLB_NONE;
	/* The store that is being looked up has marked its page dirty, and knows it writable; a load may not. */
	bool may_write = write || (!range->dirty && stage2_known_writable(range, x->ipa));
	uint64_t w = x->w && !range->readonly && may_write ? page : IR_TLB_NONE;
	bool fast = !flags && !(cpu->sys[CPU_SCTLR_EL1] & SCTLR_A);

	if (b->n_filled < FILLED_MAX)
		b->filled[b->n_filled] = (uint16_t)i;
	b->n_filled += b->n_filled <= FILLED_MAX;
	note_large(b, untag(va), x->size);
	b->fast[i].r = fast ? r : IR_TLB_NONE;
	b->fast[i].w = fast ? w : IR_TLB_NONE;
	b->fast[i].delta = delta;
	b->slow[i].r = fast ? IR_TLB_NONE : r;
	b->slow[i].w = fast ? IR_TLB_NONE : w;
	b->slow[i].delta = delta;
	b->slow[i].flags = flags;
}

void tlb_fill_fetch(struct tlb_bank *b, uint64_t va, const struct xlate *x, const uint8_t *host)
{
	unsigned slot = va >> IR_PAGE_SHIFT & (FETCH_SIZE - 1), i = tlb_index(va);
	struct tlb_fetch *f = &b->fetch[slot];

	if (b->n_fetched < FILLED_MAX)
		b->fetched[b->n_fetched] = (uint16_t)slot;
	b->n_fetched += b->n_fetched <= FILLED_MAX;
	note_large(b, untag(va), x->size);
	b->code_seen[i / 64] |= 1ull << (i % 64);
	f->va = va & IR_PAGE_MASK;
	f->host = host - (va & ~IR_PAGE_MASK);
	f->ipa = x->ipa & IR_PAGE_MASK;
}

/* ---- flushing */

/* A bank in use is cleared at once; another when it is taken again. */
static void bank_drop(struct cpu_priv *p, struct tlb_bank *b)
{
	if (!b->valid)
		return;
	for (unsigned i = 0; i < REGIME_COUNT; i++) {
		if (b == p->banks_now[i]) {
			bank_clear(p, b);
			return;
		}
	}
	if (b == p->bank)
		bank_clear(p, b);
	else
		b->valid = false;
}

void tlb_flush_all(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	for (unsigned i = 0; i < TLB_BANKS; i++)
		bank_drop(p, &p->banks[i]);
}

void tlb_flush_asid(struct cpu *cpu, uint64_t asid)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t mask = cpu->sys[CPU_TCR_EL1] & TCR_AS ? 0xffff : 0xff;

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *b = &p->banks[i];

		/* Either field: TCR_EL1.A1 may have had another value when the bank was filled. */
		if (!((b->ttbr[0] >> 48 ^ asid) & mask) || !((b->ttbr[1] >> 48 ^ asid) & mask))
			bank_drop(p, b);
	}
}

void tlb_flush_va(struct cpu *cpu, uint64_t va)
{
	struct cpu_priv *p = cpu->priv;
	unsigned idx = tlb_index(va), half = va >> 55 & 1;
	uint64_t page_lo = va & IR_PAGE_MASK;

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *b = &p->banks[i];
		struct tlb_fetch *f = &b->fetch[va >> IR_PAGE_SHIFT & (FETCH_SIZE - 1)];

		if (!b->valid)
			continue;
		if (page_lo >= b->large[half].lo && page_lo <= b->large[half].hi) {
			bank_drop(p, b);
			continue;
		}
		clear_entry(b, idx);
		f->va = IR_TLB_NONE;
		if (b->code_seen[idx / 64] >> (idx % 64) & 1)
			generation(p, b);
	}
}

void tlb_new_generation(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	for (unsigned i = 0; i < TLB_BANKS; i++) {
		struct tlb_bank *b = &p->banks[i];

		if (!b->valid)
			continue;
		/* code_seen stays: the fetch entries do, and blocks may be found through them without a new walk. */
		b->gen = p->gen_next++;
	}
	p->attn |= ATTN_REGIME;
}

void tlb_address_space_changed(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	for (unsigned i = 0; i < REGIME_COUNT; i++)
		p->banks_now[i] = NULL;
	p->attn |= ATTN_REGIME;
}
