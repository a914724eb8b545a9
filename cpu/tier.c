/* SPDX-License-Identifier: MIT */
/*
 * When a unit is made again, and as what: enum jit_tier in jit/jit.h. Units count themselves in env.heat and env.probe, and one that
 * has reached its number says so in env.hot.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEAT_LEAST = 2 /* at the last the unit comes back: with 1 it would never run */, HEAT_MOST = 1 << 16 };

/* PAWL_HEAT: units are hot after so many entries, and after as many what follows; for tests. */
void tier_init(struct cpu *cpu)
{
	const char *text = getenv("PAWL_HEAT");
	struct heat *h = &cpu->priv->heat;

	*h = (struct heat){.units = {JIT_HEAT, JIT_HEAT_EL1}, .probe = JIT_PROBED, .fails = JIT_FAILS};
	if (text && atoi(text) >= HEAT_LEAST && atoi(text) <= HEAT_MOST)
		h->units[0] = h->units[1] = h->probe = h->fails = atoi(text);
	else if (text)
		fprintf(stderr, "pawl: PAWL_HEAT=%s: not a number from %d to %d\n", text, HEAT_LEAST, HEAT_MOST);
	for (unsigned i = 0; i < IR_HEAT_SLOTS; i++)
		cpu->env.heat[i] = h->units[i >= IR_HEAT_SLOTS / 2];
	for (unsigned i = 0; i < IR_PROBES; i++)
		cpu->env.probe_left[i] = h->probe;
}

/* What the unit counts down from now on: entries while it is cold, then misses, of which each probe makes more bearable. */
static int heat_left(const struct cpu *cpu, const struct block *b)
{
	const struct heat *h = &cpu->priv->heat;
	unsigned more = b->probes < 7 ? 2 * b->probes : 14;

	return b->tier == JIT_COLD ? h->units[!!(b->key & KEY_EL1)] : h->fails << more;
}

/* This PE counts what the unit does from now on. */
static void count_probe(struct cpu *cpu, struct block *b)
{
	cpu->env.probe_left[b->probe] = cpu->priv->heat.probe;
	cpu->env.probe[b->probe] = (struct ir_probe){.taken = {0}};
	cpu->priv->probing[b->probe] = b;
}

static void begin_probe(struct cpu *cpu, struct block *b)
{
	struct code_cache *c = cpu->group->cache;
	unsigned i = c->probe_next++ % IR_PROBES, set = !!(b->key & KEY_EL1), turn = c->site_turn[set];

	if (!b->hot) {
		b->hot = cache_alloc_locked(c, sizeof(*b->hot));
		*b->hot = (struct hot){0};
	}
	if (b->tier == JIT_COLD) {
		b->hot->site_extent = (uint16_t)turn;
		turn += b->n_accesses;
		if (c->site_next[set] < turn)
			__atomic_store_n(&c->site_next[set], turn < IR_SITES ? turn : IR_SITES, __ATOMIC_RELAXED);
		c->site_turn[set] = turn % IR_SITES;
	}
	c->probed[i] = b;
	b->tier = JIT_PROBE;
	b->probe = (uint8_t)i;
	b->probes += b->probes < UINT8_MAX;
	count_probe(cpu, b);
}

/* Which way the branches of a probed unit usually go. Those that few came to say nothing. */
static void note_ways(struct block *b, const struct ir_probe *p, int entries)
{
	int left = entries, strays = 0;
	struct hot *h = b->hot;

	h->ways = h->taken = 0;
	for (unsigned i = 0; i < b->n_words && left > entries / 8; i++) {
		uint64_t bit = (uint64_t)1 << i;
		int taken = (int)p->taken[i];

		h->ways |= bit;
		h->taken |= taken > left / 2 ? bit : 0;
		strays += taken > left / 2 ? left - taken : taken;
		left -= taken;
	}
	h->strays = (uint16_t)(256 * strays / entries);
}

/*
 * What a unit says in env.hot, when the code that said so has come back. PEs run the same units, and each counts for itself: the first that
 * has counted enough decides.
 */
void tier_hot(struct cpu *cpu)
{
	struct cpu_priv *p = cpu->priv;
	struct code_cache *c = cpu->group->cache;
	struct block *b = cpu->env.hot;
	bool probed = b->tier == JIT_PROBE && c->probed[b->probe] == b;

	cpu->env.hot = NULL;
	cpu->env.heat[jit_heat_slot(b->pc, b->key & KEY_EL1)] = heat_left(cpu, b);
	if (probed)
		cpu->env.probe_left[b->probe] = p->heat.probe;
	/* What is resolved at translation time depends on the state that the key stands for. */
	if ((b->key ^ p->key) & ~(uint32_t)(KEY_GUARDED | KEY_BTYPE) || cpu->env.attn & ATTN_REGIME ||
	    cache_is_full_locked(c) || !block_is_good(b))
		return;
	if (probed && p->probing[b->probe] != b) {
		count_probe(cpu, b);
		return;
	}
	if (probed) {
		b->hot->extents = jit_probed(&cpu->env.probe[b->probe]);
		note_ways(b, &cpu->env.probe[b->probe], p->heat.probe - 1); /* at the last it came back instead */
		c->probed[b->probe] = NULL;
		b->tier = JIT_HOT;
	} else {
		begin_probe(cpu, b);
	}
	block_make_again(cpu, b);
}
