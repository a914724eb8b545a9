/* SPDX-License-Identifier: MIT */
/*
 * Soft TLBs: a bank of direct-mapped entries for each regime (EL0, EL1, EL1 with PAN) of each address space, so that
 * neither a system call nor a context switch flushes; and behind the banks of EL1 a shared space for each TTBR1_EL1, with
 * what is global in the upper half: a kernel. Arm ARM DDI 0487, "Translation Lookaside Buffers". May hold less and drop
 * more than the guest asks for; never the other way round.
 *
 * An address space is the pair TTBR0_EL1, TTBR1_EL1 with their ASIDs; banks of EL1 stay when it changes, without what was its own.
 * Everything else that a translation depends on
 * (SCTLR, TCR, MAIR, stage 2, watchpoints) drops all banks when it changes.
 */
#include "internal.h"

#include <string.h>

#include "vec.h"

#define TTBR_CNP 1ull

enum { HI = 1 }; /* the upper half of the address space */

static unsigned tlb_index(uint64_t va)
{
	return va >> IR_PAGE_SHIFT & (IR_TLB_SIZE - 1);
}

static unsigned half_of(uint64_t va)
{
	return va >> 55 & 1;
}

/* ... without a tag in the top byte: one name for one page in a shared space. */
static bool is_kernel(uint64_t va)
{
	return va >> 55 == 0x1ff;
}

static uint64_t ttbr_base(uint64_t ttbr)
{
	return ttbr << 16 >> 16;
}

/* ---- large leaves */

enum { LARGE_SHIFT = 21, GROUP_PAGES = 1 << (GROUP_SHIFT - IR_PAGE_SHIFT) };

static void large_clear(struct large_set *l)
{
	if (!l->any)
		return;
	memset(l, 0, sizeof(*l));
	l->lo = UINT64_MAX;
}

static unsigned large_bit(uint64_t va)
{
	return va >> LARGE_SHIFT & ((1u << LARGE_BITS) - 1);
}

/* A leaf of 1 << leaf bytes; not large are those up to 1 << small. */
static void large_note(struct large_set *l, uint64_t va, unsigned leaf, unsigned small)
{
	uint64_t size = 1ull << leaf, lo = va & ~(size - 1), hi = lo + (size - 1);

	if (leaf <= small)
		return;
	if (!l->any)
		l->lo = UINT64_MAX;
	l->any = true;
	if (size <= 1u << LARGE_SHIFT) {
		l->seen[large_bit(va) / 64] |= 1ull << large_bit(va) % 64;
		return;
	}
	l->lo = lo < l->lo ? lo : l->lo;
	l->hi = hi > l->hi ? hi : l->hi;
}

static bool large_may_be(const struct large_set *l, uint64_t va)
{
	uint64_t page = va & IR_PAGE_MASK;

	return l->any && ((page >= l->lo && page <= l->hi) || l->seen[large_bit(va) / 64] >> large_bit(va) % 64 & 1);
}

static void group_note(struct group_set *g, uint64_t va, unsigned leaf)
{
	unsigned i = va >> GROUP_SHIFT & (GROUPS - 1);

	g->seen[i / 64] |= (uint64_t)(leaf > IR_PAGE_SHIFT) << i % 64;
}

static bool group_may_be(const struct group_set *g, uint64_t va)
{
	unsigned i = va >> GROUP_SHIFT & (GROUPS - 1);

	return g->seen[i / 64] >> i % 64 & 1;
}

/* ---- code: what may run without another look */

static struct code_space *code_space(struct tlb_bank *b, unsigned half)
{
	return half == HI && b->shared ? &b->shared->code : &b->code[half];
}

enum { NO_VIEW = UINT32_MAX };

/*
 * Of an entry that is all zeros only pc 0 is looked up, and that in two places only. An empty place in a map is 0, so those need a
 * view that no map has.
 */
static void jump_init(struct cpu_priv *p)
{
	p->jump[jit_jump_slot(0, JUMP_BITS)].view = p->jump[jit_second_slot(0, JUMP_BITS)].view = NO_VIEW;
}

void tlb_jump_clear(struct cpu *cpu)
{
	memset(cpu->priv->jump, 0, sizeof(cpu->priv->jump));
	jump_init(cpu->priv);
}

static bool is_current(struct cpu_priv *p, const struct code_space *c)
{
	return p->bank && (c == code_space(p->bank, 0) || c == code_space(p->bank, HI));
}

static void maps_clear(struct cpu_priv *p, struct code_space *c)
{
	if (!c->used)
		return;
	for (unsigned i = 0; c->n_filled <= CODE_FILLED && i < c->n_filled; i++)
		c->map[c->filled[i] / JIT_CODE_SLOTS][c->filled[i] % JIT_CODE_SLOTS] = 0;
	for (unsigned t = 0; c->n_filled > CODE_FILLED && t < CODE_MAPS; t++) {
		if (c->used >> t & 1)
			memset(c->map[t], 0, sizeof(c->map[t]));
	}
	c->n_filled = 0;
	c->used = 0;
	if (is_current(p, c))
		*p->attn |= ATTN_REGIME; /* code that runs comes back */
}

/* Nothing that it holds can be found through the fetch TLB either. */
static void forget_code(struct cpu_priv *p, struct code_space *c)
{
	maps_clear(p, c);
	large_clear(&c->large);
}

static void forget_page(struct cpu_priv *p, struct code_space *c, uint64_t va)
{
	unsigned slot = jit_code_slot(va);
	uint32_t was = 0;

	for (unsigned t = 0; t < CODE_MAPS; t++) {
		if (c->used >> t & 1) {
			was |= c->map[t][slot];
			c->map[t][slot] = 0;
		}
	}
	if (was && is_current(p, c))
		*p->attn |= ATTN_REGIME;
}

void tlb_code_forget(struct cpu *cpu, uint64_t va)
{
	struct cpu_priv *p = cpu->priv;

	for (unsigned i = 0; i < p->n_banks; i++)
		forget_page(p, &p->banks[i].code[half_of(va)], va);
	for (unsigned i = 0; half_of(va) == HI && i < SHARED_SPACES; i++)
		forget_page(p, &p->shared[i].code, va);
}

void tlb_code_forget_all(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	for (unsigned i = 0; i < p->n_banks; i++) {
		maps_clear(p, &p->banks[i].code[0]);
		maps_clear(p, &p->banks[i].code[HI]);
	}
	for (unsigned i = 0; i < SHARED_SPACES; i++)
		maps_clear(p, &p->shared[i].code);
}

static unsigned map_of(const struct cpu_priv *p)
{
	_Static_assert(KEY_ONE == 4, "one bit more than BTYPE");

	return (p->key & KEY_BTYPE) >> KEY_BTYPE_SHIFT | (p->key & KEY_ONE);
}

void tlb_code_may_run(struct cpu *cpu, uint64_t va, uint32_t view)
{
	struct cpu_priv *p = cpu->priv;
	struct code_space *c = code_space(p->bank, va >> 63);

	c->used |= (uint8_t)(1u << map_of(p));
	if (c->n_filled < CODE_FILLED)
		c->filled[c->n_filled] = (uint16_t)(map_of(p) * JIT_CODE_SLOTS + jit_code_slot(va));
	c->n_filled += c->n_filled <= CODE_FILLED;
	c->map[map_of(p)][jit_code_slot(va)] = view;
}

void tlb_btype_changed(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	cpu->env.code_map[0] = code_space(p->bank, HI)->map[map_of(p)];
	cpu->env.code_map[1] = code_space(p->bank, 0)->map[map_of(p)];
}

/* Under another key other blocks are to run. */
static void code_key(struct cpu_priv *p, struct code_space *c)
{
	uint32_t key = p->key & ~(uint32_t)(KEY_BTYPE | KEY_ONE);

	if (unlikely(c->key != key)) {
		maps_clear(p, c);
		c->key = key;
	}
}

/* ---- banks */

static void clear_entry(struct tlb_bank *b, unsigned i)
{
	b->fast.r[i] = b->fast.w[i] = IR_TLB_NONE;
}

static void clear_slow(struct tlb_slow *s)
{
	s->r = s->w = IR_TLB_NONE;
}

static void bank_clear(struct cpu_priv *p, struct tlb_bank *b)
{
	bool all = b->n_filled > FILLED_MAX, fetch_all = b->n_fetched > FILLED_MAX;

	for (unsigned i = 0; i < (all ? IR_TLB_SIZE : b->n_filled); i++)
		clear_entry(b, all ? i : b->filled[i]);
	for (unsigned i = 0; i < (fetch_all ? FETCH_SIZE : b->n_fetched); i++)
		b->fetch[fetch_all ? i : b->fetched[i]].va = IR_TLB_NONE;
	for (unsigned i = 0; b->any_slow && i < SLOW_SIZE; i++)
		clear_slow(&b->slow[i]);
	b->any_slow = b->any_own = false;
	memset(b->own, 0, sizeof(b->own));
	b->n_filled = b->n_fetched = 0;
	p->bank_has[b - p->banks] = 0;
	b->groups = (struct group_set){0};
	for (unsigned half = 0; half < 2; half++) {
		large_clear(&b->large[half]);
		large_clear(&b->large_fetch[half]);
	}
	forget_code(p, &b->code[0]);
	forget_code(p, &b->code[HI]);
}

/*
 * One that is all zeros. A place that is 0 is that of page 0, which is looked up in the first place only; and, by what begins at the very
 * end of the address space and goes on there, in the last.
 */
static void bank_first(struct tlb_bank *b)
{
	clear_entry(b, 0);
	clear_entry(b, IR_TLB_SIZE - 1);
	clear_slow(&b->slow[0]);
	clear_slow(&b->slow[SLOW_SIZE - 1]);
	b->fetch[0].va = IR_TLB_NONE;
}

/* The address space changes behind the kernel. */
static void bank_drop_own(struct cpu_priv *p, struct tlb_bank *b)
{
	if (!b->any_own)
		return;
	b->any_own = false;
	for (unsigned i = 0; i < IR_TLB_SIZE / 64; i++) {
		for (; b->own[i]; b->own[i] &= b->own[i] - 1)
			clear_entry(b, 64 * i + (unsigned)__builtin_ctzll(b->own[i]));
	}
	for (unsigned i = 0; b->any_slow && i < SLOW_SIZE; i++)
		clear_slow(&b->slow[i]);
	b->any_slow = false;
	for (unsigned i = 0; i < FETCH_SIZE; i++) {
		if (b->fetch[i].own)
			b->fetch[i].va = IR_TLB_NONE;
	}
	p->bank_has[b - p->banks] &= ~1u;
	large_clear(&b->large[0]);
	large_clear(&b->large_fetch[0]);
	forget_code(p, &b->code[0]);
}

static void shared_clear(struct cpu_priv *p, struct shared_space *s)
{
	if (!++s->version) { /* once in 2^32 times */
		memset(s->data, 0, sizeof(s->data));
		s->version = 1;
	}
	large_clear(&s->large);
	s->groups = (struct group_set){0};
	rewalk_clear(&s->walked[0]);
	rewalk_clear(&s->walked[1]);
	forget_code(p, &s->code);
}

void tlb_init(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	jump_init(p);
	tlb_select(cpu);
}

enum regime tlb_regime(const struct cpu *cpu)
{
	if (cpu_is_el0(cpu))
		return REGIME_EL0;
	return cpu->pstate & PSR_PAN ? REGIME_EL1_PAN : REGIME_EL1;
}

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

/* The space of a table base. Another one's place is taken if need be, with the banks that lean on it. */
static struct shared_space *shared_find(struct cpu_priv *p, uint64_t ttbr)
{
	struct shared_space *victim = NULL;

	for (unsigned i = 0; i < SHARED_SPACES; i++) {
		struct shared_space *s = &p->shared[i];

		if (s->valid && s->ttbr == ttbr) {
			s->used = ++p->stamp;
			return s;
		}
		if ((!p->bank || p->bank->shared != s) && (!victim || s->used < victim->used))
			victim = s;
	}
	for (unsigned i = 0; i < p->n_banks; i++) {
		struct tlb_bank *b = &p->banks[i];

		if (b->shared != victim)
			continue;
		b->shared = NULL;
		b->valid = false;
		for (unsigned k = 0; k < REGIME_COUNT; k++) {
			if (p->banks_now[k] == b)
				p->banks_now[k] = NULL;
		}
	}
	victim->valid = true;
	victim->ttbr = ttbr;
	victim->used = ++p->stamp;
	shared_clear(p, victim);
	return victim;
}

static struct tlb_bank *bank_find(struct cpu *cpu, enum regime regime)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t t0 = cpu->sys[CPU_TTBR0_EL1] & ~TTBR_CNP, t1 = cpu->sys[CPU_TTBR1_EL1] & ~TTBR_CNP;
	struct shared_space *shared = NULL;
	struct tlb_bank *victim = NULL;

	if (!(cpu->sys[CPU_SCTLR_EL1] & SCTLR_M))
		t0 = t1 = 0;
	if (regime != REGIME_EL0) {
		shared = shared_find(p, ttbr_base(t1));
		rewalk_check(cpu, shared);
	}
	for (unsigned i = 0; i < p->n_banks; i++) {
		struct tlb_bank *b = &p->banks[i];

		if (!b->valid || b->regime != regime || b->shared != shared)
			continue;
		if (b->ttbr[0] == t0 && b->ttbr[1] == t1)
			return b;
		if (shared) {
			bank_drop_own(p, b);
			b->ttbr[0] = t0;
			b->ttbr[1] = t1;
			return b;
		}
	}
	stat_inc(cpu, CPU_STAT_NEW_SPACE);
	for (unsigned i = 0; i < p->n_banks; i++) {
		struct tlb_bank *b = &p->banks[i];

		if (b != p->bank &&
		    (!victim || (!b->valid && victim->valid) || (b->valid == victim->valid && b->used < victim->used)))
			victim = b;
	}
	if (p->n_banks < TLB_BANKS && (!victim || victim->valid)) {
		victim = &p->banks[p->n_banks++];
		bank_first(victim);
	}
	for (unsigned i = 0; i < REGIME_COUNT; i++) {
		if (p->banks_now[i] == victim)
			p->banks_now[i] = NULL;
	}
	victim->valid = true;
	victim->regime = regime;
	victim->ttbr[0] = t0;
	victim->ttbr[1] = t1;
	victim->shared = shared;
	bank_clear(p, victim);
	return victim;
}

struct tlb_bank *tlb_bank(struct cpu *cpu, enum regime regime)
{
	struct cpu_priv *p = cpu->priv;

	if (unlikely(!p->banks_now[regime])) {
		struct tlb_bank *b = bank_find(cpu, regime);

		b->used = ++p->stamp;
		p->banks_now[regime] = b;
		tlb_unpriv_changed(cpu); /* that bank may be one that another had to make room for */
	}
	return p->banks_now[regime];
}

static bool fp_traps(const struct cpu *cpu)
{
	unsigned fpen = cpu->sys[CPU_CPACR_EL1] >> 20 & 3;

	return cpu_is_el0(cpu) ? fpen != 3 : !(fpen & 1);
}

/* ---- extents: what translated code remembers of the banks */

static void unpriv_empty(struct ir_env *env)
{
	if (env->unpriv_filled)
		memset(env->unpriv_extent, 0, sizeof(env->unpriv_extent));
	env->unpriv_filled = false;
}

/* Unprivileged accesses have the rights of EL0, unless PSTATE.UAO says otherwise; then they go the long way. */
void tlb_unpriv_changed(struct cpu *cpu)
{
	struct tlb_bank *b = cpu->priv->banks_now[REGIME_EL0];
	struct ir_tlb *tlb = b && (cpu_is_el0(cpu) || !(cpu->pstate & PSR_UAO)) ? &b->fast : NULL;

	if (cpu->env.unpriv_tlb == tlb)
		return;
	cpu->env.unpriv_tlb = tlb;
	unpriv_empty(&cpu->env); /* it is of one bank */
}

static void extents_empty(struct cpu *cpu, unsigned set)
{
	struct ir_env *env = &cpu->env;

	env->zva_extent[set].len = 0;
	if (unlikely(env->n_site_filled[set] == UINT8_MAX)) {
		unsigned n = __atomic_load_n(&cpu->group->cache->site_next[set], __ATOMIC_RELAXED);

		memset(env->site_extent[set], 0, n * sizeof(struct ir_extent));
	} else {
		for (unsigned i = 0; i < env->n_site_filled[set]; i++) {
			for (unsigned k = 0; k < 4; k++)
				env->site_extent[set][4 * env->site_filled[set][i] + k].len = 0;
		}
	}
	env->n_site_filled[set] = 0;
}

void tlb_extents_drop(struct cpu *cpu)
{
	extents_empty(cpu, 0);
	extents_empty(cpu, 1);
	unpriv_empty(&cpu->env);
}

/* Those of a set come from one bank. */
static void extents_from(struct cpu *cpu, unsigned set, const struct tlb_bank *b)
{
	if (cpu->priv->extents_of[set] == b)
		return;
	cpu->priv->extents_of[set] = b;
	extents_empty(cpu, set);
}

void tlb_extent(struct ir_env *env, uint64_t va, uint32_t m, uint32_t site)
{
	struct cpu *cpu = (struct cpu *)env;
	bool unpriv = m & IR_MEM_UNPRIV && !cpu_is_el0(cpu), write = m & IR_MEM_WNR;
	unsigned base = IR_MEM_BASE(m), set = !cpu_is_el0(cpu) && !unpriv;
	unsigned i = tlb_index(va);
	const struct ir_tlb *e;
	struct tlb_bank *b;
	uint64_t page = va & IR_PAGE_MASK;
	struct ir_extent *x;

	if (!site && !(m & IR_MEM_UNPRIV) && base != IR_MEM_BASE_ZVA)
		return;
	b = unpriv ? tlb_bank(cpu, REGIME_EL0) : cpu->priv->bank;
	e = &b->fast;
	if ((write ? e->w : e->r)[i] != page || (m & IR_MEM_UNPRIV && env->unpriv_tlb != e))
		return;
	if (!(m & IR_MEM_UNPRIV))
		extents_from(cpu, set, b);
	if (site) {
		x = &env->site_extent[set][site - 1];
		env->site_filled[set][env->n_site_filled[set]] = (uint8_t)((site - 1) / 4);
		env->n_site_filled[set] += env->n_site_filled[set] < UINT8_MAX;
	} else if (base == IR_MEM_BASE_ZVA) {
		x = &env->zva_extent[set];
	} else {
		x = &env->unpriv_extent[write][base % IR_EXTENT_BASES];
		env->unpriv_filled = true;
	}
	page &= ~e->more[i];
	*x = (struct ir_extent){.neg = -page,
				.len = e->more[i] + (1u << IR_PAGE_SHIFT) + 1 -
				       (m & IR_MEM_UNPRIV ? IR_UNPRIV_MOST : IR_EXTENT_MOST),
				.delta = e->delta[i]};
}

/* Of the blocks to run: all that a translation depends on but the code itself. */
static inline uint32_t key_of(const struct cpu *cpu)
{
	uint32_t key = cpu->priv->class_key | (cpu_is_el0(cpu) ? 0 : KEY_EL1);

	if (fp_traps(cpu))
		key |= KEY_FP_TRAPS;
	if ((cpu->el2.mdscr & MDSCR_SS) || cpu->count.insns || (cpu->env.attn & ATTN_WINDOW))
		key |= KEY_ONE;
	if (cpu->pstate & PSR_IL)
		key |= KEY_ILLEGAL;
	if (unlikely(cpu->pstate & PSR_BTYPE) && cpu_has(cpu, ISA_BTI))
		key |= (cpu->pstate & PSR_BTYPE) >> PSR_BTYPE_SHIFT << KEY_BTYPE_SHIFT;
	if (unlikely(cpu->env.fpcr & IR_FPCR_FZ))
		key |= KEY_FZ;
	if (cpu->count_insns)
		key |= KEY_COUNT;
	if ((cpu->pstate & PSR_MODE) == PSR_EL1T)
		key |= KEY_SP0;
	if (atomic_load_explicit(&cpu->group->n_slots, memory_order_relaxed) == 1)
		key |= KEY_ALONE;
	return key;
}

bool tlb_is_selected(const struct cpu *cpu)
{
	const struct cpu_priv *p = cpu->priv;

	return p->bank && p->bank == p->banks_now[tlb_regime(cpu)] && cpu->env.tlb == &p->bank->fast &&
	       p->key == key_of(cpu);
}

void tlb_select(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	p->bank = tlb_bank(cpu, tlb_regime(cpu));
	*p->attn &= ~(uint32_t)ATTN_REGIME; /* a bank that is new has set it */
	cpu->env.tlb = &p->bank->fast;
	tlb_unpriv_changed(cpu);
	extents_from(cpu, !cpu_is_el0(cpu), p->bank);
	p->key = key_of(cpu);
	code_key(p, code_space(p->bank, HI));
	code_key(p, code_space(p->bank, 0));
	tlb_btype_changed(cpu);
	*p->attn &= ~(uint32_t)ATTN_REGIME;
}

/* ---- filling */

/* Bits 55:0 with bit 55 extended: what TLBI addresses, whatever the tag in a VA's top byte. */
static uint64_t untag(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 8) >> 8);
}

static unsigned log2_of(uint64_t size)
{
	return 63 - (unsigned)__builtin_clzll(size);
}

/*
 * Entry i has been filled, from a leaf among as many others that continue each other. Memory that is used for the first time has its
 * pages filled in order, so that each knows of those before it: all of them learn of those behind it.
 */
static void extend_neighbours(struct tlb_bank *b, unsigned i, uint64_t delta, uint8_t extent)
{
	unsigned n = 1u << (extent - IR_PAGE_SHIFT), first = i & ~(n - 1);
	uint64_t more = ((uint64_t)n - 1) << IR_PAGE_SHIFT, r = b->fast.r[i], w = b->fast.w[i];
	uint64_t base = (r != IR_TLB_NONE ? r : w) & ~more;

	for (unsigned k = first; k < first + n; k++) {
		uint64_t page = base + ((uint64_t)(k - first) << IR_PAGE_SHIFT);

		if (b->fast.delta[k] != delta || b->fast.more[k] >= more ||
		    b->fast.r[k] != (r == IR_TLB_NONE ? r : page) || b->fast.w[k] != (w == IR_TLB_NONE ? w : page))
			continue;
		b->fast.more[k] = more;
		b->leaf[k] = b->leaf[k] > extent ? b->leaf[k] : extent;
	}
}

static void bank_put(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct shared_entry *e)
{
	unsigned i = tlb_index(va), half = half_of(va);
	uint64_t page = va & IR_PAGE_MASK, r = e->r ? page : IR_TLB_NONE, w = e->w ? page : IR_TLB_NONE;
	struct tlb_slow *slow = &b->slow[tlb_slow_index(va)];

	cpu->priv->bank_has[b - cpu->priv->banks] |= (uint8_t)(1u << half);
	large_note(&b->large[half], untag(va), e->leaf, GROUP_SHIFT);
	group_note(&b->groups, va, e->leaf);
	if (unlikely(e->flags || cpu->sys[CPU_SCTLR_EL1] & SCTLR_A)) {
		if (b->fast.r[i] == page || b->fast.w[i] == page)
			clear_entry(b, i);
		*slow = (struct tlb_slow){.r = r, .w = w, .delta = e->delta, .flags = e->flags, .leaf = e->leaf};
		b->any_slow = b->any_own = true;
		return;
	}
	if (unlikely(slow->r == page || slow->w == page))
		clear_slow(slow);
	if (b->n_filled < FILLED_MAX)
		b->filled[b->n_filled] = (uint16_t)i;
	b->n_filled += b->n_filled <= FILLED_MAX;
	b->own[i / 64] &= ~(1ull << i % 64);
	if (b->shared && e->own) {
		b->own[i / 64] |= 1ull << i % 64;
		b->any_own = true;
	}
	b->fast.r[i] = r;
	b->fast.w[i] = w;
	b->fast.delta[i] = e->delta;
	b->fast.more[i] = (1ull << e->extent) - (1ull << IR_PAGE_SHIFT);
	b->leaf[i] = e->leaf;
	if (e->extent > IR_PAGE_SHIFT && e->leaf <= GROUP_SHIFT)
		extend_neighbours(b, i, e->delta, (uint8_t)e->extent);
}

static struct shared_entry *shared_slot(struct shared_space *s, uint64_t va)
{
	uint64_t page = va >> IR_PAGE_SHIFT;

	return &s->data[(page ^ page >> SHARED_BITS) & (SHARED_SIZE - 1)];
}

void tlb_fill(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct xlate *x, const struct stage2_range *range,
	      uint8_t *host, bool write, uint32_t flags)
{
	/* The store that is being looked up has marked its page dirty, and knows it writable; a load may not. */
	bool may_write = write || (!range->dirty && stage2_known_writable(range, x->ipa));
	/* Neighbours of a kernel's pages that are not global would have to be looked at in each address space. */
	unsigned leaf = stage1_extent(x, va, b->shared && is_kernel(va) && x->ng ? IR_PAGE_SHIFT : GROUP_SHIFT);
	unsigned most = cpu->priv->watch_mask ? IR_PAGE_SHIFT : leaf < LARGE_SHIFT ? leaf : LARGE_SHIFT;
	struct shared_space *s = b->shared;
	struct shared_entry e = {
		.page = va & IR_PAGE_MASK,
		.delta = (uint64_t)(uintptr_t)host - va,
		.flags = (uint8_t)flags,
		.leaf = (uint8_t)leaf,
		.extent = (uint8_t)stage2_extent(range, x->ipa, va, most, x->w && !range->readonly && may_write),
		.r = x->r,
		.w = x->w && !range->readonly && may_write,
		.own = !is_kernel(va) || x->el0,
	};

	if (s && !e.own && x->ng)
		e.own = !rewalk_note(cpu, s, false, va, x);

	bank_put(cpu, b, va, &e);
	if (s && !e.own) {
		e.version = s->version;
		large_note(&s->large, untag(va), leaf, GROUP_SHIFT);
		group_note(&s->groups, va, leaf);
		*shared_slot(s, va) = e;
	}
}

bool tlb_take_shared(struct cpu *cpu, struct tlb_bank *b, uint64_t va, bool write)
{
	const struct shared_entry *e;

	if (!b->shared || !is_kernel(va))
		return false;
	e = shared_slot(b->shared, va);
	if (e->version != b->shared->version || e->page != (va & IR_PAGE_MASK) || !(write ? e->w : e->r))
		return false;
	bank_put(cpu, b, va, e);
	return true;
}

void tlb_fill_fetch(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct xlate *x, const uint8_t *host)
{
	unsigned slot = va >> IR_PAGE_SHIFT & (FETCH_SIZE - 1), half = half_of(va);
	struct tlb_fetch *f = &b->fetch[slot];

	/* An address of code has no tag by now, so all of the upper half is a kernel's. */
	if (half == HI && b->shared && x->ng)
		rewalk_note(cpu, b->shared, true, va, x);
	if (b->n_fetched < FILLED_MAX)
		b->fetched[b->n_fetched] = (uint16_t)slot;
	b->n_fetched += b->n_fetched <= FILLED_MAX;
	cpu->priv->bank_has[b - cpu->priv->banks] |= (uint8_t)(1u << half);
	large_note(&b->large_fetch[half], untag(va), log2_of(x->size), IR_PAGE_SHIFT);
	large_note(&code_space(b, half)->large, untag(va), log2_of(x->size), IR_PAGE_SHIFT);
	f->va = va & IR_PAGE_MASK;
	f->host = host - (va & ~IR_PAGE_MASK);
	f->ipa = x->ipa & IR_PAGE_MASK;
	f->guarded = x->guarded;
	f->own = half != HI;
	b->any_own |= f->own;
	f->leaf = log2_of(x->size);
}

/* ---- flushing */

void tlb_flush_all(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	stat_inc(cpu, CPU_STAT_FLUSH_ALL);
	tlb_extents_drop(cpu);
	for (unsigned i = 0; i < p->n_banks; i++)
		bank_drop(p, &p->banks[i]);
	group_met_global(cpu, false);
	for (unsigned i = 0; i < SHARED_SPACES; i++) {
		if (p->shared[i].valid)
			shared_clear(p, &p->shared[i]);
	}
}

void tlb_flush_asid(struct cpu *cpu, uint32_t asid)
{
	tlb_flush_asids(cpu, asid, group_asid(cpu, UINT32_MAX));
}

void tlb_flush_asids(struct cpu *cpu, uint32_t asid, uint32_t mask)
{
	struct cpu_priv *p = cpu->priv;

	stat_inc(cpu, CPU_STAT_FLUSH_ASID);
	tlb_extents_drop(cpu);
	for (unsigned i = 0; i < p->n_banks; i++) {
		struct tlb_bank *b = &p->banks[i];

		/* Either field: TCR_EL1.A1 may have had another value when the bank was filled. */
		if (((b->ttbr[0] >> 48 ^ asid) & mask) && ((b->ttbr[1] >> 48 ^ asid) & mask))
			continue;
		if (b->shared)
			bank_drop_own(p, b);
		else
			bank_drop(p, b);
	}
	for (unsigned i = 0; i < 2 * SHARED_SPACES; i++)
		rewalk_forget_asid(&p->shared[i / 2].walked[i % 2], asid, mask);
	p->banks_now[REGIME_EL1] = p->banks_now[REGIME_EL1_PAN] = NULL; /* to be checked */
	*p->attn |= ATTN_REGIME;
}

/* Does the leaf that page came from cover va too? */
static bool same_leaf(uint64_t page, uint64_t va, uint32_t leaf)
{
	return (untag(page) ^ untag(va)) >> leaf == 0;
}

/* Does an entry, with these pages for reading and writing, come from one leaf with va? */
static bool covers(uint64_t r, uint64_t w, uint64_t va, unsigned leaf)
{
	uint64_t page = r != IR_TLB_NONE ? r : w;

	return page != IR_TLB_NONE && same_leaf(page, va, leaf);
}

static void bank_flush_leaf(struct tlb_bank *b, uint64_t va, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		if (covers(b->fast.r[i], b->fast.w[i], va, b->leaf[i]))
			clear_entry(b, i);
	}
}

static void fetch_flush_leaf(struct tlb_bank *b, uint64_t va)
{
	for (unsigned i = 0; i < FETCH_SIZE; i++) {
		struct tlb_fetch *f = &b->fetch[i];

		if (f->va != IR_TLB_NONE && same_leaf(f->va, va, f->leaf))
			f->va = IR_TLB_NONE;
	}
}

static void bank_flush_va(struct cpu_priv *p, struct tlb_bank *b, uint64_t va)
{
	unsigned half = half_of(va), slow = tlb_slow_index(va), n_slow = 1;

	if (large_may_be(&b->large[half], va)) {
		bank_flush_leaf(b, va, 0, IR_TLB_SIZE);
		slow = 0;
		n_slow = SLOW_SIZE;
	} else if (group_may_be(&b->groups, va)) {
		bank_flush_leaf(b, va, tlb_index(va) & ~(GROUP_PAGES - 1u), GROUP_PAGES);
		slow &= ~(GROUP_PAGES - 1u);
		n_slow = GROUP_PAGES;
	} else {
		clear_entry(b, tlb_index(va));
	}
	for (unsigned i = slow; unlikely(b->any_slow) && i < slow + n_slow; i++) {
		if (covers(b->slow[i].r, b->slow[i].w, va, b->slow[i].leaf))
			clear_slow(&b->slow[i]);
	}
	if (large_may_be(&b->large_fetch[half], va))
		fetch_flush_leaf(b, va);
	else
		b->fetch[va >> IR_PAGE_SHIFT & (FETCH_SIZE - 1)].va = IR_TLB_NONE;
	if (large_may_be(&b->code[half].large, va))
		maps_clear(p, &b->code[half]);
	else
		forget_page(p, &b->code[half], va);
}

static void shared_flush_va(struct cpu_priv *p, struct shared_space *s, uint64_t va)
{
	rewalk_forget_page(&s->walked[0], untag(va) & IR_PAGE_MASK);
	rewalk_forget_page(&s->walked[1], untag(va) & IR_PAGE_MASK);
	if (large_may_be(&s->large, va)) {
		rewalk_forget_all_asids(&s->walked[0]);
		for (unsigned i = 0; i < SHARED_SIZE; i++) {
			if (same_leaf(s->data[i].page, va, s->data[i].leaf))
				s->data[i].version = 0;
		}
	} else if (!group_may_be(&s->groups, va)) {
		shared_slot(s, va)->version = 0;
	} else {
		uint64_t group = va & ~((1ull << GROUP_SHIFT) - 1);

		for (uint64_t page = group; page < group + (1u << GROUP_SHIFT); page += 1u << IR_PAGE_SHIFT) {
			struct shared_entry *e = shared_slot(s, page);

			if (same_leaf(e->page, va, e->leaf))
				e->version = 0;
		}
	}
	if (large_may_be(&s->code.large, va)) {
		rewalk_forget_all_asids(&s->walked[1]);
		maps_clear(p, &s->code);
	} else {
		forget_page(p, &s->code, va);
	}
}

void tlb_forget_kernel(struct cpu *cpu, struct shared_space *s, bool code, uint64_t page)
{
	struct cpu_priv *p = cpu->priv;
	struct shared_entry *e = shared_slot(s, page);

	if (code)
		forget_page(p, &s->code, page);
	else
		tlb_extents_drop(cpu);
	if (!code && e->page == page)
		e->version = 0;
	for (unsigned i = 0; i < p->n_banks; i++) {
		struct tlb_bank *b = &p->banks[i];
		struct tlb_slow *slow = &b->slow[tlb_slow_index(page)];
		struct tlb_fetch *fetch = &b->fetch[page >> IR_PAGE_SHIFT & (FETCH_SIZE - 1)];

		if (!b->valid || b->shared != s)
			continue;
		if (code && fetch->va == page)
			fetch->va = IR_TLB_NONE;
		if (!code && (b->fast.r[tlb_index(page)] == page || b->fast.w[tlb_index(page)] == page))
			clear_entry(b, tlb_index(page));
		if (!code && (slow->r == page || slow->w == page))
			clear_slow(slow);
	}
}

void tlb_flush_va(struct cpu *cpu, uint64_t va)
{
	struct cpu_priv *p = cpu->priv;

	stat_inc(cpu, CPU_STAT_FLUSH_VA);
	tlb_extents_drop(cpu);
	for (unsigned i = 0; i < p->n_banks; i++) {
		if (p->bank_has[i] >> half_of(va) & 1 && p->banks[i].valid)
			bank_flush_va(p, &p->banks[i], va);
	}
	for (unsigned i = 0; half_of(va) == HI && i < SHARED_SPACES; i++) {
		if (p->shared[i].valid)
			shared_flush_va(p, &p->shared[i], va);
	}
}

void tlb_address_space_changed(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	group_space_changed(cpu);
	tlb_extents_drop(cpu);
	for (unsigned i = 0; i < REGIME_COUNT; i++)
		p->banks_now[i] = NULL;
	tlb_unpriv_changed(cpu);
	*p->attn |= ATTN_REGIME;
}
