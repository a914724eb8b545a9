/* SPDX-License-Identifier: MIT */
/*
 * The PEs of one VM: the inner shareable domain. Broadcast of TLB and instruction cache maintenance, completed by the
 * issuer's DSB (Arm ARM DDI 0487, "TLB maintenance requirements and the TLB maintenance instructions" and "Data
 * Synchronization Barrier"), the stop of all PEs, and the system counter.
 *
 * A broadcast operation takes effect on the other PEs only by the DSB that completes it, which the architecture
 * allows; so one round trip serves a whole batch. Each TLB, and what says which code may run, is written by its own PE alone.
 */
#include "internal.h"
#include "order.h"
#include "zeroed.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

struct cpu_group *cpu_group_new(void)
{
	struct cpu_group *g = zeroed_new(sizeof(*g));

	if (!g)
		return NULL;
	order_init();
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->cond, NULL);
	sysreg_index(g->sysreg_row);
	model_default(&g->model);
	return g;
}

void cpu_group_free(struct cpu_group *g)
{
	if (!g)
		return;
	cache_free(g->cache);
	pthread_cond_destroy(&g->cond);
	pthread_mutex_destroy(&g->lock);
	zeroed_free(g, sizeof(*g));
}

int group_cache(struct cpu_group *g)
{
	int err;

	pthread_mutex_lock(&g->lock);
	if (!g->cache)
		g->cache = cache_new();
	err = g->cache ? 0 : -ENOMEM;
	pthread_mutex_unlock(&g->lock);
	return err;
}

/* ---- joining: cpu_new and cpu_free */

static void drop_code(struct cpu_group *g, void *unused)
{
	struct code_cache *c = g->cache;

	pthread_mutex_lock(&c->lock);
	if (c->used)
		cache_reset_locked(c);
	pthread_mutex_unlock(&c->lock);
}

int group_join(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;
	bool second = false;
	int err = -1;

	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < GROUP_MAX_PES; i++) {
		struct pe_slot *s = &g->slot[i];

		if (s->cpu)
			continue;
		s->cpu = cpu;
		s->queue.n = 0;
		s->queue.overflow = s->queue.code = false;
		atomic_store(&s->space, 0);
		atomic_fetch_or(&s->req, REQ_INVAL); /* the first entry is a slow one: a stop may be under way */
		cpu->priv->slot = s;
		cpu->priv->generation = g->cache->generation;
		cpu->priv->numbering = g->cache->numbering;
		second = i == 1 && atomic_load(&g->n_slots) == 1;
		if (i >= atomic_load(&g->n_slots))
			atomic_store(&g->n_slots, i + 1);
		err = 0;
		break;
	}
	pthread_mutex_unlock(&g->lock);
	if (second) /* the first may be in code for a PE that is alone, which nobody wants any more */
		cpu_group_stopped(g, drop_code, NULL);
	return err;
}

void group_part(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;

	if (!cpu->priv->slot)
		return;
	pthread_mutex_lock(&g->lock);
	cpu->priv->slot->cpu = NULL;
	pthread_mutex_unlock(&g->lock);
}

/* ---- invalidation lists */

/* Only who uses that ASID, or has met something global in the lower half, can have what it invalidates. */
static bool is_of_one_space(const struct inval *v)
{
	return v->kind == INVAL_TLB_ASID || v->kind == INVAL_TLB_LOWER ||
	       (v->kind == INVAL_TLB_VA && v->asid != ASID_ANY && !(v->arg >> 55 & 1));
}

/* Too many pages of one address space are all of it. */
static bool inval_collapse(struct inval_list *l, uint32_t asid)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (!is_of_one_space(&l->v[i]) || l->v[i].asid != asid)
			return false;
	}
	l->v[0] = (struct inval){.kind = INVAL_TLB_LOWER, .asid = asid};
	l->n = 1;
	return true;
}

static void inval_add(struct inval_list *l, const struct inval *v)
{
	bool one = is_of_one_space(v);

	if (l->overflow)
		return;
	for (unsigned i = 0; i < l->n; i++) {
		const struct inval *o = &l->v[i];

		if ((o->kind == v->kind && o->arg == v->arg && o->asid == v->asid) ||
		    (o->kind == INVAL_TLB_LOWER && one && o->asid == v->asid))
			return;
	}
	if (l->n < INVAL_MAX)
		l->v[l->n++] = *v;
	else if (!one || !inval_collapse(l, v->asid))
		l->overflow = true;
}

static void inval_append(struct inval_list *to, const struct inval_list *from)
{
	if (from->overflow)
		to->overflow = true;
	for (unsigned i = 0; i < from->n; i++)
		inval_add(to, &from->v[i]);
}

static void inval_clear(struct inval_list *l)
{
	l->n = 0;
	l->overflow = l->code = false;
}

static bool inval_empty(const struct inval_list *l)
{
	return !l->n && !l->overflow;
}

/* Code has been marked already, by who has sent that. */
void inval_apply(struct cpu *cpu, const struct inval_list *l)
{
	if (l->overflow) {
		tlb_flush_all(cpu);
		tlb_code_forget_all(cpu);
		return;
	}
	for (unsigned i = 0; i < l->n; i++) {
		uint64_t arg = l->v[i].arg;

		switch (l->v[i].kind) {
		case INVAL_TLB_ALL: tlb_flush_all(cpu); break;
		case INVAL_TLB_LOWER:
			if (atomic_load_explicit(&cpu->priv->slot->globals, memory_order_relaxed))
				tlb_flush_all(cpu);
			else
				tlb_flush_asid(cpu, l->v[i].asid);
			break;
		case INVAL_TLB_ASID: tlb_flush_asid(cpu, l->v[i].asid); break;
		case INVAL_TLB_VA: tlb_flush_va(cpu, arg); break;
		case INVAL_CODE_ALL: tlb_code_forget_all(cpu); break;
		case INVAL_CODE_PAGE: block_forget_page(cpu, arg); break;
		}
	}
}

/* ---- requests; group->lock is held */

static void wake_locked(struct cpu_group *g)
{
	if (atomic_load(&g->sleepers))
		pthread_cond_broadcast(&g->cond);
}

/* Before the loads of running that a thread will sleep on: a PE that leaves sees waiters, or these see that it has left. */
static void wait_begin_locked(struct cpu_group *g)
{
	atomic_fetch_add(&g->sleepers, 1);
	atomic_fetch_add(&g->waiters, 1);
	order_rare();
}

static void wait_locked(struct cpu_group *g)
{
	pthread_cond_wait(&g->cond, &g->lock);
}

static void wait_end_locked(struct cpu_group *g)
{
	atomic_fetch_sub(&g->waiters, 1);
	atomic_fetch_sub(&g->sleepers, 1);
}

/* running or acked of the PE has changed. */
static void wake_watchers(struct pe_slot *s)
{
	if (!atomic_load(&s->watchers))
		return;
	atomic_fetch_add(&s->event, 1);
	syscall(SYS_futex, &s->event, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void post_locked(struct pe_slot *s, uint32_t req)
{
	atomic_fetch_or(&s->req, req); /* then running: see struct pe_slot */
	if (s->cpu && atomic_load(&s->running))
		__atomic_fetch_or(&s->cpu->env.kick, KICK_INTERNAL, __ATOMIC_SEQ_CST);
}

/* The PE's own thread, at a boundary between instructions. The lock, which is held, is not held over the work; a stop waits for it. */
static void serve_inval_locked(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;
	struct pe_slot *s = cpu->priv->slot;
	struct inval_list todo = s->queue;
	uint64_t upto = s->posted;

	atomic_fetch_and(&s->req, ~(uint32_t)REQ_INVAL);
	inval_clear(&s->queue);
	pthread_mutex_unlock(&g->lock);
	if (todo.code)
		block_changed_all(cpu);
	inval_apply(cpu, &todo);
	atomic_store(&s->acked, upto);
	wake_watchers(s);
	pthread_mutex_lock(&g->lock);
}

/* ---- the PE's side: in and out of guest execution */

static void enter_slow(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;
	struct pe_slot *s = cpu->priv->slot;

	pthread_mutex_lock(&g->lock);
	for (;;) {
		atomic_store(&s->running, PE_OUT);
		wake_locked(g);
		wake_watchers(s);
		while (g->stopped)
			wait_locked(g);
		if (!(atomic_load(&s->req) & REQ_INVAL))
			break;
		atomic_store(&s->running, PE_PAUSED);
		serve_inval_locked(cpu);
	}
	cache_see_reset(cpu);
	/* Requests are posted under the lock, so none can come between the last look and this store. */
	atomic_store(&s->running, PE_RUNS);
	pthread_mutex_unlock(&g->lock);
}

void guest_enter(struct cpu *cpu)
{
	struct pe_slot *s = cpu->priv->slot;

	if (cpu->priv->in_guest++)
		return;
	atomic_store(&s->running, PE_RUNS);
	order_store_load();
	if (unlikely(atomic_load(&s->req)))
		enter_slow(cpu);
}

void guest_leave(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;

	if (--cpu->priv->in_guest)
		return;
	if (unlikely(!inval_empty(&cpu->priv->deferred))) /* a PE that leaves between TLBI and DSB */
		group_sync(cpu);
	atomic_store_explicit(&cpu->priv->slot->running, PE_OUT, memory_order_release);
	order_hot(); /* pairs with wait_begin_locked and watch */
	if (unlikely(atomic_load_explicit(&g->waiters, memory_order_relaxed))) {
		wake_watchers(cpu->priv->slot);
		if (atomic_load(&g->sleepers)) {
			pthread_mutex_lock(&g->lock);
			wake_locked(g);
			pthread_mutex_unlock(&g->lock);
		}
	}
}

void group_serve(struct cpu *cpu)
{
	if (atomic_load(&cpu->priv->slot->req))
		enter_slow(cpu);
}

void group_defer(struct cpu *cpu, struct inval v)
{
	if (atomic_load_explicit(&cpu->group->n_slots, memory_order_relaxed) > 1)
		inval_add(&cpu->priv->deferred, &v);
}

/* ---- address spaces: struct pe_slot, space and stale */

uint32_t group_asid(const struct cpu *cpu, uint64_t field)
{
	return field & (cpu->sys[CPU_TCR_EL1] & TCR_AS ? 0xffff : 0xff);
}

static bool is_stale(const struct pe_slot *s, uint32_t asid)
{
	return atomic_load(&s->stale[asid % ASID_CLASSES / 64]) >> asid % 64 & 1;
}

static void refresh(struct cpu *cpu, uint32_t asid)
{
	struct pe_slot *s = cpu->priv->slot;

	if (likely(!is_stale(s, asid)))
		return;
	atomic_fetch_and(&s->stale[asid % ASID_CLASSES / 64], ~(1ull << asid % 64));
	tlb_flush_asids(cpu, asid, group_asid(cpu, ASID_CLASSES - 1));
}

void group_space_changed(struct cpu *cpu)
{
	struct pe_slot *s = cpu->priv->slot;
	uint32_t lo = group_asid(cpu, cpu->sys[CPU_TTBR0_EL1] >> 48),
		 hi = group_asid(cpu, cpu->sys[CPU_TTBR1_EL1] >> 48);

	if (!s || atomic_load_explicit(&s->space, memory_order_relaxed) == (lo | hi << 16))
		return;
	if (atomic_load_explicit(&cpu->group->n_slots, memory_order_relaxed) == 1) { /* who joins stops it */
		atomic_store_explicit(&s->space, lo | hi << 16, memory_order_relaxed);
		return;
	}
	atomic_store(&s->space, lo | hi << 16);
	order_store_load();
	refresh(cpu, lo);
	if (hi != lo)
		refresh(cpu, hi);
}

bool group_met_global(struct cpu *cpu, bool met)
{
	struct pe_slot *s = cpu->priv->slot;

	if (!s || atomic_load_explicit(&s->globals, memory_order_relaxed) == met)
		return false;
	atomic_store(&s->globals, met);
	order_store_load();
	return met;
}

/* Does s have to apply the list before a DSB is over? If not, it has been told what it has to do later. */
static bool concerns(struct pe_slot *s, const struct inval_list *l)
{
	uint32_t space;

	if (l->overflow)
		return true;
	for (unsigned i = 0; i < l->n; i++) {
		const struct inval *v = &l->v[i];

		if (!is_of_one_space(v) || (v->kind != INVAL_TLB_ASID && atomic_load(&s->globals)))
			return true;
		if (!is_stale(s, v->asid))
			atomic_fetch_or(&s->stale[v->asid % ASID_CLASSES / 64], 1ull << v->asid % 64);
	}
	atomic_thread_fence(memory_order_seq_cst);
	space = atomic_load(&s->space);
	for (unsigned i = 0; i < l->n; i++) {
		if (l->v[i].asid == (space & 0xffff) || l->v[i].asid == space >> 16)
			return true;
	}
	return false;
}

/* A PE that is out of the guest, or paused, applies what is queued before its next instruction, so nobody waits for it. */
static bool has_acked(struct pe_slot *s, uint64_t want)
{
	return atomic_load(&s->running) != PE_RUNS || atomic_load(&s->acked) >= want;
}

static void watch(struct cpu_group *g, struct pe_slot *s, uint64_t want)
{
	atomic_fetch_add(&s->watchers, 1);
	atomic_fetch_add(&g->waiters, 1);
	order_rare(); /* it sees waiters when it leaves, or this sees that it has left */
	for (;;) {
		uint32_t event = atomic_load(&s->event);

		if (has_acked(s, want))
			break;
		syscall(SYS_futex, &s->event, FUTEX_WAIT_PRIVATE, event, NULL, NULL, 0);
	}
	atomic_fetch_sub(&g->waiters, 1);
	atomic_fetch_sub(&s->watchers, 1);
}

/* DSB: publish what was deferred and wait until every running PE that it concerns has applied it. */
void group_sync(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;
	struct pe_slot *self = cpu->priv->slot;
	struct inval_list *d = &cpu->priv->deferred;
	uint64_t want[GROUP_MAX_PES];
	unsigned n = atomic_load(&g->n_slots), some = 0; /* a PE that joins meanwhile knows nothing old */

	if (inval_empty(d))
		return;
	atomic_thread_fence(
		memory_order_seq_cst); /* the guest's stores to its tables, before the looks at space and globals */
	for (unsigned i = 0; i < n; i++) {
		want[i] = &g->slot[i] != self && concerns(&g->slot[i], d);
		some += (unsigned)want[i];
	}
	if (!some) {
		inval_clear(d);
		return;
	}
	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < n; i++) {
		struct pe_slot *s = &g->slot[i];

		if (!want[i])
			continue;
		want[i] = 0;
		if (!s->cpu)
			continue;
		inval_append(&s->queue, d);
		want[i] = ++s->posted;
		post_locked(s, REQ_INVAL);
	}
	inval_clear(d);
	pthread_mutex_unlock(&g->lock);

	/* Two PEs may wait for each other, so this one is not waited for meanwhile. A stop waits: the caller may be code of the cache. */
	atomic_store(&self->running, PE_PAUSED);
	wake_watchers(self);
	for (unsigned i = 0, spin = 0; i < n; i++) {
		while (want[i] && !has_acked(&g->slot[i], want[i])) {
			if (spin++ < 200)
				pause_cpu();
			else
				watch(g, &g->slot[i], want[i]);
		}
	}
	atomic_store(&self->running, PE_RUNS);
	order_store_load();
	if (likely(!(atomic_load(&self->req) & REQ_INVAL)))
		return;
	pthread_mutex_lock(&g->lock);
	while (atomic_load(&self->req) & REQ_INVAL)
		serve_inval_locked(cpu);
	pthread_mutex_unlock(&g->lock);
}

/* ---- the stop: any thread that is not a PE inside cpu_run */

/* Who runs again comes by enter_slow(), and with flush, everything that it knows of memory is gone. */
static void stop_locked(struct cpu_group *g, void (*fn)(struct cpu_group *g, void *arg), void *arg, bool flush)
{
	unsigned n;

	wait_begin_locked(g);
	while (g->stopped)
		wait_locked(g);
	g->stopped = true;
	n = atomic_load(&g->n_slots);
	for (unsigned i = 0; i < n; i++)
		post_locked(&g->slot[i], REQ_STOP);
	for (unsigned i = 0; i < n; i++) {
		while (atomic_load(&g->slot[i].running))
			wait_locked(g);
	}
	if (fn)
		fn(g, arg);
	if (flush && g->cache) {
		pthread_mutex_lock(&g->cache->lock);
		cache_mark_all_locked(g->cache);
		pthread_mutex_unlock(&g->cache->lock);
	}
	n = atomic_load(&g->n_slots);
	for (unsigned i = 0; i < n; i++) {
		struct pe_slot *s = &g->slot[i];

		s->queue.overflow |= flush;
		s->posted++;
		atomic_fetch_or(&s->req, REQ_INVAL);
		atomic_fetch_and(&s->req, ~(uint32_t)REQ_STOP);
	}
	g->stopped = false;
	wait_end_locked(g);
	pthread_cond_broadcast(&g->cond);
}

static void stop_and(struct cpu_group *g, void (*fn)(struct cpu_group *g, void *arg), void *arg)
{
	pthread_mutex_lock(&g->lock);
	stop_locked(g, fn, arg, true);
	pthread_mutex_unlock(&g->lock);
}

static void store_stage2(struct cpu_group *g, void *s2)
{
	atomic_store_explicit(&g->s2, (const struct stage2 *)s2, memory_order_release);
}

void cpu_group_set_stage2(struct cpu_group *g, const struct stage2 *s2)
{
	stop_and(g, store_stage2, (void *)(uintptr_t)s2);
}

void cpu_group_flush_tlbs(struct cpu_group *g)
{
	stop_and(g, NULL, NULL);
}

void cpu_group_stopped(struct cpu_group *g, void (*fn)(struct cpu_group *g, void *arg), void *arg)
{
	stop_and(g, fn, arg);
}

void cpu_group_forget_memory(struct cpu_group *g)
{
	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < atomic_load(&g->n_slots); i++) {
		struct pe_slot *s = &g->slot[i];

		if (!s->cpu)
			continue;
		s->queue.overflow = s->queue.code = true;
		s->posted++;
		post_locked(s, REQ_INVAL);
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- the stop by a PE that runs, for room in the code cache */

static void drop_full_code(struct cpu_group *g, void *arg)
{
	struct code_cache *c = g->cache;
	struct cpu *cpu = arg;

	pthread_mutex_lock(&c->lock);
	if (cache_is_full_locked(c)) { /* no other PE has done it meanwhile */
		stat_inc(cpu, CPU_STAT_CODE_DROPS);
		cache_reset_locked(c);
	}
	pthread_mutex_unlock(&c->lock);
}

/* It does not run while it stops the others, so two that do this at the same time do it one after the other. */
void group_drop_code(struct cpu *cpu)
{
	struct cpu_group *g = cpu->group;

	pthread_mutex_lock(&g->lock);
	atomic_store(&cpu->priv->slot->running, PE_OUT);
	wake_locked(g);
	wake_watchers(cpu->priv->slot);
	stop_locked(g, drop_full_code, cpu, false);
	pthread_mutex_unlock(&g->lock);
	enter_slow(cpu);
}

/* ---- the system counter */

uint64_t cpu_group_counter(const struct cpu_group *g)
{
	struct timespec t;

	(void)g;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) / (1000000000 / CPU_CNTFRQ);
}

void cpu_group_set_offset(struct cpu_group *g, unsigned timer, uint64_t off)
{
	atomic_store(&g->offset[timer], off);
}

uint64_t cpu_group_offset(const struct cpu_group *g, unsigned timer)
{
	return atomic_load(&g->offset[timer]);
}
