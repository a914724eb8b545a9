/* SPDX-License-Identifier: MIT */
/*
 * Every row of the decode tables against the oracle: random words of the row, random registers, flags and memory, one
 * instruction, and then registers, PC, flags, FPSR and memory must agree, and so must "UNDEFINED". An access that
 * faults must leave everything as it was.
 *
 *     isa_differential [--fp] [--count N] [--seed S] [--row PATTERN] [--verbose]
 *     isa_differential --blocks [--fp] [--count N] [--seed S]
 *
 * With --blocks, blocks of many data processing instructions, which the builder folds and the optimiser rewrites.
 * A failure prints the seed of that one trial and the word; run again with --row NAME --seed SEED --count 1.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "harness.h"

static struct {
	unsigned long count;
	uint64_t seed;
	const char *row;
	bool fp, verbose, blocks;
} opt = {.count = 40, .seed = 1};

static const struct rule *rule_of(const char *name)
{
	const struct rule *lists[] = {rules_base, rules_fp};

	/* The file of fp rules has the last word about rows that both know. */
	for (int i = 1; i >= 0; i--)
		for (const struct rule *r = lists[i]; r->rows; r++)
			if (fnmatch(r->rows, name, 0) == 0)
				return r;
	return NULL;
}

static void random_state(struct state *s)
{
	for (unsigned i = 0; i < 32; i++) {
		s->x[i] = random_x();
		s->v[i] = random_v();
	}
	s->x[31] &= ~15ull;
	s->pc = CODE_PC;
	s->nzcv = (uint32_t)(rnd() & 15) << 28;
	s->fpsr = rnd() & 1 ? 0 : (uint32_t)rnd() & 0x0800009f;
	s->fpcr = rnd() & 1 ? 0 : (uint32_t)rnd() & 0x07c80000; /* AHP, DN, FZ, RMode, FZ16 */
}

static uint8_t pristine[DATA_SIZE];

/* The same in every run, so that a seed is all it takes to repeat a trial. */
static void fill_memory(void)
{
	rng_state = 42;
	for (unsigned i = 0; i < DATA_SIZE; i += 8) {
		uint64_t v = rnd();

		memcpy(pristine + i, &v, 8);
	}
	/* The oracle also translates what follows a branch: let it find reserved encodings there, and only those. */
	for (unsigned i = 0; i < CODE_SIZE; i += 8) {
		uint64_t v = rnd() & 0x61ffffff61ffffffull;

		memcpy(engine_code + i, &v, 8);
	}
	memcpy(oracle_code, engine_code, CODE_SIZE);
}

static const char *outcome_name(enum outcome o)
{
	static const char *const name[] = {"done", "undefined", "fault", "exit"};

	return name[o];
}

static unsigned print_differences(const struct state *in, const struct result *us, const struct result *them)
{
	unsigned n = 0;

	if (us->outcome != them->outcome)
		n += printf("    outcome: %s, oracle %s\n", outcome_name(us->outcome), outcome_name(them->outcome)) > 0;
	for (unsigned i = 0; i < 32; i++)
		if (us->s.x[i] != them->s.x[i])
			n += printf("    x%u: %016llx, oracle %016llx, before %016llx\n", i,
				    (unsigned long long)us->s.x[i], (unsigned long long)them->s.x[i],
				    (unsigned long long)in->x[i]) > 0;
	for (unsigned i = 0; i < 32; i++)
		if (memcmp(&us->s.v[i], &them->s.v[i], 16))
			n += printf("    v%u: %016llx_%016llx, oracle %016llx_%016llx, before %016llx_%016llx\n", i,
				    (unsigned long long)us->s.v[i].d[1], (unsigned long long)us->s.v[i].d[0],
				    (unsigned long long)them->s.v[i].d[1], (unsigned long long)them->s.v[i].d[0],
				    (unsigned long long)in->v[i].d[1], (unsigned long long)in->v[i].d[0]) > 0;
	if (us->s.pc != them->s.pc)
		n += printf("    pc: %llx, oracle %llx\n", (unsigned long long)us->s.pc,
			    (unsigned long long)them->s.pc) > 0;
	if (us->s.nzcv != them->s.nzcv)
		n += printf("    nzcv: %x, oracle %x, before %x\n", us->s.nzcv >> 28, them->s.nzcv >> 28,
			    in->nzcv >> 28) > 0;
	if (us->s.fpcr != them->s.fpcr)
		n += printf("    fpcr: %x, oracle %x\n", us->s.fpcr, them->s.fpcr) > 0;
	if (us->s.fpsr != them->s.fpsr)
		n += printf("    fpsr: %x, oracle %x, before %x\n", us->s.fpsr, them->s.fpsr, in->fpsr) > 0;
	return n;
}

/* Not memcmp() of the whole: there is padding. */
static bool same_state(const struct state *a, const struct state *b)
{
	return memcmp(a->x, b->x, sizeof(a->x)) == 0 && memcmp(a->v, b->v, sizeof(a->v)) == 0 && a->pc == b->pc &&
	       a->nzcv == b->nzcv && a->fpcr == b->fpcr && a->fpsr == b->fpsr;
}

/* Stores only ever aim at the data area. */
static bool memory_differs(void)
{
	return memcmp(engine_data, oracle_data, DATA_SIZE) != 0;
}

static void print_memory_difference(void)
{
	for (unsigned i = 0; i < DATA_SIZE; i += 8) {
		uint64_t us, them, before;

		memcpy(&us, engine_data + i, 8);
		memcpy(&them, oracle_data + i, 8);
		memcpy(&before, pristine + i, 8);
		if (us != them)
			printf("    [%x]: %016llx, oracle %016llx, before %016llx\n", DATA + i, (unsigned long long)us,
			       (unsigned long long)them, (unsigned long long)before);
	}
}

/* One trial; false if the word was CONSTRAINED UNPREDICTABLE. */
static bool trial(unsigned row, const struct rule *rule, unsigned *failures)
{
	uint64_t features = ~0ull, seed = rng_state;
	uint32_t word = random_word(row), insns[2];
	struct result us, them;
	struct state s;
	unsigned n = 0;

	random_state(&s);
	memcpy(engine_data, pristine, DATA_SIZE);
	memcpy(oracle_data, pristine, DATA_SIZE);
	if (rule && rule->unpredictable && rule->unpredictable(word))
		return false;
	if (rule && rule->prepare)
		rule->prepare(&s, word);
	if (rule && rule->before)
		insns[n] = rule->before(word), n += insns[n] != 0;
	insns[n++] = word;

	them = oracle_run(&s, insns, n);
	us = engine_run(&s, insns, n, features, rnd() & 1);
	if (us.outcome == them.outcome && us.outcome != DONE) {
		/* Exceptions: the oracle's PC and SP are its own business. Ours must be as before. */
		memcpy(&them.s, &s, sizeof(s));
		them.s.pc += 4 * (n - 1);
	}
	if (us.outcome == them.outcome && same_state(&us.s, &them.s) && !memory_differs())
		return true;
	if (++*failures <= 5 || opt.verbose) {
		printf("  %s %08x seed %#llx\n", isa_rows[row].name, word, (unsigned long long)seed);
		print_differences(&s, &us, &them);
		print_memory_difference();
	}
	return true;
}

static unsigned test_row(unsigned row)
{
	const struct rule *rule = rule_of(isa_rows[row].name);
	unsigned long done = 0, unpredictable = 0;
	unsigned failures = 0;

	if (rule && rule->skip) {
		if (opt.verbose)
			printf("%-20s not compared: %s\n", isa_rows[row].name, rule->skip);
		return 0;
	}
	for (unsigned long i = 0; i < opt.count; i++) {
		/* Each trial has a seed of its own, so that it can be repeated alone. */
		rng_state = opt.seed + i;
		if (trial(row, rule, &failures))
			done++;
		else
			unpredictable++;
	}
	if (failures || opt.verbose)
		printf("%-20s %lu compared, %lu unpredictable, %u failed\n", isa_rows[row].name, done, unpredictable,
		       failures);
	return failures;
}

/* Rows that only compute. */
static bool computes(unsigned row)
{
	const struct rule *rule = rule_of(isa_rows[row].name);
	uint32_t group = isa_rows[row].value >> 25 & 15;

	if (!isa_rows[row].implemented || (isa_decode_is_fp(row) && !opt.fp))
		return false;
	if (rule && (rule->skip || rule->unpredictable || rule->prepare || rule->before))
		return false;
	return (group & 14) == 8 || (group & 7) == 5 || (group & 7) == 7;
}

static bool block_trial(uint64_t seed)
{
	static unsigned rows[2048];
	static unsigned n_rows;
	uint32_t insns[MAX_BLOCK];
	struct result us, them;
	struct state s;
	unsigned n;

	if (!n_rows)
		for (unsigned i = 0; i < isa_row_count; i++)
			if (computes(i))
				rows[n_rows++] = i;
	rng_state = seed;
	n = 2 + rnd() % (MAX_BLOCK - 1);
	for (unsigned i = 0; i < n; i++) {
		unsigned regs = rnd() & 3;

		/* Few registers, so that results are used; words that are UNDEFINED would end the block early. */
		do {
			unsigned row = rows[rnd() % n_rows];

			insns[i] = random_word(row);
			if (regs && isa_row_of(insns[i] & ~(0x18u | 0x18u << 5)) == (int)row)
				insns[i] &= ~(0x18u | 0x18u << 5);
			random_state(&s);
		} while (engine_run(&s, &insns[i], 1, ~0ull, false).outcome != DONE);
	}
	random_state(&s);
	them = oracle_run(&s, insns, n);
	us = engine_run(&s, insns, n, ~0ull, false);
	if (us.outcome == them.outcome && same_state(&us.s, &them.s))
		return true;
	printf("  block, seed %#llx\n", (unsigned long long)seed);
	for (unsigned i = 0; i < n; i++)
		printf("    %08x %s\n", insns[i], isa_name(insns[i]));
	print_differences(&s, &us, &them);
	return false;
}

static int test_blocks(void)
{
	unsigned long failures = 0;

	for (unsigned long i = 0; i < opt.count && failures < 5; i++)
		failures += !block_trial(opt.seed + i);
	printf("%lu blocks, %lu with differences; seed %llu\n", opt.count, failures, (unsigned long long)opt.seed);
	return failures != 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", 1, NULL, 'c'},   {"seed", 1, NULL, 's'},   {"row", 1, NULL, 'r'}, {"fp", 0, NULL, 'f'},
		{"verbose", 0, NULL, 'v'}, {"blocks", 0, NULL, 'b'}, {NULL, 0, NULL, 0}};
	unsigned rows = 0, failed = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c': opt.count = strtoul(optarg, NULL, 0); break;
		case 's': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'r': opt.row = optarg; break;
		case 'f': opt.fp = true; break;
		case 'b': opt.blocks = true; break;
		case 'v': opt.verbose = true; break;
		default: return 2;
		}
	}
	engine_start();
	if (!oracle_start()) {
		fprintf(stderr, "the oracle does not start\n");
		return 77;
	}
	fill_memory();
	if (opt.blocks)
		return test_blocks();
	for (unsigned i = 0; i < isa_row_count; i++) {
		if (!isa_rows[i].implemented)
			continue;
		if (opt.row ? fnmatch(opt.row, isa_rows[i].name, 0) != 0 : isa_decode_is_fp(i) != opt.fp)
			continue;
		rows++;
		failed += test_row(i) != 0;
	}
	printf("%u rows, %u with differences; seed %llu, %lu words each\n", rows, failed, (unsigned long long)opt.seed,
	       opt.count);
	return failed != 0;
}
