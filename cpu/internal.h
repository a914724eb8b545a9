/* SPDX-License-Identifier: MIT */
/*
 * What the files of cpu/ share: the private half of a PE, its TLBs and code cache, and the calls between them. Nobody
 * outside this folder includes it, but for a test of what takes too long to come about by itself (tests/cpu/cache.c).
 */
#ifndef PAWL_CPU_INTERNAL_H
#define PAWL_CPU_INTERNAL_H

#include <pthread.h>

#include "cpu.h"
#include "isa.h"
#include "jit.h"
#include "syndrome.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum {
	GROUP_MAX_PES = 512,
	TLB_BANKS = 16,
	SLOW_SIZE = 256, /* entries of a bank for pages that want a look at each access */
	FETCH_BITS = 8,
	FETCH_SIZE = 1 << FETCH_BITS, /* entries of a bank's fetch TLB */
	JUMP_BITS = 14,
	JUMP_SIZE = 2 << JUMP_BITS,
	BLOCK_BITS = 17,
	BLOCK_BUCKETS = 1 << BLOCK_BITS,
	PAGE_BITS = 12,
	PAGE_BUCKETS = 1 << PAGE_BITS,
	CODE_BYTES = 128 << 20, /* code cache of a VM: address space, touched only as far as used */
	MET_BITS = 16,
	MET_SIZE = 1 << MET_BITS, /* marks of code that a PE has met */
	INVAL_MAX = 32,
	ASID_CLASSES = 1024, /* ASIDs with the same low bits are told apart by nobody but their owners */
	FILLED_MAX = 1024,
	SHARED_SPACES = 4,
	SHARED_BITS = 12,
	SHARED_SIZE = 1 << SHARED_BITS, /* data entries of a shared space */
	LARGE_BITS = 12
};

/* SCTLR_EL1 */
#define SCTLR_M (1ull << 0)
#define SCTLR_A (1ull << 1)
#define SCTLR_C (1ull << 2)
#define SCTLR_SA (1ull << 3)
#define SCTLR_SA0 (1ull << 4)
#define SCTLR_NAA (1ull << 6)
#define SCTLR_UMA (1ull << 9)
#define SCTLR_I (1ull << 12)
#define SCTLR_ENDB (1ull << 13)
#define SCTLR_DZE (1ull << 14)
#define SCTLR_UCT (1ull << 15)
#define SCTLR_NTWI (1ull << 16)
#define SCTLR_NTWE (1ull << 18)
#define SCTLR_WXN (1ull << 19)
#define SCTLR_SPAN (1ull << 23)
#define SCTLR_UCI (1ull << 26)
#define SCTLR_ENDA (1ull << 27)
#define SCTLR_ENIB (1ull << 30)
#define SCTLR_ENIA (1ull << 31)
#define SCTLR_BT0 (1ull << 35)
#define SCTLR_BT1 (1ull << 36)
#define SCTLR_DSSBS (1ull << 44)
#define SCTLR_EPAN (1ull << 57)

/* TCR_EL1 */
#define TCR_T0SZ(t) ((unsigned)(t)&63)
#define TCR_EPD0 (1ull << 7)
#define TCR_T1SZ(t) ((unsigned)((t) >> 16) & 63)
#define TCR_A1 (1ull << 22)
#define TCR_EPD1 (1ull << 23)
#define TCR_IPS(t) ((unsigned)((t) >> 32) & 7)
#define TCR_AS (1ull << 36)
#define TCR_TBI0 (1ull << 37)
#define TCR_TBI1 (1ull << 38)
#define TCR_HA (1ull << 39)
#define TCR_HD (1ull << 40)
#define TCR_HPD0 (1ull << 41)
#define TCR_HPD1 (1ull << 42)
#define TCR_TBID0 (1ull << 51)
#define TCR_TBID1 (1ull << 52)

#define MDSCR_SS (1ull << 0)
#define MDSCR_TDCC (1ull << 12)
#define MDSCR_KDE (1ull << 13)
#define MDSCR_MDE (1ull << 15)
#define OSLSR_OSLK (1ull << 1)

/* ---- translation */

/* The translation regime that an access uses: which permissions apply. */
enum regime { REGIME_EL0, REGIME_EL1, REGIME_EL1_PAN, REGIME_COUNT };

enum {
	ACC_READ = 1,
	ACC_WRITE = 2,
	ACC_EXEC = 4,
	ACC_PROBE = 8,	     /* no side effects on the tables */
	ACC_MAINTAIN = 16,   /* cache maintenance: the page does not become dirty */
	ACC_MISALIGNED = 32, /* an alignment fault if the memory is Device */
};

struct walk_step {
	const uint64_t *at; /* where it is in host memory until stage 2 may change */
	uint64_t desc;
};

struct xlate { /* a successful stage 1 translation */
	ipa_t ipa;
	uint64_t size; /* bytes that the leaf maps */
	uint8_t attr;  /* MAIR byte */
	uint8_t sh;
	bool device;
	bool ng;      /* belongs to one ASID */
	bool el0;     /* EL0 may access it, so PSTATE.PAN matters */
	bool guarded; /* BTI */
	bool r, w, x; /* rights of the regime; w only if a store needs no update of the dirty state */
	/* The descriptors that were read, from the top, as they are now; none if stage 1 is off. */
	unsigned n_steps;
	struct walk_step step[4];
};

struct fault {
	uint8_t fsc;   /* DFSC encoding, with level */
	bool stage2;   /* goes to EL2 */
	bool s1ptw;    /* stage 2 fault of the stage 1 walk */
	bool device;   /* stage 2: no fault at all but stage2.device, and no memory */
	uint8_t level; /* stage 1 level that was being looked up */
	ipa_t ipa;     /* stage 2: faulting IPA */
};

/* ---- soft TLBs: tlb.c */

/* Entries whose pages want a look at every access; `flags` says which. */
enum { SLOW_DEVICE = 1 /* alignment is checked */, SLOW_WATCH = 2, SLOW_WINDOW = 4 /* never in a TLB: window.c */ };
struct tlb_slow {
	uint64_t r, w; /* as in struct ir_tlb */
	uint64_t delta;
	uint32_t flags;
	uint32_t leaf; /* log2 of what the leaf maps */
};
static inline unsigned tlb_slow_index(uint64_t va)
{
	return va >> IR_PAGE_SHIFT & (SLOW_SIZE - 1);
}

struct tlb_fetch {
	uint64_t va;	     /* page, IR_TLB_NONE */
	const uint8_t *host; /* of the page */
	ipa_t ipa;
	bool guarded; /* BTI */
	bool own;     /* as in struct tlb_bank */
	uint32_t leaf;
};

/* Which VAs of one half of the address space may come from leaves larger than 4 KiB. Says yes too often, never too seldom. */
struct large_set {
	bool any;
	uint64_t lo, hi;		       /* hull of leaves larger than 2 MiB; lo > hi: none */
	uint64_t seen[(1 << LARGE_BITS) / 64]; /* by low bits of the number of the 2 MiB */
};

/* Groups of sixteen pages, by low bits of their number, some of whose entries may hold for more than their page. Says yes too often. */
enum { GROUP_SHIFT = 16, GROUPS = IR_TLB_SIZE >> (GROUP_SHIFT - IR_PAGE_SHIFT) };
struct group_set {
	uint64_t seen[GROUPS / 64];
};

/*
 * The pages of code of one half of an address space that may be run under key without a look at a TLB: numbers of views
 * (jit.h), for each PSTATE.BTYPE, and for units of one instruction.
 */
enum { CODE_MAPS = 8, CODE_FILLED = 64 };
struct code_space {
	uint32_t key; /* without BTYPE and ONE */
	uint8_t used; /* maps that are not empty */
	struct large_set large;
	unsigned n_filled; /* places since the maps were empty, up to CODE_FILLED */
	uint16_t filled[CODE_FILLED];
	uint32_t map[CODE_MAPS][JIT_CODE_SLOTS];
};

struct shared_entry {
	uint64_t page; /* VA */
	uint64_t delta;
	uint32_t version; /* dead unless it is the space's */
	uint8_t flags, leaf;
	uint8_t extent; /* log2, of what struct ir_tlb calls more */
	bool r, w;
	bool own; /* not in a shared space */
};

/*
 * rewalk.c: how pages of the kernel's half were found that are not global. Numbers tell which are new; those of a page that is
 * not there are 0.
 */
enum { WALKED_WAYS = 8, WALKED_SIZE = 1024, WALKED_PATHS = 2 * WALKED_SIZE, WALKED_LOG = 64, WALKED_ASIDS = 32 };
struct walked_set {
	bool any;		  /* page; else all is 0 that says so */
	uint64_t va[WALKED_SIZE]; /* 0, which is not of that half */
	uint64_t number[WALKED_SIZE];
	struct walk_step leaf[WALKED_SIZE];
	uint16_t path[WALKED_SIZE]; /* to the leaf */
	struct walk_path {
		unsigned users; /* pages */
		unsigned n;
		struct walk_step step[3];
	} paths[WALKED_PATHS];
	uint64_t last;		  /* number of the page that is new */
	uint16_t log[WALKED_LOG]; /* where those of the last numbers are */
	struct {
		uint64_t asid, number; /* all up to that number hold for it; 0: none do */
		uint64_t used;	       /* LRU stamp */
	} checked[WALKED_ASIDS];
	unsigned now; /* the ASID of the PE */
};

/*
 * What EL1 finds behind one TTBR1_EL1, whatever the ASID: translations of the upper half that EL0 may not use, global ones and
 * those that rewalk.c knows to be the same in the address space at hand. So neither a context switch nor a TLBI of an ASID makes a
 * kernel forget its own code and data.
 */
struct shared_space {
	struct walked_set walked[2]; /* data, code */
	uint64_t ttbr;		     /* TTBR1_EL1 without ASID */
	bool valid;
	uint64_t used; /* LRU stamp */
	uint32_t version;
	struct code_space code;
	struct shared_entry data[SHARED_SIZE];
	struct large_set large;
	struct group_set groups;
};

/*
 * Translations of one regime in one address space. fast is what the interpreter sees; a page is there, or in slow[]. One of EL1
 * stays when the address space changes behind one TTBR1_EL1: then it loses what is its address space's own, which is all that the
 * shared space does not have.
 */
struct tlb_bank {
	struct ir_tlb fast;
	uint8_t leaf[IR_TLB_SIZE]; /* log2 of what the leaf of an entry of fast maps */
	struct tlb_slow slow[SLOW_SIZE];
	bool any_slow;
	struct tlb_fetch fetch[FETCH_SIZE];
	/* What was filled since the bank was last cleared, up to FILLED_MAX: most banks live shortly and hold little.
	 */
	unsigned n_filled, n_fetched;
	uint16_t filled[FILLED_MAX], fetched[FILLED_MAX];
	uint64_t own[IR_TLB_SIZE / 64]; /* entries of fast; of EL1's banks */
	bool any_own;			/* there, in slow[], in fetch[] or code[] */
	uint64_t ttbr[2];
	uint64_t used;				   /* LRU stamp */
	struct large_set large[2], large_fetch[2]; /* of leaves of data that are more than a group of pages; of code */
	struct group_set groups;
	uint8_t regime;
	bool valid;
	struct code_space code[2];   /* [1]: EL0's */
	struct shared_space *shared; /* NULL: EL0's */
};

/* ---- translated code: cache.c, block.c */

enum {
	KEY_EL1 = 1,
	KEY_FP_TRAPS = 2,
	KEY_ONE = 4 /* one instruction */,
	KEY_ILLEGAL = 8 /* PSTATE.IL: no block runs under it */,
	/* Both stay 0 without BTI. The page decides about GUARDED, so it is in keys of blocks but not in the PE's. */
	KEY_BTYPE_SHIFT = 4,
	KEY_BTYPE = 3 << KEY_BTYPE_SHIFT, /* PSTATE.BTYPE */
	KEY_GUARDED = 1 << 6,
	KEY_FZ = 1 << 7,     /* FPCR.FZ: translated code has no host floating point */
	KEY_COUNT = 1 << 8,  /* env.insn_count is kept */
	KEY_SP0 = 1 << 9,    /* PSTATE.SP is 0 at EL1 */
	KEY_ALONE = 1 << 10, /* no other PE in the group: atomics need no lock */
	/* Of what a translation depends on and a PE has for life, features: cache_classify(). */
	KEY_CLASS_SHIFT = 11,
	KEY_CLASSES = 1 << 10
};
#define PSR_BTYPE_SHIFT 10

/* All that follows is of the VM, and is changed under cache->lock. What is read without is said to be. */

struct code_page { /* a guest page that code was translated from */
	struct code_page *next;
	ipa_t ipa;
	uint32_t marks; /* times that it may have changed */
	bool fresh;	/* some block was found good since the last change */
	bool listed;	/* in code_cache.fresh, as it is or was fresh */
	bool linked;	/* its blocks may have links to each other */
	struct code_page *next_fresh;
	struct block *blocks;
	struct code_view *views;
};

/* ... as it is at one VA, under one key: struct jit_jump has more about it. */
struct code_view {
	struct code_view *next;
	struct code_page *page;
	uint64_t va;
	uint32_t key;
	uint32_t id; /* another one when the page may have changed; read without the lock */
};

/* The words of a trace, all of one page. */
struct trace {
	unsigned n;
	uint32_t words[IR_MAX_INSNS];
	uint16_t at[IR_MAX_INSNS]; /* which of its page each is */
};

/* Of a block that has been under probe. */
struct hot {
	/* Instructions: conditional branches that probes have come to, and those of them that were mostly taken. */
	uint64_t ways, taken;
	uint32_t extents; /* as in struct jit_unit */
	uint16_t site_extent;
	uint16_t strays;     /* how often branches did not go the usual way, in 256 entries */
	struct trace *trace; /* what its code is made of, if that is more than it; NULL */
};

/* There are many, so they are small. Behind each are the words of its source. */
struct block {
	/* What a look-up reads without the lock. pc to view stay as they are. */
	struct block *next;
	uint64_t pc;
	ipa_t ipa;
	uint32_t key;
	uint32_t checked; /* the view's number when the words were last compared */
	struct code_view *view;
	const void *code; /* NULL: interpreted; block_code() */

	struct block *page_next;
	struct ir_block *ir; /* NULL if there is code: block_ir() */
	struct hot *hot;     /* NULL: it was never under probe */
	uint32_t sites;	     /* exits of the code, of which there are n_sites */
	uint16_t n_sites;
	uint8_t n_words;
	uint8_t sp_mask;     /* 15 if its code has an access with base SP: see block.c, "SP alignment" */
	uint8_t tier, probe; /* as in struct jit_unit */
	uint8_t probes;	     /* so many times */
	uint8_t n_accesses;
};

static inline const uint32_t *block_words(const struct block *b)
{
	return (const uint32_t *)(const void *)(b + 1);
}

static inline struct trace *block_trace(const struct block *b)
{
	return b->hot ? b->hot->trace : NULL;
}

static inline const void *block_code(const struct block *b)
{
	return __atomic_load_n(&b->code, __ATOMIC_ACQUIRE);
}

/* Of the words that it was made from, none has changed that has been announced. The cache is locked. */
static inline bool block_is_good(const struct block *b)
{
	return b->checked == b->view->id;
}

struct code_cache {
	pthread_mutex_t lock;
	struct jit *jit; /* NULL: blocks are interpreted; constant */
	uint8_t *arena;	 /* CODE_BYTES */
	size_t limit;	 /* bytes of it, and of code, that are used; constant */
	bool meets;	 /* what a PE meets for the first time is interpreted; constant */
	size_t used;	 /* bytes */
	uint32_t view_next;
	uint64_t changes;	 /* how often somebody has said that code may have changed */
	uint64_t made;		 /* blocks */
	struct code_page *fresh; /* all that are, so that a change of all costs no more than there are */
	uint64_t features[KEY_CLASSES];
	unsigned n_classes;
	struct block *probed[IR_PROBES]; /* whose code counts in env.probe; who comes takes the next */
	unsigned probe_next;
	unsigned site_next[2]; /* of env.site_extent; never goes down, at most IR_SITES. Read without the lock */
	unsigned site_turn[2]; /* ... and then again from the first */
	struct code_page *pages[PAGE_BUCKETS];
	struct block *blocks[BLOCK_BUCKETS]; /* read without the lock */

	/* Change while no PE runs; a PE that enters looks, under the group's lock. */
	uint32_t generation; /* counts resets */
	uint32_t numbering;  /* ... after which numbers of views come again */
};

/* The most that a block takes of the arena */
enum {
	BLOCK_MOST = sizeof(struct block) + sizeof(struct code_page) + sizeof(struct code_view) +
		     sizeof(struct ir_block) + IR_MAX_OPS * sizeof(struct ir_insn) + IR_MAX_INSNS * 4 + 256
};

/* ---- invalidations and the stop: group.c */

enum inval_kind {
	INVAL_TLB_ALL,
	INVAL_TLB_ASID,
	INVAL_TLB_LOWER, /* an ASID, and what is global in the lower half */
	INVAL_TLB_VA,
	INVAL_CODE_ALL,
	INVAL_CODE_PAGE
};
struct inval {
	enum inval_kind kind;
	uint32_t asid; /* that of a VA, as the issuer's TCR_EL1.AS has it */
	uint64_t arg;  /* VA or IPA */
};
enum { ASID_ANY = UINT32_MAX };
struct inval_list {
	unsigned n;
	bool overflow; /* everything */
	bool code;     /* ... and the words of all code may be others now, which nobody has marked yet */
	struct inval v[INVAL_MAX];
};

/*
 * The group's view of a PE; never freed before the group, so that waiting for a PE needs no reference to it.
 *
 * running and req are a pair in the manner of Dekker, all seq_cst: the PE stores running, then loads req; a requester
 * stores req, then loads running. So either the PE sees the request before it enters, or the requester sees that it
 * runs. A PE that waits in a DSB looks again before its next instruction, so other DSBs need not wait for it; a stop does.
 *
 * space and stale are such a pair, too. The issuer of a TLBI of one ASID says in stale that something of it has changed, then loads
 * space; a PE that begins to use an ASID stores that into space, then looks into stale. So nobody waits for a PE, or even disturbs
 * it, that runs in another address space: it applies what concerns it when it comes back to the one that was changed. What is global in
 * the lower half is used in any: whether a PE has met such a page is in globals, stored before the walk that it is used from.
 */
struct pe_slot {
	_Atomic uint32_t running;  /* PE_*: not PE_OUT between guest_enter and guest_leave */
	_Atomic uint32_t req;	   /* REQ_*; set under group->lock */
	_Atomic uint64_t acked;	   /* stored by the PE, under group->lock */
	_Atomic uint32_t watchers; /* who sleeps until running or acked change ... */
	_Atomic uint32_t event;	   /* ... in a futex on this, which is another then */
	_Atomic uint32_t space;	   /* the ASIDs of TTBR0_EL1 and, from bit 16, TTBR1_EL1 */
	_Atomic bool globals;
	/* under group->lock */
	uint64_t posted;
	struct cpu *cpu;
	struct inval_list queue;
	_Atomic uint64_t stale[ASID_CLASSES / 64] __attribute__((aligned(64)));
} __attribute__((aligned(64)));
enum { REQ_INVAL = 1, REQ_STOP = 2 };
enum { PE_OUT, PE_RUNS, PE_PAUSED /* in a DSB, or about to enter: no guest instruction, but not outside either */ };

enum { KICK_EXIT = 1, KICK_INTERNAL = 2 }; /* bits of env.kick */

struct cpu_group {
	pthread_mutex_t lock;
	pthread_cond_t cond;	   /* with lock: running or stopped changed */
	_Atomic uint32_t sleepers; /* threads waiting on cond, changed under lock */
	_Atomic uint32_t waiters;  /* those, and the watchers of all PEs; read by guest_leave */
	bool stopped;		   /* under lock */
	_Atomic(const struct stage2 *) s2;
	struct code_cache *cache; /* there is one with the first PE */
	_Atomic uint64_t offset[CPU_TIMER_COUNT];
	_Atomic unsigned n_slots;    /* slots ever used */
	uint8_t sysreg_row[1 << 16]; /* sysreg.c: encoding -> row + 1, constant after creation */
	struct cpu_model model;	     /* of PEs to come */
	struct pe_slot slot[GROUP_MAX_PES];
};

/* ---- the private half of a PE */

/* Why a callback made the interpreter come back with IR_RET_TRAP. */
enum outcome { OUTCOME_EXCEPTION, OUTCOME_RETIRED /* the instruction is complete, PC has moved: look around */ };

enum {			 /* reasons for the run loop to leave its fast path */
       ATTN_REGIME = 1,	 /* recompute TLB bank and block key */
       ATTN_IRQ = 2,	 /* look at irq_in */
       ATTN_EXIT = 4,	 /* an exit to EL2 is recorded */
       ATTN_STEP = 8,	 /* MDSCR_EL1.SS: the step state machine decides at every instruction */
       ATTN_COUNT = 16,	 /* instructions are counted, one by one */
       ATTN_WINDOW = 32, /* window.c: an instruction is executed again and again */
       ATTN_FULL = 64	 /* the code cache has no room */
};

/* window.c. An access in up to two parts, which are on different pages; where: those that are outside of memory. */
enum { WINDOW_LO = 1, WINDOW_HI = 2 };
struct window_op {
	unsigned where;
	unsigned lo, hi; /* bytes of the parts */
	unsigned elem;	 /* bytes of an element */
	ipa_t ipa[2];
};
struct window {
	bool armed; /* between window_before and window_after */
	bool has_deferred;
	struct window_op deferred; /* an atomic's store */
	struct fault fault;	   /* of the access, but for the IPA */
	uint64_t va;
	bool device[2]; /* stage2.device */
	ipa_t ipa[2];
	uint8_t bytes[2][128] __attribute__((aligned(64)));
	uint8_t before[16];
	/* when the instruction began */
	uint64_t x[32], pc;
	union ir_v128 v[32];
	uint32_t nzcv;
	struct ir_excl excl;
};

struct cpu_priv {
	uint32_t *attn; /* env.attn: ATTN_* */
	enum outcome outcome;
	struct jit_jump jump[JUMP_SIZE] __attribute__((aligned(64))); /* block: struct block */
	uint32_t key;						      /* of the blocks to run, but for KEY_GUARDED */

	struct heat {
		int units[2]; /* [EL] */
		int probe, fails;
	} heat;				  /* jit.h, enum jit_tier */
	struct block *probing[IR_PROBES]; /* what this PE's env.probe counts of */

	struct tlb_bank *bank;			  /* current */
	struct tlb_bank *banks_now[REGIME_COUNT]; /* of the current address space, NULL: look it up */
	uint64_t stamp;
	struct tlb_bank banks[TLB_BANKS];
	unsigned n_banks;	     /* that were ever taken, the first ones; the others are as they began, all zeros */
	uint8_t bank_has[TLB_BANKS]; /* bits of halves of the address space of which a bank may have something */
	struct shared_space shared[SHARED_SPACES];
	const struct tlb_bank *extents_of[2]; /* [EL]: bank that the extents were filled from */

	/* debug.c, computed at cpu_run entry from el2.dbg and el2.mdscr */
	bool has_breaks; /* break_mask or breaks */
	uint16_t break_mask, watch_mask;
	const struct cpu_breaks *breaks; /* that are live, or NULL */
	uint64_t breaks_seen;		 /* their id, or 0: what blocks were linked under */
	struct {
		uint64_t wvr, wcr;
	} watch_seen[16], break_seen[16]; /* what the TLBs were filled, and blocks linked, under */
	uint16_t watch_seen_mask;
	/* Never hits, so that all accesses of a block go through access.c. Filled by no_tlb(). */
	struct ir_tlb no_tlb;
	bool step_active; /* debug exceptions were enabled when the instruction began */
	bool step_isv;	  /* the PE executed the instruction that a step exception would report */

	struct ir_builder *builder;
	struct { /* block.c, "met for the first time" */
		struct block block;
		uint32_t words[IR_MAX_INSNS];
		struct ir_block ir;
	} once;
	uint16_t met[MET_SIZE];
	uint32_t generation, numbering;	 /* of the code cache that the PE has seen */
	uint32_t class_key;		 /* KEY_CLASSES */
	bool cache_locked;		 /* by this PE, between cache_lock() and cache_unlock() */
	const struct code_page *changed; /* the last of which it has forgotten all that might have run */
	uint32_t changed_marks;		 /* ... of the page at that time */

	struct inval_list deferred; /* broadcasts that the next DSB completes */
	struct window window;
	struct pe_slot *slot;
	unsigned in_guest; /* nesting of guest_enter */
};

static inline bool cpu_is_el0(const struct cpu *cpu)
{
	return !(cpu->pstate & 0xc);
}

static inline void attend(struct cpu *cpu, uint32_t why)
{
	cpu->env.attn |= why;
}

static inline void stat_inc(struct cpu *cpu, enum cpu_stat s)
{
	cpu->stat[s]++;
}

/* The current instruction is complete; end the block behind it. Value for a callback to return. */
static inline int retire(struct cpu *cpu)
{
	cpu->env.pc += 4;
	cpu->priv->outcome = OUTCOME_RETIRED;
	if (unlikely(cpu->pstate & PSR_BTYPE)) {
		cpu->pstate &= ~PSR_BTYPE;
		attend(cpu, ATTN_REGIME);
	}
	return 1;
}

void pauth_btype(struct ir_env *env, unsigned btype);

/* Of a callback that returns `trapped`: if the instruction is complete, PSTATE.BTYPE is 0. */
static inline int completed(struct cpu *cpu, int trapped)
{
	if (unlikely(cpu->pstate & PSR_BTYPE) && !trapped)
		pauth_btype(&cpu->env, 0);
	return trapped;
}

/* group.c */
int group_cache(struct cpu_group *g);  /* there is one: 0 or -ENOMEM */
void group_drop_code(struct cpu *cpu); /* the code cache is full; between blocks */
int group_join(struct cpu *cpu);       /* 0, or -1: too many PEs */
void group_part(struct cpu *cpu);
void guest_enter(struct cpu *cpu);
void guest_leave(struct cpu *cpu);
void group_serve(struct cpu *cpu); /* a kick of ours: apply invalidations, stop if asked; at a block boundary */
void group_defer(struct cpu *cpu, struct inval v); /* broadcast with the next DSB */
void group_sync(struct cpu *cpu);		   /* DSB: broadcast and wait */
void group_space_changed(struct cpu *cpu);	   /* the PE uses other ASIDs from now on */
bool group_met_global(struct cpu *cpu, bool met);  /* a page of the lower half that is; true: that is new, walk again */
uint32_t group_asid(const struct cpu *cpu, uint64_t field); /* what of an ASID field counts */
void inval_apply(struct cpu *cpu, const struct inval_list *l);
static inline const struct stage2 *group_stage2(struct cpu *cpu)
{
	return atomic_load_explicit(&cpu->group->s2, memory_order_acquire);
}

/* stage2.c */
/* Host address of ipa, or NULL and *f filled. Marks the page dirty for a write. *range may be NULL. */
uint8_t *stage2_access(struct cpu *cpu, ipa_t ipa, bool write, const struct stage2_range **range, struct fault *f);
/* Level at which a walk ends if nothing in the range of ipa was ever mapped. */
unsigned stage2_untouched_level(struct cpu *cpu, ipa_t ipa);
/*
 * log2 of the largest piece of memory, aligned as VAs and 1 << most at most, that is around va's ipa in the range and known to be
 * there.
 */
unsigned stage2_extent(const struct stage2_range *r, ipa_t ipa, uint64_t va, unsigned most, bool write);
bool stage2_known_writable(const struct stage2_range *r, ipa_t ipa); /* in the host */

/* stage1.c */
/* One access of `acc` kinds at va under the rights of `regime`. False: *f. */
bool stage1_translate(struct cpu *cpu, uint64_t va, unsigned acc, enum regime regime, struct xlate *x, struct fault *f);
/* log2 of the largest aligned piece of the address space around va, 1 << most at most, that goes on as x does. */
unsigned stage1_extent(const struct xlate *x, uint64_t va, unsigned most);
bool stage1_tbi(const struct cpu *cpu, uint64_t va);	    /* top byte ignored */
bool stage1_tbi_code(const struct cpu *cpu, uint64_t va);   /* the same for a fetch */
unsigned stage1_va_bits(const struct cpu *cpu, bool upper); /* of that half, as TCR_EL1 says */
unsigned stage1_pa_bits(const struct cpu *cpu);
static inline uint64_t stage1_branch_addr(const struct cpu *cpu, uint64_t va) /* AArch64.BranchAddr() */
{
	return stage1_tbi_code(cpu, va) ? (uint64_t)((int64_t)(va << 8) >> 8) : va;
}

/* tlb.c */
void tlb_init(struct cpu *cpu);
enum regime tlb_regime(const struct cpu *cpu);
void tlb_select(struct cpu *cpu);	     /* make the current regime's bank env.tlb */
bool tlb_is_selected(const struct cpu *cpu); /* it would change nothing, unless ATTN_REGIME is set */
struct tlb_bank *tlb_bank(struct cpu *cpu, enum regime regime);
void tlb_fill(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct xlate *x, const struct stage2_range *range,
	      uint8_t *host, bool write, uint32_t flags);
void tlb_fill_fetch(struct cpu *cpu, struct tlb_bank *b, uint64_t va, const struct xlate *x, const uint8_t *host);
/* A global entry of the upper half that another address space has left; copies it into the bank. */
bool tlb_take_shared(struct cpu *cpu, struct tlb_bank *b, uint64_t va, bool write);
void tlb_extents_drop(struct cpu *cpu);
void tlb_unpriv_changed(struct cpu *cpu); /* PSTATE.UAO */
void tlb_extent(struct ir_env *env, uint64_t va, uint32_t m, uint32_t site);
void tlb_code_may_run(struct cpu *cpu, uint64_t va, uint32_t view);
void tlb_code_forget(struct cpu *cpu, uint64_t va); /* that page, in all address spaces */
void tlb_btype_changed(struct cpu *cpu);
void tlb_flush_all(struct cpu *cpu);
void tlb_flush_asid(struct cpu *cpu, uint32_t asid);
void tlb_flush_asids(struct cpu *cpu, uint32_t asid, uint32_t mask); /* all that are the same under the mask */
void tlb_flush_va(struct cpu *cpu, uint64_t va);
void tlb_code_forget_all(struct cpu *cpu); /* every jump cache entry is dead, and every link to another page */
void tlb_jump_clear(struct cpu *cpu);
void tlb_address_space_changed(struct cpu *cpu); /* TTBRn written */

/* That page of a kernel, as data or as code; what else its leaf maps stays. */
void tlb_forget_kernel(struct cpu *cpu, struct shared_space *s, bool code, uint64_t page);

/* rewalk.c */
void rewalk_clear(struct walked_set *set);
bool rewalk_note(struct cpu *cpu, struct shared_space *s, bool code, uint64_t va, const struct xlate *x);
void rewalk_check(struct cpu *cpu, struct shared_space *s);
void rewalk_forget_page(struct walked_set *set, uint64_t page);
void rewalk_forget_all_asids(struct walked_set *set);
void rewalk_forget_asid(struct walked_set *set, uint64_t asid, uint64_t mask);

/* access.c */
extern const struct ir_env_ops access_ops;
int access_zva(struct cpu *cpu, uint64_t va);
int access_maintain(struct cpu *cpu, uint64_t va, bool write, ipa_t *ipa); /* DC, IC by VA: faults with CM */
int abort_data(struct cpu *cpu, uint64_t va, uint32_t m, bool write, bool cm, const struct fault *f);
/* Host address of the instruction at env.pc, its IPA, and whether BTI guards its page. NULL: abort taken. */
const uint8_t *access_fetch(struct cpu *cpu, ipa_t *ipa, bool *guarded);

/* cache.c */
enum { CACHE_VIEWS_MOST = 0xf0000000 }; /* of numbers; the rest is for what goes on until the reset */
struct code_cache *cache_new(void);
void cache_free(struct code_cache *c);
void cache_reset_locked(struct code_cache *c);		    /* all code is gone; no PE runs */
void cache_see_reset(struct cpu *cpu);			    /* before the PE runs again */
void cache_number_from(struct cpu_group *g, uint32_t view); /* for tests: as if those before were used; no PE runs */
void cache_lock(struct cpu *cpu);
void cache_unlock(struct cpu *cpu);
void cache_mark_all_locked(
	struct code_cache *c);	      /* all code may have changed; who has it in a map forgets it by itself */
void cache_classify(struct cpu *cpu); /* features have changed; not while the PE runs */
bool cache_is_full_locked(const struct code_cache *c);
void *cache_alloc_locked(struct code_cache *c, size_t bytes);
struct code_page *cache_page_locked(struct code_cache *c, ipa_t ipa);
struct code_view *cache_view_locked(struct code_cache *c, struct code_page *page, uint64_t va, uint32_t key);
void cache_unlink_locked(struct code_cache *c, struct code_page *page); /* links within it end */
void cache_trust_locked(struct code_cache *c, struct block *b);		/* its words are what is there */
void block_changed_all(struct cpu *cpu);
void block_changed_page(struct cpu *cpu, ipa_t ipa);
void block_forget_page(struct cpu *cpu, ipa_t ipa); /* that another PE has said has changed */
/* The code's exit `site` led to block `to`, which was found just now: it may go there by itself from now on. */
void block_link(struct cpu *cpu, uint32_t site, const struct block *to);

/* block.c */
int block_init(struct cpu *cpu);
void block_exit(struct cpu *cpu);
/* At env.pc under the key of now. NULL: attn is set, or an exception was taken. */
struct block *block_find(struct cpu *cpu);
/* Where block_find() looks first: the block at the PC if the jump cache has it in its first place, or NULL. */
static inline struct block *block_cached(struct cpu *cpu)
{
	const struct ir_env *env = &cpu->env;
	uint64_t pc = env->pc;
	const struct jit_jump *e = &env->jump[jit_jump_slot(pc, JUMP_BITS)];

	return e->pc == pc && e->view == env->code_map[pc >> 63 ? 0 : 1][jit_code_slot(pc)] ? e->block : NULL;
}
const struct ir_block *block_ir(struct cpu *cpu, const struct block *b, struct ir_block *scratch);
void block_make_again(struct cpu *cpu, struct block *b); /* the cache is locked */
/* A block whose words were found good since they may have changed; NULL: there is none. */
struct block *block_known_locked(struct cpu *cpu, uint64_t pc, ipa_t ipa, uint32_t key);
struct isa_ctx block_context(struct cpu *cpu, uint32_t key);
unsigned block_sp_scan(const struct ir_block *ir, unsigned n, uint32_t *mask); /* "SP alignment" */

/* tier.c */
void tier_init(struct cpu *cpu);
void tier_hot(struct cpu *cpu); /* code has said so in env.hot: it is made again, or not. The cache is locked */

/* trace.c */
struct trace_parts {
	bool loops;	  /* as in struct jit_unit */
	uint32_t sp_mask; /* ...: of all of it */
	unsigned n;
	struct jit_piece piece[JIT_PIECES];
};
/*
 * What the unit of a hot block is to be made of, if control usually goes on from it to other hot blocks of its page: IR, which lasts
 * until the next is made, the words, and of which blocks they are. False: of the block alone.
 */
bool trace_emit(struct cpu *cpu, const struct block *head, struct ir_block *ir, struct trace *t,
		struct trace_parts *parts, uint32_t *sp_mask);
bool trace_is_good(const struct block *b, const uint8_t *host); /* host: memory of the block's first word */

/* unit.c */
void unit_watch(struct jit *j); /* as the environment says */

/* exception.c */
void exception_take(struct cpu *cpu, uint64_t esr, uint64_t ret, unsigned offset);
void exception_return(struct cpu *cpu, unsigned auth);
bool exception_pending_irq(const struct cpu *cpu); /* and not masked */
void exception_take_irqs(struct cpu *cpu);
void exception_esb(struct cpu *cpu);
int exception_undef(struct cpu *cpu); /* all of these return 1 */
int exception_fp(struct cpu *cpu);
int exception_sync(struct cpu *cpu, uint64_t esr);
void exception_switch_sp(struct cpu *cpu, uint32_t new_pstate); /* pstate := new_pstate, with the SP bank */

/* trap.c */
int trap_el2(struct cpu *cpu, uint64_t esr);
int trap_el2_abort(struct cpu *cpu, uint64_t esr, uint64_t far, ipa_t ipa);
void trap_exit(struct cpu *cpu); /* the interpreter's IR_RET_EXIT */

/* debug.c */
void debug_enter(struct cpu *cpu);
bool debug_enabled(const struct cpu *cpu);
bool debug_enabled_from(const struct cpu *cpu, unsigned el, bool d);
void debug_ss_advance(struct cpu *cpu);
bool debug_step_pending(struct cpu *cpu); /* takes or records the step exception; true if it did */
int debug_brk(struct cpu *cpu, uint32_t imm);
bool debug_page_has_breakpoint(struct cpu *cpu, uint64_t va);
bool debug_breakpoint(struct cpu *cpu, uint64_t pc); /* takes the exception if one matches */
bool debug_page_watched(struct cpu *cpu, uint64_t va);
/* Takes the exception if one matches. kind: ACC_READ and ACC_WRITE bits */
bool debug_watchpoint(struct cpu *cpu, uint64_t va, uint64_t size, unsigned kind, bool unpriv, bool cm);

/* sysreg.c */
void sysreg_index(uint8_t *row_of);
int sysreg_read(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t *val);
bool sysreg_place(const struct ir_env *env, uint32_t enc, bool write, struct ir_place *at);
bool sysreg_bits(const struct ir_env *env, uint32_t enc, int imm, struct ir_bits *b);
int sysreg_write(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t val);
int sysreg_write_imm(struct ir_env *env, uint32_t enc, unsigned imm4);

/* pauth.c */
int pauth(struct ir_env *env, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val);

/* sysop.c: the SYS space, op0 = 1 */
int sysop(struct cpu *cpu, uint32_t enc, unsigned rt, uint64_t val);

/* count.c */
void count_time(struct cpu *cpu); /* before the Exception level changes */
void count_enter(struct cpu *cpu);
void count_leave(struct cpu *cpu);
void count_block(struct cpu *cpu, unsigned el, bool left_by_exit);

/* window.c */
uint8_t *window_page(struct cpu *cpu, uint64_t va, unsigned half, const struct fault *f);
int window_begin(struct cpu *cpu, struct window_op *op, bool read, bool deferred);
int window_store(struct cpu *cpu, const struct window_op *op);
void window_defer(struct cpu *cpu, const struct window_op *op, bool exclusive);
void window_before(struct cpu *cpu);
void window_after(struct cpu *cpu, uint32_t insn);
void window_enter(struct cpu *cpu);

/* timer.c */
enum { TIMER_ENABLE = 1, TIMER_IMASK = 2, TIMER_ISTATUS = 4 };
uint64_t timer_count(const struct cpu *cpu, unsigned timer);
uint32_t timer_ctl(const struct cpu *cpu, unsigned timer);

/* model.c */
void model_default(struct cpu_model *m);
void model_init(struct cpu *cpu);

#endif
