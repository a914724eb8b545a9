/* SPDX-License-Identifier: MIT */
/*
 * All that generated code and the interpreter may know of a PE: guest registers at fixed offsets, the soft TLB,
 * the kick flag, and the few calls out. The PE (cpu/cpu.h) has this as its first member.
 */
#ifndef PAWL_IR_ENV_H
#define PAWL_IR_ENV_H

#include "ir.h"

enum { IR_TLB_BITS = 12, IR_TLB_SIZE = 1 << IR_TLB_BITS, IR_PAGE_SHIFT = 12 };
#define IR_PAGE_MASK (~(uint64_t)0xfff)
/* Never equals a page address, nor one with the low bits of a misaligned access, which those who check both at once add. */
#define IR_TLB_NONE ((uint64_t)1 << (IR_PAGE_SHIFT - 1))

/*
 * Soft TLB, 4 KiB granular, direct mapped by VA bits 23:12 (ir_tlb_index). r and w are the page's VA if loads or stores may
 * go straight to host memory, else IR_TLB_NONE. Host address = va + delta. Pages that need a look at every access
 * (device memory, watchpoints, SCTLR.A alignment checks, not yet dirty) have IR_TLB_NONE. Arrays, so that a load finds what it
 * needs in half the cache lines, by an index that needs no scaling; a line's distance more than pages apart, or all that belongs to
 * a page would compete for the same places in the host's first cache.
 */
struct ir_tlb {
	uint64_t r[IR_TLB_SIZE + 8], w[IR_TLB_SIZE + 8], delta[IR_TLB_SIZE + 8];
	uint64_t more
		[IR_TLB_SIZE]; /* bits of an address, above those in a page, over which the others hold as well: size - 4096 */
};
static inline unsigned ir_tlb_index(uint64_t va)
{
	return va >> IR_PAGE_SHIFT & (IR_TLB_SIZE - 1);
}

/*
 * Where an access of translated code was the last time: the extent that it looks into first. An access of up to 32 bytes at va may
 * go to va + delta if va + neg < len. len is 0: nowhere.
 */
struct ir_extent {
	uint64_t neg; /* minus the first VA */
	uint64_t len; /* bytes + 1 - IR_EXTENT_MOST or IR_UNPRIV_MOST */
	uint64_t delta;
};
/* bytes of an access by extent; unprivileged ones have no pairs and no vectors, and their extents end nearer to the end */
enum { IR_EXTENT_MOST = 32, IR_UNPRIV_MOST = 8 };
enum { IR_EXTENT_BASES = 33 /* IR_MEM_BASE */ };

/*
 * What code counts about itself. heat: a unit takes one off a place that it shares with others each time it is entered, and who
 * finds none left says so in hot. A unit under probe has a set of counters of its own for a while.
 */
enum { IR_COVERS = 16, IR_HEAT_SLOTS = 4096, IR_PROBES = 64, IR_PROBE_SITES = 32, IR_SITES = 1024 };
struct ir_probe {
	uint32_t taken[IR_MAX_INSNS]; /* how often a conditional branch was, by its instruction */
	struct {
		uint32_t accesses, misses; /* of an access of the unit; its extent's */
	} site[IR_PROBE_SITES];
};

struct ir_env;

struct ir_place {
	int32_t offset; /* from env, of 64 bits; of 32 if half */
	bool half;
	uint64_t mask; /* of what is read or written; the other bits read as 0 and are written so */
};

struct ir_bits {
	int32_t word;	     /* offset from env, of 32 bits */
	uint32_t clear, set; /* of MSR (register), set is which bits of the register are taken */
	int32_t unless;	     /* offset of a word of 32 bits that has to be 0, else the op is for C; 0: none */
};

/*
 * Calls out of the interpreter. env->pc is the current instruction when they are called (and only then is it
 * exact). The int ones return 0, or non-zero after having taken an exception or recorded an exit: the caller
 * returns IR_RET_TRAP at once and touches nothing.
 *
 * load/store move raw little-endian bytes: IR_MEM_SIZE bytes, twice that with IR_MEM_PAIR (second element behind
 * the first). Extension is the interpreter's business. All checks, device accesses and misses are theirs.
 */
struct ir_env_ops {
	int (*load)(struct ir_env *env, uint64_t va, uint32_t m, void *out);
	int (*store)(struct ir_env *env, uint64_t va, uint32_t m, const void *in);
	/* host address for an atomic on 1 << IR_MEM_SIZE (pair: twice) aligned bytes, writable (IR_MEM_WNR) or readable */
	int (*atomic)(struct ir_env *env, uint64_t va, uint32_t m, void **host);
	int (*mrs)(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t *val);
	int (*msr)(struct ir_env *env, uint32_t enc, unsigned rt, uint64_t val);
	int (*msr_imm)(struct ir_env *env, uint32_t enc, unsigned imm4);
	/*
	 * Where a system register is, if all that MRS (or MSR) does in the PE's present state, as far as block keys tell states
	 * apart, is to load (store) it there. False: call mrs, msr. May be NULL.
	 */
	bool (*place)(const struct ir_env *env, uint32_t enc, bool write, struct ir_place *at);
	/* The same for MSR of bits in a word, from a register, or if imm >= 0, MSR (immediate). */
	bool (*bits)(const struct ir_env *env, uint32_t enc, int imm, struct ir_bits *b);
	/*
	 * Fills an extent for accesses like one of m at va, which was let through just now: the one of env->site_extent that site is
	 * one less of, or what m asks for. May be NULL.
	 */
	void (*extent)(struct ir_env *env, uint64_t va, uint32_t m, uint32_t site);
	void (*btype)(struct ir_env *env, unsigned btype); /* PSTATE.BTYPE, which the next look-up of a block sees */
	/* AddPAC, Auth, Strip and ComputePAC; kind is IR_PAUTH(...) */
	int (*pauth)(struct ir_env *env, unsigned kind, uint64_t ptr, uint64_t modifier, uint64_t *val);
	void (*fence)(struct ir_env *env,
		      enum ir_fence kind); /* DSB, ISB and ESB only: DSB waits for remote TLB invalidations */
};

struct ir_excl { /* exclusive monitor: STXR is a compare-and-swap against the value that LDXR saw */
	uint64_t va;
	uint64_t val[2];
	uint8_t log2size; /* of one element */
	uint8_t pair;
	uint8_t valid;
};

struct ir_env {
	/* What code names most, up to tlb, lies within 256 bytes, but for x0 to x3: back ends reach that in fewer bytes. */
	uint64_t x[32]; /* x[31]: the current SP */
	uint64_t pc;
	uint32_t nzcv;	    /* bits 31:28, unless nzcv_raw: ir_nzcv(), ir_set_nzcv() */
	uint32_t kick;	    /* atomic, any thread: non-zero asks the PE to leave the run loop at the next block */
	struct ir_tlb *tlb; /* the current bank; changed by the PE on EL, ASID and PAN changes */
	uint32_t fpcr, fpsr;
	union ir_v128 v[32] __attribute__((aligned(16)));
	const struct ir_env_ops *ops;
	struct ir_excl excl;
	uint64_t exit_imm; /* IR_RET_EXIT */
	uint32_t exit_reason;
	uint32_t step_ex;    /* set to 1 by ldx/ldxp: ISS.EX of a software step; cleared by the PE before each step */
	uint64_t insn_count; /* guest instructions begun; translated code counts only if asked to (jit_unit.counts) */

	/* Translated code only; jit.h. */
	uint64_t cover[IR_COVERS]
		__attribute__((aligned(64))); /* of the unit that runs: what leads have found, 0: nothing */
	bool nzcv_raw;			      /* nzcv is in the form of ir_raw_of(): while code runs */
	uint32_t site;			      /* exit that code came back from, 0: another way */
	/* What is known of the PE's pages of code, see jit.h: [0] upper, [1] lower half of the address space. */
	const uint32_t *code_map[2];
	struct jit_jump *jump; /* the jump cache */
	uint64_t
		extent_hits; /* accesses of code, those that the extent did not settle at first among them; if asked for */
	uint64_t tlb_hits; /* misses of extents that the soft TLB settled without C */
	void *hot;	   /* jit_unit.owner of a unit that was entered often, or whose extents fail; NULL */
	uint32_t
		site_missed; /* one more than the number in site_extent of the extent that an access has missed; 0: none */
	uint32_t attn;	     /* PE thread only. Not 0: come back behind an op that may have set it */
	uint32_t host_fp;    /* the host's floating-point environment is the guest's; see the back end */
	uint32_t host_fp_mode[2]; /* the guest's, and what is to come back afterwards */
	/* Of unprivileged accesses, [write][base register], and of DC ZVA, [EL]: filled by ops->extent, emptied by the PE. */
	struct ir_extent unpriv_extent[2][IR_EXTENT_BASES];
	bool unpriv_filled;	   /* not all of them are empty */
	struct ir_tlb *unpriv_tlb; /* the bank of unprivileged accesses as they are now; NULL: none is known */
	struct ir_extent zva_extent[2];

	/*
	 * Interpreter: the SSA values of the block at hand; nothing outlives a block. They lie here, behind the guest
	 * registers, so that an operand of a prepared block (ir_interp_prepare) can name either with one index. t[0] stays 0: an
	 * env starts out zeroed.
	 */
	uint64_t t[IR_MAX_VALUES];
	union ir_v128 tv[IR_MAX_VALUES] __attribute__((aligned(16)));

	/* Translated code only. */
	/* Of single accesses of hot code, [EL]; which of them is any access's is the back end's business. Filled by code, and by ops->extent. */
	struct ir_extent site_extent[2][IR_SITES];
	/* Fours of them that were filled since they were emptied, [EL]; if there are 255, perhaps more. */
	uint8_t n_site_filled[2], site_filled[2][256];
	int32_t heat[IR_HEAT_SLOTS];
	int32_t probe_left[IR_PROBES]; /* of a unit under probe, entries to come */
	struct ir_probe probe[IR_PROBES];
};

/*
 * NZCV as x86 code stores it: N in bit 15, Z in bit 14, C inverted in bit 8, V in bit 0; the others mean nothing. It is
 * what LAHF and SETO give after a compare.
 */
static inline uint32_t ir_raw_of(uint32_t nzcv)
{
	return (nzcv >> 16 & 0xc000) | (~nzcv >> 21 & 0x100) | (nzcv >> 28 & 1);
}
static inline uint32_t ir_raw_to_nzcv(uint32_t raw)
{
	return (raw & 0xc000) << 16 | (~raw & 0x100) << 21 | (raw & 1) << 28;
}

/* Flags for those who do not know whether code is running. */
static inline uint32_t ir_nzcv(const struct ir_env *env)
{
	return env->nzcv_raw ? ir_raw_to_nzcv(env->nzcv) : env->nzcv;
}
static inline void ir_set_nzcv(struct ir_env *env, uint32_t nzcv)
{
	env->nzcv = env->nzcv_raw ? ir_raw_of(nzcv) : nzcv;
}

#endif
