/* SPDX-License-Identifier: MIT */
/*
 * Translated blocks of one PE: found by VA through the jump cache, else by physical address, made if there is none.
 * Instruction caches of the architecture are not coherent (CTR_EL0.DIC = 0), so stores to code need no notice: IC marks
 * the blocks of a page, and a marked block compares its source words before it runs again.
 *
 * The cache is bounded: when it is full all of it goes, between two blocks.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* The most that block_make() takes from the arena */
enum {
	BLOCK_MOST = sizeof(struct block) + sizeof(struct code_page) + sizeof(struct code_view) +
		     IR_MAX_OPS * sizeof(struct ir_insn) + IR_MAX_INSNS * 4 + 256
};

static unsigned block_bucket(uint64_t pc, ipa_t ipa, uint32_t key)
{
	return (uint32_t)(((pc >> 2) * 0x9e3779b97f4a7c15ull ^ (ipa >> 12) * 0xc2b2ae3d27d4eb4full ^
			   (uint64_t)key << 40) >>
			  32) &
	       (BLOCK_BUCKETS - 1);
}

static unsigned page_bucket(ipa_t page)
{
	return (uint32_t)((page >> 12) * 0x9e3779b97f4a7c15ull >> 40) & (PAGE_BUCKETS - 1);
}

/*
 * Code is translated where there is a translator and PAWL_ENGINE does not say interp. If it cannot be had, blocks are
 * interpreted, which is worth a word only to those who asked.
 */
static void engine_init(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	const char *engine = getenv("PAWL_ENGINE"), *why;

	if (engine && strcmp(engine, "jit") != 0 && strcmp(engine, "interp") != 0)
		fprintf(stderr, "pawl: PAWL_ENGINE=%s: no such engine (interp, jit)\n", engine);
	if (engine && strcmp(engine, "interp") == 0)
		return;
	cpu->env.jump = p->jump;
	p->jit = jit_new(&cpu->env, JUMP_BITS, &why);
	if (!p->jit && engine && strcmp(engine, "jit") == 0)
		fprintf(stderr, "pawl: PAWL_ENGINE=jit: %s; code is interpreted\n", why);
	if (p->jit)
		unit_watch(p->jit);
	if (p->jit && getenv("PAWL_COUNT_ACCESSES"))
		jit_count_accesses(p->jit);
	if (p->jit && p->code_limit < CODE_BYTES)
		jit_set_limit(p->jit, p->code_limit);
}

/* PAWL_CODE_CACHE: bytes for the code of a PE, and as many for its blocks; with K or M. */
static size_t code_limit(void)
{
	const char *text = getenv("PAWL_CODE_CACHE");
	unsigned long long n;
	char *end;

	if (!text)
		return CODE_BYTES;
	n = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'k')
		n <<= 10, end++;
	else if (*end == 'M' || *end == 'm')
		n <<= 20, end++;
	if (end == text || *end) {
		fprintf(stderr, "pawl: PAWL_CODE_CACHE=%s: not a size such as 16M\n", text);
		return CODE_BYTES;
	}
	return n < CODE_BYTES ? n > 2 * BLOCK_MOST ? n : 2 * BLOCK_MOST : CODE_BYTES;
}

int block_init(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	void *m = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		return -ENOMEM;
	p->code = m;
	p->code_limit = code_limit();
	tier_init(cpu);
	p->builder = ir_builder_new();
	if (!p->builder)
		return -ENOMEM;
	engine_init(cpu);
	return 0;
}

void block_exit(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	jit_free(p->jit);
	if (p->builder)
		ir_builder_free(p->builder);
	if (p->code)
		munmap(p->code, CODE_BYTES);
}

/* ---- the arena */

static size_t round_up(size_t n)
{
	return (n + 63) & ~(size_t)63; /* a cache line */
}

static void *code_alloc(struct cpu_priv *p, size_t bytes)
{
	void *m = p->code + p->code_used;

	p->code_used += round_up(bytes);
	return m;
}

void block_recycle(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	cpu->stat[CPU_STAT_CODE_NOW] = cpu->stat[CPU_STAT_BLOCKS_NOW] = 0;
	memset(p->blocks, 0, sizeof(p->blocks));
	memset(p->pages, 0, sizeof(p->pages));
	p->linked = p->known = NULL;
	p->code_used = 0;
	cpu->env.site = 0; /* it is gone, too */
	cpu->env.hot = NULL;
	memset(p->probed, 0, sizeof(p->probed));
	if (p->jit)
		jit_reset(p->jit);
	tlb_code_forget_all(cpu);
}

/* ---- invalidation */

/* Who knows the page's blocks by its views has to ask again. */
static void page_renumber(struct cpu *cpu, struct code_page *c)
{
	for (struct code_view *v = c->views; v; v = v->next)
		v->id = tlb_new_view(cpu);
}

static void page_know(struct cpu_priv *p, struct code_page *c)
{
	if (c->known)
		return;
	c->known = true;
	c->next_known = p->known;
	p->known = c;
}

void block_changed_all(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	p->epoch++;
	for (struct code_page *c = p->known; c; c = c->next_known) {
		page_renumber(cpu, c);
		c->known = false;
	}
	p->known = NULL;
	block_unlink_all(cpu);
}

void cpu_code_changed(struct cpu *cpu)
{
	block_changed_all(cpu);
}

static void page_link(struct cpu_priv *p, struct code_page *c)
{
	c->linked = true;
	if (c->listed)
		return;
	c->listed = true;
	c->next_linked = p->linked;
	p->linked = c;
}

/* Links within pages end; those to another page end with its view's number. */
static void page_unlink(struct cpu_priv *p, struct code_page *c)
{
	if (!c->linked)
		return;
	c->linked = false;
	for (struct block *b = c->blocks; b; b = b->page_next)
		jit_unlink(p->jit, b->sites, b->n_sites);
}

void block_unlink_all(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	for (struct code_page *c = p->linked; c; c = c->next_linked) {
		page_unlink(p, c);
		c->listed = false;
	}
	p->linked = NULL;
	tlb_code_forget_all(cpu);
}

void block_link(struct cpu *cpu, uint32_t site, const struct block *to)
{
	struct cpu_priv *p = cpu->priv;
	struct jit_site s = jit_site(p->jit, site);
	struct block *from = s.owner;

	if (s.pc != cpu->env.pc || !to->code || to->key & KEY_ONE || cpu->env.attn)
		return; /* something came between, or it has to be found each time */
	if (s.same_page) {
		if (from->page != to->page || (from->key & ~(uint32_t)KEY_BTYPE) != to->key)
			return;
		page_link(p, from->page);
	}
	stat_inc(cpu, CPU_STAT_LINKS);
	page_know(p, to->page);
	jit_link(p->jit, site, to->code, to->view->id);
}

static struct code_page *page_find(struct cpu_priv *p, ipa_t page)
{
	struct code_page *c = p->pages[page_bucket(page)];

	while (c && c->ipa != page)
		c = c->next;
	return c;
}

void block_changed_page(struct cpu *cpu, ipa_t ipa)
{
	struct code_page *c = page_find(cpu->priv, ipa & IR_PAGE_MASK);

	if (!c || !c->fresh)
		return; /* nothing was translated from it, or nothing of it is trusted already */
	c->fresh = false;
	page_unlink(cpu->priv, c);
	for (struct code_view *v = c->views; v; v = v->next)
		tlb_code_forget(cpu, v->va);
	page_renumber(cpu, c);
}

/* ---- SP alignment */

/*
 * An access whose base is SP checks that SP is a multiple of 16 (SCTLR_EL1.SA, SA0). The soft TLB's fast path does not
 * look, so the run loop does, once for each block that has such an access, and runs it without the fast path if SP is
 * misaligned: access.c then decides access by access. That is enough if SP stays aligned inside a block that began
 * with it aligned. Hence a block ends behind an instruction that may change that, if an access with base SP follows.
 */
static bool is_mem(const struct ir_insn *op)
{
	switch (op->op) {
	case IR_load:
	case IR_store:
	case IR_loadv:
	case IR_storev:
	case IR_loadp:
	case IR_storep:
	case IR_loadpv:
	case IR_storepv:
	case IR_ldx:
	case IR_ldxp:
	case IR_stx:
	case IR_stxp:
	case IR_rmw:
	case IR_cas:
	case IR_casp: return true;
	default: return false;
	}
}

/* Where value v of class x is made, before `at`; NULL: not found. */
static const struct ir_insn *definition(const struct ir_block *ir, const struct ir_insn *at, uint16_t v)
{
	for (const struct ir_insn *op = at; op-- > ir->ops;) {
		if (op->dst == v &&
		    (op->op == IR_const || op->op == IR_getx || op->op == IR_add64 || op->op == IR_sub64))
			return op;
	}
	return NULL;
}

/* Value v is known to be SP plus a multiple of 16: as far as it is SP with constants added, a few times at most. */
static bool keeps_alignment(const struct ir_block *ir, const struct ir_insn *at, uint16_t v)
{
	for (unsigned i = 0; i < 8; i++) {
		const struct ir_insn *op = definition(ir, at, v), *c;

		if (!op)
			return false;
		if (op->op == IR_const)
			return !(op->imm & 15);
		if (op->op == IR_getx)
			return op->x == 31;
		c = definition(ir, op, op->b);
		if (!c || c->op != IR_const || (c->imm & 15))
			return false;
		v = op->a;
		at = op;
	}
	return false;
}

/* Sets the mask for what begins with SP aligned. Returns how many instructions may stay, at most n. */
unsigned block_sp_scan(const struct ir_block *ir, unsigned n, uint32_t *mask)
{
	unsigned end = n;

	*mask = 0;
	for (unsigned i = 0; i < ir->n_ops; i++) {
		const struct ir_insn *op = &ir->ops[i];

		if (is_mem(op) && IR_MEM_BASE(op->aux) == 31) {
			if (op->gi >= end)
				return end;
			*mask = 15;
		}
		if (op->op == IR_putx && op->x == 31 && op->gi + 1u < end && !keeps_alignment(ir, op, op->a))
			end = op->gi + 1;
	}
	return n;
}

/* ---- making one */

static bool translate(struct cpu_priv *p, struct block *blk, const struct ir_block *ir, const struct trace_parts *parts)
{
	struct jit_unit u = {
		.blk = ir,
		.sp_mask = blk->sp_mask,
		.el1 = blk->key & KEY_EL1,
		.chain = !(blk->key & KEY_ONE),
		.counts = blk->key & KEY_COUNT,
		.alone = blk->key & KEY_ALONE,
		.flushes = blk->key & KEY_FZ,
		.tier = blk->tier,
		.probe = blk->probe,
		.site_extent = blk->site_extent,
		.extents = blk->extents,
		.pieces = parts ? parts->piece : NULL,
		.n_pieces = parts ? parts->n : 0,
		.loops = parts && parts->loops,
		.owner = blk,
	};

	if (!jit_compile(p->jit, &u))
		return false;
	blk->code = u.code;
	blk->sites = u.sites;
	blk->n_sites = u.n_sites;
	if (!parts)
		blk->n_accesses = (uint8_t)(u.n_accesses < IR_PROBE_SITES ? u.n_accesses : IR_PROBE_SITES);
	return true;
}

static struct code_view *view_of(struct cpu *cpu, struct code_page *page, uint64_t pc, uint32_t key)
{
	uint64_t va = pc & IR_PAGE_MASK;
	struct code_view *v = page->views;

	while (v && (v->va != va || v->key != key))
		v = v->next;
	if (v)
		return v;
	v = code_alloc(cpu->priv, sizeof(*v));
	*v = (struct code_view){.next = page->views, .va = va, .key = key, .id = tlb_new_view(cpu)};
	page->views = v;
	return v;
}

struct isa_ctx block_context(struct cpu *cpu, uint32_t key)
{
	return (struct isa_ctx){
		.b = cpu->priv->builder,
		.features = cpu->features,
		.el = key & KEY_EL1,
		.fp_traps = key & KEY_FP_TRAPS,
		.guarded = key & KEY_GUARDED,
		.pair_as_vector = cpu_has(cpu, ISA_LSE2),
		.btype = key & KEY_BTYPE,
	};
}

/*
 * IR of at most so many instructions at pc, which lasts until the next is made. words: they are taken from host, if that is not
 * NULL, else they are there. Returns how many there are.
 */
static unsigned emit(struct cpu *cpu, uint32_t key, uint64_t pc, const uint8_t *host, uint32_t *words, unsigned most,
		     struct ir_block *ir)
{
	struct cpu_priv *p = cpu->priv;
	struct isa_ctx ctx = block_context(cpu, key);
	bool open = true;
	unsigned n;

	ir_begin(p->builder, pc);
	for (n = 0; open && n < most && (!n || ir_has_room(p->builder)); n++) {
		if (host)
			words[n] = __atomic_load_n((const uint32_t *)(const void *)(host + 4 * n), __ATOMIC_RELAXED);
		ctx.pc = pc + 4 * n;
		ir_next_insn(p->builder);
		open = isa_emit(&ctx, words[n]);
	}
	if (open)
		ir_br(p->builder, pc + 4 * n);
	ir_finish(p->builder, ir);
	return n;
}

/* Of a block that has code, the IR is not kept: it is made again. */
const struct ir_block *block_ir(struct cpu *cpu, const struct block *b, struct ir_block *scratch)
{
	if (b->ir.ops)
		return &b->ir;
	emit(cpu, b->key, b->pc, NULL, b->words, b->n_words, scratch);
	return scratch;
}

static struct block *block_make(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t pc = cpu->env.pc;
	unsigned left = (4096 - (pc & 4095)) / 4, n, keep;
	uint32_t words[IR_MAX_INSNS], sp_mask;
	struct code_page *page;
	struct ir_block ir;
	struct block *blk;
	struct block **bucket;

	if (left > IR_MAX_INSNS)
		left = IR_MAX_INSNS;
	if (key & KEY_ONE)
		left = 1;
	for (;;) {
		n = emit(cpu, key, pc, host, words, left, &ir);
		keep = block_sp_scan(&ir, n, &sp_mask);
		if (keep == n)
			break;
		left = keep;
	}
	if (!p->jit)
		ir_interp_prepare(p->builder, &ir);

	page = page_find(p, ipa & IR_PAGE_MASK);
	if (!page) {
		page = code_alloc(p, sizeof(*page));
		page->ipa = ipa & IR_PAGE_MASK;
		page->linked = page->listed = page->known = page->fresh = false;
		page->blocks = NULL;
		page->views = NULL;
		page->next = p->pages[page_bucket(page->ipa)];
		p->pages[page_bucket(page->ipa)] = page;
	}
	blk = code_alloc(p, sizeof(*blk));
	blk->ir = ir;
	blk->words = code_alloc(p, sizeof(*words) * n);
	memcpy(blk->words, words, sizeof(*words) * n);
	blk->n_words = n;
	blk->sp_mask = sp_mask;
	blk->code = NULL;
	blk->sites = blk->n_sites = 0;
	blk->tier = JIT_COLD;
	blk->probe = blk->probes = blk->n_accesses = 0;
	blk->site_extent = 0;
	blk->extents = 0;
	blk->ways = blk->taken = 0;
	blk->strays = 0;
	blk->trace = NULL;
	blk->pc = pc;
	blk->ipa = ipa;
	blk->key = key;
	blk->page = page;
	blk->view = view_of(cpu, page, pc, key);
	blk->epoch = p->epoch;
	blk->checked = blk->view->id;
	page->fresh = true;
	blk->page_next = page->blocks;
	page->blocks = blk;
	if (p->jit)
		translate(p, blk, &ir, NULL);
	if (blk->code) {
		blk->ir.ops = NULL;
	} else {
		blk->ir.ops = code_alloc(p, sizeof(*ir.ops) * ir.n_ops);
		memcpy(blk->ir.ops, ir.ops, sizeof(*ir.ops) * ir.n_ops);
	}
	bucket = &p->blocks[block_bucket(pc, ipa, key)];
	blk->next = *bucket;
	*bucket = blk;
	return blk;
}

/* Around the making of a block, of which code has so many bytes before. */
static void stat_begin(const struct cpu *cpu, struct timespec *from)
{
	if (cpu->stat_time)
		clock_gettime(CLOCK_MONOTONIC, from);
}

static void stat_end(struct cpu *cpu, const struct timespec *from, const struct block *b, size_t code)
{
	struct jit *j = cpu->priv->jit;
	struct timespec to;

	if (cpu->stat_time) {
		clock_gettime(CLOCK_MONOTONIC, &to);
		cpu->stat[CPU_STAT_TIMED_NS] +=
			(uint64_t)(to.tv_sec - from->tv_sec) * 1000000000 + (uint64_t)(to.tv_nsec - from->tv_nsec);
		cpu->stat[CPU_STAT_TIMED_INSNS] += b->n_words;
	}
	if (j) {
		cpu->stat[CPU_STAT_CODE_NOW] = jit_used(j);
		cpu->stat[CPU_STAT_UNIT_BYTES] += jit_used(j) - code;
	}
}

/* Who entered the unit of `b` before gets to the one that is made now, of the tier that b says. */
void block_make_again(struct cpu *cpu, struct block *b)
{
	struct cpu_priv *p = cpu->priv;
	struct jit_jump *e = &p->jump[jit_jump_slot(b->pc, JUMP_BITS)];
	size_t code = jit_used(p->jit);
	const void *was = b->code;
	struct trace_parts parts = {.n = 0};
	struct timespec from;
	struct ir_block ir;
	struct trace t;

	stat_begin(cpu, &from);
	b->trace = NULL;
	if (b->tier == JIT_HOT && p->code_used + sizeof(t) + BLOCK_MOST <= p->code_limit &&
	    trace_emit(cpu, b, &ir, &t, &parts, &b->sp_mask)) {
		b->trace = code_alloc(p, sizeof(t));
		*b->trace = t;
		stat_inc(cpu, CPU_STAT_TRACES);
	} else {
		emit(cpu, b->key, b->pc, NULL, b->words, b->n_words, &ir);
	}
	if (translate(p, b, &ir, b->trace ? &parts : NULL)) {
		jit_replace(p->jit, was, b->code);
		page_unlink(p, b->page); /* links go to the old code, and from there by a jump */
		if (e->block == b)
			e->code = b->code;
		stat_inc(cpu, CPU_STAT_UNITS_AGAIN);
	}
	stat_end(cpu, &from, b, code);
}

static struct block *block_make_counted(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	struct cpu_priv *p = cpu->priv;
	size_t code = p->jit ? jit_used(p->jit) : 0;
	struct timespec from;
	struct block *b;

	stat_begin(cpu, &from);
	b = block_make(cpu, key, host, ipa);
	stat_end(cpu, &from, b, code);
	if (b->code) {
		stat_inc(cpu, CPU_STAT_UNITS);
		cpu->stat[CPU_STAT_UNIT_INSNS] += b->n_words;
	} else {
		stat_inc(cpu, CPU_STAT_BLOCKS);
	}
	cpu->stat[CPU_STAT_BLOCKS_NOW] = p->code_used;
	return b;
}

struct block *block_known(struct cpu *cpu, uint64_t pc, ipa_t ipa, uint32_t key)
{
	struct cpu_priv *p = cpu->priv;
	struct block *b = p->blocks[block_bucket(pc, ipa, key)];

	while (b && (b->pc != pc || b->ipa != ipa || b->key != key))
		b = b->next;
	return b && b->epoch == p->epoch && b->checked == b->view->id ? b : NULL;
}

static bool same_words(const struct block *blk, const uint8_t *host)
{
	for (unsigned i = 0; i < blk->n_words; i++) {
		if (blk->words[i] != __atomic_load_n((const uint32_t *)(const void *)(host + 4 * i), __ATOMIC_RELAXED))
			return false;
	}
	return !blk->trace || trace_is_good(blk, host);
}

/* Or a page whose code changes again and again would have more and more to go through each time. */
static void page_remove(const struct block *b)
{
	struct block **at = &b->page->blocks;

	while (*at != b)
		at = &(*at)->page_next;
	*at = b->page_next;
}

static struct block *block_get(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t pc = cpu->env.pc;

	for (struct block **at = &p->blocks[block_bucket(pc, ipa, key)]; *at; at = &(*at)->next) {
		struct block *b = *at;

		if (b->pc != pc || b->ipa != ipa || b->key != key)
			continue;
		if (likely(b->epoch == p->epoch && b->checked == b->view->id))
			return b;
		if (same_words(b, host)) {
			b->epoch = p->epoch;
			b->checked = b->view->id;
			b->page->fresh = true;
			return b;
		}
		stat_inc(cpu, CPU_STAT_CODE_STALE);
		*at = b->next; /* its memory comes back when the cache is recycled */
		page_remove(b);
		break;
	}
	if (unlikely(p->code_used + BLOCK_MOST > p->code_limit || (p->jit && jit_is_full(p->jit)))) {
		stat_inc(cpu, CPU_STAT_CODE_DROPS);
		block_recycle(cpu);
		tlb_select(cpu);
		cpu->env.attn &= ~(uint32_t)ATTN_REGIME;
	}
	return block_make_counted(cpu, key, host, ipa);
}

/* ---- look-up that missed the jump cache */

/*
 * BTypeCompatible: whether an instruction in a guarded page may be reached with this PSTATE.BTYPE. The answer stays
 * with the jump cache's entry: what it depends on (SCTLR_EL1.BTn, the page, the word) ends the entry when it changes.
 */
static bool is_landing(const struct cpu *cpu, const uint8_t *host)
{
	enum { ANY = 1, CALL = 2, JUMP = 3 };
	uint32_t insn = __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_RELAXED);
	unsigned btype = (cpu->pstate & PSR_BTYPE) >> PSR_BTYPE_SHIFT;
	bool strict = cpu->sys[CPU_SCTLR_EL1] & (cpu_is_el0(cpu) ? SCTLR_BT0 : SCTLR_BT1);

	switch (insn) {
	case 0xd503245f: /* BTI c */ return btype != JUMP;
	case 0xd503249f: /* BTI j */ return btype != CALL;
	case 0xd50324df: /* BTI jc */ return true;
	case 0xd503233f: /* PACIASP */
	case 0xd503237f: /* PACIBSP */ return btype != JUMP || !strict;
	}
	return (insn & 0xffe0001f) == 0xd4200000 || (insn & 0xffe0001f) == 0xd4400000; /* BRK, HLT */
}

static __attribute__((noinline)) struct block *find_slow(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	struct jit_jump *e;
	const uint8_t *host;
	struct block *b;
	uint32_t key;
	bool guarded, alone = false;
	ipa_t ipa;

	stat_inc(cpu, CPU_STAT_LOOKUPS);
	cpu->env.pc = stage1_branch_addr(cpu, cpu->env.pc);
	if (unlikely(cpu->env.pc & 3)) {
		cpu_take_abort(cpu, ESR_MAKE(EC_PC_ALIGN, 0), cpu->env.pc, cpu->env.pc);
		return NULL;
	}
	host = access_fetch(cpu, &ipa, &guarded);
	if (unlikely(!host))
		return NULL;
	key = p->key;
	if (unlikely(guarded))
		key |= KEY_GUARDED;
	if (unlikely(p->has_breaks) && debug_page_has_breakpoint(cpu, cpu->env.pc)) {
		if (debug_breakpoint(cpu, cpu->env.pc))
			return NULL;
		alone = true; /* one instruction at a time, and never from the jump cache: each comes by here */
	}
	if (unlikely(key & KEY_ILLEGAL)) {
		exception_sync(cpu, ESR_MAKE(EC_ILLEGAL_STATE, 0));
		return NULL;
	}
	if (unlikely(key & KEY_BTYPE) && guarded && !is_landing(cpu, host)) {
		exception_sync(cpu, ESR_MAKE(EC_BTI, (cpu->pstate & PSR_BTYPE) >> PSR_BTYPE_SHIFT));
		return NULL;
	}
	if (unlikely(alone))
		return block_get(cpu, key | KEY_ONE, host, ipa);
	b = block_get(cpu, key, host, ipa);
	e = &p->jump[jit_jump_slot(cpu->env.pc, JUMP_BITS)];
	if (e->pc != cpu->env.pc && e->view && e->view != UINT32_MAX)
		p->jump[jit_second_slot(e->pc, JUMP_BITS)] = *e;
	e->pc = cpu->env.pc;
	e->view = b->view->id;
	e->at = 4 * jit_code_slot(cpu->env.pc);
	page_know(p, b->page);
	tlb_code_may_run(cpu, cpu->env.pc, e->view);
	e->block = b;
	e->code = p->jit && !b->code ? jit_leave(p->jit) : b->code;
	return b;
}

struct block *block_find(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	uint64_t pc = cpu->env.pc;
	uint32_t view = cpu->env.code_map[pc >> 63 ? 0 : 1][jit_code_slot(pc)];
	const struct jit_jump *e = &p->jump[jit_jump_slot(pc, JUMP_BITS)];

	if (likely(e->pc == pc && e->view == view))
		return e->block;
	e = &p->jump[jit_second_slot(pc, JUMP_BITS)];
	if (e->pc == pc && e->view == view)
		return e->block;
	return find_slow(cpu);
}
