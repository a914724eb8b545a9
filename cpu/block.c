/* SPDX-License-Identifier: MIT */
/*
 * A PE finds the block that is to run: by VA through its jump cache, else by physical address in the code cache of its VM
 * (cache.c), where it makes the block if there is none. Instruction caches of the architecture are not coherent
 * (CTR_EL0.DIC = 0), so stores to code need no notice: IC marks the blocks of a page, and a marked block compares its source
 * words before it runs again.
 *
 * The cache is bounded: when it is full all of it goes, while no PE runs.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static unsigned block_bucket(uint64_t pc, ipa_t ipa, uint32_t key)
{
	return (uint32_t)(((pc >> 2) * 0x9e3779b97f4a7c15ull ^ (ipa >> 12) * 0xc2b2ae3d27d4eb4full ^
			   (uint64_t)key << 40) >>
			  32) &
	       (BLOCK_BUCKETS - 1);
}

int block_init(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	if (group_cache(cpu->group))
		return -ENOMEM;
	cpu->env.jump = p->jump;
	tier_init(cpu);
	p->builder = ir_builder_new();
	return p->builder ? 0 : -ENOMEM;
}

void block_exit(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	if (p->builder)
		ir_builder_free(p->builder);
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

static bool translate(struct cpu *cpu, struct block *blk, const struct ir_block *ir, const struct trace_parts *parts)
{
	struct jit_unit u = {
		.blk = ir,
		.env = &cpu->env,
		.sp_mask = parts ? parts->sp_mask : blk->sp_mask,
		.el1 = blk->key & KEY_EL1,
		.chain = !(blk->key & KEY_ONE),
		.counts = blk->key & KEY_COUNT,
		.alone = blk->key & KEY_ALONE,
		.flushes = blk->key & KEY_FZ,
		.tier = blk->tier,
		.probe = blk->probe,
		.site_extent = blk->hot ? blk->hot->site_extent : 0,
		.extents = blk->hot ? blk->hot->extents : 0,
		.pieces = parts ? parts->piece : NULL,
		.n_pieces = parts ? parts->n : 0,
		.loops = parts && parts->loops,
		.owner = blk,
	};

	if (!jit_compile(cpu->group->cache->jit, &u))
		return false;
	__atomic_store_n(&blk->code, u.code, __ATOMIC_RELEASE);
	blk->sites = u.sites;
	blk->n_sites = (uint16_t)u.n_sites;
	if (!parts)
		blk->n_accesses = (uint8_t)(u.n_accesses < IR_PROBE_SITES ? u.n_accesses : IR_PROBE_SITES);
	return true;
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
 * IR of at most so many instructions at pc, which lasts until the next is made. They are at host, and in words afterwards. Returns how
 * many there are.
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
	uint32_t words[IR_MAX_INSNS];

	if (b->ir)
		return b->ir;
	emit(cpu, b->key, b->pc, (const uint8_t *)block_words(b), words, b->n_words, scratch);
	return scratch;
}

/* What a block is to be made of: IR in the PE's builder, and the words that it comes from. */
struct source {
	struct ir_block ir;
	unsigned n;
	uint32_t sp_mask, words[IR_MAX_INSNS];
};

static void read_source(struct cpu *cpu, uint32_t key, const uint8_t *host, unsigned most, struct source *s)
{
	uint64_t pc = cpu->env.pc;
	unsigned left = (4096 - (pc & 4095)) / 4, keep;

	if (left > most)
		left = most;
	if (key & KEY_ONE)
		left = 1;
	for (;;) {
		s->n = emit(cpu, key, pc, host, s->words, left, &s->ir);
		keep = block_sp_scan(&s->ir, s->n, &s->sp_mask);
		if (keep == s->n)
			break;
		left = keep;
	}
	if (!cpu->group->cache->jit)
		ir_interp_prepare(cpu->priv->builder, &s->ir);
}

static void begin(struct block *b, uint64_t pc, ipa_t ipa, uint32_t key, const struct source *s)
{
	*b = (struct block){.pc = pc,
			    .ipa = ipa,
			    .key = key,
			    .n_words = (uint8_t)s->n,
			    .sp_mask = (uint8_t)s->sp_mask,
			    .tier = JIT_COLD};
	memcpy(b + 1, s->words, sizeof(*s->words) * s->n);
}

static struct block *make_locked(struct cpu *cpu, uint32_t key, ipa_t ipa, const struct source *s)
{
	struct code_cache *c = cpu->group->cache;
	uint64_t pc = cpu->env.pc;
	struct block *blk, **bucket;
	struct code_page *page = cache_page_locked(c, ipa & IR_PAGE_MASK);

	blk = cache_alloc_locked(c, sizeof(*blk) + sizeof(*s->words) * s->n);
	begin(blk, pc, ipa, key, s);
	blk->view = cache_view_locked(c, page, pc & IR_PAGE_MASK, key);
	blk->page_next = page->blocks;
	page->blocks = blk;
	if (c->jit)
		translate(cpu, blk, &s->ir, NULL);
	if (!blk->code) {
		blk->ir = cache_alloc_locked(c, sizeof(*blk->ir));
		*blk->ir = s->ir;
		blk->ir->ops = cache_alloc_locked(c, sizeof(*s->ir.ops) * s->ir.n_ops);
		memcpy(blk->ir->ops, s->ir.ops, sizeof(*s->ir.ops) * s->ir.n_ops);
	}
	cache_trust_locked(c, blk);
	bucket = &c->blocks[block_bucket(pc, ipa, key)];
	blk->next = *bucket;
	__atomic_store_n(bucket, blk, __ATOMIC_RELEASE);
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
	struct jit *j = cpu->group->cache->jit;
	struct timespec to;

	if (cpu->stat_time) {
		clock_gettime(CLOCK_MONOTONIC, &to);
		cpu->stat[CPU_STAT_TIMED_NS] +=
			(uint64_t)(to.tv_sec - from->tv_sec) * 1000000000 + (uint64_t)(to.tv_nsec - from->tv_nsec);
		cpu->stat[CPU_STAT_TIMED_INSNS] += b->n_words;
	}
	if (j) {
		cpu->stat[CPU_STAT_CODE_NOW] += jit_used(j) - code;
		cpu->stat[CPU_STAT_UNIT_BYTES] += jit_used(j) - code;
	}
}

/* Who entered the unit of `b` before gets to the one that is made now, of the tier that b says. The cache is locked. */
void block_make_again(struct cpu *cpu, struct block *b)
{
	struct jit_jump *e = &cpu->priv->jump[jit_jump_slot(b->pc, JUMP_BITS)];
	struct code_cache *c = cpu->group->cache;
	size_t code = jit_used(c->jit);
	const void *was = b->code;
	struct trace_parts parts = {.n = 0};
	uint32_t sp_mask = b->sp_mask;
	struct timespec from;
	struct ir_block ir;
	struct trace t;

	stat_begin(cpu, &from);
	b->hot->trace = NULL;
	if (b->tier == JIT_HOT && c->used + sizeof(t) + BLOCK_MOST <= c->limit &&
	    trace_emit(cpu, b, &ir, &t, &parts, &sp_mask)) {
		b->hot->trace = cache_alloc_locked(c, sizeof(t));
		*b->hot->trace = t;
		__atomic_store_n(&b->sp_mask, (uint8_t)sp_mask, __ATOMIC_RELAXED); /* code looks, too */
		stat_inc(cpu, CPU_STAT_TRACES);
	} else {
		block_ir(cpu, b, &ir);
	}
	if (translate(cpu, b, &ir, b->hot->trace ? &parts : NULL)) {
		jit_replace(c->jit, was, b->code);
		cache_unlink_locked(c, b->view->page); /* links go to the old code, and from there by a jump */
		if (e->block == b)
			e->code = b->code;
		stat_inc(cpu, CPU_STAT_UNITS_AGAIN);
	}
	stat_end(cpu, &from, b, code);
}

static bool same_words(const uint32_t *words, unsigned n, const uint8_t *host)
{
	for (unsigned i = 0; i < n; i++) {
		if (words[i] != __atomic_load_n((const uint32_t *)(const void *)(host + 4 * i), __ATOMIC_RELAXED))
			return false;
	}
	return true;
}

static bool is_unchanged(const struct block *b, const uint8_t *host)
{
	return same_words(block_words(b), b->n_words, host) && (!block_trace(b) || trace_is_good(b, host));
}

/* Or a page whose code changes again and again would have more and more to go through each time. */
static void page_remove(const struct block *b)
{
	struct block **at = &b->view->page->blocks;

	while (*at != b)
		at = &(*at)->page_next;
	*at = b->page_next;
}

struct block *block_known_locked(struct cpu *cpu, uint64_t pc, ipa_t ipa, uint32_t key)
{
	struct block *b = cpu->group->cache->blocks[block_bucket(pc, ipa, key)];

	while (b && (b->pc != pc || b->ipa != ipa || b->key != key))
		b = b->next;
	return b && block_is_good(b) ? b : NULL;
}

/* One that is there, and compared if need be; or none. */
static struct block *get_locked(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	struct code_cache *c = cpu->group->cache;
	uint64_t pc = cpu->env.pc;

	for (struct block **at = &c->blocks[block_bucket(pc, ipa, key)]; *at; at = &(*at)->next) {
		struct block *b = *at;

		if (b->pc != pc || b->ipa != ipa || b->key != key)
			continue;
		if (block_is_good(b))
			return b;
		if (is_unchanged(b, host)) {
			cache_trust_locked(c, b);
			return b;
		}
		stat_inc(cpu, CPU_STAT_CODE_STALE);
		__atomic_store_n(at, b->next, __ATOMIC_RELEASE); /* its memory comes back when all does */
		page_remove(b);
		return NULL;
	}
	return NULL;
}

static struct block *make_counted_locked(struct cpu *cpu, uint32_t key, ipa_t ipa, const struct source *s,
					 const struct timespec *from)
{
	struct code_cache *c = cpu->group->cache;
	size_t code = c->jit ? jit_used(c->jit) : 0, used = c->used;
	struct block *b = make_locked(cpu, key, ipa, s);

	c->made++;
	stat_end(cpu, from, b, code);
	if (b->code) {
		stat_inc(cpu, CPU_STAT_UNITS);
		cpu->stat[CPU_STAT_UNIT_INSNS] += b->n_words;
	} else {
		stat_inc(cpu, CPU_STAT_BLOCKS);
	}
	cpu->stat[CPU_STAT_BLOCKS_NOW] += c->used - used;
	return b;
}

/*
 * IR is made without the lock. If code has changed meanwhile, somewhere, and the words are
 * not what they were, it is made once more, with the lock, so that nothing can come between again.
 */
static struct block *make_unlocked(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	struct code_cache *c = cpu->group->cache;
	uint64_t changes = c->changes, made = c->made;
	struct timespec from;
	struct block *b;
	struct source s;

	cache_unlock(cpu);
	stat_begin(cpu, &from);
	read_source(cpu, key, host, IR_MAX_INSNS, &s);
	cache_lock(cpu);
	if (made != c->made) {
		b = get_locked(cpu, key, host, ipa); /* another PE may have made it */
		if (b)
			return b;
	}
	if (changes != c->changes && !same_words(s.words, s.n, host))
		read_source(cpu, key, host, IR_MAX_INSNS, &s);
	return cache_is_full_locked(c) ? NULL : make_counted_locked(cpu, key, ipa, &s, &from);
}

/* ---- met for the first time */

/*
 * A third of the code that a kernel runs when it boots, or a program when it starts, is not run again. So what a PE meets for the
 * first time it interprets, which is less work than to translate it, and nothing is kept of it but a mark. Another block may have
 * taken the mark's place when it is met again: then it is interpreted once more.
 */
static bool is_met_first(struct cpu_priv *p, uint64_t pc, ipa_t ipa, uint32_t key)
{
	uint64_t hash = ((pc >> 2) * 0x9e3779b97f4a7c15ull ^ (ipa >> 12) * 0xc2b2ae3d27d4eb4full ^ (uint64_t)key << 40);
	uint16_t *mark = &p->met[hash >> (64 - MET_BITS)], is = (uint16_t)(hash >> 32) | 1;

	if (*mark == is)
		return false;
	*mark = is;
	return true;
}

/* It is good until the PE makes another block. */
static struct block *interpret_once(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa)
{
	enum { MOST = 16 }; /* instructions: it may go elsewhere soon */
	struct cpu_priv *p = cpu->priv;
	struct source s;

	read_source(cpu, key, host, MOST, &s);
	begin(&p->once.block, cpu->env.pc, ipa, key, &s);
	p->once.ir = s.ir;
	p->once.block.ir = &p->once.ir;
	stat_inc(cpu, CPU_STAT_ONCE);
	return &p->once.block;
}

static struct block *get_or_make(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa, uint32_t *view)
{
	struct code_cache *c = cpu->group->cache;
	struct block *b;

	cache_lock(cpu);
	b = get_locked(cpu, key, host, ipa);
	if (!b && c->meets && is_met_first(cpu->priv, cpu->env.pc, ipa, key)) {
		cache_unlock(cpu);
		return interpret_once(cpu, key, host, ipa);
	}
	if (!b && !cache_is_full_locked(c))
		b = make_unlocked(cpu, key, host, ipa);
	if (b)
		*view = b->view->id;
	else
		attend(cpu, ATTN_FULL);
	cache_unlock(cpu);
	return b;
}

/* view: the number under which it may run. NULL: there is no room. */
static struct block *block_get(struct cpu *cpu, uint32_t key, const uint8_t *host, ipa_t ipa, uint32_t *view)
{
	struct code_cache *c = cpu->group->cache;
	uint64_t pc = cpu->env.pc;
	struct block *b = __atomic_load_n(&c->blocks[block_bucket(pc, ipa, key)], __ATOMIC_ACQUIRE);

	while (b && (b->pc != pc || b->ipa != ipa || b->key != key))
		b = __atomic_load_n(&b->next, __ATOMIC_ACQUIRE);
	if (likely(b)) {
		/* One look at each: it was compared under that number, whatever happens now. */
		*view = __atomic_load_n(&b->view->id, __ATOMIC_ACQUIRE);
		if (likely(__atomic_load_n(&b->checked, __ATOMIC_ACQUIRE) == *view))
			return b;
	}
	return get_or_make(cpu, key, host, ipa, view);
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
	const void *code;
	uint32_t key, view;
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
		return block_get(cpu, key | KEY_ONE, host, ipa, &view);
	b = block_get(cpu, key, host, ipa, &view);
	if (unlikely(!b) || b == &p->once.block)
		return b;
	e = &p->jump[jit_jump_slot(cpu->env.pc, JUMP_BITS)];
	if (e->pc != cpu->env.pc && e->view && e->view != UINT32_MAX)
		p->jump[jit_second_slot(e->pc, JUMP_BITS)] = *e;
	e->pc = cpu->env.pc;
	e->view = view;
	e->at = 4 * jit_code_slot(cpu->env.pc);
	tlb_code_may_run(cpu, cpu->env.pc, view);
	e->block = b;
	code = block_code(b);
	e->code = cpu->group->cache->jit && !code ? jit_leave(cpu->group->cache->jit) : code;
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
