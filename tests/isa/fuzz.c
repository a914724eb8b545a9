/* SPDX-License-Identifier: MIT */
/*
 * Every row of the decode tables against somebody else's implementation: random words of the row, random registers,
 * flags, FPCR, FPSR and memory, one instruction, and then registers, PC, flags, FPSR and memory must agree, and so must
 * "UNDEFINED". An access that faults must leave everything as it was.
 *
 *     fuzz [--count N] [--seed S] [--row PATTERN]... [--base | --fp] [--engine interp|jit] [--blocks]
 *          [--oracle unicorn|qemu] [--qemu COMMAND] [--coverage FILE] [--trial SEED] [--verbose]
 *
 * N comparisons are spread evenly over the rows, those that match a PATTERN if there is one. The oracle of a row is Unicorn, or QEMU if a rule says so; --oracle qemu
 * asks QEMU about all of them. COMMAND runs qemu_runner. With --blocks, blocks of many data processing instructions,
 * which the builder folds and the optimiser rewrites. FILE gets a line per row: name, comparisons, oracle.
 * A failure prints the seed of that one trial and the word; run again with --row NAME --trial SEED.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "harness.h"

static struct {
	uint64_t count, seed, trial;
	const char *coverage, *engine;
	const char **patterns; /* --row, in order; all of them must match something */
	unsigned n_patterns;
	struct oracle *oracle; /* of all rows, NULL: the rules say */
	bool fp, base, verbose, blocks, one;
} opt = {.count = 40000, .seed = 1, .engine = "interp"};

/* What came of each row. */
struct tally {
	uint64_t compared, unpredictable, differences;
};
static struct tally *tally;
static uint64_t total, differences;

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

static bool starts(struct oracle *o)
{
	static bool unicorn, qemu;
	bool *up = o == &oracle_qemu ? &qemu : &unicorn;

	if (!*up)
		*up = o->start(o);
	if (*up && o->code)
		memcpy(o->code, engine_code, CODE_SIZE);
	return *up;
}

/* NULL: none that is here knows the row. */
static struct oracle *oracle_of(const struct rule *rule)
{
	if (rule && rule->skip)
		return NULL;
	if (opt.oracle && !(rule && (opt.oracle == &oracle_qemu ? rule->qemu : rule->unicorn)))
		return opt.oracle;
	if (rule && rule->unicorn)
		return oracle_qemu.data ? &oracle_qemu : NULL;
	return &oracle_unicorn;
}

/* ---- the state before */

/*
 * Most registers are none of the instruction's business, and come from a pool; those in fields that may name one are
 * made anew.
 */
enum { POOL = 1024 };
static uint64_t pool_x[POOL];
static union ir_v128 pool_v[POOL];

static void fill_pool(void)
{
	rng_state = 4711;
	for (unsigned i = 0; i < POOL; i++) {
		pool_x[i] = random_x();
		pool_v[i] = random_v();
	}
}

static void random_state(struct state *s, uint32_t insn)
{
	uint64_t at = rnd();
	const unsigned fields[] = {insn & 31, insn >> 5 & 31, insn >> 16 & 31, insn >> 10 & 31};

	for (unsigned i = 0; i < 32; i++) {
		s->x[i] = pool_x[(at + 37 * i) % POOL];
		s->v[i] = pool_v[((at >> 32) + 41 * i) % POOL];
	}
	for (unsigned i = 0; i < 4; i++) {
		s->x[fields[i]] = random_x();
		s->v[fields[i]] = random_v();
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
}

/* ---- comparing */

static const char *outcome_name(enum outcome o)
{
	static const char *const name[] = {"done", "undefined", "fault", "exit"};

	return name[o];
}

static void print_differences(const struct state *in, const struct result *us, const struct result *them)
{
	if (us->outcome != them->outcome)
		printf("    outcome: %s, oracle %s\n", outcome_name(us->outcome), outcome_name(them->outcome));
	for (unsigned i = 0; i < 32; i++)
		if (us->s.x[i] != them->s.x[i])
			printf("    x%u: %016llx, oracle %016llx, before %016llx\n", i, (unsigned long long)us->s.x[i],
			       (unsigned long long)them->s.x[i], (unsigned long long)in->x[i]);
	for (unsigned i = 0; i < 32; i++)
		if (memcmp(&us->s.v[i], &them->s.v[i], 16))
			printf("    v%u: %016llx_%016llx, oracle %016llx_%016llx, before %016llx_%016llx\n", i,
			       (unsigned long long)us->s.v[i].d[1], (unsigned long long)us->s.v[i].d[0],
			       (unsigned long long)them->s.v[i].d[1], (unsigned long long)them->s.v[i].d[0],
			       (unsigned long long)in->v[i].d[1], (unsigned long long)in->v[i].d[0]);
	if (us->s.pc != them->s.pc)
		printf("    pc: %llx, oracle %llx\n", (unsigned long long)us->s.pc, (unsigned long long)them->s.pc);
	if (us->s.nzcv != them->s.nzcv)
		printf("    nzcv: %x, oracle %x, before %x\n", us->s.nzcv >> 28, them->s.nzcv >> 28, in->nzcv >> 28);
	if (us->s.fpcr != them->s.fpcr)
		printf("    fpcr: %x, oracle %x\n", us->s.fpcr, them->s.fpcr);
	if (us->s.fpsr != them->s.fpsr)
		printf("    fpsr: %x, oracle %x, before %x, fpcr %x\n", us->s.fpsr, them->s.fpsr, in->fpsr, in->fpcr);
}

/* Not memcmp() of the whole: there is padding. */
static bool same_state(const struct state *a, const struct state *b)
{
	return memcmp(a->x, b->x, sizeof(a->x)) == 0 && memcmp(a->v, b->v, sizeof(a->v)) == 0 && a->pc == b->pc &&
	       a->nzcv == b->nzcv && a->fpcr == b->fpcr && a->fpsr == b->fpsr;
}

static void print_memory_difference(const struct oracle *o)
{
	for (unsigned i = 0; i < DATA_SIZE; i += 8) {
		uint64_t us, them, before;

		memcpy(&us, engine_data + i, 8);
		memcpy(&them, o->data + i, 8);
		memcpy(&before, pristine + i, 8);
		if (us != them)
			printf("    [%x]: %016llx, oracle %016llx, before %016llx\n", DATA + i, (unsigned long long)us,
			       (unsigned long long)them, (unsigned long long)before);
	}
}

static void print_words(const struct trial *t)
{
	if (t->n == 1) {
		printf("  %s %08x --trial %#llx\n", isa_rows[t->row].name, t->insns[0], (unsigned long long)t->seed);
		return;
	}
	printf("  %u instructions, --trial %#llx\n", t->n, (unsigned long long)t->seed);
	for (unsigned i = 0; i < t->n; i++)
		printf("    %08x %s\n", t->insns[i], isa_name(t->insns[i]));
}

static bool agree(struct trial *t)
{
	if (t->us.outcome == t->them.outcome && t->us.outcome != DONE) {
		/* Exceptions: the oracle's PC and SP are its own business. Ours must be as before. */
		t->them.s = t->in;
		t->them.s.pc += 4 * (t->n - 1);
	}
	return t->us.outcome == t->them.outcome && same_state(&t->us.s, &t->them.s);
}

/* Both sides, and all comparisons but that of memory. False: the oracle is gone. */
static bool run_both(struct oracle *o, struct trial *t, unsigned n)
{
	memcpy(o->data, engine_data, DATA_SIZE);
	if (!o->run(o, t, n)) {
		fprintf(stderr, "the oracle \"%s\" is gone\n", o->name);
		return false;
	}
	for (unsigned i = 0; i < n; i++)
		t[i].us = engine_run(&t[i].in, t[i].insns, t[i].n, ~0ull, t[i].fast);
	return true;
}

/* Trials that follow each other share memory, which is compared behind the last one. False: it differs. */
static bool compare(struct oracle *o, struct trial *t, unsigned n)
{
	if (!run_both(o, t, n))
		exit(2);
	for (unsigned i = 0; i < n; i++) {
		tally[t[i].row].compared++;
		if (agree(&t[i]))
			continue;
		differences++;
		if (++tally[t[i].row].differences <= 5 || opt.verbose) {
			print_words(&t[i]);
			print_differences(&t[i].in, &t[i].us, &t[i].them);
		}
	}
	total += n;
	if (memcmp(engine_data, o->data, DATA_SIZE) == 0)
		return true;
	if (n == 1) {
		differences++;
		if (++tally[t->row].differences <= 5 || opt.verbose) {
			print_words(t);
			print_memory_difference(o);
		}
	}
	return false;
}

/* ---- trials of a row */

/* False if the word was CONSTRAINED UNPREDICTABLE. */
static bool make_trial(struct trial *t, unsigned row, const struct rule *rule, uint64_t seed)
{
	uint32_t word, before;

	rng_state = t->seed = seed;
	t->row = row;
	t->n = 0;
	word = random_word(row);
	random_state(&t->in, word);
	if (rule && rule->unpredictable && rule->unpredictable(word))
		return false;
	if (rule && rule->prepare)
		rule->prepare(&t->in, word);
	before = rule && rule->before ? rule->before(word) : 0;
	if (before)
		t->insns[t->n++] = before;
	t->insns[t->n++] = word;
	t->fast = rnd() & 1;
	return true;
}

static void test_row(unsigned row, uint64_t count, uint64_t seed)
{
	const struct rule *rule = rule_of(isa_rows[row].name);
	struct oracle *o = oracle_of(rule);
	static struct trial t[MAX_TRIALS];

	while (o && count) {
		unsigned n = 0, all = 0;

		memcpy(engine_data, pristine, DATA_SIZE);
		for (; n < MAX_TRIALS && all < count; all++) {
			if (make_trial(&t[n], row, rule, seed++))
				n++;
			else
				tally[row].unpredictable++;
		}
		count -= all;
		if (compare(o, t, n))
			continue;
		/* Memory may differ after any of them: one by one. */
		for (unsigned i = 0; i < n; i++) {
			memcpy(engine_data, pristine, DATA_SIZE);
			make_trial(&t[0], row, rule, t[i].seed);
			if (tally[row].differences <= 5)
				compare(o, t, 1);
		}
	}
}

/* ---- blocks */

/* Rows that only compute. */
static bool computes(unsigned row)
{
	const struct rule *rule = rule_of(isa_rows[row].name);
	uint32_t group = isa_rows[row].value >> 25 & 15;

	if (rule && (rule->skip || rule->unpredictable || rule->prepare || rule->before || rule->unicorn))
		return false;
	return (group & 14) == 8 || (group & 7) == 5 || (group & 7) == 7;
}

static bool matches(unsigned row)
{
	for (unsigned i = 0; i < opt.n_patterns; i++)
		if (fnmatch(opt.patterns[i], isa_rows[row].name, 0) == 0)
			return true;
	return opt.n_patterns == 0;
}

static bool wanted(unsigned row)
{
	if (!isa_rows[row].implemented || !matches(row))
		return false;
	if ((opt.fp && !isa_decode_is_fp(row)) || (opt.base && isa_decode_is_fp(row)))
		return false;
	return !opt.blocks || computes(row);
}

static void make_block(struct trial *t, const unsigned *rows, unsigned n_rows, uint64_t seed)
{
	rng_state = t->seed = seed;
	t->n = 2 + rnd() % (MAX_BLOCK - 1);
	for (unsigned i = 0; i < t->n; i++) {
		unsigned regs = rnd() & 3;

		/* Few registers, so that results are used; words that are UNDEFINED would end the block early. */
		do {
			unsigned row = rows[rnd() % n_rows];

			t->row = row;
			t->insns[i] = random_word(row);
			if (regs && isa_row_of(t->insns[i] & ~(0x18u | 0x18u << 5)) == (int)row)
				t->insns[i] &= ~(0x18u | 0x18u << 5);
			random_state(&t->in, t->insns[i]);
		} while (engine_run(&t->in, &t->insns[i], 1, ~0ull, false).outcome != DONE);
	}
	random_state(&t->in, t->insns[0]);
	t->fast = false;
}

static void test_blocks(const unsigned *rows, unsigned n_rows, uint64_t count, uint64_t seed)
{
	struct oracle *o = oracle_of(NULL);
	static struct trial t;

	for (uint64_t i = 0; i < count; i++) {
		make_block(&t, rows, n_rows, seed + i);
		compare(o, &t, 1);
		for (unsigned k = 0; k < t.n - 1; k++)
			tally[isa_row_of(t.insns[k])].compared++;
	}
}

/* ---- the campaign */

static void write_coverage(void)
{
	char path[4096];
	FILE *f;

	if (!opt.coverage)
		return;
	snprintf(path, sizeof(path), "%s.new", opt.coverage);
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		exit(2);
	}
	fprintf(f, "# engine=%s%s seed=%llu comparisons=%llu differences=%llu\n", opt.engine,
		opt.blocks ? " blocks" : "", (unsigned long long)opt.seed, (unsigned long long)total,
		(unsigned long long)differences);
	for (unsigned i = 0; i < isa_row_count; i++) {
		const struct rule *rule = rule_of(isa_rows[i].name);
		const struct oracle *o = oracle_of(rule);

		if (isa_rows[i].implemented && wanted(i))
			fprintf(f, "%s\t%llu\t%s\n", isa_rows[i].name, (unsigned long long)tally[i].compared,
				o	     ? o->name
				: rule->skip ? rule->skip
					     : "needs QEMU");
	}
	if (fclose(f) || rename(path, opt.coverage)) {
		perror(opt.coverage);
		exit(2);
	}
}

static uint64_t seed_of_trial(uint64_t row)
{
	rng_state = opt.seed << 16 | row;
	return rnd() << 24; /* room for those that follow */
}

/* In rounds, so that all rows have had their turn early on. */
static void campaign(const unsigned *rows, unsigned n_rows)
{
	enum { ROUND = 4096 };
	uint64_t each = (opt.count + n_rows - 1) / n_rows;

	for (uint64_t done = 0; done < each && !opt.blocks; done += ROUND) {
		for (unsigned i = 0; i < n_rows; i++)
			test_row(rows[i], each - done < ROUND ? each - done : ROUND, seed_of_trial(rows[i]) + done);
		write_coverage();
	}
	for (uint64_t done = 0; done < opt.count && opt.blocks; done += ROUND) {
		test_blocks(rows, n_rows, opt.count - done < ROUND ? opt.count - done : ROUND,
			    seed_of_trial(isa_row_count) + done);
		write_coverage();
	}
}

static void report(const unsigned *rows, unsigned n_rows)
{
	unsigned skipped = 0, failed = 0;

	for (unsigned i = 0; i < n_rows; i++) {
		const struct rule *rule = rule_of(isa_rows[rows[i]].name);
		const struct tally *y = &tally[rows[i]];
		const struct oracle *o = oracle_of(rule);

		skipped += !o;
		failed += y->differences != 0;
		if (opt.verbose && !o)
			printf("%-20s not compared: %s\n", isa_rows[rows[i]].name,
			       rule->skip ? rule->skip : "only QEMU knows it");
		else if (y->differences || opt.verbose)
			printf("%-20s %llu compared (%s), %llu unpredictable, %llu different\n", isa_rows[rows[i]].name,
			       (unsigned long long)y->compared, o->name, (unsigned long long)y->unpredictable,
			       (unsigned long long)y->differences);
	}
	printf("%s: %u rows, %u of them not compared, %llu comparisons%s, %llu differences in %u rows; seed %llu\n",
	       opt.engine, n_rows, skipped, (unsigned long long)total, opt.blocks ? " of blocks" : "",
	       (unsigned long long)differences, failed, (unsigned long long)opt.seed);
}

static int usage(const char *what)
{
	fprintf(stderr, "fuzz: %s; what it takes is said at the top of tests/isa/fuzz.c\n", what);
	return 2;
}

static const char *parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", 1, NULL, 'c'},  {"seed", 1, NULL, 's'},    {"row", 1, NULL, 'r'},
		{"base", 0, NULL, 'B'},	  {"fp", 0, NULL, 'f'},	     {"engine", 1, NULL, 'e'},
		{"blocks", 0, NULL, 'b'}, {"oracle", 1, NULL, 'o'},  {"qemu", 1, NULL, 'q'},
		{"trial", 1, NULL, 't'},  {"verbose", 0, NULL, 'v'}, {"coverage", 1, NULL, 'C'},
		{NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c': opt.count = strtoull(optarg, NULL, 0); break;
		case 's': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'r': opt.patterns[opt.n_patterns++] = optarg; break;
		case 'B': opt.base = true; break;
		case 'f': opt.fp = true; break;
		case 'e': opt.engine = optarg; break;
		case 'b': opt.blocks = true; break;
		case 'q': oracle_qemu.command = optarg; break;
		case 'C': opt.coverage = optarg; break;
		case 'v': opt.verbose = true; break;
		case 't':
			opt.one = true;
			opt.trial = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			opt.oracle = strcmp(optarg, "qemu") == 0 ? &oracle_qemu : &oracle_unicorn;
			if (strcmp(optarg, opt.oracle->name) != 0)
				return "--oracle is unicorn or qemu";
			break;
		default: return "unknown option";
		}
	}
	if (optind < argc)
		return "it takes options only";
	if (strcmp(opt.engine, "interp") != 0 && strcmp(opt.engine, "jit") != 0)
		return "--engine is interp or jit";
	return NULL;
}

/* NULL, or a pattern that none of the rows matches. */
static const char *pattern_for_nothing(const unsigned *rows, unsigned n_rows)
{
	for (unsigned i = 0; i < opt.n_patterns; i++) {
		unsigned k = 0;

		while (k < n_rows && fnmatch(opt.patterns[i], isa_rows[rows[k]].name, 0) != 0)
			k++;
		if (k == n_rows)
			return opt.patterns[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *wrong;
	unsigned n_rows = 0, *rows = calloc(isa_row_count, sizeof(*rows));

	opt.patterns = calloc((size_t)argc, sizeof(*opt.patterns));
	if (!opt.patterns)
		return usage("out of memory");
	wrong = parse(argc, argv);
	tally = calloc(isa_row_count, sizeof(*tally));
	if (wrong || !rows || !tally)
		return usage(wrong ? wrong : "out of memory");
	setenv("PAWL_ENGINE", opt.engine, 1);
	engine_start();
	fill_memory();
	fill_pool();
	if (!starts(&oracle_unicorn) || (oracle_qemu.command && !starts(&oracle_qemu)) ||
	    (opt.oracle && !opt.oracle->data)) {
		fprintf(stderr, "fuzz: an oracle does not start\n");
		return 2;
	}
	for (unsigned i = 0; i < isa_row_count; i++)
		if (wanted(i))
			rows[n_rows++] = i;
	wrong = pattern_for_nothing(rows, n_rows);
	if (wrong || !n_rows) {
		fprintf(stderr, "fuzz: no row that can be compared so is called '%s'\n", wrong ? wrong : "*");
		return 2;
	}
	if (!opt.one)
		campaign(rows, n_rows);
	else if (opt.blocks)
		test_blocks(rows, n_rows, 1, opt.trial);
	else
		test_row(rows[0], 1, opt.trial);
	report(rows, n_rows);
	free(rows);
	free(tally);
	free(opt.patterns);
	return differences != 0;
}
