/* SPDX-License-Identifier: MIT */
/*
 * The code cache of a VM: blocks, the guest pages that they come from, and their code. All PEs of the group share it. What a PE keeps
 * for itself is which of it may run now: its jump cache and its maps of views (jit.h).
 *
 * All changes are made under cache->lock, a leaf: who holds it waits for nothing. Look-ups are made without. A block that was taken out stays
 * in memory until everything goes, and that happens only while no PE runs.
 *
 * A block may run if the number of its page's view is the one under which its words were last compared, b->checked. IC gives the
 * views of a page new numbers, once for all PEs: no block of it may be found then without being compared. The other PEs go by the
 * old numbers until they have taken them out of their maps, by the DSB that completes the IC (group.c). Links within a page hold
 * without a number, so they end with it.
 */
#include "internal.h"
#include "zeroed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Code is translated where there is a translator and PAWL_ENGINE does not say interp; all of it if that says jit, else what is met
 * again. If it cannot be had, blocks are interpreted, which is worth a word only to those who asked.
 */
static void engine_init(struct code_cache *c)
{
	const char *engine = getenv("PAWL_ENGINE"), *why;

	if (engine && strcmp(engine, "jit") != 0 && strcmp(engine, "interp") != 0)
		fprintf(stderr, "pawl: PAWL_ENGINE=%s: no such engine (interp, jit)\n", engine);
	if (engine && strcmp(engine, "interp") == 0)
		return;
	c->jit = jit_new(NULL, JUMP_BITS, &why);
	if (!c->jit && engine && strcmp(engine, "jit") == 0)
		fprintf(stderr, "pawl: PAWL_ENGINE=jit: %s; code is interpreted\n", why);
	c->meets = c->jit && !engine;
	if (c->jit)
		unit_watch(c->jit);
	if (c->jit && getenv("PAWL_COUNT_ACCESSES"))
		jit_count_accesses(c->jit);
	if (c->jit && c->limit < CODE_BYTES)
		jit_set_limit(c->jit, c->limit);
}

/* PAWL_CODE_CACHE: bytes for the code of a VM, and as many for its blocks; with K or M. */
static size_t limit(void)
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

struct code_cache *cache_new(void)
{
	struct code_cache *c = zeroed_new(sizeof(*c));
	pthread_mutexattr_t attr;
	void *m;

	if (!c)
		return NULL;
	m = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m == MAP_FAILED) {
		zeroed_free(c, sizeof(*c));
		return NULL;
	}
	c->arena = m;
	c->limit = limit();
	c->view_next = 1;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP); /* it is held for microseconds */
	pthread_mutex_init(&c->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	engine_init(c);
	return c;
}

void cache_free(struct code_cache *c)
{
	if (!c)
		return;
	jit_free(c->jit);
	munmap(c->arena, CODE_BYTES);
	pthread_mutex_destroy(&c->lock);
	zeroed_free(c, sizeof(*c));
}

/*
 * A PE that runs and is alone has nobody to lock out: one that joins stops it first, and what is done from outside is done while it
 * does not run.
 */
void cache_lock(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;

	p->cache_locked = !p->in_guest || atomic_load_explicit(&cpu->group->n_slots, memory_order_acquire) != 1;
	if (p->cache_locked)
		pthread_mutex_lock(&cpu->group->cache->lock);
}

void cache_unlock(struct cpu *cpu)
{
	if (cpu->priv->cache_locked)
		pthread_mutex_unlock(&cpu->group->cache->lock);
}

/* ---- the arena */

void *cache_alloc_locked(struct code_cache *c, size_t bytes)
{
	void *m = c->arena + c->used;

	c->used += (bytes + 15) & ~(size_t)15;
	return m;
}

bool cache_is_full_locked(const struct code_cache *c)
{
	return c->used + BLOCK_MOST > c->limit || c->view_next > CACHE_VIEWS_MOST || (c->jit && jit_is_full(c->jit));
}

void cache_reset_locked(struct code_cache *c)
{
	memset(c->blocks, 0, sizeof(c->blocks));
	memset(c->pages, 0, sizeof(c->pages));
	memset(c->probed, 0, sizeof(c->probed));
	c->fresh = NULL;
	c->used = 0;
	if (c->jit)
		jit_reset(c->jit);
	if (c->view_next > CACHE_VIEWS_MOST / 2) {
		c->view_next = 1;
		c->numbering++;
	}
	c->generation++;
}

void cache_see_reset(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	const struct code_cache *c = cpu->group->cache;

	if (likely(p->generation == c->generation))
		return;
	p->generation = c->generation;
	p->changed = NULL;
	memset(p->probing, 0, sizeof(p->probing));
	cpu->env.site = 0;
	cpu->env.hot = NULL;
	cpu->stat[CPU_STAT_CODE_NOW] = cpu->stat[CPU_STAT_BLOCKS_NOW] = 0;
	tlb_code_forget_all(cpu);
	if (p->numbering != c->numbering) { /* numbers come again: nothing may be left from the first time */
		p->numbering = c->numbering;
		tlb_jump_clear(cpu);
	}
	attend(cpu, ATTN_REGIME);
	if (c->jit)
		jit_see_reset();
}

void cache_number_from(struct cpu_group *g, uint32_t view)
{
	g->cache->view_next = view;
}

/* ---- pages and views */

static unsigned page_bucket(ipa_t page)
{
	return (uint32_t)((page >> 12) * 0x9e3779b97f4a7c15ull >> 40) & (PAGE_BUCKETS - 1);
}

static struct code_page *page_find(struct code_cache *c, ipa_t ipa)
{
	struct code_page *page = c->pages[page_bucket(ipa)];

	while (page && page->ipa != ipa)
		page = page->next;
	return page;
}

struct code_page *cache_page_locked(struct code_cache *c, ipa_t ipa)
{
	struct code_page *page = page_find(c, ipa);

	if (page)
		return page;
	page = cache_alloc_locked(c, sizeof(*page));
	*page = (struct code_page){.ipa = ipa, .next = c->pages[page_bucket(ipa)]};
	c->pages[page_bucket(ipa)] = page;
	return page;
}

struct code_view *cache_view_locked(struct code_cache *c, struct code_page *page, uint64_t va, uint32_t key)
{
	struct code_view *v = page->views;

	while (v && (v->va != va || v->key != key))
		v = v->next;
	if (v)
		return v;
	v = cache_alloc_locked(c, sizeof(*v));
	*v = (struct code_view){.next = page->views, .page = page, .va = va, .key = key, .id = c->view_next++};
	page->views = v;
	return v;
}

void cache_trust_locked(struct code_cache *c, struct block *b)
{
	struct code_page *page = b->view->page;

	__atomic_store_n(&b->checked, b->view->id, __ATOMIC_RELEASE);
	page->fresh = true;
	if (page->listed)
		return;
	page->listed = true;
	page->next_fresh = c->fresh;
	c->fresh = page;
}

/* ---- what changes */

void cache_unlink_locked(struct code_cache *c, struct code_page *page)
{
	if (!page->linked)
		return;
	page->linked = false;
	for (struct block *b = page->blocks; b; b = b->page_next)
		jit_unlink(c->jit, b->sites, b->n_sites);
}

static void page_mark(struct code_cache *c, struct code_page *page)
{
	if (!page->fresh)
		return; /* nothing of it is trusted already */
	page->fresh = false;
	page->marks++;
	for (struct code_view *v = page->views; v; v = v->next)
		__atomic_store_n(&v->id, c->view_next++, __ATOMIC_RELEASE);
	cache_unlink_locked(c, page);
}

/* The words of a block that is being made may be those of before, of whatever page. */
static void blocks_in_making_are_old(struct code_cache *c)
{
	__atomic_store_n(&c->changes, c->changes + 1, __ATOMIC_RELEASE);
}

void cache_mark_all_locked(struct code_cache *c)
{
	for (struct code_page *page = c->fresh; page; page = page->next_fresh) {
		page_mark(c, page);
		page->listed = false;
	}
	c->fresh = NULL;
	blocks_in_making_are_old(c);
}

void block_changed_all(struct cpu *cpu)
{
	cache_lock(cpu);
	cache_mark_all_locked(cpu->group->cache);
	cache_unlock(cpu);
	tlb_code_forget_all(cpu);
}

void cpu_code_changed(struct cpu *cpu)
{
	block_changed_all(cpu);
}

/*
 * A loop of IC over a page comes by many times. What this PE has forgotten of a page it has not again, unless some block of the
 * page was found good since; then the page is marked again.
 */
static void page_forget(struct cpu *cpu, struct code_page *page)
{
	struct cpu_priv *p = cpu->priv;

	if (p->changed == page && p->changed_marks == page->marks)
		return;
	p->changed = page;
	p->changed_marks = page->marks;
	for (struct code_view *v = page->views; v; v = v->next)
		tlb_code_forget(cpu, v->va);
}

void block_changed_page(struct cpu *cpu, ipa_t ipa)
{
	struct code_cache *c = cpu->group->cache;
	struct code_page *page;

	cache_lock(cpu);
	blocks_in_making_are_old(c);
	page = page_find(c, ipa & IR_PAGE_MASK);
	if (page) {
		page_mark(c, page);
		page_forget(cpu, page);
	}
	cache_unlock(cpu);
}

void block_forget_page(struct cpu *cpu, ipa_t ipa)
{
	struct code_cache *c = cpu->group->cache;
	struct code_page *page;

	cache_lock(cpu);
	page = page_find(c, ipa & IR_PAGE_MASK);
	if (page)
		page_forget(cpu, page);
	cache_unlock(cpu);
}

/* ---- links */

static void link_locked(struct cpu *cpu, struct code_cache *c, uint32_t site, const struct block *to)
{
	struct jit_site s = jit_site(c->jit, site);
	const struct block *from = s.owner;

	if (s.pc != cpu->env.pc || !to->code || !block_is_good(to))
		return; /* something came between */
	if (s.same_page) {
		if (from->view->page != to->view->page || (from->key & ~(uint32_t)KEY_BTYPE) != to->key ||
		    !block_is_good(from))
			return;
		to->view->page->linked = true;
	}
	if (jit_link(c->jit, site, to->code, to->view->id))
		stat_inc(cpu, CPU_STAT_LINKS);
}

void block_link(struct cpu *cpu, uint32_t site, const struct block *to)
{
	struct code_cache *c = cpu->group->cache;

	if (to->key & KEY_ONE || cpu->env.attn || to == &cpu->priv->once.block)
		return; /* it has to be found each time */
	cache_lock(cpu);
	link_locked(cpu, c, site, to);
	cache_unlock(cpu);
}

/* ---- what of a PE a translation depends on, and is the same for its life: a number in keys */

static bool class_find(struct code_cache *c, uint64_t features, uint32_t *key)
{
	unsigned n = 0;

	while (n < c->n_classes && c->features[n] != features)
		n++;
	if (n == KEY_CLASSES)
		return false;
	if (n == c->n_classes)
		c->features[c->n_classes++] = features;
	*key = (uint32_t)n << KEY_CLASS_SHIFT;
	return true;
}

/* There are more numbers than PEs: those that are used now are counted anew. */
static void classes_again(struct cpu_group *g, void *arg)
{
	struct code_cache *c = g->cache;
	unsigned n = atomic_load(&g->n_slots);

	_Static_assert((unsigned)KEY_CLASSES > GROUP_MAX_PES, "one for each PE, and for one that is not in a slot yet");
	pthread_mutex_lock(&c->lock);
	cache_reset_locked(c);
	c->n_classes = 0;
	for (unsigned i = 0; i < n; i++) {
		struct cpu *cpu = g->slot[i].cpu;

		if (cpu)
			class_find(c, cpu->features, &cpu->priv->class_key);
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_classify(struct cpu *cpu)
{
	struct code_cache *c = cpu->group->cache;
	bool ok;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		ok = class_find(c, cpu->features, &cpu->priv->class_key);
		pthread_mutex_unlock(&c->lock);
		if (ok)
			break;
		cpu_group_stopped(cpu->group, classes_again, NULL);
	}
	attend(cpu, ATTN_REGIME);
}
