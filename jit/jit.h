/* SPDX-License-Identifier: MIT */
/*
 * A back end that turns finished IR blocks into host code, for the PEs of a VM. The PEs find blocks and decide when code is
 * stale; this side only makes code, holds it, and goes from block to block by links that a PE has approved and by the
 * PE's jump cache. Everything it knows of a PE is ir/env.h.
 *
 * PEs run code at any time. All other calls are one at a time, which is for the caller to see to, but for jit_run, jit_leave and
 * jit_see_reset; what they change in code that may run, it sees before or after a change and never in between.
 */
#ifndef PAWL_JIT_H
#define PAWL_JIT_H

#include "env.h"
#include "ir.h"

struct jit;

/*
 * A view is a page of code at a VA, translated under one key; it has a number, neither 0 nor UINT32_MAX. env->code_map[] has the
 * numbers of the views that may be run now, without asking anybody: that of a page is at jit_code_slot() of its VA.
 */
enum { JIT_CODE_BITS = 12, JIT_CODE_SLOTS = 1 << JIT_CODE_BITS };
static inline unsigned jit_code_slot(uint64_t pc)
{
	return (pc >> 12 ^ pc >> (12 + JIT_CODE_BITS)) & (JIT_CODE_SLOTS - 1);
}

/*
 * An entry of the PE's jump cache, env->jump: while view may be run, code is where to go for pc. UINT32_MAX, or 0 and pc is 0: no
 * entry; but where pc 0 has its places it is UINT32_MAX. The cache has
 * two halves of 1 << jump_bits entries: a pc has a place in each. Units look into the first; what another pc takes the place of
 * there goes to the second.
 */
struct jit_jump {
	uint64_t pc;
	uint32_t view, at; /* at: four times jit_code_slot(pc) */
	const void *code;  /* never NULL in an entry that can match: jit_leave() if the block has no code */
	void *block;	   /* the PE's own */
};

static inline unsigned jit_jump_slot(uint64_t pc, unsigned jump_bits)
{
	return (pc ^ pc >> jump_bits) >> 2 & ((1u << jump_bits) - 1);
}
enum { JIT_SECOND_SHIFT = 18 };
static inline unsigned jit_second_slot(uint64_t pc, unsigned jump_bits)
{
	return (1u << jump_bits) + ((pc ^ pc >> JIT_SECOND_SHIFT) >> 2 & ((1u << jump_bits) - 1));
}

/*
 * env: of who runs the code of units that do not say it themselves, may be NULL. jump_bits: log2 of the entries of half of env->jump, or 0: come back after each
 * block. NULL: *why says why not.
 */
struct jit *jit_new(struct ir_env *env, unsigned jump_bits, const char **why);
/* Which instructions of the host are used. jit_new chooses the most; a test may ask for less, before the first block. */
enum jit_level { JIT_SSE41, JIT_AVX2, JIT_AVX512 };
enum jit_level jit_level(const struct jit *j);
void jit_set_level(struct jit *j, enum jit_level level);
void jit_free(struct jit *j);

/*
 * How accesses find host memory: by the soft TLB, which is right for code that walks through much memory, or by an extent of
 * their own, which is right where they stay near to where they were. Cold units look into the soft TLB; a unit that has been
 * entered often tries extents for a while, under probe, and then each access does what was better. The PE makes units again
 * when code says in env->hot that it is time.
 */
enum jit_tier { JIT_COLD, JIT_PROBE, JIT_HOT };

/* A part of a hot unit that is a trace: instructions from gi on that are those of a unit that was probed. */
struct jit_piece {
	unsigned gi;
	unsigned site_extent; /* as in struct jit_unit, of the unit that they are of */
	uint32_t extents;
};
enum { JIT_PIECES = IR_MAX_INSNS };

enum {
	JIT_HEAT_EL1 =
		500000,	  /* the same at EL1: a kernel does not stay with anything for long, and TLBI empties extents */
	JIT_HEAT = 32768, /* entries until a unit is hot */
	JIT_PROBED = 512, /* entries under probe */
	JIT_FAILS = 2000, /* misses of a hot unit's extents until it is to be probed again */
};

struct jit_unit {
	const struct ir_block *blk; /* as ir_finish made it; not used any more when jit_compile has returned */
	struct ir_env *env;	    /* of a PE that is in the state that the unit is made for; NULL: jit_new's */
	uint32_t sp_mask;	    /* code begins by coming back, with env->pc at the block, if env->x[31] & sp_mask */
	bool el1;		    /* runs at EL1: which extents it uses */
	bool chain;		    /* may go on to other blocks by itself */
	bool counts;		    /* keeps env->insn_count */
	bool alone;		    /* there is one PE: nobody else sees memory or runs code meanwhile */
	bool flushes;		    /* FPCR.FZ */
	enum jit_tier tier;
	unsigned probe;	      /* JIT_PROBE: index of env->probe */
	unsigned site_extent; /* not JIT_COLD: in env->site_extent, the first of as many as there are accesses */
	uint32_t extents;     /* JIT_HOT: the accesses by extent, by their number in the unit */
	const struct jit_piece *pieces; /* JIT_HOT: instead of the last two, if there are any */
	unsigned n_pieces;
	bool loops;  /* a trace that comes back to its start, and will do so many times */
	void *owner; /* the PE's own */

	/* made by jit_compile */
	const void *code;
	uint32_t sites, n_sites; /* its exits to a pc known now, numbered from `sites` on */
	unsigned n_accesses;
	const void *cold; /* what it does seldom */
	size_t cold_bytes;

	/*
	 * For who watches (jit_watch): bytes from the beginning of the code to that of each guest instruction, and last, the end of
	 * them all. Ways out of the unit are behind that.
	 */
	const uint32_t *marks;
};

bool jit_compile(struct jit *j, struct jit_unit *u); /* false: it cannot be made. Interpret it then. */
/* Who enters the unit whose code is `from` gets to `to`, sooner or later. */
void jit_replace(struct jit *j, const void *from, const void *to);
/* Of a unit that was under probe: what to say in extents. */
uint32_t jit_probed(const struct ir_probe *p);
/* Where a unit at pc takes its heat from. */
static inline unsigned jit_heat_slot(uint64_t pc, bool el1)
{
	return ((pc >> 2 ^ pc >> 13) & (IR_HEAT_SLOTS / 2 - 1)) + (el1 ? IR_HEAT_SLOTS / 2 : 0);
}
const void *jit_leave(const struct jit *j);
bool jit_is_full(const struct jit *j);		 /* jit_compile may fail for lack of room */
void jit_reset(struct jit *j);			 /* all code is gone; while no PE is in jit_run */
void jit_see_reset(void);			 /* after that, by the thread of each PE, before jit_run */
void jit_count_accesses(struct jit *j);		 /* env->extent_hits, from the next block on; it costs */
void jit_set_limit(struct jit *j, size_t bytes); /* of code; not less than a unit needs. All code is gone */
size_t jit_used(const struct jit *j);		 /* bytes of code since the last reset */

/*
 * As ir_interp, for one unit or more. env->pc is the unit's on entry. Code goes on as long as it finds the way: it comes
 * back with IR_RET_BR where a site has no link yet, where the jump cache does not know an indirect branch's target, and,
 * at a backward or indirect branch, when env->kick is not 0. env->site is the site that it came back from, or 0.
 */
enum ir_ret jit_run(struct jit *j, struct ir_env *env, const void *code);

/* What is known of a site. In one page with its unit, a link holds until jit_unlink; else while the target's view may be run. */
struct jit_site {
	uint64_t pc; /* the target */
	void *owner; /* of the unit */
	bool same_page;
};
struct jit_site jit_site(const struct jit *j, uint32_t site);
bool jit_link(struct jit *j, uint32_t site, const void *code,
	      uint32_t view); /* view: if not same_page. False: not now */
void jit_unlink(struct jit *j, uint32_t first,
		uint32_t n); /* those that are same_page; the others end with their view */

/*
 * Who wants to name code from outside: called for each unit that is made from now on, with the address it runs at.
 */
typedef void jit_watch_fn(void *opaque, const struct jit_unit *u, size_t bytes);
void jit_watch(struct jit *j, jit_watch_fn *fn, void *opaque);

#endif
