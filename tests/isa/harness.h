/* SPDX-License-Identifier: MIT */
/*
 * Runs one instruction on the IR interpreter and on an oracle, from the same random state, with flat memory and no PE
 * around it. fuzz.c compares; the rules_*.c files say what is special about which row, and which oracle knows it.
 */
#ifndef PAWL_TESTS_ISA_HARNESS_H
#define PAWL_TESTS_ISA_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "ir.h"
#include "isa.h"

/* Guest addresses. The code area is so large that every literal load stays in it. */
enum { CODE = 0x10000000, CODE_SIZE = 4 << 20, CODE_PC = CODE + (2 << 20), DATA = 0x20000000, DATA_SIZE = 256 << 10 };
enum { MAX_BLOCK = 32 };	/* instructions of one run */
enum { MAX_TRIALS = 64 };	/* that an oracle gets at once */
#define NOWHERE 0x7000000000ull /* nothing is mapped here, nor anywhere near */

struct state {
	uint64_t x[32]; /* 31: SP */
	uint64_t pc;
	uint32_t nzcv;
	uint32_t fpcr, fpsr;
	union ir_v128 v[32];
};

enum outcome { DONE, UNDEFINED, FAULT, EXIT };

struct result {
	enum outcome outcome;
	unsigned why;	  /* EXIT: enum ir_exit_reason */
	uint64_t payload; /* EXIT */
	struct state s;
};

/* Ours. The memory is engine_data, engine_code. */
extern uint8_t *engine_data, *engine_code;
void engine_start(void);
/* Runs n instructions from s->pc as one block. fast: the soft TLB knows the data pages. */
struct result engine_run(const struct state *s, const uint32_t *insns, unsigned n, uint64_t features, bool fast);
/* What the last run did to memory, for those who look at descriptors: count, then the last access. */
struct access {
	uint64_t va;
	uint32_t m;
};
extern unsigned engine_accesses;
extern struct access engine_access;

/* What the emitters are told: as EL1 with FP enabled, unless a test changes it. */
extern uint8_t engine_el;
extern bool engine_fp_traps;
/* The last instruction ended its block. */
extern bool engine_ended;
/* Calls of the PE in the last run: count, and the last one. They fail unless engine_has_pe. */
struct call {
	char kind; /* r MRS, w MSR, i MSR (immediate), p pointer authentication (enc is what), b BTYPE, f fence (enc is its kind) */
	uint32_t enc;
	unsigned rt;
	uint64_t val;
};
#define ENGINE_MRS_VALUE 0x1122334455667788ull
extern bool engine_has_pe;
extern struct call engine_call;
extern unsigned engine_calls;

/*
 * A comparison: the instructions, the state before them, and what came of it on both sides. Behind the instructions in
 * memory is a BRK, on both sides, so that a literal load of it reads the same.
 */
struct trial {
	struct state in;
	uint32_t insns[MAX_BLOCK];
	unsigned n, row;
	bool fast;
	uint64_t seed;
	struct result us, them;
};
#define SLOT_END 0xd4200000u

/* An oracle: somebody else's implementation over memory of its own, data and code. */
struct oracle {
	const char *name;
	bool (*start)(struct oracle *o); /* false: it is not there */
	/* Runs all of them in turn, filling in `them`. False: it is broken. */
	bool (*run)(struct oracle *o, struct trial *t, unsigned n);
	uint8_t *data, *code;
	const char *command; /* qemu: how to start it */
};
extern struct oracle oracle_unicorn, oracle_qemu;

/* Random numbers: splitmix64, so that a seed means the same everywhere. */
extern uint64_t rng_state;
static inline uint64_t rnd(void)
{
	uint64_t z = (rng_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* A word of the row with random free bits, favouring register 31 and equal registers. */
uint32_t random_word(unsigned row);
uint64_t random_x(void);      /* favours boundary values */
union ir_v128 random_v(void); /* favours boundary values of integers and of all three FP formats */

/*
 * A rule about the rows whose name matches (fnmatch), checked in order until one matches. Rows without a rule are
 * compared in everything.
 */
struct rule {
	const char *rows;
	const char *skip;				 /* never compared, and why */
	const char *unicorn;				 /* not compared with Unicorn, and why */
	const char *qemu;				 /* not compared with QEMU, and why */
	bool (*unpredictable)(uint32_t insn);		 /* this word is CONSTRAINED UNPREDICTABLE: not compared */
	void (*prepare)(struct state *s, uint32_t insn); /* make the state suit the instruction */
	uint32_t (*before)(uint32_t insn);		 /* an instruction to run first, in the same block; 0 none */
};
extern const struct rule rules_base[], rules_fp[]; /* end with rows = NULL */

/* What objdump calls the rows (names.c); rows that are not listed have the mnemonic of their name. */
struct name {
	const char *rows;			     /* fnmatch */
	const char *mnemonics;			     /* fnmatch patterns, blank between; NULL: the row's name */
	const char *they_take_more, *they_take_less; /* differences in what is UNDEFINED are theirs, and why */
};
extern const struct name names_base[], names_fp[]; /* end with rows = NULL */
extern const char names_gaps[];			   /* mnemonics of instructions that have no row */

/* For prepare(): let the base register point into the data area. */
void aim(struct state *s, uint32_t insn);
void aim_aligned(struct state *s, uint32_t insn);

#endif
