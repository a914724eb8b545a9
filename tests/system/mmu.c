/* SPDX-License-Identifier: MIT */
/*
 * Random translation tables, random accesses: what the MMU makes of them. A trial gives one half of the address space a random
 * configuration (granule, size, tags, permissions from tables, hardware updates), one random path through its tables to a
 * page or a block, and makes two accesses, between which the last descriptor is changed and the TLB maintained. Each gives ESR,
 * FAR, ELR, SPSR, PAR, the value read, memory and descriptors afterwards. The code itself runs through the other half.
 */
#include "payload.h"

/* Physical: the memory that accesses aim at, and the tables under test, a table per level. */
#define TABLES (PLAY + 0x100000)

/* Of the half that the code runs in. */
static u64 own_l1[512] __attribute__((aligned(4096)));
static u64 own_l2[512] __attribute__((aligned(4096)));

static u64 here; /* what makes a physical address one that the running half maps */
#define AT(pa) ((volatile u64 *)((pa) + here))

#define MAIR 0x4fff0cbb040044fful
static const unsigned char attrs[8] = {0xff, 0x44, 0x00, 0x04, 0xbb, 0x0c, 0xff, 0x4f};

/* ---- a trial */

struct config {
	unsigned half, page, tsz, first; /* log2 of the granule; level of the first table */
	u64 tcr, sctlr, ttbr;
	u64 va, pa; /* of the access */
	u64 entry[4],
		next[4]; /* physical addresses of the descriptors of va, and of what follows va in the last table */
	unsigned leaf;
};

static unsigned stride(const struct config *c)
{
	return c->page - 3;
}

static unsigned shift(const struct config *c, unsigned level)
{
	return c->page + stride(c) * (3 - level);
}

static unsigned ips_bits(u64 tcr)
{
	static const unsigned char bits[8] = {32, 36, 40, 42, 44, 48};

	return bits[tcr >> 32 & 7];
}

static void random_config(struct config *c)
{
	/* granule: TG0 and TG1 number them differently */
	static const unsigned char pages[3] = {12, 14, 16}, tg0[3] = {0, 2, 1}, tg1[3] = {2, 1, 3};
	unsigned g = below(3), bits;
	u64 half_bits, own_bits, shared;

	c->page = pages[g];
	c->tsz = 16 + below(24);
	if (c->page == 16 && has_lva() && one_in(3))
		c->tsz = 12 + below(4);
	bits = 64 - c->tsz;
	c->first = 4 - (bits - c->page + stride(c) - 1) / stride(c);
	half_bits = c->tsz | (one_in(16) ? 1 << 7 : 0);
	field(&half_bits, 8, 6);
	own_bits = 25 | 1 << 8 | 1 << 10 | 3 << 12;
	/* IPS, AS, A1, HA and HD */
	shared = one_in(2) ? 5ul << 32 : below(6) << 32;
	field(&shared, 36, 1);
	field(&shared, 22, 1);
	if (one_in(2)) {
		shared |= 1ul << 39;
		field(&shared, 40, 1);
	}
	if (c->half)
		shared |= half_bits << 16 | own_bits | (u64)tg1[g] << 30;
	else
		shared |= half_bits | own_bits << 16 | (u64)tg0[g] << 14 | 2ul << 30;
	field(&shared, c->half ? 38 : 37, 1);
	field(&shared, c->half ? 42 : 41, 1);
	c->tcr = shared;
	c->sctlr = one_in(4) ? 1 << 1 : 0;   /* A */
	c->sctlr |= one_in(4) ? 1 << 19 : 0; /* WXN */
	if (has_bti())
		field(&c->sctlr, 35, 2); /* BT0, BT1 */
	if (has_epan())
		field(&c->sctlr, 57, 1);
	if (has_lse2())
		field(&c->sctlr, 6, 1); /* nAA */
}

/* An output address beyond the configured size, if there is room. */
static u64 beyond(const struct config *c, u64 pa)
{
	unsigned bits = ips_bits(c->tcr);

	return bits < 48 ? pa | 1ul << (bits + below(48 - bits)) : pa;
}

static u64 random_leaf(const struct config *c, unsigned level, u64 pa)
{
	u64 d = pa & ~((1ul << shift(c, level)) - 1);

	d |= level == 3 ? 3 : 1;
	field(&d, 2, 8); /* AttrIndx, NS, AP, SH */
	d |= one_in(6) ? 0 : 1 << 10;
	field(&d, 11, 1);
	/* GP, DBM, Contiguous: nothing says that the descriptors around this one belong to it */
	field(&d, 50, 3);
	if (one_in(3))
		field(&d, 53, 2);
	field(&d, 55, 4);
	field(&d, 59, 4);
	if (one_in(16))
		d &= ~1ul;
	else if (one_in(16))
		d = beyond(c, d);
	else if (one_in(24) && level == 3)
		d &= ~2ul;
	return d;
}

static u64 random_table(const struct config *c, u64 next)
{
	u64 d = next | 3;

	if (one_in(3))
		field(&d, 61, 2);
	if (one_in(4))
		field(&d, 59, 2);
	field(&d, 51, 8);
	if (one_in(24))
		d &= ~1ul;
	else if (one_in(24))
		d = beyond(c, d);
	return d;
}

static void random_path(struct config *c)
{
	unsigned bits = 64 - c->tsz, low;
	u64 table = TABLES;

	/* Aligned to 16 bytes, near the end of a page, or anything; blocks where the granule has them. */
	c->pa = PLAY + 0x4000 + (below(0x8000) & ~15ul);
	if (one_in(4))
		c->pa = (c->pa & ~0xffful) + 0xff0 + below(16);
	else if (one_in(3))
		c->pa += below(16);
	c->leaf = c->first;
	while (c->leaf < 3 && (c->leaf < (c->page == 12 ? 1u : 2u) || !one_in(3)))
		c->leaf++;
	low = shift(c, c->leaf);
	if (low > bits)
		low = bits;
	c->va = (rnd() & ((1ul << bits) - 1) & ~((1ul << low) - 1)) | (c->pa & ((1ul << low) - 1));
	if (c->half)
		c->va |= ~0ul << bits;
	for (unsigned level = c->first;; level++, table += 0x10000) {
		unsigned width = bits - shift(c, level) < stride(c) ? bits - shift(c, level) : stride(c);
		u64 mask = (1ul << width) - 1, index = c->va >> shift(c, level) & mask;

		c->entry[level] = table + 8 * index;
		c->next[level] = table + 8 * ((index + 1) & mask);
		if (level == c->leaf) {
			if (index != mask) /* memory behind it, by another descriptor */
				*AT(c->next[level]) = random_leaf(c, level, c->pa + (1ul << shift(c, level)));
			*AT(c->entry[level]) = random_leaf(c, level, c->pa);
			break;
		}
		*AT(c->entry[level]) = random_table(c, table + 0x10000);
	}
	if (one_in(12)) /* out of range, but in the same half */
		c->va ^= 1ul << (bits < 55 ? bits + below(55 - bits) : 54);
	if (one_in(2)) /* a tag, which TBI may ignore */
		c->va = (c->va & ~(0xfful << 56)) | rnd() << 56;
	c->ttbr = one_in(16) ? beyond(c, TABLES) : TABLES;
	field(&c->ttbr, 48, 16);
	field(&c->ttbr, 0, 1);
}

static void clear_path(const struct config *c)
{
	for (unsigned level = c->first; level <= c->leaf; level++) {
		*AT(c->entry[level]) = 0;
		*AT(c->next[level]) = 0;
	}
}

static void fill_play(void)
{
	for (u64 pa = PLAY + 0x3f00; pa < PLAY + 0xc200; pa += 8)
		*AT(pa) = 0xd40055e1d40055e1ul + (pa << 5 & 0x1fe0) + (pa << 37 & 0x1fe000000000); /* SVCs */
}

static int is_device(const struct config *c)
{
	u64 d = *AT(c->entry[c->leaf]), n = *AT(c->next[c->leaf]);

	return !(attrs[d >> 2 & 7] & 0xf0) || ((c->va & 0xfff) > 0xfc0 && !(attrs[n >> 2 & 7] & 0xf0));
}

enum { FIRST_AT = 23, LAST_AT = 28, FIRST_ATOMIC = 14, LAST_ATOMIC = 29 }; /* of stubs, of lse2_stubs */

/*
 * What the reference (QEMU 7.2) does otherwise than the manual says is not asked: misaligned accesses to Device memory;
 * atomics that fault (ESR_EL1.WnR); the execution of what is writable because of its dirty bit modifier (permissions are
 * those of the descriptor as if updated: "Hardware management of the dirty state"). Nor is what the manual leaves open:
 * fetches from Device memory.
 */
static int is_open(const struct config *c, u64 fn, int user)
{
	u64 i = user ? (fn - (u64)user_stubs) / 8 : (fn - (u64)stubs) / 8;
	int atomic = user ? i == 6 || i == 14 : i >= 19 && i <= 21;
	int exec = user ? i == 10 : i == 29;
	int zva = user ? i == 13 : i == 22;
	int dirty = c->tcr >> 39 & c->tcr >> 40 & *AT(c->entry[c->leaf]) >> 51 & 1;

	return atomic || ((exec || zva) && is_device(c)) || (exec && dirty);
}

static void one_access(struct config *c, struct access *a, int user)
{
	a->val = rnd();
	a->val2 = rnd();
	a->pan = below(2) << 22;
	a->uao = below(4) == 0 ? 1 << 23 : 0;
	a->spsr = 0;
	a->va = c->va;
	/* what stores store; a load that faults half-way may have changed them */
	__asm__ volatile(".arch_extension simd\n\tdup v1.2d, %0\n\tdup v3.2d, %1\n\tdup v4.2d, %1\n\tdup v5.2d, %0"
			 :
			 : "r"(a->val), "r"(a->val2));
	if (has_lse2() && one_in(2)) {
		a->fn = (u64)lse2_stubs + 8 * (below(N_LSE2_STUBS / 2) + (user ? N_LSE2_STUBS / 2 : 0));
	} else {
		do
			a->fn = user ? (u64)user_stubs + 8 * below(N_USER_STUBS) : (u64)stubs + 8 * below(N_STUBS);
		while (is_open(c, a->fn, user));
	}
	if (user)
		a->spsr = BY_ERET | 0x3c0 | a->pan | a->uao;
	/* An instruction address is a multiple of 4, that is another test */
	if (a->fn == (u64)stubs + 8 * 29 || a->fn == (u64)user_stubs + 8 * 10)
		a->va &= ~3ul;
	if (is_device(c))
		a->va &= ~15ul;
	write_sysreg(far_el1, 0);
	write_sysreg(esr_el1, 0);
	write_sysreg(par_el1, 0);
	a->esr = a->far = a->elr = a->spsr_out = a->x0 = 0;
	access_run(a);
}

/* Another last descriptor; the TLB is told so, in one of the ways that do. */
static void change(struct config *c)
{
	u64 d = *AT(c->entry[c->leaf]), asid = c->tcr >> 22 & 1 ? read_sysreg(ttbr1_el1) : read_sysreg(ttbr0_el1);
	u64 arg = (c->va >> 12 & 0xffffffffffful) | (asid & 0xffff000000000000ul);

	*AT(c->entry[c->leaf]) = random_leaf(c, c->leaf, c->pa);
	dsb();
	switch (below(d >> 11 & 1 ? 5 : 4)) {
	case 0: __asm__ volatile("tlbi vmalle1is"); break;
	case 1: __asm__ volatile("tlbi vaae1is, %0" : : "r"(arg)); break;
	case 2: __asm__ volatile("tlbi vae1, %0" : : "r"(arg)); break;
	case 3: __asm__ volatile("tlbi vaale1is, %0" : : "r"(arg)); break;
	case 4: __asm__ volatile("tlbi aside1is, %0" : : "r"(asid)); break;
	}
	dsb();
	isb();
}

/* The reference says of Device and Non-cacheable memory what the descriptor says of shareability; it is outer shareable. */
static void note_par(const struct access *a)
{
	u64 attr = a->par >> 56;

	note(!(a->par & 1) && (!(attr & 0xf0) || attr == 0x44) ? a->par & ~(3ul << 7) : a->par);
}

static int is_atomic(const struct access *a)
{
	u64 i = (a->fn - (u64)lse2_stubs) / 8 % (N_LSE2_STUBS / 2);

	return a->fn >= (u64)lse2_stubs && i >= FIRST_ATOMIC && i <= LAST_ATOMIC;
}

/*
 * Whether AT updates the access flag is open, and whether an access does that faults; the reference also updates the dirty state
 * for AT, which is for stores.
 */
static void note_descriptors(const struct config *c, const struct access *a)
{
	u64 i = (a->fn - (u64)stubs) / 8, mask = ~0ul;

	if (i >= FIRST_AT && i <= LAST_AT)
		mask = ~(1ul << 10 | 1 << 7);
	else if (is_atomic(a) && a->esr)
		mask = ~(1ul << 10);
	note(*AT(c->entry[c->leaf]) & mask);
	note(*AT(c->next[c->leaf]) & mask);
}

/* The first part of a store whose second faults may be there or not. */
static int tore(const struct access *a)
{
	return (a->va & 0xfff) > 0xfc0 && a->esr;
}

/*
 * SPSR_EL1 without TCO, of memory tags, and ALLINT, of FEAT_NMI, which the reference has with -cpu max; and without BTYPE where an instruction raises an
 * exception of its own, since it is open then whether it is saved.
 */
static u64 saved(const struct access *a)
{
	return a->spsr_out & ~(1ul << 25 | 1 << 13 | (a->esr >> 26 ? 0 : 3 << 10));
}

/* ESR_EL1 without WnR where the reference says that a read was a write: of atomics, which a read had faulted like, and misaligned LDXRs. */
static u64 syndrome(const struct access *a)
{
	u64 i = (a->fn - (u64)stubs) / 8;
	int ldxr = i == 14 || i == 39 || i == N_STUBS + 7 || i == N_STUBS + 22;

	if (a->fn >= (u64)lse2_stubs) {
		i = (a->fn - (u64)lse2_stubs) / 8 % (N_LSE2_STUBS / 2);
		ldxr = (i >= 3 && i <= 5) || i == 12 || i == 13;
	}
	return is_atomic(a) || (ldxr && (a->esr & 0x3f) == 0x21) ? a->esr & ~(1ul << 6) : a->esr;
}

static void note_access(const struct config *c, const struct access *a)
{
	note(a->fn - (u64)stubs);
	note(a->va);
	note(a->vector);
	note(syndrome(a));
	note(a->far);
	/* where the stubs are is the compiler's choice */
	note(a->elr - (u64)stubs < 4096 ? a->elr - (u64)stubs : a->elr);
	note(saved(a));
	note(a->x0);
	note_par(a);
	note_descriptors(c, a);
	note(tore(a) ? 0 : *AT(c->pa & ~7ul));
	note(tore(a) ? 0 : *AT((c->pa & ~7ul) + 8));
}

static __attribute__((noinline)) void trial(unsigned n, unsigned half)
{
	static struct access a;
	struct config c = {.half = half};
	int user = one_in(3);

	rng = (SEED + 0ul) << 32 | n;
	random_config(&c);
	random_path(&c);
	fill_play();
	write_sysreg(mair_el1, MAIR);
	if (half)
		write_sysreg(ttbr1_el1, c.ttbr);
	else
		write_sysreg(ttbr0_el1, c.ttbr);
	write_sysreg(tcr_el1, c.tcr);
	write_sysreg(sctlr_el1, SCTLR_ON | 1 << 14 | c.sctlr); /* DZE */
	tlb_drop();
	one_access(&c, &a, user);
	note_access(&c, &a);
	if (tore(&a))
		fill_play();
	change(&c);
	one_access(&c, &a, user);
	note_access(&c, &a);
	clear_path(&c);
	/* the half under test has nothing until the next trial */
	write_sysreg(tcr_el1, TCR_OWN | (half ? 1 << 23 : 1 << 7));
	tlb_drop();
}

/* In the upper half. Not inlined: the address of everything is that of the running code. */
static __attribute__((noinline)) void run_high(unsigned n)
{
	here = HIGH;
	trial(n, 0);
	/* both halves, to come back through the other */
	write_sysreg(ttbr0_el1, (u64)own_l1 - HIGH);
	write_sysreg(tcr_el1, TCR_OWN);
	tlb_drop();
}

static __attribute__((noinline)) void run_low(unsigned n)
{
	here = 0;
	trial(n, 1);
}

/* Trial n, from MMU off to MMU off. */
static void run(unsigned n)
{
	own_mmu_on(own_l1, own_l1, MAIR, SCTLR_ON | 1 << 14);
	write_sysreg(vbar_el1, (u64)vectors + (n & 1 ? 0 : HIGH));
	isb();
	if (n & 1) {
		run_low(n);
	} else {
		jump_half(HIGH);
		run_high(n);
		jump_half(-HIGH);
	}
	own_mmu_off();
}

void main(void)
{
	static const char *const names[] = {"fn",   "va",  "vector", "esr",  "far", "elr",  "spsr",
					    "read", "par", "entry",  "next", "mem", "mem+8"};

	own_tables(own_l1, own_l2, PLAY | DESC_BLOCK | DESC_AF | DESC_SH | DESC_XN);
	run_trials(run, names, sizeof(names) / sizeof(names[0]));
}
